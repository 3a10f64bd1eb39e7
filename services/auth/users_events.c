/* users_events: administration of accounts in the manner of events' contract (section 16.3): ids in UUID form; admin,
 * editor and viewer for roles, of which the first is a rank and the others stand beside it. */
#include "services/auth/users_events.h"

#include "atrium/auth/v1/admin.service.h"
#include "services/auth/accounts.h"
#include "services/auth/audit.h"
#include "services/auth/erasure.h"
#include "services/auth/events.h"
#include "services/auth/invitations.h"
#include "services/auth/pages.h"
#include "services/auth/store_access.h"
#include "services/auth/text.h"
#include "services/auth/users.h"

static const char *const OWN_ROLES[] = {"editor", "viewer"};

static bool holds(const Account *account, const char *role)
{
    for (size_t i = 0; i < account->role_count; i++)
        if (strcmp(account->roles[i], role) == 0)
            return true;
    return false;
}

static const char *role_word(const Account *account)
{
    for (size_t i = 0; i < ARRAY_LEN(OWN_ROLES) && account->role != ROLE_ADMIN; i++)
        if (holds(account, OWN_ROLES[i]))
            return OWN_ROLES[i];
    return role_name(account->role);
}

void answer_admin_user(Request *rq, const UserRow *user, Auth__V1__AdminUser *out)
{
    const Account *a = &user->account;

    out->id = user_id_text(rq->mem, a->id);
    out->username = arena_strdup(rq->mem, a->username);
    out->email = a->email ? arena_strdup(rq->mem, a->email) : NULL;
    out->role = arena_strdup(rq->mem, role_word(a));
    out->status = arena_strdup(rq->mem, a->active ? "active" : user_is_pending(user) ? "pending" : "inactive");
    SET(out, is_active, a->active);
    out->created_at = timestamp(rq->mem, a->created_us);
    out->last_login_at = a->last_login_us ? timestamp(rq->mem, a->last_login_us) : NULL;
}

static Err answer_now(Request *rq, int64_t id, Auth__V1__AdminUser *out)
{
    UserRow user;

    TRY(user_load(rq, NULL, id, &user));
    answer_admin_user(rq, &user, out);
    return OK;
}

static Err parse_id(const char *text, int64_t *out)
{
    return user_id_parse(slice(text), out) ? OK : err_make(&INVALID_ARGUMENT, "user_id: not the id of a user");
}

/* ---------------------------------------------------------------------------------------------------- roles */
static bool is_own_role(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(OWN_ROLES); i++)
        if (strcmp(OWN_ROLES[i], word) == 0)
            return true;
    return false;
}

static Err check_role(const char *word)
{
    Role rank;

    if (!is_own_role(word) && (!role_parse(slice(word), &rank) || rank == ROLE_NONE))
        return err_make(&INVALID_ARGUMENT, "role: admin, editor or viewer");
    return OK;
}

/* One of the words at a time: the others go. */
static Err set_role(Request *rq, DbTx *tx, const UserRow *user, const char *word)
{
    int64_t id = user->account.id, now_us = clock_unix_us(rq->clock);
    Role rank = user->account.role == ROLE_ADMIN ? ROLE_USER : user->account.role;
    bool removed;

    if (strcmp(role_word(&user->account), word) == 0)
        return OK;
    (void)role_parse(slice(word), &rank); /* false: it stands beside the rank */
    TRY(user_set_rank(rq, tx, user, rank));
    for (size_t i = 0; i < ARRAY_LEN(OWN_ROLES); i++)
        TRY(auth_store_remove_role(tx, id, OWN_ROLES[i], &removed));
    if (is_own_role(word)) {
        TRY(access_may_grant(rq, tx, ROLE_NONE, &word, 1));
        TRY(auth_store_add_role(tx, id, word, rq->caller.user_id, now_us));
    }
    TRY(access_announce(tx, rq, id));
    return audit_insert_user(tx, rq, AUDIT_USER_UPDATED, id, audit_detail(rq->mem, "role", word));
}

/* ---------------------------------------------------------------------------------------------------- making */
static Err check_name(const char *username)
{
    return username_valid(slice(username))
               ? OK
               : err_make(&INVALID_USERNAME, "username: 2 to 32 letters, digits or underscores");
}

static void answer_secret(Request *rq, const InvitationSecret *secret, Auth__V1__AdminUser *out)
{
    SET(out, invitation_sent, secret->sent);
    out->invitation_url = arena_strdup(rq->mem, secret->url);
}

Err auth_v1_admin_create_user(Request *rq, const Auth__V1__AdminCreateUserRequest *in, Auth__V1__AdminUser *out)
{
    const Auth *auth = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    const char *role = in->role ? in->role : "viewer";
    UserRow user = {.account = {.username = in->username,
                                .display_name = in->username,
                                .provider = "local",
                                .role = ROLE_USER,
                                .created_us = clock_unix_us(rq->clock)}};
    InvitationSecret secret;
    Invitation invitation;
    OutboxRow announce;
    Role rank = ROLE_USER;

    TRY(check_name(in->username));
    TRY(user_check_email(rq, in->email, &user.account.email));
    TRY(check_role(role));
    user.account.id = id_next_user(auth->ids);
    TRY(db_tx_begin(rq, &tx));
    TRY(auth_store_insert_pending(&tx, &user.account));
    TRY(audit_insert_user(&tx, rq, AUDIT_USER_CREATED, user.account.id, NULL));
    TRY(set_role(rq, &tx, &user, role));
    TRY(invitation_for_account(rq, &tx, &user.account, role, &invitation, &secret));
    (void)role_parse(slice(role), &rank); /* false: it stands beside the rank */
    announce = user_registered_event(rq->mem, auth->ids, user.account.id, rank, user.account.created_us);
    TRY(outbox_insert(&tx, &announce, false));
    TRY(db_tx_commit(&tx));
    auth_nudge(rq);
    TRY(answer_now(rq, user.account.id, out));
    answer_secret(rq, &secret, out);
    return OK;
}

Err auth_v1_admin_resend_invitation(Request *rq, const Auth__V1__AdminUserId *in, Auth__V1__AdminInvitation *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    InvitationSecret secret;
    Invitation invitation;
    UserRow user;
    int64_t id;

    TRY(parse_id(in->user_id, &id));
    TRY(user_enter(rq, &tx, id, &user));
    if (!user_is_pending(&user))
        return err_make(&CONFLICT, "this account does not wait for its owner any more");
    TRY(invitation_for_account(rq, &tx, &user.account, role_word(&user.account), &invitation, &secret));
    TRY(audit_insert_user(&tx, rq, AUDIT_INVITATION_RENEWED, id, NULL));
    TRY(db_tx_commit(&tx));
    invitation_answer(rq, &user.account, &invitation, &secret, out);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- reading */
static Err read_status(const char *status, UserFilter *filter)
{
    static const bool YES = true, NO = false;

    if (!status || !status[0])
        return OK;
    if (strcmp(status, "active") == 0)
        filter->active = &YES;
    else if (strcmp(status, "pending") == 0)
        filter->pending = &YES;
    else if (strcmp(status, "inactive") == 0)
        filter->active = &NO, filter->pending = &NO;
    else
        return err_make(&INVALID_ARGUMENT, "status: pending, active or inactive");
    return OK;
}

Err auth_v1_admin_list_users(Request *rq, const Auth__V1__AdminListUsersRequest *in, Auth__V1__AdminListUsersReply *out)
{
    UserFilter filter = {.q = in->q && in->q[0] ? in->q : NULL, .role = in->role && in->role[0] ? in->role : NULL};
    UserRow *rows;
    size_t count;
    Page page;

    TRY(page_parse(rq, in->has_limit, in->limit, in->after, &page));
    TRY(read_status(in->status, &filter));
    if (!uuid_is_nil(page.after) && !uuid_to_user_id(page.after, &filter.before_id))
        return err_make(&INVALID_ARGUMENT, "after: not a cursor of this list");
    filter.limit = page.limit + 1;
    TRY(auth_store_list_users(rq, &filter, &rows, &count));
    out->n_items = page_shown(&page, count);
    out->items = ARENA_ARRAY(rq->mem, Auth__V1__AdminUser *, out->n_items + 1);
    for (size_t i = 0; i < out->n_items; i++) {
        out->items[i] = MESSAGE_NEW(rq->mem, Auth__V1__AdminUser, auth__v1__admin_user__init);
        answer_admin_user(rq, &rows[i], out->items[i]);
    }
    out->next_cursor = page_next(rq->mem, &page, count,
                                 out->n_items ? uuid_from_user_id(rows[out->n_items - 1].account.id) : (Uuid){{0}});
    return OK;
}

Err auth_v1_admin_get_user(Request *rq, const Auth__V1__AdminUserId *in, Auth__V1__AdminUser *out)
{
    int64_t id;

    TRY(parse_id(in->user_id, &id));
    return answer_now(rq, id, out);
}

/* ---------------------------------------------------------------------------------------------------- changing */
Err auth_v1_admin_update_user(Request *rq, const Auth__V1__AdminUpdateUserRequest *in, Auth__V1__AdminUser *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    UserChange change = {.username = in->username};
    UserRow user;
    int64_t id;

    TRY(parse_id(in->user_id, &id));
    if (in->username)
        TRY(check_name(in->username));
    if (in->email)
        TRY(user_check_email(rq, in->email, &change.email));
    if (in->role)
        TRY(check_role(in->role));
    TRY(user_enter(rq, &tx, id, &user));
    TRY(user_change(rq, &tx, id, &change));
    if (in->role)
        TRY(set_role(rq, &tx, &user, in->role));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    return answer_now(rq, id, out);
}

Err auth_v1_admin_delete_user(Request *rq, const Auth__V1__AdminUserId *in, Auth__V1__AdminNothing *out)
{
    int64_t id;
    (void)out;

    TRY(parse_id(in->user_id, &id));
    return erasure_of_other(rq, id);
}

static Err change_activity(Request *rq, const char *user_id, bool active, Auth__V1__AdminUser *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    UserRow user;
    int64_t id;

    TRY(parse_id(user_id, &id));
    TRY(user_refuse_self(rq, id));
    TRY(user_enter(rq, &tx, id, &user));
    TRY(user_set_active(rq, &tx, id, active));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    return answer_now(rq, id, out);
}

Err auth_v1_admin_activate_user(Request *rq, const Auth__V1__AdminUserId *in, Auth__V1__AdminUser *out)
{
    return change_activity(rq, in->user_id, true, out);
}

Err auth_v1_admin_deactivate_user(Request *rq, const Auth__V1__AdminUserId *in, Auth__V1__AdminUser *out)
{
    return change_activity(rq, in->user_id, false, out);
}
