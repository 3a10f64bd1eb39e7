/* store_exports: all public events, in turns. */
#pragma once
#include "services/events/events.h"

typedef struct ExportRow {
    Uuid id;
    Slice doc;                /* JSON, without @context and dates */
    int64_t start_us, end_us; /* of the first occurrence: what is exported does not depend on when; 0 none */
} ExportRow;
/* `limit` of them behind `after`, by id; of `mem`. */
Err exports_store_events(Request *rq, Arena *mem, Uuid after, int64_t limit, ExportRow **out,
                         size_t *out_count) MUST_CHECK;
/* Changes when any of them does. */
Err exports_store_state(Request *rq, int64_t *out_count, int64_t *out_rendered) MUST_CHECK;
