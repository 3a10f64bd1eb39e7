/* Tests of streams with a real NATS (TEST_NATS_URL). What a service's credential may is in tests/matrix. */
#include "shared/streams.h"

#include "shared/bus_testing.h"

static const char DOMAIN[] = "streamstest";
static Bus *bus;

static int open_bus(void **state)
{
    (void)state;
    bus = testing_bus("ops");
    return 0;
}

static int close_bus(void **state)
{
    (void)state;
    bus_close(bus);
    return 0;
}

static int remove_streams(void **state)
{
    (void)state;
    for (StreamKind kind = 0; kind < STREAM_KIND_COUNT; kind++) {
        char name[STREAM_NAME_BYTES];
        jsErrCode code;

        stream_name(kind, DOMAIN, name);
        (void)js_DeleteStream(bus_jetstream(bus), name, NULL, &code); /* of an earlier test */
    }
    return 0;
}

static jsStreamInfo *info_of(StreamKind kind)
{
    char name[STREAM_NAME_BYTES];
    jsStreamInfo *info = NULL;

    stream_name(kind, DOMAIN, name);
    assert_int_equal(js_GetStreamInfo(&info, bus_jetstream(bus), name, NULL, NULL), NATS_OK);
    return info;
}

static bool set_up(StreamKind kind, uint32_t events_keep_s)
{
    bool changed = false;

    assert_ok(stream_set_up(bus, kind, DOMAIN, events_keep_s, &changed));
    return changed;
}

static void names_are_in_capitals(void **state)
{
    char name[STREAM_NAME_BYTES];
    (void)state;

    stream_name(STREAM_DEAD, "auth", name);
    assert_string_equal(name, "DEAD_AUTH");
}

static void a_second_set_up_changes_nothing(void **state)
{
    (void)state;

    for (StreamKind kind = 0; kind < STREAM_KIND_COUNT; kind++) {
        assert_true(set_up(kind, 3600));
        assert_false(set_up(kind, 3600));
    }
}

static void a_set_up_changes_what_differs(void **state)
{
    jsStreamInfo *info;
    (void)state;

    assert_true(set_up(STREAM_EVENTS, 3600));
    assert_true(set_up(STREAM_EVENTS, 7200));
    info = info_of(STREAM_EVENTS);
    assert_int_equal(info->Config->MaxAge, INT64_C(7200) * 1000000000);
    jsStreamInfo_Destroy(info);
}

/* As a stolen credential could once have left it. */
static void a_set_up_takes_foreign_subjects_off(void **state)
{
    const char *subjects[] = {"evt.streamstest.>", "rpc.streamstest.>"};
    jsStreamConfig config;
    jsStreamInfo *info;
    (void)state;

    jsStreamConfig_Init(&config);
    config.Name = "EVT_STREAMSTEST";
    config.Subjects = subjects;
    config.SubjectsLen = 2;
    assert_int_equal(js_AddStream(NULL, bus_jetstream(bus), &config, NULL, NULL), NATS_OK);
    assert_true(set_up(STREAM_EVENTS, 3600));
    info = info_of(STREAM_EVENTS);
    assert_int_equal(info->Config->SubjectsLen, 1);
    assert_string_equal(info->Config->Subjects[0], "evt.streamstest.>");
    jsStreamInfo_Destroy(info);
}

/* A release runs beside the streams of the next one: it must not set them back. */
static void what_is_required_and_there_is_left_alone(void **state)
{
    jsStreamInfo *info;
    (void)state;

    assert_true(set_up(STREAM_EVENTS, 3600));
    assert_ok(stream_require(bus, STREAM_EVENTS, DOMAIN));
    info = info_of(STREAM_EVENTS);
    assert_int_equal(info->Config->MaxAge, INT64_C(3600) * 1000000000);
    jsStreamInfo_Destroy(info);
}

static void what_is_required_and_missing_is_made(void **state)
{
    jsStreamInfo *info;
    (void)state;

    for (StreamKind kind = 0; kind < STREAM_KIND_COUNT; kind++) {
        assert_ok(stream_require(bus, kind, DOMAIN));
        assert_false(set_up(kind, STREAM_EVENTS_KEEP_S)); /* just as the operator makes it */
    }
    info = info_of(STREAM_JOBS);
    assert_int_equal(info->Config->Retention, js_WorkQueuePolicy);
    jsStreamInfo_Destroy(info);
}

int main(void)
{
#define STREAM_TEST(f) cmocka_unit_test_setup_teardown(f, remove_streams, remove_streams)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_in_capitals),
        STREAM_TEST(a_second_set_up_changes_nothing),
        STREAM_TEST(a_set_up_changes_what_differs),
        STREAM_TEST(a_set_up_takes_foreign_subjects_off),
        STREAM_TEST(what_is_required_and_there_is_left_alone),
        STREAM_TEST(what_is_required_and_missing_is_made),
    };

    return cmocka_run_group_tests(tests, open_bus, close_bus);
}
