/* db_conn: one connection to PostgreSQL: connecting, prepared statements, waiting under a deadline, errors.
 *
 * The deadline is kept here, by poll() on the socket, and enforced on the server by a cancel request: a
 * statement_timeout would have to be set again, with a round trip, for each request. */
#include "shared/db_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"

enum {
    CONNECT_TIMEOUT_MS = 3000,
    PAUSE_FIRST_MS = 100, /* after a failed connection attempt; doubles */
    PAUSE_MAX_MS = 2000,
    LATER_MAX = 64,        /* statements that are sent without waiting */
    CANCEL_GRACE_MS = 1000 /* for a cancelled statement to say so, before the connection is given up */
};

static const char BEGIN[] = "BEGIN";
static const char JOIN[] = "SAVEPOINT joined";

/* --- errors ----------------------------------------------------------------------------------------------------------
 */
/* SQLSTATE, or the beginning of one; the first that fits counts. Text and class are ours, PostgreSQL's words go to the
 * log. */
static const struct DbErrorClass {
    const char *sqlstate;
    const Reason *reason;
    const char *class, *text;
    bool discard; /* the connection is of no more use */
    bool quiet;   /* caused by a caller's input: no warning, and no text, which could quote the input */
} CLASSES[] = {
    {"23", &CONFLICT, "integrity", "conflicts with what is stored", false, true},
    {"22", &INVALID_ARGUMENT, "data", "a value does not fit", false, true},
    {"40001", &UNAVAILABLE, "serialization", "busy, try again", false, false},
    {"40P01", &UNAVAILABLE, "deadlock", "busy, try again", false, false},
    {"55P03", &UNAVAILABLE, "lock", "busy, try again", false, false},
    {"57014", &DEADLINE_EXCEEDED, "deadline", "the database took too long", false, false},
    {"57P", &UNAVAILABLE, "connection", "the database is not available", true, false},
    {"08", &UNAVAILABLE, "connection", "the database is not available", true, false},
    {"25P0", &UNAVAILABLE, "connection", "a transaction waited for too long", true, false},
    {"25006", &UNAVAILABLE, "connection", "the database is read-only", true, false}, /* after a fail-over */
    {"53", &UNAVAILABLE, "resources", "the database is overloaded", false, false},
    /* Plans that a migration made void, prepared statements that someone else dropped: gone with the connection. */
    {"0A000", &UNAVAILABLE, "plan", "the database has changed, try again", true, false},
    {"26000", &UNAVAILABLE, "plan", "the database has changed, try again", true, false},
    {"42501", &INTERNAL, "permission", "not permitted by the database", false, false},
    {"42", &INTERNAL, "statement", "a statement is wrong", false, false},
    {"", &INTERNAL, "other", "the database failed", false, false},
};
static const struct DbErrorClass LOST = {"",   &UNAVAILABLE, "connection", "the database connection was lost",
                                         true, false};
static const struct DbErrorClass TOO_LATE = {"",   &DEADLINE_EXCEEDED, "deadline", "the database took too long", false,
                                             false};

static const struct DbErrorClass *class_of(const char *sqlstate)
{
    const struct DbErrorClass *row = CLASSES;

    while (strncmp(sqlstate, row->sqlstate, strlen(row->sqlstate)) != 0)
        row++;
    return row;
}

static void count_error(const Db *db, const char *class)
{
    char labels[48];

    if (!db->metrics)
        return;
    snprintf(labels, sizeof labels, "class=\"%s\"", class);
    counter_add(
        metrics_counter(db->metrics, "atrium_db_errors_total", "Failed statements and connections, by kind.", labels),
        1);
}

/* First line of a message of libpq. */
static Slice first_line(const char *message)
{
    return slice_of(message ? message : "", message ? strcspn(message, "\r\n") : 0);
}

static Err fail(DbConn *conn, const struct DbErrorClass *class, const char *sqlstate, const char *message,
                const char *sql)
{
    count_error(conn->db, class->class);
    if (class->discard)
        conn->broken = true;
    if (class->quiet)
        LOG_DEBUG(conn->db->log, "db_refused", "class", class->class, "sqlstate", sqlstate, "constraint",
                  (const char *)conn->violated);
    else
        LOG_WARN(conn->db->log, "db_error", "class", class->class, "sqlstate", sqlstate, "message", first_line(message),
                 "sql", slice_take(slice(sql), 80));
    return err_make(class->reason, "%s", class->text);
}

Err db_conn_fail_result(DbConn *conn, const PGresult *result, const char *sql)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    const char *column = PQresultErrorField(result, PG_DIAG_COLUMN_NAME); /* NOT NULL has no constraint's name */

    if (!sqlstate)
        return fail(conn, &LOST, "", PQresultErrorMessage(result), sql);
    snprintf(conn->violated, sizeof conn->violated, "%s", constraint ? constraint : column ? column : "");
    return fail(conn, class_of(sqlstate), sqlstate, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), sql);
}

Err db_conn_fail_read(DbConn *conn, const char *sql, bool too_late)
{
    return fail(conn, too_late ? &TOO_LATE : &LOST, "", conn->pg ? PQerrorMessage(conn->pg) : "", sql);
}

Err db_fail_too_late(Db *db, const char *sql)
{
    count_error(db, TOO_LATE.class);
    LOG_WARN(db->log, "db_error", "class", TOO_LATE.class, "message", "time was over before its turn", "sql",
             slice_take(slice(sql), 80));
    return err_make(TOO_LATE.reason, "%s", TOO_LATE.text);
}

/* --- connecting -------------------------------------------------------------------------------------------------- */
int64_t db_now_ms(void)
{
    return clock_monotonic_ms(&SYSTEM_CLOCK);
}

/* In a fiber, the others go on meanwhile. */
static bool wait_fd(int number, short events, int64_t deadline_ms)
{
    struct pollfd fd = {.fd = number, .events = events};
    int ready;

    if (fiber_current())
        return fiber_wait_fd(number, (uint32_t)events, deadline_ms); /* POLLIN is EPOLLIN, and so on */
    do {
        int64_t left = deadline_ms - db_now_ms();
        if (left <= 0)
            return false;
        ready = poll(&fd, 1, (int)MIN(left, INT32_MAX));
    } while (ready < 0 && errno == EINTR);
    return ready != 0;
}

static bool wait_socket(const DbConn *conn, short events, int64_t deadline_ms)
{
    return wait_fd(PQsocket(conn->pg), events, deadline_ms);
}

static void log_notice(void *data, const PGresult *notice)
{
    LOG_DEBUG((Log *)data, "db_notice", "message", first_line(PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY)));
}

static void forget_statements(DbConn *conn)
{
    for (int i = 0; i < DB_STATEMENT_SLOTS; i++) {
        free(conn->statements[i].copy);
        free(conn->statements[i].types);
        conn->statements[i] = (DbStatement){0};
    }
    conn->statement_count = 0;
}

void db_conn_disconnect(DbConn *conn)
{
    PQfinish(conn->pg);
    conn->pg = NULL;
    conn->broken = conn->in_tx = conn->begin_pending = conn->join_pending = conn->joined_savepoint = false;
    conn->later = 0;
    forget_statements(conn);
}

static bool finish_connecting(DbConn *conn, int64_t deadline_ms)
{
    PostgresPollingStatusType wants = PGRES_POLLING_WRITING;

    while (PQstatus(conn->pg) != CONNECTION_BAD) {
        if (!wait_socket(conn, wants == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ms))
            return false;
        wants = PQconnectPoll(conn->pg);
        if (wants == PGRES_POLLING_OK)
            return true;
        if (wants == PGRES_POLLING_FAILED)
            return false;
    }
    return false;
}

/* While the server is away, attempts are made now and then; all others are answered at once. */
static Err connection_failed(DbConn *conn)
{
    Db *db = conn->db;
    Err e = fail(conn, &LOST, "", conn->pg ? PQerrorMessage(conn->pg) : "", "connect");

    db_conn_disconnect(conn);
    pthread_mutex_lock(&db->lock);
    db->pause_ms = db->pause_ms ? MIN(db->pause_ms * 2, PAUSE_MAX_MS) : PAUSE_FIRST_MS;
    db->pause_until_ms = db_now_ms() + db->pause_ms;
    pthread_mutex_unlock(&db->lock);
    snprintf(e.text, sizeof e.text, "the database is not available");
    return e;
}

Err db_conn_connect(DbConn *conn, int64_t deadline_ms)
{
    Db *db = conn->db;
    bool pausing;

    pthread_mutex_lock(&db->lock);
    pausing = db_now_ms() < db->pause_until_ms;
    pthread_mutex_unlock(&db->lock);
    if (pausing)
        return err_make(&UNAVAILABLE, "the database is not available");
    conn->pg = PQconnectStartParams(db->keywords, db->parameters, 1);
    if (!conn->pg || !finish_connecting(conn, MIN(deadline_ms, db_now_ms() + CONNECT_TIMEOUT_MS)))
        return connection_failed(conn);
    PQsetNoticeReceiver(conn->pg, log_notice, db->log);
    /* Or a statement larger than the socket's buffer would wait for a server that hangs, beyond every deadline. */
    if (PQsetnonblocking(conn->pg, 1) != 0)
        return connection_failed(conn);
    pthread_mutex_lock(&db->lock);
    db->pause_ms = db->pause_until_ms = 0;
    pthread_mutex_unlock(&db->lock);
    return OK;
}

/* --- prepared statements ----------------------------------------------------------------------------------------- */
static size_t slot_of(const char *sql)
{
    return (size_t)((uintptr_t)sql * UINT64_C(0x9E3779B97F4A7C15) >> 32) % DB_STATEMENT_SLOTS;
}

/* An untyped NULL fits every type. */
static bool types_fit(const DbStatement *s, const DbParams *params)
{
    if (s->count != params->count)
        return false;
    for (int i = 0; i < s->count; i++)
        if (params->types[i] != s->types[i] && params->types[i] != 0)
            return false;
    return true;
}

/* The statement, or the free slot where it belongs. */
static DbStatement *find_statement(DbConn *conn, const char *sql, const DbParams *params)
{
    size_t at = slot_of(sql);

    while (conn->statements[at].sql && !(conn->statements[at].sql == sql && types_fit(&conn->statements[at], params)))
        at = (at + 1) % DB_STATEMENT_SLOTS;
    return &conn->statements[at];
}

static void name_statement(DbConn *conn, DbStatement *s)
{
    assert(conn->statement_count < DB_STATEMENTS_MAX);
    snprintf(s->name, sizeof s->name, "s%u", ++conn->statement_number);
}

static void remember_statement(DbConn *conn, DbStatement *s, const char *sql, const DbParams *params)
{
    size_t bytes = sizeof(Oid) * (size_t)params->count;

    s->sql = sql;
    s->prepared = true;
    s->copy = xstrdup(sql);
    s->count = params->count;
    s->types = xmalloc(bytes);
    memcpy(s->types, params->types, bytes);
    conn->statement_count++;
}

/* --- running ----------------------------------------------------------------------------------------------------- */
typedef enum Wait { WAIT_DONE, WAIT_TOO_LATE, WAIT_LOST } Wait;

/* The next result, NULL at the end of a command's. */
static Wait next_result(DbConn *conn, int64_t deadline_ms, PGresult **out)
{
    while (PQisBusy(conn->pg)) {
        int unsent = PQflush(conn->pg);

        if (unsent < 0)
            return WAIT_LOST;
        if (!wait_socket(conn, unsent ? POLLIN | POLLOUT : POLLIN, deadline_ms))
            return WAIT_TOO_LATE;
        if (!PQconsumeInput(conn->pg))
            return WAIT_LOST;
    }
    *out = PQgetResult(conn->pg);
    return WAIT_DONE;
}

typedef struct Cancel {
    PGcancel *request;
    int done_fd;        /* readable when the server has taken the request */
    atomic_int holders; /* the thread, and who waits for it */
} Cancel;

static void cancel_unref(Cancel *c)
{
    if (atomic_fetch_sub(&c->holders, 1) != 1)
        return;
    PQfreeCancel(c->request);
    close(c->done_fd);
    free(c);
}

static void *send_cancel(void *data)
{
    Cancel *c = data;
    char ignored[256];

    (void)PQcancel(c->request, ignored, sizeof ignored); /* what became of it shows on the connection */
    (void)eventfd_write(c->done_fd, 1);                  /* can only fail when it is readable already */
    cancel_unref(c);
    return NULL;
}

/* The server stops at the cancel request and answers 57014: the connection stays good. PQcancel waits for a server that
 * hangs for as long as it hangs: hence the thread, which is then left behind, one for each connection that is given up.
 * False when the request was not taken in time: it may come late, so that the connection must not be used again. */
static bool cancel(DbConn *conn, int64_t until_ms)
{
    Cancel *c = xcalloc(1, sizeof *c);
    pthread_t thread;
    bool taken = false;

    c->request = PQgetCancel(conn->pg);
    c->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_init(&c->holders, 2);
    if (c->request && c->done_fd >= 0 && pthread_create(&thread, NULL, send_cancel, c) == 0) {
        taken = wait_fd(c->done_fd, POLLIN, until_ms);
        (void)(taken ? pthread_join(thread, NULL) : pthread_detach(thread)); /* it is joinable: cannot fail */
    } else {
        cancel_unref(c); /* for the thread that is not there */
    }
    cancel_unref(c);
    return taken;
}

void db_conn_cancel_behind(DbConn *conn)
{
    Cancel *c = xcalloc(1, sizeof *c);
    pthread_t thread;

    c->request = PQgetCancel(conn->pg);
    c->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_init(&c->holders, 1);
    if (c->request && c->done_fd >= 0 && pthread_create(&thread, NULL, send_cancel, c) == 0)
        (void)pthread_detach(thread); /* it is joinable: cannot fail */
    else
        cancel_unref(c); /* then the grace passes, and the connection is closed */
}

/* What came back for one exchange: the last command's result, and the first failure. */
typedef struct Outcome {
    PGresult *result, *failed;
    Wait wait;
} Outcome;

static void outcome_done(Outcome *o)
{
    PQclear(o->result);
    PQclear(o->failed);
}

static void take_result(Outcome *o, PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        PQclear(o->result);
        o->result = result;
        return;
    case PGRES_PIPELINE_SYNC:
    case PGRES_PIPELINE_ABORTED:
        PQclear(result);
        return;
    default:
        if (o->failed)
            PQclear(result);
        else
            o->failed = result;
    }
}

/* Reads until everything that was sent is answered: `commands` of them, and a sync in pipeline mode. */
static void collect(DbConn *conn, int64_t deadline_ms, int commands, bool pipeline, Outcome *o)
{
    int left = pipeline ? commands + 1 : commands; /* ends to be seen */
    bool cancelled = false;

    while (left > 0) {
        PGresult *result = NULL;
        bool sync;

        o->wait = next_result(conn, deadline_ms, &result);
        if (o->wait == WAIT_TOO_LATE && !cancelled) {
            cancelled = true;
            deadline_ms = db_now_ms() + CANCEL_GRACE_MS;
            if (!cancel(conn, deadline_ms))
                return;
            continue;
        }
        if (o->wait != WAIT_DONE)
            return;
        sync = result && PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        if (!result || sync)
            left--;
        if (result)
            take_result(o, result);
        /* COPY has no end that we could read: what asks for it is a mistake in a script. */
        if (PQstatus(conn->pg) == CONNECTION_BAD || (o->failed && PQresultStatus(o->failed) != PGRES_FATAL_ERROR))
            return;
    }
}

static Err outcome_err(DbConn *conn, Outcome *o, const char *sql)
{
    if (o->wait == WAIT_TOO_LATE) {
        conn->broken = true;
        return fail(conn, &TOO_LATE, "", "no answer to the cancel request", sql);
    }
    if (o->failed)
        return db_conn_fail_result(conn, o->failed, sql);
    if (o->wait == WAIT_LOST || PQstatus(conn->pg) == CONNECTION_BAD)
        return fail(conn, &LOST, "", PQerrorMessage(conn->pg), sql);
    return OK;
}

static Err prepare(DbConn *conn, int64_t deadline_ms, const char *sql, const DbParams *params, DbStatement **out)
{
    CLEANUP(outcome_done) Outcome o = {0};
    DbStatement *s = find_statement(conn, sql, params);

    if (s->sql) {
        assert(strcmp(s->copy, sql) == 0); /* statements are constants */
        *out = s;
        return OK;
    }
    name_statement(conn, s);
    if (!PQsendPrepare(conn->pg, s->name, sql, params->count, params->types))
        return fail(conn, &LOST, "", PQerrorMessage(conn->pg), sql);
    collect(conn, deadline_ms, 1, false, &o);
    TRY(outcome_err(conn, &o, sql));
    remember_statement(conn, s, sql, params);
    *out = s;
    return OK;
}

static bool send_statement(DbConn *conn, const DbStatement *s, const DbParams *params)
{
    return PQsendQueryPrepared(conn->pg, s->name, params->count, params->values, params->lengths, params->formats, 1);
}

bool db_conn_send_read(DbConn *conn, const char *sql, const DbParams *params, bool *out_preparing)
{
    DbStatement *s = find_statement(conn, sql, params);

    *out_preparing = !s->prepared;
    if (!s->prepared) {
        if (!s->sql) {
            name_statement(conn, s);
            remember_statement(conn, s, sql, params);
        }
        s->prepared = PQsendPrepare(conn->pg, s->name, sql, params->count, params->types);
        if (!s->prepared)
            return false;
    }
    return send_statement(conn, s, params);
}

void db_conn_unprepare(DbConn *conn, const char *sql, const DbParams *params)
{
    find_statement(conn, sql, params)->prepared = false;
}

/* BEGIN and SAVEPOINT travel with the statement, in one write and one read. */
static Err send_with_pending(DbConn *conn, int64_t deadline_ms, const DbStatement *s, const DbParams *params,
                             int *out_commands)
{
    const char *const pending[] = {conn->begin_pending ? BEGIN : NULL, conn->join_pending ? JOIN : NULL};
    const DbStatement *before[ARRAY_LEN(pending)] = {NULL};
    DbParams none = {.count = 0};
    bool sent;

    for (size_t i = 0; i < ARRAY_LEN(pending); i++)
        if (pending[i])
            TRY(prepare(conn, deadline_ms, pending[i], &none, (DbStatement **)&before[i]));
    *out_commands = 1;
    sent = PQenterPipelineMode(conn->pg);
    for (size_t i = 0; i < ARRAY_LEN(pending) && sent; i++)
        if (before[i]) {
            sent = send_statement(conn, before[i], &none);
            *out_commands += 1;
        }
    if (!sent || !send_statement(conn, s, params) || !PQpipelineSync(conn->pg))
        return fail(conn, &LOST, "", PQerrorMessage(conn->pg), s->sql);
    conn->in_tx = true;
    conn->joined_savepoint |= conn->join_pending;
    conn->begin_pending = conn->join_pending = false;
    return OK;
}

/* After collect(). */
static void leave_pipeline(DbConn *conn, const Outcome *o)
{
    if (o->wait == WAIT_DONE && PQstatus(conn->pg) == CONNECTION_OK && !PQexitPipelineMode(conn->pg))
        conn->broken = true;
}

Err db_conn_settle(DbConn *conn, int64_t deadline_ms)
{
    static const char SENT[] = "what was sent before";
    CLEANUP(outcome_done) Outcome o = {0};
    int commands = conn->later;

    if (commands == 0)
        return OK;
    conn->later = 0;
    if (conn->broken || !PQpipelineSync(conn->pg))
        return fail(conn, &LOST, "", PQerrorMessage(conn->pg), SENT);
    collect(conn, deadline_ms, commands, true, &o);
    leave_pipeline(conn, &o);
    return outcome_err(conn, &o, SENT);
}

/* Behind statements whose answers come first. */
static Err send_behind(DbConn *conn, const DbStatement *s, const DbParams *params, int *out_commands)
{
    *out_commands = conn->later + 1;
    conn->later = 0;
    return send_statement(conn, s, params) && PQpipelineSync(conn->pg)
               ? OK
               : fail(conn, &LOST, "", PQerrorMessage(conn->pg), s->sql);
}

/* Can it be sent behind others? Preparing, and what is pending, waits for answers. */
static bool can_follow(DbConn *conn, const char *sql, const DbParams *params)
{
    return !conn->begin_pending && !conn->join_pending && find_statement(conn, sql, params)->sql;
}

static Err exchange(DbConn *conn, int64_t deadline_ms, const char *sql, const DbParams *params, PGresult **out)
{
    CLEANUP(outcome_done) Outcome o = {0};
    DbStatement *s = NULL;
    int commands = 1;
    bool pipeline;

    if (!can_follow(conn, sql, params))
        TRY(db_conn_settle(conn, deadline_ms));
    pipeline = conn->begin_pending || conn->join_pending || conn->later;
    TRY(prepare(conn, deadline_ms, sql, params, &s));
    assert(s);
    if (conn->later)
        TRY(send_behind(conn, s, params, &commands));
    else if (pipeline)
        TRY(send_with_pending(conn, deadline_ms, s, params, &commands));
    else if (!send_statement(conn, s, params))
        return fail(conn, &LOST, "", PQerrorMessage(conn->pg), sql);
    collect(conn, deadline_ms, commands, pipeline, &o);
    if (pipeline)
        leave_pipeline(conn, &o);
    TRY(outcome_err(conn, &o, sql));
    if (out)
        *out = MOVE(o.result);
    return OK;
}

static Err drop_statements(DbConn *conn, int64_t deadline_ms)
{
    static const char ALL[] = "DEALLOCATE ALL";
    CLEANUP(outcome_done) Outcome o = {0};

    LOG_WARN(conn->db->log, "db_statements_full", "count", conn->statement_count);
    if (!PQsendQuery(conn->pg, ALL))
        return fail(conn, &LOST, "", PQerrorMessage(conn->pg), ALL);
    collect(conn, deadline_ms, 1, false, &o);
    TRY(outcome_err(conn, &o, ALL));
    forget_statements(conn);
    return OK;
}

static Err check_usable(DbConn *conn, int64_t now_ms, int64_t deadline_ms)
{
    conn->violated[0] = '\0';
    if (!conn->pg || conn->broken || PQstatus(conn->pg) != CONNECTION_OK) {
        conn->broken = true;
        return err_make(&UNAVAILABLE, "the database connection was lost");
    }
    if (now_ms >= deadline_ms)
        return err_make(&DEADLINE_EXCEEDED, "no time left for the database");
    return OK;
}

Err db_conn_run_later(DbConn *conn, int64_t deadline_ms, const char *sql, DbArgs args)
{
    DbParams params;
    Err e = OK;

    TRY(check_usable(conn, db_now_ms(), deadline_ms));
    db_params_init(&params, args);
    if (!can_follow(conn, sql, &params) || conn->later == LATER_MAX) {
        db_params_done(&params);
        return db_conn_run(conn, deadline_ms, sql, args, NULL);
    }
    if (PQenterPipelineMode(conn->pg) && send_statement(conn, find_statement(conn, sql, &params), &params))
        conn->later++;
    else
        e = fail(conn, &LOST, "", PQerrorMessage(conn->pg), sql);
    db_params_done(&params);
    return e;
}

Err db_conn_run(DbConn *conn, int64_t deadline_ms, const char *sql, DbArgs args, PGresult **out)
{
    int64_t start_us = clock_monotonic_us(&SYSTEM_CLOCK);
    DbParams params;
    Err e;

    TRY(check_usable(conn, start_us / 1000, deadline_ms));
    if (conn->statement_count >= DB_STATEMENTS_MAX - 4) {
        TRY(db_conn_settle(conn, deadline_ms));
        TRY(drop_statements(conn, deadline_ms));
    }
    db_params_init(&params, args);
    e = exchange(conn, deadline_ms, sql, &params, out);
    db_params_done(&params);
    if (!err_failed(e))
        conn->db->last_success_ms = db_now_ms();
    if (conn->db->seconds)
        histogram_observe(conn->db->seconds, (double)(clock_monotonic_us(&SYSTEM_CLOCK) - start_us) / 1e6);
    return e;
}

/* --- scripts ----------------------------------------------------------------------------------------------------- */
Err db_conn_script(DbConn *conn, int64_t timeout_ms, Arena *mem, const char *script, char **out_detail)
{
    CLEANUP(outcome_done) Outcome o = {0};
    int64_t deadline_ms = db_now_ms() + timeout_ms;
    Err e;

    conn->violated[0] = '\0';
    TRY(db_conn_settle(conn, deadline_ms));
    if (conn->begin_pending || conn->join_pending)
        TRY(db_conn_run(conn, deadline_ms, "SELECT", DB_NO_ARGS, NULL));
    if (!conn->pg || conn->broken || !PQsendQuery(conn->pg, script)) {
        conn->broken = true;
        return err_make(&UNAVAILABLE, "the database connection was lost");
    }
    collect(conn, deadline_ms, 1, false, &o);
    e = outcome_err(conn, &o, script);
    if (err_failed(e) && out_detail)
        *out_detail = arena_strdup(mem, o.failed ? PQresultErrorMessage(o.failed) : PQerrorMessage(conn->pg));
    return e;
}
