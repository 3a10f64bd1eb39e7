/* ical_events: what a calendar of the outside says, as submissions (contracts/events.md 7.1): one for each UID, with
 * its rule, and what becomes of single instances. Tolerant, and telling: whatever had to be guessed is a warning. Pure.
 */
#pragma once
#include "services/events/ical_read.h"
#include "services/events/recurrence.h"

enum {
    ICAL_EVENTS_MAX = 5000,
    ICAL_OVERRIDES_MAX = 500, /* of an event */
    ICAL_WARNINGS_MAX = 8,
    ICAL_UID_MAX_BYTES = 500,
    ICAL_BODY_MAX_BYTES = 200 * 1024 /* a submission */
};

typedef struct ImportRules {
    Zones *zones;
    const Zone *default_zone; /* of times that say none */
    const char *source_url, *source_name, *license;
} ImportRules;

/* One instance of a series that is not as the rule has it. */
typedef struct ImportedOverride {
    int64_t recurrence_us, start_us, end_us; /* end 0: none */
    bool cancelled;
} ImportedOverride;

typedef struct ImportedEvent {
    Slice uid, name;
    const char *error; /* NULL: `body` is a submission */
    Slice body;
    bool cancelled;
    ImportedOverride *overrides; /* by recurrence_us */
    size_t override_count;
    const char *warnings[ICAL_WARNINGS_MAX];
    size_t warning_count;
} ImportedEvent;

typedef struct ImportedCalendar {
    bool is_calendar; /* there was one, with or without events */
    bool whole;       /* nothing was left out: what is missing is not there */
    const char *name;
    ImportedEvent *events;
    size_t count;
} ImportedCalendar;
ImportedCalendar ical_events(Arena *mem, const IcalFile *file, const ImportRules *rules);

/* IANA, Windows' names, and names with one of these at their end ("/mozilla.org/20050126_1/Europe/Berlin"). */
const Zone *ical_find_zone(Zones *zones, Slice name);
