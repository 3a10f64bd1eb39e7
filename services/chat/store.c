/* store: see store.h. */
#include "services/chat/store.h"

#include "services/chat/persons.h"
#include "services/chat/status.h"

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

Err chat_store_ask(Request *rq, DbTx *tx, const char *sql, DbArgs args, DbRows *out)
{
    return tx ? db_query(tx, sql, args, out) : db_read(rq, sql, args, out);
}

void chat_store_read_guild(Arena *mem, const DbRows *rows, int row, int first, Chat__V1__Guild *out)
{
    chat__v1__guild__init(out);
    SET(out, id, db_get_int64(rows, row, first));
    out->name = db_get_cstr(mem, rows, row, first + 1);
    out->icon_hash = db_get_cstr_or_null(mem, rows, row, first + 2);
    SET(out, owner_id, db_get_int64(rows, row, first + 3));
    out->created_at = chat_time(mem, db_get_time_us(rows, row, first + 4));
    SET(out, member_count, (int32_t)db_get_int64(rows, row, first + 5));
}

void chat_store_read_channel(Arena *mem, const DbRows *rows, int row, int first, Chat__V1__Channel *out)
{
    chat__v1__channel__init(out);
    SET(out, id, db_get_int64(rows, row, first));
    if (!db_is_null(rows, row, first + 1)) {
        SET(out, guild_id, db_get_int64(rows, row, first + 1));
        out->name = db_get_cstr(mem, rows, row, first + 3);
    }
    SET(out, type, (int32_t)db_get_int64(rows, row, first + 2));
    SET(out, position, (int32_t)db_get_int64(rows, row, first + 4));
    out->topic = db_get_cstr_or_null(mem, rows, row, first + 5);
    if (!db_is_null(rows, row, first + 6))
        SET(out, parent_id, db_get_int64(rows, row, first + 6));
    if (out->type == CHANNEL_TEXT)
        SET(out, rate_limit_per_user, (int32_t)db_get_int64(rows, row, first + 7));
}

void chat_store_read_role(Arena *mem, const DbRows *rows, int row, int first, Chat__V1__Role *out)
{
    chat__v1__role__init(out);
    SET(out, id, db_get_int64(rows, row, first));
    SET(out, guild_id, db_get_int64(rows, row, first + 1));
    out->name = db_get_cstr(mem, rows, row, first + 2);
    SET(out, color, (int32_t)db_get_int64(rows, row, first + 3));
    SET(out, permissions, db_get_int64(rows, row, first + 4));
    SET(out, position, (int32_t)db_get_int64(rows, row, first + 5));
    SET(out, is_default, out->id == out->guild_id);
}

void chat_store_read_member(Arena *mem, const DbRows *rows, int row, int first, Chat__V1__Member *out)
{
    chat__v1__member__init(out);
    SET(out, guild_id, db_get_int64(rows, row, first));
    SET(out, user_id, db_get_int64(rows, row, first + 1));
    out->nickname = db_get_cstr_or_null(mem, rows, row, first + 2);
    out->joined_at = chat_time(mem, db_get_time_us(rows, row, first + 3));
    out->n_roles = db_get_int64_array(mem, rows, row, first + 4, &out->roles);
    out->user = persons_read(mem, rows, row, first + MEMBER_COLUMN_COUNT);
    out->presence = arena_strdup(
        mem, status_name((Status)db_get_int64(rows, row, first + MEMBER_COLUMN_COUNT + PERSON_COLUMN_COUNT)));
}
