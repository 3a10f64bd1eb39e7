/* store_provenance: see store_provenance.h. */
#include "services/events/store_provenance.h"

#include "shared/db_later.h"

enum { TRUST_OF_ADMINISTRATION = 11, SUBMISSIONS_MAX = 100 };

static int trust_of(Uuid source, int64_t trust)
{
    return memcmp(source.bytes, ADMINISTRATION_SOURCE.bytes, sizeof(source.bytes)) == 0 ? TRUST_OF_ADMINISTRATION
                                                                                        : (int)trust;
}

#define SAYING_COLUMNS "o.source_id, s.trust, o.confidence, o.observed_at, o.facts, o.chosen"
static void read_saying(Arena *mem, const DbRows *rows, int row, Saying *out)
{
    Uuid source = db_get_uuid(rows, row, 0);

    *out = (Saying){.source = source,
                    .trust = trust_of(source, db_get_int64(rows, row, 1)),
                    .confidence = db_get_double(rows, row, 2),
                    .observed_us = db_get_time_us(rows, row, 3),
                    .facts = slice(db_get_cstr(mem, rows, row, 4)),
                    .chosen = slice(db_get_cstr(mem, rows, row, 5))};
}

static const char SAYINGS[] = "SELECT " SAYING_COLUMNS " FROM observation o JOIN source s ON s.id = o.source_id"
                              " WHERE o.entity_id = $1 AND o.superseded_at IS NULL"
                              " ORDER BY o.chosen <> '' DESC, s.trust DESC, o.observed_at DESC LIMIT $2";

Err events_store_sayings(DbTx *tx, Arena *mem, Uuid entity, Saying **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, SAYINGS, DB_ARGS(db_uuid(entity), db_int64(SAYINGS_MAX)), &rows));
    *out = ARENA_ARRAY(mem, Saying, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_saying(mem, &rows, i, &(*out)[i]);
    *out_count = (size_t)rows.count;
    return OK;
}

static const char TRUST[] = "SELECT trust FROM source WHERE id = $1";

Err events_store_trust(DbTx *tx, Uuid source, int *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, TRUST, DB_ARGS(db_uuid(source)), &rows));
    if (rows.count == 0)
        return err_make(&NOT_FOUND, "there is no such source");
    *out = trust_of(source, db_get_int64(&rows, 0, 0));
    return OK;
}

static const char OBSERVE[] = "INSERT INTO observation (entity_id, source_id, observed_at, confidence, facts, chosen)"
                              " VALUES ($1, $2, $3, $4, $5, $6)";

Err events_store_observe(DbTx *tx, Uuid entity, const Saying *saying)
{
    return db_exec_later(tx, OBSERVE,
                         DB_ARGS(db_uuid(entity), db_uuid(saying->source), db_time_us(saying->observed_us),
                                 db_double(saying->confidence), db_text(saying->facts), db_text(saying->chosen)));
}

static const char SUPERSEDE[] = "UPDATE observation SET superseded_at = $3, chosen = ''"
                                " WHERE entity_id = $1 AND source_id = $2 AND superseded_at IS NULL";

Err events_store_supersede(DbTx *tx, Uuid entity, Uuid source, int64_t now_us)
{
    return db_exec_later(tx, SUPERSEDE, DB_ARGS(db_uuid(entity), db_uuid(source), db_time_us(now_us)));
}

static const char CHOICES[] =
    "UPDATE observation o SET chosen = c.chosen"
    " FROM (SELECT s::uuid AS source_id, chosen FROM unnest($2::text[], $3::text[]) AS u (s, chosen)) c"
    " WHERE o.entity_id = $1 AND o.source_id = c.source_id AND o.superseded_at IS NULL AND o.chosen <> c.chosen";

Err events_store_choices(DbTx *tx, Arena *mem, Uuid entity, const Saying *list, size_t count)
{
    Slice *sources = ARENA_ARRAY(mem, Slice, count + 1), *chosen = ARENA_ARRAY(mem, Slice, count + 1);

    for (size_t i = 0; i < count; i++) {
        sources[i] = slice(uuid_text(mem, list[i].source));
        chosen[i] = list[i].chosen;
    }
    return db_exec_later(tx, CHOICES,
                         DB_ARGS(db_uuid(entity), db_text_array(sources, count), db_text_array(chosen, count)));
}

/* Of a source that speaks of both, what it said of the survivor holds. Nothing of what comes stands: it may fill what
 * is decided later. */
static const char MOVE_SAYINGS[] =
    "WITH gone AS (DELETE FROM observation WHERE entity_id = $1 RETURNING *)"
    " INSERT INTO observation (entity_id, source_id, observed_at, superseded_at, confidence, facts)"
    " SELECT $2, g.source_id, g.observed_at,"
    "   CASE WHEN EXISTS (SELECT FROM observation o WHERE o.entity_id = $2 AND o.source_id = g.source_id"
    "     AND o.superseded_at IS NULL) THEN coalesce(g.superseded_at, $3) ELSE g.superseded_at END,"
    "   g.confidence, g.facts FROM gone g ON CONFLICT DO NOTHING";

Err events_store_move_sayings(DbTx *tx, Uuid from, Uuid to, int64_t now_us)
{
    return db_exec(tx, MOVE_SAYINGS, DB_ARGS(db_uuid(from), db_uuid(to), db_time_us(now_us)));
}

/* --- reading --------------------------------------------------------------------------------------------------------
 */
static const char TOLD[] =
    "SELECT " SAYING_COLUMNS ", s.name, s.type, s.license FROM observation o JOIN source s ON s.id = o.source_id"
    " WHERE o.entity_id = $1 AND o.superseded_at IS NULL ORDER BY o.observed_at DESC LIMIT $2";

Err events_store_told(Request *rq, Uuid entity, Told **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, TOLD, DB_ARGS(db_uuid(entity), db_int64(SAYINGS_MAX)), &rows));
    *out = ARENA_ARRAY(rq->mem, Told, rows.count + 1);
    for (int i = 0; i < rows.count; i++) {
        Told *told = &(*out)[i];

        read_saying(rq->mem, &rows, i, &told->saying);
        told->name = db_get_cstr(rq->mem, &rows, i, 6);
        told->type = db_get_cstr(rq->mem, &rows, i, 7);
        told->license = db_get_cstr(rq->mem, &rows, i, 8);
    }
    *out_count = (size_t)rows.count;
    return OK;
}

static const char SOURCES_OF[] =
    "SELECT s.name, s.type, s.base_url, e.source_url, e.source_event_id, e.license, e.confidence, e.retrieved_at"
    " FROM event_source e JOIN source s ON s.id = e.source_id WHERE e.event_id = $1"
    " ORDER BY e.retrieved_at DESC, e.source_id LIMIT $2";

Err events_store_sources_of(Request *rq, Uuid entity, SourceRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, SOURCES_OF, DB_ARGS(db_uuid(entity), db_int64(SUBMISSIONS_MAX)), &rows));
    *out = ARENA_ARRAY(rq->mem, SourceRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        (*out)[i] = (SourceRow){.name = db_get_cstr(rq->mem, &rows, i, 0),
                                .type = db_get_cstr(rq->mem, &rows, i, 1),
                                .base_url = db_get_cstr(rq->mem, &rows, i, 2),
                                .source_url = db_get_cstr(rq->mem, &rows, i, 3),
                                .source_event_id = db_get_cstr(rq->mem, &rows, i, 4),
                                .license = db_get_cstr(rq->mem, &rows, i, 5),
                                .confidence = db_get_double(&rows, i, 6),
                                .retrieved_us = db_get_time_us(&rows, i, 7)};
    *out_count = (size_t)rows.count;
    return OK;
}
