/* Tests of migrate with a real PostgreSQL (TEST_DATABASE_URL, a superuser). The migrations are this file's own: they
 * take the place of the generated ones. */
#include "shared/migrate.h"

#include <pthread.h>

#include "atrium/reasons.atrium.h"
#include "shared/db_testing.h"

const Migration MIGRATIONS[] = {
    {"shared", 1, "0001_common", "CREATE TABLE common (id bigint GENERATED ALWAYS AS IDENTITY, x int)"},
    {"migrationtest", 1, "0001_first", "CREATE TABLE first (id bigint); CREATE INDEX ON first (id);"},
    {"migrationtest", 2, "0002_second",
     "-- a comment\nINSERT INTO first SELECT generate_series(1, 3); ALTER TABLE first ADD y text;"},
};
const size_t MIGRATION_COUNT = ARRAY_LEN(MIGRATIONS);
const char *const MIGRATION_SERVICES[] = {"migrationtest"};
const size_t MIGRATION_SERVICE_COUNT = 1;

static Db *open_as(const char *user, const char *password)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const char *url = testing_database_url();
    Db *db = NULL;

    if (url && user)
        url = arena_printf(mem, "%s%suser=%s&password=%s", url, strchr(url, '?') ? "&" : "?", user, password);
    assert_ok(db_new(
        &(DbOptions){.url = url, .schema = user ? "migrationtest" : NULL, .pool_size = 2, .acquire_timeout_ms = 5000},
        &db));
    return db;
}

static Err try_script(Db *db, const char *script)
{
    DbConn *conn = NULL;
    Err e;

    assert_ok(db_conn_open(db, 5000, &conn));
    e = db_conn_script(conn, 5000, NULL, script, NULL);
    db_conn_close(conn);
    return e;
}

static int drop_all(void **state)
{
    CLEANUP(db_free_at) Db *db = open_as(NULL, "");
    (void)state;
    testing_run_script(db,
                       "DROP SCHEMA IF EXISTS migrationtest CASCADE;"
                       "DO $$ DECLARE r text; BEGIN FOREACH r IN ARRAY ARRAY['atrium_migrationtest',"
                       "'atrium_migrationtest_owner'] LOOP IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = r) THEN "
                       "EXECUTE 'DROP OWNED BY ' || r; EXECUTE 'DROP ROLE ' || r; END IF; END LOOP; END $$");
    return 0;
}

static const char *same_password(void *data, const char *service)
{
    (void)service;
    return data;
}

static Err migrate(Db *db, int64_t lock_wait_ms, int *applied)
{
    return migrate_run(&(MigrateOptions){.admin = db,
                                         .lock_wait_ms = lock_wait_ms,
                                         .statement_lock_ms = 100,
                                         .password = same_password,
                                         .data = (void *)"it's secret"},
                       applied);
}

static void a_second_run_has_nothing_to_do(void **state)
{
    CLEANUP(db_free_at) Db *db = open_as(NULL, "");
    int applied = -1;
    (void)state;

    assert_ok(migrate(db, 5000, &applied));
    assert_int_equal(applied, 3);
    assert_ok(migrate(db, 5000, &applied));
    assert_int_equal(applied, 0);
}

static void the_runtime_role_reads_and_writes_but_defines_nothing(void **state)
{
    CLEANUP(db_free_at) Db *db = open_as(NULL, "");
    CLEANUP(db_free_at) Db *runtime = NULL;
    static const char *const allowed[] = {"INSERT INTO common (x) VALUES (1)", "UPDATE first SET y = 'z'",
                                          "DELETE FROM first", "SELECT * FROM schema_migration"};
    static const char *const refused[] = {"CREATE TABLE mine (x int)",
                                          "CREATE TABLE public.mine (x int)",
                                          "CREATE TEMPORARY TABLE mine (x int)",
                                          "CREATE SCHEMA mine",
                                          "ALTER TABLE first ADD z int",
                                          "DROP TABLE first",
                                          "TRUNCATE first",
                                          "DELETE FROM schema_migration",
                                          "SET ROLE atrium_migrationtest_owner"};
    int applied;
    (void)state;

    assert_ok(migrate(db, 5000, &applied));
    runtime = open_as("atrium_migrationtest", "it's%20secret");
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
        assert_ok(try_script(runtime, allowed[i]));
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        assert_reason(try_script(runtime, refused[i]), &INTERNAL);
}

static void a_changed_file_is_an_error(void **state)
{
    CLEANUP(db_free_at) Db *db = open_as(NULL, "");
    int applied;
    Err e;
    (void)state;

    assert_ok(migrate(db, 5000, &applied));
    testing_run_script(db, "UPDATE migrationtest.schema_migration SET checksum = 'other' WHERE name = '0001_first'");
    e = migrate(db, 5000, &applied);
    assert_ptr_equal(e.reason, &PRECONDITION_FAILED);
    assert_non_null(strstr(e.text, "0001_first"));
}

static void a_failed_file_leaves_nothing_behind(void **state)
{
    CLEANUP(db_free_at) Db *db = open_as(NULL, "");
    int applied;
    Err e;
    (void)state;

    assert_ok(migrate(db, 5000, &applied));
    /* 0001_first runs again and collides with the table that is still there. */
    testing_run_script(db, "DELETE FROM migrationtest.schema_migration WHERE origin = 'migrationtest'");
    e = migrate(db, 5000, &applied);
    assert_true(err_failed(e));
    assert_non_null(strstr(e.text, "already exists"));
    testing_run_script(db, "DROP TABLE migrationtest.first");
    assert_ok(migrate(db, 5000, &applied));
    assert_int_equal(applied, 2);
}

static void *migrate_in_parallel(void *data)
{
    CLEANUP(db_free_at) Db *db = open_as(NULL, "");
    Err e = migrate(db, 20000, data);

    return err_failed(e) ? (void *)e.reason->key : NULL;
}

static void parallel_runs_apply_each_file_once(void **state)
{
    pthread_t threads[4];
    int applied[4] = {0}, total = 0;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, migrate_in_parallel, &applied[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *failure;
        pthread_join(threads[i], &failure);
        assert_null(failure);
        total += applied[i];
    }
    assert_int_equal(total, 3);
}

static void a_locked_table_delays_a_migration_without_queueing(void **state)
{
    CLEANUP(db_free_at) Db *db = open_as(NULL, "");
    CLEANUP(db_tx_done) DbTx tx = {0};
    int applied;
    (void)state;

    assert_ok(migrate(db, 5000, &applied));
    testing_run_script(db, "DELETE FROM migrationtest.schema_migration WHERE name = '0002_second';"
                           "ALTER TABLE migrationtest.first DROP y");
    assert_ok(db_tx_begin_with(db, 10000, &tx));
    assert_ok(db_exec(&tx, "LOCK TABLE migrationtest.first IN EXCLUSIVE MODE", DB_NO_ARGS));
    assert_reason(migrate(db, 300, &applied), &UNAVAILABLE);
    db_tx_done(&tx);
    assert_ok(migrate(db, 5000, &applied));
    assert_int_equal(applied, 1);
}

static void count_rows(void *data, const Migration *m, int64_t applied_us)
{
    int *counts = data;

    assert_string_equal(m->service, "migrationtest");
    counts[applied_us != 0]++;
}

static void status_tells_what_is_to_come(void **state)
{
    CLEANUP(db_free_at) Db *db = open_as(NULL, "");
    int before[2] = {0}, after[2] = {0}, applied;
    (void)state;

    assert_ok(migrate_status(db, count_rows, before));
    assert_int_equal(before[0], 3);
    assert_ok(migrate(db, 5000, &applied));
    assert_ok(migrate_status(db, count_rows, after));
    assert_int_equal(after[1], 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_second_run_has_nothing_to_do, drop_all, drop_all),
        cmocka_unit_test_setup_teardown(the_runtime_role_reads_and_writes_but_defines_nothing, drop_all, drop_all),
        cmocka_unit_test_setup_teardown(a_changed_file_is_an_error, drop_all, drop_all),
        cmocka_unit_test_setup_teardown(a_failed_file_leaves_nothing_behind, drop_all, drop_all),
        cmocka_unit_test_setup_teardown(parallel_runs_apply_each_file_once, drop_all, drop_all),
        cmocka_unit_test_setup_teardown(a_locked_table_delays_a_migration_without_queueing, drop_all, drop_all),
        cmocka_unit_test_setup_teardown(status_tells_what_is_to_come, drop_all, drop_all),
    };
    return RUN(tests);
}
