/* place: see place.h. */
#include "services/chat/place.h"

Err place_require(const Place *place, int64_t bits)
{
    if (!place->inside)
        return err_make(&PERMISSION_DENIED,
                        place->guild_id ? "you are not a member of this guild" : "you are not a recipient of this DM");
    if ((place->permissions & bits) != bits)
        return err_make(&MISSING_PERMISSIONS, "you do not have the required permissions");
    return OK;
}

ChatTopic place_topic(const Place *place)
{
    return place->guild_id ? chat_channel_topic(place->guild_id, place->id) : chat_dm_topic(place->id);
}

Err place_judge(const DbRows *rows, int first, int64_t bits, Place *out)
{
    if (rows->count == 0)
        return err_make(&NOT_FOUND, "channel not found");
    out->type = (ChannelType)db_get_int64(rows, 0, first);
    out->guild_id = db_get_int64(rows, 0, first + 1);
    out->inside = !db_is_null(rows, 0, first + 2);
    out->permissions = db_get_int64(rows, 0, first + 2);
    return place_require(out, bits);
}

static Err take_place(Request *rq, const DbRows *rows, int64_t bits, Place *out)
{
    TRY(place_judge(rows, 0, bits, out));
    out->slow_s = (int)db_get_int64(rows, 0, 3);
    out->last_id = db_get_int64(rows, 0, 4);
    out->username = db_get_cstr(rq->mem, rows, 0, 5);
    out->display_name = db_get_cstr(rq->mem, rows, 0, 6);
    out->avatar_hash = db_get_cstr_or_null(rq->mem, rows, 0, 7);
    out->has_uploads = db_get_bool(rows, 0, 8);
    out->blocked = db_get_bool(rows, 0, 9);
    return OK;
}

static const char ENTER[] = "SELECT type, guild_id, permissions, slow_s, last_id, username, display_name, avatar_hash,"
                            " waiting, blocked FROM enter_channel($1, $2)";

Err place_enter(DbTx *tx, Request *rq, int64_t channel_id, int64_t bits, Place *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out = (Place){.id = channel_id};
    TRY(db_query(tx, ENTER, DB_ARGS(db_int64(channel_id), db_int64(rq->caller.user_id)), &rows));
    return take_place(rq, &rows, bits, out);
}

static const char LOOK[] = "SELECT c.type, c.guild_id, " CHANNEL_PERMISSIONS_SQL(
    "c",
    "$2") ", c.rate_limit_per_user, 0, p.username,"
          " p.display_name, p.avatar_hash,"
          " EXISTS (SELECT FROM attachment a WHERE a.channel_id = $1 AND a.author_id = $2 AND a.message_id IS NULL),"
          " c.type = 1 AND EXISTS (SELECT FROM recipient r JOIN block b ON b.user_id = r.user_id"
          "                        WHERE r.channel_id = $1 AND b.blocked_id = $2)"
          " FROM channel c LEFT JOIN person p ON p.user_id = $2 WHERE c.id = $1";

Err place_look(Request *rq, int64_t channel_id, int64_t bits, Place *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out = (Place){.id = channel_id};
    TRY(db_read(rq, LOOK, DB_ARGS(db_int64(channel_id), db_int64(rq->caller.user_id)), &rows));
    return take_place(rq, &rows, bits, out);
}
