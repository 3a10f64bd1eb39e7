/* Fuzz target: JSON Web Tokens. The first byte chooses: a token as it is; or a header and claims (two lines) that are
 * signed here with the right key, so that what stands behind the signature is reached too. */
#include <sodium.h>

#include "shared/jwt.h"

enum { NOW_S = 1800000000 };
static const char SECRET[] = "0123456789abcdef0123456789abcdef";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int64_t now_us(void *context)
{
    (void)context;
    return (int64_t)NOW_S * 1000000;
}

static const Clock CLOCK = {.unix_us = now_us, .monotonic_us = now_us};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static Slice sign_here(Arena *mem, Slice text)
{
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    Slice header, claims;
    char *two;

    (void)slice_cut(text, '\n', &header, &claims); /* false: no claims */
    two = arena_printf(mem, "%s.%s", base64url_encode(mem, header), base64url_encode(mem, claims));
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)SECRET, strlen(SECRET));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)two, strlen(two));
    crypto_auth_hmacsha256_final(&state, mac);
    return slice(arena_printf(mem, "%s.%s", two, base64url_encode(mem, slice_of(mac, sizeof(mac)))));
}

static void check_claims(const JwtKey *key, Arena *mem, const JwtClaims *claims)
{
    JwtClaims again;
    size_t texts = strlen(claims->username) + strlen(claims->email) + strlen(claims->role) + strlen(claims->login_id) +
                   strlen(claims->jti) + strlen(claims->issuer);

    check(claims->user_id > 0 && claims->expires_s > NOW_S && claims->not_before_s <= NOW_S);
    check(utf8_valid(slice(claims->username)) && utf8_valid(slice(claims->login_id)));
    if (texts > JWT_MAX_BYTES / 8) /* who mints bounds them; each byte may become six */
        return;
    check(!err_failed(jwt_verify(key, mem, &CLOCK, slice(jwt_mint(key, mem, claims)), &again)));
    check(again.user_id == claims->user_id && again.expires_s == claims->expires_s &&
          strcmp(again.username, claims->username) == 0 && strcmp(again.login_id, claims->login_id) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    CLEANUP(jwt_key_free_at) JwtKey *key = NULL;
    Slice text = slice_skip(slice_of(data, len), 1);
    JwtClaims claims;

    check(!err_failed(jwt_key_new(slice(SECRET), &key)));
    if (len && data[0] & 1)
        text = sign_here(mem, text);
    if (!err_failed(jwt_verify(key, mem, &CLOCK, text, &claims)))
        check_claims(key, mem, &claims);
    return 0;
}
