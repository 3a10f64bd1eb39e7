/* transcode: the context of the service, made in main.c. */
#pragma once
#include "atrium/transcode/v1/events.atrium.h"
#include "atrium/transcode/v1/processing.atrium.h"
#include "atrium/transcode/v1/work.pb-c.h"
#include "services/transcode/child.h"
#include "shared/blob.h"
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
    Db *db;
    Bus *bus;
    Blob *blob;
    const Clock *clock;
    Log *log;
    Metrics *metrics;
    Children children;
    const char *image_tool; /* the program transcode-image */
    const char *work_dir;   /* of this process alone */
    int threads;            /* of one encoder */
} Transcode;
