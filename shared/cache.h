/* cache: Redis, for what may vanish. Optional: without a URL, or while Redis is away, reads miss and writes do nothing;
 * a broken connection is tried again after a pause, so that an absent Redis costs no time per call. Thread-safe
 * (a small pool). rediss:// is refused by name: Debian's hiredis has no TLS. */
#pragma once
#include "shared/err.h"
#include "shared/log.h"
#include "shared/metrics.h"
#include "shared/slice.h"

typedef struct Cache Cache;
/* `url` "" gives a cache that never hits. INVALID_ARGUMENT for a URL that cannot be used. */
Err cache_new(const char *url, const char *prefix, Log *log, Metrics *metrics, Cache **out) MUST_CHECK;
void cache_free(Cache *c);
CLEANUP_FN(Cache, cache_free)
bool cache_available(Cache *c);
bool cache_get(Cache *c, Arena *mem, Slice key, Slice *out); /* false is a miss */
void cache_set(Cache *c, Slice key, Slice value, int64_t ttl_ms);
void cache_delete(Cache *c, Slice key);
/* Adds `by` to a counter that lives `window_ms` from its first use; false when Redis is away. `out_left_ms` is what is
 * left of the window. One round trip. */
bool cache_count(Cache *c, Slice key, int64_t by, int64_t window_ms, int64_t *out_value, int64_t *out_left_ms);
