/* store_console: see store_console.h. */
#include "services/auth/store_console.h"

static const char EMAIL_IS_VERIFIED[] = "SELECT email_verified_at IS NOT NULL FROM account WHERE id = $1";

Err auth_store_email_is_verified(Request *rq, int64_t user_id, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, EMAIL_IS_VERIFIED, DB_ARGS(db_int64(user_id)), &rows));
    *out = rows.count > 0 && db_get_bool(&rows, 0, 0);
    return OK;
}

static const char LINKED_FACE[] = "SELECT subject, name, avatar_url FROM identity WHERE user_id = $1 AND provider = $2"
                                  " ORDER BY created_at, id LIMIT 1";

Err auth_store_linked_face(Request *rq, int64_t user_id, const char *provider, LinkedFace *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LINKED_FACE, DB_ARGS(db_int64(user_id), db_text(slice(provider))), &rows));
    *out = (LinkedFace){.subject = "", .name = "", .avatar_url = ""};
    if (rows.count > 0)
        *out = (LinkedFace){.subject = db_get_cstr(rq->mem, &rows, 0, 0),
                            .name = db_get_cstr(rq->mem, &rows, 0, 1),
                            .avatar_url = db_get_cstr(rq->mem, &rows, 0, 2)};
    return OK;
}
