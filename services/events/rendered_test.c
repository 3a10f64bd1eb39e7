/* What is kept of documents: by their number, as much as there is room for. */
#include "services/events/rendered.h"

#include "shared/testing.h"

static const Uuid ONE = {{1}}, OTHER = {{2}};

static void a_text_is_found_by_form_and_id(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Rendered *r = rendered_new(4096);
    Slice text = SLICE_LIT("");

    (void)state;
    rendered_keep(r, RENDERED_CARD, ONE, 7, SLICE_LIT("a card"));
    assert_int_equal(rendered_find(r, mem, RENDERED_CARD, ONE, &text), 7);
    assert_true(slice_eq_cstr(text, "a card"));
    assert_int_equal(rendered_find(r, mem, RENDERED_DOC, ONE, &text), 0);
    assert_int_equal(rendered_find(r, mem, RENDERED_CARD, OTHER, &text), 0);
    rendered_keep(r, RENDERED_CARD, ONE, 8, SLICE_LIT("another"));
    assert_int_equal(rendered_find(r, mem, RENDERED_CARD, ONE, &text), 8);
    assert_true(slice_eq_cstr(text, "another"));
    rendered_free(r);
}

static void the_least_recently_used_goes_first(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Rendered *r = rendered_new(4096);
    char bytes[400] = {0};
    Slice text;

    (void)state;
    rendered_keep(r, RENDERED_DOC, ONE, 1, slice_of(bytes, sizeof(bytes)));
    for (uint8_t i = 0; i < 100; i++) {
        rendered_keep(r, RENDERED_DOC, (Uuid){{2, i}}, 1, slice_of(bytes, sizeof(bytes)));
        assert_int_equal(rendered_find(r, mem, RENDERED_DOC, ONE, &text), 1);
    }
    assert_int_equal(rendered_find(r, mem, RENDERED_DOC, (Uuid){{2, 99}}, &text), 1);
    assert_int_equal(rendered_find(r, mem, RENDERED_DOC, (Uuid){{2, 50}}, &text), 0);
    rendered_free(r);
}

static void what_takes_too_much_is_not_kept(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Rendered *r = rendered_new(4096);
    char bytes[600] = {0};
    Slice text;

    (void)state;
    rendered_keep(r, RENDERED_DOC, ONE, 1, slice_of(bytes, sizeof(bytes)));
    assert_int_equal(rendered_find(r, mem, RENDERED_DOC, ONE, &text), 0);
    rendered_free(r);
    assert_null(rendered_new(0));
    rendered_keep(NULL, RENDERED_DOC, ONE, 1, SLICE_LIT("x"));
    assert_int_equal(rendered_find(NULL, mem, RENDERED_DOC, ONE, &text), 0);
    rendered_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_found_by_form_and_id),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(what_takes_too_much_is_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
