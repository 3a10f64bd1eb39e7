/* store_import: calendars that were read, and what they had. */
#pragma once
#include "services/events/entity.h"

typedef struct CalendarKnown {
    Uuid id; /* nil: never read */
    const char *etag;
    int64_t reading;
} CalendarKnown;
Err import_store_calendar(Request *rq, const char *owner, const char *name, CalendarKnown *out) MUST_CHECK;
/* Begins a reading: makes the row or counts on. `out->etag` is empty from here on, until it is finished. */
Err import_store_begin(DbTx *tx, Uuid fresh, const char *owner, const char *name, int64_t now_us,
                       CalendarKnown *out) MUST_CHECK;
Err import_store_finish(DbTx *tx, Uuid calendar, const char *etag) MUST_CHECK;

typedef struct EntryKnown {
    const char *uid, *hash;
    Uuid event;
    bool gone;
} EntryKnown;
/* By uid, in the order of bytes. Of rq->mem. */
Err import_store_entries(Request *rq, Uuid calendar, EntryKnown **out, size_t *out_count) MUST_CHECK;
/* It is in this reading. */
Err import_store_entry(DbTx *tx, Uuid calendar, Slice uid, Uuid event, const char *hash, int64_t reading) MUST_CHECK;
/* It is not. */
Err import_store_gone(DbTx *tx, Uuid calendar, const char *uid) MUST_CHECK;
