/* login: the one way into a login, whatever the route: who it is has been proved by a password here, or elsewhere. */
#pragma once
#include "services/auth/tokens.h"

/* What somebody typed. */
typedef struct LoginTry {
    const char *name;     /* username, or e-mail address when it has an @ */
    const char *password; /* never NULL */
    const char *otp;      /* code of the second factor, NULL or "" when it is to come in a second step */
    const char *refusal;  /* text of INVALID_CREDENTIALS, in the manner of the route */
    TokenSet set;
} LoginTry;

/* Lane "slow". INVALID_CREDENTIALS for an unknown name, a wrong password and a disabled account alike, in the same
 * time; RATE_LIMITED. Where the account has a second factor: SECOND_FACTOR_REQUIRED (second_factor.h) or INVALID_CODE.
 * The code may stand in the header X-OTP, too, where the rpc asks for that header. The tokens are minted, the account's
 * last login is this one. */
Err login_by_password(Request *rq, const LoginTry *attempt, Tokens *out_tokens, Account *out_account) MUST_CHECK;

/* The second step: with the challenge that SECOND_FACTOR_REQUIRED told. rq->profile becomes that of the first step,
 * whose manner the answer has. INVALID_CODE for whatever is wrong. */
Err login_finish(Request *rq, const char *challenge, const char *code, Tokens *out_tokens,
                 Account *out_account) MUST_CHECK;

/* For who is proved already; `method` is what it was proved by: a provider's name, "passkey" …, and stays with the
 * login. INVALID_CREDENTIALS when the account is not active;
 * SECOND_FACTOR_REQUIRED where SECOND_FACTOR_FOR_PROVIDERS says so. */
#define LOGIN_BY_PASSKEY "passkey" /* counts for both factors */
Err login_begin(Request *rq, const Account *account, const char *method, TokenSet set, Tokens *out_tokens) MUST_CHECK;
