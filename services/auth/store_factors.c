/* store_factors: see store_factors.h. */
#include "services/auth/store_factors.h"

#include "services/auth/audit.h"

enum { CODES_MAX = 16 };

static Slice copy_bytes(Arena *mem, Slice bytes)
{
    return slice_of(arena_memdup(mem, bytes.ptr, bytes.len), bytes.len);
}

/* One statement that writes; `out_done`: it touched a row. */
static Err write_one(Request *rq, const char *sql, DbArgs args, bool *out_done)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t count;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec_count(&tx, sql, args, &count));
    TRY(db_tx_commit(&tx));
    *out_done = count > 0;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- one-time codes
 */
static const char COUNT_CODES[] = "SELECT EXISTS (SELECT 1 FROM totp WHERE user_id = $1 AND confirmed_at IS NOT NULL),"
                                  "  (SELECT count(*) FROM recovery_code WHERE user_id = $1 AND used_at IS NULL)";

Err factors_store_codes(Request *rq, int64_t user_id, bool *out_totp, int64_t *out_recovery_left)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, COUNT_CODES, DB_ARGS(db_int64(user_id)), &rows));
    *out_totp = db_get_bool(&rows, 0, 0);
    *out_recovery_left = db_get_int64(&rows, 0, 1);
    return OK;
}

static const char SELECT_SECRET[] = "SELECT secret FROM totp WHERE user_id = $1 AND (confirmed_at IS NOT NULL) = $2";

Err factors_store_totp_secret(Request *rq, int64_t user_id, bool confirmed, Slice *out_sealed)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SELECT_SECRET, DB_ARGS(db_int64(user_id), db_bool(confirmed)), &rows));
    *out_sealed = rows.count > 0 ? copy_bytes(rq->mem, db_get_bytes(&rows, 0, 0)) : (Slice){NULL, 0};
    return OK;
}

static const char START_TOTP[] =
    "INSERT INTO totp AS t (user_id, secret, created_at) VALUES ($1, $2, $3)"
    " ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at, last_step = 0"
    "  WHERE t.confirmed_at IS NULL";

Err factors_store_start_totp(Request *rq, int64_t user_id, Slice sealed, int64_t now_us, bool *out_done)
{
    return write_one(rq, START_TOTP, DB_ARGS(db_int64(user_id), db_bytes(sealed), db_time_us(now_us)), out_done);
}

static const char DELETE_RECOVERY[] = "DELETE FROM recovery_code WHERE user_id = $1";
static const char INSERT_RECOVERY[] =
    "INSERT INTO recovery_code (user_id, hash) SELECT $1, decode(h, 'hex') FROM unnest($2::text[]) h";

static Err replace_recovery(DbTx *tx, Arena *mem, int64_t user_id, const Slice *hashes, size_t count)
{
    Slice texts[CODES_MAX];

    assert(count <= CODES_MAX);
    for (size_t i = 0; i < count; i++)
        texts[i] = slice(hex_encode(mem, hashes[i]));
    TRY(db_exec(tx, DELETE_RECOVERY, DB_ARGS(db_int64(user_id))));
    return db_exec(tx, INSERT_RECOVERY, DB_ARGS(db_int64(user_id), db_text_array(texts, count)));
}

static const char CONFIRM_TOTP[] =
    "UPDATE totp SET confirmed_at = $3, last_step = $2 WHERE user_id = $1 AND confirmed_at IS NULL";

Err factors_store_confirm_totp(Request *rq, int64_t user_id, int64_t step, const Slice *hashes, size_t count,
                               int64_t now_us, bool *out_done)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t confirmed;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec_count(&tx, CONFIRM_TOTP, DB_ARGS(db_int64(user_id), db_int64(step), db_time_us(now_us)), &confirmed));
    if (confirmed > 0) {
        TRY(replace_recovery(&tx, rq->mem, user_id, hashes, count));
        TRY(audit_insert_user(&tx, rq, AUDIT_FACTOR_ADDED, user_id, audit_detail(rq->mem, "factor", "totp")));
    }
    TRY(db_tx_commit(&tx));
    *out_done = confirmed > 0;
    return OK;
}

static const char DELETE_TOTP[] = "DELETE FROM totp WHERE user_id = $1 AND confirmed_at IS NOT NULL";

Err factors_store_remove_totp(Request *rq, int64_t user_id, bool *out_done)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t removed;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec_count(&tx, DELETE_TOTP, DB_ARGS(db_int64(user_id)), &removed));
    TRY(db_exec(&tx, DELETE_RECOVERY, DB_ARGS(db_int64(user_id))));
    if (removed > 0)
        TRY(audit_insert_user(&tx, rq, AUDIT_FACTOR_REMOVED, user_id, audit_detail(rq->mem, "factor", "totp")));
    TRY(db_tx_commit(&tx));
    *out_done = removed > 0;
    return OK;
}

static const char LOCK_TOTP[] = "SELECT 1 FROM totp WHERE user_id = $1 AND confirmed_at IS NOT NULL FOR UPDATE";

Err factors_store_renew_recovery(Request *rq, int64_t user_id, const Slice *hashes, size_t count, bool *out_done)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_query(&tx, LOCK_TOTP, DB_ARGS(db_int64(user_id)), &rows));
    if (rows.count > 0) {
        TRY(replace_recovery(&tx, rq->mem, user_id, hashes, count));
        TRY(audit_insert_user(&tx, rq, AUDIT_FACTOR_RENEWED, user_id, audit_detail(rq->mem, "factor", "recovery")));
    }
    TRY(db_tx_commit(&tx));
    *out_done = rows.count > 0;
    return OK;
}

static const char TAKE_STEP[] =
    "UPDATE totp SET last_step = $2 WHERE user_id = $1 AND confirmed_at IS NOT NULL AND last_step < $2";

Err factors_store_take_step(Request *rq, int64_t user_id, int64_t step, bool *out_done)
{
    return write_one(rq, TAKE_STEP, DB_ARGS(db_int64(user_id), db_int64(step)), out_done);
}

static const char TAKE_RECOVERY[] =
    "UPDATE recovery_code SET used_at = $3 WHERE user_id = $1 AND hash = $2 AND used_at IS NULL";

Err factors_store_take_recovery(Request *rq, int64_t user_id, Slice hash, int64_t now_us, bool *out_done)
{
    return write_one(rq, TAKE_RECOVERY, DB_ARGS(db_int64(user_id), db_bytes(hash), db_time_us(now_us)), out_done);
}

/* ---------------------------------------------------------------------------------------------------- passkeys */
static const char LIST_PASSKEYS[] = "SELECT id, name, created_at, last_used_at FROM passkey WHERE user_id = $1"
                                    " ORDER BY created_at, id LIMIT $2";

Err factors_store_passkeys(Request *rq, int64_t user_id, Passkey **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Passkey *list;

    TRY(db_read(rq, LIST_PASSKEYS, DB_ARGS(db_int64(user_id), db_int64(PASSKEYS_MAX)), &rows));
    list = ARENA_ARRAY(rq->mem, Passkey, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        list[i] = (Passkey){.id = copy_bytes(rq->mem, db_get_bytes(&rows, i, 0)),
                            .name = db_get_cstr(rq->mem, &rows, i, 1),
                            .created_us = db_get_time_us(&rows, i, 2),
                            .last_used_us = db_get_time_us(&rows, i, 3)};
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char COUNT_PASSKEYS[] = "SELECT count(*) FROM passkey WHERE user_id = $1";
static const char INSERT_PASSKEY[] =
    "INSERT INTO passkey (id, user_id, name, algorithm, public_key, sign_count, aaguid, created_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING";

static Err count_passkeys(DbTx *tx, int64_t user_id, int64_t *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, COUNT_PASSKEYS, DB_ARGS(db_int64(user_id)), &rows));
    *out = db_get_int64(&rows, 0, 0);
    return OK;
}

Err factors_store_add_passkey(Request *rq, const PasskeyKey *key, const char *name, int64_t now_us, PasskeyOutcome *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t there, added = 0;

    TRY(db_tx_begin(rq, &tx));
    TRY(store_lock_account(&tx, key->user_id)); /* or two at once would be one too many */
    TRY(count_passkeys(&tx, key->user_id, &there));
    if (there < PASSKEYS_MAX)
        TRY(db_exec_count(&tx, INSERT_PASSKEY,
                          DB_ARGS(db_bytes(key->id), db_int64(key->user_id), db_text(slice(name)),
                                  db_int64(key->algorithm), db_bytes(key->public_key), db_int64(key->sign_count),
                                  db_uuid(key->aaguid), db_time_us(now_us)),
                          &added));
    if (added > 0)
        TRY(audit_insert_user(&tx, rq, AUDIT_FACTOR_ADDED, key->user_id, audit_detail(rq->mem, "factor", "passkey")));
    TRY(db_tx_commit(&tx));
    *out = added > 0 ? PASSKEY_ADDED : there < PASSKEYS_MAX ? PASSKEY_EXISTS : PASSKEY_TOO_MANY;
    return OK;
}

static const char SELECT_PASSKEY[] = "SELECT user_id, algorithm, public_key, sign_count FROM passkey WHERE id = $1";

Err factors_store_passkey(Request *rq, Slice id, PasskeyKey *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SELECT_PASSKEY, DB_ARGS(db_bytes(id)), &rows));
    *out = (PasskeyKey){.user_id = 0};
    if (rows.count > 0)
        *out = (PasskeyKey){.user_id = db_get_int64(&rows, 0, 0),
                            .id = id,
                            .algorithm = db_get_int64(&rows, 0, 1),
                            .public_key = copy_bytes(rq->mem, db_get_bytes(&rows, 0, 2)),
                            .sign_count = db_get_int64(&rows, 0, 3)};
    return OK;
}

static const char USE_PASSKEY[] = "UPDATE passkey SET sign_count = $2, last_used_at = $3"
                                  " WHERE id = $1 AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))";

Err factors_store_use_passkey(Request *rq, Slice id, int64_t sign_count, int64_t now_us, bool *out_done)
{
    return write_one(rq, USE_PASSKEY, DB_ARGS(db_bytes(id), db_int64(sign_count), db_time_us(now_us)), out_done);
}

static const char DELETE_PASSKEY[] = "DELETE FROM passkey WHERE user_id = $1 AND id = $2";

Err factors_store_remove_passkey(Request *rq, int64_t user_id, Slice id, bool *out_done)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t removed;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec_count(&tx, DELETE_PASSKEY, DB_ARGS(db_int64(user_id), db_bytes(id)), &removed));
    if (removed > 0)
        TRY(audit_insert_user(&tx, rq, AUDIT_FACTOR_REMOVED, user_id, audit_detail(rq->mem, "factor", "passkey")));
    TRY(db_tx_commit(&tx));
    *out_done = removed > 0;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- challenges */
static const char INSERT_CHALLENGE[] =
    "INSERT INTO factor_challenge (hash, purpose, user_id, profile, token_set, method, password_hash, expires_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

Err factors_store_insert_challenge(Request *rq, const Challenge *c)
{
    bool done;

    return write_one(rq, INSERT_CHALLENGE,
                     DB_ARGS(db_bytes(c->hash), db_text(slice(c->purpose)),
                             c->user_id ? db_int64(c->user_id) : db_null(), db_text(slice(c->profile)),
                             db_int64(c->token_set), db_text(slice(c->method)), db_text_or_null(c->password_hash),
                             db_time_us(c->expires_us)),
                     &done);
}

static const char SELECT_CHALLENGE[] =
    "SELECT user_id, profile, token_set, method, password_hash, expires_at FROM factor_challenge"
    " WHERE hash = $1 AND purpose = $2 AND expires_at > $3 AND failures < $4";

Err factors_store_challenge(Request *rq, Slice hash, const char *purpose, int64_t now_us, int64_t max_failures,
                            Challenge *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SELECT_CHALLENGE,
                DB_ARGS(db_bytes(hash), db_text(slice(purpose)), db_time_us(now_us), db_int64(max_failures)), &rows));
    *out = (Challenge){.hash = {NULL, 0}};
    if (rows.count > 0)
        *out = (Challenge){.hash = hash,
                           .purpose = purpose,
                           .user_id = db_get_int64(&rows, 0, 0),
                           .profile = db_get_cstr(rq->mem, &rows, 0, 1),
                           .token_set = db_get_int64(&rows, 0, 2),
                           .method = db_get_cstr(rq->mem, &rows, 0, 3),
                           .password_hash = db_get_cstr_or_null(rq->mem, &rows, 0, 4),
                           .expires_us = db_get_time_us(&rows, 0, 5)};
    return OK;
}

static const char FAIL_CHALLENGE[] = "UPDATE factor_challenge SET failures = failures + 1 WHERE hash = $1";

Err factors_store_fail_challenge(Request *rq, Slice hash)
{
    bool done;

    return write_one(rq, FAIL_CHALLENGE, DB_ARGS(db_bytes(hash)), &done);
}

static const char TAKE_CHALLENGE[] = "DELETE FROM factor_challenge WHERE hash = $1";

Err factors_store_take_challenge(Request *rq, Slice hash, bool *out_done)
{
    return write_one(rq, TAKE_CHALLENGE, DB_ARGS(db_bytes(hash)), out_done);
}

static const char LOGIN_SINCE[] = "SELECT 1 FROM login WHERE id = $2 AND user_id = $1 AND created_at >= $3"
                                  "  AND impersonator_id IS NULL"
                                  "  AND ended_at IS NULL";

Err factors_store_login_since(Request *rq, int64_t user_id, Uuid login_id, int64_t since_us, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LOGIN_SINCE, DB_ARGS(db_int64(user_id), db_uuid(login_id), db_time_us(since_us)), &rows));
    *out = rows.count > 0;
    return OK;
}

static const char PURGE_CHALLENGES[] = "DELETE FROM factor_challenge WHERE hash IN (SELECT hash FROM factor_challenge"
                                       "  WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

Err factors_store_purge(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec_count(&tx, PURGE_CHALLENGES, DB_ARGS(db_time_us(now_us), db_int64(limit)), out_deleted));
    return db_tx_commit(&tx);
}
