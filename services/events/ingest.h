/* ingest: what becomes of a submission that was read and checked (contracts/events.md 7 and 8): a new event, one that
 * waits for review, or more knowledge of one that is there. Whoever hands in events comes through here: the API,
 * batches, calendars.
 *
 * Everything happens in the caller's transaction. Locks come in this order, for all: those of what could be the same
 * (by number), events, places, organisations. */
#pragma once
#include "services/events/entity.h"
#include "services/events/submission.h"

typedef struct Submitter {
    const char *key_id; /* of the API key; "" none */
    int64_t user_id;
    const char *name;        /* what its source is called */
    const char *source_type; /* NULL: "api" */
    int source_trust;        /* 1 to 10, of a source that is new; 0: the usual */
    bool admin;
} Submitter;

/* Is it who the event came from first? By the key, where there is one. */
bool submitter_made(const Submitter *by, const EventEntity *event);

typedef struct Ingest {
    Submission *submission;
    Submitter by;
    Findings *warnings; /* of the check; further ones are added */
    Findings *faults;   /* what only the database knows: places that are not there */
} Ingest;

typedef enum IngestResult {
    INGEST_FAULTY,         /* nothing was changed: look at the faults */
    INGEST_CREATED,        /* also where it waits for review */
    INGEST_DUPLICATE,      /* it was there; what this submission knew better was taken over */
    INGEST_GONE,           /* it was there, and is a tombstone: nothing was changed */
    INGEST_REJECTED_BEFORE /* it was there, was rejected, and has the same problems still: nothing was changed */
} IngestResult;

typedef struct IngestOutcome {
    IngestResult result;
    Uuid event;
    int64_t version;
    bool waits;   /* for review */
    bool updated; /* a duplicate brought something new */
    int layer;    /* 0 the source's own id, 1 the same content; of duplicates */
    const char *name, *place_name, *place_uri, *virtual_url; /* as they stand; "" none */
    struct RejectedBefore *rejected;                         /* of INGEST_REJECTED_BEFORE */
} IngestOutcome;

/* `in` was read and checked without a fault. */
Err ingest_submission(const EntityWriter *w, const Ingest *in, IngestOutcome *out) MUST_CHECK;

/* The rules of the settings. */
WritingRules ingest_rules(const Events *events);
/* At the start: INVALID_ARGUMENT names the setting. */
Err ingest_settings_check(const EventsSettings *settings) MUST_CHECK;
/* What the settings bound events to; NULL: nothing. Of `mem`. */
Err ingest_boundary(const EventsSettings *settings, Arena *mem, Boundary **out) MUST_CHECK;
