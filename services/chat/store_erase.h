/* store_erase: where an account that is gone has left something. Each list is what is there at most ERASE_BATCH times;
 * when it is dealt with, the next call finds the rest. */
#pragma once
#include "services/chat/chat.h"

enum { ERASE_BATCH = 100 };

Err chat_store_guild_ids_of(Request *rq, int64_t user_id, int64_t **out, size_t *out_count) MUST_CHECK;
Err chat_store_dm_ids_of(Request *rq, int64_t user_id, int64_t **out, size_t *out_count) MUST_CHECK;
/* Of one channel. */
typedef struct WrittenMessages {
    int64_t channel_id, guild_id; /* guild_id 0: between people */
    int64_t *ids;
    size_t count;
} WrittenMessages;
Err chat_store_written_by(Request *rq, int64_t user_id, WrittenMessages *out) MUST_CHECK;
/* The member who is to own the guild after him: 0 when there is nobody else. */
Err chat_store_heir(DbTx *tx, int64_t guild_id, int64_t user_id, int64_t *out) MUST_CHECK;
/* Everything else that names him, his row of person last. `*out_rows` is how much went. */
Err chat_store_erase_rest(DbTx *tx, int64_t user_id, int64_t *out_rows) MUST_CHECK;
