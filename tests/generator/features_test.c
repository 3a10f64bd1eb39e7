/* Compiles, links and runs what protoc-gen-atrium makes of features.proto: rows, stubs, handlers and their types. The
 * client and the reasons' list are stand-ins. */
#include "atrium/features/v1/features.service.h"

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "features_test.c:%d: %s\n", __LINE__, #condition);                                         \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

static size_t reason_count;
static const RpcMethod *called;
static Features__V1__Thing answer = FEATURES__V1__THING__INIT;

void reasons_add(const Reason *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        reason_count += list[i]->key != NULL;
}

Err client_call(Client *c, const CallOptions *options, Arena *mem, const RpcMethod *method, const ProtobufCMessage *in,
                ProtobufCMessage **out)
{
    (void)c, (void)options, (void)mem, (void)in;
    called = method;
    *out = &answer.base;
    return OK;
}

Err client_stream_open(Client *c, const CallOptions *options, const RpcMethod *method, const ProtobufCMessage *in,
                       ClientStream **out)
{
    (void)c, (void)options, (void)in;
    called = method;
    *out = NULL;
    return OK;
}

Err client_stream_next(ClientStream *s, Arena *mem, ProtobufCMessage **out)
{
    (void)s, (void)mem;
    *out = &answer.base;
    return OK;
}

Err features_v1_get_thing(Request *rq, const Features__V1__GetThingRequest *in, Features__V1__Thing *out)
{
    (void)rq;
    out->id = in->thing_id + 1;
    return OK;
}

Err features_v1_list_news(Request *rq, const Features__V1__GetThingRequest *in, Features__V1__Thing *out)
{
    (void)rq, (void)in, (void)out;
    return OK;
}

Err features_v1_create_thing(Request *rq, const Features__V1__CreateThingRequest *in, Features__V1__Thing *out)
{
    (void)rq, (void)in, (void)out;
    return (Err){.reason = &THING_TOO_LARGE};
}

Err features_v1_update_thing(Request *rq, const Features__V1__UpdateThingRequest *in, Google__Protobuf__Empty *out)
{
    (void)rq, (void)in, (void)out;
    return OK;
}

Err features_v1_cancel_thing(Request *rq, const Features__V1__GetThingRequest *in, Google__Protobuf__Empty *out)
{
    (void)rq, (void)in, (void)out;
    return OK;
}

Err features_v1_import(Request *rq, const Atrium__HttpBody *in, Atrium__HttpBody *out)
{
    (void)rq;
    out->content_type = in->content_type;
    return OK;
}

Err features_v1_talk(Request *rq, const Atrium__SocketRequest *in, Atrium__SocketReply *out)
{
    (void)rq, (void)in, (void)out;
    return OK;
}

Err features_v1_watch_things(Request *rq, const Features__V1__GetThingRequest *in, RpcStream *out)
{
    (void)rq, (void)out;
    return in->has_thing_id ? OK : (Err){.reason = &THING_BROKEN};
}

Err features_v1_ask_things(Request *rq, const Features__V1__ListEverythingRequest *in, RpcStream *out)
{
    (void)rq, (void)in, (void)out;
    return OK;
}

const BytesHandler features_v1_put_picture = {NULL};
const BytesHandler features_v1_get_file = {NULL};

Err features_v1_parts(Request *rq, const Features__V1__GetThingRequest *in, Features__V1__Thing *out)
{
    (void)rq, (void)in, (void)out;
    return OK;
}

#ifndef WITHOUT_A_HANDLER
Err features_v1_for_gateway(Request *rq, const Features__V1__GetThingRequest *in, Features__V1__Thing *out)
{
    (void)rq, (void)in, (void)out;
    return OK;
}
#endif

Err features_v1_list_everything(Request *rq, const Features__V1__ListEverythingRequest *in,
                                Features__V1__ListEverythingReply *out)
{
    (void)rq, (void)in, (void)out;
    return OK;
}

static const RpcHandler *handler(const RpcService *service, const char *name)
{
    for (size_t i = 0; i < service->handler_count; i++)
        if (strcmp(service->handlers[i].method->name, name) == 0)
            return &service->handlers[i];
    return NULL;
}

static int check_rows(void)
{
    const RpcMethod *create = &FEATURES_V1_CREATE_THING, *parts = &FEATURES_V1_PARTS;

    CHECK(strcmp(create->domain, "features") == 0 && strcmp(create->version, "v1") == 0);
    CHECK(strcmp(create->name, "CreateThing") == 0);
    CHECK(create->request == &features__v1__create_thing_request__descriptor);
    CHECK(create->reply == &features__v1__thing__descriptor);
    CHECK(create->caller == RPC_USER && strcmp(create->permission, "things.make") == 0);
    CHECK(create->timeout_ms == 2500 && strcmp(create->lane, "slow") == 0);
    CHECK(create->idempotency == RPC_IDEMPOTENCY_KEY && create->max_bytes == 10485760 && !create->streams);
    CHECK(parts->caller == RPC_SERVICE && parts->timeout_ms == 777 && strcmp(parts->lane, "parts") == 0);
    CHECK(FEATURES_V1_GET_THING.timeout_ms == 1500 && FEATURES_V1_GET_THING.caller == RPC_OPTIONAL);
    CHECK(FEATURES_V1_GET_THING.idempotency == RPC_IDEMPOTENCY_SAFE);
    CHECK(strcmp(FEATURES_V1_GET_THING.lane, "fast") == 0 && *FEATURES_V1_GET_THING.permission == 0);
    CHECK(FEATURES_V1_GET_THING.max_bytes == 1048576);
    CHECK(FEATURES_V1_FOR_GATEWAY.caller == RPC_GATEWAY && FEATURES_V1_IMPORT.caller == RPC_ANYONE);
    CHECK(FEATURES_V1_UPDATE_THING.caller == RPC_OPERATOR && FEATURES_V1_CANCEL_THING.caller == RPC_ADMIN);
    CHECK(FEATURES_V1_LIST_EVERYTHING.timeout_ms == 5000);
    CHECK(FEATURES_V1_WATCH_THINGS.streams);
    CHECK(strcmp(FEATURES_V1_THING_GONE_EVENT.subject, "evt.features.thing.gone.") == 0);
    CHECK(strcmp(FEATURES_V1_THING_GONE_EVENT.type, "atrium.features.thing.gone") == 0);
    CHECK(FEATURES_V1_THING_GONE_EVENT.body == &features__v1__thing_gone__descriptor);
    CHECK(reason_count == 2);
    CHECK(strcmp(THING_TOO_LARGE.key, "features.v1.THING_TOO_LARGE") == 0);
    CHECK(strcmp(THING_TOO_LARGE.code, "THING_TOO_LARGE") == 0 && strcmp(THING_BROKEN.code, "BROKEN") == 0);
    CHECK(THING_TOO_LARGE.http == 413 && THING_TOO_LARGE.bus == 8 && THING_TOO_LARGE.shown && THING_TOO_LARGE.retry);
    CHECK(!THING_BROKEN.shown && !THING_BROKEN.retry);
    return 0;
}

static int check_handlers(void)
{
    const RpcService *service = &FEATURES_V1_FEATURE_SERVICE;
    Features__V1__GetThingRequest in = FEATURES__V1__GET_THING_REQUEST__INIT;
    Features__V1__CreateThingRequest create = FEATURES__V1__CREATE_THING_REQUEST__INIT;
    Features__V1__Thing out = FEATURES__V1__THING__INIT;

    CHECK(strcmp(service->name, "atrium.features.v1.FeatureService") == 0);
    CHECK(strcmp(service->domain, "features") == 0 && service->handler_count == 11);
    CHECK(FEATURES_V1_OTHER_SERVICE.handler_count == 1);
    in.thing_id = 41;
    CHECK(!handler(service, "GetThing")->call(NULL, &in.base, &out.base).reason && out.id == 42);
    CHECK(!handler(service, "GetThing")->stream);
    CHECK(handler(service, "CreateThing")->call(NULL, &create.base, &out.base).reason == &THING_TOO_LARGE);
    CHECK(!handler(service, "WatchThings")->call);
    CHECK(handler(service, "WatchThings")->stream(NULL, &in.base, NULL).reason == &THING_BROKEN);
    return 0;
}

static int check_bytes(void)
{
    static const char *const METHODS[] = {"PATCH", "GET", "HEAD", "OPTIONS"};
    const BytesService *service = &FEATURES_V1_FEATURE_SERVICE_BYTES;

    CHECK(strcmp(service->name, "atrium.features.v1.FeatureService") == 0 && strcmp(service->domain, "features") == 0);
    CHECK(service->row_count == ARRAY_LEN(METHODS));
    for (size_t i = 0; i < service->row_count; i++) {
        const BytesRow *row = &service->rows[i];

        CHECK(strcmp(row->method, METHODS[i]) == 0 && strcmp(row->rpc, "features.v1.PutPicture") == 0);
        CHECK(row->caller == RPC_USER && strcmp(row->permission, "things.paint") == 0);
        CHECK(row->handler == &features_v1_put_picture);
        CHECK(row->dialect == (i == 3 ? ATRIUM__DIALECT__ATRIUM : ATRIUM__DIALECT__MEDIAVAULT));
    }
    CHECK(strcmp(service->rows[1].path, "/pictures/{picture}/{part=**}") == 0);
    CHECK(FEATURES_V1_PICTURE_SERVICE.handler_count == 0 && FEATURES_V1_PICTURE_SERVICE_BYTES.row_count == 1);
    CHECK(FEATURES_V1_PICTURE_SERVICE_BYTES.rows[0].caller == RPC_ANYONE);
    return 0;
}

static int check_stubs(void)
{
    Features__V1__GetThingRequest in = FEATURES__V1__GET_THING_REQUEST__INIT;
    Features__V1__Thing *out = NULL;
    ClientStream *stream = NULL;

    CHECK(!features_v1_get_thing_call(NULL, NULL, NULL, &in, &out).reason && out == &answer);
    CHECK(called == &FEATURES_V1_GET_THING);
    CHECK(!features_v1_watch_things_open(NULL, NULL, &in, &stream).reason && called == &FEATURES_V1_WATCH_THINGS);
    out = NULL;
    CHECK(!features_v1_watch_things_next(stream, NULL, &out).reason && out == &answer);
    return 0;
}

int main(void)
{
    return check_rows() || check_handlers() || check_bytes() || check_stubs();
}
