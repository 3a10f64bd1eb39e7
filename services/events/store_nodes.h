/* store_nodes: the nodes of the federation, and what came from them. */
#pragma once
#include "shared/rpc.h"

enum { NODE_KEYS_MAX = 20 };

/* Texts are never NULL; times are 0 when there is none. */
typedef struct NodeRow {
    Uuid id; /* nil: there is none */
    const char *domain, *name, *base_url, *api_version, *geographic_scope, *status, *sync_direction, *sync_cursor;
    const char *contact_email, *contact_name, *last_error, *notes;
    int64_t trust_level;
    bool sync_enabled, requires_auth, online;
    int64_t last_sync_us, last_success_us, last_health_us, last_error_us, created_us, updated_us;
    const Slice *key_ids; /* UUIDs as text */
    size_t key_count;
} NodeRow;

/* CONFLICT by db_violated(tx, "federation_node_domain_key"). */
Err events_store_insert_node(DbTx *tx, const NodeRow *node) MUST_CHECK;
Err events_store_update_node(DbTx *tx, const NodeRow *node) MUST_CHECK;
/* Its id is kept for its domain. */
Err events_store_delete_node(DbTx *tx, Uuid id, bool *out_found) MUST_CHECK;
/* The id that a deleted node of this domain had; else `*id` stays. */
Err events_store_former_node(DbTx *tx, const char *domain, Uuid *id) MUST_CHECK;
/* The node's source is trusted so; where that is another trust, its events are decided anew. */
Err events_store_trust_node(DbTx *tx, Uuid id, int64_t trust) MUST_CHECK;
/* With a transaction: locked. A nil id in `out`: there is none. Borrowed from rq->mem. */
Err events_store_node(Request *rq, DbTx *tx, Uuid id, NodeRow *out) MUST_CHECK;
Err events_store_node_by_domain(DbTx *tx, Arena *mem, const char *domain, NodeRow *out) MUST_CHECK;
/* Oldest first, behind `after` unless nil; "" any status. */
Err events_store_nodes(Request *rq, const char *status, Uuid after, int64_t limit, NodeRow **out,
                       size_t *out_count) MUST_CHECK;

/* An event of another node, as it is here. */
typedef struct CopyRow {
    bool known;
    Uuid event;
    int64_t modified_us;
} CopyRow;
Err events_store_copy(DbTx *tx, const char *uri, CopyRow *out) MUST_CHECK;
typedef struct PutCopy {
    const char *uri;
    Uuid node, event;
    bool own; /* the event is from this node: its changes are told as such */
    int64_t modified_us;
} PutCopy;
/* And the node was in touch. */
Err events_store_put_copy(DbTx *tx, const PutCopy *copy, int64_t now_us) MUST_CHECK;
/* What the node has said of an event that is not from it, under this URI, counts no more. */
Err events_store_leave(DbTx *tx, Uuid event, Uuid node, const char *uri, int64_t now_us) MUST_CHECK;
