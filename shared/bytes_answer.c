/* bytes_answer: answers of the data plane. See bytes.h and bytes_internal.h. */
#include <sys/stat.h>
#include <unistd.h>

#include "shared/bytes_internal.h"
#include "shared/bytes_range.h"

enum { SMALL_FILE_BYTES = 32 * 1024 };

void answer_header(BytesExchange *x, const char *name, const char *value)
{
    BytesAnswer *a = &x->answer;

    assert(a->header_count < ANSWER_HEADERS_MAX);
    a->headers[a->header_count++] = (RequestHeader){name, value};
}

void answer_close_source(BytesExchange *x)
{
    BytesSource *s = &x->answer.source;

    if (!x->answer.has_source)
        return;
    x->answer.has_source = false;
    if (s->fd >= 0)
        close(s->fd);
    if (s->close)
        s->close(s->data);
}

/* False when it is answered already: a mistake of the handler. */
static bool start_answer(BytesExchange *x, int status)
{
    assert(!x->answer.made);
    if (x->answer.made)
        return false;
    x->answer.made = true;
    x->answer.status = status;
    return true;
}

static int success_status(const BytesExchange *x, int status)
{
    return x->rq.reply.http_status > 0 ? x->rq.reply.http_status : status;
}

Err bytes_answer(BytesExchange *x, int status, const char *content_type, Slice body)
{
    if (!start_answer(x, success_status(x, status)))
        return err_make(&INTERNAL, "answered twice");
    if (content_type)
        answer_header(x, "Content-Type", arena_strdup(x->rq.mem, content_type));
    x->answer.body = slice_of(arena_memdup(x->rq.mem, body.ptr, body.len), body.len);
    x->answer.length = (int64_t)body.len;
    return OK;
}

Err bytes_answer_empty(BytesExchange *x, int status)
{
    if (!start_answer(x, success_status(x, status)))
        return err_make(&INTERNAL, "answered twice");
    return OK;
}

/* --- contents ---------------------------------------------------------------------------------------------------- */
static RangeAnswer decide(BytesExchange *x, const BytesContent *content)
{
    const RangeRequest request = {.is_get = strcmp(x->method, "GET") == 0,
                                  .range = bytes_header(x, "range"),
                                  .if_range = bytes_header(x, "if-range"),
                                  .if_match = bytes_header(x, "if-match"),
                                  .if_none_match = bytes_header(x, "if-none-match"),
                                  .if_modified_since = bytes_header(x, "if-modified-since"),
                                  .if_unmodified_since = bytes_header(x, "if-unmodified-since")};
    const RangeEntity entity = {.has_size = content->size >= 0,
                                .size = content->size >= 0 ? (uint64_t)content->size : 0,
                                .etag = content->etag,
                                .modified_ms = content->modified_ms};

    return range_decide(&request, &entity);
}

/* What belongs to the entity whatever part of it is sent, 304 included. */
static void put_validators(BytesExchange *x, const BytesContent *content)
{
    Arena *mem = x->rq.mem;
    char date[HTTP_DATE_BYTES];

    if (content->etag)
        answer_header(x, "ETag", arena_printf(mem, "\"%s\"", content->etag));
    if (content->modified_ms) {
        http_date_format(content->modified_ms, date);
        answer_header(x, "Last-Modified", arena_strdup(mem, date));
    }
    answer_header(x, "Cache-Control",
                  content->cache_control ? arena_strdup(mem, content->cache_control) : "private, no-cache");
}

static void put_description(BytesExchange *x, const BytesContent *content)
{
    Arena *mem = x->rq.mem;

    answer_header(x, "Content-Type",
                  content->content_type ? arena_strdup(mem, content->content_type) : "application/octet-stream");
    /* What people uploaded is never guessed to be a page. */
    answer_header(x, "X-Content-Type-Options", "nosniff");
    if (content->size >= 0)
        answer_header(x, "Accept-Ranges", "bytes");
    if (content->disposition)
        answer_header(x, "Content-Disposition", arena_strdup(mem, content->disposition));
}

static Err refuse_range(BytesExchange *x, const BytesContent *content)
{
    request_set_header(&x->rq, "Content-Range", arena_printf(x->rq.mem, "bytes */%" PRId64, content->size));
    return err_make(&RANGE_NOT_SATISFIABLE, "there are %" PRId64 " bytes", content->size);
}

/* A few bytes of a file go out together with the head: one call of the kernel, and one waking of the client. */
static Err read_small_file(BytesExchange *x, size_t length)
{
    const BytesSource *source = &x->answer.source;
    char *bytes = arena_alloc_raw(x->rq.mem, length, 1);
    size_t at = 0;

    while (at < length) {
        ssize_t n = pread(source->fd, bytes + at, length - at, (off_t)(source->fd_offset + at));

        if (n < 0)
            return err_errno(&INTERNAL, "read");
        if (n == 0)
            return err_make(&INTERNAL, "%zu of %zu bytes are there", at, length);
        at += (size_t)n;
    }
    answer_close_source(x);
    x->answer.body = slice_of(bytes, length);
    x->answer.body_is_content = true;
    return OK;
}

static Err open_source(BytesExchange *x, const BytesContent *content, const RangeAnswer *range)
{
    BytesSource source = {.fd = -1};

    TRY(content->open(&x->rq, content->data, range->offset, range->length, &source));
    x->answer.source = source;
    x->answer.has_source = true;
    if (source.fd >= 0 && content->size >= 0 && range->length > 0 && range->length <= SMALL_FILE_BYTES)
        return read_small_file(x, (size_t)range->length);
    return OK;
}

Err bytes_answer_content(BytesExchange *x, const BytesContent *content)
{
    RangeAnswer range = decide(x, content);
    bool whole = range.status == 200, has_body = whole || range.status == 206;

    if (range.status == 412)
        return err_make(&PRECONDITION_FAILED, "it is not what was expected any more");
    if (range.status == 416)
        return refuse_range(x, content);
    if (x->answer.made)
        return err_make(&INTERNAL, "answered twice");
    if (has_body && !bytes_is_head(x))
        TRY(open_source(x, content, &range));
    (void)start_answer(x, whole ? success_status(x, range.status) : range.status); /* not yet, see above */
    put_validators(x, content);
    if (!has_body) {
        x->answer.length = content->size; /* what it would be: told, not sent */
        return OK;
    }
    put_description(x, content);
    x->answer.length = content->size < 0 ? BYTES_UNKNOWN : (int64_t)range.length;
    if (!whole)
        answer_header(x, "Content-Range",
                      arena_printf(x->rq.mem, "bytes %" PRIu64 "-%" PRIu64 "/%" PRId64, range.offset,
                                   range.offset + range.length - 1, content->size));
    return OK;
}

/* --- objects of the store ---------------------------------------------------------------------------------------- */
static Err read_blob(void *data, char *into, size_t len, size_t *out_len)
{
    return blob_reader_read(data, into, len, out_len);
}

static void close_blob(void *data)
{
    blob_reader_free(data);
}

static Err open_blob(Request *rq, void *data, uint64_t offset, uint64_t length, BytesSource *out)
{
    BlobReader **reader = data;
    int fd = blob_reader_fd(*reader);

    (void)rq;
    if (fd >= 0) {
        fd = dup(fd); /* by it alone the file is read, so the reader can go */
        if (fd < 0)
            return err_errno(&UNAVAILABLE, "dup");
        *out = (BytesSource){.fd = fd, .fd_offset = offset};
        return OK;
    }
    TRY(blob_reader_range(*reader, offset, length));
    *out = (BytesSource){.fd = -1, .read = read_blob, .close = close_blob, .data = MOVE(*reader)};
    return OK;
}

Err bytes_answer_blob(BytesExchange *x, BlobReader **reader, const BytesContent *as)
{
    CLEANUP(blob_reader_free_at) BlobReader *mine = MOVE(*reader);
    const BlobInfo *info = blob_reader_info(mine);
    BytesContent content = *as;

    content.size = (int64_t)info->size_bytes;
    content.open = open_blob;
    content.data = &mine;
    if (!content.etag && info->etag[0])
        content.etag = arena_strdup(x->rq.mem, info->etag);
    if (!content.modified_ms)
        content.modified_ms = info->modified_ms;
    return bytes_answer_content(x, &content);
}

/* --- names of files ---------------------------------------------------------------------------------------------- */
static bool is_token_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$&+-.^_`|~", c));
}

char *bytes_disposition(Arena *mem, bool attachment, Slice filename)
{
    StrBuf out = strbuf_new(mem, SIZE_MAX), plain = strbuf_new(mem, SIZE_MAX), full = strbuf_new(mem, SIZE_MAX);
    bool same = true;

    if (!utf8_valid(filename))
        filename = SLICE_LIT("");
    for (size_t i = 0; i < filename.len; i++) {
        unsigned char c = (unsigned char)filename.ptr[i];

        if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
            c = '_';
        if (is_token_char(c))
            strbuf_append_char(&full, (char)c);
        else
            strbuf_printf(&full, "%%%02X", c);
        /* Some decode percent signs in the plain form: it has none. */
        if (c >= 0x80 || c == '"' || c == '%') {
            same = false;
            if ((c & 0xC0) == 0x80) /* one sign for a letter of several bytes */
                continue;
            c = '_';
        }
        strbuf_append_char(&plain, (char)c);
    }
    strbuf_append_cstr(&out, attachment ? "attachment" : "inline");
    if (filename.len) {
        strbuf_append_cstr(&out, "; filename=\"");
        strbuf_append(&out, strbuf_slice(&plain));
        strbuf_append_char(&out, '"');
    }
    if (!same) {
        strbuf_append_cstr(&out, "; filename*=UTF-8''");
        strbuf_append(&out, strbuf_slice(&full));
    }
    return slice_cstr(mem, strbuf_slice(&out));
}
