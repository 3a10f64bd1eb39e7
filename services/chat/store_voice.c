/* store_voice: see store_voice.h. */
#include "services/chat/store_voice.h"

#include "services/chat/livekit.h"
#include "services/chat/store.h"

enum { ORDER_TIMEOUT_MS = 5000 };

static Err end_voice(DbTx *tx, Arena *mem, const char *sql, DbArgs args, VoiceEnd **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, sql, args, &rows));
    *out = ARENA_ARRAY(mem, VoiceEnd, rows.count);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (VoiceEnd){db_get_int64(&rows, i, 0), db_get_int64(&rows, i, 1)};
    *out_count = (size_t)rows.count;
    return OK;
}

Err chat_store_end_voice(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, int64_t user_id, VoiceEnd **out,
                         size_t *out_count)
{
    return end_voice(tx, mem,
                     "DELETE FROM voice_state WHERE guild_id = $1 AND ($2::bigint = 0 OR channel_id = $2)"
                     " AND ($3::bigint = 0 OR user_id = $3) RETURNING channel_id, user_id",
                     DB_ARGS(db_int64(guild_id), db_int64(channel_id), db_int64(user_id)), out, out_count);
}

/* 257: VIEW_CHANNEL and CONNECT. */
static const char END_BARRED[] =
    "DELETE FROM voice_state v WHERE guild_id = $1 AND ($2::bigint = 0 OR user_id = $2) AND NOT EXISTS ("
    "  SELECT FROM channel_access a WHERE a.channel_id = v.channel_id AND a.user_id = v.user_id"
    "  AND a.permissions & 257 = 257) RETURNING channel_id, user_id";

Err chat_store_end_barred_voice(DbTx *tx, Arena *mem, int64_t guild_id, int64_t user_id, VoiceEnd **out,
                                size_t *out_count)
{
    return end_voice(tx, mem, END_BARRED, DB_ARGS(db_int64(guild_id), db_int64(user_id)), out, out_count);
}

Err chat_store_end_guild_voice(DbTx *tx, int64_t guild_id)
{
    return db_exec(tx,
                   "WITH gone AS (DELETE FROM voice_state WHERE guild_id = $1 RETURNING channel_id)"
                   " INSERT INTO voice_order (room) SELECT DISTINCT 'voice-' || channel_id FROM gone",
                   DB_ARGS(db_int64(guild_id)));
}

static const char PUT_VOICE[] =
    "WITH was AS (SELECT channel_id FROM voice_state WHERE guild_id = $1 AND user_id = $2)"
    " INSERT INTO voice_state (guild_id, user_id, channel_id, self_mute, self_deaf, joined_at)"
    " VALUES ($1, $2, $3, $4, $5, $6)"
    " ON CONFLICT (guild_id, user_id) DO UPDATE SET channel_id = excluded.channel_id,"
    " self_mute = excluded.self_mute, self_deaf = excluded.self_deaf"
    " RETURNING joined_at, coalesce((SELECT channel_id FROM was), 0)";

Err chat_store_put_voice(DbTx *tx, Arena *mem, int64_t now_us, Chat__V1__VoiceState *state, int64_t *out_before)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, PUT_VOICE,
                 DB_ARGS(db_int64(state->guild_id), db_int64(state->user_id), db_int64(state->channel_id),
                         db_bool(state->self_mute), db_bool(state->self_deaf), db_time_us(now_us)),
                 &rows));
    state->joined_at = chat_time(mem, db_get_time_us(&rows, 0, 0));
    state->session_id = livekit_room(mem, state->channel_id);
    *out_before = db_get_int64(&rows, 0, 1);
    return OK;
}

static const char VOICE_STATES[] = "SELECT guild_id, user_id, self_mute, self_deaf, joined_at FROM voice_state"
                                   " WHERE channel_id = $1 ORDER BY joined_at, user_id LIMIT $2::bigint";

Err chat_store_voice_states(Request *rq, DbTx *tx, int64_t channel_id, Chat__V1__VoiceState ***out, size_t *out_count)
{
    const DbArgs args = DB_ARGS(db_int64(channel_id), db_int64(VOICE_STATES_MAX));
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(tx ? db_query(tx, VOICE_STATES, args, &rows) : db_read(rq, VOICE_STATES, args, &rows));
    *out = ARENA_ARRAY(rq->mem, Chat__V1__VoiceState *, rows.count);
    for (int i = 0; i < rows.count; i++) {
        Chat__V1__VoiceState *state = MESSAGE_NEW(rq->mem, Chat__V1__VoiceState, chat__v1__voice_state__init);

        SET(state, guild_id, db_get_int64(&rows, i, 0));
        SET(state, channel_id, channel_id);
        SET(state, user_id, db_get_int64(&rows, i, 1));
        SET(state, self_mute, db_get_bool(&rows, i, 2));
        SET(state, self_deaf, db_get_bool(&rows, i, 3));
        state->joined_at = chat_time(rq->mem, db_get_time_us(&rows, i, 4));
        state->session_id = livekit_room(rq->mem, channel_id);
        (*out)[i] = state;
    }
    *out_count = (size_t)rows.count;
    return OK;
}

Err chat_store_voice_guild(DbTx *tx, int64_t channel_id, int64_t *out_guild_id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, "SELECT coalesce(guild_id, 0) FROM channel WHERE id = $1", DB_ARGS(db_int64(channel_id)), &rows));
    *out_guild_id = rows.count ? db_get_int64(&rows, 0, 0) : 0;
    return OK;
}

/* --- orders ------------------------------------------------------------------------------------------------------ */
Err chat_store_order_voice(DbTx *tx, const char *room, int64_t user_id)
{
    return db_exec(tx, "INSERT INTO voice_order (room, user_id) VALUES ($1, nullif($2::bigint, 0))",
                   DB_ARGS(db_text(slice(room)), db_int64(user_id)));
}

static const char DUE_ORDERS[] =
    "UPDATE voice_order SET tries = tries + 1, due_at = now() + $2::bigint * (1 << tries) * interval '1 ms'"
    " WHERE id IN (SELECT id FROM voice_order WHERE due_at <= now() ORDER BY due_at LIMIT $1::bigint)"
    " RETURNING id, room, coalesce(user_id, 0), tries";

Err chat_store_due_voice_orders(Db *db, Arena *mem, VoiceOrder **out, size_t *out_count)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_tx_begin_with(db, ORDER_TIMEOUT_MS, &tx));
    TRY(db_query(&tx, DUE_ORDERS, DB_ARGS(db_int64(VOICE_TURN_MAX), db_int64(VOICE_RETRY_MS)), &rows));
    *out = ARENA_ARRAY(mem, VoiceOrder, rows.count);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (VoiceOrder){.id = db_get_int64(&rows, i, 0),
                                 .room = db_get_cstr(mem, &rows, i, 1),
                                 .user_id = db_get_int64(&rows, i, 2),
                                 .tries = (int)db_get_int64(&rows, i, 3)};
    *out_count = (size_t)rows.count;
    return db_tx_commit(&tx);
}

Err chat_store_drop_voice_order(Db *db, int64_t id)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin_with(db, ORDER_TIMEOUT_MS, &tx));
    TRY(db_exec(&tx, "DELETE FROM voice_order WHERE id = $1", DB_ARGS(db_int64(id))));
    return db_tx_commit(&tx);
}
