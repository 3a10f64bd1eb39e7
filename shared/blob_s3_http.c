/* The transport of the driver `s3`: requests signed by sigv4 over libcurl. Every transfer runs in a loop of ours, so
 * that it ends when nothing moves or the store is stopped. */
#include <errno.h>

#include "atrium/reasons.atrium.h"
#include "shared/blob_s3.h"
#include "shared/id.h"
#include "shared/strbuf.h"

/* ---------------------------------------------------------------------------------------------------- connections */

static S3Connection take_connection(S3 *s3)
{
    S3Connection c = {NULL, NULL};

    (void)pthread_mutex_lock(&s3->lock);
    if (s3->idle_count)
        c = s3->idle[--s3->idle_count];
    (void)pthread_mutex_unlock(&s3->lock);
    if (!c.easy)
        c = (S3Connection){curl_multi_init(), curl_easy_init()};
    if (!c.easy || !c.multi)
        abort(); /* for want of memory only */
    return c;
}

static void free_connection(S3Connection c)
{
    curl_easy_cleanup(c.easy);
    (void)curl_multi_cleanup(c.multi);
}

/* A transfer that is not at its end loses its connection by that, the others keep it. */
static void give_connection_back(S3 *s3, S3Connection c)
{
    bool kept = false;

    (void)curl_multi_remove_handle(c.multi, c.easy);
    curl_easy_reset(c.easy);
    (void)pthread_mutex_lock(&s3->lock);
    if (s3->idle_count < S3_CONNECTIONS_IDLE) {
        s3->idle[s3->idle_count++] = c;
        kept = true;
    }
    (void)pthread_mutex_unlock(&s3->lock);
    if (!kept)
        free_connection(c);
}

void s3_connections_free(S3 *s3)
{
    while (s3->idle_count)
        free_connection(s3->idle[--s3->idle_count]);
}

/* ---------------------------------------------------------------------------------------------------- one transfer */

typedef struct Transfer {
    S3 *s3;
    Arena *mem;
    S3Connection connection;
    struct curl_slist *lines;
    int status;
    SigV4Pair *headers;
    size_t header_count, header_bytes;
    StrBuf body; /* of an answer that is no stream: error texts of a stream, too */
    S3Stream *stream;
    bool too_large;
    /* What drive() knows. */
    bool done;
    CURLcode result;
    int64_t moved_ms, deadline_ms;
    curl_off_t moved;
} Transfer;

static const char *lower_case(Arena *mem, Slice text)
{
    char *copy = slice_cstr(mem, text);

    for (char *c = copy; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c |= 0x20;
    }
    return copy;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *data)
{
    Transfer *t = data;
    Slice line = slice_of(bytes, size * count), name, value;

    t->header_bytes += line.len;
    if (t->header_bytes > S3_REPLY_HEADERS_MAX_BYTES) {
        t->too_large = true;
        return 0;
    }
    if (slice_starts_with(line, SLICE_LIT("HTTP/"))) { /* a 100 came before: start again */
        t->header_count = 0;
        return line.len;
    }
    if (slice_cut(line, ':', &name, &value) && t->header_count < S3_REPLY_HEADERS_MAX)
        t->headers[t->header_count++] =
            (SigV4Pair){lower_case(t->mem, slice_trim(name)), slice_cstr(t->mem, slice_trim(value))};
    return line.len;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    Transfer *t = data;

    strbuf_append(&t->body, slice_of(bytes, size * count));
    if (!t->body.overflow)
        return size * count;
    t->too_large = true;
    return 0;
}

static void add_line(Transfer *t, const char *line)
{
    struct curl_slist *longer = curl_slist_append(t->lines, line);

    if (!longer)
        abort(); /* for want of memory only */
    t->lines = longer;
}

static const char *path_of(const S3 *s3, Arena *mem, const char *key)
{
    return key ? arena_printf(mem, "/%s/%s", s3->bucket, key) : arena_printf(mem, "/%s", s3->bucket);
}

/* Sets headers, signature and URL. */
static void sign_call(Transfer *t, const S3Call *call)
{
    const S3 *s3 = t->s3;
    SigV4Pair headers[3 + 8];
    char date[SIGV4_DATE_BYTES], sha256[SHA256_HEX_BYTES];
    int64_t now_s = clock_unix_ms(s3->base.clock) / 1000;
    const char *path = path_of(s3, t->mem, call->key), *query = sigv4_query(t->mem, call->query, call->query_count);
    const SigV4Key key = {s3->access_key, s3->secret_key, s3->region, "s3"};
    size_t count = 0;

    if (!call->body_sha256)
        sha256_hex_of(call->body, sha256);
    sigv4_date(now_s, date);
    headers[count++] = (SigV4Pair){"Host", s3->host};
    headers[count++] = (SigV4Pair){"x-amz-date", date};
    headers[count++] = (SigV4Pair){"x-amz-content-sha256", call->body_sha256 ? call->body_sha256 : sha256};
    assert(call->header_count <= 8);
    for (size_t i = 0; i < call->header_count; i++)
        headers[count++] = call->headers[i];
    for (size_t i = 0; i < count; i++)
        add_line(t, arena_printf(t->mem, "%s: %s", headers[i].name, headers[i].value));
    add_line(t, arena_printf(t->mem, "Authorization: %s",
                             sigv4_authorization(t->mem, &key,
                                                 &(SigV4Request){.method = call->method,
                                                                 .path = path,
                                                                 .query = call->query,
                                                                 .query_count = call->query_count,
                                                                 .headers = headers,
                                                                 .header_count = count,
                                                                 .payload_sha256 = headers[2].value,
                                                                 .unix_s = now_s})));
    (void)curl_easy_setopt(
        t->connection.easy, CURLOPT_URL,
        arena_printf(t->mem, "%s%s%s%s", s3->url, sigv4_path(t->mem, path), query[0] ? "?" : "", query));
}

static void set_method(CURL *easy, const S3Call *call)
{
    bool body = !strcmp(call->method, "PUT") || !strcmp(call->method, "POST");

    if (!strcmp(call->method, "HEAD")) {
        (void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (body) {
        (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.len ? call->body.ptr : "");
    }
    (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

static void begin_transfer(Transfer *t, const S3Call *call)
{
    CURL *easy;
    int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);

    t->connection = take_connection(t->s3);
    easy = t->connection.easy;
    t->headers = ARENA_ARRAY(t->mem, SigV4Pair, S3_REPLY_HEADERS_MAX);
    t->body = strbuf_new(t->mem, S3_REPLY_MAX_BYTES + BLOB_RECORD_MAX_BYTES + S3_PART_MAX_BYTES);
    t->moved_ms = now_ms;
    t->deadline_ms = call->timeout_ms ? now_ms + call->timeout_ms : INT64_MAX;
    /* What libcurl would add by itself, and is not signed. */
    add_line(t, "Expect:");
    add_line(t, "Accept:");
    if (!call->header_count || strcmp(call->headers[0].name, "Content-Type") != 0)
        add_line(t, "Content-Type:");
    sign_call(t, call);
    set_method(easy, call);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)S3_CONNECT_MS);
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 128L * 1024);
    (void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->lines);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    (void)curl_multi_add_handle(t->connection.multi, easy);
}

static void end_transfer(Transfer *t)
{
    if (t->connection.easy)
        give_connection_back(t->s3, t->connection);
    curl_slist_free_all(t->lines);
    *t = (Transfer){.s3 = t->s3};
}

static bool has_moved(Transfer *t)
{
    curl_off_t up = 0, down = 0;

    (void)curl_easy_getinfo(t->connection.easy, CURLINFO_SIZE_UPLOAD_T, &up);
    (void)curl_easy_getinfo(t->connection.easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    if (up + down == t->moved)
        return false;
    t->moved = up + down;
    return true;
}

static void look_for_end(Transfer *t)
{
    int left;
    const CURLMsg *m;

    while ((m = curl_multi_info_read(t->connection.multi, &left))) {
        if (m->msg == CURLMSG_DONE) {
            t->done = true;
            t->result = m->data.result;
        }
    }
    if (t->done) {
        long status = 0;
        (void)curl_easy_getinfo(t->connection.easy, CURLINFO_RESPONSE_CODE, &status);
        t->status = (int)status;
    }
}

/* One turn: what can move does, else it waits for that a moment. UNAVAILABLE: stopped, late, or nothing moved for long.
 */
static Err drive(Transfer *t)
{
    int running = 0;
    int64_t now_ms;

    (void)curl_multi_perform(t->connection.multi, &running);
    look_for_end(t);
    now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    if (has_moved(t))
        t->moved_ms = now_ms;
    if (t->done)
        return OK;
    if (atomic_load(&t->s3->stopped))
        return err_make(&UNAVAILABLE, "object store: we are stopping");
    if (now_ms - t->moved_ms > BLOB_STALL_MS || now_ms > t->deadline_ms)
        return err_make(&UNAVAILABLE, "object store: no answer in time");
    return OK;
}

static void wait_for_more(Transfer *t)
{
    (void)curl_multi_poll(t->connection.multi, NULL, 0, S3_POLL_MS, NULL);
}

/* After the end of a transfer. */
static Err transfer_error(const Transfer *t)
{
    if (t->too_large)
        return err_make(&INTERNAL, "object store: its answer is too large");
    if (t->result != CURLE_OK)
        return err_make(&UNAVAILABLE, "object store: %s", curl_easy_strerror(t->result));
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- errors */

static const struct {
    const char *code;
    const Reason *reason;
} CODES[] = {
    {"NoSuchKey", &NOT_FOUND},
    {"NoSuchUpload", &NOT_FOUND},
    {"PreconditionFailed", &CONFLICT},
    {"ConditionalRequestConflict", &CONFLICT},
    {"InvalidPart", &INVALID_BODY},
    {"InvalidPartOrder", &INVALID_BODY},
    {"EntityTooSmall", &INVALID_BODY},
    {"QuotaExceeded", &INSUFFICIENT_STORAGE},
    {"XMinioStorageFull", &INSUFFICIENT_STORAGE},
    {"InternalError", &UNAVAILABLE},
    {"SlowDown", &UNAVAILABLE},
    {"ServiceUnavailable", &UNAVAILABLE},
    {"RequestTimeout", &UNAVAILABLE},
    {"OperationAborted", &UNAVAILABLE},
    {"XAmzContentSHA256Mismatch", &UNAVAILABLE}, /* damaged on the way: the same again */
};

static const Reason *reason_of_status(int status)
{
    if (status == 404)
        return &NOT_FOUND;
    if (status == 412)
        return &CONFLICT;
    if (status == 507)
        return &INSUFFICIENT_STORAGE;
    return status >= 500 || status == 429 || status == 408 ? &UNAVAILABLE : &INTERNAL;
}

Err s3_error(int status, Slice body)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    S3Xml xml;
    const char *code = "";

    if (body.len && s3_xml_parse(mem, body, NULL, &xml))
        code = s3_xml_get(&xml.top, "Code");
    for (size_t i = 0; i < ARRAY_LEN(CODES); i++) {
        if (!strcmp(code, CODES[i].code))
            return err_make(CODES[i].reason, "object store: %s", code);
    }
    if (code[0] && status == 404) /* NoSuchBucket: ours to mend */
        return err_make(&INTERNAL, "object store: 404 %.60s", code);
    return err_make(reason_of_status(status), "object store: %d %.60s", status, code);
}

/* ---------------------------------------------------------------------------------------------------- calls */

static Err try_call(S3 *s3, Arena *mem, const S3Call *call, S3Reply *out)
{
    Transfer t = {.s3 = s3, .mem = mem};
    Err e = OK;
    bool late = false;

    begin_transfer(&t, call);
    while (!t.done && !late) {
        e = drive(&t);
        late = err_failed(e);
        if (!t.done && !late)
            wait_for_more(&t);
    }
    if (!late)
        e = transfer_error(&t);
    out->status = t.status;
    out->headers = t.headers;
    out->header_count = t.header_count;
    out->body = strbuf_slice(&t.body);
    if (!err_failed(e) && (t.status < 200 || t.status > 299))
        e = s3_error(t.status, out->body);
    end_transfer(&t);
    return e;
}

/* Full jitter; false when the store is stopped. */
static bool back_off(const S3 *s3, int tries)
{
    int64_t left_ms = (int64_t)(random_uint64() % (uint64_t)(S3_BACKOFF_FIRST_MS << tries)) + S3_BACKOFF_FIRST_MS / 2;

    while (left_ms > 0 && !atomic_load(&s3->stopped)) {
        int64_t step_ms = MIN(left_ms, S3_POLL_MS);
        (void)nanosleep(&(struct timespec){.tv_nsec = step_ms * 1000000}, NULL);
        left_ms -= step_ms;
    }
    return !atomic_load(&s3->stopped);
}

Err s3_call(S3 *s3, Arena *mem, const S3Call *call, S3Reply *out)
{
    int tries = call->tries ? call->tries : S3_TRIES;
    Err e;

    for (int i = 1;; i++) {
        *out = (S3Reply){.tries = i};
        e = try_call(s3, mem, call, out);
        if (e.reason != &UNAVAILABLE || i == tries || !back_off(s3, i))
            return e;
    }
}

const char *s3_header(const S3Reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; i++) {
        if (!strcmp(reply->headers[i].name, name))
            return reply->headers[i].value;
    }
    return "";
}

/* ---------------------------------------------------------------------------------------------------- streams */

struct S3Stream {
    S3 *s3;
    Arena *mem; /* of the transfer that runs */
    Transfer transfer;
    bool begun, paused;
    char *key, *etag;
    uint64_t at, end;
    int failures; /* since bytes came last */
    size_t have, taken;
    char bytes[S3_READ_BUFFER_BYTES];
};

S3Stream *s3_stream_new(S3 *s3, const char *key, const char *etag, uint64_t offset, uint64_t length)
{
    S3Stream *s = xmalloc(sizeof(*s));

    memset(s, 0, offsetof(S3Stream, bytes));
    s->s3 = s3;
    s->mem = arena_new(16 * 1024);
    s->transfer.s3 = s3;
    s->key = xstrdup(key);
    s->etag = xstrdup(etag);
    s->at = offset;
    s->end = offset + length;
    return s;
}

/* Into the buffer when it has room, else libcurl keeps the piece until it is asked again. An error's text is kept
 * apart. */
static size_t take_stream(char *bytes, size_t size, size_t count, void *data)
{
    S3Stream *s = data;
    size_t len = size * count;
    long status = 0;

    (void)curl_easy_getinfo(s->transfer.connection.easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 206)
        return take_body(bytes, size, count, &s->transfer);
    if (len > sizeof(s->bytes) - s->have) {
        s->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    memcpy(s->bytes + s->have, bytes, len);
    s->have += len;
    return len;
}

static void begin_stream(S3Stream *s)
{
    const SigV4Pair headers[] = {
        {"Range", arena_printf(s->mem, "bytes=%" PRIu64 "-%" PRIu64, s->at, s->end - 1)},
        {"If-Match", arena_printf(s->mem, "\"%s\"", s->etag)},
    };

    s->transfer = (Transfer){.s3 = s->s3, .mem = s->mem, .stream = s};
    begin_transfer(&s->transfer, &(S3Call){.method = "GET", .key = s->key, .headers = headers, .header_count = 2});
    (void)curl_easy_setopt(s->transfer.connection.easy, CURLOPT_WRITEFUNCTION, take_stream);
    (void)curl_easy_setopt(s->transfer.connection.easy, CURLOPT_WRITEDATA, s);
    s->begun = true;
    s->paused = false;
    s->have = s->taken = 0;
}

static void end_stream(S3Stream *s)
{
    end_transfer(&s->transfer);
    arena_reset(s->mem);
    s->begun = false;
}

/* Until there are bytes, or the transfer is at its end. */
static Err fill(S3Stream *s)
{
    Transfer *t = &s->transfer;

    s->have = s->taken = 0;
    t->moved_ms = clock_monotonic_ms(&SYSTEM_CLOCK); /* the time that the reader took is not the store's */
    if (s->paused) {
        s->paused = false;
        (void)curl_easy_pause(t->connection.easy, CURLPAUSE_CONT);
    }
    while (!s->have) {
        if (t->done)
            return OK;
        TRY(drive(t));
        if (!s->have && !t->done)
            wait_for_more(t);
    }
    return OK;
}

/* Why there are no bytes. */
static Err stream_error(const S3Stream *s)
{
    const Transfer *t = &s->transfer;

    TRY(transfer_error(t));
    if (t->status == 412)
        return err_make(&NOT_FOUND, "object: replaced meanwhile");
    if (t->status != 206)
        return t->status >= 200 && t->status < 300 ? err_make(&INTERNAL, "object store: ranges are not honoured")
                                                   : s3_error(t->status, strbuf_slice(&t->body));
    return err_make(&UNAVAILABLE, "object store: the transfer broke off");
}

Err s3_stream_read(S3Stream *s, void *bytes, size_t max_bytes, size_t *out_len)
{
    while (s->taken == s->have) {
        Err e;
        if (!s->begun)
            begin_stream(s);
        e = fill(s);
        if (s->have)
            break;
        if (!err_failed(e))
            e = stream_error(s);
        end_stream(s);
        if (e.reason != &UNAVAILABLE || ++s->failures == S3_TRIES || !back_off(s->s3, s->failures))
            return e;
    }
    s->failures = 0;
    *out_len = MIN(max_bytes, s->have - s->taken);
    memcpy(bytes, s->bytes + s->taken, *out_len);
    s->taken += *out_len;
    s->at += *out_len;
    return OK;
}

void s3_stream_free(S3Stream *s)
{
    if (!s)
        return;
    end_transfer(&s->transfer);
    arena_free(s->mem);
    free(s->key);
    free(s->etag);
    free(s);
}
