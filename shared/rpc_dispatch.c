/* rpc_dispatch: one request from its message to its reply, in a worker thread. */
#include "shared/idempotency.h"
#include "shared/rpc_internal.h"

enum {
    TIMEOUT_MAX_MS = 3600 * 1000,
    REPLY_HEADERS_MAX = 24,
    STORED_HEADERS_MAX_BYTES = 16 * 1024,
    PURGE_PERIOD_MS = 600 * 1000,
    PURGE_TIMEOUT_MS = 5000,
};

/* --- reading the message ----------------------------------------------------------------------------------------- */
static const char *header_or(natsMsg *msg, const char *name, const char *otherwise)
{
    const char *value = bus_header(msg, name);

    return value ? value : otherwise;
}

int64_t rpc_timeout_ms(natsMsg *msg, const RpcMethod *method)
{
    int64_t value;

    if (!slice_to_int64(slice(bus_header(msg, "Atrium-Timeout-Ms")), &value))
        return method->timeout_ms;
    return MIN(value, TIMEOUT_MAX_MS);
}

/* "Http-if-none-match" is the request header if-none-match, which the rpc asked for. */
static void read_http_headers(Exchange *x)
{
    const char **names = NULL;
    RequestHeader *list;
    int count = 0;

    if (natsMsgHeader_Keys(x->msg, &names, &count) != NATS_OK)
        return; /* none at all */
    list = ARENA_ARRAY(x->rq.mem, RequestHeader, count);
    for (int i = 0; i < count; i++) {
        if (!slice_starts_with(slice(names[i]), SLICE_LIT("Http-")))
            continue;
        char *name = arena_strdup(x->rq.mem, names[i] + strlen("Http-"));

        for (char *c = name; *c; c++)
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 'a' - 'A' : *c);
        list[x->rq.header_count++] = (RequestHeader){name, bus_header(x->msg, names[i])};
    }
    x->rq.headers = list;
    free((void *)names);
}

/* "svc.<slot>.<from>.…": who sent it is pinned by the server's permissions. */
static const char *read_sender(Exchange *x)
{
    Slice rest = slice(natsMsg_GetSubject(x->msg)), token = {0};

    if (x->endpoint->from_gateway)
        return "";
    for (int i = 0; i < 3; i++)
        (void)slice_cut(rest, '.', &token, &rest); /* the subscription has made sure of the tokens */
    return slice_cstr(x->rq.mem, token);
}

/* Answers go to the sender's inbox only: any other subject would let a requester publish with our rights. */
static const char *read_reply(Exchange *x)
{
    const char *reply = natsMsg_GetReply(x->msg);
    Slice inbox;

    if (!reply || !reply[0])
        return NULL;
    inbox = slice(x->endpoint->from_gateway ? "_INBOX." : arena_printf(x->rq.mem, "_INBOX.%s.", x->from));
    if (slice_starts_with(slice(reply), inbox) && strlen(reply) < BUS_SUBJECT_MAX_BYTES)
        return reply;
    LOG_WARN(x->server->o.log, "rpc_bad_reply_subject", "from", x->from, "reply", reply);
    return NULL;
}

static void start_span(Exchange *x)
{
    TraceContext parent;

    if (!trace_parse(slice(bus_header(x->msg, "traceparent")), &parent))
        parent = trace_root(tracer_sample(x->server->o.tracer));
    x->span = span_start(&parent, x->endpoint->rpc, 2);
    x->rq.trace = x->span.self;
}

static Exchange *read_exchange(const Work *work, Arena *mem)
{
    Exchange *x = ARENA_NEW(mem, Exchange);
    RpcServer *server = work->endpoint->server;
    natsMsg *msg = work->msg;

    x->server = server;
    x->endpoint = work->endpoint;
    x->msg = msg;
    x->received_us = work->received_us;
    x->rq = (Request){
        .mem = mem,
        .service = server->o.context,
        .profile = header_or(msg, "Atrium-Profile", "all"),
        .client_address = header_or(msg, "Atrium-Client", ""),
        .id = header_or(msg, "X-Request-Id", ""),
        .clock = server->o.clock,
        .deadline_ms = work->received_us / 1000 + rpc_timeout_ms(msg, work->endpoint->handler->method),
        .db = server->o.db,
        .client = server->o.client,
        .log = server->o.log,
        .idempotency_key = bus_header(msg, "Idempotency-Key"),
        .server = x,
    };
    read_http_headers(x);
    x->from = read_sender(x);
    x->reply = read_reply(x);
    start_span(x);
    return x;
}

/* --- the caller -------------------------------------------------------------------------------------------------- */
/* Also verified on rpc. subjects, which only the gateway may publish to: JetStream publishes there for whoever may make
 * a consumer with such a delivery subject, and that is not bound by permissions. */
static Err believe_caller(Exchange *x, const char *header)
{
    if (x->server->o.verifier)
        return caller_verify(x->server->o.verifier, x->rq.mem, slice(header), &x->rq.caller);
    if (!x->endpoint->from_gateway)
        return err_make(&UNAUTHENTICATED, "this service takes no callers from other services");
    return caller_decode(x->rq.mem, slice(header), &x->rq.caller);
}

static Err find_caller(Exchange *x)
{
    const RpcMethod *method = x->endpoint->handler->method;
    const char *header = method->caller == RPC_ANYONE ? NULL : bus_header(x->msg, "Atrium-Caller");

    if (header) {
        Err e = believe_caller(x, header);

        if (e.reason && method->caller != RPC_OPTIONAL)
            return e;
        if (e.reason)
            x->rq.caller = (Caller){.kind = CALLER_NOBODY, .username = "", .login_id = ""};
        else
            x->rq.caller_header = header;
    } else {
        CallerKind kind = !x->endpoint->from_gateway      ? CALLER_SERVICE
                          : method->caller == RPC_GATEWAY ? CALLER_GATEWAY
                                                          : CALLER_NOBODY;

        x->rq.caller = (Caller){.kind = kind, .username = "", .login_id = ""};
    }
    x->rq.caller.service = x->from;
    return rpc_check_caller(method, &x->rq.caller, x->endpoint->from_gateway);
}

/* --- answering --------------------------------------------------------------------------------------------------- */
typedef struct ReplyHeaders {
    BusHeader list[REPLY_HEADERS_MAX];
    size_t count;
} ReplyHeaders;

static void add_header(ReplyHeaders *h, const char *name, const char *value)
{
    if (h->count < REPLY_HEADERS_MAX)
        h->list[h->count++] = (BusHeader){name, value};
}

static void add_request_headers(Exchange *x, ReplyHeaders *h)
{
    struct RequestReply *reply = &x->rq.reply;

    if (reply->http_status > 0)
        add_header(h, "Http-Status", arena_printf(x->rq.mem, "%d", reply->http_status));
    for (size_t i = 0; i < reply->header_count; i++)
        add_header(h, arena_printf(x->rq.mem, "Http-%s", reply->headers[i].name), reply->headers[i].value);
    if (reply->after_mark)
        add_header(h, "Atrium-After", reply->after_mark);
}

static void send_reply(Exchange *x, Err e, Slice body, bool replayed)
{
    ReplyHeaders h = {.count = 0};

    if (!x->reply)
        return;
    if (e.reason) {
        add_header(&h, "Nats-Service-Error-Code", arena_printf(x->rq.mem, "%d", e.reason->bus));
        add_header(&h, "Nats-Service-Error", rpc_error_text(x->rq.mem, e));
        body = rpc_pack_status(x->rq.mem, &x->rq, e);
    }
    add_request_headers(x, &h);
    if (replayed)
        add_header(&h, "Idempotency-Replayed", "true");
    bus_publish_lossy(x->server->o.bus, x->reply, h.list, h.count, body);
}

void rpc_refuse(RpcServer *server, const char *reply, const Reason *reason, const char *text, Slice status)
{
    char code[12];
    const BusHeader headers[] = {{"Nats-Service-Error-Code", code}, {"Nats-Service-Error", text}};

    snprintf(code, sizeof code, "%d", reason->bus);
    bus_publish_lossy(server->o.bus, reply, headers, ARRAY_LEN(headers), status);
}

static void count_request(Exchange *x, Err e, int64_t duration_us)
{
    Endpoint *endpoint = x->endpoint;
    const char *code = e.reason ? e.reason->key : NULL;

    discovery_endpoint_count(&endpoint->discovery, duration_us * 1000, e.reason ? rpc_error_text(x->rq.mem, e) : NULL);
    if (!x->server->o.metrics)
        return;
    histogram_observe(endpoint->seconds, (double)duration_us / 1e6);
    if (!code)
        counter_add(endpoint->ok, 1);
    else
        counter_add(metrics_counter(x->server->o.metrics, "atrium_rpc_requests_total", "Requests answered, by outcome.",
                                    arena_printf(x->rq.mem, "service=\"%s\",rpc=\"%s\",code=\"%s\"", x->server->domain,
                                                 endpoint->handler->method->name, code)),
                    1);
}

static void log_request(Exchange *x, Err e, int64_t duration_us)
{
    Log *log = x->server->o.log;

    /* What callers are not shown must be found here. */
    if (e.reason && !e.reason->shown)
        LOG_ERROR(log, "rpc_failed", "reason", e.reason->key, "error", (const char *)e.text, "duration_us",
                  duration_us);
    else
        LOG_DEBUG(log, "rpc", "code", e.reason ? e.reason->key : "OK", "error", (const char *)e.text, "from",
                  x->from[0] ? x->from : "gateway", "duration_us", duration_us);
}

/* Metrics, log, span, and the end of the message; the arena is the caller's. */
static void close_exchange(Exchange *x, Err e)
{
    RpcServer *server = x->server;
    int64_t duration_us = clock_monotonic_us(server->o.clock) - x->received_us;

    count_request(x, e, duration_us);
    log_request(x, e, duration_us);
    if (e.reason)
        span_attribute(&x->span, "rpc.reason", slice(e.reason->key));
    span_end(server->o.tracer, &x->span, e.reason ? e.reason->key : NULL);
    bus_discard(server->o.bus, x->msg);
    log_set_context(NULL, NULL, NULL);
    rpc_server_done_one(server);
}

static Err pack_reply(Exchange *x, const ProtobufCMessage *out, Slice *packed)
{
    const RpcMethod *method = x->endpoint->handler->method;

    *packed = message_pack(x->rq.mem, out);
    if (packed->len > method->max_bytes)
        return err_make(&INTERNAL, "reply of %zu bytes, at most %u", packed->len, method->max_bytes);
    return OK;
}

/* --- idempotency ------------------------------------------------------------------------------------------------- */
static const char *idempotency_owner(Exchange *x)
{
    const Caller *caller = &x->rq.caller;

    if (caller->kind == CALLER_PERSON)
        return arena_printf(x->rq.mem, "user:%" PRId64, caller->user_id);
    if (caller->kind == CALLER_SERVICE)
        return arena_printf(x->rq.mem, "service:%s", caller->service);
    return caller->kind == CALLER_GATEWAY ? "gateway" : "anonymous";
}

static Slice encode_headers(Exchange *x)
{
    StrBuf b = strbuf_new(x->rq.mem, STORED_HEADERS_MAX_BYTES);

    for (size_t i = 0; i < x->rq.reply.header_count; i++)
        strbuf_printf(&b, "%s: %s\n", x->rq.reply.headers[i].name, x->rq.reply.headers[i].value);
    return strbuf_slice(&b);
}

static void decode_headers(Exchange *x, Slice text)
{
    Slice line, name, value;

    while (text.len > 0) {
        (void)slice_cut(text, '\n', &line, &text); /* the last line ends with one, too */
        if (slice_cut(line, ':', &name, &value))
            request_set_header(&x->rq, slice_cstr(x->rq.mem, name), slice_cstr(x->rq.mem, slice_trim(value)));
    }
}

static Err run_and_store(Exchange *x, DbTx *tx, const IdempotencyClaim *claim, const ProtobufCMessage *in, Slice *reply)
{
    const RpcHandler *handler = x->endpoint->handler;
    ProtobufCMessage *out = message_new(x->rq.mem, handler->method->reply);

    TRY(handler->call(&x->rq, in, out));
    TRY(pack_reply(x, out, reply));
    return idempotency_store(
        tx, claim,
        &(IdempotencyReply){.http_status = x->rq.reply.http_status, .headers = encode_headers(x), .body = *reply});
}

static Err run_claimed(Exchange *x, const ProtobufCMessage *in, Slice *reply, bool *replayed)
{
    CLEANUP(db_tx_done) DbTx tx = {0}; /* rolls back unless committed */
    IdempotencyClaim claim = {.key = x->rq.idempotency_key, .caller = idempotency_owner(x), .rpc = x->endpoint->rpc};
    IdempotencyReply stored;
    Err e;

    idempotency_fingerprint(slice_of(natsMsg_GetData(x->msg), (size_t)natsMsg_GetDataLength(x->msg)),
                            claim.fingerprint);
    TRY(db_tx_begin(&x->rq, &tx));
    TRY(idempotency_claim(&tx, x->rq.mem, &claim, replayed, &stored));
    if (*replayed) {
        x->rq.reply.http_status = stored.http_status;
        decode_headers(x, stored.headers);
        *reply = stored.body;
        return OK;
    }
    x->rq.outer_tx = &tx;
    e = run_and_store(x, &tx, &claim, in, reply);
    x->rq.outer_tx = NULL;
    TRY(e);
    return db_tx_commit(&tx);
}

/* Whoever answers such a request at the time does it, after the answer; mostly it deletes nothing. */
static void purge_sometimes(Exchange *x)
{
    RpcServer *server = x->server;
    int64_t now = clock_monotonic_ms(server->o.clock), due = atomic_load(&server->next_purge_ms), rows = 0;
    Err e;

    if (now < due || !atomic_compare_exchange_strong(&server->next_purge_ms, &due, now + PURGE_PERIOD_MS))
        return;
    e = idempotency_purge(server->o.db, PURGE_TIMEOUT_MS, &rows);
    if (e.reason)
        LOG_WARN(server->o.log, "idempotency_purge_failed", "error", (const char *)e.text);
    else
        LOG_DEBUG(server->o.log, "idempotency_purged", "rows", rows);
}

/* --- running ----------------------------------------------------------------------------------------------------- */
static Err read_request(Exchange *x, ProtobufCMessage **in)
{
    const RpcMethod *method = x->endpoint->handler->method;
    Slice body = slice_of(natsMsg_GetData(x->msg), (size_t)natsMsg_GetDataLength(x->msg));

    TRY(find_caller(x));
    if (body.len > method->max_bytes)
        return err_make(&PAYLOAD_TOO_LARGE, "request of %zu bytes, at most %u", body.len, method->max_bytes);
    return message_unpack(x->rq.mem, method->request, body, in);
}

static void run_keyed(Exchange *x, const ProtobufCMessage *in)
{
    Slice reply = {0};
    bool replayed = false;
    Err e = run_claimed(x, in, &reply, &replayed);

    send_reply(x, e, reply, replayed);
    purge_sometimes(x);
    close_exchange(x, e);
}

static void finish_plain(Exchange *x, Err e, const ProtobufCMessage *out)
{
    Slice reply = {0};

    if (!e.reason)
        e = pack_reply(x, out, &reply);
    send_reply(x, e, reply, false);
    close_exchange(x, e);
}

static void finish_stream(Exchange *x, Err e)
{
    rpc_stream_end(x->stream, e);
    close_exchange(x, e);
}

static bool settle_deferred(RpcDeferred *d)
{
    if (atomic_fetch_sub(&d->pending, 1) != 1)
        return false;
    log_set_context(d->x->rq.id, d->x->rq.trace.trace_id, d->x->endpoint->rpc);
    if (d->x->stream)
        finish_stream(d->x, d->result);
    else
        finish_plain(d->x, d->result, d->out);
    return true;
}

/* True: it goes on by itself, and the arena is the request's. False when rpc_finish was there first: then the request
 * is over, and the arena ours again. */
static bool leave_to_deferrer(Exchange *x)
{
    log_set_context(NULL, NULL, NULL);
    return !settle_deferred(x->deferred);
}

static bool run_stream(Exchange *x, const ProtobufCMessage *in)
{
    Err e;

    x->stream = rpc_stream_open(x);
    e = x->endpoint->handler->stream(&x->rq, in, x->stream);
    if (x->deferred)
        return leave_to_deferrer(x);
    finish_stream(x, e);
    return false;
}

static bool run_plain(Exchange *x, const ProtobufCMessage *in)
{
    const RpcHandler *handler = x->endpoint->handler;
    ProtobufCMessage *out = message_new(x->rq.mem, handler->method->reply);
    Err e = handler->call(&x->rq, in, out);

    if (x->deferred)
        return leave_to_deferrer(x);
    finish_plain(x, e, out);
    return false;
}

bool rpc_dispatch(const Work *work, Arena *mem)
{
    Exchange *x = read_exchange(work, mem);
    const RpcMethod *method = work->endpoint->handler->method;
    ProtobufCMessage *in;
    Err e;

    log_set_context(x->rq.id, x->rq.trace.trace_id, x->endpoint->rpc);
    if (request_remaining_ms(&x->rq) == 0) {
        /* Nobody waits for it any more. */
        close_exchange(x, err_make(&DEADLINE_EXCEEDED, "expired in the queue"));
        return false;
    }
    e = read_request(x, &in);
    if (e.reason) {
        finish_plain(x, e, NULL);
        return false;
    }
    if (method->streams)
        return run_stream(x, in);
    if (method->idempotency != RPC_IDEMPOTENCY_KEY || !x->rq.idempotency_key || !x->rq.db)
        return run_plain(x, in);
    run_keyed(x, in);
    return false;
}

/* --- deferral ---------------------------------------------------------------------------------------------------- */
Err rpc_defer(Request *rq, RpcDeferred **out)
{
    Exchange *x = rq->server;

    if (!x || rq->outer_tx) /* a claimed key has its transaction to the end */
        return err_make(&INTERNAL, "this request cannot be deferred");
    x->deferred = ARENA_NEW(rq->mem, RpcDeferred);
    x->deferred->x = x;
    atomic_init(&x->deferred->pending, 2);
    *out = x->deferred;
    return (Err){.reason = &RPC_DEFERRED};
}

void rpc_finish(RpcDeferred *d, Err e, const ProtobufCMessage *out)
{
    Arena *mem = d->x->rq.mem;

    d->result = e;
    d->out = out;
    if (settle_deferred(d))
        arena_free(mem);
}

Request *rpc_deferred_request(RpcDeferred *d)
{
    return &d->x->rq;
}
