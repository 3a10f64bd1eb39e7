/* store_roles: see store_roles.h. */
#include "services/chat/store_roles.h"

static const char LIST_ROLES[] =
    "SELECT " ROLE_COLUMNS " FROM role r WHERE r.guild_id = $1 ORDER BY r.position, r.id LIMIT $2";

Err chat_store_list_roles(Request *rq, int64_t guild_id, Chat__V1__Role ***out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LIST_ROLES, DB_ARGS(db_int64(guild_id), db_int64(ROLES_MAX)), &rows));
    *out = ARENA_ARRAY(rq->mem, Chat__V1__Role *, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        (*out)[i] = ARENA_NEW(rq->mem, Chat__V1__Role);
        chat_store_read_role(rq->mem, &rows, i, 0, (*out)[i]);
    }
    *out_count = (size_t)rows.count;
    return OK;
}

static const char SELECT_ROLES[] = "SELECT " ROLE_COLUMNS " FROM role r WHERE r.guild_id = $1 AND r.id = ANY ($2)";

Err chat_store_roles(DbTx *tx, Arena *mem, int64_t guild_id, const int64_t *ids, size_t count, Chat__V1__Role **out,
                     size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, SELECT_ROLES, DB_ARGS(db_int64(guild_id), db_int64_array(ids, count)), &rows));
    *out = ARENA_ARRAY(mem, Chat__V1__Role, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        chat_store_read_role(mem, &rows, i, 0, &(*out)[i]);
    *out_count = (size_t)rows.count;
    return OK;
}

Err chat_store_role(DbTx *tx, Arena *mem, int64_t guild_id, int64_t role_id, Chat__V1__Role *out)
{
    Chat__V1__Role *roles;
    size_t count;

    TRY(chat_store_roles(tx, mem, guild_id, &role_id, 1, &roles, &count));
    chat__v1__role__init(out);
    if (count > 0)
        *out = roles[0];
    return OK;
}

static const char INSERT_ROLE[] = "INSERT INTO role (id, guild_id, name, color, permissions, position)"
                                  " SELECT $1, $2, $3, $4::bigint::integer, $5, $6::bigint::integer"
                                  " WHERE (SELECT count(*) FROM role WHERE guild_id = $2) < $7";

Err chat_store_insert_role(DbTx *tx, const Chat__V1__Role *role)
{
    int64_t count;

    TRY(db_exec_count(tx, INSERT_ROLE,
                      DB_ARGS(db_int64(role->id), db_int64(role->guild_id), db_text(slice(role->name)),
                              db_int64(role->color), db_int64(role->permissions), db_int64(role->position),
                              db_int64(ROLES_MAX)),
                      &count));
    return count ? OK : err_make(&LIMIT_REACHED, "a guild has at most %d roles", ROLES_MAX);
}

static const char UPDATE_ROLE[] = "UPDATE role SET name = $2, color = $3::bigint::integer, permissions = $4,"
                                  " position = $5::bigint::integer WHERE id = $1";

Err chat_store_update_role(DbTx *tx, const Chat__V1__Role *role)
{
    return db_exec(tx, UPDATE_ROLE,
                   DB_ARGS(db_int64(role->id), db_text(slice(role->name)), db_int64(role->color),
                           db_int64(role->permissions), db_int64(role->position)));
}

static const char DELETE_ROLE[] =
    "WITH members AS (UPDATE member SET roles = array_remove(roles, $2) WHERE guild_id = $1 AND $2 = ANY (roles))"
    " DELETE FROM role WHERE id = $2";

Err chat_store_delete_role(DbTx *tx, int64_t guild_id, int64_t role_id)
{
    return db_exec(tx, DELETE_ROLE, DB_ARGS(db_int64(guild_id), db_int64(role_id)));
}
