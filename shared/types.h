/* types: message types as tables, loaded from the generated data file (proto/atrium/tables.proto). By them JSON is
 * read and written without a compiled message. Immutable once loaded; shared between threads by reference. */
#pragma once
#include "atrium/tables.pb-c.h"
#include "shared/err.h"
#include "shared/slice.h"

typedef struct MessageType MessageType;
typedef struct EnumType EnumType;
typedef struct FieldType FieldType;

typedef enum FieldKind { /* google.protobuf.FieldDescriptorProto.Type */
                         FIELD_DOUBLE = 1,
                         FIELD_FLOAT,
                         FIELD_INT64,
                         FIELD_UINT64,
                         FIELD_INT32,
                         FIELD_FIXED64,
                         FIELD_FIXED32,
                         FIELD_BOOL,
                         FIELD_STRING,
                         FIELD_GROUP,
                         FIELD_MESSAGE,
                         FIELD_BYTES,
                         FIELD_UINT32,
                         FIELD_ENUM,
                         FIELD_SFIXED32,
                         FIELD_SFIXED64,
                         FIELD_SINT32,
                         FIELD_SINT64
} FieldKind;

struct FieldType {
    uint32_t number;
    FieldKind kind;
    uint8_t wire_type; /* of one element, not of a packed list */
    bool repeated, packed, map, int64_as_number, secret, internal;
    uint16_t index;     /* within its message */
    uint16_t oneof;     /* 0 is none */
    uint8_t null_input; /* Atrium__NullInput */
    uint8_t absent[8];  /* Atrium__AbsentOutput by Atrium__Dialect */
    Slice name, json_name;
    const MessageType *message; /* of FIELD_MESSAGE */
    const EnumType *enumeration;
    uint8_t tag_len, tag[5]; /* the tag as json_to_wire writes it; of packed fields with wire type 2 */
    Slice member;            /* ,"json_name": in plain ASCII */
};

/* The format number of the data file that this reader understands. */
enum { TYPES_FORMAT = 1 };

/* Builds the tables out of a decoded data file; they are borrowed from `mem` and copy what they need. A file that is
 * inconsistent (index out of range, a cycle of wrappers …) is an error that names the spot. */
typedef struct TypeTables TypeTables;
Err types_load(Arena *mem, const Atrium__Tables *file, const TypeTables **out) MUST_CHECK;
const MessageType *types_at(const TypeTables *t, size_t index);      /* NULL when out of range */
const MessageType *types_find(const TypeTables *t, Slice full_name); /* "atrium.auth.v1.User"; NULL when unknown */

Slice message_type_name(const MessageType *m);
int message_type_well_known(const MessageType *m); /* Atrium__WellKnown */
size_t message_type_field_count(const MessageType *m);
const FieldType *message_type_field(const MessageType *m, size_t index); /* in JSON order */
const FieldType *message_type_by_number(const MessageType *m, uint32_t number);
/* By JSON name, then by proto name; `nocase` compares ASCII letters alike, an exact match comes first. NULL when there
 * is none. Finds fields that are `internal` too. */
const FieldType *message_type_by_name(const MessageType *m, Slice name, bool nocase);

Slice enum_type_name(const EnumType *e);
/* By JSON name, then by proto name. */
bool enum_type_by_name(const EnumType *e, Slice name, int32_t *out) MUST_CHECK;
/* The JSON name; false when the enum has no such value. */
bool enum_type_by_number(const EnumType *e, int32_t number, Slice *out) MUST_CHECK;
