/* Tests of the data plane: bodies both ways, slow clients, who asks, and the end of a listener. */
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/bytes_fixture.h"

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
    assert_true(say(other, SLICE_LIT("GET /big" REST "Connection: close\r\n\r\n")));
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
    assert_true(read_to_end(other) > BIG_BYTES);
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
    WAIT_UNTIL(seen.begins);
    assert_int_equal(pthread_create(&thread, NULL, drain, &timeout_ms), 0);
    assert_true(closes_within(idle, PATIENCE_MS));
    WAIT_UNTIL(bytes_listener_check(w.listener).reason == &UNAVAILABLE);
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
    WAIT_UNTIL(seen.begins);
    bytes_listener_drain(w.listener, 50);
    assert_int_equal(seen.dones, 1);
    assert_int_equal(seen.outcome, BYTES_CUT);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };

    return RUN(tests);
}
