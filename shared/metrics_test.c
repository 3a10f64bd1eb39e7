#include "shared/metrics.h"

#include <math.h>
#include <pthread.h>

#include "shared/testing.h"

static const char *written(Arena *mem, const Metrics *m)
{
    StrBuf b = strbuf_new(mem, 1 << 20);
    Slice text;

    metrics_write(m, &b);
    assert_true(strbuf_finish(&b, &text));
    return text.ptr;
}

static double half(void *data)
{
    return *(double *)data / 2;
}

static void metrics_are_written_as_prometheus_reads_them(void **state)
{
    static const double BOUNDS[] = {0.1, 1};
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    CLEANUP(metrics_free_at) Metrics *m = metrics_new();
    Counter *ok = metrics_counter(m, "atrium_calls_total", "Calls.", "code=\"OK\"");
    Histogram *h = metrics_histogram(m, "atrium_wait_seconds", "Waiting.", "lane=\"fast\"", BOUNDS, 2);
    double whole = 3;
    (void)state;

    counter_add(ok, 2);
    gauge_set(metrics_gauge(m, "atrium_depth", "Back\\slash and\nline.", ""), -1.5);
    counter_add(metrics_counter(m, "atrium_calls_total", "Calls.", "code=\"INTERNAL\""), 1);
    metrics_gauge_callback(m, "atrium_half", "Half.", "", half, &whole);
    metrics_counter_callback(m, "atrium_halves_total", "Halves.", "", half, &whole);
    histogram_observe(h, 0.1);
    histogram_observe(h, 0.5);
    histogram_observe(h, 7);
    assert_string_equal(written(mem, m), "# HELP atrium_calls_total Calls.\n"
                                         "# TYPE atrium_calls_total counter\n"
                                         "atrium_calls_total{code=\"OK\"} 2\n"
                                         "atrium_calls_total{code=\"INTERNAL\"} 1\n"
                                         "# HELP atrium_wait_seconds Waiting.\n"
                                         "# TYPE atrium_wait_seconds histogram\n"
                                         "atrium_wait_seconds_bucket{lane=\"fast\",le=\"0.1\"} 1\n"
                                         "atrium_wait_seconds_bucket{lane=\"fast\",le=\"1\"} 2\n"
                                         "atrium_wait_seconds_bucket{lane=\"fast\",le=\"+Inf\"} 3\n"
                                         "atrium_wait_seconds_sum{lane=\"fast\"} 7.6\n"
                                         "atrium_wait_seconds_count{lane=\"fast\"} 3\n"
                                         "# HELP atrium_depth Back\\\\slash and\\nline.\n"
                                         "# TYPE atrium_depth gauge\n"
                                         "atrium_depth -1.5\n"
                                         "# HELP atrium_half Half.\n"
                                         "# TYPE atrium_half gauge\n"
                                         "atrium_half 1.5\n"
                                         "# HELP atrium_halves_total Halves.\n"
                                         "# TYPE atrium_halves_total counter\n"
                                         "atrium_halves_total 1.5\n");
}

static void the_same_name_and_labels_are_the_same_row(void **state)
{
    CLEANUP(metrics_free_at) Metrics *m = metrics_new();
    Counter *a = metrics_counter(m, "atrium_a_total", "A.", "x=\"1\"");
    Counter *b = metrics_counter(m, "atrium_a_total", "A.", "x=\"2\"");
    (void)state;

    assert_ptr_equal(metrics_counter(m, "atrium_a_total", "A.", "x=\"1\""), a);
    assert_ptr_not_equal(a, b);
    counter_add(a, 5);
    assert_int_equal(counter_value(a), 5);
    assert_int_equal(counter_value(b), 0);
}

static void gauges_go_up_and_down(void **state)
{
    CLEANUP(metrics_free_at) Metrics *m = metrics_new();
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Gauge *g = metrics_gauge(m, "atrium_level", "Level.", "");
    (void)state;

    gauge_add(g, 2.5);
    gauge_add(g, -1);
    assert_true(gauge_value(g) == 1.5);
    gauge_set(g, INFINITY);
    assert_non_null(strstr(written(mem, m), "atrium_level +Inf\n"));
    gauge_set(g, 0.1);
    assert_non_null(strstr(written(mem, m), "atrium_level 0.1\n"));
    gauge_set(g, 1763654400.125);
    assert_non_null(strstr(written(mem, m), "atrium_level 1763654400.125\n"));
}

static void a_process_tells_about_itself(void **state)
{
    static const char *const ROWS[] = {"\natrium_build_info{service=\"auth\",version=\"1\\\"2\",revision=\"abc\"} 1\n",
                                       "\nprocess_cpu_seconds_total ",
                                       "\nprocess_resident_memory_bytes ",
                                       "\nprocess_virtual_memory_bytes ",
                                       "\nprocess_open_fds ",
                                       "\nprocess_max_fds ",
                                       "\nprocess_start_time_seconds "};
    CLEANUP(metrics_free_at) Metrics *m = metrics_new();
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    const char *text, *start;
    (void)state;

    metrics_add_process(m, "auth", "1\"2", "abc");
    text = written(mem, m);
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        if (!strstr(text, ROWS[i]))
            fail_msg("no %s in %s", ROWS[i], text);
    }
    assert_null(strstr(text, "NaN"));
    start = strstr(text, ROWS[6]) + strlen(ROWS[6]);
    assert_in_range((uint64_t)strtod(start, NULL), (uint64_t)time(NULL) - 600, (uint64_t)time(NULL));
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *count(void *data)
{
    Metrics *m = data;
    Counter *c = metrics_counter(m, "atrium_t_total", "T.", "");
    Gauge *g = metrics_gauge(m, "atrium_g", "G.", "");
    Histogram *h =
        metrics_histogram(m, "atrium_h_seconds", "H.", "", METRICS_LATENCY_BOUNDS, METRICS_LATENCY_BOUND_COUNT);

    for (int i = 0; i < ROUNDS; i++) {
        counter_add(c, 1);
        gauge_add(g, 1);
        histogram_observe(h, i % 2 ? 0.001 : 100);
    }
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    CLEANUP(metrics_free_at) Metrics *m = metrics_new();
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    pthread_t threads[THREADS];
    (void)state;

    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, count, m), 0);
    for (int i = 0; i < 50; i++)
        (void)written(mem, m); /* a scrape at the same time */
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    assert_non_null(strstr(written(mem, m), "\natrium_t_total 80000\n"));
    assert_non_null(strstr(written(mem, m), "\natrium_g 80000\n"));
    assert_non_null(strstr(written(mem, m), "\natrium_h_seconds_count 80000\n"));
    assert_non_null(strstr(written(mem, m), "le=\"10\"} 40000\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_written_as_prometheus_reads_them),
        cmocka_unit_test(the_same_name_and_labels_are_the_same_row),
        cmocka_unit_test(gauges_go_up_and_down),
        cmocka_unit_test(a_process_tells_about_itself),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return RUN(tests);
}
