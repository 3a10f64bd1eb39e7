/* store_factors: see store_factors.h. */
#include "services/auth/store_factors.h"

static const char COUNT_CODES[] = "SELECT EXISTS (SELECT 1 FROM totp WHERE user_id = $1 AND confirmed_at IS NOT NULL),"
                                  "  (SELECT count(*) FROM recovery_code WHERE user_id = $1 AND used_at IS NULL)";

Err factors_store_codes(Request *rq, int64_t user_id, bool *out_totp, int64_t *out_recovery_left)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, COUNT_CODES, DB_ARGS(db_int64(user_id)), &rows));
    *out_totp = db_get_bool(&rows, 0, 0);
    *out_recovery_left = db_get_int64(&rows, 0, 1);
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- passkeys */
static Slice copy_bytes(Arena *mem, Slice bytes)
{
    return slice_of(arena_memdup(mem, bytes.ptr, bytes.len), bytes.len);
}

static const char LIST_PASSKEYS[] = "SELECT id, name, created_at, last_used_at FROM passkey WHERE user_id = $1"
                                    " ORDER BY created_at, id LIMIT $2";

Err factors_store_passkeys(Request *rq, int64_t user_id, Passkey **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Passkey *list;

    TRY(db_read(rq, LIST_PASSKEYS, DB_ARGS(db_int64(user_id), db_int64(PASSKEYS_MAX)), &rows));
    list = ARENA_ARRAY(rq->mem, Passkey, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        list[i] = (Passkey){.id = copy_bytes(rq->mem, db_get_bytes(&rows, i, 0)),
                            .name = db_get_cstr(rq->mem, &rows, i, 1),
                            .created_us = db_get_time_us(&rows, i, 2),
                            .last_used_us = db_get_time_us(&rows, i, 3)};
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}
