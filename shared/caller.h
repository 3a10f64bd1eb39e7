/* caller: the verified identity behind a request, and its signed form, the Atrium-Caller header.
 *
 * The gateway alone has the signing key (Ed25519). The header is base64url(Atrium.Caller) "." base64url(signature).
 * On rpc. subjects nats-server lets only the gateway publish, so a service believes the header as it is; on svc.
 * subjects it verifies signature, expiry and audience. */
#pragma once
#include "shared/clock.h"
#include "shared/err.h"

typedef enum Role { ROLE_NONE = 0, ROLE_USER = 1, ROLE_OPERATOR = 2, ROLE_ADMIN = 3 } Role;
typedef enum CallerKind { CALLER_NOBODY, CALLER_PERSON, CALLER_SERVICE, CALLER_GATEWAY } CallerKind;

typedef struct Caller {
    CallerKind kind;
    int64_t user_id; /* of CALLER_PERSON; else 0 */
    Role role;
    const char *username; /* "" when none */
    const char *login_id; /* UUID text; "" when none; of an API key the key's */
    const char *service;  /* who sent it on a svc. subject; "" else */
    int64_t expires_ms;
    const char *const *permissions;
    size_t permission_count;
    bool api_key; /* acts for `user_id`, within its permissions */
} Caller;

const char *role_name(Role role); /* "user" … */
bool role_parse(Slice text, Role *out);
/* "events.review" is had by who has "events.review", "events.*" or "*", and by administrators. An API key has what it
 * lists, whatever its role. */
bool caller_may(const Caller *caller, const char *permission);
/* Whether what asks for `permission` ("" for none) is open to this kind of caller at all. People: yes. An API key may
 * do only what asks for a permission, so that none can change a password; CALLER_FULL makes it as its owner. */
#define CALLER_FULL "full"
bool caller_reaches(const Caller *caller, const char *permission);

enum { CALLER_SEED_BYTES = 32, CALLER_PUBLIC_BYTES = 32, CALLER_HEADER_MAX_BYTES = 4096 };

typedef struct CallerSigner CallerSigner;
/* `seed_hex`: 64 hex digits. */
Err caller_signer_new(Slice seed_hex, CallerSigner **out) MUST_CHECK;
void caller_signer_free(CallerSigner *s);
CLEANUP_FN(CallerSigner, caller_signer_free)
/* Borrowed from `mem`. */
char *caller_sign(const CallerSigner *s, Arena *mem, const Caller *caller, const char *const *audience,
                  size_t audience_count);
/* Hex of the public key that belongs to a seed. */
Err caller_public_key(Arena *mem, Slice seed_hex, char **out) MUST_CHECK;

typedef struct CallerVerifier CallerVerifier; /* thread-safe; remembers verified headers until they expire, bounded */
Err caller_verifier_new(Slice public_hex, const char *domain, const Clock *clock, CallerVerifier **out) MUST_CHECK;
void caller_verifier_free(CallerVerifier *v);
CLEANUP_FN(CallerVerifier, caller_verifier_free)
/* UNAUTHENTICATED when forged, expired or meant for other domains. `out` is borrowed from `mem`. */
Err caller_verify(CallerVerifier *v, Arena *mem, Slice header, Caller *out) MUST_CHECK;
/* Without the signature check: only for what came on a rpc. subject. */
Err caller_decode(Arena *mem, Slice header, Caller *out) MUST_CHECK;
