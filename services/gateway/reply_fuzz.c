/* Fuzz target: what a service answers on the bus, on its way to HTTP, as text: a byte for the dialect, one for the
 * method, then lines: path, query, the request's JSON; what follows is the message, its header block first. Whatever a
 * service says, the client gets one answer with a possible status and a body that can be read. */
#include <microhttpd.h>

#include "services/gateway/connections.h"
#include "services/gateway/edge_metrics.h"
#include "services/gateway/exchange.h"
#include "services/gateway/fuzz_tables.h"
#include "tests/fuzz/bus_message.h"
#include "tests/fuzz/json_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
struct MHD_Response *__real_MHD_create_response_from_buffer(size_t len, void *bytes, enum MHD_ResponseMemoryMode mode);
struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t len, void *bytes, enum MHD_ResponseMemoryMode mode);

static const char *const METHODS[] = {"GET", "POST", "PATCH", "PUT", "DELETE", "PROPFIND"};
static Slice answered;

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* --- what reply.c calls ------------------------------------------------------------------------------------------ */
struct MHD_Response *__wrap_MHD_create_response_from_buffer(size_t len, void *bytes, enum MHD_ResponseMemoryMode mode)
{
    answered = slice_of(bytes, len);
    return __real_MHD_create_response_from_buffer(len, bytes, mode);
}

const char *exchange_header(const Exchange *x, const char *name)
{
    (void)x;
    return strcmp(name, "origin") == 0 ? "http://good.example" : NULL;
}

void edge_note_answer(Exchange *x)
{
    check(x->status >= 200 && x->status <= 599);
}

void exchange_resume(Exchange *x)
{
    check(x->answered);
}

/* Of answers past libmicrohttpd, which no reply from the bus is. */
Connection *connection_of(struct MHD_Connection *connection)
{
    (void)connection;
    abort();
}

void connections_enter(Connections *cs, Connection *c, ConnectionPhase phase)
{
    (void)cs, (void)c, (void)phase;
    abort();
}

/* --- the answer -------------------------------------------------------------------------------------------------- */
static enum MHD_Result look_at_header(void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
    const char **content_type = data;
    (void)kind;

    check(name[0] && !strpbrk(name, "\r\n: ") && !strpbrk(value, "\r\n"));
    if (strcmp(name, "Content-Type") == 0)
        *content_type = value;
    return MHD_YES;
}

static void check_answer(const Exchange *x, bool raw)
{
    const char *content_type = NULL;

    check(x->answered && x->response);
    (void)MHD_get_response_headers(x->response, look_at_header, &content_type);
    if (!content_type || !strstr(content_type, "json") || (raw && x->status < 400))
        return;
    check(json_check(answered.ptr, answered.len));
}

/* --- the request it is for --------------------------------------------------------------------------------------- */
static Slice take_line(Slice *rest)
{
    Slice line;

    (void)slice_cut(*rest, '\n', &line, rest); /* false: the last one */
    return line;
}

static bool begin(Exchange *x, uint8_t method, Slice *text)
{
    x->method = METHODS[method % ARRAY_LEN(METHODS)];
    x->raw_path = take_line(text);
    x->query = ARENA_NEW(x->mem, RouteVariable);
    x->query[0].field = SLICE_LIT("kinds");
    x->query[0].value = take_line(text);
    x->query_count = 1;
    x->json = take_line(text);
    if (!utf8_valid(x->json) || !utf8_valid(x->query[0].value) || !routes_split(x->mem, x->raw_path, &x->path) ||
        !routes_match(tables_routes(x->tables), x->mem, slice(x->method), &x->path, &x->match))
        return false; /* is not sent */
    x->op = x->match.target;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Tables *tables;
    static Service service = {.clock = &SYSTEM_CLOCK};
    static const GatewaySettings SETTINGS = {.cookie_secure = "auto"};
    static Gateway gateway = {.service = &service, .settings = &SETTINGS, .slot = "main"};
    static Arena *kept;
    static const Profile PROFILE = {.name = "all"};
    static Exchange x;
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    Slice text = slice_of(data + 2, size - 2);
    natsMsg *msg;

    if (size < 2)
        return 0;
    if (!tables) {
        check(nats_Open(0) == NATS_OK);
        tables = fuzz_tables();
        kept = arena_new(1 << 12);
        gateway.cors = cors_new(kept, "http://good.example", "", false);
        gateway.metrics.rate_limited =
            metrics_counter(service.metrics = metrics_new(), "atrium_rate_limited_total", "", "");
    }
    x = (Exchange){.mem = mem, .gateway = &gateway, .tables = tables, .profile = &PROFILE, .request_id = "r"};
    memset(x.trace_id, 'a', 32);
    x.dialect_id = data[0] % DIALECT_COUNT;
    x.dialect = dialect_get(x.dialect_id);
    if (!begin(&x, data[1], &text))
        return 0;
    msg = bus_message("_INBOX.gateway.features.1.1-1", (Slice){"", 0}, text);
    (void)exchange_answer_reply(&x, msg); /* tells that it has answered, which is looked at next */
    check_answer(&x, x.op->raw_reply);
    MHD_destroy_response(x.response);
    natsMsg_Destroy(msg);
    return 0;
}
