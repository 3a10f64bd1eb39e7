/* API keys, through the dispatch table, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "services/auth/keys.h"

#include <pthread.h>

#include "atrium/auth/v1/access.service.h"
#include "atrium/auth/v1/keys.service.h"
#include "services/auth/store_schema.h"
#include "shared/api_key.h"

enum { ADA = 1, BOB = 2, CLEO = 3, PARALLEL = 8 };
static const int64_t DAY_US = INT64_C(86400) * 1000000;
static const int64_t START_US = INT64_C(1800000000) * 1000000; /* 2027-01-15, 08:00 */

static int fill_tables(void **state)
{
    StoreSchema *s = *state;

    s->schema.now_us = START_US;
    test_schema_script(&s->schema,
                       "TRUNCATE account, outbox, api_key_report, audit_entry CASCADE; DELETE FROM group_role");
    store_schema_person(s, ADA, "ada", ROLE_ADMIN);
    store_schema_person(s, BOB, "bob", ROLE_OPERATOR);
    store_schema_person(s, CLEO, "cleo", ROLE_USER);
    return 0;
}

static Request request_of(StoreSchema *s, int64_t user_id, Role role)
{
    Request rq = store_schema_user_request(s, user_id);

    rq.caller.role = role;
    return rq;
}

static Request admin(StoreSchema *s)
{
    return request_of(s, ADA, ROLE_ADMIN);
}

/* A developer of events. */
static Request developer(StoreSchema *s)
{
    static const char *const MAY[] = {"auth.keys.own"};
    Request rq = request_of(s, CLEO, ROLE_USER);

    rq.caller.permissions = MAY;
    rq.caller.permission_count = 1;
    return rq;
}

static Err call(Request *rq, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    return rpc_call(&AUTH_V1_KEY_SERVICE, rq, method, in, out);
}

static Err create(Request *rq, const char *method, const char *role, int days, Auth__V1__CreateKeyReply *out)
{
    Auth__V1__CreateKeyRequest in = AUTH__V1__CREATE_KEY_REQUEST__INIT;

    auth__v1__create_key_reply__init(out);
    in.name = (char[]){"robot"};
    in.role = (char *)(uintptr_t)role;
    SET(&in, expires_in_days, days);
    return call(rq, method, &in.base, &out->base);
}

static Auth__V1__CreateKeyReply made(StoreSchema *s, const char *role)
{
    Request rq = admin(s);
    Auth__V1__CreateKeyReply out;

    assert_ok(create(&rq, "CreateKey", role, 0, &out));
    return out;
}

static Err create_scoped(Request *rq, char *scope, Auth__V1__ScopedKey *out)
{
    Auth__V1__CreateScopedKeyRequest in = AUTH__V1__CREATE_SCOPED_KEY_REQUEST__INIT;
    char *scopes[] = {scope};

    auth__v1__scoped_key__init(out);
    in.name = (char[]){"laptop"};
    in.scopes = scopes;
    in.n_scopes = scope ? 1 : 0;
    return call(rq, "CreateScopedKey", &in.base, &out->base);
}

static Err resolve(StoreSchema *s, const char *token, Atrium__ResolveTokenReply *out)
{
    Request rq = store_schema_request(s);
    Atrium__ResolveTokenRequest in = ATRIUM__RESOLVE_TOKEN_REQUEST__INIT;

    atrium__resolve_token_reply__init(out);
    rq.caller.kind = CALLER_GATEWAY;
    in.token = (char *)(uintptr_t)token;
    return rpc_call(&AUTH_V1_AUTH_SERVICE, &rq, "ResolveToken", &in.base, &out->base);
}

static bool is_live(StoreSchema *s, const char *token)
{
    Atrium__ResolveTokenReply out;
    Err e = resolve(s, token, &out);

    assert_true(!err_failed(e) || e.reason == &UNAUTHENTICATED);
    return !err_failed(e);
}

static Err revoke(Request *rq, const char *method, const char *id)
{
    Auth__V1__RevokeKeyRequest in = AUTH__V1__REVOKE_KEY_REQUEST__INIT;
    Auth__V1__RevokeKeyReply out = AUTH__V1__REVOKE_KEY_REPLY__INIT;

    in.key_id = (char *)(uintptr_t)id;
    return call(rq, method, &in.base, &out.base);
}

static int64_t announced_ends(StoreSchema *s)
{
    return test_schema_count(&s->schema, "SELECT count(*) FROM outbox WHERE subject LIKE 'evt.auth.login.ended.%'");
}

/* ---------------------------------------------------------------------------------------------------- making */
static void a_key_is_shown_once_and_stored_as_its_hash(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__CreateKeyReply key = made(s, NULL);

    assert_true(api_key_well_formed(slice(key.api_key)));
    assert_string_equal(key.role, "agent");
    assert_true(slice_starts_with(slice(key.api_key), slice(key.prefix)));
    assert_int_equal(strlen(key.prefix), 12);
    assert_null(key.expires_at);
    /* Neither the key nor any other part of its secret is in the row. */
    assert_int_equal(
        test_schema_count(&s->schema, arena_printf(s->schema.mem,
                                                   "SELECT count(*) FROM api_key k WHERE strpos(k::text, '%.12s') > 0",
                                                   key.api_key + 13)),
        0);
    assert_int_equal(test_schema_count(&s->schema, "SELECT octet_length(hash) FROM api_key"), 32);
}

static void another_pepper_makes_keys_worthless(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__CreateKeyReply key = made(s, NULL);

    assert_true(is_live(s, key.api_key));
    s->settings.api_key_pepper = "fedcba9876543210fedcba9876543210";
    assert_false(is_live(s, key.api_key));
    s->settings.api_key_pepper = "";
    assert_true(is_live(s, key.api_key));
}

static void what_cannot_be_made_is_refused(void **state)
{
    static const struct {
        const char *name, *role, *tier;
        int32_t days;
        const Reason *reason;
    } CASES[] = {
        {"", NULL, NULL, 0, &INVALID_ARGUMENT},          {"robot", "emperor", NULL, 0, &NO_SUCH_ROLE},
        {"robot", NULL, "golden", 0, &INVALID_ARGUMENT}, {"robot", NULL, NULL, -1, &INVALID_ARGUMENT},
        {"robot", NULL, NULL, 3651, &INVALID_ARGUMENT},
    };
    StoreSchema *s = *state;
    Request rq = admin(s);

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Auth__V1__CreateKeyRequest in = AUTH__V1__CREATE_KEY_REQUEST__INIT;
        Auth__V1__CreateKeyReply out = AUTH__V1__CREATE_KEY_REPLY__INIT;

        in.name = (char *)(uintptr_t)CASES[i].name;
        in.role = (char *)(uintptr_t)CASES[i].role;
        in.rate_limit_tier = (char *)(uintptr_t)CASES[i].tier;
        SET(&in, expires_in_days, CASES[i].days);
        assert_reason(call(&rq, "CreateKey", &in.base, &out.base), CASES[i].reason);
    }
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM api_key"), 0);
}

static void nobody_makes_a_key_above_himself(void **state)
{
    static const char *const MAY[] = {"auth.keys.write", "events.submit", "events.subscribe"};
    StoreSchema *s = *state;
    Request rq = request_of(s, BOB, ROLE_OPERATOR), as_key = admin(s);
    Auth__V1__CreateKeyReply out;

    rq.caller.permissions = as_key.caller.permissions = MAY;
    rq.caller.permission_count = as_key.caller.permission_count = ARRAY_LEN(MAY);
    assert_ok(create(&rq, "CreateKey", "agent", 0, &out));
    assert_reason(create(&rq, "CreateKey", "admin", 0, &out), &PERMISSION_DENIED);
    assert_reason(create(&rq, "CreateKey", "editor", 0, &out), &PERMISSION_DENIED);
    /* Nor does a key of an administrator that may not everything. */
    as_key.caller.api_key = true;
    assert_ok(create(&as_key, "CreateKey", "agent", 0, &out));
    assert_reason(create(&as_key, "CreateKey", "admin", 0, &out), &PERMISSION_DENIED);
}

/* ---------------------------------------------------------------------------------------------------- resolving */
static void a_key_is_what_its_role_says(void **state)
{
    StoreSchema *s = *state;
    Atrium__ResolveTokenReply out;

    assert_ok(resolve(s, made(s, "editor").api_key, &out));
    assert_int_equal(out.user_id, ADA);
    assert_true(out.api_key);
    assert_string_equal(out.rate_tier, "agent");
    assert_int_equal(out.n_roles, 1);
    assert_string_equal(out.roles[0], "editor");
    assert_int_equal(out.n_permissions, 0);
    assert_ok(resolve(s, made(s, "admin").api_key, &out));
    assert_string_equal(out.rate_tier, "admin");
    assert_int_equal(out.n_roles, 0);
    assert_int_equal(out.n_permissions, 1);
    assert_string_equal(out.permissions[0], "*");
}

static void an_administrators_key_is_worth_as_much_as_he_is(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__CreateKeyReply key = made(s, "admin");
    Atrium__ResolveTokenReply out;

    test_schema_script(&s->schema, "UPDATE account SET role = 1 WHERE id = 1");
    assert_ok(resolve(s, key.api_key, &out));
    assert_int_equal(out.n_permissions, 0);
    test_schema_script(&s->schema, "UPDATE account SET active = false WHERE id = 1");
    assert_false(is_live(s, key.api_key));
}

static void keys_expire(void **state)
{
    StoreSchema *s = *state;
    Request rq = admin(s);
    Atrium__ResolveTokenReply resolved;
    Auth__V1__CreateKeyReply key;

    assert_ok(create(&rq, "CreateKey", NULL, 2, &key));
    assert_int_equal(key.expires_at->seconds, (START_US + 2 * DAY_US) / 1000000);
    assert_ok(resolve(s, key.api_key, &resolved));
    assert_int_equal(resolved.expires_ms, (START_US + 2 * DAY_US) / 1000);
    s->schema.now_us += 2 * DAY_US;
    assert_false(is_live(s, key.api_key));
}

static void made_up_keys_are_nobodys(void **state)
{
    StoreSchema *s = *state;

    made(s, NULL);
    assert_false(is_live(s, api_key_make(s->schema.mem, API_KEY_COMMONS)));
    assert_false(is_live(s, "sel_"));
    assert_false(is_live(s, "sk_nonsense"));
}

/* ---------------------------------------------------------------------------------------------------- ending */
static void a_revoked_key_is_dead_and_that_is_announced(void **state)
{
    StoreSchema *s = *state;
    Request rq = admin(s), other = developer(s);
    Auth__V1__CreateKeyReply key = made(s, NULL);

    assert_reason(revoke(&other, "RevokeMyKey", key.id), &NOT_FOUND);
    assert_reason(revoke(&rq, "RevokeKey", "nonsense"), &INVALID_ID);
    assert_ok(revoke(&rq, "RevokeKey", key.id));
    assert_false(is_live(s, key.api_key));
    assert_int_equal(test_schema_count(&s->schema, arena_printf(s->schema.mem,
                                                                "SELECT count(*) FROM outbox"
                                                                " WHERE subject = 'evt.auth.login.ended.%s'",
                                                                key.id)),
                     1);
    assert_reason(revoke(&rq, "RevokeKey", key.id), &NOT_FOUND);
    assert_int_equal(
        test_schema_count(&s->schema, arena_printf(s->schema.mem,
                                                   "SELECT count(*) FROM audit_entry WHERE target_id = '%s'"
                                                   " AND actor_id = 1 AND action IN ('key.created', 'key.revoked')",
                                                   key.id)),
        2);
}

static void all_keys_of_a_user_end_together(void **state)
{
    StoreSchema *s = *state;
    Request rq = admin(s);
    Auth__V1__CreateKeyReply one = made(s, NULL), two = made(s, "admin"), gone = made(s, NULL);
    Ending ending = {.ids = s->schema.ids, .why = AUTH__V1__LOGIN_END__KEY_REVOKED, .at_us = s->schema.now_us};
    CLEANUP(db_tx_done) DbTx tx = {0};

    assert_ok(revoke(&rq, "RevokeKey", gone.id));
    assert_ok(db_tx_begin(&rq, &tx));
    assert_ok(keys_end_of_user(&rq, &tx, ADA, &ending));
    assert_ok(db_tx_commit(&tx));
    assert_false(is_live(s, one.api_key) || is_live(s, two.api_key));
    assert_int_equal(announced_ends(s), 3);
}

static Err rotate(Request *rq, const char *id, int32_t overlap_s, Auth__V1__CreateKeyReply *out)
{
    Auth__V1__RotateKeyRequest in = AUTH__V1__ROTATE_KEY_REQUEST__INIT;

    auth__v1__create_key_reply__init(out);
    in.key_id = (char *)(uintptr_t)id;
    SET(&in, overlap_s, overlap_s);
    return call(rq, "RotateKey", &in.base, &out->base);
}

static void a_rotated_key_lives_on_for_the_overlap(void **state)
{
    StoreSchema *s = *state;
    Request rq = admin(s);
    Auth__V1__CreateKeyReply first = made(s, "editor"), second, third;

    assert_ok(rotate(&rq, first.id, 60, &second));
    assert_string_equal(second.role, "editor");
    assert_string_not_equal(second.api_key, first.api_key);
    assert_true(is_live(s, first.api_key) && is_live(s, second.api_key));
    s->schema.now_us += 61 * INT64_C(1000000);
    assert_false(is_live(s, first.api_key));
    assert_true(is_live(s, second.api_key));
    assert_reason(rotate(&rq, first.id, 60, &third), &NOT_FOUND);
    assert_int_equal(announced_ends(s), 0); /* it ended when it was said to */
    assert_ok(rotate(&rq, second.id, 0, &third));
    assert_false(is_live(s, second.api_key));
    assert_int_equal(announced_ends(s), 1);
    assert_reason(rotate(&rq, third.id, -1, &first), &INVALID_ARGUMENT);
}

/* ---------------------------------------------------------------------------------------------------- developers */
typedef struct Maker {
    StoreSchema *s;
    Err result;
} Maker;

static void *make_one(void *data)
{
    Maker *maker = data;
    CLEANUP(arena_free_at) Arena *mem = arena_new(16384);
    Request rq = developer(maker->s);
    Auth__V1__CreateKeyReply out;

    rq.mem = mem;
    maker->result = create(&rq, "CreateMyKey", NULL, 0, &out);
    return NULL;
}

static void a_developer_has_five_keys_even_when_he_asks_for_more_at_once(void **state)
{
    StoreSchema *s = *state;
    pthread_t threads[PARALLEL];
    Maker makers[PARALLEL];
    int good = 0, refused = 0;

    for (size_t i = 0; i < PARALLEL; i++) {
        makers[i] = (Maker){.s = s};
        assert_int_equal(pthread_create(&threads[i], NULL, make_one, &makers[i]), 0);
    }
    for (size_t i = 0; i < PARALLEL; i++) {
        pthread_join(threads[i], NULL);
        good += !err_failed(makers[i].result);
        refused += makers[i].result.reason == &MAX_KEYS_REACHED;
    }
    assert_int_equal(good, 5);
    assert_int_equal(refused, PARALLEL - 5);
}

static void a_developer_sees_and_ends_his_own_keys_only(void **state)
{
    StoreSchema *s = *state;
    Request rq = developer(s), all = admin(s);
    Auth__V1__CreateKeyReply mine, foreign = made(s, NULL);
    Auth__V1__ListKeysRequest in = AUTH__V1__LIST_KEYS_REQUEST__INIT;
    Auth__V1__ListKeysReply out = AUTH__V1__LIST_KEYS_REPLY__INIT;

    assert_ok(create(&rq, "CreateMyKey", NULL, 0, &mine));
    assert_reason(create(&rq, "CreateMyKey", "admin", 0, &foreign), &INVALID_ARGUMENT);
    assert_ok(call(&rq, "ListMyKeys", &in.base, &out.base));
    assert_int_equal(out.n_items, 1);
    assert_string_equal(out.items[0]->id, mine.id);
    assert_true(out.items[0]->is_active);
    auth__v1__list_keys_reply__init(&out);
    assert_ok(call(&all, "ListKeys", &in.base, &out.base));
    assert_int_equal(out.n_items, 2);
    assert_ok(revoke(&rq, "RevokeMyKey", mine.id));
    test_schema_script(&s->schema, "INSERT INTO key_allowance VALUES (3, 0)");
    assert_reason(create(&rq, "CreateMyKey", NULL, 0, &mine), &MAX_KEYS_REACHED);
}

static void lists_go_on_where_they_ended(void **state)
{
    StoreSchema *s = *state;
    Request rq = admin(s);
    Auth__V1__ListKeysRequest in = AUTH__V1__LIST_KEYS_REQUEST__INIT;
    Auth__V1__ListKeysReply out;
    size_t seen = 0, pages = 0;

    for (int i = 0; i < 5; i++)
        made(s, NULL);
    SET(&in, limit, 2);
    do {
        auth__v1__list_keys_reply__init(&out);
        assert_ok(call(&rq, "ListKeys", &in.base, &out.base));
        seen += out.n_items;
        in.cursor = out.next_cursor;
        pages++;
    } while (out.next_cursor[0]);
    assert_int_equal(seen, 5);
    assert_int_equal(pages, 3);
    in.cursor = (char[]){"nonsense"};
    assert_reason(call(&rq, "ListKeys", &in.base, &out.base), &INVALID_ARGUMENT);
    SET(&in, limit, 201);
    assert_reason(call(&rq, "ListKeys", &in.base, &out.base), &INVALID_ARGUMENT);
}

/* ---------------------------------------------------------------------------------------------------- personal keys */
static void a_full_key_is_as_its_owner(void **state)
{
    StoreSchema *s = *state;
    Request rq = request_of(s, BOB, ROLE_OPERATOR);
    Auth__V1__ScopedKey key;
    Atrium__ResolveTokenReply out;

    assert_ok(create_scoped(&rq, NULL, &key));
    assert_true(slice_starts_with(slice(key.key), SLICE_LIT("sk_")));
    assert_ok(resolve(s, key.key, &out));
    assert_string_equal(out.permissions[0], "full");
    assert_int_equal(out.n_roles, 2);
    assert_string_equal(out.roles[1], "operator");
    assert_int_equal(out.role, ROLE_OPERATOR);
}

static void scopes_are_no_more_than_the_owner_has_at_the_moment(void **state)
{
    StoreSchema *s = *state;
    Request rq = request_of(s, BOB, ROLE_OPERATOR);
    Auth__V1__ScopedKey key;
    Atrium__ResolveTokenReply out;

    assert_reason(create_scoped(&rq, (char[]){"auth.users.write"}, &key), &PERMISSION_DENIED);
    assert_reason(create_scoped(&rq, (char[]){"*"}, &key), &PERMISSION_DENIED);
    assert_reason(create_scoped(&rq, (char[]){"everything"}, &key), &INVALID_ARGUMENT);
    assert_ok(create_scoped(&rq, (char[]){"auth.users.read"}, &key));
    assert_ok(resolve(s, key.key, &out));
    assert_int_equal(out.n_permissions, 1);
    assert_string_equal(out.permissions[0], "auth.users.read");
    assert_int_equal(out.n_roles, 0);
    test_schema_script(&s->schema, "UPDATE account SET role = 1 WHERE id = 2");
    assert_ok(resolve(s, key.key, &out));
    assert_int_equal(out.n_permissions, 0);
}

static void personal_keys_are_their_owners_affair(void **state)
{
    StoreSchema *s = *state;
    Request rq = request_of(s, CLEO, ROLE_USER), all = admin(s);
    Auth__V1__ListScopedKeysRequest list = AUTH__V1__LIST_SCOPED_KEYS_REQUEST__INIT;
    Auth__V1__ListScopedKeysReply listed = AUTH__V1__LIST_SCOPED_KEYS_REPLY__INIT;
    Auth__V1__ListKeysRequest in = AUTH__V1__LIST_KEYS_REQUEST__INIT;
    Auth__V1__ListKeysReply out = AUTH__V1__LIST_KEYS_REPLY__INIT;
    Auth__V1__RevokeKeyRequest end = AUTH__V1__REVOKE_KEY_REQUEST__INIT;
    Auth__V1__MessageReply ended = AUTH__V1__MESSAGE_REPLY__INIT;
    Auth__V1__ScopedKey key;

    assert_ok(create_scoped(&rq, NULL, &key));
    assert_ok(call(&all, "ListKeys", &in.base, &out.base));
    assert_int_equal(out.n_items, 0);
    assert_ok(call(&rq, "ListScopedKeys", &list.base, &listed.base));
    assert_int_equal(listed.total, 1);
    assert_null(listed.api_keys[0]->key);
    end.key_id = key.id;
    assert_reason(call(&all, "RevokeScopedKey", &end.base, &ended.base), &NOT_FOUND);
    assert_ok(call(&rq, "RevokeScopedKey", &end.base, &ended.base));
    assert_false(is_live(s, key.key));
}

/* ---------------------------------------------------------------------------------------------------- token exchange
 */
static Err exchange(StoreSchema *s, int64_t user_id, const char *key_id, Auth__V1__ConsoleToken *out)
{
    static const char *const ALL[] = {"*"};
    Request rq = request_of(s, user_id, ROLE_ADMIN);
    Auth__V1__ExchangeKeyRequest in = AUTH__V1__EXCHANGE_KEY_REQUEST__INIT;

    auth__v1__console_token__init(out);
    rq.caller.permissions = ALL;
    rq.caller.permission_count = 1;
    rq.caller.api_key = key_id[0] != '\0';
    rq.caller.login_id = key_id;
    return call(&rq, "ExchangeKey", &in.base, &out->base);
}

static void an_administrators_key_is_exchanged_for_a_token_that_ends_with_it(void **state)
{
    StoreSchema *s = *state;
    Request rq = admin(s), gateway = store_schema_request(s);
    Auth__V1__CreateKeyReply key = made(s, "admin"), agent = made(s, NULL);
    Atrium__ResolveLoginRequest ask = ATRIUM__RESOLVE_LOGIN_REQUEST__INIT;
    Atrium__ResolveTokenReply owner = ATRIUM__RESOLVE_TOKEN_REPLY__INIT;
    Auth__V1__ConsoleToken token;
    JwtClaims claims;

    assert_reason(exchange(s, ADA, agent.id, &token), &PERMISSION_DENIED);
    assert_reason(exchange(s, ADA, "", &token), &PERMISSION_DENIED);
    assert_ok(exchange(s, ADA, key.id, &token));
    assert_ok(jwt_verify(s->auth.key, s->schema.mem, &s->schema.clock, slice(token.token), &claims));
    assert_int_equal(claims.user_id, ADA);
    assert_string_equal(claims.role, "admin");
    assert_string_not_equal(claims.login_id, key.id); /* a login of its own */
    assert_int_equal(claims.expires_s, START_US / 1000000 + 3600);
    assert_int_equal(token.expires_at->seconds, claims.expires_s);
    gateway.caller.kind = CALLER_GATEWAY;
    ask.login_id = (char *)claims.login_id;
    assert_ok(rpc_call(&AUTH_V1_ACCESS_SERVICE, &gateway, "ResolveLogin", &ask.base, &owner.base));
    assert_int_equal(owner.role, ROLE_ADMIN);
    assert_false(owner.api_key);
    assert_ok(revoke(&rq, "RevokeKey", key.id));
    assert_reason(rpc_call(&AUTH_V1_ACCESS_SERVICE, &gateway, "ResolveLogin", &ask.base, &owner.base),
                  &UNAUTHENTICATED);
    assert_reason(exchange(s, ADA, key.id, &token), &PERMISSION_DENIED);
}

/* ---------------------------------------------------------------------------------------------------- usage */
static Err report(StoreSchema *s, const char *report_id, const char *key_id, uint64_t requests, uint64_t errors)
{
    Request rq = store_schema_request(s);
    Atrium__KeyUsageReport in = ATRIUM__KEY_USAGE_REPORT__INIT;
    Atrium__KeyUsageReportReply out = ATRIUM__KEY_USAGE_REPORT_REPLY__INIT;
    Atrium__KeyUsage one = ATRIUM__KEY_USAGE__INIT, nobodys = ATRIUM__KEY_USAGE__INIT, *keys[] = {&one, &nobodys, &one};

    rq.caller.kind = CALLER_GATEWAY;
    one.key_id = (char *)(uintptr_t)key_id;
    SET(&one, requests, requests);
    SET(&one, errors, errors);
    SET(&one, last_used_ms, s->schema.now_us / 1000);
    nobodys.key_id = (char[]){"nonsense"};
    in.report_id = (char *)(uintptr_t)report_id;
    in.keys = keys;
    in.n_keys = ARRAY_LEN(keys);
    return call(&rq, "ReportKeyUsage", &in.base, &out.base);
}

static void a_report_counts_once_however_often_it_comes(void **state)
{
    StoreSchema *s = *state;
    Request rq = admin(s);
    Auth__V1__CreateKeyReply key = made(s, NULL);
    Auth__V1__DailyUsageRequest in = AUTH__V1__DAILY_USAGE_REQUEST__INIT;
    Auth__V1__DailyUsageReply out = AUTH__V1__DAILY_USAGE_REPLY__INIT;

    assert_ok(report(s, "0197a3c0-0000-7000-8000-000000000001", key.id, 10, 1));
    assert_ok(report(s, "0197a3c0-0000-7000-8000-000000000001", key.id, 10, 1));
    assert_ok(report(s, "0197a3c0-0000-7000-8000-000000000002", key.id, 5, 0));
    assert_reason(report(s, "nonsense", key.id, 5, 0), &INVALID_ARGUMENT);
    assert_ok(call(&rq, "DailyUsage", &in.base, &out.base));
    assert_int_equal(out.n_items, 1);
    assert_string_equal(out.items[0]->date, "2027-01-15");
    assert_string_equal(out.items[0]->key_id, key.id);
    assert_int_equal(out.total_requests, 30); /* the key stands twice in each report */
    assert_int_equal(out.total_errors, 2);
    assert_int_equal(test_schema_count(&s->schema, "SELECT extract(epoch FROM last_used_at)::bigint FROM api_key"),
                     START_US / 1000000 / 60 * 60);
}

static void days_are_asked_for(void **state)
{
    static const struct {
        const char *from, *to;
        size_t items;
        bool good;
    } CASES[] = {
        {NULL, NULL, 2, true},
        {"2027-01-16", NULL, 1, true},
        {"2027-01-16", "2027-01-16", 1, true},
        {NULL, "2027-01-15", 1, true},
        {"2026-01-20", "2027-01-14", 0, true},
        {"2027-01-17", "2027-01-16", 0, false},
        {"2025-01-01", "2027-01-16", 0, false},
        {"2027-02-30", NULL, 0, false},
        {"16.1.2027", NULL, 0, false},
        {NULL, "2027-1-16", 0, false},
        {NULL, "2027-01-16x", 0, false},
    };
    StoreSchema *s = *state;
    Request rq = developer(s);
    Auth__V1__CreateKeyReply key, foreign = made(s, NULL);
    Auth__V1__KeyUsageRequest in = AUTH__V1__KEY_USAGE_REQUEST__INIT;
    Auth__V1__KeyUsageReply out;

    assert_ok(create(&rq, "CreateMyKey", NULL, 0, &key));
    assert_ok(report(s, "0197a3c0-0000-7000-8000-000000000001", key.id, 3, 0));
    s->schema.now_us += DAY_US;
    assert_ok(report(s, "0197a3c0-0000-7000-8000-000000000002", key.id, 4, 0));
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        Err e;

        auth__v1__key_usage_reply__init(&out);
        in.key_id = key.id;
        in.from = (char *)(uintptr_t)CASES[i].from;
        in.to = (char *)(uintptr_t)CASES[i].to;
        e = call(&rq, "MyKeyUsage", &in.base, &out.base);
        if (CASES[i].good)
            assert_ok(e);
        else
            assert_reason(e, &INVALID_ARGUMENT);
        assert_int_equal(out.n_items, CASES[i].items);
    }
    in = (Auth__V1__KeyUsageRequest)AUTH__V1__KEY_USAGE_REQUEST__INIT;
    in.key_id = foreign.id;
    assert_reason(call(&rq, "MyKeyUsage", &in.base, &out.base), &NOT_FOUND);
}

static void reports_are_forgotten_after_an_hour(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request(s);
    Auth__V1__CreateKeyReply key = made(s, NULL);
    int64_t deleted;

    assert_ok(report(s, "0197a3c0-0000-7000-8000-000000000001", key.id, 10, 1));
    assert_ok(auth_store_purge_reports(&rq, s->schema.now_us, 100, &deleted));
    assert_int_equal(deleted, 0);
    assert_ok(auth_store_purge_reports(&rq, s->schema.now_us + INT64_C(3601) * 1000000, 100, &deleted));
    assert_int_equal(deleted, 1);
}

#define TEST(f) cmocka_unit_test_setup(f, fill_tables)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_shown_once_and_stored_as_its_hash),
        TEST(another_pepper_makes_keys_worthless),
        TEST(what_cannot_be_made_is_refused),
        TEST(nobody_makes_a_key_above_himself),
        TEST(a_key_is_what_its_role_says),
        TEST(an_administrators_key_is_worth_as_much_as_he_is),
        TEST(keys_expire),
        TEST(made_up_keys_are_nobodys),
        TEST(a_revoked_key_is_dead_and_that_is_announced),
        TEST(all_keys_of_a_user_end_together),
        TEST(a_rotated_key_lives_on_for_the_overlap),
        TEST(a_developer_has_five_keys_even_when_he_asks_for_more_at_once),
        TEST(a_developer_sees_and_ends_his_own_keys_only),
        TEST(lists_go_on_where_they_ended),
        TEST(a_full_key_is_as_its_owner),
        TEST(scopes_are_no_more_than_the_owner_has_at_the_moment),
        TEST(personal_keys_are_their_owners_affair),
        TEST(an_administrators_key_is_exchanged_for_a_token_that_ends_with_it),
        TEST(a_report_counts_once_however_often_it_comes),
        TEST(days_are_asked_for),
        TEST(reports_are_forgotten_after_an_hour),
    };

    return cmocka_run_group_tests_name("keys", tests, store_schema_make, store_schema_drop);
}
