#include "shared/strbuf.h"

enum { STRBUF_FIRST_BYTES = 64 };

StrBuf strbuf_new(Arena *mem, size_t max_bytes)
{
    return (StrBuf){.mem = mem, .max_bytes = max_bytes};
}

StrBuf strbuf_over(char *bytes, size_t size_bytes)
{
    return (StrBuf){.ptr = bytes, .cap = size_bytes - 1, .max_bytes = size_bytes - 1};
}

/* `cap` leaves one byte beyond itself for the NUL. A buffer over foreign bytes has cap == max_bytes from the start. */
static bool make_room(StrBuf *b, size_t len)
{
    size_t needed, cap;

    if (len > b->max_bytes - b->len) {
        b->overflow = true;
        return false;
    }
    needed = b->len + len;
    if (needed <= b->cap && b->ptr)
        return true;
    cap = MIN(MAX(MAX(needed, b->cap * 2), STRBUF_FIRST_BYTES), b->max_bytes);
    b->ptr = arena_grow(b->mem, b->ptr, b->ptr ? b->cap + 1 : 0, cap + 1);
    b->cap = cap;
    return true;
}

char *strbuf_reserve(StrBuf *b, size_t len)
{
    return make_room(b, len) ? b->ptr + b->len : NULL;
}

void strbuf_advance(StrBuf *b, size_t len)
{
    assert(len <= b->cap - b->len);
    b->len += len;
}

void strbuf_truncate(StrBuf *b, size_t len)
{
    b->len = MIN(b->len, len);
}

void strbuf_append(StrBuf *b, Slice s)
{
    if (s.len == 0 || !make_room(b, s.len))
        return;
    memcpy(b->ptr + b->len, s.ptr, s.len);
    b->len += s.len;
}

void strbuf_append_cstr(StrBuf *b, const char *text)
{
    strbuf_append(b, slice(text));
}

void strbuf_append_char(StrBuf *b, char c)
{
    if (make_room(b, 1))
        b->ptr[b->len++] = c;
}

void strbuf_append_uint64(StrBuf *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    strbuf_append(b, slice_of(digits + at, sizeof(digits) - at));
}

void strbuf_append_int64(StrBuf *b, int64_t value)
{
    size_t start = b->len;

    if (value >= 0) {
        strbuf_append_uint64(b, (uint64_t)value);
        return;
    }
    if (!make_room(b, 1))
        return;
    b->ptr[b->len++] = '-';
    strbuf_append_uint64(b, 0 - (uint64_t)value);
    if (b->len == start + 1)
        b->len = start; /* the digits did not fit: drop the sign too */
}

void strbuf_printf(StrBuf *b, const char *format, ...)
{
    size_t room = b->ptr ? b->cap - b->len + 1 : 0;
    va_list args, again;
    int len;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(room ? b->ptr + b->len : NULL, room, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < room) {
        b->len += (size_t)len;
    } else if (len < 0) {
        b->overflow = true;
    } else if (make_room(b, (size_t)len)) {
        (void)vsnprintf(b->ptr + b->len, (size_t)len + 1, format, again); /* measured above */
        b->len += (size_t)len;
    }
    va_end(again);
}

/* ---------------------------------------------------------------------------------------------------- JSON */

#define ONES UINT64_C(0x0101010101010101)
#define TOPS UINT64_C(0x8080808080808080)

/* A top bit wherever a byte of `word` is zero (and possibly above the first such byte: only the first counts). */
static uint64_t zero_bytes(uint64_t word)
{
    return (word - ONES) & ~word & TOPS;
}

/* How many bytes at the beginning go into a JSON string as they are: ASCII but controls, quote and backslash. Eight at
 * a time, since nearly all text is nothing else. */
static size_t plain_run(Slice s)
{
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;
        memcpy(&word, s.ptr + i, sizeof(word));
        if (((word - ONES * 0x20) & ~word & TOPS) | (word & TOPS) | zero_bytes(word ^ ONES * '"') |
            zero_bytes(word ^ ONES * '\\'))
            break;
    }
    while (i < s.len && (unsigned char)s.ptr[i] >= 0x20 && (unsigned char)s.ptr[i] < 0x80 && s.ptr[i] != '"' &&
           s.ptr[i] != '\\')
        i++;
    return i;
}

static void append_escape(StrBuf *b, unsigned char c)
{
    static const char SHORT[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (const char *p = SHORT; *p; p += 2) {
        if (c == (unsigned char)p[0]) {
            strbuf_append_char(b, '\\');
            strbuf_append_char(b, p[1]);
            return;
        }
    }
    strbuf_printf(b, "\\u%04x", c);
}

/* The first character that is not plain; returns its bytes in `s`. */
static size_t append_special(StrBuf *b, Slice s)
{
    size_t len = utf8_first(s);

    if (len == 1) {
        append_escape(b, (unsigned char)s.ptr[0]);
    } else if (len > 1) {
        strbuf_append(b, slice_take(s, len));
    } else {
        strbuf_append(b, SLICE_LIT("\xEF\xBF\xBD"));
        len = 1;
    }
    return len;
}

void strbuf_append_json(StrBuf *b, Slice text)
{
    size_t start = b->len, run = plain_run(text);
    bool overflowed = b->overflow;

    if (!make_room(b, text.len + 2))
        return; /* the quoted form is never shorter */
    b->ptr[b->len++] = '"';
    if (run == text.len) {
        if (run)
            memcpy(b->ptr + b->len, text.ptr, run);
        b->len += run;
        b->ptr[b->len++] = '"';
        return;
    }
    b->overflow = false;
    while (text.len) {
        strbuf_append(b, slice_take(text, run));
        text = slice_skip(text, run);
        if (text.len)
            text = slice_skip(text, append_special(b, text));
        run = plain_run(text);
    }
    strbuf_append_char(b, '"');
    if (b->overflow)
        b->len = start;
    b->overflow |= overflowed;
}

bool strbuf_finish(StrBuf *b, Slice *out)
{
    if (b->overflow || !make_room(b, 0))
        return false;
    b->ptr[b->len] = '\0';
    *out = slice_of(b->ptr, b->len);
    return true;
}
