/* browse: see browse.h; and the pages that list. */
#include "services/events/browse.h"

#include "atrium/events/v1/pages.service.h"
#include "services/events/store_list.h"

enum { BROWSE_EVENTS = 50, WIDGET_EVENTS = 20, QUERY_MAX_BYTES = 16384 };

/* --- the filters ---------------------------------------------------------------------------------------------------
 */
typedef struct Filter {
    const char *name, *value;
} Filter;

enum { FILTERS_MAX = 19 };

static size_t filters_of(const Events__V1__ListEventsRequest *in, Filter out[FILTERS_MAX])
{
    const Filter all[FILTERS_MAX] = {
        {"q", in->q},
        {"startDate", in->start_date},
        {"endDate", in->end_date},
        {"domain", in->domain},
        {"keywords", in->keywords},
        {"locality", in->locality},
        {"mode", in->mode},
        {"free", in->free},
        {"price_max", in->price_max},
        {"venueId", in->venue_id},
        {"organizerId", in->organizer_id},
        {"state", in->state},
        {"bbox", in->bbox},
        {"near_lat", in->near_lat},
        {"near_lon", in->near_lon},
        {"radius", in->radius},
        {"occurrences", in->occurrences},
        {"updated_since", in->updated_since},
        {"sort", in->sort},
    };
    size_t count = 0;

    for (size_t i = 0; i < FILTERS_MAX; i++)
        if (all[i].value && all[i].value[0])
            out[count++] = all[i];
    return count;
}

static void write_encoded(StrBuf *out, Slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || strchr("-._~,", c))
            strbuf_append_char(out, (char)c);
        else
            strbuf_printf(out, "%%%02X", c);
    }
}

const char *browse_query(Arena *mem, const Events__V1__ListEventsRequest *in)
{
    StrBuf out = strbuf_new(mem, QUERY_MAX_BYTES);
    Filter filters[FILTERS_MAX];
    size_t count = filters_of(in, filters);
    Slice text;

    for (size_t i = 0; i < count; i++) {
        strbuf_printf(&out, "%c%s=", i == 0 ? '?' : '&', filters[i].name);
        write_encoded(&out, slice(filters[i].value));
    }
    return strbuf_finish(&out, &text) ? text.ptr : "";
}

Err browse_list(Request *rq, const Events__V1__ListEventsRequest *in, int64_t limit, Listing *out)
{
    EventFilter filter;
    EventList rows;

    TRY(filter_read(rq, in, &filter));
    if (!in->limit || !in->limit[0])
        filter.limit = limit;
    TRY(events_store_list(rq, &filter, &rows));
    *out = (Listing){.list = ARENA_ARRAY(rq->mem, ListedEvent, rows.count + 1),
                     .count = rows.count,
                     .next = event_list_cursor(rq->mem, &filter, &rows)};
    for (size_t i = 0; i < rows.count; i++)
        out->list[i] = (ListedEvent){.id = rows.rows[i].event_id,
                                     .card = rows.rows[i].card,
                                     .start_us = rows.rows[i].start_us,
                                     .end_us = rows.rows[i].end_us,
                                     .timezone = rows.rows[i].timezone,
                                     .updated_us = rows.rows[i].updated_us};
    return OK;
}

/* --- the form ------------------------------------------------------------------------------------------------------
 */
static void write_input(StrBuf *out, const char *name, const char *label, const char *type, const char *value)
{
    strbuf_printf(out, "<div><label for=\"%s\">%s</label><input id=\"%s\" name=\"%s\" type=\"%s\" value=\"", name,
                  label, name, name, type);
    html_text(out, slice(value));
    strbuf_append_cstr(out, "\"></div>\n");
}

static void write_choice(StrBuf *out, const char *name, const char *label, const char *const *words, size_t count,
                         const char *value)
{
    strbuf_printf(out, "<div><label for=\"%s\">%s</label><select id=\"%s\" name=\"%s\"><option value=\"\">any</option>",
                  name, label, name, name);
    for (size_t i = 0; i < count; i++)
        strbuf_printf(out, "<option%s>%s</option>", value && strcmp(value, words[i]) == 0 ? " selected" : "", words[i]);
    strbuf_append_cstr(out, "</select></div>\n");
}

static void write_form(StrBuf *out, const char *base, const Events__V1__ListEventsRequest *in)
{
    static const char *const DOMAINS[] = {"arts", "community", "culture", "education", "general", "music", "sports"};
    static const char *const MODES[] = {"offline", "online", "mixed"};

    strbuf_printf(out, "<form action=\"%s/events\" method=\"get\" role=\"search\">\n", base);
    write_input(out, "q", "Words", "search", in->q);
    write_input(out, "startDate", "From", "date", in->start_date);
    write_input(out, "endDate", "To", "date", in->end_date);
    write_choice(out, "domain", "Kind", DOMAINS, ARRAY_LEN(DOMAINS), in->domain);
    write_choice(out, "mode", "Where", MODES, ARRAY_LEN(MODES), in->mode);
    write_input(out, "locality", "Town", "text", in->locality);
    write_input(out, "keywords", "Keywords", "text", in->keywords);
    strbuf_printf(out,
                  "<div><label for=\"free\">Free</label><input id=\"free\" name=\"free\" type=\"checkbox\" "
                  "value=\"true\"%s></div>\n<div><button type=\"submit\">Search</button></div>\n</form>\n",
                  in->free && strcmp(in->free, "true") == 0 ? " checked" : "");
}

/* --- the pages -----------------------------------------------------------------------------------------------------
 */
static void write_next(StrBuf *out, const char *path, const char *query, const char *next)
{
    if (!next[0])
        return;
    strbuf_append_cstr(out, "<p><a rel=\"next\" href=\"");
    html_text(out, slice(path));
    html_text(out, slice(query));
    strbuf_append_cstr(out, query[0] ? "&amp;after=" : "?after=");
    write_encoded(out, slice(next));
    strbuf_append_cstr(out, "\">Later events</a></p>\n");
}

static void write_link(StrBuf *out, const char *base, const char *path, const char *query, const char *text)
{
    strbuf_printf(out, "<a href=\"%s%s", base, path);
    html_text(out, slice(query));
    strbuf_printf(out, "\">%s</a> ", text);
}

static Err answer_page(Request *rq, StrBuf *body, Atrium__HttpBody *out)
{
    request_set_header(rq, "Cache-Control", "public, max-age=60");
    if (page_is_known(rq, page_etag(rq->mem, strbuf_slice(body))))
        return OK;
    return answer_body(body, format_content_type(FORMAT_HTML), out);
}

Err events_v1_browse_events(Request *rq, const Events__V1__ListEventsRequest *in, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    const char *base = events->settings->base_url, *query = browse_query(rq->mem, in);
    const HtmlLink links[] = {
        {"alternate", "application/atom+xml", arena_printf(rq->mem, "%s/events.atom%s", base, query), "Events"},
        {"alternate", "application/feed+json", arena_printf(rq->mem, "%s/events.json%s", base, query), "Events"},
        {"alternate", "text/calendar", arena_printf(rq->mem, "%s/api/v1/events.ics%s", base, query), "Calendar"},
    };
    const HtmlPage page = {.title = SLICE_LIT("Coming events"),
                           .site = events->settings->site_name,
                           .summary = SLICE_LIT("What is on: events, places and organisations as open data."),
                           .canonical = arena_printf(rq->mem, "%s/events%s", base, query),
                           .links = links,
                           .link_count = ARRAY_LEN(links)};
    StrBuf body = strbuf_new(rq->mem, PAGE_BODY_MAX_BYTES);
    Listing listing;

    TRY(browse_list(rq, in, BROWSE_EVENTS, &listing));
    request_set_header(rq, "Content-Security-Policy", HTML_POLICY);
    html_open(&body, &page, base);
    strbuf_append_cstr(&body, "<h1>Coming events</h1>\n");
    write_form(&body, base, in);
    page_write_events(&body, events, listing.list, listing.count, "");
    write_next(&body, arena_printf(rq->mem, "%s/events", base), query, listing.next);
    strbuf_append_cstr(&body, "<p>This list as a ");
    write_link(&body, base, "/api/v1/events.ics", query, "calendar");
    write_link(&body, base, "/events.atom", query, "Atom feed");
    write_link(&body, base, "/widget", query, "widget for your own page");
    strbuf_append_cstr(&body, "</p>\n");
    html_close(&body, &page, base);
    return answer_page(rq, &body, out);
}

Err events_v1_get_widget(Request *rq, const Events__V1__ListEventsRequest *in, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    const char *base = events->settings->base_url, *query = browse_query(rq->mem, in);
    const HtmlPage page = {.title = SLICE_LIT("Coming events"),
                           .site = events->settings->site_name,
                           .canonical = arena_printf(rq->mem, "%s/events%s", base, query),
                           .unlisted = true,
                           .bare = true};
    StrBuf body = strbuf_new(rq->mem, PAGE_BODY_MAX_BYTES);
    Listing listing;

    TRY(browse_list(rq, in, WIDGET_EVENTS, &listing));
    request_set_header(rq, "Content-Security-Policy", HTML_WIDGET_POLICY);
    html_open(&body, &page, base);
    strbuf_append_cstr(&body, "<h1>Coming events</h1>\n");
    page_write_events(&body, events, listing.list, listing.count, " target=\"_blank\" rel=\"noopener\"");
    strbuf_append_cstr(&body, "<p>");
    strbuf_append_cstr(&body, "<a target=\"_blank\" rel=\"noopener\" href=\"");
    html_text(&body, slice(page.canonical));
    strbuf_append_cstr(&body, "\">All of them</a></p>\n");
    html_close(&body, &page, base);
    return answer_page(rq, &body, out);
}
