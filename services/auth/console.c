/* console: events' manner of logins (contracts/events.md sections 2.4 and 16.2), and what of sessions' is not offered.
 */
#include "services/auth/console.h"

#include "atrium/auth/v1/console.service.h"
#include "services/auth/accounts.h"
#include "services/auth/cookies.h"
#include "services/auth/events.h"
#include "services/auth/login.h"

static const char CONSOLE_COOKIE[] = "auth_token", PORTAL_COOKIE[] = "dev_auth_token";
static const char WRONG_LOGIN[] = "invalid username or password";

/* The one word that the contract has for what somebody is: the highest. */
static const char *word_for(const Access *access)
{
    static const char *const WORDS[] = {"editor", "viewer", "developer"};

    if (access->rank == ROLE_ADMIN)
        return "admin";
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        for (size_t j = 0; j < access->role_count; j++)
            if (strcmp(access->roles[j], WORDS[i]) == 0)
                return WORDS[i];
    return "user";
}

static void set_token_cookie(Request *rq, const Tokens *tokens, const char *cookie)
{
    cookie_set(rq, cookie, tokens->token, (tokens->token_expires_us - tokens->now_us + 999999) / 1000000, COOKIE_PLAIN);
}

void portal_set_cookie(Request *rq, const Tokens *tokens)
{
    set_token_cookie(rq, tokens, PORTAL_COOKIE);
}

static void answer_session(Request *rq, const Tokens *tokens, const Account *account, const Access *access,
                           const char *cookie, Auth__V1__ConsoleSession *out)
{
    out->token = arena_strdup(rq->mem, tokens->token);
    out->expires_at = timestamp(rq->mem, tokens->token_expires_us);
    out->user = MESSAGE_NEW(rq->mem, Auth__V1__ConsoleUser, auth__v1__console_user__init);
    out->user->id = arena_printf(rq->mem, "%" PRId64, account->id);
    out->user->username = arena_strdup(rq->mem, account->username);
    out->user->email = account->email ? arena_strdup(rq->mem, account->email) : NULL;
    out->user->role = arena_strdup(rq->mem, word_for(access));
    set_token_cookie(rq, tokens, cookie);
}

static Err log_in(Request *rq, const Auth__V1__ConsoleLoginRequest *in, Tokens *out_tokens, Account *out_account,
                  Access *out_access)
{
    const char *name = in->username && in->username[0] ? in->username : in->email;
    const LoginTry attempt = {
        .name = name, .password = in->password, .otp = in->otp, .refusal = WRONG_LOGIN, .set = TOKENS_CONSOLE};

    if (!name || !name[0] || !in->password || !in->password[0])
        return err_make(&INVALID_ARGUMENT, "username and password are required");
    TRY(login_by_password(rq, &attempt, out_tokens, out_account));
    return access_of_user(rq, NULL, out_account->id, out_access);
}

Err auth_v1_console_login(Request *rq, const Auth__V1__ConsoleLoginRequest *in, Auth__V1__ConsoleSession *out)
{
    Account account;
    Access access;
    Tokens tokens;

    TRY(log_in(rq, in, &tokens, &account, &access));
    answer_session(rq, &tokens, &account, &access, CONSOLE_COOKIE, out);
    return OK;
}

bool access_is_developer(const Access *access)
{
    const Caller caller = {.kind = CALLER_PERSON,
                           .role = access->rank,
                           .permissions = access->permissions,
                           .permission_count = access->permission_count};

    return caller_may(&caller, "auth.keys.own");
}

/* Only after the password: nobody learns from outside who is a developer. */
Err auth_v1_portal_login(Request *rq, const Auth__V1__ConsoleLoginRequest *in, Auth__V1__ConsoleSession *out)
{
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__LOGGED_OUT);
    Account account;
    Access access;
    Tokens tokens;
    bool ended;

    TRY(log_in(rq, in, &tokens, &account, &access));
    if (!access_is_developer(&access)) {
        TRY(auth_store_end_login(rq, account.id, tokens.login_id, &ending, &ended));
        auth_nudge(rq);
        return err_make(&PERMISSION_DENIED, "this account is no developer's");
    }
    answer_session(rq, &tokens, &account, &access, PORTAL_COOKIE, out);
    return OK;
}

static Err log_out(Request *rq, const char *cookie, Auth__V1__MessageReply *out)
{
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__LOGGED_OUT);
    bool ended;

    if (rq->caller.kind == CALLER_PERSON) {
        TRY(auth_store_end_login(rq, rq->caller.user_id, login_of_caller(rq), &ending, &ended));
        auth_settle(rq);
    }
    cookie_clear(rq, cookie, COOKIE_PLAIN);
    out->message = arena_strdup(rq->mem, "logged out");
    return OK;
}

Err auth_v1_console_logout(Request *rq, const Auth__V1__ConsoleLogoutRequest *in, Auth__V1__MessageReply *out)
{
    (void)in;
    return log_out(rq, CONSOLE_COOKIE, out);
}

Err auth_v1_portal_logout(Request *rq, const Auth__V1__ConsoleLogoutRequest *in, Auth__V1__MessageReply *out)
{
    (void)in;
    return log_out(rq, PORTAL_COOKIE, out);
}

Err auth_v1_saml_login(Request *rq, const Auth__V1__SamlRequest *in, Auth__V1__MessageReply *out)
{
    (void)rq, (void)in, (void)out;
    return err_make(&SAML_NOT_CONFIGURED, "SAML is not configured");
}
