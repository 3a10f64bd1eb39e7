/* store_rerender: whose events are to be written anew. */
#pragma once
#include "services/events/entity.h"

typedef struct RenderWanted {
    int64_t id; /* 0: nothing waits */
    EntityKind kind;
    Uuid entity, after;
} RenderWanted;
/* The oldest that nobody works off, of `entity` unless nil; held to the end of the transaction. */
Err events_store_next_render(DbTx *tx, Uuid entity, RenderWanted *out) MUST_CHECK;
/* Events that name it, `limit` of them by id: locked, before any place is. */
Err events_store_lock_naming(DbTx *tx, Arena *mem, const RenderWanted *wanted, int64_t limit, Uuid **out,
                             size_t *out_count) MUST_CHECK;
Err events_store_rendered_to(DbTx *tx, int64_t id, Uuid event) MUST_CHECK;
Err events_store_rendered(DbTx *tx, int64_t id) MUST_CHECK;
