/* csrf: see csrf.h. */
#include "services/gateway/csrf.h"

#include <sodium.h>

#include "atrium/reasons.atrium.h"

enum { DAY_MS = 86400000 };

struct Csrf {
    unsigned char key[crypto_auth_hmacsha256_KEYBYTES];
};

static void hash(const unsigned char *key, size_t key_bytes, Slice text,
                 unsigned char out[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256_state state;

    /* None of the three has a way to fail. */
    (void)crypto_auth_hmacsha256_init(&state, key, key_bytes);
    (void)crypto_auth_hmacsha256_update(&state, (const unsigned char *)text.ptr, text.len);
    (void)crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof(state));
}

Err csrf_new(Arena *mem, Slice signing_key, const Csrf **out)
{
    Csrf *csrf = ARENA_NEW(mem, Csrf);
    Slice seed;

    if (signing_key.len == 0 || !hex_decode(mem, signing_key, &seed))
        return err_make(&INVALID_ARGUMENT, "hexadecimal digits are wanted");
    /* A key of its own for this purpose: the seed is random already, so one step of HKDF does. */
    hash((const unsigned char *)seed.ptr, seed.len, SLICE_LIT("csrf\001"), csrf->key);
    sodium_memzero((void *)(uintptr_t)seed.ptr, seed.len);
    *out = csrf;
    return OK;
}

static char *token_of_day(const Csrf *csrf, Arena *mem, Slice owner, int64_t day)
{
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    const char *text = arena_printf(mem, "%" PRId64 "|" SLICE_FMT, day, SLICE_ARG(owner));

    hash(csrf->key, sizeof(csrf->key), slice(text), mac);
    return base64url_encode(mem, slice_of(mac, sizeof(mac)));
}

char *csrf_token(const Csrf *csrf, Arena *mem, Slice owner, int64_t now_ms)
{
    return token_of_day(csrf, mem, owner, now_ms / DAY_MS);
}

bool csrf_matches(const Csrf *csrf, Arena *mem, Slice owner, int64_t now_ms, Slice token)
{
    int64_t today = now_ms / DAY_MS;

    return slice_eq_secret(token, slice(token_of_day(csrf, mem, owner, today))) ||
           slice_eq_secret(token, slice(token_of_day(csrf, mem, owner, today - 1)));
}
