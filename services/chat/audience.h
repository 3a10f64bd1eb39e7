/* audience: who follows the channels of a guild, as changes for a dispatch. They say how it is now, not what became
 * different: applied twice, or to a session that has read its rights a moment ago, they do no harm. */
#pragma once
#include "services/chat/dispatch.h"

typedef struct AudienceList {
    ChatAudienceChange *list;
    size_t count;
} AudienceList;

/* Of all channels or of one (`channel_id` not 0), for all members or one (`user_id` not 0). One statement, under the
 * guild's lock: members with the same roles see the same, so it costs as much as there are different combinations of
 * roles, not members. Borrowed from `mem`. */
Err audience_of(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, int64_t user_id,
                AudienceList *out) MUST_CHECK;
