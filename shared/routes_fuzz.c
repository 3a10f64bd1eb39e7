/* Fuzz target: paths against a tree of templates, templates themselves, and query pieces. */
#include "shared/routes.h"

static int length_of(const void *target)
{
    return (int)strlen(target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const TEMPLATES[] = {"/",         "/a/{b}",      "/a/{b}/c",   "/a/{b}:d",  "/a/b",
                                            "/f/{p=**}", "/f/{p=**}:s", "/{x=a/*}/z", "/e/{i}.ics"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    RouteTree *tree = routes_new(mem);
    Slice text = slice_of(data, size), decoded;
    RoutePath path;
    RouteMatch match;

    for (size_t i = 0; i < ARRAY_LEN(TEMPLATES); i++)
        if (err_failed(routes_add(tree, "GET", TEMPLATES[i], TEMPLATES[i])))
            abort();
    (void)routes_add(tree, "GET", slice_cstr(mem, text), "own"); /* refused, most of the time */
    if (routes_split(mem, text, &path)) {
        if (routes_match(tree, mem, SLICE_LIT("GET"), &path, &match))
            for (size_t i = 0; i < match.variable_count; i++)
                if (!utf8_valid(match.variables[i].value))
                    abort();
        (void)routes_allow(tree, mem, &path, NULL);
        (void)routes_near(tree, &path, length_of);
    }
    if (percent_decode(mem, text, true, &decoded) && !utf8_valid(decoded))
        abort();
    return 0;
}
