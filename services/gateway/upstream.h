/* upstream: requests to the services over the loop's bus connection, each with a deadline of its own. Replies come to
 * one wildcard inbox, `_INBOX.<me>.<callee>.<instance>.<token>`; the callback of cnats runs in a thread of its own (it
 * alone keeps the subject of a "no responders" reply) and hands messages to the loop in batches. Loop thread only. */
#pragma once
#include "shared/bus.h"
#include "shared/metrics.h"

typedef struct Upstream Upstream;

typedef enum UpstreamOutcome {
    UPSTREAM_REPLIED,
    UPSTREAM_NOBODY, /* nobody takes such requests: it did not run */
    UPSTREAM_LOST,   /* the bus was lost meanwhile: it may have run, no answer will come */
    UPSTREAM_LATE    /* past its deadline: it may have run */
} UpstreamOutcome;

/* `msg` is of UPSTREAM_REPLIED, and dead when this returns. */
typedef void (*UpstreamDone)(void *data, UpstreamOutcome outcome, natsMsg *msg);

/* A request that streams: what upstream_forget takes. */
typedef struct UpstreamTicket {
    uint32_t index, generation;
} UpstreamTicket;

typedef struct UpstreamRequest {
    const char *subject, *callee; /* "rpc.main.auth.v1.Login", "auth" */
    const BusHeader *headers;
    size_t header_count;
    Slice body;
    int64_t timeout_ms;
    UpstreamDone done;
    void *data;
    UpstreamTicket *out_stream; /* not NULL: `done` is called for every message, until upstream_forget, or an outcome
                                 * without one */
} UpstreamRequest;

/* `bus` lives on `loop`. */
Err upstream_new(Bus *bus, Loop *loop, Metrics *metrics, Upstream **out) MUST_CHECK;
void upstream_free(Upstream *u); /* what still waits is forgotten, its callbacks are not called */
CLEANUP_FN(Upstream, upstream_free)

/* UNAVAILABLE at once while the bus is away; then `done` is not called. */
Err upstream_send(Upstream *u, const UpstreamRequest *rq) MUST_CHECK;
/* Nothing more of it is wanted; also from within its `done`. One that has ended is ignored. */
void upstream_forget(Upstream *u, UpstreamTicket ticket);
/* For all that wait: the bus was lost, and with it their answers. */
void upstream_lost(Upstream *u);
size_t upstream_waiting(const Upstream *u);
