/* Guilds: what their members and others get of them. */
#include "atrium/chat/v1/guilds.service.h"
#include "services/chat/fixture.h"

static void a_stranger_finds_no_guild(void **state)
{
    Request rq = fixture_request(*state, 1);
    Chat__V1__GetGuildRequest in = CHAT__V1__GET_GUILD_REQUEST__INIT;
    Chat__V1__Guild out = CHAT__V1__GUILD__INIT;

    SET(&in, guild_id, 5);
    assert_reason(rpc_call(&CHAT_V1_GUILD_SERVICE, &rq, "GetGuild", &in.base, &out.base), &NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_stranger_finds_no_guild, fixture_empty),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
