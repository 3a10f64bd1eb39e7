#include "services/media/uploads.h"

#include <openssl/evp.h>

#include "services/media/naming.h"
#include "services/media/sniff.h"
#include "services/media/store_items.h"
#include "services/media/writers.h"
#include "shared/bytes.h"

enum {
    SHA256_BYTES = 32,
    HASH_PIECE_BYTES = 1 << 18,
    STALE_UPLOADS_MAX = 100,
    STALE_PAGES_MAX = 10,
    WRITER_LEFTOVER_AGE_MS = 24 * 3600 * 1000
};

static const Media *media_of(const Request *rq)
{
    return rq->service;
}

static int64_t now_us(const Request *rq)
{
    return clock_unix_us(rq->clock);
}

/* ---------------------------------------------------------------------------------------- opening */

static bool type_is_good(const char *type)
{
    Slice s = slice(type);

    return !s.len || (name_valid(s, MIME_TYPE_MAX_CHARS) && slice_find_char(s, '/') > 0);
}

Err uploads_check(const Request *rq, const UploadWish *wish)
{
    if (!wish->partial && !wish->filename.len)
        return err_make(&INVALID_ARGUMENT, "filename is required");
    if (wish->filename.len && !name_valid(wish->filename, FILENAME_MAX_CHARS))
        return err_make(&INVALID_ARGUMENT, "filename: 1 to %d characters, no controls", FILENAME_MAX_CHARS);
    if (!type_is_good(wish->content_type))
        return err_make(&INVALID_ARGUMENT, "mime_type: a type and a subtype, at most %d characters",
                        MIME_TYPE_MAX_CHARS);
    if (*wish->title && !name_valid(slice(wish->title), TITLE_MAX_CHARS))
        return err_make(&INVALID_ARGUMENT, "title: at most %d characters, no controls", TITLE_MAX_CHARS);
    if (wish->size_bytes > media_of(rq)->settings->upload_max_bytes)
        return err_make(&PAYLOAD_TOO_LARGE, "at most %" PRId64 " bytes", media_of(rq)->settings->upload_max_bytes);
    return OK;
}

static Err insert_item(DbTx *tx, const UploadWish *wish, const UploadRow *u)
{
    Arena *mem = tx->rq->mem;
    const NewItem item = {
        .id = u->media_id,
        .owner_id = u->owner_id,
        .title = wish->title,
        .original_filename = slice_cstr(mem, wish->filename),
        .mime_type = wish->content_type,
        .tags = wish->tags,
        .tag_count = wish->tag_count,
        .now_us = u->created_us,
    };

    return media_store_insert_item(tx, &item);
}

/* What the parts had set aside goes over to the whole. */
static Err take_over_parts(Request *rq, DbTx *tx, const UploadWish *wish)
{
    for (size_t i = 0; i < wish->part_count; i++) {
        UploadRow part;

        TRY(media_store_lock_upload(tx, rq->mem, wish->parts[i].id, &part));
        if (part.reserved_bytes > 0)
            TRY(media_store_reserve(rq, tx, part.owner_id, -part.reserved_bytes));
        TRY(media_store_set_upload_reserved(tx, part.id, 0));
    }
    return OK;
}

static Err create_in_blob(Request *rq, const UploadWish *wish, UploadRow *u)
{
    BlobUploadOptions options = {
        .key = u->object_key,
        .content_type = wish->content_type,
        .length = wish->size_bytes < 0 ? BLOB_UNKNOWN : (uint64_t)wish->size_bytes,
        .max_bytes = (uint64_t)media_of(rq)->settings->upload_max_bytes,
    };
    char *state = arena_alloc(rq->mem, BLOB_STATE_BYTES, 1);

    if (strcmp(wish->kind, "parts") == 0 ? !blob_presigns(media_of(rq)->blob)
                                         : strcmp(wish->kind, "tus") != 0 || wish->part_count)
        return OK;
    TRY(blob_upload_create(media_of(rq)->blob, &options, state));
    u->blob_state = state;
    return OK;
}

static Err insert_upload(Request *rq, const UploadWish *wish, UploadRow *u)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_lock_owner(&tx, u->owner_id));
    TRY(take_over_parts(rq, &tx, wish));
    if (u->reserved_bytes > 0)
        TRY(media_store_reserve(rq, &tx, u->owner_id, u->reserved_bytes));
    if (!wish->partial)
        TRY(insert_item(&tx, wish, u));
    TRY(media_store_insert_upload(&tx, u));
    return db_tx_commit(&tx);
}

Err uploads_open(Request *rq, const UploadWish *wish, UploadRow *out)
{
    const Media *media = media_of(rq);
    UploadRow u = {
        .id = uuid_v7(media->ids),
        .owner_id = rq->caller.user_id,
        .kind = wish->kind,
        .blob_state = "",
        .size_bytes = wish->size_bytes,
        .part_bytes = wish->part_bytes,
        .content_type = wish->content_type,
        .sha256 = wish->sha256,
        .title = wish->title,
        .tus_metadata = wish->tus_metadata ? wish->tus_metadata : "",
        .tus_concat = wish->tus_concat ? wish->tus_concat : "",
        .reserved_bytes = MAX(wish->size_bytes, 0),
        .created_us = now_us(rq),
    };
    Err e;

    TRY(uploads_check(rq, wish));
    u.expires_us = u.created_us + wish->ttl_ms * 1000;
    if (!wish->partial)
        u.media_id = uuid_v7(media->ids);
    /* A signed URL may be used until it is over, also after the bytes were taken over: they are put elsewhere. */
    u.object_key = wish->partial || strcmp(wish->kind, "put") == 0
                       ? name_incoming_key(rq->mem, u.owner_id, u.id)
                       : name_original_key(rq->mem, u.owner_id, u.media_id, wish->filename);
    TRY(create_in_blob(rq, wish, &u));
    e = insert_upload(rq, wish, &u);
    if (err_failed(e) && *u.blob_state)
        err_ignore(blob_upload_forget(media->blob, u.blob_state)); /* else it is swept away as stale */
    TRY(e);
    *out = u;
    return OK;
}

/* ---------------------------------------------------------------------------------------- while bytes come */

/* Sets aside what `to_bytes` needs; somebody else may have done so meanwhile. */
static Err reserve_up_to(Request *rq, UploadRow *u, int64_t to_bytes, int64_t size_bytes)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    UploadRow now;

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_lock_owner(&tx, u->owner_id));
    TRY(media_store_lock_upload(&tx, rq->mem, u->id, &now));
    if (uuid_is_nil(now.id) || now.complete)
        return err_make(&NOT_FOUND, "the upload is over");
    if (now.reserved_bytes < to_bytes) {
        TRY(media_store_reserve(rq, &tx, u->owner_id, to_bytes - now.reserved_bytes));
        TRY(media_store_set_upload_reserved(&tx, u->id, to_bytes));
        now.reserved_bytes = to_bytes;
    }
    if (size_bytes >= 0)
        TRY(media_store_set_upload_size(&tx, u->id, size_bytes));
    TRY(db_tx_commit(&tx));
    u->reserved_bytes = now.reserved_bytes;
    return OK;
}

Err uploads_grant(Request *rq, UploadRow *u, int64_t up_to)
{
    int64_t max_bytes = u->size_bytes >= 0 ? u->size_bytes : media_of(rq)->settings->upload_max_bytes;
    int64_t step = MIN(up_to + GRANT_STEP_BYTES, max_bytes);
    Err e;

    if (up_to <= u->reserved_bytes)
        return OK;
    if (up_to > max_bytes)
        return err_make(&PAYLOAD_TOO_LARGE, "at most %" PRId64 " bytes", max_bytes);
    e = reserve_up_to(rq, u, step, UPLOAD_NO_SIZE);
    return e.reason == &QUOTA_EXCEEDED ? reserve_up_to(rq, u, up_to, UPLOAD_NO_SIZE) : e;
}

Err uploads_set_size(Request *rq, UploadRow *u, int64_t size_bytes)
{
    if (size_bytes > media_of(rq)->settings->upload_max_bytes)
        return err_make(&PAYLOAD_TOO_LARGE, "at most %" PRId64 " bytes", media_of(rq)->settings->upload_max_bytes);
    TRY(reserve_up_to(rq, u, size_bytes, size_bytes));
    u->size_bytes = size_bytes;
    return OK;
}

Err uploads_give_back(Request *rq, const UploadRow *u)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    BlobInfo there = {0};
    int64_t needed;
    UploadRow now;
    Err e;

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_lock_owner(&tx, u->owner_id));
    TRY(media_store_lock_upload(&tx, rq->mem, u->id, &now));
    if (uuid_is_nil(now.id) || now.complete)
        return OK;
    e = blob_stat(media_of(rq)->blob, now.object_key, &there);
    if (err_failed(e) && e.reason != &NOT_FOUND)
        return e;
    needed = MAX(now.size_bytes, (int64_t)there.size_bytes);
    if (needed >= now.reserved_bytes)
        return OK;
    TRY(media_store_reserve(rq, &tx, now.owner_id, needed - now.reserved_bytes));
    TRY(media_store_set_upload_reserved(&tx, now.id, needed));
    return db_tx_commit(&tx);
}

Err uploads_touch(Request *rq, UploadRow *u)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t expires_us = now_us(rq) + media_of(rq)->settings->upload_ttl_ms * 1000;

    expires_us = MIN(expires_us, u->created_us + (int64_t)UPLOAD_LIFE_MAX_MS * 1000);
    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_touch_upload(&tx, u->id, expires_us));
    TRY(db_tx_commit(&tx));
    u->expires_us = expires_us;
    return OK;
}

/* ---------------------------------------------------------------------------------------- the end */

/* Of an object whose digest the store does not know: it was put there past us. */
static Err hash_object(Request *rq, const char *key, Slice *out)
{
    CLEANUP(blob_reader_free_at) BlobReader *r = NULL;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    char *piece = arena_alloc_raw(rq->mem, HASH_PIECE_BYTES, 1);
    unsigned char *sum = arena_alloc(rq->mem, SHA256_BYTES, 1);
    size_t len = 1;
    Err e = blob_reader_new(media_of(rq)->blob, key, &r);

    EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    while (!err_failed(e) && len) {
        e = blob_reader_read(r, piece, HASH_PIECE_BYTES, &len);
        if (!err_failed(e))
            EVP_DigestUpdate(digest, piece, len);
    }
    EVP_DigestFinal_ex(digest, sum, NULL);
    EVP_MD_CTX_free(digest);
    *out = slice_of(sum, SHA256_BYTES);
    return e;
}

static Err digest_of(Request *rq, const char *key, const BlobInfo *info, Slice *out)
{
    if (info->sha256[0] && hex_decode(rq->mem, slice(info->sha256), out) && out->len == SHA256_BYTES)
        return OK;
    return hash_object(rq, key, out);
}

/* Row and item, together. The item has the object, or had one already. */
static Err take_object(Request *rq, UploadRow *u, CompletedUpload *done)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CompletedOutcome outcome;
    UploadRow now;
    ItemRow item;

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_lock_owner(&tx, u->owner_id));
    TRY(media_store_lock_upload(&tx, rq->mem, u->id, &now));
    if (uuid_is_nil(now.id))
        return err_make(&NOT_FOUND, "media not found");
    if (now.complete) {
        u->complete = true;
        return OK;
    }
    done->reserved_bytes = MAX(now.reserved_bytes, done->size_bytes);
    if (now.reserved_bytes < done->size_bytes) /* given back since it was granted */
        TRY(media_store_reserve(rq, &tx, u->owner_id, done->size_bytes - now.reserved_bytes));
    TRY(media_store_complete(rq, &tx, done, &outcome, &item));
    if (outcome == COMPLETED_GONE)
        return err_make(&NOT_FOUND, "media not found");
    TRY(media_store_complete_upload_row(&tx, u->id, done->size_bytes, 0,
                                        done->now_us + (int64_t)COMPLETE_UPLOAD_KEEP_MS * 1000));
    TRY(db_tx_commit(&tx));
    outbox_nudge(media_of(rq)->outbox);
    u->complete = true;
    u->size_bytes = done->size_bytes;
    return OK;
}

/* The bytes of a signed URL go where nothing replaces them; what came there first stays, so that confirmations side by
 * side take the same. Until then they may have become others than the caller saw. */
static Err take_copy(Request *rq, UploadRow *u, const char *key, BlobInfo *out)
{
    Blob *blob = media_of(rq)->blob;
    Err e = blob_copy(blob, u->object_key, key, true);

    if (err_failed(e) && e.reason != &CONFLICT)
        return e;
    TRY(blob_stat(blob, key, out));
    return uploads_grant(rq, u, (int64_t)out->size_bytes);
}

/* So that the right bytes may still come; unless others did meanwhile. */
static Err give_back_copy(Blob *blob, const char *key, const BlobInfo *looked_at)
{
    BlobInfo now;

    TRY(blob_stat(blob, key, &now));
    return strcmp(now.etag, looked_at->etag) == 0 ? blob_delete(blob, key) : OK;
}

Err uploads_finish(Request *rq, UploadRow *u, const BlobInfo *info, const char *title)
{
    const Media *media = media_of(rq);
    CompletedUpload done = {.item_id = u->media_id, .owner_id = u->owner_id, .title = title, .now_us = now_us(rq)};
    bool incoming = strcmp(u->kind, "put") == 0;
    BlobInfo copied;
    ItemRow item;
    char *type;

    TRY(media_store_item(rq, u->media_id, &item));
    if (uuid_is_nil(item.id))
        return err_make(&NOT_FOUND, "media not found");
    done.key =
        incoming ? name_original_key(rq->mem, u->owner_id, u->media_id, slice(item.original_filename)) : u->object_key;
    if (incoming) {
        TRY(take_copy(rq, u, done.key, &copied));
        info = &copied;
    }
    TRY(digest_of(rq, done.key, info, &done.sha256));
    if (u->sha256.len && !slice_eq(u->sha256, done.sha256)) {
        if (incoming)
            err_ignore(give_back_copy(media->blob, done.key, info)); /* else it goes with the row */
        return err_make(&CHECKSUM_MISMATCH, "the bytes are not what sha256 said");
    }
    TRY(sniff_object(media->sniffer, media->blob, rq->mem, done.key, u->content_type, &type));
    done.size_bytes = (int64_t)info->size_bytes;
    done.mime_type = type;
    TRY(take_object(rq, u, &done));
    if (incoming)
        err_ignore(blob_delete(media->blob, u->object_key)); /* else it goes with the row */
    return OK;
}

Err uploads_finish_part(Request *rq, UploadRow *u, const BlobInfo *info)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t size = (int64_t)info->size_bytes;

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_complete_upload_row(&tx, u->id, size, u->reserved_bytes, u->expires_us));
    TRY(db_tx_commit(&tx));
    u->complete = true;
    u->size_bytes = size;
    return OK;
}

/* ---------------------------------------------------------------------------------------- what comes to nothing */

static bool is_part(const UploadRow *u)
{
    return uuid_is_nil(u->media_id);
}

/* What lies in the store and is not the item's. */
static Err discard_objects(Request *rq, DbTx *tx, const UploadRow *u)
{
    int64_t at_us = now_us(rq);

    if (strcmp(u->kind, "parts") == 0)
        TRY(media_store_discard(tx, name_parts_key(rq->mem, u->owner_id, u->id, 0), at_us));
    if (!u->complete || is_part(u) || strcmp(u->kind, "put") == 0)
        TRY(media_store_discard(tx, u->object_key, at_us));
    if (!u->complete && !is_part(u)) /* a finish that a crash ended may have made it */
        TRY(media_store_discard(
            tx, arena_printf(rq->mem, "original/%" PRId64 "/%s/", u->owner_id, uuid_text(rq->mem, u->media_id)),
            at_us));
    return OK;
}

Err uploads_drop(Request *rq, const UploadRow *u)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    UploadRow now;

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_lock_owner(&tx, u->owner_id));
    TRY(media_store_lock_upload(&tx, rq->mem, u->id, &now));
    if (uuid_is_nil(now.id) || now.complete != u->complete)
        return OK; /* somebody was faster */
    if (now.reserved_bytes > 0)
        TRY(media_store_reserve(rq, &tx, u->owner_id, -now.reserved_bytes));
    TRY(discard_objects(rq, &tx, &now));
    if (!now.complete && !is_part(&now))
        TRY(media_store_delete_unfinished_item(&tx, now.media_id));
    TRY(media_store_delete_upload(&tx, now.id));
    TRY(db_tx_commit(&tx));
    if (*now.blob_state)
        err_ignore(blob_upload_forget(media_of(rq)->blob, now.blob_state)); /* else it is swept away as stale */
    return OK;
}

/* As one of those that may write to it; those that come to nothing, at least. CONFLICT while another one does. */
static Err drop_alone(Request *rq, const UploadRow *u)
{
    Writers *writers = media_of(rq)->writers;
    Err e;

    if (u->complete || !writers)
        return uploads_drop(rq, u);
    TRY(writers_take(writers, rq, u->id));
    e = uploads_drop(rq, u);
    writers_leave(writers, rq, u->id);
    return e;
}

/* Nobody begins with it any more, and the sweeper takes it when who has it now is through. */
static Err expire(Request *rq, const UploadRow *u)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_expire_upload(&tx, u->id, now_us(rq)));
    return db_tx_commit(&tx);
}

Err uploads_drop_of_item(Request *rq, Uuid media_id)
{
    UploadRow u;
    Err e;

    TRY(media_store_upload_of_item(rq, media_id, &u));
    if (uuid_is_nil(u.id))
        return OK;
    e = drop_alone(rq, &u);
    return e.reason == &CONFLICT ? expire(rq, &u) : e;
}

Err uploads_drop_of_owner(Request *rq, int64_t owner_id, int64_t *out_count)
{
    UploadRow *rows;
    size_t count;

    *out_count = 0;
    do {
        TRY(media_store_uploads_of_owner(rq, owner_id, &rows, &count));
        for (size_t i = 0; i < count; i++)
            TRY(drop_alone(rq, &rows[i]));
        *out_count += (int64_t)count;
    } while (count == EXPIRED_UPLOADS_MAX);
    return OK;
}

static Err sweep_expired(Request *rq, bool *out_more)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    size_t count, dropped = 0;
    UploadRow *rows;

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_expired_uploads(&tx, rq->mem, now_us(rq), &rows, &count));
    TRY(db_tx_commit(&tx));
    for (size_t i = 0; i < count; i++) {
        Err e = drop_alone(rq, &rows[i]);

        if (e.reason == &CONFLICT)
            e = uploads_touch(rq, &rows[i]); /* somebody is at it right now */
        else
            dropped++;
        TRY(e);
    }
    *out_more = count == EXPIRED_UPLOADS_MAX && dropped > 0;
    return OK;
}

/* Forgets what no row knows; `*after` is where to go on. */
static Err sweep_stale_page(Request *rq, DbTx *tx, const char **after, size_t *out_count)
{
    Blob *blob = media_of(rq)->blob;
    BlobStale *stale;
    bool known;

    TRY(blob_upload_list_stale(blob, rq->mem, clock_unix_ms(rq->clock) - UPLOAD_LIFE_MAX_MS, *after, STALE_UPLOADS_MAX,
                               &stale, out_count));
    for (size_t i = 0; i < *out_count; i++) {
        TRY(media_store_knows_blob_state(tx, stale[i].state, &known));
        if (!known)
            err_ignore(blob_upload_forget(blob, stale[i].state)); /* next time */
        *after = stale[i].state;
    }
    return OK;
}

/* The store's uploads that no row knows: made, or dropped, when a crash came. */
static Err sweep_stale(Request *rq)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const char *after = NULL;
    size_t count = STALE_UPLOADS_MAX;

    TRY(db_tx_begin(rq, &tx));
    for (int page = 0; page < STALE_PAGES_MAX && count == STALE_UPLOADS_MAX; page++)
        TRY(sweep_stale_page(rq, &tx, &after, &count));
    TRY(db_tx_commit(&tx));
    return blob_sweep(media_of(rq)->blob, clock_unix_ms(rq->clock) - WRITER_LEFTOVER_AGE_MS, NULL);
}

Err uploads_sweep(Request *rq, bool *out_more)
{
    TRY(sweep_expired(rq, out_more));
    return *out_more ? OK : sweep_stale(rq);
}

/* ---------------------------------------------------------------------------------------- tickets */

Media__V1__UploadHeader **uploads_headers(Arena *mem, const BlobSigned *what)
{
    Media__V1__UploadHeader **headers = ARENA_ARRAY(mem, Media__V1__UploadHeader *, what->header_count + 1);

    for (size_t i = 0; i < what->header_count; i++) {
        headers[i] = MESSAGE_NEW(mem, Media__V1__UploadHeader, media__v1__upload_header__init);
        headers[i]->name = arena_strdup(mem, what->headers[i].name);
        headers[i]->value = arena_strdup(mem, what->headers[i].value);
    }
    return headers;
}

Err uploads_ticket_url(Request *rq, const char *path, const Ticket *ticket, char **out)
{
    const Media *media = media_of(rq);
    char *text;

    TRY(ticket_sign(media->tickets, rq->mem, ticket, &text));
    *out = ticket_url(rq->mem, media->bytes_url, path, text, "");
    return OK;
}

Err uploads_url(Request *rq, const UploadRow *u, const char *path, const char *kind, int64_t expires_ms, char **out)
{
    const Ticket ticket = {
        .kind = kind,
        .user_id = u->owner_id,
        .login_id = rq->caller.login_id,
        .resource = uuid_text(rq->mem, u->id),
        .expires_ms = expires_ms,
    };

    return uploads_ticket_url(rq, path, &ticket, out);
}

Err uploads_of_owner(Request *rq, Slice id, int64_t owner_id, UploadRow *out)
{
    Uuid uuid;

    if (!uuid_parse(id, &uuid))
        return err_make(&NOT_FOUND, "no such upload");
    TRY(media_store_upload(rq, uuid, out));
    if (uuid_is_nil(out->id) || out->owner_id != owner_id || out->expires_us <= now_us(rq))
        return err_make(&NOT_FOUND, "no such upload, or not any more");
    return OK;
}

Err uploads_of_ticket(BytesExchange *x, Slice text, const char *kind, UploadRow *out)
{
    Ticket ticket;

    TRY(bytes_take_ticket(x, text, kind, &ticket));
    return uploads_of_owner(bytes_request(x), slice(ticket.resource), ticket.user_id, out);
}
