/* Names that have codes. */
#include "services/events/codes.h"

#include "shared/testing.h"

static const struct {
    const char *in, *out;
} COUNTRIES[] = {{"Canada", "CA"},     {"ca", "CA"},
                 {"CAN", "CA"},        {"United States", "US"},
                 {"USA", "US"},        {"U.S.A.", "US"},
                 {"Frankreich", "FR"}, {"Allemagne", "DE"},
                 {"UK", "GB"},         {"T\xc3\xbcrkiye", "TR"},
                 {"Narnia", "Narnia"}, {"", ""},
                 {"zz", "zz"}};

static const struct {
    const char *in, *country, *out;
} REGIONS[] = {{"Ontario", "CA", "ON"},
               {"on", "", "ON"},
               {"Qu\xc3\xa9"
                "bec",
                "", "QC"},
               {"California", "", "CA"},
               {"california", "US", "CA"},
               {"California", "CA", "California"},
               {"Bavaria", "DE", "Bavaria"},
               {"", "", ""}};

static const struct {
    const char *in, *out;
} LANGUAGES[] = {{"EN", "en"},           {"fr-ca", "fr-CA"}, {"zh-hant-tw", "zh-Hant-TW"},
                 {"english", "english"}, {"e", NULL},        {"en_US!", NULL},
                 {"<b>", NULL},          {"", NULL}};

static void names_become_codes(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(COUNTRIES); i++)
        assert_string_equal(code_country(mem, slice(COUNTRIES[i].in)), COUNTRIES[i].out);
    for (size_t i = 0; i < ARRAY_LEN(REGIONS); i++)
        assert_string_equal(code_region(mem, slice(REGIONS[i].in), REGIONS[i].country), REGIONS[i].out);
    for (size_t i = 0; i < ARRAY_LEN(LANGUAGES); i++)
        assert_slice_equal(slice(code_language(mem, slice(LANGUAGES[i].in))), slice(LANGUAGES[i].out));
    assert_string_equal(code_currency(mem, SLICE_LIT("cad")), "CAD");
    assert_null(code_currency(mem, SLICE_LIT("$")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_become_codes)};

    return RUN(tests);
}
