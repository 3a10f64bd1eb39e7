/* exchange: one HTTP request and its answer. exchange.c holds the path of a request from beginning to end, step by
 * step; what a step needs in detail is in head.c (request line and headers), request.c (into the bus), reply.c (out of
 * it) and own.c (paths of the gateway's own).
 *
 * A step that must wait (for auth, for Redis, for a service) suspends the connection; the event that it waits for goes
 * on with the next step. Loop thread only. */
#pragma once
#include <microhttpd.h>

#include "services/gateway/gateway.h"
#include "shared/http_head.h"
#include "shared/json.h"

enum {
    REQUEST_QUERY_MAX = 256, /* parameters */
    IDEMPOTENCY_KEY_MAX_BYTES = 255,
    DISCARD_MAX_BYTES = 1024 * 1024, /* of a refused request's body, so that its connection lives on */
    DISCARD_CHUNKED_MAX_BYTES = 64 * 1024 * 1024,
    REPLY_MAX_BYTES = 64 * 1024 * 1024, /* as JSON */
    EXCHANGE_ARENA_BYTES = 8192,
    EXCHANGES_IDLE_MAX = 512
};

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
    bool begun, has_body, chunked, http_1_1;
    uint64_t content_length;
    uint64_t received; /* of the body */
    StrBuf body;
    int64_t body_counted; /* of gateway->body_bytes */
    char request_id[HTTP_REQUEST_ID_MAX_BYTES + 1];
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

    /* Relayed (relay.h), or answered by events (events.h): what goes on for long. */
    struct RingHold *hold; /* the answer is there, and waits for a mark (ring.h) */
    Relay *relay;
    EventStream *events;
    struct Socket *socket; /* answered by 101, and not taken over yet */
    Exchange *watched_next, *watched_previous;
    void (*look)(Exchange *x);
    bool expects;         /* the client waits for "100 Continue" */
    bool in_head;         /* libmicrohttpd waits for our word before it reads the body */
    bool body_open;       /* pieces of it go on as they come */
    bool client_left;     /* it will not send any more, and so is believed to be gone */
    bool cut;             /* shut down: libmicrohttpd sees that at its next look */
    bool told_past;       /* answered past libmicrohttpd; what comes is thrown away */
    bool has_login;       /* that can end */
    LoginKey login;       /* of the credential */
    const char *login_id; /* the same, of a socket's handshake; NULL: nobody */
    uint64_t of_window;   /* of the body, since its slowness was looked at last */

    /* The answer. */
    int status;
    Slice body_text; /* borrowed, where it is all there */
    const char *content_type;
    bool cors_done;
    struct MHD_Response *response;
    size_t response_bytes;

    /* Large, and not cleared for each request: their counts are. */
    HttpField headers[HTTP_HEAD_FIELDS_MAX];
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
/* The same from within a response's reader, which then returns 0; and what that calls when it has something. */
void exchange_suspend_answer(Exchange *x);
void exchange_note_progress(Exchange *x);
/* So much came of a body that goes on as it comes: there is an amount per window, or the client is too slow. */
void exchange_note_body(Exchange *x, size_t len);
/* Ends the connection, whatever is on its way. */
void exchange_cut(Exchange *x);
/* Is its body wanted only once something has been asked: by relays? */
static inline bool exchange_is_relayed(const Exchange *x)
{
    return x->op && x->op->bytes;
}
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
/* What `read` gives with the exchange as its data, as for MHD_create_response_from_callback; `size` may be
 * MHD_SIZE_UNKNOWN. */
StepResult exchange_answer_from(Exchange *x, int status, uint64_t size, size_t block_bytes,
                                MHD_ContentReaderCallback read);
/* 101; then the connection is `upgrade`'s, which has the exchange as its request's context. */
StepResult exchange_answer_upgrade(Exchange *x, MHD_UpgradeHandler upgrade);
/* An answer that is written past libmicrohttpd altogether, and ends the connection: its head, in the exchange's arena.
 */
Slice exchange_answer_past(Exchange *x, int status, uint64_t size);
void exchange_end_past(Exchange *x); /* all of it was written */
/* The answer is due before libmicrohttpd would take it: writes it to the socket, as one that ends the connection. */
void exchange_tell_past(Exchange *x);
StepResult exchange_fail(Exchange *x, Failure f);
/* The request could not be sent to the service. */
StepResult exchange_fail_send(Exchange *x, Err e);
StepResult exchange_fail_with(Exchange *x, const char *key, const char *text);
/* No such path (NOT_FOUND) or a wrong method (METHOD_NOT_ALLOWED), in the dialect's words. */
StepResult exchange_fail_no_route(Exchange *x, const char *key);
StepResult exchange_answer_reply(Exchange *x, natsMsg *msg);

/* A service's failure: the status and body that the dialect has for it. */
StepResult exchange_answer_failure(Exchange *x, natsMsg *msg, const char *code);
/* The body alone of such a failure, or of one of ours. */
void exchange_write_failure(Exchange *x, Failure f, StrBuf *out);
Failure exchange_failure_of(Exchange *x, natsMsg *msg, const char *code);

/* Who asks, where callers are counted: an API key, else a user, else an address or its network. Of x->mem. */
Slice exchange_caller(const Exchange *x);

/* request.c */
/* Body, query and path to wire bytes; what is wrong becomes x->fault. */
void request_transcode(Exchange *x);
/* Is the body said to be JSON, and nothing else? */
bool request_is_json(const Exchange *x);
/* Finds the credential that the dialect looks for. */
void request_find_credential(Exchange *x);
Err request_send(Exchange *x, UpstreamDone done);
/* The same of a stream's: `credit` is how much may come at first. */
Err request_send_stream(Exchange *x, const char *credit, int64_t timeout_ms, UpstreamDone done, UpstreamTicket *out);

/* own.c */
bool own_path(Exchange *x, StepResult *out);
