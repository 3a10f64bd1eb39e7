/* intake: see the header. */
#include "services/transcode/intake.h"

#include "atrium/media/v1/events.pb-c.h"
#include "services/transcode/events.h"
#include "services/transcode/run.h"

enum { STATEMENT_MS = 10000 };

static const char *bounded(Arena *mem, const char *text, size_t max_bytes)
{
    return slice_cstr(mem, utf8_take(slice(text), max_bytes));
}

Err intake_read_upload(Arena *mem, Slice body, JobRow *out)
{
    const Media__V1__ItemUploaded *in;
    ProtobufCMessage *message;
    JobRow job;

    TRY(message_unpack(mem, &media__v1__item_uploaded__descriptor, body, &message));
    in = (const Media__V1__ItemUploaded *)message;
    job = (JobRow){.generation = MAX(in->generation, 1),
                   .kind = TRANSCODE__V1__JOB_KIND__FIRST,
                   .owner_id = in->owner_id,
                   .source_key = in->s3_key,
                   .mime_type = bounded(mem, in->mime_type, TYPE_MAX_BYTES),
                   .filename = bounded(mem, in->filename, FILENAME_MAX_BYTES),
                   .size_bytes = in->size_bytes};
    if (!uuid_parse(slice(in->media_id), &job.media_id) || !in->s3_key || !blob_key_valid(slice(in->s3_key)))
        return err_make(&INVALID_BODY, "an upload without item or object");
    *out = job;
    return OK;
}

Err intake_uploaded(void *context, Arena *mem, const Event *event)
{
    const Transcode *t = context;
    CLEANUP(db_tx_done) DbTx tx = {0};
    OutboxRow job_row;
    JobRow job;
    bool is_new;

    TRY(intake_read_upload(mem, event->body, &job));
    job.id = uuid_v7(t->ids);
    job.attempts_left = (int)t->settings->attempts;
    job_row = job_message(mem, t->ids, &job);
    TRY(db_tx_begin_with(t->db, STATEMENT_MS, &tx));
    TRY(store_insert_job(&tx, &job, clock_unix_us(t->clock), &is_new));
    if (!is_new)
        return OK;
    TRY(outbox_insert(&tx, &job_row, false));
    TRY(db_tx_commit(&tx));
    outbox_nudge(t->outbox);
    return OK;
}

/* Who works on one of them finds out within a second, and takes away what it made. */
static Err cancel(const Transcode *t, Arena *mem, const char *media_id, int64_t generation)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t now_us = clock_unix_us(t->clock);
    JobRow *jobs;
    size_t count;
    Uuid id;

    if (!uuid_parse(slice(media_id), &id))
        return err_make(&INVALID_BODY, "an item without id");
    TRY(db_tx_begin_with(t->db, STATEMENT_MS, &tx));
    TRY(store_cancel_jobs(&tx, mem, id, generation, now_us, &jobs, &count));
    for (size_t i = 0; i < count; i++) {
        OutboxRow failed =
            job_failed_event(mem, t->ids, &jobs[i], JOB_CANCELLED.code, "processing was cancelled", true, true, now_us);
        TRY(outbox_insert(&tx, &failed, true));
    }
    TRY(db_tx_commit(&tx));
    outbox_nudge(t->outbox);
    for (size_t i = 0; i < count; i++)
        run_remove_outputs(t, mem, &jobs[i]);
    return OK;
}

Err intake_cancelled(void *context, Arena *mem, const Event *event)
{
    const Media__V1__ItemCancelled *in;
    ProtobufCMessage *message;

    TRY(message_unpack(mem, &media__v1__item_cancelled__descriptor, event->body, &message));
    in = (const Media__V1__ItemCancelled *)message;
    return cancel(context, mem, in->media_id, MAX(in->generation, 1));
}

Err intake_deleted(void *context, Arena *mem, const Event *event)
{
    const Media__V1__ItemDeleted *in;
    ProtobufCMessage *message;

    TRY(message_unpack(mem, &media__v1__item_deleted__descriptor, event->body, &message));
    in = (const Media__V1__ItemDeleted *)message;
    return cancel(context, mem, in->media_id, INT64_MAX);
}
