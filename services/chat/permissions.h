/* permissions: who may do what (contracts/chat.md section 6). They are resolved in the schema, by the views
 * member_access and channel_access (migrations/0001_guilds.sql), in one statement for each check and without any cache:
 * what a role loses is lost with the next request. Here are the bits, the checks with their outcomes, and the order of
 * roles. */
#pragma once
#include "services/chat/chat.h"

#define PERMISSION_BIT(n) (INT64_C(1) << (n))
#define PERMISSION_VIEW_CHANNEL PERMISSION_BIT(0)
#define PERMISSION_SEND_MESSAGES PERMISSION_BIT(1)
#define PERMISSION_MANAGE_MESSAGES PERMISSION_BIT(2)
#define PERMISSION_MANAGE_CHANNELS PERMISSION_BIT(3)
#define PERMISSION_MANAGE_ROLES PERMISSION_BIT(4)
#define PERMISSION_KICK_MEMBERS PERMISSION_BIT(5)
#define PERMISSION_BAN_MEMBERS PERMISSION_BIT(6)
#define PERMISSION_MANAGE_GUILD PERMISSION_BIT(7)
#define PERMISSION_CONNECT PERMISSION_BIT(8)
#define PERMISSION_SPEAK PERMISSION_BIT(9)
#define PERMISSION_MUTE_MEMBERS PERMISSION_BIT(10)
#define PERMISSION_DEAFEN_MEMBERS PERMISSION_BIT(11)
#define PERMISSION_MOVE_MEMBERS PERMISSION_BIT(12)
#define PERMISSION_MENTION_EVERYONE PERMISSION_BIT(13)
#define PERMISSION_ATTACH_FILES PERMISSION_BIT(14)
#define PERMISSION_READ_MESSAGE_HISTORY PERMISSION_BIT(15)
#define PERMISSION_CREATE_INVITE PERMISSION_BIT(16)
#define PERMISSION_CHANGE_NICKNAME PERMISSION_BIT(17)
#define PERMISSION_MANAGE_NICKNAMES PERMISSION_BIT(18)
#define PERMISSION_ADMINISTRATOR PERMISSION_BIT(31)
#define ALL_PERMISSIONS INT64_MAX
/* What @everyone of a new guild has. */
#define EVERYONE_PERMISSIONS (PERMISSION_VIEW_CHANNEL | PERMISSION_SEND_MESSAGES | PERMISSION_READ_MESSAGE_HISTORY)

/* Who follows which channel, and who is in which voice channel, depends on these: see chat_announce_visibility. */
#define PERMISSIONS_THAT_SHOW (PERMISSION_VIEW_CHANNEL | PERMISSION_CONNECT | PERMISSION_ADMINISTRATOR)

static inline bool permissions_have(int64_t held, int64_t wanted)
{
    return (held & wanted) == wanted;
}
/* As a client sends them: one that computes with 32 bits sends a negative number for ADMINISTRATOR. */
int64_t permissions_from_client(int64_t bits);

/* --- guilds ------------------------------------------------------------------------------------------------------ */
/* Somebody in a guild. */
typedef struct Standing {
    int64_t guild_id; /* 0: there is no such guild */
    int64_t owner_id, user_id;
    bool is_member, is_owner;
    int64_t permissions; /* ALL_PERMISSIONS of owner and administrators; 0 of strangers */
    int highest;         /* position among his assigned roles; -1 when he has none */
} Standing;

/* `tx` may be NULL: then a read of its own. */
Err permissions_standing(Request *rq, DbTx *tx, int64_t guild_id, int64_t user_id, Standing *out) MUST_CHECK;

/* The caller must be a member and have all of `bits` (0: membership suffices). Outsiders are told that there is no such
 * guild: the contract's G1. */
Err permissions_require(Request *rq, DbTx *tx, int64_t guild_id, int64_t bits, Standing *out) MUST_CHECK;
/* … that they are no members: its G2. */
Err permissions_require_open(Request *rq, DbTx *tx, int64_t guild_id, int64_t bits, Standing *out) MUST_CHECK;

/* May he act on what stands at this position? The owner always; others below their highest role. Where `at_least` is 0
 * he who has no role is as one at position 0, as in the routes of roles; -1 where that is no role, as with bans. */
bool standing_is_above(const Standing *who, int position, int at_least);

/* --- channels ---------------------------------------------------------------------------------------------------- */
typedef struct ChannelAccess {
    int64_t id, guild_id; /* guild_id 0: between people */
    int64_t owner_id;     /* of groups */
    ChannelType type;
    int64_t permissions; /* of a recipient of a direct or group channel: ALL_PERMISSIONS */
} ChannelAccess;

/* The channel, if the caller may do all of `bits` in it. NOT_FOUND "channel not found"; of guilds the contract's C:
 * PERMISSION_DENIED for outsiders, MISSING_PERMISSIONS; of direct and group channels PERMISSION_DENIED for who is no
 * recipient. `tx` may be NULL: then a read of its own. */
Err permissions_require_channel(Request *rq, DbTx *tx, int64_t channel_id, int64_t bits, ChannelAccess *out) MUST_CHECK;
