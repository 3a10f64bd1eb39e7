/* ring: what happened lately, and who sees it. One Ring for each domain that has an rpc with `socket`: a tail
 * (shared/tail.h) follows the domain's whole dispatch stream from five minutes back and hands its messages to the loop,
 * in order; the loop keeps them (GATEWAY_RING_AGE, GATEWAY_RING_BYTES), applies what they change of audiences, and
 * writes their frames to the sockets that follow their topics. docs/realtime.md tells the whole way.
 *
 * Exactly once, in order. Everything here happens in the loop's thread, and the number of the stream is the only clock:
 * what a socket has not got of a topic, it gets out of the ring at once when it joins, and everything later as it
 * comes. A service answers from its database, which may be older or newer than what this edge has seen: a request
 * carries the position at which it was asked, and changes of audiences after that are applied to the reply, as if the
 * service had said them. So whichever of the two was first, the topics are right in the end, and at each position.
 *
 * Numbers that follow each other: when the tail finds a jump, or another stream (epoch), what lay between is lost. Then
 * the ring is emptied, and every socket that follows something, or whose request was under way, is closed (1012): its
 * client comes again with a position that is older than the ring's, and the service begins afresh. A tail that was cut
 * off (nats-server was restarted) reads on from its number, and sockets do not notice.
 *
 * For the edge (socket_request.c): ring_look before each request; of the reply, in this order: frames_before with
 * ring_position_before, ring_apply, frames_after with ring_position. ring_forget when a socket ends. Nothing here is
 * called from within socket_write_shared, and that changes nothing here. Loop thread only, but for ring_ready. */
#pragma once
#include "services/gateway/exchange.h"
#include "services/gateway/socket.h"

typedef struct Rings Rings;

enum {
    RING_TOPICS_MAX = 20000, /* that one socket follows; a reply or change that wants more closes it */
    RING_MARKS_MAX = 16,     /* of one socket */
    RING_MARK_MAX_BYTES = 128,
    RING_HOLD_MS = 2000 /* of an answer that waits for a mark */
};

/* Begins a ring for each domain in g->tables that has a socket rpc. */
Rings *rings_new(Gateway *g);
void rings_reload(Rings *all); /* the same for domains that g->tables has now; none ends before the gateway does */
void rings_free(Rings *all);   /* after the sockets; NULL is fine */
/* All tails are current: what was published has been read, as confirmed lately. Any thread. */
bool rings_ready(Rings *all);

/* --- for sockets -------------------------------------------------------------------------------------------------- */
typedef struct RingLook {
    uint64_t position; /* of the last dispatch that was written to who follows it */
    uint64_t oldest;   /* this one and all after it can be given to this socket: see ring_takes */
    const char *epoch; /* borrowed until the loop's next turn */
    uint32_t generation;
} RingLook;
/* What a request says of the domain's stream. False: the ring was not filled yet since the start; ask again. */
bool ring_look(Socket *s, RingLook *out);

typedef struct RingChange {
    uint64_t asked;      /* RingLook.position when the request was sent */
    uint32_t generation; /* as it was then */
    bool has_from;
    uint64_t from; /* without: `asked` */
    char **leave;
    size_t n_leave;
    Atrium__TopicJoin **join;
    size_t n_join;
    char **marks;
    size_t n_marks;
} RingChange;
/* Before anything of a reply is done. False: ask again. Between `from` and the question the audience of what the socket
 * is to follow changed, and what of it the client should have seen, nobody knows any more: it would see what was said
 * before it was let in, and miss how it was let out. RingLook.oldest is beyond that now, so the service begins afresh.
 */
bool ring_takes(Socket *s, const RingChange *c);
/* What frames_before are written at: with joins, before what the socket gets out of the ring, so that a client which
 * breaks off in between loses nothing. */
uint64_t ring_position_before(Socket *s, const RingChange *c);
/* Leaves, joins, and writes what the ring has of the topics that are new: as much as half of the queue takes, and on as
 * the client reads; until then ring_look says no. With its first join a socket begins to be
 * meant by changes of audiences. The socket may be closed afterwards (queue full, stream lost). */
void ring_apply(Socket *s, const RingChange *c);
/* What frames are written at otherwise: all dispatches up to here that the socket is to see were written to it. */
uint64_t ring_position(Socket *s);
/* It follows nothing any more; its marks are gone. */
void ring_forget(Socket *s);

/* --- for answers (Atrium-After) ------------------------------------------------------------------------------------
 */
/* The answer of `x` waits, RING_HOLD_MS at most: for the dispatch with this mark, when the caller has a socket of the
 * domain here that follows something (else there is nobody to see it first); or, after "user:", until a socket of the
 * caller's has that mark (SocketReply.marks). False: no need to wait. When it is over, `over(x)` is called, after the
 * output of that turn has left. */
bool ring_hold(Exchange *x, const char *after, void (*over)(Exchange *x));
/* The exchange ends. Nothing when it does not wait. */
void ring_release(Exchange *x);
