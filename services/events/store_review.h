/* store_review: entries of the review queue. */
#pragma once
#include "services/events/review.h"

enum { REVIEW_PAGE_MAX = 100, REVIEW_PAGE_DEFAULT = 50, REVIEW_TWINS_MAX = 20 };

typedef struct ReviewRow {
    int64_t id; /* 0: there is none */
    Uuid event_id, source_id, duplicate_of;
    const char *status, *reviewer, *reason, *notes;
    Slice warnings, changes, original, normalized; /* of lists: the first alone */
    int64_t created_us, reviewed_us;
    const char *event_name;
    int64_t event_start_us, event_end_us, event_version;
    int occurrence_count;
    bool event_deleted;
} ReviewRow;

Err events_store_reviews(Request *rq, const char *status, int64_t after_id, int64_t limit, ReviewRow **out,
                         size_t *out_count, int64_t *out_total) MUST_CHECK;
/* With all it has. Within `tx`, if not NULL, and then locked. */
Err events_store_review(Request *rq, DbTx *tx, int64_t id, ReviewRow *out) MUST_CHECK;

typedef struct ReviewOccurrenceRow {
    Uuid id, place_id;
    int64_t start_us, end_us;
    const char *timezone, *virtual_url;
} ReviewOccurrenceRow;
Err events_store_review_occurrences(Request *rq, DbTx *tx, Uuid event, ReviewOccurrenceRow **out,
                                    size_t *out_count) MUST_CHECK;

typedef struct TwinRow {
    Uuid id;
    const char *name, *lifecycle;
    int64_t start_us;
} TwinRow;
Err events_store_twins(Request *rq, DbTx *tx, int64_t id, TwinRow **out, size_t *out_count) MUST_CHECK;

typedef struct ReviewDecision {
    int64_t id;
    const char *status, *notes, *reason;
    int64_t now_us, reviewer_id;
    const char *reviewer_name;
} ReviewDecision;
Err events_store_decide_review(DbTx *tx, const ReviewDecision *d) MUST_CHECK;
/* An entry that was decided along with something else. */
typedef struct ClosedReview {
    int64_t id;
    Uuid event;
} ClosedReview;
/* Entries that wait only because of `event`: decided the same way, since it is no question any more. */
Err events_store_settle_twins(DbTx *tx, Arena *mem, Uuid event, const ReviewDecision *d, ClosedReview **out,
                              size_t *out_count) MUST_CHECK;

/* The entry of an event that waits; 0 when none does. */
Err events_store_waiting_review(DbTx *tx, Arena *mem, Uuid event, int64_t *out_id, Slice *out_warnings) MUST_CHECK;
typedef struct ReviewTexts {
    Uuid event, source, twin;
    const char *source_event_id;
    Slice warnings, changes, original, normalized, fingerprint;
    int64_t now_us;
} ReviewTexts;
Err events_store_insert_review(DbTx *tx, const ReviewTexts *t, int64_t *out_id) MUST_CHECK;
Err events_store_update_review(DbTx *tx, int64_t id, const ReviewTexts *t) MUST_CHECK;
/* Warnings alone, and one more twin. */
Err events_store_add_twin(DbTx *tx, int64_t id, Slice warnings, Uuid twin) MUST_CHECK;
Err events_store_rejected(DbTx *tx, Arena *mem, Uuid event, Slice fingerprint, int64_t over_before_us,
                          RejectedBefore *out) MUST_CHECK;
Err events_store_not_duplicates(DbTx *tx, Uuid a, Uuid b, int64_t said_by, int64_t now_us) MUST_CHECK;
Err events_store_possible(DbTx *tx, Arena *mem, Uuid event, const Uuid *candidates, size_t count, Uuid *out,
                          size_t *out_count) MUST_CHECK;
Err events_store_dismiss(DbTx *tx, Arena *mem, const Uuid *events, size_t count, const char *status, Uuid successor,
                         int64_t now_us, ClosedReview **out, size_t *out_count) MUST_CHECK;
