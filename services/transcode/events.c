/* events: see the header. */
#include "services/transcode/events.h"

typedef Transcode__V1__JobKind JobKindValue;

const char *kind_name(int kind)
{
    switch (kind) {
    case TRANSCODE__V1__JOB_KIND__RENDITIONS:
        return "renditions";
    case TRANSCODE__V1__JOB_KIND__EXTRAS:
        return "extras";
    default:
        return "first";
    }
}

const char *const JOB_QUEUES[JOB_QUEUE_COUNT] = {"first", "stills", "renditions", "extras"};

/* What media's sniffing found decides: a wrong guess only means another queue. */
static const char *queue_of(const JobRow *job)
{
    Slice type = slice(job->mime_type);
    bool moves = slice_starts_with(type, SLICE_LIT("video/")) || slice_starts_with(type, SLICE_LIT("audio/")) ||
                 slice_eq_cstr(type, "image/gif");

    return job->kind == TRANSCODE__V1__JOB_KIND__FIRST && !moves ? "stills" : kind_name(job->kind);
}

static Google__Protobuf__Timestamp *timestamp(Arena *mem, int64_t unix_us)
{
    Google__Protobuf__Timestamp *t = MESSAGE_NEW(mem, Google__Protobuf__Timestamp, google__protobuf__timestamp__init);

    t->seconds = unix_us / 1000000;
    t->nanos = (int32_t)(unix_us % 1000000) * 1000;
    return t;
}

/* What all of them say. */
#define ABOUT(body, job)                                                                                               \
    do {                                                                                                               \
        (body)->media_id = uuid_text(mem, (job)->media_id);                                                            \
        (body)->job_id = uuid_text(mem, (job)->id);                                                                    \
        SET(body, generation, (job)->generation);                                                                      \
        SET(body, kind, (JobKindValue)(job)->kind);                                                                    \
        SET(body, attempt, (job)->attempt);                                                                            \
    } while (0)

OutboxRow job_message(Arena *mem, IdSource *ids, const JobRow *job)
{
    Transcode__V1__TranscodeJob body = TRANSCODE__V1__TRANSCODE_JOB__INIT;

    body.job_id = uuid_text(mem, job->id);
    return (OutboxRow){.id = uuid_v7(ids),
                       .key = body.job_id,
                       .subject = arena_printf(mem, "job.transcode.%s", queue_of(job)),
                       .ce_type = "atrium.transcode.job",
                       .payload = message_pack(mem, &body.base)};
}

OutboxRow job_started_event(Arena *mem, IdSource *ids, const JobRow *job, int64_t now_us)
{
    Transcode__V1__JobStarted body = TRANSCODE__V1__JOB_STARTED__INIT;

    ABOUT(&body, job);
    body.started_at = timestamp(mem, now_us);
    return outbox_event(mem, ids, &TRANSCODE_V1_JOB_STARTED_EVENT, body.media_id, &body.base);
}

OutboxRow job_finished_event(Arena *mem, IdSource *ids, const JobRow *job, const Transcode__V1__StepResult *result,
                             const int *following, size_t following_count, int64_t now_us)
{
    Transcode__V1__JobFinished body = TRANSCODE__V1__JOB_FINISHED__INIT;

    ABOUT(&body, job);
    body.n_assets = result->n_assets;
    body.assets = result->assets;
    body.facts = result->facts;
    body.n_warnings = result->n_warnings;
    body.warnings = result->warnings;
    body.following = ARENA_ARRAY(mem, JobKindValue, following_count + 1);
    for (size_t i = 0; i < following_count; i++)
        body.following[body.n_following++] = (JobKindValue)following[i];
    body.finished_at = timestamp(mem, now_us);
    return outbox_event(mem, ids, &TRANSCODE_V1_JOB_FINISHED_EVENT, body.media_id, &body.base);
}

OutboxRow job_failed_event(Arena *mem, IdSource *ids, const JobRow *job, const char *code, const char *message,
                           bool is_final, bool retryable, int64_t now_us)
{
    Transcode__V1__JobFailed body = TRANSCODE__V1__JOB_FAILED__INIT;

    ABOUT(&body, job);
    body.code = arena_strdup(mem, code);
    body.message = arena_strdup(mem, message);
    SET(&body, is_final, is_final);
    SET(&body, retryable, retryable);
    body.failed_at = timestamp(mem, now_us);
    return outbox_event(mem, ids, &TRANSCODE_V1_JOB_FAILED_EVENT, body.media_id, &body.base);
}

void tell_progress(const Transcode *t, Arena *mem, const JobRow *job, const char *step, int progress)
{
    Transcode__V1__JobProgressed body = TRANSCODE__V1__JOB_PROGRESSED__INIT;
    char id[UUID_TEXT_BYTES], when[TIME_TEXT_BYTES];
    OutboxRow row;

    ABOUT(&body, job);
    body.step = arena_strdup(mem, step);
    SET(&body, progress, progress);
    row = outbox_event(mem, t->ids, &TRANSCODE_V1_JOB_PROGRESSED_EVENT, body.media_id, &body.base);
    uuid_format(row.id, id);
    time_format(clock_unix_us(t->clock), 3, when);
    bus_publish_lossy(t->bus, row.subject,
                      (const BusHeader[]){{"Content-Type", "application/protobuf"},
                                          {"ce-specversion", "1.0"},
                                          {"ce-id", id},
                                          {"ce-source", "//atrium/transcode"},
                                          {"ce-type", row.ce_type},
                                          {"ce-time", when},
                                          {"ce-subject", row.key}},
                      7, row.payload);
}
