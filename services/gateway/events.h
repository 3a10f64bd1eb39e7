/* events: an rpc that returns a stream, over HTTP: server-sent events, one per message (WHATWG HTML, "Server-sent
 * events"). The fields that its proto marks with `sse` become "id" and "event", the rest is JSON in "data". What the
 * client does not read is bounded by credit (docs/bus.md, "Streams"): the producer waits. A client that leaves, or
 * whose login ends, ends the producer. A failure within the stream is an event "error" with the dialect's error body;
 * one before it is an ordinary answer. Loop thread only. */
#pragma once
#include "services/gateway/exchange.h"

enum {
    EVENTS_CREDIT_BYTES = 64 * 1024,          /* of messages on the bus, not yet read by the client */
    EVENTS_TEXT_MAX_BYTES = 16 * 1024 * 1024, /* of their JSON; RPC messages are at most 10 MiB */
    EVENTS_OPEN_MS = 1000,          /* a stream that says nothing at first is answered by then; time to be refused */
    EVENTS_DEADLINE_GRACE_MS = 5000 /* our end of the stream comes before the producer's */
};

/* The last step of such an rpc. */
StepResult events_start(Exchange *x);
/* The exchange ends, however. */
void events_end(Exchange *x);
