/* signin_state: what is kept between a browser's leaving for a provider and its coming back. The state in the address
 * leads to it, once, within ten minutes, in the browser that left: which has a cookie. Of both only hashes are stored.
 */
#pragma once
#include "services/auth/tokens.h"

typedef struct SignInState {
    const char *provider;
    const char *return_to;
    int64_t link_user_id; /* who an identity is to be linked to; 0: a login */
    const char *state;    /* goes into the address, as do the others, or a hash of them */
    const char *nonce;    /* comes back in an id_token */
    const char *verifier; /* PKCE: shown when the code is */
} SignInState;

/* Stores it, for the provider, return_to and link_user_id that are given; makes the others; sets the cookie, keeping
 * the one that there is, so that two tabs are possible. */
Err signin_state_begin(Request *rq, SignInState *state) MUST_CHECK;
/* INVALID_STATE for one that is unknown, used, late, of another provider or another browser. */
Err signin_state_take(Request *rq, const char *provider, const char *state, SignInState *out) MUST_CHECK;
/* The challenge of PKCE (S256) for a verifier; borrowed from `mem`. */
char *pkce_challenge(Arena *mem, const char *verifier);
