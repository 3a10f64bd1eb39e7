/* signing_keys: the keys of JWT_ALGORITHM EdDSA and ES256: made, rotated, and kept in memory for those who sign and
 * verify here. All instances share the table; each looks every few seconds, so a new key is known everywhere before it
 * signs (JWT_KEY_LEAD). A retired key verifies until the last of its tokens is dead, then its row goes. Thread-safe. */
#pragma once
#include "services/auth/store_signing.h"

typedef struct SigningKeys SigningKeys;
typedef struct SigningKeysOptions {
    const Auth *auth;
    Db *db;
    const Clock *clock;
    Log *log;
} SigningKeysOptions;
/* Reads the keys, and makes the first when there is none that this instance can use. `rq` has the service, database,
 * clock and log. */
Err signing_keys_open(Request *rq, SigningKeys **out) MUST_CHECK;
/* Looks after them in the background. */
void signing_keys_start(SigningKeys *keys, const SigningKeysOptions *options);
void signing_keys_stop(SigningKeys *keys); /* NULL is fine */
void signing_keys_free(SigningKeys *keys); /* NULL is fine */
CLEANUP_FN(SigningKeys, signing_keys_free)

/* One turn of the background: reads what others made; `may_rotate` also replaces a key that is too old, and deletes
 * dead ones. */
Err signing_keys_turn(SigningKeys *keys, Request *rq, bool may_rotate) MUST_CHECK;
/* A successor, whatever the age; RATE_LIMITED when too many live. `*out_kid` is borrowed from rq->mem. */
Err signing_keys_rotate(SigningKeys *keys, Request *rq, const char **out_kid) MUST_CHECK;

/* The token, borrowed from `mem`. */
char *signing_keys_sign(SigningKeys *keys, Arena *mem, int64_t now_us, Slice payload);
/* UNAUTHENTICATED unless one of the keys made it. */
Err signing_keys_verify(SigningKeys *keys, Arena *mem, Slice token, Slice *out_payload) MUST_CHECK;

/* How long a key verifies after it was retired: the longest life of a token. */
int64_t signing_keys_afterlife_us(const AuthSettings *settings);
bool signing_is_asymmetric(const AuthSettings *settings);
