/* backends: the data planes that the gateway relays to: their addresses, and connections to them that are kept for the
 * next request. Nothing blocks: names are looked up in a thread of its own. Loop thread only. */
#pragma once
#include "shared/clock.h"
#include "shared/err.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/metrics.h"
#include "shared/slice.h"

enum {
    BACKENDS_MAX = 32,
    BACKEND_ADDRESSES_MAX = 16, /* of one domain; further ones are not used */
    BACKEND_IDLE_MAX = 64,      /* kept connections of one domain */
    BACKEND_IDLE_MS = 15000,    /* the longest that one is kept; less than what data planes allow */
    BACKEND_RESOLVE_MS = 10000, /* names are looked up again so often */
    BACKEND_DOWN_MS = 1000      /* an address that refused is tried after the others for so long */
};

typedef struct Backends Backends;
typedef struct Backend Backend;

typedef struct BackendsOptions {
    Loop *loop;
    Log *log;
    const char *list; /* BYTES_BACKENDS: "media=127.0.0.1:18081,media=[::1]:18081,chat=chat:8081" */
} BackendsOptions;
/* INVALID_ARGUMENT for what cannot be read. Loop may be NULL: only checked then. */
Err backends_new(const BackendsOptions *options, Backends **out) MUST_CHECK;
void backends_free(Backends *b); /* when no connection is taken any more; NULL is fine */
CLEANUP_FN(Backends, backends_free)

Backend *backends_find(Backends *b, const char *domain); /* NULL: it has no data plane */
/* Of the list, for one metric row each; NULL behind the last. */
const char *backends_name(const Backends *b, size_t index);
size_t backend_index(const Backend *b);
size_t backend_address_count(const Backend *b); /* 0: its name is not known (yet) */

/* A connection, taken by one exchange. Events are edge-triggered: whoever meets EAGAIN clears the flag. */
typedef struct BackendConnection {
    struct BackendConnection *next, *prev; /* among the idle ones */
    Backend *backend;
    size_t address;
    int fd;
    bool connecting, readable, writable;
    bool reused; /* served a request before: may have been closed on the other side meanwhile */
    int64_t since_ms;
    void (*on_event)(void *data); /* something became readable or writable, or failed */
    void *data;
} BackendConnection;

/* One that waits, or unless `fresh` is wanted, a new one that connects. NULL: no address, or none that can be tried. */
BackendConnection *backend_take(Backend *b, bool fresh, void (*on_event)(void *data), void *data);
/* At the first `writable` of one that connects: is it there? */
bool backend_connected(BackendConnection *c);
/* Its address refused: others first, for a while. */
void backend_mark_down(BackendConnection *c);
void backend_keep(BackendConnection *c);  /* all of the last answer was read */
void backend_close(BackendConnection *c); /* NULL is fine */
