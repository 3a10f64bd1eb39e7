/* store_live: SQL of connections, presence, and of what READY and resumed sessions follow. */
#pragma once
#include "atrium/chat/v1/attachments.pb-c.h"
#include "atrium/chat/v1/gateway.pb-c.h"
#include "services/chat/chat.h"
#include "services/chat/presence.h"

/* --- connections ------------------------------------------------------------------------------------------------- */
Err chat_store_put_connection(DbTx *tx, const char *name, const char *edge, int64_t user_id, Status status) MUST_CHECK;
/* `out_user_id` 0: it was not there. */
Err chat_store_drop_connection(DbTx *tx, const char *name, int64_t *out_user_id) MUST_CHECK;
Err chat_store_connection_user(DbTx *tx, const char *name, int64_t *out_user_id) MUST_CHECK;
Err chat_store_connection_known(Request *rq, const char *name, bool *out) MUST_CHECK;
Err chat_store_renew_edge(DbTx *tx, const char *edge, int64_t lease_ms) MUST_CHECK;
/* Edges whose lease is over; their connections end. `out_users`: whose they were, borrowed from `mem`;
 * PRESENCE_SWEEP_MAX connections at most in one call. */
Err chat_store_end_edges(DbTx *tx, Arena *mem, int64_t **out_users, size_t *out_count) MUST_CHECK;

/* --- presence ---------------------------------------------------------------------------------------------------- */
Err chat_store_presence(DbTx *tx, int64_t user_id, bool *out_stands, Status *out_shown) MUST_CHECK;
/* From his connections anew, under his lock. */
Err chat_store_refresh_presence(DbTx *tx, int64_t user_id, Status *out_was, Status *out_is) MUST_CHECK;
/* Under his lock: the row goes, when his grace is over and he has no connection; else `out_ended` is false. */
Err chat_store_end_presence(DbTx *tx, int64_t user_id, bool *out_ended, Status *out_was) MUST_CHECK;
Err chat_store_due_presences(DbTx *tx, Arena *mem, int64_t **out_users, size_t *out_count) MUST_CHECK;

/* A row for each guild that is told, and each connected user there who is not, because he shares an earlier guild (0:
 * none); by guild. */
typedef struct PresenceAudience {
    int64_t guild_id, except_user_id;
} PresenceAudience;
Err chat_store_presence_audience(DbTx *tx, Arena *mem, int64_t user_id, PresenceAudience **out,
                                 size_t *out_count) MUST_CHECK;

/* --- what a session follows and begins with -------------------------------------------------------------------------
 */
enum {
    SESSION_GUILDS_MAX = 1000,
    SESSION_CHANNELS_MAX = 15000,
    SESSION_DMS_MAX = 2000,
    SESSION_PRESENCES_MAX = 1000,
    PRIMER_ROWS_MAX = 3000 /* of one piece; a guild alone may be more: it has ROLES_MAX roles, CHANNELS_MAX channels */
};

typedef struct SessionPresence {
    int64_t user_id;
    Status status;
} SessionPresence;
typedef struct SessionChannel {
    int64_t guild_id, id;
} SessionChannel;
typedef struct SessionView {
    int64_t *guilds;
    size_t guild_count;
    SessionChannel *channels; /* of guilds, that he may view */
    size_t channel_count;
    int64_t *dms;
    size_t dm_count;
    SessionPresence *presences; /* of others who share a guild with him and are not offline */
    size_t presence_count;
} SessionView;
/* One statement. Of guilds and direct channels no more than SESSION_…_MAX, the newest direct ones; one channel more
 * than SESSION_CHANNELS_MAX says that there are too many. Without `whole` only what a session follows: guilds,
 * channels, direct channels. */
Err chat_store_session_view(Request *rq, int64_t user_id, bool whole, SessionView *out) MUST_CHECK;

/* --- who may view what ----------------------------------------------------------------------------------------------
 */
typedef struct ChannelView {
    int64_t channel_id;
    bool sees;
} ChannelView;
/* Who is in a guild. */
Err chat_store_member_ids(DbTx *tx, Arena *mem, int64_t guild_id, int64_t **out, size_t *out_count) MUST_CHECK;

/* Of one member, each channel of the guild or one of them; nothing when he is no member. */
Err chat_store_channel_views(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, int64_t user_id,
                             ChannelView **out, size_t *out_count) MUST_CHECK;
typedef struct ChannelAudience {
    int64_t channel_id;
    bool mostly;          /* most members see it: `users` are those who do not; else those who do */
    const int64_t *users; /* ascending */
    size_t user_count;
} ChannelAudience;
/* Of all members, each channel of the guild or one of them. */
Err chat_store_audience(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, ChannelAudience **out,
                        size_t *out_count) MUST_CHECK;
Err chat_store_guild_of(DbTx *tx, Arena *mem, int64_t guild_id, Chat__V1__Guild *out) MUST_CHECK;

/* --- what the browser client is primed with ------------------------------------------------------------------------
 */
typedef struct Primer {
    Chat__V1__Role **roles; /* of all guilds asked for */
    size_t role_count;
    Chat__V1__Member **members; /* the user's own membership of each */
    size_t member_count;
    int64_t *channels; /* that he may view; behind the last guild, direct ones too */
    size_t channel_count;
    bool more; /* there are guilds above last_guild */
    int64_t last_guild;
} Primer;
/* Of one guild of the user; or, with guild_id 0, of those above `after`: as many as make PRIMER_ROWS_MAX, one at least.
 * One statement: in the transaction or, without one, a read of the request. */
Err chat_store_primer(Request *rq, DbTx *tx, Arena *mem, int64_t user_id, int64_t guild_id, int64_t after,
                      Primer *out) MUST_CHECK;

/* --- pictures ------------------------------------------------------------------------------------------------------
 */
/* No name when there is none. */
Err chat_store_avatar(Request *rq, int64_t user_id, Chat__V1__Picture *out) MUST_CHECK;
Err chat_store_icon(Request *rq, int64_t guild_id, Chat__V1__Picture *out) MUST_CHECK;

Err chat_store_live_secret(Db *db, uint8_t out[32]) MUST_CHECK;
