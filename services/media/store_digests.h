/* store_digests: which content a user has; never what others have. */
#pragma once
#include "services/media/store.h"

typedef struct DigestRow {
    const char *sha256_hex; /* lower case */
    Uuid media_id;          /* his oldest item with it, not in the trash */
} DigestRow;
/* Of those asked for, each once; borrowed from rq->mem. */
Err media_store_known_digests(Request *rq, int64_t owner_id, char *const *sha256_hex, size_t count, DigestRow **out,
                              size_t *out_count) MUST_CHECK;
