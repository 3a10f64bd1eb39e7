/* events: what transcode tells, ready for the outbox; and its jobs, which go the same way. Borrowed from `mem`. */
#pragma once
#include "services/transcode/store.h"

/* "first", "renditions", "extras": names of metrics. */
const char *kind_name(int kind);
/* The job types of the work queue. Kinds have one each, but first jobs have two: pictures and documents, done in a
 * moment, wait for no film. */
enum { JOB_QUEUE_COUNT = 4 };
extern const char *const JOB_QUEUES[JOB_QUEUE_COUNT];
OutboxRow job_message(Arena *mem, IdSource *ids, const JobRow *job);
OutboxRow job_started_event(Arena *mem, IdSource *ids, const JobRow *job, int64_t now_us);
/* `result` is all of the job; `following` the kinds that come next. */
OutboxRow job_finished_event(Arena *mem, IdSource *ids, const JobRow *job, const Transcode__V1__StepResult *result,
                             const int *following, size_t following_count, int64_t now_us);
OutboxRow job_failed_event(Arena *mem, IdSource *ids, const JobRow *job, const char *code, const char *message,
                           bool is_final, bool retryable, int64_t now_us);
/* Not by the outbox: it may be lost. */
void tell_progress(const Transcode *t, Arena *mem, const JobRow *job, const char *step, int progress);
