/* store_reads: the SQL of what people have read. */
#pragma once
#include "services/chat/messages.h"

enum { MENTION_COUNT_MAX = 1000 /* further ones are not counted */ };

/* The caller has read up to `message_id`. Under chat_lock_user. Judged for VIEW_CHANNEL. `*out_changed` false: he had
 * read as far before. */
Err chat_store_ack(DbTx *tx, Request *rq, int64_t channel_id, int64_t message_id, bool *out_changed,
                   Chat__V1__ReadState *out) MUST_CHECK;
/* Of the channels that the user sees, and has read in or is meant in since he came. */
Err chat_store_read_states(Request *rq, int64_t user_id, Chat__V1__ReadState ***out, size_t *out_count) MUST_CHECK;
