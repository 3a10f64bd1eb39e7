/* schema_testing: the tables of a service in a schema of the test's own, on the PostgreSQL of TEST_DATABASE_URL, so
 * that stores and handlers are tested as they are, side by side. For tests; by tests/run-units. */
#pragma once
#include "shared/db_testing.h"
#include "shared/migrate.h"
#include "shared/rpc.h"

enum { TEST_SCHEMA_CONNECTIONS = 8, TEST_SCHEMA_SCRIPT_MS = 60000, TEST_SCHEMA_REQUEST_MS = 60000 };

typedef struct TestSchema {
    Db *db;
    Arena *mem;
    IdSource *ids;
    int64_t now_us; /* free for the test's use; clock's time */
    Clock clock;    /* stands still at now_us */
    char name[64];  /* unique */
} TestSchema;

static inline int64_t test_schema_now_us(void *context)
{
    return ((const TestSchema *)context)->now_us;
}

/* Several statements, in the schema. Fails the test on any error. */
static inline void test_schema_script(TestSchema *s, const char *sql)
{
    char *detail = NULL;
    DbConn *conn = NULL;
    Err e;

    assert_ok(db_conn_open(s->db, 5000, &conn));
    e = db_conn_script(conn, TEST_SCHEMA_SCRIPT_MS, s->mem, sql, &detail);
    db_conn_close(conn);
    if (err_failed(e))
        fail_msg("%s", detail ? detail : e.text);
}

static inline void test_schema_migrate(TestSchema *s, const Migration *m)
{
    DbConn *conn = NULL;

    assert_ok(db_conn_open(s->db, 5000, &conn));
    assert_ok(migrate_extensions(conn, s->mem, m->sql));
    db_conn_close(conn);
    test_schema_script(s, m->sql);
}

/* The library's tables and those of `service`. `s` stays where it is until test_schema_drop: the clock refers to it. */
static inline void test_schema_make(TestSchema *s, const char *service)
{
    *s = (TestSchema){.mem = arena_new(65536), .now_us = clock_unix_us(&SYSTEM_CLOCK)};
    s->clock = (Clock){.unix_us = test_schema_now_us, .monotonic_us = SYSTEM_CLOCK.monotonic_us, .context = s};
    s->ids = id_source_new(&SYSTEM_CLOCK, 7);
    snprintf(s->name, sizeof(s->name), "%s_test_%016" PRIx64, service, random_uint64());
    assert_ok(db_new(&(DbOptions){.url = testing_database_url(),
                                  .schema = s->name,
                                  .application_name = s->name,
                                  .pool_size = TEST_SCHEMA_CONNECTIONS,
                                  .acquire_timeout_ms = 5000},
                     &s->db));
    test_schema_script(s, arena_printf(s->mem, "CREATE SCHEMA %s", s->name));
    for (size_t i = 0; i < MIGRATION_COUNT; i++)
        if (strcmp(MIGRATIONS[i].service, "shared") == 0 || strcmp(MIGRATIONS[i].service, service) == 0)
            test_schema_migrate(s, &MIGRATIONS[i]);
}

static inline void test_schema_drop(TestSchema *s)
{
    test_schema_script(s, arena_printf(s->mem, "DROP SCHEMA %s CASCADE", s->name));
    db_free(s->db);
    id_source_free(s->ids);
    arena_free(s->mem);
}

/* The first column of the first row. */
static inline int64_t test_schema_count(TestSchema *s, const char *sql)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(db_read_with(s->db, 5000, sql, DB_NO_ARGS, &rows));
    return db_get_int64(&rows, 0, 0);
}

/* As it comes from the gateway, with 60 s to go: of nobody (0), or of a logged-in user. */
static inline Request test_schema_request(TestSchema *s, const void *service, int64_t user_id)
{
    return (Request){.mem = s->mem,
                     .service = service,
                     .caller = {.kind = user_id ? CALLER_PERSON : CALLER_NOBODY,
                                .user_id = user_id,
                                .role = user_id ? ROLE_USER : ROLE_NONE,
                                .username = user_id ? "someone" : "",
                                .login_id = "",
                                .service = ""},
                     .profile = "all",
                     .client_address = "192.0.2.7",
                     .id = "test",
                     .clock = &s->clock,
                     .deadline_ms = clock_monotonic_ms(&s->clock) + TEST_SCHEMA_REQUEST_MS,
                     .db = s->db};
}
