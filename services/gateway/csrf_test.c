#include "services/gateway/csrf.h"

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

static const char SEED[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const int64_t NOON_MS = INT64_C(86400000) * 20000 + 43200000, DAY_MS = 86400000;

static void a_token_is_good_for_its_owner_today_and_tomorrow(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const Csrf *csrf, *same, *other;
    Slice ann = SLICE_LIT("ann's login"), token;
    (void)state;

    assert_ok(csrf_new(mem, slice(SEED), &csrf));
    assert_ok(csrf_new(mem, slice(SEED), &same));
    assert_ok(csrf_new(mem, SLICE_LIT("00"), &other));
    token = slice(csrf_token(csrf, mem, ann, NOON_MS));
    assert_true(csrf_matches(same, mem, ann, NOON_MS, token));
    assert_true(csrf_matches(csrf, mem, ann, NOON_MS + DAY_MS, token));
    assert_false(csrf_matches(csrf, mem, ann, NOON_MS + 2 * DAY_MS, token));
    assert_false(csrf_matches(csrf, mem, ann, NOON_MS - DAY_MS, token));
    assert_false(csrf_matches(csrf, mem, SLICE_LIT("bob's login"), NOON_MS, token));
    assert_false(csrf_matches(other, mem, ann, NOON_MS, token));
}

static void nothing_near_a_token_is_one(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice ann = SLICE_LIT("ann's login");
    const Csrf *csrf;
    char *token;
    (void)state;

    assert_ok(csrf_new(mem, slice(SEED), &csrf));
    token = csrf_token(csrf, mem, ann, NOON_MS);
    assert_false(csrf_matches(csrf, mem, ann, NOON_MS, SLICE_LIT("")));
    assert_false(csrf_matches(csrf, mem, ann, NOON_MS, slice_take(slice(token), 42)));
    assert_false(csrf_matches(csrf, mem, ann, NOON_MS, slice(arena_printf(mem, "%s=", token))));
    for (char *at = token; *at; at++) {
        char original = *at;

        *at = original == 'A' ? 'B' : 'A';
        assert_false(csrf_matches(csrf, mem, ann, NOON_MS, slice(token)));
        *at = original;
    }
}

static void a_key_that_cannot_be_read_is_refused(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const Csrf *csrf;
    (void)state;

    assert_reason(csrf_new(mem, SLICE_LIT(""), &csrf), &INVALID_ARGUMENT);
    assert_reason(csrf_new(mem, SLICE_LIT("0x"), &csrf), &INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_good_for_its_owner_today_and_tomorrow),
        cmocka_unit_test(nothing_near_a_token_is_one),
        cmocka_unit_test(a_key_that_cannot_be_read_is_refused),
    };
    return RUN(tests);
}
