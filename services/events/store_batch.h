/* store_batch: batches of submissions and what became of their items. */
#pragma once
#include "services/events/batch.h"
#include "services/events/ingest.h"

typedef struct BatchRow {
    Uuid id;
    int64_t number;
    int64_t completed_us; /* 0: not yet */
    Submitter by;
    size_t item_count;
} BatchRow;

typedef struct BatchItem {
    const char *status; /* "" it waits */
    Uuid event;         /* nil: none */
    bool review;
    const char *error; /* "" none */
} BatchItem;

/* Sets row->number. */
Err batch_store_insert(DbTx *tx, BatchRow *row, const Slice *payloads, int64_t now_us) MUST_CHECK;
/* `out_found` false: there is none. Items in their order, of `mem`. */
Err batch_store_status(Request *rq, Uuid id, bool *out_found, BatchRow *out, BatchItem **out_items) MUST_CHECK;
/* Is all of it done? False, too, when there is none. */
Err batch_store_completed(Request *rq, Uuid id, bool *out) MUST_CHECK;

/* --- working off ------------------------------------------------------------------------------------------------- */
/* Positions of the items that wait, in order. */
Err batch_store_waiting(Db *db, int64_t timeout_ms, Uuid id, int out[BATCH_MAX_ITEMS], size_t *out_count) MUST_CHECK;
/* The item, locked, if it still waits and no other worker holds it. */
Err batch_store_take(DbTx *tx, Arena *mem, Uuid id, int position, bool *out_taken, Slice *out_payload,
                     Submitter *out_by) MUST_CHECK;
Err batch_store_finish_item(DbTx *tx, Uuid id, int position, const BatchItem *item) MUST_CHECK;
/* Batches that wait since `before_us` and were handed to a worker no later: `limit` of them, marked as handed out now.
 */
Err batch_store_stranded(DbTx *tx, Arena *mem, int64_t before_us, int64_t now_us, int64_t limit, Uuid **out,
                         size_t *out_count) MUST_CHECK;
/* Completed, if no item waits any more. */
Err batch_store_complete(DbTx *tx, Uuid id, int64_t now_us, bool *out_done) MUST_CHECK;
