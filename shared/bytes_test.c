/* Tests of the data plane: a real listener, spoken to byte by byte. */
#include "shared/bytes.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atrium/options.pb-c.h"
#include "shared/revocations.h"
#include "shared/testing.h"

enum { REPLY_MAX_BYTES = 8 << 20, PATIENCE_MS = 10000, BIG_BYTES = 96 << 20, PIECE_BYTES = 1 << 20 };

static const char SEED[] = "1111111111111111111111111111111111111111111111111111111111111111";
static const char ETAG[] = "v1";
enum { TEN_MODIFIED_MS = 784111777 }; /* in seconds: Sun, 06 Nov 1994 08:49:37 GMT */

/* What handlers noted of the request that is over. */
typedef struct Seen {
    atomic_int begins, ends, dones;
    atomic_int outcome;
    _Atomic uint64_t received, sent;
    _Atomic uint64_t sum; /* of all bytes that came */
    char text[512];       /* written before `dones` counts on */
} Seen;

static struct World {
    BytesListener *listener;
    Metrics *metrics;
    Revocations *revocations;
    CallerSigner *signer;
    CallerVerifier *verifier;
    TicketKeys *tickets;
    BytesSettings settings;
    int big_fd; /* BIG_BYTES of it */
} w;
static Seen seen;

/* --- handlers ---------------------------------------------------------------------------------------------------- */
static void note_done(BytesExchange *x)
{
    seen.outcome = bytes_outcome(x);
    seen.received = bytes_received(x);
    seen.sent = bytes_sent(x);
    seen.dones++;
}

static Err ten_open(Request *rq, void *data, uint64_t offset, uint64_t length, BytesSource *out);

typedef struct Text {
    const char *text;
    size_t at, end;
} Text;

static Err text_read(void *data, char *into, size_t len, size_t *out_len)
{
    Text *t = data;

    *out_len = MIN(MIN(len, (size_t)3), t->end - t->at);
    memcpy(into, t->text + t->at, *out_len);
    t->at += *out_len;
    return OK;
}

static Err ten_open(Request *rq, void *data, uint64_t offset, uint64_t length, BytesSource *out)
{
    Text *t = ARENA_NEW(rq->mem, Text);

    *t = (Text){data, (size_t)offset, length ? (size_t)(offset + length) : strlen(data)};
    *out = (BytesSource){.fd = -1, .read = text_read, .data = t};
    return OK;
}

static char ten_digits[] = "0123456789";

static Err ten_end(BytesExchange *x)
{
    return bytes_answer_content(x, &(BytesContent){.size = 10,
                                                   .open = ten_open,
                                                   .data = ten_digits,
                                                   .content_type = "text/plain",
                                                   .etag = ETAG,
                                                   .modified_ms = TEN_MODIFIED_MS * INT64_C(1000)});
}

static Err stream_end(BytesExchange *x)
{
    return bytes_answer_content(
        x, &(BytesContent){.size = BYTES_UNKNOWN, .open = ten_open, .data = ten_digits, .content_type = "text/plain"});
}

static Err broken_read(void *data, char *into, size_t len, size_t *out_len)
{
    int *calls = data;

    (void)len;
    if ((*calls)++)
        return err_make(&UNAVAILABLE, "the store is gone");
    into[0] = 'x';
    *out_len = 1;
    return OK;
}

static Err broken_open(Request *rq, void *data, uint64_t offset, uint64_t length, BytesSource *out)
{
    (void)data, (void)offset, (void)length;
    *out = (BytesSource){.fd = -1, .read = broken_read, .data = ARENA_NEW(rq->mem, int)};
    return OK;
}

static Err broken_end(BytesExchange *x)
{
    return bytes_answer_content(x, &(BytesContent){.size = 10, .open = broken_open});
}

static Err big_open(Request *rq, void *data, uint64_t offset, uint64_t length, BytesSource *out)
{
    (void)rq, (void)data, (void)length;
    *out = (BytesSource){.fd = dup(w.big_fd), .fd_offset = offset};
    return OK;
}

static Err big_end(BytesExchange *x)
{
    return bytes_answer_content(x, &(BytesContent){.size = BIG_BYTES, .open = big_open, .etag = "big"});
}

static Err ticket_begin(BytesExchange *x)
{
    Ticket ticket;

    seen.begins++;
    TRY(bytes_take_ticket(x, bytes_variable(x, "ticket"), "get", &ticket));
    assert_string_equal(ticket.resource, "big");
    return OK;
}

static Err put_begin(BytesExchange *x)
{
    seen.begins++;
    bytes_limit_body(x, bytes_query(x, "max", &(Slice){0}) ? 1000 : UINT64_MAX);
    if (bytes_header(x, "x-refuse"))
        return err_make(&CONFLICT, "not now");
    return OK;
}

static Err put_data(BytesExchange *x, Slice piece)
{
    uint64_t sum = 0;

    if (bytes_header(x, "x-fail-late") && bytes_received(x) > 3 * PIECE_BYTES)
        return err_make(&INSUFFICIENT_STORAGE, "the disk is full");
    for (size_t i = 0; i < piece.len; i++)
        sum += (uint8_t)piece.ptr[i];
    seen.sum += sum;
    return OK;
}

static Err put_end(BytesExchange *x)
{
    seen.ends++;
    request_set_header(bytes_request(x), "Upload-Offset", "5");
    return bytes_answer(x, 201, "text/plain",
                        slice(arena_printf(bytes_request(x)->mem, "%" PRIu64, bytes_received(x))));
}

static Err echo_end(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    Slice q = SLICE_LIT("");
    StrBuf out = strbuf_new(rq->mem, 65536);

    (void)bytes_query(x, "q", &q);
    strbuf_printf(&out, "%s|" SLICE_FMT "|" SLICE_FMT "|" SLICE_FMT "|%" PRId64 "|%s|%d", bytes_method(x),
                  SLICE_ARG(bytes_variable(x, "path")), SLICE_ARG(q), SLICE_ARG(bytes_body(x)), rq->caller.user_id,
                  rq->client_address, bytes_header(x, "authorization") != NULL);
    return bytes_answer(x, 200, "text/plain", strbuf_slice(&out));
}

static const BytesHandler TEN = {.end = ten_end, .done = note_done}, STREAM = {.end = stream_end, .done = note_done},
                          BROKEN = {.end = broken_end, .done = note_done}, BIG = {.end = big_end, .done = note_done},
                          GET_TICKET = {.begin = ticket_begin, .end = big_end, .done = note_done},
                          PUT = {.begin = put_begin, .data = put_data, .end = put_end, .done = note_done},
                          ECHO = {.end = echo_end}, NOTHING = {.done = note_done};

static const BytesRow ROWS[] = {
    {"GET", "/ten", "test.v1.Ten", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &TEN},
    {"GET", "/stream", "test.v1.Stream", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &STREAM},
    {"GET", "/broken", "test.v1.Broken", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &BROKEN},
    {"GET", "/big", "test.v1.Big", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &BIG},
    {"GET", "/file/{ticket}", "test.v1.File", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &GET_TICKET},
    {"PUT", "/put", "test.v1.Put", RPC_ANYONE, "", ATRIUM__DIALECT__MEDIAVAULT, &PUT},
    {"PATCH", "/put", "test.v1.Patch", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &PUT},
    {"POST", "/echo/{path=**}", "test.v1.Echo", RPC_OPTIONAL, "", ATRIUM__DIALECT__ATRIUM, &ECHO},
    {"GET", "/echo/{path=**}", "test.v1.GetEcho", RPC_OPTIONAL, "", ATRIUM__DIALECT__ATRIUM, &ECHO},
    {"GET", "/mine", "test.v1.Mine", RPC_USER, "", ATRIUM__DIALECT__ATRIUM, &ECHO},
    {"GET", "/mine/big", "test.v1.MineBig", RPC_USER, "", ATRIUM__DIALECT__ATRIUM, &BIG},
    {"GET", "/admin", "test.v1.Admin", RPC_ADMIN, "", ATRIUM__DIALECT__MEDIAVAULT, &ECHO},
    {"DELETE", "/nothing", "test.v1.Nothing", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &NOTHING},
    {"OPTIONS", "/nothing", "test.v1.Nothing", RPC_ANYONE, "", ATRIUM__DIALECT__ATRIUM, &NOTHING},
};
static const BytesService SERVICE = {"atrium.test.v1.TestService", "test", ROWS, ARRAY_LEN(ROWS)};
static const BytesService *const SERVICES[] = {&SERVICE};

/* --- the listener ------------------------------------------------------------------------------------------------ */
static BytesSettings usual_settings(void)
{
    return (BytesSettings){.address = "127.0.0.1:0",
                           .public_url = "",
                           .connections_max = 64,
                           .head_timeout_ms = 60000,
                           .idle_timeout_ms = 60000,
                           .min_rate_bytes = 1,
                           .step_timeout_ms = 30000};
}

static void start_listener(BytesSettings settings)
{
    w.settings = settings;
    assert_ok(bytes_listener_start(&(BytesOptions){.address = "127.0.0.1:0",
                                                   .settings = &w.settings,
                                                   .services = SERVICES,
                                                   .service_count = ARRAY_LEN(SERVICES),
                                                   .tickets = w.tickets,
                                                   .verifier = w.verifier,
                                                   .revocations = w.revocations,
                                                   .clock = &SYSTEM_CLOCK,
                                                   .metrics = w.metrics},
                                   &w.listener));
}

static void restart_listener(BytesSettings settings)
{
    bytes_listener_stop(w.listener);
    w.listener = NULL;
    start_listener(settings);
}

static int set_up(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    char *public_key;
    (void)state;

    signal(SIGPIPE, SIG_IGN);
    memset(&seen, 0, sizeof(seen));
    w = (struct World){.metrics = metrics_new(), .tickets = ticket_keys_random()};
    w.big_fd = memfd_create("big", MFD_CLOEXEC);
    assert_int_equal(ftruncate(w.big_fd, BIG_BYTES), 0);
    assert_ok(caller_signer_new(slice(SEED), &w.signer));
    assert_ok(caller_public_key(mem, slice(SEED), &public_key));
    assert_ok(caller_verifier_new(slice(public_key), "test", &SYSTEM_CLOCK, &w.verifier));
    assert_ok(revocations_start(
        &(RevocationsOptions){.clock = &SYSTEM_CLOCK, .metrics = w.metrics, .age_ms = 1000000, .entries_max = 1000},
        &w.revocations));
    start_listener(usual_settings());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bytes_listener_stop(w.listener);
    revocations_stop(w.revocations);
    caller_verifier_free(w.verifier);
    caller_signer_free(w.signer);
    ticket_keys_free(w.tickets);
    metrics_free(w.metrics);
    close(w.big_fd);
    return 0;
}

/* --- a client ---------------------------------------------------------------------------------------------------- */
static int dial(void)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)bytes_listener_port(w.listener)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, timeout_ms) > 0;
}

/* False when the other side does not take it. */
static bool say(int fd, Slice text)
{
    while (text.len) {
        ssize_t n = send(fd, text.ptr, text.len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        text = slice_skip(text, (size_t)n);
    }
    return true;
}

typedef struct Reply {
    int status;
    Slice head, body;
    bool closed; /* by the other side, at its end */
} Reply;

static Slice header_of(const Reply *r, const char *name)
{
    Slice rest = r->head, line, key, value;

    while (rest.len) {
        (void)slice_cut(rest, '\n', &line, &rest);
        if (slice_cut(line, ':', &key, &value) && slice_eq_nocase(key, slice(name)))
            return slice_trim(value);
    }
    return SLICE_LIT("");
}

static size_t body_length(const Reply *r)
{
    uint64_t len = 0;

    return slice_to_uint64(header_of(r, "Content-Length"), &len) ? (size_t)len : 0;
}

/* One answer; `until_close`: all that comes. Bodies of HEAD and of 304 do not come. */
static Reply hear(Arena *mem, int fd, bool is_head, bool until_close)
{
    StrBuf text = strbuf_new(mem, REPLY_MAX_BYTES);
    Reply r = {.status = 0};
    ptrdiff_t end = -1;
    int64_t status;

    for (;;) {
        char piece[65536];
        ssize_t n = 0;

        end = slice_find(strbuf_slice(&text), SLICE_LIT("\r\n\r\n"));
        if (end >= 0 && !until_close) {
            r.head = slice_take(strbuf_slice(&text), (size_t)end);
            if (is_head || slice_starts_with(r.head, SLICE_LIT("HTTP/1.1 304")) ||
                text.len >= (size_t)end + 4 + body_length(&r))
                break;
        }
        if (!readable(fd, PATIENCE_MS))
            break;
        /* Byte by byte of what may belong to the next answer. */
        n = recv(fd, piece,
                 until_close ? sizeof(piece)
                 : end < 0   ? 1
                             : (size_t)end + 4 + body_length(&r) - text.len,
                 0);
        if (n <= 0) {
            r.closed = true;
            break;
        }
        strbuf_append(&text, slice_of(piece, (size_t)n));
    }
    if (end < 0)
        return r;
    r.head = slice_take(strbuf_slice(&text), (size_t)end);
    r.body = slice_skip(strbuf_slice(&text), (size_t)end + 4);
    assert_true(slice_to_int64(slice_take(slice_skip(r.head, 9), 3), &status));
    r.status = (int)status;
    return r;
}

static Reply ask(Arena *mem, const char *request)
{
    int fd = dial();
    Reply r;

    assert_true(say(fd, slice(request)));
    r = hear(mem, fd, strncmp(request, "HEAD", 4) == 0, false);
    close(fd);
    return r;
}

#define REST " HTTP/1.1\r\nHost: x\r\n"

static void wait_dones(int count)
{
    for (int i = 0; i < PATIENCE_MS && seen.dones < count; i++)
        poll(NULL, 0, 1);
    assert_int_equal(seen.dones, count);
}

static bool closes_within(int fd, int ms)
{
    char waste[65536];

    for (int64_t end = clock_monotonic_ms(&SYSTEM_CLOCK) + ms; clock_monotonic_ms(&SYSTEM_CLOCK) < end;)
        if (readable(fd, 10) && recv(fd, waste, sizeof(waste), 0) <= 0)
            return true;
    return false;
}

/* --- ranges and conditions --------------------------------------------------------------------------------------- */
static void ranges_and_conditions_are_honoured(void **state)
{
    static const struct {
        const char *method, *headers;
        int status;
        const char *body, *content_range;
    } CASES[] = {
        {"GET", "", 200, "0123456789", ""},
        {"GET", "Range: bytes=0-3\r\n", 206, "0123", "bytes 0-3/10"},
        {"GET", "Range: bytes=0-0\r\n", 206, "0", "bytes 0-0/10"},
        {"GET", "Range: bytes=9-9\r\n", 206, "9", "bytes 9-9/10"},
        {"GET", "Range: bytes=4-\r\n", 206, "456789", "bytes 4-9/10"},
        {"GET", "Range: bytes=-3\r\n", 206, "789", "bytes 7-9/10"},
        {"GET", "Range: bytes=-100\r\n", 206, "0123456789", "bytes 0-9/10"},
        {"GET", "Range: bytes=5-100\r\n", 206, "56789", "bytes 5-9/10"},
        {"GET", "Range: bytes=5-99999999999999999999999999\r\n", 206, "56789", "bytes 5-9/10"},
        {"GET", "Range: Bytes=1-2\r\n", 206, "12", "bytes 1-2/10"},
        {"GET", "Range: bytes= 1-2 \r\n", 206, "12", "bytes 1-2/10"},
        {"GET", "Range: bytes=,1-2,\r\n", 206, "12", "bytes 1-2/10"},
        {"GET", "Range: bytes=10-\r\n", 416, NULL, "bytes */10"},
        {"GET", "Range: bytes=10-12\r\n", 416, NULL, "bytes */10"},
        {"GET", "Range: bytes=99999999999999999999999999-\r\n", 416, NULL, "bytes */10"},
        {"GET", "Range: bytes=-0\r\n", 416, NULL, "bytes */10"},
        {"GET", "Range: bytes=0-1,4-5\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=3-1\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=a-b\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=+1-2\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=1\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=-\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes\r\n", 200, "0123456789", ""},
        {"GET", "Range: lines=1-2\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=0-3\r\nIf-Range: \"v1\"\r\n", 206, "0123", "bytes 0-3/10"},
        {"GET", "Range: bytes=0-3\r\nIf-Range: W/\"v1\"\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=0-3\r\nIf-Range: \"v0\"\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=0-3\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 206, "0123", "bytes 0-3/10"},
        {"GET", "Range: bytes=0-3\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=0-3\r\nIf-Range: nonsense\r\n", 200, "0123456789", ""},
        {"GET", "If-None-Match: \"v1\"\r\n", 304, "", ""},
        {"GET", "If-None-Match: W/\"v1\"\r\n", 304, "", ""},
        {"GET", "If-None-Match: \"a\", \"v1\"\r\n", 304, "", ""},
        {"GET", "If-None-Match: *\r\n", 304, "", ""},
        {"GET", "If-None-Match: \"v0\"\r\n", 200, "0123456789", ""},
        {"GET", "If-None-Match: v1\r\n", 200, "0123456789", ""},
        {"GET", "If-None-Match: \"v1\"\r\nRange: bytes=0-1\r\n", 304, "", ""},
        {"GET", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304, "", ""},
        {"GET", "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", 304, "", ""},
        {"GET", "If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n", 304, "", ""},
        {"GET", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200, "0123456789", ""},
        {"GET", "If-Modified-Since: nonsense\r\n", 200, "0123456789", ""},
        {"GET", "If-None-Match: \"v0\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200, "0123456789", ""},
        {"GET", "If-Match: \"v1\"\r\n", 200, "0123456789", ""},
        {"GET", "If-Match: *\r\n", 200, "0123456789", ""},
        {"GET", "If-Match: \"v0\"\r\n", 412, NULL, ""},
        {"GET", "If-Match: W/\"v1\"\r\n", 412, NULL, ""},
        {"GET", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200, "0123456789", ""},
        {"GET", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 412, NULL, ""},
        {"GET", "If-Match: \"v1\"\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200, "0123456789", ""},
        {"HEAD", "", 200, "", ""},
        {"HEAD", "Range: bytes=0-3\r\n", 200, "", ""},
        {"HEAD", "If-None-Match: \"v1\"\r\n", 304, "", ""},
        {"HEAD", "If-Match: \"v0\"\r\n", 412, "", ""},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
        Reply r = ask(mem, arena_printf(mem, "%s /ten" REST "%s\r\n", CASES[i].method, CASES[i].headers));

        if (r.status != CASES[i].status || !slice_eq_cstr(header_of(&r, "Content-Range"), CASES[i].content_range) ||
            (CASES[i].body && !slice_eq_cstr(r.body, CASES[i].body)))
            fail_msg("%s %s: %d " SLICE_FMT "\n" SLICE_FMT, CASES[i].method, CASES[i].headers, r.status,
                     SLICE_ARG(r.head), SLICE_ARG(r.body));
        if (r.status == 200 || r.status == 206 || r.status == 304)
            assert_slice_equal(header_of(&r, "ETag"), SLICE_LIT("\"v1\""));
        if (r.status == 304) /* a length would have to be that of the whole */
            assert_slice_equal(header_of(&r, "Content-Length"), SLICE_LIT("10"));
    }
}

static void head_is_get_without_its_body(void **state)
{
    static const char *const NAMES[] = {"Content-Length",        "Content-Type",  "ETag",
                                        "Last-Modified",         "Accept-Ranges", "Cache-Control",
                                        "X-Content-Type-Options"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Reply get = ask(mem, "GET /ten" REST "\r\n"), head = ask(mem, "HEAD /ten" REST "\r\n");
    (void)state;

    assert_int_equal(head.status, 200);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        assert_true(header_of(&get, NAMES[i]).len > 0);
        assert_slice_equal(header_of(&get, NAMES[i]), header_of(&head, NAMES[i]));
    }
    assert_slice_equal(header_of(&get, "Last-Modified"), SLICE_LIT("Sun, 06 Nov 1994 08:49:37 GMT"));
}

/* --- answers ----------------------------------------------------------------------------------------------------- */
static void requests_follow_one_another(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    int fd = dial();
    Reply r;
    (void)state;

    assert_true(say(fd, SLICE_LIT("POST /echo/a%20b/c?x=1&q=y+%41" REST "Authorization: Bearer t\r\n"
                                  "Content-Length: 4\r\n\r\nbodyDELETE /nothing" REST "\r\n")));
    r = hear(mem, fd, false, false);
    assert_int_equal(r.status, 200);
    assert_slice_equal(r.body, SLICE_LIT("POST|a b/c|y A|body|0|127.0.0.1|0"));
    assert_true(header_of(&r, "X-Request-Id").len > 0);
    r = hear(mem, fd, false, false);
    assert_int_equal(r.status, 204);
    assert_true(say(fd, SLICE_LIT("GET /stream" REST "Connection: close\r\nX-Request-Id: abc.1\r\n\r\n")));
    r = hear(mem, fd, false, true);
    assert_int_equal(r.status, 200);
    assert_slice_equal(header_of(&r, "Transfer-Encoding"), SLICE_LIT("chunked"));
    assert_slice_equal(header_of(&r, "X-Request-Id"), SLICE_LIT("abc.1"));
    assert_true(slice_ends_with(r.body, SLICE_LIT("0\r\n\r\n")));
    close(fd);
    wait_dones(2);
}

static void a_source_that_fails_breaks_off(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Reply r = ask(mem, "GET /broken" REST "\r\n");
    (void)state;

    assert_int_equal(r.status, 200);
    assert_true(r.closed);
    assert_true(r.body.len < 10);
    wait_dones(1);
    assert_int_equal(seen.outcome, BYTES_FAILED);
}

static void errors_speak_the_dialect(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Reply r = ask(mem, "GET /nowhere" REST "X-Request-Id: id\r\n\r\n");
    (void)state;

    assert_int_equal(r.status, 404);
    assert_slice_equal(header_of(&r, "Content-Type"), SLICE_LIT("application/problem+json"));
    assert_slice_equal(r.body, SLICE_LIT("{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,\"detail\":"
                                         "\"there is nothing here\",\"instance\":\"/nowhere\",\"code\":\"NOT_FOUND\","
                                         "\"request_id\":\"id\"}"));
    r = ask(mem, "POST /put" REST "\r\n");
    assert_int_equal(r.status, 405);
    assert_slice_equal(header_of(&r, "Allow"), SLICE_LIT("OPTIONS, PATCH, PUT"));
    r = ask(mem, "PUT /put" REST "X-Refuse: 1\r\n\r\n");
    assert_int_equal(r.status, 409);
    assert_slice_equal(r.body, SLICE_LIT("{\n  \"code\": \"already_exists\",\n  \"message\": \"not now\",\n"
                                         "  \"details\": null\n}"));
    r = ask(mem, "GET /admin" REST "\r\n");
    assert_int_equal(r.status, 401);
    assert_slice_equal(header_of(&r, "WWW-Authenticate"), SLICE_LIT("Bearer"));
    assert_true(slice_find(r.body, SLICE_LIT("\"unauthenticated\"")) > 0);
    assert_int_equal(ask(mem, "GET /%zz" REST "\r\n").status, 400);
}

#define ASKS_TO_PUT "Origin: https://page.test\r\nAccess-Control-Request-Method: PUT\r\n\r\n"

static void pages_of_others_may_come_where_clients_come_straight(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    BytesSettings settings = usual_settings();
    Reply r;
    (void)state;

    /* Behind the gateway its rules hold. */
    r = ask(mem, "GET /ten" REST "Origin: https://page.test\r\n\r\n");
    assert_int_equal(header_of(&r, "Access-Control-Allow-Origin").len, 0);
    settings.public_url = "https://bytes.test";
    restart_listener(settings);
    r = ask(mem, "OPTIONS /put" REST ASKS_TO_PUT);
    assert_int_equal(r.status, 204);
    assert_slice_equal(header_of(&r, "Access-Control-Allow-Origin"), SLICE_LIT("*"));
    assert_slice_equal(header_of(&r, "Access-Control-Allow-Methods"), SLICE_LIT("OPTIONS, PATCH, PUT"));
    assert_slice_equal(header_of(&r, "Access-Control-Allow-Headers"), SLICE_LIT("*"));
    assert_int_equal(header_of(&r, "Access-Control-Allow-Credentials").len, 0);
    assert_int_equal(ask(mem, "OPTIONS /nowhere" REST ASKS_TO_PUT).status, 404);
    /* What goes well, what does not, and what is refused before its body. */
    for (size_t i = 0; i < 3; i++) {
        static const char *const HEADS[] = {"GET /ten" REST, "GET /nowhere" REST, "PUT /put" REST "X-Refuse: 1\r\n"};

        r = ask(mem, arena_printf(mem, "%sOrigin: https://page.test\r\n\r\n", HEADS[i]));
        assert_slice_equal(header_of(&r, "Access-Control-Allow-Origin"), SLICE_LIT("*"));
        assert_slice_equal(header_of(&r, "Access-Control-Expose-Headers"), SLICE_LIT("*"));
    }
    r = ask(mem, "GET /ten" REST "\r\n");
    assert_int_equal(header_of(&r, "Access-Control-Allow-Origin").len, 0);
}

static void ambiguous_heads_are_refused(void **state)
{
    static const char *const HEADS[] = {
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Content-Length: +4\r\n",
        "A : b\r\n",
        "A: b\r\n c\r\n",
        "Host: y\r\n",
        "A: b\x01\r\n",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(HEADS); i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
        Reply r = ask(mem, arena_printf(mem, "PUT /put" REST "%s\r\nbody", HEADS[i]));

        if (r.status != 400)
            fail_msg("%s: %d", HEADS[i], r.status);
    }
    assert_int_equal(seen.begins, 0);
}

/* --- uploads ----------------------------------------------------------------------------------------------------- */
static bool send_body(int fd, size_t count)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(PIECE_BYTES + 4096);
    char *piece = arena_alloc(mem, PIECE_BYTES, 1);

    memset(piece, 1, PIECE_BYTES);
    for (; count > 0; count -= MIN(count, (size_t)PIECE_BYTES))
        if (!say(fd, slice_of(piece, MIN(count, (size_t)PIECE_BYTES))))
            return false;
    return true;
}

static void large_uploads_arrive_whole(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    int fd = dial();
    Reply r;
    (void)state;

    assert_true(say(fd, slice(arena_printf(mem, "PUT /put" REST "Content-Length: %d\r\n\r\n", BIG_BYTES))));
    assert_true(send_body(fd, BIG_BYTES));
    r = hear(mem, fd, false, false);
    assert_int_equal(r.status, 201);
    assert_slice_equal(header_of(&r, "Upload-Offset"), SLICE_LIT("5"));
    assert_slice_equal(r.body, slice(arena_printf(mem, "%d", BIG_BYTES)));
    assert_int_equal(seen.sum, BIG_BYTES);
    assert_true(
        say(fd, SLICE_LIT("PATCH /put" REST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")));
    assert_slice_equal(hear(mem, fd, false, false).body, SLICE_LIT("5"));
    close(fd);
    wait_dones(2);
}

static void who_expects_continue_is_told_first(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    int fd = dial();
    Reply r;
    (void)state;

    assert_true(say(fd, SLICE_LIT("PUT /put" REST "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")));
    r = hear(mem, fd, true, false);
    assert_int_equal(r.status, 100);
    assert_int_equal(seen.begins, 1); /* before anything was sent */
    assert_true(say(fd, SLICE_LIT("body")));
    assert_int_equal(hear(mem, fd, false, false).status, 201);
    assert_true(
        say(fd, SLICE_LIT("PATCH /put" REST "X-Refuse: 1\r\nContent-Length: 4000000\r\nExpect: 100-continue\r\n\r\n")));
    r = hear(mem, fd, false, false);
    assert_int_equal(r.status, 409); /* instead of 100 */
    assert_slice_equal(header_of(&r, "Connection"), SLICE_LIT("close"));
    close(fd);
}

/* The client sends all of its body before it reads: the answer must not be lost in a reset. */
static void refusals_reach_who_still_sends(void **state)
{
    static const struct {
        const char *head;
        size_t body;
        int status;
        bool lives; /* the connection */
    } CASES[] = {
        {"PUT /put" REST "X-Refuse: 1\r\n", 1000, 409, true},
        {"PATCH /put" REST "X-Refuse: 1\r\n", 1000, 409, true},
        {"PUT /put" REST "X-Refuse: 1\r\n", 8 << 20, 409, false},
        {"PATCH /put" REST "X-Refuse: 1\r\n", 8 << 20, 409, false},
        {"PUT /put?max=1" REST, 8 << 20, 413, false},
        {"PUT /put?max=1" REST, 1001, 413, true},
        {"PUT /put" REST "X-Fail-Late: 1\r\n", 16 << 20, 507, false},
        {"PUT /nowhere" REST, 8 << 20, 404, false},
        {"GET /ten" REST, 8 << 20, 413, false},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
        int fd = dial();
        Reply r;

        assert_true(say(fd, slice(arena_printf(mem, "%sContent-Length: %zu\r\n\r\n", CASES[i].head, CASES[i].body))));
        (void)send_body(fd, CASES[i].body); /* may not be taken to its end */
        r = hear(mem, fd, false, false);
        if (r.status != CASES[i].status)
            fail_msg("%zu: %d", i, r.status);
        if (CASES[i].lives) {
            assert_true(say(fd, SLICE_LIT("GET /ten" REST "\r\n")));
            assert_int_equal(hear(mem, fd, false, false).status, 200);
        } else {
            assert_true(closes_within(fd, PATIENCE_MS));
        }
        close(fd);
    }
    assert_int_equal(seen.ends, 0);
}

static void a_body_in_chunks_has_limits_too(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    int fd = dial();
    Reply r;
    (void)state;

    assert_true(say(fd, SLICE_LIT("PUT /put?max=1" REST "Transfer-Encoding: chunked\r\n\r\n400000\r\n")));
    (void)send_body(fd, 0x400000);
    r = hear(mem, fd, false, false);
    assert_int_equal(r.status, 413);
    close(fd);
}

static void who_leaves_is_noticed(void **state)
{
    int fd = dial();
    (void)state;

    assert_true(say(fd, SLICE_LIT("PUT /put" REST "Content-Length: 100\r\n\r\nhalf")));
    close(fd);
    wait_dones(1);
    assert_int_equal(seen.outcome, BYTES_GONE);
    assert_int_equal(seen.received, 4);
    assert_int_equal(seen.ends, 0);
}

/* --- downloads --------------------------------------------------------------------------------------------------- */
static size_t read_to_end(int fd)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(PIECE_BYTES + 4096);
    char *piece = arena_alloc_raw(mem, PIECE_BYTES, 1);
    size_t total = 0;
    ssize_t n;

    while (readable(fd, PATIENCE_MS) && (n = recv(fd, piece, PIECE_BYTES, 0)) > 0)
        total += (size_t)n;
    return total;
}

static void files_go_out_whole_and_in_parts(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    int fd = dial();
    Reply r;
    (void)state;

    assert_int_equal(pwrite(w.big_fd, "needle", 6, 50 << 20), 6);
    assert_true(
        say(fd, slice(arena_printf(mem, "GET /big" REST "Range: bytes=%d-%d\r\n\r\n", 50 << 20, (50 << 20) + 5))));
    r = hear(mem, fd, false, false);
    assert_int_equal(r.status, 206);
    assert_slice_equal(r.body, SLICE_LIT("needle"));
    assert_true(say(fd, SLICE_LIT("GET /big" REST "Connection: close\r\n\r\n")));
    assert_true(read_to_end(fd) > BIG_BYTES);
    close(fd);
    wait_dones(2);
    assert_int_equal(seen.outcome, BYTES_SENT);
    assert_int_equal(seen.sent, BIG_BYTES);
}

static void what_went_out_to_who_left_is_counted(void **state)
{
    char piece[4096];
    int fd = dial();
    (void)state;

    assert_true(say(fd, SLICE_LIT("GET /big" REST "\r\n")));
    assert_true(recv(fd, piece, sizeof(piece), MSG_WAITALL) > 0);
    close(fd);
    wait_dones(1);
    assert_int_equal(seen.outcome, BYTES_GONE);
    assert_true(seen.sent > 0 && seen.sent < BIG_BYTES);
}

/* --- slow clients ------------------------------------------------------------------------------------------------ */
static void slow_clients_are_ended(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    BytesSettings settings = usual_settings();
    int head, body, rate, reader, idle, fresh;
    (void)state;

    settings.head_timeout_ms = 300;
    settings.idle_timeout_ms = 500;
    settings.min_rate_bytes = 1 << 20;
    restart_listener(settings);
    fresh = dial();
    head = dial(), body = dial(), rate = dial(), reader = dial(), idle = dial();
    assert_true(say(head, SLICE_LIT("GET /ten HTTP/1.1\r\nHos")));
    assert_true(say(body, SLICE_LIT("PUT /put" REST "Content-Length: 100\r\n\r\nhalf")));
    assert_true(say(rate, SLICE_LIT("PUT /put" REST "Content-Length: 100\r\n\r\n")));
    assert_true(say(reader, SLICE_LIT("GET /big" REST "\r\n")));
    assert_true(say(idle, SLICE_LIT("GET /ten" REST "\r\n")));
    for (int i = 0; i < 100 && say(rate, SLICE_LIT("x")) && !readable(rate, 100); i++)
        ;
    assert_int_equal(hear(mem, rate, false, false).status, 408);
    assert_int_equal(hear(mem, head, false, false).status, 408);
    assert_int_equal(hear(mem, body, false, false).status, 408);
    assert_int_equal(hear(mem, idle, false, false).status, 200);
    assert_true(closes_within(idle, PATIENCE_MS));
    assert_true(closes_within(fresh, PATIENCE_MS));
    wait_dones(4); /* the one that does not read, too */
    assert_true(read_to_end(reader) < BIG_BYTES);
    close(head), close(body), close(rate), close(reader), close(idle), close(fresh);
}

static void idle_connections_make_room(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    BytesSettings settings = usual_settings();
    int idle, more;
    (void)state;

    settings.connections_max = 1;
    restart_listener(settings);
    idle = dial();
    assert_true(say(idle, SLICE_LIT("GET /ten" REST "\r\n")));
    assert_int_equal(hear(mem, idle, false, false).status, 200);
    wait_dones(1);
    more = dial();
    assert_true(say(more, SLICE_LIT("GET /ten" REST "\r\n")));
    assert_int_equal(hear(mem, more, false, false).status, 200);
    assert_true(closes_within(idle, PATIENCE_MS));
    close(idle), close(more);
}

/* --- who asks ---------------------------------------------------------------------------------------------------- */
static const char LOGIN[] = "0191f5a0-0000-7000-8000-000000000001";

static char *sign_caller(Arena *mem, int64_t user_id)
{
    const char *audience[] = {"test"};
    const Caller caller = {.kind = CALLER_PERSON,
                           .user_id = user_id,
                           .role = ROLE_USER,
                           .username = "ann",
                           .login_id = LOGIN,
                           .expires_ms = clock_unix_ms(&SYSTEM_CLOCK) + 60000};

    return caller_sign(w.signer, mem, &caller, audience, 1);
}

static void callers_are_believed_by_their_signature(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    char *caller = sign_caller(mem, 7);
    BytesSettings settings = usual_settings();
    Reply r;
    (void)state;

    assert_int_equal(ask(mem, "GET /mine" REST "\r\n").status, 401);
    assert_int_equal(ask(mem, "GET /mine" REST "Atrium-Caller: forged.x\r\n\r\n").status, 401);
    r = ask(mem, arena_printf(mem, "GET /mine" REST "Atrium-Caller: %s\r\nAtrium-Client: 9.9.9.9\r\n\r\n", caller));
    assert_slice_equal(r.body, SLICE_LIT("GET||||7|9.9.9.9|0"));
    assert_int_equal(ask(mem, arena_printf(mem, "GET /admin" REST "Atrium-Caller: %s\r\n\r\n", caller)).status, 403);
    r = ask(mem, "GET /echo/x" REST "Atrium-Caller: forged.x\r\n\r\n"); /* OPTIONAL: as nobody */
    assert_slice_equal(r.body, SLICE_LIT("GET|x|||0|127.0.0.1|0"));
    settings.public_url = "https://bytes.example";
    restart_listener(settings);
    r = ask(mem, "GET /echo/x" REST "Atrium-Client: 9.9.9.9\r\n\r\n"); /* anyone could say so here */
    assert_slice_equal(r.body, SLICE_LIT("GET|x|||0|127.0.0.1|0"));
}

static void ended_logins_are_cut_and_refused(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    const Ticket ticket = {
        .kind = "get", .login_id = LOGIN, .resource = "big", .expires_ms = clock_unix_ms(&SYSTEM_CLOCK) + 60000};
    char *text, *caller = sign_caller(mem, 7), first[100];
    int by_ticket = dial(), by_caller = dial(), other = dial();
    int64_t began_ms;
    (void)state;

    assert_ok(ticket_sign(w.tickets, mem, &ticket, &text));
    assert_true(say(by_ticket, slice(arena_printf(mem, "GET /file/%s" REST "\r\n", text))));
    assert_true(say(by_caller, slice(arena_printf(mem, "GET /mine/big" REST "Atrium-Caller: %s\r\n\r\n", caller))));
    assert_true(say(other, SLICE_LIT("GET /big" REST "\r\n")));
    assert_int_equal(recv(by_ticket, first, sizeof(first), MSG_WAITALL), sizeof(first));
    assert_int_equal(recv(by_caller, first, sizeof(first), MSG_WAITALL), sizeof(first));
    assert_memory_equal(first, "HTTP/1.1 200", 12);
    began_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    revocations_add(w.revocations, login_key(slice(LOGIN)), clock_unix_ms(&SYSTEM_CLOCK) + 100000);
    wait_dones(2);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - began_ms < 5000); /* five times the promise */
    assert_int_equal(seen.outcome, BYTES_CUT);
    assert_true(read_to_end(by_ticket) < BIG_BYTES);
    assert_true(read_to_end(by_caller) < BIG_BYTES);
    assert_true(read_to_end(other) > BIG_BYTES - 1000 || seen.dones == 2);
    assert_int_equal(ask(mem, arena_printf(mem, "GET /file/%s" REST "\r\n", text)).status, 403);
    assert_int_equal(ask(mem, arena_printf(mem, "GET /mine" REST "Atrium-Caller: %s\r\n\r\n", caller)).status, 401);
    close(by_ticket), close(by_caller), close(other);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */
static void *drain(void *data)
{
    bytes_listener_drain(w.listener, *(int *)data);
    return NULL;
}

static void transfers_that_run_may_finish(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    int timeout_ms = PATIENCE_MS, fd = dial(), idle = dial();
    pthread_t thread;
    Reply r;
    (void)state;

    assert_true(say(fd, SLICE_LIT("PUT /put" REST "Content-Length: 8\r\n\r\nhalf")));
    for (int i = 0; i < PATIENCE_MS && !seen.begins; i++)
        poll(NULL, 0, 1);
    assert_int_equal(pthread_create(&thread, NULL, drain, &timeout_ms), 0);
    assert_true(closes_within(idle, PATIENCE_MS));
    assert_reason(bytes_listener_check(w.listener), &UNAVAILABLE);
    assert_true(say(fd, SLICE_LIT("half")));
    r = hear(mem, fd, false, false);
    assert_int_equal(r.status, 201);
    assert_slice_equal(header_of(&r, "Connection"), SLICE_LIT("close"));
    pthread_join(thread, NULL);
    assert_int_equal(seen.outcome, BYTES_SENT);
    close(fd), close(idle);
}

static void what_takes_too_long_is_cut(void **state)
{
    int fd = dial();
    (void)state;

    assert_true(say(fd, SLICE_LIT("PUT /put" REST "Content-Length: 8\r\n\r\nhalf")));
    for (int i = 0; i < PATIENCE_MS && !seen.begins; i++)
        poll(NULL, 0, 1);
    bytes_listener_drain(w.listener, 50);
    assert_int_equal(seen.dones, 1);
    assert_int_equal(seen.outcome, BYTES_CUT);
    close(fd);
}

/* --- handlers alone ---------------------------------------------------------------------------------------------- */
static void handlers_can_be_called_alone(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    const RequestHeader headers[] = {{"range", "bytes=2-4"}};
    Request rq = {
        .mem = mem, .clock = &SYSTEM_CLOCK, .headers = headers, .header_count = 1, .id = "", .client_address = ""};
    BytesReply r = bytes_call(&SERVICE, &rq, w.tickets, "GET", "/ten", SLICE_LIT(""), 0);
    (void)state;

    assert_int_equal(r.status, 206);
    assert_slice_equal(r.body, SLICE_LIT("234"));
    r = bytes_call(&SERVICE, &rq, w.tickets, "PUT", "/put", SLICE_LIT("abcde"), 2);
    assert_int_equal(r.status, 201);
    assert_slice_equal(r.body, SLICE_LIT("5"));
    assert_int_equal(seen.dones, 2);
    r = bytes_call(&SERVICE, &rq, w.tickets, "GET", "/mine", SLICE_LIT(""), 0);
    assert_reason(r.e, &UNAUTHENTICATED);
}

static void names_of_files_survive(void **state)
{
    static const struct {
        const char *name, *wanted;
    } CASES[] = {
        {"", "attachment"},
        {"day.mp4", "attachment; filename=\"day.mp4\""},
        {"a b", "attachment; filename=\"a b\""},
        {"d\xC3\xA4y", "attachment; filename=\"d_y\"; filename*=UTF-8''d%C3%A4y"},
        {"a\"b%c", "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%25c"},
        {"../a\r\nb\\c", "attachment; filename=\".._a__b_c\""},
        {"\xFF", "attachment"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_string_equal(bytes_disposition(mem, true, slice(CASES[i].name)), CASES[i].wanted);
    assert_string_equal(bytes_disposition(mem, false, SLICE_LIT("a")), "inline; filename=\"a\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(ranges_and_conditions_are_honoured),
        TEST(head_is_get_without_its_body),
        TEST(requests_follow_one_another),
        TEST(a_source_that_fails_breaks_off),
        TEST(errors_speak_the_dialect),
        TEST(pages_of_others_may_come_where_clients_come_straight),
        TEST(ambiguous_heads_are_refused),
        TEST(large_uploads_arrive_whole),
        TEST(who_expects_continue_is_told_first),
        TEST(refusals_reach_who_still_sends),
        TEST(a_body_in_chunks_has_limits_too),
        TEST(who_leaves_is_noticed),
        TEST(files_go_out_whole_and_in_parts),
        TEST(what_went_out_to_who_left_is_counted),
        TEST(slow_clients_are_ended),
        TEST(idle_connections_make_room),
        TEST(callers_are_believed_by_their_signature),
        TEST(ended_logins_are_cut_and_refused),
        TEST(transfers_that_run_may_finish),
        TEST(what_takes_too_long_is_cut),
        TEST(handlers_can_be_called_alone),
        TEST(names_of_files_survive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
