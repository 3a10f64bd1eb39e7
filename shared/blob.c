#include "shared/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atrium/reasons.atrium.h"
#include "shared/blob_internal.h"
#include "shared/id.h"

/* ---------------------------------------------------------------------------------------------------- what callers say
 */

static bool has_controls(Slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    }
    return false;
}

static bool segment_is_valid(Slice s)
{
    return s.len > 0 && s.len <= BLOB_SEGMENT_MAX_BYTES && !slice_eq_cstr(s, ".") && !slice_eq_cstr(s, "..");
}

bool blob_key_valid(Slice key)
{
    Slice rest = key, segment;
    int count = 0;
    bool more = true;

    if (key.len == 0 || key.len > BLOB_KEY_MAX_BYTES || key.ptr[0] == '.')
        return false;
    if (has_controls(key) || !utf8_valid(key))
        return false;
    while (more) {
        more = slice_cut(rest, '/', &segment, &rest);
        if (!segment_is_valid(segment) || ++count > BLOB_SEGMENTS_MAX)
            return false;
    }
    return true;
}

static Err check_key(const char *key)
{
    return key && blob_key_valid(slice(key)) ? OK : err_make(&INVALID_ARGUMENT, "key of an object: not a valid one");
}

/* "" is all; else what valid keys can begin with. */
static Err check_prefix(const char *prefix)
{
    Slice p = slice(prefix);

    if (p.len > BLOB_KEY_MAX_BYTES || has_controls(p) || (p.len && (p.ptr[0] == '.' || p.ptr[0] == '/')))
        return err_make(&INVALID_ARGUMENT, "prefix of objects: not a valid one");
    return OK;
}

static Err check_type(const char *type)
{
    Slice t = slice(type);

    if (t.len > BLOB_TYPE_MAX_BYTES || has_controls(t) || !utf8_valid(t))
        return err_make(&INVALID_ARGUMENT, "content type: up to %d characters", BLOB_TYPE_MAX_BYTES);
    return OK;
}

static Err check_sha256(const char *sha256)
{
    return !sha256 || sha256_is_hex(slice(sha256)) ? OK
                                                   : err_make(&INVALID_ARGUMENT, "sha256: 64 digits of lower-case hex");
}

static Err check_limit(size_t limit)
{
    return limit >= 1 && limit <= BLOB_LIST_MAX ? OK : err_make(&INVALID_ARGUMENT, "limit: 1 to %d", BLOB_LIST_MAX);
}

static bool is_s3(const BlobOptions *o)
{
    return !strcmp(o->driver, "s3");
}

Err blob_options_check(const BlobOptions *options)
{
    if (is_s3(options))
        return blob_s3_check_options(options);
    if (strcmp(options->driver, "fs") != 0)
        return err_make(&INVALID_ARGUMENT, "BLOB_DRIVER: \"%.20s\" is none of fs, s3", options->driver);
    if (!options->dir || !options->dir[0])
        return err_make(&INVALID_ARGUMENT, "BLOB_DIR: needed with BLOB_DRIVER=fs");
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- the store */

Err blob_open(const BlobOptions *options, Blob **out)
{
    Blob *b = NULL;

    TRY(blob_options_check(options));
    TRY(is_s3(options) ? blob_s3_open(options, &b) : blob_fs_open(options, &b));
    b->clock = options->clock ? options->clock : &SYSTEM_CLOCK;
    b->log = options->log;
    *out = b;
    return OK;
}

void blob_close(Blob *b)
{
    if (b)
        b->driver->close(b);
}

void blob_stop(Blob *b)
{
    if (b->driver->stop)
        b->driver->stop(b);
}

Err blob_check(Blob *b)
{
    return b->driver->check(b);
}

bool blob_presigns(const Blob *b)
{
    return b->driver->presigns;
}

Err blob_stat(Blob *b, const char *key, BlobInfo *out)
{
    TRY(check_key(key));
    return b->driver->stat(b, key, out);
}

Err blob_delete(Blob *b, const char *key)
{
    TRY(check_key(key));
    return b->driver->delete (b, key);
}

Err blob_copy(Blob *b, const char *from, const char *to, bool only_if_absent)
{
    TRY(check_key(from));
    TRY(check_key(to));
    if (!strcmp(from, to))
        return err_make(&INVALID_ARGUMENT, "copy: onto itself");
    return b->driver->copy(b, from, to, only_if_absent);
}

Err blob_list(Blob *b, Arena *mem, const char *prefix, const char *after, size_t limit, BlobList *out)
{
    TRY(check_prefix(prefix));
    TRY(check_limit(limit));
    return b->driver->list(b, mem, prefix, after ? after : "", limit, out);
}

Err blob_delete_prefix(Blob *b, const char *prefix, size_t limit, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(64 * 1024);
    BlobList found;

    if (!slice_ends_with(slice(prefix), SLICE_LIT("/")))
        return err_make(&INVALID_ARGUMENT, "prefix of objects: ends with a slash");
    TRY(blob_list(b, mem, prefix, NULL, limit, &found));
    TRY(b->driver->delete_all(b, found.items, found.count));
    *out_more = found.next != NULL;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- putting */

/* What a writer or an upload may become. */
static Err check_room(uint64_t have, size_t more, uint64_t max_bytes)
{
    return more <= max_bytes - have ? OK : err_make(&PAYLOAD_TOO_LARGE, "more than %" PRIu64 " bytes", max_bytes);
}

static Err check_sum(const char *wanted, const char *got)
{
    return !wanted || !strcmp(wanted, got) ? OK
                                           : err_make(&CHECKSUM_MISMATCH, "the content is not what its SHA-256 says");
}

static Err check_length(uint64_t wanted, uint64_t got)
{
    if (wanted == BLOB_UNKNOWN || wanted == got)
        return OK;
    return err_make(&INVALID_BODY, "%" PRIu64 " bytes came, not %" PRIu64, got, wanted);
}

static char *copy_text(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

static void free_put(BlobPut *put)
{
    free((char *)put->key);
    free((char *)put->content_type);
    free((char *)put->sha256);
}

static const char *type_or_fallback(const char *type)
{
    return type && type[0] ? type : BLOB_TYPE_FALLBACK;
}

Err blob_writer_new(Blob *b, const BlobPut *put, BlobWriter **out)
{
    uint64_t max_bytes = put->max_bytes ? put->max_bytes : UINT64_MAX - 1;
    BlobWriter *w = NULL;

    TRY(check_key(put->key));
    TRY(check_type(put->content_type));
    TRY(check_sha256(put->sha256));
    if (put->length != BLOB_UNKNOWN) {
        TRY(check_room(0, put->length, max_bytes));
        max_bytes = put->length;
    }
    TRY(b->driver->writer_new(b, put, &w));
    w->store = b;
    w->put = (BlobPut){.key = xstrdup(put->key),
                       .content_type = xstrdup(type_or_fallback(put->content_type)),
                       .length = put->length,
                       .max_bytes = max_bytes,
                       .sha256 = copy_text(put->sha256),
                       .only_if_absent = put->only_if_absent};
    sha256_init(&w->sha);
    *out = w;
    return OK;
}

Err blob_writer_write(BlobWriter *w, Slice piece)
{
    Err e;

    assert(!w->failed && !w->committed);
    TRY(check_room(w->written, piece.len, w->put.max_bytes));
    e = w->store->driver->writer_write(w, piece);
    if (err_failed(e)) {
        w->failed = true;
        return e;
    }
    sha256_update(&w->sha, piece);
    w->written += piece.len;
    return OK;
}

uint64_t blob_writer_written(const BlobWriter *w)
{
    return w->written;
}

Err blob_writer_commit(BlobWriter *w, BlobInfo *out)
{
    char sha256[SHA256_HEX_BYTES];

    assert(!w->failed && !w->committed);
    TRY(check_length(w->put.length, w->written));
    sha256_hex(&w->sha, sha256);
    TRY(check_sum(w->put.sha256, sha256));
    w->committed = true;
    return w->store->driver->writer_commit(w, sha256, out);
}

void blob_writer_free(BlobWriter *w)
{
    BlobPut put;

    if (!w)
        return;
    put = w->put; /* the driver may need its key to clean up */
    w->store->driver->writer_free(w);
    free_put(&put);
}

Err blob_put_bytes(Blob *b, const BlobPut *put, Slice bytes, BlobInfo *out)
{
    CLEANUP(blob_writer_free_at) BlobWriter *w = NULL;
    BlobPut whole = *put;

    whole.length = bytes.len;
    whole.max_bytes = 0;
    TRY(blob_writer_new(b, &whole, &w));
    TRY(blob_writer_write(w, bytes));
    return blob_writer_commit(w, out);
}

static void close_at(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static void free_at(char **bytes)
{
    free(*bytes);
}

static Err write_from_file(BlobWriter *w, int fd)
{
    CLEANUP(free_at) char *bytes = xmalloc(BLOB_COPY_BYTES);

    for (;;) {
        ssize_t got = read(fd, bytes, BLOB_COPY_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(&UNAVAILABLE, "read local file");
        if (got == 0)
            return OK;
        TRY(blob_writer_write(w, slice_of(bytes, (size_t)got)));
    }
}

Err blob_put_file(Blob *b, const BlobPut *put, const char *path, BlobInfo *out)
{
    CLEANUP(close_at) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    CLEANUP(blob_writer_free_at) BlobWriter *w = NULL;
    BlobPut whole = *put;
    struct stat st;

    if (fd < 0)
        return err_errno(errno == ENOENT ? &NOT_FOUND : &UNAVAILABLE, "open local file");
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return err_make(&INVALID_ARGUMENT, "local file: not a regular one");
    TRY(check_length(put->length, (uint64_t)st.st_size));
    whole.length = (uint64_t)st.st_size;
    TRY(blob_writer_new(b, &whole, &w));
    TRY(write_from_file(w, fd));
    return blob_writer_commit(w, out);
}

static Err write_from_object(BlobWriter *w, const char *key, char *bytes)
{
    CLEANUP(blob_reader_free_at) BlobReader *r = NULL;
    size_t len;

    TRY(blob_reader_new(w->store, key, &r));
    for (;;) {
        TRY(blob_reader_read(r, bytes, BLOB_COPY_BYTES, &len));
        if (len == 0)
            return OK;
        TRY(blob_writer_write(w, slice_of(bytes, len)));
    }
}

Err blob_concat(Blob *b, const BlobPut *put, const char *const *from, size_t count, BlobInfo *out)
{
    CLEANUP(free_at) char *bytes = xmalloc(BLOB_COPY_BYTES);
    CLEANUP(blob_writer_free_at) BlobWriter *w = NULL;

    if (count < 1 || count > BLOB_CONCAT_MAX)
        return err_make(&INVALID_ARGUMENT, "concatenation: of 1 to %d objects", BLOB_CONCAT_MAX);
    TRY(blob_writer_new(b, put, &w));
    for (size_t i = 0; i < count; i++)
        TRY(write_from_object(w, from[i], bytes));
    return blob_writer_commit(w, out);
}

/* ---------------------------------------------------------------------------------------------------- getting */

Err blob_reader_new(Blob *b, const char *key, BlobReader **out)
{
    BlobReader *r = NULL;

    TRY(check_key(key));
    TRY(b->driver->reader_new(b, key, &r));
    r->store = b;
    r->key = xstrdup(key);
    r->at = 0;
    r->end = r->info.size_bytes;
    *out = r;
    return OK;
}

const BlobInfo *blob_reader_info(const BlobReader *r)
{
    return &r->info;
}

Err blob_reader_range(BlobReader *r, uint64_t offset, uint64_t length)
{
    uint64_t size = r->info.size_bytes;

    if (offset > size || (length != BLOB_TO_END && length > size - offset))
        return err_make(&INVALID_ARGUMENT, "range: beyond the %" PRIu64 " bytes of the object", size);
    r->at = offset;
    r->end = length == BLOB_TO_END ? size : offset + length;
    if (r->store->driver->reader_range)
        r->store->driver->reader_range(r);
    return OK;
}

Err blob_reader_read(BlobReader *r, void *bytes, size_t max_bytes, size_t *out_len)
{
    size_t want = (size_t)MIN((uint64_t)max_bytes, r->end - r->at), len = 0;

    if (want > 0) {
        TRY(r->store->driver->reader_read(r, bytes, want, &len));
        r->at += len;
    }
    *out_len = len;
    return OK;
}

int blob_reader_fd(const BlobReader *r)
{
    return r->store->driver->reader_fd ? r->store->driver->reader_fd(r) : -1;
}

void blob_reader_free(BlobReader *r)
{
    if (!r)
        return;
    free(r->key);
    r->store->driver->reader_free(r);
}

Err blob_get_bytes(Blob *b, Arena *mem, const char *key, size_t max_bytes, Slice *out, BlobInfo *info)
{
    CLEANUP(blob_reader_free_at) BlobReader *r = NULL;
    size_t have = 0, len = 1;
    char *bytes;

    TRY(blob_reader_new(b, key, &r));
    if (r->info.size_bytes > max_bytes)
        return err_make(&PAYLOAD_TOO_LARGE, "object: more than %zu bytes", max_bytes);
    bytes = arena_alloc_raw(mem, (size_t)r->info.size_bytes + 1, 1);
    while (len > 0) {
        TRY(blob_reader_read(r, bytes + have, (size_t)r->info.size_bytes - have, &len));
        have += len;
    }
    *out = slice_of(bytes, have);
    if (info)
        *info = r->info;
    return OK;
}

static Err write_all(int fd, Slice bytes)
{
    while (bytes.len) {
        ssize_t put = write(fd, bytes.ptr, bytes.len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_errno(errno == ENOSPC || errno == EDQUOT ? &INSUFFICIENT_STORAGE : &UNAVAILABLE,
                             "write local file");
        bytes = slice_skip(bytes, (size_t)put);
    }
    return OK;
}

/* The kernel copies, or shares the blocks, where both are files; `r` moves on by what it took. */
static void copy_in_kernel(BlobReader *r, int fd)
{
    int from = blob_reader_fd(r);
    off64_t at = (off64_t)r->at;
    ssize_t got = from < 0 ? 0 : 1;

    while (got > 0 && r->at < r->end) {
        got = copy_file_range(from, &at, fd, NULL, (size_t)MIN(r->end - r->at, (uint64_t)1 << 30), 0);
        r->at = (uint64_t)at;
    }
}

static Err copy_to_file(BlobReader *r, int fd)
{
    CLEANUP(free_at) char *bytes = xmalloc(BLOB_COPY_BYTES);
    size_t len;

    copy_in_kernel(r, fd); /* all, some or nothing: the rest is done by hand */
    for (;;) {
        TRY(blob_reader_read(r, bytes, BLOB_COPY_BYTES, &len));
        if (len == 0)
            return OK;
        TRY(write_all(fd, slice_of(bytes, len)));
    }
}

Err blob_get_file(Blob *b, const char *key, const char *path, BlobInfo *info)
{
    CLEANUP(blob_reader_free_at) BlobReader *r = NULL;
    Err e;
    int fd;

    TRY(blob_reader_new(b, key, &r));
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(errno == EEXIST ? &CONFLICT : &UNAVAILABLE, "make local file");
    e = copy_to_file(r, fd);
    if (close(fd) && !err_failed(e))
        e = err_errno(&UNAVAILABLE, "close local file");
    if (err_failed(e))
        (void)unlink(path);
    else if (info)
        *info = r->info;
    return e;
}

/* ---------------------------------------------------------------------------------------------------- resumable
 * uploads */

void blob_state_format(const Blob *b, const char *id, char out[BLOB_STATE_BYTES])
{
    (void)snprintf(out, BLOB_STATE_BYTES, "%s.%s", b->driver->name, id); /* 36 characters */
}

/* `id` is NUL-terminated, borrowed from `state`. */
static Err parse_state(const Blob *b, const char *state, const char **out_id)
{
    Slice name, id;

    if (!slice_cut(slice(state), '.', &name, &id) || id.len != BLOB_UPLOAD_ID_BYTES - 1)
        return err_make(&INVALID_ARGUMENT, "upload: no state text");
    if (!slice_eq_cstr(name, b->driver->name))
        return err_make(&INVALID_ARGUMENT, "upload: begun with another BLOB_DRIVER");
    for (size_t i = 0; i < id.len; i++) {
        if (!strchr("0123456789abcdef", id.ptr[i]))
            return err_make(&INVALID_ARGUMENT, "upload: no state text");
    }
    *out_id = id.ptr;
    return OK;
}

Err blob_upload_create(Blob *b, const BlobUploadOptions *options, char out_state[BLOB_STATE_BYTES])
{
    BlobRecord r = {.max_bytes = options->max_bytes ? options->max_bytes : UINT64_MAX - 1};
    char id[BLOB_UPLOAD_ID_BYTES];

    TRY(check_key(options->key));
    TRY(check_type(options->content_type));
    if (options->length != BLOB_UNKNOWN) {
        TRY(check_room(0, options->length, r.max_bytes));
        r.max_bytes = options->length;
    }
    (void)snprintf(r.key, sizeof(r.key), "%s", options->key);
    (void)snprintf(r.content_type, sizeof(r.content_type), "%s", type_or_fallback(options->content_type));
    r.created_ms = (uint64_t)clock_unix_ms(b->clock);
    sha256_init(&r.sha);
    (void)snprintf(id, sizeof(id), "%016" PRIx64 "%016" PRIx64, random_uint64(), random_uint64());
    TRY(b->driver->upload_create(b, id, options->length, &r));
    blob_state_format(b, id, out_state);
    return OK;
}

Err blob_upload_stat(Blob *b, const char *state, BlobUploadStat *out)
{
    const char *id;

    TRY(parse_state(b, state, &id));
    return b->driver->upload_stat(b, id, out);
}

Err blob_upload_open(Blob *b, const char *state, BlobUpload **out)
{
    BlobUpload *u = NULL;
    const char *id;

    TRY(parse_state(b, state, &id));
    TRY(b->driver->upload_open(b, id, &u));
    u->sha = u->durable.sha;
    u->offset = u->durable.offset;
    *out = u;
    return OK;
}

uint64_t blob_upload_offset(const BlobUpload *u)
{
    return u->offset;
}

static Err keep_failure(BlobUpload *u, Err e)
{
    if (err_failed(e))
        u->failed = true;
    return e;
}

Err blob_upload_append(BlobUpload *u, Slice piece)
{
    assert(!u->failed);
    if (u->complete)
        return err_make(&CONFLICT, "upload: complete");
    TRY(check_room(u->offset, piece.len, u->durable.max_bytes));
    TRY(keep_failure(u, u->store->driver->upload_append(u, piece)));
    sha256_update(&u->sha, piece);
    u->offset += piece.len;
    if (!u->held && u->offset - u->durable.offset >= BLOB_CHECKPOINT_BYTES)
        return blob_upload_flush(u);
    return OK;
}

Err blob_upload_flush(BlobUpload *u)
{
    assert(!u->failed);
    if (u->offset != u->durable.offset) {
        TRY(keep_failure(u, u->store->driver->upload_flush(u)));
        u->durable.offset = u->offset;
        u->durable.sha = u->sha;
    }
    u->held = false;
    return OK;
}

Err blob_upload_hold(BlobUpload *u)
{
    TRY(blob_upload_flush(u));
    u->held = true;
    return OK;
}

Err blob_upload_rollback(BlobUpload *u)
{
    assert(!u->failed);
    if (u->offset != u->durable.offset)
        TRY(keep_failure(u, u->store->driver->upload_rollback(u)));
    u->offset = u->durable.offset;
    u->sha = u->durable.sha;
    u->held = false;
    return OK;
}

Err blob_upload_complete(BlobUpload *u, uint64_t length, const char *sha256, bool only_if_absent, BlobInfo *out)
{
    char got[SHA256_HEX_BYTES];

    assert(!u->failed);
    TRY(check_sha256(sha256));
    TRY(blob_upload_flush(u));
    TRY(check_length(length, u->offset));
    sha256_hex(&u->sha, got);
    TRY(check_sum(sha256, got));
    TRY(u->store->driver->upload_complete(u, got, only_if_absent, out));
    u->complete = true;
    return OK;
}

void blob_upload_free(BlobUpload *u)
{
    if (u)
        u->store->driver->upload_free(u);
}

Err blob_upload_forget(Blob *b, const char *state)
{
    const char *id;

    TRY(parse_state(b, state, &id));
    return b->driver->upload_forget(b, id);
}

Err blob_upload_list_stale(Blob *b, Arena *mem, int64_t before_ms, const char *after, size_t limit, BlobStale **out,
                           size_t *out_count)
{
    const char *after_id = "";

    TRY(check_limit(limit));
    if (after && after[0])
        TRY(parse_state(b, after, &after_id));
    return b->driver->upload_list(b, mem, before_ms, after_id, limit, out, out_count);
}

Err blob_sweep(Blob *b, int64_t before_ms, size_t *out_count)
{
    size_t count = 0;
    Err e = b->driver->sweep(b, before_ms, &count);

    if (out_count)
        *out_count = count;
    return e;
}

/* ---------------------------------------------------------------------------------------------------- presigned URLs
 */

static Err check_presigning(const Blob *b, int64_t expires_s)
{
    if (!b->driver->presigns)
        return err_make(&UNIMPLEMENTED, "presigned URLs: not with BLOB_DRIVER=%s", b->driver->name);
    if (expires_s < 1 || expires_s > BLOB_PRESIGN_MAX_S)
        return err_make(&INVALID_ARGUMENT, "presigned URL: expires in 1 to %d seconds", BLOB_PRESIGN_MAX_S);
    return OK;
}

Err blob_presign(Blob *b, Arena *mem, const BlobPresign *what, BlobSigned *out)
{
    TRY(check_presigning(b, what->expires_s));
    TRY(check_key(what->key));
    TRY(check_type(what->content_type));
    TRY(check_type(what->response_type));
    TRY(check_sha256(what->sha256));
    if (strcmp(what->method, "GET") != 0 && strcmp(what->method, "HEAD") != 0 && strcmp(what->method, "PUT") != 0)
        return err_make(&INVALID_ARGUMENT, "presigned URL: for GET, HEAD or PUT");
    if (has_controls(slice(what->response_disposition)))
        return err_make(&INVALID_ARGUMENT, "content disposition: control characters");
    return b->driver->presign(b, mem, what, out);
}

Err blob_presign_part(Blob *b, Arena *mem, const char *state, int number, uint64_t length, const char *sha256,
                      int64_t expires_s, BlobSigned *out)
{
    const char *id;

    TRY(check_presigning(b, expires_s));
    TRY(parse_state(b, state, &id));
    TRY(check_sha256(sha256));
    if (number < 1 || number > BLOB_PARTS_MAX)
        return err_make(&INVALID_ARGUMENT, "part: 1 to %d", BLOB_PARTS_MAX);
    return b->driver->presign_part(b, mem, id, number, length, sha256, expires_s, out);
}

Err blob_upload_parts(Blob *b, Arena *mem, const char *state, BlobPart **out, size_t *out_count)
{
    const char *id;

    TRY(check_presigning(b, 1));
    TRY(parse_state(b, state, &id));
    return b->driver->upload_parts(b, mem, id, out, out_count);
}

Err blob_upload_complete_parts(Blob *b, const char *state, const BlobPart *parts, size_t count, BlobInfo *out)
{
    const char *id;

    TRY(check_presigning(b, 1));
    TRY(parse_state(b, state, &id));
    if (count < 1 || count > BLOB_PARTS_MAX)
        return err_make(&INVALID_BODY, "parts: 1 to %d", BLOB_PARTS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].number < 1 || parts[i].number > BLOB_PARTS_MAX || (i && parts[i].number <= parts[i - 1].number))
            return err_make(&INVALID_BODY, "parts: in ascending order, 1 to %d", BLOB_PARTS_MAX);
    }
    return b->driver->complete_parts(b, id, parts, count, out);
}
