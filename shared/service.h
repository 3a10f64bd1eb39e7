/* service: the main() of every service: arguments, configuration, log, database, cache, bus, table, serve, drain.
 *
 *   auth [run] · auth healthcheck · auth config check · auth config dump · auth --version · auth --help
 *
 * SIGTERM and SIGINT: not ready, stop taking, finish, flush, exit 0. SIGHUP: `reload`. Exit codes: 0 fine, 1 failed at
 * run time, 2 wrong arguments or configuration. */
#pragma once
#include "shared/admin.h"
#include "shared/aside.h"
#include "shared/bus.h"
#include "shared/bytes.h"
#include "shared/cache.h"
#include "shared/client.h"
#include "shared/config.h"
#include "shared/outbox.h"
#include "shared/rpc.h"

typedef struct CommonSettings {
#define SETTING CONFIG_MEMBER
#include "shared/settings.def"
#undef SETTING
} CommonSettings;

/* What a service is given, all borrowed; lives as long as the process serves. */
typedef struct Service {
    const char *name, *version, *commit, *build_date;
    Arena *mem; /* start-up things; not thread-safe after `open` */
    const CommonSettings *common;
    const void *settings;
    const Clock *clock;
    Log *log;
    Metrics *metrics;
    Tracer *tracer;
    Admin *admin;
    Db *db;       /* NULL unless uses_database */
    Cache *cache; /* never NULL; may never hit */
    Bus *bus;
    Client *client;
    IdSource *ids;       /* with a worker number of its own when uses_database */
    OutboxRelay *outbox; /* NULL unless has_events */
    /* With a data plane (bytes.h): the keys of its tickets, and where clients reach it, for ticket_url(). */
    const TicketKeys *tickets;
    const char *bytes_url;
} Service;

typedef struct ServiceDefinition {
    const char *name, *summary;
    const Setting *settings; /* its own, besides the common ones */
    size_t setting_count, settings_bytes;
    bool uses_database, uses_cache, has_events;
    bool has_dispatches;       /* with has_events: its outbox also has what live connections are told */
    int64_t outbox_spacing_ms; /* OutboxOptions.spacing_ms; below a second */
    const RpcService *const *rpcs;
    size_t rpc_count;
    const RpcLane *lanes;
    size_t lane_count;
    /* The data plane; with any, the settings of settings_bytes.def are the service's, too, and its proto consumes
     * "auth", so that it hears which logins end. It serves as long as the rpc server does. */
    const BytesService *const *bytes;
    size_t bytes_count;
    /* Checks settings beyond their ranges; also run by `config check`. May be NULL. */
    Err (*check)(const CommonSettings *common, const void *settings);
    /* Makes the context handlers get as rq->service. May be NULL. */
    Err (*open)(Service *service, void **out_context);
    /* After the rpc server started, for background work. May be NULL. */
    Err (*started)(Service *service, void *context);
    /* Before the drain: stop what `started` began. May be NULL. */
    void (*stopping)(void *context);
    void (*close)(void *context);
    void (*reload)(void *context); /* SIGHUP; from the main thread */
    /* Serves instead of waiting for the signal (the gateway's loop); returns when service_stopping(). The bus of
     * `Service` is then still made, threaded. May be NULL. */
    Err (*run)(Service *service, void *context);
    /* What aside_run computes for this service. May be NULL. */
    AsideFunction aside;
} ServiceDefinition;

int service_main(const ServiceDefinition *definition, int argc, char **argv);
/* A descriptor that becomes readable at SIGTERM/SIGINT, and one at SIGHUP (an eventfd: read it), for `run`. */
int service_stop_fd(const Service *service);
int service_reload_fd(const Service *service);
bool service_stopping(const Service *service);
