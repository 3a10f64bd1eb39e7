/* when: points in time as submissions write them. No state: any thread. */
#pragma once
#include "shared/slice.h"
#include "shared/zone.h"

typedef struct When {
    bool present;
    bool all_day;    /* it was a date without a time */
    int64_t unix_us; /* of a date: the midnight that it begins with */
    int hour;        /* as written, in its own offset */
} When;

/* RFC 3339 with an offset; with `zone` (else NULL) also a date alone. False for anything else, and for years before
 * 1900 or after 2999. */
bool when_read(Slice text, const Zone *zone, When *out);
/* RFC 3339 in UTC, as few digits as keep it; borrowed from `mem`. */
const char *when_text(Arena *mem, int64_t unix_us);
