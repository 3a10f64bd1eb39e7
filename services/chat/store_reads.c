/* store_reads: see store_reads.h. */
#include "services/chat/store_reads.h"

#include "services/chat/store.h"

/* Messages of a channel after `since` that mean user $1, by name, by one of `roles` or as one of everyone; not his own.
 */
#define MENTIONS_SQL(channel, roles, since)                                                                            \
    "(SELECT count(*) FROM (SELECT FROM ("                                                                             \
    "  SELECT x.message_id FROM mention x WHERE x.channel_id = " channel " AND x.kind = 0 AND x.target_id = $1"        \
    "   AND x.message_id > " since "  UNION SELECT x.message_id FROM mention x WHERE x.channel_id = " channel          \
    " AND x.kind = 2 AND x.target_id = 0"                                                                              \
    "   AND x.message_id > " since "  UNION SELECT x.message_id FROM mention x WHERE x.channel_id = " channel          \
    " AND x.kind = 1"                                                                                                  \
    "   AND x.target_id = ANY (" roles ") AND x.message_id > " since " ) y JOIN message m ON m.channel_id = " channel  \
    " AND m.id = y.message_id AND m.author_id <> $1 LIMIT 1000) z)"

/* --- reading up to a message -----------------------------------------------------------------------------------------
 */
/* Never back; never beyond now, so that what is not yet written stays unread whatever a client sends. A statement sees
 * not what it writes itself: hence the new row goes on from RETURNING. */
static const char ACK[] =
    "WITH place AS MATERIALIZED ("
    "  SELECT c.id, c.type, c.guild_id, " CHANNEL_PERMISSIONS_SQL(
        "c",
        "$1") " AS permissions"
              "  FROM channel c WHERE c.id = $2"
              "), put AS ("
              "  INSERT INTO read_state AS s (user_id, channel_id, last_message_id, updated_at)"
              "  SELECT $1, p.id, least($3, $5), $4 FROM place p WHERE (p.permissions & 1) <> 0"
              "  ON CONFLICT (user_id, channel_id) DO UPDATE SET last_message_id = excluded.last_message_id,"
              "    updated_at = excluded.updated_at WHERE s.last_message_id < excluded.last_message_id"
              "  RETURNING last_message_id"
              ") SELECT p.type, p.guild_id, p.permissions, put.last_message_id,"
              " CASE WHEN put.last_message_id IS NOT NULL THEN " MENTIONS_SQL(
                  "p.id",
                  "coalesce((SELECT m.roles FROM member m WHERE m.guild_id = p.guild_id AND m.user_id = $1), '{}')",
                  "put.last_message_id") " END"
                                         " FROM place p LEFT JOIN put ON true";

Err chat_store_ack(DbTx *tx, Request *rq, int64_t channel_id, int64_t message_id, bool *out_changed,
                   Chat__V1__ReadState *out)
{
    const Chat *chat = rq->service;
    CLEANUP(db_rows_done) DbRows rows = {0};
    Place place;

    TRY(db_query(tx, ACK,
                 DB_ARGS(db_int64(rq->caller.user_id), db_int64(channel_id), db_int64(message_id),
                         db_time_us(clock_unix_us(rq->clock)), db_int64(id_next(chat->ids))),
                 &rows));
    TRY(place_judge(&rows, 0, PERMISSION_VIEW_CHANNEL, &place));
    *out_changed = !db_is_null(&rows, 0, 3);
    SET(out, channel_id, channel_id);
    SET(out, last_message_id, db_get_int64(&rows, 0, 3));
    SET(out, mention_count, (int32_t)db_get_int64(&rows, 0, 4));
    return OK;
}

/* --- what is unread --------------------------------------------------------------------------------------------------
 */
/* What somebody has not yet read is what came after he came. Whether he may (still) see a channel is asked last, of the
 * few that are left. */
static const char READ_STATES[] =
    "WITH place AS ("
    "  SELECT c.id AS channel_id, c.guild_id, m.roles, snowflake_at(m.joined_at) AS since"
    "  FROM member m JOIN channel c ON c.guild_id = m.guild_id WHERE m.user_id = $1"
    "  UNION ALL SELECT r.channel_id, NULL, '{}', snowflake_at(r.joined_at) FROM recipient r WHERE r.user_id = $1"
    "), tally AS ("
    "  SELECT p.channel_id, p.guild_id, s.last_message_id, s.updated_at,"
    "    greatest(p.since, coalesce(s.last_message_id, 0)) AS since, n.mentions"
    "  FROM place p LEFT JOIN read_state s ON s.user_id = $1 AND s.channel_id = p.channel_id"
    "  CROSS JOIN LATERAL (SELECT " MENTIONS_SQL(
        "p.channel_id", "p.roles",
        "greatest(p.since, coalesce(s.last_message_id, 0))") " AS mentions) n"
                                                             "  WHERE s.updated_at IS NOT NULL OR n.mentions > 0"
                                                             ") SELECT t.channel_id, coalesce(t.last_message_id, 0), "
                                                             "t.mentions, t.updated_at,"
                                                             " (SELECT count(*) FROM (SELECT FROM message m WHERE "
                                                             "m.channel_id = t.channel_id AND m.id > t.since"
                                                             "   AND m.author_id <> $1 LIMIT $2) x)"
                                                             " FROM tally t WHERE t.guild_id IS NULL OR EXISTS (SELECT "
                                                             "FROM channel_access a WHERE a.channel_id = t.channel_id"
                                                             "   AND a.user_id = $1 AND (a.permissions & 1) <> 0)"
                                                             " ORDER BY t.channel_id LIMIT $3";

Err chat_store_read_states(Request *rq, int64_t user_id, Chat__V1__ReadState ***out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Chat__V1__ReadState **list;

    TRY(db_read(rq, READ_STATES, DB_ARGS(db_int64(user_id), db_int64(UNREAD_COUNT_MAX), db_int64(READ_STATES_MAX)),
                &rows));
    list = ARENA_ARRAY(rq->mem, Chat__V1__ReadState *, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        list[i] = MESSAGE_NEW(rq->mem, Chat__V1__ReadState, chat__v1__read_state__init);
        SET(list[i], user_id, user_id);
        SET(list[i], channel_id, db_get_int64(&rows, i, 0));
        SET(list[i], last_message_id, db_get_int64(&rows, i, 1));
        SET(list[i], mention_count, (int32_t)db_get_int64(&rows, i, 2));
        if (!db_is_null(&rows, i, 3))
            list[i]->updated_at = chat_time(rq->mem, db_get_time_us(&rows, i, 3));
        SET(list[i], unread_count, (int32_t)db_get_int64(&rows, i, 4));
    }
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}
