/* providers: whom one can sign in with here. */
#include "services/auth/providers.h"

#include "atrium/auth/v1/signin.service.h"
#include "services/auth/oidc.h"
#include "services/auth/provider_calls.h"

enum {
    NAME_MAX_CHARS = 32,
    TEXT_MAX_BYTES = 2048,
    SUBJECT_MAX_BYTES = 255,
    AVATAR_URL_MAX_BYTES = 2048,
    MAIL_LIST_MAX = 100
};

struct Providers {
    Arena *mem;
    HttpClient *http;
    Provider *list;
    size_t count;
    const char **return_urls; /* one at least */
    size_t return_url_count;
};

/* ---------------------------------------------------------------------------------------------------- settings */
static const char *or_below(Arena *mem, const char *url, const char *base, const char *path)
{
    return url[0] ? url : arena_printf(mem, "%s%s", base, path);
}

static void add_discord(Providers *p, const AuthSettings *s)
{
    if (s->discord_client_id[0])
        p->list[p->count++] = (Provider){
            .name = "discord",
            .title = "Discord",
            .kind = PROVIDER_DISCORD,
            .client_id = s->discord_client_id,
            .client_secret = s->discord_client_secret,
            .redirect_uri = or_below(p->mem, s->discord_redirect_uri, s->public_url, "/auth/discord/callback"),
            .scope = "identify",
            .authorize_url = s->discord_authorize_url,
            .token_url = arena_printf(p->mem, "%s/oauth2/token", s->discord_api_base),
            .api_base = s->discord_api_base,
            .issuer = "",
        };
}

static void add_github(Providers *p, const AuthSettings *s)
{
    if (s->github_client_id[0])
        p->list[p->count++] = (Provider){
            .name = "github",
            .title = "GitHub",
            .kind = PROVIDER_GITHUB,
            .client_id = s->github_client_id,
            .client_secret = s->github_client_secret,
            .redirect_uri = or_below(p->mem, s->github_callback_url, s->public_url, "/auth/github/callback"),
            .scope = "read:user user:email",
            .authorize_url = s->github_authorize_url,
            .token_url = s->github_token_url,
            .api_base = s->github_api_base,
            .issuer = "",
        };
}

static bool provider_name_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= NAME_MAX_CHARS && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len &&
           strcmp(name, "discord") != 0 && strcmp(name, "github") != 0;
}

static bool scope_has_openid(const char *scope)
{
    Slice rest = slice(scope), word;

    while (rest.len) {
        (void)slice_cut(rest, ' ', &word, &rest); /* false is the last one */
        if (slice_eq_cstr(word, "openid"))
            return true;
    }
    return false;
}

static Err add_oidc(Providers *p, const AuthSettings *s, const char *name, const json_t *row)
{
    const char *scope = member_text(p->mem, row, "scopes", TEXT_MAX_BYTES);
    const char *title = member_text(p->mem, row, "title", TEXT_MAX_BYTES);
    Provider *out = &p->list[p->count];

    *out = (Provider){
        .name = arena_strdup(p->mem, name),
        .title = title ? title : arena_strdup(p->mem, name),
        .kind = PROVIDER_OIDC,
        .client_id = member_text(p->mem, row, "client_id", TEXT_MAX_BYTES),
        .client_secret = member_text(p->mem, row, "client_secret", TEXT_MAX_BYTES),
        .redirect_uri = arena_printf(p->mem, "%s/api/v1/auth/oidc/%s/callback", s->public_url, name),
        .scope = scope ? scope : "openid profile email",
        .issuer = member_text(p->mem, row, "issuer", TEXT_MAX_BYTES),
        .link_email = json_is_true(json_object_get(row, "link_email")),
    };
    if (!provider_name_valid(name))
        return err_make(&INVALID_ARGUMENT, "\"%.40s\": 1 to 32 small letters, digits and hyphens", name);
    if (!out->client_id || !out->client_secret || !out->issuer)
        return err_make(&INVALID_ARGUMENT, "\"%s\": issuer, client_id and client_secret are needed", name);
    if (!scope_has_openid(out->scope))
        return err_make(&INVALID_ARGUMENT, "\"%s\": scopes without openid", name);
    if (!provider_url_allowed(s, out->issuer))
        return err_make(&INVALID_ARGUMENT, "\"%s\": the issuer must be reached by TLS", name);
    out->cache = oidc_cache_new();
    p->count++;
    return OK;
}

static Err read_providers(Providers *p, const AuthSettings *s)
{
    CLEANUP(json_decref_at) json_t *config = NULL;
    json_t *row;
    const char *name;

    if (s->oidc_config[0]) {
        config = json_loads(s->oidc_config, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(config))
            return err_make(&INVALID_ARGUMENT, "no JSON object of providers by name");
    }
    p->list = ARENA_ARRAY(p->mem, Provider, json_object_size(config) + 2);
    add_discord(p, s);
    add_github(p, s);
    json_object_foreach(config, name, row) TRY(add_oidc(p, s, name, row));
    return OK;
}

static Err read_return_urls(Providers *p, const AuthSettings *s)
{
    Slice rest = slice_trim(slice(s->sign_in_return_urls)), url;

    p->return_urls = ARENA_ARRAY(p->mem, const char *, rest.len / 2 + 1);
    if (rest.len == 0)
        p->return_urls[p->return_url_count++] = arena_printf(p->mem, "%s/auth/callback", s->frontend_url);
    while (rest.len) {
        (void)slice_cut(rest, ' ', &url, &rest); /* false is the last one */
        if (url.len == 0)
            continue;
        if ((!slice_starts_with(url, SLICE_LIT("http://")) && !slice_starts_with(url, SLICE_LIT("https://"))) ||
            slice_find_char(url, '#') >= 0)
            return err_make(&INVALID_ARGUMENT, "SIGN_IN_RETURN_URLS: addresses with http(s):// and without #");
        p->return_urls[p->return_url_count++] = slice_cstr(p->mem, url);
    }
    return OK;
}

Err providers_new(const AuthSettings *settings, Log *log, Providers **out)
{
    Providers *p = xcalloc(1, sizeof(*p));
    Err e;

    p->mem = arena_new(4096);
    /* Whom to call is the operator's word, his own network included; where they send us on is not. */
    p->http = http_client_new(&(HttpClientOptions){.user_agent = "atrium", .log = log});
    e = err_wrap(read_providers(p, settings), "OIDC_CONFIG");
    if (!err_failed(e))
        e = read_return_urls(p, settings);
    if (err_failed(e)) {
        providers_free(p);
        return e;
    }
    *out = p;
    return OK;
}

void providers_free(Providers *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++)
        oidc_cache_free(p->list[i].cache);
    http_client_free(p->http);
    arena_free(p->mem);
    free(p);
}

const Provider *providers_list(const Providers *p, size_t *out_count)
{
    *out_count = p->count;
    return p->list;
}

Err providers_find(const Request *rq, const char *name, const Provider **out)
{
    const Providers *p = ((const Auth *)rq->service)->providers;

    for (size_t i = 0; name && i < p->count; i++) {
        if (strcmp(p->list[i].name, name) != 0)
            continue;
        *out = &p->list[i];
        return OK;
    }
    return err_make(&NO_SUCH_PROVIDER, "there is no such provider here, or it is not configured");
}

Err providers_return_url(const Request *rq, const char *wanted, const char **out)
{
    const Providers *p = ((const Auth *)rq->service)->providers;

    for (size_t i = 0; i < p->return_url_count; i++) {
        if (wanted && wanted[0] && strcmp(wanted, p->return_urls[i]) != 0)
            continue;
        *out = p->return_urls[i];
        return OK;
    }
    return err_make(&INVALID_RETURN_TO, "nobody is sent to this address from here");
}

char *provider_login_path(Arena *mem, const Provider *provider)
{
    if (provider->kind == PROVIDER_DISCORD)
        return arena_strdup(mem, "/auth/discord/login");
    if (provider->kind == PROVIDER_GITHUB)
        return arena_strdup(mem, "/auth/github");
    return arena_printf(mem, "/api/v1/auth/oidc/%s/login", provider->name);
}

/* ---------------------------------------------------------------------------------------------------- Discord, GitHub
 */
/* Discord's has the names of the contract and no others, in its order: there the state alone stands against stolen
 * codes, beside our password. */
static Err plain_authorize_url(Request *rq, const Provider *p, const SignInState *state, char **out)
{
    StrBuf url = strbuf_new(rq->mem, PROVIDER_URL_MAX_BYTES);
    Slice text;

    strbuf_append_cstr(&url, p->authorize_url);
    query_append(&url, strchr(p->authorize_url, '?') ? "&" : "?", "client_id", p->client_id);
    if (p->kind == PROVIDER_GITHUB) {
        query_append(&url, "&", "code_challenge", pkce_challenge(rq->mem, state->verifier));
        query_append(&url, "&", "code_challenge_method", "S256");
    }
    query_append(&url, "&", "redirect_uri", p->redirect_uri);
    query_append(&url, "&", "response_type", "code");
    query_append(&url, "&", "scope", p->scope);
    query_append(&url, "&", "state", state->state);
    if (!strbuf_finish(&url, &text))
        return err_make(&INTERNAL, "the address of %s is too long", p->name);
    *out = slice_cstr(rq->mem, text);
    return OK;
}

static Err not_understood(const Provider *p)
{
    return err_make(&SIGN_IN_REFUSED, "what %s says of you cannot be used", p->title);
}

static Err discord_person(Request *rq, const Provider *p, const Grant *grant, Person *out)
{
    CLEANUP(json_decref_at) json_t *user = NULL;
    const char *avatar, *name;

    TRY(provider_get(rq, arena_printf(rq->mem, "%s/users/@me", p->api_base), grant->access_token, "user", &user));
    *out = (Person){.issuer = "", .avatar_url = "", .subject = member_text(rq->mem, user, "id", SUBJECT_MAX_BYTES)};
    name = member_text(rq->mem, user, "username", SUBJECT_MAX_BYTES);
    avatar = member_text(rq->mem, user, "avatar", SUBJECT_MAX_BYTES);
    if (!out->subject)
        return not_understood(p);
    out->name = name ? name : "";
    if (avatar)
        out->avatar_url = arena_printf(rq->mem, "https://cdn.discordapp.com/avatars/%s/%s.png", out->subject, avatar);
    return OK;
}

/* The one that GitHub calls primary, when it says that it is verified. */
static Err github_email(Request *rq, const Provider *p, const Grant *grant, Person *out)
{
    CLEANUP(json_decref_at) json_t *answer = NULL;
    json_t *row;
    size_t i;

    TRY(provider_get(rq, arena_printf(rq->mem, "%s/user/emails", p->api_base), grant->access_token, "emails", &answer));
    json_array_foreach(answer, i, row)
    {
        if (i >= MAIL_LIST_MAX)
            break;
        if (!json_is_true(json_object_get(row, "primary")))
            continue;
        out->email = member_text(rq->mem, row, "email", EMAIL_MAX_BYTES);
        out->email_verified = json_is_true(json_object_get(row, "verified"));
    }
    return OK;
}

static Err github_person(Request *rq, const Provider *p, const Grant *grant, Person *out)
{
    CLEANUP(json_decref_at) json_t *user = NULL;
    const char *name, *avatar;
    json_int_t id;

    TRY(provider_get(rq, arena_printf(rq->mem, "%s/user", p->api_base), grant->access_token, "user", &user));
    id = json_integer_value(json_object_get(user, "id"));
    if (id <= 0)
        return not_understood(p);
    name = member_text(rq->mem, user, "login", SUBJECT_MAX_BYTES);
    avatar = member_text(rq->mem, user, "avatar_url", AVATAR_URL_MAX_BYTES);
    *out = (Person){.issuer = "",
                    .subject = arena_printf(rq->mem, "%" PRId64, (int64_t)id),
                    .name = name ? name : "",
                    .avatar_url = avatar ? avatar : ""};
    return github_email(rq, p, grant, out);
}

/* ---------------------------------------------------------------------------------------------------- by kind */
Err provider_authorize_url(Request *rq, const Provider *p, const SignInState *state, char **out)
{
    return p->kind == PROVIDER_OIDC ? oidc_authorize_url(rq, p, state, out) : plain_authorize_url(rq, p, state, out);
}

Err provider_exchange(Request *rq, const Provider *p, const SignInState *state, const Callback *callback, Grant *out)
{
    if (p->kind == PROVIDER_OIDC)
        return oidc_exchange(rq, p, state, callback, out);
    TRY(provider_post_code(rq, p, p->token_url, false, state, callback->code, out));
    return out->access_token ? OK : err_make(&SIGN_IN_REFUSED, "%s gave no access token", p->title);
}

Err provider_person(Request *rq, const Provider *p, const SignInState *state, const Grant *grant, Person *out)
{
    if (p->kind == PROVIDER_OIDC)
        return oidc_person(rq, p, state, grant, out);
    return p->kind == PROVIDER_DISCORD ? discord_person(rq, p, grant, out) : github_person(rq, p, grant, out);
}

/* ---------------------------------------------------------------------------------------------------- calls */
HttpClient *providers_http(const Request *rq)
{
    return ((const Auth *)rq->service)->providers->http;
}
