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

typedef struct UpstreamRequest {
    const char *subject, *callee; /* "rpc.main.auth.v1.Login", "auth" */
    const BusHeader *headers;
    size_t header_count;
    Slice body;
    int64_t timeout_ms;
    UpstreamDone done;
    void *data;
} UpstreamRequest;

/* `bus` lives on `loop`. */
Err upstream_new(Bus *bus, Loop *loop, Metrics *metrics, Upstream **out) MUST_CHECK;
void upstream_free(Upstream *u); /* what still waits is forgotten, its callbacks are not called */
CLEANUP_FN(Upstream, upstream_free)

/* UNAVAILABLE at once while the bus is away; then `done` is not called. */
Err upstream_send(Upstream *u, const UpstreamRequest *rq) MUST_CHECK;
/* For all that wait: the bus was lost, and with it their answers. */
void upstream_lost(Upstream *u);
size_t upstream_waiting(const Upstream *u);
