/* rrule: recurrence rules of RFC 5545 3.3.10, read and walked along. Times are wall times (shared/zone.h): a rule says
 * what the clock shows, and recurrence.h makes instants of it. Pure; no allocation.
 *
 * Own, where libical has an iterator: one step of that one took over 20 s for a rule that never comes true
 * ("FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30") and cannot be stopped. A walk of ours ends after RRULE_STEPS_MAX steps,
 * some milliseconds, and says so. */
#pragma once
#include "shared/civil.h"
#include "shared/err.h"
#include "shared/slice.h"

enum {
    RRULE_TEXT_MAX_BYTES = 2048,
    RRULE_INTERVAL_MAX = 10000,
    RRULE_COUNT_MAX = 1000000,
    RRULE_NTHS_MAX = 64,       /* "2MO" and the like */
    RRULE_POSITIONS_MAX = 366, /* BYSETPOS */
    RRULE_STEPS_MAX = 200000,  /* of one walk: periods, and times in them */
    RRULE_YEAR_MAX = 9999
};

typedef enum RruleFrequency { RRULE_YEARLY, RRULE_MONTHLY, RRULE_WEEKLY, RRULE_DAILY, RRULE_HOURLY } RruleFrequency;

typedef struct RruleNth {
    int8_t weekday; /* 0 is Monday */
    int16_t nth;    /* below zero: from the end */
} RruleNth;

/* Sets of numbers are bits: bit n of `hours` is hour n. Zero: the part is not there. */
typedef struct Rrule {
    RruleFrequency frequency;
    int interval;
    int64_t count; /* 0: no bound */
    enum { RRULE_FOREVER, RRULE_UNTIL_WALL, RRULE_UNTIL_UTC, RRULE_UNTIL_DATE } until;
    int64_t until_s; /* wall time, or the instant; of a date its first second */
    int week_start;
    uint64_t seconds, minutes, hours, months;
    uint64_t monthdays, monthdays_back; /* from the end: the last is 1 */
    uint64_t weeks, weeks_back;
    uint64_t yeardays[6], yeardays_back[6];
    uint8_t weekdays;
    RruleNth nths[RRULE_NTHS_MAX];
    size_t nth_count;
    int16_t positions[RRULE_POSITIONS_MAX];
    size_t position_count;
} Rrule;

/* In any case of letters, with or without "RRULE:". INVALID_ARGUMENT names the part: "BYDAY: …". Refused besides what
 * the RFC refuses: SECONDLY and MINUTELY (C 10.2), RSCALE, and what is above the limits. */
Err rrule_read(Slice text, Rrule *out) MUST_CHECK;

/* "20260309T200000" with `out_utc` for a Z behind it, or "20260309" with `out_date`; false for anything else. */
bool rrule_read_time(Slice text, int64_t *out_s, bool *out_date, bool *out_utc);

/* A walk: begin, then next until false. Opaque but for `cut`. */
typedef struct RruleWalk {
    bool cut;   /* it ended for its length: there may be more */
    Rrule rule; /* with what the beginning adds to it */
    int64_t start_s, from_s, to_s, returned, steps;
    int64_t period; /* years, months, weeks, days or hours from the first one */
    bool over;
    int64_t days[366]; /* of the period */
    uint8_t hours[24], minutes[61], seconds[61];
    size_t day_count, hour_count, minute_count, second_count;
    int64_t chosen[RRULE_POSITIONS_MAX]; /* by BYSETPOS: which of the period's times */
    int64_t chosen_count, at, end;       /* in the period's times, or in the chosen ones */
} RruleWalk;
/* `from_s`: earlier times are not wanted (they count for COUNT all the same). `to_s`: none later. UNTIL in UTC is the
 * caller's to heed: only he knows the zone. */
void rrule_walk_begin(RruleWalk *walk, const Rrule *rule, int64_t start_s, int64_t from_s, int64_t to_s);
/* Ascending, each once, none before the start. The start itself only if the rule says so. */
bool rrule_walk_next(RruleWalk *walk, int64_t *out_wall_s);
