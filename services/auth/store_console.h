/* store_console: what the answers of further manners need of an account. */
#pragma once
#include "services/auth/store.h"

/* Has its owner shown that he reads what is sent to his address? */
Err auth_store_email_is_verified(Request *rq, int64_t user_id, bool *out) MUST_CHECK;
/* What a provider says of the account: its own id of it, its name there, and where its picture is. "" when it is not
 * linked. */
typedef struct LinkedFace {
    const char *subject, *name, *avatar_url;
} LinkedFace;
Err auth_store_linked_face(Request *rq, int64_t user_id, const char *provider, LinkedFace *out) MUST_CHECK;
