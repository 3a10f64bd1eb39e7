/* revocations: logins that ended, so that their JWTs are refused before they expire. Tails the identity
 * provider's stream (identity_provider.h) from its beginning, in a thread of its own, over a threaded bus connection.
 * Not ready until it has caught up; again after a lost connection; and whenever the server has not confirmed for
 * REVOCATIONS_FRESH_MS that nothing is missing: a gateway that is cut off, or that was stopped, cannot know.
 * Thread-safe. */
#pragma once
#include "shared/bus.h"
#include "shared/clock.h"
#include "shared/metrics.h"

enum { REVOCATIONS_FRESH_MS = 3000 };

typedef struct Revocations Revocations;

typedef struct RevocationsOptions {
    Bus *bus; /* threaded; NULL for tests: then it is ready, and filled by revocations_add */
    const Clock *clock;
    Log *log;
    Metrics *metrics;
    int64_t age_ms; /* longest life of a token */
    size_t entries_max;
} RevocationsOptions;
Err revocations_start(const RevocationsOptions *options, Revocations **out) MUST_CHECK;
void revocations_stop(Revocations *r); /* NULL is fine */
CLEANUP_FN(Revocations, revocations_stop)

bool revocations_ready(Revocations *r);

/* A login id in the form in which it is looked up. */
typedef struct LoginKey {
    uint8_t bytes[16];
} LoginKey;
LoginKey login_key(Slice login_id);
bool revocations_has(Revocations *r, LoginKey login);
void revocations_add(Revocations *r, LoginKey login, int64_t until_unix_ms);
size_t revocations_count(Revocations *r);
