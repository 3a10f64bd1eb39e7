/* The review queue: what waits, what is decided, once, and what follows from that. */
#include "services/events/review.h"

#include "atrium/events/v1/review.service.h"
#include "services/events/admin_testing.h"

#define CALL(f, method, in, out)                                                                                       \
    ({                                                                                                                 \
        Request rq_ = reviewer(f);                                                                                     \
        rpc_call(&EVENTS_V1_REVIEW_SERVICE, &rq_, method, &(in)->base, &(out)->base);                                  \
    })

static Request reviewer(Fixture *f)
{
    static const char *const PERMISSIONS[] = {"events.review", "events.admin.read"};
    Request rq = fixture_request(f, 5);

    rq.caller.username = "rita";
    rq.caller.permissions = PERMISSIONS;
    rq.caller.permission_count = ARRAY_LEN(PERMISSIONS);
    return rq;
}

static Findings *warnings(Fixture *f, const char *code)
{
    Findings *list = ARENA_NEW(f->schema.mem, Findings);

    list->mem = f->schema.mem;
    findings_add(list, "startDate", code, "look at it");
    return list;
}

static int64_t open_entry(Fixture *f, Uuid event, const char *code, Uuid twin)
{
    Work work;
    int64_t id;

    work_begin(f, &work);
    assert_ok(review_open(&work.w,
                          &(ReviewOpening){.event = event,
                                           .source_event_id = "",
                                           .warnings = warnings(f, code),
                                           .original = SLICE_LIT("{\"name\":\"<b>raw</b>\",\"n\":[1,true,null]}"),
                                           .twin = twin},
                          &id));
    work_end(&work);
    return id;
}

/* An event that waits, with its entry. */
static int64_t waiting(Fixture *f, const char *name, int days, Uuid *out_event)
{
    *out_event = test_event(f, test_place(f, "Hall", "Ottawa"), name, days, LIFECYCLE_PENDING_REVIEW);
    return open_entry(f, *out_event, "too_far_future", (Uuid){{0}});
}

static Err approve(Fixture *f, int64_t id, bool not_duplicates, Events__V1__Review *out)
{
    Events__V1__ApproveReviewRequest in = EVENTS__V1__APPROVE_REVIEW_REQUEST__INIT;

    events__v1__review__init(out);
    SET(&in, id, id);
    SET(&in, record_not_duplicates, not_duplicates);
    return CALL(f, "ApproveReview", &in, out);
}

static Err reject(Fixture *f, int64_t id, const char *reason, Events__V1__Review *out)
{
    Events__V1__RejectReviewRequest in = EVENTS__V1__REJECT_REVIEW_REQUEST__INIT;

    events__v1__review__init(out);
    SET(&in, id, id);
    in.reason = (char *)reason;
    return CALL(f, "RejectReview", &in, out);
}

static Err fix(Fixture *f, int64_t id, Events__V1__ReviewCorrections *corrections, Events__V1__Review *out)
{
    Events__V1__FixReviewRequest in = EVENTS__V1__FIX_REVIEW_REQUEST__INIT;

    events__v1__review__init(out);
    SET(&in, id, id);
    in.corrections = corrections;
    return CALL(f, "FixReview", &in, out);
}

static Lifecycle lifecycle_of(Fixture *f, Uuid id)
{
    EventEntity event;

    test_load_event(f, id, &event);
    return event.head.lifecycle;
}

/* ---------------------------------------------------------------------------------------------------- reading */
static void the_queue_is_listed_in_parts(void **state)
{
    Fixture *f = *state;
    Events__V1__ListReviewsRequest in = EVENTS__V1__LIST_REVIEWS_REQUEST__INIT;
    Events__V1__ListReviewsReply out = EVENTS__V1__LIST_REVIEWS_REPLY__INIT;
    int64_t before, seen = 0, last = 0;
    Uuid event;

    before = test_schema_count(&f->schema, "SELECT count(*) FROM review_entry WHERE status = 'pending'");
    for (int i = 0; i < 3; i++)
        (void)waiting(f, "Listed", 3, &event);
    SET(&in, limit, 2);
    do {
        events__v1__list_reviews_reply__init(&out);
        assert_ok(CALL(f, "ListReviews", &in, &out));
        assert_int_equal(out.total, before + 3);
        assert_true(out.n_items <= 2);
        for (size_t i = 0; i < out.n_items; i++, seen++) {
            assert_true(out.items[i]->id > last);
            last = out.items[i]->id;
        }
        in.cursor = out.next_cursor;
    } while (out.next_cursor[0]);
    assert_int_equal(seen, before + 3);
    assert_string_equal(out.items[out.n_items - 1]->event_name, "Listed");
    assert_int_equal(out.items[out.n_items - 1]->occurrence_count, 1);
    assert_string_equal(out.items[out.n_items - 1]->warnings[0]->code, "too_far_future");
}

static void nonsense_is_refused_and_a_strange_limit_is_not(void **state)
{
    static const struct {
        const char *status, *cursor;
        int64_t limit;
        const Reason *reason;
    } CASES[] = {{"nonsense", NULL, 10, &INVALID_ARGUMENT},
                 {NULL, "abc", 10, &INVALID_ARGUMENT},
                 {NULL, "-1", 10, &INVALID_ARGUMENT},
                 {"merged", NULL, 0, NULL},
                 {"rejected", NULL, 101, NULL},
                 {"", "", 100, NULL}};
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Events__V1__ListReviewsRequest in = EVENTS__V1__LIST_REVIEWS_REQUEST__INIT;
        Events__V1__ListReviewsReply out = EVENTS__V1__LIST_REVIEWS_REPLY__INIT;

        in.status = (char *)CASES[i].status;
        in.cursor = (char *)CASES[i].cursor;
        SET(&in, limit, CASES[i].limit);
        assert_ptr_equal(CALL(f, "ListReviews", &in, &out).reason, CASES[i].reason);
    }
}

static void one_entry_shows_what_came(void **state)
{
    Fixture *f = *state;
    Events__V1__GetReviewRequest in = EVENTS__V1__GET_REVIEW_REQUEST__INIT;
    Events__V1__Review out = EVENTS__V1__REVIEW__INIT;
    Uuid event, twin = test_event(f, test_place(f, "Hall", "Ottawa"), "Twin", 3, LIFECYCLE_PUBLISHED);

    event = test_event(f, test_place(f, "Hall", "Ottawa"), "One", 3, LIFECYCLE_PENDING_REVIEW);
    SET(&in, id, open_entry(f, event, "potential_duplicate", twin));
    assert_ok(CALL(f, "GetReview", &in, &out));
    assert_string_equal(out.event_id, ulid_text(f->schema.mem, event));
    assert_string_equal(out.duplicate_of_event_ulid, ulid_text(f->schema.mem, twin));
    assert_int_equal(out.n_related_events, 1);
    assert_string_equal(out.related_events[0]->name, "Twin");
    assert_int_equal(out.n_occurrences, 1);
    assert_int_equal(out.original->n_fields, 2);
    assert_string_equal(out.original->fields[0]->value->string_value, "<b>raw</b>");
    SET(&in, id, 999999999);
    assert_reason(CALL(f, "GetReview", &in, &out), &NOT_FOUND);
}

/* ---------------------------------------------------------------------------------------------------- deciding */
static void an_approved_event_is_public(void **state)
{
    Fixture *f = *state;
    Events__V1__Review out;
    Uuid event;
    int64_t id = waiting(f, "Good", 3, &event);

    assert_ok(approve(f, id, false, &out));
    assert_string_equal(out.status, "approved");
    assert_string_equal(out.reviewed_by, "rita");
    assert_string_equal(out.event_id, ulid_text(f->schema.mem, event));
    assert_int_equal(lifecycle_of(f, event), LIFECYCLE_PUBLISHED);
    assert_int_equal(test_schema_count(&f->schema, arena_printf(f->schema.mem,
                                                                "SELECT count(*) FROM outbox WHERE subject IN"
                                                                " ('evt.events.review.opened.%1$s',"
                                                                " 'evt.events.review.closed.%1$s')",
                                                                ulid_text(f->schema.mem, event))),
                     2);
    assert_reason(reject(f, id, "too late", &out), &CONFLICT);
    assert_reason(approve(f, id, false, &out), &CONFLICT);
}

static void a_rejected_event_is_a_tombstone_with_the_reason(void **state)
{
    Fixture *f = *state;
    Events__V1__Review out;
    EventEntity gone;
    Uuid event;
    int64_t id = waiting(f, "Spam", 3, &event);

    assert_reason(reject(f, id, "  ", &out), &INVALID_ARGUMENT);
    assert_reason(reject(f, id, NULL, &out), &INVALID_ARGUMENT);
    assert_ok(reject(f, id, " spam ", &out));
    assert_string_equal(out.status, "rejected");
    assert_string_equal(out.rejection_reason, "spam");
    test_load_event(f, event, &gone);
    assert_true(gone.head.deleted_us != 0);
    assert_string_equal(gone.head.deletion_reason, "spam");
}

static void an_entry_of_a_deleted_event_is_gone(void **state)
{
    Fixture *f = *state;
    Events__V1__Review out;
    EventEntity event;
    Work work;
    Uuid id;
    int64_t entry = waiting(f, "Deleted", 3, &id);

    work_begin(f, &work);
    assert_ok(event_load(&work.w, id, &event));
    entity_delete(&work.w, &event.head, "", (Uuid){{0}});
    assert_ok(event_save(&work.w, &event, "", NULL));
    work_end(&work);
    assert_reason(approve(f, entry, false, &out), &EVENT_DELETED);
}

static void a_stale_version_decides_nothing(void **state)
{
    Fixture *f = *state;
    Events__V1__ApproveReviewRequest in = EVENTS__V1__APPROVE_REVIEW_REQUEST__INIT;
    Events__V1__Review out = EVENTS__V1__REVIEW__INIT;
    Uuid event;

    SET(&in, id, waiting(f, "Stale", 3, &event));
    SET(&in, version, 7);
    assert_reason(CALL(f, "ApproveReview", &in, &out), &PRECONDITION_FAILED);
    assert_int_equal(lifecycle_of(f, event), LIFECYCLE_PENDING_REVIEW);
    SET(&in, version, 1);
    assert_ok(CALL(f, "ApproveReview", &in, &out));
}

/* The older one was public, and is it all the time. */
static void twins_that_are_none_are_settled_together(void **state)
{
    Fixture *f = *state;
    Uuid place = test_place(f, "Hall", "Ottawa"), older = test_event(f, place, "Older", 3, LIFECYCLE_PUBLISHED),
         newer = test_event(f, place, "Newer", 3, LIFECYCLE_PENDING_REVIEW), possible[1];
    Findings *suspicion = warnings(f, "near_duplicate_of_new_event");
    Events__V1__Review out;
    size_t count;
    Work work;

    work_begin(f, &work);
    assert_ok(review_suspect(&work.w, older, &suspicion->list[0], newer));
    work_end(&work);
    assert_ok(approve(f, open_entry(f, newer, "potential_duplicate", older), true, &out));
    assert_int_equal(lifecycle_of(f, older), LIFECYCLE_PUBLISHED);
    assert_int_equal(lifecycle_of(f, newer), LIFECYCLE_PUBLISHED);
    assert_int_equal(
        test_schema_count(&f->schema, arena_printf(f->schema.mem,
                                                   "SELECT count(*) FROM review_entry WHERE event_id IN"
                                                   " ('%s', '%s') AND status = 'pending'",
                                                   uuid_text(f->schema.mem, older), uuid_text(f->schema.mem, newer))),
        0);
    work_begin(f, &work);
    assert_ok(review_possible_twins(&work.w, newer, &older, 1, possible, &count));
    work_end(&work);
    assert_int_equal(count, 0);
}

static void suspicions_add_up_in_one_entry(void **state)
{
    Fixture *f = *state;
    Findings *first = warnings(f, "near_duplicate_of_new_event");
    Uuid place = test_place(f, "Hall", "Ottawa"), event = test_event(f, place, "E", 3, LIFECYCLE_PUBLISHED),
         a = test_event(f, place, "A", 3, LIFECYCLE_PUBLISHED), b = test_event(f, place, "B", 3, LIFECYCLE_PUBLISHED);
    Work work;

    work_begin(f, &work);
    assert_ok(review_suspect(&work.w, event, &first->list[0], a));
    assert_ok(review_suspect(&work.w, event, &first->list[0], b));
    assert_ok(review_suspect(&work.w, event, &first->list[0], b));
    work_end(&work);
    assert_int_equal(test_schema_count(&f->schema, arena_printf(f->schema.mem,
                                                                "SELECT cardinality(twins) FROM review_entry"
                                                                " WHERE event_id = '%s'",
                                                                uuid_text(f->schema.mem, event))),
                     2);
}

/* ---------------------------------------------------------------------------------------------------- fixing */
static char *time_text(Fixture *f, int64_t us)
{
    return utc_text(f->schema.mem, us);
}

static void a_fix_corrects_and_publishes(void **state)
{
    Fixture *f = *state;
    Events__V1__ReviewCorrections corrections = EVENTS__V1__REVIEW_CORRECTIONS__INIT;
    int64_t start = f->schema.now_us + 9 * TEST_DAY_US;
    Uuid event, place = test_place(f, "Another hall", "Ottawa");
    Events__V1__Review out;
    EventEntity fixed;

    start -= start % 1000000;
    corrections.start_date = time_text(f, start);
    corrections.end_date = time_text(f, start + 60000000);
    corrections.name = " <b>Put</b>\nright ";
    corrections.location = ulid_text(f->schema.mem, place);
    corrections.url = "https://example.net/e";
    assert_ok(fix(f, waiting(f, "Wrong", 3, &event), &corrections, &out));
    assert_string_equal(out.status, "approved");
    assert_string_equal(out.event_name, "Put right");
    test_load_event(f, event, &fixed);
    assert_int_equal(fixed.head.lifecycle, LIFECYCLE_PUBLISHED);
    assert_int_equal(fixed.occurrences[0].start_us, start);
    assert_int_equal(fixed.occurrences[0].end_us, start + 60000000);
    assert_memory_equal(&fixed.place_id, &place, sizeof(place));
    assert_string_equal(test_event_text(f, event, TERM_URL), "https://example.net/e");
}

static void a_fix_needs_something_that_can_be_used(void **state)
{
    Fixture *f = *state;
    Events__V1__ReviewCorrections none = EVENTS__V1__REVIEW_CORRECTIONS__INIT,
                                  bad = EVENTS__V1__REVIEW_CORRECTIONS__INIT,
                                  late = EVENTS__V1__REVIEW_CORRECTIONS__INIT,
                                  nowhere = EVENTS__V1__REVIEW_CORRECTIONS__INIT;
    Events__V1__FixReviewRequest in = EVENTS__V1__FIX_REVIEW_REQUEST__INIT;
    Events__V1__Review out = EVENTS__V1__REVIEW__INIT;
    Request rq = reviewer(f);
    Uuid event;
    int64_t id = waiting(f, "Wrong", 3, &event);

    assert_reason(fix(f, id, NULL, &out), &INVALID_ARGUMENT);
    assert_reason(fix(f, id, &none, &out), &INVALID_ARGUMENT);
    bad.start_date = "tomorrow";
    bad.end_date = "2026-02-30T00:00:00Z";
    bad.url = "javascript:alert(1)";
    SET(&in, id, id);
    in.corrections = &bad;
    assert_reason(rpc_call(&EVENTS_V1_REVIEW_SERVICE, &rq, "FixReview", &in.base, &out.base), &INVALID_ARGUMENT);
    assert_int_equal(rq.reply.violation_count, 3);                       /* all at once */
    late.start_date = time_text(f, f->schema.now_us + 30 * TEST_DAY_US); /* behind the end, which is not told */
    rq = reviewer(f);
    in.corrections = &late;
    assert_reason(rpc_call(&EVENTS_V1_REVIEW_SERVICE, &rq, "FixReview", &in.base, &out.base), &INVALID_ARGUMENT);
    assert_string_equal(rq.reply.violations[0]->field, "corrections.endDate");
    nowhere.location = "01J00000000000000000000000";
    assert_reason(fix(f, id, &nowhere, &out), &INVALID_ARGUMENT);
    assert_int_equal(lifecycle_of(f, event), LIFECYCLE_PENDING_REVIEW);
}

/* ---------------------------------------------------------------------------------------------------- again */
static void the_same_faults_again_are_known(void **state)
{
    Fixture *f = *state;
    RejectedBefore before;
    Events__V1__Review out;
    Uuid event;
    Work work;

    assert_ok(reject(f, waiting(f, "Spam", 3, &event), "spam", &out));
    work_begin(f, &work);
    assert_ok(review_rejected_before(&work.w, event, warnings(f, "too_far_future"), &before));
    assert_true(before.found);
    assert_string_equal(before.reviewer, "rita");
    assert_string_equal(before.reason, "spam");
    assert_reason(review_refuse(&work.rq, &before), &PREVIOUSLY_REJECTED);
    assert_non_null(work.rq.reply.details);
    assert_ok(review_rejected_before(&work.w, event, warnings(f, "missing_image"), &before));
    assert_true(before.rejected);
    assert_false(before.found);
    work.w.now_us += 11 * TEST_DAY_US; /* over for more than a week */
    assert_ok(review_rejected_before(&work.w, event, warnings(f, "too_far_future"), &before));
    assert_false(before.found);
    work_end(&work);
}

static void what_was_put_right_waits_no_more(void **state)
{
    Fixture *f = *state;
    Uuid event;
    Work work;
    int64_t id = waiting(f, "Right by now", 3, &event);

    work_begin(f, &work);
    assert_ok(review_clear(&work.w, event));
    assert_ok(review_clear(&work.w, event)); /* nothing waits: nothing happens */
    work_end(&work);
    assert_int_equal(test_schema_count(&f->schema, arena_printf(f->schema.mem,
                                                                "SELECT count(*) FROM review_entry WHERE id = %" PRId64
                                                                " AND status = 'approved'",
                                                                id)),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_queue_is_listed_in_parts),
        cmocka_unit_test(nonsense_is_refused_and_a_strange_limit_is_not),
        cmocka_unit_test(one_entry_shows_what_came),
        cmocka_unit_test(an_approved_event_is_public),
        cmocka_unit_test(a_rejected_event_is_a_tombstone_with_the_reason),
        cmocka_unit_test(an_entry_of_a_deleted_event_is_gone),
        cmocka_unit_test(a_stale_version_decides_nothing),
        cmocka_unit_test(twins_that_are_none_are_settled_together),
        cmocka_unit_test(suspicions_add_up_in_one_entry),
        cmocka_unit_test(a_fix_corrects_and_publishes),
        cmocka_unit_test(a_fix_needs_something_that_can_be_used),
        cmocka_unit_test(the_same_faults_again_are_known),
        cmocka_unit_test(what_was_put_right_waits_no_more),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
