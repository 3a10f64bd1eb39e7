/* Tests of credentials: JWTs, revocations, signed identities. Opaque tokens go through http_test.c, with a bus. */
#include "services/gateway/auth.h"

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

static const char SECRET[] = "0123456789012345678901234567890123456789";
static const char SEED[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char LOGIN[] = "01a1f9d0-812a-7dc3-99d6-c818edbc95fa";

static int64_t now_us;
static int64_t read_now(void *context)
{
    (void)context;
    return now_us;
}
static const Clock CLOCK = {.unix_us = read_now, .monotonic_us = read_now};

typedef struct Fixture {
    Arena *mem;
    Metrics *metrics;
    Revocations *revocations;
    Auth *auth;
    JwtKey *key;
} Fixture;

static void set_up(Fixture *f, size_t entries)
{
    now_us = INT64_C(1800000000) * 1000000;
    f->mem = arena_new(4096);
    f->metrics = metrics_new();
    assert_ok(revocations_start(
        &(RevocationsOptions){.clock = &CLOCK, .metrics = f->metrics, .age_ms = 86400000, .entries_max = 1000},
        &f->revocations));
    assert_ok(auth_new(&(AuthOptions){.clock = &CLOCK,
                                      .metrics = f->metrics,
                                      .revocations = f->revocations,
                                      .slot = "main",
                                      .jwt_secret = SECRET,
                                      .signing_key = SEED,
                                      .caller_ttl_ms = 60000,
                                      .token_cache_ttl_ms = 5000,
                                      .entries_max = entries},
                       &f->auth));
    assert_ok(jwt_key_new(slice(SECRET), &f->key));
}

static void tear_down(Fixture *f)
{
    jwt_key_free(f->key);
    auth_free(f->auth);
    revocations_stop(f->revocations);
    metrics_free(f->metrics);
    arena_free(f->mem);
}

static Slice mint(Fixture *f, int64_t user_id, const char *role, const char *login_id, int64_t life_s)
{
    int64_t now_s = now_us / 1000000;

    return slice(jwt_mint(f->key, f->mem,
                          &(JwtClaims){.user_id = user_id,
                                       .username = "ada",
                                       .email = "",
                                       .role = role,
                                       .login_id = login_id,
                                       .jti = "",
                                       .issuer = "atrium",
                                       .issued_s = now_s,
                                       .expires_s = now_s + life_s}));
}

static void good_tokens_are_known_until_they_expire(void **state)
{
    Fixture f;
    Identity who;
    Slice token;
    (void)state;

    set_up(&f, 100);
    token = mint(&f, 7, "admin", LOGIN, 900);
    for (int i = 0; i < 2; i++) { /* verified, then remembered */
        assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_GOOD);
        assert_int_equal(who.user_id, 7);
        assert_int_equal(who.role, ROLE_ADMIN);
        assert_string_equal(who.username, "ada");
        assert_string_equal(who.login_id, LOGIN);
    }
    now_us += INT64_C(900) * 1000000;
    assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_BAD);
    tear_down(&f);
}

static void bad_tokens_are_refused(void **state)
{
    Fixture f;
    Identity who;
    Slice token;
    char *changed;
    (void)state;

    set_up(&f, 100);
    token = mint(&f, 7, "", LOGIN, 900);
    changed = arena_strndup(f.mem, token.ptr, token.len);
    changed[token.len - 3] ^= 1;
    assert_int_equal(auth_check(f.auth, slice(changed), NULL, NULL, &who), AUTH_BAD);
    assert_int_equal(auth_check(f.auth, SLICE_LIT("a.b.c"), NULL, NULL, &who), AUTH_BAD);
    assert_int_equal(auth_check(f.auth, SLICE_LIT(""), NULL, NULL, &who), AUTH_BAD);
    assert_int_equal(auth_check(f.auth, SLICE_LIT("opaque"), NULL, NULL, &who), AUTH_BAD); /* no bus here */
    assert_int_equal(auth_check(f.auth, mint(&f, 7, "emperor", LOGIN, 900), NULL, NULL, &who), AUTH_BAD);
    tear_down(&f);
}

static void a_revoked_login_is_refused_at_once(void **state)
{
    Fixture f;
    Identity who;
    Slice token, other;
    (void)state;

    set_up(&f, 100);
    token = mint(&f, 7, "", LOGIN, 900);
    other = mint(&f, 7, "", "01a1f9d0-812a-7dc3-99d6-c818edbc95fb", 900);
    assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_GOOD);
    revocations_add(f.revocations, login_key(SLICE_LIT("01A1F9D0-812A-7DC3-99D6-C818EDBC95FA")),
                    now_us / 1000 + 86400000);
    assert_int_equal(auth_check(f.auth, token, NULL, NULL, &who), AUTH_BAD);
    assert_int_equal(auth_check(f.auth, other, NULL, NULL, &who), AUTH_GOOD);
    tear_down(&f);
}

static void revocations_are_kept_in_bounds(void **state)
{
    Fixture f;
    char id[64];
    int64_t now_ms;
    (void)state;

    set_up(&f, 100);
    now_ms = now_us / 1000;
    for (int i = 0; i < 5000; i++) {
        snprintf(id, sizeof(id), "login %d", i);
        revocations_add(f.revocations, login_key(slice(id)), now_ms + 1000 + i);
    }
    assert_true(revocations_count(f.revocations) <= 1000);
    assert_true(revocations_has(f.revocations, login_key(SLICE_LIT("login 4999"))));
    assert_false(revocations_has(f.revocations, login_key(SLICE_LIT("login 0")))); /* the oldest go first */
    now_us += INT64_C(6001) * 1000;
    assert_false(revocations_has(f.revocations, login_key(SLICE_LIT("login 4999")))); /* it is over anyway */
    tear_down(&f);
}

static void identities_are_signed_for_a_domain_and_its_dependencies(void **state)
{
    static const char *const CHAT[] = {"chat", "media"}, *const RAG[] = {"rag"};
    const Operation chat = {.domain = "chat", .audience = CHAT, .audience_count = 2};
    const Operation rag = {.domain = "rag", .audience = RAG, .audience_count = 1};
    Fixture f;
    Identity who;
    char *public_key;
    const char *first;
    Caller caller;
    CallerVerifier *media, *auth;
    (void)state;

    set_up(&f, 100);
    assert_ok(caller_public_key(f.mem, slice(SEED), &public_key));
    assert_ok(caller_verifier_new(slice(public_key), "media", &CLOCK, &media));
    assert_ok(caller_verifier_new(slice(public_key), "auth", &CLOCK, &auth));
    assert_int_equal(auth_check(f.auth, mint(&f, 7, "operator", LOGIN, 900), NULL, NULL, &who), AUTH_GOOD);
    first = arena_strdup(f.mem, auth_caller_header(f.auth, &who, &chat));
    assert_ok(caller_verify(media, f.mem, slice(first), &caller));
    assert_int_equal(caller.user_id, 7);
    assert_int_equal(caller.role, ROLE_OPERATOR);
    assert_string_equal(caller.login_id, LOGIN);
    assert_reason(caller_verify(auth, f.mem, slice(first), &caller), &UNAUTHENTICATED);
    assert_string_not_equal(auth_caller_header(f.auth, &who, &rag), first);
    assert_string_equal(auth_caller_header(f.auth, &who, &chat), first); /* kept … */
    now_us += INT64_C(46) * 1000000;
    assert_string_not_equal(auth_caller_header(f.auth, &who, &chat), first); /* … until a quarter of its life is left */
    caller_verifier_free(media);
    caller_verifier_free(auth);
    tear_down(&f);
}

static void the_memory_of_credentials_is_bounded(void **state)
{
    static const char *const AUDIENCE[] = {"chat"};
    const Operation op = {.domain = "chat", .audience = AUDIENCE, .audience_count = 1};
    Fixture f;
    Identity who;
    (void)state;

    set_up(&f, 16);
    for (int i = 1; i <= 200; i++) {
        assert_int_equal(auth_check(f.auth, mint(&f, i, "", LOGIN, 900), NULL, NULL, &who), AUTH_GOOD);
        assert_int_equal(who.user_id, i);
        assert_non_null(auth_caller_header(f.auth, &who, &op));
    }
    tear_down(&f);
}

static void bad_keys_stop_the_start(void **state)
{
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    AuthOptions options = {
        .metrics = metrics, .slot = "main", .jwt_secret = "short", .signing_key = SEED, .entries_max = 16};
    Auth *auth;
    (void)state;

    assert_reason(auth_new(&options, &auth), &INVALID_ARGUMENT);
    options.jwt_secret = SECRET;
    options.signing_key = "0011";
    assert_reason(auth_new(&options, &auth), &INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_tokens_are_known_until_they_expire),
        cmocka_unit_test(bad_tokens_are_refused),
        cmocka_unit_test(a_revoked_login_is_refused_at_once),
        cmocka_unit_test(revocations_are_kept_in_bounds),
        cmocka_unit_test(identities_are_signed_for_a_domain_and_its_dependencies),
        cmocka_unit_test(the_memory_of_credentials_is_bounded),
        cmocka_unit_test(bad_keys_stop_the_start),
    };

    return RUN(tests);
}
