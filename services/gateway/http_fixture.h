/* http_fixture: what the tests of requests and answers share: the edge in this process (edge_fixture.h), a service of a
 * few lines on the bus behind it, and a client of HTTP. start_all and edge_stop are the set-up and the end of a group.
 */
#pragma once
#include <stdatomic.h>

#include "services/gateway/edge_fixture.h"
#include "shared/jws.h"

#define KEY "sel_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA3Jy7iC"
#define KEY_ID "01a1f9d0-812a-7dc3-99d6-c818edbc95fa"
#define KEY_SEED "0123456789abcdef0123456789abcdef" /* of the key that tokens are signed by */
#define LAPSED "it-was-good-once"

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
/* The routes that are served; with one more when `later`. */
void write_tables(const char *path, bool later);

typedef struct Answer {
    int status;
    char head[4096], body[8192];
    size_t body_len;
    bool closed;
} Answer;

/* One answer; `no_body` for HEAD. */
void read_answer(int fd, bool no_body, Answer *out);
Answer ask_bytes(const char *bytes, size_t len);
Answer ask_text(const char *text);
/* `head` without its last empty line. */
Answer ask(const char *head);
Answer post(const char *path, const char *type, const char *body);
void assert_header(const Answer *a, const char *line);
