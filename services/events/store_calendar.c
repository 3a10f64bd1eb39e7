/* store_calendar: see store_calendar.h. */
#include "services/events/store_calendar.h"

#include "services/events/store_list.h"

/* A series is told of only with the event that it makes: the first one that has it. */
#define COLUMNS(card)                                                                                                  \
    "SELECT o.event_id, o.id, CASE WHEN s.extended_at IS NOT NULL AND e.id = (SELECT f.id FROM event f WHERE"          \
    "  f.series_id = s.id AND f.deleted_at IS NULL ORDER BY f.id LIMIT 1) THEN s.id END,"                              \
    " o.start_at, o.end_at, o.recurrence_at, o.detached, o.timezone, o.status, e.lifecycle, e.version, e.rendered,"    \
    " e.created_at, e.updated_at, e.name, e.description, array_to_string(e.keywords, E'\\x01'), " card ", p.name,"     \
    " p.street_address, p.locality, p.region, p.postal_code, p.country, p.latitude, p.longitude,"                      \
    " CASE WHEN o.virtual_url <> '' THEN o.virtual_url WHEN o.place_id IS NULL THEN e.virtual_url ELSE '' END,"        \
    " g.name, g.email, g.url, s.rrule, s.added, s.taken, s.timezone, s.starts_at, s.ends_at"
#define JOINS                                                                                                          \
    " JOIN event e ON e.id = o.event_id LEFT JOIN place p ON p.id = o.place_id"                                        \
    " LEFT JOIN organization g ON g.id = e.organizer_id LEFT JOIN series s ON s.id = e.series_id"

static void read_row(Arena *mem, const DbRows *rows, int i, CalendarRow *out)
{
    Slice card = db_get_text(rows, i, 17); /* of all; else it is filled in */

    *out = (CalendarRow){.event_id = db_get_uuid(rows, i, 0),
                         .occurrence_id = db_get_uuid(rows, i, 1),
                         .series_id = db_is_null(rows, i, 2) ? (Uuid){{0}} : db_get_uuid(rows, i, 2),
                         .start_us = db_get_time_us(rows, i, 3),
                         .end_us = db_get_time_us(rows, i, 4),
                         .recurrence_us = db_get_time_us(rows, i, 5),
                         .detached = db_get_bool(rows, i, 6),
                         .timezone = db_get_cstr(mem, rows, i, 7),
                         .occurrence_status = db_get_cstr(mem, rows, i, 8),
                         .lifecycle = db_get_cstr(mem, rows, i, 9),
                         .version = db_get_int64(rows, i, 10),
                         .rendered = db_get_int64(rows, i, 11),
                         .created_us = db_get_time_us(rows, i, 12),
                         .updated_us = db_get_time_us(rows, i, 13),
                         .name = db_get_cstr(mem, rows, i, 14),
                         .description = db_get_cstr(mem, rows, i, 15),
                         .keywords = db_get_cstr(mem, rows, i, 16),
                         .card = slice_of(arena_memdup(mem, card.ptr, card.len), card.len),
                         .place = db_get_cstr(mem, rows, i, 18),
                         .street = db_get_cstr(mem, rows, i, 19),
                         .locality = db_get_cstr(mem, rows, i, 20),
                         .region = db_get_cstr(mem, rows, i, 21),
                         .postal_code = db_get_cstr(mem, rows, i, 22),
                         .country = db_get_cstr(mem, rows, i, 23),
                         .located = !db_is_null(rows, i, 24) && !db_is_null(rows, i, 25),
                         .latitude = db_get_double(rows, i, 24),
                         .longitude = db_get_double(rows, i, 25),
                         .virtual_url = db_get_cstr(mem, rows, i, 26),
                         .organizer = db_get_cstr(mem, rows, i, 27),
                         .organizer_email = db_get_cstr(mem, rows, i, 28),
                         .organizer_url = db_get_cstr(mem, rows, i, 29),
                         .rrule = db_get_cstr(mem, rows, i, 30),
                         .added = db_get_cstr(mem, rows, i, 31),
                         .taken = db_get_cstr(mem, rows, i, 32),
                         .series_timezone = db_get_cstr(mem, rows, i, 33),
                         .series_start_us = db_get_time_us(rows, i, 34),
                         .series_end_us = db_get_time_us(rows, i, 35)};
}

static void read_rows(Arena *mem, const DbRows *rows, CalendarRow **out, size_t *out_count)
{
    *out = ARENA_ARRAY(mem, CalendarRow, rows->count + 1);
    *out_count = (size_t)rows->count;
    for (int i = 0; i < rows->count; i++)
        read_row(mem, rows, i, &(*out)[i]);
}

/* With cards that have been kept. */
static Err read_shown(Request *rq, const DbRows *rows, CalendarRow **out, size_t *out_count)
{
    CardSlot *slots = ARENA_ARRAY(rq->mem, CardSlot, rows->count + 1);

    read_rows(rq->mem, rows, out, out_count);
    for (size_t i = 0; i < *out_count; i++)
        slots[i] = (CardSlot){(*out)[i].event_id, &(*out)[i].rendered, NULL, &(*out)[i].card};
    return events_store_cards(rq, slots, *out_count);
}

static const char BY_OCCURRENCE[] = COLUMNS(
    "NULL::text") " FROM unnest($1::text[]::uuid[]) WITH ORDINALITY AS k (id, n) JOIN occurrence o ON o.id = k.id" JOINS
                  " ORDER BY k.n";

Err events_store_calendar_of(Request *rq, const Uuid *occurrences, size_t count, CalendarRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice *ids = ARENA_ARRAY(rq->mem, Slice, count + 1);

    for (size_t i = 0; i < count; i++)
        ids[i] = slice(uuid_text(rq->mem, occurrences[i]));
    TRY(db_read(rq, BY_OCCURRENCE, DB_ARGS(db_text_array(ids, count)), &rows));
    return read_shown(rq, &rows, out, out_count);
}

static const char BY_EVENT[] =
    COLUMNS("NULL::text") " FROM occurrence o" JOINS " WHERE o.event_id = $1 ORDER BY o.start_at, o.id LIMIT $2";

Err events_store_calendar_of_event(Request *rq, Uuid event, int64_t limit, CalendarRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, BY_EVENT, DB_ARGS(db_uuid(event), db_int64(limit)), &rows));
    return read_shown(rq, &rows, out, out_count);
}

static const char BY_SERIES[] =
    COLUMNS("NULL::text") " FROM occurrence o" JOINS " WHERE e.series_id = $1 AND o.listed"
                          " AND o.start_at >= $2 ORDER BY o.start_at, o.event_id, o.id LIMIT $3";

Err events_store_calendar_of_series(Request *rq, Uuid series, int64_t from_us, int64_t limit, CalendarRow **out,
                                    size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, BY_SERIES, DB_ARGS(db_uuid(series), db_time_us(from_us), db_int64(limit)), &rows));
    return read_shown(rq, &rows, out, out_count);
}

static const char OF_ALL[] = COLUMNS("e.card") " FROM occurrence o" JOINS " WHERE o.listed AND o.event_id >= $1"
                                               " AND (o.event_id, o.id) > ($1, $2) ORDER BY o.event_id, o.id LIMIT $3";

Err events_store_calendar_of_all(Request *rq, Arena *mem, Uuid after_event, Uuid after, int64_t limit,
                                 CalendarRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, OF_ALL, DB_ARGS(db_uuid(after_event), db_uuid(after), db_int64(limit)), &rows));
    read_rows(mem, &rows, out, out_count);
    return OK;
}
