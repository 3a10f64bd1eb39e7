/* What transcode tells becomes the state of items: in order, twice, late, and of what nobody waits for any more. */
#include "services/media/jobs.h"

#include "atrium/transcode/v1/events.atrium.h"
#include "atrium/transcode/v1/events.pb-c.h"
#include "services/media/permit.h"
#include "services/media/store_schema.h"

enum { OWNER = 1 };

static Err tell(StoreSchema *s, const EventType *type, const ProtobufCMessage *body)
{
    JobEvents jobs = {.db = s->schema.db, .clock = &s->schema.clock};
    Event event = {.subject = arena_printf(s->schema.mem, "%sx", type->subject),
                   .body = message_pack(s->schema.mem, body)};

    return job_events_take(&jobs, s->schema.mem, &event);
}

static void started(StoreSchema *s, Uuid id, int64_t generation, int attempt)
{
    Transcode__V1__JobStarted body = TRANSCODE__V1__JOB_STARTED__INIT;

    body.media_id = uuid_text(s->schema.mem, id);
    body.job_id = "job";
    SET(&body, generation, generation);
    SET(&body, kind, TRANSCODE__V1__JOB_KIND__FIRST);
    SET(&body, attempt, attempt);
    assert_ok(tell(s, &TRANSCODE_V1_JOB_STARTED_EVENT, &body.base));
}

static void progressed(StoreSchema *s, Uuid id, int64_t generation, int attempt, int progress)
{
    Transcode__V1__JobProgressed body = TRANSCODE__V1__JOB_PROGRESSED__INIT;

    body.media_id = uuid_text(s->schema.mem, id);
    body.step = "encode";
    SET(&body, generation, generation);
    SET(&body, kind, TRANSCODE__V1__JOB_KIND__FIRST);
    SET(&body, attempt, attempt);
    SET(&body, progress, progress);
    assert_ok(tell(s, &TRANSCODE_V1_JOB_PROGRESSED_EVENT, &body.base));
}

static Err finished_at(StoreSchema *s, Uuid id, int64_t generation, Transcode__V1__JobKind kind, const char *name,
                       const char *key)
{
    Transcode__V1__JobFinished body = TRANSCODE__V1__JOB_FINISHED__INIT;
    Transcode__V1__Asset asset = TRANSCODE__V1__ASSET__INIT, *assets[] = {&asset};
    Transcode__V1__MediaFacts facts = TRANSCODE__V1__MEDIA_FACTS__INIT;

    body.media_id = uuid_text(s->schema.mem, id);
    SET(&body, generation, generation);
    SET(&body, kind, kind);
    SET(&body, attempt, 1);
    SET(&asset, kind,
        kind == TRANSCODE__V1__JOB_KIND__FIRST ? TRANSCODE__V1__ASSET_KIND__PROGRESSIVE
                                               : TRANSCODE__V1__ASSET_KIND__STORYBOARD);
    asset.name = (char *)name;
    asset.key = (char *)key;
    asset.content_type = "video/mp4";
    SET(&asset, size_bytes, 100);
    body.assets = assets;
    body.n_assets = 1;
    facts.mime_type = "video/mp4";
    SET(&facts, width, 1280);
    SET(&facts, height, 720);
    SET(&facts, duration_ms, 12500);
    body.facts = &facts;
    return tell(s, &TRANSCODE_V1_JOB_FINISHED_EVENT, &body.base);
}

static char *key_of(StoreSchema *s, Uuid id, int64_t generation, const char *name)
{
    return arena_printf(s->schema.mem, "derived/%s/%" PRId64 "/%s", uuid_text(s->schema.mem, id), generation, name);
}

static void finished(StoreSchema *s, Uuid id, int64_t generation, Transcode__V1__JobKind kind, const char *name)
{
    assert_ok(finished_at(s, id, generation, kind, name, key_of(s, id, generation, name)));
}

static void failed(StoreSchema *s, Uuid id, int64_t generation, bool is_final)
{
    Transcode__V1__JobFailed body = TRANSCODE__V1__JOB_FAILED__INIT;

    body.media_id = uuid_text(s->schema.mem, id);
    SET(&body, generation, generation);
    SET(&body, kind, TRANSCODE__V1__JOB_KIND__FIRST);
    SET(&body, attempt, 1);
    body.code = "unsupported_format";
    body.message = "this is no media";
    SET(&body, is_final, is_final);
    assert_ok(tell(s, &TRANSCODE_V1_JOB_FAILED_EVENT, &body.base));
}

static ProcessingRow processing(StoreSchema *s, Uuid id)
{
    Request rq = store_schema_request(s, OWNER);
    ItemRow item = store_schema_row(s, id);
    ProcessingRow row;

    assert_ok(media_store_processing(&rq, NULL, &item, &row));
    return row;
}

static Media__V1__ItemStatus status(StoreSchema *s, Uuid id)
{
    return store_schema_row(s, id).status;
}

#define FIRST TRANSCODE__V1__JOB_KIND__FIRST
#define EXTRAS TRANSCODE__V1__JOB_KIND__EXTRAS
#define QUEUED MEDIA__V1__ITEM_STATUS__QUEUED
#define PROCESSING MEDIA__V1__ITEM_STATUS__PROCESSING
#define READY MEDIA__V1__ITEM_STATUS__READY
#define FAILED MEDIA__V1__ITEM_STATUS__FAILED

/* ---------------------------------------------------------------------------------------------------- one item */
static void an_item_goes_from_queued_to_ready(void **state)
{
    StoreSchema *s = *state;
    Uuid id = store_schema_uploaded(s, OWNER, "one way");
    ItemRow item;

    assert_int_equal(status(s, id), QUEUED);
    started(s, id, 1, 1);
    assert_int_equal(status(s, id), PROCESSING);
    progressed(s, id, 1, 1, 40);
    progressed(s, id, 1, 1, 30);
    assert_int_equal(processing(s, id).progress, 40);
    finished(s, id, 1, FIRST, "video.mp4");
    item = store_schema_row(s, id);
    assert_int_equal(item.status, READY);
    assert_int_equal(item.width, 1280);
    assert_int_equal(item.duration_ms, 12500);
    assert_string_equal(processing(s, id).state, "completed");
}

static void what_comes_late_or_twice_changes_nothing(void **state)
{
    StoreSchema *s = *state;
    Uuid id = store_schema_uploaded(s, OWNER, "late and twice");

    started(s, id, 1, 1);
    finished(s, id, 1, FIRST, "video.mp4");
    finished(s, id, 1, FIRST, "video.mp4");
    started(s, id, 1, 1);
    started(s, id, 1, 2);
    progressed(s, id, 1, 2, 10);
    failed(s, id, 1, true);
    started(s, id, 7, 1);
    assert_int_equal(status(s, id), READY);
    assert_string_equal(processing(s, id).state, "completed");
    assert_int_equal(processing(s, id).progress, 100);
}

static void a_failure_that_is_tried_again_is_not_told(void **state)
{
    StoreSchema *s = *state;
    Uuid id = store_schema_uploaded(s, OWNER, "fails");
    ItemRow item;

    started(s, id, 1, 1);
    failed(s, id, 1, false);
    assert_int_equal(status(s, id), PROCESSING);
    failed(s, id, 1, true);
    item = store_schema_row(s, id);
    assert_int_equal(item.status, FAILED);
    assert_string_equal(item.failure_code, "unsupported_format");
    /* An operator's requeue. */
    started(s, id, 1, 2);
    assert_int_equal(status(s, id), PROCESSING);
    finished(s, id, 1, FIRST, "video.mp4");
    assert_int_equal(status(s, id), READY);
}

static void an_asset_that_lies_elsewhere_is_refused(void **state)
{
    StoreSchema *s = *state;
    Uuid id = store_schema_uploaded(s, OWNER, "elsewhere"), other = uuid_v7(s->schema.ids);

    assert_reason(finished_at(s, id, 1, FIRST, "video.mp4", key_of(s, other, 1, "video.mp4")), &INVALID_ARGUMENT);
    assert_reason(finished_at(s, id, 1, FIRST, "../../x", key_of(s, id, 1, "../../x")), &INVALID_ARGUMENT);
    assert_reason(finished_at(s, id, 1, FIRST, "video.mp4", "original/1/x/clip.bin"), &INVALID_ARGUMENT);
    assert_int_equal(status(s, id), QUEUED);
}

/* ---------------------------------------------------------------------------------------------------- begun anew */
static void a_ready_item_plays_while_it_is_processed_anew(void **state)
{
    StoreSchema *s = *state;
    Uuid id = store_schema_uploaded(s, OWNER, "anew");
    Request rq = store_schema_request(s, OWNER);
    DbTx tx = {0};
    ItemRow item;

    finished(s, id, 1, FIRST, "video.mp4");
    assert_ok(db_tx_begin(&rq, &tx));
    assert_ok(media_store_lock_item(&tx, s->schema.mem, id, &item));
    assert_ok(media_store_queue(&rq, &tx, &item));
    assert_ok(db_tx_commit(&tx));
    db_tx_done(&tx);
    assert_int_equal(item.generation, 2);
    started(s, id, 2, 1);
    failed(s, id, 2, true);
    item = store_schema_row(s, id);
    assert_int_equal(item.status, READY);
    assert_int_equal(item.rendition_generation, 1);
    /* What the first made goes when the second is there. */
    started(s, id, 2, 2);
    finished(s, id, 2, FIRST, "video.mp4");
    assert_int_equal(store_schema_row(s, id).rendition_generation, 2);
    assert_int_equal(
        test_schema_count(&s->schema,
                          arena_printf(s->schema.mem, "SELECT count(*) FROM discarded_object WHERE key = '%s'",
                                       key_of(s, id, 1, ""))),
        1);
}

static void extras_come_later(void **state)
{
    StoreSchema *s = *state;
    Uuid id = store_schema_uploaded(s, OWNER, "extras");
    Request rq = store_schema_request(s, OWNER);
    Played *played;
    ItemRow item;

    finished(s, id, 1, FIRST, "video.mp4");
    finished(s, id, 1, EXTRAS, "storyboard.vtt");
    item = store_schema_row(s, id);
    assert_ok(permit_play(&rq, &item, 1, NULL, &played));
    assert_non_null(strstr(played[0].playback->storyboard_url, "/storyboard.vtt"));
    assert_string_equal(played[0].stream_url, played[0].playback->mp4_url);
    /* Of a processing that nobody plays. */
    finished(s, id, 9, EXTRAS, "storyboard.vtt");
    assert_int_equal(
        test_schema_count(&s->schema,
                          arena_printf(s->schema.mem, "SELECT count(*) FROM discarded_object WHERE key = '%s'",
                                       key_of(s, id, 9, "storyboard.vtt"))),
        1);
}

/* ---------------------------------------------------------------------------------------------------- the same content
 */
static void the_same_content_is_processed_once(void **state)
{
    StoreSchema *s = *state;
    Uuid first = store_schema_uploaded(s, OWNER, "twins"), second = store_schema_uploaded(s, OWNER, "twins");

    assert_int_equal(status(s, second), QUEUED);
    assert_int_equal(store_schema_row(s, second).generation, 0);
    started(s, first, 1, 1);
    assert_int_equal(status(s, second), PROCESSING);
    assert_string_equal(processing(s, second).state, "processing");
    finished(s, first, 1, FIRST, "video.mp4");
    assert_int_equal(status(s, second), READY);
    /* And one that comes later is ready at once. */
    assert_int_equal(status(s, store_schema_uploaded(s, OWNER, "twins")), READY);
    assert_int_equal(status(s, store_schema_uploaded(s, OWNER + 1, "twins")), QUEUED);
    assert_int_equal(
        test_schema_count(&s->schema, arena_printf(s->schema.mem, "SELECT refs FROM rendition WHERE media_id = '%s'",
                                                   uuid_text(s->schema.mem, first))),
        3);
}

static void change(StoreSchema *s, Uuid id, Err (*how)(Request *rq, DbTx *tx, ItemRow *item))
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = store_schema_request(s, OWNER);
    ItemRow item;

    assert_ok(db_tx_begin(&rq, &tx));
    assert_ok(media_store_lock_item(&tx, s->schema.mem, id, &item));
    assert_ok(how(&rq, &tx, &item));
    assert_ok(db_tx_commit(&tx));
}

static void when_the_first_goes_the_next_is_processed(void **state)
{
    StoreSchema *s = *state;
    Uuid first = store_schema_uploaded(s, OWNER, "promoted"), second = store_schema_uploaded(s, OWNER, "promoted"),
         third = store_schema_uploaded(s, OWNER, "promoted");

    started(s, first, 1, 1);
    change(s, first, media_store_trash);
    assert_int_equal(status(s, first), FAILED);
    assert_int_equal(store_schema_row(s, second).generation, 1);
    finished(s, first, 1, FIRST, "video.mp4");
    assert_int_equal(status(s, second), QUEUED);
    finished(s, second, 1, FIRST, "video.mp4");
    assert_int_equal(status(s, second), READY);
    assert_int_equal(status(s, third), READY);
    change(s, first, media_store_restore);
    assert_int_equal(status(s, first), READY);
}

static void objects_go_with_the_last_item(void **state)
{
    StoreSchema *s = *state;
    Uuid first = store_schema_uploaded(s, OWNER, "last"), second = store_schema_uploaded(s, OWNER, "last");
    const char *key = store_schema_row(s, second).object_key;
    char *discarded = arena_printf(s->schema.mem, "SELECT count(*) FROM discarded_object WHERE key IN ('%s', '%s')",
                                   key, key_of(s, first, 1, ""));
    int64_t used = test_schema_count(&s->schema, "SELECT used_bytes FROM owner WHERE owner_id = 1");

    finished(s, first, 1, FIRST, "video.mp4");
    change(s, first, media_store_purge);
    assert_int_equal(test_schema_count(&s->schema, discarded), 0);
    assert_int_equal(status(s, second), READY);
    change(s, second, media_store_purge);
    assert_int_equal(test_schema_count(&s->schema, discarded), 2);
    assert_int_equal(test_schema_count(&s->schema, "SELECT used_bytes FROM owner WHERE owner_id = 1"), used - 4);
}

static void a_cancelled_processing_stays_so(void **state)
{
    StoreSchema *s = *state;
    Uuid id = store_schema_uploaded(s, OWNER, "cancelled");

    started(s, id, 1, 1);
    change(s, id, media_store_cancel);
    assert_string_equal(store_schema_row(s, id).failure_code, "cancelled");
    started(s, id, 1, 2);
    finished(s, id, 1, FIRST, "video.mp4");
    assert_int_equal(status(s, id), FAILED);
    assert_int_equal(
        test_schema_count(&s->schema,
                          arena_printf(s->schema.mem, "SELECT count(*) FROM discarded_object WHERE key = '%s'",
                                       key_of(s, id, 1, "video.mp4"))),
        1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_goes_from_queued_to_ready),
        cmocka_unit_test(what_comes_late_or_twice_changes_nothing),
        cmocka_unit_test(a_failure_that_is_tried_again_is_not_told),
        cmocka_unit_test(an_asset_that_lies_elsewhere_is_refused),
        cmocka_unit_test(a_ready_item_plays_while_it_is_processed_anew),
        cmocka_unit_test(extras_come_later),
        cmocka_unit_test(the_same_content_is_processed_once),
        cmocka_unit_test(when_the_first_goes_the_next_is_processed),
        cmocka_unit_test(objects_go_with_the_last_item),
        cmocka_unit_test(a_cancelled_processing_stays_so),
    };

    return cmocka_run_group_tests_name("jobs", tests, store_schema_make, store_schema_drop);
}
