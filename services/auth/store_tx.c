/* store_tx: see store_tx.h. */
#include "services/auth/store_tx.h"

#include "services/auth/events.h"

/* ---------------------------------------------------------------------------------------------------- accounts */
void store_read_words(Arena *mem, const DbRows *rows, int row, int column, const char *const **out, size_t *out_count)
{
    Slice rest = db_get_text(rows, row, column), word;
    const char **words = ARENA_ARRAY(mem, const char *, rest.len / 2 + 1);
    size_t count = 0;

    while (rest.len) {
        (void)slice_cut(rest, ' ', &word, &rest); /* false is the last one */
        words[count++] = slice_cstr(mem, word);
    }
    *out = words;
    *out_count = count;
}

void store_read_account(Arena *mem, const DbRows *rows, int row, int column, Account *out)
{
    *out = (Account){
        .id = db_get_int64(rows, row, column),
        .username = db_get_cstr(mem, rows, row, column + 1),
        .email = db_get_cstr_or_null(mem, rows, row, column + 2),
        .password_hash = db_get_cstr_or_null(mem, rows, row, column + 3),
        .display_name = db_get_cstr(mem, rows, row, column + 4),
        .avatar_hash = db_get_cstr_or_null(mem, rows, row, column + 5),
        .role = (Role)db_get_int64(rows, row, column + 6),
        .active = db_get_bool(rows, row, column + 7),
        .provider = db_get_cstr(mem, rows, row, column + 8),
        .created_us = db_get_time_us(rows, row, column + 9),
        .updated_us = db_get_time_us(rows, row, column + 10),
        .last_login_us = db_get_time_us(rows, row, column + 11),
    };
    store_read_words(mem, rows, row, column + 12, &out->roles, &out->role_count);
}

void store_read_account_if_any(Arena *mem, const DbRows *rows, Account *out)
{
    *out = (Account){.id = 0};
    if (rows->count > 0)
        store_read_account(mem, rows, 0, 0, out);
}

static const char INSERT_ACCOUNT[] =
    "INSERT INTO account (id, username, email, password_hash, display_name, role, active, provider,"
    "  created_at, updated_at, last_login_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)";

Err store_insert_account(DbTx *tx, const Account *account)
{
    Err e = db_exec(tx, INSERT_ACCOUNT,
                    DB_ARGS(db_int64(account->id), db_text(slice(account->username)), db_text_or_null(account->email),
                            db_text_or_null(account->password_hash), db_text(slice(account->display_name)),
                            db_int64(account->role), db_bool(account->active), db_text(slice(account->provider)),
                            db_time_us(account->created_us), db_time_us_or_null(account->last_login_us)));

    if (err_failed(e) && db_violated(tx, "account_username_key"))
        return err_make(&USERNAME_TAKEN, "username is already taken");
    if (err_failed(e) && db_violated(tx, "account_email_key"))
        return err_make(&EMAIL_TAKEN, "email is already registered");
    return e;
}

/* ---------------------------------------------------------------------------------------------------- logins */
static const char LOCK_ACCOUNT[] = "SELECT id FROM account WHERE id = $1 FOR NO KEY UPDATE";

Err store_lock_account(DbTx *tx, int64_t user_id)
{
    return db_exec(tx, LOCK_ACCOUNT, DB_ARGS(db_int64(user_id)));
}

static const char INSERT_LOGIN[] =
    "INSERT INTO login (id, family_id, user_id, token_jti, opaque_hash, profile, user_agent, address,"
    "  created_at, last_used_at, expires_at, method, second_factor)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11, $12)";

const char STORE_INSERT_REFRESH_TOKEN[] =
    "INSERT INTO refresh_token (hash, login_id, parent_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)";

static DbValue bytes_or_null(Slice bytes)
{
    return bytes.len > 0 ? db_bytes(bytes) : db_null();
}

Err store_insert_login(DbTx *tx, const NewLogin *login, Uuid family_id, int64_t user_id)
{
    TRY(db_exec(tx, INSERT_LOGIN,
                DB_ARGS(db_uuid(login->id), db_uuid(family_id), db_int64(user_id), db_text_or_null(login->token_jti),
                        bytes_or_null(login->opaque_hash), db_text(slice(login->profile)),
                        db_text(slice(login->user_agent)), db_text(slice(login->address)),
                        db_time_us(login->created_us), db_time_us(login->expires_us), db_text(slice(login->method)),
                        db_text_or_null(login->second_factor))));
    if (login->refresh_hash.len == 0)
        return OK;
    return db_exec(tx, STORE_INSERT_REFRESH_TOKEN,
                   DB_ARGS(db_bytes(login->refresh_hash), db_uuid(login->id), db_null(), db_time_us(login->created_us),
                           db_time_us(login->refresh_expires_us)));
}

Err store_end_logins(Request *rq, DbTx *tx, const Ending *ending, const char *sql, DbArgs args, int64_t *out_count)
{
    CLEANUP(db_rows_done) DbRows ended = {0};

    TRY(db_query(tx, sql, args, &ended));
    for (int i = 0; i < ended.count; i++) {
        OutboxRow announce = login_ended_event(rq->mem, ending->ids, db_get_uuid(&ended, i, 0),
                                               db_get_int64(&ended, i, 1), ending->why, ending->at_us);
        TRY(outbox_insert(tx, &announce, false));
    }
    if (out_count)
        *out_count = ended.count;
    return OK;
}

static const char END_OTHERS[] = STORE_END_THE_LOGINS("user_id = $3 AND id <> $4");

Err store_end_logins_but(Request *rq, DbTx *tx, int64_t user_id, Uuid keep, const Ending *ending, int64_t *out_count)
{
    return store_end_logins(rq, tx, ending, END_OTHERS,
                            DB_ARGS(STORE_ENDING_ARGS(ending), db_int64(user_id), db_uuid(keep)), out_count);
}
