/* store_messages: see store_messages.h. */
#include "services/chat/store_messages.h"

#include "services/chat/attachments.h"
#include "services/chat/store.h"
#include "shared/db_together.h"

/* --- rows ------------------------------------------------------------------------------------------------------------
 */
/* "12,13" -> 12, 13; written by the statement, so every one of them is a number. */
static int64_t *read_ids(Arena *mem, Slice text, size_t *out_count)
{
    size_t count = 1;
    int64_t *ids;
    Slice head;

    *out_count = 0;
    if (text.len == 0)
        return NULL;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == ',';
    ids = ARENA_ARRAY(mem, int64_t, count);
    for (bool more = true; more;) {
        more = slice_cut(text, ',', &head, &text);
        *out_count += slice_to_int64(head, &ids[*out_count]);
    }
    return ids;
}

/* "3:abc": what counted() has written. */
static Slice take_counted(Slice *rest)
{
    Slice head, value = {"", 0};
    int64_t len;

    if (!slice_cut(*rest, ':', &head, rest) || !slice_to_int64(head, &len) || len < 0 || (size_t)len > rest->len) {
        *rest = value;
        return value;
    }
    value = slice_take(*rest, (size_t)len);
    *rest = slice_skip(*rest, (size_t)len);
    return value;
}

static int64_t take_number(Slice *rest)
{
    int64_t number = 0;

    return slice_to_int64(take_counted(rest), &number) ? number : 0;
}

static void read_reactions(Arena *mem, Slice text, Chat__V1__Message *out)
{
    Chat__V1__ReactionCount **list = ARENA_ARRAY(mem, Chat__V1__ReactionCount *, EMOJI_KINDS_MAX);
    size_t count = 0;

    while (text.len && count < EMOJI_KINDS_MAX) {
        Chat__V1__ReactionCount *one = MESSAGE_NEW(mem, Chat__V1__ReactionCount, chat__v1__reaction_count__init);

        one->emoji = slice_cstr(mem, take_counted(&text));
        SET(one, count, (int32_t)take_number(&text));
        SET(one, me, take_number(&text) == 1);
        list[count++] = one;
    }
    out->reactions = list;
    out->n_reactions = count;
}

static void read_attachments(Request *rq, Slice text, Chat__V1__Message *out)
{
    Chat__V1__Attachment **list = ARENA_ARRAY(rq->mem, Chat__V1__Attachment *, ATTACHMENTS_MAX);
    size_t count = 0;

    while (text.len && count < ATTACHMENTS_MAX) {
        Chat__V1__Attachment *one = MESSAGE_NEW(rq->mem, Chat__V1__Attachment, chat__v1__attachment__init);

        SET(one, id, take_number(&text));
        SET(one, message_id, out->id);
        one->filename = slice_cstr(rq->mem, take_counted(&text));
        one->content_type = slice_cstr(rq->mem, take_counted(&text));
        SET(one, size, take_number(&text));
        one->url = attachment_url(rq, slice_cstr(rq->mem, take_counted(&text)));
        one->media_id = slice_cstr(rq->mem, take_counted(&text));
        list[count++] = one;
    }
    out->attachments = list;
    out->n_attachments = count;
}

static void read_author(Arena *mem, const DbRows *rows, int row, int first, Chat__V1__Message *out)
{
    out->author_username = db_get_cstr(mem, rows, row, first);
    out->author_display_name = db_get_cstr(mem, rows, row, first + 1);
    out->author_avatar_hash = db_get_cstr_or_null(mem, rows, row, first + 2);
}

void chat_store_read_message(Request *rq, const DbRows *rows, int row, int first, int64_t guild_id,
                             Chat__V1__Message *out)
{
    Arena *mem = rq->mem;

    chat__v1__message__init(out);
    SET(out, id, db_get_int64(rows, row, first));
    SET(out, channel_id, db_get_int64(rows, row, first + 1));
    if (guild_id)
        SET(out, guild_id, guild_id);
    SET(out, author_id, db_get_int64(rows, row, first + 2));
    SET(out, type, (int32_t)db_get_int64(rows, row, first + 3));
    out->content = db_get_cstr(mem, rows, row, first + 4);
    out->created_at = chat_time(mem, id_snowflake_unix_ms(out->id) * 1000);
    if (!db_is_null(rows, row, first + 5))
        out->edited_at = chat_time(mem, db_get_time_us(rows, row, first + 5));
    if (!db_is_null(rows, row, first + 6))
        SET(out, reply_to, db_get_int64(rows, row, first + 6));
    SET(out, mention_everyone, db_get_bool(rows, row, first + 7));
    SET(out, pinned, !db_is_null(rows, row, first + 8));
    out->mentions = read_ids(mem, db_get_text(rows, row, first + 9), &out->n_mentions);
    out->mention_roles = read_ids(mem, db_get_text(rows, row, first + 10), &out->n_mention_roles);
    read_author(mem, rows, row, first + 11, out);
    if (!db_is_null(rows, row, first + 14))
        read_reactions(mem, db_get_text(rows, row, first + 14), out);
    if (!db_is_null(rows, row, first + 15))
        read_attachments(rq, db_get_text(rows, row, first + 15), out);
}

void chat_store_read_messages(Request *rq, const DbRows *rows, int first, int64_t guild_id, Chat__V1__Message ***out,
                              size_t *out_count)
{
    Chat__V1__Message *all = ARENA_ARRAY(rq->mem, Chat__V1__Message, rows->count + 1);
    Chat__V1__Message **list = ARENA_ARRAY(rq->mem, Chat__V1__Message *, rows->count + 1);
    size_t count = 0;

    for (int i = 0; i < rows->count; i++) {
        if (db_is_null(rows, i, first))
            continue;
        list[count] = &all[count];
        chat_store_read_message(rq, rows, i, first, guild_id, list[count++]);
    }
    *out = list;
    *out_count = count;
}

/* --- reading ---------------------------------------------------------------------------------------------------------
 */
/* Who asks, in his channel ($1, $2), and what he gets, in one statement: what he may is known before anything is read.
 * What he may stands only where there is no message: where there is one, he may. 32768: READ_MESSAGE_HISTORY. */
#define JUDGED(from)                                                                                                   \
    "WITH place AS MATERIALIZED ("                                                                                     \
    "  SELECT c.id, c.guild_id, " CHANNEL_PERMISSIONS_SQL(                                                             \
        "c", "$2") " AS permissions FROM channel c WHERE c.id = $1"                                                    \
                   ") SELECT p.guild_id, CASE WHEN m.id IS NULL THEN p.permissions END, " MESSAGE_COLUMNS              \
                   " FROM place p"                                                                                     \
                   " LEFT JOIN LATERAL (" from                                                                         \
                   ") m ON (p.permissions & 32768) <> 0 LEFT JOIN person u ON u.user_id = m.author_id"
enum { JUDGED_COLUMN_COUNT = 2 };

/* Unordered: putting a page in order costs less here than there, see by_id_down. */
static const char HISTORY_BEFORE_ID[] = JUDGED("SELECT * FROM message b WHERE b.channel_id = p.id AND b.id < $3"
                                               " ORDER BY b.id DESC LIMIT $4");
static const char HISTORY_AFTER_ID[] = JUDGED("SELECT * FROM message b WHERE b.channel_id = p.id AND b.id > $3"
                                              " ORDER BY b.id LIMIT $4");
/* Half of them older, half of them younger, and the one itself; where one side is short, the other is not longer. */
static const char HISTORY_AROUND_ID[] =
    JUDGED("(SELECT * FROM message b WHERE b.channel_id = p.id AND b.id <= $3 ORDER BY b.id DESC LIMIT ($4 + 1) / 2)"
           " UNION ALL "
           "(SELECT * FROM message a WHERE a.channel_id = p.id AND a.id > $3 ORDER BY a.id LIMIT $4 / 2)");

static Err judge(const DbRows *rows, int64_t *out_guild_id)
{
    Place place = {.inside = true};

    if (rows->count == 0)
        return err_make(&NOT_FOUND, "channel not found");
    *out_guild_id = place.guild_id = db_get_int64(rows, 0, 0);
    if (!db_is_null(rows, 0, JUDGED_COLUMN_COUNT))
        return OK;
    place.inside = !db_is_null(rows, 0, 1);
    place.permissions = db_get_int64(rows, 0, 1);
    return place_require(&place, PERMISSION_READ_MESSAGE_HISTORY);
}

static int by_id_down(const void *a, const void *b)
{
    const Chat__V1__Message *x = *(Chat__V1__Message *const *)a, *y = *(Chat__V1__Message *const *)b;

    return (x->id < y->id) - (x->id > y->id);
}

Err chat_store_history(Request *rq, int64_t channel_id, HistoryFrom from, int64_t id, int limit,
                       Chat__V1__MessageList *out)
{
    static const char *const STATEMENTS[] = {HISTORY_BEFORE_ID, HISTORY_AFTER_ID, HISTORY_AROUND_ID};
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t guild_id;

    TRY(db_read(rq, STATEMENTS[from],
                DB_ARGS(db_int64(channel_id), db_int64(rq->caller.user_id), db_int64(id), db_int64(limit)), &rows));
    TRY(judge(&rows, &guild_id));
    chat_store_read_messages(rq, &rows, JUDGED_COLUMN_COUNT, guild_id, &out->messages, &out->n_messages);
    qsort(out->messages, out->n_messages, sizeof(void *), by_id_down);
    return OK;
}

static const char PINS[] =
    JUDGED("SELECT * FROM message b WHERE b.channel_id = p.id AND b.pinned_at IS NOT NULL"
           " ORDER BY b.pinned_at DESC, b.id DESC LIMIT $3") " ORDER BY m.pinned_at DESC, m.id DESC";

Err chat_store_pins(Request *rq, int64_t channel_id, Chat__V1__MessageList *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t guild_id;

    TRY(db_read(rq, PINS, DB_ARGS(db_int64(channel_id), db_int64(rq->caller.user_id), db_int64(PINS_MAX)), &rows));
    TRY(judge(&rows, &guild_id));
    chat_store_read_messages(rq, &rows, JUDGED_COLUMN_COUNT, guild_id, &out->messages, &out->n_messages);
    return OK;
}

static const char ONE[] = JUDGED("SELECT * FROM message b WHERE b.channel_id = p.id AND b.id = $3");

Err chat_store_message(Request *rq, int64_t channel_id, int64_t id, Chat__V1__Message *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t guild_id;

    TRY(db_read(rq, ONE, DB_ARGS(db_int64(channel_id), db_int64(rq->caller.user_id), db_int64(id)), &rows));
    TRY(judge(&rows, &guild_id));
    if (db_is_null(&rows, 0, JUDGED_COLUMN_COUNT))
        return err_make(&NOT_FOUND, "message not found");
    chat_store_read_message(rq, &rows, 0, JUDGED_COLUMN_COUNT, guild_id, out);
    return OK;
}

static const char ONE_IN[] = "SELECT " MESSAGE_COLUMNS " FROM message m LEFT JOIN person u ON u.user_id = m.author_id"
                             " WHERE m.channel_id = $1 AND m.id = $3";

Err chat_store_message_in(DbTx *tx, Request *rq, const Place *place, int64_t id, Chat__V1__Message *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, ONE_IN, DB_ARGS(db_int64(place->id), db_int64(rq->caller.user_id), db_int64(id)), &rows));
    if (rows.count == 0)
        return err_make(&NOT_FOUND, "message not found");
    chat_store_read_message(rq, &rows, 0, 0, place->guild_id, out);
    return OK;
}

/* --- posting ---------------------------------------------------------------------------------------------------------
 */
static DbValue ids_or_null(const int64_t *ids, size_t count)
{
    return count ? db_int64_array(ids, count) : db_null();
}

/* message.words of a guild and a text, both expressions; messages without text, and between people, are not searched.
 */
#define WORDS_SQL(guild, text)                                                                                         \
    "CASE WHEN " guild " IS NOT NULL AND " text " <> '' THEN to_tsvector('english', " text ")"                         \
    " || to_tsvector('simple', " text ") || array_to_tsvector(ARRAY['#' || " guild "::text]) END"

/* One statement, so that a message and what tells of it land together or not at all, in one round trip. */
static const char INSERT_MESSAGE[] =
    "WITH posted AS ("
    "  INSERT INTO message (channel_id, id, guild_id, author_id, type, attached, mention_everyone, reply_to, mentions,"
    "                       mention_roles, content, words)"
    "  VALUES ($1, $2, $3, $4, $5::bigint, $6, $7, $8, $9::bigint[], $10::bigint[], $11, " WORDS_SQL(
        "$3::bigint",
        "$11") ")"
               ") INSERT INTO outbox (id, key, subject, ce_type, payload) VALUES ($12, $13, $14, $15, $16)";

Err chat_store_insert_message(DbTx *tx, const Chat__V1__Message *message, const OutboxRow *announce)
{
    return db_exec(tx, INSERT_MESSAGE,
                   DB_ARGS(db_int64(message->channel_id), db_int64(message->id),
                           message->has_guild_id ? db_int64(message->guild_id) : db_null(),
                           db_int64(message->author_id), db_int64(message->type), db_bool(message->n_attachments > 0),
                           db_bool(message->mention_everyone),
                           message->has_reply_to ? db_int64(message->reply_to) : db_null(),
                           ids_or_null(message->mentions, message->n_mentions),
                           ids_or_null(message->mention_roles, message->n_mention_roles),
                           db_text(slice(message->content)), OUTBOX_ARGS(announce)));
}

static const char POST_PLAIN[] = "SELECT post_plain($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

Err chat_store_post_plain(Request *rq, const Chat__V1__Message *message, const OutboxRow *announce, bool *out_done)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_write_together(rq, (DbOrder){message->guild_id, message->channel_id, message->id}, POST_PLAIN,
                          DB_ARGS(db_int64(message->channel_id),
                                  message->has_guild_id ? db_int64(message->guild_id) : db_null(),
                                  db_int64(message->author_id), db_int64(message->id), db_text(slice(message->content)),
                                  OUTBOX_ARGS(announce)),
                          &rows));
    *out_done = db_get_bool(&rows, 0, 0);
    return OK;
}

static const char RESOLVE_IN_GUILD[] =
    "SELECT 0 AS kind, m.user_id FROM member m WHERE m.guild_id = $1 AND m.user_id = ANY ($2)"
    " UNION SELECT 0, m.user_id FROM person p JOIN member m ON m.guild_id = $1 AND m.user_id = p.user_id"
    "   WHERE lower(p.username) = ANY ($3)"
    " UNION SELECT 1, r.id FROM role r WHERE r.guild_id = $1 AND r.id = ANY ($4) AND r.id <> $1"
    " ORDER BY 1, 2";
static const char RESOLVE_BETWEEN[] =
    "SELECT 0 AS kind, r.user_id FROM recipient r JOIN person p ON p.user_id = r.user_id"
    " WHERE r.channel_id = $1 AND (r.user_id = ANY ($2) OR lower(p.username) = ANY ($3)) ORDER BY 2";

static void take_resolved(Arena *mem, const DbRows *rows, Chat__V1__Message *message)
{
    message->mentions = ARENA_ARRAY(mem, int64_t, rows->count + 1);
    message->mention_roles = ARENA_ARRAY(mem, int64_t, rows->count + 1);
    for (int i = 0; i < rows->count; i++) {
        int64_t id = db_get_int64(rows, i, 1);

        if (db_get_int64(rows, i, 0) == 0)
            message->mentions[message->n_mentions++] = id;
        else
            message->mention_roles[message->n_mention_roles++] = id;
    }
}

Err chat_store_resolve_mentions(DbTx *tx, Arena *mem, const Place *place, const Mentions *found,
                                Chat__V1__Message *message)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice names[MENTIONS_MAX];
    DbValue users = db_int64_array(found->users, found->user_count);
    DbValue texts = db_text_array(names, found->name_count);

    for (size_t i = 0; i < found->name_count; i++) {
        char *name = slice_cstr(mem, found->names[i]);

        for (char *c = name; *c; c++)
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        names[i] = slice(name);
    }
    if (place->guild_id)
        TRY(db_query(tx, RESOLVE_IN_GUILD,
                     DB_ARGS(db_int64(place->guild_id), users, texts, db_int64_array(found->roles, found->role_count)),
                     &rows));
    else
        TRY(db_query(tx, RESOLVE_BETWEEN, DB_ARGS(db_int64(place->id), users, texts), &rows));
    take_resolved(mem, &rows, message);
    return OK;
}

static const char INSERT_MENTIONS[] =
    "INSERT INTO mention (channel_id, kind, target_id, message_id)"
    " SELECT $1, 0, t, $2 FROM unnest($3::bigint[]) t UNION ALL SELECT $1, 1, t, $2 FROM unnest($4::bigint[]) t"
    " UNION ALL SELECT $1, 2, 0, $2 WHERE $5 ON CONFLICT DO NOTHING";
static const char DELETE_MENTIONS[] =
    "DELETE FROM mention WHERE channel_id = $1 AND message_id = $2 AND (kind, target_id) IN ("
    " SELECT 0, t FROM unnest($3::bigint[]) t UNION ALL SELECT 1, t FROM unnest($4::bigint[]) t"
    " UNION ALL SELECT 2, 0 WHERE $5)";

static Err change_mentions(DbTx *tx, const char *sql, const Chat__V1__Message *message)
{
    if (!message->n_mentions && !message->n_mention_roles && !message->mention_everyone)
        return OK;
    return db_exec(tx, sql,
                   DB_ARGS(db_int64(message->channel_id), db_int64(message->id),
                           db_int64_array(message->mentions, message->n_mentions),
                           db_int64_array(message->mention_roles, message->n_mention_roles),
                           db_bool(message->mention_everyone)));
}

Err chat_store_insert_mentions(DbTx *tx, const Chat__V1__Message *message)
{
    return change_mentions(tx, INSERT_MENTIONS, message);
}

Err chat_store_delete_mentions(DbTx *tx, const Chat__V1__Message *message)
{
    return change_mentions(tx, DELETE_MENTIONS, message);
}

static const char AUTHOR_OF[] = "SELECT author_id FROM message WHERE channel_id = $1 AND id = $2";

Err chat_store_author_of(DbTx *tx, int64_t channel_id, int64_t id, int64_t *out_author_id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, AUTHOR_OF, DB_ARGS(db_int64(channel_id), db_int64(id)), &rows));
    *out_author_id = rows.count ? db_get_int64(&rows, 0, 0) : 0;
    return OK;
}

static const char LAST_SLOW_POST[] = "SELECT posted_at FROM slow_post WHERE channel_id = $1 AND user_id = $2";
static const char SET_SLOW_POST[] = "INSERT INTO slow_post (channel_id, user_id, posted_at) VALUES ($1, $2, $3)"
                                    " ON CONFLICT (channel_id, user_id) DO UPDATE SET posted_at = excluded.posted_at";

/* Nobody else posts here meanwhile: the channel is locked. */
Err chat_store_slow_post(DbTx *tx, int64_t channel_id, int64_t user_id, int slow_s, int64_t now_us,
                         int64_t *out_wait_us)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, LAST_SLOW_POST, DB_ARGS(db_int64(channel_id), db_int64(user_id)), &rows));
    *out_wait_us = rows.count ? db_get_time_us(&rows, 0, 0) + (int64_t)slow_s * 1000000 - now_us : 0;
    if (*out_wait_us > 0)
        return OK;
    *out_wait_us = 0;
    return db_exec(tx, SET_SLOW_POST, DB_ARGS(db_int64(channel_id), db_int64(user_id), db_time_us(now_us)));
}

/* --- changing --------------------------------------------------------------------------------------------------------
 */
static const char UPDATE_MESSAGE[] = "UPDATE message SET content = $3, words = " WORDS_SQL(
    "guild_id", "$3") ", edited_at = $4, mention_everyone = $5, mentions = $6::bigint[],"
                      " mention_roles = $7::bigint[] WHERE channel_id = $1 AND id = $2";

Err chat_store_update_message(DbTx *tx, const Chat__V1__Message *old, const Chat__V1__Message *message, int64_t now_us)
{
    TRY(chat_store_delete_mentions(tx, old));
    TRY(chat_store_insert_mentions(tx, message));
    return db_exec(tx, UPDATE_MESSAGE,
                   DB_ARGS(db_int64(message->channel_id), db_int64(message->id), db_text(slice(message->content)),
                           db_time_us(now_us), db_bool(message->mention_everyone),
                           ids_or_null(message->mentions, message->n_mentions),
                           ids_or_null(message->mention_roles, message->n_mention_roles)));
}

static const char DELETE_MESSAGES[] =
    "WITH gone AS ("
    "  DELETE FROM message WHERE channel_id = $1 AND id = ANY ($2)"
    "  RETURNING id, reacted, attached, mentions, mention_roles, mention_everyone"
    "), unreacted AS ("
    "  DELETE FROM reaction WHERE message_id IN (SELECT id FROM gone WHERE reacted)"
    "), unmeant AS ("
    "  DELETE FROM mention WHERE channel_id = $1 AND (kind, target_id, message_id) IN ("
    "    SELECT 0, t, id FROM gone, unnest(mentions) t"
    "    UNION ALL SELECT 1, t, id FROM gone, unnest(mention_roles) t"
    "    UNION ALL SELECT 2, 0, id FROM gone WHERE mention_everyone)"
    ") SELECT id, attached FROM gone ORDER BY id";

Err chat_store_delete_messages(DbTx *tx, Arena *mem, int64_t channel_id, const int64_t *ids, size_t count,
                               DeletedMessages *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, DELETE_MESSAGES, DB_ARGS(db_int64(channel_id), db_int64_array(ids, count)), &rows));
    *out = (DeletedMessages){.ids = ARENA_ARRAY(mem, int64_t, rows.count + 1), .count = (size_t)rows.count};
    for (int i = 0; i < rows.count; i++) {
        out->ids[i] = db_get_int64(&rows, i, 0);
        out->attached |= db_get_bool(&rows, i, 1);
    }
    return OK;
}

/* --- pins ------------------------------------------------------------------------------------------------------------
 */
static const char COUNT_PINS[] = "SELECT count(*) FROM message WHERE channel_id = $1 AND pinned_at IS NOT NULL";

Err chat_store_count_pins(DbTx *tx, int64_t channel_id, int *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, COUNT_PINS, DB_ARGS(db_int64(channel_id)), &rows));
    *out = (int)db_get_int64(&rows, 0, 0);
    return OK;
}

static const char SET_PIN[] = "UPDATE message SET pinned_at = $3 WHERE channel_id = $1 AND id = $2"
                              " AND (pinned_at IS NULL) = ($3 IS NOT NULL)";
static const char LAST_PIN[] =
    "SELECT pinned_at FROM message WHERE channel_id = $1 AND pinned_at IS NOT NULL ORDER BY pinned_at DESC LIMIT 1";

Err chat_store_set_pin(DbTx *tx, int64_t channel_id, int64_t id, int64_t pinned_us, bool *out_changed,
                       int64_t *out_last_us)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    int64_t changed;

    TRY(db_exec_count(tx, SET_PIN, DB_ARGS(db_int64(channel_id), db_int64(id), db_time_us_or_null(pinned_us)),
                      &changed));
    *out_changed = changed > 0;
    TRY(db_query(tx, LAST_PIN, DB_ARGS(db_int64(channel_id)), &rows));
    *out_last_us = rows.count ? db_get_time_us(&rows, 0, 0) : 0;
    return OK;
}
