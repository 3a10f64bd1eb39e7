/* store_dms: see store_dms.h. */
#include "services/chat/store_dms.h"

#include "services/chat/persons.h"
#include "services/chat/store.h"

static Err ask(Request *rq, DbTx *tx, const char *sql, DbArgs args, DbRows *rows)
{
    return tx ? db_query(tx, sql, args, rows) : db_read(rq, sql, args, rows);
}

/* --- channels --------------------------------------------------------------------------------------------------------
 */
#define DM_COLUMNS "c.id, c.type, c.owner_id, c.created_at, " PERSON_COLUMNS("p")
enum { DM_PERSON_COLUMN = 4 };

/* A row for each recipient: from `row` on those of one channel. Returns the row behind them. */
static int read_dm(Arena *mem, const DbRows *rows, int row, Chat__V1__DMChannel *out)
{
    int64_t id = db_get_int64(rows, row, 0);

    chat__v1__dmchannel__init(out);
    SET(out, id, id);
    SET(out, type, (int32_t)db_get_int64(rows, row, 1));
    if (!db_is_null(rows, row, 2))
        SET(out, owner_id, db_get_int64(rows, row, 2));
    out->created_at = chat_time(mem, db_get_time_us(rows, row, 3));
    out->recipients = ARENA_ARRAY(mem, Chat__V1__User *, GROUP_RECIPIENTS_MAX);
    for (; row < rows->count && db_get_int64(rows, row, 0) == id; row++)
        if (out->n_recipients < GROUP_RECIPIENTS_MAX)
            out->recipients[out->n_recipients++] = persons_read(mem, rows, row, DM_PERSON_COLUMN);
    return row;
}

static const char ONE_DM[] = "SELECT " DM_COLUMNS " FROM channel c JOIN recipient r ON r.channel_id = c.id"
                             " JOIN person p ON p.user_id = r.user_id WHERE c.id = $1 ORDER BY p.user_id";

Err chat_store_dm(Request *rq, DbTx *tx, int64_t channel_id, Chat__V1__DMChannel *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    chat__v1__dmchannel__init(out);
    TRY(ask(rq, tx, ONE_DM, DB_ARGS(db_int64(channel_id)), &rows));
    if (rows.count)
        read_dm(rq->mem, &rows, 0, out);
    return OK;
}

static const char CHANNEL_KNOWN[] = "SELECT EXISTS (SELECT FROM channel WHERE id = $1)";

Err chat_store_channel_known(DbTx *tx, int64_t channel_id, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, CHANNEL_KNOWN, DB_ARGS(db_int64(channel_id)), &rows));
    *out = db_get_bool(&rows, 0, 0);
    return OK;
}

/* Ids rise with the time of making. */
static const char DMS_OF[] =
    "WITH mine AS ("
    "  SELECT c.id, c.type, c.owner_id, c.created_at FROM recipient r JOIN channel c ON c.id = r.channel_id"
    "  WHERE r.user_id = $1 AND r.channel_id < $3 ORDER BY r.channel_id DESC LIMIT $2"
    ") SELECT " DM_COLUMNS " FROM mine c JOIN recipient r ON r.channel_id = c.id"
    " JOIN person p ON p.user_id = r.user_id ORDER BY c.id DESC, p.user_id";

Err chat_store_dms_of(Request *rq, int64_t user_id, int64_t before_id, int limit, Chat__V1__DMChannel ***out,
                      size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, DMS_OF, DB_ARGS(db_int64(user_id), db_int64(limit), db_int64(before_id)), &rows));
    *out = ARENA_ARRAY(rq->mem, Chat__V1__DMChannel *, rows.count + 1);
    *out_count = 0;
    for (int row = 0; row < rows.count;) {
        Chat__V1__DMChannel *dm = ARENA_NEW(rq->mem, Chat__V1__DMChannel);

        row = read_dm(rq->mem, &rows, row, dm);
        (*out)[(*out_count)++] = dm;
    }
    return OK;
}

static const char PAIR[] = "SELECT channel_id FROM direct_pair WHERE low_id = $1 AND high_id = $2";

/* Two statements: the second sees what whoever had the lock before has done. */
Err chat_store_lock_pair(DbTx *tx, int64_t user_id, int64_t other_id, int64_t *out_channel_id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t low = MIN(user_id, other_id), high = MAX(user_id, other_id);
    char key[48];

    snprintf(key, sizeof key, "%" PRId64 "/%" PRId64, low, high);
    TRY(db_lock(tx, "pair", slice(key)));
    TRY(db_query(tx, PAIR, DB_ARGS(db_int64(low), db_int64(high)), &rows));
    *out_channel_id = rows.count ? db_get_int64(&rows, 0, 0) : 0;
    return OK;
}

static const char INSERT_PAIR[] = "INSERT INTO direct_pair (low_id, high_id, channel_id) VALUES ($1, $2, $3)";

Err chat_store_insert_pair(DbTx *tx, int64_t user_id, int64_t other_id, int64_t channel_id)
{
    return db_exec(tx, INSERT_PAIR,
                   DB_ARGS(db_int64(MIN(user_id, other_id)), db_int64(MAX(user_id, other_id)), db_int64(channel_id)));
}

static const char INSERT_DM[] =
    "WITH made AS ("
    "  INSERT INTO channel (id, type, owner_id, created_at)"
    "  VALUES ($1, CASE WHEN $2::bigint IS NULL THEN 1 ELSE 3 END, $2, $4) RETURNING id"
    ") INSERT INTO recipient (channel_id, user_id, joined_at) SELECT made.id, u, $4 FROM made, unnest($3::bigint[]) u";

Err chat_store_insert_dm(DbTx *tx, int64_t channel_id, int64_t owner_id, const int64_t *user_ids, size_t count,
                         int64_t now_us)
{
    return db_exec(tx, INSERT_DM,
                   DB_ARGS(db_int64(channel_id), owner_id ? db_int64(owner_id) : db_null(),
                           db_int64_array(user_ids, count), db_time_us(now_us)));
}

static const char ADD_RECIPIENT[] = "INSERT INTO recipient (channel_id, user_id, joined_at) VALUES ($1, $2, $3)";

Err chat_store_add_recipient(DbTx *tx, int64_t channel_id, int64_t user_id, int64_t now_us)
{
    return db_exec(tx, ADD_RECIPIENT, DB_ARGS(db_int64(channel_id), db_int64(user_id), db_time_us(now_us)));
}

static const char REMOVE_RECIPIENT[] = "DELETE FROM recipient WHERE channel_id = $1 AND user_id = $2";
static const char PASS_ON[] =
    "WITH next AS ("
    "  SELECT user_id FROM recipient WHERE channel_id = $1 ORDER BY joined_at, user_id LIMIT 1"
    "), passed AS ("
    "  UPDATE channel c SET owner_id = next.user_id FROM next WHERE c.id = $1 AND c.owner_id = $2"
    ") SELECT count(*) FROM recipient WHERE channel_id = $1";

Err chat_store_remove_recipient(DbTx *tx, int64_t channel_id, int64_t user_id, int *out_left)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_exec(tx, REMOVE_RECIPIENT, DB_ARGS(db_int64(channel_id), db_int64(user_id))));
    TRY(db_query(tx, PASS_ON, DB_ARGS(db_int64(channel_id), db_int64(user_id)), &rows));
    *out_left = (int)db_get_int64(&rows, 0, 0);
    return OK;
}

static const char DELETE_DM[] = "DELETE FROM channel WHERE id = $1 AND guild_id IS NULL";

Err chat_store_delete_dm(DbTx *tx, int64_t channel_id)
{
    return db_exec(tx, DELETE_DM, DB_ARGS(db_int64(channel_id)));
}

/* --- blocks ----------------------------------------------------------------------------------------------------------
 */
static const char IS_BLOCKED[] = "SELECT EXISTS (SELECT FROM block WHERE user_id = ANY ($2) AND blocked_id = $1)";

Err chat_store_is_blocked(Request *rq, DbTx *tx, int64_t user_id, const int64_t *by, size_t count, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(ask(rq, tx, IS_BLOCKED, DB_ARGS(db_int64(user_id), db_int64_array(by, count)), &rows));
    *out = db_get_bool(&rows, 0, 0);
    return OK;
}

static const char BLOCK[] =
    "INSERT INTO block (user_id, blocked_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

Err chat_store_block(DbTx *tx, int64_t user_id, int64_t blocked_id, int64_t now_us, bool *out_changed)
{
    int64_t rows;

    TRY(db_exec_count(tx, BLOCK, DB_ARGS(db_int64(user_id), db_int64(blocked_id), db_time_us(now_us)), &rows));
    *out_changed = rows > 0;
    return OK;
}

static const char UNBLOCK[] = "DELETE FROM block WHERE user_id = $1 AND blocked_id = $2";

Err chat_store_unblock(DbTx *tx, int64_t user_id, int64_t blocked_id, bool *out_changed)
{
    int64_t rows;

    TRY(db_exec_count(tx, UNBLOCK, DB_ARGS(db_int64(user_id), db_int64(blocked_id)), &rows));
    *out_changed = rows > 0;
    return OK;
}

static const char COUNT_BLOCKS[] = "SELECT count(*) FROM block WHERE user_id = $1";

Err chat_store_count_blocks(DbTx *tx, int64_t user_id, int *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, COUNT_BLOCKS, DB_ARGS(db_int64(user_id)), &rows));
    *out = (int)db_get_int64(&rows, 0, 0);
    return OK;
}

static const char BLOCKS[] =
    "SELECT " PERSON_COLUMNS("p") ", b.created_at FROM block b JOIN person p ON p.user_id = b.blocked_id"
                                  " WHERE b.user_id = $1 ORDER BY b.created_at DESC, b.blocked_id LIMIT $2";

Err chat_store_blocks(Request *rq, int64_t user_id, Chat__V1__Block ***out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Chat__V1__Block **list;

    TRY(db_read(rq, BLOCKS, DB_ARGS(db_int64(user_id), db_int64(BLOCKS_MAX)), &rows));
    list = ARENA_ARRAY(rq->mem, Chat__V1__Block *, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        list[i] = MESSAGE_NEW(rq->mem, Chat__V1__Block, chat__v1__block__init);
        list[i]->user = persons_read(rq->mem, &rows, i, 0);
        list[i]->created_at = chat_time(rq->mem, db_get_time_us(&rows, i, PERSON_COLUMN_COUNT));
    }
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}
