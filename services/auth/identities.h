/* identities: which account a person is that a provider vouches for, and what accounts are signed in to with. */
#pragma once
#include "services/auth/store_identities.h"

/* Known identities lead to their account. Of others a new account is made, unless they are to be linked to
 * `link_user_id` (0: to none), or the provider may find accounts by addresses that it and we have verified: an address
 * alone proves nothing. SIGN_IN_REFUSED for a disabled account, IDENTITY_TAKEN, REGISTRATION_CLOSED. */
Err identity_account(Request *rq, const Provider *provider, const Person *person, int64_t link_user_id,
                     Account *out) MUST_CHECK;
