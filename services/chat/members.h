/* members: what handlers that put people in and out ask alike. */
#pragma once
#include "services/chat/permissions.h"

/* Under the guild's lock. Somebody has become a member, or is none any more: the row, what everybody is told, and who
 * follows what. `mark` may be NULL: see chat_announce_joined. ALREADY_MEMBER. */
Err members_add(Request *rq, DbTx *tx, int64_t guild_id, int64_t user_id, const char *mark) MUST_CHECK;
/* `*out_was` is false when he was none: then nobody is told. */
Err members_remove(Request *rq, DbTx *tx, int64_t guild_id, int64_t user_id, bool *out_was) MUST_CHECK;
