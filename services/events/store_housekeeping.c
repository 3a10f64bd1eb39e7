/* store_housekeeping: see store_housekeeping.h. */
#include "services/events/store_housekeeping.h"

static void read_uuids(Arena *mem, const DbRows *rows, Uuid **out, size_t *out_count)
{
    *out = ARENA_ARRAY(mem, Uuid, rows->count + 1);
    for (int i = 0; i < rows->count; i++)
        (*out)[i] = db_get_uuid(rows, i, 0);
    *out_count = (size_t)rows->count;
}

static const char BEGUN[] =
    "SELECT e.id FROM event e WHERE e.lifecycle = 'pending_review' AND e.deleted_at IS NULL AND e.first_start < $1"
    " AND NOT EXISTS (SELECT FROM occurrence o WHERE o.event_id = e.id AND o.start_at >= $1) AND e.id > $3 ORDER BY "
    "e.id LIMIT $2";

Err events_store_begun(Request *rq, int64_t now_us, Uuid after, int64_t limit, Uuid **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, BEGUN, DB_ARGS(db_time_us(now_us), db_int64(limit), db_uuid(after)), &rows));
    read_uuids(rq->mem, &rows, out, out_count);
    return OK;
}

static const char FORGET_REVIEWS[] =
    "DELETE FROM review_entry WHERE id IN (SELECT r.id FROM review_entry r JOIN event e ON e.id = r.event_id"
    " WHERE r.status <> 'pending' AND r.reviewed_at < greatest($1::timestamptz, $2::timestamptz)"
    " AND CASE WHEN r.status = 'rejected' THEN coalesce(e.last_end, e.first_start, r.reviewed_at) < $1"
    "   ELSE r.reviewed_at < $2 END ORDER BY r.id LIMIT $3)";

Err events_store_forget_reviews(DbTx *tx, int64_t ended_us, int64_t decided_us, int64_t limit, int64_t *out_count)
{
    return db_exec_count(tx, FORGET_REVIEWS, DB_ARGS(db_time_us(ended_us), db_time_us(decided_us), db_int64(limit)),
                         out_count);
}

static const char FORGET_BATCHES[] =
    "DELETE FROM batch WHERE id IN (SELECT id FROM batch WHERE submitted_at < $1 ORDER BY submitted_at LIMIT $2)";

Err events_store_forget_batches(DbTx *tx, int64_t before_us, int64_t limit, int64_t *out_count)
{
    return db_exec_count(tx, FORGET_BATCHES, DB_ARGS(db_time_us(before_us), db_int64(limit)), out_count);
}

/* --- trust ----------------------------------------------------------------------------------------------------------
 */
static const char NEXT_SOURCE[] = "SELECT source_id, after_id FROM trust_change ORDER BY source_id LIMIT 1";
static const char NEXT_TRUST[] =
    "SELECT DISTINCT o.entity_id FROM observation o WHERE o.source_id = $1 AND o.superseded_at IS NULL"
    " AND o.entity_id > $2 AND EXISTS (SELECT FROM observation p WHERE p.entity_id = o.entity_id"
    "   AND p.source_id <> $1 AND p.superseded_at IS NULL) ORDER BY o.entity_id LIMIT $3";

Err events_store_next_trust(Request *rq, int64_t limit, Arena *mem, Uuid *out_source, Uuid *out_after, Uuid **out,
                            size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows source = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, NEXT_SOURCE, DB_NO_ARGS, &source));
    *out_source = *out_after = (Uuid){{0}};
    *out_count = 0;
    if (source.count == 0)
        return OK;
    *out_source = db_get_uuid(&source, 0, 0);
    *out_after = db_get_uuid(&source, 0, 1);
    TRY(db_read(rq, NEXT_TRUST, DB_ARGS(db_uuid(*out_source), db_uuid(*out_after), db_int64(limit)), &rows));
    read_uuids(mem, &rows, out, out_count);
    return OK;
}

static const char TRUST_IS_DONE[] = "DELETE FROM trust_change WHERE source_id = $1 AND after_id = $2";
static const char TRUST_GOES_ON[] = "UPDATE trust_change SET after_id = $3 WHERE source_id = $1 AND after_id = $2";

Err events_store_trust_done(DbTx *tx, Uuid source, Uuid before, Uuid after)
{
    return uuid_is_nil(after) ? db_exec(tx, TRUST_IS_DONE, DB_ARGS(db_uuid(source), db_uuid(before)))
                              : db_exec(tx, TRUST_GOES_ON, DB_ARGS(db_uuid(source), db_uuid(before), db_uuid(after)));
}

/* --- merged ---------------------------------------------------------------------------------------------------------
 */
static const char STILL_NAMED[] =
    "(SELECT 'place', p.id, p.superseded_by FROM place p WHERE p.superseded_by IS NOT NULL AND (EXISTS ("
    "   SELECT FROM event e WHERE e.place_id = p.id AND e.id > $1) OR EXISTS ("
    "   SELECT FROM occurrence o WHERE o.place_id = p.id AND o.event_id > $1)) LIMIT 1)"
    " UNION ALL (SELECT 'organization', g.id, g.superseded_by FROM organization g WHERE g.superseded_by IS NOT NULL"
    "   AND EXISTS (SELECT FROM event e WHERE e.organizer_id = g.id AND e.id > $1) LIMIT 1) LIMIT 1";
static const char AT_PLACE[] =
    "SELECT id FROM (SELECT id FROM event WHERE place_id = $1"
    " UNION SELECT event_id FROM occurrence WHERE place_id = $1) x WHERE id > $2 ORDER BY id LIMIT $3";
static const char OF_ORGANIZER[] = "SELECT id FROM event WHERE organizer_id = $1 AND id > $2 ORDER BY id LIMIT $3";

Err events_store_still_named(Request *rq, Uuid after, int64_t limit, StillNamed *out, Uuid **out_events,
                             size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows named = {0};
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, STILL_NAMED, DB_ARGS(db_uuid(after)), &named));
    *out = (StillNamed){.kind = ENTITY_PLACE};
    *out_count = 0;
    if (named.count == 0)
        return OK;
    if (slice_eq_cstr(db_get_text(&named, 0, 0), "organization"))
        out->kind = ENTITY_ORGANIZATION;
    out->from = db_get_uuid(&named, 0, 1);
    out->to = db_get_uuid(&named, 0, 2);
    TRY(db_read(rq, out->kind == ENTITY_PLACE ? AT_PLACE : OF_ORGANIZER,
                DB_ARGS(db_uuid(out->from), db_uuid(after), db_int64(limit)), &rows));
    read_uuids(rq->mem, &rows, out_events, out_count);
    return OK;
}

/* --- accounts that are gone -----------------------------------------------------------------------------------------
 */
/* What he did stays done, without his name. $2: how many at once. */
#define SOME(table, key, condition) " WHERE " key " IN (SELECT " key " FROM " table " WHERE " condition " LIMIT $2)"
#define KEYS_OF                                                                                                        \
    "(SELECT submitter_key FROM event WHERE submitter_user = $1 AND submitter_key <> ''"                               \
    " UNION SELECT submitter_key FROM event_source WHERE submitter_user = $1 AND submitter_key <> ''"                  \
    " UNION SELECT submitter_key FROM batch WHERE submitter_user = $1 AND submitter_key <> ''"                         \
    " UNION SELECT actor_key_id::text FROM audit_entry WHERE actor_id = $1 AND actor_key_id IS NOT NULL)"
#define HIS_KEY(column) "(" column " = 'user:' || $1::bigint OR " column " IN " KEYS_OF ")"
/* By his keys first, while it is known which were his. A source or calendar is from then on its own. */
static const char *const TRACES[] = {
    "UPDATE revision SET actor_id = '', actor_name = ''" SOME("revision", "ctid",
                                                              "actor_kind = 'key' AND actor_id IN " KEYS_OF),
    "UPDATE source SET key_id = id::text" SOME("source", "id", HIS_KEY("key_id")),
    "UPDATE calendar SET owner = id::text" SOME("calendar", "id", HIS_KEY("owner")),
    "UPDATE event SET submitter_user = 0, submitter_key = ''" SOME("event", "id", "submitter_user = $1"),
    "UPDATE event_source SET submitter_user = 0, submitter_key = ''" SOME("event_source", "ctid",
                                                                          "submitter_user = $1"),
    "UPDATE revision SET actor_id = '', actor_name = ''" SOME("revision", "ctid",
                                                              "actor_kind = 'user' AND actor_id = $1::bigint::text"),
    "UPDATE review_entry SET reviewer_id = 0, reviewer_name = NULL" SOME("review_entry", "id", "reviewer_id = $1"),
    "UPDATE batch SET submitter_user = 0, submitter_key = '', submitter_name = ''" SOME("batch", "id",
                                                                                        "submitter_user = $1"),
    "UPDATE not_duplicate SET said_by = NULL" SOME("not_duplicate", "ctid", "said_by = $1"),
    "UPDATE audit_entry SET actor_id = 0, actor_key_id = NULL" SOME("audit_entry", "id", "actor_id = $1"),
};

Err events_store_erase(DbTx *tx, int64_t user_id, int64_t *out_rows)
{
    int64_t count;

    *out_rows = 0;
    for (size_t i = 0; i < ARRAY_LEN(TRACES); i++) {
        TRY(db_exec_count(tx, TRACES[i], DB_ARGS(db_int64(user_id), db_int64(ERASE_BATCH)), &count));
        *out_rows += count;
        if (count == ERASE_BATCH) /* the next are for when this is done */
            break;
    }
    return OK;
}
