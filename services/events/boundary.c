/* boundary: see boundary.h. */
#include "services/events/boundary.h"

#include <errno.h>
#include <jansson.h>

#include "atrium/reasons.atrium.h"
#include "services/events/text.h"

typedef struct Point {
    double x, y; /* longitude, latitude */
} Point;

typedef struct Ring {
    const Point *points;
    size_t count;
} Ring;

struct Boundary {
    Ring rings[BOUNDARY_RINGS_MAX];
    size_t ring_count, point_count;
    Slice localities[BOUNDARY_LOCALITIES_MAX]; /* keys */
    size_t locality_count;
};

/* --- reading ----------------------------------------------------------------------------------------------------- */
static bool read_ring(Arena *mem, const json_t *list, Boundary *b)
{
    size_t count = json_array_size(list);
    Point *points = ARENA_ARRAY(mem, Point, MIN(count, (size_t)BOUNDARY_POINTS_MAX) + 1);

    if (count < 3 || b->ring_count == BOUNDARY_RINGS_MAX || count > BOUNDARY_POINTS_MAX - b->point_count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *at = json_array_get(list, i);

        if (!json_is_number(json_array_get(at, 0)) || !json_is_number(json_array_get(at, 1)))
            return false;
        points[i] = (Point){json_number_value(json_array_get(at, 0)), json_number_value(json_array_get(at, 1))};
    }
    b->point_count += count;
    b->rings[b->ring_count++] = (Ring){points, count};
    return true;
}

/* Of a Polygon (a list of rings) or a MultiPolygon (a list of those). */
static bool read_rings(Arena *mem, const json_t *list, bool multi, Boundary *b)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *part = json_array_get(list, i);

        if (multi ? !read_rings(mem, part, false, b) : !read_ring(mem, part, b))
            return false;
    }
    return json_array_size(list) > 0;
}

static bool read_shape(Arena *mem, const json_t *root, Boundary *b)
{
    const json_t *geometry = json_object_get(root, "geometry"), *shape = geometry ? geometry : root;
    const char *type = json_string_value(json_object_get(shape, "type"));
    const json_t *coordinates = json_object_get(shape, "coordinates");

    if (!coordinates)
        return true;
    return type && (strcmp(type, "Polygon") == 0 || strcmp(type, "MultiPolygon") == 0) &&
           read_rings(mem, coordinates, strcmp(type, "MultiPolygon") == 0, b);
}

static bool read_localities(Arena *mem, const json_t *list, Boundary *b)
{
    if (json_array_size(list) > BOUNDARY_LOCALITIES_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));

        if (!name || !*name)
            return false;
        b->localities[b->locality_count++] = text_key(mem, slice(arena_strdup(mem, name)));
    }
    return true;
}

Err boundary_parse(Arena *mem, Slice json, Boundary **out)
{
    Boundary *b = ARENA_NEW(mem, Boundary);
    json_error_t error;
    json_t *root = json_loadb(json.ptr ? json.ptr : "", json.len, 0, &error);
    bool shape = json_is_object(root) && read_shape(mem, root, b);
    bool localities = shape && read_localities(mem, json_object_get(root, "localities"), b);

    json_decref(root);
    if (!shape)
        return err_make(&INVALID_ARGUMENT, "boundary: a GeoJSON Polygon or MultiPolygon is needed");
    if (!localities)
        return err_make(&INVALID_ARGUMENT, "boundary: localities: a list of at most %d names", BOUNDARY_LOCALITIES_MAX);
    *out = b;
    return OK;
}

Err boundary_load(Arena *mem, const char *path, Boundary **out)
{
    char *bytes = arena_alloc_raw(mem, BOUNDARY_FILE_MAX_BYTES + 1, 1);
    FILE *file = fopen(path, "re");
    size_t len;

    if (!file)
        return err_errno(&INVALID_ARGUMENT, path);
    len = fread(bytes, 1, BOUNDARY_FILE_MAX_BYTES + 1, file);
    (void)fclose(file); /* it was only read */
    if (len > BOUNDARY_FILE_MAX_BYTES)
        return err_make(&INVALID_ARGUMENT, "%s: at most %d bytes", path, BOUNDARY_FILE_MAX_BYTES);
    return err_wrap(boundary_parse(mem, slice_of(bytes, len), out), path);
}

/* --- asking ------------------------------------------------------------------------------------------------------ */
/* A ray to the east crosses it an odd number of times. */
static bool ring_holds(const Ring *ring, Point p)
{
    bool inside = false;

    for (size_t i = 0, j = ring->count - 1; i < ring->count; j = i++) {
        Point a = ring->points[i], b = ring->points[j];

        if ((a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x)
            inside = !inside;
    }
    return inside;
}

bool boundary_has_point(const Boundary *b, double latitude, double longitude)
{
    bool inside = b->ring_count == 0;

    for (size_t i = 0; i < b->ring_count; i++)
        inside ^= ring_holds(&b->rings[i], (Point){longitude, latitude});
    return inside;
}

bool boundary_has_locality(Arena *mem, const Boundary *b, const char *locality)
{
    Slice key = text_key(mem, slice(locality));

    for (size_t i = 0; i < b->locality_count; i++)
        if (slice_eq(b->localities[i], key))
            return true;
    return b->locality_count == 0;
}
