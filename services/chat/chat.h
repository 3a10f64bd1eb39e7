/* chat: the context that handlers get, and the service's limits. */
#pragma once
#include "atrium/chat/v1/chat.atrium.h"
#include "atrium/chat/v1/chat.pb-c.h"
#include "shared/config.h"
#include "shared/outbox.h"
#include "shared/rpc.h"

/* Characters are code points. */
enum {
    GUILD_NAME_MIN_CHARS = 2,
    GUILD_NAME_MAX_CHARS = 100,
    CHANNEL_NAME_MAX_CHARS = 100,
    ROLE_NAME_MAX_CHARS = 100,
    TOPIC_MAX_CHARS = 1024,
    NICKNAME_MAX_CHARS = 32,
    ICON_MAX_CHARS = 64,
    REASON_MAX_CHARS = 512,
    SLOW_MODE_MAX_S = 21600,
    GUILDS_SHOWN_MAX = 1000, /* of one user: as many as CHAT_MAX_GUILDS may be */
    CHANNELS_MAX = 500,      /* of a guild */
    ROLES_MAX = 250,         /* of a guild, @everyone among them */
    INVITES_MAX = 1000,      /* of a guild */
    BANS_PAGE_MAX = 1000,
    MEMBERS_PAGE_MAX = 100,
    MEMBERS_PAGE_DEFAULT = 50,
    MEMBER_QUERY_MAX_CHARS = 64,
    AUDIT_PAGE_MAX = 100,
    AUDIT_PAGE_DEFAULT = 50
};

typedef enum ChannelType {
    CHANNEL_TEXT = 0,
    CHANNEL_DIRECT = 1,
    CHANNEL_VOICE = 2,
    CHANNEL_GROUP = 3,
    CHANNEL_CATEGORY = 4
} ChannelType;

typedef struct ChatSettings {
#define SETTING CONFIG_MEMBER
#include "services/chat/settings.def"
#undef SETTING
} ChatSettings;

/* Made in main.c; read-only while serving. */
typedef struct Chat {
    const ChatSettings *settings;
    IdSource *ids;
    OutboxRelay *outbox;     /* may be NULL: nothing is nudged */
    const struct Live *live; /* of live connections and voice (live.h) */
} Chat;
