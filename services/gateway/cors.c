/* cors: see cors.h. */
#include "services/gateway/cors.h"

#include "shared/config.h"

enum { HEADER_JOIN_MAX_BYTES = 4096 };

void header_add(HeaderList *h, const char *name, const char *value)
{
    if (h->count == HEADERS_MAX)
        return;
    h->list[h->count].name = name;
    h->list[h->count++].value = value;
}

void header_join(Arena *mem, HeaderList *h, const char *name, const char *value)
{
    for (size_t i = 0; i < h->count; i++)
        if (slice_eq_nocase(slice(h->list[i].name), slice(name))) {
            if (strlen(h->list[i].value) + strlen(value) < HEADER_JOIN_MAX_BYTES)
                h->list[i].value = arena_printf(mem, "%s, %s", h->list[i].value, value);
            return;
        }
    header_add(h, name, value);
}

bool header_has(const HeaderList *h, const char *name)
{
    for (size_t i = 0; i < h->count; i++)
        if (slice_eq_nocase(slice(h->list[i].name), slice(name)))
            return true;
    return false;
}

struct Cors {
    bool any, development;
    size_t count;
    Slice origins[];
};

const Cors *cors_new(Arena *mem, const char *origins, const char *more, bool development)
{
    Slice rest = slice(arena_printf(mem, "%s,%s", origins, more)), item;
    size_t count = 1;
    Cors *c;

    for (size_t i = 0; i < rest.len; i++)
        count += rest.ptr[i] == ',';
    c = arena_alloc(mem, sizeof(*c) + count * sizeof(Slice), _Alignof(Cors));
    c->development = development;
    while (config_list_next(&rest, &item)) {
        if (slice_eq_cstr(item, "*"))
            c->any = true;
        else if (item.len)
            c->origins[c->count++] = item;
    }
    return c;
}

bool cors_origin_listed(const Cors *c, const char *origin)
{
    for (size_t i = 0; i < c->count; i++)
        if (slice_eq_nocase(c->origins[i], slice(origin)))
            return true;
    return false;
}

/* --- one row per contract -------------------------------------------------------------------------------------------
 */
#define OUR_EXPOSED                                                                                                    \
    "X-Request-ID, Retry-After, RateLimit, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, "               \
    "X-RateLimit-Reset, X-CSRF-Token, ETag, Link, Location"

/* What clients of resumable uploads (tus 1.0) and players have to see of an answer. */
#define TRANSFER_EXPOSED                                                                                               \
    "Location, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires, Upload-Defer-Length, Upload-Concat, "    \
    "Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Media-Id, ETag, Accept-Ranges, " \
    "Content-Range, Content-Length, Content-Disposition"

typedef struct Flavour {
    enum { NOBODY, ANYONE, ANYONE_WITHOUT_CREDENTIALS } unlisted; /* what origins get that are not on the list */
    bool star;                                                    /* the answer is "*", for all */
    bool credentials;                                             /* of listed origins */
    bool development;                                             /* any origin counts as listed in development */
    const char *methods, *headers;                                /* NULL: what was asked for */
    const char *expose, *max_age;                                 /* NULL none */
    int status, refused_status;
    const char *body, *refused_body;
} Flavour;

static const Flavour FLAVOURS[] = {
    [CORS_OURS] = {.credentials = true,
                   .methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
                   .expose = OUR_EXPOSED ", " TRANSFER_EXPOSED,
                   .max_age = "600",
                   .status = 204,
                   .refused_status = 204},
    [CORS_CHAT] = {.unlisted = ANYONE,
                   .star = true,
                   .methods = "GET,POST,PATCH,PUT,DELETE,OPTIONS",
                   .headers = "Origin,Content-Type,Accept,Authorization",
                   .expose = "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After",
                   .max_age = "600",
                   .status = 204,
                   .refused_status = 204},
    [CORS_MEDIA] = {.unlisted = ANYONE_WITHOUT_CREDENTIALS,
                    .credentials = true,
                    .expose = "X-Request-ID, X-Correlation-ID, X-Encore-Trace-ID, Retry-After, " TRANSFER_EXPOSED,
                    .status = 204,
                    .refused_status = 204},
    [CORS_SESSIONS] = {.credentials = true,
                       .methods = "GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD",
                       .expose = "X-CSRF-Token, X-Request-ID, Retry-After",
                       .max_age = "600",
                       .status = 204,
                       .refused_status = 204},
    [CORS_EVENTS] = {.credentials = true,
                     .development = true,
                     .methods = "GET, POST, PUT, DELETE, OPTIONS, PATCH",
                     .headers = "Content-Type, Authorization, Idempotency-Key, Accept, X-Request-ID",
                     .expose = "X-Request-ID, Retry-After",
                     .max_age = "86400",
                     .status = 204,
                     .refused_status = 204},
    [CORS_RAG] = {.credentials = true,
                  .methods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
                  .expose = "*",
                  .max_age = "600",
                  .status = 200,
                  .refused_status = 400,
                  .body = "OK",
                  .refused_body = "Disallowed CORS origin"},
};

/* "a, b" of names as browsers send them, and nothing else: it is echoed. */
static bool is_echoable(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && !strchr("-_, ", c))
            return false;
    }
    return len > 0 && len <= 1024;
}

/* Does the list of requested headers name a credential? */
static bool asks_for_credentials(const CorsRequest *rq)
{
    Slice rest = slice(rq->headers), item;

    while (config_list_next(&rest, &item))
        if (slice_eq_nocase(item, SLICE_LIT("authorization")) || slice_eq_nocase(item, SLICE_LIT("cookie")))
            return true;
    return rq->with_credentials;
}

/* Access-Control-Allow-Origin and -Credentials; false when this origin gets none. */
static bool allow_origin(const Cors *c, const Flavour *f, const CorsRequest *rq, HeaderList *out)
{
    bool listed = cors_origin_listed(c, rq->origin) || (f->development && c->development);
    bool any =
        c->any || f->unlisted == ANYONE || (f->unlisted == ANYONE_WITHOUT_CREDENTIALS && !asks_for_credentials(rq));

    if (!listed && !any)
        return false;
    header_add(out, "Access-Control-Allow-Origin", f->star || (!listed && !f->unlisted) ? "*" : rq->origin);
    if (f->credentials && (listed || f->unlisted == ANYONE_WITHOUT_CREDENTIALS))
        header_add(out, "Access-Control-Allow-Credentials", "true");
    return true;
}

bool cors_may_connect(const Cors *c, CorsFlavour flavour, const char *origin, const char *host, bool by_cookie)
{
    const Flavour *f = &FLAVOURS[flavour];
    const char *scheme_end = strstr(origin, "://");

    if (scheme_end && host && slice_eq_nocase(slice(scheme_end + 3), slice(host)))
        return true;
    if (cors_origin_listed(c, origin) || (f->development && c->development))
        return true;
    return !by_cookie && (c->any || f->unlisted != NOBODY);
}

void cors_headers(const Cors *c, CorsFlavour flavour, const CorsRequest *rq, Arena *mem, HeaderList *out)
{
    const Flavour *f = &FLAVOURS[flavour];

    header_join(mem, out, "Vary", "Origin");
    if (rq->origin && allow_origin(c, f, rq, out) && f->expose)
        header_add(out, "Access-Control-Expose-Headers", f->expose);
}

CorsAnswer cors_preflight(const Cors *c, CorsFlavour flavour, const CorsRequest *rq, Arena *mem, HeaderList *out)
{
    const Flavour *f = &FLAVOURS[flavour];

    header_join(mem, out, "Vary", "Origin");
    header_join(mem, out, "Vary", "Access-Control-Request-Method");
    header_join(mem, out, "Vary", "Access-Control-Request-Headers");
    if (!rq->origin || !allow_origin(c, f, rq, out))
        return (CorsAnswer){.status = f->refused_status, .body = f->refused_body};
    if (f->methods)
        header_add(out, "Access-Control-Allow-Methods", f->methods);
    else if (rq->method && is_echoable(rq->method))
        header_add(out, "Access-Control-Allow-Methods", rq->method);
    if (f->headers)
        header_add(out, "Access-Control-Allow-Headers", f->headers);
    else if (rq->headers && is_echoable(rq->headers))
        header_add(out, "Access-Control-Allow-Headers", rq->headers);
    if (f->max_age)
        header_add(out, "Access-Control-Max-Age", f->max_age);
    return (CorsAnswer){.status = f->status, .body = f->body};
}
