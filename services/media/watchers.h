/* watchers: those who wait for news of a processing. Thread-safe. */
#pragma once
#include "shared/clock.h"

typedef struct Watchers Watchers;
Watchers *watchers_new(void);
/* When nobody waits any more. NULL is fine. */
void watchers_free(Watchers *w);
/* There is news in the table; of whom does not matter. NULL is fine. */
void watchers_wake(Watchers *w);
/* How much news there was so far: to be asked before the table is read. */
uint64_t watchers_count(Watchers *w);
/* Until there is more news than `count`, `timeout_ms` is over, or all is to stop. False when it is. */
bool watchers_wait(Watchers *w, uint64_t count, int64_t timeout_ms);
void watchers_stop(Watchers *w);
