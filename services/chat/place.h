/* place: a channel of any kind, as somebody comes into it: what it is, and what he may do there. Between people (DMs
 * and groups) recipients may do what concerns them: see, write, read, attach. */
#pragma once
#include "services/chat/chat.h"
#include "services/chat/dispatch.h"
#include "services/chat/permissions.h"

typedef struct Place {
    int64_t id;
    int64_t guild_id; /* 0: between people */
    ChannelType type;
    bool inside; /* a member of the guild, a recipient */
    int64_t permissions;
    int slow_s;      /* between two posts of one user; 0: no slow mode */
    int64_t last_id; /* of the latest message; 0 none */
    /* The caller, as his messages show him; "" outside. */
    const char *username, *display_name, *avatar_hash; /* avatar_hash may be NULL */
    bool has_uploads;                                  /* his, that no message has */
    bool blocked;                                      /* of a DM: by the other */
} Place;

/* The beginning of a change, first in its transaction: takes the locks of what happens in a channel (dispatch.h) and
 * looks. NOT_FOUND "channel not found"; PERMISSION_DENIED for outsiders; MISSING_PERMISSIONS unless he has all `bits`.
 */
Err place_enter(DbTx *tx, Request *rq, int64_t channel_id, int64_t bits, Place *out) MUST_CHECK;
/* The same look without locks, before a change that looks again under them: `last_id` is 0. */
Err place_look(Request *rq, int64_t channel_id, int64_t bits, Place *out) MUST_CHECK;
/* The same verdict over what a statement of one's own has found: type, guild_id and CHANNEL_PERMISSIONS_SQL in the
 * columns from `first` on; no rows: there is no such channel. */
Err place_judge(const DbRows *rows, int first, int64_t bits, Place *out) MUST_CHECK;
Err place_require(const Place *place, int64_t bits) MUST_CHECK;
ChatTopic place_topic(const Place *place);

/* Of channel `c` for a user, both expressions of the statement: NULL for outsiders. */
#define CHANNEL_PERMISSIONS_SQL(c, user)                                                                               \
    "CASE WHEN " c ".guild_id IS NULL"                                                                                 \
    " THEN (SELECT 49155::bigint FROM recipient r WHERE r.channel_id = " c ".id AND r.user_id = " user ")"             \
    " ELSE (SELECT a.permissions FROM channel_access a WHERE a.channel_id = " c ".id AND a.user_id = " user ") END"
