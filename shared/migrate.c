/* migrate: see the header. Names that go into DDL are constants of the build, checked all the same: DDL takes no
 * parameters. */
#include "shared/migrate.h"

#include <sodium.h>

#include "atrium/reasons.atrium.h"

enum {
    SCRIPT_TIMEOUT_MS = 600000, /* one migration file */
    STEP_TIMEOUT_MS = 10000,    /* everything else */
    POLL_MS = 50,
    CHECKSUM_BYTES = 2 * crypto_hash_sha256_BYTES + 1
};

typedef struct Run {
    const MigrateOptions *options;
    DbConn *conn;
    Arena *mem;
    int64_t deadline_ms;
    int applied;
} Run;

static int64_t now_ms(void)
{
    return clock_monotonic_ms(&SYSTEM_CLOCK);
}

static void pause_ms(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static bool name_ok(const char *name)
{
    return *name >= 'a' && *name <= 'z' && strlen(name) < 32 &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static void checksum(const char *sql, char out[CHECKSUM_BYTES])
{
    unsigned char hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(hash, (const unsigned char *)sql, strlen(sql));
    sodium_bin2hex(out, CHECKSUM_BYTES, hash, sizeof hash);
}

static bool belongs(const Migration *m, const char *service)
{
    return strcmp(m->service, "shared") == 0 || strcmp(m->service, service) == 0;
}

/* What the operator needs to see is PostgreSQL's own message: `atrium migrate` is for those who may. */
static Err script(Run *run, int64_t timeout_ms, const char *text)
{
    char *detail = NULL;
    Err e = db_conn_script(run->conn, timeout_ms, run->mem, text, &detail);

    if (err_failed(e) && detail)
        e = err_make(e.reason, "%.*s", (int)strcspn(detail, "\n"), detail);
    return e;
}

/* --- roles and schema ----------------------------------------------------------------------------------------------
 */
static Err ensure_role(Run *run, const char *role, const char *attributes)
{
    static const char EXISTS[] = "SELECT 1 FROM pg_roles WHERE rolname = $1";
    CLEANUP(db_rows_done) DbRows rows = {0};
    Err e;

    TRY(db_conn_query(run->conn, STEP_TIMEOUT_MS, EXISTS, DB_ARGS(db_text(slice(role))), &rows));
    if (rows.count == 1)
        return OK;
    e = script(run, STEP_TIMEOUT_MS, arena_printf(run->mem, "CREATE ROLE %s %s", role, attributes));
    if (!err_failed(e))
        return OK;
    /* Roles belong to the whole cluster: another database's run may have made it just now. */
    TRY(db_conn_query(run->conn, STEP_TIMEOUT_MS, EXISTS, DB_ARGS(db_text(slice(role))), &rows));
    return rows.count == 1 ? OK : e;
}

/* An administrator that is no superuser acts as the owner by membership. */
static Err ensure_member(Run *run, const char *owner)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_conn_query(run->conn, STEP_TIMEOUT_MS, "SELECT pg_has_role(current_user, $1::text::name, 'MEMBER')",
                      DB_ARGS(db_text(slice(owner))), &rows));
    if (db_get_bool(&rows, 0, 0))
        return OK;
    return script(run, STEP_TIMEOUT_MS, arena_printf(run->mem, "GRANT %s TO CURRENT_USER", owner));
}

static Err set_password(Run *run, const char *service)
{
    const MigrateOptions *o = run->options;
    const char *password = o->password ? o->password(o->data, service) : NULL;
    char *role = arena_printf(run->mem, "atrium_%s", service), *verifier;

    if (!password || !*password)
        return OK;
    TRY(db_conn_encrypt_password(run->conn, run->mem, role, password, &verifier));
    return script(run, STEP_TIMEOUT_MS, arena_printf(run->mem, "ALTER ROLE %s PASSWORD '%s'", role, verifier));
}

/* Nobody but administrators creates anything in "public" or temporary tables; only the database's owner can say so. */
static Err close_database(Run *run)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_conn_query(run->conn, STEP_TIMEOUT_MS,
                      "SELECT pg_has_role(current_user, datdba, 'USAGE'), quote_ident(datname) FROM pg_database "
                      "WHERE datname = current_database()",
                      DB_NO_ARGS, &rows));
    if (!db_get_bool(&rows, 0, 0))
        return OK;
    return script(run, STEP_TIMEOUT_MS,
                  arena_printf(run->mem,
                               "REVOKE CREATE ON SCHEMA public FROM PUBLIC; REVOKE CREATE, TEMPORARY ON DATABASE %s "
                               "FROM PUBLIC",
                               db_get_cstr(run->mem, &rows, 0, 1)));
}

static Err ensure_schema(Run *run, const char *service)
{
    char *owner = arena_printf(run->mem, "atrium_%s_owner", service);
    char *runtime = arena_printf(run->mem, "atrium_%s", service);

    TRY(ensure_role(run, owner, "NOLOGIN"));
    TRY(ensure_role(run, runtime, "LOGIN"));
    TRY(ensure_member(run, owner));
    TRY(set_password(run, service));
    return script(
        run, STEP_TIMEOUT_MS,
        arena_printf(run->mem,
                     "CREATE SCHEMA IF NOT EXISTS %1$s AUTHORIZATION %2$s;"
                     "REVOKE ALL ON SCHEMA %1$s FROM PUBLIC;"
                     "REVOKE ALL ON SCHEMA %1$s FROM %3$s;"
                     "GRANT USAGE ON SCHEMA %1$s TO %3$s;"
                     "ALTER DEFAULT PRIVILEGES FOR ROLE %2$s IN SCHEMA %1$s"
                     "  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %3$s;"
                     "ALTER DEFAULT PRIVILEGES FOR ROLE %2$s IN SCHEMA %1$s GRANT USAGE, SELECT ON SEQUENCES TO %3$s;"
                     "SET LOCAL ROLE %2$s;"
                     "CREATE TABLE IF NOT EXISTS %1$s.schema_migration ("
                     "  origin text, number integer, name text NOT NULL, checksum text NOT NULL,"
                     "  applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (origin, number));"
                     "REVOKE INSERT, UPDATE, DELETE ON %1$s.schema_migration FROM %3$s",
                     service, owner, runtime));
}

/* --- extensions -------------------------------------------------------------------------------------------------- */
static Err ensure_extension(DbConn *conn, Arena *mem, const char *name)
{
    static const char EXISTS[] = "SELECT 1 FROM pg_extension WHERE extname = $1";
    CLEANUP(db_rows_done) DbRows rows = {0};
    char *detail = NULL;
    Err e;

    if (!name_ok(name))
        return err_make(&INVALID_ARGUMENT, "extension %s: lower-case letters, digits and _", name);
    TRY(db_conn_query(conn, STEP_TIMEOUT_MS, EXISTS, DB_ARGS(db_text(slice(name))), &rows));
    if (rows.count == 1)
        return OK;
    e = db_conn_script(conn, STEP_TIMEOUT_MS, mem, arena_printf(mem, "CREATE EXTENSION %s SCHEMA public", name),
                       &detail);
    if (!err_failed(e))
        return OK;
    /* Extensions belong to the whole database: another schema's run may have made it just now. */
    db_rows_done(&rows);
    rows = (DbRows){0};
    TRY(db_conn_query(conn, STEP_TIMEOUT_MS, EXISTS, DB_ARGS(db_text(slice(name))), &rows));
    if (rows.count == 1)
        return OK;
    return detail ? err_make(e.reason, "%.*s", (int)strcspn(detail, "\n"), detail) : e;
}

Err migrate_extensions(DbConn *conn, Arena *mem, const char *sql)
{
    static const Slice MARK = SLICE_LIT("-- extension: ");
    Slice rest = slice(sql), line;

    while (rest.len) {
        (void)slice_cut(rest, '\n', &line, &rest); /* false is the last one */
        if (slice_starts_with(line, MARK))
            TRY(ensure_extension(conn, mem, slice_cstr(mem, slice_trim(slice_skip(line, MARK.len)))));
    }
    return OK;
}

/* --- migrations -------------------------------------------------------------------------------------------------- */
/* NULL when it is still to come. */
static Err find_applied(Run *run, const char *service, const Migration *m, const char **out_checksum, int64_t *out_us)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    /* The address of a statement is its key, so one that is made at run time cannot be prepared: the schema is set, and
     * the text stays constant. */
    static const char FIND[] = "SELECT checksum, applied_at FROM schema_migration WHERE origin = $1 AND number = $2";

    TRY(script(run, STEP_TIMEOUT_MS, arena_printf(run->mem, "SET search_path = %s", service)));
    TRY(db_conn_query(run->conn, STEP_TIMEOUT_MS, FIND, DB_ARGS(db_text(slice(m->service)), db_int64(m->number)),
                      &rows));
    *out_checksum = rows.count ? db_get_cstr(run->mem, &rows, 0, 0) : NULL;
    *out_us = rows.count ? db_get_time_us(&rows, 0, 1) : 0;
    return OK;
}

static Err apply_once(Run *run, const char *service, const Migration *m)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    char sum[CHECKSUM_BYTES];

    checksum(m->sql, sum);
    TRY(migrate_extensions(run->conn, run->mem, m->sql));
    TRY(db_conn_begin(run->conn, SCRIPT_TIMEOUT_MS, &tx));
    TRY(script(run, STEP_TIMEOUT_MS,
               arena_printf(run->mem,
                            "SET LOCAL lock_timeout = %" PRId64 "; SET LOCAL ROLE atrium_%s_owner;"
                            "SET LOCAL search_path = %s, public",
                            MAX(run->options->statement_lock_ms, 1), service, service)));
    TRY(script(run, SCRIPT_TIMEOUT_MS, m->sql));
    TRY(db_exec(
        &tx, "INSERT INTO schema_migration (origin, number, name, checksum) VALUES ($1, $2, $3, $4)",
        DB_ARGS(db_text(slice(m->service)), db_int64(m->number), db_text(slice(m->name)), db_text(slice(sum)))));
    return db_tx_commit(&tx);
}

/* A lock that is not given soon is asked for again later, so that live traffic is not held up behind the waiting DDL.
 */
static Err apply(Run *run, const char *service, const Migration *m)
{
    Err e;

    for (;;) {
        e = apply_once(run, service, m);
        if (!err_failed(e) || e.reason != &UNAVAILABLE || !db_conn_alive(run->conn) || now_ms() >= run->deadline_ms)
            break;
        pause_ms(POLL_MS);
    }
    TRY(err_wrap(e, arena_printf(run->mem, "%s %s", service, m->name)));
    run->applied++;
    if (run->options->progress)
        run->options->progress(run->options->data, service, m->name);
    return OK;
}

static Err migrate_service(Run *run, const char *service)
{
    if (!name_ok(service))
        return err_make(&INVALID_ARGUMENT, "%s: lower-case letters, digits and _", service);
    TRY(err_wrap(ensure_schema(run, service), service));
    for (size_t i = 0; i < MIGRATION_COUNT; i++) {
        const Migration *m = &MIGRATIONS[i];
        const char *applied_sum;
        char sum[CHECKSUM_BYTES];
        int64_t applied_us;

        if (!belongs(m, service))
            continue;
        TRY(find_applied(run, service, m, &applied_sum, &applied_us));
        checksum(m->sql, sum);
        if (applied_sum && strcmp(applied_sum, sum) != 0)
            return err_make(&PRECONDITION_FAILED, "%s %s has changed since it was applied", service, m->name);
        if (!applied_sum)
            TRY(apply(run, service, m));
    }
    return OK;
}

/* --- what others call -------------------------------------------------------------------------------------------- */
/* A polled try-lock: a waiting pg_advisory_lock would hold a snapshot, and with it CREATE INDEX CONCURRENTLY and
 * vacuum. */
static Err lock_out_others(Run *run)
{
    do {
        CLEANUP(db_rows_done) DbRows rows = {0};
        TRY(db_conn_query(run->conn, STEP_TIMEOUT_MS,
                          "SELECT pg_try_advisory_lock(hashtextextended('atrium/migrate', 0))", DB_NO_ARGS, &rows));
        if (db_get_bool(&rows, 0, 0))
            return OK;
        pause_ms(POLL_MS);
    } while (now_ms() < run->deadline_ms);
    return err_make(&UNAVAILABLE, "another migration is running");
}

static Err run_all(Run *run)
{
    if (sodium_init() < 0)
        return err_make(&INTERNAL, "libsodium does not start");
    TRY(lock_out_others(run));
    TRY(close_database(run));
    for (size_t i = 0; i < MIGRATION_SERVICE_COUNT; i++)
        TRY(migrate_service(run, MIGRATION_SERVICES[i]));
    return OK;
}

Err migrate_run(const MigrateOptions *options, int *out_applied)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    Run run = {.options = options, .mem = mem, .deadline_ms = now_ms() + options->lock_wait_ms};
    Err e;

    TRY(db_conn_open(options->admin, STEP_TIMEOUT_MS, &run.conn));
    e = run_all(&run);
    db_conn_close(run.conn); /* the lock goes with it */
    if (!err_failed(e))
        *out_applied = run.applied;
    return e;
}

static Err status_of_service(Run *run, const char *service,
                             void (*row)(void *data, const Migration *m, int64_t applied_us), void *data)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    bool exists;

    if (!name_ok(service))
        return err_make(&INVALID_ARGUMENT, "%s: lower-case letters, digits and _", service);
    TRY(db_conn_query(run->conn, STEP_TIMEOUT_MS, "SELECT to_regclass($1 || '.schema_migration') IS NOT NULL",
                      DB_ARGS(db_text(slice(service))), &rows));
    exists = db_get_bool(&rows, 0, 0);
    for (size_t i = 0; i < MIGRATION_COUNT; i++) {
        /* A shared file is reported under the service that it is applied to. */
        Migration m = MIGRATIONS[i];
        const char *sum;
        int64_t applied_us = 0;

        if (!belongs(&m, service))
            continue;
        if (exists)
            TRY(find_applied(run, service, &m, &sum, &applied_us));
        m.service = service;
        row(data, &m, applied_us);
    }
    return OK;
}

Err migrate_status(Db *admin, void (*row)(void *data, const Migration *m, int64_t applied_us), void *data)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    Run run = {.mem = mem};
    Err e = OK;

    TRY(db_conn_open(admin, STEP_TIMEOUT_MS, &run.conn));
    for (size_t i = 0; i < MIGRATION_SERVICE_COUNT && !err_failed(e); i++)
        e = status_of_service(&run, MIGRATION_SERVICES[i], row, data);
    db_conn_close(run.conn);
    return e;
}
