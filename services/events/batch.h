/* batch: up to a hundred submissions at once (contracts/events.md 7.6), worked off by a job. */
#pragma once
#include "services/events/events.h"
#include "shared/jobs.h"

enum {
    BATCH_MAX_ITEMS = 100,
    BATCH_MAX_WAIT_S = 25,
    BATCH_THREADS = 3, /* one waits for the disk while others compute; a connection of the pool each */
    BATCH_MAX_DELIVERIES = 10,
    BATCH_BACKOFF_MS = 500
};

/* What the jobs of batches run with. */
typedef struct BatchWorker {
    const Events *events;
    Db *db;
    const Clock *clock;
    Log *log;
} BatchWorker;
/* Tells the workers of a batch that waits, with the transaction. */
Err batch_hand_out(Request *rq, DbTx *tx, Uuid batch) MUST_CHECK;
/* A JobHandler; its context is a BatchWorker. */
Err batch_run(Job *job);

/* JSON values one after the other, with whatever white space between them (NDJSON); of lists what is in them, one
 * level. False: more than `max`, or brackets and quotes do not close. No value is looked into: whoever reads one finds
 * out whether it is JSON. `*out_single`: there is one value, and it is no list. Borrowed from `text`; the array is of
 * `mem`. */
bool batch_values(Arena *mem, Slice text, size_t max, Slice **out, size_t *out_count, bool *out_single);

/* The elements of a JSON list, which is valid. False: more than `max`. Borrowed from `list`; the array is of `mem`. */
bool batch_split(Arena *mem, Slice list, size_t max, Slice **out, size_t *out_count);
