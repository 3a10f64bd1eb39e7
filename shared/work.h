/* work: the common ground of event consumers (outbox.h) and job queues (jobs.h): a durable pull consumer that threads
 * work off, with explicit acks, in-progress acks, back-off, a bound on deliveries, and dead letters. Not for services.
 *
 * The bound is kept here, not by the server: with max_deliver the server only stops delivering, tells it on a subject
 * that may be missed, and leaves the message in the stream. So the consumer's own limit is none; what arrives once more
 * than it may is moved to DEAD_<DOMAIN>, which also catches messages that kill their worker each time. */
#pragma once
#include <stdatomic.h>

#include "shared/bus.h"
#include "shared/metrics.h"

typedef struct WorkItem {
    const char *subject;
    Slice body;
    int delivery; /* 1 is the first */
    uint64_t stream_sequence;
    int64_t stored_us; /* when the stream took it */
    natsMsg *msg;      /* for bus_header */
    const atomic_bool *stop;
} WorkItem;

typedef struct WorkOptions {
    Bus *bus;
    Log *log;
    Metrics *metrics;
    const char *stream, *durable, *filter;
    const char *dead_domain; /* dead letters go to DEAD_<DOMAIN>, dead.<domain>.<dead_kind>.<dead_name> */
    const char *dead_kind, *dead_name;
    int max_deliveries;
    int64_t backoff_ms;  /* doubles per delivery, up to an hour */
    int64_t ack_wait_ms; /* 0: 30 s. A message whose worker vanished comes again after this */
    int threads;
    int batch;      /* fetched at a time by each thread */
    bool retry_all; /* else only failures whose reason may be retried come again */
    /* Looks for the stream when it was missing; NULL when that is somebody else's. Texts as in `context` stay the
     * caller's.
     */
    Err (*ensure)(void *context);
    Err (*handle)(void *context, Arena *mem, const WorkItem *item);
    void *context;
} WorkOptions;

typedef struct Work Work;
/* Texts are copied. Starts at once; waits in the background for a stream that is not there yet. */
Work *work_start(const WorkOptions *options);
/* Returns at once; work_stop is still to come. */
void work_tell_stop(Work *w);
/* Stops fetching and waits for handlers; false when one still runs after `timeout_ms`: then `w` is left to it, and what
 * it works on comes again elsewhere. */
bool work_stop(Work *w, int64_t timeout_ms);

enum { WORK_NAME_BYTES = 64 };
/* Publishes to JetStream and waits for the stream to have it. */
Err work_publish(Bus *bus, natsMsg *msg) MUST_CHECK;
/* Headers of one message onto another, but for those that begin with "Nats-" or "Atrium-Dead-". */
Err work_copy_headers(natsMsg *from, natsMsg *to) MUST_CHECK;
