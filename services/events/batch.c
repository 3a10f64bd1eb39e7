/* batch: see batch.h. */
#include "services/events/batch.h"

#include "atrium/events/v1/submissions.service.h"
#include "services/events/reading.h"
#include "services/events/replay.h"
#include "services/events/store_batch.h"
#include "services/events/submissions.h"
#include "shared/fiber.h"
#include "shared/json.h"

enum { STATUS_MAX_BYTES = 256 * 1024, LOOK_AGAIN_MS = 200 };

/* --- handing in -------------------------------------------------------------------------------------------------- */
static Err refuse(Request *rq, const char *title, const char *kind)
{
    Struct *details = struct_new(rq->mem);

    struct_set_text(rq->mem, details, "title", title);
    request_set_details(rq, details);
    request_add_violation(rq, ATRIUM__PART__BODY, "events", kind, "1 to %d events", BATCH_MAX_ITEMS);
    return err_make(&INVALID_ARGUMENT, "events: 1 to %d", BATCH_MAX_ITEMS);
}

static Err read_items(Request *rq, Slice body, Slice canonical, Slice **out, size_t *out_count)
{
    Slice list;

    if (canonical.len == 0) {
        request_add_violation(rq, ATRIUM__PART__BODY, "", "invalid_json", "the body must be one JSON object");
        return err_make(&INVALID_ARGUMENT, "the body must be one JSON object");
    }
    list = json_find(body, SLICE_LIT("events"));
    if (list.len == 0 || list.ptr[0] != '[')
        return refuse(rq, "Batch is empty", "missing");
    if (!batch_split(rq->mem, list, BATCH_MAX_ITEMS, out, out_count))
        return refuse(rq, "Batch exceeds the limit", "too_many");
    return *out_count ? OK : refuse(rq, "Batch is empty", "missing");
}

Err batch_hand_out(Request *rq, DbTx *tx, Uuid batch)
{
    const Events *events = rq->service;
    Events__V1__BatchJob body = EVENTS__V1__BATCH_JOB__INIT;
    OutboxRow row;

    body.batch_id = uuid_text(rq->mem, batch);
    row = (OutboxRow){.id = uuid_v7(events->ids),
                      .key = body.batch_id,
                      .subject = "job.events.batch",
                      .ce_type = "atrium.events.batch",
                      .payload = message_pack(rq->mem, &body.base)};
    return outbox_insert(tx, &row, false);
}

static Err answer_submitted(Request *rq, const BatchRow *row, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    const char *ulid = ulid_text(rq->mem, row->id);
    const char *url = arena_printf(rq->mem, "%s/api/v1/batch-status/%s", events->settings->base_url, ulid);
    StrBuf body = strbuf_new(rq->mem, STATUS_MAX_BYTES);

    strbuf_printf(&body,
                  "{\"@type\":\"BatchSubmission\",\"batch_id\":\"%s\",\"job_id\":%" PRId64
                  ",\"status\":\"processing\",\"status_url\":",
                  ulid, row->number);
    strbuf_append_json(&body, slice(url));
    strbuf_printf(&body, ",\"submitted\":%zu}\n", row->item_count);
    request_set_status(rq, 202);
    request_set_header(rq, "Location", url);
    return answer_body(&body, "application/json", out);
}

Err events_v1_submit_batch(Request *rq, const Events__V1__SubmitEventRequest *in, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Slice body = in->body && in->body->has_data ? slice_of(in->body->data.data, in->body->data.len) : SLICE_LIT("");
    Slice canonical = submission_canonical(rq->mem, body);
    BatchRow row = {.id = ulid_next(events->ids), .by = submitter_of(rq)};
    Slice *items = NULL;
    Replay replay;
    bool answered = false;

    TRY(read_items(rq, body, canonical, &items, &row.item_count));
    TRY(db_tx_begin(rq, &tx));
    TRY(replay_begin(rq, &tx, "SubmitBatch", canonical, &replay, &answered, out));
    if (answered)
        return OK;
    TRY(batch_store_insert(&tx, &row, items, clock_unix_us(rq->clock)));
    TRY(batch_hand_out(rq, &tx, row.id));
    TRY(answer_submitted(rq, &row, out));
    TRY(replay_store(rq, &tx, &replay, 202, out));
    TRY(db_tx_commit(&tx));
    outbox_nudge(events->outbox);
    return OK;
}

/* --- what became of it ------------------------------------------------------------------------------------------- */
static size_t count_of(const BatchItem *items, size_t count, const char *status)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += strcmp(items[i].status, status) == 0;
    return found;
}

static void write_item(Request *rq, const BatchItem *item, size_t index, StrBuf *out)
{
    strbuf_printf(out, "{\"index\":%zu,\"status\":\"%s\"", index, item->status);
    if (!uuid_is_nil(item->event))
        strbuf_printf(out, ",\"event_id\":\"%s\"", ulid_text(rq->mem, item->event));
    if (item->review)
        strbuf_append_cstr(out, ",\"review\":true");
    if (item->error[0]) {
        strbuf_append_cstr(out, ",\"error\":");
        strbuf_append_json(out, slice(item->error));
    }
    strbuf_append_char(out, '}');
}

static Err answer_status(Request *rq, const BatchRow *row, const BatchItem *items, Atrium__HttpBody *out)
{
    StrBuf body = strbuf_new(rq->mem, STATUS_MAX_BYTES);
    const char *comma = "";

    strbuf_printf(&body, "{\"@type\":\"BatchSubmissionResult\",\"batch_id\":\"%s\",\"status\":\"%s\"",
                  ulid_text(rq->mem, row->id), row->completed_us ? "completed" : "processing");
    if (row->completed_us)
        strbuf_printf(&body, ",\"completed_at\":\"%s\"", utc_text(rq->mem, row->completed_us));
    strbuf_printf(&body, ",\"total\":%zu,\"created\":%zu,\"duplicates\":%zu,\"failed\":%zu,\"results\":[",
                  row->item_count, count_of(items, row->item_count, "created"),
                  count_of(items, row->item_count, "duplicate"), count_of(items, row->item_count, "failed"));
    for (size_t i = 0; i < row->item_count; i++) {
        if (!items[i].status[0])
            continue;
        strbuf_append_cstr(&body, comma);
        write_item(rq, &items[i], i, &body);
        comma = ",";
    }
    strbuf_append_cstr(&body, "]}\n");
    request_set_header(rq, "Cache-Control", "no-store");
    return answer_body(&body, "application/json", out);
}

static void pause_ms(int64_t ms)
{
    if (fiber_current())
        (void)fiber_park(clock_monotonic_ms(&SYSTEM_CLOCK) + ms);
    else
        nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static Err wait_completed(Request *rq, Uuid id, int64_t until_ms)
{
    bool completed = false;

    while (!completed && clock_monotonic_ms(&SYSTEM_CLOCK) + LOOK_AGAIN_MS <= until_ms) {
        pause_ms(LOOK_AGAIN_MS);
        TRY(batch_store_completed(rq, id, &completed));
    }
    return OK;
}

Err events_v1_get_batch_status(Request *rq, const Events__V1__GetBatchStatusRequest *in, Atrium__HttpBody *out)
{
    int64_t wait_ms = in->has_wait ? MIN(in->wait, (uint32_t)BATCH_MAX_WAIT_S) * INT64_C(1000) : 0;
    int64_t until_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + wait_ms;
    BatchItem *items = NULL;
    bool found = false;
    BatchRow row;
    Uuid id;

    if (in->has_wait && in->wait > BATCH_MAX_WAIT_S) {
        request_add_violation(rq, ATRIUM__PART__QUERY, "wait", "out_of_range", "0 to %d seconds", BATCH_MAX_WAIT_S);
        return err_make(&INVALID_ARGUMENT, "wait: 0 to %d seconds", BATCH_MAX_WAIT_S);
    }
    TRY(ulid_of_path(rq, in->id, &id));
    TRY(batch_store_status(rq, id, &found, &row, &items));
    if (found && !row.completed_us && wait_ms) {
        TRY(wait_completed(rq, id, until_ms));
        TRY(batch_store_status(rq, id, &found, &row, &items));
    }
    if (!found || (!row.completed_us && !wait_ms))
        return err_make(&NOT_FOUND, "there is no such batch, or it is not done yet");
    return answer_status(rq, &row, items, out);
}
