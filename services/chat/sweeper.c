/* sweeper: see sweeper.h. */
#include "services/chat/sweeper.h"

#include "services/chat/messages.h"
#include "services/chat/store_attachments.h"

enum {
    SWEEP_BATCH = 100,
    SWEEP_MESSAGES = 1000, /* of a channel, in one transaction */
    SWEEP_EVERY_MS = 1000, /* uploads wait three seconds: not much longer */
    SWEEP_PAUSE_MS = 50,
    SWEEP_TIMEOUT_MS = 30000,
    ID_TIME_SHIFT = 22
};
#define ID_EPOCH_MS INT64_C(1735689600000)

/* `user_id` 0: nobody's. */
static Request request_of(const ChatSweeps *o, Arena *mem, int64_t user_id)
{
    return (Request){.mem = mem,
                     .service = o->chat,
                     .caller = {.kind = user_id ? CALLER_PERSON : CALLER_SERVICE, .user_id = user_id},
                     .profile = "all",
                     .clock = o->clock,
                     .db = o->db,
                     .log = o->log,
                     .deadline_ms = clock_monotonic_ms(o->clock) + SWEEP_TIMEOUT_MS};
}

/* What is older than so long has a smaller id. */
static int64_t id_before(const ChatSweeps *o, int64_t age_ms)
{
    return (clock_unix_us(o->clock) / 1000 - age_ms - ID_EPOCH_MS) << ID_TIME_SHIFT;
}

/* --- uploads ---------------------------------------------------------------------------------------------------------
 */
/* As its author, who may not be allowed to any more, or not so soon: then it is left to be given back. Nor may it wait,
 * since the next turn would begin with it, and the others wait, too. */
static Err post_alone(const ChatSweeps *o, const LoneUpload *upload)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Request rq = request_of(o, mem, upload->author_id);
    Chat__V1__SendMessageRequest in = CHAT__V1__SEND_MESSAGE_REQUEST__INIT;
    Chat__V1__Message message = CHAT__V1__MESSAGE__INIT;
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t id = upload->id;
    Err e;

    SET(&in, channel_id, upload->channel_id);
    in.attachments = &id;
    in.n_attachments = 1;
    e = messages_post(&rq, &in, &message);
    if (!err_failed(e) || (e.reason->retry && e.reason != &SLOW_MODE) || e.reason == &INTERNAL)
        return e;
    TRY(db_tx_begin(&rq, &tx));
    TRY(chat_store_forget_lone(&tx, id));
    return db_tx_commit(&tx);
}

Err sweep_lone_uploads(const ChatSweeps *o, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    Request rq = request_of(o, mem, 0);
    LoneUpload *list;
    size_t count;

    TRY(chat_store_lone(&rq, id_before(o, ALONE_AFTER_MS), SWEEP_BATCH, &list, &count));
    for (size_t i = 0; i < count; i++)
        TRY(post_alone(o, &list[i]));
    *out_more = count == SWEEP_BATCH;
    return OK;
}

Err sweep_old_uploads(const ChatSweeps *o, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(8192);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(o, mem, 0);
    Uuid *items;
    size_t count;

    TRY(db_tx_begin(&rq, &tx));
    TRY(chat_store_release_old(&tx, mem, id_before(o, ATTACHMENT_LIFE_MS), SWEEP_BATCH, &items, &count));
    TRY(attachments_announce_released(&tx, &rq, items, count));
    TRY(db_tx_commit(&tx));
    if (count)
        outbox_nudge(o->chat->outbox);
    *out_more = count == SWEEP_BATCH;
    return OK;
}

/* --- channels that are gone ------------------------------------------------------------------------------------------
 */
/* Some messages, or, when there are none, the rest. */
static Err discard_some(Request *rq, DbTx *tx, int64_t channel_id)
{
    int64_t *ids;
    Uuid *items;
    size_t count, item_count;

    TRY(chat_store_discard_messages(tx, rq->mem, channel_id, SWEEP_MESSAGES, &ids, &count));
    if (count)
        return attachments_release(tx, rq, ids, count);
    TRY(chat_store_forget_channel(tx, rq->mem, channel_id, &items, &item_count));
    return attachments_announce_released(tx, rq, items, item_count);
}

Err sweep_channels(const ChatSweeps *o, bool *out_more)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(65536);
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request rq = request_of(o, mem, 0);
    int64_t channel_id;

    TRY(chat_store_discarded(&rq, &channel_id));
    *out_more = channel_id != 0;
    if (!channel_id)
        return OK;
    TRY(db_tx_begin(&rq, &tx));
    TRY(discard_some(&rq, &tx, channel_id));
    TRY(db_tx_commit(&tx));
    outbox_nudge(o->chat->outbox);
    return OK;
}

/* --- the thread ------------------------------------------------------------------------------------------------------
 */
static Err lone_uploads(SweeperTurn *turn)
{
    return sweep_lone_uploads(turn->data, &turn->more);
}

static Err old_uploads(SweeperTurn *turn)
{
    return sweep_old_uploads(turn->data, &turn->more);
}

static Err channels(SweeperTurn *turn)
{
    return sweep_channels(turn->data, &turn->more);
}

Sweeper *chat_sweeper_start(ChatSweeps *sweeps, Metrics *metrics)
{
    Counter *turns = metrics_counter(metrics, "atrium_chat_sweeps_total", "Turns of the sweeper that went well.", "");

    return sweeper_start(&(SweeperOptions){
        .db = sweeps->db,
        .log = sweeps->log,
        .name = "sweeper",
        .data = sweeps,
        .tasks = {{"lone uploads", lone_uploads, .turns = turns},
                  {"old uploads", old_uploads, .turns = turns},
                  {"channels", channels, .turns = turns}},
        .failures = metrics_counter(metrics, "atrium_chat_sweep_failures_total", "Those that failed.", ""),
        .interval_ms = SWEEP_EVERY_MS,
        .pause_ms = SWEEP_PAUSE_MS,
    });
}
