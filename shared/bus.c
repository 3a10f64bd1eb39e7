/* bus: connecting, publishing, and what the server denies. See bus.h; bus_loop.c drives the socket, bus_slot.c knows
 * the active slot. */
#include "shared/bus.h"

#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/bus_internal.h"
#include "shared/id.h"

enum {
    CONNECT_TIMEOUT_MS = 2000,
    CONNECT_PAUSE_MS = 100,
    RECONNECT_WAIT_MS = 200,
    RECONNECT_JITTER_MS = 300,
    PING_INTERVAL_MS = 10000, /* a dead peer is noticed after two */
    IO_BUFFER_BYTES = 64 * 1024,
    RECONNECT_BUFFER_BYTES = 1, /* the least, one message: what is published while away must not run later */
    STARTED_TIMEOUT_MS = 10000,
    CLOSE_FLUSH_MS = 2000,
    FLUSH_TURN_MS = 2,
    DRAIN_TIMEOUT_MS = 5000,
    SERVERS_MAX = 16,
    ERROR_TEXT_BYTES = 256,
};

/* --- what cnats tells us, in a thread of its own --------------------------------------------------------------------
 */
/* cnats lends its own buffer, which a next error may be writing to: what is read then is a mixture, but ends. Hence by
 * hand, and out of the thread sanitizer's sight. */
__attribute__((no_sanitize("thread"))) static void copy_last_error(natsConnection *nc, char *out, size_t out_bytes)
{
    const char *text = NULL;
    size_t len = 0;

    (void)natsConnection_GetLastError(nc, &text); /* the status is known; this is for the text */
    while (text && len < out_bytes - 1 && text[len]) {
        out[len] = text[len];
        len++;
    }
    out[len] = '\0';
}

static void denied(Bus *bus, const char *text)
{
    /* Services make no streams, except where they find none. */
    bool no_stream = strstr(text, "$JS.API.STREAM.CREATE") || strstr(text, "$JS.API.STREAM.UPDATE");
    const char *hint = no_stream ? "the stream is missing or another: run `atrium bus setup`" : "";

    atomic_fetch_add(&bus->denials, 1);
    if (strstr(text, "KV_atrium")) { /* not every credential may see the slot (bus_slot.c) */
        atomic_store(&bus->slot_watch.denied, true);
        return;
    }
    if (atomic_load(&bus->starting)) {
        LOG_ERROR(bus->log, "bus_denied", "user", bus->name, "error", text, "hint", hint);
        _exit(1); /* other threads are running: no handlers of exit() under their feet */
    }
    LOG_WARN(bus->log, "bus_denied", "user", bus->name, "error", text, "hint", hint);
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *data)
{
    Bus *bus = data;
    char text[ERROR_TEXT_BYTES];

    copy_last_error(nc, text, sizeof text);
    if (status == NATS_NOT_PERMITTED) {
        denied(bus, text);
        return;
    }
    LOG_WARN(bus->log, status == NATS_SLOW_CONSUMER ? "bus_slow_consumer" : "bus_error", "status",
             natsStatus_GetText(status), "subject", sub ? natsSubscription_GetSubject(sub) : "", "error", text);
}

static void tell_lost(void *data)
{
    Bus *bus = data;

    bus->on_connection(bus->data, false);
}

static void tell_found(void *data)
{
    Bus *bus = data;

    bus->on_connection(bus->data, true);
}

static void tell(Bus *bus, LoopCall call)
{
    if (!bus->on_connection || atomic_load(&bus->closing))
        return;
    if (bus->loop)
        loop_post(bus->loop, call, bus);
    else
        call(bus);
}

static void on_disconnected(natsConnection *nc, void *data)
{
    Bus *bus = data;
    char text[ERROR_TEXT_BYTES];

    atomic_fetch_add(&bus->losses, 1);
    if (atomic_load(&bus->closing))
        return;
    copy_last_error(nc, text, sizeof text);
    LOG_WARN(bus->log, "bus_lost", "error", text);
    tell(bus, tell_lost);
}

static void on_reconnected(natsConnection *nc, void *data)
{
    Bus *bus = data;
    char url[256] = "";

    (void)natsConnection_GetConnectedUrl(nc, url, sizeof url); /* only for the log; holds no password */
    LOG_INFO(bus->log, "bus_found", "server", url);
    tell(bus, tell_found);
}

static void on_lame_duck(natsConnection *nc, void *data)
{
    Bus *bus = data;
    (void)nc;

    LOG_INFO(bus->log, "bus_server_stopping");
}

static void on_closed(natsConnection *nc, void *data)
{
    Bus *bus = data;
    char text[ERROR_TEXT_BYTES];

    if (!atomic_load(&bus->closing)) {
        copy_last_error(nc, text, sizeof text);
        LOG_ERROR(bus->log, "bus_closed", "error", text);
        _exit(1);
    }
    pthread_mutex_lock(&bus->lock);
    bus->closed = true;
    pthread_cond_signal(&bus->closed_cond);
    pthread_mutex_unlock(&bus->lock);
}

/* --- connecting -------------------------------------------------------------------------------------------------- */
static natsStatus set_servers(Bus *bus, natsOptions *o, const BusOptions *options)
{
    Arena *mem = arena_new(1024);
    const char *servers[SERVERS_MAX];
    int count = 0;
    Slice rest = slice(options->url), one;
    natsStatus s = NATS_OK;

    while (rest.len > 0 && count < SERVERS_MAX) {
        (void)slice_cut(rest, ',', &one, &rest); /* without a comma, all of it is the one */
        one = slice_trim(one);
        if (one.len > 0)
            servers[count++] = slice_cstr(mem, one);
    }
    s = natsOptions_SetServers(o, servers, count);
    if (s == NATS_OK && slice_starts_with(slice(options->url), SLICE_LIT("tls://"))) {
        s = natsOptions_SetSecure(o, true);
        if (s == NATS_OK && options->ca_file && options->ca_file[0])
            s = natsOptions_LoadCATrustedCertificates(o, options->ca_file);
    }
    if (s == NATS_OK && options->password && options->password[0])
        s = natsOptions_SetUserInfo(o, bus->name, options->password);
    arena_free(mem);
    return s;
}

static natsStatus set_behaviour(Bus *bus, natsOptions *o)
{
    char inbox[BUS_SUBJECT_MAX_BYTES];
    natsStatus s = NATS_OK;

    snprintf(inbox, sizeof inbox, "_INBOX.%s", bus->name);
#define STEP(call)                                                                                                     \
    if (s == NATS_OK)                                                                                                  \
    s = (call)
    STEP(natsOptions_SetName(o, bus->name));
    STEP(natsOptions_SetCustomInboxPrefix(o, inbox));
    STEP(natsOptions_SetSendAsap(o, true)); /* the default flusher adds 1 ms to every hop */
    STEP(natsOptions_SetTimeout(o, CONNECT_TIMEOUT_MS));
    STEP(natsOptions_SetMaxReconnect(o, -1));
    STEP(natsOptions_SetReconnectWait(o, RECONNECT_WAIT_MS));
    STEP(natsOptions_SetReconnectJitter(o, RECONNECT_JITTER_MS, RECONNECT_JITTER_MS));
    STEP(natsOptions_SetReconnectBufSize(o, RECONNECT_BUFFER_BYTES));
    STEP(natsOptions_SetFailRequestsOnDisconnect(o, true));
    STEP(natsOptions_SetPingInterval(o, PING_INTERVAL_MS));
    STEP(natsOptions_SetIOBufSize(o, IO_BUFFER_BYTES));
    STEP(natsOptions_SetErrorHandler(o, on_error, bus));
    STEP(natsOptions_SetDisconnectedCB(o, on_disconnected, bus));
    STEP(natsOptions_SetReconnectedCB(o, on_reconnected, bus));
    STEP(natsOptions_SetClosedCB(o, on_closed, bus));
    STEP(natsOptions_SetLameDuckModeCB(o, on_lame_duck, bus));
    if (bus->loop) {
        /* One delivery thread for all subscriptions, instead of one thread for each. */
        STEP(natsOptions_UseGlobalMessageDelivery(o, true));
        STEP(bus_loop_install(bus, o));
    }
#undef STEP
    return s;
}

static void open_library(void)
{
    if (nats_Open(0) != NATS_OK) /* no spinning in its locks: there are more threads than cores */
        abort();
}

static void *run_loop(void *data)
{
    loop_run(data);
    return NULL;
}

static Bus *make_bus(const BusOptions *options)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    Bus *bus = xcalloc(1, sizeof *bus);

    pthread_once(&once, open_library);
    bus->log = options->log;
    bus->name = xstrdup(options->user);
    bus->slot = xstrdup(options->slot && options->slot[0] ? options->slot : "main");
    bus->version = xstrdup(options->version ? options->version : "0.0.0");
    bus->on_connection = options->on_connection;
    bus->data = options->data;
    bus_nuid(bus->instance);
    atomic_init(&bus->fd, -1);
    atomic_init(&bus->starting, true);
    pthread_mutex_init(&bus->lock, NULL);
    pthread_mutex_init(&bus->reading, NULL);
    pthread_mutex_init(&bus->discard.lock, NULL);
    pthread_cond_init(&bus->closed_cond, NULL);
    bus_slot_init(bus);
    if (options->threaded)
        return bus;
    bus->owns_loop = !options->loop;
    bus->loop = bus->owns_loop ? loop_new() : options->loop;
    if (bus->owns_loop && pthread_create(&bus->loop_thread, NULL, run_loop, bus->loop) != 0)
        abort();
    return bus;
}

/* From here on the loop does nothing for this bus. */
static void stop_loop(Bus *bus)
{
    if (bus->owns_loop) {
        loop_stop(bus->loop);
        pthread_join(bus->loop_thread, NULL);
        loop_free(bus->loop);
    } else if (bus->loop) {
        bus_loop_forget(bus);
        loop_unpost(bus->loop, tell_lost, bus);
        loop_unpost(bus->loop, tell_found, bus);
    }
    bus->loop = NULL;
    bus->owns_loop = false;
}

static void free_bus(Bus *bus)
{
    stop_loop(bus);
    for (size_t i = 0; i < bus->discard.count; i++)
        natsMsg_Destroy(bus->discard.list[i]);
    pthread_mutex_destroy(&bus->discard.lock);
    pthread_mutex_destroy(&bus->lock);
    pthread_mutex_destroy(&bus->reading);
    pthread_cond_destroy(&bus->closed_cond);
    pthread_cond_destroy(&bus->slot_watch.wake);
    free(bus->name);
    free(bus->slot);
    free(bus->version);
    free(bus);
}

/* A first attempt that fails leaves nothing behind in cnats: it is simply made again. */
static natsStatus connect_until(Bus *bus, natsOptions *o, int64_t timeout_ms)
{
    int64_t deadline = nats_Now() + timeout_ms;

    for (;;) {
        natsConnection *nc = NULL;
        natsStatus s = natsConnection_Connect(&nc, o);

        if (s == NATS_OK && bus->nc != nc)
            bus->nc = nc;
        if (s == NATS_OK || s == NATS_CONNECTION_AUTH_FAILED || nats_Now() + CONNECT_PAUSE_MS > deadline)
            return s;
        bus->nc = NULL;
        nats_Sleep(CONNECT_PAUSE_MS);
    }
}

Err bus_connect(const BusOptions *options, int64_t timeout_ms, Bus **out)
{
    Bus *bus = make_bus(options);
    natsOptions *o = NULL;
    natsStatus s = natsOptions_Create(&o);

    if (s == NATS_OK)
        s = set_servers(bus, o, options);
    if (s == NATS_OK)
        s = set_behaviour(bus, o);
    if (s == NATS_OK)
        s = connect_until(bus, o, timeout_ms);
    natsOptions_Destroy(o);
    if (s != NATS_OK) {
        Err e = s == NATS_CONNECTION_AUTH_FAILED
                    ? err_make(&UNAUTHENTICATED, "connect to the bus as %s: wrong credential", bus->name)
                    : err_make(&UNAVAILABLE, "connect to the bus: %s", natsStatus_GetText(s));

        free_bus(bus);
        return e;
    }
    *out = bus;
    return OK;
}

typedef struct FlushJob {
    natsConnection *nc;
    int64_t timeout_ms;
    natsStatus status;
    atomic_bool done;
} FlushJob;

static void *flush_elsewhere(void *data)
{
    FlushJob *job = data;

    job->status = natsConnection_FlushTimeout(job->nc, job->timeout_ms);
    atomic_store(&job->done, true);
    return NULL;
}

/* Until the server has answered to all that was sent. The wait for its answer must not keep us from reading it: where
 * the caller's loop cannot, it waits in a thread while we read. */
static natsStatus flush(Bus *bus, int64_t timeout_ms)
{
    FlushJob job = {.nc = bus->nc, .timeout_ms = timeout_ms};
    pthread_t thread;

    if (!bus->loop || bus->owns_loop || (loop_is_running(bus->loop) && !loop_is_mine(bus->loop)))
        return natsConnection_FlushTimeout(bus->nc, timeout_ms);
    if (pthread_create(&thread, NULL, flush_elsewhere, &job) != 0)
        return NATS_SYS_ERROR;
    while (!atomic_load(&job.done))
        bus_loop_pump(bus, FLUSH_TURN_MS);
    pthread_join(thread, NULL);
    return job.status;
}

static void wait_closed(Bus *bus)
{
    pthread_mutex_lock(&bus->lock);
    while (!bus->closed)
        pthread_cond_wait(&bus->closed_cond, &bus->lock);
    pthread_mutex_unlock(&bus->lock);
}

void bus_close(Bus *bus)
{
    if (!bus)
        return;
    bus_slot_done(bus);
    /* Not only written: a socket closed with something unread in it takes with it what the peer did not read yet. */
    if (bus_connected(bus))
        (void)flush(bus, CLOSE_FLUSH_MS); /* failed: the server is away, nothing more can be done */
    atomic_store(&bus->closing, true);
    jsCtx_Destroy(bus->js);
    natsConnection_Close(bus->nc);
    wait_closed(bus); /* its callbacks run in another thread; that of the closing is the last of them */
    stop_loop(bus);
    natsConnection_Destroy(bus->nc);
    free_bus(bus);
}

Err bus_started(Bus *bus)
{
    char text[ERROR_TEXT_BYTES];
    const char *borrowed;

    TRY(bus_err(flush(bus, STARTED_TIMEOUT_MS), "start on the bus"));
    /* The server answers in order: a denial is known by now, even if its callback did not run yet. */
    if (natsConnection_GetLastError(bus->nc, &borrowed) == NATS_NOT_PERMITTED) {
        copy_last_error(bus->nc, text, sizeof text);
        denied(bus, text);
    }
    atomic_store(&bus->starting, false);
    return OK;
}

/* --- what it is -------------------------------------------------------------------------------------------------- */
bool bus_connected(const Bus *bus)
{
    return natsConnection_Status(bus->nc) == NATS_CONN_STATUS_CONNECTED;
}
uint64_t bus_losses(const Bus *bus)
{
    return atomic_load(&bus->losses);
}
const char *bus_name(const Bus *bus)
{
    return bus->name;
}
const char *bus_slot(const Bus *bus)
{
    return bus->slot;
}
const char *bus_instance(const Bus *bus)
{
    return bus->instance;
}
Log *bus_log(const Bus *bus)
{
    return bus->log;
}
uint64_t bus_denials(const Bus *bus)
{
    return atomic_load(&bus->denials);
}
natsConnection *bus_nats(Bus *bus)
{
    return bus->nc;
}

Loop *bus_io_loop(Bus *bus)
{
    return bus->loop;
}

jsCtx *bus_jetstream(Bus *bus)
{
    jsCtx *js;

    pthread_mutex_lock(&bus->lock);
    if (!bus->js && natsConnection_JetStream(&bus->js, bus->nc, NULL) != NATS_OK)
        abort(); /* makes a struct only: memory is out */
    js = bus->js;
    pthread_mutex_unlock(&bus->lock);
    return js;
}

void bus_nuid(char out[BUS_NUID_BYTES])
{
    static const char LETTERS[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t raw[BUS_NUID_BYTES - 1];

    random_bytes(raw, sizeof raw);
    for (size_t i = 0; i < sizeof raw; i++)
        out[i] = LETTERS[raw[i] % (sizeof LETTERS - 1)];
    out[sizeof raw] = '\0';
}

/* --- publishing -------------------------------------------------------------------------------------------------- */
Err bus_err(natsStatus status, const char *what)
{
    const Reason *reason = &INTERNAL;

    switch (status) {
    case NATS_OK:
        return OK;
    case NATS_NO_RESPONDERS:
    case NATS_CONNECTION_CLOSED:
    case NATS_CONNECTION_DISCONNECTED:
    case NATS_STALE_CONNECTION:
    case NATS_NO_SERVER:
    case NATS_IO_ERROR:
    case NATS_DRAINING:
    case NATS_INSUFFICIENT_BUFFER: /* reconnecting, and we keep no buffer for that */
        reason = &UNAVAILABLE;
        break;
    case NATS_TIMEOUT:
        reason = &DEADLINE_EXCEEDED;
        break;
    case NATS_NOT_FOUND:
        reason = &NOT_FOUND;
        break;
    case NATS_MAX_PAYLOAD:
        reason = &PAYLOAD_TOO_LARGE;
        break;
    default:
        break;
    }
    return err_make(reason, "%s: %s", what, natsStatus_GetText(status));
}

static natsStatus set_headers(natsMsg *msg, const BusHeader *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        natsStatus s;

        if (!headers[i].value)
            continue;
        if (strpbrk(headers[i].value, "\r\n")) /* would become a header of its own */
            return NATS_INVALID_ARG;
        s = natsMsgHeader_Set(msg, headers[i].name, headers[i].value);
        if (s != NATS_OK)
            return s;
    }
    return NATS_OK;
}

Err bus_publish(Bus *bus, const char *subject, const char *reply, const BusHeader *headers, size_t header_count,
                Slice body)
{
    natsMsg *msg = NULL;
    natsStatus s;

    if (!bus_connected(bus))
        return err_make(&UNAVAILABLE, "publish: the bus is away");
    if (header_count == 0) {
        s = reply ? natsConnection_PublishRequest(bus->nc, subject, reply, body.ptr, (int)body.len)
                  : natsConnection_Publish(bus->nc, subject, body.ptr, (int)body.len);
        bus_loop_published(bus);
        return bus_err(s, "publish");
    }
    s = natsMsg_Create(&msg, subject, reply, body.ptr, (int)body.len);
    if (s == NATS_OK)
        s = set_headers(msg, headers, header_count);
    if (s == NATS_OK)
        s = natsConnection_PublishMsg(bus->nc, msg);
    bus_discard(bus, msg);
    bus_loop_published(bus);
    return bus_err(s, "publish");
}

void bus_discard(Bus *bus, natsMsg *msg)
{
    BusDiscard *d = &bus->discard;
    natsMsg *batch[BUS_DISCARD_COUNT];
    size_t count = 0;

    if (!msg)
        return;
    pthread_mutex_lock(&d->lock);
    d->list[d->count++] = msg;
    d->bytes += (size_t)natsMsg_GetDataLength(msg);
    if (d->count == BUS_DISCARD_COUNT || d->bytes >= BUS_DISCARD_BYTES) {
        count = d->count;
        memcpy(batch, d->list, count * sizeof(natsMsg *));
        d->count = d->bytes = 0;
    }
    pthread_mutex_unlock(&d->lock);
    for (size_t i = 0; i < count; i++)
        natsMsg_Destroy(batch[i]);
}

void bus_publish_lossy(Bus *bus, const char *subject, const BusHeader *headers, size_t header_count, Slice body)
{
    Err e = bus_publish(bus, subject, NULL, headers, header_count, body);

    if (err_failed(e))
        LOG_DEBUG(bus->log, "bus_publish_lost", "subject", subject, "error", (const char *)e.text);
}

const char *bus_header(natsMsg *msg, const char *name)
{
    const char *value = NULL;

    return natsMsgHeader_Get(msg, name, &value) == NATS_OK ? value : NULL;
}

char *bus_rpc_subject(Arena *mem, const Bus *bus, const char *domain, const char *version, const char *method)
{
    return arena_printf(mem, "rpc.%s.%s.%s.%s", bus->slot, domain, version, method);
}

char *bus_svc_subject(Arena *mem, const Bus *bus, const char *domain, const char *version, const char *method)
{
    return arena_printf(mem, "svc.%s.%s.%s.%s.%s", bus->slot, bus->name, domain, version, method);
}

/* --- subscriptions ----------------------------------------------------------------------------------------------- */
typedef struct Ending {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
} Ending;

static void on_complete(void *data)
{
    Ending *ending = data;

    pthread_mutex_lock(&ending->lock);
    ending->done = true;
    pthread_cond_signal(&ending->cond);
    pthread_mutex_unlock(&ending->lock);
}

void bus_unsubscribe(natsSubscription *sub)
{
    Ending ending = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

    if (!sub)
        return;
    /* Refused for a subscription that ended before, a drained one for instance: then nothing runs any more. */
    if (natsSubscription_IsValid(sub) && natsSubscription_SetOnCompleteCB(sub, on_complete, &ending) == NATS_OK) {
        if (natsSubscription_Unsubscribe(sub) == NATS_OK) {
            pthread_mutex_lock(&ending.lock);
            while (!ending.done)
                pthread_cond_wait(&ending.cond, &ending.lock);
            pthread_mutex_unlock(&ending.lock);
        } else { /* being drained: it ends by itself */
            (void)natsSubscription_WaitForDrainCompletion(sub, DRAIN_TIMEOUT_MS);
            (void)natsSubscription_SetOnCompleteCB(sub, NULL, NULL); /* `ending` ends here */
        }
    }
    natsSubscription_Destroy(sub);
}
