#include "schema.h"

enum { EXAMPLE_MAX_DEPTH = 3 };

typedef enum Kind { KIND_STRING, KIND_BYTES, KIND_INTEGER, KIND_INT64, KIND_NUMBER, KIND_BOOL, KIND_OTHER } Kind;

/* By google.protobuf.FieldDescriptorProto.Type; other than these: messages, groups, enums. */
static const struct {
    Kind kind;
    const char *format;
    bool unsigned_;
} TYPES[] = {
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_DOUBLE] = {KIND_NUMBER, "double", false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FLOAT] = {KIND_NUMBER, "float", false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT64] = {KIND_INT64, "int64", false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_UINT64] = {KIND_INT64, "uint64", true},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT32] = {KIND_INTEGER, "int32", false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FIXED64] = {KIND_INT64, "uint64", true},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FIXED32] = {KIND_INTEGER, "uint32", true},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BOOL] = {KIND_BOOL, NULL, false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_STRING] = {KIND_STRING, NULL, false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_GROUP] = {KIND_OTHER, NULL, false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE] = {KIND_OTHER, NULL, false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BYTES] = {KIND_BYTES, NULL, false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_UINT32] = {KIND_INTEGER, "uint32", true},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_ENUM] = {KIND_OTHER, NULL, false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SFIXED32] = {KIND_INTEGER, "int32", false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SFIXED64] = {KIND_INT64, "int64", false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SINT32] = {KIND_INTEGER, "int32", false},
    [GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SINT64] = {KIND_INT64, "int64", false},
};

JsonOut json_begin(StrBuf *b)
{
    return (JsonOut){.b = b};
}

/* ------------------------------------------------------------------------------------------- words */

/* Comments are broken into lines for the eyes of the protos' readers; an empty line is a paragraph. */
static const char *unbroken(Arena *mem, const char *comment)
{
    char *out = arena_strdup(mem, comment);
    for (char *c = out; *c; c++)
        if (*c == '\n' && c[1] != '\n' && (c == out || c[-1] != '\n'))
            *c = ' ';
    return out;
}

const char *comment_summary(Arena *mem, const char *comment)
{
    const char *text = unbroken(mem, comment);
    for (const char *c = text; *c; c++) {
        if (*c == '\n')
            return arena_strndup(mem, text, (size_t)(c - text));
        if (*c == '.' && (c[1] == ' ' || c[1] == '\n' || !c[1])) /* no full stop in a title */
            return arena_strndup(mem, text, (size_t)(c - text));
    }
    return text;
}

void put_description(JsonOut *j, Arena *mem, const char *comment)
{
    if (*comment)
        json_text(j, "description", unbroken(mem, comment));
}

const char *schema_name(const Message *m)
{
    static const char PREFIX[] = "atrium.";
    const char *name = m->full_name;
    return strncmp(name, PREFIX, sizeof(PREFIX) - 1) == 0 ? name + sizeof(PREFIX) - 1 : name;
}

/* ------------------------------------------------------------------------------------------- schemas */

static void put_type(JsonOut *j, const char *type, bool nullable)
{
    if (!nullable) {
        json_text(j, "type", type);
        return;
    }
    json_array(j, "type");
    json_text(j, NULL, type);
    json_text(j, NULL, "null");
    json_end_array(j);
}

static void put_text_type(JsonOut *j, bool nullable, const char *name, const char *value)
{
    put_type(j, "string", nullable);
    if (name)
        json_text(j, name, value);
}

static bool may_be_null(const Field *f)
{
    if (f->rules->null == ATRIUM__NULL_INPUT__CLEAR || f->rules->absent == ATRIUM__ABSENT_OUTPUT__NULL)
        return true;
    for (size_t i = 0; i < f->rules->n_absent_in; i++)
        if (f->rules->absent_in[i]->as == ATRIUM__ABSENT_OUTPUT__NULL)
            return true;
    return false;
}

/* The members that say what an enum's or a scalar's value looks like. */
static void put_scalar(JsonOut *j, const Field *f, bool nullable)
{
    bool as_number = f->rules->int64 == ATRIUM__INT64_FORM__NUMBER;
    const char *format = TYPES[f->type].format;

    if (f->enumeration) {
        put_type(j, "string", nullable);
        json_array(j, "enum");
        for (size_t i = 0; i < f->enumeration->value_count; i++)
            json_text(j, NULL, f->enumeration->values[i].json_name);
        if (nullable)
            json_raw(j, NULL, "null");
        json_end_array(j);
        return;
    }
    switch (TYPES[f->type].kind) {
    case KIND_STRING:
        put_type(j, "string", nullable);
        if (f->rules->secret && strstr(f->name, "password"))
            json_text(j, "format", "password");
        break;
    case KIND_BYTES:
        put_text_type(j, nullable, "contentEncoding", "base64");
        break;
    case KIND_BOOL:
        put_type(j, "boolean", nullable);
        break;
    case KIND_NUMBER:
        put_type(j, "number", nullable);
        json_text(j, "format", format);
        break;
    default:
        if (TYPES[f->type].kind == KIND_INT64 && !as_number) {
            put_type(j, "string", nullable);
            json_text(j, "format", format);
            json_text(j, "pattern", TYPES[f->type].unsigned_ ? "^[0-9]+$" : "^-?[0-9]+$");
        } else {
            put_type(j, "integer", nullable);
            json_text(j, "format", format);
            if (TYPES[f->type].unsigned_)
                json_number(j, "minimum", 0);
        }
    }
}

/* The members that describe a well-known type. False: it is an ordinary message. */
static bool put_well_known(JsonOut *j, const Message *m, bool nullable)
{
    switch (m->well_known) {
    case ATRIUM__WELL_KNOWN__TIMESTAMP:
        put_text_type(j, nullable, "format", "date-time");
        return true;
    case ATRIUM__WELL_KNOWN__DURATION:
        put_text_type(j, nullable, "pattern", "^-?[0-9]+(\\.[0-9]{1,9})?s$");
        return true;
    case ATRIUM__WELL_KNOWN__FIELD_MASK:
        put_text_type(j, nullable, NULL, NULL);
        return true;
    case ATRIUM__WELL_KNOWN__STRUCT:
        put_type(j, "object", nullable);
        return true;
    case ATRIUM__WELL_KNOWN__LIST_VALUE:
        put_type(j, "array", nullable);
        json_object(j, "items");
        json_end_object(j);
        return true;
    case ATRIUM__WELL_KNOWN__VALUE: /* anything */
        return true;
    case ATRIUM__WELL_KNOWN__WRAPPER:
        put_scalar(j, &m->fields[0], nullable);
        return true;
    case ATRIUM__WELL_KNOWN__EMPTY_MESSAGE:
        put_type(j, "object", nullable);
        return true;
    case ATRIUM__WELL_KNOWN__HTTP_BODY:
        put_text_type(j, nullable, "format", "binary");
        return true;
    default:
        return false;
    }
}

static void put_reference(JsonOut *j, Arena *mem, const Message *m)
{
    json_text(j, "$ref", arena_printf(mem, "#/components/schemas/%s", schema_name(m)));
}

/* The members of one value's schema: of the field itself, or of an element when it is repeated. */
static void put_value(JsonOut *j, Arena *mem, const Field *f, bool nullable)
{
    if (!f->message) {
        put_scalar(j, f, nullable);
    } else if (put_well_known(j, f->message, nullable)) {
        return;
    } else if (nullable) {
        json_array(j, "anyOf");
        json_object(j, NULL);
        put_reference(j, mem, f->message);
        json_end_object(j);
        json_object(j, NULL);
        json_text(j, "type", "null");
        json_end_object(j);
        json_end_array(j);
    } else {
        put_reference(j, mem, f->message);
    }
}

static void put_field(JsonOut *j, Arena *mem, const Field *f)
{
    bool nullable = may_be_null(f);

    if (field_is_map(f)) {
        put_type(j, "object", nullable);
        json_object(j, "additionalProperties");
        put_value(j, mem, &f->message->fields[1], false);
        json_end_object(j);
    } else if (f->repeated) {
        put_type(j, "array", nullable);
        json_object(j, "items");
        put_value(j, mem, f, false);
        json_end_object(j);
    } else {
        put_value(j, mem, f, nullable);
    }
}

void schema_of_field(JsonOut *j, Arena *mem, const char *key, const Field *f)
{
    json_object(j, key);
    put_field(j, mem, f);
    put_description(j, mem, f->comment);
    json_end_object(j);
}

void schema_of_message(JsonOut *j, Arena *mem, const char *key, const Message *m)
{
    json_object(j, key);
    if (!put_well_known(j, m, false))
        put_reference(j, mem, m);
    json_end_object(j);
}

/* What of several fields may stand only alone is said in words: a schema for it would say that each may be missing. */
static const char *with_oneofs(Arena *mem, const Message *m)
{
    const char *text = m->comment;

    for (size_t i = 0; i < m->oneof_count; i++) {
        const char *names = "";
        for (size_t k = 0; k < m->field_count; k++)
            if (m->fields[k].oneof == i + 1)
                names = arena_printf(mem, "%s%s%s", names, *names ? ", " : "", m->fields[k].json_name);
        text = arena_printf(mem, "%s%sAt most one of: %s.", text, *text ? "\n\n" : "", names);
    }
    return text;
}

static void put_message(JsonOut *j, Arena *mem, const Message *m)
{
    json_object(j, schema_name(m));
    json_text(j, "type", "object");
    put_description(j, mem, with_oneofs(mem, m));
    json_object(j, "properties");
    for (size_t i = 0; i < m->field_count; i++)
        if (!m->fields[i].rules->internal)
            schema_of_field(j, mem, m->fields[i].json_name, &m->fields[i]);
    json_end_object(j);
    json_end_object(j);
}

void schema_put_all(JsonOut *j, Arena *mem, const Reach *reach)
{
    for (size_t i = 0; i < reach->message_count; i++) {
        const Message *m = reach->messages[i];
        if (!m->map_entry && !m->well_known)
            put_message(j, mem, m);
    }
}

/* ------------------------------------------------------------------------------------------- examples */

/* Text by what the field's name ends with; the first that fits. */
static const struct {
    const char *ending, *text;
} EXAMPLES[] = {
    {"password", "correct horse battery"},
    {"email", "ada@example.org"},
    {"username", "ada"},
    {"display_name", "Ada Lovelace"},
    {"full_name", "Ada Lovelace"},
    {"user_agent", "curl/7.88.1"},
    {"address", "192.0.2.7"},
    {"url", "https://example.org/"},
    {"role", "user"},
    {"token", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"},
    {"avatar", "f1d2d2f924e986ac"},
    {"hash", "f1d2d2f924e986ac"},
    {"id", "0192f0c1-2b3c-7d4e-8f90-a1b2c3d4e5f6"},
    {"name", "general"},
    {"message", "Done"},
    {"content", "Hello"},
    {"", "text"},
};

static const char *example_text(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(EXAMPLES); i++)
        if (slice_ends_with(slice(name), slice(EXAMPLES[i].ending)))
            return EXAMPLES[i].text;
    return "text";
}

static void put_scalar_example(JsonOut *j, const char *key, const Field *f)
{
    if (f->enumeration) {
        json_text(j, key, f->enumeration->values[0].json_name);
        return;
    }
    switch (TYPES[f->type].kind) {
    case KIND_STRING:
        json_text(j, key, example_text(f->name));
        break;
    case KIND_BYTES:
        json_text(j, key, "aGVsbG8=");
        break;
    case KIND_BOOL:
        json_bool(j, key, true);
        break;
    case KIND_NUMBER:
        json_raw(j, key, "0.5");
        break;
    case KIND_INT64:
        if (f->rules->int64 == ATRIUM__INT64_FORM__STRING) {
            json_text(j, key, "1234567890123");
            break;
        }
        json_raw(j, key, "1234567890123");
        break;
    default:
        json_number(j, key, 1);
    }
}

static void put_message_example(JsonOut *j, const char *key, const Message *m, int depth);

static void put_value_example(JsonOut *j, const char *key, const Field *f, int depth)
{
    if (f->message)
        put_message_example(j, key, f->message, depth + 1);
    else
        put_scalar_example(j, key, f);
}

static void put_field_example(JsonOut *j, const char *key, const Field *f, int depth)
{
    if (field_is_map(f)) {
        json_object(j, key);
        put_value_example(j, "key", &f->message->fields[1], depth);
        json_end_object(j);
    } else if (f->repeated) {
        json_array(j, key);
        if (!f->message || depth < EXAMPLE_MAX_DEPTH)
            put_value_example(j, NULL, f, depth);
        json_end_array(j);
    } else {
        put_value_example(j, key, f, depth);
    }
}

static void put_message_example(JsonOut *j, const char *key, const Message *m, int depth)
{
    uint32_t oneofs_shown = 0;

    switch (m->well_known) {
    case ATRIUM__WELL_KNOWN__TIMESTAMP:
        json_text(j, key, "2026-01-31T12:00:00Z");
        return;
    case ATRIUM__WELL_KNOWN__DURATION:
        json_text(j, key, "1.500s");
        return;
    case ATRIUM__WELL_KNOWN__FIELD_MASK:
        json_text(j, key, "");
        return;
    case ATRIUM__WELL_KNOWN__VALUE:
    case ATRIUM__WELL_KNOWN__HTTP_BODY:
        json_text(j, key, "text");
        return;
    case ATRIUM__WELL_KNOWN__WRAPPER:
        put_scalar_example(j, key, &m->fields[0]);
        return;
    case ATRIUM__WELL_KNOWN__LIST_VALUE:
        json_array(j, key);
        json_end_array(j);
        return;
    default:
        break;
    }
    json_object(j, key);
    for (size_t i = 0; i < m->field_count && m->well_known == ATRIUM__WELL_KNOWN__ORDINARY; i++) {
        const Field *f = &m->fields[i];
        bool too_deep = f->message && !f->message->well_known && depth >= EXAMPLE_MAX_DEPTH;
        if (f->rules->internal || too_deep || (f->oneof && f->oneof == oneofs_shown))
            continue;
        oneofs_shown = f->oneof ? f->oneof : oneofs_shown; /* the fields of a oneof stand together */
        put_field_example(j, f->json_name, f, depth);
    }
    json_end_object(j);
}

void example_of_message(JsonOut *j, const char *key, const Message *m)
{
    put_message_example(j, key, m, 0);
}

void example_of_field(JsonOut *j, const char *key, const Field *f)
{
    put_field_example(j, key, f, 0);
}
