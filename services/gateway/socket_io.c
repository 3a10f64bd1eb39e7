/* socket_io: bytes to messages and frames to bytes. wslay reads: masks, fragments, control frames between them, UTF-8,
 * and the pongs and closes that it answers by itself. Its buffers (8 KiB) are lent to a connection only while a frame
 * is half here, so that idle ones cost nothing. What is written is our own: frames are shared among connections, and
 * wslay would copy them into each. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utlist.h>
#include <wslay/wslay.h>

#include "services/gateway/socket_internal.h"

enum { MESSAGE_FIRST_ROOM = 256, OUT_FIRST_ROOM = 4, DISCARD_BYTES = 4096, MASK_BYTES = 4, CODE_TRY_AGAIN = 1013 };

struct SocketFramer {
    SocketFramer *next;
    wslay_event_context_ptr wslay;
    Socket *socket;
    /* Bytes that wslay got, and those of the frames that it has begun: equal when it has nothing half. */
    uint64_t given, framed;
    size_t turn_bytes;
    bool in_fragments, in_data, eof;
    uint16_t bad_close; /* a close frame came that is to be refused with this */
    char *answer;       /* what it wants to send */
    size_t answer_len, answer_room;
};

/* --- messages ---------------------------------------------------------------------------------------------------- */
void socket_message_free(Sockets *all, SocketMessage *m)
{
    if (!m)
        return;
    all->held_bytes -= (int64_t)sizeof(*m) + m->room;
    free(m);
}

/* Grows with what comes, not with what a head promises. */
static bool append_message(Socket *s, Slice bytes)
{
    Sockets *all = s->all;
    SocketMessage *m = s->message;
    size_t len = m ? m->len : 0, room = m ? m->room : 0;

    if (!m || len + bytes.len > room) {
        size_t more = MAX(len + bytes.len, m ? room * 2 : MIN(MESSAGE_FIRST_ROOM, s->op->socket->max_frame_bytes));
        int64_t growth = (int64_t)(more - room) + (m ? 0 : (int64_t)sizeof(*m));

        if (all->held_bytes + growth > all->g->settings->socket_memory_bytes)
            return false;
        all->held_bytes += growth;
        m = xrealloc(m, sizeof(*m) + more);
        m->len = (uint32_t)len;
        m->room = (uint32_t)more;
        m->next = NULL;
        s->message = m;
    }
    if (bytes.len)
        memcpy(m->bytes + m->len, bytes.ptr, bytes.len);
    m->len += (uint32_t)bytes.len;
    return true;
}

static bool is_flood(Socket *s, bool whole)
{
    int64_t now_ms = loop_now_ms(s->all->g->loop);
    uint64_t limit = s->op->socket->frames_per_minute;

    if (now_ms - s->window_ms >= SOCKET_WINDOW_MS) {
        s->window_ms = now_ms;
        s->window_messages = s->window_frames = 0;
    }
    if (whole)
        return ++s->window_messages > limit;
    return ++s->window_frames > limit * SOCKET_RAW_FRAMES_FACTOR;
}

static void close_for(Socket *s, uint16_t code, const char *reason, SocketEnd why)
{
    socket_close(s, code, slice(reason), why);
}

static void take_message(Socket *s, bool binary)
{
    if (is_flood(s, true)) {
        close_for(s, s->op->socket->flood_close, "too many frames", SOCKET_END_FLOOD);
        return;
    }
    if (!append_message(s, SLICE_LIT(""))) { /* an empty one is a message, too */
        close_for(s, CODE_TRY_AGAIN, "too much is being sent at a time", SOCKET_END_UNAVAILABLE);
        return;
    }
    counter_add(s->group->frames_in, 1);
    s->message->binary = binary;
    LL_APPEND_ELEM(s->waiting, s->waiting_last, s->message);
    s->waiting_last = s->message;
    s->message = NULL;
    s->waiting_count++;
    socket_touch(s);
}

/* --- what wslay calls -------------------------------------------------------------------------------------------- */
static ssize_t on_recv(wslay_event_context_ptr wslay, uint8_t *buf, size_t len, int flags, void *data)
{
    SocketFramer *f = data;
    Socket *s = f->socket;
    ssize_t got = -1;

    (void)flags;
    if (s->early) {
        got = (ssize_t)MIN(len, s->early_len - s->early_at);
        memcpy(buf, s->early + s->early_at, (size_t)got);
        s->early_at += (uint32_t)got;
        if (s->early_at == s->early_len)
            free(MOVE(s->early));
    } else if (f->turn_bytes < SOCKET_READ_TURN_BYTES && s->waiting_count < SOCKET_WAITING_MAX) {
        do
            got = recv(s->fd, buf, len, MSG_DONTWAIT);
        while (got < 0 && errno == EINTR);
        f->eof = got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
    }
    if (got <= 0) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    f->given += (uint64_t)got;
    f->turn_bytes += (size_t)got;
    s->heard_ms = loop_now_ms(s->all->g->loop);
    counter_add(s->group->bytes_in, (uint64_t)got);
    return got;
}

static ssize_t on_send(wslay_event_context_ptr wslay, const uint8_t *bytes, size_t len, int flags, void *data)
{
    SocketFramer *f = data;

    (void)wslay, (void)flags;
    if (f->answer_len + len > f->answer_room) {
        f->answer_room = MAX(f->answer_len + len, f->answer_room * 2);
        f->answer = xrealloc(f->answer, f->answer_room);
    }
    memcpy(f->answer + f->answer_len, bytes, len);
    f->answer_len += len;
    return (ssize_t)len;
}

static void on_frame(wslay_event_context_ptr wslay, const struct wslay_event_on_frame_recv_start_arg *arg, void *data)
{
    SocketFramer *f = data;
    Socket *s = f->socket;

    (void)wslay;
    f->framed += 2 + MASK_BYTES + arg->payload_length;
    f->framed += arg->payload_length < 126 ? 0 : arg->payload_length <= UINT16_MAX ? 2 : 8;
    f->in_data = !wslay_is_ctrl_frame(arg->opcode);
    if (is_flood(s, false))
        close_for(s, s->op->socket->flood_close, "too many frames", SOCKET_END_FLOOD);
    if (!f->in_data)
        return;
    f->in_fragments = !arg->fin;
    if ((s->message ? s->message->len : 0) + arg->payload_length > s->op->socket->max_frame_bytes)
        close_for(s, WSLAY_CODE_MESSAGE_TOO_BIG, "the message is too long", SOCKET_END_TOO_BIG);
}

static void on_chunk(wslay_event_context_ptr wslay, const struct wslay_event_on_frame_recv_chunk_arg *arg, void *data)
{
    SocketFramer *f = data;
    Socket *s = f->socket;

    (void)wslay;
    if (f->in_data && s->phase == SOCKET_OPEN && !append_message(s, slice_of(arg->data, arg->data_length)))
        close_for(s, CODE_TRY_AGAIN, "too much is being sent at a time", SOCKET_END_UNAVAILABLE);
}

/* What wslay lets pass: half a code, and a reason that is not UTF-8 when it comes in pieces. 0: it is good. */
static uint16_t close_fault(const struct wslay_event_on_msg_recv_arg *arg)
{
    if (arg->msg_length == 1)
        return WSLAY_CODE_PROTOCOL_ERROR;
    return arg->msg_length > 2 && !utf8_valid(slice_of(arg->msg + 2, arg->msg_length - 2))
               ? WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA
               : 0;
}

static void on_whole(wslay_event_context_ptr wslay, const struct wslay_event_on_msg_recv_arg *arg, void *data)
{
    SocketFramer *f = data;
    Socket *s = f->socket;

    (void)wslay;
    if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
        f->bad_close = close_fault(arg);
        s->close_received = !f->bad_close;
        if (s->close_received && s->phase == SOCKET_OPEN)
            s->close_code = arg->status_code ? arg->status_code : WSLAY_CODE_NO_STATUS_RCVD;
    } else if (!wslay_is_ctrl_frame(arg->opcode) && s->phase == SOCKET_OPEN) {
        take_message(s, arg->opcode == WSLAY_BINARY_FRAME);
    }
}

/* --- framers ----------------------------------------------------------------------------------------------------- */
static SocketFramer *new_framer(void)
{
    static const struct wslay_event_callbacks CALLBACKS = {.recv_callback = on_recv,
                                                           .send_callback = on_send,
                                                           .on_frame_recv_start_callback = on_frame,
                                                           .on_frame_recv_chunk_callback = on_chunk,
                                                           .on_msg_recv_callback = on_whole};
    SocketFramer *f = xcalloc(1, sizeof(*f));

    if (wslay_event_context_server_init(&f->wslay, &CALLBACKS, f) != 0)
        abort(); /* out of memory */
    wslay_event_config_set_no_buffering(f->wslay, 1);
    return f;
}

static void free_framer(SocketFramer *f)
{
    if (!f)
        return;
    wslay_event_context_free(f->wslay);
    free(f->answer);
    free(f);
}

static SocketFramer *take_framer(Socket *s)
{
    Sockets *all = s->all;
    SocketFramer *f = all->framers;

    if (f) {
        all->framers = f->next;
        all->framer_count--;
    } else {
        f = new_framer();
    }
    f->socket = s;
    s->framer = f;
    return f;
}

/* Back to the others when it is as new. */
static void give_framer(Socket *s, bool clean)
{
    Sockets *all = s->all;
    SocketFramer *f = MOVE(s->framer);

    if (!clean || all->framer_count >= SOCKET_FRAMERS_IDLE_MAX) {
        free_framer(f);
        return;
    }
    f->socket = NULL;
    f->given = f->framed = 0;
    f->next = all->framers;
    all->framers = f;
    all->framer_count++;
}

/* Between two frames, and no message half here. */
static void give_framer_if_idle(Socket *s)
{
    const SocketFramer *f = s->framer;

    if (f->given == f->framed && !f->in_fragments && !s->close_received)
        give_framer(s, true);
    else if (s->close_received)
        give_framer(s, false);
}

void socket_framers_free(Sockets *all)
{
    while (all->framers) {
        SocketFramer *f = all->framers;

        all->framers = f->next;
        free_framer(f);
    }
    all->framer_count = 0;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */
/* What broke the rules is told why, and not listened to any more. */
static void fail_protocol(Socket *s, uint16_t code)
{
    give_framer(s, false);
    s->deaf = true;
    if (code != WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA && code != WSLAY_CODE_MESSAGE_TOO_BIG)
        code = WSLAY_CODE_PROTOCOL_ERROR;
    close_for(s, code, "", SOCKET_END_PROTOCOL);
    s->half_closed = true; /* the client sees the end, and ends its side */
}

/* Pongs, and the echo of a close: wslay's words, unless we have said the last one. */
static void queue_answer(Socket *s, SocketFramer *f)
{
    if (f->answer_len && !s->close_sent) {
        CLEANUP(shared_frame_unref_at) SharedFrame *frame = shared_frame_raw(slice_of(f->answer, f->answer_len));

        (void)socket_write_own(s, frame); /* it may close the connection: as well */
    }
    f->answer_len = 0;
    free(MOVE(f->answer));
    f->answer_room = 0;
}

/* The client has closed: what it said before is still the service's to hear. */
static void take_close(Socket *s)
{
    s->deaf = true;
    if (s->phase != SOCKET_OPEN)
        return;
    s->phase = SOCKET_CLOSING;
    s->end = SOCKET_END_CLIENT;
    s->close_sent = true; /* by wslay's echo */
    s->close_by_ms = loop_now_ms(s->all->g->loop) + SOCKET_CLOSE_WAIT_MS;
    socket_detach_all(s);
    socket_touch(s);
}

/* Reads and drops, so that the end is seen. */
static void read_deaf(Socket *s)
{
    char bytes[DISCARD_BYTES];
    ssize_t got = recv(s->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        socket_gone(s, SOCKET_END_CLIENT);
}

void socket_read(Socket *s)
{
    SocketFramer *f;
    bool failed, ended;
    uint16_t code;

    if (s->phase == SOCKET_GONE)
        return;
    if (s->deaf) {
        read_deaf(s);
        return;
    }
    f = s->framer ? s->framer : take_framer(s);
    f->turn_bytes = 0;
    (void)wslay_event_recv(f->wslay); /* its failures end in a close that it queues */
    (void)wslay_event_send(f->wslay); /* into f->answer, which takes all */
    ended = f->eof;
    failed = wslay_event_get_close_sent(f->wslay) && !s->close_received;
    code = f->bad_close ? f->bad_close : wslay_event_get_status_code_sent(f->wslay);
    if (failed) {
        f->answer_len = 0;
        fail_protocol(s, code);
    } else {
        queue_answer(s, f);
        give_framer_if_idle(s);
        if (s->close_received)
            take_close(s);
    }
    if (ended)
        socket_gone(s, SOCKET_END_CLIENT);
    else
        socket_touch(s);
}

/* --- writing ----------------------------------------------------------------------------------------------------- */
static void push_out(Socket *s, SharedFrame *frame, uint64_t position)
{
    if (s->out_count == s->out_room) {
        uint32_t room = s->out_room ? s->out_room * 2 : OUT_FIRST_ROOM;
        SocketOut *out = xmalloc(room * sizeof(*out));

        for (uint32_t i = 0; i < s->out_count; i++)
            out[i] = s->out[(s->out_first + i) % s->out_room];
        free(s->out);
        s->out = out;
        s->out_room = room;
        s->out_first = 0;
    }
    if (s->out_count == 0)
        s->moved_ms = loop_now_ms(s->all->g->loop);
    s->out[(s->out_first + s->out_count++) % s->out_room] = (SocketOut){shared_frame_ref(frame), position, false};
    s->out_bytes += frame->len;
    socket_touch(s);
}

static int64_t own_cost(const SharedFrame *frame)
{
    return (int64_t)sizeof(*frame) + frame->len;
}

static void drop_frame(Socket *s, const SocketOut *out)
{
    s->out_bytes -= out->frame->len;
    if (out->own)
        s->all->held_bytes -= own_cost(out->frame);
    shared_frame_unref(out->frame);
}

static void pop_out(Socket *s)
{
    SocketOut *first = &s->out[s->out_first];

    if (first->position)
        s->position = first->position;
    drop_frame(s, first);
    s->out_first = (s->out_first + 1) % s->out_room;
    s->out_sent = 0;
    if (--s->out_count == 0) {
        free(MOVE(s->out));
        s->out_room = s->out_first = 0;
    }
}

/* All but a frame that has begun to leave: whoever closes for too much does not wait for it. */
void socket_drop_out(Socket *s)
{
    uint32_t keep = s->out_sent ? 1 : 0;

    while (s->out_count > keep)
        drop_frame(s, &s->out[(s->out_first + --s->out_count) % s->out_room]);
    if (s->out_count == 0) {
        free(MOVE(s->out));
        s->out_room = s->out_first = 0;
    }
}

bool socket_has_room(const Socket *s)
{
    return s->phase != SOCKET_OPEN || s->out_bytes < s->op->socket->queue_bytes / 2;
}

bool socket_write_shared(Socket *s, SharedFrame *frame, uint64_t position)
{
    if (s->phase != SOCKET_OPEN)
        return false;
    /* One frame always fits: what is too long for the queue alone would never be seen. */
    if (s->out_bytes && s->out_bytes + frame->len > s->op->socket->queue_bytes) {
        socket_drop_out(s);
        close_for(s, s->op->socket->slow_close, "too slow", SOCKET_END_SLOW);
        return false;
    }
    counter_add(s->group->frames_out, 1);
    push_out(s, frame, position);
    return true;
}

/* Those of the ring are counted there. */
bool socket_write_own(Socket *s, SharedFrame *frame)
{
    Sockets *all = s->all;

    if (s->phase == SOCKET_OPEN && all->held_bytes + own_cost(frame) > all->g->settings->socket_memory_bytes) {
        socket_drop_out(s);
        close_for(s, CODE_TRY_AGAIN, "too much waits for clients", SOCKET_END_UNAVAILABLE);
        return false;
    }
    if (!socket_write_shared(s, frame, 0))
        return false;
    s->out[(s->out_first + s->out_count - 1) % s->out_room].own = true;
    all->held_bytes += own_cost(frame);
    return true;
}

void socket_queue_close(Socket *s, uint16_t code, Slice reason)
{
    char payload[2 + SOCKET_REASON_MAX_BYTES];
    CLEANUP(shared_frame_unref_at) SharedFrame *frame = NULL;

    reason = utf8_take(reason, SOCKET_REASON_MAX_BYTES);
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    if (reason.len)
        memcpy(payload + 2, reason.ptr, reason.len);
    frame = shared_frame_control(WSLAY_CONNECTION_CLOSE, slice_of(payload, 2 + reason.len));
    push_out(s, frame, 0);
    s->close_sent = true;
}

/* False: it is gone, or the kernel takes no more. */
static bool send_some(Socket *s)
{
    struct iovec vectors[SOCKET_WRITE_VECTORS];
    struct msghdr message = {.msg_iov = vectors};
    ssize_t sent;

    for (uint32_t i = 0; i < s->out_count && i < SOCKET_WRITE_VECTORS; i++) {
        SharedFrame *frame = s->out[(s->out_first + i) % s->out_room].frame;
        uint32_t skip = i == 0 ? s->out_sent : 0;

        vectors[message.msg_iovlen++] = (struct iovec){frame->bytes + skip, frame->len - skip};
    }
    sent = sendmsg(s->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR)
        return true;
    if (sent < 0) {
        s->blocked = errno == EAGAIN || errno == EWOULDBLOCK;
        if (!s->blocked)
            socket_gone(s, SOCKET_END_CLIENT);
        return false;
    }
    counter_add(s->group->bytes_out, (uint64_t)sent);
    s->moved_ms = loop_now_ms(s->all->g->loop);
    while (sent > 0) {
        uint32_t left = s->out[s->out_first].frame->len - s->out_sent;

        if ((size_t)sent < left) {
            s->out_sent += (uint32_t)sent;
            break;
        }
        sent -= left;
        pop_out(s);
    }
    return true;
}

void socket_flush(Socket *s)
{
    if (s->phase == SOCKET_GONE)
        return;
    while (s->out_count)
        if (!send_some(s))
            return;
    s->blocked = false;
    socket_attachments_read(s);
    if (!s->close_sent || s->phase != SOCKET_CLOSING)
        return;
    if (s->close_received)
        socket_gone(s, s->end); /* both have said it: the server hangs up first (RFC 6455 section 7.1.1) */
    else if (s->half_closed)
        (void)shutdown(s->fd, SHUT_WR); /* fails when the client has left: as well */
}

/* --- the loop ---------------------------------------------------------------------------------------------------- */
void socket_watch(Socket *s)
{
    bool reads = s->waiting_count < SOCKET_WAITING_MAX || s->phase != SOCKET_OPEN;
    uint32_t wanted = (reads ? (uint32_t)EPOLLIN : 0) | (s->blocked && s->out_count ? (uint32_t)EPOLLOUT : 0);

    if (s->phase == SOCKET_GONE || wanted == s->events)
        return;
    s->events = wanted;
    loop_set_fd(s->all->g->loop, s->fd, wanted);
}

void socket_on_ready(void *data, uint32_t events)
{
    Socket *s = data;

    if (events & EPOLLOUT) {
        s->blocked = false;
        socket_flush(s);
    }
    if (s->phase != SOCKET_GONE && (events & EPOLLIN))
        socket_read(s);
    else if (s->phase != SOCKET_GONE && (events & (EPOLLHUP | EPOLLERR)))
        socket_gone(s, SOCKET_END_CLIENT);
    socket_touch(s);
}

void socket_io_done(Socket *s)
{
    if (s->framer)
        give_framer(s, false);
    socket_message_free(s->all, MOVE(s->message));
    free(MOVE(s->early));
    s->out_sent = 0;
    socket_drop_out(s);
}
