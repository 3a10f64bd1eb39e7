/* idempotency: see idempotency.h. The claim is an advisory lock of the transaction, tried without waiting: a second
 * request with the same key learns at once that the first still runs. */
#include "shared/idempotency.h"

#include <sodium.h>

#include "atrium/reasons.atrium.h"
#include "shared/db_later.h"

void idempotency_fingerprint(Slice request, uint8_t out[IDEMPOTENCY_FINGERPRINT_BYTES])
{
    crypto_hash_sha256(out, (const unsigned char *)request.ptr, request.len);
}

/* Database-wide, hence the rpc's name within. chr(10) stands in none of the three. */
static const char TRY_LOCK[] = "SELECT pg_try_advisory_xact_lock(hashtextextended('idempotency' || chr(10) || $1 || "
                               "chr(10) || $2 || chr(10) || $3, 0))";

static Err try_lock(DbTx *tx, const IdempotencyClaim *claim)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, TRY_LOCK,
                 DB_ARGS(db_text(slice(claim->caller)), db_text(slice(claim->rpc)), db_text(slice(claim->key))),
                 &rows));
    if (rows.count != 1 || !db_get_bool(&rows, 0, 0))
        return err_make(&IDEMPOTENCY_RUNNING, "a request with this Idempotency-Key is still running");
    return OK;
}

/* A statement of its own: its snapshot must be taken after the lock was, or a reply committed in between is missed. */
static const char FIND_REPLY[] =
    "SELECT fingerprint, http_status, headers, reply FROM idempotency "
    "WHERE caller = $1 AND rpc = $2 AND key = $3 AND created_at > now() - interval '24 hours'";

Err idempotency_claim(DbTx *tx, Arena *mem, const IdempotencyClaim *claim, bool *out_found, IdempotencyReply *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice key = slice(claim->key), body;

    if (key.len == 0 || key.len > IDEMPOTENCY_KEY_MAX_BYTES || !utf8_valid(key))
        return err_make(&INVALID_ARGUMENT, "Idempotency-Key: 1 to %d bytes", IDEMPOTENCY_KEY_MAX_BYTES);
    TRY(try_lock(tx, claim));
    TRY(db_query(tx, FIND_REPLY, DB_ARGS(db_text(slice(claim->caller)), db_text(slice(claim->rpc)), db_text(key)),
                 &rows));
    if (rows.count == 0) {
        *out_found = false;
        return OK;
    }
    if (!slice_eq(db_get_bytes(&rows, 0, 0), slice_of(claim->fingerprint, sizeof claim->fingerprint)))
        return err_make(&IDEMPOTENCY_MISMATCH, "this Idempotency-Key stands for another request");
    body = db_get_bytes(&rows, 0, 3);
    *out = (IdempotencyReply){
        .http_status = (int)db_get_int64(&rows, 0, 1),
        .headers = slice(db_get_cstr(mem, &rows, 0, 2)),
        .body = slice_of(arena_memdup(mem, body.ptr, body.len), body.len),
    };
    *out_found = true;
    return OK;
}

/* A row that is there already is one that has expired, and was not purged yet. */
static const char STORE_REPLY[] =
    "INSERT INTO idempotency (caller, rpc, key, fingerprint, http_status, headers, reply) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (caller, rpc, key) DO UPDATE SET fingerprint = "
    "excluded.fingerprint, "
    "http_status = excluded.http_status, headers = excluded.headers, reply = excluded.reply, created_at = now()";

Err idempotency_store(DbTx *tx, const IdempotencyClaim *claim, const IdempotencyReply *reply)
{
    return db_exec_later(tx, STORE_REPLY,
                         DB_ARGS(db_text(slice(claim->caller)), db_text(slice(claim->rpc)), db_text(slice(claim->key)),
                                 db_bytes(slice_of(claim->fingerprint, sizeof claim->fingerprint)),
                                 db_int64(reply->http_status), db_text(reply->headers), db_bytes(reply->body)));
}

static const char PURGE[] =
    "DELETE FROM idempotency WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency "
    "WHERE created_at <= now() - interval '24 hours' ORDER BY created_at LIMIT 5000 FOR UPDATE SKIP LOCKED))";

Err idempotency_purge(Db *db, int64_t timeout_ms, int64_t *out_rows)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin_with(db, timeout_ms, &tx));
    TRY(db_exec_count(&tx, PURGE, DB_NO_ARGS, out_rows));
    return db_tx_commit(&tx);
}
