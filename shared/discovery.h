/* discovery: a service told of on $SRV.PING, $SRV.INFO and $SRV.STATS, also with .<name> and .<name>.<instance>, in the
 * NATS services format (ADR-32, io.nats.micro.v1): tools of the NATS world find it, and `atrium status` reads it. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "shared/bus.h"

/* One subject that is served, and how it went there. Counted from any thread. */
typedef struct DiscoveryEndpoint {
    const char *name, *subject, *queue_group;
    atomic_uint_fast64_t requests, errors, processing_ns;
    pthread_mutex_t lock; /* guards last_error */
    char last_error[160];
} DiscoveryEndpoint;
void discovery_endpoint_init(DiscoveryEndpoint *e, const char *name, const char *subject, const char *queue_group);
void discovery_endpoint_done(DiscoveryEndpoint *e);
/* `error` is NULL when it went well. */
void discovery_endpoint_count(DiscoveryEndpoint *e, int64_t duration_ns, const char *error);

typedef struct Discovery Discovery;
typedef struct DiscoveryOptions {
    Bus *bus;
    const char *name, *version, *description, *commit; /* `name`: the domain */
    DiscoveryEndpoint *const *endpoints;               /* borrowed, as all of this, until discovery_stop */
    size_t endpoint_count;
} DiscoveryOptions;
Err discovery_start(const DiscoveryOptions *options, Discovery **out) MUST_CHECK;
void discovery_stop(Discovery *d); /* NULL is fine */
