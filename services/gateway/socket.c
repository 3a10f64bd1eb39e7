/* socket: see socket.h. The life of connections: how many there may be, what is looked at now and then, how they end.
 */
#include <sys/epoll.h>
#include <unistd.h>
#include <utlist.h>

#include "services/gateway/connections.h"
#include "services/gateway/socket_internal.h"

enum {
    SCRATCH_BYTES = 16384,
    OPCODE_PING = 9,
    CODE_GOING_AWAY = 1001,
    CODE_ABNORMAL = 1006,
    CODE_POLICY = 1008,
    STATUS_TOO_MANY = 429,
    STATUS_UNAVAILABLE = 503
};

/* --- what one rpc's connections share ----------------------------------------------------------------------------- */
static void open_metrics(Metrics *m, SocketGroup *group, const Operation *op)
{
    static const char *const ENDS[] = {
        [SOCKET_END_CLIENT] = "client",           [SOCKET_END_SERVICE] = "service", [SOCKET_END_PROTOCOL] = "protocol",
        [SOCKET_END_TOO_BIG] = "too_big",         [SOCKET_END_FLOOD] = "flood",     [SOCKET_END_SLOW] = "slow",
        [SOCKET_END_SILENT] = "silent",           [SOCKET_END_REVOKED] = "revoked", [SOCKET_END_FAILED] = "failed",
        [SOCKET_END_UNAVAILABLE] = "unavailable", [SOCKET_END_STREAM] = "stream",   [SOCKET_END_STOPPING] = "stopping"};
    char rpc[96], labels[160];

    snprintf(rpc, sizeof(rpc), "rpc=\"%s.%s\"", op->domain, op->rpc);
    group->open = metrics_gauge(m, "atrium_sockets", "Open WebSockets.", rpc);
    group->asking = metrics_gauge(m, "atrium_socket_requests", "Requests of WebSockets that wait for an answer.", rpc);
    group->attached = metrics_gauge(m, "atrium_socket_attachments", "Streams that WebSockets are attached to.", rpc);
    snprintf(labels, sizeof(labels), "%s,direction=\"in\"", rpc);
    group->frames_in = metrics_counter(m, "atrium_socket_frames_total", "Messages of WebSockets.", labels);
    group->bytes_in = metrics_counter(m, "atrium_socket_bytes_total", "Bytes of WebSockets.", labels);
    snprintf(labels, sizeof(labels), "%s,direction=\"out\"", rpc);
    group->frames_out = metrics_counter(m, "atrium_socket_frames_total", "Messages of WebSockets.", labels);
    group->bytes_out = metrics_counter(m, "atrium_socket_bytes_total", "Bytes of WebSockets.", labels);
    for (int i = 0; i < SOCKET_ENDS; i++) {
        snprintf(labels, sizeof(labels), "%s,reason=\"%s\"", rpc, ENDS[i]);
        group->ends[i] = metrics_counter(m, "atrium_socket_ends_total", "WebSockets that ended, by why.", labels);
    }
}

static SocketGroup *group_of(Sockets *all, const Operation *op)
{
    SocketGroup *group = all->groups;

    while (group && strcmp(group->subject, op->subject) != 0)
        group = group->next;
    if (group)
        return group;
    group = xcalloc(1, sizeof(*group));
    group->subject = xstrdup(op->subject);
    group->domain = xstrdup(op->domain);
    group->timeout_ms = op->timeout_ms;
    open_metrics(all->g->service->metrics, group, op);
    LL_PREPEND(all->groups, group);
    return group;
}

/* --- how many ----------------------------------------------------------------------------------------------------- */
static TallyEntry *count_address(Sockets *all, const Address *client)
{
    Address network = address_network(client);

    return tally_take(&all->addresses, slice_of((const char *)network.bytes, sizeof(network.bytes)),
                      all->g->settings->sockets_per_address);
}

Socket *socket_reserve(Exchange *x, int *out_status)
{
    Sockets *all = x->gateway->sockets;
    TallyEntry *address = NULL;
    Socket *s;

    *out_status = STATUS_UNAVAILABLE;
    if (all->open < all->limit && !all->draining) {
        *out_status = STATUS_TOO_MANY;
        address = count_address(all, &x->client);
    }
    if (!address) {
        counter_add(all->refused, 1);
        return NULL;
    }
    s = xcalloc(1, sizeof(*s));
    s->all = all;
    s->fd = -1;
    s->phase = SOCKET_GONE; /* until it begins */
    s->forgotten = true;
    s->address = address;
    s->dialect = x->dialect_id;
    s->profile = x->profile;
    s->tables = tables_ref(x->tables);
    s->op = x->op;
    s->group = group_of(all, x->op);
    s->number = ++all->next_number;
    memcpy(s->client, x->client_text, sizeof(s->client));
    DL_APPEND(all->list, s);
    all->count++;
    all->open++;
    s->group->count++;
    return s;
}

static void close_to_stop(Socket *s)
{
    Slice farewell = s->op->socket->farewell;

    if (s->phase == SOCKET_OPEN && farewell.len) {
        CLEANUP(shared_frame_unref_at) SharedFrame *frame = shared_frame_new(farewell, false);

        (void)socket_write_own(s, frame); /* whoever is too slow goes without */
    }
    socket_close(s, CODE_GOING_AWAY, SLICE_LIT("the server is stopping"), SOCKET_END_STOPPING);
}

void socket_begin(Socket *s, int fd, Slice early)
{
    Sockets *all = s->all;

    s->fd = fd;
    s->phase = SOCKET_OPEN;
    s->forgotten = false;
    s->heard_ms = s->pinged_ms = s->moved_ms = s->window_ms = loop_now_ms(all->g->loop);
    gauge_add(s->group->open, 1);
    s->events = EPOLLIN;
    loop_add_fd(all->g->loop, fd, EPOLLIN, socket_on_ready, s);
    if (early.len) {
        s->early = xmalloc(early.len);
        memcpy(s->early, early.ptr, early.len);
        s->early_len = (uint32_t)early.len;
        socket_read(s);
    }
    if (s->group->leased_ms == 0 || s->heard_ms - s->group->leased_ms >= SOCKET_LEASE_EVERY_MS)
        socket_lease(all, s->group);
    if (all->draining) /* it was answered before we knew */
        close_to_stop(s);
    socket_touch(s);
}

void socket_free(Socket *s)
{
    Sockets *all = s->all;

    if (s->dirty)
        DL_DELETE2(all->dirty, s, dirty_prev, dirty_next);
    DL_DELETE(all->list, s);
    all->count--;
    if (s->address) { /* never began: socket_gone did not see it */
        all->open--;
        tally_give(&all->addresses, MOVE(s->address));
    }
    s->group->count--;
    socket_io_done(s);
    socket_request_done(s);
    socket_unbind(s);
    tables_unref(s->tables);
    free(s);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */
bool socket_code_is_valid(uint32_t code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != CODE_ABNORMAL) ||
           (code >= 3000 && code <= 4999);
}

void socket_close(Socket *s, uint16_t code, Slice reason, SocketEnd why)
{
    if (s->phase != SOCKET_OPEN)
        return;
    s->phase = SOCKET_CLOSING;
    s->end = why;
    s->close_code = code;
    s->close_by_ms = loop_now_ms(s->all->g->loop) + SOCKET_CLOSE_WAIT_MS;
    while (s->waiting) { /* whoever is thrown out is not listened to */
        SocketMessage *m = s->waiting;

        s->waiting = m->next;
        socket_message_free(s->all, m);
    }
    s->waiting_last = NULL;
    s->waiting_count = 0;
    socket_queue_close(s, code, reason);
    socket_touch(s);
}

void socket_break(Socket *s, uint32_t code, const char *reason)
{
    socket_close(s, socket_code_is_valid(code) ? (uint16_t)code : CODE_POLICY, slice(reason), SOCKET_END_STREAM);
}

void socket_gone(Socket *s, SocketEnd why)
{
    Sockets *all = s->all;

    if (s->phase == SOCKET_GONE)
        return;
    if (s->phase == SOCKET_OPEN)
        s->end = why;
    s->phase = SOCKET_GONE;
    if (s->close_code == 0)
        s->close_code = CODE_ABNORMAL;
    loop_remove_fd(all->g->loop, s->fd);
    close(s->fd);
    s->fd = -1;
    socket_io_done(s);
    tally_give(&all->addresses, MOVE(s->address));
    all->open--;
    gauge_add(s->group->open, -1);
    counter_add(s->group->ends[s->end], 1);
    socket_touch(s);
}

/* --- the end of a turn -------------------------------------------------------------------------------------------- */
/* What was decided on within the turn is done here: output leaves, the ring forgets, the service is asked. */
static void end_turn(void *data)
{
    Sockets *all = data;

    while (all->dirty) {
        Socket *s = all->dirty;

        DL_DELETE2(all->dirty, s, dirty_prev, dirty_next);
        s->dirty = false;
        if (!s->blocked)
            socket_flush(s);
        if (s->phase != SOCKET_OPEN && !s->forgotten) {
            s->forgotten = true;
            ring_forget(s);
            socket_detach_all(s);
        }
        socket_watch(s);
        socket_next(s); /* the last one: it may free */
    }
    all->flushing_posted = false;
}

void socket_touch(Socket *s)
{
    Sockets *all = s->all;

    if (!s->dirty) {
        s->dirty = true;
        DL_APPEND2(all->dirty, s, dirty_prev, dirty_next);
    }
    if (!all->flushing_posted) {
        all->flushing_posted = true;
        loop_post(all->g->loop, end_turn, all);
    }
}

/* --- now and then ------------------------------------------------------------------------------------------------- */
/* Told once, and not waited for: it is hardly there. */
static void end_silent(Socket *s)
{
    socket_close(s, s->op->socket->silent_close, SLICE_LIT("nothing was heard"), SOCKET_END_SILENT);
    if (!s->blocked)
        socket_flush(s);
    socket_gone(s, SOCKET_END_SILENT);
}

static void look_at_open(Socket *s, int64_t now_ms)
{
    const GatewaySettings *settings = s->all->g->settings;
    bool listens = s->waiting_count < SOCKET_WAITING_MAX; /* else what it says is not read, so that nothing is heard */

    if (socket_is_revoked(s)) {
        socket_close(s, s->op->socket->revoked_close, SLICE_LIT("the login has ended"), SOCKET_END_REVOKED);
        return;
    }
    if ((listens && now_ms - s->heard_ms >= settings->socket_silence_ms) ||
        (s->out_count && now_ms - s->moved_ms >= settings->socket_silence_ms)) {
        end_silent(s);
        return;
    }
    if (now_ms - MAX(s->heard_ms, s->pinged_ms) >= settings->socket_ping_ms) {
        s->pinged_ms = now_ms;
        (void)socket_write_shared(s, s->all->ping, 0); /* it may close for being slow: as well */
    }
    if (s->attachments)
        socket_attachments_look(s);
}

static void look(void *data)
{
    Sockets *all = data;
    int64_t now_ms = loop_now_ms(all->g->loop);

    for (Socket *s = all->list; s; s = s->next) { /* none is freed here */
        if (s->phase == SOCKET_OPEN)
            look_at_open(s, now_ms);
        else if (s->phase == SOCKET_CLOSING && now_ms >= s->close_by_ms)
            socket_gone(s, s->end);
    }
    for (SocketGroup *group = all->groups; group; group = group->next)
        if (group->count && now_ms - group->leased_ms >= SOCKET_LEASE_EVERY_MS)
            socket_lease(all, group);
}

/* --- all of them -------------------------------------------------------------------------------------------------- */
Sockets *sockets_new(Gateway *g)
{
    Sockets *all = xcalloc(1, sizeof(*all));

    all->g = g;
    all->mem = arena_new(SCRATCH_BYTES);
    all->limit = connections_sockets_limit(g);
    all->ping = shared_frame_control(OPCODE_PING, SLICE_LIT(""));
    all->refused = metrics_counter(g->service->metrics, "atrium_socket_refused_total",
                                   "WebSockets refused for being too many.", "");
    all->timer = loop_timer_new(g->loop, look, all);
    loop_timer_set(all->timer, SOCKETS_LOOK_MS, SOCKETS_LOOK_MS);
    return all;
}

void sockets_drain(Sockets *all)
{
    all->draining = true;
    for (Socket *s = all->list; s; s = s->next)
        close_to_stop(s);
}

bool sockets_gone(const Sockets *all)
{
    return all->count == 0;
}

void sockets_free(Sockets *all)
{
    if (!all)
        return;
    while (all->list) {
        Socket *s = all->list;

        if (s->phase != SOCKET_GONE)
            socket_gone(s, SOCKET_END_STOPPING);
        if (!s->forgotten)
            ring_forget(s);
        socket_detach_all(s);
        socket_free(s);
    }
    loop_unpost(all->g->loop, end_turn, all);
    while (all->groups) {
        SocketGroup *group = all->groups;

        all->groups = group->next;
        free(group->subject);
        free(group->domain);
        free(group);
    }
    loop_timer_free(all->timer);
    socket_framers_free(all);
    shared_frame_unref(all->ping);
    arena_free(all->mem);
    free(all);
}

/* --- for the ring ------------------------------------------------------------------------------------------------- */
int64_t socket_user(const Socket *s)
{
    return s->user_id;
}

int socket_dialect(const Socket *s)
{
    return s->dialect;
}

Gateway *socket_gateway(const Socket *s)
{
    return s->all->g;
}

const Operation *socket_operation(const Socket *s)
{
    return s->op;
}

RingSocket **socket_ring(Socket *s)
{
    return &s->ring;
}

bool socket_is_open(const Socket *s)
{
    return s->phase == SOCKET_OPEN;
}
