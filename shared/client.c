/* client: calls. One subscription takes all replies; the last token of the inbox says whose it is. */
#include "shared/client.h"

#include "atrium/bus.pb-c.h"
#include "shared/client_internal.h"
#include "shared/fiber.h"

enum { TIMEOUT_MIN_MS = 1, FROM_BUS_INTERNAL = 13, LOSS_CHECK_MS = 100 };

/* --- time -------------------------------------------------------------------------------------------------------- */
int64_t client_now_ms(void)
{
    return clock_monotonic_ms(&SYSTEM_CLOCK);
}

void client_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

void client_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms)
{
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};

    (void)pthread_cond_timedwait(cond, lock, &until); /* the caller looks at its condition again anyway */
}

int64_t client_deadline_ms(const CallOptions *options, const RpcMethod *method)
{
    int64_t timeout_ms = options && options->timeout_ms > 0 ? options->timeout_ms : method->timeout_ms;

    if (options && options->rq)
        timeout_ms = MIN(timeout_ms, request_remaining_ms(options->rq));
    return client_now_ms() + timeout_ms;
}

bool client_may_retry(int tries, int64_t deadline_ms)
{
    return tries < CLIENT_TRIES && client_now_ms() + CLIENT_RETRY_PAUSE_MS < deadline_ms;
}

void client_pause(void)
{
    nats_Sleep(CLIENT_RETRY_PAUSE_MS);
}

/* --- whose reply ------------------------------------------------------------------------------------------------- */
static Waiter **find_waiter(Client *c, uint64_t number)
{
    Waiter **at = &c->buckets[number % CLIENT_BUCKETS];

    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

static void receive_reply(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    Client *c = data;
    const char *last = strrchr(natsMsg_GetSubject(msg), '.');
    uint64_t number;
    Waiter *waiter = NULL;
    (void)nc, (void)sub;

    pthread_mutex_lock(&c->lock);
    if (last && slice_to_uint64(slice(last + 1), &number))
        waiter = *find_waiter(c, number);
    if (waiter)
        waiter->receive(waiter, msg);
    pthread_mutex_unlock(&c->lock);
    if (!waiter)
        natsMsg_Destroy(msg); /* came too late */
}

void client_forget(Client *c, Waiter *waiter)
{
    Waiter **at;

    pthread_mutex_lock(&c->lock);
    at = find_waiter(c, waiter->number);
    if (*at == waiter)
        *at = waiter->next;
    pthread_mutex_unlock(&c->lock);
}

static void remember(Client *c, Waiter *waiter)
{
    pthread_mutex_lock(&c->lock);
    waiter->number = ++c->last_number;
    waiter->next = c->buckets[waiter->number % CLIENT_BUCKETS];
    c->buckets[waiter->number % CLIENT_BUCKETS] = waiter;
    pthread_mutex_unlock(&c->lock);
}

/* --- sending ----------------------------------------------------------------------------------------------------- */
static void add_header(Outgoing *out, const char *name, const char *value)
{
    if (value && value[0]) {
        assert(out->header_count < CLIENT_HEADERS_MAX);
        out->headers[out->header_count++] = (BusHeader){name, value};
    }
}

/* What the callee is told of the request that this call is for. */
static void add_context(Arena *mem, const Request *rq, const RpcMethod *method, Outgoing *out)
{
    char *traceparent;

    add_header(out, "Atrium-Profile", rq->profile);
    add_header(out, "Atrium-Client", rq->client_address);
    add_header(out, "X-Request-Id", rq->id);
    /* What only services may call, a service calls as itself. */
    if (method->caller != RPC_SERVICE)
        add_header(out, "Atrium-Caller", rq->caller_header);
    if (rq->trace.trace_id[0]) {
        traceparent = arena_alloc(mem, TRACEPARENT_BYTES, 1);
        trace_format(&rq->trace, traceparent);
        add_header(out, "traceparent", traceparent);
    }
}

Err client_prepare(Client *c, const CallOptions *options, Arena *mem, const RpcMethod *method,
                   const ProtobufCMessage *in, const char *stream_credit, Outgoing *out)
{
    *out = (Outgoing){.subject = bus_svc_subject(mem, c->bus, method->domain, method->version, method->name)};
    out->body = message_pack(mem, in);
    if (out->body.len > method->max_bytes)
        return err_make(&PAYLOAD_TOO_LARGE, "%s.%s: request of %zu bytes, at most %u", method->domain, method->name,
                        out->body.len, method->max_bytes);
    out->repeatable = method->idempotency == RPC_IDEMPOTENCY_SAFE ||
                      (method->idempotency == RPC_IDEMPOTENCY_KEY && options && options->idempotency_key);
    add_header(out, "Atrium-Timeout-Ms", "0"); /* the first; its value is of each try */
    add_header(out, "Atrium-Stream-Credit", stream_credit);
    if (options) {
        add_header(out, "Idempotency-Key", options->idempotency_key);
        if (options->rq)
            add_context(mem, options->rq, method, out);
    }
    return OK;
}

Err client_send(Client *c, Arena *mem, const RpcMethod *method, Outgoing *out, Waiter *waiter, int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - client_now_ms();
    Err e;

    assert(!fiber_current()); /* whoever waits in one stops the loop that brings the answer */
    if (left_ms < TIMEOUT_MIN_MS)
        return err_make(&DEADLINE_EXCEEDED, "%s.%s: no time left", method->domain, method->name);
    remember(c, waiter);
    out->headers[0].value = arena_printf(mem, "%" PRId64, left_ms);
    out->inbox = arena_printf(mem, "_INBOX.%s.%s.%s.%" PRIu64, bus_name(c->bus), method->domain, bus_instance(c->bus),
                              waiter->number);
    e = bus_publish(c->bus, out->subject, out->inbox, out->headers, out->header_count, out->body);
    if (e.reason)
        client_forget(c, waiter);
    return err_wrap(e, method->name);
}

/* --- what came back ---------------------------------------------------------------------------------------------- */
static const Reason *common_reason(int64_t status)
{
    static const struct {
        int status;
        const Reason *reason;
    } ROWS[] = {
        {1, &CANCELLED},
        {3, &INVALID_ARGUMENT},
        {4, &DEADLINE_EXCEEDED},
        {5, &NOT_FOUND},
        {6, &CONFLICT},
        {7, &PERMISSION_DENIED},
        {8, &RATE_LIMITED},
        {9, &PRECONDITION_FAILED},
        {10, &CONFLICT},
        {12, &UNIMPLEMENTED},
        {FROM_BUS_INTERNAL, &INTERNAL},
        {14, &UNAVAILABLE},
        {16, &UNAUTHENTICATED},
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        if (ROWS[i].status == status)
            return ROWS[i].reason;
    }
    return &INTERNAL;
}

Err client_reply_error(Arena *mem, const RpcMethod *method, natsMsg *msg)
{
    const char *code = bus_header(msg, "Nats-Service-Error-Code"), *text = bus_header(msg, "Nats-Service-Error");
    const Reason *reason = NULL;
    ProtobufCMessage *body;
    int64_t status = FROM_BUS_INTERNAL;
    Err e;

    if (!code)
        return OK;
    (void)slice_to_int64(slice(code), &status); /* unreadable: INTERNAL */
    e = message_unpack(mem, &atrium__status__descriptor,
                       slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)), &body);
    if (!e.reason) {
        const Atrium__Status *s = (const Atrium__Status *)body;

        reason = s->reason ? reason_find(s->reason) : NULL;
        if (s->text && s->text[0])
            text = s->text;
    }
    if (!reason)
        reason = common_reason(status);
    if (text && (!text[0] || !utf8_valid(slice(text)))) /* a header may hold anything */
        text = NULL;
    /* The step is named only where callers do not see it: a shown text reaches them as the callee wrote it. */
    return reason->shown ? err_make(reason, "%s", text ? text : reason->code)
                         : err_make(reason, "%s.%s.%s: %s", method->domain, method->version, method->name,
                                    text ? text : "failed");
}

void client_count(Client *c, Arena *mem, const RpcMethod *method, Err e)
{
    if (!c->metrics)
        return;
    counter_add(metrics_counter(c->metrics, "atrium_client_requests_total", "Calls to other services, by outcome.",
                                arena_printf(mem, "service=\"%s\",rpc=\"%s\",code=\"%s\"", method->domain, method->name,
                                             e.reason ? e.reason->key : "OK")),
                1);
}

/* --- calls ------------------------------------------------------------------------------------------------------- */
typedef struct Call {
    Waiter waiter;
    pthread_cond_t came;
    natsMsg *msg;
} Call;

static void receive_call(Waiter *w, natsMsg *msg)
{
    Call *call = (Call *)w;

    natsMsg_Destroy(call->msg); /* nobody answers twice; if so, the last counts */
    call->msg = msg;
    pthread_cond_signal(&call->came);
}

/* Why there is no reply. Only where a second try does no harm is a loss UNAVAILABLE, which invites one. */
static Err no_reply(const RpcMethod *method, const Outgoing *out, bool lost)
{
    if (!lost)
        return err_make(&DEADLINE_EXCEEDED, "%s.%s: no answer in time", method->domain, method->name);
    return err_make(out->repeatable ? &UNAVAILABLE : &DEADLINE_EXCEEDED, "%s.%s: the bus was lost%s", method->domain,
                    method->name, out->repeatable ? "" : "; it may have run");
}

/* One try. `*out` is the reply, owned. */
static Err call_once(Client *c, Arena *mem, const RpcMethod *method, Outgoing *out, int64_t deadline_ms,
                     natsMsg **reply)
{
    Call call = {.waiter.receive = receive_call};
    uint64_t losses = bus_losses(c->bus);
    Err e;

    client_cond_init(&call.came);
    e = client_send(c, mem, method, out, &call.waiter, deadline_ms);
    if (!e.reason) {
        pthread_mutex_lock(&c->lock);
        while (!call.msg && client_now_ms() < deadline_ms && bus_losses(c->bus) == losses)
            client_cond_wait(&call.came, &c->lock, MIN(deadline_ms, client_now_ms() + LOSS_CHECK_MS));
        pthread_mutex_unlock(&c->lock);
        client_forget(c, &call.waiter);
        if (call.msg)
            *reply = call.msg;
        else
            e = no_reply(method, out, bus_losses(c->bus) != losses);
    }
    pthread_cond_destroy(&call.came);
    return e;
}

static Err read_reply(Arena *mem, const RpcMethod *method, natsMsg *msg, ProtobufCMessage **out)
{
    Slice body = slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
    Err e;

    TRY(client_reply_error(mem, method, msg));
    e = message_unpack(mem, method->reply, body, out);
    if (e.reason) /* the callee's fault, not our caller's */
        return err_make(&INTERNAL, "%s.%s: reply: %s", method->domain, method->name, e.text);
    return OK;
}

static Err call_until(Client *c, Arena *mem, const RpcMethod *method, Outgoing *out, int64_t deadline_ms,
                      ProtobufCMessage **message)
{
    for (int tries = 1;; tries++) {
        natsMsg *reply = NULL;
        bool nobody;
        Err e;

        TRY(call_once(c, mem, method, out, deadline_ms, &reply));
        nobody = natsMsg_IsNoResponders(reply);
        e = nobody ? err_make(&UNAVAILABLE, "%s: nobody there", method->domain)
                   : read_reply(mem, method, reply, message);
        bus_discard(c->bus, reply);
        if (!nobody || !client_may_retry(tries, deadline_ms))
            return e;
        client_pause();
    }
}

Err client_call(Client *c, const CallOptions *options, Arena *mem, const RpcMethod *method, const ProtobufCMessage *in,
                ProtobufCMessage **out)
{
    Outgoing outgoing;
    int64_t deadline_ms = client_deadline_ms(options, method);
    Err e = client_prepare(c, options, mem, method, in, NULL, &outgoing);

    if (!e.reason)
        e = call_until(c, mem, method, &outgoing, deadline_ms, out);
    client_count(c, mem, method, e);
    return e;
}

/* --- the client -------------------------------------------------------------------------------------------------- */
Err client_new(Bus *bus, Metrics *metrics, Client **out)
{
    CLEANUP(client_free_at) Client *c = xcalloc(1, sizeof *c);
    char inbox[BUS_SUBJECT_MAX_BYTES];

    c->bus = bus;
    c->metrics = metrics;
    pthread_mutex_init(&c->lock, NULL);
    client_cond_init(&c->tick_cond);
    snprintf(inbox, sizeof inbox, "_INBOX.%s.*.%s.*", bus_name(bus), bus_instance(bus));
    TRY(bus_err(natsConnection_Subscribe(&c->inbox, bus_nats(bus), inbox, receive_reply, c), "subscribe to the inbox"));
    *out = MOVE(c);
    return OK;
}

void client_free(Client *c)
{
    if (!c)
        return;
    bus_unsubscribe(c->inbox);
    if (c->ticking) {
        pthread_mutex_lock(&c->lock);
        c->stop = true;
        pthread_cond_broadcast(&c->tick_cond);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->ticker, NULL);
    }
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->tick_cond);
    free(c);
}
