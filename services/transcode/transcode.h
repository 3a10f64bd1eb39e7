/* transcode: the context of the service, made in main.c. */
#pragma once
#include "atrium/transcode/v1/events.pb-c.h"
#include "atrium/transcode/v1/work.pb-c.h"
#include "shared/config.h"
#include "shared/outbox.h"

typedef struct TranscodeSettings {
#define SETTING CONFIG_MEMBER
#include "services/transcode/settings.def"
#undef SETTING
} TranscodeSettings;

typedef struct Transcode {
    const TranscodeSettings *settings;
    IdSource *ids;
    OutboxRelay *outbox;
} Transcode;
