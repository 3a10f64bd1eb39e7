/* Resumable uploads: the rules of shared/tus.h for media. */
#include "shared/tus.h"

#include "atrium/media/v1/uploads.service.h"
#include "services/media/naming.h"
#include "services/media/uploads.h"
#include "services/media/writers.h"

enum { SHA256_BYTES = 32 };

static Blob *blob_of(const Request *rq)
{
    return ((const Media *)rq->service)->blob;
}

static uint64_t max_bytes_of(const Request *rq)
{
    return (uint64_t)((const Media *)rq->service)->settings->upload_max_bytes;
}

static bool is_part(const UploadRow *u)
{
    return uuid_is_nil(u->media_id);
}

/* As the engine sees it. */
static void tell(Request *rq, UploadRow *row, TusUpload *out)
{
    bool final = strncmp(row->tus_concat, "final", 5) == 0;

    *out = (TusUpload){
        .state = row->blob_state,
        .length = row->size_bytes < 0 ? TUS_UNKNOWN : (uint64_t)row->size_bytes,
        .granted = (uint64_t)row->reserved_bytes,
        .metadata = row->tus_metadata,
        .concat = row->tus_concat,
        .partial = is_part(row),
        .final = final,
        .complete = row->complete,
        .expires_ms = row->expires_us / 1000,
        .own = arena_memdup(rq->mem, row, sizeof(*row)),
    };
    if (!is_part(row))
        request_set_header(rq, "Media-Id", uuid_text(rq->mem, row->media_id));
}

/* ---------------------------------------------------------------------------------------- creation */

static char *text_of(Request *rq, const TusCreation *what, const char *key, const char *other_key)
{
    Slice value = tus_metadata_value(&what->metadata, key);

    return slice_cstr(rq->mem, value.len ? value : tus_metadata_value(&what->metadata, other_key));
}

/* They become texts, which would end there. */
static Err refuse_nul(const TusMetadata *metadata)
{
    static const char *const KEYS[] = {"filename", "name", "filetype", "type", "title"};

    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        if (slice_find_char(tus_metadata_value(metadata, KEYS[i]), '\0') >= 0)
            return err_make(&INVALID_ARGUMENT, "Upload-Metadata: %s has a control in it", KEYS[i]);
    return OK;
}

static Err read_sha256(Request *rq, const TusCreation *what, Slice *out)
{
    Slice text = tus_metadata_value(&what->metadata, "sha256");

    *out = (Slice){NULL, 0};
    if (text.len && (!hex_decode(rq->mem, text, out) || out->len != SHA256_BYTES))
        return err_make(&INVALID_ARGUMENT, "Upload-Metadata: sha256 is 64 hex digits");
    return OK;
}

static Err concatenate(Request *rq, UploadRow *whole, const TusCreation *what)
{
    const BlobPut put = {.key = whole->object_key,
                         .content_type = whole->content_type,
                         .length = what->length,
                         .sha256 = whole->sha256.len ? hex_encode(rq->mem, whole->sha256) : NULL};
    const char **keys = ARENA_ARRAY(rq->mem, const char *, what->part_count);
    BlobInfo info;

    for (size_t i = 0; i < what->part_count; i++)
        keys[i] = ((const UploadRow *)what->parts[i].own)->object_key;
    TRY(blob_concat(blob_of(rq), &put, keys, what->part_count, &info));
    TRY(uploads_finish(rq, whole, &info, whole->title));
    for (size_t i = 0; i < what->part_count; i++)
        err_ignore(uploads_drop(rq, what->parts[i].own)); /* else they expire */
    return OK;
}

static Err create(BytesExchange *x, const TusCreation *what, TusUpload *out)
{
    Request *rq = bytes_request(x);
    const Media *media = rq->service;
    UploadRow *parts = ARENA_ARRAY(rq->mem, UploadRow, what->part_count + 1), row;
    UploadWish wish = {
        .kind = "tus",
        .partial = what->partial,
        .filename = slice(text_of(rq, what, "filename", "name")),
        .content_type = text_of(rq, what, "filetype", "type"),
        .title = text_of(rq, what, "title", "title"),
        .size_bytes = what->length == TUS_UNKNOWN ? UPLOAD_NO_SIZE : (int64_t)what->length,
        .ttl_ms = media->settings->upload_ttl_ms,
        .tus_metadata = slice_cstr(rq->mem, what->metadata_header),
        .tus_concat = slice_cstr(rq->mem, what->concat_header),
        .parts = parts,
        .part_count = what->part_count,
    };
    char *url;

    for (size_t i = 0; i < what->part_count; i++)
        parts[i] = *(const UploadRow *)what->parts[i].own;
    if (!wish.partial && !wish.filename.len)
        wish.filename = SLICE_LIT("upload"); /* no key of the metadata is required */
    TRY(refuse_nul(&what->metadata));
    TRY(read_sha256(rq, what, &wish.sha256));
    TRY(uploads_open(rq, &wish, &row));
    TRY(uploads_url(rq, &row, "/media/upload/tus/", "tus", row.created_us / 1000 + UPLOAD_LIFE_MAX_MS, &url));
    if (what->part_count)
        TRY(concatenate(rq, &row, what));
    tell(rq, &row, out);
    out->url = url;
    return OK;
}

/* ---------------------------------------------------------------------------------------- one writer at a time */

static Writers *writers_of(BytesExchange *x)
{
    return ((const Media *)bytes_request(x)->service)->writers;
}

static Err take(BytesExchange *x, TusUpload *u)
{
    return writers_take(writers_of(x), bytes_request(x), ((const UploadRow *)u->own)->id);
}

static Err check(BytesExchange *x, TusUpload *u)
{
    (void)u;
    return writers_check(writers_of(x));
}

static void leave(BytesExchange *x, TusUpload *u)
{
    writers_leave(writers_of(x), bytes_request(x), ((const UploadRow *)u->own)->id);
}

/* ---------------------------------------------------------------------------------------- the others */

static Err find(BytesExchange *x, TusUpload *out)
{
    UploadRow row;

    TRY(uploads_of_ticket(x, bytes_variable(x, "ticket"), "tus", &row));
    tell(bytes_request(x), &row, out);
    return OK;
}

static Err find_part(BytesExchange *x, Slice segment, TusUpload *out)
{
    Request *rq = bytes_request(x);
    UploadRow row;

    TRY(uploads_of_ticket(x, segment, "tus", &row));
    if (row.owner_id != rq->caller.user_id)
        return err_make(&PERMISSION_DENIED, "a part of somebody else");
    tell(rq, &row, out);
    return OK;
}

static Err set_length(BytesExchange *x, TusUpload *u, uint64_t length)
{
    UploadRow *row = u->own;

    TRY(uploads_set_size(bytes_request(x), row, (int64_t)length));
    u->length = length;
    u->granted = (uint64_t)row->reserved_bytes;
    return OK;
}

static Err grant(BytesExchange *x, TusUpload *u, uint64_t up_to)
{
    UploadRow *row = u->own;
    Err e = uploads_grant(bytes_request(x), row, (int64_t)up_to);

    if (e.reason == &QUOTA_EXCEEDED) /* to tus it is too large, not too often */
        return err_make(&PAYLOAD_TOO_LARGE, "%s", e.text);
    u->granted = (uint64_t)row->reserved_bytes;
    return e;
}

static Err touch(BytesExchange *x, TusUpload *u, uint64_t offset)
{
    (void)offset; /* the store knows */
    TRY(uploads_touch(bytes_request(x), u->own));
    u->expires_ms = ((const UploadRow *)u->own)->expires_us / 1000;
    return OK;
}

static Err complete(BytesExchange *x, TusUpload *u, BlobUpload *sitting)
{
    Request *rq = bytes_request(x);
    UploadRow *row = u->own;
    BlobInfo info;

    TRY(blob_upload_complete(sitting, u->length, row->sha256.len ? hex_encode(rq->mem, row->sha256) : NULL, false,
                             &info));
    return u->partial ? uploads_finish_part(rq, row, &info) : uploads_finish(rq, row, &info, row->title);
}

static Err remove_upload(BytesExchange *x, TusUpload *u)
{
    return uploads_drop(bytes_request(x), u->own);
}

static Err create_within_quota(BytesExchange *x, const TusCreation *what, TusUpload *out)
{
    Err e = create(x, what, out);

    return e.reason == &QUOTA_EXCEEDED ? err_make(&PAYLOAD_TOO_LARGE, "%s", e.text) : e;
}

static const TusRules RULES = {
    .blob = blob_of,
    .max_bytes = max_bytes_of,
    .create = create_within_quota,
    .find = find,
    .find_part = find_part,
    .take = take,
    .check = check,
    .leave = leave,
    .set_length = set_length,
    .grant = grant,
    .touch = touch,
    .complete = complete,
    .remove = remove_upload,
};

static Err begin_above(BytesExchange *x)
{
    return tus_begin(&RULES, x, false);
}

static Err begin_below(BytesExchange *x)
{
    return tus_begin(&RULES, x, true);
}

const BytesHandler media_v1_create_tus_upload = {begin_above, tus_data, tus_end, tus_done};
const BytesHandler media_v1_describe_tus = {begin_below, tus_data, tus_end, tus_done};
const BytesHandler media_v1_head_tus_upload = {begin_below, tus_data, tus_end, tus_done};
const BytesHandler media_v1_append_tus_upload = {begin_below, tus_data, tus_end, tus_done};
const BytesHandler media_v1_delete_tus_upload = {begin_below, tus_data, tus_end, tus_done};
const BytesHandler media_v1_override_tus_upload = {begin_below, tus_data, tus_end, tus_done};
