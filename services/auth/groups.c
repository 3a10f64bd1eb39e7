/* groups: in sessions' manner; and what roles they hold, in ours. Whatever changes what a member may is announced. */
#include "services/auth/store_groups.h"

#include "atrium/auth/v1/access.service.h"
#include "services/auth/access.h"
#include "services/auth/accounts.h"
#include "services/auth/answers.h"
#include "services/auth/audit.h"
#include "services/auth/events.h"
#include "services/auth/pages.h"

enum {
    NAME_MAX_CHARS = 64,
    DISPLAY_MAX_CHARS = 100,
    TYPE_MAX_CHARS = 32,
    DESCRIPTION_MAX_CHARS = 500,
    GROUP_ROLES_MAX = 16
};

/* For access_announce: what many people may has changed. */
static const int64_t MANY_PEOPLE = -1;

/* ---------------------------------------------------------------------------------------------------- answers */
static void answer_group(Request *rq, const GroupRow *group, Auth__V1__Group *out)
{
    out->id = arena_strdup(rq->mem, group->id);
    out->name = arena_strdup(rq->mem, group->name);
    out->display_name = arena_strdup(rq->mem, group->display_name);
    out->description = arena_strdup(rq->mem, group->description);
    out->type = arena_strdup(rq->mem, group->type);
    SET(out, member_count, (int32_t)group->member_count);
    out->created_at = timestamp(rq->mem, group->created_us);
    out->updated_at = timestamp(rq->mem, group->updated_us);
}

static void answer_groups(Request *rq, const GroupRow *rows, size_t count, Auth__V1__ListGroupsReply *out)
{
    out->groups = ARENA_ARRAY(rq->mem, Auth__V1__Group *, count + 1);
    for (size_t i = 0; i < count; i++) {
        out->groups[i] = MESSAGE_NEW(rq->mem, Auth__V1__Group, auth__v1__group__init);
        answer_group(rq, &rows[i], out->groups[i]);
    }
    out->n_groups = count;
    SET(out, total, (int32_t)count);
}

static void answer_member(Request *rq, const MemberRow *member, Auth__V1__GroupMember *out)
{
    out->user = MESSAGE_NEW(rq->mem, Auth__V1__User, auth__v1__user__init);
    answer_user(rq, &member->account, out->user);
    out->role = arena_strdup(rq->mem, member->role);
    out->joined_at = timestamp(rq->mem, member->joined_us);
}

/* ---------------------------------------------------------------------------------------------------- reading */
static Err find_group(Request *rq, DbTx *tx, const char *id, GroupRow *out)
{
    TRY(auth_store_group(rq, tx, id ? id : "", out));
    return out->id ? OK : err_make(&GROUP_NOT_FOUND, "there is no such group");
}

Err auth_v1_list_groups(Request *rq, const Auth__V1__ListGroupsRequest *in, Auth__V1__ListGroupsReply *out)
{
    GroupRow *rows;
    size_t count;
    (void)in;

    TRY(auth_store_list_groups(rq, 0, &rows, &count));
    answer_groups(rq, rows, count, out);
    return OK;
}

Err auth_v1_get_group(Request *rq, const Auth__V1__GetGroupRequest *in, Auth__V1__Group *out)
{
    GroupRow group;

    TRY(find_group(rq, NULL, in->group_id, &group));
    answer_group(rq, &group, out);
    return OK;
}

Err auth_v1_list_user_groups(Request *rq, const Auth__V1__ListUserGroupsRequest *in, Auth__V1__ListGroupsReply *out)
{
    int64_t user_id;
    GroupRow *rows;
    size_t count;

    if (slice_eq_cstr(slice(in->user_id), "me"))
        user_id = rq->caller.user_id;
    else if (!user_id_parse(slice(in->user_id), &user_id))
        return err_make(&INVALID_ID, "user_id: not an id");
    if (user_id != rq->caller.user_id && !caller_may(&rq->caller, "auth.groups.read"))
        return err_make(&PERMISSION_DENIED, "you may see your own groups");
    TRY(auth_store_list_groups(rq, user_id, &rows, &count));
    answer_groups(rq, rows, count, out);
    return OK;
}

Err auth_v1_list_group_members(Request *rq, const Auth__V1__ListGroupMembersRequest *in,
                               Auth__V1__ListGroupMembersReply *out)
{
    GroupRow group;
    MemberRow *rows;
    size_t count;

    TRY(find_group(rq, NULL, in->group_id, &group));
    TRY(auth_store_list_members(rq, group.id, &rows, &count));
    out->members = ARENA_ARRAY(rq->mem, Auth__V1__GroupMember *, count + 1);
    for (size_t i = 0; i < count; i++) {
        out->members[i] = MESSAGE_NEW(rq->mem, Auth__V1__GroupMember, auth__v1__group_member__init);
        answer_member(rq, &rows[i], out->members[i]);
    }
    out->n_members = count;
    SET(out, total, (int32_t)group.member_count);
    return OK;
}

Err auth_v1_groups_of_user(Request *rq, const Auth__V1__GroupsOfUserRequest *in, Auth__V1__GroupsOfUserReply *out)
{
    GroupRow *rows;
    size_t count;

    if (in->user_id <= 0)
        return err_make(&INVALID_ARGUMENT, "user_id: not an id");
    TRY(auth_store_list_groups(rq, in->user_id, &rows, &count));
    out->group_ids = ARENA_ARRAY(rq->mem, char *, count + 1);
    for (size_t i = 0; i < count; i++)
        out->group_ids[i] = arena_strdup(rq->mem, rows[i].id);
    out->n_group_ids = count;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- groups */
static Err check_text(const char *what, const char *text, size_t min_chars, size_t max_chars)
{
    size_t chars = utf8_length(slice(text));

    if (chars < min_chars || chars > max_chars)
        return err_make(&INVALID_ARGUMENT, "%s: %zu to %zu characters", what, min_chars, max_chars);
    return OK;
}

static Err check_group(const GroupRow *group)
{
    TRY(check_text("name", group->name, 1, NAME_MAX_CHARS));
    TRY(check_text("displayName", group->display_name, 1, DISPLAY_MAX_CHARS));
    TRY(check_text("type", group->type, 1, TYPE_MAX_CHARS));
    return check_text("description", group->description, 0, DESCRIPTION_MAX_CHARS);
}

Err auth_v1_create_group(Request *rq, const Auth__V1__CreateGroupRequest *in, Auth__V1__Group *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const Auth *auth = rq->service;
    GroupRow group = {.id = uuid_text(rq->mem, uuid_v7(auth->ids)),
                      .name = in->name ? in->name : "",
                      .display_name = in->display_name ? in->display_name : "",
                      .type = in->type ? in->type : "",
                      .description = in->description ? in->description : "",
                      .created_us = clock_unix_us(rq->clock)};
    int64_t count;

    group.updated_us = group.created_us;
    TRY(check_group(&group));
    TRY(db_tx_begin(rq, &tx));
    TRY(auth_store_count_groups(&tx, &count));
    if (count >= GROUPS_MAX)
        return err_make(&CONFLICT, "there are %d groups already", GROUPS_MAX);
    TRY(auth_store_insert_group(&tx, &group));
    TRY(audit_insert(&tx, rq, AUDIT_GROUP_CREATED, "group", group.id, NULL));
    TRY(db_tx_commit(&tx));
    answer_group(rq, &group, out);
    return OK;
}

Err auth_v1_update_group(Request *rq, const Auth__V1__UpdateGroupRequest *in, Auth__V1__Group *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    GroupRow group;

    TRY(db_tx_begin(rq, &tx));
    TRY(find_group(rq, &tx, in->group_id, &group));
    group.name = in->name ? in->name : group.name;
    group.display_name = in->display_name ? in->display_name : group.display_name;
    group.type = in->type ? in->type : group.type;
    group.description = in->description ? in->description : group.description;
    group.updated_us = clock_unix_us(rq->clock);
    TRY(check_group(&group));
    TRY(auth_store_update_group(&tx, &group));
    TRY(audit_insert(&tx, rq, AUDIT_GROUP_UPDATED, "group", group.id, NULL));
    TRY(db_tx_commit(&tx));
    answer_group(rq, &group, out);
    return OK;
}

Err auth_v1_delete_group(Request *rq, const Auth__V1__DeleteGroupRequest *in, Auth__V1__MessageReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    GroupRow group;

    TRY(db_tx_begin(rq, &tx));
    TRY(find_group(rq, &tx, in->group_id, &group));
    if (strcmp(group.id, GROUP_OF_ALL) == 0)
        return err_make(&CONFLICT, "everybody's group stays");
    /* Its members lose what they hold by it. */
    TRY(access_may_grant(rq, &tx, ROLE_NONE, group.roles, group.role_count));
    TRY(auth_store_delete_group(&tx, group.id));
    TRY(audit_insert(&tx, rq, AUDIT_GROUP_DELETED, "group", group.id, NULL));
    if (group.role_count > 0)
        TRY(access_announce(&tx, rq, MANY_PEOPLE));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    out->message = arena_strdup(rq->mem, "group deleted");
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- members */
static Err check_member_role(const char *role)
{
    static const char *const ROLES[] = {"owner", "admin", "member", "viewer"};

    for (size_t i = 0; i < ARRAY_LEN(ROLES); i++)
        if (strcmp(role, ROLES[i]) == 0)
            return OK;
    return err_make(&INVALID_ARGUMENT, "role: owner, admin, member or viewer");
}

/* An id or a username. */
static Err find_person(Request *rq, const char *text, Account *out)
{
    int64_t id;

    if (!text || !text[0])
        return err_make(&INVALID_ARGUMENT, "userId: an id or a username");
    if (user_id_parse(slice(text), &id))
        TRY(auth_store_account(rq, id, out));
    else
        TRY(auth_store_account_by_username(rq, text, out));
    return out->id ? OK : err_make(&NOT_FOUND, "there is no such user");
}

/* The group, locked; members of it get its roles, and nobody hands on what he lacks. */
static Err begin_membership(Request *rq, DbTx *tx, const char *group_id, GroupRow *out)
{
    TRY(db_tx_begin(rq, tx));
    TRY(find_group(rq, tx, group_id, out));
    if (strcmp(out->id, GROUP_OF_ALL) == 0)
        return err_make(&CONFLICT, "everybody is in it");
    return access_may_grant(rq, tx, ROLE_NONE, out->roles, out->role_count);
}

static Err end_membership(Request *rq, DbTx *tx, const GroupRow *group, int64_t user_id, AuditAction action)
{
    TRY(audit_insert(tx, rq, action, "group", group->id,
                     audit_detail(rq->mem, "user_id", arena_printf(rq->mem, "%" PRId64, user_id))));
    if (group->role_count > 0 && action != AUDIT_GROUP_MEMBER_CHANGED)
        TRY(access_announce(tx, rq, user_id));
    TRY(db_tx_commit(tx));
    auth_settle(rq);
    return OK;
}

Err auth_v1_add_group_member(Request *rq, const Auth__V1__AddGroupMemberRequest *in, Auth__V1__GroupMember *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    MemberRow member = {.role = in->role && in->role[0] ? in->role : "member"};
    GroupRow group;
    bool is_new;

    TRY(check_member_role(member.role));
    TRY(find_person(rq, in->user_id, &member.account));
    TRY(begin_membership(rq, &tx, in->group_id, &group));
    if (group.member_count >= GROUP_MEMBERS_MAX)
        return err_make(&CONFLICT, "a group has %d members at most", GROUP_MEMBERS_MAX);
    TRY(auth_store_put_member(&tx, group.id, member.account.id, member.role, clock_unix_us(rq->clock), &is_new,
                              &member.joined_us));
    if (!is_new)
        return err_make(&CONFLICT, "he is in it already");
    TRY(end_membership(rq, &tx, &group, member.account.id, AUDIT_GROUP_MEMBER_ADDED));
    answer_member(rq, &member, out);
    return OK;
}

Err auth_v1_update_group_member(Request *rq, const Auth__V1__UpdateGroupMemberRequest *in, Auth__V1__GroupMember *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    MemberRow member = {.role = in->role ? in->role : ""};
    GroupRow group;
    bool found, is_new;

    TRY(check_member_role(member.role));
    TRY(find_person(rq, in->user_id, &member.account));
    TRY(begin_membership(rq, &tx, in->group_id, &group));
    TRY(auth_store_find_member(&tx, group.id, member.account.id, &found));
    if (!found)
        return err_make(&NOT_FOUND, "he is not in this group");
    TRY(auth_store_put_member(&tx, group.id, member.account.id, member.role, clock_unix_us(rq->clock), &is_new,
                              &member.joined_us));
    TRY(end_membership(rq, &tx, &group, member.account.id, AUDIT_GROUP_MEMBER_CHANGED));
    answer_member(rq, &member, out);
    return OK;
}

Err auth_v1_remove_group_member(Request *rq, const Auth__V1__RemoveGroupMemberRequest *in, Auth__V1__MessageReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Account person;
    GroupRow group;
    bool removed;

    TRY(find_person(rq, in->user_id, &person));
    TRY(begin_membership(rq, &tx, in->group_id, &group));
    TRY(auth_store_remove_member(&tx, group.id, person.id, &removed));
    if (!removed)
        return err_make(&NOT_FOUND, "he is not in this group");
    TRY(end_membership(rq, &tx, &group, person.id, AUDIT_GROUP_MEMBER_REMOVED));
    out->message = arena_strdup(rq->mem, "member removed");
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- their roles */
static Err begin_group_role(Request *rq, DbTx *tx, const char *group_id, const char *role, GroupRow *out)
{
    Role rank;

    if (!role || role_parse(slice(role), &rank))
        return err_make(&INVALID_ARGUMENT, "name: a rank is an account's own");
    TRY(db_tx_begin(rq, tx));
    TRY(find_group(rq, tx, group_id, out));
    return access_may_grant(rq, tx, ROLE_NONE, &role, 1);
}

static Err end_group_role(Request *rq, DbTx *tx, const GroupRow *group, const char *role, AuditAction action)
{
    TRY(audit_insert(tx, rq, action, "group", group->id, audit_detail(rq->mem, "role", role)));
    TRY(access_announce(tx, rq, MANY_PEOPLE));
    TRY(db_tx_commit(tx));
    auth_settle(rq);
    return OK;
}

Err auth_v1_grant_group_role(Request *rq, const Auth__V1__GrantGroupRoleRequest *in, Auth__V1__GrantGroupRoleReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const char *role = in->name;
    GroupRow group;
    (void)out;

    TRY(begin_group_role(rq, &tx, in->group_id, role, &group));
    if (group.role_count >= GROUP_ROLES_MAX)
        return err_make(&CONFLICT, "a group holds %d roles at most", GROUP_ROLES_MAX);
    TRY(auth_store_add_group_role(&tx, group.id, role));
    return end_group_role(rq, &tx, &group, role, AUDIT_GROUP_ROLE_GRANTED);
}

Err auth_v1_revoke_group_role(Request *rq, const Auth__V1__RevokeGroupRoleRequest *in,
                              Auth__V1__RevokeGroupRoleReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const char *role = in->name;
    GroupRow group;
    bool removed;
    (void)out;

    TRY(begin_group_role(rq, &tx, in->group_id, role, &group));
    TRY(auth_store_remove_group_role(&tx, group.id, role, &removed));
    if (!removed)
        return err_make(&NOT_FOUND, "the group does not hold this role");
    return end_group_role(rq, &tx, &group, role, AUDIT_GROUP_ROLE_REVOKED);
}
