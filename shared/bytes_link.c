/* bytes_link: how far the data plane's connections are, and their ends. A watch looks at all of them four times a
 * second: for logins that ended, for clients that are too slow (libmicrohttpd's timeout starts again with every byte).
 */
#include "shared/bytes_link.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum {
    WATCH_MS = 250,
    HEAD_FAIR_MS = 1000 /* a new connection has so long to ask before it makes room for others */
};

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

void link_end(BytesListener *l, Link *link, EndReason why)
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

uint64_t link_acked(const Link *link)
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
        link_end(l, link, END_LOGIN);
        return;
    }
    if (link->in_handler)
        return;
    switch (link->phase) {
    case PHASE_HEAD:
        if (now - link->since_ms > s->head_timeout_ms)
            link_end(l, link, END_HEAD);
        break;
    case PHASE_IDLE:
        if (now - link->since_ms > s->idle_timeout_ms)
            link_end(l, link, END_IDLE);
        break;
    case PHASE_BODY:
        if (too_slow(l, link, now))
            link_end(l, link, END_BODY);
        break;
    case PHASE_ANSWER:
        acked = link_acked(link);
        if (acked != link->acked)
            link->moved_ms = now;
        link->acked = acked;
        link->moved_bytes = acked - link->acked_base;
        if (too_slow(l, link, now))
            link_end(l, link, END_ANSWER);
        break;
    case PHASE_WORK:
        break;
    }
}

void *link_watch(void *data)
{
    BytesListener *l = data;
    struct timespec until;
    Link *link;

    pthread_mutex_lock(&l->lock);
    while (!l->stopping) {
        int64_t now = link_now_ms(l);

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

void link_make_room(BytesListener *l)
{
    int64_t now = link_now_ms(l);
    Link *link, *found = NULL;

    for (link = l->links; link; link = link->next) {
        bool idle = link->phase == PHASE_IDLE || (link->phase == PHASE_HEAD && now - link->since_ms >= HEAD_FAIR_MS);

        if (idle && !link->ended && (!found || link->since_ms < found->since_ms))
            found = link;
    }
    if (found)
        link_end(l, found, END_FULL);
}

/* --- phases ------------------------------------------------------------------------------------------------------ */
void link_enter(Link *link, Phase phase)
{
    BytesListener *l = link->listener;

    pthread_mutex_lock(&l->lock);
    link->phase = phase;
    link->in_handler = false;
    link->since_ms = link->moved_ms = link_now_ms(l);
    link->waited_ms = 0;
    link->moved_bytes = 0;
    if (phase == PHASE_HEAD)
        link->has_line = true;
    if (phase == PHASE_IDLE)
        link->has_line = false;
    if (phase == PHASE_ANSWER && link->carried->x.answer.body.len == 0) /* small ones are not asked for */
        link->acked_base = link->acked = link_acked(link);
    pthread_mutex_unlock(&l->lock);
}

void link_begin_work(Link *link)
{
    BytesListener *l = link->listener;

    pthread_mutex_lock(&l->lock);
    link->in_handler = true;
    link->handler_ms = link_now_ms(l);
    pthread_mutex_unlock(&l->lock);
}

void link_end_work(Link *link, size_t moved_bytes)
{
    BytesListener *l = link->listener;

    pthread_mutex_lock(&l->lock);
    link->in_handler = false;
    link->moved_ms = link_now_ms(l);
    link->waited_ms += link->moved_ms - link->handler_ms;
    if (link->phase == PHASE_BODY)
        link->moved_bytes += moved_bytes;
    pthread_mutex_unlock(&l->lock);
}

void link_bind_login(BytesExchange *x, LoginKey login)
{
    BytesListener *l = ((Carried *)x)->link->listener;

    pthread_mutex_lock(&l->lock);
    if (x->login_count < LOGINS_MAX)
        x->logins[x->login_count++] = login;
    pthread_mutex_unlock(&l->lock);
}

bool link_is_draining(BytesListener *l)
{
    bool draining;

    pthread_mutex_lock(&l->lock);
    draining = l->draining;
    pthread_mutex_unlock(&l->lock);
    return draining;
}
