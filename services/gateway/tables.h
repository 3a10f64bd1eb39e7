/* tables: the generated data file, made ready for serving: operations by path, reasons, rate classes, message types.
 * One is in use; SIGHUP loads the next beside it, and requests in flight keep theirs. One thread: the loop's. */
#pragma once
#include "services/gateway/rates.h"
#include "shared/metrics.h"
#include "shared/routes.h"
#include "shared/types.h"

enum {
    TABLES_FORMAT = 1,
    TABLES_MAX_BYTES = 64 * 1024 * 1024,
    OPERATION_MAX_CODES = 24,
    SOCKET_FRAME_IN_MAX_BYTES = 1024 * 1024 /* a socket's max_frame_bytes at most */
};

/* Of an rpc that is a WebSocket: atrium.SocketRules. */
typedef struct SocketSpec {
    uint32_t max_frame_bytes, frames_per_minute, queue_bytes;
    uint16_t flood_close, slow_close, revoked_close, silent_close;
    Slice farewell;               /* empty: none */
    const char *const *protocols; /* in no order: the client's counts */
    size_t protocol_count;
} SocketSpec;

/* A server-streaming rpc that a socket's reply may attach. */
typedef struct StreamSpec {
    const char *domain, *version, *rpc, *subject;
    const MessageType *reply;
    uint32_t timeout_ms;
} StreamSpec;

/* One HTTP binding of one rpc. */
typedef struct Operation {
    const char *method, *path; /* as in the proto */
    const char *domain, *version, *rpc;
    const char *subject; /* rpc.<slot>.<domain>.<version>.<rpc> */
    const MessageType *request, *reply;
    enum { BODY_NONE, BODY_WHOLE, BODY_FIELD } body;
    const FieldType *body_field; /* of BODY_FIELD: a message */
    bool raw_request, raw_reply; /* HttpBody: of BODY_FIELD, the field */
    const char *response_body;   /* "" is the whole message */
    int caller;                  /* Atrium__CallerPolicy */
    const char *permission;      /* "" none */
    const char *cookie;          /* that may hold the credential; NULL: the dialect's, if it has one */
    uint32_t timeout_ms, status, max_bytes;
    const RateRule *rate;       /* NULL none */
    int dialect;                /* Atrium__Dialect */
    bool profile_dialect;       /* shared by several contracts: see profile_dialect() */
    const char *const *headers; /* wanted request headers, lower case */
    size_t header_count;
    bool data_envelope, streams, bytes, idempotency_key, safe_again, lenient_body;
    Slice event_id, event_name;     /* fields of a streamed reply that become an event's; empty: none */
    bool raw_event;                 /* EventBody: the service has written the event's data itself */
    const char *events_rpc;         /* "" none */
    const struct Operation *events; /* what answers in its place who accepts text/event-stream; NULL: itself */
    const char *const *audience;    /* the domain and those it calls */
    size_t audience_count;
    const SocketSpec *socket; /* NULL: an ordinary rpc */
    /* Metric rows, made when first needed. */
    struct {
        int status;
        Counter *requests;
    } codes[OPERATION_MAX_CODES];
    size_t code_count;
    Histogram *duration;
} Operation;

/* A reason as one dialect shows it. */
typedef struct ReasonLook {
    const char *code, *text; /* text: NULL unless the dialect replaces it */
    int http;
    bool shown;
} ReasonLook;

typedef struct Tables Tables;
/* `overrides` is RATE_LIMITS (see rates.h). The result has one reference. Errors name the row. */
Err tables_load(Slice file, const char *slot, const char *rate_limits, Tables **out) MUST_CHECK;
Tables *tables_ref(Tables *t);
void tables_unref(Tables *t); /* the last one frees; NULL is fine */
CLEANUP_FN(Tables, tables_unref)

const RouteTree *tables_routes(const Tables *t);
size_t tables_operation_count(const Tables *t);
const TypeTables *tables_types(const Tables *t);
/* The operations that are WebSockets, one for each path. */
const Operation *const *tables_sockets(const Tables *t, size_t *out_count);
/* NULL when there is none. */
const StreamSpec *tables_stream(const Tables *t, const char *domain, const char *version, const char *rpc);
/* By key; an unknown key counts as INTERNAL, or as the common reason of `bus_status` when that is not 0. */
ReasonLook tables_reason(const Tables *t, const char *key, int bus_status, int dialect);
