/* audit: who did what in a guild, kept with the change and shown to who may manage it. The kinds and the form are those
 * of Discord's log, which clients and bots know. */
#pragma once
#include "atrium/chat/v1/guilds.pb-c.h"
#include "services/chat/chat.h"

typedef enum AuditAction {
    AUDIT_GUILD_UPDATE = 1,
    AUDIT_CHANNEL_CREATE = 10,
    AUDIT_CHANNEL_UPDATE = 11,
    AUDIT_CHANNEL_DELETE = 12,
    AUDIT_OVERRIDE_CREATE = 13,
    AUDIT_OVERRIDE_UPDATE = 14,
    AUDIT_OVERRIDE_DELETE = 15,
    AUDIT_MEMBER_KICK = 20,
    AUDIT_BAN_ADD = 22,
    AUDIT_BAN_REMOVE = 23,
    AUDIT_MEMBER_UPDATE = 24,
    AUDIT_MEMBER_ROLES = 25,
    AUDIT_ROLE_CREATE = 30,
    AUDIT_ROLE_UPDATE = 31,
    AUDIT_ROLE_DELETE = 32,
    AUDIT_INVITE_CREATE = 40,
    AUDIT_INVITE_DELETE = 42,
    AUDIT_MESSAGE_DELETE = 72,
    AUDIT_MESSAGES_DELETE = 73,
    AUDIT_MESSAGE_PIN = 74,
    AUDIT_MESSAGE_UNPIN = 75
} AuditAction;

enum { AUDIT_CHANGES_MAX = 16 };

/* An entry under construction, by the caller of `rq`. */
typedef struct Audit {
    Request *rq;
    AuditAction action;
    int64_t guild_id, target_id; /* target_id 0: none */
    const char *reason;          /* NULL: from the header X-Audit-Log-Reason, if it came */
    Chat__V1__AuditChange *changes[AUDIT_CHANGES_MAX];
    size_t count;
} Audit;

/* One property: nothing when both are the same. NULL is absent. */
void audit_text(Audit *audit, const char *key, const char *before, const char *after);
/* AUDIT_ABSENT: none. */
#define AUDIT_ABSENT INT64_MIN
void audit_number(Audit *audit, const char *key, int64_t before, int64_t after);
/* As text: ids and permissions. 0 is absent. */
void audit_id(Audit *audit, const char *key, int64_t before, int64_t after);
/* INVALID_REASON when a given reason is too long. After the change, in its transaction. */
Err audit_insert(const Audit *audit, DbTx *tx) MUST_CHECK;
/* The same, but nothing when no property has changed. */
Err audit_insert_changes(const Audit *audit, DbTx *tx) MUST_CHECK;
