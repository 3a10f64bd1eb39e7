/* The background purge on a real PostgreSQL (TEST_DATABASE_URL), in a schema of its own. */
#include "services/auth/purge.h"

#include "services/auth/store_schema.h"

static void expired_logins_go_by_themselves(void **state)
{
    StoreSchema *s = *state;
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    const Auth auth = {.ids = s->schema.ids};
    Purge *purge;

    test_schema_script(&s->schema,
                       "INSERT INTO account (id, username, display_name, created_at, updated_at)"
                       " VALUES (1, 'ann', 'ann', now(), now());"
                       "INSERT INTO login (id, family_id, user_id, profile, user_agent, address, created_at,"
                       "  last_used_at, expires_at)"
                       " SELECT gen_random_uuid(), gen_random_uuid(), 1, 'all', '', '', now(), now(),"
                       "  now() - interval '25 h' FROM generate_series(1, 1200)");
    purge = purge_start(&(PurgeOptions){
        .auth = &auth, .db = s->schema.db, .clock = &SYSTEM_CLOCK, .metrics = metrics, .interval_ms = 10});
    WAIT_UNTIL(test_schema_count(&s->schema, "SELECT count(*) FROM login") == 0);
    purge_stop(purge);
    purge_stop(NULL);
}

static void erasures_that_nobody_reports_show(void **state)
{
    StoreSchema *s = *state;
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    Gauge *late = metrics_gauge(metrics, "atrium_auth_erasures_open",
                                "Erasures of accounts that some domain has not reported for 24 hours.", "");
    const Auth auth = {.ids = s->schema.ids};
    Purge *purge;

    test_schema_script(&s->schema, "INSERT INTO erasure (id, user_id, requested_at, completed_at) VALUES"
                                   " (gen_random_uuid(), 1, now() - interval '25 hours', NULL),"
                                   " (gen_random_uuid(), 2, now() - interval '25 hours', now()),"
                                   " (gen_random_uuid(), 3, now() - interval '23 hours', NULL)");
    purge = purge_start(&(PurgeOptions){
        .auth = &auth, .db = s->schema.db, .clock = &SYSTEM_CLOCK, .metrics = metrics, .interval_ms = 10});
    WAIT_UNTIL(gauge_value(late) >= 1);
    assert_int_equal((int)gauge_value(late), 1);
    purge_stop(purge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expired_logins_go_by_themselves),
        cmocka_unit_test(erasures_that_nobody_reports_show),
    };

    return cmocka_run_group_tests_name("purge", tests, store_schema_make, store_schema_drop);
}
