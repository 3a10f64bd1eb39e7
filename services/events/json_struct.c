/* json_struct: see json_struct.h. */
#include "services/events/json_struct.h"

#include <jansson.h>

#include "shared/message.h"

typedef Google__Protobuf__Value Value;

static Struct *struct_of(Arena *mem, const json_t *object, int depth);
static Value *value_of(Arena *mem, const json_t *json, int depth);

static StructList *list_of(Arena *mem, const json_t *array, int depth)
{
    StructList *list = MESSAGE_NEW(mem, StructList, google__protobuf__list_value__init);
    size_t count = json_array_size(array);

    list->values = ARENA_ARRAY(mem, Value *, count + 1);
    for (size_t i = 0; i < count; i++)
        list->values[list->n_values++] = value_of(mem, json_array_get(array, i), depth);
    return list;
}

static Value *value_of(Arena *mem, const json_t *json, int depth)
{
    Value *value = MESSAGE_NEW(mem, Value, google__protobuf__value__init);

    value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
    if (json_is_string(json)) {
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
        value->string_value = arena_strndup(mem, json_string_value(json), json_string_length(json));
    } else if (json_is_number(json)) {
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
        value->number_value = json_number_value(json);
    } else if (json_is_boolean(json)) {
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
        value->bool_value = json_is_true(json);
    } else if (json_is_object(json) && depth < JSON_STRUCT_MAX_DEPTH) {
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
        value->struct_value = struct_of(mem, json, depth + 1);
    } else if (json_is_array(json) && depth < JSON_STRUCT_MAX_DEPTH) {
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
        value->list_value = list_of(mem, json, depth + 1);
    }
    return value;
}

static Struct *struct_of(Arena *mem, const json_t *object, int depth)
{
    Struct *out = struct_new(mem);
    void *at = json_object_iter((json_t *)object); /* it is only read */

    out->fields = ARENA_ARRAY(mem, Google__Protobuf__Struct__FieldsEntry *, json_object_size(object) + 1);
    for (; at; at = json_object_iter_next((json_t *)object, at)) {
        Google__Protobuf__Struct__FieldsEntry *entry =
            MESSAGE_NEW(mem, Google__Protobuf__Struct__FieldsEntry, google__protobuf__struct__fields_entry__init);

        entry->key = arena_strdup(mem, json_object_iter_key(at));
        entry->value = value_of(mem, json_object_iter_value(at), depth);
        out->fields[out->n_fields++] = entry;
    }
    return out;
}

Struct *json_struct(Arena *mem, Slice json)
{
    json_t *root = json_loadb(json.ptr, json.len, 0, NULL);
    Struct *out = json_is_object(root) ? struct_of(mem, root, 1) : NULL;

    json_decref(root);
    return out;
}
