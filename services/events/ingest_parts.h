/* ingest_parts: what the files of ingest share. */
#pragma once
#include "services/events/ingest.h"
#include "services/events/provenance.h"
#include "services/events/review.h"
#include "services/events/series.h"
#include "services/events/store_ingest.h"
#include "services/events/submission_graph.h"
#include "services/events/text.h"

enum {
    INGEST_HASH_BYTES = 32,
    INGEST_MERGES_MAX = 5, /* that are followed from an event to what it became part of */
    SOURCE_TRUST_DEFAULT = 5
};

/* One submission on its way. */
typedef struct Ingesting {
    const EntityWriter *w;
    const Ingest *in;
    const WritingRules *rules;
    SourceKey key;
    uint8_t hash[INGEST_HASH_BYTES];
    Uuid source;
    int layer;                            /* that found it: 0 or 1 */
    Candidate same_place, same_organizer; /* who has these names */
    Uuid place, organizer;
    bool place_is_new, organizer_is_new;
    bool hold;                             /* the event may have to wait: what it names first waits with it */
    const char *place_uri, *organizer_uri; /* "" none */
    const Node *said;
    Twins twins;
    bool twins_known; /* of an event that is new */
} Ingesting;

/* Before the two below: who has the names, asked in one statement. */
Err ingest_find_same(Ingesting *g) MUST_CHECK;
/* Layers 3 and 3b: what is known under that name is taken. */
Err ingest_resolve_place(Ingesting *g) MUST_CHECK;
Err ingest_resolve_organizer(Ingesting *g) MUST_CHECK;
/* Then what is not known is made, after all warnings but those of twins; `known`: the event is there, and may not take
 * it up. Not public where the event may wait. */
Err ingest_make_named(Ingesting *g, bool known) MUST_CHECK;
/* Those that occurrences name by themselves. */
Err ingest_check_occurrence_places(Ingesting *g) MUST_CHECK;
/* Layer 1, and what layers 2 and 2b need of an event that is new. */
Err ingest_find_by_content(Ingesting *g, KnownEvent *known) MUST_CHECK;
/* Layers 2 and 2b, into g->twins and the warnings. `besides`: the event itself, or nil. */
Err ingest_find_twins(Ingesting *g, Uuid besides, Findings *warnings) MUST_CHECK;

Err ingest_fill_event(Ingesting *g, EventEntity *event) MUST_CHECK;
/* What whoever leads the event (provenance.h) says anew and provenance does not look after: occurrences, status,
 * domain, series. */
Err ingest_update_event(Ingesting *g, EventEntity *event) MUST_CHECK;
/* Of one that nobody has to look at. */
Lifecycle ingest_lifecycle(const Submission *s);
/* JSON array of {field, original, corrected, reason}; empty when nothing was repaired. */
Slice corrections_json(Arena *mem, const Submission *s);
