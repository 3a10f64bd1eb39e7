#include "services/media/store_export.h"

#define EXPORT_COLUMNS "i.original_filename, i.object_key, i.size_bytes, i.created_at"

static void read_rows(Request *rq, const DbRows *rows, ExportList *out)
{
    out->count = (size_t)rows->count;
    out->rows = ARENA_ARRAY(rq->mem, ExportRow, out->count + 1);
    for (int i = 0; i < rows->count; i++)
        out->rows[i] = (ExportRow){db_get_cstr(rq->mem, rows, i, 0), db_get_cstr(rq->mem, rows, i, 1),
                                   db_get_int64(rows, i, 2), db_get_time_us(rows, i, 3)};
}

static const char EXPORTED_COLLECTION[] = "SELECT title FROM collection WHERE id = $1 AND owner_id = $2";
static const char EXPORT_COLLECTION[] =
    "SELECT " EXPORT_COLUMNS " FROM collection_item c JOIN item i ON i.id = c.media_id"
    " WHERE c.collection_id = $1 AND i.owner_id = $2 AND i.object_key IS NOT NULL AND i.deleted_at IS NULL"
    " AND (NOT $4 OR i.status = 'ready') ORDER BY c.added_at DESC, c.media_id LIMIT $3::int";

Err media_store_export_collection(Request *rq, int64_t owner_id, Uuid collection_id, bool only_ready, ExportList *out)
{
    CLEANUP(db_rows_done) DbRows found = {0}, rows = {0};

    *out = (ExportList){.title = ""};
    TRY(db_read(rq, EXPORTED_COLLECTION, DB_ARGS(db_uuid(collection_id), db_int64(owner_id)), &found));
    if (!found.count)
        return OK;
    out->there = true;
    out->title = db_get_cstr(rq->mem, &found, 0, 0);
    TRY(db_read(
        rq, EXPORT_COLLECTION,
        DB_ARGS(db_uuid(collection_id), db_int64(owner_id), db_int64(COLLECTION_ITEMS_MAX), db_bool(only_ready)),
        &rows));
    read_rows(rq, &rows, out);
    return OK;
}

static const char EXPORT_ITEMS[] = "SELECT " EXPORT_COLUMNS " FROM item i WHERE i.id = ANY ($1::text[]::uuid[])"
                                   " AND i.owner_id = $2 AND i.object_key IS NOT NULL AND i.deleted_at IS NULL"
                                   " ORDER BY i.id";

Err media_store_export_items(Request *rq, int64_t owner_id, const Uuid *ids, size_t count, ExportList *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice *texts = ARENA_ARRAY(rq->mem, Slice, count + 1);

    for (size_t i = 0; i < count; i++)
        texts[i] = slice(uuid_text(rq->mem, ids[i]));
    *out = (ExportList){.title = "", .there = true};
    TRY(db_read(rq, EXPORT_ITEMS, DB_ARGS(db_text_array(texts, count), db_int64(owner_id)), &rows));
    read_rows(rq, &rows, out);
    return OK;
}
