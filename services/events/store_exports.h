/* store_exports: all public events, in turns. */
#pragma once
#include "services/events/events.h"

typedef struct ExportRow {
    Uuid id;
    Slice doc;                         /* JSON, without @context and dates */
    int64_t start_us, end_us, door_us; /* of the next occurrence, else the last one; 0 none */
} ExportRow;
/* `limit` of them behind `after`, by id; of `mem`. `as_of_us`: what ended before that is not the next one. */
Err exports_store_events(Request *rq, Arena *mem, int64_t as_of_us, Uuid after, int64_t limit, ExportRow **out,
                         size_t *out_count) MUST_CHECK;
