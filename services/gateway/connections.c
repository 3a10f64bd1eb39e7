/* connections: see connections.h. */
#include "services/gateway/connections.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <utlist.h>

#include "services/gateway/exchange.h"
#include "services/gateway/relay.h"

enum {
    LOOK_EVERY_MS = 1000,
    HEAD_FAIR_MS = 1000,    /* a new connection has at least so long to ask before it makes room for others */
    DESCRIPTORS_SPARE = 128 /* for the bus, files, the admin listener */
};

struct Connections {
    Gateway *gateway;
    LoopTimer *timer;
    size_t count, limit;
    Connection *head, *idle; /* the longest waiting first */
    Connection *busy;        /* has a request */
};

static Connection **list_of(Connections *cs, ConnectionPhase phase)
{
    return phase == CONNECTION_HEAD ? &cs->head : phase == CONNECTION_IDLE ? &cs->idle : &cs->busy;
}

/* --- ending ------------------------------------------------------------------------------------------------------ */
/* Past libmicrohttpd, which can answer only when a request is complete, and has sent nothing of this one yet. */
static void tell_timeout(const Connection *c)
{
    static const char TEXT[] =
        "HTTP/1.1 408 Request Timeout\r\n"
        "Content-Type: application/problem+json\r\nContent-Length: 62\r\nConnection: close\r\n\r\n"
        "{\"type\":\"about:blank\",\"title\":\"Request Timeout\",\"status\":408}\n";

    /* A client whose window is full does not learn why. */
    (void)send(c->fd, TEXT, sizeof(TEXT) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Closing is libmicrohttpd's: it finds the end of the stream, as if the client had left. */
static void end(Connections *cs, Connection *c, ConnectionsEnd why)
{
    if ((c->phase == CONNECTION_HEAD && c->exchange) || (c->phase == CONNECTION_BODY && !c->exchange->told_past))
        tell_timeout(c);
    DL_DELETE(*list_of(cs, c->phase), c);
    c->ended = true;
    (void)shutdown(c->fd, SHUT_RDWR); /* fails when the client has left: as well */
    counter_add(cs->gateway->metrics.ended[why], 1);
}

static void end_older(Connections *cs, Connection *list, int64_t before_ms, ConnectionsEnd why)
{
    for (Connection *c = list, *next; c; c = next) {
        next = c->next; /* c may go */
        if (c->since_ms > before_ms)
            return;
        end(cs, c, why);
    }
}

/* `bytes` at the lowest rate that is accepted. */
static int64_t ms_for(const Connections *cs, uint64_t bytes)
{
    return (int64_t)(bytes * 1000 / (uint64_t)cs->gateway->settings->min_rate_bytes);
}

/* How long the body may take from now on: what goes on as it comes is looked at window by window (exchange_note_body).
 */
static int64_t body_limit_ms(const Connections *cs, const Exchange *x)
{
    if (x->told_past)
        return RELAY_LINGER_MS;
    return cs->gateway->settings->body_timeout_ms + (x->relay ? 0 : ms_for(cs, x->received));
}

/* The same of an answer: one that goes on for long begins anew whenever some of it was taken. */
static int64_t answer_limit_ms(const Connections *cs, const Exchange *x)
{
    return cs->gateway->settings->connection_timeout_ms + ms_for(cs, x->look ? RELAY_UNREAD_BYTES : x->response_bytes);
}

static void end_slow(Connections *cs)
{
    int64_t now_ms = loop_now_ms(cs->gateway->loop);

    for (Connection *c = cs->busy, *next; c; c = next) {
        next = c->next;
        if (c->phase == CONNECTION_BODY && now_ms - c->since_ms > body_limit_ms(cs, c->exchange))
            end(cs, c, CONNECTIONS_END_BODY);
        else if (c->phase == CONNECTION_ANSWER && now_ms - c->since_ms > answer_limit_ms(cs, c->exchange))
            end(cs, c, CONNECTIONS_END_ANSWER);
    }
}

void connections_cut(Connection *c)
{
    if (c->ended)
        return;
    DL_DELETE(*list_of(c->all, c->phase), c);
    c->ended = true;
    (void)shutdown(c->fd, SHUT_RDWR); /* fails when the client has left: as well */
}

void connections_release(Connection *c)
{
    if (c->ended)
        return;
    DL_DELETE(*list_of(c->all, c->phase), c);
    c->ended = true;
}

static void look(void *data)
{
    Connections *cs = data;
    const GatewaySettings *s = cs->gateway->settings;
    int64_t now_ms = loop_now_ms(cs->gateway->loop);

    end_older(cs, cs->head, now_ms - s->head_timeout_ms, CONNECTIONS_END_HEAD);
    end_older(cs, cs->idle, now_ms - s->connection_timeout_ms, CONNECTIONS_END_IDLE);
    end_slow(cs);
}

/* Who has asked for nothing yet goes first, then who has been idle longest; else the oldest of those that came just
 * now, at worst the newest, when all others have requests. */
static void make_room(Connections *cs)
{
    int64_t now_ms = loop_now_ms(cs->gateway->loop);
    bool fair = cs->head && now_ms - cs->head->since_ms >= HEAD_FAIR_MS;

    end(cs, cs->idle && !fair ? cs->idle : cs->head, CONNECTIONS_END_FULL);
}

/* --- their ways -------------------------------------------------------------------------------------------------- */
Connection *connections_add(Connections *cs, int fd)
{
    Connection *c = xcalloc(1, sizeof(*c));

    c->all = cs;
    c->fd = fd;
    c->since_ms = loop_now_ms(cs->gateway->loop);
    DL_APPEND(cs->head, c);
    gauge_add(cs->gateway->metrics.connections, 1);
    cs->count++;
    if (cs->count > cs->limit)
        make_room(cs);
    return c;
}

void connections_remove(Connections *cs, Connection *c)
{
    if (!c->ended)
        DL_DELETE(*list_of(cs, c->phase), c);
    cs->count--;
    gauge_add(cs->gateway->metrics.connections, -1);
    free(c);
}

void connections_enter(Connections *cs, Connection *c, ConnectionPhase phase)
{
    Connection **from = list_of(cs, c->phase), **to = list_of(cs, phase);

    c->phase = phase;
    if (c->ended)
        return;
    c->since_ms = loop_now_ms(cs->gateway->loop);
    if (from == to && to == &cs->busy)
        return; /* has no order */
    DL_DELETE(*from, c);
    DL_APPEND(*to, c);
}

/* --- all of them ------------------------------------------------------------------------------------------------- */
static size_t spare_descriptors(rlim_t all)
{
    return all > DESCRIPTORS_SPARE * 2 ? (size_t)(all - DESCRIPTORS_SPARE) : DESCRIPTORS_SPARE;
}

size_t connections_limit(Gateway *g)
{
    const rlim_t wanted = (rlim_t)g->settings->connections_max + (rlim_t)g->settings->sockets_max + DESCRIPTORS_SPARE;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return (size_t)g->settings->connections_max;
    if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = MIN(wanted, limit.rlim_max);
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* up to the hard limit, which is always allowed */
    }
    if (limit.rlim_cur >= wanted)
        return (size_t)g->settings->connections_max;
    LOG_WARN(g->service->log, "connections_limited", "descriptors", (int64_t)limit.rlim_cur, "wanted", (int64_t)wanted);
    return MIN((size_t)g->settings->connections_max, spare_descriptors(limit.rlim_cur));
}

size_t connections_sockets_limit(Gateway *g)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return (size_t)g->settings->sockets_max;
    return MIN((size_t)g->settings->sockets_max, spare_descriptors(limit.rlim_cur) / 2);
}

Connections *connections_new(Gateway *g, size_t limit)
{
    Connections *cs = xcalloc(1, sizeof(*cs));

    cs->gateway = g;
    cs->limit = limit;
    cs->timer = loop_timer_new(g->loop, look, cs);
    loop_timer_set(cs->timer, LOOK_EVERY_MS, LOOK_EVERY_MS);
    return cs;
}

void connections_free(Connections *cs)
{
    if (!cs)
        return;
    loop_timer_free(cs->timer);
    free(cs);
}
