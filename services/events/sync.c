/* sync: events that other nodes send (contract section 15.2). One is read as JSON-LD, judged (who speaks for its URI,
 * is it newer than what is here, is it ours come back), and goes on as a submission of that node: its own id is the
 * source's. */
#include <jansson.h>

#include "atrium/events/v1/federation.service.h"
#include "services/events/admin_events.h"
#include "services/events/batch.h"
#include "services/events/ingest.h"
#include "services/events/reading.h"
#include "services/events/replay.h"
#include "services/events/store_nodes.h"
#include "services/events/submissions.h"
#include "services/events/text.h"

enum {
    ITEMS_MAX = 100,
    REPLY_MAX_BYTES = 1024 * 1024,
    URI_SHOWN_BYTES = 200,
    NEST_MAX = 16,
    ITEM_MAX_BYTES = 256 * 1024
};

static void free_json(json_t *json)
{
    json_decref(json);
}
CLEANUP_FN(json_t, free_json)

/* One event, as it came. Texts are borrowed from `body`. */
typedef struct Incoming {
    json_t *body;
    const char *uri;
    int64_t modified_us; /* 0: it does not say */
    bool tombstone;
    const char *reason; /* of a tombstone, clean; "" none */
    NodeRow node;
} Incoming;

typedef struct Synced {
    Uuid event;
    bool created;
} Synced;

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

/* --- what it is -------------------------------------------------------------------------------------------------- */
static Err wrong(Request *rq, const char *field, const char *text)
{
    request_add_violation(rq, ATRIUM__PART__BODY, field, "value_error", "%s", text);
    return err_make(&INVALID_ARGUMENT, "%s: %s", field, text);
}

static int64_t time_of(const json_t *object, const char *name)
{
    int64_t unix_s;
    int32_t nanos;

    return time_parse(slice(text_of(object, name)), &unix_s, &nanos) ? unix_s * 1000000 + nanos / 1000 : 0;
}

static bool nests_too_deep(const json_t *value, int left)
{
    const char *name;
    json_t *child;
    size_t i;

    if (left == 0)
        return true;
    if (json_is_array(value)) {
        json_array_foreach(value, i, child) if (nests_too_deep(child, left - 1)) return true;
    } else if (json_is_object(value)) {
        json_object_foreach((json_t *)value, name, child) if (nests_too_deep(child, left - 1)) return true;
    }
    return false;
}

static Err read_incoming(Request *rq, json_t *body, Incoming *out)
{
    Slice reason = text_clean(rq->mem, slice(text_of(body, "sel:deletionReason")), TEXT_LINE);

    *out = (Incoming){.body = body,
                      .uri = text_of(body, "@id"),
                      .modified_us = time_of(body, "dateModified"),
                      .reason = slice_cstr(rq->mem, reason)};
    if (!json_is_object(body) || nests_too_deep(body, NEST_MAX))
        return wrong(rq, "", "not an event in JSON-LD");
    if (!json_object_get(body, "@context"))
        return wrong(rq, "@context", "required");
    if (!url_clean(rq->mem, slice(out->uri)) || strlen(out->uri) > URI_MAX_BYTES)
        return wrong(rq, "@id", "an absolute URI of http or https");
    if (!*text_of(body, "@type"))
        return wrong(rq, "@type", "Event, or a kind of it");
    out->tombstone = json_is_true(json_object_get(body, "sel:tombstone"));
    if (!out->tombstone && !*text_of(body, "name"))
        return wrong(rq, "name", "required");
    if (utf8_length(reason) > REASON_MAX_CHARS)
        return wrong(rq, "sel:deletionReason", arena_printf(rq->mem, "at most %d characters", REASON_MAX_CHARS));
    return OK;
}

/* --- who speaks -------------------------------------------------------------------------------------------------- */
static Err refuse(const char *text)
{
    return err_make(&PERMISSION_DENIED, "%s", text);
}

/* Any address on our host, also one of nothing. */
static bool is_ours(const Events *events, const char *uri)
{
    Slice base = slice(events->settings->base_url);
    char ulid[ULID_TEXT_BYTES];
    UriKind kind = uri_read(base, "events", false, slice(uri), ulid);

    return kind == URI_OURS || (kind == URI_MALFORMED && slice_starts_with(slice(uri), base));
}

/* It went out from here, and comes back. */
static bool came_from_here(const Events *events, const Incoming *in)
{
    const json_t *same = json_object_get(in->body, "sameAs");
    json_t *one;
    size_t i;

    if (is_ours(events, in->uri) || is_ours(events, json_string_value(same) ? json_string_value(same) : ""))
        return true;
    json_array_foreach(same, i, one) if (json_is_string(one) && is_ours(events, json_string_value(one))) return true;
    return false;
}

static bool key_is_bound(const Request *rq, const NodeRow *node)
{
    if (!rq->caller.api_key)
        return false;
    for (size_t i = 0; i < node->key_count; i++)
        if (slice_eq_cstr(node->key_ids[i], rq->caller.login_id))
            return true;
    return false;
}

static Err judge_node(Request *rq, const NodeRow *node)
{
    const Events *events = rq->service;

    if (uuid_is_nil(node->id))
        return refuse("no node of this host is registered");
    if (strcmp(node->status, "blocked") == 0 || strcmp(node->status, "paused") == 0)
        return refuse("this node is blocked or paused");
    if (!node->sync_enabled || strcmp(node->sync_direction, "push_only") == 0 ||
        strcmp(node->sync_direction, "disabled") == 0)
        return refuse("nothing is taken from this node");
    if (events->settings->federation_key_binding && !key_is_bound(rq, node))
        return refuse("this key does not speak for that node");
    return OK;
}

static Err find_node(Request *rq, DbTx *tx, Incoming *in)
{
    const char *origin = url_origin(rq->mem, url_clean(rq->mem, slice(in->uri)));
    Slice scheme, host;

    (void)slice_cut(slice(origin), ':', &scheme, &host);
    TRY(events_store_node_by_domain(tx, rq->mem, slice_cstr(rq->mem, slice_skip(host, 2)), &in->node));
    return judge_node(rq, &in->node);
}

/* --- as a submission --------------------------------------------------------------------------------------------- */
/* Names of others' things mean nothing here. */
static void drop_ids(json_t *value)
{
    if (json_is_object(value)) {
        (void)json_object_del(value, "@id");
        for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at))
            drop_ids(json_object_iter_value(at));
    }
    for (size_t i = 0; i < json_array_size(value); i++) /* 0 of what is no list */
        drop_ids(json_array_get(value, i));
}

static void add_occurrences(json_t *event)
{
    static const char *const KEPT[] = {"startDate", "endDate", "doorTime", "timezone"};
    const json_t *parts = json_object_get(event, "subEvent");
    json_t *list, *part;
    size_t i;

    if (!json_is_array(parts) || json_array_size(parts) == 0)
        return;
    list = json_array();
    json_array_foreach(parts, i, part)
    {
        json_t *occurrence = json_object();

        for (size_t k = 0; k < ARRAY_LEN(KEPT); k++)
            if (json_object_get(part, KEPT[k]))
                (void)json_object_set(occurrence, KEPT[k], json_object_get(part, KEPT[k]));
        (void)json_array_append_new(list, occurrence);
    }
    if (!json_object_get(event, "startDate"))
        (void)json_object_set(event, "startDate", json_object_get(json_array_get(list, 0), "startDate"));
    (void)json_object_set_new(event, "occurrences", list);
}

static void add_same_as(json_t *event, const char *uri)
{
    json_t *same = json_object_get(event, "sameAs"), *list = json_array();

    (void)json_array_append_new(list, json_string(uri));
    if (json_is_array(same))
        (void)json_array_extend(list, same);
    else if (json_is_string(same))
        (void)json_array_append(list, same);
    (void)json_object_set_new(event, "sameAs", list);
}

static Slice submission_text(Arena *mem, const Incoming *in)
{
    static const char *const OURS[] = {"@context",     "subEvent",     "superEvent",  "eventSchedule",
                                       "dateModified", "sources",      "_provenance", "eventAttendanceMode",
                                       "sel:version",  "sel:tombstone"};
    CLEANUP(free_json_at) json_t *event = json_deep_copy(in->body);
    json_t *source = json_object();
    char *text;
    Slice copy;

    add_occurrences(event);
    drop_ids(event);
    for (size_t i = 0; i < ARRAY_LEN(OURS); i++)
        (void)json_object_del(event, OURS[i]);
    add_same_as(event, in->uri);
    (void)json_object_set_new(source, "url", json_string(in->uri));
    (void)json_object_set_new(source, "eventId", json_string(in->uri));
    (void)json_object_set_new(source, "name", json_string(in->node.name));
    (void)json_object_set_new(event, "source", source);
    text = json_dumps(event, JSON_COMPACT);
    if (!text)
        abort(); /* out of memory */
    copy = slice(arena_strdup(mem, text));
    free(text);
    return copy;
}

static Err take(Request *rq, const EntityWriter *w, const Incoming *in, IngestOutcome *out)
{
    const WritingRules rules = ingest_rules(rq->service);
    Submission *s = ARENA_NEW(rq->mem, Submission);
    Findings *faults = ARENA_NEW(rq->mem, Findings), *warnings = ARENA_NEW(rq->mem, Findings);

    faults->mem = warnings->mem = rq->mem;
    if (submission_read(rq->mem, &rules, submission_text(rq->mem, in), s, faults))
        submission_check(rq->mem, &rules, w->now_us, s, faults, warnings);
    if (faults->count)
        return refuse_faults(rq, faults);
    /* One source for each node, whatever its keys. */
    TRY(ingest_submission(w,
                          &(Ingest){.submission = s,
                                    .by = {.key_id = uuid_text(rq->mem, in->node.id),
                                           .user_id = rq->caller.user_id,
                                           .name = in->node.name,
                                           .source_type = "federation",
                                           .source_trust = (int)in->node.trust_level},
                                    .warnings = warnings,
                                    .faults = faults},
                          out));
    if (out->result == INGEST_FAULTY)
        return refuse_faults(rq, faults);
    return out->result == INGEST_GONE || out->result == INGEST_REJECTED_BEFORE
               ? err_make(&GONE, "this event was taken away here")
               : OK;
}

/* --- one event --------------------------------------------------------------------------------------------------- */
/* What a node's event was found to be by its content stays whose it is: ours, or another node's. */
static bool is_from(const EventEntity *event, const NodeRow *node)
{
    return memcmp(event->origin_node.bytes, node->id.bytes, sizeof(node->id.bytes)) == 0;
}

static Err note_origin(const EntityWriter *w, const Incoming *in, const IngestOutcome *outcome, bool *out_own)
{
    EventEntity event;

    TRY(event_load(w, outcome->event, &event));
    *out_own = outcome->result == INGEST_CREATED || is_from(&event, &in->node);
    if (!*out_own)
        return OK;
    event.head.federation_uri = in->uri;
    event.origin_node = in->node.id;
    if (in->modified_us)
        event.source_us = in->modified_us;
    return event_save(w, &event, "federation", NULL);
}

static void drop_same_as(Arena *mem, Node *node, const char *uri)
{
    const Property *known = node_get(node, TERM_SAME_AS);
    Property old;

    if (!known)
        return;
    old = *known;
    node_clear(node, TERM_SAME_AS);
    for (size_t i = 0; i < old.count; i++)
        if (!slice_eq_cstr(old.values[i].text, uri))
            node_add_text(mem, node, TERM_SAME_AS, old.values[i].text);
}

/* Of what is not from that node its word alone goes. */
static Err take_away(const EntityWriter *w, const CopyRow *copy, const Incoming *in, bool *out_own)
{
    EventEntity event;

    TRY(event_load(w, copy->event, &event));
    *out_own = is_from(&event, &in->node);
    if (event.head.deleted_us)
        return OK; /* also where it became part of another */
    if (*out_own) {
        entity_delete(w, &event.head, in->reason[0] ? in->reason : "federation", (Uuid){{0}});
    } else {
        drop_same_as(w->mem, event.head.node, in->uri);
        TRY(events_store_leave(w->tx, copy->event, in->node.id, in->uri, w->now_us));
    }
    return event_save(w, &event, "federation", NULL);
}

static Err apply(Request *rq, DbTx *tx, Incoming *in, Synced *out)
{
    const Events *events = rq->service;
    const EntityWriter w = entity_writer(rq, tx);
    IngestOutcome outcome;
    CopyRow copy;
    bool own;

    if (came_from_here(events, in))
        return refuse("this event is from this node");
    TRY(find_node(rq, tx, in));
    TRY(db_lock(tx, "federation", slice(in->uri)));
    TRY(events_store_copy(tx, in->uri, &copy));
    *out = (Synced){.event = copy.event};
    if (copy.known && in->modified_us && in->modified_us < copy.modified_us)
        return OK; /* late: what is here is newer */
    if (in->tombstone) {
        if (!copy.known)
            return err_make(&NOT_FOUND, "there is no such event here");
        TRY(take_away(&w, &copy, in, &own));
    } else {
        TRY(take(rq, &w, in, &outcome));
        out->event = outcome.event;
        out->created = !copy.known;
        TRY(note_origin(&w, in, &outcome, &own));
    }
    return events_store_put_copy(tx,
                                 &(PutCopy){.uri = in->uri,
                                            .node = in->node.id,
                                            .event = out->event,
                                            .own = own,
                                            .modified_us = in->modified_us ? in->modified_us : w.now_us},
                                 w.now_us);
}

static void write_synced(Request *rq, const Incoming *in, const Synced *synced, StrBuf *out)
{
    const Events *events = rq->service;

    strbuf_append_char(out, '{');
    strbuf_append(out, events->contexts->by_url);
    strbuf_append_cstr(out, ",\"@type\":");
    strbuf_append_json(out, slice(text_of(in->body, "@type")));
    strbuf_append_cstr(out, ",\"@id\":");
    strbuf_append_json(out, slice(in->uri));
    strbuf_printf(out, ",\"localId\":\"%s\",\"federationUri\":", ulid_text(rq->mem, synced->event));
    strbuf_append_json(out, slice(entity_uri(rq->mem, events, ENTITY_EVENT, synced->event)));
    strbuf_append_char(out, '}');
}

/* In a transaction of its own. */
static Err sync_one(Request *rq, json_t *body, StrBuf *out, Synced *synced)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    Incoming in;

    TRY(read_incoming(rq, body, &in));
    TRY(db_tx_begin(rq, &tx));
    TRY(apply(rq, &tx, &in, synced));
    TRY(db_tx_commit(&tx));
    entity_settled(rq->service);
    write_synced(rq, &in, synced, out);
    return OK;
}

/* --- the body ---------------------------------------------------------------------------------------------------- */
/* Parsed one at a time: a tree is some ten times as large as its text. */
static Err parse_item(Request *rq, Slice text, json_t **out)
{
    if (text.len > ITEM_MAX_BYTES)
        return wrong(rq, "", "an event is too large");
    *out = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    return *out ? OK : wrong(rq, "", "not JSON");
}

/* One value, or several one after the other (NDJSON); of lists what is in them. */
static Err read_items(Request *rq, Slice body, Slice **out, size_t *out_count, bool *out_single)
{
    if (!batch_values(rq->mem, body, ITEMS_MAX, out, out_count, out_single))
        return wrong(rq, "", "not JSON, or more than 100 events");
    return *out_count ? OK : wrong(rq, "", "no event");
}

/* Each by itself: what is wrong with one is no harm to the others. */
static void sync_each(Request *rq, const Slice *items, size_t count, StrBuf *out)
{
    strbuf_append_cstr(out, "{\"items\":[");
    for (size_t i = 0; i < count; i++) {
        CLEANUP(free_json_at) json_t *item = NULL;
        Synced synced;
        Err e;

        strbuf_append_cstr(out, i ? "," : "");
        rq->reply.violation_count = 0; /* of the one before */
        e = parse_item(rq, items[i], &item);
        if (!err_failed(e))
            e = sync_one(rq, item, out, &synced);
        if (!err_failed(e))
            continue;
        strbuf_printf(out, "{\"status\":%d,\"@id\":", e.reason->http);
        strbuf_append_json(out,
                           slice_take(slice(text_of(item, "@id")), MIN(strlen(text_of(item, "@id")), URI_SHOWN_BYTES)));
        strbuf_append_cstr(out, ",\"detail\":");
        strbuf_append_json(out, slice(e.reason->shown ? e.text : ""));
        strbuf_append_char(out, '}');
    }
    strbuf_append_cstr(out, "]}\n");
    rq->reply.violation_count = 0;
}

static Err sync_all(Request *rq, Slice body, Atrium__HttpBody *out)
{
    CLEANUP(free_json_at) json_t *item = NULL;
    StrBuf text = strbuf_new(rq->mem, REPLY_MAX_BYTES);
    Slice *items;
    Synced synced;
    size_t count;
    bool single;

    TRY(read_items(rq, body, &items, &count, &single));
    if (single) {
        TRY(parse_item(rq, items[0], &item));
        TRY(sync_one(rq, item, &text, &synced));
        request_set_status(rq, synced.created ? 201 : 200);
    } else {
        sync_each(rq, items, count, &text);
        request_set_status(rq, 200);
    }
    return answer_body(&text, "application/ld+json", out);
}

/* Each event has a transaction of its own, so that the key has one before and one after them: who repeats a request
 * that was cut off in between sends what is here already, and changes nothing. */
Err events_v1_sync_events(Request *rq, const Events__V1__SyncRequest *in, Atrium__HttpBody *out)
{
    CLEANUP(db_tx_done) DbTx before = {0};
    CLEANUP(db_tx_done) DbTx after = {0};
    Slice body = in->body && in->body->has_data ? slice_of(in->body->data.data, in->body->data.len) : SLICE_LIT("");
    bool answered = false;
    Replay replay;

    if (!request_header(rq, "idempotency-key"))
        return sync_all(rq, body, out);
    TRY(db_tx_begin(rq, &before));
    TRY(replay_begin(rq, &before, "SyncEvents", body, &replay, &answered, out));
    db_tx_done(&before);
    if (answered)
        return OK;
    TRY(sync_all(rq, body, out));
    TRY(db_tx_begin(rq, &after));
    TRY(replay_begin(rq, &after, "SyncEvents", body, &replay, &answered, out));
    if (answered)
        return OK; /* the same request, beside this one, was first */
    TRY(replay_store(rq, &after, &replay, rq->reply.http_status, out));
    return db_tx_commit(&after);
}
