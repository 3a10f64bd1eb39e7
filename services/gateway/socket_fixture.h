/* socket_fixture: what the tests of live connections share: the edge in this process (edge_fixture.h), a service of a
 * few lines on the bus behind it, which does what frames say, and a client that speaks RFC 6455 byte by byte
 * (socket_client.c). start_all and edge_stop are the set-up and the end of a group, settle the set-up of each test. */
#pragma once
#include <stdatomic.h>

#include "services/gateway/edge_fixture.h"
#include "services/gateway/socket_internal.h"

#define LOGIN "01a1f9d0-812a-7dc3-99d6-c818edbc95fa"

enum { FRAME_ROOM = 300000, MAX_FRAME = 4096, BRIEF_MS = 200 };

/* What the service heard, and what it is to do next. */
typedef struct Heard {
    atomic_int opens, closed, leases, frames, refusals, timers;
    atomic_int close_code;
    atomic_bool serves; /* else nobody takes requests */
    pthread_mutex_t lock;
    char state[64];   /* of the last CLOSED */
    char held[256];   /* where a held request's answer goes */
    char control[64]; /* what the last stream was told */
} Heard;
extern Heard heard;
/* The handler of all that connections say: the last one that start_all has served, so that a test may take it away. */
void serve_talk(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data);
/* Answers the request of "hold". */
void release_held(void);

int start_all(void **state);
/* Between two tests: of all that was opened, the service has heard the end. */
int settle(void **state);
void wait_until(const atomic_int *count, int wanted);
/* The service is told so; of a connection of the test before it may have been told just now. */
void wait_for_code(int code);

/* --- the client ---------------------------------------------------------------------------------------------------
 * What fails in it fails the test. */
#define UPGRADE                                                                                                        \
    "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"         \
    "Sec-WebSocket-Version: 13\r\n"

typedef struct Frame {
    unsigned opcode;
    size_t len;
    char text[FRAME_ROOM];
} Frame;
extern Frame got; /* the last one that was read */

/* The status. Byte by byte, so that no frame behind it is taken. */
int read_head(int fd, char *out, size_t room);
/* `target` with further headers, each ending in a line break. */
int shake_hands(int fd, const char *target, const char *headers, char *head, size_t room);
/* A handshake that is refused. */
int refused(const char *target, const char *headers, char *head, size_t room);
int open_socket(const char *target, const char *headers);
/* At /talk, greeted. */
int open_talk(void);

void send_frame(int fd, unsigned first, Slice payload);
void send_text(int fd, const char *text);
const Frame *read_frame(int fd);
void expect_text(int fd, const char *text);
/* A close frame with this code, whatever else comes before. */
void expect_close(int fd, int code);
void expect_end(int fd);
/* Our part of a close, and the service is told. */
void close_with(int fd, int code);
