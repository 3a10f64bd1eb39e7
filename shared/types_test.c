#include "shared/types.h"

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

/* A small data file, as protobuf-c would decode it: a message with a map, an enum and a Timestamp. Tests spoil copies.
 */
typedef struct Sample {
    Atrium__EnumValueRow values[3];
    Atrium__EnumValueRow *value_list[3];
    Atrium__EnumRow enums[1];
    Atrium__EnumRow *enum_list[1];
    Atrium__FieldRow user_fields[5], entry_fields[2], time_fields[2];
    Atrium__FieldRow *user_list[5], *entry_list[2], *time_list[2];
    Atrium__AbsentIn absent_in;
    Atrium__AbsentIn *absent_list[1];
    Atrium__TypeRow types[3];
    Atrium__TypeRow *type_list[3];
    Atrium__Tables file;
} Sample;

static Atrium__FieldRow field(uint32_t number, const char *name, FieldKind kind)
{
    Atrium__FieldRow row = ATRIUM__FIELD_ROW__INIT;

    row.has_number = row.has_type = true;
    row.number = number;
    row.name = (char *)(uintptr_t)name;
    row.type = kind;
    return row;
}

static Atrium__FieldRow reference(uint32_t number, const char *name, FieldKind kind, uint32_t ref, bool repeated)
{
    Atrium__FieldRow row = field(number, name, kind);

    row.has_ref = true;
    row.ref = ref;
    row.repeated = repeated;
    return row;
}

static Atrium__TypeRow type(const char *name, Atrium__FieldRow **fields, size_t count)
{
    Atrium__TypeRow row = ATRIUM__TYPE_ROW__INIT;

    row.name = (char *)(uintptr_t)name;
    row.fields = fields;
    row.n_fields = count;
    return row;
}

#define LIST(list, rows)                                                                                               \
    for (size_t list_i_ = 0; list_i_ < ARRAY_LEN(rows); list_i_++)                                                     \
    (list)[list_i_] = &(rows)[list_i_]

static void make_sample(Sample *s)
{
    static const char *const NAMES[] = {"UNSET", "RED", "ALSO_RED"};

    for (int i = 0; i < 3; i++) {
        s->values[i] = (Atrium__EnumValueRow)ATRIUM__ENUM_VALUE_ROW__INIT;
        s->values[i].has_number = true;
        s->values[i].number = i == 0 ? -1 : 4;
        s->values[i].name = (char *)(uintptr_t)NAMES[i];
    }
    s->values[1].json = (char *)(uintptr_t) "red";
    LIST(s->value_list, s->values);
    s->enums[0] = (Atrium__EnumRow)ATRIUM__ENUM_ROW__INIT;
    s->enums[0].name = (char *)(uintptr_t) "a.v1.Color";
    s->enums[0].values = s->value_list;
    s->enums[0].n_values = 3;
    LIST(s->enum_list, s->enums);

    s->user_fields[0] = field(7, "display_name", FIELD_STRING);
    s->user_fields[0].json_name = (char *)(uintptr_t) "displayName";
    s->user_fields[1] = reference(2, "color", FIELD_ENUM, 0, false);
    s->user_fields[2] = reference(300000, "tags", FIELD_MESSAGE, 1, true);
    s->user_fields[3] = reference(4, "created", FIELD_MESSAGE, 2, false);
    s->user_fields[4] = field(1, "displayname", FIELD_INT64);
    s->user_fields[4].secret = true;
    s->user_fields[0].absent = ATRIUM__ABSENT_OUTPUT__NULL;
    s->absent_in = (Atrium__AbsentIn)ATRIUM__ABSENT_IN__INIT;
    s->absent_in.dialect = ATRIUM__DIALECT__TOGATHER;
    s->absent_in.as = ATRIUM__ABSENT_OUTPUT__EMPTY;
    s->absent_list[0] = &s->absent_in;
    s->user_fields[0].absent_in = s->absent_list;
    s->user_fields[0].n_absent_in = 1;
    s->entry_fields[0] = field(1, "key", FIELD_STRING);
    s->entry_fields[1] = field(2, "value", FIELD_INT32);
    s->time_fields[0] = field(1, "seconds", FIELD_INT64);
    s->time_fields[1] = field(2, "nanos", FIELD_INT32);
    LIST(s->user_list, s->user_fields);
    LIST(s->entry_list, s->entry_fields);
    LIST(s->time_list, s->time_fields);
    s->types[0] = type("a.v1.User", s->user_list, 5);
    s->types[1] = type("a.v1.User.TagsEntry", s->entry_list, 2);
    s->types[1].map_entry = true;
    s->types[2] = type("google.protobuf.Timestamp", s->time_list, 2);
    s->types[2].well_known = ATRIUM__WELL_KNOWN__TIMESTAMP;
    LIST(s->type_list, s->types);
    s->file = (Atrium__Tables)ATRIUM__TABLES__INIT;
    s->file.format = TYPES_FORMAT;
    s->file.types = s->type_list;
    s->file.n_types = 3;
    s->file.enums = s->enum_list;
    s->file.n_enums = 1;
}

static void types_and_fields_are_found(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const TypeTables *tables;
    const MessageType *user;
    Sample s;
    (void)state;

    make_sample(&s);
    assert_ok(types_load(mem, &s.file, &tables));
    user = types_find(tables, SLICE_LIT("a.v1.User"));
    assert_non_null(user);
    assert_ptr_equal(user, types_at(tables, 0));
    assert_null(types_at(tables, 3));
    assert_null(types_find(tables, SLICE_LIT("a.v1.Use")));
    assert_slice_equal(message_type_name(user), SLICE_LIT("a.v1.User"));
    assert_int_equal(message_type_field_count(user), 5);
    assert_int_equal(message_type_field(user, 0)->number, 7);
    assert_null(message_type_field(user, 5));
    assert_int_equal(message_type_by_number(user, 2)->kind, FIELD_ENUM);
    assert_slice_equal(message_type_by_number(user, 300000)->name, SLICE_LIT("tags"));
    assert_null(message_type_by_number(user, 3));
    assert_null(message_type_by_number(user, 299999));
    assert_true(message_type_by_number(user, 300000)->map);
    assert_int_equal(message_type_well_known(message_type_by_number(user, 4)->message), ATRIUM__WELL_KNOWN__TIMESTAMP);
}

static void names_are_found_in_either_form(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const TypeTables *tables;
    const MessageType *user;
    Sample s;
    (void)state;

    make_sample(&s);
    assert_ok(types_load(mem, &s.file, &tables));
    user = types_at(tables, 0);
    assert_int_equal(message_type_by_name(user, SLICE_LIT("displayName"), false)->number, 7);
    assert_int_equal(message_type_by_name(user, SLICE_LIT("display_name"), false)->number, 7);
    assert_int_equal(message_type_by_name(user, SLICE_LIT("displayname"), false)->number, 1);
    assert_int_equal(message_type_by_name(user, SLICE_LIT("displayName"), true)->number, 7);
    assert_int_equal(message_type_by_name(user, SLICE_LIT("displayname"), true)->number, 1);
    assert_int_equal(message_type_by_name(user, SLICE_LIT("COLOR"), true)->number, 2);
    assert_null(message_type_by_name(user, SLICE_LIT("COLOR"), false));
    assert_null(message_type_by_name(user, SLICE_LIT(""), true));
    assert_null(message_type_by_name(user, SLICE_LIT("a name that is longer than any field of the message"), true));
}

static void enum_values_are_found_in_either_form(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const TypeTables *tables;
    const EnumType *color;
    int32_t number;
    Slice name;
    Sample s;
    (void)state;

    make_sample(&s);
    assert_ok(types_load(mem, &s.file, &tables));
    color = message_type_by_number(types_at(tables, 0), 2)->enumeration;
    assert_slice_equal(enum_type_name(color), SLICE_LIT("a.v1.Color"));
    assert_true(enum_type_by_name(color, SLICE_LIT("red"), &number));
    assert_int_equal(number, 4);
    assert_true(enum_type_by_name(color, SLICE_LIT("RED"), &number));
    assert_true(enum_type_by_name(color, SLICE_LIT("ALSO_RED"), &number));
    assert_false(enum_type_by_name(color, SLICE_LIT("Red"), &number));
    assert_true(enum_type_by_number(color, 4, &name));
    assert_slice_equal(name, SLICE_LIT("red"));
    assert_true(enum_type_by_number(color, -1, &name));
    assert_slice_equal(name, SLICE_LIT("UNSET"));
    assert_false(enum_type_by_number(color, 0, &name));
}

static void absence_is_told_by_dialect(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const TypeTables *tables;
    const FieldType *f;
    Sample s;
    (void)state;

    make_sample(&s);
    assert_ok(types_load(mem, &s.file, &tables));
    f = message_type_by_number(types_at(tables, 0), 7);
    assert_int_equal(f->absent[ATRIUM__DIALECT__ATRIUM], ATRIUM__ABSENT_OUTPUT__NULL);
    assert_int_equal(f->absent[ATRIUM__DIALECT__TOGATHER], ATRIUM__ABSENT_OUTPUT__EMPTY);
    assert_int_equal(f->absent[ATRIUM__DIALECT__YOUTUBETALKER], ATRIUM__ABSENT_OUTPUT__NULL);
}

/* ---------------------------------------------------------------------------------------------------- bad files */

static void wrong_format(Sample *s)
{
    s->file.format++;
}
static void nameless_type(Sample *s)
{
    s->types[0].name = NULL;
}
static void same_type_twice(Sample *s)
{
    s->types[1].name = s->types[0].name;
}
static void unknown_well_known(Sample *s)
{
    s->types[0].well_known = (Atrium__WellKnown)99;
}
static void message_out_of_range(Sample *s)
{
    s->user_fields[3].ref = 3;
}
static void message_without_reference(Sample *s)
{
    s->user_fields[3].has_ref = false;
}
static void enum_out_of_range(Sample *s)
{
    s->user_fields[1].ref = 1;
}
static void number_zero(Sample *s)
{
    s->user_fields[1].number = 0;
}
static void number_too_large(Sample *s)
{
    s->user_fields[1].number = 1u << 29;
}
static void number_twice(Sample *s)
{
    s->user_fields[1].number = 7;
}
static void json_name_twice(Sample *s)
{
    s->user_fields[1].json_name = (char *)(uintptr_t) "displayName";
}
static void nameless_field(Sample *s)
{
    s->user_fields[1].name = (char *)(uintptr_t) "";
}
static void name_that_is_no_text(Sample *s)
{
    s->user_fields[1].name = (char *)(uintptr_t) "\xff";
}
static void unknown_field_type(Sample *s)
{
    s->user_fields[0].type = 19;
}
static void group(Sample *s)
{
    s->user_fields[3].type = FIELD_GROUP;
}
static void packed_text(Sample *s)
{
    s->user_fields[0].repeated = s->user_fields[0].packed = true;
}
static void packed_single(Sample *s)
{
    s->user_fields[4].packed = true;
}
static void list_in_a_oneof(Sample *s)
{
    s->user_fields[4].repeated = true;
    s->user_fields[4].oneof = 1;
}
static void huge_oneof(Sample *s)
{
    s->user_fields[4].oneof = 70000;
}
static void map_that_is_no_list(Sample *s)
{
    s->user_fields[2].repeated = false;
}
static void map_of_bytes(Sample *s)
{
    s->entry_fields[0].type = FIELD_BYTES;
}
static void map_without_value(Sample *s)
{
    s->types[1].n_fields = 1;
}
static void timestamp_of_text(Sample *s)
{
    s->time_fields[0].type = FIELD_STRING;
}
static void wrapper_of_a_wrapper(Sample *s)
{
    s->time_fields[0] = reference(1, "value", FIELD_MESSAGE, 2, false);
    s->types[2].n_fields = 1;
    s->types[2].well_known = ATRIUM__WELL_KNOWN__WRAPPER;
}
static void value_without_kinds(Sample *s)
{
    s->types[2].well_known = ATRIUM__WELL_KNOWN__VALUE;
}
static void unknown_dialect(Sample *s)
{
    s->absent_in.dialect = (Atrium__Dialect)8;
}
static void unknown_absence(Sample *s)
{
    s->user_fields[0].absent = (Atrium__AbsentOutput)3;
}
static void unknown_null(Sample *s)
{
    s->user_fields[0].null = (Atrium__NullInput)4;
}
static void enum_without_values(Sample *s)
{
    s->enums[0].n_values = 0;
}
static void enum_name_twice(Sample *s)
{
    s->values[2].name = s->values[0].name;
}
static void enum_value_without_number(Sample *s)
{
    s->values[2].has_number = false;
}

/* The spot is named, so that whoever made the file finds it. */
static void inconsistent_files_are_refused(void **state)
{
    static const struct {
        void (*spoil)(Sample *s);
        const char *named;
    } CASES[] = {
        {wrong_format, "format"},
        {nameless_type, "type 0"},
        {same_type_twice, "a.v1.User"},
        {unknown_well_known, "a.v1.User"},
        {message_out_of_range, "created"},
        {message_without_reference, "created"},
        {enum_out_of_range, "color"},
        {number_zero, "color"},
        {number_too_large, "color"},
        {number_twice, "a.v1.User"},
        {json_name_twice, "a.v1.User"},
        {nameless_field, "a.v1.User"},
        {name_that_is_no_text, "a.v1.User"},
        {unknown_field_type, "display_name"},
        {group, "created"},
        {packed_text, "display_name"},
        {packed_single, "displayname"},
        {list_in_a_oneof, "displayname"},
        {huge_oneof, "displayname"},
        {map_that_is_no_list, "tags"},
        {map_of_bytes, "TagsEntry"},
        {map_without_value, "TagsEntry"},
        {timestamp_of_text, "google.protobuf.Timestamp"},
        {wrapper_of_a_wrapper, "google.protobuf.Timestamp"},
        {value_without_kinds, "google.protobuf.Timestamp"},
        {unknown_dialect, "display_name"},
        {unknown_absence, "display_name"},
        {unknown_null, "display_name"},
        {enum_without_values, "a.v1.Color"},
        {enum_name_twice, "a.v1.Color"},
        {enum_value_without_number, "a.v1.Color"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
        const TypeTables *tables = NULL;
        Sample s;
        Err e;
        make_sample(&s);
        CASES[i].spoil(&s);
        e = types_load(mem, &s.file, &tables);
        if (e.reason != &INVALID_ARGUMENT || !strstr(e.text, CASES[i].named) || tables)
            fail_msg("case %zu: \"%s\" does not name %s", i, e.text, CASES[i].named);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_and_fields_are_found),           cmocka_unit_test(names_are_found_in_either_form),
        cmocka_unit_test(enum_values_are_found_in_either_form), cmocka_unit_test(absence_is_told_by_dialect),
        cmocka_unit_test(inconsistent_files_are_refused),
    };

    return RUN(tests);
}
