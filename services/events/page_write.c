/* page_write: what a page tells of a node. First what a reader looks for, then whatever else the table of terms shows.
 */
#include "services/events/pages.h"

enum { DEPTH_MAX = 4 }; /* of lists of facts in lists of facts */

/* Terms that have a place of their own on the page, so that the list of facts leaves them out. */
static bool is_told_above(TermId term)
{
    static const TermId TOLD[] = {TERM_NAME,         TERM_DESCRIPTION, TERM_START_DATE,      TERM_END_DATE,
                                  TERM_EVENT_STATUS, TERM_LOCATION,    TERM_ORGANIZER,       TERM_SUB_EVENT,
                                  TERM_LICENSE,      TERM_ADDRESS,     TERM_ADDITIONAL_TYPE, TERM_GEO,
                                  TERM_PROVENANCE};

    for (size_t i = 0; i < ARRAY_LEN(TOLD); i++)
        if (TOLD[i] == term)
            return true;
    return false;
}

/* --- pieces --------------------------------------------------------------------------------------------------------
 */
void page_write_time(StrBuf *out, Slice date_time, const Zone *zone)
{
    struct tm t = {0};
    char text[64], name[ZONE_ABBREVIATION_BYTES] = "UTC";
    const char *end = strptime(slice_cstr(out->mem, date_time), "%Y-%m-%dT%H:%M:%S", &t);
    time_t wall;

    strbuf_append_cstr(out, "<time datetime=\"");
    html_text(out, date_time);
    strbuf_append_cstr(out, "\">");
    if (end && strchr(end, 'Z')) {
        wall = timegm(&t);
        if (zone) {
            zone_abbreviation(zone, wall, name);
            wall = (time_t)zone_to_wall(zone, wall);
        }
        gmtime_r(&wall, &t);
        (void)strftime(text, sizeof(text), "%A, %-e %B %Y, %H:%M ", &t);
        strbuf_append_cstr(out, text);
        html_text(out, slice(name));
    } else
        html_text(out, date_time);
    strbuf_append_cstr(out, "</time>");
}

/* Where the event is: what its first occurrence says. NULL: UTC. */
static const Zone *zone_of(const Events *events, const Node *node)
{
    const Node *part = node_node(node, TERM_SUB_EVENT);
    Slice name = part ? node_text(part, TERM_TIMEZONE) : node_text(node, TERM_TIMEZONE);

    return events->zones && name.len > 0 ? zones_find(events->zones, name) : NULL;
}

/* The last part of an IRI of schema.org: "EventCancelled". */
static Slice local_name(Slice iri)
{
    return slice_starts_with(iri, SLICE_LIT(SCHEMA_IRI)) ? slice_skip(iri, sizeof(SCHEMA_IRI) - 1) : iri;
}

static void write_reference(StrBuf *out, const Node *node)
{
    Slice name = node_text(node, TERM_NAME);

    if (name.len == 0)
        name = node_text(node, TERM_URL);
    if (name.len == 0)
        name = node->id;
    html_link(out, node->id.len > 0 ? node->id : node_text(node, TERM_URL), name, node->id.len > 0 ? NULL : "nofollow");
}

static void write_address(StrBuf *out, const Node *address)
{
    static const TermId PARTS[] = {TERM_STREET_ADDRESS, TERM_ADDRESS_LOCALITY, TERM_ADDRESS_REGION, TERM_POSTAL_CODE,
                                   TERM_ADDRESS_COUNTRY};
    bool first = true;

    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
        Slice part = node_text(address, PARTS[i]);

        if (part.len == 0)
            continue;
        strbuf_append_cstr(out, first ? "" : ", ");
        html_text(out, part);
        first = false;
    }
}

static void write_map_link(StrBuf *out, const Node *geo)
{
    StrBuf href = strbuf_new(out->mem, 256);

    strbuf_append_cstr(&href, "https://www.openstreetmap.org/?mlat=");
    node_write_number(&href, node_number(geo, TERM_LATITUDE));
    strbuf_append_cstr(&href, "&mlon=");
    node_write_number(&href, node_number(geo, TERM_LONGITUDE));
    strbuf_append_cstr(&href, "&zoom=17");
    strbuf_append_cstr(out, " ");
    html_link(out, strbuf_slice(&href), SLICE_LIT("Map"), "nofollow");
}

static void write_where(StrBuf *out, const Node *place)
{
    const Node *address = node_node(place, TERM_ADDRESS), *geo = node_node(place, TERM_GEO);

    if (place->type->family == FAMILY_VIRTUAL)
        strbuf_append_cstr(out, "Online: ");
    write_reference(out, place);
    if (address && address->count > 0) {
        strbuf_append_cstr(out, "<br>");
        write_address(out, address);
    }
    if (geo)
        write_map_link(out, geo);
}

static void write_row(StrBuf *out, const char *label)
{
    strbuf_printf(out, "<dt>%s</dt>\n<dd>", label);
}

static void write_times(StrBuf *out, const Node *node, const Zone *zone)
{
    page_write_time(out, node_text(node, TERM_START_DATE), zone);
    if (node_get(node, TERM_END_DATE)) {
        strbuf_append_cstr(out, " to ");
        page_write_time(out, node_text(node, TERM_END_DATE), zone);
    }
}

static void write_nodes(StrBuf *out, const Node *node, TermId term, const char *label,
                        void (*write)(StrBuf *, const Node *))
{
    const Property *property = node_get(node, term);

    for (size_t i = 0; property && i < property->count; i++) {
        write_row(out, label);
        write(out, property->values[i].node);
        strbuf_append_cstr(out, "</dd>\n");
    }
}

/* --- facts ---------------------------------------------------------------------------------------------------------
 */
static void write_facts(StrBuf *out, const Node *node, const Zone *zone, int level);

static void write_value(StrBuf *out, const Term *term, const Value *value, const Zone *zone, int level)
{
    switch (term->kind) {
    case KIND_NODE:
        if (value->node->id.len > 0 || level == DEPTH_MAX)
            write_reference(out, value->node);
        else {
            strbuf_append_cstr(out, "<dl>\n");
            write_facts(out, value->node, zone, level + 1);
            strbuf_append_cstr(out, "</dl>");
        }
        break;
    case KIND_IRI:
        if (slice_starts_with(value->text, SLICE_LIT(SCHEMA_IRI)))
            html_label(out, local_name(value->text));
        else
            html_link(out, value->text, value->text, "nofollow");
        break;
    case KIND_NUMBER:
        node_write_number(out, value->number);
        break;
    case KIND_INTEGER:
        strbuf_append_int64(out, value->integer);
        break;
    case KIND_BOOLEAN:
        strbuf_append_cstr(out, value->flag ? "yes" : "no");
        break;
    case KIND_DATE_TIME:
        page_write_time(out, value->text, zone);
        break;
    default:
        html_text(out, value->text);
    }
}

static void write_facts(StrBuf *out, const Node *node, const Zone *zone, int level)
{
    for (size_t i = 0; i < node->count; i++) {
        const Property *property = &node->properties[i];

        if (!(property->term->shown & SHOWN_DETAIL) || (level == 0 && is_told_above(property->term->id)))
            continue;
        strbuf_append_cstr(out, "<dt>");
        html_label(out, property->term->json);
        strbuf_append_cstr(out, "</dt>\n");
        for (size_t k = 0; k < property->count; k++) {
            strbuf_append_cstr(out, "<dd>");
            write_value(out, property->term, &property->values[k], zone, level);
            strbuf_append_cstr(out, "</dd>\n");
        }
    }
}

/* --- pages ---------------------------------------------------------------------------------------------------------
 */
/* Of texts that are in one language: for voices and for browsers that translate. */
static void open_language(StrBuf *out, const Node *node)
{
    const Property *languages = node_get(node, TERM_IN_LANGUAGE);

    strbuf_append_cstr(out, "<div");
    if (languages && languages->count == 1) {
        strbuf_append_cstr(out, " lang=\"");
        html_text(out, languages->values[0].text);
        strbuf_append_char(out, '"');
    }
    strbuf_append_cstr(out, ">\n");
}

static void write_heading(StrBuf *out, const Node *node)
{
    Slice status = local_name(node_text(node, TERM_EVENT_STATUS));

    strbuf_append_cstr(out, "<h1>");
    html_text(out, node_text(node, TERM_NAME));
    strbuf_append_cstr(out, "</h1>\n");
    if (status.len == 0 || slice_eq_cstr(status, "EventScheduled"))
        return;
    strbuf_append_cstr(out, "<p class=\"status\">");
    html_label(out, slice_starts_with(status, SLICE_LIT("Event")) ? slice_skip(status, 5) : status);
    strbuf_append_cstr(out, "</p>\n");
}

static void write_dates(StrBuf *out, const Node *node, const Zone *zone)
{
    const Property *parts = node_get(node, TERM_SUB_EVENT);

    if (!parts || parts->count < 2)
        return;
    strbuf_append_cstr(out, "<h2>Dates</h2>\n<ul>\n");
    for (size_t i = 0; i < parts->count; i++) {
        const Node *part = parts->values[i].node;
        Slice status = local_name(node_text(part, TERM_EVENT_STATUS));

        strbuf_append_cstr(out, "<li>");
        write_times(out, part, zone);
        if (status.len > 0 && !slice_eq_cstr(status, "EventScheduled")) {
            strbuf_append_cstr(out, " (");
            html_label(out, slice_starts_with(status, SLICE_LIT("Event")) ? slice_skip(status, 5) : status);
            strbuf_append_char(out, ')');
        }
        strbuf_append_cstr(out, "</li>\n");
    }
    strbuf_append_cstr(out, "</ul>\n");
}

void page_write_node(StrBuf *out, const Events *events, const Node *node)
{
    const Zone *zone = zone_of(events, node);

    open_language(out, node);
    write_heading(out, node);
    html_paragraphs(out, node_text(node, TERM_DESCRIPTION));
    strbuf_append_cstr(out, "</div>\n<dl>\n");
    if (node_get(node, TERM_START_DATE)) {
        write_row(out, "When");
        write_times(out, node, zone);
        strbuf_append_cstr(out, "</dd>\n");
    }
    write_nodes(out, node, TERM_LOCATION, "Where", write_where);
    write_nodes(out, node, TERM_ORGANIZER, "Organiser", write_reference);
    write_nodes(out, node, TERM_ADDRESS, "Address", write_address);
    write_nodes(out, node, TERM_GEO, "Position", write_map_link);
    write_facts(out, node, zone, 0);
    if (node_get(node, TERM_LICENSE)) {
        write_row(out, "License");
        html_link(out, node_text(node, TERM_LICENSE), node_text(node, TERM_LICENSE), "license");
        strbuf_append_cstr(out, "</dd>\n");
    }
    strbuf_append_cstr(out, "</dl>\n");
    write_dates(out, node, zone);
}

void page_write_tombstone(StrBuf *out, const Node *node)
{
    Slice successor = node_text(node, TERM_SUPERSEDED_BY);

    strbuf_append_cstr(out, "<h1>");
    html_text(out, node_get(node, TERM_NAME) ? node_text(node, TERM_NAME) : SLICE_LIT("Gone"));
    strbuf_append_cstr(out, "</h1>\n<p class=\"status\">Gone</p>\n<dl>\n");
    write_row(out, "Since");
    page_write_time(out, node_text(node, TERM_DELETED_AT), NULL);
    strbuf_append_cstr(out, "</dd>\n");
    if (node_get(node, TERM_DELETION_REASON)) {
        write_row(out, "Why");
        html_text(out, node_text(node, TERM_DELETION_REASON));
        strbuf_append_cstr(out, "</dd>\n");
    }
    if (successor.len > 0) {
        write_row(out, "Now");
        html_link(out, successor, successor, NULL);
        strbuf_append_cstr(out, "</dd>\n");
    }
    strbuf_append_cstr(out, "</dl>\n");
}

void page_write_events(StrBuf *out, const Events *events, const ListedEvent *list, size_t count, const char *target)
{
    if (count == 0) {
        strbuf_append_cstr(out, "<p>None are known.</p>\n");
        return;
    }
    strbuf_append_cstr(out, "<ul class=\"events\">\n");
    for (size_t i = 0; i < count; i++) {
        const Node *place;
        Node *node;

        if (!node_read(out->mem, list[i].card, &node))
            continue; /* of a version to come */
        strbuf_printf(out, "<li><a%s href=\"%s\">", target, entity_uri(out->mem, events, ENTITY_EVENT, list[i].id));
        html_text(out, node_text(node, TERM_NAME));
        strbuf_append_cstr(out, "</a><br>");
        page_write_time(out, slice(utc_text(out->mem, list[i].start_us)),
                        events->zones ? zones_find(events->zones, slice(list[i].timezone)) : NULL);
        place = node_node(node, TERM_LOCATION);
        if (place) {
            strbuf_append_cstr(out, ", ");
            html_text(out, place->type->family == FAMILY_VIRTUAL ? SLICE_LIT("online") : node_text(place, TERM_NAME));
        }
        strbuf_append_cstr(out, "</li>\n");
    }
    strbuf_append_cstr(out, "</ul>\n");
}
