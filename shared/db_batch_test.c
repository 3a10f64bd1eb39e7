/* Tests of the database in fibers, with a real PostgreSQL: reads in batches, failures among them, and transactions. */
#include <pthread.h>

#include "atrium/reasons.atrium.h"
#include "shared/clock.h"
#include "shared/db_testing.h"
#include "shared/db_together.h"
#include "shared/fiber.h"
#include "shared/rpc.h"

enum { MANY = 200, TURN_MS = 20 };

typedef struct World {
    Loop *loop;
    Fibers *fibers;
    Db *db;
} World;

/* One fiber's statement, and what came of it. */
typedef struct Job {
    World *world;
    const char *sql;
    int64_t argument, timeout_ms, value;
    int64_t took_ms;
    bool tx, write; /* write: with others, ordered by its argument, the greatest first */
    Err err;
} Job;

static Db *open_pool(int size)
{
    const char *url = testing_database_url();
    Db *db = NULL;

    assert_ok(db_new(&(DbOptions){.url = url, .application_name = "db_batch_test", .pool_size = size}, &db));
    return db;
}

static int open_world(void **state)
{
    World *w = xcalloc(1, sizeof *w);

    w->loop = loop_new();
    w->fibers = fibers_new(w->loop, MANY);
    w->db = open_pool(1);
    db_batch_open(w->db, w->loop);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    World *w = *state;

    db_batch_close(w->db);
    fibers_free(w->fibers);
    loop_free(w->loop);
    db_free(w->db);
    free(w);
    return 0;
}

static Err run_statement(Job *job)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = {.db = job->world->db,
                  .clock = &SYSTEM_CLOCK,
                  .deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + job->timeout_ms};

    if (job->write) {
        TRY(db_write_together(&rq, (DbOrder){.second = -job->argument}, job->sql, DB_ARGS(db_int64(job->argument)),
                              &rows));
    } else if (job->tx) {
        TRY(db_tx_begin_with(job->world->db, job->timeout_ms, &tx));
        TRY(db_query(&tx, job->sql, DB_ARGS(db_int64(job->argument)), &rows));
        TRY(db_tx_commit(&tx));
    } else {
        TRY(db_read_with(job->world->db, job->timeout_ms, job->sql, DB_ARGS(db_int64(job->argument)), &rows));
    }
    job->value = rows.count == 1 ? db_get_int64(&rows, 0, 0) : -1;
    return OK;
}

static void run_job(void *data)
{
    Job *job = data;
    int64_t start_ms = clock_monotonic_ms(&SYSTEM_CLOCK);

    job->err = run_statement(job);
    job->took_ms = clock_monotonic_ms(&SYSTEM_CLOCK) - start_ms;
}

static void start(World *w, Job *job, const char *sql, int64_t argument)
{
    *job = (Job){.world = w,
                 .sql = sql,
                 .argument = argument,
                 .timeout_ms = job->timeout_ms ? job->timeout_ms : 5000,
                 .tx = job->tx,
                 .write = job->write};
    assert_true(fibers_start(w->fibers, run_job, job));
}

static void turn_until_idle(World *w)
{
    for (int i = 0; i < 5000 && (fibers_running(w->fibers) > 0 || db_batch_connecting(w->db)); i++)
        loop_turn(w->loop, TURN_MS);
    assert_int_equal(fibers_running(w->fibers), 0);
}

static const char DOUBLE[] = "SELECT $1 * 2";
static const char INVERSE[] = "SELECT 100 / $1";
static const char SLEEP[] = "SELECT 1 FROM pg_sleep($1::bigint / 1000.0)";
static const char PID[] = "SELECT pg_backend_pid() + 0 * $1";
static const char END[] = "SELECT count(pg_terminate_backend($1::bigint::int))";
static const char MAKE[] = "SELECT count(*) FROM (SELECT set_config('a.b', $1::text, false)) x";
static const char TRIPLE[] = "SELECT $1 * 3";
static const char WRITE[] = "INSERT INTO db_batch_test VALUES ($1)";

static void each_of_many_gets_its_own_answer(void **state)
{
    World *w = *state;
    Job jobs[MANY] = {0};

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++)
            start(w, &jobs[i], DOUBLE, i);
        turn_until_idle(w);
        for (int i = 0; i < MANY; i++) {
            assert_ok(jobs[i].err);
            assert_int_equal(jobs[i].value, 2 * i);
        }
    }
}

static void a_failure_takes_no_other_with_it(void **state)
{
    World *w = *state;
    Job jobs[MANY] = {0};

    for (int i = 0; i < MANY; i++)
        start(w, &jobs[i], INVERSE, i % 50); /* four of them divide by zero */
    turn_until_idle(w);
    for (int i = 0; i < MANY; i++) {
        if (i % 50 == 0) {
            assert_reason(jobs[i].err, &INVALID_ARGUMENT);
            continue;
        }
        assert_ok(jobs[i].err);
        assert_int_equal(jobs[i].value, 100 / (i % 50));
    }
}

static void a_statement_that_is_wrong_fails_alone(void **state)
{
    World *w = *state;
    Job wrong = {0}, right = {0};

    start(w, &wrong, "SELECT nonsense($1)", 1);
    start(w, &right, DOUBLE, 4);
    turn_until_idle(w);
    assert_reason(wrong.err, &INTERNAL);
    assert_ok(right.err);
    assert_int_equal(right.value, 8);
    start(w, &wrong, "SELECT nonsense($1)", 1); /* it was not remembered as prepared */
    turn_until_idle(w);
    assert_reason(wrong.err, &INTERNAL);
}

static void what_was_to_be_prepared_behind_a_failure_is_prepared_again(void **state)
{
    World *w = *state;
    Job warm = {0}, failing = {0}, unprepared = {0};

    start(w, &warm, INVERSE, 1);
    turn_until_idle(w);
    start(w, &failing, INVERSE, 0);
    start(w, &unprepared, TRIPLE, 7);
    turn_until_idle(w);
    assert_reason(failing.err, &INVALID_ARGUMENT);
    assert_ok(unprepared.err);
    assert_int_equal(unprepared.value, 21);
}

/* More than a connection keeps prepared, a few batches at a time. */
static void statements_without_end_are_answered(void **state)
{
    enum { STATEMENTS = 1200 };
    static char texts[STATEMENTS][32];
    World *w = *state;
    Job jobs[MANY] = {0};

    for (int at = 0; at < STATEMENTS; at += MANY) {
        for (int i = 0; i < MANY; i++) {
            snprintf(texts[at + i], sizeof texts[at + i], "SELECT $1 + %d", at + i);
            start(w, &jobs[i], texts[at + i], 1);
        }
        turn_until_idle(w);
        for (int i = 0; i < MANY; i++) {
            assert_ok(jobs[i].err);
            assert_int_equal(jobs[i].value, at + i + 1);
        }
    }
}

static void a_deadline_ends_no_other_read_of_its_batch(void **state)
{
    World *w = *state;
    Job warm[2] = {0}, slow = {0}, hasty = {.timeout_ms = 200}, patient = {0};

    /* Both connections are there: what the cancelled batch leaves is sent again at once, without the hasty one. */
    start(w, &warm[0], SLEEP, 1);
    turn_until_idle(w);
    start(w, &warm[0], SLEEP, 200);
    loop_turn(w->loop, 0);
    start(w, &warm[1], SLEEP, 1);
    turn_until_idle(w);
    start(w, &slow, SLEEP, 600);
    start(w, &hasty, DOUBLE, 1);
    start(w, &patient, DOUBLE, 2);
    turn_until_idle(w);
    assert_reason(hasty.err, &DEADLINE_EXCEEDED);
    assert_ok(slow.err);
    assert_ok(patient.err);
}

static void a_slow_statement_ends_at_its_deadline_and_holds_nobody_up_for_good(void **state)
{
    World *w = *state;
    Job slow = {.timeout_ms = 200}, others[8] = {0};

    start(w, &slow, SLEEP, 60000);
    loop_turn(w->loop, TURN_MS);
    loop_turn(w->loop, TURN_MS);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        start(w, &others[i], DOUBLE, 1);
    turn_until_idle(w);
    assert_reason(slow.err, &DEADLINE_EXCEEDED);
    assert_true(slow.took_ms >= 200 && slow.took_ms < 5000);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_ok(others[i].err);
}

static void a_connection_that_ends_is_made_anew(void **state)
{
    World *w = *state;
    Job pid = {0}, sleeping = {0}, after = {0};
    CLEANUP(db_free_at) Db *other = open_pool(1);
    CLEANUP(db_rows_done) DbRows rows = {0};

    start(w, &pid, PID, 0);
    turn_until_idle(w);
    assert_ok(pid.err);
    start(w, &sleeping, SLEEP, 60000);
    loop_turn(w->loop, TURN_MS);
    assert_ok(db_read_with(other, 5000, END, DB_ARGS(db_int64(pid.value)), &rows));
    turn_until_idle(w);
    assert_reason(sleeping.err, &UNAVAILABLE);
    start(w, &after, DOUBLE, 21);
    turn_until_idle(w);
    assert_ok(after.err);
    assert_int_equal(after.value, 42);
}

static void an_idle_connection_that_ends_costs_no_request(void **state)
{
    World *w = *state;
    Job pid = {0}, after = {0};
    CLEANUP(db_free_at) Db *other = open_pool(1);
    CLEANUP(db_rows_done) DbRows rows = {0};

    start(w, &pid, PID, 0);
    turn_until_idle(w);
    assert_ok(db_read_with(other, 5000, END, DB_ARGS(db_int64(pid.value)), &rows));
    for (int i = 0; i < 5; i++)
        loop_turn(w->loop, TURN_MS); /* the end arrives */
    start(w, &after, DOUBLE, 21);
    turn_until_idle(w);
    assert_ok(after.err);
}

static void batches_only_read(void **state)
{
    World *w = *state;
    Job writing = {0}, reading = {0};

    testing_run_script(w->db, "CREATE TABLE IF NOT EXISTS db_batch_test (id bigint)");
    start(w, &writing, WRITE, 1);
    turn_until_idle(w);
    assert_reason(writing.err, &UNAVAILABLE);
    start(w, &reading, "SELECT count(*) FROM db_batch_test WHERE id = $1", 1);
    turn_until_idle(w);
    assert_ok(reading.err);
    assert_int_equal(reading.value, 0);
    start(w, &reading, MAKE, 1);
    turn_until_idle(w);
    assert_ok(reading.err);
}

static int64_t ask_number(World *w, const char *sql)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    CLEANUP(db_tx_done) DbTx tx = {0};

    assert_ok(db_tx_begin_with(w->db, 5000, &tx));
    assert_ok(db_query(&tx, sql, DB_NO_ARGS, &rows));
    return db_get_int64(&rows, 0, 0);
}

static void writes_that_meet_are_one_transaction_in_their_order(void **state)
{
    World *w = *state;
    Job jobs[MANY] = {0};

    testing_run_script(w->db, "DROP TABLE IF EXISTS db_batch_write; CREATE TABLE db_batch_write"
                              " (n bigserial, id bigint, tx bigint DEFAULT txid_current())");
    for (int i = 0; i < MANY; i++) {
        jobs[i].write = true;
        start(w, &jobs[i], "INSERT INTO db_batch_write (id) VALUES ($1) RETURNING id", i);
    }
    turn_until_idle(w);
    for (int i = 0; i < MANY; i++) {
        assert_ok(jobs[i].err);
        assert_int_equal(jobs[i].value, i);
    }
    assert_int_equal(ask_number(w, "SELECT count(DISTINCT id) FROM db_batch_write"), MANY);
    assert_int_equal(ask_number(w, "SELECT count(*) FROM db_batch_write"), MANY);
    assert_true(ask_number(w, "SELECT count(DISTINCT tx) FROM db_batch_write") <= MANY / 8);
    assert_int_equal(ask_number(w, "SELECT count(*) FROM db_batch_write a JOIN db_batch_write b"
                                   " ON a.tx = b.tx AND a.n < b.n AND a.id < b.id"),
                     0);
}

static void a_write_that_fails_takes_no_other_with_it(void **state)
{
    World *w = *state;
    Job jobs[MANY] = {0};

    testing_run_script(w->db, "DROP TABLE IF EXISTS db_batch_write; CREATE TABLE db_batch_write (id bigint)");
    for (int i = 0; i < MANY; i++) {
        jobs[i].write = true; /* four of them divide by zero */
        start(w, &jobs[i], "INSERT INTO db_batch_write SELECT $1::bigint + 0 / ($1::bigint % 50) RETURNING id", i);
    }
    turn_until_idle(w);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(err_failed(jobs[i].err), i % 50 == 0);
    assert_int_equal(ask_number(w, "SELECT count(*) FROM db_batch_write"), MANY - 4);
    assert_int_equal(ask_number(w, "SELECT count(DISTINCT id) FROM db_batch_write"), MANY - 4);
}

static void transactions_take_turns_on_the_pool(void **state)
{
    World *w = *state; /* its pool has one connection */
    Job jobs[20] = {0};

    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i].tx = true;
        start(w, &jobs[i], DOUBLE, (int64_t)i);
    }
    turn_until_idle(w);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        assert_ok(jobs[i].err);
        assert_int_equal(jobs[i].value, 2 * i);
    }
}

static void a_transaction_that_waits_too_long_for_a_connection_fails(void **state)
{
    World *w = *state;
    Job slow = {.tx = true, .timeout_ms = 3000}, late = {.tx = true, .timeout_ms = 100};

    start(w, &slow, SLEEP, 700);
    start(w, &late, DOUBLE, 1);
    turn_until_idle(w);
    assert_ok(slow.err);
    assert_reason(late.err, &UNAVAILABLE);
    assert_true(late.took_ms < slow.took_ms);
}

static void a_server_that_is_away_is_said_at_once(void **state)
{
    World *w = xcalloc(1, sizeof *w);
    Job jobs[10] = {0};
    (void)state;

    w->loop = loop_new();
    w->fibers = fibers_new(w->loop, MANY);
    assert_ok(db_new(&(DbOptions){.url = "postgresql://nobody@127.0.0.1:1/none", .pool_size = 1}, &w->db));
    db_batch_open(w->db, w->loop);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        start(w, &jobs[i], DOUBLE, 1);
    turn_until_idle(w);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        assert_reason(jobs[i].err, &UNAVAILABLE);
    db_batch_close(w->db);
    fibers_free(w->fibers);
    loop_free(w->loop);
    db_free(w->db);
    free(w);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        CASE(each_of_many_gets_its_own_answer),
        CASE(a_failure_takes_no_other_with_it),
        CASE(a_statement_that_is_wrong_fails_alone),
        CASE(what_was_to_be_prepared_behind_a_failure_is_prepared_again),
        CASE(statements_without_end_are_answered),
        CASE(a_deadline_ends_no_other_read_of_its_batch),
        CASE(a_slow_statement_ends_at_its_deadline_and_holds_nobody_up_for_good),
        CASE(a_connection_that_ends_is_made_anew),
        CASE(an_idle_connection_that_ends_costs_no_request),
        CASE(batches_only_read),
        CASE(writes_that_meet_are_one_transaction_in_their_order),
        CASE(a_write_that_fails_takes_no_other_with_it),
        CASE(transactions_take_turns_on_the_pool),
        CASE(a_transaction_that_waits_too_long_for_a_connection_fails),
        cmocka_unit_test(a_server_that_is_away_is_said_at_once),
    };

    return RUN(tests);
}
