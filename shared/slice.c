#include "shared/slice.h"

/* Eight bytes at a time: whether one of them has its top bit set, that is, is not ASCII. */
#define TOP_BITS UINT64_C(0x8080808080808080)

static uint64_t load64(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

Slice slice(const char *text)
{
    return text ? (Slice){text, strlen(text)} : SLICE_LIT("");
}

bool slice_eq(Slice a, Slice b)
{
    return a.len == b.len && (a.len == 0 || !memcmp(a.ptr, b.ptr, a.len));
}

bool slice_eq_cstr(Slice a, const char *b)
{
    return slice_eq(a, slice(b));
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool slice_eq_nocase(Slice a, Slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool slice_eq_secret(Slice a, Slice b)
{
    volatile unsigned char differences = 0; /* volatile: no way out of the loop for the optimiser */

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        differences |= (unsigned char)(a.ptr[i] ^ b.ptr[i]);
    return differences == 0;
}

bool slice_starts_with(Slice s, Slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_take(s, prefix.len), prefix);
}

bool slice_ends_with(Slice s, Slice suffix)
{
    return s.len >= suffix.len && slice_eq(slice_skip(s, s.len - suffix.len), suffix);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

Slice slice_trim(Slice s)
{
    while (s.len && is_space(s.ptr[0]))
        s = slice_skip(s, 1);
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

Slice slice_skip(Slice s, size_t count)
{
    count = MIN(count, s.len);
    return count ? (Slice){s.ptr + count, s.len - count} : s;
}

Slice slice_take(Slice s, size_t count)
{
    return (Slice){s.ptr, MIN(count, s.len)};
}

bool slice_cut(Slice s, char separator, Slice *head, Slice *rest)
{
    ptrdiff_t at = slice_find_char(s, separator);

    if (at < 0) {
        *head = s;
        *rest = slice_skip(s, s.len);
        return false;
    }
    *head = slice_take(s, (size_t)at);
    *rest = slice_skip(s, (size_t)at + 1);
    return true;
}

ptrdiff_t slice_find_char(Slice s, char c)
{
    const char *found = s.len ? memchr(s.ptr, c, s.len) : NULL;

    return found ? found - s.ptr : -1;
}

ptrdiff_t slice_find(Slice s, Slice needle)
{
    const char *found;

    if (needle.len == 0)
        return 0;
    found = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return found ? found - s.ptr : -1;
}

char *slice_cstr(Arena *mem, Slice s)
{
    return arena_strndup(mem, s.ptr, s.len);
}

bool slice_to_uint64(Slice s, uint64_t *out)
{
    uint64_t value = 0;

    if (s.len && s.ptr[0] == '+')
        s = slice_skip(s, 1);
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

bool slice_to_int64(Slice s, int64_t *out)
{
    bool negative = s.len && s.ptr[0] == '-';
    uint64_t magnitude;

    if (negative && s.len > 1 && s.ptr[1] == '+')
        return false;
    if (!slice_to_uint64(negative ? slice_skip(s, 1) : s, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

/* ---------------------------------------------------------------------------------------------------- UTF-8 */

static bool is_tail(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

size_t utf8_first(Slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    unsigned char low = 0x80, high = 0xBF; /* what the second byte may be */
    size_t len;

    if (s.len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    len = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] == 0xE0)
        low = 0xA0; /* below is overlong */
    else if (p[0] == 0xED)
        high = 0x9F; /* above are surrogates */
    else if (p[0] == 0xF0)
        low = 0x90; /* below is overlong */
    else if (p[0] == 0xF4)
        high = 0x8F; /* above is beyond U+10FFFF */
    if (s.len < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if (!is_tail(p[i]))
            return 0;
    }
    return len;
}

bool utf8_valid(Slice s)
{
    while (s.len) {
        size_t len;
        if (s.len >= 8 && !(load64(s.ptr) & TOP_BITS))
            len = 8;
        else
            len = utf8_first(s);
        if (len == 0)
            return false;
        s = slice_skip(s, len);
    }
    return true;
}

size_t utf8_length(Slice s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.len; i++)
        count += !is_tail((unsigned char)s.ptr[i]);
    return count;
}

Slice utf8_take(Slice s, size_t max_bytes)
{
    if (s.len <= max_bytes)
        return s;
    while (max_bytes > 0 && is_tail((unsigned char)s.ptr[max_bytes]))
        max_bytes--;
    return slice_take(s, max_bytes);
}

/* ---------------------------------------------------------------------------------------------------- hex, base64 */

char *hex_encode(Arena *mem, Slice bytes)
{
    static const char DIGITS[] = "0123456789abcdef";
    char *out = arena_alloc_raw(mem, bytes.len * 2 + 1, 1);

    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];
        out[2 * i] = DIGITS[byte >> 4];
        out[2 * i + 1] = DIGITS[byte & 15];
    }
    out[bytes.len * 2] = '\0';
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(Arena *mem, Slice text, Slice *out)
{
    char *bytes;

    if (text.len % 2)
        return false;
    bytes = arena_alloc_raw(mem, text.len / 2 + 1, 1);
    for (size_t i = 0; i < text.len / 2; i++) {
        int high = hex_digit(text.ptr[2 * i]), low = hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (char)(high << 4 | low);
    }
    *out = slice_of(bytes, text.len / 2);
    return true;
}

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char BASE64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode64(Arena *mem, Slice bytes, const char alphabet[64], bool pad)
{
    char *out = arena_alloc_raw(mem, (bytes.len + 2) / 3 * 4 + 1, 1);
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    char *o = out;

    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = MIN(bytes.len - i, 3);
        uint32_t group = (uint32_t)in[i] << 16;
        if (left > 1)
            group |= (uint32_t)in[i + 1] << 8;
        if (left > 2)
            group |= in[i + 2];
        for (size_t d = 0; d <= left; d++)
            *o++ = alphabet[group >> (18 - 6 * d) & 63];
        for (size_t d = left; pad && d < 3; d++)
            *o++ = '=';
    }
    *o = '\0';
    return out;
}

char *base64_encode(Arena *mem, Slice bytes)
{
    return encode64(mem, bytes, BASE64, true);
}

char *base64url_encode(Arena *mem, Slice bytes)
{
    return encode64(mem, bytes, BASE64URL, false);
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool base64_decode(Arena *mem, Slice text, Slice *out)
{
    unsigned char *bytes;
    size_t len = 0;
    uint32_t bits = 0;
    int have = 0;

    if (text.len % 4 == 0) {
        for (int i = 0; i < 2 && text.len && text.ptr[text.len - 1] == '='; i++)
            text.len--;
    }
    if (text.len % 4 == 1)
        return false;
    bytes = arena_alloc_raw(mem, text.len / 4 * 3 + 3, 1);
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(text.ptr[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            bytes[len++] = (unsigned char)(bits >> have);
        }
    }
    /* One text for one value: bits that fall off the end must be zero, or a token could be changed unnoticed. */
    if (bits & ((1U << have) - 1))
        return false;
    *out = slice_of(bytes, len);
    return true;
}
