/* store_invites: the SQL of invites. */
#pragma once
#include "atrium/chat/v1/invites.pb-c.h"
#include "services/chat/store.h"

/* `*out_new` is false when there is such a code already. LIMIT_REACHED. */
Err chat_store_insert_invite(DbTx *tx, const Chat__V1__Invite *invite, int64_t now_us, int64_t expires_us,
                             bool *out_new) MUST_CHECK;
Err chat_store_list_invites(Request *rq, int64_t guild_id, Chat__V1__Invite ***out, size_t *out_count) MUST_CHECK;

/* An invite as somebody comes with it. */
typedef struct InviteRow {
    Chat__V1__Invite invite; /* guild_id 0: there is none */
    bool expired, used_up;
    bool is_member, is_banned; /* he who comes */
} InviteRow;
/* Of the row in the transaction: under the guild's lock. */
Err chat_store_invite(Request *rq, DbTx *tx, const char *code, int64_t now_us, InviteRow *out) MUST_CHECK;
/* code NULL when there is none. */
Err chat_store_invite_info(Request *rq, const char *code, int64_t now_us, Chat__V1__InviteInfo *out,
                           bool *out_expired) MUST_CHECK;
Err chat_store_use_invite(DbTx *tx, const char *code) MUST_CHECK;
Err chat_store_delete_invite(DbTx *tx, const char *code) MUST_CHECK;
