/* bytes_link: what the files of the data plane's listener share. bytes_link.c: how far a connection is, and its end.
 * bytes_carry.c: one request of it. bytes_tell.c: its answer. bytes_listener.c: libmicrohttpd, start and stop. */
#pragma once
#include <pthread.h>

#include "shared/bytes_internal.h"

enum {
    ADDRESS_BYTES = 64,
    STATUSES_MAX = 24 /* of a row; others are not counted */
};

typedef enum Phase {
    PHASE_HEAD,  /* new, or within a head */
    PHASE_IDLE,  /* between two requests */
    PHASE_BODY,  /* the client sends */
    PHASE_WORK,  /* the handler works: no limit of the client's */
    PHASE_ANSWER /* the client reads */
} Phase;

typedef enum EndReason { END_HEAD, END_IDLE, END_BODY, END_ANSWER, END_FULL, END_LOGIN, END_STOP, END_COUNT } EndReason;

typedef struct Carried Carried;

typedef struct Link { /* one connection */
    struct Link *next, *prev;
    BytesListener *listener;
    int fd;
    Arena *mem; /* of one request after the other */
    Carried *carried;
    /* Of the listener's lock. */
    Phase phase;
    bool ended;      /* shut down: libmicrohttpd sees that at its next look */
    bool has_line;   /* a request line came: who is too slow now is told */
    bool in_handler; /* or reading what is to be sent: not the client's time */
    int64_t since_ms, moved_ms, waited_ms, handler_ms;
    uint64_t moved_bytes; /* in this phase */
    uint64_t acked_base, acked;
} Link;

struct Carried { /* an exchange as it comes from a connection */
    BytesExchange x;
    Link *link;
    struct MHD_Connection *connection;
    const char *uri_end;
    size_t uri_len;
    int64_t started_us;
    bool head_read, told, raw, counted;
    HttpField fields[HTTP_HEAD_FIELDS_MAX];
    char request_id[HTTP_REQUEST_ID_MAX_BYTES + 1];
    char client[ADDRESS_BYTES];
    LogContext log;
};

typedef struct StatusCount {
    int status;
    Counter *requests;
} StatusCount;

typedef struct RowMetrics {
    const BytesRow *row;                /* NULL: for what matches none */
    StatusCount statuses[STATUSES_MAX]; /* of the listener's lock: made when first needed */
    Gauge *active;
    Counter *in, *out;
    Histogram *seconds;
} RowMetrics;

struct BytesListener {
    BytesOptions o;
    BytesSettings settings;
    Arena *mem;
    RouteTree *routes;
    RowMetrics *rows;
    size_t row_count;
    Gauge *connections;
    Counter *ended[END_COUNT];
    struct MHD_Daemon *daemon;
    int fd, port;
    size_t connections_max;

    pthread_mutex_t lock;
    pthread_cond_t over; /* a request is */
    pthread_cond_t end;  /* of the watch */
    Link *links;
    size_t count, active;
    bool draining, stopping, watching;
    pthread_t watch;
};

static inline int64_t link_now_ms(const BytesListener *l)
{
    return clock_monotonic_ms(l->o.clock);
}

/* --- bytes_link.c ------------------------------------------------------------------------------------------------ */
/* Under the lock, so that the descriptor is still this connection's. Closing is libmicrohttpd's: it finds the end of
 * the stream, as if the client had left. */
void link_end(BytesListener *l, Link *link, EndReason why);
/* Under the lock: who has been idle longest goes, else who has asked for nothing yet. */
void link_make_room(BytesListener *l);
void *link_watch(void *listener); /* a thread, until `stopping` */
void link_enter(Link *link, Phase phase);
/* Around what we take time for ourselves while the client sends or reads. */
void link_begin_work(Link *link);
void link_end_work(Link *link, size_t moved_bytes);
uint64_t link_acked(const Link *link); /* bytes that the client's kernel has */
void link_bind_login(BytesExchange *x, LoginKey login);
bool link_is_draining(BytesListener *l);

/* --- bytes_carry.c ----------------------------------------------------------------------------------------------- */
/* The next request of a connection: `raw_uri` as it stands in libmicrohttpd's buffer. */
Carried *carried_new(BytesListener *l, struct MHD_Connection *connection, Link *link, const char *raw_uri);
/* In this order, as soon as the head is read; the first two also when it is none. */
void carried_take_id(Carried *c);
void carried_read_peer(Carried *c);
void carried_put_headers(Carried *c);
void carried_take_profile(Carried *c);
void carried_start_span(Carried *c);
RowMetrics *carried_metrics(BytesListener *l, const BytesRow *row); /* NULL: of what matches none */
/* Once, whatever happened; nothing when there is none. */
void carried_end(Link *link, BytesOutcome outcome);

/* --- bytes_tell.c ------------------------------------------------------------------------------------------------ */
enum MHD_Result tell_answer(Carried *c);
/* Writes the answer while the client still sends, past libmicrohttpd. The connection ends with it. */
enum MHD_Result tell_past(Carried *c);
/* Is what is left of the body small enough to be read for nothing? Who waits for 100 has not sent it. */
bool tell_reads_rest(const Carried *c);
