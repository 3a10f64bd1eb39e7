/* store_reactions: see store_reactions.h. */
#include "services/chat/store_reactions.h"

static const char STATE[] =
    "SELECT EXISTS (SELECT FROM message m WHERE m.channel_id = $1 AND m.id = $2),"
    " coalesce(bool_or(r.emoji = $3 AND r.user_id = $4), false), coalesce(bool_or(r.emoji = $3), false),"
    " count(DISTINCT r.emoji) FROM reaction r WHERE r.message_id = $2";

Err chat_store_reaction_state(DbTx *tx, int64_t channel_id, int64_t message_id, const char *emoji, int64_t user_id,
                              ReactionState *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, STATE,
                 DB_ARGS(db_int64(channel_id), db_int64(message_id), db_text(slice(emoji)), db_int64(user_id)), &rows));
    *out = (ReactionState){.there = db_get_bool(&rows, 0, 0),
                           .mine = db_get_bool(&rows, 0, 1),
                           .known = db_get_bool(&rows, 0, 2),
                           .kinds = (int)db_get_int64(&rows, 0, 3)};
    return OK;
}

static const char ADD[] = "WITH marked AS ("
                          "  UPDATE message SET reacted = true WHERE channel_id = $1 AND id = $2 AND NOT reacted"
                          ") INSERT INTO reaction (message_id, emoji, user_id, created_at) VALUES ($2, $3, $4, $5)";

Err chat_store_add_reaction(DbTx *tx, int64_t channel_id, int64_t message_id, const char *emoji, int64_t user_id,
                            int64_t now_us)
{
    return db_exec(tx, ADD,
                   DB_ARGS(db_int64(channel_id), db_int64(message_id), db_text(slice(emoji)), db_int64(user_id),
                           db_time_us(now_us)));
}

static const char REMOVE[] = "DELETE FROM reaction WHERE message_id = $1 AND emoji = $2 AND user_id = $3";

Err chat_store_remove_reaction(DbTx *tx, int64_t message_id, const char *emoji, int64_t user_id, bool *out_removed)
{
    int64_t removed;

    TRY(db_exec_count(tx, REMOVE, DB_ARGS(db_int64(message_id), db_text(slice(emoji)), db_int64(user_id)), &removed));
    *out_removed = removed > 0;
    return OK;
}

/* The rows are one at least where there is a channel: with NULL for the user when nobody reacted. */
static const char REACTORS[] = "SELECT c.type, c.guild_id, " CHANNEL_PERMISSIONS_SQL(
    "c", "$2") ", m.id, r.user_id"
               " FROM channel c LEFT JOIN message m ON m.channel_id = c.id AND m.id = $3"
               " LEFT JOIN LATERAL (SELECT b.user_id, b.created_at FROM reaction b WHERE b.message_id = m.id AND "
               "b.emoji = $4"
               "   ORDER BY b.created_at, b.user_id LIMIT $5) r ON true"
               " WHERE c.id = $1 ORDER BY r.created_at, r.user_id";

Err chat_store_reactors(Request *rq, int64_t channel_id, int64_t message_id, const char *emoji, int limit,
                        int64_t **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Place place;

    TRY(db_read(rq, REACTORS,
                DB_ARGS(db_int64(channel_id), db_int64(rq->caller.user_id), db_int64(message_id), db_text(slice(emoji)),
                        db_int64(limit)),
                &rows));
    TRY(place_judge(&rows, 0, PERMISSION_VIEW_CHANNEL | PERMISSION_READ_MESSAGE_HISTORY, &place));
    if (db_is_null(&rows, 0, 3))
        return err_make(&NOT_FOUND, "message not found");
    *out = ARENA_ARRAY(rq->mem, int64_t, rows.count);
    for (int i = 0; i < rows.count; i++)
        if (!db_is_null(&rows, i, 4))
            (*out)[(*out_count)++] = db_get_int64(&rows, i, 4);
    return OK;
}
