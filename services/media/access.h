/* access: may what a ticket is for still be had, and where is it? Asked for every segment, so answers are kept for
 * ACCESS_TTL_MS: a player costs at most two statements a second, however many segments, and an item that is deleted or
 * whose tickets are called back is shut within that time. Thread-safe. */
#pragma once
#include "services/media/store_items.h"

enum { ACCESS_TTL_MS = 500, ACCESS_ITEMS_MAX = 4096 };

/* What the data plane has to know of an item. */
typedef struct Access {
    Uuid media_id;
    bool there; /* false: it never was, is deleted, or in the trash */
    int64_t owner_id;
    int64_t generation; /* of tickets */
    Uuid rendition_media_id;
    int64_t rendition_generation;
} Access;

typedef struct AccessCache AccessCache;
AccessCache *access_cache_new(void);
void access_cache_free(AccessCache *c); /* NULL is fine */
CLEANUP_FN(AccessCache, access_cache_free)
Err access_of_item(Request *rq, Uuid media_id, Access *out) MUST_CHECK;
