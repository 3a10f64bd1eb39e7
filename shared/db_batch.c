/* db_batch: the reads of fibers, gathered; and the single statements that write. What the fibers of one loop ask for in
 * a turn leaves as one batch (a pipeline with one sync at its end), and what they ask for while that is out goes with
 * the next: one write, one read and one wake-up of the server for many requests, and a few connections for all of them.
 *
 * A batch is one transaction to PostgreSQL. So what reads goes over connections that only read, and what a failure took
 * down with it is sent again. Of writes that is all of the batch: nothing of it was kept. They are sent in the order of
 * what they lock, so that two batches never wait for each other. Everything here runs in the loop's thread. */
#include <sys/epoll.h>

#include "atrium/reasons.atrium.h"
#include "shared/db_internal.h"
#include "shared/fiber.h"

enum {
    BATCH_CONNECTIONS = 2,      /* one works while the other's answers travel; a slow statement blocks only its own */
    BATCH_MAX = 32,             /* reads */
    BATCH_TRIES = 8,            /* of a read that others take down */
    BATCH_LOOK_MS = 20,         /* how often deadlines are looked at */
    BATCH_GRACE_MS = 1000,      /* for a cancelled statement to say so */
    BATCH_WRITE_LEAST_MS = 200, /* what a write has left when it is sent */
    BATCH_CONNECT_MS = 3000
};

/* A read, on the stack of its fiber, which waits for `done`. */
typedef struct Read {
    struct Read *next;
    Fiber *fiber;
    const char *sql;
    const DbParams *params;
    int64_t deadline_ms;
    DbOrder order; /* of a write */
    PGresult *result, *failed;
    Err err;
    int tries;
    bool preparing; /* the answer to its PREPARE comes before its own */
    bool aborted;   /* another of its batch failed */
    bool done;
} Read;

typedef struct ReadList {
    Read *first, **end;
    size_t count;
} ReadList;

typedef struct BatchConn {
    struct DbBatch *batch;
    DbConn conn;
    bool connecting, ready;
    Err connected;      /* what came of the last attempt */
    ReadList sent;      /* empty: idle */
    Read *at;           /* whose answer comes next */
    int64_t give_up_ms; /* a cancel request is out; 0 */
    int fd;
} BatchConn;

struct DbBatch {
    Db *db;
    bool writes;
    Loop *loop;
    LoopTimer *timer;
    Fibers *fibers; /* that connect */
    bool flush_posted, looking;
    ReadList waiting;
    BatchConn conns[BATCH_CONNECTIONS];
};

/* --- lists ------------------------------------------------------------------------------------------------------- */
static void list_clear(ReadList *list)
{
    *list = (ReadList){.end = &list->first};
}

static void list_append(ReadList *list, Read *read)
{
    read->next = NULL;
    *list->end = read;
    list->end = &read->next;
    list->count++;
}

static Read *list_take(ReadList *list)
{
    Read *read = list->first;

    list->first = read->next;
    if (!list->first)
        list->end = &list->first;
    list->count--;
    return read;
}

static void finish(Read *read, Err e)
{
    read->err = e;
    read->done = true;
    fiber_wake(read->fiber);
}

/* --- sending ----------------------------------------------------------------------------------------------------- */
static void flush(void *data);

static void flush_soon(DbBatch *b)
{
    if (!b->flush_posted)
        loop_post(b->loop, flush, b);
    b->flush_posted = true;
}

/* Ends the connection. Its reads: too late for those whose time is over, lost for the others. */
static void drop(BatchConn *c)
{
    bool answered = c->give_up_ms == 0;

    loop_remove_fd(c->batch->loop, c->fd);
    c->ready = false;
    c->at = NULL;
    c->give_up_ms = 0;
    while (c->sent.first) {
        Read *read = list_take(&c->sent);

        PQclear(read->result);
        PQclear(read->failed);
        read->result = read->failed = NULL;
        finish(read, db_conn_fail_read(&c->conn, read->sql, !answered && read->deadline_ms <= db_now_ms()));
    }
    db_conn_disconnect(&c->conn);
    flush_soon(c->batch); /* what waits goes elsewhere */
}

static void want_write(BatchConn *c)
{
    int unsent = PQflush(c->conn.pg);

    if (unsent >= 0)
        loop_set_fd(c->batch->loop, c->fd, unsent ? EPOLLIN | EPOLLOUT : EPOLLIN);
    else
        drop(c);
}

static int by_order(const void *a, const void *b)
{
    const DbOrder *x = &(*(Read *const *)a)->order, *y = &(*(Read *const *)b)->order;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->second != y->second)
        return x->second < y->second ? -1 : 1;
    return (x->third > y->third) - (x->third < y->third);
}

/* What goes with the next batch, BATCH_MAX at most. */
static size_t take_waiting(DbBatch *b, Read *list[BATCH_MAX])
{
    /* One that becomes late has its batch cancelled, of which nothing would be kept where it writes. */
    int64_t until_ms = db_now_ms() + (b->writes ? BATCH_WRITE_LEAST_MS : 0);
    size_t count = 0;

    while (b->waiting.first && count < BATCH_MAX) {
        Read *read = list_take(&b->waiting);

        /* Sent, it would only have its batch cancelled, and use up the tries of all in it. */
        if (read->deadline_ms <= until_ms)
            finish(read, db_fail_too_late(b->db, read->sql));
        else
            list[count++] = read;
    }
    if (b->writes)
        qsort(list, count, sizeof(void *), by_order);
    return count;
}

static void send_batch(BatchConn *c)
{
    Read *list[BATCH_MAX];
    size_t count = take_waiting(c->batch, list);
    bool sent = true;

    for (size_t i = 0; i < count; i++) {
        list[i]->aborted = false;
        list_append(&c->sent, list[i]);
        sent = sent && db_conn_send_read(&c->conn, list[i]->sql, list[i]->params, &list[i]->preparing);
    }
    if (!c->sent.first)
        return;
    c->at = c->sent.first;
    if (!sent || !PQpipelineSync(c->conn.pg)) {
        drop(c);
        return;
    }
    want_write(c);
}

/* --- answers ----------------------------------------------------------------------------------------------------- */
/* What came of a failed read. False: it is sent again. */
static bool settle_failed(BatchConn *c, Read *read)
{
    Err e = db_conn_fail_result(&c->conn, read->failed, read->sql);

    PQclear(read->failed);
    read->failed = NULL;
    /* The cancel request was for another of its batch. */
    if (e.reason == &DEADLINE_EXCEEDED && read->deadline_ms > db_now_ms())
        return false;
    finish(read, e);
    return true;
}

/* False: it is sent again. */
static bool settle(BatchConn *c, Read *read)
{
    if (read->failed)
        return settle_failed(c, read);
    if (read->aborted)
        return false;
    c->batch->db->last_success_ms = db_now_ms();
    finish(read, OK);
    return true;
}

/* The next batch may bring as many new statements as it has reads. */
static bool statements_full(const BatchConn *c)
{
    bool full = c->conn.statement_count > DB_STATEMENTS_MAX - BATCH_MAX;

    if (full)
        LOG_WARN(c->batch->db->log, "db_statements_full", "count", c->conn.statement_count);
    return full;
}

/* Of a batch of writes in which one failed, nothing was kept. */
static void undo_writes(BatchConn *c)
{
    bool failed = false;

    for (const Read *read = c->sent.first; read; read = read->next)
        failed |= read->failed || read->aborted;
    for (Read *read = c->sent.first; failed && read; read = read->next) {
        PQclear(read->result);
        read->result = NULL;
        read->aborted = true;
    }
}

/* The sync came: the batch is over. */
static void end_batch(BatchConn *c)
{
    DbBatch *b = c->batch;

    if (b->writes)
        undo_writes(c);
    while (c->sent.first) {
        Read *read = list_take(&c->sent);

        if (settle(c, read))
            continue;
        if (++read->tries < BATCH_TRIES)
            list_append(&b->waiting, read);
        else
            finish(read, err_make(&UNAVAILABLE, "busy, try again"));
    }
    c->at = NULL;
    if (c->conn.broken || c->give_up_ms || statements_full(c)) /* a cancel request may come late, and hit another */
        drop(c);
    else if (b->waiting.first)
        flush_soon(b);
}

static void take_result(BatchConn *c, PGresult *result)
{
    Read *read = c->at;

    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        end_batch(c);
        return;
    case PGRES_PIPELINE_ABORTED:
        if (read->preparing)
            db_conn_unprepare(&c->conn, read->sql, read->params);
        read->aborted = true;
        PQclear(result);
        return;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (read->preparing || read->result) {
            PQclear(result);
            return;
        }
        read->result = result;
        return;
    default:
        if (read->preparing)
            db_conn_unprepare(&c->conn, read->sql, read->params);
        if (read->failed)
            PQclear(result);
        else
            read->failed = result;
    }
}

static void on_socket(void *data, uint32_t events)
{
    BatchConn *c = data;

    if (events & EPOLLOUT) {
        want_write(c);
        if (!c->ready)
            return;
    }
    if (!PQconsumeInput(c->conn.pg)) {
        drop(c);
        return;
    }
    /* A connection that libpq gave up is not busy, and would say "no more" for ever. */
    while (c->at && PQstatus(c->conn.pg) == CONNECTION_OK && !PQisBusy(c->conn.pg)) {
        PGresult *result = PQgetResult(c->conn.pg);

        if (result)
            take_result(c, result);
        else if (c->at->preparing)
            c->at->preparing = false;
        else if (c->at->next)
            c->at = c->at->next; /* the last one stays, until the sync */
    }
    if (c->ready && PQstatus(c->conn.pg) != CONNECTION_OK)
        drop(c);
}

/* --- deadlines --------------------------------------------------------------------------------------------------- */
static void look_at_waiting(DbBatch *b, int64_t now_ms)
{
    ReadList all = b->waiting;

    if (!all.first)
        return;
    list_clear(&b->waiting);
    while (all.first) {
        Read *read = all.first;

        all.first = read->next;
        if (read->deadline_ms <= now_ms)
            finish(read, db_fail_too_late(b->db, read->sql));
        else
            list_append(&b->waiting, read);
    }
}

static void look_at_sent(BatchConn *c, int64_t now_ms)
{
    bool late = false;

    for (const Read *read = c->sent.first; read; read = read->next)
        late |= read->deadline_ms <= now_ms;
    if (c->give_up_ms && now_ms >= c->give_up_ms) {
        drop(c);
    } else if (late && !c->give_up_ms) {
        c->give_up_ms = now_ms + BATCH_GRACE_MS;
        db_conn_cancel_behind(&c->conn);
    }
}

static void look(void *data)
{
    DbBatch *b = data;
    int64_t now_ms = db_now_ms();
    bool anything = false;

    look_at_waiting(b, now_ms);
    for (int i = 0; i < BATCH_CONNECTIONS; i++) {
        look_at_sent(&b->conns[i], now_ms);
        anything |= b->conns[i].sent.first != NULL;
    }
    if (!anything && !b->waiting.first) {
        loop_timer_clear(b->timer);
        b->looking = false;
    }
}

/* --- connecting -------------------------------------------------------------------------------------------------- */
/* In a thread: libpq looks names up as it connects, and the loop must not wait for that. */
static void connect_now(void *data)
{
    static const char READ_ONLY[] = "SET default_transaction_read_only = on";
    BatchConn *c = data;
    int64_t deadline_ms = db_now_ms() + BATCH_CONNECT_MS;

    c->connected = db_conn_connect(&c->conn, deadline_ms);
    if (!err_failed(c->connected) && !c->batch->writes)
        c->connected = db_conn_run(&c->conn, deadline_ms, READ_ONLY, DB_NO_ARGS, NULL);
    if (!err_failed(c->connected) && !PQenterPipelineMode(c->conn.pg))
        c->connected = err_make(&UNAVAILABLE, "the database is not available");
    if (err_failed(c->connected))
        db_conn_disconnect(&c->conn);
}

static bool any_usable(const DbBatch *b)
{
    bool usable = false;

    for (int i = 0; i < BATCH_CONNECTIONS; i++)
        usable |= b->conns[i].ready || b->conns[i].connecting;
    return usable;
}

static void run_connect(void *data)
{
    BatchConn *c = data;
    DbBatch *b = c->batch;

    fiber_run_blocking(connect_now, c);
    c->connecting = false;
    if (err_failed(c->connected)) {
        while (!any_usable(b) && b->waiting.first)
            finish(list_take(&b->waiting), c->connected);
        return;
    }
    c->fd = PQsocket(c->conn.pg);
    c->ready = true;
    loop_add_fd(b->loop, c->fd, EPOLLIN, on_socket, c);
    flush_soon(b);
}

/* Reads wait, and no connection is free or about to be. */
static BatchConn *worth_connecting(DbBatch *b)
{
    BatchConn *missing = NULL;

    if (!b->waiting.first)
        return NULL;
    for (int i = 0; i < BATCH_CONNECTIONS; i++) {
        BatchConn *c = &b->conns[i];

        if (c->connecting || (c->ready && c->sent.count == 0))
            return NULL;
        if (!c->ready && !missing)
            missing = c;
    }
    return missing;
}

static void flush(void *data)
{
    DbBatch *b = data;
    BatchConn *missing;

    b->flush_posted = false;
    for (int i = 0; i < BATCH_CONNECTIONS && b->waiting.first; i++)
        if (b->conns[i].ready && b->conns[i].sent.count == 0)
            send_batch(&b->conns[i]);
    missing = worth_connecting(b);
    if (missing) {
        missing->connecting = true;
        (void)fibers_start(b->fibers, run_connect, missing); /* there is one for each connection */
    }
}

/* --- what db.c calls --------------------------------------------------------------------------------------------- */
static Err ask(DbBatch *b, Read *read, DbArgs args, PGresult **out)
{
    int64_t start_us = clock_monotonic_us(&SYSTEM_CLOCK);
    DbParams params;

    if (start_us / 1000 >= read->deadline_ms)
        return err_make(&DEADLINE_EXCEEDED, "no time left for the database");
    db_params_init(&params, args);
    read->params = &params;
    list_append(&b->waiting, read);
    flush_soon(b);
    if (!b->looking) {
        loop_timer_set(b->timer, BATCH_LOOK_MS, BATCH_LOOK_MS);
        b->looking = true;
    }
    while (!read->done)
        (void)fiber_park(-1); /* deadlines are looked at here, for all */
    db_params_done(&params);
    if (b->db->seconds)
        histogram_observe(b->db->seconds, (double)(clock_monotonic_us(&SYSTEM_CLOCK) - start_us) / 1e6);
    if (err_failed(read->err))
        PQclear(read->result);
    else
        *out = read->result;
    return read->err;
}

Err db_batch_read(DbBatch *b, int64_t deadline_ms, const char *sql, DbArgs args, PGresult **out)
{
    Read read = {.fiber = fiber_current(), .sql = sql, .deadline_ms = deadline_ms};

    return ask(b, &read, args, out);
}

Err db_batch_write(DbBatch *b, int64_t deadline_ms, DbOrder order, const char *sql, DbArgs args, PGresult **out)
{
    Read write = {.fiber = fiber_current(), .sql = sql, .deadline_ms = deadline_ms, .order = order};

    return ask(b, &write, args, out);
}

static DbBatch *open_batch(Db *db, Loop *loop, bool writes)
{
    DbBatch *b = xcalloc(1, sizeof *b);

    b->db = db;
    b->writes = writes;
    b->loop = loop;
    b->timer = loop_timer_new(loop, look, b);
    b->fibers = fibers_new(loop, BATCH_CONNECTIONS);
    list_clear(&b->waiting);
    for (int i = 0; i < BATCH_CONNECTIONS; i++) {
        b->conns[i].batch = b;
        b->conns[i].conn.db = db;
        list_clear(&b->conns[i].sent);
    }
    return b;
}

void db_batch_open(Db *db, Loop *loop)
{
    assert(!db->batch);
    db->batch = open_batch(db, loop, false);
    db->writes = open_batch(db, loop, true);
}

static bool is_connecting(const DbBatch *b)
{
    return b && fibers_running(b->fibers) > 0;
}

bool db_batch_connecting(const Db *db)
{
    return is_connecting(db->batch) || is_connecting(db->writes);
}

static void close_batch(DbBatch *b)
{
    if (!b)
        return;
    assert(!b->waiting.first);
    for (int i = 0; i < BATCH_CONNECTIONS; i++)
        if (b->conns[i].ready)
            drop(&b->conns[i]);
    loop_unpost(b->loop, flush, b);
    loop_timer_free(b->timer);
    fibers_free(b->fibers);
    free(b);
}

void db_batch_close(Db *db)
{
    close_batch(MOVE(db->batch));
    close_batch(MOVE(db->writes));
}
