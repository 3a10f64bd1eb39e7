/* login: the one way into a login. */
#include "services/auth/login.h"

#include "services/auth/accounts.h"
#include "services/auth/defence.h"
#include "services/auth/passwords.h"
#include "services/auth/second_factor.h"

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
    Err e;

    if (!password_is_outdated(auth->settings, account->password_hash))
        return;
    e = password_hash(rq, password, &hash);
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
    TRY(password_check(rq, known ? account.password_hash : auth->dummy_hash, attempt->password, &right));
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
    bool right = false;

    TRY(auth_store_account(rq, account->id, account));
    if (account->id != 0 && account->active)
        TRY(password_check(rq, account->password_hash, attempt->password, &right));
    if (!right)
        return err_make(&INVALID_CREDENTIALS, "%s", attempt->refusal);
    return OK;
}

/* What a login rests on. */
typedef struct Proof {
    const char *method;
    const char *password_hash; /* that was checked; NULL: none was */
    const char *second_factor; /* NULL: none was asked for */
} Proof;

static Err begin(Request *rq, const Account *account, const Proof *proof, TokenSet set, Tokens *out_tokens)
{
    const Auth *auth = rq->service;
    Tokens tokens = tokens_make(rq, set);
    NewLogin login = tokens_new_login(rq, &tokens, account->id);

    login.method = proof->method;
    login.password_hash = proof->password_hash;
    login.second_factor = proof->second_factor;
    TRY(auth_store_insert_login(rq, &login, auth->settings->max_logins, auth->ids));
    auth_nudge(rq); /* a login too many may have ended */
    tokens_mint(rq, &tokens, account, login.id);
    *out_tokens = tokens;
    return OK;
}

/* The code may come with the password, so that scripts log in by one request. */
static Err check_second_factor(Request *rq, const LoginTry *attempt, const Account *account, const char **out_method)
{
    const char *otp = attempt->otp && attempt->otp[0] ? attempt->otp : request_header(rq, "x-otp");

    if (!otp || !otp[0])
        return second_factor_require(rq, account->id, "password", account->password_hash, attempt->set);
    return second_factor_check(rq, account->id, otp, out_method);
}

Err login_by_password(Request *rq, const LoginTry *attempt, Tokens *out_tokens, Account *out_account)
{
    Proof proof = {.method = "password"};
    Defence defence;
    Account account;
    Err e;

    TRY(check_credentials(rq, attempt, &defence, &account));
    if (defence.second_factor)
        TRY(check_second_factor(rq, attempt, &account, &proof.second_factor));
    TRY(defence_passed(rq, &defence, account.id));
    proof.password_hash = account.password_hash;
    e = begin(rq, &account, &proof, attempt->set, out_tokens);
    if (e.reason == &INVALID_CREDENTIALS) {
        TRY(check_again(rq, attempt, &account));
        proof.password_hash = account.password_hash;
        e = begin(rq, &account, &proof, attempt->set, out_tokens);
    }
    TRY(e);
    account.last_login_us = out_tokens->now_us;
    *out_account = account;
    return OK;
}

Err login_finish(Request *rq, const char *challenge, const char *code, Tokens *out_tokens, Account *out_account)
{
    Challenge first;
    Proof proof;
    Account account;
    Err e;

    TRY(second_factor_finish(rq, challenge, code, &first, &proof.second_factor));
    TRY(auth_store_account(rq, first.user_id, &account));
    proof.method = first.method;
    proof.password_hash = first.password_hash;
    rq->profile = first.profile;
    e = begin(rq, &account, &proof, (TokenSet)first.token_set, out_tokens);
    if (e.reason == &INVALID_CREDENTIALS) /* disabled, or another password, since the first step */
        return err_make(&INVALID_CODE, "the code is wrong, or no longer good");
    TRY(e);
    account.last_login_us = out_tokens->now_us;
    *out_account = account;
    return OK;
}

Err login_begin(Request *rq, const Account *account, const char *method, TokenSet set, Tokens *out_tokens)
{
    const Auth *auth = rq->service;
    bool by_passkey = strcmp(method, LOGIN_BY_PASSKEY) == 0, has_codes;
    const Proof proof = {.method = method, .second_factor = by_passkey ? method : NULL};
    int64_t recovery_left;

    if (auth->settings->second_factor_for_providers && !by_passkey) {
        TRY(factors_store_codes(rq, account->id, &has_codes, &recovery_left));
        if (has_codes)
            return second_factor_require(rq, account->id, method, NULL, set);
    }
    TRY(begin(rq, account, &proof, set, out_tokens));
    return defence_know(rq, account->id);
}
