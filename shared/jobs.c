/* jobs: see the header. The machinery is work.c; here are the types, enqueueing, and the dead. */
#include "shared/jobs.h"

#include "atrium/reasons.atrium.h"
#include "shared/clock.h"
#include "shared/streams.h"
#include "shared/work.h"

enum { SUBJECT_BYTES = 128, DEFAULT_DELIVERIES = 5, DEFAULT_BACKOFF_MS = 1000 };

typedef struct Lane {
    JobQueue *queue;
    const JobType *type;
    Work *work;
} Lane;

struct JobQueue {
    JobQueueOptions options;
    Lane *lanes; /* one per type */
};

/* --- working ----------------------------------------------------------------------------------------------------- */
static Err handle(void *context, Arena *mem, const WorkItem *item)
{
    const Lane *lane = context;
    const char *id = bus_header(item->msg, "Atrium-Job-Id"); /* of a replayed one */
    ProtobufCMessage *body = NULL;
    Job job = {.mem = mem,
               .type = lane->type->name,
               .delivery = item->delivery,
               .context = lane->queue->options.context,
               .stop = item->stop};

    if (!id)
        id = bus_header(item->msg, "Nats-Msg-Id");
    job.id = id ? id : "";
    TRY(message_unpack(mem, lane->type->body, item->body, &body));
    job.body = body;
    /* cppcheck-suppress returnDanglingLifetime ; an Err holds its text itself */
    return lane->type->handler(&job);
}

static Err require_streams(const JobQueueOptions *o)
{
    TRY(stream_require(o->bus, STREAM_JOBS, o->domain));
    return stream_require(o->bus, STREAM_DEAD, o->domain);
}

static Err require_again(void *context)
{
    return require_streams(&((const Lane *)context)->queue->options);
}

static void start_lane(JobQueue *q, Lane *lane, const JobType *type)
{
    char stream[STREAM_NAME_BYTES], durable[WORK_NAME_BYTES], filter[SUBJECT_BYTES];

    lane->queue = q;
    lane->type = type;
    stream_name(STREAM_JOBS, q->options.domain, stream);
    snprintf(durable, sizeof durable, "%s-%s", q->options.domain, type->name);
    snprintf(filter, sizeof filter, "job.%s.%s", q->options.domain, type->name);
    lane->work = work_start(
        &(WorkOptions){.bus = q->options.bus,
                       .log = q->options.log,
                       .metrics = q->options.metrics,
                       .stream = stream,
                       .durable = durable,
                       .filter = filter,
                       .dead_domain = q->options.domain,
                       .dead_kind = "job",
                       .dead_name = type->name,
                       .max_deliveries = type->max_deliveries > 0 ? type->max_deliveries : DEFAULT_DELIVERIES,
                       .backoff_ms = type->backoff_ms > 0 ? type->backoff_ms : DEFAULT_BACKOFF_MS,
                       .ack_wait_ms = type->ack_wait_ms,
                       .threads = type->threads,
                       .batch = 1, /* jobs are long: what waits, waits for any worker */
                       .handle = handle,
                       .ensure = require_again,
                       .context = lane});
}

Err job_queue_start(const JobQueueOptions *options, JobQueue **out)
{
    JobQueue *q;

    TRY(require_streams(options));
    q = xcalloc(1, sizeof *q);
    q->options = *options;
    q->lanes = xcalloc(options->type_count, sizeof *q->lanes);
    for (size_t i = 0; i < options->type_count; i++)
        start_lane(q, &q->lanes[i], &options->types[i]);
    *out = q;
    return OK;
}

void job_queue_stop(JobQueue *q, int64_t timeout_ms)
{
    int64_t deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + timeout_ms;
    bool all = true;

    if (!q)
        return;
    for (size_t i = 0; i < q->options.type_count; i++)
        work_tell_stop(q->lanes[i].work); /* all at once, then one wait for all */
    for (size_t i = 0; i < q->options.type_count; i++)
        all &= work_stop(q->lanes[i].work, MAX(deadline_ms - clock_monotonic_ms(&SYSTEM_CLOCK), 0));
    if (!all)
        return; /* a handler still runs, with it */
    free(q->lanes);
    free(q);
}

/* --- enqueueing -------------------------------------------------------------------------------------------------- */
Err job_enqueue(Bus *bus, const char *domain, const char *type, const char *id, const ProtobufCMessage *body)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Slice wire = message_pack(mem, body);
    natsMsg *msg = NULL;
    natsStatus status =
        natsMsg_Create(&msg, arena_printf(mem, "job.%s.%s", domain, type), NULL, wire.ptr, (int)wire.len);
    Err e;

    if (status == NATS_OK)
        status = natsMsgHeader_Set(msg, "Content-Type", "application/protobuf");
    if (status == NATS_OK && id)
        status = natsMsgHeader_Set(msg, "Nats-Msg-Id", id);
    e = bus_err(status, "make the job");
    if (!err_failed(e))
        e = work_publish(bus, msg);
    natsMsg_Destroy(msg);
    return err_wrap(e, "enqueue");
}

/* --- the dead ---------------------------------------------------------------------------------------------------- */
/* `next`: the first from `sequence` on; else that one alone. NOT_FOUND. */
static Err get_dead(Bus *bus, const char *domain, uint64_t sequence, bool next, natsMsg **out)
{
    char stream[STREAM_NAME_BYTES], subject[SUBJECT_BYTES];
    jsDirectGetMsgOptions options;
    natsStatus status;

    stream_name(STREAM_DEAD, domain, stream);
    snprintf(subject, sizeof subject, "dead.%s.>", domain);
    jsDirectGetMsgOptions_Init(&options);
    options.Sequence = sequence;
    if (next)
        options.NextBySubject = subject;
    status = js_DirectGetMsg(out, bus_jetstream(bus), stream, NULL, &options);
    if (status == NATS_NOT_FOUND || status == NATS_NO_RESPONDERS)
        return err_make(&NOT_FOUND, "no such dead letter");
    return bus_err(status, "read the dead letters");
}

static const char *header_or_empty(natsMsg *msg, const char *name)
{
    const char *value = bus_header(msg, name);
    return value ? value : "";
}

static DeadJob describe(natsMsg *msg)
{
    return (DeadJob){.sequence = natsMsg_GetSequence(msg),
                     .type = header_or_empty(msg, "Atrium-Dead-Type"),
                     .id = header_or_empty(msg, "Atrium-Dead-Id"),
                     .error = header_or_empty(msg, "Atrium-Dead-Error"),
                     .died_us = natsMsg_GetTime(msg) / 1000,
                     .deliveries = (int)strtol(header_or_empty(msg, "Atrium-Dead-Deliveries"), NULL, 10)};
}

Err job_dead_list(Bus *bus, const char *domain, int limit, void (*row)(void *data, const DeadJob *job), void *data)
{
    uint64_t sequence = 1;

    for (int i = 0; i < limit; i++) {
        natsMsg *msg = NULL;
        DeadJob job;
        Err e = get_dead(bus, domain, sequence, true, &msg);

        if (e.reason == &NOT_FOUND)
            return OK;
        TRY(e);
        job = describe(msg);
        row(data, &job);
        sequence = job.sequence + 1;
        natsMsg_Destroy(msg);
    }
    return OK;
}

Err job_dead_drop(Bus *bus, const char *domain, uint64_t sequence)
{
    char stream[STREAM_NAME_BYTES];
    natsMsg *msg = NULL;
    jsErrCode code = 0;

    TRY(get_dead(bus, domain, sequence, false, &msg));
    natsMsg_Destroy(msg);
    stream_name(STREAM_DEAD, domain, stream);
    return bus_err(js_DeleteMsg(bus_jetstream(bus), stream, sequence, NULL, &code), "drop the dead letter");
}

/* Under an id of its own, or the stream would drop it as one it has seen; the job keeps its id in a header. */
static Err make_replay(natsMsg *dead, uint64_t sequence, natsMsg **out)
{
    CLEANUP(arena_free_at) Arena *mem = arena_new(1024);
    const char *id = header_or_empty(dead, "Atrium-Dead-Id");
    natsStatus status = natsMsg_Create(out, header_or_empty(dead, "Atrium-Dead-Subject"), NULL, natsMsg_GetData(dead),
                                       natsMsg_GetDataLength(dead));

    TRY(bus_err(status, "make the job"));
    TRY(work_copy_headers(dead, *out));
    status = natsMsgHeader_Set(*out, "Atrium-Job-Id", id);
    if (status == NATS_OK)
        status = natsMsgHeader_Set(*out, "Nats-Msg-Id", arena_printf(mem, "%s.replay.%" PRIu64, id, sequence));
    return bus_err(status, "make the job");
}

Err job_dead_replay(Bus *bus, const char *domain, uint64_t sequence)
{
    natsMsg *dead = NULL, *again = NULL;
    Err e;

    TRY(get_dead(bus, domain, sequence, false, &dead));
    /* An event would reach all its consumers again, not only the one that failed. */
    if (!slice_starts_with(slice(header_or_empty(dead, "Atrium-Dead-Subject")), SLICE_LIT("job.")))
        e = err_make(&PRECONDITION_FAILED, "only jobs can be replayed");
    else
        e = make_replay(dead, sequence, &again);
    if (!err_failed(e))
        e = work_publish(bus, again);
    natsMsg_Destroy(again);
    natsMsg_Destroy(dead);
    TRY(e);
    return job_dead_drop(bus, domain, sequence);
}
