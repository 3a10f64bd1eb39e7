/* Tickets of shared collections die with what they rest on; so do those of the owner. */
#include "services/media/permit.h"

#include "atrium/media/v1/collections.service.h"
#include "services/media/store_schema.h"
#include "services/media/sweeper.h"

enum { OWNER = 1, OTHER = 2 };

typedef struct Shared {
    Uuid media_id;
    char *collection_id, *token;
} Shared;

static void call(StoreSchema *s, int64_t user_id, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    Request rq = store_schema_request(s, user_id);

    assert_ok(rpc_call(&MEDIA_V1_COLLECTION_SERVICE, &rq, method, in, out));
}

/* A ready item in a collection. */
static Shared share_something(StoreSchema *s, const char *content)
{
    Media__V1__CreateCollectionRequest create = MEDIA__V1__CREATE_COLLECTION_REQUEST__INIT;
    Media__V1__Collection collection = MEDIA__V1__COLLECTION__INIT;
    Media__V1__AddToCollectionRequest add = MEDIA__V1__ADD_TO_COLLECTION_REQUEST__INIT;
    Media__V1__Done done = MEDIA__V1__DONE__INIT;
    Shared shared = {.media_id = store_schema_uploaded(s, OWNER, content)};

    test_schema_script(
        &s->schema,
        arena_printf(s->schema.mem,
                     "INSERT INTO rendition VALUES ('%1$s', 1, 1); UPDATE item SET status = 'ready',"
                     " rendition_media_id = id, rendition_generation = 1 WHERE id = '%1$s'; INSERT INTO asset"
                     " (media_id, generation, name, kind, key, content_type, size_bytes) VALUES ('%1$s', 1,"
                     " 'video.mp4', 'progressive', 'derived/%1$s/1/video.mp4', 'video/mp4', 9)",
                     uuid_text(s->schema.mem, shared.media_id)));
    create.title = "shared";
    call(s, OWNER, "CreateCollection", &create.base, &collection.base);
    shared.collection_id = collection.id;
    shared.token = collection.share_token;
    add.collection_id = collection.id;
    add.media_id = uuid_text(s->schema.mem, shared.media_id);
    call(s, OWNER, "AddToCollection", &add.base, &done.base);
    return shared;
}

static void set_share(StoreSchema *s, const Shared *shared, Media__V1__ShareCollectionRequest *in)
{
    Media__V1__Share out = MEDIA__V1__SHARE__INIT;

    in->collection_id = shared->collection_id;
    call(s, OWNER, "ShareCollection", &in->base, &out.base);
}

static Media__V1__CollectionItem *see(StoreSchema *s, const Shared *shared, int64_t user_id)
{
    Media__V1__GetCollectionRequest in = MEDIA__V1__GET_COLLECTION_REQUEST__INIT;
    Media__V1__CollectionView *out =
        MESSAGE_NEW(s->schema.mem, Media__V1__CollectionView, media__v1__collection_view__init);

    in.collection_id = shared->collection_id;
    in.token = shared->token;
    call(s, user_id, "GetCollection", &in.base, &out->base);
    assert_int_equal(out->n_items, 1);
    return out->items[0];
}

/* What the data plane says to a URL. */
static bool opens(StoreSchema *s, const char *url, const char *kind)
{
    Request rq = store_schema_request(s, 0);
    const char *path = strcmp(kind, TICKET_GET) == 0 ? "/media/file/" : "/stream/";
    const char *start = strstr(url, path) + strlen(path), *end = strchr(start, '/');
    Ticket ticket;
    ItemRow item;

    assert_ok(ticket_verify(s->media.tickets, &s->schema.clock, s->schema.mem, slice_of(start, (size_t)(end - start)),
                            kind, &ticket));
    return !err_failed(permit_ticket(&rq, &ticket, &item));
}

#define CHANGE(...)                                                                                                    \
    do {                                                                                                               \
        Media__V1__ShareCollectionRequest change_ = MEDIA__V1__SHARE_COLLECTION_REQUEST__INIT;                         \
        __VA_ARGS__;                                                                                                   \
        set_share(s, &shared, &change_);                                                                               \
    } while (0)

static void a_link_dies_with_its_token(void **state)
{
    StoreSchema *s = *state;
    Shared shared = share_something(s, "token");
    const char *url = see(s, &shared, 0)->stream_url, *own = see(s, &shared, OWNER)->stream_url;

    assert_true(opens(s, url, TICKET_STREAM));
    CHANGE(SET(&change_, regenerate_token, true));
    assert_false(opens(s, url, TICKET_STREAM));
    assert_true(opens(s, own, TICKET_STREAM));
}

static void a_link_dies_when_it_is_disabled_or_over(void **state)
{
    StoreSchema *s = *state;
    Shared shared = share_something(s, "disabled");
    const char *url = see(s, &shared, OTHER)->stream_url;
    Google__Protobuf__Timestamp end = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

    end.seconds = s->schema.now_us / 1000000 + 60;
    CHANGE(change_.expires_at = &end);
    assert_true(opens(s, url, TICKET_STREAM));
    s->schema.now_us += 61000000;
    assert_false(opens(s, url, TICKET_STREAM));
    s->schema.now_us -= 61000000;
    CHANGE(SET(&change_, link_enabled, false));
    assert_false(opens(s, url, TICKET_STREAM));
    /* Enabled again it is another link's worth. */
    CHANGE(SET(&change_, link_enabled, true));
    assert_false(opens(s, url, TICKET_STREAM));
    assert_true(opens(s, see(s, &shared, OTHER)->stream_url, TICKET_STREAM));
}

static void a_public_collection_that_is_private_again_shuts(void **state)
{
    StoreSchema *s = *state;
    Shared shared = share_something(s, "public");
    const char *url;

    CHANGE(SET(&change_, is_public, true); SET(&change_, link_enabled, false));
    url = see(s, &shared, 0)->stream_url;
    assert_true(opens(s, url, TICKET_STREAM));
    CHANGE(SET(&change_, is_public, false));
    assert_false(opens(s, url, TICKET_STREAM));
}

static void downloads_are_allowed_apart(void **state)
{
    StoreSchema *s = *state;
    Shared shared = share_something(s, "downloads");
    const char *url;

    assert_null(see(s, &shared, 0)->download_url);
    assert_non_null(see(s, &shared, OWNER)->download_url);
    CHANGE(SET(&change_, allow_download, true));
    url = see(s, &shared, 0)->download_url;
    assert_true(opens(s, url, TICKET_GET));
    CHANGE(SET(&change_, allow_download, false));
    assert_false(opens(s, url, TICKET_GET));
}

static void what_is_taken_out_or_deleted_is_shut(void **state)
{
    StoreSchema *s = *state;
    Shared shared = share_something(s, "taken out");
    const char *url = see(s, &shared, 0)->stream_url, *own = see(s, &shared, OWNER)->stream_url;
    Media__V1__RemoveFromCollectionRequest in = MEDIA__V1__REMOVE_FROM_COLLECTION_REQUEST__INIT;
    Media__V1__Done done = MEDIA__V1__DONE__INIT;
    Request rq = store_schema_request(s, OWNER);
    Media__V1__DeleteItemRequest del = MEDIA__V1__DELETE_ITEM_REQUEST__INIT;

    in.collection_id = shared.collection_id;
    in.media_id = uuid_text(s->schema.mem, shared.media_id);
    call(s, OWNER, "RemoveFromCollection", &in.base, &done.base);
    assert_false(opens(s, url, TICKET_STREAM));
    assert_true(opens(s, own, TICKET_STREAM));
    del.media_id = in.media_id;
    assert_ok(rpc_call(&MEDIA_V1_MEDIA_SERVICE, &rq, "DeleteItem", &del.base, &done.base));
    assert_false(opens(s, own, TICKET_STREAM));
    /* Also when it is back: those URLs were called back for good. */
    test_schema_script(&s->schema,
                       arena_printf(s->schema.mem, "UPDATE item SET deleted_at = NULL WHERE id = '%s'", in.media_id));
    assert_false(opens(s, own, TICKET_STREAM));
}

/* ---------------------------------------------------------------------------------------------------- the sweeper */
static void old_trash_and_its_objects_are_swept(void **state)
{
    StoreSchema *s = *state;
    MediaSweeps sweeps = {.media = &s->media, .db = s->schema.db, .clock = &s->schema.clock};
    Uuid id = store_schema_uploaded(s, OWNER, "swept"), kept = store_schema_uploaded(s, OWNER, "kept");
    char *key = arena_strdup(s->schema.mem, store_schema_row(s, id).object_key);
    BlobInfo info;
    bool more;

    test_schema_script(&s->schema,
                       arena_printf(s->schema.mem,
                                    "UPDATE item SET deleted_at = to_timestamp(%" PRId64
                                    ") - interval '31 days' WHERE id ="
                                    " '%s'; UPDATE item SET deleted_at = to_timestamp(%" PRId64 ") WHERE id = '%s'",
                                    s->schema.now_us / 1000000, uuid_text(s->schema.mem, id),
                                    s->schema.now_us / 1000000, uuid_text(s->schema.mem, kept)));
    assert_ok(blob_stat(s->media.blob, key, &info));
    assert_ok(sweep_trash(&sweeps, &more));
    assert_int_equal(store_schema_row(s, id).owner_id, 0);
    assert_int_equal(store_schema_row(s, kept).owner_id, OWNER);
    assert_ok(sweep_objects(&sweeps, &more));
    assert_reason(blob_stat(s->media.blob, key, &info), &NOT_FOUND);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM discarded_object"), 0);
}

static void originals_that_nobody_knows_are_found_when_they_are_old(void **state)
{
    StoreSchema *s = *state;
    MediaSweeps sweeps = {.media = &s->media, .db = s->schema.db, .clock = &s->schema.clock};
    const char *after = NULL;
    int64_t found, all = 0;
    BlobInfo info;

    assert_ok(blob_put_bytes(s->media.blob, &(BlobPut){.key = "original/9/lost/clip.bin"}, SLICE_LIT("x"), &info));
    for (int pass = 0; pass < 2; pass++) {
        do {
            assert_ok(sweep_orphans(&sweeps, s->schema.mem, &after, &found));
            all += found;
        } while (after);
        assert_int_equal(all, pass);
        s->schema.now_us += INT64_C(90000) * 1000000;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_dies_with_its_token),
        cmocka_unit_test(a_link_dies_when_it_is_disabled_or_over),
        cmocka_unit_test(a_public_collection_that_is_private_again_shuts),
        cmocka_unit_test(downloads_are_allowed_apart),
        cmocka_unit_test(what_is_taken_out_or_deleted_is_shut),
        cmocka_unit_test(old_trash_and_its_objects_are_swept),
        cmocka_unit_test(originals_that_nobody_knows_are_found_when_they_are_old),
    };

    return cmocka_run_group_tests_name("sharing", tests, store_schema_make, store_schema_drop);
}
