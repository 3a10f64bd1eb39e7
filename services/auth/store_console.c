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
