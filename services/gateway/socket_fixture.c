/* socket_fixture: the edge and the service, see socket_fixture.h. */
#include "services/gateway/socket_fixture.h"

#include "atrium/bus.pb-c.h"
#include "atrium/realtime.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "shared/bus_testing.h"
#include "shared/message.h"

static const char GONE_LOGIN[] = "01a1f9d0-812a-7dc3-99d6-c818edbc95fb"; /* that nobody knows any more */

enum { QUEUE_BYTES = 200000 };

/* --- the tables -------------------------------------------------------------------------------------------------- */
static Atrium__FieldRow *field_row(Arena *mem, uint32_t number, const char *name, FieldKind kind)
{
    Atrium__FieldRow *row = MESSAGE_NEW(mem, Atrium__FieldRow, atrium__field_row__init);

    SET(row, number, number);
    row->name = row->json_name = arena_strdup(mem, name);
    SET(row, type, kind);
    return row;
}

static Atrium__RouteRow *route_row(Arena *mem, const char *path, int caller, int dialect, uint32_t per_minute)
{
    Atrium__RouteRow *row = MESSAGE_NEW(mem, Atrium__RouteRow, atrium__route_row__init);
    Atrium__SocketRules *rules = MESSAGE_NEW(mem, Atrium__SocketRules, atrium__socket_rules__init);
    char **protocols = ARENA_ARRAY(mem, char *, 2);

    row->method = arena_strdup(mem, "GET");
    row->path = arena_strdup(mem, path);
    row->domain = arena_strdup(mem, "talktest");
    row->version = arena_strdup(mem, "v1");
    row->rpc = arena_strdup(mem, "Talk");
    row->body = arena_strdup(mem, "");
    row->rate = arena_strdup(mem, strcmp(path, "/rated") == 0 ? "some" : "");
    SET(row, request, 0);
    SET(row, reply, 0);
    SET(row, caller, (Atrium__CallerPolicy)caller);
    SET(row, dialect, (Atrium__Dialect)dialect);
    SET(row, timeout_ms, 2000);
    row->socket = rules;
    SET(rules, max_frame_bytes, MAX_FRAME);
    SET(rules, frames_per_minute, per_minute);
    SET(rules, flood_close, 4008);
    SET(rules, queue_bytes, QUEUE_BYTES);
    SET(rules, slow_close, 4010);
    SET(rules, revoked_close, 4004);
    SET(rules, silent_close, 4009);
    SET(rules, farewell, ((ProtobufCBinaryData){.data = (uint8_t *)arena_strdup(mem, "good-bye"), .len = 8}));
    protocols[0] = arena_strdup(mem, "talk.v1");
    protocols[1] = arena_strdup(mem, "talk.v2");
    rules->protocols = protocols;
    rules->n_protocols = 2;
    return row;
}

static void write_tables(const char *path)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    Atrium__Tables file = ATRIUM__TABLES__INIT;
    Atrium__TypeRow *word = MESSAGE_NEW(mem, Atrium__TypeRow, atrium__type_row__init), *types[] = {word};
    Atrium__RouteRow *routes[] = {
        route_row(mem, "/talk", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM, 600),
        route_row(mem, "/few", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__RETROCAST, 5),
        route_row(mem, "/rated", ATRIUM__CALLER_POLICY__ANYONE, ATRIUM__DIALECT__ATRIUM, 600),
        route_row(mem, "/private", ATRIUM__CALLER_POLICY__USER, ATRIUM__DIALECT__STREAMSPACE, 600),
    };
    Atrium__StreamRow *stream = MESSAGE_NEW(mem, Atrium__StreamRow, atrium__stream_row__init), *streams[] = {stream};
    Atrium__RateClass *some = MESSAGE_NEW(mem, Atrium__RateClass, atrium__rate_class__init), *rates[] = {some};
    Slice wire;
    FILE *out;

    word->name = arena_strdup(mem, "talktest.v1.Word");
    word->fields = ARENA_ARRAY(mem, Atrium__FieldRow *, 2);
    word->fields[word->n_fields++] = field_row(mem, 1, "text", FIELD_STRING);
    word->fields[word->n_fields++] = field_row(mem, 2, "n", FIELD_INT32);
    SET(&file, format, TYPES_FORMAT);
    file.types = types;
    file.n_types = ARRAY_LEN(types);
    some->name = arena_strdup(mem, "some");
    SET(some, limit, 2);
    SET(some, window_ms, 60000);
    file.rates = rates;
    file.n_rates = ARRAY_LEN(rates);
    file.routes = routes;
    file.n_routes = ARRAY_LEN(routes);
    stream->domain = arena_strdup(mem, "talktest");
    stream->version = arena_strdup(mem, "v1");
    stream->rpc = arena_strdup(mem, "Count");
    SET(stream, reply, 0);
    SET(stream, timeout_ms, 5000);
    file.streams = streams;
    file.n_streams = ARRAY_LEN(streams);
    wire = message_pack(mem, &file.base);
    out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(wire.ptr, 1, wire.len, out), wire.len);
    fclose(out);
}

/* --- the service ------------------------------------------------------------------------------------------------- */
Heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER, .serves = true};

static void publish(natsConnection *nc, const char *subject, Slice body, const BusHeader *headers, size_t count)
{
    natsMsg *msg;

    if (natsMsg_Create(&msg, subject, NULL, body.ptr, (int)body.len) != NATS_OK)
        return;
    for (size_t i = 0; i < count; i++)
        natsMsgHeader_Set(msg, headers[i].name, headers[i].value);
    (void)natsConnection_PublishMsg(nc, msg); /* the test notices */
    natsMsg_Destroy(msg);
}

static void add_frame(Arena *mem, Atrium__SocketReply *reply, Atrium__FramePart *part, bool before)
{
    Atrium__SocketFrame *frame = MESSAGE_NEW(mem, Atrium__SocketFrame, atrium__socket_frame__init);
    Atrium__SocketFrame ***list = before ? &reply->frames_before : &reply->frames_after;
    size_t *count = before ? &reply->n_frames_before : &reply->n_frames_after;

    frame->parts = ARENA_ARRAY(mem, Atrium__FramePart *, 1);
    frame->parts[frame->n_parts++] = part;
    if (!*list)
        *list = ARENA_ARRAY(mem, Atrium__SocketFrame *, 4);
    (*list)[(*count)++] = frame;
}

static void say(Arena *mem, Atrium__SocketReply *reply, Slice text, bool before)
{
    Atrium__FramePart *part = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);

    SET(part, text, ((ProtobufCBinaryData){.len = text.len, .data = (uint8_t *)(uintptr_t)text.ptr}));
    add_frame(mem, reply, part, before);
}

static void set_state(Atrium__SocketReply *reply, Slice text)
{
    SET(reply, state, ((ProtobufCBinaryData){.len = text.len, .data = (uint8_t *)(uintptr_t)text.ptr}));
}

static Slice state_of(const Atrium__SocketRequest *rq)
{
    return slice_of(rq->state.data, rq->state.len);
}

static int64_t caller_of(Arena *mem, natsMsg *msg)
{
    const char *header = bus_header(msg, "Atrium-Caller");
    Caller caller = {.user_id = 0};

    if (header)
        assert_ok(caller_decode(mem, slice(header), &caller));
    return caller.user_id;
}

static void say_word(Arena *mem, Atrium__SocketReply *reply, const char *type)
{
    Atrium__FramePart *part = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);

    part->message = MESSAGE_NEW(mem, Atrium__FrameMessage, atrium__frame_message__init);
    part->message->type = arena_strdup(mem, type);
    SET(part->message, wire, ((ProtobufCBinaryData){.len = 5, .data = (uint8_t *)arena_strdup(mem, "\n\1w\20\7")}));
    add_frame(mem, reply, part, false);
}

/* False: nothing is answered. */
static bool obey(natsConnection *nc, natsMsg *msg, Arena *mem, const Atrium__SocketRequest *rq,
                 Atrium__SocketReply *reply)
{
    Slice text = slice_of(rq->frame->parts[0]->text.data, rq->frame->parts[0]->text.len), word, rest;

    (void)slice_cut(text, ' ', &word, &rest);
    if (slice_eq_cstr(word, "echo")) {
        say(mem, reply, rest, false);
    } else if (slice_eq_cstr(word, "length")) {
        say(mem, reply, slice(arena_printf(mem, "%zu %d", text.len, rq->frame->binary)), false);
    } else if (slice_eq_cstr(word, "more")) {
        set_state(reply, slice(arena_printf(mem, SLICE_FMT "x", SLICE_ARG(state_of(rq)))));
        say(mem, reply, state_of(rq), true);
    } else if (slice_eq_cstr(word, "huge-state")) {
        set_state(reply, slice_of(arena_alloc(mem, 5000, 1), 5000));
    } else if (slice_eq_cstr(word, "word")) {
        say_word(mem, reply, "talktest.v1.Word");
    } else if (slice_eq_cstr(word, "nonsense")) {
        say_word(mem, reply, "talktest.v1.Nothing");
    } else if (slice_eq_cstr(word, "wake")) {
        SET(reply, wake_ms, 30);
    } else if (slice_eq_cstr(word, "close")) {
        reply->close = MESSAGE_NEW(mem, Atrium__SocketClose, atrium__socket_close__init);
        SET(reply->close, code, 4001);
        reply->close->reason = arena_strdup(mem, "you said so");
        say(mem, reply, SLICE_LIT("last words"), true);
    } else if (slice_eq_cstr(word, "who")) {
        say(mem, reply, slice(arena_printf(mem, "%" PRId64, caller_of(mem, msg))), false);
    } else if (slice_eq_cstr(word, "login") && !rq->authentication) {
        reply->authenticate = slice_cstr(mem, rest);
        say(mem, reply, SLICE_LIT("this is left aside"), false);
    } else if (slice_eq_cstr(word, "login")) {
        say(mem, reply, slice(arena_printf(mem, "%d %" PRId64, (int)rq->authentication, caller_of(mem, msg))), false);
    } else if (slice_eq_cstr(word, "big")) {
        int64_t len = 0;

        assert_true(slice_to_int64(rest, &len));
        say(mem, reply, slice_of(memset(arena_alloc(mem, (size_t)len, 1), 'b', (size_t)len), (size_t)len), false);
    } else if (slice_eq_cstr(word, "silent")) {
        return false;
    } else if (slice_eq_cstr(word, "hold")) {
        pthread_mutex_lock(&heard.lock);
        snprintf(heard.held, sizeof(heard.held), "%s", natsMsg_GetReply(msg));
        pthread_mutex_unlock(&heard.lock);
        return false;
    } else if (slice_eq_cstr(word, "fail")) {
        publish(nc, natsMsg_GetReply(msg), SLICE_LIT(""), (const BusHeader[]){{"Nats-Service-Error-Code", "13"}}, 1);
        return false;
    } else if (slice_eq_cstr(word, "busy") && atomic_fetch_add(&heard.refusals, 1) < 2) {
        publish(nc, natsMsg_GetReply(msg), SLICE_LIT(""), (const BusHeader[]){{"Nats-Service-Error-Code", "14"}}, 1);
        return false;
    } else if (slice_eq_cstr(word, "broken")) {
        publish(nc, natsMsg_GetReply(msg), SLICE_LIT("\377"), NULL, 0);
        return false;
    } else if (slice_eq_cstr(word, "attach") || slice_eq_cstr(word, "attach-nothing")) {
        Atrium__SocketAttach *attach = MESSAGE_NEW(mem, Atrium__SocketAttach, atrium__socket_attach__init);

        attach->id = slice_cstr(mem, rest);
        attach->rpc = arena_strdup(mem, slice_eq_cstr(word, "attach") ? "Count" : "Nothing");
        SET(attach, before, ((ProtobufCBinaryData){.len = 1, .data = (uint8_t *)arena_strdup(mem, "<")}));
        SET(attach, after, ((ProtobufCBinaryData){.len = 1, .data = (uint8_t *)arena_strdup(mem, ">")}));
        reply->attach = attach;
    } else if (slice_eq_cstr(word, "cancel")) {
        reply->cancel = ARENA_ARRAY(mem, char *, 1);
        reply->cancel[reply->n_cancel++] = slice_cstr(mem, rest);
    } else {
        say(mem, reply, SLICE_LIT("done"), false);
    }
    return true;
}

static void note_closed(const Atrium__SocketRequest *rq)
{
    pthread_mutex_lock(&heard.lock);
    snprintf(heard.state, sizeof(heard.state), SLICE_FMT, SLICE_ARG(state_of(rq)));
    pthread_mutex_unlock(&heard.lock);
    atomic_store(&heard.close_code, (int)rq->close_code);
    atomic_fetch_add(&heard.closed, 1);
}

static bool answer(natsConnection *nc, natsMsg *msg, Arena *mem, const Atrium__SocketRequest *rq,
                   Atrium__SocketReply *reply)
{
    switch (rq->kind) {
    case ATRIUM__SOCKET_KIND__OPEN:
        atomic_fetch_add(&heard.opens, 1);
        say(mem, reply, slice(arena_printf(mem, "hello %s %" PRId64, rq->query ? rq->query : "-", caller_of(mem, msg))),
            true);
        set_state(reply, SLICE_LIT("s"));
        return true;
    case ATRIUM__SOCKET_KIND__FRAME:
        atomic_fetch_add(&heard.frames, 1);
        return obey(nc, msg, mem, rq, reply);
    case ATRIUM__SOCKET_KIND__TIMER:
        atomic_fetch_add(&heard.timers, 1);
        say(mem, reply,
            slice(rq->attachment_ended ? arena_printf(mem, "ended %s %d", rq->attachment_ended, rq->attachment_failed)
                                       : "woke"),
            false);
        return true;
    case ATRIUM__SOCKET_KIND__CLOSED:
        note_closed(rq);
        return true;
    case ATRIUM__SOCKET_KIND__LEASE:
        atomic_fetch_add(&heard.leases, 1);
        return true;
    default:
        fail_msg("kind %d", (int)rq->kind);
        return false;
    }
}

void serve_talk(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Atrium__SocketReply reply = ATRIUM__SOCKET_REPLY__INIT;
    ProtobufCMessage *message;

    (void)sub, (void)data;
    assert_ok(message_unpack(mem, &atrium__socket_request__descriptor,
                             slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)), &message));
    if (answer(nc, msg, mem, (const Atrium__SocketRequest *)message, &reply))
        publish(nc, natsMsg_GetReply(msg), message_pack(mem, &reply.base), NULL, 0);
    natsMsg_Destroy(msg);
}

/* Three words, and the end; the request's text "9" is a stream that says one and goes on for ever. */
static void serve_count(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    const char *to = natsMsg_GetReply(msg);
    char number[12] = "0";

    (void)sub, (void)data;
    publish(nc, to, SLICE_LIT(""),
            (const BusHeader[]){{"Atrium-Seq", number}, {"Atrium-Stream-Control", "talktest.control"}}, 2);
    for (int i = 1; i <= 3; i++) {
        const char wire[] = {2 << 3, (char)i};

        snprintf(number, sizeof(number), "%d", i);
        publish(nc, to, slice_of(wire, sizeof(wire)), (const BusHeader[]){{"Atrium-Seq", number}}, 1);
    }
    publish(nc, to, SLICE_LIT(""), (const BusHeader[]){{"Atrium-Seq", "4"}, {"Atrium-Stream-End", "1"}}, 2);
    natsMsg_Destroy(msg);
}

static bool has(Slice body, const char *word)
{
    return memmem(body.ptr, body.len, word, strlen(word)) != NULL;
}

static void serve_auth(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const char *rpc = strrchr(natsMsg_GetSubject(msg), '.') + 1;
    Slice body = slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
    Atrium__ResolveTokenReply owner = ATRIUM__RESOLVE_TOKEN_REPLY__INIT;

    (void)sub, (void)data;
    if (strcmp(rpc, "GetGrants") == 0) {
        publish(nc, natsMsg_GetReply(msg), SLICE_LIT(""), NULL, 0);
    } else if (has(body, OPAQUE) || has(body, LOGIN) || has(body, "brief") || has(body, "doomed")) {
        SET(&owner, user_id, 42);
        SET(&owner, role, ROLE_USER);
        SET(&owner, expires_ms,
            clock_unix_ms(&SYSTEM_CLOCK) + (has(body, OPAQUE) || has(body, LOGIN) ? 60000 : BRIEF_MS));
        owner.login_id = (char *)(uintptr_t)(has(body, "doomed") ? GONE_LOGIN : LOGIN);
        publish(nc, natsMsg_GetReply(msg), message_pack(mem, &owner.base), NULL, 0);
    } else {
        publish(nc, natsMsg_GetReply(msg), SLICE_LIT(""), (const BusHeader[]){{"Nats-Service-Error-Code", "16"}}, 1);
    }
    natsMsg_Destroy(msg);
}

void release_held(void)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Atrium__SocketReply reply = ATRIUM__SOCKET_REPLY__INIT;

    pthread_mutex_lock(&heard.lock);
    say(mem, &reply, SLICE_LIT("held"), false);
    publish(f.nc, heard.held, message_pack(mem, &reply.base), NULL, 0);
    natsConnection_Flush(f.nc);
    heard.held[0] = '\0';
    pthread_mutex_unlock(&heard.lock);
}

/* --- set-up ------------------------------------------------------------------------------------------------------ */
static void wait_for_ready(Gateway *g)
{
    WAIT_UNTIL(rings_ready(g->rings) && grants_ready(g->grants));
}

int start_all(void **state)
{
    (void)state;
    edge_prepare();
    write_tables(f.tables);
    edge_stream("EVT_AUTH", "evt.auth.>");
    edge_stream("DSP_TALKTEST", "dsp.talktest.>");
    edge_serve("talktest.v1.Count", serve_count);
    edge_serve("auth.v1.*", serve_auth);
    edge_serve("talktest.v1.Talk", serve_talk); /* the last one: a test takes it away */
    edge_start();
    wait_for_ready(f.context);
    return 0;
}

void wait_until(const atomic_int *count, int wanted)
{
    WAIT_UNTIL(atomic_load(count) >= wanted);
}

void wait_for_code(int code)
{
    WAIT_UNTIL(atomic_load(&heard.close_code) == code);
}

int settle(void **state)
{
    (void)state;
    wait_until(&heard.closed, atomic_load(&heard.opens));
    return 0;
}
