/* store_groups: the statements on groups and who is in them. Everybody is in all-users, which has no rows for that. */
#pragma once
#include "services/auth/store_tx.h"

#define GROUP_OF_ALL "all-users"
/* Lists are whole: more than so many are not shown, nor made. */
enum { GROUPS_MAX = 1000, GROUP_MEMBERS_MAX = 1000 };

typedef struct GroupRow {
    const char *id; /* NULL: there is none */
    const char *name, *display_name, *description, *type;
    int64_t member_count;
    int64_t created_us, updated_us;
    const char *const *roles;
    size_t role_count;
} GroupRow;

typedef struct MemberRow {
    Account account;
    const char *role; /* within the group */
    int64_t joined_us;
} MemberRow;

/* `user_id` 0: all groups; else those that he is in. By name. */
Err auth_store_list_groups(Request *rq, int64_t user_id, GroupRow **out, size_t *out_count) MUST_CHECK;
/* `tx` may be NULL; with one, the row is locked. */
Err auth_store_group(Request *rq, DbTx *tx, const char *id, GroupRow *out) MUST_CHECK;
Err auth_store_count_groups(DbTx *tx, int64_t *out) MUST_CHECK;
/* GROUP_TAKEN. */
Err auth_store_insert_group(DbTx *tx, const GroupRow *group) MUST_CHECK;
Err auth_store_update_group(DbTx *tx, const GroupRow *group) MUST_CHECK;
Err auth_store_delete_group(DbTx *tx, const char *id) MUST_CHECK;

/* By the day they came. */
Err auth_store_list_members(Request *rq, const char *group_id, MemberRow **out, size_t *out_count) MUST_CHECK;
/* `out_is_new`: he was not in it. */
Err auth_store_put_member(DbTx *tx, const char *group_id, int64_t user_id, const char *role, int64_t now_us,
                          bool *out_is_new, int64_t *out_joined_us) MUST_CHECK;
Err auth_store_find_member(DbTx *tx, const char *group_id, int64_t user_id, bool *out_found) MUST_CHECK;
Err auth_store_remove_member(DbTx *tx, const char *group_id, int64_t user_id, bool *out_removed) MUST_CHECK;

Err auth_store_add_group_role(DbTx *tx, const char *group_id, const char *role) MUST_CHECK;
Err auth_store_remove_group_role(DbTx *tx, const char *group_id, const char *role, bool *out_removed) MUST_CHECK;
