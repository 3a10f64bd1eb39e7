/* http_head: the request line and the headers of an HTTP request, as libmicrohttpd left them. What it lets pass, and
 * what two programs may read in two ways (two lengths, a length beside chunks, a NUL, a folded line, two hosts,
 * two credentials), is
 * refused here, before anything else looks at the request. For the gateway and the data plane. */
#pragma once
#include <microhttpd.h>

#include "shared/slice.h"

enum {
    HTTP_HEAD_FIELDS_MAX = 64,
    HTTP_HEAD_URL_MAX_BYTES = 8192, /* path and query; the connection's memory bounds them, too */
    HTTP_REQUEST_ID_MAX_BYTES = 128
};

typedef struct HttpField {
    Slice name, value; /* values trimmed, and C strings */
} HttpField;

typedef struct HttpHead {
    HttpField *fields; /* HTTP_HEAD_FIELDS_MAX places, the caller's */
    size_t count;
    bool has_body, chunked;
    uint64_t content_length;
} HttpHead;

/* Where the pieces of the request line stand: all in MHD's buffer. */
typedef struct HttpLine {
    const char *method, *version; /* as the access handler gets them */
    const char *uri_end;          /* of what the URI log callback got: the NUL */
    size_t uri_len;
} HttpLine;

/* Fills `out` but for `fields`. NULL when the head is well-formed and says one thing about the body's length; else what
 * is wrong; a status of its own (414, 431) is put into `out_status`, which is left alone otherwise: 400. */
const char *http_head_read(struct MHD_Connection *connection, const HttpLine *line, Arena *mem, HttpHead *out,
                           int *out_status) MUST_CHECK;

/* First value, NULL when absent; `name` in any case. A C string. */
const char *http_head_get(const HttpField *fields, size_t count, const char *name);
/* All values of a repeated header, joined by ", "; empty when absent. */
Slice http_head_joined(Arena *mem, const HttpField *fields, size_t count, const char *name);
