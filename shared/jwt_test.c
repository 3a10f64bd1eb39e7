#include "shared/jwt.h"

#include <sodium.h>

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

#define SECRET "0123456789abcdef0123456789abcdef"
enum { NOW_S = 1800000000 };

static int64_t fake_us(void *context)
{
    (void)context;
    return INT64_C(1000000) * NOW_S + 999999;
}

static const Clock CLOCK = {.unix_us = fake_us, .monotonic_us = fake_us};

static const char GOOD_HEADER[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
static const char GOOD_CLAIMS[] = "{\"user_id\":\"42\",\"exp\":1800000001}";

/* A token of any header and claims, signed well. */
static char *token_of(Arena *mem, const char *header, const char *claims)
{
    char *text = arena_printf(mem, "%s.%s", base64url_encode(mem, slice(header)), base64url_encode(mem, slice(claims)));
    unsigned char mac[crypto_auth_hmacsha256_BYTES];

    crypto_auth_hmacsha256(mac, (const unsigned char *)text, strlen(text), (const unsigned char *)SECRET);
    return arena_printf(mem, "%s.%s", text, base64url_encode(mem, slice_of(mac, sizeof(mac))));
}

static JwtKey *key_of(const char *secret)
{
    JwtKey *key = NULL;

    assert_ok(jwt_key_new(slice(secret), &key));
    return key;
}

static void a_minted_token_verifies_with_all_its_claims(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(jwt_key_free_at) JwtKey *key = key_of(SECRET);
    static const char *const ROLES[] = {"curator", "editor"};
    const JwtClaims in = {.user_id = INT64_C(9007199254740991),
                          .username = "ada \"é\"",
                          .email = "ada@example.org",
                          .role = "admin",
                          .roles = ROLES,
                          .role_count = ARRAY_LEN(ROLES),
                          .login_id = "01890a5d-ac96-774b-bcce-b302099a8057",
                          .jti = "j",
                          .issuer = "atrium",
                          .issued_s = NOW_S,
                          .not_before_s = NOW_S,
                          .expires_s = NOW_S + 900};
    JwtClaims out;
    (void)state;

    assert_ok(jwt_verify(key, mem, &CLOCK, slice(jwt_mint(key, mem, &in)), &out));
    assert_int_equal(out.user_id, in.user_id);
    assert_string_equal(out.username, in.username);
    assert_string_equal(out.email, in.email);
    assert_int_equal(out.role_count, 2);
    assert_string_equal(out.roles[0], "curator");
    assert_string_equal(out.roles[1], "editor");
    assert_string_equal(out.role, in.role);
    assert_string_equal(out.login_id, in.login_id);
    assert_string_equal(out.jti, in.jti);
    assert_string_equal(out.issuer, in.issuer);
    assert_int_equal(out.issued_s, NOW_S);
    assert_int_equal(out.not_before_s, NOW_S);
    assert_int_equal(out.expires_s, NOW_S + 900);
}

static void absent_claims_are_empty(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(jwt_key_free_at) JwtKey *key = key_of(SECRET);
    const JwtClaims in = {.user_id = 1, .expires_s = NOW_S + 1};
    JwtClaims out;
    (void)state;

    assert_ok(jwt_verify(key, mem, &CLOCK, slice(jwt_mint(key, mem, &in)), &out));
    assert_string_equal(out.username, "");
    assert_string_equal(out.login_id, "");
    assert_int_equal(out.issued_s, 0);
    assert_int_equal(out.not_before_s, 0);
}

/* Made by Python's hmac and base64. */
static void a_foreign_librarys_token_verifies(void **state)
{
    static const char TOKEN[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoiNDIiLCJzdWIiOiI0M"
                                "iIsInVzZXJuYW1lIjoiYWRhIiwicm9sZSI6ImFkbWluIiwiZXhwIjoyMDAwMDAwMDAwfQ."
                                "gJawrEYxxBgyF000OnmfEJHnqwBC2j4mmxnFk84-ZCM";
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(jwt_key_free_at) JwtKey *key = key_of(SECRET);
    const JwtClaims in = {.user_id = 42, .username = "ada", .role = "admin", .expires_s = 2000000000};
    JwtClaims out;
    (void)state;

    assert_ok(jwt_verify(key, mem, &CLOCK, SLICE_LIT(TOKEN), &out));
    assert_int_equal(out.user_id, 42);
    assert_string_equal(jwt_mint(key, mem, &in), TOKEN);
}

static void unknown_claims_and_future_iat_pass(void **state)
{
    static const char *const CLAIMS[] = {
        GOOD_CLAIMS,
        "{\"user_id\":\"42\",\"exp\":1800000001,\"iat\":1900000000}",
        "{\"user_id\":\"42\",\"exp\":1800000001,\"nbf\":1800000000}",
        "{\"user_id\":\"42\",\"exp\":1800000001,\"groups\":[\"a\"],\"x\":{\"y\":null}}",
    };
    static const char *const HEADERS[] = {GOOD_HEADER, "{\"alg\":\"HS256\"}",
                                          "{\"alg\":\"HS256\",\"typ\":\"jwt\",\"kid\":\"1\"}"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(jwt_key_free_at) JwtKey *key = key_of(SECRET);
    JwtClaims out;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CLAIMS); i++)
        assert_ok(jwt_verify(key, mem, &CLOCK, slice(token_of(mem, GOOD_HEADER, CLAIMS[i])), &out));
    for (size_t i = 0; i < ARRAY_LEN(HEADERS); i++)
        assert_ok(jwt_verify(key, mem, &CLOCK, slice(token_of(mem, HEADERS[i], GOOD_CLAIMS)), &out));
}

static void well_signed_tokens_of_the_wrong_shape_are_refused(void **state)
{
    static const struct {
        const char *header, *claims;
    } CASES[] = {
        {"{\"alg\":\"none\"}", GOOD_CLAIMS},
        {"{\"alg\":\"HS512\"}", GOOD_CLAIMS},
        {"{\"alg\":\"hs256\"}", GOOD_CLAIMS},
        {"{\"alg\":[\"HS256\"]}", GOOD_CLAIMS},
        {"{\"typ\":\"JWT\"}", GOOD_CLAIMS},
        {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", GOOD_CLAIMS},
        {"{\"alg\":\"HS256\",\"typ\":1}", GOOD_CLAIMS},
        {"{\"alg\":\"HS256\",\"crit\":[\"b64\"]}", GOOD_CLAIMS},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", GOOD_CLAIMS},
        {"[\"HS256\"]", GOOD_CLAIMS},
        {"", GOOD_CLAIMS},
        {GOOD_HEADER, ""},
        {GOOD_HEADER, "null"},
        {GOOD_HEADER, "{}"},
        {GOOD_HEADER, "{\"user_id\":\"42\"}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":0}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":-1}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":1800000000}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":\"1800000001\"}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":1800000001.5}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":99999999999999999999}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":1800000001,\"nbf\":1800000001}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":1800000001,\"nbf\":\"1\"}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":1800000001,\"exp\":1800000002}"},
        {GOOD_HEADER, "{\"user_id\":42,\"exp\":1800000001}"},
        {GOOD_HEADER, "{\"user_id\":\"0\",\"exp\":1800000001}"},
        {GOOD_HEADER, "{\"user_id\":\"-1\",\"exp\":1800000001}"},
        {GOOD_HEADER, "{\"user_id\":\"+1\",\"exp\":1800000001}"},
        {GOOD_HEADER, "{\"user_id\":\"01\",\"exp\":1800000001}"},
        {GOOD_HEADER, "{\"user_id\":\"4x\",\"exp\":1800000001}"},
        {GOOD_HEADER, "{\"user_id\":\"9223372036854775808\",\"exp\":1800000001}"},
        {GOOD_HEADER, "{\"sub\":\"42\",\"exp\":1800000001}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":1800000001,\"sid\":7}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":1800000001,\"roles\":\"admin\"}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":1800000001,\"roles\":[7]}"},
        {GOOD_HEADER,
         "{\"user_id\":\"42\",\"exp\":1800000001,\"roles\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\","
         "\"10\",\"11\",\"12\",\"13\",\"14\",\"15\",\"16\",\"17\"]}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":1800000001,\"role\":null}"},
        {GOOD_HEADER, "{\"user_id\":\"42\",\"exp\":1800000001}x"},
        {GOOD_HEADER, "{\"user_id\":\"42\\u0000\",\"exp\":1800000001}"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(jwt_key_free_at) JwtKey *key = key_of(SECRET);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        JwtClaims out;
        Err e = jwt_verify(key, mem, &CLOCK, slice(token_of(mem, CASES[i].header, CASES[i].claims)), &out);
        if (e.reason != &UNAUTHENTICATED)
            fail_msg("%s . %s", CASES[i].header, CASES[i].claims);
    }
}

static void any_changed_letter_is_noticed(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(jwt_key_free_at) JwtKey *key = key_of(SECRET);
    CLEANUP(jwt_key_free_at) JwtKey *other = key_of("another secret of thirty-two byte");
    char *token = token_of(mem, GOOD_HEADER, GOOD_CLAIMS);
    JwtClaims out;
    (void)state;

    assert_reason(jwt_verify(other, mem, &CLOCK, slice(token), &out), &UNAUTHENTICATED);
    for (char *at = token; *at; at++) {
        char original = *at;
        *at = original == 'A' ? 'B' : 'A';
        assert_reason(jwt_verify(key, mem, &CLOCK, slice(token), &out), &UNAUTHENTICATED);
        *at = original;
    }
    assert_ok(jwt_verify(key, mem, &CLOCK, slice(token), &out));
    assert_reason(jwt_verify(key, mem, &CLOCK, slice(arena_printf(mem, "%s=", token)), &out), &UNAUTHENTICATED);
    assert_reason(jwt_verify(key, mem, &CLOCK, slice(arena_printf(mem, "%s.x", token)), &out), &UNAUTHENTICATED);
    assert_reason(jwt_verify(key, mem, &CLOCK, slice(arena_printf(mem, " %s", token)), &out), &UNAUTHENTICATED);
}

static void garbage_is_refused(void **state)
{
    static char long_text[JWT_MAX_BYTES + 2];
    static const char *const GARBAGE[] = {"", ".", "..", "...", "a.b", "a.b.c", "\xff.\xff.\xff"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(jwt_key_free_at) JwtKey *key = key_of(SECRET);
    JwtClaims out;
    (void)state;

    memset(long_text, 'a', sizeof(long_text) - 1);
    assert_reason(jwt_verify(key, mem, &CLOCK, slice(long_text), &out), &UNAUTHENTICATED);
    for (size_t i = 0; i < ARRAY_LEN(GARBAGE); i++)
        assert_reason(jwt_verify(key, mem, &CLOCK, slice(GARBAGE[i]), &out), &UNAUTHENTICATED);
}

static void a_short_secret_is_refused(void **state)
{
    JwtKey *key = NULL;
    (void)state;

    assert_reason(jwt_key_new(SLICE_LIT("0123456789abcdef0123456789abcde"), &key), &INVALID_ARGUMENT);
    assert_null(key);
    jwt_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minted_token_verifies_with_all_its_claims),
        cmocka_unit_test(absent_claims_are_empty),
        cmocka_unit_test(a_foreign_librarys_token_verifies),
        cmocka_unit_test(unknown_claims_and_future_iat_pass),
        cmocka_unit_test(well_signed_tokens_of_the_wrong_shape_are_refused),
        cmocka_unit_test(any_changed_letter_is_noticed),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_short_secret_is_refused),
    };
    return RUN(tests);
}
