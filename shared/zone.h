/* zone: IANA time zones, from the system's tzdata (TZif files, RFC 8536): what a clock on the wall shows at an instant,
 * and which instant it shows something. glibc has one zone per process; this has all of them, for all threads.
 *
 * A "wall" time is the seconds from 1970-01-01T00:00 to what the clock shows, as if every day had 86400 of them. */
#pragma once
#include "shared/slice.h"

enum {
    ZONE_NAME_MAX_BYTES = 64,
    ZONE_FILE_MAX_BYTES = 256 * 1024, /* the largest has 4 KiB */
    ZONE_ABBREVIATION_BYTES = 12
};

typedef struct Zone Zone;
/* Zones read so far. One per process: files are read on first use and kept. Thread-safe. */
typedef struct Zones Zones;
Zones *zones_new(const char *folder); /* NULL: the system's */
void zones_free(Zones *zones);        /* with its zones; NULL is fine */
CLEANUP_FN(Zones, zones_free)

/* "America/Toronto", "UTC"; letters' case counts. NULL: there is no such zone. Valid as long as `zones`. */
const Zone *zones_find(Zones *zones, Slice name);
const char *zone_name(const Zone *zone);

/* Seconds east of UTC. Exact for ever, by the rule at the end of the file. */
int32_t zone_offset_s(const Zone *zone, int64_t unix_s);
int64_t zone_to_wall(const Zone *zone, int64_t unix_s);
/* RFC 5545 3.3.5: of two instants the first; a time that the clock skips is read with the offset from before the gap.
 */
int64_t zone_to_unix(const Zone *zone, int64_t wall_s);

/* When the clock is put forward or back. */
typedef struct ZoneChange {
    int64_t unix_s; /* from here on */
    int32_t from_offset_s, to_offset_s;
    bool daylight; /* what begins is daylight saving time */
    char abbreviation[ZONE_ABBREVIATION_BYTES];
} ZoneChange;
/* The latest change at or before, the earliest after. False: there is none. */
bool zone_change_before(const Zone *zone, int64_t unix_s, ZoneChange *out);
bool zone_change_after(const Zone *zone, int64_t unix_s, ZoneChange *out);
/* What holds now, "EST" or "-03": of a zone without changes, too. */
void zone_abbreviation(const Zone *zone, int64_t unix_s, char out[ZONE_ABBREVIATION_BYTES]);

/* Parsing alone, for tests. Owned by the caller; NULL for what is no TZif. */
Zone *zone_parse(Slice name, Slice file);
void zone_free(Zone *zone);
CLEANUP_FN(Zone, zone_free)
