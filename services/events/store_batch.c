/* store_batch: see store_batch.h. */
#include "services/events/store_batch.h"

#include "shared/db_later.h"

static const char INSERT_BATCH[] =
    "WITH b AS (INSERT INTO batch (id, item_count, submitter_key, submitter_user, submitter_name, submitter_edits, "
    "    submitted_at) VALUES ($1, $2::int8::int, $3, $4, $5, $6, $7) RETURNING id, number), "
    "items AS (INSERT INTO batch_item (batch_id, position, payload) "
    "  SELECT b.id, p.n - 1, p.payload FROM b, unnest($8::text[]) WITH ORDINALITY AS p (payload, n)) "
    "SELECT number FROM b";

Err batch_store_insert(DbTx *tx, BatchRow *row, const Slice *payloads, int64_t now_us)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, INSERT_BATCH,
                 DB_ARGS(db_uuid(row->id), db_int64((int64_t)row->item_count), db_text(slice(row->by.key_id)),
                         db_int64(row->by.user_id), db_text(slice(row->by.name)), db_bool(row->by.admin),
                         db_time_us(now_us), db_text_array(payloads, row->item_count)),
                 &rows));
    row->number = db_get_int64(&rows, 0, 0);
    return OK;
}

static const char STATUS[] =
    "SELECT b.number, b.completed_at, b.item_count, coalesce(i.status, ''), i.event_id, i.review, i.error "
    "FROM batch b JOIN batch_item i ON i.batch_id = b.id WHERE b.id = $1 ORDER BY i.position";

Err batch_store_status(Request *rq, Uuid id, bool *out_found, BatchRow *out, BatchItem **out_items)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, STATUS, DB_ARGS(db_uuid(id)), &rows));
    *out_found = rows.count > 0;
    if (!*out_found)
        return OK;
    *out = (BatchRow){.id = id,
                      .number = db_get_int64(&rows, 0, 0),
                      .completed_us = db_get_time_us(&rows, 0, 1),
                      .item_count = (size_t)rows.count};
    *out_items = ARENA_ARRAY(rq->mem, BatchItem, rows.count);
    for (int i = 0; i < rows.count; i++)
        (*out_items)[i] = (BatchItem){.status = db_get_cstr(rq->mem, &rows, i, 3),
                                      .event = db_get_uuid(&rows, i, 4),
                                      .review = db_get_bool(&rows, i, 5),
                                      .error = db_get_cstr(rq->mem, &rows, i, 6)};
    return OK;
}

static const char COMPLETED[] = "SELECT FROM batch WHERE id = $1 AND completed_at IS NOT NULL";

Err batch_store_completed(Request *rq, Uuid id, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, COMPLETED, DB_ARGS(db_uuid(id)), &rows));
    *out = rows.count > 0;
    return OK;
}

/* --- working off ------------------------------------------------------------------------------------------------- */
static const char WAITING[] =
    "SELECT position FROM batch_item WHERE batch_id = $1 AND status IS NULL ORDER BY position";

Err batch_store_waiting(Db *db, int64_t timeout_ms, Uuid id, int out[BATCH_MAX_ITEMS], size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read_with(db, timeout_ms, WAITING, DB_ARGS(db_uuid(id)), &rows));
    *out_count = MIN((size_t)rows.count, (size_t)BATCH_MAX_ITEMS);
    for (size_t i = 0; i < *out_count; i++)
        out[i] = (int)db_get_int64(&rows, (int)i, 0);
    return OK;
}

/* By its key: to look for the first that waits reads all that do, item after item. */
static const char TAKE[] = "SELECT i.payload, b.submitter_key, b.submitter_user, b.submitter_name, b.submitter_edits "
                           "FROM batch_item i JOIN batch b ON b.id = i.batch_id WHERE i.batch_id = $1 "
                           "AND i.position = $2::int8::int AND i.status IS NULL FOR UPDATE OF i SKIP LOCKED";

Err batch_store_take(DbTx *tx, Arena *mem, Uuid id, int position, bool *out_taken, Slice *out_payload,
                     Submitter *out_by)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, TAKE, DB_ARGS(db_uuid(id), db_int64(position)), &rows));
    *out_taken = rows.count > 0;
    if (rows.count == 0)
        return OK;
    *out_payload = slice(db_get_cstr(mem, &rows, 0, 0));
    *out_by = (Submitter){.key_id = db_get_cstr(mem, &rows, 0, 1),
                          .user_id = db_get_int64(&rows, 0, 2),
                          .name = db_get_cstr(mem, &rows, 0, 3),
                          .admin = db_get_bool(&rows, 0, 4)};
    return OK;
}

static const char FINISH_ITEM[] =
    "UPDATE batch_item SET status = $3, event_id = $4, review = $5, error = $6, payload = '' "
    "WHERE batch_id = $1 AND position = $2::int8::int AND status IS NULL"; /* first come, first kept */

Err batch_store_finish_item(DbTx *tx, Uuid id, int position, const BatchItem *item)
{
    return db_exec_later(tx, FINISH_ITEM,
                         DB_ARGS(db_uuid(id), db_int64(position), db_text(slice(item->status)),
                                 uuid_is_nil(item->event) ? db_null() : db_uuid(item->event), db_bool(item->review),
                                 db_text(slice(item->error))));
}

static const char COMPLETE[] = "UPDATE batch SET completed_at = coalesce(completed_at, $2) WHERE id = $1 "
                               "AND NOT EXISTS (SELECT FROM batch_item i WHERE i.batch_id = $1 AND i.status IS NULL)";

Err batch_store_complete(DbTx *tx, Uuid id, int64_t now_us, bool *out_done)
{
    int64_t rows = 0;

    TRY(db_exec_count(tx, COMPLETE, DB_ARGS(db_uuid(id), db_time_us(now_us)), &rows));
    *out_done = rows > 0;
    return OK;
}

static const char STRANDED[] =
    "UPDATE batch SET handed_at = $2 WHERE id IN (SELECT id FROM batch WHERE completed_at IS NULL"
    "  AND coalesce(handed_at, submitted_at) < $1 ORDER BY submitted_at LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id";

Err batch_store_stranded(DbTx *tx, Arena *mem, int64_t before_us, int64_t now_us, int64_t limit, Uuid **out,
                         size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, STRANDED, DB_ARGS(db_time_us(before_us), db_time_us(now_us), db_int64(limit)), &rows));
    *out = ARENA_ARRAY(mem, Uuid, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = db_get_uuid(&rows, i, 0);
    *out_count = (size_t)rows.count;
    return OK;
}
