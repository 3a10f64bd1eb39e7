/* The statements of auth on a real PostgreSQL (TEST_DATABASE_URL), in a schema of their own. */
#include "services/auth/store.h"

#include <pthread.h>

#include "services/auth/events.h"
#include "services/auth/store_schema.h"

enum { PARALLEL = 6, DAY_S = 86400 };
typedef StoreSchema Fixture;

/* ---------------------------------------------------------------------------------------------------- the fixture */
static int empty_tables(void **state)
{
    Fixture *f = *state;

    f->schema.now_us = 1800000000000000;
    test_schema_script(&f->schema, "TRUNCATE account, login, refresh_token, outbox CASCADE");
    return 0;
}

static Request request_in(Fixture *f, Arena *mem)
{
    return (Request){
        .mem = mem,
        .service = &f->auth,
        .clock = &SYSTEM_CLOCK,
        .db = f->schema.db,
        .deadline_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + 20000,
    };
}

static Request request(Fixture *f)
{
    return request_in(f, f->schema.mem);
}

static int64_t live_logins(Fixture *f)
{
    return test_schema_count(&f->schema, "SELECT count(*) FROM login WHERE ended_at IS NULL");
}

static int64_t announced_ends(Fixture *f)
{
    return test_schema_count(&f->schema, "SELECT count(*) FROM outbox WHERE subject LIKE 'evt.auth.login.ended.%'");
}

/* 32 bytes that begin with the text. */
static Slice hash_of(Fixture *f, const char *text)
{
    char *bytes = ARENA_ARRAY(f->schema.mem, char, 32);

    memcpy(bytes, text, strlen(text));
    return slice_of(bytes, 32);
}

static Account account_named(Fixture *f, const char *username, const char *email)
{
    return (Account){.id = id_next_user(f->schema.ids),
                     .username = username,
                     .email = email,
                     .password_hash = "$hash",
                     .display_name = username,
                     .provider = "local",
                     .role = ROLE_USER,
                     .active = true,
                     .created_us = f->schema.now_us,
                     .updated_us = f->schema.now_us};
}

static OutboxRow announcement(Fixture *f)
{
    return (OutboxRow){.id = uuid_v7(f->schema.ids),
                       .key = "1",
                       .subject = "evt.auth.user.registered.1",
                       .ce_type = "test",
                       .payload = SLICE_LIT("x")};
}

static NewLogin login_with(Fixture *f, int64_t user_id, const char *refresh, const char *opaque, const char *jti)
{
    Uuid id = uuid_v7(f->schema.ids);

    return (NewLogin){.id = id,
                      .family_id = id,
                      .user_id = user_id,
                      .token_jti = jti,
                      .opaque_hash = opaque ? hash_of(f, opaque) : (Slice){NULL, 0},
                      .refresh_hash = refresh ? hash_of(f, refresh) : (Slice){NULL, 0},
                      .refresh_expires_us = f->schema.now_us + 7 * (int64_t)DAY_S * 1000000,
                      .profile = "all",
                      .user_agent = "curl/8",
                      .address = "192.0.2.7",
                      .method = "password",
                      .created_us = f->schema.now_us,
                      .expires_us = f->schema.now_us + 7 * (int64_t)DAY_S * 1000000};
}

/* An account with a first login. */
static Account stored_account(Fixture *f, const char *username, const char *email, const NewLogin *login_like)
{
    Request rq = request(f);
    Account account = account_named(f, username, email);
    OutboxRow announce = announcement(f);
    NewLogin login;

    if (login_like)
        login = *login_like;
    assert_ok(auth_store_insert_account(&rq, &account, login_like ? &login : NULL, &announce));
    return account;
}

static Ending ending(Fixture *f)
{
    return (Ending){.ids = f->schema.ids, .why = AUTH__V1__LOGIN_END__LOGGED_OUT, .at_us = f->schema.now_us};
}

/* ---------------------------------------------------------------------------------------------------- accounts */
static void an_account_is_found_by_id_name_and_address(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    NewLogin login = login_with(f, 0, "r1", NULL, "jti");
    Account stored = stored_account(f, "ann", "Ann@Example.com", &login);
    Account found;

    assert_ok(auth_store_account(&rq, stored.id, &found));
    assert_string_equal(found.username, "ann");
    assert_string_equal(found.email, "Ann@Example.com");
    assert_string_equal(found.password_hash, "$hash");
    assert_null(found.avatar_hash);
    assert_true(found.active);
    assert_int_equal(found.role, ROLE_USER);
    assert_int_equal(found.created_us, f->schema.now_us);
    assert_ok(auth_store_account_by_username(&rq, "ann", &found));
    assert_int_equal(found.id, stored.id);
    assert_ok(auth_store_account_by_username(&rq, "Ann", &found));
    assert_int_equal(found.id, 0);
    assert_ok(auth_store_account_by_email(&rq, "aNN@example.com", &found));
    assert_int_equal(found.id, stored.id);
    assert_int_equal(live_logins(f), 1);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM outbox"), 1);
}

static void names_and_addresses_are_unique(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    OutboxRow announce = announcement(f);
    Account other;

    stored_account(f, "ann", "ann@example.com", NULL);
    stored_account(f, "Ann", NULL, NULL);
    other = account_named(f, "ann", NULL);
    assert_reason(auth_store_insert_account(&rq, &other, NULL, &announce), &USERNAME_TAKEN);
    other = account_named(f, "bob", "ANN@example.com");
    assert_reason(auth_store_insert_account(&rq, &other, NULL, &announce), &EMAIL_TAKEN);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM account"), 2);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM outbox"), 2);
}

static void there_is_one_first_admin(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    Account admin = account_named(f, "admin", NULL);
    OutboxRow announce = announcement(f);
    bool made;

    admin.role = ROLE_ADMIN;
    assert_ok(auth_store_insert_first_admin(&rq, &admin, &announce, &made));
    assert_true(made);
    admin.id++;
    assert_ok(auth_store_insert_first_admin(&rq, &admin, &announce, &made));
    assert_false(made);
}

static Err update_profile(Fixture *f, int64_t id, const char *display_name, const char *avatar, int64_t now_us,
                          Account *out)
{
    OutboxRow told = user_profile_changed_event(f->schema.mem, f->schema.ids, id, now_us);
    Request rq = request(f);

    return auth_store_update_profile(&rq, id, display_name, avatar, now_us, &told, out);
}

static void a_profile_keeps_what_is_not_given(void **state)
{
    Fixture *f = *state;
    Account stored = stored_account(f, "ann", NULL, NULL);
    Account out;

    assert_ok(update_profile(f, stored.id, "Ann", NULL, f->schema.now_us + 1, &out));
    assert_string_equal(out.display_name, "Ann");
    assert_int_equal(out.updated_us, f->schema.now_us + 1);
    assert_ok(update_profile(f, stored.id, NULL, "abc", f->schema.now_us, &out));
    assert_string_equal(out.display_name, "Ann");
    assert_string_equal(out.avatar_hash, "abc");
    assert_ok(update_profile(f, stored.id, NULL, "", f->schema.now_us, &out));
    assert_null(out.avatar_hash);
    assert_ok(update_profile(f, 1, "x", NULL, f->schema.now_us, &out));
    assert_int_equal(out.id, 0);
}

static void a_new_password_ends_all_logins_but_one(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    Account stored = stored_account(f, "ann", NULL, NULL);
    Account found;
    NewLogin kept = login_with(f, stored.id, NULL, NULL, NULL);
    Ending end = ending(f);

    assert_ok(auth_store_insert_login(&rq, &kept, 100, f->schema.ids));
    for (int i = 0; i < 3; i++) {
        NewLogin other = login_with(f, stored.id, NULL, NULL, NULL);
        assert_ok(auth_store_insert_login(&rq, &other, 100, f->schema.ids));
    }
    assert_ok(auth_store_change_password(&rq, stored.id, "$new", kept.id, &end));
    assert_int_equal(live_logins(f), 1);
    assert_int_equal(announced_ends(f), 3);
    assert_ok(auth_store_account(&rq, stored.id, &found));
    assert_string_equal(found.password_hash, "$new");
}

/* ---------------------------------------------------------------------------------------------------- logins */
static void logins_are_listed_latest_first(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    Account stored = stored_account(f, "ann", NULL, NULL);
    NewLogin first = login_with(f, stored.id, NULL, NULL, NULL), second;
    LoginRow *rows;
    Account found;
    size_t count;

    assert_ok(auth_store_insert_login(&rq, &first, 100, f->schema.ids));
    f->schema.now_us += 1000000;
    second = login_with(f, stored.id, NULL, NULL, NULL);
    assert_ok(auth_store_insert_login(&rq, &second, 100, f->schema.ids));
    assert_ok(auth_store_list_logins(&rq, stored.id, f->schema.now_us, 10, &rows, &count));
    assert_int_equal(count, 2);
    assert_memory_equal(&rows[0].id, &second.id, sizeof(Uuid));
    assert_string_equal(rows[0].user_agent, "curl/8");
    assert_int_equal(rows[1].created_us, first.created_us);
    assert_ok(auth_store_list_logins(&rq, stored.id, f->schema.now_us, 1, &rows, &count));
    assert_int_equal(count, 1);
    assert_ok(auth_store_list_logins(&rq, stored.id, first.expires_us, 10, &rows, &count));
    assert_int_equal(count, 1);
    assert_ok(auth_store_account(&rq, stored.id, &found));
    assert_int_equal(found.last_login_us, second.created_us);
}

static void too_many_logins_end_the_oldest(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    Account stored = stored_account(f, "ann", NULL, NULL);
    NewLogin logins[4];

    for (int i = 0; i < 4; i++) {
        f->schema.now_us += 1000;
        logins[i] = login_with(f, stored.id, NULL, NULL, NULL);
        assert_ok(auth_store_insert_login(&rq, &logins[i], 2, f->schema.ids));
    }
    assert_int_equal(live_logins(f), 2);
    assert_int_equal(announced_ends(f), 2);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM login WHERE end_reason = 6"), 2);
}

static void only_my_live_login_ends_and_once(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    Account ann = stored_account(f, "ann", NULL, NULL), bob = stored_account(f, "bob", NULL, NULL);
    NewLogin login = login_with(f, ann.id, NULL, NULL, NULL);
    Ending end = ending(f);
    bool ended;

    assert_ok(auth_store_insert_login(&rq, &login, 100, f->schema.ids));
    assert_ok(auth_store_end_login(&rq, bob.id, login.id, &end, &ended));
    assert_false(ended);
    assert_ok(auth_store_end_login(&rq, ann.id, login.id, &end, &ended));
    assert_true(ended);
    assert_ok(auth_store_end_login(&rq, ann.id, login.id, &end, &ended));
    assert_false(ended);
    assert_int_equal(announced_ends(f), 1);
}

static void tokens_lead_to_their_login(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    Account ann = stored_account(f, "ann", NULL, NULL);
    NewLogin one = login_with(f, ann.id, "r1", NULL, NULL), two = login_with(f, ann.id, NULL, "o1", NULL),
             three = login_with(f, ann.id, NULL, NULL, NULL);
    Ending end = ending(f);
    int64_t count;

    assert_ok(auth_store_insert_login(&rq, &one, 100, f->schema.ids));
    assert_ok(auth_store_insert_login(&rq, &two, 100, f->schema.ids));
    assert_ok(auth_store_insert_login(&rq, &three, 100, f->schema.ids));
    assert_ok(auth_store_end_login_of_refresh_token(&rq, ann.id + 1, hash_of(f, "r1"), &end));
    assert_int_equal(live_logins(f), 3);
    assert_ok(auth_store_end_login_of_refresh_token(&rq, ann.id, hash_of(f, "r1"), &end));
    assert_int_equal(live_logins(f), 2);
    assert_ok(auth_store_end_login_of_opaque_token(&rq, hash_of(f, "o1"), &end));
    assert_ok(auth_store_end_login_of_opaque_token(&rq, hash_of(f, "o1"), &end));
    assert_int_equal(live_logins(f), 1);
    assert_ok(auth_store_end_other_logins(&rq, ann.id, one.id, &end, &count));
    assert_int_equal(count, 1);
    assert_int_equal(announced_ends(f), 3);
}

static void opaque_tokens_resolve_while_they_live(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    Account ann = stored_account(f, "ann", NULL, NULL), found;
    NewLogin login = login_with(f, ann.id, NULL, "o1", NULL);
    LoginRow row;

    assert_ok(auth_store_insert_login(&rq, &login, 100, f->schema.ids));
    assert_ok(auth_store_resolve_opaque(&rq, hash_of(f, "o1"), f->schema.now_us, &row, &found));
    assert_int_equal(found.id, ann.id);
    assert_memory_equal(&row.id, &login.id, sizeof(Uuid));
    assert_int_equal(row.expires_us, login.expires_us);
    assert_ok(auth_store_resolve_opaque(&rq, hash_of(f, "o2"), f->schema.now_us, &row, &found));
    assert_int_equal(found.id, 0);
    assert_ok(auth_store_resolve_opaque(&rq, hash_of(f, "o1"), login.expires_us, &row, &found));
    assert_int_equal(found.id, 0);
    assert_ok(auth_store_resolve_opaque(&rq, hash_of(f, "o1"), f->schema.now_us + 61000000, &row, &found));
    assert_int_equal(found.id, ann.id);
    assert_ok(auth_store_resolve_opaque(&rq, hash_of(f, "o1"), f->schema.now_us + 62000000, &row, &found));
    assert_int_equal(row.last_used_us, f->schema.now_us + 61000000);
    test_schema_script(&f->schema, "UPDATE account SET active = false");
    assert_ok(auth_store_resolve_opaque(&rq, hash_of(f, "o1"), f->schema.now_us, &row, &found));
    assert_int_equal(found.id, 0);
}

/* ---------------------------------------------------------------------------------------------------- refresh */
static Refresh refresh_from(Fixture *f, const char *presented, const char *successor)
{
    return (Refresh){.presented_hash = hash_of(f, presented),
                     .successor_hash = hash_of(f, successor),
                     .now_us = f->schema.now_us,
                     .successor_expires_us = f->schema.now_us + 7 * (int64_t)DAY_S * 1000000,
                     .login_expires_us = f->schema.now_us + 7 * (int64_t)DAY_S * 1000000,
                     .ids = f->schema.ids};
}

static RefreshOutcome refreshed(Fixture *f, const Refresh *refresh)
{
    Request rq = request(f);
    RefreshOutcome outcome;
    Account account;
    Uuid login_id;

    assert_ok(auth_store_refresh(&rq, refresh, &outcome, &login_id, &account));
    if (outcome == REFRESH_DONE)
        assert_string_equal(account.username, "ann");
    return outcome;
}

/* An account "ann", logged in with refresh token "r1". */
static NewLogin logged_in(Fixture *f)
{
    Request rq = request(f);
    Account ann = stored_account(f, "ann", NULL, NULL);
    NewLogin login = login_with(f, ann.id, "r1", NULL, "jti1");

    assert_ok(auth_store_insert_login(&rq, &login, 100, f->schema.ids));
    return login;
}

static void refresh_tokens_rotate(void **state)
{
    Fixture *f = *state;
    Refresh refresh;

    logged_in(f);
    refresh = refresh_from(f, "r1", "r2");
    assert_int_equal(refreshed(f, &refresh), REFRESH_DONE);
    f->schema.now_us += 6 * (int64_t)DAY_S * 1000000;
    refresh = refresh_from(f, "r2", "r3");
    refresh.token_jti = "jti2";
    assert_int_equal(refreshed(f, &refresh), REFRESH_DONE);
    /* Each refresh starts the seven days anew. */
    f->schema.now_us += 6 * (int64_t)DAY_S * 1000000;
    refresh = refresh_from(f, "r3", "r4");
    assert_int_equal(refreshed(f, &refresh), REFRESH_DONE);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM login WHERE token_jti = 'jti2'"), 1);
    assert_int_equal(announced_ends(f), 0);
}

static void dead_tokens_refresh_nothing(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    NewLogin login = logged_in(f);
    Refresh refresh = refresh_from(f, "unknown", "r2");
    Ending end = ending(f);
    bool ended;

    assert_int_equal(refreshed(f, &refresh), REFRESH_UNKNOWN);
    refresh = refresh_from(f, "r1", "r2");
    refresh.now_us = login.refresh_expires_us;
    assert_int_equal(refreshed(f, &refresh), REFRESH_UNKNOWN);
    refresh = refresh_from(f, "r1", "r2");
    test_schema_script(&f->schema, "UPDATE account SET active = false");
    assert_int_equal(refreshed(f, &refresh), REFRESH_UNKNOWN);
    test_schema_script(&f->schema, "UPDATE account SET active = true");
    assert_ok(auth_store_end_login(&rq, login.user_id, login.id, &end, &ended));
    assert_int_equal(refreshed(f, &refresh), REFRESH_UNKNOWN);
    assert_int_equal(announced_ends(f), 1);
}

static void a_token_used_twice_ends_its_family(void **state)
{
    Fixture *f = *state;
    Refresh refresh;

    logged_in(f);
    refresh = refresh_from(f, "r1", "r2");
    assert_int_equal(refreshed(f, &refresh), REFRESH_DONE);
    refresh = refresh_from(f, "r1", "r3");
    assert_int_equal(refreshed(f, &refresh), REFRESH_REUSED);
    assert_int_equal(live_logins(f), 0);
    assert_int_equal(announced_ends(f), 1);
    refresh = refresh_from(f, "r2", "r4");
    assert_int_equal(refreshed(f, &refresh), REFRESH_UNKNOWN);
    refresh = refresh_from(f, "r1", "r5");
    assert_int_equal(refreshed(f, &refresh), REFRESH_REUSED);
    assert_int_equal(announced_ends(f), 1);
}

typedef struct Racer {
    Fixture *f;
    Refresh refresh;
    RefreshOutcome outcome;
    bool failed;
    pthread_t thread;
} Racer;

static void *race(void *data)
{
    Racer *racer = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = request_in(racer->f, mem);
    Account account;
    Uuid login_id;

    racer->failed = err_failed(auth_store_refresh(&rq, &racer->refresh, &racer->outcome, &login_id, &account));
    return NULL;
}

static void of_parallel_refreshes_one_wins(void **state)
{
    Fixture *f = *state;
    Racer racers[PARALLEL];
    int won = 0;

    logged_in(f);
    for (int i = 0; i < PARALLEL; i++)
        racers[i] = (Racer){.f = f, .refresh = refresh_from(f, "r1", arena_printf(f->schema.mem, "s%d", i))};
    for (int i = 0; i < PARALLEL; i++)
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    for (int i = 0; i < PARALLEL; i++) {
        pthread_join(racers[i].thread, NULL);
        assert_false(racers[i].failed);
        won += racers[i].outcome == REFRESH_DONE;
    }
    assert_int_equal(won, 1);
    assert_int_equal(announced_ends(f), 1);
}

static void chat_web_keeps_its_token_until_the_successor_is_used(void **state)
{
    Fixture *f = *state;
    Refresh refresh;

    logged_in(f);
    for (int i = 0; i < 3; i++) {
        refresh = refresh_from(f, "r1", arena_printf(f->schema.mem, "s%d", i));
        refresh.lenient = true;
        assert_int_equal(refreshed(f, &refresh), REFRESH_DONE);
    }
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM refresh_token"), 2);
    refresh = refresh_from(f, "s2", "t1");
    refresh.lenient = true;
    assert_int_equal(refreshed(f, &refresh), REFRESH_DONE);
    refresh = refresh_from(f, "r1", "t2");
    refresh.lenient = true;
    assert_int_equal(refreshed(f, &refresh), REFRESH_REUSED);
    assert_int_equal(live_logins(f), 0);
}

static bool replaced(Fixture *f, const NewLogin *old, const char *jti, NewLogin *out_login)
{
    Request rq = request(f);
    Account account;
    bool done;

    *out_login = login_with(f, 0, arena_printf(f->schema.mem, "n%s", jti), NULL, "jti2");
    assert_ok(auth_store_replace_login(&rq, old->id, jti, out_login, f->schema.ids, &done, &account));
    if (done)
        assert_int_equal(account.id, old->user_id);
    return done;
}

static void a_long_token_is_replaced_once(void **state)
{
    Fixture *f = *state;
    NewLogin old = logged_in(f), next, later;

    test_schema_script(&f->schema, "UPDATE login SET method = 'github'");
    assert_false(replaced(f, &old, "other", &next));
    assert_true(replaced(f, &old, "jti1", &next));
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM login WHERE method = 'github'"), 2);
    assert_false(replaced(f, &old, "jti1", &later));
    assert_int_equal(live_logins(f), 1);
    assert_int_equal(announced_ends(f), 1);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(DISTINCT family_id) FROM login"), 1);
}

typedef struct Replacer {
    Fixture *f;
    NewLogin old;
    pthread_t thread;
} Replacer;

static void *replace(void *data)
{
    Replacer *replacer = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(4096);
    Request rq = request_in(replacer->f, mem);
    NewLogin next = login_with(replacer->f, 0, NULL, NULL, "jti2");
    Account account;
    bool done;

    assert_ok(auth_store_replace_login(&rq, replacer->old.id, "jti1", &next, replacer->f->schema.ids, &done, &account));
    return NULL;
}

/* Whoever comes first: nothing outlives a new password. */
static void a_replacement_does_not_slip_past_a_new_password(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    Account stored = stored_account(f, "ann", NULL, NULL);
    Ending end = ending(f);

    for (int round = 0; round < 20; round++) {
        Replacer replacer = {.f = f, .old = login_with(f, stored.id, NULL, NULL, "jti1")};

        assert_ok(auth_store_insert_login(&rq, &replacer.old, 100, f->schema.ids));
        assert_int_equal(pthread_create(&replacer.thread, NULL, replace, &replacer), 0);
        assert_ok(auth_store_change_password(&rq, stored.id, "$new", (Uuid){{0}}, &end));
        pthread_join(replacer.thread, NULL);
        assert_int_equal(live_logins(f), 0);
    }
}

static void a_password_that_was_changed_meanwhile_logs_nobody_in(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    Account stored = stored_account(f, "ann", NULL, NULL);
    NewLogin login = login_with(f, stored.id, "r1", NULL, NULL);
    Ending end = ending(f);

    login.password_hash = stored.password_hash;
    assert_ok(auth_store_change_password(&rq, stored.id, "$new", (Uuid){{0}}, &end));
    assert_reason(auth_store_insert_login(&rq, &login, 100, f->schema.ids), &INVALID_CREDENTIALS);
    assert_int_equal(live_logins(f), 0);
    login.password_hash = "$new";
    assert_ok(auth_store_insert_login(&rq, &login, 100, f->schema.ids));
}

static void reuse_ends_replacements_too(void **state)
{
    Fixture *f = *state;
    NewLogin old = logged_in(f), next;
    Refresh refresh = refresh_from(f, "r1", "r2");

    assert_int_equal(refreshed(f, &refresh), REFRESH_DONE);
    assert_true(replaced(f, &old, "jti1", &next));
    refresh = refresh_from(f, "r1", "r3");
    assert_int_equal(refreshed(f, &refresh), REFRESH_REUSED);
    assert_int_equal(live_logins(f), 0);
    assert_int_equal(announced_ends(f), 2);
}

/* ---------------------------------------------------------------------------------------------------- purge */
static void an_expired_token_is_told_from_one_that_was_ended(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    Account ann = stored_account(f, "ann", NULL, NULL);
    NewLogin lapsed = login_with(f, ann.id, NULL, "o1", NULL), over = login_with(f, ann.id, NULL, "o2", NULL);
    Ending end = ending(f);
    bool expired;

    assert_ok(auth_store_insert_login(&rq, &lapsed, 100, f->schema.ids));
    assert_ok(auth_store_insert_login(&rq, &over, 100, f->schema.ids));
    assert_ok(auth_store_end_login_of_opaque_token(&rq, hash_of(f, "o2"), &end));
    assert_ok(auth_store_opaque_has_expired(&rq, hash_of(f, "o1"), lapsed.expires_us - 1, &expired));
    assert_false(expired);
    assert_ok(auth_store_opaque_has_expired(&rq, hash_of(f, "o1"), lapsed.expires_us, &expired));
    assert_true(expired);
    assert_ok(auth_store_opaque_has_expired(&rq, hash_of(f, "o2"), lapsed.expires_us, &expired));
    assert_false(expired);
    assert_ok(auth_store_opaque_has_expired(&rq, hash_of(f, "o3"), lapsed.expires_us, &expired));
    assert_false(expired);
}

static void only_dead_rows_are_purged(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    NewLogin login = logged_in(f), other = login_with(f, login.user_id, NULL, "o1", NULL);
    Ending end = ending(f);
    int64_t deleted;
    bool ended;

    assert_ok(auth_store_insert_login(&rq, &other, 100, f->schema.ids));
    assert_ok(auth_store_purge(&rq, f->schema.now_us, 100, &deleted));
    assert_int_equal(deleted, 0);
    assert_ok(auth_store_end_login(&rq, other.user_id, other.id, &end, &ended));
    assert_ok(auth_store_purge(&rq, f->schema.now_us + DAY_S * INT64_C(1000000) + 1, 100, &deleted));
    assert_int_equal(deleted, 1);
    /* An expired one can be told from an unknown one for a day. */
    assert_ok(auth_store_purge(&rq, login.expires_us + 1, 100, &deleted));
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM login"), 1);
    assert_ok(auth_store_purge(&rq, login.expires_us + DAY_S * INT64_C(1000000) + 1, 100, &deleted));
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM login"), 0);
    assert_int_equal(test_schema_count(&f->schema, "SELECT count(*) FROM refresh_token"), 0);
}

static void a_purge_is_bounded(void **state)
{
    Fixture *f = *state;
    Request rq = request(f);
    Account ann = stored_account(f, "ann", NULL, NULL);
    NewLogin login = {0};
    int64_t deleted;

    for (int i = 0; i < 5; i++) {
        login = login_with(f, ann.id, NULL, NULL, NULL);
        assert_ok(auth_store_insert_login(&rq, &login, 100, f->schema.ids));
    }
    assert_ok(auth_store_purge(&rq, login.expires_us + DAY_S * INT64_C(1000000) + 1, 3, &deleted));
    assert_int_equal(deleted, 3);
}

#define STORE_TEST(f) cmocka_unit_test_setup(f, empty_tables)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_account_is_found_by_id_name_and_address),
        STORE_TEST(names_and_addresses_are_unique),
        STORE_TEST(there_is_one_first_admin),
        STORE_TEST(a_profile_keeps_what_is_not_given),
        STORE_TEST(a_new_password_ends_all_logins_but_one),
        STORE_TEST(logins_are_listed_latest_first),
        STORE_TEST(too_many_logins_end_the_oldest),
        STORE_TEST(only_my_live_login_ends_and_once),
        STORE_TEST(tokens_lead_to_their_login),
        STORE_TEST(opaque_tokens_resolve_while_they_live),
        STORE_TEST(refresh_tokens_rotate),
        STORE_TEST(dead_tokens_refresh_nothing),
        STORE_TEST(a_token_used_twice_ends_its_family),
        STORE_TEST(of_parallel_refreshes_one_wins),
        STORE_TEST(chat_web_keeps_its_token_until_the_successor_is_used),
        STORE_TEST(a_long_token_is_replaced_once),
        STORE_TEST(reuse_ends_replacements_too),
        STORE_TEST(a_replacement_does_not_slip_past_a_new_password),
        STORE_TEST(a_password_that_was_changed_meanwhile_logs_nobody_in),
        STORE_TEST(an_expired_token_is_told_from_one_that_was_ended),
        STORE_TEST(only_dead_rows_are_purged),
        STORE_TEST(a_purge_is_bounded),
    };

    return cmocka_run_group_tests(tests, store_schema_make, store_schema_drop);
}
