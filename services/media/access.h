/* access: what a stream's ticket is good for, asked for every segment. Answers are kept for ACCESS_TTL_MS, so that many
 * who watch cost no more than a few, and what is taken back is shut within that time. Thread-safe. */
#pragma once
#include "services/media/permit.h"

enum { ACCESS_TTL_MS = 500, ACCESS_SLOTS = 4096, ACCESS_KEY_BYTES = 128 };

typedef struct AccessCache AccessCache;
AccessCache *access_cache_new(void);
void access_cache_free(AccessCache *c); /* NULL is fine */
CLEANUP_FN(AccessCache, access_cache_free)

/* What plays: the folder of a rendition. */
typedef struct StreamAccess {
    Uuid media_id; /* nil: nothing yet */
    int64_t generation;
} StreamAccess;
/* As permit_ticket. A refusal is never kept. */
Err access_stream(Request *rq, const Ticket *ticket, StreamAccess *out) MUST_CHECK;
