/* factors: what the caller has beside his password, and how it is changed. */
#include "atrium/auth/v1/factor.service.h"
#include "services/auth/accounts.h"
#include "services/auth/answers.h"
#include "services/auth/events.h"
#include "services/auth/login.h"
#include "services/auth/seal.h"
#include "services/auth/second_factor.h"
#include "services/auth/totp.h"

static Auth__V1__PasskeyInfo *answer_passkey(Request *rq, const Passkey *passkey)
{
    Auth__V1__PasskeyInfo *info = MESSAGE_NEW(rq->mem, Auth__V1__PasskeyInfo, auth__v1__passkey_info__init);

    info->id = base64url_encode(rq->mem, passkey->id);
    info->name = arena_strdup(rq->mem, passkey->name);
    info->created_at = timestamp(rq->mem, passkey->created_us);
    if (passkey->last_used_us != 0)
        info->last_used_at = timestamp(rq->mem, passkey->last_used_us);
    return info;
}

Err auth_v1_get_factors(Request *rq, const Auth__V1__GetFactorsRequest *in, Auth__V1__Factors *out)
{
    int64_t recovery_left;
    Passkey *passkeys;
    bool totp;
    (void)in;

    TRY(factors_store_codes(rq, rq->caller.user_id, &totp, &recovery_left));
    TRY(factors_store_passkeys(rq, rq->caller.user_id, &passkeys, &out->n_passkeys));
    SET(out, totp, totp);
    SET(out, recovery_codes_left, (int32_t)recovery_left);
    out->passkeys = ARENA_ARRAY(rq->mem, Auth__V1__PasskeyInfo *, out->n_passkeys + 1);
    for (size_t i = 0; i < out->n_passkeys; i++)
        out->passkeys[i] = answer_passkey(rq, &passkeys[i]);
    return OK;
}

static Auth__V1__FactorMethod *answer_method(Request *rq, const char *id, const char *type)
{
    Auth__V1__FactorMethod *method = MESSAGE_NEW(rq->mem, Auth__V1__FactorMethod, auth__v1__factor_method__init);

    method->id = arena_strdup(rq->mem, id);
    method->type = arena_strdup(rq->mem, type);
    SET(method, enabled, true);
    return method;
}

Err auth_v1_list_factor_methods(Request *rq, const Auth__V1__GetFactorsRequest *in, Auth__V1__FactorMethods *out)
{
    int64_t recovery_left;
    Passkey *passkeys;
    size_t count;
    bool totp;
    (void)in;

    TRY(factors_store_codes(rq, rq->caller.user_id, &totp, &recovery_left));
    TRY(factors_store_passkeys(rq, rq->caller.user_id, &passkeys, &count));
    out->methods = ARENA_ARRAY(rq->mem, Auth__V1__FactorMethod *, count + 1);
    if (totp)
        out->methods[out->n_methods++] = answer_method(rq, "totp", "totp");
    for (size_t i = 0; i < count; i++)
        out->methods[out->n_methods++] = answer_method(rq, base64url_encode(rq->mem, passkeys[i].id), "webauthn");
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- one-time codes
 */
static Err no_totp(void)
{
    return err_make(&NOT_FOUND, "you have no authenticator set up");
}

Err auth_v1_start_totp(Request *rq, const Auth__V1__StartTotpRequest *in, Auth__V1__TotpSecret *out)
{
    const Auth *auth = rq->service;
    uint8_t secret[TOTP_SECRET_BYTES];
    Account account;
    Slice sealed;
    bool done;

    TRY(caller_prove(rq, in->password, NULL));
    TRY(account_of_caller(rq, &account));
    random_bytes(secret, sizeof(secret));
    sealed = seal(auth->settings, rq->mem, slice_of(secret, sizeof(secret)));
    TRY(factors_store_start_totp(rq, account.id, sealed, clock_unix_us(rq->clock), &done));
    if (!done)
        return err_make(&FACTOR_EXISTS, "you have an authenticator already; remove it first");
    out->secret = base32_encode(rq->mem, slice_of(secret, sizeof(secret)));
    out->url = totp_url(rq->mem, auth->settings->totp_issuer, account.username, out->secret);
    return OK;
}

/* Fills the answer, and tells the hashes that are to be stored. */
static void make_recovery_codes(Request *rq, Auth__V1__RecoveryCodes *out, Slice hashes[RECOVERY_CODES])
{
    out->codes = ARENA_ARRAY(rq->mem, char *, RECOVERY_CODES);
    out->n_codes = RECOVERY_CODES;
    for (size_t i = 0; i < RECOVERY_CODES; i++) {
        out->codes[i] = recovery_code_make(rq->mem);
        hashes[i] = recovery_code_hash(rq->mem, out->codes[i]);
    }
}

/* A code of the new secret shows that it arrived. Nobody guesses here: the secret was told to the caller. */
Err auth_v1_confirm_totp(Request *rq, const Auth__V1__ConfirmTotpRequest *in, Auth__V1__RecoveryCodes *out)
{
    const Auth *auth = rq->service;
    int64_t now_us = clock_unix_us(rq->clock), step;
    Slice sealed, secret, hashes[RECOVERY_CODES];
    bool done;

    TRY(factors_store_totp_secret(rq, rq->caller.user_id, false, &sealed));
    if (sealed.len == 0)
        return no_totp();
    if (!unseal(auth->settings, rq->mem, sealed, &secret) ||
        !totp_check(secret, in->code ? in->code : "", now_us / 1000000, &step))
        return err_make(&INVALID_CODE, "the code is wrong; is the clock of your device right?");
    make_recovery_codes(rq, out, hashes);
    TRY(factors_store_confirm_totp(rq, rq->caller.user_id, step, hashes, RECOVERY_CODES, now_us, &done));
    return done ? OK : err_make(&FACTOR_EXISTS, "you have an authenticator already");
}

Err auth_v1_remove_totp(Request *rq, const Auth__V1__RemoveFactorRequest *in, Auth__V1__RemoveFactorReply *out)
{
    bool done;
    (void)out;

    TRY(caller_prove(rq, in->password, in->code));
    TRY(factors_store_remove_totp(rq, rq->caller.user_id, &done));
    return done ? OK : no_totp();
}

Err auth_v1_renew_recovery_codes(Request *rq, const Auth__V1__RemoveFactorRequest *in, Auth__V1__RecoveryCodes *out)
{
    Slice hashes[RECOVERY_CODES];
    bool done;

    TRY(caller_prove(rq, in->password, in->code));
    make_recovery_codes(rq, out, hashes);
    TRY(factors_store_renew_recovery(rq, rq->caller.user_id, hashes, RECOVERY_CODES, &done));
    return done ? OK : no_totp();
}

/* ---------------------------------------------------------------------------------------------------- second step */
Err auth_v1_finish_login(Request *rq, const Auth__V1__FinishLoginRequest *in, Auth__V1__AuthResult *out)
{
    Tokens tokens;
    Account account;

    TRY(login_finish(rq, in->challenge ? in->challenge : "", in->code ? in->code : "", &tokens, &account));
    answer_tokens(rq, &tokens, &account, out);
    if (tokens.opaque) {
        out->token = arena_strdup(rq->mem, tokens.opaque);
        out->token_expires_at = timestamp(rq->mem, tokens_login_expires_us(rq, &tokens));
    }
    return OK;
}
