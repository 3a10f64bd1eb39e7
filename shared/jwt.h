/* jwt: JSON Web Tokens (RFC 7519, RFC 8725): what the auth service mints and the gateway verifies. Signed by HS256
 * here, or by the keys of jws.h with the same claims. Any other algorithm, a missing exp, or a positive-looking token
 * of the wrong shape is refused. Leeway 0. Thread-safe. */
#pragma once
#include "shared/clock.h"
#include "shared/err.h"

typedef struct JwtKey JwtKey;
enum { JWT_SECRET_MIN_BYTES = 32, JWT_MAX_BYTES = 4096, JWT_ROLES_MAX = 16 };
Err jwt_key_new(Slice secret, JwtKey **out) MUST_CHECK; /* INVALID_ARGUMENT when too short */
void jwt_key_free(JwtKey *key);
CLEANUP_FN(JwtKey, jwt_key_free)

typedef struct JwtClaims {
    int64_t user_id;                     /* positive; a decimal string on the wire */
    const char *username, *email, *role; /* "" when absent */
    const char *login_id;                /* sid */
    const char *jti, *issuer;
    const char *const *roles;                  /* those beside `role` */
    size_t role_count;                         /* JWT_ROLES_MAX at most */
    int64_t issued_s, not_before_s, expires_s; /* Unix seconds; 0 when absent, expires_s never is */
} JwtClaims;

/* The claims alone, as JSON: for tokens that jws.h signs. Borrowed from `mem`. */
char *jwt_claims_write(Arena *mem, const JwtClaims *claims);
/* The other way, of a payload whose signature was checked: UNAUTHENTICATED unless it is of a live token. Claims are
 * borrowed from `mem`. */
Err jwt_claims_read(Arena *mem, const Clock *clock, Slice json, JwtClaims *out) MUST_CHECK;

/* Borrowed from `mem`. */
char *jwt_mint(const JwtKey *key, Arena *mem, const JwtClaims *claims);
/* UNAUTHENTICATED for anything but a good, live token. Claims are borrowed from `mem`. */
Err jwt_verify(const JwtKey *key, Arena *mem, const Clock *clock, Slice token, JwtClaims *out) MUST_CHECK;
