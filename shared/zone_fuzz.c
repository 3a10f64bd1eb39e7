/* Fuzz target: time zone files. Whatever a file says, offsets stay within a day and instants come back. */
#include "shared/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t AT[] = {-4000000000, 0, 1700000000, 1720000000, 5000000000, 200000000000};
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Slice copy = slice_of(arena_memdup(mem, data, size), size);
    CLEANUP(zone_free_at) Zone *zone = zone_parse(SLICE_LIT("Some/Where"), copy);

    for (size_t i = 0; zone && i < ARRAY_LEN(AT); i++) {
        int64_t wall_s = zone_to_wall(zone, AT[i]);
        ZoneChange change;

        if (wall_s - AT[i] > 8 * 86400 || AT[i] - wall_s > 8 * 86400)
            abort();
        (void)zone_to_unix(zone, wall_s);
        if (zone_change_after(zone, AT[i], &change) && change.unix_s <= AT[i])
            abort();
        if (zone_change_before(zone, AT[i], &change) && change.unix_s > AT[i])
            abort();
    }
    return 0;
}
