/* Making, showing and changing accounts, through the dispatch table, on a store in memory. */
#include "services/auth/accounts.h"

#include "services/auth/admin.h"
#include "services/auth/passwords.h"
#include "services/auth/store_fake.h"

enum { ANN = 4711 };
static const char LOGIN_ID[] = "0197a3c0-0000-7000-8000-000000000001";

static Err call(Request *rq, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    return rpc_call(&AUTH_V1_AUTH_SERVICE, rq, method, in, out);
}

static Err register_user(Fixture *f, const char *profile, const char *username, const char *password,
                         Auth__V1__AuthResult *out)
{
    Request rq = fake_request(f, profile);
    Auth__V1__RegisterRequest in = AUTH__V1__REGISTER_REQUEST__INIT;

    auth__v1__auth_result__init(out);
    in.username = (char *)username;
    in.password = (char *)password;
    return call(&rq, "Register", &in.base, &out->base);
}

static void registering_logs_in(void **state)
{
    Fixture *f = *state;
    Auth__V1__AuthResult out;
    JwtClaims claims;

    assert_ok(register_user(f, "all", "ann", "secret1", &out));
    assert_int_equal(fake.account_count, 1);
    assert_int_equal(fake.login_count, 1);
    assert_true(password_matches(fake.accounts[0].password_hash, "secret1"));
    assert_string_equal(out.user->username, "ann");
    assert_string_equal(out.user->display_name, "ann");
    assert_string_equal(out.user->role, "user");
    assert_int_equal(out.user->id, fake.accounts[0].id);
    assert_int_equal(strlen(out.refresh_token), 64);
    assert_ok(jwt_verify(f->key, f->mem, &FAKE_CLOCK, slice(out.access_token), &claims));
    assert_int_equal(claims.user_id, fake.accounts[0].id);
    assert_int_equal(claims.expires_s, fake.now_us / 1000000 + 900);
    assert_string_equal(claims.login_id, uuid_text(f->mem, fake.logins[0].id));
    assert_string_equal(claims.issuer, "atrium");
    assert_ok(jwt_verify(f->key, f->mem, &FAKE_CLOCK, slice(out.token), &claims));
    assert_int_equal(claims.expires_s, fake.now_us / 1000000 + 86400);
    assert_int_equal(out.token_expires_at->seconds, claims.expires_s);
    assert_string_equal(claims.jti, fake.logins[0].token_jti);
}

static void only_hashes_of_tokens_are_stored(void **state)
{
    Fixture *f = *state;
    Auth__V1__AuthResult out;

    assert_ok(register_user(f, "all", "ann", "secret1", &out));
    assert_slice_equal(fake.logins[0].refresh_hash, token_hash(f->mem, out.refresh_token));
    assert_int_equal(fake.logins[0].refresh_hash.len, 32);
}

static void profiles_choose_the_tokens(void **state)
{
    static const struct {
        const char *profile;
        bool chat, sessions;
    } CASES[] = {{"all", true, true},       {"chat", true, false},  {"chat-web", true, false},
                 {"sessions", false, true}, {"events", true, true}, {NULL, true, true}};
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Auth__V1__AuthResult out;
        assert_ok(register_user(f, CASES[i].profile, arena_printf(f->mem, "user%zu", i), "secret1", &out));
        assert_int_equal(out.access_token != NULL, CASES[i].chat);
        assert_int_equal(out.refresh_token != NULL, CASES[i].chat);
        assert_int_equal(out.user->created_at != NULL, CASES[i].chat);
        assert_int_equal(out.token != NULL, CASES[i].sessions);
        assert_int_equal(out.token_expires_at != NULL, CASES[i].sessions);
        assert_int_equal(out.user->sessions_created_at != NULL, CASES[i].sessions);
    }
}

static void bad_registrations_are_refused_with_their_reason(void **state)
{
    char long_password[PASSWORD_MAX_BYTES + 8];
    const struct {
        const char *username, *password;
        const Reason *reason;
    } CASES[] = {
        {NULL, NULL, &INVALID_USERNAME},
        {"a", "secret1", &INVALID_USERNAME},
        {"an n", "secret1", &INVALID_USERNAME},
        {"ann", NULL, &INVALID_PASSWORD},
        {"ann", "12345", &INVALID_PASSWORD},
        {"ann", long_password, &INVALID_PASSWORD},
        {"taken", "secret1", &USERNAME_TAKEN},
        /* Five letters of two bytes each: letters count. */
        {"ann", "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", &INVALID_PASSWORD},
    };
    Fixture *f = *state;
    Auth__V1__AuthResult out;

    memset(long_password, 'x', 129);
    long_password[129] = '\0';
    fake_account(f, 1, "taken", NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        assert_reason(register_user(f, "all", CASES[i].username, CASES[i].password, &out), CASES[i].reason);
    assert_int_equal(fake.account_count, 1);
    long_password[128] = '\0';
    assert_ok(register_user(f, "all", "Taken", long_password, &out));
}

static void closed_registration_is_refused(void **state)
{
    Fixture *f = *state;
    Auth__V1__AuthResult out;

    f->settings.registration = "closed";
    assert_reason(register_user(f, "all", "ann", "secret1", &out), &REGISTRATION_CLOSED);
}

static void an_address_makes_a_username(void **state)
{
    Fixture *f = *state;
    Request rq = fake_request(f, "all");
    Auth__V1__RegisterRequest in = AUTH__V1__REGISTER_REQUEST__INIT;
    Auth__V1__AuthResult out = AUTH__V1__AUTH_RESULT__INIT;

    fake.username_conflicts = 2;
    in.email = "ann@example.com";
    in.password = "secret1";
    assert_ok(call(&rq, "Register", &in.base, &out.base));
    assert_string_equal(out.user->email, "ann@example.com");
    assert_true(slice_starts_with(slice(out.user->username), SLICE_LIT("ann_")));
    in.email = "no address";
    assert_reason(call(&rq, "Register", &in.base, &out.base), &INVALID_EMAIL);
}

static void i_see_myself(void **state)
{
    Fixture *f = *state;
    Request rq = fake_user_request(f, "all", ANN, LOGIN_ID);
    Auth__V1__GetMeRequest in = AUTH__V1__GET_ME_REQUEST__INIT;
    Auth__V1__User out = AUTH__V1__USER__INIT;

    assert_reason(call(&rq, "GetMe", &in.base, &out.base), &NOT_FOUND);
    fake_account(f, ANN, "ann", "ann@example.com", NULL);
    assert_ok(call(&rq, "GetMe", &in.base, &out.base));
    assert_int_equal(out.id, ANN);
    assert_string_equal(out.email, "ann@example.com");
    assert_string_equal(out.provider, "local");
    fake.accounts[0].active = false;
    assert_reason(call(&rq, "GetMe", &in.base, &out.base), &PERMISSION_DENIED);
}

static void strangers_see_nobody(void **state)
{
    Fixture *f = *state;
    Request rq = fake_request(f, "all");
    Auth__V1__GetMeRequest in = AUTH__V1__GET_ME_REQUEST__INIT;
    Auth__V1__User out = AUTH__V1__USER__INIT;

    assert_reason(call(&rq, "GetMe", &in.base, &out.base), &UNAUTHENTICATED);
}

static void a_profile_changes_as_told(void **state)
{
    Fixture *f = *state;
    Request rq = fake_user_request(f, "chat", ANN, LOGIN_ID);
    Auth__V1__UpdateMeRequest in = AUTH__V1__UPDATE_ME_REQUEST__INIT;
    Auth__V1__User out = AUTH__V1__USER__INIT;

    fake_account(f, ANN, "ann", NULL, NULL);
    in.display_name = "\xc3\x84nn";
    assert_ok(call(&rq, "UpdateMe", &in.base, &out.base));
    assert_string_equal(out.display_name, "\xc3\x84nn");
    in = (Auth__V1__UpdateMeRequest)AUTH__V1__UPDATE_ME_REQUEST__INIT;
    in.avatar_hash = "abc";
    assert_ok(call(&rq, "UpdateMe", &in.base, &out.base));
    assert_string_equal(out.avatar_hash, "abc");
    assert_string_equal(out.display_name, "\xc3\x84nn");
    in.avatar = "";
    assert_ok(call(&rq, "UpdateMe", &in.base, &out.base));
    assert_null(out.avatar_hash);
}

static void bad_profiles_are_refused(void **state)
{
    Fixture *f = *state;
    Request rq = fake_user_request(f, "chat", ANN, LOGIN_ID);
    Auth__V1__UpdateMeRequest in = AUTH__V1__UPDATE_ME_REQUEST__INIT;
    Auth__V1__User out = AUTH__V1__USER__INIT;

    fake_account(f, ANN, "ann", NULL, NULL);
    in.display_name = "";
    assert_reason(call(&rq, "UpdateMe", &in.base, &out.base), &INVALID_DISPLAY_NAME);
    in.display_name = "123456789012345678901234567890123";
    assert_reason(call(&rq, "UpdateMe", &in.base, &out.base), &INVALID_DISPLAY_NAME);
    in.display_name = NULL;
    in.avatar = "12345678901234567890123456789012345678901234567890123456789012345";
    assert_reason(call(&rq, "UpdateMe", &in.base, &out.base), &INVALID_AVATAR);
}

static void a_new_password_ends_the_other_logins(void **state)
{
    Fixture *f = *state;
    Request rq = fake_user_request(f, "all", ANN, LOGIN_ID);
    Auth__V1__ChangePasswordRequest in = AUTH__V1__CHANGE_PASSWORD_REQUEST__INIT;
    Auth__V1__MessageReply out = AUTH__V1__MESSAGE_REPLY__INIT;

    fake_account(f, ANN, "ann", NULL, "old secret");
    in.old_password = "wrong";
    in.new_password = "new secret";
    assert_reason(call(&rq, "ChangePassword", &in.base, &out.base), &INVALID_CREDENTIALS);
    in.old_password = "old secret";
    in.new_password = "1234567";
    assert_reason(call(&rq, "ChangePassword", &in.base, &out.base), &INVALID_PASSWORD);
    in.new_password = "new secret";
    assert_ok(call(&rq, "ChangePassword", &in.base, &out.base));
    assert_true(password_matches(fake.accounts[0].password_hash, "new secret"));
    assert_string_equal(uuid_text(f->mem, fake.kept_id), LOGIN_ID);
    assert_int_equal(fake.why, AUTH__V1__LOGIN_END__PASSWORD_CHANGED);
    assert_non_null(out.message);
}

static void an_account_without_password_has_none_to_change(void **state)
{
    Fixture *f = *state;
    Request rq = fake_user_request(f, "all", ANN, LOGIN_ID);
    Auth__V1__ChangePasswordRequest in = AUTH__V1__CHANGE_PASSWORD_REQUEST__INIT;
    Auth__V1__MessageReply out = AUTH__V1__MESSAGE_REPLY__INIT;

    fake_account(f, ANN, "ann", NULL, NULL);
    in.old_password = "whatever";
    in.new_password = "new secret";
    assert_reason(call(&rq, "ChangePassword", &in.base, &out.base), &NO_PASSWORD);
}

static void operators_make_users(void **state)
{
    Fixture *f = *state;
    Request rq = fake_request(f, "all");
    Auth__V1__CreateUserRequest in = AUTH__V1__CREATE_USER_REQUEST__INIT;
    Auth__V1__CreateUserReply out = AUTH__V1__CREATE_USER_REPLY__INIT;

    in.username = "op";
    in.role = "operator";
    assert_true(err_failed(call(&rq, "CreateUser", &in.base, &out.base)));
    rq.caller = (Caller){.kind = CALLER_SERVICE, .service = "ops"};
    f->settings.registration = "closed";
    assert_ok(call(&rq, "CreateUser", &in.base, &out.base));
    assert_int_equal(strlen(out.password), 20);
    assert_true(password_matches(fake.accounts[0].password_hash, out.password));
    assert_string_equal(out.user->role, "operator");
    in.username = "other";
    in.password = "secret1";
    in.role = "king";
    assert_reason(call(&rq, "CreateUser", &in.base, &out.base), &INVALID_ARGUMENT);
    in.role = NULL;
    auth__v1__create_user_reply__init(&out);
    assert_ok(call(&rq, "CreateUser", &in.base, &out.base));
    assert_null(out.password);
}

static void the_first_start_makes_an_admin(void **state)
{
    Fixture *f = *state;
    Request rq = fake_request(f, "all");

    assert_ok(admin_bootstrap(&rq));
    assert_int_equal(fake.account_count, 0);
    f->settings.admin_password = "first secret";
    f->settings.admin_email = "root@example.org";
    assert_ok(admin_bootstrap(&rq));
    assert_int_equal(fake.account_count, 1);
    assert_string_equal(fake.accounts[0].username, "admin");
    assert_string_equal(fake.accounts[0].email, "root@example.org");
    assert_int_equal(fake.accounts[0].role, ROLE_ADMIN);
    f->settings.admin_password = "another secret";
    assert_ok(admin_bootstrap(&rq));
    assert_int_equal(fake.account_count, 1);
    assert_true(password_matches(fake.accounts[0].password_hash, "first secret"));
    f->settings.admin_password_reset = "reset secret";
    assert_ok(admin_bootstrap(&rq));
    assert_true(password_matches(fake.accounts[0].password_hash, "reset secret"));
}

static void a_repeated_reset_logs_nobody_out(void **state)
{
    Fixture *f = *state;
    Request rq = fake_request(f, "all");

    f->settings.admin_password = "first secret";
    f->settings.admin_password_reset = "reset secret";
    assert_ok(admin_bootstrap(&rq));
    fake.why = 0;
    assert_ok(admin_bootstrap(&rq));
    assert_int_equal(fake.why, 0);
}

static void an_ordinary_account_is_never_made_admin(void **state)
{
    Fixture *f = *state;
    Request rq = fake_request(f, "all");

    fake_account(f, ANN, "admin", NULL, "hers");
    f->settings.admin_password = "first secret";
    f->settings.admin_password_reset = "reset secret";
    assert_ok(admin_bootstrap(&rq));
    assert_int_equal(fake.account_count, 1);
    assert_int_equal(fake.accounts[0].role, ROLE_USER);
    assert_true(password_matches(fake.accounts[0].password_hash, "hers"));
}

static void hashes_of_other_makers_verify(void **state)
{
    /* Four lanes, one pass, as the original's are made; libsodium's own have one lane. */
    static const char STORED[] =
        "$argon2id$v=19$m=65536,t=1,p=4$c2l4dGVlbiBieXRlIHNhbA$MAfS0y5wlL2jQ2EXkugkBp4EprusmsP5kEBmui1qs10";
    (void)state;

    assert_true(password_matches(STORED, "correct horse"));
    assert_false(password_matches(STORED, "wrong horse"));
    assert_false(password_matches(NULL, "correct horse"));
    assert_false(password_matches("", "correct horse"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE_TEST(registering_logs_in),
        FAKE_TEST(only_hashes_of_tokens_are_stored),
        FAKE_TEST(profiles_choose_the_tokens),
        FAKE_TEST(bad_registrations_are_refused_with_their_reason),
        FAKE_TEST(closed_registration_is_refused),
        FAKE_TEST(an_address_makes_a_username),
        FAKE_TEST(i_see_myself),
        FAKE_TEST(strangers_see_nobody),
        FAKE_TEST(a_profile_changes_as_told),
        FAKE_TEST(bad_profiles_are_refused),
        FAKE_TEST(a_new_password_ends_the_other_logins),
        FAKE_TEST(an_account_without_password_has_none_to_change),
        FAKE_TEST(operators_make_users),
        FAKE_TEST(the_first_start_makes_an_admin),
        FAKE_TEST(a_repeated_reset_logs_nobody_out),
        FAKE_TEST(an_ordinary_account_is_never_made_admin),
        FAKE_TEST(hashes_of_other_makers_verify),
    };

    return RUN(tests);
}
