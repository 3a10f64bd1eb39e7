/* What the service does by itself, and what it forgets. */
#include "services/events/housekeeping.h"

#include "services/events/admin_testing.h"
#include "services/events/erase.h"
#include "services/events/merge.h"
#include "services/events/rerender.h"
#include "services/events/review.h"

static Housekeeping housekeeping(Fixture *f)
{
    return (Housekeeping){.events = &f->events, .db = f->schema.db, .clock = &f->schema.clock};
}

static void run(Fixture *f, Err (*turn)(Housekeeping *h, bool *out_more))
{
    Housekeeping h = housekeeping(f);
    bool more = true;

    for (int turns = 0; more && turns < 20; turns++)
        assert_ok(turn(&h, &more));
    assert_false(more);
}

static int64_t open_entry(Fixture *f, Uuid event)
{
    Findings warnings = {.mem = f->schema.mem};
    Work work;
    int64_t id;

    findings_add(&warnings, "name", "low_confidence", "look at it");
    work_begin(f, &work);
    assert_ok(
        review_open(&work.w, &(ReviewOpening){.event = event, .source_event_id = "", .warnings = &warnings}, &id));
    work_end(&work);
    return id;
}

static int64_t entries(Fixture *f, int64_t id, const char *status)
{
    return test_schema_count(&f->schema,
                             arena_printf(f->schema.mem,
                                          "SELECT count(*) FROM review_entry WHERE id = %" PRId64 " AND status = '%s'",
                                          id, status));
}

static void what_waited_too_long_expires(void **state)
{
    Fixture *f = *state;
    Uuid place = test_place(f, "Hall", "Ottawa"), waits = test_event(f, place, "Waits", 1, LIFECYCLE_PENDING_REVIEW),
         later = test_event(f, place, "Later", 5, LIFECYCLE_PENDING_REVIEW),
         there = test_event(f, place, "Public", 1, LIFECYCLE_PUBLISHED);
    int64_t entry = open_entry(f, waits), later_entry = open_entry(f, later);
    EventEntity event;

    f->schema.now_us += 2 * TEST_DAY_US;
    run(f, housekeeping_expire);
    f->schema.now_us -= 2 * TEST_DAY_US;
    test_load_event(f, waits, &event);
    assert_string_equal(event.head.deletion_reason, "expired");
    assert_true(event.head.deleted_us != 0);
    test_load_event(f, later, &event);
    assert_int_equal(event.head.deleted_us, 0);
    test_load_event(f, there, &event);
    assert_int_equal(event.head.deleted_us, 0);
    assert_int_equal(entries(f, entry, "dismissed"), 1);
    assert_int_equal(entries(f, later_entry, "pending"), 1);
}

static void decided_entries_are_forgotten_in_time(void **state)
{
    static const struct {
        const char *status;
        int days;
        bool kept;
    } CASES[] = {{"rejected", 7, true},   {"rejected", 9, false}, {"approved", 80, true},
                 {"approved", 91, false}, {"merged", 91, false},  {"pending", 400, true}};
    Fixture *f = *state;
    Uuid place = test_place(f, "Hall", "Ottawa");

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        int64_t id = open_entry(f, test_event(f, place, "E", 1, LIFECYCLE_PUBLISHED)), now = f->schema.now_us;

        if (strcmp(CASES[i].status, "pending") != 0)
            test_schema_script(&f->schema,
                               arena_printf(f->schema.mem,
                                            "UPDATE review_entry SET status = '%s', reviewed_at = created_at"
                                            " WHERE id = %" PRId64,
                                            CASES[i].status, id));
        f->schema.now_us += CASES[i].days * TEST_DAY_US;
        run(f, housekeeping_forget);
        f->schema.now_us = now;
        assert_int_equal(entries(f, id, CASES[i].status), CASES[i].kept);
    }
}

static void events_of_a_merged_place_follow(void **state)
{
    Fixture *f = *state;
    Uuid from = test_place(f, "From", "Ottawa"), to = test_place(f, "To", "Ottawa"),
         id = test_event(f, from, "E", 1, LIFECYCLE_PUBLISHED);
    EventEntity event;

    test_schema_script(&f->schema,
                       arena_printf(f->schema.mem,
                                    "UPDATE place SET superseded_by = '%s', deleted_at = now() WHERE id = '%s'",
                                    uuid_text(f->schema.mem, to), uuid_text(f->schema.mem, from)));
    run(f, housekeeping_repoint);
    test_load_event(f, id, &event);
    assert_memory_equal(&event.place_id, &to, sizeof(to));
}

static void another_trust_decides_anew(void **state)
{
    Fixture *f = *state;
    Uuid first = test_source(f, "first", 5), second = test_source(f, "second", 5),
         id = test_event(f, test_place(f, "Hall", "Ottawa"), "First name", 3, LIFECYCLE_PUBLISHED);
    int64_t start = f->schema.now_us + 4 * TEST_DAY_US;
    EventEntity event;

    test_begin_saying(f, id, first, test_said(f, "First name", "", f->schema.now_us + 3 * TEST_DAY_US));
    test_say(f, id, second, test_said(f, "Second name", "", start));
    assert_string_equal(test_event_text(f, id, TERM_NAME), "First name");
    test_schema_script(&f->schema, arena_printf(f->schema.mem,
                                                "UPDATE source SET trust = 9 WHERE id = '%1$s';"
                                                "INSERT INTO trust_change (source_id) VALUES ('%1$s')",
                                                uuid_text(f->schema.mem, second)));
    run(f, housekeeping_trust);
    assert_string_equal(test_event_text(f, id, TERM_NAME), "Second name");
    test_load_event(f, id, &event);
    assert_int_equal(event.occurrences[0].start_us, start);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM trust_change"), 0);
}

/* --- what fails, and what was left ------------------------------------------------------------------------------- */
/* Nobody can read its document any more. */
static void spoil(Fixture *f, Uuid event)
{
    test_schema_script(&f->schema, arena_printf(f->schema.mem, "UPDATE event SET doc = '{' WHERE id = '%s'",
                                                uuid_text(f->schema.mem, event)));
}

static void a_spoilt_event_holds_up_no_other(void **state)
{
    Fixture *f = *state;
    Uuid place = test_place(f, "Hall", "Ottawa"), from = test_place(f, "Old Hall", "Ottawa"),
         first = test_source(f, "low", 5), second = test_source(f, "high", 5), bad = {{0}}, good = {{0}};
    int64_t now = f->schema.now_us;
    EventEntity event;

    for (int i = 0; i < 2; i++) {
        Uuid id = test_event(f, from, "Low", 1, LIFECYCLE_PENDING_REVIEW);

        test_begin_saying(f, id, first, test_said(f, "Low", "", 0));
        test_say(f, id, second, test_said(f, "High", "", 0));
        *(i ? &good : &bad) = id;
    }
    spoil(f, bad); /* the older one: it comes first */
    test_schema_script(&f->schema,
                       arena_printf(f->schema.mem,
                                    "UPDATE source SET trust = 9 WHERE id = '%1$s';"
                                    "INSERT INTO trust_change (source_id) VALUES ('%1$s');"
                                    "UPDATE place SET superseded_by = '%2$s', deleted_at = now() WHERE id = '%3$s'",
                                    uuid_text(f->schema.mem, second), uuid_text(f->schema.mem, place),
                                    uuid_text(f->schema.mem, from)));
    run(f, housekeeping_trust);
    assert_string_equal(test_event_text(f, good, TERM_NAME), "High");
    run(f, housekeeping_repoint);
    test_load_event(f, good, &event);
    assert_memory_equal(&event.place_id, &place, sizeof(place));
    f->schema.now_us += 2 * TEST_DAY_US;
    run(f, housekeeping_expire);
    f->schema.now_us = now;
    test_load_event(f, good, &event);
    assert_string_equal(event.head.deletion_reason, "expired");
    test_schema_script(&f->schema, arena_printf(f->schema.mem,
                                                "UPDATE event SET place_id = '%1$s' WHERE doc = '{'; "
                                                "UPDATE occurrence SET place_id = '%1$s' WHERE place_id = '%2$s'",
                                                uuid_text(f->schema.mem, place), uuid_text(f->schema.mem, from)));
}

/* More events than a turn has: the first are written anew at once, the others by housekeeping. */
static void a_place_of_many_events_is_renamed(void **state)
{
    enum { MANY = 120 };
    static const char OLD[] =
        "SELECT count(*) FROM event WHERE doc LIKE '%%\"Tiny Hall\"%%' OR card LIKE '%%\"Tiny Hall\"%%'";
    Fixture *f = *state;
    Uuid place = test_place(f, "Tiny Hall", "Ottawa");
    PlaceEntity entity;
    Work work;
    bool more;

    for (int i = 0; i < MANY; i++)
        (void)test_event(f, place, arena_printf(f->schema.mem, "Number %d", i), i + 1, LIFECYCLE_PUBLISHED);
    work_begin(f, &work);
    assert_ok(place_load(&work.w, place, &entity));
    node_clear(entity.head.node, TERM_NAME);
    node_add_text(work.w.mem, entity.head.node, TERM_NAME, SLICE_LIT("Great Hall"));
    node_clear(entity.head.node, TERM_ADDRESS);
    assert_ok(place_save(&work.w, &entity, "", NULL));
    work_end(&work);
    assert_int_equal(test_schema_count(&f->schema, OLD), MANY);
    assert_ok(rerender_turn(&work.rq, place, &more));
    assert_true(more);
    assert_true(test_schema_count(&f->schema, OLD) > 0);
    run(f, housekeeping_render);
    assert_int_equal(test_schema_count(&f->schema, OLD), 0);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM rerender"), 0);
    assert_int_equal(
        test_schema_count(&f->schema,
                          arena_printf(f->schema.mem,
                                       "SELECT count(*) FROM occurrence WHERE place_id = '%s' AND locality = ''",
                                       uuid_text(f->schema.mem, place))),
        MANY);
}

static void a_batch_that_was_given_up_is_handed_out_again(void **state)
{
    static const char TOLD[] = "SELECT count(*) FROM outbox WHERE subject = 'job.events.batch'";
    Fixture *f = *state;
    int64_t told = test_schema_count(&f->schema, TOLD), now = f->schema.now_us;

    test_schema_script(&f->schema,
                       "INSERT INTO batch (id, item_count, submitter_name, submitted_at) VALUES (gen_random_uuid(), 1,"
                       " 'agent', now() - interval '20 minutes'), (gen_random_uuid(), 1, 'agent', now())");
    run(f, housekeeping_batches);
    assert_int_equal(test_schema_count(&f->schema, TOLD), told + 1);
    run(f, housekeeping_batches);
    assert_int_equal(test_schema_count(&f->schema, TOLD), told + 1);
    f->schema.now_us += INT64_C(1200) * 1000000;
    run(f, housekeeping_batches);
    f->schema.now_us = now;
    assert_int_equal(test_schema_count(&f->schema, TOLD), told + 3);
}

static void an_erased_account_leaves_no_trace(void **state)
{
    Fixture *f = *state;
    Eraser eraser = {.events = &f->events, .db = f->schema.db, .clock = &f->schema.clock};
    Uuid id = test_event(f, test_place(f, "Hall", "Ottawa"), "By user 7", 1, LIFECYCLE_PUBLISHED);
    int64_t entry = open_entry(f, id), rows;
    EventEntity event;

    test_schema_script(
        &f->schema,
        arena_printf(f->schema.mem,
                     "UPDATE event SET submitter_user = 7, submitter_key = 'k' WHERE id = '%1$s';"
                     "UPDATE revision SET actor_kind = 'key', actor_id = 'k', actor_name = 'seven'"
                     " WHERE entity_id = '%1$s';"
                     "INSERT INTO source (id, key_id, name, type, created_at) VALUES"
                     " (gen_random_uuid(), 'k', 'agent', 'api', now()),"
                     " (gen_random_uuid(), 'user:7', 'agent', 'api', now()),"
                     " (gen_random_uuid(), 'user:77', 'agent', 'api', now());"
                     "INSERT INTO calendar (id, owner, name, reading, read_at) VALUES"
                     " (gen_random_uuid(), 'k', 'a', 1, now()), (gen_random_uuid(), 'user:7', 'b', 1, now());"
                     "UPDATE review_entry SET reviewer_id = 7, reviewer_name = 'seven' WHERE id = %2$" PRId64 ";"
                     "INSERT INTO audit_entry (id, at, actor_id, action, target_kind, target_id)"
                     " VALUES ('%1$s', now(), 7, 'event.updated', 'event', 'x')",
                     uuid_text(f->schema.mem, id), entry));
    assert_ok(erase_user(&eraser, f->schema.mem, 7, &rows));
    assert_true(rows >= 9);
    assert_int_equal(test_schema_count(&f->schema, "SELECT (SELECT count(*) FROM revision WHERE actor_id = 'k' OR"
                                                   "  actor_name = 'seven') + (SELECT count(*) FROM calendar)"
                                                   " - (SELECT count(*) FROM calendar WHERE owner = id::text)"
                                                   " + (SELECT count(*) FROM source WHERE key_id IN ('k', 'user:7'))"),
                     0);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM source WHERE key_id = 'user:77'"), 1);
    assert_int_equal(test_schema_count(&f->schema,
                                       "SELECT (SELECT count(*) FROM event WHERE submitter_user = 7)"
                                       " + (SELECT count(*) FROM revision WHERE actor_kind = 'user' AND actor_id = '7')"
                                       " + (SELECT count(*) FROM review_entry WHERE reviewer_id = 7)"
                                       " + (SELECT count(*) FROM review_entry WHERE reviewer_name = 'seven')"
                                       " + (SELECT count(*) FROM audit_entry WHERE actor_id = 7)"),
                     0);
    test_load_event(f, id, &event); /* of the commons: it stays */
    assert_int_equal(event.head.deleted_us, 0);
    assert_ok(erase_user(&eraser, f->schema.mem, 7, &rows));
    assert_int_equal(rows, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waited_too_long_expires),
        cmocka_unit_test(decided_entries_are_forgotten_in_time),
        cmocka_unit_test(events_of_a_merged_place_follow),
        cmocka_unit_test(another_trust_decides_anew),
        cmocka_unit_test(an_erased_account_leaves_no_trace),
        cmocka_unit_test(a_spoilt_event_holds_up_no_other),
        cmocka_unit_test(a_place_of_many_events_is_renamed),
        cmocka_unit_test(a_batch_that_was_given_up_is_handed_out_again),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
