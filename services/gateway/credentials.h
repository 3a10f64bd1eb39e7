/* credentials: what is remembered of those that were shown: a bounded cache by a keyed hash of their text, the one used
 * longest ago going first. Loop thread only. */
#pragma once
#include "services/gateway/auth.h"
#include "services/gateway/grants.h"

enum { CREDENTIAL_HASH_BYTES = 16, SIGNED_MAX = 8 /* domains per credential; one more replaces the oldest */ };

typedef enum CredentialState { CREDENTIAL_GOOD, CREDENTIAL_REFUSED, CREDENTIAL_ASKED } CredentialState;

typedef struct Waiting {
    struct Waiting *next;
    AuthDone done;
    void *data;
} Waiting;

typedef struct SignedCaller {
    char domain[32];
    char *header;
    int64_t renew_ms; /* wall clock */
} SignedCaller;

typedef struct Credential Credential;
struct Credential {
    Auth *auth;
    Credential *next;          /* in its bucket */
    Credential *newer, *older; /* by last use */
    uint8_t hash[CREDENTIAL_HASH_BYTES];
    CredentialState state;
    bool is_jwt;
    bool of_login;               /* no credential, but a login that was shown once (auth_check_login) */
    bool expired;                /* of one that is refused: it was good once */
    int64_t user_id, expires_ms; /* of the credential itself */
    int64_t known_until_ms;      /* then it is verified, or asked for, again */
    int64_t issued_ms;           /* of a JWT whose claims are believed; 0: the identity provider was asked */
    uint64_t change_number;      /* the owner's latest change (grants.h) when it was asked */
    Role role;
    char *username, *login_id;
    char rate_tier[24];        /* a longer name is of no tier that there is */
    const char **roles, **own; /* beside the rank; permissions of its own: each in one piece with its texts */
    size_t role_count, own_count;
    const char **permissions; /* its own and those of its roles; the texts are borrowed */
    size_t permission_count;
    uint64_t generation; /* of the grants that they were made of; 0: not made yet */
    bool api_key;
    bool has_login;
    LoginKey login;
    SignedCaller callers[SIGNED_MAX];
    size_t caller_count;
    Waiting *waiting;
    char *unverified; /* a JWT whose key is being fetched; NULL else */
};

typedef struct Credentials Credentials;
Credentials *credentials_new(Auth *auth, size_t entries_max);
void credentials_free(Credentials *cache);
/* The place in the cache of this text. */
void credentials_hash(const Credentials *cache, Slice token, uint8_t out[CREDENTIAL_HASH_BYTES]);
Credential *credentials_find(Credentials *cache, const uint8_t hash[CREDENTIAL_HASH_BYTES]);
/* A new one, about which nothing is known. */
Credential *credentials_insert(Credentials *cache, const uint8_t hash[CREDENTIAL_HASH_BYTES]);
void credentials_touch(Credentials *cache, Credential *c);
void credentials_drop(Credentials *cache, Credential *c);

/* What is known of it now; all copied. */
typedef struct CredentialFacts {
    int64_t user_id, expires_ms, issued_ms;
    Role role;
    const char *username, *login_id; /* NULL is "" */
    const char *const *roles, *const *permissions;
    size_t role_count, permission_count;
    bool api_key;
    const char *rate_tier; /* of a key; NULL: administrators have one */
} CredentialFacts;
void credential_set(Credential *c, const CredentialFacts *facts);
/* Makes its permissions anew when roles grant something else than before. */
void credential_apply_grants(Credential *c, const Grants *grants);
/* Where the signed identity for a domain is kept. */
SignedCaller *credential_caller(Credential *c, const char *domain);
