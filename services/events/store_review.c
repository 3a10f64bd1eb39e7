/* store_review: see store_review.h. */
#include "services/events/store_review.h"

/* --- reading --------------------------------------------------------------------------------------------------------
 */
#define REVIEW_COLUMNS                                                                                                 \
    "r.id, r.event_id, r.source_id, r.duplicate_of, r.status, r.reviewer_name, r.reason, r.notes, r.warnings,"         \
    " r.created_at, r.reviewed_at, e.name, o.start_at, o.end_at, e.version, e.occurrence_count,"                       \
    " e.deleted_at IS NOT NULL"
#define REVIEW_FROM                                                                                                    \
    " FROM review_entry r JOIN event e ON e.id = r.event_id LEFT JOIN LATERAL (SELECT start_at, end_at"                \
    " FROM occurrence WHERE event_id = e.id ORDER BY start_at, id LIMIT 1) o ON true"
enum { REVIEW_COLUMN_COUNT = 17 };

static void read_review(Arena *mem, const DbRows *rows, int row, ReviewRow *out)
{
    *out = (ReviewRow){.id = db_get_int64(rows, row, 0),
                       .event_id = db_get_uuid(rows, row, 1),
                       .source_id = db_get_uuid(rows, row, 2),
                       .duplicate_of = db_get_uuid(rows, row, 3),
                       .status = db_get_cstr(mem, rows, row, 4),
                       .reviewer = db_get_cstr(mem, rows, row, 5),
                       .reason = db_get_cstr(mem, rows, row, 6),
                       .notes = db_get_cstr(mem, rows, row, 7),
                       .warnings = slice(db_get_cstr(mem, rows, row, 8)),
                       .created_us = db_get_time_us(rows, row, 9),
                       .reviewed_us = db_get_time_us(rows, row, 10),
                       .event_name = db_get_cstr(mem, rows, row, 11),
                       .event_start_us = db_get_time_us(rows, row, 12),
                       .event_end_us = db_get_time_us(rows, row, 13),
                       .event_version = db_get_int64(rows, row, 14),
                       .occurrence_count = (int)db_get_int64(rows, row, 15),
                       .event_deleted = db_get_bool(rows, row, 16)};
}

static const char REVIEWS[] =
    "SELECT " REVIEW_COLUMNS REVIEW_FROM " WHERE r.status = $1 AND r.id > $2 ORDER BY r.id LIMIT $3";
static const char REVIEW_TOTAL[] = "SELECT count(*) FROM review_entry WHERE status = $1";

Err events_store_reviews(Request *rq, const char *status, int64_t after_id, int64_t limit, ReviewRow **out,
                         size_t *out_count, int64_t *out_total)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    CLEANUP(db_rows_done) DbRows total = {0};

    TRY(db_read(rq, REVIEWS, DB_ARGS(db_text(slice(status)), db_int64(after_id), db_int64(limit)), &rows));
    TRY(db_read(rq, REVIEW_TOTAL, DB_ARGS(db_text(slice(status))), &total));
    *out = ARENA_ARRAY(rq->mem, ReviewRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_review(rq->mem, &rows, i, &(*out)[i]);
    *out_count = (size_t)rows.count;
    *out_total = db_get_int64(&total, 0, 0);
    return OK;
}

#define REVIEW_ONE "SELECT " REVIEW_COLUMNS ", r.changes, r.original, r.normalized" REVIEW_FROM " WHERE r.id = $1"
static const char REVIEW[] = REVIEW_ONE;
static const char LOCK_REVIEW[] = REVIEW_ONE " FOR UPDATE OF r";

Err events_store_review(Request *rq, DbTx *tx, int64_t id, ReviewRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(tx ? db_query(tx, LOCK_REVIEW, DB_ARGS(db_int64(id)), &rows)
           : db_read(rq, REVIEW, DB_ARGS(db_int64(id)), &rows));
    *out = (ReviewRow){.id = 0};
    if (rows.count == 0)
        return OK;
    read_review(rq->mem, &rows, 0, out);
    out->changes = slice(db_get_cstr(rq->mem, &rows, 0, REVIEW_COLUMN_COUNT));
    out->original = slice(db_get_cstr(rq->mem, &rows, 0, REVIEW_COLUMN_COUNT + 1));
    out->normalized = slice(db_get_cstr(rq->mem, &rows, 0, REVIEW_COLUMN_COUNT + 2));
    return OK;
}

static Err read_rows(Request *rq, DbTx *tx, const char *sql, DbArgs args, DbRows *out)
{
    return tx ? db_query(tx, sql, args, out) : db_read(rq, sql, args, out);
}

static const char OCCURRENCES_OF[] = "SELECT id, place_id, start_at, end_at, timezone, virtual_url FROM occurrence"
                                     " WHERE event_id = $1 ORDER BY start_at, id LIMIT $2";

Err events_store_review_occurrences(Request *rq, DbTx *tx, Uuid event, ReviewOccurrenceRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(read_rows(rq, tx, OCCURRENCES_OF, DB_ARGS(db_uuid(event), db_int64(OCCURRENCES_MAX)), &rows));
    *out = ARENA_ARRAY(rq->mem, ReviewOccurrenceRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (ReviewOccurrenceRow){.id = db_get_uuid(&rows, i, 0),
                                          .place_id = db_get_uuid(&rows, i, 1),
                                          .start_us = db_get_time_us(&rows, i, 2),
                                          .end_us = db_get_time_us(&rows, i, 3),
                                          .timezone = db_get_cstr(rq->mem, &rows, i, 4),
                                          .virtual_url = db_get_cstr(rq->mem, &rows, i, 5)};
    *out_count = (size_t)rows.count;
    return OK;
}

static const char TWINS[] =
    "SELECT e.id, e.name, e.lifecycle, e.first_start FROM review_entry r, unnest(r.twins) AS t (id)"
    " JOIN event e ON e.id = t.id WHERE r.id = $1 AND e.deleted_at IS NULL ORDER BY e.id LIMIT $2";

Err events_store_twins(Request *rq, DbTx *tx, int64_t id, TwinRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(read_rows(rq, tx, TWINS, DB_ARGS(db_int64(id), db_int64(REVIEW_TWINS_MAX)), &rows));
    *out = ARENA_ARRAY(rq->mem, TwinRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (TwinRow){.id = db_get_uuid(&rows, i, 0),
                              .name = db_get_cstr(rq->mem, &rows, i, 1),
                              .lifecycle = db_get_cstr(rq->mem, &rows, i, 2),
                              .start_us = db_get_time_us(&rows, i, 3)};
    *out_count = (size_t)rows.count;
    return OK;
}

/* --- deciding -------------------------------------------------------------------------------------------------------
 */
#define DECISION                                                                                                       \
    "UPDATE review_entry SET status = $2, notes = $3, reason = $4, reviewed_at = $5, reviewer_id = $6,"                \
    " reviewer_name = $7 WHERE status = 'pending' AND "
#define DECISION_ARGS(d)                                                                                               \
    db_text(slice((d)->status)), db_text(slice((d)->notes)), db_text(slice((d)->reason)), db_time_us((d)->now_us),     \
        db_int64((d)->reviewer_id), db_text(slice((d)->reviewer_name))

static const char DECIDE[] = DECISION "id = $1";

Err events_store_decide_review(DbTx *tx, const ReviewDecision *d)
{
    return db_exec(tx, DECIDE, DB_ARGS(db_int64(d->id), DECISION_ARGS(d)));
}

/* Of events that are public: one that waits itself has more to be looked at. */
static const char SETTLE_TWINS[] = DECISION
    "twins = ARRAY[$1::uuid] AND NOT EXISTS (SELECT FROM event e WHERE e.id = event_id AND (e.deleted_at IS NOT NULL"
    "   OR e.lifecycle IN ('draft', 'pending_review'))) RETURNING id, event_id";

static void read_closed(Arena *mem, const DbRows *rows, ClosedReview **out, size_t *out_count)
{
    *out = ARENA_ARRAY(mem, ClosedReview, rows->count + 1);
    for (int i = 0; i < rows->count; i++)
        (*out)[i] = (ClosedReview){.id = db_get_int64(rows, i, 0), .event = db_get_uuid(rows, i, 1)};
    *out_count = (size_t)rows->count;
}

Err events_store_settle_twins(DbTx *tx, Arena *mem, Uuid event, const ReviewDecision *d, ClosedReview **out,
                              size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, SETTLE_TWINS, DB_ARGS(db_uuid(event), DECISION_ARGS(d)), &rows));
    read_closed(mem, &rows, out, out_count);
    return OK;
}

/* --- opening --------------------------------------------------------------------------------------------------------
 */
static const char WAITING[] =
    "SELECT id, warnings FROM review_entry WHERE event_id = $1 AND status = 'pending' FOR UPDATE";

Err events_store_waiting_review(DbTx *tx, Arena *mem, Uuid event, int64_t *out_id, Slice *out_warnings)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, WAITING, DB_ARGS(db_uuid(event)), &rows));
    *out_id = rows.count ? db_get_int64(&rows, 0, 0) : 0;
    *out_warnings = rows.count ? slice(db_get_cstr(mem, &rows, 0, 1)) : SLICE_LIT("[]");
    return OK;
}

static DbValue uuid_or_null(Uuid id)
{
    return uuid_is_nil(id) ? db_null() : db_uuid(id);
}

static const char INSERT_REVIEW[] =
    "INSERT INTO review_entry (event_id, source_id, source_event_id, warnings, changes, original, normalized,"
    " fingerprint, created_at, twins, duplicate_of) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
    " CASE WHEN $10::uuid IS NULL THEN '{}'::uuid[] ELSE ARRAY[$10::uuid] END, $10) RETURNING id";

Err events_store_insert_review(DbTx *tx, const ReviewTexts *t, int64_t *out_id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, INSERT_REVIEW,
                 DB_ARGS(db_uuid(t->event), uuid_or_null(t->source), db_text(slice(t->source_event_id)),
                         db_text(t->warnings), db_text(t->changes), db_text(t->original), db_text(t->normalized),
                         db_bytes(t->fingerprint), db_time_us(t->now_us), uuid_or_null(t->twin)),
                 &rows));
    *out_id = db_get_int64(&rows, 0, 0);
    return OK;
}

#define ONE_MORE_TWIN(twin)                                                                                            \
    "twins = CASE WHEN " twin "::uuid IS NULL OR twins @> ARRAY[" twin "::uuid] OR cardinality(twins) >= 20"           \
    " THEN twins ELSE twins || " twin "::uuid END, duplicate_of = coalesce(duplicate_of, " twin ")"

static const char UPDATE_REVIEW[] =
    "UPDATE review_entry SET source_id = $2, source_event_id = $3, warnings = $4, changes = $5, original = $6,"
    " normalized = $7, fingerprint = $8, " ONE_MORE_TWIN("$9") " WHERE id = $1";

Err events_store_update_review(DbTx *tx, int64_t id, const ReviewTexts *t)
{
    return db_exec(tx, UPDATE_REVIEW,
                   DB_ARGS(db_int64(id), uuid_or_null(t->source), db_text(slice(t->source_event_id)),
                           db_text(t->warnings), db_text(t->changes), db_text(t->original), db_text(t->normalized),
                           db_bytes(t->fingerprint), uuid_or_null(t->twin)));
}

static const char ADD_TWIN[] = "UPDATE review_entry SET warnings = $2, " ONE_MORE_TWIN("$3") " WHERE id = $1";

Err events_store_add_twin(DbTx *tx, int64_t id, Slice warnings, Uuid twin)
{
    return db_exec(tx, ADD_TWIN, DB_ARGS(db_int64(id), db_text(warnings), uuid_or_null(twin)));
}

static const char REJECTED[] = "SELECT r.reviewer_name, r.reason, r.reviewed_at,"
                               " r.fingerprint = $2 AND coalesce(e.last_end, e.first_start, r.reviewed_at) > $3"
                               " FROM review_entry r JOIN event e ON e.id = r.event_id"
                               " WHERE r.event_id = $1 AND r.status = 'rejected' ORDER BY r.id DESC LIMIT 1";

Err events_store_rejected(DbTx *tx, Arena *mem, Uuid event, Slice fingerprint, int64_t over_before_us,
                          RejectedBefore *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, REJECTED, DB_ARGS(db_uuid(event), db_bytes(fingerprint), db_time_us(over_before_us)), &rows));
    *out = (RejectedBefore){.rejected = rows.count > 0};
    if (!out->rejected)
        return OK;
    out->found = db_get_bool(&rows, 0, 3);
    out->reviewer = db_get_cstr(mem, &rows, 0, 0);
    out->reason = db_get_cstr(mem, &rows, 0, 1);
    out->reviewed_us = db_get_time_us(&rows, 0, 2);
    return OK;
}

/* --- pairs ----------------------------------------------------------------------------------------------------------
 */
static const char NOT_DUPLICATES[] =
    "INSERT INTO not_duplicate (low_id, high_id, said_by, created_at)"
    " VALUES (least($1::uuid, $2::uuid), greatest($1::uuid, $2::uuid), $3, $4) ON CONFLICT DO NOTHING";

Err events_store_not_duplicates(DbTx *tx, Uuid a, Uuid b, int64_t said_by, int64_t now_us)
{
    return db_exec(tx, NOT_DUPLICATES,
                   DB_ARGS(db_uuid(a), db_uuid(b), said_by ? db_int64(said_by) : db_null(), db_time_us(now_us)));
}

static const char POSSIBLE[] =
    "SELECT c.id::uuid FROM unnest($2::text[]) WITH ORDINALITY AS c (id, n) WHERE NOT EXISTS ("
    "  SELECT FROM not_duplicate d WHERE d.low_id = least($1::uuid, c.id::uuid)"
    "  AND d.high_id = greatest($1::uuid, c.id::uuid)) ORDER BY c.n";

static Slice *uuid_texts(Arena *mem, const Uuid *ids, size_t count)
{
    Slice *texts = ARENA_ARRAY(mem, Slice, count + 1);

    for (size_t i = 0; i < count; i++)
        texts[i] = slice(uuid_text(mem, ids[i]));
    return texts;
}

Err events_store_possible(DbTx *tx, Arena *mem, Uuid event, const Uuid *candidates, size_t count, Uuid *out,
                          size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, POSSIBLE, DB_ARGS(db_uuid(event), db_text_array(uuid_texts(mem, candidates, count), count)),
                 &rows));
    for (int i = 0; i < rows.count; i++)
        out[i] = db_get_uuid(&rows, i, 0);
    *out_count = (size_t)rows.count;
    return OK;
}

static const char DISMISS[] =
    "UPDATE review_entry SET status = $2, duplicate_of = $3, reviewed_at = $4"
    " WHERE event_id = ANY (SELECT unnest($1::text[])::uuid) AND status = 'pending' RETURNING id, event_id";

Err events_store_dismiss(DbTx *tx, Arena *mem, const Uuid *events, size_t count, const char *status, Uuid successor,
                         int64_t now_us, ClosedReview **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, DISMISS,
                 DB_ARGS(db_text_array(uuid_texts(mem, events, count), count), db_text(slice(status)),
                         uuid_or_null(successor), db_time_us(now_us)),
                 &rows));
    read_closed(mem, &rows, out, out_count);
    return OK;
}
