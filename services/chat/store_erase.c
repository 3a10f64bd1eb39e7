/* store_erase: see store_erase.h. */
#include "services/chat/store_erase.h"

static Err read_ids(Request *rq, const char *sql, int64_t user_id, int64_t **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, sql, DB_ARGS(db_int64(user_id), db_int64(ERASE_BATCH)), &rows));
    *out = ARENA_ARRAY(rq->mem, int64_t, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = db_get_int64(&rows, i, 0);
    *out_count = (size_t)rows.count;
    return OK;
}

static const char GUILD_IDS_OF[] = "SELECT guild_id FROM member WHERE user_id = $1 ORDER BY guild_id LIMIT $2";
static const char DM_IDS_OF[] = "SELECT channel_id FROM recipient WHERE user_id = $1 ORDER BY channel_id LIMIT $2";

Err chat_store_guild_ids_of(Request *rq, int64_t user_id, int64_t **out, size_t *out_count)
{
    return read_ids(rq, GUILD_IDS_OF, user_id, out, out_count);
}

Err chat_store_dm_ids_of(Request *rq, int64_t user_id, int64_t **out, size_t *out_count)
{
    return read_ids(rq, DM_IDS_OF, user_id, out, out_count);
}

static const char WRITTEN_BY[] =
    "SELECT m.channel_id, m.guild_id, m.id FROM message m WHERE m.author_id = $1 AND m.channel_id = ("
    "  SELECT channel_id FROM message WHERE author_id = $1 ORDER BY id LIMIT 1) ORDER BY m.id LIMIT $2";

Err chat_store_written_by(Request *rq, int64_t user_id, WrittenMessages *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, WRITTEN_BY, DB_ARGS(db_int64(user_id), db_int64(ERASE_BATCH)), &rows));
    *out = (WrittenMessages){.ids = ARENA_ARRAY(rq->mem, int64_t, rows.count + 1), .count = (size_t)rows.count};
    if (rows.count == 0)
        return OK;
    out->channel_id = db_get_int64(&rows, 0, 0);
    out->guild_id = db_get_int64(&rows, 0, 1);
    for (int i = 0; i < rows.count; i++)
        out->ids[i] = db_get_int64(&rows, i, 2);
    return OK;
}

/* Who may do most anyway, then who has been there longest. */
static const char HEIR[] =
    "SELECT m.user_id FROM member m JOIN member_access a ON a.guild_id = m.guild_id AND a.user_id = m.user_id"
    " WHERE m.guild_id = $1 AND m.user_id <> $2"
    " ORDER BY a.permissions = 9223372036854775807 DESC, m.joined_at, m.user_id LIMIT 1";

Err chat_store_heir(DbTx *tx, int64_t guild_id, int64_t user_id, int64_t *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, HEIR, DB_ARGS(db_int64(guild_id), db_int64(user_id)), &rows));
    *out = rows.count > 0 ? db_get_int64(&rows, 0, 0) : 0;
    return OK;
}

/* Uploads of no message yet are left to the sweeper: it gives them back. A ban keeps out an account that is no more.
 * What he did in a guild stays in its log, without his name; what was done to him does not. */
static const char *const REST[] = {
    "DELETE FROM ban WHERE user_id = $1",
    "DELETE FROM invite WHERE creator_id = $1",
    "UPDATE guild SET icon_hash = NULL, icon_by = NULL WHERE icon_by = $1",
    "DELETE FROM audit_entry WHERE target_id = $1",
    "UPDATE audit_entry SET user_id = 0 WHERE user_id = $1",
    "UPDATE ban SET created_by = 0 WHERE created_by = $1",
    "DELETE FROM direct_pair WHERE low_id = $1 OR high_id = $1",
    "DELETE FROM block WHERE user_id = $1 OR blocked_id = $1",
    "DELETE FROM reaction WHERE user_id = $1",
    "DELETE FROM mention WHERE kind = 0 AND target_id = $1",
    "DELETE FROM read_state WHERE user_id = $1",
    "DELETE FROM slow_post WHERE user_id = $1",
    "DELETE FROM connection WHERE user_id = $1",
    "DELETE FROM presence WHERE user_id = $1",
    "DELETE FROM person WHERE user_id = $1",
};

Err chat_store_erase_rest(DbTx *tx, int64_t user_id, int64_t *out_rows)
{
    int64_t count;

    *out_rows = 0;
    for (size_t i = 0; i < ARRAY_LEN(REST); i++) {
        TRY(db_exec_count(tx, REST[i], DB_ARGS(db_int64(user_id)), &count));
        *out_rows += count;
    }
    return OK;
}
