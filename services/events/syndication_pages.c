/* syndication_pages: Atom and JSON feeds of what comes: of all of it by filters, and at a place, by an organisation, in
 * a series. */
#include "atrium/events/v1/pages.service.h"
#include "services/events/browse.h"
#include "services/events/calendar.h"
#include "services/events/syndication.h"

enum { SYNDICATED_EVENTS_MAX = 100 };

static Err answer_feed(Request *rq, Format format, const SyndicationHead *head, const ListedEvent *list, size_t count,
                       Atrium__HttpBody *out)
{
    StrBuf body = strbuf_new(rq->mem, PAGE_BODY_MAX_BYTES);

    if (format == FORMAT_ATOM)
        syndication_write_atom(&body, rq->service, head, list, count);
    else
        syndication_write_json(&body, rq->service, head, list, count);
    page_open_to_all(rq);
    request_set_header(rq, "Cache-Control", "public, max-age=60");
    if (page_is_known(rq, page_etag(rq->mem, strbuf_slice(&body))))
        return OK;
    return answer_body(&body, format_content_type(format), out);
}

/* --- by filters ----------------------------------------------------------------------------------------------------
 */
static Err answer_filtered(Request *rq, const Events__V1__ListEventsRequest *in, Format format, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    const char *base = events->settings->base_url, *query = browse_query(rq->mem, in);
    const SyndicationHead head = {.title = arena_printf(rq->mem, "%s: coming events", events->settings->site_name),
                                  .site = events->settings->site_name,
                                  .self = arena_printf(rq->mem, "%s/events%s%s", base, format_suffix(format), query),
                                  .page = arena_printf(rq->mem, "%s/events%s", base, query)};
    Listing listing;

    TRY(browse_list(rq, in, SYNDICATED_EVENTS_MAX, &listing));
    return answer_feed(rq, format, &head, listing.list, listing.count, out);
}

Err events_v1_get_atom_feed(Request *rq, const Events__V1__ListEventsRequest *in, Atrium__HttpBody *out)
{
    return answer_filtered(rq, in, FORMAT_ATOM, out);
}

Err events_v1_get_json_feed(Request *rq, const Events__V1__ListEventsRequest *in, Atrium__HttpBody *out)
{
    return answer_filtered(rq, in, FORMAT_FEED_JSON, out);
}

/* --- of one entity -------------------------------------------------------------------------------------------------
 */
/* Whose feed it is: its name; NOT_FOUND, and GONE for what was there. */
static Err find_owner(Request *rq, ListedBy by, const char *id, Uuid *out_id, const char **out_name)
{
    SeriesRow series;
    Document d;

    if (by == LISTED_BY_SERIES) {
        TRY(ulid_of_path(rq, id, out_id));
        TRY(pages_store_series(rq, *out_id, &series));
        *out_name = series.name;
        return uuid_is_nil(series.id) ? err_make(&NOT_FOUND, "there is no such series") : OK;
    }
    TRY(document_find(rq, by == LISTED_BY_PLACE ? ENTITY_PLACE : ENTITY_ORGANIZATION, id, &d));
    *out_id = d.id;
    *out_name = d.name;
    return d.deleted_us ? err_make(&GONE, "it is gone") : OK;
}

/* The calendar of it has the address that lists have, so that there is one kind of calendars. */
static Err go_to_calendar(Request *rq, ListedBy by, Uuid id)
{
    const Events *events = rq->service;
    const char *base = events->settings->base_url, *ulid = ulid_text(rq->mem, id);

    request_set_status(rq, 307);
    request_set_header(rq, "Location",
                       by == LISTED_BY_SERIES ? arena_printf(rq->mem, "%s/api/v1/series/%s/ics", base, ulid)
                                              : arena_printf(rq->mem, "%s/api/v1/events.ics?%s=%s", base,
                                                             by == LISTED_BY_PLACE ? "venueId" : "organizerId", ulid));
    return OK;
}

static Err answer_of(Request *rq, ListedBy by, const char *collection, const Events__V1__GetFeedRequest *in,
                     Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    Slice name = slice(in->feed);
    ListedEvent *list;
    const char *title;
    SyndicationHead head;
    Format format;
    size_t count;
    Uuid id;

    if (!format_by_suffix(&name, &format) || !slice_eq_cstr(name, "events") ||
        (format != FORMAT_ATOM && format != FORMAT_JSON && format != FORMAT_CALENDAR))
        return err_make(&NOT_FOUND, "events.atom, events.json or events.ics");
    TRY(find_owner(rq, by, in->id, &id, &title));
    if (format == FORMAT_CALENDAR)
        return by == LISTED_BY_SERIES ? calendar_of_series(rq, in->id, false, out) : go_to_calendar(rq, by, id);
    if (format == FORMAT_JSON) /* the suffix of both */
        format = FORMAT_FEED_JSON;
    TRY(pages_store_upcoming(rq, by, id, clock_unix_us(rq->clock), SYNDICATED_EVENTS_MAX, &list, &count));
    head = (SyndicationHead){.title = title, .site = events->settings->site_name};
    head.page = arena_printf(rq->mem, "%s/%s/%s", events->settings->base_url, collection, ulid_text(rq->mem, id));
    head.self = arena_printf(rq->mem, "%s/events%s", head.page, format_suffix(format));
    return answer_feed(rq, format, &head, list, count, out);
}

Err events_v1_get_place_feed(Request *rq, const Events__V1__GetFeedRequest *in, Atrium__HttpBody *out)
{
    return answer_of(rq, LISTED_BY_PLACE, "places", in, out);
}

Err events_v1_get_organization_feed(Request *rq, const Events__V1__GetFeedRequest *in, Atrium__HttpBody *out)
{
    return answer_of(rq, LISTED_BY_ORGANIZATION, "organizations", in, out);
}

Err events_v1_get_series_feed(Request *rq, const Events__V1__GetFeedRequest *in, Atrium__HttpBody *out)
{
    return answer_of(rq, LISTED_BY_SERIES, "series", in, out);
}
