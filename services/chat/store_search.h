/* store_search: the SQL of the search. */
#pragma once
#include "services/chat/messages.h"
#include "services/chat/terms.h"

typedef struct SearchFor {
    int64_t guild_id;
    const Terms *terms;
    int64_t author_id, channel_id; /* 0: any */
    int64_t after_id, before_id;   /* exclusive */
    int64_t cursor_id;             /* the last message of the page before; 0: the first page */
    int64_t cursor_rank;           /* that it had; 0: as it has now */
    int limit;
} SearchFor;

/* SEARCH_NEWEST: messages that are read, over all channels, where more than SEARCH_RANKED_MAX match. */
enum { SEARCH_RANKED_MAX = 10000, SEARCH_NEWEST = 100000 };

/* Of the channels that the caller may read, the best first. NOT_FOUND, PERMISSION_DENIED, MISSING_PERMISSIONS. */
Err chat_store_search(Request *rq, const SearchFor *wanted, Chat__V1__SearchMessagesReply *out) MUST_CHECK;
