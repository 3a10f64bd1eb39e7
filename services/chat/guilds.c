/* guilds: what people are members of. */
#include "atrium/chat/v1/guilds.service.h"
#include "services/chat/audit.h"
#include "services/chat/permissions.h"
#include "services/chat/persons.h"
#include "services/chat/store_guilds.h"
#include "services/chat/tell.h"

static Err check_name(const char *name)
{
    size_t chars = utf8_length(slice(name));

    if (chars < GUILD_NAME_MIN_CHARS || chars > GUILD_NAME_MAX_CHARS)
        return err_make(&INVALID_NAME, "guild name must be %d-%d characters", GUILD_NAME_MIN_CHARS,
                        GUILD_NAME_MAX_CHARS);
    return OK;
}

Err chat_v1_list_my_guilds(Request *rq, const Chat__V1__ListMyGuildsRequest *in, Chat__V1__ListMyGuildsReply *out)
{
    (void)in;
    chat_after_primed(rq);
    return chat_store_list_guilds_of(rq, rq->caller.user_id, &out->guilds, &out->n_guilds);
}

Err chat_v1_create_guild(Request *rq, const Chat__V1__CreateGuildRequest *in, Chat__V1__Guild *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const Chat *chat = rq->service;
    int64_t me = rq->caller.user_id, count;
    NewGuild guild = {.id = id_next(chat->ids), .owner_id = me, .name = in->name, .now_us = clock_unix_us(rq->clock)};
    char *mark = chat_mark(rq->mem);

    TRY(check_name(in->name));
    TRY(persons_require_caller(rq));
    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, guild.id));
    TRY(chat_lock_user(&tx, me)); /* who is counted */
    TRY(chat_store_count_guilds_of(&tx, me, &count));
    if (count >= chat->settings->guilds_max)
        return err_make(&LIMIT_REACHED, "you are in %" PRId64 " guilds, which is as many as there may be", count);
    guild.admin_role_id = id_next(chat->ids);
    guild.text_channel_id = id_next(chat->ids);
    guild.voice_channel_id = id_next(chat->ids);
    TRY(chat_store_insert_guild(&tx, rq->mem, &guild, out));
    TRY(chat_announce_joined(&tx, rq->mem, guild.id, me, mark));
    TRY(tell_guild_created(&tx, rq, guild.id));
    TRY(tell_member_joined(&tx, rq, guild.id, me));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    request_set_after(rq, mark);
    return OK;
}

Err chat_v1_get_guild(Request *rq, const Chat__V1__GetGuildRequest *in, Chat__V1__Guild *out)
{
    TRY(chat_store_guild_for(rq, NULL, in->guild_id, rq->caller.user_id, out));
    return out->id ? OK : err_make(&NOT_FOUND, "guild not found");
}

/* --- changes -------------------------------------------------------------------------------------------------------
 */
/* The new owner's id, or 0 where he stays. */
static Err check_new_owner(Request *rq, DbTx *tx, const Chat__V1__UpdateGuildRequest *in, const Standing *caller,
                           int64_t *out)
{
    Standing next;

    *out = 0;
    if (!in->has_owner_id || in->owner_id == caller->owner_id)
        return OK;
    if (!caller->is_owner)
        return err_make(&PERMISSION_DENIED, "only the guild owner can transfer ownership");
    TRY(permissions_standing(rq, tx, in->guild_id, in->owner_id, &next));
    if (!next.is_member)
        return err_make(&INVALID_OWNER, "the new owner must be a member of the guild");
    *out = in->owner_id;
    return OK;
}

static Err log_update(Request *rq, DbTx *tx, const Chat__V1__Guild *before, const Chat__V1__Guild *after)
{
    Audit audit = {.rq = rq, .action = AUDIT_GUILD_UPDATE, .guild_id = after->id, .target_id = after->id};

    audit_text(&audit, "name", before->name, after->name);
    audit_text(&audit, "icon_hash", before->icon_hash, after->icon_hash);
    audit_id(&audit, "owner_id", before->owner_id, after->owner_id);
    return audit_insert_changes(&audit, tx);
}

Err chat_v1_update_guild(Request *rq, const Chat__V1__UpdateGuildRequest *in, Chat__V1__Guild *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__Guild before;
    Audience next, last; /* owner */
    Standing caller;
    int64_t owner_id;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(permissions_require(rq, &tx, in->guild_id, PERMISSION_MANAGE_GUILD, &caller));
    if (in->name)
        TRY(check_name(in->name));
    if (utf8_length(slice(in->icon)) > ICON_MAX_CHARS)
        return err_make(&INVALID_ICON, "icon must be at most %d characters", ICON_MAX_CHARS);
    TRY(check_new_owner(rq, &tx, in, &caller, &owner_id));
    TRY(chat_store_guild_for(rq, &tx, in->guild_id, rq->caller.user_id, &before));
    if (owner_id) {
        TRY(audience_look(&tx, rq->mem, in->guild_id, 0, owner_id, &next));
        TRY(audience_look(&tx, rq->mem, in->guild_id, 0, caller.user_id, &last));
    }
    TRY(chat_store_update_guild(&tx, rq->mem, in->guild_id, in->name, in->icon, rq->caller.user_id, owner_id, out));
    if (owner_id) {
        TRY(chat_announce_visibility(&tx, rq->mem, &next));
        TRY(chat_announce_visibility(&tx, rq->mem, &last));
    }
    TRY(tell_guild(&tx, rq, in->guild_id, "GUILD_UPDATE", &out->base));
    TRY(log_update(rq, &tx, &before, out));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}

Err chat_v1_delete_guild(Request *rq, const Chat__V1__DeleteGuildRequest *in, Chat__V1__Nothing *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Standing caller;
    (void)out;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(permissions_require(rq, &tx, in->guild_id, 0, &caller));
    if (!caller.is_owner)
        return err_make(&PERMISSION_DENIED, "only the guild owner can delete the guild");
    TRY(chat_announce_guild_deleted(&tx, rq->mem, in->guild_id));
    TRY(tell_guild_deleted(&tx, rq, in->guild_id));
    TRY(chat_store_delete_guild(&tx, in->guild_id));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}
