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

/* Its settings, and the bus in a slot of this process (testing_slot), so that test programs that run at a time do not
 * answer for one another: both may be changed before edge_start. f.tables is where the tables are to be written. */
void edge_prepare(void);
/* A stream, unless it is there. */
void edge_stream(const char *name, const char *subject);
/* A handler of the services behind it, of "<domain>.v1.<Rpc>". */
void edge_serve(const char *rpc, natsMsgHandler handler);
void edge_start(void);
/* The end of a group of tests. */
int edge_stop(void **state);

/* A descriptor that gives up reading after half a minute. */
int open_connection(void);
void send_bytes(int fd, const void *bytes, size_t len);
