/* store_schema: see store_schema.h. */
#include "services/media/store_schema.h"

#include <sodium.h>

static void make_service(StoreSchema *s)
{
    Blob *blob;

    s->settings = (MediaSettings){
        .quota_bytes = INT64_C(1) << 40, .trash_days = 30, .sweep_interval_ms = 60000, .stream_ttl_ms = 14400000};
    snprintf(s->folder, sizeof(s->folder), "/tmp/media-test-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    assert_ok(blob_open(&(BlobOptions){.driver = "fs", .dir = s->folder, .clock = &SYSTEM_CLOCK}, &blob));
    s->media = (Media){.settings = &s->settings,
                       .ids = s->schema.ids,
                       .blob = blob,
                       .tickets = ticket_keys_random(),
                       .bytes_url = "https://atrium.example"};
}

Request store_schema_request(StoreSchema *s, int64_t user_id)
{
    return test_schema_request(&s->schema, &s->media, user_id);
}

int store_schema_make(void **state)
{
    StoreSchema *s = xcalloc(1, sizeof(*s));

    if (sodium_init() < 0)
        return -1;
    test_schema_make(&s->schema, "media");
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
    test_schema_drop(&s->schema);
    free(s);
    return 0;
}

Uuid store_schema_item(StoreSchema *s, int64_t owner_id, const char *title)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = store_schema_request(s, owner_id);
    NewItem item = {.id = uuid_v7(s->schema.ids),
                    .owner_id = owner_id,
                    .title = title,
                    .original_filename = "clip.bin",
                    .mime_type = "",
                    .now_us = s->schema.now_us};

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
    char *key = arena_printf(s->schema.mem, "original/%" PRId64 "/%s/clip.bin", owner_id, uuid_text(s->schema.mem, id));
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
                           .sha256 = slice_of(arena_memdup(s->schema.mem, digest, sizeof(digest)), sizeof(digest)),
                           .size_bytes = (int64_t)strlen(content),
                           .mime_type = "video/mp4",
                           .now_us = s->schema.now_us},
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
