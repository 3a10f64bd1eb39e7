/* Series, occurrences, calendars out and in, on real tables. */
#include "services/events/calendar.h"

#include <math.h>

#include "atrium/events/v1/calendars.service.h"
#include "services/events/fixture.h"
#include "services/events/seed.h"
#include "services/events/series.h"

enum { EDITOR = 7 };
#define DAY_US INT64_C(86400000000)
#define START_US INT64_C(1893456000000000) /* Tuesday 2030-01-01T00:00Z: Monday evening in Toronto */

/* ---------------------------------------------------------------------------------------------------- series */

static Uuid make_series(Fixture *f, const char *key, const char *rule)
{
    Request rq = fixture_request(f, EDITOR);
    CLEANUP(db_tx_done) DbTx tx = {0};
    const char *const taken[] = {"2030-01-14"};
    SeriesRule series = {.external_key = key,
                         .name = "Mondays",
                         .rrule = rule,
                         .taken = taken,
                         .taken_count = 1,
                         .zone = zones_find(f->zones, SLICE_LIT("America/Toronto")),
                         .start_us = START_US + DAY_US / 24, /* 20:00 */
                         .end_us = START_US + DAY_US / 8};
    EventEntity event;
    EntityWriter w;
    Uuid source = uuid_v4();

    assert_ok(db_tx_begin(&rq, &tx));
    w = entity_writer(&rq, &tx);
    assert_ok(db_exec(&tx, "INSERT INTO source (id, key_id, name, type, created_at) VALUES ($1, $2, 'x', 'api', now())",
                      DB_ARGS(db_uuid(source), db_text(slice(key)))));
    event_init(w.mem, &event);
    node_add_text(w.mem, event.head.node, TERM_NAME, slice(key));
    event.virtual_url = "https://meet.example.org/x";
    assert_ok(series_apply(&w, source, &series, &event));
    assert_ok(event_save(&w, &event, "", NULL));
    assert_ok(db_tx_commit(&tx));
    return event.head.id;
}

static int64_t number_of(Fixture *f, const char *what, Uuid event)
{
    return test_schema_count(&f->schema, arena_printf(f->schema.mem, "SELECT %s FROM occurrence WHERE event_id = '%s'",
                                                      what, uuid_text(f->schema.mem, event)));
}

static void a_series_has_occurrences_as_far_as_the_horizon_and_further_every_day(void **state)
{
    Fixture *f = *state;
    SeriesKeeper keeper = {.events = &f->events, .db = f->schema.db, .clock = &f->schema.clock};
    bool more;
    Uuid event;

    f->schema.now_us = START_US;
    event = make_series(f, "weekly", "FREQ=WEEKLY;BYDAY=MO");
    /* 31 December to 1 April, without 14 January: through the change of clocks at 20:00. */
    assert_int_equal(number_of(f, "count(*)", event), 12);
    assert_int_equal(
        number_of(f, "count(*) FILTER (WHERE to_char(start_at AT TIME ZONE 'America/Toronto', 'DHH24') = '220')",
                  event),
        12);
    f->schema.now_us += 2 * DAY_US / 4;
    assert_ok(series_extend(&keeper, &more));
    assert_int_equal(number_of(f, "count(*)", event), 12);
    f->schema.now_us += 8 * DAY_US;
    assert_ok(series_extend(&keeper, &more));
    assert_false(more);
    assert_int_equal(number_of(f, "count(*)", event), 14); /* 1 and 8 April */
}

static void a_rule_that_is_none_names_its_part(void **state)
{
    Fixture *f = *state;
    Request rq = fixture_request(f, EDITOR);
    CLEANUP(db_tx_done) DbTx tx = {0};
    SeriesRule series = {.external_key = "bad",
                         .name = "",
                         .rrule = "FREQ=WEEKLY;BYDAY=XX",
                         .zone = zones_find(f->zones, SLICE_LIT("UTC")),
                         .start_us = START_US};
    EventEntity event;
    EntityWriter w;
    Err e;

    assert_ok(db_tx_begin(&rq, &tx));
    w = entity_writer(&rq, &tx);
    event_init(w.mem, &event);
    e = series_apply(&w, uuid_v4(), &series, &event);
    assert_reason(e, &INVALID_ARGUMENT);
    assert_true(strncmp(e.text, "BYDAY:", 6) == 0);
}

/* ---------------------------------------------------------------------------------------------------- occurrences */

typedef Events__V1__OccurrenceRequest OccurrenceRequest;

static Err call(Fixture *f, const char *rpc, OccurrenceRequest *in, Events__V1__OccurrenceReply *out)
{
    Request rq = fixture_request_of(f, EDITOR, "events.edit");

    events__v1__occurrence_reply__init(out);
    return rpc_call(&EVENTS_V1_CALENDAR_SERVICE, &rq, rpc, &in->base, &out->base);
}

static Err drop(Fixture *f, Uuid event, const char *occurrence)
{
    Request rq = fixture_request_of(f, EDITOR, "events.edit");
    Events__V1__DeleteOccurrenceRequest in = EVENTS__V1__DELETE_OCCURRENCE_REQUEST__INIT;
    Events__V1__OccurrenceGone out = EVENTS__V1__OCCURRENCE_GONE__INIT;

    in.id = ulid_text(f->schema.mem, event);
    in.occurrence_id = (char *)occurrence;
    return rpc_call(&EVENTS_V1_CALENDAR_SERVICE, &rq, "DeleteOccurrence", &in.base, &out.base);
}

static char *occurrence_at(Fixture *f, Uuid event, int n)
{
    Request rq = fixture_request(f, EDITOR);
    CalendarRow *rows;
    size_t count;

    assert_ok(events_store_calendar_of_event(&rq, event, 100, &rows, &count));
    assert_true(count > (size_t)n);
    return uuid_text(f->schema.mem, rows[n].occurrence_id);
}

static void occurrences_are_made_changed_and_deleted(void **state)
{
    Fixture *f = *state;
    Uuid event = make_series(f, "single", "FREQ=DAILY;COUNT=1");
    OccurrenceRequest in = EVENTS__V1__OCCURRENCE_REQUEST__INIT;
    Events__V1__OccurrenceReply out;

    in.id = ulid_text(f->schema.mem, event);
    in.start_time = "2030-05-01T10:00:00+02:00";
    assert_reason(call(f, "CreateOccurrence", &in, &out), &INVALID_ARGUMENT); /* no timezone */
    in.timezone = "Europe/Berlin";
    in.end_time = "2030-05-01T12:00:00+02:00";
    in.ticket_url = "https://tickets.example.org/1";
    assert_ok(call(f, "CreateOccurrence", &in, &out));
    assert_string_equal(out.start_time, "2030-05-01T08:00:00Z");
    assert_reason(call(f, "CreateOccurrence", &in, &out), &OCCURRENCE_OVERLAP);
    in.start_time = "2030-05-01T13:00:00+02:00";
    assert_reason(call(f, "CreateOccurrence", &in, &out), &INVALID_ARGUMENT); /* ends before */
    in = (OccurrenceRequest)EVENTS__V1__OCCURRENCE_REQUEST__INIT;
    in.id = ulid_text(f->schema.mem, event);
    in.occurrence_id = occurrence_at(f, event, 1);
    in.start_time = "2030-05-02T10:00:00+02:00";
    in.end_time = "2030-05-02T11:00:00+02:00";
    in.status = "rescheduled";
    assert_ok(call(f, "UpdateOccurrence", &in, &out));
    assert_string_equal(out.previous_start_time, "2030-05-01T08:00:00Z");
    assert_string_equal(out.ticket_url, "https://tickets.example.org/1");
    in.venue_ulid = "01J00000000000000000000000";
    assert_reason(call(f, "UpdateOccurrence", &in, &out), &UNPROCESSABLE);
    assert_ok(drop(f, event, in.occurrence_id));
    assert_reason(drop(f, event, in.occurrence_id), &NOT_FOUND);
    assert_reason(drop(f, event, occurrence_at(f, event, 0)), &LAST_OCCURRENCE);
}

static void what_was_edited_by_itself_survives_the_rule(void **state)
{
    Fixture *f = *state;
    SeriesKeeper keeper = {.events = &f->events, .db = f->schema.db, .clock = &f->schema.clock};
    OccurrenceRequest in = EVENTS__V1__OCCURRENCE_REQUEST__INIT;
    Events__V1__OccurrenceReply out;
    bool more;
    Uuid event;
    int64_t before;

    f->schema.now_us = START_US;
    event = make_series(f, "edited", "FREQ=WEEKLY;BYDAY=MO");
    before = number_of(f, "count(*)", event);
    in.id = ulid_text(f->schema.mem, event);
    in.occurrence_id = occurrence_at(f, event, 3);
    in.status = "cancelled";
    assert_ok(call(f, "UpdateOccurrence", &in, &out));
    assert_ok(drop(f, event, occurrence_at(f, event, 4)));
    in.occurrence_id = occurrence_at(f, event, 5);
    in.status = NULL;
    in.scope = "following";
    in.ticket_url = "https://tickets.example.org/2";
    assert_ok(call(f, "UpdateOccurrence", &in, &out));
    f->schema.now_us += 9 * DAY_US;
    assert_ok(series_extend(&keeper, &more));
    assert_int_equal(number_of(f, "count(*)", event), before + 1); /* one less, two more */
    assert_int_equal(number_of(f, "count(*) FILTER (WHERE status = 'cancelled')", event), 1);
    assert_int_equal(number_of(f, "count(*) FILTER (WHERE ticket_url <> '')", event),
                     8); /* the last six, and those to come */
}

/* ---------------------------------------------------------------------------------------------------- out */

static Slice calendar(Fixture *f, Uuid event, bool rules)
{
    Request rq = fixture_request(f, 0);
    Atrium__HttpBody *out = MESSAGE_NEW(f->schema.mem, Atrium__HttpBody, atrium__http_body__init);

    rq.mem = f->schema.mem;
    assert_ok(calendar_of_event(&rq, ulid_text(f->schema.mem, event), rules, out));
    return slice_of(out->data.data, out->data.len);
}

static bool says(Slice text, const char *part)
{
    return slice_find(text, slice(part)) >= 0;
}

static void a_calendar_has_each_occurrence_or_the_rule(void **state)
{
    Fixture *f = *state;
    Slice text;
    Uuid event;

    f->schema.now_us = START_US;
    event = make_series(f, "calendar", "FREQ=WEEKLY;BYDAY=MO;UNTIL=20300301");
    text = calendar(f, event, false);
    assert_true(says(text, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n"));
    assert_true(says(text, "DTSTART:20300101T010000Z\r\nDTEND:20300101T030000Z\r\n"));
    assert_true(says(text, "SEQUENCE:0\r\n") && says(text, "STATUS:CONFIRMED\r\n"));
    assert_false(says(text, "RRULE"));
    assert_slice_equal(calendar(f, event, false), text); /* to the byte */
    text = calendar(f, event, true);
    assert_true(says(text, "BEGIN:VTIMEZONE\r\nTZID:America/Toronto\r\n"));
    assert_true(says(text, "DTSTART;TZID=America/Toronto:20291231T200000\r\n"));
    assert_true(says(text, "RRULE:FREQ=WEEKLY;BYDAY=MO;UNTIL=20300302T045959Z\r\n"));
    assert_true(says(text, "EXDATE;TZID=America/Toronto:20300114T200000\r\n"));
    assert_true(says(text, "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\r\n"));
}

/* A thousand entries within the goal of 40 ms, five times as long on a machine with other work. */
static void a_feed_of_a_thousand_is_written_at_once(void **state)
{
    Fixture *f = *state;
    Events__V1__ListEventsRequest in = EVENTS__V1__LIST_EVENTS_REQUEST__INIT;
    Atrium__HttpBody *out = MESSAGE_NEW(f->schema.mem, Atrium__HttpBody, atrium__http_body__init);
    int64_t best_us = INT64_MAX, entries = 0;

    f->schema.now_us = START_US;
    seed_events(f, 1000);
    in.start_date = "2029-12-30";
    for (int i = 0; i < 5; i++) {
        Request rq = fixture_request(f, 0);
        int64_t began_us = clock_monotonic_us(&SYSTEM_CLOCK);

        assert_ok(rpc_call(&EVENTS_V1_CALENDAR_SERVICE, &rq, "GetCalendar", &in.base, &out->base));
        best_us = MIN(best_us, clock_monotonic_us(&SYSTEM_CLOCK) - began_us);
    }
    for (Slice rest = slice_of(out->data.data, out->data.len); rest.len;) {
        Slice line;

        (void)slice_cut(rest, '\n', &line, &rest);
        entries += slice_starts_with(line, SLICE_LIT("BEGIN:VEVENT"));
    }
    assert_int_equal(entries, CALENDAR_EVENTS_MAX);
    print_message("a feed of %d: %.1f ms\n", CALENDAR_EVENTS_MAX, (double)best_us / 1000);
    assert_true(best_us < 1000000); /* the bench knows the 40 ms; here a sanitizer may run */
}

/* ---------------------------------------------------------------------------------------------------- in */

static Events__V1__ImportCalendarReply *import_as(Fixture *f, int64_t user, const char *text)
{
    Request rq = fixture_request_of(f, user, "events.sources.edit");
    Events__V1__ImportCalendarRequest in = EVENTS__V1__IMPORT_CALENDAR_REQUEST__INIT;
    Events__V1__ImportCalendarReply *out =
        MESSAGE_NEW(f->schema.mem, Events__V1__ImportCalendarReply, events__v1__import_calendar_reply__init);

    rq.mem = f->schema.mem;
    in.calendar = (char *)text;
    in.name = "test.ics";
    assert_ok(rpc_call(&EVENTS_V1_CALENDAR_SERVICE, &rq, "ImportCalendar", &in.base, &out->base));
    for (size_t i = 0; i < out->n_entries; i++)
        if (out->entries[i]->error)
            print_message("%s: %s\n", out->entries[i]->uid, out->entries[i]->error);
    return out;
}

static Events__V1__ImportCalendarReply *import(Fixture *f, const char *text)
{
    return import_as(f, EDITOR, text);
}

#define ONE                                                                                                            \
    "BEGIN:VEVENT\nUID:one\nSUMMARY:Harvest dinner\nDESCRIPTION:With music\nLOCATION:Barn\nDTSTART;TZID=Eastern "      \
    "Standard "                                                                                                        \
    "Time:20300201T190000\n"                                                                                           \
    "DURATION:PT2H\nEND:VEVENT\n"
#define TWO                                                                                                            \
    "BEGIN:VEVENT\nUID:two\nSUMMARY:Open rehearsal\nDESCRIPTION:Come "                                                 \
    "in\nLOCATION:Hall\nDTSTART:20300301T180000Z\nDTEND:20300301T200000Z\n"                                            \
    "END:VEVENT\n"

static void a_calendar_read_in_again_changes_nothing_and_what_is_missing_is_cancelled(void **state)
{
    Fixture *f = *state;
    Events__V1__ImportCalendarReply *reply;

    f->schema.now_us = START_US;
    reply = import(f, "BEGIN:VCALENDAR\n" ONE TWO "BEGIN:VEVENT\nUID:bad\nSUMMARY:x\nEND:VEVENT\nEND:VCALENDAR\n");
    assert_int_equal(reply->created, 2);
    assert_int_equal(reply->failed, 1);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM occurrence WHERE start_at = "
                                                   "'2030-02-02T00:00:00Z' AND end_at = '2030-02-02T02:00:00Z'"),
                     1);
    reply = import(f, "BEGIN:VCALENDAR\n" ONE TWO "END:VCALENDAR\n");
    assert_int_equal(reply->unchanged, 2);
    reply = import(f, "BEGIN:VCALENDAR\n" TWO "END:VCALENDAR\n");
    assert_int_equal(reply->cancelled, 1);
    assert_int_equal(reply->unchanged, 1);
    assert_int_equal(
        test_schema_count(&f->schema,
                          "SELECT count(*) FROM event WHERE lifecycle = 'cancelled' AND name = 'Harvest dinner'"),
        1);
    reply = import(f, "BEGIN:VCALENDAR\n" TWO "END:VCALENDAR\n");
    assert_int_equal(reply->cancelled, 0);
    reply = import(f, "BEGIN:VCALENDAR\n" ONE TWO "END:VCALENDAR\n"); /* it comes back */
    assert_int_equal(reply->updated, 1);
    assert_int_equal(
        test_schema_count(&f->schema,
                          "SELECT count(*) FROM event WHERE lifecycle = 'cancelled' AND name = 'Harvest dinner'"),
        0);
}

#define SHARED(more)                                                                                                   \
    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:shared\nSUMMARY:Lantern walk\nDESCRIPTION:At dusk\nLOCATION:Pond\n"            \
    "DTSTART:20300401T180000Z\nDURATION:PT2H\n" more "END:VEVENT\nEND:VCALENDAR\n"

/* Both calendars have the event; it is the first one's. */
static void a_calendar_cancels_nothing_of_others(void **state)
{
    static const char CANCELLED_ONES[] =
        "SELECT count(*) FROM event WHERE lifecycle = 'cancelled' AND name = 'Lantern walk'";
    Fixture *f = *state;

    f->schema.now_us = START_US;
    assert_int_equal(import_as(f, EDITOR + 1, SHARED(""))->created, 1);
    assert_int_equal(import(f, SHARED(""))->updated, 1);
    assert_int_equal(import(f, SHARED("STATUS:CANCELLED\n"))->updated, 1);
    assert_int_equal(test_schema_count(&f->schema, CANCELLED_ONES), 0);
    assert_int_equal(import(f, "BEGIN:VCALENDAR\nEND:VCALENDAR\n")->cancelled, 0);
    assert_int_equal(test_schema_count(&f->schema, CANCELLED_ONES), 0);
    assert_int_equal(import_as(f, EDITOR + 1, SHARED("STATUS:CANCELLED\n"))->updated, 1);
    assert_int_equal(test_schema_count(&f->schema, CANCELLED_ONES), 1);
}

#define MOVED(start)                                                                                                   \
    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:relic\nSUMMARY:Relic hunt\nDESCRIPTION:In the attic\nLOCATION:Attic\n"         \
    "DTSTART:" start "\nDURATION:PT2H\nRRULE:FREQ=WEEKLY;COUNT=2\nEND:VEVENT\nEND:VCALENDAR\n"

/* What its source was called when it came. */
static void an_entry_is_known_whatever_its_source_was_called(void **state)
{
    Fixture *f = *state;

    f->schema.now_us = START_US;
    assert_int_equal(import_as(f, EDITOR + 2, MOVED("20300201T180000Z"))->created, 1);
    test_schema_script(&f->schema, "UPDATE source SET type = 'api' WHERE key_id = 'user:9' AND type = 'ical'");
    assert_int_equal(import_as(f, EDITOR + 2, MOVED("20300202T190000Z"))->updated, 1);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM event WHERE name = 'Relic hunt'"), 1);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM occurrence o JOIN event e ON e.id = o.event_id"
                                                   " WHERE e.name = 'Relic hunt' AND (o.start_at = "
                                                   "'2030-02-02T19:00:00Z' OR o.start_at = '2030-02-09T19:00:00Z')"),
                     2);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM source WHERE key_id = 'user:9'"), 1);
}

#define MARKET(text, overrides)                                                                                        \
    "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:market\nSUMMARY:Night market\nDESCRIPTION:" text "\nLOCATION:Quay\n"           \
    "DTSTART:20300107T180000Z\nDURATION:PT2H\nRRULE:FREQ=WEEKLY;COUNT=5\nEND:VEVENT\n" overrides "END:VCALENDAR\n"
#define MARKET_ON(day, hour)                                                                                           \
    "BEGIN:VEVENT\nUID:market\nRECURRENCE-ID:203001" day "T180000Z\nSUMMARY:Night market\nDTSTART:203001" day "T" hour \
    "0000Z\nDURATION:PT2H\nEND:VEVENT\n"

/* Of its series one was moved, one cancelled, one deleted by hand; another one is the calendar's still. */
static void no_calendar_undoes_an_edit(void **state)
{
    Fixture *f = *state;
    OccurrenceRequest in = EVENTS__V1__OCCURRENCE_REQUEST__INIT, off = in;
    Events__V1__OccurrenceReply out;
    CLEANUP(db_rows_done) DbRows rows = {0}, dates = {0};
    Uuid event;

    f->schema.now_us = START_US;
    assert_int_equal(import(f, MARKET("Stalls", MARKET_ON("14", "19")))->created, 1);
    assert_ok(db_read_with(f->schema.db, 5000, "SELECT id FROM event WHERE name = 'Night market'", DB_NO_ARGS, &rows));
    event = db_get_uuid(&rows, 0, 0);
    in.id = off.id = ulid_text(f->schema.mem, event);
    in.occurrence_id = occurrence_at(f, event, 1);
    in.start_time = "2030-01-14T20:00:00Z";
    in.end_time = "2030-01-14T21:00:00Z";
    assert_ok(call(f, "UpdateOccurrence", &in, &out));
    off.occurrence_id = occurrence_at(f, event, 2);
    off.status = "cancelled";
    assert_ok(call(f, "UpdateOccurrence", &off, &out));
    assert_ok(drop(f, event, occurrence_at(f, event, 3)));
    assert_int_equal(import(f, MARKET("More stalls", MARKET_ON("14", "17") MARKET_ON("21", "17") MARKET_ON("28", "17")
                                                         MARKET_ON("07", "17")))
                         ->updated,
                     1);
    assert_ok(db_read_with(f->schema.db, 5000,
                           "SELECT string_agg(to_char(o.start_at AT TIME ZONE 'UTC', 'DD HH24') || ' ' || o.status, ','"
                           " ORDER BY o.start_at) FROM occurrence o JOIN event e ON e.id = o.event_id WHERE e.name = "
                           "'Night market'",
                           DB_NO_ARGS, &dates));
    assert_string_equal(db_get_cstr(f->schema.mem, &dates, 0, 0),
                        "07 17 rescheduled,14 20 rescheduled,21 18 cancelled,04 18 scheduled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_has_occurrences_as_far_as_the_horizon_and_further_every_day),
        cmocka_unit_test(a_rule_that_is_none_names_its_part),
        cmocka_unit_test(occurrences_are_made_changed_and_deleted),
        cmocka_unit_test(what_was_edited_by_itself_survives_the_rule),
        cmocka_unit_test(a_calendar_has_each_occurrence_or_the_rule),
        cmocka_unit_test(a_feed_of_a_thousand_is_written_at_once),
        cmocka_unit_test(a_calendar_read_in_again_changes_nothing_and_what_is_missing_is_cancelled),
        cmocka_unit_test(a_calendar_cancels_nothing_of_others),
        cmocka_unit_test(an_entry_is_known_whatever_its_source_was_called),
        cmocka_unit_test(no_calendar_undoes_an_edit),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
