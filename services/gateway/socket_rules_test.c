/* Tests of the live edge: the framing rules of RFC 6455, limits, attached streams, and the end. */
#include <sys/socket.h>
#include <unistd.h>

#include "services/gateway/socket_fixture.h"
#include "shared/bus_testing.h"

/* --- the framing rules ---------------------------------------------------------------------------------------------
 */
typedef struct Rule {
    const char *name;
    uint8_t bytes[24];
    size_t len;
    int code;
} Rule;
#define BYTES(...) {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void broken_frames_are_told_why(void **state)
{
    static const Rule RULES[] = {
        {"not masked", BYTES(0x81, 0x01, 'a'), 1002},
        {"reserved bit", BYTES(0xc1, 0x80, 0, 0, 0, 0), 1002},
        {"reserved opcode", BYTES(0x83, 0x80, 0, 0, 0, 0), 1002},
        {"reserved control opcode", BYTES(0x8b, 0x80, 0, 0, 0, 0), 1002},
        {"continuation of nothing", BYTES(0x80, 0x80, 0, 0, 0, 0), 1002},
        {"text within fragments", BYTES(0x01, 0x81, 0, 0, 0, 0, 'a', 0x81, 0x81, 0, 0, 0, 0, 'b'), 1002},
        {"control frame in fragments", BYTES(0x09, 0x80, 0, 0, 0, 0), 1002},
        {"control frame too long", BYTES(0x89, 0xfe, 0, 126, 0, 0, 0, 0), 1002},
        {"length longer than it must be", BYTES(0x81, 0xfe, 0, 1, 0, 0, 0, 0, 'a'), 1002},
        {"length with the highest bit", BYTES(0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0), 1002},
        {"not UTF-8", BYTES(0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28), 1007},
        {"half a letter at the end", BYTES(0x81, 0x81, 0, 0, 0, 0, 0xc3), 1007},
        {"surrogate", BYTES(0x81, 0x83, 0, 0, 0, 0, 0xed, 0xa0, 0x80), 1007},
        {"close with one byte", BYTES(0x88, 0x81, 0, 0, 0, 0, 3), 1002},
        {"close with a code that is none", BYTES(0x88, 0x82, 0, 0, 0, 0, 3, 0xed), 1002},
        {"close with a reason that is not UTF-8", BYTES(0x88, 0x83, 0, 0, 0, 0, 3, 0xe8, 0xff), 1007},
        {"too long", BYTES(0x81, 0xfe, 0x10, 0x01, 0, 0, 0, 0, 'a'), 1009},
        {"far too long", BYTES(0x82, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'a'), 1009},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(RULES); i++) {
        int fd = open_talk(), closed = atomic_load(&heard.closed);

        print_message("%s\n", RULES[i].name);
        send_bytes(fd, RULES[i].bytes, RULES[i].len);
        expect_close(fd, RULES[i].code);
        close(fd);
        wait_until(&heard.closed, closed + 1);
    }
}

static void a_close_in_pieces_is_looked_at_as_a_whole(void **state)
{
    static const uint8_t CLOSE[] = {0x88, 0x85, 0, 0, 0, 0, 3, 0xe8, 'a', 0xff, 'b'};
    int fd = open_talk();
    (void)state;

    for (size_t i = 0; i < sizeof(CLOSE); i++) {
        send_bytes(fd, CLOSE + i, 1);
        usleep(2000); /* so that most pieces come by themselves */
    }
    expect_close(fd, 1007);
    close(fd);
}

static void fragments_and_control_frames_between_them(void **state)
{
    int fd = open_talk();
    char letter[] = "echo \303";
    (void)state;

    send_frame(fd, 0x01, slice(letter)); /* a letter in two fragments */
    send_frame(fd, 0x89, SLICE_LIT("are you there"));
    assert_int_equal(read_frame(fd)->opcode, 10);
    assert_string_equal(got.text, "are you there");
    send_frame(fd, 0x00, SLICE_LIT(""));
    send_frame(fd, 0x8a, SLICE_LIT("a pong that nobody asked for"));
    send_frame(fd, 0x80, SLICE_LIT("\251"));
    expect_text(fd, "\303\251");
    send_frame(fd, 0x81, SLICE_LIT(""));
    expect_text(fd, "done");
    /* Byte by byte. */
    static const uint8_t SLOW[] = {0x81, 0x86, 1, 2, 3, 4, 'e' ^ 1, 'c' ^ 2, 'h' ^ 3, 'o' ^ 4, ' ' ^ 1, 'z' ^ 2};
    for (size_t i = 0; i < sizeof(SLOW); i++)
        send_bytes(fd, SLOW + i, 1);
    expect_text(fd, "z");
    send_frame(fd, 0x88, SLICE_LIT("")); /* no code */
    assert_int_equal(read_frame(fd)->opcode, 8);
    expect_end(fd);
}

static void the_longest_message_may_come_in_pieces(void **state)
{
    static char text[MAX_FRAME];
    int fd = open_talk();
    (void)state;

    memset(text, 'x', sizeof(text));
    send_frame(fd, 0x01, SLICE_LIT("length "));
    send_frame(fd, 0x00, slice_of(text, 2000));
    send_frame(fd, 0x80, slice_of(text, MAX_FRAME - 2007));
    expect_text(fd, "4096 0");
    send_frame(fd, 0x01, slice_of(text, 4000));
    send_frame(fd, 0x80, slice_of(text, 97));
    expect_close(fd, 1009);
    close(fd);
}

static void too_many_frames_close(void **state)
{
    int fd = open_socket("/few", "");
    (void)state;

    expect_text(fd, "hello - 0");
    for (int i = 0; i < 6; i++)
        send_text(fd, "x");
    expect_close(fd, 4008);
    close(fd);
    fd = open_socket("/few", "");
    for (int i = 0; i < 5 * SOCKET_RAW_FRAMES_FACTOR + 1; i++)
        send_frame(fd, 0x89, SLICE_LIT(""));
    expect_close(fd, 4008);
    close(fd);
}

/* Of the only connection; in the loop's thread. */
static void look_at_phase(void *data)
{
    const Gateway *g = f.context;

    *(SocketPhase *)data = g->sockets->list ? g->sockets->list->phase : SOCKET_GONE;
}

static void wait_for_phase(SocketPhase wanted)
{
    SocketPhase phase = SOCKET_OPEN;

    WAIT_UNTIL((loop_call(((Gateway *)f.context)->loop, look_at_phase, &phase), phase == wanted));
}

/* --- limits ----------------------------------------------------------------------------------------------------------
 */
static void who_does_not_read_is_closed(void **state)
{
    int fd = open_connection(), small = 65536, closed = atomic_load(&heard.closed);
    char head[4096];
    (void)state;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_int_equal(shake_hands(fd, "/talk", UPGRADE, head, sizeof(head)), 101);
    for (int i = 0; i < 80; i++)
        send_text(fd, "big 100000");
    wait_for_phase(SOCKET_CLOSING);
    expect_close(fd, 4010);
    close(fd);
    wait_until(&heard.closed, closed + 1);
    wait_for_code(4010);
}

static void one_long_frame_always_fits(void **state)
{
    int fd = open_talk();
    (void)state;

    send_text(fd, "big 250000");
    assert_int_equal(read_frame(fd)->len, 250000);
    close_with(fd, 1000);
}

static void an_address_has_so_many_and_no_more(void **state)
{
    int fds[8], closed;
    char head[4096];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = open_talk();
    assert_int_equal(refused("/talk", UPGRADE, head, sizeof(head)), 429);
    closed = atomic_load(&heard.closed);
    assert_int_equal(refused("/talk", UPGRADE "X-Forwarded-For: 192.0.2.1\r\n", head, sizeof(head)), 101);
    wait_until(&heard.closed, closed + 1);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close_with(fds[i], 1000);
}

/* In the loop's thread, which reads them. */
static void set_patience(void *data)
{
    const int64_t *patience = data; /* until a ping, until the end */

    f.settings.socket_ping_ms = patience[0];
    f.settings.socket_silence_ms = patience[1];
}

static void silent_clients_are_pinged_and_then_cut(void **state)
{
    Loop *loop = ((Gateway *)f.context)->loop;
    int fd = open_talk(), closed;
    (void)state;

    loop_call(loop, set_patience, (int64_t[]){100, 120000});
    assert_int_equal(read_frame(fd)->opcode, 9);
    send_frame(fd, 0x8a, SLICE_LIT(""));
    assert_int_equal(read_frame(fd)->opcode, 9);
    closed = atomic_load(&heard.closed);
    loop_call(loop, set_patience, (int64_t[]){100, 300});
    expect_close(fd, 4009);
    expect_end(fd);
    wait_until(&heard.closed, closed + 1);
    wait_for_code(4009);
    loop_call(loop, set_patience, (int64_t[]){60000, 120000});
}

/* --- attached streams
 * ------------------------------------------------------------------------------------------------- */
static void streams_are_attached(void **state)
{
    int fd = open_talk();
    (void)state;

    send_text(fd, "attach a");
    expect_text(fd, "<{\"n\":1}>");
    expect_text(fd, "<{\"n\":2}>");
    expect_text(fd, "<{\"n\":3}>");
    expect_text(fd, "ended a 0");
    send_text(fd, "attach-nothing b");
    expect_text(fd, "ended b 1");
    close_with(fd, 1000);
}

/* --- the end -------------------------------------------------------------------------------------------------------
 */
static void drain_now(void *data)
{
    sockets_drain(((Gateway *)data)->sockets);
}

/* The last test: nothing is accepted any more. */
static void a_farewell_before_the_end(void **state)
{
    int fd = open_talk(), closed = atomic_load(&heard.closed);
    char head[4096];
    Gateway *g = f.context;
    (void)state;

    loop_post(g->loop, drain_now, g);
    expect_text(fd, "good-bye");
    expect_close(fd, 1001);
    send_frame(fd, 0x88, SLICE_LIT("\3\351"));
    expect_end(fd);
    wait_until(&heard.closed, closed + 1);
    assert_int_equal(refused("/talk", UPGRADE, head, sizeof(head)), 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(broken_frames_are_told_why, settle),
        cmocka_unit_test_setup(a_close_in_pieces_is_looked_at_as_a_whole, settle),
        cmocka_unit_test_setup(fragments_and_control_frames_between_them, settle),
        cmocka_unit_test_setup(the_longest_message_may_come_in_pieces, settle),
        cmocka_unit_test_setup(too_many_frames_close, settle),
        cmocka_unit_test_setup(who_does_not_read_is_closed, settle),
        cmocka_unit_test_setup(one_long_frame_always_fits, settle),
        cmocka_unit_test_setup(an_address_has_so_many_and_no_more, settle),
        cmocka_unit_test_setup(silent_clients_are_pinged_and_then_cut, settle),
        cmocka_unit_test_setup(streams_are_attached, settle),
        cmocka_unit_test_setup(a_farewell_before_the_end, settle),
    };

    return cmocka_run_group_tests(tests, start_all, edge_stop);
}
