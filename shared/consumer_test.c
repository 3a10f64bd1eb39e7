/* Tests of the consuming side of outbox with a real NATS (TEST_NATS_URL). */
#include "atrium/reasons.atrium.h"
#include "shared/bus_testing.h"
#include "shared/outbox.h"

static Bus *bus;
static EventConsumer *consumer;
static struct Seen {
    atomic_int calls, good;
    atomic_int fail_first;
    char keys[16][16];
} seen;

static Err take_event(void *context, Arena *mem, const Event *event)
{
    (void)mem;
    assert_ptr_equal(context, &seen);
    atomic_fetch_add(&seen.calls, 1);
    if (event->delivery <= seen.fail_first)
        return err_make(&INVALID_ARGUMENT, "not yet");
    assert_string_equal(event->id, "the-id");
    assert_string_equal(event->type, "the-type");
    assert_string_equal(event->source, "//atrium/eventtest");
    assert_int_equal(event->time_us, INT64_C(1767225600500000));
    assert_slice_equal(event->body, SLICE_LIT("body"));
    snprintf(seen.keys[seen.good % 16], sizeof seen.keys[0], "%s", event->key);
    atomic_fetch_add(&seen.good, 1);
    return OK;
}

static void publish(const char *key)
{
    static const BusHeader headers[] = {{"ce-id", "the-id"},
                                        {"ce-type", "the-type"},
                                        {"ce-source", "//atrium/eventtest"},
                                        {"ce-time", "2026-01-01T00:00:00.5Z"}};
    char subject[64];

    snprintf(subject, sizeof subject, "evt.eventtest.user.deleted.%s", key);
    assert_ok(bus_publish(bus, subject, NULL, headers, ARRAY_LEN(headers), SLICE_LIT("body")));
}

static void make_stream(void)
{
    const char *subject = "evt.eventtest.>";
    jsStreamConfig config;

    jsStreamConfig_Init(&config);
    config.Name = "EVT_EVENTTEST";
    config.Subjects = &subject;
    config.SubjectsLen = 1;
    assert_ok(bus_ensure_stream(bus, &config));
}

static void start_consumer(int max_deliveries)
{
    assert_ok(event_consumer_start(&(EventConsumerOptions){.bus = bus,
                                                           .stream = "EVT_EVENTTEST",
                                                           .durable = "eventtest-users",
                                                           .filter = "evt.eventtest.user.deleted.*",
                                                           .max_deliveries = max_deliveries,
                                                           .handler = take_event,
                                                           .context = &seen},
                                   &consumer));
}

static int open_bus(void **state)
{
    (void)state;
    bus = testing_bus("eventtest");
    return 0;
}

static int close_bus(void **state)
{
    (void)state;
    bus_close(bus);
    return 0;
}

static int clean_start(void **state)
{
    jsErrCode code;
    (void)state;

    js_DeleteStream(bus_jetstream(bus), "EVT_EVENTTEST", NULL, &code);
    js_DeleteStream(bus_jetstream(bus), "DEAD_EVENTTEST", NULL, &code);
    memset(&seen, 0, sizeof seen);
    return 0;
}

static int clean_end(void **state)
{
    (void)state;
    event_consumer_stop(MOVE(consumer));
    return 0;
}

static void events_come_in_order_with_their_attributes(void **state)
{
    (void)state;
    make_stream();
    publish("1"); /* before there is a consumer: it gets what the stream holds */
    start_consumer(0);
    publish("2");
    publish("3");
    WAIT_UNTIL(seen.good == 3);
    assert_string_equal(seen.keys[0], "1");
    assert_string_equal(seen.keys[1], "2");
    assert_string_equal(seen.keys[2], "3");
    assert_int_equal(seen.calls, 3);
}

static void what_was_acknowledged_does_not_come_to_the_next_process(void **state)
{
    (void)state;
    make_stream();
    start_consumer(0);
    publish("1");
    WAIT_UNTIL(seen.good == 1);
    event_consumer_stop(MOVE(consumer));
    publish("2");
    start_consumer(0);
    WAIT_UNTIL(seen.good == 2);
    assert_string_equal(seen.keys[1], "2");
    assert_int_equal(seen.calls, 2);
}

static void a_failure_comes_again_whatever_its_reason(void **state)
{
    (void)state;
    make_stream();
    seen.fail_first = 1;
    start_consumer(0);
    publish("1");
    WAIT_UNTIL(seen.good == 1);
    assert_int_equal(seen.calls, 2);
    assert_int_equal(testing_stream_messages(bus, "DEAD_EVENTTEST"), 0);
}

static void what_fails_too_often_goes_to_the_dead_letters(void **state)
{
    natsMsg *msg = NULL;
    jsErrCode code;
    (void)state;

    make_stream();
    seen.fail_first = 100;
    start_consumer(2);
    publish("1");
    WAIT_UNTIL(testing_stream_messages(bus, "DEAD_EVENTTEST") == 1);
    assert_int_equal(seen.calls, 2);
    assert_int_equal(js_GetMsg(&msg, bus_jetstream(bus), "DEAD_EVENTTEST", 1, NULL, &code), NATS_OK);
    assert_string_equal(natsMsg_GetSubject(msg), "dead.eventtest.event.eventtest-users");
    assert_string_equal(bus_header(msg, "Atrium-Dead-Subject"), "evt.eventtest.user.deleted.1");
    assert_string_equal(bus_header(msg, "Atrium-Dead-Error"), "INVALID_ARGUMENT: not yet");
    assert_string_equal(bus_header(msg, "ce-id"), "the-id");
    natsMsg_Destroy(msg);
}

static void a_stream_may_come_later_than_its_consumer(void **state)
{
    (void)state;
    start_consumer(0);
    make_stream();
    publish("1");
    WAIT_UNTIL(seen.good == 1);
}

int main(void)
{
#define CONSUMER_TEST(f) cmocka_unit_test_setup_teardown(f, clean_start, clean_end)
    const struct CMUnitTest tests[] = {
        CONSUMER_TEST(events_come_in_order_with_their_attributes),
        CONSUMER_TEST(what_was_acknowledged_does_not_come_to_the_next_process),
        CONSUMER_TEST(a_failure_comes_again_whatever_its_reason),
        CONSUMER_TEST(what_fails_too_often_goes_to_the_dead_letters),
        CONSUMER_TEST(a_stream_may_come_later_than_its_consumer),
    };
    return cmocka_run_group_tests(tests, open_bus, close_bus);
}
