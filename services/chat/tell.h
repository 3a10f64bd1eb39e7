/* tell: what handlers of guilds say to those who are there, to the platform, and to the log of the guild. All inside
 * the transaction of the change, under the guild's lock (dispatch.h). */
#pragma once
#include "services/chat/announce.h"
#include "services/chat/chat.h"

/* One event to all members, or to those who may view the channel. */
Err tell_guild(DbTx *tx, Request *rq, int64_t guild_id, const char *event, const ProtobufCMessage *data) MUST_CHECK;
Err tell_channel(DbTx *tx, Request *rq, const Chat__V1__Channel *channel, const char *event) MUST_CHECK;

/* Domain events (events.proto). */
Err tell_guild_created(DbTx *tx, Request *rq, int64_t guild_id) MUST_CHECK; /* by the caller */
Err tell_guild_deleted(DbTx *tx, Request *rq, int64_t guild_id) MUST_CHECK;
Err tell_member_joined(DbTx *tx, Request *rq, int64_t guild_id, int64_t user_id) MUST_CHECK;
Err tell_member_left(DbTx *tx, Request *rq, int64_t guild_id, int64_t user_id) MUST_CHECK;

/* After the commit: the relay need not wait for its next turn. */
void tell_now(const Request *rq);
