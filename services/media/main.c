/* main: the wiring of media. */
#include <sodium.h>

#include "services/media/media.h"
#include "shared/service.h"

enum { FAST_THREADS = 4, READS_AT_ONCE = 256, QUEUE_MAX = 1024 };

#define CONFIG_STRUCT MediaSettings
#define SETTING CONFIG_ROW
static const Setting SETTINGS[] = {
#include "services/media/settings.def"
};
#undef SETTING
#undef CONFIG_STRUCT

typedef struct Running {
    Media media; /* first: handlers get it */
} Running;

static Err open_media(Service *service, void **out_context)
{
    Running *running = ARENA_NEW(service->mem, Running);

    if (sodium_init() < 0)
        return err_make(&INTERNAL, "libsodium cannot be used");
    running->media = (Media){.settings = service->settings, .ids = service->ids, .outbox = service->outbox};
    *out_context = running;
    return OK;
}

int main(int argc, char **argv)
{
    static const RpcService *const RPCS[] = {&MEDIA_V1_MEDIA_SERVICE};
    static const RpcLane LANES[] = {
        {.name = "fast", .threads = FAST_THREADS, .queue_max = QUEUE_MAX},
        {.name = "reads", .fibers = READS_AT_ONCE, .queue_max = QUEUE_MAX},
        {.name = "slow", .threads = 1, .queue_max = 64, .nice = 10},
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
        .open = open_media,
    };

    return service_main(&definition, argc, argv);
}
