/* main: the wiring of media. */
#include <sodium.h>

#include "atrium/media/v1/captions.service.h"
#include "atrium/media/v1/collections.service.h"
#include "atrium/media/v1/processing.service.h"
#include "atrium/media/v1/uploads.service.h"
#include "atrium/media/v1/webhooks.service.h"
#include "services/media/access.h"
#include "services/media/attachments.h"
#include "services/media/erase.h"
#include "services/media/jobs.h"
#include "services/media/sniff.h"
#include "services/media/sweeper.h"
#include "services/media/watchers.h"
#include "services/media/writers.h"
#include "shared/erasure.h"
#include "shared/service.h"

enum { FAST_THREADS = 4, UPLOADS_THREADS = 4, READS_AT_ONCE = 256, QUEUE_MAX = 1024 };

#define CONFIG_STRUCT MediaSettings
#define SETTING CONFIG_ROW
static const Setting SETTINGS[] = {
#include "services/media/settings.def"
};
#undef SETTING
#undef CONFIG_STRUCT

typedef struct Running {
    Media media; /* first: handlers get it */
    JobEvents job_events;
    EventConsumer *jobs;
    AttachmentEvents attachment_events;
    EventConsumer *attachments;
    Eraser eraser;
    Erasure *erasure;
    MediaSweeps sweeps;
    Sweeper *sweeper;
} Running;

static Err objects_check(void *data)
{
    return blob_check(data);
}

static void close_media(void *context)
{
    Running *running = context;

    sniffer_free(running->media.sniffer);
    access_cache_free(running->media.access);
    writers_free(running->media.writers);
    watchers_free(running->media.watchers);
    blob_close(running->media.blob);
    webhook_keys_free(running->media.webhook_keys);
}

static Err start_background(Service *service, void *context)
{
    Running *running = context;

    TRY(webhook_sender_start(&(WebhookSenderOptions){.db = service->db,
                                                     .log = service->log,
                                                     .metrics = service->metrics,
                                                     .clock = service->clock,
                                                     .settings = WEBHOOK_SETTINGS(running->media.settings),
                                                     .keys = running->media.webhook_keys,
                                                     .source = "//atrium/media"},
                             &running->media.webhooks));
    running->job_events = (JobEvents){.db = service->db, .clock = service->clock, .watchers = running->media.watchers};
    running->eraser =
        (Eraser){.media = &running->media, .db = service->db, .clock = service->clock, .log = service->log};
    TRY(event_consumer_start(&(EventConsumerOptions){.bus = service->bus,
                                                     .log = service->log,
                                                     .metrics = service->metrics,
                                                     .stream = JOB_EVENTS_STREAM,
                                                     .durable = JOB_EVENTS_DURABLE,
                                                     .filter = JOB_EVENTS_FILTER,
                                                     .handler = job_events_take,
                                                     .context = &running->job_events},
                             &running->jobs));
    running->attachment_events =
        (AttachmentEvents){.media = &running->media, .db = service->db, .clock = service->clock, .log = service->log};
    TRY(event_consumer_start(&(EventConsumerOptions){.bus = service->bus,
                                                     .log = service->log,
                                                     .metrics = service->metrics,
                                                     .stream = ATTACHMENT_EVENTS_STREAM,
                                                     .durable = ATTACHMENT_EVENTS_DURABLE,
                                                     .filter = ATTACHMENT_EVENTS_FILTER,
                                                     .handler = attachment_events_take,
                                                     .context = &running->attachment_events},
                             &running->attachments));
    TRY(erasure_start(&(ErasureOptions){.bus = service->bus,
                                        .client = service->client,
                                        .log = service->log,
                                        .metrics = service->metrics,
                                        .domain = "media",
                                        .erase = erase_user,
                                        .context = &running->eraser},
                      &running->erasure));
    running->sweeps =
        (MediaSweeps){.media = &running->media, .db = service->db, .clock = service->clock, .log = service->log};
    running->sweeper = media_sweeper_start(&running->sweeps, service->metrics);
    return OK;
}

static void stop_background(void *context)
{
    Running *running = context;

    watchers_stop(running->media.watchers);
    webhook_sender_stop(MOVE(running->media.webhooks));
    sweeper_stop(MOVE(running->sweeper));
    erasure_stop(MOVE(running->erasure));
    event_consumer_stop(MOVE(running->attachments));
    event_consumer_stop(MOVE(running->jobs));
}

static Err open_parts(Service *service, Running *running)
{
    const MediaSettings *settings = service->settings;

    running->media = (Media){
        .settings = settings,
        .ids = service->ids,
        .outbox = service->outbox,
        .watchers = watchers_new(),
        .tickets = service->tickets,
        .bytes_url = service->bytes_url,
    };
    TRY(webhook_keys_new(settings->webhook_key, &running->media.webhook_keys));
    running->media.access = access_cache_new();
    running->media.writers = writers_new(service->db, service->log, service->ids);
    TRY(blob_open(&(BlobOptions){BLOB_OPTIONS(settings), .clock = service->clock, .log = service->log},
                  &running->media.blob));
    return sniffer_new(&running->media.sniffer);
}

static Err open_media(Service *service, void **out_context)
{
    Running *running = ARENA_NEW(service->mem, Running);
    Err e;

    if (sodium_init() < 0)
        return err_make(&INTERNAL, "libsodium cannot be used");
    e = open_parts(service, running);
    if (err_failed(e)) {
        close_media(running);
        return e;
    }
    admin_add_check(service->admin, "objects", objects_check, running->media.blob);
    *out_context = running;
    return OK;
}

static Err check_settings(const CommonSettings *common, const void *settings)
{
    const MediaSettings *s = settings;

    (void)common;
    TRY(webhook_keys_check(s->webhook_key));
    return blob_options_check(&(BlobOptions){BLOB_OPTIONS(s)});
}

int main(int argc, char **argv)
{
    static const RpcService *const RPCS[] = {&MEDIA_V1_COLLECTION_SERVICE, &MEDIA_V1_DERIVED_SERVICE,
                                             &MEDIA_V1_MEDIA_SERVICE,      &MEDIA_V1_PROCESSING_SERVICE,
                                             &MEDIA_V1_UPLOAD_SERVICE,     &MEDIA_V1_WEBHOOK_SERVICE};
    static const BytesService *const BYTES[] = {
        &MEDIA_V1_DERIVED_SERVICE_BYTES, &MEDIA_V1_ATTACHMENT_FILE_SERVICE_BYTES, &MEDIA_V1_UPLOAD_SERVICE_BYTES};
    static const RpcLane LANES[] = {
        {.name = "fast", .threads = FAST_THREADS, .queue_max = QUEUE_MAX},
        {.name = "reads", .fibers = READS_AT_ONCE, .queue_max = QUEUE_MAX},
        {.name = "uploads", .threads = UPLOADS_THREADS, .queue_max = QUEUE_MAX},
        {.name = "slow", .threads = 1, .queue_max = 64, .nice = 10},
        {.name = "watch", .threads = WATCHERS_MAX, .queue_max = 1},
    };
    const ServiceDefinition definition = {
        .name = "media",
        .summary = "media items, collections and how they are shared",
        .settings = SETTINGS,
        .setting_count = ARRAY_LEN(SETTINGS),
        .settings_bytes = sizeof(MediaSettings),
        .uses_database = true,
        .has_events = true,
        .rpcs = RPCS,
        .rpc_count = ARRAY_LEN(RPCS),
        .lanes = LANES,
        .lane_count = ARRAY_LEN(LANES),
        .bytes = BYTES,
        .bytes_count = ARRAY_LEN(BYTES),
        .check = check_settings,
        .open = open_media,
        .started = start_background,
        .stopping = stop_background,
        .close = close_media,
    };

    return service_main(&definition, argc, argv);
}
