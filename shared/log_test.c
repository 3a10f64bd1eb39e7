#include "shared/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/testing.h"

/* A pipe in packet mode: each read gives what one write() wrote. */
typedef struct Sink {
    int ends[2];
    char line[8192];
} Sink;

static void sink_open(Sink *s)
{
    assert_int_equal(pipe2(s->ends, O_DIRECT | O_NONBLOCK), 0);
}

static void sink_close(Sink *s)
{
    (void)close(s->ends[0]);
    (void)close(s->ends[1]);
}

/* The next write as a text, or NULL. */
static const char *sink_line(Sink *s)
{
    ssize_t len = read(s->ends[0], s->line, sizeof(s->line) - 1);

    if (len <= 0)
        return NULL;
    s->line[len] = '\0';
    assert_int_equal(s->line[len - 1], '\n');
    return s->line;
}

static json_t *sink_json(Sink *s)
{
    const char *line = sink_line(s);
    json_t *json = line ? json_loads(line, JSON_REJECT_DUPLICATES, NULL) : NULL;

    assert_non_null(json);
    return json;
}

static Log *open_log(const Sink *s, bool text)
{
    return log_new(&(LogOptions){.service = "auth",
                                 .version = "1.2.3",
                                 .level = LOG_LEVEL_INFO,
                                 .format = text ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON,
                                 .fd = s->ends[1]});
}

static const char *text_of(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    if (!text)
        fail_msg("no text \"%s\"", name);
    return text;
}

static void an_event_is_one_line_of_json(void **state)
{
    Sink sink;
    CLEANUP(log_free_at) Log *log = NULL;
    uint64_t large = INT64_MAX; /* the largest that jansson reads */
    uint32_t small = 7;
    json_t *json;
    int64_t unix_s;
    int32_t nanos;
    (void)state;

    sink_open(&sink);
    log = open_log(&sink, false);
    LOG_WARN(log, "bus_lost", "retry_ms", -5, "small", small, "large", large, "share", 0.25, "name", SLICE_LIT("a\"b"),
             "up", (bool)true);
    json = sink_json(&sink);
    assert_null(sink_line(&sink));
    assert_true(time_parse(slice(text_of(json, "time")), &unix_s, &nanos));
    assert_int_equal(strlen(text_of(json, "time")), sizeof("2026-01-01T00:00:00.123456789Z") - 1);
    assert_string_equal(text_of(json, "level"), "warn");
    assert_string_equal(text_of(json, "msg"), "bus_lost");
    assert_string_equal(text_of(json, "service"), "auth");
    assert_string_equal(text_of(json, "version"), "1.2.3");
    assert_string_equal(text_of(json, "name"), "a\"b");
    assert_int_equal(json_integer_value(json_object_get(json, "retry_ms")), -5);
    assert_int_equal(json_integer_value(json_object_get(json, "small")), 7);
    assert_int_equal(json_integer_value(json_object_get(json, "large")), INT64_MAX);
    assert_true(json_number_value(json_object_get(json, "share")) == 0.25);
    assert_true(json_is_true(json_object_get(json, "up")));
    json_decref(json);
    sink_close(&sink);
}

static void values_that_json_has_no_word_for_are_null(void **state)
{
    Sink sink;
    CLEANUP(log_free_at) Log *log = NULL;
    json_t *json;
    (void)state;

    sink_open(&sink);
    log = open_log(&sink, false);
    LOG_ERROR(log, "odd", "nan", (double)NAN, "none", (const char *)NULL);
    json = sink_json(&sink);
    assert_true(json_is_null(json_object_get(json, "nan")));
    assert_true(json_is_null(json_object_get(json, "none")));
    json_decref(json);
    sink_close(&sink);
}

static void lines_carry_the_request_of_their_thread(void **state)
{
    Sink sink;
    CLEANUP(log_free_at) Log *log = NULL;
    json_t *json;
    (void)state;

    sink_open(&sink);
    log = open_log(&sink, false);
    log_set_context("req-1", "0af7651916cd43dd8448eb211c80319c", "Login");
    LOG_INFO(log, "inside");
    log_set_context(NULL, NULL, NULL);
    LOG_INFO(log, "outside");
    json = sink_json(&sink);
    assert_string_equal(text_of(json, "request_id"), "req-1");
    assert_string_equal(text_of(json, "trace_id"), "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(text_of(json, "rpc"), "Login");
    json_decref(json);
    json = sink_json(&sink);
    assert_null(json_object_get(json, "request_id"));
    json_decref(json);
    sink_close(&sink);
}

static void lines_below_the_level_are_not_written(void **state)
{
    Sink sink;
    CLEANUP(log_free_at) Log *log = NULL;
    (void)state;

    sink_open(&sink);
    log = open_log(&sink, false);
    LOG_DEBUG(log, "quiet");
    assert_null(sink_line(&sink));
    log_set_level(log, LOG_LEVEL_DEBUG);
    LOG_DEBUG(log, "loud");
    assert_non_null(sink_line(&sink));
    log_set_level(log, LOG_LEVEL_ERROR);
    LOG_WARN(log, "quiet");
    assert_null(sink_line(&sink));
    assert_false(log_enabled(NULL, LOG_LEVEL_ERROR));
    LOG_ERROR((Log *)NULL, "nowhere");
    sink_close(&sink);
}

static void long_values_are_cut_and_long_lines_stay_json(void **state)
{
    static char text[20000];
    Sink sink;
    CLEANUP(log_free_at) Log *log = NULL;
    json_t *json;
    (void)state;

    sink_open(&sink);
    log = open_log(&sink, false);
    for (size_t i = 0; i + 2 < sizeof(text); i += 2)
        memcpy(text + i, "é", 2);
    LOG_INFO(log, "long", "text", text);
    json = sink_json(&sink);
    assert_in_range(strlen(text_of(json, "text")), 1000, 1030);
    assert_null(json_object_get(json, "cut"));
    json_decref(json);
    memset(text, 1, sizeof(text) - 1); /* six bytes each when escaped */
    LOG_INFO(log, "long", "a", text, "b", "short", "c", text);
    assert_in_range(strlen(sink_line(&sink)), 1, PIPE_BUF);
    json = json_loads(sink.line, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_true(json_is_true(json_object_get(json, "cut")));
    assert_null(json_object_get(json, "a"));
    assert_string_equal(text_of(json, "b"), "short");
    json_decref(json);
    sink_close(&sink);
}

static void on_a_terminal_lines_are_words(void **state)
{
    Sink sink;
    CLEANUP(log_free_at) Log *log = NULL;
    const char *line;
    (void)state;

    sink_open(&sink);
    log = open_log(&sink, true);
    LOG_INFO(log, "ready", "port", 8080, "url", "nats://x:1", "note", "two words", "bell", "\a\x1b[0m");
    line = sink_line(&sink);
    assert_non_null(line);
    assert_string_equal(line + sizeof("12:34:56.789"),
                        "INFO  auth ready port=8080 url=nats://x:1 note=\"two words\" bell=\"\\u0007\\u001b[0m\"\n");
    sink_close(&sink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_one_line_of_json),
        cmocka_unit_test(values_that_json_has_no_word_for_are_null),
        cmocka_unit_test(lines_carry_the_request_of_their_thread),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(long_values_are_cut_and_long_lines_stay_json),
        cmocka_unit_test(on_a_terminal_lines_are_words),
    };
    return RUN(tests);
}
