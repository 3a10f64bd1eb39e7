/* testing_signin: stand-ins for providers, and a browser that goes there and comes back, around the service of
 * store_schema.h. For tests. */
#pragma once
#include <sodium.h>

#include "atrium/auth/v1/signin.service.h"
#include "services/auth/oidc.h"
#include "services/auth/store_identities.h"
#include "services/auth/store_schema.h"
#include "shared/jws.h"
#include "shared/testing_http.h"

enum { COOKIE_MAX = 512, REPLY_MAX = 32768 };

typedef enum Sealing { SEAL_GOOD, SEAL_NONE, SEAL_HS256, SEAL_OTHER_KEY } Sealing;

/* What the stand-ins say; a test changes what it is about. */
static struct World {
    StoreSchema *s;
    HttpStub stub;
    Arena *mem; /* of the stub's thread */
    JwsSigner *signer, *other;
    Sealing sealing;
    bool rotated;     /* its keys are the other's, under another name */
    int token_status; /* of the token endpoint */
    int discovered, keys_fetched, tokens_given;
    bool says_issuer;
    const char *issuer; /* of the id_token; NULL: the right one */
    const char *aud;    /* JSON */
    const char *azp;    /* NULL: none */
    const char *nonce;  /* NULL: the right one */
    const char *extra;  /* further claims */
    const char *subject, *name, *email, *verified;
    int64_t iat_offset_s, life_s;
    char asked_nonce[64], form[4096], authorization[512];
} w;

static inline char *base_url(Arena *mem)
{
    return arena_printf(mem, "http://127.0.0.1:%d", w.stub.port);
}

/* ---------------------------------------------------------------------------------------------------- stand-ins */
static inline void reply(int connection, int status, const char *body)
{
    char text[REPLY_MAX];
    StrBuf b = strbuf_over(text, sizeof(text));
    Slice whole;

    strbuf_printf(&b, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status,
                  strlen(body), body);
    assert_true(strbuf_finish(&b, &whole));
    http_stub_write(connection, slice_cstr(w.mem, whole));
}

static inline char *claims(void)
{
    int64_t now_s = w.s->schema.now_us / 1000000 + w.iat_offset_s;

    return arena_printf(w.mem,
                        "{\"iss\":\"%s\",\"aud\":%s,%s%s%s\"sub\":\"%s\",\"iat\":%" PRId64 ",\"exp\":%" PRId64
                        ",\"nonce\":\"%s\",\"preferred_username\":\"%s\",\"email\":\"%s\",\"email_verified\":%s%s}",
                        w.issuer ? w.issuer : base_url(w.mem), w.aud, w.azp ? "\"azp\":\"" : "", w.azp ? w.azp : "",
                        w.azp ? "\"," : "", w.subject, now_s, now_s + w.life_s, w.nonce ? w.nonce : w.asked_nonce,
                        w.name, w.email, w.verified, w.extra);
}

static inline char *unsigned_token(const char *header, const char *payload)
{
    return arena_printf(w.mem, "%s.%s", base64url_encode(w.mem, slice(header)),
                        base64url_encode(w.mem, slice(payload)));
}

/* As if the published key were a secret. */
static inline char *hs256_token(const char *payload)
{
    char *text = unsigned_token("{\"alg\":\"HS256\",\"kid\":\"one\"}", payload);
    Slice key = jws_signer_public(w.signer, w.mem);
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, (const unsigned char *)key.ptr, key.len);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)text, strlen(text));
    crypto_auth_hmacsha256_final(&state, mac);
    return arena_printf(w.mem, "%s.%s", text, base64url_encode(w.mem, slice_of(mac, sizeof(mac))));
}

static inline char *id_token(void)
{
    char *payload = claims();

    if (w.sealing == SEAL_NONE)
        return arena_printf(w.mem, "%s.", unsigned_token("{\"alg\":\"none\"}", payload));
    if (w.sealing == SEAL_HS256)
        return hs256_token(payload);
    return jws_sign(w.sealing == SEAL_OTHER_KEY || w.rotated ? w.other : w.signer, w.mem, slice(payload));
}

static inline void keep_head(Slice head, const char *name, char *to, size_t size)
{
    Slice line, key, value;

    to[0] = '\0';
    while (head.len) {
        (void)slice_cut(head, '\n', &line, &head);
        if (slice_cut(line, ':', &key, &value) && slice_eq_nocase(key, slice(name)))
            snprintf(to, size, "%s", slice_cstr(w.mem, slice_trim(value)));
    }
}

static inline void answer_token(Slice head, Slice body, int connection, bool with_id)
{
    w.tokens_given++;
    snprintf(w.form, sizeof(w.form), "%s", slice_cstr(w.mem, body));
    keep_head(head, "authorization", w.authorization, sizeof(w.authorization));
    if (w.token_status != 200)
        reply(connection, w.token_status, "{\"error\":\"invalid_grant\"}");
    else if (with_id)
        reply(connection, 200, arena_printf(w.mem, "{\"access_token\":\"at\",\"id_token\":\"%s\"}", id_token()));
    else
        reply(connection, 200, "{\"access_token\":\"at\",\"token_type\":\"bearer\"}");
}

static inline void answer_discovery(int connection)
{
    char *base = base_url(w.mem);

    w.discovered++;
    reply(connection, 200,
          arena_printf(w.mem,
                       "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/authorize\",\"token_endpoint\":\"%s/token\","
                       "\"jwks_uri\":\"%s/keys\",\"authorization_response_iss_parameter_supported\":%s}",
                       base, base, base, base, w.says_issuer ? "true" : "false"));
}

static inline void answer_keys(int connection)
{
    const JwsSigner *signer = w.rotated ? w.other : w.signer;

    w.keys_fetched++;
    reply(connection, 200,
          arena_printf(w.mem, "{\"keys\":[%s]}",
                       jws_jwk(w.mem, JWS_ES256, w.rotated ? "two" : "one", jws_signer_public(signer, w.mem))));
}

static inline bool is_path(Slice head, const char *start)
{
    return slice_starts_with(head, slice(start));
}

static inline void answer(HttpStub *stub, int number, Slice head, Slice body, int connection)
{
    (void)stub, (void)number;
    if (is_path(head, "GET /.well-known/openid-configuration "))
        answer_discovery(connection);
    else if (is_path(head, "GET /keys "))
        answer_keys(connection);
    else if (is_path(head, "POST /token "))
        answer_token(head, body, connection, true);
    else if (is_path(head, "POST /discord/oauth2/token ") || is_path(head, "POST /github/token "))
        answer_token(head, body, connection, false);
    else if (is_path(head, "GET /discord/users/@me "))
        reply(connection, 200,
              arena_printf(w.mem, "{\"id\":\"%s\",\"username\":\"%s\",\"avatar\":null}", w.subject, w.name));
    else if (is_path(head, "GET /github/user "))
        reply(connection, 200, arena_printf(w.mem, "{\"id\":%s,\"login\":\"%s\"}", w.subject, w.name));
    else if (is_path(head, "GET /github/user/emails "))
        reply(connection, 200,
              arena_printf(w.mem,
                           "[{\"email\":\"x@example.org\",\"primary\":false,\"verified\":true},"
                           "{\"email\":\"%s\",\"primary\":true,\"verified\":%s}]",
                           w.email, w.verified));
    else
        reply(connection, 404, "{}");
}

/* ---------------------------------------------------------------------------------------------------- set-up */
static inline JwsSigner *signer(const char *kid)
{
    uint8_t key[JWS_PRIVATE_BYTES];
    JwsSigner *out;

    jws_private_make(JWS_ES256, key);
    assert_ok(jws_signer_new(JWS_ES256, slice_of(key, sizeof(key)), kid, &out));
    return out;
}

static inline int make_world(void **state)
{
    int rc = store_schema_make(state);

    w.s = *state;
    w.mem = arena_new(65536);
    w.signer = signer("one");
    w.other = signer("two");
    w.stub.answer = answer;
    http_stub_start(&w.stub);
    return rc;
}

static inline int drop_world(void **state)
{
    http_stub_stop(&w.stub);
    jws_signer_free(w.signer);
    jws_signer_free(w.other);
    arena_free(w.mem);
    return store_schema_drop(state);
}

static inline void configure(StoreSchema *s, bool link_email)
{
    char *base = base_url(s->schema.mem);

    s->settings.public_url = "https://atrium.example";
    s->settings.frontend_url = "https://media.example";
    s->settings.sign_in_return_urls = "https://app.example/in https://app.example/other?x=1";
    s->settings.discord_client_id = "dis";
    s->settings.discord_client_secret = "dis-secret";
    s->settings.discord_redirect_uri = "";
    s->settings.discord_authorize_url = "https://discord.com/api/oauth2/authorize";
    s->settings.discord_api_base = arena_printf(s->schema.mem, "%s/discord", base);
    s->settings.github_client_id = "git";
    s->settings.github_client_secret = "git-secret";
    s->settings.github_callback_url = "";
    s->settings.github_authorize_url = "https://github.com/login/oauth/authorize";
    s->settings.github_token_url = arena_printf(s->schema.mem, "%s/github/token", base);
    s->settings.github_api_base = arena_printf(s->schema.mem, "%s/github", base);
    s->settings.dev_portal_url = "/dev";
    s->settings.email_allow_reserved = true;
    s->settings.oidc_config = arena_printf(s->schema.mem,
                                           "{\"acme\":{\"issuer\":\"%s\",\"client_id\":\"us\",\"client_secret\":"
                                           "\"s:e\",\"link_email\":%s}}",
                                           base, link_email ? "true" : "false");
    assert_ok(providers_new(&s->settings, NULL, &s->auth.providers));
}

static inline int begin_test(void **state)
{
    StoreSchema *s = *state;

    w.sealing = SEAL_GOOD;
    s->schema.now_us = clock_unix_us(&SYSTEM_CLOCK);
    w.rotated = w.says_issuer = false;
    w.token_status = 200;
    w.discovered = w.keys_fetched = w.tokens_given = 0;
    w.issuer = w.azp = w.nonce = NULL;
    w.aud = "\"us\"";
    w.extra = "";
    w.subject = "4711";
    w.name = "ann";
    w.email = "ann@example.org";
    w.verified = "true";
    w.iat_offset_s = 0;
    w.life_s = 300;
    test_schema_script(&s->schema, "TRUNCATE account, audit_entry, signin_state CASCADE");
    configure(s, false);
    return 0;
}

static inline int end_test(void **state)
{
    StoreSchema *s = *state;

    providers_free(s->auth.providers);
    s->auth.providers = NULL;
    return 0;
}

static inline void trust_addresses(StoreSchema *s)
{
    providers_free(s->auth.providers);
    configure(s, true);
}

/* ---------------------------------------------------------------------------------------------------- a browser */
typedef struct Browser {
    char cookie[COOKIE_MAX];
    const char *accept;
    RequestHeader headers[2];
} Browser;

static inline Request browse(StoreSchema *s, Browser *b)
{
    Request rq = store_schema_request(s);

    b->headers[0] = (RequestHeader){"cookie", b->cookie};
    b->headers[1] = (RequestHeader){"accept", b->accept ? b->accept : "text/html"};
    rq.headers = b->headers;
    rq.header_count = 2;
    return rq;
}

static inline const char *reply_header(const Request *rq, const char *name)
{
    for (size_t i = 0; i < rq->reply.header_count; i++)
        if (strcmp(rq->reply.headers[i].name, name) == 0)
            return rq->reply.headers[i].value;
    return NULL;
}

static inline void keep_cookie(Browser *b, const Request *rq)
{
    const char *set = reply_header(rq, "Set-Cookie");

    if (set)
        snprintf(b->cookie, sizeof(b->cookie), "%.*s", (int)strcspn(set, ";"), set);
}

static inline Err call(Request *rq, const char *method, const ProtobufCMessage *in, ProtobufCMessage *out)
{
    return rpc_call(&AUTH_V1_SIGN_IN_SERVICE, rq, method, in, out);
}

/* A parameter of an address, "%3D" undone. */
static inline char *parameter(Arena *mem, const char *url, const char *name)
{
    Slice rest = slice(strchr(url, '?') + 1), pair, key, value;

    while (rest.len) {
        (void)slice_cut(rest, '&', &pair, &rest);
        if (!slice_cut(pair, '=', &key, &value) || !slice_eq_cstr(key, name))
            continue;
        if (slice_ends_with(value, SLICE_LIT("%3D%3D")))
            return arena_printf(mem, "%.*s==", (int)value.len - 6, value.ptr);
        return slice_cstr(mem, value);
    }
    return NULL;
}

static inline char *leave(StoreSchema *s, Browser *b, const char *method, Auth__V1__StartSignInRequest *in)
{
    Request rq = browse(s, b);
    Atrium__HttpBody out = ATRIUM__HTTP_BODY__INIT;
    const char *location;

    assert_ok(call(&rq, method, &in->base, &out.base));
    assert_int_equal(rq.reply.http_status, 307);
    keep_cookie(b, &rq);
    location = reply_header(&rq, "Location");
    assert_non_null(location);
    return arena_strdup(s->schema.mem, location);
}

static inline char *leave_for_acme(StoreSchema *s, Browser *b, char *return_to)
{
    Auth__V1__StartSignInRequest in = AUTH__V1__START_SIGN_IN_REQUEST__INIT;
    char *location;

    in.provider = "acme";
    in.return_to = return_to;
    location = leave(s, b, "StartOidc", &in);
    snprintf(w.asked_nonce, sizeof(w.asked_nonce), "%s", parameter(s->schema.mem, location, "nonce"));
    return location;
}

static inline Err come_back_with(StoreSchema *s, Browser *b, char *state, char *code, char *iss,
                                 const char **out_location)
{
    Request rq = browse(s, b);
    Auth__V1__FinishSignInRequest in = AUTH__V1__FINISH_SIGN_IN_REQUEST__INIT;
    Atrium__HttpBody out = ATRIUM__HTTP_BODY__INIT;

    in.provider = "acme";
    in.state = state;
    in.code = code;
    in.iss = iss;
    TRY(call(&rq, "FinishOidc", &in.base, &out.base));
    if (out_location)
        *out_location = arena_strdup(s->schema.mem, reply_header(&rq, "Location"));
    return OK;
}

static inline Err come_back(StoreSchema *s, Browser *b, const char *location, const char **out_location)
{
    return come_back_with(s, b, parameter(s->schema.mem, location, "state"), "c0de", NULL, out_location);
}

static inline Err sign_in(StoreSchema *s)
{
    Browser b = {.cookie = ""};

    return come_back(s, &b, leave_for_acme(s, &b, NULL), NULL);
}

static inline Err exchange(StoreSchema *s, char *code, Auth__V1__AuthResult *out)
{
    Request rq = store_schema_request(s);
    Auth__V1__ExchangeCodeRequest in = AUTH__V1__EXCHANGE_CODE_REQUEST__INIT;

    auth__v1__auth_result__init(out);
    in.code = code;
    return call(&rq, "ExchangeCode", &in.base, &out->base);
}

#define SIGNIN_TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)
