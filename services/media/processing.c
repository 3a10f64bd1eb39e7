/* processing: how far it is, once or as it goes; begun anew and ended. */
#include "atrium/media/v1/processing.service.h"
#include "services/media/answers.h"
#include "services/media/permit.h"
#include "services/media/store_items.h"
#include "services/media/watchers.h"

/* Another instance's news are in the table, too: it is looked at this often at least. */
enum { LOOK_MS = 500 };

/* One field, two vocabularies: the job's once a worker has it, the item's before. */
static const char *status_word(const ItemRow *item, const ProcessingRow *row)
{
    if (uuid_is_nil(row->media_id))
        return item_status_word(item->status);
    if (strcmp(row->state, "pending") == 0 && item->status != MEDIA__V1__ITEM_STATUS__READY)
        return item_status_word(item->status);
    return row->state;
}

static bool is_over(const ProcessingRow *row)
{
    return !uuid_is_nil(row->media_id) && (strcmp(row->state, "completed") == 0 || strcmp(row->state, "failed") == 0);
}

static Media__V1__Failure *failure_of(Arena *mem, const ProcessingRow *row)
{
    Media__V1__Failure *failure = MESSAGE_NEW(mem, Media__V1__Failure, media__v1__failure__init);

    failure->code = arena_strdup(mem, row->error_code);
    SET(failure, retryable, row->error_retryable);
    return failure;
}

/* Both messages have these fields. */
#define ANSWER_STATUS(rq, item, row, out)                                                                              \
    do {                                                                                                               \
        (out)->media_id = uuid_text((rq)->mem, (item)->id);                                                            \
        (out)->status = (char *)status_word((item), (row));                                                            \
        if (uuid_is_nil((row)->media_id))                                                                              \
            break;                                                                                                     \
        SET((out), progress, (row)->progress);                                                                         \
        SET((out), attempt, (row)->attempt);                                                                           \
        (out)->updated_at = answer_time((rq)->mem, (row)->updated_us);                                                 \
        if ((row)->step[0])                                                                                            \
            (out)->step = (char *)(row)->step;                                                                         \
        if (strcmp((row)->state, "failed") == 0) {                                                                     \
            (out)->error_message = (char *)(row)->error_message;                                                       \
            (out)->failure = failure_of((rq)->mem, (row));                                                             \
        }                                                                                                              \
    } while (0)

Err media_v1_get_processing_status(Request *rq, const Media__V1__GetProcessingStatusRequest *in,
                                   Media__V1__ProcessingStatus *out)
{
    ProcessingRow row;
    ItemRow item;

    TRY(permit_item(rq, NULL, in->media_id, &item));
    TRY(media_store_processing(rq, NULL, &item, &row));
    ANSWER_STATUS(rq, &item, &row, out);
    return OK;
}

/* --- as it goes
 * ---------------------------------------------------------------------------------------------------------- */
/* Sends it unless it is what was sent last. */
static Err send_news(Request *rq, const ItemRow *item, const ProcessingRow *row, char **last_id, RpcStream *out)
{
    Media__V1__ProcessingEvent event = MEDIA__V1__PROCESSING_EVENT__INIT;

    event.event_id = arena_printf(rq->mem, "%s.%" PRId64, item_status_word(item->status), row->version);
    if (*last_id && strcmp(*last_id, event.event_id) == 0)
        return OK;
    *last_id = event.event_id;
    ANSWER_STATUS(rq, item, row, &event);
    event.event = is_over(row) ? event.status : "progress";
    return rpc_stream_send(out, &event.base);
}

/* One look at the table; the arena of its own is thrown away with all but the id of what was sent. */
static Err look(Request *rq, const char *media_id, char **last_id, RpcStream *out, bool *out_over)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request turn = *rq;
    char *sent = *last_id;
    ProcessingRow row;
    ItemRow item;

    turn.mem = mem;
    TRY(permit_item(&turn, NULL, media_id, &item));
    TRY(media_store_processing(&turn, NULL, &item, &row));
    TRY(send_news(&turn, &item, &row, &sent, out));
    *out_over = is_over(&row);
    if (sent != *last_id)
        *last_id = arena_strdup(rq->mem, sent);
    return OK;
}

Err media_v1_watch_processing(Request *rq, const Media__V1__WatchProcessingRequest *in, RpcStream *out)
{
    const Media *media = rq->service;
    char *last_id = (char *)request_header(rq, "last-event-id");
    bool over = false, serving = true;

    while (serving && !rpc_stream_cancelled(out)) {
        uint64_t news = watchers_count(media->watchers);

        TRY(look(rq, in->media_id, &last_id, out, &over));
        if (over)
            return OK;
        serving = watchers_wait(media->watchers, news, LOOK_MS);
    }
    return err_make(serving ? &CANCELLED : &UNAVAILABLE, "the stream ended before the processing did");
}

/* --- begun anew, ended
 * -------------------------------------------------------------------------------------------------- */
static Err answer_state(const char *id, const ItemRow *item, Media__V1__ItemState *out)
{
    out->media_id = (char *)id;
    SET(out, status, item->status);
    return OK;
}

static Err is_idle(Request *rq, DbTx *tx, const ItemRow *item)
{
    ProcessingRow row;

    if (item->status == MEDIA__V1__ITEM_STATUS__UPLOADING)
        return err_make(&FAILED_PRECONDITION, "the upload is not complete");
    if (item->status == MEDIA__V1__ITEM_STATUS__QUEUED || item->status == MEDIA__V1__ITEM_STATUS__PROCESSING)
        return err_make(&FAILED_PRECONDITION, "the media is being processed");
    TRY(media_store_processing(rq, tx, item, &row));
    if (!uuid_is_nil(row.media_id) && !is_over(&row))
        return err_make(&FAILED_PRECONDITION, "the media is being processed");
    return OK;
}

Err media_v1_reprocess_item(Request *rq, const Media__V1__ReprocessItemRequest *in, Media__V1__ItemState *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const Media *media = rq->service;
    ItemRow item;

    TRY(db_tx_begin(rq, &tx));
    TRY(permit_item(rq, &tx, in->media_id, &item));
    TRY(is_idle(rq, &tx, &item));
    TRY(media_store_queue(rq, &tx, &item));
    TRY(db_tx_commit(&tx));
    outbox_nudge(media->outbox);
    watchers_wake(media->watchers);
    return answer_state(in->media_id, &item, out);
}

Err media_v1_cancel_item(Request *rq, const Media__V1__CancelItemRequest *in, Media__V1__ItemState *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const Media *media = rq->service;
    ItemRow item;

    TRY(db_tx_begin(rq, &tx));
    TRY(permit_item(rq, &tx, in->media_id, &item));
    if (item.status == MEDIA__V1__ITEM_STATUS__UPLOADING)
        return err_make(&FAILED_PRECONDITION, "the upload is not complete");
    TRY(media_store_cancel(rq, &tx, &item));
    TRY(db_tx_commit(&tx));
    outbox_nudge(media->outbox);
    watchers_wake(media->watchers);
    return answer_state(in->media_id, &item, out);
}
