/* Registrations and assertions of a software authenticator, good ones and each kind of bad. */
#include "services/auth/webauthn.h"

#include "services/auth/testing_authenticator.h"

static const char CHALLENGE[] = "Y2hhbGxlbmdl";
static const WebauthnSite SITE = {.origin = "https://atrium.example", .rp_id = "atrium.example"};

static int setup(void **state)
{
    *state = arena_new(1 << 16);
    return sodium_init() < 0;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static Authenticator new_at_home(Arena *mem, int algorithm)
{
    return authenticator_new(mem, algorithm, SITE.rp_id, SITE.origin);
}

static bool registers(const Authenticator *a, bool self, WebauthnCredential *out)
{
    Slice client_data = authenticator_client_data(a, "webauthn.create", CHALLENGE);

    return webauthn_check_registration(a->mem, &SITE, slice(CHALLENGE), client_data,
                                       authenticator_attestation(a, client_data, self), out);
}

static bool logs_in(const Authenticator *a, const WebauthnKey *key, uint32_t *out_count)
{
    Slice client_data = authenticator_client_data(a, "webauthn.get", CHALLENGE), data = authenticator_data(a, false);

    return webauthn_check_assertion(&SITE, slice(CHALLENGE), client_data, data,
                                    authenticator_sign(a, data, client_data), key, out_count);
}

static void a_key_that_was_registered_logs_in(void **state)
{
    static const int ALGORITHMS[] = {AUTHENTICATOR_ES256, AUTHENTICATOR_EDDSA};

    for (size_t i = 0; i < ARRAY_LEN(ALGORITHMS); i++)
        for (int self = 0; self < 2; self++) {
            Authenticator a = new_at_home(*state, ALGORITHMS[i]);
            WebauthnCredential credential;
            uint32_t count;

            assert_true(registers(&a, self, &credential));
            assert_slice_equal(credential.id, slice_of(a.id, sizeof(a.id)));
            assert_int_equal(credential.key.algorithm, ALGORITHMS[i]);
            assert_int_equal(credential.sign_count, 1);
            a.count = 70000;
            assert_true(logs_in(&a, &credential.key, &count));
            assert_int_equal(count, 70000);
            authenticator_free(&a);
        }
}

static void what_is_for_another_place_is_refused(void **state)
{
    static const struct {
        const char *rp_id, *origin;
        uint8_t flags;
    } CASES[] = {
        {"atrium.example", "https://evil.example", 5},       {"atrium.example", "http://atrium.example", 5},
        {"atrium.example", "https://atrium.example:444", 5}, {"atrium.example", "https://atrium.example/", 5},
        {"evil.example", "https://atrium.example", 5},       {"", "https://atrium.example", 5},
        {"atrium.example", "https://atrium.example", 1},     {"atrium.example", "https://atrium.example", 4},
        {"atrium.example", "https://atrium.example", 0},
    };
    Authenticator good = new_at_home(*state, AUTHENTICATOR_ES256);
    WebauthnCredential credential, other;
    uint32_t count;

    assert_true(registers(&good, false, &credential));
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Authenticator a = good;

        a.rp_id = CASES[i].rp_id;
        a.origin = CASES[i].origin;
        a.flags = CASES[i].flags;
        if (registers(&a, false, &other) || registers(&a, true, &other) || logs_in(&a, &credential.key, &count))
            fail_msg("case %zu", i);
    }
    authenticator_free(&good);
}

static void what_the_browser_says_must_fit(void **state)
{
    static const char *const CLIENT_DATA[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"type\":\"webauthn.get\",\"origin\":\"https://atrium.example\"}",
        "{\"type\":\"webauthn.get\",\"challenge\":\"b3RoZXI\",\"origin\":\"https://atrium.example\"}",
        "{\"type\":\"webauthn.create\",\"challenge\":\"Y2hhbGxlbmdl\",\"origin\":\"https://atrium.example\"}",
        "{\"type\":\"webauthn.get\",\"challenge\":\"Y2hhbGxlbmdl\",\"origin\":\"https://atrium.example\","
        "\"crossOrigin\":true}",
        "{\"type\":\"webauthn.get\",\"challenge\":\"Y2hhbGxlbmdl\",\"origin\":\"https://evil.example\","
        "\"origin\":\"https://atrium.example\"}",
        "{\"type\":\"webauthn.get\",\"challenge\":\"Y2hhbGxlbmdl\",\"origin\":[\"https://atrium.example\"]}",
        "{\"type\":\"webauthn.get\",\"challenge\":\"Y2hhbGxlbmdl\",\"origin\":\"https://atrium.example\"} x",
    };
    static const char GOOD[] =
        "{\"type\":\"webauthn.get\",\"challenge\":\"Y2hhbGxlbmdl\",\"origin\":\"https://atrium.example\"}";
    Authenticator a = new_at_home(*state, AUTHENTICATOR_ES256);
    Slice data = authenticator_data(&a, false);
    WebauthnCredential credential;
    uint32_t count;

    assert_true(registers(&a, false, &credential));
    for (size_t i = 0; i < ARRAY_LEN(CLIENT_DATA); i++)
        if (webauthn_check_assertion(&SITE, slice(CHALLENGE), slice(CLIENT_DATA[i]), data,
                                     authenticator_sign(&a, data, slice(CLIENT_DATA[i])), &credential.key, &count))
            fail_msg("%s", CLIENT_DATA[i]);
    assert_true(webauthn_check_assertion(&SITE, slice(CHALLENGE), slice(GOOD), data,
                                         authenticator_sign(&a, data, slice(GOOD)), &credential.key, &count));
    authenticator_free(&a);
}

static Slice flipped(Arena *mem, Slice bytes, size_t bit)
{
    char *copy = arena_memdup(mem, bytes.ptr, bytes.len);

    copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
    return slice_of(copy, bytes.len);
}

static void one_bit_of_what_was_signed_is_enough_to_refuse(void **state)
{
    Authenticator a = new_at_home(*state, AUTHENTICATOR_EDDSA), other = new_at_home(*state, AUTHENTICATOR_EDDSA);
    Slice client_data = authenticator_client_data(&a, "webauthn.get", CHALLENGE), data = authenticator_data(&a, false);
    Slice signature = authenticator_sign(&a, data, client_data);
    WebauthnCredential credential, another;
    uint32_t count;

    assert_true(registers(&a, false, &credential));
    assert_true(registers(&other, false, &another));
    for (size_t bit = 0; bit < data.len * 8; bit++)
        assert_false(webauthn_check_assertion(&SITE, slice(CHALLENGE), client_data, flipped(*state, data, bit),
                                              signature, &credential.key, &count));
    for (size_t bit = 0; bit < signature.len * 8; bit++)
        assert_false(webauthn_check_assertion(&SITE, slice(CHALLENGE), client_data, data,
                                              flipped(*state, signature, bit), &credential.key, &count));
    for (size_t bit = 0; bit < client_data.len * 8; bit++)
        assert_false(webauthn_check_assertion(&SITE, slice(CHALLENGE), flipped(*state, client_data, bit), data,
                                              signature, &credential.key, &count));
    assert_false(logs_in(&a, &another.key, &count));
    authenticator_free(&a);
    authenticator_free(&other);
}

/* Every registration that is cut, and every one with a bit changed: none is taken for what it is not, and none breaks.
 */
static void a_damaged_registration_is_refused(void **state)
{
    Authenticator a = new_at_home(*state, AUTHENTICATOR_ES256);
    Slice client_data = authenticator_client_data(&a, "webauthn.create", CHALLENGE);
    Slice attestation = authenticator_attestation(&a, client_data, true);
    WebauthnCredential out;

    for (size_t len = 0; len < attestation.len; len++)
        assert_false(webauthn_check_registration(*state, &SITE, slice(CHALLENGE), client_data,
                                                 slice_take(attestation, len), &out));
    for (size_t bit = 0; bit < attestation.len * 8; bit++)
        if (webauthn_check_registration(*state, &SITE, slice(CHALLENGE), client_data, flipped(*state, attestation, bit),
                                        &out))
            assert_slice_equal(out.id, slice_of(a.id, sizeof(a.id))); /* the bit was outside what is signed */
    authenticator_free(&a);
}

static void certificates_that_nobody_asked_for_are_refused(void **state)
{
    Authenticator a = new_at_home(*state, AUTHENTICATOR_ES256);
    Slice client_data = authenticator_client_data(&a, "webauthn.create", CHALLENGE);
    static const char *const STARTS[] = {
        "\xa3\x63"
        "fmt\x64"
        "none\x67"
        "attStmt\xa1\x63"
        "x5c\x41"
        "x\x68"
        "authData",
        "\xa3\x63"
        "fmt\x66"
        "packed\x67"
        "attStmt\xa1\x63"
        "x5c\x41"
        "x\x68"
        "authData",
        "\xa3\x63"
        "fmt\x66"
        "packed\x67"
        "attStmt\xa1\x63"
        "alg\x26\x68"
        "authData",
        "\xa3\x63"
        "fmt\x68"
        "fido-u2f\x67"
        "attStmt\xa1\x63"
        "sig\x41"
        "x\x68"
        "authData",
        "\xa3\x63"
        "fmt\x64"
        "none\x67"
        "attStmt\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x01\x68"
        "authData",
    };

    for (size_t i = 0; i < ARRAY_LEN(STARTS); i++) {
        StrBuf bytes = strbuf_new(*state, AUTHENTICATOR_MAX_BYTES);
        WebauthnCredential out;

        strbuf_append_cstr(&bytes, STARTS[i]);
        authenticator_append_bytes(&bytes, authenticator_data(&a, true));
        assert_false(
            webauthn_check_registration(*state, &SITE, slice(CHALLENGE), client_data, strbuf_slice(&bytes), &out));
    }
    authenticator_free(&a);
}

/* A list of 2^58 items in the place of the key: refused before anybody reserves memory for it. */
static void numbers_of_strangers_reserve_no_memory(void **state)
{
    static const char HUGE[] = "\xa5\x01\x9b\x03\x26\x20\x01\x21\x58\x20\x2e";
    Authenticator a = new_at_home(*state, AUTHENTICATOR_ES256);
    Slice client_data = authenticator_client_data(&a, "webauthn.create", CHALLENGE);
    Slice data = authenticator_data(&a, true);
    StrBuf attestation = strbuf_new(*state, AUTHENTICATOR_MAX_BYTES), bad = strbuf_new(*state, AUTHENTICATOR_MAX_BYTES);
    WebauthnCredential out;

    strbuf_append(&bad, slice_take(data, 37 + 18 + AUTHENTICATOR_ID_BYTES));
    strbuf_append(&bad, slice_of(HUGE, sizeof(HUGE) - 1));
    strbuf_append(&attestation, SLICE_LIT("\xa3\x63"
                                          "fmt\x64"
                                          "none\x67"
                                          "attStmt\xa0\x68"
                                          "authData"));
    authenticator_append_bytes(&attestation, strbuf_slice(&bad));
    assert_false(
        webauthn_check_registration(*state, &SITE, slice(CHALLENGE), client_data, strbuf_slice(&attestation), &out));
    authenticator_free(&a);
}

static void a_site_is_where_people_reach_the_platform(void **state)
{
    static const struct {
        const char *url, *origin, *rp_id;
    } CASES[] = {
        {"https://atrium.example", "https://atrium.example", "atrium.example"},
        {"https://atrium.example/", "https://atrium.example", "atrium.example"},
        {"https://atrium.example/app/x", "https://atrium.example", "atrium.example"},
        {"http://localhost:8080", "http://localhost:8080", "localhost"},
        {"http://localhost:8080/", "http://localhost:8080", "localhost"},
        {"atrium.example", NULL, NULL},
        {"://atrium.example", NULL, NULL},
        {"https://", NULL, NULL},
        {"https:///path", NULL, NULL},
        {"", NULL, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        WebauthnSite site;

        if (webauthn_site(*state, CASES[i].url, &site) != (CASES[i].origin != NULL))
            fail_msg("%s", CASES[i].url);
        if (CASES[i].origin) {
            assert_string_equal(site.origin, CASES[i].origin);
            assert_string_equal(site.rp_id, CASES[i].rp_id);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_was_registered_logs_in),
        cmocka_unit_test(what_is_for_another_place_is_refused),
        cmocka_unit_test(what_the_browser_says_must_fit),
        cmocka_unit_test(one_bit_of_what_was_signed_is_enough_to_refuse),
        cmocka_unit_test(a_damaged_registration_is_refused),
        cmocka_unit_test(certificates_that_nobody_asked_for_are_refused),
        cmocka_unit_test(numbers_of_strangers_reserve_no_memory),
        cmocka_unit_test(a_site_is_where_people_reach_the_platform),
    };

    return cmocka_run_group_tests_name("webauthn", tests, setup, teardown);
}
