/* The vocabulary is sound: what writers and checkers rely on without looking. */
#include "services/events/terms.h"
#include "shared/testing.h"

static void names_and_iris_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERM_COUNT; i++) {
        assert_ptr_equal(term_find(TERMS[i].json), &TERMS[i]);
        assert_true(slice_starts_with(TERMS[i].iri, SLICE_LIT(SCHEMA_IRI)) ||
                    slice_starts_with(TERMS[i].iri, SLICE_LIT(SEL_IRI)));
        for (size_t k = 0; k < i; k++)
            assert_false(slice_eq(TERMS[i].iri, TERMS[k].iri));
    }
    assert_null(term_find(SLICE_LIT("@type")));
    assert_null(term_find(SLICE_LIT("")));
}

static void only_nodes_have_a_range_and_only_texts_a_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERM_COUNT; i++) {
        TermKind kind = TERMS[i].kind;
        bool text = kind == KIND_TEXT || kind == KIND_IRI || kind == KIND_DATE_TIME;

        assert_int_equal(TERMS[i].range != 0, kind == KIND_NODE);
        assert_int_equal(TERMS[i].max_chars != 0, text);
        assert_true(TERMS[i].families != 0);
        assert_true(TERMS[i].shown & (SHOWN_LISTS | SHOWN_DETAIL | SHOWN_PROVENANCE | SHOWN_TOMBSTONE));
    }
}

static void types_are_known_by_name_and_iri(void **state)
{
    (void)state;
    assert_ptr_equal(class_find(SLICE_LIT("MusicEvent")), &CLASSES[CLASS_MUSIC_EVENT]);
    assert_ptr_equal(class_find(SLICE_LIT("https://schema.org/MusicEvent")), &CLASSES[CLASS_MUSIC_EVENT]);
    assert_ptr_equal(class_find(SLICE_LIT("http://schema.org/Place")), &CLASSES[CLASS_PLACE]);
    assert_ptr_equal(class_find(SLICE_LIT("schema:Organization")), &CLASSES[CLASS_ORGANIZATION]);
    assert_string_equal(CLASSES[CLASS_MUSIC_EVENT].domain, "music");
    assert_null(class_find(SLICE_LIT("musicevent")));
    assert_null(class_find(SLICE_LIT("https://schema.org/")));
}

static void what_shapes_demand_may_be_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < TERM_COUNT; i++)
        for (unsigned family = 1; family <= FAMILY_THING; family <<= 1)
            if (term_is_required((Family)family, (TermId)i))
                assert_true(TERMS[i].families & family);
    assert_true(term_is_required(FAMILY_EVENT, TERM_NAME));
    assert_false(term_is_required(FAMILY_EVENT, TERM_DESCRIPTION));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_iris_are_unique),
        cmocka_unit_test(only_nodes_have_a_range_and_only_texts_a_length),
        cmocka_unit_test(types_are_known_by_name_and_iri),
        cmocka_unit_test(what_shapes_demand_may_be_there),
    };

    return RUN(tests);
}
