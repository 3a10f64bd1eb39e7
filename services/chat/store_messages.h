/* store_messages: the SQL of messages. What is read becomes messages of the arena. */
#pragma once
#include "services/chat/mentions.h"
#include "services/chat/messages.h"

/* Of message `m`, whose author is `u`, as user $2 sees it: all that an answer needs, in one row. What most messages
 * have not is NULL, which costs nothing to send; neither reactions nor attachments are looked for where the row says
 * that there are none. */
#define MESSAGE_COLUMNS                                                                                                \
    "m.id, m.channel_id, m.author_id, nullif(m.type, 0), m.content, m.edited_at, m.reply_to,"                          \
    " nullif(m.mention_everyone, false), m.pinned_at, array_to_string(m.mentions, ','),"                               \
    " array_to_string(m.mention_roles, ','), u.username, u.display_name, u.avatar_hash,"                               \
    " CASE WHEN m.reacted THEN (SELECT string_agg(counted(k.emoji) || counted(k.count::text) ||"                       \
    " counted(k.me::int::text), '' ORDER BY k.first, k.emoji) FROM (SELECT r.emoji, count(*) AS count,"                \
    " bool_or(r.user_id = $2) AS me, min(r.created_at) AS first FROM reaction r WHERE r.message_id = m.id"             \
    " GROUP BY r.emoji) k) END,"                                                                                       \
    " CASE WHEN m.attached THEN (SELECT string_agg(counted(a.id::text) || counted(a.filename) ||"                      \
    " counted(a.content_type) || counted(a.size_bytes::text) || counted(a.path) || counted(a.media_id::text),"         \
    " '' ORDER BY a.id) FROM attachment a WHERE a.message_id = m.id) END"
enum { MESSAGE_COLUMN_COUNT = 16 };
/* From column `first` on. `guild_id` 0: between people. */
void chat_store_read_message(Request *rq, const DbRows *rows, int row, int first, int64_t guild_id,
                             Chat__V1__Message *out);
/* All rows; those whose id is NULL are passed over. */
void chat_store_read_messages(Request *rq, const DbRows *rows, int first, int64_t guild_id, Chat__V1__Message ***out,
                              size_t *out_count);

/* --- reading, each judged (place.h) for READ_MESSAGE_HISTORY ------------------------------------------------------ */
typedef enum HistoryFrom { HISTORY_BEFORE, HISTORY_AFTER, HISTORY_AROUND } HistoryFrom;
/* Newest first. */
Err chat_store_history(Request *rq, int64_t channel_id, HistoryFrom from, int64_t id, int limit,
                       Chat__V1__MessageList *out) MUST_CHECK;
Err chat_store_pins(Request *rq, int64_t channel_id, Chat__V1__MessageList *out) MUST_CHECK;
/* NOT_FOUND "message not found". */
Err chat_store_message(Request *rq, int64_t channel_id, int64_t id, Chat__V1__Message *out) MUST_CHECK;

/* --- changing, under the channel's lock --------------------------------------------------------------------------- */
/* The same, of what is about to be changed. */
Err chat_store_message_in(DbTx *tx, Request *rq, const Place *place, int64_t id, Chat__V1__Message *out) MUST_CHECK;
/* The message with the row that tells of it. */
Err chat_store_insert_message(DbTx *tx, const Chat__V1__Message *message, const OutboxRow *announce) MUST_CHECK;
/* One that has text and nothing else, in a transaction of its own that looks once more. `*out_done` false, and nothing
 * happened: its author may no longer post, or its id is not greater than all others of the channel. */
Err chat_store_post_plain(Request *rq, const Chat__V1__Message *message, const OutboxRow *announce,
                          bool *out_done) MUST_CHECK;
/* Text and whom it means, instead of `old`. */
Err chat_store_update_message(DbTx *tx, const Chat__V1__Message *old, const Chat__V1__Message *message,
                              int64_t now_us) MUST_CHECK;
/* To be counted for those that it means, see store_reads.h. */
Err chat_store_insert_mentions(DbTx *tx, const Chat__V1__Message *message) MUST_CHECK;
Err chat_store_delete_mentions(DbTx *tx, const Chat__V1__Message *message) MUST_CHECK;

typedef struct DeletedMessages {
    int64_t *ids; /* of those that were there, ascending */
    size_t count;
    bool attached; /* one of them had attachments */
} DeletedMessages;
/* With reactions and mentions. */
Err chat_store_delete_messages(DbTx *tx, Arena *mem, int64_t channel_id, const int64_t *ids, size_t count,
                               DeletedMessages *out) MUST_CHECK;

/* Which of those are in the guild, or in the DM: fills the lists of ids of `message`. */
Err chat_store_resolve_mentions(DbTx *tx, Arena *mem, const Place *place, const Mentions *found,
                                Chat__V1__Message *message) MUST_CHECK;
/* 0 when the channel has no such message. */
Err chat_store_author_of(DbTx *tx, int64_t channel_id, int64_t id, int64_t *out_author_id) MUST_CHECK;

/* May `user_id` post now? Then it is remembered; else `*out_wait_us` is how long not. */
Err chat_store_slow_post(DbTx *tx, int64_t channel_id, int64_t user_id, int slow_s, int64_t now_us,
                         int64_t *out_wait_us) MUST_CHECK;

Err chat_store_count_pins(DbTx *tx, int64_t channel_id, int *out) MUST_CHECK;
/* `pinned_us` 0 takes it off. `*out_changed`: it was not so before. `*out_last_us`: the latest pin of the channel then,
 * 0 none. */
Err chat_store_set_pin(DbTx *tx, int64_t channel_id, int64_t id, int64_t pinned_us, bool *out_changed,
                       int64_t *out_last_us) MUST_CHECK;
