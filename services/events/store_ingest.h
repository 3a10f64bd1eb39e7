/* store_ingest: what a submission is compared with, and what is kept of it. */
#pragma once
#include "services/events/entity.h"

enum { TWINS_MAX = 5 };

/* Held to the end of the transaction, in an order that is the same for all: submissions that could be the same thing
 * come one after the other. Sent with the next statement, before which it is taken. */
Err ingest_store_lock(DbTx *tx, int64_t *keys, size_t count) MUST_CHECK;

typedef struct KnownEvent {
    bool found;
    Uuid id;
} KnownEvent;

typedef struct SourceKey {
    const char *key_id; /* of the API key, or of the user: "user:17" */
    const char *host;   /* scheme and host; "" none */
    const char *name, *license;
    const char *type; /* "api", "ical", "federation", "manual" */
    int trust;        /* of a new one */
    Uuid fresh;       /* its id, when it is new */
} SourceKey;

/* Finds or makes the source, and the event that it knows by `event_id` ("" none): what is there before what is gone.
 * One of another type that has this key and host is the same source for what it knows by this id already. */
Err ingest_store_source(DbTx *tx, const SourceKey *key, const char *event_id, int64_t now_us, Uuid *out_source,
                        KnownEvent *out) MUST_CHECK;
/* A place or an organisation that may be meant. */
typedef struct Candidate {
    Uuid id; /* nil: none */
    const char *name;
    double score; /* of the names, 0 to 1; 1 for the same */
    bool gone;
    bool named; /* the name that was asked with is its name */
} Candidate;
/* By id, what it was merged into followed once; `name` is compared. */
Err ingest_store_candidate(DbTx *tx, Arena *mem, EntityKind kind, Uuid id, const char *name, Candidate *out) MUST_CHECK;
/* NULL: not asked. */
typedef struct NamesAsked {
    const char *place, *locality, *region;
    const char *organizer;
} NamesAsked;
/* Who has the same name, of places also locality and region, or had it formerly: both kinds in one statement. */
Err ingest_store_same(DbTx *tx, Arena *mem, const NamesAsked *asked, Candidate *out_place,
                      Candidate *out_organizer) MUST_CHECK;
/* The most similar name of at least `threshold` where locality and region do not differ. */
Err ingest_store_similar(DbTx *tx, Arena *mem, EntityKind kind, const char *name, const char *locality,
                         const char *region, double threshold, Candidate *out) MUST_CHECK;
/* The first of these that is no place here; nil: all are. */
Err ingest_store_missing_place(DbTx *tx, Arena *mem, const Uuid *ids, size_t count, Uuid *out) MUST_CHECK;
Err ingest_store_name(DbTx *tx, Arena *mem, EntityKind kind, Uuid id, const char **out) MUST_CHECK;

typedef struct Twin {
    Uuid id;
    const char *name;
    double score;
    bool same_day;             /* else it is one to three weeks away at the same time of day */
    bool is_public;            /* everybody sees it */
    const char *submitter_key; /* who it came from, as an event says it */
    int64_t submitter_user;
} Twin;
typedef struct Twins {
    Twin list[TWINS_MAX];
    size_t count;
} Twins;
/* Of what: events at this place, not `besides`, of the same day in `zone` with names that similar, or of another week.
 * `place` nil: of none. */
typedef struct TwinsAsked {
    Uuid place, besides;
    const char *name, *zone;
    int64_t start_us;
    double threshold;
} TwinsAsked;
Err ingest_store_twins(DbTx *tx, Arena *mem, const TwinsAsked *asked, Twins *out) MUST_CHECK;
/* What has the same content, by its hash; and the twins, in one statement: most have no such event. */
Err ingest_store_by_content(DbTx *tx, Arena *mem, Slice hash, const TwinsAsked *asked, KnownEvent *out,
                            Twins *out_twins) MUST_CHECK;

typedef struct SourceRow {
    Uuid event, source;
    const char *source_event_id, *url, *license;
    Slice payload;
    double confidence;
    const char *submitter_key;
    int64_t submitter_user;
} SourceRow;
/* Inserted, or the newest payload of what is there. */
Err ingest_store_put_source(DbTx *tx, const SourceRow *row, int64_t now_us) MUST_CHECK;
