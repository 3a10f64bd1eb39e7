/* store_rerender: see store_rerender.h. */
#include "services/events/store_rerender.h"

static const char NEXT[] = "SELECT id, kind, entity_id, after_id FROM rerender"
                           " WHERE $1::uuid IS NULL OR entity_id = $1 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";

Err events_store_next_render(DbTx *tx, Uuid entity, RenderWanted *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, NEXT, DB_ARGS(uuid_is_nil(entity) ? db_null() : db_uuid(entity)), &rows));
    *out = (RenderWanted){.id = 0};
    if (rows.count)
        *out = (RenderWanted){.id = db_get_int64(&rows, 0, 0),
                              .kind =
                                  slice_eq_cstr(db_get_text(&rows, 0, 1), "place") ? ENTITY_PLACE : ENTITY_ORGANIZATION,
                              .entity = db_get_uuid(&rows, 0, 2),
                              .after = db_get_uuid(&rows, 0, 3)};
    return OK;
}

static const char AT_PLACE[] =
    "SELECT id FROM event WHERE id IN (SELECT id FROM ("
    "  SELECT id FROM event WHERE place_id = $1 UNION SELECT event_id FROM occurrence WHERE place_id = $1) x"
    "  WHERE id > $2 ORDER BY id LIMIT $3) ORDER BY id FOR NO KEY UPDATE";
static const char OF_ORGANIZER[] = "SELECT id FROM event WHERE id IN (SELECT id FROM event WHERE organizer_id = $1 AND"
                                   " id > $2 ORDER BY id LIMIT $3) ORDER BY id FOR NO KEY UPDATE";

Err events_store_lock_naming(DbTx *tx, Arena *mem, const RenderWanted *wanted, int64_t limit, Uuid **out,
                             size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Uuid *list;

    TRY(db_query(tx, wanted->kind == ENTITY_PLACE ? AT_PLACE : OF_ORGANIZER,
                 DB_ARGS(db_uuid(wanted->entity), db_uuid(wanted->after), db_int64(limit)), &rows));
    list = ARENA_ARRAY(mem, Uuid, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        list[i] = db_get_uuid(&rows, i, 0);
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char RENDERED_TO[] = "UPDATE rerender SET after_id = $2 WHERE id = $1";

Err events_store_rendered_to(DbTx *tx, int64_t id, Uuid event)
{
    return db_exec(tx, RENDERED_TO, DB_ARGS(db_int64(id), db_uuid(event)));
}

static const char RENDERED[] = "DELETE FROM rerender WHERE id = $1";

Err events_store_rendered(DbTx *tx, int64_t id)
{
    return db_exec(tx, RENDERED, DB_ARGS(db_int64(id)));
}
