/* entity: see entity.h. */
#include "services/events/entity.h"

#include <math.h>

#include "services/events/assemble.h"
#include "services/events/entity_feed.h"
#include "services/events/feed.h"

struct EntityBefore {
    Slice doc, kept; /* kept: all that is of a row and not of the document, as a text to compare */
    Node *full;
    Lifecycle lifecycle;
    Uuid place_id, organizer_id;
    Uuid *places; /* all that it named, of single occurrences, too */
    size_t place_count;
    bool deleted, withheld;
    size_t occurrence_count;
};

/* --- who --------------------------------------------------------------------------------------------------------- */
Actor actor_service(const char *name)
{
    return (Actor){.kind = "service", .id = name, .name = name};
}

Actor actor_of(const Request *rq)
{
    const Caller *c = &rq->caller;

    if (c->kind != CALLER_PERSON)
        return actor_service(c->service[0] ? c->service : "platform");
    if (c->api_key)
        return (Actor){.kind = "key", .id = c->login_id, .name = c->username};
    return (Actor){.kind = "user", .id = arena_printf(rq->mem, "%" PRId64, c->user_id), .name = c->username};
}

EntityWriter entity_writer(Request *rq, DbTx *tx)
{
    return (EntityWriter){
        .events = rq->service, .mem = rq->mem, .tx = tx, .now_us = clock_unix_us(rq->clock), .actor = actor_of(rq)};
}

/* --- what is kept beside the document ---------------------------------------------------------------------------- */
static void keep_uuid(StrBuf *out, Uuid id)
{
    strbuf_append(out, slice_of(id.bytes, sizeof(id.bytes)));
}

/* With its end, so that "a" "bc" is not "ab" "c". */
static void keep_text(StrBuf *out, const char *text)
{
    strbuf_append(out, slice_of(text, strlen(text) + 1));
}

static void keep_number(StrBuf *out, int64_t number)
{
    strbuf_append(out, slice_of(&number, sizeof(number)));
}

static void keep_double(StrBuf *out, double number)
{
    strbuf_printf(out, "%a;", number);
}

static void keep_head(StrBuf *out, const EntityHead *h)
{
    keep_number(out, h->lifecycle);
    keep_double(out, h->confidence);
    keep_text(out, h->federation_uri);
    keep_number(out, h->deleted_us);
    keep_text(out, h->deletion_reason);
    keep_uuid(out, h->superseded_by);
}

static void keep_occurrence(StrBuf *out, const Occurrence *o)
{
    keep_uuid(out, o->id);
    keep_uuid(out, o->place_id);
    keep_number(out, o->start_us);
    keep_number(out, o->end_us);
    keep_number(out, o->door_us);
    keep_number(out, o->previous_start_us);
    keep_number(out, o->recurrence_us);
    keep_number(out, o->status);
    keep_number(out, o->detached);
    keep_number(out, o->said_us);
    keep_text(out, o->timezone);
    keep_text(out, o->virtual_url);
    keep_text(out, o->ticket_url);
    keep_double(out, o->price_min);
    keep_double(out, o->price_max);
    keep_text(out, o->price_currency);
    keep_text(out, o->availability);
}

static StrBuf kept_text(Arena *mem)
{
    return strbuf_new(mem, (size_t)OCCURRENCES_MAX * 16384);
}

static Slice kept_of_event(Arena *mem, const EventEntity *e)
{
    StrBuf out = kept_text(mem);

    keep_head(&out, &e->head);
    keep_text(&out, e->domain);
    keep_uuid(&out, e->place_id);
    keep_uuid(&out, e->organizer_id);
    keep_uuid(&out, e->series_id);
    keep_text(&out, e->virtual_url);
    keep_text(&out, e->virtual_name);
    keep_text(&out, e->license_url);
    keep_text(&out, e->license_status);
    strbuf_append(&out, e->dedup_hash);
    keep_uuid(&out, e->origin_node);
    keep_text(&out, e->submitter_key);
    keep_number(&out, e->submitter_user);
    keep_number(&out, e->source_us);
    keep_number(&out, e->takedown_us);
    keep_number(&out, e->status_edited);
    keep_number(&out, e->domain_edited);
    for (size_t i = 0; i < e->flag_count; i++)
        keep_text(&out, e->flags[i]);
    for (size_t i = 0; i < e->occurrence_count; i++)
        keep_occurrence(&out, &e->occurrences[i]);
    return strbuf_slice(&out);
}

static Slice kept_of_place(Arena *mem, const PlaceEntity *p)
{
    StrBuf out = kept_text(mem);

    keep_head(&out, &p->head);
    keep_text(&out, p->timezone);
    return strbuf_slice(&out);
}

static Slice kept_of_organization(Arena *mem, const OrganizationEntity *o)
{
    StrBuf out = kept_text(mem);

    keep_head(&out, &o->head);
    return strbuf_slice(&out);
}

/* --- loading ----------------------------------------------------------------------------------------------------- */
static Err take_document(Arena *mem, EntityKind kind, EntityHead *h, Slice doc)
{
    struct EntityBefore *before = ARENA_NEW(mem, struct EntityBefore);

    if (!node_read(mem, doc, &before->full))
        return err_make(&INTERNAL, "a stored document cannot be read");
    before->doc = doc;
    before->lifecycle = h->lifecycle;
    before->deleted = h->deleted_us != 0;
    h->before = before;
    h->node = entity_strip(mem, kind, before->full);
    return OK;
}

static Err not_there(EntityKind kind)
{
    return err_make(&NOT_FOUND, "there is no such %s", entity_word(kind));
}

Err event_load(const EntityWriter *w, Uuid id, EventEntity *out)
{
    EventEntity e;
    Slice doc;

    TRY(events_store_lock_event(w->tx, w->mem, id, &e, &doc));
    if (e.head.version == 0)
        return not_there(ENTITY_EVENT);
    TRY(take_document(w->mem, ENTITY_EVENT, &e.head, doc));
    e.head.before->kept = kept_of_event(w->mem, &e);
    e.head.before->withheld = e.takedown_us != 0;
    e.head.before->place_id = e.place_id;
    e.head.before->organizer_id = e.organizer_id;
    e.head.before->place_count = event_places(w->mem, &e, &e.head.before->places);
    e.head.before->occurrence_count = e.occurrence_count;
    *out = e;
    return OK;
}

Err place_load(const EntityWriter *w, Uuid id, PlaceEntity *out)
{
    PlaceEntity p;
    Slice doc;

    TRY(events_store_lock_place(w->tx, w->mem, id, &p, &doc));
    if (p.head.version == 0)
        return not_there(ENTITY_PLACE);
    TRY(take_document(w->mem, ENTITY_PLACE, &p.head, doc));
    p.head.before->kept = kept_of_place(w->mem, &p);
    *out = p;
    return OK;
}

Err organization_load(const EntityWriter *w, Uuid id, OrganizationEntity *out)
{
    OrganizationEntity o;
    Slice doc;

    TRY(events_store_lock_organization(w->tx, w->mem, id, &o, &doc));
    if (o.head.version == 0)
        return not_there(ENTITY_ORGANIZATION);
    TRY(take_document(w->mem, ENTITY_ORGANIZATION, &o.head, doc));
    o.head.before->kept = kept_of_organization(w->mem, &o);
    *out = o;
    return OK;
}

static EntityHead new_head(Arena *mem, ClassId type)
{
    return (EntityHead){.lifecycle = LIFECYCLE_PUBLISHED,
                        .node = node_new(mem, type, SLICE_LIT("")),
                        .confidence = 1,
                        .federation_uri = "",
                        .deletion_reason = ""};
}

void event_init(Arena *mem, EventEntity *out)
{
    *out = (EventEntity){.head = new_head(mem, CLASS_EVENT),
                         .domain = "arts",
                         .virtual_url = "",
                         .virtual_name = "",
                         .license_url = CC0_IRI,
                         .license_status = "cc0",
                         .submitter_key = ""};
}

void place_init(Arena *mem, PlaceEntity *out)
{
    *out = (PlaceEntity){.head = new_head(mem, CLASS_PLACE), .timezone = ""};
}

void organization_init(Arena *mem, OrganizationEntity *out)
{
    *out = (OrganizationEntity){.head = new_head(mem, CLASS_ORGANIZATION)};
}

void occurrence_set_edited(Occurrence *o, int64_t before_us)
{
    o->detached = true;
    if (o->recurrence_us)
        o->said_us = o->recurrence_us;
    else if (!o->said_us && o->start_us != before_us)
        o->said_us = before_us;
}

int64_t occurrence_said_us(const Occurrence *o)
{
    if (o->recurrence_us)
        return o->recurrence_us;
    return o->said_us ? o->said_us : o->start_us;
}

/* That it is published says what waits for that, too: its source may still cancel it. */
void event_edit_status(EventEntity *event, Lifecycle lifecycle)
{
    Lifecycle before = event->head.lifecycle;

    if (lifecycle_is_public(lifecycle) && lifecycle != before &&
        (lifecycle_is_public(before) || lifecycle != LIFECYCLE_PUBLISHED))
        event->status_edited = true;
    event->head.lifecycle = lifecycle;
}

void entity_delete(const EntityWriter *w, EntityHead *head, const char *reason, Uuid superseded_by)
{
    if (!head->deleted_us)
        head->deleted_us = w->now_us;
    head->deletion_reason = reason;
    head->superseded_by = superseded_by;
}

void entity_restore(EntityHead *head)
{
    head->deleted_us = 0;
    head->deletion_reason = "";
    head->superseded_by = (Uuid){{0}};
}

Node *entity_tombstone(Arena *mem, const Events *events, EntityKind kind, Uuid id, const char *name, int64_t deleted_us,
                       const char *reason, Uuid superseded_by)
{
    static const ClassId TYPES[] = {
        [ENTITY_EVENT] = CLASS_EVENT, [ENTITY_PLACE] = CLASS_PLACE, [ENTITY_ORGANIZATION] = CLASS_ORGANIZATION};
    Node *node = node_new(mem, TYPES[kind], slice(entity_uri(mem, events, kind, id)));

    node_add_text(mem, node, TERM_NAME, slice(name));
    if (kind == ENTITY_EVENT)
        node_add_text(mem, node, TERM_EVENT_STATUS, SLICE_LIT(SCHEMA_IRI "EventCancelled"));
    node_add_bool(mem, node, TERM_TOMBSTONE, true);
    node_add_text(mem, node, TERM_DELETED_AT, slice(utc_text(mem, deleted_us)));
    node_add_text(mem, node, TERM_DELETION_REASON, slice(reason));
    if (!uuid_is_nil(superseded_by))
        node_add_text(mem, node, TERM_SUPERSEDED_BY, slice(entity_uri(mem, events, kind, superseded_by)));
    return node;
}

/* --- saving ------------------------------------------------------------------------------------------------------ */
typedef struct Saving {
    EntityKind kind;
    EntityHead *head;
    const EventEntity *event; /* NULL of other kinds */
    Node *full;
    Slice doc, kept;
    const Slice *pointers;
    size_t pointer_count;
    bool is_new, withheld;
} Saving;

static void begin_saving(const EntityWriter *w, Saving *s)
{
    EntityHead *h = s->head;

    s->is_new = h->version == 0;
    h->version++;
    h->updated_us = MAX(w->now_us, h->updated_us);
    if (!s->is_new)
        return;
    if (uuid_is_nil(h->id))
        h->id = ulid_next(w->events->ids);
    h->created_us = h->updated_us;
}

/* Nothing that is seen or kept differs: as if it had not been saved. */
static bool is_same(const EntityWriter *w, Saving *s)
{
    const struct EntityBefore *before = s->head->before;
    Slice *pointers;

    s->pointer_count = node_diff(w->mem, before ? before->full : NULL, s->full, &pointers);
    s->pointers = pointers;
    if (s->is_new || s->pointer_count || !slice_eq(before->kept, s->kept))
        return false;
    s->head->version--;
    return true;
}

static bool was_public(const struct EntityBefore *before)
{
    return before && lifecycle_is_public(before->lifecycle) && !before->deleted && !before->withheld;
}

/* Of a document that was written anew for what it names, the pointers say what that is. */
static Err tell_feed(const EntityWriter *w, const Saving *s)
{
    return entity_tell_feed(w, &(EntitySaved){.kind = s->kind,
                                              .head = s->head,
                                              .event = s->event,
                                              .full = s->full,
                                              .doc = s->doc,
                                              .was_public = was_public(s->head->before),
                                              .pointers = s->pointers,
                                              .pointer_count = s->pointer_count});
}

static Err record(const EntityWriter *w, const Saving *s, const char *note)
{
    TRY(tell_feed(w, s));
    return events_store_insert_revision(w->tx, &(RevisionRow){.kind = s->kind,
                                                              .head = s->head,
                                                              .doc = s->doc,
                                                              .pointers = s->pointers,
                                                              .pointer_count = s->pointer_count,
                                                              .actor = w->actor,
                                                              .note = note});
}

static Err too_large(void)
{
    return err_make(&INVALID_ARGUMENT, "the document would be larger than %d bytes", NODE_MAX_BYTES);
}

/* --- an event ---------------------------------------------------------------------------------------------------- */
static int by_start(const void *a, const void *b)
{
    const Occurrence *one = a, *other = b;

    if (one->start_us != other->start_us)
        return one->start_us < other->start_us ? -1 : 1;
    return memcmp(one->id.bytes, other->id.bytes, sizeof(one->id.bytes));
}

static Err prepare_occurrences(const EntityWriter *w, EventEntity *event)
{
    bool somewhere = !uuid_is_nil(event->place_id) || event->virtual_url[0];

    if (event->occurrence_count > OCCURRENCES_MAX)
        return err_make(&INVALID_ARGUMENT, "an event has at most %d occurrences", OCCURRENCES_MAX);
    for (size_t i = 0; i < event->occurrence_count; i++) {
        Occurrence *o = &event->occurrences[i];

        if (uuid_is_nil(o->id))
            o->id = uuid_v7(w->events->ids);
        if (!somewhere && uuid_is_nil(o->place_id) && !o->virtual_url[0])
            return err_make(&OCCURRENCE_LOCATION_REQUIRED, "an occurrence needs a venue or a virtual address");
    }
    if (event->occurrence_count)
        qsort(event->occurrences, event->occurrence_count, sizeof(Occurrence), by_start);
    return OK;
}

static bool is_shown(const EventEntity *event)
{
    return lifecycle_is_public(event->head.lifecycle) && !event->head.deleted_us && !event->takedown_us;
}

static bool same_id(Uuid a, Uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static void lead_on(Uuid *at, const Referred *gone)
{
    if (same_id(*at, gone->id))
        *at = gone->superseded_by;
}

/* It was there before, under another id. */
static void lead_on_before(struct EntityBefore *before, const Referred *gone)
{
    lead_on(gone->kind == 'o' ? &before->organizer_id : &before->place_id, gone);
    for (size_t i = 0; gone->kind == 'p' && i < before->place_count; i++)
        lead_on(&before->places[i], gone);
}

/* What was merged meanwhile leads on; true when something was. */
static bool follow_merges(EventEntity *event, const EventRefs *refs)
{
    bool any = false;

    for (size_t i = 0; i < refs->count; i++) {
        const Referred *r = &refs->list[i];

        if (!r->gone || uuid_is_nil(r->superseded_by))
            continue;
        any = true;
        if (event->head.before)
            lead_on_before(event->head.before, r);
        if (r->kind == 'o')
            lead_on(&event->organizer_id, r);
        else
            lead_on(&event->place_id, r);
        for (size_t k = 0; r->kind == 'p' && k < event->occurrence_count; k++)
            lead_on(&event->occurrences[k].place_id, r);
    }
    return any;
}

/* Does the event, or one of its occurrences, come to be at a place that is gone, or to be of such an organiser? */
static bool is_named_anew(const EventEntity *event, const Referred *gone)
{
    const struct EntityBefore *before = event->head.before;
    bool named = false;

    if (gone->kind == 'o')
        return same_id(event->organizer_id, gone->id) && !same_id(before->organizer_id, gone->id);
    if (same_id(event->place_id, gone->id) && !same_id(before->place_id, gone->id))
        return true;
    for (size_t i = 0; i < before->place_count; i++)
        named |= same_id(before->places[i], gone->id);
    return !named;
}

/* An event may stay where a place was that was deleted; nothing comes to be there. */
static Err check_named(const EventEntity *event, const EventRefs *refs)
{
    for (size_t i = 0; i < refs->count; i++) {
        const Referred *r = &refs->list[i];

        if (!r->gone || event->head.deleted_us)
            continue;
        if (!event->head.before)
            return err_make(&UNAVAILABLE, "what the event names was deleted just now");
        if (is_named_anew(event, r))
            return err_make(&UNPROCESSABLE, "%s: it is deleted", r->kind == 'o' ? "organizer" : "location");
    }
    return OK;
}

static Err refer(const EntityWriter *w, const EventEntity *event, EventRefs *refs)
{
    Uuid *places;
    size_t count = event_places(w->mem, event, &places);
    Referred *list;

    TRY(events_store_referred(w->tx, w->mem,
                              &(Referring){.places = places,
                                           .place_count = count,
                                           .organizer = event->organizer_id,
                                           .series = event->series_id,
                                           .publishes = is_shown(event)},
                              &list, &refs->count));
    refs->list = list;
    return OK;
}

static Err put_together(const EntityWriter *w, const EventEntity *event, EventText *text, EventRefs *refs, Node **out)
{
    TRY(refer(w, event, refs));
    *out = event_assemble(w->mem, w->events, event, refs, text);
    return graph_json(w->mem, *out, SHOWN_DETAIL, &text->doc) && graph_json(w->mem, *out, SHOWN_LISTS, &text->card)
               ? OK
               : too_large();
}

static Err publish_named(const EntityWriter *w, const Referred *named)
{
    static const char NOTE[] = "named by a public event";
    OrganizationEntity organization;
    PlaceEntity place;

    if (named->kind == 'p') {
        TRY(place_load(w, named->id, &place));
        place.head.lifecycle = LIFECYCLE_PUBLISHED;
        return place_save(w, &place, NOTE, NULL);
    }
    TRY(organization_load(w, named->id, &organization));
    organization.head.lifecycle = LIFECYCLE_PUBLISHED;
    return organization_save(w, &organization, NOTE, NULL);
}

/* Of a public event everybody sees what it names, too: places before organisations, in the order of their ids. */
static Err publish_all_named(const EntityWriter *w, const EventEntity *event, const EventRefs *refs)
{
    if (!is_shown(event))
        return OK;
    for (size_t i = 0; i < refs->count; i++)
        if (refs->list[i].waits)
            TRY(publish_named(w, &refs->list[i]));
    return OK;
}

Err event_save(const EntityWriter *w, EventEntity *event, const char *note, bool *out_changed)
{
    Saving s = {.kind = ENTITY_EVENT, .head = &event->head, .event = event};
    EventRefs refs = {.count = 0};
    EventText text;

    TRY(prepare_occurrences(w, event));
    begin_saving(w, &s);
    TRY(put_together(w, event, &text, &refs, &s.full));
    if (follow_merges(event, &refs))
        TRY(put_together(w, event, &text, &refs, &s.full));
    TRY(check_named(event, &refs));
    s.doc = text.doc;
    s.kept = kept_of_event(w->mem, event);
    if (out_changed)
        *out_changed = false;
    if (is_same(w, &s))
        return OK;
    TRY(events_store_write_event(w->tx, w->mem, event, &text, s.is_new));
    TRY(events_store_write_occurrences(w->tx, w->mem, event, &text,
                                       event->head.before && event->head.before->occurrence_count));
    TRY(record(w, &s, note));
    TRY(publish_all_named(w, event, &refs));
    if (out_changed)
        *out_changed = true;
    return OK;
}

/* --- places and organisations ------------------------------------------------------------------------------------ */
Err event_render(const EntityWriter *w, Uuid id, EntityKind because)
{
    const Slice pointer = because == ENTITY_PLACE ? SLICE_LIT("/location") : SLICE_LIT("/organizer");
    Saving s = {.kind = ENTITY_EVENT, .pointers = &pointer, .pointer_count = 1};
    EventRefs refs = {.count = 0};
    EventEntity event;
    EventText text;

    TRY(event_load(w, id, &event));
    TRY(put_together(w, &event, &text, &refs, &s.full));
    TRY(events_store_copy_places(w->tx, id));
    if (slice_eq(text.doc, event.head.before->doc))
        return OK; /* it is as new already */
    TRY(events_store_rerender(w->tx, &event, &text));
    s.head = &event.head;
    s.event = &event;
    s.doc = text.doc;
    return tell_feed(w, &s);
}

/* Of what is shown of it in others' documents. */
static bool shows_elsewhere(const Saving *s)
{
    static const char *const SHOWN[] = {"/name", "/address", "/geo", "/url"};

    for (size_t i = 0; i < s->pointer_count; i++)
        for (size_t k = 0; k < ARRAY_LEN(SHOWN); k++)
            if (slice_starts_with(s->pointers[i], slice(SHOWN[k])))
                return true;
    return false;
}

static Err finish_entity(const EntityWriter *w, const Saving *s, const char *note)
{
    TRY(record(w, s, note));
    return s->is_new || !shows_elsewhere(s) ? OK : events_store_want_render(w->tx, s->kind, s->head->id);
}

/* Of a place or organisation, before its row is written: what it is now, and whether that is anything new. */
static Err prepare_entity(const EntityWriter *w, Saving *s, EntityText *text, bool *out_changed)
{
    s->full = entity_assemble(w->mem, w->events, s->kind, s->head, text);
    *out_changed = !is_same(w, s);
    if (*out_changed && !graph_json(w->mem, s->full, SHOWN_DETAIL, &s->doc))
        return too_large();
    text->doc = s->doc;
    return OK;
}

Err place_save(const EntityWriter *w, PlaceEntity *place, const char *note, bool *out_changed)
{
    Saving s = {.kind = ENTITY_PLACE, .head = &place->head};
    EntityText text;
    bool changed;

    begin_saving(w, &s);
    s.kept = kept_of_place(w->mem, place);
    TRY(prepare_entity(w, &s, &text, &changed));
    if (changed) {
        TRY(events_store_write_place(w->tx, place, &text, s.is_new));
        TRY(finish_entity(w, &s, note));
    }
    if (out_changed)
        *out_changed = changed;
    return OK;
}

Err organization_save(const EntityWriter *w, OrganizationEntity *organization, const char *note, bool *out_changed)
{
    Saving s = {.kind = ENTITY_ORGANIZATION, .head = &organization->head};
    EntityText text;
    bool changed;

    begin_saving(w, &s);
    s.kept = kept_of_organization(w->mem, organization);
    TRY(prepare_entity(w, &s, &text, &changed));
    if (changed) {
        TRY(events_store_write_organization(w->tx, organization, &text, s.is_new));
        TRY(finish_entity(w, &s, note));
    }
    if (out_changed)
        *out_changed = changed;
    return OK;
}

void entity_settled(const Events *events)
{
    outbox_nudge(events->outbox);
    feed_nudge(events->feed);
}
