/* dataset: the commons as a whole, as DCAT 3 has it; and the shapes of its documents. */
#include "atrium/events/v1/pages.service.h"
#include "services/events/pages.h"
#include "services/events/rdf.h"
#include "services/events/shapes.h"

enum { DATASET_MAX_BYTES = 64 * 1024 };

#define DCAT_IRI "http://www.w3.org/ns/dcat#"
#define DCT_IRI "http://purl.org/dc/terms/"
#define DESCRIPTION "Public events, places and organisations of this node, with their changes."

/* Ways to get the data: below the base. */
static const struct {
    const char *path, *title, *type;
} DISTRIBUTIONS[] = {
    {"/api/v1/exports/events.ndjson", "All events, a JSON-LD document a line", "application/x-ndjson"},
    {"/api/v1/exports/events.jsonld", "All events as JSON-LD", "application/ld+json"},
    {"/api/v1/exports/events.ttl", "All events as Turtle", "text/turtle"},
    {"/api/v1/exports/events.nt", "All events as N-Triples", "application/n-triples"},
    {"/api/v1/exports/events.ics", "All occurrences as a calendar", "text/calendar"},
    {"/api/v1/events.ics", "Coming events as a calendar", "text/calendar"},
    {"/api/v1/events", "Events by filters, in pages", "application/json"},
    {"/api/v1/feeds/changes", "What changed since a cursor", "application/json"},
};

static void write_json(StrBuf *out, const EventsSettings *settings)
{
    const char *base = settings->base_url;

    strbuf_printf(out,
                  "{\"@context\":{\"dcat\":\"" DCAT_IRI "\",\"dct\":\"" DCT_IRI "\"},\"@type\":\"dcat:Dataset\","
                  "\"@id\":\"%s/dataset\",\"dct:title\":",
                  base);
    strbuf_append_json(out, slice(settings->site_name));
    strbuf_printf(out,
                  ",\"dct:description\":\"" DESCRIPTION "\",\"dct:license\":{\"@id\":\"" CC0_IRI "\"},"
                  "\"dct:conformsTo\":{\"@id\":\"%s/shapes/event.ttl\"},\"dcat:landingPage\":{\"@id\":\"%s/events\"},"
                  "\"dcat:distribution\":[",
                  base, base);
    for (size_t i = 0; i < ARRAY_LEN(DISTRIBUTIONS); i++)
        strbuf_printf(out,
                      "%s{\"@type\":\"dcat:Distribution\",\"@id\":\"%s/dataset#%zu\",\"dct:title\":\"%s\","
                      "\"dcat:accessURL\":{\"@id\":\"%s%s\"},\"dct:license\":{\"@id\":\"" CC0_IRI
                      "\"},\"dcat:mediaType\":{\"@id\":\"https://www.iana.org/assignments/media-types/%s\"}}",
                      i > 0 ? "," : "", base, i + 1, DISTRIBUTIONS[i].title, base, DISTRIBUTIONS[i].path,
                      DISTRIBUTIONS[i].type);
    strbuf_append_cstr(out, "]}\n");
}

static void write_turtle(StrBuf *out, const EventsSettings *settings)
{
    const char *base = settings->base_url;

    strbuf_printf(out,
                  "@prefix dcat: <" DCAT_IRI "> .\n@prefix dct: <" DCT_IRI "> .\n\n<%s/dataset> a dcat:Dataset ;\n"
                  "    dct:title \"",
                  base);
    rdf_escape(out, slice(settings->site_name));
    strbuf_printf(out,
                  "\" ;\n    dct:description \"" DESCRIPTION "\" ;\n    dct:license <" CC0_IRI "> ;\n"
                  "    dct:conformsTo <%s/shapes/event.ttl> ;\n    dcat:landingPage <%s/events> ;\n"
                  "    dcat:distribution ",
                  base, base);
    for (size_t i = 0; i < ARRAY_LEN(DISTRIBUTIONS); i++)
        strbuf_printf(out, "%s<%s/dataset#%zu>", i > 0 ? ", " : "", base, i + 1);
    strbuf_append_cstr(out, " .\n");
    for (size_t i = 0; i < ARRAY_LEN(DISTRIBUTIONS); i++)
        strbuf_printf(out,
                      "<%s/dataset#%zu> a dcat:Distribution ;\n    dct:title \"%s\" ;\n    dcat:accessURL <%s%s> ;\n"
                      "    dct:license <" CC0_IRI "> ;\n"
                      "    dcat:mediaType <https://www.iana.org/assignments/media-types/%s> .\n",
                      base, i + 1, DISTRIBUTIONS[i].title, base, DISTRIBUTIONS[i].path, DISTRIBUTIONS[i].type);
}

static void write_html(StrBuf *out, const EventsSettings *settings)
{
    const char *base = settings->base_url;
    const HtmlLink links[] = {
        {.rel = "alternate", .type = "application/ld+json", .href = arena_printf(out->mem, "%s/dataset", base)},
        {.rel = "alternate", .type = "text/turtle", .href = arena_printf(out->mem, "%s/dataset", base)}};
    StrBuf json = strbuf_new(out->mem, DATASET_MAX_BYTES);
    HtmlPage page;

    write_json(&json, settings);
    page = (HtmlPage){.title = SLICE_LIT("Data"),
                      .site = settings->site_name,
                      .summary = SLICE_LIT(DESCRIPTION),
                      .canonical = links[0].href,
                      .json_ld = strbuf_slice(&json),
                      .links = links,
                      .link_count = ARRAY_LEN(links)};
    html_open(out, &page, base);
    strbuf_append_cstr(out, "<h1>Data</h1>\n<p>" DESCRIPTION "</p>\n<ul>\n");
    for (size_t i = 0; i < ARRAY_LEN(DISTRIBUTIONS); i++)
        strbuf_printf(out, "<li><a href=\"%s%s\">%s</a> (%s)</li>\n", base, DISTRIBUTIONS[i].path,
                      DISTRIBUTIONS[i].title, DISTRIBUTIONS[i].type);
    strbuf_printf(out, "</ul>\n<p>Documents conform to <a href=\"%s/shapes/event.ttl\">these shapes</a>.</p>\n", base);
    html_close(out, &page, base);
}

Err events_v1_get_dataset(Request *rq, const Events__V1__GetDatasetRequest *in, Atrium__HttpBody *out)
{
    static const Format OFFERED[] = {FORMAT_HTML, FORMAT_TURTLE, FORMAT_JSONLD};
    const Events *events = rq->service;
    StrBuf body = strbuf_new(rq->mem, DATASET_MAX_BYTES);
    Format format;

    (void)in;
    request_set_header(rq, "Vary", "Accept");
    page_open_to_all(rq);
    if (!negotiate_page(request_header(rq, "accept"), OFFERED, ARRAY_LEN(OFFERED), &format))
        return err_make(&NOT_ACCEPTABLE, "html, turtle or JSON-LD");
    if (format == FORMAT_HTML) {
        request_set_header(rq, "Content-Security-Policy", HTML_POLICY);
        write_html(&body, events->settings);
    } else if (format == FORMAT_TURTLE)
        write_turtle(&body, events->settings);
    else
        write_json(&body, events->settings);
    return answer_body(&body, format_content_type(format), out);
}

Err events_v1_get_shapes(Request *rq, const Events__V1__GetShapesRequest *in, Atrium__HttpBody *out)
{
    static const struct {
        const char *name;
        Family family;
    } SHAPES[] = {{"event.ttl", FAMILY_EVENT}, {"place.ttl", FAMILY_PLACE}, {"organization.ttl", FAMILY_ORGANIZATION}};
    StrBuf body = strbuf_new(rq->mem, PAGE_BODY_MAX_BYTES);

    for (size_t i = 0; i < ARRAY_LEN(SHAPES); i++)
        if (in->name && strcmp(in->name, SHAPES[i].name) == 0) {
            shapes_write(&body, SHAPES[i].family);
            page_open_to_all(rq);
            request_set_header(rq, "Cache-Control", "public, max-age=3600");
            if (page_is_known(rq, page_etag(rq->mem, strbuf_slice(&body))))
                return OK;
            return answer_body(&body, format_content_type(FORMAT_TURTLE), out);
        }
    return err_make(&NOT_FOUND, "event.ttl, place.ttl or organization.ttl");
}
