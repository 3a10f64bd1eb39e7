/* store_voice: SQL of voice states, and of orders to the voice server. */
#pragma once
#include "atrium/chat/v1/gateway.pb-c.h"
#include "services/chat/chat.h"
#include "services/chat/voice.h"

typedef struct VoiceEnd {
    int64_t channel_id, user_id;
} VoiceEnd;
/* States of the guild end: of this channel (0: any), of this user (0: any). */
Err chat_store_end_voice(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, int64_t user_id, VoiceEnd **out,
                         size_t *out_count) MUST_CHECK;
/* Of this user (0: any), where he may not VIEW_CHANNEL and CONNECT any more. */
Err chat_store_end_barred_voice(DbTx *tx, Arena *mem, int64_t guild_id, int64_t user_id, VoiceEnd **out,
                                size_t *out_count) MUST_CHECK;
/* All of them, with an order for each. */
Err chat_store_end_guild_voice(DbTx *tx, int64_t guild_id) MUST_CHECK;
/* He is there now; `state` gets when he came to voice in this guild, and the room. `out_before`: where he was, 0
 * nowhere. */
Err chat_store_put_voice(DbTx *tx, Arena *mem, int64_t now_us, Chat__V1__VoiceState *state,
                         int64_t *out_before) MUST_CHECK;
enum { VOICE_STATES_MAX = 1000 };
/* In the transaction or, without one, a read of the request. */
Err chat_store_voice_states(Request *rq, DbTx *tx, int64_t channel_id, Chat__V1__VoiceState ***out,
                            size_t *out_count) MUST_CHECK;
/* Of a voice channel; 0: there is none. */
Err chat_store_voice_guild(DbTx *tx, int64_t channel_id, int64_t *out_guild_id) MUST_CHECK;

typedef struct VoiceOrder {
    int64_t id;
    const char *room;
    int64_t user_id; /* 0: the whole room */
    int tries;       /* this one counted */
} VoiceOrder;
Err chat_store_order_voice(DbTx *tx, const char *room, int64_t user_id) MUST_CHECK;
/* VOICE_TURN_MAX at most, put off until their next try. */
Err chat_store_due_voice_orders(Db *db, Arena *mem, VoiceOrder **out, size_t *out_count) MUST_CHECK;
Err chat_store_drop_voice_order(Db *db, int64_t id) MUST_CHECK;
