/* store_webhooks: which changes a webhook wants; the webhooks themselves are shared/webhook.h's. */
#pragma once
#include "shared/rpc.h"

enum { FILTER_WORDS_MAX = 50, FILTER_WORD_MAX_BYTES = 200 };

typedef struct WebhookFilterRow {
    const Slice *domains, *keywords; /* keywords folded */
    size_t domain_count, keyword_count;
    bool boxed;
    double west, south, east, north;
} WebhookFilterRow;

/* One thing at a time for an owner: his webhooks are counted. To the end of the transaction. */
Err events_store_lock_webhooks(DbTx *tx, int64_t owner_id) MUST_CHECK;
/* In place of the one before. */
Err events_store_set_filter(DbTx *tx, Uuid webhook_id, const WebhookFilterRow *filter) MUST_CHECK;
/* Nothing in `out` when there is none. Borrowed from rq->mem. */
Err events_store_filter(Request *rq, Uuid webhook_id, WebhookFilterRow *out) MUST_CHECK;
