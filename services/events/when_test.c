/* Points in time. */
#include "services/events/when.h"

#include "shared/testing.h"

static const struct {
    const char *in, *zone, *out; /* out NULL: refused */
    int hour;
} TIMES[] = {
    {"2026-07-04T19:00:00-04:00", NULL, "2026-07-04T23:00:00Z", 19},
    {"2026-07-04T23:00:00Z", NULL, "2026-07-04T23:00:00Z", 23},
    {" 2026-07-04t02:30:00.250+01:00 ", NULL, "2026-07-04T01:30:00.250Z", 2},
    {"2026-07-04T19:00:00", NULL, NULL, 0},
    {"2026-02-30T19:00:00Z", NULL, NULL, 0},
    {"2026-07-04", NULL, NULL, 0},
    {"2026-07-04", "America/Toronto", "2026-07-04T04:00:00Z", 0},
    {"2026-12-04", "America/Toronto", "2026-12-04T05:00:00Z", 0},
    {"2026-02-30", "America/Toronto", NULL, 0},
    {"2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", 0}, /* that day begins at one */
    {"1000-01-01T00:00:00Z", NULL, NULL, 0},
    {"9999-01-01T00:00:00Z", NULL, NULL, 0},
    {"tomorrow", "UTC", NULL, 0},
    {"", NULL, NULL, 0},
};

static void times_have_an_offset_and_dates_a_zone(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(zones_free_at) Zones *zones = zones_new(NULL);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(TIMES); i++) {
        When when = {.present = false};
        const Zone *zone = TIMES[i].zone ? zones_find(zones, slice(TIMES[i].zone)) : NULL;
        bool good = when_read(slice(TIMES[i].in), zone, &when);

        if (good != (TIMES[i].out != NULL))
            fail_msg("%s: %s", TIMES[i].in, good ? "taken" : "refused");
        if (!good)
            continue;
        assert_string_equal(when_text(mem, when.unix_us), TIMES[i].out);
        assert_int_equal(when.hour, TIMES[i].hour);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_have_an_offset_and_dates_a_zone),
    };

    return RUN(tests);
}
