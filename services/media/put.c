/* PUT to a signed URL, where the object store is ours. As with S3, it may be done again until the upload is confirmed;
 * the bytes lie where nobody sees them, and are copied from there. */
#include "atrium/media/v1/uploads.service.h"
#include "services/media/uploads.h"
#include "shared/bytes.h"

enum { SHA256_BYTES = 32 };

typedef struct Put {
    UploadRow upload;
    BlobWriter *writer;
    bool stored;
} Put;

/* A digest that the client sends along, by whichever of these headers: base64 of SHA-256. */
static Err read_digest(BytesExchange *x, Slice *out)
{
    static const char *const HEADERS[] = {"repr-digest", "content-digest", "x-amz-checksum-sha256"};
    Arena *mem = bytes_request(x)->mem;

    *out = (Slice){NULL, 0};
    for (size_t i = 0; i < ARRAY_LEN(HEADERS); i++) {
        Slice text = slice_trim(slice(bytes_header(x, HEADERS[i]))), bytes;

        if (!text.len)
            continue;
        if (i < 2) { /* RFC 9530: a dictionary of algorithm=:base64: */
            ptrdiff_t at = slice_find(text, SLICE_LIT("sha-256=:"));

            if (at < 0)
                continue; /* other algorithms are not looked at */
            (void)slice_cut(slice_skip(text, (size_t)at + 9), ':', &text, &bytes);
        }
        if (!base64_decode(mem, text, &bytes) || bytes.len != SHA256_BYTES || (out->len && !slice_eq(*out, bytes)))
            return err_make(&INVALID_ARGUMENT, "%s: no SHA-256 in base64", HEADERS[i]);
        *out = bytes;
    }
    return OK;
}

static Err check_type(BytesExchange *x, const UploadRow *u)
{
    const char *sent = bytes_header(x, "content-type");

    if (!*u->content_type || !sent || slice_eq_nocase(slice(sent), slice(u->content_type)))
        return OK;
    return err_make(&INVALID_ARGUMENT, "Content-Type: another one was signed");
}

static Err begin_put(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    const Media *media = rq->service;
    Put *put = ARENA_NEW(rq->mem, Put);
    UploadRow *u = &put->upload;
    int64_t length = bytes_length(x);
    Slice digest;

    TRY(uploads_of_ticket(x, bytes_variable(x, "ticket"), "put", u));
    if (u->complete)
        return err_make(&CONFLICT, "the upload is confirmed: its bytes stay what they are");
    TRY(check_type(x, u));
    TRY(read_digest(x, &digest));
    if (digest.len && u->sha256.len && !slice_eq(digest, u->sha256))
        return err_make(&INVALID_ARGUMENT, "another digest was signed");
    if (u->size_bytes >= 0 && length != BYTES_UNKNOWN && length != u->size_bytes)
        return err_make(&INVALID_ARGUMENT, "Content-Length: another one was signed");
    bytes_set_state(x, put);
    if (length != BYTES_UNKNOWN)
        TRY(uploads_grant(rq, u, length));
    bytes_limit_body(x, (uint64_t)(u->size_bytes >= 0 ? u->size_bytes : media->settings->upload_max_bytes));
    if (!digest.len)
        digest = u->sha256;
    return blob_writer_new(media->blob,
                           &(BlobPut){.key = u->object_key,
                                      .content_type = u->content_type,
                                      .length = u->size_bytes >= 0        ? (uint64_t)u->size_bytes
                                                : length != BYTES_UNKNOWN ? (uint64_t)length
                                                                          : BLOB_UNKNOWN,
                                      .max_bytes = (uint64_t)media->settings->upload_max_bytes,
                                      .sha256 = digest.len ? hex_encode(rq->mem, digest) : NULL},
                           &put->writer);
}

static Err put_data(BytesExchange *x, Slice piece)
{
    Put *put = bytes_state(x);

    TRY(uploads_grant(bytes_request(x), &put->upload, (int64_t)(blob_writer_written(put->writer) + piece.len)));
    return blob_writer_write(put->writer, piece);
}

static Err end_put(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    Put *put = bytes_state(x);
    BlobInfo info;

    TRY(blob_writer_commit(put->writer, &info));
    put->stored = true;
    request_set_header(rq, "ETag", arena_printf(rq->mem, "\"%s\"", info.etag));
    return bytes_answer_empty(x, 200);
}

static void put_done(BytesExchange *x)
{
    Put *put = bytes_state(x);

    if (!put)
        return;
    blob_writer_free(put->writer);
    if (!put->stored)
        err_ignore(uploads_give_back(bytes_request(x), &put->upload)); /* else with the upload */
}

const BytesHandler media_v1_put_upload = {begin_put, put_data, end_put, put_done};
