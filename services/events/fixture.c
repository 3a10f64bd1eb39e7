/* fixture: see fixture.h. */
#include "services/events/fixture.h"

#include "services/events/rendered.h"

#define CONFIG_STRUCT EventsSettings
#define SETTING CONFIG_ROW
static const Setting SETTINGS[] = {
#include "services/events/settings.def"
};
#undef SETTING
#undef CONFIG_STRUCT

int fixture_make(void **state)
{
    Fixture *f = xcalloc(1, sizeof(*f));

    test_schema_make(&f->schema, "events");
    assert_ok(config_load(SETTINGS, ARRAY_LEN(SETTINGS), f->schema.mem, &f->settings));
    f->settings.base_url = "https://sel.example";
    f->zones = zones_new(NULL);
    f->shapes = shapes_new();
    f->rendered = rendered_new(FIXTURE_RENDERED_BYTES);
    f->events = (Events){.settings = &f->settings,
                         .ids = f->schema.ids,
                         .contexts = contexts_new(f->schema.mem, f->settings.base_url),
                         .build = {.version = "0", .commit = "", .slot = "main"},
                         .zones = f->zones,
                         .shapes = f->shapes,
                         .rendered = f->rendered};
    *state = f;
    return 0;
}

int fixture_drop(void **state)
{
    Fixture *f = *state;

    shapes_free(f->shapes);
    rendered_free(f->rendered);
    zones_free(f->zones);
    test_schema_drop(&f->schema);
    free(f);
    return 0;
}

Request fixture_request(Fixture *f, int64_t user_id)
{
    return test_schema_request(&f->schema, &f->events, user_id);
}

Request fixture_request_of(Fixture *f, int64_t user_id, const char *permission)
{
    Request rq = fixture_request(f, user_id);
    const char **permissions = ARENA_ARRAY(f->schema.mem, const char *, 1);

    permissions[0] = permission;
    rq.caller.permissions = permissions;
    rq.caller.permission_count = 1;
    return rq;
}
