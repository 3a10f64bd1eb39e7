/* providers: whom one can sign in with here, and the way there and back: the address that browsers are sent to, the
 * exchange of the code they bring, and whom the provider vouches for. Calls block for up to 10 s each: lane "outside".
 */
#pragma once
#include "services/auth/signin_state.h"
#include "shared/http_client.h"

typedef enum ProviderKind { PROVIDER_DISCORD, PROVIDER_GITHUB, PROVIDER_OIDC } ProviderKind;

typedef struct Provider {
    const char *name;
    const char *title;
    ProviderKind kind;
    const char *client_id, *client_secret;
    const char *redirect_uri;
    const char *scope;
    const char *authorize_url, *token_url; /* of OpenID providers: what discovery says */
    const char *api_base;
    const char *issuer;      /* OpenID */
    bool link_email;         /* an address verified here and there leads to the account that has it */
    struct OidcCache *cache; /* OpenID: what was fetched */
} Provider;

typedef struct Providers Providers;
/* Reads OIDC_CONFIG. INVALID_ARGUMENT for what is none. Borrows the settings. */
Err providers_new(const AuthSettings *settings, Log *log, Providers **out) MUST_CHECK;
void providers_free(Providers *providers); /* NULL is fine */
const Provider *providers_list(const Providers *providers, size_t *out_count);
/* Where a browser begins; borrowed from `mem`. */
char *provider_login_path(Arena *mem, const Provider *provider);
/* The address that browsers go to at the end: one of SIGN_IN_RETURN_URLS; NULL or "": the first. INVALID_RETURN_TO. */
Err providers_return_url(const Request *rq, const char *wanted, const char **out) MUST_CHECK;
/* NO_SUCH_PROVIDER. `name` may be NULL. */
Err providers_find(const Request *rq, const char *name, const Provider **out) MUST_CHECK;

/* Whom a provider vouches for. */
typedef struct Person {
    const char *issuer; /* "" but for OpenID providers */
    const char *subject;
    const char *name;  /* "" when it says none */
    const char *email; /* NULL when it says none */
    bool email_verified;
    const char *avatar_url; /* "" when it says none */
} Person;

/* What a code was exchanged for. */
typedef struct Grant {
    const char *access_token; /* NULL: none */
    const char *id_token;     /* NULL: none */
} Grant;

/* What came back beside the state. */
typedef struct Callback {
    const char *code;
    const char *iss; /* NULL: none was said */
} Callback;

/* SIGN_IN_REFUSED for what the provider refuses, or does not prove; PROVIDER_UNAVAILABLE. A code is sent once. */
Err provider_authorize_url(Request *rq, const Provider *provider, const SignInState *state, char **out) MUST_CHECK;
Err provider_exchange(Request *rq, const Provider *provider, const SignInState *state, const Callback *callback,
                      Grant *out) MUST_CHECK;
Err provider_person(Request *rq, const Provider *provider, const SignInState *state, const Grant *grant,
                    Person *out) MUST_CHECK;
