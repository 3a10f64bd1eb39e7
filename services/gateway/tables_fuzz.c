/* Fuzz target: data files of any content as the gateway loads them. By tables that load, paths are looked up. */
#include "services/gateway/dialect.h"
#include "services/gateway/tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void look_up(const Tables *t, Arena *mem, const char *path)
{
    const void *target = NULL;
    RoutePath split;
    RouteMatch match;

    check(routes_split(mem, slice(path), &split));
    if (routes_match(tables_routes(t), mem, SLICE_LIT("GET"), &split, &match)) {
        const Operation *op = match.target;

        check(op->request && op->reply && op->subject && op->domain && op->rpc);
        check(op->body != BODY_FIELD || op->body_field);
    }
    (void)routes_allow(tables_routes(t), mem, &split, &target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1 << 12);
    Tables *t;

    if (err_failed(tables_load(slice_of(data, size), "main", "auth=5/1m", &t)))
        return 0;
    look_up(t, mem, "/api/v1/things/1");
    look_up(t, mem, "/files/a/b");
    look_up(t, mem, "/a");
    for (int dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        ReasonLook look = tables_reason(t, "UNAUTHENTICATED", 16, dialect);

        check(look.code != NULL);
    }
    tables_unref(t);
    return 0;
}
