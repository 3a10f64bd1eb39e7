/* store_captions: see store_captions.h. */
#include "services/media/store_captions.h"

#define CAPTION_COLUMNS "media_id, language, label, is_default, updated_at"

static void read_caption(Arena *mem, const DbRows *rows, int row, CaptionRow *out)
{
    *out = (CaptionRow){.media_id = db_get_uuid(rows, row, 0),
                        .language = db_get_cstr(mem, rows, row, 1),
                        .label = db_get_cstr(mem, rows, row, 2),
                        .is_default = db_get_bool(rows, row, 3),
                        .updated_us = db_get_time_us(rows, row, 4)};
}

static const char LIST_CAPTIONS[] = "SELECT " CAPTION_COLUMNS " FROM caption WHERE media_id = ANY ($1::text[]::uuid[])"
                                    " ORDER BY media_id, language LIMIT $2";

Err media_store_captions(Request *rq, const Uuid *ids, size_t count, CaptionRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice *texts = ARENA_ARRAY(rq->mem, Slice, count + 1);

    *out_count = 0;
    if (!count)
        return OK;
    for (size_t i = 0; i < count; i++)
        texts[i] = slice(uuid_text(rq->mem, ids[i]));
    TRY(db_read(rq, LIST_CAPTIONS, DB_ARGS(db_text_array(texts, count), db_int64((int64_t)count * CAPTIONS_MAX)),
                &rows));
    *out = ARENA_ARRAY(rq->mem, CaptionRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_caption(rq->mem, &rows, i, *out + i);
    *out_count = (size_t)rows.count;
    return OK;
}

static const char SELECT_CAPTION[] =
    "SELECT " CAPTION_COLUMNS ", content FROM caption WHERE media_id = $1 AND language = $2";

Err media_store_caption(Request *rq, Uuid media_id, const char *language, CaptionRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out = (CaptionRow){.language = NULL};
    TRY(db_read(rq, SELECT_CAPTION, DB_ARGS(db_uuid(media_id), db_text(slice(language))), &rows));
    if (rows.count == 0)
        return OK;
    read_caption(rq->mem, &rows, 0, out);
    out->content = slice(db_get_cstr(rq->mem, &rows, 0, 5));
    return OK;
}

static const char DELETE_CAPTION[] = "DELETE FROM caption WHERE media_id = $1 AND language = $2";

Err media_store_delete_caption(DbTx *tx, Uuid media_id, const char *language, bool *out_found)
{
    int64_t count;

    TRY(db_exec_count(tx, DELETE_CAPTION, DB_ARGS(db_uuid(media_id), db_text(slice(language))), &count));
    *out_found = count > 0;
    return OK;
}

static const char COUNT_CAPTIONS[] = "SELECT count(*) FROM caption WHERE media_id = $1";
static const char UNSET_DEFAULT[] = "UPDATE caption SET is_default = false WHERE media_id = $1 AND is_default";
static const char INSERT_CAPTION[] =
    "INSERT INTO caption (media_id, language, owner_id, label, is_default, content, size_bytes, updated_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

Err media_store_put_caption(Request *rq, DbTx *tx, int64_t owner_id, const CaptionRow *row)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    bool found;

    TRY(media_store_delete_caption(tx, row->media_id, row->language, &found));
    TRY(db_query(tx, COUNT_CAPTIONS, DB_ARGS(db_uuid(row->media_id)), &rows));
    if (db_get_int64(&rows, 0, 0) >= CAPTIONS_MAX)
        return err_make(&FAILED_PRECONDITION, "at most %d captions of an item", CAPTIONS_MAX);
    if (row->is_default)
        TRY(db_exec(tx, UNSET_DEFAULT, DB_ARGS(db_uuid(row->media_id))));
    TRY(media_store_settle(rq, tx, owner_id, 0, (int64_t)row->content.len));
    return db_exec(tx, INSERT_CAPTION,
                   DB_ARGS(db_uuid(row->media_id), db_text(slice(row->language)), db_int64(owner_id),
                           db_text(slice(row->label)), db_bool(row->is_default), db_text(row->content),
                           db_int64((int64_t)row->content.len), db_time_us(row->updated_us)));
}
