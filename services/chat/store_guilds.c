/* store_guilds: see store_guilds.h. */
#include "services/chat/store_guilds.h"

#include "services/chat/permissions.h"

static const char LIST_GUILDS_OF[] = "SELECT " GUILD_COLUMNS " FROM member m JOIN guild g ON g.id = m.guild_id"
                                     " WHERE m.user_id = $1 ORDER BY g.id LIMIT $2";

Err chat_store_list_guilds_of(Request *rq, int64_t user_id, Chat__V1__Guild ***out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Chat__V1__Guild **list;

    TRY(db_read(rq, LIST_GUILDS_OF, DB_ARGS(db_int64(user_id), db_int64(GUILDS_SHOWN_MAX)), &rows));
    list = ARENA_ARRAY(rq->mem, Chat__V1__Guild *, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        list[i] = ARENA_NEW(rq->mem, Chat__V1__Guild);
        chat_store_read_guild(rq->mem, &rows, i, 0, list[i]);
    }
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char GUILD_FOR[] = "SELECT " GUILD_COLUMNS " FROM guild g JOIN member m ON m.guild_id = g.id"
                                " WHERE g.id = $1 AND m.user_id = $2";

Err chat_store_guild_for(Request *rq, DbTx *tx, int64_t guild_id, int64_t user_id, Chat__V1__Guild *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(chat_store_ask(rq, tx, GUILD_FOR, DB_ARGS(db_int64(guild_id), db_int64(user_id)), &rows));
    chat__v1__guild__init(out);
    if (rows.count > 0)
        chat_store_read_guild(rq->mem, &rows, 0, 0, out);
    return OK;
}

static const char COUNT_GUILDS_OF[] = "SELECT count(*) FROM member WHERE user_id = $1";

Err chat_store_count_guilds_of(DbTx *tx, int64_t user_id, int64_t *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, COUNT_GUILDS_OF, DB_ARGS(db_int64(user_id)), &rows));
    *out = db_get_int64(&rows, 0, 0);
    return OK;
}

/* Its founder has both roles assigned, as the contract has it; who joins has none. */
static const char INSERT_GUILD[] =
    "WITH g AS ("
    "  INSERT INTO guild (id, name, owner_id, member_count, created_at) VALUES ($1, $2, $3, 1, $4) RETURNING *"
    "), roles AS ("
    "  INSERT INTO role (id, guild_id, name, permissions, position)"
    "  VALUES ($1, $1, '@everyone', $5, 0), ($6, $1, 'Admin', $7, 1)"
    "), members AS ("
    "  INSERT INTO member (guild_id, user_id, joined_at, roles) VALUES ($1, $3, $4, ARRAY[$1, $6]::bigint[])"
    "), channels AS ("
    "  INSERT INTO channel (id, guild_id, type, name, position, created_at)"
    "  VALUES ($8, $1, 0, 'general', 0, $4), ($9, $1, 2, 'General', 1, $4)"
    ") SELECT " GUILD_COLUMNS " FROM g";

Err chat_store_insert_guild(DbTx *tx, Arena *mem, const NewGuild *guild, Chat__V1__Guild *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, INSERT_GUILD,
                 DB_ARGS(db_int64(guild->id), db_text(slice(guild->name)), db_int64(guild->owner_id),
                         db_time_us(guild->now_us), db_int64(EVERYONE_PERMISSIONS), db_int64(guild->admin_role_id),
                         db_int64(PERMISSION_ADMINISTRATOR), db_int64(guild->text_channel_id),
                         db_int64(guild->voice_channel_id)),
                 &rows));
    chat_store_read_guild(mem, &rows, 0, 0, out);
    return OK;
}

static const char UPDATE_GUILD[] =
    "UPDATE guild g SET name = coalesce($2, name),"
    " icon_hash = CASE WHEN $3::text IS NULL THEN icon_hash ELSE nullif($3, '') END,"
    " icon_by = CASE WHEN $3::text IS NULL THEN icon_by ELSE nullif($5::bigint, 0) END,"
    " owner_id = CASE WHEN $4::bigint = 0 THEN owner_id ELSE $4 END WHERE id = $1 RETURNING " GUILD_COLUMNS;

Err chat_store_update_guild(DbTx *tx, Arena *mem, int64_t id, const char *name, const char *icon, int64_t icon_by,
                            int64_t owner_id, Chat__V1__Guild *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(
        tx, UPDATE_GUILD,
        DB_ARGS(db_int64(id), db_text_or_null(name), db_text_or_null(icon), db_int64(owner_id), db_int64(icon_by)),
        &rows));
    chat_store_read_guild(mem, &rows, 0, 0, out);
    return OK;
}

static const char DELETE_GUILD[] = "DELETE FROM guild WHERE id = $1";

Err chat_store_delete_guild(DbTx *tx, int64_t id)
{
    return db_exec(tx, DELETE_GUILD, DB_ARGS(db_int64(id)));
}
