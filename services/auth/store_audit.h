/* store_audit: the statements on the audit log. */
#pragma once
#include "services/auth/audit.h"

typedef struct AuditRow {
    Uuid id, actor_key_id;   /* the second nil: no API key */
    Uuid login_id;           /* of one that is stored: whose impersonator, if there is one, is the actor; may be nil */
    int64_t at_us, actor_id; /* the second 0: nobody that there is */
    const char *action, *target_kind, *target_id, *detail, *address, *request_id;
} AuditRow;
Err auth_store_insert_audit(DbTx *tx, const AuditRow *row) MUST_CHECK;

typedef struct AuditFilter {
    const char *action, *target_id; /* NULL: any */
    int64_t actor_id;               /* 0: any */
    int64_t concerned_id;           /* 0: any; of a user, as actor or target */
    Uuid before;                    /* nil: from the latest on */
    int64_t limit;
} AuditFilter;
/* The latest first; `*out` is borrowed from rq->mem. */
Err auth_store_list_audit(Request *rq, const AuditFilter *filter, AuditRow **out, size_t *out_count) MUST_CHECK;
