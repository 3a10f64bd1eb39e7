/* jwt_keys: what JWTs are signed with: the shared secret (HS256), and the keys of the identity provider (EdDSA, ES256),
 * which are fetched at the start, every few seconds, and when a token names one that is not known. Which way a token is
 * verified is never its own choice: see jws.h. Loop thread only. */
#pragma once
#include "services/gateway/upstream.h"
#include "shared/jws.h"
#include "shared/jwt.h"

typedef struct JwtKeys JwtKeys;
typedef struct JwtKeysOptions {
    const Clock *clock;
    Log *log;
    Metrics *metrics;
    const char *slot;
    const char *jwt_secret;
    bool no_secret; /* tokens by the secret are refused */
} JwtKeysOptions;
Err jwt_keys_new(const JwtKeysOptions *options, JwtKeys **out) MUST_CHECK; /* INVALID_ARGUMENT for a bad secret */
void jwt_keys_free(JwtKeys *k);                                            /* NULL is fine */
CLEANUP_FN(JwtKeys, jwt_keys_free)
/* Begins to fetch. Without it (tests) no token waits for a key. */
void jwt_keys_connect(JwtKeys *k, Upstream *upstream, Loop *loop);

typedef struct JwtKeyRow {
    JwsAlgs alg;
    const char *kid;
    Slice public_key;
    int64_t until_ms; /* 0: not known yet */
} JwtKeyRow;
/* Instead of those before. What is no key is left out. */
void jwt_keys_set(JwtKeys *k, const JwtKeyRow *rows, size_t count);

typedef enum JwtVerdict {
    JWT_GOOD,
    JWT_BAD,
    JWT_KEY_UNKNOWN /* jwt_keys_wait, and ask again */
} JwtVerdict;
/* Claims are borrowed from `mem`. */
JwtVerdict jwt_keys_check(JwtKeys *k, Arena *mem, Slice token, JwtClaims *out);
/* `done` is called once, with whether the keys could be fetched; never when this is false: they cannot be now. */
typedef void (*JwtKeysDone)(void *data, bool fetched);
bool jwt_keys_wait(JwtKeys *k, JwtKeysDone done, void *data);
