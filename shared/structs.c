/* structs: see structs.h. */
#include "shared/structs.h"

#include "shared/strbuf.h"

#include "shared/message.h"

typedef Google__Protobuf__Value Value;

Struct *struct_new(Arena *mem)
{
    return MESSAGE_NEW(mem, Struct, google__protobuf__struct__init);
}

static Value *new_value(Arena *mem, Google__Protobuf__Value__KindCase kind)
{
    Value *value = MESSAGE_NEW(mem, Value, google__protobuf__value__init);

    value->kind_case = kind;
    return value;
}

static Value *text_value(Arena *mem, const char *text)
{
    Value *value = new_value(mem, GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE);

    value->string_value = arena_strdup(mem, text);
    return value;
}

static Value *struct_value(Arena *mem, Struct *child)
{
    Value *value = new_value(mem, GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE);

    value->struct_value = child;
    return value;
}

/* One more pointer; they are few. */
static void *grown(Arena *mem, void *list, size_t count)
{
    return arena_grow(mem, list, count * sizeof(void *), (count + 1) * sizeof(void *));
}

static void set(Arena *mem, Struct *s, const char *name, Value *value)
{
    Google__Protobuf__Struct__FieldsEntry *entry =
        MESSAGE_NEW(mem, Google__Protobuf__Struct__FieldsEntry, google__protobuf__struct__fields_entry__init);

    entry->key = arena_strdup(mem, name);
    entry->value = value;
    s->fields = grown(mem, s->fields, s->n_fields);
    s->fields[s->n_fields++] = entry;
}

void struct_set_text(Arena *mem, Struct *s, const char *name, const char *text)
{
    set(mem, s, name, text_value(mem, text));
}

void struct_set_number(Arena *mem, Struct *s, const char *name, double number)
{
    Value *value = new_value(mem, GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE);

    value->number_value = number;
    set(mem, s, name, value);
}

void struct_set_bool(Arena *mem, Struct *s, const char *name, bool boolean)
{
    Value *value = new_value(mem, GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE);

    value->bool_value = boolean;
    set(mem, s, name, value);
}

void struct_set_struct(Arena *mem, Struct *s, const char *name, Struct *child)
{
    set(mem, s, name, struct_value(mem, child));
}

StructList *struct_set_list(Arena *mem, Struct *s, const char *name)
{
    Value *value = new_value(mem, GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE);

    value->list_value = MESSAGE_NEW(mem, StructList, google__protobuf__list_value__init);
    set(mem, s, name, value);
    return value->list_value;
}

static void add(Arena *mem, StructList *list, Value *value)
{
    list->values = grown(mem, list->values, list->n_values);
    list->values[list->n_values++] = value;
}

void struct_list_add_text(Arena *mem, StructList *list, const char *text)
{
    add(mem, list, text_value(mem, text));
}

void struct_list_add_struct(Arena *mem, StructList *list, Struct *child)
{
    add(mem, list, struct_value(mem, child));
}

/* --- as JSON ----------------------------------------------------------------------------------------------------- */
static void write_value(StrBuf *out, const Google__Protobuf__Value *v, int depth);

static void write_struct(StrBuf *out, const Struct *value, int depth)
{
    bool first = true;

    strbuf_append_char(out, '{');
    for (size_t i = 0; i < value->n_fields; i++) {
        const Google__Protobuf__Struct__FieldsEntry *entry = value->fields[i];

        if (!entry->key)
            continue;
        if (!first)
            strbuf_append_char(out, ',');
        first = false;
        strbuf_append_json(out, slice(entry->key));
        strbuf_append_char(out, ':');
        write_value(out, entry->value, depth + 1);
    }
    strbuf_append_char(out, '}');
}

static void write_value(StrBuf *out, const Google__Protobuf__Value *v, int depth)
{
    if (!v || depth > STRUCT_MAX_DEPTH) {
        strbuf_append_cstr(out, "null");
        return;
    }
    switch (v->kind_case) {
    case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
        if (v->number_value < 9e15 && v->number_value > -9e15 && v->number_value == (double)(int64_t)v->number_value)
            strbuf_append_int64(out, (int64_t)v->number_value);
        else
            strbuf_printf(out, "%.17g", v->number_value);
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
        strbuf_append_json(out, slice(v->string_value));
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE:
        strbuf_append_cstr(out, v->bool_value ? "true" : "false");
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
        write_struct(out, v->struct_value, depth);
        break;
    case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE:
        strbuf_append_char(out, '[');
        for (size_t i = 0; i < v->list_value->n_values; i++) {
            if (i)
                strbuf_append_char(out, ',');
            write_value(out, v->list_value->values[i], depth + 1);
        }
        strbuf_append_char(out, ']');
        break;
    default:
        strbuf_append_cstr(out, "null");
    }
}

Slice struct_to_json(Arena *mem, const Struct *value)
{
    StrBuf out = strbuf_new(mem, STRUCT_MAX_BYTES);
    Slice text;

    if (!value)
        return SLICE_LIT("");
    write_struct(&out, value, 0);
    return strbuf_finish(&out, &text) ? text : SLICE_LIT("");
}
