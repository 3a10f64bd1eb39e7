#include "shared/clock.h"

#include "shared/testing.h"

static void times_are_written_as_rfc_3339(void **state)
{
    static const struct {
        int64_t unix_s;
        int32_t nanos;
        int digits;
        const char *text;
    } CASES[] = {
        {0, 0, -1, "1970-01-01T00:00:00Z"},
        {0, 0, 3, "1970-01-01T00:00:00.000Z"},
        {1, 500000000, -1, "1970-01-01T00:00:01.500Z"},
        {1, 500000, -1, "1970-01-01T00:00:01.000500Z"},
        {1, 5, -1, "1970-01-01T00:00:01.000000005Z"},
        {1, 999999999, 6, "1970-01-01T00:00:01.999999Z"},
        {1, 999999999, 0, "1970-01-01T00:00:01Z"},
        {-1, 0, -1, "1969-12-31T23:59:59Z"},
        {951782400, 0, 0, "2000-02-29T00:00:00Z"},
        {1767225600, 123000000, 9, "2026-01-01T00:00:00.123000000Z"},
        {-62167219200, 0, 0, "0000-01-01T00:00:00Z"},
        {-62135596800, 0, 0, "0001-01-01T00:00:00Z"},
        {253402300799, 999999999, -1, "9999-12-31T23:59:59.999999999Z"},
        {253402300800, 0, 0, ""},
        {-62167219201, 0, 0, ""},
        {INT64_MAX, 0, 0, ""},
        {INT64_MIN, 0, 0, ""},
        {0, -1, 0, ""},
        {0, 1000000000, 0, ""},
    };
    char text[TIME_TEXT_BYTES];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_int_equal(time_format_ns(CASES[i].unix_s, CASES[i].nanos, CASES[i].digits, text), strlen(CASES[i].text));
        assert_string_equal(text, CASES[i].text);
    }
    assert_int_equal(time_format(-1, 6, text), 27);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
}

static void the_calendar_is_the_systems(void **state)
{
    char ours[TIME_TEXT_BYTES], theirs[TIME_TEXT_BYTES];
    (void)state;

    for (int64_t t = -62135596800; t < 253402300800; t += 86400 * 17 + 12345) {
        time_t seconds = (time_t)t;
        struct tm tm;
        int64_t back;
        int32_t nanos;
        assert_non_null(gmtime_r(&seconds, &tm));
        (void)time_format_ns(t, 0, 0, ours);
        (void)snprintf(theirs, sizeof(theirs), "%04d-%02d-%02dT%02d:%02d:%02dZ", (tm.tm_year + 1900) % 10000,
                       (tm.tm_mon + 1) % 100, tm.tm_mday % 100, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
        assert_string_equal(ours, theirs);
        assert_true(time_parse(slice(ours), &back, &nanos));
        assert_int_equal(back, t);
    }
}

static void times_are_read_with_offset_and_fraction(void **state)
{
    static const struct {
        const char *text;
        int64_t unix_s;
        int32_t nanos;
    } CASES[] = {
        {"1970-01-01T00:00:00Z", 0, 0},
        {"1970-01-01t00:00:00z", 0, 0},
        {"1970-01-01T01:00:00+01:00", 0, 0},
        {"1969-12-31T18:30:00-05:30", 0, 0},
        {"1970-01-01T00:00:00-00:00", 0, 0},
        {"1970-01-01T00:00:00.5Z", 0, 500000000},
        {"1970-01-01T00:00:00.000000001Z", 0, 1},
        {"2024-02-29T12:00:00Z", 1709208000, 0},
        {"0000-01-01T00:00:00Z", -62167219200, 0},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        int64_t unix_s;
        int32_t nanos;
        if (!time_parse(slice(CASES[i].text), &unix_s, &nanos))
            fail_msg("%s", CASES[i].text);
        assert_int_equal(unix_s, CASES[i].unix_s);
        assert_int_equal(nanos, CASES[i].nanos);
    }
}

static void anything_else_is_refused(void **state)
{
    static const char *const CASES[] = {
        "",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01 00:00:00Z",
        "1970-1-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "2016-12-31T23:59:60Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00.1234567890Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+01:60",
        "1970-01-01T00:00:00Zx",
        "+970-01-01T00:00:00Z",
        "1970\r01-01T00:00:00Z",
        "12026-01-01T00:00:00Z",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        int64_t unix_s;
        int32_t nanos;
        if (time_parse(slice(CASES[i]), &unix_s, &nanos))
            fail_msg("%s", CASES[i]);
    }
}

static void the_system_clock_runs(void **state)
{
    int64_t before = clock_monotonic_us(&SYSTEM_CLOCK);
    (void)state;

    assert_true(clock_unix_ms(&SYSTEM_CLOCK) > INT64_C(1700000000000));
    assert_true(clock_monotonic_us(&SYSTEM_CLOCK) >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_as_rfc_3339),
        cmocka_unit_test(the_calendar_is_the_systems),
        cmocka_unit_test(times_are_read_with_offset_and_fraction),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(the_system_clock_runs),
    };
    return RUN(tests);
}
