/* store_developers: the statements on developers: accounts with that role. */
#pragma once
#include "services/auth/store_tx.h"

typedef struct DeveloperRow {
    int64_t user_id, max_keys, key_count;
    const char *github_username; /* NULL: not linked */
} DeveloperRow;
/* What their accounts do not tell, in the order of `ids`; `otherwise` is the allowance of who has none of his own. */
Err auth_store_developers(Request *rq, const int64_t *ids, size_t count, int64_t otherwise, int64_t now_us,
                          DeveloperRow **out) MUST_CHECK;
Err auth_store_set_key_allowance(DbTx *tx, int64_t user_id, int64_t max_keys) MUST_CHECK;
