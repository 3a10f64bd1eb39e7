/* Tests of bus: connecting, publishing, losing and finding the server, denials, slots, streams. The program starts
 * itself anew with "denied URL" for the denial that ends a process. */
#include "shared/bus.h"

#include <pthread.h>

#include "atrium/reasons.atrium.h"
#include "shared/bus_testing.h"

typedef struct Inbox {
    atomic_int count;
    char text[64];
    pthread_t thread;
} Inbox;

static void take(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *data)
{
    Inbox *inbox = data;
    (void)nc, (void)sub;

    snprintf(inbox->text, sizeof inbox->text, "%.*s|%s", natsMsg_GetDataLength(msg), natsMsg_GetData(msg),
             bus_header(msg, "X-One") ? bus_header(msg, "X-One") : "-");
    natsMsg_Destroy(msg);
    atomic_fetch_add(&inbox->count, 1);
}

static natsSubscription *listen_to(Bus *bus, const char *subject, Inbox *inbox)
{
    natsSubscription *sub = NULL;

    assert_int_equal(natsConnection_Subscribe(&sub, bus_nats(bus), subject, take, inbox), NATS_OK);
    return sub;
}

static void messages_and_headers_arrive(void **state)
{
    CLEANUP(bus_close_at) Bus *bus = testing_bus("one");
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    Inbox inbox = {0};
    char *subject = arena_printf(mem, "test.%s", bus_instance(bus));
    natsSubscription *sub = listen_to(bus, subject, &inbox);
    (void)state;

    assert_ok(bus_started(bus));
    assert_true(bus_connected(bus));
    assert_ok(bus_publish(bus, subject, NULL, NULL, 0, SLICE_LIT("plain")));
    WAIT_UNTIL(atomic_load(&inbox.count) == 1);
    assert_string_equal(inbox.text, "plain|-");
    assert_ok(bus_publish(bus, subject, "_INBOX.x", (const BusHeader[]){{"X-One", "1"}, {"X-Two", NULL}}, 2,
                          SLICE_LIT("headed")));
    WAIT_UNTIL(atomic_load(&inbox.count) == 2);
    assert_string_equal(inbox.text, "headed|1");
    /* A value of two lines would smuggle a header in. */
    assert_reason(bus_publish(bus, subject, NULL, (const BusHeader[]){{"X-One", "a\r\nX-Two: b"}}, 1, SLICE_LIT("")),
                  &INTERNAL);
    bus_unsubscribe(sub);
    assert_int_equal(bus_denials(bus), 0);
}

static void subjects_are_named_by_slot_and_sender(void **state)
{
    CLEANUP(bus_close_at) Bus *bus = testing_bus("chat");
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    (void)state;

    assert_string_equal(bus_rpc_subject(mem, bus, "auth", "v1", "Login"),
                        arena_printf(mem, "rpc.%s.auth.v1.Login", testing_slot()));
    assert_string_equal(bus_svc_subject(mem, bus, "auth", "v1", "Login"),
                        arena_printf(mem, "svc.%s.chat.auth.v1.Login", testing_slot()));
    assert_string_equal(bus_name(bus), "chat");
    assert_int_equal(strlen(bus_instance(bus)), BUS_NUID_BYTES - 1);
}

static void a_server_that_is_not_there_is_unavailable(void **state)
{
    Bus *bus = NULL;
    (void)state;

    assert_reason(bus_connect(&(BusOptions){.url = "nats://127.0.0.1:1", .user = "x"}, 300, &bus), &UNAVAILABLE);
    assert_null(bus);
}

/* --- the caller's loop and threads -----------------------------------------------------------------------------------
 */
typedef struct LoopSide {
    Bus *bus;
    Loop *loop;
    Inbox inbox;
} LoopSide;

static void publish_two(void *data)
{
    LoopSide *side = data;

    assert_ok(bus_publish(side->bus, "test.loop", NULL, NULL, 0, SLICE_LIT("a")));
    assert_ok(bus_publish(side->bus, "test.loop", NULL, NULL, 0, SLICE_LIT("b")));
}

static void stop_when_two(void *data)
{
    LoopSide *side = data;

    if (atomic_load(&side->inbox.count) == 2)
        loop_stop(side->loop);
}

static void a_bus_runs_in_the_callers_loop(void **state)
{
    CLEANUP(loop_free_at) Loop *loop = loop_new();
    LoopSide side = {.loop = loop};
    LoopTimer *poll = loop_timer_new(loop, stop_when_two, &side);
    LoopTimer *end = loop_timer_new(loop, (LoopCall)loop_stop, loop);
    natsSubscription *sub;
    (void)state;

    assert_ok(bus_connect(&(BusOptions){.url = testing_nats_url(), .user = "gateway", .loop = loop}, 5000, &side.bus));
    sub = listen_to(side.bus, "test.loop", &side.inbox);
    assert_ok(bus_started(side.bus)); /* turns the loop itself */
    loop_timer_set(poll, 1, 1);
    loop_timer_set(end, TESTING_PATIENCE_MS, 0);
    loop_post(loop, publish_two, &side);
    loop_run(loop);
    assert_int_equal(atomic_load(&side.inbox.count), 2);
    loop_timer_free(poll);
    loop_timer_free(end);
    bus_unsubscribe(sub);
    bus_close(side.bus);
}

static void what_was_published_is_written_before_the_close(void **state)
{
    enum { COUNT = 2000 };
    CLEANUP(loop_free_at) Loop *loop = loop_new();
    CLEANUP(bus_close_at) Bus *reader = testing_bus("reader");
    static char body[10000];
    Bus *bus = NULL;
    Inbox inbox = {0};
    natsSubscription *sub = listen_to(reader, "test.close", &inbox);
    (void)state;

    assert_ok(bus_started(reader));
    memset(body, 'x', sizeof body);
    assert_ok(bus_connect(&(BusOptions){.url = testing_nats_url(), .user = "w", .loop = loop}, 5000, &bus));
    for (int i = 0; i < COUNT; i++) /* 20 MB: the socket does not take it at once */
        assert_ok(bus_publish(bus, "test.close", NULL, NULL, 0, slice_of(body, sizeof body)));
    bus_close(bus);
    WAIT_UNTIL(atomic_load(&inbox.count) == COUNT);
    bus_unsubscribe(sub);
}

static void a_large_output_passes_a_full_socket(void **state)
{
    enum { COUNT = 3000 };
    CLEANUP(bus_close_at) Bus *reader = testing_bus("reader");
    CLEANUP(bus_close_at) Bus *writer = testing_bus("writer");
    static char body[10000];
    Inbox inbox = {0};
    natsSubscription *sub = listen_to(reader, "test.large", &inbox);
    (void)state;

    assert_ok(bus_started(reader));
    memset(body, 'x', sizeof body);
    for (int i = 0; i < COUNT; i++)
        assert_ok(bus_publish(writer, "test.large", NULL, NULL, 0, slice_of(body, sizeof body)));
    WAIT_UNTIL(atomic_load(&inbox.count) == COUNT);
    bus_unsubscribe(sub);
}

static void a_threaded_bus_works_too(void **state)
{
    Bus *bus = NULL;
    Inbox inbox = {0};
    natsSubscription *sub;
    (void)state;

    assert_ok(bus_connect(&(BusOptions){.url = testing_nats_url(), .user = "gateway", .threaded = true}, 5000, &bus));
    sub = listen_to(bus, "test.threaded", &inbox);
    assert_ok(bus_started(bus));
    assert_ok(bus_publish(bus, "test.threaded", NULL, NULL, 0, SLICE_LIT("x")));
    WAIT_UNTIL(atomic_load(&inbox.count) == 1);
    bus_unsubscribe(sub);
    bus_close(bus);
}

/* --- losing the server ------------------------------------------------------------------------------------------- */
static atomic_int lost, found;

static void note_connection(void *data, bool connected)
{
    (void)data;
    atomic_fetch_add(connected ? &found : &lost, 1);
}

static void nothing_published_while_away_runs_later(void **state)
{
    TestingServer server;
    Bus *bus = NULL;
    Inbox inbox = {0};
    natsSubscription *sub;
    (void)state;

    atomic_store(&lost, 0);
    atomic_store(&found, 0);
    testing_server_start(&server, "");
    assert_ok(
        bus_connect(&(BusOptions){.url = server.url, .user = "one", .on_connection = note_connection}, 5000, &bus));
    sub = listen_to(bus, "test.away", &inbox);
    assert_ok(bus_started(bus));
    for (int round = 1; round <= 2; round++) {
        testing_server_stop(&server);
        WAIT_UNTIL(atomic_load(&lost) == round);
        assert_false(bus_connected(bus));
        assert_reason(bus_publish(bus, "test.away", NULL, NULL, 0, SLICE_LIT("away")), &UNAVAILABLE);
        testing_server_start_again(&server);
        WAIT_UNTIL(atomic_load(&found) == round);
        WAIT_UNTIL(bus_connected(bus));
        assert_ok(bus_publish(bus, "test.away", NULL, NULL, 0, SLICE_LIT("back")));
        WAIT_UNTIL(atomic_load(&inbox.count) == round);
        assert_string_equal(inbox.text, "back|-");
    }
    bus_unsubscribe(sub);
    bus_close(bus);
    testing_server_done(&server);
}

static void a_bus_closes_while_its_server_is_away(void **state)
{
    TestingServer server;
    Bus *bus = NULL;
    (void)state;

    atomic_store(&lost, 0);
    testing_server_start(&server, "");
    assert_ok(
        bus_connect(&(BusOptions){.url = server.url, .user = "one", .on_connection = note_connection}, 5000, &bus));
    testing_server_stop(&server);
    WAIT_UNTIL(atomic_load(&lost) == 1);
    bus_close(bus);
    testing_server_done(&server);
}

/* --- denials ----------------------------------------------------------------------------------------------------- */
static const char USERS[] =
    "authorization { users: [ { user: auth, password: secret, permissions: {\n"
    "  publish: [\"_INBOX.*.auth.>\", \"test.may\"], subscribe: [\"rpc.*.auth.> auth\", \"_INBOX.auth.>\"] } } ] }";

static Err connect_as(const char *url, const char *password, Bus **out)
{
    return bus_connect(&(BusOptions){.url = url, .user = "auth", .password = password}, 3000, out);
}

static void a_wrong_password_fails_at_once(void **state)
{
    TestingServer server;
    Bus *bus = NULL;
    (void)state;

    testing_server_start(&server, USERS);
    assert_reason(connect_as(server.url, "wrong", &bus), &UNAUTHENTICATED);
    testing_server_done(&server);
}

static void a_denial_after_the_start_is_counted(void **state)
{
    TestingServer server;
    Bus *bus = NULL;
    natsSubscription *sub = NULL;
    Inbox inbox = {0};
    (void)state;

    testing_server_start(&server, USERS);
    assert_ok(connect_as(server.url, "secret", &bus));
    assert_ok(bus_started(bus));
    assert_ok(bus_publish(bus, "rpc.main.chat.v1.Read", NULL, NULL, 0, SLICE_LIT("")));
    WAIT_UNTIL(bus_denials(bus) == 1);
    sub = listen_to(bus, "rpc.main.auth.v1.Login", &inbox); /* without the queue group: a wire-tap */
    WAIT_UNTIL(bus_denials(bus) == 2);
    natsSubscription_Destroy(sub);
    bus_close(bus);
    testing_server_done(&server);
}

/* What the child does. */
static int run_denied(const char *url, bool stream)
{
    Bus *bus = NULL;
    natsSubscription *sub = NULL;
    Log *log = log_new(&(LogOptions){.service = "test", .version = "1", .format = LOG_FORMAT_JSON, .fd = 1});
    Err e = bus_connect(&(BusOptions){.url = url, .user = "auth", .password = "secret", .log = log}, 3000, &bus);

    if (!e.reason && stream) {
        const char *subjects[] = {"rpc.>"};
        jsStreamConfig config;

        jsStreamConfig_Init(&config);
        config.Name = "EVT_AUTH";
        config.Subjects = subjects;
        config.SubjectsLen = 1;
        (void)js_AddStream(NULL, bus_jetstream(bus), &config, NULL, NULL); /* ends the process */
        return 7;
    }
    if (!e.reason && natsConnection_SubscribeSync(&sub, bus_nats(bus), "rpc.*.chat.>") == NATS_OK)
        e = bus_started(bus);
    return e.reason ? 7 : 0;
}

static void expect_denied(const char *what, const char *said)
{
    TestingServer server;
    int status, out[2];
    char text[2048] = "";
    size_t len = 0;
    ssize_t got;
    pid_t pid;

    testing_server_start(&server, USERS);
    assert_int_equal(pipe(out), 0);
    pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        execl("/proc/self/exe", "bus_test", what, server.url, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    while (len < sizeof text - 1 && (got = read(out[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)got;
    close(out[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_non_null(strstr(text, "bus_denied"));
    assert_non_null(strstr(text, said));
    testing_server_done(&server);
}

static void a_denial_at_the_start_ends_the_process(void **state)
{
    (void)state;
    expect_denied("denied", "rpc.*.chat.>");            /* says which */
    expect_denied("denied-stream", "atrium bus setup"); /* and what is missing */
}

/* --- slots and streams ------------------------------------------------------------------------------------------- */
static void the_active_slot_is_followed(void **state)
{
    TestingServer server;
    Bus *blue = NULL, *green = NULL;
    kvStore *kv = NULL;
    kvConfig config;
    (void)state;

    testing_server_start(&server, "jetstream");
    assert_ok(bus_connect(&(BusOptions){.url = server.url, .user = "a", .slot = "blue"}, 5000, &blue));
    assert_ok(bus_connect(&(BusOptions){.url = server.url, .user = "a", .slot = "green"}, 5000, &green));
    WAIT_UNTIL(bus_slot_active(blue)); /* no bucket */
    kvConfig_Init(&config);
    config.Bucket = "atrium";
    assert_int_equal(js_CreateKeyValue(&kv, bus_jetstream(blue), &config), NATS_OK);
    WAIT_UNTIL(bus_slot_active(green)); /* no key */
    assert_int_equal(kvStore_PutString(NULL, kv, "slot", "blue"), NATS_OK);
    WAIT_UNTIL(!bus_slot_active(green));
    assert_true(bus_slot_active(blue));
    assert_int_equal(kvStore_PutString(NULL, kv, "slot", "green"), NATS_OK);
    WAIT_UNTIL(bus_slot_active(green) && !bus_slot_active(blue));
    assert_int_equal(kvStore_Delete(kv, "slot"), NATS_OK);
    WAIT_UNTIL(bus_slot_active(green) && bus_slot_active(blue));
    kvStore_Destroy(kv);
    bus_close(blue);
    bus_close(green);
    testing_server_done(&server);
}

static void a_credential_that_may_not_see_the_slot_is_active(void **state)
{
    TestingServer server;
    Bus *bus = NULL;
    (void)state;

    testing_server_start(&server, USERS);
    assert_ok(connect_as(server.url, "secret", &bus));
    assert_ok(bus_started(bus));
    WAIT_UNTIL(bus_slot_active(bus));
    bus_close(bus);
    testing_server_done(&server);
}

typedef struct Ensure {
    Bus *bus;
    const char *subjects[2];
    int count;
    Err result;
} Ensure;

static void *ensure_stream(void *data)
{
    Ensure *e = data;
    jsStreamConfig config;

    jsStreamConfig_Init(&config);
    config.Name = "TESTENSURE";
    config.Subjects = e->subjects;
    config.SubjectsLen = e->count;
    e->result = bus_ensure_stream(e->bus, &config);
    return NULL;
}

static void streams_are_made_by_several_at_once_and_changed(void **state)
{
    enum { COUNT = 4 };
    Ensure jobs[COUNT];
    pthread_t threads[COUNT];
    jsStreamInfo *info = NULL;
    (void)state;

    for (int i = 0; i < COUNT; i++)
        jobs[i] = (Ensure){.bus = testing_bus("js"), .subjects = {"ensure.a"}, .count = 1};
    (void)js_DeleteStream(bus_jetstream(jobs[0].bus), "TESTENSURE", NULL, NULL);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ensure_stream, &jobs[i]), 0);
    for (int i = 0; i < COUNT; i++) {
        pthread_join(threads[i], NULL);
        assert_ok(jobs[i].result);
    }
    jobs[0].subjects[1] = "ensure.b";
    jobs[0].count = 2;
    ensure_stream(&jobs[0]);
    assert_ok(jobs[0].result);
    assert_int_equal(js_GetStreamInfo(&info, bus_jetstream(jobs[0].bus), "TESTENSURE", NULL, NULL), NATS_OK);
    assert_int_equal(info->Config->SubjectsLen, 2);
    jsStreamInfo_Destroy(info);
    jobs[0].subjects[0] = "bad subject";
    ensure_stream(&jobs[0]);
    assert_reason(jobs[0].result, &INTERNAL);
    (void)js_DeleteStream(bus_jetstream(jobs[0].bus), "TESTENSURE", NULL, NULL);
    for (int i = 0; i < COUNT; i++)
        bus_close(jobs[i].bus);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_headers_arrive),
        cmocka_unit_test(subjects_are_named_by_slot_and_sender),
        cmocka_unit_test(a_server_that_is_not_there_is_unavailable),
        cmocka_unit_test(a_bus_runs_in_the_callers_loop),
        cmocka_unit_test(what_was_published_is_written_before_the_close),
        cmocka_unit_test(a_large_output_passes_a_full_socket),
        cmocka_unit_test(a_threaded_bus_works_too),
        cmocka_unit_test(nothing_published_while_away_runs_later),
        cmocka_unit_test(a_bus_closes_while_its_server_is_away),
        cmocka_unit_test(a_wrong_password_fails_at_once),
        cmocka_unit_test(a_denial_after_the_start_is_counted),
        cmocka_unit_test(a_denial_at_the_start_ends_the_process),
        cmocka_unit_test(the_active_slot_is_followed),
        cmocka_unit_test(a_credential_that_may_not_see_the_slot_is_active),
        cmocka_unit_test(streams_are_made_by_several_at_once_and_changed),
    };

    if (argc == 3)
        return run_denied(argv[2], strcmp(argv[1], "denied-stream") == 0);
    return RUN(tests);
}
