/* logins: beginning, refreshing, listing and ending them. */
#include "services/auth/accounts.h"

#include "services/auth/answers.h"
#include "services/auth/events.h"
#include "services/auth/login.h"

static const char WRONG_LOGIN[] = "invalid username or password";

/* ---------------------------------------------------------------------------------------------------- login */
Err auth_v1_login(Request *rq, const Auth__V1__LoginRequest *in, Auth__V1__AuthResult *out)
{
    const char *name = in->username && in->username[0] ? in->username : in->email;
    LoginTry attempt = {.name = name ? name : "",
                        .password = in->password ? in->password : "",
                        .otp = in->otp,
                        .refusal = WRONG_LOGIN,
                        .set = token_set_of(rq)};
    Tokens tokens;
    Account account;

    if (manner_of(rq) == MANNER_SESSIONS && (!name || !name[0] || !in->password || !in->password[0]))
        return err_make(&INVALID_ARGUMENT, "username and password are required");
    TRY(login_by_password(rq, &attempt, &tokens, &account));
    answer_tokens(rq, &tokens, &account, out);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- refresh */
static Err invalid_refresh(void)
{
    return err_make(&INVALID_TOKEN, "invalid or expired refresh token");
}

/* Chat's way: the login goes on with a new refresh token. Role and active are read anew. */
static Err refresh_by_refresh_token(Request *rq, const char *presented, Auth__V1__AuthResult *out)
{
    const Auth *auth = rq->service;
    Tokens tokens = tokens_make(rq, token_set_of(rq) | TOKENS_CHAT);
    Refresh refresh = {
        .presented_hash = token_hash(rq->mem, presented),
        .successor_hash = token_hash(rq->mem, tokens.refresh_token),
        .lenient = profile_keeps_refresh_token(rq),
        .token_jti = tokens.token_jti,
        .now_us = tokens.now_us,
        .successor_expires_us = tokens_refresh_expires_us(rq, &tokens),
        .login_expires_us = tokens_login_expires_us(rq, &tokens),
        .ids = auth->ids,
    };
    RefreshOutcome outcome;
    Account account;
    Uuid login_id;

    TRY(auth_store_refresh(rq, &refresh, &outcome, &login_id, &account));
    if (outcome == REFRESH_REUSED)
        auth_settle(rq);
    if (outcome != REFRESH_DONE)
        return invalid_refresh();
    tokens_mint(rq, &tokens, &account, login_id);
    answer_tokens(rq, &tokens, &account, out);
    return OK;
}

/* Sessions' way: the long JWT, while it lives, for a new one. A JWT can only be revoked with its login, so a new login
 * of the same family takes the old one's place. That at most seven days may remain needs no check: TOKEN_TTL is no
 * longer. The short access token is no such token: its jti is not the login's. */
static Err refresh_by_token(Request *rq, const char *presented, Auth__V1__AuthResult *out)
{
    const Auth *auth = rq->service;
    Tokens tokens = tokens_make(rq, token_set_of(rq) | TOKENS_SESSIONS);
    NewLogin login = tokens_new_login(rq, &tokens, 0);
    JwtClaims claims;
    Account account;
    Uuid old_id;
    bool done;

    if (err_failed(tokens_read_jwt(rq, presented, &claims)) || !uuid_parse(slice(claims.login_id), &old_id) ||
        !claims.jti || !claims.jti[0])
        return invalid_refresh();
    TRY(auth_store_replace_login(rq, old_id, claims.jti, &login, auth->ids, &done, &account));
    if (!done)
        return invalid_refresh();
    auth_settle(rq);
    tokens_mint(rq, &tokens, &account, login.id);
    answer_tokens(rq, &tokens, &account, out);
    return OK;
}

Err auth_v1_refresh(Request *rq, const Auth__V1__RefreshRequest *in, Auth__V1__AuthResult *out)
{
    if (in->refresh_token && in->refresh_token[0])
        TRY(refresh_by_refresh_token(rq, in->refresh_token, out));
    else if (in->token && in->token[0])
        TRY(refresh_by_token(rq, in->token, out));
    else
        return err_make(&MISSING_TOKEN, "%s is required", manner_of(rq) == MANNER_SESSIONS ? "token" : "refresh_token");
    if (manner_of(rq) == MANNER_CHAT)
        out->user = NULL; /* chat's contract has the two tokens alone */
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- ending */
Err auth_v1_logout(Request *rq, const Auth__V1__LogoutRequest *in, Auth__V1__MessageReply *out)
{
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__LOGGED_OUT);
    bool ended;

    TRY(auth_store_end_login(rq, rq->caller.user_id, login_of_caller(rq), &ending, &ended));
    if (in->refresh_token && in->refresh_token[0])
        TRY(auth_store_end_login_of_refresh_token(rq, rq->caller.user_id, token_hash(rq->mem, in->refresh_token),
                                                  &ending));
    auth_settle(rq);
    if (manner_of(rq) == MANNER_SESSIONS) {
        request_set_status(rq, 200);
        out->message = arena_strdup(rq->mem, "logged out");
    }
    return OK;
}

Err auth_v1_end_login(Request *rq, const Auth__V1__EndLoginRequest *in, Auth__V1__EndLoginReply *out)
{
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__ENDED_BY_USER);
    bool ended;
    Uuid id;
    (void)out;

    if (!uuid_parse(slice(in->login_id), &id))
        return err_make(&INVALID_ID, "login_id: not an id");
    TRY(auth_store_end_login(rq, rq->caller.user_id, id, &ending, &ended));
    if (!ended)
        return err_make(&NOT_FOUND, "you have no such login");
    auth_settle(rq);
    return OK;
}

Err auth_v1_end_other_logins(Request *rq, const Auth__V1__EndOtherLoginsRequest *in, Auth__V1__EndOtherLoginsReply *out)
{
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__ENDED_BY_USER);
    int64_t count;
    (void)in;

    TRY(auth_store_end_other_logins(rq, rq->caller.user_id, login_of_caller(rq), &ending, &count));
    auth_settle(rq);
    SET(out, ended, (int32_t)count);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- reading */
Err auth_v1_list_logins(Request *rq, const Auth__V1__ListLoginsRequest *in, Auth__V1__ListLoginsReply *out)
{
    LoginRow *rows;
    size_t count;
    (void)in;

    TRY(auth_store_list_logins(rq, rq->caller.user_id, clock_unix_us(rq->clock), LOGIN_LIST_MAX, &rows, &count));
    out->logins = ARENA_ARRAY(rq->mem, Auth__V1__LoginInfo *, count + 1);
    for (size_t i = 0; i < count; i++)
        out->logins[i] = answer_login(rq, &rows[i]);
    out->n_logins = count;
    return OK;
}
