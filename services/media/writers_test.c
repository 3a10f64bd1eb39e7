/* Two instances, one database: who may write into an upload. */
#include "services/media/writers.h"

#include "services/media/store_schema.h"
#include "services/media/store_uploads.h"

enum { OWNER = 5 };

static Uuid make_upload(StoreSchema *s)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = store_schema_request(s, OWNER);
    UploadRow u = {.id = uuid_v7(s->schema.ids),
                   .owner_id = OWNER,
                   .kind = "tus",
                   .object_key = "incoming/x",
                   .blob_state = "",
                   .size_bytes = -1,
                   .content_type = "",
                   .title = "",
                   .tus_metadata = "",
                   .tus_concat = "",
                   .created_us = s->schema.now_us,
                   .expires_us = s->schema.now_us + 1000000};

    assert_ok(db_tx_begin(&rq, &tx));
    assert_ok(media_store_insert_upload(&tx, &u));
    assert_ok(db_tx_commit(&tx));
    return u.id;
}

/* Once its lease is there. */
static Writers *start_instance(StoreSchema *s)
{
    Writers *w = writers_new(s->schema.db, NULL, s->schema.ids);

    WAIT_UNTIL(!err_failed(writers_check(w)));
    return w;
}

/* The server notices the end of a session a moment later. */
static Err take_in_time(Writers *w, Request *rq, Uuid upload)
{
    Err e;

    WAIT_UNTIL((e = writers_take(w, rq, upload)).reason != &CONFLICT);
    return e;
}

static void one_instance_writes_at_a_time(void **state)
{
    StoreSchema *s = *state;
    CLEANUP(writers_free_at) Writers *one = start_instance(s), *two = start_instance(s);
    Request rq = store_schema_request(s, OWNER);
    Uuid upload = make_upload(s), other = make_upload(s);

    assert_ok(writers_take(one, &rq, upload));
    assert_reason(writers_take(one, &rq, upload), &CONFLICT); /* another request of the same instance */
    assert_reason(writers_take(two, &rq, upload), &CONFLICT);
    assert_ok(writers_take(two, &rq, other));
    writers_leave(one, &rq, upload);
    assert_ok(writers_take(two, &rq, upload));
    assert_reason(writers_take(one, &rq, upload), &CONFLICT);
    writers_leave(two, &rq, upload);
    writers_leave(two, &rq, other);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM upload WHERE writer IS NOT NULL"), 0);
}

static void what_a_dead_instance_had_is_taken_over(void **state)
{
    StoreSchema *s = *state;
    CLEANUP(writers_free_at) Writers *two = start_instance(s);
    Writers *one = start_instance(s);
    Request rq = store_schema_request(s, OWNER);
    Uuid upload = make_upload(s), gone = uuid_v7(s->schema.ids);

    assert_ok(writers_take(one, &rq, upload));
    assert_reason(writers_take(two, &rq, upload), &CONFLICT);
    /* As a crash does: its row stays, its session ends. The sitting itself is left to the process that ends. */
    writers_free(one);
    assert_ok(take_in_time(two, &rq, upload));
    writers_leave(two, &rq, upload);
    assert_ok(writers_take(two, &rq, gone)); /* no row: nobody's */
    writers_leave(two, &rq, gone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_instance_writes_at_a_time, store_schema_make, store_schema_drop),
        cmocka_unit_test_setup_teardown(what_a_dead_instance_had_is_taken_over, store_schema_make, store_schema_drop),
    };

    return RUN(tests);
}
