/* Beginning, refreshing, listing and ending logins, through the dispatch table, on a store in memory. */
#include "services/auth/accounts.h"
#include "services/auth/store_fake.h"

enum { ANN = 4711 };
static const char LOGIN_ID[] = "0197a3c0-0000-7000-8000-000000000001";
static const char OTHER_ID[] = "0197a3c0-0000-7000-8000-000000000002";

static Err call(Request *rq, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    return rpc_call(&AUTH_V1_AUTH_SERVICE, rq, method, in, out);
}

static Err login_as(Fixture *f, const char *profile, const char *name, const char *password, Auth__V1__AuthResult *out)
{
    Request rq = fake_request(f, profile);
    Auth__V1__LoginRequest in = AUTH__V1__LOGIN_REQUEST__INIT;

    auth__v1__auth_result__init(out);
    in.username = (char *)name;
    in.password = (char *)password;
    return call(&rq, "Login", &in.base, &out->base);
}

static void name_or_address_logs_in(void **state)
{
    Fixture *f = *state;
    Request rq = fake_request(f, "all");
    Auth__V1__LoginRequest in = AUTH__V1__LOGIN_REQUEST__INIT;
    Auth__V1__AuthResult out;

    fake_account(f, ANN, "ann", "Ann@example.com", "secret1");
    assert_ok(login_as(f, "all", "ann", "secret1", &out));
    assert_int_equal(out.user->id, ANN);
    assert_non_null(out.user->sessions_last_login);
    assert_ok(login_as(f, "all", "ann@EXAMPLE.com", "secret1", &out));
    in.email = "ann@example.com";
    in.password = "secret1";
    auth__v1__auth_result__init(&out);
    assert_ok(call(&rq, "Login", &in.base, &out.base));
    assert_int_equal(fake.login_count, 3);
}

static void all_wrong_logins_look_alike(void **state)
{
    char *long_password;
    static const char *const NAMES[] = {"ann", "ANN", "nobody", "", NULL, "gone", "linked"};
    Fixture *f = *state;
    Auth__V1__AuthResult out;

    fake_account(f, ANN, "ann", NULL, "secret1");
    fake_account(f, 2, "gone", NULL, "wrong")->active = false;
    fake_account(f, 3, "linked", NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        assert_reason(login_as(f, "all", NAMES[i], "wrong", &out), &INVALID_CREDENTIALS);
    assert_reason(login_as(f, "all", "ann", NULL, &out), &INVALID_CREDENTIALS);
    assert_reason(login_as(f, "all", "nobody", "", &out), &INVALID_CREDENTIALS);
    long_password = ARENA_ARRAY(f->mem, char, PASSWORD_MAX_BYTES + 2);
    memset(long_password, 'x', PASSWORD_MAX_BYTES + 1);
    assert_reason(login_as(f, "all", "ann", long_password, &out), &INVALID_CREDENTIALS);
    assert_int_equal(fake.login_count, 0);
}

static void sessions_asks_for_both_fields(void **state)
{
    Fixture *f = *state;
    Auth__V1__AuthResult out;

    assert_reason(login_as(f, "sessions", "ann", NULL, &out), &INVALID_ARGUMENT);
}

static void a_login_knows_where_it_came_from(void **state)
{
    const RequestHeader agent = {.name = "user-agent", .value = "curl/8.0"};
    Fixture *f = *state;
    Request rq = fake_request(f, "chat");
    Auth__V1__LoginRequest in = AUTH__V1__LOGIN_REQUEST__INIT;
    Auth__V1__AuthResult out = AUTH__V1__AUTH_RESULT__INIT;

    fake_account(f, ANN, "ann", NULL, "secret1");
    rq.headers = &agent;
    rq.header_count = 1;
    in.username = "ann";
    in.password = "secret1";
    assert_ok(call(&rq, "Login", &in.base, &out.base));
    assert_string_equal(fake.logins[0].user_agent, "curl/8.0");
    assert_string_equal(fake.logins[0].address, "192.0.2.7");
    assert_string_equal(fake.logins[0].profile, "chat");
    assert_int_equal(fake.logins[0].expires_us, fake.now_us + 7 * 86400 * INT64_C(1000000));
}

static void sessions_tokens_have_their_issuer(void **state)
{
    Fixture *f = *state;
    Auth__V1__AuthResult out;
    JwtClaims claims;

    fake_account(f, ANN, "ann", "ann@example.com", "secret1");
    assert_ok(login_as(f, "sessions", "ann", "secret1", &out));
    assert_ok(jwt_verify(f->key, f->mem, &FAKE_CLOCK, slice(out.token), &claims));
    assert_string_equal(claims.issuer, "streamspace-api");
    assert_string_equal(claims.email, "ann@example.com");
    assert_string_equal(claims.role, "user");
    assert_int_equal(claims.not_before_s, claims.issued_s);
    assert_int_equal(fake.logins[0].refresh_hash.len, 0);
}

static Err refresh_with(Fixture *f, const char *profile, const char *refresh_token, const char *token,
                        Auth__V1__AuthResult *out)
{
    Request rq = fake_request(f, profile);
    Auth__V1__RefreshRequest in = AUTH__V1__REFRESH_REQUEST__INIT;

    auth__v1__auth_result__init(out);
    in.refresh_token = (char *)refresh_token;
    in.token = (char *)token;
    return call(&rq, "Refresh", &in.base, &out->base);
}

static void a_refresh_token_buys_new_tokens(void **state)
{
    Fixture *f = *state;
    Auth__V1__AuthResult out;
    JwtClaims claims;

    fake_account(f, ANN, "ann", NULL, NULL);
    fake.refresh_login_id = uuid_v4();
    assert_ok(refresh_with(f, "all", "presented", NULL, &out));
    assert_slice_equal(fake.refresh.presented_hash, token_hash(f->mem, "presented"));
    assert_slice_equal(fake.refresh.successor_hash, token_hash(f->mem, out.refresh_token));
    assert_false(fake.refresh.lenient);
    assert_ok(jwt_verify(f->key, f->mem, &FAKE_CLOCK, slice(out.access_token), &claims));
    assert_string_equal(claims.login_id, uuid_text(f->mem, fake.refresh_login_id));
    assert_non_null(out.token);
    assert_non_null(out.user);
}

static void chat_gets_its_two_tokens_alone(void **state)
{
    Fixture *f = *state;
    Auth__V1__AuthResult out;

    fake_account(f, ANN, "ann", NULL, NULL);
    assert_ok(refresh_with(f, "chat", "presented", NULL, &out));
    assert_false(fake.refresh.lenient);
    assert_non_null(out.access_token);
    assert_non_null(out.refresh_token);
    assert_null(out.token);
    assert_null(out.user);
    assert_ok(refresh_with(f, "chat-web", "presented", NULL, &out));
    assert_true(fake.refresh.lenient);
}

static void bad_refresh_tokens_are_refused(void **state)
{
    Fixture *f = *state;
    Auth__V1__AuthResult out;

    fake_account(f, ANN, "ann", NULL, NULL);
    assert_reason(refresh_with(f, "all", NULL, NULL, &out), &MISSING_TOKEN);
    assert_reason(refresh_with(f, "all", "", "", &out), &MISSING_TOKEN);
    fake.refresh_outcome = REFRESH_UNKNOWN;
    assert_reason(refresh_with(f, "all", "presented", NULL, &out), &INVALID_TOKEN);
    fake.refresh_outcome = REFRESH_REUSED;
    assert_reason(refresh_with(f, "all", "presented", NULL, &out), &INVALID_TOKEN);
    assert_null(out.access_token);
}

static void a_long_token_buys_a_new_login(void **state)
{
    Fixture *f = *state;
    Auth__V1__AuthResult first, second;

    fake_account(f, ANN, "ann", NULL, "secret1");
    assert_ok(login_as(f, "sessions", "ann", "secret1", &first));
    fake.replace_done = true;
    assert_ok(refresh_with(f, "sessions", NULL, first.token, &second));
    assert_memory_equal(&fake.replaced_id, &fake.logins[0].id, sizeof(Uuid));
    assert_string_equal(fake.replaced_jti, fake.logins[0].token_jti);
    assert_int_equal(fake.login_count, 2);
    assert_non_null(second.token);
    assert_null(second.refresh_token);
    assert_non_null(second.user);
    fake.replace_done = false;
    assert_reason(refresh_with(f, "sessions", NULL, first.token, &second), &INVALID_TOKEN);
}

static void expired_and_foreign_long_tokens_are_refused(void **state)
{
    Fixture *f = *state;
    Auth__V1__AuthResult first, second;

    fake_account(f, ANN, "ann", NULL, "secret1");
    fake.replace_done = true;
    assert_ok(login_as(f, "sessions", "ann", "secret1", &first));
    fake.now_us += 86400 * INT64_C(1000000);
    assert_reason(refresh_with(f, "sessions", NULL, first.token, &second), &INVALID_TOKEN);
    assert_reason(refresh_with(f, "sessions", NULL, "rubbish", &second), &INVALID_TOKEN);
}

static void logging_out_ends_the_login(void **state)
{
    Fixture *f = *state;
    Request rq = fake_user_request(f, "all", ANN, LOGIN_ID);
    Auth__V1__LogoutRequest in = AUTH__V1__LOGOUT_REQUEST__INIT;
    Auth__V1__MessageReply out = AUTH__V1__MESSAGE_REPLY__INIT;

    assert_ok(call(&rq, "Logout", &in.base, &out.base));
    assert_string_equal(uuid_text(f->mem, fake.ended_id), LOGIN_ID);
    assert_int_equal(fake.why, AUTH__V1__LOGIN_END__LOGGED_OUT);
    assert_int_equal(rq.reply.http_status, 0);
    assert_null(out.message);
    assert_int_equal(fake.ended_by_hash.len, 0);
    in.refresh_token = "presented";
    assert_ok(call(&rq, "Logout", &in.base, &out.base));
    assert_slice_equal(fake.ended_by_hash, token_hash(f->mem, "presented"));
}

static void sessions_answers_a_logout_in_words(void **state)
{
    Fixture *f = *state;
    Request rq = fake_user_request(f, "sessions", ANN, LOGIN_ID);
    Auth__V1__LogoutRequest in = AUTH__V1__LOGOUT_REQUEST__INIT;
    Auth__V1__MessageReply out = AUTH__V1__MESSAGE_REPLY__INIT;

    assert_ok(call(&rq, "Logout", &in.base, &out.base));
    assert_int_equal(rq.reply.http_status, 200);
    assert_non_null(out.message);
}

static void my_logins_are_listed(void **state)
{
    Fixture *f = *state;
    Request rq;
    Auth__V1__ListLoginsRequest in = AUTH__V1__LIST_LOGINS_REQUEST__INIT;
    Auth__V1__ListLoginsReply out = AUTH__V1__LIST_LOGINS_REPLY__INIT;
    Auth__V1__AuthResult token;

    fake_account(f, ANN, "ann", NULL, "secret1");
    assert_ok(login_as(f, "all", "ann", "secret1", &token));
    assert_ok(login_as(f, "all", "ann", "secret1", &token));
    rq = fake_user_request(f, "all", ANN, uuid_text(f->mem, fake.logins[1].id));
    assert_ok(call(&rq, "ListLogins", &in.base, &out.base));
    assert_int_equal(out.n_logins, 2);
    assert_false(out.logins[0]->current);
    assert_true(out.logins[1]->current);
    assert_string_equal(out.logins[0]->address, "192.0.2.7");
}

static void i_end_my_logins(void **state)
{
    Fixture *f = *state;
    Request rq = fake_user_request(f, "all", ANN, LOGIN_ID);
    Auth__V1__EndLoginRequest in = AUTH__V1__END_LOGIN_REQUEST__INIT;
    Auth__V1__EndLoginReply out = AUTH__V1__END_LOGIN_REPLY__INIT;
    Auth__V1__EndOtherLoginsRequest others = AUTH__V1__END_OTHER_LOGINS_REQUEST__INIT;
    Auth__V1__EndOtherLoginsReply count = AUTH__V1__END_OTHER_LOGINS_REPLY__INIT;

    in.login_id = "nonsense";
    assert_reason(call(&rq, "EndLogin", &in.base, &out.base), &INVALID_ID);
    in.login_id = (char *)OTHER_ID;
    assert_reason(call(&rq, "EndLogin", &in.base, &out.base), &NOT_FOUND);
    fake.end_done = true;
    assert_ok(call(&rq, "EndLogin", &in.base, &out.base));
    assert_string_equal(uuid_text(f->mem, fake.ended_id), OTHER_ID);
    fake.ended_count = 3;
    assert_ok(call(&rq, "EndOtherLogins", &others.base, &count.base));
    assert_int_equal(count.ended, 3);
    assert_string_equal(uuid_text(f->mem, fake.kept_id), LOGIN_ID);
}

static void only_the_gateway_resolves_tokens(void **state)
{
    Fixture *f = *state;
    Request rq = fake_user_request(f, "all", ANN, LOGIN_ID);
    Atrium__ResolveTokenRequest in = ATRIUM__RESOLVE_TOKEN_REQUEST__INIT;
    Atrium__ResolveTokenReply out = ATRIUM__RESOLVE_TOKEN_REPLY__INIT;

    fake_account(f, ANN, "ann", NULL, NULL)->role = ROLE_ADMIN;
    fake.logins[0] = (NewLogin){
        .id = uuid_v4(), .user_id = ANN, .opaque_hash = token_hash(f->mem, "opaque"), .expires_us = fake.now_us + 1000};
    fake.login_count = 1;
    in.token = "opaque";
    assert_true(err_failed(call(&rq, "ResolveToken", &in.base, &out.base)));
    rq.caller = (Caller){.kind = CALLER_GATEWAY};
    assert_ok(call(&rq, "ResolveToken", &in.base, &out.base));
    assert_int_equal(out.user_id, ANN);
    assert_int_equal(out.role, ROLE_ADMIN);
    assert_int_equal(out.expires_ms, (fake.now_us + 1000) / 1000);
    in.token = "other";
    assert_reason(call(&rq, "ResolveToken", &in.base, &out.base), &UNAUTHENTICATED);
    in.token = NULL;
    assert_reason(call(&rq, "ResolveToken", &in.base, &out.base), &UNAUTHENTICATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE_TEST(name_or_address_logs_in),
        FAKE_TEST(all_wrong_logins_look_alike),
        FAKE_TEST(sessions_asks_for_both_fields),
        FAKE_TEST(a_login_knows_where_it_came_from),
        FAKE_TEST(sessions_tokens_have_their_issuer),
        FAKE_TEST(a_refresh_token_buys_new_tokens),
        FAKE_TEST(chat_gets_its_two_tokens_alone),
        FAKE_TEST(bad_refresh_tokens_are_refused),
        FAKE_TEST(a_long_token_buys_a_new_login),
        FAKE_TEST(expired_and_foreign_long_tokens_are_refused),
        FAKE_TEST(logging_out_ends_the_login),
        FAKE_TEST(sessions_answers_a_logout_in_words),
        FAKE_TEST(my_logins_are_listed),
        FAKE_TEST(i_end_my_logins),
        FAKE_TEST(only_the_gateway_resolves_tokens),
    };

    return RUN(tests);
}
