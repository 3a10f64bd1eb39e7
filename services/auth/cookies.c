/* cookies: see cookies.h. */
#include "services/auth/cookies.h"

static void set(Request *rq, const char *name, const char *value, int64_t max_age_s, CookieFlags flags)
{
    request_set_header(rq, "Set-Cookie",
                       arena_printf(rq->mem, "%s=%s; Path=/; Max-Age=%" PRId64 "; HttpOnly; SameSite=Lax%s", name,
                                    value, max_age_s, flags & COOKIE_SECURE ? "; Secure" : ""));
}

void cookie_set(Request *rq, const char *name, const char *value, int64_t max_age_s, CookieFlags flags)
{
    set(rq, name, value, MAX(max_age_s, 0), flags);
}

void cookie_clear(Request *rq, const char *name, CookieFlags flags)
{
    set(rq, name, "", 0, flags);
}

Slice cookie_get(const Request *rq, const char *name)
{
    Slice rest = slice(request_header(rq, "cookie")), pair, key, value;

    while (rest.len) {
        (void)slice_cut(rest, ';', &pair, &rest); /* false is the last one */
        if (slice_cut(slice_trim(pair), '=', &key, &value) && slice_eq_cstr(key, name))
            return value;
    }
    return SLICE_LIT("");
}
