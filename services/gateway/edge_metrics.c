/* edge_metrics: see edge_metrics.h. */
#include "services/gateway/edge_metrics.h"

static const char REQUESTS[] = "atrium_http_requests_total";
static const char REQUESTS_HELP[] = "Answers, by method, route template and status.";
static const char DURATION[] = "atrium_http_request_duration_seconds";
static const char DURATION_HELP[] = "From a request's headers to its answer being ready.";

static void open_ends(Gateway *g)
{
    static const char *const REASONS[] = {[CONNECTIONS_END_HEAD] = "reason=\"head\"",
                                          [CONNECTIONS_END_IDLE] = "reason=\"idle\"",
                                          [CONNECTIONS_END_BODY] = "reason=\"body\"",
                                          [CONNECTIONS_END_ANSWER] = "reason=\"answer\"",
                                          [CONNECTIONS_END_FULL] = "reason=\"full\""};

    for (size_t i = 0; i < CONNECTIONS_ENDS; i++)
        g->metrics.ended[i] =
            metrics_counter(g->service->metrics, "atrium_http_connections_ended_total",
                            "Connections ended for taking too long, or for being too many.", REASONS[i]);
}

void edge_metrics_open(Gateway *g)
{
    Metrics *m = g->service->metrics;

    g->metrics.connections = metrics_gauge(m, "atrium_http_connections", "Open client connections.", "");
    g->metrics.suspended = metrics_gauge(m, "atrium_http_suspended", "Requests that wait for an answer.", "");
    g->metrics.bus = metrics_gauge(m, "atrium_bus_connected", "1 while the bus can be reached.", "");
    g->metrics.body_bytes = metrics_gauge(m, "atrium_http_body_bytes", "Request bodies held now.", "");
    g->metrics.operations = metrics_gauge(m, "atrium_routes", "HTTP bindings in the tables in use.", "");
    g->metrics.event_streams = metrics_gauge(m, "atrium_event_streams", "Streams of events over HTTP.", "");
    g->metrics.rate_limited = metrics_counter(m, "atrium_rate_limited_total", "Requests over a rate limit.", "");
    g->metrics.refused_framing = metrics_counter(m, "atrium_http_refused_framing_total",
                                                 "Requests with malformed heads or ambiguous lengths.", "");
    g->metrics.unmatched =
        metrics_counter(m, "atrium_http_unmatched_total", "Requests for paths or methods that there are not.", "");
    g->metrics.reloads = metrics_counter(m, "atrium_table_reloads_total", "Reloads of the tables.", "result=\"ok\"");
    g->metrics.failed_reloads =
        metrics_counter(m, "atrium_table_reloads_total", "Reloads of the tables.", "result=\"failed\"");
    open_ends(g);
}

static const char *known_method(const char *method)
{
    static const char *const METHODS[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++)
        if (strcmp(METHODS[i], method) == 0)
            return METHODS[i];
    return "other";
}

/* The row of an operation and status; rows are kept at the operation, so that finding one is a short walk. */
static Counter *requests_row(Exchange *x)
{
    Metrics *m = x->gateway->service->metrics;
    Operation *op = (Operation *)(uintptr_t)x->op; /* its rows are all that ever changes in it */
    Counter *row;

    if (!op)
        return metrics_counter(m, REQUESTS, REQUESTS_HELP,
                               arena_printf(x->mem, "method=\"%s\",route=\"%s\",code=\"%d\"", known_method(x->method),
                                            x->own ? "own" : "unmatched", x->status));
    for (size_t i = 0; i < op->code_count; i++)
        if (op->codes[i].status == x->status)
            return op->codes[i].requests;
    row = metrics_counter(
        m, REQUESTS, REQUESTS_HELP,
        arena_printf(x->mem, "method=\"%s\",route=\"%s\",code=\"%d\"", op->method, op->path, x->status));
    if (op->code_count < OPERATION_MAX_CODES) {
        op->codes[op->code_count].status = x->status;
        op->codes[op->code_count++].requests = row;
    }
    return row;
}

static void note_duration(Exchange *x, double seconds)
{
    Operation *op = (Operation *)(uintptr_t)x->op;

    if (!op)
        return;
    if (!op->duration)
        op->duration = metrics_histogram(x->gateway->service->metrics, DURATION, DURATION_HELP,
                                         arena_printf(x->mem, "method=\"%s\",route=\"%s\"", op->method, op->path),
                                         METRICS_LATENCY_BOUNDS, METRICS_LATENCY_BOUND_COUNT);
    histogram_observe(op->duration, seconds);
}

static void note_span(Exchange *x)
{
    char status[8];

    if (!x->span.self.sampled)
        return;
    snprintf(status, sizeof(status), "%d", x->status);
    span_attribute(&x->span, "http.request.method", slice(x->method));
    span_attribute(&x->span, "http.route", slice(x->op ? x->op->path : ""));
    span_attribute(&x->span, "http.response.status_code", slice(status));
    span_attribute(&x->span, "url.path", slice_take(x->raw_path, 256));
    span_end(x->gateway->service->tracer, &x->span, x->status >= 500 ? http_status_text(x->status) : NULL);
}

void edge_note_answer(Exchange *x)
{
    Gateway *g = x->gateway;
    int64_t took_us = clock_monotonic_us(g->service->clock) - x->started_us;
    LogLevel level = x->status >= 500 ? LOG_LEVEL_WARN : g->settings->access_log ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;

    counter_add(requests_row(x), 1);
    note_duration(x, (double)took_us / 1e6);
    note_span(x);
    if (!log_enabled(g->service->log, level))
        return;
    log_set_context(x->request_id, x->trace_id, x->op ? x->op->rpc : NULL);
    LOG_AT(g->service->log, level, "http", "method", x->method, "path", slice_take(x->raw_path, 256), "status",
           x->status, "bytes", x->response_bytes, "duration_us", took_us, "client", x->client_text);
    log_set_context(NULL, NULL, NULL);
}
