/* audience: who may view which channel of a guild, before and after something that decides it, and what is the
 * difference of the two. Under the guild's lock. Borrowed from `mem`. */
#pragma once
#include "services/chat/dispatch.h"
#include "services/chat/store_live.h"

/* Some members of a guild: those in `users` (ascending), or with `but` all but those. */
typedef struct Members {
    bool but;
    const int64_t *users;
    size_t count;
} Members;
static inline bool members_none(const Members *m)
{
    return !m->but && m->count == 0;
}

/* As it is now. One statement: members with the same roles see the same, so it costs as much as there are different
 * combinations of roles, not members. */
typedef struct Audience {
    int64_t guild_id, channel_id, user_id; /* channel_id 0: all channels; user_id 0: all members */
    const ChannelAudience *channels;       /* by id */
    size_t count;
} Audience;
Err audience_look(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, int64_t user_id,
                  Audience *out) MUST_CHECK;

/* Channels that the same members have come to see, or see no more. */
typedef struct AudienceShift {
    Members gained, lost;
    int64_t *channels;
    size_t count;
} AudienceShift;
/* Of two looks at the same; channels that have come or gone between them were, or are, seen by nobody. Nothing where
 * nothing is different. */
void audience_shifts(Arena *mem, const Audience *before, const Audience *after, AudienceShift **out, size_t *out_count);

/* What the shift changes of who follows the channels: 2 changes at most, exact ones. */
void audience_changes(Arena *mem, int64_t guild_id, const AudienceShift *shift, ChatAudienceChange out[2],
                      size_t *out_count);
