/* request: from HTTP into the bus: the credential, body, query and path, headers. */
#include <nats/nats.h>

#include "atrium/reasons.atrium.h"
#include "services/gateway/exchange.h"
#include "services/gateway/problems.h"

enum { BUS_HEADERS_MAX = 48, REQUEST_WIRE_MAX_BYTES = 15 * 1024 * 1024 }; /* the bus takes 16 MiB in all */

/* --- the credential ---------------------------------------------------------------------------------------------- */
static bool take_scheme(SchemeRule rule, Slice value, Slice *token)
{
    Slice word, rest;
    bool two = slice_cut(value, ' ', &word, &rest);

    rest = slice_trim(rest);
    if (two && rest.len && slice_find_char(rest, ' ') < 0) {
        *token = rest;
        return rule == SCHEME_BEARER_EXACT ? slice_eq_cstr(word, "Bearer") : slice_eq_nocase(word, SLICE_LIT("bearer"));
    }
    *token = value;
    return !two && rule == SCHEME_OR_BARE;
}

/* "a=1; b=2" */
static Slice find_cookie(Slice header, const char *name)
{
    Slice pair, key, value;

    while (header.len) {
        (void)slice_cut(header, ';', &pair, &header); /* false is the last one */
        if (slice_cut(slice_trim(pair), '=', &key, &value) && slice_eq_cstr(key, name))
            return value;
    }
    return SLICE_LIT("");
}

/* "token=…": browsers cannot set headers of a WebSocket's handshake. */
static Slice find_query_token(Exchange *x)
{
    Slice rest = x->raw_query, pair, name, value;

    while (rest.len) {
        (void)slice_cut(rest, '&', &pair, &rest); /* false is the last one */
        if (slice_cut(pair, '=', &name, &value) && slice_eq_cstr(name, "token") &&
            percent_decode(x->mem, value, true, &value))
            return value;
    }
    return SLICE_LIT("");
}

void request_find_credential(Exchange *x)
{
    Slice value = slice(exchange_header(x, "authorization"));
    const char *cookie = x->op && x->op->cookie ? x->op->cookie : x->dialect->cookie;

    if (x->op && x->op->socket && x->dialect->token_in_query)
        x->token = find_query_token(x);
    if (x->token.len) {
        x->credential = CREDENTIAL_GIVEN;
    } else if (value.len) {
        x->credential = take_scheme(x->dialect->scheme, value, &x->token) ? CREDENTIAL_GIVEN : CREDENTIAL_MALFORMED;
    } else if (cookie) {
        x->token = find_cookie(exchange_header_joined(x, "cookie"), cookie);
        x->by_cookie = x->token.len > 0;
        x->credential = x->token.len ? CREDENTIAL_GIVEN : CREDENTIAL_NONE;
    }
}

/* --- faults ------------------------------------------------------------------------------------------------------ */
static void set_fault(Exchange *x, Failure f)
{
    if (!x->fault)
        x->fault = arena_memdup(x->mem, &f, sizeof(f));
}

static const char *fault_summary(Exchange *x, const Fault *fault)
{
    if (x->dialect->fault_text)
        return fault->text; /* it names the member */
    return fault->field[0] ? arena_printf(x->mem, "%s: %s", fault->field, fault->text) : fault->text;
}

static void set_body_fault(Exchange *x, const char *key, const Fault *faults, size_t count)
{
    const char *text = x->dialect->body_text;

    set_fault(x, (Failure){.key = key,
                           .text = text     ? text
                                   : !count ? "the body cannot be read"
                                            : fault_summary(x, &faults[0]),
                           .faults = faults,
                           .fault_count = count});
}

static void set_one_fault(Exchange *x, const char *key, Fault fault)
{
    set_body_fault(x, key, arena_memdup(x->mem, &fault, sizeof(fault)), 1);
}

/* --- the body ---------------------------------------------------------------------------------------------------- */
static Slice media_type(const Exchange *x)
{
    Slice type, parameters;

    (void)slice_cut(slice(exchange_header(x, "content-type")), ';', &type, &parameters); /* false: no parameters */
    return slice_trim(type);
}

bool request_is_json(const Exchange *x)
{
    return slice_eq_nocase(media_type(x), SLICE_LIT("application/json"));
}

typedef enum BodyKind { BODY_JSON, BODY_IGNORED, BODY_REFUSED } BodyKind;

static BodyKind kind_of_body(Exchange *x)
{
    Slice type = media_type(x);

    switch (x->dialect->content) {
    case CONTENT_ANY:
        return BODY_JSON;
    case CONTENT_JSON:
        if (type.len == 0 || slice_eq_nocase(type, SLICE_LIT("application/json")) ||
            (type.len > 5 && slice_eq_nocase(slice_skip(type, type.len - 5), SLICE_LIT("+json"))))
            return BODY_JSON;
        return BODY_REFUSED;
    case CONTENT_JSON_EXACT:
        if (slice_eq_cstr(type, "application/json"))
            return BODY_JSON;
        if (slice_eq_cstr(type, "application/x-www-form-urlencoded") || slice_eq_cstr(type, "multipart/form-data"))
            return BODY_IGNORED;
        return BODY_REFUSED;
    }
    return BODY_REFUSED;
}

static bool is_null(Slice json)
{
    return slice_eq_cstr(slice_trim(json), "null");
}

/* The JSON of the body, "{}" for what counts as an empty object; false with a fault. */
static bool take_json(Exchange *x, Slice *out)
{
    Slice body = strbuf_slice(&x->body);
    const Dialect *d = x->dialect;

    *out = SLICE_LIT("{}");
    if (d->empty_text && (body.len == 0 || (!d->read.null_is_empty && is_null(body)))) {
        set_one_fault(x, "INVALID_BODY",
                      (Fault){.part = ATRIUM__PART__BODY,
                              .field = "",
                              .kind = "missing",
                              .text = d->empty_text,
                              .input = SLICE_LIT("null")});
        return false;
    }
    if (body.len == 0)
        return true;
    switch (kind_of_body(x)) {
    case BODY_IGNORED:
        return true;
    case BODY_REFUSED:
        set_one_fault(x, "UNSUPPORTED_MEDIA_TYPE",
                      (Fault){.part = ATRIUM__PART__BODY,
                              .field = "",
                              .kind = "model_attributes_type",
                              .text = d->type_text ? d->type_text : "Content-Type must be application/json"});
        return false;
    case BODY_JSON:
        break;
    }
    if (d->bad_utf8_text && !utf8_valid(body)) {
        set_fault(x, (Failure){.key = "INVALID_BODY", .http = 400, .text = d->bad_utf8_text, .from_router = true});
        return false;
    }
    *out = body;
    return true;
}

static void tell_faults(Exchange *x, Fault *faults, size_t count)
{
    for (size_t i = 0; x->dialect->fault_text && i < count; i++)
        faults[i].text = x->dialect->fault_text(x->mem, &faults[i]);
}

/* "display_name" -> INVALID_DISPLAY_NAME; of a list or what is within it, the list's. */
static const char *code_of_member(Arena *mem, const char *field)
{
    StrBuf code = strbuf_new(mem, 256);
    Slice text;

    strbuf_append_cstr(&code, "INVALID_");
    for (const char *c = field; *c && *c != '.'; c++)
        strbuf_append_char(&code, *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
    return strbuf_finish(&code, &text) ? text.ptr : "INVALID_BODY";
}

static bool set_bad_text(Exchange *x, const JsonProblem *problem, const Fault *fault)
{
    if (!x->dialect->bad_text_by_name || problem->kind != JSON_BAD_UTF8 || !fault->field[0])
        return false;
    set_fault(x, (Failure){.key = "INVALID_BODY",
                           .code = code_of_member(x->mem, fault->field),
                           .text = arena_printf(x->mem, "%s: must be UTF-8 without NUL", fault->field),
                           .faults = fault,
                           .fault_count = 1});
    return true;
}

static void set_problems(Exchange *x, const JsonProblems *problems)
{
    size_t count;
    Fault *faults = faults_of_problems(x->mem, problems, &count);

    if (count && set_bad_text(x, &problems->list[0], &faults[0]))
        return;
    tell_faults(x, faults, count);
    set_body_fault(x, "INVALID_BODY", faults, count);
}

static void append_varint(StrBuf *out, uint64_t value)
{
    while (value >= 0x80) {
        strbuf_append_char(out, (char)(value | 0x80));
        value >>= 7;
    }
    strbuf_append_char(out, (char)value);
}

static void append_bytes_field(StrBuf *out, uint32_t number, Slice bytes)
{
    append_varint(out, (uint64_t)number << 3 | 2);
    append_varint(out, bytes.len);
    strbuf_append(out, bytes);
}

/* atrium.HttpBody of what came. */
static Slice raw_body(Exchange *x)
{
    const char *type = exchange_header(x, "content-type");
    StrBuf wire = strbuf_new(x->mem, REQUEST_WIRE_MAX_BYTES);

    if (type)
        append_bytes_field(&wire, 1, slice(type));
    append_bytes_field(&wire, 2, strbuf_slice(&x->body));
    return strbuf_slice(&wire);
}

static bool read_body(Exchange *x, StrBuf *wire)
{
    const Operation *op = x->op;
    JsonProblems problems = {.count = 0};

    if (op->body == BODY_NONE)
        return true;
    if (op->raw_request) {
        if (op->body == BODY_WHOLE)
            strbuf_append(wire, raw_body(x));
        else
            append_bytes_field(wire, op->body_field->number, raw_body(x));
        return true;
    }
    if (!take_json(x, &x->json))
        return false;
    if (op->body == BODY_WHOLE) {
        if (json_to_wire(&x->dialect->read, op->request, x->json, wire, &problems))
            return true;
    } else {
        StrBuf inner = strbuf_new(x->mem, REQUEST_WIRE_MAX_BYTES);

        if (json_to_wire(&x->dialect->read, op->body_field->message, x->json, &inner, &problems)) {
            append_bytes_field(wire, op->body_field->number, strbuf_slice(&inner));
            return true;
        }
    }
    set_problems(x, &problems);
    return false;
}

static bool transcode_body(Exchange *x, StrBuf *wire)
{
    size_t start = wire->len;

    if (read_body(x, wire))
        return true;
    if (!x->op->lenient_body)
        return false;
    strbuf_truncate(wire, start);
    x->fault = NULL;
    return true;
}

/* --- query and path ---------------------------------------------------------------------------------------------- */
static bool split_query(Exchange *x)
{
    Slice rest = x->raw_query, pair, name, value;

    if (rest.len == 0)
        return true;
    x->query = ARENA_ARRAY(x->mem, RouteVariable, REQUEST_QUERY_MAX);
    while (rest.len) {
        (void)slice_cut(rest, '&', &pair, &rest); /* false is the last one */
        if (pair.len == 0)
            continue;
        (void)slice_cut(pair, '=', &name, &value); /* false: a name alone, with an empty value */
        if (x->query_count == REQUEST_QUERY_MAX)
            return false;
        if (!percent_decode(x->mem, name, true, &x->query[x->query_count].field) ||
            !percent_decode(x->mem, value, true, &x->query[x->query_count].value))
            return false;
        x->query_count++;
    }
    return true;
}

static void add_value_fault(Exchange *x, const JsonProblem *problem, int part, Slice value, Fault *faults,
                            size_t *count)
{
    JsonProblem with_input = *problem;
    StrBuf quoted = strbuf_new(x->mem, value.len * 6 + 2);

    strbuf_append_json(&quoted, value);
    with_input.input = strbuf_slice(&quoted);
    if (*count < JSON_MAX_PROBLEMS)
        faults[(*count)++] = fault_of_problem(x->mem, &with_input, part);
}

/* Parameters that no field is named after are nobody's business; those that the body may set are not taken from here.
 */
static bool transcode_query(Exchange *x, StrBuf *wire)
{
    Fault *faults;
    size_t count = 0;

    if (!split_query(x)) {
        set_one_fault(
            x, "INVALID_ARGUMENT",
            (Fault){
                .part = ATRIUM__PART__QUERY, .field = "", .kind = "value_error", .text = "the query cannot be read"});
        return false;
    }
    if (x->query_count == 0 || x->op->body == BODY_WHOLE)
        return true;
    faults = ARENA_ARRAY(x->mem, Fault, JSON_MAX_PROBLEMS);
    for (size_t i = 0; i < x->query_count; i++) {
        const RouteVariable *v = &x->query[i];
        Slice head, rest;
        const FieldType *field;
        JsonProblem problem;

        (void)slice_cut(v->field, '.', &head, &rest); /* false: not nested */
        field = message_type_by_name(x->op->request, head, false);
        if (!field || field->internal || field == x->op->body_field ||
            (v->value.len == 0 && x->dialect->empty_query_is_absent))
            continue;
        if (!json_text_field_to_wire(&x->dialect->read, x->op->request, v->field, v->value, wire, &problem) &&
            problem.kind != JSON_UNKNOWN_FIELD)
            add_value_fault(x, &problem, ATRIUM__PART__QUERY, v->value, faults, &count);
    }
    tell_faults(x, faults, count);
    if (count)
        set_fault(x, (Failure){.key = "INVALID_ARGUMENT",
                               .text = fault_summary(x, &faults[0]),
                               .faults = faults,
                               .fault_count = count});
    return count == 0;
}

/* Last, so that they win over query and body. */
static bool transcode_path(Exchange *x, StrBuf *wire)
{
    for (size_t i = 0; i < x->match.variable_count; i++) {
        const RouteVariable *v = &x->match.variables[i];
        JsonProblem problem;
        Fault *fault;
        size_t count = 0;

        if (json_text_field_to_wire(&x->dialect->read, x->op->request, v->field, v->value, wire, &problem))
            continue;
        fault = ARENA_NEW(x->mem, Fault);
        add_value_fault(x, &problem, ATRIUM__PART__PATH, v->value, fault, &count);
        tell_faults(x, fault, count);
        set_fault(
            x, (Failure){.key = "INVALID_ID", .text = fault_summary(x, fault), .faults = fault, .fault_count = count});
        return false;
    }
    return true;
}

void request_transcode(Exchange *x)
{
    StrBuf wire = strbuf_new(x->mem, REQUEST_WIRE_MAX_BYTES);
    Slice out;
    bool fine;

    x->transcoded = true;
    fine = transcode_body(x, &wire);
    fine = transcode_query(x, &wire) && fine;
    fine = transcode_path(x, &wire) && fine;
    if (!fine)
        return;
    if (strbuf_finish(&wire, &out))
        x->wire = out;
    else
        set_fault(x, (Failure){.key = "PAYLOAD_TOO_LARGE", .text = "the request is too large"});
}

/* --- on the bus -------------------------------------------------------------------------------------------------- */
typedef struct BusHeaders {
    BusHeader list[BUS_HEADERS_MAX];
    size_t count;
} BusHeaders;

static void add(BusHeaders *h, const char *name, const char *value)
{
    if (value && h->count < BUS_HEADERS_MAX)
        h->list[h->count++] = (BusHeader){name, value};
}

static Err add_idempotency_key(Exchange *x, BusHeaders *h)
{
    const char *key = exchange_header(x, "idempotency-key");
    size_t len = key ? strlen(key) : 0;

    if (!key || !x->op->idempotency_key)
        return OK;
    if (len == 0 || len > IDEMPOTENCY_KEY_MAX_BYTES)
        return err_make(&INVALID_ARGUMENT, "Idempotency-Key: 1 to %d characters", IDEMPOTENCY_KEY_MAX_BYTES);
    add(h, "Idempotency-Key", key);
    return OK;
}

/* What every request to a service says of itself. */
static Err add_headers(Exchange *x, BusHeaders *h, int64_t timeout_ms)
{
    const Operation *op = x->op;
    char *traceparent = arena_alloc(x->mem, TRACEPARENT_BYTES, 1);

    trace_format(&x->span.self, traceparent);
    add(h, "traceparent", traceparent);
    add(h, "Atrium-Timeout-Ms", arena_printf(x->mem, "%" PRId64, timeout_ms));
    add(h, "Atrium-Profile", x->profile->name);
    add(h, "Atrium-Client", x->client_text);
    add(h, "X-Request-Id", x->request_id);
    add(h, "Atrium-Caller", x->caller_header);
    TRY(add_idempotency_key(x, h));
    for (size_t i = 0; i < op->header_count; i++) {
        /* No header of that name: what stands behind the path's question mark. */
        bool query = strcmp(op->headers[i], "query-string") == 0;
        Slice value = query ? x->raw_query : exchange_header_joined(x, op->headers[i]);

        if (value.len)
            add(h, arena_printf(x->mem, "Http-%s", op->headers[i]), slice_cstr(x->mem, value));
    }
    return OK;
}

static Err send_request(Exchange *x, const BusHeaders *h, int64_t timeout_ms, UpstreamDone done, UpstreamTicket *out)
{
    return upstream_send(x->gateway->upstream, &(UpstreamRequest){.subject = x->op->subject,
                                                                  .callee = x->op->domain,
                                                                  .headers = h->list,
                                                                  .header_count = h->count,
                                                                  .body = x->wire,
                                                                  .timeout_ms = timeout_ms,
                                                                  .done = done,
                                                                  .data = x,
                                                                  .out_stream = out});
}

Err request_send(Exchange *x, UpstreamDone done)
{
    BusHeaders h = {.count = 0};

    TRY(add_headers(x, &h, x->op->timeout_ms));
    return send_request(x, &h, x->op->timeout_ms, done, NULL);
}

Err request_send_stream(Exchange *x, const char *credit, int64_t timeout_ms, UpstreamDone done, UpstreamTicket *out)
{
    BusHeaders h = {.count = 0};

    add(&h, "Atrium-Stream-Credit", credit);
    TRY(add_headers(x, &h, timeout_ms));
    return send_request(x, &h, timeout_ms, done, out);
}
