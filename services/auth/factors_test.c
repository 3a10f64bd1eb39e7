/* Second factors through the dispatch table, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "atrium/auth/v1/factor.service.h"
#include "services/auth/store_factors.h"
#include "services/auth/store_schema.h"

static int empty_tables(void **state)
{
    store_schema_script(*state, "TRUNCATE account, login_failure CASCADE");
    return 0;
}

static Err call(Request *rq, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    return rpc_call(&AUTH_V1_FACTOR_SERVICE, rq, method, in, out);
}

static void everyone_sees_his_own_factors(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1"),
            bob = store_schema_account(s, "bob", NULL, "secret1");
    Request rq = store_schema_user_request(s, ann.id);
    Auth__V1__GetFactorsRequest in = AUTH__V1__GET_FACTORS_REQUEST__INIT;
    Auth__V1__Factors out = AUTH__V1__FACTORS__INIT;
    Auth__V1__FactorMethods methods = AUTH__V1__FACTOR_METHODS__INIT;

    store_schema_script(
        s, arena_printf(s->mem,
                        "INSERT INTO totp (user_id, secret, created_at) VALUES (%" PRId64 ", 'x', now());"
                        "INSERT INTO recovery_code (user_id, hash, used_at) VALUES (%" PRId64 ", 'a', NULL),"
                        "  (%" PRId64 ", 'b', NULL), (%" PRId64 ", 'c', now());"
                        "INSERT INTO passkey (id, user_id, name, algorithm, public_key, sign_count, created_at) VALUES"
                        "  ('\\xfbff', %" PRId64 ", 'laptop', -7, 'x', 0, now())",
                        ann.id, ann.id, ann.id, ann.id, ann.id));
    assert_ok(call(&rq, "GetFactors", &in.base, &out.base));
    assert_false(out.totp);
    assert_int_equal(out.recovery_codes_left, 2);
    assert_int_equal(out.n_passkeys, 1);
    assert_string_equal(out.passkeys[0]->id, "-_8");
    assert_string_equal(out.passkeys[0]->name, "laptop");
    assert_null(out.passkeys[0]->last_used_at);
    store_schema_script(s, "UPDATE totp SET confirmed_at = now()");
    assert_ok(call(&rq, "ListFactorMethods", &in.base, &methods.base));
    assert_int_equal(methods.n_methods, 2);
    assert_string_equal(methods.methods[0]->type, "totp");
    assert_string_equal(methods.methods[1]->type, "webauthn");
    rq = store_schema_user_request(s, bob.id);
    auth__v1__factors__init(&out);
    assert_ok(call(&rq, "GetFactors", &in.base, &out.base));
    assert_false(out.totp);
    assert_int_equal(out.recovery_codes_left + (int)out.n_passkeys, 0);
}

int main(void)
{
#define FACTORS_TEST(f) cmocka_unit_test_setup(f, empty_tables)
    const struct CMUnitTest tests[] = {
        FACTORS_TEST(everyone_sees_his_own_factors),
    };

    return cmocka_run_group_tests_name("factors", tests, store_schema_make, store_schema_drop);
}
