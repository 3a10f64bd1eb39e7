/* bytes_listener: the data plane's connections. libmicrohttpd with a thread per connection; a watch of our own looks
 * at all of them four times a second: for logins that ended, for clients that are too slow (libmicrohttpd's timeout
 * starts again with every byte), and for who must make room.
 *
 * What libmicrohttpd cannot do is to answer before a body is there and go on as if nothing were: an answer that it is
 * given early closes the connection at once, with the client's bytes unread, and the kernel's reset then may overtake
 * the answer. So a small rest of a body is read and thrown away, and before a large one the answer is written here,
 * past libmicrohttpd, with a bounded wait for the client to notice. */
#include <errno.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "shared/bytes_internal.h"
#include "shared/id.h"
#include "shared/listen.h"

enum {
    WATCH_MS = 250,
    /* Of a connection: half of it is what one read takes at most. libmicrohttpd clears all of it after each request,
     * which with half a MiB took a third of what a small download costs; beyond this, uploads gain nothing. */
    POOL_BYTES = 128 * 1024,
    BACKLOG = 256,
    STACK_BYTES = 512 * 1024,
    CONNECTIONS_SPARE = 16, /* what is ended is still there for a moment */
    DESCRIPTORS_PER_CONNECTION = 2,
    DESCRIPTORS_SPARE = 128,
    HEAD_FAIR_MS = 1000,     /* a new connection has so long to ask before it makes room for others */
    READ_BYTES = 128 * 1024, /* of a source that is no file, at a time */
    ARENA_BYTES = 16 * 1024,
    DISCARD_MAX_BYTES = 1024 * 1024, /* of a refused body, so that its connection lives on */
    LINGER_MAX_BYTES = 64 * 1024 * 1024,
    LINGER_MS = 2000,
    CUT_WAIT_MS = 5000, /* for handlers to notice, at the end */
    ADDRESS_BYTES = 64,
    RAW_HEAD_MAX_BYTES = 32 * 1024,
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
static const char *const END_NAMES[] = {"head", "idle", "body", "answer", "full", "login", "stop"};

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

static int64_t now_ms(const BytesListener *l)
{
    return clock_monotonic_ms(l->o.clock);
}

/* --- ending connections ------------------------------------------------------------------------------------------ */
/* Past libmicrohttpd, which has sent nothing of this answer yet: the client still sends. */
static void tell_timeout(const Link *link)
{
    static const char TEXT[] =
        "HTTP/1.1 408 Request Timeout\r\n"
        "Content-Type: application/problem+json\r\nContent-Length: 62\r\nConnection: close\r\n\r\n"
        "{\"type\":\"about:blank\",\"title\":\"Request Timeout\",\"status\":408}\n";

    (void)send(link->fd, TEXT, sizeof(TEXT) - 1,
               MSG_DONTWAIT | MSG_NOSIGNAL); /* a full window: he does not learn why */
}

/* Under the lock, so that the descriptor is still this connection's. Closing is libmicrohttpd's: it finds the end of
 * the stream, as if the client had left. */
static void end_link(BytesListener *l, Link *link, EndReason why)
{
    if (link->ended)
        return;
    if ((why == END_HEAD && link->has_line) || why == END_BODY)
        tell_timeout(link);
    if (link->carried && (why == END_LOGIN || why == END_STOP))
        atomic_store(&link->carried->x.cut, true);
    link->ended = true;
    (void)shutdown(link->fd, SHUT_RDWR); /* fails when the client has left: as well */
    counter_add(l->ended[why], 1);
}

static uint64_t bytes_acked(const Link *link)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    return getsockopt(link->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_bytes_acked : 0;
}

static bool login_ended(const BytesListener *l, const Link *link)
{
    const BytesExchange *x = link->carried ? &link->carried->x : NULL;

    for (size_t i = 0; x && l->o.revocations && i < x->login_count; i++)
        if (revocations_has(l->o.revocations, x->logins[i]))
            return true;
    return false;
}

/* Nothing moved for a while, or less than must be, not counting what we took ourselves. */
static bool too_slow(const BytesListener *l, const Link *link, int64_t now)
{
    const BytesSettings *s = &l->settings;
    int64_t spent = now - link->since_ms - link->waited_ms;

    return now - link->moved_ms > s->idle_timeout_ms ||
           spent > s->idle_timeout_ms + (int64_t)(link->moved_bytes * 1000 / (uint64_t)s->min_rate_bytes);
}

static void look_at_link(BytesListener *l, Link *link, int64_t now)
{
    const BytesSettings *s = &l->settings;
    uint64_t acked;

    if (link->ended)
        return;
    if (login_ended(l, link)) {
        end_link(l, link, END_LOGIN);
        return;
    }
    if (link->in_handler)
        return;
    switch (link->phase) {
    case PHASE_HEAD:
        if (now - link->since_ms > s->head_timeout_ms)
            end_link(l, link, END_HEAD);
        break;
    case PHASE_IDLE:
        if (now - link->since_ms > s->idle_timeout_ms)
            end_link(l, link, END_IDLE);
        break;
    case PHASE_BODY:
        if (too_slow(l, link, now))
            end_link(l, link, END_BODY);
        break;
    case PHASE_ANSWER:
        acked = bytes_acked(link);
        if (acked != link->acked)
            link->moved_ms = now;
        link->acked = acked;
        link->moved_bytes = acked - link->acked_base;
        if (too_slow(l, link, now))
            end_link(l, link, END_ANSWER);
        break;
    case PHASE_WORK:
        break;
    }
}

static void *watch_links(void *data)
{
    BytesListener *l = data;
    struct timespec until;
    Link *link;

    pthread_mutex_lock(&l->lock);
    while (!l->stopping) {
        int64_t now = now_ms(l);

        for (link = l->links; link; link = link->next) {
            look_at_link(l, link, now);
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WATCH_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L)
            until.tv_sec++, until.tv_nsec -= 1000000000L;
        (void)pthread_cond_timedwait(&l->end, &l->lock, &until); /* woken for nothing it looks once more */
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Who has been idle longest, else who has asked for nothing yet. */
static void make_room(BytesListener *l)
{
    int64_t now = now_ms(l);
    Link *link, *found = NULL;

    for (link = l->links; link; link = link->next) {
        bool idle = link->phase == PHASE_IDLE || (link->phase == PHASE_HEAD && now - link->since_ms >= HEAD_FAIR_MS);

        if (idle && !link->ended && (!found || link->since_ms < found->since_ms))
            found = link;
    }
    if (found)
        end_link(l, found, END_FULL);
}

/* --- phases ------------------------------------------------------------------------------------------------------ */
static void enter(Link *link, Phase phase)
{
    BytesListener *l = link->listener;

    pthread_mutex_lock(&l->lock);
    link->phase = phase;
    link->in_handler = false;
    link->since_ms = link->moved_ms = now_ms(l);
    link->waited_ms = 0;
    link->moved_bytes = 0;
    if (phase == PHASE_HEAD)
        link->has_line = true;
    if (phase == PHASE_IDLE)
        link->has_line = false;
    if (phase == PHASE_ANSWER && link->carried->x.answer.body.len == 0) /* small ones are not asked for */
        link->acked_base = link->acked = bytes_acked(link);
    pthread_mutex_unlock(&l->lock);
}

/* Around what we take time for ourselves while the client sends or reads. */
static void begin_work(Link *link)
{
    BytesListener *l = link->listener;

    pthread_mutex_lock(&l->lock);
    link->in_handler = true;
    link->handler_ms = now_ms(l);
    pthread_mutex_unlock(&l->lock);
}

static void end_work(Link *link, size_t moved_bytes)
{
    BytesListener *l = link->listener;

    pthread_mutex_lock(&l->lock);
    link->in_handler = false;
    link->moved_ms = now_ms(l);
    link->waited_ms += link->moved_ms - link->handler_ms;
    if (link->phase == PHASE_BODY)
        link->moved_bytes += moved_bytes;
    pthread_mutex_unlock(&l->lock);
}

static void bind_login(BytesExchange *x, LoginKey login)
{
    BytesListener *l = ((Carried *)x)->link->listener;

    pthread_mutex_lock(&l->lock);
    if (x->login_count < LOGINS_MAX)
        x->logins[x->login_count++] = login;
    pthread_mutex_unlock(&l->lock);
}

/* --- who asks ---------------------------------------------------------------------------------------------------- */
static void take_request_id(Carried *c)
{
    const char *given = http_head_get(c->fields, c->x.head.count, "x-request-id");
    size_t len = given ? strlen(given) : 0;
    bool fine = len > 0 && len <= HTTP_REQUEST_ID_MAX_BYTES;

    for (size_t i = 0; fine && i < len; i++)
        fine = (given[i] >= 'a' && given[i] <= 'z') || (given[i] >= 'A' && given[i] <= 'Z') ||
               (given[i] >= '0' && given[i] <= '9') || strchr("._-", given[i]);
    if (fine)
        memcpy(c->request_id, given, len + 1);
    else
        uuid_format(uuid_v4(), c->request_id);
    c->x.rq.id = c->request_id;
}

static void read_peer(Carried *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    socklen_t len;

    if (!info || !info->client_addr)
        return;
    len = info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (getnameinfo(info->client_addr, len, c->client, sizeof(c->client), NULL, 0, NI_NUMERICHOST) != 0)
        c->client[0] = '\0';
    if (strncmp(c->client, "::ffff:", 7) == 0)
        memmove(c->client, c->client + 7, strlen(c->client + 7) + 1);
}

/* Credentials are read where they are checked, and nowhere else. */
static bool is_credential(Slice name)
{
    return slice_eq_nocase(name, SLICE_LIT("authorization")) || slice_eq_nocase(name, SLICE_LIT("cookie")) ||
           slice_eq_nocase(name, SLICE_LIT("atrium-caller"));
}

static void put_headers(Carried *c)
{
    BytesExchange *x = &c->x;

    for (size_t i = 0; i < x->head.count; i++) {
        char *name;

        if (is_credential(x->head.fields[i].name))
            continue;
        name = slice_cstr(x->rq.mem, x->head.fields[i].name);
        for (char *ch = name; *ch; ch++)
            if (*ch >= 'A' && *ch <= 'Z')
                *ch = (char)(*ch + ('a' - 'A'));
        x->headers[x->rq.header_count++] = (RequestHeader){name, x->head.fields[i].value.ptr};
    }
    x->rq.headers = x->headers;
}

/* What the gateway says of its client is believed where nobody else reaches this address. */
static void take_profile(Carried *c)
{
    const BytesSettings *s = &c->link->listener->settings;
    const char *client = bytes_header(&c->x, "atrium-client"), *profile = bytes_header(&c->x, "atrium-profile");

    c->x.rq.client_address = c->client;
    c->x.rq.profile = "all";
    if (s->public_url[0])
        return;
    if (client && client[0])
        c->x.rq.client_address = client;
    if (profile && profile[0])
        c->x.rq.profile = profile;
}

static void start_span(Carried *c)
{
    TraceContext parent;

    if (!trace_parse(slice(bytes_header(&c->x, "traceparent")), &parent))
        parent = trace_root(tracer_sample(c->link->listener->o.tracer));
    c->x.span = span_start(&parent, "bytes", 2);
    c->x.rq.trace = c->x.span.self;
}

/* --- one exchange ------------------------------------------------------------------------------------------------ */
static Link *link_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static RowMetrics *metrics_of(BytesListener *l, const BytesRow *row)
{
    for (size_t i = 0; i < l->row_count; i++)
        if (l->rows[i].row == row)
            return &l->rows[i];
    return &l->rows[l->row_count]; /* for what matches none */
}

static Carried *carry(BytesListener *l, struct MHD_Connection *connection, Link *link, const char *raw_uri)
{
    Carried *c;
    const char *uri, *query;

    arena_reset(link->mem);
    c = ARENA_NEW(link->mem, Carried);
    c->link = link;
    c->connection = connection;
    c->uri_len = strlen(raw_uri);
    c->uri_end = raw_uri + c->uri_len;
    uri = arena_strdup(link->mem, raw_uri); /* libmicrohttpd takes its own apart, where it stands */
    query = strchr(uri, '?');
    c->started_us = clock_monotonic_us(l->o.clock);
    c->x.options = &l->o;
    c->x.rpc = "none";
    c->x.method = "";
    c->x.bind = bind_login;
    c->x.head.fields = c->fields;
    c->x.path = query ? slice_of(uri, (size_t)(query - uri)) : slice(uri);
    c->x.query = slice(query ? query + 1 : "");
    c->x.rq = (Request){.mem = link->mem,
                        .service = l->o.context,
                        .clock = l->o.clock,
                        .db = l->o.db,
                        .client = l->o.client,
                        .log = l->o.log,
                        .profile = "all",
                        .client_address = "",
                        .id = ""};
    if (l->row_count && l->rows[0].row)
        c->x.dialect = l->rows[0].row->dialect; /* until it is known which one it is about */
    pthread_mutex_lock(&l->lock);
    link->carried = c;
    pthread_mutex_unlock(&l->lock);
    return c;
}

static void count_status(BytesListener *l, RowMetrics *m, const BytesExchange *x)
{
    int status = bytes_status(x);
    size_t i = 0;

    pthread_mutex_lock(&l->lock);
    while (i < STATUSES_MAX && m->statuses[i].requests && m->statuses[i].status != status)
        i++;
    if (i < STATUSES_MAX) {
        if (!m->statuses[i].requests)
            m->statuses[i] = (StatusCount){
                status,
                metrics_counter(l->o.metrics, "atrium_bytes_requests_total", "Requests of the data plane, by outcome.",
                                arena_printf(x->rq.mem, "rpc=\"%s\",status=\"%d\"", x->rpc, status))};
        counter_add(m->statuses[i].requests, 1);
    }
    pthread_mutex_unlock(&l->lock);
}

static void count_exchange(const Carried *c)
{
    BytesListener *l = c->link->listener;
    const BytesExchange *x = &c->x;
    RowMetrics *m = metrics_of(l, x->row);

    gauge_add(m->active, -1);
    counter_add(m->in, x->received);
    counter_add(m->out, MAX(x->sent, bytes_outcome(x) == BYTES_SENT ? (uint64_t)x->answer.body.len : 0));
    histogram_observe(m->seconds, (double)(clock_monotonic_us(l->o.clock) - c->started_us) / 1e6);
    count_status(l, m, x);
}

static void log_exchange(const Carried *c)
{
    static const char *const OUTCOMES[] = {"sent", "gone", "cut", "failed"};
    const BytesExchange *x = &c->x;
    Log *log = c->link->listener->o.log;
    int64_t duration_us = clock_monotonic_us(c->link->listener->o.clock) - c->started_us;

    if (x->failure.reason && !x->failure.reason->shown)
        LOG_ERROR(log, "bytes_failed", "reason", x->failure.reason->key, "error", (const char *)x->failure.text,
                  "duration_us", duration_us);
    else
        LOG_DEBUG(log, "bytes", "status", bytes_status(x), "outcome", OUTCOMES[bytes_outcome(x)], "in", x->received,
                  "out", x->sent, "error", (const char *)x->failure.text, "duration_us", duration_us);
}

/* Once, whatever happened; nothing when there is none. */
static void end_exchange(Link *link, BytesOutcome outcome)
{
    BytesListener *l = link->listener;
    Carried *c = link->carried;
    bool counted;

    if (!c)
        return;
    pthread_mutex_lock(&l->lock);
    link->carried = NULL; /* the watch looks no more */
    pthread_mutex_unlock(&l->lock);
    if (c->x.answer.by_sendfile && outcome == BYTES_GONE)
        c->x.sent = MIN(bytes_acked(link) - link->acked_base, (uint64_t)MAX(c->x.answer.length, 0));
    counted = c->counted;
    bytes_done(&c->x, c->x.failure.reason && c->x.answer.has_source ? BYTES_FAILED : outcome);
    if (counted) {
        count_exchange(c);
        log_exchange(c);
        span_end(l->o.tracer, &c->x.span, c->x.failure.reason ? c->x.failure.reason->key : NULL);
    }
    log_set_context(NULL, NULL, NULL);
    pthread_mutex_lock(&l->lock);
    if (counted)
        l->active--;
    pthread_cond_broadcast(&l->over);
    pthread_mutex_unlock(&l->lock);
}

/* --- answers by libmicrohttpd ------------------------------------------------------------------------------------ */
static ssize_t read_source(void *data, uint64_t position, char *into, size_t max)
{
    Carried *c = data;
    BytesExchange *x = &c->x;
    BytesSource *s = &x->answer.source;
    size_t len = 0;
    Err e;

    (void)position; /* it is read from the beginning to the end */
    if (bytes_is_cut(x))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    begin_work(c->link);
    e = s->read(s->data, into, max, &len);
    end_work(c->link, 0);
    x->sent += len;
    if (err_failed(e)) {
        x->failure = e;
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (len > 0)
        return (ssize_t)len;
    if (x->answer.length == BYTES_UNKNOWN)
        return MHD_CONTENT_READER_END_OF_STREAM;
    x->failure = err_make(&INTERNAL, "%" PRIu64 " of %" PRId64 " bytes came", x->sent, x->answer.length);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static ssize_t read_nothing(void *data, uint64_t position, char *into, size_t max)
{
    (void)data, (void)position, (void)into, (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_response(Carried *c)
{
    BytesAnswer *a = &c->x.answer;
    uint64_t size = a->length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)a->length;
    int fd = a->source.fd;

    if (a->has_source && fd >= 0 && a->length > 0) {
        struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(size, fd, a->source.fd_offset);

        if (response) { /* which closes it from now on */
            a->by_sendfile = true;
            a->source.fd = -1;
        }
        return response;
    }
    if (a->has_source && a->length != 0)
        return MHD_create_response_from_callback(size, READ_BYTES, read_source, c, NULL);
    /* What is only told: the length of a HEAD, and of what a 304 stands for. */
    if ((bytes_is_head(&c->x) || a->status == MHD_HTTP_NOT_MODIFIED) && a->body.len == 0 && a->length != 0)
        return MHD_create_response_from_callback(size, 1, read_nothing, NULL, NULL);
    return MHD_create_response_from_buffer(a->body.len, (void *)(uintptr_t)a->body.ptr, MHD_RESPMEM_MUST_COPY);
}

typedef void (*PutHeader)(void *to, const char *name, const char *value);

static void each_header(const Carried *c, PutHeader put, void *to)
{
    const BytesExchange *x = &c->x;

    for (size_t i = 0; i < x->rq.reply.header_count; i++)
        put(to, x->rq.reply.headers[i].name, x->rq.reply.headers[i].value);
    for (size_t i = 0; i < x->answer.header_count; i++)
        put(to, x->answer.headers[i].name, x->answer.headers[i].value);
    put(to, "X-Request-Id", x->rq.id);
}

static void put_to_response(void *to, const char *name, const char *value)
{
    (void)MHD_add_response_header(to, name, value); /* fails for what is no header at all: left out */
}

static bool is_draining(BytesListener *l)
{
    bool draining;

    pthread_mutex_lock(&l->lock);
    draining = l->draining;
    pthread_mutex_unlock(&l->lock);
    return draining;
}

static enum MHD_Result tell(Carried *c)
{
    struct MHD_Response *response = make_response(c);
    enum MHD_Result queued;

    if (!response)
        return MHD_NO;
    c->told = true;
    each_header(c, put_to_response, response);
    if (is_draining(c->link->listener))
        put_to_response(response, "Connection", "close");
    enter(c->link, PHASE_ANSWER);
    queued = MHD_queue_response(c->connection, (unsigned)c->x.answer.status, response);
    MHD_destroy_response(response);
    return queued;
}

/* --- answers past libmicrohttpd ---------------------------------------------------------------------------------- */
static void put_to_text(void *to, const char *name, const char *value)
{
    strbuf_printf(to, "%s: %s\r\n", name, value);
}

static bool wait_for(int fd, short events, int64_t end_ms, const Clock *clock)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left = end_ms - clock_monotonic_ms(clock);

    return left > 0 && poll(&p, 1, (int)left) > 0;
}

static bool send_all(int fd, Slice text, int64_t end_ms, const Clock *clock)
{
    while (text.len) {
        ssize_t n = send(fd, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            text = slice_skip(text, (size_t)n);
        else if ((n < 0 && errno != EAGAIN && errno != EINTR) || !wait_for(fd, POLLOUT, end_ms, clock))
            return false;
    }
    return true;
}

/* Reads on until the client has read and closed, so that no reset takes the answer from him. */
static void linger(int fd, int64_t end_ms, const Clock *clock)
{
    char waste[65536];
    size_t total = 0;

    (void)shutdown(fd, SHUT_WR); /* fails when he has left */
    while (total < LINGER_MAX_BYTES && wait_for(fd, POLLIN, end_ms, clock)) {
        ssize_t n = recv(fd, waste, sizeof(waste), MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return;
        total += n > 0 ? (size_t)n : 0;
    }
}

/* Writes the answer while the client still sends. The connection ends with it. */
static enum MHD_Result tell_raw(Carried *c)
{
    BytesExchange *x = &c->x;
    const Clock *clock = x->rq.clock;
    int64_t end_ms = clock_monotonic_ms(clock) + LINGER_MS;
    StrBuf head = strbuf_new(x->rq.mem, RAW_HEAD_MAX_BYTES);

    if (x->answer.has_source) { /* a download with a body that nobody asked for */
        answer_failure(x, err_make(&PAYLOAD_TOO_LARGE, "there is nothing here that wants a body"));
    }
    c->told = c->raw = true;
    strbuf_printf(&head, "HTTP/1.1 %d %s\r\n", x->answer.status, MHD_get_reason_phrase_for((unsigned)x->answer.status));
    each_header(c, put_to_text, &head);
    strbuf_printf(&head, "Content-Length: %zu\r\nConnection: close\r\n\r\n", x->answer.body.len);
    enter(c->link, PHASE_WORK);
    if (send_all(c->link->fd, strbuf_slice(&head), end_ms, clock) &&
        (bytes_is_head(x) || send_all(c->link->fd, x->answer.body, end_ms, clock)))
        linger(c->link->fd, end_ms, clock);
    end_exchange(c->link, BYTES_SENT);
    return MHD_NO;
}

/* Is what is left of the body small enough to be read for nothing? Who waits for 100 has not sent it. */
static bool reads_rest(const Carried *c)
{
    const HttpHead *head = &c->x.head;
    const char *expect = bytes_header(&c->x, "expect");

    if (!head->has_body)
        return true;
    if (expect && c->x.received == 0)
        return false;
    if (head->chunked)
        return c->x.received <= DISCARD_MAX_BYTES;
    return head->content_length - MIN(c->x.received, head->content_length) <= DISCARD_MAX_BYTES;
}

/* --- what libmicrohttpd calls ------------------------------------------------------------------------------------ */
static void *on_uri(void *data, const char *uri, struct MHD_Connection *connection)
{
    Link *link = link_of(connection);

    end_exchange(link, BYTES_GONE); /* it does not tell the end of every request that it began */
    enter(link, PHASE_HEAD);
    return carry(data, connection, link, uri);
}

/* Leaves percent-escapes alone: the path is split before it is decoded. */
static size_t keep_escapes(void *data, struct MHD_Connection *connection, char *text)
{
    (void)data, (void)connection;
    return strlen(text);
}

static void count_beginning(BytesListener *l, Carried *c)
{
    c->counted = true;
    pthread_mutex_lock(&l->lock);
    l->active++;
    pthread_mutex_unlock(&l->lock);
}

static void run_begin(BytesListener *l, Carried *c)
{
    BytesExchange *x = &c->x;

    if (is_draining(l)) {
        answer_failure(x, err_make(&UNAVAILABLE, "the service is stopping"));
        return;
    }
    bytes_begin(x, l->routes);
}

static enum MHD_Result begin_exchange(BytesListener *l, Carried *c, const char *method, const char *version)
{
    BytesExchange *x = &c->x;
    const HttpLine line = {.method = method, .version = version, .uri_end = c->uri_end, .uri_len = c->uri_len};
    const char *bad;
    int status = 400;

    c->head_read = true;
    enter(c->link, PHASE_WORK);
    count_beginning(l, c);
    bad = http_head_read(c->connection, &line, x->rq.mem, &x->head, &status);
    x->method = arena_strdup(x->rq.mem, method);
    take_request_id(c);
    read_peer(c);
    if (bad) {
        gauge_add(metrics_of(l, NULL)->active, 1);
        answer_bad_head(x, status, bad);
        return tell_raw(c); /* where its body ends is anybody's guess */
    }
    put_headers(c);
    take_profile(c);
    start_span(c);
    log_set_context(x->rq.id, x->rq.trace.trace_id, x->rpc);
    run_begin(l, c);
    log_set_context(x->rq.id, x->rq.trace.trace_id, x->rpc);
    gauge_add(metrics_of(l, x->row)->active, 1);
    if (x->answer.made && !reads_rest(c))
        return tell_raw(c);
    enter(c->link, PHASE_BODY);
    return MHD_YES;
}

static enum MHD_Result take_body(Carried *c, Slice piece)
{
    BytesExchange *x = &c->x;

    begin_work(c->link);
    if (x->answer.made)
        x->received += piece.len; /* and thrown away */
    else
        bytes_take(x, piece);
    end_work(c->link, piece.len);
    return x->answer.made && !reads_rest(c) ? tell_raw(c) : MHD_YES;
}

/* Called with the headers, with each piece of the body, and at its end. */
static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **context)
{
    BytesListener *l = data;
    Carried *c = *context;
    Slice piece = slice_of(body, *body_len);

    (void)url, (void)connection;
    if (!c->head_read)
        return begin_exchange(l, c, method, version);
    *body_len = 0;
    if (piece.len)
        return take_body(c, piece);
    if (c->told)
        return MHD_YES;
    if (!c->x.answer.made) {
        enter(c->link, PHASE_WORK);
        bytes_finish(&c->x);
    }
    return tell(c);
}

static void on_completed(void *data, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    Link *link = link_of(connection);
    Carried *c = link->carried;
    bool sent = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;

    (void)data;
    if (c && sent && c->x.answer.by_sendfile)
        c->x.sent = (uint64_t)MAX(c->x.answer.length, 0);
    end_exchange(link, sent ? BYTES_SENT : BYTES_GONE);
    enter(link, PHASE_IDLE);
    *context = NULL;
}

static Link *open_link(BytesListener *l, struct MHD_Connection *connection)
{
    Link *link = xcalloc(1, sizeof(*link));

    link->listener = l;
    link->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    link->mem = arena_new(ARENA_BYTES);
    pthread_mutex_lock(&l->lock);
    link->since_ms = now_ms(l);
    DL_APPEND(l->links, link);
    if (++l->count > l->connections_max)
        make_room(l);
    pthread_mutex_unlock(&l->lock);
    gauge_add(l->connections, 1);
    return link;
}

static void close_link(Link *link)
{
    BytesListener *l = link->listener;

    end_exchange(link, BYTES_GONE);
    pthread_mutex_lock(&l->lock);
    DL_DELETE(l->links, link);
    l->count--;
    pthread_mutex_unlock(&l->lock);
    gauge_add(l->connections, -1);
    arena_free(link->mem);
    free(link);
}

static void on_connection(void *data, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = open_link(data, connection);
        return;
    }
    close_link(*socket_context);
    *socket_context = NULL;
}

static void on_log(void *data, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void on_log(void *data, const char *format, va_list args)
{
    BytesListener *l = data;
    char text[256];

    if (!log_enabled(l->o.log, LOG_LEVEL_DEBUG))
        return;
    vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\n")] = '\0';
    LOG_DEBUG(l->o.log, "microhttpd", "text", text);
}

/* --- start and stop ---------------------------------------------------------------------------------------------- */
static void make_row_metrics(BytesListener *l, RowMetrics *m, const char *rpc)
{
    const char *labels = arena_printf(l->mem, "rpc=\"%s\"", rpc);
    Metrics *all = l->o.metrics;

    m->active = metrics_gauge(all, "atrium_bytes_active", "Requests of the data plane that are under way.", labels);
    m->in = metrics_counter(all, "atrium_bytes_in_total", "Bytes of bodies that came.", labels);
    m->out = metrics_counter(all, "atrium_bytes_out_total", "Bytes of bodies that went out.", labels);
    m->seconds = metrics_histogram(all, "atrium_bytes_duration_seconds", "From the head to the end of the answer.",
                                   labels, METRICS_LATENCY_BOUNDS, METRICS_LATENCY_BOUND_COUNT);
}

static void make_metrics(BytesListener *l)
{
    size_t count = 0, at = 0;

    for (size_t i = 0; i < l->o.service_count; i++)
        count += l->o.services[i]->row_count;
    l->rows = ARENA_ARRAY(l->mem, RowMetrics, count + 1);
    l->row_count = count;
    for (size_t i = 0; i < l->o.service_count; i++)
        for (size_t j = 0; j < l->o.services[i]->row_count; j++, at++) {
            l->rows[at].row = &l->o.services[i]->rows[j];
            make_row_metrics(l, &l->rows[at], l->rows[at].row->rpc);
        }
    make_row_metrics(l, &l->rows[at], "none");
    l->connections = metrics_gauge(l->o.metrics, "atrium_bytes_connections", "Connections of the data plane.", "");
    for (size_t i = 0; i < END_COUNT; i++)
        l->ended[i] = metrics_counter(l->o.metrics, "atrium_bytes_connections_ended_total",
                                      "Connections of the data plane that were ended by us, by reason.",
                                      arena_printf(l->mem, "reason=\"%s\"", END_NAMES[i]));
}

/* What the setting asks for, or less where the process may not have so many descriptors. */
static size_t limit_connections(const BytesListener *l)
{
    const rlim_t wanted = (rlim_t)l->settings.connections_max * DESCRIPTORS_PER_CONNECTION + DESCRIPTORS_SPARE;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return (size_t)l->settings.connections_max;
    if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = MIN(wanted, limit.rlim_max);
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* up to the hard limit, which is always allowed */
    }
    if (limit.rlim_cur >= wanted)
        return (size_t)l->settings.connections_max;
    LOG_WARN(l->o.log, "bytes_connections_limited", "descriptors", (int64_t)limit.rlim_cur, "wanted", (int64_t)wanted);
    return (size_t)MAX((limit.rlim_cur - MIN(limit.rlim_cur, (rlim_t)DESCRIPTORS_SPARE)) / DESCRIPTORS_PER_CONNECTION,
                       (rlim_t)1);
}

static Err start_daemon(BytesListener *l)
{
    const unsigned user_timeout_ms = (unsigned)l->settings.idle_timeout_ms;

    TRY(err_wrap(listen_open(slice(l->o.address), BACKLOG, &l->fd), "BYTES_ADDR"));
    /* Connections inherit it: who does not read what the kernel holds is not waited for after we have closed. */
    (void)setsockopt(l->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
    l->port = listen_port(l->fd);
    l->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC |
            MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_request, l, MHD_OPTION_EXTERNAL_LOGGER, on_log, l, MHD_OPTION_LISTEN_SOCKET, l->fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(l->connections_max + CONNECTIONS_SPARE), MHD_OPTION_LISTEN_BACKLOG_SIZE,
        (unsigned)BACKLOG, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_BYTES, MHD_OPTION_URI_LOG_CALLBACK, on_uri, l, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, l,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, l, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
        MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_END);
    return l->daemon ? OK : err_make(&INTERNAL, "libmicrohttpd did not start");
}

static void init_sync(BytesListener *l)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&l->over, &attributes);
    pthread_cond_init(&l->end, &attributes);
    pthread_condattr_destroy(&attributes);
}

Err bytes_listener_start(const BytesOptions *options, BytesListener **out)
{
    CLEANUP(bytes_listener_stop_at) BytesListener *l = xcalloc(1, sizeof(*l));

    l->o = *options;
    l->settings = *options->settings;
    l->o.settings = &l->settings;
    l->fd = -1;
    l->mem = arena_new(ARENA_BYTES);
    init_sync(l);
    TRY(bytes_routes(l->mem, options->services, options->service_count, &l->routes));
    make_metrics(l);
    l->connections_max = limit_connections(l);
    TRY(start_daemon(l));
    if (pthread_create(&l->watch, NULL, watch_links, l) != 0)
        return err_make(&INTERNAL, "the watch of the data plane could not be started");
    l->watching = true;
    *out = MOVE(l);
    return OK;
}

int bytes_listener_port(const BytesListener *l)
{
    return l->port;
}

Err bytes_listener_check(void *data)
{
    return is_draining(data) ? err_make(&UNAVAILABLE, "stopping") : OK;
}

/* Until no request is under way, or it is too late. Under the lock. */
static void wait_for_requests(BytesListener *l, int64_t timeout_ms)
{
    int64_t end_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + timeout_ms;
    struct timespec until = {.tv_sec = end_ms / 1000, .tv_nsec = end_ms % 1000 * 1000000};

    while (l->active > 0 && clock_monotonic_ms(&SYSTEM_CLOCK) < end_ms)
        (void)pthread_cond_timedwait(&l->over, &l->lock, &until); /* asks again */
}

void bytes_listener_quiet(BytesListener *l)
{
    Link *link;
    int fd;

    if (is_draining(l))
        return;
    /* libmicrohttpd takes the socket out of its set and hands it back: without the close, clients would wait in it. */
    fd = MHD_quiesce_daemon(l->daemon);
    if (fd >= 0)
        close(fd);
    pthread_mutex_lock(&l->lock);
    l->draining = true;
    for (link = l->links; link; link = link->next) {
        if (link->phase == PHASE_IDLE || (link->phase == PHASE_HEAD && !link->has_line))
            end_link(l, link, END_STOP);
    }
    pthread_mutex_unlock(&l->lock);
}

void bytes_listener_drain(BytesListener *l, int64_t timeout_ms)
{
    Link *link;

    bytes_listener_quiet(l);
    pthread_mutex_lock(&l->lock);
    wait_for_requests(l, timeout_ms);
    for (link = l->links; link; link = link->next) {
        end_link(l, link, END_STOP);
    }
    wait_for_requests(l, CUT_WAIT_MS);
    pthread_mutex_unlock(&l->lock);
}

static void stop_watch(BytesListener *l)
{
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_cond_broadcast(&l->end);
    pthread_mutex_unlock(&l->lock);
    if (l->watching)
        pthread_join(l->watch, NULL);
}

void bytes_listener_stop(BytesListener *l)
{
    if (!l)
        return;
    if (l->daemon) {
        bytes_listener_drain(l, 0);
        stop_watch(l);
        MHD_stop_daemon(l->daemon); /* joins the connections' threads */
    } else if (l->fd >= 0) {
        close(l->fd);
    }
    pthread_cond_destroy(&l->over);
    pthread_cond_destroy(&l->end);
    pthread_mutex_destroy(&l->lock);
    arena_free(l->mem);
    free(l);
}
