/* store_guilds: the SQL of guilds. */
#pragma once
#include "services/chat/store.h"

Err chat_store_list_guilds_of(Request *rq, int64_t user_id, Chat__V1__Guild ***out, size_t *out_count) MUST_CHECK;
/* id 0 when there is none, or the user is no member of it. */
Err chat_store_guild_for(Request *rq, DbTx *tx, int64_t guild_id, int64_t user_id, Chat__V1__Guild *out) MUST_CHECK;
Err chat_store_count_guilds_of(DbTx *tx, int64_t user_id, int64_t *out) MUST_CHECK;

typedef struct NewGuild {
    int64_t id, owner_id, admin_role_id, text_channel_id, voice_channel_id;
    const char *name;
    int64_t now_us;
} NewGuild;
/* With all that a new one has, in one statement. */
Err chat_store_insert_guild(DbTx *tx, Arena *mem, const NewGuild *guild, Chat__V1__Guild *out) MUST_CHECK;
/* NULL and 0 keep what is there; an icon of "" takes it away. `icon_by`: who sets it. */
Err chat_store_update_guild(DbTx *tx, Arena *mem, int64_t id, const char *name, const char *icon, int64_t icon_by,
                            int64_t owner_id, Chat__V1__Guild *out) MUST_CHECK;
Err chat_store_delete_guild(DbTx *tx, int64_t id) MUST_CHECK;
