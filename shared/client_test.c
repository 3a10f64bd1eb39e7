/* Tests of client: calls and streams against a real server on the bus. */
#include "shared/client.h"

#include <pthread.h>

#include "shared/rpc_testing.h"

typedef struct World {
    Bus *bus, *chat;
    Echo echo;
    Client *client;
    RpcServer *server;
    Arena *mem;
} World;

static int set_up(void **state)
{
    World *w = xcalloc(1, sizeof *w);

    w->mem = arena_new(4096);
    w->bus = testing_bus("echo");
    w->chat = testing_bus("chat");
    echo_init(&w->echo);
    assert_ok(client_new(w->chat, NULL, &w->client));
    w->server = echo_serve(w->bus, &w->echo, (RpcServerOptions){0});
    assert_ok(bus_started(w->chat));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    World *w = *state;

    rpc_server_free(w->server);
    client_free(w->client);
    bus_close(w->chat);
    bus_close(w->bus);
    arena_free(w->mem);
    sem_destroy(&w->echo.gate);
    free(w);
    return 0;
}

static Err call(World *w, const CallOptions *options, int method, const Atrium__Status *in, const Atrium__Status **out)
{
    ProtobufCMessage *reply = NULL;

    TRY(client_call(w->client, options, w->mem, &ECHO_ROWS[method], &in->base, &reply));
    *out = (const Atrium__Status *)reply;
    return OK;
}

/* --- calls ------------------------------------------------------------------------------------------------------- */
static void a_call_returns_the_reply(void **state)
{
    World *w = *state;
    Atrium__Status in = ATRIUM__STATUS__INIT;
    const Atrium__Status *out = NULL;

    in.text = "hello";
    assert_ok(call(w, NULL, ECHO_ECHO, &in, &out));
    assert_string_equal(out->text, "hello");
}

static void failures_keep_their_reason(void **state)
{
    World *w = *state;
    static const struct {
        const char *reason;
        const Reason *wanted;
        const char *text;
    } ROWS[] = {
        {"echo.v1.TAKEN", &ECHO_TAKEN, "words"},
        {"NOT_FOUND", &NOT_FOUND, "words"},
        {"IDEMPOTENCY_RUNNING", &IDEMPOTENCY_RUNNING, "words"},
        {"INTERNAL", &INTERNAL, "echo.v1.Fail: internal error"},
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Atrium__Status in = ATRIUM__STATUS__INIT;
        const Atrium__Status *out = NULL;
        in.reason = (char *)(uintptr_t)ROWS[i].reason;
        in.text = "words";
        Err e = call(w, NULL, ECHO_FAIL, &in, &out);

        assert_ptr_equal(e.reason, ROWS[i].wanted);
        assert_string_equal(e.text, ROWS[i].text);
    }
}

/* A service that answers as it is told: its reason is of a program that we do not know. */
static void answer_strangely(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    Bus *bus = data;
    Atrium__Status status = ATRIUM__STATUS__INIT;
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    (void)nc, (void)sub;

    status.reason = "strange.v1.UNHEARD_OF";
    bus_publish_lossy(bus, natsMsg_GetReply(msg),
                      (const BusHeader[]){{"Nats-Service-Error-Code", "16"}, {"Nats-Service-Error", "who are you"}}, 2,
                      message_pack(mem, &status.base));
    natsMsg_Destroy(msg);
}

static void an_unknown_reason_becomes_the_common_one(void **state)
{
    World *w = *state;
    static const RpcMethod METHOD = {
        "strange", "v1", "Ask", &atrium__status__descriptor, &atrium__status__descriptor, RPC_ANYONE, "", 5000, "fast",
        0,         1000, false};
    Atrium__Status in = ATRIUM__STATUS__INIT;
    ProtobufCMessage *out = NULL;
    natsSubscription *sub = NULL;

    assert_int_equal(natsConnection_QueueSubscribe(&sub, bus_nats(w->bus),
                                                   bus_svc_subject(w->mem, w->chat, "strange", "v1", "Ask"), "strange",
                                                   answer_strangely, w->bus),
                     NATS_OK);
    assert_ok(bus_started(w->bus));
    Err e = client_call(w->client, NULL, w->mem, &METHOD, &in.base, &out);
    assert_ptr_equal(e.reason, &UNAUTHENTICATED);
    assert_string_equal(e.text, "who are you");
    bus_unsubscribe(sub);
}

static void a_call_without_an_answer_ends_at_its_deadline(void **state)
{
    World *w = *state;
    Atrium__Status in = ATRIUM__STATUS__INIT;
    const Atrium__Status *out = NULL;
    Request rq = {.clock = &SYSTEM_CLOCK, .profile = "all", .client_address = "", .id = ""};
    int64_t began = clock_monotonic_ms(&SYSTEM_CLOCK);

    assert_reason(call(w, &(CallOptions){.timeout_ms = 50}, ECHO_SLOW, &in, &out), &DEADLINE_EXCEEDED);
    rq.deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + 50; /* the request's own counts, too */
    assert_reason(call(w, &(CallOptions){.rq = &rq}, ECHO_SLOW, &in, &out), &DEADLINE_EXCEEDED);
    rq.deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    assert_reason(call(w, &(CallOptions){.rq = &rq}, ECHO_SLOW, &in, &out), &DEADLINE_EXCEEDED);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - began < 3000);
    for (int i = 0; i < 3; i++)
        sem_post(&w->echo.gate);
}

static void a_request_that_is_too_large_is_not_sent(void **state)
{
    World *w = *state;
    static char large[200000];
    Atrium__Status in = ATRIUM__STATUS__INIT;
    const Atrium__Status *out = NULL;

    memset(large, 'x', sizeof large - 1);
    in.text = large;
    assert_reason(call(w, NULL, ECHO_ECHO, &in, &out), &PAYLOAD_TOO_LARGE);
}

static void nobody_there_is_unavailable_at_once(void **state)
{
    World *w = *state;
    Atrium__Status in = ATRIUM__STATUS__INIT;
    const Atrium__Status *out = NULL;
    int64_t began;

    rpc_server_free(MOVE(w->server));
    began = clock_monotonic_ms(&SYSTEM_CLOCK);
    assert_reason(call(w, NULL, ECHO_ECHO, &in, &out), &UNAVAILABLE);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - began >= (CLIENT_TRIES - 1) * CLIENT_RETRY_PAUSE_MS);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - began < 3000); /* far before the 5 s of the rpc */
}

static void *start_later(void *data)
{
    World *w = data;

    w->server = echo_serve(w->bus, &w->echo, (RpcServerOptions){0});
    return NULL;
}

static void a_call_finds_a_service_that_comes_back(void **state)
{
    World *w = *state;
    Atrium__Status in = ATRIUM__STATUS__INIT;
    const Atrium__Status *out = NULL;
    pthread_t thread;

    rpc_server_free(MOVE(w->server));
    in.text = "again";
    assert_int_equal(pthread_create(&thread, NULL, start_later, w), 0);
    /* The first try may find nobody; within the tries the service is there. */
    WAIT_UNTIL(!err_failed(call(w, NULL, ECHO_ECHO, &in, &out)));
    pthread_join(thread, NULL);
    assert_string_equal(out->text, "again");
}

static void a_call_passes_its_request_on(void **state)
{
    World *w = *state;
    Atrium__Status in = ATRIUM__STATUS__INIT;
    const Atrium__Status *out = NULL;
    Request rq = {.clock = &SYSTEM_CLOCK,
                  .deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + 4000,
                  .profile = "media",
                  .client_address = "::1",
                  .id = "r-9",
                  .caller_header = "not.signed"};

    assert_true(trace_parse(SLICE_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), &rq.trace));
    assert_ok(call(w, &(CallOptions){.rq = &rq}, ECHO_WHO_AM_I, &in, &out));
    assert_string_equal(out->text, "0:0:chat:media:::1:r-9:0af7651916cd43dd8448eb211c80319c:1");
    /* The caller went along: a server that looks refuses this one. */
    assert_reason(call(w, &(CallOptions){.rq = &rq}, ECHO_FOR_USERS, &in, &out), &UNAUTHENTICATED);
    /* What only services may call, the service calls as itself. */
    assert_ok(call(w, &(CallOptions){.rq = &rq}, ECHO_FOR_SERVICES, &in, &out));
}

enum { CALLERS = 8, CALLS = 300 };
typedef struct Caller8 {
    World *w;
    int number, good;
} Caller8;

static void *call_many(void *data)
{
    Caller8 *c = data;

    for (int i = 0; i < CALLS; i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
        Atrium__Status in = ATRIUM__STATUS__INIT;
        ProtobufCMessage *out = NULL;
        in.text = arena_printf(mem, "%d-%d", c->number, i);
        Err e = client_call(c->w->client, NULL, mem, &ECHO_ROWS[ECHO_ECHO], &in.base, &out);

        if (!e.reason && strcmp(((Atrium__Status *)out)->text, in.text) == 0)
            c->good++;
    }
    return NULL;
}

static void many_calls_at_once_get_their_own_replies(void **state)
{
    World *w = *state;
    Caller8 callers[CALLERS];
    pthread_t threads[CALLERS];

    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (Caller8){w, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, call_many, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].good, CALLS);
    }
}

static void calls_fail_while_the_bus_is_away_and_work_again_after(void **state)
{
    TestingServer nats;
    World w = {.mem = arena_new(1024)};
    Atrium__Status in = ATRIUM__STATUS__INIT;
    const Atrium__Status *out = NULL;
    (void)state;

    testing_server_start(&nats, "");
    echo_init(&w.echo);
    assert_ok(bus_connect(&(BusOptions){.url = nats.url, .user = "echo"}, 5000, &w.bus));
    assert_ok(bus_connect(&(BusOptions){.url = nats.url, .user = "chat"}, 5000, &w.chat));
    assert_ok(client_new(w.chat, NULL, &w.client));
    w.server = echo_serve(w.bus, &w.echo, (RpcServerOptions){0});
    in.text = "x";
    assert_ok(call(&w, NULL, ECHO_ECHO, &in, &out));
    testing_server_stop(&nats);
    WAIT_UNTIL(!bus_connected(w.chat));
    assert_reason(call(&w, NULL, ECHO_ECHO, &in, &out), &UNAVAILABLE);
    testing_server_start_again(&nats);
    WAIT_UNTIL(bus_connected(w.chat) && bus_connected(w.bus));
    WAIT_UNTIL(!err_failed(call(&w, NULL, ECHO_ECHO, &in, &out))); /* the subscriptions may be a moment later */
    rpc_server_free(w.server);
    client_free(w.client);
    bus_close(w.chat);
    bus_close(w.bus);
    testing_server_done(&nats);
    arena_free(w.mem);
    sem_destroy(&w.echo.gate);
}

typedef struct Asking {
    World *w;
    const RpcMethod *method;
    const char *key;
    Err e;
} Asking;

static void *ask_nobody_who_answers(void *data)
{
    Asking *asking = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Atrium__Status in = ATRIUM__STATUS__INIT;
    ProtobufCMessage *out = NULL;

    asking->e = client_call(asking->w->client, &(CallOptions){.idempotency_key = asking->key}, mem, asking->method,
                            &in.base, &out);
    return NULL;
}

static void swallow(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    (void)nc, (void)sub;
    natsMsg_Destroy(msg);
    atomic_fetch_add((atomic_int *)data, 1);
}

/* Only a request that may be sent again is UNAVAILABLE, which invites to it. */
static void what_waits_when_the_bus_is_lost_ends_at_once(void **state)
{
#define SWALLOWED(manner)                                                                                              \
    {                                                                                                                  \
        "void", "v1", "Ask", &atrium__status__descriptor, &atrium__status__descriptor, RPC_ANYONE, "", 60000, "fast",  \
            manner, 1000, false                                                                                        \
    }
    static const RpcMethod NONE = SWALLOWED(RPC_IDEMPOTENCY_NONE), SAFE = SWALLOWED(RPC_IDEMPOTENCY_SAFE),
                           KEY = SWALLOWED(RPC_IDEMPOTENCY_KEY);
    TestingServer nats;
    World w = {.bus = NULL};
    Asking askings[] = {{&w, &NONE, NULL, OK}, {&w, &SAFE, NULL, OK}, {&w, &KEY, NULL, OK}, {&w, &KEY, "k", OK}};
    const Reason *const wanted[] = {&DEADLINE_EXCEEDED, &UNAVAILABLE, &DEADLINE_EXCEEDED, &UNAVAILABLE};
    pthread_t threads[ARRAY_LEN(askings)];
    natsSubscription *sub = NULL;
    atomic_int swallowed = 0;
    int64_t lost_ms;
    (void)state;

    testing_server_start(&nats, "");
    assert_ok(bus_connect(&(BusOptions){.url = nats.url, .user = "echo"}, 5000, &w.bus));
    assert_ok(bus_connect(&(BusOptions){.url = nats.url, .user = "chat"}, 5000, &w.chat));
    assert_ok(client_new(w.chat, NULL, &w.client));
    assert_int_equal(natsConnection_Subscribe(&sub, bus_nats(w.bus), "svc.main.chat.void.v1.Ask", swallow, &swallowed),
                     NATS_OK);
    assert_ok(bus_started(w.bus));
    for (size_t i = 0; i < ARRAY_LEN(askings); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_nobody_who_answers, &askings[i]), 0);
    WAIT_UNTIL(atomic_load(&swallowed) == ARRAY_LEN(askings));
    lost_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    testing_server_stop(&nats);
    for (size_t i = 0; i < ARRAY_LEN(askings); i++) {
        pthread_join(threads[i], NULL);
        assert_ptr_equal(askings[i].e.reason, wanted[i]);
    }
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - lost_ms < 5000);
    bus_unsubscribe(sub);
    client_free(w.client);
    bus_close(w.chat);
    bus_close(w.bus);
    testing_server_done(&nats);
}

/* --- streams ----------------------------------------------------------------------------------------------------- */
static ClientStream *open_count(World *w, uint32_t count, const char *text, const char *how)
{
    Atrium__Status in = ATRIUM__STATUS__INIT;
    ClientStream *stream = NULL;

    SET(&in, retry_after_s, count);
    in.text = (char *)(uintptr_t)text;
    in.reason = (char *)(uintptr_t)how;
    assert_ok(
        client_stream_open(w->client, &(CallOptions){.timeout_ms = 20000}, &ECHO_ROWS[ECHO_COUNT], &in.base, &stream));
    return stream;
}

/* Reads to the end; returns how it ended, and checks numbers and texts. */
static Err read_all(ClientStream *stream, const char *text, uint32_t *out_count)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);

    for (*out_count = 0;; ++*out_count) {
        ProtobufCMessage *message = NULL;
        int64_t number;

        arena_reset(mem);
        TRY(client_stream_next(stream, mem, &message));
        if (!message)
            return OK;
        assert_true(slice_to_int64(slice(((Atrium__Status *)message)->reason), &number));
        assert_int_equal(number, *out_count + 1);
        assert_string_equal(((Atrium__Status *)message)->text, text);
    }
}

static void a_stream_comes_whole_and_in_order(void **state)
{
    World *w = *state;
    static const uint32_t COUNTS[] = {0, 1, 5000};

    for (size_t i = 0; i < ARRAY_LEN(COUNTS); i++) {
        CLEANUP(client_stream_close_at) ClientStream *stream = open_count(w, COUNTS[i], "some text of a message", NULL);
        CLEANUP(arena_free_at) Arena *mem = arena_new(64);
        ProtobufCMessage *message = NULL;
        uint32_t count;

        assert_ok(read_all(stream, "some text of a message", &count));
        assert_int_equal(count, COUNTS[i]);
        assert_ok(client_stream_next(stream, mem, &message)); /* the end stays the end */
        assert_null(message);
    }
}

static void a_failure_ends_the_stream_with_its_reason(void **state)
{
    World *w = *state;
    CLEANUP(client_stream_close_at) ClientStream *stream = open_count(w, 3, "t", "fail");
    uint32_t count;

    assert_reason(read_all(stream, "t", &count), &ECHO_TAKEN);
    assert_int_equal(count, 3);
}

/* Its worker is free: the same one takes the next. */
static void streams_can_go_on_without_a_thread(void **state)
{
    World *w = *state;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Atrium__Status in = ATRIUM__STATUS__INIT, body = ATRIUM__STATUS__INIT;
    ProtobufCMessage *message;
    ClientStream *readers[3] = {NULL};
    RpcDeferred *deferred[3];
    RpcStream *streams[3];
    Slice packed;
    bool sent;

    body.text = "to all";
    packed = message_pack(mem, &body.base);
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        assert_ok(client_stream_open(w->client, &(CallOptions){.timeout_ms = 20000}, &ECHO_ROWS[ECHO_KEEP], &in.base,
                                     &readers[i]));
        WAIT_UNTIL(atomic_load(&w->echo.deferred));
        streams[i] = atomic_exchange(&w->echo.kept, NULL);
        deferred[i] = atomic_exchange(&w->echo.deferred, NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        assert_ok(rpc_stream_try(streams[i], packed, &sent));
        assert_true(sent);
        rpc_finish(deferred[i], i == 1 ? err_make(&ECHO_TAKEN, "enough") : OK, NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        assert_ok(client_stream_next(readers[i], mem, &message));
        assert_string_equal(((Atrium__Status *)message)->text, "to all");
        if (i == 1) {
            assert_reason(client_stream_next(readers[i], mem, &message), &ECHO_TAKEN);
        } else {
            assert_ok(client_stream_next(readers[i], mem, &message));
            assert_null(message);
        }
        client_stream_close(readers[i]);
    }
}

static void a_reader_without_credit_is_not_waited_for(void **state)
{
    World *w = *state;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Atrium__Status in = ATRIUM__STATUS__INIT, body = ATRIUM__STATUS__INIT;
    ClientStream *reader = NULL;
    ProtobufCMessage *message;
    RpcDeferred *deferred;
    uint32_t given = 0, taken = 0;
    RpcStream *stream;
    Slice packed;
    bool sent;

    body.text = arena_printf(mem, "%0900d", 1);
    packed = message_pack(mem, &body.base);
    assert_ok(
        client_stream_open(w->client, &(CallOptions){.timeout_ms = 20000}, &ECHO_ROWS[ECHO_KEEP], &in.base, &reader));
    WAIT_UNTIL(atomic_load(&w->echo.deferred));
    stream = atomic_exchange(&w->echo.kept, NULL);
    deferred = atomic_exchange(&w->echo.deferred, NULL);
    for (sent = true; sent; given += sent)
        assert_ok(rpc_stream_try(stream, packed, &sent));
    assert_in_range(given, CLIENT_STREAM_CREDIT_BYTES / 2 / 1100, CLIENT_STREAM_CREDIT_BYTES / 900);
    for (; taken < given; taken++)
        assert_ok(client_stream_next(reader, mem, &message));
    WAIT_UNTIL(({
        assert_ok(rpc_stream_try(stream, packed, &sent));
        sent;
    }));
    client_stream_close(reader);
    WAIT_UNTIL(rpc_stream_cancelled(stream));
    assert_reason(rpc_stream_try(stream, packed, &sent), &CANCELLED);
    assert_false(sent);
    rpc_finish(deferred, err_make(&CANCELLED, "the reader is gone"), NULL);
}

static void a_stream_that_is_refused_does_not_open(void **state)
{
    World *w = *state;
    static const RpcMethod FOR_ADMINS = {"echo",
                                         "v1",
                                         "ForAdmins",
                                         &atrium__status__descriptor,
                                         &atrium__status__descriptor,
                                         RPC_ADMIN,
                                         "",
                                         5000,
                                         "fast",
                                         0,
                                         100000,
                                         true};
    Atrium__Status in = ATRIUM__STATUS__INIT;
    ClientStream *stream = NULL;

    assert_reason(client_stream_open(w->client, NULL, &FOR_ADMINS, &in.base, &stream), &PERMISSION_DENIED);
    assert_null(stream);
    rpc_server_free(MOVE(w->server));
    assert_reason(client_stream_open(w->client, NULL, &ECHO_ROWS[ECHO_COUNT], &in.base, &stream), &UNAVAILABLE);
}

static void a_slow_reader_stops_the_producer_at_its_credit(void **state)
{
    enum { TEXT = 1000, COUNT = 2000 };
    World *w = *state;
    static char text[TEXT + 1];
    const int most = CLIENT_STREAM_CREDIT_BYTES / TEXT; /* each costs a little more than its text */
    uint32_t count;
    int sent;

    memset(text, 's', TEXT);
    CLEANUP(client_stream_close_at) ClientStream *stream = open_count(w, COUNT, text, NULL);
    WAIT_UNTIL(atomic_load(&w->echo.streamed) > most * 8 / 10);
    do { /* until it stands still */
        sent = atomic_load(&w->echo.streamed);
        usleep(30 * 1000);
    } while (sent != atomic_load(&w->echo.streamed));
    assert_true(sent <= most);
    assert_ok(read_all(stream, text, &count));
    assert_int_equal(count, COUNT);
}

static void messages_larger_than_the_window_pass(void **state)
{
    enum { TEXT = 700 * 1000, COUNT = 5 };
    World *w = *state;
    static const RpcMethod LARGE = {"echo",
                                    "v1",
                                    "Count",
                                    &atrium__status__descriptor,
                                    &atrium__status__descriptor,
                                    RPC_ANYONE,
                                    "",
                                    20000,
                                    "stream",
                                    0,
                                    1000000,
                                    true};
    static const RpcHandler HANDLERS[] = {{&LARGE, NULL, echo_count}};
    static const RpcService LARGE_SERVICE = {"atrium.echo.v1.LargeService", "echo", HANDLERS, 1};
    static const RpcService *const SERVICES[] = {&LARGE_SERVICE};
    static const RpcLane LANES[] = {{.name = "stream", .threads = 1, .queue_max = 4}};
    static char text[TEXT + 1];
    Atrium__Status in = ATRIUM__STATUS__INIT;
    CLEANUP(client_stream_close_at) ClientStream *stream = NULL;
    uint32_t count;

    rpc_server_free(w->server);
    assert_ok(rpc_server_new(&(RpcServerOptions){.bus = w->bus,
                                                 .services = SERVICES,
                                                 .service_count = 1,
                                                 .lanes = LANES,
                                                 .lane_count = 1,
                                                 .context = &w->echo,
                                                 .clock = &SYSTEM_CLOCK},
                             &w->server));
    assert_ok(bus_started(w->bus));
    memset(text, 'l', TEXT);
    in.text = text;
    SET(&in, retry_after_s, COUNT);
    assert_ok(client_stream_open(w->client, NULL, &LARGE, &in.base, &stream));
    assert_ok(read_all(stream, text, &count));
    assert_int_equal(count, COUNT);
    client_stream_close(MOVE(stream));
}

static void closing_a_stream_cancels_the_producer(void **state)
{
    World *w = *state;
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    ProtobufCMessage *message = NULL;
    ClientStream *stream = open_count(w, 1, "t", "wait");

    assert_ok(client_stream_next(stream, mem, &message)); /* the handler waits for the cancel now */
    client_stream_close(stream);
    WAIT_UNTIL(atomic_load(&w->echo.stream_cancelled));
    atomic_store(&w->echo.stream_cancelled, false);
    stream = open_count(w, 100000, "blocked at its credit", NULL);
    WAIT_UNTIL(atomic_load(&w->echo.streamed) > 1000);
    client_stream_close(stream);
    WAIT_UNTIL(atomic_load(&w->echo.stream_cancelled));
}

static void a_stream_ends_at_its_deadline(void **state)
{
    World *w = *state;
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Atrium__Status in = ATRIUM__STATUS__INIT;
    CLEANUP(client_stream_close_at) ClientStream *stream = NULL;
    ProtobufCMessage *message = NULL;

    SET(&in, retry_after_s, 100000);
    in.text = "never read";
    assert_ok(
        client_stream_open(w->client, &(CallOptions){.timeout_ms = 100}, &ECHO_ROWS[ECHO_COUNT], &in.base, &stream));
    WAIT_UNTIL(atomic_load(&w->echo.stream_cancelled)); /* the producer knows the deadline, too */
    for (;;) {
        Err e = client_stream_next(stream, mem, &message);

        if (e.reason) {
            assert_ptr_equal(e.reason, &CANCELLED);
            break;
        }
        assert_non_null(message);
    }
}

/* A producer by hand, to lose messages: it answers with the numbers it is told. */
typedef struct BadProducer {
    Bus *bus;
    const char *numbers; /* "0 1 3", "b5" is a heartbeat, "e2" the end */
    const char *control; /* told with the 0 */
} BadProducer;

static void send_numbers(const BadProducer *p, const char *reply)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(512);
    Slice rest = slice(p->numbers), one;

    while (rest.len > 0) {
        (void)slice_cut(rest, ' ', &one, &rest); /* without a space, all of it is the one */
        char *text = slice_cstr(mem, one);
        bool beat = text[0] == 'b', end = text[0] == 'e';

        bus_publish_lossy(p->bus, reply,
                          (const BusHeader[]){{beat ? "Atrium-Stream-Beat" : "Atrium-Seq", text + (beat || end)},
                                              {"Atrium-Stream-End", end ? "1" : NULL},
                                              {"Atrium-Stream-Control", text[0] == '0' ? p->control : NULL}},
                          3, (Slice){"", 0});
    }
}

static void produce_badly(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    (void)nc, (void)sub;
    send_numbers(data, natsMsg_GetReply(msg));
    natsMsg_Destroy(msg);
}

static void a_gap_is_an_error_never_a_short_success(void **state)
{
    World *w = *state;
    static const RpcMethod METHOD = {
        "bad", "v1", "Read", &atrium__status__descriptor, &atrium__status__descriptor, RPC_ANYONE, "", 5000, "fast",
        0,     1000, true};
    static const struct {
        const char *numbers;
        uint32_t good;
        bool ends_well;
    } ROWS[] = {
        {"0 1 2 e3", 2, true},    {"0 1 3 e4", 1, false}, /* lost in the middle */
        {"0 1 2 e4", 2, false},                           /* lost before the end */
        {"0 1 b2", 1, false},                             /* lost, and only a heartbeat tells */
        {"0 1 b1 2 e3", 2, true},                         /* heartbeats disturb nothing */
        {"0 1 1 e2", 1, false},   {"0 2 e3", 0, false},
    };
    BadProducer producer = {.bus = w->bus, .control = "svc.main.chat.bad._stream.i.1"};
    natsSubscription *sub = NULL;

    assert_int_equal(natsConnection_QueueSubscribe(&sub, bus_nats(w->bus),
                                                   bus_svc_subject(w->mem, w->chat, "bad", "v1", "Read"), "bad",
                                                   produce_badly, &producer),
                     NATS_OK);
    assert_ok(bus_started(w->bus));
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Atrium__Status in = ATRIUM__STATUS__INIT;
        ClientStream *stream = NULL;
        ProtobufCMessage *message = NULL;
        uint32_t count = 0;
        Err e;

        producer.numbers = ROWS[i].numbers;
        assert_ok(client_stream_open(w->client, NULL, &METHOD, &in.base, &stream));
        while (!(e = client_stream_next(stream, w->mem, &message)).reason && message)
            count++;
        if (count != ROWS[i].good || (e.reason == NULL) != ROWS[i].ends_well)
            fail_msg("%s: %u messages, %s", ROWS[i].numbers, count, e.reason ? e.text : "good");
        if (e.reason)
            assert_ptr_equal(e.reason, &UNAVAILABLE);
        client_stream_close(stream);
    }
    bus_unsubscribe(sub);
}

/* We publish what is for the producer where it tells us to: within its own domain, and nowhere else. */
static void a_producer_is_told_at_its_own_subject_only(void **state)
{
    World *w = *state;
    static const RpcMethod METHOD = {
        "bad", "v1", "Read", &atrium__status__descriptor, &atrium__status__descriptor, RPC_ANYONE, "", 5000, "fast",
        0,     1000, true};
    const struct {
        const char *control;
        bool told;
    } ROWS[] = {
        {arena_printf(w->mem, "svc.%s.chat.bad._stream.i.1", bus_slot(w->chat)), true},
        {arena_printf(w->mem, "svc.%s.chat.echo._stream.i.1", bus_slot(w->chat)), false},
        {arena_printf(w->mem, "svc.%s.chat.bad.v1.Delete", bus_slot(w->chat)), false},
        {arena_printf(w->mem, "svc.%s.chat.bad._stream.", bus_slot(w->chat)), false},
        {"evt.bad.made.up", false},
    };
    BadProducer producer = {.bus = w->bus, .numbers = "0 1"};
    natsSubscription *sub = NULL;

    assert_int_equal(natsConnection_QueueSubscribe(&sub, bus_nats(w->bus),
                                                   bus_svc_subject(w->mem, w->chat, "bad", "v1", "Read"), "bad",
                                                   produce_badly, &producer),
                     NATS_OK);
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Atrium__Status in = ATRIUM__STATUS__INIT;
        ClientStream *stream = NULL;
        ProtobufCMessage *message = NULL;
        natsSubscription *there = NULL;
        natsMsg *msg = NULL;

        producer.control = ROWS[i].control;
        assert_int_equal(natsConnection_SubscribeSync(&there, bus_nats(w->bus), "*.>"), NATS_OK);
        assert_ok(bus_started(w->bus));
        assert_ok(client_stream_open(w->client, NULL, &METHOD, &in.base, &stream));
        assert_ok(client_stream_next(stream, w->mem, &message));
        client_stream_close(stream);
        bus_publish_lossy(w->chat, "the.end", NULL, 0, (Slice){"", 0});
        for (bool told = false, over = false; !over; natsMsg_Destroy(msg)) {
            assert_int_equal(natsSubscription_NextMsg(&msg, there, 5000), NATS_OK);
            told = told || strcmp(natsMsg_GetSubject(msg), ROWS[i].control) == 0;
            over = strcmp(natsMsg_GetSubject(msg), "the.end") == 0;
            if (over && told != ROWS[i].told)
                fail_msg("%s: %s", ROWS[i].control, told ? "told" : "not told");
        }
        bus_unsubscribe(there);
    }
    bus_unsubscribe(sub);
}

/* --- silence, which takes its time: 15 s each, both at once ------------------------------------------------------ */
static void the_silent_are_given_up(void **state)
{
    World *w = *state;
    static const RpcMethod METHOD = {
        "mute", "v1", "Read", &atrium__status__descriptor, &atrium__status__descriptor, RPC_ANYONE, "", 60000, "fast",
        0,      1000, true};
    BadProducer producer = {.bus = w->bus, .numbers = "0 1", .control = "svc.main.chat.mute._stream.i.1"};
    natsSubscription *sub = NULL;
    Atrium__Status in = ATRIUM__STATUS__INIT;
    CLEANUP(client_stream_close_at) ClientStream *stream = NULL;
    CLEANUP(client_stream_close_at) ClientStream *slow = open_count(w, 300, "slow but alive", NULL);
    ProtobufCMessage *message = NULL;
    uint32_t count;

    assert_int_equal(natsConnection_QueueSubscribe(&sub, bus_nats(w->bus),
                                                   bus_svc_subject(w->mem, w->chat, "mute", "v1", "Read"), "mute",
                                                   produce_badly, &producer),
                     NATS_OK);
    assert_ok(bus_started(w->bus));
    /* A reader that only asks, and is never heard again. */
    SET(&in, retry_after_s, 100000);
    in.text = "to nobody";
    assert_ok(bus_publish(w->chat, bus_svc_subject(w->mem, w->chat, "echo", "v1", "Count"), "_INBOX.chat.nobody",
                          (const BusHeader[]){{"Atrium-Stream-Credit", "5000"}, {"Atrium-Timeout-Ms", "60000"}}, 2,
                          message_pack(w->mem, &in.base)));
    assert_ok(client_stream_open(w->client, NULL, &METHOD, &in.base, &stream));
    assert_ok(client_stream_next(stream, w->mem, &message));
    assert_reason(client_stream_next(stream, w->mem, &message), &UNAVAILABLE);
    WAIT_UNTIL(atomic_load(&w->echo.stream_cancelled));
    /* One that reads nothing but lives is kept. */
    assert_ok(read_all(slow, "slow but alive", &count));
    assert_int_equal(count, 300);
    bus_unsubscribe(sub);
}

int main(void)
{
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(a_call_returns_the_reply),
        WITH_WORLD(failures_keep_their_reason),
        WITH_WORLD(an_unknown_reason_becomes_the_common_one),
        WITH_WORLD(a_call_without_an_answer_ends_at_its_deadline),
        WITH_WORLD(a_request_that_is_too_large_is_not_sent),
        WITH_WORLD(nobody_there_is_unavailable_at_once),
        WITH_WORLD(a_call_finds_a_service_that_comes_back),
        WITH_WORLD(a_call_passes_its_request_on),
        WITH_WORLD(many_calls_at_once_get_their_own_replies),
        cmocka_unit_test(calls_fail_while_the_bus_is_away_and_work_again_after),
        cmocka_unit_test(what_waits_when_the_bus_is_lost_ends_at_once),
        WITH_WORLD(a_stream_comes_whole_and_in_order),
        WITH_WORLD(a_failure_ends_the_stream_with_its_reason),
        WITH_WORLD(streams_can_go_on_without_a_thread),
        WITH_WORLD(a_reader_without_credit_is_not_waited_for),
        WITH_WORLD(a_stream_that_is_refused_does_not_open),
        WITH_WORLD(a_slow_reader_stops_the_producer_at_its_credit),
        WITH_WORLD(messages_larger_than_the_window_pass),
        WITH_WORLD(closing_a_stream_cancels_the_producer),
        WITH_WORLD(a_stream_ends_at_its_deadline),
        WITH_WORLD(a_gap_is_an_error_never_a_short_success),
        WITH_WORLD(a_producer_is_told_at_its_own_subject_only),
        WITH_WORLD(the_silent_are_given_up),
    };
    return RUN(tests);
}
