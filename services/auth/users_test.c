/* Administration of accounts in three manners, through the dispatch table, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "services/auth/users.h"

#include <pthread.h>

#include "atrium/auth/v1/access.atrium.h"
#include "atrium/auth/v1/admin.service.h"
#include "services/auth/pages.h"
#include "services/auth/passwords.h"
#include "services/auth/store_schema.h"

enum { ADA = 1, BOB = 2, CLEO = 3, DAN = 4 };

static int fill_tables(void **state)
{
    StoreSchema *s = *state;

    s->schema.now_us = clock_unix_us(&SYSTEM_CLOCK);
    test_schema_script(&s->schema, "TRUNCATE account, outbox, audit_entry, erasure, runtime_setting CASCADE");
    store_schema_person(s, ADA, "ada", ROLE_ADMIN);
    store_schema_person(s, BOB, "bob", ROLE_USER);
    store_schema_person(s, CLEO, "cleo", ROLE_USER);
    return 0;
}

static Err call_as(StoreSchema *s, int64_t id, Role role, const char *method, ProtobufCMessage *in,
                   ProtobufCMessage *out)
{
    Request rq = store_schema_request_of(s, id, role);

    return rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, method, in, out);
}

static Err call(StoreSchema *s, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    return call_as(s, ADA, ROLE_ADMIN, method, in, out);
}

static char *text(const char *constant)
{
    return (char *)(uintptr_t)constant;
}

static int64_t audited(StoreSchema *s, const char *action)
{
    return test_schema_count(
        &s->schema, arena_printf(s->schema.mem, "SELECT count(*) FROM audit_entry WHERE action = '%s'", action));
}

static int64_t events(StoreSchema *s, const char *subject)
{
    return test_schema_count(
        &s->schema, arena_printf(s->schema.mem, "SELECT count(*) FROM outbox WHERE subject LIKE '%s%%'", subject));
}

static void give_login(StoreSchema *s, int64_t user_id)
{
    char *id = uuid_text(s->schema.mem, uuid_v4());

    test_schema_script(&s->schema,
                       arena_printf(s->schema.mem,
                                    "INSERT INTO login (id, family_id, user_id, profile, user_agent, address,"
                                    "  created_at, last_used_at, expires_at) VALUES ('%s', '%s', %" PRId64
                                    ", 'all', '', '', now(), now(), now() + interval '1 hour')",
                                    id, id, user_id));
}

static void give_key(StoreSchema *s, int64_t user_id)
{
    char *id = uuid_text(s->schema.mem, uuid_v4());

    test_schema_script(&s->schema,
                       arena_printf(s->schema.mem,
                                    "INSERT INTO api_key (id, hash, prefix, owner_id, name, kind, role, created_at)"
                                    " VALUES ('%s', decode(md5('%s'), 'hex'), 'sel_x', %" PRId64
                                    ", 'k', 'commons', 'agent', now())",
                                    id, id, user_id));
}

/* ---------------------------------------------------------------------------------------------------- events */
static Err create(StoreSchema *s, const char *username, const char *email, const char *role, Auth__V1__AdminUser *out)
{
    Auth__V1__AdminCreateUserRequest in = AUTH__V1__ADMIN_CREATE_USER_REQUEST__INIT;

    auth__v1__admin_user__init(out);
    in.username = text(username);
    in.email = text(email);
    in.role = text(role);
    return call(s, "AdminCreateUser", &in.base, &out->base);
}

static Err on_user(StoreSchema *s, const char *method, int64_t id, Auth__V1__AdminUser *out)
{
    Auth__V1__AdminUserId in = AUTH__V1__ADMIN_USER_ID__INIT;

    auth__v1__admin_user__init(out);
    in.user_id = user_id_text(s->schema.mem, id);
    return call(s, method, &in.base, &out->base);
}

static Err accept(StoreSchema *s, const char *url, const char *password)
{
    Request rq = store_schema_request(s);
    Auth__V1__AcceptInvitationRequest in = AUTH__V1__ACCEPT_INVITATION_REQUEST__INIT;
    Auth__V1__AcceptInvitationReply out = AUTH__V1__ACCEPT_INVITATION_REPLY__INIT;

    in.token = strstr(url, "token=") + strlen("token=");
    in.password = text(password);
    return rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "AcceptInvitation", &in.base, &out.base);
}

static void the_invited_wait_until_they_choose_a_password(void **state)
{
    static const char *const WEAK[] = {"Short1!",        "alllowercase1!", "ALLUPPERCASE1!",
                                       "NoDigitsHere!!", "NoSymbolsHere1", ""};
    StoreSchema *s = *state;
    Auth__V1__AdminUser made, now;
    int64_t id;

    assert_ok(create(s, "eve", "eve@example.org", "editor", &made));
    assert_string_equal(made.status, "pending");
    assert_string_equal(made.role, "editor");
    assert_false(made.is_active);
    assert_true(user_id_parse(slice(made.id), &id));
    for (size_t i = 0; i < ARRAY_LEN(WEAK); i++)
        assert_reason(accept(s, made.invitation_url, WEAK[i]), &WEAK_PASSWORD);
    assert_reason(accept(s, "token=nonsense", "Correct horse 9!"), &INVALID_INVITATION);
    assert_ok(accept(s, made.invitation_url, "Correct horse 9!"));
    assert_reason(accept(s, made.invitation_url, "Correct horse 9!"), &INVALID_INVITATION);
    assert_ok(on_user(s, "AdminGetUser", id, &now));
    assert_string_equal(now.status, "active");
    assert_int_equal(audited(s, "user.created"), 1);
    assert_int_equal(audited(s, "invitation.accepted"), 1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE email_verified_at IS NOT NULL"),
                     0);
}

static void a_new_invitation_ends_the_one_before(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AdminUserId in = AUTH__V1__ADMIN_USER_ID__INIT;
    Auth__V1__AdminInvitation again = AUTH__V1__ADMIN_INVITATION__INIT;
    Auth__V1__AdminUser made;

    assert_ok(create(s, "eve", "eve@example.org", "viewer", &made));
    in.user_id = made.id;
    assert_ok(call(s, "AdminResendInvitation", &in.base, &again.base));
    assert_string_equal(again.email, "eve@example.org");
    assert_reason(accept(s, made.invitation_url, "Correct horse 9!"), &INVALID_INVITATION);
    assert_ok(accept(s, again.invitation_url, "Correct horse 9!"));
    assert_reason(call(s, "AdminResendInvitation", &in.base, &again.base), &CONFLICT);
}

static void invitations_end(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AdminUser made;

    assert_ok(create(s, "eve", "eve@example.org", "viewer", &made));
    s->schema.now_us += s->settings.invitation_ttl_ms * 1000 + 1;
    assert_reason(accept(s, made.invitation_url, "Correct horse 9!"), &INVALID_INVITATION);
}

static void what_cannot_be_an_account_is_refused(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AdminUser made;

    assert_reason(create(s, "e", "eve@example.org", "viewer", &made), &INVALID_USERNAME);
    assert_reason(create(s, "eve", "no address", "viewer", &made), &INVALID_EMAIL);
    assert_reason(create(s, "eve", "eve@example.org", "emperor", &made), &INVALID_ARGUMENT);
    assert_ok(create(s, "eve", "eve@example.org", "viewer", &made));
    assert_reason(create(s, "eve", "other@example.org", "viewer", &made), &USERNAME_TAKEN);
    assert_reason(create(s, "eva", "EVE@example.org", "viewer", &made), &EMAIL_TAKEN);
    assert_reason(create(s, "cleo", "cleo@example.org", "viewer", &made), &USERNAME_TAKEN);
}

static Err update(StoreSchema *s, int64_t as, Role rank, int64_t id, const char *role, Auth__V1__AdminUser *out)
{
    Auth__V1__AdminUpdateUserRequest in = AUTH__V1__ADMIN_UPDATE_USER_REQUEST__INIT;

    auth__v1__admin_user__init(out);
    in.user_id = user_id_text(s->schema.mem, id);
    in.role = text(role);
    return call_as(s, as, rank, "AdminUpdateUser", &in.base, &out->base);
}

static void roles_take_each_others_place(void **state)
{
    static const char *const WORDS[] = {"editor", "viewer", "admin", "editor", "user", "operator", "viewer", "admin"};
    StoreSchema *s = *state;
    Auth__V1__AdminUser out;

    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        assert_ok(update(s, ADA, ROLE_ADMIN, BOB, WORDS[i], &out));
        assert_string_equal(out.role, WORDS[i]);
        assert_true(test_schema_count(&s->schema, "SELECT count(*) FROM account_role WHERE user_id = 2") <= 1);
    }
    assert_true(events(s, "evt.auth.access.changed.2") >= (int64_t)ARRAY_LEN(WORDS));
    assert_reason(update(s, ADA, ROLE_ADMIN, BOB, "emperor", &out), &INVALID_ARGUMENT);
    assert_reason(update(s, ADA, ROLE_ADMIN, DAN, "viewer", &out), &USER_NOT_FOUND);
}

/* Services that keep a copy of what somebody is have it from there. */
static void a_new_administrator_is_announced_as_one(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AdminUser out;

    assert_ok(create(s, "eve", "eve@example.org", "admin", &out));
    assert_int_equal(test_schema_count(&s->schema,
                                       "SELECT count(*) FROM outbox WHERE subject LIKE 'evt.auth.user.registered.%'"
                                       " AND position('admin'::bytea in payload) > 0"),
                     1);
}

static void fields_are_changed_one_by_one(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AdminUpdateUserRequest in = AUTH__V1__ADMIN_UPDATE_USER_REQUEST__INIT;
    Auth__V1__AdminUser out = AUTH__V1__ADMIN_USER__INIT;

    test_schema_script(&s->schema,
                       "UPDATE account SET email = 'b@example.org', email_verified_at = now() WHERE id = 2");
    in.user_id = user_id_text(s->schema.mem, BOB);
    in.username = text("robert");
    assert_ok(call(s, "AdminUpdateUser", &in.base, &out.base));
    assert_string_equal(out.username, "robert");
    assert_string_equal(out.email, "b@example.org");
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(email_verified_at) FROM account WHERE id = 2"), 1);
    in.username = NULL;
    in.email = text("new@example.org");
    assert_ok(call(s, "AdminUpdateUser", &in.base, &out.base));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(email_verified_at) FROM account WHERE id = 2"), 0);
    in.username = text("cleo");
    assert_reason(call(s, "AdminUpdateUser", &in.base, &out.base), &USERNAME_TAKEN);
    assert_int_equal(audited(s, "user.updated"), 2);
}

static void who_is_deactivated_loses_logins_and_keys(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AdminUser out;

    give_login(s, BOB);
    give_login(s, BOB);
    give_login(s, CLEO);
    give_key(s, BOB);
    assert_ok(on_user(s, "AdminDeactivateUser", BOB, &out));
    assert_string_equal(out.status, "inactive");
    assert_int_equal(events(s, "evt.auth.login.ended."), 3);
    assert_int_equal(events(s, "evt.auth.user.activity_changed.2"), 1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login WHERE ended_at IS NULL"), 1);
    assert_ok(on_user(s, "AdminDeactivateUser", BOB, &out)); /* twice is once */
    assert_int_equal(audited(s, "user.deactivated"), 1);
    assert_ok(on_user(s, "AdminActivateUser", BOB, &out));
    assert_string_equal(out.status, "active");
    assert_int_equal(audited(s, "user.activated"), 1);
}

static void the_last_administrator_stays(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AdminUser out;

    assert_ok(update(s, ADA, ROLE_ADMIN, BOB, "admin", &out));
    assert_reason(update(s, ADA, ROLE_ADMIN, ADA, "viewer", &out), &NOT_ONESELF);
    assert_reason(on_user(s, "AdminDeactivateUser", ADA, &out), &NOT_ONESELF);
    assert_reason(on_user(s, "AdminDeleteUser", ADA, &out), &NOT_ONESELF);
    assert_ok(update(s, BOB, ROLE_ADMIN, ADA, "viewer", &out));
    /* Ada's token still says what she was. */
    assert_reason(update(s, ADA, ROLE_ADMIN, BOB, "viewer", &out), &LAST_ADMIN);
    assert_reason(on_user(s, "AdminDeactivateUser", BOB, &out), &LAST_ADMIN);
    assert_reason(on_user(s, "AdminDeleteUser", BOB, &out), &LAST_ADMIN);
}

typedef struct Duel {
    StoreSchema *s;
    int64_t by, at;
    Err e;
} Duel;

static void *demote(void *data)
{
    Duel *duel = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = store_schema_request_of(duel->s, duel->by, ROLE_ADMIN);
    Auth__V1__AdminUpdateUserRequest in = AUTH__V1__ADMIN_UPDATE_USER_REQUEST__INIT;
    Auth__V1__AdminUser out = AUTH__V1__ADMIN_USER__INIT;

    rq.mem = mem;
    in.user_id = user_id_text(mem, duel->at);
    in.role = text("viewer");
    duel->e = rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "AdminUpdateUser", &in.base, &out.base);
    return NULL;
}

static void of_two_who_demote_each_other_one_stays(void **state)
{
    StoreSchema *s = *state;

    for (int round = 0; round < 10; round++) {
        Duel duels[] = {{.s = s, .by = ADA, .at = BOB}, {.s = s, .by = BOB, .at = ADA}};
        pthread_t threads[ARRAY_LEN(duels)];

        test_schema_script(&s->schema, "UPDATE account SET role = 3 WHERE id IN (1, 2); DELETE FROM account_role");
        for (size_t i = 0; i < ARRAY_LEN(duels); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, demote, &duels[i]), 0);
        for (size_t i = 0; i < ARRAY_LEN(duels); i++)
            pthread_join(threads[i], NULL);
        assert_true(err_failed(duels[0].e) != err_failed(duels[1].e));
        assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE role = 3"), 1);
    }
}

static void nobody_acts_on_who_may_more(void **state)
{
    static const char *const PERMISSIONS[] = {"auth.users.write"};
    StoreSchema *s = *state;
    Request rq = store_schema_user_request(s, BOB);
    Auth__V1__AdminUpdateUserRequest in = AUTH__V1__ADMIN_UPDATE_USER_REQUEST__INIT;
    Auth__V1__AdminUser out = AUTH__V1__ADMIN_USER__INIT;

    rq.caller.permissions = PERMISSIONS;
    rq.caller.permission_count = 1;
    in.user_id = user_id_text(s->schema.mem, ADA);
    in.email = text("mine@example.org");
    assert_reason(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "AdminUpdateUser", &in.base, &out.base), &PERMISSION_DENIED);
    in.user_id = user_id_text(s->schema.mem, CLEO);
    assert_ok(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "AdminUpdateUser", &in.base, &out.base));
    in.role = text("admin");
    assert_reason(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "AdminUpdateUser", &in.base, &out.base), &PERMISSION_DENIED);
    in.role = text("editor");
    assert_reason(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "AdminUpdateUser", &in.base, &out.base), &PERMISSION_DENIED);
}

static void lists_are_filtered_and_come_in_parts(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__AdminListUsersRequest in = AUTH__V1__ADMIN_LIST_USERS_REQUEST__INIT;
    Auth__V1__AdminListUsersReply out = AUTH__V1__ADMIN_LIST_USERS_REPLY__INIT;
    Auth__V1__AdminUser made;

    assert_ok(create(s, "eve", "eve@example.org", "editor", &made));
    SET(&in, limit, 3);
    assert_ok(call(s, "AdminListUsers", &in.base, &out.base));
    assert_int_equal(out.n_items, 3);
    assert_string_equal(out.items[0]->username, "eve");
    in.after = out.next_cursor;
    auth__v1__admin_list_users_reply__init(&out);
    assert_ok(call(s, "AdminListUsers", &in.base, &out.base));
    assert_int_equal(out.n_items, 1);
    assert_string_equal(out.items[0]->username, "ada");
    assert_string_equal(out.next_cursor, "");
    in.after = NULL;
    static const struct {
        const char *q, *role, *status;
        size_t count;
    } CASES[] = {{"EXAMPLE", NULL, NULL, 1},  {"%", NULL, NULL, 0},       {NULL, "admin", NULL, 1},
                 {NULL, "editor", NULL, 1},   {NULL, NULL, "pending", 1}, {NULL, NULL, "active", 3},
                 {NULL, NULL, "inactive", 0}, {"o", "user", "active", 2}};
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        in.q = text(CASES[i].q), in.role = text(CASES[i].role), in.status = text(CASES[i].status);
        auth__v1__admin_list_users_reply__init(&out);
        assert_ok(call(s, "AdminListUsers", &in.base, &out.base));
        assert_int_equal(out.n_items, CASES[i].count);
    }
    in.status = text("odd");
    assert_reason(call(s, "AdminListUsers", &in.base, &out.base), &INVALID_ARGUMENT);
}

/* ---------------------------------------------------------------------------------------------------- sessions */
static void the_share_dialog_gets_names_only(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__ListUsersRequest in = AUTH__V1__LIST_USERS_REQUEST__INIT;
    Auth__V1__ListUsersReply out = AUTH__V1__LIST_USERS_REPLY__INIT;

    test_schema_script(&s->schema, "UPDATE account SET email = 'c@example.org', active = false WHERE id = 3");
    assert_ok(call_as(s, BOB, ROLE_USER, "ListUsers", &in.base, &out.base));
    assert_int_equal(out.n_users, 2);
    assert_string_equal(out.users[1]->username, "bob");
    assert_null(out.users[1]->role);
    assert_false(out.users[1]->has_active);
    auth__v1__list_users_reply__init(&out);
    assert_ok(call(s, "ListUsers", &in.base, &out.base));
    assert_int_equal(out.total, 3);
    assert_string_equal(out.users[2]->email, "c@example.org");
    SET(&in, active, false);
    auth__v1__list_users_reply__init(&out);
    assert_ok(call(s, "ListUsers", &in.base, &out.base));
    assert_int_equal(out.n_users, 1);
}

static Err new_user(StoreSchema *s, const char *username, const char *password, const char *role, Auth__V1__User *out)
{
    Auth__V1__NewUserRequest in = AUTH__V1__NEW_USER_REQUEST__INIT;

    auth__v1__user__init(out);
    in.username = text(username);
    in.email = text("new@example.org");
    in.full_name = text("New One");
    in.password = text(password);
    in.role = text(role);
    return call(s, "NewUser", &in.base, &out->base);
}

static void administrators_make_users(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__User out;

    assert_reason(new_user(s, "newone", "short", NULL, &out), &INVALID_PASSWORD);
    assert_reason(new_user(s, "newone", NULL, NULL, &out), &INVALID_PASSWORD);
    assert_reason(new_user(s, "newone", "long enough", "emperor", &out), &INVALID_ARGUMENT);
    assert_reason(new_user(s, "cleo", "long enough", NULL, &out), &USERNAME_TAKEN);
    assert_ok(new_user(s, "newone", "long enough", "operator", &out));
    assert_string_equal(out.sessions_full_name, "New One");
    assert_string_equal(out.role, "operator");
    assert_true(out.active);
    assert_reason(new_user(s, "another", "long enough", NULL, &out), &EMAIL_TAKEN);
    assert_int_equal(audited(s, "user.created"), 1);
}

static void one_sees_and_changes_himself(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__GetUserRequest get = AUTH__V1__GET_USER_REQUEST__INIT;
    Auth__V1__UpdateUserRequest in = AUTH__V1__UPDATE_USER_REQUEST__INIT;
    Auth__V1__User out = AUTH__V1__USER__INIT;

    static const char *const SELF[] = {"bob", "2", "me"}, *const OTHERS[] = {"cleo", "3", "nobody_there", "77"};
    for (size_t i = 0; i < ARRAY_LEN(SELF); i++) {
        get.user_id = text(SELF[i]);
        assert_ok(call_as(s, BOB, ROLE_USER, "GetUser", &get.base, &out.base));
        assert_int_equal(out.id, BOB);
    }
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++) {
        get.user_id = text(OTHERS[i]);
        assert_reason(call_as(s, BOB, ROLE_USER, "GetUser", &get.base, &out.base), &PERMISSION_DENIED);
        in.user_id = text(OTHERS[i]);
        assert_reason(call_as(s, BOB, ROLE_USER, "UpdateUser", &in.base, &out.base), &PERMISSION_DENIED);
    }
    in.user_id = text("me");
    in.full_name = text("Bobby");
    assert_ok(call_as(s, BOB, ROLE_USER, "UpdateUser", &in.base, &out.base));
    assert_string_equal(out.sessions_full_name, "Bobby");
    in.role = text("admin");
    assert_reason(call_as(s, BOB, ROLE_USER, "UpdateUser", &in.base, &out.base), &PERMISSION_DENIED);
    in.role = NULL;
    SET(&in, active, false);
    assert_reason(call_as(s, BOB, ROLE_USER, "UpdateUser", &in.base, &out.base), &PERMISSION_DENIED);
}

static void administrators_change_others(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__UpdateUserRequest in = AUTH__V1__UPDATE_USER_REQUEST__INIT;
    Auth__V1__User out = AUTH__V1__USER__INIT;

    give_login(s, BOB);
    in.user_id = text("bob");
    in.role = text("operator");
    SET(&in, active, false);
    assert_ok(call(s, "UpdateUser", &in.base, &out.base));
    assert_string_equal(out.role, "operator");
    assert_false(out.active);
    assert_int_equal(events(s, "evt.auth.login.ended."), 1);
    in.user_id = text("nobody_there");
    assert_reason(call(s, "UpdateUser", &in.base, &out.base), &USER_NOT_FOUND);
    in.user_id = text("ada");
    in.role = NULL;
    assert_reason(call(s, "UpdateUser", &in.base, &out.base), &NOT_ONESELF);
}

/* ---------------------------------------------------------------------------------------------------- rag */
static void made_up_passwords_have_all_classes_and_log_in(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__TalkerCreateUserRequest in = AUTH__V1__TALKER_CREATE_USER_REQUEST__INIT;
    Auth__V1__TalkerNewUser out = AUTH__V1__TALKER_NEW_USER__INIT;
    Request rq = store_schema_request(s);
    Account account;

    in.email = text("new@example.org");
    assert_ok(call(s, "TalkerCreateUser", &in.base, &out.base));
    assert_int_equal(strlen(out.generated_password), 16);
    assert_non_null(strpbrk(out.generated_password, "ABCDEFGHJKLMNPQRSTUVWXYZ"));
    assert_non_null(strpbrk(out.generated_password, "abcdefghijkmnpqrstuvwxyz"));
    assert_non_null(strpbrk(out.generated_password, "23456789"));
    assert_non_null(strpbrk(out.generated_password, "!#$%&*+-=?@_"));
    assert_string_equal(out.user->role, "user");
    assert_ok(auth_store_account_by_email(&rq, "new@example.org", &account));
    assert_true(password_matches(account.password_hash, out.generated_password));
    assert_reason(call(s, "TalkerCreateUser", &in.base, &out.base), &EMAIL_TAKEN);
    in.email = text("no address");
    assert_reason(call(s, "TalkerCreateUser", &in.base, &out.base), &INVALID_ARGUMENT);
    in.email = NULL;
    assert_reason(call(s, "TalkerCreateUser", &in.base, &out.base), &INVALID_ARGUMENT);
    assert_int_equal(audited(s, "user.created"), 1);
}

static void a_reset_ends_what_the_old_password_began(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__TalkerUserId in = AUTH__V1__TALKER_USER_ID__INIT;
    Auth__V1__TalkerNewUser out = AUTH__V1__TALKER_NEW_USER__INIT;
    Request rq = store_schema_request(s);
    Account account;

    give_login(s, BOB);
    in.user_id = user_id_text(s->schema.mem, BOB);
    assert_ok(call(s, "TalkerResetPassword", &in.base, &out.base));
    assert_ok(auth_store_account(&rq, BOB, &account));
    assert_true(password_matches(account.password_hash, out.generated_password));
    assert_int_equal(events(s, "evt.auth.login.ended."), 1);
    assert_int_equal(audited(s, "user.password_reset"), 1);
    in.user_id = user_id_text(s->schema.mem, ADA);
    assert_reason(call(s, "TalkerResetPassword", &in.base, &out.base), &NOT_ONESELF);
    in.user_id = user_id_text(s->schema.mem, DAN);
    assert_reason(call(s, "TalkerResetPassword", &in.base, &out.base), &USER_NOT_FOUND);
}

static void rag_knows_two_roles(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__TalkerUpdateUserRequest in = AUTH__V1__TALKER_UPDATE_USER_REQUEST__INIT;
    Auth__V1__TalkerUserItem out = AUTH__V1__TALKER_USER_ITEM__INIT;

    in.user_id = user_id_text(s->schema.mem, BOB);
    in.role = text("admin");
    assert_ok(call(s, "TalkerUpdateUser", &in.base, &out.base));
    assert_string_equal(out.role, "admin");
    in.role = text("operator");
    assert_reason(call(s, "TalkerUpdateUser", &in.base, &out.base), &INVALID_ARGUMENT);
    in.role = NULL;
    assert_reason(call(s, "TalkerUpdateUser", &in.base, &out.base), &INVALID_ARGUMENT);
    in.user_id = user_id_text(s->schema.mem, ADA);
    in.role = text("user");
    assert_reason(call(s, "TalkerUpdateUser", &in.base, &out.base), &NOT_ONESELF);
}

static void rag_lists_the_newest_first(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__TalkerListUsersRequest in = AUTH__V1__TALKER_LIST_USERS_REQUEST__INIT;
    Auth__V1__TalkerListUsersReply out = AUTH__V1__TALKER_LIST_USERS_REPLY__INIT;

    assert_ok(call(s, "TalkerListUsers", &in.base, &out.base));
    assert_int_equal(out.n_users, 3);
    assert_string_equal(out.users[0]->id, user_id_text(s->schema.mem, CLEO));
    SET(&in, limit, 1);
    SET(&in, offset, 1);
    auth__v1__talker_list_users_reply__init(&out);
    assert_ok(call(s, "TalkerListUsers", &in.base, &out.base));
    assert_int_equal(out.n_users, 1);
    assert_string_equal(out.users[0]->id, user_id_text(s->schema.mem, BOB));
    SET(&in, limit, 101);
    assert_reason(call(s, "TalkerListUsers", &in.base, &out.base), &INVALID_ARGUMENT);
    SET(&in, limit, 1);
    SET(&in, offset, -1);
    assert_reason(call(s, "TalkerListUsers", &in.base, &out.base), &INVALID_ARGUMENT);
}

#define TEST(f) cmocka_unit_test_setup(f, fill_tables)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_invited_wait_until_they_choose_a_password),
        TEST(a_new_invitation_ends_the_one_before),
        TEST(invitations_end),
        TEST(what_cannot_be_an_account_is_refused),
        TEST(roles_take_each_others_place),
        TEST(a_new_administrator_is_announced_as_one),
        TEST(fields_are_changed_one_by_one),
        TEST(who_is_deactivated_loses_logins_and_keys),
        TEST(the_last_administrator_stays),
        TEST(of_two_who_demote_each_other_one_stays),
        TEST(nobody_acts_on_who_may_more),
        TEST(lists_are_filtered_and_come_in_parts),
        TEST(the_share_dialog_gets_names_only),
        TEST(administrators_make_users),
        TEST(one_sees_and_changes_himself),
        TEST(administrators_change_others),
        TEST(made_up_passwords_have_all_classes_and_log_in),
        TEST(a_reset_ends_what_the_old_password_began),
        TEST(rag_knows_two_roles),
        TEST(rag_lists_the_newest_first),
    };

    return cmocka_run_group_tests_name("users", tests, store_schema_make, store_schema_drop);
}
