/* Sealed secrets and derived keys. */
#include "services/auth/seal.h"

#include <sodium.h>

#include "shared/testing.h"

static const AuthSettings ONE = {.jwt_secret = "0123456789abcdef0123456789abcdef"};
static const AuthSettings OTHER = {.jwt_secret = "0123456789abcdef0123456789abcdef",
                                   .auth_secret_key = "fedcba9876543210fedcba9876543210"};

static void what_was_sealed_is_read_again(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice sealed = seal(&ONE, mem, SLICE_LIT("a secret")), out;
    (void)state;

    assert_int_equal(slice_find(sealed, SLICE_LIT("a secret")), -1);
    assert_true(unseal(&ONE, mem, sealed, &out));
    assert_slice_equal(out, SLICE_LIT("a secret"));
    assert_false(slice_eq(sealed, seal(&ONE, mem, SLICE_LIT("a secret"))));
    assert_true(unseal(&ONE, mem, seal(&ONE, mem, SLICE_LIT("")), &out));
    assert_int_equal(out.len, 0);
}

static void nothing_else_is_read(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice sealed = seal(&ONE, mem, SLICE_LIT("a secret")), out;
    (void)state;

    assert_false(unseal(&OTHER, mem, sealed, &out));
    for (size_t i = 0; i < sealed.len; i++) {
        char *changed = arena_memdup(mem, sealed.ptr, sealed.len);

        changed[i] ^= 1;
        assert_false(unseal(&ONE, mem, slice_of(changed, sealed.len), &out));
        assert_false(unseal(&ONE, mem, slice_take(sealed, i), &out));
    }
}

/* RFC 5869's construction, with OpenSSL's as the oracle: openssl kdf -keylen 32 -kdfopt digest:SHA256 … HKDF */
static void keys_are_those_of_hkdf(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    uint8_t key[DERIVED_KEY_BYTES], other[DERIVED_KEY_BYTES];
    (void)state;

    secret_derive(&ONE, "seal", key);
    assert_string_equal(hex_encode(mem, slice_of(key, sizeof(key))),
                        "3e634522f2a7ce01d6896981a6c97f92d954c64a23e0c5f7ecdba91a3264f2b5");
    secret_derive(&ONE, "else", other);
    assert_memory_not_equal(key, other, sizeof(key));
    secret_derive(&OTHER, "seal", other);
    assert_memory_not_equal(key, other, sizeof(key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_is_read_again),
        cmocka_unit_test(nothing_else_is_read),
        cmocka_unit_test(keys_are_those_of_hkdf),
    };

    return sodium_init() < 0 ? 1 : RUN(tests);
}
