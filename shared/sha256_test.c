#include "shared/sha256.h"

#include <openssl/evp.h>

#include "shared/id.h"
#include "shared/testing.h"

/* FIPS 180's examples. */
static void known_digests_come_out(void **state)
{
    char hex[SHA256_HEX_BYTES];
    (void)state;

    sha256_hex_of(SLICE_LIT("abc"), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_hex_of(SLICE_LIT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    sha256_hex_of(SLICE_LIT(""), hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* At every length around the blocks the state is written down, taken up again, and agrees with EVP. */
static void a_state_survives_being_text(void **state)
{
    uint8_t bytes[300], wanted[SHA256_BYTES], got[SHA256_BYTES];
    (void)state;

    random_bytes(bytes, sizeof(bytes));
    for (size_t first = 0; first < sizeof(bytes); first++) {
        char text[SHA256_STATE_TEXT_BYTES];
        Sha256 s, again;
        sha256_init(&s);
        sha256_update(&s, slice_of(bytes, first / 2));
        sha256_update(&s, slice_of(bytes + first / 2, first - first / 2));
        sha256_save(&s, text);
        assert_true(sha256_restore(slice(text), &again));
        sha256_update(&again, slice_of(bytes + first, sizeof(bytes) - first));
        sha256_digest(&again, got);
        assert_int_equal(EVP_Digest(bytes, sizeof(bytes), wanted, NULL, EVP_sha256(), NULL), 1);
        assert_memory_equal(got, wanted, sizeof(got));
    }
}

static void a_digest_leaves_the_state_as_it_was(void **state)
{
    char first[SHA256_HEX_BYTES], second[SHA256_HEX_BYTES];
    Sha256 s;
    (void)state;

    sha256_init(&s);
    sha256_update(&s, SLICE_LIT("ab"));
    sha256_hex(&s, first);
    sha256_hex(&s, second);
    assert_string_equal(first, second);
    sha256_update(&s, SLICE_LIT("c"));
    sha256_hex(&s, second);
    assert_string_equal(second, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void what_is_no_state_is_refused(void **state)
{
#define WORDS "0000000000000000000000000000000000000000000000000000000000000000"
    static const char *const BAD[] = {"",
                                      WORDS,
                                      WORDS ".0",
                                      WORDS ".1.",
                                      WORDS ".0.00",
                                      WORDS ".1.0",
                                      WORDS ".1.0g",
                                      WORDS ".-1.00",
                                      WORDS ".1.000",
                                      "0" WORDS ".0.",
                                      WORDS ".18446744073709551615."};
    Sha256 s;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_false(sha256_restore(slice(BAD[i]), &s));
    assert_true(sha256_restore(slice(WORDS ".64."), &s));
    assert_true(sha256_restore(slice(WORDS ".65.ff"), &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digests_come_out),
        cmocka_unit_test(a_state_survives_being_text),
        cmocka_unit_test(a_digest_leaves_the_state_as_it_was),
        cmocka_unit_test(what_is_no_state_is_refused),
    };
    return RUN(tests);
}
