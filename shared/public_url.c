#include "shared/public_url.h"

#include <curl/curl.h>

#include "atrium/reasons.atrium.h"
#include "shared/http_client.h"

static void free_url(CURLU *u)
{
    curl_url_cleanup(u);
}
CLEANUP_FN(CURLU, free_url)

/* A part of a URL, borrowed from `mem`; "" when it has none. */
static char *url_part(Arena *mem, CURLU *u, CURLUPart part, unsigned flags)
{
    char *text = NULL, *copy;

    if (curl_url_get(u, part, &text, flags) != CURLUE_OK)
        return arena_strdup(mem, "");
    copy = arena_strdup(mem, text);
    curl_free(text);
    return copy;
}

static bool is_listed(const char *list, const char *word)
{
    Slice rest = slice(list), item;

    while (rest.len) {
        (void)slice_cut(rest, ',', &item, &rest);
        if (slice_eq_cstr(slice_trim(item), word))
            return true;
    }
    return false;
}

/* "localhost" and below it (RFC 6761), also with the dot of the root. */
static bool is_localhost(Slice name)
{
    if (name.len && name.ptr[name.len - 1] == '.')
        name.len--;
    if (slice_eq_nocase(name, SLICE_LIT("localhost")))
        return true;
    return name.len > 10 && slice_eq_nocase(slice_skip(name, name.len - 10), SLICE_LIT(".localhost"));
}

/* Addresses in figures are refused at once, in whatever form curl would take them ("0x7f.1" is one, too). */
static bool host_is_refused(Arena *mem, CURLU *u, const char *allowed)
{
    Slice host = slice(url_part(mem, u, CURLUPART_HOST, 0));
    char *port = url_part(mem, u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    bool six = host.len > 2 && host.ptr[0] == '[';
    char *bare = slice_cstr(mem, six ? slice_take(slice_skip(host, 1), host.len - 2) : host);
    bool figures = six || (*bare && strspn(bare, "0123456789.") == strlen(bare));

    if (is_localhost(slice(bare)))
        return !is_listed(allowed, arena_printf(mem, "127.0.0.1:%s", port));
    return figures && !http_address_public(bare) &&
           !is_listed(allowed, arena_printf(mem, SLICE_FMT ":%s", SLICE_ARG(host), port));
}

Err public_url_check(Arena *mem, const char *url, size_t max_bytes, const char *allowed)
{
    CLEANUP(free_url_at) CURLU *u = curl_url();
    char *scheme;

    if (!u)
        abort();
    if (strlen(url) > max_bytes || curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        return err_make(&INVALID_ARGUMENT, "url: not a URL of http or https, %zu bytes at most", max_bytes);
    scheme = url_part(mem, u, CURLUPART_SCHEME, 0);
    if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        return err_make(&INVALID_ARGUMENT, "url: not a URL of http or https, %zu bytes at most", max_bytes);
    if (*url_part(mem, u, CURLUPART_USER, 0) || *url_part(mem, u, CURLUPART_PASSWORD, 0) ||
        *url_part(mem, u, CURLUPART_FRAGMENT, 0))
        return err_make(&INVALID_ARGUMENT, "url: no user, password or fragment");
    if (host_is_refused(mem, u, allowed))
        return err_make(&INVALID_ARGUMENT, "url: the address is not one of the public internet");
    return OK;
}
