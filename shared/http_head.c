/* http_head: see http_head.h. */
#include "shared/http_head.h"

#include "shared/strbuf.h"

/* --- reading ------------------------------------------------------------------------------------------------------ */
/* MHD parses headers in its buffer: names and values are pieces of the text as it came, ended by NULs that stand where
 * colon and line end were. What it got wrong shows as a gap: a NUL inside a value (it cuts there), a folded line, a
 * line that ends with CR or LF alone, or white space before a colon, with which two programs may read two different
 * lengths into one request. */
enum { LINE_END = 2 };

typedef struct HeaderScan {
    HttpHead *head;
    Arena *mem;
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
    HttpHead *head = scan->head;
    Slice trimmed = trim_value(slice_of(value, value_len));

    (void)kind;
    if (head->count == HTTP_HEAD_FIELDS_MAX)
        scan->bad = "too many headers";
    else if (!is_token(name, name_len) || !value || name < scan->at || value < name || value + value_len >= scan->end ||
             !only_nuls(scan->at, name, LINE_END) || has_control(trimmed))
        scan->bad = "malformed header";
    if (scan->bad)
        return MHD_NO;
    scan->at = value + value_len;
    head->fields[head->count].name = slice_of(name, name_len);
    head->fields[head->count++].value = slice_of(slice_cstr(scan->mem, trimmed), trimmed.len);
    return MHD_YES;
}

/* What the headers say about the body's length, to whom they speak, and for whom. */
static const char *read_lengths(HttpHead *head, const char *version)
{
    size_t lengths = 0, encodings = 0, hosts = 0, credentials = 0;

    for (size_t i = 0; i < head->count; i++) {
        const HttpField *field = &head->fields[i];

        if (slice_eq_nocase(field->name, SLICE_LIT("content-length"))) {
            lengths++;
            if (!slice_to_uint64(field->value, &head->content_length) || field->value.ptr[0] == '+')
                return "malformed Content-Length";
        } else if (slice_eq_nocase(field->name, SLICE_LIT("transfer-encoding"))) {
            encodings++;
            if (!slice_eq_nocase(field->value, SLICE_LIT("chunked")))
                return "unknown Transfer-Encoding";
        } else if (slice_eq_nocase(field->name, SLICE_LIT("host"))) {
            if (hosts++ > 0)
                return "ambiguous Host"; /* it chooses the profile */
            if (!is_host(field->value))
                return "malformed Host";
        } else if (slice_eq_nocase(field->name, SLICE_LIT("authorization")) && credentials++ > 0) {
            return "ambiguous Authorization"; /* what stands before us may have looked at the other */
        }
    }
    if (hosts == 0 && strcmp(version, "HTTP/1.0") != 0)
        return "no Host";
    if (lengths + encodings > 1)
        return "ambiguous length";
    head->chunked = encodings > 0;
    head->has_body = head->chunked || head->content_length > 0;
    return NULL;
}

const char *http_head_read(struct MHD_Connection *connection, const HttpLine *line, Arena *mem, HttpHead *out,
                           int *out_status)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    HeaderScan scan = {.head = out, .mem = mem};
    size_t method_len = strlen(line->method);

    *out = (HttpHead){.fields = out->fields};
    if (!info || line->version < line->method)
        return "malformed request line";
    scan.end = line->method + info->header_size;
    scan.at = line->version + strlen(line->version);
    if (line->uri_end < line->method || line->version != line->uri_end + 1 || !is_token(line->method, method_len) ||
        line->method + method_len + 1 + line->uri_len != line->uri_end)
        return "malformed request line"; /* a NUL or a space within method or path */
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, scan_header, &scan);
    if (out->count == HTTP_HEAD_FIELDS_MAX && scan.bad)
        *out_status = 431;
    if (scan.bad)
        return scan.bad;
    if (line->uri_len > HTTP_HEAD_URL_MAX_BYTES) {
        *out_status = 414;
        return "the path and query are too long";
    }
    if (!only_nuls(scan.at, scan.end, 2 * LINE_END))
        return "malformed header";
    return read_lengths(out, line->version);
}

/* --- looking up --------------------------------------------------------------------------------------------------- */
const char *http_head_get(const HttpField *fields, size_t count, const char *name)
{
    Slice wanted = slice(name);

    for (size_t i = 0; i < count; i++)
        if (slice_eq_nocase(fields[i].name, wanted))
            return fields[i].value.ptr;
    return NULL;
}

Slice http_head_joined(Arena *mem, const HttpField *fields, size_t count, const char *name)
{
    Slice wanted = slice(name), first = {0};
    StrBuf joined;
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        if (slice_eq_nocase(fields[i].name, wanted) && found++ == 0)
            first = fields[i].value;
    if (found < 2)
        return first;
    joined = strbuf_new(mem, SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!slice_eq_nocase(fields[i].name, wanted))
            continue;
        if (joined.len)
            strbuf_append_cstr(&joined, ", ");
        strbuf_append(&joined, fields[i].value);
    }
    return strbuf_slice(&joined);
}
