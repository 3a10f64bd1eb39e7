/* store_schema: the tables of auth in a schema of the test's own, and a service around them. */
#include "services/auth/store_schema.h"

#include <sodium.h>

#include "services/auth/accounts.h"

static void make_service(StoreSchema *s)
{
    JwtKey *key;
    char *hash;

    s->settings = (AuthSettings){
        .jwt_secret = "0123456789abcdef0123456789abcdef",
        .jwt_issuer = "atrium",
        .access_token_ttl_ms = 900000,
        .token_ttl_ms = 86400000,
        .refresh_token_ttl_ms = 604800000,
        .session_expires_days = 7,
        .jwt_algorithm = "HS256",
        .jwt_hs256 = true,
        .jwt_key_rotation_ms = INT64_C(2592000000),
        .jwt_key_lead_ms = 60000,
        .jwt_expiry_hours = 24,
        .public_url = "https://atrium.example",
        .registration = "open",
        .invitation_ttl_ms = 604800000,
        .erasure_domains = "",
        .max_logins = 100,
        .login_backoff = true,
        .dev_max_keys = 5,
        .token_exchange_minutes = 60,
        .totp_issuer = "Atrium",
        .smtp_host = "",
        .smtp_tls = "starttls",
        .smtp_from = "atrium@example.org",
        .mail_name = "Atrium",
        .mail_retry_ms = 60000,
        .verify_ttl_ms = 86400000,
        .reset_ttl_ms = 3600000,
        .hash_ops = 1,
        .hash_memory_bytes = 8192,
        .admin_username = "admin",
        .admin_email = "",
        .admin_password = "",
        .admin_password_reset = "",
    };
    assert_ok(jwt_key_new(slice(s->settings.jwt_secret), &key));
    s->auth = (Auth){.settings = &s->settings, .key = key, .ids = s->schema.ids};
    assert_ok(password_hash_here(&s->settings, s->schema.mem, "", &hash));
    snprintf(s->auth.dummy_hash, sizeof(s->auth.dummy_hash), "%s", hash);
}

Request store_schema_request(StoreSchema *s)
{
    return test_schema_request(&s->schema, &s->auth, 0);
}

Request store_schema_user_request(StoreSchema *s, int64_t user_id)
{
    return test_schema_request(&s->schema, &s->auth, user_id);
}

Request store_schema_request_of(StoreSchema *s, int64_t user_id, Role role)
{
    Request rq = store_schema_user_request(s, user_id);

    rq.caller.role = role;
    return rq;
}

Account store_schema_account(StoreSchema *s, const char *username, const char *email, const char *password)
{
    Request rq = store_schema_request(s);
    AccountDraft draft = {
        .username = username, .email = email, .password = password ? password : "", .role = ROLE_USER};
    Account account;

    assert_ok(account_prepare(&rq, &draft, &account));
    if (!password)
        account.password_hash = NULL;
    assert_ok(account_store(&rq, &account, NULL));
    return account;
}

int store_schema_make(void **state)
{
    StoreSchema *s = xcalloc(1, sizeof(*s));

    if (sodium_init() < 0)
        return -1;
    test_schema_make(&s->schema, "auth");
    make_service(s);
    *state = s;
    return 0;
}

int store_schema_drop(void **state)
{
    StoreSchema *s = *state;

    jwt_key_free((JwtKey *)s->auth.key);
    test_schema_drop(&s->schema);
    free(s);
    return 0;
}

void store_schema_person(StoreSchema *s, int64_t id, const char *username, Role role)
{
    test_schema_script(&s->schema,
                       arena_printf(s->schema.mem,
                                    "INSERT INTO account (id, username, display_name, role, created_at, updated_at)"
                                    " VALUES (%" PRId64 ", '%s', '%s', %d, now(), now())",
                                    id, username, username, (int)role));
}
