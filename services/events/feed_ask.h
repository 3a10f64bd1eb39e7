/* feed_ask: what a reader of the change feed asks for, as it came. */
#pragma once
#include "atrium/events/v1/feed.pb-c.h"
#include "services/events/feed.h"

enum { FEED_LIMIT_MAX = 200, FEED_LIMIT_DEFAULT = 50 };

typedef struct FeedAsk {
    FeedFilter filter; /* borrowed from `mem` */
    bool given;        /* it says where to begin: */
    bool by_time;      /* at this time, */
    int64_t since_us;
    int64_t position; /* else behind this number; 0: at the beginning */
    int64_t limit;
    bool legacy_end;
} FeedAsk;

/* INVALID_ARGUMENT names what cannot be. */
Err feed_ask_read(Arena *mem, const Events__V1__ChangesRequest *in, FeedAsk *out) MUST_CHECK;
