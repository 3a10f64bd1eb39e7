/* syndication: lists of events as Atom (RFC 4287) and JSON Feed 1.1, for readers that look again and again. */
#pragma once
#include "services/events/pages.h"

typedef struct SyndicationHead {
    const char *title;
    const char *site;
    const char *self; /* where the feed is */
    const char *page; /* what it is the feed of */
} SyndicationHead;

/* Appends the whole document. The same list gives the same bytes. */
void syndication_write_atom(StrBuf *out, const Events *events, const SyndicationHead *head, const ListedEvent *list,
                            size_t count);
void syndication_write_json(StrBuf *out, const Events *events, const SyndicationHead *head, const ListedEvent *list,
                            size_t count);
