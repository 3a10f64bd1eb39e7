/* store_schema: see store_schema.h. */
#include "services/transcode/store_schema.h"

#include "shared/bus_testing.h"

enum { STATEMENT_MS = 5000, OWNER = 7 };

static void make_service(StoreSchema *s)
{
    Bench *b = &s->bench;

    s->settings =
        (TranscodeSettings){.attempts = 3, .max_pixels = 1 << 24, .max_duration_ms = 3600000, .first_height = 720};
    s->settings.ffprobe = "/usr/bin/ffprobe";
    s->settings.ffmpeg = "/usr/bin/ffmpeg";
    s->settings.preset = "ultrafast";
    s->t = (Transcode){
        .settings = &s->settings,
        .ids = s->schema.ids,
        .db = s->schema.db,
        .clock = &s->schema.clock,
        .log = log_new(&(LogOptions){.service = "transcode", .level = LOG_LEVEL_ERROR, .fd = STDERR_FILENO}),
        .metrics = metrics_new(),
        .children = b->children,
        .image_tool = bench_program(b->mem, "../../bin/transcode-image"),
        .work_dir = b->dir,
        .threads = 1};
    assert_ok(
        bus_connect(&(BusOptions){.url = testing_nats_url(), .user = "transcode", .log = s->t.log, .threaded = true},
                    STATEMENT_MS, &s->t.bus));
    assert_ok(blob_open(
        &(BlobOptions){.driver = "fs", .dir = arena_printf(b->mem, "%s/blobs", b->home), .clock = &SYSTEM_CLOCK},
        &s->t.blob));
}

int store_schema_make(void **state)
{
    StoreSchema *s = xcalloc(1, sizeof *s);
    Bench *bench;

    bench_set_up((void **)&bench);
    s->bench = *bench;
    free(bench);
    test_schema_make(&s->schema, "transcode");
    make_service(s);
    *state = s;
    return 0;
}

int store_schema_drop(void **state)
{
    StoreSchema *s = *state;

    blob_close(s->t.blob);
    bus_close(s->t.bus);
    metrics_free(s->t.metrics);
    log_free(s->t.log);
    test_schema_drop(&s->schema);
    bench_remove(s->bench.mem, s->bench.home);
    arena_free(s->bench.mem);
    free(s);
    return 0;
}

int store_schema_empty(void **state)
{
    test_schema_script(&((StoreSchema *)*state)->schema, "TRUNCATE job, step, outbox CASCADE");
    return 0;
}

Request store_schema_request(StoreSchema *s)
{
    Request rq = test_schema_request(&s->schema, &s->t, OWNER);

    rq.caller.role = ROLE_ADMIN;
    return rq;
}

JobRow store_schema_job(StoreSchema *s, int kind, int attempts, const char *content)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    JobRow job = {.id = uuid_v7(s->schema.ids),
                  .media_id = uuid_v7(s->schema.ids),
                  .generation = 1,
                  .kind = kind,
                  .owner_id = OWNER,
                  .mime_type = "",
                  .filename = "",
                  .attempts_left = attempts};
    BlobInfo info;
    bool is_new;

    job.source_key = arena_printf(s->schema.mem, "original/%d/%s/x", OWNER, uuid_text(s->schema.mem, job.media_id));
    if (content)
        assert_ok(blob_put_bytes(s->t.blob, &(BlobPut){.key = job.source_key}, slice(content), &info));
    assert_ok(db_tx_begin_with(s->schema.db, STATEMENT_MS, &tx));
    assert_ok(store_insert_job(&tx, &job, s->schema.now_us, &is_new));
    assert_true(is_new);
    assert_ok(db_tx_commit(&tx));
    return job;
}

JobRow store_schema_begin(StoreSchema *s, Uuid id)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    JobRow row;

    assert_ok(db_tx_begin_with(s->schema.db, STATEMENT_MS, &tx));
    assert_ok(store_begin_attempt(&tx, s->schema.mem, id, s->schema.now_us, &row));
    assert_ok(db_tx_commit(&tx));
    return row;
}
