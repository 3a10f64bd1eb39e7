/* atrium call: any rpc from the command line. JSON is turned into the request and back by the gateway's tables, so that
 * the tool knows no domain. */
#include <errno.h>

#include "atrium/bus.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "shared/json.h"
#include "shared/message.h"
#include "tools/atrium/tool.h"

enum { REQUEST_MAX_BYTES = 10 * 1024 * 1024, REPLY_MAX_BYTES = 64 * 1024 * 1024, DEFAULT_TIMEOUT_MS = 10000 };

typedef struct Call {
    Slice domain, version, method;
    const MessageType *request, *reply;
    int64_t timeout_ms;
    const char *idempotency_key;
} Call;

/* "auth.v1.CreateUser" */
static bool split_name(const char *name, Call *call)
{
    Slice rest = slice(name);

    return slice_cut(rest, '.', &call->domain, &rest) && slice_cut(rest, '.', &call->version, &rest) &&
           (call->method = rest).len > 0 && slice_find_char(rest, '.') < 0 && call->domain.len > 0 &&
           call->version.len > 0;
}

static const MessageType *find_type(Tool *tool, const TypeTables *types, const Call *call, const char *suffix)
{
    char *name = arena_printf(tool->mem, "atrium." SLICE_FMT "." SLICE_FMT "." SLICE_FMT "%s", SLICE_ARG(call->domain),
                              SLICE_ARG(call->version), SLICE_ARG(call->method), suffix);
    return types_find(types, slice(name));
}

/* Routes name the types of what is bound to a path; the names of other rpcs' types follow from the rpc's. */
static Err find_types(Tool *tool, Call *call)
{
    const Atrium__Tables *file = NULL;
    const TypeTables *types = NULL;

    TRY(tool_tables(tool, &file));
    TRY(err_wrap(types_load(tool->mem, file, &types), "GATEWAY_TABLES"));
    for (size_t i = 0; i < file->n_routes && !call->request; i++) {
        const Atrium__RouteRow *route = file->routes[i];
        if (slice_eq_cstr(call->domain, route->domain) && slice_eq_cstr(call->version, route->version) &&
            slice_eq_cstr(call->method, route->rpc)) {
            call->request = types_at(types, route->request);
            call->reply = types_at(types, route->reply);
        }
    }
    if (!call->request)
        call->request = find_type(tool, types, call, "Request");
    if (!call->reply)
        call->reply = find_type(tool, types, call, "Reply");
    if (!call->request || !call->reply)
        return err_make(&NOT_FOUND, "there is no rpc " SLICE_FMT "." SLICE_FMT "." SLICE_FMT, SLICE_ARG(call->domain),
                        SLICE_ARG(call->version), SLICE_ARG(call->method));
    return OK;
}

static const char *problem_text(const JsonProblem *p)
{
    static const char *const texts[] = {[JSON_SYNTAX] = "this is not JSON",
                                        [JSON_BAD_UTF8] = "text that is not UTF-8",
                                        [JSON_TOO_DEEP] = "nested too deeply",
                                        [JSON_TOO_LARGE] = "too large",
                                        [JSON_WRONG_TYPE] = "is no",
                                        [JSON_OUT_OF_RANGE] = "out of range",
                                        [JSON_UNKNOWN_ENUM] = "no value of this enum",
                                        [JSON_UNKNOWN_FIELD] = "the request has no such member",
                                        [JSON_NULL] = "may not be null",
                                        [JSON_BAD_FORMAT] = "cannot be read as",
                                        [JSON_ONEOF_TWICE] = "only one of these may be given"};
    return texts[p->kind];
}

static Err encode_request(Tool *tool, const Call *call, Slice json, Slice *out)
{
    const JsonReadOptions options = {.refuse_unknown = true};
    StrBuf wire = strbuf_new(tool->mem, REQUEST_MAX_BYTES);
    JsonProblems problems = {.count = 0};

    if (!json_to_wire(&options, call->request, json, &wire, &problems)) {
        for (size_t i = 0; i < problems.count; i++) {
            const JsonProblem *p = &problems.list[i];
            fprintf(stderr, "atrium call: %s%sat byte %zu: %s%s%s\n", p->path ? p->path : "",
                    p->path && p->path[0] ? ", " : "", p->offset, problem_text(p), p->expected ? " " : "",
                    p->expected ? p->expected : "");
        }
        return err_make(&INVALID_BODY, "the request is not a " SLICE_FMT, SLICE_ARG(message_type_name(call->request)));
    }
    return strbuf_finish(&wire, out) ? OK : err_make(&PAYLOAD_TOO_LARGE, "the request is too large");
}

static Err decode_status(Tool *tool, natsMsg *reply)
{
    const char *text = bus_header(reply, "Nats-Service-Error");
    ProtobufCMessage *message = NULL;
    const Atrium__Status *status;
    Err e = message_unpack(tool->mem, &atrium__status__descriptor,
                           slice_of(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply)), &message);

    if (err_failed(e))
        return err_make(&INTERNAL, "%s", text ? text : "the service failed and did not say how");
    status = (const Atrium__Status *)message;
    for (size_t i = 0; i < status->n_violations; i++)
        fprintf(stderr, "atrium call: %s: %s\n", status->violations[i]->field ? status->violations[i]->field : "",
                status->violations[i]->text ? status->violations[i]->text : "");
    return err_make(&INVALID_ARGUMENT, "%s%s%s", status->reason ? status->reason : "failed",
                    status->text && status->text[0] ? ": " : "", status->text ? status->text : "");
}

static Err decode_reply(Tool *tool, const Call *call, natsMsg *reply, Slice *out)
{
    const JsonWriteOptions options = {.dialect = ATRIUM__DIALECT__ATRIUM};
    StrBuf json = strbuf_new(tool->mem, REPLY_MAX_BYTES);
    Slice wire = slice_of(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply));

    if (bus_header(reply, "Nats-Service-Error-Code"))
        return decode_status(tool, reply);
    if (!wire_to_json(&options, call->reply, wire, &json) || !strbuf_finish(&json, out))
        return err_make(&INTERNAL, "the reply is not a " SLICE_FMT, SLICE_ARG(message_type_name(call->reply)));
    return OK;
}

static Err exchange(Tool *tool, Bus *bus, const Call *call, Slice wire, natsMsg **out)
{
    const char *domain = slice_cstr(tool->mem, call->domain), *inbox = tool_inbox(tool, bus, domain);
    const char *subject = bus_svc_subject(tool->mem, bus, domain, slice_cstr(tool->mem, call->version),
                                          slice_cstr(tool->mem, call->method));
    const BusHeader headers[] = {{"Atrium-Timeout-Ms", arena_printf(tool->mem, "%" PRId64, call->timeout_ms)},
                                 {"Idempotency-Key", call->idempotency_key}};
    natsSubscription *subscription = NULL;
    natsStatus status = natsConnection_SubscribeSync(&subscription, bus_nats(bus), inbox);
    Err e;

    if (status != NATS_OK)
        return bus_err(status, "subscribe");
    e = bus_publish(bus, subject, inbox, headers, ARRAY_LEN(headers), wire);
    if (!err_failed(e)) {
        status = natsSubscription_NextMsg(out, subscription, call->timeout_ms);
        if (status == NATS_NO_RESPONDERS)
            e = err_make(&UNAVAILABLE, "nobody serves %s", subject);
        else if (status == NATS_TIMEOUT)
            e = err_make(&DEADLINE_EXCEEDED, "no reply from %s within %" PRId64 " ms", subject, call->timeout_ms);
        else if (status != NATS_OK)
            e = bus_err(status, "reply");
    }
    natsSubscription_Destroy(subscription);
    return e;
}

static Err run(Tool *tool, Call *call, const char *json)
{
    CLEANUP(bus_close_at) Bus *bus = NULL;
    natsMsg *reply = NULL;
    Slice text = slice(json), wire;
    Err e;

    TRY(find_types(tool, call));
    if (strcmp(json, "-") == 0)
        TRY(tool_read(tool, stdin, "standard input", REQUEST_MAX_BYTES, &text));
    TRY(encode_request(tool, call, text, &wire));
    TRY(tool_connect(tool, &bus));
    TRY(exchange(tool, bus, call, wire, &reply));
    e = decode_reply(tool, call, reply, &text);
    natsMsg_Destroy(reply);
    TRY(e);
    tool_print_json(tool, text);
    return OK;
}

int call_command(Tool *tool)
{
    Call call = {.timeout_ms = DEFAULT_TIMEOUT_MS, .idempotency_key = tool_option(tool, "--idempotency-key")};
    const char *timeout = tool_option(tool, "--timeout-ms");
    const char *name = tool_argument(tool), *json = tool_argument(tool);
    Err e;

    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    if (!name || !split_name(name, &call))
        return tool_wrong_use(tool, "name the rpc, as auth.v1.CreateUser");
    if (timeout && (!slice_to_int64(slice(timeout), &call.timeout_ms) || call.timeout_ms < 1))
        return tool_wrong_use(tool, "--timeout-ms: \"%s\" is no number of milliseconds", timeout);
    e = run(tool, &call, json ? json : "{}");
    return err_failed(e) ? tool_failed(tool, e) : TOOL_FINE;
}
