/* store: every SQL statement of auth. Each function is one statement or one transaction; texts that come out are
 * borrowed from rq->mem. Times are Unix microseconds, given by the caller. */
#pragma once
#include "services/auth/auth.h"

typedef struct Account {
    int64_t id; /* 0: there is none */
    const char *username, *display_name, *provider;
    const char *email, *password_hash, *avatar_hash; /* NULL when there is none */
    Role role;
    bool active;
    int64_t created_us, updated_us, last_login_us; /* the last is 0 before the first login */
    const char *const *roles;                      /* beside the rank, of groups too; not of auth_store_account */
    size_t role_count;
    const struct Invitation *invitation; /* of one that is being made: see AccountDraft */
} Account;

/* A login to be stored. */
typedef struct NewLogin {
    Uuid id, family_id;
    int64_t user_id;
    const char *token_jti; /* NULL: has no long JWT */
    Slice opaque_hash;     /* empty: has no opaque token */
    Slice refresh_hash;    /* empty: has no refresh token */
    int64_t refresh_expires_us;
    const char *profile, *user_agent, *address;
    const char *method;        /* "password", "passkey", a provider's name … */
    const char *second_factor; /* "totp", "recovery", "passkey"; NULL: none was asked for */
    int64_t created_us, expires_us;
    const char *password_hash; /* that the password was checked against; NULL: no password was given */
} NewLogin;

/* How logins are ended: LoginEnded goes to the outbox with the change. */
typedef struct Ending {
    IdSource *ids;
    Auth__V1__LoginEnd why;
    int64_t at_us;
} Ending;

typedef struct LoginRow {
    Uuid id;
    const char *user_agent, *address;
    int64_t created_us, last_used_us, expires_us;
} LoginRow;

/* Found or not, these are OK; out->id tells. */
Err auth_store_account(Request *rq, int64_t id, Account *out) MUST_CHECK;
Err auth_store_account_by_username(Request *rq, const char *username, Account *out) MUST_CHECK;
Err auth_store_account_by_email(Request *rq, const char *email, Account *out) MUST_CHECK;

/* The account, its first login (NULL for none) and the event; takes a use of its invitation. USERNAME_TAKEN,
 * EMAIL_TAKEN, INVALID_INVITATION. */
Err auth_store_insert_account(Request *rq, const Account *account, const NewLogin *login,
                              const OutboxRow *announce) MUST_CHECK;
/* The same, unless there is an administrator already. */
Err auth_store_insert_first_admin(Request *rq, const Account *account, const OutboxRow *announce,
                                  bool *out_made) MUST_CHECK;
/* Of the oldest logins, those beyond `max_logins` end. INVALID_CREDENTIALS when the account has another password by
 * now, or is not active. */
Err auth_store_insert_login(Request *rq, const NewLogin *login, int64_t max_logins, IdSource *ids) MUST_CHECK;

/* NULL leaves a field as it is; "" takes the avatar away. */
Err auth_store_update_profile(Request *rq, int64_t user_id, const char *display_name, const char *avatar_hash,
                              int64_t now_us, const OutboxRow *announce, Account *out) MUST_CHECK;
/* All logins end but `keep` (a nil UUID keeps none). */
Err auth_store_change_password(Request *rq, int64_t user_id, const char *password_hash, Uuid keep,
                               const Ending *ending) MUST_CHECK;

typedef struct Refresh {
    Slice presented_hash, successor_hash;
    bool lenient;          /* a used token is good until its successor is used */
    const char *token_jti; /* NULL leaves the login's */
    int64_t now_us, successor_expires_us, login_expires_us;
    IdSource *ids;
} Refresh;
typedef enum RefreshOutcome {
    REFRESH_DONE,
    REFRESH_UNKNOWN, /* never there, expired, or its login or account is not live */
    REFRESH_REUSED   /* used before: its family has been ended */
} RefreshOutcome;
/* Takes the presented token and stores its successor, atomically: of parallel calls one is DONE. */
Err auth_store_refresh(Request *rq, const Refresh *refresh, RefreshOutcome *out_outcome, Uuid *out_login_id,
                       Account *out_account) MUST_CHECK;
/* Ends login `old_id`, whose present long JWT is `old_jti`, and stores `login` in its family; login->user_id,
 * family_id, method and second_factor are taken from the old one. `*out_done` is false when there is no such live
 * login. */
Err auth_store_replace_login(Request *rq, Uuid old_id, const char *old_jti, const NewLogin *login, IdSource *ids,
                             bool *out_done, Account *out_account) MUST_CHECK;

/* False when the user has no such live login. */
Err auth_store_end_login(Request *rq, int64_t user_id, Uuid login_id, const Ending *ending, bool *out_ended) MUST_CHECK;
/* The login that a refresh token of this user belongs to, if there is one. */
Err auth_store_end_login_of_refresh_token(Request *rq, int64_t user_id, Slice refresh_hash,
                                          const Ending *ending) MUST_CHECK;
/* The login of an opaque token, if there is one. */
Err auth_store_end_login_of_opaque_token(Request *rq, Slice opaque_hash, const Ending *ending) MUST_CHECK;
Err auth_store_end_other_logins(Request *rq, int64_t user_id, Uuid keep, const Ending *ending,
                                int64_t *out_count) MUST_CHECK;
/* Live ones, the latest used first; `*out` is borrowed from rq->mem. */
Err auth_store_list_logins(Request *rq, int64_t user_id, int64_t now_us, int64_t limit, LoginRow **out,
                           size_t *out_count) MUST_CHECK;
/* Of a live login of an active account; notes the use, once a minute. out_account->id is 0 when there is none. */
Err auth_store_resolve_opaque(Request *rq, Slice opaque_hash, int64_t now_us, LoginRow *out_login,
                              Account *out_account) MUST_CHECK;

/* Of a login that has ended by itself, not long ago. */
Err auth_store_opaque_has_expired(Request *rq, Slice opaque_hash, int64_t now_us, bool *out) MUST_CHECK;

/* Deletes at most `limit` logins and `limit` refresh tokens that nobody can use any more. */
Err auth_store_purge(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted) MUST_CHECK;
