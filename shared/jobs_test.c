/* Tests of jobs with a real NATS (TEST_NATS_URL). */
#include "shared/jobs.h"

#include <pthread.h>

#include "atrium/reasons.atrium.h"
#include "google/protobuf/wrappers.pb-c.h"
#include "shared/bus_testing.h"
#include "shared/work.h"

static Bus *bus;
static JobQueue *queue;
static struct Seen {
    atomic_int runs, started;
    atomic_int fail_first; /* deliveries that fail */
    const Reason *reason;
    atomic_bool hold; /* handlers wait until it is false, or they shall stop */
    atomic_llong times_ms[8];
    char last_id[64], last_body[64]; /* read when no handler runs */
} seen;
static pthread_mutex_t texts = PTHREAD_MUTEX_INITIALIZER; /* guards them among handlers */

static Err do_job(Job *job)
{
    const Google__Protobuf__StringValue *body = (const Google__Protobuf__StringValue *)job->body;
    int run = atomic_fetch_add(&seen.started, 1);

    assert_ptr_equal(job->context, &seen);
    if (run < (int)ARRAY_LEN(seen.times_ms))
        seen.times_ms[run] = clock_monotonic_ms(&SYSTEM_CLOCK);
    while (seen.hold && !*job->stop)
        usleep(1000);
    if (job->delivery <= seen.fail_first) {
        atomic_fetch_add(&seen.runs, 1);
        return err_make(seen.reason, "failed on purpose\nin two lines");
    }
    pthread_mutex_lock(&texts);
    snprintf(seen.last_id, sizeof seen.last_id, "%s", job->id);
    snprintf(seen.last_body, sizeof seen.last_body, "%s", body->value);
    pthread_mutex_unlock(&texts);
    atomic_fetch_add(&seen.runs, 1);
    return OK;
}

static const JobType TYPES[] = {{.name = "render",
                                 .body = &google__protobuf__string_value__descriptor,
                                 .handler = do_job,
                                 .max_deliveries = 3,
                                 .backoff_ms = 100,
                                 .threads = 2}};

static void start_queue(void)
{
    assert_ok(job_queue_start(
        &(JobQueueOptions){
            .bus = bus, .domain = "jobtest", .types = TYPES, .type_count = ARRAY_LEN(TYPES), .context = &seen},
        &queue));
}

static Err enqueue(const char *id, const char *text)
{
    Google__Protobuf__StringValue body = GOOGLE__PROTOBUF__STRING_VALUE__INIT;

    body.value = (char *)text;
    return job_enqueue(bus, "jobtest", "render", id, &body.base);
}

static int open_bus(void **state)
{
    (void)state;
    bus = testing_bus("jobtest");
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

    js_DeleteStream(bus_jetstream(bus), "JOBS_JOBTEST", NULL, &code);
    js_DeleteStream(bus_jetstream(bus), "DEAD_JOBTEST", NULL, &code);
    memset(&seen, 0, sizeof seen);
    seen.reason = &UNAVAILABLE;
    start_queue();
    return 0;
}

static int clean_end(void **state)
{
    (void)state;
    job_queue_stop(MOVE(queue), 10000);
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------------------------- */
static void a_job_runs_once_and_is_gone(void **state)
{
    (void)state;
    assert_ok(enqueue("id-1", "hello"));
    assert_ok(enqueue("id-1", "hello")); /* de-duplicated */
    WAIT_UNTIL(seen.runs == 1 && testing_stream_messages(bus, "JOBS_JOBTEST") == 0);
    assert_string_equal(seen.last_id, "id-1");
    assert_string_equal(seen.last_body, "hello");
    assert_int_equal(seen.started, 1);
}

static void a_failure_comes_again_with_back_off(void **state)
{
    (void)state;
    seen.fail_first = 2;
    assert_ok(enqueue("id-1", "x"));
    WAIT_UNTIL(seen.runs == 3 && testing_stream_messages(bus, "JOBS_JOBTEST") == 0);
    assert_true(seen.times_ms[1] - seen.times_ms[0] >= 95);
    assert_true(seen.times_ms[2] - seen.times_ms[1] >= 190);
    assert_int_equal(testing_stream_messages(bus, "DEAD_JOBTEST"), 0);
}

static void take_row(void *data, const DeadJob *job)
{
    DeadJob *out = data;

    assert_string_equal(job->type, "render");
    assert_string_equal(job->id, "id-1");
    assert_non_null(strstr(job->error, "failed on purpose in two lines"));
    assert_true(job->died_us > INT64_C(1700000000000000));
    *out = *job;
}

static void what_fails_too_often_is_dead_and_can_be_replayed(void **state)
{
    DeadJob dead = {0};
    (void)state;

    seen.fail_first = 100;
    assert_ok(enqueue("id-1", "again"));
    WAIT_UNTIL(testing_stream_messages(bus, "DEAD_JOBTEST") == 1 && testing_stream_messages(bus, "JOBS_JOBTEST") == 0);
    assert_int_equal(seen.runs, 3);
    assert_ok(job_dead_list(bus, "jobtest", 10, take_row, &dead));
    assert_int_equal(dead.sequence, 1);
    assert_int_equal(dead.deliveries, 3);

    seen.fail_first = 0;
    assert_ok(job_dead_replay(bus, "jobtest", dead.sequence));
    WAIT_UNTIL(seen.runs == 4 && testing_stream_messages(bus, "JOBS_JOBTEST") == 0);
    assert_string_equal(seen.last_id, "id-1"); /* the job is the same one */
    assert_string_equal(seen.last_body, "again");
    assert_int_equal(testing_stream_messages(bus, "DEAD_JOBTEST"), 0);
    assert_reason(job_dead_replay(bus, "jobtest", dead.sequence), &NOT_FOUND);
}

static void a_failure_that_cannot_be_retried_is_dead_at_once(void **state)
{
    DeadJob dead = {0};
    (void)state;

    seen.fail_first = 100;
    seen.reason = &INVALID_ARGUMENT;
    assert_ok(enqueue("id-1", "x"));
    WAIT_UNTIL(testing_stream_messages(bus, "DEAD_JOBTEST") == 1);
    assert_int_equal(seen.runs, 1);
    assert_ok(job_dead_list(bus, "jobtest", 10, take_row, &dead));
    assert_ok(job_dead_drop(bus, "jobtest", dead.sequence));
    assert_reason(job_dead_drop(bus, "jobtest", dead.sequence), &NOT_FOUND);
    assert_int_equal(testing_stream_messages(bus, "DEAD_JOBTEST"), 0);
}

static void a_body_that_is_none_is_dead(void **state)
{
    jsErrCode code;
    (void)state;

    assert_int_equal(js_Publish(NULL, bus_jetstream(bus), "job.jobtest.render", "\xff\xff", 2, NULL, &code), NATS_OK);
    WAIT_UNTIL(testing_stream_messages(bus, "DEAD_JOBTEST") == 1 && testing_stream_messages(bus, "JOBS_JOBTEST") == 0);
    assert_int_equal(seen.started, 0);
}

static void two_threads_work_at_once_and_a_stop_tells_them(void **state)
{
    (void)state;

    seen.hold = true;
    seen.fail_first = 1; /* they give up */
    assert_ok(enqueue("id-1", "x"));
    assert_ok(enqueue("id-2", "x"));
    assert_ok(enqueue("id-3", "x"));
    WAIT_UNTIL(seen.started == 2);
    job_queue_stop(MOVE(queue), 10000);
    assert_int_equal(seen.runs, 2);
    /* Nothing is lost: they come again to the next process. */
    seen.hold = false;
    seen.fail_first = 0;
    start_queue();
    WAIT_UNTIL(seen.runs == 5 && testing_stream_messages(bus, "JOBS_JOBTEST") == 0);
}

static void a_job_that_kills_its_worker_each_time_ends_among_the_dead(void **state)
{
    natsSubscription *sub = NULL;
    jsErrCode code;
    jsSubOptions options;
    (void)state;

    assert_ok(enqueue("id-0", "x"));
    WAIT_UNTIL(seen.runs == 1); /* the consumer is made */
    /* As if a worker had died with it three times: delivered and never done, but sooner than the ack wait. */
    job_queue_stop(MOVE(queue), 10000);
    assert_ok(enqueue("id-1", "x"));
    jsSubOptions_Init(&options);
    options.Stream = "JOBS_JOBTEST";
    options.Consumer = "jobtest-render";
    assert_int_equal(
        js_PullSubscribe(&sub, bus_jetstream(bus), "job.jobtest.render", "jobtest-render", NULL, &options, &code),
        NATS_OK);
    for (int i = 0; i < 3; i++) {
        natsMsgList list = {0};
        assert_int_equal(natsSubscription_Fetch(&list, sub, 1, 5000, &code), NATS_OK);
        natsMsg_Nak(list.Msgs[0], NULL);
        natsMsgList_Destroy(&list);
    }
    natsSubscription_Destroy(sub);
    start_queue();
    WAIT_UNTIL(testing_stream_messages(bus, "DEAD_JOBTEST") == 1 && testing_stream_messages(bus, "JOBS_JOBTEST") == 0);
    assert_int_equal(seen.started, 1); /* the first job only */
}

static void a_consumer_deleted_behind_our_back_is_made_again(void **state)
{
    jsErrCode code;
    (void)state;

    assert_ok(enqueue("id-1", "x"));
    WAIT_UNTIL(seen.runs == 1);
    assert_int_equal(js_DeleteConsumer(bus_jetstream(bus), "JOBS_JOBTEST", "jobtest-render", NULL, &code), NATS_OK);
    assert_ok(enqueue("id-2", "x"));
    WAIT_UNTIL(seen.runs >= 2); /* the first comes again when its acknowledgement came too late */
}

static void a_consumer_deleted_while_its_worker_is_busy_is_made_again(void **state)
{
    jsErrCode code;
    (void)state;

    seen.hold = true;
    assert_ok(enqueue("id-1", "x"));
    assert_ok(enqueue("id-2", "x"));
    WAIT_UNTIL(seen.started == 2); /* both threads: none waits at the consumer */
    assert_int_equal(js_DeleteConsumer(bus_jetstream(bus), "JOBS_JOBTEST", "jobtest-render", NULL, &code), NATS_OK);
    seen.hold = false;
    WAIT_UNTIL(seen.runs >= 2);
    assert_ok(enqueue("id-3", "x"));
    WAIT_UNTIL(seen.runs >= 3);
}

static void a_stream_deleted_behind_our_back_is_made_again(void **state)
{
    jsErrCode code;
    (void)state;

    assert_ok(enqueue("id-1", "x"));
    WAIT_UNTIL(seen.runs == 1);
    assert_int_equal(js_DeleteStream(bus_jetstream(bus), "JOBS_JOBTEST", NULL, &code), NATS_OK);
    WAIT_UNTIL(!err_failed(enqueue("id-2", "x")));
    WAIT_UNTIL(seen.runs >= 2); /* the first comes again when its acknowledgement came too late */
}

static void nothing_can_be_enqueued_for_nobody(void **state)
{
    Google__Protobuf__StringValue body = GOOGLE__PROTOBUF__STRING_VALUE__INIT;
    (void)state;

    assert_reason(job_enqueue(bus, "nosuchdomain", "render", "x", &body.base), &UNAVAILABLE);
}

int main(void)
{
#define QUEUE_TEST(f) cmocka_unit_test_setup_teardown(f, clean_start, clean_end)
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(a_job_runs_once_and_is_gone),
        QUEUE_TEST(a_failure_comes_again_with_back_off),
        QUEUE_TEST(what_fails_too_often_is_dead_and_can_be_replayed),
        QUEUE_TEST(a_failure_that_cannot_be_retried_is_dead_at_once),
        QUEUE_TEST(a_body_that_is_none_is_dead),
        QUEUE_TEST(two_threads_work_at_once_and_a_stop_tells_them),
        QUEUE_TEST(a_job_that_kills_its_worker_each_time_ends_among_the_dead),
        QUEUE_TEST(a_consumer_deleted_behind_our_back_is_made_again),
        QUEUE_TEST(a_consumer_deleted_while_its_worker_is_busy_is_made_again),
        QUEUE_TEST(a_stream_deleted_behind_our_back_is_made_again),
        QUEUE_TEST(nothing_can_be_enqueued_for_nobody),
    };
    return cmocka_run_group_tests(tests, open_bus, close_bus);
}
