/* stream_reader: the reading end of an rpc that streams (docs/bus.md, "Streams"): numbers without a gap, credit, signs
 * of life, cancelling. What becomes of the messages is its owner's: server-sent events (events.c), frames of a
 * WebSocket (socket_attach.c). Loop thread only. */
#pragma once
#include "services/gateway/gateway.h"

enum {
    STREAM_TELL_MS = 5000, /* the reader's sign of life */
    STREAM_SILENT_PRODUCER_MS = 15000
};

typedef struct StreamReader {
    Gateway *gateway;
    UpstreamTicket ticket;
    bool listening;                                   /* the ticket is good */
    char *control;                                    /* where credit and cancel go; NULL until the producer has told */
    uint64_t expected;                                /* number of the next message */
    uint64_t credit_bytes, read_bytes, granted_bytes; /* the window; totals */
    int64_t heard_ms, told_ms;
    int64_t began_ms; /* when the producer told where it is */
} StreamReader;

/* `credit_bytes`: of messages on the bus that were not read yet. The request is sent by the owner, with that as
 * Atrium-Stream-Credit; then it sets `ticket` and `listening`. */
void stream_reader_init(StreamReader *r, Gateway *g, uint64_t credit_bytes);
/* Nothing more is wanted of the producer; `cancel` tells it so. */
void stream_reader_leave(StreamReader *r, bool cancel);
void stream_reader_done(StreamReader *r); /* cancels at need */

typedef enum StreamEvent {
    STREAM_NOTHING, /* a beat, or the producer's first word */
    STREAM_MESSAGE, /* the next one; its cost is stream_cost() */
    STREAM_END,     /* well, or by the failure in Nats-Service-Error-Code; it was left */
    STREAM_REFUSED, /* a failure before there was a stream; it was left */
    STREAM_LOST,    /* a message is missing */
    STREAM_BROKEN   /* nothing that belongs here */
} StreamEvent;
StreamEvent stream_reader_take(StreamReader *r, natsMsg *msg);
uint64_t stream_cost(natsMsg *msg);
/* Messages of this cost were read by whom they are for: the producer may send more. */
void stream_reader_read(StreamReader *r, uint64_t cost);
/* Now and then: tells the producer that somebody reads. False: nothing was heard of it for too long. */
bool stream_reader_look(StreamReader *r);
