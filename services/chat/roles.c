/* roles: what they are called, where they stand, what they let people do. */
#include "services/chat/roles.h"

#include "atrium/chat/v1/gateway.pb-c.h"
#include "atrium/chat/v1/roles.service.h"
#include "services/chat/audit.h"
#include "services/chat/store_roles.h"
#include "services/chat/tell.h"

Err roles_require_above(const Standing *caller, int position, const char *verb)
{
    if (standing_is_above(caller, position, 0))
        return OK;
    return err_make(&ROLE_HIERARCHY, "cannot %s a role at or above your highest role position", verb);
}

Err roles_require_bits(const Standing *caller, int64_t given)
{
    if (permissions_have(caller->permissions, given))
        return OK;
    return err_make(&MISSING_PERMISSIONS, "you do not have the required permissions");
}

static Err check_name(const char *name)
{
    size_t chars = utf8_length(slice(name));

    if (chars < 1 || chars > ROLE_NAME_MAX_CHARS)
        return err_make(&INVALID_NAME, "name must be 1-%d characters", ROLE_NAME_MAX_CHARS);
    return OK;
}

static Err check_position(int position)
{
    return position >= 0 ? OK : err_make(&INVALID_ROLE, "position must not be negative");
}

static Err log_role(Request *rq, DbTx *tx, AuditAction action, const Chat__V1__Role *before,
                    const Chat__V1__Role *after)
{
    static const Chat__V1__Role NONE = CHAT__V1__ROLE__INIT;
    const Chat__V1__Role *there = after ? after : before, *old = before ? before : &NONE, *new = after ? after : &NONE;
    Audit audit = {.rq = rq, .action = action, .guild_id = there->guild_id, .target_id = there->id};

    audit_text(&audit, "name", old->name, new->name);
    audit_number(&audit, "color", old->color, new->color);
    audit_id(&audit, "permissions", old->permissions, new->permissions);
    audit_number(&audit, "position", old->position, new->position);
    return audit_insert_changes(&audit, tx);
}

static Err tell_role(Request *rq, DbTx *tx, const char *event, Chat__V1__Role *role)
{
    Chat__V1__GuildRole told = CHAT__V1__GUILD_ROLE__INIT;

    SET(&told, guild_id, role->guild_id);
    told.role = role;
    return tell_guild(tx, rq, role->guild_id, event, &told.base);
}

Err chat_v1_list_guild_roles(Request *rq, const Chat__V1__ListGuildRolesRequest *in, Chat__V1__ListGuildRolesReply *out)
{
    Standing caller;

    TRY(permissions_require(rq, NULL, in->guild_id, 0, &caller));
    return chat_store_list_roles(rq, in->guild_id, &out->roles, &out->n_roles);
}

Err chat_v1_create_guild_role(Request *rq, const Chat__V1__CreateGuildRoleRequest *in, Chat__V1__Role *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const Chat *chat = rq->service;
    Standing caller;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(permissions_require_open(rq, &tx, in->guild_id, PERMISSION_MANAGE_ROLES, &caller));
    TRY(check_name(in->name));
    TRY(check_position(in->position));
    TRY(roles_require_above(&caller, in->position, "create"));
    SET(out, id, id_next(chat->ids));
    SET(out, guild_id, in->guild_id);
    out->name = in->name;
    SET(out, color, in->color);
    SET(out, permissions, permissions_from_client(in->permissions));
    SET(out, position, in->position);
    TRY(roles_require_bits(&caller, out->permissions));
    TRY(chat_store_insert_role(&tx, out));
    TRY(tell_role(rq, &tx, "GUILD_ROLE_CREATE", out));
    TRY(log_role(rq, &tx, AUDIT_ROLE_CREATE, NULL, out));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}

/* Locks the guild; the caller may manage its roles, and this is one. */
static Err enter_role(Request *rq, DbTx *tx, int64_t guild_id, int64_t role_id, Standing *out_caller,
                      Chat__V1__Role *out)
{
    TRY(chat_lock_guild(tx, guild_id));
    TRY(permissions_require_open(rq, tx, guild_id, PERMISSION_MANAGE_ROLES, out_caller));
    TRY(chat_store_role(tx, rq->mem, guild_id, role_id, out));
    return out->id ? OK : err_make(&NOT_FOUND, "role not found");
}

/* @everyone stands below all and keeps its name. */
static Err check_update(const Standing *caller, const Chat__V1__UpdateGuildRoleRequest *in, const Chat__V1__Role *role)
{
    TRY(roles_require_above(caller, role->position, "modify"));
    if (in->has_position)
        TRY(roles_require_above(caller, in->position, "modify"));
    if (in->name)
        TRY(check_name(in->name));
    if (role->is_default && in->name && strcmp(in->name, role->name) != 0)
        return err_make(&INVALID_NAME, "the @everyone role cannot be renamed");
    if (role->is_default && in->has_position && in->position != 0)
        return err_make(&INVALID_ROLE, "the @everyone role cannot be moved");
    return in->has_position ? check_position(in->position) : OK;
}

Err chat_v1_update_guild_role(Request *rq, const Chat__V1__UpdateGuildRoleRequest *in, Chat__V1__Role *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__Role before;
    Standing caller;
    Audience seen;
    bool shows;

    TRY(db_tx_begin(rq, &tx));
    TRY(enter_role(rq, &tx, in->guild_id, in->role_id, &caller, &before));
    TRY(check_update(&caller, in, &before));
    *out = before;
    if (in->name)
        out->name = in->name;
    if (in->has_color)
        out->color = in->color;
    if (in->has_permissions)
        out->permissions = permissions_from_client(in->permissions);
    if (in->has_position)
        out->position = in->position;
    TRY(roles_require_bits(&caller, out->permissions & ~before.permissions));
    shows = (out->permissions ^ before.permissions) & PERMISSIONS_THAT_SHOW;
    if (shows)
        TRY(audience_look(&tx, rq->mem, in->guild_id, 0, 0, &seen));
    TRY(chat_store_update_role(&tx, out));
    if (shows)
        TRY(chat_announce_visibility(&tx, rq->mem, &seen));
    TRY(tell_role(rq, &tx, "GUILD_ROLE_UPDATE", out));
    TRY(log_role(rq, &tx, AUDIT_ROLE_UPDATE, &before, out));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}

Err chat_v1_delete_guild_role(Request *rq, const Chat__V1__DeleteGuildRoleRequest *in, Chat__V1__Nothing *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__RoleGone told = CHAT__V1__ROLE_GONE__INIT;
    Chat__V1__Role role;
    Standing caller;
    Audience seen;
    (void)out;

    TRY(db_tx_begin(rq, &tx));
    TRY(enter_role(rq, &tx, in->guild_id, in->role_id, &caller, &role));
    if (role.is_default)
        return err_make(&CANNOT_DELETE, "cannot delete the @everyone role");
    TRY(roles_require_above(&caller, role.position, "delete"));
    TRY(audience_look(&tx, rq->mem, in->guild_id, 0, 0, &seen));
    TRY(chat_store_delete_role(&tx, in->guild_id, role.id));
    TRY(chat_announce_visibility(&tx, rq->mem, &seen)); /* its overrides are gone, too */
    SET(&told, guild_id, in->guild_id);
    SET(&told, role_id, role.id);
    TRY(tell_guild(&tx, rq, in->guild_id, "GUILD_ROLE_DELETE", &told.base));
    TRY(log_role(rq, &tx, AUDIT_ROLE_DELETE, &role, NULL));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}
