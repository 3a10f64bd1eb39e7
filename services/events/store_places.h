/* store_places: lists of places and organisations (contract 6.3), and counts of everything (6.4). */
#pragma once
#include "services/events/entity.h"

typedef enum EntitySort { ENTITY_BY_NAME, ENTITY_BY_CREATION, ENTITY_BY_DISTANCE } EntitySort;

typedef struct EntityFilter {
    EntityKind kind;  /* a place or an organisation */
    const char *q;    /* a part of name or description; "" any */
    const char *city; /* "" any */
    EntitySort sort;
    bool descending;
    double latitude, longitude, radius_km; /* by distance */
    int64_t limit;
    /* Where the page before ended. */
    bool has_cursor;
    int64_t cursor_key; /* microseconds, by creation; metres, by distance */
    Uuid cursor_id;
} EntityFilter;

typedef struct EntityListRow {
    Uuid id;
    const char *name;
    int64_t created_us, updated_us, rendered;
    int64_t distance_m; /* by distance */
    Slice doc;
} EntityListRow;
/* `limit` and one more, which tells that there is more. Of rq->mem. */
Err events_store_entities(Request *rq, const EntityFilter *f, EntityListRow **out, size_t *out_count) MUST_CHECK;

/* Where a town or a place of that name is, as far as we know places there: their middle. False: nowhere. `countries`:
 * ISO 3166 codes, comma-separated; NULL and "" are any. */
typedef struct NamedPoint {
    double latitude, longitude;
    const char *name;
} NamedPoint;
Err events_store_point_of(Request *rq, const char *name, const char *countries, bool *out_found,
                          NamedPoint *out) MUST_CHECK;

typedef struct Stats {
    int64_t events, places, organizations, sources, published, pending, created_7_days, created_30_days, upcoming, past;
    int64_t oldest_us, newest_us; /* starts; 0 none */
} Stats;
Err events_store_stats(Request *rq, int64_t now_us, Stats *out) MUST_CHECK;
