/* json_write_scalar: strings, bytes and numbers as JSON. */
#include "shared/json_writer.h"

/* ---------------------------------------------------------------------------------------------------- text */

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

static uint64_t zero_bytes(uint64_t word)
{
    return (word - ONES) & ~word & HIGHS;
}

/* High bits: bytes that need an escape (exact only as a whole: any or none). */
static uint64_t special_bytes(uint64_t word, bool html)
{
    uint64_t special =
        ((word - ONES * 0x20) & ~word & HIGHS) | zero_bytes(word ^ (ONES * '"')) | zero_bytes(word ^ (ONES * '\\'));

    if (html)
        special |= zero_bytes(word ^ (ONES * '<')) | zero_bytes(word ^ (ONES * '>')) | zero_bytes(word ^ (ONES * '&'));
    return special;
}

static bool needs_escape(unsigned char c, bool html)
{
    return c < 0x20 || c == '"' || c == '\\' || (html && (c == '<' || c == '>' || c == '&'));
}

static bool append_code(StrBuf *b, uint32_t unit)
{
    static const char HEX[] = "0123456789abcdef";
    char text[] = {'\\', 'u', HEX[unit >> 12], HEX[unit >> 8 & 15], HEX[unit >> 4 & 15], HEX[unit & 15]};

    return json_append_bytes(b, text, sizeof(text));
}

static bool append_escape(StrBuf *b, unsigned char c)
{
    static const char FROM[] = "\"\\\b\f\n\r\t", TO[] = "\"\\bfnrt";
    const char *found = memchr(FROM, c, sizeof(FROM) - 1);

    if (!found)
        return append_code(b, c);
    return json_append_bytes(b, (char[]){'\\', TO[found - FROM]}, 2);
}

/* A sequence of valid UTF-8 outside ASCII; `len` is its length. */
static bool append_wide(StrBuf *b, const JsonWriteOptions *options, const unsigned char *p, size_t len)
{
    uint32_t code = p[0] & (0xffu >> (len + 1));

    for (size_t i = 1; i < len; i++)
        code = code << 6 | (p[i] & 0x3fu);
    if (!options->ascii && !(options->escape_html && (code == 0x2028 || code == 0x2029)))
        return json_append_bytes(b, p, len);
    if (code < 0x10000)
        return append_code(b, code);
    return append_code(b, 0xd7c0 + (code >> 10)) && append_code(b, 0xdc00 + (code & 0x3ff));
}

static bool write_escaped(Writer *w, Slice text)
{
    const unsigned char *p = (const unsigned char *)text.ptr, *end = p + text.len;
    const bool html = w->options->escape_html;

    while (p < end) {
        const unsigned char *run = p;
        while (p < end && *p < 0x80 && !needs_escape(*p, html))
            p++;
        if (!json_append_bytes(w->out, run, (size_t)(p - run)))
            return false;
        if (p < end && *p < 0x80) {
            if (!append_escape(w->out, *p++))
                return false;
        } else if (p < end) {
            size_t len = *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
            if (!append_wide(w->out, w->options, p, len))
                return false;
            p += len;
        }
    }
    return true;
}

/* Nearly all text needs nothing: looked at eight bytes at a time and copied in one go. */
bool json_write_text(Writer *w, Slice text)
{
    const bool html = w->options->escape_html;
    uint64_t special = 0, high = 0, word;
    size_t i = 0;
    char *to;

    for (; text.len - i >= 8; i += 8) {
        memcpy(&word, text.ptr + i, 8);
        special |= special_bytes(word, html);
        high |= word;
    }
    for (; i < text.len; i++) {
        special |= needs_escape((unsigned char)text.ptr[i], html);
        high |= (unsigned char)text.ptr[i];
    }
    high &= HIGHS;
    if (high && !utf8_valid(text))
        return false;
    if (special || (high && (html || w->options->ascii)))
        return APPEND_LIT(w->out, "\"") && write_escaped(w, text) && APPEND_LIT(w->out, "\"");
    to = json_room(w->out, text.len + 2);
    if (!to)
        return false;
    to[0] = '"';
    if (text.len)
        memcpy(to + 1, text.ptr, text.len);
    to[text.len + 1] = '"';
    w->out->len += text.len + 2;
    return true;
}

bool json_write_base64(Writer *w, Slice bytes)
{
    size_t len = (bytes.len + 2) / 3 * 4;
    char *to = json_room(w->out, len + 2);

    if (!to)
        return false;
    to[0] = '"';
    (void)json_base64_encode(bytes, to + 1); /* `len` bytes */
    to[len + 1] = '"';
    w->out->len += len + 2;
    return true;
}

/* ---------------------------------------------------------------------------------------------------- scalars */

static bool write_integer(Writer *w, bool negative, uint64_t magnitude, bool quoted)
{
    char text[24];
    size_t len = 0;

    if (quoted)
        text[len++] = '"';
    if (negative)
        text[len++] = '-';
    len += json_format_uint64(magnitude, text + len);
    if (quoted)
        text[len++] = '"';
    return json_append_bytes(w->out, text, len);
}

static bool write_signed(Writer *w, int64_t value, bool quoted)
{
    return write_integer(w, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, quoted);
}

static bool write_enum(Writer *w, const EnumType *e, int32_t number)
{
    const EnumValue *value;

    if (e->is_null)
        return APPEND_LIT(w->out, "null");
    value = enum_type_value(e, number);
    if (value)
        return json_append_bytes(w->out, value->quoted.ptr, value->quoted.len);
    return write_signed(w, number, false);
}

static bool write_real(Writer *w, const FieldType *f, uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    char text[32];
    double value;
    float single;

    if (f->kind == FIELD_FLOAT) {
        memcpy(&single, &low, sizeof(single));
        return json_append_bytes(w->out, text, json_format_float(single, text));
    }
    memcpy(&value, &bits, sizeof(value));
    return json_append_bytes(w->out, text, json_format_double(value, text));
}

static int64_t unzigzag(uint64_t bits)
{
    return (int64_t)(bits >> 1 ^ (0 - (bits & 1)));
}

/* As the type has it, whatever else the varint carries: two encodings of one map key must be found equal. */
uint64_t json_normal_bits(FieldKind kind, uint64_t bits)
{
    switch (kind) {
    case FIELD_BOOL:
        return bits != 0;
    case FIELD_INT32:
    case FIELD_SFIXED32:
    case FIELD_ENUM:
        return (uint64_t)(int64_t)(int32_t)bits;
    case FIELD_UINT32:
    case FIELD_FIXED32:
        return (uint32_t)bits;
    case FIELD_SINT32:
        return (uint64_t)(int64_t)(int32_t)unzigzag((uint32_t)bits);
    case FIELD_SINT64:
        return (uint64_t)unzigzag(bits);
    default:
        return bits;
    }
}

/* `quoted`: numbers and booleans as the keys of a map are. */
bool json_write_bits(Writer *w, const FieldType *f, uint64_t bits, bool quoted)
{
    bits = json_normal_bits(f->kind, bits);
    switch (f->kind) {
    case FIELD_BOOL:
        if (quoted)
            return bits ? APPEND_LIT(w->out, "\"true\"") : APPEND_LIT(w->out, "\"false\"");
        return bits ? APPEND_LIT(w->out, "true") : APPEND_LIT(w->out, "false");
    case FIELD_INT32:
    case FIELD_SFIXED32:
    case FIELD_SINT32:
        return write_signed(w, (int64_t)bits, quoted);
    case FIELD_UINT32:
    case FIELD_FIXED32:
        return write_integer(w, false, bits, quoted);
    case FIELD_INT64:
    case FIELD_SFIXED64:
    case FIELD_SINT64:
        return write_signed(w, (int64_t)bits, quoted || !f->int64_as_number);
    case FIELD_UINT64:
    case FIELD_FIXED64:
        return write_integer(w, false, bits, quoted || !f->int64_as_number);
    case FIELD_ENUM:
        return write_enum(w, f->enumeration, (int32_t)bits);
    default:
        return write_real(w, f, bits);
    }
}
