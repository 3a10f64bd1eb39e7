/* main: the wiring of transcode. */
#include "services/transcode/transcode.h"
#include "shared/service.h"

#define CONFIG_STRUCT TranscodeSettings
#define SETTING CONFIG_ROW
static const Setting SETTINGS[] = {
#include "services/transcode/settings.def"
};
#undef SETTING
#undef CONFIG_STRUCT

static Err open_transcode(Service *service, void **out_context)
{
    Transcode *t = ARENA_NEW(service->mem, Transcode);

    t->settings = service->settings;
    t->ids = service->ids;
    t->outbox = service->outbox;
    *out_context = t;
    return OK;
}

int main(int argc, char **argv)
{
    const ServiceDefinition definition = {
        .name = "transcode",
        .summary = "turns uploads into what plays everywhere",
        .settings = SETTINGS,
        .setting_count = ARRAY_LEN(SETTINGS),
        .settings_bytes = sizeof(TranscodeSettings),
        .uses_database = true,
        .has_events = true,
        .open = open_transcode,
    };

    return service_main(&definition, argc, argv);
}
