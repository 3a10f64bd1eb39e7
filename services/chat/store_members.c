/* store_members: see store_members.h. */
#include "services/chat/store_members.h"

#include "services/chat/persons.h"

/* For a member there is always a row, of NULLs when nobody matches. */
#define LIST_MEMBERS(condition, order)                                                                                 \
    "SELECT l.* FROM member me LEFT JOIN LATERAL ("                                                                    \
    "  SELECT " MEMBER_COLUMNS ", " PERSON_COLUMNS(                                                                    \
        "p") ", s.status FROM member m JOIN person p ON p.user_id = m.user_id LEFT JOIN presence s ON s.user_id = "    \
             "m.user_id"                                                                                               \
             "  WHERE m.guild_id = $1 AND " condition " AND ($3 = '' OR starts_with(lower(m.nickname), lower($3))"     \
             "   OR starts_with(lower(p.display_name), lower($3)) OR starts_with(lower(p.username), lower($3)))"       \
             "  ORDER BY " order " LIMIT $4 OFFSET $5"                                                                 \
             " ) l (guild_id, user_id, nickname, joined_at, roles, person_id, username, display_name, avatar_hash,"    \
             "      created_at, status) ON true WHERE me.guild_id = $1 AND me.user_id = $2 ORDER BY "
static const char MEMBERS_BY_TIME[] =
    LIST_MEMBERS("$6::bigint IS NOT NULL", "m.joined_at, m.user_id") "l.joined_at, l.user_id";
static const char MEMBERS_BY_ID[] = LIST_MEMBERS("m.user_id > $6", "m.user_id") "l.user_id";

Err chat_store_list_members(Request *rq, const MemberPage *page, Chat__V1__Member ***out, size_t *out_count,
                            bool *out_member)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, page->by_id ? MEMBERS_BY_ID : MEMBERS_BY_TIME,
                DB_ARGS(db_int64(page->guild_id), db_int64(page->asker_id), db_text(slice(page->query)),
                        db_int64(page->limit), db_int64(page->offset), db_int64(page->after)),
                &rows));
    *out_member = rows.count > 0;
    *out = ARENA_ARRAY(rq->mem, Chat__V1__Member *, rows.count + 1);
    *out_count = 0;
    for (int i = 0; i < rows.count && !db_is_null(&rows, i, 0); i++) {
        (*out)[i] = ARENA_NEW(rq->mem, Chat__V1__Member);
        chat_store_read_member(rq->mem, &rows, i, 0, (*out)[i]);
        *out_count = (size_t)i + 1;
    }
    return OK;
}

static const char SELECT_MEMBER[] =
    "SELECT " MEMBER_COLUMNS
    ", " PERSON_COLUMNS("p") ", s.status FROM member m JOIN person p ON p.user_id = m.user_id"
                             " LEFT JOIN presence s ON s.user_id = m.user_id WHERE m.guild_id = $1 AND m.user_id = $2";

Err chat_store_member(Request *rq, DbTx *tx, int64_t guild_id, int64_t user_id, Chat__V1__Member *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(chat_store_ask(rq, tx, SELECT_MEMBER, DB_ARGS(db_int64(guild_id), db_int64(user_id)), &rows));
    chat__v1__member__init(out);
    if (rows.count > 0)
        chat_store_read_member(rq->mem, &rows, 0, 0, out);
    return OK;
}

/* --- changes -------------------------------------------------------------------------------------------------------
 */
static const char INSERT_MEMBER[] =
    "WITH new AS ("
    "  INSERT INTO member (guild_id, user_id, joined_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING guild_id"
    ") UPDATE guild SET member_count = member_count + 1 FROM new WHERE id = new.guild_id";

Err chat_store_insert_member(DbTx *tx, int64_t guild_id, int64_t user_id, int64_t now_us)
{
    int64_t count;

    TRY(db_exec_count(tx, INSERT_MEMBER, DB_ARGS(db_int64(guild_id), db_int64(user_id), db_time_us(now_us)), &count));
    return count ? OK : err_make(&ALREADY_MEMBER, "you are already a member of this guild");
}

static const char DELETE_MEMBER[] =
    "WITH old AS (DELETE FROM member WHERE guild_id = $1 AND user_id = $2 RETURNING guild_id)"
    " UPDATE guild SET member_count = member_count - 1 FROM old WHERE id = old.guild_id";

Err chat_store_delete_member(DbTx *tx, int64_t guild_id, int64_t user_id, bool *out_was)
{
    int64_t count;

    TRY(db_exec_count(tx, DELETE_MEMBER, DB_ARGS(db_int64(guild_id), db_int64(user_id)), &count));
    *out_was = count > 0;
    return OK;
}

static const char SET_NICKNAME[] = "UPDATE member SET nickname = nullif($3, '') WHERE guild_id = $1 AND user_id = $2";

Err chat_store_set_nickname(DbTx *tx, int64_t guild_id, int64_t user_id, const char *nickname)
{
    return db_exec(tx, SET_NICKNAME, DB_ARGS(db_int64(guild_id), db_int64(user_id), db_text(slice(nickname))));
}

static const char SET_ROLES[] = "UPDATE member SET roles = $3 WHERE guild_id = $1 AND user_id = $2";

Err chat_store_set_member_roles(DbTx *tx, int64_t guild_id, int64_t user_id, const int64_t *roles, size_t count)
{
    return db_exec(tx, SET_ROLES, DB_ARGS(db_int64(guild_id), db_int64(user_id), db_int64_array(roles, count)));
}

/* --- bans ----------------------------------------------------------------------------------------------------------
 */
static const char PUT_BAN[] =
    "INSERT INTO ban (guild_id, user_id, reason, created_by, created_at) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT (guild_id, user_id) DO UPDATE SET reason = excluded.reason RETURNING xmax = 0";

Err chat_store_put_ban(DbTx *tx, const Chat__V1__Ban *ban, int64_t now_us, bool *out_new)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, PUT_BAN,
                 DB_ARGS(db_int64(ban->guild_id), db_int64(ban->user_id), db_text_or_null(ban->reason),
                         db_int64(ban->created_by), db_time_us(now_us)),
                 &rows));
    *out_new = db_get_bool(&rows, 0, 0);
    return OK;
}

static const char DELETE_BAN[] = "DELETE FROM ban WHERE guild_id = $1 AND user_id = $2";

Err chat_store_delete_ban(DbTx *tx, int64_t guild_id, int64_t user_id, bool *out_was)
{
    int64_t count;

    TRY(db_exec_count(tx, DELETE_BAN, DB_ARGS(db_int64(guild_id), db_int64(user_id)), &count));
    *out_was = count > 0;
    return OK;
}

static const char LIST_BANS[] = "SELECT b.guild_id, b.user_id, b.reason, b.created_by, b.created_at, " PERSON_COLUMNS(
    "p") " FROM ban b"
         " JOIN person p ON p.user_id = b.user_id WHERE b.guild_id = $1 AND ($2 = 0 OR (b.created_at, -b.user_id) <"
         "  (SELECT l.created_at, -l.user_id FROM ban l WHERE l.guild_id = $1 AND l.user_id = $2))"
         " ORDER BY b.created_at DESC, b.user_id LIMIT $3";
enum { BANNED_AT = 5 };

Err chat_store_list_bans(Request *rq, int64_t guild_id, int64_t after, int64_t limit, Chat__V1__Ban ***out,
                         size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LIST_BANS, DB_ARGS(db_int64(guild_id), db_int64(after), db_int64(limit)), &rows));
    *out = ARENA_ARRAY(rq->mem, Chat__V1__Ban *, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        Chat__V1__Ban *ban = MESSAGE_NEW(rq->mem, Chat__V1__Ban, chat__v1__ban__init);

        SET(ban, guild_id, db_get_int64(&rows, i, 0));
        SET(ban, user_id, db_get_int64(&rows, i, 1));
        ban->reason = db_get_cstr_or_null(rq->mem, &rows, i, 2);
        SET(ban, created_by, db_get_int64(&rows, i, 3));
        ban->created_at = chat_time(rq->mem, db_get_time_us(&rows, i, 4));
        ban->user = persons_read(rq->mem, &rows, i, BANNED_AT);
        (*out)[i] = ban;
    }
    *out_count = (size_t)rows.count;
    return OK;
}
