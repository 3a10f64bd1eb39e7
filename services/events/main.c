/* main: the wiring of events. */
#include "atrium/events/v1/admin.service.h"
#include "atrium/events/v1/announce.service.h"
#include "atrium/events/v1/calendars.service.h"
#include "atrium/events/v1/events.service.h"
#include "atrium/events/v1/federation.service.h"
#include "atrium/events/v1/feed.service.h"
#include "atrium/events/v1/geo.service.h"
#include "atrium/events/v1/pages.service.h"
#include "atrium/events/v1/review.service.h"
#include "atrium/events/v1/submissions.service.h"
#include "atrium/events/v1/webhooks.service.h"
#include "services/events/batch.h"
#include "services/events/erase.h"
#include "services/events/feed.h"
#include "services/events/housekeeping.h"
#include "services/events/ingest.h"
#include "services/events/rendered.h"
#include "services/events/series.h"
#include "services/events/store_list.h"
#include "shared/erasure.h"
#include "shared/service.h"

enum { FAST_THREADS = 4, READS_AT_ONCE = 256, QUEUE_MAX = 1024, SLOW_QUEUE_MAX = 64, JOBS_STOP_MS = 10000 };
enum {
    RENDERED_MAX_BYTES = 8 * 1024 * 1024, /* some five thousand cards and documents */
    OUTBOX_SPACING_MS = 25 /* nobody waits for what is announced; each turn costs as much as a quarter of an event */
};

#define CONFIG_STRUCT EventsSettings
#define SETTING CONFIG_ROW
static const Setting SETTINGS[] = {
#include "services/events/settings.def"
};
#undef SETTING
#undef CONFIG_STRUCT

typedef struct Running {
    Events events; /* first: handlers get it */
    BatchWorker batches;
    JobQueue *jobs;
    Housekeeping housekeeping;
    Sweeper *sweeper;
    SeriesKeeper keeper;
    Sweeper *series_sweeper;
    Eraser eraser;
    Erasure *erasure;
} Running;

static Err check_settings(const CommonSettings *common, const void *settings)
{
    const EventsSettings *s = settings;
    Slice base = slice(s->base_url);
    CLEANUP(zones_free_at) Zones *zones = zones_new(NULL);

    (void)common;
    if (!zones_find(zones, slice(s->default_timezone)))
        return err_make(&INVALID_ARGUMENT, "DEFAULT_TIMEZONE: there is no zone of that name");
    if (!slice_starts_with(base, SLICE_LIT("http://")) && !slice_starts_with(base, SLICE_LIT("https://")))
        return err_make(&INVALID_ARGUMENT, "SERVER_BASE_URL: http:// or https://, and a host");
    if (base.ptr[base.len - 1] == '/')
        return err_make(&INVALID_ARGUMENT, "SERVER_BASE_URL: no slash at the end");
    if (strcmp(s->visibility, "public") != 0 && strcmp(s->visibility, "all") != 0)
        return err_make(&INVALID_ARGUMENT, "EVENTS_VISIBILITY: public or all");
    TRY(webhook_keys_check(s->webhook_key));
    return ingest_settings_check(s);
}

static Err open_events(Service *service, void **out_context)
{
    const EventsSettings *settings = service->settings;
    Running *running = ARENA_NEW(service->mem, Running);
    Boundary *boundary;

    TRY(ingest_boundary(settings, service->mem, &boundary));
    running->events = (Events){
        .settings = settings,
        .ids = service->ids,
        .build = {.version = service->version,
                  .commit = service->commit,
                  .slot = service->common->slot,
                  .started_us = clock_unix_us(service->clock)},
        .contexts = contexts_new(service->mem, settings->base_url),
        .zones = zones_new(NULL),
        .boundary = boundary,
        .shapes = shapes_new(),
        .rendered = rendered_new(RENDERED_MAX_BYTES),
        .outbox = service->outbox,
    };
    TRY(webhook_keys_new(settings->webhook_key, &running->events.webhook_keys));
    *out_context = running;
    return OK;
}

static Err start_feed(Service *service, Events *events)
{
    TRY(webhook_sender_start(&(WebhookSenderOptions){.db = service->db,
                                                     .log = service->log,
                                                     .metrics = service->metrics,
                                                     .clock = service->clock,
                                                     .settings = WEBHOOK_SETTINGS(events->settings),
                                                     .keys = events->webhook_keys,
                                                     .source = "//atrium/events"},
                             &events->webhooks));
    return feed_start(&(FeedOptions){.db = service->db,
                                     .log = service->log,
                                     .metrics = service->metrics,
                                     .webhooks = events->webhooks,
                                     .base_url = events->settings->base_url,
                                     .streams_per_address = (size_t)events->settings->feed_streams_per_address},
                      &events->feed);
}

static Err start_jobs(Service *service, Running *running)
{
    static const JobType JOBS[] = {{.name = "batch",
                                    .body = &events__v1__batch_job__descriptor,
                                    .handler = batch_run,
                                    .max_deliveries = BATCH_MAX_DELIVERIES,
                                    .backoff_ms = BATCH_BACKOFF_MS,
                                    .threads = BATCH_THREADS}};

    running->batches =
        (BatchWorker){.events = &running->events, .db = service->db, .clock = service->clock, .log = service->log};
    return job_queue_start(&(JobQueueOptions){.bus = service->bus,
                                              .log = service->log,
                                              .metrics = service->metrics,
                                              .domain = "events",
                                              .types = JOBS,
                                              .type_count = ARRAY_LEN(JOBS),
                                              .context = &running->batches},
                           &running->jobs);
}

static Err start_background(Service *service, void *context)
{
    Running *running = context;

    TRY(start_feed(service, &running->events));
    running->housekeeping =
        (Housekeeping){.events = &running->events, .db = service->db, .clock = service->clock, .log = service->log};
    running->eraser =
        (Eraser){.events = &running->events, .db = service->db, .clock = service->clock, .log = service->log};
    TRY(erasure_start(&(ErasureOptions){.bus = service->bus,
                                        .client = service->client,
                                        .log = service->log,
                                        .metrics = service->metrics,
                                        .domain = "events",
                                        .erase = erase_user,
                                        .context = &running->eraser},
                      &running->erasure));
    running->sweeper = housekeeping_start(&running->housekeeping, service->metrics);
    running->keeper =
        (SeriesKeeper){.events = &running->events, .db = service->db, .clock = service->clock, .log = service->log};
    running->series_sweeper = series_sweeper_start(&running->keeper, service->metrics);
    return start_jobs(service, running);
}

static void stop_background(void *context)
{
    Running *running = context;

    job_queue_stop(MOVE(running->jobs), JOBS_STOP_MS);
    feed_stop(MOVE(running->events.feed));
    webhook_sender_stop(MOVE(running->events.webhooks));
    sweeper_stop(MOVE(running->series_sweeper));
    sweeper_stop(MOVE(running->sweeper));
    erasure_stop(MOVE(running->erasure));
}

static void close_events(void *context)
{
    Running *running = context;

    webhook_keys_free(running->events.webhook_keys);
    shapes_free(running->events.shapes);
    rendered_free(running->events.rendered);
    zones_free(running->events.zones);
}

int main(int argc, char **argv)
{
    static const RpcService *const RPCS[] = {
        /* One a line, so that they merge. */
        /* clang-format off */
        &EVENTS_V1_ADMIN_SERVICE,
        &EVENTS_V1_ANNOUNCE_SERVICE,
        &EVENTS_V1_CALENDAR_SERVICE,
        &EVENTS_V1_EVENT_SERVICE,
        &EVENTS_V1_FEDERATION_SERVICE,
        &EVENTS_V1_FEED_SERVICE,
        &EVENTS_V1_GEO_SERVICE,
        &EVENTS_V1_PAGE_SERVICE,
        &EVENTS_V1_REVIEW_SERVICE,
        &EVENTS_V1_SUBMISSION_SERVICE,
        &EVENTS_V1_SUBSCRIPTION_SERVICE,
        /* clang-format on */
    };
    static const BytesService *const BYTES[] = {&EVENTS_V1_EXPORT_SERVICE_BYTES};
    static const RpcLane LANES[] = {
        {.name = "fast", .threads = FAST_THREADS, .queue_max = QUEUE_MAX},
        {.name = "reads", .fibers = READS_AT_ONCE, .queue_max = QUEUE_MAX},
        {.name = "slow", .threads = 1, .queue_max = SLOW_QUEUE_MAX, .nice = 10},
    };
    const ServiceDefinition definition = {
        .name = "events",
        .summary = "a commons of events, places and organisations as linked data",
        .settings = SETTINGS,
        .setting_count = ARRAY_LEN(SETTINGS),
        .settings_bytes = sizeof(EventsSettings),
        .uses_database = true,
        .has_events = true,
        .outbox_spacing_ms = OUTBOX_SPACING_MS,
        .rpcs = RPCS,
        .rpc_count = ARRAY_LEN(RPCS),
        .lanes = LANES,
        .lane_count = ARRAY_LEN(LANES),
        .bytes = BYTES,
        .bytes_count = ARRAY_LEN(BYTES),
        .check = check_settings,
        .open = open_events,
        .started = start_background,
        .stopping = stop_background,
        .close = close_events,
    };

    return service_main(&definition, argc, argv);
}
