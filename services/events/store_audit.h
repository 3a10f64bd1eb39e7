/* store_audit: what was done in administration. */
#pragma once
#include "services/events/audit.h"

typedef struct AuditRow {
    Uuid id, actor_key_id; /* the second nil: a person */
    int64_t at_us, actor_id;
    const char *action, *target_kind, *target_id, *request_id;
    Slice before_hash, after_hash; /* empty: none */
} AuditRow;
Err events_store_insert_audit(DbTx *tx, const AuditRow *row) MUST_CHECK;

typedef struct AuditFilter {
    Uuid before;                    /* nil: from the latest on */
    int64_t actor_id;               /* 0: anybody's */
    const char *target_id, *action; /* "" any */
    int64_t limit;
} AuditFilter;
Err events_store_audit(Request *rq, const AuditFilter *filter, AuditRow **out, size_t *out_count) MUST_CHECK;
