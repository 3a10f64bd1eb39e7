/* store_profiles: what others see of accounts. */
#pragma once
#include "services/auth/store_tx.h"

typedef struct ProfileRow {
    int64_t user_id, created_us, updated_us;
    const char *username, *display_name, *avatar_hash; /* avatar_hash NULL: none */
} ProfileRow;
/* Of those that there are, by id. */
Err auth_store_profiles(Request *rq, const int64_t *ids, size_t count, ProfileRow **out, size_t *out_count) MUST_CHECK;
