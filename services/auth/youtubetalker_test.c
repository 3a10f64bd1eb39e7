/* rag's manner, through the dispatch table, on a store in memory. */
#include "atrium/bus.pb-c.h"
#include "services/auth/accounts.h"
#include "services/auth/passwords.h"
#include "services/auth/store_fake.h"

enum { ANN = 4711 };
static const char LOGIN_ID[] = "0197a3c0-0000-7000-8000-000000000001";

static Err call(Request *rq, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    return rpc_call(&AUTH_V1_AUTH_SERVICE, rq, method, in, out);
}

static Err register_at(Request *rq, const char *email, const char *password, Auth__V1__TalkerToken *out)
{
    Auth__V1__TalkerRegisterRequest in = AUTH__V1__TALKER_REGISTER_REQUEST__INIT;

    auth__v1__talker_token__init(out);
    in.email = (char *)email;
    in.password = (char *)password;
    return call(rq, "TalkerRegister", &in.base, &out->base);
}

static void an_address_is_enough(void **state)
{
    Fixture *f = *state;
    Request rq = fake_request(f, "all");
    Auth__V1__TalkerToken out;
    Uuid id;
    int64_t user_id;

    assert_ok(register_at(&rq, "Ann <Ann@Example.com>", "long secret", &out));
    assert_int_equal(strlen(out.token), 64);
    assert_string_equal(out.email, "Ann@Example.com");
    assert_true(uuid_parse(slice(out.user_id), &id));
    assert_true(uuid_to_user_id(id, &user_id));
    assert_int_equal(user_id, fake.accounts[0].id);
    assert_string_equal(fake.accounts[0].username, "Ann");
    assert_slice_equal(fake.logins[0].opaque_hash, token_hash(f->mem, out.token));
    assert_int_equal(fake.logins[0].expires_us, fake.now_us + 7 * 86400 * INT64_C(1000000));
    assert_reason(register_at(&rq, "Ann@Example.com", "long secret", &out), &EMAIL_TAKEN);
}

static void every_problem_is_listed_in_field_order(void **state)
{
    static const struct {
        const char *email, *password;
        const char *kinds[2], *fields[2];
    } CASES[] = {
        {NULL, NULL, {"missing", "missing"}, {"email", "password"}},
        {"nonsense", "short", {"value_error", "string_too_short"}, {"email", "password"}},
        {"ann@host.test", "long secret", {"value_error", NULL}, {"email", NULL}},
        {"ann@example.com", "1234567", {"string_too_short", NULL}, {"password", NULL}},
        {NULL, "long secret", {"missing", NULL}, {"email", NULL}},
    };
    Fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Request rq = fake_request(f, "all");
        Auth__V1__TalkerToken out;
        size_t count = CASES[i].kinds[1] ? 2 : 1;
        assert_reason(register_at(&rq, CASES[i].email, CASES[i].password, &out), &INVALID_ARGUMENT);
        assert_int_equal(rq.reply.violation_count, count);
        for (size_t k = 0; k < count; k++) {
            const Atrium__Violation *violation = rq.reply.violations[k];
            assert_string_equal(violation->kind, CASES[i].kinds[k]);
            assert_string_equal(violation->field, CASES[i].fields[k]);
        }
    }
    assert_int_equal(fake.account_count, 0);
}

static void violations_carry_their_parameters(void **state)
{
    Fixture *f = *state;
    Request rq = fake_request(f, "all");
    Auth__V1__TalkerToken out;
    const Atrium__Violation *email, *password;

    assert_reason(register_at(&rq, "ann@host.test", "short", &out), &INVALID_ARGUMENT);
    email = rq.reply.violations[0];
    assert_string_equal(email->context->fields[0]->key, "reason");
    assert_string_equal(email->context->fields[0]->value->string_value,
                        "The part after the @-sign is a special-use or reserved name that cannot be used with email.");
    password = rq.reply.violations[1];
    assert_string_equal(password->context->fields[0]->key, "min_length");
    assert_true(password->context->fields[0]->value->number_value == 8);
    assert_string_equal(password->text, "String should have at least 8 characters");
}

static void closed_registration_is_refused(void **state)
{
    Fixture *f = *state;
    Request rq = fake_request(f, "all");
    Auth__V1__TalkerToken out;

    f->settings.registration = "closed";
    assert_reason(register_at(&rq, "ann@example.com", "long secret", &out), &REGISTRATION_CLOSED);
}

static void address_or_name_logs_in(void **state)
{
    static const struct {
        const char *name, *password;
        const Reason *reason; /* NULL: logs in */
    } CASES[] = {
        {"ann@example.com", "secret1", NULL},
        {"ANN@example.com", "secret1", NULL},
        {"ann", "secret1", NULL},
        {"ann@example.com", "wrong", &INVALID_CREDENTIALS},
        {"bob@example.com", "x", &INVALID_CREDENTIALS},
        {"no address", "x", &INVALID_ARGUMENT},
        {"ann@example.com", NULL, &INVALID_ARGUMENT},
        {NULL, "x", &INVALID_ARGUMENT},
    };
    Fixture *f = *state;

    fake_account(f, ANN, "ann", "ann@example.com", "secret1");
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Request rq = fake_request(f, "all");
        Auth__V1__TalkerLoginRequest in = AUTH__V1__TALKER_LOGIN_REQUEST__INIT;
        Auth__V1__TalkerToken out = AUTH__V1__TALKER_TOKEN__INIT;
        Err e;
        in.email = (char *)CASES[i].name;
        in.password = (char *)CASES[i].password;
        e = call(&rq, "TalkerLogin", &in.base, &out.base);
        assert_ptr_equal(e.reason, CASES[i].reason);
        if (!e.reason)
            assert_string_equal(out.email, "ann@example.com");
    }
}

static Err logout_with(Fixture *f, const char *authorization)
{
    RequestHeader *header = ARENA_NEW(f->mem, RequestHeader);
    Request rq = fake_request(f, "all");
    Auth__V1__TalkerLogoutRequest in = AUTH__V1__TALKER_LOGOUT_REQUEST__INIT;
    Auth__V1__TalkerLogoutReply out = AUTH__V1__TALKER_LOGOUT_REPLY__INIT;

    *header = (RequestHeader){.name = "authorization", .value = authorization};
    rq.headers = header;
    rq.header_count = authorization ? 1 : 0;
    return call(&rq, "TalkerLogout", &in.base, &out.base);
}

static void logging_out_needs_a_header_alone(void **state)
{
    Fixture *f = *state;

    assert_reason(logout_with(f, NULL), &UNAUTHENTICATED);
    assert_reason(logout_with(f, "Basic abc"), &UNAUTHENTICATED);
    assert_reason(logout_with(f, "Bearer"), &UNAUTHENTICATED);
    assert_reason(logout_with(f, "Bearer a b"), &UNAUTHENTICATED);
    assert_int_equal(fake.ended_by_hash.len, 0);
    assert_ok(logout_with(f, "bEARER abc"));
    assert_slice_equal(fake.ended_by_hash, token_hash(f->mem, "abc"));
}

static void i_see_myself(void **state)
{
    Fixture *f = *state;
    Request rq = fake_user_request(f, "all", ANN, LOGIN_ID);
    Auth__V1__TalkerMeRequest in = AUTH__V1__TALKER_ME_REQUEST__INIT;
    Auth__V1__TalkerUser out = AUTH__V1__TALKER_USER__INIT;

    assert_reason(call(&rq, "TalkerMe", &in.base, &out.base), &UNAUTHENTICATED);
    fake_account(f, ANN, "ann", "ann@example.com", NULL)->role = ROLE_OPERATOR;
    assert_ok(call(&rq, "TalkerMe", &in.base, &out.base));
    assert_string_equal(out.id, uuid_text(f->mem, uuid_from_user_id(ANN)));
    assert_string_equal(out.role, "user");
    assert_int_equal(out.created_at->seconds, fake.now_us / 1000000);
}

static void passwords_change(void **state)
{
    Fixture *f = *state;
    Request rq = fake_user_request(f, "all", ANN, LOGIN_ID);
    Auth__V1__TalkerChangePasswordRequest in = AUTH__V1__TALKER_CHANGE_PASSWORD_REQUEST__INIT;
    Auth__V1__MessageReply out = AUTH__V1__MESSAGE_REPLY__INIT;

    fake_account(f, ANN, "ann", "ann@example.com", "long secret");
    assert_reason(call(&rq, "TalkerChangePassword", &in.base, &out.base), &INVALID_ARGUMENT);
    assert_int_equal(rq.reply.violation_count, 2);
    rq = fake_user_request(f, "all", ANN, LOGIN_ID);
    in.old_password = "wrong";
    in.new_password = "new secret";
    assert_reason(call(&rq, "TalkerChangePassword", &in.base, &out.base), &INVALID_CREDENTIALS);
    in.old_password = "long secret";
    assert_ok(call(&rq, "TalkerChangePassword", &in.base, &out.base));
    assert_true(password_matches(fake.accounts[0].password_hash, "new secret"));
    assert_string_equal(uuid_text(f->mem, fake.kept_id), LOGIN_ID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE_TEST(an_address_is_enough),
        FAKE_TEST(every_problem_is_listed_in_field_order),
        FAKE_TEST(violations_carry_their_parameters),
        FAKE_TEST(closed_registration_is_refused),
        FAKE_TEST(address_or_name_logs_in),
        FAKE_TEST(logging_out_needs_a_header_alone),
        FAKE_TEST(i_see_myself),
        FAKE_TEST(passwords_change),
    };

    return RUN(tests);
}
