/* http_client: calls to the outside, over libcurl. Blocking, with a deadline; from worker threads of the slow lane or
 * from relays, never from an event loop. Thread-safe: handles are pooled. */
#pragma once
#include <stdatomic.h>

#include "shared/err.h"
#include "shared/log.h"
#include "shared/slice.h"
#include "shared/trace.h"

typedef struct HttpClient HttpClient;
typedef struct HttpClientOptions {
    const char *user_agent;
    /* Refuse loopback, private, link-local, multicast and other special addresses, checked on the resolved address of
     * every connection, redirects included. For URLs that a user gave. */
    bool public_only;
    /* Let through all the same: "127.0.0.1:9000,[fd00::1]:443", as the resolved address has it. May be NULL. */
    const char *allowed;
    int max_redirects; /* 0: none */
    Log *log;
} HttpClientOptions;
HttpClient *http_client_new(const HttpClientOptions *options);
void http_client_free(HttpClient *c);
CLEANUP_FN(HttpClient, http_client_free)

typedef struct HttpHeader {
    const char *name, *value;
} HttpHeader;
typedef struct HttpCall {
    const char *method; /* NULL is GET, or POST with a body */
    const char *url;    /* http and https only */
    const HttpHeader *headers;
    size_t header_count;
    Slice body;
    int64_t timeout_ms; /* for everything, retries included */
    int retries;        /* further tries after connection failures, 429, 502, 503, 504; jittered back-off, Retry-After
                         * is honoured; only for methods that are idempotent or with `retry_post` */
    bool retry_post;
    size_t max_reply_bytes;    /* more is PAYLOAD_TOO_LARGE */
    const TraceContext *trace; /* may be NULL */
    const atomic_bool *cancel; /* may be NULL; true ends the call as CANCELLED within about a second */
} HttpCall;
typedef struct HttpReply {
    int status;
    Slice body;                /* borrowed from the arena */
    const HttpHeader *headers; /* names in lower case */
    size_t header_count;
    char *url; /* after redirects */
} HttpReply;
/* Any status is a success of the call. UNAVAILABLE, DEADLINE_EXCEEDED, PERMISSION_DENIED (address refused, redirect to
 * another protocol), PAYLOAD_TOO_LARGE (reply), INVALID_ARGUMENT (URL, header), CANCELLED. */
Err http_call(HttpClient *c, Arena *mem, const HttpCall *call, HttpReply *out) MUST_CHECK;
const char *http_reply_header(const HttpReply *reply, const char *name);
/* The guard alone: is this numeric address one of the public internet? */
bool http_address_public(const char *numeric_address);
