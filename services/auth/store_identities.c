/* store_identities: see store_identities.h. */
#include "services/auth/store_identities.h"

#include "atrium/auth/v1/signin.service.h"
#include "services/auth/audit.h"
#include "services/auth/events.h"
#include "services/auth/mail.h"

static Err write_one(Request *rq, const char *sql, DbArgs args)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec(&tx, sql, args));
    return db_tx_commit(&tx);
}

/* ---------------------------------------------------------------------------------------------------- on their way */
static const char INSERT_STATE[] =
    "INSERT INTO signin_state (hash, browser_hash, provider, nonce, verifier, return_to, link_user_id, created_at,"
    "  expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

Err identities_store_insert_state(Request *rq, const SignInState *state, Slice hash, Slice browser_hash, int64_t now_us,
                                  int64_t expires_us)
{
    return write_one(rq, INSERT_STATE,
                     DB_ARGS(db_bytes(hash), db_bytes(browser_hash), db_text(slice(state->provider)),
                             db_text(slice(state->nonce)), db_text(slice(state->verifier)),
                             db_text(slice(state->return_to)),
                             state->link_user_id ? db_int64(state->link_user_id) : db_null(), db_time_us(now_us),
                             db_time_us(expires_us)));
}

/* Deleted and read at once: of two that bring it one has it. */
static const char TAKE_STATE[] =
    "DELETE FROM signin_state WHERE hash = $1 AND browser_hash = $2 AND provider = $3 AND expires_at > $4"
    " RETURNING nonce, verifier, return_to, link_user_id";

Err identities_store_take_state(Request *rq, Slice hash, Slice browser_hash, const char *provider, int64_t now_us,
                                SignInState *out, bool *out_found)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_query(&tx, TAKE_STATE,
                 DB_ARGS(db_bytes(hash), db_bytes(browser_hash), db_text(slice(provider)), db_time_us(now_us)), &rows));
    TRY(db_tx_commit(&tx));
    *out_found = rows.count > 0;
    if (rows.count > 0)
        *out = (SignInState){.provider = provider,
                             .nonce = db_get_cstr(rq->mem, &rows, 0, 0),
                             .verifier = db_get_cstr(rq->mem, &rows, 0, 1),
                             .return_to = db_get_cstr(rq->mem, &rows, 0, 2),
                             .link_user_id = db_get_int64(&rows, 0, 3)};
    return OK;
}

static const char INSERT_CODE[] = "INSERT INTO signin_code (hash, user_id, method, expires_at) VALUES ($1, $2, $3, $4)";

Err identities_store_insert_code(Request *rq, Slice hash, int64_t user_id, const char *method, int64_t expires_us)
{
    return write_one(rq, INSERT_CODE,
                     DB_ARGS(db_bytes(hash), db_int64(user_id), db_text(slice(method)), db_time_us(expires_us)));
}

static const char TAKE_CODE[] =
    "WITH taken AS (DELETE FROM signin_code WHERE hash = $1 AND expires_at > $2 RETURNING user_id, method)"
    " SELECT " ACCOUNT_COLUMNS ", taken.method FROM taken JOIN account a ON a.id = taken.user_id";

Err identities_store_take_code(Request *rq, Slice hash, int64_t now_us, Account *out, const char **out_method)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_query(&tx, TAKE_CODE, DB_ARGS(db_bytes(hash), db_time_us(now_us)), &rows));
    TRY(db_tx_commit(&tx));
    store_read_account_if_any(rq->mem, &rows, out);
    if (rows.count > 0)
        *out_method = db_get_cstr(rq->mem, &rows, 0, ACCOUNT_COLUMN_COUNT);
    return OK;
}

#define PURGE_OF(table)                                                                                                \
    "DELETE FROM " table " WHERE hash IN (SELECT hash FROM " table                                                     \
    "  WHERE expires_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)"
static const char PURGE_STATES[] = PURGE_OF("signin_state"), PURGE_CODES[] = PURGE_OF("signin_code");

Err identities_store_purge(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t codes;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec_count(&tx, PURGE_STATES, DB_ARGS(db_time_us(now_us), db_int64(limit)), out_deleted));
    TRY(db_exec_count(&tx, PURGE_CODES, DB_ARGS(db_time_us(now_us), db_int64(limit)), &codes));
    *out_deleted += codes;
    return db_tx_commit(&tx);
}

/* ---------------------------------------------------------------------------------------------------- identities */
static const char USE_IDENTITY[] =
    "WITH used AS (UPDATE identity SET name = $4, email = $5, email_verified = $6, avatar_url = $7, last_used_at = $8"
    "  WHERE provider = $1 AND issuer = $2 AND subject = $3 RETURNING user_id)"
    " SELECT " ACCOUNT_COLUMNS " FROM used JOIN account a ON a.id = used.user_id";

Err identities_store_use(Request *rq, const char *provider, const Person *person, int64_t now_us, Account *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_query(&tx, USE_IDENTITY,
                 DB_ARGS(db_text(slice(provider)), db_text(slice(person->issuer)), db_text(slice(person->subject)),
                         db_text(slice(person->name)), db_text_or_null(person->email), db_bool(person->email_verified),
                         db_text(slice(person->avatar_url)), db_time_us(now_us)),
                 &rows));
    TRY(db_tx_commit(&tx));
    store_read_account_if_any(rq->mem, &rows, out);
    return OK;
}

static const char INSERT_IDENTITY[] =
    "INSERT INTO identity (id, user_id, provider, issuer, subject, name, email, email_verified, avatar_url, created_at,"
    "  last_used_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)";

static Err insert_identity(Request *rq, DbTx *tx, int64_t user_id, const char *provider, const Person *person,
                           int64_t now_us)
{
    const Auth *auth = rq->service;
    Err e = db_exec(tx, INSERT_IDENTITY,
                    DB_ARGS(db_uuid(uuid_v7(auth->ids)), db_int64(user_id), db_text(slice(provider)),
                            db_text(slice(person->issuer)), db_text(slice(person->subject)),
                            db_text(slice(person->name)), db_text_or_null(person->email),
                            db_bool(person->email_verified), db_text(slice(person->avatar_url)), db_time_us(now_us)));

    if (err_failed(e) && db_violated(tx, "identity_subject_key"))
        return err_make(&IDENTITY_TAKEN, "this identity is linked to another account");
    return e;
}

static const char COUNT_IDENTITIES[] = "SELECT count(*) FROM identity WHERE user_id = $1";

Err identities_store_link(Request *rq, int64_t user_id, const char *provider, const Person *person, int64_t now_us)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(store_lock_account(&tx, user_id)); /* or two at once would be one too many */
    TRY(db_query(&tx, COUNT_IDENTITIES, DB_ARGS(db_int64(user_id)), &rows));
    if (db_get_int64(&rows, 0, 0) >= IDENTITIES_MAX)
        return err_make(&CONFLICT, "an account has %d identities at most", IDENTITIES_MAX);
    TRY(insert_identity(rq, &tx, user_id, provider, person, now_us));
    TRY(audit_insert_user(&tx, rq, AUDIT_IDENTITY_LINKED, user_id, audit_detail(rq->mem, "provider", provider)));
    return db_tx_commit(&tx);
}

static const char SET_VERIFIED[] = "UPDATE account SET email_verified_at = $2 WHERE id = $1 AND email IS NOT NULL";

Err identities_store_create(Request *rq, const Account *account, const Person *person, bool email_trusted,
                            const OutboxRow *announce)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(store_insert_account(&tx, account));
    if (email_trusted)
        TRY(db_exec(&tx, SET_VERIFIED, DB_ARGS(db_int64(account->id), db_time_us(account->created_us))));
    else if (account->email) /* is it his? */
        TRY(mail_insert(&tx, rq, &(MailDraft){.kind = MAIL_VERIFICATION, .user_id = account->id, .to = account->email},
                        NULL));
    TRY(insert_identity(rq, &tx, account->id, account->provider, person, account->created_us));
    TRY(outbox_insert(&tx, announce, false));
    return db_tx_commit(&tx);
}

static const char BY_VERIFIED_EMAIL[] =
    "SELECT " ACCOUNT_COLUMNS " FROM account a WHERE lower(a.email) = lower($1::text)"
    "  AND a.email_verified_at IS NOT NULL";

Err identities_store_by_verified_email(Request *rq, const char *email, Account *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, BY_VERIFIED_EMAIL, DB_ARGS(db_text(slice(email))), &rows));
    store_read_account_if_any(rq->mem, &rows, out);
    return OK;
}

static const char LIST_IDENTITIES[] = "SELECT id, provider, subject, name, email, avatar_url, created_at, last_used_at"
                                      " FROM identity WHERE user_id = $1 ORDER BY created_at, id LIMIT $2";

Err identities_store_list(Request *rq, int64_t user_id, Identity **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Identity *list;

    TRY(db_read(rq, LIST_IDENTITIES, DB_ARGS(db_int64(user_id), db_int64(IDENTITIES_MAX)), &rows));
    list = ARENA_ARRAY(rq->mem, Identity, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        list[i] = (Identity){.id = db_get_uuid(&rows, i, 0),
                             .user_id = user_id,
                             .provider = db_get_cstr(rq->mem, &rows, i, 1),
                             .subject = db_get_cstr(rq->mem, &rows, i, 2),
                             .name = db_get_cstr(rq->mem, &rows, i, 3),
                             .email = db_get_cstr_or_null(rq->mem, &rows, i, 4),
                             .avatar_url = db_get_cstr(rq->mem, &rows, i, 5),
                             .created_us = db_get_time_us(&rows, i, 6),
                             .last_used_us = db_get_time_us(&rows, i, 7)};
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char DELETE_IDENTITY[] = "DELETE FROM identity WHERE id = $1 AND user_id = $2 RETURNING provider";
static const char HAS_ANOTHER_WAY_IN[] = "SELECT a.password_hash IS NOT NULL"
                                         "  OR EXISTS (SELECT 1 FROM identity i WHERE i.user_id = a.id)"
                                         "  OR EXISTS (SELECT 1 FROM passkey p WHERE p.user_id = a.id)"
                                         " FROM account a WHERE a.id = $1";

/* Under the account's lock: of two that go at once the second sees that it is the last. */
Err identities_store_unlink(Request *rq, int64_t user_id, Uuid id)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows gone = {0};
    CLEANUP(db_rows_done) DbRows left = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(store_lock_account(&tx, user_id));
    TRY(db_query(&tx, DELETE_IDENTITY, DB_ARGS(db_uuid(id), db_int64(user_id)), &gone));
    if (gone.count == 0)
        return err_make(&NOT_FOUND, "you have no such identity");
    TRY(db_query(&tx, HAS_ANOTHER_WAY_IN, DB_ARGS(db_int64(user_id)), &left));
    if (left.count == 0 || !db_get_bool(&left, 0, 0))
        return err_make(&LAST_CREDENTIAL, "you could not sign in any more: add a password or another identity first");
    TRY(audit_insert_user(&tx, rq, AUDIT_IDENTITY_UNLINKED, user_id,
                          audit_detail(rq->mem, "provider", db_get_cstr(rq->mem, &gone, 0, 0))));
    return db_tx_commit(&tx);
}

static const char ADD_PASSWORD[] =
    "UPDATE account SET password_hash = $2, username = coalesce($3, username), updated_at = $4"
    " WHERE id = $1 AND password_hash IS NULL";

Err identities_store_add_password(Request *rq, int64_t user_id, const char *username, const char *password_hash,
                                  int64_t now_us)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const Auth *auth = rq->service;
    OutboxRow announce;
    int64_t count;
    Err e;

    TRY(db_tx_begin(rq, &tx));
    e = db_exec_count(
        &tx, ADD_PASSWORD,
        DB_ARGS(db_int64(user_id), db_text(slice(password_hash)), db_text_or_null(username), db_time_us(now_us)),
        &count);
    if (err_failed(e) && db_violated(&tx, "account_username_key"))
        return err_make(&USERNAME_TAKEN, "username is already taken");
    TRY(e);
    if (count == 0)
        return err_make(&HAS_PASSWORD, "you have a password already");
    announce = user_profile_changed_event(rq->mem, auth->ids, user_id, now_us);
    TRY(outbox_insert(&tx, &announce, false));
    TRY(audit_insert_user(&tx, rq, AUDIT_PASSWORD_ADDED, user_id, NULL));
    return db_tx_commit(&tx);
}
