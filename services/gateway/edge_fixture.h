/* edge_fixture: a whole gateway in this process, its loop in a thread of its own, on the NATS of TEST_NATS_URL; and the
 * first steps of a client. One in a test program. For tests; by tests/run-units. What fails here fails the test. */
#pragma once
#include <pthread.h>

#include "services/gateway/exchange.h"
#include "services/gateway/gateway.h"
#include "services/gateway/listener.h"
#include "shared/testing.h"

#define SECRET "0123456789012345678901234567890123456789"
#define OPAQUE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

typedef struct Fixture {
    Arena *mem;
    GatewaySettings settings;
    CommonSettings common;
    Service service;
    void *context;
    pthread_t thread;
    int port;
    natsConnection *nc;
    natsSubscription *subs[12];
    size_t sub_count;
    char tables[64];
} Fixture;
extern Fixture f;

/* Its settings, and the bus of `slot`, which keeps it apart from other tests: both may be changed before edge_start.
 * f.tables is where the tables are to be written. */
void edge_prepare(const char *slot);
/* A stream, unless it is there. */
void edge_stream(const char *name, const char *subject);
/* A handler of the service behind it. */
void edge_serve(const char *subject, natsMsgHandler handler);
void edge_start(void);
/* The end of a group of tests. */
int edge_stop(void **state);

/* A descriptor that gives up reading after ten seconds. */
int open_connection(void);
void send_bytes(int fd, const void *bytes, size_t len);
