#include "services/media/store_uploads.h"

#include "shared/lease.h"

#define UPLOAD_COLUMNS                                                                                                 \
    "id, owner_id, media_id, kind, state = 'complete', object_key, blob_state, coalesce(size_bytes, -1), "             \
    "content_type,"                                                                                                    \
    " sha256, title, tus_metadata, tus_concat, reserved_bytes, created_at, expires_at, coalesce(part_bytes, 0)"

static void read_upload(Arena *mem, const DbRows *rows, int row, UploadRow *out)
{
    Slice sha256 = db_get_bytes(rows, row, 9);

    *out = (UploadRow){
        .id = db_get_uuid(rows, row, 0),
        .owner_id = db_get_int64(rows, row, 1),
        .media_id = db_get_uuid(rows, row, 2),
        .kind = db_get_cstr(mem, rows, row, 3),
        .complete = db_get_bool(rows, row, 4),
        .object_key = db_get_cstr(mem, rows, row, 5),
        .blob_state = db_get_cstr(mem, rows, row, 6),
        .size_bytes = db_get_int64(rows, row, 7),
        .content_type = db_get_cstr(mem, rows, row, 8),
        .sha256 = slice_of(arena_memdup(mem, sha256.ptr ? sha256.ptr : "", sha256.len), sha256.len),
        .title = db_get_cstr(mem, rows, row, 10),
        .tus_metadata = db_get_cstr(mem, rows, row, 11),
        .tus_concat = db_get_cstr(mem, rows, row, 12),
        .reserved_bytes = db_get_int64(rows, row, 13),
        .created_us = db_get_time_us(rows, row, 14),
        .expires_us = db_get_time_us(rows, row, 15),
        .part_bytes = db_get_int64(rows, row, 16),
    };
}

static const char INSERT_UPLOAD[] =
    "INSERT INTO upload (id, owner_id, media_id, kind, object_key, blob_state, size_bytes, content_type, sha256, title,"
    " tus_metadata, tus_concat, reserved_bytes, created_at, expires_at, part_bytes)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

Err media_store_insert_upload(DbTx *tx, const UploadRow *row)
{
    return db_exec(tx, INSERT_UPLOAD,
                   DB_ARGS(db_uuid(row->id), db_int64(row->owner_id),
                           uuid_is_nil(row->media_id) ? db_null() : db_uuid(row->media_id), db_text(slice(row->kind)),
                           db_text(slice(row->object_key)), db_text(slice(row->blob_state)),
                           row->size_bytes < 0 ? db_null() : db_int64(row->size_bytes),
                           db_text(slice(row->content_type)), row->sha256.len ? db_bytes(row->sha256) : db_null(),
                           db_text(slice(row->title)), db_text(slice(row->tus_metadata)),
                           db_text(slice(row->tus_concat)), db_int64(row->reserved_bytes), db_time_us(row->created_us),
                           db_time_us(row->expires_us), row->part_bytes > 0 ? db_int64(row->part_bytes) : db_null()));
}

static const char UPLOAD[] = "SELECT " UPLOAD_COLUMNS " FROM upload WHERE id = $1";

Err media_store_upload(Request *rq, Uuid id, UploadRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, UPLOAD, DB_ARGS(db_uuid(id)), &rows));
    *out = (UploadRow){0};
    if (rows.count)
        read_upload(rq->mem, &rows, 0, out);
    return OK;
}

static const char UPLOAD_OF_ITEM[] = "SELECT " UPLOAD_COLUMNS " FROM upload WHERE media_id = $1";

Err media_store_upload_of_item(Request *rq, Uuid media_id, UploadRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, UPLOAD_OF_ITEM, DB_ARGS(db_uuid(media_id)), &rows));
    *out = (UploadRow){0};
    if (rows.count)
        read_upload(rq->mem, &rows, 0, out);
    return OK;
}

static const char UPLOADS_OF_OWNER[] =
    "SELECT " UPLOAD_COLUMNS " FROM upload WHERE owner_id = $1 ORDER BY id LIMIT $2::int";

Err media_store_uploads_of_owner(Request *rq, int64_t owner_id, UploadRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, UPLOADS_OF_OWNER, DB_ARGS(db_int64(owner_id), db_int64(EXPIRED_UPLOADS_MAX)), &rows));
    *out = ARENA_ARRAY(rq->mem, UploadRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_upload(rq->mem, &rows, i, *out + i);
    *out_count = (size_t)rows.count;
    return OK;
}

static const char LOCK_UPLOAD[] = "SELECT " UPLOAD_COLUMNS " FROM upload WHERE id = $1 FOR UPDATE";

Err media_store_lock_upload(DbTx *tx, Arena *mem, Uuid id, UploadRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, LOCK_UPLOAD, DB_ARGS(db_uuid(id)), &rows));
    *out = (UploadRow){0};
    if (rows.count)
        read_upload(mem, &rows, 0, out);
    return OK;
}

static const char SET_UPLOAD_SIZE[] = "UPDATE upload SET size_bytes = $2 WHERE id = $1";

Err media_store_set_upload_size(DbTx *tx, Uuid id, int64_t size_bytes)
{
    return db_exec(tx, SET_UPLOAD_SIZE, DB_ARGS(db_uuid(id), db_int64(size_bytes)));
}

static const char SET_UPLOAD_RESERVED[] = "UPDATE upload SET reserved_bytes = $2 WHERE id = $1";

Err media_store_set_upload_reserved(DbTx *tx, Uuid id, int64_t reserved_bytes)
{
    return db_exec(tx, SET_UPLOAD_RESERVED, DB_ARGS(db_uuid(id), db_int64(reserved_bytes)));
}

static const char MAY_CLAIM_UPLOAD[] =
    "SELECT writer IS NULL OR writer = $2 OR " LEASE_IS_FREE_SQL("'" WRITER_LEASE "' || writer::text") //
    " FROM upload WHERE id = $1 FOR UPDATE";
static const char CLAIM_UPLOAD[] = "UPDATE upload SET writer = $2 WHERE id = $1";

Err media_store_claim_upload(DbTx *tx, Uuid id, Uuid writer, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, MAY_CLAIM_UPLOAD, DB_ARGS(db_uuid(id), db_uuid(writer)), &rows));
    /* One that is gone is nobody's: what the store still has of it may go. */
    *out = !rows.count || db_get_bool(&rows, 0, 0);
    return rows.count && *out ? db_exec(tx, CLAIM_UPLOAD, DB_ARGS(db_uuid(id), db_uuid(writer))) : OK;
}

static const char DISCLAIM_UPLOAD[] = "UPDATE upload SET writer = NULL WHERE id = $1 AND writer = $2";

Err media_store_disclaim_upload(DbTx *tx, Uuid id, Uuid writer)
{
    return db_exec(tx, DISCLAIM_UPLOAD, DB_ARGS(db_uuid(id), db_uuid(writer)));
}

static const char TOUCH_UPLOAD[] =
    "UPDATE upload SET expires_at = $2 WHERE id = $1 AND state = 'open'"
    " AND (media_id IS NULL OR EXISTS (SELECT 1 FROM item WHERE item.id = upload.media_id))";

Err media_store_touch_upload(DbTx *tx, Uuid id, int64_t expires_us)
{
    return db_exec(tx, TOUCH_UPLOAD, DB_ARGS(db_uuid(id), db_time_us(expires_us)));
}

static const char EXPIRE_UPLOAD[] = "UPDATE upload SET expires_at = $2 WHERE id = $1 AND state = 'open'";

Err media_store_expire_upload(DbTx *tx, Uuid id, int64_t now_us)
{
    return db_exec(tx, EXPIRE_UPLOAD, DB_ARGS(db_uuid(id), db_time_us(now_us)));
}

static const char COMPLETE_UPLOAD[] = "UPDATE upload SET state = 'complete', size_bytes = $2, reserved_bytes = $3,"
                                      " expires_at = $4 WHERE id = $1";

Err media_store_complete_upload_row(DbTx *tx, Uuid id, int64_t size_bytes, int64_t reserved_bytes, int64_t expires_us)
{
    return db_exec(tx, COMPLETE_UPLOAD,
                   DB_ARGS(db_uuid(id), db_int64(size_bytes), db_int64(reserved_bytes), db_time_us(expires_us)));
}

static const char DELETE_UPLOAD[] = "DELETE FROM upload WHERE id = $1";

Err media_store_delete_upload(DbTx *tx, Uuid id)
{
    return db_exec(tx, DELETE_UPLOAD, DB_ARGS(db_uuid(id)));
}

static const char DELETE_UNFINISHED_ITEM[] = "DELETE FROM item WHERE id = $1 AND status = 'uploading'";

Err media_store_delete_unfinished_item(DbTx *tx, Uuid media_id)
{
    return db_exec(tx, DELETE_UNFINISHED_ITEM, DB_ARGS(db_uuid(media_id)));
}

static const char EXPIRED_UPLOADS[] = "SELECT " UPLOAD_COLUMNS " FROM upload WHERE expires_at <= $1"
                                      " ORDER BY expires_at LIMIT $2::int";

Err media_store_expired_uploads(DbTx *tx, Arena *mem, int64_t now_us, UploadRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, EXPIRED_UPLOADS, DB_ARGS(db_time_us(now_us), db_int64(EXPIRED_UPLOADS_MAX)), &rows));
    *out = ARENA_ARRAY(mem, UploadRow, rows.count + 1);
    *out_count = (size_t)rows.count;
    for (int i = 0; i < rows.count; i++)
        read_upload(mem, &rows, i, &(*out)[i]);
    return OK;
}

static const char KNOWS_BLOB_STATE[] = "SELECT EXISTS (SELECT 1 FROM upload WHERE blob_state = $1)";

Err media_store_knows_blob_state(DbTx *tx, const char *blob_state, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, KNOWS_BLOB_STATE, DB_ARGS(db_text(slice(blob_state))), &rows));
    *out = db_get_bool(&rows, 0, 0);
    return OK;
}
