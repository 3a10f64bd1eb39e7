/* json_write: wire bytes to JSON. Fields may come in any order, more than once and in pieces, so each message is looked
 * over first (where does each field begin and end?) and then printed in the order of its table. Reading over stands in
 * json_wire.c, scalars in json_write_scalar.c, maps in json_write_map.c. */
#include "shared/json_writer.h"

static bool write_content(Writer *w, const MessageType *type, Slice wire);

/* ------------------------------------------------------------------------------------------------ values and lists */

static bool write_message(Writer *w, const FieldType *f, Slice wire)
{
    if (w->levels == 0)
        return false;
    w->levels--;
    if (!write_content(w, f->message, wire))
        return false;
    w->levels++;
    return true;
}

static bool write_value(Writer *w, const FieldType *f, const Value *value)
{
    switch (f->kind) {
    case FIELD_STRING:
        return json_write_text(w, value->bytes);
    case FIELD_BYTES:
        return json_write_base64(w, value->bytes);
    case FIELD_MESSAGE:
        return write_message(w, f, value->bytes);
    default:
        return json_write_bits(w, f, value->bits, false);
    }
}

/* What a value is that nothing was said of: in an entry of a map, and in a wrapper. */
bool json_write_default(Writer *w, const FieldType *f)
{
    Value value = {0};

    if (f->kind == FIELD_ENUM)
        value.bits = (uint64_t)(int64_t)f->enumeration->values[0].number;
    return write_value(w, f, &value);
}

bool json_write_singular(Writer *w, const FieldType *f, Slice wire, uint64_t word)
{
    Value value;

    if (f->kind != FIELD_MESSAGE)
        value = last_value(f, wire, word);
    else if (!json_wire_message(w, f, wire, word, &value.bytes))
        return false;
    return write_value(w, f, &value);
}

static bool write_packed(Writer *w, const FieldType *f, Slice packed)
{
    const char *at = packed.ptr, *end = at + packed.len;
    Value value = {0};

    while (at < end)
        if (!take_value(&at, end, f->wire_type, &value) || !json_write_bits(w, f, value.bits, false) ||
            !APPEND_LIT(w->out, ","))
            return false;
    return true;
}

static bool write_list(Writer *w, const FieldType *f, Slice wire, uint64_t word)
{
    const char *at = wire.ptr + range_first(word), *end = wire.ptr + wire.len;
    const char *last = wire.ptr + range_last(word);
    size_t start = w->out->len + 1;
    unsigned wire_type = 0;
    Value value = {0};

    if (w->levels == 0 || !APPEND_LIT(w->out, "["))
        return false;
    w->levels--;
    while (at < last && json_wire_next(&at, end, f, &wire_type, &value)) {
        if (wire_type == f->wire_type ? !write_value(w, f, &value) || !APPEND_LIT(w->out, ",")
                                      : !write_packed(w, f, value.bytes))
            return false;
    }
    w->levels++;
    if (w->out->len > start)
        w->out->len--; /* the last comma */
    return APPEND_LIT(w->out, "]");
}

/* ---------------------------------------------------------------------------------------------------- messages */

static bool write_field(Writer *w, const FieldType *f, Slice wire, uint64_t word)
{
    if (!f->repeated)
        return json_write_singular(w, f, wire, word);
    return f->map ? json_write_map(w, f, wire, word) : write_list(w, f, wire, word);
}

/* The empty value of a field that is not there. An ordinary message is {}, without its own absent fields: a type may
 * contain itself. */
static bool write_empty(Writer *w, const FieldType *f)
{
    if (f->repeated)
        return f->map ? APPEND_LIT(w->out, "{}") : APPEND_LIT(w->out, "[]");
    if (f->kind == FIELD_MESSAGE && (f->message->well_known == ATRIUM__WELL_KNOWN__ORDINARY ||
                                     f->message->well_known == ATRIUM__WELL_KNOWN__HTTP_BODY))
        return APPEND_LIT(w->out, "{}");
    return json_write_default(w, f);
}

static bool write_member_name(Writer *w, const FieldType *f, bool *first)
{
    bool skip = *first;

    *first = false;
    return json_append_bytes(w->out, f->member.ptr + skip, f->member.len - skip);
}

static bool write_member(Writer *w, const FieldType *f, Slice wire, uint64_t word, bool *first)
{
    if (word)
        return write_member_name(w, f, first) && write_field(w, f, wire, word);
    switch (f->absent[w->dialect]) {
    case ATRIUM__ABSENT_OUTPUT__NULL:
        return write_member_name(w, f, first) && APPEND_LIT(w->out, "null");
    case ATRIUM__ABSENT_OUTPUT__EMPTY:
        return write_member_name(w, f, first) && write_empty(w, f);
    default:
        return true;
    }
}

static bool write_object(Writer *w, const Fields *fields)
{
    bool first = true;

    if (!APPEND_LIT(w->out, "{"))
        return false;
    for (size_t i = 0; i < fields->type->field_count; i++) {
        const FieldType *f = &fields->type->fields[i];
        if (!f->internal && !write_member(w, f, fields->wire, field_range(w, fields, f), &first))
            return false;
    }
    return APPEND_LIT(w->out, "}");
}

/* ---------------------------------------------------------------------------------------------- well-known types */

static uint64_t scalar_of(const Writer *w, const Fields *fields, uint32_t number)
{
    const FieldType *f = message_type_by_number(fields->type, number);
    uint64_t word = field_range(w, fields, f);

    return word ? last_value(f, fields->wire, word).bits : 0;
}

static bool write_time(Writer *w, const Fields *fields, size_t (*format)(JsonTime time, char *to))
{
    JsonTime time = {.seconds = (int64_t)scalar_of(w, fields, 1), .nanos = (int32_t)scalar_of(w, fields, 2)};
    char text[JSON_TIME_BYTES + 2];
    size_t len = format(time, text + 1);

    text[0] = text[len + 1] = '"';
    return len && json_append_bytes(w->out, text, len + 2);
}

/* All paths in one string. */
static bool write_mask(Writer *w, const Fields *fields)
{
    const FieldType *paths = &fields->type->fields[0];
    const char *at = fields->wire.ptr, *end = at + fields->wire.len;
    char *text = arena_alloc_raw(w->out->mem, fields->wire.len + 1, 1);
    unsigned wire_type;
    size_t len = 0;
    Value path;

    while (json_wire_next(&at, end, paths, &wire_type, &path)) {
        if (len && path.bytes.len)
            text[len++] = ',';
        len += json_mask_path_to_camel(path.bytes, text + len);
    }
    return json_write_text(w, slice_of(text, len));
}

/* google.protobuf.Value: of its members the last one counts. */
static bool write_any(Writer *w, const Fields *fields)
{
    const FieldType *last = NULL;
    uint64_t last_word = 0;

    for (size_t i = 0; i < fields->type->field_count; i++) {
        uint64_t word = field_range(w, fields, &fields->type->fields[i]);
        if (word && (!last || range_last(word) > range_last(last_word))) {
            last = &fields->type->fields[i];
            last_word = word;
        }
    }
    return last ? json_write_singular(w, last, fields->wire, last_word) : APPEND_LIT(w->out, "null");
}

static bool write_only_field(Writer *w, const Fields *fields)
{
    const FieldType *f = &fields->type->fields[0];
    uint64_t word = field_range(w, fields, f);

    return word ? write_field(w, f, fields->wire, word) : write_empty(w, f);
}

static bool write_looked_over(Writer *w, const Fields *fields)
{
    switch (fields->type->well_known) {
    case ATRIUM__WELL_KNOWN__TIMESTAMP:
        return write_time(w, fields, json_format_timestamp);
    case ATRIUM__WELL_KNOWN__DURATION:
        return write_time(w, fields, json_format_duration);
    case ATRIUM__WELL_KNOWN__FIELD_MASK:
        return write_mask(w, fields);
    case ATRIUM__WELL_KNOWN__VALUE:
        return write_any(w, fields);
    case ATRIUM__WELL_KNOWN__WRAPPER:
    case ATRIUM__WELL_KNOWN__STRUCT:
    case ATRIUM__WELL_KNOWN__LIST_VALUE:
        return write_only_field(w, fields);
    default:
        return write_object(w, fields);
    }
}

static bool write_content(Writer *w, const MessageType *type, Slice wire)
{
    Fields fields;

    if (!json_wire_look_over(w, type, wire, &fields) || !write_looked_over(w, &fields))
        return false;
    done_looking(w, &fields);
    return true;
}

/* ---------------------------------------------------------------------------------------------------- the whole */

static void writer_init(Writer *w, const JsonWriteOptions *options, Slice wire, StrBuf *out, uint64_t *words)
{
    *w = (Writer){
        .out = out,
        .options = options,
        .dialect = (unsigned)options->dialect < sizeof(((FieldType *)NULL)->absent) ? (unsigned)options->dialect : 0,
        .levels = JSON_MAX_DEPTH - 1,
        .merge_bytes = 8 * wire.len, /* as if everything came in pieces on eight levels */
        .scratch = {.mem = out->mem, .words = words, .cap = JSON_SCRATCH_FIRST},
    };
}

/* Leaves the output as it was. */
static bool give_up(StrBuf *out, size_t start, bool overflow)
{
    strbuf_truncate(out, start);
    out->overflow = overflow;
    return false;
}

bool wire_to_json(const JsonWriteOptions *options, const MessageType *type, Slice wire, StrBuf *out)
{
    const size_t start = out->len;
    const bool overflow = out->overflow;
    uint64_t words[JSON_SCRATCH_FIRST];
    Writer w;

    writer_init(&w, options, wire, out, words);
    if (wire.len <= JSON_MAX_BYTES && write_content(&w, type, wire))
        return true;
    return give_up(out, start, overflow);
}

/* `f` may be NULL. */
static bool write_named_field(Writer *w, const MessageType *type, const FieldType *f, Slice wire)
{
    Fields fields;
    uint64_t word;

    if (!json_wire_look_over(w, type, wire, &fields))
        return false;
    word = f ? field_range(w, &fields, f) : 0;
    if (word)
        return write_field(w, f, wire, word);
    if (f && f->absent[w->dialect] == ATRIUM__ABSENT_OUTPUT__EMPTY)
        return write_empty(w, f);
    return APPEND_LIT(w->out, "null");
}

bool wire_field_to_json(const JsonWriteOptions *options, const MessageType *type, Slice field_name, Slice wire,
                        StrBuf *out)
{
    const size_t start = out->len;
    const bool overflow = out->overflow;
    uint64_t words[JSON_SCRATCH_FIRST];
    const FieldType *f = message_type_by_name(type, field_name, false);
    Writer w;

    if (f && f->internal && !options->internal)
        f = NULL;
    writer_init(&w, options, wire, out, words);
    if (wire.len <= JSON_MAX_BYTES && write_named_field(&w, type, f, wire))
        return true;
    return give_up(out, start, overflow);
}
