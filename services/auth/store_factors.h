/* store_factors: one-time codes, recovery codes and passkeys. */
#pragma once
#include "services/auth/store.h"

enum { PASSKEYS_MAX = 20 };

typedef struct Passkey {
    Slice id; /* the credential id */
    const char *name;
    int64_t created_us, last_used_us; /* the last is 0 before the first use */
} Passkey;

/* Is a code asked for, and how many recovery codes are unused? */
Err factors_store_codes(Request *rq, int64_t user_id, bool *out_totp, int64_t *out_recovery_left) MUST_CHECK;
/* The oldest first, PASSKEYS_MAX at most; `*out` is borrowed from rq->mem. */
Err factors_store_passkeys(Request *rq, int64_t user_id, Passkey **out, size_t *out_count) MUST_CHECK;
