/* store: the SQL of guilds. What is read goes into messages of the request's arena. */
#pragma once
#include "services/chat/chat.h"

#define GUILD_COLUMNS "g.id, g.name, g.icon_hash, g.owner_id, g.created_at, g.member_count"
enum { GUILD_COLUMN_COUNT = 6 };
/* From column `first` on. */
void chat_store_read_guild(Arena *mem, const DbRows *rows, int row, int first, Chat__V1__Guild *out);

/* Borrowed from `mem`. */
Google__Protobuf__Timestamp *chat_time(Arena *mem, int64_t unix_us);

Err chat_store_list_guilds_of(Request *rq, int64_t user_id, Chat__V1__Guild ***out, size_t *out_count) MUST_CHECK;
/* id 0 when there is none, or the user is no member of it. */
Err chat_store_guild_for(Request *rq, int64_t guild_id, int64_t user_id, Chat__V1__Guild *out) MUST_CHECK;
