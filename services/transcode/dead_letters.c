/* dead_letters: jobs that gave up, for operators. */
#include "atrium/transcode/v1/processing.service.h"
#include "services/transcode/events.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 100 };

static void answer(Arena *mem, const JobRow *job, Transcode__V1__DeadLetter *out)
{
    out->id = uuid_text(mem, job->id);
    out->media_id = uuid_text(mem, job->media_id);
    SET(out, generation, job->generation);
    SET(out, kind, (Transcode__V1__JobKind)job->kind);
    SET(out, attempts, job->attempt);
    out->code = arena_strdup(mem, job->error_code);
    out->error = arena_strdup(mem, job->error_text);
    if (job->finished_us) {
        out->died_at = MESSAGE_NEW(mem, Google__Protobuf__Timestamp, google__protobuf__timestamp__init);
        out->died_at->seconds = job->finished_us / 1000000;
        out->died_at->nanos = (int32_t)(job->finished_us % 1000000) * 1000;
    }
}

Err transcode_v1_list_dead_letters(Request *rq, const Transcode__V1__ListDeadLettersRequest *in,
                                   Transcode__V1__ListDeadLettersReply *out)
{
    int limit = in->has_limit ? in->limit : LIMIT_DEFAULT;
    Uuid after = {{0}};
    JobRow *jobs;
    size_t count;

    if (limit < 1 || limit > LIMIT_MAX)
        return err_make(&INVALID_ARGUMENT, "limit: 1 to %d", LIMIT_MAX);
    if (in->after && in->after[0] && !uuid_parse(slice(in->after), &after))
        return err_make(&INVALID_ARGUMENT, "after: the id of a dead letter");
    TRY(store_dead_jobs(rq, after, limit, &jobs, &count));
    out->dead_letters = ARENA_ARRAY(rq->mem, Transcode__V1__DeadLetter *, count + 1);
    for (size_t i = 0; i < count; i++) {
        out->dead_letters[i] = MESSAGE_NEW(rq->mem, Transcode__V1__DeadLetter, transcode__v1__dead_letter__init);
        answer(rq->mem, &jobs[i], out->dead_letters[i]);
    }
    out->n_dead_letters = count;
    return OK;
}

Err transcode_v1_requeue_dead_letter(Request *rq, const Transcode__V1__RequeueDeadLetterRequest *in,
                                     Transcode__V1__DeadLetter *out)
{
    const Transcode *t = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    OutboxRow message;
    JobRow job;
    Uuid id;

    if (!uuid_parse(slice(in->job_id), &id))
        return err_make(&NOT_FOUND, "there is no such dead letter");
    TRY(db_tx_begin(rq, &tx));
    TRY(store_requeue_job(&tx, rq->mem, id, (int)t->settings->attempts, &job));
    if (job.generation == 0)
        return err_make(&NOT_FOUND, "there is no such dead letter");
    message = job_message(rq->mem, t->ids, &job);
    TRY(outbox_insert(&tx, &message, false));
    TRY(db_tx_commit(&tx));
    outbox_nudge(t->outbox);
    answer(rq->mem, &job, out);
    return OK;
}
