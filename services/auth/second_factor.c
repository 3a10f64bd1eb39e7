/* second_factor: see second_factor.h. */
#include "services/auth/second_factor.h"

#include <sodium.h>

#include "services/auth/accounts.h"
#include "services/auth/defence.h"
#include "services/auth/seal.h"
#include "services/auth/totp.h"

enum {
    CHALLENGE_BYTES = 32,
    CHALLENGE_S = 300,
    CHALLENGE_TRIES = 5,
    FRESH_LOGIN_S = 600,
};
static const char LOGIN_CHALLENGE[] = "login";

/* ---------------------------------------------------------------------------------------------------- codes */
static Err check_totp(Request *rq, int64_t user_id, const char *code, bool *out_good)
{
    const Auth *auth = rq->service;
    Slice sealed, secret;
    int64_t step;

    *out_good = false;
    TRY(factors_store_totp_secret(rq, user_id, true, &sealed));
    if (sealed.len == 0)
        return OK;
    if (!unseal(auth->settings, rq->mem, sealed, &secret)) {
        LOG_ERROR(rq->log, "totp_not_unsealed", "user_id", user_id);
        return OK;
    }
    if (!totp_check(secret, code, clock_unix_us(rq->clock) / 1000000, &step))
        return OK;
    return factors_store_take_step(rq, user_id, step, out_good);
}

/* Back-off is the caller's. `*out_method` is NULL when the code is not good. */
static Err check_code(Request *rq, int64_t user_id, const char *code, const char **out_method)
{
    bool is_totp = totp_looks_like_code(code), good;

    if (is_totp)
        TRY(check_totp(rq, user_id, code, &good));
    else
        TRY(factors_store_take_recovery(rq, user_id, recovery_code_hash(rq->mem, code), clock_unix_us(rq->clock),
                                        &good));
    *out_method = !good ? NULL : is_totp ? "totp" : "recovery";
    return OK;
}

static Err invalid_code(void)
{
    return err_make(&INVALID_CODE, "the code is wrong, or no longer good");
}

Err second_factor_check(Request *rq, int64_t user_id, const char *code, const char **out_method)
{
    const char *method;
    Defence defence;

    TRY(defence_enter_as(rq, DEFENCE_FACTOR, user_id, &defence));
    TRY(check_code(rq, user_id, code, &method));
    if (!method) {
        TRY(defence_failed(rq, &defence));
        return invalid_code();
    }
    TRY(defence_passed(rq, &defence, user_id));
    *out_method = method;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- two steps */
Err second_factor_require(Request *rq, int64_t user_id, const char *method, const char *password_hash, TokenSet set)
{
    uint8_t bytes[CHALLENGE_BYTES];
    Struct *details = struct_new(rq->mem);
    const char *text;
    Challenge challenge;

    random_bytes(bytes, sizeof(bytes));
    text = hex_encode(rq->mem, slice_of(bytes, sizeof(bytes)));
    challenge = (Challenge){.hash = token_hash(rq->mem, text),
                            .purpose = LOGIN_CHALLENGE,
                            .user_id = user_id,
                            .profile = rq->profile ? rq->profile : "all",
                            .method = method,
                            .password_hash = password_hash,
                            .token_set = set,
                            .expires_us = clock_unix_us(rq->clock) + (int64_t)CHALLENGE_S * 1000000};
    TRY(factors_store_insert_challenge(rq, &challenge));
    struct_set_text(rq->mem, details, "challenge", text);
    struct_list_add_text(rq->mem, struct_set_list(rq->mem, details, "methods"), "totp");
    request_set_details(rq, details);
    return err_make(&SECOND_FACTOR_REQUIRED, "a code of your authenticator is needed");
}

Err second_factor_finish(Request *rq, const char *challenge, const char *code, Challenge *out, const char **out_method)
{
    Challenge found;
    bool taken;
    Err e;

    TRY(factors_store_challenge(rq, token_hash(rq->mem, challenge), LOGIN_CHALLENGE, clock_unix_us(rq->clock),
                                CHALLENGE_TRIES, &found));
    if (found.hash.len == 0)
        return invalid_code();
    e = second_factor_check(rq, found.user_id, code, out_method);
    if (e.reason == &INVALID_CODE)
        TRY(factors_store_fail_challenge(rq, found.hash));
    TRY(e);
    TRY(factors_store_take_challenge(rq, found.hash, &taken));
    if (!taken)
        return invalid_code();
    *out = found;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- proof */
static bool given(const char *text)
{
    return text && text[0];
}

static Err prove_by_fresh_login(Request *rq, bool *out_proved)
{
    int64_t since_us = clock_unix_us(rq->clock) - (int64_t)FRESH_LOGIN_S * 1000000;

    return factors_store_login_since(rq, rq->caller.user_id, login_of_caller(rq), since_us, out_proved);
}

static Err prove(Request *rq, const Account *account, bool has_codes, const char *password, const char *code,
                 bool *out_proved)
{
    const char *method = NULL;

    *out_proved = false;
    if (!account->password_hash && !has_codes)
        return prove_by_fresh_login(rq, out_proved);
    if (given(password) && strlen(password) <= PASSWORD_MAX_BYTES)
        TRY(password_check(rq, account->password_hash, password, out_proved));
    else if (given(code))
        TRY(check_code(rq, account->id, code, &method));
    *out_proved = *out_proved || method;
    return OK;
}

Err caller_prove(Request *rq, const char *password, const char *code)
{
    Account account;
    Defence defence;
    bool proved;

    TRY(account_of_caller(rq, &account));
    TRY(defence_enter_as(rq, DEFENCE_PROOF, account.id, &defence));
    TRY(prove(rq, &account, defence.second_factor, password, code, &proved));
    if (!proved) {
        if (given(password) || given(code)) /* asking what is needed is no attempt */
            TRY(defence_failed(rq, &defence));
        return err_make(&NOT_PROVED, "your password, or a code, is needed for this");
    }
    return defence_passed(rq, &defence, account.id);
}
