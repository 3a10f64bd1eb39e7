/* Tests of erasure: a domain and an auth of the test's own, on a real NATS. */
#include "shared/erasure.h"

#include "atrium/auth/v1/admin.atrium.h"
#include "atrium/reasons.atrium.h"
#include "shared/bus_testing.h"

static struct World {
    TestingServer nats;
    Bus *auth, *chat;
    Client *client;
    RpcServer *server;
    Erasure *erasure;
    Arena *mem;
    atomic_int erased, reports, erase_failures, report_failures;
    const Reason *report_reason;
    char reported[128];
} w;

/* --- what the two do --------------------------------------------------------------------------------------------- */
static Err erase(void *context, Arena *mem, int64_t user_id, int64_t *out_rows)
{
    (void)mem;
    assert_ptr_equal(context, &w);
    if (atomic_fetch_sub(&w.erase_failures, 1) > 0)
        return err_make(&UNAVAILABLE, "the database is away");
    *out_rows = user_id * 10;
    atomic_fetch_add(&w.erased, 1);
    return OK;
}

static Err take_report(Request *rq, const ProtobufCMessage *message, ProtobufCMessage *out)
{
    const Auth__V1__ReportErasureRequest *in = (const Auth__V1__ReportErasureRequest *)message;
    (void)out;

    if (atomic_fetch_sub(&w.report_failures, 1) > 0)
        return err_make(w.report_reason, "no");
    snprintf(w.reported, sizeof(w.reported), "%s %s %s %" PRId64, rq->caller.service, in->domain, in->erasure_id,
             in->rows);
    atomic_fetch_add(&w.reports, 1);
    return OK;
}

static void publish(int64_t user_id, const char *erasure_id)
{
    Auth__V1__UserDeleted body = AUTH__V1__USER_DELETED__INIT;

    SET(&body, user_id, user_id);
    body.erasure_id = (char *)(uintptr_t)erasure_id;
    assert_ok(bus_publish(w.auth, arena_printf(w.mem, "evt.auth.user.deleted.%" PRId64, user_id), NULL, NULL, 0,
                          message_pack(w.mem, &body.base)));
}

static void start(void)
{
    assert_ok(erasure_start(
        &(ErasureOptions){.bus = w.chat, .client = w.client, .domain = "chat", .erase = erase, .context = &w},
        &w.erasure));
}

static int set_up(void **state)
{
    static const RpcHandler HANDLERS[] = {{&AUTH_V1_REPORT_ERASURE, take_report, NULL}};
    static const RpcService SERVICE = {"atrium.auth.v1.AdminService", "auth", HANDLERS, 1}, *const SERVICES[] = {
                                                                                                &SERVICE};
    const char *subjects[] = {"evt.auth.>"};
    jsStreamConfig stream;
    (void)state;

    memset(&w, 0, sizeof(w));
    w.mem = arena_new(4096);
    testing_server_start(&w.nats, "jetstream");
    assert_ok(bus_connect(&(BusOptions){.url = w.nats.url, .user = "auth"}, 5000, &w.auth));
    assert_ok(bus_connect(&(BusOptions){.url = w.nats.url, .user = "chat"}, 5000, &w.chat));
    jsStreamConfig_Init(&stream);
    stream.Name = "EVT_AUTH";
    stream.Subjects = subjects;
    stream.SubjectsLen = 1;
    assert_ok(bus_ensure_stream(w.auth, &stream));
    assert_ok(client_new(w.chat, NULL, &w.client));
    assert_ok(rpc_server_new(&(RpcServerOptions){.bus = w.auth,
                                                 .services = SERVICES,
                                                 .service_count = 1,
                                                 .context = &w,
                                                 .clock = &SYSTEM_CLOCK,
                                                 .version = "1",
                                                 .commit = "a"},
                             &w.server));
    assert_ok(bus_started(w.auth));
    assert_ok(bus_started(w.chat));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    erasure_stop(w.erasure);
    rpc_server_free(w.server);
    client_free(w.client);
    bus_close(w.chat);
    bus_close(w.auth);
    testing_server_done(&w.nats);
    arena_free(w.mem);
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------------------------- */
static void what_went_is_reported(void **state)
{
    (void)state;
    publish(7, "e7"); /* while the domain is away */
    start();
    WAIT_UNTIL(w.reports == 1);
    assert_string_equal(w.reported, "chat chat e7 70");
    publish(8, "e8");
    WAIT_UNTIL(w.reports == 2);
    assert_string_equal(w.reported, "chat chat e8 80");
}

static void what_fails_is_tried_again(void **state)
{
    (void)state;
    w.erase_failures = 2;
    start();
    publish(7, "e7");
    WAIT_UNTIL(w.reports == 1);
    assert_int_equal(w.erased, 1);
}

static void a_report_that_got_lost_comes_again(void **state)
{
    (void)state;
    w.report_failures = 2;
    w.report_reason = &INTERNAL;
    start();
    publish(7, "e7");
    WAIT_UNTIL(w.reports == 1);
    assert_int_equal(w.erased, 3);
}

static void what_nobody_waits_for_is_done(void **state)
{
    (void)state;
    w.report_failures = 1;
    w.report_reason = &NOT_FOUND;
    start();
    publish(7, "e7");
    publish(8, "e8");
    WAIT_UNTIL(w.reports == 1);
    assert_int_equal(w.erased, 2);
    assert_string_equal(w.reported, "chat chat e8 80");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_went_is_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_fails_is_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_report_that_got_lost_comes_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_nobody_waits_for_is_done, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("erasure", tests, NULL, NULL);
}
