/* Tests of the rpc server, with raw requests: what comes back on the wire, who may call, discovery. */
#include "shared/rpc.h"

#include <jansson.h>

#include "shared/rpc_fixture.h"

static const char *signed_as(World *w, Role role, const char *audience, bool api_key)
{
    static const char *const PERMISSIONS[] = {"echo.do"};
    Caller caller = {.kind = CALLER_PERSON,
                     .user_id = 17,
                     .role = role,
                     .username = "ann",
                     .login_id = "",
                     .service = "",
                     .expires_ms = clock_unix_ms(&SYSTEM_CLOCK) + 60000,
                     .permissions = PERMISSIONS,
                     .permission_count = role == ROLE_OPERATOR ? 1 : 0,
                     .api_key = api_key};

    return caller_sign(w->signer, w->mem, &caller, &audience, 1);
}

static const char *signed_caller(World *w, Role role, const char *audience)
{
    return signed_as(w, role, audience, false);
}

/* --- replies ----------------------------------------------------------------------------------------------------- */
static void a_request_is_answered_on_both_subjects(void **state)
{
    World *w = *state;
    static const char *const WAYS[] = {"rpc", "svc"};

    for (size_t i = 0; i < ARRAY_LEN(WAYS); i++) {
        Atrium__Status in = ATRIUM__STATUS__INIT;
        Bus *from = i == 0 ? w->gateway : w->chat;
        in.text = "hello";
        RawReply reply = raw_request(w->mem, from, WAYS[i], "Echo", NULL, 0, &in);

        assert_int_equal(reply.status, NATS_OK);
        assert_null(reply.code);
        assert_string_equal(reply.body->text, "hello");
        raw_reply_done(&reply);
    }
}

static void failures_carry_reason_text_and_numbers(void **state)
{
    World *w = *state;
    static const struct {
        const char *reason, *text, *code, *header, *status_text;
    } ROWS[] = {
        {"NOT_FOUND", "no such room", "5", "no such room", "no such room"},
        {"echo.v1.TAKEN", "taken", "6", "taken", "taken"},
        {"CONFLICT", "two\r\nlines: x", "6", "two  lines: x", "two\r\nlines: x"},
        {"INTERNAL", "disk 7 is broken", "13", "internal error", NULL}, /* not shown: never leaves the process */
    };

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Atrium__Status in = ATRIUM__STATUS__INIT;
        in.reason = (char *)(uintptr_t)ROWS[i].reason;
        in.text = (char *)(uintptr_t)ROWS[i].text;
        SET(&in, retry_after_s, 9);
        RawReply reply = raw_request(w->mem, w->gateway, "rpc", "Fail", NULL, 0, &in);

        assert_string_equal(reply.code, ROWS[i].code);
        assert_string_equal(bus_header(reply.msg, "Nats-Service-Error"), ROWS[i].header);
        assert_string_equal(reply.body->reason, ROWS[i].reason);
        assert_int_equal(reply.body->retry_after_s, 9);
        if (ROWS[i].status_text)
            assert_string_equal(reply.body->text, ROWS[i].status_text);
        else
            assert_null(reply.body->text);
        raw_reply_done(&reply);
    }
}

static void what_is_away_is_to_be_tried_again_soon(void **state)
{
    World *w = *state;
    static const struct {
        const char *reason;
        uint32_t retry_after_s;
    } ROWS[] = {{"UNAVAILABLE", 1}, {"CONFLICT", 0}};

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Atrium__Status in = ATRIUM__STATUS__INIT;
        in.reason = (char *)(uintptr_t)ROWS[i].reason;
        in.text = (char *)"the database is not available";
        RawReply reply = raw_request(w->mem, w->gateway, "rpc", "Fail", NULL, 0, &in);

        assert_string_equal(reply.body->reason, ROWS[i].reason);
        assert_int_equal(reply.body->retry_after_s, ROWS[i].retry_after_s);
        raw_reply_done(&reply);
    }
}

static void violations_are_told(void **state)
{
    World *w = *state;
    Atrium__Status in = ATRIUM__STATUS__INIT;

    in.reason = "INVALID_ARGUMENT";
    in.text = "look";
    RawReply reply = raw_request(w->mem, w->gateway, "rpc", "Fail", NULL, 0, &in);
    assert_int_equal(reply.body->n_violations, 1);
    assert_string_equal(reply.body->violations[0]->field, "user.name");
    assert_string_equal(reply.body->violations[0]->text, "at least 3");
    assert_int_equal(reply.body->violations[0]->context->n_fields, 1);
    assert_string_equal(reply.body->violations[0]->context->fields[0]->key, "min_length");
    assert_true(reply.body->violations[0]->context->fields[0]->value->number_value == 3.0);
    raw_reply_done(&reply);
}

static void details_are_told(void **state)
{
    World *w = *state;
    Atrium__Status in = ATRIUM__STATUS__INIT;

    in.reason = "CONFLICT";
    in.text = "look";
    in.details = struct_new(w->mem);
    struct_set_text(w->mem, in.details, "hint", "over there");
    RawReply reply = raw_request(w->mem, w->gateway, "rpc", "Fail", NULL, 0, &in);
    assert_int_equal(reply.body->details->n_fields, 1);
    assert_string_equal(reply.body->details->fields[0]->key, "hint");
    assert_string_equal(reply.body->details->fields[0]->value->string_value, "over there");
    raw_reply_done(&reply);
}

static void a_reply_carries_status_headers_and_mark(void **state)
{
    World *w = *state;
    Atrium__Status in = ATRIUM__STATUS__INIT;
    RawReply reply =
        raw_request(w->mem, w->gateway, "rpc", "Decorate", (const BusHeader[]){{"Http-if-match", "\"etag\""}}, 1, &in);

    assert_null(reply.code);
    assert_string_equal(bus_header(reply.msg, "Http-Status"), "201");
    assert_string_equal(bus_header(reply.msg, "Http-Set-Cookie"), "a=b  X-Evil: 1");
    assert_null(bus_header(reply.msg, "X-Evil"));
    assert_string_equal(bus_header(reply.msg, "Atrium-After"), "mark-7");
    assert_string_equal(reply.body->text, "\"etag\"");
    raw_reply_done(&reply);
}

static void bad_bodies_and_sizes_are_refused(void **state)
{
    World *w = *state;
    static char large[200000];
    Atrium__Status in = ATRIUM__STATUS__INIT;
    RawReply reply = raw_request_bytes(w->mem, w->gateway, raw_subject(w->mem, w->gateway, "rpc", "Echo"), NULL, 0,
                                       SLICE_LIT("\x0a\xff"), 5000);

    assert_string_equal(reply.body->reason, "INVALID_BODY");
    raw_reply_done(&reply);
    memset(large, 'x', sizeof large - 1);
    in.text = large;
    reply = raw_request(w->mem, w->gateway, "rpc", "Echo", NULL, 0, &in);
    assert_string_equal(reply.body->reason, "PAYLOAD_TOO_LARGE");
    raw_reply_done(&reply);
    in.text = NULL;
    SET(&in, retry_after_s, 99000);
    reply = raw_request(w->mem, w->gateway, "rpc", "Big", NULL, 0, &in);
    assert_null(reply.code);
    raw_reply_done(&reply);
    SET(&in, retry_after_s, 100000);
    reply = raw_request(w->mem, w->gateway, "rpc", "Big", NULL, 0, &in);
    assert_string_equal(reply.body->reason, "INTERNAL");
    raw_reply_done(&reply);
}

static void answers_go_to_the_senders_inbox_only(void **state)
{
    World *w = *state;
    natsSubscription *sub = NULL;
    natsMsg *msg = NULL;
    Atrium__Status in = ATRIUM__STATUS__INIT;
    Slice body = message_pack(w->mem, &in.base);
    char *subject = raw_subject(w->mem, w->chat, "svc", "Echo");

    assert_int_equal(natsConnection_SubscribeSync(&sub, bus_nats(w->gateway), ">"), NATS_OK);
    assert_ok(bus_started(w->gateway));
    assert_ok(bus_publish(w->chat, subject, "svc.main.echo.auth.v1.DeleteUser", NULL, 0, body));
    assert_ok(bus_publish(w->chat, subject, "_INBOX.media.x", NULL, 0, body));
    assert_ok(bus_publish(w->chat, subject, "_INBOX.chat.echo.x.1", NULL, 0, body));
    do { /* the requests themselves pass by, too */
        natsMsg_Destroy(msg);
        assert_int_equal(natsSubscription_NextMsg(&msg, sub, 5000), NATS_OK);
        assert_string_not_equal(natsMsg_GetSubject(msg), "svc.main.echo.auth.v1.DeleteUser");
        assert_string_not_equal(natsMsg_GetSubject(msg), "_INBOX.media.x");
    } while (strcmp(natsMsg_GetSubject(msg), "_INBOX.chat.echo.x.1") != 0);
    natsMsg_Destroy(msg);
    natsSubscription_Destroy(sub);
}

/* --- who may call ------------------------------------------------------------------------------------------------ */
static void callers_are_let_in_by_the_row(void **state)
{
    World *w = *state;
    const char *user = signed_caller(w, ROLE_USER, "echo"), *admin = signed_caller(w, ROLE_ADMIN, "echo");
    const char *operator= signed_caller(w, ROLE_OPERATOR, "echo");
    const char *elsewhere = signed_caller(w, ROLE_ADMIN, "chat");
    const char *key = signed_as(w, ROLE_OPERATOR, "echo", true), *admin_key = signed_as(w, ROLE_ADMIN, "echo", true);
    char *forged = arena_strdup(w->mem, admin);
    const struct {
        const char *how, *method, *caller, *reason;                             /* NULL: let in */
    } ROWS[] = {{"rpc", "Echo", NULL, NULL}, {"rpc", "Echo", forged, NULL},     /* not looked at */
                {"rpc", "WhoAmI", NULL, NULL}, {"svc", "WhoAmI", forged, NULL}, /* as none */
                {"rpc", "ForUsers", NULL, "UNAUTHENTICATED"}, {"rpc", "ForUsers", user, NULL},
                {"rpc", "ForUsers", admin, NULL}, {"rpc", "ForUsers", "garbage", "UNAUTHENTICATED"},
                {"rpc", "ForUsers", forged, "UNAUTHENTICATED"}, {"rpc", "ForUsers", elsewhere, "UNAUTHENTICATED"},
                {"svc", "ForUsers", user, NULL}, {"svc", "ForUsers", forged, "UNAUTHENTICATED"},
                {"svc", "ForUsers", elsewhere, "UNAUTHENTICATED"},
                {"svc", "ForUsers", NULL, "PERMISSION_DENIED"}, /* a service is no user */
                {"rpc", "ForAdmins", user, "PERMISSION_DENIED"},
                {"rpc", "ForAdmins", operator, "PERMISSION_DENIED" }, {"rpc", "ForAdmins", admin, NULL},
                 {"rpc", "ForAdmins", NULL, "UNAUTHENTICATED"}, {"svc", "ForServices", NULL, NULL},
                 {"svc", "ForServices", admin, "PERMISSION_DENIED"}, {"rpc", "ForServices", NULL, "PERMISSION_DENIED"},
                 {"rpc", "ForServices", admin, "PERMISSION_DENIED"}, {"rpc", "ForGateway", NULL, NULL},
                 {"rpc", "ForGateway", user, NULL}, {"svc", "ForGateway", NULL, "PERMISSION_DENIED"},
                 {"svc", "ForGateway", admin, "PERMISSION_DENIED"}, {"rpc", "Permitted", user, "PERMISSION_DENIED"},
                 {
                     "rpc",
                     "Permitted",
                     operator,
                     NULL },
                     {"rpc", "Permitted", NULL, "UNAUTHENTICATED"},
                     {"rpc", "Permitted", admin, NULL},
                     {"rpc", "Permitted", key, NULL},
                     {"rpc", "Permitted", admin_key, "PERMISSION_DENIED"},
                     {"rpc", "ForUsers", key, "PERMISSION_DENIED"},
                     {"rpc", "WhoAmI", key, NULL},
                };

    forged[strlen(forged) - 3] = forged[strlen(forged) - 3] == 'A' ? 'B' : 'A';
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Atrium__Status in = ATRIUM__STATUS__INIT;
        const BusHeader header = {"Atrium-Caller", ROWS[i].caller};
        Bus *from = strcmp(ROWS[i].how, "rpc") == 0 ? w->gateway : w->chat;
        RawReply reply = raw_request(w->mem, from, ROWS[i].how, ROWS[i].method, &header, ROWS[i].caller ? 1 : 0, &in);
        const char *got = reply.code ? reply.body->reason : NULL;

        if ((got == NULL) != (ROWS[i].reason == NULL) || (got && strcmp(got, ROWS[i].reason) != 0))
            fail_msg("row %zu, %s %s: got %s, wanted %s", i, ROWS[i].how, ROWS[i].method, got ? got : "OK",
                     ROWS[i].reason ? ROWS[i].reason : "OK");
        raw_reply_done(&reply);
    }
}

static void a_handler_sees_caller_and_context(void **state)
{
    World *w = *state;
    Atrium__Status in = ATRIUM__STATUS__INIT;
    const BusHeader headers[] = {
        {"Atrium-Caller", signed_caller(w, ROLE_USER, "echo")},
        {"Atrium-Profile", "chat-web"},
        {"Atrium-Client", "10.0.0.7"},
        {"X-Request-Id", "req-1"},
        {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"Atrium-Timeout-Ms", "5000"},
    };
    RawReply reply = raw_request(w->mem, w->chat, "svc", "WhoAmI", headers, ARRAY_LEN(headers), &in);

    assert_string_equal(reply.body->text, "1:17:chat:chat-web:10.0.0.7:req-1:0af7651916cd43dd8448eb211c80319c:1");
    raw_reply_done(&reply);
    reply = raw_request(w->mem, w->chat, "svc", "ForServices", NULL, 0, &in);
    assert_int_equal(w->echo.caller.kind, CALLER_SERVICE);
    raw_reply_done(&reply);
    reply = raw_request(w->mem, w->gateway, "rpc", "ForGateway", NULL, 0, &in);
    assert_int_equal(w->echo.caller.kind, CALLER_GATEWAY);
    raw_reply_done(&reply);
}

static void a_server_without_a_verifier_takes_no_callers_on_svc(void **state)
{
    World *w = *state;
    Atrium__Status in = ATRIUM__STATUS__INIT;
    const BusHeader header = {"Atrium-Caller", signed_caller(w, ROLE_USER, "echo")};

    rpc_server_free(w->server);
    w->server = echo_serve(w->bus, &w->echo, (RpcServerOptions){.metrics = w->metrics});
    RawReply reply = raw_request(w->mem, w->chat, "svc", "ForUsers", &header, 1, &in);
    assert_string_equal(reply.body->reason, "UNAUTHENTICATED");
    raw_reply_done(&reply);
}

static void a_handler_can_be_called_through_its_row(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Echo echo;
    Request rq = {
        .mem = mem, .service = &echo, .clock = &SYSTEM_CLOCK, .profile = "all", .client_address = "", .id = ""};
    Atrium__Status in = ATRIUM__STATUS__INIT, out = ATRIUM__STATUS__INIT;
    (void)state;

    rq.caller.service = "";
    echo_init(&echo);
    assert_reason(rpc_call(&ECHO_SERVICE, &rq, "ForUsers", &in.base, &out.base), &UNAUTHENTICATED);
    assert_reason(rpc_call(&ECHO_SERVICE, &rq, "Nothing", &in.base, &out.base), &UNIMPLEMENTED);
    assert_reason(rpc_call(&ECHO_SERVICE, &rq, "ForGateway", &in.base, &out.base), &PERMISSION_DENIED);
    rq.caller.kind = CALLER_GATEWAY;
    assert_ok(rpc_call(&ECHO_SERVICE, &rq, "ForGateway", &in.base, &out.base));
    in.text = "x";
    assert_ok(rpc_call(&ECHO_SERVICE, &rq, "Echo", &in.base, &out.base));
    assert_string_equal(out.text, "x");
    sem_destroy(&echo.gate);
}

/* --- discovery --------------------------------------------------------------------------------------------------- */
static const char *member(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));

    assert_non_null(value);
    return value;
}

static json_t *ask_srv(World *w, const char *subject)
{
    natsMsg *msg = NULL;
    const char *inbox = arena_printf(w->mem, "_INBOX.ops.%s", subject + strlen("$SRV."));
    natsSubscription *sub = NULL;
    json_t *document = NULL;

    assert_int_equal(natsConnection_SubscribeSync(&sub, bus_nats(w->gateway), inbox), NATS_OK);
    assert_ok(bus_publish(w->gateway, subject, inbox, NULL, 0, SLICE_LIT("")));
    /* Other tests, which run beside, have an echo of their own. */
    while (!document || strcmp(member(document, "id"), bus_instance(w->bus)) != 0) {
        json_decref(document);
        assert_int_equal(natsSubscription_NextMsg(&msg, sub, 5000), NATS_OK);
        document = json_loadb(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), 0, NULL);
        assert_non_null(document);
        natsMsg_Destroy(msg);
    }
    natsSubscription_Destroy(sub);
    return document;
}

static void discovery_answers_valid_documents(void **state)
{
    World *w = *state;
    static const char *const VERBS[] = {"PING", "INFO", "STATS"};
    static const char *const TYPES[] = {"io.nats.micro.v1.ping_response", "io.nats.micro.v1.info_response",
                                        "io.nats.micro.v1.stats_response"};

    for (size_t v = 0; v < ARRAY_LEN(VERBS); v++) {
        const char *subjects[] = {
            arena_printf(w->mem, "$SRV.%s.echo.%s", VERBS[v], bus_instance(w->bus)),
            arena_printf(w->mem, "$SRV.%s.echo", VERBS[v]),
        };

        for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
            json_t *d = ask_srv(w, subjects[i]);

            assert_string_equal(member(d, "type"), TYPES[v]);
            assert_string_equal(member(d, "name"), "echo");
            assert_string_equal(member(d, "id"), bus_instance(w->bus));
            assert_string_equal(member(d, "version"), "1.2.3");
            assert_string_equal(member(json_object_get(d, "metadata"), "commit"), "abc");
            assert_string_equal(member(json_object_get(d, "metadata"), "slot"), testing_slot());
            json_decref(d);
        }
    }
}

static const json_t *find_endpoint(const json_t *document, const char *name)
{
    size_t i;
    json_t *e;

    json_array_foreach(json_object_get(document, "endpoints"), i, e)
    {
        if (strcmp(member(e, "name"), name) == 0)
            return e;
    }
    fail_msg("no endpoint %s", name);
    return NULL;
}

/* What is told once both Echos are counted, which is a moment after their answers. The caller's. */
static json_t *told_stats(World *w)
{
    json_t *d = NULL;

    for (int i = 0; i < 1000; i++) {
        d = ask_srv(w, arena_printf(w->mem, "$SRV.STATS.echo.%s", bus_instance(w->bus)));
        if (json_integer_value(json_object_get(find_endpoint(d, "Echo"), "num_requests")) == 2)
            break;
        json_decref(d);
        d = NULL;
        nats_Sleep(5);
    }
    assert_non_null(d);
    return d;
}

static void stats_count_requests_and_errors(void **state)
{
    World *w = *state;
    Atrium__Status in = ATRIUM__STATUS__INIT;
    json_t *d;
    const json_t *e;

    in.reason = "NOT_FOUND";
    in.text = "no \"room\"";
    for (int i = 0; i < 3; i++) {
        RawReply reply = raw_request(w->mem, w->gateway, "rpc", i == 0 ? "Fail" : "Echo", NULL, 0, &in);
        raw_reply_done(&reply);
    }
    d = told_stats(w);
    int64_t seconds;
    int32_t nanos;
    assert_true(time_parse(slice(member(d, "started")), &seconds, &nanos));
    assert_int_equal(json_array_size(json_object_get(d, "endpoints")), 2 * ECHO_METHODS);
    e = find_endpoint(d, "Fail");
    assert_string_equal(member(e, "subject"), raw_subject(w->mem, w->gateway, "rpc", "Fail"));
    assert_string_equal(member(e, "queue_group"), "echo");
    assert_int_equal(json_integer_value(json_object_get(e, "num_requests")), 1);
    assert_int_equal(json_integer_value(json_object_get(e, "num_errors")), 1);
    assert_string_equal(member(e, "last_error"), "no \"room\"");
    e = find_endpoint(d, "Echo");
    assert_int_equal(json_integer_value(json_object_get(e, "num_requests")), 2);
    assert_int_equal(json_integer_value(json_object_get(e, "num_errors")), 0);
    assert_true(json_integer_value(json_object_get(e, "processing_time")) > 0);
    assert_int_equal(json_integer_value(json_object_get(e, "average_processing_time")),
                     json_integer_value(json_object_get(e, "processing_time")) / 2);
    e = find_endpoint(d, "Echo-svc");
    assert_int_equal(json_integer_value(json_object_get(e, "num_requests")), 0);
    json_decref(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(a_request_is_answered_on_both_subjects),
        WITH_WORLD(failures_carry_reason_text_and_numbers),
        WITH_WORLD(what_is_away_is_to_be_tried_again_soon),
        WITH_WORLD(violations_are_told),
        WITH_WORLD(details_are_told),
        WITH_WORLD(a_reply_carries_status_headers_and_mark),
        WITH_WORLD(bad_bodies_and_sizes_are_refused),
        WITH_WORLD(answers_go_to_the_senders_inbox_only),
        WITH_WORLD(callers_are_let_in_by_the_row),
        WITH_WORLD(a_handler_sees_caller_and_context),
        WITH_WORLD(a_server_without_a_verifier_takes_no_callers_on_svc),
        cmocka_unit_test(a_handler_can_be_called_through_its_row),
        WITH_WORLD(discovery_answers_valid_documents),
        WITH_WORLD(stats_count_requests_and_errors),
    };
    return RUN(tests);
}
