/* store_live: see store_live.h. */
#include "services/chat/store_live.h"

#include "services/chat/store.h"

/* --- connections ------------------------------------------------------------------------------------------------- */
/* An edge is known from its first connection on: its lease may come later. */
static const char PUT_CONNECTION[] =
    "WITH e AS ("
    "  INSERT INTO edge (name, expires_at) VALUES ($2, now() + $5::bigint * interval '1 ms') ON CONFLICT DO NOTHING"
    ") INSERT INTO connection (name, edge, user_id, status) VALUES ($1, $2, $3, $4::bigint)"
    " ON CONFLICT (name) DO UPDATE SET user_id = excluded.user_id, status = excluded.status";

Err chat_store_put_connection(DbTx *tx, const char *name, const char *edge, int64_t user_id, Status status)
{
    return db_exec(tx, PUT_CONNECTION,
                   DB_ARGS(db_text(slice(name)), db_text(slice(edge)), db_int64(user_id), db_int64(status),
                           db_int64(PRESENCE_FIRST_LEASE_MS)));
}

static Err one_user(DbTx *tx, const char *sql, const char *name, int64_t *out_user_id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, sql, DB_ARGS(db_text(slice(name))), &rows));
    *out_user_id = rows.count ? db_get_int64(&rows, 0, 0) : 0;
    return OK;
}

Err chat_store_connection_user(DbTx *tx, const char *name, int64_t *out_user_id)
{
    return one_user(tx, "SELECT user_id FROM connection WHERE name = $1", name, out_user_id);
}

Err chat_store_drop_connection(DbTx *tx, const char *name, int64_t *out_user_id)
{
    return one_user(tx, "DELETE FROM connection WHERE name = $1 RETURNING user_id", name, out_user_id);
}

Err chat_store_connection_known(Request *rq, const char *name, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, "SELECT 1 FROM connection WHERE name = $1", DB_ARGS(db_text(slice(name))), &rows));
    *out = rows.count > 0;
    return OK;
}

Err chat_store_renew_edge(DbTx *tx, const char *edge, int64_t lease_ms)
{
    return db_exec(tx,
                   "INSERT INTO edge (name, expires_at) VALUES ($1, now() + $2::bigint * interval '1 ms')"
                   " ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at",
                   DB_ARGS(db_text(slice(edge)), db_int64(lease_ms)));
}

static Err read_ids(DbTx *tx, Arena *mem, const char *sql, DbArgs args, int64_t **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, sql, args, &rows));
    *out = ARENA_ARRAY(mem, int64_t, rows.count);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = db_get_int64(&rows, i, 0);
    *out_count = (size_t)rows.count;
    return OK;
}

/* An edge goes when its last connection has: if it renews its lease in between, the rest stay. The grace of those who
 * have no other connection begins with it: if we die now, they are found by it. */
static const char END_EDGES[] =
    "WITH gone AS ("
    "  SELECT e.name FROM edge e WHERE e.expires_at < now() ORDER BY e.expires_at LIMIT 10 FOR UPDATE SKIP LOCKED"
    "), ended AS ("
    "  DELETE FROM connection WHERE name IN ("
    "    SELECT c.name FROM connection c JOIN gone ON gone.name = c.edge LIMIT $1::bigint"
    "  ) RETURNING user_id, name"
    "), grace AS ("
    "  UPDATE presence p SET offline_at = now() + $2::bigint * interval '1 ms'"
    "  WHERE p.user_id IN (SELECT user_id FROM ended) AND p.offline_at IS NULL AND NOT EXISTS ("
    "    SELECT FROM connection c WHERE c.user_id = p.user_id AND c.name NOT IN (SELECT name FROM ended))"
    "), cleared AS ("
    "  DELETE FROM edge USING gone WHERE edge.name = gone.name"
    "  AND (SELECT count(*) FROM connection c WHERE c.edge = edge.name) <= (SELECT count(*) FROM ended)"
    ") SELECT DISTINCT user_id FROM ended";

Err chat_store_end_edges(DbTx *tx, Arena *mem, int64_t **out_users, size_t *out_count)
{
    return read_ids(tx, mem, END_EDGES, DB_ARGS(db_int64(PRESENCE_SWEEP_MAX), db_int64(PRESENCE_GRACE_MS)), out_users,
                    out_count);
}

/* --- presence ---------------------------------------------------------------------------------------------------- */
/* Without connections he stays as he was, and his grace begins unless it has. */
static const char REFRESH_PRESENCE[] =
    "WITH live AS ("
    "  SELECT count(*) AS connections, coalesce(min(status) FILTER (WHERE status < 4), 0) AS best"
    "  FROM connection WHERE user_id = $1"
    "), was AS ("
    "  SELECT status, offline_at FROM presence WHERE user_id = $1"
    "), put AS ("
    "  INSERT INTO presence (user_id, status, offline_at)"
    "  SELECT $1, CASE WHEN connections > 0 THEN best ELSE coalesce((SELECT status FROM was), 0) END,"
    "         CASE WHEN connections = 0"
    "              THEN coalesce((SELECT offline_at FROM was), now() + $2::bigint * interval '1 ms') END"
    "  FROM live"
    "  ON CONFLICT (user_id) DO UPDATE SET status = excluded.status, offline_at = excluded.offline_at"
    "  RETURNING status"
    ") SELECT coalesce((SELECT status FROM was), 0), status FROM put";

Err chat_store_refresh_presence(DbTx *tx, int64_t user_id, Status *out_was, Status *out_is)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, REFRESH_PRESENCE, DB_ARGS(db_int64(user_id), db_int64(PRESENCE_GRACE_MS)), &rows));
    *out_was = (Status)db_get_int64(&rows, 0, 0);
    *out_is = (Status)db_get_int64(&rows, 0, 1);
    return OK;
}

Err chat_store_presence(DbTx *tx, int64_t user_id, bool *out_stands, Status *out_shown)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, "SELECT status FROM presence WHERE user_id = $1", DB_ARGS(db_int64(user_id)), &rows));
    *out_stands = rows.count > 0;
    *out_shown = rows.count ? (Status)db_get_int64(&rows, 0, 0) : STATUS_OFFLINE;
    return OK;
}

Err chat_store_end_presence(DbTx *tx, int64_t user_id, bool *out_ended, Status *out_was)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx,
                 "DELETE FROM presence WHERE user_id = $1 AND offline_at <= now()"
                 " AND NOT EXISTS (SELECT FROM connection WHERE user_id = $1) RETURNING status",
                 DB_ARGS(db_int64(user_id)), &rows));
    *out_ended = rows.count > 0;
    *out_was = rows.count ? (Status)db_get_int64(&rows, 0, 0) : STATUS_OFFLINE;
    return OK;
}

Err chat_store_due_presences(DbTx *tx, Arena *mem, int64_t **out_users, size_t *out_count)
{
    return read_ids(tx, mem,
                    "SELECT user_id FROM presence WHERE offline_at <= now() ORDER BY offline_at LIMIT $1::bigint",
                    DB_ARGS(db_int64(PRESENCE_SWEEP_MAX)), out_users, out_count);
}

static const char PRESENCE_AUDIENCE[] =
    "WITH mine AS ("
    "  SELECT guild_id FROM member WHERE user_id = $1"
    "), seen AS (" /* who is connected, and where he sees it: the first guild that both are in */
    "  SELECT m.user_id, min(m.guild_id) AS guild_id FROM connection c"
    "  JOIN member m ON m.user_id = c.user_id JOIN mine ON mine.guild_id = m.guild_id GROUP BY m.user_id"
    ") SELECT told.guild_id, coalesce(s.user_id, 0)"
    " FROM (SELECT DISTINCT guild_id FROM seen) told"
    " LEFT JOIN (seen s JOIN member m ON m.user_id = s.user_id)"
    "   ON m.guild_id = told.guild_id AND s.guild_id < told.guild_id"
    " ORDER BY told.guild_id";

Err chat_store_presence_audience(DbTx *tx, Arena *mem, int64_t user_id, PresenceAudience **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, PRESENCE_AUDIENCE, DB_ARGS(db_int64(user_id)), &rows));
    *out = ARENA_ARRAY(mem, PresenceAudience, rows.count);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (PresenceAudience){db_get_int64(&rows, i, 0), db_get_int64(&rows, i, 1)};
    *out_count = (size_t)rows.count;
    return OK;
}

/* --- what a session follows and begins with -------------------------------------------------------------------------
 */
enum { ROW_GUILD, ROW_CHANNEL, ROW_DM, ROW_PRESENCE };

/* A row is (kind, guild, thing, status). */
static const char SESSION_VIEW[] =
    "(SELECT 0::bigint, guild_id, 0::bigint, 0::bigint FROM member WHERE user_id = $1 ORDER BY guild_id LIMIT "
    "$3::bigint)"
    " UNION ALL "
    "(SELECT 1, guild_id, channel_id, 0 FROM channel_access WHERE user_id = $1 AND permissions & 1 <> 0"
    "  ORDER BY channel_id"
    "  LIMIT $4::bigint)"
    " UNION ALL "
    "(SELECT 2, 0, channel_id, 0 FROM recipient WHERE user_id = $1 ORDER BY channel_id DESC LIMIT $5::bigint)"
    " UNION ALL "
    "(SELECT DISTINCT 3, 0::bigint, p.user_id, p.status::bigint FROM member me"
    "  JOIN member other ON other.guild_id = me.guild_id JOIN presence p ON p.user_id = other.user_id"
    "  WHERE $2 AND me.user_id = $1 AND other.user_id <> $1 AND p.status <> 0 LIMIT $6::bigint)";

static void take_view_row(const DbRows *rows, int row, SessionView *out)
{
    int64_t guild_id = db_get_int64(rows, row, 1), id = db_get_int64(rows, row, 2);

    switch (db_get_int64(rows, row, 0)) {
    case ROW_GUILD:
        out->guilds[out->guild_count++] = guild_id;
        break;
    case ROW_CHANNEL:
        out->channels[out->channel_count++] = (SessionChannel){guild_id, id};
        break;
    case ROW_DM:
        out->dms[out->dm_count++] = id;
        break;
    case ROW_PRESENCE:
        out->presences[out->presence_count++] = (SessionPresence){id, (Status)db_get_int64(rows, row, 3)};
        break;
    }
}

Err chat_store_session_view(Request *rq, int64_t user_id, bool whole, SessionView *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SESSION_VIEW,
                DB_ARGS(db_int64(user_id), db_bool(whole), db_int64(SESSION_GUILDS_MAX),
                        db_int64(SESSION_CHANNELS_MAX + 1), db_int64(SESSION_DMS_MAX), db_int64(SESSION_PRESENCES_MAX)),
                &rows));
    *out = (SessionView){.guilds = ARENA_ARRAY(rq->mem, int64_t, rows.count),
                         .channels = ARENA_ARRAY(rq->mem, SessionChannel, rows.count),
                         .dms = ARENA_ARRAY(rq->mem, int64_t, rows.count),
                         .presences = ARENA_ARRAY(rq->mem, SessionPresence, rows.count)};
    for (int i = 0; i < rows.count; i++)
        take_view_row(&rows, i, out);
    return OK;
}

/* --- who may view what ----------------------------------------------------------------------------------------------
 */
Err chat_store_member_ids(DbTx *tx, Arena *mem, int64_t guild_id, int64_t **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, "SELECT user_id FROM member WHERE guild_id = $1", DB_ARGS(db_int64(guild_id)), &rows));
    *out = ARENA_ARRAY(mem, int64_t, rows.count);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = db_get_int64(&rows, i, 0);
    *out_count = (size_t)rows.count;
    return OK;
}

Err chat_store_channel_views(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, int64_t user_id,
                             ChannelView **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx,
                 "SELECT channel_id, permissions & 1 <> 0 FROM channel_access WHERE user_id = $3 AND guild_id = $1"
                 " AND ($2::bigint = 0 OR channel_id = $2) ORDER BY channel_id",
                 DB_ARGS(db_int64(guild_id), db_int64(channel_id), db_int64(user_id)), &rows));
    *out = ARENA_ARRAY(mem, ChannelView, rows.count);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (ChannelView){db_get_int64(&rows, i, 0), db_get_bool(&rows, i, 1)};
    *out_count = (size_t)rows.count;
    return OK;
}

/* What a member sees depends on nothing but his roles, the owner apart, who sees all: so one of each kind is asked for.
 * A row for each channel and each user who is not as most are (NULL: none). */
static const char AUDIENCE[] =
    "WITH kinds AS ("
    "  SELECT m.roles, min(m.user_id) AS one, count(*) AS members FROM member m JOIN guild g ON g.id = m.guild_id"
    "  WHERE m.guild_id = $1 AND m.user_id <> g.owner_id GROUP BY m.roles"
    "), seen AS ("
    "  SELECT a.channel_id, k.roles, k.members, a.permissions & 1 <> 0 AS sees"
    "  FROM kinds k JOIN channel_access a ON a.user_id = k.one"
    "  WHERE a.guild_id = $1 AND ($2::bigint = 0 OR a.channel_id = $2)"
    "), most AS ("
    "  SELECT c.id, coalesce(t.balance, 0) >= 0 AS see FROM channel c LEFT JOIN ("
    "    SELECT s.channel_id, sum(CASE WHEN s.sees THEN s.members ELSE -s.members END) AS balance"
    "    FROM seen s GROUP BY s.channel_id"
    "  ) t ON t.channel_id = c.id WHERE c.guild_id = $1 AND ($2::bigint = 0 OR c.id = $2)"
    "), others AS ("
    "  SELECT most.id, m.user_id FROM most JOIN seen s ON s.channel_id = most.id AND s.sees <> most.see"
    "  JOIN member m ON m.guild_id = $1 AND m.roles = s.roles"
    "  JOIN guild g ON g.id = $1 AND g.owner_id <> m.user_id"
    "  UNION ALL SELECT most.id, g.owner_id FROM most JOIN guild g ON g.id = $1 WHERE NOT most.see"
    ") SELECT most.id, most.see, others.user_id FROM most LEFT JOIN others ON others.id = most.id"
    " ORDER BY most.id, others.user_id";

Err chat_store_audience(DbTx *tx, Arena *mem, int64_t guild_id, int64_t channel_id, ChannelAudience **out,
                        size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t *users;
    size_t count = 0;

    TRY(db_query(tx, AUDIENCE, DB_ARGS(db_int64(guild_id), db_int64(channel_id)), &rows));
    users = ARENA_ARRAY(mem, int64_t, rows.count);
    *out = ARENA_ARRAY(mem, ChannelAudience, rows.count);
    for (int i = 0; i < rows.count; i++) {
        int64_t id = db_get_int64(&rows, i, 0);

        if (!count || (*out)[count - 1].channel_id != id)
            (*out)[count++] = (ChannelAudience){.channel_id = id, .mostly = db_get_bool(&rows, i, 1), .users = users};
        if (db_is_null(&rows, i, 2))
            continue;
        *users++ = db_get_int64(&rows, i, 2);
        (*out)[count - 1].user_count++;
    }
    *out_count = count;
    return OK;
}

Err chat_store_guild_of(DbTx *tx, Arena *mem, int64_t guild_id, Chat__V1__Guild *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, "SELECT " GUILD_COLUMNS " FROM guild g WHERE g.id = $1", DB_ARGS(db_int64(guild_id)), &rows));
    if (!rows.count)
        return err_make(&NOT_FOUND, "guild not found");
    chat_store_read_guild(mem, &rows, 0, 0, out);
    return OK;
}

/* --- priming ------------------------------------------------------------------------------------------------------ */
enum { ROW_MORE, ROW_ROLE, ROW_MEMBER, ROW_MEMBER_ROLE, ROW_PRIMED_CHANNEL };

/* A row is (kind, guild, id, name, color, permissions, position, time); the first one says which guild is the last and
 * whether there are more (in `position`). A member's roles follow the members. `sizes`: a guild's rows and those of all
 * before it. */
static const char PRIMER[] =
    "WITH sizes AS MATERIALIZED ("
    "  SELECT m.guild_id, sum(1 + cardinality(m.roles)"
    "      + (SELECT count(*) FROM role r WHERE r.guild_id = m.guild_id)"
    "      + (SELECT count(*) FROM channel c WHERE c.guild_id = m.guild_id)) OVER (ORDER BY m.guild_id) AS rows,"
    "    row_number() OVER (ORDER BY m.guild_id) AS n"
    "  FROM member m WHERE m.user_id = $1 AND ($2::bigint = 0 OR m.guild_id = $2) AND m.guild_id > $3"
    "), mine AS MATERIALIZED ("
    "  SELECT m.* FROM member m JOIN sizes s ON s.guild_id = m.guild_id"
    "  WHERE m.user_id = $1 AND (s.rows <= $4 OR s.n = 1)"
    "), rest AS ("
    "  SELECT (SELECT count(*) FROM sizes) > (SELECT count(*) FROM mine) AS more"
    ") SELECT * FROM ("
    "  SELECT 0::bigint AS kind, 0::bigint AS guild_id, coalesce((SELECT max(guild_id) FROM mine), $3::bigint) AS id,"
    "         NULL::text, 0::bigint, 0::bigint, more::int::bigint AS position, NULL::timestamptz FROM rest"
    "  UNION ALL SELECT 1, r.guild_id, r.id, r.name, r.color::bigint, r.permissions, r.position::bigint,"
    "         NULL FROM role r JOIN mine ON mine.guild_id = r.guild_id"
    "  UNION ALL SELECT 2, guild_id, user_id, nickname, 0, 0, 0, joined_at FROM mine"
    "  UNION ALL SELECT 3, guild_id, role_id, NULL, 0, 0, 0, NULL FROM mine CROSS JOIN unnest(roles) AS role_id"
    "  UNION ALL SELECT 4, a.guild_id, a.channel_id, NULL, 0, 0, 0, NULL FROM mine"
    "   JOIN channel_access a ON a.guild_id = mine.guild_id AND a.user_id = mine.user_id AND a.permissions & 1 <> 0"
    "  UNION ALL (SELECT 4, 0, r.channel_id, NULL, 0, 0, 0, NULL FROM rest, recipient r"
    "   WHERE r.user_id = $1 AND $2::bigint = 0 AND NOT rest.more ORDER BY r.channel_id DESC LIMIT $5::bigint)"
    ") rows ORDER BY kind, guild_id, position, id";

static Chat__V1__Role *read_role(Arena *mem, const DbRows *rows, int row)
{
    Chat__V1__Role *role = MESSAGE_NEW(mem, Chat__V1__Role, chat__v1__role__init);

    SET(role, guild_id, db_get_int64(rows, row, 1));
    SET(role, id, db_get_int64(rows, row, 2));
    role->name = db_get_cstr(mem, rows, row, 3);
    SET(role, color, (int32_t)db_get_int64(rows, row, 4));
    SET(role, permissions, db_get_int64(rows, row, 5));
    SET(role, position, (int32_t)db_get_int64(rows, row, 6));
    SET(role, is_default, role->id == role->guild_id);
    return role;
}

static Chat__V1__Member *read_member(Arena *mem, const DbRows *rows, int row)
{
    Chat__V1__Member *member = MESSAGE_NEW(mem, Chat__V1__Member, chat__v1__member__init);

    SET(member, guild_id, db_get_int64(rows, row, 1));
    SET(member, user_id, db_get_int64(rows, row, 2));
    member->nickname = db_get_cstr_or_null(mem, rows, row, 3);
    member->joined_at = chat_time(mem, db_get_time_us(rows, row, 7));
    return member;
}

/* Both are in the order of guilds. */
static void read_member_role(const DbRows *rows, int row, Chat__V1__Member ***member, int64_t **next_role)
{
    while ((**member)->guild_id != db_get_int64(rows, row, 1))
        ++*member;
    if (!(**member)->n_roles)
        (**member)->roles = *next_role;
    *(*next_role)++ = db_get_int64(rows, row, 2);
    (**member)->n_roles++;
}

static void read_primer(Arena *mem, const DbRows *rows, Primer *out)
{
    Chat__V1__Member **member = ARENA_ARRAY(mem, Chat__V1__Member *, rows->count);
    int64_t *next_role = ARENA_ARRAY(mem, int64_t, rows->count);

    *out = (Primer){.roles = ARENA_ARRAY(mem, Chat__V1__Role *, rows->count),
                    .members = member,
                    .channels = ARENA_ARRAY(mem, int64_t, rows->count)};
    for (int i = 0; i < rows->count; i++)
        switch (db_get_int64(rows, i, 0)) {
        case ROW_MORE:
            out->last_guild = db_get_int64(rows, i, 2);
            out->more = db_get_int64(rows, i, 6);
            break;
        case ROW_ROLE:
            out->roles[out->role_count++] = read_role(mem, rows, i);
            break;
        case ROW_MEMBER:
            out->members[out->member_count++] = read_member(mem, rows, i);
            break;
        case ROW_MEMBER_ROLE:
            read_member_role(rows, i, &member, &next_role);
            break;
        case ROW_PRIMED_CHANNEL:
            out->channels[out->channel_count++] = db_get_int64(rows, i, 2);
            break;
        }
}

Err chat_store_primer(Request *rq, DbTx *tx, Arena *mem, int64_t user_id, int64_t guild_id, int64_t after, Primer *out)
{
    const DbArgs args = DB_ARGS(db_int64(user_id), db_int64(guild_id), db_int64(after), db_int64(PRIMER_ROWS_MAX),
                                db_int64(SESSION_DMS_MAX));
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(tx ? db_query(tx, PRIMER, args, &rows) : db_read(rq, PRIMER, args, &rows));
    read_primer(mem, &rows, out);
    return OK;
}

/* --- pictures ------------------------------------------------------------------------------------------------------
 */
/* Of (name, owner). */
static Err read_picture(Request *rq, const char *sql, int64_t id, Chat__V1__Picture *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, sql, DB_ARGS(db_int64(id)), &rows));
    if (rows.count == 0)
        return OK;
    out->name = db_get_cstr(rq->mem, &rows, 0, 0);
    SET(out, owner_id, db_get_int64(&rows, 0, 1));
    return OK;
}

Err chat_store_avatar(Request *rq, int64_t user_id, Chat__V1__Picture *out)
{
    return read_picture(rq, "SELECT avatar_hash, user_id FROM person WHERE user_id = $1", user_id, out);
}

Err chat_store_icon(Request *rq, int64_t guild_id, Chat__V1__Picture *out)
{
    return read_picture(rq, "SELECT icon_hash, icon_by FROM guild WHERE id = $1", guild_id, out);
}

Err chat_store_live_secret(Db *db, uint8_t out[32])
{
    enum { TIMEOUT_MS = 5000 };
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice secret;

    TRY(db_read_with(db, TIMEOUT_MS, "SELECT secret FROM live_secret", DB_NO_ARGS, &rows));
    if (rows.count != 1)
        return err_make(&INTERNAL, "there is no secret for session ids");
    secret = db_get_bytes(&rows, 0, 0);
    assert(secret.len == 32); /* the table sees to it */
    memcpy(out, secret.ptr, secret.len);
    return OK;
}
