/* store_erasure: see store_erasure.h. */
#include "services/auth/store_erasure.h"

/* ---------------------------------------------------------------------------------------------------- erasing */
static const char FORGET_ACTOR[] = "UPDATE audit_entry SET actor_id = NULL, address = '' WHERE actor_id = $1";

/* Requests for a reset are nobody's, whoever's address they name. */
static const char FORGET_MAIL[] = "DELETE FROM mail m USING account a WHERE a.id = $1"
                                  " AND lower(m.recipient) IN (lower(a.email), lower(a.pending_email))";

/* Everything else of the account goes with its row. */
static const char DELETE_ACCOUNT[] = "DELETE FROM account WHERE id = $1";

static const char INSERT_ERASURE[] =
    "INSERT INTO erasure (id, user_id, requested_by, requested_at, completed_at) VALUES ($1, $2, $3, $4, $5)";

static const char INSERT_REPORTS[] =
    "INSERT INTO erasure_report (erasure_id, domain) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING";

static const char INSERT_OWN_REPORT[] =
    "INSERT INTO erasure_report (erasure_id, domain, reported_at, erased_rows) VALUES ($1, 'auth', $2, $3)";

Err auth_store_erase(DbTx *tx, const ErasureRow *erasure, const Slice *domains, size_t domain_count, int64_t *out_rows)
{
    DbValue id = db_uuid(erasure->id), user_id = db_int64(erasure->user_id);
    int64_t forgotten, mails, deleted;

    TRY(db_exec_count(tx, FORGET_ACTOR, DB_ARGS(user_id), &forgotten));
    TRY(db_exec_count(tx, FORGET_MAIL, DB_ARGS(user_id), &mails));
    TRY(db_exec_count(tx, DELETE_ACCOUNT, DB_ARGS(user_id), &deleted));
    TRY(db_exec(tx, INSERT_ERASURE,
                DB_ARGS(id, user_id, erasure->requested_by ? db_int64(erasure->requested_by) : db_null(),
                        db_time_us(erasure->requested_us),
                        domain_count ? db_null() : db_time_us(erasure->requested_us))));
    TRY(db_exec(tx, INSERT_REPORTS, DB_ARGS(id, db_text_array(domains, domain_count))));
    *out_rows = forgotten + mails + deleted;
    return db_exec(tx, INSERT_OWN_REPORT, DB_ARGS(id, db_time_us(erasure->requested_us), db_int64(*out_rows)));
}

/* ---------------------------------------------------------------------------------------------------- reports */
/* Reports of one erasure come one after the other, so that the last one sees that it is. */
static const char LOCK_ERASURE[] = "SELECT id FROM erasure WHERE id = $1 FOR NO KEY UPDATE";

static const char PUT_REPORT[] =
    "INSERT INTO erasure_report (erasure_id, domain, reported_at, erased_rows) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (erasure_id, domain) DO UPDATE SET reported_at = excluded.reported_at,"
    "  erased_rows = excluded.erased_rows WHERE erasure_report.reported_at IS NULL";

static const char COMPLETE_ERASURE[] =
    "UPDATE erasure SET completed_at = $2 WHERE id = $1 AND completed_at IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM erasure_report WHERE erasure_id = $1 AND reported_at IS NULL)";

Err auth_store_report_erasure(DbTx *tx, Uuid id, const char *domain, int64_t rows, int64_t now_us, bool *out_found)
{
    CLEANUP(db_rows_done) DbRows locked = {0};

    TRY(db_query(tx, LOCK_ERASURE, DB_ARGS(db_uuid(id)), &locked));
    *out_found = locked.count > 0;
    if (locked.count == 0)
        return OK;
    TRY(db_exec(tx, PUT_REPORT, DB_ARGS(db_uuid(id), db_text(slice(domain)), db_time_us(now_us), db_int64(rows))));
    return db_exec(tx, COMPLETE_ERASURE, DB_ARGS(db_uuid(id), db_time_us(now_us)));
}

/* ---------------------------------------------------------------------------------------------------- reading */
static const char SELECT_ERASURE[] =
    "SELECT e.user_id, e.requested_by, e.requested_at, e.completed_at, r.domain, r.reported_at, r.erased_rows"
    " FROM erasure e JOIN erasure_report r ON r.erasure_id = e.id WHERE e.id = $1 ORDER BY r.domain";

Err auth_store_erasure(Request *rq, Uuid id, ErasureRow *out, ErasureReportRow **out_reports, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    ErasureReportRow *reports;

    TRY(db_read(rq, SELECT_ERASURE, DB_ARGS(db_uuid(id)), &rows));
    *out = (ErasureRow){.id = {{0}}};
    if (rows.count > 0)
        *out = (ErasureRow){.id = id,
                            .user_id = db_get_int64(&rows, 0, 0),
                            .requested_by = db_get_int64(&rows, 0, 1),
                            .requested_us = db_get_time_us(&rows, 0, 2),
                            .completed_us = db_get_time_us(&rows, 0, 3)};
    reports = ARENA_ARRAY(rq->mem, ErasureReportRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        reports[i] = (ErasureReportRow){.domain = db_get_cstr(rq->mem, &rows, i, 4),
                                        .reported_us = db_get_time_us(&rows, i, 5),
                                        .rows = db_get_int64(&rows, i, 6)};
    *out_reports = reports;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char COUNT_LATE[] = "SELECT count(*) FROM erasure WHERE completed_at IS NULL AND requested_at < $1";

Err auth_store_count_late_erasures(Request *rq, int64_t before_us, int64_t *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, COUNT_LATE, DB_ARGS(db_time_us(before_us)), &rows));
    *out = db_get_int64(&rows, 0, 0);
    return OK;
}
