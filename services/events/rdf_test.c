/* Graphs as triples, and the contexts that make the same triples of their JSON. Whether processors of others agree is
 * tests/integration/test_events_documents.py. */
#include "services/events/context.h"
#include "services/events/rdf.h"
#include "shared/json.h"
#include "shared/testing.h"

static Slice written(Arena *mem, const char *json, RdfSyntax syntax)
{
    StrBuf out = strbuf_new(mem, 1 << 20);
    RdfWriter w = rdf_begin(&out, syntax, SHOWN_DETAIL | SHOWN_PROVENANCE);
    Slice text;
    Node *node;

    assert_true(node_read(mem, slice(json), &node));
    rdf_write(&w, node);
    assert_true(strbuf_finish(&out, &text));
    return text;
}

static void triples_have_types_and_escapes(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);

    (void)state;
    assert_slice_equal(
        written(mem,
                "{\"@type\":\"Event\",\"@id\":\"https://a.test/1\",\"name\":\"a\\\"\\\\\\n\\tb\","
                "\"startDate\":\"2026-07-01T19:00:00Z\",\"offers\":[{\"price\":25.5}],\"sel:version\":2,"
                "\"url\":\"https://a.test/>\"}",
                RDF_NTRIPLES),
        SLICE_LIT("<https://a.test/1> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <https://schema.org/Event> .\n"
                  "<https://a.test/1> <https://schema.org/name> \"a\\\"\\\\\\n\tb\" .\n"
                  "<https://a.test/1> <https://schema.org/startDate> "
                  "\"2026-07-01T19:00:00Z\"^^<http://www.w3.org/2001/XMLSchema#dateTime> .\n"
                  "<https://a.test/1> <https://schema.org/url> <https://a.test/%3E> .\n"
                  "<https://a.test/1> <https://schema.org/offers> _:b0 .\n"
                  "_:b0 <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <https://schema.org/Offer> .\n"
                  "_:b0 <https://schema.org/price> \"2.55E1\"^^<http://www.w3.org/2001/XMLSchema#double> .\n"
                  "<https://a.test/1> <https://schema.togather.foundation/ns#version> "
                  "\"2\"^^<http://www.w3.org/2001/XMLSchema#integer> .\n"));
}

static void turtle_names_nodes_and_nests_the_nameless(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice text = written(mem,
                         "{\"@type\":\"Event\",\"@id\":\"https://a.test/1\",\"location\":{\"@type\":\"Place\","
                         "\"@id\":\"https://a.test/2\",\"geo\":{\"latitude\":1,\"longitude\":2}}}",
                         RDF_TURTLE);

    (void)state;
    assert_true(slice_ends_with(text, SLICE_LIT("\n<https://a.test/1> a schema:Event ;\n"
                                                "    schema:location <https://a.test/2> .\n"
                                                "<https://a.test/2> a schema:Place ;\n"
                                                "    schema:geo [ a schema:GeoCoordinates ;\n"
                                                "        schema:latitude \"1\"^^xsd:integer ;\n"
                                                "        schema:longitude \"2\"^^xsd:integer ] .\n")));
}

static void numbers_are_canonical(void **state)
{
    static const struct {
        double number;
        const char *text;
        bool is_double;
    } CASES[] = {{5, "5", false}, {-0.0794, "-7.94E-2", true}, {0.5, "5.0E-1", true}, {1e300, "1.0E300", true}};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        StrBuf out = strbuf_new(mem, 64);

        assert_int_equal(rdf_write_number(&out, CASES[i].number), CASES[i].is_double);
        assert_slice_equal(strbuf_slice(&out), slice(CASES[i].text));
    }
}

/* Values of RFC 8785's own examples among them. */
static void json_becomes_canonical(void **state)
{
    static const struct {
        const char *json, *canonical;
    } CASES[] = {
        {"{ \"b\" : 1, \"a\" : [ true, null, \"x\\u0001\\n\\u00e9/\" ] }",
         "{\"a\":[true,null,\"x\\u0001\\n\xc3\xa9/\"],\"b\":1}"},
        {"[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001,1e-5]",
         "[333333333.3333333,1e+30,4.5,0.002,1e-27,0.00001]"},
        {"[-0.0, 1.0, 123456789012]", "[0,1,123456789012]"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        StrBuf out = strbuf_new(mem, 4096);

        rdf_write_canonical_json(&out, slice(CASES[i].json));
        assert_slice_equal(strbuf_slice(&out), slice(CASES[i].canonical));
    }
}

static void contexts_say_what_the_vocabulary_does_not(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const Contexts *contexts = contexts_new(mem, "https://sel.test");
    Slice card = contexts->inlined[CONTEXT_EVENT_CARD];

    (void)state;
    assert_slice_equal(contexts->by_url, SLICE_LIT("\"@context\":\"https://sel.test/contexts/sel/v1.jsonld\""));
    assert_slice_equal(json_find(contexts->document, SLICE_LIT("@context.startDate.@type")),
                       SLICE_LIT("\"xsd:dateTime\""));
    assert_slice_equal(json_find(contexts->document, SLICE_LIT("@context._provenance.@type")), SLICE_LIT("\"@json\""));
    assert_slice_equal(json_find(contexts->document, SLICE_LIT("@context.keywords.@container")), SLICE_LIT("\"@set\""));
    assert_int_equal(slice_find(contexts->document, SLICE_LIT("\"schema\"")), -1);
    /* A list has one for each of its items. */
    assert_true(slice_starts_with(card, SLICE_LIT("\"@context\":{")) && card.len < 1200);
    assert_int_equal(slice_find(card, SLICE_LIT("_provenance")), -1);
    assert_true(slice_find(card, SLICE_LIT("exceptDate")) > 0);
    assert_int_equal(slice_find(contexts->inlined[CONTEXT_EVENT_ONCE], SLICE_LIT("exceptDate")), -1);
    assert_true(slice_find(contexts->inlined[CONTEXT_EVENT_ONCE], SLICE_LIT("\"startDate\"")) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(triples_have_types_and_escapes),
        cmocka_unit_test(turtle_names_nodes_and_nests_the_nameless),
        cmocka_unit_test(numbers_are_canonical),
        cmocka_unit_test(json_becomes_canonical),
        cmocka_unit_test(contexts_say_what_the_vocabulary_does_not),
    };

    return RUN(tests);
}
