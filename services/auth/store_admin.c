/* store_admin: see store_admin.h. */
#include "services/auth/store_admin.h"

#include "services/auth/store_mail.h"

/* ---------------------------------------------------------------------------------------------------- reading */
#define USER_COLUMNS ACCOUNT_COLUMNS ", a.activated_at, a.deactivated_at"
enum { USER_COLUMN_COUNT = ACCOUNT_COLUMN_COUNT + 2 };

static void read_user(Arena *mem, const DbRows *rows, int row, UserRow *out)
{
    store_read_account(mem, rows, row, 0, &out->account);
    out->activated_us = db_get_time_us(rows, row, ACCOUNT_COLUMN_COUNT);
    out->deactivated_us = db_get_time_us(rows, row, ACCOUNT_COLUMN_COUNT + 1);
}

static const char SELECT_USER[] = "SELECT " USER_COLUMNS " FROM account a WHERE a.id = $1";

Err auth_store_user(Request *rq, DbTx *tx, int64_t id, UserRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DbArgs args = DB_ARGS(db_int64(id));

    if (tx)
        TRY(db_query(tx, SELECT_USER, args, &rows));
    else
        TRY(db_read(rq, SELECT_USER, args, &rows));
    *out = (UserRow){.activated_us = 0};
    if (rows.count > 0)
        read_user(rq->mem, &rows, 0, out);
    return OK;
}

#define IS_PENDING "(NOT a.active AND a.activated_at IS NULL AND a.deactivated_at IS NULL)"
#define FILTERED_USERS                                                                                                 \
    " FROM account a WHERE ($1::bigint IS NULL OR a.id < $1)"                                                          \
    "  AND ($2::text IS NULL OR strpos(lower(a.username), lower($2)) > 0 OR strpos(lower(a.email), lower($2)) > 0)"    \
    "  AND ($3::text IS NULL OR a.role = $4"                                                                           \
    "    OR EXISTS (SELECT 1 FROM account_role ar WHERE ar.user_id = a.id AND ar.role = $3))"                          \
    "  AND ($5::text IS NULL OR a.provider = $5) AND ($6::boolean IS NULL OR a.active = $6)"                           \
    "  AND ($7::boolean IS NULL OR " IS_PENDING " = $7)"
#define IN_PARTS " LIMIT $8 OFFSET $9"

static DbValue bool_or_null(const bool *value)
{
    return value ? db_bool(*value) : db_null();
}

static Err list_users(Request *rq, const char *sql, const UserFilter *filter, DbRows *rows, UserRow **out)
{
    Role rank = ROLE_NONE;
    bool is_rank = filter->role && role_parse(slice(filter->role), &rank);
    UserRow *list;

    TRY(db_read(rq, sql,
                DB_ARGS(filter->before_id ? db_int64(filter->before_id) : db_null(), db_text_or_null(filter->q),
                        db_text_or_null(filter->role), db_int64(is_rank ? rank : ROLE_NONE),
                        db_text_or_null(filter->provider), bool_or_null(filter->active), bool_or_null(filter->pending),
                        db_int64(filter->limit), db_int64(filter->offset)),
                rows));
    list = ARENA_ARRAY(rq->mem, UserRow, rows->count + 1);
    for (int i = 0; i < rows->count; i++)
        read_user(rq->mem, rows, i, &list[i]);
    *out = list;
    return OK;
}

static const char LIST_USERS[] = "SELECT " USER_COLUMNS FILTERED_USERS " ORDER BY a.id DESC" IN_PARTS;

Err auth_store_list_users(Request *rq, const UserFilter *filter, UserRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(list_users(rq, LIST_USERS, filter, &rows, out));
    *out_count = (size_t)rows.count;
    return OK;
}

static const char LIST_USERS_BY_NAME[] =
    "SELECT " USER_COLUMNS ", count(*) OVER ()" FILTERED_USERS " ORDER BY a.username" IN_PARTS;

Err auth_store_list_users_by_name(Request *rq, const UserFilter *filter, UserRow **out, size_t *out_count,
                                  int64_t *out_total)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(list_users(rq, LIST_USERS_BY_NAME, filter, &rows, out));
    *out_count = (size_t)rows.count;
    *out_total = rows.count ? db_get_int64(&rows, 0, USER_COLUMN_COUNT) : 0;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- changes */
/* Who was there once is never "pending" again. */
static const char SET_ACTIVE[] =
    "UPDATE account SET active = $2, updated_at = $3, deactivated_at = CASE WHEN $2 THEN NULL ELSE $3 END,"
    "  activated_at = coalesce(activated_at, $3) WHERE id = $1";

Err auth_store_set_active(DbTx *tx, int64_t id, bool active, int64_t now_us)
{
    return db_exec(tx, SET_ACTIVE, DB_ARGS(db_int64(id), db_bool(active), db_time_us(now_us)));
}

static Err taken_or(DbTx *tx, Err e)
{
    if (err_failed(e) && db_violated(tx, "account_username_key"))
        return err_make(&USERNAME_TAKEN, "username is already taken");
    if (err_failed(e) && db_violated(tx, "account_email_key"))
        return err_make(&EMAIL_TAKEN, "email is already registered");
    return e;
}

static const char CHANGE_USER[] =
    "UPDATE account SET username = coalesce($2, username), email = coalesce($3, email),"
    "  display_name = coalesce($4, display_name), updated_at = $5,"
    "  email_verified_at = CASE WHEN lower($3::text) <> lower(email) THEN NULL ELSE email_verified_at END"
    " WHERE id = $1";

Err auth_store_change_user(DbTx *tx, int64_t id, const char *username, const char *email, const char *display_name,
                           int64_t now_us)
{
    return taken_or(tx, db_exec(tx, CHANGE_USER,
                                DB_ARGS(db_int64(id), db_text_or_null(username), db_text_or_null(email),
                                        db_text_or_null(display_name), db_time_us(now_us))));
}

static const char SET_PASSWORD[] = "UPDATE account SET password_hash = $2, password_changed_at = $3, updated_at = $3"
                                   " WHERE id = $1";

Err auth_store_set_password(DbTx *tx, int64_t id, const char *password_hash, int64_t now_us)
{
    TRY(mail_store_drop_resets(tx, id));
    return db_exec(tx, SET_PASSWORD, DB_ARGS(db_int64(id), db_text(slice(password_hash)), db_time_us(now_us)));
}

static const char INSERT_PENDING[] =
    "INSERT INTO account (id, username, email, display_name, role, active, provider, created_at, updated_at)"
    " VALUES ($1, $2, $3, $4, $5, false, 'local', $6, $6)";

Err auth_store_insert_pending(DbTx *tx, const Account *account)
{
    return taken_or(tx, db_exec(tx, INSERT_PENDING,
                                DB_ARGS(db_int64(account->id), db_text(slice(account->username)),
                                        db_text_or_null(account->email), db_text(slice(account->display_name)),
                                        db_int64(account->role), db_time_us(account->created_us))));
}

static const char FINISH_INVITED[] =
    "UPDATE account a SET password_hash = $2, active = true, activated_at = $3, password_changed_at = $3,"
    "  updated_at = $3 WHERE a.id = $1 AND " IS_PENDING;

Err auth_store_finish_invited(DbTx *tx, int64_t id, const char *password_hash, int64_t now_us, bool *out_done)
{
    int64_t count;

    TRY(db_exec_count(tx, FINISH_INVITED, DB_ARGS(db_int64(id), db_text(slice(password_hash)), db_time_us(now_us)),
                      &count));
    *out_done = count > 0;
    return OK;
}

static const char SET_IMPERSONATOR[] = "UPDATE login SET impersonator_id = $2 WHERE id = $1";

Err auth_store_set_impersonator(DbTx *tx, Uuid login_id, int64_t impersonator_id)
{
    return db_exec(tx, SET_IMPERSONATOR, DB_ARGS(db_uuid(login_id), db_int64(impersonator_id)));
}

static const char IS_IMPERSONATION[] = "SELECT 1 FROM login WHERE id = $1 AND impersonator_id IS NOT NULL";

Err auth_store_is_impersonation(DbTx *tx, Uuid login_id, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, IS_IMPERSONATION, DB_ARGS(db_uuid(login_id)), &rows));
    *out = rows.count > 0;
    return OK;
}

static const char END_IMPERSONATIONS[] = STORE_END_THE_LOGINS("impersonator_id = $3");

Err auth_store_end_impersonations(Request *rq, DbTx *tx, int64_t impersonator_id, const Ending *ending)
{
    return store_end_logins(rq, tx, ending, END_IMPERSONATIONS,
                            DB_ARGS(STORE_ENDING_ARGS(ending), db_int64(impersonator_id)), NULL);
}

/* ---------------------------------------------------------------------------------------------------- setup */
static const char SELECT_SETUP[] =
    "SELECT count(*), count(password_hash),"
    "  (array_agg(id ORDER BY (username <> $1), id) FILTER (WHERE password_hash IS NULL))[1],"
    "  count(*) FILTER (WHERE password_hash IS NOT NULL OR EXISTS (SELECT 1 FROM identity i WHERE i.user_id = a.id)"
    "   OR EXISTS (SELECT 1 FROM passkey p WHERE p.user_id = a.id))"
    " FROM account a WHERE role = 3";

Err auth_store_find_setup(Request *rq, DbTx *tx, const char *admin_username, SetupRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DbArgs args = DB_ARGS(db_text(slice(admin_username)));

    if (tx) {
        TRY(db_lock(tx, "auth.first_admin", SLICE_LIT("")));
        TRY(db_query(tx, SELECT_SETUP, args, &rows));
    } else {
        TRY(db_read(rq, SELECT_SETUP, args, &rows));
    }
    *out = (SetupRow){.admin_exists = db_get_int64(&rows, 0, 0) > 0,
                      .has_password = db_get_int64(&rows, 0, 1) > 0,
                      .can_enter = db_get_int64(&rows, 0, 3) > 0,
                      .open_id = db_get_int64(&rows, 0, 2)};
    return OK;
}

static const char FINISH_SETUP[] =
    "UPDATE account SET password_hash = $2, email = coalesce($3, email), active = true, password_changed_at = $4,"
    "  updated_at = $4 WHERE id = $1 RETURNING username";

Err auth_store_finish_setup(DbTx *tx, int64_t user_id, const char *password_hash, const char *email, int64_t now_us,
                            const char **out_username, Arena *mem)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Err e = db_query(
        tx, FINISH_SETUP,
        DB_ARGS(db_int64(user_id), db_text(slice(password_hash)), db_text_or_null(email), db_time_us(now_us)), &rows);

    TRY(taken_or(tx, e));
    *out_username = db_get_cstr(mem, &rows, 0, 0);
    return OK;
}
