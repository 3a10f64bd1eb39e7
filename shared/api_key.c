#include "shared/api_key.h"

#include "shared/id.h"

enum { SECRET_BYTES = 32, SECRET_CHARS = 43, CHECK_CHARS = 6 };
static const char *const SCHEMES[] = {API_KEY_COMMONS, API_KEY_PERSONAL};
static const char BASE62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* CRC-32 as of gzip. Keys are short, and looked at once each: a table would be more than it is worth. */
static uint32_t crc32_of(Slice text)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < text.len; i++) {
        crc ^= (uint8_t)text.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

static void write_check(Slice text, char out[CHECK_CHARS])
{
    uint32_t crc = crc32_of(text);

    for (size_t i = CHECK_CHARS; i-- > 0; crc /= 62)
        out[i] = BASE62[crc % 62];
}

/* What stands after the scheme; empty when it has none. */
static Slice after_scheme(Slice token)
{
    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++)
        if (slice_starts_with(token, slice(SCHEMES[i])))
            return slice_skip(token, strlen(SCHEMES[i]));
    return SLICE_LIT("");
}

char *api_key_make(Arena *mem, const char *scheme)
{
    uint8_t secret[SECRET_BYTES];
    char check[CHECK_CHARS];
    char *text;

    random_bytes(secret, sizeof(secret));
    text = arena_printf(mem, "%s%s", scheme, base64url_encode(mem, slice_of(secret, sizeof(secret))));
    write_check(slice(text), check);
    return arena_printf(mem, "%s%.*s", text, CHECK_CHARS, check);
}

bool api_key_looks(Slice token)
{
    return after_scheme(token).len > 0;
}

bool api_key_well_formed(Slice token)
{
    char check[CHECK_CHARS];
    size_t len = token.len - CHECK_CHARS;

    if (after_scheme(token).len != SECRET_CHARS + CHECK_CHARS)
        return false;
    write_check(slice_take(token, len), check);
    return slice_eq(slice_skip(token, len), slice_of(check, sizeof(check)));
}
