/* store_quota: see store_quota.h. */
#include "services/media/store_quota.h"

static const char MAKE_OWNER[] = "INSERT INTO owner (owner_id) VALUES ($1) ON CONFLICT DO NOTHING";
static const char LOCK_OWNER[] = "SELECT 1 FROM owner WHERE owner_id = $1 FOR UPDATE";

Err media_store_lock_owner(DbTx *tx, int64_t owner_id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, LOCK_OWNER, DB_ARGS(db_int64(owner_id)), &rows));
    if (rows.count > 0)
        return OK;
    TRY(db_exec(tx, MAKE_OWNER, DB_ARGS(db_int64(owner_id))));
    db_rows_done(&rows);
    rows = (DbRows){0};
    return db_query(tx, LOCK_OWNER, DB_ARGS(db_int64(owner_id)), &rows);
}

/* --- the limit -----------------------------------------------------------------------------------------------------
 */
static int64_t default_limit(const Request *rq)
{
    const Media *media = rq->service;

    return media->settings->quota_bytes > 0 ? media->settings->quota_bytes : -1;
}

static Err exceeded(Request *rq, const QuotaRow *quota, int64_t wanted)
{
    Struct *details = struct_new(rq->mem);

    struct_set_number(rq->mem, details, "used", (double)(quota->used_bytes + quota->reserved_bytes));
    struct_set_number(rq->mem, details, "limit", (double)quota->limit_bytes);
    struct_set_number(rq->mem, details, "requested", (double)wanted);
    request_set_details(rq, details);
    return err_make(&QUOTA_EXCEEDED, "storage quota exceeded");
}

#define QUOTA_COLUMNS "o.used_bytes, o.reserved_bytes, coalesce(o.quota_bytes, $2)"

static void read_quota(const DbRows *rows, QuotaRow *out)
{
    *out = (QuotaRow){.used_bytes = db_get_int64(rows, 0, 0),
                      .reserved_bytes = db_get_int64(rows, 0, 1),
                      .limit_bytes = db_get_int64(rows, 0, 2)};
}

static const char SELECT_LOCKED[] = "SELECT " QUOTA_COLUMNS " FROM owner o WHERE o.owner_id = $1 FOR UPDATE";

static Err lock_quota(Request *rq, DbTx *tx, int64_t owner_id, QuotaRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(media_store_lock_owner(tx, owner_id));
    TRY(db_query(tx, SELECT_LOCKED, DB_ARGS(db_int64(owner_id), db_int64(default_limit(rq))), &rows));
    read_quota(&rows, out);
    return OK;
}

static bool fits(const QuotaRow *quota, int64_t more)
{
    return quota->limit_bytes < 0 || more <= quota->limit_bytes - quota->used_bytes - quota->reserved_bytes;
}

static const char UPDATE_OWNER[] =
    "UPDATE owner SET used_bytes = greatest(used_bytes + $2, 0), reserved_bytes = greatest(reserved_bytes + $3, 0)"
    " WHERE owner_id = $1";

static Err change(DbTx *tx, int64_t owner_id, int64_t used, int64_t reserved)
{
    return db_exec(tx, UPDATE_OWNER, DB_ARGS(db_int64(owner_id), db_int64(used), db_int64(reserved)));
}

Err media_store_reserve(Request *rq, DbTx *tx, int64_t owner_id, int64_t delta_bytes)
{
    QuotaRow quota;

    TRY(lock_quota(rq, tx, owner_id, &quota));
    if (delta_bytes > 0 && !fits(&quota, delta_bytes))
        return exceeded(rq, &quota, delta_bytes);
    return change(tx, owner_id, 0, delta_bytes);
}

Err media_store_settle(Request *rq, DbTx *tx, int64_t owner_id, int64_t reserved_bytes, int64_t used_bytes)
{
    QuotaRow quota;

    TRY(lock_quota(rq, tx, owner_id, &quota));
    if (used_bytes > reserved_bytes && !fits(&quota, used_bytes - reserved_bytes))
        return exceeded(rq, &quota, used_bytes);
    return change(tx, owner_id, used_bytes, -reserved_bytes);
}

Err media_store_release(DbTx *tx, int64_t owner_id, int64_t used_bytes)
{
    return change(tx, owner_id, -used_bytes, 0);
}

/* --- told and set --------------------------------------------------------------------------------------------------
 */
static const char SELECT_QUOTA[] =
    "SELECT " QUOTA_COLUMNS ", (SELECT coalesce(sum(items), 0)::bigint FROM shelf WHERE owner_id = $1)"
    " FROM owner o WHERE o.owner_id = $1";

Err media_store_quota(Request *rq, int64_t owner_id, QuotaRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SELECT_QUOTA, DB_ARGS(db_int64(owner_id), db_int64(default_limit(rq))), &rows));
    if (rows.count == 0) {
        *out = (QuotaRow){.limit_bytes = default_limit(rq)};
        return OK;
    }
    read_quota(&rows, out);
    out->item_count = db_get_int64(&rows, 0, 3);
    return OK;
}

static const char SET_QUOTA[] = "UPDATE owner SET quota_bytes = $2 WHERE owner_id = $1";

Err media_store_set_quota(DbTx *tx, int64_t owner_id, int64_t limit_bytes)
{
    TRY(media_store_lock_owner(tx, owner_id));
    return db_exec(tx, SET_QUOTA, DB_ARGS(db_int64(owner_id), limit_bytes < 0 ? db_null() : db_int64(limit_bytes)));
}
