/* store_sweep: see store_sweep.h. */
#include "services/media/store_sweep.h"

static void read_keys(Arena *mem, const DbRows *rows, const char ***out, size_t *out_count)
{
    *out = ARENA_ARRAY(mem, const char *, rows->count + 1);
    for (int i = 0; i < rows->count; i++)
        (*out)[i] = db_get_cstr(mem, rows, i, 0);
    *out_count = (size_t)rows->count;
}

static DbValue key_array(Arena *mem, const char *const *keys, size_t count)
{
    Slice *list = ARENA_ARRAY(mem, Slice, count + 1);

    for (size_t i = 0; i < count; i++)
        list[i] = slice(keys[i]);
    return db_text_array(list, count);
}

/* What was referred to again since (an upload of the same name, done anew) stays. */
static const char DISCARDED[] =
    "SELECT d.key FROM discarded_object d WHERE d.discarded_at <= $1"
    " AND NOT EXISTS (SELECT 1 FROM object o WHERE o.key = d.key) ORDER BY d.discarded_at LIMIT $2";

Err media_store_discarded(Request *rq, int64_t before_us, int64_t limit, const char ***out_keys, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, DISCARDED, DB_ARGS(db_time_us(before_us), db_int64(limit)), &rows));
    read_keys(rq->mem, &rows, out_keys, out_count);
    return OK;
}

static const char FORGET_DISCARDED[] = "DELETE FROM discarded_object WHERE key = ANY ($1)";

Err media_store_forget_discarded(DbTx *tx, const char *const *keys, size_t count)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);

    return db_exec(tx, FORGET_DISCARDED, DB_ARGS(key_array(mem, keys, count)));
}

static const char UNKNOWN_ORIGINALS[] =
    "SELECT k.key FROM unnest($1::text[]) AS k (key) WHERE NOT EXISTS (SELECT 1 FROM object o WHERE o.key = k.key)"
    " AND NOT EXISTS (SELECT 1 FROM discarded_object d WHERE d.key = k.key)";

Err media_store_unknown_originals(Request *rq, const char *const *keys, size_t count, const char ***out_keys,
                                  size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, UNKNOWN_ORIGINALS, DB_ARGS(key_array(rq->mem, keys, count)), &rows));
    read_keys(rq->mem, &rows, out_keys, out_count);
    return OK;
}

/* --- accounts that go ------------------------------------------------------------------------------------------------
 */
static const char ITEMS_OF[] = "SELECT id FROM item WHERE owner_id = $1 LIMIT $2";

Err media_store_items_of(Request *rq, int64_t owner_id, int64_t limit, Uuid *out_ids, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, ITEMS_OF, DB_ARGS(db_int64(owner_id), db_int64(limit)), &rows));
    for (int i = 0; i < rows.count; i++)
        out_ids[i] = db_get_uuid(&rows, i, 0);
    *out_count = (size_t)rows.count;
    return OK;
}

static const char ERASE_COLLECTIONS[] = "DELETE FROM collection WHERE owner_id = $1";
static const char ERASE_SHELVES[] = "DELETE FROM shelf WHERE owner_id = $1";
static const char ERASE_OWNER[] = "DELETE FROM owner WHERE owner_id = $1";

Err media_store_erase_owner(DbTx *tx, int64_t owner_id, int64_t *out_rows)
{
    static const char *const STATEMENTS[] = {ERASE_COLLECTIONS, ERASE_SHELVES, ERASE_OWNER};
    int64_t rows, all = 0;

    for (size_t i = 0; i < ARRAY_LEN(STATEMENTS); i++) {
        TRY(db_exec_count(tx, STATEMENTS[i], DB_ARGS(db_int64(owner_id)), &rows));
        all += rows;
    }
    *out_rows = all;
    return OK;
}
