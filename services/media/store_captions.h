/* store_captions: captions that users bring to their items. */
#pragma once
#include "services/media/store_quota.h"

enum { CAPTIONS_MAX = 50 }; /* of an item */

typedef struct CaptionRow {
    Uuid media_id;
    const char *language, *label; /* a NULL language: there is none */
    bool is_default;
    Slice content; /* empty in lists */
    int64_t updated_us;
} CaptionRow;

/* Of several items, by media id and language; without their content. Borrowed from rq->mem. */
Err media_store_captions(Request *rq, const Uuid *ids, size_t count, CaptionRow **out, size_t *out_count) MUST_CHECK;
/* One, with its content. */
Err media_store_caption(Request *rq, Uuid media_id, const char *language, CaptionRow *out) MUST_CHECK;
/* Of an item that is locked, and its owner: replaces what was there in the language. Counts against the quota.
 * FAILED_PRECONDITION: CAPTIONS_MAX others are there. QUOTA_EXCEEDED. */
Err media_store_put_caption(Request *rq, DbTx *tx, int64_t owner_id, const CaptionRow *row) MUST_CHECK;
Err media_store_delete_caption(DbTx *tx, Uuid media_id, const char *language, bool *out_found) MUST_CHECK;
