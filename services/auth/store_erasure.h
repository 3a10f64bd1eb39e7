/* store_erasure: the statements of erasure. */
#pragma once
#include "services/auth/store_tx.h"

typedef struct ErasureRow {
    Uuid id;
    int64_t user_id, requested_by;      /* the second 0: by himself */
    int64_t requested_us, completed_us; /* the second 0: not yet */
} ErasureRow;
typedef struct ErasureReportRow {
    const char *domain;
    int64_t reported_us, rows; /* the first 0: is waited for */
} ErasureReportRow;

/* Deletes the account, and takes it out of the audit log as an actor; `out_rows` are those of auth that went. Notes the
 * erasure, with what is waited for. */
Err auth_store_erase(DbTx *tx, const ErasureRow *erasure, const Slice *domains, size_t domain_count,
                     int64_t *out_rows) MUST_CHECK;
/* The first report of a domain counts, also of one that was not waited for. False when there is no such erasure. */
Err auth_store_report_erasure(DbTx *tx, Uuid id, const char *domain, int64_t rows, int64_t now_us,
                              bool *out_found) MUST_CHECK;
/* out->id is nil when there is none. Reports by domain, borrowed from rq->mem. */
Err auth_store_erasure(Request *rq, Uuid id, ErasureRow *out, ErasureReportRow **out_reports,
                       size_t *out_count) MUST_CHECK;
/* Not complete, and asked for before that time. */
Err auth_store_count_late_erasures(Request *rq, int64_t before_us, int64_t *out) MUST_CHECK;
