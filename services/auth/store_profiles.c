/* store_profiles: see store_profiles.h. */
#include "services/auth/store_profiles.h"

static const char SELECT_PROFILES[] = "SELECT id, username, display_name, avatar_hash, created_at, updated_at"
                                      " FROM account WHERE id = ANY ($1) ORDER BY id";

Err auth_store_profiles(Request *rq, const int64_t *ids, size_t count, ProfileRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SELECT_PROFILES, DB_ARGS(db_int64_array(ids, count)), &rows));
    *out = ARENA_ARRAY(rq->mem, ProfileRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (ProfileRow){.user_id = db_get_int64(&rows, i, 0),
                                 .username = db_get_cstr(rq->mem, &rows, i, 1),
                                 .display_name = db_get_cstr(rq->mem, &rows, i, 2),
                                 .avatar_hash = db_get_cstr_or_null(rq->mem, &rows, i, 3),
                                 .created_us = db_get_time_us(&rows, i, 4),
                                 .updated_us = db_get_time_us(&rows, i, 5)};
    *out_count = (size_t)rows.count;
    return OK;
}
