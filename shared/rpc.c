/* rpc: what handlers call on their request, who may call, and how a failure looks on the wire. */
#include "shared/rpc.h"

#include "atrium/bus.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "shared/rpc_internal.h"

enum { VIOLATIONS_MAX = 100, UNAVAILABLE_RETRY_AFTER_S = 1 };

const Reason RPC_DEFERRED = {.key = "", .code = ""};

/* --- the request ------------------------------------------------------------------------------------------------- */
int64_t request_remaining_ms(const Request *rq)
{
    return MAX(rq->deadline_ms - clock_monotonic_ms(rq->clock), 0);
}

const char *request_header(const Request *rq, const char *name)
{
    for (size_t i = 0; i < rq->header_count; i++) {
        if (strcmp(rq->headers[i].name, name) == 0)
            return rq->headers[i].value;
    }
    return NULL;
}

void request_set_status(Request *rq, int http_status)
{
    rq->reply.http_status = http_status;
}

/* A line break would begin a header of the value's own choice. */
static char *copy_as_line(Arena *mem, const char *text)
{
    char *line = arena_strdup(mem, text);

    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    }
    return line;
}

void request_set_header(Request *rq, const char *name, const char *value)
{
    assert(rq->reply.header_count < ARRAY_LEN(rq->reply.headers));
    if (rq->reply.header_count == ARRAY_LEN(rq->reply.headers))
        return;
    rq->reply.headers[rq->reply.header_count++] =
        (RequestHeader){copy_as_line(rq->mem, name), copy_as_line(rq->mem, value)};
}

void request_add_violation(Request *rq, int part, const char *field, const char *kind, const char *format, ...)
{
    Atrium__Violation *v;
    char text[512];
    va_list args;

    if (rq->reply.violation_count == VIOLATIONS_MAX)
        return; /* enough to see what is wrong */
    if (!rq->reply.violations)
        rq->reply.violations = ARENA_ARRAY(rq->mem, Atrium__Violation *, VIOLATIONS_MAX);
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    v = MESSAGE_NEW(rq->mem, Atrium__Violation, atrium__violation__init);
    v->field = arena_strdup(rq->mem, field);
    v->kind = arena_strdup(rq->mem, kind);
    v->text = arena_strdup(rq->mem, text);
    SET(v, part, (Atrium__Part)part);
    rq->reply.violations[rq->reply.violation_count++] = v;
}

void request_violation_context(Request *rq, const char *name, double value)
{
    Atrium__Violation *v;

    if (rq->reply.violation_count == 0)
        return;
    v = rq->reply.violations[rq->reply.violation_count - 1];
    if (!v->context)
        v->context = struct_new(rq->mem);
    struct_set_number(rq->mem, v->context, name, value);
}

bool request_has_violations(const Request *rq)
{
    return rq->reply.violation_count > 0;
}

void request_set_details(Request *rq, Struct *details)
{
    rq->reply.details = details;
}

void request_set_retry_after(Request *rq, uint32_t seconds)
{
    rq->reply.retry_after_s = seconds;
}

void request_set_after(Request *rq, const char *mark)
{
    rq->reply.after_mark = copy_as_line(rq->mem, mark);
}

/* --- failures on the wire ---------------------------------------------------------------------------------------- */
char *rpc_error_text(Arena *mem, Err e)
{
    if (!e.reason->shown)
        return arena_strdup(mem, e.reason == &INTERNAL ? "internal error" : e.reason->code);
    return copy_as_line(mem, e.text);
}

Slice rpc_pack_status(Arena *mem, const Request *rq, Err e)
{
    Atrium__Status status = ATRIUM__STATUS__INIT;
    char text[sizeof e.text];
    size_t len;

    memcpy(text, e.text, sizeof text);
    /* The text may have been cut within a character; a peer would refuse such a message. */
    for (len = strlen(text); len > 0 && !utf8_valid(slice_of(text, len)); len--)
        text[len - 1] = '\0';
    status.reason = arena_strdup(mem, e.reason->key);
    if (e.reason->shown)
        status.text = text;
    if (rq) {
        status.violations = rq->reply.violations;
        status.n_violations = rq->reply.violation_count;
        status.details = rq->reply.details;
        if (rq->reply.retry_after_s > 0)
            SET(&status, retry_after_s, rq->reply.retry_after_s);
        else if (e.reason == &UNAVAILABLE) /* the database away, a peer starting: it is tried again soon */
            SET(&status, retry_after_s, UNAVAILABLE_RETRY_AFTER_S);
    }
    return message_pack(mem, &status.base);
}

/* --- who may call ------------------------------------------------------------------------------------------------ */
static Err check_role(const Caller *caller, Role least, const char *permission)
{
    if (caller->kind == CALLER_NOBODY)
        return err_make(&UNAUTHENTICATED, "log in first");
    if (caller->kind != CALLER_PERSON || caller->role < least)
        return err_make(&PERMISSION_DENIED, "you may not do this");
    if (!caller_reaches(caller, permission))
        return err_make(&PERMISSION_DENIED, "an API key does not do here");
    return OK;
}

Err rpc_check_caller(const RpcMethod *method, const Caller *caller, bool from_gateway)
{
    bool service = method->caller == RPC_SERVICE || method->caller == RPC_GATEWAY;
    const char *permission = method->permission ? method->permission : "";

    switch (method->caller) {
    case RPC_ANYONE:
    case RPC_OPTIONAL:
        break;
    case RPC_USER:
        TRY(check_role(caller, ROLE_USER, permission));
        break;
    case RPC_OPERATOR:
        TRY(check_role(caller, ROLE_OPERATOR, permission));
        break;
    case RPC_ADMIN:
        TRY(check_role(caller, ROLE_ADMIN, permission));
        break;
    case RPC_SERVICE:
        if (caller->kind != CALLER_SERVICE)
            return err_make(&PERMISSION_DENIED, "for services only");
        break;
    case RPC_GATEWAY:
        if (!from_gateway)
            return err_make(&PERMISSION_DENIED, "for the gateway only");
        break;
    default: /* a row without a policy lets nobody in */
        return err_make(&PERMISSION_DENIED, "nobody may call this");
    }
    if (permission[0] && !service && !caller_may(caller, permission)) {
        if (caller->kind == CALLER_NOBODY)
            return err_make(&UNAUTHENTICATED, "log in first");
        return err_make(&PERMISSION_DENIED, "you lack the permission %s", permission);
    }
    return OK;
}

static const RpcHandler *find_handler(const RpcService *service, const char *method)
{
    for (size_t i = 0; i < service->handler_count; i++) {
        if (strcmp(service->handlers[i].method->name, method) == 0)
            return &service->handlers[i];
    }
    return NULL;
}

Err rpc_call(const RpcService *service, Request *rq, const char *method, const ProtobufCMessage *in,
             ProtobufCMessage *out)
{
    const RpcHandler *handler = find_handler(service, method);

    if (!handler || !handler->call)
        return err_make(&UNIMPLEMENTED, "%s has no %s", service->name, method);
    TRY(rpc_check_caller(handler->method, &rq->caller, rq->caller.kind == CALLER_GATEWAY));
    return handler->call(rq, in, out);
}
