/* json_read_value: single values of a body: scalars and the well-known types. */
#include "shared/json_reader.h"

bool json_takes_null(const FieldType *f)
{
    return (f->kind == FIELD_MESSAGE && f->message->well_known == ATRIUM__WELL_KNOWN__VALUE) ||
           (f->kind == FIELD_ENUM && f->enumeration->is_null);
}

/* ---------------------------------------------------------------------------------------------------- scalars */

static bool put_bits(Reader *r, const FieldType *f, bool tagged, uint64_t bits)
{
    return (!tagged || json_append_tag(r->out, f)) && json_append_bits(r->out, f->wire_type, bits);
}

/* Either the bits, or a report of why not. */
bool json_read_bits(Reader *r, const FieldType *f, bool tagged, const char *start, JsonOutcome outcome, uint64_t bits)
{
    if (outcome == JSON_GOOD)
        return put_bits(r, f, tagged, bits);
    json_reader_report(r, JSON_KIND(outcome), json_expected(f), start);
    return true;
}

/* The text of a string other than a string field: escapes resolved. `good` is false when it was reported. */
bool json_read_plain(Reader *r, Slice *out, bool *good)
{
    const char *start = r->at++;
    JsonText text;

    if (!json_scan_text(&r->at, r->end, &text))
        return json_reader_stop(r, JSON_SYNTAX);
    *good = !text.bad;
    if (text.bad)
        json_reader_report(r, JSON_BAD_UTF8, NULL, start);
    *out = text.raw;
    if (text.escaped) {
        char *decoded = arena_alloc_raw(r->out->mem, text.raw.len, 1);
        *out = slice_of(decoded, json_decode_text(&text, decoded));
    }
    return true;
}

/* Tag, length, text. */
bool json_read_put_text(Reader *r, const FieldType *f, const JsonText *text)
{
    StrBuf *b = r->out;
    size_t len = text->raw.len, open;
    char *to;

    if (!text->escaped) {
        to = json_room(b, f->tag_len + json_varint_size(len) + len);
        if (!to)
            return false;
        memcpy(to, f->tag, f->tag_len);
        to = json_put_varint(to + f->tag_len, len);
        memcpy(to, text->raw.ptr, len);
        b->len = (size_t)(to + len - b->ptr);
        return true;
    }
    if (!json_append_tag(b, f) || !json_open(b, &open) || !(to = json_room(b, len)))
        return false;
    b->len += json_decode_text(text, to);
    return json_close(b, open);
}

static bool read_string(Reader *r, const FieldType *f)
{
    const char *start = r->at;
    JsonText text;

    if (peek(r) != '"')
        return json_reader_refuse(r, JSON_WRONG_TYPE, "string");
    r->at++;
    if (!json_scan_text(&r->at, r->end, &text))
        return json_reader_stop(r, JSON_SYNTAX);
    if (text.bad) {
        json_reader_report(r, JSON_BAD_UTF8, "string", start);
        return true;
    }
    return json_read_put_text(r, f, &text);
}

static bool read_bytes(Reader *r, const FieldType *f)
{
    const char *start = r->at;
    Slice text;
    bool good;

    if (peek(r) != '"')
        return json_reader_refuse(r, JSON_WRONG_TYPE, "base64");
    if (!json_read_plain(r, &text, &good))
        return false;
    if (!good)
        return true;
    if (!json_append_tag(r->out, f) || !json_append_base64(r->out, text, &good))
        return false;
    if (!good)
        json_reader_report(r, JSON_BAD_FORMAT, "base64", start);
    return true;
}

/* An integer of up to 18 digits, in quotes or not, with nothing behind it that belongs to a number: what nearly all
 * integers look like. Says no to anything else, which is then read with care. */
static bool scan_short_integer(const char **at, const char *end, JsonNumber *out)
{
    const char *p = *at, *first;
    bool quoted = *p == '"';
    uint64_t digits = 0;

    p += quoted;
    out->negative = p < end && *p == '-';
    p += out->negative;
    for (first = p; p < end && (unsigned char)(*p - '0') < 10 && p - first < 19; p++)
        digits = digits * 10 + (unsigned)(*p - '0');
    if (p == first || p - first > 18 || p == end || (*first == '0' && p - first > 1))
        return false;
    if (quoted ? *p != '"' : *p == '.' || (*p | 0x20) == 'e')
        return false;
    out->digits = digits;
    out->exponent = 0;
    out->exact = true;
    *at = p + quoted;
    return true;
}

static bool read_number(Reader *r, const FieldType *f, bool tagged)
{
    const char *start = r->at;
    char c = peek(r);
    JsonOutcome outcome;
    uint64_t bits = 0;
    JsonNumber number;
    Slice text;
    bool good;

    if (c != '"' && c != '-' && (unsigned char)(c - '0') >= 10)
        return json_reader_refuse(r, JSON_WRONG_TYPE, json_expected(f));
    if (f->kind > FIELD_FLOAT && scan_short_integer(&r->at, r->end, &number)) {
        outcome = json_number_to_bits(f->kind, &number, &bits);
        return json_read_bits(r, f, tagged, start, outcome, bits);
    }
    if (c != '"') {
        if (!json_scan_number(&r->at, r->end, &number))
            return json_reader_stop(r, JSON_SYNTAX);
        outcome = json_number_to_bits(f->kind, &number, &bits);
        return json_read_bits(r, f, tagged, start, outcome, bits);
    }
    if (!json_read_plain(r, &text, &good))
        return false;
    if (!good)
        return true;
    outcome = json_string_to_bits(f->kind, text, r->options->lenient_scalars, &bits);
    return json_read_bits(r, f, tagged, start, outcome, bits);
}

static bool read_bool(Reader *r, const FieldType *f, bool tagged)
{
    const char *start = r->at;
    bool lenient = r->options->lenient_scalars, good = true;
    char c = peek(r);
    JsonNumber number;
    uint64_t bits = 0;
    Slice text;

    if (c == 't' && json_scan_word(&r->at, r->end, SLICE_LIT("true")))
        return put_bits(r, f, tagged, 1);
    if (c == 'f' && json_scan_word(&r->at, r->end, SLICE_LIT("false")))
        return put_bits(r, f, tagged, 0);
    if (lenient && c == '"') {
        if (!json_read_plain(r, &text, &good))
            return false;
        if (!good)
            return true;
        good = json_string_to_bool(text, true, true, &bits);
    } else if (lenient && (c == '0' || c == '1')) {
        if (!json_scan_number(&r->at, r->end, &number))
            return json_reader_stop(r, JSON_SYNTAX);
        good = json_number_to_bits(FIELD_UINT32, &number, &bits) == JSON_GOOD && bits <= 1;
    } else {
        return json_reader_refuse(r, JSON_WRONG_TYPE, "boolean");
    }
    return json_read_bits(r, f, tagged, start, good ? JSON_GOOD : JSON_BAD(JSON_WRONG_TYPE), bits);
}

static JsonOutcome enum_from_text(const EnumType *e, Slice text, uint64_t *out)
{
    JsonNumber number;
    const char *at = text.ptr;
    int32_t value;

    if (enum_type_by_name(e, text, &value)) {
        *out = (uint64_t)(int64_t)value;
        return JSON_GOOD;
    }
    if (text.len && json_scan_number(&at, text.ptr + text.len, &number) && at == text.ptr + text.len)
        return json_number_to_enum(e, &number, out);
    return JSON_BAD(JSON_UNKNOWN_ENUM);
}

static bool read_enum(Reader *r, const FieldType *f, bool tagged)
{
    const char *start = r->at;
    char c = peek(r);
    JsonOutcome outcome;
    uint64_t bits = 0;
    JsonNumber number;
    Slice text;
    bool good;

    if (c == '"') {
        if (!json_read_plain(r, &text, &good))
            return false;
        if (!good)
            return true;
        outcome = enum_from_text(f->enumeration, text, &bits);
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        if (!json_scan_number(&r->at, r->end, &number))
            return json_reader_stop(r, JSON_SYNTAX);
        outcome = json_number_to_enum(f->enumeration, &number, &bits);
    } else if (f->enumeration->is_null && json_scan_word(&r->at, r->end, SLICE_LIT("null"))) {
        outcome = JSON_GOOD;
    } else {
        return json_reader_refuse(r, JSON_WRONG_TYPE, "enum value");
    }
    return json_read_bits(r, f, tagged, start, outcome, bits);
}

/* ---------------------------------------------------------------------------------------------- well-known types */

static bool read_time(Reader *r, const char *expected, bool (*parse)(Slice text, JsonTime *out))
{
    const char *start = r->at;
    JsonTime time;
    Slice text;
    bool good;

    if (peek(r) != '"')
        return json_reader_refuse(r, JSON_WRONG_TYPE, expected);
    if (!json_read_plain(r, &text, &good))
        return false;
    if (!good)
        return true;
    if (parse(text, &time))
        return json_append_time(r->out, time);
    json_reader_report(r, JSON_BAD_FORMAT, expected, start);
    return true;
}

static bool read_mask(Reader *r)
{
    Slice text;
    bool good;

    if (peek(r) != '"')
        return json_reader_refuse(r, JSON_WRONG_TYPE, "FieldMask");
    if (!json_read_plain(r, &text, &good))
        return false;
    return !good || json_append_mask(r->out, text);
}

/* google.protobuf.Value: any JSON value at all. Its members' numbers were checked when the tables were loaded. */
static bool read_any(Reader *r, const MessageType *type)
{
    enum { NULL_VALUE = 1, NUMBER_VALUE, STRING_VALUE, BOOL_VALUE, STRUCT_VALUE, LIST_VALUE };

    switch (peek(r)) {
    case '"':
        return json_read_value(r, message_type_by_number(type, STRING_VALUE), true);
    case '{':
        return json_read_value(r, message_type_by_number(type, STRUCT_VALUE), true);
    case '[':
        return json_read_value(r, message_type_by_number(type, LIST_VALUE), true);
    case 't':
    case 'f':
        return json_read_value(r, message_type_by_number(type, BOOL_VALUE), true);
    case 'n':
        if (!json_scan_word(&r->at, r->end, SLICE_LIT("null")))
            return json_reader_stop(r, JSON_SYNTAX);
        return put_bits(r, message_type_by_number(type, NULL_VALUE), true, 0);
    default:
        return json_read_value(r, message_type_by_number(type, NUMBER_VALUE), true);
    }
}

/* What stands between a message's tag and length and its end. */
bool json_read_content(Reader *r, const MessageType *type)
{
    switch (type->well_known) {
    case ATRIUM__WELL_KNOWN__TIMESTAMP:
        return read_time(r, "Timestamp", json_parse_timestamp);
    case ATRIUM__WELL_KNOWN__DURATION:
        return read_time(r, "Duration", json_parse_duration);
    case ATRIUM__WELL_KNOWN__FIELD_MASK:
        return read_mask(r);
    case ATRIUM__WELL_KNOWN__WRAPPER:
        return json_read_value(r, &type->fields[0], true);
    case ATRIUM__WELL_KNOWN__STRUCT:
    case ATRIUM__WELL_KNOWN__LIST_VALUE:
        return json_read_field(r, &type->fields[0]);
    case ATRIUM__WELL_KNOWN__VALUE:
        return read_any(r, type);
    default:
        return json_read_object(r, type);
    }
}

static bool read_message(Reader *r, const FieldType *f)
{
    size_t open;

    if (!enter(r) || !json_append_tag(r->out, f) || !json_open(r->out, &open) || !json_read_content(r, f->message) ||
        !json_close(r->out, open))
        return false;
    r->levels++;
    return true;
}

bool json_read_value(Reader *r, const FieldType *f, bool tagged)
{
    switch (f->kind) {
    case FIELD_STRING:
        return read_string(r, f);
    case FIELD_BYTES:
        return read_bytes(r, f);
    case FIELD_MESSAGE:
        return read_message(r, f);
    case FIELD_BOOL:
        return read_bool(r, f, tagged);
    case FIELD_ENUM:
        return read_enum(r, f, tagged);
    default:
        return read_number(r, f, tagged);
    }
}

bool json_read_field(Reader *r, const FieldType *f)
{
    if (!f->repeated)
        return json_read_value(r, f, true);
    return f->map ? json_read_map(r, f) : json_read_list(r, f);
}
