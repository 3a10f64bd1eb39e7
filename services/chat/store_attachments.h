/* store_attachments: the SQL of attachments, and of what the sweeper takes away. */
#pragma once
#include "services/chat/attachments.h"

Err chat_store_insert_attachment(DbTx *tx, const Chat__V1__Attachment *attachment, int64_t channel_id,
                                 int64_t author_id, bool alone) MUST_CHECK;

/* Of this author in this channel, of no message yet: by ids, or (none) those with ids greater than `after_id`, the
 * first ATTACHMENTS_MAX of them. They are the message's from now on. */
Err chat_store_claim(DbTx *tx, Request *rq, const Chat__V1__Message *message, const int64_t *ids, size_t count,
                     int64_t after_id, Chat__V1__Attachment ***out, size_t *out_count) MUST_CHECK;
/* Deletes rows; their media items. */
Err chat_store_release(DbTx *tx, Arena *mem, const int64_t *message_ids, size_t count, Uuid **out,
                       size_t *out_count) MUST_CHECK;
/* Older than `before_id` and of no message. */
Err chat_store_release_old(DbTx *tx, Arena *mem, int64_t before_id, int limit, Uuid **out,
                           size_t *out_count) MUST_CHECK;

typedef struct LoneUpload {
    int64_t id, channel_id, author_id;
} LoneUpload;
/* Older than `before_id`, and waiting to become messages of their own. */
Err chat_store_lone(Request *rq, int64_t before_id, int limit, LoneUpload **out, size_t *out_count) MUST_CHECK;
/* They wait for that no longer. */
Err chat_store_forget_lone(DbTx *tx, int64_t id) MUST_CHECK;

/* A channel that is gone and still has something; 0: none. */
Err chat_store_discarded(Request *rq, int64_t *out_channel_id) MUST_CHECK;
/* Some of its messages, ascending, with all that is theirs but attachments. */
Err chat_store_discard_messages(DbTx *tx, Arena *mem, int64_t channel_id, int limit, int64_t **out,
                                size_t *out_count) MUST_CHECK;
/* What else is kept of it, and that it is to be discarded. The items of uploads that no message has. */
Err chat_store_forget_channel(DbTx *tx, Arena *mem, int64_t channel_id, Uuid **out, size_t *out_count) MUST_CHECK;
