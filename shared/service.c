/* service: see service.h. */
#include "shared/service.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "shared/lease.h"
#include "shared/memory.h"
#include "shared/revocations.h"

#ifndef ATRIUM_VERSION
#define ATRIUM_VERSION "0.0.0"
#endif
#ifndef ATRIUM_COMMIT
#define ATRIUM_COMMIT "unknown"
#endif
#ifndef ATRIUM_BUILD_DATE
#define ATRIUM_BUILD_DATE "unknown"
#endif

enum {
    EXIT_FINE = 0,
    EXIT_AT_RUN = 1,
    EXIT_WRONG_USE = 2,
    WAIT_STEP_MS = 1000,    /* one try for a dependency that is not there yet */
    WAIT_PAUSE_MS = 100,    /* between two tries: a dependency that starts beside us is found quickly */
    WAIT_LOG_MS = 5000,     /* between two log lines about it */
    PING_TIMEOUT_MS = 1000, /* of a readiness check */
    HEALTHCHECK_MS = 3000,
    DRAIN_GRACE_MS = 5000, /* beyond SHUTDOWN_TIMEOUT, for flushing and closing, before the process is ended */
    OUTBOX_POLL_MS = 1000,
    OUTBOX_KEEP_ACKED_MS = 600000,
    WORKER_NUMBERS = 1024,
    ARENA_KEPT_BYTES = 1024 * 1024
};

typedef struct Process {
    Service service; /* first, so that the functions that take a Service find the rest */
    const ServiceDefinition *definition;
    CommonSettings common;
    BytesSettings bytes_settings; /* when there is a data plane */
    void *settings;
    int signal_fd, stop_fd, reload_fd, done_fd;
    atomic_bool stopping;
    pthread_t signal_thread;
    bool signal_thread_runs, opened;
    int64_t started_ms;
    CallerVerifier *verifier;
    Lease *worker;
    RpcServer *server;
    TicketKeys *tickets;
    Revocations *revocations;
    BytesListener *bytes;
    void *context;
} Process;

#define CONFIG_STRUCT CommonSettings
#define SETTING CONFIG_ROW
static const Setting COMMON_SETTINGS[] = {
#include "shared/settings.def"
};
#undef SETTING
#undef CONFIG_STRUCT

#define CONFIG_STRUCT BytesSettings
#define SETTING CONFIG_ROW
static const Setting BYTES_SETTINGS[] = {
#include "shared/settings_bytes.def"
};
#undef SETTING
#undef CONFIG_STRUCT

/* --- configuration ----------------------------------------------------------------------------------------------- */
static const char *const LOG_LEVELS[] = {"debug", "info", "warn", "error"}; /* in LogLevel's order */
static const char *const LOG_FORMATS[] = {"auto", "json", "text"};
static const char *const SLOTS[] = {"main", "blue", "green"};

static int find_word(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i], word) == 0)
            return (int)i;
    return -1;
}

/* Without a scheme it is nats. Anything else would be waited for, for ever. */
static Err check_bus_url(const char *list)
{
    Slice rest = slice(list), one, scheme, after;

    while (rest.len > 0) {
        (void)slice_cut(rest, ',', &one, &rest); /* without a comma, all of it is the one */
        if (slice_cut(slice_trim(one), ':', &scheme, &after) && slice_starts_with(after, SLICE_LIT("//")) &&
            !slice_eq_cstr(scheme, "nats") && !slice_eq_cstr(scheme, "tls"))
            return err_make(&INVALID_ARGUMENT, "NATS_URL: \"%.*s://\" is neither nats:// nor tls://", (int)scheme.len,
                            scheme.ptr);
    }
    return OK;
}

static Err check_public_key(const ServiceDefinition *d, const CommonSettings *s)
{
    CallerVerifier *verifier = NULL;

    if (s->caller_public_key[0])
        TRY(err_wrap(caller_verifier_new(slice(s->caller_public_key), d->name, &SYSTEM_CLOCK, &verifier),
                     "GATEWAY_PUBLIC_KEY"));
    caller_verifier_free(verifier);
    return OK;
}

static Err check_common(const ServiceDefinition *d, const CommonSettings *s)
{
    char *end;
    double share = strtod(s->otlp_sampler_arg[0] ? s->otlp_sampler_arg : "1", &end);

    if (find_word(LOG_LEVELS, ARRAY_LEN(LOG_LEVELS), s->log_level) < 0)
        return err_make(&INVALID_ARGUMENT, "LOG_LEVEL: \"%s\" is none of debug, info, warn, error", s->log_level);
    if (find_word(LOG_FORMATS, ARRAY_LEN(LOG_FORMATS), s->log_format) < 0)
        return err_make(&INVALID_ARGUMENT, "LOG_FORMAT: \"%s\" is none of json, text, auto", s->log_format);
    if (find_word(SLOTS, ARRAY_LEN(SLOTS), s->slot) < 0)
        return err_make(&INVALID_ARGUMENT, "ATRIUM_SLOT: \"%s\" is none of main, blue, green", s->slot);
    if (*end || !(share >= 0 && share <= 1))
        return err_make(&INVALID_ARGUMENT, "OTEL_TRACES_SAMPLER_ARG: \"%s\" is no number from 0 to 1",
                        s->otlp_sampler_arg);
    if (d->uses_database && !s->database_url[0])
        return err_make(&INVALID_ARGUMENT, "DATABASE_URL: must be set, %s keeps its data there", d->name);
    TRY(check_bus_url(s->bus_url));
    TRY(check_public_key(d, s));
    return OK;
}

static Err check_ticket_keys(const Process *p)
{
    TicketKeys *keys = NULL;

    if (p->definition->bytes_count)
        TRY(err_wrap(ticket_keys_new(p->bytes_settings.ticket_keys, &keys), "BYTES_TICKET_KEY"));
    ticket_keys_free(keys);
    return OK;
}

static Err load_settings(Process *p, bool check)
{
    const ServiceDefinition *d = p->definition;

    TRY(config_load(COMMON_SETTINGS, ARRAY_LEN(COMMON_SETTINGS), p->service.mem, &p->common));
    if (d->bytes_count)
        TRY(config_load(BYTES_SETTINGS, ARRAY_LEN(BYTES_SETTINGS), p->service.mem, &p->bytes_settings));
    TRY(config_load(d->settings, d->setting_count, p->service.mem, p->settings));
    if (!check)
        return OK;
    TRY(check_common(d, &p->common));
    TRY(check_ticket_keys(p));
    return d->check ? d->check(&p->common, p->settings) : OK;
}

/* --- signals ----------------------------------------------------------------------------------------------------- */
static void raise_event(int fd)
{
    const uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof(one));
    (void)n; /* fails only when the counter is full: it is readable then, too */
}

/* One thread turns signals into descriptors, and ends a process whose drain hangs. */
static void *signal_loop(void *data)
{
    Process *p = data;
    struct pollfd fds[] = {{.fd = p->signal_fd, .events = POLLIN}, {.fd = p->done_fd, .events = POLLIN}};
    struct signalfd_siginfo info;
    int64_t end_ms = 0; /* of the drain, once it began */

    for (;;) {
        int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
        int ready = poll(fds, 2, end_ms ? (int)MAX(end_ms - now_ms, 0) : -1);

        if (fds[1].revents & POLLIN)
            return NULL;
        if (ready == 0) {
            LOG_ERROR(p->service.log, "drain_overrun", "timeout_ms", p->common.shutdown_timeout_ms);
            _exit(EXIT_AT_RUN);
        }
        if (ready < 0 || read(p->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
            continue;
        if (info.ssi_signo == SIGHUP) {
            raise_event(p->reload_fd);
        } else if (!atomic_exchange(&p->stopping, true)) {
            LOG_INFO(p->service.log, "stop_requested", "signal", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
            end_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + p->common.shutdown_timeout_ms + DRAIN_GRACE_MS;
            raise_event(p->stop_fd);
        }
    }
}

/* Before any other thread starts, since they inherit the mask. */
static Err catch_signals(Process *p)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->reload_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->signal_fd < 0 || p->stop_fd < 0 || p->reload_fd < 0 || p->done_fd < 0)
        return err_errno(&INTERNAL, "signal descriptors");
    if (pthread_create(&p->signal_thread, NULL, signal_loop, p) != 0)
        return err_make(&INTERNAL, "the signal thread could not be started");
    p->signal_thread_runs = true;
    return OK;
}

static void release_signals(Process *p)
{
    const int fds[] = {p->signal_fd, p->stop_fd, p->reload_fd, p->done_fd};

    if (p->signal_thread_runs) {
        raise_event(p->done_fd);
        pthread_join(p->signal_thread, NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* True when it is time to stop. */
static bool pause_ms(Process *p, int64_t ms)
{
    struct pollfd fd = {.fd = p->stop_fd, .events = POLLIN};

    (void)poll(&fd, 1, (int)ms); /* woken early by a signal: the caller asks again anyway */
    return atomic_load(&p->stopping);
}

/* --- what a service needs ------------------------------------------------------------------------------------------
 */
typedef Err (*Attempt)(Process *p);

/* A dependency may come up after us: tried until it is there, each failure that no waiting cures ends the start. */
static Err wait_for(Process *p, const char *what, Attempt attempt)
{
    int64_t logged_ms = 0;

    for (;;) {
        Err e = attempt(p);
        int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);

        if (!err_failed(e))
            return OK;
        if (e.reason != &UNAVAILABLE && e.reason != &DEADLINE_EXCEEDED)
            return err_wrap(e, what);
        if (logged_ms == 0 || now_ms - logged_ms >= WAIT_LOG_MS) {
            LOG_WARN(p->service.log, "waiting", "for", what, "error", e.text);
            logged_ms = now_ms;
        }
        if (pause_ms(p, WAIT_PAUSE_MS))
            return err_make(&CANCELLED, "stopped while waiting for %s", what);
    }
}

static Err try_database(Process *p)
{
    return db_ping(p->service.db, WAIT_STEP_MS);
}

static Err try_bus(Process *p)
{
    const CommonSettings *s = &p->common;
    const BusOptions options = {.url = s->bus_url,
                                .user = s->bus_user[0] ? s->bus_user : p->definition->name,
                                .password = s->bus_password,
                                .ca_file = s->bus_ca_file,
                                .slot = s->slot,
                                .version = ATRIUM_VERSION,
                                .log = p->service.log,
                                .threaded = p->definition->run != NULL};
    return bus_connect(&options, WAIT_STEP_MS, &p->service.bus);
}

static void take_worker_number(void *data, unsigned number)
{
    id_source_set_worker(data, number);
}

static Err try_worker_number(Process *p)
{
    unsigned number;

    TRY(lease_number(p->service.db, p->service.log, "ids", WORKER_NUMBERS, WAIT_STEP_MS, &p->worker, &number));
    p->service.ids = id_source_new(p->service.clock, number);
    lease_follow_number(p->worker, take_worker_number, p->service.ids);
    return OK;
}

static Err check_bus(void *data)
{
    return bus_connected(data) ? OK : err_make(&UNAVAILABLE, "not connected");
}

/* A loop of its own drains before stop() comes to say that nobody is served any more. */
static Err check_stopping(void *data)
{
    const Process *p = data;

    return atomic_load(&p->stopping) ? err_make(&UNAVAILABLE, "stopping") : OK;
}

static Err check_database(void *data)
{
    return db_ping(data, PING_TIMEOUT_MS);
}

static Err check_worker(void *data)
{
    return lease_held(data) ? OK : err_make(&UNAVAILABLE, "the worker number for ids is lost");
}

/* Variables of the replaced systems that do nothing here: accepted, and said. */
static void note_original(void *data, const char *name, const char *why)
{
    LOG_INFO(data, "setting_without_effect", "name", name, "why", why);
}

static Err open_observability(Process *p)
{
    const CommonSettings *s = &p->common;
    Service *service = &p->service;
    static const int formats[] = {LOG_FORMAT_AUTO, LOG_FORMAT_JSON, LOG_FORMAT_TEXT}; /* as LOG_FORMATS */
    LogOptions log = {.service = service->name, .version = service->version, .fd = STDOUT_FILENO};

    log.level = (LogLevel)find_word(LOG_LEVELS, ARRAY_LEN(LOG_LEVELS), s->log_level);
    log.format = formats[find_word(LOG_FORMATS, ARRAY_LEN(LOG_FORMATS), s->log_format)];
    service->log = log_new(&log);
    LOG_INFO(service->log, "starting", "version", service->version, "commit", service->commit, "slot", s->slot);
    config_note_originals(note_original, service->log);
    memory_open();
    /* After the log, which it writes to; before all that inherits the signal mask. */
    TRY(catch_signals(p));
    service->metrics = metrics_new();
    metrics_add_process(service->metrics, service->name, service->version, service->commit);
    service->tracer =
        tracer_new(&(TracerOptions){.service = service->name,
                                    .version = service->version,
                                    .endpoint = s->otlp_endpoint,
                                    .headers = s->otlp_headers,
                                    .sample_ratio = s->otlp_sampler_arg[0] ? strtod(s->otlp_sampler_arg, NULL) : 1,
                                    .log = service->log});
    return admin_start(&(AdminOptions){.address = s->admin_address,
                                       .service = service->name,
                                       .version = service->version,
                                       .commit = service->commit,
                                       .build_date = service->build_date,
                                       .metrics = service->metrics,
                                       .log = service->log},
                       &service->admin);
}

static Err open_database(Process *p)
{
    Service *service = &p->service;
    const DbOptions options = {.url = p->common.database_url,
                               .schema = service->name,
                               .application_name = service->name,
                               .pool_size = (int)p->common.db_pool_size,
                               .acquire_timeout_ms = 5000,
                               .log = service->log,
                               .metrics = service->metrics};

    TRY(err_wrap(db_new(&options, &service->db), "DATABASE_URL"));
    return wait_for(p, "database", try_database);
}

static Err open_bus(Process *p)
{
    Service *service = &p->service;
    const char *public_key = p->common.caller_public_key;

    TRY(wait_for(p, "bus", try_bus));
    TRY(client_new(service->bus, service->metrics, &service->client));
    if (public_key[0])
        TRY(err_wrap(caller_verifier_new(slice(public_key), service->name, service->clock, &p->verifier),
                     "GATEWAY_PUBLIC_KEY"));
    return OK;
}

static Err open_ids(Process *p)
{
    if (p->definition->uses_database)
        return wait_for(p, "a worker number for ids", try_worker_number);
    /* Nothing that is stored is minted here. */
    p->service.ids = id_source_new(p->service.clock, (unsigned)(random_uint64() % WORKER_NUMBERS));
    return OK;
}

static Err open_outbox(Process *p)
{
    Service *service = &p->service;
    const OutboxOptions options = {.db = service->db,
                                   .bus = service->bus,
                                   .log = service->log,
                                   .metrics = service->metrics,
                                   .domain = service->name,
                                   .poll_ms = OUTBOX_POLL_MS,
                                   .keep_acked_ms = OUTBOX_KEEP_ACKED_MS,
                                   .dispatches = p->definition->has_dispatches,
                                   .spacing_ms = p->definition->outbox_spacing_ms};

    return p->definition->has_events ? outbox_relay_start(&options, &service->outbox) : OK;
}

static Err open_server(Process *p)
{
    const ServiceDefinition *d = p->definition;
    Service *service = &p->service;
    const RpcServerOptions options = {.bus = service->bus,
                                      .services = d->rpcs,
                                      .service_count = d->rpc_count,
                                      .lanes = d->lanes,
                                      .lane_count = d->lane_count,
                                      .context = p->context,
                                      .db = service->db,
                                      .client = service->client,
                                      .verifier = p->verifier,
                                      .clock = service->clock,
                                      .log = service->log,
                                      .metrics = service->metrics,
                                      .tracer = service->tracer,
                                      .version = service->version,
                                      .commit = service->commit,
                                      .arena_bytes = ARENA_KEPT_BYTES};

    return rpc_server_new(&options, &p->server);
}

/* Before `open`, so that contexts have them. */
static Err open_tickets(Process *p)
{
    const BytesSettings *s = &p->bytes_settings;

    if (!p->definition->bytes_count)
        return OK;
    TRY(err_wrap(ticket_keys_new(s->ticket_keys, &p->tickets), "BYTES_TICKET_KEY"));
    p->service.tickets = p->tickets;
    p->service.bytes_url = s->public_url[0] ? s->public_url : s->platform_url;
    return OK;
}

static Err open_bytes(Process *p)
{
    const ServiceDefinition *d = p->definition;
    const BytesSettings *s = &p->bytes_settings;
    Service *service = &p->service;
    const RevocationsOptions ended = {.bus = service->bus,
                                      .clock = service->clock,
                                      .log = service->log,
                                      .metrics = service->metrics,
                                      .age_ms = s->revocations_age_ms,
                                      .entries_max = (size_t)s->revocations_max};

    if (!d->bytes_count)
        return OK;
    TRY(revocations_start(&ended, &p->revocations));
    return bytes_listener_start(&(BytesOptions){.address = s->address,
                                                .settings = s,
                                                .services = d->bytes,
                                                .service_count = d->bytes_count,
                                                .context = p->context,
                                                .tickets = p->tickets,
                                                .verifier = p->verifier,
                                                .revocations = p->revocations,
                                                .db = service->db,
                                                .client = service->client,
                                                .clock = service->clock,
                                                .log = service->log,
                                                .metrics = service->metrics,
                                                .tracer = service->tracer},
                                &p->bytes);
}

static Err check_revocations(void *data)
{
    return revocations_ready(data) ? OK : err_make(&UNAVAILABLE, "not all ended logins are known yet");
}

/* --- start, serve, stop ----------------------------------------------------------------------------------------------
 */
static Err start(Process *p)
{
    const ServiceDefinition *d = p->definition;
    Service *service = &p->service;

    TRY(open_observability(p));
    if (d->uses_database)
        TRY(open_database(p));
    TRY(err_wrap(cache_new(d->uses_cache ? p->common.redis_url : "", service->name, service->log, service->metrics,
                           &service->cache),
                 "REDIS_URL"));
    TRY(open_bus(p));
    TRY(open_ids(p));
    TRY(err_wrap(open_outbox(p), "outbox"));
    TRY(open_tickets(p));
    if (d->open)
        TRY(err_wrap(d->open(service, &p->context), "open"));
    p->opened = true;
    TRY(err_wrap(open_server(p), "rpc server"));
    TRY(err_wrap(open_bytes(p), "data plane"));
    if (d->started)
        TRY(err_wrap(d->started(service, p->context), "start"));
    TRY(err_wrap(bus_started(service->bus), "bus"));
    if (d->run)
        admin_add_check(service->admin, "serving", check_stopping, p);
    admin_add_check(service->admin, "bus", check_bus, service->bus);
    if (service->db)
        admin_add_check(service->admin, "database", check_database, service->db);
    if (p->worker)
        admin_add_check(service->admin, "worker_number", check_worker, p->worker);
    if (p->bytes) {
        admin_add_check(service->admin, "bytes", bytes_listener_check, p->bytes);
        admin_add_check(service->admin, "revocations", check_revocations, p->revocations);
        LOG_INFO(service->log, "bytes_serving", "bytes_port", bytes_listener_port(p->bytes));
    }
    admin_ready(service->admin, true);
    LOG_INFO(service->log, "serving", "start_ms", clock_monotonic_ms(&SYSTEM_CLOCK) - p->started_ms, "admin_port",
             admin_port(service->admin));
    return OK;
}

/* Until the signal; SIGHUP in between. */
static void wait_and_reload(Process *p)
{
    struct pollfd fds[] = {{.fd = p->stop_fd, .events = POLLIN}, {.fd = p->reload_fd, .events = POLLIN}};
    MemoryRest rest = {0};
    uint64_t count;

    while (!atomic_load(&p->stopping)) {
        int ready = poll(fds, 2, MEMORY_REST_MS);

        if (ready == 0)
            (void)memory_rest(&rest);
        if (ready <= 0)
            continue;
        if (read(p->reload_fd, &count, sizeof(count)) == (ssize_t)sizeof(count) && p->definition->reload)
            p->definition->reload(p->context);
    }
}

/* Fine with a half-made process; the reverse of start(). */
static void stop(Process *p)
{
    Service *service = &p->service;
    int64_t began_ms = clock_monotonic_ms(&SYSTEM_CLOCK);

    if (service->admin)
        admin_ready(service->admin, false);
    if (p->opened && p->definition->stopping)
        p->definition->stopping(p->context);
    /* The data plane takes no more at once, and has what the rpcs leave of the time for the transfers that run. */
    if (p->bytes)
        bytes_listener_quiet(p->bytes);
    if (p->server) {
        rpc_server_drain(p->server, p->common.shutdown_timeout_ms);
        rpc_server_free(p->server);
    }
    if (p->bytes)
        bytes_listener_drain(p->bytes,
                             MAX(p->common.shutdown_timeout_ms - (clock_monotonic_ms(&SYSTEM_CLOCK) - began_ms), 0));
    bytes_listener_stop(p->bytes);
    revocations_stop(p->revocations);
    if (p->opened && p->definition->close)
        p->definition->close(p->context);
    if (service->outbox)
        outbox_relay_stop(service->outbox);
    client_free(service->client);
    bus_close(service->bus);
    caller_verifier_free(p->verifier);
    ticket_keys_free(p->tickets);
    /* Nothing mints ids any more: the number is free for others. */
    lease_free(p->worker);
    id_source_free(service->ids);
    cache_free(service->cache);
    db_free(service->db);
    admin_stop(service->admin);
    tracer_free(service->tracer);
    metrics_free(service->metrics);
    LOG_INFO(service->log, "stopped", "drain_ms", clock_monotonic_ms(&SYSTEM_CLOCK) - began_ms);
    release_signals(p);
    log_free(service->log);
}

static int serve(Process *p)
{
    Err e = start(p);

    if (!err_failed(e)) {
        if (p->definition->run)
            e = p->definition->run(&p->service, p->context);
        else
            wait_and_reload(p);
    }
    /* Stopped while it waited for something: as wanted. */
    if (atomic_load(&p->stopping) && e.reason == &CANCELLED)
        e = OK;
    if (err_failed(e))
        LOG_ERROR(p->service.log, "failed", "error", e.text);
    stop(p);
    return err_failed(e) ? EXIT_AT_RUN : EXIT_FINE;
}

int service_stop_fd(const Service *service)
{
    return ((const Process *)service)->stop_fd;
}

int service_reload_fd(const Service *service)
{
    return ((const Process *)service)->reload_fd;
}

bool service_stopping(const Service *service)
{
    return atomic_load(&((const Process *)service)->stopping);
}

/* --- the command line ------------------------------------------------------------------------------------------------
 */
static int print_help(Process *p)
{
    const ServiceDefinition *d = p->definition;

    printf(
        "%s: %s\n\n"
        "  %s [run]          serves until SIGTERM\n"
        "  %s healthcheck    asks a running one whether it is ready\n"
        "  %s config check   checks the settings\n"
        "  %s config dump    prints them, without secrets\n"
        "  %s --version\n\n"
        "Settings are environment variables, each also as NAME_FILE, or lines KEY = VALUE of the file $ATRIUM_CONFIG,\n"
        "./atrium.toml or /etc/atrium/config.toml. The environment wins.\n\n",
        d->name, d->summary, d->name, d->name, d->name, d->name, d->name);
    config_print_help(d->settings, d->setting_count, stdout);
    if (d->bytes_count)
        config_print_help(BYTES_SETTINGS, ARRAY_LEN(BYTES_SETTINGS), stdout);
    config_print_help(COMMON_SETTINGS, ARRAY_LEN(COMMON_SETTINGS), stdout);
    return EXIT_FINE;
}

static int print_version(Process *p)
{
    printf("%s v%s (commit: %s, built: %s)\n", p->definition->name, ATRIUM_VERSION, ATRIUM_COMMIT, ATRIUM_BUILD_DATE);
    return EXIT_FINE;
}

static int fail(const Process *p, Err e, int code)
{
    fprintf(stderr, "%s: %s\n", p->definition->name, e.text);
    return code;
}

static int healthcheck(Process *p)
{
    Err e = load_settings(p, false);
    size_t len = strlen(p->common.admin_address ? p->common.admin_address : "");

    if (err_failed(e))
        return fail(p, e, EXIT_WRONG_USE);
    if (len >= 2 && strcmp(p->common.admin_address + len - 2, ":0") == 0)
        return fail(p,
                    err_make(&INVALID_ARGUMENT, "ADMIN_ADDR has port 0, a free one: it cannot be asked from outside"),
                    EXIT_WRONG_USE);
    e = admin_probe(p->common.admin_address, "/readyz", HEALTHCHECK_MS);
    return err_failed(e) ? fail(p, e, EXIT_AT_RUN) : EXIT_FINE;
}

static int config_check(Process *p)
{
    Err e = load_settings(p, true);

    if (err_failed(e))
        return fail(p, e, EXIT_WRONG_USE);
    printf("The settings of %s are fine.\n", p->definition->name);
    return EXIT_FINE;
}

static int config_dump(Process *p)
{
    Err e = load_settings(p, false);

    if (err_failed(e))
        return fail(p, e, EXIT_WRONG_USE);
    config_print(p->definition->settings, p->definition->setting_count, p->settings, stdout);
    if (p->definition->bytes_count)
        config_print(BYTES_SETTINGS, ARRAY_LEN(BYTES_SETTINGS), &p->bytes_settings, stdout);
    config_print(COMMON_SETTINGS, ARRAY_LEN(COMMON_SETTINGS), &p->common, stdout);
    return EXIT_FINE;
}

static int run(Process *p)
{
    Err e = load_settings(p, true);

    return err_failed(e) ? fail(p, e, EXIT_WRONG_USE) : serve(p);
}

/* Not for people: the service starts itself so. */
static int compute_aside(Process *p)
{
    return p->definition->aside ? aside_serve(p->definition->aside)
                                : fail(p, err_make(&INVALID_ARGUMENT, "nothing is computed aside"), EXIT_WRONG_USE);
}

static const struct {
    const char *first, *second;
    int (*run)(Process *p);
} COMMANDS[] = {
    {"run", NULL, run},
    {"healthcheck", NULL, healthcheck},
    {"config", "check", config_check},
    {"config", "dump", config_dump},
    {"aside", NULL, compute_aside},
    {"--version", NULL, print_version},
    {"--help", NULL, print_help},
    {"-h", NULL, print_help},
};

static int dispatch(Process *p, int argc, char **argv)
{
    if (argc <= 1)
        return run(p);
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        int words = COMMANDS[i].second ? 3 : 2;
        if (argc == words && strcmp(argv[1], COMMANDS[i].first) == 0 &&
            (words == 2 || strcmp(argv[2], COMMANDS[i].second) == 0))
            return COMMANDS[i].run(p);
    }
    fprintf(stderr, "%s: unknown arguments; try --help\n", p->definition->name);
    return EXIT_WRONG_USE;
}

int service_main(const ServiceDefinition *definition, int argc, char **argv)
{
    Process *p = xcalloc(1, sizeof(*p));
    int code;

    p->definition = definition;
    p->settings = xcalloc(1, definition->settings_bytes);
    p->signal_fd = p->stop_fd = p->reload_fd = p->done_fd = -1;
    p->started_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    p->service = (Service){.name = definition->name,
                           .version = ATRIUM_VERSION,
                           .commit = ATRIUM_COMMIT,
                           .build_date = ATRIUM_BUILD_DATE,
                           .mem = arena_new(16384),
                           .common = &p->common,
                           .settings = p->settings,
                           .clock = &SYSTEM_CLOCK};
    code = dispatch(p, argc, argv);
    arena_free(p->service.mem);
    free(p->settings);
    free(p);
    return code;
}
