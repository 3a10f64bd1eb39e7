/* members: who is in a guild, what they are called, and which roles they have. */
#include "services/chat/members.h"

#include "atrium/chat/v1/members.service.h"
#include "services/chat/audit.h"
#include "services/chat/roles.h"
#include "services/chat/store_members.h"
#include "services/chat/store_roles.h"
#include "services/chat/tell.h"

/* --- in and out ----------------------------------------------------------------------------------------------------
 */
/* He follows the guild before the others hear of him, so that he hears it, too. */
Err members_add(Request *rq, DbTx *tx, int64_t guild_id, int64_t user_id, const char *mark)
{
    Chat__V1__Member member;

    TRY(chat_store_insert_member(tx, guild_id, user_id, clock_unix_us(rq->clock)));
    TRY(chat_store_member(rq, tx, guild_id, user_id, &member));
    TRY(chat_announce_joined(tx, rq->mem, guild_id, user_id, mark));
    TRY(tell_guild(tx, rq, guild_id, "GUILD_MEMBER_ADD", &member.base));
    return tell_member_joined(tx, rq, guild_id, user_id);
}

Err members_remove(Request *rq, DbTx *tx, int64_t guild_id, int64_t user_id, bool *out_was)
{
    Chat__V1__MemberGone gone = CHAT__V1__MEMBER_GONE__INIT;

    TRY(chat_store_delete_member(tx, guild_id, user_id, out_was));
    if (!*out_was)
        return OK;
    SET(&gone, guild_id, guild_id);
    SET(&gone, user_id, user_id);
    TRY(tell_guild(tx, rq, guild_id, "GUILD_MEMBER_REMOVE", &gone.base));
    TRY(chat_announce_left(tx, rq->mem, guild_id, user_id));
    return tell_member_left(tx, rq, guild_id, user_id);
}

Err chat_v1_leave_guild(Request *rq, const Chat__V1__LeaveGuildRequest *in, Chat__V1__Nothing *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Standing me;
    bool was;
    (void)out;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(permissions_standing(rq, &tx, in->guild_id, rq->caller.user_id, &me));
    if (me.is_owner)
        return err_make(&PERMISSION_DENIED, "guild owner cannot leave; transfer ownership or delete the guild");
    TRY(members_remove(rq, &tx, in->guild_id, rq->caller.user_id, &was));
    if (!was)
        return err_make(&NOT_FOUND, "you are not a member of this guild");
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}

Err chat_v1_kick_member(Request *rq, const Chat__V1__KickMemberRequest *in, Chat__V1__Nothing *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Audit audit = {.rq = rq, .action = AUDIT_MEMBER_KICK, .guild_id = in->guild_id, .target_id = in->user_id};
    Standing caller, target;
    bool was;
    (void)out;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(permissions_require(rq, &tx, in->guild_id, PERMISSION_KICK_MEMBERS, &caller));
    TRY(permissions_standing(rq, &tx, in->guild_id, in->user_id, &target));
    if (target.is_owner)
        return err_make(&PERMISSION_DENIED, "cannot kick the guild owner");
    if (!target.is_member)
        return err_make(&NOT_FOUND, "member not found");
    if (!standing_is_above(&caller, target.highest, -1))
        return err_make(&ROLE_HIERARCHY, "your highest role must be above the target's highest role");
    TRY(members_remove(rq, &tx, in->guild_id, in->user_id, &was));
    TRY(audit_insert(&audit, &tx));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}

/* --- reading -------------------------------------------------------------------------------------------------------
 */
static int64_t number_or(const char *text, int64_t least, int64_t most, int64_t otherwise)
{
    int64_t number;

    return text && slice_to_int64(slice(text), &number) && number >= least && number <= most ? number : otherwise;
}

Err chat_v1_list_members(Request *rq, const Chat__V1__ListMembersRequest *in, Chat__V1__ListMembersReply *out)
{
    const MemberPage page = {
        .guild_id = in->guild_id,
        .asker_id = rq->caller.user_id,
        .limit = number_or(in->limit, 1, MEMBERS_PAGE_MAX, MEMBERS_PAGE_DEFAULT),
        .offset = in->has_after ? 0 : number_or(in->offset, 0, INT64_MAX, 0),
        .by_id = in->has_after,
        .after = in->after,
        .query = in->query ? in->query : "",
    };
    bool member;

    if (utf8_length(slice(in->query)) > MEMBER_QUERY_MAX_CHARS)
        return err_make(&INVALID_NAME, "query must be at most %d characters", MEMBER_QUERY_MAX_CHARS);
    TRY(chat_store_list_members(rq, &page, &out->members, &out->n_members, &member));
    return member ? OK : err_make(&NOT_FOUND, "guild not found");
}

static Err show_member(Request *rq, int64_t guild_id, int64_t user_id, Chat__V1__Member *out)
{
    Standing caller;

    TRY(permissions_require(rq, NULL, guild_id, 0, &caller));
    TRY(chat_store_member(rq, NULL, guild_id, user_id, out));
    return out->user_id ? OK : err_make(&NOT_FOUND, "member not found");
}

Err chat_v1_get_own_member(Request *rq, const Chat__V1__GetOwnMemberRequest *in, Chat__V1__Member *out)
{
    return show_member(rq, in->guild_id, rq->caller.user_id, out);
}

Err chat_v1_get_member(Request *rq, const Chat__V1__GetMemberRequest *in, Chat__V1__Member *out)
{
    return show_member(rq, in->guild_id, in->user_id, out);
}

/* --- changes -------------------------------------------------------------------------------------------------------
 */
static Err check_nickname(const char *nickname)
{
    if (utf8_length(slice(nickname)) > NICKNAME_MAX_CHARS)
        return err_make(&INVALID_NICKNAME, "nickname must be %d characters or fewer", NICKNAME_MAX_CHARS);
    return OK;
}

Err chat_v1_update_own_member(Request *rq, const Chat__V1__UpdateOwnMemberRequest *in, Chat__V1__Member *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Standing me;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(permissions_require(rq, &tx, in->guild_id, in->nickname ? PERMISSION_CHANGE_NICKNAME : 0, &me));
    TRY(check_nickname(in->nickname));
    if (in->nickname)
        TRY(chat_store_set_nickname(&tx, in->guild_id, me.user_id, in->nickname));
    TRY(chat_store_member(rq, &tx, in->guild_id, me.user_id, out));
    TRY(tell_guild(&tx, rq, in->guild_id, "GUILD_MEMBER_UPDATE", &out->base));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}

static bool holds(const int64_t *ids, size_t count, int64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* The ids of a request, each once, behind those that no request takes: @everyone, where it is assigned. */
static size_t wanted_roles(Request *rq, const Chat__V1__UpdateMemberRequest *in, const Chat__V1__Member *member,
                           int64_t **out)
{
    int64_t *ids = ARENA_ARRAY(rq->mem, int64_t, in->n_roles + 1);
    size_t count = 0;

    if (holds(member->roles, member->n_roles, in->guild_id))
        ids[count++] = in->guild_id;
    for (size_t i = 0; i < in->n_roles; i++)
        if (!holds(ids, count, in->roles[i]))
            ids[count++] = in->roles[i];
    *out = ids;
    return count;
}

/* Each role that is given or taken stands below the caller, and gives nothing that he has not himself. */
static Err check_roles_changed(const Standing *caller, const Chat__V1__Role *roles, size_t count,
                               const Chat__V1__Member *member, const int64_t *wanted, size_t wanted_count)
{
    for (size_t i = 0; i < count; i++) {
        bool had = holds(member->roles, member->n_roles, roles[i].id), has = holds(wanted, wanted_count, roles[i].id);

        if (had == has)
            continue;
        TRY(roles_require_above(caller, roles[i].position, has ? "assign" : "remove"));
        if (has)
            TRY(roles_require_bits(caller, roles[i].permissions));
    }
    return OK;
}

static Err give_roles(Request *rq, DbTx *tx, const Chat__V1__Member *member, const int64_t *roles, size_t count)
{
    Audience seen;

    TRY(audience_look(tx, rq->mem, member->guild_id, 0, member->user_id, &seen));
    TRY(chat_store_set_member_roles(tx, member->guild_id, member->user_id, roles, count));
    return chat_announce_visibility(tx, rq->mem, &seen);
}

static Err replace_roles(Request *rq, DbTx *tx, const Chat__V1__UpdateMemberRequest *in, const Standing *caller,
                         const Chat__V1__Member *member, Audit *audit)
{
    int64_t *wanted, *all;
    size_t count = wanted_roles(rq, in, member, &wanted), known_count, found = 0;
    Chat__V1__Role *known;

    if (count > ROLES_MAX)
        return err_make(&INVALID_ROLE, "invalid role ID");
    all = ARENA_ARRAY(rq->mem, int64_t, count + member->n_roles + 1);
    for (size_t i = 0; i < count; i++)
        all[i] = wanted[i];
    for (size_t i = 0; i < member->n_roles; i++)
        all[count + i] = member->roles[i];
    TRY(chat_store_roles(tx, rq->mem, in->guild_id, all, count + member->n_roles, &known, &known_count));
    for (size_t i = 0; i < known_count; i++)
        found += holds(wanted, count, known[i].id);
    if (found < count || holds(in->roles, in->n_roles, in->guild_id))
        return err_make(&INVALID_ROLE, "invalid role ID");
    TRY(check_roles_changed(caller, known, known_count, member, wanted, count));
    for (size_t i = 0; i < known_count && audit->count < AUDIT_CHANGES_MAX; i++) {
        bool had = holds(member->roles, member->n_roles, known[i].id), has = holds(wanted, count, known[i].id);

        if (had != has)
            audit_id(audit, has ? "$add" : "$remove", 0, known[i].id);
    }
    return give_roles(rq, tx, member, wanted, count);
}

static Err check_update(Request *rq, DbTx *tx, const Chat__V1__UpdateMemberRequest *in, bool roles, Standing *out)
{
    TRY(permissions_require(rq, tx, in->guild_id,
                            (in->nickname ? PERMISSION_MANAGE_NICKNAMES : 0) | (roles ? PERMISSION_MANAGE_ROLES : 0),
                            out));
    return check_nickname(in->nickname);
}

/* Others are renamed by who stands above them. */
static Err rename_member(Request *rq, DbTx *tx, const Standing *caller, const Chat__V1__UpdateMemberRequest *in)
{
    Standing target;

    TRY(permissions_standing(rq, tx, in->guild_id, in->user_id, &target));
    if (in->user_id != caller->user_id && (target.is_owner || !standing_is_above(caller, target.highest, -1)))
        return err_make(&ROLE_HIERARCHY, "your highest role must be above the target's highest role");
    return chat_store_set_nickname(tx, in->guild_id, in->user_id, in->nickname);
}

Err chat_v1_update_member(Request *rq, const Chat__V1__UpdateMemberRequest *in, Chat__V1__Member *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Audit roles_log = {.rq = rq, .action = AUDIT_MEMBER_ROLES, .guild_id = in->guild_id, .target_id = in->user_id};
    Audit name_log = {.rq = rq, .action = AUDIT_MEMBER_UPDATE, .guild_id = in->guild_id, .target_id = in->user_id};
    bool roles = in->n_roles > 0 || (in->cleared && in->cleared->n_paths > 0);
    Chat__V1__Member before;
    Standing caller;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(check_update(rq, &tx, in, roles, &caller));
    TRY(chat_store_member(rq, &tx, in->guild_id, in->user_id, &before));
    if (!before.user_id)
        return err_make(&NOT_FOUND, "member not found");
    if (in->nickname)
        TRY(rename_member(rq, &tx, &caller, in));
    if (roles)
        TRY(replace_roles(rq, &tx, in, &caller, &before, &roles_log));
    TRY(chat_store_member(rq, &tx, in->guild_id, in->user_id, out));
    if (!in->nickname && !roles)
        return OK;
    audit_text(&name_log, "nick", before.nickname, out->nickname);
    TRY(tell_guild(&tx, rq, in->guild_id, "GUILD_MEMBER_UPDATE", &out->base));
    TRY(audit_insert_changes(&name_log, &tx));
    TRY(audit_insert_changes(&roles_log, &tx));
    TRY(db_tx_commit(&tx));
    tell_now(rq);
    return OK;
}

/* --- one role ------------------------------------------------------------------------------------------------------
 */
/* After all checks: the member has exactly `roles` from now on. */
static Err set_roles(Request *rq, DbTx *tx, const Chat__V1__Member *member, const int64_t *roles, size_t count,
                     const char *change, int64_t role_id)
{
    Audit audit = {.rq = rq, .action = AUDIT_MEMBER_ROLES, .guild_id = member->guild_id, .target_id = member->user_id};
    Chat__V1__Member after = *member;

    TRY(give_roles(rq, tx, member, roles, count));
    after.roles = (int64_t *)roles;
    after.n_roles = count;
    TRY(tell_guild(tx, rq, member->guild_id, "GUILD_MEMBER_UPDATE", &after.base));
    audit_id(&audit, change, 0, role_id);
    TRY(audit_insert(&audit, tx));
    TRY(db_tx_commit(tx));
    tell_now(rq);
    return OK;
}

Err chat_v1_add_member_role(Request *rq, const Chat__V1__AddMemberRoleRequest *in, Chat__V1__Nothing *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__Member member;
    Chat__V1__Role role;
    Standing caller;
    int64_t *roles;
    (void)out;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(permissions_require_open(rq, &tx, in->guild_id, PERMISSION_MANAGE_ROLES, &caller));
    TRY(chat_store_member(rq, &tx, in->guild_id, in->user_id, &member));
    if (!member.user_id)
        return err_make(&NOT_FOUND, "member not found");
    TRY(chat_store_role(&tx, rq->mem, in->guild_id, in->role_id, &role));
    if (!role.id)
        return err_make(&NOT_FOUND, "role not found");
    TRY(roles_require_above(&caller, role.position, "assign"));
    TRY(roles_require_bits(&caller, role.permissions));
    if (holds(member.roles, member.n_roles, role.id))
        return OK;
    roles = ARENA_ARRAY(rq->mem, int64_t, member.n_roles + 1);
    for (size_t i = 0; i < member.n_roles; i++)
        roles[i] = member.roles[i];
    roles[member.n_roles] = role.id;
    return set_roles(rq, &tx, &member, roles, member.n_roles + 1, "$add", role.id);
}

Err chat_v1_remove_member_role(Request *rq, const Chat__V1__RemoveMemberRoleRequest *in, Chat__V1__Nothing *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Chat__V1__Member member;
    Chat__V1__Role role;
    Standing caller;
    int64_t *roles;
    size_t count = 0;
    (void)out;

    TRY(db_tx_begin(rq, &tx));
    TRY(chat_lock_guild(&tx, in->guild_id));
    TRY(permissions_require_open(rq, &tx, in->guild_id, PERMISSION_MANAGE_ROLES, &caller));
    TRY(chat_store_role(&tx, rq->mem, in->guild_id, in->role_id, &role));
    if (!role.id)
        return OK;
    TRY(roles_require_above(&caller, role.position, "remove"));
    TRY(chat_store_member(rq, &tx, in->guild_id, in->user_id, &member));
    if (!holds(member.roles, member.n_roles, role.id))
        return OK;
    roles = ARENA_ARRAY(rq->mem, int64_t, member.n_roles);
    for (size_t i = 0; i < member.n_roles; i++)
        if (member.roles[i] != role.id)
            roles[count++] = member.roles[i];
    return set_roles(rq, &tx, &member, roles, count, "$remove", role.id);
}
