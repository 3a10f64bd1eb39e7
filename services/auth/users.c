/* users: what administration does to accounts. */
#include "services/auth/users.h"

#include "atrium/auth/v1/admin.atrium.h"
#include "services/auth/accounts.h"
#include "services/auth/audit.h"
#include "services/auth/events.h"
#include "services/auth/keys.h"
#include "services/auth/store_access.h"
#include "services/auth/text.h"

Err user_load(Request *rq, DbTx *tx, int64_t id, UserRow *out)
{
    TRY(auth_store_user(rq, tx, id, out));
    return out->account.id ? OK : err_make(&USER_NOT_FOUND, "there is no such user");
}

/* Else whoever may write to accounts took over those of administrators. */
static Err check_reach(Request *rq, DbTx *tx, const Account *account)
{
    Err e;

    if (account->id == rq->caller.user_id)
        return OK;
    e = access_may_grant(rq, tx, account->role, account->roles, account->role_count);
    return e.reason == &PERMISSION_DENIED ? err_make(&PERMISSION_DENIED, "he may what you may not") : e;
}

Err user_enter(Request *rq, DbTx *tx, int64_t id, UserRow *out)
{
    TRY(db_tx_begin(rq, tx));
    TRY(store_lock_account(tx, id));
    TRY(user_load(rq, tx, id, out));
    return check_reach(rq, tx, &out->account);
}

Err user_refuse_self(const Request *rq, int64_t id)
{
    return id == rq->caller.user_id ? err_make(&NOT_ONESELF, "nobody does this to himself") : OK;
}

Err user_end_access(Request *rq, DbTx *tx, int64_t id, Auth__V1__LoginEnd why)
{
    Ending ending = ending_now(rq, why);

    TRY(store_end_logins_but(rq, tx, id, (Uuid){{0}}, &ending, NULL));
    TRY(auth_store_end_impersonations(rq, tx, id, &ending));
    return keys_end_of_user(rq, tx, id, &ending);
}

Err user_set_active(Request *rq, DbTx *tx, int64_t id, bool active)
{
    const Auth *auth = rq->service;
    int64_t now_us = clock_unix_us(rq->clock);
    OutboxRow announce;
    UserRow user;

    TRY(user_load(rq, tx, id, &user));
    if (user.account.active == active)
        return OK;
    if (!active && user.account.role == ROLE_ADMIN)
        TRY(access_keep_an_admin(tx, id));
    TRY(auth_store_set_active(tx, id, active, now_us));
    if (!active)
        TRY(user_end_access(rq, tx, id, AUTH__V1__LOGIN_END__DEACTIVATED));
    announce = user_activity_changed_event(rq->mem, auth->ids, id, active, now_us);
    TRY(outbox_insert(tx, &announce, false));
    return audit_insert_user(tx, rq, active ? AUDIT_USER_ACTIVATED : AUDIT_USER_DEACTIVATED, id, NULL);
}

/* Of who is no administrator any more. */
static Err end_impersonations(Request *rq, DbTx *tx, int64_t id)
{
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__ENDED_BY_ADMIN);

    return auth_store_end_impersonations(rq, tx, id, &ending);
}

Err user_set_rank(Request *rq, DbTx *tx, const UserRow *user, Role rank)
{
    int64_t id = user->account.id;

    if (user->account.role == rank)
        return OK;
    TRY(access_may_grant(rq, tx, rank, NULL, 0));
    if (rank < user->account.role)
        TRY(user_refuse_self(rq, id));
    if (user->account.role == ROLE_ADMIN)
        TRY(access_keep_an_admin(tx, id));
    TRY(auth_store_set_rank(tx, id, rank, clock_unix_us(rq->clock)));
    TRY(end_impersonations(rq, tx, id));
    TRY(access_announce(tx, rq, id));
    return audit_insert_user(tx, rq, AUDIT_USER_UPDATED, id, audit_detail(rq->mem, "role", role_name(rank)));
}

Err user_change(Request *rq, DbTx *tx, int64_t id, const UserChange *change)
{
    const char *fields = arena_printf(rq->mem, "%s%s%s", change->username ? "username " : "",
                                      change->email ? "email " : "", change->display_name ? "name " : "");
    int64_t now_us = clock_unix_us(rq->clock);
    const Auth *auth = rq->service;
    OutboxRow announce;

    if (!fields[0])
        return OK;
    TRY(auth_store_change_user(tx, id, change->username, change->email, change->display_name, now_us));
    announce = user_profile_changed_event(rq->mem, auth->ids, id, now_us);
    TRY(outbox_insert(tx, &announce, false));
    return audit_insert_user(tx, rq, AUDIT_USER_UPDATED, id,
                             audit_detail(rq->mem, "fields", slice_cstr(rq->mem, slice_trim(slice(fields)))));
}

Err user_set_password(Request *rq, DbTx *tx, int64_t id, const char *password_hash)
{
    TRY(auth_store_set_password(tx, id, password_hash, clock_unix_us(rq->clock)));
    TRY(user_end_access(rq, tx, id, AUTH__V1__LOGIN_END__ENDED_BY_ADMIN));
    return audit_insert_user(tx, rq, AUDIT_USER_PASSWORD_RESET, id, NULL);
}

Err user_check_email(Request *rq, const char *text, const char **out)
{
    const Auth *auth = rq->service;
    const char *problem;
    Slice email;

    problem = email_parse(slice(text), auth->settings->email_allow_reserved, &email);
    if (problem)
        return err_make(&INVALID_EMAIL, "%s", problem);
    *out = slice_cstr(rq->mem, email);
    return OK;
}
