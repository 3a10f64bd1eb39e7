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

static const struct {
    const char *text;
    size_t count;
    bool single;
    const char *last; /* NULL: refused */
} VALUES[] = {
    {"", 0, true, ""},
    {" {\"a\": [1, \"}\"]}\n", 1, true, "{\"a\": [1, \"}\"]}"},
    {"{}\n{\"b\":1}", 2, false, "{\"b\":1}"},
    {"[{},{}] {\"c\":\"]\\\"\"}", 3, false, "{\"c\":\"]\\\"\"}"},
    {"[ ]", 0, false, ""},
    {"5", 1, true, "5"},
    {"nonsense{}", 2, false, "{}"},
    {"{}{}{}{}", 0, false, NULL},
    {"[1,2][3,4]", 0, false, NULL},
    {"{\"a\"", 0, true, NULL},
    {"[[[[", 0, true, NULL},
    {"\"\\", 0, true, NULL},
};

static void values_follow_each_other(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
        Slice *out;
        size_t count;
        bool single, good = batch_values(mem, slice(VALUES[i].text), 3, &out, &count, &single);

        if (good != (VALUES[i].last != NULL))
            fail_msg("%s", VALUES[i].text);
        if (!good)
            continue;
        assert_int_equal(count, VALUES[i].count);
        assert_true(single == VALUES[i].single);
        if (count)
            assert_slice_equal(out[count - 1], slice(VALUES[i].last));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(elements_are_as_they_were_written),
                                       cmocka_unit_test(values_follow_each_other)};

    return RUN(tests);
}
