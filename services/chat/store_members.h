/* store_members: the SQL of members and bans. Who changes members has their guild locked. */
#pragma once
#include "services/chat/store.h"

typedef struct MemberPage {
    int64_t guild_id, asker_id;
    int64_t limit, offset;
    bool by_id;        /* those with greater ids than `after`, by id; else by when they joined */
    int64_t after;     /* 0: from the first */
    const char *query; /* the beginning of a name; "" all */
} MemberPage;
/* `*out_member` is false when the asker is no member. */
Err chat_store_list_members(Request *rq, const MemberPage *page, Chat__V1__Member ***out, size_t *out_count,
                            bool *out_member) MUST_CHECK;
/* user_id 0 when there is none. */
Err chat_store_member(Request *rq, DbTx *tx, int64_t guild_id, int64_t user_id, Chat__V1__Member *out) MUST_CHECK;

/* The guild's count changes with these. ALREADY_MEMBER. */
Err chat_store_insert_member(DbTx *tx, int64_t guild_id, int64_t user_id, int64_t now_us) MUST_CHECK;
Err chat_store_delete_member(DbTx *tx, int64_t guild_id, int64_t user_id, bool *out_was) MUST_CHECK;
Err chat_store_set_nickname(DbTx *tx, int64_t guild_id, int64_t user_id, const char *nickname) MUST_CHECK; /* "" none */
Err chat_store_set_member_roles(DbTx *tx, int64_t guild_id, int64_t user_id, const int64_t *roles,
                                size_t count) MUST_CHECK;

/* --- bans ----------------------------------------------------------------------------------------------------------
 */
/* `*out_new` is false when he was banned already, who then has the new reason. */
Err chat_store_put_ban(DbTx *tx, const Chat__V1__Ban *ban, int64_t now_us, bool *out_new) MUST_CHECK;
Err chat_store_delete_ban(DbTx *tx, int64_t guild_id, int64_t user_id, bool *out_was) MUST_CHECK;
/* The latest first; those from before that of `after` (0: all). */
Err chat_store_list_bans(Request *rq, int64_t guild_id, int64_t after, int64_t limit, Chat__V1__Ban ***out,
                         size_t *out_count) MUST_CHECK;
