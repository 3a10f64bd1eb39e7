/* bytes_cors: pages of other origins that speak to the data plane itself (BYTES_PUBLIC_URL). Nothing here asks for what
 * a browser adds by itself: no cookie, no login; what may be done stands in the URL's ticket. So every origin may,
 * without credentials. Behind the gateway its rules hold, and it drops what is said here. */
#include "shared/bytes_internal.h"

#define CORS_MAX_AGE "86400" /* browsers make less of it */

static bool is_direct(const BytesExchange *x)
{
    return x->options->settings && x->options->settings->public_url[0] && bytes_header(x, "origin");
}

const char *bytes_cors_origin(const BytesExchange *x)
{
    return is_direct(x) ? "*" : NULL;
}

bool bytes_cors_preflight(BytesExchange *x, const RouteTree *routes)
{
    RoutePath *path = ARENA_NEW(x->rq.mem, RoutePath);
    const char *allow;

    if (strcmp(x->method, "OPTIONS") != 0 || !is_direct(x) || !bytes_header(x, "access-control-request-method") ||
        !routes_split(x->rq.mem, x->path, path))
        return false;
    allow = routes_allow(routes, x->rq.mem, path, NULL);
    if (!allow)
        return false;
    request_set_header(&x->rq, "Access-Control-Allow-Methods", allow);
    request_set_header(&x->rq, "Access-Control-Allow-Headers", "*");
    request_set_header(&x->rq, "Access-Control-Max-Age", CORS_MAX_AGE);
    err_ignore(bytes_answer_empty(x, 204)); /* it cannot have been answered before */
    return true;
}
