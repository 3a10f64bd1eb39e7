/* pages: what the handlers of pages share, and what a page shows of a node. */
#pragma once
#include "atrium/events/v1/pages.pb-c.h"
#include "services/events/html.h"
#include "services/events/negotiate.h"
#include "services/events/node.h"
#include "services/events/reading.h"
#include "services/events/store_pages.h"
#include "shared/zone.h"

enum {
    PAGE_BODY_MAX_BYTES = 8 * 1024 * 1024, /* below the rpcs' max_bytes */
    PAGE_EVENTS_MAX = 50                   /* upcoming events on the page of a place */
};

/* Programs in pages of any origin may read the answer. */
void page_open_to_all(Request *rq);
/* Sets the status 304 and returns true when the caller has it. `etag` with its quotes. */
bool page_is_known(Request *rq, const char *etag);
/* The tag of bytes that are all there is to know. */
char *page_etag(Arena *mem, Slice bytes);

/* The content of a page about an event, a place, an organisation or a series: what is told of it. */
void page_write_node(StrBuf *out, const Events *events, const Node *node);
/* Instead, where it is gone. */
void page_write_tombstone(StrBuf *out, const Node *node);
/* "2026-07-01T19:00:00Z" as a time for people, on a clock of `zone`; NULL is UTC. */
void page_write_time(StrBuf *out, Slice date_time, const Zone *zone);
/* A list of events with links to their pages; of cards as they are stored. `target` is an attribute of the links
 * (" target=\"_blank\""), or empty. */
void page_write_events(StrBuf *out, const Events *events, const ListedEvent *list, size_t count, const char *target);
