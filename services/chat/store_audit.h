/* store_audit: the SQL of the audit log. */
#pragma once
#include "services/chat/audit.h"

typedef struct AuditRow {
    int64_t id, guild_id, user_id, target_id;
    int action;
    const char *reason; /* NULL: none */
    Slice changes;      /* atrium.chat.v1.AuditChanges */
} AuditRow;
Err chat_store_insert_audit(DbTx *tx, const AuditRow *row) MUST_CHECK;
/* Newest first; with `after` alone the oldest of those, still newest first. */
Err chat_store_audit_log(Request *rq, const Chat__V1__ListAuditLogRequest *in, int64_t limit,
                         Chat__V1__AuditLog *out) MUST_CHECK;
