/* attachments: files that people bring for messages of chat. Chat is asked before the first byte is kept, and told when
 * there is an item; what becomes of it afterwards, chat says by events. */
#include "services/media/attachments.h"

#include "atrium/chat/v1/attachments.atrium.h"
#include "atrium/chat/v1/chat.atrium.h"
#include "atrium/chat/v1/events.pb-c.h"
#include "atrium/media/v1/uploads.service.h"
#include "services/media/content.h"
#include "services/media/sniff.h"
#include "services/media/store_attachments.h"
#include "services/media/store_items.h"
#include "services/media/uploads.h"
#include "shared/multipart.h"
#include "shared/strbuf.h"

enum {
    ATTACHMENT_MAX_BYTES = 10 * 1024 * 1024,
    ATTACHMENT_FORM_MAX_BYTES = 12 * 1024 * 1024, /* of the request, form and all */
    ATTACHMENT_NAME_MAX_BYTES = 255,
    ATTACHMENT_ANSWER_MAX_BYTES = 8192,
    PURGE_TIMEOUT_MS = 30000,
    SECRET_BYTES = 16
};
#define PROFILE_BROWSER "chat-web"
#define PROFILE_ANY "all"
#define CACHE_ATTACHMENT "private, max-age=3600"

/* ---------------------------------------------------------------------------------------- coming in */

typedef struct Bringing {
    BytesExchange *x;
    Multipart *parser;
    int64_t channel_id;
    bool found;   /* the field was there */
    bool current; /* and is the part being read */
    bool refused; /* of a type that may not be: its bytes are counted and no more */
    uint64_t size_bytes;
    UploadRow upload;
    bool opened, finished; /* there is an upload; it is an item's from here on */
    BlobWriter *writer;
    BlobInfo info;
} Bringing;

/* Pictures, sound and video, which play; of the rest what the contract names, exactly as it is spelled there. */
static bool type_may_be(Slice type)
{
    return slice_starts_with(type, SLICE_LIT("image/")) || slice_starts_with(type, SLICE_LIT("video/")) ||
           slice_starts_with(type, SLICE_LIT("audio/")) || slice_eq_cstr(type, "application/pdf") ||
           slice_eq_cstr(type, "text/plain");
}

static Err missing_file(void)
{
    return err_make(&MISSING_FILE, "file field is required");
}

static Err ask_chat(Request *rq, int64_t channel_id)
{
    Chat__V1__AuthorizeAttachmentRequest in = CHAT__V1__AUTHORIZE_ATTACHMENT_REQUEST__INIT;
    Chat__V1__AuthorizeAttachmentReply *out;

    SET(&in, channel_id, channel_id);
    return chat_v1_authorize_attachment_call(rq->client, &(CallOptions){.rq = rq}, rq->mem, &in, &out);
}

static Err open_upload(Bringing *b, const MultipartPart *part)
{
    Request *rq = bytes_request(b->x);
    const Media *media = rq->service;
    UploadWish wish = {
        .kind = "form",
        .filename = utf8_take(part->filename, ATTACHMENT_NAME_MAX_BYTES),
        .content_type = slice_cstr(rq->mem, part->content_type),
        .title = "",
        .size_bytes = UPLOAD_NO_SIZE,
        .ttl_ms = media->settings->upload_ttl_ms,
    };

    TRY(uploads_open(rq, &wish, &b->upload));
    b->opened = true;
    return blob_writer_new(media->blob,
                           &(BlobPut){.key = b->upload.object_key,
                                      .content_type = b->upload.content_type,
                                      .length = BLOB_UNKNOWN,
                                      .max_bytes = ATTACHMENT_MAX_BYTES},
                           &b->writer);
}

static Err begin_part(void *at, const MultipartPart *part)
{
    Bringing *b = at;

    b->current = !b->found && part->is_file && part->filename.len && slice_eq_cstr(part->name, "file");
    if (!b->current)
        return OK;
    b->found = true;
    TRY(ask_chat(bytes_request(b->x), b->channel_id));
    b->refused = !type_may_be(part->content_type);
    return b->refused ? OK : open_upload(b, part);
}

static Err part_data(void *at, Slice piece)
{
    Bringing *b = at;

    if (!b->current)
        return OK;
    b->size_bytes += piece.len;
    if (b->size_bytes > ATTACHMENT_MAX_BYTES)
        return err_make(&FILE_TOO_LARGE, "file must be under 10 MB");
    if (b->refused)
        return OK;
    TRY(uploads_grant(bytes_request(b->x), &b->upload, (int64_t)b->size_bytes));
    return blob_writer_write(b->writer, piece);
}

static Err end_part(void *at)
{
    Bringing *b = at;

    if (!b->current || b->refused)
        return OK;
    TRY(blob_writer_commit(b->writer, &b->info));
    blob_writer_free(MOVE(b->writer));
    return OK;
}

static Err begin_attachment(BytesExchange *x)
{
    static const MultipartEvents EVENTS = {begin_part, part_data, end_part};
    Request *rq = bytes_request(x);
    Bringing *b = ARENA_NEW(rq->mem, Bringing);
    Slice boundary;

    if (!slice_to_int64(bytes_variable(x, "channel_id"), &b->channel_id))
        return err_make(&INVALID_ID, "channel_id: an id");
    if (err_failed(multipart_boundary(rq->mem, slice(bytes_header(x, "content-type")), &boundary)))
        return missing_file();
    bytes_limit_body(x, ATTACHMENT_FORM_MAX_BYTES);
    b->x = x;
    b->parser = multipart_new(rq->mem, boundary, &EVENTS, b);
    bytes_set_state(x, b);
    return OK;
}

static Err attachment_data(BytesExchange *x, Slice piece)
{
    Bringing *b = bytes_state(x);

    Err e = multipart_push(b->parser, piece);

    return e.reason == &INVALID_ARGUMENT ? err_make(&INVALID_FILENAME, "%s", e.text) : e;
}

/* Until chat has it, it is nobody's: then it goes again. */
static Err take_away(Request *rq, Uuid media_id)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    ItemRow item;

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_lock_item(&tx, rq->mem, media_id, &item));
    if (item.owner_id != 0)
        TRY(media_store_purge(rq, &tx, &item));
    return db_tx_commit(&tx);
}

static Err remember(Request *rq, Uuid media_id, const char *secret)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_insert_attachment(&tx, media_id, secret));
    return db_tx_commit(&tx);
}

/* Who reaches the data plane by itself comes with no profile that could be believed: then it is as the gateway has it
 * for hosts of which nothing is said. */
static bool comes_from_browser(const Request *rq)
{
    const Media *media = rq->service;

    return strcmp(rq->profile, PROFILE_BROWSER) == 0 ||
           (strcmp(rq->profile, PROFILE_ANY) == 0 && strcmp(media->settings->chat_dialect, "web") == 0);
}

static Err tell_chat(Request *rq, const Bringing *b, const ItemRow *item, Chat__V1__Attachment **out)
{
    Chat__V1__RegisterAttachmentRequest in = CHAT__V1__REGISTER_ATTACHMENT_REQUEST__INIT;
    uint8_t random[SECRET_BYTES];
    char *secret;

    random_bytes(random, sizeof random);
    secret = base64url_encode(rq->mem, slice_of(random, sizeof random));
    TRY(remember(rq, item->id, secret));
    SET(&in, channel_id, b->channel_id);
    in.media_id = uuid_text(rq->mem, item->id);
    in.filename = (char *)item->original_filename;
    in.content_type = (char *)item->mime_type;
    SET(&in, size, item->size_bytes);
    in.path = ticket_url(rq->mem, "", "/attachments/", secret, arena_printf(rq->mem, "/%s", item->original_filename));
    SET(&in, alone, comes_from_browser(rq));
    return chat_v1_register_attachment_call(rq->client, &(CallOptions){.rq = rq}, rq->mem, &in, out);
}

static Err answer(BytesExchange *x, const Chat__V1__Attachment *a)
{
    StrBuf json = strbuf_new(bytes_request(x)->mem, ATTACHMENT_ANSWER_MAX_BYTES);
    Slice body;

    strbuf_printf(&json, "{\"id\":\"%" PRId64 "\",\"message_id\":\"0\",\"filename\":", a->id);
    strbuf_append_json(&json, slice(a->filename));
    strbuf_append_cstr(&json, ",\"content_type\":");
    strbuf_append_json(&json, slice(a->content_type));
    strbuf_printf(&json, ",\"size\":%" PRId64 ",\"url\":", a->size);
    strbuf_append_json(&json, slice(a->url));
    strbuf_append_cstr(&json, ",\"media_id\":");
    strbuf_append_json(&json, slice(a->media_id));
    strbuf_append_cstr(&json, "}\n");
    if (!strbuf_finish(&json, &body))
        return err_make(&INTERNAL, "the answer to an attachment is too long");
    return bytes_answer(x, 201, "application/json", body);
}

static Err end_attachment(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    Bringing *b = bytes_state(x);
    Chat__V1__Attachment *attachment = NULL;
    ItemRow item;
    Err e;

    if (err_failed(multipart_finish(b->parser)) || !b->found)
        return missing_file();
    if (b->refused)
        return err_make(&INVALID_CONTENT_TYPE, "file type not allowed");
    TRY(uploads_finish(rq, &b->upload, &b->info, ""));
    b->finished = true;
    TRY(media_store_item(rq, b->upload.media_id, &item));
    e = tell_chat(rq, b, &item, &attachment);
    if (err_failed(e)) {
        err_ignore(take_away(rq, item.id)); /* else it stays, and is his like any other item */
        return e;
    }
    return answer(x, attachment);
}

static void attachment_done(BytesExchange *x)
{
    Bringing *b = bytes_state(x);

    if (!b)
        return;
    blob_writer_free(MOVE(b->writer));
    if (b->opened && !b->finished)
        err_ignore(uploads_drop(bytes_request(x), &b->upload)); /* else it expires */
}

const BytesHandler media_v1_upload_attachment = {begin_attachment, attachment_data, end_attachment, attachment_done};

/* ---------------------------------------------------------------------------------------- going out */

static Err begin_get(BytesExchange *x)
{
    Request *rq = bytes_request(x);
    const Media *media = rq->service;
    Slice download;
    ItemRow item;
    bool saves;

    TRY(media_store_attachment(rq, bytes_variable(x, "secret"), &item));
    if (item.owner_id == 0 || !*item.object_key)
        return err_make(&NOT_FOUND, "attachment not found");
    saves =
        (bytes_query(x, "download", &download) && slice_eq_cstr(download, "1")) || !sniff_is_harmless(item.mime_type);
    /* Whatever it is, in our origin it runs nothing. */
    request_set_header(rq, "Content-Security-Policy", "sandbox; default-src 'none'; media-src 'self'; img-src 'self'");
    return content_answer(
        x, media->blob, item.object_key,
        &(ContentLook){.content_type = *item.mime_type ? item.mime_type : "application/octet-stream",
                       .disposition = bytes_disposition(rq->mem, saves, slice(item.original_filename)),
                       .cache_control = CACHE_ATTACHMENT});
}

const BytesHandler media_v1_get_attachment = {.begin = begin_get};

/* ---------------------------------------------------------------------------------------- the end */

static Err release(Request *rq, Uuid media_id)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    ItemRow item;
    bool is_one;

    TRY(db_tx_begin(rq, &tx));
    TRY(media_store_lock_item(&tx, rq->mem, media_id, &item));
    TRY(media_store_is_attachment(&tx, media_id, &is_one));
    if (item.owner_id == 0 || !is_one)
        return OK;
    TRY(media_store_purge(rq, &tx, &item));
    return db_tx_commit(&tx);
}

Err attachment_events_take(void *context, Arena *mem, const Event *event)
{
    const AttachmentEvents *events = context;
    Request rq = {.mem = mem,
                  .service = events->media,
                  .clock = events->clock,
                  .db = events->db,
                  .log = events->log,
                  .deadline_ms = clock_monotonic_ms(events->clock) + PURGE_TIMEOUT_MS};
    ProtobufCMessage *body;
    Uuid media_id;

    TRY(message_unpack(mem, &chat__v1__attachment_released__descriptor, event->body, &body));
    if (!uuid_parse(slice(((Chat__V1__AttachmentReleased *)body)->media_id), &media_id))
        return err_make(&INVALID_ARGUMENT, "media_id: no UUID");
    TRY(release(&rq, media_id));
    outbox_nudge(events->media->outbox);
    return OK;
}
