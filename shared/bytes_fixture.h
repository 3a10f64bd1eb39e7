/* bytes_fixture: what the tests of the data plane share: a real listener with a few handlers, which note what they see,
 * and a client that speaks to it byte by byte. For tests. What fails here fails the test. */
#pragma once
#include <stdatomic.h>

#include "shared/bytes.h"
#include "shared/revocations.h"
#include "shared/testing.h"

enum { PATIENCE_MS = 20000, BIG_BYTES = 96 << 20, PIECE_BYTES = 1 << 20 };

/* What handlers noted of the request that is over. */
typedef struct Seen {
    atomic_int begins, ends, dones;
    atomic_int outcome;
    _Atomic uint64_t received, sent;
    _Atomic uint64_t sum; /* of all bytes that came */
} Seen;
extern Seen seen;

typedef struct World {
    BytesListener *listener;
    Metrics *metrics;
    Revocations *revocations;
    CallerSigner *signer;
    CallerVerifier *verifier;
    TicketKeys *tickets;
    BytesSettings settings;
    int big_fd; /* BIG_BYTES of it */
} World;
extern World w;
extern const BytesService SERVICE;

int set_up(void **state);
int tear_down(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
BytesSettings usual_settings(void);
void restart_listener(BytesSettings settings);
/* Until so many requests are over, of all since set_up. */
void wait_dones(int count);

/* --- the client -------------------------------------------------------------------------------------------------- */
#define REST " HTTP/1.1\r\nHost: x\r\n"

typedef struct Reply {
    int status;
    Slice head, body;
    bool closed; /* by the other side, at its end */
} Reply;

int dial(void);
bool readable(int fd, int timeout_ms);
/* False when the other side does not take it. */
bool say(int fd, Slice text);
/* One answer; `until_close`: all that comes. Bodies of HEAD and of 304 do not come. */
Reply hear(Arena *mem, int fd, bool is_head, bool until_close);
/* Over a connection of its own. */
Reply ask(Arena *mem, const char *request);
/* "" when there is none. */
Slice header_of(const Reply *r, const char *name);
bool closes_within(int fd, int ms);
/* How many bytes come until the end. */
size_t read_to_end(int fd);
