/* routes: paths to operations. A tree of segments per method: literals win over variables with a `:verb` or other
 * suffix, those over plain variables, and those over `**`; a dead end falls back to the next kind. Immutable once
 * built, so one table serves while the next is made. */
#pragma once
#include "shared/err.h"
#include "shared/slice.h"

enum {
    ROUTES_MAX_SEGMENTS = 64,  /* of a path; longer ones match nothing */
    ROUTES_MAX_VARIABLES = 16, /* of a template */
    ROUTES_MAX_METHODS = 12
};

typedef struct RouteTree RouteTree;

/* One variable of a matched path, decoded. */
typedef struct RouteVariable {
    Slice field; /* dotted proto names, borrowed from the tree's arena */
    Slice value;
} RouteVariable;

typedef struct RouteMatch {
    const void *target; /* what routes_add was given */
    RouteVariable variables[ROUTES_MAX_VARIABLES];
    size_t variable_count;
} RouteMatch;

/* In `mem`, which outlives it. */
RouteTree *routes_new(Arena *mem);
/* `path` is a google.api.http template. INVALID_ARGUMENT for one that is malformed or that another of the same method
 * stands in the way of. */
Err routes_add(RouteTree *tree, const char *method, const char *path, const void *target) MUST_CHECK;

/* A path in its segments, percent-decoded. */
typedef struct RoutePath {
    Slice segments[ROUTES_MAX_SEGMENTS];
    size_t count;
    bool too_long;
} RoutePath;
/* `raw` is what stood in the request line before any '?'. False for bad escapes, NUL or what is not UTF-8. */
bool routes_split(Arena *mem, Slice raw, RoutePath *out);

/* False when nothing matches. Joined segments of a `**` are allocated from `mem`. */
bool routes_match(const RouteTree *tree, Arena *mem, Slice method, const RoutePath *path, RouteMatch *out);
/* Methods that would match, sorted and joined by ", ", with HEAD beside GET and OPTIONS; NULL when none would.
 * `out_target` is one of the targets; may be NULL. */
const char *routes_allow(const RouteTree *tree, Arena *mem, const RoutePath *path, const void **out_target);

/* Of a path that nothing matches: one of the targets where its beginning leads, as far as that is the beginning of a
 * template, when all of them have the same label; else NULL. */
const void *routes_near(const RouteTree *tree, const RoutePath *path, int (*label)(const void *target));

/* Percent-decoding of one piece; `plus_is_space` for queries. False as for routes_split. */
bool percent_decode(Arena *mem, Slice raw, bool plus_is_space, Slice *out);
