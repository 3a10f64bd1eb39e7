/* merge: two places, or two organisations, that are one. */
#pragma once
#include "services/events/entity.h"

enum { REPOINT_MAX = 100 /* events that a merge changes itself; the rest follows (housekeeping.h) */ };

typedef struct Merged {
    Uuid canonical;
    bool already; /* it had been merged before */
} Merged;
/* `duplicate` becomes a tombstone that names `primary`, which takes what it lacks from it; events follow. Locks events
 * first. INVALID_ARGUMENT (the same one), NOT_FOUND, GONE. */
Err merge_places(const EntityWriter *w, Uuid primary, Uuid duplicate, Merged *out) MUST_CHECK;
Err merge_organizations(const EntityWriter *w, Uuid primary, Uuid duplicate, Merged *out) MUST_CHECK;
/* An event that names `from`, a tombstone, is of `to` from now on. */
Err merge_repoint_event(const EntityWriter *w, Uuid id, EntityKind kind, Uuid from, Uuid to) MUST_CHECK;
