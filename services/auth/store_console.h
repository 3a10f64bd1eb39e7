/* store_console: what the answers of further manners need of an account. */
#pragma once
#include "services/auth/store.h"

/* Has its owner shown that he reads what is sent to his address? */
Err auth_store_email_is_verified(Request *rq, int64_t user_id, bool *out) MUST_CHECK;
