/* accounts: what the handlers of all manners share about accounts and their passwords. */
#pragma once
#include "services/auth/passwords.h"
#include "services/auth/tokens.h"

/* A new account to be. */
typedef struct AccountDraft {
    const char *username; /* NULL or "": one is made of `email` */
    const char *email;    /* NULL or "" when there is none */
    const char *password; /* within the rule of its route */
    Role role;
    const struct Invitation *invitation; /* that it comes by, whose role it gets besides; NULL: none */
} AccountDraft;
/* Fills an account that can be stored; hashes the password, so: lane "slow". No `username` is filled in when it is to
 * be made. `draft` must have been checked. */
Err account_prepare(Request *rq, const AccountDraft *draft, Account *out) MUST_CHECK;
/* Stores it, with a first login when `tokens` is not NULL (then they are minted), finding a free username if one is to
 * be made. USERNAME_TAKEN, EMAIL_TAKEN. */
Err account_store(Request *rq, Account *account, Tokens *tokens) MUST_CHECK;

/* The caller's own. NOT_FOUND when it is gone, PERMISSION_DENIED when disabled. */
Err account_of_caller(Request *rq, Account *out) MUST_CHECK;
/* Checks the old password, stores the new one and ends all other logins. */
Err account_change_password(Request *rq, const char *old_password, const char *new_password) MUST_CHECK;
/* The caller's login; nil when his credential has none. */
Uuid login_of_caller(const Request *rq);
/* How logins end by this request. */
Ending ending_now(const Request *rq, Auth__V1__LoginEnd why);
/* After a commit that left events in the outbox. */
void auth_nudge(const Request *rq);
/* For the end of logins: every gateway is told before the caller gets its answer, unless that takes too long. */
void auth_settle(const Request *rq);
