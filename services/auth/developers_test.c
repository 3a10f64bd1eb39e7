/* Developers, through the dispatch table, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "atrium/auth/v1/admin.service.h"
#include "services/auth/pages.h"
#include "services/auth/store_schema.h"

enum { ADA = 1, BOB = 2 };

static int fill_tables(void **state)
{
    StoreSchema *s = *state;

    test_schema_script(&s->schema, "TRUNCATE account, outbox, audit_entry CASCADE");
    store_schema_person(s, ADA, "ada", ROLE_ADMIN);
    store_schema_person(s, BOB, "bob", ROLE_USER);
    return 0;
}

static Err call(StoreSchema *s, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    Request rq = store_schema_request_of(s, ADA, ROLE_ADMIN);

    return rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, method, in, out);
}

static Err invite(StoreSchema *s, const char *email, int32_t max_keys, Auth__V1__AdminInvitation *out)
{
    Auth__V1__InviteDeveloperRequest in = AUTH__V1__INVITE_DEVELOPER_REQUEST__INIT;

    auth__v1__admin_invitation__init(out);
    in.email = (char *)(uintptr_t)email;
    in.name = (char[]){"Dev Eloper"};
    if (max_keys >= 0)
        SET(&in, max_keys, max_keys);
    return call(s, "InviteDeveloper", &in.base, &out->base);
}

static Err look(StoreSchema *s, char *id, Auth__V1__Developer *out)
{
    Auth__V1__AdminUserId in = AUTH__V1__ADMIN_USER_ID__INIT;

    auth__v1__developer__init(out);
    in.user_id = id;
    return call(s, "GetDeveloper", &in.base, &out->base);
}

static void the_invited_become_developers(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Auth__V1__AcceptInvitationRequest in = AUTH__V1__ACCEPT_INVITATION_REQUEST__INIT;
    Auth__V1__AcceptInvitationReply accepted = AUTH__V1__ACCEPT_INVITATION_REPLY__INIT;
    Auth__V1__AdminInvitation made;
    Auth__V1__Developer dev;

    assert_ok(invite(s, "ada@example.org", 9, &made)); /* whose first name is taken */
    assert_string_equal(made.status, "pending");
    assert_ok(look(s, made.user_id, &dev));
    assert_string_equal(dev.name, "Dev Eloper");
    assert_int_equal(dev.max_keys, 9);
    assert_int_equal(dev.key_count, 0);
    assert_null(dev.github_username);
    assert_false(dev.is_active);
    in.token = strstr(made.invitation_url, "token=") + strlen("token=");
    in.password = (char[]){"Correct horse 9!"};
    assert_ok(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "AcceptInvitation", &in.base, &accepted.base));
    assert_ok(look(s, made.user_id, &dev));
    assert_true(dev.is_active);
    assert_reason(invite(s, "ADA@example.org", -1, &made), &EMAIL_TAKEN);
    assert_reason(invite(s, "nothing", -1, &made), &INVALID_EMAIL);
    assert_reason(invite(s, "other@example.org", 1001, &made), &INVALID_ARGUMENT);
}

static void others_are_no_developers(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__Developer dev;

    assert_reason(look(s, user_id_text(s->schema.mem, BOB), &dev), &USER_NOT_FOUND);
    assert_reason(look(s, user_id_text(s->schema.mem, 77), &dev), &USER_NOT_FOUND);
    assert_reason(look(s, (char[]){"nonsense"}, &dev), &INVALID_ARGUMENT);
}

static void lists_show_what_each_has(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AdminListUsersRequest in = AUTH__V1__ADMIN_LIST_USERS_REQUEST__INIT;
    Auth__V1__ListDevelopersReply out = AUTH__V1__LIST_DEVELOPERS_REPLY__INIT;
    Auth__V1__AdminInvitation first, second;
    int64_t id;

    assert_ok(invite(s, "one@example.org", -1, &first));
    assert_ok(invite(s, "two@example.org", 0, &second));
    assert_true(user_id_parse(slice(first.user_id), &id));
    test_schema_script(
        &s->schema,
        arena_printf(s->schema.mem,
                     "INSERT INTO api_key (id, hash, prefix, owner_id, name, kind, role, created_at, revoked_at) VALUES"
                     " (gen_random_uuid(), '1', 'x', %" PRId64 ", 'k', 'developer', 'agent', now(), NULL),"
                     " (gen_random_uuid(), '2', 'x', %" PRId64 ", 'k', 'developer', 'agent', now(), now());"
                     "INSERT INTO identity (id, user_id, provider, subject, name, created_at)"
                     " VALUES (gen_random_uuid(), %" PRId64 ", 'github', '17', 'octo', now())",
                     id, id, id));
    assert_ok(call(s, "ListDevelopers", &in.base, &out.base));
    assert_int_equal(out.n_items, 2);
    assert_string_equal(out.items[0]->id, second.user_id);
    assert_int_equal(out.items[0]->max_keys, 0);
    assert_int_equal(out.items[1]->max_keys, s->settings.dev_max_keys);
    assert_int_equal(out.items[1]->key_count, 1);
    assert_string_equal(out.items[1]->github_username, "octo");
    assert_string_equal(out.next_cursor, "");
}

static void a_change_is_partial(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__UpdateDeveloperRequest in = AUTH__V1__UPDATE_DEVELOPER_REQUEST__INIT;
    Auth__V1__Developer dev = AUTH__V1__DEVELOPER__INIT;
    Auth__V1__AdminInvitation made;

    assert_ok(invite(s, "one@example.org", 9, &made));
    in.user_id = made.user_id;
    in.name = (char[]){"Other"};
    assert_ok(call(s, "UpdateDeveloper", &in.base, &dev.base));
    assert_string_equal(dev.name, "Other");
    assert_int_equal(dev.max_keys, 9);
    in.name = NULL;
    SET(&in, max_keys, 1);
    SET(&in, is_active, true);
    assert_ok(call(s, "UpdateDeveloper", &in.base, &dev.base));
    assert_int_equal(dev.max_keys, 1);
    assert_true(dev.is_active);
    SET(&in, max_keys, -1);
    assert_reason(call(s, "UpdateDeveloper", &in.base, &dev.base), &INVALID_ARGUMENT);
}

static void who_is_removed_keeps_his_account(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AdminUserId in = AUTH__V1__ADMIN_USER_ID__INIT;
    Auth__V1__AdminNothing out = AUTH__V1__ADMIN_NOTHING__INIT;
    Auth__V1__AdminInvitation made;
    int64_t id;

    assert_ok(invite(s, "one@example.org", -1, &made));
    assert_true(user_id_parse(slice(made.user_id), &id));
    test_schema_script(
        &s->schema, arena_printf(s->schema.mem,
                                 "INSERT INTO api_key (id, hash, prefix, owner_id, name, kind, role, created_at) VALUES"
                                 " (gen_random_uuid(), '1', 'x', %" PRId64 ", 'k', 'developer', 'agent', now())",
                                 id));
    in.user_id = made.user_id;
    assert_ok(call(s, "DeleteDeveloper", &in.base, &out.base));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account"), 3);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account_role"), 0);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM api_key WHERE revoked_at IS NULL"), 0);
    assert_int_equal(
        test_schema_count(&s->schema, "SELECT count(*) FROM outbox WHERE subject LIKE 'evt.auth.login.ended.%'"), 1);
    assert_reason(call(s, "DeleteDeveloper", &in.base, &out.base), &USER_NOT_FOUND);
}

#define TEST(f) cmocka_unit_test_setup(f, fill_tables)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_invited_become_developers), TEST(others_are_no_developers),         TEST(lists_show_what_each_has),
        TEST(a_change_is_partial),           TEST(who_is_removed_keeps_his_account),
    };

    return cmocka_run_group_tests_name("developers", tests, store_schema_make, store_schema_drop);
}
