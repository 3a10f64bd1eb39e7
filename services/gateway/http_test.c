/* Tests of the whole edge in one process: raw bytes over TCP on one side, a service of a few lines on the bus on the
 * other (http_fixture.h). Requests, their forms and limits; who asks is http_auth_test.c's. */
#include <sched.h>
#include <unistd.h>

#include "services/gateway/http_fixture.h"

static void requests_travel_there_and_back(void **state)
{
    Answer a = post("/echo/5?text=ignored", "application/json", "{\"text\":\"h\\u00e9\",\"n\":9}");
    (void)state;

    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"text\":\"h\303\251\",\"n\":5}"); /* the path wins */
    assert_header(&a, "\r\nX-Content-Type-Options: nosniff\r\n");
    assert_header(&a, "\r\nX-Request-ID: ");
    a = ask("GET /echo/-3?text=a+b%21&text=c&unknown=1 HTTP/1.1\r\nX-Request-ID: my.id-7");
    assert_string_equal(a.body, "{\"text\":\"c\",\"n\":-3}");
    assert_header(&a, "\r\nX-Request-ID: my.id-7\r\n");
    a = ask("GET /echo/1 HTTP/1.1\r\nX-Request-ID: bad id");
    assert_null(strstr(a.head, "bad id"));
    a = ask("HEAD /echo/1 HTTP/1.1");
    assert_int_equal(a.status, 200);
    assert_header(&a, "\r\nContent-Length: 7\r\n");
    a = ask("DELETE /gone HTTP/1.1");
    assert_int_equal(a.status, 204);
    assert_int_equal(a.body_len, 0);
}

static void dialects_differ(void **state)
{
    Answer a = post("/chat", "application/json; charset=utf-8", "{\"TEXT\":\"<b>\"} trailing");
    (void)state;

    assert_int_equal(a.status, 201);
    assert_string_equal(a.body, "{\"text\":\"\\u003cb\\u003e\"}\n");
    a = post("/chat", "text/plain", "{}");
    assert_int_equal(a.status, 400);
    a = post("/chat", "application/json", "[1]");
    assert_int_equal(a.status, 400);
    assert_string_equal(a.body, "{\"error\":{\"code\":\"INVALID_BODY\",\"message\":\"invalid request body\"},"
                                "\"message\":\"invalid request body\"}\n");
    a = post("/chat", "application/json", "");
    assert_int_equal(a.status, 201);
    a = post("/echo/x", "application/json", "{}");
    assert_int_equal(a.status, 400);
    assert_header(&a, "\r\nContent-Type: application/problem+json\r\n");
}

/* The texts of dialects that word faults themselves, and media's headers and line ends. */
static void faults_are_told_in_the_words_of_the_contract(void **state)
{
    static const struct {
        const char *path, *type, *body;
        int status;
        const char *told;
    } CASES[] = {
        {"/media", "", "", 400,
         "\"message\": \"decode request: request_body: missing request body: missing request body\""},
        {"/media", "", "{\"n\":{}}", 400,
         "\"message\": \"decode request: N: invalid json parameter: Input should be a valid integer, unable to parse "
         "string as an integer\",\n  \"details\": null\n}"},
        {"/media", "", "[", 400, "\"message\": \"decode request: the body is no JSON object\""},
        {"/media?n=x", "", "{}", 200, "{}\n"},
        {"/rag/open", "application/json", "", 400, "\"msg\":\"Field required\""},
        {"/rag/open", "text/plain", "{}", 400,
         "\"msg\":\"Input should be a valid dictionary or object to extract fields from\""},
        {"/rag/open", "application/json", "{\"text\":\"\xff\"}", 400,
         "{\"detail\":\"There was an error parsing the body\"}"},
        {"/echo/1", "text/plain", "{}", 400, "\"detail\":\"Content-Type must be application/json\""},
    };
    Answer a;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        a = post(CASES[i].path, CASES[i].type, CASES[i].body);
        assert_int_equal(a.status, CASES[i].status);
        assert_non_null(strstr(a.body, CASES[i].told));
    }
    a = ask_text("POST /media HTTP/1.1\r\nHost: x\r\nX-Correlation-ID: mine\r\nContent-Length: 2\r\n\r\n{}");
    assert_string_equal(a.body, "{}\n");
    assert_header(&a, "\r\nX-Correlation-ID: mine\r\n");
    assert_header(&a, "\r\nX-Encore-Trace-ID: ");
    a = ask_text("PUT /media HTTP/1.1\r\nHost: x\r\n\r\n");
    /* The reasons here are this program's, without dialects: the status is not the contract's, the shape is. */
    assert_int_equal(a.status, 405);
    assert_string_equal(a.body, "{\n  \"code\": \"METHOD_NOT_ALLOWED\",\n  \"message\": \"endpoint not found\",\n  "
                                "\"details\": null\n}");
}

static void health_and_wrong_methods_are_told_as_the_profile_says(void **state)
{
    Answer a = ask_text("GET /health HTTP/1.1\r\nHost: rag.test\r\n\r\n");
    (void)state;

    assert_string_equal(a.body, "{\"status\":\"healthy\",\"service\":\"atrium\",\"environment\":\"production\"}");
    a = ask_text("GET /health HTTP/1.1\r\nHost: chat.test\r\n\r\n");
    assert_string_equal(a.body, "{\"status\":\"ok\"}\n");
    a = ask_text("PUT /health HTTP/1.1\r\nHost: media.test\r\n\r\n");
    assert_int_equal(a.status, 404);
    assert_non_null(strstr(a.body, "\"message\": \"endpoint not found\""));
    a = ask_text("PUT /health HTTP/1.1\r\nHost: rag.test\r\n\r\n");
    assert_int_equal(a.status, 405);
    assert_string_equal(a.body, "{\"detail\":\"Method Not Allowed\"}");
}

static void rag_tells_strangers_of_broken_json_first(void **state)
{
    Answer a = post("/rag", "application/json", "{\"text\":");
    (void)state;

    /* The reasons here are this program's, without dialects: the status is not the contract's, the shape is. */
    assert_non_null(strstr(a.body, "\"type\":\"json_invalid\",\"loc\":[\"body\","));
    a = post("/rag/", "application/json", "{\"text\":5}");
    assert_int_equal(a.status, 401);
    assert_non_null(strstr(a.body, "Not authenticated"));
}

static void unknown_paths_and_methods_are_told(void **state)
{
    Answer a = ask("GET /nothing HTTP/1.1");
    (void)state;

    assert_int_equal(a.status, 404);
    assert_header(&a, "\r\nContent-Type: application/problem+json\r\n");
    a = ask("PUT /echo/1 HTTP/1.1");
    assert_int_equal(a.status, 405);
    assert_header(&a, "\r\nAllow: GET, HEAD, OPTIONS, POST\r\n");
    a = ask("OPTIONS /echo/1 HTTP/1.1");
    assert_int_equal(a.status, 204);
    assert_header(&a, "\r\nAllow: GET, HEAD, OPTIONS, POST\r\n");
    a = ask("GET /echo/%zz HTTP/1.1");
    assert_int_equal(a.status, 400);
    a = ask_text("PUT /echo/1 HTTP/1.1\r\nHost: media.test\r\n\r\n");
    assert_int_equal(a.status, 404);
    assert_non_null(strstr(a.body, "\"message\": \"endpoint not found\""));
    a = ask_text("GET /nothing HTTP/1.1\r\nHost: rag.test:80\r\n\r\n");
    assert_string_equal(a.body, "{\"detail\":\"Not Found\"}");
    a = ask_text("GET /api/v1/x HTTP/1.1\r\nHost: chat.test\r\n\r\n");
    assert_int_equal(a.status, 401);
}

static void ambiguous_requests_are_refused(void **state)
{
#define RAW(text)                                                                                                      \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }
    static const struct {
        const char *bytes;
        size_t len;
    } BAD[] = {
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nTransfer-Encoding: "
            "chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: "
            "2\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
            "chunked\r\n\r\n0\r\n\r\n"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: +2\r\n\r\n{}"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: 2x\r\n\r\n{}"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length : 2\r\n\r\n{}"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX-A: a\0b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX-A: a\0b\r\nX-B: c\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX-A: a\r\n b\r\nX-B: c\r\n\r\n"),
        RAW("GET /echo/1\0x HTTP/1.1\r\nHost: t\r\n\r\n"),
        RAW("GET /echo/1 x HTTP/1.1\r\nHost: t\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX A: b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX(A): b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: chat.test\r\nhost: rag.test\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\nHost: t\n\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\nX-A: b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX-A: a\rX-B: b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: t\r\nX-A: a\001b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\nHost: a b\r\n\r\n"),
        RAW("GET /echo/1 HTTP/1.1\r\n\r\n"),
        RAW("G\0T /echo/1 HTTP/1.1\r\nHost: t\r\n\r\n"),
        RAW("<b> /echo/1 HTTP/1.1\r\nHost: t\r\n\r\n"),
        RAW("POST /echo/1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n"),
    };
#undef RAW
    (void)state;

    f.settings.connection_timeout_ms = 1000; /* after one of them the connection is kept, for nothing */
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        int fd = open_connection();
        Answer first, second;

        send_bytes(fd, BAD[i].bytes, BAD[i].len);
        read_answer(fd, false, &first);
        /* Refused, and nothing that follows on this connection is read. MHD itself just closes for some. */
        if (first.status != 400 && !first.closed)
            fail_msg("case %zu: %d %s", i, first.status, first.body);
        read_answer(fd, false, &second);
        if (!second.closed && second.status != 400)
            fail_msg("case %zu: a second answer, %d", i, second.status);
        close(fd);
    }
    f.settings.connection_timeout_ms = 10000;
}

static void connections_live_on(void **state)
{
    static const char THREE[] =
        "GET /echo/1 HTTP/1.1\r\nHost: t\r\n\r\n"
        "POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"
        "POST /echo/3 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    int fd = open_connection();
    Answer a;
    (void)state;

    send_bytes(fd, THREE, sizeof(THREE) - 1);
    read_answer(fd, false, &a);
    assert_string_equal(a.body, "{\"n\":1}");
    read_answer(fd, false, &a);
    assert_int_equal(a.status, 404);
    read_answer(fd, false, &a);
    assert_string_equal(a.body, "{\"n\":3}");
    close(fd);
}

static void bodies_have_a_limit(void **state)
{
    char body[3000], text[4096];
    Answer a;
    (void)state;

    memset(body, ' ', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    a = post("/echo/1", "application/json", body);
    assert_int_equal(a.status, 413);
    snprintf(text, sizeof(text),
             "POST /echo/1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
             strlen(body), body);
    a = ask_bytes(text, strlen(text));
    assert_int_equal(a.status, 413);
    a = ask_text("POST /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999\r\n\r\n");
    assert_int_equal(a.status, 413);
    assert_header(&a, "\r\nConnection: close\r\n");
    /* Also where nobody would read it. */
    a = ask_text("POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999\r\n\r\n");
    assert_int_equal(a.status, 413);
}

static void count_exchanges(void *data)
{
    atomic_size_t *out = data;

    atomic_store(out, ((Gateway *)f.context)->exchange_count);
}

static size_t exchanges_now(void)
{
    atomic_size_t count = SIZE_MAX;
    size_t seen;

    loop_post(((Gateway *)f.context)->loop, count_exchanges, &count);
    while ((seen = atomic_load(&count)) == SIZE_MAX)
        sched_yield();
    return seen;
}

/* libmicrohttpd drops these at different points, and does not tell the end of each. */
static void nothing_stays_of_a_request_that_is_dropped(void **state)
{
    char query[801], text[900];
    (void)state;

    for (size_t i = 0; i < 400; i++)
        memcpy(query + 2 * i, "a&", 3); /* more parameters than are looked at */
    snprintf(text, sizeof(text), "GET /echo/1?%s HTTP/1.1\r\nHost: t\r\n\r\n", query);
    const char *const cases[] = {text, "GET /echo/1 HTTP/1.1\r\nno colon\r\n\r\n",
                                 "GET /echo/1 HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = open_connection();

        send_bytes(fd, cases[i], strlen(cases[i]));
        close(fd);
    }
    assert_int_equal(ask("GET /echo/1 HTTP/1.1").status, 200); /* by now all of them have been looked at */
    for (int64_t end_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + 5000; exchanges_now() > 0;)
        if (clock_monotonic_ms(&SYSTEM_CLOCK) > end_ms)
            fail_msg("%zu requests are still held", exchanges_now());
}

static void heads_of_eight_kilobytes_fit(void **state)
{
    char text[8400];
    size_t len = (size_t)snprintf(text, sizeof(text), "GET /echo/1 HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer ");
    Answer a;
    (void)state;

    memset(text + len, 'x', 8192 - len - 4);
    memcpy(text + 8192 - 4, "\r\n\r\n", 4);
    a = ask_bytes(text, 8192);
    assert_int_equal(a.status, 200);
}

static Answer ask_long(const char *begin, const char *piece, size_t times, const char *end)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    StrBuf text = strbuf_new(mem, 1 << 20);
    Slice whole;

    strbuf_append_cstr(&text, begin);
    for (size_t i = 0; i < times; i++)
        strbuf_append_cstr(&text, piece);
    strbuf_append_cstr(&text, end);
    assert_true(strbuf_finish(&text, &whole));
    return ask_bytes(whole.ptr, whole.len);
}

static void heads_have_limits(void **state)
{
    static const char GET[] = "GET /echo/1 HTTP/1.1\r\nHost: t\r\n", END[] = " HTTP/1.1\r\nHost: t\r\n\r\n";
    Answer a;
    (void)state;

    assert_int_equal(ask_long(GET, "A: b\r\n", HTTP_HEAD_FIELDS_MAX - 1, "\r\n").status, 200);
    a = ask_long(GET, "A: b\r\n", HTTP_HEAD_FIELDS_MAX, "\r\n");
    assert_int_equal(a.status, 431);
    assert_header(&a, "\r\nConnection: close\r\n");
    assert_int_equal(ask_long("GET /echo/1?", "x", HTTP_HEAD_URL_MAX_BYTES - strlen("/echo/1?"), END).status, 200);
    assert_int_equal(ask_long("GET /echo/1?", "x", HTTP_HEAD_URL_MAX_BYTES - strlen("/echo/1?") + 1, END).status, 414);
    assert_int_equal(ask_long("GET /echo/1?", "a&", REQUEST_QUERY_MAX, END).status, 200);
    assert_int_equal(ask_long("GET /echo/1?", "a&", REQUEST_QUERY_MAX + 1, END).status, 400);
}

static void services_that_fail_are_told_apart(void **state)
{
    Answer a = ask("GET /nobody HTTP/1.1");
    (void)state;

    assert_int_equal(a.status, 503);
    assert_header(&a, "\r\nRetry-After: 1\r\n");
    a = ask("GET /silent HTTP/1.1");
    assert_int_equal(a.status, 504);
    a = ask("GET /fails HTTP/1.1");
    assert_int_equal(a.status, 409);
    assert_header(&a, "\r\nRetry-After: 7\r\n");
    assert_string_equal(a.body, "{\"error\":{\"code\":\"TOO_ODD\",\"message\":\"odd numbers are full\"},"
                                "\"message\":\"odd numbers are full\"}\n");
}

static void lose_the_bus(void *data)
{
    Gateway *g = data;

    if (upstream_waiting(g->upstream))
        upstream_lost(g->upstream);
    else
        loop_post(g->loop, lose_the_bus, g); /* the request is still on its way to us */
}

static void what_waits_when_the_bus_is_lost_is_answered_at_once(void **state)
{
    static const struct {
        const char *head;
        int status;
    } ROWS[] = {
        {"GET /held HTTP/1.1", 503},
        {"POST /held HTTP/1.1\r\nContent-Length: 0", 504}, /* it may have happened: nobody is asked to try again */
        {"PUT /held HTTP/1.1\r\nContent-Length: 0", 504},
        {"PUT /held HTTP/1.1\r\nContent-Length: 0\r\nIdempotency-Key: k1", 503},
    };
    int64_t began_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        Answer a;

        loop_post(((Gateway *)f.context)->loop, lose_the_bus, f.context);
        a = ask(ROWS[i].head);
        assert_int_equal(a.status, ROWS[i].status);
        if (a.status == 503)
            assert_header(&a, "\r\nRetry-After: 1\r\n");
    }
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - began_ms < 10000);
}

static void limits_count_and_say_so(void **state)
{
    Answer a = ask("GET /limited HTTP/1.1");
    (void)state;

    assert_int_equal(a.status, 200);
    assert_header(&a, "\r\nX-RateLimit-Remaining: 1\r\n");
    assert_header(&a, "\r\nRateLimit-Policy: \"few\";q=2;w=60\r\n");
    a = ask("GET /limited HTTP/1.1");
    assert_int_equal(a.status, 200);
    a = ask("GET /limited HTTP/1.1");
    assert_int_equal(a.status, 429);
    assert_header(&a, "\r\nRetry-After: ");
    assert_header(&a, "\r\nX-RateLimit-Remaining: 0\r\n");
}

static void origins_are_answered(void **state)
{
    Answer a = ask("GET /echo/1 HTTP/1.1\r\nOrigin: http://good.example");
    (void)state;

    assert_header(&a, "\r\nAccess-Control-Allow-Origin: http://good.example\r\n");
    a = ask("OPTIONS /echo/1 HTTP/1.1\r\nOrigin: http://good.example\r\nAccess-Control-Request-Method: POST");
    assert_int_equal(a.status, 204);
    assert_header(&a, "\r\nAccess-Control-Allow-Methods: ");
    a = ask("GET /nothing HTTP/1.1\r\nOrigin: http://bad.example");
    assert_null(strcasestr(a.head, "allow-origin"));
}

static void public_documents_are_for_pages_of_any_origin(void **state)
{
    Answer a = ask_text("POST /baker HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                        "Origin: http://bad.example\r\n\r\n{}");
    (void)state;

    assert_header(&a, "\r\nAccess-Control-Allow-Origin: *\r\n");
    assert_null(strcasestr(a.head, "allow-credentials"));
    a = ask_text("POST /baker HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                 "Origin: http://bad.example\r\nAuthorization: Bearer x\r\n\r\n{}");
    assert_null(strcasestr(a.head, "allow-origin"));
}

static void a_profile_may_have_a_front_page(void **state)
{
    Answer a = ask_text("GET / HTTP/1.1\r\nHost: events.test\r\n\r\n");
    (void)state;

    assert_int_equal(a.status, 401); /* what /events says to strangers */
    a = ask_text("GET / HTTP/1.1\r\nHost: media.test\r\n\r\n");
    assert_int_equal(a.status, 200);
}

static void own_paths_answer(void **state)
{
    static const char *const PATHS[] = {"/livez", "/healthz", "/version", "/metrics", "/", "/api/health"};
    Answer a;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++) {
        char head[64];

        if (strcmp(PATHS[i], "/metrics") == 0)
            continue; /* longer than our buffer: the black-box suite reads it */
        snprintf(head, sizeof(head), "GET %s HTTP/1.1", PATHS[i]);
        assert_int_equal(ask(head).status, 200);
    }
    a = ask("POST /livez HTTP/1.1");
    assert_int_equal(a.status, 405);
    assert_header(&a, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
}

static void post_reload(void *data)
{
    gateway_reload(data);
}

static void tables_change_while_serving(void **state)
{
    Answer a = ask("GET /later HTTP/1.1");
    FILE *out;
    (void)state;

    assert_int_equal(a.status, 404);
    out = fopen(f.tables, "w"); /* a file that is not good changes nothing */
    assert_non_null(out);
    fputs("rubbish", out);
    fclose(out);
    loop_post(((Gateway *)f.context)->loop, post_reload, f.context);
    assert_int_equal(ask("GET /later HTTP/1.1").status, 404);
    assert_int_equal(ask("GET /echo/1 HTTP/1.1").status, 200);
    write_tables(f.tables, true);
    loop_post(((Gateway *)f.context)->loop, post_reload, f.context);
    for (int i = 0; i < 500 && a.status != 200; i++)
        a = ask("GET /later HTTP/1.1");
    assert_int_equal(a.status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_travel_there_and_back),
        cmocka_unit_test(dialects_differ),
        cmocka_unit_test(faults_are_told_in_the_words_of_the_contract),
        cmocka_unit_test(health_and_wrong_methods_are_told_as_the_profile_says),
        cmocka_unit_test(rag_tells_strangers_of_broken_json_first),
        cmocka_unit_test(unknown_paths_and_methods_are_told),
        cmocka_unit_test(ambiguous_requests_are_refused),
        cmocka_unit_test(connections_live_on),
        cmocka_unit_test(bodies_have_a_limit),
        cmocka_unit_test(nothing_stays_of_a_request_that_is_dropped),
        cmocka_unit_test(heads_of_eight_kilobytes_fit),
        cmocka_unit_test(heads_have_limits),
        cmocka_unit_test(services_that_fail_are_told_apart),
        cmocka_unit_test(what_waits_when_the_bus_is_lost_is_answered_at_once),
        cmocka_unit_test(limits_count_and_say_so),
        cmocka_unit_test(origins_are_answered),
        cmocka_unit_test(public_documents_are_for_pages_of_any_origin),
        cmocka_unit_test(a_profile_may_have_a_front_page),
        cmocka_unit_test(own_paths_answer),
        cmocka_unit_test(tables_change_while_serving),
    };

    return cmocka_run_group_tests(tests, start_all, edge_stop);
}
