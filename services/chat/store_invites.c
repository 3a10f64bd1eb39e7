/* store_invites: see store_invites.h. */
#include "services/chat/store_invites.h"

static const char INSERT_INVITE[] = "INSERT INTO invite (code, guild_id, creator_id, max_uses, expires_at, created_at)"
                                    " VALUES ($1, $2, $3, $4::bigint::integer, $5, $6) ON CONFLICT DO NOTHING";
static const char COUNT_INVITES[] = "SELECT count(*) FROM invite WHERE guild_id = $1";

Err chat_store_insert_invite(DbTx *tx, const Chat__V1__Invite *invite, int64_t now_us, int64_t expires_us,
                             bool *out_new)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t count;

    TRY(db_query(tx, COUNT_INVITES, DB_ARGS(db_int64(invite->guild_id)), &rows));
    if (db_get_int64(&rows, 0, 0) >= INVITES_MAX)
        return err_make(&LIMIT_REACHED, "a guild has at most %d invites", INVITES_MAX);
    TRY(db_exec_count(tx, INSERT_INVITE,
                      DB_ARGS(db_text(slice(invite->code)), db_int64(invite->guild_id), db_int64(invite->creator_id),
                              db_int64(invite->max_uses), db_time_us_or_null(expires_us), db_time_us(now_us)),
                      &count));
    *out_new = count > 0;
    return OK;
}

#define INVITE_COLUMNS "i.code, i.guild_id, i.creator_id, i.max_uses, i.uses, i.expires_at, i.created_at"
enum { INVITE_COLUMN_COUNT = 7 };

static void read_invite(Arena *mem, const DbRows *rows, int row, Chat__V1__Invite *out)
{
    chat__v1__invite__init(out);
    out->code = db_get_cstr(mem, rows, row, 0);
    SET(out, guild_id, db_get_int64(rows, row, 1));
    SET(out, creator_id, db_get_int64(rows, row, 2));
    SET(out, max_uses, (int32_t)db_get_int64(rows, row, 3));
    SET(out, uses, (int32_t)db_get_int64(rows, row, 4));
    if (!db_is_null(rows, row, 5))
        out->expires_at = chat_time(mem, db_get_time_us(rows, row, 5));
    out->created_at = chat_time(mem, db_get_time_us(rows, row, 6));
}

static const char LIST_INVITES[] = "SELECT " INVITE_COLUMNS " FROM invite i WHERE i.guild_id = $1"
                                   " ORDER BY i.created_at DESC, i.code LIMIT $2";

Err chat_store_list_invites(Request *rq, int64_t guild_id, Chat__V1__Invite ***out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LIST_INVITES, DB_ARGS(db_int64(guild_id), db_int64(INVITES_MAX)), &rows));
    *out = ARENA_ARRAY(rq->mem, Chat__V1__Invite *, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        (*out)[i] = ARENA_NEW(rq->mem, Chat__V1__Invite);
        read_invite(rq->mem, &rows, i, (*out)[i]);
    }
    *out_count = (size_t)rows.count;
    return OK;
}

static const char SELECT_INVITE[] =
    "SELECT " INVITE_COLUMNS ", coalesce(i.expires_at <= $3, false), i.max_uses > 0 AND i.uses >= i.max_uses,"
    " EXISTS (SELECT FROM member m WHERE m.guild_id = i.guild_id AND m.user_id = $2),"
    " EXISTS (SELECT FROM ban b WHERE b.guild_id = i.guild_id AND b.user_id = $2)"
    " FROM invite i WHERE i.code = $1";

Err chat_store_invite(Request *rq, DbTx *tx, const char *code, int64_t now_us, InviteRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(chat_store_ask(rq, tx, SELECT_INVITE,
                       DB_ARGS(db_text(slice(code)), db_int64(rq->caller.user_id), db_time_us(now_us)), &rows));
    *out = (InviteRow){.invite = CHAT__V1__INVITE__INIT};
    if (rows.count == 0)
        return OK;
    read_invite(rq->mem, &rows, 0, &out->invite);
    out->expired = db_get_bool(&rows, 0, INVITE_COLUMN_COUNT);
    out->used_up = db_get_bool(&rows, 0, INVITE_COLUMN_COUNT + 1);
    out->is_member = db_get_bool(&rows, 0, INVITE_COLUMN_COUNT + 2);
    out->is_banned = db_get_bool(&rows, 0, INVITE_COLUMN_COUNT + 3);
    return OK;
}

static const char INVITE_INFO[] =
    "SELECT i.code, g.name, g.member_count, i.creator_id, g.id, coalesce(i.expires_at <= $2, false)"
    " FROM invite i JOIN guild g ON g.id = i.guild_id WHERE i.code = $1";

Err chat_store_invite_info(Request *rq, const char *code, int64_t now_us, Chat__V1__InviteInfo *out, bool *out_expired)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, INVITE_INFO, DB_ARGS(db_text(slice(code)), db_time_us(now_us)), &rows));
    if (rows.count == 0)
        return OK;
    out->code = db_get_cstr(rq->mem, &rows, 0, 0);
    out->guild_name = db_get_cstr(rq->mem, &rows, 0, 1);
    SET(out, member_count, (int32_t)db_get_int64(&rows, 0, 2));
    SET(out, creator_id, db_get_int64(&rows, 0, 3));
    SET(out, guild_id, db_get_int64(&rows, 0, 4));
    *out_expired = db_get_bool(&rows, 0, 5);
    return OK;
}

static const char USE_INVITE[] = "UPDATE invite SET uses = uses + 1 WHERE code = $1";

Err chat_store_use_invite(DbTx *tx, const char *code)
{
    return db_exec(tx, USE_INVITE, DB_ARGS(db_text(slice(code))));
}

static const char DELETE_INVITE[] = "DELETE FROM invite WHERE code = $1";

Err chat_store_delete_invite(DbTx *tx, const char *code)
{
    return db_exec(tx, DELETE_INVITE, DB_ARGS(db_text(slice(code))));
}
