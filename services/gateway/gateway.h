/* gateway: the edge, put together. One thread and one loop: libmicrohttpd's connections, the bus, timers, and all that
 * happens between a request and its answer. */
#pragma once
#include <stdatomic.h>

#include "services/gateway/address.h"
#include "services/gateway/assets.h"
#include "services/gateway/auth.h"
#include "services/gateway/backends.h"
#include "services/gateway/cors.h"
#include "services/gateway/csrf.h"
#include "services/gateway/key_usage.h"
#include "services/gateway/profiles.h"
#include "services/gateway/rates.h"
#include "services/gateway/tables.h"
#include "services/gateway/tally.h"
#include "services/gateway/upstream.h"
#include "shared/memory.h"
#include "shared/revocations.h"
#include "shared/service.h"

typedef struct GatewaySettings {
#define SETTING CONFIG_MEMBER
#include "services/gateway/settings.def"
#undef SETTING
} GatewaySettings;

typedef struct Listener Listener;
typedef struct Exchange Exchange;
typedef struct Relay Relay;
typedef struct Relays Relays;
typedef struct EventStream EventStream;
typedef struct Rings Rings;
typedef struct Sockets Sockets;

enum { LISTENERS_MAX = 16 };

/* Why we end a connection that has not failed: what took too long, or that there are too many. */
typedef enum ConnectionsEnd {
    CONNECTIONS_END_HEAD,
    CONNECTIONS_END_IDLE,
    CONNECTIONS_END_BODY,
    CONNECTIONS_END_ANSWER,
    CONNECTIONS_END_FULL,
    CONNECTIONS_ENDS
} ConnectionsEnd;

typedef struct Gateway {
    Service *service;
    const GatewaySettings *settings;
    const char *slot;
    Loop *loop;
    LoopTimer *rest_timer; /* of rest */
    MemoryRest rest;
    Bus *bus; /* on the loop; service->bus is the threaded one */
    const Profiles *profiles;
    const Cors *cors;
    const Csrf *csrf;
    const Networks *trusted, *metrics_from;
    Tables *tables; /* in use; exchanges hold references to theirs */
    Assets *assets;
    Revocations *revocations;
    Grants *grants;
    JwtKeys *jwt_keys;
    Auth *auth;
    Rates *rates;
    Upstream *upstream;
    KeyUsage *key_usage;
    Backends *backends;
    Relays *relays;
    Rings *rings; /* of dispatches, for live connections */
    Sockets *sockets;
    Listener *listeners[LISTENERS_MAX];
    size_t listener_count;
    atomic_bool listening;     /* the admin thread asks */
    Exchange *idle, *sleeping; /* to be used again; suspended */
    size_t idle_count, exchange_count, suspended;
    bool resumed;       /* a connection was woken that MHD has not looked at yet; it does not say so itself */
    int64_t body_bytes; /* of all requests, held now */
    size_t event_streams;
    Tally event_callers; /* how many of them each has */
    bool draining;       /* /readyz says 503, answers close their connections */
    struct HealthCache {
        int64_t at_ms;
        bool bus, revocations, access, dispatches, redis;
    } health;
    struct GatewayMetrics {
        Gauge *connections, *suspended, *bus, *body_bytes, *operations, *event_streams;
        Counter *rate_limited, *refused_framing, *reloads, *failed_reloads;
        Counter *unmatched;
        Counter *ended[CONNECTIONS_ENDS];
    } metrics;
} Gateway;

/* Reads what is only read at start; `config check` does so too. */
Err gateway_check(const CommonSettings *common, const void *settings);
Err gateway_open(Service *service, void **out);
/* Serves until SIGTERM, then drains. */
Err gateway_run(Service *service, void *context);
/* The parts of it: after gateway_start, whoever runs g->loop serves. */
Err gateway_start(Gateway *g);
void gateway_reload(Gateway *g); /* SIGHUP; in the loop's thread */
void gateway_close(void *context);
/* May it take requests: bus, revocations, what roles grant, not draining. */
bool gateway_ready(Gateway *g);
