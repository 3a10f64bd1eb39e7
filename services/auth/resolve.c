/* resolve: what gateways ask of a credential: whose it is, and what he holds. */
#include "atrium/auth/v1/access.service.h"
#include "services/auth/answers.h"
#include "services/auth/store_access.h"

static void answer_owner(Request *rq, const Account *account, Uuid login_id, int64_t expires_us,
                         Atrium__ResolveTokenReply *out)
{
    SET(out, user_id, account->id);
    out->username = arena_strdup(rq->mem, account->username);
    SET(out, role, account->role);
    out->login_id = uuid_text(rq->mem, login_id);
    SET(out, expires_ms, expires_us / 1000);
    out->roles = answer_words(rq->mem, account->roles, account->role_count);
    out->n_roles = account->role_count;
}

Err auth_v1_resolve_token(Request *rq, const Atrium__ResolveTokenRequest *in, Atrium__ResolveTokenReply *out)
{
    LoginRow login;
    Account account;

    if (!in->token || !in->token[0])
        return err_make(&UNAUTHENTICATED, "no token");
    TRY(auth_store_resolve_opaque(rq, token_hash(rq->mem, in->token), clock_unix_us(rq->clock), &login, &account));
    if (account.id == 0)
        return err_make(&UNAUTHENTICATED, "invalid or expired token");
    answer_owner(rq, &account, login.id, login.expires_us, out);
    return OK;
}

Err auth_v1_resolve_login(Request *rq, const Atrium__ResolveLoginRequest *in, Atrium__ResolveTokenReply *out)
{
    int64_t expires_us;
    Account account;
    Uuid id;

    if (!uuid_parse(slice(in->login_id), &id))
        return err_make(&UNAUTHENTICATED, "no login");
    TRY(auth_store_resolve_login(rq, id, clock_unix_us(rq->clock), &account, &expires_us));
    if (account.id == 0)
        return err_make(&UNAUTHENTICATED, "the login has ended");
    answer_owner(rq, &account, id, expires_us, out);
    return OK;
}
