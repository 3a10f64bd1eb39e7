/* housekeeping: what the service does by itself (contract 9.6, 13): entries of the review queue whose time is over,
 * events that waited for review until they had begun, decisions that follow from another trust of a source, events of
 * places and organisations that were merged. In one instance at a time (shared/sweeper.h). */
#pragma once
#include "services/events/entity.h"
#include "shared/sweeper.h"

typedef struct Housekeeping {
    const Events *events;
    Db *db;
    const Clock *clock;
    Log *log;
    int64_t hourly_ms; /* housekeeping's own: when the hourly ones are due again, monotonic */
} Housekeeping;
/* `h` is borrowed until sweeper_stop. */
Sweeper *housekeeping_start(Housekeeping *h, Metrics *metrics);

/* One turn of each, for tests as well: `*out_more` when there may be more. */
/* Events in state pending_review that have begun: deleted, reason "expired". */
Err housekeeping_expire(Housekeeping *h, bool *out_more) MUST_CHECK;
/* Rejected entries a week after the event; other decided ones after 90 days; results of batches after a
 * week. */
Err housekeeping_forget(Housekeeping *h, bool *out_more) MUST_CHECK;
Err housekeeping_trust(Housekeeping *h, bool *out_more) MUST_CHECK;
Err housekeeping_repoint(Housekeeping *h, bool *out_more) MUST_CHECK;
