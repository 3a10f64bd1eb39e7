/* Tests of outbox with a real PostgreSQL and NATS (TEST_DATABASE_URL, TEST_NATS_URL). */
#include "shared/outbox.h"

#include <pthread.h>

#include "atrium/realtime.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "google/protobuf/wrappers.pb-c.h"
#include "shared/bus_testing.h"
#include "shared/db_testing.h"
#include "shared/migrate.h"

static const EventType STARTED = {.subject = "evt.outboxtest.thing.started.",
                                  .type = "atrium.outboxtest.v1.Started",
                                  .body = &google__protobuf__string_value__descriptor};

static struct World {
    Db *db;
    Bus *bus;
    IdSource *ids;
    OutboxRelay *relay;
    Log *log; /* NULL; to stderr with TEST_LOG set */
} world;

static int64_t number(const char *sql)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    assert_ok(db_read_with(world.db, 5000, sql, DB_NO_ARGS, &rows));
    return db_get_int64(&rows, 0, 0);
}

/* The schema gets the very table that migrations make. */
static int set_up(void **state)
{
    (void)state;
    if (getenv("TEST_LOG"))
        world.log = log_new(&(LogOptions){.service = "test", .level = LOG_LEVEL_DEBUG, .fd = STDERR_FILENO});
    assert_ok(db_new(&(DbOptions){.url = testing_database_url(),
                                  .schema = "outboxtest",
                                  .pool_size = 4,
                                  .log = world.log,
                                  .acquire_timeout_ms = 10000},
                     &world.db));
    testing_run_script(world.db, "DROP SCHEMA IF EXISTS outboxtest CASCADE; CREATE SCHEMA outboxtest");
    for (size_t i = 0; i < MIGRATION_COUNT; i++)
        if (strcmp(MIGRATIONS[i].name, "0001_outbox") == 0)
            testing_run_script(world.db, MIGRATIONS[i].sql);
    world.bus = testing_bus("outboxtest");
    world.ids = id_source_new(&SYSTEM_CLOCK, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bus_close(world.bus);
    db_free(world.db);
    id_source_free(world.ids);
    log_free(world.log);
    return 0;
}

static void start_relay_with(OutboxOptions options)
{
    options.db = world.db;
    options.bus = world.bus;
    options.domain = "outboxtest";
    options.log = world.log;
    options.poll_ms = options.poll_ms ? options.poll_ms : 50;
    options.keep_acked_ms = options.keep_acked_ms ? options.keep_acked_ms : 600000;
    assert_ok(outbox_relay_start(&options, &world.relay));
}

static void start_relay(void)
{
    start_relay_with((OutboxOptions){0});
}

static void stop_relay(void)
{
    outbox_relay_stop(world.relay);
    world.relay = NULL;
}

static int clean_start(void **state)
{
    jsErrCode code;
    (void)state;
    testing_run_script(world.db, "TRUNCATE outbox RESTART IDENTITY");
    js_DeleteStream(bus_jetstream(world.bus), "EVT_OUTBOXTEST", NULL, &code);
    js_DeleteStream(bus_jetstream(world.bus), "DSP_OUTBOXTEST", NULL, &code);
    return 0;
}

static int clean_end(void **state)
{
    (void)state;
    stop_relay();
    return 0;
}

static void post(const char *key, const char *text, bool ordered)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Google__Protobuf__StringValue body = GOOGLE__PROTOBUF__STRING_VALUE__INIT;
    OutboxRow row;

    body.value = (char *)text;
    row = outbox_event(mem, world.ids, &STARTED, key, &body.base);
    assert_ok(db_tx_begin_with(world.db, 20000, &tx));
    assert_ok(outbox_insert(&tx, &row, ordered));
    assert_ok(db_tx_commit(&tx));
}

static int64_t unacked(void)
{
    return number("SELECT count(*) FROM outbox WHERE acked_at IS NULL");
}

static natsMsg *message_at(const char *stream, uint64_t seq)
{
    natsMsg *msg = NULL;
    jsErrCode code;
    assert_int_equal(js_GetMsg(&msg, bus_jetstream(world.bus), stream, seq, NULL, &code), NATS_OK);
    return msg;
}

/* --- tests -----------------------------------------------------------------------------------------------------------
 */
static void an_event_is_published_with_its_cloudevents_headers(void **state)
{
    static const struct {
        const char *name, *value;
    } headers[] = {{"ce-specversion", "1.0"},
                   {"ce-source", "//atrium/outboxtest"},
                   {"ce-type", "atrium.outboxtest.v1.Started"},
                   {"ce-subject", "k1"},
                   {"Content-Type", "application/protobuf"}};
    Google__Protobuf__StringValue *body;
    natsMsg *msg;
    int64_t sec;
    int32_t nanos;
    (void)state;

    start_relay();
    post("k1", "hello", true);
    outbox_nudge(world.relay);
    WAIT_UNTIL(unacked() == 0);
    msg = message_at("EVT_OUTBOXTEST", 1);
    assert_string_equal(natsMsg_GetSubject(msg), "evt.outboxtest.thing.started.k1");
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        assert_string_equal(bus_header(msg, headers[i].name), headers[i].value);
    assert_string_equal(bus_header(msg, "ce-id"), bus_header(msg, "Nats-Msg-Id"));
    assert_true(time_parse(slice(bus_header(msg, "ce-time")), &sec, &nanos));
    body = google__protobuf__string_value__unpack(NULL, (size_t)natsMsg_GetDataLength(msg),
                                                  (const uint8_t *)natsMsg_GetData(msg));
    assert_string_equal(body->value, "hello");
    google__protobuf__string_value__free_unpacked(body, NULL);
    natsMsg_Destroy(msg);
}

static void a_nudge_publishes_within_milliseconds(void **state)
{
    natsSubscription *sub = NULL;
    natsMsg *msg = NULL;
    int64_t best_us = INT64_MAX;
    (void)state;

    start_relay_with((OutboxOptions){.poll_ms = 60000});
    assert_int_equal(natsConnection_SubscribeSync(&sub, bus_nats(world.bus), "evt.outboxtest.>"), NATS_OK);
    /* The first turn comes when the lease is there. */
    post("k", "first", true);
    do
        outbox_nudge(world.relay);
    while (natsSubscription_NextMsg(&msg, sub, 20) != NATS_OK);
    natsMsg_Destroy(msg);
    for (int i = 0; i < 20; i++) {
        int64_t start_us;
        post("k", "x", true);
        start_us = clock_monotonic_us(&SYSTEM_CLOCK);
        outbox_nudge(world.relay);
        assert_int_equal(natsSubscription_NextMsg(&msg, sub, 10000), NATS_OK);
        best_us = MIN(best_us, clock_monotonic_us(&SYSTEM_CLOCK) - start_us);
        natsMsg_Destroy(msg);
    }
    print_message("nudge to message: %.2f ms\n", (double)best_us / 1000);
    assert_true(best_us < 25000);
    natsSubscription_Destroy(sub);
}

static void settling_waits_until_the_stream_has_it(void **state)
{
    (void)state;

    assert_false(outbox_settle(NULL, 1000));
    start_relay_with((OutboxOptions){.poll_ms = 60000});
    post("k", "first", true);
    WAIT_UNTIL(outbox_settle(world.relay, 1000)); /* false until the lease is there */
    for (int i = 0; i < 10; i++) {
        post("k", "x", true);
        assert_true(outbox_settle(world.relay, 10000));
        assert_int_equal(unacked(), 0);
    }
}

static void *post_many(void *data)
{
    for (int i = 0; i < 150; i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
        CLEANUP(db_tx_done) DbTx tx = {0};
        CLEANUP(db_rows_done) DbRows rows = {0};
        const char *key = i % 2 ? "odd" : "even";
        Google__Protobuf__StringValue body = GOOGLE__PROTOBUF__STRING_VALUE__INIT;
        OutboxRow row;

        assert_ok(db_tx_begin_with(world.db, 20000, &tx));
        assert_ok(db_lock(&tx, "outbox", slice(key)));
        assert_ok(db_query(&tx, "UPDATE counter SET n = n + 1 WHERE key = $1 RETURNING n", DB_ARGS(db_text(slice(key))),
                           &rows));
        body.value = arena_printf(mem, "%" PRId64, db_get_int64(&rows, 0, 0));
        row = outbox_event(mem, world.ids, &STARTED, key, &body.base);
        assert_ok(outbox_insert(&tx, &row, true));
        assert_ok(db_tx_commit(&tx));
        outbox_nudge(data);
    }
    return NULL;
}

static void order_per_key_is_commit_order(void **state)
{
    enum { THREADS = 3, EACH = 150 };
    pthread_t threads[THREADS];
    int64_t last[2] = {0};
    (void)state;

    testing_run_script(world.db, "DROP TABLE IF EXISTS counter; CREATE TABLE counter (key text PRIMARY KEY, n bigint);"
                                 "INSERT INTO counter VALUES ('odd', 0), ('even', 0)");
    start_relay();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, world.relay), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    WAIT_UNTIL(unacked() == 0);
    assert_int_equal(testing_stream_messages(world.bus, "EVT_OUTBOXTEST"), THREADS * EACH);
    for (uint64_t seq = 1; seq <= THREADS * EACH; seq++) {
        natsMsg *msg = message_at("EVT_OUTBOXTEST", seq);
        bool odd = strcmp(bus_header(msg, "ce-subject"), "odd") == 0;
        Google__Protobuf__StringValue *body = google__protobuf__string_value__unpack(
            NULL, (size_t)natsMsg_GetDataLength(msg), (const uint8_t *)natsMsg_GetData(msg));
        assert_int_equal(strtoll(body->value, NULL, 10), ++last[odd]);
        google__protobuf__string_value__free_unpacked(body, NULL);
        natsMsg_Destroy(msg);
    }
}

/* What happens in a guild: posts, in channels of their own order, and changes that no post overtakes. */
static void tell(DbTx *tx, Arena *mem, const char *topic, const char *text)
{
    Atrium__Dispatch dispatch = ATRIUM__DISPATCH__INIT;
    OutboxRow row;

    dispatch.mark = (char *)text;
    row = outbox_dispatch(mem, world.ids, "outboxtest", topic, "guild", &dispatch.base);
    assert_ok(outbox_insert(tx, &row, false));
}

static int64_t count_up(DbTx *tx, const char *key)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(
        db_query(tx, "UPDATE counter SET n = n + 1 WHERE key = $1 RETURNING n", DB_ARGS(db_text(slice(key))), &rows));
    return db_get_int64(&rows, 0, 0);
}

static void post_in_guild(Arena *mem, const char *channel)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t number;

    assert_ok(db_tx_begin_with(world.db, 20000, &tx));
    assert_ok(outbox_lock_shared(&tx, "guild"));
    assert_ok(outbox_lock(&tx, arena_printf(mem, "guild/%s", channel)));
    assert_ok(db_query(&tx, "SELECT n FROM counter WHERE key = 'guild'", DB_NO_ARGS, &rows));
    number = count_up(&tx, channel);
    tell(&tx, mem, arena_printf(mem, "g.1.c.%s", channel),
         arena_printf(mem, "%" PRId64 " %" PRId64, db_get_int64(&rows, 0, 0), number));
    assert_ok(db_tx_commit(&tx));
}

static void *post_in_channel(void *channel)
{
    for (int i = 0; i < 150; i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(1024);

        post_in_guild(mem, channel);
        outbox_nudge(world.relay);
    }
    return NULL;
}

static void *change_guild(void *data)
{
    (void)data;
    for (int i = 0; i < 30; i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
        CLEANUP(db_tx_done) DbTx tx = {0};

        assert_ok(db_tx_begin_with(world.db, 20000, &tx));
        assert_ok(outbox_lock(&tx, "guild"));
        tell(&tx, mem, "g.1", arena_printf(mem, "%" PRId64 " 0", count_up(&tx, "guild")));
        assert_ok(db_tx_commit(&tx));
        outbox_nudge(world.relay);
    }
    return NULL;
}

static void posts_share_a_guild_and_no_post_overtakes_a_change(void **state)
{
    enum { POSTS = 150, CHANGES = 30, CHANNELS = 2 };
    static char *const names[CHANNELS] = {"1", "2"};
    pthread_t threads[CHANNELS + 1];
    long long last[CHANNELS] = {0}, generation = 0;
    (void)state;

    testing_run_script(world.db, "DROP TABLE IF EXISTS counter; CREATE TABLE counter (key text PRIMARY KEY, n bigint);"
                                 "INSERT INTO counter VALUES ('guild', 0), ('1', 0), ('2', 0)");
    start_relay_with((OutboxOptions){.dispatches = true});
    for (int i = 0; i < CHANNELS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_in_channel, names[i]), 0);
    assert_int_equal(pthread_create(&threads[CHANNELS], NULL, change_guild, NULL), 0);
    for (int i = 0; i <= CHANNELS; i++)
        pthread_join(threads[i], NULL);
    WAIT_UNTIL(unacked() == 0);
    assert_int_equal(testing_stream_messages(world.bus, "DSP_OUTBOXTEST"), CHANNELS * POSTS + CHANGES);
    for (uint64_t seq = 1; seq <= CHANNELS * POSTS + CHANGES; seq++) {
        natsMsg *msg = message_at("DSP_OUTBOXTEST", seq);
        Atrium__Dispatch *d =
            atrium__dispatch__unpack(NULL, (size_t)natsMsg_GetDataLength(msg), (const uint8_t *)natsMsg_GetData(msg));
        char *rest;
        long long of = strtoll(d->mark, &rest, 10), number = strtoll(rest, NULL, 10);

        if (number == 0)
            assert_int_equal(of, ++generation);
        else
            assert_int_equal(number, ++last[natsMsg_GetSubject(msg)[strlen("dsp.outboxtest.g.1.c.")] - '1']);
        assert_int_equal(of, generation);
        atrium__dispatch__free_unpacked(d, NULL);
        natsMsg_Destroy(msg);
    }
}

static void limit_stream(int64_t max_bytes)
{
    jsStreamInfo *info = NULL;
    jsErrCode code;

    assert_int_equal(js_GetStreamInfo(&info, bus_jetstream(world.bus), "EVT_OUTBOXTEST", NULL, &code), NATS_OK);
    info->Config->MaxBytes = max_bytes;
    info->Config->Discard = js_DiscardNew;
    assert_int_equal(js_UpdateStream(NULL, bus_jetstream(world.bus), info->Config, NULL, &code), NATS_OK);
    jsStreamInfo_Destroy(info);
}

static void one_that_is_refused_lets_nothing_of_its_key_by(void **state)
{
    static const char *const order[] = {"a", "b", "a", "a"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    char *large = arena_alloc(mem, 4001, 1);
    (void)state;

    memset(large, 'x', 4000);
    start_relay();
    post("a", "small", true);
    WAIT_UNTIL(unacked() == 0);
    limit_stream(3000);
    stop_relay();
    post("a", large, true);
    post("a", "behind", true);
    post("b", "other", true);
    start_relay();
    WAIT_UNTIL(testing_stream_messages(world.bus, "EVT_OUTBOXTEST") == 2 && unacked() == 2);
    limit_stream(-1);
    WAIT_UNTIL(unacked() == 0);
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        natsMsg *msg = message_at("EVT_OUTBOXTEST", i + 1);

        assert_string_equal(bus_header(msg, "ce-subject"), order[i]);
        assert_true((natsMsg_GetDataLength(msg) > 2000) == (i == 2));
        natsMsg_Destroy(msg);
    }
}

static void a_relay_that_died_before_marking_publishes_nothing_twice(void **state)
{
    (void)state;

    start_relay();
    for (int i = 0; i < 40; i++)
        post(i % 3 ? "a" : "b", "x", true);
    WAIT_UNTIL(unacked() == 0);
    stop_relay();
    /* As if it had been killed between the stream's acknowledgement and the mark. */
    testing_run_script(
        world.db,
        "UPDATE outbox SET acked_at = NULL, ack_stream = NULL, ack_seq = NULL, ack_epoch = NULL WHERE pos > 10");
    start_relay();
    WAIT_UNTIL(unacked() == 0);
    assert_int_equal(testing_stream_messages(world.bus, "EVT_OUTBOXTEST"), 40);
}

static void a_stream_that_lost_messages_gets_them_again(void **state)
{
    jsErrCode code;
    (void)state;

    start_relay();
    for (int i = 0; i < 20; i++)
        post("a", "x", true);
    WAIT_UNTIL(unacked() == 0);
    stop_relay();
    assert_int_equal(js_DeleteStream(bus_jetstream(world.bus), "EVT_OUTBOXTEST", NULL, &code), NATS_OK);
    start_relay();
    WAIT_UNTIL(unacked() == 0 && testing_stream_messages(world.bus, "EVT_OUTBOXTEST") == 20);
    stop_relay();
    /* Same stream, older state: it counts to 20, the outbox remembers more. Those it has are dropped as duplicates. */
    testing_run_script(world.db, "UPDATE outbox SET ack_seq = ack_seq + 5");
    start_relay();
    WAIT_UNTIL(number("SELECT max(ack_seq) FROM outbox WHERE acked_at IS NOT NULL") == 20 && unacked() == 0);
    assert_int_equal(testing_stream_messages(world.bus, "EVT_OUTBOXTEST"), 20);
}

static void a_stream_deleted_while_we_work_is_made_again(void **state)
{
    jsErrCode code;
    (void)state;

    start_relay();
    post("a", "before", true);
    WAIT_UNTIL(unacked() == 0);
    assert_int_equal(js_DeleteStream(bus_jetstream(world.bus), "EVT_OUTBOXTEST", NULL, &code), NATS_OK);
    post("a", "after", true);
    WAIT_UNTIL(unacked() == 0 && testing_stream_messages(world.bus, "EVT_OUTBOXTEST") == 2);
}

static void a_row_nobody_takes_holds_up_only_its_key(void **state)
{
    (void)state;

    testing_run_script(world.db, "INSERT INTO outbox (id, key, subject, ce_type, payload)"
                                 " VALUES (gen_random_uuid(), 'lost', 'nowhere.at.all', 't', '')");
    start_relay();
    post("lost", "x", true);
    post("other", "x", true);
    WAIT_UNTIL(unacked() == 2 && testing_stream_messages(world.bus, "EVT_OUTBOXTEST") == 1);
    WAIT_UNTIL(outbox_backlog(world.relay) == 2);
    testing_run_script(world.db, "DELETE FROM outbox WHERE subject = 'nowhere.at.all'");
    WAIT_UNTIL(unacked() == 0);
}

static void post_dispatch(void)
{
    testing_run_script(world.db, "INSERT INTO outbox (id, key, subject, ce_type, payload)"
                                 " VALUES (gen_random_uuid(), 'g', 'dsp.outboxtest.guild.1', 't', 'x')");
}

static void a_dispatch_stream_found_behind_gives_no_number_twice(void **state)
{
    int64_t given_out;
    (void)state;

    start_relay_with((OutboxOptions){.dispatches = true});
    testing_run_script(world.db,
                       "INSERT INTO outbox (id, key, subject, ce_type, payload)"
                       " SELECT gen_random_uuid(), 'g', 'dsp.outboxtest.guild.1', 't', 'x' FROM generate_series(1, 5)");
    WAIT_UNTIL(unacked() == 0);
    assert_int_equal(testing_stream_messages(world.bus, "DSP_OUTBOXTEST"), 5);
    stop_relay();
    testing_run_script(world.db, "UPDATE outbox SET ack_seq = ack_seq + 5");
    given_out = number("SELECT max(ack_seq) FROM outbox");
    start_relay_with((OutboxOptions){.dispatches = true});
    WAIT_UNTIL(testing_stream_messages(world.bus, "DSP_OUTBOXTEST") == 0);
    post_dispatch();
    WAIT_UNTIL(unacked() == 0);
    assert_true(number("SELECT max(ack_seq) FROM outbox") > given_out + 256);
    stop_relay();
    given_out = number("SELECT max(ack_seq) FROM outbox");
    start_relay_with((OutboxOptions){.dispatches = true}); /* now all is as it should be */
    post_dispatch();
    WAIT_UNTIL(unacked() == 0);
    assert_int_equal(number("SELECT max(ack_seq) FROM outbox"), given_out + 1);
    assert_int_equal(testing_stream_messages(world.bus, "DSP_OUTBOXTEST"), 2);
}

static void a_dispatch_stream_of_another_epoch_gives_no_number_twice(void **state)
{
    jsErrCode code;
    int64_t given_out;
    (void)state;

    start_relay_with((OutboxOptions){.dispatches = true});
    for (int i = 0; i < 5; i++)
        post_dispatch();
    WAIT_UNTIL(unacked() == 0);
    stop_relay();
    given_out = number("SELECT max(ack_seq) FROM outbox");
    assert_int_equal(js_DeleteStream(bus_jetstream(world.bus), "DSP_OUTBOXTEST", NULL, &code), NATS_OK);
    start_relay_with((OutboxOptions){.dispatches = true});
    post_dispatch();
    WAIT_UNTIL(unacked() == 0 && number("SELECT count(DISTINCT ack_epoch) FROM outbox") == 1);
    assert_true(number("SELECT max(ack_seq) FROM outbox") > given_out + 256);
}

static void acknowledged_rows_are_deleted_in_time(void **state)
{
    (void)state;

    start_relay_with((OutboxOptions){.keep_acked_ms = 1, .poll_ms = 10});
    for (int i = 0; i < 5; i++)
        post("a", "x", false);
    WAIT_UNTIL(number("SELECT count(*) FROM outbox") == 0);
    assert_int_equal(testing_stream_messages(world.bus, "EVT_OUTBOXTEST"), 5);
}

static void only_one_of_two_relays_works(void **state)
{
    OutboxRelay *first, *second;
    (void)state;

    start_relay();
    first = MOVE(world.relay);
    start_relay();
    second = MOVE(world.relay);
    for (int i = 0; i < 50; i++)
        post("a", "x", true);
    WAIT_UNTIL(unacked() == 0);
    outbox_relay_stop(first);
    post("a", "last", true);
    WAIT_UNTIL(unacked() == 0);
    assert_int_equal(testing_stream_messages(world.bus, "EVT_OUTBOXTEST"), 51);
    outbox_relay_stop(second);
}

static void relay_rows_of_keys(int keys)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    int64_t start_ms;

    testing_run_script(world.db,
                       arena_printf(mem,
                                    "INSERT INTO outbox (id, key, subject, ce_type, payload)"
                                    " SELECT gen_random_uuid(), 'k' || n %% %d, 'evt.outboxtest.thing.started.k' ||"
                                    " n %% %d, 't', 'payload' FROM generate_series(1, 5000) AS n",
                                    keys, keys));
    start_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    start_relay();
    WAIT_UNTIL(unacked() == 0);
    print_message("5000 rows of %d keys: %" PRId64 " ms\n", keys, clock_monotonic_ms(&SYSTEM_CLOCK) - start_ms);
    assert_int_equal(testing_stream_messages(world.bus, "EVT_OUTBOXTEST"), 5000);
}

static void throughput_is_thousands_a_second(void **state)
{
    (void)state;
    relay_rows_of_keys(100);
}

static void one_key_is_no_slower_than_many(void **state)
{
    (void)state;
    relay_rows_of_keys(1);
}

static void run_command(const char *command, const char *argument)
{
    char line[128];

    snprintf(line, sizeof line, "%s '%s'", command, argument);
    assert_int_equal(system(line), 0);
}

/* A server that is killed and comes back with what it had. */
static void nothing_is_lost_while_the_bus_is_away(void **state)
{
    TestingServer server;
    char config[160], store[] = "/tmp/atrium-outbox-XXXXXX";
    Bus *shared_bus = world.bus;
    (void)state;

    assert_non_null(mkdtemp(store));
    snprintf(config, sizeof config, "jetstream { store_dir: \"%s\" }", store);
    testing_server_start(&server, config);
    assert_ok(bus_connect(&(BusOptions){.url = server.url, .user = "outboxtest"}, 5000, &world.bus));
    start_relay();
    post("a", "before", true);
    WAIT_UNTIL(unacked() == 0);
    testing_server_stop(&server);
    WAIT_UNTIL(!bus_connected(world.bus));
    for (int i = 0; i < 10; i++)
        post("a", "while away", true);
    outbox_nudge(world.relay);
    assert_int_equal(unacked(), 10);
    testing_server_start_again(&server);
    WAIT_UNTIL(unacked() == 0);
    assert_int_equal(testing_stream_messages(world.bus, "EVT_OUTBOXTEST"), 11);
    stop_relay();
    bus_close(world.bus);
    world.bus = shared_bus;
    testing_server_done(&server);
    run_command("rm -rf", store);
}

static uint64_t messages_sent(void)
{
    natsStatistics *counts = NULL;
    uint64_t sent = 0;

    assert_int_equal(natsStatistics_Create(&counts), NATS_OK);
    assert_int_equal(natsConnection_GetStats(bus_nats(world.bus), counts), NATS_OK);
    natsStatistics_GetCounts(counts, NULL, NULL, &sent, NULL, NULL);
    natsStatistics_Destroy(counts);
    return sent;
}

/* The acknowledgement of what a dead server was sent never comes: nobody waits for it until the time is over. */
static void what_was_in_flight_when_the_bus_died_is_sent_again_at_once(void **state)
{
    enum { ACK_TIMEOUT_MS = 5000 };
    TestingServer server;
    Bus *shared_bus = world.bus;
    uint64_t sent;
    int64_t back_ms;
    (void)state;

    testing_server_start(&server, "jetstream");
    assert_ok(bus_connect(&(BusOptions){.url = server.url, .user = "outboxtest"}, 5000, &world.bus));
    start_relay();
    post("a", "before", true);
    WAIT_UNTIL(unacked() == 0);
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    sent = messages_sent();
    post("a", "in flight", true);
    outbox_nudge(world.relay);
    WAIT_UNTIL(messages_sent() > sent);
    testing_server_stop(&server);
    testing_server_start_again(&server);
    back_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    WAIT_UNTIL(unacked() == 0);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - back_ms < ACK_TIMEOUT_MS - 1500);
    assert_int_equal(testing_stream_messages(world.bus, "EVT_OUTBOXTEST"), 2);
    stop_relay();
    bus_close(world.bus);
    world.bus = shared_bus;
    testing_server_done(&server);
}

int main(void)
{
#define RELAY_TEST(f) cmocka_unit_test_setup_teardown(f, clean_start, clean_end)
    const struct CMUnitTest tests[] = {
        RELAY_TEST(an_event_is_published_with_its_cloudevents_headers),
        RELAY_TEST(a_nudge_publishes_within_milliseconds),
        RELAY_TEST(settling_waits_until_the_stream_has_it),
        RELAY_TEST(order_per_key_is_commit_order),
        RELAY_TEST(posts_share_a_guild_and_no_post_overtakes_a_change),
        RELAY_TEST(one_that_is_refused_lets_nothing_of_its_key_by),
        RELAY_TEST(a_relay_that_died_before_marking_publishes_nothing_twice),
        RELAY_TEST(a_stream_that_lost_messages_gets_them_again),
        RELAY_TEST(a_stream_deleted_while_we_work_is_made_again),
        RELAY_TEST(a_row_nobody_takes_holds_up_only_its_key),
        RELAY_TEST(a_dispatch_stream_found_behind_gives_no_number_twice),
        RELAY_TEST(a_dispatch_stream_of_another_epoch_gives_no_number_twice),
        RELAY_TEST(acknowledged_rows_are_deleted_in_time),
        RELAY_TEST(only_one_of_two_relays_works),
        RELAY_TEST(nothing_is_lost_while_the_bus_is_away),
        RELAY_TEST(what_was_in_flight_when_the_bus_died_is_sent_again_at_once),
        RELAY_TEST(throughput_is_thousands_a_second),
        RELAY_TEST(one_key_is_no_slower_than_many),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
