/* store_schema: the tables of auth in a schema of the test's own. */
#include "services/auth/store_schema.h"

#include "shared/migrate.h"

enum { CONNECTIONS = 6, SCRIPT_TIMEOUT_MS = 20000 };

void store_schema_script(StoreSchema *s, const char *sql)
{
    char *detail = NULL;
    DbConn *conn;

    assert_ok(db_conn_open(s->db, 5000, &conn));
    if (err_failed(db_conn_script(conn, SCRIPT_TIMEOUT_MS, s->mem, sql, &detail)))
        fail_msg("%s", detail ? detail : "script failed");
    db_conn_close(conn);
}

int64_t store_schema_count(StoreSchema *s, const char *sql)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(db_read_with(s->db, 5000, sql, DB_NO_ARGS, &rows));
    return db_get_int64(&rows, 0, 0);
}

int store_schema_make(void **state)
{
    const char *url = getenv("TEST_DATABASE_URL");
    StoreSchema *s = xcalloc(1, sizeof(*s));

    if (!url)
        fail_msg("TEST_DATABASE_URL is not set: run this by tests/run-units");
    s->mem = arena_new(65536);
    s->ids = id_source_new(&SYSTEM_CLOCK, 7);
    snprintf(s->name, sizeof(s->name), "auth_test_%016" PRIx64, random_uint64());
    assert_ok(db_new(&(DbOptions){.url = url,
                                  .schema = s->name,
                                  .application_name = s->name,
                                  .pool_size = CONNECTIONS,
                                  .acquire_timeout_ms = 5000},
                     &s->db));
    store_schema_script(s, arena_printf(s->mem, "CREATE SCHEMA %s", s->name));
    for (size_t i = 0; i < MIGRATION_COUNT; i++)
        if (strcmp(MIGRATIONS[i].service, "shared") == 0 || strcmp(MIGRATIONS[i].service, "auth") == 0)
            store_schema_script(s, MIGRATIONS[i].sql);
    *state = s;
    return 0;
}

int store_schema_drop(void **state)
{
    StoreSchema *s = *state;

    store_schema_script(s, arena_printf(s->mem, "DROP SCHEMA %s CASCADE", s->name));
    db_free(s->db);
    id_source_free(s->ids);
    arena_free(s->mem);
    free(s);
    return 0;
}
