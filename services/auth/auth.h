/* auth: the context that handlers get, and the service's limits. */
#pragma once
#include "atrium/auth/v1/auth.pb-c.h"
#include "atrium/auth/v1/auth.service.h"
#include "atrium/auth/v1/factor.atrium.h"
#include "services/auth/breach.h"
#include "shared/aside.h"
#include "shared/config.h"
#include "shared/jwt.h"
#include "shared/outbox.h"
#include "shared/rpc.h"

enum {
    USERNAME_MIN_CHARS = 2,
    USERNAME_MAX_CHARS = 32,
    DISPLAY_NAME_MAX_CHARS = 32,
    AVATAR_MAX_CHARS = 64,
    EMAIL_MAX_BYTES = 254,
    /* Hashing takes its time with every byte. */
    PASSWORD_MAX_BYTES = 1024,
    LOGIN_LIST_MAX = 100,
    USER_AGENT_MAX_BYTES = 256,
    DUMMY_HASH_BYTES = 128
};

typedef struct AuthSettings {
#define SETTING CONFIG_MEMBER
#include "services/auth/settings.def"
#undef SETTING
} AuthSettings;

/* Made in main.c; read-only while serving. */
typedef struct Auth {
    const AuthSettings *settings;
    Breach *breach; /* NULL: no password is known to have leaked */
    const JwtKey *key;
    IdSource *ids;
    struct SigningKeys *signing; /* NULL: HS256 by `key` */
    OutboxRelay *outbox;         /* may be NULL: nothing is nudged */
    struct Providers *providers; /* whom one can sign in with here */
    Aside *aside;                /* where passwords are hashed; NULL: in this process */
    /* Of no password: checked when there is no account, so that both take the same time. */
    char dummy_hash[DUMMY_HASH_BYTES];
} Auth;

/* Whose auth answers a profile has. */
typedef enum Manner { MANNER_BOTH, MANNER_CHAT, MANNER_SESSIONS } Manner;
Manner manner_of(const Request *rq);
/* Chat's browser client never takes over the new refresh token (contracts/chat.md section 3). */
bool profile_keeps_refresh_token(const Request *rq);
