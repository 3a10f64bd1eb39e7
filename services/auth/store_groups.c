/* store_groups: see store_groups.h. */
#include "services/auth/store_groups.h"

#include "atrium/auth/v1/access.atrium.h"

#define GROUP_COLUMNS                                                                                                  \
    "g.id, g.name, g.display_name, g.description, g.type,"                                                             \
    " CASE WHEN g.id = 'all-users' THEN (SELECT count(*) FROM account)"                                                \
    "  ELSE (SELECT count(*) FROM group_member m WHERE m.group_id = g.id) END,"                                        \
    " g.created_at, g.updated_at, (SELECT string_agg(r.role, ' ' ORDER BY r.role) FROM group_role r"                   \
    "  WHERE r.group_id = g.id)"

static void read_group(Arena *mem, const DbRows *rows, int row, GroupRow *out)
{
    *out = (GroupRow){.id = db_get_cstr(mem, rows, row, 0),
                      .name = db_get_cstr(mem, rows, row, 1),
                      .display_name = db_get_cstr(mem, rows, row, 2),
                      .description = db_get_cstr(mem, rows, row, 3),
                      .type = db_get_cstr(mem, rows, row, 4),
                      .member_count = db_get_int64(rows, row, 5),
                      .created_us = db_get_time_us(rows, row, 6),
                      .updated_us = db_get_time_us(rows, row, 7)};
    store_read_words(mem, rows, row, 8, &out->roles, &out->role_count);
}

/* ---------------------------------------------------------------------------------------------------- groups */
static const char LIST_GROUPS[] = "SELECT " GROUP_COLUMNS " FROM user_group g"
                                  " WHERE $1::bigint = 0 OR g.id = 'all-users' OR g.id IN ("
                                  "  SELECT m.group_id FROM group_member m WHERE m.user_id = $1)"
                                  " ORDER BY g.name LIMIT $2";

Err auth_store_list_groups(Request *rq, int64_t user_id, GroupRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    GroupRow *list;

    TRY(db_read(rq, LIST_GROUPS, DB_ARGS(db_int64(user_id), db_int64(GROUPS_MAX)), &rows));
    list = ARENA_ARRAY(rq->mem, GroupRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_group(rq->mem, &rows, i, &list[i]);
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char SELECT_GROUP[] = "SELECT " GROUP_COLUMNS " FROM user_group g WHERE g.id = $1";
static const char LOCK_GROUP[] = "SELECT " GROUP_COLUMNS " FROM user_group g WHERE g.id = $1 FOR UPDATE";

Err auth_store_group(Request *rq, DbTx *tx, const char *id, GroupRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DbArgs args = DB_ARGS(db_text(slice(id)));

    TRY(tx ? db_query(tx, LOCK_GROUP, args, &rows) : db_read(rq, SELECT_GROUP, args, &rows));
    *out = (GroupRow){.id = NULL};
    if (rows.count > 0)
        read_group(rq->mem, &rows, 0, out);
    return OK;
}

static const char COUNT_GROUPS[] = "SELECT count(*) FROM user_group";

Err auth_store_count_groups(DbTx *tx, int64_t *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, COUNT_GROUPS, DB_NO_ARGS, &rows));
    *out = db_get_int64(&rows, 0, 0);
    return OK;
}

static Err taken(const DbTx *tx, Err e)
{
    if (err_failed(e) && db_violated(tx, "user_group_name_key"))
        return err_make(&GROUP_TAKEN, "there is a group of this name");
    return e;
}

static const char INSERT_GROUP[] =
    "INSERT INTO user_group (id, name, display_name, description, type, created_at, updated_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)";

#define GROUP_ARGS(group)                                                                                              \
    db_text(slice((group)->id)), db_text(slice((group)->name)), db_text(slice((group)->display_name)),                 \
        db_text(slice((group)->description)), db_text(slice((group)->type))

Err auth_store_insert_group(DbTx *tx, const GroupRow *group)
{
    return taken(tx, db_exec(tx, INSERT_GROUP,
                             DB_ARGS(GROUP_ARGS(group), db_time_us(group->created_us), db_time_us(group->updated_us))));
}

static const char UPDATE_GROUP[] =
    "UPDATE user_group SET name = $2, display_name = $3, description = $4, type = $5, updated_at = $6 WHERE id = $1";

Err auth_store_update_group(DbTx *tx, const GroupRow *group)
{
    return taken(tx, db_exec(tx, UPDATE_GROUP, DB_ARGS(GROUP_ARGS(group), db_time_us(group->updated_us))));
}

static const char DELETE_GROUP[] = "DELETE FROM user_group WHERE id = $1";

Err auth_store_delete_group(DbTx *tx, const char *id)
{
    return db_exec(tx, DELETE_GROUP, DB_ARGS(db_text(slice(id))));
}

/* ---------------------------------------------------------------------------------------------------- members */
static const char LIST_MEMBERS[] = "SELECT m.role, m.joined_at, " ACCOUNT_COLUMNS_WITHOUT_ROLES
                                   " FROM group_member m JOIN account a ON a.id = m.user_id"
                                   " WHERE m.group_id = $1 ORDER BY m.joined_at, m.user_id LIMIT $2";

static const char LIST_EVERYBODY[] =
    "SELECT 'member', a.created_at, " ACCOUNT_COLUMNS_WITHOUT_ROLES " FROM account a ORDER BY a.id LIMIT $1";

Err auth_store_list_members(Request *rq, const char *group_id, MemberRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    MemberRow *list;

    if (strcmp(group_id, GROUP_OF_ALL) == 0)
        TRY(db_read(rq, LIST_EVERYBODY, DB_ARGS(db_int64(GROUP_MEMBERS_MAX)), &rows));
    else
        TRY(db_read(rq, LIST_MEMBERS, DB_ARGS(db_text(slice(group_id)), db_int64(GROUP_MEMBERS_MAX)), &rows));
    list = ARENA_ARRAY(rq->mem, MemberRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        list[i].role = db_get_cstr(rq->mem, &rows, i, 0);
        list[i].joined_us = db_get_time_us(&rows, i, 1);
        store_read_account(rq->mem, &rows, i, 2, &list[i].account);
    }
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char PUT_MEMBER[] =
    "INSERT INTO group_member (group_id, user_id, role, joined_at) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (group_id, user_id) DO UPDATE SET role = $3 RETURNING joined_at, xmax = 0";

Err auth_store_put_member(DbTx *tx, const char *group_id, int64_t user_id, const char *role, int64_t now_us,
                          bool *out_is_new, int64_t *out_joined_us)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, PUT_MEMBER,
                 DB_ARGS(db_text(slice(group_id)), db_int64(user_id), db_text(slice(role)), db_time_us(now_us)),
                 &rows));
    *out_joined_us = db_get_time_us(&rows, 0, 0);
    *out_is_new = db_get_bool(&rows, 0, 1);
    return OK;
}

static const char FIND_MEMBER[] = "SELECT 1 FROM group_member WHERE group_id = $1 AND user_id = $2";

Err auth_store_find_member(DbTx *tx, const char *group_id, int64_t user_id, bool *out_found)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, FIND_MEMBER, DB_ARGS(db_text(slice(group_id)), db_int64(user_id)), &rows));
    *out_found = rows.count > 0;
    return OK;
}

static const char REMOVE_MEMBER[] = "DELETE FROM group_member WHERE group_id = $1 AND user_id = $2";

Err auth_store_remove_member(DbTx *tx, const char *group_id, int64_t user_id, bool *out_removed)
{
    int64_t count;

    TRY(db_exec_count(tx, REMOVE_MEMBER, DB_ARGS(db_text(slice(group_id)), db_int64(user_id)), &count));
    *out_removed = count > 0;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- their roles */
static const char ADD_GROUP_ROLE[] = "INSERT INTO group_role (group_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING";

Err auth_store_add_group_role(DbTx *tx, const char *group_id, const char *role)
{
    return db_exec(tx, ADD_GROUP_ROLE, DB_ARGS(db_text(slice(group_id)), db_text(slice(role))));
}

static const char REMOVE_GROUP_ROLE[] = "DELETE FROM group_role WHERE group_id = $1 AND role = $2";

Err auth_store_remove_group_role(DbTx *tx, const char *group_id, const char *role, bool *out_removed)
{
    int64_t count;

    TRY(db_exec_count(tx, REMOVE_GROUP_ROLE, DB_ARGS(db_text(slice(group_id)), db_text(slice(role))), &count));
    *out_removed = count > 0;
    return OK;
}
