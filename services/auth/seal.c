/* seal: see seal.h. */
#include "services/auth/seal.h"

#include <sodium.h>

/* Before what is sealed: which way it was done. */
enum { SEAL_SECRETBOX = 1, SEAL_HEAD_BYTES = 1 + crypto_secretbox_NONCEBYTES };
_Static_assert((int)DERIVED_KEY_BYTES == crypto_secretbox_KEYBYTES, "a derived key is a key of secretbox");
_Static_assert((int)DERIVED_KEY_BYTES == crypto_auth_hmacsha256_BYTES, "and one output of the hash");

static void hmac(const uint8_t *key, size_t key_len, const void *data, size_t len, uint8_t last, uint8_t *out)
{
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, key, key_len);
    crypto_auth_hmacsha256_update(&state, data, len);
    if (last)
        crypto_auth_hmacsha256_update(&state, &last, 1);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof(state));
}

void secret_derive(const AuthSettings *settings, const char *label, uint8_t out[DERIVED_KEY_BYTES])
{
    static const uint8_t NO_SALT[crypto_auth_hmacsha256_BYTES] = {0};
    uint8_t extracted[crypto_auth_hmacsha256_BYTES];
    Slice secret = slice(settings->auth_secret_key);

    if (secret.len == 0)
        secret = slice(settings->jwt_secret);
    hmac(NO_SALT, sizeof(NO_SALT), secret.ptr, secret.len, 0, extracted);
    hmac(extracted, sizeof(extracted), label, strlen(label), 1, out);
    sodium_memzero(extracted, sizeof(extracted));
}

Slice seal(const AuthSettings *settings, Arena *mem, Slice plain)
{
    size_t len = SEAL_HEAD_BYTES + crypto_secretbox_MACBYTES + plain.len;
    uint8_t *out = ARENA_ARRAY(mem, uint8_t, len);
    uint8_t key[DERIVED_KEY_BYTES];

    out[0] = SEAL_SECRETBOX;
    random_bytes(out + 1, crypto_secretbox_NONCEBYTES);
    secret_derive(settings, "seal", key);
    crypto_secretbox_easy(out + SEAL_HEAD_BYTES, (const uint8_t *)plain.ptr, plain.len, out + 1, key);
    sodium_memzero(key, sizeof(key));
    return slice_of(out, len);
}

bool unseal(const AuthSettings *settings, Arena *mem, Slice sealed, Slice *out)
{
    const uint8_t *in = (const uint8_t *)sealed.ptr;
    uint8_t key[DERIVED_KEY_BYTES];
    uint8_t *plain;
    bool good;

    if (sealed.len < SEAL_HEAD_BYTES + crypto_secretbox_MACBYTES || in[0] != SEAL_SECRETBOX)
        return false;
    plain = ARENA_ARRAY(mem, uint8_t, sealed.len);
    secret_derive(settings, "seal", key);
    good = crypto_secretbox_open_easy(plain, in + SEAL_HEAD_BYTES, sealed.len - SEAL_HEAD_BYTES, in + 1, key) == 0;
    sodium_memzero(key, sizeof(key));
    if (good)
        *out = slice_of(plain, sealed.len - SEAL_HEAD_BYTES - crypto_secretbox_MACBYTES);
    return good;
}
