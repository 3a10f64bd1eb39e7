/* store_processing: see store_processing.h. */
#include "services/media/store_processing.h"

#include "services/media/store_items.h"

static const char SELECT_PROCESSING[] =
    "SELECT media_id, generation, state, step, progress, attempt, error_code, error_message, error_retryable,"
    " updated_at, version FROM processing WHERE media_id = $1";

Err media_store_processing(Request *rq, DbTx *tx, const ItemRow *item, ProcessingRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Uuid id = uuid_is_nil(item->leader_id) ? item->id : item->leader_id;

    *out = (ProcessingRow){.generation = 0};
    TRY(tx ? db_query(tx, SELECT_PROCESSING, DB_ARGS(db_uuid(id)), &rows)
           : db_read(rq, SELECT_PROCESSING, DB_ARGS(db_uuid(id)), &rows));
    if (rows.count > 0)
        *out = (ProcessingRow){.media_id = db_get_uuid(&rows, 0, 0),
                               .generation = db_get_int64(&rows, 0, 1),
                               .state = db_get_cstr(rq->mem, &rows, 0, 2),
                               .step = db_get_cstr(rq->mem, &rows, 0, 3),
                               .progress = (int32_t)db_get_int64(&rows, 0, 4),
                               .attempt = (int32_t)db_get_int64(&rows, 0, 5),
                               .error_code = db_get_cstr(rq->mem, &rows, 0, 6),
                               .error_message = db_get_cstr(rq->mem, &rows, 0, 7),
                               .error_retryable = db_get_bool(&rows, 0, 8),
                               .updated_us = db_get_time_us(&rows, 0, 9),
                               .version = db_get_int64(&rows, 0, 10)};
    return OK;
}

static const char BEGIN_PROCESSING[] =
    "INSERT INTO processing AS p (media_id, generation, state, updated_at) VALUES ($1, $2, 'pending', $3)"
    " ON CONFLICT (media_id) DO UPDATE SET generation = $2, job_id = NULL, state = 'pending', step = '', progress = 0,"
    " attempt = 0, error_code = NULL, error_message = NULL, error_retryable = NULL, updated_at = $3,"
    " version = p.version + 1";

Err media_store_begin_processing(DbTx *tx, Uuid media_id, int64_t generation, int64_t now_us)
{
    return db_exec(tx, BEGIN_PROCESSING, DB_ARGS(db_uuid(media_id), db_int64(generation), db_time_us(now_us)));
}

static const char CANCEL_PROCESSING[] =
    "UPDATE processing SET state = 'failed', error_code = 'cancelled', error_message = 'processing was cancelled',"
    " error_retryable = true, updated_at = $2, version = version + 1"
    " WHERE media_id = $1 AND state IN ('pending', 'processing')";

Err media_store_cancel_processing(DbTx *tx, Uuid media_id, int64_t now_us, bool *out_ended)
{
    int64_t count;

    TRY(db_exec_count(tx, CANCEL_PROCESSING, DB_ARGS(db_uuid(media_id), db_time_us(now_us)), &count));
    *out_ended = count > 0;
    return OK;
}

/* --- what transcode tells ---------------------------------------------------------------------------------------- */
/* An operator's requeue begins a failed one again; a cancelled one stays so. */
static const char STARTED[] =
    "UPDATE processing SET state = 'processing', job_id = $3, attempt = $4, step = '', progress = 0, error_code = NULL,"
    " error_message = NULL, error_retryable = NULL, updated_at = $5, version = version + 1"
    " WHERE media_id = $1 AND generation = $2 AND $4 > attempt"
    " AND (state IN ('pending', 'processing') OR (state = 'failed' AND error_code <> 'cancelled'))";
static const char ITEMS_PROCESSING[] =
    "UPDATE item SET status = 'processing', failure_code = NULL, failure_message = NULL, failure_retryable = NULL"
    " WHERE (id = $1 OR leader_id = $1) AND status IN ('queued', 'failed')";

Err media_store_started(DbTx *tx, Arena *mem, Uuid media_id, int64_t generation, const char *job_id, int32_t attempt,
                        int64_t now_us)
{
    int64_t count;
    ItemRow item;

    TRY(media_store_lock_item(tx, mem, media_id, &item));
    if (item.generation != generation || item.deleted_us)
        return OK;
    TRY(db_exec_count(
        tx, STARTED,
        DB_ARGS(db_uuid(media_id), db_int64(generation), db_text(slice(job_id)), db_int64(attempt), db_time_us(now_us)),
        &count));
    return count > 0 ? db_exec(tx, ITEMS_PROCESSING, DB_ARGS(db_uuid(media_id))) : OK;
}

static const char PROGRESSED[] =
    "UPDATE processing SET step = coalesce($4, step), progress = greatest(progress, least(greatest($5::int, 0), 100)),"
    " updated_at = $6, version = version + 1"
    " WHERE media_id = $1 AND generation = $2 AND attempt = $3 AND state = 'processing'";

Err media_store_progressed(DbTx *tx, Uuid media_id, int64_t generation, int32_t attempt, const char *step,
                           int32_t progress, int64_t now_us)
{
    return db_exec(tx, PROGRESSED,
                   DB_ARGS(db_uuid(media_id), db_int64(generation), db_int64(attempt), db_text_or_null(step),
                           db_int64(progress), db_time_us(now_us)));
}

static const char PUT_ASSET[] =
    "INSERT INTO asset (media_id, generation, name, kind, key, content_type, size_bytes, width, height, codecs, "
    "language,"
    " is_default, is_forced)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8, 0)::int, nullif($9, 0)::int, nullif($10, ''), nullif($11, ''), "
    "$12, $13)"
    " ON CONFLICT (media_id, generation, name) DO UPDATE SET kind = $4, key = $5, content_type = $6, size_bytes = $7,"
    " width = nullif($8, 0)::int, height = nullif($9, 0)::int, codecs = nullif($10, ''), language = nullif($11, ''),"
    " is_default = $12, is_forced = $13";

static Err put_assets(DbTx *tx, const FinishedRow *row)
{
    for (size_t i = 0; i < row->asset_count; i++) {
        const AssetRow *a = &row->assets[i];

        TRY(db_exec(tx, PUT_ASSET,
                    DB_ARGS(db_uuid(row->media_id), db_int64(row->generation), db_text(slice(a->name)),
                            db_text(slice(a->kind)), db_text(slice(a->key)), db_text(slice(a->content_type)),
                            db_int64(a->size_bytes), db_int64(a->width), db_int64(a->height), db_text(slice(a->codecs)),
                            db_text(slice(a->language)), db_bool(a->is_default), db_bool(a->is_forced))));
    }
    return OK;
}

/* They are ours since they were told of, and nobody will ask for them. */
static Err discard_assets(DbTx *tx, const FinishedRow *row, int64_t now_us)
{
    for (size_t i = 0; i < row->asset_count; i++)
        TRY(media_store_discard(tx, row->assets[i].key, now_us));
    return OK;
}

static const char COMPLETED[] =
    "UPDATE processing SET state = 'completed', progress = 100, attempt = greatest(attempt, $3::int), error_code = "
    "NULL,"
    " error_message = NULL, error_retryable = NULL, updated_at = $4, version = version + 1"
    " WHERE media_id = $1 AND generation = $2"
    " AND (state IN ('pending', 'processing') OR (state = 'failed' AND error_code <> 'cancelled'))";

static const char INSERT_RENDITION[] = "INSERT INTO rendition (media_id, generation, refs)"
                                       " SELECT $1, $2, count(*) FROM item WHERE id = $1 OR leader_id = $1";

static const char LIST_PLAYED[] =
    "SELECT rendition_media_id, rendition_generation FROM item"
    " WHERE (id = $1 OR leader_id = $1) AND rendition_media_id IS NOT NULL ORDER BY ordinal";

static const char BE_READY[] =
    "UPDATE item SET status = 'ready', leader_id = NULL, rendition_media_id = $1, rendition_generation = $2,"
    " mime_type = CASE WHEN $3 = '' THEN mime_type ELSE $3 END, width = nullif($4, 0)::int, height = nullif($5, "
    "0)::int,"
    " duration_ms = CASE WHEN $6 < 0 THEN NULL ELSE $6 END, thumbhash = nullif($7, ''), warnings = $8,"
    " failure_code = NULL, failure_message = NULL, failure_retryable = NULL WHERE id = $1 OR leader_id = $1";

enum { WARNINGS_MAX = 20 };

static DbValue words_array(Arena *mem, char **words, size_t count)
{
    size_t kept = MIN(count, (size_t)WARNINGS_MAX);
    Slice *list = ARENA_ARRAY(mem, Slice, kept + 1);

    for (size_t i = 0; i < kept; i++)
        list[i] = slice(words[i]);
    return db_text_array(list, kept);
}

static Err play(DbTx *tx, Arena *mem, const FinishedRow *row, int64_t now_us)
{
    CLEANUP(db_rows_done) DbRows before = {0};

    TRY(db_query(tx, LIST_PLAYED, DB_ARGS(db_uuid(row->media_id)), &before));
    TRY(db_exec(tx, INSERT_RENDITION, DB_ARGS(db_uuid(row->media_id), db_int64(row->generation))));
    TRY(put_assets(tx, row));
    TRY(db_exec(tx, BE_READY,
                DB_ARGS(db_uuid(row->media_id), db_int64(row->generation), db_text(slice(row->mime_type)),
                        db_int64(row->width), db_int64(row->height), db_int64(row->duration_ms),
                        db_text(slice(row->thumbhash)), words_array(mem, row->warnings, row->warning_count))));
    for (int i = 0; i < before.count; i++)
        TRY(media_store_drop_rendition(tx, mem, db_get_uuid(&before, i, 0), db_get_int64(&before, i, 1), now_us));
    return OK;
}

static const char HAVE_RENDITION[] = "SELECT 1 FROM rendition WHERE media_id = $1 AND generation = $2";

Err media_store_finished(DbTx *tx, Arena *mem, const FinishedRow *row, int64_t now_us)
{
    CLEANUP(db_rows_done) DbRows known = {0};
    int64_t count = 0;
    ItemRow item;

    TRY(media_store_lock_item(tx, mem, row->media_id, &item));
    TRY(db_query(tx, HAVE_RENDITION, DB_ARGS(db_uuid(row->media_id), db_int64(row->generation)), &known));
    if (known.count > 0)
        return OK; /* told twice */
    if (item.generation == row->generation && !item.deleted_us)
        TRY(db_exec_count(
            tx, COMPLETED,
            DB_ARGS(db_uuid(row->media_id), db_int64(row->generation), db_int64(row->attempt), db_time_us(now_us)),
            &count));
    return count > 0 ? play(tx, mem, row, now_us) : discard_assets(tx, row, now_us);
}

static const char LOCK_RENDITION[] = "SELECT 1 FROM rendition WHERE media_id = $1 AND generation = $2 FOR UPDATE";
static const char ADD_WARNINGS[] =
    "UPDATE item SET warnings = (warnings || $3)[1:20]"
    " WHERE rendition_media_id = $1 AND rendition_generation = $2 AND NOT warnings @> $3";

Err media_store_extended(DbTx *tx, Arena *mem, const FinishedRow *row, int64_t now_us)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    ItemRow item;

    TRY(media_store_lock_item(tx, mem, row->media_id, &item));
    TRY(db_query(tx, LOCK_RENDITION, DB_ARGS(db_uuid(row->media_id), db_int64(row->generation)), &rows));
    if (rows.count == 0)
        return discard_assets(tx, row, now_us);
    TRY(put_assets(tx, row));
    if (row->warning_count == 0)
        return OK;
    return db_exec(tx, ADD_WARNINGS,
                   DB_ARGS(db_uuid(row->media_id), db_int64(row->generation),
                           words_array(mem, row->warnings, row->warning_count)));
}

static const char FAILED[] =
    "UPDATE processing SET state = 'failed', attempt = greatest(attempt, $3::int), error_code = $4, error_message = $5,"
    " error_retryable = $6, updated_at = $7, version = version + 1"
    " WHERE media_id = $1 AND generation = $2 AND state IN ('pending', 'processing')";
static const char ITEMS_FAILED[] = "UPDATE item SET status = 'failed', leader_id = NULL, failure_code = $2, "
                                   "failure_message = $3, failure_retryable = $4"
                                   " WHERE (id = $1 OR leader_id = $1) AND status IN ('queued', 'processing')";

Err media_store_failed(DbTx *tx, Arena *mem, Uuid media_id, int64_t generation, int32_t attempt, const char *code,
                       const char *message, bool retryable, int64_t now_us)
{
    int64_t count;
    ItemRow item;

    TRY(media_store_lock_item(tx, mem, media_id, &item));
    if (item.generation != generation)
        return OK;
    TRY(db_exec_count(tx, FAILED,
                      DB_ARGS(db_uuid(media_id), db_int64(generation), db_int64(attempt), db_text(slice(code)),
                              db_text(slice(message)), db_bool(retryable), db_time_us(now_us)),
                      &count));
    if (count == 0)
        return OK;
    return db_exec(tx, ITEMS_FAILED,
                   DB_ARGS(db_uuid(media_id), db_text(slice(code)), db_text(slice(message)), db_bool(retryable)));
}

/* --- what plays ----------------------------------------------------------------------------------------------------
 */
#define ASSET_COLUMNS                                                                                                  \
    "kind, name, key, content_type, size_bytes, width, height, codecs, language, is_default, is_forced"

static void read_asset_at(Arena *mem, const DbRows *rows, int row, int first, AssetRow *out)
{
    *out = (AssetRow){.kind = db_get_cstr(mem, rows, row, first),
                      .name = db_get_cstr(mem, rows, row, first + 1),
                      .key = db_get_cstr(mem, rows, row, first + 2),
                      .content_type = db_get_cstr(mem, rows, row, first + 3),
                      .size_bytes = db_get_int64(rows, row, first + 4),
                      .width = (int32_t)db_get_int64(rows, row, first + 5),
                      .height = (int32_t)db_get_int64(rows, row, first + 6),
                      .codecs = db_get_cstr(mem, rows, row, first + 7),
                      .language = db_get_cstr(mem, rows, row, first + 8),
                      .is_default = db_get_bool(rows, row, first + 9),
                      .is_forced = db_get_bool(rows, row, first + 10)};
}

static void read_asset(Arena *mem, const DbRows *rows, int row, AssetRow *out)
{
    read_asset_at(mem, rows, row, 0, out);
}

static const char LIST_ASSETS[] =
    "SELECT " ASSET_COLUMNS " FROM asset WHERE media_id = $1 AND generation = $2 ORDER BY name LIMIT $3";

Err media_store_assets(Request *rq, Uuid media_id, int64_t generation, AssetRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LIST_ASSETS, DB_ARGS(db_uuid(media_id), db_int64(generation), db_int64(ASSETS_MAX)), &rows));
    *out = ARENA_ARRAY(rq->mem, AssetRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_asset(rq->mem, &rows, i, &(*out)[i]);
    *out_count = (size_t)rows.count;
    return OK;
}

static const char SELECT_ASSET[] =
    "SELECT " ASSET_COLUMNS " FROM asset WHERE media_id = $1 AND generation = $2 AND name = $3";

Err media_store_asset(Request *rq, Uuid media_id, int64_t generation, const char *name, AssetRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out = (AssetRow){.name = NULL};
    TRY(db_read(rq, SELECT_ASSET, DB_ARGS(db_uuid(media_id), db_int64(generation), db_text(slice(name))), &rows));
    if (rows.count > 0)
        read_asset(rq->mem, &rows, 0, out);
    return OK;
}

static const char LIST_PLAYABLE[] =
    "SELECT a.media_id, a.generation, " ASSET_COLUMNS
    " FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::bigint[])) AS wanted (media_id, generation)"
    " JOIN asset a ON a.media_id = wanted.media_id::uuid AND a.generation = wanted.generation"
    " WHERE a.kind IN ('hls_master', 'progressive', 'poster', 'storyboard', 'captions')"
    " ORDER BY a.media_id, a.generation, a.name LIMIT $3";

/* Each item has a handful. */
enum { PLAYABLE_PER_ITEM_MAX = 40 };

Err media_store_playable(Request *rq, const ItemRow *items, size_t count, PlayableRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice *ids = ARENA_ARRAY(rq->mem, Slice, count + 1);
    int64_t *generations = ARENA_ARRAY(rq->mem, int64_t, count + 1);
    size_t wanted = 0;

    for (size_t i = 0; i < count; i++)
        if (!uuid_is_nil(items[i].rendition_media_id)) {
            ids[wanted] = slice(uuid_text(rq->mem, items[i].rendition_media_id));
            generations[wanted++] = items[i].rendition_generation;
        }
    *out_count = 0;
    if (wanted == 0)
        return OK;
    TRY(db_read(rq, LIST_PLAYABLE,
                DB_ARGS(db_text_array(ids, wanted), db_int64_array(generations, wanted),
                        db_int64((int64_t)wanted * PLAYABLE_PER_ITEM_MAX)),
                &rows));
    *out = ARENA_ARRAY(rq->mem, PlayableRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        (*out)[i].media_id = db_get_uuid(&rows, i, 0);
        (*out)[i].generation = db_get_int64(&rows, i, 1);
        read_asset_at(rq->mem, &rows, i, 2, &(*out)[i].asset);
    }
    *out_count = (size_t)rows.count;
    return OK;
}

static const char UNSHARE_RENDITION[] =
    "UPDATE rendition SET refs = refs - 1 WHERE media_id = $1 AND generation = $2 AND refs > 1";
static const char DELETE_RENDITION[] = "DELETE FROM rendition WHERE media_id = $1 AND generation = $2";

Err media_store_drop_rendition(DbTx *tx, Arena *mem, Uuid media_id, int64_t generation, int64_t now_us)
{
    DbArgs args = DB_ARGS(db_uuid(media_id), db_int64(generation));
    int64_t count;

    TRY(db_exec_count(tx, UNSHARE_RENDITION, args, &count));
    if (count > 0)
        return OK;
    TRY(db_exec_count(tx, DELETE_RENDITION, args, &count));
    if (count == 0)
        return OK;
    return media_store_discard(tx, arena_printf(mem, "derived/%s/%" PRId64 "/", uuid_text(mem, media_id), generation),
                               now_us);
}
