/* feed_record: a change as a row of the feed and an event on the bus, in the writer's transaction; see feed.h. */
#include "atrium/events/v1/announcements.atrium.h"
#include "atrium/events/v1/announcements.pb-c.h"
#include "atrium/reasons.atrium.h"
#include "services/events/feed.h"
#include "services/events/store_feed.h"
#include "shared/message.h"

enum { ENTRY_MAX_BYTES = 64 * 1024, FIELD_MAX_BYTES = 200, URI_MAX_BYTES = 2200 };

static const struct {
    const char *name, *collection;
} ENTITIES[FEED_ENTITY_COUNT] = {[FEED_EVENT] = {"event", "events"},
                                 [FEED_PLACE] = {"place", "places"},
                                 [FEED_ORGANIZATION] = {"organization", "organizations"}};

const char *feed_entity_name(FeedEntity entity)
{
    return ENTITIES[entity].name;
}

const char *feed_entity_collection(FeedEntity entity)
{
    return ENTITIES[entity].collection;
}

typedef enum Action { NOTHING, CREATE, UPDATE, DELETE } Action;
static const char *const ACTIONS[] = {[NOTHING] = "", [CREATE] = "create", [UPDATE] = "update", [DELETE] = "delete"};

static Action action_of(const FeedChange *c)
{
    if (!c->was_public)
        return c->is_public ? CREATE : NOTHING;
    return c->is_public ? UPDATE : DELETE;
}

static char *ulid_text_of(Arena *mem, Uuid id)
{
    char text[ULID_TEXT_BYTES];

    id_ulid_format(id.bytes, text);
    return arena_strdup(mem, text);
}

/* --- the row ----------------------------------------------------------------------------------------------------- */
static void append_member(StrBuf *out, const char *name, const char *text)
{
    strbuf_printf(out, ",\"%s\":", name);
    strbuf_append_json(out, slice(text));
}

static void append_time(StrBuf *out, const char *name, int64_t unix_us)
{
    char text[TIME_TEXT_BYTES];

    time_format(unix_us, -1, text);
    append_member(out, name, text);
}

/* "/location/name" -> "location" */
static Slice field_of(Slice pointer)
{
    Slice name, rest;

    (void)slice_cut(slice_skip(pointer, 1), '/', &name, &rest);
    return slice_take(name, MIN(name.len, FIELD_MAX_BYTES));
}

static bool named_before(const FeedChange *c, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (slice_eq(field_of(c->pointers[i]), field_of(c->pointers[at])))
            return true;
    return false;
}

static bool too_many(const FeedChange *c)
{
    return c->pointer_count > FEED_POINTERS_MAX;
}

static void append_field_names(StrBuf *out, const FeedChange *c)
{
    bool any = false;

    strbuf_append_char(out, '[');
    for (size_t i = 0; i < c->pointer_count && !too_many(c); i++) {
        if (named_before(c, i))
            continue;
        strbuf_append_cstr(out, any ? "," : "");
        strbuf_append_json(out, field_of(c->pointers[i]));
        any = true;
    }
    strbuf_append_char(out, ']');
}

static void append_pointers(StrBuf *out, const FeedChange *c)
{
    strbuf_append_cstr(out, ",\"changed_pointers\":[");
    for (size_t i = 0; i < c->pointer_count && !too_many(c); i++) {
        strbuf_append_cstr(out, i ? "," : "");
        strbuf_append_json(out, c->pointers[i]);
    }
    strbuf_append_cstr(out, too_many(c) ? "\"\"]" : "]");
}

static void append_deletion(StrBuf *out, Arena *mem, const FeedChange *c)
{
    char text[TIME_TEXT_BYTES];

    time_format(c->at_us, -1, text);
    strbuf_printf(out, "{\"deleted_at\":\"%s\"", text);
    if (c->deletion_reason && *c->deletion_reason)
        append_member(out, "deletion_reason", c->deletion_reason);
    if (!uuid_is_nil(c->superseded_by))
        append_member(out, "superseded_by", ulid_text_of(mem, c->superseded_by));
    strbuf_append_char(out, '}');
}

/* The members that feed_write_entry puts between number and URI. */
static bool write_entry(Arena *mem, Uuid row_id, const FeedChange *c, Action action, Slice *out)
{
    StrBuf b = strbuf_new(mem, ENTRY_MAX_BYTES);
    char *id = uuid_text(mem, c->id);

    strbuf_printf(&b, "\"id\":\"%s\",\"entity\":\"%s\",\"entity_id\":\"%s\"", uuid_text(mem, row_id),
                  feed_entity_name(c->entity), id);
    if (c->entity == FEED_EVENT)
        strbuf_printf(&b, ",\"event_id\":\"%s\",\"event_ulid\":\"%s\"", id, ulid_text_of(mem, c->id));
    strbuf_printf(&b, ",\"action\":\"%s\",\"version\":%" PRId64 ",\"changed_fields\":", ACTIONS[action], c->version);
    if (action == UPDATE)
        append_field_names(&b, c);
    else if (action == DELETE)
        append_deletion(&b, mem, c);
    else
        strbuf_append_cstr(&b, "{}");
    if (action == UPDATE)
        append_pointers(&b, c);
    else
        strbuf_append_cstr(&b, ",\"changed_pointers\":[\"\"]");
    append_time(&b, "changed_at", c->at_us);
    append_member(&b, "license_url", c->license_url ? c->license_url : "");
    append_member(&b, "license_status", c->license_status && *c->license_status ? c->license_status : "unknown");
    if (c->source_us)
        append_time(&b, "source_timestamp", c->source_us);
    append_time(&b, "received_timestamp", c->at_us);
    return strbuf_finish(&b, out);
}

/* --- the event on the bus ---------------------------------------------------------------------------------------- */
static char **texts_of(Arena *mem, const Slice *list, size_t count)
{
    char **out = ARENA_ARRAY(mem, char *, count + 1);

    for (size_t i = 0; i < count; i++)
        out[i] = slice_cstr(mem, list[i]);
    return out;
}

static size_t pointer_count(const FeedChange *c, Action action)
{
    return action == UPDATE && !too_many(c) ? c->pointer_count : 0;
}

static OutboxRow event_event(Arena *mem, IdSource *ids, const FeedChange *c, Action action, char *ulid)
{
    Events__V1__EventCreated created = EVENTS__V1__EVENT_CREATED__INIT;
    Events__V1__EventUpdated updated = EVENTS__V1__EVENT_UPDATED__INIT;
    Events__V1__EventDeleted deleted = EVENTS__V1__EVENT_DELETED__INIT;

    if (action == DELETE) {
        deleted.ulid = ulid;
        SET(&deleted, version, c->version);
        deleted.superseded_by = uuid_is_nil(c->superseded_by) ? NULL : ulid_text_of(mem, c->superseded_by);
        return outbox_event(mem, ids, &EVENTS_V1_EVENT_DELETED_EVENT, ulid, &deleted.base);
    }
    if (action == CREATE) {
        created.ulid = ulid;
        SET(&created, version, c->version);
        created.domain = c->domain ? arena_strdup(mem, c->domain) : NULL;
        created.n_keywords = c->keyword_count;
        created.keywords = texts_of(mem, c->keywords, c->keyword_count);
        return outbox_event(mem, ids, &EVENTS_V1_EVENT_CREATED_EVENT, ulid, &created.base);
    }
    updated.ulid = ulid;
    SET(&updated, version, c->version);
    updated.domain = c->domain ? arena_strdup(mem, c->domain) : NULL;
    updated.n_keywords = c->keyword_count;
    updated.keywords = texts_of(mem, c->keywords, c->keyword_count);
    updated.n_pointers = pointer_count(c, action);
    updated.pointers = texts_of(mem, c->pointers, updated.n_pointers);
    return outbox_event(mem, ids, &EVENTS_V1_EVENT_UPDATED_EVENT, ulid, &updated.base);
}

/* Both messages have these fields. */
#define TELL_CHANGED(out)                                                                                              \
    do {                                                                                                               \
        (out)->ulid = ulid;                                                                                            \
        SET((out), version, c->version);                                                                               \
        (out)->action = arena_strdup(mem, ACTIONS[action]);                                                            \
        (out)->n_pointers = pointer_count(c, action);                                                                  \
        (out)->pointers = texts_of(mem, c->pointers, (out)->n_pointers);                                               \
        (out)->superseded_by = uuid_is_nil(c->superseded_by) ? NULL : ulid_text_of(mem, c->superseded_by);             \
    } while (0)

static OutboxRow bus_event(Arena *mem, IdSource *ids, const FeedChange *c, Action action)
{
    Events__V1__PlaceChanged place = EVENTS__V1__PLACE_CHANGED__INIT;
    Events__V1__OrganizationChanged organization = EVENTS__V1__ORGANIZATION_CHANGED__INIT;
    char *ulid = ulid_text_of(mem, c->id);

    if (c->entity == FEED_EVENT)
        return event_event(mem, ids, c, action, ulid);
    if (c->entity == FEED_PLACE) {
        TELL_CHANGED(&place);
        return outbox_event(mem, ids, &EVENTS_V1_PLACE_CHANGED_EVENT, ulid, &place.base);
    }
    TELL_CHANGED(&organization);
    return outbox_event(mem, ids, &EVENTS_V1_ORGANIZATION_CHANGED_EVENT, ulid, &organization.base);
}

Err feed_record(DbTx *tx, Arena *mem, IdSource *ids, const FeedChange *change)
{
    Action action = action_of(change);
    Uuid row_id = uuid_v7(ids);
    OutboxRow announce;
    Slice entry;

    if (action == NOTHING)
        return OK;
    if (!write_entry(mem, row_id, change, action, &entry))
        return err_make(&INTERNAL, "an entry of the change feed is too large");
    announce = bus_event(mem, ids, change, action);
    return events_store_record_change(
        tx,
        &(NewChange){
            .id = row_id,
            .change = change,
            .action = ACTIONS[action],
            .path = arena_printf(mem, "%s/%s", feed_entity_collection(change->entity), ulid_text_of(mem, change->id)),
            .entry = entry},
        &announce);
}

/* --- how it looks ------------------------------------------------------------------------------------------------ */
void feed_write_entry(StrBuf *out, const char *base_url, const ChangeRow *row, bool snapshot)
{
    bool deleted = strcmp(row->action, ACTIONS[DELETE]) == 0;
    char uri[URI_MAX_BYTES];

    (void)snprintf(uri, sizeof(uri), "%s/%s", base_url, row->path); /* of two bounded texts */
    strbuf_printf(out, "{\"sequence_number\":%" PRId64 ",", row->sequence);
    strbuf_append(out, row->entry);
    append_member(out, "uri", uri);
    strbuf_append_cstr(out, ",\"federation_uri\":");
    strbuf_append_json(out, row->federation_uri.len ? row->federation_uri : slice(uri));
    if (deleted) {
        strbuf_append_cstr(out, ",\"tombstone\":");
        strbuf_append(out, row->snapshot);
    }
    if (snapshot) {
        strbuf_append_cstr(out, ",\"snapshot\":");
        strbuf_append(out, row->snapshot);
    }
    strbuf_append_char(out, '}');
}
