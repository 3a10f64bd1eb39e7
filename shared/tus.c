#include "shared/tus.h"

#include <openssl/evp.h>

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"

#define TUS_VERSION "1.0.0"
#define TUS_EXTENSIONS                                                                                                 \
    "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation"
#define TUS_CONTENT_TYPE "application/offset+octet-stream"
enum { LOCK_POLL_MS = 25, HTTP_DATE_BYTES = 32, HTTP_LOCKED = 423, HTTP_CHECKSUM_MISMATCH = 460 };

/* What one request does with one upload: bytes_state() of its exchange. */
typedef struct Sitting {
    const TusRules *rules;
    TusUpload upload;
    bool taken;       /* it is ours alone, by the rules */
    BlobUpload *blob; /* NULL: nothing is written (any more) */
    bool creates;
    TusChecksum checksum;
    EVP_MD_CTX *digest; /* NULL: no checksum was sent */
} Sitting;

/* ---------------------------------------------------------------------------------------- answers */

static void set_number(Request *rq, const char *name, uint64_t value)
{
    request_set_header(rq, name, arena_printf(rq->mem, "%" PRIu64, value));
}

static Err refuse(BytesExchange *x, int status, const char *why)
{
    return bytes_answer(x, status, "text/plain; charset=utf-8",
                        slice(arena_printf(bytes_request(x)->mem, "%s\n", why)));
}

/* Upload-Expires, in HTTP's form of dates; not of what does not expire any more. */
static void set_expiry(Request *rq, const TusUpload *u)
{
    char text[HTTP_DATE_BYTES];
    time_t seconds = (time_t)(u->expires_ms / 1000);
    struct tm tm;

    if (!u->complete && gmtime_r(&seconds, &tm) &&
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm)) /* the C locale: nobody sets another */
        request_set_header(rq, "Upload-Expires", text);
}

/* ---------------------------------------------------------------------------------------- one writer at a time */

static void leave(BytesExchange *x, Sitting *s)
{
    if (s->taken)
        s->rules->leave(x, &s->upload);
    s->taken = false;
}

static Err try_to_take(BytesExchange *x, Sitting *s, bool opens)
{
    Blob *blob = s->rules->blob(bytes_request(x));
    Err e;

    TRY(s->rules->take(x, &s->upload));
    s->taken = true;
    /* What the store knows is looked at only now: before, somebody else might have changed it. */
    e = opens ? blob_upload_open(blob, s->upload.state, &s->blob) : blob_upload_forget(blob, s->upload.state);
    if (err_failed(e))
        leave(x, s);
    return e;
}

/* Until nobody else has the upload, TUS_LOCK_WAIT_MS at most: a client that lost its connection comes back before its
 * last request has ended here. Opens it, or forgets what the store has of it. */
static Err wait_for_upload(BytesExchange *x, Sitting *s, bool opens)
{
    const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000};
    const Clock *clock = bytes_request(x)->clock;
    int64_t until_ms = clock_monotonic_ms(clock) + TUS_LOCK_WAIT_MS;

    while (true) {
        Err e = try_to_take(x, s, opens);

        if (e.reason != &CONFLICT || clock_monotonic_ms(clock) >= until_ms || bytes_is_cut(x))
            return e;
        nanosleep(&pause, NULL);
    }
}

static void end_sitting(BytesExchange *x, Sitting *s)
{
    blob_upload_free(MOVE(s->blob));
    EVP_MD_CTX_free(MOVE(s->digest));
    leave(x, s);
}

/* All bytes are durable. What the store still has of the upload goes, once the service has taken the object over. */
static Err complete(BytesExchange *x, Sitting *s)
{
    TRY(s->rules->complete(x, &s->upload, s->blob));
    s->upload.complete = true;
    blob_upload_free(MOVE(s->blob));
    /* It is an object already: what stays behind is collected later. */
    err_ignore(blob_upload_forget(s->rules->blob(bytes_request(x)), s->upload.state));
    end_sitting(x, s);
    return OK;
}

/* ---------------------------------------------------------------------------------------- appending */

static Err begin_checksum(Sitting *s)
{
    if (!s->checksum.algorithm)
        return OK;
    s->digest = EVP_MD_CTX_new();
    if (!s->digest || !EVP_DigestInit_ex(s->digest, EVP_get_digestbyname(s->checksum.algorithm), NULL))
        return err_make(&INTERNAL, "no %s", s->checksum.algorithm);
    return blob_upload_hold(s->blob);
}

static bool checksum_matches(const Sitting *s)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    return EVP_DigestFinal_ex(s->digest, digest, &len) && len == s->checksum.len &&
           memcmp(digest, s->checksum.digest, len) == 0;
}

static uint64_t most_bytes(BytesExchange *x, const Sitting *s)
{
    return s->upload.length == TUS_UNKNOWN ? s->rules->max_bytes(bytes_request(x)) : s->upload.length;
}

/* The sitting is open, at the offset that the client says. */
static Err begin_body(BytesExchange *x, Sitting *s)
{
    bytes_limit_body(x, most_bytes(x, s) - blob_upload_offset(s->blob));
    return begin_checksum(s);
}

Err tus_data(BytesExchange *x, Slice piece)
{
    Sitting *s = bytes_state(x);
    uint64_t up_to = blob_upload_offset(s->blob) + piece.len;

    TRY(s->rules->check(x, &s->upload));
    if (up_to > s->upload.granted)
        TRY(s->rules->grant(x, &s->upload, up_to));
    if (s->digest && !EVP_DigestUpdate(s->digest, piece.ptr, piece.len))
        return err_make(&INTERNAL, "no %s", s->checksum.algorithm);
    return blob_upload_append(s->blob, piece);
}

Err tus_end(BytesExchange *x)
{
    Sitting *s = bytes_state(x);
    Request *rq = bytes_request(x);
    uint64_t offset;
    Err e;

    if (s->digest && !checksum_matches(s)) {
        TRY(blob_upload_rollback(s->blob));
        end_sitting(x, s);
        return refuse(x, HTTP_CHECKSUM_MISMATCH, "the bytes are not what Upload-Checksum says");
    }
    TRY(s->rules->check(x, &s->upload));
    TRY(blob_upload_flush(s->blob));
    offset = blob_upload_offset(s->blob);
    if (offset == s->upload.length) {
        e = complete(x, s);
        if (e.reason == &CHECKSUM_MISMATCH)
            return refuse(x, HTTP_CHECKSUM_MISMATCH, e.text);
        TRY(e);
    } else {
        TRY(s->rules->touch(x, &s->upload, offset));
        end_sitting(x, s);
    }
    set_number(rq, "Upload-Offset", offset);
    set_expiry(rq, &s->upload);
    return bytes_answer_empty(x, s->creates ? 201 : 204);
}

/* A client that left has what came so far, unless its checksum has to vouch for it. */
void tus_done(BytesExchange *x)
{
    Sitting *s = bytes_state(x);

    if (!s)
        return;
    if (s->blob && s->digest)
        err_ignore(blob_upload_rollback(s->blob)); /* the next one finds what is durable */
    else if (s->blob && !err_failed(s->rules->check(x, &s->upload)) && !err_failed(blob_upload_flush(s->blob)))
        err_ignore(s->rules->touch(x, &s->upload, blob_upload_offset(s->blob))); /* it then expires earlier */
    end_sitting(x, s);
}

/* ---------------------------------------------------------------------------------------- POST: creation */

/* The parts of a final upload. `*out_why` says what is wrong with them. */
static Err find_parts(BytesExchange *x, const TusRules *rules, const TusConcat *concat, TusCreation *what,
                      const char **out_why)
{
    TusUpload *parts = ARENA_ARRAY(bytes_request(x)->mem, TusUpload, concat->count);

    what->length = 0;
    for (size_t i = 0; i < concat->count; i++) {
        TRY(rules->find_part(x, tus_url_segment(concat->urls[i]), &parts[i]));
        if (!parts[i].partial || !parts[i].complete)
            *out_why = "Upload-Concat names what is no partial upload, or is not complete";
        else
            what->length += parts[i].length; /* each at most max_bytes, TUS_CONCAT_PARTS_MAX of them */
    }
    what->parts = parts;
    what->part_count = concat->count;
    return OK;
}

static Err read_creation(BytesExchange *x, const TusRules *rules, TusCreation *what, const char **out_why)
{
    const char *length = bytes_header(x, "upload-length"), *defer = bytes_header(x, "upload-defer-length");
    Arena *mem = bytes_request(x)->mem;
    TusConcat concat = {0};

    what->metadata_header = slice(bytes_header(x, "upload-metadata"));
    what->concat_header = slice(bytes_header(x, "upload-concat"));
    what->length = TUS_UNKNOWN;
    TRY(tus_read_metadata(mem, what->metadata_header, &what->metadata));
    if (what->concat_header.len)
        TRY(tus_read_concat(mem, what->concat_header, &concat));
    what->partial = concat.partial;
    if (concat.final && (length || defer || bytes_length(x) != 0))
        *out_why = "a final upload has the length and the bytes of its parts";
    else if (concat.final)
        return find_parts(x, rules, &concat, what, out_why);
    else if ((length != NULL) == (defer != NULL) || (defer && strcmp(defer, "1") != 0))
        *out_why = "either Upload-Length, or Upload-Defer-Length: 1";
    else if (length && !tus_read_number(slice(length), &what->length))
        *out_why = "Upload-Length is no number";
    return OK;
}

static bool has_content_type(BytesExchange *x)
{
    const char *type = bytes_header(x, "content-type");

    return type && strcmp(type, TUS_CONTENT_TYPE) == 0;
}

static Err open_created(BytesExchange *x, Sitting *s)
{
    TRY(wait_for_upload(x, s, true));
    if (s->upload.length != 0)
        return begin_body(x, s);
    TRY(complete(x, s)); /* nothing more will come */
    return bytes_answer_empty(x, 201);
}

static Err begin_create(BytesExchange *x, Sitting *s)
{
    Request *rq = bytes_request(x);
    TusCreation *what = ARENA_NEW(rq->mem, TusCreation);
    bool has_body = bytes_length(x) != 0;
    const char *why = NULL, *checksum = bytes_header(x, "upload-checksum");

    TRY(read_creation(x, s->rules, what, &why));
    if (why)
        return refuse(x, 400, why);
    if (has_body && !has_content_type(x))
        return refuse(x, 415, "Content-Type: " TUS_CONTENT_TYPE);
    if (what->length != TUS_UNKNOWN && what->length > s->rules->max_bytes(rq))
        return refuse(x, 413, "Upload-Length is more than Tus-Max-Size");
    if (has_body && bytes_length(x) > 0 && (uint64_t)bytes_length(x) > what->length)
        return refuse(x, 413, "more bytes than Upload-Length");
    if (has_body && checksum)
        TRY(tus_read_checksum(rq->mem, slice(checksum), &s->checksum));
    TRY(s->rules->create(x, what, &s->upload));
    s->creates = true;
    request_set_header(rq, "Location", s->upload.url);
    set_expiry(rq, &s->upload);
    if (s->upload.complete || (!has_body && s->upload.length != 0))
        return bytes_answer_empty(x, 201);
    return open_created(x, s);
}

/* ---------------------------------------------------------------------------------------- HEAD, PATCH, DELETE, OPTIONS
 */

/* All bytes are durable and nothing came of it: a crash came between. The client would take the offset for success. */
static Err finish_what_a_crash_left(BytesExchange *x, Sitting *s)
{
    TRY(wait_for_upload(x, s, true));
    if (blob_upload_offset(s->blob) == s->upload.length)
        TRY(complete(x, s));
    end_sitting(x, s);
    return OK;
}

static Err durable_offset(BytesExchange *x, Sitting *s, uint64_t *out)
{
    BlobUploadStat stat;

    if (s->upload.complete) {
        *out = s->upload.length;
        return OK;
    }
    TRY(blob_upload_stat(s->rules->blob(bytes_request(x)), s->upload.state, &stat));
    *out = stat.offset;
    if (stat.offset == s->upload.length)
        return finish_what_a_crash_left(x, s);
    return OK;
}

static Err begin_head(BytesExchange *x, Sitting *s)
{
    Request *rq = bytes_request(x);
    const TusUpload *u = &s->upload;
    uint64_t offset;
    Err e;

    request_set_header(rq, "Cache-Control", "no-store");
    TRY(s->rules->find(x, &s->upload));
    e = durable_offset(x, s, &offset);
    if (e.reason == &CONFLICT)
        return refuse(x, HTTP_LOCKED, "another request has this upload");
    TRY(e);
    set_number(rq, "Upload-Offset", offset);
    if (u->length == TUS_UNKNOWN)
        request_set_header(rq, "Upload-Defer-Length", "1");
    else
        set_number(rq, "Upload-Length", u->length);
    if (u->metadata && *u->metadata)
        request_set_header(rq, "Upload-Metadata", u->metadata);
    if (u->concat && *u->concat)
        request_set_header(rq, "Upload-Concat", u->concat);
    set_expiry(rq, u);
    return bytes_answer_empty(x, 200);
}

/* Upload-Length of a request that appends: a deferred one is said once. */
static Err read_late_length(BytesExchange *x, Sitting *s, const char **out_why, int *out_status)
{
    const char *header = bytes_header(x, "upload-length");
    uint64_t length;

    if (!header)
        return OK;
    *out_status = 400;
    if (!tus_read_number(slice(header), &length))
        *out_why = "Upload-Length is no number";
    else if (s->upload.length != TUS_UNKNOWN && s->upload.length != length)
        *out_why = "Upload-Length was another one";
    else if (length < blob_upload_offset(s->blob))
        *out_why = "Upload-Length is less than there is";
    else if (length > s->rules->max_bytes(bytes_request(x)))
        *out_status = 413, *out_why = "Upload-Length is more than Tus-Max-Size";
    else if (s->upload.length == TUS_UNKNOWN)
        return s->rules->set_length(x, &s->upload, length);
    return OK;
}

/* The sitting is open. */
static Err begin_append(BytesExchange *x, Sitting *s, uint64_t offset)
{
    const char *why = NULL;
    int status = 0;

    if (offset != blob_upload_offset(s->blob))
        return refuse(x, 409, "Upload-Offset is not where the upload ends");
    TRY(read_late_length(x, s, &why, &status));
    if (why)
        return refuse(x, status, why);
    if (bytes_length(x) > 0 && (uint64_t)bytes_length(x) > most_bytes(x, s) - offset)
        return refuse(x, 413, "more bytes than Upload-Length");
    return begin_body(x, s);
}

static Err begin_patch(BytesExchange *x, Sitting *s)
{
    const char *checksum = bytes_header(x, "upload-checksum");
    Request *rq = bytes_request(x);
    uint64_t offset;
    Err e;

    if (!has_content_type(x))
        return refuse(x, 415, "Content-Type: " TUS_CONTENT_TYPE);
    if (!tus_read_number(slice(bytes_header(x, "upload-offset")), &offset))
        return refuse(x, 400, "Upload-Offset is missing, or no number");
    if (checksum)
        TRY(tus_read_checksum(rq->mem, slice(checksum), &s->checksum));
    TRY(s->rules->find(x, &s->upload));
    if (s->upload.final)
        return refuse(x, 403, "a final upload takes no bytes");
    if (s->upload.complete && (offset != s->upload.length || bytes_length(x) != 0))
        return refuse(x, 409, "the upload is complete");
    if (s->upload.complete) {
        set_number(rq, "Upload-Offset", offset);
        return bytes_answer_empty(x, 204);
    }
    e = wait_for_upload(x, s, true);
    if (e.reason == &CONFLICT)
        return refuse(x, HTTP_LOCKED, "another request has this upload");
    TRY(e);
    return begin_append(x, s, offset);
}

static Err begin_delete(BytesExchange *x, Sitting *s)
{
    Err e;

    TRY(s->rules->find(x, &s->upload));
    if (s->upload.complete && !s->upload.partial)
        return refuse(x, 403, "the upload is complete: what it became is deleted as what it is");
    if (!s->upload.complete) {
        e = wait_for_upload(x, s, false);
        if (e.reason == &CONFLICT)
            return refuse(x, HTTP_LOCKED, "another request has this upload");
        TRY(e);
    }
    TRY(s->rules->remove(x, &s->upload));
    return bytes_answer_empty(x, 204);
}

static Err begin_options(BytesExchange *x, const TusRules *rules)
{
    Request *rq = bytes_request(x);

    request_set_header(rq, "Tus-Version", TUS_VERSION);
    request_set_header(rq, "Tus-Extension", TUS_EXTENSIONS);
    request_set_header(rq, "Tus-Checksum-Algorithm", TUS_CHECKSUM_ALGORITHMS);
    set_number(rq, "Tus-Max-Size", rules->max_bytes(rq));
    return bytes_answer_empty(x, 204);
}

/* ---------------------------------------------------------------------------------------- the whole */

/* Some networks let only GET and POST through. */
static Slice effective_method(BytesExchange *x)
{
    const char *override = bytes_header(x, "x-http-method-override");

    return slice(override && strcmp(bytes_method(x), "POST") == 0 ? override : bytes_method(x));
}

Err tus_begin(const TusRules *rules, BytesExchange *x, bool below)
{
    Request *rq = bytes_request(x);
    Sitting *s = ARENA_NEW(rq->mem, Sitting);
    Slice method = effective_method(x);
    const char *version = bytes_header(x, "tus-resumable");

    s->rules = rules;
    bytes_set_state(x, s);
    request_set_header(rq, "Tus-Resumable", TUS_VERSION);
    if (slice_eq_nocase(method, SLICE_LIT("OPTIONS")))
        return begin_options(x, rules);
    if (!version || strcmp(version, TUS_VERSION) != 0) {
        request_set_header(rq, "Tus-Version", TUS_VERSION);
        return refuse(x, 412, "Tus-Resumable: " TUS_VERSION);
    }
    if (!below && slice_eq_nocase(method, SLICE_LIT("POST")))
        return begin_create(x, s);
    if (below && slice_eq_nocase(method, SLICE_LIT("HEAD")))
        return begin_head(x, s);
    if (below && slice_eq_nocase(method, SLICE_LIT("PATCH")))
        return begin_patch(x, s);
    if (below && slice_eq_nocase(method, SLICE_LIT("DELETE")))
        return begin_delete(x, s);
    return refuse(x, 405, "no such method here");
}
