/* rpc: the serving side of the bus. Requests arrive on rpc.<slot>.<domain>… (from the gateway) and
 * svc.<slot>.*.<domain>… (from services), queue group <domain>. A receiving loop puts each on its lane's bounded queue;
 * worker threads decode, check the caller, run the handler and answer. What is the same for every rpc stands here,
 * driven by its row: decoding, caller policy, deadline, idempotency, metrics, traces, error replies, arena.
 *
 * Headers in: traceparent, Atrium-Timeout-Ms, Atrium-Profile, Atrium-Client, Atrium-Caller, Idempotency-Key,
 * X-Request-Id, and "Http-<name>" for each request header that the rpc asked for. Headers out: Nats-Service-Error-Code,
 * Nats-Service-Error, Http-Status, "Http-<Name>" for reply headers, Atrium-After. */
#pragma once
#include "atrium/reasons.atrium.h"
#include "shared/bus.h"
#include "shared/caller.h"
#include "shared/db.h"
#include "shared/message.h"
#include "shared/metrics.h"
#include "shared/structs.h"
#include "shared/trace.h"

typedef struct Request Request;
typedef struct Client Client;
typedef struct RpcStream RpcStream;

/* --- the rows, generated from the protos ------------------------------------------------------------------------- */
enum { /* who may call: Atrium__CallerPolicy */
       RPC_ANYONE = 1,
       RPC_OPTIONAL,
       RPC_USER,
       RPC_OPERATOR,
       RPC_ADMIN,
       RPC_SERVICE,
       RPC_GATEWAY
};
enum { RPC_IDEMPOTENCY_NONE, RPC_IDEMPOTENCY_SAFE, RPC_IDEMPOTENCY_KEY }; /* Atrium__Idempotency */

/* What client and server both know of an rpc. */
typedef struct RpcMethod {
    const char *domain, *version, *name; /* "auth", "v1", "Login" */
    const ProtobufCMessageDescriptor *request, *reply;
    int caller;
    const char *permission; /* "" none */
    uint32_t timeout_ms;
    const char *lane;
    int idempotency;
    uint32_t max_bytes;
    bool streams;
} RpcMethod;

typedef struct RpcHandler {
    const RpcMethod *method;
    /* One of the two, by method->streams. */
    Err (*call)(Request *rq, const ProtobufCMessage *in, ProtobufCMessage *out);
    Err (*stream)(Request *rq, const ProtobufCMessage *in, RpcStream *out);
} RpcHandler;

typedef struct RpcService {
    const char *name; /* "atrium.auth.v1.AuthService" */
    const char *domain;
    const RpcHandler *handlers;
    size_t handler_count;
} RpcService;

/* --- what a handler sees ----------------------------------------------------------------------------------------- */
typedef struct RequestHeader {
    const char *name, *value; /* names in lower case on requests */
} RequestHeader;

struct Request {
    Arena *mem;          /* lives until the reply is sent */
    const void *service; /* the service's own context */
    Caller caller;
    const char *profile; /* "all", "chat-web" …; "all" when absent */
    const char *client_address;
    const char *id; /* X-Request-Id */
    TraceContext trace;
    const Clock *clock;
    int64_t deadline_ms; /* on clock's monotonic time */
    Db *db;              /* NULL when the service has none */
    Client *client;      /* to call others; acts for this caller */
    Log *log;
    const char *idempotency_key; /* NULL when none */
    const RequestHeader *headers;
    size_t header_count;
    DbTx *outer_tx;            /* the dispatcher's, under an Idempotency-Key; db.c joins it */
    const char *caller_header; /* Atrium-Caller as it came, verified; the client passes it on; NULL none */

    struct RequestReply { /* what the reply needs beyond its message; use the functions below */
        int http_status;
        RequestHeader headers[16];
        size_t header_count;
        struct Atrium__Violation **violations;
        size_t violation_count;
        uint32_t retry_after_s;
        Struct *details;
        const char *after_mark;
    } reply;
    void *server; /* the dispatcher's own */
};

int64_t request_remaining_ms(const Request *rq);                 /* never below 0 */
const char *request_header(const Request *rq, const char *name); /* lower-case name; NULL when absent */
void request_set_status(Request *rq, int http_status);
/* Sent on by the gateway when the name is on its list (Set-Cookie, ETag, Location, Link, …); 16 at most. Copied. */
void request_set_header(Request *rq, const char *name, const char *value);
/* `field` is a dotted path of proto names. `part` is Atrium__Part. Answer with INVALID_ARGUMENT (or your own) after. */
void request_add_violation(Request *rq, int part, const char *field, const char *kind, const char *format, ...)
    PRINTF_LIKE(5, 6);
/* A numeric parameter of the violation added last: request_violation_context(rq, "min_length", 8). */
void request_violation_context(Request *rq, const char *name, double value);
bool request_has_violations(const Request *rq);
/* Further members of a failure's body; of rq->mem. Where they stand is the dialect's. */
void request_set_details(Request *rq, Struct *details);
void request_set_retry_after(Request *rq, uint32_t seconds);
/* The gateway holds the answer until it has written this dispatch, two seconds at most. */
void request_set_after(Request *rq, const char *mark);

/* --- streams -------------------------------------------------------------------------------------------------------
 */
/* The handler keeps its worker to the end: give long streams a lane of their own. Each message costs its length and
 * this of the reader's credit, so that even empty ones are bounded. */
enum { RPC_STREAM_MESSAGE_COST_BYTES = 128 };
/* Blocks until the reader has credit. From the handler's thread. CANCELLED when the reader is gone or the deadline is
 * over: return it. */
Err rpc_stream_send(RpcStream *stream, const ProtobufCMessage *message) MUST_CHECK;
bool rpc_stream_cancelled(const RpcStream *stream);
/* For many streams in one thread: rpc_defer in the handler frees its worker, too; what becomes of the stream is then
 * the deferrer's, one thread at a time, until rpc_finish ends it. This sends a message that is packed already (the same
 * one goes to many) at once, or not at all: `out_sent` is false while the reader has no credit. */
Err rpc_stream_try(RpcStream *stream, Slice packed, bool *out_sent) MUST_CHECK;

/* --- deferral -------------------------------------------------------------------------------------------------------
 */
/* Frees the worker: return rpc_defer(rq, &d) from the handler, and call rpc_finish once, later, from any thread. The
 * request and its arena live until then. Of a stream rpc_finish is the end, and `out` means nothing. */
typedef struct RpcDeferred RpcDeferred;
Err rpc_defer(Request *rq, RpcDeferred **out);
/* `out` is the reply (ignored when `e` failed); allocated from the request's arena. */
void rpc_finish(RpcDeferred *d, Err e, const ProtobufCMessage *out);
Request *rpc_deferred_request(RpcDeferred *d);

/* --- the server ------------------------------------------------------------------------------------------------------
 */
typedef struct RpcLane {
    const char *name; /* "fast", "slow" … */
    int threads;
    /* Instead of threads: so many requests at a time in fibers (fiber.h) of the bus's loop. Fastest by far, for
     * handlers that wait for nothing but the database: whatever else blocks (calls, hashing, files) would stop the
     * whole bus. */
    int fibers;
    int queue_max; /* full answers UNAVAILABLE with a retry hint at once */
    int nice;      /* 0; else it must not disturb, and what could not begin in time is refused as if full */
} RpcLane;

typedef struct RpcServerOptions {
    Bus *bus;
    const RpcService *const *services;
    size_t service_count;
    const RpcLane *lanes; /* NULL: fast 4 threads/1024, reads 256 fibers/1024, slow 1/64 at nice 10 */
    size_t lane_count;
    const void *context;
    Db *db;
    Client *client;
    CallerVerifier *verifier; /* NULL believes what comes on rpc. subjects, and refuses callers on svc. subjects */
    const Clock *clock;
    Log *log;
    Metrics *metrics;
    Tracer *tracer;
    const char *version, *commit;
    /* Largest arena kept by a worker between requests. */
    size_t arena_bytes;
} RpcServerOptions;

typedef struct RpcServer RpcServer;
/* Subscribes and serves at once, discovery ($SRV.PING/INFO/STATS) included. */
Err rpc_server_new(const RpcServerOptions *options, RpcServer **out) MUST_CHECK;
/* Stops taking, finishes what was taken (at most `timeout_ms`), flushes. */
void rpc_server_drain(RpcServer *server, int64_t timeout_ms);
void rpc_server_free(RpcServer *server);
CLEANUP_FN(RpcServer, rpc_server_free)

/* For tests: runs a handler as the dispatcher would, caller policy included. */
Err rpc_call(const RpcService *service, Request *rq, const char *method, const ProtobufCMessage *in,
             ProtobufCMessage *out);
