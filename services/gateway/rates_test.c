/* Tests of the rate limits, alone and with Redis. */
#include "services/gateway/rates.h"

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

static const RateRule LOGIN = {.name = "login", .limit = 3, .window_ms = 1000, .exact = true};
static const RateRule POSTS = {.name = "posts", .limit = 3, .window_ms = 60000};

typedef struct Fixture {
    Loop *loop;
    Metrics *metrics;
    Cache *cache;
    Rates *rates;
} Fixture;

static void set_up(Fixture *f, const char *redis_url, size_t entries)
{
    f->loop = loop_new();
    f->metrics = metrics_new();
    assert_ok(cache_new(redis_url, "rates-test", NULL, f->metrics, &f->cache));
    f->rates = rates_new(&(RatesOptions){.loop = f->loop,
                                         .cache = f->cache,
                                         .metrics = f->metrics,
                                         .shared = redis_url[0] != '\0',
                                         .entries_max = entries});
}

static void tear_down(Fixture *f)
{
    rates_free(f->rates);
    cache_free(f->cache);
    metrics_free(f->metrics);
    loop_free(f->loop);
}

static RateDecision take(Fixture *f, const RateRule *rule, const char *key, int64_t now_ms)
{
    RateDecision decision = {.allowed = false};

    assert_true(rates_take(f->rates, rule, slice(key), now_ms, NULL, NULL, &decision));
    return decision;
}

static void a_window_begins_with_its_first_use(void **state)
{
    Fixture f;
    RateDecision d;
    (void)state;

    set_up(&f, "", 1000);
    d = take(&f, &LOGIN, "a", 500);
    assert_true(d.allowed);
    assert_int_equal(d.remaining, 2);
    assert_int_equal(d.reset_ms, 1000);
    assert_true(take(&f, &LOGIN, "a", 900).allowed);
    assert_true(take(&f, &LOGIN, "a", 1000).allowed);
    d = take(&f, &LOGIN, "a", 1499);
    assert_false(d.allowed);
    assert_int_equal(d.remaining, 0);
    assert_int_equal(d.reset_ms, 1);
    assert_true(take(&f, &LOGIN, "b", 1499).allowed); /* another caller */
    d = take(&f, &LOGIN, "a", 1500);
    assert_true(d.allowed);
    assert_int_equal(d.remaining, 2);
    tear_down(&f);
}

static void a_full_table_forgets_but_does_not_grow(void **state)
{
    Fixture f;
    char key[32];
    (void)state;

    set_up(&f, "", 16);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        assert_true(take(&f, &POSTS, key, i).allowed);
    }
    assert_int_equal(take(&f, &POSTS, "key-999", 1000).remaining, 1); /* the latest is still known */
    tear_down(&f);
}

static void overrides_replace_limits(void **state)
{
    RateRule rules[] = {LOGIN, POSTS};
    (void)state;

    assert_ok(rates_apply_overrides(rules, 2, " login = 100 / 60 , posts=0, unknown=5,"));
    assert_int_equal(rules[0].limit, 100);
    assert_int_equal(rules[0].window_ms, 60000);
    assert_int_equal(rules[1].limit, 0);
    assert_int_equal(rules[1].window_ms, 60000);
    assert_ok(rates_apply_overrides(rules, 2, "off"));
    assert_int_equal(rules[0].limit, 0);
    assert_ok(rates_apply_overrides(rules, 2, ""));
}

static void callers_of_a_tier_have_its_limit(void **state)
{
    RateRule tiers[] = {{.name = "commons", .tier = "agent", .limit = 300, .window_ms = 60000},
                        {.name = "commons", .tier = "admin", .limit = 0, .window_ms = 60000}};
    RateRule rules[] = {{.name = "commons", .limit = 60, .window_ms = 60000, .tiers = tiers, .tier_count = 2}};
    (void)state;

    assert_int_equal(rate_rule_for(rules, NULL)->limit, 60);
    assert_int_equal(rate_rule_for(rules, "")->limit, 60);
    assert_int_equal(rate_rule_for(rules, "agent")->limit, 300);
    assert_int_equal(rate_rule_for(rules, "admin")->limit, 0);
    assert_int_equal(rate_rule_for(rules, "golden")->limit, 60);
    assert_ok(rates_apply_overrides(rules, 1, "commons.agent=5/10,commons.golden=1,other.admin=7"));
    assert_int_equal(rules[0].limit, 60);
    assert_int_equal(tiers[0].limit, 5);
    assert_int_equal(tiers[0].window_ms, 10000);
    assert_int_equal(tiers[1].limit, 0);
    assert_ok(rates_apply_overrides(rules, 1, "commons=7"));
    assert_int_equal(rules[0].limit, 7);
    assert_int_equal(tiers[0].limit, 5);
    assert_ok(rates_apply_overrides(rules, 1, "off"));
    assert_int_equal(rules[0].limit + tiers[0].limit + tiers[1].limit, 0);
}

static void bad_overrides_are_refused(void **state)
{
    static const char *const BAD[] = {"login", "login=x", "login=5/0", "login=5/x", "login=-1", "login=99999999999"};
    RateRule rules[] = {LOGIN};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_reason(rates_apply_overrides(rules, 1, BAD[i]), &INVALID_ARGUMENT);
}

/* --- with Redis -------------------------------------------------------------------------------------------------- */
static const char *redis_url(void)
{
    const char *url = getenv("TEST_REDIS_URL");

    if (!url)
        fail_msg("TEST_REDIS_URL is not set: tests/run-units provides it");
    return url;
}

typedef struct Answer {
    bool came;
    RateDecision decision;
} Answer;

static void note_answer(void *data, RateDecision decision)
{
    Answer *answer = data;

    answer->came = true;
    answer->decision = decision;
}

static RateDecision take_exactly(Fixture *f, const char *key)
{
    Answer answer = {.came = false};

    if (rates_take(f->rates, &LOGIN, slice(key), loop_now_ms(f->loop), note_answer, &answer, &answer.decision))
        return answer.decision;
    for (int i = 0; i < 500 && !answer.came; i++)
        loop_turn(f->loop, 10);
    assert_true(answer.came);
    return answer.decision;
}

static const char *fresh_key(char out[64])
{
    snprintf(out, 64, "key-%" PRIx64 "-%d", (uint64_t)time(NULL), rand());
    return out;
}

static void exact_limits_hold_over_two_gateways(void **state)
{
    Fixture one, two;
    char key[64];
    (void)state;

    set_up(&one, redis_url(), 100);
    set_up(&two, redis_url(), 100);
    fresh_key(key);
    assert_true(take_exactly(&one, key).allowed);
    assert_true(take_exactly(&two, key).allowed);
    assert_int_equal(take_exactly(&one, key).remaining, 0);
    assert_false(take_exactly(&two, key).allowed);
    tear_down(&one);
    tear_down(&two);
}

/* One more use, and what is left by what `f` knows. */
static uint32_t remaining_after_one_more(Fixture *f, const char *key)
{
    return take(f, &(RateRule){.name = "wide", .limit = 1000, .window_ms = 60000}, key, loop_now_ms(f->loop)).remaining;
}

static void leased_limits_are_settled_between_gateways(void **state)
{
    const RateRule wide = {.name = "wide", .limit = 1000, .window_ms = 60000};
    Fixture one, two;
    char key[64];
    uint32_t remaining = 1000;
    (void)state;

    set_up(&one, redis_url(), 100);
    set_up(&two, redis_url(), 100);
    fresh_key(key);
    loop_turn(one.loop, 0);
    loop_turn(two.loop, 0);
    for (int i = 0; i < 500; i++)
        assert_true(take(&one, &wide, key, loop_now_ms(one.loop)).allowed);
    /* `two` learns of them when its own uses are settled. */
    for (int i = 0; i < 300 && remaining > 500; i++) {
        loop_turn(one.loop, 10);
        loop_turn(two.loop, 10);
        remaining = remaining_after_one_more(&two, key);
    }
    assert_true(remaining < 500);
    tear_down(&one);
    tear_down(&two);
}

static void without_redis_each_gateway_counts_alone(void **state)
{
    Fixture f;
    (void)state;

    set_up(&f, "redis://127.0.0.1:1", 100); /* nobody listens there */
    assert_false(rates_settled(f.rates));
    for (int i = 0; i < 3; i++)
        assert_true(take_exactly(&f, "x").allowed);
    assert_false(take_exactly(&f, "x").allowed);
    for (int i = 0; i < 30; i++)
        loop_turn(f.loop, 10);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_begins_with_its_first_use),
        cmocka_unit_test(a_full_table_forgets_but_does_not_grow),
        cmocka_unit_test(overrides_replace_limits),
        cmocka_unit_test(callers_of_a_tier_have_its_limit),
        cmocka_unit_test(bad_overrides_are_refused),
        cmocka_unit_test(exact_limits_hold_over_two_gateways),
        cmocka_unit_test(leased_limits_are_settled_between_gateways),
        cmocka_unit_test(without_redis_each_gateway_counts_alone),
    };

    srand((unsigned)time(NULL));
    return RUN(tests);
}
