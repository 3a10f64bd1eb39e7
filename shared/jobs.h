/* jobs: durable work on a JetStream work queue, JOBS_<DOMAIN>, subjects job.<domain>.<type>. Explicit ack, in-progress
 * acks by themselves while a handler runs, back-off, a bound on deliveries, dead letters that can be listed and
 * replayed (stream DEAD_<DOMAIN>). Handlers are idempotent: a job may run again after a crash. */
#pragma once
#include <stdatomic.h>

#include "shared/bus.h"
#include "shared/message.h"
#include "shared/metrics.h"

typedef struct Job {
    Arena *mem;
    const char *id; /* Nats-Msg-Id */
    const char *type;
    const ProtobufCMessage *body;
    int delivery;
    void *context;
    const atomic_bool *stop; /* true when the service drains: give up soon, the job comes again */
} Job;
/* A failure whose reason may be retried comes again; another is dead at once. */
typedef Err (*JobHandler)(Job *job);

typedef struct JobType {
    const char *name; /* "render" */
    const ProtobufCMessageDescriptor *body;
    JobHandler handler;
    int max_deliveries;
    int64_t backoff_ms;  /* doubles per delivery, up to an hour */
    int64_t ack_wait_ms; /* 0: 30 s. A job whose worker vanished comes again after this */
    int threads;
} JobType;

typedef struct JobQueueOptions {
    Bus *bus;
    Log *log;
    Metrics *metrics;
    const char *domain;
    const JobType *types;
    size_t type_count;
    void *context;
} JobQueueOptions;
typedef struct JobQueue JobQueue;
/* The streams are there (streams.h). */
Err job_queue_start(const JobQueueOptions *options, JobQueue **out) MUST_CHECK;
/* Stops fetching, waits for handlers, at most `timeout_ms`. */
void job_queue_stop(JobQueue *q, int64_t timeout_ms);
/* Enqueues outside a transaction. Within one, use the outbox with subject "job.<domain>.<type>". `id` de-duplicates. */
Err job_enqueue(Bus *bus, const char *domain, const char *type, const char *id,
                const ProtobufCMessage *body) MUST_CHECK;

typedef struct DeadJob {
    uint64_t sequence;
    const char *type, *id, *error;
    int64_t died_us;
    int deliveries;
} DeadJob;
/* Calls `row` for each, oldest first, at most `limit`. */
Err job_dead_list(Bus *bus, const char *domain, int limit, void (*row)(void *data, const DeadJob *job),
                  void *data) MUST_CHECK;
/* Puts a dead job back to work. NOT_FOUND. */
Err job_dead_replay(Bus *bus, const char *domain, uint64_t sequence) MUST_CHECK;
Err job_dead_drop(Bus *bus, const char *domain, uint64_t sequence) MUST_CHECK;
