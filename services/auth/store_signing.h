/* store_signing: the keys that tokens are signed with. */
#pragma once
#include "services/auth/store.h"
#include "shared/jws.h"

enum { SIGNING_KEYS_MAX = 32 };

typedef struct SigningKeyRow {
    const char *kid;
    JwsAlgs alg;
    Slice public_key, sealed_key; /* the second is sealed: see seal.h */
    int64_t created_us, signs_from_us;
    int64_t retires_us; /* 0: not yet */
} SigningKeyRow;

/* Those whose tokens may live: not retired before `retired_after_us`; the latest first, SIGNING_KEYS_MAX at most. */
Err auth_store_signing_keys(Request *rq, int64_t retired_after_us, SigningKeyRow **out, size_t *out_count) MUST_CHECK;
/* Stores `key` unless one of its algorithm was made at or after `unless_since_us` and is not retired: of several
 * instances one makes it. All others retire when it begins to sign, which is at once when there are none. */
Err auth_store_add_signing_key(Request *rq, const SigningKeyRow *key, int64_t unless_since_us,
                               bool *out_added) MUST_CHECK;
Err auth_store_purge_signing_keys(Request *rq, int64_t retired_before_us) MUST_CHECK;
