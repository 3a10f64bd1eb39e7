/* key_usage: what API keys did, counted here and told to the identity provider every few seconds, so that no request
 * waits for a write. A report that was not confirmed comes again under its own id, which counts once. Loop thread
 * only. */
#pragma once
#include "services/gateway/upstream.h"
#include "shared/clock.h"

enum { KEY_USAGE_INTERVAL_MS = 10000, KEY_USAGE_KEYS_MAX = 4096 /* between two reports */ };

typedef struct KeyUsage KeyUsage;
typedef struct KeyUsageOptions {
    Loop *loop;
    const Clock *clock;
    Upstream *upstream;
    Metrics *metrics;
    const char *slot;
    int64_t interval_ms;
} KeyUsageOptions;
KeyUsage *key_usage_new(const KeyUsageOptions *options);
void key_usage_free(KeyUsage *u); /* what was not told is forgotten; NULL is fine */
CLEANUP_FN(KeyUsage, key_usage_free)

/* One request; `key_id` is a UUID. */
void key_usage_count(KeyUsage *u, const char *key_id, bool failed);
/* At the end: tells at once, not at the next interval. */
void key_usage_flush(KeyUsage *u);
/* Is everything told? */
bool key_usage_idle(const KeyUsage *u);
