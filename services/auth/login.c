/* login: the one way into a login. */
#include "services/auth/login.h"

#include "services/auth/accounts.h"
#include "services/auth/defence.h"
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

/* The hash follows the settings of today, once the password is at hand. That it could not be is no reason to refuse. */
static void refresh_hash(Request *rq, Account *account, const char *password)
{
    const Auth *auth = rq->service;
    bool done = false;
    char *hash;
    Err e = OK;

    if (!password_is_outdated(auth->settings, account->password_hash))
        return;
    e = password_hash(auth->settings, rq->mem, password, &hash);
    if (!err_failed(e))
        e = defence_store_rehash(rq, account->id, account->password_hash, hash, &done);
    if (err_failed(e))
        LOG_WARN(rq->log, "rehash_failed", "error", e.text);
    if (done)
        account->password_hash = hash;
}

/* A name that nobody has costs what others do: the same statements, and a hash of today's settings. */
static Err check_credentials(Request *rq, const LoginTry *attempt, Defence *out_defence, Account *out)
{
    const Auth *auth = rq->service;
    Account account;
    bool known, right;

    if (strlen(attempt->password) > PASSWORD_MAX_BYTES)
        return err_make(&INVALID_CREDENTIALS, "%s", attempt->refusal);
    TRY(find_account(rq, attempt->name, &account));
    TRY(defence_enter(rq, DEFENCE_PASSWORD, attempt->name, account.id, out_defence));
    known = account.id != 0 && account.password_hash;
    right = password_matches(known ? account.password_hash : auth->dummy_hash, attempt->password);
    if (!known || !right || !account.active) {
        TRY(defence_failed(rq, out_defence));
        return err_make(&INVALID_CREDENTIALS, "%s", attempt->refusal);
    }
    refresh_hash(rq, &account, attempt->password);
    *out = account;
    return OK;
}

/* The hash that was checked is there no more: another login may have put a better one of the same password in its
 * place. */
static Err check_again(Request *rq, const LoginTry *attempt, Account *account)
{
    TRY(auth_store_account(rq, account->id, account));
    if (account->id == 0 || !account->active || !password_matches(account->password_hash, attempt->password))
        return err_make(&INVALID_CREDENTIALS, "%s", attempt->refusal);
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
    Defence defence;
    Account account;
    Err e;

    TRY(check_credentials(rq, attempt, &defence, &account));
    TRY(defence_passed(rq, &defence, account.id));
    e = begin(rq, &account, "password", account.password_hash, attempt->set, out_tokens);
    if (e.reason == &INVALID_CREDENTIALS) {
        TRY(check_again(rq, attempt, &account));
        e = begin(rq, &account, "password", account.password_hash, attempt->set, out_tokens);
    }
    TRY(e);
    account.last_login_us = out_tokens->now_us;
    *out_account = account;
    return OK;
}

Err login_begin(Request *rq, const Account *account, const char *method, TokenSet set, Tokens *out_tokens)
{
    return begin(rq, account, method, NULL, set, out_tokens);
}
