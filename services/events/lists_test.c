/* Lists of events against a brute-force filter; walks; what queries mean; search, places, facets. */
#include "services/events/lists.h"

#include <math.h>

#include "services/events/fixture.h"
#include "services/events/seed.h"
#include "services/events/store_calendar.h"
#include "services/events/store_exports.h"

static const EventFilter ANY = {.from_us = WINDOW_FROM_US,
                                .to_us = WINDOW_TO_US,
                                .state = "",
                                .domain = "",
                                .q = "",
                                .locality = "",
                                .mode = "",
                                .price_max = NAN,
                                .limit = PAGE_MAX};

static EventList list_of(Fixture *f, const EventFilter *filter)
{
    Request rq = fixture_request(f, 0);
    EventList list;

    assert_ok(events_store_list(&rq, filter, &list));
    return list;
}

static size_t found(Fixture *f, const EventFilter *filter)
{
    return list_of(f, filter).count;
}

/* Read as the rpc does. */
static Err query(Fixture *f, Events__V1__ListEventsRequest *in, const char *raw, EventFilter *out)
{
    RequestHeader header = {"query-string", raw};
    Request rq = fixture_request(f, 0);

    rq.headers = &header;
    rq.header_count = 1;
    return filter_read(&rq, in, out);
}

static int seeded(void **state)
{
    if (fixture_make(state) != 0)
        return -1;
    seed_events(*state, 120);
    return 0;
}

static void each_event_is_there_once_in_every_walk(void **state)
{
    static const int64_t LIMITS[] = {1, 7, 50, 119};
    EventFilter filter = ANY;
    EventList all = list_of(*state, &ANY);

    assert_int_equal(all.count, 120);
    for (size_t i = 0; i < ARRAY_LEN(LIMITS); i++) {
        size_t walked = 0;

        filter = ANY;
        filter.limit = LIMITS[i];
        for (;;) {
            EventList page = list_of(*state, &filter);

            for (size_t k = 0; k < page.count; k++, walked++) {
                assert_memory_equal(page.rows[k].event_id.bytes, all.rows[walked].event_id.bytes, 16);
                assert_int_equal(page.rows[k].start_us, all.rows[walked].start_us);
            }
            if (!page.more)
                break;
            filter.has_cursor = true;
            filter.cursor_us = page.rows[page.count - 1].start_us;
            filter.cursor_id = page.rows[page.count - 1].event_id;
        }
        assert_int_equal(walked, all.count);
    }
}

/* Every filter, alone and in pairs: what the occurrences' rows say, counted by plain SQL. */
static void filters_find_what_rows_say(void **state)
{
    Fixture *f = *state;
    struct {
        EventFilter filter;
        const char *sql;
    } cases[] = {
        {ANY, "true"},
        {ANY, "domain = 'music'"},
        {ANY, "locality = 'montreal'"},
        {ANY, "mode = 'online'"},
        {ANY, "'jazz' = ANY (keywords)"},
        {ANY, "asked_price <= 0"},
        {ANY, "start_at >= '2030-01-10' AND start_at < '2030-01-20'"},
        {ANY, "start_at >= '2030-01-10' AND locality = 'montreal'"},
        {ANY, "lifecycle = 'cancelled'"},
    };

    cases[1].filter.domain = "music";
    cases[2].filter.locality = "Montréal";
    cases[3].filter.mode = "online";
    cases[4].filter.keywords[0] = SLICE_LIT("JAZZ");
    cases[4].filter.keyword_count = 1;
    cases[5].filter.price_max = 0;
    cases[6].filter.from_us = seed_day(10);
    cases[6].filter.to_us = seed_day(20);
    cases[7].filter.from_us = seed_day(10);
    cases[7].filter.locality = "montreal";
    cases[8].filter.state = "cancelled";
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t wanted = test_schema_count(
            &f->schema,
            arena_printf(f->schema.mem, "SELECT count(DISTINCT event_id) FROM occurrence WHERE listed AND (%s)",
                         cases[i].sql));

        if ((int64_t)found(f, &cases[i].filter) != wanted)
            fail_msg("%s: %zu, not %" PRId64, cases[i].sql, found(f, &cases[i].filter), wanted);
        assert_true(wanted > 0);
    }
}

static void an_event_is_shown_by_its_earliest_occurrence_that_matches(void **state)
{
    EventFilter filter = ANY;
    EventList list;

    /* "Series" happens on days 5, 12 and 19; the last one in another town. */
    filter.q = "Three evenings";
    list = list_of(*state, &filter);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.rows[0].start_us, seed_day(5));
    filter.from_us = seed_day(6);
    assert_int_equal(list_of(*state, &filter).rows[0].start_us, seed_day(12));
    filter.from_us = WINDOW_FROM_US;
    filter.locality = "Québec";
    assert_int_equal(list_of(*state, &filter).rows[0].start_us, seed_day(19));
    filter.locality = "";
    filter.expand = true;
    assert_int_equal(list_of(*state, &filter).count, 3);
}

static void words_are_found_in_any_order_and_without_accents(void **state)
{
    static const struct {
        const char *q;
        size_t count;
    } CASES[] = {
        {"Jazz at the Café", 1}, {"cafe jazz", 1},     {"CAFÉ", 1},  {"azz at t", 1}, {"jaz nigth", 1},
        {"\"at the cafe\"", 1},  {"\"cafe the\"", 0},  {"% off", 1}, {"_ff", 0},      {"zzzzqqq", 0},
        {"night -cafe", 1},      {"Night of Jazz", 1},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        EventFilter filter = ANY;

        filter.q = CASES[i].q;
        if (found(*state, &filter) != CASES[i].count)
            fail_msg("%s: %zu", CASES[i].q, found(*state, &filter));
    }
}

/* The short ways through fold() lead where the long one does. */
static void letters_are_folded_the_same_whatever_they_were(void **state)
{
    static const char DIFFERENT[] = "SELECT t FROM unnest(ARRAY['', 'Plain & SIMPLE', 'Café', 'Cafe' || chr(769), "
                                    "chr(64257) || 'ne', chr(304) || 'X',"
                                    " 'STRASSE ß', chr(8544) || ' ½', chr(12462) || chr(12442)]) t"
                                    " WHERE fold(t) <> public.unaccent('public.unaccent', lower(normalize(t, NFKC)))"
                                    " UNION ALL SELECT chr(c) FROM generate_series(1, 127) c"
                                    " WHERE fold(chr(c)) <> public.unaccent('public.unaccent', lower(chr(c)))";
    Fixture *f = *state;
    Request rq = fixture_request(f, 0);
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(db_read(&rq, DIFFERENT, DB_NO_ARGS, &rows));
    assert_int_equal(rows.count, 0);
}

static void the_best_comes_first(void **state)
{
    EventFilter filter = ANY;
    EventList list;

    filter.q = "jazz";
    filter.sort = SORT_RELEVANCE;
    list = list_of(*state, &filter);
    assert_true(list.count >= 2);
    filter.limit = 1;
    assert_true(list_of(*state, &filter).more);
    filter.has_cursor = true;
    filter.cursor_us = 1;
    assert_memory_equal(list_of(*state, &filter).rows[0].event_id.bytes, list.rows[1].event_id.bytes, 16);
}

static void what_is_near_is_found_across_the_antimeridian(void **state)
{
    EventFilter filter = ANY;
    EventList list;

    filter.near = true;
    filter.latitude = -17;
    filter.longitude = 179.99;
    filter.radius_km = 10;
    list = list_of(*state, &filter);
    assert_int_equal(list.count, 1); /* at 179.95 west */
    assert_true(fabs(list.rows[0].distance_km - 6.38) < 0.05);
    filter.radius_km = 6;
    assert_int_equal(found(*state, &filter), 0);
    filter = ANY;
    filter.bbox = true;
    filter.west = 179;
    filter.east = -179;
    filter.south = -18;
    filter.north = -16;
    assert_int_equal(found(*state, &filter), 1);
    filter.west = -179;
    filter.east = 179;
    assert_int_equal(found(*state, &filter), 0);
}

static void filters_of_every_shape_have_a_statement(void **state)
{
    /* More shapes than are kept: those beyond are one with all parts. */
    for (unsigned bits = 0; bits < 1024; bits++) {
        EventFilter filter = ANY, plain = ANY;

        filter.domain = plain.domain = bits & 1 ? "music" : "";
        filter.locality = plain.locality = bits & 2 ? "montreal" : "";
        filter.mode = plain.mode = bits & 4 ? "offline" : "";
        filter.price_max = plain.price_max = bits & 8 ? 1000 : NAN;
        filter.from_us = bits & 16 ? seed_day(-100) : WINDOW_FROM_US;
        filter.to_us = bits & 32 ? seed_day(1000) : WINDOW_TO_US;
        filter.near = bits & 64;
        filter.latitude = 45.5;
        filter.longitude = -73.6;
        filter.radius_km = 20000;
        filter.since_us = bits & 128 ? 1 : 0;
        filter.bbox = bits & 256;
        filter.west = -180, filter.east = 180, filter.south = -90, filter.north = 90;
        filter.q = bits & 512 ? "e" : "";
        if (!filter.near && !filter.bbox && !filter.q[0])
            assert_int_equal(found(*state, &filter), found(*state, &plain));
        else
            assert_true(found(*state, &filter) <= found(*state, &plain));
    }
}

static void facets_ignore_their_own_filter(void **state)
{
    Request rq = fixture_request(*state, 0);
    EventFilter filter = ANY;
    FacetCount *all, *filtered;
    size_t count, filtered_count;

    for (unsigned facet = FACET_DOMAIN; facet <= FACET_PRICE; facet <<= 1) {
        assert_ok(events_store_facet(&rq, &ANY, facet, &all, &count));
        assert_true(count > 0);
    }
    filter.domain = "music";
    assert_ok(events_store_facet(&rq, &ANY, FACET_DOMAIN, &all, &count));
    assert_ok(events_store_facet(&rq, &filter, FACET_DOMAIN, &filtered, &filtered_count));
    assert_int_equal(count, filtered_count);
    assert_ok(events_store_facet(&rq, &filter, FACET_MODE, &filtered, &filtered_count));
    assert_true(filtered[0].count < (int64_t)found(*state, &ANY));
}

static void queries_are_read(void **state)
{
    Events__V1__ListEventsRequest in = EVENTS__V1__LIST_EVENTS_REQUEST__INIT;
    EventFilter filter, other;

    in.start_date = "2030-03-10"; /* the night that clocks go forward in Toronto */
    in.end_date = "2030-03-10";
    in.keywords = "Rock, pop,";
    in.limit = "7";
    assert_ok(query(*state, &in, "start_date=2030-03-10&endDate=2030-03-10&colour=red&limit=7", &filter));
    assert_int_equal(filter.to_us - filter.from_us, INT64_C(23) * 3600 * 1000000);
    assert_int_equal(filter.keyword_count, 2);
    assert_int_equal(filter.limit, 7);
    assert_int_equal(filter.warnings.count, 2);
    in.after = cursor_write(((Fixture *)*state)->schema.mem, 5, (Uuid){{1}}, filter.hash);
    assert_ok(query(*state, &in, "", &other));
    assert_true(other.has_cursor);
    assert_int_equal(other.cursor_us, 5);
    in.domain = "music"; /* other filters: the cursor is of another list */
    assert_reason(query(*state, &in, "", &other), &INVALID_ARGUMENT);
    in.after = base64url_encode(((Fixture *)*state)->schema.mem, SLICE_LIT("5123:01J00000000000000000000000"));
    assert_ok(query(*state, &in, "", &other)); /* the original's form is good for any */
}

static void what_is_wrong_with_a_query_is_told(void **state)
{
    static const struct {
        size_t offset;
        const char *value;
    } CASES[] = {
#define CASE(field, value) {offsetof(Events__V1__ListEventsRequest, field), value}
        CASE(start_date, "2030-02-30"),
        CASE(start_date, "yesterday"),
        CASE(end_date, "2030-1-1"),
        CASE(venue_id, "x"),
        CASE(state, "open"),
        CASE(domain, "cars"),
        CASE(limit, "0"),
        CASE(limit, "201"),
        CASE(limit, "1.5"),
        CASE(after, "AAAA"),
        CASE(near_lat, "45"),
        CASE(radius, "5"),
        CASE(bbox, "1,2,3"),
        CASE(bbox, "1,5,3,2"),
        CASE(bbox, "1,2,3,4,5"),
        CASE(price_max, "cheap"),
        CASE(free, "maybe"),
        CASE(mode, "hybrid"),
        CASE(updated_since, "2030"),
        CASE(sort, "name"),
        CASE(sort, "relevance"),
        CASE(facets, "colour"),
        CASE(context, "none"),
        CASE(occurrences, "all"),
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Events__V1__ListEventsRequest in = EVENTS__V1__LIST_EVENTS_REQUEST__INIT;
        EventFilter filter;

        *(char **)((char *)&in + CASES[i].offset) = (char *)(uintptr_t)CASES[i].value;
        if (query(*state, &in, "", &filter).reason != &INVALID_ARGUMENT)
            fail_msg("%s is taken", CASES[i].value);
    }
}

/* Three at one start, which differ in their ends: each is on one page. */
/* Between the two statements of a list an event becomes a draft and is written anew. */
static void a_draft_has_no_card_for_those_who_saw_it_public(void **state)
{
    Fixture *f = *state;
    EventList list = list_of(f, &ANY);
    const ListRow *row = &list.rows[0];
    char *event = uuid_text(f->schema.mem, row->event_id);
    Request nobody = fixture_request(f, 0), viewer = fixture_request_of(f, 9, "events.admin.read");
    int64_t as_listed = row->rendered, number;
    CalendarRow *rows;
    Slice card;
    size_t count;

    test_schema_script(
        &f->schema,
        arena_printf(f->schema.mem,
                     "UPDATE event SET lifecycle = 'draft', rendered = rendered + 1, card = card || ' draft'"
                     " WHERE id = '%1$s';"
                     "UPDATE occurrence SET listed = false WHERE event_id = '%1$s'",
                     event));
    for (int i = 0; i < 3; i++) { /* nobody, before and after one who may lists it */
        Request *rq = i == 1 ? &viewer : &nobody;
        CardSlot slot = {row->event_id, &number, NULL, &card};

        number = as_listed + (i == 1);
        card = SLICE_LIT("");
        assert_ok(events_store_cards(rq, &slot, 1));
        assert_int_equal(slice_find(card, SLICE_LIT(" draft")) >= 0, i == 1);
        assert_ok(events_store_calendar_of(rq, &row->occurrence_id, 1, &rows, &count));
        assert_int_equal(count, i == 1);
    }
    test_schema_script(&f->schema, arena_printf(f->schema.mem,
                                                "UPDATE event SET lifecycle = 'published', rendered = rendered + 1,"
                                                " card = left(card, -6) WHERE id = '%1$s';"
                                                "UPDATE occurrence SET listed = true WHERE event_id = '%1$s'",
                                                event));
    assert_int_equal(found(f, &ANY), 120);
}

static void occurrences_of_one_start_are_each_on_a_page(void **state)
{
    Fixture *f = *state;
    EventFilter filter = ANY;
    Uuid seen[3];
    size_t count = 0;
    EventList page;

    test_schema_script(
        &f->schema,
        "INSERT INTO occurrence (id, event_id, start_at, end_at, timezone, place_id, listed, lifecycle, domain,"
        " mode, locality) SELECT gen_random_uuid(), o.event_id, '2031-07-01', ('2031-07-01T0' || n || "
        "':00:00Z')::timestamptz,"
        " o.timezone, o.place_id, true, 'published', o.domain, o.mode, o.locality"
        " FROM (SELECT * FROM occurrence WHERE place_id IS NOT NULL LIMIT 1) o, generate_series(1, 3) n");
    filter.from_us = seed_day(366);
    filter.expand = true;
    filter.limit = 1;
    do {
        char *cursor;

        page = list_of(f, &filter);
        assert_true(page.count == 1 && count < 3);
        for (size_t i = 0; i < count; i++)
            assert_memory_not_equal(seen[i].bytes, page.rows[0].occurrence_id.bytes, 16);
        seen[count++] = page.rows[0].occurrence_id;
        filter.has_cursor = page.more;
        cursor = event_list_cursor(f->schema.mem, &filter, &page);
        if (page.more)
            assert_true(cursor_read(f->schema.mem, slice(cursor), filter.hash, &filter.cursor_us, &filter.cursor_id));
        filter.cursor_occurrence = cursor_occurrence(f->schema.mem, slice(cursor));
    } while (page.more);
    assert_int_equal(count, 3);
}

static int64_t exported_start(Fixture *f, const char *name, int64_t as_of_us)
{
    Request rq = fixture_request(f, 0);
    ExportRow *rows;
    size_t count;

    assert_ok(exports_store_events(&rq, f->schema.mem, as_of_us, (Uuid){{0}}, 1000, &rows, &count));
    for (size_t i = 0; i < count; i++)
        if (slice_find(rows[i].doc, slice(name)) >= 0)
            return rows[i].start_us;
    return 0;
}

static void an_export_shows_of_an_event_what_is_next(void **state)
{
    assert_int_equal(exported_start(*state, "Three evenings", seed_day(1)), seed_day(5));
    assert_int_equal(exported_start(*state, "Three evenings", seed_day(6)), seed_day(12));
    assert_int_equal(exported_start(*state, "Three evenings", seed_day(300)), seed_day(19));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_is_there_once_in_every_walk),
        cmocka_unit_test(filters_find_what_rows_say),
        cmocka_unit_test(an_event_is_shown_by_its_earliest_occurrence_that_matches),
        cmocka_unit_test(words_are_found_in_any_order_and_without_accents),
        cmocka_unit_test(letters_are_folded_the_same_whatever_they_were),
        cmocka_unit_test(the_best_comes_first),
        cmocka_unit_test(what_is_near_is_found_across_the_antimeridian),
        cmocka_unit_test(filters_of_every_shape_have_a_statement),
        cmocka_unit_test(facets_ignore_their_own_filter),
        cmocka_unit_test(queries_are_read),
        cmocka_unit_test(what_is_wrong_with_a_query_is_told),
        cmocka_unit_test(an_export_shows_of_an_event_what_is_next),
        cmocka_unit_test(a_draft_has_no_card_for_those_who_saw_it_public),
        cmocka_unit_test(occurrences_of_one_start_are_each_on_a_page), /* the last: it adds some */
    };

    return cmocka_run_group_tests(tests, seeded, fixture_drop);
}
