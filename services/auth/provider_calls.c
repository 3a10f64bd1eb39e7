/* provider_calls: calls to providers, and texts for them. */
#include "services/auth/provider_calls.h"

#include <ctype.h>
#include <sodium.h>

#include "atrium/auth/v1/signin.service.h"

enum { CALL_TIMEOUT_MS = 10000, REPLY_MAX_BYTES = 512 * 1024, TOKEN_MAX_BYTES = 16384, FORM_MAX_BYTES = 32768 };

static void append_encoded(StrBuf *b, const char *value)
{
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        if ((*c < 0x80 && isalnum(*c)) || strchr("-._~", *c))
            strbuf_append_char(b, (char)*c);
        else
            strbuf_printf(b, "%%%02X", *c);
    }
}

void query_append(StrBuf *b, const char *separator, const char *name, const char *value)
{
    strbuf_append_cstr(b, separator);
    strbuf_append_cstr(b, name);
    strbuf_append_char(b, '=');
    append_encoded(b, value);
}

static Slice host_of(const char *url)
{
    Slice rest = slice(strstr(url, "://") + 3), host, path;

    if (slice_starts_with(rest, SLICE_LIT("["))) {
        (void)slice_cut(rest, ']', &host, &path); /* without an end it is no address of ours */
        return slice_skip(host, 1);
    }
    (void)slice_cut(rest, '/', &host, &path); /* false: there is no path */
    (void)slice_cut(host, ':', &host, &path); /* false: there is no port */
    return host;
}

bool provider_url_allowed(const AuthSettings *settings, const char *url)
{
    Slice host;

    if (slice_starts_with(slice(url), SLICE_LIT("https://")))
        return true;
    if (!slice_starts_with(slice(url), SLICE_LIT("http://")))
        return false;
    host = host_of(url);
    return settings->oidc_allow_http || slice_eq_cstr(host, "localhost") || slice_eq_cstr(host, "127.0.0.1") ||
           slice_eq_cstr(host, "::1");
}

const char *member_text(Arena *mem, const json_t *object, const char *name, size_t max_bytes)
{
    const json_t *value = json_object_get(object, name);
    size_t len = json_string_length(value);

    if (len == 0 || len > max_bytes || strlen(json_string_value(value)) != len)
        return NULL;
    return arena_strdup(mem, json_string_value(value));
}

/* ---------------------------------------------------------------------------------------------------- calls */
static Err unavailable(Request *rq, const char *step, const char *why)
{
    LOG_WARN(rq->log, "provider_unavailable", "step", step, "error", why);
    return err_make(&PROVIDER_UNAVAILABLE, "the provider does not answer; try again later");
}

/* What it says goes into the log alone: it may be anything. */
static Err refused(Request *rq, const char *step, const HttpReply *reply)
{
    Slice said = utf8_take(reply->body, 200);

    LOG_WARN(rq->log, "provider_refused", "step", step, "status", arena_printf(rq->mem, "%d", reply->status), "said",
             utf8_valid(said) ? slice_cstr(rq->mem, said) : "");
    return err_make(&SIGN_IN_REFUSED, "the provider refuses this sign-in");
}

Err provider_call(Request *rq, const HttpCall *call, const char *step, json_t **out)
{
    HttpCall whole = *call;
    HttpReply reply;
    json_t *body;
    Err e;

    whole.timeout_ms = MIN(CALL_TIMEOUT_MS, request_remaining_ms(rq));
    whole.max_reply_bytes = REPLY_MAX_BYTES;
    whole.trace = &rq->trace;
    e = http_call(providers_http(rq), rq->mem, &whole, &reply);
    if (err_failed(e))
        return unavailable(rq, step, e.text);
    if (reply.status >= 500 || reply.status == 429)
        return unavailable(rq, step, arena_printf(rq->mem, "status %d", reply.status));
    if (reply.status != 200)
        return refused(rq, step, &reply);
    body = json_loadb(reply.body.ptr, reply.body.len, JSON_REJECT_DUPLICATES, NULL);
    if (!body)
        return refused(rq, step, &reply);
    *out = body;
    return OK;
}

Err provider_get(Request *rq, const char *url, const char *access_token, const char *step, json_t **out)
{
    const HttpHeader headers[] = {
        {"Accept", "application/json"},
        {"Authorization", access_token ? arena_printf(rq->mem, "Bearer %s", access_token) : ""},
    };

    return provider_call(
        rq, &(HttpCall){.url = url, .headers = headers, .header_count = access_token ? 2 : 1, .retries = 1}, step, out);
}

/* RFC 6749 section 2.3.1: both are encoded before they are put together. */
static char *basic_credential(Request *rq, const Provider *p)
{
    StrBuf pair = strbuf_new(rq->mem, TOKEN_MAX_BYTES);

    append_encoded(&pair, p->client_id);
    strbuf_append_char(&pair, ':');
    append_encoded(&pair, p->client_secret);
    return arena_printf(rq->mem, "Basic %s", base64_encode(rq->mem, strbuf_slice(&pair)));
}

static Slice code_form(Request *rq, const Provider *p, bool basic, const SignInState *state, const char *code)
{
    StrBuf form = strbuf_new(rq->mem, FORM_MAX_BYTES);

    query_append(&form, "", "grant_type", "authorization_code");
    query_append(&form, "&", "code", code);
    query_append(&form, "&", "redirect_uri", p->redirect_uri);
    if (!basic) {
        query_append(&form, "&", "client_id", p->client_id);
        query_append(&form, "&", "client_secret", p->client_secret);
    }
    if (p->kind != PROVIDER_DISCORD)
        query_append(&form, "&", "code_verifier", state->verifier);
    return strbuf_slice(&form);
}

/* GitHub says what is wrong with status 200: without a token there is none, then. */
Err provider_post_code(Request *rq, const Provider *p, const char *token_url, bool basic, const SignInState *state,
                       const char *code, Grant *out)
{
    CLEANUP(json_decref_at) json_t *answer = NULL;
    const HttpHeader headers[] = {
        {"Accept", "application/json"},
        {"Content-Type", "application/x-www-form-urlencoded"},
        {"Authorization", basic ? basic_credential(rq, p) : ""},
    };
    const HttpCall call = {.method = "POST",
                           .url = token_url,
                           .headers = headers,
                           .header_count = basic ? 3 : 2,
                           .body = code_form(rq, p, basic, state, code)};

    TRY(provider_call(rq, &call, "token", &answer));
    *out = (Grant){.access_token = member_text(rq->mem, answer, "access_token", TOKEN_MAX_BYTES),
                   .id_token = member_text(rq->mem, answer, "id_token", TOKEN_MAX_BYTES)};
    return OK;
}
