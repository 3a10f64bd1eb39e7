/* reactions: what people say to a message with one sign. */
#include "atrium/chat/v1/messages.service.h"
#include "services/chat/store_messages.h"
#include "services/chat/store_reactions.h"

enum { REACT = PERMISSION_VIEW_CHANNEL | PERMISSION_READ_MESSAGE_HISTORY };

static Err check_emoji(const char *emoji)
{
    size_t len = emoji ? strlen(emoji) : 0;

    if (len < 1 || len > EMOJI_MAX_BYTES)
        return err_make(&INVALID_EMOJI, "emoji: 1 to %d bytes", EMOJI_MAX_BYTES);
    return OK;
}

/* Tells of a change, and keeps it. */
static Err finish(DbTx *tx, Request *rq, const Place *place, const Chat__V1__ReactionRequest *in, const char *event)
{
    const Chat *chat = rq->service;
    Chat__V1__ReactionChanged body = CHAT__V1__REACTION_CHANGED__INIT;

    SET(&body, message_id, in->message_id);
    SET(&body, channel_id, place->id);
    if (place->guild_id)
        SET(&body, guild_id, place->guild_id);
    SET(&body, user_id, rq->caller.user_id);
    body.emoji = in->emoji;
    TRY(chat_dispatch(tx, rq->mem, &(ChatDispatch){.topic = place_topic(place), .event = event, .data = &body.base}));
    TRY(db_tx_commit(tx));
    outbox_nudge(chat->outbox);
    return OK;
}

Err chat_v1_add_reaction(Request *rq, const Chat__V1__ReactionRequest *in, Chat__V1__ReactionReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    ReactionState state;
    Place place;

    (void)out;
    TRY(check_emoji(in->emoji));
    TRY(db_tx_begin(rq, &tx));
    TRY(place_enter(&tx, rq, in->channel_id, REACT, &place));
    if (place.blocked)
        return err_make(&PERMISSION_DENIED, "you cannot write to this user");
    TRY(chat_store_reaction_state(&tx, in->channel_id, in->message_id, in->emoji, rq->caller.user_id, &state));
    if (!state.there)
        return err_make(&NOT_FOUND, "message not found");
    if (state.mine)
        return OK;
    if (!state.known && state.kinds >= EMOJI_KINDS_MAX)
        return err_make(&MAX_REACTIONS, "a message has at most %d different reactions", EMOJI_KINDS_MAX);
    TRY(chat_store_add_reaction(&tx, in->channel_id, in->message_id, in->emoji, rq->caller.user_id,
                                clock_unix_us(rq->clock)));
    return finish(&tx, rq, &place, in, "MESSAGE_REACTION_ADD");
}

Err chat_v1_remove_reaction(Request *rq, const Chat__V1__ReactionRequest *in, Chat__V1__ReactionReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t author_id;
    bool removed;
    Place place;

    (void)out;
    TRY(check_emoji(in->emoji));
    TRY(db_tx_begin(rq, &tx));
    TRY(place_enter(&tx, rq, in->channel_id, REACT, &place));
    TRY(chat_store_author_of(&tx, in->channel_id, in->message_id, &author_id));
    if (!author_id) /* nothing to take back: the contract does not ask whether there is such a message */
        return OK;
    TRY(chat_store_remove_reaction(&tx, in->message_id, in->emoji, rq->caller.user_id, &removed));
    return removed ? finish(&tx, rq, &place, in, "MESSAGE_REACTION_REMOVE") : OK;
}

Err chat_v1_list_reactions(Request *rq, const Chat__V1__ListReactionsRequest *in, Chat__V1__ListReactionsReply *out)
{
    int limit;

    TRY(check_emoji(in->emoji));
    TRY(messages_limit(in->limit, REACTIONS_PAGE_MAX, REACTIONS_PAGE_DEFAULT, &limit));
    return chat_store_reactors(rq, in->channel_id, in->message_id, in->emoji, limit, &out->user_ids, &out->n_user_ids);
}
