/* health: the five checks of the contract's /health (18.2), which answers 200 and says "degraded" or "healthy", or 503.
 * Whether requests should come here is /readyz's matter, and the gateway's. */
#include "atrium/events/v1/events.service.h"
#include "services/events/reading.h"
#include "services/events/store_health.h"
#include "shared/migrate.h"

enum { HEALTH_MAX_BYTES = 4096 };
#define BATCH_LATE_US INT64_C(600000000) /* waits for longer than any batch takes: ten minutes */

typedef enum CheckStatus { CHECK_PASS, CHECK_WARN, CHECK_FAIL } CheckStatus;

typedef struct Check {
    const char *name, *message;
    CheckStatus status;
    double latency_ms;
    const char *detail_name; /* NULL: no details */
    int64_t detail;
} Check;

/* Those of our schema: ours, and the library's. */
static int64_t migrations_known(void)
{
    int64_t count = 0;

    for (size_t i = 0; i < MIGRATION_COUNT; i++)
        count += strcmp(MIGRATIONS[i].service, "events") == 0 || strcmp(MIGRATIONS[i].service, "shared") == 0;
    return count;
}

static Check check_migrations(bool known, const HealthRow *row)
{
    bool applied = known && row->migrations >= migrations_known(); /* more: of a newer version, which ours runs on */

    return (Check){.name = "migrations",
                   .status = applied ? CHECK_PASS : CHECK_FAIL,
                   .message = applied ? "all are applied"
                              : known ? "some are not applied"
                                      : "the database is not there",
                   .detail_name = known ? "applied" : NULL,
                   .detail = row->migrations};
}

static Check check_jobs(bool known, const HealthRow *row, int64_t now_us)
{
    bool late = row->batch_since_us && now_us - row->batch_since_us > BATCH_LATE_US;

    return (Check){.name = "job_queue",
                   .status = !known ? CHECK_FAIL
                             : late ? CHECK_WARN
                                    : CHECK_PASS,
                   .message = !known ? "the database is not there"
                              : late ? "a batch waits for more than ten minutes"
                                     : "batches are worked off",
                   .detail_name = known ? "waiting" : NULL,
                   .detail = row->batches};
}

static void look(Request *rq, Check out[5])
{
    const Events *events = rq->service;
    int64_t now_us = clock_unix_us(rq->clock);
    HealthRow row = {0};
    bool known = !err_failed(events_store_health(rq, now_us, &row));

    out[0] = (Check){.name = "database",
                     .status = known ? CHECK_PASS : CHECK_FAIL,
                     .message = known ? "it answers" : "it does not answer",
                     .latency_ms = (double)(clock_unix_us(rq->clock) - now_us) / 1000};
    out[1] = check_migrations(known, &row);
    out[2] = check_jobs(known, &row, now_us);
    out[3] = (Check){.name = "jsonld_contexts",
                     .status = events->contexts->document.len ? CHECK_PASS : CHECK_FAIL,
                     .message = "made at the start",
                     .detail_name = "count",
                     .detail = CONTEXT_COUNT};
    out[4] = (Check){.name = "http_endpoint", .status = CHECK_PASS, .message = "this was asked through it"};
}

static void write_check(StrBuf *out, const Check *check)
{
    static const char *const WORDS[] = {"pass", "warn", "fail"};

    strbuf_printf(out, "\"%s\":{\"status\":\"%s\",\"message\":\"%s\",\"latency_ms\":%.3f,\"details\":{", check->name,
                  WORDS[check->status], check->message, check->latency_ms);
    if (check->detail_name)
        strbuf_printf(out, "\"%s\":%" PRId64, check->detail_name, check->detail);
    strbuf_append_cstr(out, "}}");
}

Err events_v1_get_health(Request *rq, const Events__V1__GetHealthRequest *in, Atrium__HttpBody *out)
{
    static const char *const WORDS[] = {"healthy", "degraded", "unhealthy"};
    const Events *events = rq->service;
    StrBuf body = strbuf_new(rq->mem, HEALTH_MAX_BYTES);
    CheckStatus worst = CHECK_PASS;
    Check checks[5];

    (void)in;
    look(rq, checks);
    for (size_t i = 0; i < ARRAY_LEN(checks); i++)
        worst = MAX(worst, checks[i].status);
    strbuf_printf(
        &body,
        "{\"status\":\"%s\",\"version\":\"%s\",\"git_commit\":\"%s\",\"slot\":\"%s\",\"docs_url\":\"%s/api/docs\",",
        WORDS[worst], events->build.version, events->build.commit, events->build.slot, events->settings->base_url);
    strbuf_append_cstr(&body, "\"checks\":{");
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (i)
            strbuf_append_char(&body, ',');
        write_check(&body, &checks[i]);
    }
    strbuf_printf(&body, "},\"timestamp\":\"%s\"}\n", utc_text(rq->mem, clock_unix_us(rq->clock)));
    request_set_header(rq, "Cache-Control", "no-store");
    if (worst == CHECK_FAIL)
        request_set_status(rq, 503);
    return answer_body(&body, "application/json", out);
}
