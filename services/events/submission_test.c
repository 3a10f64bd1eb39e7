/* What agents hand in: the forms that are taken, what becomes of them, and what is refused (contract 7). */
#include "services/events/submission.h"

#include "shared/testing.h"

#define PLACE "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define NOW_US INT64_C(1782900000000000) /* 2026-07-01T10:00:00Z */
#define NAME_AND_START "\"name\":\"Jazz\",\"startDate\":\"2026-07-10T19:00:00-04:00\",\"description\":\"All night\""
#define AT_THE_REX "\"location\":\"The Rex\""

static WritingRules rules = {.base_url = {"https://sel.test", 16},
                             .name_max_chars = 500,
                             .max_future_days = 730,
                             .ambiguous_future_days = 60,
                             .review_confidence = 0.6};

typedef struct Taken {
    Submission s;
    Findings faults, warnings;
} Taken;

static Taken *take(Arena *mem, const char *body)
{
    Taken *t = ARENA_NEW(mem, Taken);

    t->faults.mem = t->warnings.mem = mem;
    if (submission_read(mem, &rules, slice(body), &t->s, &t->faults))
        submission_check(mem, &rules, NOW_US, &t->s, &t->faults, &t->warnings);
    return t;
}

static Taken *take_good(Arena *mem, const char *body)
{
    Taken *t = take(mem, body);

    if (t->faults.count)
        fail_msg("%s: %s %s: %s", body, t->faults.list[0].field, t->faults.list[0].code, t->faults.list[0].message);
    return t;
}

/* "field:code field:code" */
static const char *list_of(Arena *mem, const Findings *f)
{
    char *out = arena_strdup(mem, "");

    for (size_t i = 0; i < f->count; i++)
        out = arena_printf(mem, "%s%s%s:%s", out, i ? " " : "", f->list[i].field, f->list[i].code);
    return out;
}

static const struct {
    const char *body, *faults;
} REFUSED[] = {
    {"", ":invalid_json"},
    {"[]", ":invalid_json"},
    {"{\"name\":\"a\",\"name\":\"b\"}", ":invalid_json"},
    {"{\"name\":\"\xff\"}", ":invalid_json"},
    {"{}", "name:missing location:missing startDate:missing"},
    {"{" NAME_AND_START "}", "location:missing"},
    {"{\"name\":\"<b></b>\",\"startDate\":\"2026-07-10\"," AT_THE_REX "}", "startDate:invalid_time name:missing"},
    {"{\"name\":7,\"startDate\":\"2026-07-10T19:00\"," AT_THE_REX ",\"url\":\"ftp://x\",\"image\":\"http://a b\"}",
     "startDate:invalid_time image:invalid_url url:invalid_url"},
    {"{" NAME_AND_START "," AT_THE_REX ",\"url\":\"https://www.example.com/x\",\"image\":\"example.com/a.png\"}",
     "url:placeholder_url image:placeholder_url"},
    {"{" NAME_AND_START "," AT_THE_REX ",\"license\":\"https://creativecommons.org/licenses/by/4.0/\"}",
     "license:license_not_cc0"},
    {"{" NAME_AND_START "," AT_THE_REX ",\"source\":{\"url\":\"https://example.com/1\",\"license\":\"CC-BY\"}}",
     "source.eventId:missing source.license:license_not_cc0"},
    {"{" NAME_AND_START ",\"location\":{\"@id\":\"https://elsewhere.test/places/" PLACE "\"}}",
     "location.@id:not_ours"},
    {"{\"@id\":\"https://elsewhere.test/events/" PLACE "\"," NAME_AND_START "," AT_THE_REX "}", "@id:not_ours"},
    {"{" NAME_AND_START ",\"location\":{\"name\":\"x\",\"latitude\":91,\"longitude\":0}}", "location:out_of_range"},
    {"{" NAME_AND_START "," AT_THE_REX
     ",\"occurrences\":[{\"startDate\":\"2026-07-10T19:00:00Z\",\"timezone\":\"Mars/One\",\"virtualUrl\":\"a.test/x\","
     "\"venueId\":\"https://sel.test/places/" PLACE "\"},{\"endDate\":\"2026-07-10T19:00:00Z\"}]}",
     "occurrences.0.timezone:invalid_zone occurrences.0:conflict occurrences.1.startDate:missing"},
    {"{" NAME_AND_START ",\"occurrences\":[{\"startDate\":\"2026-07-10T19:00:00Z\"}]}", "occurrences.0:missing"},
    {"{" NAME_AND_START "," AT_THE_REX
     ",\"recurrence\":{\"rrule\":\"FREQ=SECONDLY\",\"exdates\":[\"2026-07-10\",\"soon\"]}}",
     "recurrence.rrule:invalid_rule recurrence.exdates.1:invalid_time"},
    {"{" NAME_AND_START "," AT_THE_REX ",\"sameAs\":[\"no uri\"],\"organizer\":\"https://sel.test/places/x\"}",
     "organizer:not_ours sameAs.0:invalid_url"},
};

static void all_faults_are_told_at_once(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(REFUSED); i++) {
        const char *got = list_of(mem, &take(mem, REFUSED[i].body)->faults);

        if (strcmp(got, REFUSED[i].faults) != 0)
            fail_msg("%s: got \"%s\", wanted \"%s\"", REFUSED[i].body, got, REFUSED[i].faults);
    }
}

static void names_are_counted_in_code_points(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    char name[1100], body[1400];
    (void)state;

    for (int letters = 500; letters <= 501; letters++) {
        for (int i = 0; i < letters; i++)
            memcpy(name + (size_t)i * 2, "\xc3\xa9", 2);
        name[letters * 2] = 0;
        snprintf(body, sizeof(body), "{\"name\":\"%s\",\"startDate\":\"2026-07-10T19:00:00Z\"," AT_THE_REX "}", name);
        assert_string_equal(list_of(mem, &take(mem, body)->faults), letters == 500 ? "" : "name:too_long");
    }
}

static void nesting_is_bounded(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    char body[400] = "{\"x\":";
    (void)state;

    memset(body + 5, '[', 64);
    memset(body + 69, ']', 64);
    body[133] = '}';
    assert_string_equal(list_of(mem, &take(mem, body)->faults), ":invalid_json");
    memset(body + 5, '[', 63);
    memset(body + 68, ']', 63);
    body[131] = '}';
    body[132] = 0;
    assert_string_equal(take(mem, body)->faults.list[0].code, "missing");
}

static void places_come_in_many_forms(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    static const char *const FORMS[] = {
        "{" NAME_AND_START ",\"location\":{\"name\":\"<i>The</i> Rex\",\"streetAddress\":\"194 Queen St W\","
        "\"addressLocality\":\"Toronto\",\"addressRegion\":\"Ontario\",\"postalCode\":\"M5V 1Z1\","
        "\"addressCountry\":\"Canada\",\"latitude\":\"43.65\",\"longitude\":-79.38}}",
        "{" NAME_AND_START ",\"location\":[{\"@type\":\"VirtualLocation\",\"url\":\"stream.test/jazz\"},"
        "{\"@type\":\"MusicVenue\",\"name\":\"The  Rex\",\"address\":{\"streetAddress\":\"194 Queen St W\","
        "\"addressLocality\":\"Toronto\",\"addressRegion\":\"on\",\"postalCode\":\"M5V 1Z1\",\"addressCountry\":"
        "{\"@type\":\"Country\",\"name\":\"CAN\"}},\"geo\":{\"latitude\":43.65,\"longitude\":\"-79.38\"}}]}"};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(FORMS); i++) {
        const Taken *t = take_good(mem, FORMS[i]);
        const PlaceInput *p = &t->s.place;

        assert_string_equal(p->name, "The Rex");
        assert_string_equal(p->street, "194 Queen St W");
        assert_string_equal(p->region, "ON");
        assert_string_equal(p->country, "CA");
        assert_true(p->has_point && p->latitude == 43.65 && p->longitude == -79.38);
        assert_string_equal(t->s.virtual_url, i ? "https://stream.test/jazz" : "");
    }
    assert_string_equal(take_good(mem, "{" NAME_AND_START "," AT_THE_REX "}")->s.place.name, "The Rex");
    assert_string_equal(
        take_good(mem, "{" NAME_AND_START ",\"location\":\"https://sel.test/places/" PLACE "\"}")->s.place.ulid, PLACE);
    assert_string_equal(
        take_good(mem, "{" NAME_AND_START ",\"virtualLocation\":{\"url\":\"https://a.test/\"}}")->s.virtual_url,
        "https://a.test/");
}

static const struct {
    const char *price;
    bool has;
    double value;
    const char *currency;
} PRICES[] = {{"12.5", true, 12.5, ""},
              {"\"Free\"", true, 0, ""},
              {"\"$25.50\"", true, 25.5, ""},
              {"\"25,50 \xe2\x82\xac\"", true, 25.5, "EUR"},
              {"\"\xc2\xa3"
               "1,200\"",
               true, 1200, "GBP"},
              {"\"1.200,50\"", true, 1200.5, ""},
              {"\"1,200.50\"", true, 1200.5, ""},
              {"\"$20-$30\"", true, 20, ""},
              {"\"Pay what you can\"", false, 0, ""},
              {"{}", false, 0, ""},
              {"-3", false, 0, ""},
              {"\"0\"", true, 0, ""}};

static void prices_are_numbers(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(PRICES); i++) {
        const Taken *t = take_good(mem, arena_printf(mem,
                                                     "{" NAME_AND_START "," AT_THE_REX
                                                     ",\"offers\":[{\"url\":\"t.test/x\",\"price\":%s}]}",
                                                     PRICES[i].price));

        assert_int_equal(t->s.offer_count, 1);
        if (t->s.offers[0].has_price != PRICES[i].has)
            fail_msg("%s", PRICES[i].price);
        if (PRICES[i].has)
            assert_true(t->s.offers[0].price > PRICES[i].value - 1e-6 && t->s.offers[0].price < PRICES[i].value + 1e-6);
        assert_string_equal(t->s.offers[0].currency, PRICES[i].currency);
    }
}

static void the_rest_is_normalised(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    const Taken *t = take_good(
        mem, "{\"name\":\"&lt;b&gt;Jazz &amp; Blues&lt;/b&gt;\",\"description\":\"one\\n\\ntwo\",\"startDate\":"
             "\"2026-07-10T19:00:00-04:00\",\"@type\":[\"schema:MusicEvent\"],\"keywords\":\"Jazz, live,JAZZ ,\","
             "\"inLanguage\":[\"FR\",\"en\",\"fr\"]," AT_THE_REX ",\"organizer\":\"https://rex.test/about\","
             "\"performer\":[\"Ann\",{\"@type\":\"MusicGroup\",\"name\":\"The Bobs\"}],\"offers\":{\"price\":5,"
             "\"priceCurrency\":\"cad\",\"availability\":\"http://schema.org/SoldOut\"},\"isAccessibleForFree\":"
             "\"https://schema.org/False\",\"sameAs\":[\"/x\",\"" PLACE "\",\"http://a.test/1#f\"],\"url\":"
             "\"rex.test/jazz?id=7&utm_source=x\",\"eventStatus\":\"https://schema.org/EventCancelled\",\"source\":"
             "{\"url\":\"https://example.com/feed\",\"eventId\":77},\"lifecycle_state\":\"review\"}");
    const Submission *s = &t->s;
    (void)state;

    assert_string_equal(s->name, "Jazz & Blues");
    assert_string_equal(s->name_key, "jazz and blues");
    assert_string_equal(s->description, "one\n\ntwo");
    assert_int_equal(s->type->id, CLASS_MUSIC_EVENT);
    assert_string_equal(s->domain, "music");
    assert_int_equal(s->keyword_count, 2);
    assert_string_equal(s->keywords[1], "live");
    assert_int_equal(s->language_count, 2);
    assert_string_equal(s->organizer.name, "rex.test");
    assert_string_equal(s->organizer.same_as, "https://rex.test/about");
    assert_int_equal(s->performer_count, 2);
    assert_int_equal(s->performers[1].type, CLASS_MUSIC_GROUP);
    assert_string_equal(s->offers[0].currency, "CAD");
    assert_string_equal(s->offers[0].availability, "https://schema.org/SoldOut");
    assert_true(s->has_free && !s->free);
    assert_int_equal(s->same_as_count, 3);
    assert_string_equal(s->same_as[1], "https://sel.test/events/" PLACE);
    assert_string_equal(s->url, "https://rex.test/jazz?id=7");
    assert_string_equal(s->status, "EventCancelled");
    assert_string_equal(s->source.event_id, "77");
    assert_true(s->wants_review);
    assert_int_equal(t->warnings.count, 0);
    assert_int_equal(s->occurrence_count, 1);
    assert_string_equal(zone_name(s->occurrences[0].zone), "America/Toronto");
}

/* --- warnings ---------------------------------------------------------------------------------------------------- */
static const struct {
    const char *members, *warnings, *end; /* end: of the occurrence; "" none */
} WARNED[] = {
    {"\"startDate\":\"2026-07-10T22:00:00-04:00\",\"endDate\":\"2026-07-10T02:00:00-04:00\"",
     "endDate:reversed_dates_timezone_likely", "2026-07-11T06:00:00Z"},
    {"\"startDate\":\"2026-07-10T22:00:00-04:00\",\"endDate\":\"2026-07-10T04:59:00-04:00\"",
     "endDate:reversed_dates_timezone_likely", "2026-07-11T08:59:00Z"},
    {"\"startDate\":\"2026-07-10T22:00:00-04:00\",\"endDate\":\"2026-07-10T05:00:00-04:00\"",
     "endDate:reversed_dates_corrected_needs_review", ""},
    {"\"startDate\":\"2026-07-10T19:00:00-04:00\",\"endDate\":\"2026-07-10T02:00:00-04:00\"",
     "endDate:reversed_dates_corrected_needs_review", ""}, /* seven hours */
    {"\"startDate\":\"2026-07-10T19:00:00-04:00\",\"endDate\":\"2026-07-10T19:00:00-04:00\"",
     "endDate:zero_duration_occurrence", "2026-07-10T23:00:00Z"},
    {"\"startDate\":\"2028-07-10T19:00:00-04:00\"", "startDate:too_far_future", ""},
    {"\"startDate\":\"2026-09-10T19:00:00-04:00\",\"yearWasInferred\":true", "startDate:ambiguous_year_far_future", ""},
    {"\"startDate\":\"2026-07-10T19:00:00-04:00\",\"endDate\":\"2026-07-18T19:00:00-04:00\"",
     "endDate:multi_session_likely", "2026-07-18T23:00:00Z"},
    {"\"startDate\":\"2026-07-10T19:00:00-04:00\",\"endDate\":\"2026-07-18T19:00:00-04:00\","
     "\"skip_multi_session_check\":true",
     "", "2026-07-18T23:00:00Z"},
    {"\"startDate\":\"2020-07-10T19:00:00-04:00\"", "", ""},
};

static void what_is_odd_waits_for_somebody(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(WARNED); i++) {
        const Taken *t = take_good(
            mem, arena_printf(mem, "{\"name\":\"Jazz\",\"description\":\"x\"," AT_THE_REX ",%s}", WARNED[i].members));
        const When *end = &t->s.occurrences[0].end;

        assert_string_equal(list_of(mem, &t->warnings), WARNED[i].warnings);
        assert_string_equal(end->present ? when_text(mem, end->unix_us) : "", WARNED[i].end);
    }
}

static void confidence_falls_with_what_is_missing(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    const Taken *t = take_good(mem, "{\"name\":\"6 weeks of pottery\",\"startDate\":\"2028-12-10T19:00:00-04:00\","
                                    "\"yearWasInferred\":true," AT_THE_REX "}");
    (void)state;

    assert_string_equal(list_of(mem, &t->warnings),
                        "startDate:too_far_future startDate:ambiguous_year_far_future name:multi_session_likely "
                        "description:missing_description :low_confidence");
    assert_true(t->s.confidence > 0.34 && t->s.confidence < 0.36);
}

static void occurrences_are_each_there_once_and_in_order(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    const Taken *t =
        take_good(mem, "{" NAME_AND_START "," AT_THE_REX ",\"occurrences\":[{\"startDate\":\"2026-07-12T19:00:00Z\"},"
                       "{\"startDate\":\"2026-07-11T19:00:00Z\",\"timezone\":\"Europe/Berlin\"},"
                       "{\"startDate\":\"2026-07-12T15:00:00-04:00\"}]}");
    (void)state;

    assert_int_equal(t->s.occurrence_count, 2);
    assert_string_equal(zone_name(t->s.occurrences[0].zone), "Europe/Berlin");
    assert_string_equal(zone_name(t->s.occurrences[1].zone), "America/Toronto");
}

static void bodies_are_the_same_whatever_their_order(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    (void)state;

    assert_slice_equal(submission_canonical(mem, SLICE_LIT(" {\"b\":[1, 2],\n\"a\":\"\xc3\xa9\"}")),
                       SLICE_LIT("{\"a\":\"\\u00E9\",\"b\":[1,2]}"));
    assert_int_equal(submission_canonical(mem, SLICE_LIT("{")).len, 0);
}

static void cc0_has_many_spellings(void **state)
{
    static const char *const GOOD[] = {"", "CC0", "cc0-1.0", "http://creativecommons.org/publicdomain/zero/1.0/",
                                       "https://creativecommons.org/publicdomain/zero/1.0"};
    static const char *const BAD[] = {"CC-BY", "https://creativecommons.org/licenses/by/4.0/", "proprietary", "cc0x"};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++)
        assert_true(license_is_cc0(GOOD[i]));
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_false(license_is_cc0(BAD[i]));
}

/* Zones are read from files once. */
static int open_zones(void **state)
{
    (void)state;
    rules.zones = zones_new(NULL);
    rules.default_zone = zones_find(rules.zones, SLICE_LIT("America/Toronto"));
    return rules.default_zone ? 0 : -1;
}

static int close_zones(void **state)
{
    (void)state;
    zones_free(rules.zones);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_faults_are_told_at_once),
        cmocka_unit_test(names_are_counted_in_code_points),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(places_come_in_many_forms),
        cmocka_unit_test(prices_are_numbers),
        cmocka_unit_test(the_rest_is_normalised),
        cmocka_unit_test(what_is_odd_waits_for_somebody),
        cmocka_unit_test(confidence_falls_with_what_is_missing),
        cmocka_unit_test(occurrences_are_each_there_once_and_in_order),
        cmocka_unit_test(bodies_are_the_same_whatever_their_order),
        cmocka_unit_test(cc0_has_many_spellings),
    };

    return cmocka_run_group_tests(tests, open_zones, close_zones);
}
