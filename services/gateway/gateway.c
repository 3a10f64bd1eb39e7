/* gateway: see gateway.h. Start, the loop's turns, reload, stop. */
#include "services/gateway/gateway.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "services/gateway/edge_metrics.h"
#include "services/gateway/exchange.h"
#include "services/gateway/listener.h"
#include "services/gateway/relay.h"
#include "services/gateway/ring.h"
#include "services/gateway/socket.h"

enum {
    BUS_WAIT_MS = 10000,
    DRAIN_POLL_MS = 10,
    DRAIN_RECEIVE_MS = 5000, /* for requests that are still coming in */
    DRAIN_SOCKETS_MS = 8000, /* for WebSockets to close, and the services to hear of it */
    DRAIN_USAGE_MS = 500,    /* for the last report of what API keys did */
    DRAIN_IDLE_MS = 50,      /* answers are on their way when nothing was in flight for so long */
    TURN_MAX_MS = 1000,      /* health and gauges are looked at at least so often */
    SEED_HEX_BYTES = 64
};

/* --- settings ---------------------------------------------------------------------------------------------------- */
static Err read_settings(Arena *mem, const GatewaySettings *s, Gateway *into)
{
    bool development = strcmp(s->environment, "development") == 0 || strcmp(s->environment, "test") == 0;

    TRY(profiles_parse(mem, s->hosts, s->chat_dialect, &into->profiles));
    TRY(err_wrap(networks_parse(mem, s->trusted_proxies, &into->trusted), "TRUSTED_PROXY_CIDRS"));
    TRY(err_wrap(networks_parse(mem, s->metrics_from, &into->metrics_from), "METRICS_ALLOWED_CIDRS"));
    TRY(err_wrap(csrf_new(mem, slice(s->signing_key), &into->csrf), "GATEWAY_SIGNING_KEY"));
    if (strcmp(s->cookie_secure, "on") != 0 && strcmp(s->cookie_secure, "off") != 0 &&
        strcmp(s->cookie_secure, "auto") != 0)
        return err_make(&INVALID_ARGUMENT, "COOKIE_SECURE: \"%s\" is none of on, off, auto", s->cookie_secure);
    into->cors = cors_new(mem, s->cors_origins, s->allowed_origins, development);
    return OK;
}

Err gateway_check(const CommonSettings *common, const void *settings)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const GatewaySettings *s = settings;
    CLEANUP(backends_free_at) Backends *backends = NULL;
    Gateway scratch = {.service = NULL};
    Slice seed;

    (void)common;
    if (!hex_decode(mem, slice(s->signing_key), &seed) || seed.len != SEED_HEX_BYTES / 2)
        return err_make(&INVALID_ARGUMENT, "GATEWAY_SIGNING_KEY: %d hexadecimal digits", SEED_HEX_BYTES);
    TRY(rates_apply_overrides(NULL, 0, s->rate_limits));
    TRY(backends_new(&(BackendsOptions){.list = s->bytes_backends}, &backends));
    return read_settings(mem, s, &scratch);
}

/* --- tables ------------------------------------------------------------------------------------------------------ */
/* Settings by their old names, as what RATE_LIMITS would say; it comes last, so it has the last word. */
static char *rate_overrides(const GatewaySettings *s, Arena *mem)
{
    if (slice_eq_cstr(slice_trim(slice(s->rate_limits)), "off"))
        return arena_strdup(mem, "off");
    return arena_printf(
        mem,
        "commons=%" PRId64 ",commons.agent=%" PRId64 ",commons.federation=%" PRId64 ",commons.admin=%" PRId64 ",%s",
        s->rate_limit_public, s->rate_limit_agent, s->rate_limit_federation, s->rate_limit_admin, s->rate_limits);
}

static Err load_tables(Gateway *g, Tables **out)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Slice file;

    TRY(file_read(mem, g->settings->tables_file, TABLES_MAX_BYTES, &file));
    return err_wrap(tables_load(file, g->slot, rate_overrides(g->settings, mem), out), "GATEWAY_TABLES");
}

static void load_assets(Gateway *g)
{
    const AssetSources sources = {.docs_dir = g->settings->docs_dir,
                                  .openapi_file = g->settings->openapi_file,
                                  .asyncapi_file = g->settings->asyncapi_file};
    Assets *old = g->assets;

    g->assets = assets_load(&sources, g->service->log);
    assets_unref(old);
}

/* The next tables beside the present ones; a file that is not good changes nothing. */
void gateway_reload(Gateway *g)
{
    Tables *next, *old = g->tables;
    Err e = load_tables(g, &next);

    if (err_failed(e)) {
        counter_add(g->metrics.failed_reloads, 1);
        LOG_ERROR(g->service->log, "tables_kept", "file", g->settings->tables_file, "error", e.text);
        return;
    }
    g->tables = next;
    tables_unref(old);
    load_assets(g);
    rings_reload(g->rings);
    counter_add(g->metrics.reloads, 1);
    gauge_set(g->metrics.operations, (double)tables_operation_count(next));
    LOG_INFO(g->service->log, "tables_loaded", "routes", tables_operation_count(next));
}

/* --- start ------------------------------------------------------------------------------------------------------- */
static Err check_listening(void *data)
{
    Gateway *g = data;

    return atomic_load(&g->listening) ? OK : err_make(&UNAVAILABLE, "not listening yet");
}

static Err check_revocations(void *data)
{
    return revocations_ready(data) ? OK : err_make(&UNAVAILABLE, "not current");
}

static Err check_access(void *data)
{
    return grants_ready(data) ? OK : err_make(&UNAVAILABLE, "not known");
}

static Err check_dispatches(void *data)
{
    return rings_ready(data) ? OK : err_make(&UNAVAILABLE, "not current");
}

Err gateway_open(Service *service, void **out)
{
    Gateway *g = ARENA_NEW(service->mem, Gateway);
    const GatewaySettings *s = service->settings;

    g->service = service;
    g->settings = s;
    g->slot = service->common->slot;
    *out = g;
    edge_metrics_open(g);
    TRY(read_settings(service->mem, s, g));
    TRY(load_tables(g, &g->tables));
    gauge_set(g->metrics.operations, (double)tables_operation_count(g->tables));
    load_assets(g);
    g->loop = loop_new();
    TRY(revocations_start(&(RevocationsOptions){.bus = service->bus,
                                                .clock = service->clock,
                                                .log = service->log,
                                                .metrics = service->metrics,
                                                .age_ms = s->revocation_age_ms,
                                                .entries_max = (size_t)s->revocations_max},
                          &g->revocations));
    TRY(grants_start(&(GrantsOptions){.bus = service->bus,
                                      .loop = g->loop,
                                      .clock = service->clock,
                                      .log = service->log,
                                      .metrics = service->metrics,
                                      .slot = g->slot,
                                      .age_ms = s->revocation_age_ms,
                                      .changes_max = (size_t)s->revocations_max},
                     &g->grants));
    g->rings = rings_new(g);
    if (service->admin) { /* asked by `gateway healthcheck`; no more once the drain has begun */
        admin_add_check(service->admin, "listening", check_listening, g);
        admin_add_check(service->admin, "revocations", check_revocations, g->revocations);
        admin_add_check(service->admin, "access", check_access, g->grants);
        admin_add_check(service->admin, "dispatches", check_dispatches, g->rings);
    }
    return OK;
}

/* What waits would wait for its whole deadline: the server that knew where to send the answers is gone. */
static void bus_changed(void *data, bool connected)
{
    Gateway *g = data;

    if (!connected && g->upstream)
        upstream_lost(g->upstream);
}

static Err open_bus(Gateway *g)
{
    const CommonSettings *c = g->service->common;

    return err_wrap(bus_connect(&(BusOptions){.url = c->bus_url,
                                              .user = c->bus_user[0] ? c->bus_user : g->service->name,
                                              .password = c->bus_password,
                                              .ca_file = c->bus_ca_file,
                                              .slot = c->slot,
                                              .version = g->service->version,
                                              .log = g->service->log,
                                              .loop = g->loop,
                                              .on_connection = bus_changed,
                                              .data = g},
                                BUS_WAIT_MS, &g->bus),
                    "bus");
}

static Err open_parts(Gateway *g)
{
    Service *service = g->service;
    const GatewaySettings *s = g->settings;

    TRY(open_bus(g));
    TRY(upstream_new(g->bus, g->loop, service->metrics, &g->upstream));
    grants_connect(g->grants, g->upstream);
    TRY(jwt_keys_new(&(JwtKeysOptions){.clock = service->clock,
                                       .log = service->log,
                                       .metrics = service->metrics,
                                       .slot = g->slot,
                                       .jwt_secret = s->jwt_secret,
                                       .no_secret = !s->jwt_hs256},
                     &g->jwt_keys));
    jwt_keys_connect(g->jwt_keys, g->upstream, g->loop);
    TRY(auth_new(&(AuthOptions){.clock = service->clock,
                                .log = service->log,
                                .metrics = service->metrics,
                                .upstream = g->upstream,
                                .revocations = g->revocations,
                                .grants = g->grants,
                                .jwt_keys = g->jwt_keys,
                                .slot = g->slot,
                                .signing_key = s->signing_key,
                                .caller_ttl_ms = s->caller_ttl_ms,
                                .token_cache_ttl_ms = s->token_cache_ttl_ms,
                                .entries_max = (size_t)s->token_cache_max},
                 &g->auth));
    g->rates = rates_new(&(RatesOptions){.loop = g->loop,
                                         .cache = service->cache,
                                         .metrics = service->metrics,
                                         .shared = service->common->redis_url[0] != '\0',
                                         .entries_max = (size_t)s->rate_table_max});
    g->key_usage = key_usage_new(&(KeyUsageOptions){.loop = g->loop,
                                                    .clock = service->clock,
                                                    .upstream = g->upstream,
                                                    .metrics = service->metrics,
                                                    .slot = g->slot,
                                                    .interval_ms = KEY_USAGE_INTERVAL_MS});
    TRY(backends_new(&(BackendsOptions){.loop = g->loop, .log = service->log, .list = s->bytes_backends},
                     &g->backends));
    g->relays = relays_new(g);
    return err_wrap(bus_started(g->bus), "bus");
}

static Err open_listeners(Gateway *g)
{
    Slice rest = slice(g->settings->server_addr), address;

    g->sockets = sockets_new(g);
    while (config_list_next(&rest, &address)) {
        if (address.len == 0)
            continue;
        if (g->listener_count == LISTENERS_MAX)
            return err_make(&INVALID_ARGUMENT, "SERVER_ADDR: at most %d addresses", LISTENERS_MAX);
        TRY(listener_start(g, address, &g->listeners[g->listener_count]));
        LOG_INFO(g->service->log, "listening", "address", address, "port",
                 listener_port(g->listeners[g->listener_count]));
        g->listener_count++;
    }
    return g->listener_count ? OK : err_make(&INVALID_ARGUMENT, "SERVER_ADDR: no address");
}

/* --- the loop ---------------------------------------------------------------------------------------------------- */
static void end_turn(void *data)
{
    Gateway *g = data;

    g->resumed = false;
    for (size_t i = 0; i < g->listener_count; i++)
        listener_run(g->listeners[i]);
}

static int64_t turn_wait_ms(void *data)
{
    Gateway *g = data;
    int64_t wait = TURN_MAX_MS;

    if (g->resumed)
        return 0;
    for (size_t i = 0; i < g->listener_count; i++) {
        int64_t asked = listener_wait_ms(g->listeners[i]);

        if (asked >= 0 && asked < wait)
            wait = asked;
    }
    return wait;
}

static void on_stop(void *data, uint32_t events)
{
    Gateway *g = data;

    (void)events;
    loop_remove_fd(g->loop, service_stop_fd(g->service));
    g->draining = true; /* /readyz says 503 from now on, answers close their connections */
    LOG_INFO(g->service->log, "draining", "grace_ms", g->settings->drain_grace_ms, "in_flight", g->exchange_count);
    loop_stop(g->loop);
}

static void on_reload(void *data, uint32_t events)
{
    Gateway *g = data;
    uint64_t count;

    (void)events;
    if (read(service_reload_fd(g->service), &count, sizeof(count)) == (ssize_t)sizeof(count))
        gateway_reload(g);
}

/* Turns until `done` says so or the time is over. */
static void turn_until(Gateway *g, int64_t timeout_ms, bool (*done)(const Gateway *g))
{
    int64_t end_ms = clock_monotonic_ms(g->service->clock) + timeout_ms;

    while (clock_monotonic_ms(g->service->clock) < end_ms && !(done && done(g)))
        loop_turn(g->loop, DRAIN_POLL_MS);
}

static bool nothing_in_flight(const Gateway *g)
{
    return g->exchange_count == 0;
}

/* What still counts then: libmicrohttpd may not notice a client that left in the middle of its request. */
static bool nothing_awaited(const Gateway *g)
{
    return g->suspended == 0;
}

static bool sockets_told(const Gateway *g)
{
    return sockets_gone(g->sockets);
}

static bool usage_told(const Gateway *g)
{
    return key_usage_idle(g->key_usage);
}

/* Requests that are here are finished; then what waits is answered with what there is, so that MHD can stop. */
static void drain(Gateway *g)
{
    int64_t timeout_ms = g->service->common->shutdown_timeout_ms;

    turn_until(g, g->settings->drain_grace_ms, NULL);
    for (size_t i = 0; i < g->listener_count; i++)
        listener_quiet(g->listeners[i]);
    sockets_drain(g->sockets);
    turn_until(g, MIN(timeout_ms, DRAIN_RECEIVE_MS), nothing_in_flight);
    turn_until(g, MIN(timeout_ms, DRAIN_SOCKETS_MS), sockets_told);
    turn_until(g, timeout_ms - MIN(timeout_ms, DRAIN_RECEIVE_MS), nothing_awaited);
    turn_until(g, DRAIN_IDLE_MS, NULL);
    key_usage_flush(g->key_usage);
    turn_until(g, DRAIN_USAGE_MS, usage_told);
    if (g->exchange_count)
        LOG_WARN(g->service->log, "drain_cut_short", "in_flight", g->exchange_count);
}

Err gateway_start(Gateway *g)
{
    TRY(open_parts(g));
    TRY(open_listeners(g));
    atomic_store(&g->listening, true);
    loop_set_turn(g->loop, end_turn, turn_wait_ms, g);
    return OK;
}

/* Connections take their memory from malloc, so many that went leave much behind. */
static void rest_memory(void *data)
{
    Gateway *g = data;

    (void)memory_rest(&g->rest);
}

Err gateway_run(Service *service, void *context)
{
    Gateway *g = context;

    TRY(gateway_start(g));
    g->rest_timer = loop_timer_new(g->loop, rest_memory, g);
    loop_timer_set(g->rest_timer, MEMORY_REST_MS, MEMORY_REST_MS);
    loop_add_fd(g->loop, service_stop_fd(service), EPOLLIN, on_stop, g);
    loop_add_fd(g->loop, service_reload_fd(service), EPOLLIN, on_reload, g);
    loop_run(g->loop);
    drain(g);
    return OK;
}

/* --- stop -------------------------------------------------------------------------------------------------------- */
void gateway_close(void *context)
{
    Gateway *g = context;

    if (!g)
        return;
    if (g->loop)
        loop_set_turn(g->loop, NULL, NULL, NULL);
    if (g->relays)
        relays_cut_all(g->relays); /* else they would sleep again */
    exchanges_abandon(g);
    for (size_t i = 0; i < g->listener_count; i++) {
        listener_run(g->listeners[i]); /* resumes, and sends what was said last */
        listener_stop(g->listeners[i]);
    }
    sockets_free(g->sockets);
    relays_free(g->relays);
    backends_free(g->backends);
    rings_free(g->rings);
    rates_free(g->rates);
    key_usage_free(g->key_usage);
    upstream_free(g->upstream);
    auth_free(g->auth);
    jwt_keys_free(g->jwt_keys);
    bus_close(g->bus);
    revocations_stop(g->revocations);
    grants_stop(g->grants);
    tables_unref(g->tables);
    assets_unref(g->assets);
    exchanges_free_idle(g);
    loop_timer_free(g->rest_timer);
    loop_free(g->loop);
}
