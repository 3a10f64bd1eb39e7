/* One-time codes by the vectors of RFC 6238, and recovery codes. */
#include "services/auth/totp.h"

#include <sodium.h>

#include "shared/testing.h"

static const Slice SECRET = SLICE_LIT("12345678901234567890");

/* Appendix B has eight digits: the last six are ours. */
static void codes_are_those_of_the_rfc(void **state)
{
    static const struct {
        int64_t time_s;
        int number;
    } CASES[] = {
        {59, 94287082},         {1111111109, 7081804},  {1111111111, 14050471},
        {1234567890, 89005924}, {2000000000, 69279037}, {20000000000, 65353130},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_int_equal(totp_number(SECRET, CASES[i].time_s / 30), CASES[i].number % 1000000);
}

static void a_code_is_good_a_step_before_and_after(void **state)
{
    static const struct {
        int64_t now_s;
        bool good;
    } CASES[] = {{1111111049, false}, {1111111050, true}, {1111111109, true}, {1111111139, true}, {1111111140, false}};
    int64_t step;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        step = 0;
        if (totp_check(SECRET, "081804", CASES[i].now_s, &step) != CASES[i].good)
            fail_msg("at %" PRId64, CASES[i].now_s);
        assert_int_equal(step, CASES[i].good ? 1111111109 / 30 : 0);
    }
}

static void what_is_no_code_is_not_good(void **state)
{
    static const char *const WORDS[] = {"", "81804", "0081804", "08180a", "081804 ", " 81804", "-81804", "+81804"};
    int64_t step;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        assert_false(totp_check(SECRET, WORDS[i], 1111111109, &step));
        assert_false(totp_looks_like_code(WORDS[i]));
    }
    assert_true(totp_looks_like_code("081804"));
}

/* RFC 4648, section 10. */
static void base32_is_that_of_the_rfc(void **state)
{
    static const char *const PAIRS[][2] = {{"", ""},
                                           {"f", "MY"},
                                           {"fo", "MZXQ"},
                                           {"foo", "MZXW6"},
                                           {"foob", "MZXW6YQ"},
                                           {"fooba", "MZXW6YTB"},
                                           {"foobar", "MZXW6YTBOI"}};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++)
        assert_string_equal(base32_encode(mem, slice(PAIRS[i][0])), PAIRS[i][1]);
}

static void the_url_is_escaped(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    assert_string_equal(totp_url(mem, "Our Place", "ann&b@example.com", "MZXW6"),
                        "otpauth://totp/Our%20Place:ann%26b%40example.com?secret=MZXW6&issuer=Our%20Place");
}

static void a_recovery_code_may_be_typed_in_any_way(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    char *code = recovery_code_make(mem);
    (void)state;

    assert_int_equal(strlen(code), 19);
    assert_string_not_equal(code, recovery_code_make(mem));
    assert_slice_equal(recovery_code_hash(mem, "abcd-efgh-2345-6723"), recovery_code_hash(mem, "ABCD EFGH23456723"));
    assert_false(
        slice_eq(recovery_code_hash(mem, "abcd-efgh-2345-6723"), recovery_code_hash(mem, "abcd-efgh-2345-6722")));
    /* However long it is, it is hashed within its bounds. */
    assert_int_equal(recovery_code_hash(mem, arena_printf(mem, "%0500d", 1)).len, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_those_of_the_rfc),  cmocka_unit_test(a_code_is_good_a_step_before_and_after),
        cmocka_unit_test(what_is_no_code_is_not_good), cmocka_unit_test(base32_is_that_of_the_rfc),
        cmocka_unit_test(the_url_is_escaped),          cmocka_unit_test(a_recovery_code_may_be_typed_in_any_way),
    };

    return sodium_init() < 0 ? 1 : RUN(tests);
}
