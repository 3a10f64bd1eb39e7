/* auth: whose credential is this? JWTs are verified here (jwt_keys.h has the keys); opaque tokens are resolved by the
 * auth service, once for all requests that wait for the same one. Both are remembered: JWTs until they expire, opaque
 * ones (and their refusal) for seconds. A revoked login is refused at once; when what its owner holds changed since,
 * the auth service is asked what that is now. For each credential the signed identities (Atrium-Caller) are kept, one
 * per domain. Loop thread only. */
#pragma once
#include "services/gateway/grants.h"
#include "services/gateway/jwt_keys.h"
#include "services/gateway/tables.h"
#include "services/gateway/upstream.h"
#include "shared/caller.h"
#include "shared/revocations.h"

enum { AUTH_TOKEN_MAX_BYTES = 4096, AUTH_OPAQUE_MAX_BYTES = 512 };

typedef struct Auth Auth;
typedef struct AuthOptions {
    const Clock *clock;
    Log *log;
    Metrics *metrics;
    Upstream *upstream; /* may be NULL in tests: opaque tokens are then nobody's */
    Revocations *revocations;
    Grants *grants;
    JwtKeys *jwt_keys;
    const char *slot;
    const char *signing_key; /* the setting */
    int64_t caller_ttl_ms, token_cache_ttl_ms;
    size_t entries_max;
} AuthOptions;
Err auth_new(const AuthOptions *options, Auth **out) MUST_CHECK; /* INVALID_ARGUMENT for bad keys */
void auth_free(Auth *a);
CLEANUP_FN(Auth, auth_free)

/* A verified identity; borrowed until the loop's next turn. */
typedef struct Identity {
    int64_t user_id, expires_ms;
    Role role;
    const char *username, *login_id; /* of an API key, the key's id */
    const char *rate_tier;           /* "" none */
    bool api_key;
    struct Credential *credential;
} Identity;
/* Does it have the rpc's permission? A key, also: is the rpc open to keys? */
bool identity_may(const Identity *identity, const Operation *op);

typedef enum AuthVerdict {
    AUTH_GOOD,
    AUTH_BAD,         /* nobody's, revoked */
    AUTH_EXPIRED,     /* it was good once */
    AUTH_UNAVAILABLE, /* cannot be told now */
    AUTH_WAIT         /* `done` will be called */
} AuthVerdict;
typedef void (*AuthDone)(void *data, AuthVerdict verdict, const Identity *identity);

/* `out` is of AUTH_GOOD. */
AuthVerdict auth_check(Auth *a, Slice token, AuthDone done, void *data, Identity *out);
/* For what outlives the credential with which it began: remembers whose login this is. Nothing for an identity without
 * a login, or of an API key. */
void auth_keep_login(Auth *a, const Identity *identity);
/* Whose is it now? As auth_check. Remembered since auth_keep_login, or else asked for; good beyond the token's expiry,
 * until the login ends. */
AuthVerdict auth_check_login(Auth *a, const char *login_id, AuthDone done, void *data, Identity *out);
/* The Atrium-Caller header for `op`; borrowed like the identity. */
const char *auth_caller_header(Auth *a, const Identity *identity, const Operation *op);
