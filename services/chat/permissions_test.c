/* Permissions, resolved by the schema: the contract's section 6 as a table. */
#include "services/chat/permissions.h"

#include "services/chat/fixture.h"

enum { OWNER = 1, MEMBER = 2, STRANGER = 3, GUILD = 100, CHANNEL = 200, ROLE_A = 301, ROLE_B = 302 };

typedef struct Case {
    const char *what;
    int64_t user;
    int64_t everyone, a, b; /* permissions of the roles; the member has A and B */
    int64_t everyone_allow, everyone_deny, a_allow, a_deny, b_allow, b_deny;
    int64_t guild, channel; /* what he may */
} Case;

#define VIEW PERMISSION_VIEW_CHANNEL
#define SEND PERMISSION_SEND_MESSAGES
#define PINS PERMISSION_MANAGE_MESSAGES
#define ADMIN PERMISSION_ADMINISTRATOR

static const Case CASES[] = {
    {.what = "the owner may all", .user = OWNER, .guild = ALL_PERMISSIONS, .channel = ALL_PERMISSIONS},
    {.what = "… whatever is denied",
     .user = OWNER,
     .everyone_deny = VIEW | SEND,
     .guild = ALL_PERMISSIONS,
     .channel = ALL_PERMISSIONS},
    {.what = "everyone's role counts",
     .user = MEMBER,
     .everyone = VIEW | SEND,
     .guild = VIEW | SEND,
     .channel = VIEW | SEND},
    {.what = "roles add up",
     .user = MEMBER,
     .everyone = VIEW,
     .a = SEND,
     .b = PINS,
     .guild = VIEW | SEND | PINS,
     .channel = VIEW | SEND | PINS},
    {.what = "an administrator may all",
     .user = MEMBER,
     .a = ADMIN,
     .guild = ALL_PERMISSIONS,
     .channel = ALL_PERMISSIONS},
    {.what = "… and overrides do not count",
     .user = MEMBER,
     .b = ADMIN,
     .everyone_deny = VIEW,
     .a_deny = SEND,
     .guild = ALL_PERMISSIONS,
     .channel = ALL_PERMISSIONS},
    {.what = "… nor can they make one",
     .user = MEMBER,
     .everyone = VIEW,
     .a_allow = ADMIN,
     .guild = VIEW,
     .channel = VIEW | ADMIN},
    {.what = "everyone's override denies",
     .user = MEMBER,
     .everyone = VIEW | SEND,
     .everyone_deny = SEND,
     .guild = VIEW | SEND,
     .channel = VIEW},
    {.what = "… and then allows",
     .user = MEMBER,
     .everyone = VIEW,
     .everyone_deny = SEND,
     .everyone_allow = SEND,
     .guild = VIEW,
     .channel = VIEW | SEND},
    {.what = "a role's override counts after everyone's",
     .user = MEMBER,
     .everyone = VIEW | SEND,
     .everyone_deny = SEND,
     .a_allow = SEND,
     .guild = VIEW | SEND,
     .channel = VIEW | SEND},
    {.what = "… and denies what everyone's allows",
     .user = MEMBER,
     .everyone = VIEW,
     .everyone_allow = SEND,
     .a_deny = SEND,
     .guild = VIEW,
     .channel = VIEW},
    {.what = "among roles allowing wins",
     .user = MEMBER,
     .everyone = VIEW,
     .a_allow = SEND,
     .b_deny = SEND,
     .guild = VIEW,
     .channel = VIEW | SEND},
    {.what = "nothing without seeing the channel",
     .user = MEMBER,
     .everyone = VIEW | SEND,
     .everyone_deny = VIEW,
     .guild = VIEW | SEND,
     .channel = 0},
    {.what = "nothing where seeing was never allowed", .user = MEMBER, .everyone = SEND, .guild = SEND, .channel = 0},
    {.what = "hidden from all but a role",
     .user = MEMBER,
     .everyone = VIEW | SEND,
     .everyone_deny = VIEW,
     .b_allow = VIEW,
     .guild = VIEW | SEND,
     .channel = VIEW | SEND},
};

static void make_guild(Fixture *f, const Case *c)
{
    for (int64_t user = OWNER; user <= STRANGER; user++)
        fixture_person(f, user);
    test_schema_script(
        &f->schema,
        arena_printf(f->schema.mem,
                     "INSERT INTO guild (id, name, owner_id, created_at) VALUES (100, 'g', 1, now());"
                     "INSERT INTO channel (id, guild_id, type, name, created_at) VALUES (200, 100, 0, 'c', now());"
                     "INSERT INTO role (id, guild_id, name, permissions, position)"
                     " VALUES (100, 100, 'e', %" PRId64 ", 0), (301, 100, 'a', %" PRId64
                     ", 3), (302, 100, 'b', %" PRId64 ", 5);"
                     "INSERT INTO member (guild_id, user_id, joined_at, roles) VALUES (100, 1, now(), '{}'),"
                     " (100, 2, now(), '{301,302}');"
                     "INSERT INTO channel_override (channel_id, role_id, allow, deny)"
                     " VALUES (200, 100, %" PRId64 ", %" PRId64 "), (200, 301, %" PRId64 ", %" PRId64
                     "), (200, 302, %" PRId64 ", %" PRId64 ")",
                     c->everyone, c->a, c->b, c->everyone_allow, c->everyone_deny, c->a_allow, c->a_deny, c->b_allow,
                     c->b_deny));
}

static void they_resolve_as_the_contract_says(void **state)
{
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Request rq = fixture_request(f, CASES[i].user);
        ChannelAccess access;
        Standing standing;

        (void)fixture_empty(state);
        make_guild(f, &CASES[i]);
        assert_ok(permissions_standing(&rq, NULL, GUILD, CASES[i].user, &standing));
        assert_ok(permissions_require_channel(&rq, NULL, CHANNEL, 0, &access));
        if (standing.permissions != CASES[i].guild || access.permissions != CASES[i].channel)
            fail_msg("%s: %" PRIx64 " in the guild, %" PRIx64 " in the channel", CASES[i].what,
                     (uint64_t)standing.permissions, (uint64_t)access.permissions);
    }
}

static void outsiders_and_who_lacks_a_bit_are_told_apart(void **state)
{
    static const Case PLAIN = {.everyone = VIEW};
    Fixture *f = *state;
    Request stranger = fixture_request(f, STRANGER), member = fixture_request(f, MEMBER);
    ChannelAccess access;
    Standing standing;

    make_guild(f, &PLAIN);
    assert_reason(permissions_require(&member, NULL, 99, 0, &standing), &NOT_FOUND);
    assert_reason(permissions_require(&stranger, NULL, GUILD, 0, &standing), &NOT_FOUND);
    assert_reason(permissions_require(&member, NULL, GUILD, PINS, &standing), &MISSING_PERMISSIONS);
    assert_ok(permissions_require(&member, NULL, GUILD, VIEW, &standing));
    assert_reason(permissions_require_open(&member, NULL, 99, 0, &standing), &NOT_FOUND);
    assert_reason(permissions_require_open(&stranger, NULL, GUILD, 0, &standing), &PERMISSION_DENIED);
    assert_reason(permissions_require_open(&member, NULL, GUILD, VIEW | PINS, &standing), &MISSING_PERMISSIONS);
    assert_reason(permissions_require_channel(&member, NULL, 99, 0, &access), &NOT_FOUND);
    assert_reason(permissions_require_channel(&stranger, NULL, CHANNEL, 0, &access), &PERMISSION_DENIED);
    assert_reason(permissions_require_channel(&member, NULL, CHANNEL, SEND, &access), &MISSING_PERMISSIONS);
    assert_ok(permissions_require_channel(&member, NULL, CHANNEL, VIEW, &access));
    assert_int_equal(access.guild_id, GUILD);
}

static void between_people_recipients_alone_come_in(void **state)
{
    Fixture *f = *state;
    Request stranger = fixture_request(f, STRANGER), member = fixture_request(f, MEMBER);
    ChannelAccess access;

    fixture_person(f, MEMBER);
    test_schema_script(&f->schema, "INSERT INTO channel (id, type, created_at) VALUES (7, 1, now());"
                                   "INSERT INTO recipient VALUES (7, 2, now())");
    assert_ok(permissions_require_channel(&member, NULL, 7, SEND, &access));
    assert_int_equal(access.guild_id, 0);
    assert_reason(permissions_require_channel(&stranger, NULL, 7, 0, &access), &PERMISSION_DENIED);
}

static void the_order_of_roles(void **state)
{
    static const struct {
        Standing who;
        int position, at_least;
        bool above;
    } ROWS[] = {
        {{.highest = 5}, 4, 0, true},
        {{.highest = 5}, 5, 0, false},
        {{.highest = -1}, 0, 0, false},
        {{.highest = -1}, -1, 0, true},
        {{.highest = -1}, -1, -1, false},
        {{.highest = 0}, -1, -1, true},
        {{.is_owner = true, .highest = -1}, 9, 0, true},
    };
    static const Case PLAIN = {.everyone = VIEW};
    Request rq = fixture_request(*state, MEMBER);
    Standing standing;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_int_equal(standing_is_above(&ROWS[i].who, ROWS[i].position, ROWS[i].at_least), ROWS[i].above);
    make_guild(*state, &PLAIN);
    assert_ok(permissions_standing(&rq, NULL, GUILD, MEMBER, &standing));
    assert_int_equal(standing.highest, 5);
    assert_ok(permissions_standing(&rq, NULL, GUILD, OWNER, &standing));
    assert_int_equal(standing.highest, -1);
    assert_true(standing.is_owner);
}

static void negative_numbers_of_clients_keep_their_bit(void **state)
{
    (void)state;
    assert_int_equal(permissions_from_client(INT64_C(-2147483648)), ADMIN);
    assert_int_equal(permissions_from_client(INT64_C(-2147483647)), ADMIN | VIEW);
    assert_int_equal(permissions_from_client(32771), 32771);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(they_resolve_as_the_contract_says, fixture_empty),
        cmocka_unit_test_setup(outsiders_and_who_lacks_a_bit_are_told_apart, fixture_empty),
        cmocka_unit_test_setup(between_people_recipients_alone_come_in, fixture_empty),
        cmocka_unit_test_setup(the_order_of_roles, fixture_empty),
        cmocka_unit_test(negative_numbers_of_clients_keep_their_bit),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
