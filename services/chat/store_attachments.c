/* store_attachments: see store_attachments.h. */
#include "services/chat/store_attachments.h"

static const char INSERT_ATTACHMENT[] =
    "INSERT INTO attachment (id, channel_id, author_id, media_id, filename, content_type, size_bytes, path, alone)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

Err chat_store_insert_attachment(DbTx *tx, const Chat__V1__Attachment *attachment, int64_t channel_id,
                                 int64_t author_id, bool alone)
{
    Uuid media_id;

    if (!uuid_parse(slice(attachment->media_id), &media_id))
        return err_make(&INVALID_ATTACHMENT, "media_id: no UUID");
    return db_exec(tx, INSERT_ATTACHMENT,
                   DB_ARGS(db_int64(attachment->id), db_int64(channel_id), db_int64(author_id), db_uuid(media_id),
                           db_text(slice(attachment->filename)), db_text(slice(attachment->content_type)),
                           db_int64(attachment->size), db_text(slice(attachment->url)), db_bool(alone)));
}

/* --- claiming --------------------------------------------------------------------------------------------------------
 */
#define CLAIMED_COLUMNS "id, filename, content_type, size_bytes, path, media_id"

static const char CLAIM_NAMED[] =
    "UPDATE attachment SET message_id = $3, alone = false WHERE channel_id = $1 AND author_id = $2"
    " AND message_id IS NULL AND id = ANY ($4) RETURNING " CLAIMED_COLUMNS;
static const char CLAIM_RECENT[] =
    "UPDATE attachment SET message_id = $3, alone = false WHERE id IN ("
    "  SELECT a.id FROM attachment a WHERE a.channel_id = $1 AND a.author_id = $2 AND a.message_id IS NULL"
    "  AND a.id > $4 ORDER BY a.id LIMIT $5) RETURNING " CLAIMED_COLUMNS;

static Chat__V1__Attachment *read_attachment(Request *rq, const DbRows *rows, int row, int64_t message_id)
{
    Chat__V1__Attachment *out = MESSAGE_NEW(rq->mem, Chat__V1__Attachment, chat__v1__attachment__init);

    SET(out, id, db_get_int64(rows, row, 0));
    SET(out, message_id, message_id);
    out->filename = db_get_cstr(rq->mem, rows, row, 1);
    out->content_type = db_get_cstr(rq->mem, rows, row, 2);
    SET(out, size, db_get_int64(rows, row, 3));
    out->url = attachment_url(rq, db_get_cstr(rq->mem, rows, row, 4));
    out->media_id = uuid_text(rq->mem, db_get_uuid(rows, row, 5));
    return out;
}

static int by_id(const void *a, const void *b)
{
    const Chat__V1__Attachment *x = *(Chat__V1__Attachment *const *)a, *y = *(Chat__V1__Attachment *const *)b;

    return (x->id > y->id) - (x->id < y->id);
}

Err chat_store_claim(DbTx *tx, Request *rq, const Chat__V1__Message *message, const int64_t *ids, size_t count,
                     int64_t after_id, Chat__V1__Attachment ***out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DbValue channel = db_int64(message->channel_id), author = db_int64(message->author_id), id = db_int64(message->id);

    if (count)
        TRY(db_query(tx, CLAIM_NAMED, DB_ARGS(channel, author, id, db_int64_array(ids, count)), &rows));
    else
        TRY(db_query(tx, CLAIM_RECENT, DB_ARGS(channel, author, id, db_int64(after_id), db_int64(ATTACHMENTS_MAX)),
                     &rows));
    *out = ARENA_ARRAY(rq->mem, Chat__V1__Attachment *, rows.count + 1);
    *out_count = (size_t)rows.count;
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = read_attachment(rq, &rows, i, message->id);
    qsort(*out, *out_count, sizeof(void *), by_id);
    return OK;
}

/* --- giving back -----------------------------------------------------------------------------------------------------
 */
static void read_items(Arena *mem, const DbRows *rows, Uuid **out, size_t *out_count)
{
    *out = ARENA_ARRAY(mem, Uuid, rows->count + 1);
    *out_count = (size_t)rows->count;
    for (int i = 0; i < rows->count; i++)
        (*out)[i] = db_get_uuid(rows, i, 0);
}

static const char RELEASE[] = "DELETE FROM attachment WHERE message_id = ANY ($1) RETURNING media_id";

Err chat_store_release(DbTx *tx, Arena *mem, const int64_t *message_ids, size_t count, Uuid **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, RELEASE, DB_ARGS(db_int64_array(message_ids, count)), &rows));
    read_items(mem, &rows, out, out_count);
    return OK;
}

/* A post that claims one of them at this moment wins: its row is locked, and no longer of no message afterwards. */
static const char RELEASE_OLD[] =
    "DELETE FROM attachment WHERE message_id IS NULL AND id IN ("
    "  SELECT a.id FROM attachment a WHERE a.message_id IS NULL AND a.id < $1 ORDER BY a.id LIMIT $2)"
    " RETURNING media_id";

Err chat_store_release_old(DbTx *tx, Arena *mem, int64_t before_id, int limit, Uuid **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, RELEASE_OLD, DB_ARGS(db_int64(before_id), db_int64(limit)), &rows));
    read_items(mem, &rows, out, out_count);
    return OK;
}

/* --- messages of their own ------------------------------------------------------------------------------------------
 */
static const char LONE[] = "SELECT id, channel_id, author_id FROM attachment WHERE message_id IS NULL AND alone"
                           " AND id < $1 ORDER BY id LIMIT $2";

Err chat_store_lone(Request *rq, int64_t before_id, int limit, LoneUpload **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LONE, DB_ARGS(db_int64(before_id), db_int64(limit)), &rows));
    *out = ARENA_ARRAY(rq->mem, LoneUpload, rows.count + 1);
    *out_count = (size_t)rows.count;
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (LoneUpload){db_get_int64(&rows, i, 0), db_get_int64(&rows, i, 1), db_get_int64(&rows, i, 2)};
    return OK;
}

static const char FORGET_LONE[] = "UPDATE attachment SET alone = false WHERE id = $1";

Err chat_store_forget_lone(DbTx *tx, int64_t id)
{
    return db_exec(tx, FORGET_LONE, DB_ARGS(db_int64(id)));
}

/* --- channels that are gone ------------------------------------------------------------------------------------------
 */
static const char DISCARDED[] = "SELECT channel_id FROM discarded_channel ORDER BY discarded_at LIMIT 1";

Err chat_store_discarded(Request *rq, int64_t *out_channel_id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, DISCARDED, DB_NO_ARGS, &rows));
    *out_channel_id = rows.count ? db_get_int64(&rows, 0, 0) : 0;
    return OK;
}

static const char DISCARD_MESSAGES[] =
    "WITH gone AS ("
    "  DELETE FROM message WHERE channel_id = $1 AND id IN ("
    "    SELECT m.id FROM message m WHERE m.channel_id = $1 ORDER BY m.id LIMIT $2) RETURNING id, reacted"
    "), unreacted AS (DELETE FROM reaction WHERE message_id IN (SELECT id FROM gone WHERE reacted)"
    ") SELECT id FROM gone ORDER BY id";

Err chat_store_discard_messages(DbTx *tx, Arena *mem, int64_t channel_id, int limit, int64_t **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, DISCARD_MESSAGES, DB_ARGS(db_int64(channel_id), db_int64(limit)), &rows));
    *out = ARENA_ARRAY(mem, int64_t, rows.count + 1);
    *out_count = (size_t)rows.count;
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = db_get_int64(&rows, i, 0);
    return OK;
}

static const char FORGET_CHANNEL[] = "WITH a AS (DELETE FROM mention WHERE channel_id = $1),"
                                     " b AS (DELETE FROM read_state WHERE channel_id = $1),"
                                     " c AS (DELETE FROM slow_post WHERE channel_id = $1),"
                                     " d AS (DELETE FROM discarded_channel WHERE channel_id = $1)"
                                     " DELETE FROM attachment WHERE channel_id = $1 RETURNING media_id";

Err chat_store_forget_channel(DbTx *tx, Arena *mem, int64_t channel_id, Uuid **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, FORGET_CHANNEL, DB_ARGS(db_int64(channel_id)), &rows));
    read_items(mem, &rows, out, out_count);
    return OK;
}
