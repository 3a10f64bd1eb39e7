/* housekeeping: what the service does by itself (contract 9.6, 13): entries of the review queue whose time is over,
 * events that waited for review until they had begun, decisions that follow from another trust of a source, events of
 * places and organisations that were merged or renamed. In one instance at a time (shared/sweeper.h). */
#pragma once
#include "services/events/entity.h"
#include "shared/sweeper.h"

typedef struct Housekeeping {
    const Events *events;
    Db *db;
    const Clock *clock;
    Log *log;
    int64_t hourly_ms;             /* from here on housekeeping's own: when the hourly ones are due again, monotonic */
    Uuid expired_to, repointed_to; /* events behind which it goes on; nil: at the first */
} Housekeeping;
/* `h` is borrowed until sweeper_stop. */
Sweeper *housekeeping_start(Housekeeping *h, Metrics *metrics);

/* One turn of each, for tests as well: `*out_more` when there may be more. An event that fails whatever one tries is
 * logged and left out. */
/* Events in state pending_review that have begun: deleted, reason "expired". */
Err housekeeping_expire(Housekeeping *h, bool *out_more) MUST_CHECK;
/* Rejected entries a week after the event; other decided ones after 90 days; results of batches after a
 * week. */
Err housekeeping_forget(Housekeeping *h, bool *out_more) MUST_CHECK;
Err housekeeping_trust(Housekeeping *h, bool *out_more) MUST_CHECK;
Err housekeeping_repoint(Housekeeping *h, bool *out_more) MUST_CHECK;
/* Batches whose job was given up are handed out again, every quarter of an hour until they are forgotten. */
Err housekeeping_batches(Housekeeping *h, bool *out_more) MUST_CHECK;
/* Documents of events whose place or organiser was renamed. */
Err housekeeping_render(Housekeeping *h, bool *out_more) MUST_CHECK;
