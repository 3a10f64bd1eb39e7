/* users: what administration does to accounts, whatever the manner of the route. A change locks the account, checks
 * that the caller may act on it, notes itself in the audit log and tells the other services, in one transaction. After
 * its commit: auth_settle. */
#pragma once
#include "services/auth/access.h"
#include "services/auth/store_admin.h"

/* Begins the transaction. USER_NOT_FOUND; PERMISSION_DENIED for who may more than the caller. */
Err user_enter(Request *rq, DbTx *tx, int64_t id, UserRow *out) MUST_CHECK;
/* Without a lock, or as it is in the transaction. USER_NOT_FOUND. */
Err user_load(Request *rq, DbTx *tx, int64_t id, UserRow *out) MUST_CHECK;
/* NOT_ONESELF when that is the caller. */
Err user_refuse_self(const Request *rq, int64_t id) MUST_CHECK;

/* Deactivating ends all logins and API keys, and is refused for the last administrator. Nothing when it is so already.
 */
Err user_set_active(Request *rq, DbTx *tx, int64_t id, bool active) MUST_CHECK;
/* NOT_ONESELF for who would take his own rank away; LAST_ADMIN. */
Err user_set_rank(Request *rq, DbTx *tx, const UserRow *user, Role rank) MUST_CHECK;

/* What an administrator writes over; NULL leaves it. The texts have been checked. */
typedef struct UserChange {
    const char *username, *email, *display_name;
} UserChange;
/* USERNAME_TAKEN, EMAIL_TAKEN. */
Err user_change(Request *rq, DbTx *tx, int64_t id, const UserChange *change) MUST_CHECK;

/* Ends everything that acts for the account. */
Err user_end_access(Request *rq, DbTx *tx, int64_t id, Auth__V1__LoginEnd why) MUST_CHECK;
/* A new password, by somebody else: ends all logins and keys. */
Err user_set_password(Request *rq, DbTx *tx, int64_t id, const char *password_hash) MUST_CHECK;
/* A checked address. INVALID_EMAIL. */
Err user_check_email(Request *rq, const char *text, const char **out) MUST_CHECK;
