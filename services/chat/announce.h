/* announce: the dispatches that more than one handler needs, or that have more to them than one event: who follows what
 * from now on, and what the browser client must be told beside (dialect W, contracts/chat.md section 15). Each reads
 * what it tells from the tables, inside the caller's transaction, after the caller's own change, under the guild's
 * exclusive lock (chat_lock_guild); one statement and one or two rows each, whatever the size of the guild.
 *
 * They tell what is said here and no more: events such as GUILD_MEMBER_ADD or GUILD_ROLE_UPDATE stay the handler's. */
#pragma once
#include "atrium/chat/v1/chat.pb-c.h"
#include "services/chat/audience.h"

/* `user_id` has become a member (made the guild, took an invite): his sessions follow the guild and the channels that
 * he may view, and see GUILD_CREATE; in dialect W its priming after it (W2). Before the handler's GUILD_MEMBER_ADD, so
 * that he sees that, too. `mark` for request_set_after, may be NULL. */
Err chat_announce_joined(DbTx *tx, Arena *mem, int64_t guild_id, int64_t user_id, const char *mark) MUST_CHECK;

/* `user_id` is no member any more (left, kicked, banned): his sessions follow nothing of the guild, and see
 * GUILD_DELETE; his voice state ends, which the guild is told. After the handler's GUILD_MEMBER_REMOVE, so that he sees
 * that, too. */
Err chat_announce_left(DbTx *tx, Arena *mem, int64_t guild_id, int64_t user_id) MUST_CHECK;

/* The guild is about to be deleted: called before its rows go. GUILD_DELETE to all, then nobody follows it. */
Err chat_announce_guild_deleted(DbTx *tx, Arena *mem, int64_t guild_id) MUST_CHECK;

/* The channel is stored: those who may view it follow it and see CHANNEL_CREATE. In dialect W with its priming, and the
 * actor's own sessions see CHANNEL_UPDATE instead (W13). */
Err chat_announce_channel_created(DbTx *tx, Arena *mem, const Chat__V1__Channel *channel, int64_t actor_id,
                                  const char *mark) MUST_CHECK;
/* The channel is about to be deleted: called before its row goes. Those who viewed it see CHANNEL_DELETE; then nobody
 * follows it. Voice states in it end. */
Err chat_announce_channel_deleted(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id) MUST_CHECK;

/* Roles, their permissions, who has them, overrides or the owner have changed, and `before` is how it was
 * (audience_look, before the change was stored). From here on each live session of the guild follows exactly the
 * channels that its user may view now; who has gained one sees CHANNEL_CREATE (in dialect W with its priming), who has
 * lost one CHANNEL_DELETE. Voice states of those who may not be there any more end. Before events about the change. */
Err chat_announce_visibility(DbTx *tx, Arena *mem, const Audience *before) MUST_CHECK;

/* A DM or group is stored: its recipients follow it and see CHANNEL_CREATE, in dialect W primed. Under chat_lock_dm. */
Err chat_announce_dm_created(DbTx *tx, Arena *mem, int64_t channel_id, const int64_t *recipients, size_t count,
                             const ProtobufCMessage *dm_channel) MUST_CHECK;
/* Somebody was added to a group (`update`: the group as it is now; he sees CHANNEL_CREATE first, then all see
 * CHANNEL_UPDATE) or is no longer in it (the others see CHANNEL_UPDATE, unless it is NULL: nobody is left; he sees
 * CHANNEL_DELETE). Under chat_lock_dm. */
Err chat_announce_dm_recipient_added(DbTx *tx, Arena *mem, int64_t channel_id, int64_t user_id,
                                     const ProtobufCMessage *update) MUST_CHECK;
Err chat_announce_dm_recipient_removed(DbTx *tx, Arena *mem, int64_t channel_id, int64_t user_id,
                                       const ProtobufCMessage *update, const ProtobufCMessage *deleted) MUST_CHECK;
