/* store_channels: the SQL of a guild's channels and their overrides. */
#pragma once
#include "services/chat/store.h"

/* Those that the user may view, by position, then id. `*out_member` is false when he is no member of the guild. */
Err chat_store_list_channels_for(Request *rq, int64_t guild_id, int64_t user_id, Chat__V1__Channel ***out,
                                 size_t *out_count, bool *out_member) MUST_CHECK;
/* A channel of any kind that the user may view; id 0 when there is none. Direct ones with their recipients. */
Err chat_store_channel_for(Request *rq, DbTx *tx, int64_t channel_id, int64_t user_id,
                           Chat__V1__Channel *out) MUST_CHECK;
/* Whoever may view it. */
Err chat_store_channel_named(DbTx *tx, Arena *mem, int64_t channel_id, Chat__V1__Channel *out) MUST_CHECK;
/* By position. */
Err chat_store_channels_named(DbTx *tx, Arena *mem, const int64_t *ids, size_t count, Chat__V1__Channel **out,
                              size_t *out_count) MUST_CHECK;
/* Whose channel it is; 0 when there is none, and for direct ones. Before its guild is locked. */
Err chat_store_guild_of_channel(Request *rq, DbTx *tx, int64_t channel_id, int64_t *out_guild_id) MUST_CHECK;

/* `channel` has id, guild, name, type, topic, parent; it gets its position. NAME_TAKEN, INVALID_PARENT, LIMIT_REACHED.
 */
Err chat_store_insert_channel(DbTx *tx, Chat__V1__Channel *channel, int64_t now_us) MUST_CHECK;
/* As it stands in `channel`. NAME_TAKEN, INVALID_PARENT. */
Err chat_store_update_channel(DbTx *tx, const Chat__V1__Channel *channel) MUST_CHECK;
/* `*out_children` were in it and are not any more. */
Err chat_store_delete_channel(DbTx *tx, Arena *mem, int64_t channel_id, Chat__V1__Channel **out_children,
                              size_t *out_count) MUST_CHECK;

Err chat_store_list_overrides(Request *rq, int64_t channel_id, Chat__V1__Override ***out, size_t *out_count) MUST_CHECK;
/* All 0 and `*out_there` false when there is none. */
Err chat_store_override(DbTx *tx, int64_t channel_id, int64_t role_id, Chat__V1__Override *out,
                        bool *out_there) MUST_CHECK;
Err chat_store_put_override(DbTx *tx, const Chat__V1__Override *override) MUST_CHECK;
Err chat_store_delete_override(DbTx *tx, int64_t channel_id, int64_t role_id) MUST_CHECK;
