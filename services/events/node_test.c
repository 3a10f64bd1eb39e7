/* Graphs: built, read, written, compared. */
#include "services/events/node.h"
#include "shared/testing.h"

static Slice written(Arena *mem, const Node *node, const NodeWriting *how)
{
    StrBuf out = strbuf_new(mem, 1 << 20);
    Slice text;

    node_write_json(&out, node, how);
    assert_true(strbuf_finish(&out, &text));
    return text;
}

static Slice detail(Arena *mem, const Node *node)
{
    return written(mem, node, &(NodeWriting){.shown = SHOWN_DETAIL});
}

static Node *concert(Arena *mem)
{
    Node *event = node_new(mem, CLASS_EVENT, SLICE_LIT("https://sel.test/events/1")),
         *place = node_new(mem, CLASS_PLACE, SLICE_LIT("https://sel.test/places/2")),
         *offer = node_new(mem, CLASS_OFFER, SLICE_LIT("")), *geo = node_new(mem, CLASS_GEO_COORDINATES, SLICE_LIT(""));

    node_add_number(mem, geo, TERM_LONGITUDE, -79.4);
    node_add_number(mem, geo, TERM_LATITUDE, 43.0);
    node_add_text(mem, place, TERM_NAME, SLICE_LIT("Caf\xc3\xa9 \"Sol\""));
    node_add_node(mem, place, TERM_GEO, geo);
    node_add_number(mem, offer, TERM_PRICE, 25.5);
    node_add_node(mem, event, TERM_OFFERS, offer);
    node_add_node(mem, event, TERM_LOCATION, place);
    node_add_text(mem, event, TERM_KEYWORDS, SLICE_LIT("jazz"));
    node_add_text(mem, event, TERM_START_DATE, SLICE_LIT("2026-07-01T19:00:00Z"));
    node_add_text(mem, event, TERM_NAME, SLICE_LIT("Jazz"));
    node_add_integer(mem, event, TERM_VERSION, 3);
    return event;
}

#define CONCERT                                                                                                        \
    "{\"@type\":\"Event\",\"@id\":\"https://sel.test/events/1\",\"name\":\"Jazz\",\"keywords\":[\"jazz\"],"            \
    "\"startDate\":\"2026-07-01T19:00:00Z\",\"location\":{\"@type\":\"Place\",\"@id\":\"https://sel.test/places/2\","  \
    "\"name\":\"Caf\xc3\xa9 "                                                                                          \
    "\\\"Sol\\\"\",\"geo\":{\"@type\":\"GeoCoordinates\",\"latitude\":43,\"longitude\":-79.4}},"                       \
    "\"offers\":[{\"@type\":\"Offer\",\"price\":25.5}],\"sel:version\":3}"

static void a_graph_is_written_in_the_order_of_the_terms(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);

    (void)state;
    assert_slice_equal(detail(mem, concert(mem)), SLICE_LIT(CONCERT));
    assert_slice_equal(
        written(mem, concert(mem), &(NodeWriting){.shown = SHOWN_TOMBSTONE, .context = SLICE_LIT("\"@context\":{}")}),
        SLICE_LIT("{\"@context\":{},\"@type\":\"Event\",\"@id\":\"https://sel.test/events/1\","
                  "\"name\":\"Jazz\"}"));
}

static void the_stored_form_lacks_what_depends_on_the_clock(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Node *event = node_new(mem, CLASS_EVENT, SLICE_LIT("")), *part = node_new(mem, CLASS_EVENT, SLICE_LIT(""));

    (void)state;
    node_add_text(mem, event, TERM_START_DATE, SLICE_LIT("2026-07-01T19:00:00Z"));
    node_add_text(mem, part, TERM_START_DATE, SLICE_LIT("2026-07-01T19:00:00+02:00"));
    node_add_node(mem, event, TERM_SUB_EVENT, part);
    assert_slice_equal(written(mem, event, &(NodeWriting){.shown = SHOWN_DETAIL, .skip_clock = true}),
                       SLICE_LIT("{\"@type\":\"Event\",\"subEvent\":[{\"@type\":\"Event\","
                                 "\"startDate\":\"2026-07-01T19:00:00+02:00\"}]}"));
}

static void what_is_read_is_written_again(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Node *node;

    (void)state;
    assert_true(node_read(mem, SLICE_LIT(CONCERT), &node));
    assert_slice_equal(detail(mem, node), SLICE_LIT(CONCERT));
    assert_true(node_equal(node, concert(mem)));
}

static void only_what_is_clean_comes_in(void **state)
{
    static const struct {
        const char *json, *read;
    } CASES[] = {
        {"{\"@type\":\"Event\",\"name\":\"\",\"url\":\"page\",\"image\":\"\",\"startDate\":\"tomorrow\"}",
         "{\"@type\":\"Event\"}"},
        {"{\"@type\":\"Event\",\"url\":\" https://x.test/a b<\\\"> \"}",
         "{\"@type\":\"Event\",\"url\":\"https://x.test/a%20b%3C%22%3E\"}"},
        {"{\"@type\":\"Event\",\"name\":5,\"sel:version\":\"1\",\"isAccessibleForFree\":0,\"location\":7}",
         "{\"@type\":\"Event\"}"},
        {"{\"@type\":\"Event\",\"legalName\":\"no event has it\",\"unknown\":1,\"@context\":{}}",
         "{\"@type\":\"Event\"}"},
        {"{\"@type\":[\"Event\",\"X\"],\"location\":{\"@type\":\"MusicVenue\",\"name\":\"Hall\"}}",
         "{\"@type\":\"Event\",\"location\":{\"@type\":\"Place\",\"name\":\"Hall\"}}"},
        {"{\"@type\":\"Event\",\"organizer\":\"https://sel.test/organizations/1\"}",
         "{\"@type\":\"Event\",\"organizer\":{\"@type\":\"Organization\",\"@id\":\"https://sel.test/organizations/"
         "1\"}}"},
        {"{\"@type\":\"Event\",\"image\":[\"https://a.test/1\",\"https://a.test/2\"],\"name\":[\"a\",\"b\"]}",
         "{\"@type\":\"Event\",\"name\":\"b\",\"image\":[\"https://a.test/1\",\"https://a.test/2\"]}"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Node *node;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_true(node_read(mem, slice(CASES[i].json), &node));
        assert_slice_equal(detail(mem, node), slice(CASES[i].read));
    }
    assert_false(node_read(mem, SLICE_LIT("{\"@type\":\"Recipe\"}"), &node));
    assert_false(node_read(mem, SLICE_LIT("{\"name\":\"x\"}"), &node));
    assert_false(node_read(mem, SLICE_LIT("[]"), &node));
    assert_false(node_read(mem, SLICE_LIT("{\"@type\":\"Event\""), &node));
}

static void nesting_is_bounded(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    StrBuf deep = strbuf_new(mem, 1 << 20);
    Node *node;

    (void)state;
    for (int i = 0; i < 30; i++)
        strbuf_append_cstr(&deep, "{\"@type\":\"Event\",\"name\":\"x\",\"subEvent\":[");
    for (int i = 0; i < 30; i++)
        strbuf_append_cstr(&deep, "]}");
    assert_true(node_read(mem, strbuf_slice(&deep), &node));
    for (int i = 0; i < NODE_MAX_DEPTH; i++) {
        node = (Node *)node_node(node, TERM_SUB_EVENT);
        assert_non_null(node);
    }
    assert_null(node_node(node, TERM_SUB_EVENT));
}

static void numbers_are_short_and_exact(void **state)
{
    static const struct {
        double number;
        const char *text;
    } CASES[] = {{25.5, "25.5"},  {0, "0"},          {-79.4, "-79.4"},
                 {1e20, "1e+20"}, {-2e36, "-2e+36"}, {0.1 + 0.2, "0.30000000000000004"},
                 {20, "20"}};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        StrBuf out = strbuf_new(mem, 64);

        node_write_number(&out, CASES[i].number);
        assert_slice_equal(strbuf_slice(&out), slice(CASES[i].text));
    }
}

static void differences_are_named_by_pointers(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Node *before = concert(mem), *after;
    Slice *pointers;

    (void)state;
    assert_int_equal(node_diff(mem, before, before, &pointers), 0);
    assert_true(node_read(mem, SLICE_LIT(CONCERT), &after));
    node_add_integer(mem, after, TERM_VERSION, 4);
    node_add_text(mem, after, TERM_START_DATE, SLICE_LIT("2027-07-01T19:00:00Z"));
    assert_int_equal(node_diff(mem, before, after, &pointers), 0);
    node_add_text(mem, after, TERM_NAME, SLICE_LIT("Blues"));
    node_add_text(mem, (Node *)node_node(after, TERM_LOCATION), TERM_NAME, SLICE_LIT("Hall"));
    node_clear(after, TERM_OFFERS);
    assert_int_equal(node_diff(mem, before, after, &pointers), 3);
    assert_slice_equal(pointers[0], SLICE_LIT("/name"));
    assert_slice_equal(pointers[1], SLICE_LIT("/location/name"));
    assert_slice_equal(pointers[2], SLICE_LIT("/offers"));
    assert_false(node_equal(before, after));
    assert_int_equal(node_diff(mem, NULL, node_new(mem, CLASS_EVENT, SLICE_LIT("")), &pointers), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_graph_is_written_in_the_order_of_the_terms),
        cmocka_unit_test(the_stored_form_lacks_what_depends_on_the_clock),
        cmocka_unit_test(what_is_read_is_written_again),
        cmocka_unit_test(only_what_is_clean_comes_in),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(numbers_are_short_and_exact),
        cmocka_unit_test(differences_are_named_by_pointers),
    };

    return RUN(tests);
}
