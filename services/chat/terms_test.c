/* Queries, taken apart. */
#include "services/chat/terms.h"

#include "shared/testing.h"

typedef struct Case {
    const char *query, *texts[4];
    int64_t kinds[4];
} Case;

static const Case CASES[] = {
    {.query = ""},
    {.query = "  \t"},
    {.query = "fox", .texts = {"fox"}},
    {.query = "quick  fox", .texts = {"quick", "fox"}},
    {.query = "\"quick fox\" dog", .texts = {"quick fox", "dog"}, .kinds = {TERM_PHRASE, TERM_WORD}},
    {.query = "a\"b c\"d", .texts = {"a", "b c", "d"}, .kinds = {TERM_WORD, TERM_PHRASE, TERM_WORD}},
    {.query = "\"not closed", .texts = {"not closed"}, .kinds = {TERM_PHRASE}},
    {.query = "\"\" \" \" x", .texts = {"x"}},
    {.query = "fo* *", .texts = {"fo"}, .kinds = {TERM_PREFIX}},
    {.query = "a & !b | (c)", .texts = {"a", "&", "!b", "|"}},
};

static void a_query_is_cut_into_terms(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Terms terms;
        size_t count = 0;

        terms_read(slice(CASES[i].query), &terms);
        for (; count < 4 && CASES[i].texts[count]; count++) {
            assert_true(count < terms.count);
            assert_true(slice_eq_cstr(terms.texts[count], CASES[i].texts[count]));
            assert_int_equal(terms.kinds[count], CASES[i].kinds[count]);
        }
        assert_true(terms.count == count || count == 4);
    }
}

static void no_more_terms_than_may_be(void **state)
{
    char query[TERMS_MAX * 4];
    Terms terms;

    (void)state;
    memset(query, ' ', sizeof query);
    for (size_t i = 0; i < sizeof query; i += 2)
        query[i] = 'x';
    terms_read(slice_of(query, sizeof query), &terms);
    assert_int_equal(terms.count, TERMS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_is_cut_into_terms),
        cmocka_unit_test(no_more_terms_than_may_be),
    };

    return RUN(tests);
}
