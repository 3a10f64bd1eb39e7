/* rpc_internal: what the files of the rpc module share. rpc.c: what handlers call, and caller policy. rpc_server.c:
 * lanes, workers, subscriptions. rpc_dispatch.c: one request from its message to its reply. rpc_stream.c: streams. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "shared/discovery.h"
#include "shared/fiber.h"
#include "shared/rpc.h"

typedef struct Endpoint Endpoint;
typedef struct Lane Lane;
typedef struct StreamHub StreamHub;

typedef struct Work {
    natsMsg *msg;
    Endpoint *endpoint;
    int64_t received_us; /* monotonic, of the server's clock */
} Work;

struct Endpoint { /* one rpc on one of its two subjects */
    RpcServer *server;
    const RpcHandler *handler;
    bool from_gateway; /* rpc., else svc. */
    Lane *lane;
    natsSubscription *sub;
    DiscoveryEndpoint discovery;
    char *rpc; /* "auth.v1.Login" */
    Counter *ok;
    Histogram *seconds;
};

struct RpcServer {
    RpcServerOptions o;
    Arena *mem; /* names; not touched after the start */
    const char *domain;
    Endpoint *endpoints;
    size_t endpoint_count;
    Lane *lanes;
    size_t lane_count;
    Discovery *discovery;
    bool batches;       /* the database's reads of fibers are gathered */
    StreamHub *streams; /* NULL without streaming rpcs */
    Slice busy;         /* the encoded Status of a full queue */
    atomic_int_fast64_t next_purge_ms;

    atomic_long active; /* taken and not yet answered: queued, running, deferred */
    atomic_bool draining, drained;
    pthread_mutex_t lock;
    pthread_cond_t idle; /* of `lock`: active is 0, while draining */
};

/* One request on its way; lives in the arena of its request, as all of it. */
typedef struct Exchange {
    Request rq;
    RpcServer *server;
    Endpoint *endpoint;
    natsMsg *msg;
    const char *reply; /* NULL: nobody wants an answer */
    const char *from;  /* who sent it on a svc. subject; "" else */
    int64_t received_us;
    Span span;
    RpcStream *stream;
    RpcDeferred *deferred;
} Exchange;

struct RpcDeferred {
    Exchange *x;
    Err result;
    const ProtobufCMessage *out;
    atomic_int pending; /* the worker and rpc_finish: who comes last answers */
};

/* --- rpc.c ------------------------------------------------------------------------------------------------------- */
extern const Reason RPC_DEFERRED; /* what rpc_defer returns: no error, no answer yet */
Err rpc_check_caller(const RpcMethod *method, const Caller *caller, bool from_gateway) MUST_CHECK;
/* atrium.Status of a failure, packed. `rq` may be NULL. */
Slice rpc_pack_status(Arena *mem, const Request *rq, Err e);
/* Fit for a header: the text where callers see it, one line. */
char *rpc_error_text(Arena *mem, Err e);

/* --- rpc_dispatch.c ---------------------------------------------------------------------------------------------- */
/* Answers, or leaves it to rpc_finish: true means that `mem` now belongs to the request. Destroys the message. */
bool rpc_dispatch(const Work *work, Arena *mem);
/* How long its caller waits from the moment it was sent on. */
int64_t rpc_timeout_ms(natsMsg *msg, const RpcMethod *method);
/* A reply that says no, with a packed Status. */
void rpc_refuse(RpcServer *server, const char *reply, const Reason *reason, const char *text, Slice status);

/* --- rpc_server.c ------------------------------------------------------------------------------------------------ */
void rpc_server_done_one(RpcServer *server); /* one request less is active */

/* --- rpc_stream.c ------------------------------------------------------------------------------------------------ */
Err stream_hub_start(RpcServer *server, StreamHub **out) MUST_CHECK;
void stream_hub_stop(StreamHub *hub); /* NULL is fine; no stream is open any more */
RpcStream *rpc_stream_open(Exchange *x);
/* Sends the end: good, or the failure. The stream is gone then. */
void rpc_stream_end(RpcStream *stream, Err e);
