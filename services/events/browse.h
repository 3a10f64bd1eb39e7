/* browse: coming events by the filters of a page. */
#pragma once
#include "services/events/pages.h"

typedef struct Listing {
    ListedEvent *list;
    size_t count;
    const char *next; /* the cursor of the next page; "" at the end */
} Listing;

/* As GET /api/v1/events does it, with its errors. `limit`: where the request says none. */
Err browse_list(Request *rq, const Events__V1__ListEventsRequest *in, int64_t limit, Listing *out) MUST_CHECK;
/* The filters as a query, percent-encoded, with its "?"; empty when there are none. Without the cursor. */
const char *browse_query(Arena *mem, const Events__V1__ListEventsRequest *in);
