/* store_attachments: see store_attachments.h. */
#include "services/media/store_attachments.h"

static const char INSERT_ATTACHMENT[] = "INSERT INTO attachment (media_id, secret) VALUES ($1, $2)";

Err media_store_insert_attachment(DbTx *tx, Uuid media_id, const char *secret)
{
    return db_exec(tx, INSERT_ATTACHMENT, DB_ARGS(db_uuid(media_id), db_text(slice(secret))));
}

static const char ATTACHMENT[] = "SELECT " ITEM_COLUMNS " FROM attachment a JOIN item i ON i.id = a.media_id"
                                 " WHERE a.secret = $1 AND i.deleted_at IS NULL";

Err media_store_attachment(Request *rq, Slice secret, ItemRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out = (ItemRow){.owner_id = 0};
    TRY(db_read(rq, ATTACHMENT, DB_ARGS(db_text(secret)), &rows));
    if (rows.count > 0)
        media_store_read_item(rq->mem, &rows, 0, 0, out);
    return OK;
}

static const char IS_ATTACHMENT[] = "SELECT EXISTS (SELECT FROM attachment WHERE media_id = $1)";

Err media_store_is_attachment(DbTx *tx, Uuid media_id, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, IS_ATTACHMENT, DB_ARGS(db_uuid(media_id)), &rows));
    *out = db_get_bool(&rows, 0, 0);
    return OK;
}
