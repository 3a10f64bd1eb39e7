/* Tests of sweeper with a real PostgreSQL (TEST_DATABASE_URL). */
#include "shared/sweeper.h"

#include <stdatomic.h>

#include "atrium/reasons.atrium.h"
#include "shared/db_testing.h"

enum { OFTEN_MS = 2, NEVER_MS = 3600000 };

static Db *open_db(void)
{
    Db *db = NULL;

    assert_ok(db_new(
        &(DbOptions){
            .url = testing_database_url(), .schema = "public", .application_name = "sweeper_test", .pool_size = 1},
        &db));
    return db;
}

typedef struct Work {
    atomic_int left;         /* turns until nothing is left */
    atomic_int done, others; /* turns, by task */
    atomic_int led, not_led; /* turns of a task that goes on everywhere */
    atomic_bool fails;
    atomic_bool wrong; /* something that no turn may see; asserted in the test's own thread */
} Work;

static Err work_off(SweeperTurn *turn)
{
    Work *work = turn->data;

    if (!turn->leads || turn->more)
        atomic_store(&work->wrong, true);
    if (atomic_load(&work->fails))
        return err_make(&UNAVAILABLE, "not now");
    atomic_fetch_add(&work->done, 1);
    turn->more = atomic_fetch_sub(&work->left, 1) > 1;
    return OK;
}

static Err do_other(SweeperTurn *turn)
{
    Work *work = turn->data;

    atomic_fetch_add(&work->others, 1);
    return OK;
}

static Err go_on_everywhere(SweeperTurn *turn)
{
    Work *work = turn->data;

    atomic_fetch_add(turn->leads ? &work->led : &work->not_led, 1);
    return OK;
}

static void a_backlog_is_worked_off_without_waiting(void **state)
{
    CLEANUP(db_free_at) Db *db = open_db();
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    Counter *turns = metrics_counter(metrics, "atrium_test_turns_total", "Turns.", "");
    Work work = {.left = 20};
    Sweeper *s = sweeper_start(&(SweeperOptions){.db = db,
                                                 .name = "backlog",
                                                 .data = &work,
                                                 .tasks = {{"work", work_off, .turns = turns}, {"other", do_other}},
                                                 .interval_ms = 200,
                                                 .pause_ms = 1});
    (void)state;

    WAIT_UNTIL(atomic_load(&work.others) > 0);
    sweeper_stop(s);
    assert_true(atomic_load(&work.done) >= 20);
    assert_true(atomic_load(&work.done) < 20 + atomic_load(&work.others) + 1);
    assert_int_equal(counter_value(turns), atomic_load(&work.done));
    assert_false(atomic_load(&work.wrong));
}

static void one_instance_works_at_a_time(void **state)
{
    CLEANUP(db_free_at) Db *db = open_db();
    Work one = {.left = 0}, two = {.left = 0};
    SweeperOptions options = {.db = db,
                              .name = "one",
                              .data = &one,
                              .tasks = {{"other", do_other}, {"all", go_on_everywhere, .everywhere = true}},
                              .interval_ms = OFTEN_MS};
    Sweeper *first = sweeper_start(&options), *second;
    (void)state;

    WAIT_UNTIL(atomic_load(&one.led) > 0 && atomic_load(&one.others) > 0);
    options.data = &two;
    second = sweeper_start(&options);
    WAIT_UNTIL(atomic_load(&two.not_led) > 3);
    assert_int_equal(atomic_load(&two.others), 0);
    assert_int_equal(atomic_load(&two.led), 0);
    sweeper_stop(first);
    WAIT_UNTIL(atomic_load(&two.others) > 0 && atomic_load(&two.led) > 0);
    sweeper_stop(second);
}

static void a_failure_keeps_no_other_task_and_is_tried_again(void **state)
{
    CLEANUP(db_free_at) Db *db = open_db();
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    Counter *failures = metrics_counter(metrics, "atrium_test_failures_total", "Failures.", "");
    Work work = {.fails = true};
    Sweeper *s = sweeper_start(&(SweeperOptions){.db = db,
                                                 .name = "failure",
                                                 .data = &work,
                                                 .tasks = {{"work", work_off}, {"other", do_other}},
                                                 .failures = failures,
                                                 .interval_ms = OFTEN_MS});
    (void)state;

    WAIT_UNTIL(atomic_load(&work.others) > 1);
    assert_true(counter_value(failures) > 1);
    assert_int_equal(atomic_load(&work.done), 0);
    atomic_store(&work.fails, false);
    WAIT_UNTIL(atomic_load(&work.done) > 0);
    sweeper_stop(s);
}

/* Else the test would take an hour: once in the wait between turns, once in the pause of a backlog. */
static void stopping_waits_for_nothing(void **state)
{
    CLEANUP(db_free_at) Db *db = open_db();
    Work work = {.left = 1000};
    SweeperOptions options = {
        .db = db, .name = "stop", .data = &work, .tasks = {{"work", work_off}}, .interval_ms = NEVER_MS};
    (void)state;

    sweeper_stop(sweeper_start(&options));
    assert_int_equal(atomic_load(&work.done), 0);
    options.interval_ms = OFTEN_MS;
    options.pause_ms = NEVER_MS;
    {
        CLEANUP(sweeper_stop_at) Sweeper *s = sweeper_start(&options);

        WAIT_UNTIL(atomic_load(&work.done) == 1);
        assert_non_null(s);
    }
    assert_int_equal(atomic_load(&work.done), 1);
    sweeper_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backlog_is_worked_off_without_waiting),
        cmocka_unit_test(one_instance_works_at_a_time),
        cmocka_unit_test(a_failure_keeps_no_other_task_and_is_tried_again),
        cmocka_unit_test(stopping_waits_for_nothing),
    };

    return RUN(tests);
}
