/* users_sessions: administration of accounts in the manner of sessions' contract (section 6). What everybody may ask
 * for, the share dialog needs: names of active users. */
#include "atrium/auth/v1/admin.service.h"
#include "services/auth/accounts.h"
#include "services/auth/answers.h"
#include "services/auth/audit.h"
#include "services/auth/email.h"
#include "services/auth/erasure.h"
#include "services/auth/events.h"
#include "services/auth/pages.h"
#include "services/auth/second_factor.h"
#include "services/auth/text.h"
#include "services/auth/users.h"

enum { USERS_AT_MOST = 2000, FULL_NAME_MAX_CHARS = 100 };

/* An id in either form, or a username. */
static Err find_user(Request *rq, const char *word, int64_t *out)
{
    Account account;

    if (word && strcmp(word, "me") == 0) {
        *out = rq->caller.user_id;
        return OK;
    }
    if (user_id_parse(slice(word), out))
        return OK;
    TRY(auth_store_account_by_username(rq, word ? word : "", &account));
    if (account.id == 0)
        return err_make(&USER_NOT_FOUND, "there is no such user");
    *out = account.id;
    return OK;
}

static Err answer_now(Request *rq, int64_t id, Auth__V1__User *out)
{
    UserRow user;

    TRY(user_load(rq, NULL, id, &user));
    answer_user_in(rq, MANNER_SESSIONS, &user.account, out);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- reading */
static void answer_name(Request *rq, const Account *account, Auth__V1__User *out)
{
    SET(out, id, account->id);
    out->username = arena_strdup(rq->mem, account->username);
    out->sessions_full_name = arena_strdup(rq->mem, account->display_name);
}

Err auth_v1_list_users(Request *rq, const Auth__V1__ListUsersRequest *in, Auth__V1__ListUsersReply *out)
{
    static const bool YES = true;
    const bool asked_active = in->active, reads_all = caller_may(&rq->caller, "auth.users.read");
    UserFilter filter = {.limit = USERS_AT_MOST, .active = in->has_active ? &asked_active : NULL};
    UserRow *rows;
    int64_t total;
    size_t count;

    if (reads_all) {
        filter.role = in->role && in->role[0] ? in->role : NULL;
        filter.provider = in->provider && in->provider[0] ? in->provider : NULL;
    } else {
        filter.active = &YES;
    }
    TRY(auth_store_list_users_by_name(rq, &filter, &rows, &count, &total));
    out->users = ARENA_ARRAY(rq->mem, Auth__V1__User *, count + 1);
    for (size_t i = 0; i < count; i++) {
        out->users[i] = MESSAGE_NEW(rq->mem, Auth__V1__User, auth__v1__user__init);
        if (reads_all)
            answer_user_in(rq, MANNER_SESSIONS, &rows[i].account, out->users[i]);
        else
            answer_name(rq, &rows[i].account, out->users[i]);
    }
    out->n_users = count;
    SET(out, total, (int32_t)total);
    return OK;
}

Err auth_v1_get_user(Request *rq, const Auth__V1__GetUserRequest *in, Auth__V1__User *out)
{
    bool reads_all = caller_may(&rq->caller, "auth.users.read");
    int64_t id;
    Err e = find_user(rq, in->user_id, &id);

    /* To others a name that nobody has looks like one that somebody has. */
    if (!reads_all && (err_failed(e) || id != rq->caller.user_id))
        return err_make(&PERMISSION_DENIED, "only of yourself");
    TRY(e);
    return answer_now(rq, id, out);
}

/* ---------------------------------------------------------------------------------------------------- making */
static Err check_full_name(const char *name)
{
    size_t chars = utf8_length(slice(name));

    return chars >= 1 && chars <= FULL_NAME_MAX_CHARS
               ? OK
               : err_make(&INVALID_ARGUMENT, "fullName: 1 to %d characters", FULL_NAME_MAX_CHARS);
}

static Err check_new_user(Request *rq, const Auth__V1__NewUserRequest *in, AccountDraft *out)
{
    AccountDraft draft = {.username = in->username, .password = in->password, .role = ROLE_USER};

    if (!username_valid(slice(in->username)))
        return err_make(&INVALID_USERNAME, "username: 2 to 32 letters, digits or underscores");
    TRY(user_check_email(rq, in->email, &draft.email));
    TRY(check_full_name(in->full_name));
    if (in->provider && in->provider[0] && strcmp(in->provider, "local") != 0)
        return err_make(&INVALID_ARGUMENT, "provider: accounts of others come with their first sign-in");
    if (in->role && in->role[0] && (!role_parse(slice(in->role), &draft.role) || draft.role == ROLE_NONE))
        return err_make(&INVALID_ARGUMENT, "role: user, operator or admin");
    TRY(access_may_grant(rq, NULL, draft.role, NULL, 0));
    TRY(password_accept(rq, &LONG_PASSWORD, draft.password));
    *out = draft;
    return OK;
}

Err auth_v1_new_user(Request *rq, const Auth__V1__NewUserRequest *in, Auth__V1__User *out)
{
    const Auth *auth = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    OutboxRow announce;
    AccountDraft draft;
    Account account;

    TRY(check_new_user(rq, in, &draft));
    TRY(account_prepare(rq, &draft, &account));
    account.display_name = in->full_name;
    TRY(db_tx_begin(rq, &tx));
    TRY(store_insert_account(&tx, &account));
    announce = user_registered_event(rq->mem, auth->ids, account.id, account.role, account.created_us);
    TRY(outbox_insert(&tx, &announce, false));
    TRY(audit_insert_user(&tx, rq, AUDIT_USER_CREATED, account.id,
                          audit_detail(rq->mem, "role", role_name(account.role))));
    TRY(db_tx_commit(&tx));
    auth_nudge(rq);
    return answer_now(rq, account.id, out);
}

/* ---------------------------------------------------------------------------------------------------- changing */
static Err check_change(Request *rq, const Auth__V1__UpdateUserRequest *in, UserChange *out, Role *out_rank)
{
    UserChange change = {.display_name = in->full_name};

    *out_rank = ROLE_NONE;
    if (in->email)
        TRY(user_check_email(rq, in->email, &change.email));
    if (in->full_name)
        TRY(check_full_name(in->full_name));
    if (in->role && (!role_parse(slice(in->role), out_rank) || *out_rank == ROLE_NONE))
        return err_make(&INVALID_ARGUMENT, "role: user, operator or admin");
    *out = change;
    return OK;
}

/* Takes one's own new address out of the change: it has a way of its own. What he has already is none. */
static Err take_own_email(Request *rq, const char *password, UserChange *change, const char **out)
{
    const char *email = MOVE(change->email);
    Account account;

    *out = NULL;
    TRY(account_of_caller(rq, &account));
    if (account.email && slice_eq_nocase(slice(account.email), slice(email)))
        return OK;
    TRY(caller_prove(rq, password, NULL));
    *out = email;
    return OK;
}

Err auth_v1_update_user(Request *rq, const Auth__V1__UpdateUserRequest *in, Auth__V1__User *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool writes_all = caller_may(&rq->caller, "auth.users.write"), sent;
    const char *own_email = NULL;
    UserChange change;
    UserRow user;
    int64_t id;
    Role rank;
    Err found = find_user(rq, in->user_id, &id);

    if (!writes_all && (err_failed(found) || id != rq->caller.user_id || in->role || in->has_active))
        return err_make(&PERMISSION_DENIED, "of yourself, e-mail address and name");
    TRY(found);
    TRY(check_change(rq, in, &change, &rank));
    if (in->has_active && !in->active)
        TRY(user_refuse_self(rq, id));
    if (change.email && id == rq->caller.user_id)
        TRY(take_own_email(rq, in->password, &change, &own_email));
    TRY(user_enter(rq, &tx, id, &user));
    TRY(user_change(rq, &tx, id, &change));
    if (own_email)
        TRY(email_change_own(rq, &tx, own_email, &sent));
    if (rank != ROLE_NONE)
        TRY(user_set_rank(rq, &tx, &user, rank));
    if (in->has_active)
        TRY(user_set_active(rq, &tx, id, in->active));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    return answer_now(rq, id, out);
}

Err auth_v1_delete_user(Request *rq, const Auth__V1__GetUserRequest *in, Auth__V1__MessageReply *out)
{
    int64_t id;

    TRY(find_user(rq, in->user_id, &id));
    TRY(erasure_of_other(rq, id));
    out->message = arena_strdup(rq->mem, "user deleted");
    return OK;
}
