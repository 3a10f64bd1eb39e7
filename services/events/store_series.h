/* store_series: the rows of series. */
#pragma once
#include "services/events/entity.h"

typedef struct SeriesStored {
    Uuid id, source_id;
    const char *external_key, *name, *rrule, *added, *taken, *timezone;
    int64_t start_us, end_us, door_us; /* end and door 0 for none */
} SeriesStored;

/* Makes it, or changes its name; locks its row. `out_id`; `out_event`: the first event that has it, nil for none. */
Err events_store_put_series(DbTx *tx, const SeriesStored *series, int64_t now_us, Uuid *out_id,
                            Uuid *out_event) MUST_CHECK;
/* Its rule, dates and times: what its first event says. */
Err events_store_change_series(DbTx *tx, Uuid id, const SeriesStored *series, int64_t now_us) MUST_CHECK;
/* Its occurrences were made up to today. */
Err events_store_series_extended(DbTx *tx, Uuid id, int64_t now_us) MUST_CHECK;
/* Those whose occurrences were made before `before_us`, with the event of each. */
Err events_store_due_series(Request *rq, int64_t before_us, int64_t limit, SeriesStored **out, Uuid **out_events,
                            size_t *out_count) MUST_CHECK;
/* One of its occurrences comes no more. */
Err events_store_take_from_series(DbTx *tx, Uuid id, int64_t recurrence_us) MUST_CHECK;
/* The same whatever its source lists from now on: an occurrence that it has at `start_us`. A second time it changes
 * nothing. */
Err events_store_take_occurrence(DbTx *tx, Uuid event, int64_t start_us) MUST_CHECK;
/* Those dates, the latest thousand at most. */
Err events_store_taken_occurrences(DbTx *tx, Arena *mem, Uuid event, int64_t **out, size_t *out_count) MUST_CHECK;
