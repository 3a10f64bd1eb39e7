/* bytes_fixture: see bytes_fixture.h. */
#include "shared/bytes_fixture.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atrium/options.pb-c.h"

enum { REPLY_MAX_BYTES = 8 << 20 };

static const char SEED[] = "1111111111111111111111111111111111111111111111111111111111111111";
static const char ETAG[] = "v1";
enum { TEN_MODIFIED_MS = 784111777 }; /* in seconds: Sun, 06 Nov 1994 08:49:37 GMT */

World w;
Seen seen;

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
const BytesService SERVICE = {"atrium.test.v1.TestService", "test", ROWS, ARRAY_LEN(ROWS)};
static const BytesService *const SERVICES[] = {&SERVICE};

/* --- the listener ------------------------------------------------------------------------------------------------ */
BytesSettings usual_settings(void)
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

void restart_listener(BytesSettings settings)
{
    bytes_listener_stop(w.listener);
    w.listener = NULL;
    start_listener(settings);
}

int set_up(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    char *public_key;
    (void)state;

    signal(SIGPIPE, SIG_IGN);
    memset(&seen, 0, sizeof(seen));
    w = (World){.metrics = metrics_new(), .tickets = ticket_keys_random()};
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

int tear_down(void **state)
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
int dial(void)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)bytes_listener_port(w.listener)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, timeout_ms) > 0;
}

bool say(int fd, Slice text)
{
    while (text.len) {
        ssize_t n = send(fd, text.ptr, text.len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        text = slice_skip(text, (size_t)n);
    }
    return true;
}

Slice header_of(const Reply *r, const char *name)
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

Reply hear(Arena *mem, int fd, bool is_head, bool until_close)
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

Reply ask(Arena *mem, const char *request)
{
    int fd = dial();
    Reply r;

    assert_true(say(fd, slice(request)));
    r = hear(mem, fd, strncmp(request, "HEAD", 4) == 0, false);
    close(fd);
    return r;
}

void wait_dones(int count)
{
    WAIT_UNTIL(seen.dones >= count);
    assert_int_equal(seen.dones, count);
}

bool closes_within(int fd, int ms)
{
    char waste[65536];

    for (int64_t end = clock_monotonic_ms(&SYSTEM_CLOCK) + ms; clock_monotonic_ms(&SYSTEM_CLOCK) < end;)
        if (readable(fd, 10) && recv(fd, waste, sizeof(waste), 0) <= 0)
            return true;
    return false;
}

size_t read_to_end(int fd)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(PIECE_BYTES + 4096);
    char *piece = arena_alloc_raw(mem, PIECE_BYTES, 1);
    size_t total = 0;
    ssize_t n;

    while (readable(fd, PATIENCE_MS) && (n = recv(fd, piece, PIECE_BYTES, 0)) > 0)
        total += (size_t)n;
    return total;
}
