/* fixture: chat on a schema of its own, with people and guilds to try things on. For tests. */
#pragma once
#include "services/chat/chat.h"
#include "services/chat/live.h"
#include "shared/schema_testing.h"

typedef struct Fixture {
    TestSchema schema;
    ChatSettings settings;
    Live live; /* without a voice server */
    Chat chat;
} Fixture;

/* Group setup and teardown; *state is a Fixture *. */
int fixture_make(void **state);
int fixture_drop(void **state);
/* Before each test: no rows. */
int fixture_empty(void **state);
Request fixture_request(Fixture *f, int64_t user_id);
/* Somebody whom chat knows; "u<id>". */
void fixture_person(Fixture *f, int64_t user_id);
