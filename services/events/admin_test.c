/* Administration: events, places and organisations changed by hand; merged, taken back, written down. */
#include "atrium/events/v1/admin.service.h"
#include "services/events/admin_testing.h"
#include "services/events/merge.h"
#include "services/events/reading.h"

#define CALL(f, method, in, out)                                                                                       \
    ({                                                                                                                 \
        Request rq_ = administrator(f);                                                                                \
        rpc_call(&EVENTS_V1_ADMIN_SERVICE, &rq_, method, &(in)->base, &(out)->base);                                   \
    })

static Request administrator(Fixture *f)
{
    Request rq = fixture_request(f, 9);

    rq.caller.username = "adam";
    rq.caller.role = ROLE_ADMIN;
    return rq;
}

static Uuid an_event(Fixture *f, const char *name)
{
    return test_event(f, test_place(f, "Hall", "Ottawa"), name, 3, LIFECYCLE_PUBLISHED);
}

/* `sql` has a place for the id. */
#define COUNT_OF(f, sql, id)                                                                                           \
    test_schema_count(&(f)->schema, arena_printf((f)->schema.mem, sql, uuid_text((f)->schema.mem, id)))

/* ---------------------------------------------------------------------------------------------------- events */
static Err update(Fixture *f, Uuid id, Events__V1__AdminUpdateEventRequest *in, Events__V1__ShortEvent *out)
{
    events__v1__short_event__init(out);
    in->id = ulid_text(f->schema.mem, id);
    return CALL(f, "AdminUpdateEvent", in, out);
}

static void an_edit_changes_what_it_names(void **state)
{
    static char *keywords[] = {"Jazz", "free", "JAZZ"};
    Fixture *f = *state;
    Events__V1__AdminUpdateEventRequest in = EVENTS__V1__ADMIN_UPDATE_EVENT_REQUEST__INIT;
    Events__V1__ShortEvent out;
    Uuid id = an_event(f, "Before");
    EventEntity event;

    in.name = "After <b>all</b>";
    in.description = "Long";
    in.event_domain = "music";
    in.lifecycle_state = "sold_out";
    in.keywords = keywords;
    in.n_keywords = 3;
    assert_ok(update(f, id, &in, &out));
    assert_string_equal(out.name, "After all");
    assert_string_equal(out.lifecycle_state, "sold_out");
    assert_string_equal(out.type, "Event");
    assert_int_equal(out.version, 2);
    test_load_event(f, id, &event);
    assert_string_equal(event.domain, "music");
    assert_int_equal(node_get(event.head.node, TERM_KEYWORDS)->count, 2);
    assert_string_equal(test_event_text(f, id, TERM_KEYWORDS), "free");
    /* Empty takes away. */
    events__v1__admin_update_event_request__init(&in);
    in.description = "";
    assert_ok(update(f, id, &in, &out));
    assert_string_equal(test_event_text(f, id, TERM_DESCRIPTION), "");
    assert_string_equal(test_event_text(f, id, TERM_NAME), "After all");
}

static void all_faults_of_an_edit_are_told(void **state)
{
    Fixture *f = *state;
    Events__V1__AdminUpdateEventRequest in = EVENTS__V1__ADMIN_UPDATE_EVENT_REQUEST__INIT;
    Events__V1__ShortEvent out = EVENTS__V1__SHORT_EVENT__INIT;
    Request rq = administrator(f);

    in.id = ulid_text(f->schema.mem, an_event(f, "E"));
    in.name = "  ";
    in.lifecycle_state = "nonsense";
    in.event_domain = "nonsense";
    in.image_url = "javascript:alert(1)";
    assert_reason(rpc_call(&EVENTS_V1_ADMIN_SERVICE, &rq, "AdminUpdateEvent", &in.base, &out.base), &INVALID_ARGUMENT);
    assert_int_equal(rq.reply.violation_count, 4);
}

static void a_stale_edit_loses(void **state)
{
    Fixture *f = *state;
    Events__V1__AdminUpdateEventRequest in = EVENTS__V1__ADMIN_UPDATE_EVENT_REQUEST__INIT;
    Events__V1__ShortEvent out = EVENTS__V1__SHORT_EVENT__INIT;
    RequestHeader header = {.name = "if-match", .value = "\"1-json\""};
    Uuid id = an_event(f, "Contested");
    Request rq = administrator(f);

    in.name = "Mine";
    assert_ok(update(f, id, &in, &out));
    rq.headers = &header;
    rq.header_count = 1;
    in.name = "Yours";
    assert_reason(rpc_call(&EVENTS_V1_ADMIN_SERVICE, &rq, "AdminUpdateEvent", &in.base, &out.base),
                  &PRECONDITION_FAILED);
    header.value = "W/\"2-json\"";
    rq = administrator(f);
    rq.headers = &header;
    rq.header_count = 1;
    assert_ok(rpc_call(&EVENTS_V1_ADMIN_SERVICE, &rq, "AdminUpdateEvent", &in.base, &out.base));
    f->settings.require_if_match = true;
    assert_reason(update(f, id, &in, &out), &PRECONDITION_REQUIRED);
    f->settings.require_if_match = false;
}

static Err delete_event(Fixture *f, Uuid id, char *reason)
{
    Events__V1__AdminDeleteRequest in = EVENTS__V1__ADMIN_DELETE_REQUEST__INIT;
    Events__V1__Because because = EVENTS__V1__BECAUSE__INIT;
    Events__V1__Nothing out = EVENTS__V1__NOTHING__INIT;

    in.id = ulid_text(f->schema.mem, id);
    because.reason = reason;
    in.because = reason ? &because : NULL;
    return CALL(f, "AdminDeleteEvent", &in, &out);
}

static void deleting_twice_is_once(void **state)
{
    Fixture *f = *state;
    Events__V1__AdminUpdateEventRequest in = EVENTS__V1__ADMIN_UPDATE_EVENT_REQUEST__INIT;
    Events__V1__ShortEvent out;
    EventEntity event;
    Uuid id = an_event(f, "Short-lived");

    assert_ok(delete_event(f, id, "spam"));
    assert_ok(delete_event(f, id, NULL));
    test_load_event(f, id, &event);
    assert_int_equal(event.head.version, 2);
    assert_string_equal(event.head.deletion_reason, "spam");
    in.name = "Back";
    assert_reason(update(f, id, &in, &out), &EVENT_DELETED);
    assert_reason(delete_event(f, ulid_next(f->schema.ids), NULL), &NOT_FOUND);
}

static void publishing_needs_an_occurrence(void **state)
{
    Fixture *f = *state;
    Events__V1__AdminEventId in = EVENTS__V1__ADMIN_EVENT_ID__INIT;
    Events__V1__ShortEvent out = EVENTS__V1__SHORT_EVENT__INIT;
    EventEntity event;
    Work work;

    in.id = ulid_text(f->schema.mem, an_event(f, "E"));
    assert_ok(CALL(f, "AdminUnpublishEvent", &in, &out));
    assert_string_equal(out.lifecycle_state, "draft");
    assert_ok(CALL(f, "AdminPublishEvent", &in, &out));
    assert_string_equal(out.lifecycle_state, "published");
    work_begin(f, &work);
    event_init(work.w.mem, &event);
    node_add_text(work.w.mem, event.head.node, TERM_NAME, SLICE_LIT("Never"));
    event.virtual_url = "https://example.net/";
    event.head.lifecycle = LIFECYCLE_DRAFT;
    assert_ok(event_save(&work.w, &event, "", NULL));
    work_end(&work);
    in.id = ulid_text(f->schema.mem, event.head.id);
    assert_reason(CALL(f, "AdminPublishEvent", &in, &out), &UNPROCESSABLE);
}

static void what_is_to_be_taken_down_is_withheld(void **state)
{
    Fixture *f = *state;
    Events__V1__TakedownRequest ask = EVENTS__V1__TAKEDOWN_REQUEST__INIT;
    Events__V1__AdminEventId lift = EVENTS__V1__ADMIN_EVENT_ID__INIT;
    Events__V1__ShortEvent out = EVENTS__V1__SHORT_EVENT__INIT;
    Request rq = fixture_request(f, 0);
    Document document;

    ask.id = lift.id = ulid_text(f->schema.mem, an_event(f, "Disputed"));
    assert_ok(CALL(f, "RequestTakedown", &ask, &out));
    assert_reason(document_find(&rq, ENTITY_EVENT, ask.id, &document), &WITHHELD);
    assert_ok(CALL(f, "LiftTakedown", &lift, &out));
    assert_ok(document_find(&rq, ENTITY_EVENT, ask.id, &document));
}

static void events_are_listed_in_any_state(void **state)
{
    Fixture *f = *state;
    Events__V1__AdminListEventsRequest in = EVENTS__V1__ADMIN_LIST_EVENTS_REQUEST__INIT;
    Events__V1__AdminListEventsReply out = EVENTS__V1__ADMIN_LIST_EVENTS_REPLY__INIT;
    Uuid place = test_place(f, "Hall", "Ottawa");
    int64_t seen = 0;

    (void)test_event(f, place, "Zebra 100%_one", 9, LIFECYCLE_PENDING_REVIEW);
    (void)test_event(f, place, "Zebra two", 1, LIFECYCLE_PENDING_REVIEW);
    (void)test_event(f, place, "Zebra three", 5, LIFECYCLE_DRAFT);
    in.q = "zébra";
    SET(&in, limit, 1);
    do {
        events__v1__admin_list_events_reply__init(&out);
        assert_ok(CALL(f, "AdminListEvents", &in, &out));
        seen += (int64_t)out.n_items;
        in.after = out.next_cursor;
    } while (out.next_cursor[0]);
    assert_int_equal(seen, 3);
    in.after = NULL;
    in.q = "100%_";
    assert_ok(CALL(f, "AdminListEvents", &in, &out));
    assert_int_equal(out.n_items, 1);
    in.q = "zebra";
    SET(&in, limit, 10);
    assert_ok(CALL(f, "AdminListPending", &in, &out));
    assert_int_equal(out.n_items, 2);
    assert_string_equal(out.items[0]->name, "Zebra two"); /* the soonest */
    in.after = "nonsense";
    assert_reason(CALL(f, "AdminListEvents", &in, &out), &INVALID_ARGUMENT);
    SET(&in, limit, 201);
    assert_reason(CALL(f, "AdminListEvents", &in, &out), &INVALID_ARGUMENT);
}

/* ---------------------------------------------------------------------------------------------------- history */
static void an_old_version_comes_back(void **state)
{
    Fixture *f = *state;
    Events__V1__AdminUpdateEventRequest change = EVENTS__V1__ADMIN_UPDATE_EVENT_REQUEST__INIT;
    Events__V1__RevertEventRequest back = EVENTS__V1__REVERT_EVENT_REQUEST__INIT;
    Events__V1__EventHistoryRequest ask = EVENTS__V1__EVENT_HISTORY_REQUEST__INIT;
    Events__V1__EventHistoryReply history = EVENTS__V1__EVENT_HISTORY_REPLY__INIT;
    Events__V1__ShortEvent out;
    EventEntity before, after;
    Uuid id = an_event(f, "First");
    Request nobody;

    test_load_event(f, id, &before);
    change.name = "Second";
    change.description = "Added";
    assert_ok(update(f, id, &change, &out));
    back.id = ask.id = ulid_text(f->schema.mem, id);
    SET(&back, version, 1);
    events__v1__short_event__init(&out);
    assert_ok(CALL(f, "RevertEvent", &back, &out));
    assert_string_equal(out.name, "First");
    assert_int_equal(out.version, 3);
    assert_string_equal(test_event_text(f, id, TERM_DESCRIPTION), "");
    test_load_event(f, id, &after);
    assert_int_equal(after.occurrence_count, 1);
    assert_memory_equal(&after.occurrences[0].id, &before.occurrences[0].id, sizeof(Uuid));
    assert_int_equal(after.occurrences[0].start_us, before.occurrences[0].start_us);
    assert_memory_equal(&after.place_id, &before.place_id, sizeof(Uuid));
    assert_ok(CALL(f, "EventHistory", &ask, &history));
    assert_int_equal(history.n_items, 3);
    assert_int_equal(history.items[0]->version, 3);
    assert_string_equal(history.items[1]->actor_name, "adam");
    assert_int_equal(history.items[1]->n_changed_pointers, 3); /* of its occurrence, too */
    assert_string_equal(history.items[1]->changed_pointers[0], "/name");
    nobody = fixture_request(f, 0);
    events__v1__event_history_reply__init(&history);
    assert_ok(rpc_call(&EVENTS_V1_ADMIN_SERVICE, &nobody, "EventHistory", &ask.base, &history.base));
    assert_null(history.items[1]->actor_name); /* names of people are for administration */
    SET(&back, version, 99);
    assert_reason(CALL(f, "RevertEvent", &back, &out), &NOT_FOUND);
}

/* ---------------------------------------------------------------------------------------------------- places */
static void a_place_is_changed_in_part(void **state)
{
    Fixture *f = *state;
    Events__V1__AdminUpdatePlaceRequest in = EVENTS__V1__ADMIN_UPDATE_PLACE_REQUEST__INIT;
    Google__Protobuf__FieldMask cleared = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
    Events__V1__AdminEntityId id = EVENTS__V1__ADMIN_ENTITY_ID__INIT;
    Events__V1__AdminPlace place = EVENTS__V1__ADMIN_PLACE__INIT;
    Atrium__HttpBody out = ATRIUM__HTTP_BODY__INIT;
    char *paths[] = {"city"};

    in.id = id.id = ulid_text(f->schema.mem, test_place(f, "Hall", "Ottawa"));
    in.street_address = "1 Main St";
    SET(&in, latitude, 45.25);
    SET(&in, longitude, -75.5);
    assert_ok(CALL(f, "AdminUpdatePlace", &in, &out));
    assert_true(slice_find(slice_of(out.data.data, out.data.len), SLICE_LIT("\"streetAddress\":\"1 Main St\"")) > 0);
    assert_ok(CALL(f, "AdminGetPlace", &id, &place));
    assert_string_equal(place.name, "Hall");
    assert_string_equal(place.city, "Ottawa");
    assert_true(place.latitude == 45.25 && place.longitude == -75.5);
    assert_string_equal(place.lifecycle, "active");
    events__v1__admin_update_place_request__init(&in);
    in.id = id.id;
    cleared.paths = paths;
    cleared.n_paths = 1;
    in.cleared = &cleared;
    assert_ok(CALL(f, "AdminUpdatePlace", &in, &out));
    events__v1__admin_place__init(&place);
    assert_ok(CALL(f, "AdminGetPlace", &id, &place));
    assert_null(place.city);
    assert_string_equal(place.street_address, "1 Main St");
    in.name = "";
    assert_reason(CALL(f, "AdminUpdatePlace", &in, &out), &INVALID_ARGUMENT);
    in.name = NULL;
    SET(&in, latitude, 91);
    SET(&in, longitude, 0);
    assert_reason(CALL(f, "AdminUpdatePlace", &in, &out), &INVALID_ARGUMENT);
}

static void a_place_in_use_is_not_deleted(void **state)
{
    Fixture *f = *state;
    Events__V1__AdminDeleteRequest in = EVENTS__V1__ADMIN_DELETE_REQUEST__INIT;
    Events__V1__Nothing out = EVENTS__V1__NOTHING__INIT;
    Uuid used = test_place(f, "Used", "Ottawa"), unused = test_place(f, "Unused", "Ottawa");

    (void)test_event(f, used, "There", 3, LIFECYCLE_PUBLISHED);
    in.id = ulid_text(f->schema.mem, used);
    assert_reason(CALL(f, "AdminDeletePlace", &in, &out), &CONFLICT);
    SET(&in, force, true);
    assert_ok(CALL(f, "AdminDeletePlace", &in, &out));
    assert_ok(CALL(f, "AdminDeletePlace", &in, &out));
    events__v1__admin_delete_request__init(&in);
    in.id = ulid_text(f->schema.mem, unused);
    assert_ok(CALL(f, "AdminDeletePlace", &in, &out));
}

static Err merge(Fixture *f, Uuid primary, Uuid duplicate, Events__V1__MergeReply *out)
{
    Events__V1__MergeRequest in = EVENTS__V1__MERGE_REQUEST__INIT;

    events__v1__merge_reply__init(out);
    in.primary_id = ulid_text(f->schema.mem, primary);
    in.duplicate_id = ulid_text(f->schema.mem, duplicate);
    return CALL(f, "MergePlaces", &in, out);
}

static void merged_places_are_one(void **state)
{
    Fixture *f = *state;
    Uuid keeps = test_place(f, "The Hall", ""), goes = test_place(f, "Hall, the", "Ottawa"),
         older = test_place(f, "Hall", "Ottawa"), event, older_event;
    Events__V1__MergeReply out;
    EventEntity loaded;

    older_event = test_event(f, older, "Older", 3, LIFECYCLE_PUBLISHED);
    event = test_event(f, goes, "There", 3, LIFECYCLE_PUBLISHED);
    assert_ok(merge(f, goes, older, &out));
    assert_ok(merge(f, keeps, goes, &out));
    assert_string_equal(out.status, "merged");
    assert_string_equal(out.canonical_ulid, ulid_text(f->schema.mem, keeps));
    assert_string_equal(out.canonical_id, uuid_text(f->schema.mem, keeps));
    assert_false(out.already_merged);
    test_load_event(f, event, &loaded);
    assert_memory_equal(&loaded.place_id, &keeps, sizeof(keeps));
    test_load_event(f, older_event, &loaded);
    assert_memory_equal(&loaded.place_id, &keeps, sizeof(keeps));
    /* Gaps are filled, chains are short, old names lead on. */
    assert_int_equal(
        COUNT_OF(f, "SELECT count(*) FROM place WHERE id = '%s' AND name = 'The Hall' AND locality = 'Ottawa'", keeps),
        1);
    assert_int_equal(
        COUNT_OF(f, "SELECT count(*) FROM place WHERE superseded_by = '%s' AND deletion_reason = 'merged'", keeps), 2);
    assert_int_equal(COUNT_OF(f, "SELECT count(*) FROM alias WHERE kind = 'place' AND id = '%s'", keeps), 2);
    assert_ok(merge(f, keeps, goes, &out));
    assert_true(out.already_merged);
    assert_reason(merge(f, keeps, keeps, &out), &INVALID_ARGUMENT);
    assert_reason(merge(f, keeps, ulid_next(f->schema.ids), &out), &NOT_FOUND);
    assert_reason(merge(f, goes, test_place(f, "New", ""), &out), &GONE);
}

/* An event beyond those that a merge changes itself may be held by somebody who then waits for the place. */
static void a_merge_waits_for_no_event_once_it_has_places(void **state)
{
    Fixture *f = *state;
    Uuid keeps = test_place(f, "Wide Hall", ""), goes = test_place(f, "Hall, wide", ""), last;
    Events__V1__MergeReply out;
    EventEntity held;
    Work work;

    for (int i = 0; i < REPOINT_MAX; i++)
        (void)test_event(f, goes, arena_printf(f->schema.mem, "Wide %d", i), i + 1, LIFECYCLE_PUBLISHED);
    last = test_event(f, goes, "Last", 3, LIFECYCLE_PUBLISHED);
    work_begin(f, &work);
    assert_ok(event_load(&work.w, last, &held));
    assert_ok(merge(f, keeps, goes, &out));
    held.domain = "music";
    assert_ok(event_save(&work.w, &held, "", NULL));
    work_end(&work);
    assert_memory_equal(&held.place_id, &keeps, sizeof(keeps));
    assert_int_equal(COUNT_OF(f, "SELECT count(*) FROM event WHERE place_id = '%s'", keeps), REPOINT_MAX + 1);
}

static void what_is_alike_is_found(void **state)
{
    Fixture *f = *state;
    Events__V1__AdminEntityId id = EVENTS__V1__ADMIN_ENTITY_ID__INIT;
    Events__V1__SimilarReply similar = EVENTS__V1__SIMILAR_REPLY__INIT;
    Events__V1__ListDuplicatesRequest ask = EVENTS__V1__LIST_DUPLICATES_REQUEST__INIT;
    Events__V1__ListDuplicatesReply pairs = EVENTS__V1__LIST_DUPLICATES_REPLY__INIT;
    Uuid place = test_place(f, "Quixotic Concert Palace", "Gatineau");
    size_t seen = 0;

    (void)test_place(f, "Quixotic Concert Palaces", "Gatineau");
    (void)test_event(f, place, "Quixotic Summer Concert", 3, LIFECYCLE_PUBLISHED);
    (void)test_event(f, place, "Quixotic Summer Concerts", 3, LIFECYCLE_PUBLISHED);
    id.id = ulid_text(f->schema.mem, place);
    assert_ok(CALL(f, "SimilarPlaces", &id, &similar));
    assert_true(similar.n_items >= 1);
    assert_string_equal(similar.items[0]->name, "Quixotic Concert Palaces");
    assert_true(similar.items[0]->similarity >= 0.8);
    id.id = ulid_text(f->schema.mem, ulid_next(f->schema.ids));
    assert_reason(CALL(f, "SimilarPlaces", &id, &similar), &NOT_FOUND);
    SET(&ask, limit, 1);
    do {
        events__v1__list_duplicates_reply__init(&pairs);
        assert_ok(CALL(f, "ListDuplicates", &ask, &pairs));
        for (size_t i = 0; i < pairs.n_items; i++)
            seen += strstr(pairs.items[i]->left->name, "Quixotic") != NULL;
        ask.after = pairs.next_cursor;
    } while (pairs.next_cursor[0]);
    assert_int_equal(seen, 1);
    ask.after = NULL;
    ask.kind = "place";
    assert_ok(CALL(f, "ListDuplicates", &ask, &pairs));
    assert_int_equal(pairs.n_items, 1);
    assert_string_equal(pairs.items[0]->kind, "place");
    ask.kind = "nonsense";
    assert_reason(CALL(f, "ListDuplicates", &ask, &pairs), &INVALID_ARGUMENT);
}

/* ---------------------------------------------------------------------------------------------------- the rest */
static void what_was_done_is_written_down(void **state)
{
    Fixture *f = *state;
    Events__V1__ListEventAuditRequest in = EVENTS__V1__LIST_EVENT_AUDIT_REQUEST__INIT;
    Events__V1__ListEventAuditReply out = EVENTS__V1__LIST_EVENT_AUDIT_REPLY__INIT;
    Events__V1__AdminUpdateEventRequest change = EVENTS__V1__ADMIN_UPDATE_EVENT_REQUEST__INIT;
    Events__V1__ShortEvent event;
    Uuid id = an_event(f, "Audited");

    change.name = "Changed";
    assert_ok(update(f, id, &change, &event));
    assert_ok(delete_event(f, id, "done with"));
    in.target_id = ulid_text(f->schema.mem, id);
    assert_ok(CALL(f, "ListEventAudit", &in, &out));
    assert_int_equal(out.n_items, 2);
    assert_string_equal(out.items[0]->action, "event.deleted");
    assert_string_equal(out.items[1]->action, "event.updated");
    assert_string_equal(out.items[1]->actor_id, uuid_text(f->schema.mem, uuid_from_user_id(9)));
    assert_string_not_equal(out.items[1]->before_hash, out.items[1]->after_hash);
    in.actor_id = "nonsense";
    assert_reason(CALL(f, "ListEventAudit", &in, &out), &INVALID_ARGUMENT);
}

static void another_trust_is_noted_for_later(void **state)
{
    Fixture *f = *state;
    Events__V1__UpdateSourceRequest in = EVENTS__V1__UPDATE_SOURCE_REQUEST__INIT;
    Events__V1__Source out = EVENTS__V1__SOURCE__INIT;
    Uuid id = test_source(f, "a source", 5);

    in.id = uuid_text(f->schema.mem, id);
    SET(&in, trust_level, 5);
    assert_ok(CALL(f, "UpdateSource", &in, &out));
    assert_int_equal(COUNT_OF(f, "SELECT count(*) FROM trust_change WHERE source_id = '%s'", id), 0);
    SET(&in, trust_level, 9);
    in.name = "A source";
    assert_ok(CALL(f, "UpdateSource", &in, &out));
    assert_int_equal(out.trust_level, 9);
    assert_string_equal(out.name, "A source");
    assert_int_equal(COUNT_OF(f, "SELECT count(*) FROM trust_change WHERE source_id = '%s'", id), 1);
    SET(&in, trust_level, 11);
    assert_reason(CALL(f, "UpdateSource", &in, &out), &INVALID_ARGUMENT);
    in.id = "01900000-0000-7000-8000-000000000000";
    SET(&in, trust_level, 1);
    assert_reason(CALL(f, "UpdateSource", &in, &out), &NOT_FOUND);
}

static void counts_are_of_what_they_say(void **state)
{
    Fixture *f = *state;
    Events__V1__AdminStatsRequest in = EVENTS__V1__ADMIN_STATS_REQUEST__INIT;
    Events__V1__AdminStatsReply before = EVENTS__V1__ADMIN_STATS_REPLY__INIT, after = before;
    Uuid place = test_place(f, "Hall", "Ottawa");

    assert_ok(CALL(f, "AdminStats", &in, &before));
    (void)test_event(f, place, "Draft", 3, LIFECYCLE_DRAFT);
    (void)test_event(f, place, "Public", 3, LIFECYCLE_PUBLISHED);
    assert_ok(CALL(f, "AdminStats", &in, &after));
    assert_int_equal(after.draft_count - before.draft_count, 1);
    assert_int_equal(after.published_count - before.published_count, 1);
    assert_int_equal(after.total_count - before.total_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edit_changes_what_it_names),
        cmocka_unit_test(all_faults_of_an_edit_are_told),
        cmocka_unit_test(a_stale_edit_loses),
        cmocka_unit_test(deleting_twice_is_once),
        cmocka_unit_test(publishing_needs_an_occurrence),
        cmocka_unit_test(what_is_to_be_taken_down_is_withheld),
        cmocka_unit_test(events_are_listed_in_any_state),
        cmocka_unit_test(an_old_version_comes_back),
        cmocka_unit_test(a_place_is_changed_in_part),
        cmocka_unit_test(a_place_in_use_is_not_deleted),
        cmocka_unit_test(merged_places_are_one),
        cmocka_unit_test(a_merge_waits_for_no_event_once_it_has_places),
        cmocka_unit_test(what_is_alike_is_found),
        cmocka_unit_test(what_was_done_is_written_down),
        cmocka_unit_test(another_trust_is_noted_for_later),
        cmocka_unit_test(counts_are_of_what_they_say),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
