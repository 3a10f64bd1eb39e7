/* post: a message is posted. */
#include "atrium/chat/v1/messages.service.h"
#include "services/chat/attachments.h"
#include "services/chat/store.h"
#include "services/chat/store_messages.h"

enum { PLAIN_TRIES = 3 };

Err messages_check_content(const char *content, bool attached)
{
    size_t chars = utf8_length(slice(content));

    if (chars > CONTENT_MAX_CHARS || (chars == 0 && !attached))
        return err_make(&INVALID_CONTENT, "message content must be 1-2000 characters");
    return OK;
}

static Err may_post(const Place *place)
{
    if (place->type == CHANNEL_CATEGORY)
        return err_make(&INVALID_CHANNEL, "a category has no messages");
    if (place->blocked)
        return err_make(&PERMISSION_DENIED, "you cannot write to this user");
    return OK;
}

Err messages_find_mentions(DbTx *tx, Request *rq, const Place *place, Chat__V1__Message *message)
{
    Mentions found;

    message->n_mentions = message->n_mention_roles = 0;
    mentions_find(slice(message->content), &found);
    SET(message, mention_everyone,
        found.everyone && (!place->guild_id || (place->permissions & PERMISSION_MENTION_EVERYONE) != 0));
    return mentions_none(&found) ? OK : chat_store_resolve_mentions(tx, rq->mem, place, &found, message);
}

static void add_mention(Arena *mem, Chat__V1__Message *message, int64_t user_id)
{
    int64_t *list;

    for (size_t i = 0; i < message->n_mentions; i++)
        if (message->mentions[i] == user_id)
            return;
    list = ARENA_ARRAY(mem, int64_t, message->n_mentions + 1);
    for (size_t i = 0; i < message->n_mentions; i++)
        list[i] = message->mentions[i];
    list[message->n_mentions++] = user_id;
    message->mentions = list;
}

Err messages_mention_answered(DbTx *tx, Request *rq, Chat__V1__Message *message)
{
    int64_t author_id;

    TRY(chat_store_author_of(tx, message->channel_id, message->reply_to, &author_id));
    if (author_id && author_id != message->author_id)
        add_mention(rq->mem, message, author_id);
    return OK;
}

static Err answer_to(DbTx *tx, Request *rq, int64_t reply_to, Chat__V1__Message *message)
{
    int64_t author_id;

    TRY(chat_store_author_of(tx, message->channel_id, reply_to, &author_id));
    if (!author_id)
        return err_make(&INVALID_REPLY, "reply_to: no message of this channel");
    SET(message, reply_to, reply_to);
    SET(message, type, MESSAGE_TYPE_REPLY);
    if (author_id != message->author_id)
        add_mention(rq->mem, message, author_id);
    return OK;
}

static Err keep_slow(DbTx *tx, Request *rq, const Place *place)
{
    int64_t wait_us = 0;

    if (!place->slow_s || (place->permissions & PERMISSION_MANAGE_MESSAGES))
        return OK;
    TRY(chat_store_slow_post(tx, place->id, rq->caller.user_id, place->slow_s, clock_unix_us(rq->clock), &wait_us));
    if (wait_us <= 0)
        return OK;
    request_set_retry_after(rq, (uint32_t)((wait_us + 999999) / 1000000));
    return err_make(&SLOW_MODE, "slow mode: one message in %d seconds", place->slow_s);
}

static void begin_message(Request *rq, const Place *place, Chat__V1__Message *out)
{
    const Chat *chat = rq->service;

    SET(out, id, messages_next_id(chat, place));
    SET(out, channel_id, place->id);
    if (place->guild_id)
        SET(out, guild_id, place->guild_id);
    SET(out, author_id, rq->caller.user_id);
    SET(out, type, MESSAGE_TYPE_PLAIN);
    out->author_username = (char *)place->username;
    out->author_display_name = (char *)place->display_name;
    out->author_avatar_hash = (char *)place->avatar_hash;
    out->created_at = chat_time(rq->mem, id_snowflake_unix_ms(out->id) * 1000);
}

static Err check_nonce(const char *nonce)
{
    if (nonce && (!nonce[0] || strlen(nonce) > NONCE_MAX_BYTES))
        return err_make(&INVALID_NONCE, "nonce: 1 to %d bytes", NONCE_MAX_BYTES);
    return OK;
}

static Err fill_message(DbTx *tx, Request *rq, const Place *place, const Chat__V1__SendMessageRequest *in,
                        Chat__V1__Message *out)
{
    begin_message(rq, place, out);
    if (in->n_attachments || place->has_uploads)
        TRY(attachments_claim(tx, rq, in->attachments, in->n_attachments, out));
    TRY(messages_check_content(in->content, out->n_attachments > 0));
    TRY(check_nonce(in->nonce));
    out->content = in->content ? in->content : (char *)"";
    out->nonce = in->nonce;
    TRY(messages_find_mentions(tx, rq, place, out));
    return in->has_reply_to ? answer_to(tx, rq, in->reply_to, out) : OK;
}

static Err announce(Request *rq, const Place *place, const Chat__V1__Message *message, OutboxRow *out)
{
    return chat_dispatch_row(
        rq->mem, &(ChatDispatch){.topic = place_topic(place), .event = "MESSAGE_CREATE", .data = &message->base}, out);
}

/* Any message: a look under the locks, then what it takes. */
static Err post_fully(Request *rq, const Chat__V1__SendMessageRequest *in, Chat__V1__Message *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    OutboxRow row;
    Place place;

    chat__v1__message__init(out);
    TRY(db_tx_begin(rq, &tx));
    TRY(place_enter(&tx, rq, in->channel_id, PERMISSION_SEND_MESSAGES, &place));
    TRY(may_post(&place));
    TRY(fill_message(&tx, rq, &place, in, out));
    TRY(keep_slow(&tx, rq, &place));
    TRY(announce(rq, &place, out, &row));
    TRY(chat_store_insert_mentions(&tx, out));
    TRY(chat_store_insert_message(&tx, out, &row));
    return db_tx_commit(&tx);
}

/* --- plain messages ------------------------------------------------------------------------------------------------
 */
/* Most messages are text and nothing else. Such a one is looked at without locks, with all reads of the moment, and
 * then written by one statement, which takes the locks and looks again. */
static bool is_plain(const Place *place, const Chat__V1__SendMessageRequest *in)
{
    Mentions found;

    if (place->has_uploads || (place->slow_s && !(place->permissions & PERMISSION_MANAGE_MESSAGES)))
        return false;
    mentions_find(slice(in->content), &found);
    return mentions_none(&found) && !found.everyone;
}

/* `*out_done` false: this is not the way, after all. */
static Err post_plainly(Request *rq, const Chat__V1__SendMessageRequest *in, Chat__V1__Message *out, bool *out_done)
{
    OutboxRow row;
    Place place;

    TRY(place_look(rq, in->channel_id, PERMISSION_SEND_MESSAGES, &place));
    TRY(may_post(&place));
    if (!is_plain(&place, in))
        return OK;
    TRY(messages_check_content(in->content, false));
    TRY(check_nonce(in->nonce));
    /* Somebody else may have posted a later id since this one was drawn: then another is. */
    for (int i = 0; i < PLAIN_TRIES && !*out_done; i++) {
        chat__v1__message__init(out);
        begin_message(rq, &place, out);
        SET(out, mention_everyone, false);
        out->content = in->content;
        out->nonce = in->nonce;
        TRY(announce(rq, &place, out, &row));
        TRY(chat_store_post_plain(rq, out, &row, out_done));
    }
    return OK;
}

Err messages_post(Request *rq, const Chat__V1__SendMessageRequest *in, Chat__V1__Message *out)
{
    const Chat *chat = rq->service;
    bool done = false;

    if (!in->has_reply_to && !in->n_attachments)
        TRY(post_plainly(rq, in, out, &done));
    if (!done)
        TRY(post_fully(rq, in, out));
    outbox_nudge(chat->outbox);
    return OK;
}

Err chat_v1_send_message(Request *rq, const Chat__V1__SendMessageRequest *in, Chat__V1__Message *out)
{
    return messages_post(rq, in, out);
}
