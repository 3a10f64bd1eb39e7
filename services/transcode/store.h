/* store: every SQL statement of transcode. */
#pragma once
#include "services/transcode/transcode.h"
#include "shared/db.h"

typedef struct JobRow {
    Uuid id, media_id;
    int64_t generation, owner_id, size_bytes;
    int kind; /* transcode.v1.JobKind */
    const char *source_key, *mime_type, *filename;
    const char *state; /* "queued", "running", "done", "failed", "dead", "cancelled" */
    int attempt, attempts_left;
    const char *error_code, *error_text;
    int64_t finished_us;
} JobRow;

/* `*out_new` is false when the generation has such a job already. */
Err store_insert_job(DbTx *tx, const JobRow *job, int64_t now_us, bool *out_new) MUST_CHECK;
/* Another attempt at a job that is to be done; nil id when there is none. With no attempts left the row comes as it is,
 * `attempts_left` -1: its last worker vanished. */
Err store_begin_attempt(DbTx *tx, Arena *mem, Uuid id, int64_t now_us, JobRow *out) MUST_CHECK;
/* Ends this attempt, when it still is the job's: `*out_mine` is false where a later attempt or a cancellation came. */
Err store_end_attempt(DbTx *tx, const JobRow *job, const char *state, const char *code, const char *text,
                      int64_t now_us, bool *out_mine) MUST_CHECK;
/* A worker that drains gives the attempt back. */
Err store_release_attempt(DbTx *tx, const JobRow *job) MUST_CHECK;
/* Is this attempt still the one that is wanted? */
Err store_attempt_is_current(Db *db, const JobRow *job, int64_t timeout_ms, bool *out) MUST_CHECK;
/* Jobs of an item up to this generation that are not over; they are from now on. */
Err store_cancel_jobs(DbTx *tx, Arena *mem, Uuid media_id, int64_t generation, int64_t now_us, JobRow **out,
                      size_t *out_count) MUST_CHECK;

typedef struct StepRow {
    const char *name;
    Slice result; /* a StepResult */
} StepRow;
Err store_steps(Db *db, Arena *mem, Uuid job_id, int64_t timeout_ms, StepRow **out, size_t *out_count) MUST_CHECK;
/* Of all jobs of a generation. */
Err store_steps_of_media(DbTx *tx, Arena *mem, Uuid media_id, int64_t generation, StepRow **out,
                         size_t *out_count) MUST_CHECK;
Err store_insert_step(DbTx *tx, Uuid job_id, const StepRow *step, int64_t now_us) MUST_CHECK;

/* The latest first; `after` nil: from the latest. */
Err store_dead_jobs(struct Request *rq, Uuid after, int limit, JobRow **out, size_t *out_count) MUST_CHECK;
/* Nil id: it is not dead. */
Err store_requeue_job(DbTx *tx, Arena *mem, Uuid id, int attempts, JobRow *out) MUST_CHECK;

/* Jobs of a kind that are not over, and how long the oldest has been waiting; for metrics. */
Err store_queue(Db *db, int64_t timeout_ms, int kind, int64_t now_us, int64_t *out_count,
                int64_t *out_age_us) MUST_CHECK;
/* What is kept of one account. */
Err store_forget_owner(DbTx *tx, int64_t owner_id, int64_t *out_rows) MUST_CHECK;
