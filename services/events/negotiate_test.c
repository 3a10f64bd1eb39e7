/* Which representation an Accept header gets. */
#include "services/events/negotiate.h"
#include "shared/testing.h"

static void pages_are_negotiated(void **state)
{
    static const Format OFFERED[] = {FORMAT_HTML, FORMAT_TURTLE, FORMAT_NTRIPLES, FORMAT_CALENDAR, FORMAT_JSONLD};
    static const struct {
        const char *accept;
        int format; /* -1: none is acceptable */
    } CASES[] = {
        {NULL, FORMAT_JSONLD},
        {"", FORMAT_JSONLD},
        {"*/*", FORMAT_JSONLD},
        {"image/png", FORMAT_JSONLD},
        {"text/html", FORMAT_HTML},
        {"TEXT/HTML", FORMAT_HTML},
        {"text/turtle", FORMAT_TURTLE},
        {"application/n-triples", FORMAT_NTRIPLES},
        {"text/calendar", FORMAT_CALENDAR},
        {"application/ld+json", FORMAT_JSONLD},
        {"text/turtle, text/html", FORMAT_HTML},
        {"application/ld+json, text/turtle", FORMAT_TURTLE},
        {"text/*", FORMAT_HTML},
        {"application/ld+json;q=1, text/html;q=0.1", FORMAT_JSONLD},
        {"text/html;q=0.1, application/ld+json;q=0.2", FORMAT_JSONLD},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", FORMAT_HTML},
        {"text/turtle;q=0.9, */*;q=0.1", FORMAT_TURTLE},
        {"text/turtle, */*", FORMAT_TURTLE},
        {"application/ld+json;profile=\"http://x/,q=0\";q=0.5, text/turtle;q=0.4", FORMAT_JSONLD},
        {"text/html;q=0", FORMAT_JSONLD},
        {"application/ld+json;q=0", FORMAT_CALENDAR},
        {"*/*;q=0", -1},
        {"text/html;q=0.5, */*;q=0", FORMAT_HTML},
        {"text/html;q=2, text/turtle;q=x, nonsense, ;;", FORMAT_JSONLD},
    };
    Format got;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        bool some = negotiate_page(CASES[i].accept, OFFERED, ARRAY_LEN(OFFERED), &got);

        if ((some ? (int)got : -1) != CASES[i].format)
            fail_msg("%s: %d", CASES[i].accept, some ? (int)got : -1);
    }
}

static void the_api_answers_json_unless_more_is_asked_for(void **state)
{
    static const Format OTHERS[] = {FORMAT_JSONLD, FORMAT_GEOJSON};
    static const struct {
        const char *accept;
        Format format;
    } CASES[] = {
        {NULL, FORMAT_JSON},
        {"*/*", FORMAT_JSON},
        {"text/html", FORMAT_JSON},
        {"application/*", FORMAT_JSON},
        {"*/*;q=0", FORMAT_JSON},
        {"application/ld+json", FORMAT_JSONLD},
        {"application/ld+json, */*", FORMAT_JSONLD},
        {"application/ld+json, application/json", FORMAT_JSONLD},
        {"application/json, application/ld+json", FORMAT_JSON},
        {"application/json;q=0.5, application/ld+json", FORMAT_JSONLD},
        {"application/ld+json;q=0.5, application/json", FORMAT_JSON},
        {"application/geo+json", FORMAT_GEOJSON},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        if (negotiate_api(CASES[i].accept, OTHERS, ARRAY_LEN(OTHERS)) != CASES[i].format)
            fail_msg("%s", CASES[i].accept);
}

static void suffixes_are_cut_off(void **state)
{
    static const struct {
        const char *name, *rest;
        Format format;
    } CASES[] = {{"01J.ttl", "01J", FORMAT_TURTLE},    {"01J.nt", "01J", FORMAT_NTRIPLES},
                 {"01J.html", "01J", FORMAT_HTML},     {"01J.ics", "01J", FORMAT_CALENDAR},
                 {"01J.jsonld", "01J", FORMAT_JSONLD}, {"01J.geojson", "01J", FORMAT_GEOJSON}};
    Slice name;
    Format format;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        name = slice(CASES[i].name);
        assert_true(format_by_suffix(&name, &format));
        assert_int_equal(format, CASES[i].format);
        assert_slice_equal(name, slice(CASES[i].rest));
    }
    name = SLICE_LIT("01J.exe");
    assert_false(format_by_suffix(&name, &format));
    name = SLICE_LIT(".ttl");
    assert_false(format_by_suffix(&name, &format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_negotiated),
        cmocka_unit_test(the_api_answers_json_unless_more_is_asked_for),
        cmocka_unit_test(suffixes_are_cut_off),
    };

    return RUN(tests);
}
