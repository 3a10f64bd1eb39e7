/* cookies: set and read by handlers. All are HttpOnly, SameSite=Lax and for the whole site; the gateway adds Secure
 * where the request came over TLS. An rpc that reads one names "cookie" among its headers. */
#pragma once
#include "shared/rpc.h"

typedef enum CookieFlags {
    COOKIE_PLAIN = 0,
    COOKIE_SECURE = 1 /* even if the gateway cannot tell that there is TLS: names with __Host- need it */
} CookieFlags;
/* `value` must need no escaping. */
void cookie_set(Request *rq, const char *name, const char *value, int64_t max_age_s, CookieFlags flags);
void cookie_clear(Request *rq, const char *name, CookieFlags flags);
/* Of the request; empty when there is none. The first, when there are several: browsers send the most specific first.
 */
Slice cookie_get(const Request *rq, const char *name);
