/* Tests of db with a real PostgreSQL (TEST_DATABASE_URL, a superuser). */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/db_later.h"
#include "shared/db_testing.h"
#include "shared/rpc.h"

static Db *open_pool(int size, int64_t acquire_timeout_ms, Metrics *metrics)
{
    const char *url = testing_database_url();
    Db *db = NULL;

    assert_ok(db_new(&(DbOptions){.url = url,
                                  .schema = "db_test",
                                  .application_name = "db_test",
                                  .pool_size = size,
                                  .acquire_timeout_ms = acquire_timeout_ms,
                                  .metrics = metrics},
                     &db));
    return db;
}

static int make_schema(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    (void)state;
    testing_run_script(
        db, "DROP SCHEMA IF EXISTS db_test CASCADE; CREATE SCHEMA db_test;"
            "CREATE TABLE db_test.person (id bigint PRIMARY KEY, name text CONSTRAINT person_name_key UNIQUE,"
            " small int NOT NULL DEFAULT 0, CONSTRAINT person_small CHECK (small >= 0));"
            "CREATE TABLE db_test.later (id bigint CONSTRAINT later_key UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    return 0;
}

static int64_t read_number(Db *db, const char *sql)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    assert_ok(db_read_with(db, 5000, sql, DB_NO_ARGS, &rows));
    assert_int_equal(rows.count, 1);
    return db_get_int64(&rows, 0, 0);
}

static const char INSERT[] = "INSERT INTO person (id, name) VALUES ($1, $2)";
static const char COUNT[] = "SELECT count(*) FROM person";

static int empty_tables(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    (void)state;
    testing_run_script(db, "TRUNCATE db_test.person, db_test.later");
    return 0;
}

/* --- values ---------------------------------------------------------------------------------------------------------
 */
static void values_come_back_as_they_went(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(db_rows_done) DbRows rows = {0};
    const Slice texts[] = {SLICE_LIT("a"), {NULL, 0}, SLICE_LIT("ü, \"quoted\"")};
    const int64_t numbers[] = {1, -2, INT64_MAX};
    Uuid uuid = uuid_v4();
    Uuid back;
    (void)state;

    assert_ok(db_read_with(
        db, 5000,
        "SELECT $1, $2, $3, $4, $5, $6, $7, array_to_string($8, '|'), ($9::bigint[])[3], cardinality($10::text[]),"
        " $1::int2::int4, $2::text, $6::date, '{\"a\":1}'::jsonb, 1.5::float4, NULL::bigint, 7::int2, 'x'::name",
        DB_ARGS(db_int64(-5), db_bool(true), db_text(SLICE_LIT("text")), db_bytes(slice_of("\0\1\2", 3)), db_uuid(uuid),
                db_time_us(1790000000123456), db_double(-0.25), db_text_array(texts, 3), db_int64_array(numbers, 3),
                db_text_array(NULL, 0)),
        &rows));
    assert_int_equal(rows.count, 1);
    assert_int_equal(db_get_int64(&rows, 0, 0), -5);
    assert_true(db_get_bool(&rows, 0, 1));
    assert_slice_equal(db_get_text(&rows, 0, 2), SLICE_LIT("text"));
    assert_slice_equal(db_get_bytes(&rows, 0, 3), slice_of("\0\1\2", 3));
    back = db_get_uuid(&rows, 0, 4);
    assert_memory_equal(back.bytes, uuid.bytes, 16);
    assert_int_equal(db_get_time_us(&rows, 0, 5), 1790000000123456);
    assert_true(db_get_double(&rows, 0, 6) == -0.25);
    assert_string_equal(db_get_cstr(mem, &rows, 0, 7), "a||ü, \"quoted\"");
    assert_int_equal(db_get_int64(&rows, 0, 8), INT64_MAX);
    assert_int_equal(db_get_int64(&rows, 0, 9), 0);
    assert_int_equal(db_get_int64(&rows, 0, 10), -5);
    assert_string_equal(db_get_cstr(mem, &rows, 0, 11), "true");
    assert_int_equal(db_get_time_us(&rows, 0, 12) % INT64_C(86400000000), 0);
    assert_string_equal(db_get_cstr(mem, &rows, 0, 13), "{\"a\": 1}");
    assert_true(db_get_double(&rows, 0, 14) == 1.5);
    assert_true(db_is_null(&rows, 0, 15));
    assert_int_equal(db_get_int64(&rows, 0, 15), 0);
    assert_null(db_get_cstr_or_null(mem, &rows, 0, 15));
    assert_int_equal(db_get_int64(&rows, 0, 16), 7);
    assert_string_equal(db_get_cstr(mem, &rows, 0, 17), "x");
}

static void lists_of_numbers_come_back(void **state)
{
    static const char SQL[] =
        "SELECT $1::bigint[], '{}'::bigint[], NULL::bigint[], array_remove(ARRAY[7,8,7]::bigint[], 7)";
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(db_rows_done) DbRows rows = {0};
    const int64_t numbers[] = {1, -2, INT64_MAX};
    int64_t *back;
    (void)state;

    assert_ok(db_read_with(db, 5000, SQL, DB_ARGS(db_int64_array(numbers, 3)), &rows));
    assert_int_equal(db_get_int64_array(mem, &rows, 0, 0, &back), 3);
    assert_memory_equal(back, numbers, sizeof numbers);
    assert_int_equal(db_get_int64_array(mem, &rows, 0, 1, &back), 0);
    assert_int_equal(db_get_int64_array(mem, &rows, 0, 2, &back), 0);
    assert_int_equal(db_get_int64_array(mem, &rows, 0, 3, &back), 1);
    assert_int_equal(back[0], 8);
}

static void a_null_fits_whatever_type_the_statement_was_prepared_with(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    static const char SQL[] = "SELECT coalesce($1, 'none'), $2::timestamptz IS NULL, coalesce($3::bigint, 3)";
    static const char UNTYPED_FIRST[] = "SELECT coalesce($1::int, 4)";
    const struct {
        const char *text, *wanted;
        int64_t time_us;
    } cases[] = {{NULL, "none", 0}, {"x", "x", 1790000000000000}, {NULL, "none", 0}};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(db_rows_done) DbRows rows = {0};
        assert_ok(db_read_with(
            db, 5000, SQL,
            DB_ARGS(db_text_or_null(cases[i].text), db_time_us_or_null(cases[i].time_us), i ? db_int64(3) : db_null()),
            &rows));
        assert_slice_equal(db_get_text(&rows, 0, 0), slice(cases[i].wanted));
        assert_int_equal(db_get_bool(&rows, 0, 1), cases[i].time_us == 0);
        assert_int_equal(db_get_int64(&rows, 0, 2), 3);
    }
    for (int64_t i = 0; i < 2; i++) {
        CLEANUP(db_rows_done) DbRows rows = {0};
        assert_ok(db_read_with(db, 5000, UNTYPED_FIRST, DB_ARGS(i ? db_int64(4) : db_null()), &rows));
        assert_int_equal(db_get_int64(&rows, 0, 0), 4);
    }
}

/* --- transactions ------------------------------------------------------------------------------------------------ */
static void what_is_not_committed_is_rolled_back(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    (void)state;

    {
        CLEANUP(db_tx_done) DbTx tx = {0};
        assert_ok(db_tx_begin_with(db, 5000, &tx));
        assert_ok(db_exec(&tx, INSERT, DB_ARGS(db_int64(1), db_text(SLICE_LIT("a")))));
    }
    assert_int_equal(read_number(db, COUNT), 0);
    {
        CLEANUP(db_tx_done) DbTx tx = {0};
        int64_t touched;
        assert_ok(db_tx_begin_with(db, 5000, &tx));
        assert_ok(db_exec(&tx, INSERT, DB_ARGS(db_int64(1), db_text(SLICE_LIT("a")))));
        assert_ok(db_exec_count(&tx, "UPDATE person SET small = 2 WHERE id IN (1, 2)", DB_NO_ARGS, &touched));
        assert_int_equal(touched, 1);
        assert_ok(db_tx_commit(&tx));
    }
    assert_int_equal(read_number(db, COUNT), 1);
}

static void an_empty_transaction_commits(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    CLEANUP(db_tx_done) DbTx tx = {0};
    (void)state;

    assert_ok(db_tx_begin_with(db, 5000, &tx));
    assert_ok(db_tx_commit(&tx));
    assert_ok(db_ping(db, 1000));
}

static void violations_are_told_by_name(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    static const struct {
        const char *sql, *constraint;
    } cases[] = {
        {"INSERT INTO person (id, name) VALUES (1, 'other')", "person_pkey"},
        {"INSERT INTO person (id, name) VALUES (2, 'taken')", "person_name_key"},
        {"INSERT INTO person (id, small) VALUES (3, -1)", "person_small"},
        {"INSERT INTO person (id, small) VALUES (4, NULL)", "small"},
    };
    (void)state;

    testing_run_script(db, "INSERT INTO db_test.person (id, name) VALUES (1, 'taken')");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(db_tx_done) DbTx tx = {0};
        assert_ok(db_tx_begin_with(db, 5000, &tx));
        assert_reason(db_exec(&tx, cases[i].sql, DB_NO_ARGS), &CONFLICT);
        assert_true(db_violated(&tx, cases[i].constraint));
        assert_false(db_violated(&tx, "another"));
        /* PostgreSQL answers this COMMIT with ROLLBACK: that must not pass for success. */
        assert_reason(db_tx_commit(&tx), &INTERNAL);
    }
    assert_int_equal(read_number(db, COUNT), 1);
}

static void a_deferred_violation_shows_at_commit(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    CLEANUP(db_tx_done) DbTx tx = {0};
    (void)state;

    assert_ok(db_tx_begin_with(db, 5000, &tx));
    assert_ok(db_exec(&tx, "INSERT INTO later VALUES (1), (1)", DB_NO_ARGS));
    assert_reason(db_tx_commit(&tx), &CONFLICT);
    assert_true(db_violated(&tx, "later_key"));
}

static void a_savepoint_saves_the_transaction(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    CLEANUP(db_tx_done) DbTx tx = {0};
    (void)state;

    assert_ok(db_tx_begin_with(db, 5000, &tx));
    assert_ok(db_exec(&tx, INSERT, DB_ARGS(db_int64(1), db_text(SLICE_LIT("a")))));
    for (int i = 0; i < 3; i++) {
        assert_ok(db_savepoint(&tx));
        assert_reason(db_exec(&tx, INSERT, DB_ARGS(db_int64(2), db_text(SLICE_LIT("a")))), &CONFLICT);
        assert_ok(db_savepoint_rollback(&tx));
        assert_true(true);
    }
    assert_ok(db_exec(&tx, INSERT, DB_ARGS(db_int64(2), db_text(SLICE_LIT("b")))));
    assert_ok(db_tx_commit(&tx));
    assert_int_equal(read_number(db, COUNT), 2);
}

/* --- statements that are sent with the next one -------------------------------------------------------------------
 */
static DbArgs person(int64_t id, const char *name, DbValue out[2])
{
    out[0] = db_int64(id);
    out[1] = db_text_or_null(name);
    return (DbArgs){out, 2};
}

static void what_is_sent_later_runs_before_what_comes_next(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    (void)state;

    for (int round = 0; round < 2; round++) { /* the second time all of it is prepared */
        CLEANUP(db_tx_done) DbTx tx = {0};
        CLEANUP(db_rows_done) DbRows rows = {0};
        DbValue values[2];

        assert_ok(db_tx_begin_with(db, 5000, &tx));
        for (int64_t i = 0; i < 100; i++) /* more than are kept */
            assert_ok(db_exec_later(&tx, INSERT, person(round * 1000 + i, NULL, values)));
        assert_ok(db_query(&tx, COUNT, DB_NO_ARGS, &rows));
        assert_int_equal(db_get_int64(&rows, 0, 0), 100 + 101 * round);
        assert_ok(db_exec_later(&tx, INSERT, person(round * 1000 + 500, NULL, values)));
        assert_ok(db_tx_commit(&tx));
        assert_int_equal(read_number(db, COUNT), 101 * (round + 1));
    }
}

static void what_fails_later_fails_the_next_one(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    (void)state;

    for (int round = 0; round < 3; round++) {
        CLEANUP(db_tx_done) DbTx tx = {0};
        CLEANUP(db_rows_done) DbRows rows = {0};
        DbValue values[2];

        assert_ok(db_tx_begin_with(db, 5000, &tx));
        assert_ok(db_exec(&tx, INSERT, person(1, "a", values)));
        assert_ok(db_exec_later(&tx, INSERT, person(1, "b", values)));
        assert_ok(db_exec_later(&tx, INSERT, person(2, "c", values)));
        if (round == 0)
            assert_reason(db_query(&tx, COUNT, DB_NO_ARGS, &rows), &CONFLICT);
        else if (round == 1)
            assert_reason(db_tx_commit(&tx), &CONFLICT);
        /* else nobody asks any more */
    }
    assert_int_equal(read_number(db, COUNT), 0);
}

static void a_savepoint_undoes_what_was_sent_later(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    CLEANUP(db_tx_done) DbTx tx = {0};
    DbValue values[2];
    (void)state;

    assert_ok(db_tx_begin_with(db, 5000, &tx));
    assert_ok(db_exec(&tx, INSERT, person(1, "a", values)));
    for (int64_t i = 2; i < 5; i++) {
        assert_ok(db_savepoint(&tx));
        assert_ok(db_exec_later(&tx, INSERT, person(i, "b", values)));
        assert_ok(db_savepoint_rollback(&tx));
    }
    assert_ok(db_exec_later(&tx, INSERT, person(9, "c", values)));
    assert_ok(db_tx_commit(&tx));
    assert_int_equal(read_number(db, "SELECT sum(id)::bigint FROM person"), 10);
}

static Request request_on(Db *db, int64_t timeout_ms)
{
    return (Request){.db = db, .clock = &SYSTEM_CLOCK, .deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + timeout_ms};
}

static void a_joined_transaction_commits_with_the_outer_one(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    Request rq = request_on(db, 5000);
    CLEANUP(db_tx_done) DbTx outer = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};
    (void)state;

    assert_ok(db_tx_begin(&rq, &outer));
    rq.outer_tx = &outer;
    {
        CLEANUP(db_tx_done) DbTx tx = {0};
        assert_ok(db_tx_begin(&rq, &tx));
        assert_ok(db_exec(&tx, INSERT, DB_ARGS(db_int64(1), db_text(SLICE_LIT("kept")))));
        assert_ok(db_tx_commit(&tx));
    }
    {
        CLEANUP(db_tx_done) DbTx tx = {0};
        assert_ok(db_tx_begin(&rq, &tx));
        assert_ok(db_exec(&tx, INSERT, DB_ARGS(db_int64(2), db_text(SLICE_LIT("left")))));
        assert_reason(db_exec(&tx, INSERT, DB_ARGS(db_int64(2), db_text(SLICE_LIT("left")))), &CONFLICT);
    }
    assert_ok(db_read(&rq, COUNT, DB_NO_ARGS, &rows)); /* sees the outer transaction */
    assert_int_equal(db_get_int64(&rows, 0, 0), 1);
    rq.outer_tx = NULL;
    assert_ok(db_tx_commit(&outer));
    assert_int_equal(read_number(db, COUNT), 1);
    assert_int_equal(read_number(db, "SELECT id FROM person"), 1);
}

static void a_statement_may_be_a_transaction_of_its_own(void **state)
{
    static const char PUT[] = "INSERT INTO person (id, name) VALUES ($1, $2) RETURNING id";
    CLEANUP(db_free_at) Db *db = open_pool(2, 1000, NULL);
    Request rq = request_on(db, 5000);
    CLEANUP(db_rows_done) DbRows rows = {0};
    DbTx outer = {0};
    (void)state;

    assert_ok(db_write(&rq, PUT, DB_ARGS(db_int64(1), db_text(SLICE_LIT("kept"))), &rows));
    assert_int_equal(db_get_int64(&rows, 0, 0), 1);
    assert_reason(db_write(&rq, PUT, DB_ARGS(db_int64(1), db_text(SLICE_LIT("twice"))), &rows), &CONFLICT);
    assert_int_equal(read_number(db, COUNT), 1);
    assert_ok(db_tx_begin(&rq, &outer));
    rq.outer_tx = &outer;
    assert_ok(db_write(&rq, PUT, DB_ARGS(db_int64(2), db_text(SLICE_LIT("undone"))), &rows));
    db_tx_done(&outer);
    assert_int_equal(read_number(db, COUNT), 1);
}

/* --- deadlines, pool, lost connections --------------------------------------------------------------------------- */
static void a_slow_statement_is_cancelled_at_the_deadline(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    Request rq = request_on(db, 100);
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t pid = read_number(db, "SELECT pg_backend_pid()"), start = clock_monotonic_ms(&SYSTEM_CLOCK);
    (void)state;

    assert_reason(db_read(&rq, "SELECT pg_sleep(20)", DB_NO_ARGS, &rows), &DEADLINE_EXCEEDED);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - start < 1000);
    /* Same connection, still usable. */
    assert_int_equal(read_number(db, "SELECT pg_backend_pid()"), pid);
    rq.deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    assert_reason(db_read(&rq, COUNT, DB_NO_ARGS, &rows), &DEADLINE_EXCEEDED);
    {
        CLEANUP(db_tx_done) DbTx tx = {0};
        rq.deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + 100;
        assert_ok(db_tx_begin(&rq, &tx));
        assert_reason(db_exec(&tx, "SELECT pg_sleep(20)", DB_NO_ARGS), &DEADLINE_EXCEEDED);
    }
    assert_int_equal(read_number(db, "SELECT pg_backend_pid()"), pid);
}

static void an_exhausted_pool_answers_unavailable(void **state)
{
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    CLEANUP(db_free_at) Db *db = open_pool(2, 50, metrics);
    CLEANUP(db_tx_done) DbTx a = {0}, b = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};
    (void)state;

    assert_ok(db_tx_begin_with(db, 5000, &a));
    assert_ok(db_tx_begin_with(db, 5000, &b));
    assert_true(gauge_value(metrics_gauge(metrics, "atrium_db_connections",
                                          "Database connections of the pool, by state.", "state=\"busy\"")) == 2);
    assert_reason(db_read_with(db, 5000, COUNT, DB_NO_ARGS, &rows), &UNAVAILABLE);
    db_tx_done(&a);
    assert_ok(db_read_with(db, 5000, COUNT, DB_NO_ARGS, &rows));
}

static void *take_and_give(void *data)
{
    Db *db = data;

    for (int i = 0; i < 100; i++) {
        CLEANUP(db_tx_done) DbTx tx = {0};
        assert_ok(db_tx_begin_with(db, 20000, &tx));
        assert_ok(db_exec(&tx, "UPDATE person SET small = small + 1 WHERE id = 1", DB_NO_ARGS));
        assert_ok(db_tx_commit(&tx));
    }
    return NULL;
}

static void more_threads_than_connections_take_turns(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(2, 20000, NULL);
    pthread_t threads[6];
    (void)state;

    testing_run_script(db, "INSERT INTO db_test.person (id) VALUES (1)");
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, db), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(read_number(db, "SELECT small FROM person"), 600);
}

static void terminate(Db *admin, int64_t pid)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    /* Returns when the backend is gone. */
    assert_ok(db_read_with(admin, 5000, "SELECT pg_terminate_backend($1::int, 5000)", DB_ARGS(db_int64(pid)), &rows));
}

static void an_idle_connection_that_ended_is_replaced_unnoticed(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    CLEANUP(db_free_at) Db *admin = open_pool(1, 1000, NULL);
    int64_t pid = read_number(db, "SELECT pg_backend_pid()");
    (void)state;

    terminate(admin, pid);
    assert_int_not_equal(read_number(db, "SELECT pg_backend_pid()"), pid);
    assert_int_equal(read_number(db, COUNT), 0);
}

static void a_connection_lost_within_a_transaction_answers_unavailable_once(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    CLEANUP(db_free_at) Db *admin = open_pool(1, 1000, NULL);
    (void)state;

    {
        CLEANUP(db_tx_done) DbTx tx = {0};
        CLEANUP(db_rows_done) DbRows rows = {0};
        assert_ok(db_tx_begin_with(db, 5000, &tx));
        assert_ok(db_query(&tx, "SELECT pg_backend_pid()", DB_NO_ARGS, &rows));
        terminate(admin, db_get_int64(&rows, 0, 0));
        assert_reason(db_exec(&tx, INSERT, DB_ARGS(db_int64(1), db_null())), &UNAVAILABLE);
        assert_reason(db_tx_commit(&tx), &UNAVAILABLE);
    }
    assert_int_equal(read_number(db, COUNT), 0);
}

/* --- a server that hangs: a relay before it, which stops to pass on, or to read --------------------------------------
 */
typedef struct Hanging {
    int listener, port, server_port;
    atomic_bool frozen, stop;
    pthread_t thread;
} Hanging;

enum { HANGING_PAIRS = 16 };

static int connect_to(int port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* False at the end of either side. */
static bool pass_on(int from, int to)
{
    char buffer[65536];
    ssize_t got = recv(from, buffer, sizeof buffer, 0);

    return got > 0 && send(to, buffer, (size_t)got, MSG_NOSIGNAL) == got;
}

/* Ends by even and odd places; a frozen one still accepts, as a stopped process's socket does. */
static void *relay(void *data)
{
    Hanging *h = data;
    struct pollfd fds[1 + 2 * HANGING_PAIRS] = {{.fd = h->listener, .events = POLLIN}};
    int count = 1;

    while (!h->stop) {
        if (poll(fds, h->frozen ? 1 : (nfds_t)count, 5) <= 0)
            continue;
        if (fds[0].revents && count < (int)ARRAY_LEN(fds)) {
            fds[count++] = (struct pollfd){.fd = accept(h->listener, NULL, NULL), .events = POLLIN};
            fds[count++] = (struct pollfd){.fd = connect_to(h->server_port), .events = POLLIN};
            continue;
        }
        for (int i = 1; i < count && !h->frozen; i += 2) {
            if ((fds[i].revents && !pass_on(fds[i].fd, fds[i + 1].fd)) ||
                (fds[i + 1].revents && !pass_on(fds[i + 1].fd, fds[i].fd))) {
                close(fds[i].fd);
                close(fds[i + 1].fd);
                fds[i] = fds[count - 2];
                fds[i + 1] = fds[count - 1];
                count -= 2;
                break; /* what moved was not asked about yet */
            }
        }
    }
    for (int i = 0; i < count; i++)
        close(fds[i].fd);
    return NULL;
}

static Db *open_hanging(Hanging *h)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Slice url = slice(getenv("TEST_DATABASE_URL")), rest, user, host, path, name;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int64_t port;
    Db *db = NULL;

    *h = (Hanging){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(h->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(h->listener, 16), 0);
    assert_int_equal(getsockname(h->listener, (struct sockaddr *)&at, &len), 0);
    /* postgresql://user:password@host:port/path */
    assert_true(slice_cut(url, '@', &user, &rest) && slice_cut(rest, ':', &host, &rest));
    assert_true(slice_cut(rest, '/', &name, &path) && slice_to_int64(name, &port));
    h->server_port = (int)port;
    h->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&h->thread, NULL, relay, h), 0);
    assert_ok(db_new(&(DbOptions){.url = arena_printf(mem, "%.*s@127.0.0.1:%d/%.*s", (int)user.len, user.ptr, h->port,
                                                      (int)path.len, path.ptr),
                                  .schema = "db_test",
                                  .pool_size = 1},
                     &db));
    assert_int_equal(read_number(db, COUNT), 0);
    return db;
}

static void close_hanging(Hanging *h)
{
    h->stop = true;
    pthread_join(h->thread, NULL);
}

static void a_server_that_hangs_holds_nobody_beyond_the_deadline(void **state)
{
    Hanging h;
    CLEANUP(db_free_at) Db *db = open_hanging(&h);
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t start = clock_monotonic_ms(&SYSTEM_CLOCK);
    (void)state;

    h.frozen = true;
    assert_reason(db_read_with(db, 200, COUNT, DB_NO_ARGS, &rows), &DEADLINE_EXCEEDED);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - start < 5000);
    h.frozen = false;
    /* A connection on which an answer may still come is not used again. */
    assert_ok(db_read_with(db, 5000, COUNT, DB_NO_ARGS, &rows));
    assert_int_equal(db_get_int64(&rows, 0, 0), 0);
    close_hanging(&h);
}

static void a_large_statement_for_a_server_that_hangs_ends_at_the_deadline(void **state)
{
    static char large[16 * 1024 * 1024]; /* more than any socket's buffers */
    Hanging h;
    CLEANUP(db_free_at) Db *db = open_hanging(&h);
    CLEANUP(db_rows_done) DbRows rows = {0};
    static const char LENGTH[] = "SELECT octet_length($1)";
    int64_t start;
    (void)state;

    memset(large, 'x', sizeof large);
    assert_ok(db_read_with(db, 20000, LENGTH, DB_ARGS(db_bytes(slice_of(large, sizeof large))), &rows));
    assert_int_equal(db_get_int64(&rows, 0, 0), sizeof large);
    start = clock_monotonic_ms(&SYSTEM_CLOCK);
    h.frozen = true;
    assert_reason(db_read_with(db, 200, LENGTH, DB_ARGS(db_bytes(slice_of(large, sizeof large))), &rows),
                  &DEADLINE_EXCEEDED);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - start < 5000);
    close_hanging(&h);
}

static void an_absent_server_is_told_quickly(void **state)
{
    CLEANUP(db_free_at) Db *db = NULL;
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t start = clock_monotonic_ms(&SYSTEM_CLOCK);
    (void)state;

    assert_ok(db_new(&(DbOptions){.url = "postgresql+asyncpg://u:p@127.0.0.1:1/x", .pool_size = 2}, &db));
    for (int i = 0; i < 1000; i++)
        assert_reason(db_read_with(db, 5000, "SELECT 1", DB_NO_ARGS, &rows), &UNAVAILABLE);
    assert_reason(db_ping(db, 1000), &UNAVAILABLE);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - start < 2000);
}

static void a_url_that_cannot_be_read_is_refused_without_quoting_it(void **state)
{
    static const char *const urls[] = {"postgresql://u:secret@[::1", "secret", "http://x/secret"};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        Db *db = NULL;
        Err e = db_new(&(DbOptions){.url = urls[i], .pool_size = 1}, &db);
        assert_ptr_equal(e.reason, &UNAVAILABLE);
        assert_null(strstr(e.text, "secret"));
        assert_null(db);
    }
}

static void wrong_statements_and_values_have_their_reasons(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    CLEANUP(db_rows_done) DbRows rows = {0};
    static const struct {
        const char *sql;
        const Reason *reason;
    } cases[] = {{"SELECT nothing FROM nowhere", &INTERNAL},
                 {"SELEC", &INTERNAL},
                 {"SELECT 'x'::text::int", &INVALID_ARGUMENT},
                 {"SELECT 1/0", &INVALID_ARGUMENT},
                 {"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$", &UNAVAILABLE}};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_reason(db_read_with(db, 5000, cases[i].sql, DB_NO_ARGS, &rows), cases[i].reason);
}

static void a_plan_made_void_by_a_migration_heals_itself(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    static const char SQL[] = "SELECT * FROM changing";
    CLEANUP(db_rows_done) DbRows rows = {0};
    (void)state;

    testing_run_script(db, "CREATE TABLE db_test.changing (a int)");
    assert_ok(db_read_with(db, 5000, SQL, DB_NO_ARGS, &rows));
    testing_run_script(db, "ALTER TABLE db_test.changing ADD b int");
    assert_reason(db_read_with(db, 5000, SQL, DB_NO_ARGS, &rows), &UNAVAILABLE);
    assert_ok(db_read_with(db, 5000, SQL, DB_NO_ARGS, &rows));
    testing_run_script(db, "DROP TABLE db_test.changing");
}

static void *insert_under_lock(void *data)
{
    Db *db = data;

    for (int i = 0; i < 20; i++) {
        CLEANUP(db_tx_done) DbTx tx = {0};
        assert_ok(db_tx_begin_with(db, 20000, &tx));
        assert_ok(db_lock(&tx, "counter", SLICE_LIT("k")));
        assert_ok(db_exec(&tx, "INSERT INTO person (id) SELECT coalesce(max(id), 0) + 1 FROM person", DB_NO_ARGS));
        assert_ok(db_tx_commit(&tx));
    }
    return NULL;
}

static void a_lock_keeps_transactions_apart(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(3, 20000, NULL);
    pthread_t threads[3];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, insert_under_lock, db), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(read_number(db, "SELECT max(id) FROM person"), 60);
}

static void a_script_tells_what_postgresql_said(void **state)
{
    CLEANUP(db_free_at) Db *db = open_pool(1, 1000, NULL);
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    DbConn *conn = NULL;
    char *detail = NULL;
    (void)state;

    assert_ok(db_conn_open(db, 5000, &conn));
    assert_reason(db_conn_script(conn, 5000, mem, "SELECT 1; SELECT missing; SELECT 2", &detail), &INTERNAL);
    assert_non_null(strstr(detail, "missing"));
    assert_true(db_conn_alive(conn));
    assert_reason(db_conn_script(conn, 5000, mem, "COPY person FROM STDIN", NULL), &UNAVAILABLE);
    db_conn_close(conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_went),
        cmocka_unit_test(lists_of_numbers_come_back),
        cmocka_unit_test(a_null_fits_whatever_type_the_statement_was_prepared_with),
        cmocka_unit_test_setup(what_is_not_committed_is_rolled_back, empty_tables),
        cmocka_unit_test(an_empty_transaction_commits),
        cmocka_unit_test_setup(violations_are_told_by_name, empty_tables),
        cmocka_unit_test_setup(a_deferred_violation_shows_at_commit, empty_tables),
        cmocka_unit_test_setup(a_savepoint_saves_the_transaction, empty_tables),
        cmocka_unit_test_setup(what_is_sent_later_runs_before_what_comes_next, empty_tables),
        cmocka_unit_test_setup(what_fails_later_fails_the_next_one, empty_tables),
        cmocka_unit_test_setup(a_savepoint_undoes_what_was_sent_later, empty_tables),
        cmocka_unit_test_setup(a_joined_transaction_commits_with_the_outer_one, empty_tables),
        cmocka_unit_test_setup(a_slow_statement_is_cancelled_at_the_deadline, empty_tables),
        cmocka_unit_test_setup(a_statement_may_be_a_transaction_of_its_own, empty_tables),
        cmocka_unit_test(an_exhausted_pool_answers_unavailable),
        cmocka_unit_test_setup(more_threads_than_connections_take_turns, empty_tables),
        cmocka_unit_test_setup(an_idle_connection_that_ended_is_replaced_unnoticed, empty_tables),
        cmocka_unit_test_setup(a_connection_lost_within_a_transaction_answers_unavailable_once, empty_tables),
        cmocka_unit_test_setup(a_server_that_hangs_holds_nobody_beyond_the_deadline, empty_tables),
        cmocka_unit_test_setup(a_large_statement_for_a_server_that_hangs_ends_at_the_deadline, empty_tables),
        cmocka_unit_test(an_absent_server_is_told_quickly),
        cmocka_unit_test(a_url_that_cannot_be_read_is_refused_without_quoting_it),
        cmocka_unit_test(wrong_statements_and_values_have_their_reasons),
        cmocka_unit_test(a_plan_made_void_by_a_migration_heals_itself),
        cmocka_unit_test_setup(a_lock_keeps_transactions_apart, empty_tables),
        cmocka_unit_test(a_script_tells_what_postgresql_said),
    };
    return cmocka_run_group_tests(tests, make_schema, NULL);
}
