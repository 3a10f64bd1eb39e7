/* revocations: logins that ended, so that their JWTs are refused before they expire. Hears of them by a tail (tail.h):
 * not ready until that is current, as confirmed within REVOCATIONS_FRESH_MS. Thread-safe. */
#pragma once
#include "shared/metrics.h"
#include "shared/tail.h"

enum { REVOCATIONS_FRESH_MS = TAIL_FRESH_MS };

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
