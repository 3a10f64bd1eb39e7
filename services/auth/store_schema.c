/* store_schema: the tables of auth in a schema of the test's own, and a service around them. */
#include "services/auth/store_schema.h"

#include <sodium.h>

#include "services/auth/accounts.h"

#include "shared/migrate.h"

enum { CONNECTIONS = 6, SCRIPT_TIMEOUT_MS = 20000, REQUEST_MS = 60000 };

void store_schema_script(StoreSchema *s, const char *sql)
{
    char *detail = NULL;
    DbConn *conn;

    assert_ok(db_conn_open(s->db, 5000, &conn));
    if (err_failed(db_conn_script(conn, SCRIPT_TIMEOUT_MS, s->mem, sql, &detail)))
        fail_msg("%s", detail ? detail : "script failed");
    db_conn_close(conn);
}

int64_t store_schema_count(StoreSchema *s, const char *sql)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    assert_ok(db_read_with(s->db, 5000, sql, DB_NO_ARGS, &rows));
    return db_get_int64(&rows, 0, 0);
}

static int64_t standing_us(void *context)
{
    return ((const StoreSchema *)context)->now_us;
}

static void make_service(StoreSchema *s)
{
    JwtKey *key;
    char *hash;

    s->now_us = clock_unix_us(&SYSTEM_CLOCK);
    s->clock = (Clock){.unix_us = standing_us, .monotonic_us = SYSTEM_CLOCK.monotonic_us, .context = s};
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
    s->auth = (Auth){.settings = &s->settings, .key = key, .ids = s->ids};
    assert_ok(password_hash_here(&s->settings, s->mem, "", &hash));
    snprintf(s->auth.dummy_hash, sizeof(s->auth.dummy_hash), "%s", hash);
}

Request store_schema_request(StoreSchema *s)
{
    return (Request){.mem = s->mem,
                     .service = &s->auth,
                     .caller = {.kind = CALLER_NOBODY, .username = "", .login_id = "", .service = ""},
                     .profile = "all",
                     .client_address = "192.0.2.7",
                     .id = "test",
                     .clock = &s->clock,
                     .deadline_ms = clock_monotonic_ms(&s->clock) + REQUEST_MS,
                     .db = s->db};
}

Request store_schema_user_request(StoreSchema *s, int64_t user_id)
{
    Request rq = store_schema_request(s);

    rq.caller = (Caller){.kind = CALLER_PERSON,
                         .user_id = user_id,
                         .role = ROLE_USER,
                         .username = "someone",
                         .login_id = "",
                         .service = ""};
    return rq;
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
    const char *url = getenv("TEST_DATABASE_URL");
    StoreSchema *s = xcalloc(1, sizeof(*s));

    if (sodium_init() < 0)
        return -1;
    if (!url)
        fail_msg("TEST_DATABASE_URL is not set: run this by tests/run-units");
    s->mem = arena_new(65536);
    s->ids = id_source_new(&SYSTEM_CLOCK, 7);
    snprintf(s->name, sizeof(s->name), "auth_test_%016" PRIx64, random_uint64());
    assert_ok(db_new(&(DbOptions){.url = url,
                                  .schema = s->name,
                                  .application_name = s->name,
                                  .pool_size = CONNECTIONS,
                                  .acquire_timeout_ms = 5000},
                     &s->db));
    store_schema_script(s, arena_printf(s->mem, "CREATE SCHEMA %s", s->name));
    for (size_t i = 0; i < MIGRATION_COUNT; i++)
        if (strcmp(MIGRATIONS[i].service, "shared") == 0 || strcmp(MIGRATIONS[i].service, "auth") == 0)
            store_schema_script(s, MIGRATIONS[i].sql);
    make_service(s);
    *state = s;
    return 0;
}

int store_schema_drop(void **state)
{
    StoreSchema *s = *state;

    jwt_key_free((JwtKey *)s->auth.key);
    store_schema_script(s, arena_printf(s->mem, "DROP SCHEMA %s CASCADE", s->name));
    db_free(s->db);
    id_source_free(s->ids);
    arena_free(s->mem);
    free(s);
    return 0;
}

void store_schema_person(StoreSchema *s, int64_t id, const char *username, Role role)
{
    store_schema_script(s, arena_printf(s->mem,
                                        "INSERT INTO account (id, username, display_name, role, created_at, updated_at)"
                                        " VALUES (%" PRId64 ", '%s', '%s', %d, now(), now())",
                                        id, username, username, (int)role));
}
