/* store_access: see store_access.h. */
#include "services/auth/store_access.h"

/* One statement, in the transaction if there is one. */
static Err query(Request *rq, DbTx *tx, const char *sql, DbArgs args, DbRows *out)
{
    return tx ? db_query(tx, sql, args, out) : db_read(rq, sql, args, out);
}

/* ---------------------------------------------------------------------------------------------------- what one may */
/* The ranks are roles by these names, in this order. */
static const char SELECT_ACCESS[] =
    "WITH a AS (SELECT id, role, active FROM account WHERE id = $1),"
    " held AS (SELECT h.role FROM a, LATERAL " ROLES_HELD_BY(
        "a.id") " h)"
                " SELECT a.role, a.active, (SELECT string_agg(role, ' ' ORDER BY role) FROM held),"
                "  (SELECT string_agg(DISTINCT p.permission, ' ') FROM role_permission p WHERE p.role IN (SELECT role "
                "FROM held)"
                "    OR (p.role = 'user') OR (p.role = 'operator' AND a.role >= 2))"
                " FROM a";

Err auth_store_access(Request *rq, DbTx *tx, int64_t user_id, Access *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Access access = {.rank = ROLE_NONE};

    TRY(query(rq, tx, SELECT_ACCESS, DB_ARGS(db_int64(user_id)), &rows));
    if (rows.count > 0) {
        access.rank = (Role)db_get_int64(&rows, 0, 0);
        access.active = db_get_bool(&rows, 0, 1);
        store_read_words(rq->mem, &rows, 0, 2, &access.roles, &access.role_count);
        store_read_words(rq->mem, &rows, 0, 3, &access.permissions, &access.permission_count);
    }
    *out = access;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- roles */
#define ROLE_COLUMNS                                                                                                   \
    "r.name, r.description, (SELECT string_agg(p.permission, ' ' ORDER BY p.permission) FROM role_permission p"        \
    "  WHERE p.role = r.name), r.builtin"

static void read_role(Arena *mem, const DbRows *rows, int row, RoleRow *out)
{
    *out = (RoleRow){.name = db_get_cstr(mem, rows, row, 0),
                     .description = db_get_cstr(mem, rows, row, 1),
                     .builtin = db_get_bool(rows, row, 3)};
    store_read_words(mem, rows, row, 2, &out->permissions, &out->permission_count);
}

static const char LIST_ROLES[] = "SELECT " ROLE_COLUMNS " FROM role r ORDER BY r.name LIMIT $1";

Err auth_store_list_roles(Request *rq, RoleRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    RoleRow *list;

    TRY(db_read(rq, LIST_ROLES, DB_ARGS(db_int64(ROLES_AT_MOST)), &rows));
    list = ARENA_ARRAY(rq->mem, RoleRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_role(rq->mem, &rows, i, &list[i]);
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char SELECT_ROLE[] = "SELECT " ROLE_COLUMNS " FROM role r WHERE r.name = $1";

Err auth_store_role_grants(Request *rq, DbTx *tx, const char *name, bool *out_found, const char *const **out,
                           size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    RoleRow role = {.name = NULL};

    TRY(query(rq, tx, SELECT_ROLE, DB_ARGS(db_text(slice(name))), &rows));
    if (rows.count > 0)
        read_role(rq->mem, &rows, 0, &role);
    *out_found = rows.count > 0;
    *out = role.permissions;
    *out_count = role.permission_count;
    return OK;
}

static const char PUT_ROLE[] =
    "INSERT INTO role (name, description, updated_at) VALUES ($1, coalesce($2, ''), $3)"
    " ON CONFLICT (name) DO UPDATE SET description = coalesce($2, role.description), updated_at = $3";

static const char DROP_PERMISSIONS[] = "DELETE FROM role_permission WHERE role = $1 AND permission <> ALL ($2::text[])";

static const char ADD_PERMISSIONS[] =
    "INSERT INTO role_permission (role, permission) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING";

Err auth_store_put_role(Request *rq, DbTx *tx, const RoleRow *role, int64_t now_us, RoleRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice *list = ARENA_ARRAY(rq->mem, Slice, role->permission_count + 1);
    DbValue name = db_text(slice(role->name)), permissions = db_text_array(list, role->permission_count);

    for (size_t i = 0; i < role->permission_count; i++)
        list[i] = slice(role->permissions[i]);
    TRY(db_exec(tx, PUT_ROLE, DB_ARGS(name, db_text_or_null(role->description), db_time_us(now_us))));
    TRY(db_exec(tx, DROP_PERMISSIONS, DB_ARGS(name, permissions)));
    TRY(db_exec(tx, ADD_PERMISSIONS, DB_ARGS(name, permissions)));
    TRY(db_query(tx, SELECT_ROLE, DB_ARGS(name), &rows));
    read_role(rq->mem, &rows, 0, out);
    return OK;
}

static const char COUNT_ROLES[] = "SELECT count(*) FROM role";

Err auth_store_count_roles(DbTx *tx, int64_t *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, COUNT_ROLES, DB_NO_ARGS, &rows));
    *out = db_get_int64(&rows, 0, 0);
    return OK;
}

static const char DELETE_ROLE[] = "DELETE FROM role WHERE name = $1 AND NOT builtin";

Err auth_store_delete_role(DbTx *tx, const char *name, bool *out_deleted)
{
    int64_t count;

    TRY(db_exec_count(tx, DELETE_ROLE, DB_ARGS(db_text(slice(name))), &count));
    *out_deleted = count > 0;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- who holds them
 */
static const char SET_RANK[] = "UPDATE account SET role = $2, updated_at = $3 WHERE id = $1";

Err auth_store_set_rank(DbTx *tx, int64_t user_id, Role rank, int64_t now_us)
{
    return db_exec(tx, SET_RANK, DB_ARGS(db_int64(user_id), db_int64(rank), db_time_us(now_us)));
}

/* The granter may be gone by the time that his token says. */
static const char ADD_ROLE[] = "INSERT INTO account_role (user_id, role, granted_at, granted_by)"
                               " VALUES ($1, $2, $3, (SELECT id FROM account WHERE id = $4)) ON CONFLICT DO NOTHING";

Err auth_store_add_role(DbTx *tx, int64_t user_id, const char *role, int64_t granted_by, int64_t now_us)
{
    return db_exec(tx, ADD_ROLE,
                   DB_ARGS(db_int64(user_id), db_text(slice(role)), db_time_us(now_us), db_int64(granted_by)));
}

static const char REMOVE_ROLE[] = "DELETE FROM account_role WHERE user_id = $1 AND role = $2";

Err auth_store_remove_role(DbTx *tx, int64_t user_id, const char *role, bool *out_removed)
{
    int64_t count;

    TRY(db_exec_count(tx, REMOVE_ROLE, DB_ARGS(db_int64(user_id), db_text(slice(role))), &count));
    *out_removed = count > 0;
    return OK;
}

static const char SELECT_OTHER_ADMIN[] = "SELECT id FROM account WHERE role = 3 AND active AND id <> $1 LIMIT 1";

Err auth_store_find_other_admin(DbTx *tx, int64_t but_user_id, bool *out_found)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_lock(tx, "auth.admins", SLICE_LIT("")));
    TRY(db_query(tx, SELECT_OTHER_ADMIN, DB_ARGS(db_int64(but_user_id)), &rows));
    *out_found = rows.count > 0;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- logins */
static const char RESOLVE_LOGIN[] =
    "SELECT " ACCOUNT_COLUMNS ", l.expires_at FROM login l JOIN account a ON a.id = l.user_id"
    " WHERE l.id = $1 AND l.ended_at IS NULL AND l.expires_at > $2 AND a.active";

Err auth_store_resolve_login(Request *rq, Uuid login_id, int64_t now_us, Account *out_account, int64_t *out_expires_us)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, RESOLVE_LOGIN, DB_ARGS(db_uuid(login_id), db_time_us(now_us)), &rows));
    *out_expires_us = rows.count > 0 ? db_get_time_us(&rows, 0, ACCOUNT_COLUMN_COUNT) : 0;
    store_read_account_if_any(rq->mem, &rows, out_account);
    return OK;
}
