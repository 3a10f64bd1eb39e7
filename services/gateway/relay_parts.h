/* relay_parts: what relay.c and relay_direct.c share; for nobody else. Loop thread only. */
#pragma once
#include <sys/epoll.h>

#include "services/gateway/answer.h"
#include "services/gateway/relay.h"

typedef enum RelayFailure {
    RELAY_UNREACHABLE, /* no connection */
    RELAY_LATE,        /* no answer, or none going on, in time */
    RELAY_BROKEN,      /* an answer that is none, or ended too soon */
    RELAY_CUT,         /* its login ended */
    RELAY_FULL,        /* too many at a time */
    RELAY_FAILURES
} RelayFailure;

typedef enum RelayPhase {
    RELAY_CONNECTING,
    RELAY_SENDING,   /* the head */
    RELAY_CONTINUE,  /* the client wants to be told to go on */
    RELAY_BODY,      /* of the request */
    RELAY_WAITING,   /* for the answer */
    RELAY_EARLY,     /* an answer before the body was complete: the rest of it */
    RELAY_ANSWERING, /* its head went on */
    RELAY_ENDED      /* nothing more is wanted of the data plane */
} RelayPhase;

enum { RELAY_CLIENT_EVENTS = EPOLLRDHUP | (int)EPOLLET }; /* of the client's socket, while libmicrohttpd has it */

typedef struct RelayPipe {
    int out, in; /* of which is read, into which is written */
} RelayPipe;

/* A large body on its way past libmicrohttpd, which sleeps: from socket to socket through a pipe, so that it is not
 * copied; through a buffer where there is none. What is in either goes on before more is taken: of a pipe that is not
 * empty nobody can tell whether it is the pipe or the socket that has no more. */
typedef struct Direct {
    enum { DIRECT_NONE, DIRECT_UP, DIRECT_DOWN } way;
    bool past; /* libmicrohttpd has lost count of the request: its answer is written past it, and ends the connection */
    bool client_readable, client_writable; /* edge-triggered, as the data plane's */
    bool waits;                            /* for the data plane */
    bool wanted;                           /* for the answer, once its head is sent */
    bool posted;                           /* had its share of this turn */
    uint64_t left;                         /* of the request's body */
    Slice pending;                         /* sent before anything else */
    bool has_pipe;
    RelayPipe pipe;
    size_t piped; /* bytes in it */
    char *buffer; /* NULL: not needed */
} Direct;

struct Relay {
    Exchange *x;
    Backend *backend;
    BackendConnection *conn; /* NULL: given back */
    RelayPhase phase;
    int tries;
    int64_t since_ms; /* the last progress */
    Slice head;       /* as the data plane gets it */
    size_t sent;      /* of the head */
    /* The request's body. */
    bool body_sent, body_complete, write_failed;
    char frame[24]; /* around a chunk */
    size_t frame_len, frame_at;
    uint64_t chunk_left;
    /* The answer. */
    AnswerHead answer;
    AnswerChunks chunks;
    uint64_t left; /* of an answer of known length */
    bool answer_complete, broken;
    Direct direct;
    size_t start, end; /* what lies in the buffer */
    char buffer[RELAY_BUFFER_BYTES];
};

struct Relays {
    Gateway *gateway;
    LoopTimer *timer;
    Exchange *watched;
    size_t count; /* of relays */
    Gauge *active;
    RelayPipe idle_pipes[RELAY_PIPES_IDLE_MAX];
    size_t idle_pipe_count, pipe_count;
    Gauge *pipes;
    Counter *bytes_up, *bytes_down, *bytes_direct, *stream_cut;
    Counter *failures[BACKENDS_MAX][RELAY_FAILURES];
};

/* --- relay.c ----------------------------------------------------------------------------------------------------- */
void relay_moved(Relay *r); /* there was progress with the data plane */
/* Whatever it was that could be done has changed. */
void relay_step(Relay *r);
void relay_fail(Relay *r, RelayFailure kind);
void relay_write_failed(Relay *r); /* the data plane takes no more of the body; it may have told why */

typedef enum Received { RECEIVED, RECEIVED_NOTHING, RECEIVED_END } Received;
Received relay_fill(Relay *r); /* the buffer */
size_t relay_buffered(const Relay *r);
/* All of the answer was taken, or not: keeps or closes the data plane's connection. */
void relay_give_back(Relay *r);

/* --- relay_direct.c ---------------------------------------------------------------------------------------------- */
/* The client's socket is ready, or gone. */
void relay_direct_ready(Relay *r, uint32_t epoll_events);
/* Moves what can be moved; nothing when none goes past libmicrohttpd. */
void relay_direct_go_on(Relay *r);
/* The rest of the request's body, of which libmicrohttpd has nothing any more; the exchange sleeps. */
void relay_direct_begin_up(Relay *r);
/* The answer's body, behind `head`; the exchange sleeps until then. */
void relay_direct_begin_down(Relay *r, Slice head);
/* Does the data plane keep it waiting? */
bool relay_direct_waits(const Relay *r);
void relay_direct_end(Relay *r);
void relays_free_pipes(Relays *all);
