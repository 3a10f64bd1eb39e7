/* http_fixture: what the tests of the whole edge share: a gateway in this process, a service of a few lines on the bus
 * behind it, and a client that sends bytes as they are. One of each in a test program: start_all and stop_all are the
 * set-up and the end of its group. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "services/gateway/exchange.h"
#include "services/gateway/gateway.h"
#include "services/gateway/listener.h"
#include "shared/jws.h"
#include "shared/testing.h"

#define SECRET "0123456789012345678901234567890123456789"
#define KEY "sel_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA3Jy7iC"
#define KEY_ID "01a1f9d0-812a-7dc3-99d6-c818edbc95fa"
#define KEY_SEED "0123456789abcdef0123456789abcdef" /* of the key that tokens are signed by */
#define LAPSED "it-was-good-once"
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

/* What came in reports; the first of them is not confirmed. */
typedef struct Reports {
    atomic_int tries, taken;
    char id[64];
    atomic_int requests, errors;
    atomic_bool same_again, for_key;
} Reports;
extern Reports reports;
/* Nobody knows the key before the test says so. */
extern atomic_bool key_is_known;
JwsSigner *test_signer(void);

int start_all(void **state);
int stop_all(void **state);
/* The routes that are served; with one more when `later`. */
void write_tables(const char *path, bool later);

typedef struct Answer {
    int status;
    char head[4096], body[8192];
    size_t body_len;
    bool closed;
} Answer;

int open_connection(void);
void send_bytes(int fd, const char *bytes, size_t len);
/* One answer; `no_body` for HEAD. */
void read_answer(int fd, bool no_body, Answer *out);
Answer ask_bytes(const char *bytes, size_t len);
Answer ask_text(const char *text);
/* `head` without its last empty line. */
Answer ask(const char *head);
Answer post(const char *path, const char *type, const char *body);
void assert_header(const Answer *a, const char *line);
