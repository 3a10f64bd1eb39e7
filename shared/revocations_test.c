/* Tests of revocations with a nats-server of the test's own, which it stops, cuts off and restores. */
#include "shared/revocations.h"

#include "shared/bus_testing.h"

typedef struct World {
    TestingServer nats;
    Bus *bus, *publisher;
    Metrics *metrics;
    Revocations *revocations;
    atomic_int_fast64_t ahead_ms; /* of the real clock: as if we had been stopped for so long */
} World;
static World w;

static int64_t unix_us(void *context)
{
    (void)context;
    return clock_unix_us(&SYSTEM_CLOCK);
}

static int64_t monotonic_us(void *context)
{
    (void)context;
    return clock_monotonic_us(&SYSTEM_CLOCK) + atomic_load(&w.ahead_ms) * 1000;
}

static const Clock CLOCK = {.unix_us = unix_us, .monotonic_us = monotonic_us};

static void end_login(const char *login)
{
    char subject[96];
    jsPubAck *ack = NULL;
    jsErrCode code;

    snprintf(subject, sizeof subject, "evt.auth.login.ended.%s", login);
    assert_int_equal(js_Publish(&ack, bus_jetstream(w.publisher), subject, "", 0, NULL, &code), NATS_OK);
    jsPubAck_Destroy(ack);
}

static bool knows(const char *login)
{
    return revocations_has(w.revocations, login_key(slice(login)));
}

static int set_up(void **state)
{
    const char *subjects[] = {"evt.auth.>"};
    jsStreamConfig stream;
    (void)state;

    w = (World){.metrics = metrics_new()};
    testing_server_start(&w.nats, "jetstream");
    assert_ok(bus_connect(&(BusOptions){.url = w.nats.url, .user = "auth"}, 5000, &w.publisher));
    assert_ok(bus_connect(&(BusOptions){.url = w.nats.url, .user = "gateway", .threaded = true}, 5000, &w.bus));
    jsStreamConfig_Init(&stream);
    stream.Name = "EVT_AUTH";
    stream.Subjects = subjects;
    stream.SubjectsLen = 1;
    assert_ok(bus_ensure_stream(w.publisher, &stream));
    end_login("first");
    assert_ok(revocations_start(
        &(RevocationsOptions){
            .bus = w.bus, .clock = &CLOCK, .metrics = w.metrics, .age_ms = 86400000, .entries_max = 1000},
        &w.revocations));
    WAIT_UNTIL(revocations_ready(w.revocations));
    assert_true(knows("first"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    revocations_stop(w.revocations);
    bus_close(w.bus);
    bus_close(w.publisher);
    metrics_free(w.metrics);
    testing_server_done(&w.nats);
    return 0;
}

static void what_ends_later_is_known_soon(void **state)
{
    (void)state;
    end_login("second");
    WAIT_UNTIL(knows("second"));
    assert_true(revocations_ready(w.revocations));
}

/* The connection stands, and nothing comes over it. */
static void it_is_not_ready_while_the_server_says_nothing(void **state)
{
    int64_t began_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    (void)state;

    kill(w.nats.pid, SIGSTOP);
    WAIT_UNTIL(!revocations_ready(w.revocations));
    assert_true(bus_connected(w.bus));
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - began_ms < (int64_t)REVOCATIONS_FRESH_MS * 5);
    kill(w.nats.pid, SIGCONT);
    WAIT_UNTIL(revocations_ready(w.revocations));
}

static void who_was_stopped_is_not_ready_before_it_has_asked(void **state)
{
    (void)state;
    kill(w.nats.pid, SIGSTOP); /* so that it cannot ask */
    atomic_fetch_add(&w.ahead_ms, REVOCATIONS_FRESH_MS + 1000);
    assert_false(revocations_ready(w.revocations));
    kill(w.nats.pid, SIGCONT);
    WAIT_UNTIL(revocations_ready(w.revocations));
}

static void run(const char *command)
{
    char line[512];

    snprintf(line, sizeof line, "cd %s && %s", w.nats.folder, command);
    assert_int_equal(system(line), 0);
}

/* Numbers that were read are given out again, for other logins. */
static void a_stream_restored_from_an_older_state_is_read_anew(void **state)
{
    (void)state;
    testing_server_stop(&w.nats);
    run("cp -a js old");
    testing_server_start_again(&w.nats);
    WAIT_UNTIL(bus_connected(w.publisher) && revocations_ready(w.revocations));
    end_login("forgotten");
    end_login("forgotten_too");
    WAIT_UNTIL(knows("forgotten_too"));
    testing_server_stop(&w.nats);
    run("rm -rf js && mv old js");
    testing_server_start_again(&w.nats);
    WAIT_UNTIL(revocations_ready(w.revocations));
    assert_true(knows("forgotten"));
    WAIT_UNTIL(bus_connected(w.publisher));
    end_login("later");
    WAIT_UNTIL(knows("later"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_ends_later_is_known_soon),
        TEST(it_is_not_ready_while_the_server_says_nothing),
        TEST(who_was_stopped_is_not_ready_before_it_has_asked),
        TEST(a_stream_restored_from_an_older_state_is_read_anew),
    };

    return RUN(tests);
}
