/* The way into a login, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "services/auth/login.h"

#include "services/auth/passwords.h"
#include "services/auth/store_schema.h"

static int empty_tables(void **state)
{
    store_schema_script(*state, "TRUNCATE account CASCADE");
    return 0;
}

static Err log_in(StoreSchema *s, const char *name, const char *password, Account *out)
{
    Request rq = store_schema_request(s);
    const LoginTry attempt = {.name = name, .password = password, .refusal = "no", .set = TOKENS_CHAT};
    Tokens tokens;

    TRY(login_by_password(&rq, &attempt, &tokens, out));
    assert_non_null(tokens.access_token);
    return OK;
}

static void a_login_keeps_how_it_was_proved(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Account ann = store_schema_account(s, "ann", "ann@example.com", "secret1"), out;
    Tokens tokens;

    assert_ok(log_in(s, "ann", "secret1", &out));
    assert_int_equal(out.id, ann.id);
    assert_int_equal(out.last_login_us, s->now_us);
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM login WHERE method = 'password'"), 1);
    assert_ok(login_begin(&rq, &ann, "github", TOKENS_OPAQUE, &tokens));
    assert_non_null(tokens.opaque);
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM login WHERE method = 'github'"), 1);
}

static void whoever_is_disabled_gets_in_by_no_way(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Account ann = store_schema_account(s, "ann", NULL, "secret1"), out;
    Tokens tokens;

    store_schema_script(s, "UPDATE account SET active = false");
    assert_reason(log_in(s, "ann", "secret1", &out), &INVALID_CREDENTIALS);
    assert_reason(login_begin(&rq, &ann, "github", TOKENS_CHAT, &tokens), &INVALID_CREDENTIALS);
    assert_int_equal(store_schema_count(s, "SELECT count(*) FROM login"), 0);
}

int main(void)
{
#define LOGIN_TEST(f) cmocka_unit_test_setup(f, empty_tables)
    const struct CMUnitTest tests[] = {
        LOGIN_TEST(a_login_keeps_how_it_was_proved),
        LOGIN_TEST(whoever_is_disabled_gets_in_by_no_way),
    };

    return cmocka_run_group_tests_name("login", tests, store_schema_make, store_schema_drop);
}
