/* store_signing: see store_signing.h. */
#include "services/auth/store_signing.h"

#include "services/auth/audit.h"

static const char LIST_KEYS[] =
    "SELECT kid, algorithm, public_key, private_key, created_at, signs_from, retires_at FROM signing_key"
    " WHERE retires_at IS NULL OR retires_at > $1 ORDER BY created_at DESC, kid LIMIT $2";

static Slice get_bytes(Arena *mem, const DbRows *rows, int row, int column)
{
    Slice bytes = db_get_bytes(rows, row, column);

    return slice_of(arena_memdup(mem, bytes.ptr, bytes.len), bytes.len);
}

Err auth_store_signing_keys(Request *rq, int64_t retired_after_us, SigningKeyRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    SigningKeyRow *list;

    TRY(db_read(rq, LIST_KEYS, DB_ARGS(db_time_us(retired_after_us), db_int64(SIGNING_KEYS_MAX)), &rows));
    list = ARENA_ARRAY(rq->mem, SigningKeyRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        list[i] = (SigningKeyRow){
            .kid = db_get_cstr(rq->mem, &rows, i, 0),
            .alg = jws_alg_parse(db_get_text(&rows, i, 1)),
            .public_key = get_bytes(rq->mem, &rows, i, 2),
            .sealed_key = get_bytes(rq->mem, &rows, i, 3),
            .created_us = db_get_time_us(&rows, i, 4),
            .signs_from_us = db_get_time_us(&rows, i, 5),
            .retires_us = db_get_time_us(&rows, i, 6),
        };
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char COUNT_SIGNING[] =
    "SELECT count(*), count(*) FILTER (WHERE algorithm = $1 AND created_at >= $2) FROM signing_key"
    " WHERE retires_at IS NULL";

static const char RETIRE_KEYS[] = "UPDATE signing_key SET retires_at = $1 WHERE retires_at IS NULL";

static const char INSERT_KEY[] =
    "INSERT INTO signing_key (kid, algorithm, public_key, private_key, created_at, signs_from)"
    " VALUES ($1, $2, $3, $4, $5, $6)";

Err auth_store_add_signing_key(Request *rq, const SigningKeyRow *key, int64_t unless_since_us, bool *out_added)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice algorithm = slice(jws_alg_name(key->alg));
    int64_t signs_from_us;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_lock(&tx, "auth.signing_key", SLICE_LIT("")));
    TRY(db_query(&tx, COUNT_SIGNING, DB_ARGS(db_text(algorithm), db_time_us(unless_since_us)), &rows));
    *out_added = db_get_int64(&rows, 0, 1) == 0;
    if (!*out_added)
        return OK;
    signs_from_us = db_get_int64(&rows, 0, 0) == 0 ? key->created_us : key->signs_from_us;
    TRY(db_exec(&tx, RETIRE_KEYS, DB_ARGS(db_time_us(signs_from_us))));
    TRY(db_exec(&tx, INSERT_KEY,
                DB_ARGS(db_text(slice(key->kid)), db_text(algorithm), db_bytes(key->public_key),
                        db_bytes(key->sealed_key), db_time_us(key->created_us), db_time_us(signs_from_us))));
    TRY(audit_insert(&tx, rq, AUDIT_SIGNING_KEY_MADE, "signing_key", key->kid, NULL));
    return db_tx_commit(&tx);
}

static const char PURGE_KEYS[] = "DELETE FROM signing_key WHERE retires_at < $1";

Err auth_store_purge_signing_keys(Request *rq, int64_t retired_before_us)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec(&tx, PURGE_KEYS, DB_ARGS(db_time_us(retired_before_us))));
    return db_tx_commit(&tx);
}
