/* admin: the first administrator, made at start. */
#include "services/auth/admin.h"

#include "services/auth/accounts.h"
#include "services/auth/events.h"
#include "services/auth/passwords.h"

static Err make_first_admin(Request *rq)
{
    const Auth *auth = rq->service;
    AccountDraft draft = {.username = auth->settings->admin_username,
                          .email = auth->settings->admin_email,
                          .password = auth->settings->admin_password,
                          .role = ROLE_ADMIN};
    OutboxRow announce;
    Account account;
    bool made = false;
    Err e;

    TRY(account_prepare(rq, &draft, &account));
    announce = user_registered_event(rq->mem, auth->ids, account.id, account.role, account.created_us);
    e = auth_store_insert_first_admin(rq, &account, &announce, &made);
    if (e.reason == &USERNAME_TAKEN || e.reason == &EMAIL_TAKEN) {
        LOG_ERROR(rq->log, "admin_name_taken", "username", draft.username);
        return OK;
    }
    if (made)
        LOG_INFO(rq->log, "admin_created", "username", draft.username);
    return e;
}

static Err reset_admin_password(Request *rq)
{
    const Auth *auth = rq->service;
    const char *password = auth->settings->admin_password_reset;
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__PASSWORD_CHANGED);
    Account account;
    bool same = false;
    char *hash;

    TRY(auth_store_account_by_username(rq, auth->settings->admin_username, &account));
    if (account.id == 0 || account.role != ROLE_ADMIN) {
        LOG_ERROR(rq->log, "admin_reset_without_admin", "username", auth->settings->admin_username);
        return OK;
    }
    /* The variable may stay set over many starts: they must not log the administrator out. */
    TRY(password_check(rq, account.password_hash, password, &same));
    if (same)
        return OK;
    TRY(password_hash(rq, password, &hash));
    TRY(auth_store_change_password(rq, account.id, hash, (Uuid){{0}}, &ending));
    LOG_WARN(rq->log, "admin_password_reset", "username", account.username);
    return OK;
}

Err admin_bootstrap(Request *rq)
{
    const Auth *auth = rq->service;

    if (auth->settings->admin_password[0])
        TRY(err_wrap(make_first_admin(rq), "ADMIN_PASSWORD"));
    if (auth->settings->admin_password_reset[0])
        TRY(err_wrap(reset_admin_password(rq), "ADMIN_PASSWORD_RESET"));
    auth_nudge(rq);
    return OK;
}
