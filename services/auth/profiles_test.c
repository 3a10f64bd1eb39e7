/* Profiles: what services are told of accounts, and when they are told that it changed. */
#include "services/auth/accounts.h"
#include "services/auth/store_schema.h"

static Err ask(StoreSchema *s, int64_t *ids, size_t count, Auth__V1__GetProfilesReply *out)
{
    Request rq = store_schema_request(s);
    Auth__V1__GetProfilesRequest in = AUTH__V1__GET_PROFILES_REQUEST__INIT;

    rq.caller = (Caller){.kind = CALLER_SERVICE, .service = "chat", .username = "", .login_id = ""};
    auth__v1__get_profiles_reply__init(out);
    in.user_ids = ids;
    in.n_user_ids = count;
    return rpc_call(&AUTH_V1_AUTH_SERVICE, &rq, "GetProfiles", &in.base, &out->base);
}

static Err rename_to(StoreSchema *s, int64_t user_id, const char *display_name)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__UpdateMeRequest in = AUTH__V1__UPDATE_ME_REQUEST__INIT;
    Auth__V1__User out = AUTH__V1__USER__INIT;

    in.display_name = (char *)display_name;
    return rpc_call(&AUTH_V1_AUTH_SERVICE, &rq, "UpdateMe", &in.base, &out.base);
}

static void those_that_there_are(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, NULL), bob = store_schema_account(s, "bob", NULL, NULL);
    Auth__V1__GetProfilesReply out;

    assert_ok(ask(s, (int64_t[]){bob.id, 5, ann.id}, 3, &out));
    assert_int_equal(out.n_profiles, 2);
    assert_string_equal(out.profiles[0]->username, "ann");
    assert_string_equal(out.profiles[1]->display_name, "bob");
    assert_null(out.profiles[1]->avatar_hash);
    assert_ok(ask(s, NULL, 0, &out));
    assert_int_equal(out.n_profiles, 0);
    assert_reason(ask(s, (int64_t[101]){1}, 101, &out), &INVALID_ARGUMENT);
}

static void a_change_is_told(void **state)
{
    StoreSchema *s = *state;
    Account eve = store_schema_account(s, "eve", NULL, NULL);
    Auth__V1__GetProfilesReply out;
    const char *told =
        arena_printf(s->schema.mem,
                     "SELECT count(*) FROM outbox WHERE subject = 'evt.auth.user.profile_changed.%" PRId64 "'", eve.id);

    assert_ok(rename_to(s, eve.id, "Eve"));
    assert_int_equal(test_schema_count(&s->schema, told), 1);
    assert_ok(ask(s, &eve.id, 1, &out));
    assert_string_equal(out.profiles[0]->display_name, "Eve");
    assert_ok(rename_to(s, eve.id, NULL)); /* nothing is changed */
    assert_int_equal(test_schema_count(&s->schema, told), 1);
    assert_reason(rename_to(s, 5, "Nobody"), &NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_there_are),
        cmocka_unit_test(a_change_is_told),
    };

    return cmocka_run_group_tests(tests, store_schema_make, store_schema_drop);
}
