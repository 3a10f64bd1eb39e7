/* pages: events, places, organisations and series by their own addresses, in the format that was asked for. */
#include "services/events/pages.h"

#include "atrium/events/v1/pages.service.h"
#include "services/events/calendar.h"
#include "services/events/context.h"
#include "services/events/rdf.h"
#include "services/events/rich.h"
#include "services/events/shapes.h"
#include "shared/sha256.h"

static const unsigned SHOWN = SHOWN_DETAIL | SHOWN_LISTS;

/* What is at an address. */
typedef struct Subject {
    const char *uri;
    Slice json; /* its document, with context */
    Node *node; /* the same */
    bool gone;
    const char *title;       /* where the node has no name */
    const ListedEvent *list; /* of events at it, by it, in it */
    size_t count;
    bool lists; /* it has such a list */
} Subject;

/* --- answers -------------------------------------------------------------------------------------------------------
 */
void page_open_to_all(Request *rq)
{
    request_set_header(rq, "Access-Control-Allow-Origin", "*");
}

bool page_is_known(Request *rq, const char *etag)
{
    request_set_header(rq, "ETag", etag);
    if (!etag_is_known(rq, etag))
        return false;
    request_set_status(rq, 304);
    return true;
}

char *page_etag(Arena *mem, Slice bytes)
{
    char hex[SHA256_HEX_BYTES];

    sha256_hex_of(bytes, hex);
    return arena_printf(mem, "\"%.32s\"", hex);
}

/* --- which format --------------------------------------------------------------------------------------------------
 */
/* The id without its suffix, and the format that this or the Accept header says. */
static Err choose_format(Request *rq, const char *id, bool calendar, Slice *out_id, Format *out)
{
    static const Format WITH_CALENDAR[] = {FORMAT_HTML, FORMAT_TURTLE, FORMAT_NTRIPLES, FORMAT_CALENDAR, FORMAT_JSONLD};
    static const Format WITHOUT[] = {FORMAT_HTML, FORMAT_TURTLE, FORMAT_NTRIPLES, FORMAT_JSONLD};

    *out_id = slice(id);
    request_set_header(rq, "Vary", "Accept");
    page_open_to_all(rq);
    if (format_by_suffix(out_id, out)) {
        if (*out == FORMAT_HTML || *out == FORMAT_TURTLE || *out == FORMAT_NTRIPLES || *out == FORMAT_JSONLD ||
            (*out == FORMAT_CALENDAR && calendar))
            return OK;
        return err_make(&NOT_FOUND, "there is no such representation");
    }
    if (negotiate_page(request_header(rq, "accept"), calendar ? WITH_CALENDAR : WITHOUT,
                       calendar ? ARRAY_LEN(WITH_CALENDAR) : ARRAY_LEN(WITHOUT), out))
        return OK;
    return err_make(&NOT_ACCEPTABLE, "html, turtle, n-triples%s or JSON-LD", calendar ? ", calendar" : "");
}

/* --- how it looks --------------------------------------------------------------------------------------------------
 */
/* For people, too: to their calendars, to their readers of feeds, and as data. */
static void write_formats(StrBuf *out, const Subject *s, const HtmlLink *links, size_t count)
{
    if (s->node->type->family == FAMILY_EVENT)
        strbuf_printf(out, "<p><a href=\"%s.ics\">Add to a calendar</a></p>\n", s->uri);
    if (s->lists)
        strbuf_printf(out, "<p>Its events as a <a href=\"%s/events.ics\">calendar</a></p>\n", s->uri);
    strbuf_append_cstr(out, "<p>As data:");
    for (size_t i = 0; i < count; i++)
        strbuf_printf(out, " <a href=\"%s\">%s</a>", links[i].href, links[i].type);
    strbuf_append_cstr(out, "</p>\n");
}

static void write_html(const Events *events, const Subject *s, StrBuf *out)
{
    const char *home = events->settings->base_url;
    Slice name = node_text(s->node, TERM_NAME);
    HtmlLink links[HTML_LINKS_MAX];
    size_t count = 0;
    HtmlPage page = {.title = name.len > 0 ? name : slice(s->title),
                     .site = events->settings->site_name,
                     .summary = node_text(s->node, TERM_DESCRIPTION),
                     .canonical = s->uri,
                     .kind = s->node->type->family == FAMILY_EVENT ? "event" : NULL,
                     .image = node_text(s->node, TERM_IMAGE),
                     .json_ld = s->json,
                     .links = links,
                     .unlisted = s->gone};
    static const Format ALTERNATES[] = {FORMAT_JSONLD, FORMAT_TURTLE, FORMAT_NTRIPLES, FORMAT_CALENDAR};

    for (size_t i = 0; i < ARRAY_LEN(ALTERNATES) && !s->gone; i++)
        if (ALTERNATES[i] != FORMAT_CALENDAR || s->node->type->family == FAMILY_EVENT) {
            Slice type, rest;

            (void)slice_cut(slice(format_content_type(ALTERNATES[i])), ';', &type, &rest);
            links[count++] = (HtmlLink){
                .rel = "alternate",
                .type = slice_cstr(out->mem, type),
                .href = arena_printf(out->mem, "%s%s", s->uri, format_suffix(ALTERNATES[i])),
            };
        }
    if (s->lists && !s->gone) {
        links[count++] = (HtmlLink){.rel = "alternate",
                                    .type = "application/atom+xml",
                                    .href = arena_printf(out->mem, "%s/events.atom", s->uri),
                                    .title = "Events"};
        links[count++] = (HtmlLink){.rel = "alternate",
                                    .type = "application/feed+json",
                                    .href = arena_printf(out->mem, "%s/events.json", s->uri),
                                    .title = "Events"};
    }
    page.link_count = count;
    html_open(out, &page, home);
    if (s->gone)
        page_write_tombstone(out, s->node);
    else
        page_write_node(out, events, s->node);
    if (!s->gone)
        write_formats(out, s, links, count);
    if (s->lists && !s->gone) {
        strbuf_append_cstr(out, "<h2>Coming events</h2>\n");
        page_write_events(out, events, s->list, s->count, "");
    }
    html_close(out, &page, home);
}

static Err answer(Request *rq, const Subject *s, Format format, Atrium__HttpBody *out)
{
    StrBuf body = strbuf_new(rq->mem, PAGE_BODY_MAX_BYTES);
    RdfWriter w;

    if (s->gone)
        request_set_status(rq, 410);
    if (format == FORMAT_HTML) {
        request_set_header(rq, "Content-Security-Policy", HTML_POLICY);
        write_html(rq->service, s, &body);
    } else if (format == FORMAT_TURTLE || format == FORMAT_NTRIPLES) {
        w = rdf_begin(&body, format == FORMAT_TURTLE ? RDF_TURTLE : RDF_NTRIPLES, s->gone ? SHOWN_TOMBSTONE : SHOWN);
        rdf_write(&w, s->node);
    } else
        strbuf_append(&body, s->json);
    /* A page with a list in it is known by its bytes alone. */
    if (s->lists && format == FORMAT_HTML && !s->gone && page_is_known(rq, page_etag(rq->mem, strbuf_slice(&body))))
        return OK;
    return answer_body(&body, format_content_type(format), out);
}

/* --- events, places, organisations ---------------------------------------------------------------------------------
 */
static Err describe(Request *rq, const Document *d, Subject *s)
{
    const Events *events = rq->service;
    StrBuf json = strbuf_new(rq->mem, PAGE_BODY_MAX_BYTES);

    s->gone = d->deleted_us != 0;
    document_write(&json, events, d, document_context(events, d), SLICE_LIT(""));
    if (!strbuf_finish(&json, &s->json) || !node_read(rq->mem, s->json, &s->node))
        return err_make(&INTERNAL, "a stored document cannot be read");
    return OK;
}

static Err answer_entity(Request *rq, EntityKind kind, const Events__V1__GetPageRequest *in, Atrium__HttpBody *out)
{
    Subject s = {.title = "Untitled", .lists = kind != ENTITY_EVENT};
    Document d;
    Format format;
    Slice id;

    TRY(choose_format(rq, in->id ? in->id : "", kind == ENTITY_EVENT, &id, &format));
    if (format == FORMAT_CALENDAR)
        return calendar_of_event(rq, slice_cstr(rq->mem, id), false, out);
    TRY(document_find(rq, kind, slice_cstr(rq->mem, id), &d));
    s.uri = entity_uri(rq->mem, rq->service, kind, d.id);
    if (!(s.lists && format == FORMAT_HTML) && document_is_known(rq, &d, format_suffix(format) + 1)) {
        request_set_status(rq, 304);
        return OK;
    }
    TRY(describe(rq, &d, &s));
    if (s.lists && format == FORMAT_HTML && !s.gone)
        TRY(pages_store_upcoming(rq, kind == ENTITY_PLACE ? LISTED_BY_PLACE : LISTED_BY_ORGANIZATION, d.id,
                                 clock_unix_us(rq->clock), PAGE_EVENTS_MAX, (ListedEvent **)&s.list, &s.count));
    return answer(rq, &s, format, out);
}

Err events_v1_get_event_page(Request *rq, const Events__V1__GetPageRequest *in, Atrium__HttpBody *out)
{
    return answer_entity(rq, ENTITY_EVENT, in, out);
}

Err events_v1_get_place_page(Request *rq, const Events__V1__GetPageRequest *in, Atrium__HttpBody *out)
{
    return answer_entity(rq, ENTITY_PLACE, in, out);
}

Err events_v1_get_organization_page(Request *rq, const Events__V1__GetPageRequest *in, Atrium__HttpBody *out)
{
    return answer_entity(rq, ENTITY_ORGANIZATION, in, out);
}

/* --- series --------------------------------------------------------------------------------------------------------
 */
/* A series is what its events say of it: their schedule, place and image are its own. */
static void describe_series(Request *rq, const SeriesRow *row, Subject *s)
{
    static const TermId SHARED[] = {TERM_EVENT_SCHEDULE, TERM_LOCATION, TERM_IMAGE, TERM_LICENSE};
    Node *series = node_new(rq->mem, CLASS_EVENT_SERIES, slice(s->uri)), *event;

    node_add_text(rq->mem, series, TERM_NAME, slice(row->name));
    if (row->start_us)
        node_add_text(rq->mem, series, TERM_START_DATE, slice(utc_text(rq->mem, row->start_us)));
    if (row->end_us)
        node_add_text(rq->mem, series, TERM_END_DATE, slice(utc_text(rq->mem, row->end_us)));
    for (size_t i = 0; i < s->count; i++) {
        if (!node_read(rq->mem, s->list[i].card, &event))
            continue;
        for (size_t k = 0; k < ARRAY_LEN(SHARED) && i == 0; k++) {
            const Property *p = node_get(event, SHARED[k]);

            for (size_t v = 0; p && v < p->count; v++)
                if (p->term->kind == KIND_NODE)
                    node_add_node(rq->mem, series, SHARED[k], p->values[v].node);
                else
                    node_add_text(rq->mem, series, SHARED[k], p->values[v].text);
        }
        node_add_text(rq->mem, event, TERM_START_DATE, slice(utc_text(rq->mem, s->list[i].start_us)));
        node_clear(event, TERM_EVENT_SCHEDULE);
        node_clear(event, TERM_DESCRIPTION);
        node_add_node(rq->mem, series, TERM_SUB_EVENT, event);
    }
    node_add_text(rq->mem, series, TERM_DATE_MODIFIED, slice(utc_text(rq->mem, row->updated_us)));
    s->node = series;
}

Err events_v1_get_series_page(Request *rq, const Events__V1__GetPageRequest *in, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    Subject s = {.title = "Series", .lists = true};
    StrBuf json = strbuf_new(rq->mem, PAGE_BODY_MAX_BYTES);
    SeriesRow row;
    Format format;
    Uuid key;
    Slice id;

    TRY(choose_format(rq, in->id ? in->id : "", false, &id, &format));
    TRY(ulid_of_path(rq, slice_cstr(rq->mem, id), &key));
    TRY(pages_store_series(rq, key, &row));
    if (uuid_is_nil(row.id))
        return err_make(&NOT_FOUND, "there is no such series");
    TRY(pages_store_upcoming(rq, LISTED_BY_SERIES, key, clock_unix_us(rq->clock), PAGE_EVENTS_MAX,
                             (ListedEvent **)&s.list, &s.count));
    s.uri = arena_printf(rq->mem, "%s/series/%s", events->settings->base_url, ulid_text(rq->mem, key));
    describe_series(rq, &row, &s);
    node_write_json(&json, s.node,
                    &(NodeWriting){.shown = SHOWN, .context = events->contexts->inlined[CONTEXT_SERIES]});
    if (!strbuf_finish(&json, &s.json))
        return err_make(&INTERNAL, "a series is too large");
    return answer(rq, &s, format, out);
}

/* --- quality -------------------------------------------------------------------------------------------------------
 */
static void add_finding(Request *rq, Events__V1__GetQualityReply *out, bool is_error, const char *pointer,
                        const char *message)
{
    Events__V1__QualityFinding *finding =
        MESSAGE_NEW(rq->mem, Events__V1__QualityFinding, events__v1__quality_finding__init);

    finding->severity = is_error ? "error" : "warning";
    finding->pointer = (char *)(uintptr_t)pointer;
    finding->message = (char *)(uintptr_t)message;
    out->errors += is_error;
    out->warnings += !is_error;
    out->findings[out->n_findings++] = finding;
}

Err events_v1_get_quality(Request *rq, const Events__V1__GetQualityRequest *in, Events__V1__GetQualityReply *out)
{
    Subject s = {.title = ""};
    ShapeFault *faults;
    RichFinding *list;
    size_t fault_count, count;
    Document d;

    TRY(document_find(rq, ENTITY_EVENT, in->id, &d));
    if (d.deleted_us)
        return err_make(&EVENT_DELETED, "it is gone");
    TRY(describe(rq, &d, &s));
    fault_count = shapes_check(rq->mem, s.node, &faults);
    count = rich_check(rq->mem, s.node, &list);
    out->uri = entity_uri(rq->mem, rq->service, ENTITY_EVENT, d.id);
    out->findings = ARENA_ARRAY(rq->mem, Events__V1__QualityFinding *, fault_count + count + 1);
    SET(out, errors, 0);
    SET(out, warnings, 0);
    for (size_t i = 0; i < fault_count; i++)
        add_finding(rq, out, true, slice_cstr(rq->mem, faults[i].pointer), faults[i].message);
    for (size_t i = 0; i < count; i++)
        add_finding(rq, out, list[i].is_error, list[i].pointer, list[i].message);
    return OK;
}
