/* db_internal: what the files of module db share. Not for other modules.
 *
 * db_values.c: values to and from the wire. db_conn.c: one connection: connecting, statements, errors. db_batch.c: the
 * reads of fibers, gathered. db.c: the pool, transactions, what others call. */
#pragma once
#include <libpq-fe.h>
#include <pthread.h>

#include "shared/db_together.h"
#include "shared/fiber.h"

/* --- values ------------------------------------------------------------------------------------------------------ */
/* More parameters than any statement of ours has; a longer list is a mistake in a store. */
enum { DB_MAX_PARAMS = 64 };

/* Parameters as libpq wants them, in binary. Points into the values it was made from. */
typedef struct DbParams {
    int count;
    Oid types[DB_MAX_PARAMS]; /* 0: a NULL without a type; the server infers one */
    const char *values[DB_MAX_PARAMS];
    int lengths[DB_MAX_PARAMS];
    int formats[DB_MAX_PARAMS];
    char scalars[DB_MAX_PARAMS][16];
    char *arrays[DB_MAX_PARAMS]; /* owned */
    int array_count;
} DbParams;

void db_params_init(DbParams *params, DbArgs args);
void db_params_done(DbParams *params);

/* --- one connection ------------------------------------------------------------------------------------------------
 */
typedef struct DbStatement {
    const char *sql; /* the constant's address is the key */
    char *copy;      /* owned; proves that the address still holds the same text */
    char name[12];
    bool prepared; /* false: known, but the server did not take it */
    int count;
    Oid *types; /* owned */
} DbStatement;

/* Statements kept prepared on one connection. Stores have a few dozen; one more empties the table. */
enum { DB_STATEMENT_SLOTS = 1024, DB_STATEMENTS_MAX = 512 };

struct DbConn {
    Db *db;
    PGconn *pg;          /* NULL: not connected */
    bool pooled, broken; /* broken: closed when it is given back */
    /* Sent together with the next statement, which saves their round trips. */
    bool begin_pending, join_pending;
    bool in_tx, joined_savepoint, savepoint;
    int later;           /* statements that were sent and not answered yet (db_later.h); above 0 in pipeline mode */
    int64_t deadline_ms; /* of the transaction, monotonic */
    char violated[64];   /* constraint of the last failed statement */
    int statement_count;
    unsigned statement_number;
    DbStatement statements[DB_STATEMENT_SLOTS]; /* open addressing */
    DbConn *next;                               /* idle list */
};

typedef struct DbBatch DbBatch;

/* A fiber that waits for a connection of the pool; on its stack. */
typedef struct DbWaiter {
    Fiber *fiber;
    struct DbWaiter *next;
} DbWaiter;

struct Db {
    const char **keywords, **parameters; /* for PQconnectStartParams; owned, with their texts */
    Log *log;
    int64_t acquire_timeout_ms;
    Histogram *seconds; /* these are NULL without metrics */
    Gauge *busy, *idle;
    Metrics *metrics;
    _Atomic int64_t last_success_ms;
    DbBatch *batch, *writes; /* of reads, and of db_write_together; NULL: no fibers */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t given_back;
    DbConn *conns; /* pool_size of them, owned */
    int pool_size;
    DbConn *free;                     /* connected ones in front */
    DbWaiter *waiters;                /* fibers; threads wait for `given_back` */
    int64_t pause_until_ms, pause_ms; /* after a failed attempt to connect */
};

int64_t db_now_ms(void);
/* Connects when `conn` is not. UNAVAILABLE. */
Err db_conn_connect(DbConn *conn, int64_t deadline_ms);
void db_conn_disconnect(DbConn *conn);
/* One statement, after whatever is pending on the connection. `out` may be NULL. */
Err db_conn_run(DbConn *conn, int64_t deadline_ms, const char *sql, DbArgs args, PGresult **out);

/* The same without waiting for the answer, which comes with that of the next one; or at once, where it cannot wait. */
Err db_conn_run_later(DbConn *conn, int64_t deadline_ms, const char *sql, DbArgs args);
/* Waits for the answers of all that was sent. The first failure of them. */
Err db_conn_settle(DbConn *conn, int64_t deadline_ms);

/* For db_batch.c, whose connections are in pipeline mode: queues one statement, prepared before where it is new. False:
 * the connection is lost. */
bool db_conn_send_read(DbConn *conn, const char *sql, const DbParams *params, bool *out_preparing);
/* The server did not come to prepare it, or refused: it is prepared again at its next use. */
void db_conn_unprepare(DbConn *conn, const char *sql, const DbParams *params);
/* The error of a failed result; of a read whose connection ended; of one that nobody got to. Logged and counted. */
Err db_conn_fail_result(DbConn *conn, const PGresult *result, const char *sql);
Err db_conn_fail_read(DbConn *conn, const char *sql, bool too_late);
Err db_fail_too_late(Db *db, const char *sql);
/* Asks the server to stop what runs on the connection, without waiting. The connection must not be used again. */
void db_conn_cancel_behind(DbConn *conn);

/* One read, from a fiber of the batch's loop. */
Err db_batch_read(DbBatch *batch, int64_t deadline_ms, const char *sql, DbArgs args, PGresult **out);
Err db_batch_write(DbBatch *batch, int64_t deadline_ms, DbOrder order, const char *sql, DbArgs args, PGresult **out);
