#include "shared/jws.h"

#include <openssl/ec.h>

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

enum { ANY = JWS_RS256 | JWS_ES256 | JWS_EDDSA };

/* The keys of RFC 7515 A.2, A.3 and RFC 8037 A.2. */
#define RSA_N                                                                                                          \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-"   \
    "pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"                  \
    "UTo7WTBEMa2R2CapHg"                                                                                               \
    "665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FR" \
    "WyuXpoQ"
#define RSA_JWK "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC_JWK "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"
#define ED_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define ED_JWK "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\"}"
#define SET(keys) "{\"keys\":[" keys "]}"

#define RFC_PAYLOAD "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define RSA_TOKEN                                                                                                      \
    "eyJhbGciOiJSUzI1NiJ9." RFC_PAYLOAD                                                                                \
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7" \
    "t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"     \
    "xi12j"                                                                                                            \
    "zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_"          \
    "IoypGlUPQG"                                                                                                       \
    "e77Rw"
#define EC_TOKEN                                                                                                       \
    "eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD                                                                                \
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define ED_TOKEN                                                                                                       \
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."                                                        \
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

static JwsKeys *keys_of(const char *json)
{
    JwsKeys *keys = NULL;

    assert_ok(jws_keys_parse(slice(json), &keys));
    return keys;
}

static void the_rfcs_examples_verify_and_nothing_near_them(void **state)
{
    static const struct {
        const char *jwks, *token, *begins;
        JwsAlgs alg;
    } CASES[] = {{SET(RSA_JWK), RSA_TOKEN, "{\"iss\":\"joe\"", JWS_RS256},
                 {SET(EC_JWK), EC_TOKEN, "{\"iss\":\"joe\"", JWS_ES256},
                 {SET(ED_JWK), ED_TOKEN, "Example of Ed25519 signing", JWS_EDDSA}};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP(jws_keys_free_at) JwsKeys *keys = keys_of(CASES[i].jwks);
        char *token = arena_strdup(mem, CASES[i].token);
        const char *kid;
        Slice payload;

        assert_ok(jws_verify(keys, mem, slice(token), CASES[i].alg, &payload, &kid));
        assert_true(slice_starts_with(payload, slice(CASES[i].begins)));
        assert_string_equal(kid, "");
        assert_reason(jws_verify(keys, mem, slice(token), ANY & ~CASES[i].alg, &payload, &kid), &UNAUTHENTICATED);
        for (char *at = token; *at; at++) {
            char original = *at;

            *at = original == 'A' ? 'B' : 'A';
            assert_reason(jws_verify(keys, mem, slice(token), CASES[i].alg, &payload, &kid), &UNAUTHENTICATED);
            *at = original;
        }
    }
}

static void keys_of_no_use_are_left_out(void **state)
{
    static const struct {
        const char *jwks;
        size_t count;
    } CASES[] = {
        {SET(RSA_JWK "," EC_JWK "," ED_JWK), 3},
        {SET("{\"kty\":\"EC\",\"use\":\"sig\",\"alg\":\"ES256\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
             "\"}"),
         1},
        {SET("{\"kty\":\"EC\",\"key_ops\":[\"verify\"],\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"), 1},
        {SET(""), 0},
        {SET("{},null,7,\"x\",[]"), 0},
        {SET("{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"}"), 0},
        /* Another curve, a point beside it, half a point. */
        {SET("{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"), 0},
        {SET("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_Y "\",\"y\":\"" EC_X "\"}"), 0},
        {SET("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}"), 0},
        {SET("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}"), 0},
        {SET("{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ED_X "\"}"), 0},
        {SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}"), 0},
        {SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "=\"}"), 0},
        /* For another purpose, another algorithm, or with its secret. */
        {SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"use\":\"enc\",\"x\":\"" ED_X "\"}"), 0},
        {SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"key_ops\":[\"sign\"],\"x\":\"" ED_X "\"}"), 0},
        {SET("{\"kty\":\"RSA\",\"alg\":\"PS256\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"), 0},
        {SET("{\"kty\":\"RSA\",\"alg\":\"HS256\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"), 0},
        {SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\",\"x\":\"" ED_X
             "\"}"),
         0},
        /* Weak: 24 bits, an exponent of one, an even one, a long one. */
        {SET("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}"), 0},
        {SET("{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\"}"), 0},
        {SET("{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"Ag\"}"), 0},
        {SET("{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAAAAAAAAAB\"}"), 0},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP(jws_keys_free_at) JwsKeys *keys = keys_of(CASES[i].jwks);

        if (jws_keys_count(keys) != CASES[i].count)
            fail_msg("%zu keys of %s", jws_keys_count(keys), CASES[i].jwks);
    }
}

static void what_is_no_jwk_set_is_refused(void **state)
{
    static const char *const CASES[] = {
        "", "null", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]", "{\"keys\":[],\"keys\":[]}"};
    JwsKeys *keys = NULL;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_reason(jws_keys_parse(slice(CASES[i]), &keys), &INVALID_ARGUMENT);
    assert_null(keys);
    jws_keys_free(NULL);
}

static JwsSigner *signer_of(JwsAlgs alg, const char *kid)
{
    uint8_t secret[JWS_PRIVATE_BYTES];
    JwsSigner *signer = NULL;

    jws_private_make(alg, secret);
    assert_ok(jws_signer_new(alg, slice_of(secret, sizeof(secret)), kid, &signer));
    return signer;
}

static const JwsAlgs MADE[] = {JWS_ES256, JWS_EDDSA};

static void what_is_signed_here_verifies_by_its_key_and_its_jwk(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(MADE); i++) {
        CLEANUP(jws_signer_free_at) JwsSigner *signer = signer_of(MADE[i], "k\"1");
        CLEANUP(jws_keys_free_at) JwsKeys *raw = jws_keys_new();
        CLEANUP(jws_keys_free_at) JwsKeys *parsed = NULL;
        Slice public = jws_signer_public(signer, mem), payload;
        Slice token = slice(jws_sign(signer, mem, SLICE_LIT("{\"a\":1}")));
        const char *kid;

        assert_int_equal(jws_alg_parse(slice(jws_alg_name(MADE[i]))), MADE[i]);
        assert_ok(jws_keys_add(raw, MADE[i], "k\"1", public));
        parsed = keys_of(arena_printf(mem, SET("%s"), jws_jwk(mem, MADE[i], "k\"1", public)));
        assert_ok(jws_verify(raw, mem, token, MADE[i], &payload, &kid));
        assert_ok(jws_verify(parsed, mem, token, ANY, &payload, &kid));
        assert_slice_equal(payload, SLICE_LIT("{\"a\":1}"));
        assert_string_equal(kid, "k\"1");
    }
}

/* Of RFC 7515 A.3 and RFC 8037 A.1. */
static void a_private_key_gives_its_public_one(void **state)
{
    static const struct {
        JwsAlgs alg;
        const char *secret, *jwk;
    } CASES[] = {{JWS_ES256, "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
                  "{\"kid\":\"a\",\"use\":\"sig\",\"alg\":\"ES256\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X
                  "\",\"y\":\"" EC_Y "\"}"},
                 {JWS_EDDSA, "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
                  "{\"kid\":\"a\",\"use\":\"sig\",\"alg\":\"EdDSA\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X
                  "\"}"}};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP(jws_signer_free_at) JwsSigner *signer = NULL;
        Slice secret;

        assert_true(base64_decode(mem, slice(CASES[i].secret), &secret));
        assert_ok(jws_signer_new(CASES[i].alg, secret, "a", &signer));
        assert_string_equal(jws_jwk(mem, CASES[i].alg, "a", jws_signer_public(signer, mem)), CASES[i].jwk);
    }
}

static void what_is_no_key_makes_no_signer(void **state)
{
    static const uint8_t ZERO[JWS_PRIVATE_BYTES], FULL[JWS_PRIVATE_BYTES] = {[0 ... 31] = 0xff};
    CLEANUP(jws_keys_free_at) JwsKeys *keys = jws_keys_new();
    JwsSigner *signer = NULL;
    (void)state;

    assert_reason(jws_signer_new(JWS_ES256, slice_of(ZERO, 32), "a", &signer), &INVALID_ARGUMENT);
    assert_reason(jws_signer_new(JWS_ES256, slice_of(FULL, 32), "a", &signer), &INVALID_ARGUMENT);
    assert_reason(jws_signer_new(JWS_EDDSA, slice_of(FULL, 31), "a", &signer), &INVALID_ARGUMENT);
    assert_reason(jws_signer_new(JWS_RS256, slice_of(FULL, 32), "a", &signer), &INVALID_ARGUMENT);
    assert_reason(jws_keys_add(keys, JWS_ES256, "a", slice_of(FULL, 32)), &INVALID_ARGUMENT);
    assert_reason(jws_keys_add(keys, JWS_EDDSA, "a", slice_of(FULL, 31)), &INVALID_ARGUMENT);
    assert_reason(jws_keys_add(keys, JWS_RS256, "a", slice_of(FULL, 32)), &INVALID_ARGUMENT);
    assert_int_equal(jws_alg_parse(SLICE_LIT("RS256")), 0);
    assert_int_equal(jws_alg_parse(SLICE_LIT("none")), 0);
    jws_signer_free(NULL);
}

/* Header and payload with the signature of another token: a good one over other text. */
static Slice with_header(Arena *mem, const char *header, Slice token)
{
    Slice head, rest;

    (void)slice_cut(token, '.', &head, &rest);
    return slice(arena_printf(mem, "%s." SLICE_FMT, base64url_encode(mem, slice(header)), SLICE_ARG(rest)));
}

static void a_header_never_chooses(void **state)
{
    static const char *const HEADERS[] = {
        "{\"alg\":\"none\",\"kid\":\"e\"}",
        "{\"alg\":\"HS256\",\"kid\":\"e\"}",
        "{\"alg\":\"RS256\",\"kid\":\"e\"}",
        "{\"alg\":\"ES256\",\"kid\":\"d\"}", /* the name of a key for another algorithm */
        "{\"alg\":\"EdDSA\",\"kid\":\"e\"}",
        "{\"alg\":\"es256\",\"kid\":\"e\"}",
        "{\"alg\":[\"ES256\"],\"kid\":\"e\"}",
        "{\"alg\":\"ES256\",\"kid\":7}",
        "{\"alg\":\"ES256\",\"kid\":\"e\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"ES256\",\"kid\":\"e\",\"typ\":null}",
        "{\"alg\":\"ES256\",\"kid\":\"e\",\"crit\":[\"b64\"],\"b64\":false}",
        "{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"e\"}",
        "{\"kid\":\"e\"}",
        "[\"ES256\"]",
        "",
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(jws_signer_free_at) JwsSigner *ec = signer_of(JWS_ES256, "e");
    CLEANUP(jws_signer_free_at) JwsSigner *ed = signer_of(JWS_EDDSA, "d");
    CLEANUP(jws_keys_free_at) JwsKeys *keys = jws_keys_new();
    Slice token = slice(jws_sign(ec, mem, SLICE_LIT("{}"))), payload;
    const char *kid;
    (void)state;

    assert_ok(jws_keys_add(keys, JWS_ES256, "e", jws_signer_public(ec, mem)));
    assert_ok(jws_keys_add(keys, JWS_EDDSA, "d", jws_signer_public(ed, mem)));
    assert_ok(jws_verify(keys, mem, token, ANY, &payload, &kid));
    for (size_t i = 0; i < ARRAY_LEN(HEADERS); i++) {
        Err e = jws_verify(keys, mem, with_header(mem, HEADERS[i], token), ANY, &payload, &kid);

        if (e.reason != &UNAUTHENTICATED)
            fail_msg("%s", HEADERS[i]);
    }
}

static void an_unknown_key_is_told_by_name(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(jws_signer_free_at) JwsSigner *known = signer_of(JWS_EDDSA, "old");
    CLEANUP(jws_signer_free_at) JwsSigner *unknown = signer_of(JWS_EDDSA, "new");
    CLEANUP(jws_keys_free_at) JwsKeys *keys = jws_keys_new();
    Slice payload, token = slice(jws_sign(unknown, mem, SLICE_LIT("{}")));
    const char *kid = NULL;
    (void)state;

    assert_ok(jws_keys_add(keys, JWS_EDDSA, "old", jws_signer_public(known, mem)));
    assert_reason(jws_verify(keys, mem, token, JWS_EDDSA, &payload, &kid), &NOT_FOUND);
    assert_string_equal(kid, "new");
    /* Nobody is asked for keys of an algorithm that is not accepted. */
    assert_reason(jws_verify(keys, mem, token, JWS_ES256, &payload, &kid), &UNAUTHENTICATED);
    /* Without a name: one that fits is tried, of two none. */
    token = slice(jws_sign(known, mem, SLICE_LIT("{}")));
    assert_reason(jws_verify(keys, mem, with_header(mem, "{\"alg\":\"EdDSA\"}", token), JWS_EDDSA, &payload, &kid),
                  &UNAUTHENTICATED);
    assert_ok(jws_keys_add(keys, JWS_EDDSA, "new", jws_signer_public(unknown, mem)));
    assert_ok(jws_verify(keys, mem, token, JWS_EDDSA, &payload, &kid));
    assert_reason(jws_verify(keys, mem, SLICE_LIT(ED_TOKEN), JWS_EDDSA, &payload, &kid), &UNAUTHENTICATED);
}

/* What other programs would make of the same signature is no second spelling of a token. */
static void a_signature_has_one_form(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(jws_keys_free_at) JwsKeys *keys = keys_of(SET(EC_JWK));
    Slice token = SLICE_LIT(EC_TOKEN), signature, payload;
    size_t text_len = token.len - 86;
    unsigned char der[80], *at = der;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    const char *kid;
    int len;
    (void)state;

    assert_true(base64_decode(mem, slice_skip(token, text_len), &signature));
    assert_int_equal(ECDSA_SIG_set0(pair, BN_bin2bn((const unsigned char *)signature.ptr, 32, NULL),
                                    BN_bin2bn((const unsigned char *)signature.ptr + 32, 32, NULL)),
                     1);
    len = i2d_ECDSA_SIG(pair, &at);
    ECDSA_SIG_free(pair);
    const char *const others[] = {
        base64url_encode(mem, slice_of(der, (size_t)len)),
        base64url_encode(mem, slice_take(signature, 63)),
        arena_printf(mem, SLICE_FMT "AA", SLICE_ARG(slice_skip(token, text_len))),
        arena_printf(mem, SLICE_FMT "==", SLICE_ARG(slice_skip(token, text_len))),
        arena_printf(mem, SLICE_FMT "R", SLICE_ARG(slice_of(token.ptr + text_len, 85))), /* bits to spare */
        base64url_encode(mem, slice_of((const char[64]){0}, 64)),
        "",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_reason(
            jws_verify(keys, mem,
                       slice(arena_printf(mem, SLICE_FMT "%s", SLICE_ARG(slice_take(token, text_len)), others[i])), ANY,
                       &payload, &kid),
            &UNAUTHENTICATED);
}

static void garbage_is_refused(void **state)
{
    static char long_text[JWS_TOKEN_MAX_BYTES + 2];
    static const char *const GARBAGE[] = {"", ".", "..", "...", "a.b", "a.b.c", "\xff.\xff.\xff", "e30.e30.e30"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(jws_keys_free_at) JwsKeys *keys = keys_of(SET(RSA_JWK "," EC_JWK "," ED_JWK));
    const char *kid;
    Slice payload;
    (void)state;

    memset(long_text, 'a', sizeof(long_text) - 1);
    assert_reason(jws_verify(keys, mem, slice(long_text), ANY, &payload, &kid), &UNAUTHENTICATED);
    for (size_t i = 0; i < ARRAY_LEN(GARBAGE); i++)
        assert_reason(jws_verify(keys, mem, slice(GARBAGE[i]), ANY, &payload, &kid), &UNAUTHENTICATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rfcs_examples_verify_and_nothing_near_them),
        cmocka_unit_test(keys_of_no_use_are_left_out),
        cmocka_unit_test(what_is_no_jwk_set_is_refused),
        cmocka_unit_test(what_is_signed_here_verifies_by_its_key_and_its_jwk),
        cmocka_unit_test(a_private_key_gives_its_public_one),
        cmocka_unit_test(what_is_no_key_makes_no_signer),
        cmocka_unit_test(a_header_never_chooses),
        cmocka_unit_test(an_unknown_key_is_told_by_name),
        cmocka_unit_test(a_signature_has_one_form),
        cmocka_unit_test(garbage_is_refused),
    };
    return RUN(tests);
}
