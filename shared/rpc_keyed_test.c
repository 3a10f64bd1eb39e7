/* Tests of rpcs with an Idempotency-Key, whose dispatcher claims it in the handler's transaction. */
#include "shared/db_testing.h"
#include "shared/idempotency.h"
#include "shared/rpc_fixture.h"

typedef struct Keyed {
    atomic_int runs;
    atomic_bool block, blocked;
    bool fail;
} Keyed;

static Err keyed_add(Request *rq, const ProtobufCMessage *in, ProtobufCMessage *out)
{
    Keyed *keyed = (Keyed *)(uintptr_t)rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    int run = atomic_fetch_add(&keyed->runs, 1) + 1;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec(&tx, "INSERT INTO added (text) VALUES ($1)",
                DB_ARGS(db_text(slice(((const Atrium__Status *)in)->text)))));
    atomic_store(&keyed->blocked, atomic_load(&keyed->block));
    while (atomic_load(&keyed->block))
        usleep(1000);
    if (keyed->fail)
        return err_make(&CONFLICT, "not now");
    request_set_status(rq, 201);
    request_set_header(rq, "Location", "/things/1");
    ((Atrium__Status *)out)->text = arena_printf(rq->mem, "run %d", run);
    return db_tx_commit(&tx);
}

static const RpcMethod KEYED_ADD = {"keyed",
                                    "v1",
                                    "Add",
                                    &atrium__status__descriptor,
                                    &atrium__status__descriptor,
                                    RPC_ANYONE,
                                    "",
                                    5000,
                                    "fast",
                                    RPC_IDEMPOTENCY_KEY,
                                    100000,
                                    false};
static const RpcHandler KEYED_HANDLERS[] = {{&KEYED_ADD, keyed_add, NULL}};
static const RpcService KEYED_SERVICE = {"atrium.keyed.v1.KeyedService", "keyed", KEYED_HANDLERS, 1};

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

static const char KEYED_SCHEMA[] = "rpc_keyed_test";

static Db *open_database(Arena *mem)
{
    const char *url = testing_database_url();
    Db *db = NULL;
    char *script = arena_printf(mem,
                                "DROP SCHEMA IF EXISTS %s CASCADE; CREATE SCHEMA %s; SET search_path = %s; "
                                "CREATE TABLE added (text text NOT NULL); %s",
                                KEYED_SCHEMA, KEYED_SCHEMA, KEYED_SCHEMA,
                                read_file(mem, "shared/migrations/0002_idempotency.sql"));

    assert_ok(
        db_new(&(DbOptions){.url = url, .schema = KEYED_SCHEMA, .pool_size = 4, .acquire_timeout_ms = 5000}, &db));
    testing_run_script(db, script);
    return db;
}

static int64_t count_rows(Db *db, const char *sql)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(db_read_with(db, 5000, sql, DB_NO_ARGS, &rows));
    return db_get_int64(&rows, 0, 0);
}

static RawReply add(World *w, const char *key, const char *text)
{
    Atrium__Status in = ATRIUM__STATUS__INIT;
    const BusHeader header = {"Idempotency-Key", key};

    in.text = (char *)(uintptr_t)text;
    return raw_request_bytes(w->mem, w->gateway, bus_rpc_subject(w->mem, w->gateway, "keyed", "v1", "Add"), &header,
                             key ? 1 : 0, message_pack(w->mem, &in.base), 5000);
}

#define TEN "0123456789"
static const char LONG_KEY[] =
    TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "abcdef";

static void a_key_makes_a_request_happen_once(void **state)
{
    World *w = *state;
    static const RpcService *const SERVICES[] = {&KEYED_SERVICE};
    CLEANUP(db_free_at) Db *db = open_database(w->mem);
    CLEANUP(bus_close_at) Bus *bus = testing_bus("keyed");
    Keyed keyed = {0};
    RpcServer *server = NULL;
    RawReply reply;
    natsSubscription *replies = NULL;
    natsMsg *msg = NULL;

    assert_ok(rpc_server_new(
        &(RpcServerOptions){
            .bus = bus, .services = SERVICES, .service_count = 1, .context = &keyed, .db = db, .clock = &SYSTEM_CLOCK},
        &server));
    assert_ok(bus_started(bus));

    reply = add(w, "k1", "one");
    assert_null(reply.code);
    assert_string_equal(reply.body->text, "run 1");
    assert_null(bus_header(reply.msg, "Idempotency-Replayed"));
    raw_reply_done(&reply);

    reply = add(w, "k1", "one"); /* again: the stored reply, all of it */
    assert_null(reply.code);
    assert_string_equal(reply.body->text, "run 1");
    assert_string_equal(bus_header(reply.msg, "Idempotency-Replayed"), "true");
    assert_string_equal(bus_header(reply.msg, "Http-Status"), "201");
    assert_string_equal(bus_header(reply.msg, "Http-Location"), "/things/1");
    raw_reply_done(&reply);

    reply = add(w, "k1", "two");
    assert_string_equal(reply.body->reason, "IDEMPOTENCY_MISMATCH");
    raw_reply_done(&reply);
    reply = add(w, LONG_KEY, "two");
    assert_string_equal(reply.body->reason, "INVALID_ARGUMENT");
    raw_reply_done(&reply);
    assert_int_equal(atomic_load(&keyed.runs), 1);
    assert_int_equal(count_rows(db, "SELECT count(*) FROM added"), 1);

    keyed.fail = true; /* rolls back all: work and claim */
    reply = add(w, "k2", "three");
    assert_string_equal(reply.body->reason, "CONFLICT");
    raw_reply_done(&reply);
    assert_int_equal(count_rows(db, "SELECT count(*) FROM added"), 1);
    keyed.fail = false;
    reply = add(w, "k2", "three");
    assert_null(reply.code);
    assert_string_equal(reply.body->text, "run 3");
    raw_reply_done(&reply);

    /* While the first runs, the second is told so at once. */
    assert_int_equal(natsConnection_SubscribeSync(&replies, bus_nats(w->gateway), "_INBOX.gateway.k"), NATS_OK);
    atomic_store(&keyed.block, true);
    Atrium__Status in = ATRIUM__STATUS__INIT;
    in.text = "four";
    assert_ok(bus_publish(w->gateway, bus_rpc_subject(w->mem, w->gateway, "keyed", "v1", "Add"), "_INBOX.gateway.k",
                          (const BusHeader[]){{"Idempotency-Key", "k3"}}, 1, message_pack(w->mem, &in.base)));
    WAIT_UNTIL(atomic_load(&keyed.blocked));
    reply = add(w, "k3", "four");
    assert_string_equal(reply.body->reason, "IDEMPOTENCY_RUNNING");
    raw_reply_done(&reply);
    atomic_store(&keyed.block, false);
    assert_int_equal(natsSubscription_NextMsg(&msg, replies, 5000), NATS_OK);
    assert_null(bus_header(msg, "Nats-Service-Error-Code"));
    natsMsg_Destroy(msg);
    natsSubscription_Destroy(replies);
    assert_int_equal(count_rows(db, "SELECT count(*) FROM idempotency"), 3);

    reply = add(w, NULL, "no key"); /* runs as often as it is asked */
    raw_reply_done(&reply);
    reply = add(w, NULL, "no key");
    assert_string_equal(reply.body->text, "run 6");
    raw_reply_done(&reply);
    rpc_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(a_key_makes_a_request_happen_once),
    };
    return RUN(tests);
}
