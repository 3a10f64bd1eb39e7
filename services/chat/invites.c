/* invites: how people become members. Who comes with one is counted and let in under the guild's lock, in one
 * transaction: the last use of an invite is used once. */
#include "atrium/chat/v1/invites.service.h"
#include "services/chat/audit.h"
#include "services/chat/members.h"
#include "services/chat/persons.h"
#include "services/chat/store_guilds.h"
#include "services/chat/store_invites.h"
#include "services/chat/tell.h"

enum { CODE_BYTES = 4, CODE_TRIES = 8, DEFAULT_AGE_S = 86400 };

static char *new_code(Arena *mem)
{
    unsigned char bytes[CODE_BYTES];

    random_bytes(bytes, sizeof bytes);
    return hex_encode(mem, slice_of(bytes, sizeof bytes));
}

static Err insert_with_new_code(Request *rq, DbTx *tx, Chat__V1__Invite *invite, int64_t now_us, int64_t expires_us)
{
    bool is_new = false;

    for (int i = 0; i < CODE_TRIES && !is_new; i++) {
        invite->code = new_code(rq->mem);
        TRY(chat_store_insert_invite(tx, invite, now_us, expires_us, &is_new));
    }
    return is_new ? OK : err_make(&UNAVAILABLE, "no free code was found");
}

Err chat_v1_create_invite(Request *rq, const Chat__V1__CreateInviteRequest *in, Chat__V1__Invite *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Audit audit = {.rq = rq, .action = AUDIT_INVITE_CREATE, .guild_id = in->guild_id};
    int64_t now_us = clock_unix_us(rq->clock), age_s = in->max_age_seconds ? in->max_age_seconds : DEFAULT_AGE_S;
    int64_t expires_us = age_s > 0 ? now_us + age_s * 1000000 : 0;
    Standing caller;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(permissions_require_open(rq, &tx, in->guild_id, PERMISSION_CREATE_INVITE, &caller));
    SET(out, guild_id, in->guild_id);
    SET(out, creator_id, rq->caller.user_id);
    SET(out, max_uses, in->max_uses);
    SET(out, uses, 0);
    if (expires_us)
        out->expires_at = chat_time(rq->mem, expires_us);
    out->created_at = chat_time(rq->mem, now_us);
    TRY(insert_with_new_code(rq, &tx, out, now_us, expires_us));
    audit_text(&audit, "code", NULL, out->code);
    audit_number(&audit, "max_uses", AUDIT_ABSENT, out->max_uses);
    audit_number(&audit, "max_age", AUDIT_ABSENT, expires_us ? age_s : 0);
    TRY(audit_insert(&audit, &tx));
    return db_tx_commit(&tx);
}

Err chat_v1_list_invites(Request *rq, const Chat__V1__ListInvitesRequest *in, Chat__V1__ListInvitesReply *out)
{
    Standing caller;

    TRY(permissions_require_open(rq, NULL, in->guild_id, PERMISSION_MANAGE_GUILD, &caller));
    return chat_store_list_invites(rq, in->guild_id, &out->invites, &out->n_invites);
}

Err chat_v1_get_invite(Request *rq, const Chat__V1__GetInviteRequest *in, Chat__V1__InviteInfo *out)
{
    bool expired = false;

    TRY(chat_store_invite_info(rq, in->code, clock_unix_us(rq->clock), out, &expired));
    if (!out->code)
        return err_make(&NOT_FOUND, "invite not found");
    return expired ? err_make(&INVITE_SHOWN_EXPIRED, "invite has expired") : OK;
}

static Err check_use(const InviteRow *row)
{
    if (!row->invite.guild_id)
        return err_make(&NOT_FOUND, "invite not found");
    if (row->expired)
        return err_make(&INVITE_EXPIRED, "invite has expired");
    if (row->used_up)
        return err_make(&MAX_USES, "invite has reached maximum uses");
    if (row->is_member)
        return err_make(&ALREADY_MEMBER, "you are already a member of this guild");
    if (row->is_banned)
        return err_make(&BANNED, "you are banned from this guild");
    return OK;
}

/* The count is exact: who joins another guild at the same time waits. */
static Err check_room(Request *rq, DbTx *tx)
{
    const Chat *chat = rq->service;
    int64_t count;

    TRY(chat_lock_user(tx, rq->caller.user_id));
    TRY(chat_store_count_guilds_of(tx, rq->caller.user_id, &count));
    if (count >= chat->settings->guilds_max)
        return err_make(&LIMIT_REACHED, "you are in %" PRId64 " guilds, which is as many as there may be", count);
    return OK;
}

Err chat_v1_accept_invite(Request *rq, const Chat__V1__AcceptInviteRequest *in, Chat__V1__Guild *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t me = rq->caller.user_id, guild_id;
    char *mark = chat_mark(rq->mem);
    InviteRow row;

    /* Whose lock to take; what it says is looked at again under it. */
    TRY(chat_store_invite(rq, NULL, in->code, clock_unix_us(rq->clock), &row));
    TRY(check_use(&row));
    guild_id = row.invite.guild_id;
    TRY(persons_require_caller(rq));
    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, guild_id));
    TRY(chat_store_invite(rq, &tx, in->code, clock_unix_us(rq->clock), &row));
    TRY(check_use(&row));
    TRY(check_room(rq, &tx));
    TRY(chat_store_use_invite(&tx, in->code));
    TRY(members_add(rq, &tx, guild_id, me, mark));
    TRY(chat_store_guild_for(rq, &tx, guild_id, me, out));
    SET(out, guild_id, guild_id);
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    request_set_after(rq, mark);
    return OK;
}

Err chat_v1_delete_invite(Request *rq, const Chat__V1__DeleteInviteRequest *in, Chat__V1__Nothing *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Audit audit = {.rq = rq, .action = AUDIT_INVITE_DELETE};
    Standing caller;
    InviteRow row;
    (void)out;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_store_invite(rq, &tx, in->code, clock_unix_us(rq->clock), &row));
    if (!row.invite.guild_id)
        return err_make(&NOT_FOUND, "invite not found");
    if (row.invite.creator_id != rq->caller.user_id)
        TRY(permissions_require_open(rq, &tx, row.invite.guild_id, PERMISSION_MANAGE_GUILD, &caller));
    TRY(chat_store_delete_invite(&tx, in->code));
    audit.guild_id = row.invite.guild_id;
    audit_text(&audit, "code", row.invite.code, NULL);
    TRY(audit_insert(&audit, &tx));
    return db_tx_commit(&tx);
}
