/* store_schema: see store_schema.h. */
#include "services/media/store_schema.h"

#include <sodium.h>

#include "shared/migrate.h"

enum { CONNECTIONS = 8, SCRIPT_TIMEOUT_MS = 60000, REQUEST_MS = 60000 };

void store_schema_script(StoreSchema *s, const char *sql)
{
    char *detail = NULL;
    DbConn *conn;

    assert_ok(db_conn_open(s->db, 5000, &conn));
    if (err_failed(db_conn_script(conn, SCRIPT_TIMEOUT_MS, s->mem, sql, &detail)))
        fail_msg("%s", detail ? detail : "script failed");
    db_conn_close(conn);
}

int64_t store_schema_count(StoreSchema *s, const char *sql)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(db_read_with(s->db, 5000, sql, DB_NO_ARGS, &rows));
    return db_get_int64(&rows, 0, 0);
}

static int64_t standing_us(void *context)
{
    return ((const StoreSchema *)context)->now_us;
}

static void make_service(StoreSchema *s)
{
    Blob *blob;

    s->now_us = clock_unix_us(&SYSTEM_CLOCK);
    s->clock = (Clock){.unix_us = standing_us, .monotonic_us = SYSTEM_CLOCK.monotonic_us, .context = s};
    s->settings = (MediaSettings){
        .quota_bytes = INT64_C(1) << 40, .trash_days = 30, .sweep_interval_ms = 60000, .stream_ttl_ms = 14400000};
    snprintf(s->folder, sizeof(s->folder), "/tmp/media-test-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    assert_ok(blob_open(&(BlobOptions){.driver = "fs", .dir = s->folder, .clock = &SYSTEM_CLOCK}, &blob));
    s->media = (Media){.settings = &s->settings,
                       .ids = s->ids,
                       .blob = blob,
                       .tickets = ticket_keys_random(),
                       .bytes_url = "https://atrium.example"};
}

Request store_schema_request(StoreSchema *s, int64_t user_id)
{
    return (Request){.mem = s->mem,
                     .service = &s->media,
                     .caller = {.kind = user_id ? CALLER_PERSON : CALLER_NOBODY,
                                .user_id = user_id,
                                .role = user_id ? ROLE_USER : ROLE_NONE,
                                .username = user_id ? "someone" : "",
                                .login_id = "",
                                .service = ""},
                     .profile = "all",
                     .client_address = "192.0.2.7",
                     .id = "test",
                     .clock = &s->clock,
                     .deadline_ms = clock_monotonic_ms(&s->clock) + REQUEST_MS,
                     .db = s->db};
}

int store_schema_make(void **state)
{
    const char *url = getenv("TEST_DATABASE_URL");
    StoreSchema *s = xcalloc(1, sizeof(*s));

    if (sodium_init() < 0)
        return -1;
    if (!url)
        fail_msg("TEST_DATABASE_URL is not set: run this by tests/run-units");
    s->mem = arena_new(65536);
    s->ids = id_source_new(&SYSTEM_CLOCK, 7);
    snprintf(s->name, sizeof(s->name), "media_test_%016" PRIx64, random_uint64());
    assert_ok(db_new(&(DbOptions){.url = url,
                                  .schema = s->name,
                                  .application_name = s->name,
                                  .pool_size = CONNECTIONS,
                                  .acquire_timeout_ms = 5000},
                     &s->db));
    store_schema_script(s, arena_printf(s->mem, "CREATE SCHEMA %s", s->name));
    for (size_t i = 0; i < MIGRATION_COUNT; i++)
        if (strcmp(MIGRATIONS[i].service, "shared") == 0 || strcmp(MIGRATIONS[i].service, "media") == 0)
            store_schema_script(s, MIGRATIONS[i].sql);
    make_service(s);
    *state = s;
    return 0;
}

int store_schema_drop(void **state)
{
    StoreSchema *s = *state;
    bool more = true;

    while (more)
        assert_ok(blob_delete_prefix(s->media.blob, "original/", 100, &more));
    blob_close(s->media.blob);
    ticket_keys_free((TicketKeys *)s->media.tickets);
    store_schema_script(s, arena_printf(s->mem, "DROP SCHEMA %s CASCADE", s->name));
    db_free(s->db);
    id_source_free(s->ids);
    arena_free(s->mem);
    free(s);
    return 0;
}

Uuid store_schema_item(StoreSchema *s, int64_t owner_id, const char *title)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = store_schema_request(s, owner_id);
    NewItem item = {.id = uuid_v7(s->ids),
                    .owner_id = owner_id,
                    .title = title,
                    .original_filename = "clip.bin",
                    .mime_type = "",
                    .now_us = s->now_us};

    assert_ok(db_tx_begin(&rq, &tx));
    assert_ok(media_store_insert_item(&tx, &item));
    assert_ok(db_tx_commit(&tx));
    return item.id;
}

Uuid store_schema_uploaded(StoreSchema *s, int64_t owner_id, const char *content)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = store_schema_request(s, owner_id);
    Uuid id = store_schema_item(s, owner_id, "");
    char *key = arena_printf(s->mem, "original/%" PRId64 "/%s/clip.bin", owner_id, uuid_text(s->mem, id));
    unsigned char digest[crypto_hash_sha256_BYTES];
    CompletedOutcome outcome;
    BlobInfo info;
    ItemRow item;

    crypto_hash_sha256(digest, (const unsigned char *)content, strlen(content));
    assert_ok(blob_put_bytes(s->media.blob, &(BlobPut){.key = key}, slice(content), &info));
    assert_ok(db_tx_begin(&rq, &tx));
    assert_ok(media_store_complete(
        &rq, &tx,
        &(CompletedUpload){.item_id = id,
                           .owner_id = owner_id,
                           .key = key,
                           .sha256 = slice_of(arena_memdup(s->mem, digest, sizeof(digest)), sizeof(digest)),
                           .size_bytes = (int64_t)strlen(content),
                           .mime_type = "video/mp4",
                           .now_us = s->now_us},
        &outcome, &item));
    assert_ok(db_tx_commit(&tx));
    return id;
}

ItemRow store_schema_row(StoreSchema *s, Uuid id)
{
    Request rq = store_schema_request(s, 0);
    ItemRow item;

    assert_ok(media_store_item(&rq, id, &item));
    return item;
}
