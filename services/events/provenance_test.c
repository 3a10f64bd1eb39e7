/* Sources that disagree: who is believed, what becomes of that when trust changes, and what readers are told. */
#include "services/events/admin_testing.h"

/* ---------------------------------------------------------------------------------------------------- the rule */
static Slice take(Arena *mem, Saying *list, size_t count, size_t said, const char *standing)
{
    Slice facts;

    provenance_take(mem, list, count, said, slice(standing), &facts);
    return facts;
}

static void a_gap_is_filled_and_a_lower_source_changes_nothing(void **state)
{
    Fixture *f = *state;
    Saying list[] = {{.trust = 5, .facts = SLICE_LIT("{\"name\":\"a\"}"), .chosen = SLICE_LIT("name ")},
                     {.trust = 5, .facts = SLICE_LIT("{\"name\":\"b\",\"description\":\"d\"}")}};

    assert_slice_equal(take(f->schema.mem, list, 2, 1, "{\"name\":\"a\"}"), SLICE_LIT("{\"description\":\"d\"}"));
    assert_slice_equal(list[0].chosen, SLICE_LIT("name "));
    assert_slice_equal(list[1].chosen, SLICE_LIT("description "));
}

static void a_higher_source_takes_over(void **state)
{
    Fixture *f = *state;
    Saying list[] = {{.trust = 5, .facts = SLICE_LIT("{\"name\":\"a\"}"), .chosen = SLICE_LIT("name ")},
                     {.trust = 6, .facts = SLICE_LIT("{\"name\":\"b\"}")}};

    assert_slice_equal(take(f->schema.mem, list, 2, 1, "{\"name\":\"a\"}"), SLICE_LIT("{\"name\":\"b\"}"));
    assert_slice_equal(list[0].chosen, SLICE_LIT(""));
    assert_slice_equal(list[1].chosen, SLICE_LIT("name "));
}

static void a_source_corrects_itself(void **state)
{
    Fixture *f = *state;
    Saying list[] = {{.trust = 3, .facts = SLICE_LIT("{\"name\":\"new\"}"), .chosen = SLICE_LIT("name ")}};

    assert_slice_equal(take(f->schema.mem, list, 1, 0, "{\"name\":\"old\"}"), SLICE_LIT("{\"name\":\"new\"}"));
}

static void what_is_no_fact_is_left_alone(void **state)
{
    Fixture *f = *state;
    Saying list[] = {
        {.trust = 9,
         .facts = SLICE_LIT("{\"@type\":\"Event\",\"@id\":\"https://x/\",\"subEvent\":[],\"sel:version\":9,"
                            "\"license\":\"https://l/\",\"nonsense\":1,\"name\":\"n\"}")}};

    assert_slice_equal(take(f->schema.mem, list, 1, 0, "{}"), SLICE_LIT("{\"name\":\"n\"}"));
}

static void decided_anew_it_is_trust_then_what_stands_then_confidence_then_the_newest(void **state)
{
    Fixture *f = *state;
    static const struct {
        Saying list[2];
        const char *facts;
    } CASES[] = {
        {{{.trust = 5, .chosen = SLICE_LIT("name ")}, {.trust = 6}}, "b"},
        {{{.trust = 5, .chosen = SLICE_LIT("name ")}, {.trust = 5, .confidence = 1}}, "a"},
        {{{.trust = 5, .confidence = 0.5}, {.trust = 5, .confidence = 0.9}}, "b"},
        {{{.trust = 5, .observed_us = 1}, {.trust = 5, .observed_us = 2}}, "b"},
        {{{.trust = 7, .observed_us = 1}, {.trust = 5, .observed_us = 2, .chosen = SLICE_LIT("name ")}}, "a"},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Saying list[2] = {CASES[i].list[0], CASES[i].list[1]};
        Slice facts;

        list[0].facts = SLICE_LIT("{\"name\":\"a\"}");
        list[1].facts = SLICE_LIT("{\"name\":\"b\"}");
        provenance_rank(f->schema.mem, list, 2, &facts);
        assert_slice_equal(facts, slice(arena_printf(f->schema.mem, "{\"name\":\"%s\"}", CASES[i].facts)));
    }
}

/* ---------------------------------------------------------------------------------------------------- events */
typedef struct Told {
    Uuid event, first, second;
    int64_t first_us, second_us;
} Told;

/* Two sources of one event, which say different names and starts; the first was first. */
static Told two_sources(Fixture *f, int first_trust, int second_trust)
{
    Told told = {.first = test_source(f, "first", first_trust), .second = test_source(f, "second", second_trust)};

    told.event = test_event(f, test_place(f, "Hall", "Ottawa"), "First name", 3, LIFECYCLE_PUBLISHED);
    told.first_us = f->schema.now_us + 3 * TEST_DAY_US;
    told.second_us = told.first_us + INT64_C(7200000000);
    test_begin_saying(f, told.event, told.first, test_said(f, "First name", "", told.first_us));
    test_say(f, told.event, told.second, test_said(f, "Second name", "Of the second", told.second_us));
    return told;
}

static int64_t start_of(Fixture *f, Uuid id)
{
    EventEntity event;

    test_load_event(f, id, &event);
    assert_int_equal(event.occurrence_count, 1);
    return event.occurrences[0].start_us;
}

static void equals_fill_gaps_only(void **state)
{
    Fixture *f = *state;
    Told told = two_sources(f, 5, 5);

    assert_string_equal(test_event_text(f, told.event, TERM_NAME), "First name");
    assert_string_equal(test_event_text(f, told.event, TERM_DESCRIPTION), "Of the second");
    assert_int_equal(start_of(f, told.event), told.first_us);
}

static void the_more_trusted_says_when_it_is(void **state)
{
    Fixture *f = *state;
    Told told = two_sources(f, 5, 8);
    EventEntity event;

    assert_string_equal(test_event_text(f, told.event, TERM_NAME), "Second name");
    test_load_event(f, told.event, &event);
    assert_int_equal(event.occurrences[0].start_us, told.second_us);
    assert_int_equal(event.occurrences[0].end_us, told.second_us + INT64_C(3600000000)); /* as long as before */
    assert_true(node_get(event.head.node, TERM_START_DATE) == NULL);
}

static Slice provenance(Fixture *f, Uuid event, const char *fields)
{
    Request rq = fixture_request(f, 0);
    StrBuf out = strbuf_new(f->schema.mem, 65536);
    Slice text;

    assert_ok(provenance_write(&rq, event, slice(fields), &out));
    assert_true(strbuf_finish(&out, &text));
    return text;
}

static bool says(Slice text, const char *part)
{
    return slice_find(text, slice(part)) >= 0;
}

static void both_are_shown_and_the_one_that_stands_is_first(void **state)
{
    Fixture *f = *state;
    Told told = two_sources(f, 5, 8);
    Slice text = provenance(f, told.event, "/startDate");

    assert_true(says(text, "\"_provenance\":{\"/startDate\":[{\"source\":{\"name\":\"second\""));
    assert_true(says(text, "\"name\":\"first\""));
    assert_true(says(text, "\"trustLevel\":8"));
    assert_true(says(text, "\"sel:conflict\":true"));
    assert_true(says(text, utc_text(f->schema.mem, told.first_us)));
    assert_true(says(text, utc_text(f->schema.mem, told.second_us)));
    assert_false(says(text, "\"/name\""));
    /* What one source alone says is one record. */
    assert_true(says(provenance(f, told.event, ""), "\"/description\":{\"source\":"));
}

static void pointers_are_checked(void **state)
{
    static const char *const BAD[] = {"name", "/", "/a/b/c/d/e/f", "/a b", "/name,,", "/a//b", "/n\xc3\xa9"};
    Fixture *f = *state;
    Told told = two_sources(f, 5, 5);

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        Request rq = fixture_request(f, 0);
        StrBuf out = strbuf_new(f->schema.mem, 65536);

        assert_reason(provenance_write(&rq, told.event, slice(BAD[i]), &out), &INVALID_ARGUMENT);
        assert_true(request_has_violations(&rq));
    }
}

static void what_was_said_before_is_kept(void **state)
{
    Fixture *f = *state;
    Told told = two_sources(f, 5, 5);

    test_say(f, told.event, told.first, test_said(f, "First, put right", "", 0));
    assert_string_equal(test_event_text(f, told.event, TERM_NAME), "First, put right");
    assert_int_equal(start_of(f, told.event), told.first_us); /* not mentioned is not denied */
    assert_int_equal(
        test_schema_count(&f->schema,
                          arena_printf(f->schema.mem,
                                       "SELECT count(*) FROM observation WHERE entity_id = '%s'"
                                       " AND source_id = '%s' AND superseded_at IS NOT NULL"
                                       " AND facts LIKE '%%First name%%'",
                                       uuid_text(f->schema.mem, told.event), uuid_text(f->schema.mem, told.first))),
        1);
}

static void administration_is_believed_before_all(void **state)
{
    Fixture *f = *state;
    Told told = two_sources(f, 10, 10);

    test_say(f, told.event, ADMINISTRATION_SOURCE, test_said(f, "By hand", "", 0));
    test_say(f, told.event, told.first, test_said(f, "By machine", "", 0));
    assert_string_equal(test_event_text(f, told.event, TERM_NAME), "By hand");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap_is_filled_and_a_lower_source_changes_nothing),
        cmocka_unit_test(a_higher_source_takes_over),
        cmocka_unit_test(a_source_corrects_itself),
        cmocka_unit_test(what_is_no_fact_is_left_alone),
        cmocka_unit_test(decided_anew_it_is_trust_then_what_stands_then_confidence_then_the_newest),
        cmocka_unit_test(equals_fill_gaps_only),
        cmocka_unit_test(the_more_trusted_says_when_it_is),
        cmocka_unit_test(both_are_shown_and_the_one_that_stands_is_first),
        cmocka_unit_test(pointers_are_checked),
        cmocka_unit_test(what_was_said_before_is_kept),
        cmocka_unit_test(administration_is_believed_before_all),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
