/* store_channels: see store_channels.h. */
#include "services/chat/store_channels.h"

#include "services/chat/permissions.h"
#include "services/chat/persons.h"

/* For a member there is always a row, of NULLs when he may view nothing. */
static const char LIST_CHANNELS_FOR[] =
    "SELECT " CHANNEL_COLUMNS " FROM member me"
    " LEFT JOIN channel_access a ON a.guild_id = me.guild_id AND a.user_id = me.user_id AND (a.permissions & 1) <> 0"
    " LEFT JOIN channel c ON c.id = a.channel_id"
    " WHERE me.guild_id = $1 AND me.user_id = $2 ORDER BY c.position, c.id";

Err chat_store_list_channels_for(Request *rq, int64_t guild_id, int64_t user_id, Chat__V1__Channel ***out,
                                 size_t *out_count, bool *out_member)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    size_t count = 0;

    TRY(db_read(rq, LIST_CHANNELS_FOR, DB_ARGS(db_int64(guild_id), db_int64(user_id)), &rows));
    *out_member = rows.count > 0;
    *out = ARENA_ARRAY(rq->mem, Chat__V1__Channel *, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        if (db_is_null(&rows, i, 0))
            continue;
        (*out)[count] = ARENA_NEW(rq->mem, Chat__V1__Channel);
        chat_store_read_channel(rq->mem, &rows, i, 0, (*out)[count++]);
    }
    *out_count = count;
    return OK;
}

static const char CHANNEL_FOR[] = "SELECT " CHANNEL_COLUMNS ", c.owner_id, c.created_at, " PERSON_COLUMNS(
    "p") " FROM channel c"
         " LEFT JOIN recipient r ON r.channel_id = c.id LEFT JOIN person p ON p.user_id = r.user_id"
         " WHERE c.id = $1 AND CASE WHEN c.guild_id IS NULL"
         "  THEN EXISTS (SELECT FROM recipient mine WHERE mine.channel_id = $1 AND mine.user_id = $2)"
         "  ELSE EXISTS (SELECT FROM channel_access a"
         "               WHERE a.channel_id = $1 AND a.user_id = $2 AND (a.permissions & 1) <> 0) END"
         " ORDER BY p.user_id";

static void read_recipients(Arena *mem, const DbRows *rows, Chat__V1__Channel *out)
{
    if (!db_is_null(rows, 0, CHANNEL_COLUMN_COUNT))
        SET(out, owner_id, db_get_int64(rows, 0, CHANNEL_COLUMN_COUNT));
    out->created_at = chat_time(mem, db_get_time_us(rows, 0, CHANNEL_COLUMN_COUNT + 1));
    out->recipients = ARENA_ARRAY(mem, Chat__V1__User *, rows->count);
    for (int i = 0; i < rows->count; i++)
        out->recipients[out->n_recipients++] = persons_read(mem, rows, i, CHANNEL_COLUMN_COUNT + 2);
}

Err chat_store_channel_for(Request *rq, DbTx *tx, int64_t channel_id, int64_t user_id, Chat__V1__Channel *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(chat_store_ask(rq, tx, CHANNEL_FOR, DB_ARGS(db_int64(channel_id), db_int64(user_id)), &rows));
    chat__v1__channel__init(out);
    if (rows.count == 0)
        return OK;
    chat_store_read_channel(rq->mem, &rows, 0, 0, out);
    if (!out->guild_id)
        read_recipients(rq->mem, &rows, out);
    return OK;
}

static const char CHANNEL_NAMED[] = "SELECT " CHANNEL_COLUMNS " FROM channel c WHERE c.id = $1";

Err chat_store_channel_named(DbTx *tx, Arena *mem, int64_t channel_id, Chat__V1__Channel *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, CHANNEL_NAMED, DB_ARGS(db_int64(channel_id)), &rows));
    chat__v1__channel__init(out);
    if (rows.count > 0)
        chat_store_read_channel(mem, &rows, 0, 0, out);
    return OK;
}

static const char CHANNELS_NAMED[] =
    "SELECT " CHANNEL_COLUMNS " FROM channel c WHERE c.id = ANY ($1) ORDER BY c.position, c.id";

Err chat_store_channels_named(DbTx *tx, Arena *mem, const int64_t *ids, size_t count, Chat__V1__Channel **out,
                              size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, CHANNELS_NAMED, DB_ARGS(db_int64_array(ids, count)), &rows));
    *out = ARENA_ARRAY(mem, Chat__V1__Channel, rows.count);
    for (int i = 0; i < rows.count; i++)
        chat_store_read_channel(mem, &rows, i, 0, &(*out)[i]);
    *out_count = (size_t)rows.count;
    return OK;
}

static const char GUILD_OF_CHANNEL[] = "SELECT guild_id FROM channel WHERE id = $1";

Err chat_store_guild_of_channel(Request *rq, DbTx *tx, int64_t channel_id, int64_t *out_guild_id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(chat_store_ask(rq, tx, GUILD_OF_CHANNEL, DB_ARGS(db_int64(channel_id)), &rows));
    *out_guild_id = rows.count > 0 ? db_get_int64(&rows, 0, 0) : 0;
    return OK;
}

/* --- changes -------------------------------------------------------------------------------------------------------
 */
static const char IS_CATEGORY[] = "SELECT 1 FROM channel WHERE id = $1 AND guild_id = $2 AND type = 4";

static Err check_parent(DbTx *tx, const Chat__V1__Channel *channel)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    if (!channel->parent_id)
        return OK;
    if (channel->type == CHANNEL_CATEGORY)
        return err_make(&INVALID_PARENT, "a category is in no other");
    TRY(db_query(tx, IS_CATEGORY, DB_ARGS(db_int64(channel->parent_id), db_int64(channel->guild_id)), &rows));
    return rows.count ? OK : err_make(&INVALID_PARENT, "parent must be a category of the same guild");
}

static Err taken_or(const DbTx *tx, Err e)
{
    if (err_failed(e) && db_violated(tx, "channel_name_key"))
        return err_make(&NAME_TAKEN, "a channel of this name already exists");
    return e;
}

static const char COUNT_CHANNELS[] = "SELECT count(*) FROM channel WHERE guild_id = $1";
static const char INSERT_CHANNEL[] =
    "INSERT INTO channel (id, guild_id, type, name, position, topic, parent_id, created_at, rate_limit_per_user)"
    " VALUES ($1, $2, $3::bigint::smallint, $4, $5::bigint::integer, $6, nullif($7::bigint, 0), $8, "
    "$9::bigint::integer)";

Err chat_store_insert_channel(DbTx *tx, Chat__V1__Channel *channel, int64_t now_us)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(check_parent(tx, channel));
    TRY(db_query(tx, COUNT_CHANNELS, DB_ARGS(db_int64(channel->guild_id)), &rows));
    if (db_get_int64(&rows, 0, 0) >= CHANNELS_MAX)
        return err_make(&LIMIT_REACHED, "a guild has at most %d channels", CHANNELS_MAX);
    SET(channel, position, (int32_t)db_get_int64(&rows, 0, 0));
    return taken_or(
        tx, db_exec(tx, INSERT_CHANNEL,
                    DB_ARGS(db_int64(channel->id), db_int64(channel->guild_id), db_int64(channel->type),
                            db_text(slice(channel->name)), db_int64(channel->position), db_text_or_null(channel->topic),
                            db_int64(channel->parent_id), db_time_us(now_us), db_int64(channel->rate_limit_per_user))));
}

static const char UPDATE_CHANNEL[] =
    "UPDATE channel SET name = $2, topic = $3, position = $4::bigint::integer, parent_id = nullif($5::bigint, 0),"
    " rate_limit_per_user = $6::bigint::integer WHERE id = $1";

Err chat_store_update_channel(DbTx *tx, const Chat__V1__Channel *channel)
{
    TRY(check_parent(tx, channel));
    return taken_or(tx, db_exec(tx, UPDATE_CHANNEL,
                                DB_ARGS(db_int64(channel->id), db_text(slice(channel->name)),
                                        db_text_or_null(channel->topic), db_int64(channel->position),
                                        db_int64(channel->parent_id), db_int64(channel->rate_limit_per_user))));
}

static const char RELEASE_CHILDREN[] =
    "UPDATE channel c SET parent_id = NULL WHERE parent_id = $1 RETURNING " CHANNEL_COLUMNS;
static const char DELETE_CHANNEL[] = "DELETE FROM channel WHERE id = $1";

Err chat_store_delete_channel(DbTx *tx, Arena *mem, int64_t channel_id, Chat__V1__Channel **out_children,
                              size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, RELEASE_CHILDREN, DB_ARGS(db_int64(channel_id)), &rows));
    *out_children = ARENA_ARRAY(mem, Chat__V1__Channel, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        chat_store_read_channel(mem, &rows, i, 0, &(*out_children)[i]);
    *out_count = (size_t)rows.count;
    return db_exec(tx, DELETE_CHANNEL, DB_ARGS(db_int64(channel_id)));
}

/* --- overrides -----------------------------------------------------------------------------------------------------
 */
static void read_override(const DbRows *rows, int row, Chat__V1__Override *out)
{
    SET(out, channel_id, db_get_int64(rows, row, 0));
    SET(out, role_id, db_get_int64(rows, row, 1));
    SET(out, allow, db_get_int64(rows, row, 2));
    SET(out, deny, db_get_int64(rows, row, 3));
}

static const char LIST_OVERRIDES[] =
    "SELECT o.channel_id, o.role_id, o.allow, o.deny FROM channel_override o JOIN role r ON r.id = o.role_id"
    " WHERE o.channel_id = $1 ORDER BY r.position, r.id";

Err chat_store_list_overrides(Request *rq, int64_t channel_id, Chat__V1__Override ***out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LIST_OVERRIDES, DB_ARGS(db_int64(channel_id)), &rows));
    *out = ARENA_ARRAY(rq->mem, Chat__V1__Override *, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        (*out)[i] = MESSAGE_NEW(rq->mem, Chat__V1__Override, chat__v1__override__init);
        read_override(&rows, i, (*out)[i]);
    }
    *out_count = (size_t)rows.count;
    return OK;
}

static const char ONE_OVERRIDE[] =
    "SELECT channel_id, role_id, allow, deny FROM channel_override WHERE channel_id = $1 AND role_id = $2";

Err chat_store_override(DbTx *tx, int64_t channel_id, int64_t role_id, Chat__V1__Override *out, bool *out_there)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, ONE_OVERRIDE, DB_ARGS(db_int64(channel_id), db_int64(role_id)), &rows));
    chat__v1__override__init(out);
    *out_there = rows.count > 0;
    if (rows.count > 0)
        read_override(&rows, 0, out);
    return OK;
}

static const char PUT_OVERRIDE[] =
    "INSERT INTO channel_override (channel_id, role_id, allow, deny) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (channel_id, role_id) DO UPDATE SET allow = excluded.allow, deny = excluded.deny";

Err chat_store_put_override(DbTx *tx, const Chat__V1__Override *override)
{
    return db_exec(tx, PUT_OVERRIDE,
                   DB_ARGS(db_int64(override->channel_id), db_int64(override->role_id), db_int64(override->allow),
                           db_int64(override->deny)));
}

static const char DELETE_OVERRIDE[] = "DELETE FROM channel_override WHERE channel_id = $1 AND role_id = $2";

Err chat_store_delete_override(DbTx *tx, int64_t channel_id, int64_t role_id)
{
    return db_exec(tx, DELETE_OVERRIDE, DB_ARGS(db_int64(channel_id), db_int64(role_id)));
}
