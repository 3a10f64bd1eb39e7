/* store_exports: see store_exports.h. */
#include "services/events/store_exports.h"

#define IS_PUBLIC                                                                                                      \
    "deleted_at IS NULL AND takedown_at IS NULL"                                                                       \
    " AND lifecycle IN ('published', 'postponed', 'rescheduled', 'sold_out', 'cancelled', 'completed')"

static const char EVENTS[] =
    "SELECT e.id, e.doc, o.start_at, o.end_at, o.door_at FROM event e LEFT JOIN LATERAL ("
    "  (SELECT start_at, end_at, door_at FROM occurrence WHERE event_id = e.id AND coalesce(end_at, start_at) >= $3"
    "   ORDER BY start_at LIMIT 1)"
    "  UNION ALL"
    "  (SELECT start_at, end_at, door_at FROM occurrence WHERE event_id = e.id ORDER BY start_at DESC LIMIT 1)"
    "  LIMIT 1) o ON true"
    " WHERE " IS_PUBLIC " AND e.id > $1 ORDER BY e.id LIMIT $2";

Err exports_store_events(Request *rq, Arena *mem, int64_t as_of_us, Uuid after, int64_t limit, ExportRow **out,
                         size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    ExportRow *list;

    TRY(db_read(rq, EVENTS, DB_ARGS(db_uuid(after), db_int64(limit), db_time_us(as_of_us)), &rows));
    list = ARENA_ARRAY(mem, ExportRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        Slice doc = db_get_text(&rows, i, 1);

        list[i] = (ExportRow){.id = db_get_uuid(&rows, i, 0),
                              .doc = slice_of(arena_memdup(mem, doc.ptr, doc.len), doc.len),
                              .start_us = db_get_time_us(&rows, i, 2),
                              .end_us = db_get_time_us(&rows, i, 3),
                              .door_us = db_get_time_us(&rows, i, 4)};
    }
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}
