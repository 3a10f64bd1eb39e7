/* Signed uploads: a URL to put bytes to, and the word that they were put (contracts/media.md sections 5.1 and 5.2). */
#include "atrium/media/v1/uploads.service.h"
#include "services/media/answers.h"
#include "services/media/naming.h"
#include "services/media/store_items.h"
#include "services/media/uploads.h"

enum { SHA256_BYTES = 32 };

/* The object store itself takes the bytes; what was said of them is part of the signature. */
static Err presign(Request *rq, const UploadRow *u, Media__V1__SignUploadReply *out)
{
    const Media *media = rq->service;
    const BlobPresign what = {
        .method = "PUT",
        .key = u->object_key,
        .expires_s = SIGN_TTL_MS / 1000,
        .content_type = *u->content_type ? u->content_type : NULL,
        .length = u->size_bytes < 0 ? BLOB_UNKNOWN : (uint64_t)u->size_bytes,
        .sha256 = u->sha256.len ? hex_encode(rq->mem, u->sha256) : NULL,
    };
    BlobSigned done;

    TRY(blob_presign(media->blob, rq->mem, &what, &done));
    out->upload_url = arena_strdup(rq->mem, done.url);
    out->headers = uploads_headers(rq->mem, &done);
    out->n_headers = done.header_count;
    return OK;
}

static Err sign(Request *rq, const Media__V1__SignUploadRequest *in, Media__V1__SignUploadReply *out)
{
    const Media *media = rq->service;
    UploadWish wish = {
        .kind = "put",
        .filename = slice(in->filename),
        .content_type = in->mime_type ? in->mime_type : "",
        .title = in->title ? in->title : "",
        .size_bytes =
            in->size_bytes > 0 ? in->size_bytes : UPLOAD_NO_SIZE, /* 0 is "unknown" to the original's clients */
        .ttl_ms = media->settings->upload_ttl_ms,
    };
    UploadRow u;

    if (in->size_bytes < 0)
        return err_make(&INVALID_ARGUMENT, "size_bytes: not below 0");
    if (in->sha256 && *in->sha256 &&
        (!hex_decode(rq->mem, slice(in->sha256), &wish.sha256) || wish.sha256.len != SHA256_BYTES))
        return err_make(&INVALID_ARGUMENT, "sha256: 64 hex digits");
    TRY(uploads_open(rq, &wish, &u));
    if (blob_presigns(media->blob))
        TRY(presign(rq, &u, out));
    else
        TRY(uploads_url(rq, &u, "/media/upload/put/", "put", u.created_us / 1000 + SIGN_TTL_MS, &out->upload_url));
    out->s3_key = name_original_key(rq->mem, u.owner_id, u.media_id, wish.filename);
    out->media_id = uuid_text(rq->mem, u.media_id);
    out->expires_at = answer_time(rq->mem, u.created_us + (int64_t)SIGN_TTL_MS * 1000);
    return OK;
}

Err media_v1_sign_upload(Request *rq, const Media__V1__SignUploadRequest *in, Media__V1__SignUploadReply *out)
{
    return sign(rq, in, out);
}

Err media_v1_create_upload(Request *rq, const Media__V1__SignUploadRequest *in, Media__V1__SignUploadReply *out)
{
    return sign(rq, in, out);
}

/* ---------------------------------------------------------------------------------------- confirm */

/* The store has seen to it that the bytes are what was said of them, if it looks at what was signed: not all do. The
 * digest is compared later, when it is known. */
static Err find_bytes(Request *rq, UploadRow *u, BlobInfo *out)
{
    const Media *media = rq->service;
    Err e = blob_stat(media->blob, u->object_key, out);

    if (e.reason == &NOT_FOUND)
        return err_make(&FAILED_PRECONDITION, "the bytes have not been uploaded");
    TRY(e);
    if (u->size_bytes >= 0 && out->size_bytes != (uint64_t)u->size_bytes)
        return err_make(&FAILED_PRECONDITION, "another size_bytes was signed");
    return uploads_grant(rq, u, (int64_t)out->size_bytes);
}

static Err take_bytes(Request *rq, Uuid media_id, const char *title)
{
    UploadRow u;
    BlobInfo info;

    TRY(media_store_upload_of_item(rq, media_id, &u));
    if (uuid_is_nil(u.id) || (strcmp(u.kind, "put") != 0 && !u.complete))
        return err_make(&FAILED_PRECONDITION, "the bytes have not been uploaded");
    TRY(find_bytes(rq, &u, &info));
    return uploads_finish(rq, &u, &info, title && *title ? title : u.title);
}

/* Queues the item, once. */
static Err confirm(Request *rq, const char *media_id, const char *title, ItemRow *out)
{
    Uuid id;
    Err e;

    if (!media_id || !*media_id)
        return err_make(&INVALID_ARGUMENT, "media_id is required");
    if (title && *title && !name_valid(slice(title), TITLE_MAX_CHARS))
        return err_make(&INVALID_ARGUMENT, "title: at most %d characters, no controls", TITLE_MAX_CHARS);
    if (!uuid_parse(slice(media_id), &id))
        return err_make(&NOT_FOUND, "media not found");
    TRY(media_store_item(rq, id, out));
    if (uuid_is_nil(out->id) || out->deleted_us)
        return err_make(&NOT_FOUND, "media not found");
    if (out->owner_id != rq->caller.user_id)
        return err_make(&PERMISSION_DENIED, "not authorized");
    if (out->status != MEDIA__V1__ITEM_STATUS__UPLOADING)
        return OK; /* confirmed already */
    e = take_bytes(rq, id, title);
    if (err_failed(e) && e.reason != &FAILED_PRECONDITION && e.reason != &NOT_FOUND)
        return e;
    TRY(media_store_item(rq, id, out));
    if (uuid_is_nil(out->id) || out->status == MEDIA__V1__ITEM_STATUS__UPLOADING)
        return e;
    return OK; /* by us, or by another confirmation that was faster and took the bytes away from where we looked */
}

Err media_v1_confirm_upload(Request *rq, const Media__V1__ConfirmUploadRequest *in, Media__V1__ConfirmUploadReply *out)
{
    ItemRow item;

    TRY(confirm(rq, in->media_id, in->title, &item));
    out->media_id = in->media_id;
    SET(out, status, MEDIA__V1__ITEM_STATUS__QUEUED); /* whatever has become of it since */
    return OK;
}

Err media_v1_finish_upload(Request *rq, const Media__V1__ConfirmUploadRequest *in, Media__V1__Item *out)
{
    ItemRow item;

    TRY(confirm(rq, in->media_id, in->title, &item));
    answer_item(rq, &item, out);
    return OK;
}
