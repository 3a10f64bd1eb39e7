/* store_import: see store_import.h. */
#include "services/events/store_import.h"

enum { ENTRIES_MAX = 20000 };

static const char CALENDAR[] = "SELECT id, etag, reading FROM calendar WHERE owner = $1 AND name = $2";

Err import_store_calendar(Request *rq, const char *owner, const char *name, CalendarKnown *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, CALENDAR, DB_ARGS(db_text(slice(owner)), db_text(slice(name))), &rows));
    *out = (CalendarKnown){.etag = ""};
    if (rows.count)
        *out = (CalendarKnown){.id = db_get_uuid(&rows, 0, 0),
                               .etag = db_get_cstr(rq->mem, &rows, 0, 1),
                               .reading = db_get_int64(&rows, 0, 2)};
    return OK;
}

/* Without its tag: a reading that does not come to its end is to be repeated. */
static const char BEGIN[] =
    "INSERT INTO calendar AS c (id, owner, name, reading, read_at) VALUES ($1, $2, $3, 1, $4)"
    " ON CONFLICT (owner, name) DO UPDATE SET reading = c.reading + 1, read_at = excluded.read_at, etag = ''"
    " RETURNING id, reading";

Err import_store_begin(DbTx *tx, Uuid fresh, const char *owner, const char *name, int64_t now_us, CalendarKnown *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, BEGIN, DB_ARGS(db_uuid(fresh), db_text(slice(owner)), db_text(slice(name)), db_time_us(now_us)),
                 &rows));
    *out = (CalendarKnown){.id = db_get_uuid(&rows, 0, 0), .etag = "", .reading = db_get_int64(&rows, 0, 1)};
    return OK;
}

static const char FINISH[] = "UPDATE calendar SET etag = $2 WHERE id = $1";

Err import_store_finish(DbTx *tx, Uuid calendar, const char *etag)
{
    return db_exec(tx, FINISH, DB_ARGS(db_uuid(calendar), db_text(slice(etag))));
}

static const char ENTRIES[] = "SELECT uid, hash, event_id, gone FROM calendar_entry WHERE calendar_id = $1"
                              " ORDER BY uid COLLATE \"C\" LIMIT $2";

Err import_store_entries(Request *rq, Uuid calendar, EntryKnown **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, ENTRIES, DB_ARGS(db_uuid(calendar), db_int64(ENTRIES_MAX)), &rows));
    *out = ARENA_ARRAY(rq->mem, EntryKnown, rows.count + 1);
    *out_count = (size_t)rows.count;
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (EntryKnown){.uid = db_get_cstr(rq->mem, &rows, i, 0),
                                 .hash = db_get_cstr(rq->mem, &rows, i, 1),
                                 .event = db_get_uuid(&rows, i, 2),
                                 .gone = db_get_bool(&rows, i, 3)};
    return OK;
}

static const char ENTRY[] =
    "INSERT INTO calendar_entry (calendar_id, uid, event_id, hash, reading) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT (calendar_id, uid) DO UPDATE SET event_id = excluded.event_id, hash = excluded.hash,"
    " reading = excluded.reading, gone = false";

Err import_store_entry(DbTx *tx, Uuid calendar, Slice uid, Uuid event, const char *hash, int64_t reading)
{
    return db_exec(tx, ENTRY,
                   DB_ARGS(db_uuid(calendar), db_text(uid), db_uuid(event), db_text(slice(hash)), db_int64(reading)));
}

static const char LEAVE[] = "UPDATE calendar_entry SET gone = true WHERE calendar_id = $1 AND uid = $2";

Err import_store_gone(DbTx *tx, Uuid calendar, const char *uid)
{
    return db_exec(tx, LEAVE, DB_ARGS(db_uuid(calendar), db_text(slice(uid))));
}
