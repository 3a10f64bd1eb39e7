/* keys: what the handlers of API keys share, and other parts ask of them. */
#pragma once
#include "services/auth/store_keys.h"

enum {
    KEY_NAME_MAX_CHARS = 100,
    KEY_SOURCE_MAX_CHARS = 100,
    KEY_DAYS_MAX = 3650,
    KEY_OVERLAP_MAX_S = 604800,
    KEY_LIST_MAX = 200,
    PERSONAL_KEYS_MAX = 100,
    KEY_SCOPES_MAX = 64
};

/* What is stored of a key: HMAC-SHA-256 under the pepper, 32 bytes borrowed from `mem`. */
Slice key_hash(const AuthSettings *settings, Arena *mem, const char *token);
/* All live keys of a user end, in the transaction of what takes him out; after the commit: auth_settle. */
Err keys_end_of_user(Request *rq, DbTx *tx, int64_t user_id, const Ending *ending) MUST_CHECK;
