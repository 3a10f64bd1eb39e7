/* Fuzz target: an HTTP request on its way into the bus, as text: a byte for method, one for the dialect, then lines:
 * path, query, Authorization, Cookie, Content-Type, Idempotency-Key; what follows is the body. The exchange around the
 * parsers, and the bus, are played by this file. What is sent must be a message of the rpc's type; what is refused must
 * get an error body that can be read. */
#include "services/gateway/exchange.h"
#include "services/gateway/fuzz_tables.h"
#include "services/gateway/problems.h"

enum { OUT_MAX = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const METHODS[] = {"GET", "POST", "PATCH", "PUT", "DELETE", "PROPFIND"};

static struct {
    const char *authorization, *cookie, *content_type, *idempotency_key;
} headers;

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* --- what request.c calls ---------------------------------------------------------------------------------------- */
const char *exchange_header(const Exchange *x, const char *name)
{
    const char *value = strcmp(name, "authorization") == 0     ? headers.authorization
                        : strcmp(name, "cookie") == 0          ? headers.cookie
                        : strcmp(name, "content-type") == 0    ? headers.content_type
                        : strcmp(name, "idempotency-key") == 0 ? headers.idempotency_key
                                                               : NULL;
    (void)x;

    return value && value[0] ? value : NULL;
}

Slice exchange_header_joined(const Exchange *x, const char *name)
{
    return slice(exchange_header(x, name));
}

Err upstream_send(Upstream *u, const UpstreamRequest *rq)
{
    (void)u;
    check(rq->subject && rq->callee && rq->timeout_ms > 0);
    for (size_t i = 0; i < rq->header_count; i++)
        check(rq->headers[i].name && rq->headers[i].value && !strpbrk(rq->headers[i].value, "\r\n"));
    return OK;
}

/* --- the request ------------------------------------------------------------------------------------------------- */
/* libmicrohttpd hands out C strings without line breaks. */
static const char *take_line(Arena *mem, Slice *rest)
{
    Slice line;

    (void)slice_cut(*rest, '\n', &line, rest); /* false: the last one */
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] == '\r' || line.ptr[i] == '\0')
            line.len = i;
    return slice_cstr(mem, line);
}

static bool begin(Exchange *x, uint8_t method, Slice text)
{
    const char *path = take_line(x->mem, &text);

    x->method = METHODS[method % ARRAY_LEN(METHODS)];
    x->raw_path = slice(path);
    x->raw_query = slice(take_line(x->mem, &text));
    headers.authorization = take_line(x->mem, &text);
    headers.cookie = take_line(x->mem, &text);
    headers.content_type = take_line(x->mem, &text);
    headers.idempotency_key = take_line(x->mem, &text);
    x->body = strbuf_new(x->mem, OUT_MAX);
    strbuf_append(&x->body, text);
    if (!routes_split(x->mem, x->raw_path, &x->path) ||
        !routes_match(tables_routes(x->tables), x->mem, slice(x->method), &x->path, &x->match))
        return false;
    x->op = x->match.target;
    return true;
}

static void check_fault(Exchange *x)
{
    Failure f = *x->fault;
    StrBuf body = strbuf_new(x->mem, OUT_MAX);

    f.look = tables_reason(x->tables, f.key, f.bus_status, x->dialect_id);
    f.message = failure_message(&f);
    f.request_id = "request";
    f.trace_id = "";
    f.path = x->raw_path;
    x->dialect->write_error(&f, &body);
    check(!body.overflow && utf8_valid(strbuf_slice(&body)));
    check(f.look.http >= 400 && f.look.http < 600);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Tables *tables;
    static Gateway gateway;
    static const Profile PROFILE = {.name = "all"};
    static Exchange x;
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    StrBuf json = strbuf_new(mem, OUT_MAX);

    if (size < 2)
        return 0;
    if (!tables)
        tables = fuzz_tables();
    x = (Exchange){.mem = mem, .gateway = &gateway, .tables = tables, .profile = &PROFILE};
    x.dialect_id = data[1] % DIALECT_COUNT;
    x.dialect = dialect_get(x.dialect_id);
    if (!begin(&x, data[0], slice_of(data + 2, size - 2)))
        return 0;
    request_find_credential(&x);
    check(x.credential == CREDENTIAL_NONE || x.token.ptr != NULL);
    request_transcode(&x);
    if (x.fault) {
        check_fault(&x);
        return 0;
    }
    if (!x.op->raw_request)
        check(wire_to_json(&(JsonWriteOptions){.dialect = x.dialect_id}, x.op->request, x.wire, &json));
    (void)request_send(&x, NULL); /* refused, or looked at by upstream_send */
    return 0;
}
