/* store_dms: the SQL of direct and group channels, and of who is blocked. */
#pragma once
#include "atrium/chat/v1/dms.pb-c.h"
#include "services/chat/chat.h"

enum {
    GROUP_RECIPIENTS_MAX = 10, /* the owner among them */
    DMS_SHOWN_MAX = 1000,
    BLOCKS_MAX = 1000 /* of one user */
};

/* The channel with its recipients; id 0 when there is none, or it is a guild's. `tx` may be NULL: then a read of its
 * own. */
Err chat_store_dm(Request *rq, DbTx *tx, int64_t channel_id, Chat__V1__DMChannel *out) MUST_CHECK;
/* Is there any channel of this id, a guild's too? */
Err chat_store_channel_known(DbTx *tx, int64_t channel_id, bool *out) MUST_CHECK;
/* Newest first, of those with smaller ids. */
Err chat_store_dms_of(Request *rq, int64_t user_id, int64_t before_id, int limit, Chat__V1__DMChannel ***out,
                      size_t *out_count) MUST_CHECK;

/* Of two: serialises who begins one; the channel that there is, or 0. */
Err chat_store_lock_pair(DbTx *tx, int64_t user_id, int64_t other_id, int64_t *out_channel_id) MUST_CHECK;
Err chat_store_insert_pair(DbTx *tx, int64_t user_id, int64_t other_id, int64_t channel_id) MUST_CHECK;

/* With these recipients; `owner_id` 0: a DM of two. */
Err chat_store_insert_dm(DbTx *tx, int64_t channel_id, int64_t owner_id, const int64_t *user_ids, size_t count,
                         int64_t now_us) MUST_CHECK;
Err chat_store_add_recipient(DbTx *tx, int64_t channel_id, int64_t user_id, int64_t now_us) MUST_CHECK;
/* And when he was the owner, the longest recipient is it now; `*out_left` recipients remain. */
Err chat_store_remove_recipient(DbTx *tx, int64_t channel_id, int64_t user_id, int *out_left) MUST_CHECK;
Err chat_store_delete_dm(DbTx *tx, int64_t channel_id) MUST_CHECK;

/* Has any of them blocked `user_id`? `tx` may be NULL. */
Err chat_store_is_blocked(Request *rq, DbTx *tx, int64_t user_id, const int64_t *by, size_t count,
                          bool *out) MUST_CHECK;
/* `*out_changed` false: it was so before. */
Err chat_store_block(DbTx *tx, int64_t user_id, int64_t blocked_id, int64_t now_us, bool *out_changed) MUST_CHECK;
Err chat_store_unblock(DbTx *tx, int64_t user_id, int64_t blocked_id, bool *out_changed) MUST_CHECK;
Err chat_store_count_blocks(DbTx *tx, int64_t user_id, int *out) MUST_CHECK;
/* The latest first. */
Err chat_store_blocks(Request *rq, int64_t user_id, Chat__V1__Block ***out, size_t *out_count) MUST_CHECK;
