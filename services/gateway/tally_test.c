/* What one holds, and gives back. */
#include "services/gateway/tally.h"

#include "shared/testing.h"

static void each_holds_his_own_and_no_more(void **state)
{
    Tally t = {0};
    TallyEntry *a = tally_take(&t, SLICE_LIT("a"), 2), *b = tally_take(&t, SLICE_LIT("b"), 2);
    (void)state;

    assert_non_null(a);
    assert_ptr_equal(tally_take(&t, SLICE_LIT("a"), 2), a);
    assert_null(tally_take(&t, SLICE_LIT("a"), 2));
    assert_non_null(b);
    tally_give(&t, a);
    assert_ptr_equal(tally_take(&t, SLICE_LIT("a"), 2), a);
    tally_give(&t, a);
    tally_give(&t, a);
    tally_give(&t, b);
    tally_give(&t, NULL);
    assert_null(t.entries);
}

static void names_are_bytes(void **state)
{
    Tally t = {0};
    TallyEntry *one = tally_take(&t, slice_of("\0a", 2), 1), *other = tally_take(&t, slice_of("\0b", 2), 1);
    (void)state;

    assert_ptr_not_equal(one, other);
    assert_null(tally_take(&t, slice_of("\0a", 2), 1));
    assert_null(tally_take(&t, SLICE_LIT("nothing for anybody"), 0));
    tally_give(&t, one);
    tally_give(&t, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_holds_his_own_and_no_more),
        cmocka_unit_test(names_are_bytes),
    };

    return RUN(tests);
}
