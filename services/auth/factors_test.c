/* Second factors through the dispatch table, on a real PostgreSQL (TEST_DATABASE_URL). */
#include <pthread.h>

#include "atrium/auth/v1/factor.service.h"
#include "services/auth/login.h"
#include "services/auth/seal.h"
#include "services/auth/store_factors.h"
#include "services/auth/store_schema.h"
#include "services/auth/totp.h"

static int empty_tables(void **state)
{
    test_schema_script(&((StoreSchema *)*state)->schema, "TRUNCATE account, login_failure CASCADE");
    return 0;
}

static Err call(Request *rq, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    return rpc_call(&AUTH_V1_FACTOR_SERVICE, rq, method, in, out);
}

static void everyone_sees_his_own_factors(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1"),
            bob = store_schema_account(s, "bob", NULL, "secret1");
    Request rq = store_schema_user_request(s, ann.id);
    Auth__V1__GetFactorsRequest in = AUTH__V1__GET_FACTORS_REQUEST__INIT;
    Auth__V1__Factors out = AUTH__V1__FACTORS__INIT;
    Auth__V1__FactorMethods methods = AUTH__V1__FACTOR_METHODS__INIT;

    test_schema_script(
        &s->schema,
        arena_printf(s->schema.mem,
                     "INSERT INTO totp (user_id, secret, created_at) VALUES (%" PRId64 ", 'x', now());"
                     "INSERT INTO recovery_code (user_id, hash, used_at) VALUES (%" PRId64 ", 'a', NULL),"
                     "  (%" PRId64 ", 'b', NULL), (%" PRId64 ", 'c', now());"
                     "INSERT INTO passkey (id, user_id, name, algorithm, public_key, sign_count, created_at) VALUES"
                     "  ('\\xfbff', %" PRId64 ", 'laptop', -7, 'x', 0, now())",
                     ann.id, ann.id, ann.id, ann.id, ann.id));
    assert_ok(call(&rq, "GetFactors", &in.base, &out.base));
    assert_false(out.totp);
    assert_int_equal(out.recovery_codes_left, 2);
    assert_int_equal(out.n_passkeys, 1);
    assert_string_equal(out.passkeys[0]->id, "-_8");
    assert_string_equal(out.passkeys[0]->name, "laptop");
    assert_null(out.passkeys[0]->last_used_at);
    test_schema_script(&s->schema, "UPDATE totp SET confirmed_at = now()");
    assert_ok(call(&rq, "ListFactorMethods", &in.base, &methods.base));
    assert_int_equal(methods.n_methods, 2);
    assert_string_equal(methods.methods[0]->type, "totp");
    assert_string_equal(methods.methods[1]->type, "webauthn");
    rq = store_schema_user_request(s, bob.id);
    auth__v1__factors__init(&out);
    assert_ok(call(&rq, "GetFactors", &in.base, &out.base));
    assert_false(out.totp);
    assert_int_equal(out.recovery_codes_left + (int)out.n_passkeys, 0);
}

/* ---------------------------------------------------------------------------------------------------- helpers */
/* What the authenticator of this user shows, `steps` from now. */
static char *shown(StoreSchema *s, int64_t user_id, bool confirmed, int steps)
{
    Request rq = store_schema_request(s);
    Slice sealed, secret;

    assert_ok(factors_store_totp_secret(&rq, user_id, confirmed, &sealed));
    assert_true(unseal(&s->settings, s->schema.mem, sealed, &secret));
    return arena_printf(s->schema.mem, "%06" PRIu32,
                        totp_number(secret, s->schema.now_us / 1000000 / TOTP_STEP_S + steps));
}

static Err start_totp(StoreSchema *s, int64_t user_id, const char *password, Auth__V1__TotpSecret *out)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__StartTotpRequest in = AUTH__V1__START_TOTP_REQUEST__INIT;

    auth__v1__totp_secret__init(out);
    in.password = (char *)password;
    return call(&rq, "StartTotp", &in.base, &out->base);
}

static Err confirm_totp(StoreSchema *s, int64_t user_id, const char *code, Auth__V1__RecoveryCodes *out)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__ConfirmTotpRequest in = AUTH__V1__CONFIRM_TOTP_REQUEST__INIT;

    auth__v1__recovery_codes__init(out);
    in.code = (char *)code;
    return call(&rq, "ConfirmTotp", &in.base, &out->base);
}

/* "ann" with an authenticator; a step later, so that the code of the set-up is of the past. */
static Account account_with_totp(StoreSchema *s, Auth__V1__RecoveryCodes *out_codes)
{
    Account ann = store_schema_account(s, "ann", "ann@example.com", "secret1");
    Auth__V1__TotpSecret secret;

    assert_ok(start_totp(s, ann.id, "secret1", &secret));
    assert_ok(confirm_totp(s, ann.id, shown(s, ann.id, false, 0), out_codes));
    s->schema.now_us += (int64_t)TOTP_STEP_S * 1000000;
    return ann;
}

/* Logs "ann" in; a challenge, if one was told, is in `out_challenge`. */
static Err log_in(StoreSchema *s, TokenSet set, const char *otp, const char **out_challenge)
{
    Request rq = store_schema_request(s);
    const LoginTry attempt = {.name = "ann", .password = "secret1", .otp = otp, .refusal = "no", .set = set};
    Tokens tokens;
    Account account;
    Err e = login_by_password(&rq, &attempt, &tokens, &account);

    if (rq.reply.details && out_challenge) {
        assert_string_equal(rq.reply.details->fields[0]->key, "challenge");
        assert_string_equal(rq.reply.details->fields[1]->value->list_value->values[0]->string_value, "totp");
        *out_challenge = rq.reply.details->fields[0]->value->string_value;
    }
    return e;
}

static Err finish_from(StoreSchema *s, Arena *mem, const char *challenge, const char *code, Auth__V1__AuthResult *out)
{
    Request rq = store_schema_request(s);
    Auth__V1__FinishLoginRequest in = AUTH__V1__FINISH_LOGIN_REQUEST__INIT;

    rq.mem = mem;
    auth__v1__auth_result__init(out);
    in.challenge = (char *)challenge;
    in.code = (char *)code;
    return call(&rq, "FinishLogin", &in.base, &out->base);
}

static Err finish(StoreSchema *s, const char *challenge, const char *code, Auth__V1__AuthResult *out)
{
    return finish_from(s, s->schema.mem, challenge, code, out);
}

static int64_t logins_by(StoreSchema *s, const char *second_factor)
{
    return test_schema_count(
        &s->schema,
        arena_printf(s->schema.mem, "SELECT count(*) FROM login WHERE second_factor = '%s'", second_factor));
}

/* ---------------------------------------------------------------------------------------------------- setting up */
static void an_authenticator_is_asked_for_once_it_was_confirmed(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");
    Auth__V1__TotpSecret secret, again;
    Auth__V1__RecoveryCodes codes;
    const char *challenge = NULL;

    assert_reason(confirm_totp(s, ann.id, "123456", &codes), &NOT_FOUND);
    assert_reason(start_totp(s, ann.id, NULL, &secret), &NOT_PROVED);
    assert_reason(start_totp(s, ann.id, "wrong", &secret), &NOT_PROVED);
    assert_ok(start_totp(s, ann.id, "secret1", &secret));
    assert_int_equal(strlen(secret.secret), 32);
    assert_true(slice_starts_with(slice(secret.url), SLICE_LIT("otpauth://totp/Atrium:ann?secret=")));
    assert_ok(start_totp(s, ann.id, "secret1", &again)); /* whoever lost the first picture */
    assert_string_not_equal(secret.secret, again.secret);
    assert_ok(log_in(s, TOKENS_CHAT, NULL, NULL));
    assert_reason(confirm_totp(s, ann.id, "", &codes), &INVALID_CODE);
    assert_reason(confirm_totp(s, ann.id, shown(s, ann.id, false, 9), &codes), &INVALID_CODE);
    assert_ok(confirm_totp(s, ann.id, shown(s, ann.id, false, 0), &codes));
    assert_int_equal(codes.n_codes, RECOVERY_CODES);
    assert_reason(log_in(s, TOKENS_CHAT, NULL, &challenge), &SECOND_FACTOR_REQUIRED);
    assert_non_null(challenge);
    assert_reason(start_totp(s, ann.id, "secret1", &again), &FACTOR_EXISTS);
    assert_reason(confirm_totp(s, ann.id, shown(s, ann.id, true, 0), &codes), &NOT_FOUND);
}

static void nothing_of_it_is_stored_in_the_clear(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__RecoveryCodes codes;
    Request rq = store_schema_request(s);
    Account ann = account_with_totp(s, &codes);
    Slice sealed, secret;

    assert_ok(factors_store_totp_secret(&rq, ann.id, true, &sealed));
    assert_true(unseal(&s->settings, s->schema.mem, sealed, &secret));
    assert_int_equal(slice_find(sealed, secret), -1);
    assert_int_equal(
        test_schema_count(&s->schema, arena_printf(s->schema.mem,
                                                   "SELECT count(*) FROM recovery_code"
                                                   " WHERE position(convert_to('%.4s', 'UTF8') IN hash) > 0",
                                                   codes.codes[0])),
        0);
    /* With another key nobody gets in by a code, and nothing breaks. */
    s->settings.auth_secret_key = "another secret of 32 characters!";
    assert_reason(log_in(s, TOKENS_CHAT, "123456", NULL), &INVALID_CODE);
    s->settings.auth_secret_key = NULL;
    assert_ok(log_in(s, TOKENS_CHAT, shown(s, ann.id, true, 0), NULL));
}

/* ---------------------------------------------------------------------------------------------------- logging in */
static void a_code_comes_with_the_password_or_after_it(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__RecoveryCodes codes;
    Account ann = account_with_totp(s, &codes);
    const char *challenge;
    Auth__V1__AuthResult out;

    assert_ok(log_in(s, TOKENS_CHAT, shown(s, ann.id, true, 0), NULL));
    s->schema.now_us += (int64_t)TOTP_STEP_S * 1000000;
    assert_reason(log_in(s, TOKENS_BOTH, "", &challenge), &SECOND_FACTOR_REQUIRED);
    assert_reason(finish(s, challenge, shown(s, ann.id, true, 5), &out), &INVALID_CODE);
    assert_reason(finish(s, "nonsense", shown(s, ann.id, true, 0), &out), &INVALID_CODE);
    assert_ok(finish(s, challenge, shown(s, ann.id, true, 0), &out));
    assert_non_null(out.access_token);
    assert_non_null(out.refresh_token);
    assert_non_null(out.token);
    assert_int_equal(out.user->id, ann.id);
    assert_int_equal(logins_by(s, "totp"), 2);
    s->schema.now_us += (int64_t)TOTP_STEP_S * 1000000;
    assert_reason(finish(s, challenge, shown(s, ann.id, true, 0), &out), &INVALID_CODE);
}

static void the_tokens_are_those_of_the_first_step(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__RecoveryCodes codes;
    const char *challenge;
    Auth__V1__AuthResult out;

    account_with_totp(s, &codes);
    assert_reason(log_in(s, TOKENS_OPAQUE, NULL, &challenge), &SECOND_FACTOR_REQUIRED);
    assert_ok(finish(s, challenge, codes.codes[0], &out));
    assert_null(out.access_token);
    assert_int_equal(strlen(out.token), 64);
    assert_reason(log_in(s, TOKENS_CHAT, NULL, &challenge), &SECOND_FACTOR_REQUIRED);
    assert_ok(finish(s, challenge, codes.codes[1], &out));
    assert_null(out.token);
    assert_non_null(out.access_token);
}

static void a_code_is_good_once(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__RecoveryCodes codes;
    Account ann = account_with_totp(s, &codes);

    assert_ok(log_in(s, TOKENS_CHAT, shown(s, ann.id, true, 0), NULL));
    assert_reason(log_in(s, TOKENS_CHAT, shown(s, ann.id, true, 0), NULL), &INVALID_CODE);
    assert_reason(log_in(s, TOKENS_CHAT, shown(s, ann.id, true, -1), NULL), &INVALID_CODE); /* older than the last */
    assert_ok(log_in(s, TOKENS_CHAT, shown(s, ann.id, true, 1), NULL));
    assert_ok(log_in(s, TOKENS_CHAT, codes.codes[3], NULL));
    assert_reason(log_in(s, TOKENS_CHAT, codes.codes[3], NULL), &INVALID_CODE);
    assert_int_equal(logins_by(s, "totp"), 2);
    assert_int_equal(logins_by(s, "recovery"), 1);
}

typedef struct Racer {
    StoreSchema *s;
    const char *challenge, *code;
    pthread_t thread;
    bool got_in;
} Racer;

static void *race(void *data)
{
    Racer *racer = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Auth__V1__AuthResult out;

    racer->got_in = !err_failed(finish_from(racer->s, mem, racer->challenge, racer->code, &out));
    return NULL;
}

/* Each with a challenge of its own, as if somebody looked over the owner's shoulder. */
static void of_many_who_use_one_code_at_once_one_gets_in(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__RecoveryCodes codes;
    Account ann = account_with_totp(s, &codes);
    const char *const tried[] = {shown(s, ann.id, true, 0), codes.codes[0]};

    for (size_t c = 0; c < ARRAY_LEN(tried); c++) {
        Racer racers[5];
        int in = 0;

        for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
            racers[i] = (Racer){.s = s, .code = tried[c]};
            assert_reason(log_in(s, TOKENS_CHAT, NULL, &racers[i].challenge), &SECOND_FACTOR_REQUIRED);
        }
        for (size_t i = 0; i < ARRAY_LEN(racers); i++)
            assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
        for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
            pthread_join(racers[i].thread, NULL);
            in += racers[i].got_in;
        }
        assert_int_equal(in, 1);
    }
}

static void a_challenge_ends(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__RecoveryCodes codes;
    Request rq = store_schema_request(s);
    const char *challenge;
    Auth__V1__AuthResult out;
    int64_t deleted;

    account_with_totp(s, &codes);
    /* by time */
    assert_reason(log_in(s, TOKENS_CHAT, NULL, &challenge), &SECOND_FACTOR_REQUIRED);
    s->schema.now_us += INT64_C(300) * 1000000;
    assert_reason(finish(s, challenge, codes.codes[0], &out), &INVALID_CODE);
    assert_ok(factors_store_purge(&rq, s->schema.now_us + 1, 10, &deleted));
    assert_int_equal(deleted, 1);
    /* by tries */
    assert_reason(log_in(s, TOKENS_CHAT, NULL, &challenge), &SECOND_FACTOR_REQUIRED);
    for (int i = 0; i < 5; i++)
        assert_reason(finish(s, challenge, "000000", &out), &INVALID_CODE);
    assert_reason(finish(s, challenge, codes.codes[0], &out), &INVALID_CODE);
    /* by a new password, and with the account */
    assert_reason(log_in(s, TOKENS_CHAT, NULL, &challenge), &SECOND_FACTOR_REQUIRED);
    test_schema_script(&s->schema, "UPDATE account SET password_hash = 'other'");
    assert_reason(finish(s, challenge, codes.codes[1], &out), &INVALID_CODE);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login"), 0);
}

static void guessing_codes_costs_time(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__RecoveryCodes codes;

    account_with_totp(s, &codes);
    for (int i = 0; i < 6; i++)
        assert_reason(log_in(s, TOKENS_CHAT, "000000", NULL), &INVALID_CODE);
    assert_reason(log_in(s, TOKENS_CHAT, codes.codes[0], NULL), &RATE_LIMITED);
    s->schema.now_us += 1000000;
    assert_ok(log_in(s, TOKENS_CHAT, codes.codes[0], NULL));
}

static void who_signs_in_by_a_provider_is_asked_when_the_operator_says_so(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__RecoveryCodes codes;
    Account ann = account_with_totp(s, &codes);
    Request rq = store_schema_request(s);
    Auth__V1__AuthResult out;
    Tokens tokens;

    assert_ok(login_begin(&rq, &ann, "github", TOKENS_CHAT, &tokens));
    s->settings.second_factor_for_providers = true;
    assert_ok(login_begin(&rq, &ann, LOGIN_BY_PASSKEY, TOKENS_CHAT, &tokens));
    assert_reason(login_begin(&rq, &ann, "github", TOKENS_CHAT, &tokens), &SECOND_FACTOR_REQUIRED);
    s->settings.second_factor_for_providers = false;
    assert_ok(finish(s, rq.reply.details->fields[0]->value->string_value, codes.codes[0], &out));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login WHERE method = 'github'"
                                                   "  AND second_factor = 'recovery'"),
                     1);
}

/* ---------------------------------------------------------------------------------------------------- changing */
static Err change(StoreSchema *s, const char *method, int64_t user_id, const char *password, const char *code,
                  ProtobufCMessage *out)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__RemoveFactorRequest in = AUTH__V1__REMOVE_FACTOR_REQUEST__INIT;

    in.password = (char *)password;
    in.code = (char *)code;
    return call(&rq, method, &in.base, out);
}

static void factors_are_changed_by_who_proves_himself(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__RecoveryCodes codes, fresh = AUTH__V1__RECOVERY_CODES__INIT;
    Auth__V1__RemoveFactorReply removed = AUTH__V1__REMOVE_FACTOR_REPLY__INIT;
    Account ann = account_with_totp(s, &codes), bob = store_schema_account(s, "bob", NULL, "secret2");

    assert_reason(change(s, "RenewRecoveryCodes", ann.id, NULL, NULL, &fresh.base), &NOT_PROVED);
    assert_reason(change(s, "RenewRecoveryCodes", ann.id, "secret2", NULL, &fresh.base), &NOT_PROVED);
    assert_reason(change(s, "RenewRecoveryCodes", bob.id, "secret2", NULL, &fresh.base), &NOT_FOUND);
    auth__v1__recovery_codes__init(&fresh);
    assert_ok(change(s, "RenewRecoveryCodes", ann.id, NULL, shown(s, ann.id, true, 0), &fresh.base));
    assert_int_equal(fresh.n_codes, RECOVERY_CODES);
    assert_reason(log_in(s, TOKENS_CHAT, codes.codes[0], NULL), &INVALID_CODE);
    assert_ok(log_in(s, TOKENS_CHAT, fresh.codes[0], NULL));
    assert_reason(change(s, "RemoveTotp", ann.id, "wrong", NULL, &removed.base), &NOT_PROVED);
    assert_ok(change(s, "RemoveTotp", ann.id, "secret1", NULL, &removed.base));
    assert_reason(change(s, "RemoveTotp", ann.id, "secret1", NULL, &removed.base), &NOT_FOUND);
    assert_ok(log_in(s, TOKENS_CHAT, NULL, NULL));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM recovery_code"), 0);
}

static void a_stolen_token_is_not_enough_to_guess_with(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1");
    Auth__V1__TotpSecret out;

    for (int i = 0; i < 10; i++) /* asking without anything is no attempt */
        assert_reason(start_totp(s, ann.id, NULL, &out), &NOT_PROVED);
    for (int i = 0; i < 6; i++)
        assert_reason(start_totp(s, ann.id, "wrong", &out), &NOT_PROVED);
    assert_reason(start_totp(s, ann.id, "secret1", &out), &RATE_LIMITED);
    assert_ok(log_in(s, TOKENS_CHAT, NULL, NULL)); /* which costs the owner nothing */
}

static void who_has_no_password_proves_himself_by_a_fresh_login(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, NULL);
    Request begun = store_schema_request(s), rq = store_schema_user_request(s, ann.id);
    Auth__V1__StartTotpRequest in = AUTH__V1__START_TOTP_REQUEST__INIT;
    Auth__V1__TotpSecret out = AUTH__V1__TOTP_SECRET__INIT;
    CLEANUP(db_rows_done) DbRows rows = {0};
    Tokens tokens;

    assert_reason(call(&rq, "StartTotp", &in.base, &out.base), &NOT_PROVED);
    assert_ok(login_begin(&begun, &ann, "github", TOKENS_CHAT, &tokens));
    assert_ok(db_read_with(s->schema.db, 5000, "SELECT id FROM login", DB_NO_ARGS, &rows));
    rq.caller.login_id = uuid_text(s->schema.mem, db_get_uuid(&rows, 0, 0));
    assert_ok(call(&rq, "StartTotp", &in.base, &out.base));
    s->schema.now_us += INT64_C(601) * 1000000;
    assert_reason(call(&rq, "StartTotp", &in.base, &out.base), &NOT_PROVED);
}

int main(void)
{
#define FACTORS_TEST(f) cmocka_unit_test_setup(f, empty_tables)
    const struct CMUnitTest tests[] = {
        FACTORS_TEST(everyone_sees_his_own_factors),
        FACTORS_TEST(an_authenticator_is_asked_for_once_it_was_confirmed),
        FACTORS_TEST(nothing_of_it_is_stored_in_the_clear),
        FACTORS_TEST(a_code_comes_with_the_password_or_after_it),
        FACTORS_TEST(the_tokens_are_those_of_the_first_step),
        FACTORS_TEST(a_code_is_good_once),
        FACTORS_TEST(of_many_who_use_one_code_at_once_one_gets_in),
        FACTORS_TEST(a_challenge_ends),
        FACTORS_TEST(guessing_codes_costs_time),
        FACTORS_TEST(who_signs_in_by_a_provider_is_asked_when_the_operator_says_so),
        FACTORS_TEST(factors_are_changed_by_who_proves_himself),
        FACTORS_TEST(a_stolen_token_is_not_enough_to_guess_with),
        FACTORS_TEST(who_has_no_password_proves_himself_by_a_fresh_login),
    };

    return cmocka_run_group_tests_name("factors", tests, store_schema_make, store_schema_drop);
}
