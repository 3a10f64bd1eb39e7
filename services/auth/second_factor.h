/* second_factor: what is asked beside a password, where an account has one-time codes; and the proof that a caller is
 * the person, before his factors are changed. */
#pragma once
#include "services/auth/store_factors.h"
#include "services/auth/tokens.h"

/* A one-time code or a recovery code; each is good once. INVALID_CODE, RATE_LIMITED. `*out_method` is "totp" or
 * "recovery". */
Err second_factor_check(Request *rq, int64_t user_id, const char *code, const char **out_method) MUST_CHECK;

/* Never OK: SECOND_FACTOR_REQUIRED, with a challenge by which FinishLogin goes on from here. `password_hash` is the one
 * that was checked; NULL when `method` is another. */
Err second_factor_require(Request *rq, int64_t user_id, const char *method, const char *password_hash,
                          TokenSet set) MUST_CHECK;
/* The challenge that a client brings back, with a code: used up by it. INVALID_CODE for whatever is wrong. */
Err second_factor_finish(Request *rq, const char *challenge, const char *code, Challenge *out,
                         const char **out_method) MUST_CHECK;

/* That the caller is the person and not somebody with his token: by password (lane "slow") or code, NULL or "" when not
 * given. Who has neither proves it by a login of the last ten minutes. NOT_PROVED, RATE_LIMITED. */
Err caller_prove(Request *rq, const char *password, const char *code) MUST_CHECK;
