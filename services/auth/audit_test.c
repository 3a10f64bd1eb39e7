/* The audit log, through the dispatch table, on a real PostgreSQL (TEST_DATABASE_URL). */
#include "services/auth/audit.h"

#include "atrium/auth/v1/admin.service.h"
#include "services/auth/pages.h"
#include "services/auth/store_schema.h"

enum { ADA = 1, BOB = 2, CLEO = 3 };

static int fill_tables(void **state)
{
    StoreSchema *s = *state;

    test_schema_script(&s->schema, "TRUNCATE account, audit_entry, outbox CASCADE");
    store_schema_person(s, ADA, "ada", ROLE_ADMIN);
    store_schema_person(s, BOB, "bob", ROLE_USER);
    return 0;
}

static void note(StoreSchema *s, const Request *rq, AuditAction action, int64_t user_id, const char *detail)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Request own = *rq;
    (void)s;

    assert_ok(db_tx_begin(&own, &tx));
    assert_ok(audit_insert_user(&tx, &own, action, user_id, detail));
    assert_ok(db_tx_commit(&tx));
}

static Auth__V1__AuditReply list(StoreSchema *s, Auth__V1__ListAuditRequest *in)
{
    Request rq = store_schema_request_of(s, ADA, ROLE_ADMIN);
    Auth__V1__AuditReply out = AUTH__V1__AUDIT_REPLY__INIT;

    assert_ok(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "ListAudit", &in->base, &out.base));
    return out;
}

static void entries_tell_who_did_what_to_whom(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request_of(s, ADA, ROLE_ADMIN);
    Auth__V1__ListAuditRequest in = AUTH__V1__LIST_AUDIT_REQUEST__INIT;
    Auth__V1__AuditReply out;

    note(s, &rq, AUDIT_USER_UPDATED, BOB, audit_detail(s->schema.mem, "role", "edi\"tor", "email", NULL));
    out = list(s, &in);
    assert_int_equal(out.n_items, 1);
    assert_string_equal(out.items[0]->action, "user.updated");
    assert_string_equal(out.items[0]->actor_id, user_id_text(s->schema.mem, ADA));
    assert_string_equal(out.items[0]->target_id, user_id_text(s->schema.mem, BOB));
    assert_string_equal(out.items[0]->address, "192.0.2.7");
    assert_string_equal(out.items[0]->request_id, "test");
    assert_null(out.items[0]->actor_key_id);
    assert_int_equal(out.items[0]->detail->n_fields, 1);
    assert_string_equal(out.items[0]->detail->fields[0]->key, "role");
    assert_string_equal(out.items[0]->detail->fields[0]->value->string_value, "edi\"tor");
    assert_string_equal(out.next_cursor, "");
}

static void keys_are_named_and_services_are_nobody(void **state)
{
    static const char KEY[] = "0197a3c0-0000-7000-8000-000000000001";
    StoreSchema *s = *state;
    Request by_key = store_schema_request_of(s, ADA, ROLE_ADMIN), by_service = store_schema_request(s);
    Auth__V1__ListAuditRequest in = AUTH__V1__LIST_AUDIT_REQUEST__INIT;
    Auth__V1__AuditReply out;

    by_key.caller.api_key = true;
    by_key.caller.login_id = KEY;
    by_service.caller.kind = CALLER_SERVICE;
    note(s, &by_key, AUDIT_USER_CREATED, BOB, NULL);
    note(s, &by_service, AUDIT_USER_CREATED, BOB, NULL);
    out = list(s, &in);
    assert_null(out.items[0]->actor_id);
    assert_string_equal(out.items[1]->actor_key_id, KEY);
    assert_string_equal(out.items[1]->actor_id, user_id_text(s->schema.mem, ADA));
}

static void long_logs_come_in_parts(void **state)
{
    StoreSchema *s = *state;
    Request rq = store_schema_request_of(s, ADA, ROLE_ADMIN);
    Auth__V1__ListAuditRequest in = AUTH__V1__LIST_AUDIT_REQUEST__INIT;
    Auth__V1__AuditReply first, second;

    for (int64_t i = 0; i < 5; i++)
        note(s, &rq, AUDIT_USER_UPDATED, 10 + i, NULL);
    SET(&in, limit, 3);
    first = list(s, &in);
    assert_int_equal(first.n_items, 3);
    assert_string_equal(first.items[0]->target_id, user_id_text(s->schema.mem, 14));
    in.after = first.next_cursor;
    second = list(s, &in);
    assert_int_equal(second.n_items, 2);
    assert_string_equal(second.items[1]->target_id, user_id_text(s->schema.mem, 10));
    assert_string_equal(second.next_cursor, "");
}

static void filters_narrow_it(void **state)
{
    StoreSchema *s = *state;
    Request ada = store_schema_request_of(s, ADA, ROLE_ADMIN), bob = store_schema_user_request(s, BOB);
    Auth__V1__ListAuditRequest by_action = AUTH__V1__LIST_AUDIT_REQUEST__INIT, by_actor = by_action,
                               by_target = by_action;

    note(s, &ada, AUDIT_USER_UPDATED, BOB, NULL);
    note(s, &ada, AUDIT_USER_ACTIVATED, CLEO, NULL);
    note(s, &bob, AUDIT_USER_UPDATED, BOB, NULL);
    by_action.action = (char[]){"user.activated"};
    assert_int_equal(list(s, &by_action).n_items, 1);
    by_actor.actor_id = (char[]){"2"};
    assert_int_equal(list(s, &by_actor).n_items, 1);
    by_target.target_id = user_id_text(s->schema.mem, BOB);
    assert_int_equal(list(s, &by_target).n_items, 2);
}

static void activity_is_what_one_did_and_what_was_done_to_him(void **state)
{
    StoreSchema *s = *state;
    Request ada = store_schema_request_of(s, ADA, ROLE_ADMIN), bob = store_schema_user_request(s, BOB);
    Auth__V1__AdminUserActivityRequest in = AUTH__V1__ADMIN_USER_ACTIVITY_REQUEST__INIT;
    Auth__V1__AuditReply out = AUTH__V1__AUDIT_REPLY__INIT;

    note(s, &ada, AUDIT_USER_UPDATED, BOB, NULL);
    note(s, &ada, AUDIT_USER_UPDATED, CLEO, NULL);
    note(s, &bob, AUDIT_INVITATION_CREATED, CLEO, NULL);
    in.user_id = user_id_text(s->schema.mem, BOB);
    assert_ok(rpc_call(&AUTH_V1_ADMIN_SERVICE, &ada, "AdminUserActivity", &in.base, &out.base));
    assert_int_equal(out.n_items, 2);
    in.user_id = (char[]){"nonsense"};
    assert_reason(rpc_call(&AUTH_V1_ADMIN_SERVICE, &ada, "AdminUserActivity", &in.base, &out.base), &INVALID_ARGUMENT);
}

static void only_who_may_reads_it(void **state)
{
    static const char *const PERMISSIONS[] = {"auth.audit.read"};
    StoreSchema *s = *state;
    Request rq = store_schema_user_request(s, BOB);
    Auth__V1__ListAuditRequest in = AUTH__V1__LIST_AUDIT_REQUEST__INIT;
    Auth__V1__AuditReply out = AUTH__V1__AUDIT_REPLY__INIT;

    assert_reason(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "ListAudit", &in.base, &out.base), &PERMISSION_DENIED);
    rq.caller.permissions = PERMISSIONS;
    rq.caller.permission_count = 1;
    assert_ok(rpc_call(&AUTH_V1_ADMIN_SERVICE, &rq, "ListAudit", &in.base, &out.base));
}

static void bad_parts_are_refused(void **state)
{
    static const char *const BAD_CURSORS[] = {"x", "AAAA", "not base64!",
                                              "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    static const int32_t BAD_LIMITS[] = {0, -1, PAGE_MAX + 1};
    Request rq = store_schema_request(*state);
    Page page;

    for (size_t i = 0; i < ARRAY_LEN(BAD_CURSORS); i++)
        assert_reason(page_parse(&rq, false, 0, BAD_CURSORS[i], &page), &INVALID_ARGUMENT);
    for (size_t i = 0; i < ARRAY_LEN(BAD_LIMITS); i++)
        assert_reason(page_parse(&rq, true, BAD_LIMITS[i], NULL, &page), &INVALID_ARGUMENT);
    assert_ok(page_parse(&rq, false, 0, "", &page));
    assert_int_equal(page.limit, PAGE_DEFAULT);
}

static void user_ids_are_read_in_both_forms(void **state)
{
    StoreSchema *s = *state;
    int64_t id;

    assert_true(user_id_parse(slice("17"), &id));
    assert_int_equal(id, 17);
    assert_true(user_id_parse(slice(user_id_text(s->schema.mem, 18)), &id));
    assert_int_equal(id, 18);
    assert_false(user_id_parse(slice("0"), &id));
    assert_false(user_id_parse(slice("-1"), &id));
    assert_false(user_id_parse(slice("9007199254740992"), &id));
    assert_false(user_id_parse(slice("0197a3c0-0000-7000-8000-000000000001"), &id));
    assert_false(user_id_parse(slice(NULL), &id));
}

#define TEST(f) cmocka_unit_test_setup(f, fill_tables)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(entries_tell_who_did_what_to_whom),
        TEST(keys_are_named_and_services_are_nobody),
        TEST(long_logs_come_in_parts),
        TEST(filters_narrow_it),
        TEST(activity_is_what_one_did_and_what_was_done_to_him),
        TEST(only_who_may_reads_it),
        TEST(bad_parts_are_refused),
        TEST(user_ids_are_read_in_both_forms),
    };

    return cmocka_run_group_tests_name("audit", tests, store_schema_make, store_schema_drop);
}
