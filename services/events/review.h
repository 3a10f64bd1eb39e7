/* review: submissions that wait for somebody to look at them (contract 9). An event has at most one entry that waits.
 */
#pragma once
#include "services/events/entity.h"
#include "services/events/findings.h"

typedef struct ReviewOpening {
    Uuid event;
    Uuid source; /* nil: none */
    const char *source_event_id;
    const Findings *warnings;
    Slice original, normalized; /* JSON objects: what came, what was made of it; empty: none */
    Slice changes;              /* JSON array of {field, original, corrected, reason}; empty: none */
    Uuid twin;                  /* an event that it may be the same as; nil: none */
} ReviewOpening;
/* Opens an entry, or changes the one that waits: its texts are then those of `o`, its twins both's. The caller holds
 * the event's lock. `out_id` may be NULL. */
Err review_open(const EntityWriter *w, const ReviewOpening *o, int64_t *out_id) MUST_CHECK;
/* Of an event that was there before: somebody else's submission may be the same. One more warning and twin for the
 * entry that waits, or a new entry; the event stays as public as it is. */
Err review_suspect(const EntityWriter *w, Uuid event, const Finding *warning, Uuid twin) MUST_CHECK;
/* Tells the platform that an entry waits no more; decisions of this file do it by themselves. */
Err review_announce_closed(const EntityWriter *w, Uuid event, int64_t id, const char *status) MUST_CHECK;
/* What was wrong is right now, by a later submission: the entry that waits, if any, is approved. */
Err review_clear(const EntityWriter *w, Uuid event) MUST_CHECK;

typedef struct RejectedBefore {
    bool rejected; /* it was, with whatever warnings */
    bool found;    /* and with these, and it has not been over for a week */
    const char *reviewer, *reason;
    int64_t reviewed_us;
} RejectedBefore;
/* Was this event, which is a tombstone now, rejected, with the same warnings (9.5)? */
Err review_rejected_before(const EntityWriter *w, Uuid event, const Findings *warnings, RejectedBefore *out) MUST_CHECK;
/* The answer to that: PREVIOUSLY_REJECTED with the details. */
Err review_refuse(Request *rq, const RejectedBefore *before);

/* Those of `candidates` of which nobody has said that they are not the same as `event`, in their order; `out` has room
 * for all. */
Err review_possible_twins(const EntityWriter *w, Uuid event, const Uuid *candidates, size_t count, Uuid *out,
                          size_t *out_count) MUST_CHECK;
Err review_not_duplicates(const EntityWriter *w, Uuid a, Uuid b, int64_t said_by) MUST_CHECK;

/* Entries that wait, of events that became part of another: "merged", or "dismissed" by a consolidation. Their ids, of
 * w->mem. */
Err review_dismiss(const EntityWriter *w, const Uuid *events, size_t count, const char *status, Uuid successor,
                   int64_t **out_ids, size_t *out_count) MUST_CHECK;
