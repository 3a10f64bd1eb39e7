/* recurrence: the instants of a series (RFC 5545 3.8.5): a rule, dates added, dates taken out, in a time zone. What the
 * clock on the wall shows stays the same over daylight saving time. Pure. */
#pragma once
#include "services/events/rrule.h"
#include "shared/zone.h"

enum {
    RECURRENCE_DATES_MAX = 1000, /* of a series: added, and taken out */
    RECURRENCE_INSTANCES_MAX = 10000
};

/* A time as it was given: RDATE, EXDATE, RECURRENCE-ID. */
typedef struct RecurrenceTime {
    enum { RECURRENCE_WALL, RECURRENCE_INSTANT, RECURRENCE_DATE } kind;
    int64_t at_s; /* wall time, or the instant; of a date its first second on the wall */
} RecurrenceTime;
/* RFC 3339 with an offset, "2026-03-09T20:00:00" without (wall), "2026-03-09", or the forms of RFC 5545. */
bool recurrence_read_time(Slice text, RecurrenceTime *out);
/* Where it lies in this zone. */
int64_t recurrence_time_unix(const RecurrenceTime *time, const Zone *zone);

typedef struct Recurrence {
    const Zone *zone;
    int64_t start_wall_s;
    const Rrule *rule; /* NULL: the start, and the dates added */
    const RecurrenceTime *added, *taken;
    size_t added_count, taken_count;
} Recurrence;

typedef struct Instance {
    int64_t wall_s; /* names it within the series, whatever becomes of it later: its RECURRENCE-ID */
    int64_t unix_s;
} Instance;

/* Those that begin in [from, to], ascending, each instant once; at most `max` (up to RECURRENCE_INSTANCES_MAX).
 * `out_more`: there are more in that time, or the walk was cut. Borrowed from `mem`. */
void recurrence_expand(Arena *mem, const Recurrence *recurrence, int64_t from_unix_s, int64_t to_unix_s, size_t max,
                       Instance **out, size_t *out_count, bool *out_more);
