/* db_testing: for tests on a real PostgreSQL: where it is, and scripts that prepare it. */
#pragma once
#include "shared/db.h"
#include "shared/testing.h"

/* A superuser on a private cluster. Fails the test when it is not set. */
static inline const char *testing_database_url(void)
{
    const char *url = getenv("TEST_DATABASE_URL");

    if (!url)
        fail_msg("%s", "TEST_DATABASE_URL is not set: run through tests/run-units");
    return url;
}

/* One text of several statements, on a connection of its own. A failure fails the test with PostgreSQL's message. */
static inline void testing_run_script(Db *db, const char *script)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    DbConn *conn = NULL;
    char *detail = NULL;
    Err e;

    assert_ok(db_conn_open(db, 5000, &conn));
    e = db_conn_script(conn, 5000, mem, script, &detail);
    db_conn_close(conn);
    if (err_failed(e))
        fail_msg("%s: %s", script, detail ? detail : e.text);
}
