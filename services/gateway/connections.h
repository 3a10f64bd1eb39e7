/* connections: how long a client may take for what it does. libmicrohttpd's timeout starts again with every byte, so
 * that a client that sends one now and then would hold its connection for ever: here each phase has an end. And when
 * there are too many connections, those that wait longest without a request make room. One per listener; loop thread
 * only. */
#pragma once
#include <microhttpd.h>

#include "services/gateway/gateway.h"

typedef enum ConnectionPhase {
    CONNECTION_HEAD,    /* new, or within a head */
    CONNECTION_IDLE,    /* between two requests */
    CONNECTION_BODY,    /* the head is there */
    CONNECTION_WAITING, /* for us: no limit of the client's */
    CONNECTION_ANSWER   /* the client reads */
} ConnectionPhase;

typedef struct Connection {
    struct Connection *next, *prev;
    struct Connections *all;
    Exchange *exchange; /* the listener's */
    int fd;
    ConnectionPhase phase;
    bool ended; /* shut down: libmicrohttpd sees that at its next look */
    int64_t since_ms;
} Connection;

typedef struct Connections Connections;

/* `limit` connections at a time. */
Connections *connections_new(Gateway *g, size_t limit);
/* When none is left. NULL is fine. */
void connections_free(Connections *cs);

/* What GATEWAY_MAX_CONNECTIONS asks for, or less where the process may not have so many descriptors. */
size_t connections_limit(Gateway *g);
/* The same of GATEWAY_MAX_SOCKETS: half of what there is, once connections_limit() has asked for more. */
size_t connections_sockets_limit(Gateway *g);

Connection *connections_add(Connections *cs, int fd);
void connections_remove(Connections *cs, Connection *c);
void connections_enter(Connections *cs, Connection *c, ConnectionPhase phase);
/* Ends it now: libmicrohttpd notices at its next look. */
void connections_cut(Connection *c);
/* Its descriptor lives on elsewhere: libmicrohttpd closes its own, and nothing here shuts it down any more. */
void connections_release(Connection *c);
/* The connection of a request, from libmicrohttpd's. */
Connection *connection_of(struct MHD_Connection *connection);
