/* Tests of the rpc server's lanes: queues and what is refused, fibers, deferral, drain. */
#include <pthread.h>

#include "shared/rpc_fixture.h"

static void send_slow(World *w, natsSubscription **replies, const char *inbox, const char *timeout_ms)
{
    const BusHeader header = {"Atrium-Timeout-Ms", timeout_ms};

    assert_int_equal(natsConnection_SubscribeSync(replies, bus_nats(w->gateway), inbox), NATS_OK);
    assert_ok(
        bus_publish(w->gateway, raw_subject(w->mem, w->gateway, "rpc", "Slow"), inbox, &header, 1, SLICE_LIT("")));
}

static void a_full_queue_answers_at_once(void **state)
{
    World *w = *state;
    natsSubscription *replies[3] = {0};
    natsMsg *msg = NULL;
    Atrium__Status in = ATRIUM__STATUS__INIT;
    Counter *rejected = metrics_counter(
        w->metrics, "atrium_rpc_rejected_total",
        "Requests refused because their lane was full, or could not begin them in time.", "lane=\"slow\"");
    Gauge *length =
        metrics_gauge(w->metrics, "atrium_rpc_queue_length", "Requests waiting for a worker.", "lane=\"slow\"");

    send_slow(w, &replies[0], "_INBOX.gateway.a", "20000");
    WAIT_UNTIL(atomic_load(&w->echo.inside) == 1); /* the one worker is busy */
    send_slow(w, &replies[1], "_INBOX.gateway.b", "20000");
    send_slow(w, &replies[2], "_INBOX.gateway.c", "20000"); /* two wait: full */
    WAIT_UNTIL(gauge_value(length) == 2.0);
    RawReply reply = raw_request(w->mem, w->gateway, "rpc", "Slow", NULL, 0, &in);
    assert_string_equal(reply.code, "14");
    assert_string_equal(reply.body->reason, "UNAVAILABLE");
    assert_int_equal(reply.body->retry_after_s, 1);
    raw_reply_done(&reply);
    assert_int_equal(counter_value(rejected), 1);
    /* The other lane is not disturbed. */
    reply = raw_request(w->mem, w->gateway, "rpc", "Echo", NULL, 0, &in);
    assert_null(reply.code);
    raw_reply_done(&reply);
    for (int i = 0; i < 3; i++)
        sem_post(&w->echo.gate);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(natsSubscription_NextMsg(&msg, replies[i], 5000), NATS_OK);
        natsMsg_Destroy(msg);
        natsSubscription_Destroy(replies[i]);
    }
    assert_true(gauge_value(length) == 0.0);
}

/* The lane has seen that a request takes about SLOW_MS; one waits, and the next has less time than that needs. */
static void what_cannot_begin_in_time_is_refused_at_once(void **state)
{
    enum { SLOW_MS = 100, TIMES = 12 };
    World *w = *state;
    natsSubscription *replies[3] = {0};
    natsMsg *msg = NULL;
    Gauge *length =
        metrics_gauge(w->metrics, "atrium_rpc_queue_length", "Requests waiting for a worker.", "lane=\"slow\"");

    for (int i = 0; i < TIMES; i++) {
        send_slow(w, &replies[0], "_INBOX.gateway.g", "20000");
        WAIT_UNTIL(atomic_load(&w->echo.inside) == 1);
        usleep(SLOW_MS * 1000);
        sem_post(&w->echo.gate);
        assert_int_equal(natsSubscription_NextMsg(&msg, replies[0], 5000), NATS_OK);
        natsMsg_Destroy(msg);
        natsSubscription_Destroy(replies[0]);
    }
    send_slow(w, &replies[0], "_INBOX.gateway.h", "20000");
    WAIT_UNTIL(atomic_load(&w->echo.inside) == 1);
    send_slow(w, &replies[1], "_INBOX.gateway.i", "20000");
    WAIT_UNTIL(gauge_value(length) == 1.0);
    send_slow(w, &replies[2], "_INBOX.gateway.j", "30"); /* the one that waits needs more */
    assert_int_equal(natsSubscription_NextMsg(&msg, replies[2], 5000), NATS_OK);
    assert_string_equal(bus_header(msg, "Nats-Service-Error-Code"), "14");
    natsMsg_Destroy(msg);
    assert_int_equal(atomic_load(&w->echo.runs), TIMES + 1);
    for (int i = 0; i < 2; i++)
        sem_post(&w->echo.gate);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(natsSubscription_NextMsg(&msg, replies[i], 5000), NATS_OK);
        natsMsg_Destroy(msg);
    }
    for (int i = 0; i < 3; i++)
        natsSubscription_Destroy(replies[i]);
}

static void fibers_take_many_requests_in_one_thread_and_the_rest_in_turn(void **state)
{
    World *w = *state;
    natsSubscription *replies = NULL;
    natsMsg *msg = NULL;

    assert_int_equal(natsConnection_SubscribeSync(&replies, bus_nats(w->gateway), "_INBOX.gateway.n"), NATS_OK);
    for (int i = 0; i < 3 * ECHO_FIBERS; i++)
        assert_ok(bus_publish(w->gateway, raw_subject(w->mem, w->gateway, "rpc", "Nap"), "_INBOX.gateway.n", NULL, 0,
                              SLICE_LIT("")));
    for (int i = 0; i < 3 * ECHO_FIBERS; i++) {
        assert_int_equal(natsSubscription_NextMsg(&msg, replies, 5000), NATS_OK);
        assert_null(bus_header(msg, "Nats-Service-Error"));
        natsMsg_Destroy(msg);
    }
    assert_int_equal(atomic_load(&w->echo.napping_most), ECHO_FIBERS);
    natsSubscription_Destroy(replies);
}

/* Without waiting for them first: a drain that was too short for all that there is. */
static void a_server_that_is_freed_lets_its_fibers_end(void **state)
{
    World *w = *state;
    natsSubscription *replies = NULL;
    natsMsg *msg = NULL;

    assert_int_equal(natsConnection_SubscribeSync(&replies, bus_nats(w->gateway), "_INBOX.gateway.f"), NATS_OK);
    for (int i = 0; i < 3 * ECHO_FIBERS; i++)
        assert_ok(bus_publish(w->gateway, raw_subject(w->mem, w->gateway, "rpc", "Nap"), "_INBOX.gateway.f", NULL, 0,
                              SLICE_LIT("")));
    WAIT_UNTIL(atomic_load(&w->echo.napping) == ECHO_FIBERS);
    rpc_server_free(MOVE(w->server));
    for (int i = 0; i < 3 * ECHO_FIBERS; i++) {
        assert_int_equal(natsSubscription_NextMsg(&msg, replies, 5000), NATS_OK);
        natsMsg_Destroy(msg);
    }
    natsSubscription_Destroy(replies);
}

static void expired_work_is_dropped(void **state)
{
    World *w = *state;
    natsSubscription *replies[2] = {0};
    natsMsg *msg = NULL;

    send_slow(w, &replies[0], "_INBOX.gateway.d", "20000");
    WAIT_UNTIL(atomic_load(&w->echo.inside) == 1);
    send_slow(w, &replies[1], "_INBOX.gateway.e", "30"); /* expires while it waits */
    usleep(60 * 1000);                                   /* longer than its life, by the server's own clock */
    sem_post(&w->echo.gate);
    sem_post(&w->echo.gate);
    assert_int_equal(natsSubscription_NextMsg(&msg, replies[0], 5000), NATS_OK);
    natsMsg_Destroy(msg);
    Counter *expired = metrics_counter(w->metrics, "atrium_rpc_requests_total", "Requests answered, by outcome.",
                                       "service=\"echo\",rpc=\"Slow\",code=\"DEADLINE_EXCEEDED\"");
    WAIT_UNTIL(counter_value(expired) == 1);
    assert_int_equal(atomic_load(&w->echo.runs), 1);
    assert_int_equal(natsSubscription_NextMsg(&msg, replies[1], 1), NATS_TIMEOUT); /* nobody waits for an answer */
    natsSubscription_Destroy(replies[0]);
    natsSubscription_Destroy(replies[1]);
}

static void a_deferred_request_is_answered_later(void **state)
{
    World *w = *state;
    natsSubscription *replies = NULL;
    natsMsg *msg = NULL;
    RpcDeferred *d;
    Atrium__Status *out;
    Atrium__Status in = ATRIUM__STATUS__INIT;

    assert_int_equal(natsConnection_SubscribeSync(&replies, bus_nats(w->gateway), "_INBOX.gateway.f"), NATS_OK);
    for (int round = 0; round < 2; round++) {
        assert_ok(bus_publish(w->gateway, raw_subject(w->mem, w->gateway, "rpc", "Defer"), "_INBOX.gateway.f", NULL, 0,
                              SLICE_LIT("")));
        WAIT_UNTIL(atomic_load(&w->echo.deferred));
        /* Its one worker is free. */
        sem_post(&w->echo.gate);
        RawReply other = raw_request(w->mem, w->gateway, "rpc", "Slow", NULL, 0, &in);
        assert_null(other.code);
        raw_reply_done(&other);
        d = atomic_exchange(&w->echo.deferred, NULL);
        out = MESSAGE_NEW(rpc_deferred_request(d)->mem, Atrium__Status, atrium__status__init);
        out->text = "later";
        rpc_finish(d, round == 0 ? OK : err_make(&NOT_FOUND, "gone"), &out->base);
        assert_int_equal(natsSubscription_NextMsg(&msg, replies, 5000), NATS_OK);
        assert_int_equal(bus_header(msg, "Nats-Service-Error-Code") != NULL, round == 1);
        natsMsg_Destroy(msg);
    }
    natsSubscription_Destroy(replies);
}

static void *free_the_gate(void *data)
{
    World *w = data;

    usleep(20 * 1000); /* let the drain begin; it must work in either order */
    sem_post(&w->echo.gate);
    sem_post(&w->echo.gate);
    return NULL;
}

static void a_drain_finishes_what_was_taken(void **state)
{
    World *w = *state;
    natsSubscription *replies[2] = {0};
    natsMsg *msg = NULL;
    pthread_t thread;
    Atrium__Status in = ATRIUM__STATUS__INIT;

    send_slow(w, &replies[0], "_INBOX.gateway.g", "20000");
    send_slow(w, &replies[1], "_INBOX.gateway.h", "20000");
    WAIT_UNTIL(atomic_load(&w->echo.inside) == 1);
    assert_int_equal(pthread_create(&thread, NULL, free_the_gate, w), 0);
    rpc_server_drain(w->server, 10000);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(natsSubscription_NextMsg(&msg, replies[i], 5000), NATS_OK);
        natsMsg_Destroy(msg);
        natsSubscription_Destroy(replies[i]);
    }
    RawReply reply = raw_request(w->mem, w->gateway, "rpc", "Echo", NULL, 0, &in);
    assert_int_equal(reply.status, NATS_NO_RESPONDERS);
}

static void a_drain_gives_up_in_time(void **state)
{
    World *w = *state;
    natsSubscription *replies = NULL;
    int64_t began = clock_monotonic_ms(&SYSTEM_CLOCK);

    send_slow(w, &replies, "_INBOX.gateway.i", "20000");
    WAIT_UNTIL(atomic_load(&w->echo.inside) == 1);
    rpc_server_drain(w->server, 50);
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - began < 5000);
    sem_post(&w->echo.gate);
    natsSubscription_Destroy(replies);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(a_full_queue_answers_at_once),
        WITH_WORLD(what_cannot_begin_in_time_is_refused_at_once),
        WITH_WORLD(fibers_take_many_requests_in_one_thread_and_the_rest_in_turn),
        WITH_WORLD(a_server_that_is_freed_lets_its_fibers_end),
        WITH_WORLD(expired_work_is_dropped),
        WITH_WORLD(a_deferred_request_is_answered_later),
        WITH_WORLD(a_drain_finishes_what_was_taken),
        WITH_WORLD(a_drain_gives_up_in_time),
    };
    return RUN(tests);
}
