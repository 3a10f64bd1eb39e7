/* store_mail: see store_mail.h. */
#include "services/auth/store_mail.h"

static const char *const KINDS[MAIL_KIND_COUNT] = {
    [MAIL_VERIFICATION] = "verification",
    [MAIL_RESET] = "reset",
    [MAIL_INVITATION] = "invitation",
    [MAIL_NEW_LOGIN] = "new_login",
};
static const char *const PURPOSES[] = {
    [TOKEN_VERIFY_EMAIL] = "verify_email",
    [TOKEN_RESET_PASSWORD] = "reset_password",
};
/* Longer than the day that bounds look back. */
enum { KEEP_S = 2 * 86400 };

static MailKind kind_of(Slice name)
{
    MailKind kind = MAIL_VERIFICATION;

    while (kind < MAIL_KIND_COUNT - 1 && !slice_eq_cstr(name, KINDS[kind]))
        kind++;
    return kind;
}

/* ---------------------------------------------------------------------------------------------------- mail */
static const char INSERT_MAIL[] =
    "INSERT INTO mail (id, kind, user_id, recipient, detail, next_at, created_at, expires_at)"
    " SELECT $1, $2, $3, $4, $5, $6, $6, $7 FROM ("
    "  SELECT count(*) AS today, max(created_at) AS last_at FROM mail"
    "  WHERE kind = $2 AND lower(recipient) = lower($4) AND created_at > $6 - interval '1 day') earlier"
    " WHERE $8 = 0 OR (earlier.today < $8 AND (earlier.last_at IS NULL OR earlier.last_at <= $9))";

Err mail_store_insert(DbTx *tx, const MailRow *row, const MailBounds *bounds)
{
    /* Parallel ones would not see each other. */
    if (bounds->a_day)
        TRY(db_lock(tx, "auth.mail", slice(row->recipient)));
    return db_exec(tx, INSERT_MAIL,
                   DB_ARGS(db_uuid(row->id), db_text(slice(KINDS[row->kind])),
                           row->user_id ? db_int64(row->user_id) : db_null(), db_text(slice(row->recipient)),
                           row->detail.ptr ? db_bytes(row->detail) : db_null(), db_time_us(row->created_us),
                           db_time_us(row->expires_us), db_int64(bounds->a_day),
                           db_time_us(row->created_us - bounds->apart_us)));
}

static Slice copy(Arena *mem, Slice bytes)
{
    return slice_of(arena_memdup(mem, bytes.ptr, bytes.len), bytes.len);
}

static const char CLAIM_MAIL[] =
    "UPDATE mail SET attempts = attempts + 1,"
    "  next_at = least(expires_at, $1 + least($2 * power(5, attempts), 21600000) * interval '1 millisecond')"
    " WHERE id = (SELECT id FROM mail WHERE sent_at IS NULL AND failed_at IS NULL AND next_at <= $1"
    "  ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " RETURNING id, kind, user_id, recipient, detail, attempts, created_at, expires_at";

Err mail_store_claim(Request *rq, int64_t now_us, int64_t retry_ms, MailRow *out, bool *out_found)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_query(&tx, CLAIM_MAIL, DB_ARGS(db_time_us(now_us), db_double((double)retry_ms)), &rows));
    TRY(db_tx_commit(&tx));
    *out_found = rows.count > 0;
    if (rows.count == 0)
        return OK;
    *out = (MailRow){
        .id = db_get_uuid(&rows, 0, 0),
        .kind = kind_of(db_get_text(&rows, 0, 1)),
        .user_id = db_get_int64(&rows, 0, 2),
        .recipient = db_get_cstr(rq->mem, &rows, 0, 3),
        .detail = copy(rq->mem, db_get_bytes(&rows, 0, 4)),
        .attempts = db_get_int64(&rows, 0, 5),
        .created_us = db_get_time_us(&rows, 0, 6),
        .expires_us = db_get_time_us(&rows, 0, 7),
    };
    return OK;
}

static const char FINISH_MAIL[] =
    "UPDATE mail SET sent_at = CASE WHEN $2 THEN $3 END, failed_at = CASE WHEN $2 THEN NULL ELSE $3 END, detail = NULL"
    " WHERE id = $1";

Err mail_store_finish(Request *rq, Uuid id, bool sent, int64_t now_us)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec(&tx, FINISH_MAIL, DB_ARGS(db_uuid(id), db_bool(sent), db_time_us(now_us))));
    return db_tx_commit(&tx);
}

/* ---------------------------------------------------------------------------------------------------- tokens */
static const char INSERT_TOKEN[] = "INSERT INTO mail_token (hash, user_id, purpose, email, expires_at)"
                                   " SELECT $1, id, $3, $4, $5 FROM account WHERE id = $2";

Err mail_store_insert_token(DbTx *tx, const MailToken *token)
{
    return db_exec(tx, INSERT_TOKEN,
                   DB_ARGS(db_bytes(token->hash), db_int64(token->user_id), db_text(slice(PURPOSES[token->purpose])),
                           db_text_or_null(token->email), db_time_us(token->expires_us)));
}

static const char FIND_TOKEN[] =
    "SELECT user_id, email, expires_at FROM mail_token WHERE hash = $1 AND purpose = $2 AND expires_at > $3";

Err mail_store_find_token(Request *rq, Slice hash, TokenPurpose purpose, int64_t now_us, MailToken *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, FIND_TOKEN, DB_ARGS(db_bytes(hash), db_text(slice(PURPOSES[purpose])), db_time_us(now_us)), &rows));
    *out = (MailToken){.hash = hash, .purpose = purpose};
    if (rows.count == 0)
        return OK;
    out->user_id = db_get_int64(&rows, 0, 0);
    out->email = db_get_cstr_or_null(rq->mem, &rows, 0, 1);
    out->expires_us = db_get_time_us(&rows, 0, 2);
    return OK;
}

static const char TAKE_TOKENS[] =
    "DELETE FROM mail_token WHERE user_id = $2 AND purpose = $3 RETURNING hash = $1 AND expires_at > $4";

Err mail_store_take_token(DbTx *tx, const MailToken *token, int64_t now_us, bool *out_taken)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    bool taken = false;

    TRY(db_query(tx, TAKE_TOKENS,
                 DB_ARGS(db_bytes(token->hash), db_int64(token->user_id), db_text(slice(PURPOSES[token->purpose])),
                         db_time_us(now_us)),
                 &rows));
    for (int i = 0; i < rows.count; i++)
        taken = taken || db_get_bool(&rows, i, 0);
    *out_taken = taken;
    return OK;
}

static const char DROP_RESETS[] = "DELETE FROM mail_token WHERE user_id = $1 AND purpose = 'reset_password'";

Err mail_store_drop_resets(DbTx *tx, int64_t user_id)
{
    return db_exec(tx, DROP_RESETS, DB_ARGS(db_int64(user_id)));
}

static const char PURGE_MAIL[] =
    "WITH over AS (DELETE FROM mail_token WHERE hash IN ("
    "   SELECT hash FROM mail_token WHERE expires_at <= $1 LIMIT $3) RETURNING 1), old AS ("
    "  DELETE FROM mail WHERE id IN (SELECT id FROM mail WHERE created_at < $2"
    "   AND (sent_at IS NOT NULL OR failed_at IS NOT NULL) LIMIT $3) RETURNING 1)"
    " SELECT (SELECT count(*) FROM over) + (SELECT count(*) FROM old)";

Err mail_store_purge(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_query(&tx, PURGE_MAIL,
                 DB_ARGS(db_time_us(now_us), db_time_us(now_us - (int64_t)KEEP_S * 1000000), db_int64(limit)), &rows));
    *out_deleted = db_get_int64(&rows, 0, 0);
    return db_tx_commit(&tx);
}

/* ---------------------------------------------------------------------------------------------------- addresses */
#define ADDRESS_COLUMNS                                                                                                \
    "id, username, email, pending_email, email_verified_at, password_hash IS NOT NULL, active FROM account"

static void read_address(Arena *mem, const DbRows *rows, AddressRow *out)
{
    *out = (AddressRow){.user_id = 0};
    if (rows->count == 0)
        return;
    *out = (AddressRow){
        .user_id = db_get_int64(rows, 0, 0),
        .username = db_get_cstr(mem, rows, 0, 1),
        .email = db_get_cstr_or_null(mem, rows, 0, 2),
        .pending_email = db_get_cstr_or_null(mem, rows, 0, 3),
        .verified_us = db_get_time_us(rows, 0, 4),
        .has_password = db_get_bool(rows, 0, 5),
        .active = db_get_bool(rows, 0, 6),
    };
}

static const char ADDRESS[] = "SELECT " ADDRESS_COLUMNS " WHERE id = $1";

Err mail_store_address(Request *rq, DbTx *tx, int64_t user_id, AddressRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DbArgs args = DB_ARGS(db_int64(user_id));

    if (tx)
        TRY(db_query(tx, ADDRESS, args, &rows));
    else
        TRY(db_read(rq, ADDRESS, args, &rows));
    read_address(rq->mem, &rows, out);
    return OK;
}

static const char ACCOUNT_AT[] = "SELECT " ADDRESS_COLUMNS " WHERE lower(email) = lower($1)";

Err mail_store_account_at(Request *rq, const char *email, AddressRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, ACCOUNT_AT, DB_ARGS(db_text(slice(email))), &rows));
    read_address(rq->mem, &rows, out);
    return OK;
}

static const char IS_TAKEN[] = "SELECT EXISTS (SELECT 1 FROM account WHERE lower(email) = lower($2) AND id <> $1)";

Err mail_store_is_taken(DbTx *tx, int64_t user_id, const char *email, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, IS_TAKEN, DB_ARGS(db_int64(user_id), db_text(slice(email))), &rows));
    *out = db_get_bool(&rows, 0, 0);
    return OK;
}

static const char SET_PENDING[] = "UPDATE account SET pending_email = $2, updated_at = $3 WHERE id = $1";

Err mail_store_set_pending(DbTx *tx, int64_t user_id, const char *email, int64_t now_us)
{
    return db_exec(tx, SET_PENDING, DB_ARGS(db_int64(user_id), db_text_or_null(email), db_time_us(now_us)));
}

static const char VERIFY[] = "UPDATE account SET email = $2, email_verified_at = $3, updated_at = $3, pending_email ="
                             "  CASE WHEN lower(pending_email) <> lower($2) THEN pending_email END WHERE id = $1";

Err mail_store_verify(DbTx *tx, int64_t user_id, const char *email, int64_t now_us)
{
    Err e = db_exec(tx, VERIFY, DB_ARGS(db_int64(user_id), db_text(slice(email)), db_time_us(now_us)));

    if (err_failed(e) && db_violated(tx, "account_email_key"))
        return err_make(&EMAIL_TAKEN, "this e-mail address is taken");
    return e;
}
