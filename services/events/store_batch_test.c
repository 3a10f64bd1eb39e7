/* Items of a batch that two workers have in hand, on real tables. */
#include "services/events/store_batch.h"

#include "services/events/fixture.h"

static const char BATCH[] = "01234567-89ab-cdef-0123-456789abcdef";

static Uuid batch_id(void)
{
    Uuid id;

    assert_true(uuid_parse(slice(BATCH), &id));
    return id;
}

static void make_batch(Fixture *f)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    assert_ok(db_tx_begin_with(f->schema.db, 5000, &tx));
    assert_ok(db_exec(&tx,
                      "WITH made AS (INSERT INTO batch (id, item_count, submitter_name, submitted_at) "
                      "VALUES ($1, 2, 'ann', now()) RETURNING id) "
                      "INSERT INTO batch_item (batch_id, position, payload) "
                      "SELECT made.id, n, '{}' FROM made, generate_series(0, 1) n",
                      DB_ARGS(db_uuid(batch_id()))));
    assert_ok(db_tx_commit(&tx));
}

static void finish(Fixture *f, int position, const char *status)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    assert_ok(db_tx_begin_with(f->schema.db, 5000, &tx));
    assert_ok(batch_store_finish_item(&tx, batch_id(), position, &(BatchItem){.status = status, .error = ""}));
    assert_ok(db_tx_commit(&tx));
}

static size_t waiting(Fixture *f)
{
    int positions[BATCH_MAX_ITEMS];
    size_t count;

    assert_ok(batch_store_waiting(f->schema.db, 5000, batch_id(), positions, &count));
    return count;
}

/* A worker that gave its item up, and lost it to another meanwhile, says so too late. */
static void an_item_ends_once(void **state)
{
    Fixture *f = *state;
    CLEANUP(db_rows_done) DbRows rows = {0};

    make_batch(f);
    assert_int_equal(waiting(f), 2);
    finish(f, 0, "created");
    finish(f, 0, "failed");
    assert_int_equal(waiting(f), 1);
    assert_ok(db_read_with(f->schema.db, 5000, "SELECT status FROM batch_item WHERE batch_id = $1 AND position = 0",
                           DB_ARGS(db_uuid(batch_id())), &rows));
    assert_slice_equal(db_get_text(&rows, 0, 0), SLICE_LIT("created"));
}

static void what_one_worker_holds_another_leaves(void **state)
{
    Fixture *f = *state;
    CLEANUP(db_tx_done) DbTx one = {0}, two = {0};
    bool taken = false;
    Slice payload;
    Submitter by;

    assert_ok(db_tx_begin_with(f->schema.db, 5000, &one));
    assert_ok(db_tx_begin_with(f->schema.db, 5000, &two));
    assert_ok(batch_store_take(&one, f->schema.mem, batch_id(), 1, &taken, &payload, &by));
    assert_true(taken);
    assert_string_equal(by.name, "ann");
    assert_ok(batch_store_take(&two, f->schema.mem, batch_id(), 1, &taken, &payload, &by));
    assert_false(taken);
    assert_ok(batch_store_take(&two, f->schema.mem, batch_id(), 0, &taken, &payload, &by)); /* it is done */
    assert_false(taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_ends_once),
        cmocka_unit_test(what_one_worker_holds_another_leaves),
    };

    return cmocka_run_group_tests(tests, fixture_make, fixture_drop);
}
