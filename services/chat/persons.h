/* persons: the copy of what auth says of accounts (table person). Whoever is to be referred to (a member, a recipient,
 * somebody banned) is asked for once; after that auth's events keep the copy right. */
#pragma once
#include "services/chat/chat.h"

enum { PERSONS_AT_ONCE_MAX = 100 };

/* All of `ids` are in the copy from here on; those that are not yet are asked of auth. NOT_FOUND with `missing` when
 * one of them is no account. Not from lane "reads" (it may call auth), and before the handler locks anything. */
Err persons_require(Request *rq, const int64_t *ids, size_t count, const char *missing) MUST_CHECK;
static inline Err persons_require_caller(Request *rq)
{
    return persons_require(rq, &rq->caller.user_id, 1, "user not found");
}

/* A row of table person as a User: user_id, username, display_name, avatar_hash, created_at from column `first` on. */
#define PERSON_COLUMNS(p) p ".user_id, " p ".username, " p ".display_name, " p ".avatar_hash, " p ".created_at"
enum { PERSON_COLUMN_COUNT = 5 };
/* NULL where the row has none. Borrowed from `mem`. */
Chat__V1__User *persons_read(Arena *mem, const DbRows *rows, int row, int first);

/* An EventHandler (outbox.h) for evt.auth.user.profile_changed.*; `context` is a PersonEvents. */
typedef struct PersonEvents {
    Db *db;
    Client *client;
} PersonEvents;
#define PERSON_EVENTS_STREAM "EVT_AUTH"
#define PERSON_EVENTS_DURABLE "chat-auth-profiles"
#define PERSON_EVENTS_FILTER "evt.auth.user.profile_changed.*"
Err persons_take_event(void *context, Arena *mem, const Event *event) MUST_CHECK;
