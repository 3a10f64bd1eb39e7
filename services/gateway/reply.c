/* reply: from the bus back to HTTP, and every other answer: body, headers, metrics, the access log. */
#include <strings.h>
#include <sys/socket.h>

#include "services/gateway/connections.h"
#include "services/gateway/edge_metrics.h"
#include "services/gateway/exchange.h"
#include "services/gateway/problems.h"

#include "atrium/reasons.atrium.h"
#include "shared/bytes_range.h"
#include "shared/message.h"

enum { ERROR_BODY_MAX_BYTES = 1024 * 1024, TOLD_PAST_MAX_BYTES = 128 * 1024 };

/* --- headers ----------------------------------------------------------------------------------------------------- */
static void add_cors_headers(Exchange *x)
{
    const CorsRequest rq = {.origin = exchange_header(x, "origin"),
                            .with_credentials = exchange_header(x, "authorization") || exchange_header(x, "cookie")};

    if (!x->cors_done)
        cors_headers(x->gateway->cors, x->profile->cors, &rq, x->mem, &x->out);
    x->cors_done = true;
}

static void add_rate_headers(Exchange *x)
{
    const RateDecision *r = &x->rate;
    int64_t reset_s = (r->reset_ms + 999) / 1000;
    const char *limit, *remaining;

    if (!x->has_rate)
        return;
    header_add(&x->out, "RateLimit-Policy",
               arena_printf(x->mem, "\"%s\";q=%u;w=%u", r->name, r->limit, (r->window_ms + 999) / 1000));
    header_add(&x->out, "RateLimit", arena_printf(x->mem, "\"%s\";r=%u;t=%" PRId64, r->name, r->remaining, reset_s));
    if (x->dialect->rate_headers == RATE_HEADERS_NONE)
        return;
    limit = arena_printf(x->mem, "%u", r->limit);
    remaining = arena_printf(x->mem, "%u", r->remaining);
    if (x->dialect->rate_headers == RATE_HEADERS_X) {
        int64_t at_s = (clock_unix_ms(x->gateway->service->clock) + r->reset_ms + 999) / 1000;

        header_add(&x->out, "X-RateLimit-Limit", limit);
        header_add(&x->out, "X-RateLimit-Remaining", remaining);
        header_add(&x->out, "X-RateLimit-Reset", arena_printf(x->mem, "%" PRId64, at_s));
    } else {
        header_add(&x->out, "RateLimit-Limit", limit);
        header_add(&x->out, "RateLimit-Remaining", remaining);
        header_add(&x->out, "RateLimit-Reset", arena_printf(x->mem, "%" PRId64, reset_s));
    }
}

/* 26 letters of base 32; NULL for what is no trace id. */
static const char *trace_base32(Arena *mem, const char *trace_id)
{
    static const char LETTERS[] = "0123456789abcdefghijklmnopqrstuv";
    Slice id;
    char *text;

    if (!hex_decode(mem, slice(trace_id), &id))
        return NULL;
    text = arena_alloc(mem, 27, 1);
    for (size_t i = 0; i < 26; i++) {
        unsigned bit = (unsigned)i * 5, at = bit / 8;
        unsigned two = (unsigned)(unsigned char)id.ptr[at] << 8 | (at + 1 < id.len ? (unsigned char)id.ptr[at + 1] : 0);

        text[i] = LETTERS[two >> (11 - bit % 8) & 31];
    }
    return text;
}

/* By which the dialect's clients name a request. */
static void add_trace_headers(Exchange *x)
{
    const Dialect *d = x->dialect;
    const char *trace = x->op && d->trace_header ? trace_base32(x->mem, x->trace_id) : NULL;
    const char *given = x->op && d->echo_header ? exchange_header(x, d->echo_header) : NULL;

    if (trace)
        header_add(&x->out, d->trace_header, trace);
    if (given)
        header_add(&x->out, d->echo_header, slice_cstr(x->mem, slice_take(slice(given), 64)));
}

static bool is_secure(const Exchange *x)
{
    Slice wanted = slice(x->gateway->settings->cookie_secure);

    return slice_eq_cstr(wanted, "on") || (x->over_tls && !slice_eq_cstr(wanted, "off"));
}

/* What a caller needs to write by cookie, with every answer to what he reads. */
static void add_csrf_token(Exchange *x)
{
    char *token;

    if (!x->op || !x->dialect->csrf_cookie || !x->csrf_owner.len || !slice_eq_cstr(x->lookup_method, "GET"))
        return;
    token = csrf_token(x->gateway->csrf, x->mem, x->csrf_owner, clock_unix_ms(x->gateway->service->clock));
    header_add(&x->out, "X-CSRF-Token", token);
    header_add(&x->out, "Set-Cookie",
               arena_printf(x->mem, "%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%s", x->dialect->csrf_cookie,
                            token, CSRF_MAX_AGE_S, is_secure(x) ? "; Secure" : ""));
}

static void add_common_headers(Exchange *x)
{
    header_add(&x->out, "X-Request-ID", x->request_id);
    header_add(&x->out, "X-Content-Type-Options", "nosniff");
    header_add(&x->out, "X-Frame-Options", "DENY");
    header_add(&x->out, "Referrer-Policy", "strict-origin-when-cross-origin");
    header_add(&x->out, "X-Atrium-Slot", x->gateway->slot);
    add_trace_headers(x);
    if (x->dialect->policy && !header_has(&x->out, "Content-Security-Policy"))
        header_add(&x->out, "Content-Security-Policy", x->dialect->policy);
    if (x->dialect->service_desc && slice_starts_with(x->raw_path, SLICE_LIT("/api/")))
        header_add(&x->out, "Link", x->dialect->service_desc);
    add_csrf_token(x);
    add_rate_headers(x);
    add_cors_headers(x);
    if (x->unread || x->gateway->draining)
        header_add(&x->out, "Connection", "close");
}

/* --- the answer -------------------------------------------------------------------------------------------------- */
static void settle(Exchange *x, int status, const char *content_type)
{
    add_common_headers(x);
    x->content_type = content_type;
    x->status = status;
    x->answered = true;
    edge_note_answer(x);
}

static StepResult answer(Exchange *x, int status, const char *content_type, struct MHD_Response *response)
{
    if (!response)
        abort(); /* out of memory */
    if (content_type)
        MHD_add_response_header(response, "Content-Type", content_type);
    settle(x, status, content_type);
    for (size_t i = 0; i < x->out.count; i++)
        /* MHD refuses values with line breaks: such a header of a service is left out. */
        (void)MHD_add_response_header(response, x->out.list[i].name, x->out.list[i].value);
    x->response = response;
    if (!x->hold)
        exchange_resume(x);
    return STEP_ANSWERED;
}

/* MHD leaves out the body of an answer to HEAD, and of 204 and 304, by itself. */
StepResult exchange_answer(Exchange *x, int status, const char *content_type, Slice body)
{
    x->response_bytes = body.len;
    x->body_text = body;
    return answer(x, status, body.len || status != 204 ? content_type : NULL,
                  MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.ptr, MHD_RESPMEM_PERSISTENT));
}

StepResult exchange_answer_from(Exchange *x, int status, uint64_t size, size_t block_bytes,
                                MHD_ContentReaderCallback read)
{
    return answer(x, status, NULL, MHD_create_response_from_callback(size, block_bytes, read, x, NULL));
}

StepResult exchange_answer_upgrade(Exchange *x, MHD_UpgradeHandler upgrade)
{
    return answer(x, MHD_HTTP_SWITCHING_PROTOCOLS, NULL, MHD_create_response_for_upgrade(upgrade, NULL));
}

static void write_head_past(const Exchange *x, uint64_t size, StrBuf *text)
{
    char date[HTTP_DATE_BYTES];

    http_date_format(clock_unix_ms(&SYSTEM_CLOCK), date);
    strbuf_printf(text, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\n", x->status, http_status_text(x->status),
                  date);
    if (size != MHD_SIZE_UNKNOWN && x->status != 204)
        strbuf_printf(text, "Content-Length: %" PRIu64 "\r\n", size);
    if (x->content_type)
        strbuf_printf(text, "Content-Type: %s\r\n", x->content_type);
    for (size_t i = 0; i < x->out.count; i++)
        if (strcasecmp(x->out.list[i].name, "connection") != 0 && !strpbrk(x->out.list[i].value, "\r\n"))
            strbuf_printf(text, "%s: %s\r\n", x->out.list[i].name, x->out.list[i].value);
    strbuf_append_cstr(text, "\r\n");
}

Slice exchange_answer_past(Exchange *x, int status, uint64_t size)
{
    StrBuf text = strbuf_new(x->mem, TOLD_PAST_MAX_BYTES);

    settle(x, status, NULL);
    x->told_past = x->told = true;
    write_head_past(x, size, &text);
    return strbuf_slice(&text); /* the data plane's head and ours are far shorter than what fits */
}

void exchange_tell_past(Exchange *x)
{
    Connection *c = connection_of(x->connection);
    StrBuf text = strbuf_new(x->mem, TOLD_PAST_MAX_BYTES);
    Slice all;

    write_head_past(x, x->body_text.len, &text);
    strbuf_append(&text, x->body_text);
    x->told_past = x->told = true;
    /* Nothing was sent of this answer yet, so that there is room; a client whose window is full does not learn why. */
    if (strbuf_finish(&text, &all))
        (void)send(c->fd, all.ptr, all.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    exchange_end_past(x);
}

void exchange_end_past(Exchange *x)
{
    Connection *c = connection_of(x->connection);

    (void)shutdown(c->fd, SHUT_WR); /* what it still sends is read for a while: a reset would take the answer away */
    connections_enter(c->all, c, CONNECTION_BODY);
    exchange_resume(x);
}

/* The failure as the dialect has it. */
static Failure complete(const Exchange *x, Failure f)
{
    f.look = tables_reason(x->tables, f.key, f.bus_status, x->dialect_id);
    if (f.http)
        f.look.http = f.http;
    if (f.code)
        f.look.code = f.code;
    f.message = failure_message(&f);
    f.request_id = x->request_id;
    f.trace_id = x->trace_id;
    f.path = x->raw_path;
    return f;
}

void exchange_write_failure(Exchange *x, Failure f, StrBuf *out)
{
    f = complete(x, f);
    x->dialect->write_error(&f, out);
}

StepResult exchange_fail(Exchange *x, Failure f)
{
    StrBuf body = strbuf_new(x->mem, ERROR_BODY_MAX_BYTES);

    f = complete(x, f);
    if (f.look.http == 429)
        counter_add(x->gateway->metrics.rate_limited, 1);
    if (f.retry_after_s)
        header_add(&x->out, "Retry-After", arena_printf(x->mem, "%u", f.retry_after_s));
    x->dialect->write_error(&f, &body);
    if (x->dialect->error_newline)
        strbuf_append_char(&body, '\n');
    return exchange_answer(x, f.look.http, x->dialect->error_type, strbuf_slice(&body));
}

StepResult exchange_fail_with(Exchange *x, const char *key, const char *text)
{
    return exchange_fail(x, (Failure){.key = key, .text = text});
}

StepResult exchange_fail_no_route(Exchange *x, const char *key)
{
    return exchange_fail(x, (Failure){.key = key, .text = x->dialect->no_route_text, .from_router = true});
}

/* --- a service's failure ----------------------------------------------------------------------------------------- */
static Slice message_data(natsMsg *msg)
{
    return slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
}

Failure exchange_failure_of(Exchange *x, natsMsg *msg, const char *code)
{
    Failure f = {.key = NULL};
    ProtobufCMessage *message;
    uint64_t bus_status = 13;
    RouteVariable *values;
    FaultSource source = {.type = x->op->request, .body = x->json, .body_prefix = ""};

    (void)slice_to_uint64(slice(code), &bus_status); /* not a number: INTERNAL */
    f.bus_status = (int)MIN(bus_status, 16);
    if (err_failed(message_unpack(x->mem, &atrium__status__descriptor, message_data(msg), &message)))
        return f;
    const Atrium__Status *status = (const Atrium__Status *)message;
    values = ARENA_ARRAY(x->mem, RouteVariable, x->match.variable_count + x->query_count);
    memcpy(values, x->match.variables, x->match.variable_count * sizeof(*values));
    if (x->query_count)
        memcpy(values + x->match.variable_count, x->query, x->query_count * sizeof(*values));
    source.values = values;
    source.value_count = x->match.variable_count + x->query_count;
    if (x->op->body == BODY_FIELD)
        source.body_prefix = slice_cstr(x->mem, x->op->body_field->name);
    f.key = status->reason && status->reason[0] ? status->reason : NULL;
    f.text = status->text;
    f.faults = faults_of_violations(x->mem, &source, status->violations, status->n_violations);
    f.fault_count = status->n_violations;
    f.details = struct_to_json(x->mem, status->details);
    f.retry_after_s = status->retry_after_s;
    return f;
}

StepResult exchange_answer_failure(Exchange *x, natsMsg *msg, const char *code)
{
    return exchange_fail(x, exchange_failure_of(x, msg, code));
}

/* --- a service's answer ------------------------------------------------------------------------------------------ */
/* What a service may say to the client: "Http-<Name>" in the reply. */
static bool is_allowed(const char *name)
{
    static const char *const ALLOWED[] = {"Accept-Ranges",
                                          "Access-Control-Allow-Origin",
                                          "Allow",
                                          "Cache-Control",
                                          "Content-Disposition",
                                          "Content-Language",
                                          "Content-Location",
                                          "Content-Range",
                                          "Content-Security-Policy",
                                          "Deprecation",
                                          "ETag",
                                          "Idempotency-Replayed",
                                          "Last-Modified",
                                          "Link",
                                          "Location",
                                          "Retry-After",
                                          "Set-Cookie",
                                          "Sunset",
                                          "Vary",
                                          "WWW-Authenticate",
                                          "X-CSRF-Token"};

    for (size_t i = 0; i < ARRAY_LEN(ALLOWED); i++)
        if (slice_eq_nocase(slice(name), slice(ALLOWED[i])))
            return true;
    return false;
}

/* A service does not know how the request came: that its cookie is for TLS only is added here. */
static const char *cookie_of_service(const Exchange *x, const char *value)
{
    return is_secure(x) && !strcasestr(value, "; secure") ? arena_printf(x->mem, "%s; Secure", value)
                                                          : arena_strdup(x->mem, value);
}

/* Public documents are for pages of any origin; but only where nothing of the reader's came along, else it is as the
 * profile says. */
static void take_any_origin(Exchange *x, const char *value)
{
    if (strcmp(value, "*") != 0 || exchange_header(x, "authorization") || exchange_header(x, "cookie"))
        return;
    header_add(&x->out, "Access-Control-Allow-Origin", "*");
    x->cors_done = true;
}

static void take_header(Exchange *x, natsMsg *msg, const char *key)
{
    const char **values = NULL;
    int count = 0;
    const char *name = arena_strdup(x->mem, key + 5);

    if (!is_allowed(name) || natsMsgHeader_Values(msg, key, &values, &count) != NATS_OK)
        return;
    for (int i = 0; i < count; i++) {
        if (slice_eq_nocase(slice(name), SLICE_LIT("access-control-allow-origin")))
            take_any_origin(x, values[i]);
        else if (slice_eq_nocase(slice(name), SLICE_LIT("vary")))
            header_join(x->mem, &x->out, "Vary", values[i]);
        else if (slice_eq_nocase(slice(name), SLICE_LIT("set-cookie")))
            header_add(&x->out, name, cookie_of_service(x, values[i]));
        else
            header_add(&x->out, name, arena_strdup(x->mem, values[i]));
    }
    free(values); /* the values are the message's */
}

/* Status and headers; the status is the operation's when the service said nothing, or nonsense. */
static int take_headers(Exchange *x, natsMsg *msg)
{
    const char **keys = NULL;
    int count = 0;
    int64_t status = x->op->status;

    if (natsMsgHeader_Keys(msg, &keys, &count) != NATS_OK)
        return (int)status;
    for (int i = 0; i < count; i++) {
        if (strncmp(keys[i], "Http-", 5) != 0)
            continue;
        if (strcmp(keys[i], "Http-Status") != 0)
            take_header(x, msg, keys[i]);
        else if (!slice_to_int64(slice(bus_header(msg, keys[i])), &status) || status < 200 || status > 599)
            status = x->op->status;
    }
    free(keys);
    return (int)status;
}

static bool is_enveloped(const Exchange *x)
{
    return x->dialect->data_always || (x->dialect->knows_data && x->op->data_envelope);
}

static bool write_json(Exchange *x, Slice wire, StrBuf *out)
{
    const JsonWriteOptions options = {.dialect = x->dialect_id, .escape_html = x->dialect->escape_html};
    bool fine, enveloped = is_enveloped(x);

    if (enveloped)
        strbuf_append_cstr(out, "{\"data\":");
    fine = x->op->response_body[0] ? wire_field_to_json(&options, x->op->reply, slice(x->op->response_body), wire, out)
                                   : wire_to_json(&options, x->op->reply, wire, out);
    if (enveloped)
        strbuf_append_char(out, '}');
    if (x->dialect->newline)
        strbuf_append_char(out, '\n');
    return fine;
}

static StepResult answer_raw(Exchange *x, int status, Slice wire)
{
    ProtobufCMessage *message;
    const Atrium__HttpBody *raw;

    if (err_failed(message_unpack(x->mem, &atrium__http_body__descriptor, wire, &message)))
        return exchange_fail_with(x, "INTERNAL", "unreadable answer");
    raw = (const Atrium__HttpBody *)message;
    return exchange_answer(x, status,
                           raw->content_type && raw->content_type[0] ? raw->content_type : "application/octet-stream",
                           slice_of(raw->data.data, raw->data.len));
}

StepResult exchange_answer_reply(Exchange *x, natsMsg *msg)
{
    const char *code = bus_header(msg, "Nats-Service-Error-Code");
    Slice wire = message_data(msg), text;
    StrBuf body;
    int status;

    if (code)
        return exchange_answer_failure(x, msg, code);
    status = take_headers(x, msg);
    if (status == 304)
        return exchange_answer(x, status, NULL, SLICE_LIT(""));
    if (x->op->raw_reply)
        return answer_raw(x, status, wire);
    if (status == 204) {
        if (wire.len == 0 && !x->dialect->data_always)
            return exchange_answer(x, 204, NULL, SLICE_LIT(""));
        status = 200; /* there is something to say after all */
        if (wire.len == 0)
            return exchange_answer(x, status, "application/json", SLICE_LIT("{\"data\":null}\n"));
    }
    body = strbuf_new(x->mem, REPLY_MAX_BYTES);
    if (!write_json(x, wire, &body) || !strbuf_finish(&body, &text)) {
        LOG_ERROR(x->gateway->service->log, "unreadable_reply", "rpc", x->op->rpc, "bytes", wire.len);
        x->out.count = 0;
        x->cors_done = false;
        return exchange_fail_with(x, "INTERNAL", "unreadable answer");
    }
    return exchange_answer(x, status, "application/json", text);
}
