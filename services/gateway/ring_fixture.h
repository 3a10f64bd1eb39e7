/* ring_fixture: what the tests of the ring share: sockets that only note what is written to them, a ring of domain
 * "test" that begins empty at each test, and short words for what the stream says and what sockets ask. */
#pragma once
#include "services/gateway/ring_internal.h"
#include "shared/message.h"
#include "shared/testing.h"

enum { WRITTEN_MAX = 4096 };

struct Socket {
    RingSocket *ring;
    int64_t user;
    int dialect;
    uint32_t broken; /* close code */
    size_t room;     /* frames that it takes, beyond `count`; 0: all */
    uint64_t written[WRITTEN_MAX];
    SharedFrame *last;
    size_t count;
};

extern GatewaySettings settings;
extern Ring *ring;
extern Arena *mem; /* of the test */
extern int64_t now_us;

int set_up(void **state);
int tear_down(void **state);
#define RING_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
/* All that is made lives in `mem`. */
Socket *socket_of(int64_t user);

/* --- what the stream says: lists of topics are words, a change's user 0 is nobody ------------------------------- */
char **texts(const char *list, size_t *out_count);
Atrium__AudienceChange *change(int64_t user, const char *topic, const char *join, const char *leave);
/* The same one, AudienceChange.exact or not. */
Atrium__AudienceChange *exactly(Atrium__AudienceChange *c, bool exact);
/* A frame of text "!" cannot be made. */
Atrium__DispatchVariant *variant(const char *text);
/* Either may be NULL. */
Atrium__Dispatch *dispatch_of(Atrium__AudienceChange *c, Atrium__DispatchVariant *v);
void say(RingItem item);
void dispatch_at(uint64_t position, const char *topic, Atrium__Dispatch *d);
/* At the next position. */
void tell(const char *topic);
void tell_change(const char *topic, Atrium__AudienceChange *c);

/* --- what sockets ask, and are answered -------------------------------------------------------------------------- */
RingChange ask(Socket *s);
void reply(Socket *s, RingChange c, const char *leave, const char *join);
void start(Socket *s, const char *join);
void resume(Socket *s, const char *join, uint64_t from);

void assert_written(const Socket *s, const uint64_t *expected, size_t count);
/* The positions of what it got. */
#define ASSERT_WRITTEN(s, ...)                                                                                         \
    do {                                                                                                               \
        const uint64_t expected_[] = {0, ##__VA_ARGS__};                                                               \
        assert_written((s), expected_ + 1, ARRAY_LEN(expected_) - 1);                                                  \
    } while (0)
