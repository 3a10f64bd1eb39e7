/* Tests of the whole edge in one process (http_fixture.h): who asks. Tokens, keys of the API, cookies. */
#include <sched.h>

#include "services/gateway/http_fixture.h"
#include "shared/message.h"

static Answer ask_once(const char *path, const char *token)
{
    char head[2048];

    snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nAuthorization: Bearer %s", path, token);
    return ask(head);
}

/* 503 says that who knows could not be asked just now: the tail of the revocations has not caught up yet, or the
 * machine is busy. Then another time. */
static Answer ask_as(const char *path, const char *token)
{
    Answer a = ask_once(path, token);

    for (int i = 0; i < 500 && a.status == 503; i++) {
        nats_Sleep(10);
        a = ask_once(path, token);
    }
    return a;
}

static void flush_usage(void *data)
{
    key_usage_flush(((Gateway *)data)->key_usage);
}

/* Until so much was told; an answer is here a moment before its request is counted. */
static bool is_told(const atomic_int *what, int wanted)
{
    Gateway *g = f.context;

    for (int i = 0; i < 2000 && atomic_load(what) < wanted; i++) {
        loop_post(g->loop, flush_usage, g);
        nats_Sleep(5);
    }
    return atomic_load(what) == wanted;
}

static void requests_of_keys_are_counted_and_told_until_that_is_confirmed(void **state)
{
    (void)state;
    assert_int_equal(ask_as("/seen", KEY).status, 200);
    assert_int_equal(ask_as("/seen", KEY).status, 200);
    assert_int_equal(ask_as("/who", KEY).status, 403);
    assert_true(is_told(&reports.requests, 3)); /* though the first report was not confirmed */
    assert_true(atomic_load(&reports.same_again) && atomic_load(&reports.for_key));
    assert_true(atomic_load(&reports.tries) > atomic_load(&reports.taken));
    assert_int_equal(atomic_load(&reports.errors), 1);
    assert_int_equal(ask_as("/seen", KEY).status, 200);
    assert_true(is_told(&reports.requests, 4));
}

static void callers_are_known_by_their_tokens(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(jwt_key_free_at) JwtKey *key = NULL;
    int64_t now_s = clock_unix_ms(&SYSTEM_CLOCK) / 1000;
    char login[64], subject[128];
    const char *jwt;
    jsPubAck *ack = NULL;
    jsErrCode code;
    Answer a;
    (void)state;

    snprintf(login, sizeof(login), "edgetest-%d-%" PRId64, getpid(), now_s);
    assert_ok(jwt_key_new(slice(SECRET), &key));
    jwt = jwt_mint(key, mem,
                   &(JwtClaims){.user_id = 7,
                                .username = "ada",
                                .email = "",
                                .role = "user",
                                .login_id = login,
                                .jti = "",
                                .issuer = "",
                                .issued_s = now_s,
                                .expires_s = now_s + 900});
    a = ask("GET /who HTTP/1.1");
    assert_int_equal(a.status, 401);
    assert_header(&a, "\r\nWWW-Authenticate: Bearer\r\n");
    a = ask_as("/who", jwt);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"text\":\"7\"}");
    assert_int_equal(ask_as("/admin", jwt).status, 403);
    a = ask_as("/who", OPAQUE);
    assert_string_equal(a.body, "{\"text\":\"42\"}");
    assert_int_equal(ask_as("/who", "bbbb").status, 401);
    /* A permission opens what asks for it; a key, nothing else. */
    assert_int_equal(ask_as("/seen", jwt).status, 403);
    assert_int_equal(ask_as("/seen", OPAQUE).status, 403);
    a = ask_as("/seen", KEY);
    assert_string_equal(a.body, "{\"text\":\"42\"}");
    assert_int_equal(ask_as("/who", KEY).status, 403);
    a = ask_as("/maybe", "bbbb");
    assert_string_equal(a.body, "{\"text\":\"0\"}");
    a = ask_as("/maybe", jwt);
    assert_string_equal(a.body, "{\"text\":\"7\"}");

    /* The login ends: its token is refused as soon as the event is there. */
    snprintf(subject, sizeof(subject), "evt.auth.login.ended.%s", login);
    assert_int_equal(js_Publish(&ack, bus_jetstream(f.service.bus), subject, "", 0, NULL, &code), NATS_OK);
    jsPubAck_Destroy(ack);
    for (int i = 0; i < 500 && a.status == 200; i++) {
        nats_Sleep(10);
        a = ask_as("/who", jwt);
    }
    assert_int_equal(a.status, 401);
}

/* After callers_are_known_by_their_tokens: by then credentials can be judged. */
static void a_token_waits_for_the_key_that_it_names(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(jws_signer_free_at) JwsSigner *signer = test_signer();
    CLEANUP(jws_signer_free_at) JwsSigner *stranger = NULL;
    int64_t now_s = clock_unix_ms(&SYSTEM_CLOCK) / 1000;
    const JwtClaims claims = {.user_id = 7, .expires_s = now_s + 900};
    const char *jwt = jws_sign(signer, mem, slice(jwt_claims_write(mem, &claims)));
    const char *other = jws_sign(signer, mem, SLICE_LIT("{}"));
    Answer a;
    (void)state;

    /* Who cannot be asked says nothing about the token. */
    assert_int_equal(ask_once("/who", jwt).status, 503);
    atomic_store(&key_is_known, true);
    a = ask_as("/who", jwt);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"text\":\"7\"}");
    assert_int_equal(ask_as("/who", jwt).status, 200);
    assert_int_equal(ask_as("/who", other).status, 401);
    /* Names that nobody knows are refused when the keys are there anew, not before. */
    assert_ok(jws_signer_new(JWS_EDDSA, slice_of(KEY_SEED, JWS_PRIVATE_BYTES), "stale", &stranger));
    other = jws_sign(stranger, mem, slice(jwt_claims_write(mem, &claims)));
    assert_int_equal(ask_as("/who", other).status, 401);
    assert_int_equal(ask_as("/who", other).status, 401);
}

/* --- cookies ----------------------------------------------------------------------------------------------------- */
/* Up to the end of its line or `end`; borrowed from `mem`. */
static char *after(Arena *mem, const Answer *a, const char *begin, char end)
{
    const char *at = strstr(a->head, begin);
    Slice head, rest;

    if (!at)
        fail_msg("no \"%s\" in:\n%s", begin, a->head);
    (void)slice_cut(slice(at + strlen(begin)), end, &head, &rest);
    return slice_cstr(mem, head);
}

static Answer write_by_cookie(const char *path, const char *cookie, const char *more)
{
    char head[1024];

    snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nContent-Length: 0\r\nCookie: other=1; %s=%s%s%s", path, cookie,
             OPAQUE, more[0] ? "\r\n" : "", more);
    return ask(head);
}

static void a_cookie_alone_writes_nothing(void **state)
{
    static const struct {
        const char *more;
        int status;
    } CASES[] = {
        {"", 403},
        {"Origin: http://bad.example", 403},
        {"Origin: null", 403},
        {"X-CSRF-Token: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 403},
        {"X-CSRF-Token:", 403},
        {"Origin: http://t", 200},
        {"Origin: http://good.example", 200},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    char *token, *cookie;
    Answer a;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        a = write_by_cookie("/events", "auth_token", CASES[i].more);
        if (a.status != CASES[i].status)
            fail_msg("%s: %d", CASES[i].more, a.status);
        if (a.status == 403)
            assert_non_null(strstr(a.body, "CSRF_FAILURE"));
    }
    /* What reads tell opens writes, wherever they come from. */
    a = ask(arena_printf(mem, "GET /events HTTP/1.1\r\nCookie: auth_token=%s", OPAQUE));
    assert_int_equal(a.status, 200);
    token = after(mem, &a, "\r\nX-CSRF-Token: ", '\r');
    cookie = after(mem, &a, "\r\nSet-Cookie: csrf=", '\r');
    assert_string_equal(cookie, arena_printf(mem, "%s; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax", token));
    a = write_by_cookie("/events", "auth_token", arena_printf(mem, "X-CSRF-Token: %s", token));
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"text\":\"42\"}\n");
    assert_null(strstr(a.head, "X-CSRF-Token"));
    a = write_by_cookie("/events", "auth_token",
                        arena_printf(mem, "Origin: http://bad.example\r\nX-CSRF-Token: %s", token));
    assert_int_equal(a.status, 200);
    /* Who sends a header himself is asked for nothing. */
    a = ask(arena_printf(mem, "POST /events HTTP/1.1\r\nContent-Length: 0\r\nAuthorization: Bearer %s", OPAQUE));
    assert_int_equal(a.status, 200);
}

/* Else it could log a browser in as somebody else. */
static void a_form_of_another_origin_is_refused_where_cookies_are_credentials(void **state)
{
    static const struct {
        const char *path, *more;
        int status;
    } CASES[] = {
        {"/baker", "Origin: http://bad.example\r\nContent-Type: text/plain", 403},
        {"/baker", "Origin: null\r\nContent-Type: application/x-www-form-urlencoded", 403},
        {"/baker", "Origin: http://bad.example", 403},
        {"/baker", "Origin: http://bad.example\r\nContent-Type: application/json", 200},
        {"/baker", "Origin: http://good.example\r\nContent-Type: text/plain", 200},
        {"/baker", "Origin: http://t\r\nContent-Type: text/plain", 200},
        {"/baker", "Content-Type: text/plain", 200},                               /* no browser's */
        {"/media", "Origin: http://bad.example\r\nContent-Type: text/plain", 400}, /* for its empty body */
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Answer a = ask(arena_printf(mem, "POST %s HTTP/1.1\r\n%s\r\nContent-Length: 0", CASES[i].path, CASES[i].more));

        if (a.status != CASES[i].status)
            fail_msg("%s %s: %d", CASES[i].path, CASES[i].more, a.status);
    }
}

static void an_rpc_may_have_a_cookie_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(write_by_cookie("/portal", "dev_auth_token", "Origin: http://t").status, 200);
    assert_int_equal(write_by_cookie("/portal", "auth_token", "Origin: http://t").status, 401);
    assert_int_equal(write_by_cookie("/events", "dev_auth_token", "Origin: http://t").status, 401);
    assert_int_equal(write_by_cookie("/portal", "dev_auth_token", "").status, 403);
}

static void reads_tell_the_token_in_the_dialects_way(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Answer a = ask_as("/sessions", OPAQUE);
    (void)state;

    assert_int_equal(a.status, 200);
    assert_header(
        &a, arena_printf(mem, "\r\nSet-Cookie: csrf_token=%s; Path=/; ", after(mem, &a, "\r\nX-CSRF-Token: ", '\r')));
    a = ask_as("/who", OPAQUE);
    assert_null(strstr(a.head, "Set-Cookie"));
    a = ask_as("/sessions", "bbbb");
    assert_int_equal(a.status, 401);
    assert_null(strstr(a.head, "Set-Cookie"));
}

typedef struct SettingChange {
    const char *value;
    atomic_bool done;
} SettingChange;

static void change_cookie_secure(void *data)
{
    SettingChange *change = data;

    f.settings.cookie_secure = change->value;
    atomic_store(&change->done, true);
}

/* In the thread that reads it. */
static void set_cookie_secure(const char *value)
{
    SettingChange change = {.value = value};

    loop_post(((Gateway *)f.context)->loop, change_cookie_secure, &change);
    while (!atomic_load(&change.done))
        sched_yield();
}

static void cookies_are_secure_over_tls(void **state)
{
    static const char PLAIN[] = "\r\nSet-Cookie: one=1; Path=/\r\n",
                      SECURE[] = "\r\nSet-Cookie: one=1; Path=/; Secure\r\n";
    static const struct {
        const char *forwarded, *setting, *wanted;
    } CASES[] = {
        {"X-Other: 1", "auto", PLAIN},
        {"X-Forwarded-Proto: http", "auto", PLAIN},
        {"X-Forwarded-Proto: https", "auto", SECURE},
        {"X-Forwarded-Proto: HTTPS", "auto", SECURE},
        {"X-Forwarded-Proto: http, https", "auto", SECURE},
        {"X-Forwarded-Proto: https, http", "auto", PLAIN}, /* the client's own word, before the proxy's */
        {"X-Forwarded-Proto: https", "off", PLAIN},
        {"X-Other: 1", "on", SECURE},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Answer a;

        set_cookie_secure(CASES[i].setting);
        a = ask(arena_printf(mem, "POST /baker HTTP/1.1\r\nContent-Length: 0\r\n%s", CASES[i].forwarded));
        assert_header(&a, CASES[i].wanted);
        assert_header(&a, "\r\nSet-Cookie: __Host-two=2; Path=/; Secure\r\n");
    }
    set_cookie_secure("auto");
}

static void media_tells_five_ways_of_being_nobody(void **state)
{
    static const struct {
        const char *header;
        int status;
        const char *text;
    } CASES[] = {
        {"X-Other: 1", 401, "missing auth param"},
        {"Authorization:", 401, "missing auth param"},
        {"Authorization: Bearer nobody-knows", 401, "invalid session"},
        {"Authorization: nobody-knows", 401, "invalid session"},
        {"Authorization: Bearer", 401, "invalid session"},
        {"Authorization: Bearer it-was-good-once", 401, "session expired"},
        {"Authorization: it-was-good-once", 401, "session expired"},
        {"Authorization: bearer aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 200, "42"},
        {"Authorization: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 200, "42"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Answer a = ask(arena_printf(mem, "GET /vault HTTP/1.1\r\n%s", CASES[i].header));

        if (a.status != CASES[i].status || !strstr(a.body, CASES[i].text))
            fail_msg("%s: %d %s", CASES[i].header, a.status, a.body);
    }
    /* Others do not tell the difference. */
    assert_non_null(strstr(ask_as("/sessions", LAPSED).body, "Invalid or expired token"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_keys_are_counted_and_told_until_that_is_confirmed),
        cmocka_unit_test(callers_are_known_by_their_tokens),
        cmocka_unit_test(a_token_waits_for_the_key_that_it_names),
        cmocka_unit_test(a_cookie_alone_writes_nothing),
        cmocka_unit_test(a_form_of_another_origin_is_refused_where_cookies_are_credentials),
        cmocka_unit_test(an_rpc_may_have_a_cookie_of_its_own),
        cmocka_unit_test(reads_tell_the_token_in_the_dialects_way),
        cmocka_unit_test(cookies_are_secure_over_tls),
        cmocka_unit_test(media_tells_five_ways_of_being_nobody),
    };

    return cmocka_run_group_tests(tests, start_all, edge_stop);
}
