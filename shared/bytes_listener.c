/* bytes_listener: libmicrohttpd with a thread per connection, its start and its end. See bytes_link.h. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "shared/bytes_link.h"
#include "shared/listen.h"

enum {
    /* Of a connection: half of it is what one read takes at most. libmicrohttpd clears all of it after each request,
     * which with half a MiB took a third of what a small download costs; beyond this, uploads gain nothing. */
    POOL_BYTES = 128 * 1024,
    BACKLOG = 256,
    STACK_BYTES = 512 * 1024,
    CONNECTIONS_SPARE = 16, /* what is ended is still there for a moment */
    DESCRIPTORS_PER_CONNECTION = 2,
    DESCRIPTORS_SPARE = 128,
    ARENA_BYTES = 16 * 1024,
    CUT_WAIT_MS = 5000 /* for handlers to notice, at the end */
};

static const char *const END_NAMES[] = {"head", "idle", "body", "answer", "full", "login", "stop"};

static Link *link_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* --- what libmicrohttpd calls ------------------------------------------------------------------------------------ */
static void *on_uri(void *data, const char *uri, struct MHD_Connection *connection)
{
    Link *link = link_of(connection);

    carried_end(link, BYTES_GONE); /* it does not tell the end of every request that it began */
    link_enter(link, PHASE_HEAD);
    return carried_new(data, connection, link, uri);
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

    if (link_is_draining(l)) {
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
    link_enter(c->link, PHASE_WORK);
    count_beginning(l, c);
    bad = http_head_read(c->connection, &line, x->rq.mem, &x->head, &status);
    x->method = arena_strdup(x->rq.mem, method);
    carried_take_id(c);
    carried_read_peer(c);
    if (bad) {
        gauge_add(carried_metrics(l, NULL)->active, 1);
        answer_bad_head(x, status, bad);
        return tell_past(c); /* where its body ends is anybody's guess */
    }
    carried_put_headers(c);
    carried_take_profile(c);
    carried_start_span(c);
    log_set_context(x->rq.id, x->rq.trace.trace_id, x->rpc);
    run_begin(l, c);
    log_set_context(x->rq.id, x->rq.trace.trace_id, x->rpc);
    gauge_add(carried_metrics(l, x->row)->active, 1);
    if (x->answer.made && !tell_reads_rest(c))
        return tell_past(c);
    link_enter(c->link, PHASE_BODY);
    return MHD_YES;
}

static enum MHD_Result take_body(Carried *c, Slice piece)
{
    BytesExchange *x = &c->x;

    link_begin_work(c->link);
    if (x->answer.made)
        x->received += piece.len; /* and thrown away */
    else
        bytes_take(x, piece);
    link_end_work(c->link, piece.len);
    return x->answer.made && !tell_reads_rest(c) ? tell_past(c) : MHD_YES;
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
        link_enter(c->link, PHASE_WORK);
        bytes_finish(&c->x);
    }
    return tell_answer(c);
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
    carried_end(link, sent ? BYTES_SENT : BYTES_GONE);
    link_enter(link, PHASE_IDLE);
    *context = NULL;
}

static Link *open_link(BytesListener *l, struct MHD_Connection *connection)
{
    Link *link = xcalloc(1, sizeof(*link));

    link->listener = l;
    link->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    link->mem = arena_new(ARENA_BYTES);
    pthread_mutex_lock(&l->lock);
    link->since_ms = link_now_ms(l);
    DL_APPEND(l->links, link);
    if (++l->count > l->connections_max)
        link_make_room(l);
    pthread_mutex_unlock(&l->lock);
    gauge_add(l->connections, 1);
    return link;
}

static void close_link(Link *link)
{
    BytesListener *l = link->listener;

    carried_end(link, BYTES_GONE);
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
    if (pthread_create(&l->watch, NULL, link_watch, l) != 0)
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
    return link_is_draining(data) ? err_make(&UNAVAILABLE, "stopping") : OK;
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

    if (link_is_draining(l))
        return;
    /* libmicrohttpd takes the socket out of its set and hands it back: without the close, clients would wait in it. */
    fd = MHD_quiesce_daemon(l->daemon);
    if (fd >= 0)
        close(fd);
    pthread_mutex_lock(&l->lock);
    l->draining = true;
    for (link = l->links; link; link = link->next) {
        if (link->phase == PHASE_IDLE || (link->phase == PHASE_HEAD && !link->has_line))
            link_end(l, link, END_STOP);
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
        link_end(l, link, END_STOP);
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
