#include "services/events/syndication.h"

/* Of a feed without entries: it has to say something, and always the same. */
#define NEVER_UPDATED "1970-01-01T00:00:00Z"

static const char *latest_update(Arena *mem, const ListedEvent *list, size_t count)
{
    int64_t latest = 0;

    for (size_t i = 0; i < count; i++)
        latest = MAX(latest, list[i].updated_us);
    return latest ? utc_text(mem, latest) : NEVER_UPDATED;
}

/* "Wednesday,  1 July 2026, 19:00 UTC, Hall, Toronto", plain. */
static Slice summary_of(Arena *mem, const ListedEvent *event, const Node *node)
{
    StrBuf text = strbuf_new(mem, 8192);
    const Node *place = node_node(node, TERM_LOCATION), *address = place ? node_node(place, TERM_ADDRESS) : NULL;

    strbuf_append_cstr(&text, utc_text(mem, event->start_us));
    if (place) {
        strbuf_append_cstr(&text, ", ");
        strbuf_append(&text,
                      place->type->family == FAMILY_VIRTUAL ? node_text(place, TERM_URL) : node_text(place, TERM_NAME));
    }
    if (address && node_get(address, TERM_ADDRESS_LOCALITY)) {
        strbuf_append_cstr(&text, ", ");
        strbuf_append(&text, node_text(address, TERM_ADDRESS_LOCALITY));
    }
    return strbuf_slice(&text);
}

/* --- Atom ----------------------------------------------------------------------------------------------------------
 */
static void write_element(StrBuf *out, const char *name, Slice text)
{
    strbuf_printf(out, "<%s>", name);
    html_text(out, text); /* XML's own five are HTML's too */
    strbuf_printf(out, "</%s>\n", name);
}

static void write_link(StrBuf *out, const char *rel, const char *type, const char *href)
{
    strbuf_printf(out, "<link rel=\"%s\" type=\"%s\" href=\"", rel, type);
    html_text(out, slice(href));
    strbuf_append_cstr(out, "\"/>\n");
}

static void write_entry(StrBuf *out, const Events *events, const ListedEvent *event, const Node *node)
{
    const char *uri = entity_uri(out->mem, events, ENTITY_EVENT, event->id);
    const Property *keywords = node_get(node, TERM_KEYWORDS);

    strbuf_append_cstr(out, "<entry>\n");
    write_element(out, "id", slice(uri));
    write_element(out, "title", node_text(node, TERM_NAME));
    write_link(out, "alternate", "text/html", uri);
    write_element(out, "updated", slice(utc_text(out->mem, event->updated_us)));
    if (event->published_us)
        write_element(out, "published", slice(utc_text(out->mem, event->published_us)));
    write_element(out, "summary", summary_of(out->mem, event, node));
    if (node_get(node, TERM_LICENSE))
        write_element(out, "rights", node_text(node, TERM_LICENSE));
    for (size_t i = 0; keywords && i < keywords->count; i++) {
        strbuf_append_cstr(out, "<category term=\"");
        html_text(out, keywords->values[i].text);
        strbuf_append_cstr(out, "\"/>\n");
    }
    if (node_get(node, TERM_DESCRIPTION)) {
        strbuf_append_cstr(out, "<content type=\"text\">");
        html_text(out, node_text(node, TERM_DESCRIPTION));
        strbuf_append_cstr(out, "</content>\n");
    }
    strbuf_append_cstr(out, "</entry>\n");
}

void syndication_write_atom(StrBuf *out, const Events *events, const SyndicationHead *head, const ListedEvent *list,
                            size_t count)
{
    strbuf_append_cstr(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                            "<feed xmlns=\"http://www.w3.org/2005/Atom\">\n");
    write_element(out, "id", slice(head->self));
    write_element(out, "title", slice(head->title));
    write_element(out, "updated", slice(latest_update(out->mem, list, count)));
    write_link(out, "self", "application/atom+xml", head->self);
    write_link(out, "alternate", "text/html", head->page);
    strbuf_append_cstr(out, "<author>\n");
    write_element(out, "name", slice(head->site));
    strbuf_append_cstr(out, "</author>\n");
    for (size_t i = 0; i < count; i++) {
        Node *node;

        if (node_read(out->mem, list[i].card, &node))
            write_entry(out, events, &list[i], node);
    }
    strbuf_append_cstr(out, "</feed>\n");
}

/* --- JSON Feed -----------------------------------------------------------------------------------------------------
 */
static void write_member(StrBuf *out, const char *name, Slice text)
{
    strbuf_printf(out, ",\"%s\":", name);
    strbuf_append_json(out, text);
}

static void write_item(StrBuf *out, const Events *events, const ListedEvent *event, const Node *node)
{
    const char *uri = entity_uri(out->mem, events, ENTITY_EVENT, event->id);
    const Property *keywords = node_get(node, TERM_KEYWORDS);
    Slice summary = summary_of(out->mem, event, node);

    strbuf_append_cstr(out, "{\"id\":");
    strbuf_append_json(out, slice(uri));
    write_member(out, "url", slice(uri));
    write_member(out, "title", node_text(node, TERM_NAME));
    write_member(out, "summary", summary);
    write_member(out, "content_text", node_get(node, TERM_DESCRIPTION) ? node_text(node, TERM_DESCRIPTION) : summary);
    if (event->published_us)
        write_member(out, "date_published", slice(utc_text(out->mem, event->published_us)));
    write_member(out, "date_modified", slice(utc_text(out->mem, event->updated_us)));
    if (html_may_link(node_text(node, TERM_URL)))
        write_member(out, "external_url", node_text(node, TERM_URL));
    if (html_may_link(node_text(node, TERM_IMAGE)))
        write_member(out, "image", node_text(node, TERM_IMAGE));
    if (keywords) {
        strbuf_append_cstr(out, ",\"tags\":[");
        for (size_t i = 0; i < keywords->count; i++) {
            strbuf_append_cstr(out, i > 0 ? "," : "");
            strbuf_append_json(out, keywords->values[i].text);
        }
        strbuf_append_char(out, ']');
    }
    strbuf_append_cstr(out, ",\"_event\":{\"start\":");
    strbuf_append_json(out, slice(utc_text(out->mem, event->start_us)));
    if (event->end_us)
        write_member(out, "end", slice(utc_text(out->mem, event->end_us)));
    write_member(out, "timezone", slice(event->timezone));
    strbuf_append_cstr(out, "}}");
}

void syndication_write_json(StrBuf *out, const Events *events, const SyndicationHead *head, const ListedEvent *list,
                            size_t count)
{
    bool first = true;

    strbuf_append_cstr(out, "{\"version\":\"https://jsonfeed.org/version/1.1\"");
    write_member(out, "title", slice(head->title));
    write_member(out, "home_page_url", slice(head->page));
    write_member(out, "feed_url", slice(head->self));
    strbuf_append_cstr(out, ",\"authors\":[{\"name\":");
    strbuf_append_json(out, slice(head->site));
    strbuf_append_cstr(out, "}],\"items\":[");
    for (size_t i = 0; i < count; i++) {
        Node *node;

        if (!node_read(out->mem, list[i].card, &node))
            continue;
        strbuf_append_cstr(out, first ? "\n" : ",\n");
        write_item(out, events, &list[i], node);
        first = false;
    }
    strbuf_append_cstr(out, "]}\n");
}
