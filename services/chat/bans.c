/* bans: who may not be a member. */
#include "atrium/chat/v1/members.service.h"
#include "services/chat/audit.h"
#include "services/chat/members.h"
#include "services/chat/persons.h"
#include "services/chat/store_members.h"
#include "services/chat/tell.h"

static Err check_ban(Request *rq, DbTx *tx, const Chat__V1__PutBanRequest *in)
{
    Standing caller, target;

    TRY(permissions_require_open(rq, tx, in->guild_id, PERMISSION_BAN_MEMBERS, &caller));
    TRY(permissions_standing(rq, tx, in->guild_id, in->user_id, &target));
    if (target.is_owner)
        return err_make(&PERMISSION_DENIED, "cannot ban the guild owner");
    if (!standing_is_above(&caller, target.highest, -1))
        return err_make(&ROLE_HIERARCHY, "your highest role must be above the target's highest role");
    return OK;
}

/* He hears that he is banned before he hears nothing any more. */
static Err tell_ban(Request *rq, DbTx *tx, const Chat__V1__Ban *ban)
{
    bool was_member;

    TRY(tell_guild(tx, rq, ban->guild_id, "GUILD_BAN_ADD", &ban->base));
    return members_remove(rq, tx, ban->guild_id, ban->user_id, &was_member);
}

Err chat_v1_put_ban(Request *rq, const Chat__V1__PutBanRequest *in, Chat__V1__Nothing *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Audit audit = {.rq = rq,
                   .action = AUDIT_BAN_ADD,
                   .guild_id = in->guild_id,
                   .target_id = in->user_id,
                   .reason = in->reason && *in->reason ? in->reason : NULL};
    Chat__V1__Ban ban = CHAT__V1__BAN__INIT;
    int64_t now_us = clock_unix_us(rq->clock);
    bool is_new;
    (void)out;

    if (in->user_id == rq->caller.user_id)
        return err_make(&CANNOT_BAN_SELF, "you cannot ban yourself");
    /* Asked of auth at most: before anything is locked, and only for who may ban. */
    TRY(check_ban(rq, NULL, in));
    TRY(persons_require(rq, &in->user_id, 1, "user not found"));
    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(check_ban(rq, &tx, in));
    SET(&ban, guild_id, in->guild_id);
    SET(&ban, user_id, in->user_id);
    ban.reason = (char *)audit.reason;
    SET(&ban, created_by, rq->caller.user_id);
    ban.created_at = chat_time(rq->mem, now_us);
    TRY(audit_insert(&audit, &tx));
    TRY(chat_store_put_ban(&tx, &ban, now_us, &is_new));
    if (is_new)
        TRY(tell_ban(rq, &tx, &ban));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}

Err chat_v1_delete_ban(Request *rq, const Chat__V1__DeleteBanRequest *in, Chat__V1__Nothing *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Audit audit = {.rq = rq, .action = AUDIT_BAN_REMOVE, .guild_id = in->guild_id, .target_id = in->user_id};
    Chat__V1__MemberGone told = CHAT__V1__MEMBER_GONE__INIT;
    Standing caller;
    bool was;
    (void)out;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(permissions_require_open(rq, &tx, in->guild_id, PERMISSION_BAN_MEMBERS, &caller));
    TRY(chat_store_delete_ban(&tx, in->guild_id, in->user_id, &was));
    if (!was)
        return OK;
    SET(&told, guild_id, in->guild_id);
    SET(&told, user_id, in->user_id);
    TRY(tell_guild(&tx, rq, in->guild_id, "GUILD_BAN_REMOVE", &told.base));
    TRY(audit_insert(&audit, &tx));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}

Err chat_v1_list_bans(Request *rq, const Chat__V1__ListBansRequest *in, Chat__V1__ListBansReply *out)
{
    Standing caller;

    TRY(permissions_require_open(rq, NULL, in->guild_id, PERMISSION_BAN_MEMBERS, &caller));
    if (in->has_limit && (in->limit < 1 || in->limit > BANS_PAGE_MAX))
        return err_make(&INVALID_LIMIT, "limit must be 1-%d", BANS_PAGE_MAX);
    return chat_store_list_bans(rq, in->guild_id, in->after, in->has_limit ? in->limit : BANS_PAGE_MAX, &out->bans,
                                &out->n_bans);
}
