/* store_items: see store_items.h. */
#include "services/media/store_items.h"

#include "services/media/events.h"
#include "services/media/store_processing.h"

/* --- finding ---------------------------------------------------------------------------------------------------------
 */
static const char SELECT_ITEM[] = "SELECT " ITEM_COLUMNS " FROM item i WHERE i.id = $1";
static const char LOCK_ITEM[] = "SELECT " ITEM_COLUMNS " FROM item i WHERE i.id = $1 FOR UPDATE";
static const char SELECT_OWNER_OF[] = "SELECT owner_id FROM item WHERE id = $1";

static void read_first(Arena *mem, const DbRows *rows, ItemRow *out)
{
    *out = (ItemRow){.owner_id = 0};
    if (rows->count > 0)
        media_store_read_item(mem, rows, 0, 0, out);
}

Err media_store_item(Request *rq, Uuid id, ItemRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SELECT_ITEM, DB_ARGS(db_uuid(id)), &rows));
    read_first(rq->mem, &rows, out);
    return OK;
}

/* The owner of an item never changes. */
Err media_store_lock_item(DbTx *tx, Arena *mem, Uuid id, ItemRow *out)
{
    CLEANUP(db_rows_done) DbRows owner = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out = (ItemRow){.owner_id = 0};
    TRY(db_query(tx, SELECT_OWNER_OF, DB_ARGS(db_uuid(id)), &owner));
    if (owner.count == 0)
        return OK;
    TRY(media_store_lock_owner(tx, db_get_int64(&owner, 0, 0)));
    TRY(db_query(tx, LOCK_ITEM, DB_ARGS(db_uuid(id)), &rows));
    read_first(mem, &rows, out);
    return OK;
}

/* --- bytes come ------------------------------------------------------------------------------------------------------
 */
/* Never older than the one before, whatever the clocks of two instances say: lists are in the order of ordinals. */
static const char INSERT_ITEM[] =
    "WITH place AS ("
    "  UPDATE owner SET next_ordinal = next_ordinal + 1, last_created = greatest(last_created, $7) WHERE owner_id = $2"
    "  RETURNING next_ordinal - 1 AS ordinal, last_created"
    ") INSERT INTO item (id, owner_id, ordinal, title, original_filename, mime_type, tags, created_at)"
    " SELECT $1, $2, ordinal, $3, $4, $5, $6, last_created FROM place";

Err media_store_insert_item(DbTx *tx, const NewItem *item)
{
    Slice tags[TAGS_MAX];
    size_t count = MIN(item->tag_count, (size_t)TAGS_MAX);

    for (size_t i = 0; i < count; i++)
        tags[i] = slice(item->tags[i]);
    TRY(media_store_lock_owner(tx, item->owner_id));
    return db_exec(tx, INSERT_ITEM,
                   DB_ARGS(db_uuid(item->id), db_int64(item->owner_id), db_text(slice(item->title)),
                           db_text(slice(item->original_filename)), db_text(slice(item->mime_type)),
                           db_text_array(tags, count), db_time_us(item->now_us)));
}

static const char DISCARD[] =
    "INSERT INTO discarded_object (key, discarded_at) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";

Err media_store_discard(DbTx *tx, const char *key, int64_t now_us)
{
    return db_exec(tx, DISCARD, DB_ARGS(db_text(slice(key)), db_time_us(now_us)));
}

static const char SHARE_OBJECT[] =
    "UPDATE object SET refs = refs + 1 WHERE owner_id = $1 AND sha256 = $2 RETURNING key";
static const char INSERT_OBJECT[] =
    "INSERT INTO object (key, owner_id, sha256, size_bytes, refs, created_at) VALUES ($1, $2, $3, $4, 1, $5)";

/* Sets where the content is: there already, or at the upload's key from now on. */
static Err keep_object(Request *rq, DbTx *tx, const CompletedUpload *u, const char **out_key)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, SHARE_OBJECT, DB_ARGS(db_int64(u->owner_id), db_bytes(u->sha256)), &rows));
    if (rows.count > 0) {
        *out_key = db_get_cstr(rq->mem, &rows, 0, 0);
        TRY(media_store_settle(rq, tx, u->owner_id, u->reserved_bytes, 0));
        return strcmp(*out_key, u->key) == 0 ? OK : media_store_discard(tx, u->key, u->now_us);
    }
    *out_key = u->key;
    TRY(media_store_settle(rq, tx, u->owner_id, u->reserved_bytes, u->size_bytes));
    return db_exec(tx, INSERT_OBJECT,
                   DB_ARGS(db_text(slice(u->key)), db_int64(u->owner_id), db_bytes(u->sha256), db_int64(u->size_bytes),
                           db_time_us(u->now_us)));
}

static const char SET_BYTES[] =
    "UPDATE item SET object_key = $2, sha256 = $3, size_bytes = $4, title = CASE WHEN $5 = '' THEN title ELSE $5 END,"
    " original_filename = CASE WHEN $6 = '' THEN original_filename ELSE $6 END,"
    " mime_type = CASE WHEN $7 = '' THEN mime_type ELSE $7 END WHERE id = $1";

/* Of the same content, a ready one first; else one that is being processed and that others may wait for. */
static const char FIND_TWIN[] = "SELECT " ITEM_COLUMNS " FROM item i WHERE i.object_key = $1 AND i.id <> $2"
                                " AND (i.status = 'ready' OR (i.status IN ('queued', 'processing') AND i.leader_id IS "
                                "NULL AND i.deleted_at IS NULL))"
                                " ORDER BY i.status = 'ready' DESC, i.ordinal LIMIT 1";

static const char FOLLOW[] = "UPDATE item SET status = 'queued', leader_id = $2 WHERE id = $1";

static const char BE_READY_AS[] =
    "WITH shared AS ("
    "  UPDATE rendition r SET refs = r.refs + 1 FROM item t"
    "  WHERE t.id = $2 AND r.media_id = t.rendition_media_id AND r.generation = t.rendition_generation"
    ") UPDATE item i SET status = 'ready', mime_type = t.mime_type, rendition_media_id = t.rendition_media_id,"
    " rendition_generation = t.rendition_generation, width = t.width, height = t.height, duration_ms = t.duration_ms,"
    " thumbhash = t.thumbhash, warnings = t.warnings FROM item t WHERE i.id = $1 AND t.id = $2";

static Err process(Request *rq, DbTx *tx, ItemRow *item, CompletedOutcome *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    ItemRow twin;

    TRY(db_query(tx, FIND_TWIN, DB_ARGS(db_text(slice(item->object_key)), db_uuid(item->id)), &rows));
    read_first(rq->mem, &rows, &twin);
    *out = COMPLETED_QUEUED;
    if (twin.owner_id == 0)
        return media_store_queue(rq, tx, item);
    if (twin.status != MEDIA__V1__ITEM_STATUS__READY)
        return db_exec(tx, FOLLOW, DB_ARGS(db_uuid(item->id), db_uuid(twin.id)));
    *out = COMPLETED_READY;
    return db_exec(tx, BE_READY_AS, DB_ARGS(db_uuid(item->id), db_uuid(twin.id)));
}

Err media_store_complete(Request *rq, DbTx *tx, const CompletedUpload *u, CompletedOutcome *out_outcome, ItemRow *out)
{
    const char *key = NULL;
    ItemRow item;

    TRY(media_store_lock_item(tx, rq->mem, u->item_id, &item));
    *out = item;
    *out_outcome = COMPLETED_GONE;
    if (item.owner_id != u->owner_id || item.deleted_us)
        return OK;
    *out_outcome = COMPLETED_ALREADY;
    if (item.status != MEDIA__V1__ITEM_STATUS__UPLOADING)
        return OK;
    TRY(keep_object(rq, tx, u, &key));
    TRY(db_exec(tx, SET_BYTES,
                DB_ARGS(db_uuid(item.id), db_text(slice(key)), db_bytes(u->sha256), db_int64(u->size_bytes),
                        db_text(slice(u->title)), db_text(slice(u->original_filename)), db_text(slice(u->mime_type)))));
    TRY(media_store_lock_item(tx, rq->mem, u->item_id, &item));
    TRY(process(rq, tx, &item, out_outcome));
    return media_store_lock_item(tx, rq->mem, u->item_id, out);
}

/* --- changed by its owner --------------------------------------------------------------------------------------------
 */
static const char RENAME[] = "UPDATE item SET title = $2, original_filename = $3 WHERE id = $1";

Err media_store_rename(DbTx *tx, Uuid id, const char *title, const char *original_filename)
{
    return db_exec(tx, RENAME, DB_ARGS(db_uuid(id), db_text(slice(title)), db_text(slice(original_filename))));
}

static const char SET_TAGS[] = "UPDATE item SET tags = $2 WHERE id = $1";

Err media_store_set_tags(DbTx *tx, Uuid id, char **tags, size_t count)
{
    Slice list[TAGS_MAX];

    assert(count <= TAGS_MAX);
    for (size_t i = 0; i < count; i++)
        list[i] = slice(tags[i]);
    return db_exec(tx, SET_TAGS, DB_ARGS(db_uuid(id), db_text_array(list, count)));
}

/* --- processing ------------------------------------------------------------------------------------------------------
 */
static const char NEXT_GENERATION[] =
    "UPDATE item SET generation = generation + 1, leader_id = NULL,"
    " status = CASE WHEN status = 'ready' THEN 'ready' ELSE 'queued' END,"
    " failure_code = NULL, failure_message = NULL, failure_retryable = NULL WHERE id = $1";

Err media_store_queue(Request *rq, DbTx *tx, ItemRow *item)
{
    const Media *media = rq->service;
    OutboxRow announce;

    TRY(db_exec(tx, NEXT_GENERATION, DB_ARGS(db_uuid(item->id))));
    item->generation++;
    item->leader_id = (Uuid){{0}};
    if (item->status != MEDIA__V1__ITEM_STATUS__READY)
        item->status = MEDIA__V1__ITEM_STATUS__QUEUED;
    TRY(media_store_begin_processing(tx, item->id, item->generation, clock_unix_us(rq->clock)));
    announce = item_uploaded_event(rq->mem, media->ids, item);
    return outbox_insert(tx, &announce, true);
}

static const char LIST_FOLLOWERS[] =
    "SELECT " ITEM_COLUMNS " FROM item i WHERE i.leader_id = $1 ORDER BY i.ordinal FOR UPDATE";
static const char FOLLOW_ANOTHER[] = "UPDATE item SET leader_id = $2 WHERE leader_id = $1";

/* The first of those that wait for this item is processed in its place. */
static Err promote(Request *rq, DbTx *tx, Uuid leader_id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    ItemRow first;

    TRY(db_query(tx, LIST_FOLLOWERS, DB_ARGS(db_uuid(leader_id)), &rows));
    read_first(rq->mem, &rows, &first);
    if (first.owner_id == 0)
        return OK;
    TRY(media_store_queue(rq, tx, &first));
    return db_exec(tx, FOLLOW_ANOTHER, DB_ARGS(db_uuid(leader_id), db_uuid(first.id)));
}

static const char CANCEL[] =
    "UPDATE item SET leader_id = NULL, status = CASE WHEN status = 'ready' THEN 'ready' ELSE 'failed' END,"
    " failure_code = CASE WHEN status = 'ready' THEN NULL ELSE 'cancelled' END,"
    " failure_message = CASE WHEN status = 'ready' THEN NULL ELSE 'processing was cancelled' END,"
    " failure_retryable = CASE WHEN status = 'ready' THEN NULL ELSE true END WHERE id = $1";

Err media_store_cancel(Request *rq, DbTx *tx, ItemRow *item)
{
    const Media *media = rq->service;
    bool follows = !uuid_is_nil(item->leader_id), ended = false;
    OutboxRow announce;

    if (!follows)
        TRY(media_store_cancel_processing(tx, item->id, clock_unix_us(rq->clock), &ended));
    if (!follows && !ended)
        return OK;
    TRY(db_exec(tx, CANCEL, DB_ARGS(db_uuid(item->id))));
    if (item->status != MEDIA__V1__ITEM_STATUS__READY)
        item->status = MEDIA__V1__ITEM_STATUS__FAILED;
    item->leader_id = (Uuid){{0}};
    if (follows)
        return OK;
    announce = item_cancelled_event(rq->mem, media->ids, item);
    TRY(outbox_insert(tx, &announce, true));
    return promote(rq, tx, item->id);
}

/* --- the end ---------------------------------------------------------------------------------------------------------
 */
static const char TRASH[] = "UPDATE item SET deleted_at = $2, access_generation = access_generation + 1 WHERE id = $1";

Err media_store_trash(Request *rq, DbTx *tx, ItemRow *item)
{
    item->deleted_us = clock_unix_us(rq->clock);
    TRY(media_store_cancel(rq, tx, item));
    return db_exec(tx, TRASH, DB_ARGS(db_uuid(item->id), db_time_us(item->deleted_us)));
}

static const char RESTORE[] = "UPDATE item SET deleted_at = NULL WHERE id = $1";

Err media_store_restore(Request *rq, DbTx *tx, ItemRow *item)
{
    CompletedOutcome outcome;

    item->deleted_us = 0;
    TRY(db_exec(tx, RESTORE, DB_ARGS(db_uuid(item->id))));
    if (item->status != MEDIA__V1__ITEM_STATUS__FAILED || strcmp(item->failure_code, "cancelled") != 0)
        return OK;
    TRY(process(rq, tx, item, &outcome));
    return media_store_lock_item(tx, rq->mem, item->id, item);
}

static const char DELETE_ITEM[] = "DELETE FROM item WHERE id = $1";
static const char UNSHARE_OBJECT[] = "UPDATE object SET refs = refs - 1 WHERE key = $1 AND refs > 1";
static const char DELETE_OBJECT[] = "DELETE FROM object WHERE key = $1 RETURNING size_bytes";

static Err drop_object(DbTx *tx, const ItemRow *item, int64_t now_us)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DbArgs args = DB_ARGS(db_text(slice(item->object_key)));
    int64_t others;

    TRY(db_exec_count(tx, UNSHARE_OBJECT, args, &others));
    if (others > 0)
        return OK;
    TRY(db_query(tx, DELETE_OBJECT, args, &rows));
    if (rows.count == 0)
        return OK;
    TRY(media_store_release(tx, item->owner_id, db_get_int64(&rows, 0, 0)));
    return media_store_discard(tx, item->object_key, now_us);
}

Err media_store_purge(Request *rq, DbTx *tx, ItemRow *item)
{
    const Media *media = rq->service;
    int64_t now_us = clock_unix_us(rq->clock);
    OutboxRow announce;

    TRY(media_store_cancel(rq, tx, item));
    TRY(db_exec(tx, DELETE_ITEM, DB_ARGS(db_uuid(item->id))));
    if (item->object_key[0])
        TRY(drop_object(tx, item, now_us));
    if (!uuid_is_nil(item->rendition_media_id))
        TRY(media_store_drop_rendition(tx, rq->mem, item->rendition_media_id, item->rendition_generation, now_us));
    announce = item_deleted_event(rq->mem, media->ids, item);
    return outbox_insert(tx, &announce, true);
}

static const char LIST_TRASH[] =
    "SELECT " ITEM_COLUMNS " FROM item i WHERE i.owner_id = $1 AND i.deleted_at IS NOT NULL"
    " AND ($2 IS NULL OR (i.deleted_at, i.id) < ($2, $3)) ORDER BY i.deleted_at DESC, i.id DESC LIMIT $4";

Err media_store_list_trash(Request *rq, int64_t owner_id, int64_t before_us, Uuid before_id, int64_t limit, Trash *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LIST_TRASH,
                DB_ARGS(db_int64(owner_id), db_time_us_or_null(before_us), db_uuid(before_id), db_int64(limit + 1)),
                &rows));
    *out = (Trash){.items = ARENA_ARRAY(rq->mem, ItemRow, rows.count + 1),
                   .count = (size_t)MIN((int64_t)rows.count, limit),
                   .more = rows.count > limit};
    for (size_t i = 0; i < out->count; i++)
        media_store_read_item(rq->mem, &rows, (int)i, 0, &out->items[i]);
    return OK;
}

static const char EXPIRED_TRASH[] =
    "SELECT id FROM item WHERE deleted_at IS NOT NULL AND deleted_at <= $1 ORDER BY deleted_at, id LIMIT $2";

Err media_store_expired_trash(Request *rq, int64_t before_us, int64_t limit, Uuid *out_ids, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, EXPIRED_TRASH, DB_ARGS(db_time_us(before_us), db_int64(limit)), &rows));
    for (int i = 0; i < rows.count; i++)
        out_ids[i] = db_get_uuid(&rows, i, 0);
    *out_count = (size_t)rows.count;
    return OK;
}
