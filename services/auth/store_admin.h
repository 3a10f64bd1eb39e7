/* store_admin: the statements of administration on accounts. */
#pragma once
#include "services/auth/store_tx.h"

typedef struct UserRow {
    Account account;                      /* with its roles; id 0: there is none */
    int64_t activated_us, deactivated_us; /* 0: never */
} UserRow;
/* Invited, and not here yet. */
static inline bool user_is_pending(const UserRow *user)
{
    return !user->account.active && user->activated_us == 0 && user->deactivated_us == 0;
}

/* `tx` may be NULL. */
Err auth_store_user(Request *rq, DbTx *tx, int64_t id, UserRow *out) MUST_CHECK;

typedef struct UserFilter {
    int64_t before_id;            /* 0: from the latest on */
    const char *q;                /* part of username or e-mail address; NULL: any */
    const char *role;             /* a rank, or a role of his own beside it; NULL: any */
    const char *provider;         /* NULL: any */
    const bool *active, *pending; /* NULL: both */
    int64_t limit, offset;
} UserFilter;
/* The latest first; `*out` is borrowed from rq->mem. */
Err auth_store_list_users(Request *rq, const UserFilter *filter, UserRow **out, size_t *out_count) MUST_CHECK;
/* By username; how many there are beyond the limit, too. */
Err auth_store_list_users_by_name(Request *rq, const UserFilter *filter, UserRow **out, size_t *out_count,
                                  int64_t *out_total) MUST_CHECK;

/* --- changes: in a transaction that has locked the account ----------------------------------------------------------
 */
Err auth_store_set_active(DbTx *tx, int64_t id, bool active, int64_t now_us) MUST_CHECK;
/* NULL leaves a field. Another address is not verified. USERNAME_TAKEN, EMAIL_TAKEN. */
Err auth_store_change_user(DbTx *tx, int64_t id, const char *username, const char *email, const char *display_name,
                           int64_t now_us) MUST_CHECK;
Err auth_store_set_password(DbTx *tx, int64_t id, const char *password_hash, int64_t now_us) MUST_CHECK;
/* Of a pending account: it can be used from now on. False when it is not pending any more. */
Err auth_store_finish_invited(DbTx *tx, int64_t id, const char *password_hash, int64_t now_us,
                              bool *out_done) MUST_CHECK;
/* An account that waits for its owner to accept an invitation. USERNAME_TAKEN, EMAIL_TAKEN. */
Err auth_store_insert_pending(DbTx *tx, const Account *account) MUST_CHECK;

/* Of a login of the same transaction: whoever is behind it. */
Err auth_store_set_impersonator(DbTx *tx, Uuid login_id, int64_t impersonator_id) MUST_CHECK;
/* Ends what he does in others' names. */
/* Whether this login is an administrator's in another's name. */
Err auth_store_is_impersonation(DbTx *tx, Uuid login_id, bool *out) MUST_CHECK;
Err auth_store_end_impersonations(Request *rq, DbTx *tx, int64_t impersonator_id, const Ending *ending) MUST_CHECK;

/* --- the first administrator ---------------------------------------------------------------------------------------
 */
typedef struct SetupRow {
    bool admin_exists, has_password; /* of any of them */
    bool can_enter;                  /* any of them: by password, an identity elsewhere or a passkey */
    int64_t open_id;                 /* of one without a password, ADMIN_USERNAME first; 0: none */
} SetupRow;
/* `tx` may be NULL; else others that ask so wait until it ends. */
Err auth_store_find_setup(Request *rq, DbTx *tx, const char *admin_username, SetupRow *out) MUST_CHECK;
/* Makes it active; a NULL e-mail address stays as it is. EMAIL_TAKEN. */
Err auth_store_finish_setup(DbTx *tx, int64_t user_id, const char *password_hash, const char *email, int64_t now_us,
                            const char **out_username, Arena *mem) MUST_CHECK;
