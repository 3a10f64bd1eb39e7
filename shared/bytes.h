/* bytes: the data plane of a service: an HTTP listener inside its process for what is too large for the bus, uploads
 * and downloads. It serves the rpcs that their proto marks `(atrium.rpc) = { bytes: true }`, by tables that the build
 * makes. Clients come through the gateway, which relays (then Atrium-Caller says who they are), or straight to
 * BYTES_ADDR with a URL that holds a ticket (ticket.h).
 *
 * Every connection has a thread of its own, so that handlers may block: on files, on the database, on the bus. What is
 * the same for every rpc stands here: the head's limits, routing, the caller and his rank, slow clients, ranges and
 * conditions, errors in the dialect's form, metrics, traces, and the end of logins, which cuts what they transfer
 * within a second.
 *
 * A handler, in the order in which it is called, all in one thread:
 *
 *   static Err begin_put(BytesExchange *x)                  // the head is there, no byte of the body is; a client that
 *   {                                                       // sent Expect: 100-continue waits for this
 *       Request *rq = bytes_request(x);
 *       Put *put = ARENA_NEW(rq->mem, Put);
 *       Ticket ticket;
 *
 *       bytes_set_state(x, put);
 *       TRY(bytes_take_ticket(x, bytes_variable(x, "ticket"), "put", &ticket));
 *       bytes_limit_body(x, ticket.length);
 *       return blob_writer_open(…, &put->writer);
 *   }
 *   static Err put_data(BytesExchange *x, Slice piece)      // each piece as it arrives
 *   static Err end_put(BytesExchange *x)                    // all of it is there: commit, answer
 *   static void put_done(BytesExchange *x)                  // always last, whatever happened: release
 *
 * An Err from any of the first three is the answer. `begin` may answer, too (bytes_answer…): then `data` and `end` are
 * not called, the body is thrown away, and a connection that would bring too much of it is closed behind the answer. */
#pragma once
#include "shared/blob.h"
#include "shared/config.h"
#include "shared/rpc.h"
#include "shared/ticket.h"

typedef struct BytesExchange BytesExchange; /* one request and its answer; its thread's alone */

typedef struct BytesHandler {
    Err (*begin)(BytesExchange *x);             /* NULL: nothing to do */
    Err (*data)(BytesExchange *x, Slice piece); /* NULL: the body is gathered, see bytes_body() */
    Err (*end)(BytesExchange *x);               /* answers; NULL: `begin` did, or it is 204 */
    void (*done)(BytesExchange *x);             /* once for every `begin`, after the answer was sent or could not be;
                                                 * NULL: nothing to do */
} BytesHandler;

/* --- the rows, generated from the protos ------------------------------------------------------------------------- */
typedef struct BytesRow {
    const char *method;     /* "PATCH"; a GET row answers HEAD, too, where there is no row for that */
    const char *path;       /* as in google.api.http: "/media/file/{ticket}", "/stream/{ticket}/{path=**}" */
    const char *rpc;        /* "media.v1.PatchUpload" */
    int caller;             /* RPC_ANYONE … RPC_ADMIN; ANYONE for what has tickets */
    const char *permission; /* "" none */
    int dialect;            /* Atrium__Dialect: the form of errors */
    const BytesHandler *handler;
} BytesRow;

typedef struct BytesService {
    const char *name;   /* "atrium.media.v1.UploadService" */
    const char *domain; /* "media" */
    const BytesRow *rows;
    size_t row_count;
} BytesService;

/* --- what a handler sees ----------------------------------------------------------------------------------------- */
enum {
    BYTES_BODY_MAX_BYTES = 64 * 1024, /* unless bytes_limit_body() says otherwise */
    BYTES_UNKNOWN = -1
};

/* As for an rpc, so that store functions work unchanged: mem (lives until `done` returned), service, caller, db,
 * client, clock, id, trace, log, client_address, profile, headers (all of them, names in lower case, except
 * credentials), deadline_ms. The deadline is begun anew at each call of the handler (BYTES_STEP_TIMEOUT), so that an
 * upload of an hour may still commit. */
Request *bytes_request(BytesExchange *x);
/* The handler's own, between its calls; NULL at first. Usually of bytes_request(x)->mem. */
void *bytes_state(const BytesExchange *x);
void bytes_set_state(BytesExchange *x, void *state);

const char *bytes_method(const BytesExchange *x); /* as sent: "HEAD" on a GET row, too */
bool bytes_is_head(const BytesExchange *x);
/* The path as sent, without the query. */
Slice bytes_path(const BytesExchange *x);
/* Of the path's template, decoded: {ticket}, {path=**}; empty when the template has none of that name. UTF-8, and a
 * `**` may hold any segment, ".." and empty ones included: see blob.h before it becomes a key. */
Slice bytes_variable(const BytesExchange *x, const char *name);
/* The first of that name; false when there is none. */
bool bytes_query(const BytesExchange *x, const char *name, Slice *out);
/* By name in lower case; the first when there are several; NULL when absent. As request_header(). */
const char *bytes_header(const BytesExchange *x, const char *name);

/* Of the request's body: Content-Length; 0 without one, BYTES_UNKNOWN when it comes in chunks. */
int64_t bytes_length(const BytesExchange *x);
/* More is PAYLOAD_TOO_LARGE: at once where Content-Length says so, else when it arrives. In `begin`. */
void bytes_limit_body(BytesExchange *x, uint64_t max_bytes);
/* So many came so far; all those that `data` got, this piece included. */
uint64_t bytes_received(const BytesExchange *x);
/* Without a `data`: the whole body, in `end`. */
Slice bytes_body(const BytesExchange *x);

/* How it went, for `done`. */
typedef enum BytesOutcome {
    BYTES_SENT,  /* an answer went out as a whole, whatever its status */
    BYTES_GONE,  /* the client left, or was too slow */
    BYTES_CUT,   /* the login ended, or the service stops */
    BYTES_FAILED /* reading what was to be sent failed midway */
} BytesOutcome;
BytesOutcome bytes_outcome(const BytesExchange *x);
int bytes_status(const BytesExchange *x); /* of the answer; 0 none yet */
/* Of the content, when it was counted; for view and download counts: how much of a file went out. */
uint64_t bytes_sent(const BytesExchange *x);
/* The login ended or the service stops: for handlers that take long by themselves. */
bool bytes_is_cut(const BytesExchange *x);

/* --- who asks ---------------------------------------------------------------------------------------------------- */
/* Verifies `text` as ticket_verify() does, of the service's keys, and that its login has not ended; binds the exchange
 * to that login, so that it is cut when it ends (a caller's own login is bound already). Leaves rq->caller as it is.
 * PERMISSION_DENIED; UNAVAILABLE while it cannot be known which logins ended (the bus is away). */
Err bytes_take_ticket(BytesExchange *x, Slice text, const char *kind, Ticket *out) MUST_CHECK;
/* Cut with this login, too: for who finds out by other means for whom he works. */
void bytes_bind_login(BytesExchange *x, const char *login_id);

/* --- answering: once, from `begin` or `end` ---------------------------------------------------------------------- */
/* Further headers by request_set_header(), before; request_set_status() replaces the success status. */
Err bytes_answer(BytesExchange *x, int status, const char *content_type, Slice body) MUST_CHECK; /* body is copied */
Err bytes_answer_empty(BytesExchange *x, int status) MUST_CHECK;                                 /* 204, 201, 307 … */

/* Where the bytes of an answer come from, from some offset on. Given to the listener, which closes it in the end,
 * whatever happens. */
typedef struct BytesSource {
    /* A regular file, sent by sendfile from `fd_offset`; -1: there is `read`. Closed by the listener. */
    int fd;
    uint64_t fd_offset;
    /* Up to `len` (> 0) bytes, one after the other from the beginning on; 0 is the end. Blocks. */
    Err (*read)(void *data, char *into, size_t len, size_t *out_len);
    void (*close)(void *data); /* may be NULL */
    void *data;
} BytesSource;

/* Something that may be asked for in parts. */
typedef struct BytesContent {
    int64_t size; /* BYTES_UNKNOWN: sent in chunks, without ranges */
    /* Called at most once, and only when bytes are to be sent (not for HEAD, 304, 412, 416): from `offset` on, `length`
     * of them; of unknown size, length is 0 and it is all. The exchange's Request is `rq`. Fills `out` on success. */
    Err (*open)(Request *rq, void *data, uint64_t offset, uint64_t length, BytesSource *out);
    void *data;
    const char *content_type;  /* NULL: application/octet-stream */
    const char *etag;          /* strong, without its quotes; NULL none */
    int64_t modified_ms;       /* Unix; 0 none */
    const char *cache_control; /* NULL: "private, no-cache" */
    const char *disposition;   /* bytes_disposition(); NULL none */
} BytesContent;

/* What RFC 9110 says of it: If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since, Range and If-Range, HEAD;
 * 200, 206, 304, 412 or 416. Several ranges in one request are answered as none, with 200, and so is a malformed one.
 * `content` is borrowed for the call, its `data` until the source is closed. The answer to a range of an entity without
 * etag and time is a 206 all the same. X-Content-Type-Options: nosniff is always there. */
Err bytes_answer_content(BytesExchange *x, const BytesContent *content) MUST_CHECK;

/* An object of the store: size, etag and time are the reader's own where `as` says nothing (of `as`, `open` and `data`
 * are not looked at); the type is `as`'s alone. Takes `*reader`, also on failure. fs: by sendfile; s3: passed through.
 */
Err bytes_answer_blob(BytesExchange *x, BlobReader **reader, const BytesContent *as) MUST_CHECK;

/* Content-Disposition by RFC 6266: "attachment; filename=\"day.mp4\"; filename*=UTF-8''d%C3%A4y.mp4". Any UTF-8 name;
 * path separators and controls become '_'. Borrowed from `mem`. */
char *bytes_disposition(Arena *mem, bool attachment, Slice filename);

/* --- the listener: service.c starts and ends it when a ServiceDefinition lists BytesServices -------------------------
 */
typedef struct BytesSettings {
#define SETTING CONFIG_MEMBER
#include "shared/settings_bytes.def"
#undef SETTING
} BytesSettings;

typedef struct Revocations Revocations;

typedef struct BytesOptions {
    const char *address; /* "host:port", ":port", "[::1]:port"; port 0 is any */
    const BytesSettings *settings;
    const BytesService *const *services;
    size_t service_count;
    const void *context; /* rq->service */
    const TicketKeys *tickets;
    CallerVerifier *verifier; /* NULL: nobody is believed to be anybody */
    Revocations *revocations; /* NULL: no login ends */
    Db *db;
    Client *client;
    const Clock *clock;
    Log *log;
    Metrics *metrics;
    Tracer *tracer; /* may be NULL */
} BytesOptions;

typedef struct BytesListener BytesListener;
/* Serves at once. INVALID_ARGUMENT for an address or a row that cannot be; UNAVAILABLE: the port is taken. */
Err bytes_listener_start(const BytesOptions *options, BytesListener **out) MUST_CHECK;
int bytes_listener_port(const BytesListener *l);
/* Takes no new connections and no new requests from here on; what runs goes on. */
void bytes_listener_quiet(BytesListener *l);
/* The same; waits until what runs is done, at most `timeout_ms`, then cuts it. */
void bytes_listener_drain(BytesListener *l, int64_t timeout_ms);
/* Drains without waiting, when nobody did before. NULL is fine. */
void bytes_listener_stop(BytesListener *l);
CLEANUP_FN(BytesListener, bytes_listener_stop)
/* OK while it takes connections; for readiness. `data` is the listener. */
Err bytes_listener_check(void *data);

/* For unit tests of handlers, without a listener: `rq` is the test's, `method`, `path` and the request's headers (in
 * rq->headers) make the request, `body` is given to `data` in pieces of `piece_bytes` (0: one piece). Runs begin … done
 * of the row that matches, its caller policy first, and returns what a client would see. */
typedef struct BytesReply {
    int status;
    const RequestHeader *headers; /* as in rq->reply, and those of the content; names as they are sent */
    size_t header_count;
    Slice body; /* what would have been sent; of rq->mem */
    Err e;      /* when the answer is an error's */
} BytesReply;
BytesReply bytes_call(const BytesService *service, Request *rq, const TicketKeys *tickets, const char *method,
                      const char *path, Slice body, size_t piece_bytes);
