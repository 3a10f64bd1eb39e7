/* json_scan: the JSON grammar (RFC 8259) and nothing else: strings, numbers, words, and values that nobody wants. */
#include "shared/json_internal.h"

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

static uint64_t load_word(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* A high bit for every byte that is 0; above the lowest such byte the answer may be wrong, which is enough. */
static uint64_t zero_bytes(uint64_t word)
{
    return (word - ONES) & ~word & HIGHS;
}

/* ---------------------------------------------------------------------------------------------------- strings */

static bool scan_hex4(const char *at, const char *end, uint32_t *out)
{
    uint32_t code = 0;

    if (end - at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return false;
        code = code << 4 | digit;
    }
    *out = code;
    return true;
}

static bool is_high_surrogate(uint32_t code)
{
    return (code & 0xfc00) == 0xd800;
}

static bool is_low_surrogate(uint32_t code)
{
    return (code & 0xfc00) == 0xdc00;
}

/* `at` is on a backslash. */
static bool scan_escape(const char **at, const char *end, bool *bad)
{
    const char *p = *at + 1;
    uint32_t code, second;

    if (p == end)
        return false;
    if (*p != 'u') {
        if (!memchr("\"\\/bfnrt", *p, 8))
            return false;
        *at = p + 1;
        return true;
    }
    if (!scan_hex4(p + 1, end, &code))
        return false;
    p += 5;
    if (is_high_surrogate(code)) {
        if (end - p >= 6 && p[0] == '\\' && p[1] == 'u' && scan_hex4(p + 2, end, &second) && is_low_surrogate(second))
            p += 6;
        else
            *bad = true;
    } else if (is_low_surrogate(code) || code == 0) {
        *bad = true;
    }
    *at = p;
    return true;
}

bool json_scan_text(const char **at, const char *end, JsonText *out)
{
    const char *p = *at, *start = p;
    uint64_t seen = 0;
    bool high;

    out->escaped = out->bad = false;
    for (;;) {
        unsigned char c;
        while (end - p >= 8) {
            uint64_t word = load_word(p);
            uint64_t stop = zero_bytes(word ^ (ONES * '"')) | zero_bytes(word ^ (ONES * '\\')) |
                            ((word - ONES * 0x20) & ~word & HIGHS);
            if (stop) {
                int bits = __builtin_ctzll(stop) - 7;
                seen |= bits ? word << (64 - bits) : 0; /* what stands below the stop */
                p += bits / 8;
                break;
            }
            seen |= word;
            p += 8;
        }
        if (p == end)
            break;
        c = (unsigned char)*p;
        if (c == '"') {
            high = (seen & HIGHS) != 0;
            out->raw = slice_of(start, (size_t)(p - start));
            if (high && !utf8_valid(out->raw))
                out->bad = true;
            *at = p + 1;
            return true;
        }
        if (c == '\\') {
            out->escaped = true;
            if (!scan_escape(&p, end, &out->bad))
                break;
            continue;
        }
        if (c < 0x20)
            break;
        seen |= c;
        p++;
    }
    *at = p;
    return false;
}

static char *put_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

/* Of a text that json_scan_text found good or bad, but well formed. */
static const char *decode_escape(const char *p, const char *end, char **to)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    uint32_t code = 0, second = 0;

    if (p[1] != 'u') {
        *(*to)++ = TO[(const char *)memchr(FROM, p[1], 8) - FROM];
        return p + 2;
    }
    (void)scan_hex4(p + 2, end, &code); /* scanned before */
    p += 6;
    if (is_high_surrogate(code) && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && scan_hex4(p + 2, end, &second) &&
        is_low_surrogate(second)) {
        code = 0x10000 + ((code & 0x3ff) << 10 | (second & 0x3ff));
        p += 6;
    }
    *to = put_utf8(*to, code);
    return p;
}

size_t json_decode_text(const JsonText *text, char *to)
{
    const char *p = text->raw.ptr, *end = p + text->raw.len;
    char *start = to;

    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((escape ? escape : end) - p);
        memcpy(to, p, run);
        to += run;
        p += run;
        if (p < end)
            p = decode_escape(p, end, &to);
    }
    return (size_t)(to - start);
}

/* ---------------------------------------------------------------------------------------------------- numbers */

static bool is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* Takes digits into `n` as long as they fit; behind the point each one taken lowers the exponent, before it each one
 * left out raises it. */
static const char *take_digits(JsonNumber *n, const char *p, const char *end, bool fraction)
{
    const uint64_t surely_fits = 1000000000000000000u;

    for (; is_digit(p, end); p++) {
        unsigned digit = (unsigned)(*p - '0');
        uint64_t longer;
        if (n->digits < surely_fits) {
            n->digits = n->digits * 10 + digit;
        } else if (n->exact && n->exponent <= 0 && !__builtin_mul_overflow(n->digits, 10, &longer) &&
                   !__builtin_add_overflow(longer, digit, &longer)) {
            n->digits = longer;
        } else {
            /* From here on nothing is taken, or digits would be in the wrong place. */
            const char *rest = p;
            for (; is_digit(p, end); p++)
                n->exact = n->exact && *p == '0';
            n->exponent += fraction ? 0 : (int32_t)(p - rest);
            return p;
        }
        n->exponent -= fraction;
    }
    return p;
}

static bool take_exponent(JsonNumber *n, const char **at, const char *end)
{
    const char *p = *at + 1;
    bool negative = false;
    const int64_t limit = 2 * (int64_t)JSON_MAX_BYTES; /* more than the digits of any text can make up for */
    int64_t value = 0;

    if (p < end && (*p == '+' || *p == '-'))
        negative = *p++ == '-';
    *at = p;
    if (!is_digit(p, end))
        return false;
    for (; is_digit(p, end); p++)
        if (value < limit)
            value = value * 10 + (*p - '0');
    value = MIN(value, limit);
    n->exponent += (int32_t)(negative ? -value : value);
    *at = p;
    return true;
}

bool json_scan_number(const char **at, const char *end, JsonNumber *out)
{
    const char *start = *at, *p = start;
    JsonNumber n = {.exact = true};

    if (p < end && *p == '-') {
        n.negative = true;
        p++;
    }
    *at = p;
    if (!is_digit(p, end))
        return false;
    if (*p == '0') {
        p++;
        *at = p;
        if (is_digit(p, end))
            return false; /* 007 */
    } else {
        p = take_digits(&n, p, end, false);
    }
    if (p < end && *p == '.') {
        *at = ++p;
        if (!is_digit(p, end))
            return false;
        /* Digits that were left out before the point leave no place for those behind it. */
        if (n.exponent > 0)
            for (; is_digit(p, end); p++)
                n.exact = n.exact && *p == '0';
        else
            p = take_digits(&n, p, end, true);
    }
    *at = p;
    if (p < end && (*p | 0x20) == 'e' && !take_exponent(&n, at, end))
        return false;
    n.text = slice_of(start, (size_t)(*at - start));
    *out = n;
    return true;
}

bool json_scan_word(const char **at, const char *end, Slice word)
{
    if ((size_t)(end - *at) < word.len || memcmp(*at, word.ptr, word.len) != 0)
        return false;
    *at += word.len;
    return true;
}

/* ---------------------------------------------------------------------------------------------------- skipping */

/* Of the containers that are open, one bit each: 1 is an object. */
typedef struct Skipper {
    const char *at, *end;
    uint64_t objects;
    int open, levels;
    bool bad_text;
} Skipper;

static bool skip_text(Skipper *s)
{
    JsonText text;

    s->at++;
    if (!json_scan_text(&s->at, s->end, &text))
        return false;
    s->bad_text = s->bad_text || text.bad;
    return true;
}

static bool skip_name(Skipper *s)
{
    s->at = json_skip_space(s->at, s->end);
    if (s->at == s->end || *s->at != '"' || !skip_text(s))
        return false;
    s->at = json_skip_space(s->at, s->end);
    if (s->at == s->end || *s->at != ':')
        return false;
    s->at = json_skip_space(s->at + 1, s->end);
    return true;
}

static bool skip_scalar(Skipper *s)
{
    JsonNumber number;

    switch (*s->at) {
    case '"':
        return skip_text(s);
    case 't':
        return json_scan_word(&s->at, s->end, SLICE_LIT("true"));
    case 'f':
        return json_scan_word(&s->at, s->end, SLICE_LIT("false"));
    case 'n':
        return json_scan_word(&s->at, s->end, SLICE_LIT("null"));
    default:
        return json_scan_number(&s->at, s->end, &number);
    }
}

/* Behind a value: closes what ends here. True when another value follows or the outermost has ended (open is 0). */
static bool skip_closings(Skipper *s)
{
    while (s->open > 0) {
        bool object = s->objects >> (s->open - 1) & 1;
        s->at = json_skip_space(s->at, s->end);
        if (s->at == s->end)
            return false;
        if (*s->at == ',') {
            s->at = json_skip_space(s->at + 1, s->end);
            return !object || skip_name(s);
        }
        if (*s->at != (object ? '}' : ']'))
            return false;
        s->at++;
        s->open--;
    }
    return true;
}

static JsonSkip skip_opening(Skipper *s, bool *empty)
{
    bool object = *s->at == '{';

    if (s->open == s->levels)
        return JSON_SKIP_TOO_DEEP;
    s->objects = (s->objects & ~(UINT64_C(1) << s->open)) | (uint64_t)object << s->open;
    s->open++;
    s->at = json_skip_space(s->at + 1, s->end);
    *empty = s->at < s->end && *s->at == (object ? '}' : ']');
    if (!*empty && object && !skip_name(s))
        return JSON_SKIP_SYNTAX;
    return JSON_SKIPPED;
}

static JsonSkip skip_all(Skipper *s)
{
    do {
        bool empty = false;
        if (s->at == s->end)
            return JSON_SKIP_SYNTAX;
        if (*s->at == '{' || *s->at == '[') {
            JsonSkip opened = skip_opening(s, &empty);
            if (opened != JSON_SKIPPED)
                return opened;
            if (!empty)
                continue;
        } else if (!skip_scalar(s)) {
            return JSON_SKIP_SYNTAX;
        }
        if (!skip_closings(s))
            return JSON_SKIP_SYNTAX;
    } while (s->open > 0);
    return s->bad_text ? JSON_SKIPPED_BAD_TEXT : JSON_SKIPPED;
}

JsonSkip json_skip_value(const char **at, const char *end, int levels)
{
    Skipper s = {.at = *at, .end = end, .levels = MIN(MAX(levels, 0), 64)};
    JsonSkip result = skip_all(&s);

    *at = s.at;
    return result;
}

/* ---------------------------------------------------------------------------------------------------- finding */

static bool text_is(const JsonText *text, Slice wanted)
{
    char decoded[256];

    if (!text->escaped)
        return slice_eq(text->raw, wanted);
    if (text->raw.len > sizeof(decoded))
        return false; /* no member of ours has such a name */
    return slice_eq(slice_of(decoded, json_decode_text(text, decoded)), wanted);
}

/* `at` is behind the brace. The last member of the name counts. */
static Slice find_member(const char *at, const char *end, Slice name)
{
    Slice found = {0};

    for (;;) {
        JsonText text;
        const char *value;
        at = json_skip_space(at, end);
        if (at == end || *at != '"')
            return found;
        at++;
        if (!json_scan_text(&at, end, &text))
            return found;
        at = json_skip_space(at, end);
        if (at == end || *at != ':')
            return found;
        value = at = json_skip_space(at + 1, end);
        if (json_skip_value(&at, end, JSON_MAX_DEPTH) > JSON_SKIPPED_BAD_TEXT)
            return found;
        if (text_is(&text, name))
            found = slice_of(value, (size_t)(at - value));
        at = json_skip_space(at, end);
        if (at == end || *at != ',')
            return found;
        at++;
    }
}

/* `at` is behind the bracket. */
static Slice find_element(const char *at, const char *end, Slice position)
{
    uint64_t left;

    if (!slice_to_uint64(position, &left))
        return (Slice){0};
    for (;; left--) {
        const char *value = at = json_skip_space(at, end);
        if (json_skip_value(&at, end, JSON_MAX_DEPTH) > JSON_SKIPPED_BAD_TEXT)
            return (Slice){0};
        if (left == 0)
            return slice_of(value, (size_t)(at - value));
        at = json_skip_space(at, end);
        if (at == end || *at != ',')
            return (Slice){0};
        at++;
    }
}

Slice json_find(Slice text, Slice path)
{
    text = slice_trim(text);
    for (int depth = 0; path.len && depth <= JSON_MAX_DEPTH; depth++) {
        Slice step, rest;
        (void)slice_cut(path, '.', &step, &rest); /* the last step has no dot, and no rest */
        if (text.len == 0)
            return text;
        if (text.ptr[0] == '{')
            text = find_member(text.ptr + 1, text.ptr + text.len, step);
        else if (text.ptr[0] == '[')
            text = find_element(text.ptr + 1, text.ptr + text.len, step);
        else
            return (Slice){0};
        path = rest;
    }
    return path.len ? (Slice){0} : text;
}
