/* store: what the stores of guilds share: rows that become messages of the request's arena. */
#pragma once
#include "services/chat/chat.h"

/* Borrowed from `mem`. */
Google__Protobuf__Timestamp *chat_time(Arena *mem, int64_t unix_us);
/* One statement: in the transaction, or (`tx` NULL) a read of its own. */
Err chat_store_ask(Request *rq, DbTx *tx, const char *sql, DbArgs args, DbRows *out) MUST_CHECK;

/* From column `first` on. */
#define GUILD_COLUMNS "g.id, g.name, g.icon_hash, g.owner_id, g.created_at, g.member_count"
enum { GUILD_COLUMN_COUNT = 6 };
void chat_store_read_guild(Arena *mem, const DbRows *rows, int row, int first, Chat__V1__Guild *out);

#define CHANNEL_COLUMNS "c.id, c.guild_id, c.type, c.name, c.position, c.topic, c.parent_id, c.rate_limit_per_user"
enum { CHANNEL_COLUMN_COUNT = 8 };
void chat_store_read_channel(Arena *mem, const DbRows *rows, int row, int first, Chat__V1__Channel *out);

#define ROLE_COLUMNS "r.id, r.guild_id, r.name, r.color, r.permissions, r.position"
enum { ROLE_COLUMN_COUNT = 6 };
void chat_store_read_role(Arena *mem, const DbRows *rows, int row, int first, Chat__V1__Role *out);

/* With PERSON_COLUMNS("p") after them (persons.h), and then the status of presence, which may be NULL. */
#define MEMBER_COLUMNS "m.guild_id, m.user_id, m.nickname, m.joined_at, m.roles"
enum { MEMBER_COLUMN_COUNT = 5 };
void chat_store_read_member(Arena *mem, const DbRows *rows, int row, int first, Chat__V1__Member *out);
