/* Consolidation: one event out of several, all or nothing. */
#include "atrium/events/v1/admin.service.h"
#include "services/events/admin_testing.h"

static Err consolidate(Fixture *f, Events__V1__ConsolidateEventsRequest *in, Events__V1__ConsolidateEventsReply *out)
{
    Request rq = fixture_request(f, 9);

    rq.caller.role = ROLE_ADMIN;
    events__v1__consolidate_events_reply__init(out);
    return rpc_call(&EVENTS_V1_ADMIN_SERVICE, &rq, "ConsolidateEvents", &in->base, &out->base);
}

/* Names the events in a request. */
static void name_events(Fixture *f, Events__V1__ConsolidateEventsRequest *in, const Uuid *canonical, const Uuid *retire,
                        size_t count)
{
    events__v1__consolidate_events_request__init(in);
    in->event_ulid = canonical ? ulid_text(f->schema.mem, *canonical) : NULL;
    in->retire = ARENA_ARRAY(f->schema.mem, char *, count + 1);
    for (size_t i = 0; i < count; i++)
        in->retire[in->n_retire++] = ulid_text(f->schema.mem, retire[i]);
}

static void submitted(Fixture *f, Uuid event, Uuid source, const char *id)
{
    test_schema_script(&f->schema,
                       arena_printf(f->schema.mem,
                                    "INSERT INTO event_source (event_id, source_id, source_event_id, payload,"
                                    " payload_hash, retrieved_at) VALUES ('%s', '%s', '%s', '{}', '', now())",
                                    uuid_text(f->schema.mem, event), uuid_text(f->schema.mem, source), id));
}

static void the_canonical_event_answers_for_all(void **state)
{
    Fixture *f = *state;
    Uuid place = test_place(f, "Hall", "Ottawa"), keeps = test_event(f, place, "Keeps", 3, LIFECYCLE_PENDING_REVIEW),
         goes[] = {test_event(f, place, "One", 4, LIFECYCLE_PUBLISHED),
                   test_event(f, place, "Two", 5, LIFECYCLE_DRAFT)},
         source = test_source(f, "s", 5);
    Events__V1__ConsolidateEventsRequest in;
    Events__V1__ConsolidateEventsReply out;
    EventEntity event;

    submitted(f, goes[0], source, "a");
    submitted(f, goes[1], source, "b");
    name_events(f, &in, &keeps, goes, 2);
    SET(&in, transfer_occurrences, true);
    assert_ok(consolidate(f, &in, &out));
    assert_string_equal(out.lifecycle_state, "published");
    assert_int_equal(out.n_retired, 2);
    assert_false(out.needs_review);
    test_load_event(f, keeps, &event);
    assert_int_equal(event.occurrence_count, 3);
    assert_false(event.occurrences[0].detached);
    assert_true(event.occurrences[1].detached && event.occurrences[2].detached); /* whatever its source lists */
    test_load_event(f, goes[1], &event);
    assert_true(event.head.deleted_us != 0);
    assert_string_equal(event.head.deletion_reason, "consolidated");
    assert_memory_equal(&event.head.superseded_by, &keeps, sizeof(keeps));
    assert_int_equal(
        test_schema_count(&f->schema,
                          arena_printf(f->schema.mem, "SELECT count(*) FROM event_source WHERE event_id = '%s'",
                                       uuid_text(f->schema.mem, keeps))),
        2);
    assert_reason(consolidate(f, &in, &out), &UNPROCESSABLE); /* they are deleted already */
}

static void nothing_is_done_by_halves(void **state)
{
    Fixture *f = *state;
    Uuid place = test_place(f, "Hall", "Ottawa"), keeps = test_event(f, place, "Keeps", 3, LIFECYCLE_PUBLISHED),
         goes[] = {test_event(f, place, "Other day", 9, LIFECYCLE_PUBLISHED),
                   test_event(f, place, "Same time", 3, LIFECYCLE_PUBLISHED)};
    Events__V1__ConsolidateEventsRequest in;
    Events__V1__ConsolidateEventsReply out;
    EventEntity event;

    name_events(f, &in, &keeps, goes, 2);
    SET(&in, transfer_occurrences, true);
    assert_reason(consolidate(f, &in, &out), &OCCURRENCE_OVERLAP);
    test_load_event(f, goes[0], &event);
    assert_int_equal(event.head.deleted_us, 0);
    test_load_event(f, keeps, &event);
    assert_int_equal(event.head.version, 1);
}

static void what_makes_no_sense_is_refused(void **state)
{
    Fixture *f = *state;
    Uuid place = test_place(f, "Hall", "Ottawa"), a = test_event(f, place, "A", 3, LIFECYCLE_PUBLISHED),
         b = test_event(f, place, "B", 5, LIFECYCLE_PUBLISHED), unknown = ulid_next(f->schema.ids);
    Events__V1__ConsolidateEventsRequest in;
    Events__V1__ConsolidateEventsReply out;

    name_events(f, &in, &a, NULL, 0);
    assert_reason(consolidate(f, &in, &out), &INVALID_ARGUMENT);
    name_events(f, &in, &a, &a, 1);
    assert_reason(consolidate(f, &in, &out), &INVALID_ARGUMENT);
    name_events(f, &in, NULL, &b, 1);
    assert_reason(consolidate(f, &in, &out), &INVALID_ARGUMENT);
    name_events(f, &in, &a, &b, 1);
    in.event = struct_new(f->schema.mem);
    assert_reason(consolidate(f, &in, &out), &INVALID_ARGUMENT);
    name_events(f, &in, &a, &unknown, 1);
    assert_reason(consolidate(f, &in, &out), &NOT_FOUND);
}

static Struct *input(Fixture *f, const char *name, int64_t start_us)
{
    Struct *event = struct_new(f->schema.mem), *place = struct_new(f->schema.mem);

    struct_set_text(f->schema.mem, event, "name", name);
    struct_set_text(f->schema.mem, event, "description", "All of it");
    struct_set_text(f->schema.mem, event, "startDate", utc_text(f->schema.mem, start_us));
    struct_set_text(f->schema.mem, place, "name", "Hall of consolidation");
    struct_set_struct(f->schema.mem, event, "location", place);
    return event;
}

/* Those that it replaces are like it: that is no warning. */
static void the_canonical_event_may_be_a_new_one(void **state)
{
    Fixture *f = *state;
    int64_t start = (f->schema.now_us + 3 * TEST_DAY_US) / 1000000 * 1000000;
    Uuid goes = test_event(f, test_place(f, "Hall of consolidation", ""), "Summer of consolidation", 3,
                           LIFECYCLE_PUBLISHED),
         made;
    Events__V1__ConsolidateEventsRequest in;
    Events__V1__ConsolidateEventsReply out;
    EventEntity event;

    name_events(f, &in, NULL, &goes, 1);
    in.event = input(f, "Summers of consolidation", start);
    assert_ok(consolidate(f, &in, &out));
    assert_string_equal(out.event->name, "Summers of consolidation");
    assert_int_equal(out.n_warnings, 0);
    assert_string_equal(out.lifecycle_state, "published");
    assert_true(entity_of_uri(&f->events, ENTITY_EVENT, slice(out.event->uri), &made));
    test_load_event(f, goes, &event);
    assert_memory_equal(&event.head.superseded_by, &made, sizeof(made));
    name_events(f, &in, NULL, &made, 1);
    in.event = struct_new(f->schema.mem);
    assert_reason(consolidate(f, &in, &out), &INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_canonical_event_answers_for_all),
        cmocka_unit_test(nothing_is_done_by_halves),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(the_canonical_event_may_be_a_new_one),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
