/* store_roles: the SQL of roles. */
#pragma once
#include "services/chat/store.h"

Err chat_store_list_roles(Request *rq, int64_t guild_id, Chat__V1__Role ***out, size_t *out_count) MUST_CHECK;
/* Of this guild; id 0 when it has no such role. */
Err chat_store_role(DbTx *tx, Arena *mem, int64_t guild_id, int64_t role_id, Chat__V1__Role *out) MUST_CHECK;
/* Those of `ids` that the guild has; @everyone is one of them. */
Err chat_store_roles(DbTx *tx, Arena *mem, int64_t guild_id, const int64_t *ids, size_t count, Chat__V1__Role **out,
                     size_t *out_count) MUST_CHECK;
/* LIMIT_REACHED. */
Err chat_store_insert_role(DbTx *tx, const Chat__V1__Role *role) MUST_CHECK;
Err chat_store_update_role(DbTx *tx, const Chat__V1__Role *role) MUST_CHECK;
/* Members lose it, too. */
Err chat_store_delete_role(DbTx *tx, int64_t guild_id, int64_t role_id) MUST_CHECK;
