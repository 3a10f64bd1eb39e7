/* provider_calls: calls to providers, and texts for them. For providers.c and oidc.c. */
#pragma once
#include "services/auth/providers.h"
#include <jansson.h>

enum { PROVIDER_URL_MAX_BYTES = 4096 };

static inline void json_decref_at(json_t **json)
{
    json_decref(*json);
}

/* Appends `name`=`value`, percent-encoded, after `separator`. */
void query_append(StrBuf *b, const char *separator, const char *name, const char *value);
/* What calls go through. */
HttpClient *providers_http(const Request *rq);
/* A JSON document; to be released. A status of 500 and more, and whatever keeps an answer from coming, is
 * PROVIDER_UNAVAILABLE; another but 200, or no JSON, SIGN_IN_REFUSED. `step` is for the log. GETs are tried twice. */
Err provider_call(Request *rq, const HttpCall *call, const char *step, json_t **out) MUST_CHECK;
/* GET with a token; NULL: without. */
Err provider_get(Request *rq, const char *url, const char *access_token, const char *step, json_t **out) MUST_CHECK;
/* POSTs the code to `token_url`. With `basic` our name and password are in a header, else in the body. */
Err provider_post_code(Request *rq, const Provider *provider, const char *token_url, bool basic,
                       const SignInState *state, const char *code, Grant *out) MUST_CHECK;
/* A text of an object, copied; NULL when it is absent, empty, of another type, or longer than `max_bytes`. */
const char *member_text(Arena *mem, const json_t *object, const char *name, size_t max_bytes);
/* By TLS, or on this machine, or when OIDC_ALLOW_HTTP lets it. */
bool provider_url_allowed(const AuthSettings *settings, const char *url);
