/* health: see health.h. */
#include "services/gateway/health.h"

#include "services/gateway/ring.h"

enum { LOOK_EVERY_MS = 1000, BODY_MAX_BYTES = 4096 };

typedef struct Check {
    const char *name;
    bool fine, needed;
} Check;
enum { CHECK_COUNT = 5 };

static void look(Gateway *g, Check out[CHECK_COUNT])
{
    struct HealthCache *h = &g->health;
    int64_t now_ms = loop_now_ms(g->loop);

    if (h->at_ms == 0 || now_ms - h->at_ms >= LOOK_EVERY_MS) {
        h->at_ms = now_ms;
        h->bus = bus_connected(g->bus);
        h->revocations = revocations_ready(g->revocations);
        h->access = grants_ready(g->grants);
        h->dispatches = rings_ready(g->rings);
        h->redis = rates_settled(g->rates);
    }
    out[0] = (Check){"bus", h->bus, true};
    out[1] = (Check){"revocations", h->revocations, true};
    out[2] = (Check){"access", h->access, true};
    out[3] = (Check){"dispatches", h->dispatches, true};
    out[4] = (Check){"redis", h->redis, false}; /* without it limits are counted per gateway */
}

bool gateway_ready(Gateway *g)
{
    Check checks[CHECK_COUNT];

    look(g, checks);
    return !g->draining && checks[0].fine && checks[1].fine && checks[2].fine && checks[3].fine;
}

/* The first that is needed and is not fine. */
static const char *failing(Gateway *g, const Check *checks)
{
    for (size_t i = 0; i < CHECK_COUNT; i++)
        if (checks[i].needed && !checks[i].fine)
            return checks[i].name;
    return g->draining ? "stopping" : NULL;
}

static StepResult answer_json(Exchange *x, int status, const char *format, ...) PRINTF_LIKE(3, 4);
static StepResult answer_json(Exchange *x, int status, const char *format, ...)
{
    char *text = arena_alloc_raw(x->mem, BODY_MAX_BYTES, 1);
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, BODY_MAX_BYTES, format, args);
    va_end(args);
    header_add(&x->out, "Cache-Control", "no-store");
    return exchange_answer(x, status, "application/json", slice_of(text, (size_t)MIN(len, BODY_MAX_BYTES - 1)));
}

StepResult health_live(Exchange *x)
{
    return answer_json(x, 200, "{\"status\":\"ok\"}\n");
}

/* One body satisfies those who look at `status` and media's clients, who look at `code`. */
StepResult health_healthz(Exchange *x)
{
    const Service *s = x->gateway->service;

    return answer_json(
        x, 200,
        "{\"status\":\"ok\",\"code\":\"ok\",\"message\":\"Atrium is up.\",\"details\":{\"app_revision\":\"%s\","
        "\"encore_compiler\":\"\",\"deploy_id\":\"%s\",\"checks\":null,\"enabled_experiments\":null}}\n",
        s->commit, x->gateway->slot);
}

static const char *checks_json(Exchange *x, const Check *checks, const char *fine, const char *warn, const char *bad)
{
    StrBuf out = strbuf_new(x->mem, BODY_MAX_BYTES / 2);
    Slice text;

    for (size_t i = 0; i < CHECK_COUNT; i++)
        strbuf_printf(&out, "%s\"%s\":{\"status\":\"%s\"}", i ? "," : "", checks[i].name,
                      checks[i].fine     ? fine
                      : checks[i].needed ? bad
                                         : warn);
    return strbuf_finish(&out, &text) ? text.ptr : "";
}

StepResult health_ready(Exchange *x)
{
    Check checks[CHECK_COUNT];
    const char *bad;

    look(x->gateway, checks);
    bad = failing(x->gateway, checks);
    if (!bad)
        return answer_json(x, 200, "{\"status\":\"ready\",\"checks\":{%s}}\n",
                           checks_json(x, checks, "pass", "warn", "fail"));
    header_add(&x->out, "Retry-After", "1");
    return answer_json(x, 503, "{\"status\":\"not_ready\",\"component\":\"%s\",\"checks\":{%s}}\n", bad,
                       checks_json(x, checks, "pass", "warn", "fail"));
}

static StepResult our_health(Exchange *x, const Check *checks, const char *bad)
{
    if (bad)
        return answer_json(x, 503,
                           "{\"status\":\"error\",\"component\":\"%s\",\"service\":\"atrium\",\"checks\":{%s}}\n", bad,
                           checks_json(x, checks, "pass", "warn", "fail"));
    return answer_json(x, 200, "{\"status\":\"ok\",\"service\":\"atrium\",\"version\":\"%s\",\"checks\":{%s}}\n",
                       x->gateway->service->version, checks_json(x, checks, "pass", "warn", "fail"));
}

static StepResult chat_health(Exchange *x, const Check *checks, const char *bad)
{
    (void)checks;
    if (bad)
        return answer_json(x, 503, "{\"status\":\"error\",\"component\":\"%s\"}\n", bad);
    return answer_json(x, 200, "{\"status\":\"ok\"}\n");
}

static StepResult sessions_health(Exchange *x, const Check *checks, const char *bad)
{
    (void)checks, (void)bad; /* it says this always */
    return answer_json(x, 200, "{\"status\":\"healthy\",\"service\":\"streamspace-api\"}\n");
}

static StepResult rag_health(Exchange *x, const Check *checks, const char *bad)
{
    (void)checks;
    return answer_json(x, bad ? 503 : 200, "{\"status\":\"%s\",\"service\":\"atrium\",\"environment\":\"%s\"}",
                       bad ? "unhealthy" : "healthy", x->gateway->settings->environment);
}

StepResult health_health(Exchange *x)
{
    static StepResult (*const FLAVOURS[])(Exchange * x, const Check *checks,
                                          const char *bad) = {[HEALTH_OURS] = our_health,
                                                              [HEALTH_CHAT] = chat_health,
                                                              [HEALTH_SESSIONS] = sessions_health,
                                                              [HEALTH_RAG] = rag_health};
    Check checks[CHECK_COUNT];

    look(x->gateway, checks);
    return FLAVOURS[x->profile->health](x, checks, failing(x->gateway, checks));
}

StepResult health_api(Exchange *x)
{
    return answer_json(x, 200, "{\"status\":\"ok\"}");
}

StepResult health_version(Exchange *x)
{
    const Service *s = x->gateway->service;

    return answer_json(x, 200,
                       "{\"version\":\"%s\",\"git_commit\":\"%s\",\"commit\":\"%s\",\"build_date\":\"%s\","
                       "\"go_version\":\"\",\"c_compiler\":\"%s\",\"api\":\"v1\",\"slot\":\"%s\"}\n",
                       s->version, s->commit, s->commit, s->build_date, __VERSION__, x->gateway->slot);
}
