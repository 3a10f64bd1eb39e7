#include "shared/trace.h"

#include <jansson.h>

#include "shared/testing_http.h"

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void traceparents_are_read_and_written(void **state)
{
    TraceContext t;
    char text[TRACEPARENT_BYTES];
    (void)state;

    assert_true(trace_parse(SLICE_LIT(GOOD), &t));
    assert_string_equal(t.trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(t.span_id, "b7ad6b7169203331");
    assert_true(t.sampled);
    trace_format(&t, text);
    assert_string_equal(text, GOOD);
    assert_true(trace_parse(SLICE_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"), &t));
    assert_false(t.sampled);
    assert_true(trace_parse(SLICE_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff"), &t));
    assert_true(t.sampled);
}

static void anything_else_is_no_traceparent(void **state)
{
    static const char *const CASES[] = {
        "",
        "00",
        GOOD "-",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-g1",
        "00-0af7651916cd43dd8448eb211c80319c0b7ad6b7169203331-01",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        TraceContext t = {.sampled = true};
        if (trace_parse(slice(CASES[i]), &t))
            fail_msg("\"%s\" was read", CASES[i]);
        assert_string_equal(t.trace_id, "");
        assert_false(t.sampled);
    }
}

static void a_child_is_a_new_span_of_the_same_trace(void **state)
{
    TraceContext root = trace_root(true), other = trace_root(false), child = trace_child(&root);
    TraceContext again;
    char text[TRACEPARENT_BYTES];
    (void)state;

    assert_string_not_equal(root.trace_id, other.trace_id);
    assert_string_equal(child.trace_id, root.trace_id);
    assert_string_not_equal(child.span_id, root.span_id);
    assert_true(child.sampled);
    trace_format(&other, text);
    assert_true(trace_parse(slice(text), &again));
    assert_string_equal(again.span_id, other.span_id);
}

static void the_first_span_of_a_root_is_the_root(void **state)
{
    TraceContext root = trace_root(true);
    Span first = span_start(&root, "first", 2), second = span_start(&first.self, "second", 1);
    (void)state;

    assert_string_equal(first.self.span_id, root.span_id);
    assert_string_equal(first.parent_id, "");
    assert_string_equal(second.parent_id, root.span_id);
    assert_string_equal(second.self.trace_id, root.trace_id);
}

/* ---------------------------------------------------------------------------------------------------- export */

/* Keeps what it is sent; answers 503 to the first request when told to. */
typedef struct Collector {
    pthread_mutex_t lock;
    json_t *bodies; /* array */
    char head[4096];
    bool first_fails;
} Collector;

static void collect(HttpStub *stub, int number, Slice head, Slice body, int connection)
{
    Collector *c = stub->data;

    if (c->first_fails && number == 1) {
        http_stub_write(connection, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    (void)pthread_mutex_lock(&c->lock);
    (void)json_array_append_new(c->bodies, json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, NULL));
    memcpy(c->head, head.ptr, MIN(head.len, sizeof(c->head) - 1));
    (void)pthread_mutex_unlock(&c->lock);
    http_stub_write(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
}

static const char *text_at(json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    if (!text)
        fail_msg("no \"%s\"", name);
    return text;
}

static json_t *spans_of(json_t *body)
{
    json_t *resource = json_array_get(json_object_get(body, "resourceSpans"), 0);

    return json_object_get(json_array_get(json_object_get(resource, "scopeSpans"), 0), "spans");
}

static void spans_arrive_as_otlp_json(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Collector collector = {.lock = PTHREAD_MUTEX_INITIALIZER, .bodies = json_array(), .first_fails = true};
    HttpStub stub = {.answer = collect, .data = &collector};
    TraceContext root = trace_root(true), quiet = trace_root(false);
    json_t *resource, *span, *attribute;
    Span server, client, unsampled;
    Tracer *t;
    (void)state;

    http_stub_start(&stub);
    t = tracer_new(&(TracerOptions){.service = "auth",
                                    .version = "1.0",
                                    .endpoint = arena_printf(mem, "http://127.0.0.1:%d/", stub.port),
                                    .headers = "authorization=Basic%20abc, x-tenant=1",
                                    .sample_ratio = 1});
    server = span_start(&root, "POST /login", 2);
    client = span_start(&server.self, "db", 3);
    unsampled = span_start(&quiet, "quiet", 1);
    span_attribute(&client, "db.system", SLICE_LIT("postgres\"ql"));
    span_end(t, &client, "no rows");
    span_end(t, &server, NULL);
    span_end(t, &unsampled, NULL);
    while (atomic_load(&stub.requests) < 2) /* the refused one, and the next */
        (void)poll(NULL, 0, 1);
    assert_int_equal(tracer_dropped(t), 0);
    tracer_free(t);
    http_stub_stop(&stub);

    assert_non_null(strstr(collector.head, "POST /v1/traces HTTP/1.1\r\n"));
    assert_non_null(strstr(collector.head, "\r\nauthorization: Basic abc\r\n"));
    assert_non_null(strstr(collector.head, "\r\nx-tenant: 1\r\n"));
    assert_non_null(strstr(collector.head, "\r\ncontent-type: application/json\r\n"));
    assert_int_equal(json_array_size(collector.bodies), 1);
    resource = json_array_get(json_object_get(json_array_get(collector.bodies, 0), "resourceSpans"), 0);
    attribute = json_array_get(json_object_get(json_object_get(resource, "resource"), "attributes"), 0);
    assert_string_equal(text_at(attribute, "key"), "service.name");
    assert_string_equal(text_at(json_object_get(attribute, "value"), "stringValue"), "auth");
    assert_int_equal(json_array_size(spans_of(json_array_get(collector.bodies, 0))), 2);
    span = json_array_get(spans_of(json_array_get(collector.bodies, 0)), 0);
    assert_string_equal(text_at(span, "traceId"), root.trace_id);
    assert_string_equal(text_at(span, "spanId"), client.self.span_id);
    assert_string_equal(text_at(span, "parentSpanId"), root.span_id);
    assert_string_equal(text_at(span, "name"), "db");
    assert_int_equal(json_integer_value(json_object_get(span, "kind")), 3);
    assert_int_equal(strlen(text_at(span, "startTimeUnixNano")), 19);
    assert_true(strcmp(text_at(span, "endTimeUnixNano"), text_at(span, "startTimeUnixNano")) >= 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(span, "status"), "code")), 2);
    assert_string_equal(text_at(json_object_get(span, "status"), "message"), "no rows");
    attribute = json_array_get(json_object_get(span, "attributes"), 0);
    assert_string_equal(text_at(json_object_get(attribute, "value"), "stringValue"), "postgres\"ql");
    span = json_array_get(spans_of(json_array_get(collector.bodies, 0)), 1);
    assert_null(json_object_get(span, "parentSpanId"));
    assert_null(json_object_get(span, "status"));
    json_decref(collector.bodies);
}

static void what_waits_is_sent_when_the_tracer_stops(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    Collector collector = {.lock = PTHREAD_MUTEX_INITIALIZER, .bodies = json_array()};
    HttpStub stub = {.answer = collect, .data = &collector};
    TraceContext root = trace_root(true);
    size_t spans = 0;
    Tracer *t;
    (void)state;

    http_stub_start(&stub);
    t = tracer_new(&(TracerOptions){.service = "auth",
                                    .version = "1.0",
                                    .endpoint = arena_printf(mem, "http://127.0.0.1:%d", stub.port),
                                    .sample_ratio = 1});
    for (int i = 0; i < 300; i++) {
        Span s = span_start(&root, "many", 1);
        span_end(t, &s, NULL);
    }
    tracer_free(t);
    http_stub_stop(&stub);
    for (size_t i = 0; i < json_array_size(collector.bodies); i++)
        spans += json_array_size(spans_of(json_array_get(collector.bodies, i)));
    assert_int_equal(spans, 300);
    json_decref(collector.bodies);
}

static void never_answer(HttpStub *stub, int number, Slice head, Slice body, int connection)
{
    (void)stub, (void)number, (void)head, (void)body;
    http_stub_hang(connection);
}

static void a_stuck_collector_costs_spans_not_time(void **state)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    HttpStub stub = {.answer = never_answer};
    TraceContext root = trace_root(true);
    int64_t before_ms;
    Tracer *t;
    (void)state;

    http_stub_start(&stub);
    t = tracer_new(&(TracerOptions){.service = "auth",
                                    .version = "1.0",
                                    .endpoint = arena_printf(mem, "http://127.0.0.1:%d", stub.port),
                                    .sample_ratio = 1});
    before_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    for (int i = 0; i < 5000; i++) {
        Span s = span_start(&root, "many", 1);
        span_end(t, &s, NULL);
    }
    assert_in_range(tracer_dropped(t), 5000 - 2048 - 256, 5000 - 2048);
    assert_in_range(clock_monotonic_ms(&SYSTEM_CLOCK) - before_ms, 0, 2000);
    tracer_free(t); /* a second for the flush, and one until the cancelled call notices */
    assert_in_range(clock_monotonic_ms(&SYSTEM_CLOCK) - before_ms, 0, 8000);
    http_stub_stop(&stub);
}

static void without_an_endpoint_there_is_no_tracer(void **state)
{
    TraceContext root = trace_root(true);
    Span s = span_start(&root, "x", 1);
    (void)state;

    assert_null(tracer_new(&(TracerOptions){.service = "auth", .version = "1", .endpoint = "", .sample_ratio = 1}));
    assert_false(tracer_sample(NULL));
    assert_int_equal(tracer_dropped(NULL), 0);
    span_end(NULL, &s, NULL);
    tracer_free(NULL);
}

static void the_ratio_decides_what_is_sampled(void **state)
{
    static const double RATIOS[] = {0, 0.5, 1};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(RATIOS); i++) {
        int sampled = 0;
        Tracer *t = tracer_new(&(TracerOptions){
            .service = "a", .version = "1", .endpoint = "http://127.0.0.1:1", .sample_ratio = RATIOS[i]});
        for (int n = 0; n < 10000; n++)
            sampled += tracer_sample(t);
        assert_in_range(sampled, RATIOS[i] * 10000 - (i == 1 ? 500 : 0), RATIOS[i] * 10000 + (i == 1 ? 500 : 0));
        tracer_free(t);
    }
}

static void a_ninth_attribute_is_left_out(void **state)
{
    TraceContext root = trace_root(true);
    Span s = span_start(&root, "x", 1);
    (void)state;

    for (int i = 0; i < 20; i++)
        span_attribute(&s, "k", SLICE_LIT("v"));
    assert_int_equal(s.attribute_count, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traceparents_are_read_and_written),
        cmocka_unit_test(anything_else_is_no_traceparent),
        cmocka_unit_test(a_child_is_a_new_span_of_the_same_trace),
        cmocka_unit_test(the_first_span_of_a_root_is_the_root),
        cmocka_unit_test(spans_arrive_as_otlp_json),
        cmocka_unit_test(what_waits_is_sent_when_the_tracer_stops),
        cmocka_unit_test(a_stuck_collector_costs_spans_not_time),
        cmocka_unit_test(without_an_endpoint_there_is_no_tracer),
        cmocka_unit_test(the_ratio_decides_what_is_sampled),
        cmocka_unit_test(a_ninth_attribute_is_left_out),
    };
    return RUN(tests);
}
