/* Signing in with others through the dispatch table, with stand-ins for the providers, on a real PostgreSQL
 * (TEST_DATABASE_URL). */
#include "services/auth/testing_signin.h"

enum { THREADS = 4, OFTEN = 10 };

/* ---------------------------------------------------------------------------------------------------- the way */
static void a_stranger_gets_an_account_and_a_code_for_its_tokens(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    Auth__V1__AuthResult result;
    const char *back = "";
    char *location = leave_for_acme(s, &b, NULL), *code;

    assert_true(slice_starts_with(slice(b.cookie), SLICE_LIT("__Host-atrium_signin=")));
    assert_string_equal(parameter(s->schema.mem, location, "redirect_uri"),
                        "https%3A%2F%2Fatrium.example%2Fapi%2Fv1%2Fauth%2Foidc%2Facme%2Fcallback");
    assert_string_equal(parameter(s->schema.mem, location, "code_challenge_method"), "S256");
    assert_ok(come_back(s, &b, location, &back));
    assert_true(slice_starts_with(slice(back), SLICE_LIT("https://app.example/in?code=")));
    code = parameter(s->schema.mem, back, "code");
    assert_ok(exchange(s, code, &result));
    assert_string_equal(result.user->username, "ann");
    assert_non_null(result.refresh_token);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login WHERE method = 'acme'"), 1);
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
    assert_string_equal(pkce_challenge(s->schema.mem, verifier), parameter(s->schema.mem, location, "code_challenge"));
}

static void a_code_is_good_for_a_minute(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    Auth__V1__AuthResult result;
    const char *back = "";

    assert_ok(come_back(s, &b, leave_for_acme(s, &b, "https://app.example/other?x=1"), &back));
    assert_true(slice_starts_with(slice(back), SLICE_LIT("https://app.example/other?x=1&code=")));
    s->schema.now_us += INT64_C(60000000);
    assert_reason(exchange(s, parameter(s->schema.mem, back, "code"), &result), &INVALID_STATE);
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
    snprintf(w.asked_nonce, sizeof(w.asked_nonce), "%s", parameter(s->schema.mem, first, "nonce"));
    assert_ok(come_back(s, &b, first, NULL));
    assert_reason(come_back(s, &b, first, NULL), &INVALID_STATE);
    late = leave_for_acme(s, &b, NULL);
    s->schema.now_us += INT64_C(600000000);
    assert_reason(come_back(s, &b, late, NULL), &INVALID_STATE);
    assert_int_equal(w.tokens_given, 1);
}

static void two_tabs_of_a_browser_both_get_there(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    char *first = leave_for_acme(s, &b, NULL), *second = leave_for_acme(s, &b, NULL);

    assert_ok(come_back(s, &b, second, NULL));
    snprintf(w.asked_nonce, sizeof(w.asked_nonce), "%s", parameter(s->schema.mem, first, "nonce"));
    assert_ok(come_back(s, &b, first, NULL));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account"), 1);
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
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account"), 0);
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

static void *begin_often(void *data)
{
    StoreSchema *s = data;

    for (int i = 0; i < OFTEN; i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
        Request rq = store_schema_request(s);
        Auth__V1__StartSignInRequest in = AUTH__V1__START_SIGN_IN_REQUEST__INIT;
        Atrium__HttpBody out = ATRIUM__HTTP_BODY__INIT;

        rq.mem = mem;
        in.provider = "acme";
        if (err_failed(call(&rq, "StartOidc", &in.base, &out.base)))
            return "failed";
    }
    return NULL;
}

static void many_share_what_was_fetched(void **state)
{
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, begin_often, *state), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failure;

        assert_int_equal(pthread_join(threads[i], &failure), 0);
        assert_null(failure);
    }
    assert_in_range(w.discovered, 1, THREADS);
}

static void an_answer_says_who_it_is_from_where_that_was_promised(void **state)
{
    StoreSchema *s = *state;
    Browser b = {.cookie = ""};
    char *location;

    location = leave_for_acme(s, &b, NULL);
    assert_reason(
        come_back_with(s, &b, parameter(s->schema.mem, location, "state"), "c0de", "https://evil.example", NULL),
        &SIGN_IN_REFUSED);
    assert_int_equal(w.tokens_given, 0);
    trust_addresses(s); /* forgets what was fetched */
    w.says_issuer = true;
    assert_reason(sign_in(s), &SIGN_IN_REFUSED);
    location = leave_for_acme(s, &b, NULL);
    assert_ok(
        come_back_with(s, &b, parameter(s->schema.mem, location, "state"), "c0de", base_url(s->schema.mem), NULL));
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

/* ---------------------------------------------------------------------------------------------------- the others */
static Err finish_at(StoreSchema *s, Browser *b, const char *method, char *location, Request *out_rq,
                     Atrium__HttpBody *out)
{
    Auth__V1__FinishSignInRequest in = AUTH__V1__FINISH_SIGN_IN_REQUEST__INIT;

    *out_rq = browse(s, b);
    atrium__http_body__init(out);
    in.state = location ? parameter(s->schema.mem, location, "state") : NULL;
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
    test_schema_script(&s->schema, "INSERT INTO account_role (user_id, role, granted_at) SELECT id, 'developer', now()"
                                   " FROM account");
    assert_ok(finish_at(s, &b, "FinishGithub", leave(s, &b, "StartGithub", &in), &rq, &out));
    assert_string_equal(reply_header(&rq, "Location"), "/dev");
    assert_true(slice_starts_with(slice(reply_header(&rq, "Set-Cookie")), SLICE_LIT("dev_auth_token=")));
    assert_int_equal(test_schema_count(&s->schema,
                                       "SELECT count(*) FROM identity WHERE provider = 'github'"
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
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login WHERE method = 'discord'"
                                                   "  AND opaque_hash IS NOT NULL"),
                     1);
    /* The same again: no session. */
    assert_ok(finish_at(s, &b, "FinishDiscord", location, &rq, &out));
    assert_int_equal(rq.reply.http_status, 400);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login"), 1);
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
    assert_ok(identities_store_purge(&rq, s->schema.now_us, 100, &deleted));
    assert_int_equal(deleted, 0);
    assert_ok(identities_store_purge(&rq, s->schema.now_us + INT64_C(601000000), 100, &deleted));
    assert_int_equal(deleted, 2);
}

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
        SIGNIN_TEST(many_share_what_was_fetched),
        SIGNIN_TEST(an_answer_says_who_it_is_from_where_that_was_promised),
        SIGNIN_TEST(a_provider_that_fails_is_told_from_one_that_refuses),
        SIGNIN_TEST(github_leads_developers_into_the_portal),
        SIGNIN_TEST(discord_is_asked_as_the_contract_says),
        SIGNIN_TEST(what_is_no_list_of_providers_stops_the_start),
        SIGNIN_TEST(what_nobody_can_use_any_more_is_deleted),
    };

    return cmocka_run_group_tests(tests, make_world, drop_world);
}
