/* migrate: schemas, roles and numbered migrations, for `atrium migrate`. Forward only. Each service has a schema, an
 * owner role (no login, DDL) and a runtime role (login, no DDL). A polled try-lock keeps several runs apart; each file
 * runs in its own transaction under a lock timeout, so that a migration never queues behind live traffic for long.
 * The files are embedded at build time: shared/migrations/ first (outbox, idempotency), then the service's own. */
#pragma once
#include "shared/db.h"

typedef struct Migration {
    const char *service; /* "auth"; "shared" files are applied to every service's schema */
    int number;
    const char *name; /* "0001_accounts" */
    const char *sql;
} Migration;
/* Generated: build/gen/migrations.c, ordered by service and number. */
extern const Migration MIGRATIONS[];
extern const size_t MIGRATION_COUNT;
extern const char *const MIGRATION_SERVICES[]; /* services that have a schema */
extern const size_t MIGRATION_SERVICE_COUNT;

/* Makes the extensions that a file asks for by lines of their own, "-- extension: pg_trgm", in schema "public". Of an
 * administrator: owners of schemas may not. For migrate_run, and for tests' schemas. */
Err migrate_extensions(DbConn *conn, Arena *mem, const char *sql) MUST_CHECK;

typedef struct MigrateOptions {
    Db *admin;                 /* a role that may create roles and schemas */
    int64_t lock_wait_ms;      /* for another run to finish */
    int64_t statement_lock_ms; /* lock_timeout of a migration; tried again until lock_wait_ms is over */
    /* Password of a service's runtime role; NULL or "" leaves it as it is. */
    const char *(*password)(void *data, const char *service);
    void (*progress)(void *data, const char *service, const char *name); /* may be NULL */
    void *data;
} MigrateOptions;
Err migrate_run(const MigrateOptions *options, int *out_applied) MUST_CHECK;
/* Calls `row` for every migration; applied_us is 0 for one that is still to come. */
Err migrate_status(Db *admin, void (*row)(void *data, const Migration *m, int64_t applied_us), void *data) MUST_CHECK;
