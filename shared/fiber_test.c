/* Tests of fiber: starting, parking, waking, descriptors, and that fibers do not touch what is not theirs. */
#include "shared/fiber.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/log.h"
#include "shared/testing.h"

enum { TURN_MS = 20, MANY = 100 };

typedef struct World {
    Loop *loop;
    Fibers *fibers;
    char text[256]; /* what happened, in order */
    size_t len;
    Fiber *parked;
    int fd;
    int64_t deadline_ms;
    bool in_time;
} World;

static void note(World *w, char c)
{
    if (w->len < sizeof w->text - 1)
        w->text[w->len++] = c;
}

static int open_world(void **state)
{
    World *w = xcalloc(1, sizeof *w);

    w->loop = loop_new();
    w->fibers = fibers_new(w->loop, MANY);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    World *w = *state;

    fibers_free(w->fibers);
    loop_free(w->loop);
    free(w);
    return 0;
}

static void turn_until_idle(World *w)
{
    for (int i = 0; i < 500 && fibers_running(w->fibers) > 0; i++)
        loop_turn(w->loop, TURN_MS);
    assert_int_equal(fibers_running(w->fibers), 0);
}

static void park_once(void *data)
{
    World *w = data;

    note(w, 'a');
    w->parked = fiber_current();
    w->in_time = fiber_park(w->deadline_ms);
    note(w, 'z');
}

static void a_parked_fiber_lets_the_loop_go_on_until_it_is_woken(void **state)
{
    World *w = *state;

    w->deadline_ms = -1;
    assert_null(fiber_current());
    assert_true(fibers_start(w->fibers, park_once, w));
    assert_null(fiber_current());
    note(w, 'b');
    loop_turn(w->loop, 0);
    assert_int_equal(fibers_running(w->fibers), 1);
    fiber_wake(w->parked);
    note(w, 'c');
    turn_until_idle(w);
    assert_string_equal(w->text, "abcz");
    assert_true(w->in_time);
}

static void park_after_waking(void *data)
{
    World *w = data;

    fiber_wake(fiber_current());
    w->in_time = fiber_park(-1);
    note(w, 'z');
}

static void a_wake_up_that_comes_first_is_not_lost(void **state)
{
    World *w = *state;

    assert_true(fibers_start(w->fibers, park_after_waking, w));
    assert_string_equal(w->text, "z");
    assert_true(w->in_time);
    loop_turn(w->loop, 0); /* the wake-up was posted: it finds nothing to do */
}

static void a_deadline_ends_the_wait(void **state)
{
    World *w = *state;

    w->deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + 30;
    assert_true(fibers_start(w->fibers, park_once, w));
    turn_until_idle(w);
    assert_false(w->in_time);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) >= w->deadline_ms);
}

static void *wake_from_elsewhere(void *data)
{
    fiber_wake(data);
    return NULL;
}

static void another_thread_may_wake(void **state)
{
    World *w = *state;
    pthread_t thread;

    w->deadline_ms = -1;
    assert_true(fibers_start(w->fibers, park_once, w));
    assert_int_equal(pthread_create(&thread, NULL, wake_from_elsewhere, w->parked), 0);
    turn_until_idle(w);
    pthread_join(thread, NULL);
    assert_string_equal(w->text, "az");
}

static void wait_for_descriptor(void *data)
{
    World *w = data;
    char c = '!';

    w->in_time = fiber_wait_fd(w->fd, EPOLLIN, w->deadline_ms);
    if (w->in_time && read(w->fd, &c, 1) == 1)
        note(w, c);
}

static void a_fiber_waits_for_a_descriptor(void **state)
{
    World *w = *state;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    w->fd = ends[0];
    w->deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + 5000;
    assert_true(fibers_start(w->fibers, wait_for_descriptor, w));
    loop_turn(w->loop, 0);
    assert_int_equal(fibers_running(w->fibers), 1);
    assert_int_equal(write(ends[1], "x", 1), 1);
    turn_until_idle(w);
    assert_string_equal(w->text, "x");
    w->deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + 20;
    assert_true(fibers_start(w->fibers, wait_for_descriptor, w));
    turn_until_idle(w);
    assert_false(w->in_time);
    close(ends[0]);
    close(ends[1]);
}

static void block(void *data)
{
    World *w = data;

    usleep(20 * 1000);
    w->in_time = fiber_current() == NULL; /* in a thread */
}

static void run_what_blocks(void *data)
{
    World *w = data;

    fiber_run_blocking(block, w);
    note(w, 'z');
}

static void what_blocks_runs_beside_the_loop(void **state)
{
    World *w = *state;

    assert_true(fibers_start(w->fibers, run_what_blocks, w));
    note(w, 'a'); /* meanwhile */
    turn_until_idle(w);
    assert_string_equal(w->text, "az");
    assert_true(w->in_time);
}

typedef struct Counter {
    World *world;
    int number, rounds;
    bool mixed_up;
} Counter;

static void count_with_others(void *data)
{
    Counter *c = data;
    volatile char frame[8192]; /* on this stack, and nobody else's */
    char id[16];

    snprintf(id, sizeof id, "%d", c->number);
    log_set_context(id, id, id);
    memset((char *)frame, c->number, sizeof frame);
    for (; c->rounds < 5; c->rounds++) {
        LogContext now;

        (void)fiber_park(clock_monotonic_ms(&SYSTEM_CLOCK) + 1 + c->number % 3);
        log_save_context(&now);
        c->mixed_up |= now.request_id != id || frame[0] != (char)c->number || frame[8191] != (char)c->number;
    }
}

static void many_fibers_keep_their_stacks_and_log_contexts_apart(void **state)
{
    World *w = *state;
    Counter counters[MANY];
    LogContext now;

    for (int i = 0; i < MANY; i++) {
        counters[i] = (Counter){.world = w, .number = i};
        assert_true(fibers_start(w->fibers, count_with_others, &counters[i]));
    }
    assert_false(fibers_start(w->fibers, count_with_others, &counters[0])); /* as many as there may be */
    log_save_context(&now);
    assert_null(now.request_id);
    turn_until_idle(w);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(counters[i].rounds, 5);
        assert_false(counters[i].mixed_up);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        CASE(a_parked_fiber_lets_the_loop_go_on_until_it_is_woken),
        CASE(a_wake_up_that_comes_first_is_not_lost),
        CASE(a_deadline_ends_the_wait),
        CASE(another_thread_may_wake),
        CASE(a_fiber_waits_for_a_descriptor),
        CASE(what_blocks_runs_beside_the_loop),
        CASE(many_fibers_keep_their_stacks_and_log_contexts_apart),
    };

    return RUN(tests);
}
