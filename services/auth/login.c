/* login: the one way into a login. */
#include "services/auth/login.h"

#include "services/auth/accounts.h"
#include "services/auth/passwords.h"

static Err find_account(Request *rq, const char *name, Account *out)
{
    size_t len = strlen(name);

    *out = (Account){.id = 0};
    if (len == 0 || len > EMAIL_MAX_BYTES)
        return OK;
    return strchr(name, '@') ? auth_store_account_by_email(rq, name, out)
                             : auth_store_account_by_username(rq, name, out);
}

static Err check_credentials(Request *rq, const LoginTry *attempt, Account *out)
{
    const Auth *auth = rq->service;
    Account account;
    bool known, right;

    if (strlen(attempt->password) > PASSWORD_MAX_BYTES)
        return err_make(&INVALID_CREDENTIALS, "%s", attempt->refusal);
    TRY(find_account(rq, attempt->name, &account));
    known = account.id != 0 && account.password_hash;
    right = password_matches(known ? account.password_hash : auth->dummy_hash, attempt->password);
    if (!known || !right || !account.active)
        return err_make(&INVALID_CREDENTIALS, "%s", attempt->refusal);
    *out = account;
    return OK;
}

/* `password_hash` is the one that was checked, NULL when none was. */
static Err begin(Request *rq, const Account *account, const char *method, const char *password_hash, TokenSet set,
                 Tokens *out_tokens)
{
    const Auth *auth = rq->service;
    Tokens tokens = tokens_make(rq, set);
    NewLogin login = tokens_new_login(rq, &tokens, account->id);

    login.method = method;
    login.password_hash = password_hash;
    TRY(auth_store_insert_login(rq, &login, auth->settings->max_logins, auth->ids));
    auth_nudge(rq); /* a login too many may have ended */
    tokens_mint(rq, &tokens, account, login.id);
    *out_tokens = tokens;
    return OK;
}

Err login_by_password(Request *rq, const LoginTry *attempt, Tokens *out_tokens, Account *out_account)
{
    Account account;

    TRY(check_credentials(rq, attempt, &account));
    TRY(begin(rq, &account, "password", account.password_hash, attempt->set, out_tokens));
    account.last_login_us = out_tokens->now_us;
    *out_account = account;
    return OK;
}

Err login_begin(Request *rq, const Account *account, const char *method, TokenSet set, Tokens *out_tokens)
{
    return begin(rq, account, method, NULL, set, out_tokens);
}
