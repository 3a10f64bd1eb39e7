/* streams: what each domain has in JetStream, and how it is configured: EVT_, DSP_, JOBS_ and DEAD_<DOMAIN>.
 *
 * The operator makes and changes them (`atrium bus setup`); a service looks whether its own are there. A service could
 * not be trusted to make even its own: nats-server limits which streams a credential may make, but not which subjects a
 * stream takes, so that a stolen credential could record everyone's requests. */
#pragma once
#include "shared/bus.h"

typedef enum StreamKind {
    STREAM_EVENTS,     /* EVT_<DOMAIN>, evt.<domain>.> */
    STREAM_DISPATCHES, /* DSP_<DOMAIN>, dsp.<domain>.> */
    STREAM_JOBS,       /* JOBS_<DOMAIN>, job.<domain>.>: a work queue */
    STREAM_DEAD,       /* DEAD_<DOMAIN>, dead.<domain>.> */
    STREAM_KIND_COUNT
} StreamKind;

enum { STREAM_NAME_BYTES = 64, STREAM_EVENTS_KEEP_S = 604800 /* unless the domain's proto says otherwise */ };

/* STREAM_EVENTS, "auth" -> "EVT_AUTH". */
void stream_name(StreamKind kind, const char *domain, char out[STREAM_NAME_BYTES]);

/* For the operator: makes the stream, or changes what differs. `events_keep_s` is for STREAM_EVENTS. */
Err stream_set_up(Bus *bus, StreamKind kind, const char *domain, uint32_t events_keep_s, bool *out_changed) MUST_CHECK;

/* For services: looks for the stream, and makes it only where it is missing, which a service's credential may not: it
 * then ends at its start, or gets an error later. Tests, on a server without permissions, get their streams so. */
Err stream_require(Bus *bus, StreamKind kind, const char *domain) MUST_CHECK;
