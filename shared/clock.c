#include "shared/clock.h"

#include "shared/civil.h"

enum { US_PER_S = 1000000, NS_PER_S = 1000000000 };

static int64_t read_us(clockid_t id)
{
    struct timespec t;

    if (clock_gettime(id, &t) != 0)
        abort(); /* no such clock: not Linux */
    return (int64_t)t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

static int64_t system_unix_us(void *context)
{
    (void)context;
    return read_us(CLOCK_REALTIME);
}

static int64_t system_monotonic_us(void *context)
{
    (void)context;
    return read_us(CLOCK_MONOTONIC);
}

const Clock SYSTEM_CLOCK = {.unix_us = system_unix_us, .monotonic_us = system_monotonic_us};

/* ---------------------------------------------------------------------------------------------------- text */

static char *put_digits(char *at, int64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + count;
}

static int fewest_digits(int32_t nanos)
{
    if (nanos == 0)
        return 0;
    if (nanos % 1000000 == 0)
        return 3;
    return nanos % 1000 == 0 ? 6 : 9;
}

size_t time_format_ns(int64_t unix_s, int32_t nanos, int digits, char out[TIME_TEXT_BYTES])
{
    int64_t days = civil_floor_div(unix_s, CIVIL_S_PER_DAY), second = unix_s - days * CIVIL_S_PER_DAY;
    CivilDate d;
    char *at = out;

    out[0] = '\0';
    /* 0000-01-01 to 9999-12-31, asked first so that the arithmetic below cannot overflow. */
    if (days < -719528 || days > 2932896 || nanos < 0 || nanos >= NS_PER_S)
        return 0;
    d = civil_date(days);
    if (digits < 0)
        digits = fewest_digits(nanos);
    at = put_digits(at, d.year, 4);
    *at++ = '-';
    at = put_digits(at, d.month, 2);
    *at++ = '-';
    at = put_digits(at, d.day, 2);
    *at++ = 'T';
    at = put_digits(at, second / 3600, 2);
    *at++ = ':';
    at = put_digits(at, second / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, second % 60, 2);
    if (digits > 0) {
        *at++ = '.';
        (void)put_digits(at, nanos, 9); /* the digits too many are overwritten or cut below */
        at += MIN(digits, 9);
    }
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - out);
}

size_t time_format(int64_t unix_us, int digits, char out[TIME_TEXT_BYTES])
{
    int64_t unix_s = civil_floor_div(unix_us, US_PER_S);

    return time_format_ns(unix_s, (int32_t)(unix_us - unix_s * US_PER_S) * 1000, digits, out);
}

/* Takes exactly `count` digits off the beginning. */
static bool take_digits(Slice *s, int count, int *out)
{
    int value = 0;

    if (s->len < (size_t)count)
        return false;
    for (int i = 0; i < count; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9')
            return false;
        value = value * 10 + s->ptr[i] - '0';
    }
    *s = slice_skip(*s, (size_t)count);
    *out = value;
    return true;
}

/* Letters in either case. */
static bool take_char(Slice *s, char c)
{
    if (s->len == 0 || (s->ptr[0] != c && !(c >= 'A' && s->ptr[0] == (c | 0x20))))
        return false;
    *s = slice_skip(*s, 1);
    return true;
}

static bool take_fraction(Slice *s, int32_t *out_nanos)
{
    int32_t nanos = 0;
    int digits = 0, digit;

    *out_nanos = 0;
    if (s->len == 0 || s->ptr[0] != '.')
        return true;
    *s = slice_skip(*s, 1);
    for (; digits < 9 && take_digits(s, 1, &digit); digits++)
        nanos = nanos * 10 + digit;
    if (digits == 0)
        return false;
    for (; digits < 9; digits++)
        nanos *= 10;
    *out_nanos = nanos;
    return true;
}

static bool take_offset(Slice *s, int64_t *out_s)
{
    bool west;
    int hours, minutes;

    *out_s = 0;
    if (take_char(s, 'Z'))
        return true;
    west = s->len && s->ptr[0] == '-';
    if (!west && !(s->len && s->ptr[0] == '+'))
        return false;
    *s = slice_skip(*s, 1);
    if (!take_digits(s, 2, &hours) || !take_char(s, ':') || !take_digits(s, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *out_s = (hours * 60 + minutes) * (west ? -60 : 60);
    return true;
}

bool time_parse(Slice text, int64_t *out_unix_s, int32_t *out_nanos)
{
    int year, hour, minute, second;
    CivilDate d = {0};
    int64_t offset_s;
    int32_t nanos;

    if (!take_digits(&text, 4, &year) || !take_char(&text, '-') || !take_digits(&text, 2, &d.month) ||
        !take_char(&text, '-') || !take_digits(&text, 2, &d.day) || !take_char(&text, 'T') ||
        !take_digits(&text, 2, &hour) || !take_char(&text, ':') || !take_digits(&text, 2, &minute) ||
        !take_char(&text, ':') || !take_digits(&text, 2, &second) || !take_fraction(&text, &nanos) ||
        !take_offset(&text, &offset_s) || text.len)
        return false;
    d.year = year;
    if (!civil_date_exists(d) || hour > 23 || minute > 59 || second > 59)
        return false;
    *out_unix_s = civil_days(d) * CIVIL_S_PER_DAY + hour * 3600 + minute * 60 + second - offset_s;
    *out_nanos = nanos;
    return true;
}
