/* rates: see rates.h. */
#include "services/gateway/rates.h"

#include <pthread.h>
#include <sodium.h>

#include "atrium/reasons.atrium.h"

enum {
    WAYS = 8,        /* entries of one set; a new one takes the place of the worst of them */
    JOBS_MAX = 4096, /* not yet settled; beyond it a count is settled with the next use */
    SETTLE_BATCH_MAX = 1024
};

/* --- RATE_LIMITS ----------------------------------------------------------------------------------------------------
 */
static bool is_called(const RateRule *rule, Slice name)
{
    Slice class_name, tier;

    if (!slice_cut(name, '.', &class_name, &tier))
        return !rule->tier && slice_eq_cstr(name, rule->name);
    return rule->tier && slice_eq_cstr(class_name, rule->name) && slice_eq_cstr(tier, rule->tier);
}

static void replace_limits(RateRule *rules, size_t count, Slice name, uint32_t limit, uint32_t window_ms)
{
    for (size_t i = 0; i < count; i++) {
        if (is_called(&rules[i], name)) {
            rules[i].limit = limit;
            if (window_ms)
                rules[i].window_ms = window_ms;
        }
        replace_limits(rules[i].tiers, rules[i].tier_count, name, limit, window_ms);
    }
}

static void lift_limits(RateRule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rules[i].limit = 0;
        lift_limits(rules[i].tiers, rules[i].tier_count);
    }
}

static Err apply_override(RateRule *rules, size_t count, Slice item)
{
    Slice name, amount, limit, seconds;
    uint64_t requests, window_s = 0;

    if (!slice_cut(item, '=', &name, &amount))
        return err_make(&INVALID_ARGUMENT, "\"%.*s\": wanted class=requests/seconds, or off", SLICE_ARG(item));
    name = slice_trim(name);
    if (slice_cut(slice_trim(amount), '/', &limit, &seconds) &&
        (!slice_to_uint64(slice_trim(seconds), &window_s) || window_s == 0 || window_s > 86400 * 31))
        return err_make(&INVALID_ARGUMENT, "\"%.*s\": the seconds are no number from 1", SLICE_ARG(item));
    if (!slice_to_uint64(slice_trim(limit), &requests) || requests > UINT32_MAX)
        return err_make(&INVALID_ARGUMENT, "\"%.*s\": the requests are no number", SLICE_ARG(item));
    replace_limits(rules, count, name, (uint32_t)requests, (uint32_t)(window_s * 1000));
    return OK;
}

Err rates_apply_overrides(RateRule *rules, size_t count, const char *overrides)
{
    Slice rest = slice_trim(slice(overrides)), item;

    if (slice_eq_cstr(rest, "off")) {
        lift_limits(rules, count);
        return OK;
    }
    while (rest.len) {
        (void)slice_cut(rest, ',', &item, &rest); /* false is the last item */
        item = slice_trim(item);
        if (item.len)
            TRY(err_wrap(apply_override(rules, count, item), "RATE_LIMITS"));
    }
    return OK;
}

const RateRule *rate_rule_for(const RateRule *rule, const char *tier)
{
    for (size_t i = 0; tier && i < rule->tier_count; i++)
        if (strcmp(rule->tiers[i].tier, tier) == 0)
            return &rule->tiers[i];
    return rule;
}

/* --- counting ---------------------------------------------------------------------------------------------------- */
typedef struct Entry {
    uint64_t hash; /* 0 is a free place */
    int64_t window_end_ms, used_ms;
    uint32_t count;  /* uses seen here in this window */
    uint32_t sent;   /* of these, handed to Redis */
    uint32_t acked;  /* of these, known to be in `global` */
    uint32_t global; /* all gateways' uses, at the last settlement */
    bool queued;     /* on the list of the next settlement */
    char key[RATES_KEY_MAX_BYTES + 1];
} Entry;

typedef struct Waiter {
    Rates *rates;
    RateDone done; /* NULL once told */
    void *data;
    const RateRule *rule;
    LoopTimer *timer;
    RateDecision local; /* the answer when Redis does not come in time */
} Waiter;

typedef struct Job {
    struct Job *next;
    Rates *rates;
    uint64_t hash;
    int64_t window_ms, value, left_ms;
    uint32_t by;
    bool failed;
    Waiter *waiter; /* of exact classes */
    char key[];
} Job;

struct Rates {
    RatesOptions options;
    unsigned char secret[crypto_shorthash_KEYBYTES]; /* so that callers cannot aim at one set */
    Entry *entries;
    size_t set_count; /* a power of two */
    LoopTimer *settle_timer;
    uint64_t queued[SETTLE_BATCH_MAX];
    size_t queued_count;
    bool redis_up;
    Gauge *local;
    Counter *forgotten;
    /* Shared with the settling thread. */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    Job *first, **last;
    size_t job_count;
    bool stopping;
};

static Entry *find_entry(Rates *r, uint64_t hash)
{
    Entry *set = r->entries + (hash & (r->set_count - 1)) * WAYS;

    for (size_t i = 0; i < WAYS; i++)
        if (set[i].hash == hash)
            return &set[i];
    return NULL;
}

/* The entry of `key`, in a window that is open. */
static Entry *open_entry(Rates *r, const RateRule *rule, Slice key, uint64_t hash, int64_t now_ms)
{
    Entry *set = r->entries + (hash & (r->set_count - 1)) * WAYS, *e = find_entry(r, hash);

    if (!e) {
        e = set;
        for (size_t i = 0; i < WAYS; i++) {
            if (set[i].hash == 0 || set[i].window_end_ms <= now_ms) {
                e = &set[i];
                break;
            }
            if (set[i].used_ms < e->used_ms)
                e = &set[i];
        }
        if (e->hash && e->window_end_ms > now_ms)
            counter_add(r->forgotten, 1);
        *e = (Entry){.hash = hash};
        memcpy(e->key, key.ptr, key.len);
    }
    if (e->window_end_ms <= now_ms) {
        e->window_end_ms = now_ms + rule->window_ms;
        e->count = e->sent = e->acked = e->global = 0;
    }
    e->used_ms = now_ms;
    return e;
}

static uint64_t entry_uses(const Entry *e)
{
    return MAX((uint64_t)e->count, (uint64_t)e->global + (e->count - e->acked));
}

static RateDecision decide(const RateRule *rule, const Entry *e, int64_t now_ms, bool allowed)
{
    uint64_t uses = entry_uses(e);

    return (RateDecision){.allowed = allowed,
                          .limit = rule->limit,
                          .remaining = uses >= rule->limit ? 0 : rule->limit - (uint32_t)uses,
                          .reset_ms = MAX(e->window_end_ms - now_ms, 0),
                          .window_ms = rule->window_ms,
                          .name = rule->name};
}

/* --- settling ---------------------------------------------------------------------------------------------------- */
static void tell(Waiter *w, RateDecision decision)
{
    RateDone done = w->done;

    w->done = NULL;
    loop_timer_free(w->timer);
    w->timer = NULL;
    done(w->data, decision);
}

static void wait_is_over(void *data)
{
    Waiter *w = data;

    w->rates->redis_up = false;
    gauge_set(w->rates->local, 1);
    tell(w, w->local); /* its job still holds it, and frees it */
}

/* In the loop's thread. */
static void job_done(void *data)
{
    Job *job = data;
    Rates *r = job->rates;
    Entry *e = find_entry(r, job->hash);
    int64_t now_ms = loop_now_ms(r->options.loop);

    r->redis_up = !job->failed;
    gauge_set(r->local, job->failed ? 1 : 0);
    if (e && job->failed) {
        e->sent -= MIN(e->sent, job->by); /* goes with the next settlement */
    } else if (e && e->sent) {            /* 0: the window ended meanwhile */
        e->acked += MIN(job->by, e->count - e->acked);
        e->global = (uint32_t)MIN(job->value, UINT32_MAX);
        if (job->left_ms > 0)
            e->window_end_ms = now_ms + job->left_ms; /* the windows of all gateways are one */
    }
    if (job->waiter) {
        Waiter *w = job->waiter;

        if (w->done && job->failed)
            tell(w, w->local);
        else if (w->done)
            tell(w,
                 (RateDecision){.allowed = job->value <= w->rule->limit,
                                .limit = w->rule->limit,
                                .remaining = job->value >= w->rule->limit ? 0 : (uint32_t)(w->rule->limit - job->value),
                                .reset_ms = MAX(job->left_ms, 0),
                                .window_ms = w->rule->window_ms,
                                .name = w->rule->name});
        free(w);
    }
    free(job);
}

static void *settle_loop(void *data)
{
    Rates *r = data;

    pthread_mutex_lock(&r->lock);
    for (;;) {
        Job *job = r->first;
        int64_t value = 0, left_ms = 0;

        if (r->stopping)
            break;
        if (!job) {
            pthread_cond_wait(&r->wake, &r->lock);
            continue;
        }
        r->first = job->next;
        if (!r->first)
            r->last = &r->first;
        r->job_count--;
        pthread_mutex_unlock(&r->lock);
        job->failed = !cache_count(r->options.cache, slice(job->key), job->by, job->window_ms, &value, &left_ms);
        job->value = value;
        job->left_ms = left_ms;
        loop_post(r->options.loop, job_done, job);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* False when too much waits already. */
static bool send_job(Rates *r, Entry *e, uint32_t by, int64_t window_ms, Waiter *waiter)
{
    static const char PREFIX[] = "rate:";
    size_t len = strlen(e->key);
    Job *job = xcalloc(1, sizeof(*job) + sizeof(PREFIX) + len);
    bool room;

    job->rates = r;
    job->hash = e->hash;
    job->by = by;
    job->window_ms = window_ms;
    job->waiter = waiter;
    memcpy(job->key, PREFIX, sizeof(PREFIX) - 1);
    memcpy(job->key + sizeof(PREFIX) - 1, e->key, len + 1);
    pthread_mutex_lock(&r->lock);
    room = r->job_count < JOBS_MAX;
    if (room) {
        r->job_count++;
        *r->last = job;
        r->last = &job->next;
        pthread_cond_signal(&r->wake);
    }
    pthread_mutex_unlock(&r->lock);
    if (!room) {
        free(job);
        return false;
    }
    e->sent += by;
    return true;
}

static void settle(void *data)
{
    Rates *r = data;
    int64_t now_ms = loop_now_ms(r->options.loop);

    for (size_t i = 0; i < r->queued_count; i++) {
        Entry *e = find_entry(r, r->queued[i]);

        if (!e)
            continue;
        e->queued = false;
        if (e->window_end_ms > now_ms && e->count > e->sent)
            (void)send_job(r, e, e->count - e->sent, e->window_end_ms - now_ms, NULL); /* else with the next use */
    }
    r->queued_count = 0;
}

static void queue_settlement(Rates *r, Entry *e)
{
    if (e->queued || r->queued_count == SETTLE_BATCH_MAX)
        return;
    e->queued = true;
    if (r->queued_count == 0)
        loop_timer_set(r->settle_timer, RATES_SETTLE_MS, 0);
    r->queued[r->queued_count++] = e->hash;
}

/* --- the outside ------------------------------------------------------------------------------------------------- */
static bool wait_for_redis(Rates *r, const RateRule *rule, Entry *e, RateDone done, void *data, RateDecision local)
{
    Waiter *w = xcalloc(1, sizeof(*w));

    *w = (Waiter){.rates = r, .done = done, .data = data, .rule = rule, .local = local};
    if (!send_job(r, e, 1, rule->window_ms, w)) {
        free(w);
        return false;
    }
    w->timer = loop_timer_new(r->options.loop, wait_is_over, w);
    loop_timer_set(w->timer, RATES_EXACT_WAIT_MS, 0);
    return true;
}

bool rates_take(Rates *r, const RateRule *rule, Slice key, int64_t now_ms, RateDone done, void *data, RateDecision *out)
{
    uint64_t hash;
    Entry *e;
    bool allowed;

    key = slice_take(key, RATES_KEY_MAX_BYTES);
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)key.ptr, key.len, r->secret);
    hash |= 1; /* never 0 */
    e = open_entry(r, rule, key, hash, now_ms);
    allowed = entry_uses(e) < rule->limit;
    if (allowed)
        e->count++; /* refused uses are not counted: hammering costs no settlement */
    *out = decide(rule, e, now_ms, allowed);
    if (!allowed || !r->options.shared)
        return true;
    if (rule->exact && r->redis_up && wait_for_redis(r, rule, e, done, data, *out))
        return false;
    queue_settlement(r, e);
    return true;
}

bool rates_settled(const Rates *r)
{
    return r->redis_up;
}

Rates *rates_new(const RatesOptions *options)
{
    Rates *r = xcalloc(1, sizeof(*r));

    r->options = *options;
    r->set_count = 1;
    while (r->set_count * WAYS < options->entries_max)
        r->set_count *= 2;
    r->entries = xcalloc(r->set_count * WAYS, sizeof(Entry));
    crypto_shorthash_keygen(r->secret);
    r->local = metrics_gauge(options->metrics, "atrium_rate_local",
                             "1 while rate limits are counted by each gateway alone, without Redis.", "");
    r->forgotten = metrics_counter(options->metrics, "atrium_rate_forgotten_total",
                                   "Open rate windows that were dropped because the table was full.", "");
    r->redis_up = options->shared && cache_available(options->cache);
    gauge_set(r->local, r->redis_up ? 0 : 1);
    r->last = &r->first;
    if (options->shared) {
        r->settle_timer = loop_timer_new(options->loop, settle, r);
        pthread_mutex_init(&r->lock, NULL);
        pthread_cond_init(&r->wake, NULL);
        if (pthread_create(&r->thread, NULL, settle_loop, r) != 0)
            abort();
    }
    return r;
}

void rates_free(Rates *r)
{
    if (!r)
        return;
    if (r->options.shared) {
        pthread_mutex_lock(&r->lock);
        r->stopping = true;
        pthread_cond_signal(&r->wake);
        pthread_mutex_unlock(&r->lock);
        pthread_join(r->thread, NULL);
        while (r->first) {
            Job *job = r->first;

            r->first = job->next;
            if (job->waiter)
                loop_timer_free(job->waiter->timer);
            free(job->waiter);
            free(job);
        }
        loop_timer_free(r->settle_timer);
        pthread_cond_destroy(&r->wake);
        pthread_mutex_destroy(&r->lock);
    }
    free(r->entries);
    free(r);
}
