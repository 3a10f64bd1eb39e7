/* What the migrations promise, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "services/auth/store_schema.h"

/* Who is erased is gone: whatever points at an account goes with it, or forgets it. */
static void nothing_keeps_an_account_from_being_deleted(void **state)
{
    StoreSchema *s = *state;

    assert_int_equal(test_schema_count(&s->schema,
                                       "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"
                                       "  AND confrelid = 'account'::regclass AND confdeltype NOT IN ('c', 'n')"),
                     0);
}

/* Numbers of accounts are kept without one in the proof of an erasure only; and in what all schemas have, which auth
 * does not use. */
static void whose_something_is_always_points_at_his_account(void **state)
{
    StoreSchema *s = *state;

    assert_int_equal(
        test_schema_count(&s->schema,
                          "SELECT count(*) FROM information_schema.columns c"
                          " WHERE c.table_schema = current_schema() AND c.table_name NOT IN ('erasure', 'webhook')"
                          "  AND c.column_name IN ('user_id', 'owner_id') AND NOT EXISTS ("
                          "    SELECT 1 FROM pg_constraint k JOIN pg_attribute a"
                          "      ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)"
                          "    WHERE k.contype = 'f' AND k.confrelid = 'account'::regclass"
                          "      AND k.conrelid = c.table_name::regclass AND a.attname = c.column_name)"),
        0);
}

/* Administrators have every permission by rule: rows could be taken away. */
static void ranks_are_roles_and_administrators_need_no_rows(void **state)
{
    StoreSchema *s = *state;

    assert_int_equal(
        test_schema_count(&s->schema, "SELECT count(*) FROM role WHERE name IN ('user', 'operator', 'admin')"), 3);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM role_permission WHERE role = 'admin'"), 0);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM user_group WHERE id = 'all-users'"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_keeps_an_account_from_being_deleted),
        cmocka_unit_test(whose_something_is_always_points_at_his_account),
        cmocka_unit_test(ranks_are_roles_and_administrators_need_no_rows),
    };

    return cmocka_run_group_tests_name("schema", tests, store_schema_make, store_schema_drop);
}
