/* bytes_internal: what the files of the bytes module share. bytes.c: one request through its handler, whatever brings
 * it and whatever takes its answer away. bytes_answer.c: answers. bytes_error.c: errors in the dialects' forms.
 * bytes_cors.c: pages of other origins. bytes_link.h: the listener and its connections. */
#pragma once
#include <stdatomic.h>

#include "shared/bytes.h"
#include "shared/http_head.h"
#include "shared/revocations.h"
#include "shared/routes.h"

enum {
    ANSWER_HEADERS_MAX = 32, /* the request's own 16 and those of contents and errors */
    LOGINS_MAX = 2,          /* of an exchange: its caller's and its ticket's */
    ERROR_MAX_BYTES = 64 * 1024
};

typedef struct BytesAnswer {
    bool made;
    int status;
    RequestHeader headers[ANSWER_HEADERS_MAX]; /* besides those in rq.reply; names as they are sent */
    size_t header_count;
    Slice body;                   /* when there is no source */
    bool body_is_content;         /* a small file */
    bool has_source, by_sendfile; /* the latter: its descriptor was given away */
    BytesSource source;
    int64_t length; /* of what the source gives, or for HEAD would; BYTES_UNKNOWN */
} BytesAnswer;

struct BytesExchange {
    Request rq; /* first: bytes_answer_content's `open` gets it */
    const BytesOptions *options;
    const BytesRow *row; /* NULL until found */
    const char *rpc;     /* of the row, or "none" */
    int dialect;
    RouteMatch match;

    const char *method;
    Slice path, query;
    HttpHead head;
    RequestHeader headers[HTTP_HEAD_FIELDS_MAX];

    void *state;
    bool begun; /* `begin` was called, or there is none: `done` is due */
    uint64_t limit, received;
    StrBuf gathered;

    BytesAnswer answer;
    Err failure; /* that the answer tells, or that ended the source */
    atomic_int outcome;
    uint64_t sent;
    atomic_bool cut;
    /* Read by the listener's watch under its lock, written by the exchange's thread under the same: see `bind`. */
    LoginKey logins[LOGINS_MAX];
    size_t login_count;
    void (*bind)(BytesExchange *x, LoginKey login);
    Span span;
};

/* --- bytes.c ----------------------------------------------------------------------------------------------------- */
/* The routes of all rows, targets are the rows. */
Err bytes_routes(Arena *mem, const BytesService *const *services, size_t count, RouteTree **out) MUST_CHECK;
/* `x->rq` has mem, clock and id; method, path and query are set, `head` is read. Finds the row, believes and checks the
 * caller, and runs `begin`. Afterwards the exchange is answered, or wants its body. */
void bytes_begin(BytesExchange *x, const RouteTree *routes);
/* A piece of the body. Afterwards it is answered (too early: an error), or wants more. Not when it is answered. */
void bytes_take(BytesExchange *x, Slice piece);
/* The body is complete. Afterwards it is answered. */
void bytes_finish(BytesExchange *x);
/* Once, last. */
void bytes_done(BytesExchange *x, BytesOutcome outcome);

/* --- bytes_answer.c ---------------------------------------------------------------------------------------------- */
void answer_header(BytesExchange *x, const char *name, const char *value);
void answer_close_source(BytesExchange *x); /* once; nothing without one */

/* --- bytes_error.c ----------------------------------------------------------------------------------------------- */
/* Answers with the failure; throws away what was answered before. */
void answer_failure(BytesExchange *x, Err e);
/* For heads that are no request: a status, and what is wrong. */
void answer_bad_head(BytesExchange *x, int status, const char *text);

/* --- bytes_cors.c ------------------------------------------------------------------------------------------------ */
/* Answers a browser that asks what it may, where clients come straight here; false: it is an ordinary request. */
bool bytes_cors_preflight(BytesExchange *x, const RouteTree *routes);
/* Who may read the answer; NULL: nothing is said of that. */
const char *bytes_cors_origin(const BytesExchange *x);
