/* store_schema: see store_schema.h. */
#include "services/transcode/store_schema.h"

#include "shared/bus_testing.h"
#include "shared/migrate.h"

enum { CONNECTIONS = 4, SCRIPT_TIMEOUT_MS = 60000, STATEMENT_MS = 5000, REQUEST_MS = 60000, OWNER = 7 };

static void run_script(StoreSchema *s, const char *sql)
{
    char *detail = NULL;
    DbConn *conn;

    assert_ok(db_conn_open(s->db, STATEMENT_MS, &conn));
    if (err_failed(db_conn_script(conn, SCRIPT_TIMEOUT_MS, s->mem, sql, &detail)))
        fail_msg("%s", detail ? detail : "script failed");
    db_conn_close(conn);
}

int64_t store_schema_count(StoreSchema *s, const char *sql)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(db_read_with(s->db, STATEMENT_MS, sql, DB_NO_ARGS, &rows));
    return db_get_int64(&rows, 0, 0);
}

static int64_t standing_us(void *context)
{
    return ((const StoreSchema *)context)->now_us;
}

static void make_service(StoreSchema *s)
{
    Bench *b = &s->bench;

    s->now_us = clock_unix_us(&SYSTEM_CLOCK);
    s->clock = (Clock){.unix_us = standing_us, .monotonic_us = SYSTEM_CLOCK.monotonic_us, .context = s};
    s->settings =
        (TranscodeSettings){.attempts = 3, .max_pixels = 1 << 24, .max_duration_ms = 3600000, .first_height = 720};
    s->settings.ffprobe = "/usr/bin/ffprobe";
    s->settings.ffmpeg = "/usr/bin/ffmpeg";
    s->settings.preset = "ultrafast";
    s->t = (Transcode){
        .settings = &s->settings,
        .ids = s->ids,
        .db = s->db,
        .clock = &s->clock,
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
    const char *url = getenv("TEST_DATABASE_URL");
    StoreSchema *s = xcalloc(1, sizeof *s);
    Bench *bench;

    if (!url)
        fail_msg("TEST_DATABASE_URL is not set: run this by tests/run-units");
    bench_set_up((void **)&bench);
    s->bench = *bench;
    free(bench);
    s->mem = s->bench.mem;
    s->ids = id_source_new(&SYSTEM_CLOCK, 7);
    snprintf(s->name, sizeof s->name, "transcode_test_%016" PRIx64, random_uint64());
    assert_ok(db_new(&(DbOptions){.url = url,
                                  .schema = s->name,
                                  .application_name = s->name,
                                  .pool_size = CONNECTIONS,
                                  .acquire_timeout_ms = STATEMENT_MS},
                     &s->db));
    run_script(s, arena_printf(s->mem, "CREATE SCHEMA %s", s->name));
    for (size_t i = 0; i < MIGRATION_COUNT; i++)
        if (strcmp(MIGRATIONS[i].service, "shared") == 0 || strcmp(MIGRATIONS[i].service, "transcode") == 0)
            run_script(s, MIGRATIONS[i].sql);
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
    run_script(s, arena_printf(s->mem, "DROP SCHEMA %s CASCADE", s->name));
    db_free(s->db);
    id_source_free(s->ids);
    bench_remove(s->mem, s->bench.home);
    arena_free(s->mem);
    free(s);
    return 0;
}

int store_schema_empty(void **state)
{
    run_script(*state, "TRUNCATE job, step, outbox CASCADE");
    return 0;
}

Request store_schema_request(StoreSchema *s)
{
    return (Request){.mem = s->mem,
                     .service = &s->t,
                     .caller = {.kind = CALLER_PERSON,
                                .user_id = OWNER,
                                .role = ROLE_ADMIN,
                                .username = "operator",
                                .login_id = "",
                                .service = ""},
                     .profile = "all",
                     .client_address = "192.0.2.7",
                     .id = "test",
                     .clock = &s->clock,
                     .deadline_ms = clock_monotonic_ms(&s->clock) + REQUEST_MS,
                     .db = s->db};
}

JobRow store_schema_job(StoreSchema *s, int kind, int attempts, const char *content)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    JobRow job = {.id = uuid_v7(s->ids),
                  .media_id = uuid_v7(s->ids),
                  .generation = 1,
                  .kind = kind,
                  .owner_id = OWNER,
                  .mime_type = "",
                  .filename = "",
                  .attempts_left = attempts};
    BlobInfo info;
    bool is_new;

    job.source_key = arena_printf(s->mem, "original/%d/%s/x", OWNER, uuid_text(s->mem, job.media_id));
    if (content)
        assert_ok(blob_put_bytes(s->t.blob, &(BlobPut){.key = job.source_key}, slice(content), &info));
    assert_ok(db_tx_begin_with(s->db, STATEMENT_MS, &tx));
    assert_ok(store_insert_job(&tx, &job, s->now_us, &is_new));
    assert_true(is_new);
    assert_ok(db_tx_commit(&tx));
    return job;
}

JobRow store_schema_begin(StoreSchema *s, Uuid id)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    JobRow row;

    assert_ok(db_tx_begin_with(s->db, STATEMENT_MS, &tx));
    assert_ok(store_begin_attempt(&tx, s->mem, id, s->now_us, &row));
    assert_ok(db_tx_commit(&tx));
    return row;
}
