/* store_reactions: the SQL of reactions. Changes under the channel's lock. */
#pragma once
#include "services/chat/messages.h"

typedef struct ReactionState {
    bool there; /* the message is */
    bool mine;  /* the user has reacted so */
    bool known; /* somebody has */
    int kinds;  /* different ones on the message */
} ReactionState;
Err chat_store_reaction_state(DbTx *tx, int64_t channel_id, int64_t message_id, const char *emoji, int64_t user_id,
                              ReactionState *out) MUST_CHECK;
Err chat_store_add_reaction(DbTx *tx, int64_t channel_id, int64_t message_id, const char *emoji, int64_t user_id,
                            int64_t now_us) MUST_CHECK;
Err chat_store_remove_reaction(DbTx *tx, int64_t message_id, const char *emoji, int64_t user_id,
                               bool *out_removed) MUST_CHECK;
/* The earliest first; judged as history is, and VIEW_CHANNEL with it. NOT_FOUND "message not found". */
Err chat_store_reactors(Request *rq, int64_t channel_id, int64_t message_id, const char *emoji, int limit,
                        int64_t **out, size_t *out_count) MUST_CHECK;
