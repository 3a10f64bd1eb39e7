/* clock: where time comes from, so that tests can set it. Thread-safe. */
#pragma once
#include "shared/slice.h"

typedef struct Clock {
    int64_t (*unix_us)(void *context);      /* wall clock, microseconds since 1970 UTC */
    int64_t (*monotonic_us)(void *context); /* never goes back; for deadlines */
    void *context;
} Clock;

extern const Clock SYSTEM_CLOCK;

static inline int64_t clock_unix_us(const Clock *c)
{
    return c->unix_us(c->context);
}
static inline int64_t clock_unix_ms(const Clock *c)
{
    return c->unix_us(c->context) / 1000;
}
static inline int64_t clock_monotonic_ms(const Clock *c)
{
    return c->monotonic_us(c->context) / 1000;
}
static inline int64_t clock_monotonic_us(const Clock *c)
{
    return c->monotonic_us(c->context);
}

/* RFC 3339 in UTC with `Z`; `digits` is 0, 3, 6 or 9, or -1 for as few of these as keep the value. Returns the length;
 * 0 and "" for a year outside 0 to 9999 or nanos outside 0 to 999999999. The second form also takes nanoseconds. */
#define TIME_TEXT_BYTES 36
size_t time_format(int64_t unix_us, int digits, char out[TIME_TEXT_BYTES]);
size_t time_format_ns(int64_t unix_s, int32_t nanos, int digits, char out[TIME_TEXT_BYTES]);
/* RFC 3339 with an offset or Z, up to 9 fractional digits; false on anything else, a leap second included: Unix time
 * has no number for it. */
bool time_parse(Slice text, int64_t *out_unix_s, int32_t *out_nanos);
