/* roles: what they grant, and who holds them. */
#include "atrium/auth/v1/access.service.h"
#include "services/auth/accounts.h"
#include "services/auth/answers.h"
#include "services/auth/audit.h"
#include "services/auth/store_access.h"

enum { DESCRIPTION_MAX_CHARS = 200, CUSTOM_ROLES_MAX = 200 };

static void answer_role(Request *rq, const RoleRow *role, Auth__V1__RoleInfo *out)
{
    out->name = arena_strdup(rq->mem, role->name);
    out->description = arena_strdup(rq->mem, role->description);
    out->permissions = answer_words(rq->mem, role->permissions, role->permission_count);
    out->n_permissions = role->permission_count;
    SET(out, builtin, role->builtin);
}

/* ---------------------------------------------------------------------------------------------------- reading */
Err auth_v1_list_roles(Request *rq, const Auth__V1__ListRolesRequest *in, Auth__V1__ListRolesReply *out)
{
    RoleRow *rows;
    size_t count;
    (void)in;

    TRY(auth_store_list_roles(rq, &rows, &count));
    out->roles = ARENA_ARRAY(rq->mem, Auth__V1__RoleInfo *, count + 1);
    for (size_t i = 0; i < count; i++) {
        out->roles[i] = MESSAGE_NEW(rq->mem, Auth__V1__RoleInfo, auth__v1__role_info__init);
        answer_role(rq, &rows[i], out->roles[i]);
    }
    out->n_roles = count;
    return OK;
}

/* The rank first. */
static char **all_roles(Arena *mem, const Access *access)
{
    char **list = ARENA_ARRAY(mem, char *, access->role_count + 1);

    list[0] = arena_strdup(mem, role_name(access->rank));
    for (size_t i = 0; i < access->role_count; i++)
        list[i + 1] = arena_strdup(mem, access->roles[i]);
    return list;
}

static Err access_of(Request *rq, DbTx *tx, int64_t user_id, Access *out)
{
    TRY(access_of_user(rq, tx, user_id, out));
    return out->rank == ROLE_NONE ? err_make(&NOT_FOUND, "there is no such user") : OK;
}

Err auth_v1_list_user_roles(Request *rq, const Auth__V1__ListUserRolesRequest *in, Auth__V1__ListUserRolesReply *out)
{
    Access access;

    TRY(access_of(rq, NULL, in->user_id, &access));
    out->roles = all_roles(rq->mem, &access);
    out->n_roles = access.role_count + 1;
    return OK;
}

Err auth_v1_get_my_permissions(Request *rq, const Auth__V1__GetMyPermissionsRequest *in,
                               Auth__V1__GetMyPermissionsReply *out)
{
    Access access;
    (void)in;

    TRY(access_of(rq, NULL, rq->caller.user_id, &access));
    out->roles = all_roles(rq->mem, &access);
    out->n_roles = access.role_count + 1;
    out->permissions = answer_words(rq->mem, access.permissions, access.permission_count);
    out->n_permissions = access.permission_count;
    return OK;
}

Err auth_v1_get_grants(Request *rq, const Atrium__GetGrantsRequest *in, Atrium__GetGrantsReply *out)
{
    RoleRow *rows;
    size_t count;
    (void)in;

    TRY(auth_store_list_roles(rq, &rows, &count));
    out->roles = ARENA_ARRAY(rq->mem, Atrium__RoleGrants *, count + 1);
    for (size_t i = 0; i < count; i++) {
        Atrium__RoleGrants *grants = MESSAGE_NEW(rq->mem, Atrium__RoleGrants, atrium__role_grants__init);

        grants->name = arena_strdup(rq->mem, rows[i].name);
        grants->permissions = answer_words(rq->mem, rows[i].permissions, rows[i].permission_count);
        grants->n_permissions = rows[i].permission_count;
        out->roles[i] = grants;
    }
    out->n_roles = count;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- what they grant
 */
static Err check_role(Request *rq, const Auth__V1__PutRoleRequest *in)
{
    if (!role_name_valid(slice(in->name)))
        return err_make(&INVALID_ARGUMENT, "name: 2 to 32 of a-z, 0-9, - and _, a letter first");
    if (strcmp(in->name, "admin") == 0)
        return err_make(&INVALID_ARGUMENT, "administrators may everything, by rule");
    if (in->description && utf8_length(slice(in->description)) > DESCRIPTION_MAX_CHARS)
        return err_make(&INVALID_ARGUMENT, "description: %d characters at most", DESCRIPTION_MAX_CHARS);
    if (in->n_permissions > ROLE_PERMISSIONS_MAX)
        return err_make(&INVALID_ARGUMENT, "permissions: %d at most", ROLE_PERMISSIONS_MAX);
    for (size_t i = 0; i < in->n_permissions; i++)
        if (!permission_valid(slice(in->permissions[i])))
            return err_make(&INVALID_ARGUMENT, "permissions: \"domain.thing.verb\", \"domain.*\" or \"*\"");
    return access_may_hand_on(rq, NULL, (const char *const *)in->permissions, in->n_permissions);
}

/* What it granted before must be the caller's to hand on, too: else he could take it from those who hold it. */
static Err check_replaced(Request *rq, DbTx *tx, const char *name)
{
    const char *const *before;
    int64_t roles;
    size_t count;
    bool found;

    TRY(auth_store_role_grants(rq, tx, name, &found, &before, &count));
    if (found)
        return access_may_hand_on(rq, tx, before, count);
    TRY(auth_store_count_roles(tx, &roles));
    return roles < CUSTOM_ROLES_MAX ? OK : err_make(&CONFLICT, "there are %d roles already", CUSTOM_ROLES_MAX);
}

Err auth_v1_put_role(Request *rq, const Auth__V1__PutRoleRequest *in, Auth__V1__RoleInfo *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    RoleRow role = {.name = in->name,
                    .description = in->description,
                    .permissions = (const char *const *)in->permissions,
                    .permission_count = in->n_permissions};
    RoleRow stored;

    TRY(check_role(rq, in));
    TRY(db_tx_begin(rq, &tx));
    TRY(db_lock(&tx, "auth.roles", SLICE_LIT("")));
    TRY(check_replaced(rq, &tx, in->name));
    TRY(auth_store_put_role(rq, &tx, &role, clock_unix_us(rq->clock), &stored));
    TRY(audit_insert(&tx, rq, AUDIT_ROLE_CHANGED, "role", in->name, NULL));
    TRY(access_announce(&tx, rq, 0));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    answer_role(rq, &stored, out);
    return OK;
}

Err auth_v1_delete_role(Request *rq, const Auth__V1__DeleteRoleRequest *in, Auth__V1__DeleteRoleReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const char *const *grants;
    size_t count;
    bool found, deleted;
    (void)out;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_lock(&tx, "auth.roles", SLICE_LIT("")));
    TRY(auth_store_role_grants(rq, &tx, in->name ? in->name : "", &found, &grants, &count));
    if (!found)
        return err_make(&NOT_FOUND, "there is no such role");
    TRY(access_may_hand_on(rq, &tx, grants, count));
    TRY(auth_store_delete_role(&tx, in->name, &deleted));
    if (!deleted)
        return err_make(&CONFLICT, "a built-in role stays");
    TRY(audit_insert(&tx, rq, AUDIT_ROLE_DELETED, "role", in->name, NULL));
    TRY(access_announce(&tx, rq, 0));
    TRY(db_tx_commit(&tx));
    auth_settle(rq);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- who holds them
 */
/* The account, locked, and what it holds now. */
static Err begin_change(Request *rq, DbTx *tx, int64_t user_id, const char *role, Access *out)
{
    const char *const roles[] = {role};

    TRY(db_tx_begin(rq, tx));
    TRY(store_lock_account(tx, user_id));
    TRY(access_of(rq, tx, user_id, out));
    return access_may_grant(rq, tx, ROLE_NONE, roles, ARRAY_LEN(roles));
}

static Err end_change(Request *rq, DbTx *tx, int64_t user_id, AuditAction action, const char *role)
{
    TRY(audit_insert_user(tx, rq, action, user_id, audit_detail(rq->mem, "role", role)));
    TRY(access_announce(tx, rq, user_id));
    TRY(db_tx_commit(tx));
    auth_settle(rq);
    return OK;
}

Err auth_v1_grant_role(Request *rq, const Auth__V1__GrantRoleRequest *in, Auth__V1__GrantRoleReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const char *name = in->name ? in->name : "";
    int64_t now_us = clock_unix_us(rq->clock);
    Access access;
    Role rank;
    (void)out;

    TRY(begin_change(rq, &tx, in->user_id, name, &access));
    if (!role_parse(slice(name), &rank)) {
        if (access.role_count >= JWT_ROLES_MAX)
            return err_make(&CONFLICT, "nobody holds more than %d roles", JWT_ROLES_MAX);
        TRY(auth_store_add_role(&tx, in->user_id, name, rq->caller.user_id, now_us));
    } else if (rank > access.rank) {
        TRY(auth_store_set_rank(&tx, in->user_id, rank, now_us));
    }
    return end_change(rq, &tx, in->user_id, AUDIT_USER_ROLE_GRANTED, name);
}

/* Back to a user's. */
static Err revoke_rank(Request *rq, DbTx *tx, int64_t user_id, Role rank, const Access *access)
{
    if (rank == ROLE_USER)
        return err_make(&INVALID_ARGUMENT, "everybody is a user");
    if (rank != access->rank)
        return err_make(&NOT_FOUND, "he does not hold this role");
    if (rank == ROLE_ADMIN)
        TRY(access_keep_an_admin(tx, user_id));
    return auth_store_set_rank(tx, user_id, ROLE_USER, clock_unix_us(rq->clock));
}

Err auth_v1_revoke_role(Request *rq, const Auth__V1__RevokeRoleRequest *in, Auth__V1__RevokeRoleReply *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const char *name = in->name ? in->name : "";
    Access access;
    bool removed;
    Role rank;
    (void)out;

    TRY(begin_change(rq, &tx, in->user_id, name, &access));
    if (role_parse(slice(name), &rank)) {
        TRY(revoke_rank(rq, &tx, in->user_id, rank, &access));
    } else {
        TRY(auth_store_remove_role(&tx, in->user_id, name, &removed));
        if (!removed)
            return err_make(&NOT_FOUND, "he does not hold this role");
    }
    return end_change(rq, &tx, in->user_id, AUDIT_USER_ROLE_REVOKED, name);
}
