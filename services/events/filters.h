/* filters: what lists of events are asked for (contract 6.1), read once for lists, calendars, facets, feeds and
 * exports. */
#pragma once
#include "services/events/events.h"

enum { FILTER_KEYWORDS_MAX = 20, FILTER_WARNINGS_MAX = 20, RADIUS_DEFAULT_KM = 10, RADIUS_MAX_KM = 100 };

/* Later and earlier than anything: 9000 years. */
#define WINDOW_FROM_US INT64_C(-62135596800000000)
#define WINDOW_TO_US INT64_C(221845392000000000)

typedef enum EventSort { SORT_START, SORT_RELEVANCE, SORT_DISTANCE } EventSort;
typedef enum ContextForm { CONTEXT_INLINE, CONTEXT_URL, CONTEXT_DOCUMENT } ContextForm;

enum { /* of `facets`, a set */
       FACET_DOMAIN = 1 << 0,
       FACET_LOCALITY = 1 << 1,
       FACET_KEYWORD = 1 << 2,
       FACET_MONTH = 1 << 3,
       FACET_MODE = 1 << 4,
       FACET_PRICE = 1 << 5
};

typedef struct Warnings {
    const char *list[FILTER_WARNINGS_MAX];
    size_t count;
} Warnings;

typedef struct EventFilter {
    /* Of an occurrence's start: at or after, and before; WINDOW_FROM_US and WINDOW_TO_US are open. Without dates: from
     * today on. */
    int64_t from_us, to_us;
    Uuid venue_id, organizer_id; /* nil: any */
    const char *state, *domain;  /* "": any, that everybody may see */
    bool sees_all;               /* the caller may see drafts and what waits for review, where he asks for them */
    bool shows_all;              /* everybody sees them: EVENTS_VISIBILITY=all */
    const char *q;               /* "": any */
    Slice keywords[FILTER_KEYWORDS_MAX];
    size_t keyword_count;
    const char *locality; /* "": any */
    bool near, bbox;
    double latitude, longitude, radius_km;
    double west, south, east, north;
    double price_max; /* NAN: any; 0 with `free` */
    const char *mode; /* "": any */
    bool expand;      /* each occurrence by itself */
    int64_t since_us; /* updated since; 0: any */
    EventSort sort;
    unsigned facets;
    ContextForm context;
    bool schedule_iris; /* days of schedules as IRIs */
    int64_t limit;
    bool bare; /* ids and starts are enough: the events are not looked at where no filter is about them */
    /* Where the page before ended, of lists by start: nanoseconds in the cursor's text. */
    bool has_cursor;
    int64_t cursor_us; /* by relevance or distance: how many rows came before */
    Uuid cursor_id;
    Uuid cursor_occurrence; /* with `expand`; nil: behind all of that event's at that start */
    bool fuzzy;             /* the cursor is of a list of what has similar words only */
    uint64_t hash;          /* of everything but limit, cursor, context, facets, schedule_iris */
    Warnings warnings;
} EventFilter;

/* INVALID_ARGUMENT with violations, all at once. The rpc asks for the header "query-string", so that unknown and old
 * names of parameters are warned of. */
Err filter_read(Request *rq, const Events__V1__ListEventsRequest *in, EventFilter *out) MUST_CHECK;

/* FNV-1a: tells filters and lists apart, and guards nothing. A text counts with its end. */
#define HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len);
uint64_t hash_text(uint64_t hash, const char *text);

/* --- cursors ----------------------------------------------------------------------------------------------------- */
/* base64url of "<unix nanoseconds>:<ULID>[:<hash>]" (contract 3.5); the hash binds it to the filters. Borrowed from
 * `mem`. */
char *cursor_write(Arena *mem, int64_t key_us, Uuid id, uint64_t hash);
/* The same with ":<UUID>" behind it, of lists in which an event may be twice at a start. */
char *cursor_write_occurrence(Arena *mem, int64_t key_us, Uuid id, uint64_t hash, Uuid occurrence);
/* Of a cursor that was read; nil: it has none. */
Uuid cursor_occurrence(Arena *mem, Slice text);
/* False for what is none, or is of other filters. A cursor without a hash is good for any. */
bool cursor_read(Arena *mem, Slice text, uint64_t hash, int64_t *out_us, Uuid *out_id) MUST_CHECK;

/* Of the same filter, for lists of what has similar words. */
uint64_t filter_fuzzy_hash(uint64_t hash);

/* --- parts of other lists' filters ------------------------------------------------------------------------------- */
/* 1 to 200, 50 when absent; a violation, and false, when it is none. */
bool filter_limit(Request *rq, const char *text, int64_t *out);
bool filter_number(Slice text, double *out); /* a plain decimal number */
/* A pattern of LIKE that matches what has `text` in it: "%" and "_" stand for themselves. */
Slice like_pattern(Arena *mem, const char *text);
/* A date that there is, "2026-02-28", as days since 1970. */
bool date_parse(Slice text, int64_t *out_days);

/* A name of a parameter; `alias_of` NULL, or what it is an old name of. */
typedef struct QueryName {
    const char *name, *alias_of;
} QueryName;
/* Warns of the request's parameters that are old names or none. */
void query_check_names(Request *rq, const QueryName *names, size_t count, Warnings *out);
