/* Lists of leaked passwords: a file, and a service on loopback. */
#include "services/auth/breach.h"

#include <openssl/sha.h>
#include <sodium.h>

#include "atrium/reasons.atrium.h"
#include "shared/testing_http.h"

enum { PASSWORDS = 500, PATH_BYTES = 64 };

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char *upper_hash(Arena *mem, const char *password)
{
    uint8_t bytes[SHA_DIGEST_LENGTH];
    char *hex;

    SHA1((const uint8_t *)password, strlen(password), bytes);
    hex = hex_encode(mem, slice_of(bytes, sizeof(bytes)));
    for (char *c = hex; *c; c++)
        *c = (char)(*c >= 'a' ? *c - 'a' + 'A' : *c);
    return hex;
}

/* "leaked0" to "leaked<count - 1>"; each line ends with `end`. */
static void write_list(Arena *mem, int count, const char *end, char path[PATH_BYTES])
{
    char **lines = ARENA_ARRAY(mem, char *, count + 1);
    FILE *file;
    int fd;

    snprintf(path, PATH_BYTES, "/tmp/atrium-breach-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    file = fdopen(fd, "w");
    for (int i = 0; i < count; i++)
        lines[i] = upper_hash(mem, arena_printf(mem, "leaked%d", i));
    qsort(lines, (size_t)count, sizeof(*lines), compare_lines);
    for (int i = 0; i < count; i++)
        fprintf(file, "%s%s", lines[i], end);
    fclose(file);
}

static Breach *open_with(const char *file, const char *url, const Clock *clock, Metrics *metrics)
{
    Breach *breach;

    assert_ok(breach_new(&(BreachOptions){.file = file, .url = url, .clock = clock, .metrics = metrics}, &breach));
    return breach;
}

static void what_the_file_has_is_known(void **state)
{
    static const char *const ENDS[] = {"\n", "\r\n", ":1\n", ":12345678\r\n"};
    static const int COUNTS[] = {0, 1, 2, 3, PASSWORDS};
    (void)state;

    for (size_t e = 0; e < ARRAY_LEN(ENDS); e++)
        for (size_t c = 0; c < ARRAY_LEN(COUNTS); c++) {
            CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
            CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
            CLEANUP(breach_free_at) Breach *breach = NULL;
            char path[PATH_BYTES];

            write_list(mem, COUNTS[c], ENDS[e], path);
            breach = open_with(path, "", &SYSTEM_CLOCK, metrics);
            unlink(path);
            for (int i = 0; i < COUNTS[c]; i++)
                assert_true(breach_knows(breach, mem, arena_printf(mem, "leaked%d", i)));
            for (int i = 0; i < PASSWORDS; i++)
                assert_false(breach_knows(breach, mem, arena_printf(mem, "fresh%d", i)));
        }
}

static void a_file_that_cannot_be_read_stops_the_start(void **state)
{
    Breach *breach;
    (void)state;

    assert_reason(breach_new(&(BreachOptions){.file = "/nonexistent/list", .url = ""}, &breach), &INVALID_ARGUMENT);
}

static void a_file_of_something_else_knows_nothing(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    CLEANUP(breach_free_at) Breach *breach = NULL;
    char path[PATH_BYTES] = "/tmp/atrium-breach-XXXXXX";
    int fd = mkstemp(path);
    (void)state;

    assert_true(fd >= 0);
    for (int i = 0; i < 300; i++)
        assert_int_equal(write(fd, "no newline ", 11), 11);
    close(fd);
    breach = open_with(path, "", &SYSTEM_CLOCK, metrics);
    unlink(path);
    assert_false(breach_knows(breach, mem, "leaked0"));
}

/* "password" is 5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8. */
static void list_suffixes(HttpStub *stub, int number, Slice head, Slice body, int connection)
{
    (void)number, (void)body;
    if (stub->data) {
        http_stub_write(connection, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    /* No more than five digits leave the house. */
    assert_true(slice_find(head, SLICE_LIT("61E4C9B93F3F0682250B6CF8331B7EE68FD8")) < 0);
    http_stub_write(connection,
                    slice_starts_with(head, SLICE_LIT("GET /range/5BAA6 "))
                        ? "HTTP/1.1 200 OK\r\nContent-Length: 84\r\n\r\n"
                          "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n1E4C9B93F3F0682250B6CF8331B7EE68FD8:9659365\r\n"
                        : "HTTP/1.1 200 OK\r\nContent-Length: 78\r\n\r\n"
                          "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n00D4F6E8FA6EECAD2A3AA415EEC418D38EC:0\r\n");
}

static void the_service_is_told_five_digits(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    CLEANUP(breach_free_at) Breach *breach = NULL;
    HttpStub stub = {.answer = list_suffixes};
    (void)state;

    http_stub_start(&stub);
    breach = open_with("", arena_printf(mem, "http://127.0.0.1:%d/range/", stub.port), &SYSTEM_CLOCK, metrics);
    assert_true(breach_knows(breach, mem, "password"));
    assert_false(breach_knows(breach, mem, "something else entirely"));
    assert_int_equal(atomic_load(&stub.requests), 2);
    http_stub_stop(&stub);
}

static int64_t now_us = 1000000000;
static int64_t standing_us(void *context)
{
    (void)context;
    return now_us;
}

static void a_service_that_fails_is_left_alone_for_a_while(void **state)
{
    static const Clock CLOCK = {.unix_us = standing_us, .monotonic_us = standing_us};
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    CLEANUP(metrics_free_at) Metrics *metrics = metrics_new();
    CLEANUP(breach_free_at) Breach *breach = NULL;
    HttpStub stub = {.answer = list_suffixes, .data = &now_us};
    (void)state;

    http_stub_start(&stub);
    breach = open_with("", arena_printf(mem, "http://127.0.0.1:%d/range/", stub.port), &CLOCK, metrics);
    assert_false(breach_knows(breach, mem, "password"));
    stub.data = NULL;
    assert_false(breach_knows(breach, mem, "password"));
    assert_int_equal(atomic_load(&stub.requests), 1);
    now_us += 30000000;
    assert_true(breach_knows(breach, mem, "password"));
    http_stub_stop(&stub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_file_has_is_known),
        cmocka_unit_test(a_file_that_cannot_be_read_stops_the_start),
        cmocka_unit_test(a_file_of_something_else_knows_nothing),
        cmocka_unit_test(the_service_is_told_five_digits),
        cmocka_unit_test(a_service_that_fails_is_left_alone_for_a_while),
    };

    return sodium_init() < 0 ? 1 : RUN(tests);
}
