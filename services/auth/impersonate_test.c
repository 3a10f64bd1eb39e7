/* Acting in another's name, through the dispatch table, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "atrium/auth/v1/admin.service.h"
#include "atrium/auth/v1/factor.atrium.h"
#include "atrium/auth/v1/keys.service.h"
#include "services/auth/audit.h"
#include "services/auth/second_factor.h"
#include "services/auth/store_schema.h"

static Account root, eve;

static int fill_tables(void **state)
{
    StoreSchema *s = *state;

    s->settings.allow_impersonation = true;
    test_schema_script(&s->schema, "TRUNCATE account, outbox, audit_entry, login_failure CASCADE");
    root = store_schema_account(s, "root", NULL, "secret1");
    eve = store_schema_account(s, "eve", NULL, NULL);
    test_schema_script(&s->schema, "UPDATE account SET role = 3 WHERE username = 'root'");
    return 0;
}

static Err impersonate(StoreSchema *s, int64_t user_id, const char *reason, const char *password,
                       Auth__V1__AuthResult *out)
{
    Request rq = store_schema_request_of(s, root.id, ROLE_ADMIN);
    Auth__V1__ImpersonateRequest in = AUTH__V1__IMPERSONATE_REQUEST__INIT;

    auth__v1__auth_result__init(out);
    SET(&in, user_id, user_id);
    in.reason = (char *)(uintptr_t)reason;
    in.password = (char *)(uintptr_t)password;
    return rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "Impersonate", &in.base, &out->base);
}

static void it_is_refused_unless_the_operator_allows_it(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AuthResult out;

    s->settings.allow_impersonation = false;
    assert_reason(impersonate(s, eve.id, "a good reason", "secret1", &out), &IMPERSONATION_OFF);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login"), 0);
}

static void it_gives_one_short_token_and_is_noted(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AuthResult out;

    assert_ok(impersonate(s, eve.id, "a good reason", "secret1", &out));
    assert_non_null(out.access_token);
    assert_null(out.refresh_token);
    assert_null(out.token);
    assert_int_equal(out.user->id, eve.id);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM refresh_token"), 0);
    assert_int_equal(test_schema_count(&s->schema,
                                       "SELECT extract(epoch FROM expires_at - created_at)::bigint FROM login"
                                       " WHERE method = 'impersonation'"),
                     900);
    assert_int_equal(test_schema_count(&s->schema, "SELECT impersonator_id FROM login"), root.id);
    assert_int_equal(test_schema_count(&s->schema, "SELECT actor_id FROM audit_entry WHERE action = 'user.impersonated'"
                                                   " AND detail ->> 'reason' = 'a good reason'"),
                     root.id);
}

static void it_needs_a_reason_and_the_administrators_password(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AuthResult out;

    assert_reason(impersonate(s, eve.id, NULL, "secret1", &out), &INVALID_ARGUMENT);
    assert_reason(impersonate(s, eve.id, "  x  ", "secret1", &out), &INVALID_ARGUMENT);
    assert_reason(impersonate(s, eve.id, "a good reason", "wrong", &out), &NOT_PROVED);
    assert_reason(impersonate(s, eve.id, "a good reason", NULL, &out), &NOT_PROVED);
}

static void some_are_left_alone(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AuthResult out;

    assert_reason(impersonate(s, root.id, "a good reason", "secret1", &out), &NOT_ONESELF);
    assert_reason(impersonate(s, 77, "a good reason", "secret1", &out), &USER_NOT_FOUND);
    test_schema_script(&s->schema, "UPDATE account SET active = false WHERE username = 'eve'");
    assert_reason(impersonate(s, eve.id, "a good reason", "secret1", &out), &PERMISSION_DENIED);
    test_schema_script(&s->schema, "UPDATE account SET active = true, role = 3");
    assert_reason(impersonate(s, eve.id, "a good reason", "secret1", &out), &PERMISSION_DENIED);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login"), 0);
}

static char *login_id(StoreSchema *s)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(db_read_with(s->schema.db, 5000, "SELECT id FROM login", DB_NO_ARGS, &rows));
    return uuid_text(s->schema.mem, db_get_uuid(&rows, 0, 0));
}

/* The log names who did it, and a fresh login of this kind proves nothing. */
static void the_one_behind_it_stays_known(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_user_request(s, eve.id);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Auth__V1__AuthResult out;

    assert_ok(impersonate(s, eve.id, "a good reason", "secret1", &out));
    rq.caller.login_id = login_id(s);
    assert_reason(caller_prove(&rq, NULL, NULL), &NOT_PROVED);
    assert_ok(db_tx_begin(&rq, &tx));
    assert_ok(audit_insert_user(&tx, &rq, AUDIT_USER_UPDATED, eve.id, NULL));
    assert_ok(db_tx_commit(&tx));
    assert_int_equal(test_schema_count(&s->schema, "SELECT actor_id FROM audit_entry WHERE action = 'user.updated'"),
                     root.id);
}

static void it_leaves_no_key_behind(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_user_request(s, eve.id);
    Auth__V1__CreateScopedKeyRequest in = AUTH__V1__CREATE_SCOPED_KEY_REQUEST__INIT;
    Auth__V1__ScopedKey key = AUTH__V1__SCOPED_KEY__INIT;
    Auth__V1__AuthResult out;

    assert_ok(impersonate(s, eve.id, "a good reason", "secret1", &out));
    rq.caller.login_id = login_id(s);
    in.name = (char[]){"for later"};
    assert_reason(rpc_call(&AUTH_V1_KEY_SERVICE, &rq, "CreateScopedKey", &in.base, &key.base), &PERMISSION_DENIED);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM api_key"), 0);
}

static Err update(StoreSchema *s, const char *who, const char *role, bool active)
{
    Account ada = store_schema_account(s, "ada", NULL, NULL);
    Request rq = store_schema_request_of(s, ada.id, ROLE_ADMIN);
    Auth__V1__UpdateUserRequest in = AUTH__V1__UPDATE_USER_REQUEST__INIT;
    Auth__V1__User out = AUTH__V1__USER__INIT;

    test_schema_script(&s->schema, "UPDATE account SET role = 3 WHERE username = 'ada'");
    in.user_id = (char *)(uintptr_t)who;
    in.role = (char *)(uintptr_t)role;
    SET(&in, active, active);
    return rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "UpdateUser", &in.base, &out.base);
}

static int64_t live_logins(StoreSchema *s)
{
    return test_schema_count(&s->schema, "SELECT count(*) FROM login WHERE ended_at IS NULL");
}

static void it_ends_with_the_account_behind_it(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AuthResult out;

    assert_ok(impersonate(s, eve.id, "a good reason", "secret1", &out));
    assert_int_equal(live_logins(s), 1);
    assert_ok(update(s, "root", NULL, false));
    assert_int_equal(live_logins(s), 0);
    assert_int_equal(
        test_schema_count(&s->schema, "SELECT count(*) FROM outbox WHERE subject LIKE 'evt.auth.login.ended.%'"), 1);
}

static void it_ends_with_the_rank(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AuthResult out;

    assert_ok(impersonate(s, eve.id, "a good reason", "secret1", &out));
    assert_ok(update(s, "root", "user", true));
    assert_int_equal(live_logins(s), 0);
}

#define TEST(f) cmocka_unit_test_setup(f, fill_tables)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_refused_unless_the_operator_allows_it),
        TEST(it_gives_one_short_token_and_is_noted),
        TEST(it_needs_a_reason_and_the_administrators_password),
        TEST(some_are_left_alone),
        TEST(the_one_behind_it_stays_known),
        TEST(it_leaves_no_key_behind),
        TEST(it_ends_with_the_account_behind_it),
        TEST(it_ends_with_the_rank),
    };

    return cmocka_run_group_tests_name("impersonate", tests, store_schema_make, store_schema_drop);
}
