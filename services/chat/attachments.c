/* attachments: see attachments.h. */
#include "services/chat/attachments.h"

#include "atrium/chat/v1/attachments.service.h"
#include "atrium/chat/v1/events.atrium.h"
#include "services/chat/store_attachments.h"

enum { ID_TIME_SHIFT = 22 };

char *attachment_url(Request *rq, const char *path)
{
    return arena_strdup(rq->mem, path);
}

/* --- for media -------------------------------------------------------------------------------------------------------
 */
Err chat_v1_authorize_attachment(Request *rq, const Chat__V1__AuthorizeAttachmentRequest *in,
                                 Chat__V1__AuthorizeAttachmentReply *out)
{
    Place place;

    (void)out;
    TRY(place_look(rq, in->channel_id, PERMISSION_ATTACH_FILES, &place));
    return place.blocked ? err_make(&PERMISSION_DENIED, "you cannot write to this user") : OK;
}

static Err check_text(const char *text, size_t max_bytes, const char *name)
{
    if (!text || !text[0] || strlen(text) > max_bytes)
        return err_make(&INVALID_ATTACHMENT, "%s: 1 to %zu bytes", name, max_bytes);
    return OK;
}

/* Asked again: the upload took its time. */
Err chat_v1_register_attachment(Request *rq, const Chat__V1__RegisterAttachmentRequest *in, Chat__V1__Attachment *out)
{
    const Chat *chat = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    ChannelAccess access;

    TRY(check_text(in->filename, FILENAME_MAX_BYTES, "filename"));
    TRY(check_text(in->content_type, CONTENT_TYPE_MAX_BYTES, "content_type"));
    TRY(check_text(in->path, ATTACHMENT_PATH_MAX_BYTES, "path"));
    TRY(db_tx_begin(rq, &tx));
    TRY(permissions_require_channel(rq, &tx, in->channel_id, PERMISSION_ATTACH_FILES, &access));
    SET(out, id, id_next(chat->ids));
    SET(out, message_id, 0);
    out->filename = in->filename;
    out->content_type = in->content_type;
    SET(out, size, in->size);
    out->url = in->path;
    out->media_id = in->media_id;
    TRY(chat_store_insert_attachment(&tx, out, in->channel_id, rq->caller.user_id, in->alone));
    out->url = attachment_url(rq, in->path);
    return db_tx_commit(&tx);
}

/* --- of messages -----------------------------------------------------------------------------------------------------
 */
Err attachments_claim(DbTx *tx, Request *rq, const int64_t *ids, size_t count, Chat__V1__Message *message)
{
    int64_t after_id = message->id - ((int64_t)CLAIM_WINDOW_MS << ID_TIME_SHIFT);

    if (count > ATTACHMENTS_MAX)
        return err_make(&INVALID_ATTACHMENT, "attachments: at most %d", ATTACHMENTS_MAX);
    TRY(chat_store_claim(tx, rq, message, ids, count, after_id, &message->attachments, &message->n_attachments));
    if (message->n_attachments < count)
        return err_make(&INVALID_ATTACHMENT, "attachments: ids of uploads of yours to this channel, each once");
    return OK;
}

Err attachments_announce_released(DbTx *tx, Request *rq, const Uuid *items, size_t count)
{
    const Chat *chat = rq->service;

    for (size_t i = 0; i < count; i++) {
        Chat__V1__AttachmentReleased body = CHAT__V1__ATTACHMENT_RELEASED__INIT;
        OutboxRow row;

        body.media_id = uuid_text(rq->mem, items[i]);
        row = outbox_event(rq->mem, chat->ids, &CHAT_V1_ATTACHMENT_RELEASED_EVENT, body.media_id, &body.base);
        TRY(outbox_insert(tx, &row, false)); /* one event for each key: there is no order to keep */
    }
    return OK;
}

Err attachments_release(DbTx *tx, Request *rq, const int64_t *message_ids, size_t count)
{
    Uuid *items;
    size_t item_count;

    TRY(chat_store_release(tx, rq->mem, message_ids, count, &items, &item_count));
    return attachments_announce_released(tx, rq, items, item_count);
}
