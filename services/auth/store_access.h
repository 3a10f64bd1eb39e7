/* store_access: the statements on roles and permissions. */
#pragma once
#include "services/auth/access.h"

/* Where `tx` may be NULL, the statement stands alone. */
Err auth_store_access(Request *rq, DbTx *tx, int64_t user_id, Access *out) MUST_CHECK;

typedef struct RoleRow {
    const char *name, *description;
    const char *const *permissions;
    size_t permission_count;
    bool builtin;
} RoleRow;

/* Every role, by name, ROLES_AT_MOST at most. */
enum { ROLES_AT_MOST = 500 };
Err auth_store_list_roles(Request *rq, RoleRow **out, size_t *out_count) MUST_CHECK;
Err auth_store_role_grants(Request *rq, DbTx *tx, const char *name, bool *out_found, const char *const **out,
                           size_t *out_count) MUST_CHECK;
/* Makes or replaces it; built-in ones stay so, and a NULL description stays as it is. Locks the row. */
Err auth_store_put_role(Request *rq, DbTx *tx, const RoleRow *role, int64_t now_us, RoleRow *out) MUST_CHECK;
Err auth_store_count_roles(DbTx *tx, int64_t *out) MUST_CHECK;
/* Who held it loses it. False when there is no such role that may go. */
Err auth_store_delete_role(DbTx *tx, const char *name, bool *out_deleted) MUST_CHECK;

Err auth_store_set_rank(DbTx *tx, int64_t user_id, Role rank, int64_t now_us) MUST_CHECK;
/* Idempotent. `granted_by` 0: nobody in particular. */
Err auth_store_add_role(DbTx *tx, int64_t user_id, const char *role, int64_t granted_by, int64_t now_us) MUST_CHECK;
Err auth_store_remove_role(DbTx *tx, int64_t user_id, const char *role, bool *out_removed) MUST_CHECK;
/* Locks what the answer depends on to the end of the transaction. */
Err auth_store_find_other_admin(DbTx *tx, int64_t but_user_id, bool *out_found) MUST_CHECK;

/* Whose live login is this? out_account->id is 0 when there is none. */
Err auth_store_resolve_login(Request *rq, Uuid login_id, int64_t now_us, Account *out_account,
                             int64_t *out_expires_us) MUST_CHECK;
