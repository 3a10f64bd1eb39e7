/* store_provenance: what sources said, and what is told of them. */
#pragma once
#include "services/events/provenance.h"

/* What holds of each source, with room for one more: first those whose word stands, whom no number of others pushes out
 * of the SAYINGS_MAX that are read, then the most trusted. Administration's trust is above all. */
Err events_store_sayings(DbTx *tx, Arena *mem, Uuid entity, Saying **out, size_t *out_count) MUST_CHECK;
/* NOT_FOUND when there is no such source. */
Err events_store_trust(DbTx *tx, Uuid source, int *out) MUST_CHECK;
Err events_store_observe(DbTx *tx, Uuid entity, const Saying *saying) MUST_CHECK;
Err events_store_supersede(DbTx *tx, Uuid entity, Uuid source, int64_t now_us) MUST_CHECK;
/* Writes which members stand as whom said. */
Err events_store_choices(DbTx *tx, Arena *mem, Uuid entity, const Saying *list, size_t count) MUST_CHECK;
Err events_store_move_sayings(DbTx *tx, Uuid from, Uuid to, int64_t now_us) MUST_CHECK;

/* A saying with whose it is. */
typedef struct Told {
    Saying saying;
    const char *name, *type, *license;
} Told;
Err events_store_told(Request *rq, Uuid entity, Told **out, size_t *out_count) MUST_CHECK;

/* A submission, newest first. */
typedef struct SourceRow {
    const char *name, *type, *base_url, *source_url, *source_event_id, *license;
    double confidence;
    int64_t retrieved_us;
} SourceRow;
Err events_store_sources_of(Request *rq, Uuid entity, SourceRow **out, size_t *out_count) MUST_CHECK;
