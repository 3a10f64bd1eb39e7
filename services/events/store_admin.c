/* store_admin: see store_admin.h. */
#include "services/events/store_admin.h"

enum { SIMILAR_MAX = 50 };

static DbValue uuid_or_null(Uuid id)
{
    return uuid_is_nil(id) ? db_null() : db_uuid(id);
}

/* --- lists ----------------------------------------------------------------------------------------------------------
 */
#define EVENT_COLUMNS "e.id, e.name, e.description, e.lifecycle, e.confidence, e.first_start, e.version"
#define EVENT_FILTER                                                                                                   \
    " FROM event e WHERE e.deleted_at IS NULL AND ($1::text = '' OR e.lifecycle = $1)"                                 \
    " AND ($2::text = '' OR e.haystack LIKE '%' || regexp_replace(fold($2), '([\\\\%_])', '\\\\\\1', 'g') || '%')"     \
    " AND ($3::uuid IS NULL OR EXISTS (SELECT FROM event_source s WHERE s.event_id = e.id AND s.source_id = $3))"

static Err read_events(Request *rq, const char *sql, DbArgs args, AdminEventRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, sql, args, &rows));
    *out = ARENA_ARRAY(rq->mem, AdminEventRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (AdminEventRow){.id = db_get_uuid(&rows, i, 0),
                                    .name = db_get_cstr(rq->mem, &rows, i, 1),
                                    .description = db_get_cstr(rq->mem, &rows, i, 2),
                                    .lifecycle = db_get_cstr(rq->mem, &rows, i, 3),
                                    .confidence = db_get_double(&rows, i, 4),
                                    .start_us = db_get_time_us(&rows, i, 5),
                                    .version = db_get_int64(&rows, i, 6)};
    *out_count = (size_t)rows.count;
    return OK;
}

static const char ADMIN_EVENTS[] =
    "SELECT " EVENT_COLUMNS EVENT_FILTER " AND ($4::uuid IS NULL OR e.id < $4) ORDER BY e.id DESC LIMIT $5";

Err events_store_admin_events(Request *rq, const AdminEventFilter *filter, AdminEventRow **out, size_t *out_count)
{
    return read_events(rq, ADMIN_EVENTS,
                       DB_ARGS(db_text(slice(filter->state)), db_text(slice(filter->q)), uuid_or_null(filter->source),
                               uuid_or_null(filter->page.after), db_int64(filter->page.limit + 1)),
                       out, out_count);
}

/* One without a start is the most urgent: nobody sees it anywhere. */
#define URGENCY "coalesce(e.first_start, '1970-01-01Z'::timestamptz)"
static const char ADMIN_PENDING[] =
    "SELECT " EVENT_COLUMNS EVENT_FILTER " AND ($4::uuid IS NULL OR (" URGENCY ", e.id) > ($5::timestamptz, $4))"
    " ORDER BY " URGENCY ", e.id LIMIT $6";

Err events_store_admin_pending(Request *rq, const AdminEventFilter *filter, AdminEventRow **out, size_t *out_count)
{
    return read_events(rq, ADMIN_PENDING,
                       DB_ARGS(db_text(SLICE_LIT("pending_review")), db_text(slice(filter->q)),
                               uuid_or_null(filter->source), uuid_or_null(filter->page.after),
                               db_time_us(filter->page.after_us), db_int64(filter->page.limit + 1)),
                       out, out_count);
}

static const char ADMIN_COUNTS[] =
    "SELECT (SELECT count(*) FROM review_entry WHERE status = 'pending'),"
    " count(*) FILTER (WHERE lifecycle = 'published'), count(*) FILTER (WHERE lifecycle = 'draft'), count(*)"
    " FROM event WHERE deleted_at IS NULL";

Err events_store_admin_counts(Request *rq, AdminCounts *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, ADMIN_COUNTS, DB_NO_ARGS, &rows));
    *out = (AdminCounts){.waiting = db_get_int64(&rows, 0, 0),
                         .published = db_get_int64(&rows, 0, 1),
                         .drafts = db_get_int64(&rows, 0, 2),
                         .all = db_get_int64(&rows, 0, 3)};
    return OK;
}

/* --- the same thing twice -------------------------------------------------------------------------------------------
 */
#define NOT_SAID_TO_DIFFER(a, b)                                                                                       \
    " NOT EXISTS (SELECT FROM not_duplicate n WHERE n.low_id = least(" a ", " b ") AND n.high_id = greatest(" a ", " b \
    "))"
#define BEHIND_CURSOR " WHERE (score, a_id, b_id) < ($1::float8, $2::uuid, $3::uuid) OR $1 > 1"
#define PAIR_ORDER " ORDER BY score DESC, a_id DESC, b_id DESC LIMIT $4"

static const char EVENT_PAIRS[] =
    "SELECT a_id, b_id, a_name, b_name, a_start, b_start, score,"
    " 'similar_name,same_place,' || CASE WHEN same_day THEN 'same_day,' ELSE '' END FROM ("
    "  SELECT DISTINCT ON (a.id, b.id) a.id AS a_id, b.id AS b_id, a.name AS a_name, b.name AS b_name,"
    "   oa.start_at AS a_start, ob.start_at AS b_start,"
    "   similarity(a.name_norm, b.name_norm)::float8 AS score,"
    "   (oa.start_at AT TIME ZONE oa.timezone)::date = (ob.start_at AT TIME ZONE oa.timezone)::date AS same_day"
    "  FROM occurrence oa JOIN occurrence ob ON ob.place_id = oa.place_id AND ob.event_id > oa.event_id"
    "   AND ob.start_at BETWEEN oa.start_at - interval '12 hours' AND oa.start_at + interval '12 hours'"
    "  JOIN event a ON a.id = oa.event_id JOIN event b ON b.id = ob.event_id"
    "  WHERE oa.start_at > now() - interval '1 month' AND a.deleted_at IS NULL AND b.deleted_at IS NULL"
    "   AND similarity(a.name_norm, b.name_norm) >= 0.4 AND" NOT_SAID_TO_DIFFER(
        "a.id", "b.id") "  ORDER BY a.id, b.id, oa.start_at"
                        " ) pairs" BEHIND_CURSOR PAIR_ORDER;

#define ENTITY_PAIRS(table)                                                                                            \
    "SELECT a_id, b_id, a_name, b_name, NULL::timestamptz, NULL::timestamptz, score, reasons FROM ("                   \
    "  SELECT a.id AS a_id, b.id AS b_id, a.name AS a_name, b.name AS b_name,"                                         \
    "   similarity(a.name_norm, b.name_norm)::float8 AS score, 'similar_name,'"                                        \
    "   || CASE WHEN a.locality <> '' AND fold(a.locality) = fold(b.locality) THEN 'same_locality,' ELSE '' END"       \
    "   || CASE WHEN a.url <> '' AND a.url = b.url THEN 'same_url,' ELSE '' END AS reasons"                            \
    "  FROM " table " a JOIN " table " b ON b.id > a.id AND b.name_norm % a.name_norm"                                 \
    "  WHERE a.deleted_at IS NULL AND b.deleted_at IS NULL AND similarity(a.name_norm, b.name_norm) >= 0.6"            \
    "   AND (a.locality = '' OR b.locality = '' OR fold(a.locality) = fold(b.locality))"                               \
    "   AND" NOT_SAID_TO_DIFFER("a.id", "b.id") " ) pairs" BEHIND_CURSOR PAIR_ORDER
static const char PLACE_PAIRS[] = ENTITY_PAIRS("place");
static const char ORGANIZATION_PAIRS[] = ENTITY_PAIRS("organization");

Err events_store_pairs(Request *rq, EntityKind kind, const PairCursor *after, int64_t limit, PairRow **out,
                       size_t *out_count)
{
    static const char *const SQL[] = {
        [ENTITY_EVENT] = EVENT_PAIRS, [ENTITY_PLACE] = PLACE_PAIRS, [ENTITY_ORGANIZATION] = ORGANIZATION_PAIRS};
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SQL[kind],
                DB_ARGS(db_double(after->score), db_uuid(after->left), db_uuid(after->right), db_int64(limit)), &rows));
    *out = ARENA_ARRAY(rq->mem, PairRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (PairRow){.left = db_get_uuid(&rows, i, 0),
                              .right = db_get_uuid(&rows, i, 1),
                              .left_name = db_get_cstr(rq->mem, &rows, i, 2),
                              .right_name = db_get_cstr(rq->mem, &rows, i, 3),
                              .left_us = db_get_time_us(&rows, i, 4),
                              .right_us = db_get_time_us(&rows, i, 5),
                              .score = db_get_double(&rows, i, 6),
                              .reasons = db_get_cstr(rq->mem, &rows, i, 7)};
    *out_count = (size_t)rows.count;
    return OK;
}

#define SIMILAR(table)                                                                                                 \
    "SELECT o.id, o.name, similarity(o.name_norm, t.name_norm)::float8 FROM " table " t LEFT JOIN " table              \
    " o ON o.id <> t.id AND o.deleted_at IS NULL AND similarity(o.name_norm, t.name_norm) >= 0.3"                      \
    " AND" NOT_SAID_TO_DIFFER("o.id", "t.id") " WHERE t.id = $1 ORDER BY 3 DESC NULLS LAST, 1 LIMIT $2"
static const char SIMILAR_PLACES[] = SIMILAR("place");
static const char SIMILAR_ORGANIZATIONS[] = SIMILAR("organization");

/* One row without an id: it is there, and like no other. */
Err events_store_similar(Request *rq, EntityKind kind, Uuid id, SimilarRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, kind == ENTITY_PLACE ? SIMILAR_PLACES : SIMILAR_ORGANIZATIONS,
                DB_ARGS(db_uuid(id), db_int64(SIMILAR_MAX)), &rows));
    if (rows.count == 0)
        return err_make(&NOT_FOUND, "there is no such %s", entity_word(kind));
    *out = ARENA_ARRAY(rq->mem, SimilarRow, rows.count);
    *out_count = 0;
    for (int i = 0; i < rows.count && !db_is_null(&rows, i, 0); i++)
        (*out)[(*out_count)++] = (SimilarRow){.id = db_get_uuid(&rows, i, 0),
                                              .name = db_get_cstr(rq->mem, &rows, i, 1),
                                              .similarity = db_get_double(&rows, i, 2)};
    return OK;
}

/* --- places and organisations ---------------------------------------------------------------------------------------
 */
#define ADMIN_ENTITY(table)                                                                                            \
    "SELECT id, version, created_at, updated_at, deleted_at, superseded_by IS NOT NULL, doc FROM " table               \
    " WHERE id = $1"
static const char ADMIN_PLACE[] = ADMIN_ENTITY("place");
static const char ADMIN_ORGANIZATION[] = ADMIN_ENTITY("organization");

Err events_store_admin_entity(Request *rq, EntityKind kind, Uuid id, AdminEntityRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, kind == ENTITY_PLACE ? ADMIN_PLACE : ADMIN_ORGANIZATION, DB_ARGS(db_uuid(id)), &rows));
    *out = (AdminEntityRow){.version = 0};
    if (rows.count == 0)
        return OK;
    *out = (AdminEntityRow){.id = db_get_uuid(&rows, 0, 0),
                            .version = db_get_int64(&rows, 0, 1),
                            .created_us = db_get_time_us(&rows, 0, 2),
                            .updated_us = db_get_time_us(&rows, 0, 3),
                            .deleted_us = db_get_time_us(&rows, 0, 4),
                            .merged = db_get_bool(&rows, 0, 5),
                            .doc = slice(db_get_cstr(rq->mem, &rows, 0, 6))};
    return OK;
}

static const char THERE_IS_PLACE[] = "SELECT FROM place WHERE id = $1";
static const char THERE_IS_ORGANIZATION[] = "SELECT FROM organization WHERE id = $1";

Err events_store_check_there(DbTx *tx, EntityKind kind, Uuid id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, kind == ENTITY_PLACE ? THERE_IS_PLACE : THERE_IS_ORGANIZATION, DB_ARGS(db_uuid(id)), &rows));
    return rows.count ? OK : err_make(&NOT_FOUND, "there is no such %s", entity_word(kind));
}

static const char PLACE_IS_THERE[] = "SELECT FROM place WHERE id = $1 AND deleted_at IS NULL FOR SHARE";

Err events_store_place_is_there(DbTx *tx, Uuid id, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, PLACE_IS_THERE, DB_ARGS(db_uuid(id)), &rows));
    *out = rows.count > 0;
    return OK;
}

#define IS_USED(column)                                                                                                \
    "SELECT EXISTS (SELECT FROM occurrence o JOIN event e ON e.id = o.event_id WHERE o." column " = $1"                \
    " AND coalesce(o.end_at, o.start_at) >= $2 AND e.deleted_at IS NULL)"
static const char PLACE_IS_USED[] = IS_USED("place_id");
static const char ORGANIZATION_IS_USED[] = IS_USED("organizer_id");

Err events_store_is_used(DbTx *tx, EntityKind kind, Uuid id, int64_t now_us, bool *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, kind == ENTITY_PLACE ? PLACE_IS_USED : ORGANIZATION_IS_USED,
                 DB_ARGS(db_uuid(id), db_time_us(now_us)), &rows));
    *out = db_get_bool(&rows, 0, 0);
    return OK;
}

static const char USERS_OF_PLACE[] =
    "SELECT id FROM event WHERE id IN (SELECT id FROM event WHERE place_id = $1"
    " UNION SELECT event_id FROM occurrence WHERE place_id = $1 ORDER BY 1 LIMIT $2) ORDER BY id FOR NO KEY UPDATE";
static const char USERS_OF_ORGANIZATION[] =
    "SELECT id FROM event WHERE id IN (SELECT id FROM event WHERE organizer_id = $1 ORDER BY 1 LIMIT $2) ORDER BY id"
    " FOR NO KEY UPDATE";

Err events_store_users_of(DbTx *tx, Arena *mem, EntityKind kind, Uuid id, int64_t limit, Uuid **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, kind == ENTITY_PLACE ? USERS_OF_PLACE : USERS_OF_ORGANIZATION,
                 DB_ARGS(db_uuid(id), db_int64(limit)), &rows));
    *out = ARENA_ARRAY(mem, Uuid, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = db_get_uuid(&rows, i, 0);
    *out_count = (size_t)rows.count;
    return OK;
}

#define FORWARD_OLDER(table) "UPDATE " table " SET superseded_by = $2 WHERE superseded_by = $1"
#define NAME_ALIAS(table)                                                                                              \
    "INSERT INTO alias (kind, name_norm, locality, region, id, made_at)"                                               \
    " SELECT '" table "', name_norm, fold(locality), region, $2, $3 FROM " table " WHERE id = $1"                      \
    " ON CONFLICT (kind, name_norm, locality, region) DO UPDATE SET id = excluded.id, made_at = excluded.made_at"
static const char *const FORWARD_OLDER_ONES[] = {[ENTITY_EVENT] = FORWARD_OLDER("event"),
                                                 [ENTITY_PLACE] = FORWARD_OLDER("place"),
                                                 [ENTITY_ORGANIZATION] = FORWARD_OLDER("organization")};
static const char *const NAME_ALIASES[] = {
    [ENTITY_PLACE] = NAME_ALIAS("place"), [ENTITY_ORGANIZATION] = NAME_ALIAS("organization")};
static const char FORWARD_ALIASES[] = "UPDATE alias SET id = $2 WHERE kind = $3 AND id = $1";

Err events_store_forward(DbTx *tx, EntityKind kind, Uuid from, Uuid to, int64_t now_us)
{
    TRY(db_exec(tx, FORWARD_OLDER_ONES[kind], DB_ARGS(db_uuid(from), db_uuid(to))));
    TRY(db_exec(tx, FORWARD_ALIASES, DB_ARGS(db_uuid(from), db_uuid(to), db_text(slice(entity_word(kind))))));
    return db_exec(tx, NAME_ALIASES[kind], DB_ARGS(db_uuid(from), db_uuid(to), db_time_us(now_us)));
}

/* --- consolidation --------------------------------------------------------------------------------------------------
 */
static const char DROP_KNOWN_SOURCES[] =
    "DELETE FROM event_source f USING event_source t WHERE f.event_id = $1 AND t.event_id = $2"
    " AND t.source_id = f.source_id AND t.source_event_id = f.source_event_id";
static const char MOVE_SOURCES[] = "UPDATE event_source SET event_id = $2 WHERE event_id = $1";

Err events_store_move_sources(DbTx *tx, Uuid from, Uuid to)
{
    TRY(db_exec(tx, DROP_KNOWN_SOURCES, DB_ARGS(db_uuid(from), db_uuid(to))));
    TRY(db_exec(tx, MOVE_SOURCES, DB_ARGS(db_uuid(from), db_uuid(to))));
    return db_exec(tx, FORWARD_OLDER_ONES[ENTITY_EVENT], DB_ARGS(db_uuid(from), db_uuid(to)));
}

/* --- sources --------------------------------------------------------------------------------------------------------
 */
#define SOURCE_COLUMNS                                                                                                 \
    "s.id, s.name, s.type, s.base_url, s.license, s.trust,"                                                            \
    " (SELECT count(DISTINCT event_id) FROM event_source e WHERE e.source_id = s.id)"

static void read_source(Arena *mem, const DbRows *rows, int row, AdminSourceRow *out)
{
    *out = (AdminSourceRow){.id = db_get_uuid(rows, row, 0),
                            .name = db_get_cstr(mem, rows, row, 1),
                            .type = db_get_cstr(mem, rows, row, 2),
                            .base_url = db_get_cstr(mem, rows, row, 3),
                            .license = db_get_cstr(mem, rows, row, 4),
                            .trust = (int)db_get_int64(rows, row, 5),
                            .events = db_get_int64(rows, row, 6)};
}

static const char SOURCES[] =
    "SELECT " SOURCE_COLUMNS " FROM source s WHERE ($1::uuid IS NULL OR s.id > $1) ORDER BY s.id LIMIT $2";

Err events_store_sources(Request *rq, const AdminPage *page, AdminSourceRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SOURCES, DB_ARGS(uuid_or_null(page->after), db_int64(page->limit + 1)), &rows));
    *out = ARENA_ARRAY(rq->mem, AdminSourceRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_source(rq->mem, &rows, i, &(*out)[i]);
    *out_count = (size_t)rows.count;
    return OK;
}

static const char SOURCE[] = "SELECT " SOURCE_COLUMNS " FROM source s WHERE s.id = $1 FOR UPDATE";

Err events_store_source(DbTx *tx, Arena *mem, Uuid id, AdminSourceRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, SOURCE, DB_ARGS(db_uuid(id)), &rows));
    *out = (AdminSourceRow){.name = ""};
    if (rows.count)
        read_source(mem, &rows, 0, out);
    return OK;
}

static const char UPDATE_SOURCE[] =
    "UPDATE source SET name = coalesce($2::text, name), license = coalesce($3::text, license),"
    " trust = CASE WHEN $4::bigint = 0 THEN trust ELSE $4::bigint END WHERE id = $1";

Err events_store_update_source(DbTx *tx, Uuid id, const char *name, const char *license, int trust)
{
    return db_exec(tx, UPDATE_SOURCE,
                   DB_ARGS(db_uuid(id), db_text_or_null(name), db_text_or_null(license), db_int64(trust)));
}

static const char TRUST_CHANGED[] = "INSERT INTO trust_change (source_id) VALUES ($1)"
                                    " ON CONFLICT (source_id) DO UPDATE SET after_id = DEFAULT";

Err events_store_trust_changed(DbTx *tx, Uuid source)
{
    return db_exec(tx, TRUST_CHANGED, DB_ARGS(db_uuid(source)));
}

/* --- history --------------------------------------------------------------------------------------------------------
 */
static const char REVISIONS[] =
    "SELECT version, made_at, lifecycle, actor_kind, actor_id, actor_name, array_to_string(pointers, E'\\n')"
    " FROM revision WHERE entity_id = $1 AND ($2::bigint = 0 OR version < $2)"
    " AND (NOT $3 OR lifecycle NOT IN ('draft', 'pending_review')) ORDER BY version DESC LIMIT $4";

Err events_store_revisions(Request *rq, Uuid id, int64_t before, int64_t limit, bool public_only, RevisionInfo **out,
                           size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, REVISIONS, DB_ARGS(db_uuid(id), db_int64(before), db_bool(public_only), db_int64(limit)), &rows));
    *out = ARENA_ARRAY(rq->mem, RevisionInfo, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (RevisionInfo){.version = db_get_int64(&rows, i, 0),
                                   .made_us = db_get_time_us(&rows, i, 1),
                                   .lifecycle = db_get_cstr(rq->mem, &rows, i, 2),
                                   .actor_kind = db_get_cstr(rq->mem, &rows, i, 3),
                                   .actor_id = db_get_cstr(rq->mem, &rows, i, 4),
                                   .actor_name = db_get_cstr(rq->mem, &rows, i, 5),
                                   .pointers = db_get_cstr(rq->mem, &rows, i, 6)};
    *out_count = (size_t)rows.count;
    return OK;
}

static const char REVISION[] = "SELECT doc, lifecycle FROM revision WHERE entity_id = $1 AND version = $2";

Err events_store_revision(Request *rq, DbTx *tx, Uuid id, int64_t version, Slice *out_doc, const char **out_lifecycle)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    DbArgs args = DB_ARGS(db_uuid(id), db_int64(version));

    TRY(tx ? db_query(tx, REVISION, args, &rows) : db_read(rq, REVISION, args, &rows));
    *out_doc = rows.count ? slice(db_get_cstr(rq->mem, &rows, 0, 0)) : SLICE_LIT("");
    *out_lifecycle = rows.count ? db_get_cstr(rq->mem, &rows, 0, 1) : "";
    return OK;
}
