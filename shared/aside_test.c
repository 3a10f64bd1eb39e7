/* Tests of computations aside. The process aside is this executable, too. */
#include "shared/aside.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/clock.h"
#include "shared/testing.h"

enum { TIMEOUT_MS = 30000, BRIEF_MS = 300 };

/* What is asked for: a letter, and after it what the letter needs. */
static size_t compute(Slice in, uint8_t out[ASIDE_BYTES_MAX])
{
    switch (in.ptr[0]) {
    case 'r': /* reversed */
        for (size_t i = 1; i < in.len; i++)
            out[i - 1] = (uint8_t)in.ptr[in.len - i];
        return in.len - 1;
    case 'p': /* who computes, in which session, beside how much of an environment */
        return (size_t)snprintf((char *)out, ASIDE_BYTES_MAX, "%d %d %d", (int)getpid(), (int)getsid(0),
                                environ && environ[0] ? 1 : 0);
    case 'f': /* for ever */
        for (;;)
            pause();
    case 'e':
        _exit(3);
    default:
        return 0;
    }
}

static Err run(Aside *aside, const char *in, int64_t timeout_ms, Arena *mem, Slice *out)
{
    return aside_run(aside, clock_monotonic_ms(&SYSTEM_CLOCK) + timeout_ms, slice(in), mem, out);
}

typedef struct World {
    Arena *mem;
    Aside *aside;
} World;

static int open_world(void **state)
{
    World *w = xcalloc(1, sizeof *w);

    w->mem = arena_new(4096);
    w->aside = aside_new(&(AsideOptions){.processes = 2, .patience_ms = BRIEF_MS});
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    World *w = *state;

    aside_free(w->aside);
    arena_free(w->mem);
    free(w);
    return 0;
}

static void what_goes_in_comes_out_computed(void **state)
{
    World *w = *state;
    char *longest = ARENA_ARRAY(w->mem, char, ASIDE_BYTES_MAX + 1);
    Slice out;

    assert_ok(run(w->aside, "rabc", TIMEOUT_MS, w->mem, &out));
    assert_slice_equal(out, SLICE_LIT("cba"));
    memset(longest, 'r', ASIDE_BYTES_MAX);
    assert_ok(run(w->aside, longest, TIMEOUT_MS, w->mem, &out));
    assert_int_equal(out.len, ASIDE_BYTES_MAX - 1);
}

static int pid_of(World *w)
{
    int pid, session, environment;
    Slice out;

    assert_ok(run(w->aside, "p", TIMEOUT_MS, w->mem, &out));
    assert_int_equal(sscanf(slice_cstr(w->mem, out), "%d %d %d", &pid, &session, &environment), 3);
    assert_int_equal(session, getsid(0)); /* aside.h says why */
    assert_int_equal(environment, 0);
    return pid;
}

static void it_is_another_process_without_an_environment(void **state)
{
    World *w = *state;
    int pid = pid_of(w);

    assert_int_not_equal(pid, getpid());
    assert_int_equal(pid_of(w), pid); /* which stays */
}

typedef struct Blocked {
    World *world;
    int64_t timeout_ms;
    pthread_t thread;
    Err err;
} Blocked;

static void *block(void *data)
{
    Blocked *b = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice out;

    b->err = run(b->world->aside, "f", b->timeout_ms, mem, &out);
    return NULL;
}

static void it_stands_back(void **state)
{
    World *w = *state;

    assert_int_equal(sched_getscheduler(pid_of(w)), SCHED_IDLE);
}

static void a_computation_that_waits_for_long_starts_again_and_stands_back_no_more(void **state)
{
    World *w = *state;
    Blocked blocked = {.world = w, .timeout_ms = 10 * BRIEF_MS};
    int64_t until_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + TIMEOUT_MS;
    int pid = pid_of(w);

    assert_int_equal(pthread_create(&blocked.thread, NULL, block, &blocked), 0);
    while (kill(pid, 0) == 0 && clock_monotonic_ms(&SYSTEM_CLOCK) < until_ms)
        (void)poll(NULL, 0, 10);
    assert_int_equal(kill(pid, 0), -1);
    pthread_join(blocked.thread, NULL);
    assert_reason(blocked.err, &DEADLINE_EXCEEDED);
}

static void what_takes_too_long_is_ended_and_the_next_is_computed(void **state)
{
    World *w = *state;
    int pid = pid_of(w);
    Slice out;

    assert_reason(run(w->aside, "f", BRIEF_MS, w->mem, &out), &DEADLINE_EXCEEDED);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_not_equal(pid_of(w), pid);
}

static void a_process_that_ends_is_started_again(void **state)
{
    World *w = *state;
    int pid = pid_of(w);
    Slice out;

    assert_reason(run(w->aside, "e", TIMEOUT_MS, w->mem, &out), &UNAVAILABLE);
    assert_reason(run(w->aside, "?", TIMEOUT_MS, w->mem, &out), &UNAVAILABLE);
    assert_int_not_equal(pid_of(w), pid);
    (void)kill(pid_of(w), SIGKILL);
    assert_ok(run(w->aside, "r1", TIMEOUT_MS, w->mem, &out));
}

static void signals_to_all_do_not_end_it(void **state)
{
    World *w = *state;
    int pid = pid_of(w);

    (void)kill(pid, SIGTERM);
    (void)kill(pid, SIGINT);
    assert_int_equal(pid_of(w), pid);
}

static void who_finds_no_process_free_waits_for_one(void **state)
{
    World *w = *state;
    Blocked blocked[3];
    Slice out;

    for (size_t i = 0; i < ARRAY_LEN(blocked); i++)
        blocked[i] = (Blocked){.world = w, .timeout_ms = BRIEF_MS};
    for (size_t i = 0; i < ARRAY_LEN(blocked); i++)
        assert_int_equal(pthread_create(&blocked[i].thread, NULL, block, &blocked[i]), 0);
    assert_ok(run(w->aside, "rab", TIMEOUT_MS, w->mem, &out));
    for (size_t i = 0; i < ARRAY_LEN(blocked); i++) {
        pthread_join(blocked[i].thread, NULL);
        assert_reason(blocked[i].err, &DEADLINE_EXCEEDED);
    }
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        CASE(what_goes_in_comes_out_computed),
        CASE(it_is_another_process_without_an_environment),
        CASE(it_stands_back),
        CASE(a_computation_that_waits_for_long_starts_again_and_stands_back_no_more),
        CASE(what_takes_too_long_is_ended_and_the_next_is_computed),
        CASE(a_process_that_ends_is_started_again),
        CASE(signals_to_all_do_not_end_it),
        CASE(who_finds_no_process_free_waits_for_one),
    };

    if (argc == 2 && strcmp(argv[1], "aside") == 0)
        return aside_serve(compute);
    return RUN(tests);
}
