/* batch_job: works batches off, an item a transaction: what was done stays done when the process ends in between. */
#include "atrium/events/v1/submissions.pb-c.h"
#include "services/events/batch.h"
#include "services/events/review.h"
#include "services/events/store_batch.h"

enum { ITEM_TIMEOUT_MS = 20000, ITEM_ARENA_BYTES = 256 * 1024, ERROR_MAX_BYTES = 2000 };

static const char *texts_of(Arena *mem, const Findings *faults)
{
    StrBuf out = strbuf_new(mem, ERROR_MAX_BYTES);
    Slice text;

    for (size_t i = 0; i < faults->count; i++)
        strbuf_append_cstr(&out, arena_printf(mem, "%s%s%s%s", i ? "; " : "", faults->list[i].field,
                                              faults->list[i].field[0] ? ": " : "", faults->list[i].message));
    return strbuf_finish(&out, &text) ? text.ptr : faults->list[0].message;
}

static BatchItem item_of(Arena *mem, const IngestOutcome *o, const Findings *faults)
{
    switch (o->result) {
    case INGEST_CREATED:
        return (BatchItem){.status = "created", .event = o->event, .review = o->waits, .error = ""};
    case INGEST_DUPLICATE:
        return (BatchItem){.status = "duplicate", .event = o->event, .error = ""};
    case INGEST_GONE:
        return (BatchItem){.status = "failed", .event = o->event, .error = "this event was deleted"};
    case INGEST_REJECTED_BEFORE:
        return (BatchItem){.status = "failed",
                           .event = o->event,
                           .error = arena_printf(mem, "this event was rejected before: %.500s", o->rejected->reason)};
    case INGEST_FAULTY:
        break;
    }
    return (BatchItem){.status = "failed", .error = texts_of(mem, faults)};
}

static EntityWriter writer(const BatchWorker *b, Arena *mem, DbTx *tx, const Submitter *by)
{
    return (EntityWriter){.events = b->events,
                          .mem = mem,
                          .tx = tx,
                          .now_us = clock_unix_us(b->clock),
                          .actor = {.kind = by->key_id[0] ? "key" : "user",
                                    .id = by->key_id[0] ? by->key_id : arena_printf(mem, "%" PRId64, by->user_id),
                                    .name = by->name}};
}

static Err take_item(const BatchWorker *b, Arena *mem, DbTx *tx, Slice payload, const Submitter *by, BatchItem *out)
{
    const WritingRules rules = ingest_rules(b->events);
    const EntityWriter w = writer(b, mem, tx, by);
    Submission *s = ARENA_NEW(mem, Submission);
    Findings faults = {.mem = mem}, warnings = {.mem = mem};
    IngestOutcome outcome = {.result = INGEST_FAULTY};

    if (submission_read(mem, &rules, payload, s, &faults))
        submission_check(mem, &rules, w.now_us, s, &faults, &warnings);
    TRY(db_savepoint(tx));
    if (faults.count == 0)
        TRY(ingest_submission(&w, &(Ingest){.submission = s, .by = *by, .warnings = &warnings, .faults = &faults},
                              &outcome));
    if (outcome.result != INGEST_CREATED && outcome.result != INGEST_DUPLICATE)
        TRY(db_savepoint_rollback(tx)); /* a place that was made for it goes, too */
    *out = item_of(mem, &outcome, &faults);
    return OK;
}

/* What cannot be stored and will not be by trying again is told, so that it does not hold up the others. */
static Err fail_item(const BatchWorker *b, Uuid batch, int position, Err why)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    LOG_WARN(b->log, "batch_item_failed", "reason", why.reason->key, "text", why.text);
    TRY(db_tx_begin_with(b->db, ITEM_TIMEOUT_MS, &tx));
    TRY(batch_store_finish_item(&tx, batch, position,
                                &(BatchItem){.status = "failed", .error = why.reason->shown ? why.text : "internal"}));
    return db_tx_commit(&tx);
}

/* Nothing when it is done, or somebody else's. */
static Err run_one(const BatchWorker *b, Uuid batch, int position)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(ITEM_ARENA_BYTES);
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool taken = false;
    Slice payload;
    Submitter by;
    BatchItem item;
    Err e;

    TRY(db_tx_begin_with(b->db, ITEM_TIMEOUT_MS, &tx));
    TRY(batch_store_take(&tx, mem, batch, position, &taken, &payload, &by));
    if (!taken)
        return OK;
    e = take_item(b, mem, &tx, payload, &by, &item);
    if (err_failed(e)) {
        db_tx_done(&tx);
        return e.reason->retry ? e : fail_item(b, batch, position, e);
    }
    TRY(batch_store_finish_item(&tx, batch, position, &item));
    TRY(db_tx_commit(&tx));
    entity_settled(b->events);
    return OK;
}

static Err complete(const BatchWorker *b, Uuid batch)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool done = false;

    TRY(db_tx_begin_with(b->db, ITEM_TIMEOUT_MS, &tx));
    TRY(batch_store_complete(&tx, batch, clock_unix_us(b->clock), &done));
    TRY(db_tx_commit(&tx));
    return done ? OK : err_make(&UNAVAILABLE, "another worker has items of this batch");
}

Err batch_run(Job *job)
{
    const BatchWorker *b = job->context;
    const Events__V1__BatchJob *body = (const Events__V1__BatchJob *)job->body;
    int positions[BATCH_MAX_ITEMS];
    size_t count;
    Uuid batch;

    if (!uuid_parse(slice(body->batch_id), &batch))
        return err_make(&INVALID_ARGUMENT, "batch_id is no UUID");
    TRY(batch_store_waiting(b->db, ITEM_TIMEOUT_MS, batch, positions, &count));
    for (size_t i = 0; i < count; i++) {
        if (atomic_load(job->stop))
            return err_make(&UNAVAILABLE, "stopping");
        TRY(run_one(b, batch, positions[i]));
    }
    return complete(b, batch);
}
