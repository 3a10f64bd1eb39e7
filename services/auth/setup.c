/* setup: the first administrator's password, by sessions' client, for who set no ADMIN_PASSWORD. Anybody may ask for
 * it, so it is over for good once an administrator can come in, by whatever door. */
#include "atrium/auth/v1/admin.service.h"
#include "services/auth/accounts.h"
#include "services/auth/audit.h"
#include "services/auth/events.h"
#include "services/auth/store_admin.h"
#include "services/auth/users.h"

static const PasswordRule SETUP_PASSWORD = {
    .min_chars = 12, .max_chars = 128, .refusal = "password must have 12 to 128 characters"};

static Err find_setup(Request *rq, DbTx *tx, SetupRow *out)
{
    const Auth *auth = rq->service;

    return auth_store_find_setup(rq, tx, auth->settings->admin_username, out);
}

Err auth_v1_get_setup(Request *rq, const Auth__V1__GetSetupRequest *in, Auth__V1__Setup *out)
{
    SetupRow setup;
    (void)in;

    TRY(find_setup(rq, NULL, &setup));
    SET(out, setup_required, !setup.can_enter);
    SET(out, admin_exists, setup.admin_exists);
    SET(out, has_password, setup.has_password);
    if (!setup.can_enter)
        out->message = arena_strdup(rq->mem, "Choose the administrator's password.");
    return OK;
}

static Err refuse_done(Request *rq)
{
    Struct *details = struct_new(rq->mem);

    struct_set_text(rq->mem, details, "hint",
                    "Log in as administrator; ADMIN_PASSWORD_RESET overwrites a password that is lost.");
    request_set_details(rq, details);
    return err_make(&SETUP_DONE, "there is an administrator already");
}

static Err check_setup(Request *rq, const Auth__V1__DoSetupRequest *in, const char **out_email)
{
    TRY(password_accept(rq, &SETUP_PASSWORD, in->password));
    if (!in->password_confirm || strcmp(in->password, in->password_confirm) != 0)
        return err_make(&INVALID_ARGUMENT, "passwordConfirm must be the same as password");
    return user_check_email(rq, in->email, out_email);
}

/* There may be one who has no way in yet: made by an earlier start, or invited. */
static Err store_admin(Request *rq, DbTx *tx, const SetupRow *setup, Account *admin)
{
    const Auth *auth = rq->service;
    OutboxRow announce;

    if (setup->open_id) {
        admin->id = setup->open_id;
        return auth_store_finish_setup(tx, admin->id, admin->password_hash, admin->email, admin->created_us,
                                       &admin->username, rq->mem);
    }
    TRY(store_insert_account(tx, admin));
    announce = user_registered_event(rq->mem, auth->ids, admin->id, admin->role, admin->created_us);
    return outbox_insert(tx, &announce, false);
}

/* Asked twice: before the hash, and when nobody else can be between the answer and the change. */
Err auth_v1_do_setup(Request *rq, const Auth__V1__DoSetupRequest *in, Auth__V1__DoSetupReply *out)
{
    const Auth *auth = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    AccountDraft draft = {.username = auth->settings->admin_username, .role = ROLE_ADMIN};
    Account admin;
    SetupRow setup;

    TRY(check_setup(rq, in, &draft.email));
    TRY(find_setup(rq, NULL, &setup));
    if (setup.can_enter)
        return refuse_done(rq);
    draft.password = in->password;
    TRY(account_prepare(rq, &draft, &admin));
    TRY(db_tx_begin(rq, &tx));
    TRY(find_setup(rq, &tx, &setup));
    if (setup.can_enter)
        return err_make(&SETUP_LOST, "somebody else was faster");
    TRY(store_admin(rq, &tx, &setup, &admin));
    TRY(audit_insert_user(&tx, rq, AUDIT_SETUP_DONE, admin.id, NULL));
    TRY(db_tx_commit(&tx));
    auth_nudge(rq);
    out->message = arena_strdup(rq->mem, "The administrator's password is set.");
    out->username = arena_strdup(rq->mem, admin.username);
    out->email = arena_strdup(rq->mem, draft.email);
    return OK;
}
