/* messages: the limits of messages and what belongs to them, and what their handlers share. Characters are code points;
 * the contract is contracts/chat.md, sections 5.7, 5.8, 12 and 13. */
#pragma once
#include "atrium/chat/v1/messages.pb-c.h"
#include "services/chat/place.h"

enum {
    CONTENT_MAX_CHARS = 2000,
    NONCE_MAX_BYTES = 64,
    MESSAGES_PAGE_MAX = 100,
    MESSAGES_PAGE_DEFAULT = 50,
    SEARCH_PAGE_DEFAULT = 25,
    BULK_DELETE_MIN = 2,
    BULK_DELETE_MAX = 100,
    EMOJI_MAX_BYTES = 64,
    EMOJI_KINDS_MAX = 20, /* of one message */
    REACTIONS_PAGE_MAX = 100,
    REACTIONS_PAGE_DEFAULT = 25,
    PINS_MAX = 50, /* of a channel */
    UNREAD_COUNT_MAX = 100,
    READ_STATES_MAX = 2000,       /* in one answer */
    ATTACHMENTS_MAX = 10,         /* of a message */
    CLAIM_WINDOW_MS = 600 * 1000, /* how old an upload may be that a message takes without naming it */
    MESSAGE_TYPE_PLAIN = 0,
    MESSAGE_TYPE_REPLY = 19
};

/* "limit" as clients give it: absent is `by_default`. INVALID_LIMIT. */
Err messages_limit(const char *text, int max, int by_default, int *out) MUST_CHECK;
/* The next id of the channel: greater than all that it has, whatever the clocks of two instances say. */
int64_t messages_next_id(const Chat *chat, const Place *place);
/* Deletes these of one channel (guild_id 0: between people), whoever asks: of an account that is gone. 100 at most. */
Err messages_erase(Request *rq, int64_t channel_id, int64_t guild_id, const int64_t *ids, size_t count) MUST_CHECK;
/* What is allowed of a text depends on whether files come with it. INVALID_CONTENT. */
Err messages_check_content(const char *content, bool attached) MUST_CHECK;
/* Fills in whom `message` means by its text: users, roles and everyone, as far as there are such and its author may. */
Err messages_find_mentions(DbTx *tx, Request *rq, const Place *place, Chat__V1__Message *message) MUST_CHECK;
/* … and, after that, whom a reply answers, if that is there still. */
Err messages_mention_answered(DbTx *tx, Request *rq, Chat__V1__Message *message) MUST_CHECK;
/* As rpc SendMessage, for whoever posts for somebody. */
Err messages_post(Request *rq, const Chat__V1__SendMessageRequest *in, Chat__V1__Message *out) MUST_CHECK;
