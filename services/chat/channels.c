/* channels: the places of a guild, and what each allows and denies whom. */
#include "atrium/chat/v1/channels.service.h"
#include "services/chat/audit.h"
#include "services/chat/permissions.h"
#include "services/chat/store_channels.h"
#include "services/chat/store_roles.h"
#include "services/chat/tell.h"

static Err check_name(const char *name)
{
    size_t chars = utf8_length(slice(name));

    if (chars < 1 || chars > CHANNEL_NAME_MAX_CHARS)
        return err_make(&INVALID_NAME, "channel name must be 1-%d characters", CHANNEL_NAME_MAX_CHARS);
    return OK;
}

static Err check_topic(const char *topic)
{
    if (utf8_length(slice(topic)) > TOPIC_MAX_CHARS)
        return err_make(&INVALID_TOPIC, "channel topic must be at most %d characters", TOPIC_MAX_CHARS);
    return OK;
}

static Err check_slow_mode(int type, int seconds)
{
    if (seconds < 0 || seconds > SLOW_MODE_MAX_S || (seconds && type != CHANNEL_TEXT))
        return err_make(&INVALID_RATE_LIMIT, "rate_limit_per_user must be 0-%d, of a text channel", SLOW_MODE_MAX_S);
    return OK;
}

/* --- reading -------------------------------------------------------------------------------------------------------
 */
Err chat_v1_list_channels(Request *rq, const Chat__V1__ListChannelsRequest *in, Chat__V1__ListChannelsReply *out)
{
    bool member;

    TRY(chat_store_list_channels_for(rq, in->guild_id, rq->caller.user_id, &out->channels, &out->n_channels, &member));
    return member ? OK : err_make(&NOT_FOUND, "guild not found");
}

Err chat_v1_get_channel(Request *rq, const Chat__V1__GetChannelRequest *in, Chat__V1__Channel *out)
{
    TRY(chat_store_channel_for(rq, NULL, in->channel_id, rq->caller.user_id, out));
    return out->id ? OK : err_make(&NOT_FOUND, "channel not found");
}

/* --- changes -------------------------------------------------------------------------------------------------------
 */
static Err log_channel(Request *rq, DbTx *tx, AuditAction action, const Chat__V1__Channel *before,
                       const Chat__V1__Channel *after)
{
    static const Chat__V1__Channel NONE = CHAT__V1__CHANNEL__INIT;
    const Chat__V1__Channel *there = after ? after : before, *old = before ? before : &NONE,
                            *new = after ? after : &NONE;
    Audit audit = {.rq = rq, .action = action, .guild_id = there->guild_id, .target_id = there->id};

    audit_text(&audit, "name", old->name, new->name);
    audit_text(&audit, "topic", old->topic, new->topic);
    audit_id(&audit, "parent_id", old->parent_id, new->parent_id);
    audit_number(&audit, "rate_limit_per_user", old->rate_limit_per_user, new->rate_limit_per_user);
    if (before && after)
        audit_number(&audit, "position", old->position, new->position);
    else
        audit_number(&audit, "type", before ? before->type : AUDIT_ABSENT, after ? after->type : AUDIT_ABSENT);
    return audit_insert_changes(&audit, tx);
}

Err chat_v1_create_channel(Request *rq, const Chat__V1__CreateChannelRequest *in, Chat__V1__Channel *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const Chat *chat = rq->service;
    char *mark = chat_mark(rq->mem);
    Standing caller;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(permissions_require(rq, &tx, in->guild_id, PERMISSION_MANAGE_CHANNELS, &caller));
    TRY(check_name(in->name));
    if (in->type != CHANNEL_TEXT && in->type != CHANNEL_VOICE && in->type != CHANNEL_CATEGORY)
        return err_make(&INVALID_TYPE, "channel type must be 0 (text), 2 (voice), or 4 (category)");
    TRY(check_topic(in->topic));
    TRY(check_slow_mode(in->type, in->rate_limit_per_user));
    SET(out, id, id_next(chat->ids));
    SET(out, guild_id, in->guild_id);
    out->name = in->name;
    SET(out, type, in->type);
    out->topic = in->topic;
    if (in->parent_id)
        SET(out, parent_id, in->parent_id);
    if (in->type == CHANNEL_TEXT)
        SET(out, rate_limit_per_user, in->rate_limit_per_user);
    TRY(chat_store_insert_channel(&tx, out, clock_unix_us(rq->clock)));
    TRY(chat_announce_channel_created(&tx, rq->mem, out, rq->caller.user_id, mark));
    TRY(log_channel(rq, &tx, AUDIT_CHANNEL_CREATE, NULL, out));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    request_set_after(rq, mark);
    return OK;
}

/* Locks the guild of a channel and looks whether the caller may manage it: G1, but what he may not view is not there.
 */
static Err enter_channel(Request *rq, DbTx *tx, int64_t channel_id, Chat__V1__Channel *out)
{
    Standing caller;
    int64_t guild_id;

    TRY(chat_store_guild_of_channel(rq, tx, channel_id, &guild_id));
    if (guild_id == 0)
        return err_make(&NOT_FOUND, "channel not found");
    TRY(chat_lock_guild(tx, guild_id));
    TRY(chat_store_channel_for(rq, tx, channel_id, rq->caller.user_id, out));
    if (!out->id)
        return err_make(&NOT_FOUND, "channel not found");
    return permissions_require(rq, tx, guild_id, PERMISSION_MANAGE_CHANNELS, &caller);
}

Err chat_v1_update_channel(Request *rq, const Chat__V1__UpdateChannelRequest *in, Chat__V1__Channel *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__Channel before;

    TRY(db_tx_begin(rq, &tx));
    TRY(enter_channel(rq, &tx, in->channel_id, &before));
    if (in->name)
        TRY(check_name(in->name));
    TRY(check_topic(in->topic));
    TRY(check_slow_mode(before.type, in->rate_limit_per_user));
    *out = before;
    if (in->name)
        out->name = in->name;
    if (in->topic)
        out->topic = in->topic;
    if (in->has_position)
        out->position = in->position;
    if (in->has_parent_id) {
        out->parent_id = in->parent_id;
        out->has_parent_id = in->parent_id != 0;
    }
    if (in->has_rate_limit_per_user && before.type == CHANNEL_TEXT)
        out->rate_limit_per_user = in->rate_limit_per_user;
    TRY(chat_store_update_channel(&tx, out));
    TRY(tell_channel(&tx, rq, out, "CHANNEL_UPDATE"));
    TRY(log_channel(rq, &tx, AUDIT_CHANNEL_UPDATE, &before, out));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}

Err chat_v1_delete_channel(Request *rq, const Chat__V1__DeleteChannelRequest *in, Chat__V1__Nothing *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__Channel channel, *children;
    size_t count;
    (void)out;

    TRY(db_tx_begin(rq, &tx));
    TRY(enter_channel(rq, &tx, in->channel_id, &channel));
    TRY(chat_announce_channel_deleted(&tx, rq->mem, channel.guild_id, channel.id));
    TRY(chat_store_delete_channel(&tx, rq->mem, channel.id, &children, &count));
    for (size_t i = 0; i < count; i++)
        TRY(tell_channel(&tx, rq, &children[i], "CHANNEL_UPDATE"));
    TRY(log_channel(rq, &tx, AUDIT_CHANNEL_DELETE, &channel, NULL));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}

/* --- overrides -----------------------------------------------------------------------------------------------------
 */
Err chat_v1_list_overrides(Request *rq, const Chat__V1__ListOverridesRequest *in, Chat__V1__ListOverridesReply *out)
{
    Chat__V1__Channel channel;

    TRY(chat_store_channel_for(rq, NULL, in->channel_id, rq->caller.user_id, &channel));
    if (!channel.guild_id)
        return err_make(&NOT_FOUND, "channel not found");
    return chat_store_list_overrides(rq, in->channel_id, &out->overrides, &out->n_overrides);
}

/* Locks the guild; the caller may manage roles in this channel, which he may view. */
static Err enter_overrides(Request *rq, DbTx *tx, int64_t channel_id, ChannelAccess *out_channel, Standing *out_caller)
{
    int64_t guild_id;

    TRY(chat_store_guild_of_channel(rq, tx, channel_id, &guild_id));
    if (guild_id == 0)
        return err_make(&NOT_FOUND, "channel not found");
    TRY(chat_lock_guild(tx, guild_id));
    TRY(permissions_require_open(rq, tx, guild_id, PERMISSION_MANAGE_ROLES, out_caller));
    return permissions_require_channel(rq, tx, channel_id, PERMISSION_VIEW_CHANNEL, out_channel);
}

/* The change of an override, stored already: who may view the channel follows it. */
static Err announce_override(Request *rq, DbTx *tx, const ChannelAccess *place, const Chat__V1__Override *before,
                             const Chat__V1__Override *after, const Audience *seen)
{
    int64_t changed = (before->allow ^ after->allow) | (before->deny ^ after->deny);
    Chat__V1__Channel channel;

    if (changed & PERMISSIONS_THAT_SHOW)
        TRY(chat_announce_visibility(tx, rq->mem, seen));
    TRY(chat_store_channel_named(tx, rq->mem, place->id, &channel));
    return tell_channel(tx, rq, &channel, "CHANNEL_UPDATE");
}

static Err log_override(Request *rq, DbTx *tx, AuditAction action, const ChannelAccess *place,
                        const Chat__V1__Override *before, const Chat__V1__Override *after, int64_t role_id)
{
    Audit audit = {.rq = rq, .action = action, .guild_id = place->guild_id, .target_id = place->id};

    audit_id(&audit, "id", action == AUDIT_OVERRIDE_CREATE ? 0 : role_id,
             action == AUDIT_OVERRIDE_DELETE ? 0 : role_id);
    audit_id(&audit, "allow", before->allow, after->allow);
    audit_id(&audit, "deny", before->deny, after->deny);
    return audit_insert(&audit, tx);
}

/* Nobody allows or denies others what he may not do himself, nor what is above him. */
static Err check_override(const Standing *caller, const ChannelAccess *place, const Chat__V1__Role *role,
                          int64_t changed)
{
    if (!standing_is_above(caller, role->position, 0))
        return err_make(&ROLE_HIERARCHY, "cannot modify a role at or above your highest role position");
    if (!permissions_have(place->permissions, changed))
        return err_make(&MISSING_PERMISSIONS, "you do not have the required permissions");
    return OK;
}

Err chat_v1_put_override(Request *rq, const Chat__V1__PutOverrideRequest *in, Chat__V1__Override *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__Override before;
    ChannelAccess place;
    Chat__V1__Role role;
    Standing caller;
    Audience seen;
    bool there;

    TRY(db_tx_begin(rq, &tx));
    TRY(enter_overrides(rq, &tx, in->channel_id, &place, &caller));
    TRY(chat_store_role(&tx, rq->mem, place.guild_id, in->role_id, &role));
    if (!role.id)
        return err_make(&NOT_FOUND, "role not found");
    TRY(chat_store_override(&tx, place.id, role.id, &before, &there));
    SET(out, channel_id, place.id);
    SET(out, role_id, role.id);
    SET(out, allow, permissions_from_client(in->allow));
    SET(out, deny, permissions_from_client(in->deny));
    TRY(check_override(&caller, &place, &role, (before.allow ^ out->allow) | (before.deny ^ out->deny)));
    TRY(audience_look(&tx, rq->mem, place.guild_id, place.id, 0, &seen));
    TRY(chat_store_put_override(&tx, out));
    TRY(announce_override(rq, &tx, &place, &before, out, &seen));
    TRY(log_override(rq, &tx, there ? AUDIT_OVERRIDE_UPDATE : AUDIT_OVERRIDE_CREATE, &place, &before, out, role.id));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}

Err chat_v1_delete_override(Request *rq, const Chat__V1__DeleteOverrideRequest *in, Chat__V1__Nothing *out)
{
    static const Chat__V1__Override NONE = CHAT__V1__OVERRIDE__INIT;
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__Override before;
    ChannelAccess place;
    Chat__V1__Role role;
    Standing caller;
    Audience seen;
    bool there;
    (void)out;

    TRY(db_tx_begin(rq, &tx));
    TRY(enter_overrides(rq, &tx, in->channel_id, &place, &caller));
    TRY(chat_store_override(&tx, place.id, in->role_id, &before, &there));
    if (!there)
        return OK;
    TRY(chat_store_role(&tx, rq->mem, place.guild_id, in->role_id, &role));
    TRY(check_override(&caller, &place, &role, before.allow | before.deny));
    TRY(audience_look(&tx, rq->mem, place.guild_id, place.id, 0, &seen));
    TRY(chat_store_delete_override(&tx, place.id, in->role_id));
    TRY(announce_override(rq, &tx, &place, &before, &NONE, &seen));
    TRY(log_override(rq, &tx, AUDIT_OVERRIDE_DELETE, &place, &before, &NONE, in->role_id));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}
