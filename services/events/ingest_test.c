/* Which submissions are taken for the same: each layer exactly where it should (contract 8), on real tables. */
#include "services/events/ingest.h"

#include "atrium/events/v1/submissions.service.h"
#include "services/events/fixture.h"
#include "shared/json.h"

enum { AGENT = 7 };

static Slice submit(Fixture *f, const char *body, int *out_status)
{
    Request rq = fixture_request_of(f, AGENT, "events.submit");
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
        cmocka_unit_test(licences_are_judged),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
