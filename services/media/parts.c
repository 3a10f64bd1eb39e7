/* Uploads in parts: each is put by itself, in any order and side by side, then they are put together
 * (contracts/media.md section 19). With a store that presigns, the parts are its own; else each is an object that lies
 * with those that are nobody's yet. How long a part is, is said beforehand and part of its URL, so that nobody brings
 * more than was set aside for him. */
#include "atrium/media/v1/uploads.service.h"
#include "services/media/answers.h"
#include "services/media/naming.h"
#include "services/media/store_items.h"
#include "services/media/uploads.h"
#include "services/media/writers.h"
#include "shared/bytes.h"

#define TICKET_PART "part"
enum {
    PARTS_MAX = 1000, /* BLOB_CONCAT_MAX */
    PARTS_SIGNED_MAX = 100,
    PART_TTL_MS = 3600 * 1000,
    SHA256_BYTES = 32
};
#define PART_MIN_BYTES (INT64_C(5) << 20) /* as S3 has them */
#define PART_MAX_BYTES (INT64_C(5) << 30)
#define PART_USUAL_BYTES (INT64_C(16) << 20)

static Blob *blob_of(const Request *rq)
{
    return ((const Media *)rq->service)->blob;
}

static int part_count(const UploadRow *u)
{
    return (int)((u->size_bytes + u->part_bytes - 1) / u->part_bytes);
}

static int64_t part_length(const UploadRow *u, int number)
{
    return MIN(u->part_bytes, u->size_bytes - (number - 1) * u->part_bytes);
}

static Err find(Request *rq, const char *id, UploadRow *out)
{
    TRY(uploads_of_owner(rq, slice(id), rq->caller.user_id, out));
    return strcmp(out->kind, "parts") == 0 ? OK : err_make(&NOT_FOUND, "no such upload");
}

/* ---------------------------------------------------------------------------------------- beginning */

static Err choose_part_size(const Media__V1__CreateMultipartUploadRequest *in, int64_t *out)
{
    int64_t size = in->size_bytes, least = (size + PARTS_MAX - 1) / PARTS_MAX;

    if (!in->has_size_bytes || size < 1)
        return err_make(&INVALID_ARGUMENT, "size_bytes: 1 at least");
    if (!in->has_part_size_bytes) {
        *out = MAX(PART_USUAL_BYTES, (least + PART_MIN_BYTES - 1) / PART_MIN_BYTES * PART_MIN_BYTES);
        return OK;
    }
    if (in->part_size_bytes < PART_MIN_BYTES)
        return err_make(&INVALID_ARGUMENT, "EntityTooSmall: part_size_bytes: %" PRId64 " at least", PART_MIN_BYTES);
    if (in->part_size_bytes > PART_MAX_BYTES)
        return err_make(&INVALID_ARGUMENT, "EntityTooLarge: part_size_bytes: %" PRId64 " at most", PART_MAX_BYTES);
    if (in->part_size_bytes < least)
        return err_make(&INVALID_ARGUMENT, "part_size_bytes: at most %d parts", PARTS_MAX);
    *out = in->part_size_bytes;
    return OK;
}

static void tell(Request *rq, const UploadRow *u, Media__V1__MultipartUpload *out)
{
    out->upload = uuid_text(rq->mem, u->id);
    out->media_id = uuid_text(rq->mem, u->media_id);
    out->s3_key = arena_strdup(rq->mem, u->object_key);
    SET(out, size_bytes, u->size_bytes);
    SET(out, part_size_bytes, u->part_bytes);
    SET(out, part_count, part_count(u));
    out->expires_at = answer_time(rq->mem, u->expires_us);
}

Err media_v1_create_multipart_upload(Request *rq, const Media__V1__CreateMultipartUploadRequest *in,
                                     Media__V1__MultipartUpload *out)
{
    UploadWish wish = {
        .kind = "parts",
        .filename = slice(in->filename),
        .content_type = in->mime_type ? in->mime_type : "",
        .title = in->title ? in->title : "",
        .size_bytes = in->size_bytes,
        .ttl_ms = ((const Media *)rq->service)->settings->upload_ttl_ms,
    };
    UploadRow u;

    TRY(choose_part_size(in, &wish.part_bytes));
    if (in->sha256 && *in->sha256 &&
        (!hex_decode(rq->mem, slice(in->sha256), &wish.sha256) || wish.sha256.len != SHA256_BYTES))
        return err_make(&INVALID_ARGUMENT, "sha256: 64 hex digits");
    TRY(uploads_open(rq, &wish, &u));
    tell(rq, &u, out);
    return OK;
}

/* ---------------------------------------------------------------------------------------- URLs of parts */

static Err sign_part(Request *rq, const UploadRow *u, int number, int64_t expires_ms, Media__V1__SignedPart *out)
{
    int64_t length = part_length(u, number);
    BlobSigned done;

    SET(out, part_number, number);
    SET(out, size_bytes, length);
    if (!*u->blob_state) {
        const Ticket ticket = {
            .kind = TICKET_PART,
            .user_id = u->owner_id,
            .login_id = rq->caller.login_id,
            .resource = arena_printf(rq->mem, "%s/%d", uuid_text(rq->mem, u->id), number),
            .expires_ms = expires_ms,
        };

        return uploads_ticket_url(rq, "/media/upload/part/", &ticket, &out->upload_url);
    }
    TRY(blob_presign_part(blob_of(rq), rq->mem, u->blob_state, number, (uint64_t)length, NULL, PART_TTL_MS / 1000,
                          &done));
    out->upload_url = arena_strdup(rq->mem, done.url);
    out->headers = uploads_headers(rq->mem, &done);
    out->n_headers = done.header_count;
    return OK;
}

Err media_v1_sign_upload_parts(Request *rq, const Media__V1__SignUploadPartsRequest *in,
                               Media__V1__SignUploadPartsReply *out)
{
    int64_t expires_ms = clock_unix_ms(rq->clock) + PART_TTL_MS;
    UploadRow u;

    TRY(find(rq, in->upload, &u));
    if (u.complete)
        return err_make(&FAILED_PRECONDITION, "the upload is complete");
    if (in->n_part_numbers < 1 || in->n_part_numbers > PARTS_SIGNED_MAX)
        return err_make(&INVALID_ARGUMENT, "part_numbers: 1 to %d of them", PARTS_SIGNED_MAX);
    out->parts = ARENA_ARRAY(rq->mem, Media__V1__SignedPart *, in->n_part_numbers);
    for (size_t i = 0; i < in->n_part_numbers; i++) {
        if (in->part_numbers[i] < 1 || in->part_numbers[i] > part_count(&u))
            return err_make(&INVALID_ARGUMENT, "part_numbers: 1 to %d", part_count(&u));
        out->parts[i] = MESSAGE_NEW(rq->mem, Media__V1__SignedPart, media__v1__signed_part__init);
        TRY(sign_part(rq, &u, in->part_numbers[i], expires_ms, out->parts[i]));
    }
    out->n_parts = in->n_part_numbers;
    out->expires_at = answer_time(rq->mem, expires_ms * 1000);
    return OK;
}

/* ---------------------------------------------------------------------------------------- a part of our own */

typedef struct PutPart {
    UploadRow upload;
    const char *key;
    BlobWriter *writer;
} PutPart;

static Err begin_part(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    PutPart *put = ARENA_NEW(rq->mem, PutPart);
    UploadRow *u = &put->upload;
    int64_t number, length;
    Slice id, text;
    Ticket ticket;

    TRY(bytes_take_ticket(x, bytes_variable(x, "ticket"), TICKET_PART, &ticket));
    if (!slice_cut(slice(ticket.resource), '/', &id, &text) || !slice_to_int64(text, &number))
        return err_make(&NOT_FOUND, "no such upload");
    TRY(uploads_of_owner(rq, id, ticket.user_id, u));
    if (u->complete || number < 1 || number > part_count(u))
        return err_make(&NOT_FOUND, "no such upload, or not any more");
    length = part_length(u, (int)number);
    if (bytes_length(x) != BYTES_UNKNOWN && bytes_length(x) != length)
        return err_make(&INVALID_ARGUMENT, "Content-Length: %" PRId64 " was signed", length);
    put->key = name_parts_key(rq->mem, u->owner_id, u->id, (int)number);
    bytes_set_state(x, put);
    bytes_limit_body(x, (uint64_t)length);
    return blob_writer_new(blob_of(rq), &(BlobPut){.key = put->key, .length = (uint64_t)length}, &put->writer);
}

static Err part_data(BytesExchange *x, Slice piece)
{
    return blob_writer_write(((PutPart *)bytes_state(x))->writer, piece);
}

/* Looks once more behind the commit: when the upload was over meanwhile, nobody else takes this part away; and when it
 * is over later, whoever ends it finds the part. */
static Err end_part(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    PutPart *put = bytes_state(x);
    BlobInfo info;
    UploadRow now;

    TRY(blob_writer_commit(put->writer, &info));
    TRY(media_store_upload(rq, put->upload.id, &now));
    if (uuid_is_nil(now.id) || now.complete) {
        TRY(blob_delete(blob_of(rq), put->key));
        return err_make(&NOT_FOUND, "no such upload, or not any more");
    }
    request_set_header(rq, "ETag", arena_printf(rq->mem, "\"%s\"", info.etag));
    return bytes_answer_empty(x, 200);
}

static void part_done(BytesExchange *x)
{
    PutPart *put = bytes_state(x);

    if (put)
        blob_writer_free(put->writer);
}

const BytesHandler media_v1_put_upload_part = {begin_part, part_data, end_part, part_done};

/* ---------------------------------------------------------------------------------------- what has come */

static Err own_parts(Request *rq, const UploadRow *u, BlobPart **out, size_t *out_count)
{
    Blob *blob = blob_of(rq);
    BlobList list;

    TRY(blob_list(blob, rq->mem, name_parts_key(rq->mem, u->owner_id, u->id, 0), NULL, PARTS_MAX, &list));
    *out = ARENA_ARRAY(rq->mem, BlobPart, list.count + 1);
    for (size_t i = 0; i < list.count; i++) {
        Slice name = slice_skip(slice(list.items[i].key), strlen(list.items[i].key) - 5);
        int64_t number;
        BlobInfo info;

        if (!slice_to_int64(name, &number))
            return err_make(&INTERNAL, "a part with another name");
        TRY(blob_stat(blob, list.items[i].key, &info));
        (*out)[i] =
            (BlobPart){.number = (int)number, .etag = arena_strdup(rq->mem, info.etag), .size_bytes = info.size_bytes};
    }
    *out_count = list.count;
    return OK;
}

static Err come_parts(Request *rq, const UploadRow *u, BlobPart **out, size_t *out_count)
{
    return *u->blob_state ? blob_upload_parts(blob_of(rq), rq->mem, u->blob_state, out, out_count)
                          : own_parts(rq, u, out, out_count);
}

static Slice without_quotes(const char *etag)
{
    Slice s = slice_trim(slice(etag));

    return s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"' ? slice_take(slice_skip(s, 1), s.len - 2) : s;
}

Err media_v1_list_upload_parts(Request *rq, const Media__V1__ListUploadPartsRequest *in,
                               Media__V1__MultipartUpload *out)
{
    BlobPart *parts = NULL;
    size_t count = 0;
    UploadRow u;

    TRY(find(rq, in->upload, &u));
    if (!u.complete)
        TRY(come_parts(rq, &u, &parts, &count));
    tell(rq, &u, out);
    out->parts = ARENA_ARRAY(rq->mem, Media__V1__UploadPart *, count + 1);
    for (size_t i = 0; i < count; i++) {
        out->parts[i] = MESSAGE_NEW(rq->mem, Media__V1__UploadPart, media__v1__upload_part__init);
        SET(out->parts[i], part_number, parts[i].number);
        SET(out->parts[i], size_bytes, (int64_t)parts[i].size_bytes);
        out->parts[i]->etag = slice_cstr(rq->mem, without_quotes(parts[i].etag));
    }
    out->n_parts = count;
    return OK;
}

/* ---------------------------------------------------------------------------------------- the end */

/* All parts are there, whole, and those that the caller means. Errors begin with S3's words for them. */
static Err check_parts(const UploadRow *u, const Media__V1__CompleteMultipartUploadRequest *in, const BlobPart *parts,
                       size_t count)
{
    size_t all = (size_t)part_count(u);

    if (in->n_parts && in->n_parts != all)
        return err_make(&INVALID_ARGUMENT, "InvalidPart: all %zu parts, or none to take what has come", all);
    for (size_t i = 0; i < in->n_parts; i++)
        if (in->parts[i]->part_number != (int)i + 1)
            return err_make(&INVALID_ARGUMENT, "InvalidPartOrder: in ascending order, from 1 on");
    for (size_t i = 0; i < all; i++) {
        if (i >= count || parts[i].number != (int)i + 1)
            return err_make(&INVALID_ARGUMENT, "InvalidPart: part %zu has not come", i + 1);
        if (parts[i].size_bytes != (uint64_t)part_length(u, (int)i + 1))
            return err_make(&INVALID_ARGUMENT, "InvalidPart: part %zu has another length", i + 1);
        if (in->n_parts && !slice_eq(without_quotes(in->parts[i]->etag), without_quotes(parts[i].etag)))
            return err_make(&INVALID_ARGUMENT, "InvalidPart: part %zu has another ETag", i + 1);
    }
    return OK;
}

static Err put_together(Request *rq, const UploadRow *u, const BlobPart *parts, size_t count, BlobInfo *out)
{
    const BlobPut put = {.key = u->object_key,
                         .content_type = u->content_type,
                         .length = (uint64_t)u->size_bytes,
                         .sha256 = u->sha256.len ? hex_encode(rq->mem, u->sha256) : NULL};
    const char **keys;

    if (*u->blob_state)
        return blob_upload_complete_parts(blob_of(rq), u->blob_state, parts, count, out);
    keys = ARENA_ARRAY(rq->mem, const char *, count);
    for (size_t i = 0; i < count; i++)
        keys[i] = name_parts_key(rq->mem, u->owner_id, u->id, parts[i].number);
    return blob_concat(blob_of(rq), &put, keys, count, out);
}

/* With S3 the parts are gone when an earlier try got as far as that, and the store answers the same again. */
static Err assemble(Request *rq, const Media__V1__CompleteMultipartUploadRequest *in, UploadRow *u)
{
    BlobPart *parts = NULL;
    size_t count = 0;
    BlobInfo info;
    Err e = come_parts(rq, u, &parts, &count);

    if (e.reason == &CONFLICT || e.reason == &NOT_FOUND) {
        count = (size_t)part_count(u);
        parts = ARENA_ARRAY(rq->mem, BlobPart, count);
        for (size_t i = 0; i < count; i++)
            parts[i] = (BlobPart){.number = (int)i + 1, .etag = "gone"};
    } else {
        TRY(e);
        TRY(check_parts(u, in, parts, count));
    }
    TRY(put_together(rq, u, parts, count, &info));
    TRY(writers_check(((const Media *)rq->service)->writers));
    return uploads_finish(rq, u, &info, in->title && *in->title ? in->title : u->title);
}

static Err drop_parts(Request *rq, const UploadRow *u)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    if (*u->blob_state)
        return blob_upload_forget(blob_of(rq), u->blob_state);
    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_discard(&tx, name_parts_key(rq->mem, u->owner_id, u->id, 0), clock_unix_us(rq->clock)));
    return db_tx_commit(&tx);
}

static Err complete(Request *rq, const Media__V1__CompleteMultipartUploadRequest *in, UploadRow *u)
{
    Writers *writers = ((const Media *)rq->service)->writers;
    Err e;

    TRY(writers_take(writers, rq, u->id));
    e = media_store_upload(rq, u->id, u); /* as it is now that nobody else changes it */
    if (!err_failed(e) && uuid_is_nil(u->id))
        e = err_make(&NOT_FOUND, "no such upload, or not any more");
    else if (!err_failed(e) && !u->complete)
        e = assemble(rq, in, u);
    if (!err_failed(e))
        err_ignore(drop_parts(rq, u)); /* else with the row */
    writers_leave(writers, rq, u->id);
    return e;
}

Err media_v1_complete_multipart_upload(Request *rq, const Media__V1__CompleteMultipartUploadRequest *in,
                                       Media__V1__Item *out)
{
    ItemRow item;
    UploadRow u;

    TRY(find(rq, in->upload, &u));
    if (in->title && *in->title && !name_valid(slice(in->title), TITLE_MAX_CHARS))
        return err_make(&INVALID_ARGUMENT, "title: at most %d characters, no controls", TITLE_MAX_CHARS);
    if (!u.complete)
        TRY(complete(rq, in, &u));
    TRY(media_store_item(rq, u.media_id, &item));
    if (uuid_is_nil(item.id) || item.deleted_us)
        return err_make(&NOT_FOUND, "media not found");
    answer_item(rq, &item, out);
    return OK;
}

Err media_v1_abort_multipart_upload(Request *rq, const Media__V1__AbortMultipartUploadRequest *in, Media__V1__Done *out)
{
    Writers *writers = ((const Media *)rq->service)->writers;
    UploadRow u;
    Err e;

    TRY(find(rq, in->upload, &u));
    if (u.complete)
        return err_make(&FAILED_PRECONDITION, "the upload is complete");
    TRY(writers_take(writers, rq, u.id));
    e = uploads_drop(rq, &u);
    writers_leave(writers, rq, u.id);
    TRY(e);
    SET(out, success, true);
    return OK;
}
