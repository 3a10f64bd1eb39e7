/* reads: how far somebody has read, and what he has missed since. */
#include "atrium/chat/v1/messages.service.h"
#include "services/chat/store_reads.h"

/* His other sessions hear of it; what he has read already is told nobody again. */
Err chat_v1_ack_message(Request *rq, const Chat__V1__AckMessageRequest *in, Chat__V1__AckMessageReply *out)
{
    const Chat *chat = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__ReadState state = CHAT__V1__READ_STATE__INIT;
    Chat__V1__MessageAcked event = CHAT__V1__MESSAGE_ACKED__INIT;
    bool changed;

    (void)out;
    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_user(&tx, rq->caller.user_id));
    TRY(chat_store_ack(&tx, rq, in->channel_id, in->message_id, &changed, &state));
    if (!changed)
        return OK;
    SET(&event, channel_id, in->channel_id);
    SET(&event, message_id, state.last_message_id);
    SET(&event, mention_count, state.mention_count);
    TRY(chat_dispatch(
        &tx, rq->mem,
        &(ChatDispatch){.topic = chat_user_topic(rq->caller.user_id), .event = "MESSAGE_ACK", .data = &event.base}));
    TRY(db_tx_commit(&tx));
    outbox_nudge(chat->outbox);
    return OK;
}

Err chat_v1_list_read_states(Request *rq, const Chat__V1__ListReadStatesRequest *in, Chat__V1__ReadStateList *out)
{
    (void)in;
    return chat_store_read_states(rq, rq->caller.user_id, &out->read_states, &out->n_read_states);
}
