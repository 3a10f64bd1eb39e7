/* youtubetalker: rag's manner of the same accounts (contracts/rag.md section 5): e-mail addresses, opaque tokens, user
 * ids in UUID form, and every problem of a body listed at once, in field order. */
#include "services/auth/accounts.h"

#include "services/auth/events.h"
#include "services/auth/login.h"
#include "services/auth/registration.h"
#include "services/auth/text.h"

#include "atrium/bus.pb-c.h"

static const char WRONG_LOGIN[] = "Invalid email or password";

/* ---------------------------------------------------------------------------------------------------- validation */
/* A textual parameter of the violation added last; request_violation_context() has the numeric ones. */
static void add_context_text(Request *rq, const char *name, const char *text)
{
    Atrium__Violation *violation = rq->reply.violations[rq->reply.violation_count - 1];

    violation->context = struct_new(rq->mem);
    struct_set_text(rq->mem, violation->context, name, text);
}

static bool check_present(Request *rq, const char *field, const char *value)
{
    if (!value)
        request_add_violation(rq, ATRIUM__PART__BODY, field, "missing", "Field required");
    return value != NULL;
}

/* `out` is untouched when the address is not good. */
static void check_email(Request *rq, const char *value, const char **out)
{
    const Auth *auth = rq->service;
    const char *problem;
    Slice email;

    if (!check_present(rq, "email", value))
        return;
    problem = email_parse(slice(value), auth->settings->email_allow_reserved, &email);
    if (!problem) {
        *out = slice_cstr(rq->mem, email);
        return;
    }
    request_add_violation(rq, ATRIUM__PART__BODY, "email", "value_error", "value is not a valid email address: %s",
                          problem);
    add_context_text(rq, "reason", problem);
}

static void check_new_password(Request *rq, const char *field, const char *value)
{
    if (!check_present(rq, field, value) || password_fits(&LONG_PASSWORD, value))
        return;
    if (utf8_length(slice(value)) < LONG_PASSWORD.min_chars) {
        request_add_violation(rq, ATRIUM__PART__BODY, field, "string_too_short",
                              "String should have at least %zu characters", LONG_PASSWORD.min_chars);
        request_violation_context(rq, "min_length", (double)LONG_PASSWORD.min_chars);
    } else {
        request_add_violation(rq, ATRIUM__PART__BODY, field, "string_too_long",
                              "String should have at most %d characters", PASSWORD_MAX_BYTES);
        request_violation_context(rq, "max_length", PASSWORD_MAX_BYTES);
    }
}

/* What password_accept says, in this manner: `field` has been checked, so that only a leak is left to find. */
static Err accept_password(Request *rq, const char *field, const char *value)
{
    Err e = password_accept(rq, &LONG_PASSWORD, value);

    if (e.reason == &BREACHED_PASSWORD)
        request_add_violation(rq, ATRIUM__PART__BODY, field, "value_error", "Value error, %s", e.text);
    return e;
}

static Err violations_if_any(const Request *rq)
{
    return request_has_violations(rq) ? err_make(&INVALID_ARGUMENT, "the request is not valid") : OK;
}

/* ---------------------------------------------------------------------------------------------------- answers */
static char *uuid_of_user(Request *rq, int64_t user_id)
{
    return uuid_text(rq->mem, uuid_from_user_id(user_id));
}

static void answer_token(Request *rq, const Tokens *tokens, const Account *account, Auth__V1__TalkerToken *out)
{
    out->token = arena_strdup(rq->mem, tokens->opaque);
    out->user_id = uuid_of_user(rq, account->id);
    out->email = arena_strdup(rq->mem, account->email);
}

/* ---------------------------------------------------------------------------------------------------- handlers */
Err auth_v1_talker_register(Request *rq, const Auth__V1__TalkerRegisterRequest *in, Auth__V1__TalkerToken *out)
{
    AccountDraft draft = {.password = in->password, .role = ROLE_USER};
    Tokens tokens;
    Account account;

    check_email(rq, in->email, &draft.email);
    check_new_password(rq, "password", in->password);
    TRY(violations_if_any(rq));
    TRY(registration_enter(rq, in->invitation, "Registration is currently disabled", &draft));
    TRY(accept_password(rq, "password", in->password));
    TRY(account_prepare(rq, &draft, &account));
    tokens = tokens_make(rq, TOKENS_OPAQUE);
    TRY(account_store(rq, &account, &tokens));
    answer_token(rq, &tokens, &account, out);
    return OK;
}

/* A username does in place of the address: an account of any manner may log in here. */
Err auth_v1_talker_login(Request *rq, const Auth__V1__TalkerLoginRequest *in, Auth__V1__TalkerToken *out)
{
    LoginTry attempt = {
        .name = in->email, .password = in->password, .otp = in->otp, .refusal = WRONG_LOGIN, .set = TOKENS_OPAQUE};
    Tokens tokens;
    Account account;

    if (!username_valid(slice(in->email)))
        check_email(rq, in->email, &attempt.name);
    check_present(rq, "password", in->password);
    TRY(violations_if_any(rq));
    TRY(login_by_password(rq, &attempt, &tokens, &account));
    answer_token(rq, &tokens, &account, out);
    return OK;
}

/* Exactly two words, the first `bearer` in any case. NULL for anything else; borrowed from rq->mem. */
static const char *bearer_token(Request *rq)
{
    Slice scheme, token;

    if (!slice_cut(slice(request_header(rq, "authorization")), ' ', &scheme, &token))
        return NULL;
    token = slice_trim(token);
    if (!slice_eq_nocase(scheme, SLICE_LIT("bearer")) || token.len == 0 || slice_find_char(token, ' ') >= 0)
        return NULL;
    return slice_cstr(rq->mem, token);
}

/* The token may be one that nobody knows any more, so the route is open and the header is read here. A JWT ends its
 * login, too: the gateway has verified it. */
Err auth_v1_talker_logout(Request *rq, const Auth__V1__TalkerLogoutRequest *in, Auth__V1__TalkerLogoutReply *out)
{
    Ending ending = ending_now(rq, AUTH__V1__LOGIN_END__LOGGED_OUT);
    const char *token = bearer_token(rq);
    bool ended = false;
    (void)in, (void)out;

    if (!request_header(rq, "authorization"))
        return err_make(&UNAUTHENTICATED, "Not authenticated");
    if (!token)
        return err_make(&UNAUTHENTICATED, "Invalid authorization header");
    if (rq->caller.kind == CALLER_PERSON)
        TRY(auth_store_end_login(rq, rq->caller.user_id, login_of_caller(rq), &ending, &ended));
    if (!ended)
        TRY(auth_store_end_login_of_opaque_token(rq, token_hash(rq->mem, token), &ending));
    auth_settle(rq);
    return OK;
}

Err auth_v1_talker_me(Request *rq, const Auth__V1__TalkerMeRequest *in, Auth__V1__TalkerUser *out)
{
    Account account;
    Err e;
    (void)in;

    e = account_of_caller(rq, &account);
    if (e.reason == &NOT_FOUND || e.reason == &PERMISSION_DENIED)
        return err_make(&UNAUTHENTICATED, "User not found");
    TRY(e);
    out->id = uuid_of_user(rq, account.id);
    out->email = arena_strdup(rq->mem, account.email);
    /* This contract knows two roles. */
    out->role = arena_strdup(rq->mem, role_name(account.role == ROLE_ADMIN ? ROLE_ADMIN : ROLE_USER));
    out->created_at = timestamp(rq->mem, account.created_us);
    return OK;
}

Err auth_v1_talker_change_password(Request *rq, const Auth__V1__TalkerChangePasswordRequest *in,
                                   Auth__V1__MessageReply *out)
{
    check_present(rq, "old_password", in->old_password);
    check_new_password(rq, "new_password", in->new_password);
    TRY(violations_if_any(rq));
    TRY(accept_password(rq, "new_password", in->new_password));
    TRY(account_change_password(rq, in->old_password, in->new_password));
    out->message = arena_strdup(rq->mem, "Password changed successfully");
    return OK;
}
