/* Signing in with others through the dispatch table, with stand-ins for the providers, on a real PostgreSQL
 * (TEST_DATABASE_URL). */
#include <sodium.h>

#include "atrium/auth/v1/signin.service.h"
#include "services/auth/oidc.h"
#include "services/auth/store_identities.h"
#include "services/auth/store_schema.h"
#include "shared/jws.h"
#include "shared/testing_http.h"

enum { COOKIE_MAX = 512, ADDRESS_MAX = 4096, REPLY_MAX = 32768 };

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
    int keys_fetched, tokens_given;
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

static char *base_url(Arena *mem)
{
    return arena_printf(mem, "http://127.0.0.1:%d", w.stub.port);
}

/* ---------------------------------------------------------------------------------------------------- stand-ins */
static void reply(int connection, int status, const char *body)
{
    char text[REPLY_MAX];
    StrBuf b = strbuf_over(text, sizeof(text));
    Slice whole;

    strbuf_printf(&b, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status,
                  strlen(body), body);
    assert_true(strbuf_finish(&b, &whole));
    http_stub_write(connection, slice_cstr(w.mem, whole));
}

static char *claims(void)
{
    int64_t now_s = w.s->now_us / 1000000 + w.iat_offset_s;

    return arena_printf(w.mem,
                        "{\"iss\":\"%s\",\"aud\":%s,%s%s%s\"sub\":\"%s\",\"iat\":%" PRId64 ",\"exp\":%" PRId64
                        ",\"nonce\":\"%s\",\"preferred_username\":\"%s\",\"email\":\"%s\",\"email_verified\":%s%s}",
                        w.issuer ? w.issuer : base_url(w.mem), w.aud, w.azp ? "\"azp\":\"" : "", w.azp ? w.azp : "",
                        w.azp ? "\"," : "", w.subject, now_s, now_s + w.life_s, w.nonce ? w.nonce : w.asked_nonce,
                        w.name, w.email, w.verified, w.extra);
}

static char *unsigned_token(const char *header, const char *payload)
{
    return arena_printf(w.mem, "%s.%s", base64url_encode(w.mem, slice(header)),
                        base64url_encode(w.mem, slice(payload)));
}

/* As if the published key were a secret. */
static char *hs256_token(const char *payload)
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

static char *id_token(void)
{
    char *payload = claims();

    if (w.sealing == SEAL_NONE)
        return arena_printf(w.mem, "%s.", unsigned_token("{\"alg\":\"none\"}", payload));
    if (w.sealing == SEAL_HS256)
        return hs256_token(payload);
    return jws_sign(w.sealing == SEAL_OTHER_KEY || w.rotated ? w.other : w.signer, w.mem, slice(payload));
}

static void keep_head(Slice head, const char *name, char *to, size_t size)
{
    Slice line, key, value;

    to[0] = '\0';
    while (head.len) {
        (void)slice_cut(head, '\n', &line, &head);
        if (slice_cut(line, ':', &key, &value) && slice_eq_nocase(key, slice(name)))
            snprintf(to, size, "%s", slice_cstr(w.mem, slice_trim(value)));
    }
}

static void answer_token(Slice head, Slice body, int connection, bool with_id)
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

static void answer_discovery(int connection)
{
    char *base = base_url(w.mem);

    reply(connection, 200,
          arena_printf(w.mem,
                       "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/authorize\",\"token_endpoint\":\"%s/token\","
                       "\"jwks_uri\":\"%s/keys\",\"authorization_response_iss_parameter_supported\":%s}",
                       base, base, base, base, w.says_issuer ? "true" : "false"));
}

static void answer_keys(int connection)
{
    const JwsSigner *signer = w.rotated ? w.other : w.signer;

    w.keys_fetched++;
    reply(connection, 200,
          arena_printf(w.mem, "{\"keys\":[%s]}",
                       jws_jwk(w.mem, JWS_ES256, w.rotated ? "two" : "one", jws_signer_public(signer, w.mem))));
}

static bool is_path(Slice head, const char *start)
{
    return slice_starts_with(head, slice(start));
}

static void answer(HttpStub *stub, int number, Slice head, Slice body, int connection)
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
static JwsSigner *signer(const char *kid)
{
    uint8_t key[JWS_PRIVATE_BYTES];
    JwsSigner *out;

    jws_private_make(JWS_ES256, key);
    assert_ok(jws_signer_new(JWS_ES256, slice_of(key, sizeof(key)), kid, &out));
    return out;
}

static int make_world(void **state)
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

static int drop_world(void **state)
{
    http_stub_stop(&w.stub);
    jws_signer_free(w.signer);
    jws_signer_free(w.other);
    arena_free(w.mem);
    return store_schema_drop(state);
}

static void configure(StoreSchema *s, bool link_email)
{
    char *base = base_url(s->mem);

    s->settings.public_url = "https://atrium.example";
    s->settings.frontend_url = "https://media.example";
    s->settings.sign_in_return_urls = "https://app.example/in https://app.example/other?x=1";
    s->settings.discord_client_id = "dis";
    s->settings.discord_client_secret = "dis-secret";
    s->settings.discord_redirect_uri = "";
    s->settings.discord_authorize_url = "https://discord.com/api/oauth2/authorize";
    s->settings.discord_api_base = arena_printf(s->mem, "%s/discord", base);
    s->settings.github_client_id = "git";
    s->settings.github_client_secret = "git-secret";
    s->settings.github_callback_url = "";
    s->settings.github_authorize_url = "https://github.com/login/oauth/authorize";
    s->settings.github_token_url = arena_printf(s->mem, "%s/github/token", base);
    s->settings.github_api_base = arena_printf(s->mem, "%s/github", base);
    s->settings.dev_portal_url = "/dev";
    s->settings.email_allow_reserved = true;
    s->settings.oidc_config = arena_printf(s->mem,
                                           "{\"acme\":{\"issuer\":\"%s\",\"client_id\":\"us\",\"client_secret\":"
                                           "\"s:e\",\"link_email\":%s}}",
                                           base, link_email ? "true" : "false");
    assert_ok(providers_new(&s->settings, NULL, &s->auth.providers));
}

static int begin_test(void **state)
{
    StoreSchema *s = *state;

    w.sealing = SEAL_GOOD;
    s->now_us = clock_unix_us(&SYSTEM_CLOCK);
    w.rotated = w.says_issuer = false;
    w.token_status = 200;
    w.keys_fetched = w.tokens_given = 0;
    w.issuer = w.azp = w.nonce = NULL;
    w.aud = "\"us\"";
    w.extra = "";
    w.subject = "4711";
    w.name = "ann";
    w.email = "ann@example.org";
    w.verified = "true";
    w.iat_offset_s = 0;
    w.life_s = 300;
    store_schema_script(s, "TRUNCATE account, audit_entry, signin_state CASCADE");
    configure(s, false);
    return 0;
}

static int end_test(void **state)
{
    StoreSchema *s = *state;

    providers_free(s->auth.providers);
    s->auth.providers = NULL;
    return 0;
}

static void trust_addresses(StoreSchema *s)
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

static Request browse(StoreSchema *s, Browser *b)
{
    Request rq = store_schema_request(s);

    b->headers[0] = (RequestHeader){"cookie", b->cookie};
    b->headers[1] = (RequestHeader){"accept", b->accept ? b->accept : "text/html"};
    rq.headers = b->headers;
    rq.header_count = 2;
    return rq;
}

static const char *reply_header(const Request *rq, const char *name)
{
    for (size_t i = 0; i < rq->reply.header_count; i++)
        if (strcmp(rq->reply.headers[i].name, name) == 0)
            return rq->reply.headers[i].value;
    return NULL;
}

static void keep_cookie(Browser *b, const Request *rq)
{
    const char *set = reply_header(rq, "Set-Cookie");

    if (set)
        snprintf(b->cookie, sizeof(b->cookie), "%.*s", (int)strcspn(set, ";"), set);
}

static Err call(Request *rq, const char *method, const ProtobufCMessage *in, ProtobufCMessage *out)
{
    return rpc_call(&AUTH_V1_SIGN_IN_SERVICE, rq, method, in, out);
}

/* A parameter of an address, "%3D" undone. */
static char *parameter(Arena *mem, const char *url, const char *name)
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

static char *leave(StoreSchema *s, Browser *b, const char *method, Auth__V1__StartSignInRequest *in)
{
    Request rq = browse(s, b);
    Atrium__HttpBody out = ATRIUM__HTTP_BODY__INIT;
    const char *location;

    assert_ok(call(&rq, method, &in->base, &out.base));
    assert_int_equal(rq.reply.http_status, 307);
    keep_cookie(b, &rq);
    location = reply_header(&rq, "Location");
    assert_non_null(location);
    return arena_strdup(s->mem, location);
}

static char *leave_for_acme(StoreSchema *s, Browser *b, char *return_to)
{
    Auth__V1__StartSignInRequest in = AUTH__V1__START_SIGN_IN_REQUEST__INIT;
    char *location;

    in.provider = "acme";
    in.return_to = return_to;
    location = leave(s, b, "StartOidc", &in);
    snprintf(w.asked_nonce, sizeof(w.asked_nonce), "%s", parameter(s->mem, location, "nonce"));
    return location;
}

static Err come_back_with(StoreSchema *s, Browser *b, char *state, char *code, char *iss, const char **out_location)
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
        *out_location = arena_strdup(s->mem, reply_header(&rq, "Location"));
    return OK;
}

static Err come_back(StoreSchema *s, Browser *b, const char *location, const char **out_location)
{
    return come_back_with(s, b, parameter(s->mem, location, "state"), "c0de", NULL, out_location);
}

static Err sign_in(StoreSchema *s)
{
    Browser b = {.cookie = ""};

    return come_back(s, &b, leave_for_acme(s, &b, NULL), NULL);
}

static Err exchange(StoreSchema *s, char *code, Auth__V1__AuthResult *out)
{
    Request rq = store_schema_request(s);
    Auth__V1__ExchangeCodeRequest in = AUTH__V1__EXCHANGE_CODE_REQUEST__INIT;

    auth__v1__auth_result__init(out);
    in.code = code;
    return call(&rq, "ExchangeCode", &in.base, &out->base);
}

/* ---------------------------------------------------------------------------------------------------- the way */
static void a_stranger_gets_an_account_and_a_code_for_its_tokens(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    Auth__V1__AuthResult result;
    const char *back;
    char *location = leave_for_acme(s, &b, NULL), *code;

    assert_true(slice_starts_with(slice(b.cookie), SLICE_LIT("__Host-atrium_signin=")));
    assert_string_equal(parameter(s->mem, location, "redirect_uri"),
                        "https%3A%2F%2Fatrium.example%2Fapi%2Fv1%2Fauth%2Foidc%2Facme%2Fcallback");
    assert_string_equal(parameter(s->mem, location, "code_challenge_method"), "S256");
    assert_ok(come_back(s, &b, location, &back));
    assert_true(slice_starts_with(slice(back), SLICE_LIT("https://app.example/in?code=")));
    code = parameter(s->mem, back, "code");
    assert_ok(exchange(s, code, &result));
    assert_string_equal(result.user->username, "ann");
    assert_non_null(result.refresh_token);
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM login WHERE method = 'acme'"), 1);
    /* Once. */
    assert_reason(exchange(s, code, &result), &INVALID_STATE);
    assert_reason(exchange(s, NULL, &result), &INVALID_STATE);
}

static void what_is_sent_for_the_code_is_what_was_promised(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    char *location = leave_for_acme(s, &b, NULL), *verifier;

    assert_ok(come_back(s, &b, location, NULL));
    assert_non_null(
        strstr(w.form, "grant_type=authorization_code&code=c0de&redirect_uri=https%3A%2F%2Fatrium.example"));
    assert_null(strstr(w.form, "secret"));
    /* "us:s%3Ae" */
    assert_string_equal(w.authorization, "Basic dXM6cyUzQWU=");
    verifier = strstr(w.form, "code_verifier=") + strlen("code_verifier=");
    assert_string_equal(pkce_challenge(s->mem, verifier), parameter(s->mem, location, "code_challenge"));
}

static void a_code_is_good_for_a_minute(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    Auth__V1__AuthResult result;
    const char *back;

    assert_ok(come_back(s, &b, leave_for_acme(s, &b, "https://app.example/other?x=1"), &back));
    assert_true(slice_starts_with(slice(back), SLICE_LIT("https://app.example/other?x=1&code=")));
    s->now_us += INT64_C(60000000);
    assert_reason(exchange(s, parameter(s->mem, back, "code"), &result), &INVALID_STATE);
}

static void nobody_is_sent_elsewhere(void **state)
{
    static char *const ELSEWHERE[] = {"https://evil.example/", "https://app.example/in/", "https://app.example/in?a=b",
                                      "//app.example/in", "https://app.example/i"};
    StoreSchema *s = *state;

    for (size_t i = 0; i < ARRAY_LEN(ELSEWHERE); i++) {
        Browser b = {.cookie = ""};
        Request rq = browse(s, &b);
        Auth__V1__StartSignInRequest in = AUTH__V1__START_SIGN_IN_REQUEST__INIT;
        Atrium__HttpBody out = ATRIUM__HTTP_BODY__INIT;

        in.provider = "acme";
        in.return_to = ELSEWHERE[i];
        assert_reason(call(&rq, "StartOidc", &in.base, &out.base), &INVALID_RETURN_TO);
    }
}

/* ---------------------------------------------------------------------------------------------------- the state */
static void a_state_is_good_once_in_one_browser_for_ten_minutes(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""}, other = {.cookie = ""}, none = {.cookie = ""};
    char *first = leave_for_acme(s, &b, NULL), *late;

    (void)leave_for_acme(s, &other, NULL);
    (void)leave_for_acme(s, &none, NULL);
    none.cookie[0] = '\0';
    assert_reason(come_back(s, &other, first, NULL), &INVALID_STATE);
    assert_reason(come_back(s, &none, first, NULL), &INVALID_STATE);
    assert_reason(come_back_with(s, &b, NULL, "c0de", NULL, NULL), &INVALID_STATE);
    assert_reason(come_back_with(s, &b, "made-up", "c0de", NULL, NULL), &INVALID_STATE);
    assert_int_equal(w.tokens_given, 0);
    snprintf(w.asked_nonce, sizeof(w.asked_nonce), "%s", parameter(s->mem, first, "nonce"));
    assert_ok(come_back(s, &b, first, NULL));
    assert_reason(come_back(s, &b, first, NULL), &INVALID_STATE);
    late = leave_for_acme(s, &b, NULL);
    s->now_us += INT64_C(600000000);
    assert_reason(come_back(s, &b, late, NULL), &INVALID_STATE);
    assert_int_equal(w.tokens_given, 1);
}

static void two_tabs_of_a_browser_both_get_there(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    char *first = leave_for_acme(s, &b, NULL), *second = leave_for_acme(s, &b, NULL);

    assert_ok(come_back(s, &b, second, NULL));
    snprintf(w.asked_nonce, sizeof(w.asked_nonce), "%s", parameter(s->mem, first, "nonce"));
    assert_ok(come_back(s, &b, first, NULL));
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM account"), 1);
}

static void a_state_of_another_provider_is_none(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    Auth__V1__StartSignInRequest in = AUTH__V1__START_SIGN_IN_REQUEST__INIT;

    assert_reason(come_back(s, &b, leave(s, &b, "StartGithub", &in), NULL), &INVALID_STATE);
}

/* ---------------------------------------------------------------------------------------------------- id_tokens */
static void tokens_that_prove_nothing_are_refused(void **state)
{
    static const struct {
        const char *what, *issuer, *aud, *azp, *nonce, *extra;
        int64_t iat_offset_s, life_s;
        Sealing sealing;
    } CASES[] = {
        {"another issuer", "https://evil.example", NULL, NULL, NULL, "", 0, 300, SEAL_GOOD},
        {"for another", NULL, "\"them\"", NULL, NULL, "", 0, 300, SEAL_GOOD},
        {"for nobody", NULL, "[]", NULL, NULL, "", 0, 300, SEAL_GOOD},
        {"for others too, asked by nobody", NULL, "[\"us\",\"them\"]", NULL, NULL, "", 0, 300, SEAL_GOOD},
        {"for others too, asked by them", NULL, "[\"us\",\"them\"]", "them", NULL, "", 0, 300, SEAL_GOOD},
        {"for us, asked by them", NULL, NULL, "them", NULL, "", 0, 300, SEAL_GOOD},
        {"another nonce", NULL, NULL, NULL, "x", "", 0, 300, SEAL_GOOD},
        {"expired", NULL, NULL, NULL, NULL, "", -400, 300, SEAL_GOOD},
        {"of the future", NULL, NULL, NULL, NULL, "", 400, 300, SEAL_GOOD},
        {"old, though it lives", NULL, NULL, NULL, NULL, "", -4000, 9000, SEAL_GOOD},
        {"not yet good", NULL, NULL, NULL, NULL, ",\"nbf\":99999999999", 0, 300, SEAL_GOOD},
        {"a claim twice", NULL, NULL, NULL, NULL, ",\"sub\":\"1\"", 0, 300, SEAL_GOOD},
        {"not signed", NULL, NULL, NULL, NULL, "", 0, 300, SEAL_NONE},
        {"signed by the public key", NULL, NULL, NULL, NULL, "", 0, 300, SEAL_HS256},
        {"signed by another key", NULL, NULL, NULL, NULL, "", 0, 300, SEAL_OTHER_KEY},
    };
    StoreSchema *s = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Err e;

        w.issuer = CASES[i].issuer;
        w.aud = CASES[i].aud ? CASES[i].aud : "\"us\"";
        w.azp = CASES[i].azp;
        w.nonce = CASES[i].nonce;
        w.extra = CASES[i].extra;
        w.iat_offset_s = CASES[i].iat_offset_s;
        w.life_s = CASES[i].life_s;
        w.sealing = CASES[i].sealing;
        e = sign_in(s);
        if (e.reason != &SIGN_IN_REFUSED)
            fail_msg("%s: %s", CASES[i].what, e.reason ? e.text : "taken");
    }
    assert_int_equal(w.tokens_given, ARRAY_LEN(CASES));
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM account"), 0);
    w.sealing = SEAL_GOOD;
    w.aud = "[\"us\",\"them\"]";
    w.azp = "us";
    assert_ok(sign_in(s));
}

static void keys_are_fetched_again_when_they_rotate_and_kept_else(void **state)
{
    StoreSchema *s = *state;

    assert_ok(sign_in(s));
    assert_ok(sign_in(s));
    assert_int_equal(w.keys_fetched, 1);
    w.rotated = true;
    assert_ok(sign_in(s));
    assert_ok(sign_in(s));
    assert_int_equal(w.keys_fetched, 2);
}

static void an_answer_says_who_it_is_from_where_that_was_promised(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    char *location;

    location = leave_for_acme(s, &b, NULL);
    assert_reason(come_back_with(s, &b, parameter(s->mem, location, "state"), "c0de", "https://evil.example", NULL),
                  &SIGN_IN_REFUSED);
    assert_int_equal(w.tokens_given, 0);
    trust_addresses(s); /* forgets what was fetched */
    w.says_issuer = true;
    assert_reason(sign_in(s), &SIGN_IN_REFUSED);
    location = leave_for_acme(s, &b, NULL);
    assert_ok(come_back_with(s, &b, parameter(s->mem, location, "state"), "c0de", base_url(s->mem), NULL));
}

static void a_provider_that_fails_is_told_from_one_that_refuses(void **state)
{
    StoreSchema *s = *state;

    w.token_status = 400;
    assert_reason(sign_in(s), &SIGN_IN_REFUSED);
    w.token_status = 503;
    assert_reason(sign_in(s), &PROVIDER_UNAVAILABLE);
    assert_int_equal(w.tokens_given, 2); /* a code is sent once */
}

/* ---------------------------------------------------------------------------------------------------- whose it is */
static void the_same_person_has_one_account(void **state)
{
    StoreSchema *s = *state;

    assert_ok(sign_in(s));
    w.name = "renamed";
    w.email = "new@example.org";
    assert_ok(sign_in(s));
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM account WHERE username = 'ann'"), 1);
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM account"), 1);
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM identity WHERE name = 'renamed'"), 1);
    w.subject = "4712";
    w.name = "ann";
    assert_ok(sign_in(s));
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM account WHERE username LIKE 'ann\\_%'"), 1);
}

static void addresses_link_only_where_both_sides_verified_them_and_the_provider_may(void **state)
{
    static const struct {
        bool trusted, verified_there, verified_here, linked;
    } CASES[] = {
        {false, true, true, false}, {true, false, true, false}, {true, true, false, false}, {true, true, true, true}};
    StoreSchema *s = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        store_schema_script(s, "TRUNCATE account CASCADE");
        store_schema_account(s, "owner", "Ann@Example.org", "secret1");
        if (CASES[i].verified_here)
            store_schema_script(s, "UPDATE account SET email_verified_at = now()");
        providers_free(s->auth.providers);
        configure(s, CASES[i].trusted);
        w.verified = CASES[i].verified_there ? "true" : "false";
        assert_ok(sign_in(s));
        assert_int_equal(store_schema_count(s, "SELECT count(*) FROM identity i JOIN account a ON a.id = i.user_id"
                                               "  WHERE a.username = 'owner'"),
                         CASES[i].linked);
        /* The address stays whose it was. */
        assert_int_equal(store_schema_count(s, "SELECT count(*) FROM account WHERE email IS NOT NULL"), 1);
    }
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM audit_entry WHERE action = 'identity.linked'"), 1);
}

static void an_address_counts_as_verified_only_by_who_is_trusted_with_them(void **state)
{
    StoreSchema *s = *state;

    assert_ok(sign_in(s));
    assert_int_equal(store_schema_count(s, "SELECT count(email) FROM account WHERE email_verified_at IS NULL"), 1);
    store_schema_script(s, "TRUNCATE account CASCADE");
    trust_addresses(s);
    assert_ok(sign_in(s));
    assert_int_equal(store_schema_count(s, "SELECT count(email) FROM account WHERE email_verified_at IS NOT NULL"), 1);
}

static void closed_means_closed_and_disabled_means_disabled(void **state)
{
    StoreSchema *s = *state;

    s->settings.registration = "closed";
    assert_reason(sign_in(s), &REGISTRATION_CLOSED);
    s->settings.registration = "open";
    assert_ok(sign_in(s));
    s->settings.registration = "closed";
    assert_ok(sign_in(s));
    s->settings.registration = "open";
    store_schema_script(s, "UPDATE account SET active = false");
    assert_reason(sign_in(s), &SIGN_IN_REFUSED);
}

/* ---------------------------------------------------------------------------------------------------- linking */
static Err start_link(StoreSchema *s, Browser *b, int64_t user_id, char *password, char **out_link)
{
    Request rq = browse(s, b);
    Auth__V1__StartLinkRequest in = AUTH__V1__START_LINK_REQUEST__INIT;
    Auth__V1__StartLinkReply out = AUTH__V1__START_LINK_REPLY__INIT;

    rq.caller = store_schema_user_request(s, user_id).caller;
    in.provider = "acme";
    in.password = password;
    TRY(call(&rq, "StartLink", &in.base, &out.base));
    keep_cookie(b, &rq);
    assert_true(
        slice_starts_with(slice(out.url), SLICE_LIT("https://atrium.example/api/v1/auth/oidc/acme/login?link=")));
    *out_link = parameter(s->mem, out.url, "link");
    return OK;
}

static Err link_identity(StoreSchema *s, int64_t user_id, const char **out_back)
{
    Browser b = {.cookie = ""};
    Auth__V1__StartSignInRequest in = AUTH__V1__START_SIGN_IN_REQUEST__INIT;
    char *location;

    in.provider = "acme";
    TRY(start_link(s, &b, user_id, "secret1", &in.link));
    location = leave(s, &b, "StartOidc", &in);
    snprintf(w.asked_nonce, sizeof(w.asked_nonce), "%s", parameter(s->mem, location, "nonce"));
    return come_back(s, &b, location, out_back);
}

static void who_is_logged_in_links_an_identity_and_signs_in_with_it(void **state)
{
    StoreSchema *s = *state;
    Account owner = store_schema_account(s, "owner", NULL, "secret1"),
            second = store_schema_account(s, "second", NULL, "secret1");
    const char *back;

    assert_ok(link_identity(s, owner.id, &back));
    assert_string_equal(back, "https://app.example/in?linked=acme");
    assert_ok(sign_in(s));
    assert_ok(link_identity(s, owner.id, &back)); /* again is no harm */
    assert_reason(link_identity(s, second.id, &back), &IDENTITY_TAKEN);
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM identity"), 1);
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM account"), 2);
}

static void a_link_needs_proof_and_the_browser_that_asked(void **state)
{
    StoreSchema *s = *state;
    Account owner = store_schema_account(s, "owner", NULL, "secret1");
    Browser b = {.cookie = ""}, victim = {.cookie = ""};
    Request rq = browse(s, &victim);
    Auth__V1__StartSignInRequest in = AUTH__V1__START_SIGN_IN_REQUEST__INIT;
    Atrium__HttpBody out = ATRIUM__HTTP_BODY__INIT;

    assert_reason(start_link(s, &b, owner.id, "wrong", &in.link), &NOT_PROVED);
    assert_reason(start_link(s, &b, owner.id, NULL, &in.link), &NOT_PROVED);
    assert_ok(start_link(s, &b, owner.id, "secret1", &in.link));
    in.provider = "acme";
    assert_reason(call(&rq, "StartOidc", &in.base, &out.base), &INVALID_STATE);
    /* What leads to a provider is not what comes back from it. */
    assert_reason(come_back_with(s, &b, in.link, "c0de", NULL, NULL), &INVALID_STATE);
}

static Err list(StoreSchema *s, int64_t user_id, Auth__V1__ListIdentitiesReply *out)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__ListIdentitiesRequest in = AUTH__V1__LIST_IDENTITIES_REQUEST__INIT;

    auth__v1__list_identities_reply__init(out);
    return call(&rq, "ListIdentities", &in.base, &out->base);
}

static Err unlink_it(StoreSchema *s, int64_t user_id, char *id)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__UnlinkRequest in = AUTH__V1__UNLINK_REQUEST__INIT;
    Auth__V1__UnlinkReply out = AUTH__V1__UNLINK_REPLY__INIT;

    in.identity_id = id;
    return call(&rq, "Unlink", &in.base, &out.base);
}

static Err add_password(StoreSchema *s, int64_t user_id, char *username, char *password)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__AddPasswordRequest in = AUTH__V1__ADD_PASSWORD_REQUEST__INIT;
    Auth__V1__User out = AUTH__V1__USER__INIT;
    static const char LOGIN_ID[] = "0197a3c0-0000-7000-8000-000000000001";

    /* As after a login of now. */
    store_schema_script(s, arena_printf(s->mem,
                                        "INSERT INTO login (id, family_id, user_id, profile, user_agent, address,"
                                        "  created_at, last_used_at, expires_at) VALUES ('%s', '%s', %" PRId64
                                        ", 'all', '', '', now(), now(), now() + interval '1 day')"
                                        " ON CONFLICT DO NOTHING",
                                        LOGIN_ID, LOGIN_ID, user_id));
    rq.caller.login_id = LOGIN_ID;
    in.username = username;
    in.password = password;
    return call(&rq, "AddPassword", &in.base, &out.base);
}

static void the_last_way_in_stays(void **state)
{
    StoreSchema *s = *state;
    Account other = store_schema_account(s, "other", NULL, "secret1");
    Auth__V1__ListIdentitiesReply identities;
    int64_t id;

    assert_ok(sign_in(s));
    id = store_schema_count(s, "SELECT id FROM account WHERE username = 'ann'");
    assert_ok(list(s, id, &identities));
    assert_int_equal(identities.n_identities, 1);
    assert_string_equal(identities.identities[0]->provider, "acme");
    assert_string_equal(identities.identities[0]->email, "ann@example.org");
    assert_false(identities.has_password);
    assert_reason(unlink_it(s, id, identities.identities[0]->id), &LAST_CREDENTIAL);
    assert_reason(unlink_it(s, other.id, identities.identities[0]->id), &NOT_FOUND);
    assert_reason(unlink_it(s, id, "x"), &NOT_FOUND);
    assert_reason(add_password(s, id, NULL, "short"), &INVALID_PASSWORD);
    assert_reason(add_password(s, id, "other", "long enough"), &USERNAME_TAKEN);
    assert_ok(add_password(s, id, "anna", "long enough"));
    assert_reason(add_password(s, id, NULL, "long enough"), &HAS_PASSWORD);
    assert_ok(unlink_it(s, id, identities.identities[0]->id));
    assert_ok(list(s, id, &identities));
    assert_int_equal(identities.n_identities, 0);
    assert_true(identities.has_password);
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM audit_entry WHERE action IN ('password.added',"
                                           "  'identity.unlinked')"),
                     2);
}

/* ---------------------------------------------------------------------------------------------------- the others */
static Err finish_at(StoreSchema *s, Browser *b, const char *method, char *location, Request *out_rq,
                     Atrium__HttpBody *out)
{
    Auth__V1__FinishSignInRequest in = AUTH__V1__FINISH_SIGN_IN_REQUEST__INIT;

    *out_rq = browse(s, b);
    atrium__http_body__init(out);
    in.state = location ? parameter(s->mem, location, "state") : NULL;
    in.code = "c0de";
    return call(out_rq, method, &in.base, &out->base);
}

static void github_leads_developers_into_the_portal(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    Auth__V1__StartSignInRequest in = AUTH__V1__START_SIGN_IN_REQUEST__INIT;
    Atrium__HttpBody out;
    Request rq;

    assert_reason(finish_at(s, &b, "FinishGithub", leave(s, &b, "StartGithub", &in), &rq, &out), &PERMISSION_DENIED);
    store_schema_script(s, "INSERT INTO account_role (user_id, role, granted_at) SELECT id, 'developer', now()"
                           " FROM account");
    assert_ok(finish_at(s, &b, "FinishGithub", leave(s, &b, "StartGithub", &in), &rq, &out));
    assert_string_equal(reply_header(&rq, "Location"), "/dev");
    assert_true(slice_starts_with(slice(reply_header(&rq, "Set-Cookie")), SLICE_LIT("dev_auth_token=")));
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM identity WHERE provider = 'github'"
                                           "  AND subject = '4711' AND email = 'ann@example.org' AND email_verified"),
                     1);
    assert_non_null(strstr(w.form, "client_id=git&client_secret=git-secret&code_verifier="));
}

static void discord_is_asked_as_the_contract_says(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    Auth__V1__StartSignInRequest in = AUTH__V1__START_SIGN_IN_REQUEST__INIT;
    Atrium__HttpBody out;
    Request rq;
    char *location = leave(s, &b, "StartDiscord", &in);
    static const char START[] = "https://discord.com/api/oauth2/authorize?client_id=dis&redirect_uri=https%3A%2F%2F"
                                "atrium.example%2Fauth%2Fdiscord%2Fcallback&response_type=code&scope=identify&state=";

    assert_true(slice_starts_with(slice(location), SLICE_LIT(START)));
    assert_int_equal(strlen(location), strlen(START) + 22 + strlen("%3D%3D"));
    assert_ok(finish_at(s, &b, "FinishDiscord", location, &rq, &out));
    assert_int_equal(rq.reply.http_status, 307);
    assert_true(slice_starts_with(slice(reply_header(&rq, "Location")),
                                  SLICE_LIT("https://media.example/auth/callback?token=")));
    assert_string_equal(w.form, "grant_type=authorization_code&code=c0de&redirect_uri=https%3A%2F%2Fatrium.example"
                                "%2Fauth%2Fdiscord%2Fcallback&client_id=dis&client_secret=dis-secret");
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM login WHERE method = 'discord'"
                                           "  AND opaque_hash IS NOT NULL"),
                     1);
    /* The same again: no session. */
    assert_ok(finish_at(s, &b, "FinishDiscord", location, &rq, &out));
    assert_int_equal(rq.reply.http_status, 400);
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM login"), 1);
}

static void what_is_no_list_of_providers_stops_the_start(void **state)
{
    static const char *const CASES[] = {
        "x",
        "[]",
        "{\"a\":1}",
        "{\"a\":{\"issuer\":\"https://a.example\",\"client_id\":\"x\"}}",
        "{\"a\":{\"issuer\":\"http://a.example\",\"client_id\":\"x\",\"client_secret\":\"y\"}}",
        "{\"a\":{\"issuer\":\"http://127.0.0.1.evil.example\",\"client_id\":\"x\",\"client_secret\":\"y\"}}",
        "{\"a\":{\"issuer\":\"ftp://a.example\",\"client_id\":\"x\",\"client_secret\":\"y\"}}",
        "{\"A/B\":{\"issuer\":\"https://a.example\",\"client_id\":\"x\",\"client_secret\":\"y\"}}",
        "{\"discord\":{\"issuer\":\"https://a.example\",\"client_id\":\"x\",\"client_secret\":\"y\"}}",
        "{\"a\":{\"issuer\":\"https://a.example\",\"client_id\":\"x\",\"client_secret\":\"y\",\"scopes\":\"email\"}}",
    };
    StoreSchema *s = *state;
    Providers *providers;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        s->settings.oidc_config = CASES[i];
        assert_reason(providers_new(&s->settings, NULL, &providers), &INVALID_ARGUMENT);
    }
    s->settings.oidc_config = "";
    s->settings.sign_in_return_urls = "app.example";
    assert_reason(providers_new(&s->settings, NULL, &providers), &INVALID_ARGUMENT);
}

static void what_nobody_can_use_any_more_is_deleted(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    Request rq = store_schema_request(s);
    int64_t deleted;

    assert_ok(come_back(s, &b, leave_for_acme(s, &b, NULL), NULL));
    (void)leave_for_acme(s, &b, NULL);
    assert_ok(identities_store_purge(&rq, s->now_us, 100, &deleted));
    assert_int_equal(deleted, 0);
    assert_ok(identities_store_purge(&rq, s->now_us + INT64_C(601000000), 100, &deleted));
    assert_int_equal(deleted, 2);
}

#define SIGNIN_TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIGNIN_TEST(a_stranger_gets_an_account_and_a_code_for_its_tokens),
        SIGNIN_TEST(what_is_sent_for_the_code_is_what_was_promised),
        SIGNIN_TEST(a_code_is_good_for_a_minute),
        SIGNIN_TEST(nobody_is_sent_elsewhere),
        SIGNIN_TEST(a_state_is_good_once_in_one_browser_for_ten_minutes),
        SIGNIN_TEST(two_tabs_of_a_browser_both_get_there),
        SIGNIN_TEST(a_state_of_another_provider_is_none),
        SIGNIN_TEST(tokens_that_prove_nothing_are_refused),
        SIGNIN_TEST(keys_are_fetched_again_when_they_rotate_and_kept_else),
        SIGNIN_TEST(an_answer_says_who_it_is_from_where_that_was_promised),
        SIGNIN_TEST(a_provider_that_fails_is_told_from_one_that_refuses),
        SIGNIN_TEST(the_same_person_has_one_account),
        SIGNIN_TEST(addresses_link_only_where_both_sides_verified_them_and_the_provider_may),
        SIGNIN_TEST(an_address_counts_as_verified_only_by_who_is_trusted_with_them),
        SIGNIN_TEST(closed_means_closed_and_disabled_means_disabled),
        SIGNIN_TEST(who_is_logged_in_links_an_identity_and_signs_in_with_it),
        SIGNIN_TEST(a_link_needs_proof_and_the_browser_that_asked),
        SIGNIN_TEST(the_last_way_in_stays),
        SIGNIN_TEST(github_leads_developers_into_the_portal),
        SIGNIN_TEST(discord_is_asked_as_the_contract_says),
        SIGNIN_TEST(what_is_no_list_of_providers_stops_the_start),
        SIGNIN_TEST(what_nobody_can_use_any_more_is_deleted),
    };

    return cmocka_run_group_tests(tests, make_world, drop_world);
}
