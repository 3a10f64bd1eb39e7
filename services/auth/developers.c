/* developers: accounts with the role developer, in the manner of events' contract (sections 2.3 and 2.4): they make API
 * keys of their own, so many at most. */
#include "atrium/auth/v1/admin.service.h"
#include "services/auth/accounts.h"
#include "services/auth/audit.h"
#include "services/auth/events.h"
#include "services/auth/invitations.h"
#include "services/auth/keys.h"
#include "services/auth/pages.h"
#include "services/auth/store_access.h"
#include "services/auth/store_developers.h"
#include "services/auth/text.h"
#include "services/auth/users.h"

enum { NAME_MAX_CHARS = 100, MAX_KEYS_MOST = 1000, NAME_ATTEMPTS = 8 };
static const char ROLE[] = "developer";

static bool is_developer(const Account *account)
{
    for (size_t i = 0; i < account->role_count; i++)
        if (strcmp(account->roles[i], ROLE) == 0)
            return true;
    return false;
}

static Err not_found(void)
{
    return err_make(&USER_NOT_FOUND, "there is no such developer");
}

static Err parse_id(const char *text, int64_t *out)
{
    return user_id_parse(slice(text), out) ? OK : err_make(&INVALID_ARGUMENT, "user_id: not the id of a user");
}

/* ---------------------------------------------------------------------------------------------------- reading */
static void answer_developer(Request *rq, const Account *account, const DeveloperRow *row, Auth__V1__Developer *out)
{
    out->id = user_id_text(rq->mem, account->id);
    out->email = account->email ? arena_strdup(rq->mem, account->email) : NULL;
    out->name = arena_strdup(rq->mem, account->display_name);
    out->github_username = row->github_username ? arena_strdup(rq->mem, row->github_username) : NULL;
    SET(out, max_keys, (int32_t)row->max_keys);
    SET(out, key_count, (int32_t)row->key_count);
    SET(out, is_active, account->active);
    out->created_at = timestamp(rq->mem, account->created_us);
    out->last_login_at = account->last_login_us ? timestamp(rq->mem, account->last_login_us) : NULL;
}

static Err find_facts(Request *rq, const int64_t *ids, size_t count, DeveloperRow **out)
{
    const Auth *auth = rq->service;

    return auth_store_developers(rq, ids, count, auth->settings->dev_max_keys, clock_unix_us(rq->clock), out);
}

static Err answer_now(Request *rq, int64_t id, Auth__V1__Developer *out)
{
    DeveloperRow *facts;
    UserRow user;

    TRY(user_load(rq, NULL, id, &user));
    if (!is_developer(&user.account))
        return not_found();
    TRY(find_facts(rq, &id, 1, &facts));
    answer_developer(rq, &user.account, &facts[0], out);
    return OK;
}

Err auth_v1_list_developers(Request *rq, const Auth__V1__AdminListUsersRequest *in, Auth__V1__ListDevelopersReply *out)
{
    UserFilter filter = {.q = in->q && in->q[0] ? in->q : NULL, .role = ROLE};
    int64_t ids[PAGE_MAX];
    DeveloperRow *facts;
    UserRow *rows;
    size_t count;
    Page page;

    TRY(page_parse(rq, in->has_limit, in->limit, in->after, &page));
    if (!uuid_is_nil(page.after) && !uuid_to_user_id(page.after, &filter.before_id))
        return err_make(&INVALID_ARGUMENT, "after: not a cursor of this list");
    filter.limit = page.limit + 1;
    TRY(auth_store_list_users(rq, &filter, &rows, &count));
    out->n_items = page_shown(&page, count);
    for (size_t i = 0; i < out->n_items; i++)
        ids[i] = rows[i].account.id;
    TRY(find_facts(rq, ids, out->n_items, &facts));
    out->items = ARENA_ARRAY(rq->mem, Auth__V1__Developer *, out->n_items + 1);
    for (size_t i = 0; i < out->n_items; i++) {
        out->items[i] = MESSAGE_NEW(rq->mem, Auth__V1__Developer, auth__v1__developer__init);
        answer_developer(rq, &rows[i].account, &facts[i], out->items[i]);
    }
    out->next_cursor =
        page_next(rq->mem, &page, count, out->n_items ? uuid_from_user_id(ids[out->n_items - 1]) : (Uuid){{0}});
    return OK;
}

Err auth_v1_get_developer(Request *rq, const Auth__V1__AdminUserId *in, Auth__V1__Developer *out)
{
    int64_t id;

    TRY(parse_id(in->user_id, &id));
    return answer_now(rq, id, out);
}

/* ---------------------------------------------------------------------------------------------------- inviting */
static Err check_name(const char *name)
{
    size_t chars = utf8_length(slice(name));

    return chars >= 1 && chars <= NAME_MAX_CHARS
               ? OK
               : err_make(&INVALID_ARGUMENT, "name: 1 to %d characters", NAME_MAX_CHARS);
}

static Err check_max_keys(bool given, int32_t max_keys)
{
    if (given && (max_keys < 0 || max_keys > MAX_KEYS_MOST))
        return err_make(&INVALID_ARGUMENT, "max_keys: 0 to %d", MAX_KEYS_MOST);
    return OK;
}

/* The account that waits for its owner, with the role. */
static Err store_developer(Request *rq, DbTx *tx, Account *account, const Auth__V1__InviteDeveloperRequest *in)
{
    const Auth *auth = rq->service;
    const char *const roles[] = {ROLE};
    OutboxRow announce = user_registered_event(rq->mem, auth->ids, account->id, account->role, account->created_us);
    Err e = OK;

    TRY(access_may_grant(rq, tx, ROLE_NONE, roles, 1));
    for (int attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        account->username = username_for_email(rq->mem, slice(account->email), attempt);
        TRY(db_savepoint(tx));
        e = auth_store_insert_pending(tx, account);
        if (e.reason != &USERNAME_TAKEN)
            break;
        TRY(db_savepoint_rollback(tx));
    }
    TRY(e);
    TRY(auth_store_add_role(tx, account->id, ROLE, rq->caller.user_id, account->created_us));
    if (in->has_max_keys)
        TRY(auth_store_set_key_allowance(tx, account->id, in->max_keys));
    TRY(outbox_insert(tx, &announce, false));
    return audit_insert_user(tx, rq, AUDIT_USER_CREATED, account->id, audit_detail(rq->mem, "role", ROLE));
}

Err auth_v1_invite_developer(Request *rq, const Auth__V1__InviteDeveloperRequest *in, Auth__V1__AdminInvitation *out)
{
    const Auth *auth = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Account account = {
        .provider = "local", .display_name = in->name, .role = ROLE_USER, .created_us = clock_unix_us(rq->clock)};
    InvitationSecret secret;
    Invitation invitation;

    TRY(user_check_email(rq, in->email, &account.email));
    TRY(check_name(in->name));
    TRY(check_max_keys(in->has_max_keys, in->max_keys));
    account.id = id_next_user(auth->ids);
    TRY(db_tx_begin(rq, &tx));
    TRY(store_developer(rq, &tx, &account, in));
    TRY(invitation_for_account(rq, &tx, &account, ROLE, &invitation, &secret));
    TRY(db_tx_commit(&tx));
    auth_nudge(rq);
    invitation_answer(rq, &account, &invitation, &secret, out);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- changing */
static Err enter(Request *rq, DbTx *tx, const char *user_id, UserRow *out)
{
    int64_t id;

    TRY(parse_id(user_id, &id));
    TRY(user_enter(rq, tx, id, out));
    return is_developer(&out->account) ? OK : not_found();
}

Err auth_v1_update_developer(Request *rq, const Auth__V1__UpdateDeveloperRequest *in, Auth__V1__Developer *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    UserChange change = {.display_name = in->name};
    UserRow user;
    int64_t id;

    if (in->name)
        TRY(check_name(in->name));
    TRY(check_max_keys(in->has_max_keys, in->max_keys));
    TRY(enter(rq, &tx, in->user_id, &user));
    id = user.account.id;
    TRY(user_change(rq, &tx, id, &change));
    if (in->has_max_keys) {
        TRY(auth_store_set_key_allowance(&tx, id, in->max_keys));
        TRY(audit_insert_user(&tx, rq, AUDIT_USER_UPDATED, id, audit_detail(rq->mem, "fields", "max_keys")));
    }
    if (in->has_is_active) {
        TRY(user_refuse_self(rq, id));
        TRY(user_set_active(rq, &tx, id, in->is_active));
    }
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    return answer_now(rq, id, out);
}

Err auth_v1_delete_developer(Request *rq, const Auth__V1__AdminUserId *in, Auth__V1__AdminNothing *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__KEY_REVOKED);
    UserRow user;
    bool removed;
    (void)out;

    TRY(enter(rq, &tx, in->user_id, &user));
    TRY(auth_store_remove_role(&tx, user.account.id, ROLE, &removed));
    if (!removed)
        return err_make(&CONFLICT, "the role comes with a group");
    TRY(keys_end_of_user(rq, &tx, user.account.id, &ending));
    TRY(access_announce(&tx, rq, user.account.id));
    TRY(audit_insert_user(&tx, rq, AUDIT_USER_ROLE_REVOKED, user.account.id, audit_detail(rq->mem, "role", ROLE)));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    return OK;
}
