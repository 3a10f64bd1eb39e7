/* Documents against their shapes. That others read the shapes is tests/integration/test_events_documents.py. */
#include "services/events/shapes.h"
#include "shared/testing.h"

static void faults_are_named_by_pointers(void **state)
{
    static const struct {
        const char *json, *pointer, *code; /* NULL: it conforms */
    } CASES[] = {
        {"{\"@type\":\"Event\",\"name\":\"x\",\"startDate\":\"2026-07-01T19:00:00Z\",\"location\":{\"name\":\"Hall\"}}",
         NULL, NULL},
        {"{\"@type\":\"Event\",\"startDate\":\"2026-07-01T19:00:00Z\",\"location\":{\"name\":\"Hall\"}}", "/name",
         "required"},
        {"{\"@type\":\"Event\",\"name\":\"x\",\"startDate\":\"2026-07-01T19:00:00Z\",\"location\":{\"@type\":\"Place\"}"
         "}",
         "/location/name", "required"},
        {"{\"@type\":\"Place\",\"name\":\"x\",\"geo\":{\"latitude\":91.5,\"longitude\":2}}", "/geo/latitude",
         "out_of_range"},
        {"{\"@type\":\"Event\",\"name\":\"x\",\"startDate\":\"2026-07-01T19:00:00Z\",\"location\":{\"name\":\"Hall\"},"
         "\"offers\":[{\"price\":1},{\"priceCurrency\":\"CANADIAN\"}]}",
         "/offers/1/priceCurrency", "too_long"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        ShapeFault *faults;
        Node *node;
        size_t count;

        assert_true(node_read(mem, slice(CASES[i].json), &node));
        count = shapes_check(mem, node, &faults);
        assert_int_equal(count, CASES[i].pointer ? 1 : 0);
        if (count == 0)
            continue;
        assert_slice_equal(faults[0].pointer, slice(CASES[i].pointer));
        assert_string_equal(faults[0].code, CASES[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_named_by_pointers),
    };

    return RUN(tests);
}
