/* store_ingest: see store_ingest.h. pg_trgm stands in the schema public. */
#include "services/events/store_ingest.h"

#include <sodium.h>

#include "shared/db_later.h"

/* --- one after the other ----------------------------------------------------------------------------------------- */
static const char LOCK[] = "SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) WITH ORDINALITY AS t (k, n) "
                           "ORDER BY n";

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

Err ingest_store_lock(DbTx *tx, int64_t *keys, size_t count)
{
    qsort(keys, count, sizeof(*keys), by_number);
    return db_exec_later(tx, LOCK, DB_ARGS(db_int64_array(keys, count)));
}

/* --- the source, and what is known of it ------------------------------------------------------------------------- */
/* What is known by its id stays with the source that knows it, whatever its type: sources were all of one type once,
 * and one that speaks of its own event as another would neither move it nor find its series. The source's row is looked
 * for first: an upsert of one that is there would lock it for everybody. */
static const char SOURCE[] =
    "WITH told AS (SELECT y.id, e.id AS event_id FROM source y JOIN event_source s ON s.source_id = y.id "
    "  JOIN event e ON e.id = s.event_id "
    "  WHERE y.key_id = $1 AND y.host = $2 AND s.source_event_id = $7 AND $7 <> '' "
    "  ORDER BY (e.deleted_at IS NULL) DESC, (y.type = $8) DESC, s.retrieved_at DESC LIMIT 1), "
    "known AS (SELECT id, event_id FROM told UNION ALL "
    "  SELECT id, NULL FROM source WHERE key_id = $1 AND host = $2 AND type = $8 AND NOT EXISTS (SELECT FROM told)), "
    "made AS (INSERT INTO source (id, key_id, host, name, type, trust, base_url, license, created_at) "
    "  SELECT $3, $1, $2, $4, $8, $9::int8::int, $2, $5, $6 WHERE NOT EXISTS (SELECT FROM known) "
    "  ON CONFLICT (key_id, host, type) DO UPDATE SET name = source.name RETURNING id) "
    "SELECT id, event_id FROM known UNION ALL SELECT id, NULL FROM made";

Err ingest_store_source(DbTx *tx, const SourceKey *key, const char *event_id, int64_t now_us, Uuid *out_source,
                        KnownEvent *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, SOURCE,
                 DB_ARGS(db_text(slice(key->key_id)), db_text(slice(key->host)), db_uuid(key->fresh),
                         db_text(slice(key->name)), db_text(slice(key->license)), db_time_us(now_us),
                         db_text(slice(event_id)), db_text(slice(key->type)), db_int64(key->trust)),
                 &rows));
    if (rows.count != 1)
        return err_make(&INTERNAL, "the source was not found");
    *out_source = db_get_uuid(&rows, 0, 0);
    *out = (KnownEvent){.found = !db_is_null(&rows, 0, 1), .id = db_get_uuid(&rows, 0, 1)};
    return OK;
}

/* --- places and organisations ------------------------------------------------------------------------------------ */
/* Rows of PLACE and ORGANIZATION differ in their table alone. What is asked with is normalised once, in a CTE: within a
 * condition it would be for each row. */
#define CANDIDATE_SQL(table)                                                                                           \
    "WITH asked AS MATERIALIZED (SELECT name_norm($2) AS name) "                                                       \
    "SELECT n.id, n.name, n.deleted_at IS NOT NULL, n.name_norm = asked.name OR o.name_norm = asked.name "             \
    "FROM asked, " table " o JOIN " table " n ON n.id = coalesce(o.superseded_by, o.id) WHERE o.id = $1"

#define SAME_SQL(table, kind, called, town, state)                                                                     \
    "(WITH asked AS MATERIALIZED (SELECT name_norm(" called ") AS name, fold(" town ") AS locality, "                  \
    "  lower(" state ") AS region) "                                                                                   \
    "SELECT '" kind "', id, name FROM (SELECT id, name, 0 AS rank FROM " table " t "                                   \
    "  WHERE deleted_at IS NULL AND name_norm = (SELECT name FROM asked) "                                             \
    "    AND fold(locality) = (SELECT locality FROM asked) AND lower(region) = (SELECT region FROM asked) "            \
    "  UNION ALL SELECT t.id, t.name, 1 FROM alias a JOIN " table " t ON t.id = a.id AND t.deleted_at IS NULL "        \
    "  WHERE a.kind = '" kind "' AND a.name_norm = (SELECT name FROM asked) "                                          \
    "    AND (" town " = '' OR a.locality IN ('', (SELECT locality FROM asked)))) c ORDER BY rank, id LIMIT 1)"

#define SIMILAR_SQL(table)                                                                                             \
    "WITH asked AS MATERIALIZED (SELECT name_norm($1) AS name, fold($2) AS locality, lower($3) AS region) "            \
    "SELECT id, name, score FROM ("                                                                                    \
    "  SELECT id, name, public.similarity(name_norm, (SELECT name FROM asked))::float8 AS score, locality, region "    \
    "  FROM " table " WHERE deleted_at IS NULL AND name_norm OPERATOR(public.%) (SELECT name FROM asked)) c "          \
    "WHERE score >= $4 AND (locality = '' OR $2 = '' OR fold(locality) = (SELECT locality FROM asked)) "               \
    "  AND (region = '' OR $3 = '' OR lower(region) = (SELECT region FROM asked)) "                                    \
    "ORDER BY score DESC, id LIMIT 1"

static const char PLACE_CANDIDATE[] = CANDIDATE_SQL("place");
static const char ORGANIZATION_CANDIDATE[] = CANDIDATE_SQL("organization");
/* An organiser's address is nothing that events tell. */
static const char SAME[] = SAME_SQL("place", "place", "$1::text", "$2::text", "$3::text") " UNION ALL " SAME_SQL(
    "organization", "organization", "$4::text", "''::text", "''::text");
static const char PLACE_SIMILAR[] = SIMILAR_SQL("place");
static const char ORGANIZATION_SIMILAR[] = SIMILAR_SQL("organization");
static const char PLACE_NAME[] = "SELECT name FROM place WHERE id = $1";
static const char ORGANIZATION_NAME[] = "SELECT name FROM organization WHERE id = $1";

Err ingest_store_candidate(DbTx *tx, Arena *mem, EntityKind kind, Uuid id, const char *name, Candidate *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, kind == ENTITY_PLACE ? PLACE_CANDIDATE : ORGANIZATION_CANDIDATE,
                 DB_ARGS(db_uuid(id), db_text(slice(name))), &rows));
    *out = (Candidate){.name = ""};
    if (rows.count)
        *out = (Candidate){.id = db_get_uuid(&rows, 0, 0),
                           .name = db_get_cstr(mem, &rows, 0, 1),
                           .score = 1,
                           .gone = db_get_bool(&rows, 0, 2),
                           .named = db_get_bool(&rows, 0, 3)};
    return OK;
}

Err ingest_store_same(DbTx *tx, Arena *mem, const NamesAsked *asked, Candidate *out_place, Candidate *out_organizer)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out_place = *out_organizer = (Candidate){.name = ""};
    if (!asked->place && !asked->organizer)
        return OK;
    TRY(db_query(tx, SAME,
                 DB_ARGS(db_text_or_null(asked->place), db_text(slice(asked->locality)), db_text(slice(asked->region)),
                         db_text_or_null(asked->organizer)),
                 &rows));
    for (int i = 0; i < rows.count; i++)
        *(db_get_text(&rows, i, 0).ptr[0] == 'p' ? out_place : out_organizer) = (Candidate){
            .id = db_get_uuid(&rows, i, 1), .name = db_get_cstr(mem, &rows, i, 2), .score = 1, .named = true};
    return OK;
}

/* For the rest of the transaction. At pg_trgm's own 0.3 one word in common makes two names alike, and a hundred
 * societies are compared letter by letter with each new one; at ours the index alone leaves most of them out. */
static const char THRESHOLD[] = "SELECT set_config('pg_trgm.similarity_threshold', $1::float8::text, true)";

Err ingest_store_similar(DbTx *tx, Arena *mem, EntityKind kind, const char *name, const char *locality,
                         const char *region, double threshold, Candidate *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_exec_later(tx, THRESHOLD, DB_ARGS(db_double(threshold))));
    TRY(db_query(tx, kind == ENTITY_PLACE ? PLACE_SIMILAR : ORGANIZATION_SIMILAR,
                 DB_ARGS(db_text(slice(name)), db_text(slice(locality)), db_text(slice(region)), db_double(threshold)),
                 &rows));
    *out = (Candidate){.name = ""};
    if (rows.count)
        *out = (Candidate){
            .id = db_get_uuid(&rows, 0, 0), .name = db_get_cstr(mem, &rows, 0, 1), .score = db_get_double(&rows, 0, 2)};
    return OK;
}

Err ingest_store_name(DbTx *tx, Arena *mem, EntityKind kind, Uuid id, const char **out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, kind == ENTITY_PLACE ? PLACE_NAME : ORGANIZATION_NAME, DB_ARGS(db_uuid(id)), &rows));
    *out = rows.count ? db_get_cstr(mem, &rows, 0, 0) : "";
    return OK;
}

static const char MISSING_PLACE[] =
    "SELECT x::uuid FROM unnest($1::text[]) WITH ORDINALITY AS t (x, n) "
    "WHERE NOT EXISTS (SELECT FROM place p WHERE p.id = x::uuid AND p.deleted_at IS NULL) ORDER BY n LIMIT 1";

Err ingest_store_missing_place(DbTx *tx, Arena *mem, const Uuid *ids, size_t count, Uuid *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    Slice *texts = ARENA_ARRAY(mem, Slice, count + 1);

    for (size_t i = 0; i < count; i++)
        texts[i] = slice(uuid_text(mem, ids[i]));
    TRY(db_query(tx, MISSING_PLACE, DB_ARGS(db_text_array(texts, count)), &rows));
    *out = rows.count ? db_get_uuid(&rows, 0, 0) : (Uuid){{0}};
    return OK;
}

/* --- events ------------------------------------------------------------------------------------------------------ */
/* The place's events come first, by its index: names are compared of those alone. Of the same venue: of the same local
 * day, or one to three weeks apart at the same time of day (a series whose sessions are submitted one by one). */
#define TWINS_SQL                                                                                                      \
    "WITH asked AS MATERIALIZED (SELECT name_norm($3) AS name, $4 AT TIME ZONE $5 AS wall), "                          \
    "near AS MATERIALIZED (SELECT DISTINCT ON (o.event_id) o.event_id, o.start_at FROM occurrence o "                  \
    "  WHERE o.place_id = $1 AND o.start_at BETWEEN $4 - interval '22 days' AND $4 + interval '22 days' "              \
    "    AND o.event_id <> $2 AND o.status <> 'cancelled' "                                                            \
    "  ORDER BY o.event_id, abs(extract(epoch FROM o.start_at - $4))), "                                               \
    "scored AS MATERIALIZED (SELECT e.id, e.name, public.similarity(e.name_norm, asked.name)::float8 AS score, "       \
    "    (near.start_at AT TIME ZONE $5)::date = asked.wall::date AS same_day, "                                       \
    "    abs(extract(epoch FROM (near.start_at AT TIME ZONE $5)::time - asked.wall::time)) AS apart_s, "               \
    "    abs(extract(epoch FROM near.start_at - $4)) AS away_s, "                                                      \
    "    e.lifecycle NOT IN ('draft', 'pending_review') AND e.takedown_at IS NULL AS is_public, "                      \
    "    e.submitter_key, e.submitter_user "                                                                           \
    "  FROM asked, near, LATERAL (SELECT * FROM event WHERE id = near.event_id "                                       \
    "    AND deleted_at IS NULL OFFSET 0) e) "                                                                         \
    "SELECT id, name, score, same_day, is_public, submitter_key, submitter_user FROM scored WHERE score >= $6 AND "    \
    "(same_day "                                                                                                       \
    "  OR (score >= 0.8 AND away_s BETWEEN 518400 - 1800 AND 1814400 + 1800 AND apart_s <= 1800)) "                    \
    "ORDER BY same_day DESC, score DESC, id LIMIT 5"
static const char TWINS[] = TWINS_SQL;

static void read_twin(Arena *mem, const DbRows *rows, int i, Twins *out)
{
    if (out->count < TWINS_MAX)
        out->list[out->count++] = (Twin){.id = db_get_uuid(rows, i, 0),
                                         .name = db_get_cstr(mem, rows, i, 1),
                                         .score = db_get_double(rows, i, 2),
                                         .same_day = db_get_bool(rows, i, 3),
                                         .is_public = db_get_bool(rows, i, 4),
                                         .submitter_key = db_get_cstr(mem, rows, i, 5),
                                         .submitter_user = db_get_int64(rows, i, 6)};
}

#define TWINS_ARGS(asked)                                                                                              \
    db_uuid((asked)->place), db_uuid((asked)->besides), db_text(slice((asked)->name)), db_time_us((asked)->start_us),  \
        db_text(slice((asked)->zone)), db_double((asked)->threshold)

Err ingest_store_twins(DbTx *tx, Arena *mem, const TwinsAsked *asked, Twins *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, TWINS, DB_ARGS(TWINS_ARGS(asked)), &rows));
    out->count = 0;
    for (int i = 0; i < rows.count; i++)
        read_twin(mem, &rows, i, out);
    return OK;
}

/* The row without a name is what has the same content. */
static const char BY_CONTENT[] =
    "(SELECT id, NULL::text AS name, NULL::float8 AS score, NULL::boolean AS same_day, NULL::boolean AS is_public, "
    "  NULL::text AS submitter_key, NULL::bigint AS submitter_user FROM event "
    "  WHERE dedup_hash = $7 ORDER BY (deleted_at IS NULL) DESC, id LIMIT 1) "
    "UNION ALL (SELECT * FROM (" TWINS_SQL ") t) ORDER BY same_day DESC, score DESC, id";

Err ingest_store_by_content(DbTx *tx, Arena *mem, Slice hash, const TwinsAsked *asked, KnownEvent *out,
                            Twins *out_twins)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, BY_CONTENT, DB_ARGS(TWINS_ARGS(asked), db_bytes(hash)), &rows));
    *out = (KnownEvent){.found = false};
    out_twins->count = 0;
    for (int i = 0; i < rows.count; i++)
        if (db_is_null(&rows, i, 1))
            *out = (KnownEvent){.found = true, .id = db_get_uuid(&rows, i, 0)};
        else
            read_twin(mem, &rows, i, out_twins);
    return OK;
}

static const char PUT_SOURCE[] =
    "INSERT INTO event_source (event_id, source_id, source_event_id, source_url, payload, payload_hash, confidence, "
    "  license, submitter_key, submitter_user, retrieved_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "
    "ON CONFLICT (event_id, source_id, source_event_id) DO UPDATE SET source_url = excluded.source_url, "
    "  payload = excluded.payload, payload_hash = excluded.payload_hash, confidence = excluded.confidence, "
    "  license = excluded.license, submitter_key = excluded.submitter_key, submitter_user = excluded.submitter_user, "
    "  retrieved_at = excluded.retrieved_at";

Err ingest_store_put_source(DbTx *tx, const SourceRow *row, int64_t now_us)
{
    uint8_t hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(hash, (const unsigned char *)row->payload.ptr, row->payload.len);
    return db_exec_later(tx, PUT_SOURCE,
                         DB_ARGS(db_uuid(row->event), db_uuid(row->source), db_text(slice(row->source_event_id)),
                                 db_text(slice(row->url)), db_text(row->payload),
                                 db_bytes(slice_of(hash, sizeof(hash))), db_double(row->confidence),
                                 db_text(slice(row->license)), db_text(slice(row->submitter_key)),
                                 db_int64(row->submitter_user), db_time_us(now_us)));
}
