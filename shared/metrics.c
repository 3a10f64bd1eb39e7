#include "shared/metrics.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

/* Families and their rows are only ever added, at the end of lists that a scrape walks without a lock: no lock is held
 * across a callback, and counting never waits. The mutex is for those who add. */

typedef enum FamilyType { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM } FamilyType;

/* Atomic doubles, kept as their bits. */
typedef _Atomic uint64_t AtomicDouble;

enum { CACHE_LINE_BYTES = 64 };

/* On lines of their own, so that two threads that count different things do not fight over one. */
struct Counter {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t value;
};
struct Gauge {
    _Alignas(CACHE_LINE_BYTES) AtomicDouble value;
};
struct Histogram {
    const double *bounds;
    size_t bound_count;
    AtomicDouble sum;
    _Atomic uint64_t *buckets; /* bound_count + 1, not cumulative */
};

typedef struct Row Row;
struct Row {
    _Atomic(Row *) next;
    char *labels;
    double (*read)(void *data); /* or one of those below */
    void *data;
    Counter *counter;
    Gauge *gauge;
    Histogram *histogram;
};

typedef struct Family Family;
struct Family {
    _Atomic(Family *) next;
    char *name, *help;
    FamilyType type;
    _Atomic(Row *) rows;
};

struct Metrics {
    pthread_mutex_t lock;
    _Atomic(Family *) families;
};

const double METRICS_LATENCY_BOUNDS[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                         0.1,    0.25,  0.5,    1,     2.5,  5,     10};
const size_t METRICS_LATENCY_BOUND_COUNT = ARRAY_LEN(METRICS_LATENCY_BOUNDS);

Metrics *metrics_new(void)
{
    Metrics *m = xcalloc(1, sizeof(*m));

    (void)pthread_mutex_init(&m->lock, NULL); /* cannot fail with default attributes */
    return m;
}

static void free_row(Row *r)
{
    if (r->histogram)
        free(r->histogram->buckets);
    free(r->histogram);
    free(r->counter);
    free(r->gauge);
    free(r->labels);
    free(r);
}

static void free_family(Family *f)
{
    for (Row *r = atomic_load(&f->rows); r;) {
        Row *next = atomic_load(&r->next);
        free_row(r);
        r = next;
    }
    free(f->name);
    free(f->help);
    free(f);
}

void metrics_free(Metrics *m)
{
    if (!m)
        return;
    for (Family *f = atomic_load(&m->families); f;) {
        Family *next = atomic_load(&f->next);
        free_family(f);
        f = next;
    }
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

/* ---------------------------------------------------------------------------------------------------- rows */

static void *new_on_own_line(size_t size_bytes)
{
    void *p = aligned_alloc(CACHE_LINE_BYTES, size_bytes);

    if (!p)
        abort();
    return memset(p, 0, size_bytes);
}

static Family *find_family(Metrics *m, const char *name, const char *help, FamilyType type)
{
    _Atomic(Family *) *at = &m->families;
    Family *f;

    for (; (f = atomic_load(at)); at = &f->next) {
        if (!strcmp(f->name, name)) {
            assert(f->type == type && !strcmp(f->help, help)); /* one name, one meaning */
            return f;
        }
    }
    f = xcalloc(1, sizeof(*f));
    f->name = xstrdup(name);
    f->help = xstrdup(help);
    f->type = type;
    atomic_store(at, f);
    return f;
}

/* The row of these labels; a new one is filled by `fill` before a scrape can see it. */
static Row *find_row(Family *f, const char *labels, const Row *fill)
{
    _Atomic(Row *) *at = &f->rows;
    Row *r;

    for (; (r = atomic_load(at)); at = &r->next) {
        if (!strcmp(r->labels, labels))
            return r;
    }
    r = xcalloc(1, sizeof(*r));
    r->labels = xstrdup(labels);
    r->read = fill->read;
    r->data = fill->data;
    if (!fill->read && f->type == TYPE_COUNTER)
        r->counter = new_on_own_line(sizeof(*r->counter));
    if (!fill->read && f->type == TYPE_GAUGE)
        r->gauge = new_on_own_line(sizeof(*r->gauge));
    if (f->type == TYPE_HISTOGRAM) {
        r->histogram = xcalloc(1, sizeof(*r->histogram));
        r->histogram->bounds = fill->histogram->bounds;
        r->histogram->bound_count = fill->histogram->bound_count;
        r->histogram->buckets = xcalloc(r->histogram->bound_count + 1, sizeof(*r->histogram->buckets));
    }
    atomic_store(at, r);
    return r;
}

static Row *add_row(Metrics *m, const char *name, const char *help, const char *labels, FamilyType type,
                    const Row *fill)
{
    Row *row;

    (void)pthread_mutex_lock(&m->lock);
    row = find_row(find_family(m, name, help, type), labels, fill);
    (void)pthread_mutex_unlock(&m->lock);
    return row;
}

Counter *metrics_counter(Metrics *m, const char *name, const char *help, const char *labels)
{
    return add_row(m, name, help, labels, TYPE_COUNTER, &(Row){.read = NULL})->counter;
}

Gauge *metrics_gauge(Metrics *m, const char *name, const char *help, const char *labels)
{
    return add_row(m, name, help, labels, TYPE_GAUGE, &(Row){.read = NULL})->gauge;
}

Histogram *metrics_histogram(Metrics *m, const char *name, const char *help, const char *labels, const double *bounds,
                             size_t bound_count)
{
    Histogram shape = {.bounds = bounds, .bound_count = bound_count};

    return add_row(m, name, help, labels, TYPE_HISTOGRAM, &(Row){.histogram = &shape})->histogram;
}

void metrics_gauge_callback(Metrics *m, const char *name, const char *help, const char *labels,
                            double (*read)(void *data), void *data)
{
    (void)add_row(m, name, help, labels, TYPE_GAUGE, &(Row){.read = read, .data = data}); /* nothing to count with */
}

void metrics_counter_callback(Metrics *m, const char *name, const char *help, const char *labels,
                              double (*read)(void *data), void *data)
{
    (void)add_row(m, name, help, labels, TYPE_COUNTER, &(Row){.read = read, .data = data}); /* nothing to count with */
}

/* ---------------------------------------------------------------------------------------------------- counting */

static double double_of(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static void add_double(AtomicDouble *to, double v)
{
    uint64_t old = atomic_load_explicit(to, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(to, &old, bits_of(double_of(old) + v), memory_order_relaxed,
                                                  memory_order_relaxed))
        ; /* another thread was faster: `old` is now its value */
}

void counter_add(Counter *c, uint64_t n)
{
    atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}

uint64_t counter_value(const Counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

void gauge_set(Gauge *g, double v)
{
    atomic_store_explicit(&g->value, bits_of(v), memory_order_relaxed);
}

void gauge_add(Gauge *g, double v)
{
    add_double(&g->value, v);
}

double gauge_value(const Gauge *g)
{
    return double_of(atomic_load_explicit(&g->value, memory_order_relaxed));
}

void histogram_observe(Histogram *h, double v)
{
    size_t at = 0;

    while (at < h->bound_count && v > h->bounds[at])
        at++;
    atomic_fetch_add_explicit(&h->buckets[at], 1, memory_order_relaxed);
    add_double(&h->sum, v);
}

/* ---------------------------------------------------------------------------------------------------- text */

/* The fewest digits that read back as the same number. */
static void append_double(StrBuf *out, double v)
{
    char text[32];

    if (isnan(v) || isinf(v)) {
        strbuf_append_cstr(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    (void)snprintf(text, sizeof(text), "%.15g", v);
    if (strtod(text, NULL) != v)
        (void)snprintf(text, sizeof(text), "%.17g", v);
    strbuf_append_cstr(out, text);
}

/* name suffix {labels,le="…"} — without the braces when there is nothing to put between them. */
static void append_name(StrBuf *out, const Family *f, const Row *r, const char *suffix, const double *le)
{
    strbuf_append_cstr(out, f->name);
    strbuf_append_cstr(out, suffix);
    if (r->labels[0] || le) {
        strbuf_append_char(out, '{');
        strbuf_append_cstr(out, r->labels);
        if (le) {
            strbuf_append_cstr(out, r->labels[0] ? ",le=\"" : "le=\"");
            append_double(out, *le);
            strbuf_append_char(out, '"');
        }
        strbuf_append_char(out, '}');
    }
    strbuf_append_char(out, ' ');
}

static void write_count(StrBuf *out, uint64_t value)
{
    strbuf_append_uint64(out, value);
    strbuf_append_char(out, '\n');
}

static void write_histogram(StrBuf *out, const Family *f, const Row *r)
{
    const Histogram *h = r->histogram;
    uint64_t total = 0;

    for (size_t i = 0; i <= h->bound_count; i++) {
        double bound = i < h->bound_count ? h->bounds[i] : INFINITY;
        total += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        append_name(out, f, r, "_bucket", &bound);
        write_count(out, total);
    }
    append_name(out, f, r, "_sum", NULL);
    append_double(out, double_of(atomic_load_explicit(&h->sum, memory_order_relaxed)));
    strbuf_append_char(out, '\n');
    append_name(out, f, r, "_count", NULL);
    write_count(out, total); /* of the buckets read above: the two always agree */
}

static void write_row(StrBuf *out, const Family *f, const Row *r)
{
    if (r->histogram) {
        write_histogram(out, f, r);
        return;
    }
    append_name(out, f, r, "", NULL);
    if (r->counter) {
        write_count(out, counter_value(r->counter));
        return;
    }
    append_double(out, r->read ? r->read(r->data) : gauge_value(r->gauge));
    strbuf_append_char(out, '\n');
}

/* Backslash and line feed are escaped; in a label's value the quote too. */
static void append_escaped(StrBuf *out, const char *text, bool quote)
{
    for (; *text; text++) {
        if (*text == '\n') {
            strbuf_append_cstr(out, "\\n");
            continue;
        }
        if (*text == '\\' || (quote && *text == '"'))
            strbuf_append_char(out, '\\');
        strbuf_append_char(out, *text);
    }
}

void metrics_write(const Metrics *m, StrBuf *out)
{
    static const char *const TYPES[] = {"counter", "gauge", "histogram"};

    for (const Family *f = atomic_load(&m->families); f; f = atomic_load(&f->next)) {
        strbuf_append_cstr(out, "# HELP ");
        strbuf_append_cstr(out, f->name);
        strbuf_append_char(out, ' ');
        append_escaped(out, f->help, false);
        strbuf_printf(out, "\n# TYPE %s %s\n", f->name, TYPES[f->type]);
        for (const Row *r = atomic_load(&f->rows); r; r = atomic_load(&r->next))
            write_row(out, f, r);
    }
}

/* ---------------------------------------------------------------------------------------------------- the process */

static double cpu_seconds(void *data)
{
    struct rusage use;

    (void)data;
    if (getrusage(RUSAGE_SELF, &use) != 0)
        return NAN;
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* Field `index` of /proc/self/statm, pages as bytes. */
static double memory_bytes(int index)
{
    unsigned long long pages[2] = {0, 0};
    FILE *file = fopen("/proc/self/statm", "re");
    int got = file ? fscanf(file, "%llu %llu", &pages[0], &pages[1]) : 0;

    if (file)
        (void)fclose(file); /* only read from */
    return got == 2 ? (double)pages[index] * (double)sysconf(_SC_PAGESIZE) : NAN;
}

static double virtual_bytes(void *data)
{
    (void)data;
    return memory_bytes(0);
}

static double resident_bytes(void *data)
{
    (void)data;
    return memory_bytes(1);
}

static double open_descriptors(void *data)
{
    DIR *dir = opendir("/proc/self/fd");
    double count = -3; /* ".", ".." and this directory's own */

    (void)data;
    if (!dir)
        return NAN;
    while (readdir(dir))
        count++;
    (void)closedir(dir); /* only read from */
    return count;
}

static double max_descriptors(void *data)
{
    struct rlimit limit;

    (void)data;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : NAN;
}

/* Unix time of the process's start: boot time plus field 22 of /proc/self/stat, counted after the name in brackets,
 * which may hold anything. */
static double start_seconds(void)
{
    char stat[1024], *at;
    FILE *file = fopen("/proc/self/stat", "re");
    size_t len = file ? fread(stat, 1, sizeof(stat) - 1, file) : 0;
    struct timespec boot, now;
    double ticks = 0;

    if (file)
        (void)fclose(file); /* only read from */
    stat[len] = '\0';
    at = strrchr(stat, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at)
        ticks = strtod(at, NULL);
    if (clock_gettime(CLOCK_BOOTTIME, &boot) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
        return NAN;
    return (double)now.tv_sec - (double)boot.tv_sec + ticks / (double)sysconf(_SC_CLK_TCK);
}

static void append_label(StrBuf *out, const char *name, const char *value)
{
    strbuf_append_cstr(out, out->len ? "," : "");
    strbuf_append_cstr(out, name);
    strbuf_append_cstr(out, "=\"");
    append_escaped(out, value, true);
    strbuf_append_char(out, '"');
}

void metrics_add_process(Metrics *m, const char *service, const char *version, const char *commit)
{
    char bytes[512];
    StrBuf labels = strbuf_over(bytes, sizeof(bytes));
    Slice text;

    append_label(&labels, "service", service);
    append_label(&labels, "version", version);
    append_label(&labels, "revision", commit);
    if (!strbuf_finish(&labels, &text))
        text = SLICE_LIT("");
    gauge_set(metrics_gauge(m, "atrium_build_info", "Which build this is; always 1.", text.ptr), 1);
    metrics_counter_callback(m, "process_cpu_seconds_total", "Processor time used, user and system.", "", cpu_seconds,
                             NULL);
    metrics_gauge_callback(m, "process_virtual_memory_bytes", "Size of the address space.", "", virtual_bytes, NULL);
    metrics_gauge_callback(m, "process_resident_memory_bytes", "Memory in use.", "", resident_bytes, NULL);
    metrics_gauge_callback(m, "process_open_fds", "Open descriptors.", "", open_descriptors, NULL);
    metrics_gauge_callback(m, "process_max_fds", "Most descriptors that may be open.", "", max_descriptors, NULL);
    gauge_set(metrics_gauge(m, "process_start_time_seconds", "When the process started, Unix time.", ""),
              start_seconds());
}
