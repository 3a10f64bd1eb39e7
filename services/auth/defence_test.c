/* Back-off, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "services/auth/defence.h"

#include "services/auth/store_schema.h"

enum { SECOND_US = 1000000 };
static const char HERE[] = "192.0.2.7", NEAR[] = "192.0.2.200", AWAY[] = "198.51.100.1", ELSEWHERE[] = "203.0.113.1";

static int empty_tables(void **state)
{
    StoreSchema *s = *state;

    s->settings.login_backoff = true;
    test_schema_script(&s->schema, "TRUNCATE account, login_failure CASCADE");
    return 0;
}

/* 0, or the seconds to wait. */
static uint32_t wait_for(StoreSchema *s, const char *address, const char *name, int64_t user_id)
{
    Request rq = store_schema_request(s);
    Defence defence;
    Err e;

    rq.client_address = address;
    e = defence_enter(&rq, DEFENCE_PASSWORD, name, user_id, &defence);
    if (!err_failed(e))
        return 0;
    assert_ptr_equal(e.reason, &RATE_LIMITED);
    assert_true(rq.reply.retry_after_s > 0);
    return rq.reply.retry_after_s;
}

/* As whoever waits when he is told to. */
static void fail_times(StoreSchema *s, const char *address, const char *name, int times)
{
    for (int i = 0; i < times; i++) {
        Request rq = store_schema_request(s);
        Defence defence;

        rq.client_address = address;
        s->schema.now_us += (int64_t)wait_for(s, address, name, 0) * SECOND_US;
        assert_ok(defence_enter(&rq, DEFENCE_PASSWORD, name, 0, &defence));
        assert_ok(defence_failed(&rq, &defence));
    }
}

static void pass(StoreSchema *s, const char *address, const char *name, int64_t user_id)
{
    Request rq = store_schema_request(s);
    Defence defence;

    rq.client_address = address;
    assert_ok(defence_enter(&rq, DEFENCE_PASSWORD, name, user_id, &defence));
    assert_ok(defence_passed(&rq, &defence, user_id));
}

static void from_the_sixth_failure_on_one_waits_longer_each_time(void **state)
{
    static const uint32_t WAITS[] = {0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900};
    StoreSchema *s = *state;

    for (size_t i = 0; i < ARRAY_LEN(WAITS); i++) {
        assert_int_equal(wait_for(s, HERE, "ann", 0), WAITS[i]);
        fail_times(s, HERE, "ann", 1);
    }
}

static void waiting_ends(void **state)
{
    StoreSchema *s = *state;

    fail_times(s, HERE, "ann", 8);
    assert_int_equal(wait_for(s, HERE, "ann", 0), 4);
    s->schema.now_us += 3 * SECOND_US + 1;
    assert_int_equal(wait_for(s, HERE, "ann", 0), 1);
    s->schema.now_us += SECOND_US;
    assert_int_equal(wait_for(s, HERE, "ann", 0), 0);
    fail_times(s, HERE, "ann", 1);
    assert_int_equal(wait_for(s, HERE, "ann", 0), 8);
    s->schema.now_us += DEFENCE_MEMORY_US;
    fail_times(s, HERE, "ann", 5);
    assert_int_equal(wait_for(s, HERE, "ann", 0), 0);
}

static void the_name_counts_however_it_is_typed_and_the_network_not_the_address(void **state)
{
    StoreSchema *s = *state;

    fail_times(s, HERE, "Ann@Example.com", 6);
    assert_int_equal(wait_for(s, NEAR, "ann@EXAMPLE.com", 0), 1);
    assert_int_equal(wait_for(s, "::ffff:192.0.2.9", "ann@example.com", 0), 1);
    assert_int_equal(wait_for(s, AWAY, "ann@example.com", 0), 0);
    assert_int_equal(wait_for(s, HERE, "bob@example.com", 0), 0);
    fail_times(s, "2001:db8:1:2::3", "cid", 6);
    assert_int_equal(wait_for(s, "2001:db8:1:2:ffff::", "cid", 0), 1);
    assert_int_equal(wait_for(s, "2001:db8:1:3::3", "cid", 0), 0);
}

static void nobody_locks_another_out(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");
    int64_t began;

    pass(s, HERE, "ann", ann.id);
    began = s->schema.now_us;
    for (int i = 0; i < 20; i++) /* from many networks: none of them has to wait for itself */
        fail_times(s, arena_printf(s->schema.mem, "203.0.%d.1", i), "ann", 1);
    assert_int_equal(s->schema.now_us, began);
    assert_int_equal(wait_for(s, HERE, "ann", ann.id), 0);
    assert_int_equal(wait_for(s, AWAY, "ann", ann.id), 1);
    /* Who fails at a network that the owner is known at waits there, and the owner with him: but not elsewhere. */
    fail_times(s, HERE, "ann", 6);
    assert_true(wait_for(s, HERE, "ann", ann.id) > 0);
}

static void names_that_do_not_exist_are_slowed_as_others_are(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");

    for (int i = 0; i < 25; i++) {
        assert_int_equal(wait_for(s, AWAY, "ann", ann.id), wait_for(s, ELSEWHERE, "nobody", 0));
        fail_times(s, AWAY, "ann", 1);
        fail_times(s, ELSEWHERE, "nobody", 1);
    }
}

static void guessing_at_many_names_slows_the_network(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");

    pass(s, HERE, "ann", ann.id);
    for (int i = 0; i < 30; i++)
        fail_times(s, HERE, arena_printf(s->schema.mem, "name%d", i), 1);
    assert_int_equal(wait_for(s, NEAR, "other", 0), 1);
    assert_int_equal(wait_for(s, NEAR, "ann", ann.id), 0); /* known here */
    assert_int_equal(wait_for(s, AWAY, "other", 0), 0);
}

static void a_success_forgives_what_was_mistyped(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");

    for (int i = 0; i < 10; i++) {
        fail_times(s, HERE, "ann", 4);
        pass(s, HERE, "ann", ann.id);
    }
    assert_int_equal(wait_for(s, HERE, "ann", ann.id), 0);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM known_network"), 1);
}

static void who_came_in_without_guessing_is_known_too(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");
    Request rq = store_schema_request(s);

    rq.client_address = HERE;
    assert_ok(defence_know(&rq, ann.id));
    for (int i = 0; i < 20; i++)
        fail_times(s, arena_printf(s->schema.mem, "203.0.%d.1", i), "ann", 1);
    assert_int_equal(wait_for(s, NEAR, "ann", ann.id), 0);
    assert_int_equal(wait_for(s, AWAY, "ann", ann.id), 1);
}

static void it_can_be_switched_off(void **state)
{
    StoreSchema *s = *state;

    fail_times(s, HERE, "ann", 9);
    s->settings.login_backoff = false;
    assert_int_equal(wait_for(s, HERE, "ann", 0), 0);
}

static void no_name_and_no_address_is_stored(void **state)
{
    StoreSchema *s = *state;

    fail_times(s, HERE, "ann", 1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login_failure WHERE length(key) = 32"), 3);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login_failure WHERE position('ann' IN key) > 0"
                                                   "  OR key = sha256('ann')"),
                     0);
}

static void what_counts_no_more_is_deleted(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");
    Request rq = store_schema_request(s);
    int64_t deleted;

    pass(s, HERE, "ann", ann.id);
    fail_times(s, HERE, "bob", 1);
    assert_ok(defence_store_purge(&rq, s->schema.now_us, 100, &deleted));
    assert_int_equal(deleted, 0);
    assert_ok(defence_store_purge(&rq, s->schema.now_us + DEFENCE_MEMORY_US + 1, 100, &deleted));
    assert_int_equal(deleted, 3);
    assert_ok(defence_store_purge(&rq, s->schema.now_us + KNOWN_NETWORK_US + 1, 100, &deleted));
    assert_int_equal(deleted, 1);
}

int main(void)
{
#define DEFENCE_TEST(f) cmocka_unit_test_setup(f, empty_tables)
    const struct CMUnitTest tests[] = {
        DEFENCE_TEST(from_the_sixth_failure_on_one_waits_longer_each_time),
        DEFENCE_TEST(waiting_ends),
        DEFENCE_TEST(the_name_counts_however_it_is_typed_and_the_network_not_the_address),
        DEFENCE_TEST(nobody_locks_another_out),
        DEFENCE_TEST(names_that_do_not_exist_are_slowed_as_others_are),
        DEFENCE_TEST(guessing_at_many_names_slows_the_network),
        DEFENCE_TEST(a_success_forgives_what_was_mistyped),
        DEFENCE_TEST(who_came_in_without_guessing_is_known_too),
        DEFENCE_TEST(it_can_be_switched_off),
        DEFENCE_TEST(no_name_and_no_address_is_stored),
        DEFENCE_TEST(what_counts_no_more_is_deleted),
    };

    return cmocka_run_group_tests_name("defence", tests, store_schema_make, store_schema_drop);
}
