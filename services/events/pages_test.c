/* Pages, feeds and site maps over a real database: formats, tags, the gone, and the texts of strangers. */
#include "services/events/pages.h"

#include <math.h>

#include "atrium/events/v1/pages.service.h"
#include "services/events/fixture.h"
#include "shared/json.h"

#define HOSTILE "</script><script>alert(1)</script> & \"Friends\" \xf0\x9f\x8e\xb7"

typedef struct Made {
    Uuid place, organization, event;
} Made;

static Uuid make_place(const EntityWriter *w, const char *name)
{
    PlaceEntity place;
    Node *address, *geo;

    place_init(w->mem, &place);
    node_add_text(w->mem, place.head.node, TERM_NAME, slice(name));
    address = node_new(w->mem, CLASS_POSTAL_ADDRESS, SLICE_LIT(""));
    node_add_text(w->mem, address, TERM_ADDRESS_LOCALITY, SLICE_LIT("Toronto"));
    node_add_node(w->mem, place.head.node, TERM_ADDRESS, address);
    geo = node_new(w->mem, CLASS_GEO_COORDINATES, SLICE_LIT(""));
    node_add_number(w->mem, geo, TERM_LATITUDE, 43.65);
    node_add_number(w->mem, geo, TERM_LONGITUDE, -79.38);
    node_add_node(w->mem, place.head.node, TERM_GEO, geo);
    assert_ok(place_save(w, &place, "", NULL));
    return place.head.id;
}

static Uuid make_organization(const EntityWriter *w, const char *name)
{
    OrganizationEntity organization;

    organization_init(w->mem, &organization);
    node_add_text(w->mem, organization.head.node, TERM_NAME, slice(name));
    assert_ok(organization_save(w, &organization, "", NULL));
    return organization.head.id;
}

static Uuid make_event(Fixture *f, const EntityWriter *w, const Made *made, const char *name)
{
    EventEntity event;

    event_init(w->mem, &event);
    node_add_text(w->mem, event.head.node, TERM_NAME, slice(name));
    node_add_text(w->mem, event.head.node, TERM_DESCRIPTION, SLICE_LIT("First.\n\n<b>Second</b>"));
    node_add_text(w->mem, event.head.node, TERM_URL, SLICE_LIT("javascript:alert(1)"));
    event.place_id = made->place;
    event.organizer_id = made->organization;
    event.occurrences = ARENA_NEW(w->mem, Occurrence);
    event.occurrence_count = 1;
    event.occurrences[0] = (Occurrence){.start_us = f->schema.now_us + INT64_C(86400000000),
                                        .end_us = f->schema.now_us + INT64_C(90000000000),
                                        .timezone = "America/Toronto",
                                        .virtual_url = "",
                                        .ticket_url = "",
                                        .price_min = NAN,
                                        .price_max = NAN,
                                        .price_currency = "",
                                        .availability = ""};
    assert_ok(event_save(w, &event, "", NULL));
    return event.head.id;
}

static Made make(Fixture *f, const char *name)
{
    Request rq = fixture_request(f, 7);
    CLEANUP(db_tx_done) DbTx tx = {0};
    EntityWriter w;
    Made made;

    assert_ok(db_tx_begin(&rq, &tx));
    w = entity_writer(&rq, &tx);
    made.place = make_place(&w, "Hall " HOSTILE);
    made.organization = make_organization(&w, "Org " HOSTILE);
    made.event = make_event(f, &w, &made, name);
    assert_ok(db_tx_commit(&tx));
    return made;
}

static void delete_event(Fixture *f, Uuid id)
{
    Request rq = fixture_request(f, 7);
    CLEANUP(db_tx_done) DbTx tx = {0};
    EventEntity event;
    EntityWriter w;

    assert_ok(db_tx_begin(&rq, &tx));
    w = entity_writer(&rq, &tx);
    assert_ok(event_load(&w, id, &event));
    entity_delete(&w, &event.head, "spam <b>", (Uuid){{0}});
    assert_ok(event_save(&w, &event, "", NULL));
    assert_ok(db_tx_commit(&tx));
}

/* --- asking --------------------------------------------------------------------------------------------------------
 */
typedef struct Got {
    Request rq;
    Atrium__HttpBody out;
    Err e;
} Got;

static Got get_page(Fixture *f, const char *rpc, const char *id, const char *accept, const char *etag)
{
    Events__V1__GetPageRequest in = EVENTS__V1__GET_PAGE_REQUEST__INIT;
    Got got = {.rq = fixture_request(f, 0), .out = ATRIUM__HTTP_BODY__INIT};
    RequestHeader *headers = ARENA_ARRAY(f->schema.mem, RequestHeader, 2);

    headers[0] = (RequestHeader){"accept", accept ? accept : "*/*"};
    headers[1] = (RequestHeader){"if-none-match", etag};
    got.rq.headers = headers;
    got.rq.header_count = etag ? 2 : 1;
    in.id = (char *)(uintptr_t)id;
    got.e = rpc_call(&EVENTS_V1_PAGE_SERVICE, &got.rq, rpc, &in.base, &got.out.base);
    return got;
}

static Slice body(const Got *got)
{
    assert_ok(got->e);
    return slice_of(got->out.data.data, got->out.data.len);
}

static bool says(Slice text, const char *part)
{
    return slice_find(text, slice(part)) >= 0;
}

static const char *header(const Got *got, const char *name)
{
    for (size_t i = 0; i < got->rq.reply.header_count; i++)
        if (strcmp(got->rq.reply.headers[i].name, name) == 0)
            return got->rq.reply.headers[i].value;
    return "";
}

/* --- tests ---------------------------------------------------------------------------------------------------------
 */
static void an_event_comes_in_every_format(void **state)
{
    static const struct {
        const char *suffix, *accept, *type, *part;
    } CASES[] = {
        {"", "text/html", "text/html; charset=utf-8", "<h1>Night"},
        {"", "text/turtle", "text/turtle; charset=utf-8", "a schema:Event"},
        {"", NULL, "application/ld+json; charset=utf-8", "\"@context\":{"},
        {".nt", "text/html", "application/n-triples; charset=utf-8", "<https://schema.org/name> \"Night"},
        {".html", NULL, "text/html; charset=utf-8", "rel=\"canonical\""},
        {".jsonld", "text/html", "application/ld+json; charset=utf-8", "\"@context\":{"},
        {".ttl", NULL, "text/turtle; charset=utf-8", "@prefix schema:"},
    };
    Fixture *f = *state;
    Made made = make(f, "Night " HOSTILE);
    const char *id = ulid_text(f->schema.mem, made.event);

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Got got = get_page(f, "GetEventPage", arena_printf(f->schema.mem, "%s%s", id, CASES[i].suffix), CASES[i].accept,
                           NULL),
            again;

        assert_true(says(body(&got), CASES[i].part));
        assert_string_equal(got.out.content_type, CASES[i].type);
        assert_string_equal(header(&got, "Vary"), "Accept");
        again = get_page(f, "GetEventPage", arena_printf(f->schema.mem, "%s%s", id, CASES[i].suffix), CASES[i].accept,
                         header(&got, "ETag"));
        assert_int_equal(again.rq.reply.http_status, 304);
    }
}

static void texts_of_strangers_stay_texts(void **state)
{
    Fixture *f = *state;
    Made made = make(f, "Night " HOSTILE);
    const char *const *rpc, *const RPCS[] = {"GetEventPage", "GetPlacePage", "GetOrganizationPage", NULL};
    const Uuid ids[] = {made.event, made.place, made.organization};

    for (rpc = RPCS; *rpc; rpc++) {
        Got got = get_page(f, *rpc, ulid_text(f->schema.mem, ids[rpc - RPCS]), "text/html", NULL);
        Slice page = body(&got);

        assert_false(says(page, "<script>"));
        assert_false(says(page, "<b>Second"));
        assert_false(says(page, "href=\"javascript:"));
        assert_true(says(page, "&lt;/script&gt;&lt;script&gt;alert(1)"));
        assert_true(strstr(header(&got, "Content-Security-Policy"), "default-src 'none'") != NULL);
    }
}

static void what_is_not_there_is_told(void **state)
{
    Fixture *f = *state;
    Made made = make(f, "Night");
    const char *id = ulid_text(f->schema.mem, made.event);

    assert_reason(get_page(f, "GetEventPage", "nonsense", NULL, NULL).e, &INVALID_ID);
    assert_reason(get_page(f, "GetPlacePage", id, NULL, NULL).e, &NOT_FOUND);
    assert_reason(get_page(f, "GetEventPage", arena_printf(f->schema.mem, "%s.geojson", id), NULL, NULL).e, &NOT_FOUND);
    assert_reason(get_page(f, "GetEventPage", id, "*/*;q=0", NULL).e, &NOT_ACCEPTABLE);
    assert_reason(get_page(f, "GetSeriesPage", id, NULL, NULL).e, &NOT_FOUND);
}

static void the_gone_leave_a_page(void **state)
{
    static const char *const ACCEPTS[] = {"text/html", "text/turtle", "application/ld+json", "application/n-triples"};
    Fixture *f = *state;
    Made made = make(f, "Night " HOSTILE);

    delete_event(f, made.event);
    for (size_t i = 0; i < ARRAY_LEN(ACCEPTS); i++) {
        Got got = get_page(f, "GetEventPage", ulid_text(f->schema.mem, made.event), ACCEPTS[i], NULL);

        assert_true(says(body(&got), "spam"));
        assert_false(i == 0 && says(body(&got), "<script>"));
        assert_int_equal(got.rq.reply.http_status, 410);
    }
}

static Got browse(Fixture *f, const char *rpc)
{
    Events__V1__ListEventsRequest in = EVENTS__V1__LIST_EVENTS_REQUEST__INIT;
    Got got = {.rq = fixture_request(f, 0), .out = ATRIUM__HTTP_BODY__INIT};

    in.q = "Night";
    got.e = rpc_call(&EVENTS_V1_PAGE_SERVICE, &got.rq, rpc, &in.base, &got.out.base);
    return got;
}

static void lists_are_pages_and_feeds(void **state)
{
    Fixture *f = *state;
    Made made = make(f, "Night " HOSTILE);
    const char *uri = entity_uri(f->schema.mem, &f->events, ENTITY_EVENT, made.event);
    Got page = browse(f, "BrowseEvents"), widget = browse(f, "GetWidget"), atom = browse(f, "GetAtomFeed"),
        json = browse(f, "GetJsonFeed");

    assert_true(says(body(&page), uri) && says(body(&page), "<form") && !says(body(&page), "<script"));
    assert_true(says(body(&widget), uri) && !says(body(&widget), "<form"));
    assert_true(strstr(header(&widget, "Content-Security-Policy"), "frame-ancestors *") != NULL);
    assert_true(says(body(&atom), arena_printf(f->schema.mem, "<id>%s</id>", uri)));
    assert_false(says(body(&atom), "<script>"));
    assert_slice_equal(json_find(body(&json), SLICE_LIT("version")), SLICE_LIT("\"https://jsonfeed.org/version/1.1\""));
    assert_true(says(body(&json), uri));
}

static Got feed_of(Fixture *f, const char *rpc, Uuid id, const char *feed)
{
    Events__V1__GetFeedRequest in = EVENTS__V1__GET_FEED_REQUEST__INIT;
    Got got = {.rq = fixture_request(f, 0), .out = ATRIUM__HTTP_BODY__INIT};

    in.id = ulid_text(f->schema.mem, id);
    in.feed = (char *)(uintptr_t)feed;
    got.e = rpc_call(&EVENTS_V1_PAGE_SERVICE, &got.rq, rpc, &in.base, &got.out.base);
    return got;
}

static void places_and_organisations_have_feeds(void **state)
{
    Fixture *f = *state;
    Made made = make(f, "Night"), other = make(f, "Other");
    Got got = feed_of(f, "GetPlaceFeed", made.place, "events.atom");

    assert_true(says(body(&got), ulid_text(f->schema.mem, made.event)));
    assert_false(says(body(&got), ulid_text(f->schema.mem, other.event)));
    got = feed_of(f, "GetOrganizationFeed", made.organization, "events.json");
    assert_true(says(body(&got), ulid_text(f->schema.mem, made.event)));
    got = feed_of(f, "GetPlaceFeed", made.place, "events.ics");
    assert_ok(got.e);
    assert_int_equal(got.rq.reply.http_status, 307);
    assert_reason(feed_of(f, "GetPlaceFeed", made.place, "events.exe").e, &NOT_FOUND);
    assert_reason(feed_of(f, "GetSeriesFeed", made.place, "events.atom").e, &NOT_FOUND);
}

static void site_maps_name_what_is_public(void **state)
{
    Fixture *f = *state;
    Made made = make(f, "Night"), gone = make(f, "Gone");
    Events__V1__GetSitemapIndexRequest index = EVENTS__V1__GET_SITEMAP_INDEX_REQUEST__INIT;
    Events__V1__GetSitemapRequest map = EVENTS__V1__GET_SITEMAP_REQUEST__INIT;
    Got got = {.rq = fixture_request(f, 0), .out = ATRIUM__HTTP_BODY__INIT};

    delete_event(f, gone.event);
    got.e = rpc_call(&EVENTS_V1_PAGE_SERVICE, &got.rq, "GetSitemapIndex", &index.base, &got.out.base);
    assert_true(says(body(&got), "/sitemaps/events.xml?from="));
    map.kind = "events.xml";
    got.e = rpc_call(&EVENTS_V1_PAGE_SERVICE, &got.rq, "GetSitemap", &map.base, &got.out.base);
    assert_true(says(body(&got), ulid_text(f->schema.mem, made.event)));
    assert_false(says(body(&got), ulid_text(f->schema.mem, gone.event)));
    map.kind = "dragons.xml";
    assert_reason(rpc_call(&EVENTS_V1_PAGE_SERVICE, &got.rq, "GetSitemap", &map.base, &got.out.base), &NOT_FOUND);
    map.kind = "events.xml";
    map.from = "x";
    assert_reason(rpc_call(&EVENTS_V1_PAGE_SERVICE, &got.rq, "GetSitemap", &map.base, &got.out.base),
                  &INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_comes_in_every_format), cmocka_unit_test(texts_of_strangers_stay_texts),
        cmocka_unit_test(what_is_not_there_is_told),      cmocka_unit_test(the_gone_leave_a_page),
        cmocka_unit_test(lists_are_pages_and_feeds),      cmocka_unit_test(places_and_organisations_have_feeds),
        cmocka_unit_test(site_maps_name_what_is_public),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
