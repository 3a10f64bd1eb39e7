/* messages: reading, changing and deleting them. */
#include "services/chat/messages.h"

#include "atrium/chat/v1/messages.service.h"
#include "services/chat/attachments.h"
#include "services/chat/audit.h"
#include "services/chat/store.h"
#include "services/chat/store_messages.h"

Err messages_limit(const char *text, int max, int by_default, int *out)
{
    int64_t limit = by_default;

    if (text && (!slice_to_int64(slice(text), &limit) || limit < 1 || limit > max))
        return err_make(&INVALID_LIMIT, "limit must be 1-%d", max);
    *out = (int)limit;
    return OK;
}

int64_t messages_next_id(const Chat *chat, const Place *place)
{
    int64_t id = id_next(chat->ids);

    return MAX(id, place->last_id + 1);
}

/* --- reading ---------------------------------------------------------------------------------------------------------
 */
static Err read_cursor(const char *text, const Reason *reason, const char *name, int64_t *out)
{
    if (!slice_to_int64(slice(text), out))
        return err_make(reason, "invalid %s cursor", name);
    return OK;
}

Err chat_v1_list_messages(Request *rq, const Chat__V1__ListMessagesRequest *in, Chat__V1__MessageList *out)
{
    HistoryFrom from = HISTORY_BEFORE;
    int64_t id = INT64_MAX;
    int limit;

    TRY(messages_limit(in->limit, MESSAGES_PAGE_MAX, MESSAGES_PAGE_DEFAULT, &limit));
    if (in->before)
        TRY(read_cursor(in->before, &INVALID_BEFORE, "before", &id));
    if (in->after) {
        TRY(read_cursor(in->after, &INVALID_AFTER, "after", &id));
        from = HISTORY_AFTER;
    }
    if (in->around) {
        TRY(read_cursor(in->around, &INVALID_AROUND, "around", &id));
        from = HISTORY_AROUND;
    }
    return chat_store_history(rq, in->channel_id, from, id, limit, out);
}

Err chat_v1_get_message(Request *rq, const Chat__V1__GetMessageRequest *in, Chat__V1__Message *out)
{
    return chat_store_message(rq, in->channel_id, in->message_id, out);
}

/* --- changing --------------------------------------------------------------------------------------------------------
 */
Err chat_v1_edit_message(Request *rq, const Chat__V1__EditMessageRequest *in, Chat__V1__Message *out)
{
    const Chat *chat = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t now_us = clock_unix_us(rq->clock);
    Chat__V1__Message old;
    Place place;

    TRY(db_tx_begin(rq, &tx));
    TRY(place_enter(&tx, rq, in->channel_id, PERMISSION_VIEW_CHANNEL, &place));
    TRY(chat_store_message_in(&tx, rq, &place, in->message_id, &old));
    if (old.author_id != rq->caller.user_id)
        return err_make(&PERMISSION_DENIED, "you can only edit your own messages");
    TRY(place_require(&place, PERMISSION_SEND_MESSAGES)); /* what may not be said may not be said so either */
    if (place.blocked)
        return err_make(&PERMISSION_DENIED, "you cannot write to this user");
    TRY(messages_check_content(in->content, old.n_attachments > 0));
    *out = old;
    out->content = in->content ? in->content : (char *)"";
    out->edited_at = chat_time(rq->mem, now_us);
    TRY(messages_find_mentions(&tx, rq, &place, out));
    if (out->has_reply_to)
        TRY(messages_mention_answered(&tx, rq, out));
    TRY(chat_store_update_message(&tx, &old, out, now_us));
    TRY(chat_dispatch(&tx, rq->mem,
                      &(ChatDispatch){.topic = place_topic(&place), .event = "MESSAGE_UPDATE", .data = &out->base}));
    TRY(db_tx_commit(&tx));
    outbox_nudge(chat->outbox);
    return OK;
}

/* --- deleting --------------------------------------------------------------------------------------------------------
 */
static Chat__V1__MessageDeleted *deleted(Arena *mem, const Place *place, int64_t id)
{
    Chat__V1__MessageDeleted *event = MESSAGE_NEW(mem, Chat__V1__MessageDeleted, chat__v1__message_deleted__init);

    SET(event, id, id);
    SET(event, channel_id, place->id);
    if (place->guild_id)
        SET(event, guild_id, place->guild_id);
    return event;
}

static Err tell_deleted(DbTx *tx, Request *rq, const Place *place, int64_t id)
{
    return chat_dispatch(tx, rq->mem,
                         &(ChatDispatch){.topic = place_topic(place),
                                         .event = "MESSAGE_DELETE",
                                         .data = &deleted(rq->mem, place, id)->base});
}

/* The browser's client knows no MESSAGE_DELETE_BULK: it is told of each. */
static Err tell_many_deleted(DbTx *tx, Request *rq, const Place *place, const DeletedMessages *gone)
{
    Chat__V1__MessagesDeleted *event =
        MESSAGE_NEW(rq->mem, Chat__V1__MessagesDeleted, chat__v1__messages_deleted__init);
    ChatEvent *each = ARENA_ARRAY(rq->mem, ChatEvent, gone->count);

    event->ids = gone->ids;
    event->n_ids = gone->count;
    SET(event, channel_id, place->id);
    if (place->guild_id)
        SET(event, guild_id, place->guild_id);
    for (size_t i = 0; i < gone->count; i++)
        each[i] = (ChatEvent){"MESSAGE_DELETE", &deleted(rq->mem, place, gone->ids[i])->base};
    return chat_dispatch(
        tx, rq->mem,
        &(ChatDispatch){.topic = place_topic(place),
                        .event = "MESSAGE_DELETE_BULK",
                        .data = &event->base,
                        .variants = &(ChatVariant){.web = true, .events = each, .event_count = gone->count},
                        .variant_count = 1});
}

static Err delete_messages(DbTx *tx, Request *rq, const Place *place, const int64_t *ids, size_t count,
                           DeletedMessages *out)
{
    TRY(chat_store_delete_messages(tx, rq->mem, place->id, ids, count, out));
    return out->attached ? attachments_release(tx, rq, out->ids, out->count) : OK;
}

/* What somebody does to others' messages in a guild. */
static Err log_deleted(DbTx *tx, Request *rq, const Place *place, AuditAction action, int64_t target_id, int64_t count)
{
    Audit audit = {.rq = rq, .action = action, .guild_id = place->guild_id, .target_id = target_id};

    if (!place->guild_id)
        return OK;
    audit_id(&audit, "channel_id", place->id, 0);
    audit_number(&audit, "count", AUDIT_ABSENT, count);
    return audit_insert(&audit, tx);
}

Err chat_v1_delete_message(Request *rq, const Chat__V1__DeleteMessageRequest *in, Chat__V1__DeleteMessageReply *out)
{
    const Chat *chat = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    DeletedMessages gone;
    int64_t author_id;
    Place place;

    (void)out;
    TRY(db_tx_begin(rq, &tx));
    TRY(place_enter(&tx, rq, in->channel_id, PERMISSION_VIEW_CHANNEL, &place));
    TRY(chat_store_author_of(&tx, in->channel_id, in->message_id, &author_id));
    if (!author_id)
        return err_make(&NOT_FOUND, "message not found");
    if (author_id != rq->caller.user_id && !place.guild_id)
        return err_make(&PERMISSION_DENIED, "you can only delete your own messages in DMs");
    if (author_id != rq->caller.user_id)
        TRY(place_require(&place, PERMISSION_MANAGE_MESSAGES));
    TRY(delete_messages(&tx, rq, &place, &in->message_id, 1, &gone));
    TRY(tell_deleted(&tx, rq, &place, in->message_id));
    if (author_id != rq->caller.user_id)
        TRY(log_deleted(&tx, rq, &place, AUDIT_MESSAGE_DELETE, author_id, 1));
    TRY(db_tx_commit(&tx));
    outbox_nudge(chat->outbox);
    return OK;
}

Err chat_v1_bulk_delete_messages(Request *rq, const Chat__V1__BulkDeleteMessagesRequest *in,
                                 Chat__V1__BulkDeleteMessagesReply *out)
{
    const Chat *chat = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    DeletedMessages gone;
    Place place;

    (void)out;
    TRY(db_tx_begin(rq, &tx));
    TRY(place_enter(&tx, rq, in->channel_id, PERMISSION_VIEW_CHANNEL | PERMISSION_MANAGE_MESSAGES, &place));
    if (in->n_messages < BULK_DELETE_MIN || in->n_messages > BULK_DELETE_MAX)
        return err_make(&INVALID_MESSAGES, "messages: %d to %d ids", BULK_DELETE_MIN, BULK_DELETE_MAX);
    TRY(delete_messages(&tx, rq, &place, in->messages, in->n_messages, &gone));
    if (gone.count == 0)
        return OK;
    TRY(gone.count == 1 ? tell_deleted(&tx, rq, &place, gone.ids[0]) : tell_many_deleted(&tx, rq, &place, &gone));
    TRY(log_deleted(&tx, rq, &place, AUDIT_MESSAGES_DELETE, place.id, (int64_t)gone.count));
    TRY(db_tx_commit(&tx));
    outbox_nudge(chat->outbox);
    return OK;
}

Err messages_erase(Request *rq, int64_t channel_id, int64_t guild_id, const int64_t *ids, size_t count)
{
    const Place place = {.id = channel_id, .guild_id = guild_id};
    CLEANUP(db_tx_done) DbTx tx = {0};
    DeletedMessages gone;

    TRY(db_tx_begin(rq, &tx));
    TRY(guild_id ? chat_lock_channel(&tx, guild_id, channel_id) : chat_lock_dm(&tx, channel_id));
    TRY(delete_messages(&tx, rq, &place, ids, count, &gone));
    if (gone.count > 0)
        TRY(tell_many_deleted(&tx, rq, &place, &gone));
    return db_tx_commit(&tx);
}
