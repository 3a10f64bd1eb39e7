/* tally: how many of something each one holds at a time, and no more: sockets of an address, streams of a caller. Who
 * holds nothing takes no memory. Loop thread only. */
#pragma once
#include <stddef.h>

#include "shared/slice.h"

typedef struct TallyEntry TallyEntry;
typedef struct Tally { /* zeroed: nobody holds anything */
    TallyEntry *entries;
} Tally;

/* One more of `who`'s, which is copied; NULL: he has `most` already, or there is nothing to have. */
TallyEntry *tally_take(Tally *t, Slice who, int64_t most);
/* One less; NULL is fine. */
void tally_give(Tally *t, TallyEntry *entry);
