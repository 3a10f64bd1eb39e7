/* boundary: where a node's events are (contracts/events.md 17), by a file: GeoJSON (a Polygon, a MultiPolygon, or a
 * Feature of one) with `localities` beside it, a list of names. Read once at the start; read-only: any thread. */
#pragma once
#include "shared/err.h"
#include "shared/slice.h"

enum {
    BOUNDARY_FILE_MAX_BYTES = 1 << 20,
    BOUNDARY_POINTS_MAX = 20000,
    BOUNDARY_RINGS_MAX = 500,
    BOUNDARY_LOCALITIES_MAX = 1000
};

typedef struct Boundary Boundary;
/* Of `mem`. INVALID_ARGUMENT says what is wrong with it. */
Err boundary_parse(Arena *mem, Slice json, Boundary **out) MUST_CHECK;
Err boundary_load(Arena *mem, const char *path, Boundary **out) MUST_CHECK;

/* In an odd number of rings, so that holes are outside. Without rings everything is inside. */
bool boundary_has_point(const Boundary *b, double latitude, double longitude);
/* `locality` in any case and with or without accents. Without localities every one is. */
bool boundary_has_locality(Arena *mem, const Boundary *b, const char *locality);
