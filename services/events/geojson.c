#include "services/events/geojson.h"

#include "services/events/node.h"

/* Of a place, or of the first of several that has a position. */
static const Node *position_of(const Node *event)
{
    const Property *places = node_get(event, TERM_LOCATION);

    for (size_t i = 0; places && i < places->count; i++) {
        const Node *geo = node_node(places->values[i].node, TERM_GEO);

        if (geo && node_get(geo, TERM_LATITUDE) && node_get(geo, TERM_LONGITUDE))
            return geo;
    }
    return NULL;
}

static void write_text(StrBuf *out, const char *name, Slice text)
{
    if (text.len == 0)
        return;
    strbuf_printf(out, ",\"%s\":", name);
    strbuf_append_json(out, text);
}

static void write_feature(StrBuf *out, const Events *events, const ListedEvent *event, const Node *node)
{
    const Node *geo = position_of(node), *place = node_node(node, TERM_LOCATION);

    strbuf_append_cstr(out, "{\"type\":\"Feature\",\"geometry\":");
    if (geo) { /* longitude first, as the standard has it */
        strbuf_append_cstr(out, "{\"type\":\"Point\",\"coordinates\":[");
        node_write_number(out, node_number(geo, TERM_LONGITUDE));
        strbuf_append_char(out, ',');
        node_write_number(out, node_number(geo, TERM_LATITUDE));
        strbuf_append_cstr(out, "]}");
    } else
        strbuf_append_cstr(out, "null");
    strbuf_printf(out, ",\"properties\":{\"@id\":\"%s\"", entity_uri(out->mem, events, ENTITY_EVENT, event->id));
    write_text(out, "name", node_text(node, TERM_NAME));
    write_text(out, "startDate", slice(utc_text(out->mem, event->start_us)));
    if (event->end_us)
        write_text(out, "endDate", slice(utc_text(out->mem, event->end_us)));
    write_text(out, "timezone", slice(event->timezone));
    write_text(out, "eventStatus", node_text(node, TERM_EVENT_STATUS));
    if (place)
        write_text(out, "place", node_text(place, TERM_NAME));
    write_text(out, "url", node_text(node, TERM_URL));
    strbuf_append_cstr(out, "}}");
}

void geojson_write(StrBuf *out, const Events *events, const ListedEvent *list, size_t count)
{
    bool first = true;

    strbuf_append_cstr(out, "{\"type\":\"FeatureCollection\",\"features\":[");
    for (size_t i = 0; i < count; i++) {
        Node *node;

        if (!node_read(out->mem, list[i].card, &node))
            continue;
        strbuf_append_cstr(out, first ? "\n" : ",\n");
        write_feature(out, events, &list[i], node);
        first = false;
    }
    strbuf_append_cstr(out, "]}\n");
}
