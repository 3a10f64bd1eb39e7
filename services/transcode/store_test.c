/* The statements of transcode on a real PostgreSQL: attempts, steps, cancellation, dead letters. */
#include "services/transcode/store_schema.h"

enum { STATEMENT_MS = 5000, FIRST = TRANSCODE__V1__JOB_KIND__FIRST, EXTRAS = TRANSCODE__V1__JOB_KIND__EXTRAS };

static const Uuid NIL;

static bool same(Uuid a, Uuid b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* Whether it was still this attempt's to end. */
static bool end(StoreSchema *s, const JobRow *attempt, const char *state, const char *code)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool mine;

    assert_ok(db_tx_begin_with(s->schema.db, STATEMENT_MS, &tx));
    assert_ok(store_end_attempt(&tx, attempt, state, code, code, s->schema.now_us, &mine));
    assert_ok(db_tx_commit(&tx));
    return mine;
}

static bool is_current(StoreSchema *s, const JobRow *attempt)
{
    bool current;

    assert_ok(store_attempt_is_current(s->schema.db, attempt, STATEMENT_MS, &current));
    return current;
}

static size_t cancel(StoreSchema *s, Uuid media_id, int64_t generation)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    JobRow *jobs;
    size_t count;

    assert_ok(db_tx_begin_with(s->schema.db, STATEMENT_MS, &tx));
    assert_ok(store_cancel_jobs(&tx, s->schema.mem, media_id, generation, s->schema.now_us, &jobs, &count));
    assert_ok(db_tx_commit(&tx));
    for (size_t i = 0; i < count; i++)
        assert_string_equal(jobs[i].state, "cancelled");
    return count;
}

static void a_generation_has_one_job_of_a_kind(void **state)
{
    StoreSchema *s = *state;
    CLEANUP(db_tx_done) DbTx tx = {0};
    JobRow job = store_schema_job(s, FIRST, 3, NULL);
    bool is_new;

    job.id = uuid_v7(s->schema.ids);
    assert_ok(db_tx_begin_with(s->schema.db, STATEMENT_MS, &tx));
    assert_ok(store_insert_job(&tx, &job, s->schema.now_us, &is_new));
    assert_false(is_new);
    job.kind = EXTRAS;
    assert_ok(store_insert_job(&tx, &job, s->schema.now_us, &is_new));
    assert_true(is_new);
    job.id = uuid_v7(s->schema.ids);
    job.generation = 2;
    assert_ok(store_insert_job(&tx, &job, s->schema.now_us, &is_new));
    assert_true(is_new);
    assert_ok(db_tx_commit(&tx));
}

static void only_the_latest_attempt_ends_a_job(void **state)
{
    StoreSchema *s = *state;
    JobRow job = store_schema_job(s, FIRST, 3, NULL), one = store_schema_begin(s, job.id), two;

    assert_int_equal(one.attempt, 1);
    assert_int_equal(one.attempts_left, 2);
    assert_string_equal(one.source_key, job.source_key);
    assert_true(is_current(s, &one));
    two = store_schema_begin(s, job.id); /* its worker vanished */
    assert_int_equal(two.attempt, 2);
    assert_false(is_current(s, &one));
    assert_true(is_current(s, &two));
    assert_false(end(s, &one, "done", NULL));
    assert_true(end(s, &two, "done", NULL));
    assert_false(end(s, &two, "done", NULL));
    assert_true(same(store_schema_begin(s, job.id).id, NIL)); /* it is done */
    assert_true(same(store_schema_begin(s, uuid_v7(s->schema.ids)).id, NIL));
}

static void attempts_are_counted_and_given_back(void **state)
{
    StoreSchema *s = *state;
    JobRow job = store_schema_job(s, FIRST, 1, NULL), row = store_schema_begin(s, job.id);
    CLEANUP(db_tx_done) DbTx tx = {0};

    assert_int_equal(row.attempts_left, 0);
    assert_ok(db_tx_begin_with(s->schema.db, STATEMENT_MS, &tx));
    assert_ok(store_release_attempt(&tx, &row));
    assert_ok(db_tx_commit(&tx));
    assert_false(is_current(s, &row));
    row = store_schema_begin(s, job.id);
    assert_int_equal(row.attempt, 2);
    assert_int_equal(row.attempts_left, 0);
    assert_true(end(s, &row, "queued", "internal"));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM job WHERE finished_at IS NULL"), 1);
    row = store_schema_begin(s, job.id); /* none is left: the row as it is */
    assert_int_equal(row.attempt, 2);
    assert_int_equal(row.attempts_left, -1);
    assert_true(end(s, &row, "dead", "internal"));
}

static void steps_are_kept_in_order_and_once(void **state)
{
    StoreSchema *s = *state;
    JobRow job = store_schema_job(s, FIRST, 3, NULL), other = store_schema_job(s, FIRST, 3, NULL), extras = job;
    CLEANUP(db_tx_done) DbTx tx = {0};
    StepRow *steps;
    size_t count;
    bool is_new;

    extras.id = uuid_v7(s->schema.ids);
    extras.kind = EXTRAS;
    assert_ok(db_tx_begin_with(s->schema.db, STATEMENT_MS, &tx));
    assert_ok(store_insert_job(&tx, &extras, s->schema.now_us, &is_new));
    assert_ok(store_insert_step(&tx, job.id, &(StepRow){"probe", SLICE_LIT("one")}, s->schema.now_us));
    assert_ok(store_insert_step(&tx, job.id, &(StepRow){"encode", SLICE_LIT("\0\1")}, s->schema.now_us + 1));
    assert_ok(store_insert_step(&tx, job.id, &(StepRow){"probe", SLICE_LIT("again")}, s->schema.now_us + 2));
    assert_ok(store_insert_step(&tx, extras.id, &(StepRow){"captions", SLICE_LIT("c")}, s->schema.now_us));
    assert_ok(store_insert_step(&tx, other.id, &(StepRow){"probe", SLICE_LIT("other")}, s->schema.now_us));
    assert_ok(store_steps_of_media(&tx, s->schema.mem, job.media_id, 1, &steps, &count));
    assert_int_equal(count, 3);
    assert_string_equal(steps[2].name, "captions");
    assert_ok(store_steps_of_media(&tx, s->schema.mem, job.media_id, 2, &steps, &count));
    assert_int_equal(count, 0);
    assert_ok(db_tx_commit(&tx));
    assert_ok(store_steps(s->schema.db, s->schema.mem, job.id, STATEMENT_MS, &steps, &count));
    assert_int_equal(count, 2);
    assert_string_equal(steps[0].name, "probe");
    assert_slice_equal(steps[0].result, SLICE_LIT("again"));
    assert_slice_equal(steps[1].result, SLICE_LIT("\0\1"));
}

static void cancelling_ends_what_is_open_up_to_a_generation(void **state)
{
    StoreSchema *s = *state;
    JobRow job = store_schema_job(s, FIRST, 3, NULL), running = store_schema_begin(s, job.id), later = job;
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool is_new;

    later.id = uuid_v7(s->schema.ids);
    later.generation = 2;
    assert_ok(db_tx_begin_with(s->schema.db, STATEMENT_MS, &tx));
    assert_ok(store_insert_job(&tx, &later, s->schema.now_us, &is_new));
    assert_ok(db_tx_commit(&tx));
    assert_int_equal(cancel(s, uuid_v7(s->schema.ids), INT64_MAX), 0);
    assert_int_equal(cancel(s, job.media_id, 1), 1);
    assert_false(is_current(s, &running));
    assert_false(end(s, &running, "done", NULL));
    assert_true(same(store_schema_begin(s, job.id).id, NIL));
    assert_int_equal(store_schema_begin(s, later.id).attempt, 1);
    assert_int_equal(cancel(s, job.media_id, INT64_MAX), 1);
    assert_int_equal(cancel(s, job.media_id, INT64_MAX), 0);
}

static void dead_letters_are_listed_by_page_and_requeued(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    CLEANUP(db_tx_done) DbTx tx = {0};
    JobRow *page, dead[5], row;
    size_t count, seen = 0;
    Uuid after = NIL;

    for (size_t i = 0; i < ARRAY_LEN(dead); i++) {
        dead[i] = store_schema_begin(s, store_schema_job(s, FIRST, 1, NULL).id);
        s->schema.now_us += 1000;
        assert_true(end(s, &dead[i], "dead", "internal"));
    }
    do {
        assert_ok(store_dead_jobs(&rq, after, 2, &page, &count));
        for (size_t i = 0; i < count; i++, seen++)
            assert_true(same(page[i].id, dead[ARRAY_LEN(dead) - 1 - seen].id));
        after = count ? page[count - 1].id : NIL;
    } while (count);
    assert_int_equal(seen, ARRAY_LEN(dead));
    assert_ok(db_tx_begin(&rq, &tx));
    assert_ok(store_requeue_job(&tx, s->schema.mem, dead[0].id, 4, &row));
    assert_true(same(row.id, dead[0].id));
    assert_int_equal(row.attempts_left, 4);
    assert_ok(store_requeue_job(&tx, s->schema.mem, dead[0].id, 4, &row)); /* it is not dead any more */
    assert_true(same(row.id, NIL));
    assert_ok(db_tx_commit(&tx));
    assert_int_equal(store_schema_begin(s, dead[0].id).attempt, 2);
}

static void queues_and_accounts(void **state)
{
    StoreSchema *s = *state;
    JobRow old = store_schema_begin(s, store_schema_job(s, FIRST, 3, NULL).id);
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t count, age_us, rows;

    s->schema.now_us += 5000000;
    store_schema_job(s, FIRST, 3, NULL);
    assert_ok(store_queue(s->schema.db, STATEMENT_MS, FIRST, s->schema.now_us, &count, &age_us));
    assert_int_equal(count, 2);
    assert_int_equal(age_us, 5000000);
    assert_ok(store_queue(s->schema.db, STATEMENT_MS, EXTRAS, s->schema.now_us, &count, &age_us));
    assert_true(count == 0 && age_us == 0);
    assert_true(end(s, &old, "done", NULL));
    assert_ok(db_tx_begin_with(s->schema.db, STATEMENT_MS, &tx));
    assert_ok(store_forget_owner(&tx, old.owner_id + 1, &rows));
    assert_int_equal(rows, 0);
    assert_ok(store_forget_owner(&tx, old.owner_id, &rows)); /* what is being done ends by its item's deletion */
    assert_int_equal(rows, 1);
    assert_ok(db_tx_commit(&tx));
}

#define TEST(f) cmocka_unit_test_setup(f, store_schema_empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_generation_has_one_job_of_a_kind),
        TEST(only_the_latest_attempt_ends_a_job),
        TEST(attempts_are_counted_and_given_back),
        TEST(steps_are_kept_in_order_and_once),
        TEST(cancelling_ends_what_is_open_up_to_a_generation),
        TEST(dead_letters_are_listed_by_page_and_requeued),
        TEST(queues_and_accounts),
    };
    return cmocka_run_group_tests(tests, store_schema_make, store_schema_drop);
}
