/* registration: who may make an account for himself. */
#include "services/auth/registration.h"

#include "atrium/auth/v1/admin.service.h"
#include "services/auth/audit.h"
#include "services/auth/pages.h"

static const char SETTING_NAME[] = "registration";
static const char *const MODES[] = {[MODE_OPEN] = "open", [MODE_CLOSED] = "closed", [MODE_INVITE] = "invite"};

const char *registration_mode_name(RegistrationMode mode)
{
    return MODES[mode];
}

bool registration_mode_parse(Slice text, RegistrationMode *out)
{
    for (size_t i = 0; i < ARRAY_LEN(MODES); i++) {
        if (!slice_eq_cstr(text, MODES[i]))
            continue;
        *out = (RegistrationMode)i;
        return true;
    }
    return false;
}

Err registration_mode(Request *rq, DbTx *tx, RegistrationMode *out)
{
    const Auth *auth = rq->service;
    const char *said;

    TRY(auth_store_runtime_setting(rq, tx, SETTING_NAME, &said));
    if (!said || !registration_mode_parse(slice(said), out))
        if (!registration_mode_parse(slice(auth->settings->registration), out))
            return err_make(&INTERNAL, "REGISTRATION is none of open, closed, invite");
    return OK;
}

Err registration_check(Request *rq, DbTx *tx)
{
    RegistrationMode mode;

    TRY(registration_mode(rq, tx, &mode));
    return mode == MODE_OPEN ? OK : err_make(&REGISTRATION_CLOSED, "registration is closed");
}

static Err wrong_invitation(void)
{
    return err_make(&INVALID_INVITATION, "this invitation is not good, or not good any more");
}

/* It may be for one address, and it says the role. */
static Err accept_invitation(Request *rq, const char *token, AccountDraft *draft)
{
    Invitation *invitation = ARENA_NEW(rq->mem, Invitation);

    TRY(auth_store_find_invitation(rq, token_hash(rq->mem, token), clock_unix_us(rq->clock), invitation));
    if (uuid_is_nil(invitation->id) || invitation->user_id != 0)
        return wrong_invitation();
    if (invitation->email && draft->email && !slice_eq_nocase(slice(invitation->email), slice(draft->email)))
        return wrong_invitation();
    if (!draft->email)
        draft->email = invitation->email;
    draft->invitation = invitation;
    return OK;
}

Err registration_enter(Request *rq, const char *token, const char *refusal, AccountDraft *draft)
{
    RegistrationMode mode;

    TRY(registration_mode(rq, NULL, &mode));
    if (mode == MODE_CLOSED)
        return err_make(&REGISTRATION_CLOSED, "%s", refusal);
    if (token && token[0])
        return accept_invitation(rq, token, draft);
    return mode == MODE_OPEN ? OK : err_make(&REGISTRATION_CLOSED, "registration is by invitation only");
}

/* ---------------------------------------------------------------------------------------------------- rag's manner */
Err auth_v1_talker_get_registration(Request *rq, const Auth__V1__TalkerGetRegistrationRequest *in,
                                    Auth__V1__TalkerRegistration *out)
{
    RegistrationMode mode;
    (void)in;

    TRY(registration_mode(rq, NULL, &mode));
    SET(out, enabled, mode != MODE_CLOSED);
    return OK;
}

/* That contract knows on and off: on is by invitation where the setting says so. */
static const char *mode_when(const Auth *auth, bool enabled)
{
    RegistrationMode set;

    if (!enabled)
        return MODES[MODE_CLOSED];
    return registration_mode_parse(slice(auth->settings->registration), &set) && set == MODE_INVITE ? MODES[MODE_INVITE]
                                                                                                    : MODES[MODE_OPEN];
}

Err auth_v1_talker_set_registration(Request *rq, const Auth__V1__TalkerRegistration *in,
                                    Auth__V1__TalkerRegistration *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const char *value = mode_when(rq->service, in->enabled);

    if (!in->has_enabled) {
        request_add_violation(rq, ATRIUM__PART__BODY, "enabled", "missing", "Field required");
        return err_make(&INVALID_ARGUMENT, "the request is not valid");
    }
    TRY(db_tx_begin(rq, &tx));
    TRY(auth_store_set_runtime_setting(&tx, SETTING_NAME, value, rq->caller.user_id, clock_unix_us(rq->clock)));
    TRY(audit_insert(&tx, rq, AUDIT_SETTING_CHANGED, "setting", SETTING_NAME, audit_detail(rq->mem, "value", value)));
    TRY(db_tx_commit(&tx));
    SET(out, enabled, in->enabled);
    return OK;
}
