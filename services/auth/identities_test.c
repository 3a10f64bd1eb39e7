/* Whose an identity is, linking and unlinking, with a stand-in for the provider, on a real PostgreSQL
 * (TEST_DATABASE_URL). */
#include "services/auth/testing_signin.h"

/* ---------------------------------------------------------------------------------------------------- whose it is */
static void the_same_person_has_one_account(void **state)
{
    StoreSchema *s = *state;

    assert_ok(sign_in(s));
    w.name = "renamed";
    w.email = "new@example.org";
    assert_ok(sign_in(s));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE username = 'ann'"), 1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account"), 1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM identity WHERE name = 'renamed'"), 1);
    w.subject = "4712";
    w.name = "ann";
    assert_ok(sign_in(s));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE username LIKE 'ann\\_%'"), 1);
}

static void addresses_link_only_where_both_sides_verified_them_and_the_provider_may(void **state)
{
    static const struct {
        bool trusted, verified_there, verified_here, linked;
    } CASES[] = {
        {false, true, true, false}, {true, false, true, false}, {true, true, false, false}, {true, true, true, true}};
    StoreSchema *s = *state;

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        test_schema_script(&s->schema, "TRUNCATE account CASCADE");
        store_schema_account(s, "owner", "Ann@Example.org", "secret1");
        if (CASES[i].verified_here)
            test_schema_script(&s->schema, "UPDATE account SET email_verified_at = now()");
        providers_free(s->auth.providers);
        configure(s, CASES[i].trusted);
        w.verified = CASES[i].verified_there ? "true" : "false";
        assert_ok(sign_in(s));
        assert_int_equal(test_schema_count(&s->schema,
                                           "SELECT count(*) FROM identity i JOIN account a ON a.id = i.user_id"
                                           "  WHERE a.username = 'owner'"),
                         CASES[i].linked);
        /* The address stays whose it was. */
        assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account WHERE email IS NOT NULL"), 1);
    }
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM audit_entry WHERE action = 'identity.linked'"),
                     1);
}

static void an_address_counts_as_verified_only_by_who_is_trusted_with_them(void **state)
{
    StoreSchema *s = *state;

    s->settings.smtp_host = "mail.example.org";
    assert_ok(sign_in(s));
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(email) FROM account WHERE email_verified_at IS NULL"),
                     1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM mail WHERE kind = 'verification'"), 1);
    test_schema_script(&s->schema, "TRUNCATE account, mail CASCADE");
    trust_addresses(s);
    assert_ok(sign_in(s));
    assert_int_equal(
        test_schema_count(&s->schema, "SELECT count(email) FROM account WHERE email_verified_at IS NOT NULL"), 1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM mail"), 0);
    s->settings.smtp_host = "";
}

static void closed_means_closed_and_disabled_means_disabled(void **state)
{
    StoreSchema *s = *state;

    s->settings.registration = "closed";
    assert_reason(sign_in(s), &REGISTRATION_CLOSED);
    s->settings.registration = "open";
    assert_ok(sign_in(s));
    s->settings.registration = "closed";
    assert_ok(sign_in(s));
    s->settings.registration = "open";
    test_schema_script(&s->schema, "UPDATE account SET active = false");
    assert_reason(sign_in(s), &SIGN_IN_REFUSED);
}

/* ---------------------------------------------------------------------------------------------------- linking */
static Err start_link(StoreSchema *s, Browser *b, int64_t user_id, char *password, char **out_link)
{
    Request rq = browse(s, b);
    Auth__V1__StartLinkRequest in = AUTH__V1__START_LINK_REQUEST__INIT;
    Auth__V1__StartLinkReply out = AUTH__V1__START_LINK_REPLY__INIT;

    rq.caller = store_schema_user_request(s, user_id).caller;
    in.provider = "acme";
    in.password = password;
    TRY(call(&rq, "StartLink", &in.base, &out.base));
    keep_cookie(b, &rq);
    assert_true(
        slice_starts_with(slice(out.url), SLICE_LIT("https://atrium.example/api/v1/auth/oidc/acme/login?link=")));
    *out_link = parameter(s->schema.mem, out.url, "link");
    return OK;
}

static Err link_identity(StoreSchema *s, int64_t user_id, const char **out_back)
{
    Browser b = {.cookie = ""};
    Auth__V1__StartSignInRequest in = AUTH__V1__START_SIGN_IN_REQUEST__INIT;
    char *location;

    in.provider = "acme";
    TRY(start_link(s, &b, user_id, "secret1", &in.link));
    location = leave(s, &b, "StartOidc", &in);
    snprintf(w.asked_nonce, sizeof(w.asked_nonce), "%s", parameter(s->schema.mem, location, "nonce"));
    return come_back(s, &b, location, out_back);
}

static void who_is_logged_in_links_an_identity_and_signs_in_with_it(void **state)
{
    StoreSchema *s = *state;
    Account owner = store_schema_account(s, "owner", NULL, "secret1"),
            second = store_schema_account(s, "second", NULL, "secret1");
    const char *back = "";

    assert_ok(link_identity(s, owner.id, &back));
    assert_string_equal(back, "https://app.example/in?linked=acme");
    assert_ok(sign_in(s));
    assert_ok(link_identity(s, owner.id, &back)); /* again is no harm */
    assert_reason(link_identity(s, second.id, &back), &IDENTITY_TAKEN);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM identity"), 1);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM account"), 2);
}

static void a_link_needs_proof_and_the_browser_that_asked(void **state)
{
    StoreSchema *s = *state;
    Account owner = store_schema_account(s, "owner", NULL, "secret1");
    Browser b = {.cookie = ""}, victim = {.cookie = ""};
    Request rq = browse(s, &victim);
    Auth__V1__StartSignInRequest in = AUTH__V1__START_SIGN_IN_REQUEST__INIT;
    Atrium__HttpBody out = ATRIUM__HTTP_BODY__INIT;

    assert_reason(start_link(s, &b, owner.id, "wrong", &in.link), &NOT_PROVED);
    assert_reason(start_link(s, &b, owner.id, NULL, &in.link), &NOT_PROVED);
    assert_ok(start_link(s, &b, owner.id, "secret1", &in.link));
    in.provider = "acme";
    assert_reason(call(&rq, "StartOidc", &in.base, &out.base), &INVALID_STATE);
    /* What leads to a provider is not what comes back from it. */
    assert_reason(come_back_with(s, &b, in.link, "c0de", NULL, NULL), &INVALID_STATE);
}

static Err list(StoreSchema *s, int64_t user_id, Auth__V1__ListIdentitiesReply *out)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__ListIdentitiesRequest in = AUTH__V1__LIST_IDENTITIES_REQUEST__INIT;

    auth__v1__list_identities_reply__init(out);
    return call(&rq, "ListIdentities", &in.base, &out->base);
}

static Err unlink_it(StoreSchema *s, int64_t user_id, char *id)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__UnlinkRequest in = AUTH__V1__UNLINK_REQUEST__INIT;
    Auth__V1__UnlinkReply out = AUTH__V1__UNLINK_REPLY__INIT;

    in.identity_id = id;
    return call(&rq, "Unlink", &in.base, &out.base);
}

static Err add_password(StoreSchema *s, int64_t user_id, char *username, char *password)
{
    Request rq = store_schema_user_request(s, user_id);
    Auth__V1__AddPasswordRequest in = AUTH__V1__ADD_PASSWORD_REQUEST__INIT;
    Auth__V1__User out = AUTH__V1__USER__INIT;
    static const char LOGIN_ID[] = "0197a3c0-0000-7000-8000-000000000001";

    /* As after a login of now. */
    test_schema_script(&s->schema,
                       arena_printf(s->schema.mem,
                                    "INSERT INTO login (id, family_id, user_id, profile, user_agent, address,"
                                    "  created_at, last_used_at, expires_at) VALUES ('%s', '%s', %" PRId64
                                    ", 'all', '', '', now(), now(), now() + interval '1 day')"
                                    " ON CONFLICT DO NOTHING",
                                    LOGIN_ID, LOGIN_ID, user_id));
    rq.caller.login_id = LOGIN_ID;
    in.username = username;
    in.password = password;
    return call(&rq, "AddPassword", &in.base, &out.base);
}

static void the_last_way_in_stays(void **state)
{
    StoreSchema *s = *state;
    Account other = store_schema_account(s, "other", NULL, "secret1");
    Auth__V1__ListIdentitiesReply identities;
    int64_t id;

    assert_ok(sign_in(s));
    id = test_schema_count(&s->schema, "SELECT id FROM account WHERE username = 'ann'");
    assert_ok(list(s, id, &identities));
    assert_int_equal(identities.n_identities, 1);
    assert_string_equal(identities.identities[0]->provider, "acme");
    assert_string_equal(identities.identities[0]->email, "ann@example.org");
    assert_false(identities.has_password);
    assert_reason(unlink_it(s, id, identities.identities[0]->id), &LAST_CREDENTIAL);
    assert_reason(unlink_it(s, other.id, identities.identities[0]->id), &NOT_FOUND);
    assert_reason(unlink_it(s, id, "x"), &NOT_FOUND);
    assert_reason(add_password(s, id, NULL, "short"), &INVALID_PASSWORD);
    assert_reason(add_password(s, id, "other", "long enough"), &USERNAME_TAKEN);
    assert_ok(add_password(s, id, "anna", "long enough"));
    assert_reason(add_password(s, id, NULL, "long enough"), &HAS_PASSWORD);
    assert_ok(unlink_it(s, id, identities.identities[0]->id));
    assert_ok(list(s, id, &identities));
    assert_int_equal(identities.n_identities, 0);
    assert_true(identities.has_password);
    assert_int_equal(test_schema_count(&s->schema, "SELECT count(*) FROM audit_entry WHERE action IN ('password.added',"
                                                   "  'identity.unlinked')"),
                     2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SIGNIN_TEST(the_same_person_has_one_account),
        SIGNIN_TEST(addresses_link_only_where_both_sides_verified_them_and_the_provider_may),
        SIGNIN_TEST(an_address_counts_as_verified_only_by_who_is_trusted_with_them),
        SIGNIN_TEST(closed_means_closed_and_disabled_means_disabled),
        SIGNIN_TEST(who_is_logged_in_links_an_identity_and_signs_in_with_it),
        SIGNIN_TEST(a_link_needs_proof_and_the_browser_that_asked),
        SIGNIN_TEST(the_last_way_in_stays),
    };

    return cmocka_run_group_tests(tests, make_world, drop_world);
}
