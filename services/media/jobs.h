/* jobs: what transcode tells of its work becomes the state of items. */
#pragma once
#include "services/media/media.h"
#include "services/media/watchers.h"

typedef struct JobEvents {
    Db *db;
    const Clock *clock;
    Watchers *watchers; /* may be NULL */
} JobEvents;
#define JOB_EVENTS_STREAM "EVT_TRANSCODE"
#define JOB_EVENTS_FILTER "evt.transcode.job.>"
#define JOB_EVENTS_DURABLE "media-transcode-jobs"
/* An EventHandler (outbox.h); `context` is a JobEvents. What is not understood is left alone: newer versions may tell
 * more. */
Err job_events_take(void *context, Arena *mem, const Event *event);
