/* store_collections: see store_collections.h. */
#include "services/media/store_collections.h"

#include "services/media/store_quota.h"

#define COLLECTION_COLUMNS                                                                                             \
    "c.id, c.owner_id, c.title, c.description, c.is_public, c.share_token, c.share_generation, c.link_enabled,"        \
    " c.link_expires_at, c.password_hash, c.allow_download, c.view_count, c.created_at"
enum { COLLECTION_COLUMN_COUNT = 13 };

static void read_collection(Arena *mem, const DbRows *rows, int row, CollectionRow *out)
{
    *out = (CollectionRow){.id = db_get_uuid(rows, row, 0),
                           .owner_id = db_get_int64(rows, row, 1),
                           .title = db_get_cstr(mem, rows, row, 2),
                           .description = db_get_cstr(mem, rows, row, 3),
                           .is_public = db_get_bool(rows, row, 4),
                           .share_token = db_get_uuid(rows, row, 5),
                           .share_generation = db_get_int64(rows, row, 6),
                           .link_enabled = db_get_bool(rows, row, 7),
                           .link_expires_us = db_get_time_us(rows, row, 8),
                           .password_hash = db_get_cstr(mem, rows, row, 9),
                           .allow_download = db_get_bool(rows, row, 10),
                           .view_count = db_get_int64(rows, row, 11),
                           .created_us = db_get_time_us(rows, row, 12)};
}

bool share_link_lives(const CollectionRow *collection, int64_t now_us)
{
    return collection->link_enabled && (!collection->link_expires_us || now_us < collection->link_expires_us);
}

static const char COUNT_COLLECTIONS[] = "SELECT count(*) FROM collection WHERE owner_id = $1";
static const char INSERT_COLLECTION[] = "INSERT INTO collection (id, owner_id, title, description, share_token, "
                                        "created_at) VALUES ($1, $2, $3, $4, $5, $6)";

Err media_store_insert_collection(DbTx *tx, const CollectionRow *c)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(media_store_lock_owner(tx, c->owner_id));
    TRY(db_query(tx, COUNT_COLLECTIONS, DB_ARGS(db_int64(c->owner_id)), &rows));
    if (db_get_int64(&rows, 0, 0) >= COLLECTIONS_MAX)
        return err_make(&CONFLICT, "at most %d collections", COLLECTIONS_MAX);
    return db_exec(tx, INSERT_COLLECTION,
                   DB_ARGS(db_uuid(c->id), db_int64(c->owner_id), db_text(slice(c->title)),
                           db_text(slice(c->description)), db_uuid(c->share_token), db_time_us(c->created_us)));
}

static const char LIST_COLLECTIONS[] = "SELECT " COLLECTION_COLUMNS " FROM collection c WHERE c.owner_id = $1"
                                       " ORDER BY c.created_at DESC, c.id DESC LIMIT $2";

Err media_store_list_collections(Request *rq, int64_t owner_id, CollectionRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LIST_COLLECTIONS, DB_ARGS(db_int64(owner_id), db_int64(COLLECTIONS_MAX)), &rows));
    *out = ARENA_ARRAY(rq->mem, CollectionRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_collection(rq->mem, &rows, i, &(*out)[i]);
    *out_count = (size_t)rows.count;
    return OK;
}

static const char SELECT_COLLECTION[] = "SELECT " COLLECTION_COLUMNS " FROM collection c WHERE c.id = $1";
static const char LOCK_COLLECTION[] = "SELECT " COLLECTION_COLUMNS " FROM collection c WHERE c.id = $1 FOR UPDATE";

Err media_store_collection(Request *rq, DbTx *tx, Uuid id, CollectionRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DbArgs args = DB_ARGS(db_uuid(id));

    TRY(tx ? db_query(tx, LOCK_COLLECTION, args, &rows) : db_read(rq, SELECT_COLLECTION, args, &rows));
    *out = (CollectionRow){.owner_id = 0};
    if (rows.count > 0)
        read_collection(rq->mem, &rows, 0, out);
    return OK;
}

static const char UPDATE_COLLECTION[] =
    "UPDATE collection SET title = $2, description = $3, is_public = $4, share_token = $5, share_generation = $6,"
    " link_enabled = $7, link_expires_at = $8, password_hash = nullif($9, ''), allow_download = $10 WHERE id = $1";

Err media_store_update_collection(DbTx *tx, const CollectionRow *c)
{
    return db_exec(tx, UPDATE_COLLECTION,
                   DB_ARGS(db_uuid(c->id), db_text(slice(c->title)), db_text(slice(c->description)),
                           db_bool(c->is_public), db_uuid(c->share_token), db_int64(c->share_generation),
                           db_bool(c->link_enabled), db_time_us_or_null(c->link_expires_us),
                           db_text(slice(c->password_hash)), db_bool(c->allow_download)));
}

static const char DELETE_COLLECTION[] = "DELETE FROM collection WHERE id = $1";

Err media_store_delete_collection(DbTx *tx, Uuid id)
{
    return db_exec(tx, DELETE_COLLECTION, DB_ARGS(db_uuid(id)));
}

static const char COUNT_VIEW[] = "UPDATE collection SET view_count = view_count + 1 WHERE id = $1";

Err media_store_count_view(DbTx *tx, Uuid id)
{
    return db_exec(tx, COUNT_VIEW, DB_ARGS(db_uuid(id)));
}

/* --- what is in it -------------------------------------------------------------------------------------------------
 */
static const char LIST_ITEMS[] =
    "SELECT ci.added_at, " ITEM_COLUMNS " FROM collection_item ci JOIN item i ON i.id = ci.media_id"
    " WHERE ci.collection_id = $1 AND i.deleted_at IS NULL ORDER BY ci.added_at DESC, ci.media_id LIMIT $2";

Err media_store_collection_items(Request *rq, Uuid id, CollectionItemRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LIST_ITEMS, DB_ARGS(db_uuid(id), db_int64(COLLECTION_ITEMS_MAX)), &rows));
    *out = ARENA_ARRAY(rq->mem, CollectionItemRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        (*out)[i].added_us = db_get_time_us(&rows, i, 0);
        media_store_read_item(rq->mem, &rows, i, 1, &(*out)[i].item);
    }
    *out_count = (size_t)rows.count;
    return OK;
}

static const char ADD_ITEM[] =
    "INSERT INTO collection_item (collection_id, media_id, added_at) SELECT $1, $2, $3"
    " WHERE (SELECT count(*) FROM collection_item WHERE collection_id = $1) < $4 ON CONFLICT DO NOTHING";
static const char IS_IN[] = "SELECT 1 FROM collection_item WHERE collection_id = $1 AND media_id = $2";

Err media_store_add_to_collection(DbTx *tx, Uuid id, Uuid media_id, int64_t now_us, bool *out_room)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_exec(tx, ADD_ITEM,
                DB_ARGS(db_uuid(id), db_uuid(media_id), db_time_us(now_us), db_int64(COLLECTION_ITEMS_MAX))));
    TRY(db_query(tx, IS_IN, DB_ARGS(db_uuid(id), db_uuid(media_id)), &rows));
    *out_room = rows.count > 0;
    return OK;
}

static const char REMOVE_ITEM[] = "DELETE FROM collection_item WHERE collection_id = $1 AND media_id = $2";

Err media_store_remove_from_collection(DbTx *tx, Uuid id, Uuid media_id)
{
    return db_exec(tx, REMOVE_ITEM, DB_ARGS(db_uuid(id), db_uuid(media_id)));
}

static const char SHARED_ITEM[] =
    "SELECT " COLLECTION_COLUMNS ", " ITEM_COLUMNS
    " FROM collection_item ci JOIN collection c ON c.id = ci.collection_id"
    " JOIN item i ON i.id = ci.media_id WHERE ci.collection_id = $1 AND ci.media_id = $2 AND i.deleted_at IS NULL";

Err media_store_shared_item(Request *rq, Uuid id, Uuid media_id, CollectionRow *out_collection, ItemRow *out_item)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SHARED_ITEM, DB_ARGS(db_uuid(id), db_uuid(media_id)), &rows));
    *out_collection = (CollectionRow){.owner_id = 0};
    *out_item = (ItemRow){.owner_id = 0};
    if (rows.count > 0) {
        read_collection(rq->mem, &rows, 0, out_collection);
        media_store_read_item(rq->mem, &rows, 0, COLLECTION_COLUMN_COUNT, out_item);
    }
    return OK;
}
