/* head: see head.h. */
#include "services/gateway/head.h"

/* --- reading ------------------------------------------------------------------------------------------------------ */
/* MHD parses headers in its buffer: names and values are pieces of the text as it came, ended by NULs that stand where
 * colon and line end were. What it got wrong shows as a gap: a NUL inside a value (it cuts there), a folded line, a
 * line that ends with CR or LF alone, or white space before a colon, with which two programs may read two different
 * lengths into one request. */
enum { LINE_END = 2 };

typedef struct HeaderScan {
    Exchange *x;
    const char *at, *end; /* where the next name must begin; end of the head */
    const char *bad;
} HeaderScan;

static bool is_token(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] > '~' || strchr("\"(),/:;<=>?@[\\]{}", name[i]))
            return false;
    return len > 0;
}

/* Nothing from here to there but so many NULs. */
static bool only_nuls(const char *from, const char *to, ptrdiff_t count)
{
    ptrdiff_t len = to - from;

    while (from < to && *from == '\0')
        from++;
    return from == to && len == count;
}

/* HTTP's own white space, which is not all of what C calls so. */
static Slice trim_value(Slice value)
{
    while (value.len && (value.ptr[0] == ' ' || value.ptr[0] == '\t'))
        value = slice_skip(value, 1);
    while (value.len && (value.ptr[value.len - 1] == ' ' || value.ptr[value.len - 1] == '\t'))
        value.len--;
    return value;
}

static bool has_control(Slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.ptr[i] < ' ' && value.ptr[i] != '\t') || value.ptr[i] == 0x7f)
            return true;
    return false;
}

/* A name, an address in brackets, a port; empty is allowed. */
static bool is_host(Slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] <= ' ' || value.ptr[i] > '~' || strchr("\"#/<>?@\\^`{|},", value.ptr[i]))
            return false;
    return true;
}

static enum MHD_Result scan_header(void *data, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                   const char *value, size_t value_len)
{
    HeaderScan *scan = data;
    Exchange *x = scan->x;
    Slice trimmed = trim_value(slice_of(value, value_len));

    (void)kind;
    if (x->header_count == REQUEST_HEADERS_MAX)
        scan->bad = "too many headers";
    else if (!is_token(name, name_len) || !value || name < scan->at || value < name || value + value_len >= scan->end ||
             !only_nuls(scan->at, name, LINE_END) || has_control(trimmed))
        scan->bad = "malformed header";
    if (scan->bad)
        return MHD_NO;
    scan->at = value + value_len;
    x->headers[x->header_count].name = slice_of(name, name_len);
    x->headers[x->header_count++].value = slice_of(slice_cstr(x->mem, trimmed), trimmed.len);
    return MHD_YES;
}

const char *head_read(Exchange *x, const char *method, const char *version, int *out_status)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    HeaderScan scan = {.x = x};
    size_t lengths = 0, encodings = 0, hosts = 0, uri_len;

    if (!info || version < method)
        return "malformed request line";
    scan.end = method + info->header_size;
    scan.at = version + strlen(version);
    uri_len = x->raw_path.len + (x->raw_query.ptr ? x->raw_query.len + 1 : 0);
    if (x->uri_end < method || version != x->uri_end + 1 || !is_token(method, strlen(method)) ||
        method + strlen(method) + 1 + uri_len != x->uri_end)
        return "malformed request line"; /* a NUL or a space within method or path */
    MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, scan_header, &scan);
    if (x->header_count == REQUEST_HEADERS_MAX && scan.bad)
        *out_status = 431;
    if (scan.bad)
        return scan.bad;
    if (uri_len > REQUEST_URL_MAX_BYTES) {
        *out_status = 414;
        return "the path and query are too long";
    }
    if (!only_nuls(scan.at, scan.end, 2 * LINE_END))
        return "malformed header";
    for (size_t i = 0; i < x->header_count; i++) {
        if (slice_eq_nocase(x->headers[i].name, SLICE_LIT("content-length"))) {
            lengths++;
            if (!slice_to_uint64(x->headers[i].value, &x->content_length) || x->headers[i].value.ptr[0] == '+')
                return "malformed Content-Length";
        } else if (slice_eq_nocase(x->headers[i].name, SLICE_LIT("transfer-encoding"))) {
            encodings++;
            if (!slice_eq_nocase(x->headers[i].value, SLICE_LIT("chunked")))
                return "unknown Transfer-Encoding";
        } else if (slice_eq_nocase(x->headers[i].name, SLICE_LIT("host"))) {
            if (hosts++ > 0)
                return "ambiguous Host"; /* it chooses the profile */
            if (!is_host(x->headers[i].value))
                return "malformed Host";
        }
    }
    if (hosts == 0 && strcmp(version, "HTTP/1.0") != 0)
        return "no Host";
    if (lengths + encodings > 1)
        return "ambiguous length";
    x->chunked = encodings > 0;
    x->has_body = x->chunked || x->content_length > 0;
    return NULL;
}

/* --- looking up --------------------------------------------------------------------------------------------------- */
const char *exchange_header(const Exchange *x, const char *name)
{
    Slice wanted = slice(name);

    for (size_t i = 0; i < x->header_count; i++)
        if (slice_eq_nocase(x->headers[i].name, wanted))
            return x->headers[i].value.ptr;
    return NULL;
}

Slice exchange_header_joined(const Exchange *x, const char *name)
{
    Slice wanted = slice(name), first = {0};
    StrBuf joined;
    size_t count = 0;

    for (size_t i = 0; i < x->header_count; i++)
        if (slice_eq_nocase(x->headers[i].name, wanted) && count++ == 0)
            first = x->headers[i].value;
    if (count < 2)
        return first;
    joined = strbuf_new(x->mem, SIZE_MAX);
    for (size_t i = 0; i < x->header_count; i++) {
        if (!slice_eq_nocase(x->headers[i].name, wanted))
            continue;
        if (joined.len)
            strbuf_append_cstr(&joined, ", ");
        strbuf_append(&joined, x->headers[i].value);
    }
    return strbuf_slice(&joined);
}
