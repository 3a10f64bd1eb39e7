/* store_list: events by their occurrences, as a filter wants them (contract 6.1, and 21 B7 to B9). */
#pragma once
#include "services/events/filters.h"
#include "services/events/store_read.h"

/* Texts of statements that were put together: each shape of a filter has one, at an address that stays, by which a
 * connection finds it prepared. Thread-safe. */
typedef struct Shapes Shapes;
Shapes *shapes_new(void);
void shapes_free(Shapes *shapes); /* NULL is fine */

typedef struct ListRow {
    Uuid event_id, occurrence_id;
    int64_t start_us, end_us; /* of the earliest occurrence that matches; of that one when expanded. end: 0 unknown */
    int64_t updated_us;       /* of the event */
    int64_t rendered;         /* changes with the card */
    const char *timezone;
    Slice card;         /* JSON, without @context and dates */
    double distance_km; /* NAN where nothing is near anything */
    bool located;
    double latitude, longitude;
} ListRow;

typedef struct EventList {
    ListRow *rows;
    size_t count;
    bool more;  /* there are further ones behind the last */
    bool fuzzy; /* nothing has the words: these have similar ones in their names */
} EventList;
enum { LIST_MAX = 1000 }; /* rows at once, for calendars; of lists PAGE_MAX */
/* In the order of f->sort; f->limit of them behind the cursor. Of rq->mem. Where f->bare, without card, rendered and
 * updated_us. */
Err events_store_list(Request *rq, const EventFilter *f, EventList *out) MUST_CHECK;
/* Where a card goes. */
typedef struct CardSlot {
    Uuid event_id;
    int64_t *rendered;   /* that of the row; becomes the card's, which may be newer */
    int64_t *updated_us; /* the same; may be NULL */
    Slice *card;
} CardSlot;
/* What has been kept (rendered.h), and the rest from the table. Of rq->mem. */
Err events_store_cards(Request *rq, const CardSlot *slots, size_t count) MUST_CHECK;
/* The cursor behind the list's last row; "" when there is none. */
char *event_list_cursor(Arena *mem, const EventFilter *f, const EventList *list);

typedef struct FacetCount {
    const char *value; /* "music"; a month "2026-07"; a price band "free", "0-20" … */
    int64_t count;     /* events */
} FacetCount;
enum { FACET_VALUES_MAX = 50 }; /* the most frequent */
/* Counts by one facet, over all that matches but for the facet's own filter. */
Err events_store_facet(Request *rq, const EventFilter *f, unsigned facet, FacetCount **out,
                       size_t *out_count) MUST_CHECK;
