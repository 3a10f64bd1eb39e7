/* shapes: what a published document conforms to, from the table of terms: as SHACL for others, and checked here. No
 * state: any thread. */
#pragma once
#include "services/events/node.h"

/* The shapes of nodes of `family`, and of those that may be found in them, as Turtle. */
void shapes_write(StrBuf *out, Family family);

typedef struct ShapeFault {
    Slice pointer;    /* JSON Pointer to what is wrong: "/location/name" */
    const Node *node; /* that has it */
    const Term *term;
    const char *code; /* "required", "too_long", "too_many", "out_of_range" */
    const char *message;
} ShapeFault;

enum { SHAPE_FAULTS_MAX = 100 };
/* All faults of a document, in the order of the terms; the array is of `mem`. None: it conforms. */
size_t shapes_check(Arena *mem, const Node *node, ShapeFault **out);
