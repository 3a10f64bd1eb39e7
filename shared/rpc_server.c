/* rpc_server: subscriptions put requests onto the lanes' bounded queues; each lane's worker threads take them off. */
#include <sys/resource.h>
#include <unistd.h>

#include "shared/rpc_internal.h"

enum {
    ARENA_DEFAULT_BYTES = 64 * 1024,
    ARENA_FIBER_BYTES = 8 * 1024,
    FLUSH_TIMEOUT_MS = 2000,
    STOP_LOOK_MS = 2,
    MEAN_OF = 8 /* requests, about, say how long the next one takes */
};

static const RpcLane DEFAULT_LANES[] = {
    {.name = "fast", .threads = 4, .queue_max = 1024},
    {.name = "reads", .fibers = 256, .queue_max = 1024},
    {.name = "slow", .threads = 1, .queue_max = 64, .nice = 10},
};

/* A request in a fiber; used again with its arena. */
typedef struct FiberWork {
    struct FiberWork *next;
    Lane *lane;
    Arena *mem;
    Work work;
} FiberWork;

struct Lane {
    RpcLane row;
    RpcServer *server;
    Gauge *queue_length;
    Counter *rejected;
    pthread_t *threads;
    int thread_count;
    pthread_mutex_t lock; /* guards the ring */
    pthread_cond_t filled;
    Work *ring; /* row.queue_max */
    size_t head, count;
    /* Of lanes that stand back, guarded by `lock`, too: how long a request keeps its worker, and how many are kept. */
    int64_t mean_us;
    int running;
    bool stop;   /* workers end when the ring is empty */
    bool posted; /* the loop will look at the ring */

    /* Of lanes with fibers; the loop's. */
    Fibers *fibers;
    FiberWork *idle;
};

/* --- lanes ------------------------------------------------------------------------------------------------------- */
static void run_fibers(void *data);

static int64_t timeout_us(const Work *work)
{
    return rpc_timeout_ms(work->msg, work->endpoint->handler->method) * 1000;
}

/* With the lock. Work that stands back is long, of one kind, and comes in crowds (logins in the morning): what could
 * not even begin in time is refused at once, and the time goes to those who can have their answer. Where nobody waits
 * or a worker is free, a request is always taken. */
static bool begins_in_time(const Lane *lane, const Work *work)
{
    int64_t waits_us;

    if (lane->row.nice <= 0 || lane->count == 0 || lane->running + (int)lane->count < lane->thread_count)
        return true;
    waits_us = (int64_t)lane->count * lane->mean_us / lane->thread_count;
    return waits_us <= timeout_us(work);
}

static bool lane_put(Lane *lane, const Work *work)
{
    bool fits, post;

    pthread_mutex_lock(&lane->lock);
    fits = lane->count < (size_t)lane->row.queue_max && begins_in_time(lane, work);
    post = fits && lane->fibers && !lane->posted;
    lane->posted |= post;
    if (fits)
        lane->ring[(lane->head + lane->count++) % (size_t)lane->row.queue_max] = *work;
    pthread_mutex_unlock(&lane->lock);
    if (post)
        loop_post(bus_io_loop(lane->server->o.bus), run_fibers, lane);
    else if (fits && !lane->fibers)
        pthread_cond_signal(&lane->filled);
    return fits;
}

/* With the lock. */
static void take_first(Lane *lane, Work *out)
{
    *out = lane->ring[lane->head];
    lane->head = (lane->head + 1) % (size_t)lane->row.queue_max;
    lane->count--;
}

static bool lane_take(Lane *lane, Work *out)
{
    bool got;

    pthread_mutex_lock(&lane->lock);
    while (lane->count == 0 && !lane->stop)
        pthread_cond_wait(&lane->filled, &lane->lock);
    got = lane->count > 0;
    if (got) {
        take_first(lane, out);
        lane->running += lane->row.nice > 0;
    }
    pthread_mutex_unlock(&lane->lock);
    return got;
}

/* True: a deferred request keeps the arena. */
static bool work_and_measure(Lane *lane, const Work *work, Arena *mem)
{
    const Clock *clock = lane->server->o.clock;
    int64_t begun_us = clock_monotonic_us(clock), most_us = timeout_us(work);
    bool late = begun_us - work->received_us >= most_us; /* only dropped, which says nothing of the next */
    bool keeps = rpc_dispatch(work, mem);

    pthread_mutex_lock(&lane->lock);
    lane->running--;
    if (!late)
        lane->mean_us += (MIN(clock_monotonic_us(clock) - begun_us, most_us) - lane->mean_us) / MEAN_OF;
    pthread_mutex_unlock(&lane->lock);
    return keeps;
}

static void *work_lane(void *data)
{
    Lane *lane = data;
    size_t arena_bytes = lane->server->o.arena_bytes ? lane->server->o.arena_bytes : ARENA_DEFAULT_BYTES;
    Arena *mem = arena_new(arena_bytes);
    Work work;

    if (lane->row.nice > 0)
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), lane->row.nice); /* lowering is always allowed */
    while (lane_take(lane, &work)) {
        if (lane->queue_length)
            gauge_add(lane->queue_length, -1);
        if (lane->row.nice > 0 ? work_and_measure(lane, &work, mem) : rpc_dispatch(&work, mem))
            mem = arena_new(arena_bytes); /* a deferred request keeps its own */
        else
            arena_reset(mem);
    }
    arena_free(mem);
    return NULL;
}

/* --- fibers ------------------------------------------------------------------------------------------------------ */
static void work_in_fiber(void *data)
{
    FiberWork *f = data;
    Lane *lane = f->lane;
    bool more;

    if (rpc_dispatch(&f->work, f->mem))
        f->mem = arena_new(ARENA_FIBER_BYTES); /* a deferred request keeps its own */
    else
        arena_reset(f->mem);
    f->next = lane->idle;
    lane->idle = f;
    pthread_mutex_lock(&lane->lock);
    more = lane->count > 0 && !lane->posted; /* there were as many fibers as there may be */
    lane->posted |= more;
    pthread_mutex_unlock(&lane->lock);
    if (more)
        loop_post(bus_io_loop(lane->server->o.bus), run_fibers, lane);
}

static FiberWork *idle_fiber_work(Lane *lane)
{
    FiberWork *f = lane->idle;

    if (f) {
        lane->idle = f->next;
        return f;
    }
    f = xcalloc(1, sizeof *f);
    f->lane = lane;
    f->mem = arena_new(ARENA_FIBER_BYTES);
    return f;
}

/* In the loop: what has come is begun, as far as there are fibers for it. */
static void run_fibers(void *data)
{
    Lane *lane = data;

    pthread_mutex_lock(&lane->lock);
    lane->posted = false;
    while (lane->count > 0 && fibers_running(lane->fibers) < lane->row.fibers) {
        FiberWork *f = idle_fiber_work(lane);

        take_first(lane, &f->work);
        pthread_mutex_unlock(&lane->lock);
        if (lane->queue_length)
            gauge_add(lane->queue_length, -1);
        (void)fibers_start(lane->fibers, work_in_fiber, f); /* there is room: this is the only thread that takes it */
        pthread_mutex_lock(&lane->lock);
    }
    pthread_mutex_unlock(&lane->lock);
}

static void close_fibers(void *data)
{
    Lane *lane = data;

    loop_unpost(bus_io_loop(lane->server->o.bus), run_fibers, lane);
    fibers_free(lane->fibers);
    while (lane->idle) {
        FiberWork *f = lane->idle;

        lane->idle = f->next;
        arena_free(f->mem);
        free(f);
    }
}

typedef struct FiberLook {
    Lane *lane;
    bool busy;
} FiberLook;

/* In the loop: from elsewhere, a request just taken off the ring would be neither there nor in a fiber. */
static void look_at_fibers(void *data)
{
    FiberLook *look = data;

    pthread_mutex_lock(&look->lane->lock);
    look->busy = look->lane->count > 0 || fibers_running(look->lane->fibers) > 0;
    pthread_mutex_unlock(&look->lane->lock);
}

/* Each ends by its deadline. */
static void stop_fibers(Lane *lane)
{
    Loop *loop = bus_io_loop(lane->server->o.bus);
    FiberLook look = {.lane = lane};

    for (loop_call(loop, look_at_fibers, &look); look.busy; loop_call(loop, look_at_fibers, &look))
        nats_Sleep(STOP_LOOK_MS);
    loop_call(loop, close_fibers, lane);
}

/* --- starting and stopping a lane -------------------------------------------------------------------------------- */
static void start_threads(Lane *lane)
{
    int count = MAX(lane->row.threads, 1);

    lane->threads = xcalloc((size_t)count, sizeof *lane->threads);
    for (int i = 0; i < count; i++) {
        if (pthread_create(&lane->threads[i], NULL, work_lane, lane) != 0)
            abort(); /* at start: the machine is out of threads */
        lane->thread_count++;
    }
}

static void lane_init(Lane *lane, RpcServer *server, const RpcLane *row)
{
    lane->row = *row;
    lane->row.queue_max = MAX(row->queue_max, 1);
    lane->server = server;
    lane->ring = xcalloc((size_t)lane->row.queue_max, sizeof *lane->ring);
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->filled, NULL);
    if (server->o.metrics) {
        const char *labels = arena_printf(server->mem, "lane=\"%s\"", row->name);

        lane->queue_length =
            metrics_gauge(server->o.metrics, "atrium_rpc_queue_length", "Requests waiting for a worker.", labels);
        lane->rejected =
            metrics_counter(server->o.metrics, "atrium_rpc_rejected_total",
                            "Requests refused because their lane was full, or could not begin them in time.", labels);
    }
    if (row->fibers > 0)
        lane->fibers = fibers_new(bus_io_loop(server->o.bus), row->fibers);
    else
        start_threads(lane);
}

static void stop_threads(Lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    lane->stop = true;
    pthread_mutex_unlock(&lane->lock);
    pthread_cond_broadcast(&lane->filled);
    for (int i = 0; i < lane->thread_count; i++)
        pthread_join(lane->threads[i], NULL);
}

static void lane_stop(Lane *lane)
{
    if (lane->fibers)
        stop_fibers(lane);
    else
        stop_threads(lane);
    pthread_mutex_destroy(&lane->lock);
    pthread_cond_destroy(&lane->filled);
    free(lane->ring);
    free(lane->threads);
}

static Lane *find_lane(RpcServer *server, const char *name)
{
    for (size_t i = 0; i < server->lane_count; i++) {
        if (strcmp(server->lanes[i].row.name, name) == 0)
            return &server->lanes[i];
    }
    return NULL;
}

/* --- receiving --------------------------------------------------------------------------------------------------- */
void rpc_server_done_one(RpcServer *server)
{
    if (atomic_fetch_sub(&server->active, 1) == 1 && atomic_load(&server->draining)) {
        pthread_mutex_lock(&server->lock);
        pthread_cond_broadcast(&server->idle);
        pthread_mutex_unlock(&server->lock);
    }
}

static void refuse_busy(Endpoint *endpoint, natsMsg *msg)
{
    const char *reply = natsMsg_GetReply(msg);

    if (endpoint->lane->rejected)
        counter_add(endpoint->lane->rejected, 1);
    discovery_endpoint_count(&endpoint->discovery, 0, "busy");
    if (reply && slice_starts_with(slice(reply), SLICE_LIT("_INBOX.")))
        rpc_refuse(endpoint->server, reply, &UNAVAILABLE, "busy", endpoint->server->busy);
}

/* In the one delivery thread of the bus: it only queues. */
static void receive(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    Endpoint *endpoint = data;
    RpcServer *server = endpoint->server;
    Work work = {msg, endpoint, clock_monotonic_us(server->o.clock)};
    (void)nc, (void)sub;

    bus_batch(server->o.bus);
    atomic_fetch_add(&server->active, 1);
    if (endpoint->lane->queue_length)
        gauge_add(endpoint->lane->queue_length, 1);
    if (lane_put(endpoint->lane, &work))
        return;
    if (endpoint->lane->queue_length)
        gauge_add(endpoint->lane->queue_length, -1);
    refuse_busy(endpoint, msg);
    natsMsg_Destroy(msg);
    rpc_server_done_one(server);
}

/* --- starting ---------------------------------------------------------------------------------------------------- */
static void endpoint_init(Endpoint *e, RpcServer *server, const RpcHandler *handler, bool from_gateway)
{
    const RpcMethod *m = handler->method;
    Bus *bus = server->o.bus;
    const char *subject =
        from_gateway ? bus_rpc_subject(server->mem, bus, m->domain, m->version, m->name)
                     : arena_printf(server->mem, "svc.%s.*.%s.%s.%s", bus_slot(bus), m->domain, m->version, m->name);

    e->server = server;
    e->handler = handler;
    e->from_gateway = from_gateway;
    e->rpc = arena_printf(server->mem, "%s.%s.%s", m->domain, m->version, m->name);
    discovery_endpoint_init(&e->discovery, from_gateway ? m->name : arena_printf(server->mem, "%s-svc", m->name),
                            subject, m->domain);
    if (server->o.metrics) {
        Metrics *metrics = server->o.metrics;
        const char *labels = arena_printf(server->mem, "service=\"%s\",rpc=\"%s\"", m->domain, m->name);

        e->ok = metrics_counter(metrics, "atrium_rpc_requests_total", "Requests answered, by outcome.",
                                arena_printf(server->mem, "%s,code=\"OK\"", labels));
        e->seconds =
            metrics_histogram(metrics, "atrium_rpc_duration_seconds", "From the arrival of a request to its answer.",
                              labels, METRICS_LATENCY_BOUNDS, METRICS_LATENCY_BOUND_COUNT);
    }
}

static Err make_endpoints(RpcServer *server)
{
    size_t count = 0;

    for (size_t s = 0; s < server->o.service_count; s++)
        count += server->o.services[s]->handler_count;
    server->endpoints = xcalloc(count * 2, sizeof *server->endpoints);
    for (size_t s = 0; s < server->o.service_count; s++) {
        for (size_t h = 0; h < server->o.services[s]->handler_count; h++) {
            const RpcHandler *handler = &server->o.services[s]->handlers[h];
            Lane *lane = find_lane(server, handler->method->lane);

            if (!lane)
                return err_make(&INTERNAL, "%s: no lane %s", handler->method->name, handler->method->lane);
            if (lane->fibers && handler->method->streams)
                return err_make(&INTERNAL, "%s: a stream cannot run in fibers", handler->method->name);
            for (int way = 0; way < 2; way++) {
                Endpoint *e = &server->endpoints[server->endpoint_count++];

                endpoint_init(e, server, handler, way == 0);
                e->lane = lane;
            }
        }
    }
    return OK;
}

static void make_lanes(RpcServer *server)
{
    const RpcLane *rows = server->o.lanes ? server->o.lanes : DEFAULT_LANES;
    size_t count = server->o.lanes ? server->o.lane_count : ARRAY_LEN(DEFAULT_LANES);

    server->lanes = xcalloc(count, sizeof *server->lanes);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].fibers > 0 && !bus_io_loop(server->o.bus))
            continue; /* a threaded bus: an rpc that asks for it fails the start */
        if (rows[i].fibers > 0 && server->o.db && !server->batches) {
            db_batch_open(server->o.db, bus_io_loop(server->o.bus));
            server->batches = true;
        }
        lane_init(&server->lanes[server->lane_count++], server, &rows[i]);
    }
}

static void close_batches(void *data)
{
    db_batch_close(data);
}

static bool has_streams(const RpcServer *server)
{
    for (size_t i = 0; i < server->endpoint_count; i++) {
        if (server->endpoints[i].handler->method->streams)
            return true;
    }
    return false;
}

static Err start_discovery(RpcServer *server)
{
    DiscoveryEndpoint **list = ARENA_ARRAY(server->mem, DiscoveryEndpoint *, server->endpoint_count);

    for (size_t i = 0; i < server->endpoint_count; i++)
        list[i] = &server->endpoints[i].discovery;
    return discovery_start(&(DiscoveryOptions){.bus = server->o.bus,
                                               .name = server->domain,
                                               .version = server->o.version ? server->o.version : "0.0.0",
                                               .description = arena_printf(server->mem, "Atrium %s", server->domain),
                                               .commit = server->o.commit,
                                               .endpoints = list,
                                               .endpoint_count = server->endpoint_count},
                           &server->discovery);
}

static Err subscribe_all(RpcServer *server)
{
    for (size_t i = 0; i < server->endpoint_count; i++) {
        Endpoint *e = &server->endpoints[i];
        natsStatus s = natsConnection_QueueSubscribe(&e->sub, bus_nats(server->o.bus), e->discovery.subject,
                                                     e->discovery.queue_group, receive, e);

        if (s != NATS_OK)
            return err_wrap(bus_err(s, e->discovery.subject), "subscribe");
    }
    return OK;
}

static void encode_busy(RpcServer *server)
{
    const Request rq = {0};

    server->busy = rpc_pack_status(server->mem, &rq, err_make(&UNAVAILABLE, "busy"));
}

Err rpc_server_new(const RpcServerOptions *options, RpcServer **out)
{
    CLEANUP(rpc_server_free_at) RpcServer *server = xcalloc(1, sizeof *server);

    server->o = *options;
    if (!server->o.clock)
        server->o.clock = &SYSTEM_CLOCK;
    server->mem = arena_new(16 * 1024);
    server->domain = options->service_count > 0 ? options->services[0]->domain : bus_name(options->bus);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->idle, NULL);
    encode_busy(server);
    make_lanes(server);
    TRY(make_endpoints(server));
    if (has_streams(server))
        TRY(stream_hub_start(server, &server->streams));
    TRY(subscribe_all(server));
    TRY(start_discovery(server));
    *out = MOVE(server);
    return OK;
}

/* --- stopping ---------------------------------------------------------------------------------------------------- */
/* What the server had already sent us is still taken: nobody else got it. */
static void stop_taking(RpcServer *server, int64_t until_ms)
{
    for (size_t i = 0; i < server->endpoint_count; i++) {
        if (server->endpoints[i].sub)
            (void)natsSubscription_Drain(server->endpoints[i].sub); /* refused when the connection is gone: so be it */
    }
    for (size_t i = 0; i < server->endpoint_count; i++) {
        if (server->endpoints[i].sub)
            (void)natsSubscription_WaitForDrainCompletion(server->endpoints[i].sub, MAX(until_ms - nats_Now(), 1));
    }
}

void rpc_server_drain(RpcServer *server, int64_t timeout_ms)
{
    int64_t until_ms = nats_Now() + timeout_ms;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};

    if (atomic_exchange(&server->drained, true))
        return;
    discovery_stop(MOVE(server->discovery));
    stop_taking(server, until_ms);
    atomic_store(&server->draining, true);
    pthread_mutex_lock(&server->lock);
    while (atomic_load(&server->active) > 0 && pthread_cond_timedwait(&server->idle, &server->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&server->lock);
    if (atomic_load(&server->active) > 0)
        LOG_WARN(server->o.log, "rpc_drain_timeout", "requests", (int64_t)atomic_load(&server->active));
    if (bus_connected(server->o.bus))
        (void)natsConnection_FlushTimeout(bus_nats(server->o.bus), FLUSH_TIMEOUT_MS); /* lost answers time out */
}

void rpc_server_free(RpcServer *server)
{
    if (!server)
        return;
    rpc_server_drain(server, 0);
    for (size_t i = 0; i < server->endpoint_count; i++)
        bus_unsubscribe(server->endpoints[i].sub);
    for (size_t i = 0; i < server->lane_count; i++)
        lane_stop(&server->lanes[i]);
    while (server->batches && db_batch_connecting(server->o.db))
        nats_Sleep(STOP_LOOK_MS);
    if (server->batches)
        loop_call(bus_io_loop(server->o.bus), close_batches, server->o.db);
    stream_hub_stop(server->streams);
    for (size_t i = 0; i < server->endpoint_count; i++)
        discovery_endpoint_done(&server->endpoints[i].discovery);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->idle);
    free(server->endpoints);
    free(server->lanes);
    arena_free(server->mem);
    free(server);
}
