/* store_factors: one-time codes, recovery codes and passkeys; what is between two steps of a login. */
#pragma once
#include "services/auth/store.h"

enum { PASSKEYS_MAX = 20 };

/* --- one-time codes ---------------------------------------------------------------------------------------------- */
/* Is a code asked for, and how many recovery codes are unused? */
Err factors_store_codes(Request *rq, int64_t user_id, bool *out_totp, int64_t *out_recovery_left) MUST_CHECK;
/* Empty when there is none. */
Err factors_store_totp_secret(Request *rq, int64_t user_id, bool confirmed, Slice *out_sealed) MUST_CHECK;
/* In the place of one that was never confirmed; not done when there is a confirmed one. */
Err factors_store_start_totp(Request *rq, int64_t user_id, Slice sealed, int64_t now_us, bool *out_done) MUST_CHECK;
/* From now on it is asked for; recovery codes are these. Not done when it is confirmed already. */
Err factors_store_confirm_totp(Request *rq, int64_t user_id, int64_t step, const Slice *hashes, size_t count,
                               int64_t now_us, bool *out_done) MUST_CHECK;
/* With all recovery codes. Not done when there is none. */
Err factors_store_remove_totp(Request *rq, int64_t user_id, bool *out_done) MUST_CHECK;
/* In the place of all that were there. Not done when no code is asked for. */
Err factors_store_renew_recovery(Request *rq, int64_t user_id, const Slice *hashes, size_t count,
                                 bool *out_done) MUST_CHECK;
/* A code is good once, and none that is older than the last one: of parallel calls with one code one is done. */
Err factors_store_take_step(Request *rq, int64_t user_id, int64_t step, bool *out_done) MUST_CHECK;
Err factors_store_take_recovery(Request *rq, int64_t user_id, Slice hash, int64_t now_us, bool *out_done) MUST_CHECK;

/* --- passkeys ---------------------------------------------------------------------------------------------------- */
typedef struct Passkey {
    Slice id; /* the credential id */
    const char *name;
    int64_t created_us, last_used_us; /* the last is 0 before the first use */
} Passkey;

/* A credential as it was registered, or is looked up by its id. */
typedef struct PasskeyKey {
    int64_t user_id; /* 0: there is none */
    Slice id, public_key;
    int64_t algorithm, sign_count;
    Uuid aaguid;
} PasskeyKey;
typedef enum PasskeyOutcome { PASSKEY_ADDED, PASSKEY_EXISTS, PASSKEY_TOO_MANY } PasskeyOutcome;

Err factors_store_add_passkey(Request *rq, const PasskeyKey *key, const char *name, int64_t now_us,
                              PasskeyOutcome *out) MUST_CHECK;
Err factors_store_passkey(Request *rq, Slice id, PasskeyKey *out) MUST_CHECK;
/* Not done when the counter did not go on: then there are two of what should be one. Authenticators without a counter
 * always say 0. */
Err factors_store_use_passkey(Request *rq, Slice id, int64_t sign_count, int64_t now_us, bool *out_done) MUST_CHECK;
Err factors_store_remove_passkey(Request *rq, int64_t user_id, Slice id, bool *out_done) MUST_CHECK;
/* The oldest first, PASSKEYS_MAX at most; `*out` is borrowed from rq->mem. */
Err factors_store_passkeys(Request *rq, int64_t user_id, Passkey **out, size_t *out_count) MUST_CHECK;

/* --- between two steps ------------------------------------------------------------------------------------------- */
typedef struct Challenge {
    Slice hash; /* of what the client holds; empty: there is none */
    const char *purpose;
    int64_t user_id; /* 0: whoever answers */
    const char *profile, *method;
    const char *password_hash; /* that was checked; NULL: none was */
    int64_t token_set, expires_us;
} Challenge;

Err factors_store_insert_challenge(Request *rq, const Challenge *challenge) MUST_CHECK;
/* A live one with less than `max_failures`. */
Err factors_store_challenge(Request *rq, Slice hash, const char *purpose, int64_t now_us, int64_t max_failures,
                            Challenge *out) MUST_CHECK;
Err factors_store_fail_challenge(Request *rq, Slice hash) MUST_CHECK;
/* Of parallel calls one is done. */
Err factors_store_take_challenge(Request *rq, Slice hash, bool *out_done) MUST_CHECK;

/* Is this a live login of the user, begun since then? */
Err factors_store_login_since(Request *rq, int64_t user_id, Uuid login_id, int64_t since_us, bool *out) MUST_CHECK;
/* Deletes at most `limit` challenges that are over. */
Err factors_store_purge(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted) MUST_CHECK;
