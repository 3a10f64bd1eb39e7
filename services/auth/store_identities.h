/* store_identities: who else vouches for accounts, and sign-ins on their way. */
#pragma once
#include "services/auth/providers.h"

typedef struct Identity {
    Uuid id;
    int64_t user_id; /* 0: there is none */
    const char *provider, *subject, *name, *avatar_url;
    const char *email; /* NULL when there is none */
    int64_t created_us, last_used_us;
} Identity;

/* --- sign-ins on their way */
Err identities_store_insert_state(Request *rq, const SignInState *state, Slice hash, Slice browser_hash, int64_t now_us,
                                  int64_t expires_us) MUST_CHECK;
Err identities_store_take_state(Request *rq, Slice hash, Slice browser_hash, const char *provider, int64_t now_us,
                                SignInState *out, bool *out_found) MUST_CHECK;
Err identities_store_insert_code(Request *rq, Slice hash, int64_t user_id, const char *method,
                                 int64_t expires_us) MUST_CHECK;
/* An account without id when there is no such code. */
Err identities_store_take_code(Request *rq, Slice hash, int64_t now_us, Account *out,
                               const char **out_method) MUST_CHECK;
Err identities_store_purge(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted) MUST_CHECK;

/* --- identities */
enum { IDENTITIES_MAX = 50 };
/* Of this person, whose name, address and picture become those of now; an account without id when nobody has it. */
Err identities_store_use(Request *rq, const char *provider, const Person *person, int64_t now_us,
                         Account *out) MUST_CHECK;
/* For an account that there is; IDENTITY_TAKEN, also when it was linked by another request meanwhile. */
Err identities_store_link(Request *rq, int64_t user_id, const char *provider, const Person *person,
                          int64_t now_us) MUST_CHECK;
/* With the account. Its address counts as verified by us only where the provider's word is trusted that much: else
 * somebody might be led to an account that another made in his name. USERNAME_TAKEN, EMAIL_TAKEN, IDENTITY_TAKEN. */
Err identities_store_create(Request *rq, const Account *account, const Person *person, bool email_trusted,
                            const OutboxRow *announce) MUST_CHECK;
/* The account that has this address and has verified it; without id when there is none. */
Err identities_store_by_verified_email(Request *rq, const char *email, Account *out) MUST_CHECK;
Err identities_store_list(Request *rq, int64_t user_id, Identity **out, size_t *out_count) MUST_CHECK;
/* NOT_FOUND; LAST_CREDENTIAL. */
Err identities_store_unlink(Request *rq, int64_t user_id, Uuid id) MUST_CHECK;
/* A first password, and a name when it is not NULL. HAS_PASSWORD, USERNAME_TAKEN. */
Err identities_store_add_password(Request *rq, int64_t user_id, const char *username, const char *password_hash,
                                  int64_t now_us) MUST_CHECK;
