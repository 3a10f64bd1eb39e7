/* oidc: OpenID providers. */
#include "services/auth/oidc.h"

#include <pthread.h>

#include "atrium/auth/v1/signin.service.h"
#include "services/auth/provider_calls.h"
#include "shared/jws.h"

enum {
    DISCOVERY_AGE_MS = 600000,
    KEYS_AGE_MS = 600000,
    URL_MAX_BYTES = 2048,
    SUBJECT_MAX_BYTES = 255,
    SKEW_S = 60,
    TOKEN_AGE_MAX_S = 600 /* it was made for this exchange */
};

/* --- what was fetched -------------------------------------------------------------------------------------------- */
typedef struct Kept {
    json_t *document; /* NULL: nothing yet */
    int64_t fetched_ms;
} Kept;

/* Whoever takes a document gets a copy: jansson's counting of holders is not safe between threads. */
struct OidcCache {
    pthread_mutex_t lock;
    Kept discovery, keys;
};

OidcCache *oidc_cache_new(void)
{
    OidcCache *cache = xcalloc(1, sizeof(*cache));

    pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

void oidc_cache_free(OidcCache *cache)
{
    if (!cache)
        return;
    json_decref(cache->discovery.document);
    json_decref(cache->keys.document);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* NULL: there is none that is young enough. */
static json_t *take_kept(OidcCache *cache, const Kept *kept, int64_t since_ms)
{
    json_t *document = NULL;

    pthread_mutex_lock(&cache->lock);
    if (kept->document && kept->fetched_ms >= since_ms)
        document = json_deep_copy(kept->document);
    pthread_mutex_unlock(&cache->lock);
    return document;
}

static void keep(OidcCache *cache, Kept *kept, const json_t *document, int64_t now_ms)
{
    json_t *copy = json_deep_copy(document), *old;

    pthread_mutex_lock(&cache->lock);
    old = kept->document;
    *kept = (Kept){.document = copy, .fetched_ms = now_ms};
    pthread_mutex_unlock(&cache->lock);
    json_decref(old);
}

/* Nobody waits at the lock for another's call: several may fetch the same. */
static Err fetch(Request *rq, const Provider *p, Kept *kept, const char *url, const char *step, json_t **out)
{
    TRY(provider_get(rq, url, NULL, step, out));
    keep(p->cache, kept, *out, clock_monotonic_ms(rq->clock));
    return OK;
}

/* --- discovery --------------------------------------------------------------------------------------------------- */
typedef struct Discovery {
    const char *authorize_url, *token_url, *keys_url;
    bool basic;       /* our password goes into a header */
    bool says_issuer; /* RFC 9207: every answer to a browser names who it is from */
} Discovery;

static bool list_has(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *item = json_string_value(json_array_get(list, i));

        if (item && strcmp(item, text) == 0)
            return true;
    }
    return false;
}

static const char *endpoint(Request *rq, const json_t *document, const char *name)
{
    const char *url = member_text(rq->mem, document, name, URL_MAX_BYTES);

    return url && provider_url_allowed(((const Auth *)rq->service)->settings, url) ? url : NULL;
}

/* What another issuer wrote, or what leads out of TLS, is not used. */
static Err read_discovery(Request *rq, const Provider *p, const json_t *document, Discovery *out)
{
    const char *issuer = member_text(rq->mem, document, "issuer", URL_MAX_BYTES);
    const json_t *methods = json_object_get(document, "token_endpoint_auth_methods_supported");

    *out = (Discovery){
        .authorize_url = endpoint(rq, document, "authorization_endpoint"),
        .token_url = endpoint(rq, document, "token_endpoint"),
        .keys_url = endpoint(rq, document, "jwks_uri"),
        .basic = !methods || list_has(methods, "client_secret_basic"),
        .says_issuer = json_is_true(json_object_get(document, "authorization_response_iss_parameter_supported")),
    };
    if (!issuer || strcmp(issuer, p->issuer) != 0 || !out->authorize_url || !out->token_url || !out->keys_url) {
        LOG_WARN(rq->log, "provider_discovery_unusable", "provider", p->name);
        return err_make(&PROVIDER_UNAVAILABLE, "%s cannot be used at the moment", p->title);
    }
    return OK;
}

static Err discover(Request *rq, const Provider *p, Discovery *out)
{
    Slice issuer = slice(p->issuer);
    CLEANUP(json_decref_at)
    json_t *document = take_kept(p->cache, &p->cache->discovery, clock_monotonic_ms(rq->clock) - DISCOVERY_AGE_MS);

    if (slice_ends_with(issuer, SLICE_LIT("/")))
        issuer = slice_take(issuer, issuer.len - 1);
    if (!document)
        TRY(fetch(rq, p, &p->cache->discovery,
                  arena_printf(rq->mem, "%.*s/.well-known/openid-configuration", (int)issuer.len, issuer.ptr),
                  "discovery", &document));
    return read_discovery(rq, p, document, out);
}

/* --- there -------------------------------------------------------------------------------------------------------- */
Err oidc_authorize_url(Request *rq, const Provider *p, const SignInState *state, char **out)
{
    StrBuf url = strbuf_new(rq->mem, PROVIDER_URL_MAX_BYTES);
    Discovery d;
    Slice text;

    TRY(discover(rq, p, &d));
    strbuf_append_cstr(&url, d.authorize_url);
    query_append(&url, strchr(d.authorize_url, '?') ? "&" : "?", "client_id", p->client_id);
    query_append(&url, "&", "code_challenge", pkce_challenge(rq->mem, state->verifier));
    query_append(&url, "&", "code_challenge_method", "S256");
    query_append(&url, "&", "nonce", state->nonce);
    query_append(&url, "&", "redirect_uri", p->redirect_uri);
    query_append(&url, "&", "response_type", "code");
    query_append(&url, "&", "scope", p->scope);
    query_append(&url, "&", "state", state->state);
    if (!strbuf_finish(&url, &text))
        return err_make(&INTERNAL, "the address of %s is too long", p->name);
    *out = slice_cstr(rq->mem, text);
    return OK;
}

/* --- and back ----------------------------------------------------------------------------------------------------- */
static Err refuse(const char *why)
{
    return err_make(&SIGN_IN_REFUSED, "what the provider says does not hold: %s", why);
}

Err oidc_exchange(Request *rq, const Provider *p, const SignInState *state, const Callback *callback, Grant *out)
{
    Discovery d;

    TRY(discover(rq, p, &d));
    if (callback->iss ? strcmp(callback->iss, p->issuer) != 0 : d.says_issuer)
        return refuse("another issuer");
    TRY(provider_post_code(rq, p, d.token_url, d.basic, state, callback->code, out));
    return out->id_token ? OK : refuse("no id_token");
}

static Err verify_by(Request *rq, const json_t *document, const char *token, Slice *out_payload)
{
    CLEANUP(jws_keys_free_at) JwsKeys *keys = NULL;
    char *text = json_dumps(document, JSON_COMPACT);
    const char *kid;
    Err e = jws_keys_parse(slice(text), &keys);

    free(text);
    if (err_failed(e))
        return err_make(&UNAUTHENTICATED, "%s", e.text);
    return jws_verify(keys, rq->mem, slice(token), JWS_RS256 | JWS_ES256 | JWS_EDDSA, out_payload, &kid);
}

/* A key that we do not know may be a new one: the keys are fetched once more, and only then. */
static Err verify(Request *rq, const Provider *p, const char *token, Slice *out_payload)
{
    CLEANUP(json_decref_at)
    json_t *keys = take_kept(p->cache, &p->cache->keys, clock_monotonic_ms(rq->clock) - KEYS_AGE_MS);
    CLEANUP(json_decref_at) json_t *fresh = NULL;
    Discovery d;
    Err e = err_make(&NOT_FOUND, "no keys yet");

    if (keys)
        e = verify_by(rq, keys, token, out_payload);
    if (e.reason == &NOT_FOUND) {
        TRY(discover(rq, p, &d));
        TRY(fetch(rq, p, &p->cache->keys, d.keys_url, "keys", &fresh));
        e = verify_by(rq, fresh, token, out_payload);
    }
    return err_failed(e) ? refuse("the signature") : OK;
}

/* Of several whom it is for we must be the one who asked (azp). */
static bool is_for_us(const Provider *p, const json_t *claims)
{
    const json_t *aud = json_object_get(claims, "aud"), *azp = json_object_get(claims, "azp");

    if (azp && (!json_is_string(azp) || strcmp(json_string_value(azp), p->client_id) != 0))
        return false;
    if (json_is_string(aud))
        return strcmp(json_string_value(aud), p->client_id) == 0;
    return list_has(aud, p->client_id) && (json_array_size(aud) == 1 || azp);
}

static bool is_of_now(const json_t *claims, int64_t now_s)
{
    const json_t *exp = json_object_get(claims, "exp"), *iat = json_object_get(claims, "iat"),
                 *nbf = json_object_get(claims, "nbf");

    if (!json_is_number(exp) || !json_is_number(iat) || (nbf && !json_is_number(nbf)))
        return false;
    return json_number_value(exp) > (double)(now_s - SKEW_S) && json_number_value(iat) < (double)(now_s + SKEW_S) &&
           json_number_value(iat) > (double)(now_s - TOKEN_AGE_MAX_S) &&
           (!nbf || json_number_value(nbf) < (double)(now_s + SKEW_S));
}

static bool is_text(const json_t *object, const char *name, const char *expected)
{
    const char *value = json_string_value(json_object_get(object, name));

    return value && strcmp(value, expected) == 0;
}

Err oidc_read_claims(Arena *mem, const Provider *p, Slice payload, const char *nonce, int64_t now_s, Person *out)
{
    CLEANUP(json_decref_at)
    json_t *claims = json_loadb(payload.ptr, payload.len, JSON_REJECT_DUPLICATES, NULL);
    const char *subject, *name, *picture;

    if (!json_is_object(claims))
        return refuse("its claims");
    if (!is_text(claims, "iss", p->issuer))
        return refuse("another issuer");
    if (!is_for_us(p, claims))
        return refuse("it is for somebody else");
    if (!is_of_now(claims, now_s))
        return refuse("its time");
    if (!is_text(claims, "nonce", nonce))
        return refuse("it is of another sign-in");
    subject = member_text(mem, claims, "sub", SUBJECT_MAX_BYTES);
    if (!subject)
        return refuse("no subject");
    name = member_text(mem, claims, "preferred_username", SUBJECT_MAX_BYTES);
    if (!name)
        name = member_text(mem, claims, "name", SUBJECT_MAX_BYTES);
    picture = member_text(mem, claims, "picture", URL_MAX_BYTES);
    *out = (Person){.issuer = p->issuer,
                    .subject = subject,
                    .name = name ? name : "",
                    .email = member_text(mem, claims, "email", EMAIL_MAX_BYTES),
                    .email_verified = json_is_true(json_object_get(claims, "email_verified")),
                    .avatar_url = picture ? picture : ""};
    return OK;
}

Err oidc_person(Request *rq, const Provider *p, const SignInState *state, const Grant *grant, Person *out)
{
    Slice payload;

    TRY(verify(rq, p, grant->id_token, &payload));
    return oidc_read_claims(rq->mem, p, payload, state->nonce, clock_unix_us(rq->clock) / 1000000, out);
}
