/* json_writer: what the json_write*.c files share. Not for others. */
#pragma once
#include "shared/json_internal.h"

typedef struct Writer {
    StrBuf *out;
    const JsonWriteOptions *options;
    unsigned dialect;
    int levels;         /* that may still be opened */
    size_t merge_bytes; /* that may still be spent on putting pieces together */
    JsonScratch scratch;
} Writer;

/* One value: a number's bits, or bytes. */
typedef struct Value {
    uint64_t bits;
    Slice bytes;
} Value;

#define APPEND_LIT(b, text) json_append_bytes((b), (text), sizeof(text) - 1)

/* Write functions return false when the bytes are no such message or the output is full. */

/* json_wire.c: */
bool json_wire_long_varint(const char **at, const char *end, uint64_t *out);
bool json_wire_skip_group(const char **at, const char *end, uint64_t number);

static inline bool take_varint(const char **at, const char *end, uint64_t *out)
{
    if (*at == end || (**at & 0x80))
        return json_wire_long_varint(at, end, out);
    *out = (unsigned char)*(*at)++;
    return true;
}

static inline bool take_fixed(const char **at, const char *end, size_t len, uint64_t *out)
{
    uint64_t bits = 0;

    if ((size_t)(end - *at) < len)
        return false;
    memcpy(&bits, *at, len);
    *out = le64toh(bits);
    *at += len;
    return true;
}

static inline bool take_value(const char **at, const char *end, uint64_t tag, Value *out)
{
    uint64_t len;

    switch (tag & 7) {
    case 0:
        return take_varint(at, end, &out->bits);
    case 1:
        return take_fixed(at, end, 8, &out->bits);
    case 2:
        if (!take_varint(at, end, &len) || len > (size_t)(end - *at))
            return false;
        out->bytes = slice_of(*at, (size_t)len);
        *at += len;
        return true;
    case 3:
        return json_wire_skip_group(at, end, tag >> 3);
    case 5:
        return take_fixed(at, end, 4, &out->bits);
    default:
        return false;
    }
}

/* Where the fields of one message are: a word of scratch for each, 0 when it is absent. Behind them, for each oneof,
 * the index plus one of the member that came last. A word has the position of the first tag, that of the last value,
 * and whether there was more than one. (A value never stands at 0: a tag is before it.) */
typedef struct Fields {
    const MessageType *type;
    Slice wire;
    size_t base;
} Fields;

static const uint64_t SEVERAL = UINT64_C(1) << 63;

static inline size_t range_first(uint64_t word)
{
    return (size_t)((word & ~SEVERAL) >> 32);
}

static inline size_t range_last(uint64_t word)
{
    return (size_t)(word & UINT32_MAX);
}

/* Reads over a message: every tag and length is right afterwards. */
bool json_wire_look_over(Writer *w, const MessageType *type, Slice wire, Fields *out);
/* The next occurrence of a field from `at` on; false at the end. */
bool json_wire_next(const char **at, const char *end, const FieldType *f, unsigned *wire_type, Value *out);
/* A message's bytes, put together when they are in pieces. */
bool json_wire_message(Writer *w, const FieldType *f, Slice wire, uint64_t word, Slice *out);

static inline void done_looking(Writer *w, const Fields *fields)
{
    w->scratch.used = fields->base;
}

static inline uint64_t field_range(const Writer *w, const Fields *fields, const FieldType *f)
{
    return w->scratch.words[fields->base + f->index];
}

/* The last value of a field that is there once, or of which the last one counts. */
static inline Value last_value(const FieldType *f, Slice wire, uint64_t word)
{
    const char *at = wire.ptr + range_last(word), *end = wire.ptr + wire.len;
    Value value = {0};

    (void)take_value(&at, end, f->wire_type, &value); /* looked over before */
    return value;
}

/* json_write_scalar.c: */
bool json_write_text(Writer *w, Slice text);
bool json_write_base64(Writer *w, Slice bytes);
/* As the type has it, whatever else the varint carries: two encodings of one map key must be found equal. */
uint64_t json_normal_bits(FieldKind kind, uint64_t bits);
/* `quoted`: numbers and booleans as the keys of a map are. */
bool json_write_bits(Writer *w, const FieldType *f, uint64_t bits, bool quoted);

/* json_write_map.c: */
bool json_write_map(Writer *w, const FieldType *f, Slice wire, uint64_t word);

/* json_write.c: */
bool json_write_singular(Writer *w, const FieldType *f, Slice wire, uint64_t word);
/* What a value is that nothing was said of: in an entry of a map, and in a wrapper. */
bool json_write_default(Writer *w, const FieldType *f);
