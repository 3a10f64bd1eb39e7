/* rpc_stream: the producing side of streams (docs/bus.md, "Streams"). The handler's thread sends; one ticker thread per
 * server sends heartbeats, and gives up readers that have gone silent; control messages (credit, cancel) arrive in the
 * bus's delivery thread.
 *
 * Locks: the hub's, then a stream's. Neither is held across a publish. */
#include "shared/rpc_internal.h"

enum {
    HEARTBEAT_MS = 5000,
    SILENT_READER_MS = 15000,
    TICK_MS = 1000,
    BEATS_PER_TICK = 64,
    CREDIT_DEFAULT_BYTES = 256 * 1024,
    CREDIT_MAX_BYTES = 16 * 1024 * 1024,
    CONTROL_SUBJECTS = 2,
};

struct RpcStream {
    Exchange *x;
    StreamHub *hub;
    RpcStream *next;
    uint64_t id;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t moved; /* credit came, or the end */
    uint64_t sent_bytes, credit_bytes, window_bytes;
    uint64_t published; /* number of the last message that is certainly on its way */
    int64_t beat_ms, reader_seen_ms;
    bool cancelled;
    bool broken; /* a message was lost on our side: the stream cannot end well; of the handler's thread */
};

struct StreamHub {
    RpcServer *server;
    natsSubscription *subs[CONTROL_SUBJECTS];
    pthread_t ticker;
    bool ticking;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t stop_cond;
    bool stop;
    RpcStream *streams;
    uint64_t last_id;
};

static int64_t now_ms(void)
{
    return clock_monotonic_ms(&SYSTEM_CLOCK);
}

static void cond_init_monotonic(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void cond_wait_ms(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t wait_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_cond_timedwait(cond, lock, &until); /* the caller looks at its condition again anyway */
}

/* --- what the reader says ---------------------------------------------------------------------------------------- */
/* "svc.<slot>.<from>.<domain>._stream.<instance>.<id>", or rpc. without <from>. Only its own reader moves a stream. */
static bool control_fits(const RpcStream *stream, Slice subject)
{
    Slice token, rest = subject;
    bool from_gateway = slice_starts_with(subject, SLICE_LIT("rpc."));

    if (from_gateway != stream->x->endpoint->from_gateway)
        return false;
    if (from_gateway)
        return true;
    for (int i = 0; i < 3; i++)
        (void)slice_cut(rest, '.', &token, &rest); /* the subscription has made sure of the tokens */
    return slice_eq_cstr(token, stream->x->from);
}

static uint64_t last_token_number(Slice subject)
{
    size_t at = subject.len;
    uint64_t number = 0;

    while (at > 0 && subject.ptr[at - 1] != '.')
        at--;
    return slice_to_uint64(slice_skip(subject, at), &number) ? number : 0;
}

static void apply_control(RpcStream *stream, natsMsg *msg)
{
    uint64_t credit;

    pthread_mutex_lock(&stream->lock);
    stream->reader_seen_ms = now_ms();
    if (bus_header(msg, "Atrium-Stream-Cancel"))
        stream->cancelled = true;
    /* A total, so that a lost one does no harm. Bounded by what is sent and the largest window. */
    if (slice_to_uint64(slice(bus_header(msg, "Atrium-Stream-Credit")), &credit) && credit > stream->credit_bytes)
        stream->credit_bytes = MIN(credit, stream->sent_bytes + CREDIT_MAX_BYTES);
    pthread_cond_broadcast(&stream->moved);
    pthread_mutex_unlock(&stream->lock);
}

static void receive_control(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    StreamHub *hub = data;
    Slice subject = slice(natsMsg_GetSubject(msg));
    uint64_t id = last_token_number(subject);
    (void)nc, (void)sub;

    pthread_mutex_lock(&hub->lock);
    for (RpcStream *s = hub->streams; s; s = s->next) {
        if (s->id == id && control_fits(s, subject))
            apply_control(s, msg);
    }
    pthread_mutex_unlock(&hub->lock);
    natsMsg_Destroy(msg);
}

/* --- heartbeats -------------------------------------------------------------------------------------------------- */
typedef struct Beat {
    char reply[BUS_SUBJECT_MAX_BYTES];
    char last[24];
} Beat;

/* Marks what is due, and copies what the heartbeats need; false when there was no room for all. */
static bool collect_beats(StreamHub *hub, Beat *beats, size_t *count)
{
    int64_t now = now_ms();
    bool all = true;

    pthread_mutex_lock(&hub->lock);
    for (RpcStream *s = hub->streams; s; s = s->next) {
        pthread_mutex_lock(&s->lock);
        if (now - s->reader_seen_ms > SILENT_READER_MS && !s->cancelled) {
            s->cancelled = true;
            pthread_cond_broadcast(&s->moved);
        }
        if (now - s->beat_ms >= HEARTBEAT_MS && *count < BEATS_PER_TICK) {
            Beat *beat = &beats[(*count)++];

            s->beat_ms = now;
            snprintf(beat->reply, sizeof beat->reply, "%s", s->x->reply);
            snprintf(beat->last, sizeof beat->last, "%" PRIu64, s->published);
        } else if (now - s->beat_ms >= HEARTBEAT_MS) {
            all = false;
        }
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&hub->lock);
    return all;
}

static void tick(StreamHub *hub, Beat *beats)
{
    bool all;

    do {
        size_t count = 0;

        all = collect_beats(hub, beats, &count);
        for (size_t i = 0; i < count; i++)
            bus_publish_lossy(hub->server->o.bus, beats[i].reply,
                              (const BusHeader[]){{"Atrium-Stream-Beat", beats[i].last}}, 1, (Slice){"", 0});
    } while (!all);
}

static void *run_ticker(void *data)
{
    StreamHub *hub = data;
    Beat *beats = xcalloc(BEATS_PER_TICK, sizeof *beats);

    pthread_mutex_lock(&hub->lock);
    while (!hub->stop) {
        cond_wait_ms(&hub->stop_cond, &hub->lock, TICK_MS);
        pthread_mutex_unlock(&hub->lock);
        tick(hub, beats);
        pthread_mutex_lock(&hub->lock);
    }
    pthread_mutex_unlock(&hub->lock);
    free(beats);
    return NULL;
}

/* --- the hub ----------------------------------------------------------------------------------------------------- */
/* With the queue group although the subject is this instance's own: permissions allow nothing else. */
static Err subscribe_control(StreamHub *hub, const char *begin, natsSubscription **sub)
{
    Bus *bus = hub->server->o.bus;
    char *subject = arena_printf(hub->server->mem, "%s.%s._stream.%s.*", begin, hub->server->domain, bus_instance(bus));

    return err_wrap(
        bus_err(natsConnection_QueueSubscribe(sub, bus_nats(bus), subject, hub->server->domain, receive_control, hub),
                subject),
        "subscribe");
}

Err stream_hub_start(RpcServer *server, StreamHub **out)
{
    StreamHub *hub = xcalloc(1, sizeof *hub);
    const char *slot = bus_slot(server->o.bus);
    Err e;

    hub->server = server;
    pthread_mutex_init(&hub->lock, NULL);
    cond_init_monotonic(&hub->stop_cond);
    e = subscribe_control(hub, arena_printf(server->mem, "rpc.%s", slot), &hub->subs[0]);
    if (!e.reason)
        e = subscribe_control(hub, arena_printf(server->mem, "svc.%s.*", slot), &hub->subs[1]);
    hub->ticking = !e.reason && pthread_create(&hub->ticker, NULL, run_ticker, hub) == 0;
    if (!e.reason && !hub->ticking)
        e = err_make(&INTERNAL, "no thread for streams");
    if (e.reason)
        stream_hub_stop(hub);
    else
        *out = hub;
    return e;
}

void stream_hub_stop(StreamHub *hub)
{
    if (!hub)
        return;
    for (size_t i = 0; i < CONTROL_SUBJECTS; i++)
        bus_unsubscribe(hub->subs[i]);
    if (hub->ticking) {
        pthread_mutex_lock(&hub->lock);
        hub->stop = true;
        pthread_cond_broadcast(&hub->stop_cond);
        pthread_mutex_unlock(&hub->lock);
        pthread_join(hub->ticker, NULL);
    }
    assert(!hub->streams);
    pthread_mutex_destroy(&hub->lock);
    pthread_cond_destroy(&hub->stop_cond);
    free(hub);
}

/* --- one stream -------------------------------------------------------------------------------------------------- */
static char *control_subject(const RpcStream *stream)
{
    const Exchange *x = stream->x;
    Bus *bus = x->server->o.bus;
    const char *begin = x->endpoint->from_gateway ? arena_printf(x->rq.mem, "rpc.%s", bus_slot(bus))
                                                  : arena_printf(x->rq.mem, "svc.%s.%s", bus_slot(bus), x->from);

    return arena_printf(x->rq.mem, "%s.%s._stream.%s.%" PRIu64, begin, x->server->domain, bus_instance(bus),
                        stream->id);
}

RpcStream *rpc_stream_open(Exchange *x)
{
    RpcStream *stream = ARENA_NEW(x->rq.mem, RpcStream);
    StreamHub *hub = x->server->streams;

    if (!slice_to_uint64(slice(bus_header(x->msg, "Atrium-Stream-Credit")), &stream->window_bytes))
        stream->window_bytes = CREDIT_DEFAULT_BYTES;
    stream->window_bytes = MIN(stream->window_bytes, CREDIT_MAX_BYTES);
    stream->credit_bytes = stream->window_bytes;
    stream->x = x;
    stream->hub = hub;
    stream->beat_ms = stream->reader_seen_ms = now_ms();
    stream->cancelled = !x->reply;
    pthread_mutex_init(&stream->lock, NULL);
    cond_init_monotonic(&stream->moved);
    pthread_mutex_lock(&hub->lock);
    stream->id = ++hub->last_id;
    stream->next = hub->streams;
    hub->streams = stream;
    pthread_mutex_unlock(&hub->lock);
    if (x->reply)
        bus_publish_lossy(x->server->o.bus, x->reply,
                          (const BusHeader[]){{"Atrium-Seq", "0"}, {"Atrium-Stream-Control", control_subject(stream)}},
                          2, (Slice){"", 0});
    return stream;
}

bool rpc_stream_cancelled(const RpcStream *stream)
{
    RpcStream *s = (RpcStream *)(uintptr_t)stream; /* the lock is not part of what is const */
    bool cancelled;

    pthread_mutex_lock(&s->lock);
    cancelled = s->cancelled;
    pthread_mutex_unlock(&s->lock);
    return cancelled || request_remaining_ms(&s->x->rq) == 0;
}

/* What is larger than half the window needs only that half: readers grant anew when so much was read, so that any
 * message is sent in the end, and what is unread never exceeds the window by more than one message. */
static bool has_credit(const RpcStream *s, uint64_t cost)
{
    return s->sent_bytes + MIN(cost, s->window_bytes / 2) <= s->credit_bytes;
}

/* Takes it from the credit; where there is none it waits, or leaves `out_taken` false. */
static Err take_credit(RpcStream *s, uint64_t cost, bool wait, bool *out_taken)
{
    Err e = OK;

    *out_taken = false;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        int64_t remaining_ms = request_remaining_ms(&s->x->rq);

        if (s->cancelled || remaining_ms == 0) {
            e = err_make(&CANCELLED, s->cancelled ? "the reader is gone" : "the deadline is over");
            break;
        }
        *out_taken = has_credit(s, cost);
        if (*out_taken || !wait)
            break;
        cond_wait_ms(&s->moved, &s->lock, MIN(remaining_ms, TICK_MS));
    }
    if (*out_taken)
        s->sent_bytes += cost;
    pthread_mutex_unlock(&s->lock);
    return e;
}

static Err publish(RpcStream *stream, Slice body)
{
    Exchange *x = stream->x;
    uint64_t seq = stream->published + 1; /* only this thread counts it */
    char number[24];

    snprintf(number, sizeof number, "%" PRIu64, seq);
    TRY(bus_publish(x->server->o.bus, x->reply, NULL, (const BusHeader[]){{"Atrium-Seq", number}}, 1, body));
    pthread_mutex_lock(&stream->lock);
    stream->published = seq;
    stream->beat_ms = now_ms(); /* as good as a heartbeat */
    pthread_mutex_unlock(&stream->lock);
    return OK;
}

static Err send_packed(RpcStream *stream, Slice body, bool wait, bool *out_sent)
{
    const RpcMethod *method = stream->x->endpoint->handler->method;
    Err e;

    *out_sent = false;
    if (body.len > method->max_bytes)
        e = err_make(&INTERNAL, "stream message of %zu bytes, at most %u", body.len, method->max_bytes);
    else
        e = take_credit(stream, body.len + RPC_STREAM_MESSAGE_COST_BYTES, wait, out_sent);
    if (!e.reason && *out_sent)
        e = publish(stream, body);
    if (e.reason)
        stream->broken = true;
    return e;
}

Err rpc_stream_send(RpcStream *stream, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    CLEANUP(arena_free_at) Arena *mem = arena_new(len + 256); /* not the request's: a stream may be endless */
    bool sent;

    return send_packed(stream, message_pack(mem, message), true, &sent);
}

Err rpc_stream_try(RpcStream *stream, Slice packed, bool *out_sent)
{
    return send_packed(stream, packed, false, out_sent);
}

static void leave_hub(RpcStream *stream)
{
    StreamHub *hub = stream->hub;

    pthread_mutex_lock(&hub->lock);
    for (RpcStream **at = &hub->streams; *at; at = &(*at)->next) {
        if (*at == stream) {
            *at = stream->next;
            break;
        }
    }
    pthread_mutex_unlock(&hub->lock);
}

void rpc_stream_end(RpcStream *stream, Err e)
{
    Exchange *x = stream->x;
    Arena *mem = x->rq.mem;
    BusHeader headers[4] = {{"Atrium-Seq", arena_printf(mem, "%" PRIu64, stream->published + 1)},
                            {"Atrium-Stream-End", "1"}};
    size_t count = 2;
    Slice body = {"", 0};

    leave_hub(stream);               /* from here on nobody else knows it */
    if (!e.reason && stream->broken) /* the handler did not look: the reader must not take it for a good end */
        e = err_make(&UNAVAILABLE, "the stream broke off");
    if (e.reason) {
        headers[count++] = (BusHeader){"Nats-Service-Error-Code", arena_printf(mem, "%d", e.reason->bus)};
        headers[count++] = (BusHeader){"Nats-Service-Error", rpc_error_text(mem, e)};
        body = rpc_pack_status(mem, &x->rq, e);
    }
    if (x->reply)
        bus_publish_lossy(x->server->o.bus, x->reply, headers, count, body);
    pthread_mutex_destroy(&stream->lock);
    pthread_cond_destroy(&stream->moved);
}
