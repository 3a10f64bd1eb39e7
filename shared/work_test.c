/* Tests of work with a real NATS (TEST_NATS_URL); most of it is tested through jobs and consumers. */
#include "shared/work.h"

#include "shared/bus_testing.h"

static atomic_int calls;
static atomic_bool hold;

static Err work_slowly(void *context, Arena *mem, const WorkItem *item)
{
    (void)context, (void)mem;
    atomic_fetch_add(&calls, 1);
    while (hold && !*item->stop)
        usleep(1000);
    return OK;
}

static void make_stream(Bus *bus)
{
    const char *subject = "job.worktest.>";
    jsStreamConfig config;
    jsErrCode code;

    js_DeleteStream(bus_jetstream(bus), "JOBS_WORKTEST", NULL, &code);
    jsStreamConfig_Init(&config);
    config.Name = "JOBS_WORKTEST";
    config.Subjects = &subject;
    config.SubjectsLen = 1;
    config.Retention = js_WorkQueuePolicy;
    assert_ok(bus_ensure_stream(bus, &config));
    assert_int_equal(js_Publish(NULL, bus_jetstream(bus), "job.worktest.slow", "x", 1, NULL, &code), NATS_OK);
}

static const WorkOptions SLOW = {.stream = "JOBS_WORKTEST",
                                 .durable = "worktest-slow",
                                 .filter = "job.worktest.slow",
                                 .dead_domain = "worktest",
                                 .dead_kind = "job",
                                 .dead_name = "slow",
                                 .max_deliveries = 5,
                                 .ack_wait_ms = 300,
                                 .threads = 2,
                                 .batch = 1,
                                 .handle = work_slowly};

static void what_takes_longer_than_the_ack_wait_is_not_delivered_twice(void **state)
{
    CLEANUP(bus_close_at) Bus *bus = testing_bus("worktest");
    WorkOptions options = SLOW;
    int64_t start_ms;
    Work *w;
    (void)state;

    make_stream(bus);
    calls = 0;
    hold = true;
    options.bus = bus;
    w = work_start(&options);
    WAIT_UNTIL(calls == 1);
    start_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    WAIT_UNTIL(clock_monotonic_ms(&SYSTEM_CLOCK) - start_ms > 1500); /* five ack waits */
    assert_int_equal(calls, 1);
    hold = false;
    assert_true(work_stop(w, 10000));
    assert_int_equal(calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_takes_longer_than_the_ack_wait_is_not_delivered_twice),
    };
    return RUN(tests);
}
