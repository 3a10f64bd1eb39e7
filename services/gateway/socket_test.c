/* Tests of the live edge in one process: raw bytes of RFC 6455 over TCP on one side, a service of a few lines on the
 * bus on the other. Handshakes, requests, and who it is; what the service does is said in the frames that it gets. */
#include <poll.h>
#include <unistd.h>

#include "services/gateway/socket_fixture.h"
#include "shared/bus_testing.h"

/* --- handshakes --------------------------------------------------------------------------------------------------- */
static void handshakes_are_those_of_the_rfc(void **state)
{
    char head[4096];
    int fd = open_connection();
    (void)state;

    assert_int_equal(
        shake_hands(fd, "/talk?a=1&b=2", UPGRADE "Sec-WebSocket-Protocol: other, talk.v2, talk.v1\r\n", head, 4096),
        101);
    assert_non_null(strcasestr(head, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_non_null(strcasestr(head, "\r\nSec-WebSocket-Protocol: talk.v2\r\n"));
    assert_non_null(strcasestr(head, "\r\nUpgrade: websocket\r\n"));
    assert_non_null(strcasestr(head, "\r\nConnection: Upgrade\r\n"));
    expect_text(fd, "hello a=1&b=2 0");
    close_with(fd, 1000);
}

static void other_requests_are_refused(void **state)
{
    static const struct {
        const char *target, *headers;
        int status;
    } CASES[] = {
        {"/talk", "", 426},
        {"/few", "", 400},
        {"/talk", "Upgrade: h2c\r\nConnection: Upgrade\r\n", 426},
        {"/talk", "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
         426},
        {"/talk",
         "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Version: 8\r\n",
         426},
        {"/talk", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n", 400},
        {"/talk",
         "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n", 400},
        {"/talk", UPGRADE "Origin: http://evil.example\r\n", 403},
        {"/private", UPGRADE, 401},
        {"/private?token=nobodys", UPGRADE, 401},
    };
    char head[4096];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(refused(CASES[i].target, CASES[i].headers, head, sizeof(head)), CASES[i].status);
        if (CASES[i].status == 426)
            assert_non_null(strcasestr(head, "\r\nSec-WebSocket-Version: 13\r\n"));
    }
}

static void known_origins_may_connect(void **state)
{
    int fd = open_socket("/talk", "Origin: http://good.example\r\n");
    (void)state;

    close_with(fd, 1000);
    fd = open_socket("/talk", "Origin: http://t\r\n"); /* a page of ours */
    close_with(fd, 1000);
}

static void credentials_of_the_handshake_count(void **state)
{
    char target[128], header[128];
    int fd;
    (void)state;

    snprintf(target, sizeof(target), "/private?token=%s", OPAQUE);
    fd = open_socket(target, "");
    snprintf(target, sizeof(target), "hello token=%s 42", OPAQUE);
    expect_text(fd, target);
    send_text(fd, "who");
    expect_text(fd, "42");
    close_with(fd, 1000);
    snprintf(header, sizeof(header), "Authorization: Bearer %s\r\n", OPAQUE);
    fd = open_socket("/private", header);
    expect_text(fd, "hello - 42");
    close_with(fd, 1000);
}

/* --- requests ------------------------------------------------------------------------------------------------------
 */
static void frames_are_answered_in_order_with_state(void **state)
{
    int fd = open_talk();
    (void)state;

    send_text(fd, "echo \303\251");
    send_text(fd, "more");
    send_text(fd, "more");
    send_frame(fd, 0x82, SLICE_LIT("length"));
    expect_text(fd, "\303\251");
    expect_text(fd, "s");
    expect_text(fd, "sx");
    expect_text(fd, "6 1");
    send_text(fd, "word");
    expect_text(fd, "{\"text\":\"w\",\"n\":7}");
    send_text(fd, "wake");
    expect_text(fd, "woke");
    close_with(fd, 3000);
    assert_string_equal(heard.state, "sxx");
    assert_true(atomic_load(&heard.leases) >= 1);
}

static void frames_of_the_first_packet_are_not_lost(void **state)
{
    char text[1024], head[4096];
    static const uint8_t FRAME[] = {0x81, 0x86, 0, 0, 0, 0, 'e', 'c', 'h', 'o', ' ', '1'};
    int fd = open_connection(), len = snprintf(text, sizeof(text), "GET /talk HTTP/1.1\r\nHost: t\r\n" UPGRADE "\r\n");
    (void)state;

    memcpy(text + len, FRAME, sizeof(FRAME));
    send_bytes(fd, text, (size_t)len + sizeof(FRAME));
    assert_int_equal(read_head(fd, head, sizeof(head)), 101);
    expect_text(fd, "hello - 0");
    expect_text(fd, "1");
    close_with(fd, 1000);
}

static void the_service_closes(void **state)
{
    int fd = open_talk(), closed = atomic_load(&heard.closed);
    (void)state;

    send_text(fd, "close");
    expect_text(fd, "last words");
    expect_close(fd, 4001);
    assert_string_equal(got.text + 2, "you said so");
    send_frame(fd, 0x88, SLICE_LIT("\x0f\xa1"));
    expect_end(fd);
    wait_until(&heard.closed, closed + 1);
    wait_for_code(4001);
}

static void a_client_that_vanishes_is_closed_with_1006(void **state)
{
    int fd = open_talk(), closed = atomic_load(&heard.closed);
    (void)state;

    send_text(fd, "more");
    expect_text(fd, "s");
    close(fd);
    wait_until(&heard.closed, closed + 1);
    wait_for_code(1006);
    assert_string_equal(heard.state, "sx");
}

static void what_was_said_before_a_close_is_heard(void **state)
{
    int fd = open_talk(), frames = atomic_load(&heard.frames);
    (void)state;

    send_text(fd, "more");
    send_text(fd, "more");
    close_with(fd, 1001);
    assert_int_equal(atomic_load(&heard.frames), frames + 2);
    assert_string_equal(heard.state, "sxx");
}

static void failures_of_the_service_close(void **state)
{
    static const struct {
        const char *frame;
        int code;
    } CASES[] = {{"fail", 1011}, {"broken", 1011}, {"silent", 1011}, {"nonsense", 1011}, {"huge-state", 1011}};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        int fd = open_talk();

        send_text(fd, CASES[i].frame);
        expect_close(fd, CASES[i].code);
        close(fd);
    }
}

static void a_busy_service_is_asked_again(void **state)
{
    int fd = open_talk();
    (void)state;

    atomic_store(&heard.refusals, 0);
    send_text(fd, "busy");
    expect_text(fd, "done");
    assert_int_equal(atomic_load(&heard.refusals), 3);
    close_with(fd, 1000);
}

/* An instance dies and another comes: the connection does not notice. */
static void nobody_there_for_a_while_is_waited_for(void **state)
{
    int fd = open_talk();
    (void)state;

    bus_unsubscribe(f.subs[--f.sub_count]);
    natsConnection_Flush(f.nc);
    send_text(fd, "more");
    send_text(fd, "more");
    assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 200), 0);
    edge_serve("talktest.v1.Talk", serve_talk);
    expect_text(fd, "s");
    expect_text(fd, "sx");
    close_with(fd, 1000);
}

/* While the service thinks, messages wait, and then the client. */
/* In the loop's thread. */
static void look_at_held(void *data)
{
    *(int64_t *)data = ((Gateway *)f.context)->sockets->held_bytes;
}

static void reading_pauses_while_the_service_is_asked(void **state)
{
    static char text[3000];
    int fd = open_talk(), frames = atomic_load(&heard.frames);
    int64_t held_bytes = 0;
    (void)state;

    memset(text, 'x', sizeof(text) - 1);
    send_text(fd, "hold");
    wait_until(&heard.frames, frames + 1);
    for (int i = 0; i < 60; i++)
        send_text(fd, text);
    loop_call(((Gateway *)f.context)->loop, look_at_held, &held_bytes);
    assert_true(held_bytes < (SOCKET_WAITING_MAX + 4) * 4096);
    release_held();
    expect_text(fd, "held");
    for (int i = 0; i < 60; i++)
        expect_text(fd, "done");
    close_with(fd, 1000);
}

/* --- who it is -----------------------------------------------------------------------------------------------------
 */
static void tokens_in_frames_are_verified(void **state)
{
    char text[128];
    int fd = open_talk();
    (void)state;

    send_text(fd, "login nobodys");
    expect_text(fd, "2 0");
    snprintf(text, sizeof(text), "login %s", OPAQUE);
    send_text(fd, text);
    expect_text(fd, "1 42");
    send_text(fd, "who");
    expect_text(fd, "42");
    close_with(fd, 1000);
}

static void logins_are_counted_as_handshakes_are(void **state)
{
    char text[128], head[4096];
    int fd = open_socket("/rated", ""), other = open_socket("/rated", "");
    (void)state;

    assert_int_equal(refused("/rated", UPGRADE, head, sizeof(head)), 429);
    snprintf(text, sizeof(text), "login %s", OPAQUE);
    send_text(fd, text);
    send_text(fd, text);
    send_text(fd, text);
    expect_text(fd, "hello - 0");
    expect_text(fd, "1 42");
    expect_text(fd, "1 42");
    expect_close(fd, 4008);
    close(fd);
    expect_text(other, "hello - 0");
    send_text(other, text); /* the same user's */
    expect_close(other, 4008);
    close(other);
}

static void wait_past(int64_t unix_ms)
{
    while (clock_unix_ms(&SYSTEM_CLOCK) <= unix_ms)
        usleep(1000);
}

/* While its login lasts. */
static void a_connection_outlives_its_token(void **state)
{
    int fd = open_talk();
    (void)state;

    send_text(fd, "login brief");
    expect_text(fd, "1 42");
    wait_past(clock_unix_ms(&SYSTEM_CLOCK) + BRIEF_MS);
    send_text(fd, "who");
    expect_text(fd, "42");
    close_with(fd, 1000);
    fd = open_talk();
    send_text(fd, "login doomed");
    expect_text(fd, "1 42");
    wait_past(clock_unix_ms(&SYSTEM_CLOCK) + BRIEF_MS);
    send_text(fd, "who");
    expect_close(fd, 4004);
    close(fd);
}

static void an_ended_login_cuts_within_a_second(void **state)
{
    char text[128];
    Gateway *g = f.context;
    int fd = open_talk();
    int64_t begin_ms;
    (void)state;

    snprintf(text, sizeof(text), "login %s", OPAQUE);
    send_text(fd, text);
    expect_text(fd, "1 42");
    begin_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    revocations_add(g->revocations, login_key(slice(LOGIN)), clock_unix_ms(&SYSTEM_CLOCK) + 1500);
    expect_close(fd, 4004);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - begin_ms < 5000);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(handshakes_are_those_of_the_rfc, settle),
        cmocka_unit_test_setup(other_requests_are_refused, settle),
        cmocka_unit_test_setup(known_origins_may_connect, settle),
        cmocka_unit_test_setup(credentials_of_the_handshake_count, settle),
        cmocka_unit_test_setup(frames_are_answered_in_order_with_state, settle),
        cmocka_unit_test_setup(frames_of_the_first_packet_are_not_lost, settle),
        cmocka_unit_test_setup(the_service_closes, settle),
        cmocka_unit_test_setup(a_client_that_vanishes_is_closed_with_1006, settle),
        cmocka_unit_test_setup(what_was_said_before_a_close_is_heard, settle),
        cmocka_unit_test_setup(failures_of_the_service_close, settle),
        cmocka_unit_test_setup(a_busy_service_is_asked_again, settle),
        cmocka_unit_test_setup(nobody_there_for_a_while_is_waited_for, settle),
        cmocka_unit_test_setup(reading_pauses_while_the_service_is_asked, settle),
        cmocka_unit_test_setup(tokens_in_frames_are_verified, settle),
        cmocka_unit_test_setup(logins_are_counted_as_handshakes_are, settle),
        cmocka_unit_test_setup(a_connection_outlives_its_token, settle),
        cmocka_unit_test_setup(an_ended_login_cuts_within_a_second, settle),
    };

    return cmocka_run_group_tests(tests, start_all, edge_stop);
}
