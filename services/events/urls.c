/* urls: see urls.h. URLs are libcurl's. */
#include "services/events/urls.h"

#include <curl/curl.h>

#include "shared/strbuf.h"

/* --- parts ------------------------------------------------------------------------------------------------------- */
static const char *part(Arena *mem, CURLU *url, CURLUPart which)
{
    char *text = NULL;
    const char *copy;

    if (curl_url_get(url, which, &text, 0) != CURLUE_OK)
        return NULL;
    copy = arena_strdup(mem, text);
    curl_free(text);
    return copy;
}

static bool is_tracking(Slice name)
{
    static const char *const NAMES[] = {"fbclid", "gclid", "mc_eid"};

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (slice_eq_nocase(name, slice(NAMES[i])))
            return true;
    return name.len >= 4 && slice_eq_nocase(slice_take(name, 4), SLICE_LIT("utm_"));
}

static const char *without_tracking(Arena *mem, const char *query)
{
    StrBuf out = strbuf_new(mem, strlen(query) + 1);
    Slice rest = slice(query), pair, name, value, text;

    while (rest.len) {
        (void)slice_cut(rest, '&', &pair, &rest);
        (void)slice_cut(pair, '=', &name, &value);
        if (pair.len == 0 || is_tracking(name))
            continue;
        if (out.len)
            strbuf_append_char(&out, '&');
        strbuf_append(&out, pair);
    }
    return strbuf_finish(&out, &text) ? text.ptr : "";
}

static bool host_fits(const char *host, bool scheme_given)
{
    if (!host || !host[0])
        return false;
    for (const char *c = host; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr("<>\"{}|\\^`", *c))
            return false;
    return scheme_given || strchr(host, '.') != NULL; /* "jazz" is no host that somebody forgot a scheme for */
}

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text | 0x20);
}

/* Bytes that no URI may have, in what is otherwise taken as it is. */
static Slice encode_rest(Arena *mem, Slice raw)
{
    StrBuf out = strbuf_new(mem, raw.len * 3 + 1);

    for (size_t i = 0; i < raw.len; i++)
        if (strchr("<>\"{}|\\^`", raw.ptr[i]))
            strbuf_printf(&out, "%%%02X", (unsigned char)raw.ptr[i]);
        else
            strbuf_append_char(&out, raw.ptr[i]);
    return strbuf_slice(&out);
}

/* --- cleaning ---------------------------------------------------------------------------------------------------- */
static const char *rebuild(Arena *mem, CURLU *url, bool bare_host, bool scheme_given)
{
    const char *scheme = part(mem, url, CURLUPART_SCHEME), *query = part(mem, url, CURLUPART_QUERY);
    char *host = (char *)part(mem, url, CURLUPART_HOST);
    const char *out;
    size_t len;

    if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) || !host_fits(host, scheme_given))
        return NULL;
    if (part(mem, url, CURLUPART_USER) || part(mem, url, CURLUPART_PASSWORD))
        return NULL;
    lower(host);
    if (curl_url_set(url, CURLUPART_HOST, host, 0) != CURLUE_OK)
        return NULL;
    (void)curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
    if (query) {
        query = without_tracking(mem, query);
        (void)curl_url_set(url, CURLUPART_QUERY, query[0] ? query : NULL, 0);
    }
    out = part(mem, url, CURLUPART_URL);
    len = out ? strlen(out) : 0;
    if (len && bare_host && out[len - 1] == '/' && !part(mem, url, CURLUPART_QUERY))
        len--; /* "https://example.org" stays without a slash, as it was written */
    return len && len <= URI_MAX_BYTES ? arena_strndup(mem, out, len) : NULL;
}

const char *url_clean(Arena *mem, Slice raw)
{
    Slice trimmed = slice_trim(raw), text;
    bool scheme_given, bare_host;
    CURLU *url;
    const char *out = NULL;

    if (trimmed.len == 0 || trimmed.len > URI_MAX_BYTES || !utf8_valid(trimmed) || memchr(trimmed.ptr, 0, trimmed.len))
        return NULL;
    text = encode_rest(mem, trimmed);
    if (slice_find(text, SLICE_LIT(":///")) >= 0) /* libcurl takes it for two slashes */
        return NULL;
    scheme_given = slice_find(text, SLICE_LIT("://")) > 0;
    bare_host = slice_find_char(scheme_given ? slice_skip(text, (size_t)slice_find(text, SLICE_LIT("://")) + 3) : text,
                                '/') < 0;
    url = curl_url();
    if (!url)
        abort();
    if (curl_url_set(url, CURLUPART_URL, slice_cstr(mem, text),
                     CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME | (scheme_given ? 0 : CURLU_DEFAULT_SCHEME)) ==
        CURLUE_OK)
        out = rebuild(mem, url, bare_host, scheme_given);
    curl_url_cleanup(url);
    return out;
}

/* --- looking ----------------------------------------------------------------------------------------------------- */
static Slice authority(const char *url)
{
    Slice text = slice(url), host;
    ptrdiff_t at = slice_find(text, SLICE_LIT("://"));

    text = at < 0 ? text : slice_skip(text, (size_t)at + 3);
    for (host.len = 0, host.ptr = text.ptr; host.len < text.len; host.len++)
        if (strchr("/?#", text.ptr[host.len]))
            break;
    return host;
}

Slice url_host(const char *url)
{
    Slice host = authority(url), head, rest;

    if (host.len && host.ptr[0] == '[') {
        ptrdiff_t end = slice_find_char(host, ']');

        return end < 0 ? host : slice_take(host, (size_t)end + 1);
    }
    (void)slice_cut(host, ':', &head, &rest);
    return head;
}

const char *url_origin(Arena *mem, const char *url)
{
    Slice host = authority(url);

    return arena_strndup(mem, url, (size_t)(host.ptr + host.len - url));
}

bool host_is_below(Slice host, Slice domain)
{
    if (slice_eq_nocase(host, domain))
        return true;
    return host.len > domain.len && host.ptr[host.len - domain.len - 1] == '.' &&
           slice_eq_nocase(slice_skip(host, host.len - domain.len), domain);
}

/* --- ours -------------------------------------------------------------------------------------------------------- */
static bool take_ulid(Slice text, char out[ULID_TEXT_BYTES])
{
    uint8_t bytes[16];

    if (!id_ulid_parse(text, bytes))
        return false;
    id_ulid_format(bytes, out);
    return true;
}

/* "places/ULID" */
static bool take_path(Slice path, const char *collection, char out[ULID_TEXT_BYTES])
{
    Slice name, ulid;

    return slice_cut(path, '/', &name, &ulid) && slice_eq_cstr(name, collection) && take_ulid(ulid, out);
}

UriKind uri_read(Slice base, const char *collection, bool bare, Slice uri, char out_ulid[ULID_TEXT_BYTES])
{
    Slice text = slice_trim(uri);
    bool http = text.len > 7 && slice_eq_nocase(slice_take(text, 7), SLICE_LIT("http://")),
         https = text.len > 8 && slice_eq_nocase(slice_take(text, 8), SLICE_LIT("https://"));

    if (text.len > URI_MAX_BYTES)
        return URI_MALFORMED;
    if (text.len > base.len && text.ptr[base.len] == '/' && slice_eq_nocase(slice_take(text, base.len), base))
        return take_path(slice_skip(text, base.len + 1), collection, out_ulid) ? URI_OURS : URI_MALFORMED;
    if (http || https)
        return URI_FOREIGN;
    if (!bare)
        return URI_MALFORMED;
    if (take_ulid(text, out_ulid) ||
        take_path(text.len && text.ptr[0] == '/' ? slice_skip(text, 1) : text, collection, out_ulid))
        return URI_OURS;
    return URI_MALFORMED;
}

const char *uri_make(Arena *mem, Slice base, const char *collection, const char *ulid)
{
    return arena_printf(mem, SLICE_FMT "/%s/%s", SLICE_ARG(base), collection, ulid);
}
