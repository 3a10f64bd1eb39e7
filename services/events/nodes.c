/* nodes: the registry of other nodes, for administrators (contract section 15.1). */
#include "atrium/events/v1/federation.service.h"
#include "services/events/events.h"
#include "services/events/store_nodes.h"
#include "services/events/wire_time.h"

enum {
    DOMAIN_MAX_BYTES = 260,
    TEXT_MAX_CHARS = 200,
    NOTES_MAX_CHARS = 5000,
    CURSOR_MAX_BYTES = 512,
    TRUST_DEFAULT = 5,
    LIST_DEFAULT = 50,
    LIST_MAX = 200
};

static const char *const STATUSES[] = {"pending", "active", "paused", "blocked"};
static const char *const DIRECTIONS[] = {"bidirectional", "pull_only", "push_only", "disabled"};

static Err no_node(void)
{
    return err_make(&NOT_FOUND, "there is no such node");
}

/* --- what is said of one ----------------------------------------------------------------------------------------- */
/* A host as a URL has it, with a port or without; letters small. */
static bool node_domain_valid(Slice domain)
{
    Slice host, port;
    uint64_t number = 0;

    if (domain.len == 0 || domain.len > DOMAIN_MAX_BYTES)
        return false;
    if (slice_cut(domain, ':', &host, &port) && (!slice_to_uint64(port, &number) || number < 1 || number > 65535))
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool edge = i == 0 || i + 1 == host.len || host.ptr[i - 1] == '.' || host.ptr[i + 1] == '.';

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (!edge && c == '-') ||
              (c == '.' && i > 0 && i + 1 < host.len && host.ptr[i - 1] != '.')))
            return false;
    }
    return host.len > 0;
}

static bool is_http(const char *url)
{
    Slice text = slice(url);

    return text.len <= URL_MAX_BYTES && slice_find_char(text, ' ') < 0 &&
           ((slice_starts_with(text, SLICE_LIT("https://")) && text.len > 8) ||
            (slice_starts_with(text, SLICE_LIT("http://")) && text.len > 7));
}

static void check_text(Request *rq, const char *field, const char *text, size_t most)
{
    if (utf8_length(slice(text)) > most)
        request_add_violation(rq, ATRIUM__PART__BODY, field, "string_too_long", "at most %zu characters", most);
}

static void check_key_ids(Request *rq, const NodeRow *node)
{
    Uuid id;

    if (node->key_count > NODE_KEYS_MAX)
        request_add_violation(rq, ATRIUM__PART__BODY, "key_ids", "too_long", "at most %d keys", NODE_KEYS_MAX);
    for (size_t i = 0; i < node->key_count; i++)
        if (!uuid_parse(node->key_ids[i], &id))
            request_add_violation(rq, ATRIUM__PART__BODY, "key_ids", "value_error", "not the id of a key");
}

/* All that is wrong at once. */
static Err check(Request *rq, const NodeRow *node)
{
    const struct {
        const char *field, *text;
        size_t most;
    } texts[] = {{"node_name", node->name, TEXT_MAX_CHARS},
                 {"api_version", node->api_version, TEXT_MAX_CHARS},
                 {"geographic_scope", node->geographic_scope, TEXT_MAX_CHARS},
                 {"contact_email", node->contact_email, TEXT_MAX_CHARS},
                 {"contact_name", node->contact_name, TEXT_MAX_CHARS},
                 {"sync_cursor", node->sync_cursor, CURSOR_MAX_BYTES},
                 {"notes", node->notes, NOTES_MAX_CHARS}};

    if (!node_domain_valid(slice(node->domain)))
        request_add_violation(rq, ATRIUM__PART__BODY, "node_domain", "value_error", "a host, with its port or without");
    if (!*node->name)
        request_add_violation(rq, ATRIUM__PART__BODY, "node_name", "missing", "required");
    if (!is_http(node->base_url))
        request_add_violation(rq, ATRIUM__PART__BODY, "base_url", "value_error", "an absolute URL of http or https");
    if (!word_is_among(node->status, STATUSES, ARRAY_LEN(STATUSES)))
        request_add_violation(rq, ATRIUM__PART__BODY, "federation_status", "enum",
                              "pending, active, paused or blocked");
    if (!word_is_among(node->sync_direction, DIRECTIONS, ARRAY_LEN(DIRECTIONS)))
        request_add_violation(rq, ATRIUM__PART__BODY, "sync_direction", "enum",
                              "bidirectional, pull_only, push_only or disabled");
    if (node->trust_level < 1 || node->trust_level > 10)
        request_add_violation(rq, ATRIUM__PART__BODY, "trust_level", "out_of_range", "1 to 10");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        check_text(rq, texts[i].field, texts[i].text, texts[i].most);
    check_key_ids(rq, node);
    return request_has_violations(rq) ? err_make(&INVALID_ARGUMENT, "the node cannot be registered so") : OK;
}

static void take_text(const char *given, const char **field)
{
    if (given)
        *field = given;
}

static char *small_letters(Arena *mem, const char *text)
{
    char *out = arena_strdup(mem, text);

    for (char *c = out; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return out;
}

/* What `in` says, over what is there. */
static void take(Request *rq, const Events__V1__FederationNode *in, NodeRow *node)
{
    Slice *keys;

    if (in->node_domain)
        node->domain = small_letters(rq->mem, in->node_domain);
    take_text(in->node_name, &node->name);
    take_text(in->base_url, &node->base_url);
    take_text(in->api_version, &node->api_version);
    take_text(in->geographic_scope, &node->geographic_scope);
    take_text(in->federation_status, &node->status);
    take_text(in->sync_direction, &node->sync_direction);
    take_text(in->sync_cursor, &node->sync_cursor);
    take_text(in->contact_email, &node->contact_email);
    take_text(in->contact_name, &node->contact_name);
    take_text(in->notes, &node->notes);
    node->trust_level = in->has_trust_level ? in->trust_level : node->trust_level;
    node->sync_enabled = in->has_sync_enabled ? in->sync_enabled : node->sync_enabled;
    node->requires_auth = in->has_requires_auth ? in->requires_auth : node->requires_auth;
    if (!in->n_key_ids)
        return;
    keys = ARENA_ARRAY(rq->mem, Slice, in->n_key_ids);
    for (size_t i = 0; i < in->n_key_ids; i++)
        keys[i] = slice(in->key_ids[i]);
    node->key_ids = keys;
    node->key_count = in->n_key_ids;
}

/* --- as the wire has it ------------------------------------------------------------------------------------------ */
static void tell(Arena *mem, const NodeRow *n, Events__V1__FederationNode *out)
{
    out->id = uuid_text(mem, n->id);
    out->node_domain = arena_strdup(mem, n->domain);
    out->node_name = arena_strdup(mem, n->name);
    out->base_url = arena_strdup(mem, n->base_url);
    out->api_version = arena_strdup(mem, n->api_version);
    out->geographic_scope = arena_strdup(mem, n->geographic_scope);
    SET(out, trust_level, (int32_t)n->trust_level);
    out->federation_status = arena_strdup(mem, n->status);
    SET(out, sync_enabled, n->sync_enabled);
    out->sync_direction = arena_strdup(mem, n->sync_direction);
    out->last_sync_at = wire_time(mem, n->last_sync_us);
    out->last_successful_sync_at = wire_time(mem, n->last_success_us);
    out->sync_cursor = arena_strdup(mem, n->sync_cursor);
    SET(out, requires_auth, n->requires_auth);
    out->contact_email = arena_strdup(mem, n->contact_email);
    out->contact_name = arena_strdup(mem, n->contact_name);
    SET(out, is_online, n->online);
    out->last_health_check_at = wire_time(mem, n->last_health_us);
    out->last_error_at = wire_time(mem, n->last_error_us);
    out->last_error_message = arena_strdup(mem, n->last_error);
    out->notes = arena_strdup(mem, n->notes);
    out->created_at = wire_time(mem, n->created_us);
    out->updated_at = wire_time(mem, n->updated_us);
    out->n_key_ids = n->key_count;
    out->key_ids = ARENA_ARRAY(mem, char *, n->key_count + 1);
    for (size_t i = 0; i < n->key_count; i++)
        out->key_ids[i] = slice_cstr(mem, n->key_ids[i]);
}

/* --- the rpcs ---------------------------------------------------------------------------------------------------- */
static Err taken(const DbTx *tx, Err e)
{
    if (err_failed(e) && db_violated(tx, "federation_node_domain_key"))
        return err_make(&DUPLICATE, "there is a node of this domain already");
    return e;
}

Err events_v1_create_node(Request *rq, const Events__V1__FederationNode *in, Events__V1__FederationNode *out)
{
    const Events *events = rq->service;
    CLEANUP(db_tx_done) DbTx tx = {0};
    int64_t now_us = clock_unix_us(rq->clock);
    NodeRow node = {.id = uuid_v7(events->ids),
                    .domain = "",
                    .name = "",
                    .base_url = "",
                    .api_version = "v1",
                    .geographic_scope = "",
                    .status = "",
                    .sync_direction = "",
                    .sync_cursor = "",
                    .contact_email = "",
                    .contact_name = "",
                    .last_error = "",
                    .notes = "",
                    .trust_level = TRUST_DEFAULT,
                    .sync_enabled = true,
                    .requires_auth = true,
                    .created_us = now_us,
                    .updated_us = now_us};

    take(rq, in, &node);
    TRY(check(rq, &node));
    TRY(db_tx_begin(rq, &tx));
    TRY(events_store_former_node(&tx, node.domain, &node.id));
    TRY(taken(&tx, events_store_insert_node(&tx, &node)));
    TRY(events_store_trust_node(&tx, node.id, node.trust_level));
    TRY(db_tx_commit(&tx));
    tell(rq->mem, &node, out);
    request_set_header(rq, "Location", arena_printf(rq->mem, "/api/v1/admin/federation/nodes/%s", out->id));
    return OK;
}

static Err find(Request *rq, DbTx *tx, const char *id, NodeRow *out)
{
    Uuid uuid;

    if (!uuid_parse(slice(id), &uuid))
        return err_make(&INVALID_ID, "id: not a UUID");
    TRY(events_store_node(rq, tx, uuid, out));
    return uuid_is_nil(out->id) ? no_node() : OK;
}

Err events_v1_get_node(Request *rq, const Events__V1__NodeId *in, Events__V1__FederationNode *out)
{
    NodeRow node;

    TRY(find(rq, NULL, in->id, &node));
    tell(rq->mem, &node, out);
    return OK;
}

Err events_v1_update_node(Request *rq, const Events__V1__FederationNode *in, Events__V1__FederationNode *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    NodeRow node;

    TRY(db_tx_begin(rq, &tx));
    TRY(find(rq, &tx, in->id, &node));
    take(rq, in, &node);
    TRY(check(rq, &node));
    node.updated_us = clock_unix_us(rq->clock);
    TRY(taken(&tx, events_store_update_node(&tx, &node)));
    TRY(events_store_trust_node(&tx, node.id, node.trust_level));
    TRY(db_tx_commit(&tx));
    tell(rq->mem, &node, out);
    return OK;
}

Err events_v1_delete_node(Request *rq, const Events__V1__NodeId *in, Events__V1__NodeDeleted *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    bool found;
    Uuid id;

    (void)out;
    if (!uuid_parse(slice(in->id), &id))
        return err_make(&INVALID_ID, "id: not a UUID");
    TRY(db_tx_begin(rq, &tx));
    TRY(events_store_delete_node(&tx, id, &found));
    if (!found)
        return no_node();
    return db_tx_commit(&tx);
}

Err events_v1_list_nodes(Request *rq, const Events__V1__ListNodesRequest *in, Events__V1__ListNodesReply *out)
{
    const char *status = in->status ? in->status : "";
    int64_t limit = in->has_limit ? in->limit : LIST_DEFAULT;
    Uuid after = {{0}};
    NodeRow *list;
    size_t count;

    if (limit < 1 || limit > LIST_MAX)
        return err_make(&INVALID_ARGUMENT, "limit: 1 to %d", LIST_MAX);
    if (*status && !word_is_among(status, STATUSES, ARRAY_LEN(STATUSES)))
        return err_make(&INVALID_ARGUMENT, "status: pending, active, paused or blocked");
    if (in->after && *in->after && !uuid_parse(slice(in->after), &after))
        return err_make(&INVALID_ARGUMENT, "after: none of this list");
    TRY(events_store_nodes(rq, status, after, limit + 1, &list, &count));
    out->n_items = MIN(count, (size_t)limit);
    out->items = ARENA_ARRAY(rq->mem, Events__V1__FederationNode *, count + 1);
    for (size_t i = 0; i < out->n_items; i++) {
        out->items[i] = MESSAGE_NEW(rq->mem, Events__V1__FederationNode, events__v1__federation_node__init);
        tell(rq->mem, &list[i], out->items[i]);
    }
    if (count > (size_t)limit)
        out->next_cursor = uuid_text(rq->mem, list[limit - 1].id);
    return OK;
}
