/* Passkeys through the dispatch table, with a software authenticator, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "atrium/auth/v1/factor.service.h"
#include "services/auth/store_factors.h"
#include "services/auth/store_schema.h"
#include "services/auth/testing_authenticator.h"

static const char ORIGIN[] = "https://atrium.example", HOST[] = "atrium.example";

static int empty_tables(void **state)
{
    StoreSchema *s = *state;

    s->settings.public_url = "https://atrium.example/";
    test_schema_script(&s->schema, "TRUNCATE account, login_failure, factor_challenge, audit_entry CASCADE");
    return 0;
}

static Err call(Request *rq, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    return rpc_call(&AUTH_V1_FACTOR_SERVICE, rq, method, in, out);
}

static char *text_member(const Struct *s, const char *name)
{
    for (size_t i = 0; i < s->n_fields; i++)
        if (strcmp(s->fields[i]->key, name) == 0)
            return s->fields[i]->value->string_value;
    fail_msg("no %s", name);
    return NULL;
}

static Authenticator new_authenticator(StoreSchema *s)
{
    return authenticator_new(s->schema.mem, AUTHENTICATOR_ES256, HOST, ORIGIN);
}

static Err start(StoreSchema *s, int64_t user_id, Auth__V1__PasskeyOptions *out)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__StartPasskeyRequest in = AUTH__V1__START_PASSKEY_REQUEST__INIT;

    auth__v1__passkey_options__init(out);
    in.password = "secret1";
    return call(&rq, "StartPasskey", &in.base, &out->base);
}

static Err answer(StoreSchema *s, int64_t user_id, const Authenticator *a, char *ceremony, const char *name,
                  Auth__V1__PasskeyInfo *out)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__AddPasskeyRequest in = AUTH__V1__ADD_PASSKEY_REQUEST__INIT;
    Slice client_data = authenticator_client_data(a, "webauthn.create", ceremony);

    auth__v1__passkey_info__init(out);
    in.ceremony = ceremony;
    in.name = (char *)name;
    in.credential_id = base64url_encode(s->schema.mem, slice_of(a->id, sizeof(a->id)));
    in.client_data_json = base64url_encode(s->schema.mem, client_data);
    in.attestation_object = base64url_encode(s->schema.mem, authenticator_attestation(a, client_data, false));
    return call(&rq, "AddPasskey", &in.base, &out->base);
}

static Err add(StoreSchema *s, int64_t user_id, const Authenticator *a)
{
    Auth__V1__PasskeyOptions options;
    Auth__V1__PasskeyInfo info;

    TRY(start(s, user_id, &options));
    return answer(s, user_id, a, options.ceremony, "laptop", &info);
}

static char *start_login(StoreSchema *s)
{
    Request rq = store_schema_request(s);
    Auth__V1__StartPasskeyLoginRequest in = AUTH__V1__START_PASSKEY_LOGIN_REQUEST__INIT;
    Auth__V1__PasskeyOptions out = AUTH__V1__PASSKEY_OPTIONS__INIT;

    assert_ok(call(&rq, "StartPasskeyLogin", &in.base, &out.base));
    assert_string_equal(text_member(out.public_key, "challenge"), out.ceremony);
    assert_string_equal(text_member(out.public_key, "rpId"), HOST);
    return out.ceremony;
}

static Err log_in_at(StoreSchema *s, const Authenticator *a, char *ceremony, char *user_handle,
                     Auth__V1__AuthResult *out)
{
    Request rq = store_schema_request(s);
    Auth__V1__PasskeyAssertion in = AUTH__V1__PASSKEY_ASSERTION__INIT;
    Slice client_data = authenticator_client_data(a, "webauthn.get", ceremony), data = authenticator_data(a, false);

    auth__v1__auth_result__init(out);
    in.ceremony = ceremony;
    in.credential_id = base64url_encode(s->schema.mem, slice_of(a->id, sizeof(a->id)));
    in.client_data_json = base64url_encode(s->schema.mem, client_data);
    in.authenticator_data = base64url_encode(s->schema.mem, data);
    in.signature = base64url_encode(s->schema.mem, authenticator_sign(a, data, client_data));
    in.user_handle = user_handle;
    return call(&rq, "FinishPasskeyLogin", &in.base, &out->base);
}

static Err log_in(StoreSchema *s, const Authenticator *a)
{
    Auth__V1__AuthResult out;

    return log_in_at(s, a, start_login(s), NULL, &out);
}

static void a_passkey_is_added_and_logs_in(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");
    Authenticator a = new_authenticator(s);
    Auth__V1__PasskeyOptions options;
    Auth__V1__PasskeyInfo info;
    Auth__V1__AuthResult out;
    const Struct *user;

    assert_ok(start(s, ann.id, &options));
    assert_string_equal(text_member(options.public_key, "challenge"), options.ceremony);
    assert_string_equal(text_member(options.public_key, "attestation"), "none");
    user = options.public_key->fields[1]->value->struct_value;
    assert_string_equal(text_member(user, "name"), "ann");
    assert_ok(answer(s, ann.id, &a, options.ceremony, "laptop", &info));
    assert_string_equal(info.name, "laptop");
    assert_string_equal(info.id, base64url_encode(s->schema.mem, slice_of(a.id, sizeof(a.id))));
    a.count = 2;
    assert_ok(log_in_at(s, &a, start_login(s), text_member(user, "id"), &out));
    assert_int_equal(out.user->id, ann.id);
    assert_non_null(out.access_token);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login WHERE method = 'passkey'"
                                                   "  AND second_factor = 'passkey'"),
                     1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM passkey WHERE sign_count = 2"
                                                   "  AND last_used_at IS NOT NULL"),
                     1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM audit_entry WHERE action = 'factor.added'"),
                     1);
    authenticator_free(&a);
}

static void a_ceremony_is_good_once_for_one_purpose_and_one_user(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1"),
            bob = store_schema_account(s, "bob", NULL, "secret1");
    Authenticator a = new_authenticator(s), other = new_authenticator(s);
    Auth__V1__PasskeyOptions options;
    Auth__V1__PasskeyInfo info;
    Auth__V1__AuthResult out;
    char *ceremony;

    assert_ok(start(s, ann.id, &options));
    assert_reason(answer(s, bob.id, &a, options.ceremony, "laptop", &info), &INVALID_CODE);
    assert_ok(answer(s, ann.id, &a, options.ceremony, "laptop", &info));
    assert_reason(answer(s, ann.id, &other, options.ceremony, "laptop", &info), &INVALID_CODE);
    assert_reason(answer(s, ann.id, &other, start_login(s), "laptop", &info), &INVALID_CODE);
    assert_ok(start(s, ann.id, &options));
    s->schema.now_us += INT64_C(300) * 1000000;
    assert_reason(answer(s, ann.id, &other, options.ceremony, "laptop", &info), &INVALID_CODE);

    a.count = 2;
    ceremony = start_login(s);
    assert_ok(log_in_at(s, &a, ceremony, NULL, &out));
    a.count = 3;
    assert_reason(log_in_at(s, &a, ceremony, NULL, &out), &INVALID_CODE);
    assert_reason(log_in_at(s, &a, (char *)"bm9uZQ", NULL, &out), &INVALID_CODE);
    authenticator_free(&a);
    authenticator_free(&other);
}

static void bad_answers_are_refused_alike(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");
    Authenticator a = new_authenticator(s), stranger = new_authenticator(s), bad = a;
    Auth__V1__AuthResult out;

    assert_ok(add(s, ann.id, &a));
    a.count = bad.count = 2;
    bad.origin = "https://evil.example";
    assert_reason(log_in(s, &bad), &INVALID_CODE);
    assert_reason(add(s, ann.id, &bad), &INVALID_CODE);
    bad.origin = ORIGIN;
    bad.rp_id = "evil.example";
    assert_reason(log_in(s, &bad), &INVALID_CODE);
    bad.rp_id = HOST;
    bad.flags = 1; /* nobody verified */
    assert_reason(log_in(s, &bad), &INVALID_CODE);
    assert_reason(log_in(s, &stranger), &INVALID_CODE);
    bad = stranger; /* another key under this id */
    memcpy(bad.id, a.id, sizeof(bad.id));
    bad.count = 2;
    assert_reason(log_in(s, &bad), &INVALID_CODE);
    assert_reason(log_in_at(s, &a, start_login(s), (char *)"c29tZWJvZHk", &out), &INVALID_CODE);
    test_schema_script(&s->schema, "UPDATE account SET active = false");
    assert_reason(log_in(s, &a), &INVALID_CODE);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login"), 0);
    authenticator_free(&a);
    authenticator_free(&stranger);
}

static void a_counter_that_goes_back_tells_of_a_copy(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");
    Authenticator a = new_authenticator(s), uncounted = new_authenticator(s);

    assert_ok(add(s, ann.id, &a));
    assert_reason(log_in(s, &a), &INVALID_CODE); /* 1 again */
    a.count = 9;
    assert_ok(log_in(s, &a));
    a.count = 8;
    assert_reason(log_in(s, &a), &INVALID_CODE);
    a.count = 0;
    assert_reason(log_in(s, &a), &INVALID_CODE);
    uncounted.count = 0; /* as passkeys that are shared by all of somebody's devices */
    assert_ok(add(s, ann.id, &uncounted));
    assert_ok(log_in(s, &uncounted));
    assert_ok(log_in(s, &uncounted));
    authenticator_free(&a);
    authenticator_free(&uncounted);
}

static void passkeys_have_names_and_are_few(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");
    Authenticator a = new_authenticator(s);
    Auth__V1__PasskeyOptions options;
    Auth__V1__PasskeyInfo info;

    assert_ok(start(s, ann.id, &options));
    assert_reason(answer(s, ann.id, &a, options.ceremony, "", &info), &INVALID_ARGUMENT);
    assert_reason(answer(s, ann.id, &a, options.ceremony, arena_printf(s->schema.mem, "%065d", 1), &info),
                  &INVALID_ARGUMENT);
    assert_ok(answer(s, ann.id, &a, options.ceremony, "laptop", &info));
    assert_reason(add(s, ann.id, &a), &FACTOR_EXISTS);
    assert_ok(start(s, ann.id, &options));
    for (int i = 1; i < PASSKEYS_MAX; i++) {
        random_bytes(a.id, sizeof(a.id));
        assert_ok(add(s, ann.id, &a));
    }
    assert_reason(start(s, ann.id, &options), &TOO_MANY_PASSKEYS);
    authenticator_free(&a);
}

static Err remove_passkey(StoreSchema *s, int64_t user_id, const Authenticator *a, const char *password)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__RemovePasskeyRequest in = AUTH__V1__REMOVE_PASSKEY_REQUEST__INIT;
    Auth__V1__RemoveFactorReply out = AUTH__V1__REMOVE_FACTOR_REPLY__INIT;

    in.passkey_id = base64url_encode(s->schema.mem, slice_of(a->id, sizeof(a->id)));
    in.password = (char *)password;
    return call(&rq, "RemovePasskey", &in.base, &out.base);
}

static void a_passkey_is_removed_by_its_owner(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1"),
            bob = store_schema_account(s, "bob", NULL, "secret1");
    Authenticator a = new_authenticator(s);

    assert_ok(add(s, ann.id, &a));
    assert_reason(remove_passkey(s, ann.id, &a, NULL), &NOT_PROVED);
    assert_reason(remove_passkey(s, bob.id, &a, "secret1"), &NOT_FOUND);
    assert_ok(remove_passkey(s, ann.id, &a, "secret1"));
    a.count = 2;
    assert_reason(log_in(s, &a), &INVALID_CODE);
    authenticator_free(&a);
}

int main(void)
{
#define PASSKEY_TEST(f) cmocka_unit_test_setup(f, empty_tables)
    const struct CMUnitTest tests[] = {
        PASSKEY_TEST(a_passkey_is_added_and_logs_in),
        PASSKEY_TEST(a_ceremony_is_good_once_for_one_purpose_and_one_user),
        PASSKEY_TEST(bad_answers_are_refused_alike),
        PASSKEY_TEST(a_counter_that_goes_back_tells_of_a_copy),
        PASSKEY_TEST(passkeys_have_names_and_are_few),
        PASSKEY_TEST(a_passkey_is_removed_by_its_owner),
    };

    return cmocka_run_group_tests_name("passkeys", tests, store_schema_make, store_schema_drop);
}
