/* fixture: the tables of events in a schema of the test's own, and a service around them. For tests. */
#pragma once
#include "services/events/store_list.h"
#include "shared/schema_testing.h"

enum { FIXTURE_RENDERED_BYTES = 64 * 1024 }; /* so little that texts go */

typedef struct Fixture {
    TestSchema schema;
    EventsSettings settings; /* the defaults; base_url "https://sel.example" */
    Zones *zones;
    Shapes *shapes;
    struct Rendered *rendered;
    Events events;
} Fixture;

/* Group setup and teardown; *state is a Fixture *. */
int fixture_make(void **state);
int fixture_drop(void **state);
/* As it comes from the gateway, with 60 s to go: of nobody (0), or of a logged-in user. */
Request fixture_request(Fixture *f, int64_t user_id);
/* Of a user with one permission: "events.edit". */
Request fixture_request_of(Fixture *f, int64_t user_id, const char *permission);
