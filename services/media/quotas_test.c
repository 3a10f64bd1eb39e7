/* Quotas hold while many upload at a time; an account that goes leaves nothing. */
#include <pthread.h>

#include "services/media/erase.h"
#include "services/media/store_schema.h"

enum { OWNER = 1, UPLOADS = 16, BYTES = 100, LIMIT = 550 };

typedef struct Upload {
    StoreSchema *s;
    int64_t owner_id;
    bool accepted;
    pthread_t thread;
} Upload;

static void *reserve(void *data)
{
    Upload *u = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = store_schema_request(u->s, u->owner_id);
    Err e;

    rq.mem = mem;
    e = db_tx_begin(&rq, &tx);
    if (!err_failed(e))
        e = media_store_reserve(&rq, &tx, u->owner_id, BYTES);
    if (!err_failed(e))
        e = db_tx_commit(&tx);
    u->accepted = !err_failed(e);
    return NULL;
}

static void uploads_side_by_side_do_not_overshoot(void **state)
{
    StoreSchema *s = *state;
    Upload uploads[UPLOADS];
    int accepted = 0;

    test_schema_script(&s->schema, "INSERT INTO owner (owner_id, quota_bytes) VALUES (7, 550)");
    for (int i = 0; i < UPLOADS; i++) {
        uploads[i] = (Upload){.s = s, .owner_id = 7};
        pthread_create(&uploads[i].thread, NULL, reserve, &uploads[i]);
    }
    for (int i = 0; i < UPLOADS; i++) {
        pthread_join(uploads[i].thread, NULL);
        accepted += uploads[i].accepted;
    }
    assert_int_equal(accepted, LIMIT / BYTES);
    assert_int_equal(test_schema_count(&s->schema, "SELECT reserved_bytes FROM owner WHERE owner_id = 7"),
                     accepted * BYTES);
}

static void what_was_reserved_is_settled_and_given_back(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s, 8);
    CLEANUP(db_tx_done) DbTx tx = {0};
    QuotaRow quota;

    assert_ok(db_tx_begin(&rq, &tx));
    assert_ok(media_store_set_quota(&tx, 8, INT64_C(6) << 30));
    assert_ok(media_store_reserve(&rq, &tx, 8, INT64_C(5) << 30));
    assert_reason(media_store_reserve(&rq, &tx, 8, INT64_C(2) << 30), &QUOTA_EXCEEDED);
    assert_reason(media_store_reserve(&rq, &tx, 8, INT64_MAX), &QUOTA_EXCEEDED);
    assert_reason(media_store_settle(&rq, &tx, 8, INT64_C(5) << 30, INT64_C(7) << 30), &QUOTA_EXCEEDED);
    assert_ok(media_store_settle(&rq, &tx, 8, INT64_C(5) << 30, INT64_C(3) << 30));
    assert_ok(media_store_reserve(&rq, &tx, 8, INT64_C(3) << 30));
    assert_ok(media_store_reserve(&rq, &tx, 8, -(INT64_C(3) << 30)));
    assert_ok(media_store_release(&tx, 8, INT64_C(1) << 30));
    assert_ok(db_tx_commit(&tx));
    assert_ok(media_store_quota(&rq, 8, &quota));
    assert_int_equal(quota.used_bytes, INT64_C(2) << 30);
    assert_int_equal(quota.reserved_bytes, 0);
    assert_int_equal(quota.limit_bytes, INT64_C(6) << 30);
}

static void an_account_that_goes_leaves_nothing(void **state)
{
    StoreSchema *s = *state;
    Eraser eraser = {.media = &s->media, .db = s->schema.db, .clock = &s->schema.clock};
    int64_t rows;

    (void)store_schema_uploaded(s, OWNER, "one");
    (void)store_schema_uploaded(s, OWNER, "two");
    (void)store_schema_uploaded(s, OWNER, "two");
    (void)store_schema_item(s, OWNER, "unfinished");
    test_schema_script(
        &s->schema,
        "INSERT INTO collection (id, owner_id, title, share_token, created_at) VALUES (gen_random_uuid(), 1,"
        " 'x', gen_random_uuid(), now()); UPDATE item SET deleted_at = now() WHERE owner_id = 1 AND"
        " title = 'unfinished'");
    assert_ok(erase_user(&eraser, s->schema.mem, OWNER, &rows));
    assert_true(rows >= 6);
    assert_int_equal(test_schema_count(&s->schema, "SELECT (SELECT count(*) FROM item WHERE owner_id = 1)"
                                                   " + (SELECT count(*) FROM object WHERE owner_id = 1)"
                                                   " + (SELECT count(*) FROM collection WHERE owner_id = 1)"
                                                   " + (SELECT count(*) FROM owner WHERE owner_id = 1)"
                                                   " + (SELECT count(*) FROM shelf WHERE owner_id = 1)"),
                     0);
    /* Both contents, and what came a second time. */
    assert_int_equal(
        test_schema_count(&s->schema, "SELECT count(*) FROM discarded_object WHERE key LIKE 'original/1/%'"), 3);
    assert_ok(erase_user(&eraser, s->schema.mem, OWNER, &rows));
    assert_int_equal(rows, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uploads_side_by_side_do_not_overshoot),
        cmocka_unit_test(what_was_reserved_is_settled_and_given_back),
        cmocka_unit_test(an_account_that_goes_leaves_nothing),
    };

    return cmocka_run_group_tests_name("quotas", tests, store_schema_make, store_schema_drop);
}
