/* tail: follows the messages of one subject of the identity provider's stream (identity_provider.h) from the stream's
 * beginning, in a thread of its own, over a threaded bus connection. Not current until it has caught up; and again
 * after a lost connection. Thread-safe. */
#pragma once
#include "shared/bus.h"
#include "shared/clock.h"

enum { TAIL_FRESH_MS = 3000 };

typedef struct Tail Tail;
/* In the tail's thread. `key` is the subject's last word; `at_unix_ms` when the stream got the message. */
typedef void (*TailTake)(void *data, const char *key, int64_t at_unix_ms);

typedef struct TailOptions {
    Bus *bus; /* threaded */
    const Clock *clock;
    Log *log;
    const char *name;           /* in log lines */
    const char *subject_prefix; /* "evt.auth.login.ended." */
    TailTake take;
    void *data;
} TailOptions;
Err tail_start(const TailOptions *options, Tail **out) MUST_CHECK;
void tail_stop(Tail *t); /* NULL is fine */
CLEANUP_FN(Tail, tail_stop)

/* All that was published has been taken, as confirmed lately. */
bool tail_current(Tail *t);
