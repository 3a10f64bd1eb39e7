/* Roles and permissions, through the dispatch table, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "services/auth/access.h"

#include "atrium/auth/v1/access.service.h"
#include "services/auth/store_schema.h"

enum { ADA = 1, BOB = 2, CLEO = 3, DAN = 4 };

static int fill_tables(void **state)
{
    StoreSchema *s = *state;

    test_schema_script(&s->schema, "TRUNCATE account, outbox, audit_entry CASCADE; DELETE FROM role WHERE NOT builtin;"
                                   "DELETE FROM user_group WHERE id <> 'all-users'; DELETE FROM group_role");
    store_schema_person(s, ADA, "ada", ROLE_ADMIN);
    store_schema_person(s, BOB, "bob", ROLE_OPERATOR);
    store_schema_person(s, CLEO, "cleo", ROLE_USER);
    return 0;
}

static Err call_as(StoreSchema *s, int64_t user_id, Role role, const char *method, ProtobufCMessage *in,
                   ProtobufCMessage *out)
{
    Request rq = store_schema_request_of(s, user_id, role);

    return rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, method, in, out);
}

static Err grant(StoreSchema *s, int64_t to, const char *name)
{
    Auth__V1__GrantRoleRequest in = AUTH__V1__GRANT_ROLE_REQUEST__INIT;
    Auth__V1__GrantRoleReply out = AUTH__V1__GRANT_ROLE_REPLY__INIT;

    SET(&in, user_id, to);
    in.name = (char *)(uintptr_t)name;
    return call_as(s, ADA, ROLE_ADMIN, "GrantRole", &in.base, &out.base);
}

static Err revoke(StoreSchema *s, int64_t from, const char *name)
{
    Auth__V1__RevokeRoleRequest in = AUTH__V1__REVOKE_ROLE_REQUEST__INIT;
    Auth__V1__RevokeRoleReply out = AUTH__V1__REVOKE_ROLE_REPLY__INIT;

    SET(&in, user_id, from);
    in.name = (char *)(uintptr_t)name;
    return call_as(s, ADA, ROLE_ADMIN, "RevokeRole", &in.base, &out.base);
}

static Err put_role(StoreSchema *s, Request *rq, const char *name, char *permission)
{
    Auth__V1__PutRoleRequest in = AUTH__V1__PUT_ROLE_REQUEST__INIT;
    Auth__V1__RoleInfo out = AUTH__V1__ROLE_INFO__INIT;
    char *list[] = {permission};
    (void)s;

    in.name = (char *)(uintptr_t)name;
    in.permissions = list;
    in.n_permissions = permission ? 1 : 0;
    return rpc_call(&AUTH_V1_ACCESS_SERVICE, rq, "PutRole", &in.base, &out.base);
}

static Access access_now(StoreSchema *s, int64_t user_id)
{
    Request rq = store_schema_request(s);
    Access access;

    assert_ok(access_of_user(&rq, NULL, user_id, &access));
    return access;
}

static bool has(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i], word) == 0)
            return true;
    return false;
}

static bool may(StoreSchema *s, int64_t user_id, const char *permission)
{
    Access access = access_now(s, user_id);

    return has(access.permissions, access.permission_count, permission);
}

static int64_t announced(StoreSchema *s, int64_t user_id)
{
    return test_schema_count(
        &s->schema,
        arena_printf(s->schema.mem, "SELECT count(*) FROM outbox WHERE subject = 'evt.auth.access.changed.%" PRId64 "'",
                     user_id));
}

/* ---------------------------------------------------------------------------------------------------- what one may */
static void a_rank_has_what_those_below_it_have(void **state)
{
    StoreSchema *s = *state;

    test_schema_script(&s->schema, "INSERT INTO role_permission VALUES ('user', 'chat.write') ON CONFLICT DO NOTHING");
    assert_true(may(s, CLEO, "chat.write"));
    assert_false(may(s, CLEO, "auth.users.read"));
    assert_true(may(s, BOB, "chat.write"));
    assert_true(may(s, BOB, "auth.users.read"));
    assert_true(may(s, ADA, "*"));
    assert_int_equal(access_now(s, DAN).rank, ROLE_NONE);
    test_schema_script(&s->schema, "DELETE FROM role_permission WHERE role = 'user'");
}

static void roles_come_from_the_account_its_groups_and_everybody(void **state)
{
    StoreSchema *s = *state;
    Access access;

    assert_ok(grant(s, CLEO, "curator"));
    assert_ok(grant(s, CLEO, "curator")); /* twice is once */
    test_schema_script(&s->schema, "INSERT INTO user_group VALUES ('g1', 'reviewers', 'Reviewers', '', 'team');"
                                   "INSERT INTO group_member VALUES ('g1', 3, 'member', now());"
                                   "INSERT INTO group_role VALUES ('g1', 'editor'), ('all-users', 'viewer')");
    access = access_now(s, CLEO);
    assert_int_equal(access.role_count, 3);
    assert_true(has(access.roles, access.role_count, "curator"));
    assert_true(has(access.roles, access.role_count, "editor"));
    assert_true(has(access.roles, access.role_count, "viewer"));
    assert_true(may(s, CLEO, "rag.curate"));
    assert_true(may(s, CLEO, "events.merge"));
    assert_false(may(s, BOB, "events.merge"));
    assert_true(may(s, BOB, "events.admin.read"));
}

static void accounts_that_are_read_bring_their_roles_for_tokens(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Account account;

    assert_ok(grant(s, CLEO, "curator"));
    assert_ok(grant(s, CLEO, "editor"));
    assert_ok(auth_store_account_by_username(&rq, "cleo", &account));
    assert_int_equal(account.role_count, 2);
    assert_string_equal(account.roles[0], "curator");
    assert_string_equal(account.roles[1], "editor");
    assert_ok(auth_store_account_by_username(&rq, "bob", &account));
    assert_int_equal(account.role_count, 0);
}

/* ---------------------------------------------------------------------------------------------------- granting */
static void every_change_is_announced(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request_of(s, ADA, ROLE_ADMIN);

    assert_ok(grant(s, CLEO, "curator"));
    assert_int_equal(announced(s, CLEO), 1);
    assert_ok(revoke(s, CLEO, "curator"));
    assert_int_equal(announced(s, CLEO), 2);
    assert_ok(put_role(s, &rq, "helper", (char[]){"rag.help"}));
    assert_int_equal(announced(s, 0), 1);
    assert_int_equal(test_schema_count(&s->schema,
                                       "SELECT count(*) FROM audit_entry WHERE actor_id = 1 AND (target_id = 'helper'"
                                       " OR (target_id = '3' AND detail ->> 'role' = 'curator'))"),
                     3);
}

static void ranks_are_granted_and_taken_like_roles(void **state)
{
    StoreSchema *s = *state;

    assert_ok(grant(s, CLEO, "operator"));
    assert_int_equal(access_now(s, CLEO).rank, ROLE_OPERATOR);
    assert_ok(grant(s, CLEO, "admin"));
    assert_ok(grant(s, CLEO, "operator")); /* he has it, and more */
    assert_int_equal(access_now(s, CLEO).rank, ROLE_ADMIN);
    assert_reason(revoke(s, CLEO, "operator"), &NOT_FOUND);
    assert_ok(revoke(s, CLEO, "admin"));
    assert_int_equal(access_now(s, CLEO).rank, ROLE_USER);
    assert_reason(revoke(s, CLEO, "user"), &INVALID_ARGUMENT);
    assert_reason(revoke(s, CLEO, "curator"), &NOT_FOUND);
    assert_reason(grant(s, CLEO, "emperor"), &NO_SUCH_ROLE);
    assert_reason(grant(s, DAN, "curator"), &NOT_FOUND);
}

static void the_last_administrator_stays(void **state)
{
    StoreSchema *s = *state;

    assert_reason(revoke(s, ADA, "admin"), &LAST_ADMIN);
    assert_ok(grant(s, CLEO, "admin"));
    test_schema_script(&s->schema, "UPDATE account SET active = false WHERE id = 3");
    assert_reason(revoke(s, ADA, "admin"), &LAST_ADMIN);
    test_schema_script(&s->schema, "UPDATE account SET active = true WHERE id = 3");
    assert_ok(revoke(s, ADA, "admin"));
    assert_reason(revoke(s, CLEO, "admin"), &LAST_ADMIN);
}

static void nobody_hands_on_what_he_lacks(void **state)
{
    static const char *const PERMISSIONS[] = {"auth.roles.write", "rag.*"};
    static const char *const CURATOR[] = {"curator"}, *const ADMIN[] = {"admin"}, *const NONE[] = {"emperor"};
    StoreSchema *s = *state;
    Request rq = store_schema_request_of(s, BOB, ROLE_OPERATOR);

    rq.caller.permissions = PERMISSIONS;
    rq.caller.permission_count = ARRAY_LEN(PERMISSIONS);
    assert_ok(put_role(s, &rq, "helper", (char[]){"rag.help"}));
    assert_reason(put_role(s, &rq, "helper", (char[]){"events.merge"}), &PERMISSION_DENIED);
    assert_reason(put_role(s, &rq, "helper", (char[]){"*"}), &PERMISSION_DENIED);
    assert_reason(put_role(s, &rq, "editor", (char[]){"rag.help"}), &PERMISSION_DENIED); /* nor takes it */
    assert_reason(access_may_grant(&rq, NULL, ROLE_ADMIN, NULL, 0), &PERMISSION_DENIED);
    assert_ok(access_may_grant(&rq, NULL, ROLE_OPERATOR, NULL, 0));
    assert_reason(access_may_grant(&rq, NULL, ROLE_USER, CURATOR, 1), &PERMISSION_DENIED); /* media.curate */
    assert_reason(access_may_grant(&rq, NULL, ROLE_USER, ADMIN, 1), &PERMISSION_DENIED);
    assert_reason(access_may_grant(&rq, NULL, ROLE_USER, NONE, 1), &NO_SUCH_ROLE);
    /* What a person has of other domains is in the tables, not in his identity; of a key nothing is. */
    assert_ok(grant(s, BOB, "curator"));
    assert_ok(access_may_grant(&rq, NULL, ROLE_USER, CURATOR, 1));
    rq.caller.api_key = true;
    assert_reason(access_may_grant(&rq, NULL, ROLE_USER, CURATOR, 1), &PERMISSION_DENIED);
}

/* ---------------------------------------------------------------------------------------------------- roles */
static void roles_are_replaced_and_deleted(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request_of(s, ADA, ROLE_ADMIN);
    Auth__V1__DeleteRoleRequest in = AUTH__V1__DELETE_ROLE_REQUEST__INIT;
    Auth__V1__DeleteRoleReply out = AUTH__V1__DELETE_ROLE_REPLY__INIT;

    assert_ok(put_role(s, &rq, "helper", (char[]){"rag.help"}));
    assert_ok(grant(s, CLEO, "helper"));
    assert_true(may(s, CLEO, "rag.help"));
    assert_ok(put_role(s, &rq, "helper", (char[]){"rag.serve"}));
    assert_false(may(s, CLEO, "rag.help"));
    assert_true(may(s, CLEO, "rag.serve"));
    in.name = (char[]){"helper"};
    assert_ok(rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, "DeleteRole", &in.base, &out.base));
    assert_false(may(s, CLEO, "rag.serve"));
    assert_reason(rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, "DeleteRole", &in.base, &out.base), &NOT_FOUND);
    in.name = (char[]){"editor"};
    assert_reason(rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, "DeleteRole", &in.base, &out.base), &CONFLICT);
}

static void names_are_checked(void **state)
{
    static const char *const BAD_ROLES[] = {"",          "a",   "Editor", "1st",
                                            "two words", "x.y", "admin",  "abcdefghijklmnopqrstuvwxyzabcdefg"};
    static const char *const BAD_PERMISSIONS[] = {"",         "events",     "events.", ".events",   "events..x",
                                                  "Events.x", "events.*.x", "**",      "events.x*", "full"};
    static const char *const GOOD_PERMISSIONS[] = {"*", "events.*", "events.admin.read", "a1.b_2"};
    StoreSchema *s = *state;
    Request rq = store_schema_request_of(s, ADA, ROLE_ADMIN);

    for (size_t i = 0; i < ARRAY_LEN(BAD_ROLES); i++)
        assert_reason(put_role(s, &rq, BAD_ROLES[i], NULL), &INVALID_ARGUMENT);
    for (size_t i = 0; i < ARRAY_LEN(BAD_PERMISSIONS); i++)
        assert_false(permission_valid(slice(BAD_PERMISSIONS[i])));
    for (size_t i = 0; i < ARRAY_LEN(GOOD_PERMISSIONS); i++)
        assert_true(permission_valid(slice(GOOD_PERMISSIONS[i])));
    assert_reason(put_role(s, &rq, "helper", (char[]){"everything"}), &INVALID_ARGUMENT);
}

static void gateways_learn_what_roles_grant(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Atrium__GetGrantsRequest in = ATRIUM__GET_GRANTS_REQUEST__INIT;
    Atrium__GetGrantsReply out = ATRIUM__GET_GRANTS_REPLY__INIT;
    bool seen = false;

    rq.caller.kind = CALLER_GATEWAY;
    assert_ok(rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, "GetGrants", &in.base, &out.base));
    for (size_t i = 0; i < out.n_roles; i++)
        if (strcmp(out.roles[i]->name, "editor") == 0)
            seen = has((const char *const *)out.roles[i]->permissions, out.roles[i]->n_permissions, "events.merge");
    assert_true(seen);
}

static void a_live_login_is_resolved_to_what_its_owner_holds_now(void **state)
{
    static const char ID[] = "0197a3c0-0000-7000-8000-000000000001";
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Atrium__ResolveLoginRequest in = ATRIUM__RESOLVE_LOGIN_REQUEST__INIT;
    Atrium__ResolveTokenReply out = ATRIUM__RESOLVE_TOKEN_REPLY__INIT;

    rq.caller.kind = CALLER_GATEWAY;
    test_schema_script(&s->schema,
                       arena_printf(s->schema.mem,
                                    "INSERT INTO login (id, family_id, user_id, profile, user_agent, address,"
                                    "  created_at, last_used_at, expires_at) VALUES ('%s', '%s', 3, 'all', '', '',"
                                    "  now(), now(), now() + interval '10 years')",
                                    ID, ID));
    assert_ok(grant(s, CLEO, "curator"));
    in.login_id = (char *)(uintptr_t)ID;
    assert_ok(rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, "ResolveLogin", &in.base, &out.base));
    assert_int_equal(out.user_id, CLEO);
    assert_int_equal(out.role, ROLE_USER);
    assert_int_equal(out.n_roles, 1);
    assert_string_equal(out.roles[0], "curator");
    assert_true(out.expires_ms > s->schema.now_us / 1000);
    test_schema_script(&s->schema, "UPDATE account SET active = false WHERE id = 3");
    assert_reason(rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, "ResolveLogin", &in.base, &out.base), &UNAUTHENTICATED);
    in.login_id = (char[]){"nonsense"};
    assert_reason(rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, "ResolveLogin", &in.base, &out.base), &UNAUTHENTICATED);
}

#define TEST(f) cmocka_unit_test_setup(f, fill_tables)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_rank_has_what_those_below_it_have),
        TEST(roles_come_from_the_account_its_groups_and_everybody),
        TEST(accounts_that_are_read_bring_their_roles_for_tokens),
        TEST(every_change_is_announced),
        TEST(ranks_are_granted_and_taken_like_roles),
        TEST(the_last_administrator_stays),
        TEST(nobody_hands_on_what_he_lacks),
        TEST(roles_are_replaced_and_deleted),
        TEST(names_are_checked),
        TEST(gateways_learn_what_roles_grant),
        TEST(a_live_login_is_resolved_to_what_its_owner_holds_now),
    };

    return cmocka_run_group_tests_name("access", tests, store_schema_make, store_schema_drop);
}
