/* Members of stored documents. */
#include "services/events/members.h"

#include "shared/testing.h"

static void members_are_found_whatever_their_values_hold(void **state)
{
    static const char JSON[] = "{\"a\":\"x,}\\\"]\", \"b\" : {\"c\":[1,{\"d\":2}]},\"e\":-1.5e3 ,\"f\":[],\"g\":null}";
    static const char *const VALUES[] = {"\"x,}\\\"]\"", "{\"c\":[1,{\"d\":2}]}", "-1.5e3", "[]", "null"};
    Member list[MEMBERS_MAX];
    size_t count = members_of(slice(JSON), list);

    (void)state;
    assert_int_equal(count, ARRAY_LEN(VALUES));
    for (size_t i = 0; i < count; i++)
        assert_true(slice_eq_cstr(list[i].value, VALUES[i]));
    assert_true(slice_eq_cstr(members_find(list, count, SLICE_LIT("e"))->value, "-1.5e3"));
    assert_null(members_find(list, count, SLICE_LIT("c")));
}

static void what_is_no_object_has_no_members(void **state)
{
    static const struct {
        const char *json;
        size_t count;
    } CASES[] = {{"", 0},
                 {"[]", 0},
                 {"{}", 0},
                 {"{\"a\"", 0},
                 {"{\"a\":", 0},
                 {"{\"a", 0},
                 {"{\"a\":\"x", 0},
                 {"{a:1}", 0},
                 {"{\"a\":1,b:2}", 1},
                 {"{\"a\":{\"b\":1}", 1},
                 {"{\"a\\", 0},
                 {"{\"a\":1,\"b\"", 1}};
    Member list[MEMBERS_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_int_equal(members_of(slice(CASES[i].json), list), CASES[i].count);
}

static void pointers_lead_into_objects_and_arrays(void **state)
{
    static const char JSON[] =
        "{\"location\":{\"address\":{\"postalCode\":\"K1\"}},\"offers\":[{\"price\":1},{\"price\":2}]}";
    static const struct {
        const char *pointer, *value;
    } CASES[] = {{"/location/address/postalCode", "\"K1\""},
                 {"/offers/1/price", "2"},
                 {"/offers/2", NULL},
                 {"/offers/x", NULL},
                 {"/nothing", NULL},
                 {"location", NULL},
                 {"/location/address/postalCode/x", NULL},
                 {"/", NULL},
                 {"/offers/0", "{\"price\":1}"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Slice value;
        bool found = members_at(slice(JSON), slice(CASES[i].pointer), &value);

        assert_int_equal(found, CASES[i].value != NULL);
        if (found)
            assert_true(slice_eq_cstr(value, CASES[i].value));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_whatever_their_values_hold),
        cmocka_unit_test(what_is_no_object_has_no_members),
        cmocka_unit_test(pointers_lead_into_objects_and_arrays),
    };

    return RUN(tests);
}
