/* relay_direct: large bodies past libmicrohttpd, which reads 8 KiB at a time and copies each. It cannot be told of what
 * went past it, so that such a transfer is the last on its connection. */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "services/gateway/connections.h"
#include "services/gateway/relay_parts.h"

enum { DIRECT_CLIENT_EVENTS = RELAY_CLIENT_EVENTS | EPOLLIN | EPOLLOUT };

/* --- pipes ------------------------------------------------------------------------------------------------------- */
static void pipe_close(Relays *all, RelayPipe p)
{
    close(p.in);
    close(p.out);
    all->pipe_count--;
    gauge_add(all->pipes, -1);
}

static bool pipe_take(Relays *all, RelayPipe *out)
{
    int ends[2];

    if (all->idle_pipe_count) {
        *out = all->idle_pipes[--all->idle_pipe_count];
        return true;
    }
    if (all->pipe_count >= RELAY_PIPES_MAX || pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        return false;
    (void)fcntl(ends[1], F_SETPIPE_SZ, RELAY_PIPE_BYTES); /* refused: it holds less at a time */
    *out = (RelayPipe){.out = ends[0], .in = ends[1]};
    all->pipe_count++;
    gauge_add(all->pipes, 1);
    return true;
}

static void pipe_give_back(Relay *r)
{
    Relays *all = r->x->gateway->relays;
    Direct *d = &r->direct;

    if (!d->has_pipe)
        return;
    d->has_pipe = false;
    if (d->piped || all->idle_pipe_count == RELAY_PIPES_IDLE_MAX)
        pipe_close(all, d->pipe);
    else
        all->idle_pipes[all->idle_pipe_count++] = d->pipe;
    d->piped = 0;
}

void relays_free_pipes(Relays *all)
{
    while (all->idle_pipe_count)
        pipe_close(all, all->idle_pipes[--all->idle_pipe_count]);
}

/* --- taking and giving ------------------------------------------------------------------------------------------- */
static Received received(ssize_t n)
{
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return RECEIVED_NOTHING;
    return n > 0 ? RECEIVED : RECEIVED_END;
}

static Received take_by_buffer(Direct *d, int fd, uint64_t most, size_t *out_len)
{
    ssize_t n;
    Received got;

    if (!d->buffer)
        d->buffer = xmalloc(RELAY_BUFFER_BYTES);
    n = recv(fd, d->buffer, (size_t)MIN(most, (uint64_t)RELAY_BUFFER_BYTES), MSG_DONTWAIT);
    got = received(n);
    if (got == RECEIVED) {
        d->pending = slice_of(d->buffer, (size_t)n);
        *out_len = (size_t)n;
    }
    return got;
}

/* As much as there is, `most` at most. */
static Received take(Relay *r, int fd, uint64_t most, size_t *out_len)
{
    Direct *d = &r->direct;
    ssize_t n;
    Received got;

    if (!d->has_pipe)
        return take_by_buffer(d, fd, most, out_len);
    n = splice(fd, NULL, d->pipe.in, NULL, (size_t)MIN(most, (uint64_t)RELAY_PIPE_BYTES),
               SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (n < 0 && (errno == EINVAL || errno == ENOSYS)) { /* not of this kind of socket, or not here at all */
        pipe_give_back(r);
        return take_by_buffer(d, fd, most, out_len);
    }
    got = received(n);
    if (got == RECEIVED)
        d->piped = *out_len = (size_t)n;
    return got;
}

static bool holds(const Direct *d)
{
    return d->pending.len || d->piped;
}

/* END: the other side takes no more. */
static Received give(Direct *d, int fd, size_t *out_len)
{
    ssize_t n = d->pending.len ? send(fd, d->pending.ptr, d->pending.len, MSG_DONTWAIT | MSG_NOSIGNAL)
                               : splice(d->pipe.out, NULL, fd, NULL, d->piped, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    Received given = received(n);

    if (given != RECEIVED)
        return given;
    *out_len = (size_t)n;
    if (d->pending.len)
        d->pending = slice_skip(d->pending, (size_t)n);
    else
        d->piped -= (size_t)n;
    return given;
}

/* --- turns ------------------------------------------------------------------------------------------------------- */
static void next_turn(void *data)
{
    Relay *r = data;

    r->direct.posted = false;
    relay_direct_go_on(r);
}

static void post(Relay *r)
{
    if (!r->direct.posted)
        loop_post(r->x->gateway->loop, next_turn, r);
    r->direct.posted = true;
}

static int client_fd(const Relay *r)
{
    return connection_of(r->x->connection)->fd;
}

/* Whose time it takes from here on. */
static void wait_for_plane(Relay *r)
{
    Connection *c = connection_of(r->x->connection);

    if (!r->direct.waits)
        relay_moved(r);
    r->direct.waits = true;
    if (c->phase != CONNECTION_WAITING)
        connections_enter(c->all, c, CONNECTION_WAITING);
}

static void wait_for_client(Relay *r, ConnectionPhase phase)
{
    Connection *c = connection_of(r->x->connection);

    r->direct.waits = false;
    if (c->phase != phase)
        connections_enter(c->all, c, phase);
}

static void count(Relay *r, Counter *direction, size_t len)
{
    counter_add(direction, len);
    counter_add(r->x->gateway->relays->bytes_direct, len);
}

static void begin(Relay *r, int way)
{
    Direct *d = &r->direct;

    d->way = way;
    d->waits = false;
    d->client_readable = d->client_writable = true;
    if (!d->has_pipe)
        d->has_pipe = pipe_take(r->x->gateway->relays, &d->pipe);
    /* Not moved from within libmicrohttpd's call; and what is ready now is told by this. */
    loop_set_fd(r->x->gateway->loop, client_fd(r), DIRECT_CLIENT_EVENTS);
    post(r);
}

static void end(Relay *r)
{
    r->direct.way = DIRECT_NONE;
    r->direct.waits = false;
    pipe_give_back(r);
    loop_set_fd(r->x->gateway->loop, client_fd(r), RELAY_CLIENT_EVENTS);
}

/* --- up ---------------------------------------------------------------------------------------------------------- */
void relay_direct_begin_up(Relay *r)
{
    r->direct.past = true;
    r->direct.left = r->x->content_length - r->x->received;
    begin(r, DIRECT_UP);
}

static void end_up(Relay *r)
{
    r->body_complete = true;
    end(r);
    if (r->x->client_left)
        exchange_cut(r->x);
    else
        relay_step(r);
}

/* False: no more now. */
static bool give_plane(Relay *r)
{
    size_t len = 0;

    if (!r->conn->writable) {
        wait_for_plane(r);
        return false;
    }
    switch (give(&r->direct, r->conn->fd, &len)) {
    case RECEIVED:
        count(r, r->x->gateway->relays->bytes_up, len);
        relay_moved(r);
        return true;
    case RECEIVED_NOTHING:
        r->conn->writable = false;
        wait_for_plane(r);
        return false;
    case RECEIVED_END:
        end(r);
        relay_write_failed(r);
        relay_step(r);
        return false;
    }
    return false;
}

static bool take_of_client(Relay *r)
{
    Direct *d = &r->direct;
    size_t len = 0;

    if (!d->client_readable) {
        wait_for_client(r, CONNECTION_BODY);
        return false;
    }
    switch (take(r, client_fd(r), d->left, &len)) {
    case RECEIVED:
        d->left -= len;
        exchange_note_body(r->x, len);
        return true;
    case RECEIVED_NOTHING:
        d->client_readable = false;
        wait_for_client(r, CONNECTION_BODY);
        return false;
    case RECEIVED_END:
        exchange_cut(r->x);
        return false;
    }
    return false;
}

static void go_up(Relay *r)
{
    Direct *d = &r->direct;
    uint64_t until = d->left > RELAY_DIRECT_TURN_BYTES ? d->left - RELAY_DIRECT_TURN_BYTES : 0;

    while (r->phase == RELAY_BODY && r->conn) {
        if (holds(d)) {
            if (!give_plane(r))
                return;
        } else if (d->left == 0) {
            end_up(r);
            return;
        } else if (d->left <= until) {
            post(r);
            return;
        } else if (!take_of_client(r)) {
            return;
        }
    }
}

/* --- down -------------------------------------------------------------------------------------------------------- */
void relay_direct_begin_down(Relay *r, Slice head)
{
    r->direct.pending = head;
    begin(r, DIRECT_DOWN);
}

static void end_down(Relay *r)
{
    r->answer_complete = true;
    end(r);
    relay_give_back(r);
    if (r->direct.past)
        exchange_end_past(r->x);
    else
        exchange_resume(r->x);
}

static bool is_taken(const Relay *r)
{
    return r->answer_complete || (r->answer.body == ANSWER_LENGTH && r->left == 0);
}

/* Of the answer, out of what came with its head or is in chunks. False: it is broken. */
static bool take_buffered(Relay *r, size_t *out_len)
{
    Slice in = slice_of(r->buffer + r->start, relay_buffered(r)), piece = in;
    size_t used;

    if (r->answer.body == ANSWER_CHUNKED) {
        AnswerResult result = answer_chunk(&r->chunks, in, &piece, &used);

        if (result == ANSWER_BROKEN)
            return false;
        r->answer_complete = result == ANSWER_DONE;
    } else {
        if (r->answer.body == ANSWER_LENGTH)
            piece = slice_take(in, (size_t)MIN((uint64_t)in.len, r->left));
        used = piece.len;
    }
    r->start += used;
    r->direct.pending = piece;
    *out_len = piece.len;
    return true;
}

/* False: no more now. */
static bool take_of_plane(Relay *r, size_t *budget)
{
    size_t len = 0;
    Received got = RECEIVED;

    if (relay_buffered(r)) {
        if (!take_buffered(r, &len)) {
            relay_fail(r, RELAY_BROKEN);
            return false;
        }
    } else if (!r->conn->readable) {
        got = RECEIVED_NOTHING;
    } else if (r->answer.body == ANSWER_CHUNKED) {
        got = relay_fill(r);
    } else {
        got = take(r, r->conn->fd, r->answer.body == ANSWER_LENGTH ? r->left : UINT64_MAX, &len);
        if (got == RECEIVED)
            relay_moved(r);
    }
    if (got == RECEIVED_NOTHING) {
        r->conn->readable = false;
        wait_for_plane(r);
        return false;
    }
    if (got == RECEIVED_END && r->answer.body != ANSWER_TO_CLOSE) {
        relay_fail(r, RELAY_BROKEN);
        return false;
    }
    if (got == RECEIVED_END)
        r->answer_complete = true;
    if (r->answer.body == ANSWER_LENGTH)
        r->left -= len;
    count(r, r->x->gateway->relays->bytes_down, len);
    *budget -= MIN(*budget, len);
    return true;
}

static bool give_client(Relay *r)
{
    Direct *d = &r->direct;
    size_t len = 0;
    Received given = d->client_writable ? give(d, client_fd(r), &len) : RECEIVED_NOTHING;

    if (given == RECEIVED) {
        exchange_note_progress(r->x);
        d->waits = false;
        return true;
    }
    if (given == RECEIVED_END) {
        exchange_cut(r->x);
        return false;
    }
    d->client_writable = false;
    wait_for_client(r, CONNECTION_ANSWER);
    return false;
}

static void go_down(Relay *r)
{
    size_t budget = RELAY_DIRECT_TURN_BYTES;

    for (;;) {
        if (holds(&r->direct)) {
            if (!give_client(r))
                return;
        } else if (is_taken(r)) {
            end_down(r);
            return;
        } else if (budget == 0) {
            post(r);
            return;
        } else if (!take_of_plane(r, &budget)) {
            return;
        }
    }
}

/* --- both -------------------------------------------------------------------------------------------------------- */
void relay_direct_go_on(Relay *r)
{
    if (!r->x->suspended || r->x->cut || r->direct.posted)
        return;
    if (r->direct.way == DIRECT_UP)
        go_up(r);
    else if (r->direct.way == DIRECT_DOWN)
        go_down(r);
}

void relay_direct_ready(Relay *r, uint32_t events)
{
    Direct *d = &r->direct;

    if (d->way == DIRECT_NONE)
        return;
    d->client_readable |= (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    d->client_writable |= (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
    relay_direct_go_on(r);
}

bool relay_direct_waits(const Relay *r)
{
    return r->direct.way ? r->direct.waits : r->x->suspended;
}

void relay_direct_end(Relay *r)
{
    if (r->direct.posted)
        loop_unpost(r->x->gateway->loop, next_turn, r);
    pipe_give_back(r);
    free(r->direct.buffer);
}
