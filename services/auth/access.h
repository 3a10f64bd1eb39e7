/* access: who may what. A rank (user, operator, admin) is a role, and has what those below it have; roles beside it are
 * an account's own, those of its groups, and everybody's. Roles grant permissions; administrators have all, by rule. */
#pragma once
#include "services/auth/store_tx.h"

enum { ROLE_NAME_MIN_CHARS = 2, ROLE_NAME_MAX_CHARS = 32, PERMISSION_MAX_CHARS = 64, ROLE_PERMISSIONS_MAX = 64 };

/* All borrowed from the request's arena. */
typedef struct Access {
    Role rank; /* ROLE_NONE: there is no such account */
    bool active;
    const char *const *roles; /* beside the rank */
    size_t role_count;
    const char *const *permissions; /* of an administrator: "*" */
    size_t permission_count;
} Access;

/* `tx` may be NULL. */
Err access_of_user(Request *rq, DbTx *tx, int64_t user_id, Access *out) MUST_CHECK;
/* Nobody hands on what he lacks: PERMISSION_DENIED unless the caller has that rank and every permission of these roles;
 * NO_SUCH_ROLE for a name that is no role. A role that is a rank counts as the rank. `tx` may be NULL. */
Err access_may_grant(Request *rq, DbTx *tx, Role rank, const char *const *roles, size_t role_count) MUST_CHECK;
/* The same of permissions alone. */
Err access_may_hand_on(Request *rq, DbTx *tx, const char *const *permissions, size_t count) MUST_CHECK;

/* In the transaction of whatever changes an account's rank or roles; `user_id` 0: what a role grants; -1: what many
 * people hold. Gateways hear of it and ask anew: nobody is logged out. After the commit: auth_settle. */
Err access_announce(DbTx *tx, Request *rq, int64_t user_id) MUST_CHECK;
/* Before an administrator stops being one, in the same transaction: LAST_ADMIN when no other active one is left. Of two
 * who go at the same time, the second waits for the first. */
Err access_keep_an_admin(DbTx *tx, int64_t leaving_id) MUST_CHECK;

/* 2 to 32 of a-z, 0-9, - and _, beginning with a letter. */
bool role_name_valid(Slice name);
/* Words of a-z, 0-9 and _ between dots, two at least, the last of which may be *; or * alone. */
bool permission_valid(Slice text);
