/* store_defence: see store_defence.h. */
#include "services/auth/store_defence.h"

#include "services/auth/defence.h"
#include "services/auth/mail.h"

static const char LOOK[] = "SELECT EXISTS (SELECT 1 FROM known_network WHERE user_id = $1 AND hash = $2),"
                           "  EXISTS (SELECT 1 FROM totp WHERE user_id = $1 AND confirmed_at IS NOT NULL),"
                           "  a.failures, a.last_at, b.failures, b.last_at, c.failures, c.last_at"
                           " FROM (SELECT) one LEFT JOIN login_failure a ON a.key = $3"
                           "  LEFT JOIN login_failure b ON b.key = $4 LEFT JOIN login_failure c ON c.key = $5";

Err defence_store_look(Request *rq, int64_t user_id, Slice network_hash, const Slice keys[DEFENCE_SCOPES],
                       DefenceLook *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DefenceLook look;

    TRY(db_read(rq, LOOK,
                DB_ARGS(db_int64(user_id), db_bytes(network_hash), db_bytes(keys[BY_NAME_AND_NETWORK]),
                        db_bytes(keys[BY_NETWORK]), db_bytes(keys[BY_NAME])),
                &rows));
    look.network_known = db_get_bool(&rows, 0, 0);
    look.second_factor = db_get_bool(&rows, 0, 1);
    for (int i = 0; i < DEFENCE_SCOPES; i++) {
        look.tries[i].failures = db_get_int64(&rows, 0, 2 + 2 * i);
        look.tries[i].last_us = db_get_time_us(&rows, 0, 3 + 2 * i);
    }
    *out = look;
    return OK;
}

/* In the keys' order, so that two never wait for each other. */
static const char COUNT_FAILURE[] =
    "INSERT INTO login_failure AS f (key, failures, last_at)"
    " SELECT k.key, 1, $4 FROM (VALUES ($1::bytea), ($2::bytea), ($3::bytea)) k (key) ORDER BY k.key"
    " ON CONFLICT (key) DO UPDATE SET last_at = excluded.last_at,"
    "  failures = CASE WHEN f.last_at <= $5 THEN 1 ELSE f.failures + 1 END";

Err defence_store_fail(Request *rq, const Slice keys[DEFENCE_SCOPES], int64_t now_us, int64_t forgotten_us)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec(&tx, COUNT_FAILURE,
                DB_ARGS(db_bytes(keys[0]), db_bytes(keys[1]), db_bytes(keys[2]), db_time_us(now_us),
                        db_time_us(forgotten_us))));
    return db_tx_commit(&tx);
}

static const char KNOW_NETWORK[] =
    "WITH forgiven AS (DELETE FROM login_failure WHERE key = $1)"
    " INSERT INTO known_network (user_id, hash, last_at) SELECT id, $3, $4 FROM account WHERE id = $2"
    " ON CONFLICT (user_id, hash) DO UPDATE SET last_at = excluded.last_at"
    /* The statement sees the networks that there were before it. */
    " RETURNING CASE WHEN xmax = 0 AND EXISTS (SELECT 1 FROM known_network WHERE user_id = $2)"
    "  THEN (SELECT email FROM account WHERE id = $2) END";

/* Of the first login there is nothing to tell. */
static Err tell_of_login(Request *rq, DbTx *tx, int64_t user_id, const char *email, int64_t now_us)
{
    char when[TIME_TEXT_BYTES];

    time_format(now_us, 0, when);
    return mail_insert(tx, rq,
                       &(MailDraft){.kind = MAIL_NEW_LOGIN,
                                    .user_id = user_id,
                                    .to = email,
                                    .detail = arena_printf(rq->mem, "%s, from %s", when,
                                                           rq->client_address ? rq->client_address : "nowhere")},
                       NULL);
}

Err defence_store_pass(Request *rq, Slice key, int64_t user_id, Slice network_hash, int64_t now_us)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_query(&tx, KNOW_NETWORK,
                 DB_ARGS(db_bytes(key), db_int64(user_id), db_bytes(network_hash), db_time_us(now_us)), &rows));
    if (rows.count > 0 && !db_is_null(&rows, 0, 0))
        TRY(tell_of_login(rq, &tx, user_id, db_get_cstr(rq->mem, &rows, 0, 0), now_us));
    return db_tx_commit(&tx);
}

static const char REHASH[] = "UPDATE account SET password_hash = $3 WHERE id = $1 AND password_hash = $2";

Err defence_store_rehash(Request *rq, int64_t user_id, const char *old_hash, const char *new_hash, bool *out_done)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t count;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec_count(&tx, REHASH, DB_ARGS(db_int64(user_id), db_text(slice(old_hash)), db_text(slice(new_hash))),
                      &count));
    TRY(db_tx_commit(&tx));
    *out_done = count > 0;
    return OK;
}

static const char PURGE_FAILURES[] = "DELETE FROM login_failure WHERE key IN (SELECT key FROM login_failure"
                                     "  WHERE last_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
static const char PURGE_NETWORKS[] = "DELETE FROM known_network WHERE (user_id, hash) IN (SELECT user_id, hash"
                                     "  FROM known_network WHERE last_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

Err defence_store_purge(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t failures, networks;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec_count(&tx, PURGE_FAILURES, DB_ARGS(db_time_us(now_us - DEFENCE_MEMORY_US), db_int64(limit)),
                      &failures));
    TRY(db_exec_count(&tx, PURGE_NETWORKS, DB_ARGS(db_time_us(now_us - KNOWN_NETWORK_US), db_int64(limit)), &networks));
    TRY(db_tx_commit(&tx));
    *out_deleted = failures + networks;
    return OK;
}
