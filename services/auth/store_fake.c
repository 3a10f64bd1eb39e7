/* store_fake: a store in memory, and a service around it, for tests of the handlers. */
#include "services/auth/store_fake.h"

#include <sodium.h>

#include "services/auth/passwords.h"
#include "services/auth/store_registration.h"

FakeStore fake;

static int64_t fake_unix_us(void *context)
{
    (void)context;
    return fake.now_us;
}

static int64_t fake_monotonic_us(void *context)
{
    (void)context;
    return fake.now_us;
}

const Clock FAKE_CLOCK = {.unix_us = fake_unix_us, .monotonic_us = fake_monotonic_us};

/* ---------------------------------------------------------------------------------------------------- the service */
int fake_setup(void **state)
{
    Fixture *f = xcalloc(1, sizeof(*f));
    char *hash;

    if (sodium_init() < 0)
        return -1;
    fake = (FakeStore){.now_us = 1800000000000000};
    f->mem = arena_new(65536);
    f->settings = (AuthSettings){
        .jwt_secret = "0123456789abcdef0123456789abcdef",
        .jwt_issuer = "atrium",
        .access_token_ttl_ms = 900000,
        .token_ttl_ms = 86400000,
        .refresh_token_ttl_ms = 604800000,
        .session_expires_days = 7,
        .jwt_algorithm = "HS256",
        .jwt_hs256 = true,
        .jwt_key_rotation_ms = 86400000,
        .jwt_key_lead_ms = 60000,
        .jwt_expiry_hours = 24,
        .public_url = "https://atrium.example",
        .smtp_host = "",
        .registration = "open",
        .max_logins = 100,
        .hash_ops = 1,
        .hash_memory_bytes = 8192,
        .admin_username = "admin",
        .admin_email = "",
        .admin_password = "",
        .admin_password_reset = "",
    };
    if (err_failed(jwt_key_new(slice(f->settings.jwt_secret), &f->key)) ||
        err_failed(password_hash_here(&f->settings, f->mem, "", &hash)))
        return -1;
    f->auth = (Auth){.settings = &f->settings, .key = f->key, .ids = id_source_new(&SYSTEM_CLOCK, 1)};
    snprintf(f->auth.dummy_hash, sizeof(f->auth.dummy_hash), "%s", hash);
    *state = f;
    return 0;
}

int fake_teardown(void **state)
{
    Fixture *f = *state;

    jwt_key_free(f->key);
    id_source_free(f->auth.ids);
    arena_free(f->mem);
    free(f);
    return 0;
}

Request fake_request(Fixture *f, const char *profile)
{
    return (Request){.mem = f->mem,
                     .service = &f->auth,
                     .profile = profile,
                     .client_address = "192.0.2.7",
                     .id = "test",
                     .clock = &FAKE_CLOCK,
                     .deadline_ms = fake.now_us / 1000 + 60000};
}

Request fake_user_request(Fixture *f, const char *profile, int64_t user_id, const char *login_id)
{
    Request rq = fake_request(f, profile);

    rq.caller = (Caller){.kind = CALLER_PERSON,
                         .user_id = user_id,
                         .role = ROLE_USER,
                         .username = "someone",
                         .login_id = login_id,
                         .service = ""};
    return rq;
}

Account *fake_account(Fixture *f, int64_t id, const char *username, const char *email, const char *password)
{
    Account *account = &fake.accounts[fake.account_count++];
    char *hash = NULL;

    if (password)
        assert_ok(password_hash_here(&f->settings, f->mem, password, &hash));
    *account = (Account){.id = id,
                         .username = username,
                         .display_name = username,
                         .provider = "local",
                         .email = email,
                         .password_hash = hash,
                         .role = ROLE_USER,
                         .active = true,
                         .created_us = fake.now_us,
                         .updated_us = fake.now_us};
    return account;
}

/* ---------------------------------------------------------------------------------------------------- the store */
static Account *find_by_id(int64_t id)
{
    for (size_t i = 0; i < fake.account_count; i++)
        if (fake.accounts[i].id == id)
            return &fake.accounts[i];
    return NULL;
}

static bool is_other(const char *a, const char *b)
{
    return !a || !b || strcmp(a, b) != 0;
}

Err auth_store_account(Request *rq, int64_t id, Account *out)
{
    const Account *found = find_by_id(id);
    (void)rq;

    *out = found ? *found : (Account){.id = 0};
    return OK;
}

Err auth_store_account_by_username(Request *rq, const char *username, Account *out)
{
    (void)rq;
    *out = (Account){.id = 0};
    for (size_t i = 0; i < fake.account_count; i++)
        if (strcmp(fake.accounts[i].username, username) == 0)
            *out = fake.accounts[i];
    return OK;
}

Err auth_store_account_by_email(Request *rq, const char *email, Account *out)
{
    (void)rq;
    *out = (Account){.id = 0};
    for (size_t i = 0; i < fake.account_count; i++)
        if (fake.accounts[i].email && slice_eq_nocase(slice(fake.accounts[i].email), slice(email)))
            *out = fake.accounts[i];
    return OK;
}

Err auth_store_insert_account(Request *rq, const Account *account, const NewLogin *login, const OutboxRow *announce)
{
    (void)rq;
    assert_true(slice_starts_with(slice(announce->subject), SLICE_LIT("evt.auth.user.registered.")));
    for (size_t i = 0; i < fake.account_count; i++) {
        if (!is_other(fake.accounts[i].username, account->username))
            return err_make(&USERNAME_TAKEN, "taken");
        if (!is_other(fake.accounts[i].email, account->email))
            return err_make(&EMAIL_TAKEN, "taken");
    }
    if (fake.username_conflicts > 0) {
        fake.username_conflicts--;
        return err_make(&USERNAME_TAKEN, "taken");
    }
    fake.accounts[fake.account_count++] = *account;
    if (login)
        fake.logins[fake.login_count++] = *login;
    return OK;
}

Err auth_store_insert_first_admin(Request *rq, const Account *account, const OutboxRow *announce, bool *out_made)
{
    *out_made = false;
    for (size_t i = 0; i < fake.account_count; i++)
        if (fake.accounts[i].role == ROLE_ADMIN)
            return OK;
    TRY(auth_store_insert_account(rq, account, NULL, announce));
    *out_made = true;
    return OK;
}

Err auth_store_insert_login(Request *rq, const NewLogin *login, int64_t max_logins, IdSource *ids)
{
    (void)rq, (void)max_logins, (void)ids;
    fake.logins[fake.login_count++] = *login;
    return OK;
}

Err auth_store_update_profile(Request *rq, int64_t user_id, const char *display_name, const char *avatar_hash,
                              int64_t now_us, const OutboxRow *announce, Account *out)
{
    Account *found = find_by_id(user_id);
    (void)rq, (void)announce;

    *out = (Account){.id = 0};
    if (!found)
        return OK;
    if (display_name)
        found->display_name = display_name;
    if (avatar_hash)
        found->avatar_hash = avatar_hash[0] ? avatar_hash : NULL;
    found->updated_us = now_us;
    *out = *found;
    return OK;
}

Err auth_store_change_password(Request *rq, int64_t user_id, const char *password_hash, Uuid keep, const Ending *ending)
{
    (void)rq;
    find_by_id(user_id)->password_hash = password_hash;
    fake.kept_id = keep;
    fake.why = ending->why;
    return OK;
}

Err auth_store_refresh(Request *rq, const Refresh *refresh, RefreshOutcome *out_outcome, Uuid *out_login_id,
                       Account *out_account)
{
    (void)rq;
    fake.refresh = *refresh;
    *out_outcome = fake.refresh_outcome;
    *out_login_id = fake.refresh_login_id;
    *out_account = fake.accounts[0];
    return OK;
}

Err auth_store_replace_login(Request *rq, Uuid old_id, const char *old_jti, const NewLogin *login, IdSource *ids,
                             bool *out_done, Account *out_account)
{
    (void)rq, (void)ids;
    fake.replaced_id = old_id;
    fake.replaced_jti = old_jti;
    if (fake.replace_done)
        fake.logins[fake.login_count++] = *login;
    *out_done = fake.replace_done;
    *out_account = fake.accounts[0];
    return OK;
}

Err auth_store_end_login(Request *rq, int64_t user_id, Uuid login_id, const Ending *ending, bool *out_ended)
{
    (void)rq, (void)user_id;
    fake.ended_id = login_id;
    fake.why = ending->why;
    *out_ended = fake.end_done;
    return OK;
}

Err auth_store_end_login_of_refresh_token(Request *rq, int64_t user_id, Slice refresh_hash, const Ending *ending)
{
    (void)rq, (void)user_id, (void)ending;
    fake.ended_by_hash = refresh_hash;
    return OK;
}

Err auth_store_end_login_of_opaque_token(Request *rq, Slice opaque_hash, const Ending *ending)
{
    (void)rq, (void)ending;
    fake.ended_by_hash = opaque_hash;
    return OK;
}

Err auth_store_end_other_logins(Request *rq, int64_t user_id, Uuid keep, const Ending *ending, int64_t *out_count)
{
    (void)rq, (void)user_id, (void)ending;
    fake.kept_id = keep;
    *out_count = fake.ended_count;
    return OK;
}

Err auth_store_list_logins(Request *rq, int64_t user_id, int64_t now_us, int64_t limit, LoginRow **out,
                           size_t *out_count)
{
    LoginRow *rows = ARENA_ARRAY(rq->mem, LoginRow, FAKE_MAX);
    (void)user_id, (void)now_us, (void)limit;

    for (size_t i = 0; i < fake.login_count; i++)
        rows[i] = (LoginRow){.id = fake.logins[i].id,
                             .user_agent = fake.logins[i].user_agent,
                             .address = fake.logins[i].address,
                             .created_us = fake.logins[i].created_us,
                             .last_used_us = fake.logins[i].created_us,
                             .expires_us = fake.logins[i].expires_us};
    *out = rows;
    *out_count = fake.login_count;
    return OK;
}

Err auth_store_opaque_has_expired(Request *rq, Slice opaque_hash, int64_t now_us, bool *out)
{
    (void)rq, (void)opaque_hash, (void)now_us;
    *out = false;
    return OK;
}

Err auth_store_resolve_opaque(Request *rq, Slice opaque_hash, int64_t now_us, LoginRow *out_login, Account *out_account)
{
    (void)rq, (void)now_us;
    *out_account = (Account){.id = 0};
    for (size_t i = 0; i < fake.login_count; i++)
        if (slice_eq(fake.logins[i].opaque_hash, opaque_hash)) {
            *out_account = *find_by_id(fake.logins[i].user_id);
            *out_login = (LoginRow){.id = fake.logins[i].id, .expires_us = fake.logins[i].expires_us};
        }
    return OK;
}

/* Nobody ever fails here: back-off is tested with the real one. */
Err defence_store_look(Request *rq, int64_t user_id, Slice network_hash, const Slice keys[DEFENCE_SCOPES],
                       DefenceLook *out)
{
    (void)rq, (void)user_id, (void)network_hash, (void)keys;
    *out = (DefenceLook){.network_known = false};
    return OK;
}

Err defence_store_fail(Request *rq, const Slice keys[DEFENCE_SCOPES], int64_t now_us, int64_t forgotten_us)
{
    (void)rq, (void)keys, (void)now_us, (void)forgotten_us;
    return OK;
}

Err defence_store_pass(Request *rq, Slice key, int64_t user_id, Slice network_hash, int64_t now_us)
{
    (void)rq, (void)key, (void)user_id, (void)network_hash, (void)now_us;
    return OK;
}

Err defence_store_rehash(Request *rq, int64_t user_id, const char *old_hash, const char *new_hash, bool *out_done)
{
    (void)rq, (void)old_hash;
    find_by_id(user_id)->password_hash = new_hash;
    *out_done = true;
    return OK;
}

Err defence_store_purge(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted)
{
    return auth_store_purge(rq, now_us, limit, out_deleted);
}

Err auth_store_purge(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted)
{
    (void)rq, (void)now_us, (void)limit;
    *out_deleted = 0;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- registration */
Err auth_store_runtime_setting(Request *rq, DbTx *tx, const char *name, const char **out)
{
    (void)rq, (void)tx, (void)name;
    *out = NULL;
    return OK;
}

Err auth_store_set_runtime_setting(DbTx *tx, const char *name, const char *value, int64_t changed_by, int64_t now_us)
{
    (void)tx, (void)name, (void)value, (void)changed_by, (void)now_us;
    return err_make(&INTERNAL, "not kept here");
}

Err auth_store_find_invitation(Request *rq, Slice hash, int64_t now_us, Invitation *out)
{
    (void)rq, (void)hash, (void)now_us;
    *out = (Invitation){.id = {{0}}};
    return OK;
}

Err auth_store_take_invitation(DbTx *tx, Uuid id, int64_t now_us)
{
    (void)tx, (void)id, (void)now_us;
    return err_make(&INTERNAL, "not kept here");
}

Err auth_store_insert_invitation(DbTx *tx, const Invitation *invitation, Slice hash, int64_t created_by)
{
    (void)tx, (void)invitation, (void)hash, (void)created_by;
    return err_make(&INTERNAL, "not kept here");
}

Err auth_store_list_invitations(Request *rq, Uuid before, int64_t now_us, int64_t limit, Invitation **out,
                                size_t *out_count)
{
    (void)rq, (void)before, (void)now_us, (void)limit, (void)out, (void)out_count;
    return err_make(&INTERNAL, "not kept here");
}

Err auth_store_revoke_invitation(DbTx *tx, Uuid id, int64_t now_us, bool *out_revoked)
{
    (void)tx, (void)id, (void)now_us, (void)out_revoked;
    return err_make(&INTERNAL, "not kept here");
}
