/* Events' and media's manner of logins, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "atrium/auth/v1/console.service.h"
#include "services/auth/login.h"
#include "services/auth/store_schema.h"

static int begin(void **state)
{
    StoreSchema *s = *state;

    test_schema_script(&s->schema, "TRUNCATE account, login_failure CASCADE");
    return 0;
}

static Err log_in(Request *rq, const char *rpc, const char *name, const char *password, Auth__V1__ConsoleSession *out)
{
    Auth__V1__ConsoleLoginRequest in = AUTH__V1__CONSOLE_LOGIN_REQUEST__INIT;

    in.username = (char *)(uintptr_t)name;
    in.password = (char *)(uintptr_t)password;
    auth__v1__console_session__init(out);
    return rpc_call(&AUTH_V1_CONSOLE_SERVICE, rq, rpc, &in.base, &out->base);
}

static Err call_without_body(Request *rq, const char *rpc, Auth__V1__MessageReply *out)
{
    Auth__V1__ConsoleLogoutRequest in = AUTH__V1__CONSOLE_LOGOUT_REQUEST__INIT;

    auth__v1__message_reply__init(out);
    return rpc_call(&AUTH_V1_CONSOLE_SERVICE, rq, rpc, &in.base, &out->base);
}

static int64_t live_logins(StoreSchema *s)
{
    return test_schema_count(&s->schema, "SELECT count(*) FROM login WHERE ended_at IS NULL");
}

static void the_console_gets_a_token_and_the_same_as_a_cookie(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Account ann = store_schema_account(s, "ann", "ann@example.com", "secret1");
    Auth__V1__ConsoleSession out;
    JwtClaims claims;

    assert_ok(log_in(&rq, "ConsoleLogin", "ann", "secret1", &out));
    assert_ok(tokens_read_jwt(&rq, out.token, &claims));
    assert_int_equal(claims.user_id, ann.id);
    assert_string_equal(claims.issuer, "sel.events");
    assert_int_equal(out.expires_at->seconds, claims.expires_s);
    assert_string_equal(out.user->id, arena_printf(s->schema.mem, "%" PRId64, ann.id));
    assert_string_equal(out.user->username, "ann");
    assert_string_equal(out.user->email, "ann@example.com");
    assert_string_equal(out.user->role, "user");
    assert_int_equal(rq.reply.header_count, 1);
    assert_string_equal(rq.reply.headers[0].name, "Set-Cookie");
    assert_string_equal(
        rq.reply.headers[0].value,
        arena_printf(s->schema.mem, "auth_token=%s; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax", out.token));
}

static void whoever_is_wrong_gets_no_cookie(void **state)
{
    static const struct {
        const char *name, *password;
        const Reason *reason;
    } CASES[] = {
        {"ann", "wrong", &INVALID_CREDENTIALS}, {"nobody", "secret1", &INVALID_CREDENTIALS},
        {"ann", "", &INVALID_ARGUMENT},         {"ann", NULL, &INVALID_ARGUMENT},
        {"", "secret1", &INVALID_ARGUMENT},     {NULL, "secret1", &INVALID_ARGUMENT},
    };
    StoreSchema *s = *state;
    Auth__V1__ConsoleSession out;

    store_schema_account(s, "ann", NULL, "secret1");
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Request rq = store_schema_request(s);

        assert_reason(log_in(&rq, "ConsoleLogin", CASES[i].name, CASES[i].password, &out), CASES[i].reason);
        assert_reason(log_in(&rq, "PortalLogin", CASES[i].name, CASES[i].password, &out), CASES[i].reason);
        assert_int_equal(rq.reply.header_count, 0);
    }
    assert_int_equal(live_logins(s), 0);
}

static void the_console_tells_the_highest_role(void **state)
{
    static const struct {
        const char *sql, *role;
    } CASES[] = {
        {"SELECT 1", "user"},
        {"INSERT INTO account_role (user_id, role, granted_at) SELECT id, 'developer', now() FROM account",
         "developer"},
        {"INSERT INTO account_role (user_id, role, granted_at) SELECT id, 'viewer', now() FROM account", "viewer"},
        {"INSERT INTO account_role (user_id, role, granted_at) SELECT id, 'editor', now() FROM account", "editor"},
        {"UPDATE account SET role = 2", "editor"},
        {"UPDATE account SET role = 3", "admin"},
    };
    StoreSchema *s = *state;
    Auth__V1__ConsoleSession out;

    store_schema_account(s, "ann", NULL, "secret1");
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Request rq = store_schema_request(s);

        test_schema_script(&s->schema, CASES[i].sql);
        assert_ok(log_in(&rq, "ConsoleLogin", "ann", "secret1", &out));
        assert_string_equal(out.user->role, CASES[i].role);
    }
}

static void the_portal_is_for_developers(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Auth__V1__ConsoleSession out;

    store_schema_account(s, "ann", NULL, "secret1");
    assert_reason(log_in(&rq, "PortalLogin", "ann", "secret1", &out), &PERMISSION_DENIED);
    assert_int_equal(live_logins(s), 0);
    assert_int_equal(rq.reply.header_count, 0);
    test_schema_script(
        &s->schema, "INSERT INTO account_role (user_id, role, granted_at) SELECT id, 'developer', now() FROM account");
    assert_ok(log_in(&rq, "PortalLogin", "ann", "secret1", &out));
    assert_true(slice_starts_with(slice(rq.reply.headers[0].value), SLICE_LIT("dev_auth_token=")));
    assert_int_equal(live_logins(s), 1);
}

static void logging_out_ends_the_login_and_clears_the_cookie(void **state)
{
    static const struct {
        const char *rpc, *cookie;
    } CASES[] = {{"ConsoleLogout", "auth_token=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"},
                 {"PortalLogout", "dev_auth_token=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"}};
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Request stranger = store_schema_request(s), rq = store_schema_user_request(s, ann.id);
        Auth__V1__ConsoleSession session;
        Auth__V1__MessageReply out;
        JwtClaims claims;

        assert_ok(log_in(&stranger, "ConsoleLogin", "ann", "secret1", &session));
        assert_ok(tokens_read_jwt(&stranger, session.token, &claims));
        stranger = store_schema_request(s);
        assert_ok(call_without_body(&stranger, CASES[i].rpc, &out));
        assert_string_equal(stranger.reply.headers[0].value, CASES[i].cookie);
        assert_int_equal(live_logins(s), 1);
        rq.caller.login_id = claims.login_id;
        assert_ok(call_without_body(&rq, CASES[i].rpc, &out));
        assert_string_equal(rq.reply.headers[0].value, CASES[i].cookie);
        assert_int_equal(live_logins(s), 0);
    }
}

/* --- media ------------------------------------------------------------------------------------------------------- */
static void media_shows_the_linked_face(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");
    Auth__V1__VaultMeRequest in = AUTH__V1__VAULT_ME_REQUEST__INIT;
    Auth__V1__VaultUser out = AUTH__V1__VAULT_USER__INIT;
    Request rq = store_schema_user_request(s, ann.id);

    assert_ok(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "VaultMe", &in.base, &out.base));
    assert_int_equal(out.id, ann.id);
    assert_string_equal(out.username, "ann");
    assert_string_equal(out.discord_id, "");
    assert_string_equal(out.avatar_url, "");
    test_schema_script(&s->schema,
                       "INSERT INTO identity (id, user_id, provider, subject, name, avatar_url, created_at)"
                       " SELECT gen_random_uuid(), id, p, p || '-7', 'Ann.', 'https://cdn.example/' || p, now()"
                       " FROM account, unnest(ARRAY['github', 'discord']) p");
    assert_ok(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "VaultMe", &in.base, &out.base));
    assert_string_equal(out.discord_id, "discord-7");
    assert_string_equal(out.username, "Ann.");
    assert_string_equal(out.avatar_url, "https://cdn.example/discord");
    test_schema_script(&s->schema, "DELETE FROM account");
    assert_reason(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "VaultMe", &in.base, &out.base), &UNAUTHENTICATED);
}

static Tokens begin_vault_login(StoreSchema *s, const Account *account)
{
    Request rq = store_schema_request(s);
    Tokens tokens;

    assert_ok(login_begin(&rq, account, "discord", TOKENS_VAULT, &tokens));
    return tokens;
}

static void media_logs_out_everywhere_unless_told(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1"),
            bob = store_schema_account(s, "bob", NULL, "secret1");
    Request rq = store_schema_user_request(s, ann.id);
    Auth__V1__VaultLogoutRequest in = AUTH__V1__VAULT_LOGOUT_REQUEST__INIT;
    Auth__V1__VaultLogoutReply out = AUTH__V1__VAULT_LOGOUT_REPLY__INIT;
    Tokens present = begin_vault_login(s, &ann);

    begin_vault_login(s, &ann);
    begin_vault_login(s, &ann);
    begin_vault_login(s, &bob);
    rq.caller.login_id = uuid_text(s->schema.mem, present.login_id);
    SET(&in, all, false);
    assert_ok(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "VaultLogout", &in.base, &out.base));
    assert_int_equal(live_logins(s), 3);
    auth__v1__vault_logout_request__init(&in);
    assert_ok(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "VaultLogout", &in.base, &out.base));
    assert_true(out.success);
    assert_int_equal(live_logins(s), 1); /* bob's */
}

static void media_lists_and_ends_single_logins(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1"),
            bob = store_schema_account(s, "bob", NULL, "secret1");
    Request rq = store_schema_user_request(s, ann.id);
    Auth__V1__ListLoginsRequest list = AUTH__V1__LIST_LOGINS_REQUEST__INIT;
    Auth__V1__VaultSessionsReply sessions = AUTH__V1__VAULT_SESSIONS_REPLY__INIT;
    Auth__V1__EndLoginRequest end = AUTH__V1__END_LOGIN_REQUEST__INIT;
    Auth__V1__VaultLogoutReply ended = AUTH__V1__VAULT_LOGOUT_REPLY__INIT;
    Tokens first = begin_vault_login(s, &ann), others = begin_vault_login(s, &bob);

    begin_vault_login(s, &ann);
    assert_ok(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "VaultSessions", &list.base, &sessions.base));
    assert_int_equal(sessions.n_sessions, 2);
    end.login_id = uuid_text(s->schema.mem, others.login_id);
    assert_reason(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "VaultEndSession", &end.base, &ended.base), &NOT_FOUND);
    end.login_id = uuid_text(s->schema.mem, first.login_id);
    assert_ok(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "VaultEndSession", &end.base, &ended.base));
    assert_true(ended.success);
    assert_reason(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "VaultEndSession", &end.base, &ended.base), &NOT_FOUND);
    assert_int_equal(live_logins(s), 2);
}

static void saml_is_not_there(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Auth__V1__SamlRequest in = AUTH__V1__SAML_REQUEST__INIT;
    Auth__V1__MessageReply out = AUTH__V1__MESSAGE_REPLY__INIT;

    assert_reason(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "SamlLogin", &in.base, &out.base), &SAML_NOT_CONFIGURED);
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_console_gets_a_token_and_the_same_as_a_cookie),
        TEST(whoever_is_wrong_gets_no_cookie),
        TEST(the_console_tells_the_highest_role),
        TEST(the_portal_is_for_developers),
        TEST(logging_out_ends_the_login_and_clears_the_cookie),
        TEST(media_shows_the_linked_face),
        TEST(media_logs_out_everywhere_unless_told),
        TEST(media_lists_and_ends_single_logins),
        TEST(saml_is_not_there),
    };
    return cmocka_run_group_tests(tests, store_schema_make, store_schema_drop);
}
