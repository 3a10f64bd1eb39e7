/* store_registration: the statements on what lets somebody register: the mode, and invitations. */
#pragma once
#include "services/auth/store_tx.h"

/* An invitation, as whoever holds its token gets to know it. */
typedef struct Invitation {
    Uuid id;           /* nil: there is none */
    int64_t user_id;   /* of the account that it is for; 0: a new one */
    const char *email; /* NULL: whoever has the token */
    const char *role;
    int64_t uses_left, created_us, expires_us;
} Invitation;

/* NULL when there is no row. `tx` may be NULL. */
Err auth_store_runtime_setting(Request *rq, DbTx *tx, const char *name, const char **out) MUST_CHECK;
Err auth_store_set_runtime_setting(DbTx *tx, const char *name, const char *value, int64_t changed_by,
                                   int64_t now_us) MUST_CHECK;

/* Those before it, of the same pending account, are no good any more. */
Err auth_store_insert_invitation(DbTx *tx, const Invitation *invitation, Slice hash, int64_t created_by) MUST_CHECK;
/* Usable ones of new accounts, the latest first. `before` nil: from the latest on. */
Err auth_store_list_invitations(Request *rq, Uuid before, int64_t now_us, int64_t limit, Invitation **out,
                                size_t *out_count) MUST_CHECK;
Err auth_store_revoke_invitation(DbTx *tx, Uuid id, int64_t now_us, bool *out_revoked) MUST_CHECK;
/* Deletes at most `limit` that ended long ago. */
Err auth_store_purge_invitations(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted) MUST_CHECK;
/* One that can be used now. */
Err auth_store_find_invitation(Request *rq, Slice hash, int64_t now_us, Invitation *out) MUST_CHECK;
/* One use less. INVALID_INVITATION when there is none left, or it may not be used any more. */
Err auth_store_take_invitation(DbTx *tx, Uuid id, int64_t now_us) MUST_CHECK;
