/* store_series: see store_series.h. */
#include "services/events/store_series.h"

enum { TAKEN_MAX = 1000 /* dates of one event that are looked at: the latest */ };

#define COLUMNS                                                                                                        \
    "s.id, s.source_id, s.external_key, s.name, s.rrule, s.added, s.taken, s.timezone, s.starts_at, s.ends_at, "       \
    "s.door_at"

static const char PUT[] =
    "INSERT INTO series AS s (id, source_id, external_key, name, rrule, added, taken, timezone, starts_at, ends_at,"
    " door_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)"
    " ON CONFLICT (source_id, external_key) DO UPDATE SET name = CASE WHEN excluded.name = '' THEN s.name ELSE"
    " excluded.name END"
    " RETURNING s.id, (SELECT e.id FROM event e WHERE e.series_id = s.id AND e.deleted_at IS NULL ORDER BY e.id LIMIT "
    "1)";
static const char CHANGE[] = "UPDATE series SET rrule = $2, added = $3, taken = $4, timezone = $5, starts_at = $6,"
                             " ends_at = $7, door_at = $8, updated_at = $9 WHERE id = $1";

Err events_store_put_series(DbTx *tx, const SeriesStored *s, int64_t now_us, Uuid *out_id, Uuid *out_event)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, PUT,
                 DB_ARGS(db_uuid(s->id), db_uuid(s->source_id), db_text(slice(s->external_key)),
                         db_text(slice(s->name)), db_text(slice(s->rrule)), db_text(slice(s->added)),
                         db_text(slice(s->taken)), db_text(slice(s->timezone)), db_time_us(s->start_us),
                         db_time_us_or_null(s->end_us), db_time_us_or_null(s->door_us), db_time_us(now_us)),
                 &rows));
    *out_id = db_get_uuid(&rows, 0, 0);
    *out_event = db_get_uuid(&rows, 0, 1);
    return OK;
}

Err events_store_change_series(DbTx *tx, Uuid id, const SeriesStored *s, int64_t now_us)
{
    return db_exec(tx, CHANGE,
                   DB_ARGS(db_uuid(id), db_text(slice(s->rrule)), db_text(slice(s->added)), db_text(slice(s->taken)),
                           db_text(slice(s->timezone)), db_time_us(s->start_us), db_time_us_or_null(s->end_us),
                           db_time_us_or_null(s->door_us), db_time_us(now_us)));
}

static const char EXTENDED[] = "UPDATE series SET extended_at = $2 WHERE id = $1";

Err events_store_series_extended(DbTx *tx, Uuid id, int64_t now_us)
{
    return db_exec(tx, EXTENDED, DB_ARGS(db_uuid(id), db_time_us(now_us)));
}

static const char TAKE[] =
    "UPDATE series SET taken = taken || CASE WHEN taken = '' THEN '' ELSE ',' END"
    " || to_char($2::timestamptz AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS\"Z\"') WHERE id = $1";

Err events_store_take_from_series(DbTx *tx, Uuid id, int64_t recurrence_us)
{
    return db_exec(tx, TAKE, DB_ARGS(db_uuid(id), db_time_us(recurrence_us)));
}

/* Without an event it rests, until one brings it back. */
static const char DUE[] =
    "SELECT " COLUMNS ", e.id FROM (SELECT * FROM series WHERE extended_at < $1 ORDER BY extended_at LIMIT $2) s"
    " LEFT JOIN LATERAL (SELECT id FROM event WHERE series_id = s.id AND deleted_at IS NULL ORDER BY id LIMIT 1) e ON "
    "true";

Err events_store_due_series(Request *rq, int64_t before_us, int64_t limit, SeriesStored **out, Uuid **out_events,
                            size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, DUE, DB_ARGS(db_time_us(before_us), db_int64(limit)), &rows));
    *out = ARENA_ARRAY(rq->mem, SeriesStored, rows.count + 1);
    *out_events = ARENA_ARRAY(rq->mem, Uuid, rows.count + 1);
    *out_count = (size_t)rows.count;
    for (int i = 0; i < rows.count; i++) {
        (*out)[i] = (SeriesStored){.id = db_get_uuid(&rows, i, 0),
                                   .source_id = db_get_uuid(&rows, i, 1),
                                   .external_key = db_get_cstr(rq->mem, &rows, i, 2),
                                   .name = db_get_cstr(rq->mem, &rows, i, 3),
                                   .rrule = db_get_cstr(rq->mem, &rows, i, 4),
                                   .added = db_get_cstr(rq->mem, &rows, i, 5),
                                   .taken = db_get_cstr(rq->mem, &rows, i, 6),
                                   .timezone = db_get_cstr(rq->mem, &rows, i, 7),
                                   .start_us = db_get_time_us(&rows, i, 8),
                                   .end_us = db_get_time_us(&rows, i, 9),
                                   .door_us = db_get_time_us(&rows, i, 10)};
        (*out_events)[i] = db_get_uuid(&rows, i, 11);
    }
    return OK;
}

static const char TAKE_OCCURRENCE[] =
    "INSERT INTO occurrence_taken (event_id, start_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";

Err events_store_take_occurrence(DbTx *tx, Uuid event, int64_t start_us)
{
    return db_exec(tx, TAKE_OCCURRENCE, DB_ARGS(db_uuid(event), db_time_us(start_us)));
}

static const char TAKEN_OCCURRENCES[] =
    "SELECT start_at FROM occurrence_taken WHERE event_id = $1 ORDER BY start_at DESC LIMIT $2";

Err events_store_taken_occurrences(DbTx *tx, Arena *mem, Uuid event, int64_t **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, TAKEN_OCCURRENCES, DB_ARGS(db_uuid(event), db_int64(TAKEN_MAX)), &rows));
    *out = ARENA_ARRAY(mem, int64_t, rows.count + 1);
    *out_count = (size_t)rows.count;
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = db_get_time_us(&rows, i, 0);
    return OK;
}
