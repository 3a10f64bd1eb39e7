/* Lists cut into what was sent. */
#include "services/events/batch.h"

#include "shared/testing.h"

static const struct {
    const char *list;
    size_t count;
    const char *last; /* NULL: too many */
} LISTS[] = {
    {"[]", 0, ""},
    {" [ ] ", 0, ""},
    {"[1]", 1, "1"},
    {"[ {\"a\": [1, 2]} , {\"b\":\"],}\\\"\"} ]", 2, "{\"b\":\"],}\\\"\"}"},
    {"[\"\\\\\",[[],[{}]]]", 2, "[[],[{}]]"},
    {"[1,2,3,4]", 0, NULL},
};

static void elements_are_as_they_were_written(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(LISTS); i++) {
        Slice *out;
        size_t count;
        bool good = batch_split(mem, slice(LISTS[i].list), 3, &out, &count);

        assert_true(good == (LISTS[i].last != NULL));
        if (!good)
            continue;
        assert_int_equal(count, LISTS[i].count);
        if (count)
            assert_slice_equal(out[count - 1], slice(LISTS[i].last));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(elements_are_as_they_were_written)};

    return RUN(tests);
}
