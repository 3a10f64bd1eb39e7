/* store_calendar: what calendars say of occurrences. */
#pragma once
#include "services/events/entity.h"

/* One occurrence with its event, place, organiser and series. Texts are never NULL, of the request. */
typedef struct CalendarRow {
    Uuid event_id, occurrence_id, series_id; /* series_id nil: none that has a rule and makes this event's */
    int64_t start_us, end_us;                /* end 0: not known */
    int64_t recurrence_us;                   /* 0: no series made it */
    bool detached;
    const char *timezone, *occurrence_status, *lifecycle;
    int64_t version, rendered, created_us, updated_us;
    const char *name, *description, *keywords; /* keywords with \x01 between them */
    Slice card;
    const char *place, *street, *locality, *region, *postal_code, *country; /* "": no place */
    bool located;
    double latitude, longitude;
    const char *virtual_url; /* of the occurrence, or of its event where it has no place either */
    const char *organizer, *organizer_email, *organizer_url;
    const char *rrule, *added, *taken, *series_timezone;
    int64_t series_start_us, series_end_us;
} CalendarRow;

/* Of these occurrences, in this order, without those that the caller may not see (any more); of all of an event's or of
 * a series' events', by start. At most `limit`. */
Err events_store_calendar_of(Request *rq, const Uuid *occurrences, size_t count, CalendarRow **out,
                             size_t *out_count) MUST_CHECK;
Err events_store_calendar_of_event(Request *rq, Uuid event, int64_t limit, CalendarRow **out,
                                   size_t *out_count) MUST_CHECK;
/* Public ones only: all there are, by event, behind one of an event's; of `mem`. */
Err events_store_calendar_of_all(Request *rq, Arena *mem, Uuid after_event, Uuid after, int64_t limit,
                                 CalendarRow **out, size_t *out_count) MUST_CHECK;
/* Public ones only. */
Err events_store_calendar_of_series(Request *rq, Uuid series, int64_t from_us, int64_t limit, CalendarRow **out,
                                    size_t *out_count) MUST_CHECK;
