/* Attempts at jobs with a real PostgreSQL and NATS, where no encoder is needed: what is remembered, how they end. */
#include "services/transcode/run.h"

#include "services/transcode/store_schema.h"

enum { STATEMENT_MS = 5000, FIRST = TRANSCODE__V1__JOB_KIND__FIRST, EXTRAS = TRANSCODE__V1__JOB_KIND__EXTRAS };

static const atomic_bool GOES_ON = false, STOPS = true;
static int works;

/* --- an attempt by hand ------------------------------------------------------------------------------------------ */
typedef struct Attempt {
    Job job;
    Run run;
} Attempt;

static void begin(StoreSchema *s, Uuid id, Attempt *a)
{
    *a = (Attempt){.job = {.mem = s->schema.mem, .context = &s->t, .stop = &GOES_ON}};
    a->run = (Run){.t = &s->t, .mem = s->schema.mem, .job = &a->job, .row = store_schema_begin(s, id), .input_fd = -1};
    assert_ok(store_steps(s->schema.db, s->schema.mem, id, STATEMENT_MS, &a->run.steps, &a->run.step_count));
    a->run.step_capacity = a->run.step_count;
}

static Err put_note(Run *run, Transcode__V1__StepResult *out)
{
    works++;
    run_warn(run, out, "step %s", run->step);
    return run_put_bytes(run,
                         &(NewAsset){.kind = TRANSCODE__V1__ASSET_KIND__WAVEFORM,
                                     .name = arena_printf(run->mem, "%s.json", run->step),
                                     .content_type = "application/json"},
                         SLICE_LIT("{}"), out);
}

static Err break_down(Run *run, Transcode__V1__StepResult *out)
{
    TRY(put_note(run, out));
    return err_make(&WORKER_TROUBLE, "on purpose");
}

static bool is_there(StoreSchema *s, const JobRow *row, const char *name)
{
    BlobInfo info;

    return !err_failed(blob_stat(
        s->t.blob, arena_printf(s->schema.mem, "derived/%s/1/%s", uuid_text(s->schema.mem, row->media_id), name),
        &info));
}

static void a_step_is_done_once(void **state)
{
    StoreSchema *s = *state;
    JobRow job = store_schema_job(s, EXTRAS, 3, NULL);
    Transcode__V1__StepResult *result;
    Attempt one, two;

    works = 0;
    begin(s, job.id, &one);
    assert_ok(run_step(&one.run, "a", 0, 0.5, put_note));
    assert_ok(run_step(&one.run, "a", 0, 0.5, put_note));
    assert_int_equal(works, 1);
    assert_reason(run_step(&one.run, "b", 0.5, 1, break_down), &WORKER_TROUBLE);
    begin(s, job.id, &two);
    assert_ok(run_step(&two.run, "a", 0, 0.5, put_note));
    assert_int_equal(works, 2);
    assert_ok(run_step(&two.run, "b", 0.5, 1, put_note));
    assert_int_equal(works, 3);
    assert_ok(run_result(&two.run, &result));
    assert_int_equal(result->n_assets, 2);
    assert_string_equal(result->assets[1]->name, "b.json");
    assert_int_equal(result->assets[1]->size_bytes, 2);
    assert_string_equal(result->warnings[0], "step a");
    assert_int_equal(two.run.told, 50);
}

static void an_overtaken_attempt_does_no_more(void **state)
{
    StoreSchema *s = *state;
    JobRow job = store_schema_job(s, EXTRAS, 3, NULL);
    Attempt one, two;

    begin(s, job.id, &one);
    assert_false(run_cancelled(&one.run));
    begin(s, job.id, &two);
    one.run.checked_ms = two.run.checked_ms = INT64_MIN / 2; /* a second later */
    assert_true(run_cancelled(&one.run));
    assert_reason(run_step(&one.run, "a", 0, 1, put_note), &JOB_CANCELLED);
    assert_false(run_cancelled(&two.run));
    two.job.stop = &STOPS;
    assert_true(run_cancelled(&two.run));
}

/* Extras take away their own alone; a first job that did not end, everything of its generation. */
static void what_nobody_was_told_of_goes(void **state)
{
    StoreSchema *s = *state;
    JobRow first = store_schema_job(s, FIRST, 3, NULL), extras = store_schema_job(s, EXTRAS, 3, NULL);
    Transcode__V1__StepResult unlisted = TRANSCODE__V1__STEP_RESULT__INIT;
    Attempt a;

    begin(s, extras.id, &a);
    assert_ok(run_step(&a.run, "mine", 0, 1, put_note));
    a.run.step = "others";
    assert_ok(put_note(&a.run, &unlisted));
    run_remove_outputs(&s->t, s->schema.mem, &a.run.row);
    assert_false(is_there(s, &extras, "mine.json"));
    assert_true(is_there(s, &extras, "others.json"));
    begin(s, first.id, &a);
    a.run.step = "half";
    assert_ok(put_note(&a.run, &unlisted));
    run_remove_outputs(&s->t, s->schema.mem, &a.run.row);
    assert_false(is_there(s, &first, "half.json"));
}

static void a_master_lists_all_jobs_of_a_generation(void **state)
{
    StoreSchema *s = *state;
    JobRow job = store_schema_job(s, FIRST, 3, NULL);
    Transcode__V1__StepResult out = TRANSCODE__V1__STEP_RESULT__INIT, stored = TRANSCODE__V1__STEP_RESULT__INIT, *all;
    Transcode__V1__Rendition sound = TRANSCODE__V1__RENDITION__INIT;
    CLEANUP(db_tx_done) DbTx tx = {0};
    char name[] = "audio", uri[] = "audio.m3u8", codecs[] = "mp4a.40.2";
    Attempt a;

    begin(s, job.id, &a);
    SET(&sound, kind, TRANSCODE__V1__RENDITION_KIND__AUDIO);
    sound.name = name, sound.uri = uri, sound.codecs = codecs;
    run_add_rendition(&a.run, &stored, &sound);
    assert_ok(db_tx_begin_with(s->schema.db, STATEMENT_MS, &tx));
    assert_ok(store_insert_step(&tx, job.id, &(StepRow){"encode", message_pack(s->schema.mem, &stored.base)},
                                s->schema.now_us));
    assert_ok(db_tx_commit(&tx));
    assert_ok(run_put_master(&a.run, &out));
    assert_int_equal(out.n_assets, 1);
    assert_int_equal(out.assets[0]->kind, TRANSCODE__V1__ASSET_KIND__HLS_MASTER);
    assert_true(is_there(s, &job, "hls/master.m3u8"));
    assert_ok(run_all_results(&a.run, &all));
    assert_int_equal(all->n_renditions, 1);
}

static bool metrics_say(StoreSchema *s, const char *line)
{
    StrBuf text = strbuf_new(s->schema.mem, 1 << 20);

    metrics_write(s->t.metrics, &text);
    return slice_find(strbuf_slice(&text), slice(line)) >= 0;
}

static void steps_and_children_are_counted(void **state)
{
    StoreSchema *s = *state;
    Attempt a;

    begin(s, store_schema_job(s, EXTRAS, 3, NULL).id, &a);
    assert_ok(run_step(&a.run, "counted", 0, 1, put_note));
    assert_reason(run_step(&a.run, "broken", 0, 1, break_down), &WORKER_TROUBLE);
    assert_true(
        metrics_say(s, "atrium_transcode_step_seconds_count{kind=\"extras\",step=\"counted\",outcome=\"done\"} 1"));
    assert_true(
        metrics_say(s, "atrium_transcode_step_seconds_count{kind=\"extras\",step=\"broken\",outcome=\"failed\"} 1"));
    run_count_child(&s->t, &(ChildSpec){.program = s->settings.ffmpeg}, &(ChildResult){.cpu_ms = 2500});
    run_count_child(&s->t, &(ChildSpec){.program = s->settings.ffmpeg}, &(ChildResult){.cpu_ms = 500});
    run_count_child(&s->t, &(ChildSpec){.program = s->t.image_tool}, &(ChildResult){.cpu_ms = 250});
    assert_true(metrics_say(s, "atrium_transcode_child_cpu_seconds_sum{program=\"ffmpeg\"} 3\n"));
    assert_true(metrics_say(s, "atrium_transcode_child_cpu_seconds_sum{program=\"image\"} 0.25\n"));
}

/* --- the queue's way --------------------------------------------------------------------------------------------- */
static Err deliver(StoreSchema *s, Uuid id, const atomic_bool *stop)
{
    Transcode__V1__TranscodeJob body = TRANSCODE__V1__TRANSCODE_JOB__INIT;
    Job job = {.mem = s->schema.mem, .id = "x", .type = "first", .body = &body.base, .delivery = 1, .context = &s->t};

    job.stop = stop;
    body.job_id = uuid_text(s->schema.mem, id);
    return run_job(&job);
}

static void assert_state(StoreSchema *s, Uuid id, const char *state, const char *code)
{
    const char *sql = arena_printf(
        s->schema.mem, "SELECT count(*) FROM job WHERE id = '%s' AND state = '%s' AND coalesce(error_code, '') = '%s'",
        uuid_text(s->schema.mem, id), state, code);

    if (test_schema_count(&s->schema, sql) != 1)
        fail_msg("the job is not %s (%s)", state, code);
}

static int64_t announced(StoreSchema *s, const char *verb)
{
    return test_schema_count(
        &s->schema,
        arena_printf(s->schema.mem, "SELECT count(*) FROM outbox WHERE subject LIKE 'evt.transcode.job.%s.%%'", verb));
}

static void what_is_no_film_is_done_at_once(void **state)
{
    StoreSchema *s = *state;
    JobRow job = store_schema_job(s, FIRST, 3, "%PDF-1.4\n");

    assert_ok(deliver(s, job.id, &GOES_ON));
    assert_state(s, job.id, "done", "");
    assert_int_equal(announced(s, "started"), 1);
    assert_int_equal(announced(s, "finished"), 1);
    assert_ok(deliver(s, job.id, &GOES_ON)); /* a message that came twice */
    assert_int_equal(announced(s, "finished"), 1);
    assert_ok(deliver(s, uuid_v7(s->schema.ids), &GOES_ON));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM outbox"), 2);
}

static void the_inputs_faults_are_final(void **state)
{
    StoreSchema *s = *state;
    JobRow gone = store_schema_job(s, FIRST, 3, NULL), empty = store_schema_job(s, FIRST, 3, "");

    assert_ok(deliver(s, gone.id, &GOES_ON));
    assert_state(s, gone.id, "failed", INPUT_MISSING.code);
    assert_ok(deliver(s, empty.id, &GOES_ON));
    assert_state(s, empty.id, "failed", INPUT_UNSUPPORTED.code);
    assert_int_equal(announced(s, "failed"), 2);
}

static void our_faults_come_again_until_nobody_hopes(void **state)
{
    StoreSchema *s = *state;
    JobRow job = store_schema_job(s, FIRST, 2, "%PDF-1.4\n");

    s->t.work_dir = bench_path(&s->bench, "nowhere/at/all");
    assert_reason(deliver(s, job.id, &GOES_ON), &UNAVAILABLE);
    assert_state(s, job.id, "queued", "internal");
    assert_ok(deliver(s, job.id, &GOES_ON));
    assert_state(s, job.id, "dead", "internal");
    s->t.work_dir = s->bench.dir;
    assert_int_equal(announced(s, "failed"), 2);
    assert_ok(deliver(s, job.id, &GOES_ON));
    assert_state(s, job.id, "dead", "internal");
}

static void a_worker_that_drains_gives_the_attempt_back(void **state)
{
    StoreSchema *s = *state;
    JobRow job = store_schema_job(s, FIRST, 1, "%PDF-1.4\n");

    assert_reason(deliver(s, job.id, &STOPS), &UNAVAILABLE);
    assert_state(s, job.id, "queued", "");
    assert_int_equal(announced(s, "failed"), 0);
    assert_ok(deliver(s, job.id, &GOES_ON));
    assert_state(s, job.id, "done", "");
}

static void workers_that_vanish_are_not_followed_for_ever(void **state)
{
    StoreSchema *s = *state;
    JobRow job = store_schema_job(s, FIRST, 1, "%PDF-1.4\n");

    (void)store_schema_begin(s, job.id); /* and is never heard of again */
    assert_ok(deliver(s, job.id, &GOES_ON));
    assert_state(s, job.id, "dead", "internal");
}

#define TEST(f) cmocka_unit_test_setup(f, store_schema_empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_step_is_done_once),
        TEST(an_overtaken_attempt_does_no_more),
        TEST(what_nobody_was_told_of_goes),
        TEST(a_master_lists_all_jobs_of_a_generation),
        TEST(steps_and_children_are_counted),
        TEST(what_is_no_film_is_done_at_once),
        TEST(the_inputs_faults_are_final),
        TEST(our_faults_come_again_until_nobody_hopes),
        TEST(a_worker_that_drains_gives_the_attempt_back),
        TEST(workers_that_vanish_are_not_followed_for_ever),
    };
    return cmocka_run_group_tests(tests, store_schema_make, store_schema_drop);
}
