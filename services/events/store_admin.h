/* store_admin: what administration asks for, and what it changes beside the entities themselves. */
#pragma once
#include "services/events/admin_pages.h"
#include "services/events/entity.h"

typedef struct AdminEventRow {
    Uuid id;
    const char *name, *description, *lifecycle;
    double confidence;
    int64_t start_us, version;
} AdminEventRow;
typedef struct AdminEventFilter {
    const char *state; /* "" any */
    const char *q;     /* part of the name; "" any */
    Uuid source;       /* nil any */
    AdminPage page;    /* a row more than its limit is read */
} AdminEventFilter;
/* Latest first; deleted ones are not among them. */
Err events_store_admin_events(Request *rq, const AdminEventFilter *filter, AdminEventRow **out,
                              size_t *out_count) MUST_CHECK;
/* Those in state pending_review by their start. */
Err events_store_admin_pending(Request *rq, const AdminEventFilter *filter, AdminEventRow **out,
                               size_t *out_count) MUST_CHECK;

typedef struct AdminCounts {
    int64_t waiting, published, drafts, all;
} AdminCounts;
Err events_store_admin_counts(Request *rq, AdminCounts *out) MUST_CHECK;

/* --- the same thing twice ------------------------------------------------------------------------------------------
 */
typedef struct PairRow {
    Uuid left, right;
    const char *left_name, *right_name, *reasons; /* words, each followed by a comma */
    int64_t left_us, right_us;
    double score;
} PairRow;
typedef struct PairCursor {
    double score; /* above 1: from the beginning */
    Uuid left, right;
} PairCursor;
/* Likeliest first. Events: of one place and within half a day of each other, not yet over for a month. */
Err events_store_pairs(Request *rq, EntityKind kind, const PairCursor *after, int64_t limit, PairRow **out,
                       size_t *out_count) MUST_CHECK;

typedef struct SimilarRow {
    Uuid id;
    const char *name;
    double similarity;
} SimilarRow;
/* Of a place or organisation. NOT_FOUND. */
Err events_store_similar(Request *rq, EntityKind kind, Uuid id, SimilarRow **out, size_t *out_count) MUST_CHECK;

/* --- places and organisations --------------------------------------------------------------------------------------
 */
typedef struct AdminEntityRow {
    Uuid id; /* nil: there is none */
    int64_t version, created_us, updated_us, deleted_us;
    bool merged;
    Slice doc;
} AdminEntityRow;
Err events_store_admin_entity(Request *rq, EntityKind kind, Uuid id, AdminEntityRow *out) MUST_CHECK;
/* NOT_FOUND unless there is one, deleted or not. Locks nothing. */
Err events_store_check_there(DbTx *tx, EntityKind kind, Uuid id) MUST_CHECK;
/* Is there such a place, not deleted? Then it stays so to the end of the transaction; others may check it, too. */
Err events_store_place_is_there(DbTx *tx, Uuid id, bool *out) MUST_CHECK;
/* Is there an event that is not over and names it? */
Err events_store_is_used(DbTx *tx, EntityKind kind, Uuid id, int64_t now_us, bool *out) MUST_CHECK;
/* Events that name it, by id; deleted ones, too. Locked. */
Err events_store_users_of(DbTx *tx, Arena *mem, EntityKind kind, Uuid id, int64_t limit, Uuid **out,
                          size_t *out_count) MUST_CHECK;
/* What was named `from`, or merged into it before, is `to`. */
Err events_store_forward(DbTx *tx, EntityKind kind, Uuid from, Uuid to, int64_t now_us) MUST_CHECK;

/* --- consolidation -------------------------------------------------------------------------------------------------
 */
/* Submissions of `from` are of `to` from now on, and what was merged into `from` is in `to`. */
Err events_store_move_sources(DbTx *tx, Uuid from, Uuid to) MUST_CHECK;

/* --- sources -------------------------------------------------------------------------------------------------------
 */
typedef struct AdminSourceRow {
    Uuid id; /* nil: there is none */
    const char *name, *type, *base_url, *license;
    int trust;
    int64_t events;
} AdminSourceRow;
Err events_store_sources(Request *rq, const AdminPage *page, AdminSourceRow **out, size_t *out_count) MUST_CHECK;
Err events_store_source(DbTx *tx, Arena *mem, Uuid id, AdminSourceRow *out) MUST_CHECK;
/* Texts that are NULL, and a trust of 0, are left as they are. */
Err events_store_update_source(DbTx *tx, Uuid id, const char *name, const char *license, int trust) MUST_CHECK;
/* Everything it speaks of is to be decided anew. */
Err events_store_trust_changed(DbTx *tx, Uuid source) MUST_CHECK;

/* --- history -------------------------------------------------------------------------------------------------------
 */
typedef struct RevisionInfo {
    int64_t version, made_us;
    const char *lifecycle, *actor_kind, *actor_id, *actor_name, *pointers; /* the last: one a line */
} RevisionInfo;
/* Latest first, those before `before` (0: all). `public_only`: those that everybody could see. */
Err events_store_revisions(Request *rq, Uuid id, int64_t before, int64_t limit, bool public_only, RevisionInfo **out,
                           size_t *out_count) MUST_CHECK;
/* Within `tx`, if not NULL. An empty document when there is no such version. */
Err events_store_revision(Request *rq, DbTx *tx, Uuid id, int64_t version, Slice *out_doc,
                          const char **out_lifecycle) MUST_CHECK;
