/* The change feed: what becomes a change, numbers without gaps under writers that do not wait, pages, and what webhooks
 * are told. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "atrium/events/v1/feed.service.h"
#include "services/events/events.h"
#include "services/events/feed_ask.h"
#include "services/events/fixture.h"
#include "services/events/store_feed.h"
#include "services/events/store_webhooks.h"

#define BASE "https://commons.example"
enum { WRITERS = 6, EACH = 25, BATCH = 500 };

typedef Fixture World;

static int empty(void **state)
{
    World *w = *state;

    test_schema_script(
        &w->schema,
        "DELETE FROM change; DELETE FROM outbox; DELETE FROM webhook; UPDATE feed_head SET last = 0, told = 0");
    w->settings.feed_legacy_end = false;
    return 0;
}

/* --- causing changes --------------------------------------------------------------------------------------------- */
static FeedChange change_of(World *w, Uuid id, bool was_public, bool is_public)
{
    return (FeedChange){.entity = FEED_EVENT,
                        .id = id,
                        .version = 1,
                        .at_us = w->schema.now_us,
                        .was_public = was_public,
                        .is_public = is_public,
                        .snapshot = SLICE_LIT("{\"name\":\"x\"}"),
                        .license_status = "cc0",
                        .domain = "music"};
}

static void record(World *w, const FeedChange *change)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(db_tx_done) DbTx tx = {0};

    assert_ok(db_tx_begin_with(w->schema.db, 20000, &tx));
    assert_ok(feed_record(&tx, mem, w->schema.ids, change));
    assert_ok(db_tx_commit(&tx));
}

static void record_new(World *w)
{
    FeedChange c = change_of(w, uuid_v7(w->schema.ids), false, true);

    record(w, &c);
}

static int64_t number(World *w)
{
    int64_t count;

    assert_ok(events_store_number_changes(w->schema.db, 20000, BATCH, &count));
    return count;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */
static Err ask(World *w, Events__V1__ChangesRequest *in, const char **out_text)
{
    Request rq = test_schema_request(&w->schema, &w->events, 0);
    Atrium__HttpBody out = ATRIUM__HTTP_BODY__INIT;

    TRY(rpc_call(&EVENTS_V1_FEED_SERVICE, &rq, "ListChanges", &in->base, &out.base));
    *out_text = slice_cstr(w->schema.mem, slice_of(out.data.data, out.data.len));
    return OK;
}

static const char *page(World *w, Events__V1__ChangesRequest in)
{
    const char *text = NULL;

    assert_ok(ask(w, &in, &text));
    return text;
}
#define PAGE(w, ...)                                                                                                   \
    page((w),                                                                                                          \
         (Events__V1__ChangesRequest){PROTOBUF_C_MESSAGE_INIT(&events__v1__changes_request__descriptor), __VA_ARGS__})
#define AT(w, n) feed_cursor((w)->schema.mem, (n))

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("%s is not in %s", part, text);
}

/* --- what is a change -------------------------------------------------------------------------------------------- */
static void what_nobody_sees_is_no_change(void **state)
{
    World *w = *state;
    static const struct {
        bool was, is;
        const char *action;
    } CASES[] = {{false, false, NULL}, {false, true, "create"}, {true, true, "update"}, {true, false, "delete"}};

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        FeedChange c = change_of(w, uuid_v7(w->schema.ids), CASES[i].was, CASES[i].is);

        record(w, &c);
        assert_int_equal(number(w), CASES[i].action ? 1 : 0);
        if (CASES[i].action)
            assert_has(PAGE(w, .since = AT(w, (int64_t)i - 1)),
                       arena_printf(w->schema.mem, "\"action\":\"%s\"", CASES[i].action));
    }
    assert_int_equal(test_schema_count(&w->schema, "SELECT count(*) FROM outbox"), 3);
    assert_int_equal(
        test_schema_count(&w->schema, "SELECT count(*) FROM outbox WHERE subject LIKE 'evt.events.event.deleted.%'"),
        1);
}

static void an_update_names_its_fields_once(void **state)
{
    World *w = *state;
    const Slice pointers[] = {SLICE_LIT("/name"), SLICE_LIT("/location/name"), SLICE_LIT("/location/geo"),
                              SLICE_LIT("/offers/0/price")};
    FeedChange c = change_of(w, uuid_v7(w->schema.ids), true, true);
    const char *text;

    c.pointers = pointers;
    c.pointer_count = ARRAY_LEN(pointers);
    record(w, &c);
    number(w);
    text = PAGE(w, .has_include_snapshot = true, .include_snapshot = true);
    assert_has(text, "\"changed_fields\":[\"name\",\"location\",\"offers\"]");
    assert_has(text, "\"changed_pointers\":[\"/name\",\"/location/name\",\"/location/geo\",\"/offers/0/price\"]");
    assert_has(text, "\"snapshot\":{\"name\":\"x\"}");
    assert_null(strstr(text, "source_timestamp"));
}

static void a_delete_has_its_tombstone(void **state)
{
    World *w = *state;
    FeedChange c = change_of(w, uuid_v7(w->schema.ids), true, false);
    char other[ULID_TEXT_BYTES];
    const char *text;

    c.deletion_reason = "merged";
    c.superseded_by = uuid_v7(w->schema.ids);
    id_ulid_format(c.superseded_by.bytes, other);
    c.snapshot = SLICE_LIT("{\"sel:tombstone\":true}");
    record(w, &c);
    number(w);
    text = PAGE(w, .since = NULL);
    assert_has(text, "\"tombstone\":{\"sel:tombstone\":true}");
    assert_has(text, "\"deletion_reason\":\"merged\"");
    assert_has(text, arena_printf(w->schema.mem, "\"superseded_by\":\"%s\"", other));
    assert_null(strstr(text, "\"snapshot\""));
}

static void too_many_pointers_are_the_whole_document(void **state)
{
    World *w = *state;
    Slice pointers[FEED_POINTERS_MAX + 1];
    FeedChange c = change_of(w, uuid_v7(w->schema.ids), true, true);

    for (size_t i = 0; i < ARRAY_LEN(pointers); i++)
        pointers[i] = slice(arena_printf(w->schema.mem, "/p%zu", i));
    c.pointers = pointers;
    c.pointer_count = ARRAY_LEN(pointers);
    record(w, &c);
    number(w);
    assert_has(PAGE(w, .since = NULL), "\"changed_fields\":[],\"changed_pointers\":[\"\"]");
}

/* --- pages ------------------------------------------------------------------------------------------------------- */
static void what_has_no_number_is_not_seen(void **state)
{
    World *w = *state;

    record_new(w);
    assert_has(PAGE(w, .since = NULL), "\"changes\":[],");
    assert_int_equal(number(w), 1);
    assert_has(PAGE(w, .since = NULL), "{\"sequence_number\":1,");
    assert_int_equal(number(w), 0);
}

static void the_end_is_a_place_to_go_on_from(void **state)
{
    World *w = *state;
    const char *text;

    for (int i = 0; i < 3; i++)
        record_new(w);
    number(w);
    text = PAGE(w, .has_limit = true, .limit = 2);
    assert_has(text, arena_printf(w->schema.mem, "\"next_cursor\":\"%s\",\"has_more\":true", AT(w, 2)));
    assert_has(text, arena_printf(w->schema.mem, "{\"cursor\":\"%s\"", AT(w, 0)));
    text = PAGE(w, .since = AT(w, 2));
    assert_has(text, arena_printf(w->schema.mem, "\"next_cursor\":\"%s\",\"has_more\":false", AT(w, 3)));
    text = PAGE(w, .since = AT(w, 3));
    assert_has(text, arena_printf(w->schema.mem, "\"changes\":[],\"next_cursor\":\"%s\",\"has_more\":false", AT(w, 3)));
    assert_has(PAGE(w, .since = AT(w, 3), .legacy_end = "1"), "\"next_cursor\":\"\"");
    w->settings.feed_legacy_end = true;
    assert_has(PAGE(w, .since = AT(w, 3)), "\"next_cursor\":\"\"");
    assert_has(PAGE(w, .has_limit = true, .limit = 2), arena_printf(w->schema.mem, "\"next_cursor\":\"%s\"", AT(w, 2)));
    /* What a filter leaves out is passed by. */
    w->settings.feed_legacy_end = false;
    assert_has(PAGE(w, .action = "delete"),
               arena_printf(w->schema.mem, "\"next_cursor\":\"%s\",\"has_more\":false", AT(w, 3)));
}

static void what_cannot_be_asked_is_refused(void **state)
{
    World *w = *state;
    const char *text, *const bad[] = {"x", "c2VxX", "2026-01-01", AT(w, -1), arena_printf(w->schema.mem, "%05000d", 1)};
    Events__V1__ChangesRequest in = EVENTS__V1__CHANGES_REQUEST__INIT;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        in.since = (char *)bad[i];
        assert_reason(ask(w, &in, &text), &INVALID_ARGUMENT);
    }
    in.since = AT(w, 1);
    assert_reason(ask(w, &in, &text), &CURSOR_EXPIRED);
    in.since = NULL;
    SET(&in, limit, 0);
    assert_reason(ask(w, &in, &text), &INVALID_ARGUMENT);
    in.limit = FEED_LIMIT_MAX + 1;
    assert_reason(ask(w, &in, &text), &INVALID_ARGUMENT);
}

static void a_time_begins_where_it_was(void **state)
{
    World *w = *state;
    char later[TIME_TEXT_BYTES];

    record_new(w);
    w->schema.now_us += 5000000;
    time_format(w->schema.now_us, 6, later);
    record_new(w);
    number(w);
    assert_has(PAGE(w, .since = later),
               arena_printf(w->schema.mem, "{\"cursor\":\"%s\",\"changes\":[{\"sequence_number\":2,", AT(w, 1)));
}

/* --- bounds ------------------------------------------------------------------------------------------------------ */
static FeedChange large_change(World *w)
{
    FeedChange c = change_of(w, uuid_v7(w->schema.ids), false, true);
    size_t len = CHANGES_MAX_BYTES / 4 * 3;
    char *text = arena_alloc(w->schema.mem, len, 1);

    memset(text, 'x', len);
    memcpy(text, "{\"name\":\"", 9);
    memcpy(text + len - 2, "\"}", 2);
    c.snapshot = slice_of(text, len);
    return c;
}

static void a_page_has_no_more_documents_than_fit(void **state)
{
    World *w = *state;
    FeedChange c = large_change(w);
    const char *text;

    for (int i = 0; i < 3; i++)
        record(w, &c);
    number(w);
    text = PAGE(w, .has_include_snapshot = true, .include_snapshot = true);
    assert_true(strlen(text) < 2 * (size_t)CHANGES_MAX_BYTES);
    assert_has(text, "\"sequence_number\":2,");
    assert_null(strstr(text, "\"sequence_number\":3,"));
    assert_has(text, arena_printf(w->schema.mem, "\"next_cursor\":\"%s\",\"has_more\":true", AT(w, 2)));
    text = PAGE(w, .since = AT(w, 2), .has_include_snapshot = true, .include_snapshot = true);
    assert_has(text, "\"sequence_number\":3,");
    assert_has(text, "\"has_more\":false");
    text = PAGE(w, .since = NULL); /* without them there is room for all */
    assert_has(text, "\"sequence_number\":3,");
    assert_has(text, "\"has_more\":false");
}

static void the_background_looks_at_so_many_and_no_more(void **state)
{
    World *w = *state;
    const FeedFilter deletes = {.action = "delete", .entity = "", .snapshots = true};
    FeedChange c = change_of(w, uuid_v7(w->schema.ids), true, false);
    ChangePage found;

    for (int i = 0; i < 4; i++)
        record_new(w);
    record(w, &c);
    number(w);
    assert_ok(events_store_changes_with(w->schema.db, 20000, w->schema.mem, &deletes, 0, 10, 3, &found));
    assert_int_equal(found.count, 0);
    assert_int_equal(found.reached, 3);
    assert_int_equal(found.head, 5);
    assert_ok(events_store_changes_with(w->schema.db, 20000, w->schema.mem, &deletes, 3, 10, 6, &found));
    assert_int_equal(found.count, 1);
    assert_int_equal(found.reached, 5);
}

/* --- no gaps ----------------------------------------------------------------------------------------------------- */
typedef struct Writers {
    World *w;
    atomic_int running;
} Writers;

static void *write_many(void *data)
{
    Writers *all = data;

    for (int i = 0; i < EACH; i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
        CLEANUP(db_tx_done) DbTx tx = {0};
        FeedChange c = change_of(all->w, uuid_v7(all->w->schema.ids), false, true);

        assert_ok(db_tx_begin_with(all->w->schema.db, 60000, &tx));
        assert_ok(feed_record(&tx, mem, all->w->schema.ids, &c));
        usleep((useconds_t)(random_uint64() % 3000)); /* who draws a place first does not commit first */
        assert_ok(db_tx_commit(&tx));
    }
    atomic_fetch_sub(&all->running, 1);
    return NULL;
}

/* Reads on from where it was, numbering meanwhile: as a poller and a sequencer do. */
static void a_reader_misses_nothing_while_many_write(void **state)
{
    Writers all = {.w = *state, .running = WRITERS};
    pthread_t threads[WRITERS];
    int64_t position = 0, seen = 0;
    bool last = false;

    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &all), 0);
    while (!last) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
        const FeedFilter any = {.action = "", .entity = ""};
        ChangePage found;

        last = atomic_load(&all.running) == 0;
        number(all.w);
        assert_ok(events_store_changes_with(all.w->schema.db, 20000, mem, &any, position, BATCH, INT64_MAX, &found));
        for (size_t i = 0; i < found.count; i++)
            assert_int_equal(found.rows[i].sequence, position + (int64_t)i + 1);
        position += (int64_t)found.count;
        seen += (int64_t)found.count;
        assert_int_equal(found.head, position);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(seen, WRITERS * EACH);
}

/* --- webhooks ---------------------------------------------------------------------------------------------------- */
static void add_webhook(World *w, const char *url, const Slice *types, size_t type_count,
                        const WebhookFilterRow *filter)
{
    CLEANUP(webhook_keys_free_at) WebhookKeys *keys = NULL;
    CLEANUP(db_tx_done) DbTx tx = {0};
    char secret[WEBHOOK_SECRET_TEXT_BYTES];
    Webhook webhook = {.id = uuid_v7(w->schema.ids),
                       .owner_id = 1,
                       .url = url,
                       .types = types,
                       .type_count = type_count,
                       .enabled = true};

    assert_ok(webhook_keys_new("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", &keys));
    webhook_new_secret(secret);
    assert_ok(db_tx_begin_with(w->schema.db, 20000, &tx));
    assert_ok(webhook_insert(&tx, keys, &webhook, secret));
    if (filter)
        assert_ok(events_store_set_filter(&tx, webhook.id, filter));
    assert_ok(db_tx_commit(&tx));
}

static int64_t tell(World *w, int64_t limit)
{
    int64_t count, messages;

    assert_ok(events_store_tell_changes(w->schema.db, 20000, BASE, limit, &count, &messages));
    return messages;
}

static int64_t told(World *w, FeedChange c)
{
    record(w, &c);
    number(w);
    return tell(w, BATCH);
}

static void a_webhook_is_told_of_what_it_wants(void **state)
{
    World *w = *state;
    const Slice created[] = {SLICE_LIT("events.event.created")}, music[] = {SLICE_LIT("music")},
                rock[] = {SLICE_LIT("ROCK")};
    const Slice folded[] = {SLICE_LIT("rock")};
    FeedChange c = change_of(w, uuid_v7(w->schema.ids), false, true);

    add_webhook(w, "http://all", NULL, 0, NULL);
    add_webhook(w, "http://created", created, 1, NULL);
    add_webhook(w, "http://music", NULL, 0, &(WebhookFilterRow){.domains = music, .domain_count = 1});
    add_webhook(w, "http://rock", NULL, 0, &(WebhookFilterRow){.keywords = rock, .keyword_count = 1});
    add_webhook(w, "http://fiji", NULL, 0,
                &(WebhookFilterRow){.boxed = true, .west = 170, .south = -20, .east = -170, .north = -10});
    assert_int_equal(told(w, c), 3); /* all, created, music */
    c.id = uuid_v7(w->schema.ids);
    c.domain = "arts";
    c.keywords = folded;
    c.keyword_count = 1;
    c.located = true;
    c.latitude = -15;
    c.longitude = -179;
    assert_int_equal(told(w, c), 4); /* all, created, rock, fiji */
    c.longitude = 0;
    c.was_public = true;
    assert_int_equal(told(w, c), 2); /* all, rock */
    c.is_public = false;
    c.entity = FEED_PLACE;
    assert_int_equal(told(w, c), 2);
    assert_int_equal(test_schema_count(&w->schema,
                                       "SELECT count(*) FROM webhook_delivery WHERE (body::jsonb -> 'data' ->> "
                                       "'sequence_number')::int > 0 AND message_id = body::jsonb -> 'data' ->> 'id'"),
                     11);
    assert_int_equal(test_schema_count(&w->schema, "SELECT count(DISTINCT message_id) FROM webhook_delivery"), 4);
}

static void webhooks_are_told_behind_the_numbers(void **state)
{
    World *w = *state;

    add_webhook(w, "http://one", NULL, 0, NULL);
    add_webhook(w, "http://two", NULL, 0, NULL);
    for (int i = 0; i < 3; i++)
        record_new(w);
    assert_int_equal(tell(w, BATCH), 0); /* what has no number is told to nobody */
    assert_int_equal(number(w), 3);
    assert_int_equal(test_schema_count(&w->schema, "SELECT count(*) FROM webhook_delivery"), 0);
    assert_int_equal(tell(w, 2), 4);
    assert_int_equal(test_schema_count(&w->schema, "SELECT told FROM feed_head"), 2);
    assert_int_equal(tell(w, 2), 2);
    assert_int_equal(tell(w, 2), 0);
    assert_int_equal(
        test_schema_count(&w->schema, "SELECT count(DISTINCT (webhook_id, message_id)) FROM webhook_delivery"), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_nobody_sees_is_no_change, empty),
        cmocka_unit_test_setup(an_update_names_its_fields_once, empty),
        cmocka_unit_test_setup(a_delete_has_its_tombstone, empty),
        cmocka_unit_test_setup(too_many_pointers_are_the_whole_document, empty),
        cmocka_unit_test_setup(what_has_no_number_is_not_seen, empty),
        cmocka_unit_test_setup(the_end_is_a_place_to_go_on_from, empty),
        cmocka_unit_test_setup(what_cannot_be_asked_is_refused, empty),
        cmocka_unit_test_setup(a_time_begins_where_it_was, empty),
        cmocka_unit_test_setup(a_page_has_no_more_documents_than_fit, empty),
        cmocka_unit_test_setup(the_background_looks_at_so_many_and_no_more, empty),
        cmocka_unit_test_setup(a_reader_misses_nothing_while_many_write, empty),
        cmocka_unit_test_setup(a_webhook_is_told_of_what_it_wants, empty),
        cmocka_unit_test_setup(webhooks_are_told_behind_the_numbers, empty),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
