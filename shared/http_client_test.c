#include "shared/http_client.h"

#include "atrium/reasons.atrium.h"
#include "shared/clock.h"
#include "shared/testing_http.h"

enum { REPLY_MAX_BYTES = 1000 };

static char *url_of(Arena *mem, const HttpStub *stub, const char *path)
{
    return arena_printf(mem, "http://127.0.0.1:%d%s", stub->port, path);
}

static HttpCall get(const char *url)
{
    return (HttpCall){.url = url, .timeout_ms = 5000, .max_reply_bytes = REPLY_MAX_BYTES};
}

static bool asks_for(Slice head, const char *start)
{
    return slice_starts_with(head, slice(start));
}

/* ---------------------------------------------------------------------------------------------------- requests */

/* Answers with the request itself, as it came. */
static void echo(HttpStub *stub, int number, Slice head, Slice body, int connection)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    (void)stub, (void)number;

    http_stub_write(
        connection,
        arena_printf(mem, "HTTP/1.1 201 Made\r\nX-Thing:  a b \r\nContent-Length: %zu\r\n\r\n" SLICE_FMT SLICE_FMT,
                     head.len + body.len, SLICE_ARG(head), SLICE_ARG(body)));
}

static void a_request_arrives_as_it_was_meant(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.user_agent = "atrium-test"});
    HttpStub stub = {.answer = echo};
    const HttpHeader headers[] = {{"X-One", "1"}, {"X-Empty", ""}, {"Content-Type", "text/plain"}};
    TraceContext trace = trace_root(true);
    char traceparent[TRACEPARENT_BYTES];
    HttpReply reply;
    HttpCall call;
    (void)state;

    http_stub_start(&stub);
    call = get(url_of(mem, &stub, "/path?q=1"));
    call.method = "PATCH";
    call.headers = headers;
    call.header_count = ARRAY_LEN(headers);
    call.body = SLICE_LIT("the body");
    call.trace = &trace;
    assert_ok(http_call(c, mem, &call, &reply));
    trace_format(&trace, traceparent);
    assert_int_equal(reply.status, 201);
    assert_string_equal(http_reply_header(&reply, "X-THING"), "a b");
    assert_null(http_reply_header(&reply, "x-other"));
    assert_true(asks_for(reply.body, "PATCH /path?q=1 HTTP/1.1\r\n"));
    assert_true(slice_ends_with(reply.body, SLICE_LIT("\r\n\r\nthe body")));
    assert_true(slice_find(reply.body, SLICE_LIT("\r\nX-One: 1\r\n")) > 0);
    assert_true(slice_find(reply.body, SLICE_LIT("\r\nX-Empty:")) > 0);
    assert_true(slice_find(reply.body, SLICE_LIT("\r\nContent-Type: text/plain\r\n")) > 0);
    assert_true(slice_find(reply.body, SLICE_LIT("\r\nUser-Agent: atrium-test\r\n")) > 0);
    assert_true(slice_find(reply.body, slice(arena_printf(mem, "\r\ntraceparent: %s\r\n", traceparent))) > 0);
    assert_string_equal(reply.url, call.url);
    http_stub_stop(&stub);
}

static void methods_follow_from_the_body(void **state)
{
    static const struct {
        const char *method, *body, *wanted;
    } CASES[] = {
        {NULL, "", "GET "},    {NULL, "x", "POST "}, {"GET", "x", "GET "},
        {"POST", "", "POST "}, {"PUT", "x", "PUT "}, {"DELETE", "", "DELETE "},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.max_redirects = 0});
    HttpStub stub = {.answer = echo};
    (void)state;

    http_stub_start(&stub);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        HttpCall call = get(url_of(mem, &stub, "/"));
        HttpReply reply;
        call.method = CASES[i].method;
        call.body = slice(CASES[i].body);
        assert_ok(http_call(c, mem, &call, &reply));
        assert_true(asks_for(reply.body, CASES[i].wanted));
    }
    http_stub_stop(&stub);
}

static void what_is_no_web_address_is_refused(void **state)
{
    static const char *const URLS[] = {
        "",        "example.org", "ftp://127.0.0.1/",        "file:///etc/passwd", "http//x", "gopher://127.0.0.1:1/",
        "http://", "http://a b/", "http://127.0.0.1:99999/", "javascript:alert(1)"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.max_redirects = 0});
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(URLS); i++) {
        HttpCall call = get(URLS[i]);
        HttpReply reply;
        Err e = http_call(c, mem, &call, &reply);
        if (e.reason != &INVALID_ARGUMENT)
            fail_msg("\"%s\": %s", URLS[i], e.text);
    }
}

static void a_header_cannot_bring_another(void **state)
{
    const HttpHeader bad[] = {{"X-A", "1\r\nX-B: 2"}, {"X-A\n", "1"}, {"", "1"}};
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.max_redirects = 0});
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        HttpCall call = get("http://127.0.0.1:1/");
        HttpReply reply;
        call.headers = &bad[i];
        call.header_count = 1;
        assert_reason(http_call(c, mem, &call, &reply), &INVALID_ARGUMENT);
    }
}

/* ---------------------------------------------------------------------------------------------------- replies */

static void answer_large(HttpStub *stub, int number, Slice head, Slice body, int connection)
{
    (void)stub, (void)number, (void)body;
    if (asks_for(head, "GET /exact")) {
        char text[REPLY_MAX_BYTES + 1];
        memset(text, 'x', REPLY_MAX_BYTES);
        text[REPLY_MAX_BYTES] = '\0';
        http_stub_write(connection, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        http_stub_write(connection, text);
    } else if (asks_for(head, "GET /declared")) {
        http_stub_write(connection, "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n");
        http_stub_hang(connection);
    } else if (asks_for(head, "GET /headers")) {
        http_stub_write(connection, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 200; i++)
            http_stub_write(connection, "X-Many: 1\r\n");
        http_stub_write(connection, "\r\n");
    } else {
        http_stub_write(connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 100; i++)
            http_stub_write(connection, "10\r\n0123456789abcdef\r\n");
        http_stub_write(connection, "0\r\n\r\n");
    }
}

static void a_reply_is_bounded(void **state)
{
    static const char *const TOO_LARGE[] = {"/declared", "/chunked", "/headers"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.max_redirects = 0});
    HttpStub stub = {.answer = answer_large};
    HttpReply reply;
    HttpCall call;
    (void)state;

    http_stub_start(&stub);
    for (size_t i = 0; i < ARRAY_LEN(TOO_LARGE); i++) {
        call = get(url_of(mem, &stub, TOO_LARGE[i]));
        assert_reason(http_call(c, mem, &call, &reply), &PAYLOAD_TOO_LARGE);
    }
    call = get(url_of(mem, &stub, "/exact"));
    assert_ok(http_call(c, mem, &call, &reply));
    assert_int_equal(reply.body.len, REPLY_MAX_BYTES);
    http_stub_stop(&stub);
}

static void hang(HttpStub *stub, int number, Slice head, Slice body, int connection)
{
    (void)stub, (void)number, (void)head, (void)body;
    http_stub_hang(connection);
}

static void a_silent_server_meets_the_deadline(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.max_redirects = 0});
    HttpStub stub = {.answer = hang};
    int64_t before_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    HttpReply reply;
    HttpCall call;
    (void)state;

    http_stub_start(&stub);
    call = get(url_of(mem, &stub, "/"));
    call.timeout_ms = 200;
    call.retries = 5;
    assert_reason(http_call(c, mem, &call, &reply), &DEADLINE_EXCEEDED);
    assert_in_range(clock_monotonic_ms(&SYSTEM_CLOCK) - before_ms, 150, 2000);
    http_stub_stop(&stub);
    assert_int_equal(stub.requests, 1);
}

static void *cancel_when_asked(void *data)
{
    HttpStub *stub = data;

    while (atomic_load(&stub->requests) == 0)
        (void)poll(NULL, 0, 1);
    atomic_store((atomic_bool *)stub->data, true);
    return NULL;
}

static void a_cancelled_call_ends_soon(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.max_redirects = 0});
    atomic_bool cancel = false;
    HttpStub stub = {.answer = hang, .data = &cancel};
    int64_t before_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    pthread_t thread;
    HttpReply reply;
    HttpCall call;
    (void)state;

    http_stub_start(&stub);
    assert_int_equal(pthread_create(&thread, NULL, cancel_when_asked, &stub), 0);
    call = get(url_of(mem, &stub, "/"));
    call.timeout_ms = 60000;
    call.cancel = &cancel;
    assert_reason(http_call(c, mem, &call, &reply), &CANCELLED);
    assert_in_range(clock_monotonic_ms(&SYSTEM_CLOCK) - before_ms, 0, 5000);
    assert_int_equal(pthread_join(thread, NULL), 0);
    http_stub_stop(&stub);
}

/* ---------------------------------------------------------------------------------------------------- retries */

/* `data` is a text of a letter per request: o(k), u(navailable), l(ater: Retry-After), d(rop), n(ot found). */
static void answer_by_script(HttpStub *stub, int number, Slice head, Slice body, int connection)
{
    const char *script = stub->data;
    size_t at = MIN((size_t)number, strlen(script)) - 1;
    (void)head, (void)body;

    if (script[at] == 'o')
        http_stub_write(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    else if (script[at] == 'u')
        http_stub_write(connection, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    else if (script[at] == 'l')
        http_stub_write(connection, "HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
    else if (script[at] == 'n')
        http_stub_write(connection, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
}

static void failures_are_tried_again_where_that_is_safe(void **state)
{
    static const struct {
        const char *script, *method;
        bool retry_post;
        int retries, requests, status; /* status 0: UNAVAILABLE */
    } CASES[] = {
        {"uuo", "GET", false, 3, 3, 200},  {"uuo", "GET", false, 1, 2, 503}, {"uo", "GET", false, 0, 1, 503},
        {"do", "PUT", false, 2, 2, 200},   {"dd", "GET", false, 1, 2, 0},    {"uo", "POST", false, 3, 1, 503},
        {"uo", "POST", true, 3, 2, 200},   {"do", "POST", false, 3, 1, 0},   {"no", "GET", false, 3, 1, 404},
        {"uo", "PATCH", false, 3, 1, 503}, {"uo", NULL, false, 3, 2, 200},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.max_redirects = 0});
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        HttpStub stub = {.answer = answer_by_script, .data = (char *)(uintptr_t)CASES[i].script};
        HttpReply reply = {0};
        HttpCall call;
        Err e;
        http_stub_start(&stub);
        call = get(url_of(mem, &stub, "/"));
        call.method = CASES[i].method;
        call.retries = CASES[i].retries;
        call.retry_post = CASES[i].retry_post;
        e = http_call(c, mem, &call, &reply);
        http_stub_stop(&stub);
        if (stub.requests != CASES[i].requests || reply.status != CASES[i].status ||
            (e.reason == &UNAVAILABLE) != (CASES[i].status == 0))
            fail_msg("case %zu: %d requests, status %d, %s", i, stub.requests, reply.status, e.text);
    }
}

static void retry_after_is_honoured(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.max_redirects = 0});
    char script[] = "lo";
    HttpStub stub = {.answer = answer_by_script, .data = script};
    int64_t before_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    HttpReply reply;
    HttpCall call;
    (void)state;

    http_stub_start(&stub);
    call = get(url_of(mem, &stub, "/"));
    call.retries = 3;
    assert_ok(http_call(c, mem, &call, &reply));
    assert_int_equal(reply.status, 200);
    assert_in_range(clock_monotonic_ms(&SYSTEM_CLOCK) - before_ms, 990, 4000);
    http_stub_stop(&stub);
}

/* Waiting would outlast the deadline, so the answer that is there is given at once. */
static void no_wait_is_begun_that_cannot_end_in_time(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.max_redirects = 0});
    char script[] = "lo";
    HttpStub stub = {.answer = answer_by_script, .data = script};
    HttpReply reply;
    HttpCall call;
    (void)state;

    http_stub_start(&stub);
    call = get(url_of(mem, &stub, "/"));
    call.retries = 3;
    call.timeout_ms = 900;
    assert_ok(http_call(c, mem, &call, &reply));
    assert_int_equal(reply.status, 429);
    http_stub_stop(&stub);
    assert_int_equal(stub.requests, 1);
}

static void a_closed_port_is_unavailable(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.max_redirects = 0});
    HttpStub stub = {.answer = hang};
    HttpReply reply;
    HttpCall call;
    (void)state;

    http_stub_start(&stub);
    http_stub_stop(&stub);
    call = get(url_of(mem, &stub, "/"));
    assert_reason(http_call(c, mem, &call, &reply), &UNAVAILABLE);
}

/* ---------------------------------------------------------------------------------------------------- the guard */

static void addresses_are_public_or_not(void **state)
{
    static const char *const PUBLIC[] = {"8.8.8.8",         "1.1.1.1",      "9.255.255.255",        "11.0.0.0",
                                         "100.63.255.255",  "100.128.0.0",  "172.15.255.255",       "172.32.0.0",
                                         "192.167.255.255", "192.169.0.0",  "198.17.255.255",       "198.20.0.0",
                                         "223.255.255.255", "169.253.0.1",  "126.255.255.255",      "128.0.0.1",
                                         "2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "3ffe::1"};
    static const char *const OTHERS[] = {"0.0.0.0",
                                         "0.1.2.3",
                                         "10.0.0.1",
                                         "10.255.255.255",
                                         "100.64.0.1",
                                         "100.127.255.255",
                                         "127.0.0.1",
                                         "127.9.9.9",
                                         "169.254.169.254",
                                         "172.16.0.1",
                                         "172.31.255.255",
                                         "192.0.0.1",
                                         "192.0.2.1",
                                         "192.88.99.1",
                                         "192.168.0.1",
                                         "198.18.0.1",
                                         "198.19.255.255",
                                         "198.51.100.7",
                                         "203.0.113.7",
                                         "224.0.0.1",
                                         "239.255.255.255",
                                         "240.0.0.1",
                                         "255.255.255.255",
                                         "::",
                                         "::1",
                                         "::ffff:8.8.8.8",
                                         "::ffff:127.0.0.1",
                                         "::8.8.8.8",
                                         "64:ff9b::808:808",
                                         "64:ff9b:1::1",
                                         "100::1",
                                         "fe80::1",
                                         "fec0::1",
                                         "fc00::1",
                                         "fd00::1",
                                         "ff02::1",
                                         "2001::1",
                                         "2001:10::1",
                                         "2001:db8::1",
                                         "2002:808:808::1",
                                         "3fff::1",
                                         "5f00::1",
                                         "",
                                         "localhost",
                                         "8.8.8",
                                         "8.8.8.8 ",
                                         "0x8.8.8.8",
                                         "134744072"};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(PUBLIC); i++) {
        if (!http_address_public(PUBLIC[i]))
            fail_msg("%s is public", PUBLIC[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++) {
        if (http_address_public(OTHERS[i]))
            fail_msg("%s is not public", OTHERS[i]);
    }
}

static void private_addresses_are_refused_however_they_are_written(void **state)
{
    static const char *const HOSTS[] = {"127.0.0.1", "localhost",          "2130706433", "0x7f.1",
                                        "[::1]",     "[::ffff:127.0.0.1]", "0"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.public_only = true});
    HttpStub stub = {.answer = echo};
    (void)state;

    http_stub_start(&stub);
    for (size_t i = 0; i < ARRAY_LEN(HOSTS); i++) {
        HttpCall call = get(arena_printf(mem, "http://%s:%d/", HOSTS[i], stub.port));
        HttpReply reply;
        Err e;
        call.retries = 2;
        e = http_call(c, mem, &call, &reply);
        if (e.reason != &PERMISSION_DENIED)
            fail_msg("%s: %s", HOSTS[i], e.text);
    }
    http_stub_stop(&stub);
    assert_int_equal(stub.requests, 0);
}

/* `data` is where it sends everybody. */
static void redirect(HttpStub *stub, int number, Slice head, Slice body, int connection)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    (void)number, (void)head, (void)body;

    http_stub_write(connection, arena_printf(mem,
                                             "HTTP/1.1 302 There\r\nX-First: 1\r\nLocation: %s\r\nContent-Length: 5\r\n"
                                             "\r\nfirst",
                                             (const char *)stub->data));
}

static void redirects_are_followed_as_far_as_allowed(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *none = http_client_new(&(HttpClientOptions){.max_redirects = 0});
    CLEANUP(http_client_free_at) HttpClient *two = http_client_new(&(HttpClientOptions){.max_redirects = 2});
    HttpStub target = {.answer = echo}, first = {.answer = redirect}, loop = {.answer = redirect};
    HttpReply reply;
    HttpCall call;
    (void)state;

    http_stub_start(&target);
    first.data = url_of(mem, &target, "/there");
    http_stub_start(&first);
    call = get(url_of(mem, &first, "/"));
    assert_ok(http_call(none, mem, &call, &reply));
    assert_int_equal(reply.status, 302);
    assert_slice_equal(reply.body, SLICE_LIT("first"));
    assert_ok(http_call(two, mem, &call, &reply));
    assert_int_equal(reply.status, 201);
    assert_true(asks_for(reply.body, "GET /there "));
    assert_string_equal(reply.url, first.data);
    assert_null(http_reply_header(&reply, "x-first"));
    loop.data = (char *)"/again";
    http_stub_start(&loop);
    call = get(url_of(mem, &loop, "/"));
    assert_reason(http_call(two, mem, &call, &reply), &UNAVAILABLE);
    http_stub_stop(&loop);
    http_stub_stop(&first);
    http_stub_stop(&target);
    assert_int_equal(loop.requests, 3);
}

static void a_redirect_to_a_private_address_is_refused(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    HttpStub inner = {.answer = echo}, outer = {.answer = redirect};
    HttpReply reply;
    HttpCall call;
    (void)state;

    http_stub_start(&inner);
    outer.data = url_of(mem, &inner, "/secret");
    http_stub_start(&outer);
    {
        CLEANUP(http_client_free_at)
        HttpClient *c = http_client_new(&(HttpClientOptions){
            .public_only = true, .max_redirects = 5, .allowed = arena_printf(mem, "x, 127.0.0.1:%d", outer.port)});
        call = get(url_of(mem, &outer, "/"));
        assert_reason(http_call(c, mem, &call, &reply), &PERMISSION_DENIED);
        assert_int_equal(outer.requests, 1);
        assert_int_equal(inner.requests, 0);
    }
    http_stub_stop(&outer);
    http_stub_stop(&inner);
}

static void a_redirect_out_of_the_web_is_refused(void **state)
{
    static const char *const PLACES[] = {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.max_redirects = 5});
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(PLACES); i++) {
        HttpStub stub = {.answer = redirect, .data = (char *)(uintptr_t)PLACES[i]};
        HttpReply reply;
        HttpCall call;
        http_stub_start(&stub);
        call = get(url_of(mem, &stub, "/"));
        assert_reason(http_call(c, mem, &call, &reply), &PERMISSION_DENIED);
        http_stub_stop(&stub);
    }
}

/* ---------------------------------------------------------------------------------------------------- threads */

typedef struct CallerJob {
    HttpClient *client;
    const HttpStub *stub;
    int good;
} CallerJob;

static void *call_many(void *data)
{
    CallerJob *job = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);

    for (int i = 0; i < 20; i++) {
        HttpCall call = get(url_of(mem, job->stub, "/"));
        HttpReply reply;
        call.timeout_ms = 30000;
        job->good += !err_failed(http_call(job->client, mem, &call, &reply)) && reply.status == 201;
        arena_reset(mem);
    }
    return NULL;
}

static void threads_share_a_client(void **state)
{
    CLEANUP(http_client_free_at) HttpClient *c = http_client_new(&(HttpClientOptions){.max_redirects = 0});
    HttpStub stub = {.answer = echo};
    pthread_t threads[4];
    CallerJob jobs[4];
    (void)state;

    http_stub_start(&stub);
    for (size_t t = 0; t < 4; t++) {
        jobs[t] = (CallerJob){.client = c, .stub = &stub};
        assert_int_equal(pthread_create(&threads[t], NULL, call_many, &jobs[t]), 0);
    }
    for (size_t t = 0; t < 4; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
        assert_int_equal(jobs[t].good, 20);
    }
    http_stub_stop(&stub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_arrives_as_it_was_meant),
        cmocka_unit_test(methods_follow_from_the_body),
        cmocka_unit_test(what_is_no_web_address_is_refused),
        cmocka_unit_test(a_header_cannot_bring_another),
        cmocka_unit_test(a_reply_is_bounded),
        cmocka_unit_test(a_silent_server_meets_the_deadline),
        cmocka_unit_test(a_cancelled_call_ends_soon),
        cmocka_unit_test(failures_are_tried_again_where_that_is_safe),
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(no_wait_is_begun_that_cannot_end_in_time),
        cmocka_unit_test(a_closed_port_is_unavailable),
        cmocka_unit_test(addresses_are_public_or_not),
        cmocka_unit_test(private_addresses_are_refused_however_they_are_written),
        cmocka_unit_test(redirects_are_followed_as_far_as_allowed),
        cmocka_unit_test(a_redirect_to_a_private_address_is_refused),
        cmocka_unit_test(a_redirect_out_of_the_web_is_refused),
        cmocka_unit_test(threads_share_a_client),
    };
    return RUN(tests);
}
