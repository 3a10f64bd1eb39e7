/* store_registration: see store_registration.h. */
#include "services/auth/store_registration.h"

#include "atrium/auth/v1/admin.atrium.h"
#include "services/auth/pages.h"

enum { ENDED_KEEP_S = 30 * 86400 };

/* ---------------------------------------------------------------------------------------------------- settings */
static const char SELECT_SETTING[] = "SELECT value FROM runtime_setting WHERE name = $1";

Err auth_store_runtime_setting(Request *rq, DbTx *tx, const char *name, const char **out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DbArgs args = DB_ARGS(db_text(slice(name)));

    if (tx)
        TRY(db_query(tx, SELECT_SETTING, args, &rows));
    else
        TRY(db_read(rq, SELECT_SETTING, args, &rows));
    *out = rows.count > 0 ? db_get_cstr(rq->mem, &rows, 0, 0) : NULL;
    return OK;
}

static const char PUT_SETTING[] =
    "INSERT INTO runtime_setting (name, value, changed_at, changed_by)"
    " VALUES ($1, $2, $3, (SELECT id FROM account WHERE id = $4))"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at,"
    "  changed_by = excluded.changed_by";

Err auth_store_set_runtime_setting(DbTx *tx, const char *name, const char *value, int64_t changed_by, int64_t now_us)
{
    return db_exec(tx, PUT_SETTING,
                   DB_ARGS(db_text(slice(name)), db_text(slice(value)), db_time_us(now_us), db_int64(changed_by)));
}

/* ---------------------------------------------------------------------------------------------------- invitations */
#define IS_USABLE(now) "uses_left > 0 AND revoked_at IS NULL AND expires_at > " now

#define INVITATION_COLUMNS "id, user_id, email, role, uses_left, created_at, expires_at"

static Invitation read_invitation(Arena *mem, const DbRows *rows, int row)
{
    return (Invitation){
        .id = db_get_uuid(rows, row, 0),
        .user_id = db_get_int64(rows, row, 1),
        .email = db_get_cstr_or_null(mem, rows, row, 2),
        .role = db_get_cstr(mem, rows, row, 3),
        .uses_left = db_get_int64(rows, row, 4),
        .created_us = db_get_time_us(rows, row, 5),
        .expires_us = db_get_time_us(rows, row, 6),
    };
}

static const char INSERT_INVITATION[] =
    "INSERT INTO invitation (id, hash, user_id, email, role, uses_left, created_by, created_at, expires_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, (SELECT id FROM account WHERE id = $7), $8, $9)";

static const char DROP_EARLIER[] = "DELETE FROM invitation WHERE user_id = $1";

Err auth_store_insert_invitation(DbTx *tx, const Invitation *invitation, Slice hash, int64_t created_by)
{
    DbValue user_id = invitation->user_id ? db_int64(invitation->user_id) : db_null();

    TRY(db_exec(tx, DROP_EARLIER, DB_ARGS(user_id)));
    return db_exec(tx, INSERT_INVITATION,
                   DB_ARGS(db_uuid(invitation->id), db_bytes(hash), user_id, db_text_or_null(invitation->email),
                           db_text(slice(invitation->role)), db_int64(invitation->uses_left), db_int64(created_by),
                           db_time_us(invitation->created_us), db_time_us(invitation->expires_us)));
}

static const char LIST_INVITATIONS[] =
    "SELECT " INVITATION_COLUMNS " FROM invitation WHERE user_id IS NULL"
    "  AND ($1::uuid IS NULL OR id < $1) AND " IS_USABLE("$2") " ORDER BY id DESC LIMIT $3";

Err auth_store_list_invitations(Request *rq, Uuid before, int64_t now_us, int64_t limit, Invitation **out,
                                size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Invitation *list;

    TRY(db_read(rq, LIST_INVITATIONS,
                DB_ARGS(uuid_is_nil(before) ? db_null() : db_uuid(before), db_time_us(now_us), db_int64(limit)),
                &rows));
    list = ARENA_ARRAY(rq->mem, Invitation, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        list[i] = read_invitation(rq->mem, &rows, i);
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char REVOKE_INVITATION[] =
    "UPDATE invitation SET revoked_at = $2 WHERE id = $1 AND user_id IS NULL AND " IS_USABLE("$2");

Err auth_store_revoke_invitation(DbTx *tx, Uuid id, int64_t now_us, bool *out_revoked)
{
    int64_t count;

    TRY(db_exec_count(tx, REVOKE_INVITATION, DB_ARGS(db_uuid(id), db_time_us(now_us)), &count));
    *out_revoked = count > 0;
    return OK;
}

static const char PURGE_INVITATIONS[] =
    "DELETE FROM invitation WHERE id IN (SELECT id FROM invitation WHERE expires_at < $1 LIMIT $2)";

Err auth_store_purge_invitations(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec_count(&tx, PURGE_INVITATIONS,
                      DB_ARGS(db_time_us(now_us - (int64_t)ENDED_KEEP_S * 1000000), db_int64(limit)), out_deleted));
    return db_tx_commit(&tx);
}

static const char FIND_INVITATION[] =
    "SELECT " INVITATION_COLUMNS " FROM invitation WHERE hash = $1 AND " IS_USABLE("$2");

Err auth_store_find_invitation(Request *rq, Slice hash, int64_t now_us, Invitation *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, FIND_INVITATION, DB_ARGS(db_bytes(hash), db_time_us(now_us)), &rows));
    *out = (Invitation){.id = {{0}}};
    if (rows.count > 0)
        *out = read_invitation(rq->mem, &rows, 0);
    return OK;
}

/* The row's lock makes parallel calls wait: each then sees what the ones before it left. */
static const char TAKE_INVITATION[] =
    "UPDATE invitation SET uses_left = uses_left - 1 WHERE id = $1 AND " IS_USABLE("$2");

Err auth_store_take_invitation(DbTx *tx, Uuid id, int64_t now_us)
{
    int64_t taken;

    TRY(db_exec_count(tx, TAKE_INVITATION, DB_ARGS(db_uuid(id), db_time_us(now_us)), &taken));
    return taken ? OK : err_make(&INVALID_INVITATION, "this invitation is not good, or not good any more");
}
