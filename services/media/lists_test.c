/* Lists: what a page holds while items come, go and change their state, and what it costs. */
#include "services/media/store_schema.h"

enum { OWNER = 1, MANY = 100000, LAST_PAGE = 5000, PAGE = 20, RUNS = 15 };

static void ask(StoreSchema *s, int64_t owner_id, int64_t page, const char *status, Media__V1__ListItemsReply *out)
{
    Request rq = store_schema_request(s, owner_id);
    Media__V1__ListItemsRequest in = MEDIA__V1__LIST_ITEMS_REQUEST__INIT;

    media__v1__list_items_reply__init(out);
    SET(&in, page, page);
    in.status = (char *)status;
    assert_ok(rpc_call(&MEDIA_V1_MEDIA_SERVICE, &rq, "ListItems", &in.base, &out->base));
}

/* Every page against the plain question. */
static void assert_pages_are_right(StoreSchema *s, int64_t owner_id, const char *status)
{
    int64_t total = test_schema_count(
        &s->schema,
        arena_printf(s->schema.mem, "SELECT count(*) FROM item WHERE owner_id = %" PRId64 " AND deleted_at IS NULL%s",
                     owner_id, status ? arena_printf(s->schema.mem, " AND status = '%s'", status) : ""));
    int64_t seen = 0, before = INT64_MAX;

    for (int64_t page = 1; seen < total || page == 1; page++) {
        Media__V1__ListItemsReply reply;

        ask(s, owner_id, page, status, &reply);
        assert_int_equal(reply.total_count, total);
        assert_int_equal(reply.n_items, MIN(total - seen, (int64_t)PAGE));
        for (size_t i = 0; i < reply.n_items; i++) {
            Uuid id;
            ItemRow row;

            assert_true(uuid_parse(slice(reply.items[i]->id), &id));
            row = store_schema_row(s, id);
            assert_true(row.ordinal < before && row.deleted_us == 0);
            before = row.ordinal;
        }
        seen += (int64_t)reply.n_items;
    }
}

static void pages_stay_right_while_items_come_and_go(void **state)
{
    StoreSchema *s = *state;

    test_schema_script(
        &s->schema,
        "INSERT INTO owner (owner_id, next_ordinal) VALUES (2, 901);"
        "INSERT INTO item (id, owner_id, ordinal, created_at) SELECT gen_random_uuid(), 2, n, now() FROM "
        "generate_series(1, 900) n;"
        "UPDATE item SET deleted_at = now() WHERE owner_id = 2 AND (ordinal % 3 = 0 OR ordinal BETWEEN 200 AND 600);"
        "UPDATE item SET status = 'ready' WHERE owner_id = 2 AND ordinal % 5 = 0;"
        "UPDATE item SET deleted_at = NULL WHERE owner_id = 2 AND ordinal % 30 = 0;"
        "DELETE FROM item WHERE owner_id = 2 AND ordinal % 7 = 0;");
    assert_pages_are_right(s, 2, NULL);
    assert_pages_are_right(s, 2, "ready");
    assert_pages_are_right(s, 2, "uploading");
    assert_pages_are_right(s, 2, "failed");
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Microseconds, the median of some. */
static int64_t cost_of_page(StoreSchema *s, int64_t page)
{
    int64_t times[RUNS];

    for (int i = 0; i < RUNS; i++) {
        int64_t began = clock_monotonic_us(&SYSTEM_CLOCK);
        Media__V1__ListItemsReply reply;

        ask(s, OWNER, page, NULL, &reply);
        times[i] = clock_monotonic_us(&SYSTEM_CLOCK) - began;
        assert_int_equal(reply.n_items, PAGE);
        assert_int_equal(reply.total_count, MANY);
    }
    qsort(times, RUNS, sizeof(*times), compare_times);
    return times[RUNS / 2];
}

static void the_last_page_of_many_costs_what_the_first_does(void **state)
{
    StoreSchema *s = *state;
    int64_t first, last;

    /* Counted at once: one by one in one transaction is what nobody does. */
    test_schema_script(
        &s->schema,
        "INSERT INTO owner (owner_id, next_ordinal) VALUES (1, 100001); ALTER TABLE item DISABLE TRIGGER USER;"
        "DROP INDEX item_words_idx, item_tags_idx;"
        "INSERT INTO item (id, owner_id, ordinal, title, status, created_at) SELECT gen_random_uuid(), 1, n,"
        " 'film ' || n, 'ready', now() FROM generate_series(1, 100000) n;"
        "INSERT INTO shelf SELECT owner_id, ordinal / 256, status, count(*) FROM item WHERE owner_id = 1 GROUP BY "
        "1, 2, 3;"
        "ALTER TABLE item ENABLE TRIGGER USER; ANALYZE item; ANALYZE shelf");
    (void)cost_of_page(s, 1); /* statements are prepared, pages are in memory */
    (void)cost_of_page(s, LAST_PAGE);
    first = cost_of_page(s, 1);
    last = cost_of_page(s, LAST_PAGE);
    print_message("page 1: %" PRId64 " us, page %d: %" PRId64 " us\n", first, LAST_PAGE, last);
    assert_true(last < 3 * first + 1000);
}

static void ordinals_follow_creation(void **state)
{
    StoreSchema *s = *state;
    Uuid first = store_schema_item(s, 3, "a"), second;

    s->schema.now_us -= 60000000; /* another instance's clock */
    second = store_schema_item(s, 3, "b");
    s->schema.now_us += 60000000;
    assert_int_equal(store_schema_row(s, first).ordinal + 1, store_schema_row(s, second).ordinal);
    assert_true(store_schema_row(s, second).created_us >= store_schema_row(s, first).created_us);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_stay_right_while_items_come_and_go),
        cmocka_unit_test(the_last_page_of_many_costs_what_the_first_does),
        cmocka_unit_test(ordinals_follow_creation),
    };

    return cmocka_run_group_tests_name("lists", tests, store_schema_make, store_schema_drop);
}
