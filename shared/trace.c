#include "shared/trace.h"

#include <pthread.h>
#include <stdatomic.h>

#include "shared/http_client.h"
#include "shared/id.h"
#include "shared/strbuf.h"

enum {
    TRACE_QUEUE_SPANS = 2048,
    TRACE_BATCH_SPANS = 256,
    TRACE_SPAN_MAX_BYTES = 4096,
    TRACE_ATTRIBUTE_MAX_BYTES = 256,
    TRACE_BATCH_WAIT_MS = 1000,
    TRACE_EXPORT_TIMEOUT_MS = 10000,
    TRACE_EXPORT_RETRIES = 3,
    TRACE_FLUSH_MS = 1000,
    TRACE_REPLY_MAX_BYTES = 64 * 1024,
    TRACE_HEADERS_MAX = 16
};

/* ---------------------------------------------------------------------------------------------------- ids
 * They must be unique, not secret: a generator per thread (splitmix64) saves a system call per span. */

static uint64_t next_id(void)
{
    static _Thread_local uint64_t state;
    uint64_t z;

    if (state == 0)
        state = random_uint64();
    z = state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return z ? z : 1; /* all zero means none */
}

static void put_hex(char *out, uint64_t value)
{
    static const char DIGITS[] = "0123456789abcdef";

    for (int i = 0; i < 16; i++)
        out[i] = DIGITS[value >> (60 - 4 * i) & 15];
}

static void new_span_id(TraceContext *t)
{
    put_hex(t->span_id, next_id());
}

TraceContext trace_root(bool sampled)
{
    TraceContext t = {.sampled = sampled, .root = true};

    put_hex(t.trace_id, next_id());
    put_hex(t.trace_id + 16, next_id());
    new_span_id(&t);
    return t;
}

TraceContext trace_child(const TraceContext *parent)
{
    TraceContext t = *parent;

    t.root = false;
    new_span_id(&t);
    return t;
}

/* Lower-case hex, as the specification has it, and not all zero. */
static bool take_id(Slice text, char *out)
{
    bool zero = true;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        zero = zero && c == '0';
        out[i] = c;
    }
    out[text.len] = '\0';
    return !zero;
}

bool trace_parse(Slice traceparent, TraceContext *out)
{
    TraceContext t = {.root = false};
    char flags[3] = "";
    const char *p = traceparent.ptr;

    *out = (TraceContext){.root = false};
    if (traceparent.len != TRACEPARENT_BYTES - 1 || memcmp(p, "00-", 3) != 0 || p[35] != '-' || p[52] != '-')
        return false;
    if (!take_id(slice_of(p + 3, 32), t.trace_id) || !take_id(slice_of(p + 36, 16), t.span_id))
        return false;
    if (!take_id(slice_of(p + 53, 2), flags) && strcmp(flags, "00") != 0)
        return false;
    t.sampled = strchr("13579bdf", flags[1]) != NULL;
    *out = t;
    return true;
}

void trace_format(const TraceContext *t, char out[TRACEPARENT_BYTES])
{
    (void)snprintf(out, TRACEPARENT_BYTES, "00-%s-%s-%s", t->trace_id, t->span_id,
                   t->sampled ? "01" : "00"); /* sizes are fixed: it fits */
}

/* ---------------------------------------------------------------------------------------------------- the tracer */

struct Tracer {
    Log *log;
    HttpClient *http;
    Arena *mem; /* of the exporting thread */
    char *url, *resource;
    char *header_text; /* what `headers` points into */
    HttpHeader headers[TRACE_HEADERS_MAX];
    size_t header_count;
    double ratio;
    atomic_bool cancel;
    _Atomic uint64_t dropped;

    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    char *queue[TRACE_QUEUE_SPANS]; /* ready JSON, a ring */
    size_t first, count;
    bool stopping, finished;
};

bool tracer_sample(Tracer *t)
{
    return t && (double)(next_id() >> 11) * 0x1p-53 < t->ratio;
}

uint64_t tracer_dropped(const Tracer *t)
{
    return t ? atomic_load_explicit(&t->dropped, memory_order_relaxed) : 0;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place: OTEL_EXPORTER_OTLP_HEADERS is percent-encoded. */
static void percent_decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        int high = *from == '%' ? hex_of(from[1]) : -1, low = high >= 0 ? hex_of(from[2]) : -1;
        if (low >= 0) {
            *to++ = (char)(high << 4 | low);
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

static void add_header(Tracer *t, const char *name, const char *value)
{
    if (t->header_count < TRACE_HEADERS_MAX)
        t->headers[t->header_count++] = (HttpHeader){name, value};
}

/* "name=value,…", cut up in the tracer's own copy. */
static void take_headers(Tracer *t, const char *headers)
{
    char *at = t->header_text = xstrdup(headers ? headers : "");

    add_header(t, "content-type", "application/json");
    while (at) {
        char *item = strsep(&at, ","), *value = strchr(item, '=');
        while (*item == ' ')
            item++;
        if (!value || value == item)
            continue;
        *value++ = '\0';
        percent_decode(value);
        add_header(t, item, value);
    }
}

static char *heap_text(StrBuf *b)
{
    Slice text;

    return strbuf_finish(b, &text) ? xstrdup(text.ptr) : xstrdup("");
}

static char *resource_json(const TracerOptions *o)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    StrBuf b = strbuf_new(mem, 4096);

    strbuf_append_cstr(&b, "{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":");
    strbuf_append_json(&b, slice(o->service));
    strbuf_append_cstr(&b, "}},{\"key\":\"service.version\",\"value\":{\"stringValue\":");
    strbuf_append_json(&b, slice(o->version));
    strbuf_append_cstr(&b, "}}]}");
    return heap_text(&b);
}

static char *export_url(const char *endpoint)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(256);
    Slice base = slice(endpoint);

    while (slice_ends_with(base, SLICE_LIT("/")))
        base.len--;
    return xstrdup(arena_printf(mem, SLICE_FMT "/v1/traces", SLICE_ARG(base)));
}

static void *export_spans(void *data);

Tracer *tracer_new(const TracerOptions *options)
{
    pthread_condattr_t attributes;
    Tracer *t;

    if (!options->endpoint || !options->endpoint[0])
        return NULL;
    t = xcalloc(1, sizeof(*t));
    t->log = options->log;
    t->ratio = options->sample_ratio;
    t->mem = arena_new(16 * 1024);
    t->url = export_url(options->endpoint);
    t->resource = resource_json(options);
    take_headers(t, options->headers);
    t->http = http_client_new(&(HttpClientOptions){.user_agent = "atrium", .log = options->log});
    /* None of these fails with these arguments. */
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&t->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (pthread_create(&t->thread, NULL, export_spans, t) != 0)
        abort(); /* no thread: as out of memory */
    return t;
}

static struct timespec after_ms(int64_t ms)
{
    int64_t us = clock_monotonic_us(&SYSTEM_CLOCK) + ms * 1000;

    return (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
}

void tracer_free(Tracer *t)
{
    struct timespec until = after_ms(TRACE_FLUSH_MS);
    bool in_time = true;

    if (!t)
        return;
    (void)pthread_mutex_lock(&t->lock);
    t->stopping = true;
    (void)pthread_cond_broadcast(&t->changed);
    while (!t->finished && in_time)
        in_time = pthread_cond_timedwait(&t->changed, &t->lock, &until) == 0;
    (void)pthread_mutex_unlock(&t->lock);
    atomic_store(&t->cancel, true);
    (void)pthread_join(t->thread, NULL); /* soon, now that its call is cancelled */
    while (t->count--)
        free(t->queue[t->first++ % TRACE_QUEUE_SPANS]);
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_mutex_destroy(&t->lock);
    http_client_free(t->http);
    arena_free(t->mem);
    free(t->url);
    free(t->resource);
    free(t->header_text);
    free(t);
}

/* ---------------------------------------------------------------------------------------------------- export */

typedef struct Batch {
    char *spans[TRACE_BATCH_SPANS];
    size_t count;
    bool last; /* stopping: this is the last chance */
} Batch;

/* Waits for a batch; false when stopping with nothing left. */
static bool take_batch(Tracer *t, Batch *out)
{
    struct timespec until = after_ms(TRACE_BATCH_WAIT_MS);

    out->count = 0;
    (void)pthread_mutex_lock(&t->lock);
    while (!t->stopping && t->count < TRACE_BATCH_SPANS) {
        if (pthread_cond_timedwait(&t->changed, &t->lock, &until) == 0)
            continue;
        if (t->count > 0)
            break;
        until = after_ms(TRACE_BATCH_WAIT_MS);
    }
    while (t->count > 0 && out->count < TRACE_BATCH_SPANS) {
        out->spans[out->count++] = t->queue[t->first];
        t->first = (t->first + 1) % TRACE_QUEUE_SPANS;
        t->count--;
    }
    out->last = t->stopping;
    (void)pthread_mutex_unlock(&t->lock);
    return out->count > 0;
}

static Slice batch_json(Tracer *t, const Batch *batch)
{
    StrBuf b = strbuf_new(t->mem, (size_t)(TRACE_BATCH_SPANS + 2) * TRACE_SPAN_MAX_BYTES);

    strbuf_append_cstr(&b, "{\"resourceSpans\":[{\"resource\":");
    strbuf_append_cstr(&b, t->resource);
    strbuf_append_cstr(&b, ",\"scopeSpans\":[{\"scope\":{\"name\":\"atrium\"},\"spans\":[");
    for (size_t i = 0; i < batch->count; i++) {
        if (i)
            strbuf_append_char(&b, ',');
        strbuf_append_cstr(&b, batch->spans[i]);
    }
    strbuf_append_cstr(&b, "]}]}]}");
    return strbuf_slice(&b);
}

static void export_batch(Tracer *t, const Batch *batch)
{
    HttpCall call = {
        .method = "POST",
        .url = t->url,
        .headers = t->headers,
        .header_count = t->header_count,
        .timeout_ms = batch->last ? TRACE_FLUSH_MS : TRACE_EXPORT_TIMEOUT_MS,
        .retries = batch->last ? 0 : TRACE_EXPORT_RETRIES,
        .retry_post = true,
        .max_reply_bytes = TRACE_REPLY_MAX_BYTES,
        .cancel = &t->cancel,
    };
    HttpReply reply = {0};
    Err e;

    call.body = batch_json(t, batch);
    e = http_call(t->http, t->mem, &call, &reply);
    if (err_failed(e) || reply.status / 100 != 2) {
        atomic_fetch_add(&t->dropped, batch->count);
        LOG_WARN(t->log, "traces_not_exported", "spans", batch->count, "status", reply.status, "error", e.text);
    }
    arena_reset(t->mem);
}

static void *export_spans(void *data)
{
    Tracer *t = data;
    Batch batch;

    while (take_batch(t, &batch)) {
        if (!atomic_load(&t->cancel))
            export_batch(t, &batch);
        for (size_t i = 0; i < batch.count; i++)
            free(batch.spans[i]);
    }
    (void)pthread_mutex_lock(&t->lock);
    t->finished = true;
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* ---------------------------------------------------------------------------------------------------- spans */

Span span_start(const TraceContext *parent, const char *name, int kind)
{
    Span s = {.name = name, .kind = kind, .start_us = clock_unix_us(&SYSTEM_CLOCK)};

    if (parent->root) {
        s.self = *parent;
        s.self.root = false;
    } else {
        s.self = trace_child(parent);
        memcpy(s.parent_id, parent->span_id, sizeof(s.parent_id));
    }
    return s;
}

void span_attribute(Span *s, const char *key, Slice text)
{
    if (s->attribute_count == ARRAY_LEN(s->attributes))
        return;
    s->attributes[s->attribute_count].key = key;
    s->attributes[s->attribute_count].text = text;
    s->attribute_count++;
}

static void write_attributes(StrBuf *b, const Span *s)
{
    strbuf_append_cstr(b, ",\"attributes\":[");
    for (size_t i = 0; i < s->attribute_count; i++) {
        strbuf_append_cstr(b, i ? ",{\"key\":" : "{\"key\":");
        strbuf_append_json(b, slice(s->attributes[i].key));
        strbuf_append_cstr(b, ",\"value\":{\"stringValue\":");
        strbuf_append_json(b, utf8_take(s->attributes[i].text, TRACE_ATTRIBUTE_MAX_BYTES));
        strbuf_append_cstr(b, "}}");
    }
    strbuf_append_char(b, ']');
}

/* OTLP's JSON: ids in hex, 64-bit numbers as strings, enums as numbers. */
static void write_span(StrBuf *b, const Span *s, const char *error)
{
    strbuf_printf(b, "{\"traceId\":\"%s\",\"spanId\":\"%s\"", s->self.trace_id, s->self.span_id);
    if (s->parent_id[0])
        strbuf_printf(b, ",\"parentSpanId\":\"%s\"", s->parent_id);
    strbuf_append_cstr(b, ",\"name\":");
    strbuf_append_json(b, utf8_take(slice(s->name), TRACE_ATTRIBUTE_MAX_BYTES));
    strbuf_printf(b, ",\"kind\":%d,\"startTimeUnixNano\":\"%" PRId64 "000\",\"endTimeUnixNano\":\"%" PRId64 "000\"",
                  s->kind, s->start_us, clock_unix_us(&SYSTEM_CLOCK));
    write_attributes(b, s);
    if (error) {
        strbuf_append_cstr(b, ",\"status\":{\"code\":2,\"message\":");
        strbuf_append_json(b, utf8_take(slice(error), TRACE_ATTRIBUTE_MAX_BYTES));
        strbuf_append_char(b, '}');
    }
    strbuf_append_char(b, '}');
}

void span_end(Tracer *t, Span *s, const char *error)
{
    char bytes[TRACE_SPAN_MAX_BYTES], *text;
    StrBuf b = strbuf_over(bytes, sizeof(bytes));
    Slice json;
    bool full;

    if (!t || !s->self.sampled)
        return;
    write_span(&b, s, error);
    if (!strbuf_finish(&b, &json)) {
        atomic_fetch_add(&t->dropped, 1);
        return;
    }
    text = xstrdup(json.ptr);
    (void)pthread_mutex_lock(&t->lock);
    full = t->count == TRACE_QUEUE_SPANS || t->stopping;
    if (!full)
        t->queue[(t->first + t->count++) % TRACE_QUEUE_SPANS] = MOVE(text);
    if (t->count == TRACE_BATCH_SPANS)
        (void)pthread_cond_signal(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
    if (full)
        atomic_fetch_add(&t->dropped, 1);
    free(text);
}
