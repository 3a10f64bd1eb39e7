/* The way into a login, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "services/auth/login.h"

#include <pthread.h>

#include "services/auth/passwords.h"
#include "services/auth/store_schema.h"

static int empty_tables(void **state)
{
    StoreSchema *s = *state;

    s->settings.hash_ops = 1;
    s->settings.hash_memory_bytes = 8192;
    test_schema_script(&s->schema, "TRUNCATE account, login_failure CASCADE");
    return 0;
}

static Err log_in(StoreSchema *s, const char *name, const char *password, Account *out)
{
    Request rq = store_schema_request(s);
    const LoginTry attempt = {.name = name, .password = password, .refusal = "no", .set = TOKENS_CHAT};
    Tokens tokens;

    TRY(login_by_password(&rq, &attempt, &tokens, out));
    assert_non_null(tokens.access_token);
    return OK;
}

static void a_login_keeps_how_it_was_proved(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Account ann = store_schema_account(s, "ann", "ann@example.com", "secret1"), out;
    Tokens tokens;

    assert_ok(log_in(s, "ann", "secret1", &out));
    assert_int_equal(out.id, ann.id);
    assert_int_equal(out.last_login_us, s->schema.now_us);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login WHERE method = 'password'"), 1);
    assert_ok(login_begin(&rq, &ann, "github", TOKENS_OPAQUE, &tokens));
    assert_non_null(tokens.opaque);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login WHERE method = 'github'"), 1);
}

static void whoever_is_disabled_gets_in_by_no_way(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Account ann = store_schema_account(s, "ann", NULL, "secret1"), out;
    Tokens tokens;

    test_schema_script(&s->schema, "UPDATE account SET active = false");
    assert_reason(log_in(s, "ann", "secret1", &out), &INVALID_CREDENTIALS);
    assert_reason(login_begin(&rq, &ann, "github", TOKENS_CHAT, &tokens), &INVALID_CREDENTIALS);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM login"), 0);
}

static void failing_costs_time(void **state)
{
    StoreSchema *s = *state;
    Account out;

    store_schema_account(s, "ann", NULL, "secret1");
    for (int i = 0; i < 6; i++) {
        assert_reason(log_in(s, "ann", "wrong", &out), &INVALID_CREDENTIALS);
        assert_reason(log_in(s, "nobody", "wrong", &out), &INVALID_CREDENTIALS);
    }
    assert_reason(log_in(s, "ann", "secret1", &out), &RATE_LIMITED);
    assert_reason(log_in(s, "nobody", "wrong", &out), &RATE_LIMITED);
    s->schema.now_us += 1000000;
    assert_ok(log_in(s, "ann", "secret1", &out));
    assert_ok(log_in(s, "ann", "secret1", &out));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM known_network"), 1);
}

static const char *stored_hash(StoreSchema *s, int64_t user_id)
{
    Request rq = store_schema_request(s);
    Account account;

    assert_ok(auth_store_account(&rq, user_id, &account));
    return account.password_hash;
}

static void a_hash_grows_with_the_settings_and_never_shrinks(void **state)
{
    StoreSchema *s = *state;
    Account ann = store_schema_account(s, "ann", NULL, "secret1"), out;

    assert_ok(log_in(s, "ann", "secret1", &out));
    assert_string_equal(stored_hash(s, ann.id), ann.password_hash);
    s->settings.hash_ops = 2;
    assert_reason(log_in(s, "ann", "wrong", &out), &INVALID_CREDENTIALS);
    assert_string_equal(stored_hash(s, ann.id), ann.password_hash);
    assert_ok(log_in(s, "ann", "secret1", &out));
    assert_true(slice_starts_with(slice(stored_hash(s, ann.id)), SLICE_LIT("$argon2id$v=19$m=8,t=2,p=1$")));
    s->settings.hash_memory_bytes = 16384;
    assert_ok(log_in(s, "ann", "secret1", &out));
    assert_true(slice_starts_with(slice(stored_hash(s, ann.id)), SLICE_LIT("$argon2id$v=19$m=16,t=2,p=1$")));
    s->settings.hash_ops = 1;
    s->settings.hash_memory_bytes = 8192;
    assert_ok(log_in(s, "ann", "secret1", &out));
    assert_true(slice_starts_with(slice(stored_hash(s, ann.id)), SLICE_LIT("$argon2id$v=19$m=16,t=2,p=1$")));
}

/* Made by Python's crypt module. */
static void imported_bcrypt_hashes_log_in_and_are_replaced(void **state)
{
    static const char *const HASHES[] = {
        "$2b$04$abcdefghijklmnopqrstuOqYRIqRs12k1wOugwHhZf/vUS/IBW0b2",
        "$2a$05$abcdefghijklmnopqrstuOtPqi21qnjGAIpaKOjD4PY3xy5u0qZU.",
        "$2y$04$abcdefghijklmnopqrstuOqYRIqRs12k1wOugwHhZf/vUS/IBW0b2",
        "$2b$12$abcdefghijklmnopqrstuO0HBKnd/A/GxsY9JuSMBbrfQauV5snKq",
    };
    StoreSchema *s = *state;
    Account out;

    for (size_t i = 0; i < ARRAY_LEN(HASHES); i++) {
        const char *name = arena_printf(s->schema.mem, "ann%zu", i);
        Account ann = store_schema_account(s, name, NULL, NULL);

        test_schema_script(&s->schema,
                           arena_printf(s->schema.mem, "UPDATE account SET password_hash = '%s' WHERE id = %" PRId64,
                                        HASHES[i], ann.id));
        assert_reason(log_in(s, name, "another password", &out), &INVALID_CREDENTIALS);
        assert_string_equal(stored_hash(s, ann.id), HASHES[i]);
        assert_ok(log_in(s, name, "correct horse", &out));
        assert_true(slice_starts_with(slice(stored_hash(s, ann.id)), SLICE_LIT("$argon2id$")));
        assert_ok(log_in(s, name, "correct horse", &out));
    }
}

typedef struct Racer {
    StoreSchema *s;
    pthread_t thread;
    Err result;
} Racer;

static void *race(void *data)
{
    Racer *racer = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = store_schema_request(racer->s);
    const LoginTry attempt = {.name = "ann", .password = "secret1", .refusal = "no", .set = TOKENS_CHAT};
    Tokens tokens;
    Account account;

    rq.mem = mem;
    racer->result = login_by_password(&rq, &attempt, &tokens, &account);
    return NULL;
}

static void all_of_many_logins_at_once_succeed_while_the_hash_grows(void **state)
{
    StoreSchema *s = *state;
    Racer racers[6];

    store_schema_account(s, "ann", NULL, "secret1");
    s->settings.hash_ops = 4;
    for (size_t i = 0; i < ARRAY_LEN(racers); i++) {
        racers[i] = (Racer){.s = s};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(racers); i++)
        pthread_join(racers[i].thread, NULL);
    for (size_t i = 0; i < ARRAY_LEN(racers); i++)
        assert_ok(racers[i].result);
}

int main(void)
{
#define LOGIN_TEST(f) cmocka_unit_test_setup(f, empty_tables)
    const struct CMUnitTest tests[] = {
        LOGIN_TEST(a_login_keeps_how_it_was_proved),
        LOGIN_TEST(whoever_is_disabled_gets_in_by_no_way),
        LOGIN_TEST(failing_costs_time),
        LOGIN_TEST(a_hash_grows_with_the_settings_and_never_shrinks),
        LOGIN_TEST(imported_bcrypt_hashes_log_in_and_are_replaced),
        LOGIN_TEST(all_of_many_logins_at_once_succeed_while_the_hash_grows),
    };

    return cmocka_run_group_tests_name("login", tests, store_schema_make, store_schema_drop);
}
