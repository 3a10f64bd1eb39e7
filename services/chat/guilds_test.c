/* Guilds and what is in them, through the dispatch tables: who may do what as tables, and what one request leaves
 * behind. */
#include <pthread.h>

#include "atrium/chat/v1/channels.service.h"
#include "atrium/chat/v1/guilds.service.h"
#include "atrium/chat/v1/invites.service.h"
#include "atrium/chat/v1/members.service.h"
#include "atrium/chat/v1/roles.service.h"
#include "services/chat/erase.h"
#include "services/chat/fixture.h"
#include "services/chat/permissions.h"

/* The owner; Max, whose highest role stands at 5 and lets him manage roles and members; Ned, at 5, too; Low, at 1; Pat
 * without roles; and a stranger. */
enum { OWNER = 1, MAX = 2, NED = 3, LOW = 4, PAT = 5, STRANGER = 6, PEOPLE = 6 };
enum { GUILD = 100, GENERAL = 101, ROLE_MAX = 205, ROLE_NED = 206, ROLE_LOW = 201, ROLE_STRONG = 202 };

static int setup(void **state)
{
    Fixture *f;

    fixture_empty(state);
    f = *state;
    for (int64_t user = 1; user <= PEOPLE; user++)
        fixture_person(f, user);
    /* Max: 4 roles, 5 kick, 6 ban, 16 invite, 0, 1, 15. */
    test_schema_script(
        &f->schema,
        "INSERT INTO guild (id, name, owner_id, member_count, created_at) VALUES (100, 'Guild', 1, 5, now());"
        "INSERT INTO role (id, guild_id, name, permissions, position) VALUES (100, 100, '@everyone', 32771, 0),"
        " (205, 100, 'max', 65648, 5), (206, 100, 'ned', 0, 5), (201, 100, 'low', 0, 1), (202, 100, 'strong', 128, 2);"
        "INSERT INTO channel (id, guild_id, type, name, created_at) VALUES (101, 100, 0, 'general', now());"
        "INSERT INTO member (guild_id, user_id, joined_at, roles) VALUES (100, 1, now(), '{}'), (100, 2, now(), "
        "'{205}'),"
        " (100, 3, now(), '{206}'), (100, 4, now(), '{201}'), (100, 5, now(), '{}')");
    return 0;
}

static int64_t count(Fixture *f, const char *sql)
{
    return test_schema_count(&f->schema, sql);
}

static int64_t told(Fixture *f)
{
    return count(f, "SELECT count(*) FROM outbox");
}

/* --- new ones ------------------------------------------------------------------------------------------------------
 */
static Err create_guild(Fixture *f, int64_t user, const char *name, Chat__V1__Guild *out)
{
    Request rq = fixture_request(f, user);
    Chat__V1__CreateGuildRequest in = CHAT__V1__CREATE_GUILD_REQUEST__INIT;

    in.name = (char *)name;
    chat__v1__guild__init(out);
    return rpc_call(&CHAT_V1_GUILD_SERVICE, &rq, "CreateGuild", &in.base, &out->base);
}

static void a_guild_comes_whole_or_not_at_all(void **state)
{
    Fixture *f = *state;
    Chat__V1__Guild guild;

    assert_reason(create_guild(f, PAT, "x", &guild), &INVALID_NAME);
    assert_int_equal(count(f, "SELECT count(*) FROM guild"), 1);
    assert_ok(create_guild(f, PAT, "xx", &guild));
    assert_int_equal(guild.owner_id, PAT);
    assert_int_equal(count(f, "SELECT count(*) FROM role r JOIN guild g ON g.id = r.guild_id WHERE g.name = 'xx'"), 2);
    assert_int_equal(count(f, "SELECT count(*) FROM channel c JOIN guild g ON g.id = c.guild_id WHERE g.name = 'xx'"),
                     2);
    /* GUILD_CREATE, and that it was made and joined. */
    assert_int_equal(told(f), 3);
}

static void there_are_as_many_guilds_as_one_may_be_in(void **state)
{
    Fixture *f = *state;
    Chat__V1__Guild guild;

    for (int64_t i = 1; i < f->settings.guilds_max; i++)
        assert_ok(create_guild(f, PAT, "more", &guild));
    assert_reason(create_guild(f, PAT, "one too many", &guild), &LIMIT_REACHED);
    assert_ok(create_guild(f, STRANGER, "mine", &guild));
}

/* --- roles ---------------------------------------------------------------------------------------------------------
 */
static Err put_role(Fixture *f, int64_t user, int64_t member, int64_t role)
{
    Request rq = fixture_request(f, user);
    Chat__V1__AddMemberRoleRequest in = CHAT__V1__ADD_MEMBER_ROLE_REQUEST__INIT;
    Chat__V1__Nothing out = CHAT__V1__NOTHING__INIT;

    SET(&in, guild_id, GUILD);
    SET(&in, user_id, member);
    SET(&in, role_id, role);
    return rpc_call(&CHAT_V1_MEMBER_SERVICE, &rq, "AddMemberRole", &in.base, &out.base);
}

static void who_gives_which_role(void **state)
{
    static const struct {
        int64_t who, role;
        const Reason *refusal; /* NULL: he may */
    } CASES[] = {
        {OWNER, ROLE_MAX, NULL},
        {OWNER, ROLE_STRONG, NULL},
        {MAX, ROLE_LOW, NULL},
        {MAX, ROLE_MAX, &ROLE_HIERARCHY},
        {MAX, ROLE_NED, &ROLE_HIERARCHY},
        {MAX, ROLE_STRONG, &MISSING_PERMISSIONS},
        {MAX, 999, &NOT_FOUND},
        {NED, ROLE_LOW, &MISSING_PERMISSIONS},
        {PAT, ROLE_LOW, &MISSING_PERMISSIONS},
        {STRANGER, ROLE_LOW, &PERMISSION_DENIED},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Err e = put_role(*state, CASES[i].who, LOW, CASES[i].role);

        if (e.reason != CASES[i].refusal)
            fail_msg("case %zu: %s: %s", i, e.reason ? e.reason->key : "OK", e.text);
    }
}

static Err create_role(Fixture *f, int64_t user, int64_t permissions, int position)
{
    Request rq = fixture_request(f, user);
    Chat__V1__CreateGuildRoleRequest in = CHAT__V1__CREATE_GUILD_ROLE_REQUEST__INIT;
    Chat__V1__Role out = CHAT__V1__ROLE__INIT;

    SET(&in, guild_id, GUILD);
    in.name = "new";
    SET(&in, permissions, permissions);
    SET(&in, position, position);
    return rpc_call(&CHAT_V1_ROLE_SERVICE, &rq, "CreateGuildRole", &in.base, &out.base);
}

static void who_makes_which_role(void **state)
{
    static const struct {
        int64_t who, permissions;
        int position;
        const Reason *refusal;
    } CASES[] = {
        {OWNER, ALL_PERMISSIONS, 99, NULL},
        {MAX, PERMISSION_KICK_MEMBERS, 4, NULL},
        {MAX, 0, 5, &ROLE_HIERARCHY},
        {MAX, 0, 6, &ROLE_HIERARCHY},
        {MAX, PERMISSION_MANAGE_GUILD, 4, &MISSING_PERMISSIONS},
        {MAX, PERMISSION_ADMINISTRATOR, 1, &MISSING_PERMISSIONS},
        {MAX, INT64_C(-2147483648), 1, &MISSING_PERMISSIONS},
        {MAX, 0, -1, &INVALID_ROLE},
        {LOW, 0, 0, &MISSING_PERMISSIONS},
        {STRANGER, PERMISSION_ADMINISTRATOR, -1, &PERMISSION_DENIED},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Err e = create_role(*state, CASES[i].who, CASES[i].permissions, CASES[i].position);

        if (e.reason != CASES[i].refusal)
            fail_msg("case %zu: %s: %s", i, e.reason ? e.reason->key : "OK", e.text);
    }
}

static Err replace_roles(Fixture *f, int64_t user, int64_t member, int64_t *roles, size_t n)
{
    Request rq = fixture_request(f, user);
    Chat__V1__UpdateMemberRequest in = CHAT__V1__UPDATE_MEMBER_REQUEST__INIT;
    Google__Protobuf__FieldMask cleared = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
    Chat__V1__Member out = CHAT__V1__MEMBER__INIT;
    char *path = "roles";

    SET(&in, guild_id, GUILD);
    SET(&in, user_id, member);
    in.roles = roles;
    in.n_roles = n;
    cleared.paths = &path;
    cleared.n_paths = 1;
    if (n == 0)
        in.cleared = &cleared;
    return rpc_call(&CHAT_V1_MEMBER_SERVICE, &rq, "UpdateMember", &in.base, &out.base);
}

static void roles_are_replaced_all_or_not_at_all(void **state)
{
    Fixture *f = *state;
    int64_t before;

    assert_ok(replace_roles(f, OWNER, LOW, (int64_t[]){ROLE_LOW, ROLE_NED, ROLE_LOW}, 3));
    assert_int_equal(count(f, "SELECT cardinality(roles) FROM member WHERE user_id = 4"), 2);
    before = told(f);
    assert_reason(replace_roles(f, OWNER, LOW, (int64_t[]){ROLE_LOW, 999}, 2), &INVALID_ROLE);
    assert_reason(replace_roles(f, OWNER, LOW, (int64_t[]){GUILD}, 1), &INVALID_ROLE);
    assert_reason(replace_roles(f, MAX, LOW, NULL, 0), &ROLE_HIERARCHY); /* he would take one that stands beside his */
    assert_int_equal(count(f, "SELECT cardinality(roles) FROM member WHERE user_id = 4"), 2);
    assert_int_equal(told(f), before);
    assert_ok(replace_roles(f, OWNER, LOW, NULL, 0));
    assert_int_equal(count(f, "SELECT cardinality(roles) FROM member WHERE user_id = 4"), 0);
}

static void a_role_goes_from_its_members_with_its_overrides(void **state)
{
    Fixture *f = *state;
    Request rq = fixture_request(f, OWNER);
    Chat__V1__DeleteGuildRoleRequest in = CHAT__V1__DELETE_GUILD_ROLE_REQUEST__INIT;
    Chat__V1__Nothing out = CHAT__V1__NOTHING__INIT;

    test_schema_script(&f->schema, "INSERT INTO channel_override VALUES (101, 201, 1, 0)");
    SET(&in, guild_id, GUILD);
    SET(&in, role_id, ROLE_LOW);
    assert_ok(rpc_call(&CHAT_V1_ROLE_SERVICE, &rq, "DeleteGuildRole", &in.base, &out.base));
    assert_int_equal(count(f, "SELECT cardinality(roles) FROM member WHERE user_id = 4"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM channel_override"), 0);
    SET(&in, role_id, GUILD);
    assert_reason(rpc_call(&CHAT_V1_ROLE_SERVICE, &rq, "DeleteGuildRole", &in.base, &out.base), &CANNOT_DELETE);
}

/* --- putting people out --------------------------------------------------------------------------------------------
 */
static Err kick(Fixture *f, int64_t who, int64_t whom)
{
    Request rq = fixture_request(f, who);
    Chat__V1__KickMemberRequest in = CHAT__V1__KICK_MEMBER_REQUEST__INIT;
    Chat__V1__Nothing out = CHAT__V1__NOTHING__INIT;

    SET(&in, guild_id, GUILD);
    SET(&in, user_id, whom);
    return rpc_call(&CHAT_V1_MEMBER_SERVICE, &rq, "KickMember", &in.base, &out.base);
}

static Err ban(Fixture *f, int64_t who, int64_t whom)
{
    Request rq = fixture_request(f, who);
    Chat__V1__PutBanRequest in = CHAT__V1__PUT_BAN_REQUEST__INIT;
    Chat__V1__Nothing out = CHAT__V1__NOTHING__INIT;

    SET(&in, guild_id, GUILD);
    SET(&in, user_id, whom);
    return rpc_call(&CHAT_V1_MEMBER_SERVICE, &rq, "PutBan", &in.base, &out.base);
}

static void who_puts_whom_out(void **state)
{
    static const struct {
        int64_t who, whom;
        const Reason *kick, *ban;
    } CASES[] = {
        {MAX, OWNER, &PERMISSION_DENIED, &PERMISSION_DENIED},
        {MAX, NED, &ROLE_HIERARCHY, &ROLE_HIERARCHY},
        {MAX, MAX, &ROLE_HIERARCHY, &CANNOT_BAN_SELF},
        {NED, PAT, &MISSING_PERMISSIONS, &MISSING_PERMISSIONS},
        {STRANGER, PAT, &NOT_FOUND, &PERMISSION_DENIED},
        {OWNER, OWNER, &PERMISSION_DENIED, &CANNOT_BAN_SELF},
        {MAX, STRANGER, &NOT_FOUND, NULL},
        {OWNER, 99, &NOT_FOUND, &NOT_FOUND},
        {MAX, LOW, NULL, NULL},
        {MAX, PAT, NULL, NULL},
        {OWNER, MAX, NULL, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Err kicked = kick(*state, CASES[i].who, CASES[i].whom), banned = ban(*state, CASES[i].who, CASES[i].whom);

        if (kicked.reason != CASES[i].kick || banned.reason != CASES[i].ban)
            fail_msg("case %zu: %s, %s", i, kicked.text, banned.text);
    }
    assert_int_equal(count(*state, "SELECT member_count FROM guild"), 2);
    assert_int_equal(count(*state, "SELECT count(*) FROM member"), 2);
    assert_int_equal(count(*state, "SELECT count(*) FROM ban"), 4);
}

/* --- invites -------------------------------------------------------------------------------------------------------
 */
static Err accept_invite(Fixture *f, int64_t user, const char *code)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Request rq = fixture_request(f, user);
    Chat__V1__AcceptInviteRequest in = CHAT__V1__ACCEPT_INVITE_REQUEST__INIT;
    Chat__V1__Guild out = CHAT__V1__GUILD__INIT;

    rq.mem = mem;
    in.code = (char *)code;
    return rpc_call(&CHAT_V1_INVITE_SERVICE, &rq, "AcceptInvite", &in.base, &out.base);
}

static void invites_are_refused_in_the_contracts_order(void **state)
{
    static const struct {
        const char *code;
        int64_t who;
        const Reason *refusal;
    } CASES[] = {
        {"none", STRANGER, &NOT_FOUND}, {"expired", PAT, &INVITE_EXPIRED}, {"used", PAT, &MAX_USES},
        {"open", PAT, &ALREADY_MEMBER}, {"open", STRANGER, &BANNED},
    };
    Fixture *f = *state;

    test_schema_script(&f->schema,
                       "INSERT INTO invite (code, guild_id, creator_id, max_uses, uses, expires_at, created_at) VALUES"
                       " ('expired', 100, 1, 1, 1, now() - interval '1 h', now()), ('used', 100, 1, 1, 1, NULL, now()),"
                       " ('open', 100, 1, 0, 7, now() + interval '1 h', now());"
                       "INSERT INTO ban (guild_id, user_id, created_by, created_at) VALUES (100, 6, 1, now())");
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_reason(accept_invite(f, CASES[i].who, CASES[i].code), CASES[i].refusal);
    assert_int_equal(told(f), 0);
    assert_int_equal(count(f, "SELECT uses FROM invite WHERE code = 'open'"), 7);
}

enum { RACERS = 6 };
typedef struct Racer {
    Fixture *f;
    int64_t user;
    Err result;
} Racer;

static void *race(void *data)
{
    Racer *racer = data;

    racer->result = accept_invite(racer->f, racer->user, "last");
    return NULL;
}

static void the_last_use_is_used_once(void **state)
{
    Fixture *f = *state;
    pthread_t threads[RACERS];
    Racer racers[RACERS];
    int joined = 0;

    test_schema_script(&f->schema, "INSERT INTO invite (code, guild_id, creator_id, max_uses, created_at)"
                                   " VALUES ('last', 100, 1, 1, now())");
    for (int i = 0; i < RACERS; i++) {
        fixture_person(f, 50 + i);
        racers[i] = (Racer){.f = f, .user = 50 + i};
    }
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    for (int i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
        joined += !err_failed(racers[i].result);
        assert_true(!err_failed(racers[i].result) || racers[i].result.reason == &MAX_USES);
    }
    assert_int_equal(joined, 1);
    assert_int_equal(count(f, "SELECT uses FROM invite"), 1);
    assert_int_equal(count(f, "SELECT member_count FROM guild"), 6);
}

/* --- channels ------------------------------------------------------------------------------------------------------
 */
static void lists_have_what_one_may_view(void **state)
{
    Fixture *f = *state;
    static const struct {
        int64_t who;
        size_t channels;
    } CASES[] = {{OWNER, 3}, {LOW, 2}, {PAT, 1}};

    test_schema_script(&f->schema,
                       "INSERT INTO channel (id, guild_id, type, name, created_at) VALUES (102, 100, 0, 'low', now()),"
                       " (103, 100, 0, 'hidden', now());"
                       "INSERT INTO channel_override VALUES (102, 100, 0, 1), (102, 201, 1, 0), (103, 100, 0, 1)");
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Request rq = fixture_request(f, CASES[i].who);
        Chat__V1__ListChannelsRequest in = CHAT__V1__LIST_CHANNELS_REQUEST__INIT;
        Chat__V1__ListChannelsReply out = CHAT__V1__LIST_CHANNELS_REPLY__INIT;

        SET(&in, guild_id, GUILD);
        assert_ok(rpc_call(&CHAT_V1_CHANNEL_SERVICE, &rq, "ListChannels", &in.base, &out.base));
        assert_int_equal(out.n_channels, CASES[i].channels);
    }
}

/* --- accounts that go ----------------------------------------------------------------------------------------------
 */
static void nothing_is_left_of_an_account(void **state)
{
    Fixture *f = *state;
    Eraser eraser = {.chat = &f->chat, .db = f->schema.db, .clock = &f->schema.clock};
    Chat__V1__Guild guild;
    int64_t rows;

    assert_ok(create_guild(f, OWNER, "alone", &guild));
    assert_ok(kick(f, OWNER, PAT));
    test_schema_script(&f->schema,
                       "INSERT INTO invite (code, guild_id, creator_id, created_at) VALUES ('x', 100, 1, now());"
                       "INSERT INTO message (channel_id, id, guild_id, author_id, content)"
                       " SELECT 101, i, 100, 1, 'm' FROM generate_series(1, 250) i");
    assert_ok(erase_user(&eraser, f->schema.mem, OWNER, &rows));
    assert_true(rows >= 250);
    assert_int_equal(count(f, "SELECT owner_id FROM guild"), MAX);
    assert_int_equal(count(f, "SELECT count(*) FROM guild"), 1);
    assert_int_equal(count(f, "SELECT member_count FROM guild"), 3);
    assert_int_equal(count(f, "SELECT count(*) FROM message"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM invite"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM audit_entry WHERE user_id = 1"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM person WHERE user_id = 1"), 0);
    assert_ok(erase_user(&eraser, f->schema.mem, OWNER, &rows)); /* again, when the report was lost */
    assert_int_equal(rows, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_guild_comes_whole_or_not_at_all, setup),
        cmocka_unit_test_setup(there_are_as_many_guilds_as_one_may_be_in, setup),
        cmocka_unit_test_setup(who_gives_which_role, setup),
        cmocka_unit_test_setup(who_makes_which_role, setup),
        cmocka_unit_test_setup(roles_are_replaced_all_or_not_at_all, setup),
        cmocka_unit_test_setup(a_role_goes_from_its_members_with_its_overrides, setup),
        cmocka_unit_test_setup(who_puts_whom_out, setup),
        cmocka_unit_test_setup(invites_are_refused_in_the_contracts_order, setup),
        cmocka_unit_test_setup(the_last_use_is_used_once, setup),
        cmocka_unit_test_setup(lists_have_what_one_may_view, setup),
        cmocka_unit_test_setup(nothing_is_left_of_an_account, setup),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
