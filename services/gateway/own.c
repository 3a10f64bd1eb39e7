/* own: paths that the gateway answers by itself: health, metrics, documents. A domain's route of the same path wins. */
#include "services/gateway/exchange.h"
#include "services/gateway/health.h"

enum { METRICS_MAX_BYTES = 16 * 1024 * 1024 };

#define PAGE_POLICY                                                                                                    \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "              \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static StepResult answer_metrics(Exchange *x)
{
    Gateway *g = x->gateway;
    StrBuf out;
    Slice text;

    if (!networks_contain(g->metrics_from, &x->client))
        return exchange_fail_with(x, "PERMISSION_DENIED", "METRICS_ALLOWED_CIDRS does not name this address");
    gauge_set(g->metrics.suspended, (double)g->suspended);
    gauge_set(g->metrics.body_bytes, (double)g->body_bytes);
    gauge_set(g->metrics.bus, bus_connected(g->bus) ? 1 : 0);
    out = strbuf_new(x->mem, METRICS_MAX_BYTES);
    metrics_write(g->service->metrics, &out);
    if (!strbuf_finish(&out, &text))
        return exchange_fail_with(x, "INTERNAL", "too many metrics");
    return exchange_answer(x, 200, "text/plain; version=0.0.4; charset=utf-8", text);
}

/* `type`: as which it is shown; NULL: what it is. */
static StepResult answer_asset_as(Exchange *x, const char *path, const char *type)
{
    const Asset *asset = assets_find(x->assets, slice(path));
    const char *known = exchange_header(x, "if-none-match");

    if (!asset)
        return exchange_fail(x, (Failure){.key = "NOT_FOUND", .text = "Not Found", .from_router = true});
    header_add(&x->out, "ETag", asset->etag);
    header_add(&x->out, "Cache-Control", "no-cache"); /* may be kept, but is asked for each time */
    if (slice_starts_with(slice(asset->content_type), SLICE_LIT("text/html")))
        header_add(&x->out, "Content-Security-Policy", PAGE_POLICY);
    if (known && strstr(known, asset->etag))
        return exchange_answer(x, 304, NULL, SLICE_LIT(""));
    return exchange_answer(x, 200, type ? type : asset->content_type, asset->body);
}

static StepResult answer_asset(Exchange *x, const char *path)
{
    return answer_asset_as(x, path, NULL);
}

static StepResult answer_docs(Exchange *x)
{
    return answer_asset(x, "/api/docs");
}

static StepResult answer_openapi(Exchange *x)
{
    return answer_asset(x, "/api/openapi.json");
}

/* What is JSON is YAML. */
static StepResult answer_openapi_yaml(Exchange *x)
{
    return answer_asset_as(x, "/api/openapi.json", "application/yaml");
}

/* As events' contract has it. */
static StepResult answer_openapi_x_yaml(Exchange *x)
{
    return answer_asset_as(x, "/api/openapi.json", "application/x-yaml");
}

static StepResult answer_asyncapi(Exchange *x)
{
    return answer_asset(x, "/api/asyncapi.json");
}

static StepResult answer_root(Exchange *x)
{
    Slice accept = exchange_header_joined(x, "accept");

    if (x->profile->root_is_json || slice_find(accept, SLICE_LIT("text/html")) < 0)
        return exchange_answer(x, 200, "application/json",
                               slice(arena_printf(x->mem,
                                                  "{\"status\":\"ok\",\"message\":\"Atrium\",\"version\":\"%s\","
                                                  "\"docs\":\"/api/docs\",\"openapi\":\"/api/openapi.json\"}\n",
                                                  x->gateway->service->version)));
    return answer_asset(x, "/");
}

static const struct {
    const char *path;
    StepResult (*answer)(Exchange *x);
} OWN[] = {
    {"/", answer_root},
    {"/livez", health_live},
    {"/healthz", health_healthz},
    {"/__encore/healthz", health_healthz},
    {"/readyz", health_ready},
    {"/ready", health_ready},
    {"/health", health_health},
    {"/api/health", health_api},
    {"/version", health_version},
    {"/metrics", answer_metrics},
    {"/api/docs", answer_docs},
    {"/docs", answer_docs},
    {"/api/openapi.json", answer_openapi},
    {"/api/v1/openapi.json", answer_openapi},
    {"/openapi.json", answer_openapi},
    {"/api/v1/openapi.yaml", answer_openapi_x_yaml},
    {"/docs/openapi.yaml", answer_openapi_yaml},
    {"/api/asyncapi.json", answer_asyncapi},
};

static StepResult answer_wrong_method(Exchange *x)
{
    if (x->profile->hides_methods)
        return exchange_fail_no_route(x, "NOT_FOUND");
    header_add(&x->out, "Allow", "GET, HEAD, OPTIONS");
    if (strcmp(x->method, "OPTIONS") == 0 && !x->profile->options_refused)
        return exchange_answer(x, 204, NULL, SLICE_LIT(""));
    return exchange_fail_no_route(x, "METHOD_NOT_ALLOWED");
}

bool own_path(Exchange *x, StepResult *out)
{
    bool get = slice_eq_cstr(x->lookup_method, "GET");

    for (size_t i = 0; i < ARRAY_LEN(OWN); i++)
        if (slice_eq_cstr(x->raw_path, OWN[i].path)) {
            x->own = true;
            *out = get ? OWN[i].answer(x) : answer_wrong_method(x);
            return true;
        }
    if (slice_starts_with(x->raw_path, SLICE_LIT("/api/docs/")) && assets_find(x->assets, x->raw_path)) {
        x->own = true;
        *out = get ? answer_asset(x, slice_cstr(x->mem, x->raw_path)) : answer_wrong_method(x);
        return true;
    }
    return false;
}
