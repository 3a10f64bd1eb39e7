/* accounts: making, showing and changing them. */
#include "services/auth/accounts.h"

#include "services/auth/answers.h"
#include "services/auth/defence.h"
#include "services/auth/events.h"
#include "services/auth/passwords.h"
#include "services/auth/registration.h"
#include "services/auth/store_groups.h"
#include "services/auth/text.h"
#include "services/auth/users.h"

enum { USERNAME_ATTEMPTS = 8, SETTLE_MS = 250 };

static bool is_empty(const char *text)
{
    return !text || text[0] == '\0';
}

/* ---------------------------------------------------------------------------------------------------- shared rules */
Ending ending_now(const Request *rq, Auth__V1__LoginEnd why)
{
    const Auth *auth = rq->service;

    return (Ending){.ids = auth->ids, .why = why, .at_us = clock_unix_us(rq->clock)};
}

void auth_nudge(const Request *rq)
{
    const Auth *auth = rq->service;

    outbox_nudge(auth->outbox);
}

void auth_settle(const Request *rq)
{
    const Auth *auth = rq->service;

    (void)outbox_settle(auth->outbox, MIN(SETTLE_MS, request_remaining_ms(rq)));
}

Uuid login_of_caller(const Request *rq)
{
    Uuid id;

    return uuid_parse(slice(rq->caller.login_id), &id) ? id : (Uuid){{0}};
}

/* An invitation's role is a rank, or one beside it. */
static void add_invited_role(Request *rq, const char *role, Account *account)
{
    const char **roles;

    if (role_parse(slice(role), &account->role))
        return;
    roles = ARENA_ARRAY(rq->mem, const char *, 1);
    roles[0] = role;
    account->roles = roles;
    account->role_count = 1;
}

Err account_prepare(Request *rq, const AccountDraft *draft, Account *out)
{
    const Auth *auth = rq->service;
    int64_t now_us = clock_unix_us(rq->clock);
    char *hash;

    TRY(password_hash(rq, draft->password, &hash));
    *out = (Account){
        .id = id_next_user(auth->ids),
        .username = is_empty(draft->username) ? NULL : draft->username,
        .display_name = draft->username,
        .email = is_empty(draft->email) ? NULL : draft->email,
        .password_hash = hash,
        .provider = "local",
        .role = draft->role,
        .active = true,
        .created_us = now_us,
        .updated_us = now_us,
        .invitation = draft->invitation,
    };
    if (draft->invitation)
        add_invited_role(rq, draft->invitation->role, out);
    return OK;
}

static Err store_once(Request *rq, const Account *account, const Tokens *tokens, Uuid *out_login_id)
{
    const Auth *auth = rq->service;
    OutboxRow announce = user_registered_event(rq->mem, auth->ids, account->id, account->role, account->created_us);
    NewLogin login;

    if (!tokens)
        return auth_store_insert_account(rq, account, NULL, &announce);
    login = tokens_new_login(rq, tokens, account->id);
    *out_login_id = login.id;
    return auth_store_insert_account(rq, account, &login, &announce);
}

Err account_store(Request *rq, Account *account, Tokens *tokens)
{
    bool make_name = account->username == NULL;
    Uuid login_id = {{0}};
    Err e = OK;

    if (tokens)
        account->last_login_us = tokens->now_us;
    for (int attempt = 0; attempt < USERNAME_ATTEMPTS; attempt++) {
        if (make_name)
            account->display_name = account->username = username_for_email(rq->mem, slice(account->email), attempt);
        e = store_once(rq, account, tokens, &login_id);
        if (e.reason != &USERNAME_TAKEN || !make_name)
            break;
    }
    TRY(e);
    auth_nudge(rq);
    if (!tokens)
        return OK;
    tokens_mint(rq, tokens, account, login_id);
    return defence_know(rq, account->id);
}

Err account_of_caller(Request *rq, Account *out)
{
    Account account;

    TRY(auth_store_account(rq, rq->caller.user_id, &account));
    if (account.id == 0)
        return err_make(&NOT_FOUND, "user not found");
    if (!account.active)
        return err_make(&PERMISSION_DENIED, "this account is disabled");
    *out = account;
    return OK;
}

Err account_change_password(Request *rq, const char *old_password, const char *new_password)
{
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__PASSWORD_CHANGED);
    Defence defence;
    Account account;
    bool right = false;
    char *hash;

    TRY(account_of_caller(rq, &account));
    if (!account.password_hash)
        return err_make(&NO_PASSWORD, "this account signs in elsewhere and has no password here");
    TRY(defence_enter_as(rq, DEFENCE_PROOF, account.id, &defence));
    TRY(password_check(rq, account.password_hash, old_password, &right));
    if (!right) {
        TRY(defence_failed(rq, &defence));
        return err_make(&INVALID_CREDENTIALS, "the old password is wrong");
    }
    TRY(defence_passed(rq, &defence, account.id));
    TRY(password_hash(rq, new_password, &hash));
    TRY(auth_store_change_password(rq, account.id, hash, login_of_caller(rq), &ending));
    auth_settle(rq);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- handlers */
/* An e-mail address is ours: the original takes a username only. */
Err auth_v1_register(Request *rq, const Auth__V1__RegisterRequest *in, Auth__V1__AuthResult *out)
{
    AccountDraft draft = {.username = in->username, .password = in->password ? in->password : "", .role = ROLE_USER};
    Tokens tokens;
    Account account;

    if (!username_valid(slice(in->username)) && (!is_empty(in->username) || is_empty(in->email)))
        return err_make(&INVALID_USERNAME, "username must be 2-32 alphanumeric or underscore characters");
    TRY(password_accept(rq, &CHAT_PASSWORD, draft.password));
    if (!is_empty(in->email))
        TRY(user_check_email(rq, in->email, &draft.email));
    TRY(registration_enter(rq, in->invitation, "registration is closed", &draft));
    TRY(account_prepare(rq, &draft, &account));
    tokens = tokens_make(rq, token_set_of(rq));
    TRY(account_store(rq, &account, &tokens));
    answer_tokens(rq, &tokens, &account, out);
    return OK;
}

static Err add_groups(Request *rq, Auth__V1__User *out)
{
    GroupRow *rows;
    size_t count;

    TRY(auth_store_list_groups(rq, rq->caller.user_id, &rows, &count));
    out->groups = ARENA_ARRAY(rq->mem, char *, count + 1);
    for (size_t i = 0; i < count; i++)
        out->groups[i] = arena_strdup(rq->mem, rows[i].id);
    out->n_groups = count;
    return OK;
}

Err auth_v1_get_me(Request *rq, const Auth__V1__GetMeRequest *in, Auth__V1__User *out)
{
    Account account;
    (void)in;

    TRY(account_of_caller(rq, &account));
    answer_user(rq, &account, out);
    /* Sessions' clients alone look at them. */
    return manner_of(rq) == MANNER_SESSIONS ? add_groups(rq, out) : OK;
}

Err auth_v1_update_me(Request *rq, const Auth__V1__UpdateMeRequest *in, Auth__V1__User *out)
{
    const char *avatar = in->avatar ? in->avatar : in->avatar_hash;
    size_t name_chars = utf8_length(slice(in->display_name));
    int64_t now_us = clock_unix_us(rq->clock);
    const Auth *auth = rq->service;
    OutboxRow announce;
    Account account;

    if (in->display_name && (name_chars == 0 || name_chars > DISPLAY_NAME_MAX_CHARS))
        return err_make(&INVALID_DISPLAY_NAME, "display name must be 1-32 characters");
    if (avatar && utf8_length(slice(avatar)) > AVATAR_MAX_CHARS)
        return err_make(&INVALID_AVATAR, "avatar must be at most %d characters", AVATAR_MAX_CHARS);
    if (!in->display_name && !avatar)
        return auth_v1_get_me(rq, NULL, out);
    announce = user_profile_changed_event(rq->mem, auth->ids, rq->caller.user_id, now_us);
    TRY(auth_store_update_profile(rq, rq->caller.user_id, in->display_name, avatar, now_us, &announce, &account));
    if (account.id == 0)
        return err_make(&NOT_FOUND, "user not found");
    auth_nudge(rq);
    answer_user(rq, &account, out);
    return OK;
}

Err auth_v1_change_password(Request *rq, const Auth__V1__ChangePasswordRequest *in, Auth__V1__MessageReply *out)
{
    if (is_empty(in->old_password))
        return err_make(&INVALID_ARGUMENT, "oldPassword is required");
    TRY(password_accept(rq, &LONG_PASSWORD, in->new_password));
    TRY(account_change_password(rq, in->old_password, in->new_password));
    out->message = arena_strdup(rq->mem, "password changed");
    return OK;
}

static Err check_new_user(Request *rq, const Auth__V1__CreateUserRequest *in, AccountDraft *out)
{
    AccountDraft draft = {.username = in->username, .role = ROLE_USER};

    if (!username_valid(slice(in->username)) && (!is_empty(in->username) || is_empty(in->email)))
        return err_make(&INVALID_USERNAME, "username must be 2-32 alphanumeric or underscore characters");
    if (!is_empty(in->password))
        TRY(password_accept(rq, &CHAT_PASSWORD, in->password));
    if (!is_empty(in->email))
        TRY(user_check_email(rq, in->email, &draft.email));
    if (!is_empty(in->role) && (!role_parse(slice(in->role), &draft.role) || draft.role == ROLE_NONE))
        return err_make(&INVALID_ARGUMENT, "role must be user, operator or admin");
    *out = draft;
    return OK;
}

Err auth_v1_create_user(Request *rq, const Auth__V1__CreateUserRequest *in, Auth__V1__CreateUserReply *out)
{
    bool made_up = is_empty(in->password);
    AccountDraft draft;
    Account account;

    TRY(check_new_user(rq, in, &draft));
    draft.password = made_up ? password_make(rq->mem) : in->password;
    TRY(account_prepare(rq, &draft, &account));
    TRY(account_store(rq, &account, NULL));
    out->user = MESSAGE_NEW(rq->mem, Auth__V1__User, auth__v1__user__init);
    answer_user(rq, &account, out->user);
    if (made_up)
        out->password = arena_strdup(rq->mem, draft.password);
    return OK;
}
