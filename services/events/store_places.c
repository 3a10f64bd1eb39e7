/* store_places: see store_places.h. */
#include "services/events/store_places.h"

#include <math.h>

#include "services/events/filters.h"

/* --- lists ------------------------------------------------------------------------------------------------------- */
#define COLUMNS "id, name, created_at, updated_at, rendered, doc"
#define MATCHES                                                                                                        \
    "deleted_at IS NULL AND lifecycle <> 'pending_review' AND ($1::text = '' OR haystack LIKE fold($2::text))"         \
    " AND ($3::text = '' OR fold(locality) = fold($3::text))"
#define BY_NAME(table, beyond, order)                                                                                  \
    "SELECT " COLUMNS ", 0::int8 FROM " table " WHERE " MATCHES " AND (NOT $4 OR (name, id) " beyond                   \
    " ((SELECT name FROM " table " WHERE id = $5), $5)) ORDER BY name " order ", id " order " LIMIT $6"
#define BY_CREATION(table, beyond, order)                                                                              \
    "SELECT " COLUMNS ", 0::int8 FROM " table " WHERE " MATCHES " AND (NOT $4 OR (created_at, id) " beyond             \
    " ($7, $5))"                                                                                                       \
    " ORDER BY created_at " order ", id " order " LIMIT $6"

/* By kind, what they are sorted by, and direction. */
static const char *const LISTS[2][2][2] = {
    {{BY_NAME("place", ">", "ASC"), BY_NAME("place", "<", "DESC")},
     {BY_CREATION("place", ">", "ASC"), BY_CREATION("place", "<", "DESC")}},
    {{BY_NAME("organization", ">", "ASC"), BY_NAME("organization", "<", "DESC")},
     {BY_CREATION("organization", ">", "ASC"), BY_CREATION("organization", "<", "DESC")}},
};

/* Whole metres, so that a cursor's distance is exactly a row's. A box first, for the index; across the antimeridian,
 * and around the poles, it is as wide as the world. */
static const char NEAR[] =
    "SELECT " COLUMNS ", metres FROM ("
    " SELECT " COLUMNS ", round(2000 * 6371.0088 * asin(least(1, sqrt(power(sin(radians(latitude - $4::float8) / 2), 2)"
    "  + cos(radians($4::float8)) * cos(radians(latitude)) * power(sin(radians(longitude - $5::float8) / 2), "
    "2)))))::int8"
    "  AS metres"
    " FROM place WHERE " MATCHES " AND latitude IS NOT NULL AND longitude IS NOT NULL"
    "  AND point(longitude, latitude) <@ box(point($7::float8, $4::float8 - $9::float8),"
    "   point($8::float8, $4::float8 + $9::float8))) x"
    " WHERE metres <= $6::float8 * 1000 AND (NOT $10 OR (metres, id) > ($11, $12)) ORDER BY metres, id LIMIT $13";

static Err read_near(Request *rq, const EntityFilter *f, DbRows *rows)
{
    double high = f->radius_km / 111.0, narrow = cos(fmin(fabs(f->latitude) + high, 90) * 3.14159265358979 / 180);
    double wide = narrow * 180 <= high ? 360 : high / narrow;
    double west = f->longitude - wide, east = f->longitude + wide;

    if (west < -180 || east > 180) {
        west = -180;
        east = 180;
    }
    return db_read(rq, NEAR,
                   DB_ARGS(db_text(slice(f->q)), db_text(like_pattern(rq->mem, f->q)), db_text(slice(f->city)),
                           db_double(f->latitude), db_double(f->longitude), db_double(f->radius_km), db_double(west),
                           db_double(east), db_double(high), db_bool(f->has_cursor), db_int64(f->cursor_key),
                           db_uuid(f->cursor_id), db_int64(f->limit + 1)),
                   rows);
}

static Err read_sorted(Request *rq, const EntityFilter *f, DbRows *rows)
{
    bool by_creation = f->sort == ENTITY_BY_CREATION;
    const char *sql = LISTS[f->kind == ENTITY_ORGANIZATION][by_creation][f->descending];
    DbValue args[] = {db_text(slice(f->q)),     db_text(like_pattern(rq->mem, f->q)),
                      db_text(slice(f->city)),  db_bool(f->has_cursor),
                      db_uuid(f->cursor_id),    db_int64(f->limit + 1),
                      db_time_us(f->cursor_key)};

    return db_read(rq, sql, (DbArgs){args, by_creation ? 7 : 6}, rows);
}

Err events_store_entities(Request *rq, const EntityFilter *f, EntityListRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    EntityListRow *list;

    TRY(f->sort == ENTITY_BY_DISTANCE ? read_near(rq, f, &rows) : read_sorted(rq, f, &rows));
    list = ARENA_ARRAY(rq->mem, EntityListRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        Slice doc = db_get_text(&rows, i, 5);

        list[i] = (EntityListRow){.id = db_get_uuid(&rows, i, 0),
                                  .name = db_get_cstr(rq->mem, &rows, i, 1),
                                  .created_us = db_get_time_us(&rows, i, 2),
                                  .updated_us = db_get_time_us(&rows, i, 3),
                                  .rendered = db_get_int64(&rows, i, 4),
                                  .doc = slice_of(arena_memdup(rq->mem, doc.ptr, doc.len), doc.len),
                                  .distance_m = db_get_int64(&rows, i, 6)};
    }
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

/* --- names of points --------------------------------------------------------------------------------------------- */
static const char POINT_OF[] =
    "SELECT avg(latitude)::float8, avg(longitude)::float8, max(CASE WHEN town THEN locality ELSE name END) FROM ("
    " SELECT latitude, longitude, name, locality, fold(locality) = fold($1::text) AS town FROM place"
    " WHERE deleted_at IS NULL AND lifecycle <> 'pending_review' AND latitude IS NOT NULL AND longitude IS NOT NULL"
    "  AND (fold(locality) = fold($1::text) OR name_norm = name_norm($1::text))"
    "  AND ($2::text = '' OR country = ANY (string_to_array(replace(upper($2::text), ' ', ''), ','))) LIMIT 1000) x";

Err events_store_point_of(Request *rq, const char *name, const char *countries, bool *out_found, NamedPoint *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, POINT_OF, DB_ARGS(db_text(slice(name)), db_text(slice(countries))), &rows));
    *out_found = !db_is_null(&rows, 0, 0);
    *out = (NamedPoint){.latitude = db_get_double(&rows, 0, 0),
                        .longitude = db_get_double(&rows, 0, 1),
                        .name = db_get_cstr(rq->mem, &rows, 0, 2)};
    return OK;
}

/* --- counts ------------------------------------------------------------------------------------------------------ */
static const char STATS[] = "SELECT count(*), count(*) FILTER (WHERE lifecycle = 'published'),"
                            " count(*) FILTER (WHERE lifecycle = 'pending_review'),"
                            " count(*) FILTER (WHERE created_at >= $1::timestamptz - interval '7 days'),"
                            " count(*) FILTER (WHERE created_at >= $1::timestamptz - interval '30 days'),"
                            " count(*) FILTER (WHERE last_end >= $1 AND lifecycle NOT IN ('draft', 'pending_review')),"
                            " count(*) FILTER (WHERE last_end < $1 AND lifecycle NOT IN ('draft', 'pending_review')),"
                            " min(first_start), max(first_start),"
                            " (SELECT count(*) FROM place WHERE deleted_at IS NULL AND lifecycle <> 'pending_review'),"
                            " (SELECT count(*) FROM organization WHERE deleted_at IS NULL AND lifecycle <> "
                            "'pending_review'), (SELECT count(*) FROM source)"
                            " FROM event WHERE deleted_at IS NULL";

Err events_store_stats(Request *rq, int64_t now_us, Stats *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t *const counts[] = {&out->events,          &out->published, &out->pending, &out->created_7_days,
                               &out->created_30_days, &out->upcoming,  &out->past};

    TRY(db_read(rq, STATS, DB_ARGS(db_time_us(now_us)), &rows));
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        *counts[i] = db_get_int64(&rows, 0, (int)i);
    out->oldest_us = db_get_time_us(&rows, 0, 7);
    out->newest_us = db_get_time_us(&rows, 0, 8);
    out->places = db_get_int64(&rows, 0, 9);
    out->organizations = db_get_int64(&rows, 0, 10);
    out->sources = db_get_int64(&rows, 0, 11);
    return OK;
}
