/* vault: media's manner of logins (contracts/media.md sections 4.3 and 19). */
#include "atrium/auth/v1/console.service.h"
#include "services/auth/accounts.h"
#include "services/auth/answers.h"
#include "services/auth/store_console.h"

Err auth_v1_vault_me(Request *rq, const Auth__V1__VaultMeRequest *in, Auth__V1__VaultUser *out)
{
    LinkedFace face;
    Account account;
    (void)in;

    TRY(auth_store_account(rq, rq->caller.user_id, &account));
    if (account.id == 0 || !account.active)
        return err_make(&UNAUTHENTICATED, "user not found"); /* the contract's way: a session of nobody */
    TRY(auth_store_linked_face(rq, account.id, "discord", &face));
    SET(out, id, account.id);
    out->discord_id = arena_strdup(rq->mem, face.subject);
    /* The name there, as it was at the last login: ours may have had to be another. */
    out->username = arena_strdup(rq->mem, face.name[0] ? face.name : account.username);
    out->avatar_url = arena_strdup(rq->mem, face.avatar_url);
    return OK;
}

Err auth_v1_vault_logout(Request *rq, const Auth__V1__VaultLogoutRequest *in, Auth__V1__VaultLogoutReply *out)
{
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__LOGGED_OUT);
    int64_t count;
    bool ended;

    if (in->has_all && !in->all)
        TRY(auth_store_end_login(rq, rq->caller.user_id, login_of_caller(rq), &ending, &ended));
    else
        TRY(auth_store_end_other_logins(rq, rq->caller.user_id, (Uuid){{0}}, &ending, &count));
    auth_settle(rq);
    SET(out, success, true);
    return OK;
}

Err auth_v1_vault_sessions(Request *rq, const Auth__V1__ListLoginsRequest *in, Auth__V1__VaultSessionsReply *out)
{
    Auth__V1__ListLoginsReply list = AUTH__V1__LIST_LOGINS_REPLY__INIT;

    TRY(auth_v1_list_logins(rq, in, &list));
    out->sessions = list.logins;
    out->n_sessions = list.n_logins;
    return OK;
}

Err auth_v1_vault_end_session(Request *rq, const Auth__V1__EndLoginRequest *in, Auth__V1__VaultLogoutReply *out)
{
    TRY(auth_v1_end_login(rq, in, NULL));
    SET(out, success, true);
    return OK;
}
