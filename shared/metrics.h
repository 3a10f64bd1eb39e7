/* metrics: counters, gauges and histograms in Prometheus' text format. Rows are made at start, counting is atomic and
 * lock-free. A label's values come from a closed set: never a user, a room or a raw path. Names begin with atrium_,
 * use base units, and end in _total, _seconds, _bytes … */
#pragma once
#include "shared/strbuf.h"

typedef struct Metrics Metrics;
typedef struct Counter Counter;
typedef struct Gauge Gauge;
typedef struct Histogram Histogram;

Metrics *metrics_new(void);
void metrics_free(Metrics *m);
CLEANUP_FN(Metrics, metrics_free)

/* `labels` is the ready text between the braces, "rpc=\"Login\",code=\"OK\"", or "". The same name with the same labels
 * gives the same row; one name has one help and one type. Rows live as long as `m`. Thread-safe. */
Counter *metrics_counter(Metrics *m, const char *name, const char *help, const char *labels);
Gauge *metrics_gauge(Metrics *m, const char *name, const char *help, const char *labels);
/* `bounds` ascending, borrowed for ever; seconds for times. */
Histogram *metrics_histogram(Metrics *m, const char *name, const char *help, const char *labels, const double *bounds,
                             size_t bound_count);
extern const double METRICS_LATENCY_BOUNDS[]; /* 0.5 ms … 10 s */
extern const size_t METRICS_LATENCY_BOUND_COUNT;
/* Asked at each scrape, from the scraping thread. The second is for a count that something else keeps. */
void metrics_gauge_callback(Metrics *m, const char *name, const char *help, const char *labels,
                            double (*read)(void *data), void *data);
void metrics_counter_callback(Metrics *m, const char *name, const char *help, const char *labels,
                              double (*read)(void *data), void *data);

void counter_add(Counter *c, uint64_t n);
uint64_t counter_value(const Counter *c);
void gauge_set(Gauge *g, double v);
void gauge_add(Gauge *g, double v);
double gauge_value(const Gauge *g);
void histogram_observe(Histogram *h, double v);

/* atrium_build_info and process_* rows. */
void metrics_add_process(Metrics *m, const char *service, const char *version, const char *commit);
void metrics_write(const Metrics *m, StrBuf *out);
