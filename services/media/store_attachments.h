/* store_attachments: the SQL of items that are attachments. */
#pragma once
#include "services/media/store.h"

/* `item` is served at the address with this secret from now on. */
Err media_store_insert_attachment(DbTx *tx, Uuid media_id, const char *secret) MUST_CHECK;
/* The item of a secret; owner_id 0 when there is none, or it is in the trash. */
Err media_store_attachment(Request *rq, Slice secret, ItemRow *out) MUST_CHECK;
Err media_store_is_attachment(DbTx *tx, Uuid media_id, bool *out) MUST_CHECK;
