/* exchange: one HTTP request and its answer. exchange.c holds the path of a request from beginning to end, step by
 * step; what a step needs in detail is in head.c (request line and headers), request.c (into the bus), reply.c (out of
 * it) and own.c (paths of the gateway's own).
 *
 * A step that must wait (for auth, for Redis, for a service) suspends the connection; the event that it waits for goes
 * on with the next step. Loop thread only. */
#pragma once
#include <microhttpd.h>

#include "services/gateway/gateway.h"
#include "shared/json.h"

enum {
    REQUEST_HEADERS_MAX = 64,
    REQUEST_QUERY_MAX = 256, /* parameters */
    REQUEST_ID_MAX_BYTES = 128,
    REQUEST_URL_MAX_BYTES = 8192, /* the connection's memory bounds it, too */
    IDEMPOTENCY_KEY_MAX_BYTES = 255,
    DISCARD_MAX_BYTES = 1024 * 1024, /* of a refused request's body, so that its connection lives on */
    DISCARD_CHUNKED_MAX_BYTES = 64 * 1024 * 1024,
    REPLY_MAX_BYTES = 64 * 1024 * 1024, /* as JSON */
    EXCHANGE_ARENA_BYTES = 8192,
    EXCHANGES_IDLE_MAX = 512
};

typedef struct RequestHeaderField {
    Slice name, value;
} RequestHeaderField;

struct Exchange {
    Gateway *gateway;
    Exchange *next, *previous; /* among the idle, or the suspended */
    Arena *mem;
    struct MHD_Connection *connection;
    int port;
    int64_t started_us; /* monotonic */

    /* The request. */
    const char *method;  /* as sent */
    Slice lookup_method; /* GET for HEAD */
    Slice raw_path, raw_query;
    const char *uri_end; /* in MHD's buffer */
    size_t header_count;
    bool begun, has_body, chunked;
    uint64_t content_length;
    uint64_t received; /* of the body */
    StrBuf body;
    int64_t body_counted; /* of gateway->body_bytes */
    char request_id[REQUEST_ID_MAX_BYTES + 1];
    Address client;
    char client_text[ADDRESS_TEXT_BYTES];
    bool over_tls; /* so says a proxy that is believed */
    Span span;
    char trace_id[33];

    /* What it is about. */
    Tables *tables;
    Assets *assets;
    const Profile *profile;
    const Operation *op; /* NULL for own paths and unknown ones */
    int dialect_id;
    const Dialect *dialect;

    /* How far it is. */
    unsigned step;
    bool own;                       /* a path of the gateway's own */
    bool suspended, answered, told; /* told: the response was handed to MHD */
    bool unread;                    /* the body was not read to its end: the connection must close */

    /* Who sent it. */
    Slice token;
    bool by_cookie;
    enum { CREDENTIAL_NONE, CREDENTIAL_MALFORMED, CREDENTIAL_GIVEN } credential;
    int64_t user_id; /* 0 nobody */
    Role role;
    bool lacks_permission;     /* that the rpc asks for */
    const char *key_id;        /* of an API key; NULL: it was none */
    const char *rate_tier;     /* NULL none */
    const char *caller_header; /* NULL nobody */
    Slice csrf_owner;          /* whose tokens count: empty for nobody */

    /* In between. */
    bool transcoded;
    Slice wire;
    Slice json;           /* the body as it was read */
    const Failure *fault; /* found early, told later */
    RouteVariable *query;
    size_t query_count;
    bool has_rate;
    RateDecision rate;

    /* The answer. */
    int status;
    bool cors_done;
    struct MHD_Response *response;
    size_t response_bytes;

    /* Large, and not cleared for each request: their counts are. */
    RequestHeaderField headers[REQUEST_HEADERS_MAX];
    RoutePath path;
    RouteMatch match;
    HeaderList out;
};

Exchange *exchange_new(Gateway *g, struct MHD_Connection *connection, int port, const char *uri);
void exchange_end(Exchange *x);

/* All headers are there. False: the connection is to be closed without an answer. */
bool exchange_begin(Exchange *x, const char *method, const char *version);
bool exchange_take_body(Exchange *x, const char *data, size_t len);
/* The body is complete. Afterwards x->answered, or x must be suspended. */
void exchange_run(Exchange *x);
/* Its connection sleeps until it is answered. */
void exchange_suspend(Exchange *x);
void exchange_resume(Exchange *x); /* nothing when it does not sleep */
/* At the end: whoever still waits is told that we stop, since MHD cannot stop while connections sleep. What they waited
 * for must not come any more. */
void exchanges_abandon(Gateway *g);
void exchanges_free_idle(Gateway *g);

/* Is the answer due before the body, because that is too long to be read for nothing? */
bool exchange_is_refused_early(const Exchange *x);

/* --- for the steps --------------------------------------------------------------------------------------------------
 */
typedef enum StepResult { STEP_NEXT, STEP_WAIT, STEP_ANSWERED } StepResult;
/* Goes on after a wait. */
void exchange_continue(Exchange *x);
/* head.c. First value, NULL when absent; `name` in any case. A C string, borrowed from the exchange. */
const char *exchange_header(const Exchange *x, const char *name);
/* All values of a repeated header, joined by ", "; empty when absent. */
Slice exchange_header_joined(const Exchange *x, const char *name);

/* reply.c. `body` is borrowed until the exchange ends; `content_type` NULL is none. */
StepResult exchange_answer(Exchange *x, int status, const char *content_type, Slice body);
StepResult exchange_fail(Exchange *x, Failure f);
StepResult exchange_fail_with(Exchange *x, const char *key, const char *text);
/* No such path (NOT_FOUND) or a wrong method (METHOD_NOT_ALLOWED), in the dialect's words. */
StepResult exchange_fail_no_route(Exchange *x, const char *key);
StepResult exchange_answer_reply(Exchange *x, natsMsg *msg);

/* request.c */
/* Body, query and path to wire bytes; what is wrong becomes x->fault. */
void request_transcode(Exchange *x);
/* Is the body said to be JSON, and nothing else? */
bool request_is_json(const Exchange *x);
/* Finds the credential that the dialect looks for. */
void request_find_credential(Exchange *x);
Err request_send(Exchange *x, UpstreamDone done);

/* own.c */
bool own_path(Exchange *x, StepResult *out);
