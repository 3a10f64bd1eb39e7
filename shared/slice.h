/* slice: borrowed bytes, pointer and length. Valid as long as what it points into. Not NUL-terminated. */
#pragma once
#include "shared/arena.h"

typedef struct Slice {
    const char *ptr;
    size_t len;
} Slice;

#define SLICE_LIT(text) ((Slice){(text), sizeof(text) - 1})
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) (int)(s).len, (s).ptr

Slice slice(const char *text); /* NULL gives an empty one */
static inline Slice slice_of(const void *ptr, size_t len)
{
    return (Slice){(const char *)ptr, len};
}
bool slice_eq(Slice a, Slice b);
bool slice_eq_cstr(Slice a, const char *b);
bool slice_eq_nocase(Slice a, Slice b); /* ASCII */
/* Same time whatever the content; differing lengths are told at once. For secrets. */
bool slice_eq_secret(Slice a, Slice b);
bool slice_starts_with(Slice s, Slice prefix);
bool slice_ends_with(Slice s, Slice suffix);
Slice slice_trim(Slice s); /* ASCII white space at both ends */
Slice slice_skip(Slice s, size_t count);
Slice slice_take(Slice s, size_t count);
/* Cuts at the first `separator`: `head` is before it, `rest` after; false when there is none (head is all). */
bool slice_cut(Slice s, char separator, Slice *head, Slice *rest);
/* Index of the first `c`, or -1. */
ptrdiff_t slice_find_char(Slice s, char c);
ptrdiff_t slice_find(Slice s, Slice needle);
/* For libraries that want a C string; borrowed from `mem`. */
char *slice_cstr(Arena *mem, Slice s);
/* Whole decimal number with optional sign; false on anything else, overflow included. */
bool slice_to_int64(Slice s, int64_t *out);
bool slice_to_uint64(Slice s, uint64_t *out);

/* UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool utf8_valid(Slice s);
/* Code points of valid UTF-8. */
size_t utf8_length(Slice s);
/* Bytes of the valid sequence that `s` begins with: 1 to 4, or 0 when there is none. */
size_t utf8_first(Slice s);
/* `s` cut to at most `max_bytes`, never inside a sequence. */
Slice utf8_take(Slice s, size_t max_bytes);

/* Text forms of bytes. Decoders return false on any character that does not belong; `out` is borrowed from `mem`. */
char *hex_encode(Arena *mem, Slice bytes); /* lower case */
bool hex_decode(Arena *mem, Slice text, Slice *out);
char *base64_encode(Arena *mem, Slice bytes);    /* standard alphabet, padded */
char *base64url_encode(Arena *mem, Slice bytes); /* URL alphabet, no padding */
/* Both alphabets, with or without padding. */
bool base64_decode(Arena *mem, Slice text, Slice *out);
