/* Entities: saved, loaded, changed, gone; what is written for readers, and what is not. */
#include "services/events/entity.h"

#include <math.h>

#include "services/events/fixture.h"
#include "services/events/reading.h"
#include "services/events/rerender.h"

typedef struct Work {
    Request rq;
    DbTx tx;
    EntityWriter w;
} Work;

static void begin_for(Fixture *f, Work *work, int64_t ms)
{
    *work = (Work){.rq = fixture_request(f, 7)};
    work->rq.deadline_ms = clock_monotonic_ms(work->rq.clock) + ms;
    assert_ok(db_tx_begin(&work->rq, &work->tx));
    work->w = entity_writer(&work->rq, &work->tx);
}

static void begin(Fixture *f, Work *work)
{
    begin_for(f, work, 60000);
}

static void end(Work *work)
{
    assert_ok(db_tx_commit(&work->tx));
    db_tx_done(&work->tx);
}

static Uuid make_place(Fixture *f, const char *name)
{
    PlaceEntity place;
    Node *address, *geo;
    Work work;

    begin(f, &work);
    place_init(work.w.mem, &place);
    node_add_text(work.w.mem, place.head.node, TERM_NAME, slice(name));
    address = node_new(work.w.mem, CLASS_POSTAL_ADDRESS, SLICE_LIT(""));
    node_add_text(work.w.mem, address, TERM_ADDRESS_LOCALITY, SLICE_LIT("Montréal"));
    node_add_node(work.w.mem, place.head.node, TERM_ADDRESS, address);
    geo = node_new(work.w.mem, CLASS_GEO_COORDINATES, SLICE_LIT(""));
    node_add_number(work.w.mem, geo, TERM_LATITUDE, 45.5);
    node_add_number(work.w.mem, geo, TERM_LONGITUDE, -73.6);
    node_add_node(work.w.mem, place.head.node, TERM_GEO, geo);
    assert_ok(place_save(&work.w, &place, "", NULL));
    end(&work);
    return place.head.id;
}

static Uuid make_event(Fixture *f, Uuid place, const char *name)
{
    EventEntity event;
    Work work;

    begin(f, &work);
    event_init(work.w.mem, &event);
    node_add_text(work.w.mem, event.head.node, TERM_NAME, slice(name));
    node_add_text(work.w.mem, event.head.node, TERM_KEYWORDS, SLICE_LIT("jazz"));
    event.place_id = place;
    event.occurrences = ARENA_ARRAY(work.w.mem, Occurrence, 2);
    event.occurrence_count = 2;
    for (int i = 0; i < 2; i++) /* the later one first: save puts them in order */
        event.occurrences[i] = (Occurrence){.start_us = f->schema.now_us + (2 - i) * INT64_C(86400000000),
                                            .end_us = f->schema.now_us + (2 - i) * INT64_C(86400000000) + 1,
                                            .timezone = "America/Toronto",
                                            .virtual_url = "",
                                            .ticket_url = "",
                                            .price_min = NAN,
                                            .price_max = NAN,
                                            .price_currency = "",
                                            .availability = ""};
    assert_ok(event_save(&work.w, &event, "first", NULL));
    end(&work);
    assert_int_equal(event.head.version, 1);
    return event.head.id;
}

static Slice document(Fixture *f, Uuid id)
{
    Request rq = fixture_request(f, 0);
    StrBuf out = strbuf_new(f->schema.mem, DOC_MAX_BYTES);
    Document d;
    Slice text;

    assert_ok(document_find(&rq, ENTITY_EVENT, ulid_text(f->schema.mem, id), &d));
    document_write(&out, &f->events, &d, SLICE_LIT(""), SLICE_LIT(""));
    assert_true(strbuf_finish(&out, &text));
    return text;
}

static bool says(Slice text, const char *part)
{
    return slice_find(text, slice(part)) >= 0;
}

static void an_event_is_put_together(void **state)
{
    Fixture *f = *state;
    Uuid place = make_place(f, "Café Sarah"), id = make_event(f, place, "Jazz & \"Friends\"");
    Slice text = document(f, id);

    assert_true(says(text, "\"name\":\"Jazz & \\\"Friends\\\"\""));
    assert_true(says(
        text, arena_printf(f->schema.mem, "\"@id\":\"https://sel.example/events/%s\"", ulid_text(f->schema.mem, id))));
    assert_true(says(text, "\"name\":\"Café Sarah\""));
    assert_true(says(text, "\"latitude\":45.5"));
    assert_true(says(text, "OfflineEventAttendanceMode"));
    assert_true(says(text, "EventScheduled"));
    assert_true(says(text, "#occ-"));
    /* The next of the two. */
    assert_true(says(text, arena_printf(f->schema.mem, "\"startDate\":\"%s\"",
                                        utc_text(f->schema.mem, f->schema.now_us + INT64_C(86400000000)))));
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM occurrence WHERE listed AND locality = "
                                                   "'montreal' AND latitude = 45.5 AND keywords = '{jazz}'"),
                     2);
}

static void what_is_saved_as_it_was_is_no_version(void **state)
{
    Fixture *f = *state;
    Uuid id = make_event(f, make_place(f, "Hall"), "The same");
    EventEntity event;
    bool changed = true;
    Work work;

    begin(f, &work);
    assert_ok(event_load(&work.w, id, &event));
    assert_ok(event_save(&work.w, &event, "", &changed));
    assert_false(changed);
    assert_int_equal(event.head.version, 1);
    node_add_text(work.w.mem, event.head.node, TERM_NAME, SLICE_LIT("Another"));
    assert_ok(event_save(&work.w, &event, "renamed", &changed));
    assert_true(changed);
    assert_int_equal(event.head.version, 2);
    end(&work);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM revision WHERE version = 2 AND "
                                                   "pointers @> '{/name}' AND note = 'renamed' AND actor_id = '7'"),
                     1);
    assert_true(says(document(f, id), "\"name\":\"Another\""));
}

static void events_show_the_new_name_of_their_place(void **state)
{
    Fixture *f = *state;
    Uuid place = make_place(f, "Old name"), id = make_event(f, place, "At a place");
    PlaceEntity entity;
    Request turn;
    Work work;
    bool more;

    begin(f, &work);
    assert_ok(place_load(&work.w, place, &entity));
    node_add_text(work.w.mem, entity.head.node, TERM_NAME, SLICE_LIT("New name"));
    assert_ok(place_save(&work.w, &entity, "", NULL));
    end(&work);
    turn = fixture_request(f, 7);
    assert_ok(rerender_turn(&turn, place, &more));
    assert_false(more);
    assert_true(says(document(f, id), "\"name\":\"New name\""));
    assert_false(says(document(f, id), "\"name\":\"Old name\""));
}

/* --- what events name -------------------------------------------------------------------------------------------- */
static void rename_place(Work *work, Uuid place, const char *name)
{
    PlaceEntity entity;

    assert_ok(place_load(&work->w, place, &entity));
    node_clear(entity.head.node, TERM_NAME);
    node_add_text(work->w.mem, entity.head.node, TERM_NAME, slice(name));
    assert_ok(place_save(&work->w, &entity, "", NULL));
}

/* Who changes a place waits for no event of it; who saves an event meanwhile writes the new name. */
static void a_place_is_renamed_while_its_events_are_held(void **state)
{
    Fixture *f = *state;
    Uuid place = make_place(f, "Held hall"), id = make_event(f, place, "Held");
    EventEntity event;
    Work holder, other;

    begin(f, &holder);
    assert_ok(event_load(&holder.w, id, &event));
    begin_for(f, &other, 10000);
    rename_place(&other, place, "Free hall");
    end(&other);
    node_add_text(holder.w.mem, event.head.node, TERM_KEYWORDS, SLICE_LIT("held"));
    assert_ok(event_save(&holder.w, &event, "", NULL));
    end(&holder);
    assert_true(says(document(f, id), "\"name\":\"Free hall\""));
}

/* Else it would be committed by the old name after whoever renames it has looked for its events. */
static void a_place_that_is_being_named_cannot_be_changed(void **state)
{
    Fixture *f = *state;
    Uuid place = make_place(f, "Named hall"), id = make_event(f, place, "Names it");
    PlaceEntity entity;
    EventEntity event;
    Work holder, other;

    begin(f, &holder);
    assert_ok(event_load(&holder.w, id, &event));
    node_add_text(holder.w.mem, event.head.node, TERM_KEYWORDS, SLICE_LIT("named"));
    assert_ok(event_save(&holder.w, &event, "", NULL));
    begin_for(f, &other, 1000);
    assert_true(err_failed(place_load(&other.w, place, &entity)));
    db_tx_done(&other.tx);
    end(&holder);
}

static Err save_at(Fixture *f, Uuid place, EventEntity *event)
{
    Work work;
    Err e;

    begin(f, &work);
    event_init(work.w.mem, event);
    node_add_text(work.w.mem, event->head.node, TERM_NAME, SLICE_LIT("At it"));
    event->place_id = place;
    e = event_save(&work.w, event, "", NULL);
    if (err_failed(e))
        db_tx_done(&work.tx);
    else
        end(&work);
    return e;
}

static void what_is_gone_is_not_named_anew(void **state)
{
    Fixture *f = *state;
    Uuid merged = make_place(f, "Merged"), into = make_place(f, "Survivor"), gone = make_place(f, "Gone"),
         stays = make_event(f, gone, "Stays there"), moves = make_event(f, into, "Moves there");
    EventEntity event;
    Work work;

    test_schema_script(&f->schema,
                       arena_printf(f->schema.mem,
                                    "UPDATE place SET deleted_at = now(), superseded_by = '%s' WHERE id = '%s'; "
                                    "UPDATE place SET deleted_at = now() WHERE id = '%s'",
                                    uuid_text(f->schema.mem, into), uuid_text(f->schema.mem, merged),
                                    uuid_text(f->schema.mem, gone)));
    assert_ok(save_at(f, merged, &event));
    assert_memory_equal(&event.place_id, &into, sizeof(into));
    assert_reason(save_at(f, gone, &event), &UNAVAILABLE);
    begin(f, &work);
    assert_ok(event_load(&work.w, stays, &event));
    node_add_text(work.w.mem, event.head.node, TERM_KEYWORDS, SLICE_LIT("still"));
    assert_ok(event_save(&work.w, &event, "", NULL));
    assert_ok(event_load(&work.w, moves, &event));
    event.place_id = gone;
    assert_reason(event_save(&work.w, &event, "", NULL), &UNPROCESSABLE);
    db_tx_done(&work.tx);
}

static void what_is_gone_leaves_a_tombstone(void **state)
{
    Fixture *f = *state;
    Uuid place = make_place(f, "Barn"), id = make_event(f, place, "Gone"), other = make_event(f, place, "Stays");
    EventEntity event;
    Slice text;
    Work work;

    begin(f, &work);
    assert_ok(event_load(&work.w, id, &event));
    entity_delete(&work.w, &event.head, "merged", other);
    assert_ok(event_save(&work.w, &event, "", NULL));
    end(&work);
    text = document(f, id);
    assert_true(says(text, "\"sel:tombstone\":true"));
    assert_true(says(text, "\"sel:deletionReason\":\"merged\""));
    assert_true(says(text, ulid_text(f->schema.mem, other)));
    assert_true(says(text, "\"name\":\"Gone\""));
    begin(f, &work);
    assert_ok(event_load(&work.w, id, &event));
    entity_restore(&event.head);
    assert_ok(event_save(&work.w, &event, "", NULL));
    end(&work);
    assert_false(says(document(f, id), "tombstone"));
}

static void drafts_are_for_administrators(void **state)
{
    Fixture *f = *state;
    Uuid id = make_event(f, make_place(f, "Studio"), "Draft");
    Request nobody = fixture_request(f, 0), viewer = fixture_request_of(f, 9, "events.admin.read");
    const char *ulid = ulid_text(f->schema.mem, id);
    EventEntity event;
    Document d;
    Work work;

    begin(f, &work);
    assert_ok(event_load(&work.w, id, &event));
    event.head.lifecycle = LIFECYCLE_DRAFT;
    assert_ok(event_save(&work.w, &event, "", NULL));
    end(&work);
    assert_reason(document_find(&nobody, ENTITY_EVENT, ulid, &d), &NOT_FOUND);
    assert_ok(document_find(&viewer, ENTITY_EVENT, ulid, &d));
    assert_reason(document_find(&nobody, ENTITY_EVENT, "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", &d), &INVALID_ID);
}

static void an_occurrence_is_somewhere(void **state)
{
    Fixture *f = *state;
    EventEntity event;
    Work work;

    begin(f, &work);
    event_init(work.w.mem, &event);
    node_add_text(work.w.mem, event.head.node, TERM_NAME, SLICE_LIT("Nowhere"));
    event.occurrences = &(Occurrence){.start_us = 1, .timezone = "UTC", .virtual_url = ""};
    event.occurrence_count = 1;
    assert_reason(event_save(&work.w, &event, "", NULL), &OCCURRENCE_LOCATION_REQUIRED);
    db_tx_done(&work.tx);
}

static void tags_name_versions(void **state)
{
    Fixture *f = *state;
    static const struct {
        const char *header;
        const Reason *reason;
    } CASES[] = {
        {NULL, NULL},
        {"*", NULL},
        {"\"7.2-json\"", NULL},
        {"W/\"7\"", NULL},
        {"\"6-json\", \"7-ld\"", NULL},
        {"\"6-json\"", &PRECONDITION_FAILED},
        {"nonsense", &PRECONDITION_FAILED},
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Request rq = fixture_request(f, 0);
        RequestHeader header = {"if-match", CASES[i].header};
        Err e;

        rq.headers = &header;
        rq.header_count = CASES[i].header ? 1 : 0;
        e = etag_check(&rq, 7);
        assert_ptr_equal(e.reason, CASES[i].reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_put_together),
        cmocka_unit_test(what_is_saved_as_it_was_is_no_version),
        cmocka_unit_test(events_show_the_new_name_of_their_place),
        cmocka_unit_test(a_place_is_renamed_while_its_events_are_held),
        cmocka_unit_test(a_place_that_is_being_named_cannot_be_changed),
        cmocka_unit_test(what_is_gone_is_not_named_anew),
        cmocka_unit_test(what_is_gone_leaves_a_tombstone),
        cmocka_unit_test(drafts_are_for_administrators),
        cmocka_unit_test(an_occurrence_is_somewhere),
        cmocka_unit_test(tags_name_versions),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
