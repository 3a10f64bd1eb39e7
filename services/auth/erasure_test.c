/* Erasure of accounts, through the dispatch table, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "services/auth/erasure.h"

#include "atrium/auth/v1/access.atrium.h"
#include "atrium/auth/v1/admin.service.h"
#include "atrium/auth/v1/factor.atrium.h"
#include "services/auth/pages.h"
#include "services/auth/store_schema.h"

enum { ADA = 1, BOB = 2 };

static int fill_tables(void **state)
{
    StoreSchema *s = *state;

    s->settings.erasure_domains = "";
    test_schema_script(&s->schema, "TRUNCATE account, outbox, audit_entry, erasure CASCADE");
    store_schema_person(s, ADA, "ada", ROLE_ADMIN);
    store_schema_person(s, BOB, "bob", ROLE_USER);
    test_schema_script(&s->schema, "INSERT INTO audit_entry (id, at, actor_id, action, target_kind, target_id, address)"
                                   " VALUES (gen_random_uuid(), now(), 2, 'user.updated', 'user', '2', '192.0.2.1')");
    return 0;
}

static Err admin(StoreSchema *s, const char *method, ProtobufCMessage *in, ProtobufCMessage *out)
{
    Request rq = store_schema_request_of(s, ADA, ROLE_ADMIN);

    return rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, method, in, out);
}

static Err delete_user(StoreSchema *s, int64_t id)
{
    Auth__V1__AdminUserId in = AUTH__V1__ADMIN_USER_ID__INIT;
    Auth__V1__AdminNothing out = AUTH__V1__ADMIN_NOTHING__INIT;

    in.user_id = user_id_text(s->schema.mem, id);
    return admin(s, "AdminDeleteUser", &in.base, &out.base);
}

static char *only_erasure(StoreSchema *s)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(db_read_with(s->schema.db, 5000, "SELECT id FROM erasure", DB_NO_ARGS, &rows));
    assert_int_equal(rows.count, 1);
    return uuid_text(s->schema.mem, db_get_uuid(&rows, 0, 0));
}

static Auth__V1__ErasureInfo look(StoreSchema *s)
{
    Auth__V1__GetErasureRequest in = AUTH__V1__GET_ERASURE_REQUEST__INIT;
    Auth__V1__ErasureInfo out = AUTH__V1__ERASURE_INFO__INIT;

    in.erasure_id = only_erasure(s);
    assert_ok(admin(s, "GetErasure", &in.base, &out.base));
    return out;
}

static Err report(StoreSchema *s, const char *service, const char *domain, int64_t rows)
{
    Request rq = store_schema_request(s);
    Auth__V1__ReportErasureRequest in = AUTH__V1__REPORT_ERASURE_REQUEST__INIT;
    Auth__V1__ReportErasureReply out = AUTH__V1__REPORT_ERASURE_REPLY__INIT;

    rq.caller.kind = CALLER_SERVICE;
    rq.caller.service = service;
    in.erasure_id = only_erasure(s);
    in.domain = (char *)(uintptr_t)domain;
    SET(&in, rows, rows);
    return rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "ReportErasure", &in.base, &out.base);
}

static void nothing_of_the_account_stays_but_its_number(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__ErasureInfo info;

    assert_ok(delete_user(s, BOB));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE id = 2"), 0);
    assert_int_equal(
        test_schema_count(&s->schema, "SELECT count(*) FROM audit_entry WHERE actor_id = 2 OR address = '192.0.2.1'"),
        0);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM audit_entry WHERE action = 'user.deleted'"
                                                   " AND actor_id = 1 AND target_id = '2'"),
                     1);
    assert_int_equal(
        test_schema_count(&s->schema, "SELECT count(*) FROM outbox WHERE subject = 'evt.auth.user.deleted.2'"), 1);
    info = look(s);
    assert_non_null(info.completed_at);
    assert_int_equal(info.n_reports, 1);
    assert_string_equal(info.reports[0]->domain, "auth");
    assert_int_equal(info.reports[0]->rows, 2);
    assert_reason(delete_user(s, BOB), &USER_NOT_FOUND);
}

static void it_is_complete_when_all_domains_have_reported(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__ErasureInfo info;

    s->settings.erasure_domains = "chat, media,auth";
    assert_ok(delete_user(s, BOB));
    info = look(s);
    assert_null(info.completed_at);
    assert_int_equal(info.n_waiting_for, 2);
    assert_string_equal(info.waiting_for[1], "media");
    assert_ok(report(s, "chat", "chat", 7));
    assert_ok(report(s, "chat", "chat", 8)); /* the first counts */
    assert_ok(report(s, "extra", "extra", 1));
    assert_null(look(s).completed_at);
    assert_ok(report(s, "media", "media", 0));
    info = look(s);
    assert_non_null(info.completed_at);
    assert_int_equal(info.n_waiting_for, 0);
    assert_int_equal(info.n_reports, 4);
    assert_string_equal(info.reports[1]->domain, "chat");
    assert_int_equal(info.reports[1]->rows, 7);
}

static void each_domain_speaks_for_itself(void **state)
{
    StoreSchema *s = *state;

    s->settings.erasure_domains = "chat";
    assert_ok(delete_user(s, BOB));
    assert_reason(report(s, "media", "chat", 1), &PERMISSION_DENIED);
    assert_reason(report(s, "chat", "", 1), &INVALID_ARGUMENT);
    assert_null(look(s).completed_at);
}

static Err delete_me(StoreSchema *s, int64_t id, Role role, const char *password)
{
    Request rq = store_schema_request_of(s, id, role);
    Auth__V1__DeleteMeRequest in = AUTH__V1__DELETE_ME_REQUEST__INIT;
    Auth__V1__ErasureInfo out = AUTH__V1__ERASURE_INFO__INIT;

    in.password = (char *)(uintptr_t)password;
    return rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "DeleteMe", &in.base, &out.base);
}

static void one_erases_himself_by_his_password(void **state)
{
    StoreSchema *s = *state;
    Account eve = store_schema_account(s, "eve", NULL, "secret1");

    assert_reason(delete_me(s, eve.id, ROLE_USER, "wrong"), &NOT_PROVED);
    assert_reason(delete_me(s, eve.id, ROLE_USER, NULL), &NOT_PROVED);
    assert_ok(delete_me(s, eve.id, ROLE_USER, "secret1"));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE username = 'eve'"), 0);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM erasure WHERE requested_by IS NULL"), 1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM audit_entry WHERE action = 'user.deleted'"
                                                   " AND actor_id IS NULL"),
                     1);
}

static void the_last_administrator_does_not_erase_himself(void **state)
{
    StoreSchema *s = *state;
    Account root = store_schema_account(s, "root", NULL, "secret1");

    test_schema_script(&s->schema, "UPDATE account SET role = CASE username WHEN 'root' THEN 3 ELSE 1 END");
    assert_reason(delete_me(s, root.id, ROLE_ADMIN, "secret1"), &LAST_ADMIN);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE username = 'root'"), 1);
}

static void other_manners_delete_too(void **state)
{
    StoreSchema *s = *state;
    Auth__V1__GetUserRequest by_name = AUTH__V1__GET_USER_REQUEST__INIT;
    Auth__V1__MessageReply message = AUTH__V1__MESSAGE_REPLY__INIT;
    Auth__V1__TalkerUserId by_id = AUTH__V1__TALKER_USER_ID__INIT;
    Auth__V1__AdminNothing nothing = AUTH__V1__ADMIN_NOTHING__INIT;

    by_name.user_id = (char[]){"bob"};
    assert_ok(admin(s, "DeleteUser", &by_name.base, &message.base));
    assert_reason(admin(s, "DeleteUser", &by_name.base, &message.base), &USER_NOT_FOUND);
    by_name.user_id = (char[]){"me"};
    assert_reason(admin(s, "DeleteUser", &by_name.base, &message.base), &NOT_ONESELF);
    by_id.user_id = user_id_text(s->schema.mem, BOB);
    assert_reason(admin(s, "TalkerDeleteUser", &by_id.base, &nothing.base), &USER_NOT_FOUND);
}

#define TEST(f) cmocka_unit_test_setup(f, fill_tables)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_of_the_account_stays_but_its_number),
        TEST(it_is_complete_when_all_domains_have_reported),
        TEST(each_domain_speaks_for_itself),
        TEST(one_erases_himself_by_his_password),
        TEST(the_last_administrator_does_not_erase_himself),
        TEST(other_manners_delete_too),
    };

    return cmocka_run_group_tests_name("erasure", tests, store_schema_make, store_schema_drop);
}
