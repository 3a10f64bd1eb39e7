/* oidc: OpenID providers: what their discovery documents say, their keys, and what their id_tokens prove. */
#pragma once
#include "services/auth/providers.h"

typedef struct OidcCache OidcCache;
OidcCache *oidc_cache_new(void);
void oidc_cache_free(OidcCache *cache);

/* As those of providers.h. */
Err oidc_authorize_url(Request *rq, const Provider *provider, const SignInState *state, char **out) MUST_CHECK;
Err oidc_exchange(Request *rq, const Provider *provider, const SignInState *state, const Callback *callback,
                  Grant *out) MUST_CHECK;
Err oidc_person(Request *rq, const Provider *provider, const SignInState *state, const Grant *grant,
                Person *out) MUST_CHECK;

/* The claims of an id_token whose signature is good. SIGN_IN_REFUSED unless they are of this issuer, for us, of now and
 * of this sign-in. */
Err oidc_read_claims(Arena *mem, const Provider *provider, Slice payload, const char *nonce, int64_t now_s,
                     Person *out) MUST_CHECK;
