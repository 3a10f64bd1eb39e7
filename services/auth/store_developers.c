/* store_developers: see store_developers.h. */
#include "services/auth/store_developers.h"

static const char SELECT_DEVELOPERS[] =
    "SELECT u.id, coalesce(k.max_keys, $2),"
    "  (SELECT count(*) FROM api_key ak WHERE ak.owner_id = u.id AND ak.kind = 'developer' AND ak.revoked_at IS NULL"
    "    AND (ak.expires_at IS NULL OR ak.expires_at > $3)),"
    "  (SELECT i.name FROM identity i WHERE i.user_id = u.id AND i.provider = 'github' ORDER BY i.created_at LIMIT 1)"
    " FROM unnest($1::bigint[]) WITH ORDINALITY u (id, n) LEFT JOIN key_allowance k ON k.user_id = u.id ORDER BY u.n";

Err auth_store_developers(Request *rq, const int64_t *ids, size_t count, int64_t otherwise, int64_t now_us,
                          DeveloperRow **out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DeveloperRow *list;

    TRY(db_read(rq, SELECT_DEVELOPERS, DB_ARGS(db_int64_array(ids, count), db_int64(otherwise), db_time_us(now_us)),
                &rows));
    list = ARENA_ARRAY(rq->mem, DeveloperRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        list[i] = (DeveloperRow){.user_id = db_get_int64(&rows, i, 0),
                                 .max_keys = db_get_int64(&rows, i, 1),
                                 .key_count = db_get_int64(&rows, i, 2),
                                 .github_username = db_get_cstr_or_null(rq->mem, &rows, i, 3)};
    *out = list;
    return OK;
}

static const char PUT_ALLOWANCE[] = "INSERT INTO key_allowance (user_id, max_keys) VALUES ($1, $2)"
                                    " ON CONFLICT (user_id) DO UPDATE SET max_keys = excluded.max_keys";

Err auth_store_set_key_allowance(DbTx *tx, int64_t user_id, int64_t max_keys)
{
    return db_exec(tx, PUT_ALLOWANCE, DB_ARGS(db_int64(user_id), db_int64(max_keys)));
}
