/* Groups, through the dispatch table, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "services/auth/store_groups.h"

#include "atrium/auth/v1/access.service.h"
#include "services/auth/access.h"
#include "services/auth/store_schema.h"

enum { ADA = 1, BOB = 2, CLEO = 3 };

static int fill_tables(void **state)
{
    StoreSchema *s = *state;

    test_schema_script(&s->schema,
                       "TRUNCATE account, outbox, audit_entry CASCADE; DELETE FROM user_group WHERE id <> 'all-users';"
                       "DELETE FROM group_role");
    store_schema_person(s, ADA, "ada", ROLE_ADMIN);
    store_schema_person(s, BOB, "bob", ROLE_OPERATOR);
    store_schema_person(s, CLEO, "cleo", ROLE_USER);
    return 0;
}

static Err call_as(StoreSchema *s, int64_t user_id, Role role, const char *method, ProtobufCMessage *in,
                   ProtobufCMessage *out)
{
    Request rq = store_schema_user_request(s, user_id);

    rq.caller.role = role;
    return rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, method, in, out);
}

static Err call(StoreSchema *s, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    return call_as(s, ADA, ROLE_ADMIN, method, in, out);
}

static Err create(StoreSchema *s, const char *name, Auth__V1__Group *out)
{
    Auth__V1__CreateGroupRequest in = AUTH__V1__CREATE_GROUP_REQUEST__INIT;

    auth__v1__group__init(out);
    in.name = (char *)(uintptr_t)name;
    in.display_name = (char[]){"A group"};
    in.type = (char[]){"team"};
    return call(s, "CreateGroup", &in.base, &out->base);
}

static char *made(StoreSchema *s)
{
    Auth__V1__Group group;

    assert_ok(create(s, "reviewers", &group));
    return group.id;
}

static Err add(StoreSchema *s, const char *group_id, const char *who, const char *role)
{
    Auth__V1__AddGroupMemberRequest in = AUTH__V1__ADD_GROUP_MEMBER_REQUEST__INIT;
    Auth__V1__GroupMember out = AUTH__V1__GROUP_MEMBER__INIT;

    in.group_id = (char *)(uintptr_t)group_id;
    in.user_id = (char *)(uintptr_t)who;
    in.role = (char *)(uintptr_t)role;
    return call(s, "AddGroupMember", &in.base, &out.base);
}

static Err remove_member(StoreSchema *s, const char *group_id, const char *who)
{
    Auth__V1__RemoveGroupMemberRequest in = AUTH__V1__REMOVE_GROUP_MEMBER_REQUEST__INIT;
    Auth__V1__MessageReply out = AUTH__V1__MESSAGE_REPLY__INIT;

    in.group_id = (char *)(uintptr_t)group_id;
    in.user_id = (char *)(uintptr_t)who;
    return call(s, "RemoveGroupMember", &in.base, &out.base);
}

static Err set_role(StoreSchema *s, const char *method, const char *group_id, const char *role)
{
    Auth__V1__GrantGroupRoleRequest in = AUTH__V1__GRANT_GROUP_ROLE_REQUEST__INIT;
    Auth__V1__RevokeGroupRoleRequest out_of = AUTH__V1__REVOKE_GROUP_ROLE_REQUEST__INIT;
    Auth__V1__GrantGroupRoleReply out = AUTH__V1__GRANT_GROUP_ROLE_REPLY__INIT;
    Auth__V1__RevokeGroupRoleReply gone = AUTH__V1__REVOKE_GROUP_ROLE_REPLY__INIT;

    in.group_id = out_of.group_id = (char *)(uintptr_t)group_id;
    in.name = out_of.name = (char *)(uintptr_t)role;
    return strcmp(method, "GrantGroupRole") == 0 ? call(s, method, &in.base, &out.base)
                                                 : call(s, method, &out_of.base, &gone.base);
}

static Err get(StoreSchema *s, const char *id, Auth__V1__Group *out)
{
    Auth__V1__GetGroupRequest in = AUTH__V1__GET_GROUP_REQUEST__INIT;

    auth__v1__group__init(out);
    in.group_id = (char *)(uintptr_t)id;
    return call(s, "GetGroup", &in.base, &out->base);
}

static bool holds(StoreSchema *s, int64_t user_id, const char *role)
{
    Request rq = store_schema_request(s);
    Access access;

    assert_ok(access_of_user(&rq, NULL, user_id, &access));
    for (size_t i = 0; i < access.role_count; i++)
        if (strcmp(access.roles[i], role) == 0)
            return true;
    return false;
}

static int64_t announced(StoreSchema *s, const char *who)
{
    return test_schema_count(&s->schema, arena_printf(s->schema.mem,
                                                      "SELECT count(*) FROM outbox WHERE subject LIKE"
                                                      " 'evt.auth.access.changed.%s'",
                                                      who));
}

/* ---------------------------------------------------------------------------------------------------- groups */
static void groups_are_made_changed_and_deleted(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__UpdateGroupRequest change = AUTH__V1__UPDATE_GROUP_REQUEST__INIT;
    Auth__V1__DeleteGroupRequest end = AUTH__V1__DELETE_GROUP_REQUEST__INIT;
    Auth__V1__MessageReply ended = AUTH__V1__MESSAGE_REPLY__INIT;
    Auth__V1__Group group, out;

    assert_ok(create(s, "reviewers", &group));
    assert_reason(create(s, "reviewers", &out), &GROUP_TAKEN);
    assert_reason(create(s, "", &out), &INVALID_ARGUMENT);
    assert_ok(get(s, group.id, &out));
    assert_string_equal(out.display_name, "A group");
    assert_int_equal(out.member_count, 0);
    auth__v1__group__init(&out);
    change.group_id = group.id;
    change.description = (char[]){"they review"};
    assert_ok(call(s, "UpdateGroup", &change.base, &out.base));
    assert_string_equal(out.description, "they review");
    assert_string_equal(out.name, "reviewers");
    change.name = (char[]){"all_users"};
    assert_reason(call(s, "UpdateGroup", &change.base, &out.base), &GROUP_TAKEN);
    end.group_id = group.id;
    assert_ok(call(s, "DeleteGroup", &end.base, &ended.base));
    assert_reason(get(s, group.id, &out), &GROUP_NOT_FOUND);
    assert_reason(call(s, "DeleteGroup", &end.base, &ended.base), &GROUP_NOT_FOUND);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM audit_entry WHERE target_kind = 'group'"), 3);
}

static void everybody_is_in_all_users(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__ListGroupMembersRequest in = AUTH__V1__LIST_GROUP_MEMBERS_REQUEST__INIT;
    Auth__V1__ListGroupMembersReply out = AUTH__V1__LIST_GROUP_MEMBERS_REPLY__INIT;
    Auth__V1__DeleteGroupRequest end = AUTH__V1__DELETE_GROUP_REQUEST__INIT;
    Auth__V1__MessageReply ended = AUTH__V1__MESSAGE_REPLY__INIT;

    in.group_id = end.group_id = (char[]){"all-users"};
    assert_ok(call(s, "ListGroupMembers", &in.base, &out.base));
    assert_int_equal(out.total, 3);
    assert_string_equal(out.members[0]->user->username, "ada");
    assert_reason(call(s, "DeleteGroup", &end.base, &ended.base), &CONFLICT);
    assert_reason(add(s, "all-users", "cleo", NULL), &CONFLICT);
    assert_reason(remove_member(s, "all-users", "cleo"), &CONFLICT);
}

/* ---------------------------------------------------------------------------------------------------- members */
static void members_come_and_go(void **state)
{
    StoreSchema *s = *state;
    const char *id = made(s);
    Auth__V1__UpdateGroupMemberRequest change = AUTH__V1__UPDATE_GROUP_MEMBER_REQUEST__INIT;
    Auth__V1__GroupMember member = AUTH__V1__GROUP_MEMBER__INIT;
    Auth__V1__Group group;

    assert_ok(add(s, id, "cleo", NULL));
    assert_ok(add(s, id, "2", "owner"));
    assert_reason(add(s, id, "3", "viewer"), &CONFLICT);
    assert_reason(add(s, id, "nobody", NULL), &NOT_FOUND);
    assert_reason(add(s, id, "", NULL), &INVALID_ARGUMENT);
    assert_reason(add(s, id, "ada", "emperor"), &INVALID_ARGUMENT);
    assert_reason(add(s, "nonsense", "ada", NULL), &GROUP_NOT_FOUND);
    assert_ok(get(s, id, &group));
    assert_int_equal(group.member_count, 2);
    change.group_id = (char *)(uintptr_t)id;
    change.user_id = (char[]){"cleo"};
    change.role = (char[]){"admin"};
    assert_ok(call(s, "UpdateGroupMember", &change.base, &member.base));
    assert_string_equal(member.role, "admin");
    assert_ok(remove_member(s, id, "cleo"));
    assert_reason(remove_member(s, id, "cleo"), &NOT_FOUND);
    assert_reason(call(s, "UpdateGroupMember", &change.base, &member.base), &NOT_FOUND);
    assert_int_equal(announced(s, "%"), 0); /* it holds no roles: nobody may anything else */
}

static void one_sees_his_own_groups(void **state)
{
    StoreSchema *s = *state;
    const char *id = made(s);
    Auth__V1__ListUserGroupsRequest in = AUTH__V1__LIST_USER_GROUPS_REQUEST__INIT;
    Auth__V1__ListGroupsReply out = AUTH__V1__LIST_GROUPS_REPLY__INIT;
    Auth__V1__GetMeRequest ask = AUTH__V1__GET_ME_REQUEST__INIT;
    Auth__V1__User me = AUTH__V1__USER__INIT;
    Request rq = store_schema_user_request(s, CLEO);

    assert_ok(add(s, id, "cleo", NULL));
    in.user_id = (char[]){"me"};
    assert_ok(call_as(s, CLEO, ROLE_USER, "ListUserGroups", &in.base, &out.base));
    assert_int_equal(out.total, 2);
    assert_string_equal(out.groups[0]->id, "all-users");
    assert_string_equal(out.groups[1]->id, id);
    in.user_id = (char[]){"2"};
    assert_reason(call_as(s, CLEO, ROLE_USER, "ListUserGroups", &in.base, &out.base), &PERMISSION_DENIED);
    assert_ok(call(s, "ListUserGroups", &in.base, &out.base));
    in.user_id = (char[]){"x"};
    assert_reason(call(s, "ListUserGroups", &in.base, &out.base), &INVALID_ID);
    rq.profile = "sessions";
    assert_ok(rpc_call(&AUTH_V1_AUTH_SERVICE, &rq, "GetMe", &ask.base, &me.base));
    assert_int_equal(me.n_groups, 2);
    assert_string_equal(me.groups[1], id);
}

static void services_ask_for_the_groups_of_a_user(void **state)
{
    StoreSchema *s = *state;
    const char *id = made(s);
    Auth__V1__GroupsOfUserRequest in = AUTH__V1__GROUPS_OF_USER_REQUEST__INIT;
    Auth__V1__GroupsOfUserReply out = AUTH__V1__GROUPS_OF_USER_REPLY__INIT;
    Request rq = store_schema_request(s);

    rq.caller.kind = CALLER_SERVICE;
    rq.caller.service = "sessions";
    assert_ok(add(s, id, "cleo", NULL));
    SET(&in, user_id, CLEO);
    assert_ok(rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, "GroupsOfUser", &in.base, &out.base));
    assert_int_equal(out.n_group_ids, 2);
    assert_string_equal(out.group_ids[1], id);
}

/* ---------------------------------------------------------------------------------------------------- their roles */
static void members_hold_the_roles_of_their_group(void **state)
{
    StoreSchema *s = *state;
    const char *id = made(s);

    assert_ok(add(s, id, "cleo", NULL));
    assert_ok(set_role(s, "GrantGroupRole", id, "editor"));
    assert_int_equal(announced(s, "-1"), 1);
    assert_true(holds(s, CLEO, "editor"));
    assert_false(holds(s, BOB, "editor"));
    assert_ok(add(s, id, "bob", NULL));
    assert_int_equal(announced(s, "2"), 1);
    assert_true(holds(s, BOB, "editor"));
    assert_ok(remove_member(s, id, "bob"));
    assert_int_equal(announced(s, "2"), 2);
    assert_false(holds(s, BOB, "editor"));
    assert_ok(set_role(s, "RevokeGroupRole", id, "editor"));
    assert_int_equal(announced(s, "-1"), 2);
    assert_false(holds(s, CLEO, "editor"));
    assert_reason(set_role(s, "RevokeGroupRole", id, "editor"), &NOT_FOUND);
    assert_reason(set_role(s, "GrantGroupRole", id, "emperor"), &NO_SUCH_ROLE);
    assert_reason(set_role(s, "GrantGroupRole", id, "admin"), &INVALID_ARGUMENT);
    assert_reason(set_role(s, "GrantGroupRole", "nonsense", "editor"), &GROUP_NOT_FOUND);
}

static void nobody_gives_or_takes_by_a_group_what_he_could_not_grant(void **state)
{
    static const char *const MAY[] = {"auth.groups.write"};
    StoreSchema *s = *state;
    const char *id = made(s);
    Request rq = store_schema_user_request(s, BOB);
    Auth__V1__AddGroupMemberRequest in = AUTH__V1__ADD_GROUP_MEMBER_REQUEST__INIT;
    Auth__V1__GroupMember out = AUTH__V1__GROUP_MEMBER__INIT;
    Auth__V1__DeleteGroupRequest del = AUTH__V1__DELETE_GROUP_REQUEST__INIT;
    Auth__V1__MessageReply said = AUTH__V1__MESSAGE_REPLY__INIT;

    rq.caller.role = ROLE_OPERATOR;
    rq.caller.permissions = MAY;
    rq.caller.permission_count = 1;
    in.group_id = (char *)(uintptr_t)id;
    in.user_id = (char[]){"bob"};
    del.group_id = (char *)(uintptr_t)id;
    assert_ok(set_role(s, "GrantGroupRole", id, "editor"));
    assert_reason(rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, "AddGroupMember", &in.base, &out.base), &PERMISSION_DENIED);
    assert_reason(rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, "DeleteGroup", &del.base, &said.base), &PERMISSION_DENIED);
    assert_ok(set_role(s, "RevokeGroupRole", id, "editor"));
    assert_ok(rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, "AddGroupMember", &in.base, &out.base));
    assert_ok(rpc_call(&AUTH_V1_ACCESS_SERVICE, &rq, "DeleteGroup", &del.base, &said.base));
}

#define TEST(f) cmocka_unit_test_setup(f, fill_tables)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(groups_are_made_changed_and_deleted),
        TEST(everybody_is_in_all_users),
        TEST(members_come_and_go),
        TEST(one_sees_his_own_groups),
        TEST(services_ask_for_the_groups_of_a_user),
        TEST(members_hold_the_roles_of_their_group),
        TEST(nobody_gives_or_takes_by_a_group_what_he_could_not_grant),
    };

    return cmocka_run_group_tests_name("groups", tests, store_schema_make, store_schema_drop);
}
