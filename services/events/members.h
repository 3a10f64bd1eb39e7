/* members: the members of a JSON object of ours (a stored document), found without building a tree: their values are
 * compared and moved as the bytes they are. No state: any thread. */
#pragma once
#include "shared/slice.h"

enum { MEMBERS_MAX = 128 };

typedef struct Member {
    Slice name;  /* as it stands between the quotes */
    Slice value; /* the JSON of it; borrowed, as the name is */
} Member;

/* The first MEMBERS_MAX members of `json`, in their order; what is no object has none, and what follows a fault is not
 * seen. Values are balanced, not checked. */
size_t members_of(Slice json, Member out[static MEMBERS_MAX]);
/* NULL when there is none of this name. */
const Member *members_find(const Member *list, size_t count, Slice name);
/* The value at a JSON Pointer ("/location/address/postalCode"; elements of arrays by number) of at most
 * POINTER_MAX_SEGMENTS; false when there is none. */
enum { POINTER_MAX_SEGMENTS = 5 };
bool members_at(Slice json, Slice pointer, Slice *out);
