/* strbuf: text or bytes under construction, in an arena, up to a bound. An append that does not fit is
 * dropped whole and remembered; ask once at the end. Not thread-safe. */
#pragma once
#include "shared/slice.h"

typedef struct StrBuf {
    Arena *mem;
    char *ptr;
    size_t len, cap, max_bytes;
    bool overflow;
} StrBuf;

/* Grows in `mem`, up to `max_bytes`. */
StrBuf strbuf_new(Arena *mem, size_t max_bytes);
/* Over the caller's own `size_bytes` (at least 1; one is kept for the NUL); never grows. */
StrBuf strbuf_over(char *bytes, size_t size_bytes);
void strbuf_append(StrBuf *b, Slice s);
void strbuf_append_cstr(StrBuf *b, const char *text);
void strbuf_append_char(StrBuf *b, char c);
void strbuf_append_int64(StrBuf *b, int64_t value);
void strbuf_append_uint64(StrBuf *b, uint64_t value);
void strbuf_printf(StrBuf *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* Room for `len` bytes to be written in place, then counted by strbuf_advance; NULL on overflow. */
char *strbuf_reserve(StrBuf *b, size_t len);
void strbuf_advance(StrBuf *b, size_t len);
void strbuf_truncate(StrBuf *b, size_t len);
/* Quoted, escaped JSON string; invalid UTF-8 becomes U+FFFD. */
void strbuf_append_json(StrBuf *b, Slice text);
static inline Slice strbuf_slice(const StrBuf *b)
{
    return (Slice){b->ptr ? b->ptr : "", b->len};
}
/* NUL-terminates. False when anything did not fit. `out` is borrowed from the arena. */
bool strbuf_finish(StrBuf *b, Slice *out) MUST_CHECK;
