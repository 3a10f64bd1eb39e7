/* Structs, built and read back from the wire. */
#include "shared/structs.h"

#include "shared/message.h"
#include "shared/testing.h"

static void a_struct_is_what_was_put_in(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Struct *s = struct_new(mem), *child = struct_new(mem), *again;
    ProtobufCMessage *read;
    StructList *list;
    (void)state;

    struct_set_text(mem, s, "text", "ä");
    struct_set_number(mem, s, "number", 2.5);
    struct_set_bool(mem, s, "bool", true);
    struct_set_struct(mem, s, "child", child);
    struct_set_text(mem, child, "inner", "");
    list = struct_set_list(mem, s, "list");
    for (int i = 0; i < 20; i++)
        struct_list_add_text(mem, list, arena_printf(mem, "item %d", i));
    struct_list_add_struct(mem, list, struct_new(mem));

    assert_ok(message_unpack(mem, &google__protobuf__struct__descriptor, message_pack(mem, &s->base), &read));
    again = (Struct *)read;
    assert_int_equal(again->n_fields, 5);
    assert_string_equal(again->fields[0]->key, "text");
    assert_string_equal(again->fields[0]->value->string_value, "ä");
    assert_true(again->fields[1]->value->number_value == 2.5);
    assert_true(again->fields[2]->value->bool_value);
    assert_string_equal(again->fields[3]->value->struct_value->fields[0]->key, "inner");
    assert_int_equal(again->fields[4]->value->list_value->n_values, 21);
    assert_string_equal(again->fields[4]->value->list_value->values[19]->string_value, "item 19");
    assert_int_equal(again->fields[4]->value->list_value->values[20]->kind_case,
                     GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE);
}

static void numbers_of_any_size_are_written(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Struct *s = struct_new(mem);
    (void)state;

    struct_set_number(mem, s, "whole", -20);
    struct_set_number(mem, s, "part", 2.5);
    struct_set_number(mem, s, "huge", 2e36);
    assert_slice_equal(struct_to_json(mem, s),
                       SLICE_LIT("{\"whole\":-20,\"part\":2.5,\"huge\":2.0000000000000001e+36}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_struct_is_what_was_put_in),
        cmocka_unit_test(numbers_of_any_size_are_written),
    };

    return RUN(tests);
}
