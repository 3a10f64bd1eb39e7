/* store_pages: what pages, feeds and site maps ask for beside the document itself. */
#pragma once
#include "services/events/events.h"

/* An event in a list of pages, by one occurrence. Texts are of the request. */
typedef struct ListedEvent {
    Uuid id;
    Slice card;               /* JSON, without context and dates */
    int64_t start_us, end_us; /* end 0: not known */
    const char *timezone;
    int64_t updated_us, published_us; /* published 0: not told */
} ListedEvent;

typedef enum ListedBy { LISTED_BY_PLACE, LISTED_BY_ORGANIZATION, LISTED_BY_SERIES } ListedBy;

/* Public events whose next occurrence ends at or after `from_us`, each once, by start. At most `limit`. */
Err pages_store_upcoming(Request *rq, ListedBy by, Uuid id, int64_t from_us, int64_t limit, ListedEvent **out,
                         size_t *out_count) MUST_CHECK;

typedef struct SeriesRow {
    Uuid id; /* nil: there is none that somebody may see */
    const char *name, *timezone;
    int64_t start_us, end_us, updated_us; /* 0: not known */
    int64_t event_count;                  /* public ones */
} SeriesRow;
Err pages_store_series(Request *rq, Uuid id, SeriesRow *out) MUST_CHECK;

/* Site maps go along the ids: the first id of each part of `size`, and one part. */
Err pages_store_sitemap_parts(Request *rq, EntityKind kind, int64_t size, Uuid **out, size_t *out_count) MUST_CHECK;
typedef struct SitemapRow {
    Uuid id;
    int64_t updated_us;
} SitemapRow;
Err pages_store_sitemap(Request *rq, EntityKind kind, Uuid from, int64_t size, SitemapRow **out,
                        size_t *out_count) MUST_CHECK;
