/* structs: see structs.h. */
#include "shared/structs.h"

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
