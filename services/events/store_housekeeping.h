/* store_housekeeping: what has had its time. */
#pragma once
#include "services/events/entity.h"

/* Events in state pending_review of which no occurrence starts after `now_us`, behind `after`. */
Err events_store_begun(Request *rq, int64_t now_us, Uuid after, int64_t limit, Uuid **out,
                       size_t *out_count) MUST_CHECK;
/* Decided entries: rejected ones of events that ended before `ended_us`, others decided before `decided_us`. */
Err events_store_forget_reviews(DbTx *tx, int64_t ended_us, int64_t decided_us, int64_t limit,
                                int64_t *out_count) MUST_CHECK;
/* Batches that were handed in before, and what became of their items. */
Err events_store_forget_batches(DbTx *tx, int64_t before_us, int64_t limit, int64_t *out_count) MUST_CHECK;
/* A source whose trust has changed, and the next events that it and others speak of; a nil source: there is none. */
Err events_store_next_trust(Request *rq, int64_t limit, Arena *mem, Uuid *out_source, Uuid *out_after, Uuid **out,
                            size_t *out_count) MUST_CHECK;
/* Up to there it is done; a nil `after`: all of it. Nothing when the trust has changed again meanwhile: from `before`.
 */
Err events_store_trust_done(DbTx *tx, Uuid source, Uuid before, Uuid after) MUST_CHECK;
/* A place or organisation that was merged, and events behind `after` that still name it. */
typedef struct StillNamed {
    EntityKind kind;
    Uuid from, to;
} StillNamed;
Err events_store_still_named(Request *rq, Uuid after, int64_t limit, StillNamed *out, Uuid **out_events,
                             size_t *out_count) MUST_CHECK;

/* --- accounts that are gone ----------------------------------------------------------------------------------------
 */
enum { ERASE_BATCH = 1000 };
/* `*out_rows` of them lost the account's traces; call again while it is not 0. */
Err events_store_erase(DbTx *tx, int64_t user_id, int64_t *out_rows) MUST_CHECK;
