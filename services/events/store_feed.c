/* store_feed: see store_feed.h. */
#include "services/events/store_feed.h"

#include "shared/db_later.h"

static const char RECORD_CHANGE[] =
    "WITH c AS ("
    "  INSERT INTO change (id, entity, entity_id, path, action, entry, snapshot, federation_uri, changed_at, domain,"
    "   keywords, latitude, longitude) VALUES ($6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
    "   ARRAY(SELECT fold(k) FROM unnest($16) AS k), $17, $18)"
    ") INSERT INTO outbox (id, key, subject, ce_type, payload) VALUES ($1, $2, $3, $4, $5)";

Err events_store_record_change(DbTx *tx, const NewChange *row, const OutboxRow *announce)
{
    const FeedChange *c = row->change;

    return db_exec_later(
        tx, RECORD_CHANGE,
        DB_ARGS(OUTBOX_ARGS(announce), db_uuid(row->id), db_text(slice(feed_entity_name(c->entity))), db_uuid(c->id),
                db_text(slice(row->path)), db_text(slice(row->action)), db_text(row->entry), db_text(c->snapshot),
                db_text(slice(c->federation_uri ? c->federation_uri : "")), db_time_us(c->at_us),
                db_text(slice(c->domain ? c->domain : "")), db_text_array(c->keywords, c->keyword_count),
                c->located ? db_double(c->latitude) : db_null(), c->located ? db_double(c->longitude) : db_null()));
}

/* --- numbering --------------------------------------------------------------------------------------------------- */
/* Under the lock, so that the statement's snapshot has all that was numbered before. */
static const char NUMBER_CHANGES[] =
    "WITH fresh AS MATERIALIZED ("
    "  SELECT id, row_number() OVER (ORDER BY pos) AS n FROM change WHERE sequence IS NULL ORDER BY pos LIMIT $1"
    "), moved AS ("
    "  UPDATE feed_head SET last = last + (SELECT count(*) FROM fresh) WHERE EXISTS (SELECT FROM fresh) RETURNING last"
    "), numbered AS ("
    "  UPDATE change c SET sequence = moved.last - (SELECT count(*) FROM fresh) + fresh.n FROM fresh, moved"
    "  WHERE c.id = fresh.id RETURNING 1"
    ") SELECT count(*) FROM numbered";

Err events_store_number_changes(Db *db, int64_t timeout_ms, int64_t limit, int64_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin_with(db, timeout_ms, &tx));
    TRY(db_lock(&tx, "feed", SLICE_LIT("sequence")));
    TRY(db_query(&tx, NUMBER_CHANGES, DB_ARGS(db_int64(limit)), &rows));
    TRY(db_tx_commit(&tx));
    *out_count = db_get_int64(&rows, 0, 0);
    return OK;
}

/* --- telling ----------------------------------------------------------------------------------------------------- */
/* Whether somebody with rights in the event of the row `c` wants it hidden. One look by key for each row: a join might
 * be planned as a walk through all events. */
#define WITHHELD(c)                                                                                                    \
    "coalesce(CASE WHEN " c ".entity = 'event' THEN"                                                                   \
    " (SELECT e.takedown_at IS NOT NULL FROM event e WHERE e.id = " c ".entity_id) END, false)"

/* (SELECT $n), here and below: what is not known is not worth planning for each time. */
/* Under a lock as above. What a webhook is sent is the entry as feed_write_entry has it, with the document. */
static const char TELL_CHANGES[] =
    "WITH fresh AS MATERIALIZED ("
    "  SELECT c.*, " WITHHELD(
        "c") " AS withheld FROM feed_head h CROSS JOIN LATERAL ("
             "    SELECT * FROM change WHERE sequence > h.told ORDER BY sequence LIMIT (SELECT $1::bigint)) AS c"
             "), moved AS ("
             "  UPDATE feed_head SET told = (SELECT max(sequence) FROM fresh) WHERE EXISTS (SELECT FROM fresh) "
             "RETURNING 1"
             "), told AS ("
             "  INSERT INTO webhook_delivery (id, webhook_id, message_id, type, body)"
             "  SELECT gen_random_uuid(), w.id, n.id::text, kind.type, '{\"type\":\"' || kind.type || "
             "'\",\"timestamp\":\"' ||"
             "   to_char(n.changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') ||"
             "   '\",\"data\":{\"sequence_number\":' || n.sequence || ',' || n.entry || ',\"uri\":\"' || uri.own ||"
             "   '\",\"federation_uri\":' || CASE WHEN n.federation_uri = '' THEN '\"' || uri.own || '\"'"
             "     ELSE to_json(n.federation_uri)::text END ||"
             "   CASE WHEN n.action = 'delete' THEN ',\"tombstone\":' || n.snapshot"
             "     WHEN n.withheld THEN ',\"snapshot\":null' ELSE ',\"snapshot\":' || n.snapshot END || '}}'"
             "  FROM fresh n"
             "  CROSS JOIN LATERAL (SELECT 'events.' || n.entity || '.' || n.action || 'd' AS type) AS kind"
             "  CROSS JOIN LATERAL (SELECT $2 || '/' || n.path AS own) AS uri"
             "  JOIN webhook w ON w.enabled AND (cardinality(w.types) = 0 OR kind.type = ANY (w.types))"
             "  LEFT JOIN webhook_filter f ON f.webhook_id = w.id"
             "  WHERE f.webhook_id IS NULL OR ("
             "   (cardinality(f.domains) = 0 OR n.domain = ANY (f.domains))"
             "   AND (cardinality(f.keywords) = 0 OR n.keywords && f.keywords)"
             "   AND (f.west IS NULL OR (n.latitude BETWEEN f.south AND f.north AND CASE WHEN f.west <= f.east"
             "     THEN n.longitude BETWEEN f.west AND f.east ELSE n.longitude >= f.west OR n.longitude <= f.east "
             "END)))"
             "  ORDER BY n.sequence RETURNING 1"
             ") SELECT (SELECT count(*) FROM fresh), (SELECT count(*) FROM told)";

Err events_store_tell_changes(Db *db, int64_t timeout_ms, const char *base_url, int64_t limit, int64_t *out_count,
                              int64_t *out_told)
{
    CLEANUP(db_rows_done) DbRows rows = {0};
    CLEANUP(db_tx_done) DbTx tx = {0};

    TRY(db_tx_begin_with(db, timeout_ms, &tx));
    TRY(db_lock(&tx, "feed", SLICE_LIT("told")));
    TRY(db_query(&tx, TELL_CHANGES, DB_ARGS(db_int64(limit), db_text(slice(base_url))), &rows));
    TRY(db_tx_commit(&tx));
    *out_count = db_get_int64(&rows, 0, 0);
    *out_told = db_get_int64(&rows, 0, 1);
    return OK;
}

/* The document is the last member of the body. */
static const char WITHHOLD[] =
    "UPDATE webhook_delivery d SET body = left(d.body, -length(c.snapshot || '}}')) || 'null}}' FROM change c"
    " WHERE c.entity_id = $1 AND c.entity = 'event' AND c.action <> 'delete' AND d.message_id = c.id::text"
    " AND right(d.body, length(c.snapshot || '}}')) = c.snapshot || '}}'";

Err events_store_withhold(DbTx *tx, Uuid event)
{
    return db_exec(tx, WITHHOLD, DB_ARGS(db_uuid(event)));
}

/* --- reading ----------------------------------------------------------------------------------------------------- */
/* One row without a change when there is none behind the position. How long a text is, is known without reading it:
 * what does not fit is not read. The first always comes. */
static const char CHANGES[] =
    "SELECT h.last, c.sequence, c.entity, c.path, c.action, c.entry, c.snapshot, c.federation_uri, c.withheld, c.found"
    " FROM feed_head h LEFT JOIN LATERAL ("
    "  SELECT s.*, count(*) OVER () AS found, sum(s.bytes) OVER (ORDER BY s.sequence) - s.bytes AS before FROM ("
    "   SELECT r.*, octet_length(r.entry) + octet_length(r.shown) AS bytes, r.shown AS snapshot FROM ("
    "    SELECT b.sequence, b.entity, b.path, b.action, b.entry, b.federation_uri, b.withheld,"
    "     CASE WHEN b.action = 'delete' THEN b.snapshot WHEN NOT $5 THEN '' WHEN b.withheld THEN 'null'"
    "      ELSE b.snapshot END AS shown FROM ("
    "     SELECT c.*, CASE WHEN $5 THEN " WITHHELD(
        "c") " ELSE false END AS withheld FROM change c"
             "     WHERE c.sequence > (SELECT $1::bigint) AND c.sequence <= (SELECT $6::bigint) AND ((SELECT $3::text) "
             "= '' "
             "OR c.action = (SELECT $3::text)) AND ((SELECT $4::text) = '' OR c.entity = (SELECT $4::text))"
             "     ORDER BY c.sequence LIMIT (SELECT $2::bigint)) AS b) AS r) AS s"
             "  ) c ON c.before < (SELECT $7::bigint) ORDER BY c.sequence";

static FeedEntity entity_of(Slice name)
{
    for (int e = 0; e < FEED_ENTITY_COUNT; e++)
        if (slice_eq_cstr(name, feed_entity_name((FeedEntity)e)))
            return (FeedEntity)e;
    return FEED_EVENT;
}

static Slice copy(Arena *mem, Slice s)
{
    return slice_of(arena_memdup(mem, s.ptr, s.len), s.len);
}

static void read_page(Arena *mem, const DbRows *rows, int64_t until, int64_t limit, ChangePage *out)
{
    *out = (ChangePage){.head = db_get_int64(rows, 0, 0), .rows = ARENA_ARRAY(mem, ChangeRow, rows->count + 1)};
    for (int i = 0; i < rows->count && !db_is_null(rows, i, 1); i++)
        out->rows[out->count++] = (ChangeRow){.sequence = db_get_int64(rows, i, 1),
                                              .entity = entity_of(db_get_text(rows, i, 2)),
                                              .path = db_get_cstr(mem, rows, i, 3),
                                              .action = db_get_cstr(mem, rows, i, 4),
                                              .entry = copy(mem, db_get_text(rows, i, 5)),
                                              .snapshot = copy(mem, db_get_text(rows, i, 6)),
                                              .federation_uri = copy(mem, db_get_text(rows, i, 7)),
                                              .withheld = db_get_bool(rows, i, 8)};
    out->cut = out->count && db_get_int64(rows, 0, 9) > (int64_t)out->count;
    out->reached = out->count && (out->cut || (int64_t)out->count == limit) ? out->rows[out->count - 1].sequence
                                                                            : MIN(out->head, until);
}

#define CHANGES_ARGS(filter, position, limit, until)                                                                   \
    DB_ARGS(db_int64(position), db_int64(limit), db_text(slice((filter)->action)), db_text(slice((filter)->entity)),   \
            db_bool((filter)->snapshots), db_int64(until), db_int64(CHANGES_MAX_BYTES))

Err events_store_changes(Request *rq, const FeedFilter *filter, int64_t position, int64_t limit, ChangePage *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, CHANGES, CHANGES_ARGS(filter, position, limit, INT64_MAX), &rows));
    read_page(rq->mem, &rows, INT64_MAX, limit, out);
    return OK;
}

Err events_store_changes_with(Db *db, int64_t timeout_ms, Arena *mem, const FeedFilter *filter, int64_t position,
                              int64_t limit, int64_t until, ChangePage *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read_with(db, timeout_ms, CHANGES, CHANGES_ARGS(filter, position, limit, until), &rows));
    read_page(mem, &rows, until, limit, out);
    return OK;
}

/* Times are the writers', and numbers those of their commits: a little out of order. */
static const char POSITION_AT[] =
    "SELECT coalesce((SELECT min(s.sequence) - 1 FROM (SELECT sequence FROM change WHERE changed_at >= $1"
    "  AND sequence IS NOT NULL ORDER BY changed_at LIMIT 1000) AS s), last) FROM feed_head";

Err events_store_position_at(Request *rq, int64_t unix_us, int64_t *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, POSITION_AT, DB_ARGS(db_time_us(unix_us)), &rows));
    *out = db_get_int64(&rows, 0, 0);
    return OK;
}

static const char HEAD[] = "SELECT last FROM feed_head";

Err events_store_head(Request *rq, int64_t *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, HEAD, DB_NO_ARGS, &rows));
    *out = db_get_int64(&rows, 0, 0);
    return OK;
}
