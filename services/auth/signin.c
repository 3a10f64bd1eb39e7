/* signin: signing in with others. A browser is sent to a provider and comes back with a code; whom the provider then
 * vouches for is logged in here. Media's contract has the token in the address (4.2); all others get a code for it. */
#include "atrium/auth/v1/signin.service.h"
#include "services/auth/accounts.h"
#include "services/auth/answers.h"
#include "services/auth/console.h"
#include "services/auth/identities.h"
#include "services/auth/login.h"
#include "services/auth/provider_calls.h"
#include "services/auth/second_factor.h"

enum { CODE_LIFE_S = 60, CODE_BYTES = 32, CODE_MAX_CHARS = 64, BODY_MAX_BYTES = 16384 };

/* ---------------------------------------------------------------------------------------------------- answers */
static bool wants_json(const Request *rq)
{
    return slice_find(slice(request_header(rq, "accept")), SLICE_LIT("application/json")) >= 0;
}

static void answer(Request *rq, const char *type, Slice body, Atrium__HttpBody *out)
{
    request_set_header(rq, "Cache-Control", "no-store");
    out->content_type = arena_strdup(rq->mem, type);
    SET(out, data, ((ProtobufCBinaryData){.len = body.len, .data = (uint8_t *)(uintptr_t)body.ptr}));
}

/* One line, for those that do not follow. */
static void redirect(Request *rq, const char *url, Atrium__HttpBody *out)
{
    StrBuf body = strbuf_new(rq->mem, BODY_MAX_BYTES);

    strbuf_append_cstr(&body, "<a href=\"");
    for (const char *c = url; *c; c++) {
        if (*c == '&')
            strbuf_append_cstr(&body, "&amp;");
        else if (*c == '"' || *c == '<' || *c == '>')
            strbuf_printf(&body, "&#%d;", *c);
        else
            strbuf_append_char(&body, *c);
    }
    strbuf_append_cstr(&body, "\">Temporary Redirect</a>.\n");
    request_set_status(rq, 307);
    request_set_header(rq, "Location", url);
    answer(rq, "text/html; charset=utf-8", strbuf_slice(&body), out);
}

/* {"name": value, …} */
static void answer_json(Request *rq, const char *const (*members)[2], size_t count, Atrium__HttpBody *out)
{
    StrBuf body = strbuf_new(rq->mem, BODY_MAX_BYTES);

    strbuf_append_char(&body, '{');
    for (size_t i = 0; i < count; i++) {
        strbuf_append_cstr(&body, i ? "," : "");
        strbuf_append_json(&body, slice(members[i][0]));
        strbuf_append_char(&body, ':');
        strbuf_append_json(&body, slice(members[i][1]));
    }
    strbuf_append_cstr(&body, "}\n");
    answer(rq, "application/json", strbuf_slice(&body), out);
}

/* The contract's errors are one line of text, for who does not ask for JSON. */
static Err in_media_manner(Request *rq, Err e, Atrium__HttpBody *out)
{
    if (!err_failed(e) || !e.reason->shown || wants_json(rq))
        return e;
    request_set_status(rq, e.reason->http);
    answer(rq, "text/plain; charset=utf-8", slice(arena_printf(rq->mem, "%s\n", e.text)), out);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- there */
/* States of StartLink are kept under another name, so that none is good in the place of the other. */
static char *link_name(Arena *mem, const Provider *provider)
{
    return arena_printf(mem, "link:%s", provider->name);
}

static Err start(Request *rq, const Provider *provider, const Auth__V1__StartSignInRequest *in, Atrium__HttpBody *out)
{
    SignInState state = {.provider = provider->name}, link;
    char *url;

    if (in->link) {
        TRY(signin_state_take(rq, link_name(rq->mem, provider), in->link, &link));
        state.return_to = link.return_to;
        state.link_user_id = link.link_user_id;
    } else {
        TRY(providers_return_url(rq, in->return_to, &state.return_to));
    }
    TRY(signin_state_begin(rq, &state));
    TRY(provider_authorize_url(rq, provider, &state, &url));
    if (wants_json(rq))
        answer_json(rq, (const char *const[][2]){{"url", url}}, 1, out);
    else
        redirect(rq, url, out);
    return OK;
}

static Err start_with(Request *rq, const char *name, const Auth__V1__StartSignInRequest *in, Atrium__HttpBody *out)
{
    const Provider *provider;

    TRY(providers_find(rq, name, &provider));
    return start(rq, provider, in, out);
}

Err auth_v1_start_discord(Request *rq, const Auth__V1__StartSignInRequest *in, Atrium__HttpBody *out)
{
    return in_media_manner(rq, start_with(rq, "discord", in, out), out);
}

Err auth_v1_start_github(Request *rq, const Auth__V1__StartSignInRequest *in, Atrium__HttpBody *out)
{
    return start_with(rq, "github", in, out);
}

/* The others have routes of their own. */
static Err find_oidc(Request *rq, const char *name, const Provider **out)
{
    const Provider *provider;

    TRY(providers_find(rq, name, &provider));
    if (provider->kind != PROVIDER_OIDC)
        return err_make(&NO_SUCH_PROVIDER, "there is no such OpenID provider here");
    *out = provider;
    return OK;
}

Err auth_v1_start_oidc(Request *rq, const Auth__V1__StartSignInRequest *in, Atrium__HttpBody *out)
{
    const Provider *provider;

    TRY(find_oidc(rq, in->provider, &provider));
    return start(rq, provider, in, out);
}

Err auth_v1_start_link(Request *rq, const Auth__V1__StartLinkRequest *in, Auth__V1__StartLinkReply *out)
{
    const Auth *auth = rq->service;
    SignInState state = {.link_user_id = rq->caller.user_id};
    StrBuf url = strbuf_new(rq->mem, PROVIDER_URL_MAX_BYTES);
    const Provider *provider;
    Slice text;

    TRY(providers_find(rq, in->provider, &provider));
    TRY(providers_return_url(rq, in->return_to, &state.return_to));
    TRY(caller_prove(rq, in->password, in->code));
    state.provider = link_name(rq->mem, provider);
    TRY(signin_state_begin(rq, &state));
    strbuf_append_cstr(&url, auth->settings->public_url);
    strbuf_append_cstr(&url, provider_login_path(rq->mem, provider));
    query_append(&url, "?", "link", state.state);
    if (!strbuf_finish(&url, &text))
        return err_make(&INTERNAL, "PUBLIC_URL is too long");
    out->url = slice_cstr(rq->mem, text);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- and back */
/* `return_to` with one more parameter. */
static char *returning(Request *rq, const char *return_to, const char *name, const char *value)
{
    StrBuf url = strbuf_new(rq->mem, BODY_MAX_BYTES);

    strbuf_append_cstr(&url, return_to);
    query_append(&url, strchr(return_to, '?') ? "&" : "?", name, value);
    return slice_cstr(rq->mem, strbuf_slice(&url));
}

/* The identity is the account's by now. */
static void answer_linked(Request *rq, const Provider *provider, const SignInState *state, Atrium__HttpBody *out)
{
    const char *url = returning(rq, state->return_to, "linked", provider->name);

    if (wants_json(rq))
        answer_json(rq, (const char *const[][2]){{"linked", provider->name}, {"redirect_url", url}}, 2, out);
    else
        redirect(rq, url, out);
}

static Err finish(Request *rq, const Provider *provider, const Auth__V1__FinishSignInRequest *in,
                  SignInState *out_state, Account *out)
{
    const Callback callback = {.code = in->code, .iss = in->iss};
    Person person;
    Grant grant;

    TRY(signin_state_take(rq, provider->name, in->state, out_state));
    if (!in->code || !in->code[0])
        return err_make(&SIGN_IN_REFUSED, "%s did not sign you in", provider->title);
    TRY(provider_exchange(rq, provider, out_state, &callback, &grant));
    TRY(provider_person(rq, provider, out_state, &grant, &person));
    return identity_account(rq, provider, &person, out_state->link_user_id, out);
}

/* --- media's manner */
static Err discord_account(Request *rq, const Provider *provider, const Auth__V1__FinishSignInRequest *in,
                           SignInState *out_state, Account *out)
{
    const Callback callback = {.code = in->code};
    Person person;
    Grant grant;
    Err e;

    if (!in->code || !in->code[0])
        return err_make(&MISSING_CODE, "missing authorization code");
    TRY(signin_state_take(rq, provider->name, in->state, out_state));
    if (err_failed(provider_exchange(rq, provider, out_state, &callback, &grant)))
        return err_make(&DISCORD_FAILED, "failed to authenticate with Discord");
    if (err_failed(provider_person(rq, provider, out_state, &grant, &person)))
        return err_make(&DISCORD_FAILED, "failed to get user info from Discord");
    e = identity_account(rq, provider, &person, out_state->link_user_id, out);
    if (!err_failed(e) || e.reason->shown)
        return e;
    LOG_ERROR(rq->log, "signin_account_failed", "error", e.text);
    return err_make(&DISCORD_FAILED, "failed to create user");
}

static Err finish_discord(Request *rq, const Auth__V1__FinishSignInRequest *in, Atrium__HttpBody *out)
{
    const char *frontend = ((const Auth *)rq->service)->settings->frontend_url;
    const Provider *provider;
    SignInState state;
    Account account;
    Tokens tokens;

    TRY(providers_find(rq, "discord", &provider));
    TRY(discord_account(rq, provider, in, &state, &account));
    if (state.link_user_id) {
        answer_linked(rq, provider, &state, out);
        return OK;
    }
    TRY(login_begin(rq, &account, provider->name, TOKENS_VAULT, &tokens));
    if (wants_json(rq))
        answer_json(rq, (const char *const[][2]){{"token", tokens.opaque}, {"redirect_url", frontend}}, 2, out);
    else
        redirect(rq, arena_printf(rq->mem, "%s/auth/callback?token=%s", frontend, tokens.opaque), out);
    return OK;
}

Err auth_v1_finish_discord(Request *rq, const Auth__V1__FinishSignInRequest *in, Atrium__HttpBody *out)
{
    return in_media_manner(rq, finish_discord(rq, in, out), out);
}

/* --- events' manner: into the developer portal, for developers */
Err auth_v1_finish_github(Request *rq, const Auth__V1__FinishSignInRequest *in, Atrium__HttpBody *out)
{
    const Auth *auth = rq->service;
    const Provider *provider;
    SignInState state;
    Account account;
    Access access;
    Tokens tokens;

    TRY(providers_find(rq, "github", &provider));
    TRY(finish(rq, provider, in, &state, &account));
    if (state.link_user_id) {
        answer_linked(rq, provider, &state, out);
        return OK;
    }
    TRY(access_of_user(rq, NULL, account.id, &access));
    if (!access_is_developer(&access))
        return err_make(&PERMISSION_DENIED, "this account is no developer's");
    TRY(login_begin(rq, &account, provider->name, TOKENS_CONSOLE, &tokens));
    portal_set_cookie(rq, &tokens);
    redirect(rq, auth->settings->dev_portal_url, out);
    return OK;
}

/* --- ours: a code that stands for the login until it is fetched */
static Err make_code(Request *rq, const Account *account, const char *method, char **out)
{
    uint8_t bytes[CODE_BYTES];

    random_bytes(bytes, sizeof(bytes));
    *out = base64url_encode(rq->mem, slice_of(bytes, sizeof(bytes)));
    return identities_store_insert_code(rq, token_hash(rq->mem, *out), account->id, method,
                                        clock_unix_us(rq->clock) + (int64_t)CODE_LIFE_S * 1000000);
}

Err auth_v1_finish_oidc(Request *rq, const Auth__V1__FinishSignInRequest *in, Atrium__HttpBody *out)
{
    const Provider *provider;
    SignInState state;
    Account account;
    char *code, *url;

    TRY(find_oidc(rq, in->provider, &provider));
    TRY(finish(rq, provider, in, &state, &account));
    if (state.link_user_id) {
        answer_linked(rq, provider, &state, out);
        return OK;
    }
    TRY(make_code(rq, &account, provider->name, &code));
    url = returning(rq, state.return_to, "code", code);
    if (wants_json(rq))
        answer_json(rq, (const char *const[][2]){{"code", code}, {"redirect_url", url}}, 2, out);
    else
        redirect(rq, url, out);
    return OK;
}

Err auth_v1_exchange_code(Request *rq, const Auth__V1__ExchangeCodeRequest *in, Auth__V1__AuthResult *out)
{
    Account account = {.id = 0};
    const char *method;
    Tokens tokens;

    if (in->code && in->code[0] && strlen(in->code) <= CODE_MAX_CHARS)
        TRY(identities_store_take_code(rq, token_hash(rq->mem, in->code), clock_unix_us(rq->clock), &account, &method));
    if (account.id == 0)
        return err_make(&INVALID_STATE, "this code is not good, or not good any more: begin again");
    TRY(login_begin(rq, &account, method, token_set_of(rq), &tokens));
    account.last_login_us = tokens.now_us;
    answer_tokens(rq, &tokens, &account, out);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- whom */
Err auth_v1_list_providers(Request *rq, const Auth__V1__ListProvidersRequest *in, Auth__V1__ListProvidersReply *out)
{
    size_t count;
    const Provider *list = providers_list(((const Auth *)rq->service)->providers, &count);
    (void)in;

    out->providers = ARENA_ARRAY(rq->mem, Auth__V1__ProviderInfo *, count + 1);
    for (size_t i = 0; i < count; i++) {
        Auth__V1__ProviderInfo *info = MESSAGE_NEW(rq->mem, Auth__V1__ProviderInfo, auth__v1__provider_info__init);

        info->name = arena_strdup(rq->mem, list[i].name);
        info->title = arena_strdup(rq->mem, list[i].title);
        info->login_path = provider_login_path(rq->mem, &list[i]);
        out->providers[i] = info;
    }
    out->n_providers = count;
    return OK;
}
