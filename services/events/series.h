/* series: events that happen again and again. A rule of RFC 5545 makes the occurrences of one event, ahead as far as
 * ICS_HORIZON_DAYS and ICS_MAX_OCCURRENCES say, and further every day. What was edited by itself (Occurrence.detached)
 * is left alone, and so is what is over. */
#pragma once
#include "services/events/entity.h"
#include "services/events/recurrence.h"
#include "shared/sweeper.h"

enum {
    SERIES_DATES_MAX_BYTES = 64 * 1024, /* of the dates added, and of those taken out */
    SERIES_KEY_MAX_BYTES = 2048
};

/* A series as it is handed in. Texts are never NULL, "" for none. */
typedef struct SeriesRule {
    const char *external_key, *name;
    const char *rrule; /* "": the first one, and the dates added */
    const char *const *added, *const *taken;
    size_t added_count, taken_count;
    const Zone *zone;
    int64_t start_us, end_us, door_us; /* of the first one; end and door 0 for none */
} SeriesRule;

/* Between event_init and event_save of a new event, and between event_load and event_save of a known one: makes or
 * joins the series of this source and key. The first event of a series gets its occurrences, one that joins it keeps
 * its own. Place and prices of the event's last occurrence that was not edited by itself are the pattern; it may have
 * none yet. What was taken out of the event by hand stays out, whatever `said` has. A new event has an id afterwards.
 * INVALID_ARGUMENT names what is wrong with rule or dates. */
Err series_apply(const EntityWriter *w, Uuid source, const SeriesRule *said, EventEntity *event) MUST_CHECK;

/* As schema.org has it, for eventSchedule; NULL where it has no words for the rule: then the occurrences tell. */
Node *series_schedule(Arena *mem, const Rrule *rule, const SeriesRule *series);

typedef struct SeriesKeeper {
    const Events *events;
    Db *db;
    const Clock *clock;
    Log *log;
} SeriesKeeper;
/* Occurrences further ahead, of the series that are due: those looked at a day ago. In transactions of its own; a
 * series that fails is logged, and comes again in a day. For a sweeper, and tests. `out_more`: others are due. */
Err series_extend(const SeriesKeeper *keeper, bool *out_more) MUST_CHECK;
/* Does so every few minutes, in one instance at a time. `keeper` is borrowed until sweeper_stop. */
Sweeper *series_sweeper_start(SeriesKeeper *keeper, Metrics *metrics);
