/* socket: live connections (WebSocket, RFC 6455). An rpc with the option `socket` is reached by an upgrade: the
 * descriptor is taken from libmicrohttpd and lives in our loop from then on, one Socket each. What a connection says
 * and hears is decided by the service, request by request (proto/atrium/realtime.proto); what many connections hear
 * comes from the ring of dispatches (ring.h), which writes to sockets by the functions below. docs/realtime.md tells
 * the whole way.
 *
 * Start reading at socket_upgrade.c (the handshake), then socket_request.c (what the service is asked, and what its
 * reply does), socket_io.c (frames). Loop thread only. */
#pragma once
#include "atrium/realtime.pb-c.h"
#include "services/gateway/exchange.h"

typedef struct Socket Socket;
typedef struct Sockets Sockets;
typedef struct RingSocket RingSocket; /* what the ring keeps of a connection: its topics */

/* --- frames that are shared --------------------------------------------------------------------------------------- */
/* One WebSocket frame, head included, made once for all connections that it is written to. */
typedef struct SharedFrame {
    unsigned references;
    uint32_t len;
    char bytes[];
} SharedFrame;
/* With one reference, the caller's. */
SharedFrame *shared_frame_new(Slice payload, bool binary);
SharedFrame *shared_frame_ref(SharedFrame *frame);
void shared_frame_unref(SharedFrame *frame); /* the last one frees; NULL is fine */
CLEANUP_FN(SharedFrame, shared_frame_unref)

/* The parts joined: `position` where a part asks for it, messages as JSON of `dialect` by `types`. NULL when a part
 * cannot be read, names no type of ours, or all is longer than SOCKET_FRAME_OUT_MAX_BYTES. */
SharedFrame *shared_frame_build(const TypeTables *types, int dialect, const Atrium__SocketFrame *frame,
                                uint64_t position);

/* --- for the ring ------------------------------------------------------------------------------------------------- */
/* The labels by which variants are chosen. 0: nobody has been verified on it yet. */
int64_t socket_user(const Socket *s);
int socket_dialect(const Socket *s);
/* Of its rpc: domain, subject. */
const Operation *socket_operation(const Socket *s);
Gateway *socket_gateway(const Socket *s);
/* What the ring keeps of it; NULL until it sets something. Its own to free, at the latest when ring_forget(s) is
 * called. */
RingSocket **socket_ring(Socket *s);

/* Queues the frame (takes a reference of its own); nothing is sent within this call, all output of a turn leaves at its
 * end. Of a dispatch, `position` is its number in the stream; 0 of others. What does not fit into `queue_bytes` closes
 * the connection with `slow_close`, and it is as if it were closed from then on: false. */
bool socket_write_shared(Socket *s, SharedFrame *frame, uint64_t position);
/* Decides on a close, because of what it follows: 1012 where the stream lost something. As if it were closed from then
 * on; ring_forget comes at the end of the turn. */
void socket_break(Socket *s, uint32_t code, const char *reason);
/* Less than half of `queue_bytes` waits for the client, or it is not open any more: may what it missed be written on?
 */
bool socket_has_room(const Socket *s);
/* Is it still one that is written to? Not after a close was decided on. */
bool socket_is_open(const Socket *s);

/* --- the edge's parts --------------------------------------------------------------------------------------------- */
Sockets *sockets_new(Gateway *g);
/* Cuts what is left. NULL is fine. */
void sockets_free(Sockets *all);
/* SIGTERM: the farewell of each rpc, then 1001. sockets_gone() when the last one has closed, and its CLOSED was
 * answered. */
void sockets_drain(Sockets *all);
bool sockets_gone(const Sockets *all);

/* The last step of such an rpc: answers 101 and takes the connection over, or refuses. */
StepResult socket_start(Exchange *x);
/* Everything is over, the service included; or nothing ever began, since the request ended before. */
void socket_free(Socket *s);
