/* head: see head.h. */
#include "services/gateway/head.h"

const char *head_read(Exchange *x, const char *method, const char *version, int *out_status)
{
    const HttpLine line = {.method = method,
                           .version = version,
                           .uri_end = x->uri_end,
                           .uri_len = x->raw_path.len + (x->raw_query.ptr ? x->raw_query.len + 1 : 0)};
    HttpHead head = {.fields = x->headers};
    const char *bad = http_head_read(x->connection, &line, x->mem, &head, out_status);

    x->header_count = head.count;
    x->content_length = head.content_length;
    x->chunked = head.chunked;
    x->has_body = head.has_body;
    x->expects = slice_eq_nocase(exchange_header_joined(x, "expect"), SLICE_LIT("100-continue"));
    return bad;
}

const char *exchange_header(const Exchange *x, const char *name)
{
    return http_head_get(x->headers, x->header_count, name);
}

Slice exchange_header_joined(const Exchange *x, const char *name)
{
    return http_head_joined(x->mem, x->headers, x->header_count, name);
}
