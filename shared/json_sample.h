/* json_sample: tables of a message with a bit of everything, for json_test.c and the fuzz targets. */
#pragma once
#include "atrium/tables.pb-c.h"
#include "shared/types.h"

enum SampleType {
    SAMPLE_PERSON,
    SAMPLE_COUNTS_ENTRY,
    SAMPLE_FLAGS_ENTRY,
    SAMPLE_NUMBERED_ENTRY,
    SAMPLE_TIMESTAMP,
    SAMPLE_DURATION,
    SAMPLE_STRUCT,
    SAMPLE_STRUCT_ENTRY,
    SAMPLE_VALUE,
    SAMPLE_LIST_VALUE,
    SAMPLE_FIELD_MASK,
    SAMPLE_STRING_VALUE,
    SAMPLE_INT64_VALUE,
    SAMPLE_EMPTY,
    SAMPLE_SHOWN,
    SAMPLE_TYPES
};
enum { SAMPLE_COLOR, SAMPLE_NULL_VALUE, SAMPLE_ENUMS };
enum {
    REPEATED = 1,
    PACKED = 2,
    SECRET = 4,
    INTERNAL_FIELD = 8,
    AS_NUMBER = 16,
    CLEARS = 32,
    NO_NULL = 64,
    SHOWS_NULL = 128,
    SHOWS_EMPTY = 256,
    NULL_IN_RETROCAST = 512,
    CLEARED_BY_EMPTY = 1024
};

typedef struct SampleField {
    enum SampleType type;
    uint32_t number;
    const char *name, *json_name;
    FieldKind kind;
    uint32_t ref;
    int flags;
    uint32_t oneof;
} SampleField;

static const struct {
    const char *name;
    Atrium__WellKnown well_known;
} SAMPLE_TYPE_NAMES[SAMPLE_TYPES] = {
    [SAMPLE_PERSON] = {"sample.Person", ATRIUM__WELL_KNOWN__ORDINARY},
    [SAMPLE_COUNTS_ENTRY] = {"sample.Person.CountsEntry", ATRIUM__WELL_KNOWN__ORDINARY},
    [SAMPLE_FLAGS_ENTRY] = {"sample.Person.FlagsEntry", ATRIUM__WELL_KNOWN__ORDINARY},
    [SAMPLE_NUMBERED_ENTRY] = {"sample.Person.NumberedEntry", ATRIUM__WELL_KNOWN__ORDINARY},
    [SAMPLE_TIMESTAMP] = {"google.protobuf.Timestamp", ATRIUM__WELL_KNOWN__TIMESTAMP},
    [SAMPLE_DURATION] = {"google.protobuf.Duration", ATRIUM__WELL_KNOWN__DURATION},
    [SAMPLE_STRUCT] = {"google.protobuf.Struct", ATRIUM__WELL_KNOWN__STRUCT},
    [SAMPLE_STRUCT_ENTRY] = {"google.protobuf.Struct.FieldsEntry", ATRIUM__WELL_KNOWN__ORDINARY},
    [SAMPLE_VALUE] = {"google.protobuf.Value", ATRIUM__WELL_KNOWN__VALUE},
    [SAMPLE_LIST_VALUE] = {"google.protobuf.ListValue", ATRIUM__WELL_KNOWN__LIST_VALUE},
    [SAMPLE_FIELD_MASK] = {"google.protobuf.FieldMask", ATRIUM__WELL_KNOWN__FIELD_MASK},
    [SAMPLE_STRING_VALUE] = {"google.protobuf.StringValue", ATRIUM__WELL_KNOWN__WRAPPER},
    [SAMPLE_INT64_VALUE] = {"google.protobuf.Int64Value", ATRIUM__WELL_KNOWN__WRAPPER},
    [SAMPLE_EMPTY] = {"google.protobuf.Empty", ATRIUM__WELL_KNOWN__EMPTY_MESSAGE},
    [SAMPLE_SHOWN] = {"sample.Shown", ATRIUM__WELL_KNOWN__ORDINARY},
};

/* In the order of JSON within each type; numbers are not in that order on purpose. */
static const SampleField SAMPLE_FIELDS[] = {
    {SAMPLE_PERSON, 1, "id", NULL, FIELD_INT64, 0, 0, 0},
    {SAMPLE_PERSON, 3, "display_name", "displayName", FIELD_STRING, 0, 0, 0},
    {SAMPLE_PERSON, 2, "tags", NULL, FIELD_STRING, 0, REPEATED, 0},
    {SAMPLE_PERSON, 4, "best_friend", "bestFriend", FIELD_MESSAGE, SAMPLE_PERSON, 0, 0},
    {SAMPLE_PERSON, 5, "password", NULL, FIELD_STRING, 0, SECRET, 0},
    {SAMPLE_PERSON, 6, "note", NULL, FIELD_STRING, 0, CLEARS, 0},
    {SAMPLE_PERSON, 7, "bio_text", "bioText", FIELD_STRING, 0, NO_NULL, 0},
    {SAMPLE_PERSON, 8, "hidden", NULL, FIELD_STRING, 0, INTERNAL_FIELD, 0},
    {SAMPLE_PERSON, 9, "cleared", NULL, FIELD_MESSAGE, SAMPLE_FIELD_MASK, 0, 0},
    {SAMPLE_PERSON, 10, "text", NULL, FIELD_STRING, 0, 0, 1},
    {SAMPLE_PERSON, 11, "number", NULL, FIELD_INT32, 0, 0, 1},
    {SAMPLE_PERSON, 12, "counts", NULL, FIELD_MESSAGE, SAMPLE_COUNTS_ENTRY, REPEATED, 0},
    {SAMPLE_PERSON, 13, "friends", NULL, FIELD_MESSAGE, SAMPLE_PERSON, REPEATED, 0},
    {SAMPLE_PERSON, 14, "numbers", NULL, FIELD_INT32, 0, REPEATED | PACKED, 0},
    {SAMPLE_PERSON, 15, "color", NULL, FIELD_ENUM, SAMPLE_COLOR, 0, 0},
    {SAMPLE_PERSON, 16, "ratio", NULL, FIELD_DOUBLE, 0, 0, 0},
    {SAMPLE_PERSON, 17, "single", NULL, FIELD_FLOAT, 0, 0, 0},
    {SAMPLE_PERSON, 18, "data", NULL, FIELD_BYTES, 0, 0, 0},
    {SAMPLE_PERSON, 19, "at", NULL, FIELD_MESSAGE, SAMPLE_TIMESTAMP, 0, 0},
    {SAMPLE_PERSON, 20, "lasts", NULL, FIELD_MESSAGE, SAMPLE_DURATION, 0, 0},
    {SAMPLE_PERSON, 21, "any", NULL, FIELD_MESSAGE, SAMPLE_VALUE, 0, 0},
    {SAMPLE_PERSON, 22, "object", NULL, FIELD_MESSAGE, SAMPLE_STRUCT, 0, 0},
    {SAMPLE_PERSON, 23, "list", NULL, FIELD_MESSAGE, SAMPLE_LIST_VALUE, 0, 0},
    {SAMPLE_PERSON, 24, "wrapped", NULL, FIELD_MESSAGE, SAMPLE_STRING_VALUE, 0, 0},
    {SAMPLE_PERSON, 25, "flag", NULL, FIELD_BOOL, 0, 0, 0},
    {SAMPLE_PERSON, 26, "u64", NULL, FIELD_UINT64, 0, 0, 0},
    {SAMPLE_PERSON, 27, "s32", NULL, FIELD_SINT32, 0, 0, 0},
    {SAMPLE_PERSON, 28, "f64", NULL, FIELD_FIXED64, 0, 0, 0},
    {SAMPLE_PERSON, 29, "plain", NULL, FIELD_INT64, 0, AS_NUMBER, 0},
    {SAMPLE_PERSON, 30, "mask", NULL, FIELD_MESSAGE, SAMPLE_FIELD_MASK, 0, 0},
    {SAMPLE_PERSON, 31, "wrapped_int", "wrappedInt", FIELD_MESSAGE, SAMPLE_INT64_VALUE, 0, 0},
    {SAMPLE_PERSON, 32, "flags", NULL, FIELD_MESSAGE, SAMPLE_FLAGS_ENTRY, REPEATED, 0},
    {SAMPLE_PERSON, 33, "numbered", NULL, FIELD_MESSAGE, SAMPLE_NUMBERED_ENTRY, REPEATED, 0},
    {SAMPLE_PERSON, 34, "colors", NULL, FIELD_ENUM, SAMPLE_COLOR, REPEATED | CLEARED_BY_EMPTY, 0},
    {SAMPLE_PERSON, 35, "nothing", NULL, FIELD_ENUM, SAMPLE_NULL_VALUE, 0, 0},
    {SAMPLE_PERSON, 36, "empty", NULL, FIELD_MESSAGE, SAMPLE_EMPTY, 0, 0},
    {SAMPLE_PERSON, 37, "values", NULL, FIELD_MESSAGE, SAMPLE_VALUE, REPEATED, 0},
    {SAMPLE_PERSON, 1000, "shown", "@<shown>", FIELD_MESSAGE, SAMPLE_SHOWN, 0, 0},
    {SAMPLE_PERSON, 38, "i32", NULL, FIELD_INT32, 0, 0, 0},
    {SAMPLE_PERSON, 39, "u32", NULL, FIELD_UINT32, 0, 0, 0},
    {SAMPLE_COUNTS_ENTRY, 1, "key", NULL, FIELD_STRING, 0, 0, 0},
    {SAMPLE_COUNTS_ENTRY, 2, "value", NULL, FIELD_INT32, 0, 0, 0},
    {SAMPLE_FLAGS_ENTRY, 1, "key", NULL, FIELD_BOOL, 0, 0, 0},
    {SAMPLE_FLAGS_ENTRY, 2, "value", NULL, FIELD_ENUM, SAMPLE_COLOR, 0, 0},
    {SAMPLE_NUMBERED_ENTRY, 1, "key", NULL, FIELD_SINT64, 0, 0, 0},
    {SAMPLE_NUMBERED_ENTRY, 2, "value", NULL, FIELD_MESSAGE, SAMPLE_PERSON, 0, 0},
    {SAMPLE_TIMESTAMP, 1, "seconds", NULL, FIELD_INT64, 0, 0, 0},
    {SAMPLE_TIMESTAMP, 2, "nanos", NULL, FIELD_INT32, 0, 0, 0},
    {SAMPLE_DURATION, 1, "seconds", NULL, FIELD_INT64, 0, 0, 0},
    {SAMPLE_DURATION, 2, "nanos", NULL, FIELD_INT32, 0, 0, 0},
    {SAMPLE_STRUCT, 1, "fields", NULL, FIELD_MESSAGE, SAMPLE_STRUCT_ENTRY, REPEATED, 0},
    {SAMPLE_STRUCT_ENTRY, 1, "key", NULL, FIELD_STRING, 0, 0, 0},
    {SAMPLE_STRUCT_ENTRY, 2, "value", NULL, FIELD_MESSAGE, SAMPLE_VALUE, 0, 0},
    {SAMPLE_VALUE, 1, "null_value", "nullValue", FIELD_ENUM, SAMPLE_NULL_VALUE, 0, 1},
    {SAMPLE_VALUE, 2, "number_value", "numberValue", FIELD_DOUBLE, 0, 0, 1},
    {SAMPLE_VALUE, 3, "string_value", "stringValue", FIELD_STRING, 0, 0, 1},
    {SAMPLE_VALUE, 4, "bool_value", "boolValue", FIELD_BOOL, 0, 0, 1},
    {SAMPLE_VALUE, 5, "struct_value", "structValue", FIELD_MESSAGE, SAMPLE_STRUCT, 0, 1},
    {SAMPLE_VALUE, 6, "list_value", "listValue", FIELD_MESSAGE, SAMPLE_LIST_VALUE, 0, 1},
    {SAMPLE_LIST_VALUE, 1, "values", NULL, FIELD_MESSAGE, SAMPLE_VALUE, REPEATED, 0},
    {SAMPLE_FIELD_MASK, 1, "paths", NULL, FIELD_STRING, 0, REPEATED, 0},
    {SAMPLE_STRING_VALUE, 1, "value", NULL, FIELD_STRING, 0, 0, 0},
    {SAMPLE_INT64_VALUE, 1, "value", NULL, FIELD_INT64, 0, 0, 0},
    {SAMPLE_SHOWN, 1, "omitted", NULL, FIELD_INT64, 0, 0, 0},
    {SAMPLE_SHOWN, 2, "nulled", NULL, FIELD_STRING, 0, SHOWS_NULL, 0},
    {SAMPLE_SHOWN, 3, "mixed", NULL, FIELD_STRING, 0, SHOWS_EMPTY | NULL_IN_RETROCAST, 0},
    {SAMPLE_SHOWN, 4, "count", NULL, FIELD_INT64, 0, SHOWS_EMPTY, 0},
    {SAMPLE_SHOWN, 5, "flag", NULL, FIELD_BOOL, 0, SHOWS_EMPTY, 0},
    {SAMPLE_SHOWN, 6, "list", NULL, FIELD_INT32, 0, SHOWS_EMPTY | REPEATED, 0},
    {SAMPLE_SHOWN, 7, "map", NULL, FIELD_MESSAGE, SAMPLE_COUNTS_ENTRY, SHOWS_EMPTY | REPEATED, 0},
    {SAMPLE_SHOWN, 8, "self", NULL, FIELD_MESSAGE, SAMPLE_SHOWN, SHOWS_EMPTY, 0},
    {SAMPLE_SHOWN, 9, "at", NULL, FIELD_MESSAGE, SAMPLE_TIMESTAMP, SHOWS_EMPTY, 0},
    {SAMPLE_SHOWN, 10, "color", NULL, FIELD_ENUM, SAMPLE_COLOR, SHOWS_EMPTY, 0},
    {SAMPLE_SHOWN, 11, "data", NULL, FIELD_BYTES, 0, SHOWS_EMPTY, 0},
    {SAMPLE_SHOWN, 12, "wrapped", NULL, FIELD_MESSAGE, SAMPLE_STRING_VALUE, SHOWS_EMPTY, 0},
    {SAMPLE_SHOWN, 13, "any", NULL, FIELD_MESSAGE, SAMPLE_VALUE, SHOWS_EMPTY, 0},
    {SAMPLE_SHOWN, 14, "object", NULL, FIELD_MESSAGE, SAMPLE_STRUCT, SHOWS_EMPTY, 0},
};

static char *sample_text(const char *constant)
{
    return (char *)(uintptr_t)constant; /* protobuf-c's rows are not const; nobody writes to them */
}

static void sample_field(Arena *mem, const SampleField *from, Atrium__FieldRow *row)
{
    *row = (Atrium__FieldRow)ATRIUM__FIELD_ROW__INIT;
    row->has_number = row->has_type = row->has_ref = true;
    row->number = from->number;
    row->name = sample_text(from->name);
    row->json_name = sample_text(from->json_name);
    row->type = from->kind;
    row->ref = from->ref;
    row->oneof = from->oneof;
    row->repeated = from->flags & REPEATED;
    row->packed = from->flags & PACKED;
    row->secret = from->flags & SECRET;
    row->internal = from->flags & INTERNAL_FIELD;
    row->int64 = from->flags & AS_NUMBER ? ATRIUM__INT64_FORM__NUMBER : ATRIUM__INT64_FORM__STRING;
    row->null = from->flags & CLEARS             ? ATRIUM__NULL_INPUT__CLEAR
                : from->flags & NO_NULL          ? ATRIUM__NULL_INPUT__ERROR
                : from->flags & CLEARED_BY_EMPTY ? ATRIUM__NULL_INPUT__EMPTY_CLEARS
                                                 : ATRIUM__NULL_INPUT__KEEP;
    row->absent = from->flags & SHOWS_NULL    ? ATRIUM__ABSENT_OUTPUT__NULL
                  : from->flags & SHOWS_EMPTY ? ATRIUM__ABSENT_OUTPUT__EMPTY
                                              : ATRIUM__ABSENT_OUTPUT__OMIT;
    if (from->flags & NULL_IN_RETROCAST) {
        row->n_absent_in = 1;
        row->absent_in = ARENA_NEW(mem, Atrium__AbsentIn *);
        row->absent_in[0] = ARENA_NEW(mem, Atrium__AbsentIn);
        *row->absent_in[0] = (Atrium__AbsentIn)ATRIUM__ABSENT_IN__INIT;
        row->absent_in[0]->dialect = ATRIUM__DIALECT__RETROCAST;
        row->absent_in[0]->as = ATRIUM__ABSENT_OUTPUT__NULL;
    }
}

static Atrium__EnumRow *sample_enum(Arena *mem, const char *name, const Atrium__EnumValueRow *values, size_t count)
{
    Atrium__EnumRow *row = ARENA_NEW(mem, Atrium__EnumRow);

    *row = (Atrium__EnumRow)ATRIUM__ENUM_ROW__INIT;
    row->name = sample_text(name);
    row->n_values = count;
    row->values = ARENA_ARRAY(mem, Atrium__EnumValueRow *, count);
    for (size_t i = 0; i < count; i++) {
        row->values[i] = ARENA_NEW(mem, Atrium__EnumValueRow);
        *row->values[i] = (Atrium__EnumValueRow)ATRIUM__ENUM_VALUE_ROW__INIT;
        row->values[i]->has_number = true;
        row->values[i]->number = values[i].number;
        row->values[i]->name = values[i].name;
        row->values[i]->json = values[i].json;
    }
    return row;
}

/* Borrowed from `mem`. */
static Atrium__Tables *sample_file(Arena *mem)
{
    Atrium__EnumValueRow colors[] = {{.number = 1, .name = sample_text("RED")},
                                     {.number = 2, .name = sample_text("DARK_BLUE"), .json = sample_text("dark-blue")},
                                     {.number = -3, .name = sample_text("INFRARED")}};
    Atrium__EnumValueRow nulls[] = {{.number = 0, .name = sample_text("NULL_VALUE")}};
    Atrium__Tables *file = ARENA_NEW(mem, Atrium__Tables);

    *file = (Atrium__Tables)ATRIUM__TABLES__INIT;
    file->format = TYPES_FORMAT;
    file->n_types = SAMPLE_TYPES;
    file->types = ARENA_ARRAY(mem, Atrium__TypeRow *, SAMPLE_TYPES);
    for (int i = 0; i < SAMPLE_TYPES; i++) {
        Atrium__TypeRow *row = file->types[i] = ARENA_NEW(mem, Atrium__TypeRow);
        *row = (Atrium__TypeRow)ATRIUM__TYPE_ROW__INIT;
        row->name = sample_text(SAMPLE_TYPE_NAMES[i].name);
        row->well_known = SAMPLE_TYPE_NAMES[i].well_known;
        row->map_entry = slice_ends_with(slice(row->name), SLICE_LIT("Entry"));
        row->fields = ARENA_ARRAY(mem, Atrium__FieldRow *, ARRAY_LEN(SAMPLE_FIELDS));
    }
    for (size_t i = 0; i < ARRAY_LEN(SAMPLE_FIELDS); i++) {
        Atrium__TypeRow *row = file->types[SAMPLE_FIELDS[i].type];
        Atrium__FieldRow *field = row->fields[row->n_fields++] = ARENA_NEW(mem, Atrium__FieldRow);
        sample_field(mem, &SAMPLE_FIELDS[i], field);
    }
    file->n_enums = SAMPLE_ENUMS;
    file->enums = ARENA_ARRAY(mem, Atrium__EnumRow *, SAMPLE_ENUMS);
    file->enums[SAMPLE_COLOR] = sample_enum(mem, "sample.Color", colors, ARRAY_LEN(colors));
    file->enums[SAMPLE_NULL_VALUE] = sample_enum(mem, "google.protobuf.NullValue", nulls, ARRAY_LEN(nulls));
    return file;
}
