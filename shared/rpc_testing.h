/* rpc_testing: a service for tests of server and client, its rows written by hand over atrium.Status, and raw requests
 * as the gateway or another service would send them. */
#pragma once
#include <semaphore.h>

#include "atrium/bus.pb-c.h"
#include "shared/bus_testing.h"
#include "shared/client.h"
#include "shared/fiber.h"

static const Reason ECHO_TAKEN = {.key = "echo.v1.TAKEN", .code = "TAKEN", .http = 409, .bus = 6, .shown = true};

/* What handlers share with the tests. */
enum { ECHO_FIBERS = 4, ECHO_NAP_MS = 50 };

typedef struct Echo {
    sem_t gate;        /* Slow waits for it */
    atomic_int inside; /* handlers of Slow at the gate */
    atomic_int runs;
    RpcDeferred *_Atomic deferred;
    RpcStream *_Atomic kept; /* the stream of that */
    Caller caller;           /* of the last WhoAmI, its texts are gone */
    char seen[256];
    atomic_bool stream_cancelled;
    atomic_int streamed; /* messages that Count has sent */
    atomic_int napping, napping_most;
} Echo;

static Err echo_echo(Request *rq, const ProtobufCMessage *in, ProtobufCMessage *out)
{
    const Atrium__Status *from = (const Atrium__Status *)in;
    (void)rq;

    ((Atrium__Status *)out)->text = from->text;
    return OK;
}

static Err echo_fail(Request *rq, const ProtobufCMessage *in, ProtobufCMessage *out)
{
    const Atrium__Status *from = (const Atrium__Status *)in;
    const Reason *reason = reason_find(from->reason);
    (void)out;

    if (from->has_retry_after_s)
        request_set_retry_after(rq, from->retry_after_s);
    if (from->details)
        request_set_details(rq, from->details);
    if (reason == &INVALID_ARGUMENT) {
        request_add_violation(rq, ATRIUM__PART__BODY, "user.name", "string_too_short", "at least %d", 3);
        request_violation_context(rq, "min_length", 3);
    }
    return err_make(reason ? reason : &ECHO_TAKEN, "%s", from->text);
}

static Err echo_who_am_i(Request *rq, const ProtobufCMessage *in, ProtobufCMessage *out)
{
    Echo *echo = (Echo *)(uintptr_t)rq->service;
    (void)in, (void)out;

    echo->caller = rq->caller;
    snprintf(echo->seen, sizeof echo->seen, "%d:%" PRId64 ":%s:%s:%s:%s:%s:%d", (int)rq->caller.kind,
             rq->caller.user_id, rq->caller.service, rq->profile, rq->client_address, rq->id, rq->trace.trace_id,
             request_remaining_ms(rq) > 0 && request_remaining_ms(rq) <= 5000);
    ((Atrium__Status *)out)->text = echo->seen;
    return OK;
}

static Err echo_slow(Request *rq, const ProtobufCMessage *in, ProtobufCMessage *out)
{
    Echo *echo = (Echo *)(uintptr_t)rq->service;
    (void)in, (void)out;

    atomic_fetch_add(&echo->runs, 1);
    atomic_fetch_add(&echo->inside, 1);
    sem_wait(&echo->gate);
    atomic_fetch_sub(&echo->inside, 1);
    return OK;
}

static Err echo_defer(Request *rq, const ProtobufCMessage *in, ProtobufCMessage *out)
{
    Echo *echo = (Echo *)(uintptr_t)rq->service;
    RpcDeferred *d = NULL;
    Err e = rpc_defer(rq, &d);
    (void)in, (void)out;

    atomic_store(&echo->deferred, d);
    return e;
}

static Err echo_big(Request *rq, const ProtobufCMessage *in, ProtobufCMessage *out)
{
    size_t len = ((const Atrium__Status *)in)->retry_after_s;
    char *text = arena_alloc(rq->mem, len + 1, 1);

    memset(text, 'b', len);
    ((Atrium__Status *)out)->text = text;
    return OK;
}

static Err echo_decorate(Request *rq, const ProtobufCMessage *in, ProtobufCMessage *out)
{
    (void)in;
    request_set_status(rq, 201);
    request_set_header(rq, "Set-Cookie", "a=b\r\nX-Evil: 1");
    request_set_after(rq, "mark-7");
    ((Atrium__Status *)out)->text = (char *)(uintptr_t)request_header(rq, "if-match");
    return OK;
}

/* Leaves its stream to the test. */
static Err echo_keep(Request *rq, const ProtobufCMessage *in, RpcStream *out)
{
    Echo *echo = (Echo *)(uintptr_t)rq->service;
    RpcDeferred *d = NULL;
    Err e = rpc_defer(rq, &d);
    (void)in;

    atomic_store(&echo->kept, out);
    atomic_store(&echo->deferred, d);
    return e;
}

/* Sends `retry_after_s` messages with `text`, each with its number as reason. With "fail" as reason it fails at the
 * end. */
static Err echo_count(Request *rq, const ProtobufCMessage *in, RpcStream *out)
{
    Echo *echo = (Echo *)(uintptr_t)rq->service;
    const Atrium__Status *from = (const Atrium__Status *)in;

    for (uint32_t i = 1; i <= from->retry_after_s; i++) {
        Atrium__Status message = ATRIUM__STATUS__INIT;
        char number[16];
        Err e;

        snprintf(number, sizeof number, "%u", i);
        message.reason = number;
        message.text = from->text;
        e = rpc_stream_send(out, &message.base);
        if (e.reason) {
            atomic_store(&echo->stream_cancelled, true);
            return e;
        }
        atomic_fetch_add(&echo->streamed, 1);
    }
    if (from->reason && strcmp(from->reason, "fail") == 0)
        return err_make(&ECHO_TAKEN, "at the end");
    if (from->reason && strcmp(from->reason, "wait") == 0) {
        while (!rpc_stream_cancelled(out))
            usleep(1000);
        atomic_store(&echo->stream_cancelled, true);
    }
    return OK;
}

/* Sleeps for a moment in its fiber, then answers as Echo does. */
static Err echo_nap(Request *rq, const ProtobufCMessage *in, ProtobufCMessage *out)
{
    Echo *echo = (Echo *)rq->service;
    int now = atomic_fetch_add(&echo->napping, 1) + 1;

    if (now > atomic_load(&echo->napping_most)) /* one thread: nobody comes between */
        atomic_store(&echo->napping_most, now);
    (void)fiber_park(clock_monotonic_ms(&SYSTEM_CLOCK) + ECHO_NAP_MS);
    atomic_fetch_sub(&echo->napping, 1);
    return echo_echo(rq, in, out);
}

#define ECHO_METHOD(rpc, policy, lane_name, ...)                                                                       \
    {                                                                                                                  \
        .domain = "echo", .version = "v1", .name = rpc, .request = &atrium__status__descriptor,                        \
        .reply = &atrium__status__descriptor, .caller = policy, .permission = "", .timeout_ms = 5000,                  \
        .lane = lane_name, .max_bytes = 100000, __VA_ARGS__                                                            \
    }

enum {
    ECHO_ECHO,
    ECHO_FAIL,
    ECHO_WHO_AM_I,
    ECHO_FOR_USERS,
    ECHO_FOR_ADMINS,
    ECHO_FOR_SERVICES,
    ECHO_FOR_GATEWAY,
    ECHO_PERMITTED,
    ECHO_SLOW,
    ECHO_DEFER,
    ECHO_BIG,
    ECHO_DECORATE,
    ECHO_COUNT,
    ECHO_KEEP,
    ECHO_NAP,
    ECHO_METHODS
};

static const RpcMethod ECHO_ROWS[ECHO_METHODS] = {
    [ECHO_ECHO] = ECHO_METHOD("Echo", RPC_ANYONE, "fast"),
    [ECHO_FAIL] = ECHO_METHOD("Fail", RPC_ANYONE, "fast"),
    [ECHO_WHO_AM_I] = ECHO_METHOD("WhoAmI", RPC_OPTIONAL, "fast"),
    [ECHO_FOR_USERS] = ECHO_METHOD("ForUsers", RPC_USER, "fast"),
    [ECHO_FOR_ADMINS] = ECHO_METHOD("ForAdmins", RPC_ADMIN, "fast"),
    [ECHO_FOR_SERVICES] = ECHO_METHOD("ForServices", RPC_SERVICE, "fast"),
    [ECHO_FOR_GATEWAY] = ECHO_METHOD("ForGateway", RPC_GATEWAY, "fast"),
    [ECHO_PERMITTED] = {"echo", "v1", "Permitted", &atrium__status__descriptor, &atrium__status__descriptor, RPC_USER,
                        "echo.do", 5000, "fast", RPC_IDEMPOTENCY_NONE, 100000, false},
    [ECHO_SLOW] = ECHO_METHOD("Slow", RPC_ANYONE, "slow"),
    [ECHO_DEFER] = ECHO_METHOD("Defer", RPC_ANYONE, "slow"),
    [ECHO_BIG] = ECHO_METHOD("Big", RPC_ANYONE, "fast"),
    [ECHO_DECORATE] = ECHO_METHOD("Decorate", RPC_ANYONE, "fast"),
    [ECHO_NAP] = ECHO_METHOD("Nap", RPC_ANYONE, "reads"),
    [ECHO_COUNT] = ECHO_METHOD("Count", RPC_ANYONE, "stream", .streams = true),
    [ECHO_KEEP] = ECHO_METHOD("Keep", RPC_ANYONE, "slow", .streams = true),
};

static const RpcHandler ECHO_HANDLERS[ECHO_METHODS] = {
    {&ECHO_ROWS[ECHO_ECHO], echo_echo, NULL},
    {&ECHO_ROWS[ECHO_FAIL], echo_fail, NULL},
    {&ECHO_ROWS[ECHO_WHO_AM_I], echo_who_am_i, NULL},
    {&ECHO_ROWS[ECHO_FOR_USERS], echo_who_am_i, NULL},
    {&ECHO_ROWS[ECHO_FOR_ADMINS], echo_who_am_i, NULL},
    {&ECHO_ROWS[ECHO_FOR_SERVICES], echo_who_am_i, NULL},
    {&ECHO_ROWS[ECHO_FOR_GATEWAY], echo_who_am_i, NULL},
    {&ECHO_ROWS[ECHO_PERMITTED], echo_who_am_i, NULL},
    {&ECHO_ROWS[ECHO_SLOW], echo_slow, NULL},
    {&ECHO_ROWS[ECHO_DEFER], echo_defer, NULL},
    {&ECHO_ROWS[ECHO_BIG], echo_big, NULL},
    {&ECHO_ROWS[ECHO_DECORATE], echo_decorate, NULL},
    {&ECHO_ROWS[ECHO_COUNT], NULL, echo_count},
    {&ECHO_ROWS[ECHO_KEEP], NULL, echo_keep},
    {&ECHO_ROWS[ECHO_NAP], echo_nap, NULL},
};

static const RpcService ECHO_SERVICE = {"atrium.echo.v1.EchoService", "echo", ECHO_HANDLERS, ECHO_METHODS};

static inline void echo_init(Echo *echo)
{
    static const Reason *const REASONS[] = {&ECHO_TAKEN};

    if (!reason_find(ECHO_TAKEN.key))
        reasons_add(REASONS, 1);
    memset(echo, 0, sizeof *echo);
    sem_init(&echo->gate, 0, 0);
}

static inline RpcServer *echo_serve(Bus *bus, Echo *echo, RpcServerOptions options)
{
    static const RpcService *const SERVICES[] = {&ECHO_SERVICE};
    static const RpcLane LANES[] = {{.name = "fast", .threads = 2, .queue_max = 1024},
                                    {.name = "slow", .threads = 1, .queue_max = 2, .nice = 10},
                                    {.name = "reads", .fibers = ECHO_FIBERS, .queue_max = 1024},
                                    {.name = "stream", .threads = 2, .queue_max = 16}};
    RpcServer *server = NULL;

    options.bus = bus;
    options.services = SERVICES;
    options.service_count = 1;
    options.lanes = LANES;
    options.lane_count = ARRAY_LEN(LANES);
    options.context = echo;
    options.clock = options.clock ? options.clock : &SYSTEM_CLOCK;
    options.version = "1.2.3";
    options.commit = "abc";
    assert_ok(rpc_server_new(&options, &server));
    assert_ok(bus_started(bus));
    return server;
}

/* --- raw requests ------------------------------------------------------------------------------------------------ */
typedef struct RawReply {
    natsMsg *msg; /* owned; NULL when none came */
    natsStatus status;
    const Atrium__Status *body; /* of the arena */
    const char *code;           /* Nats-Service-Error-Code; NULL when good */
} RawReply;

/* `how` is "rpc" or "svc". */
static inline char *raw_subject(Arena *mem, Bus *bus, const char *how, const char *method)
{
    return strcmp(how, "rpc") == 0 ? bus_rpc_subject(mem, bus, "echo", "v1", method)
                                   : bus_svc_subject(mem, bus, "echo", "v1", method);
}

static inline RawReply raw_request_bytes(Arena *mem, Bus *bus, const char *subject, const BusHeader *headers,
                                         size_t header_count, Slice body, int64_t timeout_ms)
{
    RawReply reply = {0};
    natsMsg *msg = NULL;
    ProtobufCMessage *status;

    assert_int_equal(natsMsg_Create(&msg, subject, NULL, body.ptr, (int)body.len), NATS_OK);
    for (size_t i = 0; i < header_count; i++)
        assert_int_equal(natsMsgHeader_Set(msg, headers[i].name, headers[i].value), NATS_OK);
    reply.status = natsConnection_RequestMsg(&reply.msg, bus_nats(bus), msg, timeout_ms);
    natsMsg_Destroy(msg);
    if (reply.status != NATS_OK)
        return reply;
    reply.code = bus_header(reply.msg, "Nats-Service-Error-Code");
    assert_ok(message_unpack(mem, &atrium__status__descriptor,
                             slice_of(natsMsg_GetData(reply.msg), (size_t)natsMsg_GetDataLength(reply.msg)), &status));
    reply.body = (const Atrium__Status *)status;
    return reply;
}

static inline RawReply raw_request(Arena *mem, Bus *bus, const char *how, const char *method, const BusHeader *headers,
                                   size_t header_count, const Atrium__Status *body)
{
    return raw_request_bytes(mem, bus, raw_subject(mem, bus, how, method), headers, header_count,
                             message_pack(mem, &body->base), 5000);
}

static inline void raw_reply_done(RawReply *reply)
{
    natsMsg_Destroy(reply->msg);
}
