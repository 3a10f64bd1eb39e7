#include "shared/blob_s3.h"

#include "atrium/reasons.atrium.h"
#include "shared/id.h"
#include "shared/strbuf.h"

enum { PRESIGN_HEADERS = 5, URL_MAX_BYTES = 600 };
#define SHA256_META "x-amz-meta-sha256"

/* ---------------------------------------------------------------------------------------------------- objects */

static void copy_header(const S3Reply *reply, const char *name, char *out, size_t out_bytes)
{
    (void)snprintf(out, out_bytes, "%s", s3_header(reply, name));
}

static int64_t modified_ms(const S3Reply *reply)
{
    time_t t = curl_getdate(s3_header(reply, "last-modified"), NULL);

    return t < 0 ? 0 : (int64_t)t * 1000;
}

static Slice without_quotes(Slice etag)
{
    return etag.len >= 2 && etag.ptr[0] == '"' ? slice_take(slice_skip(etag, 1), etag.len - 2) : etag;
}

static Err read_info(const S3Reply *reply, BlobInfo *out)
{
    Slice etag = without_quotes(slice(s3_header(reply, "etag")));
    BlobInfo info = {.modified_ms = modified_ms(reply)};

    if (!slice_to_uint64(slice(s3_header(reply, "content-length")), &info.size_bytes) || !etag.len ||
        etag.len > BLOB_ETAG_MAX_BYTES)
        return err_make(&INTERNAL, "object store: an answer without length or ETag");
    (void)snprintf(info.etag, sizeof(info.etag), SLICE_FMT, SLICE_ARG(etag));
    copy_header(reply, "content-type", info.content_type, sizeof(info.content_type));
    if (!info.content_type[0])
        (void)snprintf(info.content_type, sizeof(info.content_type), "%s", BLOB_TYPE_FALLBACK);
    if (sha256_is_hex(slice(s3_header(reply, SHA256_META))))
        copy_header(reply, SHA256_META, info.sha256, sizeof(info.sha256));
    *out = info;
    return OK;
}

Err s3_stat(Blob *b, const char *key, BlobInfo *out)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    S3Reply reply;

    TRY(s3_call((S3 *)b, mem, &(S3Call){.method = "HEAD", .key = key}, &reply));
    return read_info(&reply, out);
}

static Err delete_one(Blob *b, const char *key)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    S3Reply reply;
    Err e = s3_call((S3 *)b, mem, &(S3Call){.method = "DELETE", .key = key}, &reply);

    return e.reason == &NOT_FOUND ? OK : e;
}

static Err delete_all(Blob *b, const BlobListItem *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(delete_one(b, items[i].key));
    return OK;
}

static Err is_absent(Blob *b, const char *key)
{
    BlobInfo info;
    Err e = s3_stat(b, key, &info);

    if (!err_failed(e))
        return err_make(&CONFLICT, "there is something under this key");
    return e.reason == &NOT_FOUND ? OK : e;
}

Err s3_made(const S3Reply *reply, const char *etag, const char *content_type, uint64_t size, BlobInfo *out)
{
    Slice plain = without_quotes(slice(etag));
    time_t made_s = curl_getdate(s3_header(reply, "date"), NULL);

    if (!plain.len || plain.len > BLOB_ETAG_MAX_BYTES)
        return err_make(&INTERNAL, "object store: an object was made without an ETag");
    *out = (BlobInfo){.size_bytes = size, .modified_ms = made_s < 0 ? 0 : (int64_t)made_s * 1000};
    (void)snprintf(out->etag, sizeof(out->etag), SLICE_FMT, SLICE_ARG(plain));
    (void)snprintf(out->content_type, sizeof(out->content_type), "%s", content_type);
    return OK;
}

/* Another try of ours may have put it, and its answer was lost. */
static Err was_it_us(S3 *s3, const char *key, const char *sha256, Err e, BlobInfo *out)
{
    BlobInfo info;

    TRY(s3_stat(&s3->base, key, &info));
    if (strcmp(info.sha256, sha256) != 0)
        return e;
    *out = info;
    return OK;
}

Err s3_put_whole(S3 *s3, const char *key, const char *content_type, const char *sha256, bool only_if_absent,
                 Slice bytes, BlobInfo *out)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    const SigV4Pair headers[] = {{"Content-Type", content_type}, {SHA256_META, sha256}, {"If-None-Match", "*"}};
    S3Reply reply;
    Err e;

    if (only_if_absent)
        TRY(is_absent(&s3->base, key)); /* for stores that do not know the condition */
    e = s3_call(s3, mem,
                &(S3Call){.method = "PUT",
                          .key = key,
                          .headers = headers,
                          .header_count = only_if_absent ? 3 : 2,
                          .body = bytes,
                          .body_sha256 = sha256},
                &reply);
    if (e.reason == &CONFLICT && reply.tries > 1)
        return was_it_us(s3, key, sha256, e, out);
    TRY(e);
    return s3_made(&reply, s3_header(&reply, "etag"), content_type, bytes.len, out);
}

/* S3 copies up to 5 GB in one request; what is larger goes through us. */
static Err copy(Blob *b, const char *from, const char *to, bool only_if_absent)
{
    S3 *s3 = (S3 *)b;
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    const uint64_t max_bytes = (uint64_t)5 << 30;
    SigV4Pair headers[] = {{"x-amz-copy-source", NULL}};
    BlobInfo info;
    S3Reply reply;

    TRY(s3_stat(b, from, &info));
    if (only_if_absent)
        TRY(is_absent(b, to));
    if (info.size_bytes > max_bytes) {
        BlobPut put = {
            .key = to, .content_type = info.content_type, .length = info.size_bytes, .only_if_absent = only_if_absent};
        return blob_concat(b, &put, &from, 1, &info);
    }
    headers[0].value = sigv4_path(mem, arena_printf(mem, "/%s/%s", s3->bucket, from));
    TRY(s3_call(s3, mem, &(S3Call){.method = "PUT", .key = to, .headers = headers, .header_count = 1}, &reply));
    /* A copy that fails late answers 200 with an error inside. */
    return slice_find(reply.body, SLICE_LIT("<Error")) >= 0 ? s3_error(500, reply.body) : OK;
}

Err s3_list_page(S3 *s3, Arena *mem, const char *prefix, const char *after, size_t max, S3Xml *out)
{
    const SigV4Pair query[] = {
        {"list-type", "2"}, {"max-keys", arena_printf(mem, "%zu", max)}, {"prefix", prefix}, {"start-after", after}};
    S3Reply reply;

    TRY(s3_call(s3, mem, &(S3Call){.method = "GET", .query = query, .query_count = after[0] ? 4 : 3}, &reply));
    return s3_xml_parse(mem, reply.body, "Contents", out) ? OK
                                                          : err_make(&INTERNAL, "object store: a list that is none");
}

static bool is_truncated(const S3Xml *page)
{
    return page->count > 0 && !strcmp(s3_xml_get(&page->top, "IsTruncated"), "true");
}

/* Keys of others in the bucket, and those of uploads, are left out: a page may need several of the store's. */
static Err list(Blob *b, Arena *mem, const char *prefix, const char *after, size_t limit, BlobList *out)
{
    BlobListItem *items = ARENA_ARRAY(mem, BlobListItem, limit + 1);
    size_t count = 0;
    S3Xml page = {.count = 0};

    do {
        TRY(s3_list_page((S3 *)b, mem, prefix, after, MIN(limit + 1, (size_t)S3_XML_ROWS_MAX), &page));
        for (size_t i = 0; i < page.count && count <= limit; i++) {
            after = s3_xml_get(&page.rows[i], "Key");
            if (blob_key_valid(slice(after)))
                items[count++] = (BlobListItem){after, s3_xml_number(&page.rows[i], "Size"),
                                                s3_xml_time_ms(&page.rows[i], "LastModified")};
        }
    } while (count <= limit && is_truncated(&page));
    *out = (BlobList){items, MIN(count, limit), count > limit ? items[limit - 1].key : NULL};
    return OK;
}

/* The first bytes of an object, or all of a smaller one. */
Err s3_get_head(S3 *s3, Arena *mem, const char *key, size_t max_bytes, S3Reply *out)
{
    const SigV4Pair headers[] = {{"Range", arena_printf(mem, "bytes=0-%zu", max_bytes - 1)}};

    return s3_call(s3, mem, &(S3Call){.method = "GET", .key = key, .headers = headers, .header_count = 1}, out);
}

/* ---------------------------------------------------------------------------------------------------- writers */

typedef struct S3Writer {
    BlobWriter base; /* first */
    S3Part part;
    size_t part_bytes;
    uint64_t parts;
    char upload_id[1025]; /* "" until the first part is full */
} S3Writer;

static Err writer_new(Blob *b, const BlobPut *put, BlobWriter **out)
{
    uint64_t part_bytes = s3_part_bytes(put->length, put->max_bytes);
    S3Writer *w;

    (void)b;
    if (!part_bytes)
        return err_make(&PAYLOAD_TOO_LARGE, "more than the object store takes");
    w = xcalloc(1, sizeof(*w));
    w->part_bytes = (size_t)part_bytes;
    *out = &w->base;
    return OK;
}

static Err put_part(S3Writer *w)
{
    S3 *s3 = (S3 *)w->base.store;

    if (w->parts == BLOB_PARTS_MAX)
        return err_make(&PAYLOAD_TOO_LARGE, "more than the object store takes");
    if (!w->upload_id[0])
        TRY(s3_multipart_begin(s3, w->base.put.key, w->base.put.content_type, w->upload_id, sizeof(w->upload_id)));
    TRY(s3_multipart_put(s3, w->base.put.key, w->upload_id, w->parts + 1, slice_of(w->part.bytes, w->part.len)));
    w->parts++;
    w->part.len = 0;
    return OK;
}

/* A full part waits for the next byte: what is exactly one part is put whole. */
static Err writer_write(BlobWriter *base, Slice piece)
{
    S3Writer *w = (S3Writer *)base;

    while (piece.len) {
        if (w->part.len == w->part_bytes)
            TRY(put_part(w));
        piece = slice_skip(piece, s3_part_add(&w->part, piece, w->part_bytes));
    }
    return OK;
}

static Err writer_commit(BlobWriter *base, const char *sha256, BlobInfo *out)
{
    S3Writer *w = (S3Writer *)base;
    S3 *s3 = (S3 *)base->store;
    const char *key = base->put.key;

    if (!w->parts) {
        TRY(s3_put_whole(s3, key, base->put.content_type, sha256, base->put.only_if_absent,
                         slice_of(w->part.bytes, w->part.len), out));
    } else {
        if (w->part.len)
            TRY(put_part(w));
        TRY(s3_multipart_end(s3, key, w->upload_id, w->parts, base->written, base->put.only_if_absent,
                             base->put.content_type, out));
        w->upload_id[0] = '\0';
    }
    (void)snprintf(out->sha256, sizeof(out->sha256), "%s", sha256);
    return OK;
}

static void writer_free(BlobWriter *base)
{
    S3Writer *w = (S3Writer *)base;

    if (w->upload_id[0])
        err_ignore(s3_multipart_abort((S3 *)base->store, base->put.key, w->upload_id)); /* else the sweep takes it */
    free(w->part.bytes);
    free(w);
}

/* ---------------------------------------------------------------------------------------------------- readers */

typedef struct S3Reader {
    BlobReader base; /* first */
    S3Stream *stream;
} S3Reader;

static Err reader_new(Blob *b, const char *key, BlobReader **out)
{
    S3Reader *r;
    BlobInfo info;

    TRY(s3_stat(b, key, &info));
    r = xcalloc(1, sizeof(*r));
    r->base.info = info;
    *out = &r->base;
    return OK;
}

static void reader_range(BlobReader *base)
{
    S3Reader *r = (S3Reader *)base;

    s3_stream_free(r->stream);
    r->stream = NULL;
}

static Err reader_read(BlobReader *base, void *bytes, size_t max_bytes, size_t *out_len)
{
    S3Reader *r = (S3Reader *)base;

    if (!r->stream)
        r->stream = s3_stream_new((S3 *)base->store, base->key, base->info.etag, base->at, base->end - base->at);
    return s3_stream_read(r->stream, bytes, max_bytes, out_len);
}

static void reader_free(BlobReader *base)
{
    s3_stream_free(((S3Reader *)base)->stream);
    free(base);
}

/* ---------------------------------------------------------------------------------------------------- presigned URLs
 */

static void add_pair(SigV4Pair *pairs, size_t *count, const char *name, const char *value)
{
    pairs[(*count)++] = (SigV4Pair){name, value};
}

/* Signed headers become what the client must send; Host and Content-Length it sends by itself. */
static void sign_url(const S3 *s3, Arena *mem, SigV4Request *r, const char *key, const SigV4Pair *headers, size_t count,
                     int64_t expires_s, BlobSigned *out)
{
    const SigV4Key signing = {s3->access_key, s3->secret_key, s3->region, "s3"};
    BlobHeader *send = ARENA_ARRAY(mem, BlobHeader, count);
    size_t send_count = 0;

    r->path = arena_printf(mem, "/%s/%s", s3->bucket, key);
    r->headers = headers;
    r->header_count = count;
    r->payload_sha256 = SIGV4_UNSIGNED;
    r->unix_s = clock_unix_ms(s3->base.clock) / 1000;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(headers[i].name, "Host") != 0 && strcmp(headers[i].name, "Content-Length") != 0)
            send[send_count++] = (BlobHeader){headers[i].name, headers[i].value};
    }
    *out = (BlobSigned){arena_printf(mem, "%s%s?%s", s3->public_url, sigv4_path(mem, r->path),
                                     sigv4_presign(mem, &signing, r, expires_s)),
                        send, send_count};
}

static void add_content(Arena *mem, SigV4Pair *headers, size_t *count, uint64_t length, const char *sha256)
{
    Slice digest;

    if (length != BLOB_UNKNOWN)
        add_pair(headers, count, "Content-Length", arena_printf(mem, "%" PRIu64, length));
    if (sha256 && hex_decode(mem, slice(sha256), &digest))
        add_pair(headers, count, "x-amz-checksum-sha256", base64_encode(mem, digest));
}

static Err presign(Blob *b, Arena *mem, const BlobPresign *what, BlobSigned *out)
{
    const S3 *s3 = (const S3 *)b;
    SigV4Pair *headers = ARENA_ARRAY(mem, SigV4Pair, PRESIGN_HEADERS), query[2];
    size_t count = 0, queries = 0;
    SigV4Request r = {.method = what->method, .query = query};

    add_pair(headers, &count, "Host", s3->public_host);
    if (!strcmp(what->method, "PUT")) {
        if (what->content_type && what->content_type[0])
            add_pair(headers, &count, "Content-Type", arena_strdup(mem, what->content_type));
        add_content(mem, headers, &count, what->length, what->sha256);
        if (what->only_if_absent)
            add_pair(headers, &count, "If-None-Match", "*");
    } else {
        if (what->response_disposition)
            add_pair(query, &queries, "response-content-disposition", what->response_disposition);
        if (what->response_type)
            add_pair(query, &queries, "response-content-type", what->response_type);
    }
    r.query_count = queries;
    sign_url(s3, mem, &r, what->key, headers, count, what->expires_s, out);
    return OK;
}

static Err presign_part(Blob *b, Arena *mem, const char *id, int number, uint64_t length, const char *sha256,
                        int64_t expires_s, BlobSigned *out)
{
    S3 *s3 = (S3 *)b;
    SigV4Pair *headers = ARENA_ARRAY(mem, SigV4Pair, PRESIGN_HEADERS);
    SigV4Pair query[] = {{"partNumber", arena_printf(mem, "%d", number)}, {"uploadId", NULL}};
    SigV4Request r = {.method = "PUT", .query = query, .query_count = 2};
    const char *key;
    size_t count = 0;

    TRY(s3_upload_for_parts(s3, mem, id, &key, &query[1].value));
    add_pair(headers, &count, "Host", s3->public_host);
    add_content(mem, headers, &count, length, sha256);
    sign_url(s3, mem, &r, key, headers, count, expires_s, out);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- the store */

static Err check(Blob *b)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    const SigV4Pair query[] = {{"list-type", "2"}, {"max-keys", "1"}};
    S3Reply reply;

    return s3_call((S3 *)b, mem,
                   &(S3Call){.method = "GET", .query = query, .query_count = 2, .tries = 1, .timeout_ms = S3_CHECK_MS},
                   &reply);
}

static void stop(Blob *b)
{
    atomic_store(&((S3 *)b)->stopped, true);
}

static void close_store(Blob *b)
{
    S3 *s3 = (S3 *)b;

    s3_connections_free(s3);
    (void)pthread_mutex_destroy(&s3->lock);
    free(s3->url);
    free(s3->host);
    free(s3->public_url);
    free(s3->public_host);
    free(s3->access_key);
    free(s3->secret_key);
    free(s3->bucket);
    free(s3->region);
    free(s3);
}

static const BlobDriver S3_DRIVER = {
    .name = "s3",
    .presigns = true,
    .check = check,
    .stop = stop,
    .close = close_store,
    .stat = s3_stat,
    .delete = delete_one,
    .copy = copy,
    .list = list,
    .delete_all = delete_all,
    .writer_new = writer_new,
    .writer_write = writer_write,
    .writer_commit = writer_commit,
    .writer_free = writer_free,
    .reader_new = reader_new,
    .reader_range = reader_range,
    .reader_read = reader_read,
    .reader_free = reader_free,
    .upload_create = s3_upload_create,
    .upload_stat = s3_upload_stat,
    .upload_open = s3_upload_open,
    .upload_append = s3_upload_append,
    .upload_flush = s3_upload_flush,
    .upload_rollback = s3_upload_rollback,
    .upload_complete = s3_upload_complete,
    .upload_free = s3_upload_free,
    .upload_forget = s3_upload_forget,
    .upload_list = s3_upload_list,
    .sweep = s3_sweep,
    .presign = presign,
    .presign_part = presign_part,
    .upload_parts = s3_upload_parts,
    .complete_parts = s3_complete_parts,
};

/* "host:port", or "http(s)://host:port"; a path is none of S3's. */
static bool split_endpoint(const char *endpoint, bool tls, Slice *out_scheme, Slice *out_host)
{
    Slice all = slice(endpoint);

    *out_scheme = tls ? SLICE_LIT("https://") : SLICE_LIT("http://");
    if (slice_starts_with(all, SLICE_LIT("http://")))
        *out_scheme = SLICE_LIT("http://");
    else if (slice_starts_with(all, SLICE_LIT("https://")))
        *out_scheme = SLICE_LIT("https://");
    else
        *out_host = all;
    if (slice_starts_with(all, *out_scheme))
        *out_host = slice_skip(all, out_scheme->len);
    if (!out_host->len || out_host->len > URL_MAX_BYTES)
        return false;
    for (size_t i = 0; i < out_host->len; i++) {
        char c = out_host->ptr[i];
        if (c <= ' ' || c >= 0x7f || strchr("/?#@\\\"<>", c))
            return false;
    }
    return true;
}

/* The port that goes without saying is not in Host, as clients leave it out. */
static Slice without_default_port(Slice scheme, Slice host)
{
    Slice port = scheme.len == sizeof("https://") - 1 ? SLICE_LIT(":443") : SLICE_LIT(":80");

    return slice_ends_with(host, port) ? slice_take(host, host.len - port.len) : host;
}

static bool set_endpoint(const char *endpoint, bool tls, char **out_url, char **out_host)
{
    char url[URL_MAX_BYTES + 16];
    Slice scheme, host;

    if (!split_endpoint(endpoint, tls, &scheme, &host))
        return false;
    host = without_default_port(scheme, host);
    (void)snprintf(url, sizeof(url), SLICE_FMT SLICE_FMT, SLICE_ARG(scheme), SLICE_ARG(host));
    *out_url = xstrdup(url);
    *out_host = xstrdup(url + scheme.len);
    return true;
}

static bool is_bucket(const char *name)
{
    size_t len = strlen(name);

    return len >= 3 && len <= 63 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_ABCDEFGHIJKLMNOPQRSTUVWXYZ") == len;
}

static bool is_set(const char *text)
{
    return text && text[0];
}

Err blob_s3_check_options(const BlobOptions *o)
{
    Slice scheme, host;

    if (!is_set(o->s3_endpoint) || !split_endpoint(o->s3_endpoint, o->s3_use_ssl, &scheme, &host))
        return err_make(&INVALID_ARGUMENT, "S3_ENDPOINT: host:port");
    if (is_set(o->s3_public_endpoint) && !split_endpoint(o->s3_public_endpoint, o->s3_use_ssl, &scheme, &host))
        return err_make(&INVALID_ARGUMENT, "S3_PUBLIC_ENDPOINT: host:port, or http(s)://host:port without a path");
    if (!is_set(o->s3_access_key) || !is_set(o->s3_secret_key))
        return err_make(&INVALID_ARGUMENT, "S3_ACCESS_KEY, S3_SECRET_KEY: needed with BLOB_DRIVER=s3");
    if (!o->s3_bucket || !is_bucket(o->s3_bucket))
        return err_make(&INVALID_ARGUMENT, "S3_BUCKET: 3 to 63 letters, digits, dots, hyphens");
    if (!is_set(o->s3_region))
        return err_make(&INVALID_ARGUMENT, "S3_REGION: needed with BLOB_DRIVER=s3");
    return OK;
}

static void start_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort(); /* for want of memory only */
}

Err blob_s3_open(const BlobOptions *o, Blob **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    S3 *s3 = xcalloc(1, sizeof(*s3));
    const char *public = is_set(o->s3_public_endpoint) ? o->s3_public_endpoint : o->s3_endpoint;

    (void)pthread_once(&once, start_curl);
    (void)pthread_mutex_init(&s3->lock, NULL); /* cannot fail with default attributes */
    s3->base.driver = &S3_DRIVER;
    s3->access_key = xstrdup(o->s3_access_key);
    s3->secret_key = xstrdup(o->s3_secret_key);
    s3->bucket = xstrdup(o->s3_bucket);
    s3->region = xstrdup(o->s3_region);
    if (!set_endpoint(o->s3_endpoint, o->s3_use_ssl, &s3->url, &s3->host) ||
        !set_endpoint(public, o->s3_use_ssl, &s3->public_url, &s3->public_host)) {
        close_store(&s3->base);
        return err_make(&INVALID_ARGUMENT, "S3_ENDPOINT, S3_PUBLIC_ENDPOINT: host:port");
    }
    *out = &s3->base;
    return OK;
}
