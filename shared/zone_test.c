/* Time zones; many more against Python's in tests/calendar. */
#include "shared/civil.h"
#include "shared/testing.h"
#include "shared/zone.h"

static int64_t wall(int year, int month, int day, int hour, int minute)
{
    return civil_days((CivilDate){.year = year, .month = month, .day = day}) * CIVIL_S_PER_DAY + hour * 3600 +
           minute * 60;
}

static void a_skipped_hour_is_read_with_the_offset_before_and_a_doubled_one_is_the_first(void **state)
{
    CLEANUP(zones_free_at) Zones *zones = zones_new(NULL);
    const Zone *toronto = zones_find(zones, SLICE_LIT("America/Toronto"));

    (void)state;
    assert_non_null(toronto);
    assert_int_equal(zone_to_unix(toronto, wall(2026, 3, 8, 2, 30)), wall(2026, 3, 8, 7, 30));
    assert_int_equal(zone_to_unix(toronto, wall(2026, 11, 1, 1, 30)), wall(2026, 11, 1, 5, 30));
    /* Behind the last change of the file its rule goes on. */
    assert_int_equal(zone_offset_s(toronto, wall(2150, 7, 1, 0, 0)), -4 * 3600);
    assert_int_equal(zone_offset_s(toronto, wall(2150, 1, 1, 0, 0)), -5 * 3600);
}

static void changes_are_told_with_what_begins(void **state)
{
    CLEANUP(zones_free_at) Zones *zones = zones_new(NULL);
    const Zone *berlin = zones_find(zones, SLICE_LIT("Europe/Berlin"));
    ZoneChange c;

    (void)state;
    assert_true(zone_change_after(berlin, wall(2026, 1, 1, 0, 0), &c));
    assert_int_equal(c.unix_s, wall(2026, 3, 29, 1, 0));
    assert_true(c.daylight && c.from_offset_s == 3600 && c.to_offset_s == 7200);
    assert_string_equal(c.abbreviation, "CEST");
    assert_true(zone_change_before(berlin, wall(2060, 1, 1, 0, 0), &c));
    assert_string_equal(c.abbreviation, "CET");
    assert_false(zone_change_after(zones_find(zones, SLICE_LIT("UTC")), 0, &c));
}

static void a_zone_is_read_once_and_what_is_none_is_refused(void **state)
{
    CLEANUP(zones_free_at) Zones *zones = zones_new(NULL);
    static const char *const NONE[] = {"",    "america/toronto", "../../etc/passwd", "America", "right/UTC", "A/../UTC",
                                       "/UTC"};

    (void)state;
    assert_ptr_equal(zones_find(zones, SLICE_LIT("UTC")), zones_find(zones, SLICE_LIT("UTC")));
    assert_string_equal(zone_name(zones_find(zones, SLICE_LIT("Asia/Kolkata"))), "Asia/Kolkata");
    for (size_t i = 0; i < ARRAY_LEN(NONE); i++)
        assert_null(zones_find(zones, slice(NONE[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_skipped_hour_is_read_with_the_offset_before_and_a_doubled_one_is_the_first),
        cmocka_unit_test(changes_are_told_with_what_begins),
        cmocka_unit_test(a_zone_is_read_once_and_what_is_none_is_refused),
    };

    return RUN(tests);
}
