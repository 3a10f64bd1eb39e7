/* rates: how often callers may call. Fixed windows that begin with the first use. Counted here at once, and settled
 * with Redis in batches by a thread of its own, so that several gateways share a limit: between two settlements each
 * counts what it saw itself. Exact classes (logins) wait for Redis, for a moment. While Redis is away, or without one,
 * each gateway counts for itself, and atrium_rate_local says so.
 *
 * The table is bounded: when it is full, the entry that was used least recently of a few is forgotten. Loop thread
 * only. */
#pragma once
#include "shared/cache.h"
#include "shared/loop.h"
#include "shared/metrics.h"

typedef struct RateRule {
    const char *name;
    const char *tier; /* of a class's tier; NULL: the class itself */
    uint32_t limit;   /* 0 is none */
    uint32_t window_ms;
    enum { RATE_BY_ADDRESS, RATE_BY_USER, RATE_BY_CALLER } by;
    bool exact, per_rpc, per_path;
    struct RateRule *tiers; /* the same with other limits */
    size_t tier_count;
} RateRule;
/* The rule for a caller of this tier (NULL: none). */
const RateRule *rate_rule_for(const RateRule *rule, const char *tier);

/* RATE_LIMITS: "login=100/60,message=0,commons.agent=500" (requests per seconds; without seconds the window stays) or
 * "off". Names that no class has are fine: a domain may be gone. INVALID_ARGUMENT for what cannot be read. */
Err rates_apply_overrides(RateRule *rules, size_t count, const char *overrides) MUST_CHECK;

typedef struct RateDecision {
    bool allowed;
    uint32_t limit, remaining;
    int64_t reset_ms; /* until the window ends, from now */
    uint32_t window_ms;
    const char *name;
} RateDecision;

enum { RATES_SETTLE_MS = 100, RATES_EXACT_WAIT_MS = 100, RATES_KEY_MAX_BYTES = 200 };

typedef struct Rates Rates;
typedef struct RatesOptions {
    Loop *loop;
    Cache *cache;
    Metrics *metrics;
    bool shared; /* there is a Redis to settle with; else `cache` is not asked */
    size_t entries_max;
} RatesOptions;
Rates *rates_new(const RatesOptions *options);
void rates_free(Rates *r); /* ends its thread; waiting decisions are dropped */
CLEANUP_FN(Rates, rates_free)

/* Are counts shared with other gateways at the moment? */
bool rates_settled(const Rates *r);

typedef void (*RateDone)(void *data, RateDecision decision);
/* Counts one use. True: `out` is the decision. False (exact classes only): `done` is called later, from the loop,
 * within RATES_EXACT_WAIT_MS. `key` names caller and, where the rule says so, rpc: "auth|Login|192.0.2.1". */
bool rates_take(Rates *r, const RateRule *rule, Slice key, int64_t now_ms, RateDone done, void *data,
                RateDecision *out);
