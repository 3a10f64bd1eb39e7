/* The keys that tokens are signed with, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "services/auth/signing_keys.h"

#include "atrium/auth/v1/console.service.h"
#include "services/auth/login.h"
#include "services/auth/store_schema.h"

enum { MINUTE_US = 60 * 1000000 };

static int begin(void **state)
{
    StoreSchema *s = *state;

    s->settings.jwt_algorithm = "EdDSA";
    s->settings.auth_secret_key = "";
    test_schema_script(&s->schema, "TRUNCATE account, login_failure, signing_key, audit_entry CASCADE");
    return 0;
}

static int end(void **state)
{
    StoreSchema *s = *state;

    signing_keys_free(s->auth.signing);
    s->auth.signing = NULL;
    s->settings.jwt_hs256 = true;
    return 0;
}

static SigningKeys *open_keys(StoreSchema *s)
{
    Request rq = store_schema_request(s);
    SigningKeys *keys;

    assert_ok(signing_keys_open(&rq, &keys));
    return keys;
}

static Slice sign(SigningKeys *keys, StoreSchema *s)
{
    return slice(signing_keys_sign(keys, s->schema.mem, s->schema.now_us, SLICE_LIT("{}")));
}

/* What its header says; the tests trust it, since they made it. */
static Slice kid_of(StoreSchema *s, Slice token)
{
    Slice head, rest, json, before;

    (void)slice_cut(token, '.', &head, &rest);
    assert_true(base64_decode(s->schema.mem, head, &json));
    (void)slice_cut(slice_skip(json, (size_t)slice_find(json, SLICE_LIT("\"kid\":\"")) + 7), '"', &before, &rest);
    return before;
}

static int64_t key_count(StoreSchema *s)
{
    return test_schema_count(&s->schema, "SELECT count(*) FROM signing_key");
}

static void instances_share_one_first_key(void **state)
{
    static const char *const ALGORITHMS[] = {"EdDSA", "ES256"};
    StoreSchema *s = *state;
    Slice payload;

    for (size_t i = 0; i < ARRAY_LEN(ALGORITHMS); i++) {
        CLEANUP(signing_keys_free_at) SigningKeys *one = NULL;
        CLEANUP(signing_keys_free_at) SigningKeys *two = NULL;

        s->settings.jwt_algorithm = ALGORITHMS[i];
        test_schema_script(&s->schema, "TRUNCATE signing_key");
        one = open_keys(s);
        two = open_keys(s);
        assert_int_equal(key_count(s), 1);
        assert_ok(signing_keys_verify(two, s->schema.mem, sign(one, s), &payload));
        assert_slice_equal(payload, SLICE_LIT("{}"));
        assert_slice_equal(kid_of(s, sign(two, s)), kid_of(s, sign(one, s)));
    }
}

static void private_keys_are_sealed(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    SigningKeyRow *rows;
    size_t count;

    s->auth.signing = open_keys(s);
    assert_ok(auth_store_signing_keys(&rq, s->schema.now_us, &rows, &count));
    assert_int_equal(count, 1);
    assert_true(rows[0].sealed_key.len > JWS_PRIVATE_BYTES);
    for (size_t at = 0; at + JWS_PRIVATE_BYTES <= rows[0].sealed_key.len; at++) {
        CLEANUP(jws_signer_free_at) JwsSigner *signer = NULL;

        assert_ok(jws_signer_new(JWS_EDDSA, slice_of(rows[0].sealed_key.ptr + at, JWS_PRIVATE_BYTES), "", &signer));
        assert_false(slice_eq(jws_signer_public(signer, s->schema.mem), rows[0].public_key));
    }
}

static void who_cannot_open_the_key_makes_another(void **state)
{
    CLEANUP(signing_keys_free_at) SigningKeys *before = NULL;
    StoreSchema *s = *state;
    Slice payload;

    before = open_keys(s);
    s->settings.auth_secret_key = "another secret of thirty-two byte";
    s->auth.signing = open_keys(s);
    assert_int_equal(key_count(s), 2);
    /* What was signed before is still good. */
    assert_ok(signing_keys_verify(s->auth.signing, s->schema.mem, sign(before, s), &payload));
    assert_ok(signing_keys_verify(s->auth.signing, s->schema.mem, sign(s->auth.signing, s), &payload));
}

static void a_successor_is_published_before_it_signs(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    SigningKeys *keys = s->auth.signing = open_keys(s);
    Slice old = sign(keys, s), payload;
    const char *kid;

    assert_ok(signing_keys_rotate(keys, &rq, &kid));
    assert_slice_equal(kid_of(s, sign(keys, s)), kid_of(s, old));
    s->schema.now_us += s->settings.jwt_key_lead_ms * 1000 - 1;
    assert_slice_equal(kid_of(s, sign(keys, s)), kid_of(s, old));
    s->schema.now_us += 1;
    assert_string_equal(slice_cstr(s->schema.mem, kid_of(s, sign(keys, s))), kid);
    /* The old one verifies until its last token is dead. */
    s->schema.now_us += signing_keys_afterlife_us(&s->settings) - 1;
    assert_ok(signing_keys_turn(keys, &rq, true));
    assert_ok(signing_keys_verify(keys, s->schema.mem, old, &payload));
    s->schema.now_us += 2;
    assert_ok(signing_keys_turn(keys, &rq, true));
    assert_reason(signing_keys_verify(keys, s->schema.mem, old, &payload), &UNAUTHENTICATED);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM signing_key WHERE retires_at IS NOT NULL"), 0);
}

static void a_key_rotates_by_its_age_once(void **state)
{
    CLEANUP(signing_keys_free_at) SigningKeys *other = NULL;
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    SigningKeys *keys = s->auth.signing = open_keys(s);

    other = open_keys(s);
    s->schema.now_us += s->settings.jwt_key_rotation_ms * 1000 - MINUTE_US;
    assert_ok(signing_keys_turn(keys, &rq, true));
    assert_int_equal(key_count(s), 1);
    s->schema.now_us += 2 * MINUTE_US;
    assert_ok(signing_keys_turn(keys, &rq, false));
    assert_int_equal(key_count(s), 1);
    assert_ok(signing_keys_turn(keys, &rq, true));
    assert_ok(signing_keys_turn(other, &rq, true));
    assert_int_equal(key_count(s), 2);
}

static void another_algorithm_is_a_rotation(void **state)
{
    CLEANUP(signing_keys_free_at) SigningKeys *before = NULL;
    StoreSchema *s = *state;
    Slice old, payload;

    before = open_keys(s);
    old = sign(before, s);
    s->settings.jwt_algorithm = "ES256";
    s->auth.signing = open_keys(s);
    assert_slice_equal(kid_of(s, sign(s->auth.signing, s)), kid_of(s, old));
    s->schema.now_us += s->settings.jwt_key_lead_ms * 1000;
    assert_false(slice_eq(kid_of(s, sign(s->auth.signing, s)), kid_of(s, old)));
    assert_ok(signing_keys_verify(s->auth.signing, s->schema.mem, old, &payload));
}

/* Tokens of a login, whatever they are signed with. */
static void tokens_of_both_ways_are_read_side_by_side(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Account ann = store_schema_account(s, "ann", NULL, "secret1");
    Tokens by_secret, by_key;
    JwtClaims claims;

    assert_ok(login_begin(&rq, &ann, "test", TOKENS_BOTH, &by_secret));
    s->auth.signing = open_keys(s);
    assert_ok(login_begin(&rq, &ann, "test", TOKENS_BOTH, &by_key));
    assert_reason(jwt_verify(s->auth.key, s->schema.mem, &s->schema.clock, slice(by_key.token), &claims),
                  &UNAUTHENTICATED);
    assert_ok(tokens_read_jwt(&rq, by_key.access_token, &claims));
    assert_ok(tokens_read_jwt(&rq, by_key.token, &claims));
    assert_int_equal(claims.user_id, ann.id);
    assert_string_equal(claims.username, "ann");
    assert_ok(tokens_read_jwt(&rq, by_secret.token, &claims));
    s->settings.jwt_hs256 = false;
    assert_reason(tokens_read_jwt(&rq, by_secret.token, &claims), &UNAUTHENTICATED);
    assert_ok(tokens_read_jwt(&rq, by_key.token, &claims));
    s->schema.now_us += s->settings.token_ttl_ms * 1000;
    assert_reason(tokens_read_jwt(&rq, by_key.token, &claims), &UNAUTHENTICATED);
}

static void further_manners_have_tokens_of_their_own(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Account ann = store_schema_account(s, "ann", NULL, "secret1");
    Tokens vault, console;
    JwtClaims claims;

    s->settings.jwt_expiry_hours = 3;
    assert_ok(login_begin(&rq, &ann, "discord", TOKENS_VAULT, &vault));
    assert_int_equal(strlen(vault.opaque), 44);
    assert_int_equal(vault.opaque[43], '=');
    assert_int_equal(strspn(vault.opaque, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
    assert_ok(login_begin(&rq, &ann, "password", TOKENS_CONSOLE, &console));
    assert_ok(tokens_read_jwt(&rq, console.token, &claims));
    assert_int_equal(claims.expires_s - claims.issued_s, 3 * 3600);
    assert_int_equal(console.token_expires_us / 1000000, claims.expires_s);
    assert_string_equal(claims.issuer, "sel.events");
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login WHERE token_jti IS NULL"), 2);
}

static Slice jwks_of(StoreSchema *s)
{
    Request rq = store_schema_request(s);
    Auth__V1__GetJwksRequest in = AUTH__V1__GET_JWKS_REQUEST__INIT;
    Atrium__HttpBody out = ATRIUM__HTTP_BODY__INIT;

    assert_ok(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "GetJwks", &in.base, &out.base));
    assert_string_equal(out.content_type, "application/json");
    return slice_of(out.data.data, out.data.len);
}

static void the_document_has_what_verifies(void **state)
{
    CLEANUP(jws_keys_free_at) JwsKeys *published = NULL;
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    const char *kid;
    Slice payload;

    assert_slice_equal(jwks_of(s), SLICE_LIT("{\"keys\":[]}"));
    s->auth.signing = open_keys(s);
    assert_ok(signing_keys_rotate(s->auth.signing, &rq, &kid));
    assert_ok(jws_keys_parse(jwks_of(s), &published));
    assert_int_equal(jws_keys_count(published), 2);
    for (int i = 0; i < 2; i++) {
        assert_ok(jws_verify(published, s->schema.mem, sign(s->auth.signing, s), JWS_EDDSA, &payload, &kid));
        s->schema.now_us += s->settings.jwt_key_lead_ms * 1000;
    }
}

static void gateways_hear_how_long_a_key_is_good(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Atrium__GetSigningKeysRequest in = ATRIUM__GET_SIGNING_KEYS_REQUEST__INIT;
    Atrium__GetSigningKeysReply out = ATRIUM__GET_SIGNING_KEYS_REPLY__INIT;
    const char *kid;

    s->auth.signing = open_keys(s);
    assert_ok(signing_keys_rotate(s->auth.signing, &rq, &kid));
    rq.caller.kind = CALLER_GATEWAY;
    assert_ok(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "GetSigningKeys", &in.base, &out.base));
    assert_int_equal(out.n_keys, 2);
    for (size_t i = 0; i < 2; i++) {
        bool is_new = strcmp(out.keys[i]->kid, kid) == 0;

        assert_string_equal(out.keys[i]->algorithm, "EdDSA");
        assert_int_equal(out.keys[i]->public_key.len, 32);
        assert_int_equal(out.keys[i]->has_until_ms, !is_new);
        if (!is_new)
            assert_int_equal(out.keys[i]->until_ms, (s->schema.now_us + s->settings.jwt_key_lead_ms * 1000 +
                                                     signing_keys_afterlife_us(&s->settings)) /
                                                        1000);
    }
}

static void administrators_rotate(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_user_request(s, 1);
    Auth__V1__RotateSigningKeyRequest in = AUTH__V1__ROTATE_SIGNING_KEY_REQUEST__INIT;
    Auth__V1__RotateSigningKeyReply out = AUTH__V1__ROTATE_SIGNING_KEY_REPLY__INIT;

    assert_reason(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "RotateSigningKey", &in.base, &out.base), &PERMISSION_DENIED);
    rq.caller.role = ROLE_ADMIN;
    assert_reason(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "RotateSigningKey", &in.base, &out.base), &NO_SIGNING_KEYS);
    s->auth.signing = open_keys(s);
    for (int i = 1; i < SIGNING_KEYS_MAX; i++)
        assert_ok(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "RotateSigningKey", &in.base, &out.base));
    assert_int_equal(key_count(s), SIGNING_KEYS_MAX);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM audit_entry WHERE action = 'signing_key.made'"
                                                   " AND actor_id = 1"),
                     SIGNING_KEYS_MAX - 1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM audit_entry WHERE actor_id IS NULL"), 1);
    assert_reason(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "RotateSigningKey", &in.base, &out.base), &RATE_LIMITED);
}

static void userinfo_tells_of_an_address_whether_it_was_verified(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", "ann@example.com", "secret1");
    Account bob = store_schema_account(s, "bob", NULL, "secret1");
    Auth__V1__GetUserinfoRequest in = AUTH__V1__GET_USERINFO_REQUEST__INIT;
    Auth__V1__Userinfo out = AUTH__V1__USERINFO__INIT;
    Request rq = store_schema_user_request(s, ann.id);

    assert_ok(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "GetUserinfo", &in.base, &out.base));
    assert_string_equal(out.sub, arena_printf(s->schema.mem, "%" PRId64, ann.id));
    assert_string_equal(out.preferred_username, "ann");
    assert_string_equal(out.email, "ann@example.com");
    assert_true(out.has_email_verified && !out.email_verified);
    test_schema_script(&s->schema, "UPDATE account SET email_verified_at = now()");
    auth__v1__userinfo__init(&out);
    assert_ok(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "GetUserinfo", &in.base, &out.base));
    assert_true(out.email_verified);
    rq = store_schema_user_request(s, bob.id);
    auth__v1__userinfo__init(&out);
    assert_ok(rpc_call(&AUTH_V1_CONSOLE_SERVICE, &rq, "GetUserinfo", &in.base, &out.base));
    assert_null(out.email);
    assert_false(out.has_email_verified);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(instances_share_one_first_key),
        TEST(private_keys_are_sealed),
        TEST(who_cannot_open_the_key_makes_another),
        TEST(a_successor_is_published_before_it_signs),
        TEST(a_key_rotates_by_its_age_once),
        TEST(another_algorithm_is_a_rotation),
        TEST(tokens_of_both_ways_are_read_side_by_side),
        TEST(further_manners_have_tokens_of_their_own),
        TEST(the_document_has_what_verifies),
        TEST(gateways_hear_how_long_a_key_is_good),
        TEST(administrators_rotate),
        TEST(userinfo_tells_of_an_address_whether_it_was_verified),
    };
    return cmocka_run_group_tests(tests, store_schema_make, store_schema_drop);
}
