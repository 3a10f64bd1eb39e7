/* store_keys: see store_keys.h. */
#include "services/auth/store_keys.h"

#include "services/auth/events.h"
#include "services/auth/store_tx.h"

enum { REPORTS_KEEP_S = 3600 };

/* $1 is always the time now. */
#define LIVE_KEY "k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $1)"
#define KEY_COLUMNS                                                                                                    \
    "k.id, k.owner_id, k.prefix, k.name, k.kind, k.tier, k.role, array_to_string(k.scopes, ' '), k.source_id, "        \
    "k.created_at, k.expires_at, k.last_used_at, k.revoked_at, "                                                       \
    "(" LIVE_KEY " AND (SELECT active FROM account WHERE id = k.owner_id))"
enum { KEY_COLUMN_COUNT = 14 };

static void read_key(Arena *mem, const DbRows *rows, int row, KeyRow *out)
{
    *out = (KeyRow){
        .id = db_get_uuid(rows, row, 0),
        .owner_id = db_get_int64(rows, row, 1),
        .prefix = db_get_cstr(mem, rows, row, 2),
        .name = db_get_cstr(mem, rows, row, 3),
        .kind = db_get_cstr(mem, rows, row, 4),
        .tier = db_get_cstr(mem, rows, row, 5),
        .role = db_get_cstr_or_null(mem, rows, row, 6),
        .source_id = db_get_cstr_or_null(mem, rows, row, 8),
        .created_us = db_get_time_us(rows, row, 9),
        .expires_us = db_get_time_us(rows, row, 10),
        .last_used_us = db_get_time_us(rows, row, 11),
        .revoked_us = db_get_time_us(rows, row, 12),
        .live = db_get_bool(rows, row, 13),
    };
    store_read_words(mem, rows, row, 7, &out->scopes, &out->scope_count);
}

/* ---------------------------------------------------------------------------------------------------- making */
static const char INSERT_KEY[] =
    "INSERT INTO api_key (id, hash, prefix, owner_id, name, kind, role, scopes, tier, source_id, rotated_from,"
    "  created_at, created_by, expires_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $7::text IS NULL THEN $8::text[] END, $9, $10, $11, $12,"
    "  (SELECT id FROM account WHERE id = $13), $14)";

Err auth_store_insert_key(Request *rq, DbTx *tx, const KeyRow *key, Slice hash, Uuid rotated_from, int64_t created_by)
{
    static const Uuid NIL = {{0}};
    Slice *scopes = ARENA_ARRAY(rq->mem, Slice, key->scope_count + 1);

    for (size_t i = 0; i < key->scope_count; i++)
        scopes[i] = slice(key->scopes[i]);
    return db_exec(tx, INSERT_KEY,
                   DB_ARGS(db_uuid(key->id), db_bytes(hash), db_text(slice(key->prefix)), db_int64(key->owner_id),
                           db_text(slice(key->name)), db_text(slice(key->kind)), db_text_or_null(key->role),
                           db_text_array(scopes, key->scope_count), db_text(slice(key->tier)),
                           db_text_or_null(key->source_id),
                           memcmp(&rotated_from, &NIL, sizeof(NIL)) != 0 ? db_uuid(rotated_from) : db_null(),
                           db_time_us(key->created_us), db_int64(created_by), db_time_us_or_null(key->expires_us)));
}

static const char COUNT_KEYS[] =
    "SELECT count(*) FROM api_key k WHERE " LIVE_KEY " AND k.owner_id = $2 AND k.kind = $3";

Err auth_store_count_keys(DbTx *tx, int64_t owner_id, const char *kind, int64_t now_us, int64_t *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, COUNT_KEYS, DB_ARGS(db_time_us(now_us), db_int64(owner_id), db_text(slice(kind))), &rows));
    *out = db_get_int64(&rows, 0, 0);
    return OK;
}

static const char SELECT_ALLOWANCE[] = "SELECT max_keys FROM key_allowance WHERE user_id = $1";

Err auth_store_key_allowance(DbTx *tx, int64_t user_id, int64_t otherwise, int64_t *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, SELECT_ALLOWANCE, DB_ARGS(db_int64(user_id)), &rows));
    *out = rows.count > 0 ? db_get_int64(&rows, 0, 0) : otherwise;
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- reading */
/* $2 the owner or 0, $3 the kind or NULL. */
#define SHOWN_KEY "($2::bigint = 0 OR k.owner_id = $2) AND (k.kind = $3 OR ($3::text IS NULL AND k.kind <> 'personal'))"
#define SHOWN_ARGS(now_us, filter) db_time_us(now_us), db_int64((filter)->owner_id), db_text_or_null((filter)->kind)

static const char LIST_KEYS[] = "SELECT " KEY_COLUMNS " FROM api_key k WHERE " SHOWN_KEY
                                "  AND ($4 = '00000000-0000-0000-0000-000000000000'::uuid OR k.id < $4)"
                                " ORDER BY k.id DESC LIMIT $5";

Err auth_store_list_keys(Request *rq, const KeyFilter *filter, Uuid before, int64_t limit, int64_t now_us, KeyRow **out,
                         size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    KeyRow *list;

    TRY(db_read(rq, LIST_KEYS, DB_ARGS(SHOWN_ARGS(now_us, filter), db_uuid(before), db_int64(limit)), &rows));
    list = ARENA_ARRAY(rq->mem, KeyRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_key(rq->mem, &rows, i, &list[i]);
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char SELECT_KEY[] = "SELECT " KEY_COLUMNS " FROM api_key k WHERE " SHOWN_KEY " AND k.id = $4";
static const char LOCK_KEY[] = "SELECT " KEY_COLUMNS " FROM api_key k WHERE " SHOWN_KEY " AND k.id = $4 FOR UPDATE";

Err auth_store_key(Request *rq, DbTx *tx, const KeyFilter *filter, Uuid id, int64_t now_us, KeyRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DbArgs args = DB_ARGS(SHOWN_ARGS(now_us, filter), db_uuid(id));

    TRY(tx ? db_query(tx, LOCK_KEY, args, &rows) : db_read(rq, SELECT_KEY, args, &rows));
    *out = (KeyRow){.id = {{0}}};
    if (rows.count > 0)
        read_key(rq->mem, &rows, 0, out);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- ending */
static const char REVOKE_KEY[] = "UPDATE api_key k SET revoked_at = $1 WHERE k.id = $2 AND k.revoked_at IS NULL";

static Err announce_end(Request *rq, DbTx *tx, Uuid id, int64_t owner_id, const Ending *ending)
{
    OutboxRow row = login_ended_event(rq->mem, ending->ids, id, owner_id, ending->why, ending->at_us);

    return outbox_insert(tx, &row, false);
}

static const char END_LOGINS_OF_KEY[] = STORE_END_THE_LOGINS("api_key_id = $3");

Err auth_store_revoke_key(Request *rq, DbTx *tx, const KeyRow *key, const Ending *ending)
{
    TRY(db_exec(tx, REVOKE_KEY, DB_ARGS(db_time_us(ending->at_us), db_uuid(key->id))));
    TRY(store_end_logins(rq, tx, ending, END_LOGINS_OF_KEY, DB_ARGS(STORE_ENDING_ARGS(ending), db_uuid(key->id)),
                         NULL));
    return announce_end(rq, tx, key->id, key->owner_id, ending);
}

static const char REVOKE_KEYS_OF[] =
    "UPDATE api_key SET revoked_at = $1 WHERE id IN (SELECT k.id FROM api_key k WHERE " LIVE_KEY
    " AND k.owner_id = $2 ORDER BY k.id FOR UPDATE) RETURNING id";

static const char END_LOGINS_OF_KEYS_OF[] = STORE_END_THE_LOGINS("user_id = $3 AND api_key_id IS NOT NULL");

Err auth_store_revoke_keys_of(Request *rq, DbTx *tx, int64_t owner_id, const Ending *ending)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, REVOKE_KEYS_OF, DB_ARGS(db_time_us(ending->at_us), db_int64(owner_id)), &rows));
    for (int i = 0; i < rows.count; i++)
        TRY(announce_end(rq, tx, db_get_uuid(&rows, i, 0), owner_id, ending));
    return store_end_logins(rq, tx, ending, END_LOGINS_OF_KEYS_OF,
                            DB_ARGS(STORE_ENDING_ARGS(ending), db_int64(owner_id)), NULL);
}

/* The key is looked at once more, and stays as it is until the login is there: who revokes it ends this, too. */
static const char INSERT_KEY_LOGIN[] =
    "INSERT INTO login (id, family_id, user_id, profile, user_agent, address, created_at, last_used_at, expires_at,"
    "  method, api_key_id)"
    " SELECT $3, $3, k.owner_id, $4, $5, $6, $1, $1, $7, 'api_key', k.id FROM api_key k WHERE " LIVE_KEY
    " AND k.id = $2 FOR SHARE";

Err auth_store_insert_key_login(DbTx *tx, Uuid key_id, const NewLogin *login, bool *out_made)
{
    int64_t count;

    TRY(db_exec_count(tx, INSERT_KEY_LOGIN,
                      DB_ARGS(db_time_us(login->created_us), db_uuid(key_id), db_uuid(login->id),
                              db_text(slice(login->profile)), db_text(slice(login->user_agent)),
                              db_text(slice(login->address)), db_time_us(login->expires_us)),
                      &count));
    *out_made = count > 0;
    return OK;
}

static const char SHORTEN_KEY[] = "UPDATE api_key SET expires_at = least(coalesce(expires_at, $2), $2) WHERE id = $1";

Err auth_store_shorten_key(DbTx *tx, Uuid id, int64_t expires_us)
{
    return db_exec(tx, SHORTEN_KEY, DB_ARGS(db_uuid(id), db_time_us(expires_us)));
}

/* ---------------------------------------------------------------------------------------------------- resolving */
/* Two statements, so that each has its index. */
#define RESOLVE_KEY_BY(what)                                                                                           \
    "SELECT " KEY_COLUMNS ", " ACCOUNT_COLUMNS " FROM api_key k JOIN account a ON a.id = k.owner_id"                   \
    " WHERE " LIVE_KEY " AND a.active AND " what " = $2"
static const char RESOLVE_KEY_BY_HASH[] = RESOLVE_KEY_BY("k.hash");
static const char RESOLVE_KEY_BY_ID[] = RESOLVE_KEY_BY("k.id");

Err auth_store_resolve_key(Request *rq, Slice hash, Uuid id, int64_t now_us, KeyRow *out_key, Account *out_owner)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    if (hash.len > 0)
        TRY(db_read(rq, RESOLVE_KEY_BY_HASH, DB_ARGS(db_time_us(now_us), db_bytes(hash)), &rows));
    else
        TRY(db_read(rq, RESOLVE_KEY_BY_ID, DB_ARGS(db_time_us(now_us), db_uuid(id)), &rows));
    *out_key = (KeyRow){.id = {{0}}};
    *out_owner = (Account){.id = 0};
    if (rows.count > 0) {
        read_key(rq->mem, &rows, 0, out_key);
        store_read_account(rq->mem, &rows, 0, KEY_COLUMN_COUNT, out_owner);
    }
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- usage */
static const char SELECT_USAGE[] =
    "SELECT u.key_id, k.prefix, u.day::text, u.requests, u.errors,"
    "  (sum(u.requests) OVER ())::bigint, (sum(u.errors) OVER ())::bigint"
    " FROM api_key_usage u JOIN api_key k ON k.id = u.key_id"
    " WHERE u.day BETWEEN $1::text::date AND $2::text::date AND ($3::bigint = 0 OR k.owner_id = $3)"
    "  AND (u.key_id = $4 OR ($4 = '00000000-0000-0000-0000-000000000000'::uuid AND k.kind <> 'personal'))"
    " ORDER BY u.day, u.key_id LIMIT $5";

Err auth_store_key_usage(Request *rq, const UsageFilter *filter, int64_t limit, UsageRow **out, size_t *out_count,
                         int64_t *out_requests, int64_t *out_errors)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    UsageRow *list;

    TRY(db_read(rq, SELECT_USAGE,
                DB_ARGS(db_text(slice(filter->from)), db_text(slice(filter->to)), db_int64(filter->owner_id),
                        db_uuid(filter->key_id), db_int64(limit)),
                &rows));
    list = ARENA_ARRAY(rq->mem, UsageRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        list[i] = (UsageRow){.key_id = db_get_uuid(&rows, i, 0),
                             .prefix = db_get_cstr(rq->mem, &rows, i, 1),
                             .day = db_get_cstr(rq->mem, &rows, i, 2),
                             .requests = db_get_int64(&rows, i, 3),
                             .errors = db_get_int64(&rows, i, 4)};
    *out = list;
    *out_count = (size_t)rows.count;
    *out_requests = rows.count > 0 ? db_get_int64(&rows, 0, 5) : 0;
    *out_errors = rows.count > 0 ? db_get_int64(&rows, 0, 6) : 0;
    return OK;
}

static const char INSERT_REPORT[] = "INSERT INTO api_key_report (id, at) VALUES ($1, $2) ON CONFLICT DO NOTHING";

#define REPORTED "unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS r (id, requests, errors, used_ms)"
/* In the order of the keys, so that the reports of two gateways never wait for each other. */
static const char ADD_USAGE[] =
    "INSERT INTO api_key_usage AS u (key_id, day, requests, errors)"
    " SELECT k.id, (to_timestamp(r.used_ms / 1000) AT TIME ZONE 'UTC')::date AS day, sum(r.requests), sum(r.errors)"
    "  FROM " REPORTED " JOIN api_key k ON k.id = r.id::uuid GROUP BY k.id, day ORDER BY k.id, day"
    " ON CONFLICT (key_id, day) DO UPDATE SET requests = u.requests + EXCLUDED.requests,"
    "  errors = u.errors + EXCLUDED.errors";

/* To the minute, so that a busy key's row is written once in it. */
static const char NOTE_USE[] =
    "UPDATE api_key k SET last_used_at = r.used FROM ("
    "  SELECT r.id::uuid AS id, date_trunc('minute', to_timestamp(max(r.used_ms) / 1000)) AS used"
    "   FROM " REPORTED " GROUP BY r.id) r"
    " WHERE k.id = r.id AND (k.last_used_at IS NULL OR k.last_used_at < r.used)";

Err auth_store_add_usage(Request *rq, const UsageReport *report, int64_t now_us)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    DbArgs args =
        DB_ARGS(db_text_array(report->key_ids, report->count), db_int64_array(report->requests, report->count),
                db_int64_array(report->errors, report->count), db_int64_array(report->last_used_ms, report->count));
    int64_t is_new;

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec_count(&tx, INSERT_REPORT, DB_ARGS(db_uuid(report->id), db_time_us(now_us)), &is_new));
    if (is_new > 0) {
        TRY(db_exec(&tx, ADD_USAGE, args));
        TRY(db_exec(&tx, NOTE_USE, args));
    }
    return db_tx_commit(&tx);
}

static const char PURGE_REPORTS[] =
    "DELETE FROM api_key_report WHERE id IN (SELECT id FROM api_key_report WHERE at < $1 LIMIT $2)";

Err auth_store_purge_reports(Request *rq, int64_t now_us, int64_t limit, int64_t *out_deleted)
{
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin(rq, &tx));
    TRY(db_exec_count(&tx, PURGE_REPORTS,
                      DB_ARGS(db_time_us(now_us - (int64_t)REPORTS_KEEP_S * 1000000), db_int64(limit)), out_deleted));
    return db_tx_commit(&tx);
}
