/* intake: what media tells of items becomes jobs, or ends them. Handlers of event consumers; the context is the
 * Transcode. What comes twice has no further effect. */
#pragma once
#include "services/transcode/store.h"

enum { FILENAME_MAX_BYTES = 255, TYPE_MAX_BYTES = 255 };

Err intake_uploaded(void *context, Arena *mem, const Event *event);
Err intake_cancelled(void *context, Arena *mem, const Event *event);
Err intake_deleted(void *context, Arena *mem, const Event *event);
/* The first job of an uploaded item, by the event's body; without id and attempts. Texts are cut to the bounds above.
 * INVALID_BODY: no item, or no key that the store would take. */
Err intake_read_upload(Arena *mem, Slice body, JobRow *out) MUST_CHECK;
