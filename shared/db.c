/* db: the pool, transactions, and what the rest of the platform calls. */
#include "shared/db.h"

#include <poll.h>

#include "atrium/reasons.atrium.h"
#include "shared/db_internal.h"
#include "shared/db_later.h"
#include "shared/rpc.h"

enum {
    DEFAULT_TIMEOUT_MS = 30000, /* of a request without a deadline: tests and tools */
    ROLLBACK_TIMEOUT_MS = 2000,
    COMMIT_MIN_MS =
        1000 /* a commit that was sent is waited for: its outcome matters more than a deadline just missed */
};

/* What is read often is in memory: a page in the middle costs about what the next one does. With PostgreSQL's default,
 * of turning disks, it reads and sorts all that fits a filter rather than follow an index to the end of a page of
 * results. The URL may say otherwise. */
static const char PLANNER_OPTIONS[] = "-c random_page_cost=1.1 ";

/* Sessions end what nobody waits for any more; a dead peer is noticed within half a minute, so that locks and leases
 * of a vanished host become free. */
static const char SESSION_OPTIONS[] =
    " -c idle_in_transaction_session_timeout=60s -c client_connection_check_interval=10s"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5"
    " -c tcp_keepalives_count=3 -c timezone=UTC";

/* --- the URL -------------------------------------------------------------------------------------------------------
 */
/* "postgresql+asyncpg://…", as Python's tools write it, is "postgresql://…". */
static char *without_driver(Arena *mem, const char *url)
{
    const char *rest = strstr(url, "://"), *plus = strchr(url, '+');

    if (!rest || !plus || plus > rest)
        return arena_strdup(mem, url);
    return arena_printf(mem, "%.*s%s", (int)(plus - url), url, rest);
}

static bool schema_name_ok(const char *name)
{
    return strlen(name) < 48 && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

typedef struct Parameters {
    const char **keywords, **values;
    int count;
} Parameters;

static void set_parameter(Parameters *p, const char *keyword, const char *value)
{
    p->keywords[p->count] = xstrdup(keyword);
    p->values[p->count++] = xstrdup(value);
}

/* What stands in the URL, and ours where it says nothing. Later ones win in libpq. */
static void fill_parameters(Arena *mem, const DbOptions *o, const PQconninfoOption *url, Parameters *out)
{
    const char *session = "";
    size_t max = 16;

    for (const PQconninfoOption *row = url; row->keyword; row++)
        max++;
    out->keywords = xcalloc(max, sizeof *out->keywords);
    out->values = xcalloc(max, sizeof *out->values);
    set_parameter(out, "connect_timeout", "10"); /* cancel requests follow it too */
    set_parameter(out, "tcp_user_timeout", "5000");
    set_parameter(out, "keepalives_idle", "10");
    set_parameter(out, "keepalives_interval", "5");
    set_parameter(out, "keepalives_count", "3");
    set_parameter(out, "client_encoding", "UTF8");
    if (o->application_name)
        set_parameter(out, "application_name", o->application_name);
    for (const PQconninfoOption *row = url; row->keyword; row++) {
        if (row->val && strcmp(row->keyword, "options") == 0)
            session = row->val;
        else if (row->val && strcmp(row->keyword, "client_encoding") != 0)
            set_parameter(out, row->keyword, row->val);
    }
    /* Extensions live in "public", where nobody but administrators may create anything. */
    set_parameter(out, "options",
                  arena_printf(mem, "%s%s%s%s%s", PLANNER_OPTIONS, session, SESSION_OPTIONS,
                               o->schema ? arena_printf(mem, " -c search_path=%s,public", o->schema) : "", ""));
}

static Err read_url(const DbOptions *o, Db *db)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Parameters parameters = {0};
    char *problem = NULL;
    PQconninfoOption *url = PQconninfoParse(without_driver(mem, o->url), &problem);

    if (!url) {
        /* libpq's words quote the URL, which holds a password. */
        PQfreemem(problem);
        return err_make(&UNAVAILABLE, "database URL cannot be read");
    }
    fill_parameters(mem, o, url, &parameters);
    PQconninfoFree(url);
    db->keywords = parameters.keywords;
    db->parameters = parameters.values;
    return OK;
}

/* --- making and freeing ----------------------------------------------------------------------------------------------
 */
static void add_metrics(Db *db, Metrics *metrics)
{
    static const char CONNECTIONS[] = "atrium_db_connections", HELP[] = "Database connections of the pool, by state.";

    db->metrics = metrics;
    db->seconds = metrics_histogram(metrics, "atrium_db_query_duration_seconds",
                                    "Time of a statement, waiting for the server included.", "", METRICS_LATENCY_BOUNDS,
                                    METRICS_LATENCY_BOUND_COUNT);
    db->busy = metrics_gauge(metrics, CONNECTIONS, HELP, "state=\"busy\"");
    db->idle = metrics_gauge(metrics, CONNECTIONS, HELP, "state=\"idle\"");
    gauge_set(db->busy, 0);
    gauge_set(db->idle, 0);
}

Err db_new(const DbOptions *options, Db **out)
{
    CLEANUP(db_free_at) Db *db = xcalloc(1, sizeof *db);
    pthread_condattr_t attributes;

    pthread_mutex_init(&db->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&db->given_back, &attributes);
    pthread_condattr_destroy(&attributes);
    if (options->schema && !schema_name_ok(options->schema))
        return err_make(&UNAVAILABLE, "database schema: lower-case letters, digits and _");
    TRY(read_url(options, db));
    db->log = options->log;
    db->acquire_timeout_ms = options->acquire_timeout_ms > 0 ? options->acquire_timeout_ms : 1000;
    db->pool_size = MAX(options->pool_size, 1);
    db->conns = xcalloc((size_t)db->pool_size, sizeof *db->conns);
    for (int i = 0; i < db->pool_size; i++) {
        DbConn *conn = &db->conns[i];
        conn->db = db;
        conn->pooled = true;
        conn->next = db->free;
        db->free = conn;
    }
    if (options->metrics)
        add_metrics(db, options->metrics);
    *out = MOVE(db);
    return OK;
}

void db_free(Db *db)
{
    if (!db)
        return;
    for (int i = 0; i < db->pool_size; i++)
        db_conn_disconnect(&db->conns[i]);
    for (int i = 0; db->keywords && db->keywords[i]; i++) {
        free((char *)db->keywords[i]);
        free((char *)db->parameters[i]);
    }
    free(db->keywords);
    free(db->parameters);
    free(db->conns);
    pthread_cond_destroy(&db->given_back);
    pthread_mutex_destroy(&db->lock);
    free(db);
}

/* --- the pool ---------------------------------------------------------------------------------------------------- */
static void forget_waiter(Db *db, const DbWaiter *waiter)
{
    DbWaiter **at = &db->waiters;

    while (*at && *at != waiter)
        at = &(*at)->next;
    if (*at)
        *at = waiter->next;
}

/* With the lock, which is given up while the fiber sleeps. False: too late. */
static bool wait_in_fiber(Db *db, int64_t until_ms)
{
    DbWaiter waiter = {.fiber = fiber_current()}, **at = &db->waiters;
    bool in_time;

    while (*at)
        at = &(*at)->next;
    *at = &waiter;
    pthread_mutex_unlock(&db->lock);
    in_time = fiber_park(until_ms);
    pthread_mutex_lock(&db->lock);
    forget_waiter(db, &waiter);
    return in_time;
}

static bool wait_given_back(Db *db, int64_t until_ms)
{
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};

    if (fiber_current())
        return wait_in_fiber(db, until_ms);
    return pthread_cond_timedwait(&db->given_back, &db->lock, &until) == 0;
}

static DbConn *wait_for_free(Db *db, int64_t until_ms)
{
    DbConn *conn;

    pthread_mutex_lock(&db->lock);
    while (!db->free)
        if (!wait_given_back(db, until_ms) && !db->free)
            break;
    conn = db->free;
    if (conn)
        db->free = conn->next;
    pthread_mutex_unlock(&db->lock);
    return conn;
}

/* Something to read on an idle connection is its end (or a notice, which is read and dropped). */
static bool still_good(const DbConn *conn)
{
    struct pollfd fd = {.fd = PQsocket(conn->pg), .events = POLLIN | POLLRDHUP};

    if (PQstatus(conn->pg) != CONNECTION_OK)
        return false;
    return poll(&fd, 1, 0) == 0 || (PQconsumeInput(conn->pg) && !(fd.revents & (POLLHUP | POLLRDHUP)));
}

/* Back to the front when it is connected, so that the warm ones are used; to the end when it is not. */
static void give_back(DbConn *conn)
{
    Db *db = conn->db;
    DbConn **at = &db->free;

    if (!conn->pooled)
        return;
    if (conn->pg && db->busy)
        gauge_add(db->busy, -1);
    if (conn->broken)
        db_conn_disconnect(conn);
    if (conn->pg && db->idle)
        gauge_add(db->idle, 1);
    pthread_mutex_lock(&db->lock);
    while (!conn->pg && *at)
        at = &(*at)->next;
    conn->next = *at;
    *at = conn;
    if (db->waiters) {
        DbWaiter *first = db->waiters;

        db->waiters = first->next;
        fiber_wake(first->fiber);
    } else {
        pthread_cond_signal(&db->given_back);
    }
    pthread_mutex_unlock(&db->lock);
}

typedef struct Connecting {
    DbConn *conn;
    int64_t deadline_ms;
    Err err;
} Connecting;

static void run_connect(void *data)
{
    Connecting *c = data;

    c->err = db_conn_connect(c->conn, c->deadline_ms);
}

/* libpq looks names up as it connects, for as long as that takes: no loop may wait for it. */
static Err connect_anywhere(DbConn *conn, int64_t deadline_ms)
{
    Connecting c = {.conn = conn, .deadline_ms = deadline_ms};

    if (fiber_current())
        fiber_run_blocking(run_connect, &c);
    else
        run_connect(&c);
    return c.err;
}

static Err acquire(Db *db, int64_t deadline_ms, DbConn **out)
{
    int64_t now_ms = db_now_ms();
    DbConn *conn;
    Err e = OK;

    if (deadline_ms <= now_ms)
        return err_make(&DEADLINE_EXCEEDED, "no time left for the database");
    conn = wait_for_free(db, MIN(deadline_ms, now_ms + db->acquire_timeout_ms));
    if (!conn) {
        if (db->metrics)
            counter_add(metrics_counter(db->metrics, "atrium_db_errors_total",
                                        "Failed statements and connections, by kind.", "class=\"pool\""),
                        1);
        return err_make(&UNAVAILABLE, "all database connections are busy");
    }
    if (conn->pg && db->idle)
        gauge_add(db->idle, -1);
    if (conn->pg && !still_good(conn)) {
        LOG_INFO(db->log, "db_connection_gone", "pid", PQbackendPID(conn->pg));
        db_conn_disconnect(conn);
    }
    if (!conn->pg)
        e = connect_anywhere(conn, deadline_ms);
    if (conn->pg && db->busy)
        gauge_add(db->busy, 1);
    if (err_failed(e))
        give_back(conn);
    else
        *out = conn;
    return e;
}

Err db_ping(Db *db, int64_t timeout_ms)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t start_ms = db_now_ms();
    Err e = db_read_with(db, timeout_ms, "SELECT 1", DB_NO_ARGS, &rows);

    /* A pool that is busy and gets answers is healthy. */
    return db->last_success_ms >= start_ms ? OK : e;
}

/* --- transactions ------------------------------------------------------------------------------------------------ */
/* The request's deadline on the system's clock; a test's clock only counts. */
static int64_t request_deadline_ms(const Request *rq)
{
    if (!rq->clock || rq->deadline_ms == 0)
        return db_now_ms() + DEFAULT_TIMEOUT_MS;
    return db_now_ms() + rq->deadline_ms - clock_monotonic_ms(rq->clock);
}

static Err begin(Db *db, int64_t deadline_ms, DbTx *out)
{
    DbConn *conn = NULL;

    TRY(acquire(db, deadline_ms, &conn));
    assert(conn);
    conn->deadline_ms = deadline_ms;
    conn->begin_pending = true; /* goes out with the first statement */
    conn->violated[0] = '\0';
    *out = (DbTx){.conn = conn, .db = db, .open = true};
    return OK;
}

Err db_tx_begin(Request *rq, DbTx *out)
{
    if (rq->outer_tx) {
        *out = *rq->outer_tx;
        out->joined = out->open = true;
        out->rq = rq;
        out->conn->join_pending = true; /* so that what is not committed can be undone alone */
        out->conn->joined_savepoint = false;
        return OK;
    }
    if (!rq->db)
        return err_make(&INTERNAL, "no database configured");
    TRY(begin(rq->db, request_deadline_ms(rq), out));
    out->rq = rq;
    return OK;
}

Err db_tx_begin_with(Db *db, int64_t timeout_ms, DbTx *out)
{
    return begin(db, db_now_ms() + timeout_ms, out);
}

static void end(DbTx *tx)
{
    DbConn *conn = tx->conn;

    *tx = (DbTx){.db = tx->db, .rq = tx->rq};
    conn->in_tx = conn->begin_pending = conn->join_pending = conn->savepoint = false;
    give_back(conn);
}

static Err commit_statement(DbConn *conn)
{
    int64_t now_ms = db_now_ms();
    CLEANUP(db_rows_done) DbRows rows = {0};
    PGresult *result = NULL;

    if (now_ms >= conn->deadline_ms)
        return err_make(&DEADLINE_EXCEEDED, "no time left to commit");
    TRY(db_conn_run(conn, MAX(conn->deadline_ms, now_ms + COMMIT_MIN_MS), "COMMIT", DB_NO_ARGS, &result));
    rows.result = result;
    /* PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, and no error. */
    if (strcmp(PQcmdStatus(result), "COMMIT") != 0)
        return err_make(&INTERNAL, "commit of a transaction that had failed");
    return OK;
}

Err db_tx_commit(DbTx *tx)
{
    assert(tx->open);
    if (tx->joined) {
        tx->conn->join_pending = tx->conn->joined_savepoint = false;
        tx->open = false;
        return OK;
    }
    if (tx->conn->in_tx) {
        Err e = commit_statement(tx->conn);
        if (err_failed(e)) {
            /* Over either way; the connection is kept until db_tx_done, for db_violated. */
            if (PQtransactionStatus(tx->conn->pg) == PQTRANS_IDLE)
                tx->conn->in_tx = false;
            return e;
        }
    }
    end(tx);
    return OK;
}

void db_tx_done(DbTx *tx)
{
    DbConn *conn = tx->conn;
    int64_t deadline_ms = db_now_ms() + ROLLBACK_TIMEOUT_MS;
    Err e = OK;

    if (!tx->open || !conn)
        return;
    if (tx->joined) {
        if (conn->joined_savepoint)
            (void)db_conn_settle(conn, deadline_ms); /* it is undone, whatever became of it */
        if (conn->joined_savepoint && !conn->broken)
            e = db_conn_run(conn, deadline_ms, "ROLLBACK TO SAVEPOINT joined", DB_NO_ARGS, NULL);
        conn->join_pending = conn->joined_savepoint = false;
        /* A failure here leaves the outer transaction broken, so that it cannot commit half. */
        conn->broken |= err_failed(e);
        *tx = (DbTx){.db = tx->db, .rq = tx->rq};
        return;
    }
    (void)db_conn_settle(conn, deadline_ms); /* the same */
    if (conn->in_tx && !conn->broken && err_failed(db_conn_run(conn, deadline_ms, "ROLLBACK", DB_NO_ARGS, NULL)))
        conn->broken = true;
    end(tx);
}

/* --- statements -------------------------------------------------------------------------------------------------- */
static void take_rows(PGresult *result, DbRows *out)
{
    db_rows_done(out);
    *out = (DbRows){.result = result, .count = PQntuples(result)};
}

Err db_query(DbTx *tx, const char *sql, DbArgs args, DbRows *out)
{
    PGresult *result = NULL;

    assert(tx->open);
    TRY(db_conn_run(tx->conn, tx->conn->deadline_ms, sql, args, &result));
    take_rows(result, out);
    return OK;
}

Err db_exec(DbTx *tx, const char *sql, DbArgs args)
{
    assert(tx->open);
    return db_conn_run(tx->conn, tx->conn->deadline_ms, sql, args, NULL);
}

Err db_exec_later(DbTx *tx, const char *sql, DbArgs args)
{
    assert(tx->open);
    return db_conn_run_later(tx->conn, tx->conn->deadline_ms, sql, args);
}

Err db_settle(DbTx *tx)
{
    return db_conn_settle(tx->conn, tx->conn->deadline_ms);
}

Err db_exec_count(DbTx *tx, const char *sql, DbArgs args, int64_t *out_rows)
{
    PGresult *result = NULL;

    assert(tx->open);
    TRY(db_conn_run(tx->conn, tx->conn->deadline_ms, sql, args, &result));
    *out_rows = strtoll(PQcmdTuples(result), NULL, 10); /* "" is 0 */
    PQclear(result);
    return OK;
}

static Err read_once(Db *db, int64_t deadline_ms, const char *sql, DbArgs args, DbRows *out)
{
    PGresult *result = NULL;
    DbConn *conn = NULL;
    Err e;

    if (db->batch && fiber_current()) {
        TRY(db_batch_read(db->batch, deadline_ms, sql, args, &result));
        take_rows(result, out);
        return OK;
    }
    TRY(acquire(db, deadline_ms, &conn));
    assert(conn);
    e = db_conn_run(conn, deadline_ms, sql, args, &result);
    give_back(conn);
    if (!err_failed(e))
        take_rows(result, out);
    return e;
}

Err db_read(Request *rq, const char *sql, DbArgs args, DbRows *out)
{
    if (rq->outer_tx)
        return db_query(rq->outer_tx, sql, args, out);
    if (!rq->db)
        return err_make(&INTERNAL, "no database configured");
    return read_once(rq->db, request_deadline_ms(rq), sql, args, out);
}

Err db_read_with(Db *db, int64_t timeout_ms, const char *sql, DbArgs args, DbRows *out)
{
    return read_once(db, db_now_ms() + timeout_ms, sql, args, out);
}

Err db_write(Request *rq, const char *sql, DbArgs args, DbRows *out)
{
    PGresult *result = NULL;
    int64_t deadline_ms;
    DbConn *conn = NULL;
    Err e;

    if (rq->outer_tx)
        return db_query(rq->outer_tx, sql, args, out);
    if (!rq->db)
        return err_make(&INTERNAL, "no database configured");
    deadline_ms = request_deadline_ms(rq);
    TRY(acquire(rq->db, deadline_ms, &conn));
    e = db_conn_run(conn, deadline_ms, sql, args, &result);
    if (!err_failed(e))
        take_rows(result, out);
    give_back(conn);
    return e;
}

Err db_write_together(Request *rq, DbOrder order, const char *sql, DbArgs args, DbRows *out)
{
    PGresult *result = NULL;

    if (rq->outer_tx || !rq->db || !rq->db->writes || !fiber_current())
        return db_write(rq, sql, args, out);
    TRY(db_batch_write(rq->db->writes, request_deadline_ms(rq), order, sql, args, &result));
    take_rows(result, out);
    return OK;
}

bool db_violated(const DbTx *tx, const char *constraint)
{
    return tx->conn && strcmp(tx->conn->violated, constraint) == 0;
}

Err db_savepoint(DbTx *tx)
{
    if (tx->conn->savepoint) /* or they would nest, deeper each time */
        TRY(db_exec_later(tx, "RELEASE SAVEPOINT point", DB_NO_ARGS));
    TRY(db_exec_later(tx, "SAVEPOINT point", DB_NO_ARGS));
    tx->conn->savepoint = true;
    return OK;
}

Err db_savepoint_rollback(DbTx *tx)
{
    return db_exec(tx, "ROLLBACK TO SAVEPOINT point", DB_NO_ARGS);
}

/* Locks are the database's, not a schema's: the schema stands in the key. */
Err db_lock(DbTx *tx, const char *kind, Slice key)
{
    return db_exec(tx,
                   "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/lock/' || $1 || '/' || $2, 0))",
                   DB_ARGS(db_text(slice(kind)), db_text(key)));
}

Err db_lock_shared(DbTx *tx, const char *kind, Slice key)
{
    return db_exec(
        tx, "SELECT pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '/lock/' || $1 || '/' || $2, 0))",
        DB_ARGS(db_text(slice(kind)), db_text(key)));
}

/* --- connections of one's own ------------------------------------------------------------------------------------ */
Err db_conn_open(Db *db, int64_t timeout_ms, DbConn **out)
{
    DbConn *conn = xcalloc(1, sizeof *conn);
    Err e;

    conn->db = db;
    e = db_conn_connect(conn, db_now_ms() + timeout_ms);
    if (err_failed(e))
        free(conn);
    else
        *out = conn;
    return e;
}

void db_conn_close(DbConn *conn)
{
    if (!conn)
        return;
    db_conn_disconnect(conn);
    free(conn);
}

bool db_conn_alive(DbConn *conn)
{
    return conn->pg && !conn->broken && still_good(conn);
}

Err db_conn_query(DbConn *conn, int64_t timeout_ms, const char *sql, DbArgs args, DbRows *out)
{
    PGresult *result = NULL;

    TRY(db_conn_run(conn, db_now_ms() + timeout_ms, sql, args, &result));
    take_rows(result, out);
    return OK;
}

Err db_conn_begin(DbConn *conn, int64_t timeout_ms, DbTx *out)
{
    conn->deadline_ms = db_now_ms() + timeout_ms;
    conn->begin_pending = true;
    *out = (DbTx){.conn = conn, .db = conn->db, .open = true};
    return OK;
}

Err db_conn_encrypt_password(DbConn *conn, Arena *mem, const char *role, const char *password, char **out)
{
    char *verifier = conn->pg ? PQencryptPasswordConn(conn->pg, password, role, "scram-sha-256") : NULL;

    if (!verifier)
        return err_make(&UNAVAILABLE, "password cannot be prepared");
    *out = arena_strdup(mem, verifier);
    PQfreemem(verifier);
    return OK;
}
