/* submission_graph: see submission_graph.h. */
#include "services/events/submission_graph.h"

static void add(Arena *mem, Node *node, TermId term, const char *text)
{
    node_add_text(mem, node, term, slice(text));
}

static void add_time(Arena *mem, Node *node, TermId term, const When *when)
{
    if (when->present)
        add(mem, node, term, when_text(mem, when->unix_us));
}

/* --- the event --------------------------------------------------------------------------------------------------- */
static void add_offers(Arena *mem, Node *event, const Submission *s)
{
    for (size_t i = 0; i < s->offer_count; i++) {
        const OfferInput *o = &s->offers[i];
        Node *offer = node_new(mem, CLASS_OFFER, SLICE_LIT(""));

        add(mem, offer, TERM_NAME, o->name);
        add(mem, offer, TERM_URL, o->url);
        if (o->has_price)
            node_add_number(mem, offer, TERM_PRICE, o->price);
        add(mem, offer, TERM_PRICE_CURRENCY, o->currency);
        add(mem, offer, TERM_AVAILABILITY, o->availability);
        add_time(mem, offer, TERM_VALID_FROM, &o->valid_from);
        node_add_node(mem, event, TERM_OFFERS, offer);
    }
}

static void add_performers(Arena *mem, Node *event, const Submission *s)
{
    for (size_t i = 0; i < s->performer_count; i++) {
        Node *who = node_new(mem, s->performers[i].type, SLICE_LIT(""));

        add(mem, who, TERM_NAME, s->performers[i].name);
        add(mem, who, TERM_URL, s->performers[i].url);
        node_add_node(mem, event, TERM_PERFORMER, who);
    }
}

static void add_all(Arena *mem, Node *node, TermId term, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(mem, node, term, list[i]);
}

Node *submission_event_node(Arena *mem, const Submission *s)
{
    Node *event = node_new(mem, CLASS_EVENT, SLICE_LIT(""));

    if (s->type->id != CLASS_EVENT)
        add(mem, event, TERM_ADDITIONAL_TYPE, arena_printf(mem, SCHEMA_IRI SLICE_FMT, SLICE_ARG(s->type->name)));
    add(mem, event, TERM_NAME, s->name);
    add(mem, event, TERM_DESCRIPTION, s->description);
    add_all(mem, event, TERM_KEYWORDS, s->keywords, s->keyword_count);
    add(mem, event, TERM_IMAGE, s->image);
    add(mem, event, TERM_URL, s->url);
    add_all(mem, event, TERM_IN_LANGUAGE, s->languages, s->language_count);
    if (s->has_free)
        node_add_bool(mem, event, TERM_IS_ACCESSIBLE_FOR_FREE, s->free);
    add_performers(mem, event, s);
    add_offers(mem, event, s);
    add_all(mem, event, TERM_SAME_AS, s->same_as, s->same_as_count);
    return event;
}

/* --- where and who ----------------------------------------------------------------------------------------------- */
static void add_address(Arena *mem, Node *node, const PlaceInput *p)
{
    Node *address = node_new(mem, CLASS_POSTAL_ADDRESS, SLICE_LIT(""));

    add(mem, address, TERM_STREET_ADDRESS, p->street);
    add(mem, address, TERM_ADDRESS_LOCALITY, p->locality);
    add(mem, address, TERM_ADDRESS_REGION, p->region);
    add(mem, address, TERM_POSTAL_CODE, p->postal_code);
    add(mem, address, TERM_ADDRESS_COUNTRY, p->country);
    if (address->count)
        node_add_node(mem, node, TERM_ADDRESS, address);
}

static void fill_place(Arena *mem, Node *place, const PlaceInput *p)
{
    add(mem, place, TERM_NAME, p->name);
    add(mem, place, TERM_TELEPHONE, p->telephone);
    add(mem, place, TERM_URL, p->url);
    add_address(mem, place, p);
    if (p->has_point) {
        Node *geo = node_new(mem, CLASS_GEO_COORDINATES, SLICE_LIT(""));

        node_add_number(mem, geo, TERM_LATITUDE, p->latitude);
        node_add_number(mem, geo, TERM_LONGITUDE, p->longitude);
        node_add_node(mem, place, TERM_GEO, geo);
    }
}

Node *submission_place_node(Arena *mem, const Submission *s)
{
    Node *place = node_new(mem, CLASS_PLACE, SLICE_LIT(""));

    fill_place(mem, place, &s->place);
    return place;
}

static void fill_organizer(Arena *mem, Node *who, const OrganizerInput *o)
{
    add(mem, who, TERM_NAME, o->name);
    add(mem, who, TERM_URL, o->url);
    add(mem, who, TERM_EMAIL, o->email);
    add(mem, who, TERM_TELEPHONE, o->telephone);
    add(mem, who, TERM_SAME_AS, o->same_as);
}

Node *submission_organizer_node(Arena *mem, const Submission *s)
{
    Node *who = node_new(mem, CLASS_ORGANIZATION, SLICE_LIT(""));

    fill_organizer(mem, who, &s->organizer);
    return who;
}

/* --- what was said ----------------------------------------------------------------------------------------------- */
Node *submission_said_node(Arena *mem, const Submission *s, const char *place_uri, const char *organizer_uri)
{
    Node *event = submission_event_node(mem, s);

    add_time(mem, event, TERM_START_DATE, &s->start);
    add_time(mem, event, TERM_END_DATE, &s->end);
    add_time(mem, event, TERM_DOOR_TIME, &s->door);
    if (s->place.name[0] || place_uri[0]) {
        Node *place = node_new(mem, CLASS_PLACE, slice(place_uri));

        fill_place(mem, place, &s->place);
        node_add_node(mem, event, TERM_LOCATION, place);
    }
    if (s->virtual_url[0]) {
        Node *place = node_new(mem, CLASS_VIRTUAL_LOCATION, SLICE_LIT(""));

        add(mem, place, TERM_NAME, s->virtual_name);
        add(mem, place, TERM_URL, s->virtual_url);
        node_add_node(mem, event, TERM_LOCATION, place);
    }
    if (s->organizer.name[0] || organizer_uri[0]) {
        Node *who = node_new(mem, CLASS_ORGANIZATION, slice(organizer_uri));

        fill_organizer(mem, who, &s->organizer);
        node_add_node(mem, event, TERM_ORGANIZER, who);
    }
    return event;
}
