/* Who may register, invitations, and the first administrator, through the dispatch table, on a real PostgreSQL
 * (TEST_DATABASE_URL). */
#include "services/auth/registration.h"

#include <pthread.h>

#include "atrium/auth/v1/access.atrium.h"
#include "atrium/auth/v1/admin.service.h"
#include "services/auth/store_schema.h"

enum { ADA = 1, BOB = 2, AT_ONCE = 10 };

static int fill_tables(void **state)
{
    StoreSchema *s = *state;

    s->schema.now_us = clock_unix_us(&SYSTEM_CLOCK);
    s->settings.registration = "open";
    test_schema_script(&s->schema, "TRUNCATE account, outbox, audit_entry, invitation, runtime_setting CASCADE");
    store_schema_person(s, ADA, "ada", ROLE_ADMIN);
    store_schema_person(s, BOB, "bob", ROLE_USER);
    return 0;
}

static char *text(const char *constant)
{
    return (char *)(uintptr_t)constant;
}

static Err admin(StoreSchema *s, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    Request rq = store_schema_request_of(s, ADA, ROLE_ADMIN);

    return rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, method, in, out);
}

static Err enroll(Request *rq, const char *username, const char *email, const char *invitation,
                  Auth__V1__AuthResult *out)
{
    Auth__V1__RegisterRequest in = AUTH__V1__REGISTER_REQUEST__INIT;

    auth__v1__auth_result__init(out);
    in.username = text(username);
    in.email = text(email);
    in.password = text("secret1");
    in.invitation = text(invitation);
    return rpc_call(&AUTH_V1_AUTH_SERVICE, rq, "Register", &in.base, &out->base);
}

static Err enroll_now(StoreSchema *s, const char *username, const char *email, const char *invitation)
{
    Request rq = store_schema_request(s);
    Auth__V1__AuthResult out;

    return enroll(&rq, username, email, invitation, &out);
}

static Err invite(StoreSchema *s, const char *email, const char *role, int32_t uses, Auth__V1__InvitationInfo *out)
{
    Auth__V1__CreateInvitationRequest in = AUTH__V1__CREATE_INVITATION_REQUEST__INIT;

    auth__v1__invitation_info__init(out);
    in.email = text(email);
    in.role = text(role);
    SET(&in, uses, uses);
    return admin(s, "CreateInvitation", &in.base, &out->base);
}

static int64_t accounts(StoreSchema *s)
{
    return test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE id > 2");
}

/* ---------------------------------------------------------------------------------------------------- modes */
static void administrators_switch_registration_off_and_on(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__TalkerRegistration in = AUTH__V1__TALKER_REGISTRATION__INIT, out = AUTH__V1__TALKER_REGISTRATION__INIT;
    Auth__V1__TalkerGetRegistrationRequest get = AUTH__V1__TALKER_GET_REGISTRATION_REQUEST__INIT;

    assert_ok(admin(s, "TalkerGetRegistration", &get.base, &out.base));
    assert_true(out.enabled);
    SET(&in, enabled, false);
    assert_ok(admin(s, "TalkerSetRegistration", &in.base, &out.base));
    assert_ok(admin(s, "TalkerGetRegistration", &get.base, &out.base));
    assert_false(out.enabled);
    assert_reason(enroll_now(s, "newone", NULL, NULL), &REGISTRATION_CLOSED);
    SET(&in, enabled, true);
    assert_ok(admin(s, "TalkerSetRegistration", &in.base, &out.base));
    assert_ok(enroll_now(s, "newone", NULL, NULL));
    in.has_enabled = false;
    assert_reason(admin(s, "TalkerSetRegistration", &in.base, &out.base), &INVALID_ARGUMENT);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM audit_entry WHERE action = 'setting.changed'"),
                     2);
}

static void the_setting_holds_until_an_administrator_speaks(void **state)
{
    static const struct {
        const char *set, *said;
        RegistrationMode mode;
    } CASES[] = {{"open", NULL, MODE_OPEN},       {"closed", NULL, MODE_CLOSED},     {"invite", NULL, MODE_INVITE},
                 {"open", "closed", MODE_CLOSED}, {"closed", "invite", MODE_INVITE}, {"closed", "open", MODE_OPEN},
                 {"invite", "odd", MODE_INVITE}};
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    RegistrationMode mode;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        s->settings.registration = CASES[i].set;
        test_schema_script(&s->schema, "TRUNCATE runtime_setting");
        if (CASES[i].said)
            test_schema_script(&s->schema,
                               arena_printf(s->schema.mem,
                                            "INSERT INTO runtime_setting VALUES ('registration', '%s', now())",
                                            CASES[i].said));
        assert_ok(registration_mode(&rq, NULL, &mode));
        assert_int_equal(mode, CASES[i].mode);
        if (mode == MODE_OPEN)
            assert_ok(registration_check(&rq, NULL));
        else
            assert_reason(registration_check(&rq, NULL), &REGISTRATION_CLOSED);
    }
}

/* Back on is what the setting says. */
static void on_is_by_invitation_where_that_is_the_rule(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__TalkerRegistration in = AUTH__V1__TALKER_REGISTRATION__INIT, out = AUTH__V1__TALKER_REGISTRATION__INIT;

    s->settings.registration = "invite";
    SET(&in, enabled, true);
    assert_ok(admin(s, "TalkerSetRegistration", &in.base, &out.base));
    assert_reason(enroll_now(s, "newone", NULL, NULL), &REGISTRATION_CLOSED);
}

/* ---------------------------------------------------------------------------------------------------- invitations */
static void an_invitation_lets_in_as_often_as_it_says(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__InvitationInfo made;

    s->settings.registration = "invite";
    assert_ok(invite(s, NULL, NULL, 2, &made));
    assert_true(slice_starts_with(slice(made.url), SLICE_LIT("https://atrium.example/register?token=")));
    assert_int_equal(
        test_schema_count(
            &s->schema,
            arena_printf(s->schema.mem, "SELECT count(*) FROM invitation WHERE hash = '%s'::bytea", made.token)),
        0); /* its SHA-256 stands there */
    assert_reason(enroll_now(s, "newone", NULL, NULL), &REGISTRATION_CLOSED);
    assert_reason(enroll_now(s, "newone", NULL, "nonsense"), &INVALID_INVITATION);
    assert_ok(enroll_now(s, "newone", NULL, made.token));
    assert_reason(enroll_now(s, "newone", NULL, made.token), &USERNAME_TAKEN); /* takes no use */
    assert_ok(enroll_now(s, "newtwo", NULL, made.token));
    assert_reason(enroll_now(s, "newthree", NULL, made.token), &INVALID_INVITATION);
    assert_int_equal(
        test_schema_count(&s->schema, "SELECT count(*) FROM audit_entry WHERE action = 'invitation.accepted'"), 2);
}

static void an_invitation_gives_its_role(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Auth__V1__InvitationInfo made;
    Auth__V1__AuthResult out;

    assert_ok(invite(s, NULL, "editor", 1, &made));
    assert_ok(enroll(&rq, "newone", NULL, made.token, &out));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account_role WHERE role = 'editor'"), 1);
    assert_ok(invite(s, NULL, "operator", 1, &made));
    assert_ok(enroll(&rq, "newtwo", NULL, made.token, &out));
    assert_string_equal(out.user->role, "operator");
}

static void an_invitation_may_be_for_one_address(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__InvitationInfo made;

    assert_ok(invite(s, "eve@example.org", NULL, 1, &made));
    assert_reason(enroll_now(s, "newone", "other@example.org", made.token), &INVALID_INVITATION);
    assert_ok(enroll_now(s, "newone", NULL, made.token));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE email = 'eve@example.org'"), 1);
}

static void a_closed_door_stays_closed(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__InvitationInfo made;

    s->settings.registration = "closed";
    assert_ok(invite(s, NULL, NULL, 1, &made));
    assert_reason(enroll_now(s, "newone", NULL, made.token), &REGISTRATION_CLOSED);
}

static void revoked_and_expired_ones_let_nobody_in(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__RevokeInvitationRequest in = AUTH__V1__REVOKE_INVITATION_REQUEST__INIT;
    Auth__V1__AdminNothing nothing = AUTH__V1__ADMIN_NOTHING__INIT;
    Auth__V1__ListInvitationsRequest list = AUTH__V1__LIST_INVITATIONS_REQUEST__INIT;
    Auth__V1__ListInvitationsReply listed = AUTH__V1__LIST_INVITATIONS_REPLY__INIT;
    Auth__V1__InvitationInfo first, second;

    assert_ok(invite(s, NULL, NULL, 1, &first));
    assert_ok(invite(s, NULL, NULL, 1, &second));
    in.invitation_id = first.id;
    assert_ok(admin(s, "RevokeInvitation", &in.base, &nothing.base));
    assert_reason(admin(s, "RevokeInvitation", &in.base, &nothing.base), &NOT_FOUND);
    assert_reason(enroll_now(s, "newone", NULL, first.token), &INVALID_INVITATION);
    assert_ok(admin(s, "ListInvitations", &list.base, &listed.base));
    assert_int_equal(listed.n_items, 1);
    assert_string_equal(listed.items[0]->id, second.id);
    assert_null(listed.items[0]->token);
    s->schema.now_us += INT64_C(8) * 86400 * 1000000;
    assert_reason(enroll_now(s, "newone", NULL, second.token), &INVALID_INVITATION);
}

static void bad_invitations_are_refused(void **state)
{
    static const char *const PERMISSIONS[] = {"auth.users.invite"};
    StoreSchema *s = *state;
    Request rq = store_schema_user_request(s, BOB);
    Auth__V1__CreateInvitationRequest in = AUTH__V1__CREATE_INVITATION_REQUEST__INIT;
    Auth__V1__InvitationInfo made;

    assert_reason(invite(s, NULL, NULL, 0, &made), &INVALID_ARGUMENT);
    assert_reason(invite(s, NULL, NULL, 1001, &made), &INVALID_ARGUMENT);
    assert_reason(invite(s, "no address", NULL, 1, &made), &INVALID_EMAIL);
    assert_reason(invite(s, NULL, "emperor", 1, &made), &NO_SUCH_ROLE);
    SET(&in, expires_in_s, 59);
    auth__v1__invitation_info__init(&made);
    assert_reason(admin(s, "CreateInvitation", &in.base, &made.base), &INVALID_ARGUMENT);
    in.has_expires_in_s = false;
    /* Nobody invites above himself. */
    rq.caller.permissions = PERMISSIONS;
    rq.caller.permission_count = 1;
    in.role = text("admin");
    assert_reason(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "CreateInvitation", &in.base, &made.base), &PERMISSION_DENIED);
    in.role = text("editor");
    assert_reason(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "CreateInvitation", &in.base, &made.base), &PERMISSION_DENIED);
    in.role = text("user");
    assert_ok(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "CreateInvitation", &in.base, &made.base));
}

static void events_client_accepts_them_too(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Auth__V1__AcceptInvitationRequest in = AUTH__V1__ACCEPT_INVITATION_REQUEST__INIT;
    Auth__V1__AcceptInvitationReply out = AUTH__V1__ACCEPT_INVITATION_REPLY__INIT;
    Auth__V1__InvitationInfo made;

    s->settings.registration = "invite";
    assert_ok(invite(s, "eve@example.org", "viewer", 1, &made));
    in.token = made.token;
    in.password = text("Correct horse 9!");
    assert_reason(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "AcceptInvitation", &in.base, &out.base), &INVALID_USERNAME);
    in.username = text("eve");
    assert_ok(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "AcceptInvitation", &in.base, &out.base));
    assert_string_equal(out.user->role, "viewer");
    assert_string_equal(out.user->status, "active");
}

typedef struct Runner {
    StoreSchema *s;
    const char *name, *token;
    Err e;
} Runner;

static void *run_enroll(void *data)
{
    Runner *r = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = store_schema_request(r->s);
    Auth__V1__AuthResult out;

    rq.mem = mem;
    r->e = enroll(&rq, r->name, NULL, r->token, &out);
    return NULL;
}

static size_t run_all(Runner *runners, void *(*run)(void *), const Reason *otherwise, const Reason *or_else)
{
    pthread_t threads[AT_ONCE];
    size_t good = 0;

    for (size_t i = 0; i < AT_ONCE; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, &runners[i]), 0);
    for (size_t i = 0; i < AT_ONCE; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < AT_ONCE; i++) {
        good += !err_failed(runners[i].e);
        if (err_failed(runners[i].e) && runners[i].e.reason != or_else)
            assert_reason(runners[i].e, otherwise);
    }
    return good;
}

static void of_ten_at_once_three_uses_let_three_in(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__InvitationInfo made;
    Runner runners[AT_ONCE];

    s->settings.registration = "invite";
    assert_ok(invite(s, NULL, NULL, 3, &made));
    for (size_t i = 0; i < AT_ONCE; i++)
        runners[i] = (Runner){.s = s, .name = arena_printf(s->schema.mem, "runner%zu", i), .token = made.token};
    assert_int_equal(run_all(runners, run_enroll, &INVALID_INVITATION, NULL), 3);
    assert_int_equal(accounts(s), 3);
}

/* ---------------------------------------------------------------------------------------------------- setup */
static Err setup(Request *rq, const char *password, const char *confirm)
{
    Auth__V1__DoSetupRequest in = AUTH__V1__DO_SETUP_REQUEST__INIT;
    Auth__V1__DoSetupReply out = AUTH__V1__DO_SETUP_REPLY__INIT;

    in.password = text(password);
    in.password_confirm = text(confirm);
    in.email = text("root@example.org");
    return rpc_call(&AUTH_V1_ADMIN_SERVICE, rq, "DoSetup", &in.base, &out.base);
}

static bool setup_required(StoreSchema *s)
{
    Request rq = store_schema_request(s);
    Auth__V1__GetSetupRequest in = AUTH__V1__GET_SETUP_REQUEST__INIT;
    Auth__V1__Setup out = AUTH__V1__SETUP__INIT;

    assert_ok(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "GetSetup", &in.base, &out.base));
    return out.setup_required;
}

static void the_first_administrator_chooses_a_password_once(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);

    test_schema_script(&s->schema, "DELETE FROM account WHERE role = 3");
    assert_true(setup_required(s));
    assert_reason(setup(&rq, "too short", "too short"), &INVALID_PASSWORD);
    assert_reason(setup(&rq, "long enough for it", "something else"), &INVALID_ARGUMENT);
    assert_ok(setup(&rq, "long enough for it", "long enough for it"));
    assert_false(setup_required(s));
    assert_int_equal(
        test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE username = 'admin' AND role = 3"), 1);
    assert_reason(setup(&rq, "long enough for it", "long enough for it"), &SETUP_DONE);
    assert_string_equal(rq.reply.details->fields[0]->key, "hint");
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM audit_entry WHERE action = 'setup.done'"), 1);
}

static void one_without_a_password_gets_it(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);

    assert_true(setup_required(s)); /* Ada has none */
    assert_ok(setup(&rq, "long enough for it", "long enough for it"));
    assert_int_equal(
        test_schema_count(&s->schema,
                          "SELECT count(*) FROM account WHERE username = 'ada' AND password_hash IS NOT NULL"),
        1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE role = 3"), 1);
}

/* Else whoever comes first took the account over. */
static void one_who_comes_in_by_another_door_keeps_it_shut(void **state)
{
    static const char *const DOORS[] = {
        "INSERT INTO identity (id, user_id, provider, subject, name, created_at)"
        " SELECT gen_random_uuid(), id, 'acme', 'a', 'Ada', now() FROM account WHERE username = 'ada'",
        "INSERT INTO passkey (id, user_id, name, algorithm, public_key, sign_count, created_at)"
        " SELECT '\\x01', id, 'key', -7, '\\x02', 0, now() FROM account WHERE username = 'ada'"};
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);

    for (size_t i = 0; i < ARRAY_LEN(DOORS); i++) {
        test_schema_script(&s->schema, DOORS[i]);
        assert_false(setup_required(s));
        assert_reason(setup(&rq, "long enough for it", "long enough for it"), &SETUP_DONE);
        test_schema_script(&s->schema, "DELETE FROM identity; DELETE FROM passkey");
    }
    assert_true(setup_required(s));
}

static void *run_setup(void *data)
{
    Runner *r = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = store_schema_request(r->s);

    rq.mem = mem;
    r->e = setup(&rq, r->token, r->token);
    return NULL;
}

static void of_ten_setups_at_once_one_wins(void **state)
{
    StoreSchema *s = *state;
    Runner runners[AT_ONCE];

    test_schema_script(&s->schema, "DELETE FROM account WHERE role = 3");
    for (size_t i = 0; i < AT_ONCE; i++)
        runners[i] = (Runner){.s = s, .token = arena_printf(s->schema.mem, "long password %zu", i)};
    assert_int_equal(run_all(runners, run_setup, &SETUP_LOST, &SETUP_DONE), 1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE role = 3"), 1);
}

#define TEST(f) cmocka_unit_test_setup(f, fill_tables)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(administrators_switch_registration_off_and_on),
        TEST(the_setting_holds_until_an_administrator_speaks),
        TEST(on_is_by_invitation_where_that_is_the_rule),
        TEST(an_invitation_lets_in_as_often_as_it_says),
        TEST(an_invitation_gives_its_role),
        TEST(an_invitation_may_be_for_one_address),
        TEST(a_closed_door_stays_closed),
        TEST(revoked_and_expired_ones_let_nobody_in),
        TEST(bad_invitations_are_refused),
        TEST(events_client_accepts_them_too),
        TEST(of_ten_at_once_three_uses_let_three_in),
        TEST(the_first_administrator_chooses_a_password_once),
        TEST(one_without_a_password_gets_it),
        TEST(one_who_comes_in_by_another_door_keeps_it_shut),
        TEST(of_ten_setups_at_once_one_wins),
    };

    return cmocka_run_group_tests_name("registration", tests, store_schema_make, store_schema_drop);
}
