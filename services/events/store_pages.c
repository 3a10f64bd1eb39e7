#include "services/events/store_pages.h"

#define PUBLIC_EVENT                                                                                                   \
    "e.deleted_at IS NULL AND e.takedown_at IS NULL"                                                                   \
    " AND e.lifecycle IN ('published', 'postponed', 'rescheduled', 'sold_out', 'cancelled', 'completed')"

/* The next occurrence of each event, of those that are asked for: one elsewhere does not hide the one here. `which` is
 * of event and occurrence o, `before` of occurrence b. */
#define UPCOMING(which, before)                                                                                        \
    "SELECT e.id, e.card, o.start_at, o.end_at, o.timezone, e.updated_at, coalesce(e.published_at, e.created_at)"      \
    " FROM occurrence o JOIN event e ON e.id = o.event_id"                                                             \
    " WHERE o.listed AND coalesce(o.end_at, o.start_at) >= $1 AND " PUBLIC_EVENT which                                 \
    " AND NOT EXISTS (SELECT 1 FROM occurrence b WHERE b.event_id = o.event_id AND b.start_at < o.start_at"            \
    "  AND coalesce(b.end_at, b.start_at) >= $1" before ")"                                                            \
    " ORDER BY o.start_at, o.event_id LIMIT $2"

static const char *const UPCOMING_BY[] = {
    [LISTED_BY_PLACE] = UPCOMING(" AND o.place_id = $3", " AND b.place_id = $3"),
    [LISTED_BY_ORGANIZATION] = UPCOMING(" AND o.organizer_id = $3", ""),
    [LISTED_BY_SERIES] = UPCOMING(" AND e.series_id = $3", ""),
};

static Slice copied(Arena *mem, Slice text)
{
    return slice_of(arena_memdup(mem, text.ptr, text.len), text.len);
}

Err pages_store_upcoming(Request *rq, ListedBy by, Uuid id, int64_t from_us, int64_t limit, ListedEvent **out,
                         size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    ListedEvent *list;

    TRY(db_read(rq, UPCOMING_BY[by], DB_ARGS(db_time_us(from_us), db_int64(limit), db_uuid(id)), &rows));
    list = ARENA_ARRAY(rq->mem, ListedEvent, rows.count + 1);
    for (int i = 0; i < (int)rows.count; i++)
        list[i] = (ListedEvent){.id = db_get_uuid(&rows, i, 0),
                                .card = copied(rq->mem, db_get_text(&rows, i, 1)),
                                .start_us = db_get_time_us(&rows, i, 2),
                                .end_us = db_get_time_us(&rows, i, 3),
                                .timezone = db_get_cstr(rq->mem, &rows, i, 4),
                                .updated_us = db_get_time_us(&rows, i, 5),
                                .published_us = db_get_time_us(&rows, i, 6)};
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char SERIES[] =
    "SELECT s.name, s.timezone, s.starts_at, s.ends_at, greatest(s.updated_at, max(e.updated_at)), count(*),"
    " max(e.name)"
    " FROM series s JOIN event e ON e.series_id = s.id WHERE s.id = $1 AND " PUBLIC_EVENT " GROUP BY s.id";

Err pages_store_series(Request *rq, Uuid id, SeriesRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out = (SeriesRow){.id = {{0}}};
    TRY(db_read(rq, SERIES, DB_ARGS(db_uuid(id)), &rows));
    if (rows.count == 0)
        return OK;
    *out = (SeriesRow){.id = id,
                       .name = db_get_cstr(rq->mem, &rows, 0, db_get_text(&rows, 0, 0).len > 0 ? 0 : 6),
                       .timezone = db_get_cstr(rq->mem, &rows, 0, 1),
                       .start_us = db_get_time_us(&rows, 0, 2),
                       .end_us = db_get_time_us(&rows, 0, 3),
                       .updated_us = db_get_time_us(&rows, 0, 4),
                       .event_count = db_get_int64(&rows, 0, 5)};
    return OK;
}

#define PARTS(table, where)                                                                                            \
    "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM " table " e WHERE " where                    \
    ") numbered WHERE n % $1 = 1 OR $1 = 1 ORDER BY id"
#define PART(table, where) "SELECT id, updated_at FROM " table " e WHERE id >= $1 AND " where " ORDER BY id LIMIT $2"

#define LISTED "deleted_at IS NULL AND lifecycle <> 'pending_review'"

static const char *const SITEMAP_PARTS[] = {[ENTITY_EVENT] = PARTS("event", PUBLIC_EVENT),
                                            [ENTITY_PLACE] = PARTS("place", LISTED),
                                            [ENTITY_ORGANIZATION] = PARTS("organization", LISTED)};
static const char *const SITEMAP_PART[] = {[ENTITY_EVENT] = PART("event", PUBLIC_EVENT),
                                           [ENTITY_PLACE] = PART("place", LISTED),
                                           [ENTITY_ORGANIZATION] = PART("organization", LISTED)};

Err pages_store_sitemap_parts(Request *rq, EntityKind kind, int64_t size, Uuid **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Uuid *list;

    TRY(db_read(rq, SITEMAP_PARTS[kind], DB_ARGS(db_int64(size)), &rows));
    list = ARENA_ARRAY(rq->mem, Uuid, rows.count + 1);
    for (int i = 0; i < (int)rows.count; i++)
        list[i] = db_get_uuid(&rows, i, 0);
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

Err pages_store_sitemap(Request *rq, EntityKind kind, Uuid from, int64_t size, SitemapRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    SitemapRow *list;

    TRY(db_read(rq, SITEMAP_PART[kind], DB_ARGS(db_uuid(from), db_int64(size)), &rows));
    list = ARENA_ARRAY(rq->mem, SitemapRow, rows.count + 1);
    for (int i = 0; i < (int)rows.count; i++)
        list[i] = (SitemapRow){.id = db_get_uuid(&rows, i, 0), .updated_us = db_get_time_us(&rows, i, 1)};
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}
