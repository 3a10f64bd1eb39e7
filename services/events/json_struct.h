/* json_struct: stored JSON as google.protobuf.Struct, for replies that hold it as a member. No state: any thread. */
#pragma once
#include "shared/structs.h"

enum { JSON_STRUCT_MAX_DEPTH = 16 }; /* what nests deeper is null */

/* Of `mem`; NULL when it is no JSON object. */
Struct *json_struct(Arena *mem, Slice json);
