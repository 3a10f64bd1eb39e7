/* client_stream: the reading side of streams (docs/bus.md, "Streams"). Messages wait in a list that the credit bounds;
 * a ticker thread of the client tells the producers that their readers live, however slow these are. */
#include "atrium/bus.pb-c.h"
#include "shared/client_internal.h"

enum {
    KEEPALIVE_MS = 5000,
    SILENT_PRODUCER_MS = 15000,
    TICK_MS = 1000,
    TICKS_AT_ONCE = 64,
    END_GRACE_MS = 1000, /* the producer's own word of its deadline comes first */
};

typedef struct Received {
    struct Received *next;
    natsMsg *msg;
} Received;

struct ClientStream {
    Waiter waiter;
    Client *client;
    ClientStream *next; /* in the client's list */
    const RpcMethod *method;
    Arena *mem; /* the request's things, for as long as it is open */
    int64_t deadline_ms;
    bool listed;

    /* Guarded by the client's lock: */
    pthread_cond_t came;
    Received *first, **last;
    char *control; /* where credit and cancel go; NULL until the producer has told */
    int64_t heard_ms, told_ms;
    uint64_t beat;                      /* the highest number that a heartbeat told of */
    uint64_t read_bytes, granted_bytes; /* totals */

    /* The reader's own: */
    uint64_t expected; /* number of the next message */
    bool ended;
    Err result; /* what every further read answers, after the end */
};

/* --- receiving, with the client's lock held ---------------------------------------------------------------------- */
/* "svc.<slot>.<me>.<domain>._stream.<instance>.<id>". We publish there: were any subject taken, a producer could have
 * messages sent that only our credential allows. */
static bool control_fits(const ClientStream *s, Slice control)
{
    const Bus *bus = s->client->bus;
    const char *const begin[] = {"svc", bus_slot(bus), bus_name(bus), s->method->domain, "_stream"};
    Slice token, rest = control;

    for (size_t i = 0; i < ARRAY_LEN(begin); i++)
        if (!slice_cut(rest, '.', &token, &rest) || !slice_eq_cstr(token, begin[i]))
            return false;
    for (size_t i = 0; i < rest.len; i++)
        if (rest.ptr[i] <= ' ' || rest.ptr[i] > '~' || rest.ptr[i] == '*' || rest.ptr[i] == '>')
            return false;
    return rest.len > 0 && control.len < BUS_SUBJECT_MAX_BYTES;
}

static void receive_stream(Waiter *w, natsMsg *msg)
{
    ClientStream *s = (ClientStream *)w;
    const char *control = bus_header(msg, "Atrium-Stream-Control"), *beat = bus_header(msg, "Atrium-Stream-Beat");
    uint64_t number;

    s->heard_ms = client_now_ms();
    if (control && !s->control && control_fits(s, slice(control)))
        s->control = xstrdup(control);
    if (beat && slice_to_uint64(slice(beat), &number))
        s->beat = MAX(s->beat, number);
    if (control || beat) {
        natsMsg_Destroy(msg);
    } else {
        Received *received = xmalloc(sizeof *received);

        *received = (Received){.msg = msg};
        *s->last = received;
        s->last = &received->next;
    }
    pthread_cond_broadcast(&s->came);
}

static natsMsg *take_first(ClientStream *s)
{
    Received *received = s->first;
    natsMsg *msg = received->msg;

    s->first = received->next;
    if (!s->first)
        s->last = &s->first;
    free(received);
    return msg;
}

static void drop_all(ClientStream *s)
{
    while (s->first)
        natsMsg_Destroy(take_first(s));
}

/* --- telling the producer ---------------------------------------------------------------------------------------- */
static void tell_producer(Client *c, const char *control, const char *header, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, value);
    bus_publish_lossy(c->bus, control, (const BusHeader[]){{header, text}}, 1, (Slice){"", 0});
}

typedef struct Telling {
    char control[BUS_SUBJECT_MAX_BYTES];
    uint64_t granted_bytes;
} Telling;

static size_t collect_tellings(Client *c, Telling *list)
{
    size_t count = 0;
    int64_t now = client_now_ms();

    pthread_mutex_lock(&c->lock);
    for (ClientStream *s = c->streams; s && count < TICKS_AT_ONCE; s = s->next) {
        if (!s->control || now - s->told_ms < KEEPALIVE_MS)
            continue;
        s->told_ms = now;
        snprintf(list[count].control, sizeof list[count].control, "%s", s->control);
        list[count++].granted_bytes = s->granted_bytes;
    }
    pthread_mutex_unlock(&c->lock);
    return count;
}

void client_tick_streams(Client *c)
{
    Telling list[TICKS_AT_ONCE];
    size_t count;

    do {
        count = collect_tellings(c, list);
        for (size_t i = 0; i < count; i++)
            tell_producer(c, list[i].control, "Atrium-Stream-Credit", list[i].granted_bytes);
    } while (count == TICKS_AT_ONCE);
}

static void *run_ticker(void *data)
{
    Client *c = data;

    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        client_cond_wait(&c->tick_cond, &c->lock, client_now_ms() + TICK_MS);
        pthread_mutex_unlock(&c->lock);
        client_tick_streams(c);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* Half a window at a time, so that credit costs little and the producer rarely waits. */
static void grant(ClientStream *s, uint64_t cost)
{
    char *control = NULL;
    uint64_t granted = 0;

    pthread_mutex_lock(&s->client->lock);
    s->read_bytes += cost;
    if (s->control && s->read_bytes + CLIENT_STREAM_CREDIT_BYTES / 2 >= s->granted_bytes) {
        s->granted_bytes = granted = s->read_bytes + CLIENT_STREAM_CREDIT_BYTES;
        s->told_ms = client_now_ms();
        control = s->control; /* is never changed once set */
    }
    pthread_mutex_unlock(&s->client->lock);
    if (control)
        tell_producer(s->client, control, "Atrium-Stream-Credit", granted);
}

/* --- opening and closing ----------------------------------------------------------------------------------------- */
static ClientStream *stream_new(Client *c, const CallOptions *options, const RpcMethod *method)
{
    ClientStream *s = xcalloc(1, sizeof *s);

    s->waiter.receive = receive_stream;
    s->client = c;
    s->method = method;
    s->mem = arena_new(4096);
    s->deadline_ms = client_deadline_ms(options, method);
    s->last = &s->first;
    s->expected = 1;
    s->granted_bytes = CLIENT_STREAM_CREDIT_BYTES;
    s->told_ms = s->heard_ms = client_now_ms();
    client_cond_init(&s->came);
    return s;
}

static void list_stream(ClientStream *s)
{
    Client *c = s->client;

    pthread_mutex_lock(&c->lock);
    s->next = c->streams;
    c->streams = s;
    s->listed = true;
    if (!c->ticking)
        c->ticking = pthread_create(&c->ticker, NULL, run_ticker, c) == 0; /* without it slow readers are given up */
    pthread_mutex_unlock(&c->lock);
}

static void unlist_stream(ClientStream *s)
{
    Client *c = s->client;

    pthread_mutex_lock(&c->lock);
    for (ClientStream **at = &c->streams; *at; at = &(*at)->next) {
        if (*at == s) {
            *at = s->next;
            break;
        }
    }
    pthread_mutex_unlock(&c->lock);
}

/* Waits for the first sign: the producer's opening, an answer, or that nobody is there. */
static Err await_opening(ClientStream *s, bool *out_nobody)
{
    Client *c = s->client;
    Err e = OK;

    *out_nobody = false;
    pthread_mutex_lock(&c->lock);
    while (!s->control && !s->first && client_now_ms() < s->deadline_ms)
        client_cond_wait(&s->came, &c->lock, s->deadline_ms);
    if (!s->control && !s->first)
        e = err_make(&DEADLINE_EXCEEDED, "%s.%s: no answer in time", s->method->domain, s->method->name);
    else if (s->first && natsMsg_IsNoResponders(s->first->msg)) {
        *out_nobody = true;
        drop_all(s);
        e = err_make(&UNAVAILABLE, "%s: nobody there", s->method->domain);
    } else if (s->first && bus_header(s->first->msg, "Nats-Service-Error-Code") &&
               !bus_header(s->first->msg, "Atrium-Seq")) {
        e = client_reply_error(s->mem, s->method, s->first->msg); /* refused before there was a stream */
    }
    pthread_mutex_unlock(&c->lock);
    return e;
}

static Err open_until(ClientStream *s, Outgoing *out)
{
    for (int tries = 1;; tries++) {
        bool nobody;
        Err e = client_send(s->client, s->mem, s->method, out, &s->waiter, s->deadline_ms);

        TRY(e);
        e = await_opening(s, &nobody);
        if (e.reason)
            client_forget(s->client, &s->waiter);
        if (!nobody || !client_may_retry(tries, s->deadline_ms))
            return e;
        client_pause();
    }
}

Err client_stream_open(Client *c, const CallOptions *options, const RpcMethod *method, const ProtobufCMessage *in,
                       ClientStream **out)
{
    CLEANUP(client_stream_close_at) ClientStream *s = stream_new(c, options, method);
    char credit[24];
    Outgoing outgoing;
    Err e;

    snprintf(credit, sizeof credit, "%d", CLIENT_STREAM_CREDIT_BYTES);
    e = client_prepare(c, options, s->mem, method, in, credit, &outgoing);
    if (!e.reason)
        e = open_until(s, &outgoing);
    client_count(c, s->mem, method, e);
    if (e.reason) {
        s->ended = true;
        return e;
    }
    list_stream(s);
    *out = MOVE(s);
    return OK;
}

void client_stream_close(ClientStream *s)
{
    if (!s)
        return;
    client_forget(s->client, &s->waiter);
    if (s->listed)
        unlist_stream(s);
    if (!s->ended && s->control)
        tell_producer(s->client, s->control, "Atrium-Stream-Cancel", 1);
    drop_all(s);
    pthread_cond_destroy(&s->came);
    free(s->control);
    arena_free(s->mem);
    free(s);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */
/* After a failure the producer is stopped by the close: it does not know of it. */
static Err fail(ClientStream *s, const Reason *reason, const char *what)
{
    s->result = err_make(reason, "%s.%s: %s", s->method->domain, s->method->name, what);
    return s->result;
}

static Err await_message(ClientStream *s, natsMsg **out)
{
    Client *c = s->client;
    const char *problem = NULL;
    const Reason *reason = &UNAVAILABLE;

    pthread_mutex_lock(&c->lock);
    while (!s->first && !problem) {
        int64_t now = client_now_ms();

        if (s->beat >= s->expected)
            problem = "a message of the stream was lost";
        else if (now - s->heard_ms > SILENT_PRODUCER_MS)
            problem = "the producer of the stream is lost";
        else if (now > s->deadline_ms + END_GRACE_MS) {
            reason = &DEADLINE_EXCEEDED;
            problem = "the stream did not end in time";
        } else
            client_cond_wait(&s->came, &c->lock,
                             MIN(s->deadline_ms + END_GRACE_MS, s->heard_ms + SILENT_PRODUCER_MS) + 1);
    }
    if (s->first)
        *out = take_first(s);
    pthread_mutex_unlock(&c->lock);
    return problem ? fail(s, reason, problem) : OK;
}

static Err read_message(ClientStream *s, Arena *mem, natsMsg *msg, ProtobufCMessage **out)
{
    Slice body = slice_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
    uint64_t number;
    Err e;

    if (!slice_to_uint64(slice(bus_header(msg, "Atrium-Seq")), &number) || number != s->expected)
        return fail(s, &UNAVAILABLE, "a message of the stream was lost");
    if (bus_header(msg, "Atrium-Stream-End")) {
        s->ended = true;
        s->result = client_reply_error(s->mem, s->method, msg);
        *out = NULL;
        return s->result;
    }
    e = message_unpack(mem, s->method->reply, body, out);
    if (e.reason)
        return fail(s, &INTERNAL, e.text);
    s->expected++;
    grant(s, body.len + RPC_STREAM_MESSAGE_COST_BYTES);
    return OK;
}

Err client_stream_next(ClientStream *s, Arena *mem, ProtobufCMessage **out)
{
    natsMsg *msg = NULL;
    ProtobufCMessage *message;
    Err e;

    TRY(s->result);
    if (s->ended) {
        *out = NULL;
        return OK;
    }
    TRY(await_message(s, &msg));
    e = read_message(s, mem, msg, &message);
    natsMsg_Destroy(msg);
    TRY(e);
    *out = message;
    return OK;
}
