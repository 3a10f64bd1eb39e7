/* lists: see lists.h; and the list of events (contract 6.1), also as GeoJSON, with facets. */
#include "services/events/lists.h"

#include <math.h>

#include "atrium/events/v1/events.service.h"
#include "services/events/negotiate.h"
#include "services/events/reading.h"

enum { LIST_MAX_BYTES = 8 * 1024 * 1024, FACETS_COUNT = 6 };

static const char *const FACET_NAMES[FACETS_COUNT] = {"domain", "locality", "keyword", "month", "mode", "price"};

/* --- parts ------------------------------------------------------------------------------------------------------- */
static void write_time(StrBuf *out, const char *name, int64_t us)
{
    char text[TIME_TEXT_BYTES];

    if (us == 0)
        return;
    strbuf_append_cstr(out, name);
    strbuf_append(out, slice_of(text, time_format(us, -1, text)));
    strbuf_append_char(out, '"');
}

void list_write_warnings(StrBuf *out, const Warnings *warnings)
{
    if (warnings->count == 0)
        return;
    strbuf_append_cstr(out, ",\"warnings\":[");
    for (size_t i = 0; i < warnings->count; i++) {
        if (i)
            strbuf_append_char(out, ',');
        strbuf_append_json(out, slice(warnings->list[i]));
    }
    strbuf_append_char(out, ']');
}

static void write_members(StrBuf *out, const ListRow *row, Slice context)
{
    strbuf_append(out, context);
    if (context.len)
        strbuf_append_char(out, ',');
    strbuf_append(out, slice_of(row->card.ptr + 1, row->card.len - 2)); /* within its braces */
    write_time(out, ",\"startDate\":\"", row->start_us);
    write_time(out, ",\"endDate\":\"", row->end_us);
    if (!isnan(row->distance_km))
        strbuf_printf(out, ",\"sel:distanceKm\":%.3f", row->distance_km);
}

void list_write_card(StrBuf *out, const ListRow *row, Slice context)
{
    strbuf_append_char(out, '{');
    write_members(out, row, context);
    strbuf_append_char(out, '}');
}

bool list_is_known(Request *rq, uint64_t hash, const char *representation)
{
    const char *tag = arena_printf(rq->mem, "\"%016" PRIx64 "-%s\"", hash, representation);

    request_set_header(rq, "ETag", tag);
    request_set_header(rq, "Vary", "Accept");
    request_set_header(rq, "Cache-Control", "public, max-age=0, must-revalidate");
    if (!etag_is_known(rq, tag))
        return false;
    request_set_status(rq, 304);
    return true;
}

/* --- the list of events ------------------------------------------------------------------------------------------ */
uint64_t list_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

static uint64_t hash_of(const EventFilter *f, const EventList *list)
{
    uint64_t hash = list_mix(f->hash, (uint64_t)f->schedule_iris << 40 | (uint64_t)f->context << 32 |
                                          (uint64_t)f->limit << 1 | list->more);

    for (size_t i = 0; i < f->warnings.count; i++)
        hash = list_mix(hash, strlen(f->warnings.list[i]));
    for (size_t i = 0; i < list->count; i++) {
        const ListRow *row = &list->rows[i];
        uint64_t low;

        memcpy(&low, row->event_id.bytes + 8, sizeof(low));
        hash = list_mix(list_mix(list_mix(hash, low), (uint64_t)row->start_us), (uint64_t)row->rendered);
        hash = list_mix(hash, (uint64_t)row->updated_us);
    }
    return hash;
}

static Err write_facets(Request *rq, const EventFilter *f, StrBuf *out)
{
    bool first = true;

    if (!f->facets)
        return OK;
    strbuf_append_cstr(out, ",\"facets\":{");
    for (size_t i = 0; i < FACETS_COUNT; i++) {
        FacetCount *list;
        size_t count;

        if (!(f->facets & 1U << i))
            continue;
        TRY(events_store_facet(rq, f, 1U << i, &list, &count));
        strbuf_printf(out, "%s\"%s\":[", first ? "" : ",", FACET_NAMES[i]);
        first = false;
        for (size_t k = 0; k < count; k++) {
            strbuf_append_cstr(out, k ? ",{\"value\":" : "{\"value\":");
            strbuf_append_json(out, slice(list[k].value));
            strbuf_printf(out, ",\"count\":%" PRId64 "}", list[k].count);
        }
        strbuf_append_char(out, ']');
    }
    strbuf_append_char(out, '}');
    return OK;
}

/* Cards are ours: members' names stand in them as they are. A text that says the same only makes the reply longer. */
static Slice context_of(const Contexts *contexts, const EventFilter *f, Slice card)
{
    switch (f->context) {
    case CONTEXT_DOCUMENT:
        return SLICE_LIT("");
    case CONTEXT_URL:
        return contexts->by_url;
    default:
        return contexts
            ->inlined[slice_find(card, SLICE_LIT("eventSchedule")) < 0 ? CONTEXT_EVENT_ONCE : CONTEXT_EVENT_CARD];
    }
}

/* At once: in steps of twice the size a page would be copied, and its memory cleared, twice over. */
static void reserve(const EventList *list, Slice context, StrBuf *out)
{
    size_t bytes = 512;

    for (size_t i = 0; i < list->count; i++)
        bytes += context.len + list->rows[i].card.len + 128;
    (void)strbuf_reserve(out, MIN(bytes, (size_t)LIST_MAX_BYTES)); /* where it is too much, it will show */
}

static Err write_list(Request *rq, const EventFilter *f, const EventList *list, StrBuf *out)
{
    const Contexts *contexts = ((const Events *)rq->service)->contexts;

    reserve(list, context_of(contexts, f, SLICE_LIT("eventSchedule")), out); /* as if each had one */
    strbuf_append_char(out, '{');
    if (f->context == CONTEXT_DOCUMENT) {
        strbuf_append(out, contexts->inlined[CONTEXT_EVENT_CARD]);
        strbuf_append_char(out, ',');
    }
    strbuf_append_cstr(out, "\"items\":[");
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            strbuf_append_char(out, ',');
        list_write_card(out, &list->rows[i], context_of(contexts, f, list->rows[i].card));
    }
    strbuf_append_cstr(out, "],\"next_cursor\":");
    strbuf_append_json(out, slice(event_list_cursor(rq->mem, f, list)));
    list_write_warnings(out, &f->warnings);
    TRY(write_facets(rq, f, out));
    strbuf_append_char(out, '}');
    return OK;
}

/* RFC 7946. A feature is an occurrence; what has no place has no geometry. */
static void write_features(Request *rq, const EventFilter *f, const EventList *list, StrBuf *out)
{
    const Events *events = rq->service;

    strbuf_append_cstr(out, "{\"type\":\"FeatureCollection\",\"features\":[");
    for (size_t i = 0; i < list->count; i++) {
        const ListRow *row = &list->rows[i];

        strbuf_printf(out, "%s{\"type\":\"Feature\",\"id\":\"%s#occ-%s\",\"geometry\":", i ? "," : "",
                      entity_uri(rq->mem, events, ENTITY_EVENT, row->event_id), uuid_text(rq->mem, row->occurrence_id));
        if (row->located)
            strbuf_printf(out, "{\"type\":\"Point\",\"coordinates\":[%.7g,%.7g]}", row->longitude, row->latitude);
        else
            strbuf_append_cstr(out, "null");
        strbuf_append_cstr(out, ",\"properties\":{");
        write_members(out, row, SLICE_LIT(""));
        strbuf_append_cstr(out, "}}");
    }
    strbuf_append_cstr(out, "],\"next_cursor\":");
    strbuf_append_json(out, slice(event_list_cursor(rq->mem, f, list)));
    strbuf_append_char(out, '}');
}

Err events_v1_list_events(Request *rq, const Events__V1__ListEventsRequest *in, Atrium__HttpBody *out)
{
    static const Format OTHERS[] = {FORMAT_JSONLD, FORMAT_GEOJSON};
    const Events *events = rq->service;
    Format format = negotiate_api(request_header(rq, "accept"), OTHERS, ARRAY_LEN(OTHERS));
    StrBuf body = strbuf_new(rq->mem, LIST_MAX_BYTES);
    EventFilter filter;
    EventList list;

    TRY(filter_read(rq, in, &filter));
    request_set_header(rq, "Link",
                       arena_printf(rq->mem, "<%s/api/v1/events.ics>; rel=\"alternate\"; type=\"text/calendar\"",
                                    events->settings->base_url));
    filter.expand |= format == FORMAT_GEOJSON;
    TRY(events_store_list(rq, &filter, &list));
    /* Counts change without the page's rows: no tag for them. */
    if (!filter.facets && list_is_known(rq, hash_of(&filter, &list), format == FORMAT_GEOJSON ? "geo" : "json"))
        return OK;
    for (size_t i = 0; filter.schedule_iris && i < list.count; i++)
        list.rows[i].card = document_with_iris(rq->mem, list.rows[i].card, SHOWN_LISTS);
    if (format == FORMAT_GEOJSON)
        write_features(rq, &filter, &list, &body);
    else
        TRY(write_list(rq, &filter, &list, &body));
    return answer_body(&body, format_content_type(format), out);
}
