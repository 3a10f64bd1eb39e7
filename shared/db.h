/* db: PostgreSQL. Alone knows libpq and SQLSTATE; its errors carry our words, never PostgreSQL's (those go to the log).
 *
 * A small pool of connections per service; a worker borrows one only while it needs it. Statements are constants,
 * prepared once per connection and found again by their address; values go in as $n. Lost connections are made anew:
 * a statement that failed for that answers UNAVAILABLE, and is never sent again by itself. Every statement runs under
 * what is left of the request's deadline (kept by the client, which cancels it on the server). Binary format on the
 * wire: say $1::int where a function wants an int4, and cast what is no plain type ($1::text::jsonb, x::text). */
#pragma once
#include "shared/err.h"
#include "shared/id.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/metrics.h"

typedef struct Db Db;
typedef struct DbConn DbConn;
struct Request;

typedef struct DbOptions {
    const char *url;    /* postgresql://…; a "+driver" suffix of the scheme is accepted and cut */
    const char *schema; /* search_path: the service's own schema */
    const char *application_name;
    int pool_size;
    int64_t acquire_timeout_ms;
    Log *log;
    Metrics *metrics;
} DbOptions;

/* Connects lazily: succeeds while the server is down. UNAVAILABLE only for a URL that cannot be read. */
Err db_new(const DbOptions *options, Db **out) MUST_CHECK;
void db_free(Db *db);
CLEANUP_FN(Db, db_free)
/* One round trip; for readiness. */
Err db_ping(Db *db, int64_t timeout_ms) MUST_CHECK;

/* For a server whose handlers run in fibers (rpc.h): db_read of fibers of this loop is sent in batches, over
 * connections that only read. Both from the loop's thread, or while it does not run; the second when no fiber runs any
 * more. */
void db_batch_open(Db *db, Loop *loop);
void db_batch_close(Db *db);            /* nothing when it is not open */
bool db_batch_connecting(const Db *db); /* then it must not be closed yet; any thread */

/* --- values ------------------------------------------------------------------------------------------------------ */
typedef struct DbValue {
    enum {
        DB_NULL,
        DB_INT64,
        DB_BOOL,
        DB_TEXT,
        DB_BYTES,
        DB_UUID,
        DB_TIME,
        DB_DOUBLE,
        DB_TEXT_ARRAY,
        DB_INT64_ARRAY
    } kind;
    union {
        int64_t int64; /* DB_TIME: Unix microseconds */
        bool boolean;
        double number;
        Slice bytes;
        Uuid uuid;
        struct {
            const void *items;
            size_t count;
        } array;
    };
} DbValue;
DbValue db_null(void);
DbValue db_int64(int64_t v);
DbValue db_bool(bool v);
DbValue db_double(double v);
DbValue db_text(Slice v);               /* a NULL pointer with length 0 is '' */
DbValue db_text_or_null(const char *v); /* NULL is NULL */
DbValue db_bytes(Slice v);
DbValue db_uuid(Uuid v);
DbValue db_time_us(int64_t unix_us);         /* timestamptz */
DbValue db_time_us_or_null(int64_t unix_us); /* 0 is NULL */
DbValue db_text_array(const Slice *items, size_t count);
DbValue db_int64_array(const int64_t *items, size_t count);

typedef struct DbArgs {
    const DbValue *list;
    size_t count;
} DbArgs;
#define DB_ARGS(...)                                                                                                   \
    ((DbArgs){(const DbValue[]){__VA_ARGS__}, sizeof((const DbValue[]){__VA_ARGS__}) / sizeof(DbValue)})
#define DB_NO_ARGS ((DbArgs){NULL, 0})

/* --- transactions and statements --------------------------------------------------------------------------------- */
/* A transaction, on one borrowed connection. Within a request whose dispatcher already opened one (Idempotency-Key),
 * db_tx_begin joins it and db_tx_commit leaves the commit to the dispatcher. */
typedef struct DbTx {
    DbConn *conn;
    Db *db;
    struct Request *rq;
    bool joined, open;
} DbTx;

/* `rq` gives database and deadline. */
Err db_tx_begin(struct Request *rq, DbTx *out) MUST_CHECK;
/* Outside requests: start-up, relays, tools. */
Err db_tx_begin_with(Db *db, int64_t timeout_ms, DbTx *out) MUST_CHECK;
Err db_tx_commit(DbTx *tx) MUST_CHECK;
/* Rolls back unless committed; gives the connection back. Use as CLEANUP(db_tx_done) DbTx tx = {0}. */
void db_tx_done(DbTx *tx);

/* Rows, owned: CLEANUP(db_rows_done) DbRows rows = {0}. Accessors take row and column from 0; NULL reads as 0, "" or
 * false, db_is_null tells. Texts are borrowed from the rows: copy what outlives them. */
typedef struct DbRows {
    void *result;
    int count;
} DbRows;
void db_rows_done(DbRows *rows);

/* One statement in the transaction. `sql` is a constant. UNIQUE and other violations: db_violated. */
Err db_query(DbTx *tx, const char *sql, DbArgs args, DbRows *out) MUST_CHECK;
Err db_exec(DbTx *tx, const char *sql, DbArgs args) MUST_CHECK;
/* Same; `out_rows` gets the number of rows touched. */
Err db_exec_count(DbTx *tx, const char *sql, DbArgs args, int64_t *out_rows) MUST_CHECK;
/* One statement on its own, without BEGIN and COMMIT: the cheapest read. It must not write: in a fiber it goes over a
 * connection that only reads. Joins the request's transaction if there is one. */
Err db_read(struct Request *rq, const char *sql, DbArgs args, DbRows *out) MUST_CHECK;
Err db_read_with(Db *db, int64_t timeout_ms, const char *sql, DbArgs args, DbRows *out) MUST_CHECK;

/* One statement that writes, as a transaction of its own: the cheapest change, in one round trip. Joins the request's
 * transaction if there is one. Like a commit, one whose connection is lost may have happened. */
Err db_write(struct Request *rq, const char *sql, DbArgs args, DbRows *out) MUST_CHECK;

bool db_is_null(const DbRows *rows, int row, int column);
int64_t db_get_int64(const DbRows *rows, int row, int column); /* int2, int4, int8 */
bool db_get_bool(const DbRows *rows, int row, int column);
double db_get_double(const DbRows *rows, int row, int column);
Slice db_get_text(const DbRows *rows, int row, int column);             /* text, varchar, json */
char *db_get_cstr(Arena *mem, const DbRows *rows, int row, int column); /* "" for NULL */
char *db_get_cstr_or_null(Arena *mem, const DbRows *rows, int row, int column);
Slice db_get_bytes(const DbRows *rows, int row, int column);
/* Of a bigint[] without NULLs; borrowed from `mem`. Empty for NULL. */
size_t db_get_int64_array(Arena *mem, const DbRows *rows, int row, int column, int64_t **out);
Uuid db_get_uuid(const DbRows *rows, int row, int column);
int64_t db_get_time_us(const DbRows *rows, int row, int column); /* 0 for NULL */

/* --- errors ------------------------------------------------------------------------------------------------------ */
/* After a failed statement: was it this constraint? `err.text` never holds it; the connection remembers the last. A
 * caller maps it to its own reason: if (db_violated(&tx, "account_username_key")) return err_make(&USERNAME_TAKEN, …).
 * The transaction is then aborted; use a savepoint (db_savepoint) to go on. */
bool db_violated(const DbTx *tx, const char *constraint);
Err db_savepoint(DbTx *tx) MUST_CHECK;
Err db_savepoint_rollback(DbTx *tx) MUST_CHECK;
/* pg_advisory_xact_lock of a hash of `kind` and `key`; held to the end of the transaction. */
Err db_lock(DbTx *tx, const char *kind, Slice key) MUST_CHECK;
Err db_lock_shared(DbTx *tx, const char *kind, Slice key) MUST_CHECK;

/* --- a connection of one's own ----------------------------------------------------------------------------------- */
/* For leases and tools: a dedicated connection that is not of the pool. The tx then runs on it. */
Err db_conn_open(Db *db, int64_t timeout_ms, DbConn **out) MUST_CHECK;
void db_conn_close(DbConn *conn); /* NULL is fine */
bool db_conn_alive(DbConn *conn);
/* A transaction on it; db_tx_done leaves the connection open. */
Err db_conn_begin(DbConn *conn, int64_t timeout_ms, DbTx *out) MUST_CHECK;
Err db_conn_query(DbConn *conn, int64_t timeout_ms, const char *sql, DbArgs args, DbRows *out) MUST_CHECK;
/* Several statements as one text, without arguments: for migrations. On failure `out_detail` (may be NULL, borrowed
 * from `mem`) is PostgreSQL's own message. */
Err db_conn_script(DbConn *conn, int64_t timeout_ms, Arena *mem, const char *script, char **out_detail) MUST_CHECK;
/* The SCRAM verifier of a role's password, for ALTER ROLE … PASSWORD: the plain one appears in no statement and no log.
 * Holds no quote. Borrowed from `mem`. */
Err db_conn_encrypt_password(DbConn *conn, Arena *mem, const char *role, const char *password, char **out) MUST_CHECK;
