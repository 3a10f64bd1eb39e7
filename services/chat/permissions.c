/* permissions: see permissions.h. */
#include "services/chat/permissions.h"

int64_t permissions_from_client(int64_t bits)
{
    return bits < 0 ? bits & UINT32_MAX : bits;
}

static Err ask(Request *rq, DbTx *tx, const char *sql, DbArgs args, DbRows *rows)
{
    return tx ? db_query(tx, sql, args, rows) : db_read(rq, sql, args, rows);
}

/* --- guilds ------------------------------------------------------------------------------------------------------ */
static const char STANDING[] =
    "SELECT g.owner_id, m.user_id IS NOT NULL,"
    " (SELECT a.permissions FROM member_access a WHERE a.guild_id = $1 AND a.user_id = $2),"
    " (SELECT max(r.position) FROM role r WHERE r.id = ANY (m.roles))"
    " FROM guild g LEFT JOIN member m ON m.guild_id = g.id AND m.user_id = $2 WHERE g.id = $1";

Err permissions_standing(Request *rq, DbTx *tx, int64_t guild_id, int64_t user_id, Standing *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(ask(rq, tx, STANDING, DB_ARGS(db_int64(guild_id), db_int64(user_id)), &rows));
    *out = (Standing){.user_id = user_id, .highest = -1};
    if (rows.count == 0)
        return OK;
    out->guild_id = guild_id;
    out->owner_id = db_get_int64(&rows, 0, 0);
    out->is_member = db_get_bool(&rows, 0, 1);
    out->is_owner = out->owner_id == user_id;
    out->permissions = db_get_int64(&rows, 0, 2);
    if (!db_is_null(&rows, 0, 3))
        out->highest = (int)db_get_int64(&rows, 0, 3);
    return OK;
}

Err permissions_require(Request *rq, DbTx *tx, int64_t guild_id, int64_t bits, Standing *out)
{
    TRY(permissions_standing(rq, tx, guild_id, rq->caller.user_id, out));
    if (!out->is_member)
        return err_make(&NOT_FOUND, "guild not found");
    if (!permissions_have(out->permissions, bits))
        return err_make(&MISSING_PERMISSIONS, "you do not have permission to perform this action");
    return OK;
}

Err permissions_require_open(Request *rq, DbTx *tx, int64_t guild_id, int64_t bits, Standing *out)
{
    TRY(permissions_standing(rq, tx, guild_id, rq->caller.user_id, out));
    if (out->guild_id == 0)
        return err_make(&NOT_FOUND, "guild not found");
    if (!out->is_member)
        return err_make(&PERMISSION_DENIED, "you are not a member of this guild");
    if (!permissions_have(out->permissions, bits))
        return err_make(&MISSING_PERMISSIONS, "you do not have the required permissions");
    return OK;
}

bool standing_is_above(const Standing *who, int position, int at_least)
{
    return who->is_owner || MAX(who->highest, at_least) > position;
}

/* --- channels ---------------------------------------------------------------------------------------------------- */
static const char CHANNEL[] =
    "SELECT c.guild_id, c.owner_id, c.type,"
    " (SELECT a.permissions FROM channel_access a WHERE a.channel_id = $1 AND a.user_id = $2),"
    " EXISTS (SELECT FROM recipient r WHERE r.channel_id = $1 AND r.user_id = $2)"
    " FROM channel c WHERE c.id = $1";

Err permissions_require_channel(Request *rq, DbTx *tx, int64_t channel_id, int64_t bits, ChannelAccess *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    ChannelAccess access;

    TRY(ask(rq, tx, CHANNEL, DB_ARGS(db_int64(channel_id), db_int64(rq->caller.user_id)), &rows));
    if (rows.count == 0)
        return err_make(&NOT_FOUND, "channel not found");
    access = (ChannelAccess){.id = channel_id,
                             .guild_id = db_get_int64(&rows, 0, 0),
                             .owner_id = db_get_int64(&rows, 0, 1),
                             .type = (ChannelType)db_get_int64(&rows, 0, 2),
                             .permissions = db_get_int64(&rows, 0, 3)};
    if (access.guild_id == 0) {
        if (!db_get_bool(&rows, 0, 4))
            return err_make(&PERMISSION_DENIED, "you are not a recipient of this DM");
        access.permissions = ALL_PERMISSIONS;
    } else if (db_is_null(&rows, 0, 3)) {
        return err_make(&PERMISSION_DENIED, "you are not a member of this guild");
    } else if (!permissions_have(access.permissions, bits)) {
        return err_make(&MISSING_PERMISSIONS, "you do not have the required permissions");
    }
    *out = access;
    return OK;
}
