/* when: see when.h. */
#include "services/events/when.h"

#include "shared/clock.h"

enum { YEAR_MIN = 1900, YEAR_MAX = 2999, DATE_BYTES = 10, HOUR_AT = 11 };

static bool digits(Slice s, size_t at, size_t count, int *out)
{
    *out = 0;
    for (size_t i = at; i < at + count; i++) {
        if (i >= s.len || s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        *out = *out * 10 + (s.ptr[i] - '0');
    }
    return true;
}

/* The midnight that a day begins with. */
static bool read_date(Slice text, const Zone *zone, int64_t *out_us)
{
    char midnight[32];
    int64_t wall_s;
    int32_t nanos;

    snprintf(midnight, sizeof(midnight), SLICE_FMT "T00:00:00Z", SLICE_ARG(text));
    if (!time_parse(slice(midnight), &wall_s, &nanos))
        return false;
    *out_us = zone_to_unix(zone, wall_s) * 1000000;
    return true;
}

bool when_read(Slice text, const Zone *zone, When *out)
{
    int64_t seconds;
    int32_t nanos;
    int year;
    When when = {.present = true};

    text = slice_trim(text);
    if (!digits(text, 0, 4, &year) || year < YEAR_MIN || year > YEAR_MAX)
        return false;
    if (text.len == DATE_BYTES) {
        when.all_day = true;
        if (!zone || !read_date(text, zone, &when.unix_us))
            return false;
    } else if (time_parse(text, &seconds, &nanos) && digits(text, HOUR_AT, 2, &when.hour)) {
        when.unix_us = seconds * 1000000 + nanos / 1000;
    } else {
        return false;
    }
    *out = when;
    return true;
}

const char *when_text(Arena *mem, int64_t unix_us)
{
    char text[TIME_TEXT_BYTES];

    (void)time_format(unix_us, -1, text);
    return arena_strdup(mem, text);
}
