/* store_mail: the statements on mail that waits, on the tokens of its links, and on addresses of accounts. */
#pragma once
#include "services/auth/store_tx.h"

typedef enum MailKind { MAIL_VERIFICATION, MAIL_RESET, MAIL_INVITATION, MAIL_NEW_LOGIN, MAIL_KIND_COUNT } MailKind;

typedef struct MailRow {
    Uuid id;
    MailKind kind;
    int64_t user_id; /* 0: of nobody */
    const char *recipient;
    Slice detail; /* sealed */
    int64_t attempts, created_us, expires_us;
} MailRow;

/* At most `a_minute_us` apart and `a_day` in a day of one kind for one recipient; 0 for no bounds. */
typedef struct MailBounds {
    int64_t apart_us, a_day;
} MailBounds;
Err mail_store_insert(DbTx *tx, const MailRow *row, const MailBounds *bounds) MUST_CHECK;
/* One that is due, counted as tried: it is due again after `retry_ms`, five times as long with each try. `*out_found`
 * is false when there is none. */
Err mail_store_claim(Request *rq, int64_t now_us, int64_t retry_ms, MailRow *out, bool *out_found) MUST_CHECK;
/* Sent, or given up; it never comes again, and what it said is gone. */
Err mail_store_finish(Request *rq, Uuid id, bool sent, int64_t now_us) MUST_CHECK;
/* Deletes at most `limit` mails and `limit` tokens that are over. */
Err mail_store_purge(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted) MUST_CHECK;

typedef enum TokenPurpose { TOKEN_VERIFY_EMAIL, TOKEN_RESET_PASSWORD } TokenPurpose;
typedef struct MailToken {
    Slice hash;
    int64_t user_id; /* 0: there is none */
    TokenPurpose purpose;
    const char *email; /* NULL: none was written to */
    int64_t expires_us;
} MailToken;
/* Of an account that is still there. */
Err mail_store_insert_token(DbTx *tx, const MailToken *token) MUST_CHECK;
/* One that can be used now. */
Err mail_store_find_token(Request *rq, Slice hash, TokenPurpose purpose, int64_t now_us, MailToken *out) MUST_CHECK;
/* Links to a new password are void once there is one. */
Err mail_store_drop_resets(DbTx *tx, int64_t user_id) MUST_CHECK;
/* With all others of this purpose and user; false when it is not there any more. The account must be locked. */
Err mail_store_take_token(DbTx *tx, const MailToken *token, int64_t now_us, bool *out_taken) MUST_CHECK;

typedef struct AddressRow {
    int64_t user_id;                              /* 0: there is no such account */
    const char *username, *email, *pending_email; /* the last two NULL when there is none */
    int64_t verified_us;                          /* 0: nobody has shown that he reads it */
    bool has_password, active;
} AddressRow;
/* `tx` may be NULL. */
Err mail_store_address(Request *rq, DbTx *tx, int64_t user_id, AddressRow *out) MUST_CHECK;
/* The account whose address, verified or not, this is. */
Err mail_store_account_at(Request *rq, const char *email, AddressRow *out) MUST_CHECK;
/* Whether another account has it. */
Err mail_store_is_taken(DbTx *tx, int64_t user_id, const char *email, bool *out) MUST_CHECK;

/* --- changes: in a transaction that has locked the account ----------------------------------------------------------
 */
/* NULL takes it away. */
Err mail_store_set_pending(DbTx *tx, int64_t user_id, const char *email, int64_t now_us) MUST_CHECK;
/* Makes it the account's, and verified. EMAIL_TAKEN. */
Err mail_store_verify(DbTx *tx, int64_t user_id, const char *email, int64_t now_us) MUST_CHECK;
