/* fixture: see fixture.h. */
#include "services/chat/fixture.h"

int fixture_make(void **state)
{
    Fixture *f = xcalloc(1, sizeof(*f));

    test_schema_make(&f->schema, "chat");
    f->settings = (ChatSettings){.guilds_max = 20};
    f->chat = (Chat){.settings = &f->settings, .ids = f->schema.ids, .live = &f->live};
    *state = f;
    return 0;
}

int fixture_drop(void **state)
{
    Fixture *f = *state;

    test_schema_drop(&f->schema);
    free(f);
    return 0;
}

int fixture_empty(void **state)
{
    Fixture *f = *state;

    test_schema_script(&f->schema,
                       "TRUNCATE person, guild, channel, outbox, audit_entry, edge, connection, presence, voice_order"
                       " CASCADE");
    return 0;
}

Request fixture_request(Fixture *f, int64_t user_id)
{
    return test_schema_request(&f->schema, &f->chat, user_id);
}

void fixture_person(Fixture *f, int64_t user_id)
{
    test_schema_script(&f->schema, arena_printf(f->schema.mem,
                                                "INSERT INTO person (user_id, username, display_name, created_at)"
                                                " VALUES (%" PRId64 ", 'u%" PRId64 "', 'User %" PRId64 "', now())",
                                                user_id, user_id, user_id));
}
