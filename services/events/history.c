/* history: see history.h. */
#include "services/events/history.h"

#include <math.h>

#include "services/events/admin_events.h"
#include "services/events/assemble.h"
#include "services/events/members.h"
#include "services/events/provenance.h"
#include "services/events/reading.h"
#include "services/events/store_admin.h"
#include "services/events/store_series.h"

/* ---------------------------------------------------------------------------------------------------- reading */
static bool was_public(const char *lifecycle)
{
    Lifecycle parsed;

    return lifecycle_parse(slice(lifecycle), &parsed) && lifecycle_is_public(parsed);
}

/* 0 when there is none. */
static int64_t first_date(Slice doc, Slice pointer)
{
    Slice text;
    int64_t seconds;
    int32_t nanos;

    return members_at(doc, pointer, &text) && text.len > 2 &&
                   time_parse(slice_of(text.ptr + 1, text.len - 2), &seconds, &nanos)
               ? seconds * 1000000 + nanos / 1000
               : 0;
}

Err history_show(Request *rq, const char *version, Document *d)
{
    const char *lifecycle;
    int64_t number;
    Slice doc;

    if (!slice_to_int64(slice(version), &number) || number < 1) {
        request_add_violation(rq, ATRIUM__PART__QUERY, "version", "int_parsing", "the number of a version");
        return err_make(&INVALID_ARGUMENT, "version: the number of a version");
    }
    TRY(events_store_revision(rq, NULL, d->id, number, &doc, &lifecycle));
    if (doc.len == 0 || (d->kind == ENTITY_EVENT && !was_public(lifecycle) && !caller_sees_all(rq)))
        return err_make(&NOT_FOUND, "there is no such version");
    d->doc = doc;
    d->version = number;
    d->start_us = first_date(doc, SLICE_LIT("/subEvent/0/startDate"));
    d->end_us = first_date(doc, SLICE_LIT("/subEvent/0/endDate"));
    d->door_us = first_date(doc, SLICE_LIT("/subEvent/0/doorTime"));
    return OK;
}

/* The number of lines that are not empty. */
static size_t split_lines(Arena *mem, const char *text, char ***out)
{
    Slice rest = slice(text), one;
    size_t count = 0;

    *out = ARENA_ARRAY(mem, char *, rest.len + 1);
    while (rest.len) {
        (void)slice_cut(rest, '\n', &one, &rest); /* false is the last one */
        if (one.len)
            (*out)[count++] = slice_cstr(mem, one);
    }
    return count;
}

/* Users' names are no business of the public; a key has its owner's. */
static char *actor_name(Request *rq, const RevisionInfo *row)
{
    bool person = strcmp(row->actor_kind, "service") != 0;

    return person && !caller_may(&rq->caller, "events.admin.read") ? NULL : text_or_absent(rq->mem, row->actor_name);
}

static Events__V1__HistoryItem *answer_item(Request *rq, Uuid id, const RevisionInfo *row)
{
    Events__V1__HistoryItem *out = MESSAGE_NEW(rq->mem, Events__V1__HistoryItem, events__v1__history_item__init);
    const Events *events = rq->service;

    SET(out, version, row->version);
    out->changed_at = timestamp_of(rq->mem, row->made_us);
    out->lifecycle_state = arena_strdup(rq->mem, row->lifecycle);
    out->actor = arena_strdup(rq->mem, row->actor_kind);
    out->actor_name = actor_name(rq, row);
    out->n_changed_pointers = split_lines(rq->mem, row->pointers, &out->changed_pointers);
    out->url = arena_printf(rq->mem, "%s/api/v1/events/%s?version=%" PRId64, events->settings->base_url,
                            ulid_text(rq->mem, id), row->version);
    return out;
}

Err events_v1_event_history(Request *rq, const Events__V1__EventHistoryRequest *in, Events__V1__EventHistoryReply *out)
{
    int64_t before = 0;
    Document document;
    RevisionInfo *rows;
    AdminPage page;
    size_t count;

    TRY(admin_page_parse(rq, in->has_limit, in->limit, NULL, &page));
    if (in->after && in->after[0] && (!slice_to_int64(slice(in->after), &before) || before < 1))
        return err_make(&INVALID_ARGUMENT, "after: not a cursor of this list");
    TRY(document_find(rq, ENTITY_EVENT, in->id, &document));
    if (document.deleted_us && !caller_sees_all(rq))
        return err_make(&GONE, "the event is not there any more");
    TRY(events_store_revisions(rq, document.id, before, page.limit + 1, !caller_sees_all(rq), &rows, &count));
    out->n_items = admin_page_shown(&page, count);
    out->items = ARENA_ARRAY(rq->mem, Events__V1__HistoryItem *, out->n_items + 1);
    for (size_t i = 0; i < out->n_items; i++)
        out->items[i] = answer_item(rq, document.id, &rows[i]);
    out->next_cursor = count > out->n_items ? arena_printf(rq->mem, "%" PRId64, rows[out->n_items - 1].version)
                                            : arena_strdup(rq->mem, "");
    return OK;
}

/* ---------------------------------------------------------------------------------------------------- reverting */
/* The UUID of "…#occ-<uuid>"; nil for none. */
static Uuid occurrence_id(Slice uri)
{
    ptrdiff_t at = slice_find(uri, SLICE_LIT("#occ-"));
    Uuid id = {{0}};

    if (at >= 0)
        (void)uuid_parse(slice_skip(uri, (size_t)at + 5), &id); /* else it stays nil: a new one */
    return id;
}

static bool same_id(Uuid a, Uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static const Occurrence *find_occurrence(const Occurrence *list, size_t count, Uuid id)
{
    for (size_t i = 0; i < count; i++)
        if (same_id(list[i].id, id))
            return &list[i];
    return NULL;
}

static int64_t time_of(const Node *node, TermId term)
{
    int64_t seconds;
    int32_t nanos;

    return time_parse(node_text(node, term), &seconds, &nanos) ? seconds * 1000000 + nanos / 1000 : 0;
}

static OccurrenceStatus status_of(const Node *node)
{
    static const struct {
        const char *iri;
        OccurrenceStatus status;
    } STATUSES[] = {{SCHEMA_IRI "EventCancelled", OCCURRENCE_CANCELLED},
                    {SCHEMA_IRI "EventPostponed", OCCURRENCE_POSTPONED},
                    {SCHEMA_IRI "EventRescheduled", OCCURRENCE_RESCHEDULED}};

    for (size_t i = 0; i < ARRAY_LEN(STATUSES); i++)
        if (slice_eq_cstr(node_text(node, TERM_EVENT_STATUS), STATUSES[i].iri))
            return STATUSES[i].status;
    return OCCURRENCE_SCHEDULED;
}

static void read_place(const EntityWriter *w, const Node *node, Uuid *place, const char **url, const char **name)
{
    const Property *location = node_get(node, TERM_LOCATION);

    *place = (Uuid){{0}};
    *url = *name = "";
    for (size_t i = 0; location && i < location->count; i++) {
        const Node *at = location->values[i].node;

        if (at->type->family == FAMILY_VIRTUAL) {
            *url = slice_cstr(w->mem, node_text(at, TERM_URL));
            *name = slice_cstr(w->mem, node_text(at, TERM_NAME));
        } else {
            (void)entity_of_uri(w->events, ENTITY_PLACE, at->id, place); /* else it stays nil */
        }
    }
}

static bool differs(const Occurrence *a, const Occurrence *b)
{
    return a->start_us != b->start_us || a->end_us != b->end_us || a->door_us != b->door_us || a->status != b->status ||
           !same_id(a->place_id, b->place_id) || strcmp(a->virtual_url, b->virtual_url) != 0;
}

static Occurrence occurrence_of(const EntityWriter *w, const EventEntity *event, const Node *node)
{
    Uuid id = occurrence_id(node->id);
    const Occurrence *now = find_occurrence(event->occurrences, event->occurrence_count, id);
    Occurrence o = {
        .timezone = "", .ticket_url = "", .price_min = NAN, .price_max = NAN, .price_currency = "", .availability = ""};
    const char *unused;

    if (now)
        o = *now;
    else if (!uuid_is_nil(id))
        o.id = id;
    o.start_us = time_of(node, TERM_START_DATE);
    o.end_us = time_of(node, TERM_END_DATE);
    o.door_us = time_of(node, TERM_DOOR_TIME);
    o.previous_start_us = time_of(node, TERM_PREVIOUS_START_DATE);
    o.timezone = slice_cstr(w->mem, node_text(node, TERM_TIMEZONE));
    o.status = status_of(node);
    read_place(w, node, &o.place_id, &o.virtual_url, &unused);
    if (!o.virtual_url[0] && same_id(o.place_id, event->place_id))
        o.place_id = (Uuid){{0}}; /* the event's */
    if (uuid_is_nil(o.place_id) && uuid_is_nil(event->place_id) && strcmp(o.virtual_url, event->virtual_url) == 0)
        o.virtual_url = ""; /* this, too */
    if (!now || differs(now, &o))
        occurrence_set_edited(&o, now ? now->start_us : o.start_us);
    return o;
}

/* Dates that the old version did not have: its source does not bring them back. What a rule made is the rule's still:
 * it has come further since, and would come no further again. */
static Err take_out(const EntityWriter *w, const EventEntity *event, const Occurrence *list, size_t count)
{
    for (size_t i = 0; i < event->occurrence_count; i++) {
        const Occurrence *o = &event->occurrences[i];

        if (!o->recurrence_us && !find_occurrence(list, count, o->id))
            TRY(events_store_take_occurrence(w->tx, event->head.id, occurrence_said_us(o)));
    }
    return OK;
}

/* Everything that its document tells. What it does not tell (ticket addresses of occurrences that are gone) is lost. */
static Err go_back(const EntityWriter *w, EventEntity *event, const Node *then, const char *lifecycle)
{
    const Property *parts = node_get(then, TERM_SUB_EVENT);
    const Node *organizer = node_node(then, TERM_ORGANIZER);
    size_t count = parts ? parts->count : 0;
    Occurrence *list = ARENA_ARRAY(w->mem, Occurrence, count + 1);
    Lifecycle state;

    read_place(w, then, &event->place_id, &event->virtual_url, &event->virtual_name);
    event->organizer_id = (Uuid){{0}};
    if (organizer)
        (void)entity_of_uri(w->events, ENTITY_ORGANIZATION, organizer->id, &event->organizer_id);
    for (size_t i = 0; i < count; i++)
        list[i] = occurrence_of(w, event, parts->values[i].node);
    TRY(take_out(w, event, list, count));
    event->occurrences = list;
    event->occurrence_count = count;
    if (lifecycle_parse(slice(lifecycle), &state)) /* always: it is our own word */
        event_edit_status(event, state);
    return OK;
}

/* The old facts are administration's now: what sources said meanwhile does not come back by itself. */
static Err take_back(EventEdit *edit, Slice doc, const char *lifecycle)
{
    const EntityWriter *w = &edit->writer;
    Node *then;

    if (!node_read(w->mem, doc, &then))
        return err_make(&INTERNAL, "an old version cannot be read");
    TRY(provenance_hear(w, &edit->event,
                        &(Observation){.source = ADMINISTRATION_SOURCE, .confidence = 1, .said = then}));
    edit->event.head.node = entity_strip(w->mem, ENTITY_EVENT, then);
    TRY(go_back(w, &edit->event, then, lifecycle));
    return event_check_public(&edit->event);
}

Err events_v1_revert_event(Request *rq, const Events__V1__RevertEventRequest *in, Events__V1__ShortEvent *out)
{
    CLEANUP(edit_done) EventEdit edit = {0};
    const char *lifecycle;
    Slice doc;

    if (!in->has_version || in->version < 1) {
        request_add_violation(rq, ATRIUM__PART__BODY, "version", "missing", "the version to go back to");
        return err_make(&INVALID_ARGUMENT, "version: the one to go back to");
    }
    TRY(edit_begin(rq, in->id, false, 0, &edit));
    TRY(events_store_revision(rq, &edit.tx, edit.event.head.id, in->version, &doc, &lifecycle));
    if (doc.len == 0)
        return err_make(&NOT_FOUND, "there is no such version");
    edit.note = arena_printf(rq->mem, "back to version %" PRId64, in->version);
    TRY(take_back(&edit, doc, lifecycle));
    return edit_finish(rq, &edit, "event.reverted", out);
}
