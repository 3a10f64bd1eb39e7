/* listener: see listener.h. */
#include "services/gateway/listener.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "services/gateway/connections.h"
#include "services/gateway/exchange.h"
#include "services/gateway/relay.h"
#include "shared/listen.h"

enum {
    CONNECTIONS_SPARE = 64, /* what connections.c ends is still there for a turn */
    UNSENT_MAX_BYTES =
        131072 /* of a connection in the kernel; it would take megabytes for a client that does not read */
};

struct Listener {
    Gateway *gateway;
    struct MHD_Daemon *daemon;
    Connections *connections;
    int fd, epoll_fd, port;
};

/* --- what MHD calls ---------------------------------------------------------------------------------------------- */
/* What MHD keeps for us beside a connection. It does not tell the end of every request that it began: one that
 * it refuses by itself ends with the connection, and no word. So whatever is left then is ended there. */
Connection *connection_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void end_exchange(Connection *c)
{
    if (c->exchange)
        exchange_end(c->exchange);
    c->exchange = NULL;
}

/* The first of all: the request line is there. What it returns is the request's context. */
static void *on_uri(void *data, const char *uri, struct MHD_Connection *connection)
{
    Listener *l = data;
    Connection *c = connection_of(connection);

    end_exchange(c);
    connections_enter(l->connections, c, CONNECTION_HEAD);
    c->exchange = exchange_new(l->gateway, connection, l->port, uri);
    return c->exchange;
}

/* Leaves percent-escapes alone: the path is split before it is decoded. */
static size_t keep_escapes(void *data, struct MHD_Connection *connection, char *text)
{
    (void)data, (void)connection;
    return strlen(text);
}

static enum MHD_Result tell(Listener *l, Exchange *x)
{
    x->told = true;
    connections_enter(l->connections, connection_of(x->connection), CONNECTION_ANSWER);
    return MHD_queue_response(x->connection, (unsigned)x->status, x->response);
}

static void sleep_on(Listener *l, Exchange *x)
{
    connections_enter(l->connections, connection_of(x->connection), CONNECTION_WAITING);
    exchange_suspend(x);
}

/* Relayed: the body waits in libmicrohttpd's buffer, and then in the client, while the data plane takes none. */
static enum MHD_Result relay_piece(Listener *l, Exchange *x, const char *body, size_t *body_len)
{
    size_t taken = relay_take_body(x, slice_of(body, *body_len));

    *body_len -= taken;
    exchange_note_body(x, taken);
    if (*body_len) {
        sleep_on(l, x);
    } else if (!x->answered && relay_goes_past(x)) {
        sleep_on(l, x);
        relay_go_past(x);
    }
    return MHD_YES;
}

/* Before the body of what is relayed: answered, or it may come, or something is awaited. */
static enum MHD_Result go_on_from_head(Listener *l, Exchange *x)
{
    if (exchange_is_refused_early(x))
        return tell(l, x);
    if (!x->answered && !relay_takes_body(x)) {
        sleep_on(l, x);
        return MHD_YES;
    }
    x->in_head = false;
    x->body_open = !x->answered;
    connections_enter(l->connections, connection_of(x->connection), CONNECTION_BODY);
    return MHD_YES;
}

static enum MHD_Result begin(Listener *l, Exchange *x, const char *method, const char *version)
{
    connections_enter(l->connections, connection_of(x->connection), CONNECTION_BODY);
    if (!exchange_begin(x, method, version))
        return MHD_NO;
    /* An answer at this point closes the connection, so it waits for the end of a body that is not too long. */
    if (exchange_is_refused_early(x))
        return tell(l, x);
    if (x->answered || !x->has_body || !exchange_is_relayed(x))
        return MHD_YES;
    x->in_head = true;
    exchange_run(x);
    return go_on_from_head(l, x);
}

/* Called with the headers, with each piece of the body, at its end, and again after a suspension. */
static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **context)
{
    Listener *l = data;
    Exchange *x = *context;

    (void)url, (void)connection;
    if (!x->begun)
        return begin(l, x, method, version);
    if (x->cut)
        return MHD_NO;
    if (*body_len && x->body_open && !x->answered)
        return relay_piece(l, x, body, body_len);
    if (*body_len) {
        bool go_on = x->told_past || exchange_take_body(x, body, *body_len);

        *body_len = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    if (x->told_past)
        return MHD_NO; /* that was all of it */
    if (x->told)
        return MHD_YES;
    if (x->in_head)
        return go_on_from_head(l, x);
    if (!x->answered && x->body_open)
        relay_body_ended(x);
    else if (!x->answered)
        exchange_run(x);
    if (x->answered)
        return tell(l, x);
    if (x->client_left)
        return MHD_NO;
    sleep_on(l, x);
    return MHD_YES;
}

static void on_completed(void *data, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    Listener *l = data;
    Connection *c = connection_of(connection);

    (void)code;
    end_exchange(c);
    connections_enter(l->connections, c, CONNECTION_IDLE);
    *context = NULL;
}

static void on_connection(void *data, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    Listener *l = data;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

        *socket_context = connections_add(l->connections, fd);
        return;
    }
    end_exchange(*socket_context);
    connections_remove(l->connections, *socket_context);
    *socket_context = NULL;
}

static void on_log(void *data, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void on_log(void *data, const char *format, va_list args)
{
    Listener *l = data;
    char text[256];

    if (!log_enabled(l->gateway->service->log, LOG_LEVEL_DEBUG))
        return;
    vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\n")] = '\0';
    LOG_DEBUG(l->gateway->service->log, "microhttpd", "text", text);
}

/* --- sockets ----------------------------------------------------------------------------------------------------- */
/* Connections inherit these; without them all is well until a client does not read, whom the kernel would then serve
 * even after we have closed. */
static void bound_unread(int fd, const GatewaySettings *s)
{
    const int unsent = UNSENT_MAX_BYTES;
    const unsigned timeout_ms = (unsigned)s->connection_timeout_ms;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

/* --- life -------------------------------------------------------------------------------------------------------- */
/* What is ready is served at the end of the turn, see listener_run: here it is enough to have been woken. */
static void on_ready(void *data, uint32_t events)
{
    (void)data, (void)events;
}

Err listener_start(Gateway *g, Slice address, Listener **out)
{
    const GatewaySettings *s = g->settings;
    size_t connections_max = connections_limit(g);
    Listener *l = xcalloc(1, sizeof(*l));
    const union MHD_DaemonInfo *info;
    Err e;

    l->gateway = g;
    l->fd = -1;
    e = err_wrap(listen_open(address, (int)s->backlog, &l->fd), "SERVER_ADDR");
    if (err_failed(e)) {
        free(l);
        return e;
    }
    bound_unread(l->fd, s);
    l->port = listen_port(l->fd);
    l->connections = connections_new(g, connections_max);
    l->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, l,
        MHD_OPTION_EXTERNAL_LOGGER, on_log, l, MHD_OPTION_LISTEN_SOCKET, l->fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(connections_max + CONNECTIONS_SPARE), MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)s->backlog,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(s->connection_timeout_ms / 1000), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)s->connection_memory_bytes, MHD_OPTION_URI_LOG_CALLBACK, on_uri, l, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_escapes, l, MHD_OPTION_NOTIFY_COMPLETED, on_completed, l, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
        MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_END);
    info = l->daemon ? MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        listener_stop(l);
        return err_make(&INTERNAL, "libmicrohttpd did not start");
    }
    l->epoll_fd = info->epoll_fd;
    loop_add_fd(g->loop, l->epoll_fd, EPOLLIN, on_ready, l);
    *out = l;
    return OK;
}

int listener_port(const Listener *l)
{
    return l->port;
}

void listener_run(Listener *l)
{
    MHD_run(l->daemon);
}

int64_t listener_wait_ms(Listener *l)
{
    MHD_UNSIGNED_LONG_LONG wait;

    return MHD_get_timeout(l->daemon, &wait) == MHD_YES ? (int64_t)wait : -1;
}

size_t listener_connections(const Listener *l)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

    return info ? info->num_connections : 0;
}

void listener_quiet(Listener *l)
{
    /* MHD takes the socket out of its set and hands it back: without the close, clients would wait in its backlog. */
    int fd = MHD_quiesce_daemon(l->daemon);

    if (fd >= 0) {
        close(fd);
        l->fd = -1;
    }
}

void listener_stop(Listener *l)
{
    if (!l)
        return;
    if (l->daemon) {
        loop_remove_fd(l->gateway->loop, l->epoll_fd);
        MHD_stop_daemon(l->daemon); /* closes the socket, too */
    } else if (l->fd >= 0) {
        close(l->fd);
    }
    connections_free(l->connections);
    free(l);
}
