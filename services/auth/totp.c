/* totp: see totp.h. */
#include "services/auth/totp.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "shared/id.h"
#include "shared/strbuf.h"

enum {
    SHA1_BYTES = 20,
    CODES = 1000000,     /* 10 to the power of TOTP_DIGITS */
    SKEW_STEPS = 1,      /* clocks differ, and typing takes its time */
    RECOVERY_BYTES = 10, /* 16 letters */
    RECOVERY_GROUP = 4,
    RECOVERY_TYPED_MAX = 64,
    URL_MAX_BYTES = 1024
};

uint32_t totp_number(Slice secret, int64_t step)
{
    uint8_t counter[8], mac[SHA1_BYTES];
    uint32_t number;
    size_t at;

    for (size_t i = 0; i < sizeof(counter); i++)
        counter[i] = (uint8_t)((uint64_t)step >> (8 * (sizeof(counter) - 1 - i)));
    HMAC(EVP_sha1(), secret.ptr, (int)secret.len, counter, sizeof(counter), mac, NULL);
    at = mac[SHA1_BYTES - 1] & 15;
    number = (uint32_t)mac[at] << 24 | (uint32_t)mac[at + 1] << 16 | (uint32_t)mac[at + 2] << 8 | mac[at + 3];
    return (number & INT32_MAX) % CODES;
}

bool totp_looks_like_code(const char *code)
{
    return strlen(code) == TOTP_DIGITS && strspn(code, "0123456789") == TOTP_DIGITS;
}

bool totp_check(Slice secret, const char *code, int64_t now_s, int64_t *out_step)
{
    int64_t now_step = now_s / TOTP_STEP_S, found = -1;

    if (!totp_looks_like_code(code))
        return false;
    for (int64_t step = now_step - SKEW_STEPS; step <= now_step + SKEW_STEPS; step++) {
        char good[16];

        snprintf(good, sizeof(good), "%06" PRIu32, totp_number(secret, step));
        if (sodium_memcmp(good, code, TOTP_DIGITS) == 0)
            found = step;
    }
    if (found >= 0)
        *out_step = found;
    return found >= 0;
}

/* ---------------------------------------------------------------------------------------------------- texts */
char *base32_encode(Arena *mem, Slice bytes)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    char *text = ARENA_ARRAY(mem, char, (bytes.len * 8 + 4) / 5 + 1), *to = text;
    uint32_t bits = 0;
    int count = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | (uint8_t)bytes.ptr[i];
        for (count += 8; count >= 5; count -= 5)
            *to++ = LETTERS[bits >> (count - 5) & 31];
    }
    if (count > 0)
        *to++ = LETTERS[bits << (5 - count) & 31];
    return text;
}

static void append_escaped(StrBuf *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                     strchr("-._~", *c) != NULL;

        if (plain)
            strbuf_append_char(out, *c);
        else
            strbuf_printf(out, "%%%02X", (unsigned)(uint8_t)*c);
    }
}

char *totp_url(Arena *mem, const char *issuer, const char *account, const char *secret)
{
    StrBuf out = strbuf_new(mem, URL_MAX_BYTES);
    Slice text;

    strbuf_append_cstr(&out, "otpauth://totp/");
    append_escaped(&out, issuer);
    strbuf_append_char(&out, ':');
    append_escaped(&out, account);
    strbuf_printf(&out, "?secret=%s&issuer=", secret);
    append_escaped(&out, issuer);
    return strbuf_finish(&out, &text) ? slice_cstr(mem, text) : arena_strdup(mem, "");
}

/* ---------------------------------------------------------------------------------------------------- recovery codes
 */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

char *recovery_code_make(Arena *mem)
{
    uint8_t bytes[RECOVERY_BYTES];
    const char *letters;
    char *code, *to;

    random_bytes(bytes, sizeof(bytes));
    letters = base32_encode(mem, slice_of(bytes, sizeof(bytes)));
    to = code = ARENA_ARRAY(mem, char, 2 * strlen(letters));
    for (size_t i = 0; letters[i]; i++) {
        if (i > 0 && i % RECOVERY_GROUP == 0)
            *to++ = '-';
        *to++ = lower(letters[i]);
    }
    return code;
}

/* Hyphens and blanks are for reading, and case is no matter. */
Slice recovery_code_hash(Arena *mem, const char *code)
{
    uint8_t *hash = ARENA_ARRAY(mem, uint8_t, crypto_hash_sha256_BYTES);
    char typed[RECOVERY_TYPED_MAX];
    size_t len = 0;

    for (const char *c = code; *c && len < sizeof(typed); c++)
        if (*c != '-' && *c != ' ')
            typed[len++] = lower(*c);
    crypto_hash_sha256(hash, (const unsigned char *)typed, len);
    sodium_memzero(typed, sizeof(typed));
    return slice_of(hash, crypto_hash_sha256_BYTES);
}
