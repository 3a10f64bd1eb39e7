/* store: see store.h. */
#include "services/chat/store.h"

Google__Protobuf__Timestamp *chat_time(Arena *mem, int64_t unix_us)
{
    Google__Protobuf__Timestamp *t = MESSAGE_NEW(mem, Google__Protobuf__Timestamp, google__protobuf__timestamp__init);
    int64_t micros = unix_us % 1000000;

    if (micros < 0)
        micros += 1000000;
    t->seconds = (unix_us - micros) / 1000000;
    t->nanos = (int32_t)micros * 1000;
    return t;
}

void chat_store_read_guild(Arena *mem, const DbRows *rows, int row, int first, Chat__V1__Guild *out)
{
    chat__v1__guild__init(out);
    SET(out, id, db_get_int64(rows, row, first));
    out->name = db_get_cstr(mem, rows, row, first + 1);
    if (!db_is_null(rows, row, first + 2))
        out->icon_hash = db_get_cstr(mem, rows, row, first + 2);
    SET(out, owner_id, db_get_int64(rows, row, first + 3));
    out->created_at = chat_time(mem, db_get_time_us(rows, row, first + 4));
    SET(out, member_count, (int32_t)db_get_int64(rows, row, first + 5));
}

static const char LIST_GUILDS_OF[] = "SELECT " GUILD_COLUMNS " FROM member m JOIN guild g ON g.id = m.guild_id"
                                     " WHERE m.user_id = $1 ORDER BY g.id LIMIT $2";

Err chat_store_list_guilds_of(Request *rq, int64_t user_id, Chat__V1__Guild ***out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Chat__V1__Guild **list;

    TRY(db_read(rq, LIST_GUILDS_OF, DB_ARGS(db_int64(user_id), db_int64(GUILDS_SHOWN_MAX)), &rows));
    list = ARENA_ARRAY(rq->mem, Chat__V1__Guild *, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        list[i] = ARENA_NEW(rq->mem, Chat__V1__Guild);
        chat_store_read_guild(rq->mem, &rows, i, 0, list[i]);
    }
    *out = list;
    *out_count = (size_t)rows.count;
    return OK;
}

static const char GUILD_FOR[] = "SELECT " GUILD_COLUMNS " FROM guild g JOIN member m ON m.guild_id = g.id"
                                " WHERE g.id = $1 AND m.user_id = $2";

Err chat_store_guild_for(Request *rq, int64_t guild_id, int64_t user_id, Chat__V1__Guild *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, GUILD_FOR, DB_ARGS(db_int64(guild_id), db_int64(user_id)), &rows));
    chat__v1__guild__init(out);
    if (rows.count > 0)
        chat_store_read_guild(rq->mem, &rows, 0, 0, out);
    return OK;
}
