/* Where a node's events are. */
#include "services/events/boundary.h"

#include "atrium/reasons.atrium.h"
#include "shared/testing.h"

/* A square with a hole, and a triangle. */
#define SQUARE "[[[0,0],[10,0],[10,10],[0,10],[0,0]],[[4,4],[6,4],[6,6],[4,6],[4,4]]]"
#define AREA                                                                                                           \
    "{\"type\":\"Feature\",\"geometry\":{\"type\":\"MultiPolygon\",\"coordinates\":[" SQUARE                           \
    ",[[[20,0],[22,0],[21,2]]]]},\"localities\":[\"Toronto\",\"Montr\xc3\xa9"                                          \
    "al\"]}"

static void points_are_inside_or_outside(void **state)
{
    static const struct {
        double latitude, longitude;
        bool inside;
    } POINTS[] = {{1, 1, true},   {9, 5, true},  {5, 5, false}, {11, 5, false},
                  {5, -1, false}, {1, 21, true}, {2, 20, false}};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Boundary *b;
    (void)state;

    assert_ok(boundary_parse(mem, SLICE_LIT(AREA), &b));
    for (size_t i = 0; i < ARRAY_LEN(POINTS); i++)
        if (boundary_has_point(b, POINTS[i].latitude, POINTS[i].longitude) != POINTS[i].inside)
            fail_msg("%g %g", POINTS[i].latitude, POINTS[i].longitude);
    assert_true(boundary_has_locality(mem, b, "montreal"));
    assert_false(boundary_has_locality(mem, b, "Ottawa"));
}

static void what_is_no_area_is_refused(void **state)
{
    static const char *const BAD[] = {"",
                                      "[]",
                                      "{\"type\":\"Point\",\"coordinates\":[1,2]}",
                                      "{\"type\":\"Polygon\",\"coordinates\":[]}",
                                      "{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1,1]]]}",
                                      "{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1,1],[2,\"x\"]]]}",
                                      "{\"localities\":[1]}"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Boundary *b;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_reason(boundary_parse(mem, slice(BAD[i]), &b), &INVALID_ARGUMENT);
    assert_ok(boundary_parse(mem, SLICE_LIT("{}"), &b));
    assert_true(boundary_has_point(b, 1, 2) && boundary_has_locality(mem, b, "anywhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_are_inside_or_outside),
        cmocka_unit_test(what_is_no_area_is_refused),
    };

    return RUN(tests);
}
