/* key_usage: see key_usage.h. */
#include "services/gateway/key_usage.h"

#include "atrium/bus.pb-c.h"
#include "shared/id.h"
#include "shared/identity_provider.h"
#include "shared/message.h"

enum {
    CAPACITY = 2 * KEY_USAGE_KEYS_MAX, /* a power of two; never more than half full */
    REPORT_TIMEOUT_MS = 2000,
    SUBJECT_MAX_BYTES = 128
};

typedef struct Used {
    Uuid key;
    uint64_t requests, errors; /* requests 0 is a free place */
    int64_t last_ms;
} Used;

struct KeyUsage {
    KeyUsageOptions options;
    char subject[SUBJECT_MAX_BYTES];
    LoopTimer *timer;
    Used *used; /* open addressing */
    size_t count;
    /* On its way, or waiting to be told again. */
    Arena *report_mem;
    Slice report; /* empty: none */
    bool sent;
    Counter *reported, *lost;
};

/* Ids end in random bits. */
static Used *find_place(KeyUsage *u, Uuid key)
{
    size_t at;

    memcpy(&at, key.bytes + 8, sizeof(at));
    for (at &= CAPACITY - 1; u->used[at].requests; at = (at + 1) & (CAPACITY - 1))
        if (memcmp(&u->used[at].key, &key, sizeof(key)) == 0)
            break;
    return &u->used[at];
}

void key_usage_count(KeyUsage *u, const char *key_id, bool failed)
{
    Used *place;
    Uuid key;

    if (!uuid_parse(slice(key_id), &key))
        return;
    place = find_place(u, key);
    if (!place->requests && u->count >= KEY_USAGE_KEYS_MAX) {
        counter_add(u->lost, 1);
        return;
    }
    u->count += !place->requests;
    place->key = key;
    place->requests++;
    place->errors += failed;
    place->last_ms = clock_unix_ms(u->options.clock);
    if (u->count == KEY_USAGE_KEYS_MAX)
        loop_timer_set(u->timer, 0, u->options.interval_ms);
}

/* --- telling ----------------------------------------------------------------------------------------------------- */
/* What was counted becomes the report. */
static void make_report(KeyUsage *u)
{
    Atrium__KeyUsageReport report = ATRIUM__KEY_USAGE_REPORT__INIT;
    Arena *mem = u->report_mem;

    report.report_id = uuid_text(mem, uuid_v4());
    report.keys = ARENA_ARRAY(mem, Atrium__KeyUsage *, u->count);
    for (size_t i = 0; i < CAPACITY; i++) {
        Atrium__KeyUsage *one;

        if (!u->used[i].requests)
            continue;
        one = MESSAGE_NEW(mem, Atrium__KeyUsage, atrium__key_usage__init);
        one->key_id = uuid_text(mem, u->used[i].key);
        SET(one, requests, u->used[i].requests);
        SET(one, errors, u->used[i].errors);
        SET(one, last_used_ms, u->used[i].last_ms);
        report.keys[report.n_keys++] = one;
    }
    u->report = message_pack(mem, &report.base);
    memset(u->used, 0, CAPACITY * sizeof(Used));
    u->count = 0;
}

static void told(void *data, UpstreamOutcome outcome, natsMsg *msg)
{
    KeyUsage *u = data;

    u->sent = false;
    if (outcome != UPSTREAM_REPLIED || bus_header(msg, "Nats-Service-Error-Code"))
        return; /* the same report, next time */
    counter_add(u->reported, 1);
    u->report = (Slice){NULL, 0};
    arena_reset(u->report_mem);
}

static void tell(void *data)
{
    KeyUsage *u = data;
    static const BusHeader HEADERS[] = {{"Atrium-Timeout-Ms", "2000"}};
    UpstreamRequest rq = {.subject = u->subject,
                          .callee = IDENTITY_DOMAIN,
                          .headers = HEADERS,
                          .header_count = ARRAY_LEN(HEADERS),
                          .timeout_ms = REPORT_TIMEOUT_MS,
                          .done = told,
                          .data = u};

    if (u->sent || (u->report.len == 0 && u->count == 0))
        return;
    if (u->report.len == 0)
        make_report(u);
    rq.body = u->report;
    u->sent = !err_failed(upstream_send(u->options.upstream, &rq)); /* not sent: the next time */
}

void key_usage_flush(KeyUsage *u)
{
    tell(u);
}

bool key_usage_idle(const KeyUsage *u)
{
    return u->count == 0 && u->report.len == 0;
}

/* --- start and stop ---------------------------------------------------------------------------------------------- */
KeyUsage *key_usage_new(const KeyUsageOptions *options)
{
    KeyUsage *u = xcalloc(1, sizeof(*u));

    u->options = *options;
    snprintf(u->subject, sizeof(u->subject), "rpc.%s." IDENTITY_USAGE_RPC, options->slot);
    u->used = xcalloc(CAPACITY, sizeof(Used));
    u->report_mem = arena_new(65536);
    u->reported = metrics_counter(options->metrics, "atrium_key_usage_reports_total",
                                  "Reports of what API keys did that were taken.", "");
    u->lost = metrics_counter(options->metrics, "atrium_key_usage_lost_total",
                              "Requests of API keys that no report counts, since too many keys were in use.", "");
    u->timer = loop_timer_new(options->loop, tell, u);
    loop_timer_set(u->timer, options->interval_ms, options->interval_ms);
    return u;
}

void key_usage_free(KeyUsage *u)
{
    if (!u)
        return;
    loop_timer_free(u->timer);
    arena_free(u->report_mem);
    free(u->used);
    free(u);
}
