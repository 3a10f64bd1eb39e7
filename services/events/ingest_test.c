/* Which submissions are taken for the same: each layer exactly where it should (contract 8), on real tables. */
#include "services/events/ingest.h"

#include "atrium/events/v1/admin.service.h"
#include "atrium/events/v1/calendars.service.h"
#include "atrium/events/v1/submissions.service.h"
#include "services/events/fixture.h"
#include "shared/json.h"

enum { AGENT = 7, OTHER_AGENT = 8 };

static Slice submit_as(Fixture *f, int64_t agent, const char *body, int *out_status)
{
    Request rq = fixture_request_of(f, agent, "events.submit");
    Events__V1__SubmitEventRequest in = EVENTS__V1__SUBMIT_EVENT_REQUEST__INIT;
    Atrium__HttpBody wrapped = ATRIUM__HTTP_BODY__INIT;
    Atrium__HttpBody *out = MESSAGE_NEW(f->schema.mem, Atrium__HttpBody, atrium__http_body__init);
    Err e;

    wrapped.data = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)body, .len = strlen(body)};
    wrapped.has_data = true;
    in.body = &wrapped;
    e = rpc_call(&EVENTS_V1_SUBMISSION_SERVICE, &rq, "SubmitEvent", &in.base, &out->base);
    *out_status = err_failed(e) ? e.reason->http : rq.reply.http_status;
    return err_failed(e) ? slice(arena_strdup(f->schema.mem, e.text)) : slice_of(out->data.data, out->data.len);
}

static Slice submit(Fixture *f, const char *body, int *out_status)
{
    return submit_as(f, AGENT, body, out_status);
}

static const char *event(Fixture *f, int number, const char *name, const char *place, const char *start)
{
    return arena_printf(f->schema.mem,
                        "{\"name\":\"%s\",\"description\":\"x\",\"startDate\":\"%s\",\"location\":{\"name\":\"%s\","
                        "\"addressLocality\":\"Town %d\"}}",
                        name, start, place, number);
}

/* Each in a town of its own. Against "Jazz Night with Ann" at "The Rex", on the evening of 20 December 2026 in Toronto.
 */
static const struct {
    const char *name, *place, *start;
    int status;
    const char *warning; /* "" none */
} ROWS[] = {
    {"Jazz Night with Ann", "The Rex", "2026-12-20T19:00:00-05:00", 409, ""},
    {"  JAZZ  night, with Ann!", "THE REX", "2026-12-20T19:00:00-05:00", 409, ""},
    {"J\xc3\xa1zz Night with Ann", "The Rex", "2026-12-21T00:00:00Z", 409, ""}, /* the same instant */
    {"Jazz Night with Ann", "The Rex", "2026-12-20T20:00:00-05:00", 202, "potential_duplicate"},
    {"Jazz Night with Bob", "The Rex", "2026-12-20T15:00:00-05:00", 202, "potential_duplicate"},
    {"Ann: Jazz Night", "The Rex", "2026-12-20T00:30:00-05:00", 202, "potential_duplicate"},
    {"Jazz Night with Ann", "The Rex", "2026-12-19T23:59:00-05:00", 201, ""},               /* the day before, here */
    {"Jazz Night with Ann", "The Rex", "2026-12-21T04:30:00Z", 202, "potential_duplicate"}, /* still that day, here */
    {"Jazz Night with Ann", "The Rex", "2026-12-27T19:15:00-05:00", 202, "cross_week_series_companion"},
    {"Jazz Night with Ann", "The Rex", "2027-01-10T18:30:00-05:00", 202, "cross_week_series_companion"},
    {"Jazz Night with Ann", "The Rex", "2026-12-27T20:00:00-05:00", 201, ""}, /* at another time */
    {"Jazz Night with Ann", "The Rex", "2026-12-24T19:00:00-05:00", 201, ""}, /* four days */
    {"Jazz Night with Ann", "The Rex", "2027-01-17T19:00:00-05:00", 201, ""}, /* four weeks */
    {"Chess for beginners", "The Rex", "2026-12-20T19:00:00-05:00", 201, ""},
    {"Jazz Night with Ann", "Massey Hall", "2026-12-20T19:00:00-05:00", 201, ""},
};

static void each_layer_is_hit_exactly_when_it_should_be(void **state)
{
    Fixture *f = *state;

    for (int i = 0; i < (int)ARRAY_LEN(ROWS); i++) {
        int status;
        Slice first = submit(f, event(f, i, "Jazz Night with Ann", "The Rex", "2026-12-20T19:00:00-05:00"), &status);
        Slice reply;

        if (status != 201)
            fail_msg("%d: %d " SLICE_FMT, i, status, SLICE_ARG(first));
        reply = submit(f, event(f, i, ROWS[i].name, ROWS[i].place, ROWS[i].start), &status);
        if (status != ROWS[i].status)
            fail_msg("%d: %s, %s, %s: %d " SLICE_FMT, i, ROWS[i].name, ROWS[i].place, ROWS[i].start, status,
                     SLICE_ARG(reply));
        if (ROWS[i].warning[0] && slice_find(reply, slice(ROWS[i].warning)) < 0)
            fail_msg("%d: " SLICE_FMT, i, SLICE_ARG(reply));
        if (status == 409)
            assert_slice_equal(json_find(reply, SLICE_LIT("@id")), json_find(first, SLICE_LIT("@id")));
    }
}

static void similar_places_are_one_or_looked_at(void **state)
{
    static const struct {
        const char *place, *locality;
        int status;
        bool same;
    } PLACES[] = {{"Workman Arts Theatre Main Stage", "Toronto", 201, true},
                  {"Workman Arts Theatre: Main-Stage", "", 201, true}, /* nobody said that it is elsewhere */
                  {"Workman Arts Theater Main Stages", "Toronto", 202, false},
                  {"Workman Arts Theatre Main Stage", "Ottawa", 201, false}};
    Fixture *f = *state;
    Slice first = SLICE_LIT("");
    int status;

    for (int i = 0; i < (int)ARRAY_LEN(PLACES); i++) {
        Slice reply =
            submit(f,
                   arena_printf(f->schema.mem,
                                "{\"name\":\"Play number %d\",\"description\":\"x\",\"startDate\":\"2027-0%d-20T"
                                "19:00:00Z\",\"location\":{\"name\":\"%s\",\"addressLocality\":\"%s\"}}",
                                i, i + 1, PLACES[i].place, PLACES[i].locality),
                   &status);
        Slice place = json_find(reply, SLICE_LIT("location.@id"));

        if (status != PLACES[i].status)
            fail_msg("%s: %d " SLICE_FMT, PLACES[i].place, status, SLICE_ARG(reply));
        if (i == 0)
            first = place;
        if (slice_eq(place, first) != PLACES[i].same)
            fail_msg("%s: " SLICE_FMT, PLACES[i].place, SLICE_ARG(place));
    }
}

/* --- whose event it is ------------------------------------------------------------------------------------------- */
static const char *sourced(Fixture *f, const char *name, const char *hour, const char *source, const char *more)
{
    return arena_printf(f->schema.mem,
                        "{\"name\":\"%s\",\"description\":\"x\",\"startDate\":\"2026-12-20T%s:00:00Z\",\"location\":"
                        "{\"name\":\"The Barn\",\"addressLocality\":\"Mineville\"},\"source\":{\"url\":"
                        "\"https://%s.test/1\",\"eventId\":\"1\"}%s}",
                        name, hour, source, more);
}

static int64_t in_state(Fixture *f, const char *lifecycle, const char *name, const char *domain)
{
    return test_schema_count(
        &f->schema,
        arena_printf(f->schema.mem,
                     "SELECT count(*) FROM event e JOIN occurrence o ON o.event_id = e.id WHERE e.lifecycle "
                     "= '%s' AND e.name = '%s' AND e.domain = '%s' AND o.start_at = '2026-12-20T19:00:00Z'",
                     lifecycle, name, domain));
}

/* The second agent's id is tied to the event by its content; what it says by that id moves nothing. */
static void nobody_takes_over_what_another_made(void **state)
{
    static const char SEIZED[] = ",\"eventStatus\":\"EventCancelled\",\"eventDomain\":\"sports\",\"occurrences\":"
                                 "[{\"startDate\":\"2026-12-24T19:00:00Z\"}]";
    Fixture *f = *state;
    int status;

    (void)submit_as(f, AGENT, sourced(f, "Barn Dance", "19", "a", ",\"eventDomain\":\"music\""), &status);
    assert_int_equal(status, 201);
    (void)submit_as(f, OTHER_AGENT, sourced(f, "Barn Dance", "19", "b", ""), &status);
    assert_int_equal(status, 409);
    (void)submit_as(f, OTHER_AGENT, sourced(f, "Seized", "22", "b", SEIZED), &status);
    assert_int_equal(status, 409);
    assert_int_equal(in_state(f, "published", "Barn Dance", "music"), 1);
    /* It is found by its own content, not by what was said to be it. */
    (void)submit_as(f, OTHER_AGENT, sourced(f, "Barn Dance", "19", "c", ""), &status);
    assert_int_equal(status, 409);
    (void)submit_as(f, OTHER_AGENT, sourced(f, "Seized", "22", "d", ""), &status);
    assert_int_equal(status, 201);
    /* Its maker cancels it. */
    (void)submit_as(
        f, AGENT, sourced(f, "Barn Dance", "19", "a", ",\"eventDomain\":\"music\",\"eventStatus\":\"EventCancelled\""),
        &status);
    assert_int_equal(status, 409);
    assert_int_equal(in_state(f, "cancelled", "Barn Dance", "music"), 1);
}

static void who_is_trusted_more_leads(void **state)
{
    static const char OFF[] = ",\"eventStatus\":\"EventCancelled\"";
    Fixture *f = *state;
    int status;

    (void)submit_as(f, AGENT, sourced(f, "Wheel Day", "19", "lead-a", ""), &status);
    assert_int_equal(status, 201);
    (void)submit_as(f, OTHER_AGENT, sourced(f, "Wheel Day", "19", "lead-b", ""), &status);
    test_schema_script(&f->schema, "UPDATE source SET trust = 8 WHERE host = 'https://lead-b.test'");
    (void)submit_as(f, OTHER_AGENT, sourced(f, "Wheel Day", "19", "lead-b", OFF), &status);
    assert_int_equal(status, 409);
    assert_int_equal(in_state(f, "cancelled", "Wheel Day", "arts"), 1);
    (void)submit_as(f, AGENT, sourced(f, "Wheel Day", "19", "lead-a", ",\"eventStatus\":\"EventScheduled\""), &status);
    assert_int_equal(in_state(f, "cancelled", "Wheel Day", "arts"), 1);
}

static void only_its_maker_publishes_what_waits(void **state)
{
    Fixture *f = *state;
    int status;

    (void)submit_as(f, AGENT, sourced(f, "Quiet Hour", "19", "wait-a", ",\"lifecycle_state\":\"review\""), &status);
    assert_int_equal(status, 202);
    (void)submit_as(f, OTHER_AGENT, sourced(f, "Quiet Hour", "19", "wait-b", ""), &status);
    (void)submit_as(f, OTHER_AGENT, sourced(f, "Quiet Hour", "19", "wait-b", ""), &status);
    assert_int_equal(status, 409);
    assert_int_equal(in_state(f, "pending_review", "Quiet Hour", "arts"), 1);
    (void)submit_as(f, AGENT, sourced(f, "Quiet Hour", "19", "wait-a", ""), &status);
    assert_int_equal(in_state(f, "published", "Quiet Hour", "arts"), 1);
}

static void what_is_not_public_is_not_named_to_others(void **state)
{
    Fixture *f = *state;
    Slice reply;
    int status;

    (void)submit_as(f, AGENT, sourced(f, "Secret Supper Club", "19", "hid-a", ",\"lifecycle_state\":\"review\""),
                    &status);
    assert_int_equal(status, 202);
    reply = submit_as(f, OTHER_AGENT, sourced(f, "Secret Supper", "20", "hid-b", ""), &status);
    assert_int_equal(status, 202);
    assert_true(slice_find(reply, SLICE_LIT("potential_duplicate")) > 0);
    assert_true(slice_find(reply, SLICE_LIT("Supper Club")) < 0 && slice_find(reply, SLICE_LIT("related")) < 0);
    reply = submit_as(f, AGENT, sourced(f, "Secret Supper Clubs", "21", "hid-c", ""), &status);
    assert_true(slice_find(reply, SLICE_LIT("\\\"Secret Supper Club\\\"")) > 0);
}

/* --- what administration edits ----------------------------------------------------------------------------------- */
static const char THREE_DATES[] = ",\"eventDomain\":\"music\",\"eventStatus\":\"EventScheduled\",\"occurrences\":["
                                  "{\"startDate\":\"2026-12-20T19:00:00Z\"},{\"startDate\":\"2026-12-21T19:00:00Z\"},"
                                  "{\"startDate\":\"2026-12-22T19:00:00Z\"},{\"startDate\":\"2026-12-23T19:00:00Z\"}]";

static Request administration(Fixture *f)
{
    Request rq = fixture_request(f, 9);

    rq.caller.role = ROLE_ADMIN;
    return rq;
}

static char *text_of(Fixture *f, const char *sql)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(db_read_with(f->schema.db, 5000, sql, DB_NO_ARGS, &rows));
    assert_int_equal(rows.count, 1);
    return db_get_cstr(f->schema.mem, &rows, 0, 0);
}

static char *occurrence_at(Fixture *f, const char *event, const char *start)
{
    return text_of(f, arena_printf(f->schema.mem,
                                   "SELECT o.id::text FROM occurrence o JOIN event e ON e.id = o.event_id WHERE "
                                   "e.name = '%s' AND o.start_at = '%s'",
                                   event, start));
}

static void edit_occurrence(Fixture *f, const char *method, Events__V1__OccurrenceRequest *in)
{
    Request rq = administration(f);
    Events__V1__OccurrenceReply out = EVENTS__V1__OCCURRENCE_REPLY__INIT;

    assert_ok(rpc_call(&EVENTS_V1_CALENDAR_SERVICE, &rq, method, &in->base, &out.base));
}

/* Its source lists the same dates again: one was cancelled, one moved, one deleted, one is as it was. */
static void no_submission_undoes_an_edit(void **state)
{
    Fixture *f = *state;
    Events__V1__AdminUpdateEventRequest event = EVENTS__V1__ADMIN_UPDATE_EVENT_REQUEST__INIT;
    Events__V1__OccurrenceRequest off = EVENTS__V1__OCCURRENCE_REQUEST__INIT, moved = off;
    Events__V1__DeleteOccurrenceRequest gone = EVENTS__V1__DELETE_OCCURRENCE_REQUEST__INIT;
    Events__V1__ShortEvent shown = EVENTS__V1__SHORT_EVENT__INIT;
    Events__V1__OccurrenceGone nothing = EVENTS__V1__OCCURRENCE_GONE__INIT;
    Request rq = administration(f);
    Slice reply, uri;
    int status;

    reply = submit_as(f, AGENT, sourced(f, "Lantern Walk", "19", "edit-a", THREE_DATES), &status);
    assert_int_equal(status, 201);
    uri = json_find(reply, SLICE_LIT("@id"));
    event.id = slice_cstr(f->schema.mem, slice_skip(uri, uri.len - 27));
    event.id[26] = 0;
    event.event_domain = "sports";
    event.lifecycle_state = "cancelled";
    assert_ok(rpc_call(&EVENTS_V1_ADMIN_SERVICE, &rq, "AdminUpdateEvent", &event.base, &shown.base));
    off.id = moved.id = gone.id = event.id;
    off.occurrence_id = occurrence_at(f, "Lantern Walk", "2026-12-20T19:00:00Z");
    off.status = "cancelled";
    off.ticket_url = "https://tickets.test/";
    edit_occurrence(f, "UpdateOccurrence", &off);
    moved.occurrence_id = occurrence_at(f, "Lantern Walk", "2026-12-21T19:00:00Z");
    moved.start_time = "2026-12-21T21:00:00Z";
    edit_occurrence(f, "UpdateOccurrence", &moved);
    gone.occurrence_id = occurrence_at(f, "Lantern Walk", "2026-12-22T19:00:00Z");
    rq = administration(f);
    assert_ok(rpc_call(&EVENTS_V1_CALENDAR_SERVICE, &rq, "DeleteOccurrence", &gone.base, &nothing.base));
    (void)submit_as(f, AGENT, sourced(f, "Lantern Walk", "19", "edit-a", THREE_DATES), &status);
    assert_int_equal(status, 409);
    assert_string_equal(text_of(f, "SELECT string_agg(to_char(o.start_at AT TIME ZONE 'UTC', 'DD HH24') || ' ' || "
                                   "o.status || ' ' || o.ticket_url, ',' ORDER BY o.start_at) || e.lifecycle || "
                                   "e.domain FROM occurrence o JOIN event e ON e.id = o.event_id WHERE e.name = "
                                   "'Lantern Walk' GROUP BY e.id"),
                        "20 19 cancelled https://tickets.test/,21 21 scheduled ,23 19 scheduled cancelledsports");
}

#define DATES(text, door, more)                                                                                        \
    ",\"keywords\":[\"" text "\"],\"occurrences\":[{\"startDate\":\"2026-12-20T19:00:00Z\",\"doorTime\":"              \
    "\"2026-12-20T" door ":00Z\"},{\"startDate\":\"2026-12-21T19:00:00Z\"}" more "]"

/* Its source added a date and opens its doors at another time: both is taken back, and stays so. */
static void no_submission_undoes_a_revert(void **state)
{
    Fixture *f = *state;
    Events__V1__RevertEventRequest back = EVENTS__V1__REVERT_EVENT_REQUEST__INIT;
    Events__V1__ShortEvent shown = EVENTS__V1__SHORT_EVENT__INIT;
    Request rq = administration(f);
    Slice reply, uri;
    int status;

    reply = submit_as(f, AGENT, sourced(f, "Ghost Tour", "19", "back-a", DATES("a", "18:00", "")), &status);
    assert_int_equal(status, 201);
    uri = json_find(reply, SLICE_LIT("@id"));
    back.id = slice_cstr(f->schema.mem, slice_skip(uri, uri.len - 27));
    back.id[26] = 0;
    (void)submit_as(
        f, AGENT,
        sourced(f, "Ghost Tour", "19", "back-a", DATES("b", "18:30", ",{\"startDate\":\"2026-12-22T19:00:00Z\"}")),
        &status);
    assert_string_equal(text_of(f, "SELECT count(*)::text FROM occurrence o JOIN event e ON e.id = o.event_id WHERE "
                                   "e.name = 'Ghost Tour'"),
                        "3");
    SET(&back, version, 1);
    assert_ok(rpc_call(&EVENTS_V1_ADMIN_SERVICE, &rq, "RevertEvent", &back.base, &shown.base));
    (void)submit_as(
        f, AGENT,
        sourced(f, "Ghost Tour", "19", "back-a", DATES("c", "18:30", ",{\"startDate\":\"2026-12-22T19:00:00Z\"}")),
        &status);
    assert_string_equal(text_of(f, "SELECT string_agg(to_char(o.start_at AT TIME ZONE 'UTC', 'DD HH24') || "
                                   "coalesce(to_char(o.door_at AT TIME ZONE 'UTC', ' HH24:MI'), '') || ' ' || "
                                   "o.detached, ',' ORDER BY o.start_at) FROM occurrence o JOIN event e ON e.id = "
                                   "o.event_id WHERE e.name = 'Ghost Tour'"),
                        "20 19 18:00 true,21 19 false");
}

static int64_t named(Fixture *f, const char *lifecycle)
{
    return test_schema_count(
        &f->schema,
        arena_printf(f->schema.mem,
                     "SELECT (SELECT count(*) FROM place WHERE name = 'Back Room' AND lifecycle = '%1$s') + (SELECT "
                     "count(*) FROM organization WHERE name = 'Hidden Hands' AND lifecycle = '%1$s')",
                     lifecycle));
}

/* Places and organisers are shown from the first public event on that names them. */
static void what_an_event_that_waits_names_waits_with_it(void **state)
{
    static const char *const BODY = "{\"name\":\"%s\",\"description\":\"x\",\"startDate\":\"2026-12-%d"
                                    "T19:00:00Z\",\"location\":{\"name\":\"Back Room\",\"addressLocality\":\"Cellar"
                                    "\"},\"organizer\":{\"name\":\"Hidden Hands\"}%s}";
    static const char TOLD[] = "SELECT count(*) FROM change WHERE entity <> 'event' AND snapshot ~ 'Back Room|Hidden "
                               "Hands'";
    Fixture *f = *state;
    int status;

    (void)submit(f, arena_printf(f->schema.mem, BODY, "Bad idea", 10, ",\"lifecycle_state\":\"review\""), &status);
    assert_int_equal(status, 202);
    assert_int_equal(named(f, "pending_review"), 2);
    assert_int_equal(test_schema_count(&f->schema, TOLD), 0);
    (void)submit(f, arena_printf(f->schema.mem, BODY, "Poetry", 15, ""), &status);
    assert_int_equal(status, 201);
    assert_int_equal(named(f, "published"), 2);
    assert_int_equal(test_schema_count(&f->schema, TOLD), 2);
}

static void licences_are_judged(void **state)
{
    static const char *const BODY =
        "{\"name\":\"Licensed\",\"description\":\"x\",\"startDate\":\"2026-12-20T19:00:00-05:00\",\"location\":\"L\","
        "\"source\":{\"url\":\"https://l.test/\",\"eventId\":\"1\",\"license\":\"CC BY-SA 4.0\"}}";
    Fixture *f = *state;
    int status;

    (void)submit(f, BODY, &status);
    assert_int_equal(status, 400);
    f->settings.license_policy = "label";
    (void)submit(f, BODY, &status);
    f->settings.license_policy = "refuse";
    assert_int_equal(status, 201);
    assert_int_equal(test_schema_count(&f->schema,
                                       "SELECT count(*) FROM event WHERE license_status = 'unknown' AND license_url = "
                                       "'https://creativecommons.org/licenses/by-sa/4.0/'"),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_layer_is_hit_exactly_when_it_should_be),
        cmocka_unit_test(similar_places_are_one_or_looked_at),
        cmocka_unit_test(nobody_takes_over_what_another_made),
        cmocka_unit_test(who_is_trusted_more_leads),
        cmocka_unit_test(only_its_maker_publishes_what_waits),
        cmocka_unit_test(what_is_not_public_is_not_named_to_others),
        cmocka_unit_test(what_an_event_that_waits_names_waits_with_it),
        cmocka_unit_test(no_submission_undoes_an_edit),
        cmocka_unit_test(no_submission_undoes_a_revert),
        cmocka_unit_test(licences_are_judged),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
