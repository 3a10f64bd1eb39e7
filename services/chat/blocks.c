/* blocks: whom somebody wants to hear nothing from. What it means for DMs is looked at where they are opened and
 * written to (dms.c, messages.c). */
#include "atrium/chat/v1/dms.service.h"
#include "services/chat/dispatch.h"
#include "services/chat/persons.h"
#include "services/chat/store_dms.h"

Err chat_v1_list_blocks(Request *rq, const Chat__V1__ListBlocksRequest *in, Chat__V1__ListBlocksReply *out)
{
    (void)in;
    return chat_store_blocks(rq, rq->caller.user_id, &out->blocks, &out->n_blocks);
}

/* Only his own sessions are told: the other finds out by nothing but that his messages are refused. */
static Err finish(DbTx *tx, Request *rq, int64_t user_id, bool blocked)
{
    const Chat *chat = rq->service;
    Chat__V1__BlockChanged event = CHAT__V1__BLOCK_CHANGED__INIT;

    SET(&event, user_id, user_id);
    SET(&event, blocked, blocked);
    TRY(chat_dispatch(tx, rq->mem,
                      &(ChatDispatch){.topic = chat_user_topic(rq->caller.user_id),
                                      .event = "USER_BLOCK_UPDATE",
                                      .data = &event.base}));
    TRY(db_tx_commit(tx));
    outbox_nudge(chat->outbox);
    return OK;
}

Err chat_v1_block_user(Request *rq, const Chat__V1__BlockRequest *in, Chat__V1__BlockReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool changed;
    int count;

    (void)out;
    if (in->user_id == rq->caller.user_id)
        return err_make(&INVALID_USER, "you cannot block yourself");
    TRY(persons_require(rq, &in->user_id, 1, "user not found"));
    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_user(&tx, rq->caller.user_id));
    TRY(chat_store_block(&tx, rq->caller.user_id, in->user_id, clock_unix_us(rq->clock), &changed));
    TRY(chat_store_count_blocks(&tx, rq->caller.user_id, &count));
    if (count > BLOCKS_MAX)
        return err_make(&MAX_BLOCKS, "at most %d users can be blocked", BLOCKS_MAX);
    return changed ? finish(&tx, rq, in->user_id, true) : OK;
}

Err chat_v1_unblock_user(Request *rq, const Chat__V1__BlockRequest *in, Chat__V1__BlockReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool changed;

    (void)out;
    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_user(&tx, rq->caller.user_id));
    TRY(chat_store_unblock(&tx, rq->caller.user_id, in->user_id, &changed));
    return changed ? finish(&tx, rq, in->user_id, false) : OK;
}
