/* store_nodes: see store_nodes.h. */
#include "services/events/store_nodes.h"

#define NODE_COLUMNS                                                                                                   \
    "id, domain, name, base_url, api_version, geographic_scope, trust_level, status, sync_enabled, sync_direction,"    \
    " last_sync_at, last_success_at, sync_cursor, requires_auth, contact_email, contact_name, online, last_health_at," \
    " last_error_at, last_error, notes, created_at, updated_at, cardinality(key_ids), array_to_string(key_ids, ',')"

static void read_node(Arena *mem, const DbRows *rows, int row, NodeRow *out)
{
    size_t count = (size_t)db_get_int64(rows, row, 23);
    Slice *keys = ARENA_ARRAY(mem, Slice, count + 1), rest = slice(db_get_cstr(mem, rows, row, 24));

    for (size_t i = 0; i < count; i++)
        (void)slice_cut(rest, ',', &keys[i], &rest);
    *out = (NodeRow){.id = db_get_uuid(rows, row, 0),
                     .domain = db_get_cstr(mem, rows, row, 1),
                     .name = db_get_cstr(mem, rows, row, 2),
                     .base_url = db_get_cstr(mem, rows, row, 3),
                     .api_version = db_get_cstr(mem, rows, row, 4),
                     .geographic_scope = db_get_cstr(mem, rows, row, 5),
                     .trust_level = db_get_int64(rows, row, 6),
                     .status = db_get_cstr(mem, rows, row, 7),
                     .sync_enabled = db_get_bool(rows, row, 8),
                     .sync_direction = db_get_cstr(mem, rows, row, 9),
                     .last_sync_us = db_get_time_us(rows, row, 10),
                     .last_success_us = db_get_time_us(rows, row, 11),
                     .sync_cursor = db_get_cstr(mem, rows, row, 12),
                     .requires_auth = db_get_bool(rows, row, 13),
                     .contact_email = db_get_cstr(mem, rows, row, 14),
                     .contact_name = db_get_cstr(mem, rows, row, 15),
                     .online = db_get_bool(rows, row, 16),
                     .last_health_us = db_get_time_us(rows, row, 17),
                     .last_error_us = db_get_time_us(rows, row, 18),
                     .last_error = db_get_cstr(mem, rows, row, 19),
                     .notes = db_get_cstr(mem, rows, row, 20),
                     .created_us = db_get_time_us(rows, row, 21),
                     .updated_us = db_get_time_us(rows, row, 22),
                     .key_ids = keys,
                     .key_count = count};
}

/* What an administrator says of a node, from $3 on. */
#define NODE_ARGS(n)                                                                                                   \
    db_text(slice((n)->domain)), db_text(slice((n)->name)), db_text(slice((n)->base_url)),                             \
        db_text(slice((n)->api_version)), db_text(slice((n)->geographic_scope)), db_int64((n)->trust_level),           \
        db_text(slice((n)->status)), db_bool((n)->sync_enabled), db_text(slice((n)->sync_direction)),                  \
        db_bool((n)->requires_auth), db_text(slice((n)->contact_email)), db_text(slice((n)->contact_name)),            \
        db_text(slice((n)->notes)), db_text_array((n)->key_ids, (n)->key_count), db_text(slice((n)->sync_cursor))

static const char INSERT_NODE[] =
    "INSERT INTO federation_node (id, created_at, updated_at, domain, name, base_url, api_version, geographic_scope,"
    " trust_level, status, sync_enabled, sync_direction, requires_auth, contact_email, contact_name, notes, key_ids,"
    " sync_cursor) VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16::uuid[], $17)";

Err events_store_insert_node(DbTx *tx, const NodeRow *node)
{
    return db_exec(tx, INSERT_NODE, DB_ARGS(db_uuid(node->id), db_time_us(node->created_us), NODE_ARGS(node)));
}

static const char UPDATE_NODE[] =
    "UPDATE federation_node SET updated_at = $2, domain = $3, name = $4, base_url = $5, api_version = $6,"
    " geographic_scope = $7, trust_level = $8, status = $9, sync_enabled = $10, sync_direction = $11,"
    " requires_auth = $12, contact_email = $13, contact_name = $14, notes = $15, key_ids = $16::uuid[],"
    " sync_cursor = $17 WHERE id = $1";

Err events_store_update_node(DbTx *tx, const NodeRow *node)
{
    return db_exec(tx, UPDATE_NODE, DB_ARGS(db_uuid(node->id), db_time_us(node->updated_us), NODE_ARGS(node)));
}

static const char DELETE_NODE[] = "WITH gone AS (DELETE FROM federation_node WHERE id = $1 RETURNING id, domain)"
                                  " INSERT INTO federation_domain (domain, node_id) SELECT domain, id FROM gone"
                                  " ON CONFLICT (domain) DO UPDATE SET node_id = excluded.node_id";

Err events_store_delete_node(DbTx *tx, Uuid id, bool *out_found)
{
    int64_t count;

    TRY(db_exec_count(tx, DELETE_NODE, DB_ARGS(db_uuid(id)), &count));
    *out_found = count > 0;
    return OK;
}

static const char FORMER_NODE[] = "SELECT node_id FROM federation_domain d WHERE domain = $1"
                                  " AND NOT EXISTS (SELECT FROM federation_node n WHERE n.id = d.node_id)";

Err events_store_former_node(DbTx *tx, const char *domain, Uuid *id)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, FORMER_NODE, DB_ARGS(db_text(slice(domain))), &rows));
    if (rows.count)
        *id = db_get_uuid(&rows, 0, 0);
    return OK;
}

static const char TRUST_NODE[] =
    "WITH changed AS (UPDATE source SET trust = $2::int8::int WHERE key_id = $1::uuid::text AND type = 'federation'"
    "   AND trust <> $2 RETURNING id)"
    " INSERT INTO trust_change (source_id) SELECT id FROM changed"
    " ON CONFLICT (source_id) DO UPDATE SET after_id = '00000000-0000-0000-0000-000000000000'";

Err events_store_trust_node(DbTx *tx, Uuid id, int64_t trust)
{
    return db_exec(tx, TRUST_NODE, DB_ARGS(db_uuid(id), db_int64(trust)));
}

static const char FIND_NODE[] = "SELECT " NODE_COLUMNS " FROM federation_node WHERE id = $1";
static const char LOCK_NODE[] = "SELECT " NODE_COLUMNS " FROM federation_node WHERE id = $1 FOR UPDATE";

Err events_store_node(Request *rq, DbTx *tx, Uuid id, NodeRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out = (NodeRow){.domain = NULL};
    if (tx)
        TRY(db_query(tx, LOCK_NODE, DB_ARGS(db_uuid(id)), &rows));
    else
        TRY(db_read(rq, FIND_NODE, DB_ARGS(db_uuid(id)), &rows));
    if (rows.count)
        read_node(rq->mem, &rows, 0, out);
    return OK;
}

static const char FIND_BY_DOMAIN[] = "SELECT " NODE_COLUMNS " FROM federation_node WHERE domain = $1";

Err events_store_node_by_domain(DbTx *tx, Arena *mem, const char *domain, NodeRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    *out = (NodeRow){.domain = NULL};
    TRY(db_query(tx, FIND_BY_DOMAIN, DB_ARGS(db_text(slice(domain))), &rows));
    if (rows.count)
        read_node(mem, &rows, 0, out);
    return OK;
}

/* Ids are of their time. */
static const char LIST_NODES[] =
    "SELECT " NODE_COLUMNS " FROM federation_node WHERE ($1 = '' OR status = $1) AND id > $2"
    " ORDER BY id LIMIT $3";

Err events_store_nodes(Request *rq, const char *status, Uuid after, int64_t limit, NodeRow **out, size_t *out_count)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_read(rq, LIST_NODES, DB_ARGS(db_text(slice(status)), db_uuid(after), db_int64(limit)), &rows));
    *out = ARENA_ARRAY(rq->mem, NodeRow, rows.count + 1);
    for (int i = 0; i < rows.count; i++)
        read_node(rq->mem, &rows, i, *out + i);
    *out_count = (size_t)rows.count;
    return OK;
}

/* Copies go with their node; what came from it stays, and is known by its address. */
static const char FIND_COPY[] =
    "(SELECT event_id, modified_at FROM federation_copy WHERE uri = $1) UNION ALL"
    " (SELECT id, timestamptz 'epoch' + source_us * interval '1 microsecond' FROM event WHERE federation_uri = $1)"
    " LIMIT 1";

Err events_store_copy(DbTx *tx, const char *uri, CopyRow *out)
{
    CLEANUP(db_rows_done) DbRows rows = {0};

    TRY(db_query(tx, FIND_COPY, DB_ARGS(db_text(slice(uri))), &rows));
    *out = (CopyRow){.known = rows.count > 0};
    if (rows.count) {
        out->event = db_get_uuid(&rows, 0, 0);
        out->modified_us = db_get_time_us(&rows, 0, 1);
    }
    return OK;
}

/* Changes of this transaction alone: the first was recorded before anybody knew where the event is from. */
static const char PUT_COPY[] =
    "WITH node AS (UPDATE federation_node SET last_sync_at = $5, last_success_at = $5, online = true WHERE id = $2),"
    " told AS (UPDATE change SET federation_uri = $1 WHERE entity_id = $3 AND sequence IS NULL AND $6"
    "   AND xmin = pg_current_xact_id()::xid)"
    " INSERT INTO federation_copy (uri, node_id, event_id, modified_at, received_at) VALUES ($1, $2, $3, $4, $5)"
    " ON CONFLICT (uri) DO UPDATE SET node_id = excluded.node_id, event_id = excluded.event_id,"
    " modified_at = excluded.modified_at, received_at = excluded.received_at";

Err events_store_put_copy(DbTx *tx, const PutCopy *copy, int64_t now_us)
{
    return db_exec(tx, PUT_COPY,
                   DB_ARGS(db_text(slice(copy->uri)), db_uuid(copy->node), db_uuid(copy->event),
                           db_time_us(copy->modified_us), db_time_us(now_us), db_bool(copy->own)));
}

/* Sources of nodes have the node's id for a key (sync.c). */
static const char LEAVE[] =
    "WITH src AS (SELECT id FROM source WHERE key_id = $2::uuid::text),"
    " gone AS (DELETE FROM event_source s USING src WHERE s.source_id = src.id AND s.event_id = $1"
    "   AND s.source_event_id = $3)"
    " UPDATE observation o SET superseded_at = $4 FROM src WHERE o.source_id = src.id AND o.entity_id = $1"
    "   AND o.superseded_at IS NULL";

Err events_store_leave(DbTx *tx, Uuid event, Uuid node, const char *uri, int64_t now_us)
{
    return db_exec(tx, LEAVE, DB_ARGS(db_uuid(event), db_uuid(node), db_text(slice(uri)), db_time_us(now_us)));
}
