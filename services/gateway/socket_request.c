/* socket_request: what the service is asked about a connection, and what its reply does. One request at a time; what
 * comes meanwhile waits. The service keeps nothing, so any instance may answer: where nobody takes a request it is sent
 * again, with growing pauses, for SOCKET_RETRY_FOR_MS, and the connection lives on. What may have been done is asked
 * again only where that does no harm by contract (all but FRAME, see realtime.proto). */
#include <sodium.h>

#include "atrium/reasons.atrium.h"
#include "services/gateway/socket_internal.h"
#include "shared/message.h"

enum {
    CODE_NORMAL = 1000,
    CODE_NO_STATUS = 1005,
    CODE_FAILED = 1011,
    CODE_TRY_AGAIN = 1013,
    CODE_POLICY = 1008,
    BUS_PERMISSION_DENIED = 7,
    BUS_EXHAUSTED = 8,
    BUS_UNAVAILABLE = 14,
    BUS_UNAUTHENTICATED = 16,
    CONNECTION_ID_BYTES = 64,
    REQUEST_ID_BYTES = 37
};

/* A request under way: sent, or waiting to be sent (again), or for an identity. */
struct SocketAsk {
    Atrium__SocketKind kind;
    Atrium__Authentication authentication;
    SocketMessage *message; /* of FRAME */
    SocketEnded *ended;     /* told with it */
    int tries;
    int refused; /* answers that the ring could not do */
    int64_t began_ms;
    LoopTimer *again;
    RingLook look;
    Span span;
    char *caller; /* the Atrium-Caller with which it was sent; NULL nobody's */
    char *token;  /* of its frame, while it is being verified */
    char *rest;   /* the reply, once its joins are under way but not all that was missed has been written */
    size_t rest_len;
};

static void ask_now(Socket *s);
static void finish_reply(Socket *s);

/* --- the request ---------------------------------------------------------------------------------------------------
 */
static void add_header(BusHeader *out, size_t room, size_t *count, const char *name, const char *value)
{
    if (value && *count < room)
        out[(*count)++] = (BusHeader){name, value};
}

size_t socket_headers(Socket *s, const char *caller, int64_t timeout_ms, const TraceContext *trace, BusHeader *out,
                      size_t room)
{
    Arena *mem = s->all->mem;
    char *traceparent = arena_alloc(mem, TRACEPARENT_BYTES, 1), *id = arena_alloc(mem, REQUEST_ID_BYTES, 1);
    size_t count = 0;

    trace_format(trace, traceparent);
    uuid_format(uuid_v4(), id);
    add_header(out, room, &count, "traceparent", traceparent);
    add_header(out, room, &count, "Atrium-Timeout-Ms", arena_printf(mem, "%" PRId64, timeout_ms));
    add_header(out, room, &count, "Atrium-Profile", s->profile->name);
    add_header(out, room, &count, "Atrium-Client", s->client);
    add_header(out, room, &count, "X-Request-Id", id);
    add_header(out, room, &count, "Atrium-Caller", caller);
    return count;
}

static ProtobufCBinaryData binary(const void *bytes, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)bytes};
}

static void set_frame(Arena *mem, const SocketMessage *m, Atrium__SocketRequest *rq)
{
    Atrium__FramePart *part = MESSAGE_NEW(mem, Atrium__FramePart, atrium__frame_part__init);

    rq->frame = MESSAGE_NEW(mem, Atrium__SocketFrame, atrium__socket_frame__init);
    SET(part, text, binary(m->bytes, m->len));
    SET(rq->frame, binary, m->binary);
    rq->frame->parts = ARENA_ARRAY(mem, Atrium__FramePart *, 1);
    rq->frame->parts[rq->frame->n_parts++] = part;
}

static Slice pack_request(Socket *s)
{
    const SocketAsk *ask = s->ask;
    Arena *mem = s->all->mem;
    Atrium__SocketRequest rq = ATRIUM__SOCKET_REQUEST__INIT;
    char connection[CONNECTION_ID_BYTES];

    snprintf(connection, sizeof(connection), "%s.%" PRIu64, bus_instance(s->all->g->bus), s->number);
    SET(&rq, kind, ask->kind);
    rq.connection = connection;
    SET(&rq, state, binary(s->state, s->state_len));
    SET(&rq, dialect, (uint32_t)s->dialect);
    SET(&rq, position, ask->kind == ATRIUM__SOCKET_KIND__CLOSED ? s->position : ask->look.position);
    SET(&rq, oldest, ask->look.oldest);
    rq.epoch = (char *)(uintptr_t)ask->look.epoch;
    if (ask->message)
        set_frame(mem, ask->message, &rq);
    if (ask->authentication)
        SET(&rq, authentication, ask->authentication);
    if (ask->kind == ATRIUM__SOCKET_KIND__OPEN)
        rq.query = s->query;
    if (ask->kind == ATRIUM__SOCKET_KIND__CLOSED)
        SET(&rq, close_code, s->close_code);
    if (ask->ended) {
        rq.attachment_ended = ask->ended->id;
        SET(&rq, attachment_failed, ask->ended->failed);
    }
    return message_pack(mem, &rq.base);
}

/* --- the end of an ask ----------------------------------------------------------------------------------------------
 */
static void forget_token(SocketAsk *ask)
{
    if (ask->token)
        sodium_memzero(ask->token, strlen(ask->token));
    free(MOVE(ask->token));
}

static void free_ask(Socket *s)
{
    SocketAsk *ask = MOVE(s->ask);

    if (!ask)
        return;
    loop_timer_free(ask->again);
    socket_message_free(s->all, ask->message);
    forget_token(ask);
    free(ask->rest);
    free(ask->caller);
    free(ask->ended);
    free(ask);
    gauge_add(s->group->asking, -1);
}

static void forget_open(Socket *s)
{
    for (size_t i = 0; i < s->header_count; i++) {
        free((char *)(uintptr_t)s->headers[i].name);
        free((char *)(uintptr_t)s->headers[i].value);
    }
    free(MOVE(s->headers));
    s->header_count = 0;
    free(MOVE(s->query));
}

/* What is due next is asked at the end of the turn. After CLOSED nothing is. */
static void end_ask(Socket *s)
{
    bool closed = s->ask->kind == ATRIUM__SOCKET_KIND__CLOSED;

    if (s->ask->kind == ATRIUM__SOCKET_KIND__OPEN) {
        s->open_answered = true;
        forget_open(s);
    }
    free_ask(s);
    if (closed)
        socket_free(s);
    else
        socket_touch(s);
}

static void fail(Socket *s, uint16_t code, const char *reason, SocketEnd why)
{
    LOG_WARN(s->all->g->service->log, "socket_failed", "rpc", s->op->rpc, "kind", (int64_t)s->ask->kind, "code",
             (int64_t)code, "why", reason);
    socket_close(s, code, slice(reason), why);
    end_ask(s);
}

/* --- once more ------------------------------------------------------------------------------------------------------
 */
static void again(void *data)
{
    Socket *s = data;

    if (s->ask->rest)
        finish_reply(s);
    else
        ask_now(s);
}

static void set_again(Socket *s, int64_t pause_ms)
{
    if (!s->ask->again)
        s->ask->again = loop_timer_new(s->all->g->loop, again, s);
    loop_timer_set(s->ask->again, pause_ms, 0);
}

static int64_t patience_ms(const Socket *s)
{
    if (s->ask->kind != ATRIUM__SOCKET_KIND__CLOSED)
        return SOCKET_RETRY_FOR_MS;
    return s->all->draining ? SOCKET_DRAIN_CLOSED_MS : SOCKET_CLOSED_FOR_MS;
}

static void ask_later(Socket *s)
{
    SocketAsk *ask = s->ask;
    int64_t pause_ms = MIN((int64_t)SOCKET_RETRY_FIRST_MS << MIN(ask->tries, 6), SOCKET_RETRY_LAST_MS);

    if (loop_now_ms(s->all->g->loop) - ask->began_ms >= patience_ms(s)) {
        fail(s, CODE_TRY_AGAIN, "the service is not available", SOCKET_END_UNAVAILABLE);
        return;
    }
    ask->tries++;
    set_again(s, pause_ms);
}

/* --- the reply ------------------------------------------------------------------------------------------------------
 */
static bool write_frames(Socket *s, Atrium__SocketFrame **frames, size_t count, uint64_t position)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP(shared_frame_unref_at)
        SharedFrame *frame = shared_frame_build(tables_types(s->tables), s->dialect, frames[i], position);

        if (!frame)
            return false;
        (void)socket_write_own(s, frame); /* one that is not open any more goes without */
    }
    return true;
}

static bool take_state(Socket *s, const Atrium__SocketReply *r)
{
    if (!r->has_state)
        return true;
    if (r->state.len > SOCKET_STATE_MAX_BYTES)
        return false;
    free(s->state);
    s->state = NULL;
    s->state_len = (uint32_t)r->state.len;
    if (r->state.len)
        s->state = memcpy(xmalloc(r->state.len), r->state.data, r->state.len);
    return true;
}

static void wake(void *data)
{
    Socket *s = data;

    s->wake_due = true;
    socket_touch(s);
}

static void set_wake(Socket *s, uint32_t after_ms)
{
    s->wake_due = false;
    if (after_ms && !s->wake)
        s->wake = loop_timer_new(s->all->g->loop, wake, s);
    if (after_ms)
        loop_timer_set(s->wake, after_ms, 0);
    else if (s->wake)
        loop_timer_clear(s->wake);
}

static void take_close(Socket *s, const Atrium__SocketClose *close)
{
    uint32_t code = close->has_code && socket_code_is_valid(close->code) ? close->code : CODE_NORMAL;

    socket_close(s, (uint16_t)code, slice(close->reason), SOCKET_END_SERVICE);
}

static RingChange change_of(const Socket *s, const Atrium__SocketReply *r)
{
    return (RingChange){.asked = s->ask->look.position,
                        .generation = s->ask->look.generation,
                        .has_from = r->has_from,
                        .from = r->from,
                        .leave = r->leave,
                        .n_leave = r->n_leave,
                        .join = r->join,
                        .n_join = r->n_join,
                        .marks = r->marks,
                        .n_marks = r->n_marks};
}

/* May it be done? Else the service is asked again, and begins afresh. */
static bool ring_allows(Socket *s, const Atrium__SocketReply *r)
{
    const RingChange change = change_of(s, r);

    return !socket_is_open(s) || ring_takes(s, &change);
}

/* In the order that realtime.proto gives, up to what the ring has of the joins. False: there is something in it that
 * cannot be done. */
static bool apply(Socket *s, const Atrium__SocketReply *r)
{
    const RingChange change = change_of(s, r);

    if (!take_state(s, r))
        return false;
    if (!socket_is_open(s))
        return true;
    if (!write_frames(s, r->frames_before, r->n_frames_before, ring_position_before(s, &change)))
        return false;
    if (socket_is_open(s))
        ring_apply(s, &change);
    return true;
}

/* What comes behind that. */
static bool apply_rest(Socket *s, const Atrium__SocketReply *r)
{
    if (!socket_is_open(s))
        return true;
    if (!write_frames(s, r->frames_after, r->n_frames_after, ring_position(s)))
        return false;
    set_wake(s, r->wake_ms);
    if (r->attach && socket_is_open(s))
        socket_attach(s, r->attach, s->ask->caller);
    for (size_t i = 0; i < r->n_cancel; i++)
        socket_detach(s, r->cancel[i]);
    if (r->close)
        take_close(s, r->close);
    return true;
}

/* --- a token in a frame ---------------------------------------------------------------------------------------------
 */
static void verified(Socket *s, AuthVerdict verdict, const Identity *identity)
{
    static const Atrium__Authentication SAID[] = {[AUTH_GOOD] = ATRIUM__AUTHENTICATION__VERIFIED,
                                                  [AUTH_BAD] = ATRIUM__AUTHENTICATION__REFUSED,
                                                  [AUTH_EXPIRED] = ATRIUM__AUTHENTICATION__REFUSED,
                                                  [AUTH_UNAVAILABLE] = ATRIUM__AUTHENTICATION__UNKNOWN};
    SocketAsk *ask = s->ask;

    if (verdict == AUTH_GOOD && !socket_may_log_in(s, identity)) {
        socket_close(s, s->op->socket->flood_close, SLICE_LIT("too many logins"), SOCKET_END_FLOOD);
        end_ask(s);
        return;
    }
    if (verdict == AUTH_GOOD) {
        auth_keep_login(s->all->g->auth, identity);
        socket_bind(s, identity->user_id, identity->login_id, identity->api_key, slice(ask->token));
    }
    forget_token(ask);
    ask->authentication = SAID[verdict];
    ask->began_ms = loop_now_ms(s->all->g->loop);
    ask->tries = 0;
    ask_now(s);
}

static void verdict_came(void *data, AuthVerdict verdict, const Identity *identity)
{
    verified(data, verdict, identity);
}

static void verify(Socket *s, const char *token)
{
    Identity identity;
    AuthVerdict verdict;

    s->ask->token = xstrdup(token);
    verdict = auth_check(s->all->g->auth, slice(s->ask->token), verdict_came, s, &identity);
    if (verdict != AUTH_WAIT)
        verified(s, verdict, &identity);
}

/* --- what came back -------------------------------------------------------------------------------------------------
 */
static const Atrium__SocketReply *unpack(Socket *s, Slice wire)
{
    ProtobufCMessage *message;

    arena_reset(s->all->mem);
    return err_failed(message_unpack(s->all->mem, &atrium__socket_reply__descriptor, wire, &message))
               ? NULL
               : (const Atrium__SocketReply *)message;
}

static void end_reply(Socket *s, bool fine)
{
    if (fine)
        end_ask(s);
    else
        fail(s, CODE_FAILED, "an answer that cannot be carried out", SOCKET_END_FAILED);
}

/* What was missed is written as fast as the client reads it (ring_look says no until then); the rest comes behind it.
 */
static bool catches_up(Socket *s)
{
    RingLook look;

    return socket_is_open(s) && !ring_look(s, &look);
}

static void finish_reply(Socket *s)
{
    const Atrium__SocketReply *reply;

    if (catches_up(s)) {
        set_again(s, SOCKET_RETRY_FIRST_MS);
        return;
    }
    reply = unpack(s, slice_of(s->ask->rest, s->ask->rest_len));
    end_reply(s, reply && apply_rest(s, reply));
}

static void take_reply(Socket *s, natsMsg *msg)
{
    Slice wire = slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
    const Atrium__SocketReply *reply = unpack(s, wire);

    if (!reply) {
        fail(s, CODE_FAILED, "unreadable answer", SOCKET_END_FAILED);
    } else if (s->ask->kind == ATRIUM__SOCKET_KIND__CLOSED) {
        end_ask(s);
    } else if (reply->authenticate) {
        if (s->ask->authentication)
            fail(s, CODE_FAILED, "asked for a token a second time", SOCKET_END_FAILED);
        else
            verify(s, reply->authenticate);
    } else if (!ring_allows(s, reply)) {
        if (++s->ask->refused > SOCKET_REFUSED_MAX)
            fail(s, CODE_TRY_AGAIN, "the service does not begin afresh", SOCKET_END_FAILED);
        else
            ask_now(s);
    } else if (!apply(s, reply)) {
        end_reply(s, false);
    } else if (catches_up(s)) {
        s->ask->rest = memcpy(xmalloc(wire.len + 1), wire.ptr, wire.len);
        s->ask->rest_len = wire.len;
        set_again(s, SOCKET_RETRY_FIRST_MS);
    } else {
        end_reply(s, apply_rest(s, reply));
    }
}

/* It was heard, and may have been done. */
static void take_silence(Socket *s)
{
    if (s->ask->kind == ATRIUM__SOCKET_KIND__FRAME)
        fail(s, CODE_FAILED, "no answer in time", SOCKET_END_UNAVAILABLE);
    else
        ask_later(s);
}

/* What a client should make of a failure: not to come again like this, to come later, or that we do not know. */
static uint16_t close_code_of(int64_t bus_status)
{
    switch (bus_status) {
    case BUS_PERMISSION_DENIED:
    case BUS_UNAUTHENTICATED:
        return CODE_POLICY;
    case BUS_EXHAUSTED:
        return CODE_TRY_AGAIN;
    default:
        return CODE_FAILED;
    }
}

static void came(void *data, UpstreamOutcome outcome, natsMsg *msg)
{
    Socket *s = data;
    const char *code = outcome == UPSTREAM_REPLIED ? bus_header(msg, "Nats-Service-Error-Code") : NULL;
    int64_t number = 0;

    span_end(s->all->g->service->tracer, &s->ask->span, outcome == UPSTREAM_REPLIED && !code ? NULL : "failed");
    if (outcome == UPSTREAM_NOBODY || (code && slice_to_int64(slice(code), &number) && number == BUS_UNAVAILABLE))
        ask_later(s);
    else if (outcome != UPSTREAM_REPLIED)
        take_silence(s);
    else if (code)
        fail(s, close_code_of(number), "the service failed", SOCKET_END_FAILED);
    else
        take_reply(s, msg);
}

/* --- sending --------------------------------------------------------------------------------------------------------
 */
static void send_as(Socket *s, const char *caller)
{
    Gateway *g = s->all->g;
    SocketAsk *ask = s->ask;
    bool known = ring_look(s, &ask->look);
    BusHeader headers[SOCKET_HEADERS_MAX + HTTP_HEAD_FIELDS_MAX];
    TraceContext root = trace_root(tracer_sample(g->service->tracer));
    UpstreamRequest rq = {.subject = s->op->subject,
                          .callee = s->op->domain,
                          .headers = headers,
                          .timeout_ms = s->op->timeout_ms,
                          .done = came,
                          .data = s};

    if (!known && ask->kind != ATRIUM__SOCKET_KIND__CLOSED) {
        if (s->open_answered) { /* the client is slow to read what it missed: that is not the service's fault */
            ask->began_ms = loop_now_ms(g->loop);
            ask->tries = 0;
        }
        ask_later(s);
        return;
    }
    free(ask->caller);
    ask->caller = caller ? xstrdup(caller) : NULL;
    ask->span = span_start(&root, s->op->path, 3);
    rq.header_count = socket_headers(s, caller, rq.timeout_ms, &ask->span.self, headers, SOCKET_HEADERS_MAX);
    if (ask->kind == ATRIUM__SOCKET_KIND__OPEN && s->header_count) {
        memcpy(headers + rq.header_count, s->headers, s->header_count * sizeof(*headers));
        rq.header_count += s->header_count;
    }
    rq.body = pack_request(s);
    if (err_failed(upstream_send(g->upstream, &rq)))
        ask_later(s);
    else
        s->opened = true;
}

static void identity_came(void *data, AuthVerdict verdict, const Identity *identity)
{
    Socket *s = data;
    bool closed = s->ask->kind == ATRIUM__SOCKET_KIND__CLOSED;

    arena_reset(s->all->mem);
    if (verdict == AUTH_GOOD)
        send_as(s, identity->user_id ? auth_caller_header(s->all->g->auth, identity, s->op) : NULL);
    else if (verdict == AUTH_UNAVAILABLE)
        ask_later(s);
    else if (closed)
        send_as(s, NULL); /* its state says whose it was */
    else {
        socket_close(s, s->op->socket->revoked_close, SLICE_LIT("the login has ended"), SOCKET_END_REVOKED);
        end_ask(s);
    }
}

static void ask_now(Socket *s)
{
    Identity identity;
    AuthVerdict verdict;

    verdict = socket_identity(s, identity_came, &identity);
    if (verdict != AUTH_WAIT)
        identity_came(s, verdict, &identity);
}

/* --- what is due ----------------------------------------------------------------------------------------------------
 */
static void begin_ask(Socket *s, Atrium__SocketKind kind)
{
    s->ask = xcalloc(1, sizeof(*s->ask));
    s->ask->kind = kind;
    s->ask->began_ms = loop_now_ms(s->all->g->loop);
    gauge_add(s->group->asking, 1);
    if (kind == ATRIUM__SOCKET_KIND__FRAME) {
        s->ask->message = s->waiting;
        s->waiting = s->waiting->next;
        s->waiting_last = s->waiting ? s->waiting_last : NULL;
        s->waiting_count--;
        socket_watch(s); /* there is room for one more */
    }
    if (kind == ATRIUM__SOCKET_KIND__TIMER)
        s->wake_due = false;
    if (s->ended && kind != ATRIUM__SOCKET_KIND__OPEN && kind != ATRIUM__SOCKET_KIND__CLOSED) {
        s->ask->ended = s->ended;
        s->ended = s->ended->next;
    }
    ask_now(s);
}

void socket_next(Socket *s)
{
    bool open = s->phase == SOCKET_OPEN;

    if (s->ask)
        return;
    if (open && !s->open_answered)
        begin_ask(s, ATRIUM__SOCKET_KIND__OPEN);
    else if (s->waiting && s->open_answered) /* also of a client that has said good-bye since */
        begin_ask(s, ATRIUM__SOCKET_KIND__FRAME);
    else if (open &&
             (s->ended || (s->wake_due && socket_has_room(s)))) /* what is told in pieces waits for its client */
        begin_ask(s, ATRIUM__SOCKET_KIND__TIMER);
    else if (s->phase == SOCKET_GONE && s->opened)
        begin_ask(s, ATRIUM__SOCKET_KIND__CLOSED);
    else if (s->phase == SOCKET_GONE)
        socket_free(s);
}

void socket_request_done(Socket *s)
{
    free_ask(s);
    forget_open(s);
    loop_timer_free(MOVE(s->wake));
    while (s->waiting) {
        SocketMessage *m = s->waiting;

        s->waiting = m->next;
        socket_message_free(s->all, m);
    }
    while (s->ended) {
        SocketEnded *e = s->ended;

        s->ended = e->next;
        free(e);
    }
    free(MOVE(s->state));
}

/* --- leases ---------------------------------------------------------------------------------------------------------
 */
static void lease_came(void *data, UpstreamOutcome outcome, natsMsg *msg)
{
    SocketGroup *group = data;

    (void)outcome, (void)msg; /* the next one comes in any case */
    group->leasing = false;
}

void socket_lease(Sockets *all, SocketGroup *group)
{
    const TraceContext root = trace_root(tracer_sample(all->g->service->tracer));
    Atrium__SocketRequest rq = ATRIUM__SOCKET_REQUEST__INIT;
    char traceparent[TRACEPARENT_BYTES], timeout[24];
    const BusHeader headers[] = {{"traceparent", traceparent}, {"Atrium-Timeout-Ms", timeout}};
    Err e;

    group->leased_ms = loop_now_ms(all->g->loop);
    if (group->leasing)
        return;
    arena_reset(all->mem);
    trace_format(&root, traceparent);
    snprintf(timeout, sizeof(timeout), "%u", group->timeout_ms);
    SET(&rq, kind, ATRIUM__SOCKET_KIND__LEASE);
    rq.connection = (char *)(uintptr_t)bus_instance(all->g->bus);
    SET(&rq, lease_ms, SOCKET_LEASE_MS);
    e = upstream_send(all->g->upstream, &(UpstreamRequest){.subject = group->subject,
                                                           .callee = group->domain,
                                                           .headers = headers,
                                                           .header_count = ARRAY_LEN(headers),
                                                           .body = message_pack(all->mem, &rq.base),
                                                           .timeout_ms = group->timeout_ms,
                                                           .done = lease_came,
                                                           .data = group});
    group->leasing = !err_failed(e);
}
