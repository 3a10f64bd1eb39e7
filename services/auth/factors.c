/* factors: what the caller has beside his password, and how it is changed. */
#include "atrium/auth/v1/factor.service.h"
#include "services/auth/events.h"
#include "services/auth/store_factors.h"

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
