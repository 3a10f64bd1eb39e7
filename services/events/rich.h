/* rich: would search engines show an event as one? What they demand and what they wish for, as rules over its node
 * (contract B23). No state: any thread. */
#pragma once
#include "services/events/node.h"

typedef struct RichFinding {
    bool is_error; /* else a wish */
    const char *pointer, *message;
} RichFinding;

enum { RICH_FINDINGS_MAX = 64 };
/* In the order of the rules; the array is of `mem`. */
size_t rich_check(Arena *mem, const Node *event, RichFinding **out);
