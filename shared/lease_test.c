/* Tests of lease with a real PostgreSQL (TEST_DATABASE_URL). */
#include "shared/lease.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/db_testing.h"

static Db *open_db(const char *application_name)
{
    const char *url = testing_database_url();
    Db *db = NULL;

    assert_ok(db_new(&(DbOptions){.url = url, .schema = "public", .application_name = application_name, .pool_size = 1},
                     &db));
    return db;
}

/* Ends the connections of everything that goes by this application name. */
static void cut(Db *admin, const char *application_name)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    assert_ok(db_read_with(admin, 5000,
                           "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1",
                           DB_ARGS(db_text(slice(application_name))), &rows));
}

/* How many leases the connections of this application name hold, as the server sees it. */
static int64_t held_by(Db *admin, const char *application_name)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    assert_ok(db_read_with(admin, 5000,
                           "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
                           " WHERE locktype = 'advisory' AND granted AND application_name = $1",
                           DB_ARGS(db_text(slice(application_name))), &rows));
    return db_get_int64(&rows, 0, 0);
}

static void one_at_a_time_holds_it(void **state)
{
    CLEANUP(db_free_at) Db *db = open_db("lease_test");
    CLEANUP(lease_free_at) Lease *a = lease_new(db, NULL, "relay", 100);
    CLEANUP(lease_free_at) Lease *b = NULL;
    CLEANUP(lease_free_at) Lease *other = NULL;
    (void)state;

    WAIT_UNTIL(lease_held(a));
    b = lease_new(db, NULL, "relay", 20);
    other = lease_new(db, NULL, "scheduler", 20);
    WAIT_UNTIL(lease_held(other));
    assert_false(lease_held(b));
    lease_free(MOVE(a));
    WAIT_UNTIL(lease_held(b));
}

static void a_cut_connection_hands_it_over(void **state)
{
    CLEANUP(db_free_at) Db *first = open_db("lease_first");
    CLEANUP(db_free_at) Db *second = open_db("lease_second");
    CLEANUP(lease_free_at) Lease *a = lease_new(first, NULL, "relay", 3000);
    CLEANUP(lease_free_at) Lease *b = NULL;
    (void)state;

    WAIT_UNTIL(lease_held(a));
    b = lease_new(second, NULL, "relay", 3); /* asks more often, so it is the quicker */
    cut(second, "lease_first");
    WAIT_UNTIL(lease_held(b));
    WAIT_UNTIL(!lease_held(a)); /* within its retry time at the latest */
    WAIT_UNTIL(lease_held(b));  /* a busy machine checks less often than every 3 ms */
    assert_false(lease_held(a));
}

static void a_lost_lease_is_taken_again(void **state)
{
    CLEANUP(db_free_at) Db *db = open_db("lease_again");
    CLEANUP(db_free_at) Db *admin = open_db("lease_admin");
    CLEANUP(lease_free_at) Lease *a = lease_new(db, NULL, "relay", 300);
    (void)state;

    WAIT_UNTIL(lease_held(a));
    cut(admin, "lease_again");
    WAIT_UNTIL(held_by(admin, "lease_again") == 1);
    WAIT_UNTIL(lease_held(a));
}

static void numbers_are_unique_and_come_back(void **state)
{
    CLEANUP(db_free_at) Db *db = open_db("lease_test");
    Lease *leases[3] = {NULL}, *more = NULL;
    unsigned numbers[3], number;
    (void)state;

    for (unsigned i = 0; i < 3; i++) {
        assert_ok(lease_number(db, NULL, "snowflake", 3, 1000, &leases[i], &numbers[i]));
        assert_int_equal(numbers[i], i);
        assert_true(lease_held(leases[i]));
    }
    assert_reason(lease_number(db, NULL, "snowflake", 3, 150, &more, &number), &UNAVAILABLE);
    lease_free(leases[1]);
    assert_ok(lease_number(db, NULL, "snowflake", 3, 1000, &more, &number));
    assert_int_equal(number, 1);
    lease_free(more);
    lease_free(leases[0]);
    lease_free(leases[2]);
}

static void a_number_survives_its_connection(void **state)
{
    CLEANUP(db_free_at) Db *db = open_db("lease_number");
    CLEANUP(db_free_at) Db *admin = open_db("lease_admin");
    CLEANUP(lease_free_at) Lease *a = NULL;
    CLEANUP(lease_free_at) Lease *b = NULL;
    unsigned number;
    (void)state;

    assert_ok(lease_number(db, NULL, "worker", 2, 1000, &a, &number));
    assert_int_equal(number, 0);
    cut(admin, "lease_number");
    WAIT_UNTIL(held_by(admin, "lease_number") == 1);
    WAIT_UNTIL(lease_held(a));
    assert_ok(lease_number(admin, NULL, "worker", 2, 1000, &b, &number));
    assert_int_equal(number, 1);
}

static void take_note(void *data, unsigned number)
{
    atomic_store((atomic_int *)data, (int)number);
}

static void who_lost_its_number_to_another_takes_the_next(void **state)
{
    CLEANUP(db_free_at) Db *db = open_db("lease_number");
    CLEANUP(db_free_at) Db *admin = open_db("lease_admin");
    CLEANUP(lease_free_at) Lease *a = NULL;
    DbConn *thief = NULL;
    CLEANUP(db_rows_done) DbRows rows = {0};
    atomic_int told = -1;
    unsigned number;
    (void)state;

    assert_ok(lease_number(db, NULL, "moving", 2, 1000, &a, &number));
    assert_int_equal(number, 0);
    lease_follow_number(a, take_note, &told);
    assert_int_equal(atomic_load(&told), -1);
    /* Waits for the lock before it is free: it gets it before anybody who asks later. */
    assert_ok(db_conn_open(admin, 1000, &thief));
    assert_ok(db_conn_query(thief, 5000,
                            "SELECT pg_terminate_backend(pid), pg_advisory_lock(hashtextextended("
                            "current_schema() || '/lease/moving/0', 0)) FROM pg_stat_activity"
                            " WHERE application_name = 'lease_number'",
                            DB_NO_ARGS, &rows));
    WAIT_UNTIL(atomic_load(&told) == 1);
    WAIT_UNTIL(lease_held(a));
    db_conn_close(thief);
}

/* In a process of its own: holds the lease, says so, and after it has been stopped says whether it still thinks so. */
static _Noreturn void hold_and_tell(int out)
{
    enum { STOPPED_MS = 1000 };
    Db *db = open_db("lease_stopped");
    Lease *a = lease_new(db, NULL, "stopped", 300);
    int64_t last_ms = clock_monotonic_ms(&SYSTEM_CLOCK);

    while (!lease_held(a))
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    (void)!write(out, "h", 1); /* the other end notices */
    for (;;) {
        int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);

        if (now_ms - last_ms > STOPPED_MS) {
            (void)!write(out, lease_held(a) ? "h" : "-", 1);
            _exit(0);
        }
        last_ms = now_ms;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void a_holder_that_hangs_loses_it_and_knows(void **state)
{
    CLEANUP(db_free_at) Db *db = NULL;
    CLEANUP(lease_free_at) Lease *b = NULL;
    int ends[2];
    char said = 0;
    pid_t holder;
    (void)state;

    assert_int_equal(pipe(ends), 0);
    holder = fork();
    if (holder == 0)
        hold_and_tell(ends[1]);
    assert_int_equal(read(ends[0], &said, 1), 1);
    db = open_db("lease_test");
    b = lease_new(db, NULL, "stopped", 20);
    kill(holder, SIGSTOP);
    WAIT_UNTIL(lease_held(b));
    kill(holder, SIGCONT);
    assert_int_equal(read(ends[0], &said, 1), 1);
    assert_int_equal(said, '-');
    waitpid(holder, NULL, 0);
    close(ends[0]);
    close(ends[1]);
}

static void no_database_no_number(void **state)
{
    CLEANUP(db_free_at) Db *db = NULL;
    Lease *a = NULL;
    unsigned number;
    (void)state;

    assert_ok(db_new(&(DbOptions){.url = "postgresql://x@127.0.0.1:1/x", .pool_size = 1}, &db));
    assert_reason(lease_number(db, NULL, "worker", 2, 100, &a, &number), &UNAVAILABLE);
    lease_free(lease_new(db, NULL, "relay", 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_at_a_time_holds_it),
        cmocka_unit_test(a_cut_connection_hands_it_over),
        cmocka_unit_test(a_lost_lease_is_taken_again),
        cmocka_unit_test(numbers_are_unique_and_come_back),
        cmocka_unit_test(a_number_survives_its_connection),
        cmocka_unit_test(who_lost_its_number_to_another_takes_the_next),
        cmocka_unit_test(a_holder_that_hangs_loses_it_and_knows),
        cmocka_unit_test(no_database_no_number),
    };
    return RUN(tests);
}
