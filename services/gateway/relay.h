/* relay: the way of an rpc of bytes: the request goes on to its domain's data plane over a connection of ours
 * (backends.h), the answer comes back, both as they come: never more of a body is held than RELAY_BUFFER_BYTES, and who
 * is slow slows the other side. What the data plane believes of a request (Atrium-Caller and its kind) is said here
 * alone.
 *
 * A request that waits for "100 Continue" gets it, or a refusal, from the data plane. An answer that comes before the
 * body is complete ends the request. Loop thread only. */
#pragma once
#include "services/gateway/exchange.h"

enum {
    RELAY_BUFFER_BYTES = 64 * 1024, /* of an answer, read and not yet taken by the client's side */
    RELAY_BLOCK_BYTES = 128 * 1024, /* of an answer of known length, on its way to the client */
    RELAY_DIRECT_UP_MIN_BYTES = 512 * 1024,
    RELAY_DIRECT_DOWN_MIN_BYTES = 4 * 1024 * 1024, /* of a body that goes past libmicrohttpd */
    RELAY_DIRECT_TURN_BYTES = 2 * 1024 * 1024,     /* of one of them, before the others have their turn */
    RELAY_PIPE_BYTES = 256 * 1024,
    RELAY_PIPES_MAX = 192, /* together less than the kernel allows a user, which is 64 MiB; others go by buffers */
    RELAY_PIPES_IDLE_MAX = 16,
    RELAY_HEAD_MAX_BYTES = 32 * 1024,  /* of a request: what comes fits into 16 KiB, and ours is added */
    RELAY_EARLY_MAX_BYTES = 32 * 1024, /* of an answer before the body is complete */
    RELAY_EARLY_WAIT_MS = 2000,        /* for the rest of such an answer */
    RELAY_CONTINUE_WAIT_MS = 2000,     /* then a client that expects 100 is told to go on */
    RELAY_UNREAD_BYTES = 256 * 1024,   /* so much of an answer may lie in the client's socket */
    RELAY_LINGER_MS = 5000,            /* for a client to notice that it was answered early */
    RELAYS_LOOK_MS = 250               /* deadlines and ended logins are looked at so often */
};

typedef struct Relay Relay;

/* All relays, and other answers that go on for long (events.h): looked at together. */
typedef struct Relays Relays;
Relays *relays_new(Gateway *g);
void relays_free(Relays *all); /* NULL is fine */

/* The last step of an rpc of bytes: finds a connection. Then the exchange sleeps, until it is answered or the body may
 * come: relay_takes_body(). */
StepResult relay_start(Exchange *x);
bool relay_takes_body(const Exchange *x);
/* How much of this piece went on; when it is not all, the exchange has to sleep before it comes again. */
size_t relay_take_body(Exchange *x, Slice piece);
/* Is the rest of the body so long that it may go past libmicrohttpd, once that has given all that it has of it? Then
 * the exchange has to sleep, and relay_go_past() takes it from there. */
bool relay_goes_past(Exchange *x);
void relay_go_past(Exchange *x);
/* The body is complete. */
void relay_body_ended(Exchange *x);
/* The exchange ends, however: keeps or closes the connection. */
void relay_end(Exchange *x);

/* Watches an answer that goes on for long: `look` is called every RELAYS_LOOK_MS, and its login's end cuts it within
 * that. Until the exchange ends. */
void relays_watch(Exchange *x, void (*look)(Exchange *x));
void relays_forget(Exchange *x);
/* At the very end: what goes on is cut. */
void relays_cut_all(Relays *all);
