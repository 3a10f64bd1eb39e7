/* store_sweep: what nobody needs any more. */
#pragma once
#include "services/media/store.h"

/* Objects that were discarded before then: at most `limit`, longest ago first; borrowed from rq->mem. */
Err media_store_discarded(Request *rq, int64_t before_us, int64_t limit, const char ***out_keys,
                          size_t *out_count) MUST_CHECK;
/* They are gone from the store. */
Err media_store_forget_discarded(DbTx *tx, const char *const *keys, size_t count) MUST_CHECK;
/* Of these keys of originals, those that no row knows, to be discarded. Borrowed from rq->mem. */
Err media_store_unknown_originals(Request *rq, const char *const *keys, size_t count, const char ***out_keys,
                                  size_t *out_count) MUST_CHECK;

/* --- accounts that go ------------------------------------------------------------------------------------------------
 */
/* Items of a user, the trash included: at most `limit` ids. */
Err media_store_items_of(Request *rq, int64_t owner_id, int64_t limit, Uuid *out_ids, size_t *out_count) MUST_CHECK;
/* All but his items, which are gone: collections, quota, counts. */
Err media_store_erase_owner(DbTx *tx, int64_t owner_id, int64_t *out_rows) MUST_CHECK;
