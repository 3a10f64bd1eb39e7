/* structs: google.protobuf.Struct, built member by member, for what no message describes. Names and texts are copied
 * into `mem`; a struct or list belongs to one parent. */
#pragma once
#include "google/protobuf/struct.pb-c.h"
#include "shared/slice.h"

typedef Google__Protobuf__Struct Struct;
typedef Google__Protobuf__ListValue StructList;

Struct *struct_new(Arena *mem);
void struct_set_text(Arena *mem, Struct *s, const char *name, const char *text);
void struct_set_number(Arena *mem, Struct *s, const char *name, double number);
void struct_set_bool(Arena *mem, Struct *s, const char *name, bool value);
void struct_set_struct(Arena *mem, Struct *s, const char *name, Struct *child);
/* An empty list, to be filled by the two below. */
StructList *struct_set_list(Arena *mem, Struct *s, const char *name);
void struct_list_add_text(Arena *mem, StructList *list, const char *text);
void struct_list_add_struct(Arena *mem, StructList *list, Struct *child);

/* As JSON; empty for NULL, and for what is larger than STRUCT_MAX_BYTES; what nests deeper is null. */
enum { STRUCT_MAX_DEPTH = 16, STRUCT_MAX_BYTES = 64 * 1024 };
Slice struct_to_json(Arena *mem, const Struct *value);
