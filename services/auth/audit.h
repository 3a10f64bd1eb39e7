/* audit: who changed what. An entry commits with the change that it tells of, and outlives the accounts it names. */
#pragma once
#include "services/auth/store_tx.h"

/* Every action there is, by the name it is shown with. */
#define AUDIT_ACTIONS(ROW)                                                                                             \
    ROW(FACTOR_ADDED, "factor.added")                                                                                  \
    ROW(FACTOR_REMOVED, "factor.removed")                                                                              \
    ROW(FACTOR_RENEWED, "factor.renewed")                                                                              \
    ROW(GROUP_CREATED, "group.created")                                                                                \
    ROW(GROUP_DELETED, "group.deleted")                                                                                \
    ROW(GROUP_MEMBER_ADDED, "group.member_added")                                                                      \
    ROW(GROUP_MEMBER_CHANGED, "group.member_changed")                                                                  \
    ROW(GROUP_MEMBER_REMOVED, "group.member_removed")                                                                  \
    ROW(GROUP_ROLE_GRANTED, "group.role_granted")                                                                      \
    ROW(GROUP_ROLE_REVOKED, "group.role_revoked")                                                                      \
    ROW(GROUP_UPDATED, "group.updated")                                                                                \
    ROW(IDENTITY_LINKED, "identity.linked")                                                                            \
    ROW(IDENTITY_UNLINKED, "identity.unlinked")                                                                        \
    ROW(INVITATION_ACCEPTED, "invitation.accepted")                                                                    \
    ROW(INVITATION_CREATED, "invitation.created")                                                                      \
    ROW(INVITATION_RENEWED, "invitation.renewed")                                                                      \
    ROW(INVITATION_REVOKED, "invitation.revoked")                                                                      \
    ROW(KEY_CREATED, "key.created")                                                                                    \
    ROW(KEY_REVOKED, "key.revoked")                                                                                    \
    ROW(KEY_ROTATED, "key.rotated")                                                                                    \
    ROW(PASSWORD_ADDED, "password.added")                                                                              \
    ROW(ROLE_CHANGED, "role.changed")                                                                                  \
    ROW(ROLE_DELETED, "role.deleted")                                                                                  \
    ROW(SETTING_CHANGED, "setting.changed")                                                                            \
    ROW(SETUP_DONE, "setup.done")                                                                                      \
    ROW(SIGNING_KEY_MADE, "signing_key.made")                                                                          \
    ROW(USER_ACTIVATED, "user.activated")                                                                              \
    ROW(USER_CREATED, "user.created")                                                                                  \
    ROW(USER_DEACTIVATED, "user.deactivated")                                                                          \
    ROW(USER_DELETED, "user.deleted")                                                                                  \
    ROW(USER_EMAIL_VERIFIED, "user.email_verified")                                                                    \
    ROW(USER_IMPERSONATED, "user.impersonated")                                                                        \
    ROW(USER_PASSWORD_RESET, "user.password_reset")                                                                    \
    ROW(USER_RESET_LINK_MADE, "user.reset_link_made")                                                                  \
    ROW(USER_ROLE_GRANTED, "user.role_granted")                                                                        \
    ROW(USER_ROLE_REVOKED, "user.role_revoked")                                                                        \
    ROW(USER_UPDATED, "user.updated")

#define AUDIT_ACTION_VALUE(id, name) AUDIT_##id,
typedef enum AuditAction { AUDIT_ACTIONS(AUDIT_ACTION_VALUE) AUDIT_ACTION_COUNT } AuditAction;
const char *audit_action_name(AuditAction action);

/* The actor is the caller, or who acts in his name; of nobody's and services' calls there is none. `target_kind` is
 * "user", "key", "role", "group", "invitation", "setting" or "signing_key"; a user's id is the plain number.
 * `detail_json` is an object of texts (audit_detail), NULL for none: names of fields, ids, roles; never what a private
 * field holds. */
Err audit_insert(DbTx *tx, const Request *rq, AuditAction action, const char *target_kind, const char *target_id,
                 const char *detail_json) MUST_CHECK;
Err audit_insert_user(DbTx *tx, const Request *rq, AuditAction action, int64_t user_id,
                      const char *detail_json) MUST_CHECK;
/* audit_detail(rq->mem, "role", "editor"): pairs of name and text; those whose text is NULL are left out. Borrowed from
 * `mem`. */
#define audit_detail(mem, ...)                                                                                         \
    audit_detail_of((mem), (const char *const[]){__VA_ARGS__},                                                         \
                    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *) / 2)
char *audit_detail_of(Arena *mem, const char *const *pairs, size_t count);
