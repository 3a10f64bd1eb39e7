/* impersonate: to see the platform with somebody else's eyes, where the operator allows it: a short login in his name,
 * noted in the audit log, which names the one behind it for whatever is done with it. */
#include "atrium/auth/v1/admin.service.h"
#include "services/auth/accounts.h"
#include "services/auth/answers.h"
#include "services/auth/audit.h"
#include "services/auth/second_factor.h"
#include "services/auth/tokens.h"
#include "services/auth/users.h"

enum { REASON_MIN_CHARS = 3, REASON_MAX_CHARS = 200 };

static Err check_request(Request *rq, const Auth__V1__ImpersonateRequest *in)
{
    const Auth *auth = rq->service;
    size_t chars = utf8_length(slice_trim(slice(in->reason)));

    if (!auth->settings->allow_impersonation)
        return err_make(&IMPERSONATION_OFF, "nobody acts in another's name here");
    if (chars < REASON_MIN_CHARS || chars > REASON_MAX_CHARS)
        return err_make(&INVALID_ARGUMENT, "reason: %d to %d characters", REASON_MIN_CHARS, REASON_MAX_CHARS);
    TRY(user_refuse_self(rq, in->user_id));
    return caller_prove(rq, in->password, in->code);
}

/* An access token alone: nothing goes on when its minutes are over. */
static Tokens make_tokens(Request *rq)
{
    Tokens tokens = tokens_make(rq, TOKENS_CHAT);

    tokens.refresh_token = NULL;
    return tokens;
}

Err auth_v1_impersonate(Request *rq, const Auth__V1__ImpersonateRequest *in, Auth__V1__AuthResult *out)
{
    const Auth *auth = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Tokens tokens = make_tokens(rq);
    NewLogin login;
    UserRow user;

    TRY(check_request(rq, in));
    TRY(user_enter(rq, &tx, in->user_id, &user));
    if (user.account.role == ROLE_ADMIN || !user.account.active)
        return err_make(&PERMISSION_DENIED, "nobody acts in the name of administrators, or of who is switched off");
    login = tokens_new_login(rq, &tokens, in->user_id);
    login.method = "impersonation";
    login.expires_us = login.created_us + auth->settings->access_token_ttl_ms * 1000;
    TRY(store_insert_login(&tx, &login, login.family_id, in->user_id));
    TRY(auth_store_set_impersonator(&tx, login.id, rq->caller.user_id));
    TRY(audit_insert_user(&tx, rq, AUDIT_USER_IMPERSONATED, in->user_id, audit_detail(rq->mem, "reason", in->reason)));
    TRY(db_tx_commit(&tx));
    tokens_mint(rq, &tokens, &user.account, login.id);
    answer_tokens(rq, &tokens, &user.account, out);
    return OK;
}
