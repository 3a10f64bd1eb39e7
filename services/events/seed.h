/* seed: places and events for tests of reading, made by entity.h. For tests. */
#pragma once
#include "services/events/fixture.h"

/* Midnight UTC of a day in January 2030, as microseconds. */
int64_t seed_day(int day);
/* `count` events, at least 10: of all domains and modes, in three towns, and some with names that tests look for:
 * "Jazz at the Café", "Night of Jazz", "Sale: 100% off", "Three evenings" (days 5, 12, 19; the last in Québec), and
 * "Fiji" at 179.95 west. */
void seed_events(Fixture *f, int count);
