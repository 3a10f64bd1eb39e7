/* Tests of the data plane: answers, ranges and conditions, errors, and handlers called alone. */
#include <unistd.h>

#include "shared/bytes_fixture.h"

/* --- ranges and conditions --------------------------------------------------------------------------------------- */
static void ranges_and_conditions_are_honoured(void **state)
{
    static const struct {
        const char *method, *headers;
        int status;
        const char *body, *content_range;
    } CASES[] = {
        {"GET", "", 200, "0123456789", ""},
        {"GET", "Range: bytes=0-3\r\n", 206, "0123", "bytes 0-3/10"},
        {"GET", "Range: bytes=0-0\r\n", 206, "0", "bytes 0-0/10"},
        {"GET", "Range: bytes=9-9\r\n", 206, "9", "bytes 9-9/10"},
        {"GET", "Range: bytes=4-\r\n", 206, "456789", "bytes 4-9/10"},
        {"GET", "Range: bytes=-3\r\n", 206, "789", "bytes 7-9/10"},
        {"GET", "Range: bytes=-100\r\n", 206, "0123456789", "bytes 0-9/10"},
        {"GET", "Range: bytes=5-100\r\n", 206, "56789", "bytes 5-9/10"},
        {"GET", "Range: bytes=5-99999999999999999999999999\r\n", 206, "56789", "bytes 5-9/10"},
        {"GET", "Range: Bytes=1-2\r\n", 206, "12", "bytes 1-2/10"},
        {"GET", "Range: bytes= 1-2 \r\n", 206, "12", "bytes 1-2/10"},
        {"GET", "Range: bytes=,1-2,\r\n", 206, "12", "bytes 1-2/10"},
        {"GET", "Range: bytes=10-\r\n", 416, NULL, "bytes */10"},
        {"GET", "Range: bytes=10-12\r\n", 416, NULL, "bytes */10"},
        {"GET", "Range: bytes=99999999999999999999999999-\r\n", 416, NULL, "bytes */10"},
        {"GET", "Range: bytes=-0\r\n", 416, NULL, "bytes */10"},
        {"GET", "Range: bytes=0-1,4-5\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=3-1\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=a-b\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=+1-2\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=1\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=-\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes\r\n", 200, "0123456789", ""},
        {"GET", "Range: lines=1-2\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=0-3\r\nIf-Range: \"v1\"\r\n", 206, "0123", "bytes 0-3/10"},
        {"GET", "Range: bytes=0-3\r\nIf-Range: W/\"v1\"\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=0-3\r\nIf-Range: \"v0\"\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=0-3\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 206, "0123", "bytes 0-3/10"},
        {"GET", "Range: bytes=0-3\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 200, "0123456789", ""},
        {"GET", "Range: bytes=0-3\r\nIf-Range: nonsense\r\n", 200, "0123456789", ""},
        {"GET", "If-None-Match: \"v1\"\r\n", 304, "", ""},
        {"GET", "If-None-Match: W/\"v1\"\r\n", 304, "", ""},
        {"GET", "If-None-Match: \"a\", \"v1\"\r\n", 304, "", ""},
        {"GET", "If-None-Match: *\r\n", 304, "", ""},
        {"GET", "If-None-Match: \"v0\"\r\n", 200, "0123456789", ""},
        {"GET", "If-None-Match: v1\r\n", 200, "0123456789", ""},
        {"GET", "If-None-Match: \"v1\"\r\nRange: bytes=0-1\r\n", 304, "", ""},
        {"GET", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304, "", ""},
        {"GET", "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", 304, "", ""},
        {"GET", "If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n", 304, "", ""},
        {"GET", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200, "0123456789", ""},
        {"GET", "If-Modified-Since: nonsense\r\n", 200, "0123456789", ""},
        {"GET", "If-None-Match: \"v0\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200, "0123456789", ""},
        {"GET", "If-Match: \"v1\"\r\n", 200, "0123456789", ""},
        {"GET", "If-Match: *\r\n", 200, "0123456789", ""},
        {"GET", "If-Match: \"v0\"\r\n", 412, NULL, ""},
        {"GET", "If-Match: W/\"v1\"\r\n", 412, NULL, ""},
        {"GET", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200, "0123456789", ""},
        {"GET", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 412, NULL, ""},
        {"GET", "If-Match: \"v1\"\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200, "0123456789", ""},
        {"HEAD", "", 200, "", ""},
        {"HEAD", "Range: bytes=0-3\r\n", 200, "", ""},
        {"HEAD", "If-None-Match: \"v1\"\r\n", 304, "", ""},
        {"HEAD", "If-Match: \"v0\"\r\n", 412, "", ""},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
        Reply r = ask(mem, arena_printf(mem, "%s /ten" REST "%s\r\n", CASES[i].method, CASES[i].headers));

        if (r.status != CASES[i].status || !slice_eq_cstr(header_of(&r, "Content-Range"), CASES[i].content_range) ||
            (CASES[i].body && !slice_eq_cstr(r.body, CASES[i].body)))
            fail_msg("%s %s: %d " SLICE_FMT "\n" SLICE_FMT, CASES[i].method, CASES[i].headers, r.status,
                     SLICE_ARG(r.head), SLICE_ARG(r.body));
        if (r.status == 200 || r.status == 206 || r.status == 304)
            assert_slice_equal(header_of(&r, "ETag"), SLICE_LIT("\"v1\""));
        if (r.status == 304) /* a length would have to be that of the whole */
            assert_slice_equal(header_of(&r, "Content-Length"), SLICE_LIT("10"));
    }
}

static void head_is_get_without_its_body(void **state)
{
    static const char *const NAMES[] = {"Content-Length",        "Content-Type",  "ETag",
                                        "Last-Modified",         "Accept-Ranges", "Cache-Control",
                                        "X-Content-Type-Options"};
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Reply get = ask(mem, "GET /ten" REST "\r\n"), head = ask(mem, "HEAD /ten" REST "\r\n");
    (void)state;

    assert_int_equal(head.status, 200);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        assert_true(header_of(&get, NAMES[i]).len > 0);
        assert_slice_equal(header_of(&get, NAMES[i]), header_of(&head, NAMES[i]));
    }
    assert_slice_equal(header_of(&get, "Last-Modified"), SLICE_LIT("Sun, 06 Nov 1994 08:49:37 GMT"));
}

/* --- answers ----------------------------------------------------------------------------------------------------- */
static void requests_follow_one_another(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    int fd = dial();
    Reply r;
    (void)state;

    assert_true(say(fd, SLICE_LIT("POST /echo/a%20b/c?x=1&q=y+%41" REST "Authorization: Bearer t\r\n"
                                  "Content-Length: 4\r\n\r\nbodyDELETE /nothing" REST "\r\n")));
    r = hear(mem, fd, false, false);
    assert_int_equal(r.status, 200);
    assert_slice_equal(r.body, SLICE_LIT("POST|a b/c|y A|body|0|127.0.0.1|0"));
    assert_true(header_of(&r, "X-Request-Id").len > 0);
    r = hear(mem, fd, false, false);
    assert_int_equal(r.status, 204);
    assert_true(say(fd, SLICE_LIT("GET /stream" REST "Connection: close\r\nX-Request-Id: abc.1\r\n\r\n")));
    r = hear(mem, fd, false, true);
    assert_int_equal(r.status, 200);
    assert_slice_equal(header_of(&r, "Transfer-Encoding"), SLICE_LIT("chunked"));
    assert_slice_equal(header_of(&r, "X-Request-Id"), SLICE_LIT("abc.1"));
    assert_true(slice_ends_with(r.body, SLICE_LIT("0\r\n\r\n")));
    close(fd);
    wait_dones(2);
}

static void a_source_that_fails_breaks_off(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Reply r = ask(mem, "GET /broken" REST "\r\n");
    (void)state;

    assert_int_equal(r.status, 200);
    assert_true(r.closed);
    assert_true(r.body.len < 10);
    wait_dones(1);
    assert_int_equal(seen.outcome, BYTES_FAILED);
}

static void errors_speak_the_dialect(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    Reply r = ask(mem, "GET /nowhere" REST "X-Request-Id: id\r\n\r\n");
    (void)state;

    assert_int_equal(r.status, 404);
    assert_slice_equal(header_of(&r, "Content-Type"), SLICE_LIT("application/problem+json"));
    assert_slice_equal(r.body, SLICE_LIT("{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,\"detail\":"
                                         "\"there is nothing here\",\"instance\":\"/nowhere\",\"code\":\"NOT_FOUND\","
                                         "\"request_id\":\"id\"}"));
    r = ask(mem, "POST /put" REST "\r\n");
    assert_int_equal(r.status, 405);
    assert_slice_equal(header_of(&r, "Allow"), SLICE_LIT("OPTIONS, PATCH, PUT"));
    r = ask(mem, "PUT /put" REST "X-Refuse: 1\r\n\r\n");
    assert_int_equal(r.status, 409);
    assert_slice_equal(r.body, SLICE_LIT("{\n  \"code\": \"already_exists\",\n  \"message\": \"not now\",\n"
                                         "  \"details\": null\n}"));
    r = ask(mem, "GET /admin" REST "\r\n");
    assert_int_equal(r.status, 401);
    assert_slice_equal(header_of(&r, "WWW-Authenticate"), SLICE_LIT("Bearer"));
    assert_true(slice_find(r.body, SLICE_LIT("\"unauthenticated\"")) > 0);
    assert_int_equal(ask(mem, "GET /%zz" REST "\r\n").status, 400);
}

#define ASKS_TO_PUT "Origin: https://page.test\r\nAccess-Control-Request-Method: PUT\r\n\r\n"

static void pages_of_others_may_come_where_clients_come_straight(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    BytesSettings settings = usual_settings();
    Reply r;
    (void)state;

    /* Behind the gateway its rules hold. */
    r = ask(mem, "GET /ten" REST "Origin: https://page.test\r\n\r\n");
    assert_int_equal(header_of(&r, "Access-Control-Allow-Origin").len, 0);
    settings.public_url = "https://bytes.test";
    restart_listener(settings);
    r = ask(mem, "OPTIONS /put" REST ASKS_TO_PUT);
    assert_int_equal(r.status, 204);
    assert_slice_equal(header_of(&r, "Access-Control-Allow-Origin"), SLICE_LIT("*"));
    assert_slice_equal(header_of(&r, "Access-Control-Allow-Methods"), SLICE_LIT("OPTIONS, PATCH, PUT"));
    assert_slice_equal(header_of(&r, "Access-Control-Allow-Headers"), SLICE_LIT("*"));
    assert_int_equal(header_of(&r, "Access-Control-Allow-Credentials").len, 0);
    assert_int_equal(ask(mem, "OPTIONS /nowhere" REST ASKS_TO_PUT).status, 404);
    /* What goes well, what does not, and what is refused before its body. */
    for (size_t i = 0; i < 3; i++) {
        static const char *const HEADS[] = {"GET /ten" REST, "GET /nowhere" REST, "PUT /put" REST "X-Refuse: 1\r\n"};

        r = ask(mem, arena_printf(mem, "%sOrigin: https://page.test\r\n\r\n", HEADS[i]));
        assert_slice_equal(header_of(&r, "Access-Control-Allow-Origin"), SLICE_LIT("*"));
        assert_slice_equal(header_of(&r, "Access-Control-Expose-Headers"), SLICE_LIT("*"));
    }
    r = ask(mem, "GET /ten" REST "\r\n");
    assert_int_equal(header_of(&r, "Access-Control-Allow-Origin").len, 0);
}

static void ambiguous_heads_are_refused(void **state)
{
    static const char *const HEADS[] = {
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Content-Length: +4\r\n",
        "A : b\r\n",
        "A: b\r\n c\r\n",
        "Host: y\r\n",
        "A: b\x01\r\n",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(HEADS); i++) {
        CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
        Reply r = ask(mem, arena_printf(mem, "PUT /put" REST "%s\r\nbody", HEADS[i]));

        if (r.status != 400)
            fail_msg("%s: %d", HEADS[i], r.status);
    }
    assert_int_equal(seen.begins, 0);
}

/* --- handlers alone ---------------------------------------------------------------------------------------------- */
static void handlers_can_be_called_alone(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    const RequestHeader headers[] = {{"range", "bytes=2-4"}};
    Request rq = {
        .mem = mem, .clock = &SYSTEM_CLOCK, .headers = headers, .header_count = 1, .id = "", .client_address = ""};
    BytesReply r = bytes_call(&SERVICE, &rq, w.tickets, "GET", "/ten", SLICE_LIT(""), 0);
    (void)state;

    assert_int_equal(r.status, 206);
    assert_slice_equal(r.body, SLICE_LIT("234"));
    r = bytes_call(&SERVICE, &rq, w.tickets, "PUT", "/put", SLICE_LIT("abcde"), 2);
    assert_int_equal(r.status, 201);
    assert_slice_equal(r.body, SLICE_LIT("5"));
    assert_int_equal(seen.dones, 2);
    r = bytes_call(&SERVICE, &rq, w.tickets, "GET", "/mine", SLICE_LIT(""), 0);
    assert_reason(r.e, &UNAUTHENTICATED);
}

static void names_of_files_survive(void **state)
{
    static const struct {
        const char *name, *wanted;
    } CASES[] = {
        {"", "attachment"},
        {"day.mp4", "attachment; filename=\"day.mp4\""},
        {"a b", "attachment; filename=\"a b\""},
        {"d\xC3\xA4y", "attachment; filename=\"d_y\"; filename*=UTF-8''d%C3%A4y"},
        {"a\"b%c", "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%25c"},
        {"../a\r\nb\\c", "attachment; filename=\".._a__b_c\""},
        {"\xFF", "attachment"},
    };
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_string_equal(bytes_disposition(mem, true, slice(CASES[i].name)), CASES[i].wanted);
    assert_string_equal(bytes_disposition(mem, false, SLICE_LIT("a")), "inline; filename=\"a\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ranges_and_conditions_are_honoured),
        TEST(head_is_get_without_its_body),
        TEST(requests_follow_one_another),
        TEST(a_source_that_fails_breaks_off),
        TEST(errors_speak_the_dialect),
        TEST(pages_of_others_may_come_where_clients_come_straight),
        TEST(ambiguous_heads_are_refused),
        TEST(handlers_can_be_called_alone),
        TEST(names_of_files_survive),
    };

    return RUN(tests);
}
