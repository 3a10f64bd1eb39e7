/* Tests of cache with a real Redis (TEST_REDIS_URL). */
#include "shared/cache.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/id.h"
#include "shared/testing.h"

static Cache *open_cache(void)
{
    const char *url = getenv("TEST_REDIS_URL");
    char prefix[40];
    Cache *c = NULL;

    if (!url)
        fail_msg("TEST_REDIS_URL is not set: run this by tests/run-units");
    snprintf(prefix, sizeof prefix, "test%016" PRIx64 ":", random_uint64());
    assert_ok(cache_new(url, prefix, NULL, NULL, &c));
    return c;
}

static void what_is_set_can_be_read_until_it_expires(void **state)
{
    CLEANUP(cache_free_at) Cache *c = open_cache();
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const Slice binary = slice_of("a\0b\r\n", 5);
    Slice value;
    (void)state;

    assert_true(cache_available(c));
    assert_false(cache_get(c, mem, SLICE_LIT("k"), &value));
    cache_set(c, SLICE_LIT("k"), binary, 60000);
    cache_set(c, SLICE_LIT("empty"), (Slice){0}, 60000);
    assert_true(cache_get(c, mem, SLICE_LIT("k"), &value));
    assert_slice_equal(value, binary);
    assert_true(cache_get(c, mem, SLICE_LIT("empty"), &value));
    assert_int_equal(value.len, 0);
    cache_delete(c, SLICE_LIT("k"));
    assert_false(cache_get(c, mem, SLICE_LIT("k"), &value));
    cache_set(c, SLICE_LIT("k"), binary, 20);
    WAIT_UNTIL(!cache_get(c, mem, SLICE_LIT("k"), &value));
    cache_set(c, SLICE_LIT("k"), binary, 0);
    assert_false(cache_get(c, mem, SLICE_LIT("k"), &value));
}

static void a_counter_lives_for_one_window(void **state)
{
    CLEANUP(cache_free_at) Cache *c = open_cache();
    int64_t value, left, first_left;
    (void)state;

    assert_true(cache_count(c, SLICE_LIT("n"), 1, 60000, &value, &first_left));
    assert_int_equal(value, 1);
    assert_in_range(first_left, 59000, 60000);
    assert_true(cache_count(c, SLICE_LIT("n"), 4, 900000, &value, &left));
    assert_int_equal(value, 5);
    assert_true(left <= first_left); /* the window is that of the first use */
    assert_true(cache_count(c, SLICE_LIT("short"), 1, 30, &value, &left));
    WAIT_UNTIL(cache_count(c, SLICE_LIT("short"), 1, 30, &value, &left) && value == 1);
}

enum { THREADS = 24, EACH = 200 }; /* more threads than connections */

static void *count_much(void *data)
{
    /* On a busy machine a call may time out: then it counts as nothing, or once too much. */
    for (int done = 0, tries = 0; done < EACH && tries < 20000; tries++) {
        int64_t value, left;
        if (cache_count(data, SLICE_LIT("many"), 1, 60000, &value, &left))
            done++;
        else
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    CLEANUP(cache_free_at) Cache *c = open_cache();
    pthread_t threads[THREADS];
    int64_t value, left;
    (void)state;

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_much, c), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    WAIT_UNTIL(cache_count(c, SLICE_LIT("many"), 0, 60000, &value, &left));
    assert_in_range(value, THREADS * EACH, THREADS * EACH * 11 / 10);
}

static void without_a_url_nothing_hits(void **state)
{
    CLEANUP(cache_free_at) Cache *c = NULL;
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    int64_t value, left;
    Slice text;
    (void)state;

    assert_ok(cache_new("", "x", NULL, NULL, &c));
    cache_set(c, SLICE_LIT("k"), SLICE_LIT("v"), 1000);
    cache_delete(c, SLICE_LIT("k"));
    assert_false(cache_get(c, mem, SLICE_LIT("k"), &text));
    assert_false(cache_count(c, SLICE_LIT("k"), 1, 1000, &value, &left));
    assert_false(cache_available(c));
}

static void an_absent_redis_costs_no_time(void **state)
{
    CLEANUP(cache_free_at) Cache *c = NULL;
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    int64_t start = clock_monotonic_ms(&SYSTEM_CLOCK);
    Slice text;
    (void)state;

    assert_ok(cache_new("redis://127.0.0.1:1", "x", NULL, NULL, &c));
    for (int i = 0; i < 20000; i++)
        assert_false(cache_get(c, mem, SLICE_LIT("k"), &text));
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) - start < 2000);
}

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    do /* below the ephemeral range */
        address.sin_port = htons((uint16_t)(20000 + random_uint64() % 12000));
    while (bind(fd, (struct sockaddr *)&address, sizeof address) != 0);
    close(fd);
    return ntohs(address.sin_port);
}

static pid_t start_redis(int port)
{
    char text[16];
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    snprintf(text, sizeof text, "%d", port);
    execlp("redis-server", "redis-server", "--port", text, "--save", "", "--bind", "127.0.0.1", "--logfile",
           "/dev/null", "--requirepass", "p@ss word", "--dir", "/tmp", (char *)NULL);
    _exit(127);
}

static void stop_redis(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void it_comes_back_with_redis(void **state)
{
    CLEANUP(cache_free_at) Cache *c = NULL;
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    int port = free_port();
    pid_t pid = start_redis(port);
    Slice value;
    (void)state;

    assert_ok(cache_new(arena_printf(mem, "redis://:p%%40ss%%20word@127.0.0.1:%d/3", port), "", NULL, NULL, &c));
    WAIT_UNTIL(cache_available(c));
    cache_set(c, SLICE_LIT("k"), SLICE_LIT("v"), 60000);
    assert_true(cache_get(c, mem, SLICE_LIT("k"), &value));
    stop_redis(pid);
    assert_false(cache_get(c, mem, SLICE_LIT("k"), &value));
    pid = start_redis(port);
    WAIT_UNTIL(cache_available(c));
    cache_set(c, SLICE_LIT("k"), SLICE_LIT("v2"), 60000);
    assert_true(cache_get(c, mem, SLICE_LIT("k"), &value));
    stop_redis(pid);
}

static void urls_are_checked(void **state)
{
    static const struct {
        const char *url;
        bool good;
    } cases[] = {
        {"redis://localhost", true},
        {"redis://localhost:6380/2", true},
        {"redis://user:p%40ss@[::1]:6379", true},
        {"redis://:secret@h/0", true},
        {"rediss://localhost", false},
        {"http://localhost", false},
        {"redis://", false},
        {"redis://h:99999", false},
        {"redis://h:x", false},
        {"redis://h/x", false},
        {"redis://[::1", false},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Cache *c = NULL;
        Err e = cache_new(cases[i].url, "", NULL, NULL, &c);
        if (err_failed(e) == cases[i].good)
            fail_msg("%s: %s", cases[i].url, e.text);
        if (err_failed(e))
            assert_ptr_equal(e.reason, &INVALID_ARGUMENT);
        cache_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_set_can_be_read_until_it_expires),
        cmocka_unit_test(a_counter_lives_for_one_window),
        cmocka_unit_test(threads_share_it),
        cmocka_unit_test(without_a_url_nothing_hits),
        cmocka_unit_test(an_absent_redis_costs_no_time),
        cmocka_unit_test(it_comes_back_with_redis),
        cmocka_unit_test(urls_are_checked),
    };
    return RUN(tests);
}
