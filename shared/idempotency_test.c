/* Tests of idempotency: claims, stored replies, expiry and the purge. How the dispatcher uses them: rpc_test.c. */
#include "shared/idempotency.h"

#include "atrium/reasons.atrium.h"
#include "shared/db_testing.h"

static const char SCHEMA[] = "idempotency_test";

static char *read_file(Arena *mem, const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = arena_alloc(mem, 16384, 1);

    if (!file)
        fail_msg("%s: run from the top of the repository", path);
    assert_true(fread(text, 1, 16383, file) > 0);
    fclose(file);
    return text;
}

static Db *open_database(Arena *mem)
{
    const char *url = testing_database_url();
    Db *db = NULL;
    char *script = arena_printf(mem, "DROP SCHEMA IF EXISTS %s CASCADE; CREATE SCHEMA %s; SET search_path = %s; %s",
                                SCHEMA, SCHEMA, SCHEMA, read_file(mem, "shared/migrations/0002_idempotency.sql"));

    assert_ok(db_new(&(DbOptions){.url = url, .schema = SCHEMA, .pool_size = 4, .acquire_timeout_ms = 5000}, &db));
    testing_run_script(db, script);
    return db;
}

static IdempotencyClaim claim_of(const char *key, const char *request)
{
    IdempotencyClaim claim = {.key = key, .caller = "user:1", .rpc = "auth.v1.Register"};

    idempotency_fingerprint(slice(request), claim.fingerprint);
    return claim;
}

static void finish(Db *db, const IdempotencyClaim *claim, const char *body)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    assert_ok(db_tx_begin_with(db, 5000, &tx));
    assert_ok(idempotency_store(
        &tx, claim, &(IdempotencyReply){.http_status = 201, .headers = SLICE_LIT("A: b\n"), .body = slice(body)}));
    assert_ok(db_tx_commit(&tx));
}

static void age_all(Db *db, const char *sql)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    assert_ok(db_tx_begin_with(db, 5000, &tx));
    assert_ok(db_exec(&tx, sql, DB_NO_ARGS));
    assert_ok(db_tx_commit(&tx));
}

static void a_finished_request_is_found_again(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(db_free_at) Db *db = open_database(mem);
    CLEANUP(db_tx_done) DbTx tx = {0};
    IdempotencyClaim claim = claim_of("k", "request"), other = claim_of("k", "another");
    IdempotencyReply reply;
    bool found = true;
    (void)state;

    assert_ok(db_tx_begin_with(db, 5000, &tx));
    assert_ok(idempotency_claim(&tx, mem, &claim, &found, &reply));
    assert_false(found);
    db_tx_done(&tx);
    finish(db, &claim, "body");
    assert_ok(db_tx_begin_with(db, 5000, &tx));
    assert_ok(idempotency_claim(&tx, mem, &claim, &found, &reply));
    assert_true(found);
    assert_int_equal(reply.http_status, 201);
    assert_slice_equal(reply.headers, SLICE_LIT("A: b\n"));
    assert_slice_equal(reply.body, SLICE_LIT("body"));
    assert_reason(idempotency_claim(&tx, mem, &other, &found, &reply), &IDEMPOTENCY_MISMATCH);
    other.caller = "user:2"; /* somebody else's key */
    assert_ok(idempotency_claim(&tx, mem, &other, &found, &reply));
    assert_false(found);
}

static void a_key_is_held_to_the_end_of_the_transaction(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(db_free_at) Db *db = open_database(mem);
    CLEANUP(db_tx_done) DbTx first = {0};
    CLEANUP(db_tx_done) DbTx second = {0};
    IdempotencyClaim claim = claim_of("k", "request");
    IdempotencyReply reply;
    bool found;
    (void)state;

    assert_ok(db_tx_begin_with(db, 5000, &first));
    assert_ok(db_tx_begin_with(db, 5000, &second));
    assert_ok(idempotency_claim(&first, mem, &claim, &found, &reply));
    assert_reason(idempotency_claim(&second, mem, &claim, &found, &reply), &IDEMPOTENCY_RUNNING);
    db_tx_done(&first);
    assert_ok(idempotency_claim(&second, mem, &claim, &found, &reply));
}

static void keys_are_bounded_text(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(db_free_at) Db *db = open_database(mem);
    CLEANUP(db_tx_done) DbTx tx = {0};
    char long_key[IDEMPOTENCY_KEY_MAX_BYTES + 2];
    const char *bad[] = {"", "\xff", long_key};
    IdempotencyReply reply;
    bool found;
    (void)state;

    memset(long_key, 'k', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = '\0';
    assert_ok(db_tx_begin_with(db, 5000, &tx));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        IdempotencyClaim claim = claim_of(bad[i], "request");

        assert_reason(idempotency_claim(&tx, mem, &claim, &found, &reply), &INVALID_ARGUMENT);
    }
}

static void old_replies_are_forgotten(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(db_free_at) Db *db = open_database(mem);
    CLEANUP(db_tx_done) DbTx tx = {0};
    IdempotencyClaim old = claim_of("old", "request"), again = claim_of("old", "another"), fresh = claim_of("new", "x");
    IdempotencyReply reply;
    int64_t rows = 0;
    bool found = true;
    (void)state;

    finish(db, &old, "old body");
    age_all(db, "UPDATE idempotency SET created_at = created_at - interval '25 hours'");
    finish(db, &fresh, "new body");
    assert_ok(db_tx_begin_with(db, 5000, &tx));
    assert_ok(idempotency_claim(&tx, mem, &again, &found, &reply));
    assert_false(found); /* the key is free, whether purged or not */
    db_tx_done(&tx);
    finish(db, &again, "anew");
    assert_ok(idempotency_purge(db, 5000, &rows));
    assert_int_equal(rows, 0);
    age_all(db, "UPDATE idempotency SET created_at = created_at - interval '25 hours' WHERE key = 'old'");
    assert_ok(idempotency_purge(db, 5000, &rows));
    assert_int_equal(rows, 1);
    assert_ok(db_tx_begin_with(db, 5000, &tx));
    assert_ok(idempotency_claim(&tx, mem, &fresh, &found, &reply));
    assert_true(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finished_request_is_found_again),
        cmocka_unit_test(a_key_is_held_to_the_end_of_the_transaction),
        cmocka_unit_test(keys_are_bounded_text),
        cmocka_unit_test(old_replies_are_forgotten),
    };
    return RUN(tests);
}
