/* store_tx: what the stores of this service share: pieces of transactions on accounts and logins. A store has its
 * statements in a file of its own, store_<subject>.c, and uses these where they touch the common tables. */
#pragma once
#include "services/auth/store.h"

#define ACCOUNT_OWN_COLUMNS                                                                                            \
    "a.id, a.username, a.email, a.password_hash, a.display_name, a.avatar_hash, a.role, a.active, a.provider, "        \
    "a.created_at, a.updated_at, a.last_login_at"
/* The roles of a user beside his rank: his own, his groups', and everybody's. `user` is an expression. */
#define ROLES_HELD_BY(user)                                                                                            \
    "(SELECT ar.role FROM account_role ar WHERE ar.user_id = " user                                                    \
    " UNION SELECT gr.role FROM group_role gr WHERE gr.group_id = 'all-users' OR gr.group_id IN ("                     \
    "   SELECT gm.group_id FROM group_member gm WHERE gm.user_id = " user ") ORDER BY 1 LIMIT 16)"
/* As many as a token may list (JWT_ROLES_MAX), in one text. Role names have no blanks. */
#define ACCOUNT_COLUMNS ACCOUNT_OWN_COLUMNS ", (SELECT string_agg(held.role, ' ') FROM " ROLES_HELD_BY("a.id") " held)"
/* For the most frequent read, which shows an account and needs no roles. */
#define ACCOUNT_COLUMNS_WITHOUT_ROLES ACCOUNT_OWN_COLUMNS ", NULL::text"
enum { ACCOUNT_COLUMN_COUNT = 13 };

/* A row that begins with ACCOUNT_COLUMNS (of account a) at `column`; texts are copied into `mem`. */
void store_read_account(Arena *mem, const DbRows *rows, int row, int column, Account *out);
/* The words of a text of `column`, which blanks keep apart; borrowed from `mem`. */
void store_read_words(Arena *mem, const DbRows *rows, int row, int column, const char *const **out, size_t *out_count);
/* The first row, or an account without id. */
void store_read_account_if_any(Arena *mem, const DbRows *rows, Account *out);

/* USERNAME_TAKEN, EMAIL_TAKEN. */
Err store_insert_account(DbTx *tx, const Account *account) MUST_CHECK;
/* With its refresh token, if it has one. The account must be locked: see store_lock_account. */
Err store_insert_login(DbTx *tx, const NewLogin *login, Uuid family_id, int64_t user_id) MUST_CHECK;
extern const char STORE_INSERT_REFRESH_TOKEN[];

/* Taken by whatever makes a login and by whatever ends several, before it looks at them: a login made at the same time
 * is then either seen or not made. A statement after the lock sees what was committed until then. */
Err store_lock_account(DbTx *tx, int64_t user_id) MUST_CHECK;

/* Rows are locked in one order everywhere, so that two endings never wait for each other. */
#define STORE_END_THE_LOGINS(which)                                                                                    \
    "UPDATE login SET ended_at = $1, end_reason = $2 WHERE id IN ("                                                    \
    "  SELECT id FROM login WHERE ended_at IS NULL AND expires_at > $1 AND " which " ORDER BY id FOR UPDATE)"          \
    " RETURNING id, user_id"
#define STORE_ENDING_ARGS(ending) db_time_us((ending)->at_us), db_int64((ending)->why)
/* Runs a statement made of these, and announces every login that it ended in this transaction. `out_count` may be NULL.
 * After the commit: auth_settle. */
Err store_end_logins(Request *rq, DbTx *tx, const Ending *ending, const char *sql, DbArgs args,
                     int64_t *out_count) MUST_CHECK;
/* All logins of a user but `keep` (a nil UUID keeps none). */
Err store_end_logins_but(Request *rq, DbTx *tx, int64_t user_id, Uuid keep, const Ending *ending,
                         int64_t *out_count) MUST_CHECK;
