/* json_text: single values from outside a body (path variables, query parameters, headers) to wire bytes. */
#include "shared/json_internal.h"

typedef struct Target {
    const JsonReadOptions *options;
    Slice path, text;
    StrBuf *out;
    JsonProblem *problem;
} Target;

static bool refuse(const Target *t, const FieldType *f, JsonProblemKind kind, const char *expected)
{
    *t->problem = (JsonProblem){
        .kind = kind,
        .path = slice_cstr(t->out->mem, t->path),
        .expected = expected,
        .input = f && f->secret ? (Slice){0} : t->text,
    };
    return false;
}

static bool put_bits(const Target *t, const FieldType *f, JsonOutcome outcome, uint64_t bits)
{
    size_t open;

    if (outcome != JSON_GOOD)
        return refuse(t, f, JSON_KIND(outcome), json_expected(f));
    if (!json_append_tag(t->out, f))
        return false;
    if (!f->packed)
        return json_append_bits(t->out, f->wire_type, bits);
    /* A packed list of one: readers join them. */
    return json_open(t->out, &open) && json_append_bits(t->out, f->wire_type, bits) && json_close(t->out, open);
}

static bool put_enum(const Target *t, const FieldType *f)
{
    const char *at = t->text.ptr, *end = at + t->text.len;
    JsonOutcome outcome = JSON_BAD(JSON_UNKNOWN_ENUM);
    JsonNumber number;
    uint64_t bits = 0;
    int32_t value;

    if (enum_type_by_name(f->enumeration, t->text, &value)) {
        bits = (uint64_t)(int64_t)value;
        outcome = JSON_GOOD;
    } else if (t->text.len && json_scan_number(&at, end, &number) && at == end) {
        outcome = json_number_to_enum(f->enumeration, &number, &bits);
    }
    return put_bits(t, f, outcome, bits);
}

static bool put_bool(const Target *t, const FieldType *f)
{
    uint64_t bits = 0;
    bool good = json_string_to_bool(t->text, true, t->options->lenient_scalars, &bits);

    return put_bits(t, f, good ? JSON_GOOD : JSON_BAD(JSON_WRONG_TYPE), bits);
}

static bool put_string(const Target *t, const FieldType *f)
{
    if (!utf8_valid(t->text) || slice_find_char(t->text, '\0') >= 0)
        return refuse(t, f, JSON_BAD_UTF8, "string");
    return json_append_tag(t->out, f) && json_append_varint(t->out, t->text.len) &&
           json_append_bytes(t->out, t->text.ptr, t->text.len);
}

static bool put_bytes(const Target *t, const FieldType *f)
{
    bool good = false;

    if (!json_append_tag(t->out, f) || !json_append_base64(t->out, t->text, &good))
        return false;
    return good || refuse(t, f, JSON_BAD_FORMAT, "base64");
}

static bool put_scalar(const Target *t, const FieldType *f)
{
    uint64_t bits = 0;
    JsonOutcome outcome;

    switch (f->kind) {
    case FIELD_STRING:
        return put_string(t, f);
    case FIELD_BYTES:
        return put_bytes(t, f);
    case FIELD_BOOL:
        return put_bool(t, f);
    case FIELD_ENUM:
        return put_enum(t, f);
    default:
        outcome = json_string_to_bits(f->kind, t->text, t->options->lenient_scalars, &bits);
        return put_bits(t, f, outcome, bits);
    }
}

static bool put_time(const Target *t, const FieldType *f, bool (*parse)(Slice text, JsonTime *out))
{
    JsonTime time;

    if (!parse(t->text, &time))
        return refuse(t, f, JSON_BAD_FORMAT, json_expected(f));
    return json_append_time(t->out, time);
}

static bool put_message_content(const Target *t, const FieldType *f)
{
    switch (f->message->well_known) {
    case ATRIUM__WELL_KNOWN__TIMESTAMP:
        return put_time(t, f, json_parse_timestamp);
    case ATRIUM__WELL_KNOWN__DURATION:
        return put_time(t, f, json_parse_duration);
    case ATRIUM__WELL_KNOWN__FIELD_MASK:
        if (!utf8_valid(t->text) || slice_find_char(t->text, '\0') >= 0)
            return refuse(t, f, JSON_BAD_UTF8, "FieldMask");
        return json_append_mask(t->out, t->text);
    case ATRIUM__WELL_KNOWN__WRAPPER:
        return put_scalar(t, &f->message->fields[0]);
    default:
        return refuse(t, f, JSON_WRONG_TYPE, json_expected(f));
    }
}

static bool put_field(const Target *t, const FieldType *f)
{
    size_t open;

    if (f->kind != FIELD_MESSAGE)
        return put_scalar(t, f);
    return json_append_tag(t->out, f) && json_open(t->out, &open) && put_message_content(t, f) &&
           json_close(t->out, open);
}

/* Down the path, a message around a message: readers merge them with what the body said. */
static bool put_path(const Target *t, const MessageType *type, Slice path, int levels)
{
    const FieldType *f;
    Slice name, rest;
    size_t open;
    bool deeper = slice_cut(path, '.', &name, &rest);

    f = message_type_by_name(type, name, t->options->nocase);
    if (!f || f->internal || levels == 0)
        return refuse(t, f, JSON_UNKNOWN_FIELD, NULL);
    if (!deeper)
        return put_field(t, f);
    if (f->kind != FIELD_MESSAGE || f->repeated)
        return refuse(t, f, JSON_UNKNOWN_FIELD, NULL);
    return json_append_tag(t->out, f) && json_open(t->out, &open) && put_path(t, f->message, rest, levels - 1) &&
           json_close(t->out, open);
}

bool json_text_field_to_wire(const JsonReadOptions *options, const MessageType *type, Slice path, Slice text,
                             StrBuf *out, JsonProblem *problem)
{
    const size_t start = out->len;
    const bool overflow = out->overflow;
    Target t = {.options = options, .path = json_some(path), .text = json_some(text), .out = out, .problem = problem};

    out->overflow = false;
    *problem = (JsonProblem){.kind = JSON_TOO_LARGE, .path = ""};
    if (text.len <= JSON_MAX_BYTES && start <= JSON_MAX_BYTES && put_path(&t, type, t.path, JSON_MAX_DEPTH)) {
        out->overflow = overflow;
        return true;
    }
    if (problem->kind == JSON_TOO_LARGE)
        problem->path = slice_cstr(out->mem, path);
    strbuf_truncate(out, start);
    out->overflow = overflow;
    return false;
}
