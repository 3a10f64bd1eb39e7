/* json_internal: what the json_*.c files share. Not for others. */
#pragma once
#include <endian.h>

#include "shared/json.h"
#include "shared/types_layout.h"

enum {
    /* Positions are kept in 32 bits. Far above what the gateway lets in. */
    JSON_MAX_BYTES = 256 << 20,
    JSON_TIME_BYTES = 40 /* room for a Timestamp or Duration as text */
};

/* ------------------------------------------------------------------------------------------ scanning (json_scan.c) */

typedef struct JsonText {
    Slice raw;    /* between the quotes */
    bool escaped; /* has a backslash */
    bool bad;     /* not UTF-8, a lone surrogate or U+0000 */
} JsonText;

/* A number as it was written: digits × 10^exponent, with sign. */
typedef struct JsonNumber {
    Slice text;
    uint64_t digits;
    int32_t exponent;
    bool negative;
    bool exact; /* no digit other than 0 was left out of `digits` */
} JsonNumber;

typedef enum JsonSkip { JSON_SKIPPED, JSON_SKIPPED_BAD_TEXT, JSON_SKIP_SYNTAX, JSON_SKIP_TOO_DEEP } JsonSkip;

/* All scanners move `at` behind what they read, and on failure to the spot of the mistake. */
bool json_scan_text(const char **at, const char *end, JsonText *out); /* `at` is behind the opening quote */
bool json_scan_number(const char **at, const char *end, JsonNumber *out);
bool json_scan_word(const char **at, const char *end, Slice word);
/* One value of any kind that may nest `levels` deep. Leading space is not skipped. */
JsonSkip json_skip_value(const char **at, const char *end, int levels);
/* Resolves escapes; `to` has room for raw.len bytes, the result is never longer. */
size_t json_decode_text(const JsonText *text, char *to);

/* An empty slice may have no pointer, and counting from NULL is undefined. */
static inline Slice json_some(Slice s)
{
    return s.ptr ? s : slice_of("", 0);
}

static inline const char *json_skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

/* ---------------------------------------------------------------------------------------- numbers (json_number.c) */

/* What came of a conversion: 0, or the kind of problem plus one, so that 0 stays free. */
typedef int JsonOutcome;
#define JSON_GOOD 0
#define JSON_BAD(kind) ((int)(kind) + 1)
#define JSON_KIND(outcome) ((JsonProblemKind)((outcome)-1))

/* A scalar as the wire has it: the varint's value (zigzag done, negative ones in 64 bits), or the fixed bits. */
JsonOutcome json_number_to_bits(FieldKind kind, const JsonNumber *number, uint64_t *out);
/* Of a number inside a string, "NaN" and "Infinity" too. `lenient`: spaces around, "+5", "007". */
JsonOutcome json_string_to_bits(FieldKind kind, Slice text, bool lenient, uint64_t *out);
/* An enum's value by number; only numbers that the enum has. */
JsonOutcome json_number_to_enum(const EnumType *e, const JsonNumber *number, uint64_t *out);
/* true, false; `words`: 1 and 0; `lenient`: yes/no, on/off, t/f, y/n too, in any case. */
bool json_string_to_bool(Slice text, bool words, bool lenient, uint64_t *out);

/* The shortest text that reads back as the same value. `to` has room for 32 bytes; not finite ones come in quotes. */
size_t json_format_double(double value, char *to);
size_t json_format_float(float value, char *to);
/* `to` has room for 20 bytes. */
size_t json_format_uint64(uint64_t value, char *to);

/* ------------------------------------------------------------------------------- well-known types (json_wellknown.c)
 */

typedef struct JsonTime {
    int64_t seconds;
    int32_t nanos;
} JsonTime;

bool json_parse_timestamp(Slice text, JsonTime *out);
bool json_parse_duration(Slice text, JsonTime *out);
/* 0 when the value is out of the type's range; `to` has room for JSON_TIME_BYTES. */
size_t json_format_timestamp(JsonTime time, char *to);
size_t json_format_duration(JsonTime time, char *to);
/* One path of a FieldMask: lowerCamel to proto names. Doubles its length at most. */
size_t json_mask_path_to_proto(Slice path, char *to);
/* And back; a path that has no camel form that reads back is left as it is. Never longer. */
size_t json_mask_path_to_camel(Slice path, char *to);
/* Both alphabets, padding or none. `to` has room for 3 bytes for every 4 begun. */
bool json_base64_decode(Slice text, char *to, size_t *out_len);
/* `to` has room for 4 bytes for every 3 begun. */
size_t json_base64_encode(Slice bytes, char *to);

/* What a value of this field must be, for JsonProblem.expected. */
const char *json_expected(const FieldType *f);

/* ---------------------------------------------------------------------------------------------------- wire output */

/* Room for `len` bytes at the end of `b`, or NULL. What a hot path needs of strbuf_reserve stands here, inline. */
static inline char *json_room(StrBuf *b, size_t len)
{
    if (b->ptr && b->cap - b->len >= len)
        return b->ptr + b->len;
    return strbuf_reserve(b, len);
}

static inline size_t json_varint_size(uint64_t value)
{
    return (size_t)(70 - __builtin_clzll(value | 1)) / 7;
}

static inline char *json_put_varint(char *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (char)(value | 0x80);
    *to++ = (char)value;
    return to;
}

static inline bool json_append_varint(StrBuf *b, uint64_t value)
{
    size_t len = json_varint_size(value);
    char *to = json_room(b, len);

    if (!to)
        return false;
    (void)json_put_varint(to, value); /* the end is known */
    b->len += len;
    return true;
}

static inline bool json_append_bytes(StrBuf *b, const void *bytes, size_t len)
{
    char *to = json_room(b, len);

    if (!to)
        return false;
    if (len)
        memcpy(to, bytes, len);
    b->len += len;
    return true;
}

static inline bool json_append_tag(StrBuf *b, const FieldType *f)
{
    return json_append_bytes(b, f->tag, f->tag_len);
}

/* A scalar without its tag. */
static inline bool json_append_bits(StrBuf *b, uint8_t wire_type, uint64_t bits)
{
    if (wire_type == 0)
        return json_append_varint(b, bits);
    bits = htole64(bits);
    return json_append_bytes(b, &bits, wire_type == 1 ? 8 : 4);
}

/* A length-delimited part: one byte is kept for the length and what follows is moved up when it needs more. Each level
 * moves its bytes once, and there are at most JSON_MAX_DEPTH levels: the cost stays linear in the size. */
static inline bool json_open(StrBuf *b, size_t *out_open)
{
    char *to = json_room(b, 1);

    if (!to)
        return false;
    *to = 0;
    *out_open = ++b->len;
    return true;
}

static inline bool json_close(StrBuf *b, size_t open)
{
    size_t len = b->len - open, more = json_varint_size(len) - 1;

    if (more) {
        if (!json_room(b, more))
            return false;
        memmove(b->ptr + open + more, b->ptr + open, len);
        b->len += more;
    }
    (void)json_put_varint(b->ptr + open - 1, len); /* the end is known */
    return true;
}

/* The contents of the well-known messages, without tag and length around them (json_wellknown.c). */
bool json_append_time(StrBuf *b, JsonTime time);
bool json_append_mask(StrBuf *b, Slice text);
/* Length and bytes of base64 `text`; `good` tells whether it was some. False when `b` is full. */
bool json_append_base64(StrBuf *b, Slice text, bool *good);

/* ------------------------------------------------------------------------------------------------------- scratch */

/* Words on a stack that follows the recursion: what one message level needs to know of its fields. Reused between
 * siblings, so that a list of many messages costs no memory of its own. */
typedef struct JsonScratch {
    Arena *mem;
    uint64_t *words;
    size_t used, cap;
} JsonScratch;

enum { JSON_SCRATCH_FIRST = 256 }; /* words that the callers have on their own stack to begin with */

void json_scratch_grow(JsonScratch *s, size_t count);

/* The position of `count` new words, not initialised. Pointers into `words` die here. */
static inline size_t json_scratch_push(JsonScratch *s, size_t count)
{
    size_t at = s->used;

    if (s->cap - s->used < count)
        json_scratch_grow(s, count);
    s->used += count;
    return at;
}
