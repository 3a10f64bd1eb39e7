/* store: every SQL statement of auth. */
#include "services/auth/store.h"

#include "services/auth/audit.h"
#include "services/auth/events.h"
#include "services/auth/mail.h"
#include "services/auth/store_access.h"
#include "services/auth/store_registration.h"

/* Rows of ended and expired logins stay a day, for questions about them. */
enum { ENDED_KEEP_S = 86400, TOUCH_INTERVAL_US = 60 * 1000000 };

/* ---------------------------------------------------------------------------------------------------- accounts */
static const char SELECT_BY_ID[] = "SELECT " ACCOUNT_COLUMNS_WITHOUT_ROLES " FROM account a WHERE a.id = $1";

Err auth_store_account(Request *rq, int64_t id, Account *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SELECT_BY_ID, DB_ARGS(db_int64(id)), &rows));
    store_read_account_if_any(rq->mem, &rows, out);
    return OK;
}

static const char SELECT_BY_USERNAME[] = "SELECT " ACCOUNT_COLUMNS " FROM account a WHERE a.username = $1";

Err auth_store_account_by_username(Request *rq, const char *username, Account *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SELECT_BY_USERNAME, DB_ARGS(db_text(slice(username))), &rows));
    store_read_account_if_any(rq->mem, &rows, out);
    return OK;
}

static const char SELECT_BY_EMAIL[] =
    "SELECT " ACCOUNT_COLUMNS " FROM account a WHERE lower(a.email) = lower($1::text)";

Err auth_store_account_by_email(Request *rq, const char *email, Account *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SELECT_BY_EMAIL, DB_ARGS(db_text(slice(email))), &rows));
    store_read_account_if_any(rq->mem, &rows, out);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- new logins */
static Err take_invitation(Request *rq, DbTx *tx, const Account *account)
{
    Uuid id = account->invitation->id;

    TRY(auth_store_take_invitation(tx, id, account->created_us));
    return audit_insert(tx, rq, AUDIT_INVITATION_ACCEPTED, "invitation", uuid_text(rq->mem, id),
                        audit_detail(rq->mem, "user_id", arena_printf(rq->mem, "%" PRId64, account->id)));
}

Err auth_store_insert_account(Request *rq, const Account *account, const NewLogin *login, const OutboxRow *announce)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    if (account->invitation)
        TRY(take_invitation(rq, &tx, account));
    TRY(store_insert_account(&tx, account));
    for (size_t i = 0; i < account->role_count; i++)
        TRY(auth_store_add_role(&tx, account->id, account->roles[i], 0, account->created_us));
    if (rq->caller.kind != CALLER_NOBODY) /* for another, then */
        TRY(audit_insert_user(&tx, rq, AUDIT_USER_CREATED, account->id,
                              audit_detail(rq->mem, "role", role_name(account->role))));
    else if (account->email) /* for himself: is it his? */
        TRY(mail_insert(&tx, rq, &(MailDraft){.kind = MAIL_VERIFICATION, .user_id = account->id, .to = account->email},
                        NULL));
    if (login)
        TRY(store_insert_login(&tx, login, login->family_id, account->id));
    TRY(outbox_insert(&tx, announce, false));
    return db_tx_commit(&tx);
}

static const char SELECT_ANY_ADMIN[] = "SELECT id FROM account WHERE role = 3 LIMIT 1";

/* Under a lock, so that of several instances that start at once one makes it. */
Err auth_store_insert_first_admin(Request *rq, const Account *account, const OutboxRow *announce, bool *out_made)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows admins = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_lock(&tx, "auth.first_admin", SLICE_LIT("")));
    TRY(db_query(&tx, SELECT_ANY_ADMIN, DB_NO_ARGS, &admins));
    if (admins.count == 0) {
        TRY(store_insert_account(&tx, account));
        TRY(outbox_insert(&tx, announce, false));
    }
    TRY(db_tx_commit(&tx));
    *out_made = admins.count == 0;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- ending logins */
static Err end_logins_alone(Request *rq, const Ending *ending, const char *sql, DbArgs args, int64_t *out_count)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(store_end_logins(rq, &tx, ending, sql, args, out_count));
    return db_tx_commit(&tx);
}

static const char END_ONE[] = STORE_END_THE_LOGINS("user_id = $3 AND id = $4");

Err auth_store_end_login(Request *rq, int64_t user_id, Uuid login_id, const Ending *ending, bool *out_ended)
{
    int64_t count;

    TRY(end_logins_alone(rq, ending, END_ONE, DB_ARGS(STORE_ENDING_ARGS(ending), db_int64(user_id), db_uuid(login_id)),
                         &count));
    *out_ended = count > 0;
    return OK;
}

static const char END_BY_REFRESH_TOKEN[] =
    STORE_END_THE_LOGINS("user_id = $3 AND id = (SELECT t.login_id FROM refresh_token t WHERE t.hash = $4)");

Err auth_store_end_login_of_refresh_token(Request *rq, int64_t user_id, Slice refresh_hash, const Ending *ending)
{
    return end_logins_alone(rq, ending, END_BY_REFRESH_TOKEN,
                            DB_ARGS(STORE_ENDING_ARGS(ending), db_int64(user_id), db_bytes(refresh_hash)), NULL);
}

static const char END_BY_OPAQUE_TOKEN[] = STORE_END_THE_LOGINS("opaque_hash = $3");

Err auth_store_end_login_of_opaque_token(Request *rq, Slice opaque_hash, const Ending *ending)
{
    return end_logins_alone(rq, ending, END_BY_OPAQUE_TOKEN, DB_ARGS(STORE_ENDING_ARGS(ending), db_bytes(opaque_hash)),
                            NULL);
}

Err auth_store_end_other_logins(Request *rq, int64_t user_id, Uuid keep, const Ending *ending, int64_t *out_count)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t count;

    TRY(db_tx_begin(rq, &tx));
    TRY(store_lock_account(&tx, user_id));
    TRY(store_end_logins_but(rq, &tx, user_id, keep, ending, &count));
    TRY(db_tx_commit(&tx));
    *out_count = count;
    return OK;
}

static const char END_FAMILY[] = STORE_END_THE_LOGINS("family_id = $3");

static const char END_BEYOND[] = "UPDATE login SET ended_at = $1, end_reason = $2 WHERE ended_at IS NULL AND id IN ("
                                 "  SELECT id FROM login WHERE ended_at IS NULL AND expires_at > $1 AND user_id = $3"
                                 "  ORDER BY created_at DESC, id DESC OFFSET $4)"
                                 " RETURNING id, user_id";

/* Checking a password takes its time: meanwhile it may have been changed, or the account switched off. */
static const char NOTE_LOGIN[] =
    "UPDATE account SET last_login_at = $2 WHERE id = $1 AND active AND ($3::text IS NULL OR password_hash = $3)";

Err auth_store_insert_login(Request *rq, const NewLogin *login, int64_t max_logins, IdSource *ids)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Ending ending = {.ids = ids, .why = AUTH__V1__LOGIN_END__TOO_MANY_LOGINS, .at_us = login->created_us};
    int64_t noted;

    TRY(db_tx_begin(rq, &tx));
    /* First: it locks the account, as store_lock_account does. */
    TRY(db_exec_count(
        &tx, NOTE_LOGIN,
        DB_ARGS(db_int64(login->user_id), db_time_us(login->created_us), db_text_or_null(login->password_hash)),
        &noted));
    if (noted == 0)
        return err_make(&INVALID_CREDENTIALS, "the password was changed meanwhile");
    TRY(store_insert_login(&tx, login, login->family_id, login->user_id));
    TRY(store_end_logins(rq, &tx, &ending, END_BEYOND,
                         DB_ARGS(STORE_ENDING_ARGS(&ending), db_int64(login->user_id), db_int64(max_logins)), NULL));
    return db_tx_commit(&tx);
}

/* ---------------------------------------------------------------------------------------------------- changes */
static const char UPDATE_PROFILE[] =
    "WITH changed AS ("
    "  UPDATE account a SET display_name = coalesce($2, a.display_name),"
    "   avatar_hash = CASE WHEN $3::text IS NULL THEN a.avatar_hash ELSE nullif($3, '') END, updated_at = $4"
    "  WHERE a.id = $1 RETURNING " ACCOUNT_COLUMNS_WITHOUT_ROLES "), told AS ("
    "  INSERT INTO outbox (id, key, subject, ce_type, payload) SELECT $5, $6, $7, $8, $9 FROM changed"
    ") SELECT * FROM changed";

Err auth_store_update_profile(Request *rq, int64_t user_id, const char *display_name, const char *avatar_hash,
                              int64_t now_us, const OutboxRow *announce, Account *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, UPDATE_PROFILE,
                DB_ARGS(db_int64(user_id), db_text_or_null(display_name), db_text_or_null(avatar_hash),
                        db_time_us(now_us), OUTBOX_ARGS(announce)),
                &rows));
    store_read_account_if_any(rq->mem, &rows, out);
    return OK;
}

static const char UPDATE_PASSWORD[] = "UPDATE account SET password_hash = $2, updated_at = $3 WHERE id = $1";

Err auth_store_change_password(Request *rq, int64_t user_id, const char *password_hash, Uuid keep, const Ending *ending)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec(&tx, UPDATE_PASSWORD,
                DB_ARGS(db_int64(user_id), db_text(slice(password_hash)), db_time_us(ending->at_us))));
    TRY(mail_store_drop_resets(&tx, user_id));
    TRY(store_end_logins_but(rq, &tx, user_id, keep, ending, NULL));
    return db_tx_commit(&tx);
}

/* ---------------------------------------------------------------------------------------------------- refresh */
#define LIVE_LOGIN_AND_ACCOUNT " l.ended_at IS NULL AND l.expires_at > $2 AND a.id = l.user_id AND a.active"

/* The row lock makes parallel calls wait; the later ones then find it used. */
static const char TAKE_TOKEN[] =
    "UPDATE refresh_token t SET used_at = $2 FROM login l, account a"
    " WHERE t.hash = $1 AND t.used_at IS NULL AND t.expires_at > $2 AND l.id = t.login_id AND" LIVE_LOGIN_AND_ACCOUNT
    " RETURNING " ACCOUNT_COLUMNS ", l.id";

static const char TAKE_TOKEN_AGAIN[] =
    "UPDATE refresh_token t SET used_at = $2 FROM login l, account a"
    " WHERE t.hash = $1 AND t.expires_at > $2 AND l.id = t.login_id AND" LIVE_LOGIN_AND_ACCOUNT
    "  AND NOT EXISTS (SELECT 1 FROM refresh_token s WHERE s.parent_hash = t.hash AND s.used_at IS NOT NULL)"
    " RETURNING " ACCOUNT_COLUMNS ", l.id";

/* A successor that was never used is replaced: there is one at a time. */
static const char DROP_UNUSED_SUCCESSORS[] = "DELETE FROM refresh_token WHERE parent_hash = $1 AND used_at IS NULL";

static const char PROLONG_LOGIN[] =
    "UPDATE login SET last_used_at = $2, expires_at = greatest(expires_at, $3), token_jti = coalesce($4, token_jti)"
    " WHERE id = $1 AND ended_at IS NULL";

static Err store_successor(DbTx *tx, const Refresh *refresh, Uuid login_id, bool *out_live)
{
    int64_t prolonged;

    if (refresh->lenient)
        TRY(db_exec(tx, DROP_UNUSED_SUCCESSORS, DB_ARGS(db_bytes(refresh->presented_hash))));
    TRY(db_exec_count(tx, PROLONG_LOGIN,
                      DB_ARGS(db_uuid(login_id), db_time_us(refresh->now_us), db_time_us(refresh->login_expires_us),
                              db_text_or_null(refresh->token_jti)),
                      &prolonged));
    *out_live = prolonged > 0; /* a logout may have come in between */
    return db_exec(tx, STORE_INSERT_REFRESH_TOKEN,
                   DB_ARGS(db_bytes(refresh->successor_hash), db_uuid(login_id), db_bytes(refresh->presented_hash),
                           db_time_us(refresh->now_us), db_time_us(refresh->successor_expires_us)));
}

/* Locks the account as store_lock_account does. */
static const char SELECT_USED_FAMILY[] =
    "SELECT l.family_id FROM refresh_token t JOIN login l ON l.id = t.login_id JOIN account a ON a.id = l.user_id"
    " WHERE t.hash = $1 AND t.used_at IS NOT NULL AND t.expires_at > $2 FOR NO KEY UPDATE OF a";

/* The token was not good. Was it used before? Then somebody has a copy, and neither holder is believed any more. */
static Err end_family_of_used_token(Request *rq, DbTx *tx, const Refresh *refresh, RefreshOutcome *out)
{
    CLEANUP(db_rows_done) DbRows family = {0};
    Ending ending = {.ids = refresh->ids, .why = AUTH__V1__LOGIN_END__REFRESH_TOKEN_REUSED, .at_us = refresh->now_us};

    TRY(db_query(tx, SELECT_USED_FAMILY, DB_ARGS(db_bytes(refresh->presented_hash), db_time_us(refresh->now_us)),
                 &family));
    *out = family.count > 0 ? REFRESH_REUSED : REFRESH_UNKNOWN;
    if (family.count == 0)
        return OK;
    return store_end_logins(rq, tx, &ending, END_FAMILY,
                            DB_ARGS(STORE_ENDING_ARGS(&ending), db_uuid(db_get_uuid(&family, 0, 0))), NULL);
}

Err auth_store_refresh(Request *rq, const Refresh *refresh, RefreshOutcome *out_outcome, Uuid *out_login_id,
                       Account *out_account)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows taken = {0};
    RefreshOutcome outcome = REFRESH_DONE;
    Uuid login_id = {{0}};
    bool live = true;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_query(&tx, refresh->lenient ? TAKE_TOKEN_AGAIN : TAKE_TOKEN,
                 DB_ARGS(db_bytes(refresh->presented_hash), db_time_us(refresh->now_us)), &taken));
    if (taken.count == 0) {
        TRY(end_family_of_used_token(rq, &tx, refresh, &outcome));
    } else {
        login_id = db_get_uuid(&taken, 0, ACCOUNT_COLUMN_COUNT);
        TRY(store_successor(&tx, refresh, login_id, &live));
    }
    if (live)
        TRY(db_tx_commit(&tx));
    *out_outcome = live ? outcome : REFRESH_UNKNOWN;
    *out_login_id = login_id;
    store_read_account_if_any(rq->mem, &taken, out_account);
    return OK;
}

static const char LOCK_ACCOUNT_OF_LOGIN[] =
    "SELECT a.id FROM account a JOIN login l ON l.user_id = a.id WHERE l.id = $1 FOR NO KEY UPDATE OF a";

static const char END_BY_JTI[] = "UPDATE login l SET ended_at = $2, end_reason = $4 FROM account a"
                                 " WHERE l.id = $1 AND l.token_jti = $3 AND" LIVE_LOGIN_AND_ACCOUNT
                                 " RETURNING " ACCOUNT_COLUMNS ", l.family_id, l.method, l.second_factor";

Err auth_store_replace_login(Request *rq, Uuid old_id, const char *old_jti, const NewLogin *login, IdSource *ids,
                             bool *out_done, Account *out_account)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows old = {0};
    NewLogin successor = *login;
    OutboxRow announce;
    Account account;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec(&tx, LOCK_ACCOUNT_OF_LOGIN, DB_ARGS(db_uuid(old_id))));
    TRY(db_query(&tx, END_BY_JTI,
                 DB_ARGS(db_uuid(old_id), db_time_us(login->created_us), db_text(slice(old_jti)),
                         db_int64(AUTH__V1__LOGIN_END__REPLACED)),
                 &old));
    store_read_account_if_any(rq->mem, &old, &account);
    if (account.id != 0) {
        announce =
            login_ended_event(rq->mem, ids, old_id, account.id, AUTH__V1__LOGIN_END__REPLACED, login->created_us);
        TRY(outbox_insert(&tx, &announce, false));
        successor.method = db_get_cstr(rq->mem, &old, 0, ACCOUNT_COLUMN_COUNT + 1);
        successor.second_factor = db_get_cstr_or_null(rq->mem, &old, 0, ACCOUNT_COLUMN_COUNT + 2);
        TRY(store_insert_login(&tx, &successor, db_get_uuid(&old, 0, ACCOUNT_COLUMN_COUNT), account.id));
    }
    TRY(db_tx_commit(&tx));
    *out_done = account.id != 0;
    *out_account = account;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- reading logins
 */
static const char LIST_LOGINS[] =
    "SELECT id, user_agent, address, created_at, last_used_at, expires_at FROM login"
    " WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 ORDER BY last_used_at DESC, id DESC LIMIT $3";

static void read_login(Arena *mem, const DbRows *rows, int row, int column, LoginRow *out)
{
    *out = (LoginRow){
        .id = db_get_uuid(rows, row, column),
        .user_agent = db_get_cstr(mem, rows, row, column + 1),
        .address = db_get_cstr(mem, rows, row, column + 2),
        .created_us = db_get_time_us(rows, row, column + 3),
        .last_used_us = db_get_time_us(rows, row, column + 4),
        .expires_us = db_get_time_us(rows, row, column + 5),
    };
}

Err auth_store_list_logins(Request *rq, int64_t user_id, int64_t now_us, int64_t limit, LoginRow **out,
                           size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    LoginRow *list;

    TRY(db_read(rq, LIST_LOGINS, DB_ARGS(db_int64(user_id), db_time_us(now_us), db_int64(limit)), &rows));
    list = ARENA_ARRAY(rq->mem, LoginRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_login(rq->mem, &rows, i, 0, &list[i]);
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char RESOLVE_OPAQUE[] =
    "SELECT " ACCOUNT_COLUMNS ", l.id, l.user_agent, l.address, l.created_at, l.last_used_at, l.expires_at"
    " FROM login l, account a WHERE l.opaque_hash = $1 AND" LIVE_LOGIN_AND_ACCOUNT;

static const char TOUCH_LOGIN[] = "UPDATE login SET last_used_at = $2 WHERE id = $1 AND ended_at IS NULL";

static Err touch_login(Request *rq, Uuid id, int64_t now_us)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec(&tx, TOUCH_LOGIN, DB_ARGS(db_uuid(id), db_time_us(now_us))));
    return db_tx_commit(&tx);
}

Err auth_store_resolve_opaque(Request *rq, Slice opaque_hash, int64_t now_us, LoginRow *out_login, Account *out_account)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    LoginRow login = {.id = {{0}}};

    TRY(db_read(rq, RESOLVE_OPAQUE, DB_ARGS(db_bytes(opaque_hash), db_time_us(now_us)), &rows));
    if (rows.count > 0)
        read_login(rq->mem, &rows, 0, ACCOUNT_COLUMN_COUNT, &login);
    if (rows.count > 0 && login.last_used_us < now_us - TOUCH_INTERVAL_US)
        TRY(touch_login(rq, login.id, now_us));
    *out_login = login;
    store_read_account_if_any(rq->mem, &rows, out_account);
    return OK;
}

static const char OPAQUE_HAS_EXPIRED[] =
    "SELECT id FROM login WHERE opaque_hash = $1 AND ended_at IS NULL AND expires_at <= $2";

Err auth_store_opaque_has_expired(Request *rq, Slice opaque_hash, int64_t now_us, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, OPAQUE_HAS_EXPIRED, DB_ARGS(db_bytes(opaque_hash), db_time_us(now_us)), &rows));
    *out = rows.count > 0;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- purge */
static const char PURGE_LOGINS[] = "DELETE FROM login WHERE id IN ("
                                   "  (SELECT id FROM login WHERE expires_at < $1 LIMIT $2) UNION ALL"
                                   "  (SELECT id FROM login WHERE ended_at < $1 LIMIT $2) LIMIT $2)";

static const char PURGE_REFRESH_TOKENS[] =
    "DELETE FROM refresh_token WHERE hash IN (SELECT hash FROM refresh_token WHERE expires_at < $1 LIMIT $2)";

Err auth_store_purge(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t logins, tokens, before_us = now_us - (int64_t)ENDED_KEEP_S * 1000000;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec_count(&tx, PURGE_REFRESH_TOKENS, DB_ARGS(db_time_us(now_us), db_int64(limit)), &tokens));
    TRY(db_exec_count(&tx, PURGE_LOGINS, DB_ARGS(db_time_us(before_us), db_int64(limit)), &logins));
    TRY(db_tx_commit(&tx));
    *out_deleted = logins + tokens;
    return OK;
}
