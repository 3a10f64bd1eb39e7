/* OpenSSL calls these functions deprecated in favour of EVP, which cannot do what they are here for. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "shared/sha256.h"

#include <openssl/sha.h>

static const char HEX[] = "0123456789abcdef";

static void load(const Sha256 *s, SHA256_CTX *out)
{
    uint64_t bits = s->count_bytes * 8;

    (void)SHA256_Init(out); /* cannot fail */
    memcpy(out->h, s->words, sizeof(s->words));
    out->Nl = (SHA_LONG)bits;
    out->Nh = (SHA_LONG)(bits >> 32);
    out->num = (unsigned)(s->count_bytes % sizeof(s->rest));
    memcpy(out->data, s->rest, out->num);
}

static void store(const SHA256_CTX *ctx, Sha256 *s)
{
    memcpy(s->words, ctx->h, sizeof(s->words));
    memcpy(s->rest, ctx->data, ctx->num);
}

void sha256_init(Sha256 *s)
{
    SHA256_CTX ctx;

    *s = (Sha256){0};
    (void)SHA256_Init(&ctx);
    store(&ctx, s);
}

void sha256_update(Sha256 *s, Slice bytes)
{
    SHA256_CTX ctx;

    if (!bytes.len)
        return;
    load(s, &ctx);
    (void)SHA256_Update(&ctx, bytes.ptr, bytes.len);
    s->count_bytes += bytes.len;
    store(&ctx, s);
}

void sha256_digest(const Sha256 *s, uint8_t out[SHA256_BYTES])
{
    SHA256_CTX ctx;

    load(s, &ctx);
    (void)SHA256_Final(out, &ctx);
}

static char *put_hex(char *to, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        *to++ = HEX[bytes[i] >> 4];
        *to++ = HEX[bytes[i] & 15];
    }
    *to = '\0';
    return to;
}

void sha256_hex(const Sha256 *s, char out[SHA256_HEX_BYTES])
{
    uint8_t digest[SHA256_BYTES];

    sha256_digest(s, digest);
    (void)put_hex(out, digest, sizeof(digest));
}

void sha256_hex_of(Slice bytes, char out[SHA256_HEX_BYTES])
{
    Sha256 s;

    sha256_init(&s);
    sha256_update(&s, bytes);
    sha256_hex(&s, out);
}

static bool is_hex(Slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!memchr(HEX, text.ptr[i], sizeof(HEX) - 1))
            return false;
    }
    return true;
}

bool sha256_is_hex(Slice text)
{
    return text.len == SHA256_HEX_BYTES - 1 && is_hex(text);
}

void sha256_save(const Sha256 *s, char out[SHA256_STATE_TEXT_BYTES])
{
    char *at = out;

    for (size_t i = 0; i < ARRAY_LEN(s->words); i++) {
        uint32_t w = s->words[i];
        uint8_t bytes[] = {(uint8_t)(w >> 24), (uint8_t)(w >> 16), (uint8_t)(w >> 8), (uint8_t)w};
        at = put_hex(at, bytes, sizeof(bytes));
    }
    at += snprintf(at, 23, ".%" PRIu64 ".", s->count_bytes); /* two dots and at most 20 digits */
    (void)put_hex(at, s->rest, s->count_bytes % sizeof(s->rest));
}

static uint8_t nibble(char c)
{
    return (uint8_t)((const char *)memchr(HEX, c, sizeof(HEX) - 1) - HEX);
}

/* `text` is hex of twice as many digits. */
static void get_hex(Slice text, uint8_t *out)
{
    for (size_t i = 0; i < text.len / 2; i++)
        out[i] = (uint8_t)(nibble(text.ptr[2 * i]) << 4 | nibble(text.ptr[2 * i + 1]));
}

bool sha256_restore(Slice text, Sha256 *out)
{
    Slice words, count, rest;
    uint8_t bytes[32];
    Sha256 s = {0};

    if (!slice_cut(text, '.', &words, &rest) || !slice_cut(rest, '.', &count, &rest))
        return false;
    if (words.len != 64 || !is_hex(words) || !is_hex(rest))
        return false;
    /* Its bits are counted in 64 bits. */
    if (!slice_to_uint64(count, &s.count_bytes) || s.count_bytes > UINT64_MAX / 8)
        return false;
    if (rest.len != 2 * (s.count_bytes % sizeof(s.rest)))
        return false;
    get_hex(words, bytes);
    for (size_t i = 0; i < ARRAY_LEN(s.words); i++)
        s.words[i] = (uint32_t)bytes[4 * i] << 24 | (uint32_t)bytes[4 * i + 1] << 16 | (uint32_t)bytes[4 * i + 2] << 8 |
                     bytes[4 * i + 3];
    get_hex(rest, s.rest);
    *out = s;
    return true;
}
