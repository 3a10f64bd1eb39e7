/* main: the wiring of transcode. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atrium/transcode/v1/processing.service.h"
#include "services/transcode/events.h"
#include "services/transcode/intake.h"
#include "services/transcode/run.h"
#include "services/transcode/workshop.h"
#include "shared/erasure.h"
#include "shared/service.h"

enum {
    DRAIN_MS = 10000,
    QUEUE_STATEMENT_MS = 2000,
    DELIVERIES_MAX = 1000,
    BACKOFF_MS = 2000,
    ERASE_STATEMENT_MS = 30000
};

#define CONFIG_STRUCT TranscodeSettings
#define SETTING CONFIG_ROW
static const Setting SETTINGS[] = {
#include "services/transcode/settings.def"
};
#undef SETTING
#undef CONFIG_STRUCT

enum { KIND_COUNT = 3, CONSUMER_COUNT = 3 };

typedef struct Gauged {
    const Transcode *t;
    int kind;
} Gauged;

typedef struct Running {
    Transcode t; /* first: handlers get it */
    Workshop *workshop;
    JobType types[JOB_QUEUE_COUNT];
    JobQueue *jobs;
    EventConsumer *consumers[CONSUMER_COUNT];
    Erasure *erasure;
    Gauged gauged[KIND_COUNT];
} Running;

static Err check_settings(const CommonSettings *common, const void *settings)
{
    const TranscodeSettings *s = settings;
    (void)common;

    if (strcmp(s->confinement, "require") != 0 && strcmp(s->confinement, "warn") != 0)
        return err_make(&INVALID_ARGUMENT, "TRANSCODE_CONFINEMENT: \"%s\" is none of require, warn", s->confinement);
    return blob_options_check(&(BlobOptions){BLOB_OPTIONS(s)});
}

/* A program beside this one. */
static Err find_helper(Arena *mem, const char *name, const char **out)
{
    char self[1024];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash;

    if (len <= 0)
        return err_errno(&INTERNAL, "where this program is");
    self[len] = 0;
    slash = strrchr(self, '/');
    *out = arena_printf(mem, "%.*s/%s", slash ? (int)(slash - self) : 0, self, name);
    return access(*out, X_OK) == 0 ? OK : err_make(&INTERNAL, "%s is not beside the service", name);
}

/* What cannot be had is said at every start, and where too much cannot, no child runs: confine refuses. */
static Err look_at_confinement(Service *service, Transcode *t)
{
    Slice words;

    TRY(child_check(&t->children, service->mem, &words));
    if (slice_find(words, SLICE_LIT("=no")) >= 0 || slice_find(words, SLICE_LIT("landlock=0")) >= 0)
        LOG_WARN(service->log, "confinement_is_weak", "has", words, "children_run_anyway", t->children.weak);
    else
        LOG_INFO(service->log, "confinement", "has", words);
    return OK;
}

static Err open_transcode(Service *service, void **out_context)
{
    Running *running = ARENA_NEW(service->mem, Running);
    Transcode *t = &running->t;
    const TranscodeSettings *s = service->settings;
    BlobOptions blob = {BLOB_OPTIONS(s), .clock = service->clock, .log = service->log};
    int cores = MAX((int)sysconf(_SC_NPROCESSORS_ONLN), 1);
    Err e;

    *t = (Transcode){.settings = s,
                     .ids = service->ids,
                     .outbox = service->outbox,
                     .db = service->db,
                     .bus = service->bus,
                     .clock = service->clock,
                     .log = service->log,
                     .metrics = service->metrics,
                     .threads = s->threads ? (int)s->threads : cores};
    t->children = (Children){.weak = strcmp(s->confinement, "warn") == 0,
                             .wall_ms = s->child_wall_ms,
                             .cpu_ms = s->child_cpu_ms,
                             .memory_bytes = s->child_memory_bytes,
                             .file_bytes = s->child_file_bytes,
                             .ended = run_count_child,
                             .data = t};
    TRY(find_helper(service->mem, "transcode-confine", &t->children.confine));
    TRY(find_helper(service->mem, "transcode-image", &t->image_tool));
    TRY(look_at_confinement(service, t));
    TRY(workshop_open(s->work_dir, service->log, &running->workshop));
    t->work_dir = workshop_dir(running->workshop);
    e = err_wrap(blob_open(&blob, &t->blob), "BLOB_DRIVER");
    if (err_failed(e)) {
        workshop_close(running->workshop);
        return e;
    }
    *out_context = running;
    return OK;
}

/* --- work -------------------------------------------------------------------------------------------------------- */
static double queue_depth(void *data)
{
    const Gauged *g = data;
    int64_t count = 0, age_us = 0;

    err_ignore(
        store_queue(g->t->db, QUEUE_STATEMENT_MS, g->kind, clock_unix_us(g->t->clock), &count, &age_us)); /* 0 then */
    return (double)count;
}

static double queue_age(void *data)
{
    const Gauged *g = data;
    int64_t count = 0, age_us = 0;

    err_ignore(
        store_queue(g->t->db, QUEUE_STATEMENT_MS, g->kind, clock_unix_us(g->t->clock), &count, &age_us)); /* 0 then */
    return (double)age_us / 1e6;
}

static void add_gauges(Running *running)
{
    static const int KINDS[KIND_COUNT] = {TRANSCODE__V1__JOB_KIND__FIRST, TRANSCODE__V1__JOB_KIND__RENDITIONS,
                                          TRANSCODE__V1__JOB_KIND__EXTRAS};

    for (size_t i = 0; i < KIND_COUNT; i++) {
        char labels[48];

        running->gauged[i] = (Gauged){.t = &running->t, .kind = KINDS[i]};
        snprintf(labels, sizeof labels, "kind=\"%s\"", kind_name(KINDS[i]));
        metrics_gauge_callback(running->t.metrics, "atrium_transcode_queue_jobs", "Jobs that are not over, by kind.",
                               labels, queue_depth, &running->gauged[i]);
        metrics_gauge_callback(running->t.metrics, "atrium_transcode_queue_age_seconds",
                               "Since when the oldest job that is not over is there, by kind.", labels, queue_age,
                               &running->gauged[i]);
    }
}

/* Each queue has its own threads: what is new waits for nobody's HEVC, and a picture for no film. Attempts are counted
 * in the table; the queue's own bound is for messages that nobody can read. */
static Err start_jobs(Running *running)
{
    const Transcode *t = &running->t;
    int cores = MAX((int)sysconf(_SC_NPROCESSORS_ONLN), 1);
    int workers = t->settings->workers ? (int)t->settings->workers : MAX(cores / 2, 1);

    for (size_t i = 0; i < JOB_QUEUE_COUNT; i++)
        running->types[i] = (JobType){.name = JOB_QUEUES[i],
                                      .body = &transcode__v1__transcode_job__descriptor,
                                      .handler = run_job,
                                      .max_deliveries = DELIVERIES_MAX,
                                      .backoff_ms = BACKOFF_MS,
                                      .ack_wait_ms = t->settings->lease_ms,
                                      .threads = i == 0 ? workers : 1};
    return job_queue_start(&(JobQueueOptions){.bus = t->bus,
                                              .log = t->log,
                                              .metrics = t->metrics,
                                              .domain = "transcode",
                                              .types = running->types,
                                              .type_count = JOB_QUEUE_COUNT,
                                              .context = &running->t},
                           &running->jobs);
}

static Err start_consumers(Running *running)
{
    static const struct {
        const char *durable, *filter;
        EventHandler handler;
    } ROWS[CONSUMER_COUNT] = {{"transcode-media-uploaded", "evt.media.item.uploaded.*", intake_uploaded},
                              {"transcode-media-cancelled", "evt.media.item.cancelled.*", intake_cancelled},
                              {"transcode-media-deleted", "evt.media.item.deleted.*", intake_deleted}};

    for (size_t i = 0; i < CONSUMER_COUNT; i++)
        TRY(event_consumer_start(&(EventConsumerOptions){.bus = running->t.bus,
                                                         .log = running->t.log,
                                                         .metrics = running->t.metrics,
                                                         .stream = "EVT_MEDIA",
                                                         .durable = ROWS[i].durable,
                                                         .filter = ROWS[i].filter,
                                                         .handler = ROWS[i].handler,
                                                         .context = &running->t},
                                 &running->consumers[i]));
    return OK;
}

/* Objects of an account's items go with the items, which media deletes. */
static Err erase_user(void *context, Arena *mem, int64_t user_id, int64_t *out_rows)
{
    const Transcode *t = context;
    CLEANUP(db_tx_done) DbTx tx = {0};
    (void)mem;

    TRY(db_tx_begin_with(t->db, ERASE_STATEMENT_MS, &tx));
    TRY(store_forget_owner(&tx, user_id, out_rows));
    return db_tx_commit(&tx);
}

static Err start_background(Service *service, void *context)
{
    Running *running = context;

    add_gauges(running);
    TRY(start_jobs(running));
    TRY(start_consumers(running));
    return erasure_start(&(ErasureOptions){.bus = service->bus,
                                           .client = service->client,
                                           .log = service->log,
                                           .metrics = service->metrics,
                                           .domain = "transcode",
                                           .erase = erase_user,
                                           .context = &running->t},
                         &running->erasure);
}

static void stop_background(void *context)
{
    Running *running = context;

    for (size_t i = 0; i < CONSUMER_COUNT; i++)
        if (running->consumers[i])
            event_consumer_stop(MOVE(running->consumers[i]));
    erasure_stop(MOVE(running->erasure));
    job_queue_stop(MOVE(running->jobs), DRAIN_MS);
}

static void close_transcode(void *context)
{
    Running *running = context;

    blob_close(running->t.blob);
    workshop_close(running->workshop);
}

int main(int argc, char **argv)
{
    static const RpcService *const RPCS[] = {&TRANSCODE_V1_PROCESSING_SERVICE};
    const ServiceDefinition definition = {
        .name = "transcode",
        .summary = "turns uploads into what plays everywhere",
        .settings = SETTINGS,
        .setting_count = ARRAY_LEN(SETTINGS),
        .settings_bytes = sizeof(TranscodeSettings),
        .uses_database = true,
        .has_events = true,
        .rpcs = RPCS,
        .rpc_count = ARRAY_LEN(RPCS),
        .check = check_settings,
        .open = open_transcode,
        .started = start_background,
        .stopping = stop_background,
        .close = close_transcode,
    };

    return service_main(&definition, argc, argv);
}
