/* store_audit: see store_audit.h. */
#include "services/events/store_audit.h"

static DbValue bytes_or_null(Slice bytes)
{
    return bytes.len ? db_bytes(bytes) : db_null();
}

static const char INSERT_AUDIT[] =
    "INSERT INTO audit_entry (id, at, actor_id, actor_key_id, action, target_kind, target_id, before_hash, after_hash,"
    " request_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

Err events_store_insert_audit(DbTx *tx, const AuditRow *row)
{
    return db_exec(tx, INSERT_AUDIT,
                   DB_ARGS(db_uuid(row->id), db_time_us(row->at_us), db_int64(row->actor_id),
                           uuid_is_nil(row->actor_key_id) ? db_null() : db_uuid(row->actor_key_id),
                           db_text(slice(row->action)), db_text(slice(row->target_kind)),
                           db_text(slice(row->target_id)), bytes_or_null(row->before_hash),
                           bytes_or_null(row->after_hash), db_text(slice(row->request_id))));
}

/* The three conditions that are not set hold for all: the planner sees their values. */
static const char AUDIT[] =
    "SELECT id, at, actor_id, actor_key_id, action, target_kind, target_id, before_hash, after_hash, request_id"
    " FROM audit_entry WHERE ($1::uuid IS NULL OR id < $1) AND ($2::bigint = 0 OR actor_id = $2)"
    " AND ($3::text = '' OR target_id = $3) AND ($4::text = '' OR action = $4) ORDER BY id DESC LIMIT $5";

Err events_store_audit(Request *rq, const AuditFilter *filter, AuditRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, AUDIT,
                DB_ARGS(uuid_is_nil(filter->before) ? db_null() : db_uuid(filter->before), db_int64(filter->actor_id),
                        db_text(slice(filter->target_id)), db_text(slice(filter->action)), db_int64(filter->limit)),
                &rows));
    *out = ARENA_ARRAY(rq->mem, AuditRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        Slice before = db_get_bytes(&rows, i, 7), after = db_get_bytes(&rows, i, 8);

        (*out)[i] = (AuditRow){.id = db_get_uuid(&rows, i, 0),
                               .at_us = db_get_time_us(&rows, i, 1),
                               .actor_id = db_get_int64(&rows, i, 2),
                               .actor_key_id = db_get_uuid(&rows, i, 3),
                               .action = db_get_cstr(rq->mem, &rows, i, 4),
                               .target_kind = db_get_cstr(rq->mem, &rows, i, 5),
                               .target_id = db_get_cstr(rq->mem, &rows, i, 6),
                               .before_hash = slice_of(arena_memdup(rq->mem, before.ptr, before.len), before.len),
                               .after_hash = slice_of(arena_memdup(rq->mem, after.ptr, after.len), after.len),
                               .request_id = db_get_cstr(rq->mem, &rows, i, 9)};
    }
    *out_count = (size_t)rows.count;
    return OK;
}
