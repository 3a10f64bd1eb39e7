/* intake: what media tells of items becomes jobs, or ends them. Handlers of event consumers; the context is the
 * Transcode. What comes twice has no further effect. */
#pragma once
#include "services/transcode/transcode.h"

Err intake_uploaded(void *context, Arena *mem, const Event *event);
Err intake_cancelled(void *context, Arena *mem, const Event *event);
Err intake_deleted(void *context, Arena *mem, const Event *event);
