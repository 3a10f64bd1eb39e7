/* trace: W3C trace context, and export of spans as OTLP/HTTP JSON. Thread-safe; never blocks: what does not fit into
 * the queue is dropped and counted. Without OTEL_EXPORTER_OTLP_ENDPOINT nothing is recorded. */
#pragma once
#include "shared/clock.h"
#include "shared/log.h"

typedef struct TraceContext {
    char trace_id[33]; /* hex; "" is none */
    char span_id[17];
    bool sampled;
    bool root; /* made by trace_root: span_id is that of the span to come, see span_start */
} TraceContext;

#define TRACEPARENT_BYTES 56
/* False (and a zeroed `out`) for anything that is not a version 00 header with non-zero ids. */
bool trace_parse(Slice traceparent, TraceContext *out);
void trace_format(const TraceContext *t, char out[TRACEPARENT_BYTES]);
TraceContext trace_root(bool sampled);
TraceContext trace_child(const TraceContext *parent); /* same trace, new span */

typedef struct Tracer Tracer;
typedef struct TracerOptions {
    const char *service, *version, *endpoint; /* endpoint "" is off; "/v1/traces" is appended */
    const char *headers;                      /* "name=value,…" */
    double sample_ratio;
    Log *log;
} TracerOptions;
Tracer *tracer_new(const TracerOptions *options);
void tracer_free(Tracer *t);   /* flushes for at most a second; NULL is fine */
bool tracer_sample(Tracer *t); /* a new root: record it? false for NULL */
/* Spans that were not exported: the queue was full, or the endpoint did not take them. 0 for NULL. */
uint64_t tracer_dropped(const Tracer *t);

typedef struct Span {
    TraceContext self;
    char parent_id[17];
    const char *name; /* constant or alive until span_end */
    int kind;         /* OTLP: 1 internal, 2 server, 3 client, 4 producer, 5 consumer */
    int64_t start_us;
    struct {
        const char *key;
        Slice text;
    } attributes[8];
    size_t attribute_count;
} Span;
/* A child of `parent`; of a fresh trace_root() it is the root span itself, with that context's ids. Pass `self` on. */
Span span_start(const TraceContext *parent, const char *name, int kind);
/* `key` and `text` are borrowed until span_end; a ninth attribute is left out. */
void span_attribute(Span *s, const char *key, Slice text);
/* Copies what it needs. `error` may be NULL. No-op when the tracer is NULL or the span is not sampled. */
void span_end(Tracer *t, Span *s, const char *error);
