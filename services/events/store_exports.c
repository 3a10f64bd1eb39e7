/* store_exports: see store_exports.h. */
#include "services/events/store_exports.h"

#define IS_PUBLIC                                                                                                      \
    "deleted_at IS NULL AND takedown_at IS NULL"                                                                       \
    " AND lifecycle IN ('published', 'postponed', 'rescheduled', 'sold_out', 'cancelled', 'completed')"

static const char EVENTS[] =
    "SELECT e.id, e.doc, o.start_at, o.end_at FROM event e LEFT JOIN LATERAL ("
    "  SELECT start_at, end_at FROM occurrence WHERE event_id = e.id ORDER BY start_at LIMIT 1) o ON true"
    " WHERE " IS_PUBLIC " AND e.id > $1 ORDER BY e.id LIMIT $2";

Err exports_store_events(Request *rq, Arena *mem, Uuid after, int64_t limit, ExportRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    ExportRow *list;

    TRY(db_read(rq, EVENTS, DB_ARGS(db_uuid(after), db_int64(limit)), &rows));
    list = ARENA_ARRAY(mem, ExportRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        Slice doc = db_get_text(&rows, i, 1);

        list[i] = (ExportRow){.id = db_get_uuid(&rows, i, 0),
                              .doc = slice_of(arena_memdup(mem, doc.ptr, doc.len), doc.len),
                              .start_us = db_get_time_us(&rows, i, 2),
                              .end_us = db_get_time_us(&rows, i, 3)};
    }
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char STATE[] = "SELECT count(*), coalesce(sum(rendered), 0)::int8 FROM event WHERE " IS_PUBLIC;

Err exports_store_state(Request *rq, int64_t *out_count, int64_t *out_rendered)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, STATE, DB_NO_ARGS, &rows));
    *out_count = db_get_int64(&rows, 0, 0);
    *out_rendered = db_get_int64(&rows, 0, 1);
    return OK;
}
