/* assemble: see assemble.h. */
#include "services/events/assemble.h"

#include <math.h>

enum { LOCATIONS_MAX = 5 }; /* of an event itself; its occurrences have their own */

/* --- nodes ------------------------------------------------------------------------------------------------------- */
/* With properties of its own; the values' texts and nodes are shared. */
static Node *copy_node(Arena *mem, const Node *node, ClassId type, const char *id)
{
    Node *copy = node_new(mem, type, slice(id));

    copy->properties = arena_memdup(mem, node->properties, node->count * sizeof(Property));
    copy->count = copy->room = node->count;
    for (size_t i = 0; i < copy->count; i++) {
        Property *p = &copy->properties[i];

        p->values = arena_memdup(mem, p->values, p->count * sizeof(Value));
        p->room = p->count;
    }
    return copy;
}

static void add_text(Arena *mem, Node *node, TermId term, const char *text)
{
    node_add_text(mem, node, term, slice(text));
}

static void add_time(Arena *mem, Node *node, TermId term, int64_t us)
{
    if (us)
        add_text(mem, node, term, utc_text(mem, us));
}

static void take_over(Arena *mem, Node *to, const Node *from, TermId term)
{
    const Property *p = node_get(from, term);

    for (size_t i = 0; p && i < p->count; i++)
        if (p->term->kind == KIND_NODE)
            node_add_node(mem, to, term, p->values[i].node);
        else
            node_add_text(mem, to, term, p->values[i].text);
}

/* --- what others say of themselves ------------------------------------------------------------------------------- */
static const Referred *find_referred(const EventRefs *refs, char kind, Uuid id)
{
    for (size_t i = 0; i < refs->count; i++)
        if (refs->list[i].kind == kind && memcmp(refs->list[i].id.bytes, id.bytes, sizeof(id.bytes)) == 0)
            return &refs->list[i];
    return NULL;
}

static Node *place_reference(Arena *mem, const Events *events, const EventRefs *refs, Uuid id, bool whole)
{
    const Referred *r = find_referred(refs, 'p', id);
    Node *node = node_new(mem, CLASS_PLACE, slice(entity_uri(mem, events, ENTITY_PLACE, id))), *doc;

    if (!r || !node_read(mem, r->doc, &doc))
        return node;
    take_over(mem, node, doc, TERM_NAME);
    if (whole) {
        take_over(mem, node, doc, TERM_ADDRESS);
        take_over(mem, node, doc, TERM_GEO);
    }
    return node;
}

static Node *organizer_reference(Arena *mem, const Events *events, const EventRefs *refs, Uuid id)
{
    const Referred *r = find_referred(refs, 'o', id);
    Node *node = node_new(mem, CLASS_ORGANIZATION, slice(entity_uri(mem, events, ENTITY_ORGANIZATION, id))), *doc;

    if (!r || !node_read(mem, r->doc, &doc))
        return node;
    take_over(mem, node, doc, TERM_NAME);
    take_over(mem, node, doc, TERM_URL);
    return node;
}

static Node *series_reference(Arena *mem, const Events *events, const EventRefs *refs, Uuid id)
{
    const Referred *r = find_referred(refs, 's', id);
    Node *node = node_new(mem, CLASS_EVENT_SERIES,
                          slice(arena_printf(mem, "%s/series/%s", events->settings->base_url, ulid_text(mem, id))));

    if (r)
        node_add_text(mem, node, TERM_NAME, r->doc);
    return node;
}

static Node *virtual_location(Arena *mem, const char *url, const char *name)
{
    Node *node = node_new(mem, CLASS_VIRTUAL_LOCATION, SLICE_LIT(""));

    add_text(mem, node, TERM_NAME, name);
    add_text(mem, node, TERM_URL, url);
    return node;
}

/* --- where ------------------------------------------------------------------------------------------------------- */
static bool has_uuid(const Uuid *list, size_t count, Uuid id)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(list[i].bytes, id.bytes, sizeof(id.bytes)) == 0)
            return true;
    return false;
}

size_t event_places(Arena *mem, const EventEntity *event, Uuid **out)
{
    Uuid *list = ARENA_ARRAY(mem, Uuid, event->occurrence_count + 1);
    size_t count = 0;

    if (!uuid_is_nil(event->place_id))
        list[count++] = event->place_id;
    for (size_t i = 0; i < event->occurrence_count; i++) {
        Uuid id = event->occurrences[i].place_id;

        if (!uuid_is_nil(id) && !has_uuid(list, count, id))
            list[count++] = id;
    }
    *out = list;
    return count;
}

static const char *first_virtual_url(const EventEntity *event)
{
    if (event->virtual_url[0])
        return event->virtual_url;
    for (size_t i = 0; i < event->occurrence_count; i++)
        if (event->occurrences[i].virtual_url[0])
            return event->occurrences[i].virtual_url;
    return "";
}

static void add_locations(Arena *mem, const Events *events, const EventEntity *event, const EventRefs *refs, Node *full,
                          EventText *text)
{
    const char *virtual_url = first_virtual_url(event);
    Uuid *places;
    size_t count = event_places(mem, event, &places);

    if (!uuid_is_nil(event->place_id))
        count = MIN(count, 1); /* the venue; where an occurrence is elsewhere, it says so itself */
    for (size_t i = 0; i < MIN(count, LOCATIONS_MAX); i++)
        node_add_node(mem, full, TERM_LOCATION, place_reference(mem, events, refs, places[i], true));
    if (virtual_url[0])
        node_add_node(mem, full, TERM_LOCATION, virtual_location(mem, virtual_url, event->virtual_name));
    text->mode = count && virtual_url[0] ? "mixed" : count ? "offline" : "online";
    add_text(mem, full, TERM_EVENT_ATTENDANCE_MODE,
             count && virtual_url[0] ? SCHEMA_IRI "MixedEventAttendanceMode"
             : count                 ? SCHEMA_IRI "OfflineEventAttendanceMode"
                                     : SCHEMA_IRI "OnlineEventAttendanceMode");
}

/* --- whether ----------------------------------------------------------------------------------------------------- */
static const char *status_iri(OccurrenceStatus status)
{
    static const char *const IRIS[] = {[OCCURRENCE_SCHEDULED] = SCHEMA_IRI "EventScheduled",
                                       [OCCURRENCE_CANCELLED] = SCHEMA_IRI "EventCancelled",
                                       [OCCURRENCE_POSTPONED] = SCHEMA_IRI "EventPostponed",
                                       [OCCURRENCE_RESCHEDULED] = SCHEMA_IRI "EventRescheduled"};

    return IRIS[status];
}

/* That of its state; else of all its occurrences, when they have one in common. */
static OccurrenceStatus status_of(const EventEntity *event)
{
    if (event->head.lifecycle == LIFECYCLE_CANCELLED)
        return OCCURRENCE_CANCELLED;
    if (event->head.lifecycle == LIFECYCLE_POSTPONED)
        return OCCURRENCE_POSTPONED;
    if (event->head.lifecycle == LIFECYCLE_RESCHEDULED)
        return OCCURRENCE_RESCHEDULED;
    for (size_t i = 1; i < event->occurrence_count; i++)
        if (event->occurrences[i].status != event->occurrences[0].status)
            return OCCURRENCE_SCHEDULED;
    return event->occurrence_count ? event->occurrences[0].status : OCCURRENCE_SCHEDULED;
}

/* An occurrence of an event in a state of its own is in that state, unless it is further gone itself. */
static OccurrenceStatus occurrence_status(const EventEntity *event, const Occurrence *o)
{
    if (event->head.lifecycle == LIFECYCLE_CANCELLED || o->status == OCCURRENCE_CANCELLED)
        return OCCURRENCE_CANCELLED;
    return event->head.lifecycle == LIFECYCLE_POSTPONED ? OCCURRENCE_POSTPONED : o->status;
}

/* --- when -------------------------------------------------------------------------------------------------------- */
static void add_ticket(Arena *mem, Node *node, const Occurrence *o)
{
    bool range = !isnan(o->price_min) && !isnan(o->price_max) && o->price_max > o->price_min;
    Node *offer;

    if (!o->ticket_url[0] && isnan(o->price_min) && !o->availability[0])
        return;
    offer = node_new(mem, range ? CLASS_AGGREGATE_OFFER : CLASS_OFFER, SLICE_LIT(""));
    add_text(mem, offer, TERM_URL, o->ticket_url);
    if (!isnan(o->price_min))
        node_add_number(mem, offer, range ? TERM_LOW_PRICE : TERM_PRICE, o->price_min);
    if (range)
        node_add_number(mem, offer, TERM_HIGH_PRICE, o->price_max);
    add_text(mem, offer, TERM_PRICE_CURRENCY, o->price_currency);
    add_text(mem, offer, TERM_AVAILABILITY, o->availability);
    node_add_node(mem, node, TERM_OFFERS, offer);
}

static Node *occurrence_node(Arena *mem, const Events *events, const EventEntity *event, const EventRefs *refs,
                             const Occurrence *o, const char *uri, Slice name)
{
    Node *node = node_new(mem, CLASS_EVENT, slice(arena_printf(mem, "%s#occ-%s", uri, uuid_text(mem, o->id))));
    Uuid place = !uuid_is_nil(o->place_id) ? o->place_id : o->virtual_url[0] ? (Uuid){{0}} : event->place_id;

    node_add_text(mem, node, TERM_NAME, name);
    add_time(mem, node, TERM_START_DATE, o->start_us);
    add_time(mem, node, TERM_END_DATE, o->end_us);
    add_time(mem, node, TERM_DOOR_TIME, o->door_us);
    add_time(mem, node, TERM_PREVIOUS_START_DATE, o->previous_start_us);
    add_text(mem, node, TERM_TIMEZONE, o->timezone);
    add_text(mem, node, TERM_EVENT_STATUS, status_iri(occurrence_status(event, o)));
    if (!uuid_is_nil(place))
        node_add_node(mem, node, TERM_LOCATION, place_reference(mem, events, refs, place, false));
    if (o->virtual_url[0] || (uuid_is_nil(place) && event->virtual_url[0]))
        node_add_node(mem, node, TERM_LOCATION,
                      o->virtual_url[0] ? virtual_location(mem, o->virtual_url, "")
                                        : virtual_location(mem, event->virtual_url, event->virtual_name));
    add_ticket(mem, node, o);
    return node;
}

/* --- the event --------------------------------------------------------------------------------------------------- */
static void add_federation(Arena *mem, Node *node, const EntityHead *head)
{
    const Property *same = node_get(node, TERM_SAME_AS);

    if (!head->federation_uri[0])
        return;
    for (size_t i = 0; same && i < same->count; i++)
        if (slice_eq_cstr(same->values[i].text, head->federation_uri))
            return;
    add_text(mem, node, TERM_SAME_AS, head->federation_uri);
}

static void read_keywords(Arena *mem, const Node *node, EventText *text)
{
    const Property *p = node_get(node, TERM_KEYWORDS);
    Slice *list = ARENA_ARRAY(mem, Slice, (p ? p->count : 0) + 1);

    for (size_t i = 0; p && i < p->count; i++)
        list[i] = p->values[i].text;
    text->keywords = list;
    text->keyword_count = p ? p->count : 0;
}

static double least_price(const Node *node)
{
    const Property *p = node_get(node, TERM_OFFERS);
    double least = NAN;

    if (node_flag(node, TERM_IS_ACCESSIBLE_FOR_FREE))
        return 0;
    for (size_t i = 0; p && i < p->count; i++) {
        const Node *offer = p->values[i].node;
        TermId term = node_get(offer, TERM_PRICE) ? TERM_PRICE : TERM_LOW_PRICE;

        if (node_get(offer, term) && !(node_number(offer, term) >= least))
            least = node_number(offer, term);
    }
    return least;
}

static void add_others(Arena *mem, const Node *full, EventText *text)
{
    const Node *place = node_node(full, TERM_LOCATION), *organizer = node_node(full, TERM_ORGANIZER);
    Slice where = place ? node_text(place, TERM_NAME) : SLICE_LIT("");
    Slice who = organizer ? node_text(organizer, TERM_NAME) : SLICE_LIT("");

    text->others = arena_printf(mem, SLICE_FMT " " SLICE_FMT, SLICE_ARG(where), SLICE_ARG(who));
}

Node *event_assemble(Arena *mem, const Events *events, const EventEntity *event, const EventRefs *refs, EventText *text)
{
    const Node *node = event->head.node;
    char *uri = entity_uri(mem, events, ENTITY_EVENT, event->head.id);
    Node *full = copy_node(mem, node, CLASS_EVENT, uri);
    Slice name = node_text(node, TERM_NAME);

    *text = (EventText){.name = slice_cstr(mem, name),
                        .description = slice_cstr(mem, node_text(node, TERM_DESCRIPTION)),
                        .price_min = least_price(node)};
    if (node->type->id != CLASS_EVENT && !node_get(node, TERM_ADDITIONAL_TYPE))
        add_text(mem, full, TERM_ADDITIONAL_TYPE, arena_printf(mem, SCHEMA_IRI SLICE_FMT, SLICE_ARG(node->type->name)));
    add_locations(mem, events, event, refs, full, text);
    add_text(mem, full, TERM_EVENT_STATUS, status_iri(status_of(event)));
    if (event->occurrence_count == 1)
        add_time(mem, full, TERM_PREVIOUS_START_DATE, event->occurrences[0].previous_start_us);
    if (!uuid_is_nil(event->organizer_id))
        node_add_node(mem, full, TERM_ORGANIZER, organizer_reference(mem, events, refs, event->organizer_id));
    if (!uuid_is_nil(event->series_id))
        node_add_node(mem, full, TERM_SUPER_EVENT, series_reference(mem, events, refs, event->series_id));
    add_text(mem, full, TERM_LICENSE, event->license_url);
    add_federation(mem, full, &event->head);
    for (size_t i = 0; i < event->occurrence_count; i++)
        node_add_node(mem, full, TERM_SUB_EVENT,
                      occurrence_node(mem, events, event, refs, &event->occurrences[i], uri, name));
    node_add_integer(mem, full, TERM_OCCURRENCE_COUNT, (int64_t)event->occurrence_count);
    node_add_integer(mem, full, TERM_VERSION, event->head.version);
    add_time(mem, full, TERM_DATE_MODIFIED, event->head.updated_us);
    read_keywords(mem, full, text);
    add_others(mem, full, text);
    return full;
}

/* --- places and organisations ------------------------------------------------------------------------------------ */
Node *entity_assemble(Arena *mem, const Events *events, EntityKind kind, const EntityHead *head, EntityText *text)
{
    Node *full = copy_node(mem, head->node, kind == ENTITY_PLACE ? CLASS_PLACE : CLASS_ORGANIZATION,
                           entity_uri(mem, events, kind, head->id));
    const Node *address = node_node(full, TERM_ADDRESS), *geo = kind == ENTITY_PLACE ? node_node(full, TERM_GEO) : NULL;
    struct {
        const char **to;
        const Node *of;
        TermId term;
    } const columns[] = {
        {&text->name, full, TERM_NAME},
        {&text->legal_name, full, TERM_LEGAL_NAME},
        {&text->description, full, TERM_DESCRIPTION},
        {&text->street, address, TERM_STREET_ADDRESS},
        {&text->locality, address, TERM_ADDRESS_LOCALITY},
        {&text->region, address, TERM_ADDRESS_REGION},
        {&text->postal_code, address, TERM_POSTAL_CODE},
        {&text->country, address, TERM_ADDRESS_COUNTRY},
        {&text->telephone, full, TERM_TELEPHONE},
        {&text->email, full, TERM_EMAIL},
        {&text->url, full, TERM_URL},
    };

    *text = (EntityText){.located = geo && node_get(geo, TERM_LATITUDE) && node_get(geo, TERM_LONGITUDE)};
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        *columns[i].to = columns[i].of ? slice_cstr(mem, node_text(columns[i].of, columns[i].term)) : "";
    if (text->located) {
        text->latitude = node_number(geo, TERM_LATITUDE);
        text->longitude = node_number(geo, TERM_LONGITUDE);
    }
    add_federation(mem, full, head);
    node_add_integer(mem, full, TERM_VERSION, head->version);
    add_time(mem, full, TERM_DATE_MODIFIED, head->updated_us);
    return full;
}

Node *entity_strip(Arena *mem, EntityKind kind, const Node *full)
{
    static const TermId ADDED[] = {TERM_LOCATION,           TERM_EVENT_ATTENDANCE_MODE,
                                   TERM_EVENT_STATUS,       TERM_ORGANIZER,
                                   TERM_SUPER_EVENT,        TERM_SUB_EVENT,
                                   TERM_START_DATE,         TERM_END_DATE,
                                   TERM_DOOR_TIME,          TERM_LICENSE,
                                   TERM_PREVIOUS_START_DATE};
    static const TermId ALWAYS[] = {TERM_OCCURRENCE_COUNT, TERM_VERSION, TERM_DATE_MODIFIED};
    Node *node = copy_node(mem, full, full->type->id, "");

    for (size_t i = 0; kind == ENTITY_EVENT && i < ARRAY_LEN(ADDED); i++)
        node_clear(node, ADDED[i]);
    for (size_t i = 0; i < ARRAY_LEN(ALWAYS); i++)
        node_clear(node, ALWAYS[i]);
    return node;
}

bool graph_json(Arena *mem, const Node *full, unsigned shown, Slice *out)
{
    StrBuf text = strbuf_new(mem, NODE_MAX_BYTES);

    node_write_json(&text, full, &(NodeWriting){.shown = shown, .skip_clock = true});
    return strbuf_finish(&text, out);
}
