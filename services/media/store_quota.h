/* store_quota: what each user stores, may store, and has set aside for uploads.
 *
 * Bytes are reserved before an upload begins and settled when it is complete; both lock the owner's row, so that
 * uploads side by side never go beyond the limit together. The trash counts until it is purged; content that a user has
 * twice counts once. */
#pragma once
#include "services/media/store.h"

typedef struct QuotaRow {
    int64_t used_bytes, reserved_bytes;
    int64_t limit_bytes; /* -1: none */
    int64_t item_count;  /* without the trash */
} QuotaRow;

/* Locks the owner's row to the end of the transaction, and makes it when there is none. */
Err media_store_lock_owner(DbTx *tx, int64_t owner_id) MUST_CHECK;
/* Sets `delta_bytes` (> 0) aside, or gives them back (< 0; never below nothing). QUOTA_EXCEEDED, with used, limit and
 * requested in the request's details. Locks the owner. `rq` gives the default quota. */
Err media_store_reserve(Request *rq, DbTx *tx, int64_t owner_id, int64_t delta_bytes) MUST_CHECK;
/* What was `reserved_bytes` turns into `used_bytes` (0: content that was there already). QUOTA_EXCEEDED as above when
 * more came than was set aside and that is too much. Locks the owner. */
Err media_store_settle(Request *rq, DbTx *tx, int64_t owner_id, int64_t reserved_bytes, int64_t used_bytes) MUST_CHECK;
/* Of an object that goes. */
Err media_store_release(DbTx *tx, int64_t owner_id, int64_t used_bytes) MUST_CHECK;

Err media_store_quota(Request *rq, int64_t owner_id, QuotaRow *out) MUST_CHECK;
/* -1: the default holds. */
Err media_store_set_quota(DbTx *tx, int64_t owner_id, int64_t limit_bytes) MUST_CHECK;
