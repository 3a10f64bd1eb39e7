/* client_internal: what client.c (calls) and client_stream.c share. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "shared/client.h"

enum { CLIENT_BUCKETS = 1024, CLIENT_HEADERS_MAX = 10 };

/* Someone who waits on an inbox of ours: a call, or a stream. */
typedef struct Waiter {
    uint64_t number; /* last token of the inbox */
    struct Waiter *next;
    /* From the delivery thread, with the client's lock held; owns the message. */
    void (*receive)(struct Waiter *w, natsMsg *msg);
} Waiter;

struct Client {
    Bus *bus;
    Metrics *metrics;
    natsSubscription *inbox;
    pthread_mutex_t lock; /* guards what follows, and what waiters receive */
    Waiter *buckets[CLIENT_BUCKETS];
    uint64_t last_number;
    ClientStream *streams; /* the ticker's list */
    pthread_t ticker;
    bool ticking, stop;
    pthread_cond_t tick_cond;
};

/* A request on its way: subject, inbox, headers. */
typedef struct Outgoing {
    char *subject, *inbox;
    BusHeader headers[CLIENT_HEADERS_MAX];
    size_t header_count;
    Slice body;
    bool repeatable; /* may be sent again though it may have run */
} Outgoing;

void client_cond_init(pthread_cond_t *cond);                                          /* monotonic */
void client_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms); /* monotonic ms */
int64_t client_now_ms(void);
int64_t client_deadline_ms(const CallOptions *options, const RpcMethod *method);

/* `stream_credit` is NULL for a plain call. */
Err client_prepare(Client *c, const CallOptions *options, Arena *mem, const RpcMethod *method,
                   const ProtobufCMessage *in, const char *stream_credit, Outgoing *out) MUST_CHECK;
/* A fresh inbox, and what is left of the time, for one try. */
Err client_send(Client *c, Arena *mem, const RpcMethod *method, Outgoing *out, Waiter *waiter,
                int64_t deadline_ms) MUST_CHECK;
void client_forget(Client *c, Waiter *waiter); /* it receives nothing more */
/* The failure that a reply tells of; OK for a good one. */
Err client_reply_error(Arena *mem, const RpcMethod *method, natsMsg *msg) MUST_CHECK;
void client_count(Client *c, Arena *mem, const RpcMethod *method, Err e);
bool client_may_retry(int tries, int64_t deadline_ms);
void client_pause(void); /* before the next try */

void client_tick_streams(Client *c); /* client_stream.c: keeps the producers of open streams posted */
